//! Calls of the architectures with 64-bit registers, where a file offset is an argument like
//! any other.
//!
//! All functions follow the raw convention: −4095 to −1 is an errno. Each is `unsafe` for what
//! its manual page requires of pointers and descriptors.

#![allow(dead_code, reason = "some architectures have functions of their own")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "each function passes its caller's requirements on"
)]

use linux_raw_sys::errno::ENOSYS;

use super::{failure, nr};
use crate::arch::{syscall2, syscall3, syscall4, syscall6};

pub use super::usual::*;

/// The structure that `fstat` and `newfstatat` fill.
pub use linux_raw_sys::general::stat as kernel_stat;
/// The structure that `fstatfs` fills.
pub use linux_raw_sys::general::statfs as kernel_statfs;

/// Whether metadata is read by `statx` rather than by `fstat`.
pub const STATX_FIRST: bool = false;

#[inline]
pub unsafe fn mmap(
    addr: usize,
    length: usize,
    prot: usize,
    flags: usize,
    fd: usize,
    offset: u64,
) -> usize {
    unsafe { syscall6(nr::mmap, addr, length, prot, flags, fd, offset as usize) }
}

#[inline]
pub unsafe fn ftruncate(fd: usize, length: u64) -> usize {
    unsafe { syscall2(nr::ftruncate, fd, length as usize) }
}

#[inline]
pub unsafe fn fallocate(fd: usize, mode: usize, offset: u64, length: u64) -> usize {
    unsafe { syscall4(nr::fallocate, fd, mode, offset as usize, length as usize) }
}

#[inline]
pub unsafe fn sync_file_range(fd: usize, offset: u64, length: u64, flags: usize) -> usize {
    let (offset, length) = (offset as usize, length as usize);
    match (nr::sync_file_range, nr::sync_file_range2) {
        (_, Some(number)) => unsafe { syscall4(number, fd, flags, offset, length) },
        (Some(number), None) => unsafe { syscall4(number, fd, offset, length, flags) },
        (None, None) => failure(ENOSYS),
    }
}

#[inline]
pub unsafe fn pread64(fd: usize, buf: usize, count: usize, offset: u64) -> usize {
    unsafe { syscall4(nr::pread64, fd, buf, count, offset as usize) }
}

#[inline]
pub unsafe fn pwrite64(fd: usize, buf: usize, count: usize, offset: u64) -> usize {
    unsafe { syscall4(nr::pwrite64, fd, buf, count, offset as usize) }
}

/// Writes the new position to `*position` and returns zero, or returns an errno.
#[inline]
pub unsafe fn lseek(fd: usize, offset: u64, position: &mut u64, whence: usize) -> usize {
    let result = unsafe { syscall3(nr::lseek, fd, offset as usize, whence) };
    if result > failure(4096) {
        return result;
    }
    *position = result as u64;
    0
}

#[inline]
pub unsafe fn fstat(fd: usize, stat: *mut kernel_stat) -> usize {
    unsafe { syscall2(nr::fstat, fd, stat.expose_provenance()) }
}

#[inline]
pub unsafe fn newfstatat(dir: usize, path: usize, stat: *mut kernel_stat, flags: usize) -> usize {
    unsafe { syscall4(nr::newfstatat, dir, path, stat.expose_provenance(), flags) }
}

#[inline]
pub unsafe fn fstatfs(fd: usize, stat: *mut kernel_statfs) -> usize {
    unsafe { syscall2(nr::fstatfs, fd, stat.expose_provenance()) }
}
