//! Mapped files.

use core::{
    ffi::{c_char, c_int, c_void},
    slice::{from_raw_parts, from_raw_parts_mut},
};

use baremap::{
    fd::{BorrowedFd, CWD},
    map::{Advice, Fault, FileMap},
    syscall::{self, Errno, Mode, OFlags},
};

use crate::support::{boolean, count, free_handle, non_null, ssize_t, status, store, store_handle};

/// A mapped file that other processes may change and truncate.
///
/// Any number of threads may use one map at the same time, except for baremap_map_refresh(),
/// baremap_map_set_len() and baremap_map_close(), during which no other thread uses it.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct baremap_map(FileMap);

/// Opens a file for reading, and maps all of it. Stores the map in `*map`.
///
/// Errors:
///
/// * An error of open(2), such as -ENOENT, -EACCES, or -EFAULT if `path` is not a valid address.
/// * An error of baremap_map_from_fd().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_open(
    path: *const c_char,
    map: *mut *mut baremap_map,
) -> c_int {
    // SAFETY: the program is in C and has no references.
    unsafe { store_handle(open(path).map(baremap_map), map) }
}

pub fn open(path: *const c_char) -> Result<FileMap, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    // SAFETY: the kernel checks the address, and the caller does not change the path meanwhile.
    let file = unsafe { syscall::openat_raw(CWD, path, flags, Mode::empty())? };
    Ok(FileMap::from_fd(file)?)
}

/// Maps all of a file. Stores the map in `*map`.
///
/// The map uses a duplicate of `fd`, which the caller may close. It is writable if `fd` is open for
/// both reading and writing, and the file is not sealed against writing. The map of an empty file
/// is empty.
///
/// Errors:
///
/// * -EBADF if `fd` is not an open descriptor, or is open with O_PATH.
/// * -EACCES if `fd` is not open for reading.
/// * -ENODEV if such a file cannot be mapped, such as a pipe or a file in /proc.
/// * -EINVAL if `fd` is open for writing, and the length of a file on hugetlbfs is not a multiple
///   of the huge page size.
/// * -ENOMEM if there is not enough address space or memory.
/// * -EMFILE if the process has reached its limit of descriptors.
/// * -EOVERFLOW if the file is longer than SSIZE_MAX.
/// * -EPERM if the file is sealed against writing, and the kernel is older than Linux 6.7.
/// * -EFAULT if `map` is not a valid address.
/// * An error of baremap_install().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_from_fd(fd: c_int, map: *mut *mut baremap_map) -> c_int {
    // SAFETY: the program is in C and has no references.
    unsafe { store_handle(map_range(fd, 0, usize::MAX).map(baremap_map), map) }
}

/// Maps `len` bytes of a file from the offset `start` on, or fewer if the file ends before. Stores
/// the map in `*map`.
///
/// `start` need not be page-aligned. The map is empty if `start` is past the end of the file. The
/// offsets of all functions count from `start`. The map uses a duplicate of `fd`.
///
/// Errors:
///
/// * The errors of baremap_map_from_fd(). -EOVERFLOW if the range is longer than SSIZE_MAX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_range(
    fd: c_int,
    start: u64,
    len: usize,
    map: *mut *mut baremap_map,
) -> c_int {
    // SAFETY: the program is in C and has no references.
    unsafe { store_handle(map_range(fd, start, len).map(baremap_map), map) }
}

pub fn map_range(fd: c_int, start: u64, len: usize) -> Result<FileMap, Errno> {
    if fd < 0 {
        return Err(Errno::EBADF);
    }
    // SAFETY: the kernel checks whether the descriptor is open, and the map has a duplicate.
    FileMap::map_range(unsafe { BorrowedFd::borrow_raw(fd) }, start, len)
}

/// Returns the length of the map in bytes: that of the file when it was mapped or refreshed last.
/// Zero if `map` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_len(map: Option<&baremap_map>) -> usize {
    map.map_or(0, |map| map.0.len())
}

/// Reads up to `len` bytes from `offset` on into a buffer, and returns their number.
///
/// The number is less than `len` if the map ends before, or if a page is missing: the file was
/// truncated, or its disk failed. It is zero if `offset` is at or past the end of the map. The next
/// call, from the missing byte on, returns the error.
///
/// A map does not end where the file ends now, but where it ended when it was mapped or refreshed.
/// The rest of the last page reads as zeros after a truncation (mmap(2)).
///
/// Errors:
///
/// * -EFAULT if the file ends before `offset` and the map does not.
/// * -EFAULT if `buffer` is NULL. Other memory that cannot be written to may cause -EFAULT, too, but it
///   is not always detected.
/// * -EIO or another error of pread(2) if the disk failed.
/// * -EINVAL if `map` is NULL, or `len` is more than SSIZE_MAX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_read_at(
    map: Option<&baremap_map>,
    buffer: *mut c_void,
    len: usize,
    offset: u64,
) -> ssize_t {
    // SAFETY: the caller passes a buffer of `len` bytes.
    unsafe { read(map, buffer, len, |map, buffer| map.read_at(buffer, offset)) }
}

/// Writes up to `len` bytes to the map from `offset` on, and returns their number.
///
/// The number is less than `len` if the map ends before, or if a page is missing or has no room on
/// the disk. It is zero if `offset` is at or past the end of the map. The next call, from the
/// missing byte on, returns the error. Writing does not extend the file.
///
/// The data is visible to other readers immediately. It reaches the disk when the kernel writes it
/// back, or when baremap_map_flush() returns.
///
/// Errors:
///
/// * -EBADF if the map is not writable.
/// * -EFAULT if the file ends before `offset` and the map does not.
/// * -EFAULT if `bytes` is NULL. Other memory that cannot be read may cause -EFAULT, too, but it
///   is not always detected.
/// * -ENOSPC or -EDQUOT if the disk is full, -EIO if it failed.
/// * -EINVAL if `map` is NULL, or `len` is more than SSIZE_MAX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_write_at(
    map: Option<&baremap_map>,
    bytes: *const c_void,
    len: usize,
    offset: u64,
) -> ssize_t {
    // SAFETY: the caller passes `len` bytes.
    unsafe { write(map, bytes, len, |map, bytes| map.write_at(bytes, offset)) }
}

/// Reads up to `len` bytes from `offset` on like baremap_map_read_at(), by a system call, which works
/// in a thread that blocks SIGBUS. Returns the number of bytes.
///
/// The bytes are read by pread(2), which takes about a microsecond.
///
/// Errors:
///
/// * The errors of baremap_map_read_at().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_read_at_blocked(
    map: Option<&baremap_map>,
    buffer: *mut c_void,
    len: usize,
    offset: u64,
) -> ssize_t {
    // SAFETY: the caller passes a buffer of `len` bytes.
    unsafe { read(map, buffer, len, |map, buffer| map.read_at_without_signals(buffer, offset)) }
}

/// Writes up to `len` bytes from `offset` on like baremap_map_write_at(), by a system call, which
/// works in a thread that blocks SIGBUS. Returns the number of bytes.
///
/// The bytes are written by process_vm_readv(2) on the process itself, which takes some microseconds.
///
/// Errors:
///
/// * The errors of baremap_map_write_at().
/// * -ENOSYS if the kernel was built without CONFIG_CROSS_MEMORY_ATTACH, and under qemu-user.
/// * -EPERM, or another error of the filter, if a seccomp filter forbids the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_write_at_blocked(
    map: Option<&baremap_map>,
    bytes: *const c_void,
    len: usize,
    offset: u64,
) -> ssize_t {
    // SAFETY: the caller passes `len` bytes.
    unsafe { write(map, bytes, len, |map, bytes| map.write_at_without_signals(bytes, offset)) }
}

/// Searches for a byte from `offset` on. Returns 1 and stores the offset of its first occurrence in
/// `*found`, or returns 0 if there is none.
///
/// Errors:
///
/// * -EFAULT if a page is missing before the first occurrence, or if `found` is not a valid
///   address.
/// * -EIO or another error of pread(2) if the disk failed.
/// * -EINVAL if `map` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_find(
    map: Option<&baremap_map>,
    byte: c_int,
    offset: u64,
    found: *mut u64,
) -> c_int {
    boolean(non_null(map).and_then(|map| match map.0.find(byte as u8, offset)? {
        // SAFETY: the program is in C and has no references.
        Some(at) => unsafe { store(found, at).map(|()| true) },
        None => Ok(false),
    }))
}

/// Maps the file with its present length, and returns the new length of the map in bytes.
///
/// Afterwards the map also shows the file again where pages were missing. After an error the map
/// is unchanged.
///
/// Errors:
///
/// * -ENOMEM if there is not enough address space.
/// * -EOVERFLOW if the map would be longer than SSIZE_MAX.
/// * -EINVAL if `map` is NULL, or if the map is writable, and the length of a file on hugetlbfs is
///   not a multiple of the huge page size.
/// * -EPERM if the map is writable, and the file was sealed against writing since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_refresh(map: Option<&mut baremap_map>) -> ssize_t {
    count(non_null(map).and_then(|map| map.0.refresh()))
}

/// Sets the length of the file to `len` bytes, counted from the beginning of the file, and
/// refreshes the map.
///
/// Errors:
///
/// * An error of ftruncate(2), such as -EINVAL if the file is not open for writing.
/// * An error of baremap_map_refresh(). The file then has its new length, and the map is
///   unchanged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_set_len(map: Option<&mut baremap_map>, len: u64) -> c_int {
    status(non_null(map).and_then(|map| map.0.set_len(len)))
}

/// Advises the kernel how the map will be used: one of the `MADV_` constants of madvise(2) that do
/// not change the contents of a file. A no-op if the map is empty.
///
/// Errors:
///
/// * -EINVAL if `map` is NULL, or if the advice changes contents, such as MADV_DONTNEED, is
///   MADV_DONTFORK, or is unknown to the library or to the kernel.
/// * -EFAULT if the advice is MADV_POPULATE_READ or MADV_POPULATE_WRITE, and a page is missing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_advise(map: Option<&baremap_map>, advice: c_int) -> c_int {
    status(non_null(map).and_then(|map| map.0.advise(self::advice(advice)?)))
}

/// Advises the kernel how `len` bytes of the map from `offset` on will be used. The range is
/// expanded to whole pages. A no-op if `len` is zero.
///
/// Errors:
///
/// * -EINVAL if the range is not inside the map.
/// * The errors of baremap_map_advise().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_advise_range(
    map: Option<&baremap_map>,
    advice: c_int,
    offset: usize,
    len: usize,
) -> c_int {
    status(non_null(map).and_then(|map| map.0.advise_range(self::advice(advice)?, offset, len)))
}

/// Writes the changed pages of the map back to the disk, and waits for it.
///
/// The kernel reports an error once: the next call succeeds although the data is lost.
///
/// Errors:
///
/// * -EIO, -ENOSPC or -EDQUOT if the disk failed or is full.
/// * -EINVAL if `map` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_flush(map: Option<&baremap_map>) -> c_int {
    status(non_null(map).and_then(|map| map.0.flush()))
}

/// Unmaps the file, closes the descriptor of the map, and frees the map. A no-op if `map` is NULL.
///
/// It does not wait for the disk: see baremap_map_flush().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_map_close(map: *mut baremap_map) {
    // SAFETY: the caller passes a map that is not used again, or null.
    unsafe { free_handle(map) }
}

/// The advice that `FileMap::advise` accepts.
const ADVICE: &[Advice] = &[
    Advice::Normal,
    Advice::Random,
    Advice::Sequential,
    Advice::WillNeed,
    Advice::DoFork,
    Advice::Mergeable,
    Advice::Unmergeable,
    Advice::HugePage,
    Advice::NoHugePage,
    Advice::DontDump,
    Advice::DoDump,
    Advice::KeepOnFork,
    Advice::Cold,
    Advice::PageOut,
    Advice::PopulateRead,
    Advice::PopulateWrite,
    Advice::Collapse,
];

/// Returns advice by its number. `EINVAL` if the library does not know it.
pub fn advice(number: c_int) -> Result<Advice, Errno> {
    let mut known = ADVICE.iter().copied();
    known.find(|&advice| advice as u32 == number as u32).ok_or(Errno::EINVAL)
}

/// Passes a buffer to a function that reads from a map, and returns its result as C receives it.
///
/// # Safety
///
/// * `buffer` is null, or the `len` bytes at it can be written to.
unsafe fn read(
    map: Option<&baremap_map>,
    buffer: *mut c_void,
    len: usize,
    read: impl FnOnce(&FileMap, &mut [u8]) -> Result<usize, Fault>,
) -> ssize_t {
    count(checked(map, buffer, len).and_then(|map| match len {
        0 => Ok(0),
        // SAFETY: `buffer` is not null, `len` is at most `isize::MAX`, and the rest is as above.
        _ => count_before_fault(read(map, unsafe { from_raw_parts_mut(buffer.cast(), len) })),
    }))
}

/// Passes bytes to a function that writes to a map, and returns its result as C receives it.
///
/// # Safety
///
/// * `bytes` is null, or the `len` bytes at it can be read and do not change meanwhile.
unsafe fn write(
    map: Option<&baremap_map>,
    bytes: *const c_void,
    len: usize,
    write: impl FnOnce(&FileMap, &[u8]) -> Result<usize, Fault>,
) -> ssize_t {
    count(checked(map, bytes, len).and_then(|map| match len {
        0 => Ok(0),
        // SAFETY: `bytes` is not null, `len` is at most `isize::MAX`, and the rest is as above.
        _ => count_before_fault(write(map, unsafe { from_raw_parts(bytes.cast(), len) })),
    }))
}

/// Returns the map, or an error if it is null or if a slice cannot have this address and length.
fn checked(
    map: Option<&baremap_map>,
    buffer: *const c_void,
    len: usize,
) -> Result<&FileMap, Errno> {
    let map = non_null(map)?;
    match len {
        0 => Ok(&map.0),
        1..=MAX if buffer.is_null() => Err(Errno::EFAULT),
        1..=MAX => Ok(&map.0),
        _ => Err(Errno::EINVAL),
    }
}

/// The largest length of a slice.
const MAX: usize = isize::MAX as usize;

/// Returns the number of bytes before a fault, or the error if it is the first byte that faults.
fn count_before_fault(result: Result<usize, Fault>) -> Result<usize, Errno> {
    match result {
        Ok(count) => Ok(count),
        Err(fault) if fault.done() > 0 => Ok(fault.done()),
        Err(fault) => Err(fault.into()),
    }
}
