//! Implements the libc functions that `std` calls when it is linked into a freestanding program.
//!
//! Cargo unifies features across the packages of a workspace, so a hosted member that enables the
//! feature `std` enables it for a freestanding member too. The types of the module `fd` are then
//! those of the standard library, which closes and duplicates descriptors with functions of libc.
//! No libc is loaded into a freestanding program, so [`entry!`](crate::entry) defines these
//! functions with the implementations in this module.

use core::{
    ffi::c_int,
    sync::atomic::{AtomicI32, Ordering::Relaxed},
};

use crate::syscall::{Errno, raw};

/// The value of `errno`. All threads share it, because the runtime has no thread-local storage. Only
/// closing and duplicating a descriptor set it.
static ERRNO: AtomicI32 = AtomicI32::new(0);

/// Returns the address of `errno`. Source: errno(3).
#[must_use]
pub fn errno_location() -> *mut c_int {
    ERRNO.as_ptr()
}

/// Converts the result of a system call to libc's convention: sets `errno` and returns -1 if the
/// system call failed.
fn result(register: usize) -> c_int {
    match Errno::check(register) {
        Ok(value) => value as c_int,
        Err(errno) => {
            ERRNO.store(errno.number().into(), Relaxed);
            -1
        }
    }
}

/// Closes a descriptor. Returns zero, or -1 with `errno` set. Source: close(2).
///
/// # Safety
///
/// * The caller owns `fd`.
/// * `fd` is not used after this call, even if it fails.
#[must_use]
pub unsafe fn close(fd: c_int) -> c_int {
    // SAFETY: the caller owns the descriptor and does not use it again.
    result(unsafe { raw::syscall1(raw::nr::close, fd as usize) })
}

/// Performs `command` on a descriptor, for example duplicates it or returns its flags. Returns the
/// command's result, or -1 with `errno` set. Source: fcntl(2).
///
/// # Safety
///
/// * `argument` is valid for `command`. If it is a pointer, the memory is valid for the access that
///   `command` makes.
/// * The caller owns `fd`, or `command` does not change it.
#[must_use]
pub unsafe fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller passes an argument that is valid for the command.
    result(unsafe { raw::syscall3(raw::nr::fcntl, fd as usize, command as usize, argument) })
}
