//! The file behind a mapping: its size, its page size, and whether it can change.

use linux_raw_sys::general::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, FS_VERITY_FL, HUGETLBFS_MAGIC,
};
use linux_raw_sys::ioctl::{BLKGETSIZE64, FS_IOC_GETFLAGS};

use super::Region;
use crate::fd::BorrowedFd;
use crate::syscall::{self, Errno, FileType, MapFlags, ProtFlags, Seals, Stat, StatFs, page_size};

/// Maps `len` bytes of a file from `offset` on, with the page size of its file system.
pub fn map_file(
    file: BorrowedFd<'_>,
    stat: &Stat,
    offset: u64,
    len: usize,
    prot: ProtFlags,
    flags: MapFlags,
) -> syscall::Result<Region> {
    Region::map(len, prot, flags, Some(file), offset, mapping_page_size(file, stat)?)
}

/// Returns the size of a file in bytes.
///
/// `ENODEV` if the file is a pipe or a character device, whose size is zero although it has contents: the
/// caller of an empty map would not notice that the contents are missing. Most files in `/proc`
/// claim to be regular and empty, too. The kernel itself refuses to map them.
pub fn size(file: BorrowedFd<'_>, stat: &Stat) -> syscall::Result<u64> {
    match stat.file_type() {
        FileType::BlockDevice => {
            let mut size = 0_u64;
            let at = (&raw mut size).expose_provenance();
            // SAFETY: the request of a block device stores 64 bits. (`linux-raw-sys` computes its
            // number from the size of a `size_t`, as the kernel does.)
            unsafe { syscall::ioctl(file, BLKGETSIZE64, at)? };
            Ok(size)
        }
        FileType::Regular => Ok(stat.size),
        _ if stat.size == 0 => Err(Errno::ENODEV),
        _ => Ok(stat.size),
    }
}

/// Returns whether a file has no size, but can be mapped by a caller that knows the length, such as
/// `/dev/zero`. The kernel decides whether it can.
pub fn is_mapped_by_length(stat: &Stat) -> bool {
    stat.file_type() == FileType::CharacterDevice
}

/// Returns the size in bytes of the pages of a mapping of this file: the huge page size for a file
/// on hugetlbfs, and the system's page size otherwise.
pub fn mapping_page_size(file: BorrowedFd<'_>, stat: &Stat) -> syscall::Result<usize> {
    let page = page_size();
    // Most file systems have blocks of at most one page, so this saves the call of fstatfs(2).
    if stat.blksize <= page as u64 {
        return Ok(page);
    }
    match syscall::fstatfs(file)? {
        StatFs { fs_type: HUGETLBFS_MAGIC, block_size } => Ok(block_size as usize),
        _ => Ok(page),
    }
}

/// Returns whether nobody can change or truncate the file: its seals forbid it, or fs-verity
/// protects it.
pub fn is_immutable(file: BorrowedFd<'_>) -> bool {
    let needed = Seals::SHRINK | Seals::WRITE;
    if syscall::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(needed)) {
        return true;
    }
    // Only these file systems have fs-verity and are implemented by the kernel down to the disk. A
    // FUSE server could claim any flag, and so could overlayfs above it. A device driver may have
    // another meaning for the request's number, so that only regular files are asked.
    let has_verity = syscall::fstat(file).is_ok_and(|stat| stat.file_type() == FileType::Regular)
        && syscall::fstatfs(file).is_ok_and(|stat| {
            matches!(stat.fs_type, EXT4_SUPER_MAGIC | F2FS_SUPER_MAGIC | BTRFS_SUPER_MAGIC)
        });
    // The kernel writes 32 bits, although the request's number encodes the size of a `long`.
    let mut flags = [0_u32; 2];
    // SAFETY: the array has room for 32 bits and for a `long`.
    has_verity
        && unsafe { syscall::ioctl(file, FS_IOC_GETFLAGS, flags.as_mut_ptr().expose_provenance()) }
            .is_ok()
        && flags[0] & FS_VERITY_FL != 0
}
