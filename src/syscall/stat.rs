//! Metadata of files and file systems, in one layout for every architecture.

use core::{ffi::CStr, mem::MaybeUninit};

use linux_raw_sys::general as kernel;

use super::raw::{nr, syscall5};
use super::{AtFlags, Errno, Mode, Result, Timespec, as_arg, check_unit};
use crate::arch;
use crate::fd::BorrowedFd;

/// The metadata of a file. Source: stat(3type), inode(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// The device that the file is on, in the kernel's encoding of 64 bits.
    pub dev: u64,
    /// The inode number. Together with `dev` it identifies the file.
    pub ino: u64,
    /// The file type and the permissions.
    pub mode: Mode,
    /// The number of names (hard links) of the file.
    pub nlink: u64,
    /// The user identifier of the owner.
    pub uid: u32,
    /// The group identifier.
    pub gid: u32,
    /// The device that the file represents, if it is a device.
    pub rdev: u64,
    /// The length in bytes.
    pub size: u64,
    /// The file system's preferred size for reading and writing, in bytes.
    pub blksize: u64,
    /// The space that the file occupies, in units of 512 bytes, whatever `blksize` is.
    pub blocks: u64,
    /// The time of the last access.
    pub atime: Timespec,
    /// The time of the last change of the contents.
    pub mtime: Timespec,
    /// The time of the last change of the contents or the metadata.
    pub ctime: Timespec,
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
#[non_exhaustive]
pub enum FileType {
    Regular,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharacterDevice,
    BlockDevice,
    Unknown,
}

impl Stat {
    /// Returns the type of the file.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        match (self.mode & Mode::TYPE).bits() {
            kernel::S_IFREG => FileType::Regular,
            kernel::S_IFDIR => FileType::Directory,
            kernel::S_IFLNK => FileType::Symlink,
            kernel::S_IFIFO => FileType::Fifo,
            kernel::S_IFSOCK => FileType::Socket,
            kernel::S_IFCHR => FileType::CharacterDevice,
            kernel::S_IFBLK => FileType::BlockDevice,
            _ => FileType::Unknown,
        }
    }

    /// Returns the mode without the file type: the permissions, the set-user-ID and
    /// set-group-ID bits, and the sticky bit.
    #[must_use]
    pub fn permissions(&self) -> Mode {
        self.mode - Mode::TYPE
    }

    /// Returns whether both are the metadata of one file: their device and inode numbers are equal.
    ///
    /// A file system can give the inode number of a removed file to a new file.
    #[must_use]
    pub fn is_same_file(&self, other: &Stat) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}

/// Returns the metadata of an open file.
///
/// Uses `statx` on architectures whose `fstat` has times of 32 bits or does not exist in all
/// kernels, and falls back to `fstat` where `statx` is refused, as before Linux 4.11.
///
/// # Errors
///
/// * `EBADF` if the descriptor is not open.
/// * `ENOSYS` if the kernel, or a seccomp filter, has neither call.
pub fn fstat(fd: BorrowedFd<'_>) -> Result<Stat> {
    if arch::STATX_FIRST {
        match statx_only(fd, c"", AtFlags::EMPTY_PATH) {
            Err(Errno::ENOSYS | Errno::EPERM) => {}
            result => return result,
        }
    }
    let mut stat = MaybeUninit::zeroed();
    // SAFETY: the kernel writes one structure of this type.
    check_unit(unsafe { arch::fstat(as_arg(fd), stat.as_mut_ptr()) })?;
    // SAFETY: the structure consists of integers, which are zero or written by the kernel.
    Ok(from_stat(unsafe { stat.assume_init_ref() }))
}

/// Returns the metadata of a file by its path, which is relative to a directory.
///
/// With [`AtFlags::SYMLINK_NOFOLLOW`], the metadata is that of a symbolic link itself. With
/// [`AtFlags::EMPTY_PATH`] and an empty path, it is that of the file that `dir` refers to. Uses
/// `statx` on architectures whose `newfstatat` has times of 32 bits or does not exist in all
/// kernels, and `newfstatat` elsewhere. Source: stat(2).
///
/// # Errors
///
/// * `ENOENT` if the file does not exist.
/// * `EACCES` if the permissions of a directory on the path forbid it.
#[doc(alias("newfstatat", "stat", "lstat"))]
pub fn fstatat(dir: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<Stat> {
    if arch::STATX_FIRST { statx(dir, path, flags) } else { newfstatat(dir, path, flags) }
}

/// Returns the metadata of a file by its path, using `statx(2)` on every architecture.
///
/// With [`AtFlags::SYMLINK_NOFOLLOW`], the metadata is that of a symbolic link itself. With
/// [`AtFlags::EMPTY_PATH`] and an empty path, it is that of the file that `dir` refers to.
/// Falls back to `newfstatat` if the kernel does not have `statx` (before Linux 4.11), or a
/// seccomp filter refuses it.
///
/// # Errors
///
/// * `ENOENT` if the file does not exist.
/// * `EACCES` if the permissions of a directory on the path forbid it.
pub fn statx(dir: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<Stat> {
    match statx_only(dir, path, flags) {
        Err(Errno::ENOSYS | Errno::EPERM) => newfstatat(dir, path, flags),
        result => result,
    }
}

#[inline(never)]
fn newfstatat(dir: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<Stat> {
    let mut stat = MaybeUninit::zeroed();
    let (path, flags) = (path.as_ptr().expose_provenance(), flags.as_arg());
    // SAFETY: the path is a C string, and the kernel writes one structure of this type.
    check_unit(unsafe { arch::newfstatat(as_arg(dir), path, stat.as_mut_ptr(), flags) })?;
    // SAFETY: the structure consists of integers, which are zero or written by the kernel.
    Ok(from_stat(unsafe { stat.assume_init_ref() }))
}

/// The metadata of a file system that concerns mappings. Source: statfs(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatFs {
    /// The type of the file system: one of the numbers in statfs(2), such as `TMPFS_MAGIC`.
    pub fs_type: u32,
    /// The block size in bytes; on hugetlbfs, the size of its pages.
    pub block_size: u64,
}

/// Returns the metadata of the file system that an open file is on.
///
/// # Errors
///
/// * `EBADF` if the descriptor is not open.
/// * `ENOSYS` if the file system does not support the call.
#[doc(alias = "statfs")]
pub fn fstatfs(fd: BorrowedFd<'_>) -> Result<StatFs> {
    let mut stat = MaybeUninit::zeroed();
    // SAFETY: the kernel writes one structure of this type.
    check_unit(unsafe { arch::fstatfs(as_arg(fd), stat.as_mut_ptr()) })?;
    // SAFETY: the structure consists of integers, which are zero or written by the kernel.
    let stat: arch::kernel_statfs = unsafe { stat.assume_init() };
    #[allow(clippy::unnecessary_cast, reason = "not on every architecture")]
    Ok(StatFs { fs_type: stat.f_type as u32, block_size: stat.f_bsize as u64 })
}

/// Returns the attributes of a file by its path, as the bits `STATX_ATTR_*` of `statx(2)`, such as
/// `STATX_ATTR_APPEND`. A bit that the file system does not report is zero.
///
/// With [`AtFlags::SYMLINK_NOFOLLOW`], the attributes are those of a symbolic link itself. With
/// [`AtFlags::EMPTY_PATH`] and an empty path, they are those of the file that `dir` refers to.
///
/// # Errors
///
/// * `ENOENT` if the file does not exist.
/// * `EACCES` if the permissions of a directory on the path forbid it.
/// * `ENOSYS` if the kernel is older than Linux 4.11.
#[doc(alias = "statx")]
pub fn statx_attributes(dir: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<u64> {
    Ok(raw_statx(dir, path, flags)?.stx_attributes)
}

fn statx_only(dir: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<Stat> {
    Ok(from_statx(&raw_statx(dir, path, flags)?))
}

#[inline(never)]
fn raw_statx(dir: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<kernel::statx> {
    let mut buffer = MaybeUninit::<kernel::statx>::zeroed();
    let mask = kernel::STATX_BASIC_STATS as usize;
    let (path, to) = (path.as_ptr().expose_provenance(), buffer.as_mut_ptr().expose_provenance());
    // SAFETY: the path is a C string, and the kernel writes one structure of this type.
    check_unit(unsafe { syscall5(nr::statx, as_arg(dir), path, flags.as_arg(), mask, to) })?;
    // SAFETY: the structure consists of integers, which are zero or written by the kernel.
    Ok(unsafe { buffer.assume_init() })
}

// The fields have different widths and signs on different architectures: each cast widens on some
// architectures and is a no-op on others.
#[allow(clippy::unnecessary_cast, reason = "not on every architecture")]
fn from_stat(stat: &arch::kernel_stat) -> Stat {
    // Seconds of 32 bits are signed in the kernel, although some of its structures declare them as
    // unsigned, such as those of arm and mips64.
    let narrow = size_of_val(&stat.st_mtime) == 4;
    let seconds = |sec: i64| if narrow { i64::from(sec as i32) } else { sec };
    let time = |sec, nsec| Timespec { sec: seconds(sec), nsec };
    Stat {
        dev: stat.st_dev as u64,
        ino: stat.st_ino as u64,
        mode: Mode::from_bits_retain(stat.st_mode as u32),
        nlink: stat.st_nlink as u64,
        uid: stat.st_uid as u32,
        gid: stat.st_gid as u32,
        rdev: stat.st_rdev as u64,
        size: stat.st_size as u64,
        blksize: stat.st_blksize as u64,
        blocks: stat.st_blocks as u64,
        atime: time(stat.st_atime as i64, stat.st_atime_nsec as i64),
        mtime: time(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        ctime: time(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
    }
}

fn from_statx(stat: &kernel::statx) -> Stat {
    let time = |time: kernel::statx_timestamp| Timespec {
        sec: time.tv_sec,
        nsec: i64::from(time.tv_nsec),
    };
    Stat {
        dev: device(stat.stx_dev_major, stat.stx_dev_minor),
        ino: stat.stx_ino,
        mode: Mode::from_bits_retain(u32::from(stat.stx_mode)),
        nlink: u64::from(stat.stx_nlink),
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        rdev: device(stat.stx_rdev_major, stat.stx_rdev_minor),
        size: stat.stx_size,
        blksize: u64::from(stat.stx_blksize),
        blocks: stat.stx_blocks,
        atime: time(stat.stx_atime),
        mtime: time(stat.stx_mtime),
        ctime: time(stat.stx_ctime),
    }
}

/// Encodes a device number as `fstat` returns it (`new_encode_dev` in the kernel): twelve bits
/// of the major number between the low eight and the high twelve bits of the minor number.
fn device(major: u32, minor: u32) -> u64 {
    u64::from((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses made-up numbers, because the owner and the group of most files are equal.
    #[test]
    fn the_owner_is_not_the_group() {
        // SAFETY: the structure consists of integers, for which zeros are valid.
        let (mut by_statx, mut by_stat): (kernel::statx, arch::kernel_stat) =
            unsafe { core::mem::zeroed() };
        (by_statx.stx_uid, by_statx.stx_gid) = (1, 2);
        (by_stat.st_uid, by_stat.st_gid) = (1, 2);
        for stat in [from_statx(&by_statx), from_stat(&by_stat)] {
            assert_eq!((stat.uid, stat.gid), (1, 2));
        }
    }
}
