//! Queries about one mapping of a process (`PROCMAP_QUERY`).

use linux_raw_sys::general::procmap_query;
use linux_raw_sys::ioctl::FS_IOC_ADD_ENCRYPTION_KEY;

use super::{ProcmapFlags, Result, fs::ioctl};
use crate::fd::BorrowedFd;

/// The request `_IOWR('f', 17, struct procmap_query)`, which `linux-raw-sys` does not have.
///
/// It is computed from a request of the same direction and type, with another number and size.
const PROCMAP_QUERY: u32 =
    FS_IOC_ADD_ENCRYPTION_KEY & !SIZE_AND_NUMBER | (size_of::<procmap_query>() as u32) << 16 | 17;
/// The bits of a request that contain its size (13 bits, or 14 on some architectures, whose
/// highest is never set) and its number (8 bits).
const SIZE_AND_NUMBER: u32 = 0x1fff_00ff;

/// A mapping of a process, as [`procmap_query`](self::procmap_query()) returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Procmap {
    /// The first address of the mapping.
    pub start: u64,
    /// The address after the last byte of the mapping.
    pub end: u64,
    /// The mapping's protection, and whether it is shared.
    pub flags: ProcmapFlags,
    /// The size of the mapping's pages in bytes.
    pub page_size: u64,
    /// The offset in the file at which the mapping begins, in bytes.
    pub offset: u64,
    /// The inode number of the file, or zero if the mapping is not of a file.
    pub inode: u64,
    /// The major and the minor number of the file system's device.
    ///
    /// On btrfs, and on overlayfs over two file systems, `fstat` reports another device for the
    /// file.
    pub device: (u32, u32),
    /// The length of the name in the buffer in bytes, without the NUL. Zero if the mapping has
    /// no name, or the buffer was empty.
    pub name_len: usize,
}

/// Returns the mapping of a process that covers an address.
///
/// With [`ProcmapFlags::COVERING_OR_NEXT`], the next mapping is returned if none covers the
/// address. If `flags` contain properties, such as [`ProcmapFlags::WRITABLE`], mappings without
/// them are skipped.
///
/// `maps` is the process's `/proc/PID/maps`. The path of the file, or another name of the
/// mapping such as `[heap]`, is written to `name`, followed by a NUL. With an empty `name` it
/// is not written.
///
/// Source: the kernel's `Documentation/filesystems/proc.rst`.
///
/// # Errors
///
/// * `ENOENT` if the process has no such mapping.
/// * `ENAMETOOLONG` if the name and its NUL do not fit in the buffer, or the name is longer
///   than `PATH_MAX`.
/// * `ESRCH` if the process has ended.
/// * `ENOTTY` before Linux 6.11, or if `maps` is another file.
#[doc(alias = "PROCMAP_QUERY")]
pub fn procmap_query(
    maps: BorrowedFd<'_>,
    address: u64,
    flags: ProcmapFlags,
    name: &mut [u8],
) -> Result<Procmap> {
    let room = name.len().min(u32::MAX as usize);
    // SAFETY: the structure consists of integers, for which zeros are valid.
    let mut query: procmap_query = unsafe { core::mem::zeroed() };
    query.size = size_of::<procmap_query>() as u64;
    query.query_flags = flags.bits().into();
    query.query_addr = address;
    query.vma_name_size = room as u32;
    query.vma_name_addr = if room == 0 { 0 } else { name.as_mut_ptr().expose_provenance() as u64 };
    // SAFETY: the structure is the one that the request takes, and `name` is borrowed exclusively.
    unsafe { ioctl(maps, PROCMAP_QUERY, (&raw mut query).expose_provenance())? };
    Ok(Procmap {
        start: query.vma_start,
        end: query.vma_end,
        flags: ProcmapFlags::from_bits_retain(query.vma_flags as u32),
        page_size: query.vma_page_size,
        offset: query.vma_offset,
        inode: query.inode,
        device: (query.dev_major, query.dev_minor),
        // The kernel's size includes the NUL if the mapping has a name, and is zero otherwise.
        name_len: (query.vma_name_size as usize).min(room).saturating_sub(1),
    })
}

const _: () = {
    use linux_raw_sys::ioctl::FS_IOC_GET_ENCRYPTION_KEY_STATUS;
    use static_assertions::const_assert_eq;

    // The computation yields the right number for a request that `linux-raw-sys` has.
    const_assert_eq!(
        FS_IOC_ADD_ENCRYPTION_KEY & !SIZE_AND_NUMBER | 128 << 16 | 26,
        FS_IOC_GET_ENCRYPTION_KEY_STATUS
    );
};
