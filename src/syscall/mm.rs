//! Memory: mapping, protecting and locking it, and files that live in memory.
//!
//! Addresses and lengths are in bytes. The kernel rounds a length up to whole pages. It does
//! not round an address: one that must be page-aligned and is not fails with `EINVAL`.

use core::{ffi::CStr, mem::offset_of, ptr};

use linux_raw_sys::general::{F_ADD_SEALS, F_GET_SEALS, iovec};
use static_assertions::{assert_eq_size, const_assert_eq};

use super::raw::{nr, syscall1, syscall2, syscall3, syscall5};
use super::{
    Advice, Errno, MapFlags, MemfdFlags, MlockFlags, MremapFlags, MsyncFlags, OFlags, ProtFlags,
    Result, Seals, as_arg, check_unit, fcntl, fs::descriptor,
};
use crate::arch;
use crate::fd::{BorrowedFd, OwnedFd};

/// Maps `length` bytes of a file, or of zeroed memory, and returns the address.
///
/// `addr` is a hint unless [`MapFlags::FIXED`] is set; a null pointer lets the kernel choose
/// the address. `length` is rounded up to whole pages; the bytes after the end of the file in
/// its last page are zero. `fd` is ignored, and usually `None`, for [`MapFlags::ANONYMOUS`] memory.
/// `offset` is in bytes and must be a multiple of the [page size](super::page_size). The mapping
/// stays after the descriptor is closed.
///
/// With [`MapFlags::FIXED_NOREPLACE`], the memory is mapped exactly at `addr`, or the call
/// fails. Kernels before Linux 4.17 take `addr` as a hint. If such a kernel maps the memory
/// elsewhere, the function unmaps it again, and fails with `EEXIST`.
///
/// On hugetlbfs, a mapping that may be written to lengthens the file to whole huge pages when
/// it is made (seen on Linux 6.12, 6.18 and 7.2).
///
/// # Errors
///
/// * `EINVAL` if `length` is zero.
/// * `EINVAL` if `offset`, or `addr` with [`MapFlags::FIXED`], is not a multiple of the page
///   size.
/// * `EINVAL` if the flags do not contain exactly one type, or contain a type that the kernel does
///   not have ([`MapFlags::DROPPABLE`] before Linux 6.11), or [`MapFlags::SHARED_VALIDATE`] with
///   [`MapFlags::ANONYMOUS`].
/// * `EINVAL` if a shared mapping is to be writable and the file system does not support that, such
///   as 9p without a cache, and jffs2.
/// * `EOVERFLOW` if `offset` is too large for the kernel, which on 32-bit architectures takes
///   offsets below 2⁴⁴.
/// * `EACCES` if the descriptor is not open for reading, or, for a shared writable mapping, not
///   for reading and writing.
/// * `EBADF` if `fd` was opened with [`OFlags::PATH`], or is `None` without
///   [`MapFlags::ANONYMOUS`].
/// * `ENODEV` if the file cannot be mapped, such as a directory, a pipe, and most files in `/proc`.
/// * `EEXIST` if [`MapFlags::FIXED_NOREPLACE`] is set and part of the range is mapped.
/// * `ENOMEM` if no range of addresses of this length is free, or if the process has too many
///   mappings.
/// * `EOPNOTSUPP` if [`MapFlags::SHARED_VALIDATE`] is combined with a flag that the file does
///   not support, such as `MAP_SYNC` for a file that is not on persistent memory (DAX).
/// * `EPERM` if the mapping is to be executable and the file system is mounted with `noexec`,
///   or if the file is sealed against this mapping.
///
/// # Safety
///
/// * With [`MapFlags::FIXED`], nothing uses what was mapped in the range before.
/// * No reference to the memory exists while the file can be written to, because its bytes
///   change with the file.
/// * No access is made while it can fault, unless `SIGBUS` is handled. A page past the end of
///   the file faults, for example after the file was truncated. A page that the file system has
///   no memory or space for faults as well; on a full tmpfs this includes reading a hole
///   through a shared mapping.
#[doc(alias = "mmap2")]
pub unsafe fn mmap(
    addr: *mut u8,
    length: usize,
    prot: ProtFlags,
    flags: MapFlags,
    fd: Option<BorrowedFd<'_>>,
    offset: u64,
) -> Result<*mut u8> {
    let fd = fd.map_or(usize::MAX, as_arg);
    // SAFETY: the caller meets this function's requirements.
    let result = unsafe {
        arch::mmap(addr.expose_provenance(), length, prot.as_arg(), flags.as_arg(), fd, offset)
    };
    let at = ptr::with_exposed_provenance_mut(Errno::check(result)?);
    if flags.contains(MapFlags::FIXED_NOREPLACE) && at != addr {
        // SAFETY: the range was just mapped, and no other code has its address.
        unsafe { munmap(at, length)? };
        return Err(Errno::EEXIST);
    }
    Ok(at)
}

/// Unmaps all mappings in a range of addresses.
///
/// Pages that are not mapped are skipped without an error. `length` is rounded up to whole
/// pages.
///
/// # Errors
///
/// * `EINVAL` if `addr` is not page-aligned, or `length` is zero.
/// * `ENOMEM` if a mapping would be split and the process has too many mappings.
/// * `EPERM` if part of the range is sealed by [`mseal`].
///
/// # Safety
///
/// * Nothing uses the range any more.
pub unsafe fn munmap(addr: *mut u8, length: usize) -> Result<()> {
    // SAFETY: the caller meets this function's requirements.
    check_unit(unsafe { syscall2(nr::munmap, addr.expose_provenance(), length) })
}

/// Changes the protection of the pages in a range.
///
/// `length` is rounded up to whole pages. A length of zero is a no-op.
///
/// # Errors
///
/// * `EINVAL` if `addr` is not page-aligned.
/// * `EACCES` if the file was not opened for the requested access.
/// * `ENOMEM` if part of the range is not mapped. The pages before that part have changed.
/// * `ENOMEM` if a mapping would be split and the process has too many mappings.
/// * `EPERM` if part of the range is sealed by [`mseal`].
///
/// # Safety
///
/// * Nothing accesses the range in a way that `prot` does not allow.
/// * Nothing relies on the range staying unchanged if `prot` makes it writable.
pub unsafe fn mprotect(addr: *mut u8, length: usize, prot: ProtFlags) -> Result<()> {
    // SAFETY: the caller meets this function's requirements.
    check_unit(unsafe { syscall3(nr::mprotect, addr.expose_provenance(), length, prot.as_arg()) })
}

/// Resizes a mapping, moves it if `flags` allow that, and returns its address.
///
/// `new_addr` is the new address with [`MremapFlags::FIXED`], a hint with
/// [`MremapFlags::DONTUNMAP`], and ignored otherwise. Lengths are rounded up to whole pages.
/// An `old_length` of zero makes a second mapping of a shared mapping.
///
/// # Errors
///
/// * `EINVAL` if an address is not page-aligned, `new_length` is zero, or the flags exclude
///   each other.
/// * `EINVAL` if [`MremapFlags::DONTUNMAP`] is set and the lengths differ.
/// * `EINVAL` if `old_length` is zero and the mapping is private (since Linux 4.14).
/// * `EFAULT` if part of the old range is not mapped.
/// * `ENOMEM` if the mapping cannot grow at its address and [`MremapFlags::MAYMOVE`] is not
///   set.
/// * `EAGAIN` if the mapping is locked and would exceed `RLIMIT_MEMLOCK`.
/// * `EPERM` if part of the range is sealed by [`mseal`].
///
/// # Safety
///
/// * Nothing uses the part of the old range that is unmapped because the mapping shrinks or
///   moves.
/// * With [`MremapFlags::FIXED`], nothing uses what was mapped in the new range before.
pub unsafe fn mremap(
    old: *mut u8,
    old_length: usize,
    new_length: usize,
    flags: MremapFlags,
    new_addr: *mut u8,
) -> Result<*mut u8> {
    let (flags, to) = (flags.as_arg(), new_addr.expose_provenance());
    // SAFETY: the caller meets this function's requirements.
    let result =
        unsafe { syscall5(nr::mremap, old.expose_provenance(), old_length, new_length, flags, to) };
    Ok(ptr::with_exposed_provenance_mut(Errno::check(result)?))
}

/// Writes the changed pages of a shared file mapping back to the file.
///
/// `length` is rounded up to whole pages. A length of zero is a no-op.
///
/// * [`MsyncFlags::SYNC`] waits until the data is on the disk.
/// * [`MsyncFlags::ASYNC`] has been a no-op since Linux 2.6.19, because the kernel writes
///   changed pages back by itself.
/// * [`MsyncFlags::INVALIDATE`] fails with `EBUSY` for locked pages and is otherwise a no-op:
///   mappings of one file always agree on Linux.
///
/// # Errors
///
/// * `EINVAL` if `addr` is not page-aligned, or both `SYNC` and `ASYNC` are set.
/// * `ENOMEM` if part of the range is not mapped.
/// * `EIO`, `ENOSPC` or `EDQUOT` if the data could not be written. The error is reported once:
///   the next call can succeed although the data is lost.
///
/// # Safety
///
/// * The range belongs to the caller. Writing back does not change memory, but it changes the
///   file on the disk.
pub unsafe fn msync(addr: *mut u8, length: usize, flags: MsyncFlags) -> Result<()> {
    // SAFETY: the caller meets this function's requirements.
    check_unit(unsafe { syscall3(nr::msync, addr.expose_provenance(), length, flags.as_arg()) })
}

/// Advises the kernel how a range will be used, or requests an operation on it.
///
/// `length` is rounded up to whole pages. A length of zero is a no-op.
///
/// Emulators differ: qemu-user 7.2 and 10.0 return success for advice that they do not know, and
/// ignore it. qemu-user 11.1 refuses [`Advice::POPULATE_READ`] and [`Advice::POPULATE_WRITE`].
///
/// # Errors
///
/// * `EINVAL` if `addr` is not page-aligned.
/// * `EINVAL` if the kernel does not have this advice, or does not allow it for this kind of
///   mapping, such as [`Advice::KEEPONFORK`] and [`Advice::DODUMP`] for [`MapFlags::DROPPABLE`].
/// * `ENOMEM` if part of the range is not mapped.
/// * `EFAULT` if [`Advice::POPULATE_READ`] or [`Advice::POPULATE_WRITE`] meets a page that
///   would fault, such as one past the end of a file.
/// * `EHWPOISON` if `POPULATE_READ` or `POPULATE_WRITE` meets a page with a hardware error.
/// * `EPERM` if part of the range is sealed by [`mseal`] and the advice would discard its
///   contents.
///
/// # Safety
///
/// * Nothing relies on the contents of the range after [`Advice::DONTNEED`], [`Advice::FREE`],
///   [`Advice::REMOVE`] or [`Advice::GUARD_INSTALL`], which discard them, nor after
///   [`Advice::PAGEOUT`] for memory that is [`MapFlags::DROPPABLE`].
/// * Nothing accesses the range between [`Advice::GUARD_INSTALL`] and [`Advice::GUARD_REMOVE`],
///   because each access is a `SIGSEGV`.
/// * A child of [`fork`](super::fork) does not rely on a range with [`Advice::DONTFORK`], which
///   is not mapped there, or with [`Advice::WIPEONFORK`], which is zero there.
pub unsafe fn madvise(addr: *mut u8, length: usize, advice: Advice) -> Result<()> {
    // SAFETY: the caller meets this function's requirements.
    check_unit(unsafe { syscall3(nr::madvise, addr.expose_provenance(), length, advice.as_arg()) })
}

/// A range of addresses, in the layout of the kernel's `struct iovec`. Source: iovec(3type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct IoVec {
    /// The first address of the range.
    pub base: *mut u8,
    /// The length of the range in bytes.
    pub len: usize,
}

assert_eq_size!(IoVec, iovec);
const_assert_eq!(offset_of!(IoVec, base), offset_of!(iovec, iov_base));
const_assert_eq!(offset_of!(IoVec, len), offset_of!(iovec, iov_len));

/// Advises the kernel how ranges of a process will be used, which may be another process.
///
/// `process` comes from [`pidfd_open`](super::pidfd_open). Returns the number of bytes that the
/// advice was applied to. The number is less than the length of all ranges if a range after the
/// first was refused, and zero if `ranges` is empty.
///
/// # Errors
///
/// * `EINVAL` if the process is another one and the advice is not `COLD`, `PAGEOUT`, `WILLNEED`
///   or `COLLAPSE`. Before Linux 6.13, other advice is rejected for the current process, too.
/// * `EINVAL` if an address is not page-aligned, or there are more than 1024 ranges.
/// * `ENOMEM` if the first range is not mapped.
/// * `EPERM` if the caller may not trace the process, or does not have `CAP_SYS_NICE`.
/// * `ESRCH` if the process has ended.
/// * `EBADF` if `process` does not refer to a process.
/// * `ENOSYS` before Linux 5.10.
///
/// # Safety
///
/// * For the current process, each range meets the requirements of [`madvise`]: nothing relies on
///   contents that the advice discards, and nothing accesses a guard.
/// * For another process, nothing in that process relies on what the advice discards.
pub unsafe fn process_madvise(
    process: BorrowedFd<'_>,
    ranges: &[IoVec],
    advice: Advice,
) -> Result<usize> {
    let (at, count) = (ranges.as_ptr().expose_provenance(), ranges.len());
    // SAFETY: `IoVec` has the layout of the kernel's structure; the caller promises the rest.
    Errno::check(unsafe {
        syscall5(nr::process_madvise, as_arg(process), at, count, advice.as_arg(), 0)
    })
}

/// Seals the mappings of a range: they can no longer be unmapped, moved, resized, replaced or
/// given another protection.
///
/// Attempts to do so fail with `EPERM`, and so does advice that discards private memory that is not
/// writable. The contents can still change. A seal cannot be removed. A length of zero is a no-op.
///
/// # Errors
///
/// * `EINVAL` if `addr` is not page-aligned.
/// * `ENOMEM` if part of the range is not mapped.
/// * `EPERM` or `ENOSYS` if the kernel has 32 bits.
/// * `ENOSYS` before Linux 6.10.
///
/// # Safety
///
/// * The range belongs to the caller, and no code relies on unmapping it or changing its
///   protection.
pub unsafe fn mseal(addr: *mut u8, length: usize) -> Result<()> {
    // SAFETY: the caller meets this function's requirements.
    check_unit(unsafe { syscall3(nr::mseal, addr.expose_provenance(), length, 0) })
}

/// Locks the pages of a range in memory, after reading them in.
///
/// The address is rounded down and the end rounded up to whole pages. Locked pages count
/// against `RLIMIT_MEMLOCK`.
///
/// # Errors
///
/// * `ENOMEM` if part of the range is not mapped, or if the range exceeds `RLIMIT_MEMLOCK`.
/// * `ENOMEM` if a page cannot be read in: a page past the end of its file, a guard, or a page
///   with `PROT_NONE`. The range stays locked nevertheless.
/// * `EPERM` if `RLIMIT_MEMLOCK` is zero.
/// * `EAGAIN` if the kernel could not read in some pages for another reason.
///
/// # Safety
///
/// * The range belongs to the caller: its pages count against the limit of the process.
pub unsafe fn mlock(addr: *const u8, length: usize) -> Result<()> {
    // SAFETY: the caller meets this function's requirements.
    check_unit(unsafe { syscall2(nr::mlock, addr.expose_provenance(), length) })
}

/// Locks the pages of a range in memory, with flags.
///
/// With [`MlockFlags::ONFAULT`], a page is locked when it is first accessed, and the call reads
/// no page in. Without flags, the call is [`mlock`].
///
/// # Errors
///
/// * `ENOMEM` if part of the range is not mapped, or if the range exceeds `RLIMIT_MEMLOCK`.
/// * `ENOMEM` if a page cannot be read in: a page past the end of its file, a guard, or a page
///   with `PROT_NONE`. The range stays locked nevertheless.
/// * `EPERM` if `RLIMIT_MEMLOCK` is zero.
/// * `EAGAIN` if the kernel could not read in some pages for another reason.
/// * `EINVAL` if a flag is unknown.
/// * `ENOSYS` before Linux 4.4.
///
/// # Safety
///
/// * The range belongs to the caller: its pages count against the limit of the process.
pub unsafe fn mlock2(addr: *const u8, length: usize, flags: MlockFlags) -> Result<()> {
    // SAFETY: the caller meets this function's requirements.
    check_unit(unsafe { syscall3(nr::mlock2, addr.expose_provenance(), length, flags.as_arg()) })
}

/// Unlocks the pages of a range, so that the kernel may write them to the swap again.
///
/// The address is rounded down and the end rounded up to whole pages.
///
/// # Errors
///
/// * `ENOMEM` if part of the range is not mapped.
///
/// # Safety
///
/// * No code relies on the range being locked, such as code that keeps secrets out of the swap.
pub unsafe fn munlock(addr: *const u8, length: usize) -> Result<()> {
    // SAFETY: the caller meets this function's requirements.
    check_unit(unsafe { syscall2(nr::munlock, addr.expose_provenance(), length) })
}

/// Reports which pages of a range are in memory, in bit 0 of one byte for each page.
///
/// `length` is rounded up to whole pages. A length of zero is a no-op.
///
/// # Errors
///
/// * `EINVAL` if `addr` is not page-aligned.
/// * `ENOMEM` if part of the range is not mapped.
/// * `EFAULT` if `pages` has fewer bytes than the range has pages. This crate checks it before
///   the call.
pub fn mincore(addr: *const u8, length: usize, pages: &mut [u8]) -> Result<()> {
    // `page_size` never returns more than the kernel's page size. If it returns less, because a
    // filter hides the page size, the buffer must be larger than the kernel needs.
    if length > pages.len().saturating_mul(super::page_size()) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: the kernel writes one byte for each page, and the buffer has as many bytes.
    check_unit(unsafe {
        syscall3(
            nr::mincore,
            addr.expose_provenance(),
            length,
            pages.as_mut_ptr().expose_provenance(),
        )
    })
}

/// Creates an anonymous file that lives in memory.
///
/// `name` appears in `/proc/PID/fd` and `/proc/PID/maps` only. The file is empty at first, and
/// [`ftruncate`](super::ftruncate) sets its length.
///
/// # Errors
///
/// * `EINVAL` if a flag is unknown, or `name` has more than 249 bytes.
/// * `EMFILE` or `ENFILE` if the process or the system has too many open files.
pub fn memfd_create(name: &CStr, flags: MemfdFlags) -> Result<OwnedFd> {
    // SAFETY: the name is a C string, and the new descriptor is used nowhere else.
    descriptor(unsafe {
        syscall2(nr::memfd_create, name.as_ptr().expose_provenance(), flags.as_arg())
    })
}

/// Creates a file in memory that only the processes that map it can read, because the kernel
/// removes its pages from its own mapping of memory.
///
/// `flags` may be [`OFlags::CLOEXEC`]. The file is empty at first, and
/// [`ftruncate`](super::ftruncate) can set its length once. The file can be mapped shared, but
/// it cannot be read or written through the descriptor. Its mapped pages count as locked
/// memory.
///
/// # Errors
///
/// * `ENOSYS` before Linux 5.14, on architectures that do not have the call, and where it is
///   disabled. Before Linux 6.5 it is disabled unless the kernel is booted with
///   `secretmem.enable=1`.
/// * `EINVAL` if another flag is set.
pub fn memfd_secret(flags: OFlags) -> Result<OwnedFd> {
    // SAFETY: the new descriptor is used nowhere else.
    descriptor(unsafe { syscall1(nr::memfd_secret, flags.as_arg()) })
}

/// Adds seals to a file in memory. Seals cannot be removed.
///
/// Empty `seals` are a no-op.
///
/// # Errors
///
/// * `EPERM` if the descriptor is not open for writing.
/// * `EPERM` if the file has [`Seals::SEAL`], like every file that was created without
///   [`MemfdFlags::ALLOW_SEALING`].
/// * `EBUSY` if `seals` contain [`Seals::WRITE`] and the file has a shared mapping that is
///   writable, or that `mprotect` could make writable, such as a read-only mapping that was made
///   through a writable descriptor.
/// * `EINVAL` if the file is of a kind that has no seals, or the kernel does not know one of
///   `seals`.
#[doc(alias = "F_ADD_SEALS")]
pub fn fcntl_add_seals(fd: BorrowedFd<'_>, seals: Seals) -> Result<()> {
    // SAFETY: this command does not take a pointer.
    unsafe { fcntl(fd, F_ADD_SEALS, seals.as_arg()) }.map(drop)
}

/// Returns the seals of a file in memory.
///
/// # Errors
///
/// * `EINVAL` if the file is of a kind that has no seals.
#[doc(alias = "F_GET_SEALS")]
pub fn fcntl_get_seals(fd: BorrowedFd<'_>) -> Result<Seals> {
    // SAFETY: this command does not take a pointer.
    let seals = unsafe { fcntl(fd, F_GET_SEALS, 0)? };
    Ok(Seals::from_bits_retain(seals as u32))
}
