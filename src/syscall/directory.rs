//! Directories: reading and creating them, and creating the files in them that are not regular.

use core::ffi::CStr;

use linux_raw_sys::general::{
    DT_BLK, DT_CHR, DT_DIR, DT_FIFO, DT_LNK, DT_REG, DT_SOCK, O_LARGEFILE, open_how,
};

use super::fs::{address, descriptor};
use super::raw::{nr, syscall3, syscall4};
use super::{Errno, FileType, Mode, OFlags, ResolveFlags, Result, as_arg, check_unit};
use crate::fd::{BorrowedFd, OwnedFd};

/// The names in a directory that one call of [`getdents64`] has read.
#[derive(Clone, Debug)]
pub struct DirEntries<'b> {
    rest: &'b [u8],
}

/// A name in a directory. Source: getdents(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirEntry<'b> {
    /// The inode number.
    pub ino: u64,
    /// The position after this entry, for [`lseek`](super::lseek) with
    /// [`Whence::SET`](super::Whence::SET). Its meaning depends on the file system.
    pub offset: i64,
    /// The type of the file. [`FileType::Unknown`] if the file system does not store it in the
    /// directory.
    pub file_type: FileType,
    /// The name, which may be `.` or `..`.
    pub name: &'b CStr,
}

/// The offsets of an entry's fields (`struct linux_dirent64`), which are the same on every
/// architecture. The C structures of `linux-raw-sys` have a position of 32 bits on some.
const OFFSET: usize = 8;
const LENGTH: usize = 16;
const TYPE: usize = 18;
const NAME: usize = 19;

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    use linux_raw_sys::general::linux_dirent64;
    use static_assertions::const_assert_eq;
    const_assert_eq!(OFFSET, offset_of!(linux_dirent64, d_off));
    const_assert_eq!(LENGTH, offset_of!(linux_dirent64, d_reclen));
    const_assert_eq!(TYPE, offset_of!(linux_dirent64, d_type));
    const_assert_eq!(NAME, offset_of!(linux_dirent64, d_name));
};

impl DirEntries<'_> {
    /// Returns whether no entries are left. A call of [`getdents64`] at the end of the directory
    /// returns no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'b> Iterator for DirEntries<'b> {
    type Item = DirEntry<'b>;

    fn next(&mut self) -> Option<DirEntry<'b>> {
        let number = |at: usize| {
            let bytes = self.rest.get(at..at + 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        let (ino, offset) = (number(0)?, number(OFFSET)? as i64);
        let length = self.rest.get(LENGTH..TYPE)?;
        let length = usize::from(u16::from_ne_bytes(length.try_into().ok()?));
        let entry;
        (entry, self.rest) = self.rest.split_at_checked(length)?;
        let file_type = match u32::from(*entry.get(TYPE)?) {
            DT_REG => FileType::Regular,
            DT_DIR => FileType::Directory,
            DT_LNK => FileType::Symlink,
            DT_FIFO => FileType::Fifo,
            DT_SOCK => FileType::Socket,
            DT_CHR => FileType::CharacterDevice,
            DT_BLK => FileType::BlockDevice,
            _ => FileType::Unknown,
        };
        let name = entry.get(NAME..)?;
        // This is shorter than the search of `CStr::from_bytes_until_nul`, and names are short.
        let end = name.iter().position(|&byte| byte == 0)?;
        // SAFETY: the first NUL of the slice is its last byte.
        let name = unsafe { CStr::from_bytes_with_nul_unchecked(name.get(..=end)?) };
        Some(DirEntry { ino, offset, file_type, name })
    }
}

/// Reads the next names of an open directory into a buffer, and advances its position.
///
/// Returns the entries that fit into the buffer, in the file system's order, with `.` and `..`
/// where the file system stores them. At the end of the directory, returns no entries. A name that
/// another process adds or removes meanwhile may be returned or not. The buffer needs no alignment.
///
/// Source: getdents(2).
///
/// # Errors
///
/// * `EINVAL` if the buffer is too small for the next entry. 280 bytes are enough for any name.
/// * `ENOTDIR` if the descriptor is not a directory.
/// * `ENOENT` if the directory was removed.
/// * `EBADF` if the descriptor is not open for reading.
#[doc(alias("getdents", "readdir"))]
pub fn getdents64<'b>(dir: BorrowedFd<'_>, buf: &'b mut [u8]) -> Result<DirEntries<'b>> {
    let (to, room) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the buffer is borrowed exclusively during the call.
    let count = Errno::check(unsafe { syscall3(nr::getdents64, as_arg(dir), to, room) })?;
    Ok(DirEntries { rest: buf.get(..count).unwrap_or_default() })
}

/// Creates a directory with the permissions `mode`, less the umask.
///
/// In a directory with a default access list, the list takes the place of the umask. The kernel
/// ignores the set-user-ID and set-group-ID bits of `mode`, and sets the set-group-ID bit if the
/// parent directory has it.
///
/// # Errors
///
/// * `EEXIST` if the name exists, even if it is a symbolic link that leads nowhere.
/// * `ENOENT` if the directory of the name does not exist.
/// * `EACCES` if the caller may not write to that directory.
/// * `EMLINK` if that directory has too many subdirectories.
#[doc(alias = "mkdir")]
pub fn mkdirat(dir: BorrowedFd<'_>, path: &CStr, mode: Mode) -> Result<()> {
    // SAFETY: the path is a C string.
    check_unit(unsafe { syscall3(nr::mkdirat, as_arg(dir), address(path), mode.as_arg()) })
}

/// Creates a symbolic link that contains the path `target`, which need not exist.
///
/// # Errors
///
/// * `EEXIST` if the name exists.
/// * `ENAMETOOLONG` if `target` has more than 4095 bytes, or more than the file system can store.
/// * `ENOENT` if `target` is empty, or the directory of the name does not exist.
/// * `EPERM` if the file system does not support symbolic links.
#[doc(alias = "symlink")]
pub fn symlinkat(target: &CStr, dir: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    // SAFETY: both paths are C strings.
    check_unit(unsafe { syscall3(nr::symlinkat, address(target), as_arg(dir), address(path)) })
}

/// Creates a FIFO, a socket, a device or an empty regular file, which the type in `mode` selects.
///
/// `mode` also contains the permissions, less the umask. `dev` is the device's number as
/// [`Stat::rdev`](super::Stat::rdev) contains it, and is ignored for other files.
///
/// # Errors
///
/// * `EEXIST` if the name exists.
/// * `EPERM` if the file is a device and the caller does not have the capability `CAP_MKNOD` in
///   the initial user namespace, or if the file system does not support the type.
/// * `EINVAL` if `mode` contains another type.
#[doc(alias("mknod", "mkfifo"))]
pub fn mknodat(dir: BorrowedFd<'_>, path: &CStr, mode: Mode, dev: u64) -> Result<()> {
    let (mode, dev) = (mode.as_arg(), dev as u32 as usize);
    // SAFETY: the path is a C string.
    check_unit(unsafe { syscall4(nr::mknodat, as_arg(dir), address(path), mode, dev) })
}

/// Opens a file by its path, as [`openat`](super::openat) does, and restricts how the path is
/// resolved.
///
/// `mode` must be empty unless `flags` create a file. Needs Linux 5.6.
///
/// # Errors
///
/// * `ELOOP` if [`ResolveFlags::NO_SYMLINKS`] is set and a component of the path is a symbolic
///   link, or if [`ResolveFlags::NO_MAGICLINKS`] is set and one is a link of `/proc`.
/// * `EXDEV` if [`ResolveFlags::BENEATH`] is set and the path leaves the directory, or if
///   [`ResolveFlags::NO_XDEV`] is set and the path crosses a mount point.
/// * `EAGAIN` if [`ResolveFlags::BENEATH`] or [`ResolveFlags::IN_ROOT`] is set and the path contains
///   `..` while another process renames a directory, or if [`ResolveFlags::CACHED`] is set and the
///   path is not in the cache.
/// * `EINVAL` if a flag is unknown, or `mode` is not empty and no file is created.
/// * `ENOSYS` before Linux 5.6.
/// * The errors of [`openat`](super::openat): `ENOENT`, `EACCES`, `EEXIST`, `EMFILE` and `ENFILE`.
pub fn openat2(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
) -> Result<OwnedFd> {
    let mut how = open_how {
        flags: u64::from(flags.bits()),
        mode: u64::from(mode.bits()),
        resolve: u64::from(resolve.bits()),
    };
    // 32-bit kernels fail with EOVERFLOW for files of 2 GiB and more without this flag, which must
    // not accompany O_PATH.
    if cfg!(target_pointer_width = "32") && !flags.contains(OFlags::PATH) {
        how.flags |= u64::from(O_LARGEFILE);
    }
    let (how, size) = ((&raw const how).expose_provenance(), size_of::<open_how>());
    // SAFETY: the path is a C string, the structure has the kernel's layout, and the new descriptor
    // is used nowhere else.
    descriptor(unsafe { syscall4(nr::openat2, as_arg(dir), address(path), how, size) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        /// Whatever the kernel, or an emulator, writes: the iterator ends, and returns only names
        /// within the buffer.
        #[test]
        fn any_bytes_are_entries_or_the_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let entries: Vec<_> = DirEntries { rest: &bytes }.take(bytes.len() + 1).collect();
            prop_assert!(entries.len() <= bytes.len());
        }
    }

    #[test]
    fn an_entry_is_its_fields() {
        let mut bytes = Vec::new();
        for (number, name) in [(1u64, &b"a\0"[..]), (2, b"bcdef\0")] {
            bytes.extend(number.to_ne_bytes());
            bytes.extend((-5i64).to_ne_bytes());
            bytes.extend(((NAME + name.len()).next_multiple_of(8) as u16).to_ne_bytes());
            bytes.push(DT_LNK as u8);
            bytes.extend(name);
            bytes.resize(bytes.len().next_multiple_of(8), 0xff);
        }
        let entry = |ino, name| DirEntry { ino, offset: -5, file_type: FileType::Symlink, name };
        let all: Vec<_> = DirEntries { rest: &bytes }.collect();
        assert_eq!(all, [entry(1, c"a"), entry(2, c"bcdef")]);
    }
}
