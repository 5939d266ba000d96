//! Checks in a child process, for what ends, limits or changes a whole process.
//!
//! A child has one thread. It must neither allocate nor print as the standard library does: another
//! thread of the parent may have held the lock of the allocator or of standard error at the moment
//! of the fork, and no thread of the child releases it.

#![allow(dead_code, unused_macros, unused_imports, reason = "no test uses all of it")]

use std::{fmt, io::Write, panic::Location};

use baremap::{
    fd::BorrowedFd,
    syscall::{self, Errno, Pid, WaitFlags, WaitStatus},
};
use linux_raw_sys::{general::SIGKILL, prctl::PR_SET_PDEATHSIG};

/// A check that failed in a child.
pub struct Failure {
    what: &'static str,
    errno: Option<Errno>,
    location: &'static Location<'static>,
}

impl Failure {
    #[track_caller]
    pub fn new(what: &'static str) -> Failure {
        Failure { what, errno: None, location: Location::caller() }
    }
}

/// The error of a call that should have succeeded, and was followed by `?`.
impl<E: Into<Errno>> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Failure {
        Failure { errno: Some(error.into()), ..Failure::new("the call fails") }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.what)?;
        self.errno.map_or(Ok(()), |errno| write!(f, " with {errno:?}"))
    }
}

/// Returns a [`Failure`] from the child's function unless a condition holds.
macro_rules! check {
    ($condition:expr $(,)?) => {
        if !$condition {
            return Err(Failure::new(concat!("this does not hold: ", stringify!($condition))));
        }
    };
}
pub(crate) use check;

/// The result of a child's function: an exit status, or the result of its checks.
pub trait Exit {
    /// Returns the exit status. Writes a failed check to standard error, because the process that
    /// panics is another one.
    fn status(self) -> i32;
}

impl Exit for i32 {
    fn status(self) -> i32 {
        self
    }
}

impl Exit for Result<(), Failure> {
    fn status(self) -> i32 {
        let Err(failure) = self else { return 0 };
        let mut text = [0; 512];
        let mut rest = &mut text[..];
        let _ = writeln!(rest, "in a child: {failure}");
        let len = 512 - rest.len();
        // SAFETY: tests leave standard error open.
        let _ = syscall::write(unsafe { BorrowedFd::borrow_raw(2) }, &text[..len]);
        1
    }
}

/// Starts a child, which exits with what `body` returns, and ends no later than this thread.
pub fn start<E: Exit>(body: impl FnOnce() -> E) -> Pid {
    // SAFETY: the callers' functions neither allocate nor take a lock.
    match unsafe { syscall::fork() }.expect("fork") {
        Some(pid) => pid,
        None => {
            // SAFETY: only sets an attribute of the child.
            let _ = unsafe { syscall::prctl(PR_SET_PDEATHSIG, [SIGKILL as usize, 0, 0, 0]) };
            syscall::exit_group(body().status())
        }
    }
}

/// Waits for a child, and returns how it ended.
pub fn wait(pid: Pid) -> WaitStatus {
    let (waited, status) = syscall::waitid(Some(pid), WaitFlags::EXITED).unwrap().unwrap();
    assert_eq!(waited, pid);
    status
}

/// Runs `body` in a child, and returns how the child ended.
pub fn child<E: Exit>(body: impl FnOnce() -> E) -> WaitStatus {
    wait(start(body))
}

/// Runs checks in a child. Panics if one fails, which standard error names.
#[track_caller]
pub fn in_child(body: impl FnOnce() -> Result<(), Failure>) {
    let status = child(body);
    assert_eq!(status, WaitStatus::Exited(0), "standard error has the check that failed");
}
