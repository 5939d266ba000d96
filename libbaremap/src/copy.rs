//! Copies memory whose pages may be missing.

use core::ffi::c_void;

use baremap::{map::guard, syscall::Errno};

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

/// Copies `len` bytes like baremap_copy(), by a system call, which works where no signal handler can
/// run: in a thread that blocks SIGBUS, and where the policy forbids a handler. Returns the number
/// of bytes before the first one that is missing.
///
/// A call takes some microseconds. Source: process_vm_readv(2), on the process itself.
///
/// Errors:
///
/// * -EFAULT if the first byte cannot be read or written.
/// * -EINVAL if `len` is more than SSIZE_MAX.
/// * -ENOSYS if the kernel was built without CONFIG_CROSS_MEMORY_ATTACH, and under qemu-user.
/// * -EPERM, or another error of the filter, if a seccomp filter forbids the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_read_blocked(
    to: *mut c_void,
    from: *const c_void,
    len: usize,
) -> ssize_t {
    if len > isize::MAX as usize {
        return count(Err(Errno::EINVAL));
    }
    // SAFETY: the program is in C and has no references.
    count(unsafe { guard::copy_without_signals(from.cast(), to.cast(), len) })
}
