//! The file behind a mapping: its size, its pages, and whether it can change.

use linux_raw_sys::general::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, FS_VERITY_FL, HUGETLBFS_MAGIC,
};
use linux_raw_sys::ioctl::FS_IOC_GETFLAGS;

use super::Region;
use crate::fd::BorrowedFd;
use crate::syscall::{self, Errno, FileType, MapFlags, ProtFlags, Seals, Stat, StatFs, page_size};

/// Maps `len` bytes of a file from an offset on.
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

/// The size of a file that has one. `ENODEV` for a pipe or a device, which has contents but no
/// size: in an empty map of it nobody would notice what is missing. (Most files in `/proc` say
/// that they are regular and empty; they cannot be mapped, as the kernel knows.)
pub fn size(stat: &Stat) -> syscall::Result<u64> {
    if stat.size == 0 && stat.file_type() != FileType::Regular {
        return Err(Errno::ENODEV);
    }
    Ok(stat.size)
}

/// The size of a mapping's pages, in bytes: those of a file on hugetlbfs are huge.
pub fn mapping_page_size(file: BorrowedFd<'_>, stat: &Stat) -> syscall::Result<usize> {
    let page = page_size();
    // Few other file systems have blocks so large, and need to be asked.
    if stat.blksize <= page as u64 {
        return Ok(page);
    }
    match syscall::fstatfs(file)? {
        StatFs { fs_type: HUGETLBFS_MAGIC, block_size } => Ok(block_size as usize),
        _ => Ok(page),
    }
}

pub fn is_immutable(file: BorrowedFd<'_>) -> bool {
    let needed = Seals::SHRINK | Seals::WRITE;
    if syscall::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(needed)) {
        return true;
    }
    // Those that have fs-verity, and are the kernel's own down to the disk: what FUSE says of a
    // file, or overlayfs above it, anybody may have made up. And the same number asks other
    // things of devices.
    let asked = syscall::fstat(file).is_ok_and(|stat| stat.file_type() == FileType::Regular)
        && syscall::fstatfs(file).is_ok_and(|stat| {
            matches!(stat.fs_type, EXT4_SUPER_MAGIC | F2FS_SUPER_MAGIC | BTRFS_SUPER_MAGIC)
        });
    // A number of 32 bits is written, though the request's own number speaks of a `long`.
    let mut flags = [0_u32; 2];
    // SAFETY: there is room for either.
    asked
        && unsafe { syscall::ioctl(file, FS_IOC_GETFLAGS, flags.as_mut_ptr().expose_provenance()) }
            .is_ok()
        && flags[0] & FS_VERITY_FL != 0
}
