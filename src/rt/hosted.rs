//! What `std` needs of libc where it is linked into a freestanding program.
//!
//! Cargo builds the packages of a workspace with one set of features, so a hosted member that
//! asks for the feature `std` turns it on for a freestanding member as well. The descriptors are
//! then those of the standard library, which closes and duplicates them by functions of libc. No
//! libc is loaded into such a program: it has these functions from here.

use core::{
    ffi::c_int,
    sync::atomic::{AtomicI32, Ordering::Relaxed},
};

use crate::syscall::{Errno, raw};

/// The `errno` of the program's one thread.
static ERRNO: AtomicI32 = AtomicI32::new(0);

/// Returns where `errno` is kept. Source: errno(3).
#[must_use]
pub fn errno_location() -> *mut c_int {
    ERRNO.as_ptr()
}

/// Converts a kernel's result to a result of libc's.
fn result(register: usize) -> c_int {
    match Errno::check(register) {
        Ok(value) => value as c_int,
        Err(errno) => {
            ERRNO.store(errno.number().into(), Relaxed);
            -1
        }
    }
}

/// Closes a descriptor. Source: close(2).
///
/// # Safety
///
/// The caller owns the descriptor and does not use it again.
#[must_use]
pub unsafe fn close(fd: c_int) -> c_int {
    // SAFETY: the caller's promise.
    result(unsafe { raw::syscall1(raw::nr::close, fd as usize) })
}

/// Duplicates a descriptor or asks for its flags. Source: fcntl(2).
///
/// # Safety
///
/// The caller's argument is what the command takes.
#[must_use]
pub unsafe fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller's promise.
    result(unsafe { raw::syscall3(raw::nr::fcntl, fd as usize, command as usize, argument) })
}
