//! Makes system calls, with one typed function for each, named as in section 2 of the manual.
//!
//! Each function makes one system call, unless its documentation says that it makes more.
//! Arguments are typed. Sizes, offsets and times have 64 bits on every architecture. A function
//! returns `Ok`, or the kernel's error number as [`Errno`]. A function is `unsafe` if a wrong
//! argument could change memory that other code relies on.
//!
//! The source of each function is the page in section 2 of the manual that has its name;
//! another source is named. The documentation here adds what the page does not say. Its lists
//! of errors contain the errors that this crate returns itself, and the errors that are usual in
//! programs that map files; the page lists all errors.
//!
//! A call that a signal handler interrupts fails with `EINTR`, unless the handler was installed with
//! [`SaFlags::RESTART`] and the kernel repeats the call; signal(7) lists the calls. No function here
//! except [`write_all`] repeats a call.

mod directory;
mod flags;
mod fs;
mod io;
mod mm;
mod page;
mod pkey;
mod process;
mod process_vm;
mod procmap;
mod signal;
mod stat;
mod system;
mod time;

pub(crate) use crate::arch::align_stack;
pub use crate::errno::{Errno, Result};
pub use directory::*;
pub use flags::*;
pub use fs::*;
pub use io::*;
pub use mm::*;
pub use page::page_size;
pub(crate) use page::set_page_size;
pub use pkey::*;
pub use process::*;
pub use process_vm::*;
pub use procmap::*;
pub use signal::*;
pub use stat::{FileType, Stat, StatFs, fstat, fstatat, fstatfs, statx, statx_attributes};
pub use system::{execve, mount, reboot, umount2};
pub use time::{ClockId, Timespec, clock_gettime, nanosleep};

/// Makes untyped system calls. Each function takes the number of a call and up to six arguments, and
/// returns a register.
pub mod raw {
    pub use crate::arch::{
        clone, nr, syscall0, syscall1, syscall2, syscall3, syscall4, syscall5, syscall6,
    };
    use crate::errno::{Errno, Result};

    /// Converts the register that a raw call returned.
    ///
    /// ```
    /// use baremap::syscall::{Errno, raw::{self, nr}};
    ///
    /// // SAFETY: the call has no effect on memory.
    /// let raw = unsafe { raw::syscall1(nr::close, usize::MAX) };
    /// assert_eq!(raw::check(raw), Err(Errno::EBADF));
    /// ```
    ///
    /// # Errors
    ///
    /// * The error number, if the register is from −4095 to −1, seen as a signed number. Source:
    ///   syscall(2).
    #[inline]
    pub const fn check(register: usize) -> Result<usize> {
        Errno::check(register)
    }
}

use crate::fd::{AsRawFd, BorrowedFd};

/// Returns a descriptor as the kernel takes it: a sign-extended number in a register.
fn as_arg(fd: BorrowedFd<'_>) -> usize {
    fd.as_raw_fd() as usize
}

/// Returns the error of a call whose result is zero or an error.
fn check_unit(result: usize) -> Result<()> {
    Errno::check(result).map(drop)
}
