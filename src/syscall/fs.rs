//! Files and directories: opening and closing, names, permissions, times, extended attributes, locks,
//! and operations on descriptors.

use core::ffi::{CStr, c_char};

use linux_raw_sys::general::{LOCK_NB, O_LARGEFILE};

use super::raw::{nr, syscall2, syscall3, syscall4, syscall5};
use super::{
    Access, AtFlags, Errno, Flock, Mode, OFlags, RenameFlags, Result, Timespec, XattrFlags, as_arg,
    check_unit,
};
use crate::fd::{self, BorrowedFd, CWD, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// Returns a path as the kernel takes it.
pub(super) fn address(path: &CStr) -> usize {
    path.as_ptr().expose_provenance()
}

/// Returns the new descriptor that a call opened, or its error.
pub(super) fn descriptor(result: usize) -> Result<OwnedFd> {
    let fd = Errno::check(result)? as RawFd;
    // SAFETY: the kernel just opened the descriptor, so no other code has its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens a file by its path, which is relative to the working directory.
///
/// The call is [`openat`] with [`CWD`]. `mode` gives the permissions of a new file, less the
/// umask, and is ignored if no file is created.
///
/// # Errors
///
/// * `ENOENT` if the file does not exist and [`OFlags::CREATE`] is not set.
/// * `EACCES` if the permissions of the file or of a directory on the path forbid it.
/// * `EEXIST` if [`OFlags::EXCL`] is set and the file exists.
/// * `EMFILE` or `ENFILE` if the process or the system has too many open files.
#[inline(never)]
pub fn open(path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    openat(CWD, path, flags, mode)
}

/// Opens a file by its path, which is relative to a directory.
///
/// [`CWD`] stands for the working directory. `dir` is ignored if the path is absolute.
///
/// `mode` gives the permissions of a new file, less the umask, and is ignored if no file is
/// created. Files of 2 GiB and more open on every architecture.
///
/// # Errors
///
/// * `ENOENT` if the file does not exist and [`OFlags::CREATE`] is not set.
/// * `EACCES` if the permissions of the file or of a directory on the path forbid it.
/// * `EEXIST` if [`OFlags::EXCL`] is set and the file exists.
/// * `EMFILE` or `ENFILE` if the process or the system has too many open files.
pub fn openat(dir: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    // SAFETY: the path is a C string.
    unsafe { openat_raw(dir, path.as_ptr(), flags, mode) }
}

/// Opens a file by its path, at any address. Relative paths start at a directory.
///
/// [`CWD`] stands for the working directory. `mode` gives the permissions of a new file, less the
/// umask, and is ignored if no file is created. Files of 2 GiB and more open on every
/// architecture.
///
/// # Errors
///
/// * `EFAULT` if the path cannot be read. No signal is raised.
/// * The errors of [`openat`]: `ENOENT`, `EACCES`, `EEXIST`, `EMFILE` and `ENFILE`.
///
/// # Safety
///
/// * No other thread changes the bytes of the path meanwhile. They need not be mapped.
#[inline(never)]
pub unsafe fn openat_raw(
    dir: BorrowedFd<'_>,
    path: *const c_char,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd> {
    // 32-bit kernels fail with EOVERFLOW for files of 2 GiB and more without this flag.
    let large = if cfg!(target_pointer_width = "32") { O_LARGEFILE as usize } else { 0 };
    let flags = flags.as_arg() | large;
    let path = path.expose_provenance();
    // SAFETY: the kernel checks the address of the path, and the new descriptor is used nowhere
    // else.
    descriptor(unsafe { syscall4(nr::openat, as_arg(dir), path, flags, mode.as_arg()) })
}

/// Closes a descriptor and returns the error that dropping it would ignore.
///
/// The descriptor is closed even if an error is returned.
///
/// # Errors
///
/// * `EIO`, `ENOSPC` or `EDQUOT` if an earlier write failed, on file systems that report it at
///   close, such as NFS.
pub fn close(fd: OwnedFd) -> Result<()> {
    // SAFETY: `into_raw_fd` gave up the ownership, and the number is not used again.
    unsafe { fd::close(fd.into_raw_fd()) }
}

/// Removes a name of a file, or with [`AtFlags::REMOVEDIR`] an empty directory.
///
/// The file itself is removed when it has no name and no descriptor or mapping refers to it.
///
/// # Errors
///
/// * `ENOENT` if the name does not exist.
/// * `EISDIR` if the name is a directory and [`AtFlags::REMOVEDIR`] is not set.
/// * `ENOTEMPTY` if the directory is not empty.
/// * `EACCES` or `EPERM` if the directory's permissions forbid it.
#[doc(alias("unlink", "rmdir"))]
pub fn unlinkat(dir: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<()> {
    // SAFETY: the path is a C string.
    check_unit(unsafe { syscall3(nr::unlinkat, as_arg(dir), address(path), flags.as_arg()) })
}

/// Renames a file, and by default replaces a file that has the new name.
///
/// The replacement is atomic: at every moment the new name exists.
///
/// # Errors
///
/// * `EXDEV` if the names are on different mounts.
/// * `EEXIST` if [`RenameFlags::NOREPLACE`] is set and the new name exists.
/// * `ENOENT` if the old name does not exist, or if [`RenameFlags::EXCHANGE`] is set and the
///   new name does not exist.
/// * `EINVAL` if the file system does not support one of the flags.
#[doc(alias = "rename")]
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

/// Renames a file and replaces a file that has the new name.
///
/// This is the older call, which more seccomp filters allow. Architectures that are younger than
/// [`renameat2`] (Linux 3.15), such as loongarch64 and riscv, do not have this call; on these
/// architectures the function calls [`renameat2`] without flags.
///
/// # Errors
///
/// * `EXDEV` if the names are on different mounts.
/// * `ENOENT` if the old name does not exist.
#[doc(alias = "rename")]
pub fn renameat(
    old_dir: BorrowedFd<'_>,
    old: &CStr,
    new_dir: BorrowedFd<'_>,
    new: &CStr,
) -> Result<()> {
    let Some(number) = nr::renameat else {
        return renameat2(old_dir, old, new_dir, new, RenameFlags::empty());
    };
    // SAFETY: both paths are C strings.
    check_unit(unsafe {
        syscall4(number, as_arg(old_dir), address(old), as_arg(new_dir), address(new))
    })
}

/// Creates a new name (hard link) for a file.
///
/// With [`AtFlags::EMPTY_PATH`] and an empty `old`, the file is the one that the descriptor
/// `old_dir` refers to. Before Linux 6.10 this needs the capability `CAP_DAC_READ_SEARCH`.
///
/// # Errors
///
/// * `EEXIST` if the new name exists.
/// * `EXDEV` if the names are on different mounts.
/// * `ENOENT` if the old name does not exist, or if `old` is empty and the caller does not have
///   the capability.
/// * `EPERM` if the file system does not support hard links, or the old name is a directory.
#[doc(alias = "link")]
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
    check_unit(unsafe {
        syscall5(nr::linkat, from, address(old), to, address(new), flags.as_arg())
    })
}

/// Reads the path that a symbolic link points to, without a NUL at the end.
///
/// Returns the number of bytes that were written to `buf`. If that is the length of `buf`, the
/// path may have been truncated.
///
/// # Errors
///
/// * `EINVAL` if the file is not a symbolic link, or `buf` is empty.
/// * `ENOENT` if the name does not exist.
#[doc(alias = "readlink")]
pub fn readlinkat(dir: BorrowedFd<'_>, path: &CStr, buf: &mut [u8]) -> Result<usize> {
    let (to, room) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the path is a C string, and the buffer is borrowed exclusively during the call.
    Errno::check(unsafe { syscall4(nr::readlinkat, as_arg(dir), address(path), to, room) })
}

/// Checks whether the real user of this process may access a file.
///
/// # Errors
///
/// * `EACCES` if the requested access is not allowed.
/// * `ENOENT` if the file does not exist.
/// * `EROFS` if writing is requested and the file system is read-only.
#[doc(alias = "access")]
pub fn faccessat(dir: BorrowedFd<'_>, path: &CStr, access: Access) -> Result<()> {
    // SAFETY: the path is a C string.
    check_unit(unsafe { syscall3(nr::faccessat, as_arg(dir), address(path), access.as_arg()) })
}

/// Sets a file's permission bits, without applying the umask.
///
/// # Errors
///
/// * `EPERM` if the caller neither owns the file nor is privileged.
/// * `EROFS` if the file system is read-only.
pub fn fchmod(fd: BorrowedFd<'_>, mode: Mode) -> Result<()> {
    // SAFETY: the call does not change memory.
    check_unit(unsafe { syscall2(nr::fchmod, as_arg(fd), mode.as_arg()) })
}

/// Sets a file's permission bits by its path, without applying the umask. Needs Linux 6.6.
///
/// With [`AtFlags::EMPTY_PATH`] and an empty path, changes the file that `dir` refers to, which may
/// be open with [`OFlags::PATH`]. With [`AtFlags::SYMLINK_NOFOLLOW`], a symbolic link is not
/// followed.
///
/// # Errors
///
/// * `EOPNOTSUPP` if the file is a symbolic link that is not followed.
/// * `EPERM` if the caller neither owns the file nor is privileged.
/// * `EROFS` if the file system is read-only.
/// * `ENOSYS` before Linux 6.6.
#[doc(alias("chmod", "fchmodat", "lchmod"))]
pub fn fchmodat2(dir: BorrowedFd<'_>, path: &CStr, mode: Mode, flags: AtFlags) -> Result<()> {
    let (mode, flags) = (mode.as_arg(), flags.as_arg());
    // SAFETY: the path is a C string.
    check_unit(unsafe { syscall4(nr::fchmodat2, as_arg(dir), address(path), mode, flags) })
}

/// Sets a file's permission bits by its path, without applying the umask. Follows a symbolic link.
///
/// # Errors
///
/// * `ENOENT` if the file does not exist.
/// * `EPERM` if the caller neither owns the file nor is privileged.
/// * `EROFS` if the file system is read-only.
#[doc(alias = "chmod")]
pub fn fchmodat(dir: BorrowedFd<'_>, path: &CStr, mode: Mode) -> Result<()> {
    // SAFETY: the path is a C string.
    check_unit(unsafe { syscall3(nr::fchmodat, as_arg(dir), address(path), mode.as_arg()) })
}

/// Sets a file's owner and group by its path; `None` leaves the owner or the group unchanged.
///
/// With [`AtFlags::EMPTY_PATH`] and an empty path, changes the file that `dir` refers to, which may
/// be open with [`OFlags::PATH`]. With [`AtFlags::SYMLINK_NOFOLLOW`], changes a symbolic link
/// instead of its target.
///
/// # Errors
///
/// * `EPERM` if the caller may not make this change.
/// * `ENOENT` if the file does not exist.
/// * `EROFS` if the file system is read-only.
#[doc(alias("chown", "lchown"))]
pub fn fchownat(
    dir: BorrowedFd<'_>,
    path: &CStr,
    owner: Option<u32>,
    group: Option<u32>,
    flags: AtFlags,
) -> Result<()> {
    let id = |id: Option<u32>| id.unwrap_or(u32::MAX) as usize;
    let (path, flags) = (address(path), flags.as_arg());
    // SAFETY: the path is a C string.
    check_unit(unsafe { syscall5(nr::fchownat, as_arg(dir), path, id(owner), id(group), flags) })
}

/// Sets a file's owner and group; `None` leaves the owner or the group unchanged.
///
/// `u32::MAX` is not an identifier: the kernel takes it for `None`.
///
/// # Errors
///
/// * `EPERM` if the caller may not make this change.
/// * `EROFS` if the file system is read-only.
pub fn fchown(fd: BorrowedFd<'_>, owner: Option<u32>, group: Option<u32>) -> Result<()> {
    let id = |id: Option<u32>| id.unwrap_or(u32::MAX) as usize;
    // SAFETY: the call does not change memory.
    check_unit(unsafe { syscall3(nr::fchown, as_arg(fd), id(owner), id(group)) })
}

/// Sets a file's times of last access and of last modification.
///
/// Instead of nanoseconds, `nsec` can be `UTIME_NOW` (0x3fff_ffff), which sets the current time, or
/// `UTIME_OMIT` (0x3fff_fffe), which leaves the time unchanged.
///
/// Source: utimensat(2), futimens(3).
///
/// # Errors
///
/// * `EPERM` if the caller neither owns the file nor is privileged.
/// * `EINVAL` if `nsec` is none of these values and not between 0 and 999 999 999.
/// * `ENOSYS` before Linux 5.1 on 32-bit architectures, whose older kernels have times of 32 bits
///   only.
#[doc(alias = "utimensat")]
pub fn futimens(fd: BorrowedFd<'_>, accessed: Timespec, modified: Timespec) -> Result<()> {
    let times = [accessed, modified];
    let from = (&raw const times).expose_provenance();
    // SAFETY: `times` has the kernel's layout. A null path means the descriptor's own file.
    check_unit(unsafe { syscall4(nr::utimensat, as_arg(fd), 0, from, 0) })
}

/// Sets a file's times of last access and of last modification by its path.
///
/// With [`AtFlags::SYMLINK_NOFOLLOW`], changes a symbolic link instead of its target. With
/// [`AtFlags::EMPTY_PATH`] and an empty path, changes the file that `dir` refers to, which may be
/// open with [`OFlags::PATH`]; this needs Linux 5.8. [`futimens`] describes the special values of
/// `nsec`.
///
/// # Errors
///
/// * `EPERM` if the caller neither owns the file nor is privileged.
/// * `ENOENT` if the file does not exist.
/// * `EINVAL` if `nsec` is neither a special value nor between 0 and 999 999 999, or a flag is
///   unknown.
/// * `EROFS` if the file system is read-only.
#[doc(alias("utimes", "lutimes"))]
pub fn utimensat(
    dir: BorrowedFd<'_>,
    path: &CStr,
    accessed: Timespec,
    modified: Timespec,
    flags: AtFlags,
) -> Result<()> {
    let times = [accessed, modified];
    let (from, flags) = ((&raw const times).expose_provenance(), flags.as_arg());
    // SAFETY: the path is a C string, and `times` has the kernel's layout.
    check_unit(unsafe { syscall4(nr::utimensat, as_arg(dir), address(path), from, flags) })
}

/// Lists the names of a file's extended attributes, each followed by a NUL.
///
/// Returns the number of bytes in the list. With an empty buffer, returns the number of bytes
/// that are needed.
///
/// # Errors
///
/// * `ERANGE` if the list does not fit in the buffer.
/// * `EOPNOTSUPP` if the file system does not support extended attributes.
#[doc(alias = "listxattr")]
pub fn flistxattr(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Result<usize> {
    let (to, room) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the buffer is borrowed exclusively during the call.
    Errno::check(unsafe { syscall3(nr::flistxattr, as_arg(fd), to, room) })
}

/// Reads the value of an extended attribute of a file.
///
/// Returns the number of bytes in the value. With an empty buffer, returns the number of bytes
/// that are needed.
///
/// # Errors
///
/// * `ENODATA` if the file does not have the attribute.
/// * `ERANGE` if the value does not fit in the buffer.
/// * `EOPNOTSUPP` if the file system does not support extended attributes.
#[doc(alias = "getxattr")]
pub fn fgetxattr(fd: BorrowedFd<'_>, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    let (to, room) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the name is a C string, and the buffer is borrowed exclusively during the call.
    Errno::check(unsafe { syscall4(nr::fgetxattr, as_arg(fd), address(name), to, room) })
}

/// Sets the value of an extended attribute of a file.
///
/// # Errors
///
/// * `EOPNOTSUPP` if the file system does not support extended attributes, or does not support the
///   namespace in `name`.
/// * `EPERM` if the caller may not set the attribute.
/// * `ENOSPC` if the file system has no space for the value.
/// * `EEXIST` if [`XattrFlags::CREATE`] is set and the attribute exists.
/// * `ENODATA` if [`XattrFlags::REPLACE`] is set and the attribute does not exist.
#[doc(alias = "setxattr")]
pub fn fsetxattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8], flags: XattrFlags) -> Result<()> {
    let (from, count) = (value.as_ptr().expose_provenance(), value.len());
    let flags = flags.as_arg();
    // SAFETY: the name is a C string, and the value is borrowed, so it does not change.
    check_unit(unsafe { syscall5(nr::fsetxattr, as_arg(fd), address(name), from, count, flags) })
}

/// Removes an extended attribute of a file.
///
/// Source: removexattr(2).
///
/// # Errors
///
/// * `ENODATA` if the file does not have the attribute.
/// * `EOPNOTSUPP` if the file system does not support extended attributes, or does not support the
///   namespace in `name`.
#[doc(alias = "removexattr")]
pub fn fremovexattr(fd: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    // SAFETY: the name is a C string.
    check_unit(unsafe { syscall2(nr::fremovexattr, as_arg(fd), address(name)) })
}

/// Locks or unlocks an open file, without waiting.
///
/// The lock is advisory: it excludes only other callers of `flock`. It belongs to the open file
/// description, so that duplicates of the descriptor share it, and it ends when the last of
/// them is closed.
///
/// # Errors
///
/// * `EWOULDBLOCK` if another open file description has a lock that excludes this one.
/// * `ENOLCK` or `EOPNOTSUPP` if the file cannot be locked.
pub fn flock(fd: BorrowedFd<'_>, lock: Flock) -> Result<()> {
    // SAFETY: the call does not change memory.
    check_unit(unsafe { syscall2(nr::flock, as_arg(fd), lock.as_arg() | LOCK_NB as usize) })
}

/// Performs a request that is specific to a device or a file system.
///
/// The meaning of `argument` and of the result depends on `request`.
///
/// # Errors
///
/// * `ENOTTY` if the file does not support the request.
/// * `EINVAL` if the request or the argument is invalid.
///
/// # Safety
///
/// * `argument` is what the request takes.
/// * If `argument` is a pointer, it points to memory of the size, alignment and contents that the
///   request asks for, and the kernel may change the memory as the request documents.
pub unsafe fn ioctl(fd: BorrowedFd<'_>, request: u32, argument: usize) -> Result<usize> {
    // SAFETY: the caller meets this function's requirements.
    Errno::check(unsafe { syscall3(nr::ioctl, as_arg(fd), request as usize, argument) })
}

/// Performs an operation on a descriptor; `command` is one of the kernel's `F_` constants.
///
/// The meaning of `argument` and of the result depends on `command`.
///
/// # Errors
///
/// * `EINVAL` if the kernel does not know the command, or the argument is invalid for it.
///
/// # Safety
///
/// * `argument` is what the command takes.
/// * If `argument` is a pointer, it points to memory of the size, alignment and contents that the
///   command asks for, and the kernel may change the memory as the command documents.
/// * If the command returns a new descriptor, the caller owns it.
pub unsafe fn fcntl(fd: BorrowedFd<'_>, command: u32, argument: usize) -> Result<usize> {
    // SAFETY: the caller meets this function's requirements.
    Errno::check(unsafe { syscall3(nr::fcntl, as_arg(fd), command as usize, argument) })
}
