//! Copies memory whose pages may be missing.

use core::ffi::c_void;

use crate::support::{copy, count, ssize_t};

/// Copies `len` bytes from memory that may be missing, such as a mapped file, to a buffer. Returns
/// the number of bytes before the first one that is missing.
///
/// The two ranges may be anywhere, and need not be mapped. Other threads and processes may change
/// the bytes meanwhile. If the ranges overlap, the contents of `to` are unspecified afterwards.
///
/// Errors:
///
/// * -EFAULT if the first byte cannot be read or written.
/// * -EINVAL if `len` is more than SSIZE_MAX.
/// * An error of baremap_install().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_read(to: *mut c_void, from: *const c_void, len: usize) -> ssize_t {
    // SAFETY: the program is in C and has no references.
    count(unsafe { copy(to.cast(), from.cast(), len) })
}

/// Copies `len` bytes from a buffer to memory that may be missing or have no room on the disk, such
/// as a mapped file. Returns the number of bytes before the first one that is missing.
///
/// The two ranges may be anywhere, and need not be mapped. If the ranges overlap, the contents of
/// `to` are unspecified afterwards.
///
/// Errors:
///
/// * -EFAULT if the first byte cannot be read or written.
/// * -EINVAL if `len` is more than SSIZE_MAX.
/// * An error of baremap_install().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_write(
    to: *mut c_void,
    from: *const c_void,
    len: usize,
) -> ssize_t {
    // SAFETY: the program is in C and has no references.
    count(unsafe { copy(to.cast(), from.cast(), len) })
}

/// Copies `len` bytes between two ranges of memory that may both be missing, such as two mapped
/// files. Returns the number of bytes before the first one that is missing.
///
/// The two ranges may be anywhere, and need not be mapped. If the ranges overlap, the contents of
/// `to` are unspecified afterwards.
///
/// Errors:
///
/// * -EFAULT if the first byte cannot be read or written.
/// * -EINVAL if `len` is more than SSIZE_MAX.
/// * An error of baremap_install().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_copy(to: *mut c_void, from: *const c_void, len: usize) -> ssize_t {
    // SAFETY: the program is in C and has no references.
    count(unsafe { copy(to.cast(), from.cast(), len) })
}
