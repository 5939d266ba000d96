//! The kernel's calls, one function each, by the manual page's names.
//!
//! Each function is one system call, or says so where it is more. Arguments are
//! typed; sizes, offsets and times have 64 bits on every architecture; a result is
//! `Ok`, or the kernel's error as [`Errno`]. A call is `unsafe` where a wrong
//! argument could change memory that somebody else relies on.
//!
//! Under each function stands what it needs beside its manual page in section 2,
//! which is its source. Errors are listed where they come from this crate, or are
//! those that a user of mappings meets; the page has them all.
//!
//! An interrupted call returns `EINTR` and is not repeated here.

mod errno;
mod flags;
mod fs;
mod mm;
mod page;
mod pkey;
mod process;
mod procmap;
mod signal;
mod stat;
mod system;
mod time;

pub use errno::Errno;
pub use flags::*;
pub use fs::*;
pub use mm::*;
pub use page::page_size;
pub(crate) use page::set_page_size;
pub use pkey::*;
pub use process::*;
pub use procmap::*;
pub use signal::*;
pub use stat::{FileType, Stat, StatFs, fstat, fstatat, fstatfs, statx};
pub use system::{execve, mount, reboot, umount2};
pub use time::{ClockId, Timespec, clock_gettime, nanosleep};

/// Calls without types: a number, and up to six registers.
pub mod raw {
    pub use crate::arch::{
        clone, nr, syscall0, syscall1, syscall2, syscall3, syscall4, syscall5, syscall6,
    };
}

use crate::fd::{AsRawFd, BorrowedFd};

/// What every call returns.
pub type Result<T> = core::result::Result<T, Errno>;

/// A descriptor as the kernel takes it: a signed number in a register.
fn as_arg(fd: BorrowedFd<'_>) -> usize {
    fd.as_raw_fd() as usize
}

/// For calls whose result is zero or an error.
fn check_unit(result: usize) -> Result<()> {
    Errno::check(result).map(drop)
}
