//! Memory: mapping, protecting, locking, and files that live in it.
//!
//! Addresses and lengths are in bytes. The kernel rounds a length up to whole
//! pages; an address that must be that of a page is not rounded but refused with
//! `EINVAL`.

use core::{ffi::CStr, mem::offset_of, ptr};

use linux_raw_sys::general::{F_ADD_SEALS, F_GET_SEALS, iovec};
use static_assertions::{assert_eq_size, const_assert_eq};

use super::raw::{nr, syscall1, syscall2, syscall3, syscall5};
use super::{
    Advice, Errno, MapFlags, MemfdFlags, MlockFlags, MremapFlags, MsyncFlags, OFlags, ProtFlags,
    Result, Seals, fcntl, as_arg, check_unit, fs::descriptor,
};
use crate::arch;
use crate::fd::{BorrowedFd, OwnedFd};

/// Maps `length` bytes of a file, or of zeroed memory, and returns the address.
///
/// `addr` is a wish, or with [`MapFlags::FIXED`] an order; null leaves the choice to
/// the kernel. `fd` is `None` for [`MapFlags::ANONYMOUS`] memory. `offset` is in
/// bytes, a multiple of the [page size](super::page_size). The mapping outlives the
/// descriptor.
///
/// With [`MapFlags::FIXED_NOREPLACE`] the mapping is at `addr` or not at all: what
/// kernels before 4.17 put elsewhere is unmapped again, and is `EEXIST`.
///
/// # Errors
///
/// * `EINVAL`: a length of zero; an offset, or a fixed address, that is no multiple
///   of the page size; not exactly one type, or one that this kernel does not have
///   ([`MapFlags::DROPPABLE`] before Linux 6.11).
/// * `EOVERFLOW`: the offset does not fit in the kernel's, which on 32-bit
///   architectures ends at 2⁴⁴.
/// * `EACCES`: the descriptor is not open for reading, or, for a shared writable
///   mapping, not for reading and writing; the file is no regular file.
/// * `EBADF`: not a descriptor, and not anonymous.
/// * `ENODEV`: a file that cannot be mapped: a directory, a pipe, most of `/proc`.
/// * `ENOMEM`: no such range of addresses is free, or too many mappings.
/// * `EOPNOTSUPP`: [`MapFlags::SHARED_VALIDATE`] with a flag that the file cannot have, as
///   `MAP_SYNC` on a file that is not on persistent memory (DAX).
/// * `EPERM`: executable, on a file system mounted without; a sealed file.
///
/// # Safety
///
/// With `FIXED`, whatever was mapped in the range is gone: nothing may use it
/// after. And memory of a file changes when anybody writes to the file, and faults
/// (`SIGBUS`) when it becomes shorter: no reference to it may exist while that can
/// happen.
pub unsafe fn mmap(
    addr: *mut u8,
    length: usize,
    prot: ProtFlags,
    flags: MapFlags,
    fd: Option<BorrowedFd<'_>>,
    offset: u64,
) -> Result<*mut u8> {
    let fd = fd.map_or(usize::MAX, as_arg);
    // SAFETY: the caller's promise.
    let result = unsafe {
        arch::mmap(addr.expose_provenance(), length, prot.as_arg(), flags.as_arg(), fd, offset)
    };
    let at = ptr::with_exposed_provenance_mut(Errno::check(result)?);
    if flags.contains(MapFlags::FIXED_NOREPLACE) && at != addr {
        // SAFETY: just mapped, and known to nobody.
        unsafe { munmap(at, length)? };
        return Err(Errno::EEXIST);
    }
    Ok(at)
}

/// Removes all mappings of a range of addresses; pages without one are no error.
///
/// # Errors
///
/// `EINVAL`: `addr` is no page's, or a length of zero. `ENOMEM`: it would split a
/// mapping, and there are too many.
///
/// # Safety
///
/// Nothing uses the range any more.
pub unsafe fn munmap(addr: *mut u8, length: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    check_unit(unsafe { syscall2(nr::munmap, addr.expose_provenance(), length) })
}

/// Changes what may be done to the pages of a range; a length of zero does nothing.
///
/// # Errors
///
/// `EINVAL`: `addr` is no page's. `EACCES`: the mapping's file was not opened for
/// that. `ENOMEM`: part of the range is not mapped (what is before it has changed),
/// or it would split a mapping, and there are too many.
///
/// # Safety
///
/// Nothing uses the range in a way that is no longer allowed, and nothing relies
/// on it being unchangeable that is now changed.
pub unsafe fn mprotect(addr: *mut u8, length: usize, prot: ProtFlags) -> Result<()> {
    // SAFETY: the caller's promise.
    check_unit(unsafe { syscall3(nr::mprotect, addr.expose_provenance(), length, prot.as_arg()) })
}

/// Changes a mapping's length, and moves it if `flags` allow; returns its address.
///
/// `new_addr` counts only with [`MremapFlags::FIXED`]. An `old_length` of zero makes
/// a second mapping of a shared one.
///
/// # Errors
///
/// `EINVAL`: an address that is no page's, a new length of zero, flags that do not
/// go together. `EFAULT`: part of the old range is not mapped. `ENOMEM`: it cannot
/// grow where it is, and may not move. `EAGAIN`: it is locked, and would pass the
/// limit.
///
/// # Safety
///
/// Nothing uses the old range any more where it shrinks or moves, nor, with
/// `FIXED`, what was mapped in the new one.
pub unsafe fn mremap(
    old: *mut u8,
    old_length: usize,
    new_length: usize,
    flags: MremapFlags,
    new_addr: *mut u8,
) -> Result<*mut u8> {
    let (flags, to) = (flags.as_arg(), new_addr.expose_provenance());
    // SAFETY: the caller's promise.
    let result =
        unsafe { syscall5(nr::mremap, old.expose_provenance(), old_length, new_length, flags, to) };
    Ok(ptr::with_exposed_provenance_mut(Errno::check(result)?))
}

/// Writes changed pages of a shared file mapping back to the file.
///
/// With [`MsyncFlags::SYNC`] it waits for the disk; [`MsyncFlags::ASYNC`] has done
/// nothing since Linux 2.6.19, which writes pages back by itself. With
/// [`MsyncFlags::INVALIDATE`] it fails (`EBUSY`) for locked pages, and on Linux does
/// nothing else: mappings of one file always agree. A length of zero does nothing.
///
/// # Errors
///
/// `EINVAL`: `addr` is no page's, or both of `SYNC` and `ASYNC`. `ENOMEM`: part of
/// the range is not mapped. `EIO`: the disk failed.
///
/// # Safety
///
/// The range is the caller's: writing pages back makes no difference to memory, but
/// it does to a file.
pub unsafe fn msync(addr: *mut u8, length: usize, flags: MsyncFlags) -> Result<()> {
    // SAFETY: the caller's promise.
    check_unit(unsafe { syscall3(nr::msync, addr.expose_provenance(), length, flags.as_arg()) })
}

/// Tells the kernel how a range will be used, or asks something of it.
///
/// A length of zero does nothing.
///
/// # Errors
///
/// `EINVAL`: `addr` is no page's, or advice that this kernel does not have, or not
/// for this kind of mapping. `ENOMEM`: part of the range is not mapped. With
/// `POPULATE_READ` and `POPULATE_WRITE` also `EFAULT`: a page that would fault, as
/// beyond the end of a file; and `EHWPOISON`.
///
/// # Safety
///
/// Some advice changes contents: `DONTNEED`, `FREE` and `REMOVE` give pages up.
/// Nothing may rely on them.
pub unsafe fn madvise(addr: *mut u8, length: usize, advice: Advice) -> Result<()> {
    // SAFETY: the caller's promise.
    check_unit(unsafe { syscall3(nr::madvise, addr.expose_provenance(), length, advice.as_arg()) })
}

/// A range of addresses, as the kernel takes it (`struct iovec`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct IoVec {
    /// The first address.
    pub base: *mut u8,
    /// The length in bytes.
    pub len: usize,
}

assert_eq_size!(IoVec, iovec);
const_assert_eq!(offset_of!(IoVec, base), offset_of!(iovec, iov_base));
const_assert_eq!(offset_of!(IoVec, len), offset_of!(iovec, iov_len));

/// [`madvise`] for ranges of a process, which may be another one; `process` is of
/// [`pidfd_open`](super::pidfd_open). Returns how many bytes it was given for, which is less
/// if a later range was refused.
///
/// # Errors
///
/// `EINVAL`: advice that is not for other processes (they take `COLD`, `PAGEOUT`,
/// `WILLNEED` and `COLLAPSE`), or for none before Linux 6.13; an address that is no page's;
/// more than 1024 ranges. `ENOMEM`: the first range is not mapped. `EPERM`: the process is
/// not ours to trace, or there is no `CAP_SYS_NICE`. `ESRCH`: it has ended. `EBADF`: not a
/// process's descriptor. `ENOSYS`: before Linux 5.10.
///
/// # Safety
///
/// As for [`madvise`] where the process is this one, and towards the other where it is not.
pub unsafe fn process_madvise(
    process: BorrowedFd<'_>,
    ranges: &[IoVec],
    advice: Advice,
) -> Result<usize> {
    let (at, count) = (ranges.as_ptr().expose_provenance(), ranges.len());
    // SAFETY: the structures are the kernel's; the rest is the caller's promise.
    Errno::check(unsafe {
        syscall5(nr::process_madvise, as_arg(process), at, count, advice.as_arg(), 0)
    })
}

/// Seals a range for good: from now on its mappings can be neither removed, moved, resized
/// nor replaced, and what may be done to them cannot change (`EPERM`). Where they may not be
/// written, private pages cannot be given up either. Their contents can change as before.
///
/// # Errors
///
/// `EINVAL`: `addr` is no page's. `ENOMEM`: part of the range is not mapped. `EPERM`,
/// `ENOSYS`: the kernel has 32 bits. `ENOSYS`: before Linux 6.10.
///
/// # Safety
///
/// The range is the caller's: whoever counts on unmapping it cannot.
pub unsafe fn mseal(addr: *mut u8, length: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    check_unit(unsafe { syscall3(nr::mseal, addr.expose_provenance(), length, 0) })
}

/// Keeps the pages of a range in memory. The start is rounded down to a page.
///
/// # Errors
///
/// `ENOMEM`: part of the range is not mapped, or beyond `RLIMIT_MEMLOCK`. `EPERM`: the
/// limit is zero. `EAGAIN`: some pages could not be brought in.
///
/// # Safety
///
/// The range is the caller's to lock: pages are brought in, which may fault inside
/// the kernel, and count against the limit.
pub unsafe fn mlock(addr: *const u8, length: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    check_unit(unsafe { syscall2(nr::mlock, addr.expose_provenance(), length) })
}

/// [`mlock`] with flags: with [`MlockFlags::ONFAULT`] pages are locked as they come.
///
/// # Safety
///
/// As for [`mlock`].
pub unsafe fn mlock2(addr: *const u8, length: usize, flags: MlockFlags) -> Result<()> {
    // SAFETY: the caller's promise.
    check_unit(unsafe { syscall3(nr::mlock2, addr.expose_provenance(), length, flags.as_arg()) })
}

/// Lets the pages of a range leave memory again.
///
/// # Errors
///
/// `ENOMEM`: part of the range is not mapped.
///
/// # Safety
///
/// Nobody relies on the range being locked, as code that keeps secrets off the disk
/// does.
pub unsafe fn munlock(addr: *const u8, length: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    check_unit(unsafe { syscall2(nr::munlock, addr.expose_provenance(), length) })
}

/// Tells which pages of a range are in memory: bit 0 of one byte for each page.
///
/// # Errors
///
/// `EINVAL`: `addr` is no page's. `ENOMEM`: part of the range is not mapped.
/// `EFAULT`: `pages` has fewer bytes than the range has pages (found here).
pub fn mincore(addr: *const u8, length: usize, pages: &mut [u8]) -> Result<()> {
    // The page size is the kernel's, or smaller: then more room is asked for than is needed.
    if length > pages.len().saturating_mul(super::page_size()) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: the kernel writes one byte for each page, for which there is room.
    check_unit(unsafe {
        syscall3(
            nr::mincore,
            addr.expose_provenance(),
            length,
            pages.as_mut_ptr().expose_provenance(),
        )
    })
}

/// Makes a file that lives in memory and has no name but the one for `/proc`.
///
/// Its length is zero at first; [`ftruncate`](super::ftruncate) makes room.
///
/// # Errors
///
/// `EINVAL`: unknown flags, or a name of more than 249 bytes.
pub fn memfd_create(name: &CStr, flags: MemfdFlags) -> Result<OwnedFd> {
    // SAFETY: the name is a C string; the descriptor is nobody else's.
    descriptor(unsafe {
        syscall2(nr::memfd_create, name.as_ptr().expose_provenance(), flags.as_arg())
    })
}

/// Makes a file that lives in memory which the kernel itself does not map: nobody reads it
/// but the processes that have it mapped. `flags` may be [`OFlags::CLOEXEC`].
///
/// Its length is zero at first, and [`ftruncate`](super::ftruncate) sets it once. The file
/// can be mapped (shared), but neither read nor written; maps of it count as locked memory.
///
/// # Errors
///
/// `ENOSYS`: before Linux 5.14, on architectures that do not have it, and where it is not
/// enabled (`secretmem.enable=1`, needed at boot before Linux 6.5). `EINVAL`: other flags.
pub fn memfd_secret(flags: OFlags) -> Result<OwnedFd> {
    // SAFETY: the descriptor is nobody else's.
    descriptor(unsafe { syscall1(nr::memfd_secret, flags.as_arg()) })
}

/// Seals a file in memory: what a seal forbids nobody can do any more, and there is no way
/// back. No seals: nothing.
///
/// # Errors
///
/// `EPERM`: the descriptor is not open for writing, or [`Seals::SEAL`] is on already, as on
/// every file that was made without [`MemfdFlags::ALLOW_SEALING`]. `EBUSY`:
/// [`Seals::WRITE`], and there is a shared mapping that can be written to. `EINVAL`: such
/// files have no seals, or this kernel not these.
pub fn fcntl_add_seals(fd: BorrowedFd<'_>, seals: Seals) -> Result<()> {
    // SAFETY: takes no pointer.
    unsafe { fcntl(fd, F_ADD_SEALS, seals.as_arg()) }.map(drop)
}

/// The seals of a file in memory.
///
/// # Errors
///
/// `EINVAL`: such files have none.
pub fn fcntl_get_seals(fd: BorrowedFd<'_>) -> Result<Seals> {
    // SAFETY: takes no pointer.
    let seals = unsafe { fcntl(fd, F_GET_SEALS, 0)? };
    Ok(Seals::from_bits_retain(seals as u32))
}
