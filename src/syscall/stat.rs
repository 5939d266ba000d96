//! What is known of a file, the same on every architecture.

use core::{ffi::CStr, mem::MaybeUninit};

use linux_raw_sys::general as kernel;

use super::raw::{nr, syscall5};
use super::{AtFlags, Errno, Mode, Result, Timespec, as_arg, check_unit};
use crate::arch;
use crate::fd::BorrowedFd;

/// What is known of a file. Source: stat(3type), inode(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// The device that the file is on, as the kernel encodes it in 64 bits.
    pub dev: u64,
    /// The inode number; with `dev` it names the file.
    pub ino: u64,
    /// Type and permissions.
    pub mode: Mode,
    /// How many names it has.
    pub nlink: u64,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The device that it stands for, if it is one.
    pub rdev: u64,
    /// Its length in bytes.
    pub size: u64,
    /// What the file system likes to read and write at once, in bytes.
    pub blksize: u64,
    /// The space that it takes, in units of 512 bytes whatever `blksize` is.
    pub blocks: u64,
    /// When it was last read.
    pub atime: Timespec,
    /// When its contents last changed.
    pub mtime: Timespec,
    /// When its contents or anything in this structure last changed.
    pub ctime: Timespec,
}

/// What sort of a file it is.
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
    /// What sort of a file it is.
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

    /// The mode without the type: permissions, set-id bits and the sticky bit.
    #[must_use]
    pub fn permissions(&self) -> Mode {
        self.mode - Mode::TYPE
    }

    /// Whether both are the same file, under whatever names.
    #[must_use]
    pub fn is_same_file(&self, other: &Stat) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}

/// What is known of an open file.
///
/// `statx` where the kernel's `fstat` has times of 32 bits, or does not exist; then
/// `fstat` all the same if the kernel is too old for `statx` (4.11).
pub fn fstat(fd: BorrowedFd<'_>) -> Result<Stat> {
    if arch::STATX_FIRST {
        match statx_only(fd, c"", AtFlags::EMPTY_PATH) {
            Err(Errno::ENOSYS | Errno::EPERM) => {}
            result => return result,
        }
    }
    let mut stat = MaybeUninit::zeroed();
    // SAFETY: there is room for the structure.
    check_unit(unsafe { arch::fstat(as_arg(fd), stat.as_mut_ptr()) })?;
    // SAFETY: numbers, which are zero or what the kernel has filled in.
    Ok(from_stat(unsafe { stat.assume_init_ref() }))
}

/// What is known of a file by its path from a directory.
///
/// With [`AtFlags::SYMLINK_NOFOLLOW`] of a link itself; with
/// [`AtFlags::EMPTY_PATH`] and an empty path of `dir`. It is `statx` where [`fstat`] is, and
/// `newfstatat` elsewhere. Source: fstatat(2).
pub fn fstatat(dir: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<Stat> {
    if arch::STATX_FIRST { statx(dir, path, flags) } else { newfstatat(dir, path, flags) }
}

/// The same, by `statx` on every architecture.
///
/// Falls back to `newfstatat` if the kernel is too old for it (4.11), or a filter forbids it.
/// Source: statx(2).
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
    // SAFETY: the path is a C string, and there is room for the structure.
    check_unit(unsafe { arch::newfstatat(as_arg(dir), path, stat.as_mut_ptr(), flags) })?;
    // SAFETY: numbers, which are zero or what the kernel has filled in.
    Ok(from_stat(unsafe { stat.assume_init_ref() }))
}

/// What is known of a file system: as much of it as mappings need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatFs {
    /// Which kind it is, as one of the numbers of statfs(2), such as `TMPFS_MAGIC`.
    pub fs_type: u32,
    /// The size of its blocks in bytes: on hugetlbfs that of its pages.
    pub block_size: u64,
}

/// What is known of the file system that an open file is on.
pub fn fstatfs(fd: BorrowedFd<'_>) -> Result<StatFs> {
    let mut stat = MaybeUninit::zeroed();
    // SAFETY: there is room for the structure.
    check_unit(unsafe { arch::fstatfs(as_arg(fd), stat.as_mut_ptr()) })?;
    // SAFETY: numbers, which are zero or what the kernel has filled in.
    let stat: arch::kernel_statfs = unsafe { stat.assume_init() };
    #[allow(clippy::unnecessary_cast, reason = "not on every architecture")]
    Ok(StatFs { fs_type: stat.f_type as u32, block_size: stat.f_bsize as u64 })
}

fn statx_only(dir: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<Stat> {
    let mut buffer = MaybeUninit::<kernel::statx>::zeroed();
    let mask = kernel::STATX_BASIC_STATS as usize;
    let (path, to) = (path.as_ptr().expose_provenance(), buffer.as_mut_ptr().expose_provenance());
    // SAFETY: the path is a C string, and there is room for the structure.
    check_unit(unsafe { syscall5(nr::statx, as_arg(dir), path, flags.as_arg(), mask, to) })?;
    // SAFETY: numbers, which are zero or what the kernel has filled in.
    Ok(from_statx(unsafe { buffer.assume_init_ref() }))
}

// The fields have different widths and signs from one architecture to the next:
// each cast below widens on some, and does nothing on others.
#[allow(clippy::unnecessary_cast, reason = "not on every architecture")]
fn from_stat(stat: &arch::kernel_stat) -> Stat {
    // Where seconds have 32 bits they are signed, though some of the structures deny it.
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

/// A device number as `fstat` gives it (`new_encode_dev` in the kernel): twelve
/// bits of major number amid twenty of minor.
fn device(major: u32, minor: u32) -> u64 {
    u64::from((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The owner and the group of most files have one number.
    #[test]
    fn the_owner_is_not_the_group() {
        // SAFETY: numbers, for which zero is right.
        let (mut by_statx, mut by_stat): (kernel::statx, arch::kernel_stat) =
            unsafe { core::mem::zeroed() };
        (by_statx.stx_uid, by_statx.stx_gid) = (1, 2);
        (by_stat.st_uid, by_stat.st_gid) = (1, 2);
        for stat in [from_statx(&by_statx), from_stat(&by_stat)] {
            assert_eq!((stat.uid, stat.gid), (1, 2));
        }
    }
}
