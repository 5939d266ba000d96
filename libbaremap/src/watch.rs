//! A mapped file as a pointer, in which zero pages replace missing pages.

use core::{
    ffi::{c_char, c_int, c_void},
    ptr,
};

use baremap::{
    map::{FileMap, GuardedMmap},
    syscall::Errno,
};

use crate::{
    map::{advice, map_range, open},
    support::{count, failure, free_handle, non_null, ssize_t, status, store, store_handle},
};

/// A mapped file that is read through a pointer, and survives a truncation of the file.
///
/// If a thread accesses a page that is missing, because the file was truncated or its disk failed,
/// that page and all pages after it are replaced by zero pages. The access then reads zeros, and
/// baremap_watch_check() returns an error from then on. Call it before an effect that cannot be
/// undone, such as output, and before a result is used.
///
/// Bytes that are output are copied first, then the map is checked, and then the copy is output:
/// otherwise a page can get lost between the check and the output.
///
/// While the map is used, nobody may change its bytes, extend the file after a truncation, or
/// truncate it within a page: such changes are not detected, as with any other mapping.
///
/// Any number of threads may use one map at the same time, except for baremap_watch_refresh() and
/// baremap_watch_close(), during which no other thread uses it. A thread that blocks SIGBUS is
/// killed by an access to a missing page.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct baremap_watch(GuardedMmap);

/// Opens a file for reading, and maps all of it. Stores the map in `*watch`.
///
/// Errors:
///
/// * The errors of baremap_map_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_watch_open(
    path: *const c_char,
    watch: *mut *mut baremap_watch,
) -> c_int {
    // SAFETY: the program is in C and has no references.
    unsafe { store_handle(open(path).and_then(watched), watch) }
}

/// Maps all of a file for reading. Stores the map in `*watch`. The map uses a duplicate of `fd`,
/// which the caller may close.
///
/// Errors:
///
/// * The errors of baremap_map_from_fd().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_watch_from_fd(fd: c_int, watch: *mut *mut baremap_watch) -> c_int {
    // SAFETY: the program is in C and has no references.
    unsafe { store_handle(map_range(fd, 0, usize::MAX).and_then(watched), watch) }
}

/// Maps `len` bytes of a file for reading from the offset `start` on, or fewer if the file ends
/// before. Stores the map in `*watch`.
///
/// `start` need not be page-aligned. The map is empty if `start` is past the end of the file. The
/// map uses a duplicate of `fd`.
///
/// Errors:
///
/// * The errors of baremap_map_range().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_watch_range(
    fd: c_int,
    start: u64,
    len: usize,
    watch: *mut *mut baremap_watch,
) -> c_int {
    // SAFETY: the program is in C and has no references.
    unsafe { store_handle(map_range(fd, start, len).and_then(watched), watch) }
}

/// Returns the address of the first byte. NULL if `watch` is NULL. No byte can be accessed if the
/// map is empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_watch_ptr(watch: Option<&baremap_watch>) -> *const c_void {
    watch.map_or(ptr::null(), |watch| watch.0.as_ptr().cast())
}

/// Returns the length of the map in bytes: that of the file when it was mapped or refreshed last.
/// Zero if `watch` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_watch_len(watch: Option<&baremap_watch>) -> usize {
    watch.map_or(0, |watch| watch.0.len())
}

/// Checks that all bytes that were read so far were those of the file. Returns 0 if no page has
/// been replaced by zeros before the call.
///
/// Do not read the map through a pointer that is declared `restrict`: the compiler may move such
/// reads behind the call.
///
/// After an error, `*offset` is the offset of the first replaced page, unless `offset` is NULL.
///
/// Errors:
///
/// * -EFAULT if a page was missing because the file was truncated, or if `offset` is neither NULL
///   nor a valid address.
/// * -EIO or another error of pread(2) if the disk failed.
/// * -EINVAL if `watch` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_watch_check(
    watch: Option<&baremap_watch>,
    offset: *mut u64,
) -> c_int {
    let Some(watch) = watch else { return failure(Errno::EINVAL) };
    let Err(fault) = watch.0.check() else { return 0 };
    if !offset.is_null() {
        // SAFETY: the program is in C and has no references.
        if let Err(errno) = unsafe { store(offset, fault.offset()) } {
            return failure(errno);
        }
    }
    failure(fault.into())
}

/// Maps the file again with its present length, and returns the new length in bytes.
///
/// The map has another address afterwards, and shows the file again where pages were missing. After
/// an error the map is unchanged.
///
/// Errors:
///
/// * -EMFILE if the process has reached its limit of descriptors.
/// * -ENOMEM if there is not enough address space or memory.
/// * -EOVERFLOW if the map would be longer than SSIZE_MAX.
/// * -EINVAL if `watch` is NULL, or if the file is open for writing, and the length of a file on
///   hugetlbfs is not a multiple of the huge page size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_watch_refresh(watch: Option<&mut baremap_watch>) -> ssize_t {
    count(non_null(watch).and_then(|watch| watch.0.refresh()))
}

/// Advises the kernel how the map will be used: one of the MADV_ constants of madvise(2) that do
/// not change the contents of a file. A no-op if the map is empty.
///
/// Errors:
///
/// * The errors of baremap_map_advise().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_watch_advise(
    watch: Option<&baremap_watch>,
    advice: c_int,
) -> c_int {
    status(non_null(watch).and_then(|watch| watch.0.advise(self::advice(advice)?)))
}

/// Unmaps the file, closes the descriptor of the map, and frees the map. A no-op if `watch` is
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_watch_close(watch: *mut baremap_watch) {
    // SAFETY: the caller passes a map that is not used again, or null.
    unsafe { free_handle(watch) }
}

fn watched(map: FileMap) -> Result<baremap_watch, Errno> {
    // SAFETY: the program is in C, and the header says what must not change.
    Ok(baremap_watch(unsafe { GuardedMmap::new(map)? }))
}
