//! Files and directories.

use core::ffi::CStr;

use linux_raw_sys::general::{LOCK_NB, O_LARGEFILE, cachestat, cachestat_range};
use linux_raw_sys::ioctl::FICLONE;

use super::raw::{nr, syscall1, syscall2, syscall3, syscall4, syscall5, syscall6};
use super::{
    Access, AtFlags, Errno, FallocateFlags, Flock, Mode, OFlags, RenameFlags, Result,
    SyncFileRangeFlags, Timespec, Whence, XattrFlags, as_arg, check_unit,
};
use crate::arch;
use crate::fd::{BorrowedFd, CWD, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// A path as the kernel takes it.
fn address(path: &CStr) -> usize {
    path.as_ptr().expose_provenance()
}

/// A new descriptor, or an error.
pub(super) fn descriptor(result: usize) -> Result<OwnedFd> {
    let fd = Errno::check(result)? as RawFd;
    // SAFETY: the kernel has just opened it, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens a file by its path from the working directory; see [`openat`].
#[inline(never)]
pub fn open(path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    openat(CWD, path, flags, mode)
}

/// Opens a file by its path from a directory.
///
/// `mode` gives the permissions of a file that is made, less the umask, and is
/// ignored otherwise. Files of 2 GiB and more open on every architecture.
#[inline(never)]
pub fn openat(dir: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    // On 32-bit architectures a large file does not open without being asked.
    let large = if cfg!(target_pointer_width = "32") { O_LARGEFILE as usize } else { 0 };
    let flags = flags.as_arg() | large;
    // SAFETY: the path is a C string; a descriptor that is made is nobody else's.
    descriptor(unsafe {
        syscall4(nr::openat, as_arg(dir), address(path), flags, mode.as_arg())
    })
}

/// Closes a descriptor and tells what dropping it would hide.
///
/// Whatever the result, the descriptor is closed. An error is that of an earlier
/// write on some file systems (`EIO`, `ENOSPC`, `EDQUOT`).
pub fn close(fd: OwnedFd) -> Result<()> {
    // SAFETY: the descriptor was given away, and is not used again.
    unsafe { close_raw(fd.into_raw_fd()) }
}

/// Closes a descriptor by its number.
///
/// # Safety
///
/// It is the caller's to close.
#[inline(never)]
pub(crate) unsafe fn close_raw(fd: RawFd) -> Result<()> {
    // SAFETY: the caller owns the descriptor.
    check_unit(unsafe { syscall1(nr::close, fd as usize) })
}

/// Reads from the descriptor's position; zero is the end of the file, or a buffer
/// of no bytes.
///
/// Returns how many bytes were read, which may be fewer than there is room for.
pub fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: the buffer is ours to write for as long as it is.
    unsafe { read_raw(fd, buf.as_mut_ptr(), buf.len()) }
}

/// [`read`] into memory that is no Rust slice, such as a shared mapping.
///
/// # Safety
///
/// Nothing relies on the `count` bytes at `buf` to stay as they are. Memory that
/// cannot be written is `EFAULT`, not a fault.
pub unsafe fn read_raw(fd: BorrowedFd<'_>, buf: *mut u8, count: usize) -> Result<usize> {
    // SAFETY: the caller's promise.
    Errno::check(unsafe { syscall3(nr::read, as_arg(fd), buf.expose_provenance(), count) })
}

/// Writes at the descriptor's position.
///
/// Returns how many bytes were written, which may be fewer than asked. The kernel
/// writes at most 2 GiB less a page at once.
pub fn write(fd: BorrowedFd<'_>, buf: &[u8]) -> Result<usize> {
    // SAFETY: the buffer is not changed for as long as it is borrowed.
    unsafe { write_raw(fd, buf.as_ptr(), buf.len()) }
}

/// [`write()`] from memory that is no Rust slice, such as a shared mapping.
///
/// Memory that cannot be read is `EFAULT`, or ends the write before it: also that
/// of a mapping whose file has become shorter, so that no signal is raised.
///
/// # Safety
///
/// No thread of this process writes the `count` bytes at `buf` meanwhile through a
/// Rust reference. (Another process may: the kernel copies what it finds.)
pub unsafe fn write_raw(fd: BorrowedFd<'_>, buf: *const u8, count: usize) -> Result<usize> {
    // SAFETY: the caller's promise; the kernel only reads, and checks every address.
    Errno::check(unsafe { syscall3(nr::write, as_arg(fd), buf.expose_provenance(), count) })
}

/// [`write()`] of all the bytes: as many calls as it takes, also after `EINTR`.
#[inline(never)]
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            // Never so for a count above zero; were it, this would not end.
            Ok(0) => return Err(Errno::EIO),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// [`read`] at an offset in bytes, leaving the descriptor's position alone.
pub fn pread(fd: BorrowedFd<'_>, buf: &mut [u8], offset: u64) -> Result<usize> {
    let (address, count) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the buffer is ours to write for as long as it is.
    Errno::check(unsafe { arch::pread64(as_arg(fd), address, count, offset) })
}

/// [`write()`] at an offset in bytes, leaving the descriptor's position alone.
pub fn pwrite(fd: BorrowedFd<'_>, buf: &[u8], offset: u64) -> Result<usize> {
    // SAFETY: the buffer is not changed for as long as it is borrowed.
    unsafe { pwrite_raw(fd, buf.as_ptr(), buf.len(), offset) }
}

/// [`pwrite`] from memory that is no Rust slice.
///
/// # Safety
///
/// As for [`write_raw`].
pub unsafe fn pwrite_raw(
    fd: BorrowedFd<'_>,
    buf: *const u8,
    count: usize,
    offset: u64,
) -> Result<usize> {
    // SAFETY: the caller's promise; the kernel only reads, and checks every address.
    Errno::check(unsafe { arch::pwrite64(as_arg(fd), buf.expose_provenance(), count, offset) })
}

/// Moves the descriptor's position, in bytes, and returns the new one.
///
/// With [`Whence::DATA`] and [`Whence::HOLE`] it finds the next part of the file
/// that holds data, or that holds none; `ENXIO` beyond the last.
///
/// FUSE asks its server, which sees a hole where data is not yet written back (Linux 6.18).
/// [`sync_file_range`] with all its flags writes it back, also by a descriptor that is open for
/// reading alone.
#[inline(never)]
pub fn lseek(fd: BorrowedFd<'_>, offset: i64, whence: Whence) -> Result<u64> {
    let mut position = 0;
    // SAFETY: the call changes nothing but the position.
    check_unit(unsafe { arch::lseek(as_arg(fd), offset as u64, &mut position, whence.as_arg()) })?;
    Ok(position)
}

/// Makes a file `length` bytes long: cuts it, or adds zeros that take no space.
///
/// # Errors
///
/// `EINVAL`: the descriptor is not open for writing, is no regular file, or the
/// length is above `i64::MAX`. `EFBIG`: longer than the file system allows.
pub fn ftruncate(fd: BorrowedFd<'_>, length: u64) -> Result<()> {
    // SAFETY: the file is changed, and memory only through mappings of the file,
    // about which nothing is promised to anybody.
    check_unit(unsafe { arch::ftruncate(as_arg(fd), length) })
}

/// Reserves space for `length` bytes from `offset`, or what `flags` say.
///
/// After it, neither writing nor a mapping of the range runs out of space, unless the file
/// system writes what is changed to another place (btrfs), or `flags` say otherwise.
///
/// # Errors
///
/// `ENOSPC`: not that much space; `EOPNOTSUPP`: the file system cannot reserve;
/// `EINVAL`: a length of zero; `EFBIG`: beyond the largest file.
pub fn fallocate(
    fd: BorrowedFd<'_>,
    flags: FallocateFlags,
    offset: u64,
    length: u64,
) -> Result<()> {
    // SAFETY: as for `ftruncate`.
    check_unit(unsafe { arch::fallocate(as_arg(fd), flags.as_arg(), offset, length) })
}

/// Copies up to `len` bytes of one file to another in the kernel, each at an offset in bytes,
/// leaving the descriptors' positions alone; zero is the end of the source, or no bytes.
///
/// Returns how many bytes were copied, which may be fewer than asked. File systems may share
/// the blocks instead.
///
/// # Errors
///
/// `EXDEV`: between two file systems, before Linux 5.3 or with some of them. `EINVAL`: no
/// regular file, or ranges of one file that overlap. `ENOSPC`, `EFBIG`: no room.
/// `EOPNOTSUPP`: the file system cannot. `ENOSYS`: before Linux 4.5.
pub fn copy_file_range(
    from: BorrowedFd<'_>,
    from_offset: u64,
    to: BorrowedFd<'_>,
    to_offset: u64,
    len: usize,
) -> Result<usize> {
    let (mut read, mut written) = (from_offset, to_offset);
    let (read, written) =
        ((&raw mut read).expose_provenance(), (&raw mut written).expose_provenance());
    // SAFETY: the kernel may change both offsets; files are changed, and memory only through
    // mappings of them, about which nothing is promised to anybody.
    Errno::check(unsafe {
        syscall6(nr::copy_file_range, as_arg(from), read, as_arg(to), written, len, 0)
    })
}

/// Makes a file share all blocks of another, instead of those that it had in their place.
/// Source: ioctl_ficlone(2).
///
/// # Errors
///
/// `EOPNOTSUPP`, `ENOTTY`: the file system cannot. `EXDEV`: they are on two. `EINVAL`: no regular file.
pub fn ficlone(to: BorrowedFd<'_>, from: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the argument is a descriptor; as for `copy_file_range`.
    unsafe { ioctl(to, FICLONE, as_arg(from)) }.map(drop)
}

/// Locks an open file against others who ask for a lock, without waiting; descriptors made
/// of this one share the lock, and closing the last of them ends it.
///
/// # Errors
///
/// `EWOULDBLOCK`: somebody else has a lock that excludes this one. `ENOLCK`, `EOPNOTSUPP`: not
/// on this file system.
pub fn flock(fd: BorrowedFd<'_>, lock: Flock) -> Result<()> {
    // SAFETY: changes nothing in memory.
    check_unit(unsafe { syscall2(nr::flock, as_arg(fd), lock.as_arg() | LOCK_NB as usize) })
}

/// How many pages of a file's range are where. Source: the kernel's
/// `include/uapi/linux/mman.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cachestat {
    /// In memory.
    pub cache: u64,
    /// In memory, and changed.
    pub dirty: u64,
    /// On their way to the disk.
    pub writeback: u64,
    /// Once in memory, and no more.
    pub evicted: u64,
    /// Of these, so lately that memory seems to be short.
    pub recently_evicted: u64,
}

/// Counts the pages of `length` bytes from `offset` that are in memory. A length of zero
/// goes to the end of the file.
///
/// # Errors
///
/// `EBADF`: not open, or open as a path only. `EOPNOTSUPP`: a file of huge pages. `EPERM`: a
/// file that is neither ours nor open to us for writing (since Linux 6.15). `ENOSYS`: before
/// Linux 6.5.
pub fn cachestat(fd: BorrowedFd<'_>, offset: u64, length: u64) -> Result<Cachestat> {
    let range = cachestat_range { off: offset, len: length };
    let mut stat = cachestat {
        nr_cache: 0,
        nr_dirty: 0,
        nr_writeback: 0,
        nr_evicted: 0,
        nr_recently_evicted: 0,
    };
    let (from, to) = ((&raw const range).expose_provenance(), (&raw mut stat).expose_provenance());
    // SAFETY: both structures are the kernel's.
    check_unit(unsafe { syscall4(nr::cachestat, as_arg(fd), from, to, 0) })?;
    Ok(Cachestat::from(stat))
}

impl From<cachestat> for Cachestat {
    fn from(stat: cachestat) -> Cachestat {
        Cachestat {
            cache: stat.nr_cache,
            dirty: stat.nr_dirty,
            writeback: stat.nr_writeback,
            evicted: stat.nr_evicted,
            recently_evicted: stat.nr_recently_evicted,
        }
    }
}

/// Writes a file's data and metadata to the disk, and waits for it.
pub fn fsync(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: changes nothing in memory.
    check_unit(unsafe { syscall1(nr::fsync, as_arg(fd)) })
}

/// Writes a file's data to the disk, and the metadata needed to find it again.
pub fn fdatasync(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: changes nothing in memory.
    check_unit(unsafe { syscall1(nr::fdatasync, as_arg(fd)) })
}

/// Has the changed pages of `length` bytes from `offset` on written to the disk, or waits for it;
/// a length of zero goes to the end of the file.
///
/// Nothing of what is needed to find them again is written, and the disk may still keep them
/// in a cache: after a power cut nothing is promised.
///
/// # Errors
///
/// `EINVAL`: other flags, or a range beyond `i64::MAX`. `ESPIPE`: no file or device. `EIO`,
/// `ENOSPC`: it could not be written. `ENOSYS` on 32-bit mips, where the call takes seven registers.
pub fn sync_file_range(
    fd: BorrowedFd<'_>,
    offset: u64,
    length: u64,
    flags: SyncFileRangeFlags,
) -> Result<()> {
    // SAFETY: changes nothing in memory.
    check_unit(unsafe { arch::sync_file_range(as_arg(fd), offset, length, flags.as_arg()) })
}

/// Removes a name; with [`AtFlags::REMOVEDIR`], that of an empty directory.
pub fn unlinkat(dir: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<()> {
    // SAFETY: the path is a C string.
    check_unit(unsafe { syscall3(nr::unlinkat, as_arg(dir), address(path), flags.as_arg()) })
}

/// Gives a file another name, by default in place of any file that has it.
///
/// # Errors
///
/// `EXDEV`: on another mount. `EINVAL`: flags that the file system does not have.
pub fn renameat2(
    old_dir: BorrowedFd<'_>,
    old: &CStr,
    new_dir: BorrowedFd<'_>,
    new: &CStr,
    flags: RenameFlags,
) -> Result<()> {
    let (from, to) = (as_arg(old_dir), as_arg(new_dir));
    // SAFETY: both paths are C strings.
    check_unit(unsafe {
        syscall5(nr::renameat2, from, address(old), to, address(new), flags.as_arg())
    })
}

/// Gives a file another name, in place of any file that has it.
///
/// The older call, which filters know; where the kernel has none (loongarch64 and riscv),
/// it is [`renameat2`] without flags.
pub fn renameat(
    old_dir: BorrowedFd<'_>,
    old: &CStr,
    new_dir: BorrowedFd<'_>,
    new: &CStr,
) -> Result<()> {
    #[cfg(any(target_arch = "loongarch64", target_arch = "riscv32", target_arch = "riscv64"))]
    return renameat2(old_dir, old, new_dir, new, RenameFlags::empty());
    #[cfg(not(any(
        target_arch = "loongarch64",
        target_arch = "riscv32",
        target_arch = "riscv64"
    )))]
    // SAFETY: both paths are C strings.
    check_unit(unsafe {
        syscall4(nr::renameat, as_arg(old_dir), address(old), as_arg(new_dir), address(new))
    })
}

/// Gives a file one more name, which must not exist.
///
/// With [`AtFlags::EMPTY_PATH`] and an empty `old`, the file is `old_dir` itself;
/// before Linux 6.10 that takes `CAP_DAC_READ_SEARCH`, without which it is `ENOENT`.
#[inline(never)]
pub fn linkat(
    old_dir: BorrowedFd<'_>,
    old: &CStr,
    new_dir: BorrowedFd<'_>,
    new: &CStr,
    flags: AtFlags,
) -> Result<()> {
    let (from, to) = (as_arg(old_dir), as_arg(new_dir));
    // SAFETY: both paths are C strings.
    check_unit(unsafe { syscall5(nr::linkat, from, address(old), to, address(new), flags.as_arg()) })
}

/// Reads where a symbolic link points to, without a NUL at the end.
///
/// Returns how many bytes were written; a full buffer may have cut the path.
pub fn readlinkat(dir: BorrowedFd<'_>, path: &CStr, buf: &mut [u8]) -> Result<usize> {
    let (to, room) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the path is a C string, and the buffer is ours to write.
    Errno::check(unsafe { syscall4(nr::readlinkat, as_arg(dir), address(path), to, room) })
}

/// Asks whether this process's real user may do something with a file.
pub fn faccessat(dir: BorrowedFd<'_>, path: &CStr, access: Access) -> Result<()> {
    // SAFETY: the path is a C string.
    check_unit(unsafe { syscall3(nr::faccessat, as_arg(dir), address(path), access.as_arg()) })
}

/// Sets a file's permission bits, whatever the umask.
pub fn fchmod(fd: BorrowedFd<'_>, mode: Mode) -> Result<()> {
    // SAFETY: changes nothing in memory.
    check_unit(unsafe { syscall2(nr::fchmod, as_arg(fd), mode.as_arg()) })
}

/// Sets a file's owner and group; `None` leaves one as it is.
pub fn fchown(fd: BorrowedFd<'_>, owner: Option<u32>, group: Option<u32>) -> Result<()> {
    let id = |id: Option<u32>| id.unwrap_or(u32::MAX) as usize;
    // SAFETY: changes nothing in memory.
    check_unit(unsafe { syscall3(nr::fchown, as_arg(fd), id(owner), id(group)) })
}

/// Sets when a file was last read and last written to.
///
/// # Errors
///
/// `EPERM`: neither the owner nor privileged. `EINVAL`: nanoseconds out of range.
pub fn futimens(fd: BorrowedFd<'_>, accessed: Timespec, modified: Timespec) -> Result<()> {
    let times = [accessed, modified];
    let from = (&raw const times).expose_provenance();
    // SAFETY: two of the kernel's structures; without a path it is the descriptor's file.
    check_unit(unsafe { syscall4(nr::utimensat, as_arg(fd), 0, from, 0) })
}

/// Reads the names of a file's extended attributes, each with a NUL at its end. With an empty
/// buffer it tells how many bytes they are.
///
/// # Errors
///
/// `ERANGE`: more than the buffer holds. `EOPNOTSUPP`: the file system has none.
pub fn flistxattr(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Result<usize> {
    let (to, room) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the buffer is ours to write for as long as it is.
    Errno::check(unsafe { syscall3(nr::flistxattr, as_arg(fd), to, room) })
}

/// Reads an extended attribute. With an empty buffer it tells how many bytes it has.
///
/// # Errors
///
/// `ENODATA`: the file has none of this name. `ERANGE`: more than the buffer holds.
/// `EOPNOTSUPP`: the file system has none.
pub fn fgetxattr(fd: BorrowedFd<'_>, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    let (to, room) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the name is a C string, and the buffer is ours to write.
    Errno::check(unsafe { syscall4(nr::fgetxattr, as_arg(fd), address(name), to, room) })
}

/// Sets an extended attribute.
///
/// # Errors
///
/// `EOPNOTSUPP`: not on this file system, or in no namespace that it knows. `EPERM`: not
/// allowed. `ENOSPC`: no room. `EEXIST`, `ENODATA`: against the flags.
pub fn fsetxattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8], flags: XattrFlags) -> Result<()> {
    let (from, count) = (value.as_ptr().expose_provenance(), value.len());
    let flags = flags.as_arg();
    // SAFETY: the name is a C string, and the value is not changed while it is borrowed.
    check_unit(unsafe { syscall5(nr::fsetxattr, as_arg(fd), address(name), from, count, flags) })
}

/// Removes an extended attribute.
///
/// # Errors
///
/// `ENODATA`: the file has none of this name. `EOPNOTSUPP`: the file system has no attributes of
/// this kind. Source: fremovexattr(2).
pub fn fremovexattr(fd: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    // SAFETY: the name is a C string.
    check_unit(unsafe { syscall2(nr::fremovexattr, as_arg(fd), address(name)) })
}

/// Asks something of a device or a file system.
///
/// # Safety
///
/// `argument` is what the request takes: where that is a pointer, to memory of the
/// right size, alignment and contents, which the kernel may change.
pub unsafe fn ioctl(fd: BorrowedFd<'_>, request: u32, argument: usize) -> Result<usize> {
    // SAFETY: the caller's promise.
    Errno::check(unsafe { syscall3(nr::ioctl, as_arg(fd), request as usize, argument) })
}

/// Asks something of a descriptor; `command` is one of the kernel's `F_` constants.
///
/// # Safety
///
/// As for [`ioctl`]; and a descriptor that is made belongs to the caller.
pub unsafe fn fcntl(fd: BorrowedFd<'_>, command: u32, argument: usize) -> Result<usize> {
    // SAFETY: the caller's promise.
    Errno::check(unsafe { syscall3(nr::fcntl, as_arg(fd), command as usize, argument) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No test can have the kernel evict a page.
    #[test]
    fn each_count_of_cachestat_has_its_own_field() {
        let stat = cachestat {
            nr_cache: 1,
            nr_dirty: 2,
            nr_writeback: 3,
            nr_evicted: 4,
            nr_recently_evicted: 5,
        };
        let Cachestat { cache, dirty, writeback, evicted, recently_evicted } = stat.into();
        assert_eq!([cache, dirty, writeback, evicted, recently_evicted], [1, 2, 3, 4, 5]);
    }
}
