//! What the kernel tells of one mapping (`PROCMAP_QUERY`).

use linux_raw_sys::general::procmap_query;
use linux_raw_sys::ioctl::FS_IOC_ADD_ENCRYPTION_KEY;

use super::{ProcmapFlags, Result, fs::ioctl};
use crate::fd::BorrowedFd;

/// `PROCMAP_QUERY`, `_IOWR('f', 17, struct procmap_query)`: of the same direction and type
/// as this one, with another number and another size.
const PROCMAP_QUERY: u32 =
    FS_IOC_ADD_ENCRYPTION_KEY & !SIZE_AND_NUMBER | (size_of::<procmap_query>() as u32) << 16 | 17;
/// 13 bits (14 on some architectures, whose first is never set) and 8 bits.
const SIZE_AND_NUMBER: u32 = 0x1fff_00ff;

/// A mapping, as [`procmap_query`](self::procmap_query()) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Procmap {
    /// Its first address.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// What may be done to it, and whether it is shared.
    pub flags: ProcmapFlags,
    /// The size of its pages in bytes.
    pub page_size: u64,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// The file's number, zero if there is no file.
    pub inode: u64,
    /// The file system's device, major and minor number.
    pub device: (u32, u32),
    /// How many bytes of the buffer are its name; zero if it has none, or was not asked.
    pub name_len: usize,
}

/// Tells which mapping of a process covers an address, or with
/// [`ProcmapFlags::COVERING_OR_NEXT`] else is the next one. With the flags that a mapping
/// has, those that do not have them are passed over.
///
/// `maps` is the process's `/proc/PID/maps`. A buffer of no bytes does not ask for the name.
/// Source: the kernel's `Documentation/filesystems/proc.rst`.
///
/// # Errors
///
/// `ENOENT`: no such mapping. `ENAMETOOLONG`: the buffer is too short for the name and a
/// NUL, or the name is longer than `PATH_MAX`. `ESRCH`: the process has ended. `ENOTTY`:
/// before Linux 6.11, or no such file.
pub fn procmap_query(
    maps: BorrowedFd<'_>,
    address: u64,
    flags: ProcmapFlags,
    name: &mut [u8],
) -> Result<Procmap> {
    let room = name.len().min(u32::MAX as usize);
    // SAFETY: numbers, for which zero is right.
    let mut query: procmap_query = unsafe { core::mem::zeroed() };
    query.size = size_of::<procmap_query>() as u64;
    query.query_flags = flags.bits().into();
    query.query_addr = address;
    query.vma_name_size = room as u32;
    query.vma_name_addr = if room == 0 { 0 } else { name.as_mut_ptr().expose_provenance() as u64 };
    // SAFETY: the structure is the request's, and the name's buffer is ours to write.
    unsafe { ioctl(maps, PROCMAP_QUERY, (&raw mut query).expose_provenance())? };
    Ok(Procmap {
        start: query.vma_start,
        end: query.vma_end,
        flags: ProcmapFlags::from_bits_retain(query.vma_flags as u32),
        page_size: query.vma_page_size,
        offset: query.vma_offset,
        inode: query.inode,
        device: (query.dev_major, query.dev_minor),
        // With the NUL, if there is a name.
        name_len: (query.vma_name_size as usize).min(room).saturating_sub(1),
    })
}

const _: () = {
    use linux_raw_sys::ioctl::FS_IOC_GET_ENCRYPTION_KEY_STATUS;
    use static_assertions::const_assert_eq;

    // The rule gives the number of a request whose number is known.
    const_assert_eq!(
        FS_IOC_ADD_ENCRYPTION_KEY & !SIZE_AND_NUMBER | 128 << 16 | 26,
        FS_IOC_GET_ENCRYPTION_KEY_STATUS
    );
};
