//! Typed system calls, one function for each, named as in section 2 of the manual.
//!
//! Each function makes one system call, unless its documentation says that it makes more.
//! Arguments are typed. Sizes, offsets and times have 64 bits on every architecture. A function
//! returns `Ok`, or the kernel's error number as [`Errno`]. A function is `unsafe` if a wrong
//! argument could change memory that other code relies on.
//!
//! The source of each function is the page in section 2 of the manual that has its name;
//! another source is named. The documentation here adds what the page does not say. Its lists
//! of errors contain those that this crate returns itself and those that a user of mappings
//! meets; the page lists all errors.
//!
//! A call that a signal handler interrupts fails with `EINTR`. No function except [`write_all`]
//! repeats the call.

mod directory;
mod errno;
mod flags;
mod fs;
mod io;
mod mm;
mod page;
mod pkey;
mod process;
mod procmap;
mod signal;
mod stat;
mod system;
mod time;

pub use directory::*;
pub use errno::Errno;
pub use flags::*;
pub use fs::*;
pub use io::*;
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

/// Untyped system calls: each takes a number and up to six arguments, which are register values.
pub mod raw {
    pub use crate::arch::{
        clone, nr, syscall0, syscall1, syscall2, syscall3, syscall4, syscall5, syscall6,
    };
}

use crate::fd::{AsRawFd, BorrowedFd};

/// The result of a system call.
pub type Result<T> = core::result::Result<T, Errno>;

/// Returns a descriptor as the kernel takes it: a sign-extended number in a register.
fn as_arg(fd: BorrowedFd<'_>) -> usize {
    fd.as_raw_fd() as usize
}

/// Returns the error of a call whose result is zero or an error.
fn check_unit(result: usize) -> Result<()> {
    Errno::check(result).map(drop)
}
