//! Extended attributes of files of any type.
//!
//! The kernel's calls on a descriptor do not take one that is open as a path, which is the only kind
//! that a symbolic link, a socket or a device has here. The link in `/proc` leads to such a file.

use core::ffi::CStr;

use linux_raw_sys::general::{__NR_getxattr, __NR_listxattr, __NR_removexattr, __NR_setxattr};

use super::temporary::proc_path;
use crate::fd::{AsRawFd, BorrowedFd};
use crate::syscall::raw::{nr, syscall5};
use crate::syscall::{Errno, Result};

/// Lists the names of a file's extended attributes. Source: listxattr(2).
pub fn list(file: BorrowedFd<'_>, buf: &mut [u8]) -> Result<usize> {
    let (to, room) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the buffer is borrowed exclusively during the call.
    unsafe { call(nr::flistxattr, __NR_listxattr, file, [to, room, 0]) }
}

/// Reads an extended attribute. Source: getxattr(2).
pub fn get(file: BorrowedFd<'_>, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    let (to, room) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the name is a C string, and the buffer is borrowed exclusively during the call.
    unsafe { call(nr::fgetxattr, __NR_getxattr, file, [address(name), to, room]) }
}

/// Sets an extended attribute. Source: setxattr(2).
pub fn set(file: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    let (from, count) = (value.as_ptr().expose_provenance(), value.len());
    // SAFETY: the name is a C string, and the value is borrowed, so it does not change.
    unsafe { call(nr::fsetxattr, __NR_setxattr, file, [address(name), from, count]) }.map(drop)
}

/// Removes an extended attribute. Source: removexattr(2).
pub fn remove(file: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    // SAFETY: the name is a C string.
    unsafe { call(nr::fremovexattr, __NR_removexattr, file, [address(name), 0, 0]) }.map(drop)
}

fn address(name: &CStr) -> usize {
    name.as_ptr().expose_provenance()
}

/// Makes the call whose number is `by_fd` for a descriptor, or the one whose number is `by_path` for
/// its link in `/proc` if the descriptor is open as a path.
///
/// # Safety
///
/// * Both calls are the same call of extended attributes.
/// * The arguments after the file are valid for this call. A call with fewer ignores the others.
#[inline(never)]
unsafe fn call(
    by_fd: usize,
    by_path: u32,
    file: BorrowedFd<'_>,
    rest: [usize; 3],
) -> Result<usize> {
    let [a, b, c] = rest;
    let call = |number, file| {
        // SAFETY: the caller's promise, and `file` is a descriptor or a C string, as the call takes
        // it. The fifth argument are the flags of setxattr(2).
        Errno::check(unsafe { syscall5(number, file, a, b, c, 0) })
    };
    match call(by_fd, file.as_raw_fd() as usize) {
        Err(Errno::EBADF) => {
            let path = proc_path(file.as_raw_fd())?;
            call(by_path as usize, address(path.as_c_str()))
        }
        result => result,
    }
}
