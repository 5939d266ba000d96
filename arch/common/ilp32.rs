//! Calls of the architectures with 32-bit registers, where a file offset takes two registers,
//! and `mmap` takes the offset in units of 4096 bytes.
//!
//! The two registers contain the halves in the order in which memory would contain them. Where
//! `PAIRS_ALIGNED`, a pair begins at an even argument (counted from zero), after an unused
//! argument if necessary.
//!
//! All functions follow the raw convention: −4095 to −1 is an errno. Each is `unsafe` for what
//! its manual page requires of pointers and descriptors.

#![allow(dead_code, reason = "some architectures have functions of their own")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "each function passes its caller's requirements on"
)]

use linux_raw_sys::errno::{EINVAL, ENOSYS, EOVERFLOW};

use super::{failure, nr};
use crate::arch::{PAIRS_ALIGNED, syscall2, syscall3, syscall4, syscall5, syscall6};

pub use super::usual::*;

/// The structure that `fstat` and `newfstatat` fill, with sizes of 64 bits and times of 32 bits.
pub use linux_raw_sys::general::stat64 as kernel_stat;
/// The structure that `fstatfs` fills.
pub use linux_raw_sys::general::statfs64 as kernel_statfs;

/// Whether metadata is read by `statx` rather than by `fstat64`, which has times of 32 bits.
pub const STATX_FIRST: bool = true;

/// The binary logarithm of the unit of `mmap2`, which is 4096 bytes for every page size.
const MMAP2_SHIFT: u32 = 12;

/// Returns the two registers that contain `value`.
const fn pair(value: u64) -> [usize; 2] {
    let (low, high) = (value as usize, (value >> 32) as usize);
    if cfg!(target_endian = "big") { [high, low] } else { [low, high] }
}

/// Calls `mmap2`, after it checks that the offset can be passed in units of 4096 bytes.
///
/// Without the checks, the unit would round an offset down that is not a multiple of it, and would
/// truncate an offset of 2⁴⁴ or more. Where pages are larger than the unit, the kernel checks that
/// the offset is a multiple of the page size.
#[inline]
pub unsafe fn mmap(
    addr: usize,
    length: usize,
    prot: usize,
    flags: usize,
    fd: usize,
    offset: u64,
) -> usize {
    if offset % (1 << MMAP2_SHIFT) != 0 {
        return failure(EINVAL);
    }
    let Ok(units) = usize::try_from(offset >> MMAP2_SHIFT) else {
        return failure(EOVERFLOW);
    };
    unsafe { syscall6(nr::mmap2, addr, length, prot, flags, fd, units) }
}

#[inline]
pub unsafe fn ftruncate(fd: usize, length: u64) -> usize {
    let [a, b] = pair(length);
    if PAIRS_ALIGNED {
        unsafe { syscall4(nr::ftruncate64, fd, 0, a, b) }
    } else {
        unsafe { syscall3(nr::ftruncate64, fd, a, b) }
    }
}

#[inline]
pub unsafe fn fallocate(fd: usize, mode: usize, offset: u64, length: u64) -> usize {
    let ([a, b], [c, d]) = (pair(offset), pair(length));
    unsafe { syscall6(nr::fallocate, fd, mode, a, b, c, d) }
}

/// Makes the call whose flags come second, if the architecture has it. Where pairs are aligned, the
/// other one takes seven arguments, as on mips: then returns `ENOSYS`.
#[inline]
pub unsafe fn sync_file_range(fd: usize, offset: u64, length: u64, flags: usize) -> usize {
    let ([a, b], [c, d]) = (pair(offset), pair(length));
    match (nr::sync_file_range, nr::sync_file_range2) {
        (_, Some(number)) => unsafe { syscall6(number, fd, flags, a, b, c, d) },
        (Some(number), None) if !PAIRS_ALIGNED => unsafe {
            syscall6(number, fd, a, b, c, d, flags)
        },
        _ => failure(ENOSYS),
    }
}

#[inline]
pub unsafe fn pread64(fd: usize, buf: usize, count: usize, offset: u64) -> usize {
    unsafe { at_offset(nr::pread64, fd, buf, count, offset) }
}

#[inline]
pub unsafe fn pwrite64(fd: usize, buf: usize, count: usize, offset: u64) -> usize {
    unsafe { at_offset(nr::pwrite64, fd, buf, count, offset) }
}

#[inline]
unsafe fn at_offset(number: usize, fd: usize, buf: usize, count: usize, offset: u64) -> usize {
    let [a, b] = pair(offset);
    if PAIRS_ALIGNED {
        unsafe { syscall6(number, fd, buf, count, 0, a, b) }
    } else {
        unsafe { syscall5(number, fd, buf, count, a, b) }
    }
}

/// Writes the new position to `*position` and returns zero, or returns an errno.
///
/// On every architecture the high half comes first, because `_llseek` has one parameter for each.
#[inline]
pub unsafe fn lseek(fd: usize, offset: u64, position: &mut u64, whence: usize) -> usize {
    let (low, high) = (offset as usize, (offset >> 32) as usize);
    unsafe {
        syscall5(nr::_llseek, fd, high, low, (&raw mut *position).expose_provenance(), whence)
    }
}

/// Returns `ENOSYS` on riscv32, which has only `statx`.
#[inline]
pub unsafe fn fstat(fd: usize, stat: *mut kernel_stat) -> usize {
    match nr::fstat64 {
        Some(number) => unsafe { syscall2(number, fd, stat.expose_provenance()) },
        None => failure(ENOSYS),
    }
}

/// Returns `ENOSYS` on riscv32, which has only `statx`.
#[inline]
pub unsafe fn newfstatat(dir: usize, path: usize, stat: *mut kernel_stat, flags: usize) -> usize {
    match nr::fstatat64 {
        Some(number) => unsafe { syscall4(number, dir, path, stat.expose_provenance(), flags) },
        None => failure(ENOSYS),
    }
}

/// Calls `fstatfs64`, which also takes the size of the structure.
#[inline]
pub unsafe fn fstatfs(fd: usize, stat: *mut kernel_statfs) -> usize {
    unsafe { syscall3(nr::fstatfs64, fd, size_of::<kernel_statfs>(), stat.expose_provenance()) }
}
