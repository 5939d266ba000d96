//! The mappings of a process, and the pages that are in memory.

use core::ffi::{c_char, c_int, c_void};

use baremap::{
    map::{self, Maps, Residency},
    syscall::Errno,
};

use crate::support::{boolean, free_handle, non_null, store, store_handle};

/// The mappings of a process in ascending order of their addresses.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct baremap_maps {
    maps: Maps,
    /// The name of the last mapping, and a NUL.
    name: [u8; 4352],
}

/// A mapping of a process.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(C)]
pub struct baremap_mapping {
    /// The first address, and the address after the last byte.
    start: u64,
    end: u64,
    /// The offset of the mapping in its file in bytes, or zero if it has no file.
    offset: u64,
    /// The inode number of the file, or zero if the mapping has no file.
    inode: u64,
    /// The major and minor number of the file's device, or zeros if the mapping has no file.
    device_major: u32,
    device_minor: u32,
    /// PROT_READ, PROT_WRITE and PROT_EXEC.
    prot: u32,
    /// Whether the mapping is shared (MAP_SHARED).
    shared: bool,
    /// Whether the name is longer than PATH_MAX. In this case, `name` is truncated or empty.
    name_is_cut: bool,
    /// The path of the file, or a name by the kernel such as "[heap]", or an empty string. Valid
    /// until the next call for these mappings.
    name: *const c_char,
}

/// Lists the mappings of a process, or of this process if `process` is zero. Stores the list in
/// `*maps`.
///
/// Errors:
///
/// * -ENOENT if there is no such process, or /proc is not mounted.
/// * -EACCES if the caller may not inspect the process (ptrace(2)).
/// * -EMFILE or -ENFILE if no file descriptor is free.
/// * -ENOMEM if there is not enough memory.
/// * -EFAULT if `maps` is not a valid address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_maps_open(process: c_int, maps: *mut *mut baremap_maps) -> c_int {
    let list = if process == 0 { map::maps() } else { map::maps_of(process) };
    // SAFETY: the program is in C and has no references.
    unsafe { store_handle(list.map(|list| baremap_maps { maps: list, name: [0; 4352] }), maps) }
}

/// Stores the next mapping in `*mapping`. Returns 1, or 0 after the last mapping.
///
/// Errors:
///
/// * -ESRCH if the process has ended.
/// * -EINVAL if `maps` is NULL, or if the kernel's text has an unknown format.
/// * -EFAULT if `mapping` is not a valid address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_maps_next(
    maps: Option<&mut baremap_maps>,
    mapping: *mut baremap_mapping,
) -> c_int {
    boolean(non_null(maps).and_then(|list| {
        let Some(found) = list.maps.next()? else { return Ok(false) };
        let len = found.name.len().min(list.name.len() - 1);
        list.name[..len].copy_from_slice(&found.name[..len]);
        list.name[len] = 0;
        let found = baremap_mapping {
            start: found.start,
            end: found.end,
            offset: found.offset,
            inode: found.inode,
            device_major: found.device.0,
            device_minor: found.device.1,
            prot: found.prot.bits(),
            shared: found.shared,
            name_is_cut: found.name_is_cut,
            name: list.name.as_ptr().cast(),
        };
        // SAFETY: the program is in C and has no references.
        unsafe { store(mapping, found).map(|()| true) }
    }))
}

/// Frees the list. A no-op if `maps` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_maps_close(maps: *mut baremap_maps) {
    // SAFETY: the caller passes a list that is not used again, or null.
    unsafe { free_handle(maps) }
}

/// The runs of pages of a range that are in memory, and of those that are not.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct baremap_residency(Residency);

/// A run of consecutive pages.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(C)]
pub struct baremap_run {
    /// The offset of the run in the range, in bytes.
    offset: usize,
    /// The number of bytes of the range that are in these pages.
    len: usize,
    /// Whether the pages are in memory.
    resident: bool,
}

/// Finds out which pages of a range of the address space are in memory. Stores the runs in
/// `*residency`. An empty range has no runs.
///
/// A page of a file is in memory if it is in the page cache. Since Linux 5.2, the kernel reveals
/// the page cache of a file only to a process that owns the file or may write to it. To other
/// processes all pages of the file appear to be in memory. Source: mincore(2).
///
/// Errors:
///
/// * -ENOMEM if there is not enough memory.
/// * -EFAULT if `residency` is not a valid address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_residency_open(
    start: *const c_void,
    len: usize,
    residency: *mut *mut baremap_residency,
) -> c_int {
    let runs = Ok(baremap_residency(map::residency(start.cast(), len)));
    // SAFETY: the program is in C and has no references.
    unsafe { store_handle(runs, residency) }
}

/// Stores the next run in `*run`. Returns 1, or 0 at the end of the range.
///
/// Errors:
///
/// * -ENOMEM if a part of the range is not mapped. All further calls return 0.
/// * -EINVAL if `residency` is NULL.
/// * -EFAULT if `run` is not a valid address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_residency_next(
    residency: Option<&mut baremap_residency>,
    run: *mut baremap_run,
) -> c_int {
    boolean(non_null(residency).and_then(|runs| {
        let Some(found) = runs.0.next() else { return Ok::<_, Errno>(false) };
        let found = found?;
        let found = baremap_run { offset: found.offset, len: found.len, resident: found.state };
        // SAFETY: the program is in C and has no references.
        unsafe { store(run, found).map(|()| true) }
    }))
}

/// Frees the runs. A no-op if `residency` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_residency_close(residency: *mut baremap_residency) {
    // SAFETY: the caller passes runs that are not used again, or null.
    unsafe { free_handle(residency) }
}
