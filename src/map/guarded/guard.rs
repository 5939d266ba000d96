//! Copies memory that may be missing, and returns an error where the process would be killed by
//! `SIGBUS` or `SIGSEGV`.
//!
//! ```
//! use baremap::map::guard;
//!
//! guard::install()?;
//! let (nowhere, mut byte) = (core::ptr::without_provenance(1), 0);
//! // SAFETY: `byte` is owned by this function, and nothing is mapped at the address 1.
//! let left = unsafe { guard::copy(nowhere, &mut byte, 1) };
//! assert_eq!(left, Err(1));
//! # Ok::<(), baremap::map::Error>(())
//! ```
//!
//! # How it works
//!
//! A thread that accesses a missing page receives `SIGBUS`: the file was truncated, its disk
//! failed or is full, or no huge page is free. A thread that accesses an address without a
//! mapping receives `SIGSEGV`. The handler for both signals checks two things:
//!
//! * **The instruction that faulted.** If it is in the loop of [`copy`], the handler continues
//!   the thread at the end of the loop, which returns the number of bytes that are left. The
//!   kernel copies from and to user memory in this way, too. No state is kept per thread or per
//!   copy, so that copies can be nested, and made in signal handlers. The exception are signal
//!   handlers that block these two signals. A handler for `SIGSEGV` blocks `SIGSEGV` unless it is
//!   installed with `SA_NODEFER`.
//! * **The address of the page**, for `SIGBUS` only. If it is in a map that is or was lent as a
//!   slice, by [`FileMap::with_slice`](crate::map::FileMap::with_slice) or
//!   [`GuardedMmap`](crate::map::GuardedMmap), the handler replaces the page and all pages of the
//!   map after it by zero pages, and records the offset. The table of these maps has no locks, and
//!   the handler finds a map in it by at most 13 steps, for any number of maps.
//!
//! # Signal ownership
//!
//! [`install`] installs the handler once per process, and remembers the previous signal actions.
//! The handler chains to the previous handler for every signal that it does not handle, with the
//! signal mask of the previous action. Without a previous handler, the kernel kills the process
//! as it would have without this library: by the same signal, at the same instruction, with a
//! core dump. If the previous handler resets the action and returns, the reset action applies to
//! all later signals that are not handled here.
//!
//! A thread that blocks `SIGBUS` is killed by a fault, because the kernel does not run the handler.
//! [`copy_without_signals`] works there. The handler blocks all signals while it runs, so that no
//! other handler can fault meanwhile. It runs on the alternate stack of the thread if there is one,
//! and so does the handler that it chains to.
//!
//! ## Other handlers
//!
//! A handler that is installed later receives the signals first. There are three ways to live with
//! it:
//!
//! * It chains to the handler that it replaced, with all three arguments. Nothing else is needed.
//! * It calls [`on_fault`], and returns if the result is `true`. This needs no chain.
//! * The program calls [`reinstall`], after which this handler is the first again. What it does not
//!   handle goes to the other handler, and then to the one that was there before. A handler that
//!   chains back to this one does not cause a recursion.
//!
//! [`is_installed`] and [`install`] return whether another handler has taken a signal.
//!
//! ## Libraries and applications
//!
//! The first use of [`FileMap`](crate::map::FileMap) or [`copy`] in a process installs the handler.
//! Linking this crate, or using its other types, does not. A library that uses a `FileMap` should
//! say so in its documentation, because signal handlers belong to the application.
//!
//! The application decides by [`set_policy`], at the beginning of `main`:
//!
//! * [`Policy::Install`], the default, lets the first use install the handler. To choose the moment,
//!   for example after a crash reporter is set up, call [`install`].
//! * [`Policy::Delegate`] installs nothing: the application has a handler of its own for both
//!   signals, which calls [`on_fault`].
//! * [`Policy::Forbid`] installs nothing. `FileMap` and `GuardedMmap` fail with `EPERM`, so that a
//!   library can fall back to read(2). [`copy`] fails, and [`copy_without_signals`] works.
//!
//! A shared library that contains this crate must not be unloaded with `dlclose` after the handler
//! has been installed.

use core::sync::atomic::{AtomicU32, Ordering::*};

use super::handler::SIGNALS;
pub use super::handler::on_fault;
use crate::arch;
use crate::syscall::{self, Errno, IoVec, SigHow, SigSet, Timespec, page_size};

/// Which handler receives the signals of faults first, as [`install`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Installation {
    /// The handler of this crate receives both signals first.
    First,
    /// Another handler was installed later, for at least one of the signals. Faults are errors only
    /// if it chains to this crate's handler or calls [`on_fault`].
    Replaced,
    /// The policy is [`Policy::Delegate`]: a handler of the application calls [`on_fault`].
    Delegated,
}

/// Selects which handler receives the signals of faults in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The handler of this crate is installed when it is first needed.
    #[default]
    Install,
    /// A handler of the application calls [`on_fault`]. The handler of this crate is not installed.
    ///
    /// Without such a handler, a fault kills the process.
    Delegate,
    /// No handler is installed, and access that needs one fails with `EPERM`.
    Forbid,
}

/// Installs the signal handler for `SIGBUS` and `SIGSEGV`, unless it is installed, and returns
/// whether it receives the signals first.
///
/// [`FileMap`](crate::map::FileMap) and [`copy`] install the handler when they are first used. A
/// program that forbids `rt_sigaction` by a seccomp filter calls this function before.
///
/// # Errors
///
/// * `EPERM` if the policy is [`Policy::Forbid`].
/// * `EPERM`, or another error that the filter returns, if a seccomp filter forbids `rt_sigaction`
///   or `rt_sigprocmask`.
pub fn install() -> crate::map::Result<Installation> {
    ready()?;
    Ok(if STATE.load(Acquire) == DELEGATED {
        Installation::Delegated
    } else if is_installed() {
        Installation::First
    } else {
        Installation::Replaced
    })
}

/// Returns whether the handler of this crate receives both signals first.
///
/// Asks the kernel, by two system calls. The result is `false` before the handler is installed,
/// after another handler was installed for one of the signals, and if a seccomp filter forbids
/// `rt_sigaction`.
#[must_use]
pub fn is_installed() -> bool {
    SIGNALS.iter().all(|signal| signal.is_first())
}

/// Installs the handler again if another handler has taken one of the signals since. Installs it
/// for the first time if it was not installed.
///
/// The handler then receives the signals first. It chains to the other handler for every signal that
/// it does not handle. If that one chains back to this one, it chains to the handler that was there
/// before. This does not recurse, however often handlers replace each other. A handler that takes the
/// signal again counts as the newest.
///
/// Call it once, when all other libraries are set up. A library that calls it whenever it has lost a
/// signal can compete with another one that does the same.
///
/// # Errors
///
/// * `EPERM` if the policy is [`Policy::Forbid`], and `EBUSY` if it is [`Policy::Delegate`].
/// * `EBUSY` if four different handlers have taken the signal before.
/// * `EPERM`, or another error that the filter returns, if a seccomp filter forbids `rt_sigaction`
///   or `rt_sigprocmask`.
pub fn reinstall() -> crate::map::Result<()> {
    exclusively(|state| match state {
        DELEGATED => (state, Err(Errno::EBUSY)),
        FORBIDDEN => (state, Err(Errno::EPERM)),
        _ => install_for_both(state),
    })
}

/// Sets who handles the signals of faults. Call it before the first use of a
/// [`FileMap`](crate::map::FileMap).
///
/// The policy applies to maps that are made later. Maps that were made while it was
/// [`Policy::Delegate`] rely on the application's handler as long as they exist.
///
/// # Errors
///
/// * `EBUSY` if the handler is installed, and `policy` is not [`Policy::Install`].
/// * An error of rt_sigprocmask(2) if a seccomp filter forbids it.
pub fn set_policy(policy: Policy) -> crate::map::Result<()> {
    exclusively(|state| match policy {
        Policy::Install if state == READY => (READY, Ok(())),
        Policy::Install => (NOT_YET, Ok(())),
        _ if state == READY => (READY, Err(Errno::EBUSY)),
        Policy::Delegate => (DELEGATED, Ok(())),
        Policy::Forbid => (FORBIDDEN, Ok(())),
    })
}

/// Copies `len` bytes from `from` to `to`, in ascending order, and stops at the first byte that
/// cannot be read or written.
///
/// A copy of zero bytes is a no-op with any addresses. Other threads and processes may change the
/// bytes at the same time. If the ranges overlap, the contents of `to` are unspecified
/// afterwards.
///
/// On x86_64 the copy is as fast as `memcpy`. On processors that need aligned words, it is fastest
/// if both addresses have equal alignment; otherwise riscv and arm copy words, and mips and
/// loongarch64 copy bytes.
///
/// # Errors
///
/// The number of bytes that were not copied. The preceding bytes were copied; this number of
/// bytes at the end were not. If a page was lost during the copy, fewer than 256 bytes after the
/// copied ones may have been copied, too. The number is `len` if the handler cannot be
/// [installed](install).
///
/// # Safety
///
/// * The program has no reference to memory in the range from `to` on, except the one that `to` was
///   made from.
/// * The program has no `&mut` reference to memory in the range from `from` on, except the one that
///   `from` was made from.
///
/// The ranges need not be mapped.
#[inline]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) -> Result<(), usize> {
    if STATE.load(Acquire) < DELEGATED {
        // SAFETY: the caller has no conflicting references.
        return unsafe { install_and_copy(from, to, len) };
    }
    // SAFETY: the caller has no conflicting references, and the handler is installed.
    unsafe { copy_installed(from, to, len) }
}

/// Copies like [`copy`], after installing the handler.
///
/// # Safety
///
/// * The caller meets the requirements of [`copy`].
#[cold]
#[inline(never)]
unsafe fn install_and_copy(from: *const u8, to: *mut u8, len: usize) -> Result<(), usize> {
    if install_once().is_err() {
        return Err(len);
    }
    // SAFETY: the caller has no conflicting references, and the handler is installed.
    unsafe { copy_installed(from, to, len) }
}

/// Copies like [`copy`], in a process in which the handler is known to be installed.
///
/// # Safety
///
/// * [`ready`] has succeeded in this process.
/// * The caller meets the requirements of [`copy`].
#[inline(always)]
pub(super) unsafe fn copy_installed(from: *const u8, to: *mut u8, len: usize) -> Result<(), usize> {
    // SAFETY: the caller has no conflicting references, and the handler is installed.
    match unsafe { arch::guarded_copy(to, from, len) } {
        0 => Ok(()),
        left => Err(left),
    }
}

/// Copies `len` bytes from `from` to `to` by a system call, in ascending order, and stops at the
/// first page that cannot be read or written. Works where no signal handler can run.
///
/// Use it in a thread or a signal handler that blocks `SIGBUS` or `SIGSEGV`, and in a process in
/// which the [policy](set_policy) forbids a handler. The kernel copies the bytes, by
/// process_vm_readv(2) on this process itself. A call takes some microseconds, so that [`copy`] is
/// preferable where signals are handled.
///
/// Returns the number of bytes that were copied. It is less than `len` if a page after the first
/// byte cannot be read or written. A copy of zero bytes is a no-op with any addresses. Other
/// threads and processes may change the bytes at the same time. If the ranges overlap, the contents
/// of `to` are unspecified afterwards.
///
/// # Errors
///
/// * `EFAULT` if the first byte cannot be read or written.
/// * `ENOSYS` if the kernel was built without `CONFIG_CROSS_MEMORY_ATTACH`, and under qemu-user.
/// * `EPERM`, or another error that the filter returns, if a seccomp filter forbids the call.
///
/// # Safety
///
/// * The program has no reference to memory in the range from `to` on, except the one that `to` was
///   made from.
/// * The program has no `&mut` reference to memory in the range from `from` on, except the one that
///   `from` was made from.
///
/// The ranges need not be mapped.
#[doc(alias = "process_vm_readv")]
pub unsafe fn copy_without_signals(
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> crate::map::Result<usize> {
    // SAFETY: the caller meets these requirements.
    match unsafe { copy_by_kernel(from, to, len) } {
        (0, Some(errno)) => Err(errno),
        (done, _) => Ok(done),
    }
}

/// Copies bytes by process_vm_readv(2). Returns their number, and the error of the next one.
///
/// The kernel may report fewer bytes than it could copy before a missing page: on arm (Linux 6.1), it
/// copies several words at once, and of nine bytes reported one. So a call that has not copied
/// everything is followed by one for the rest of the page.
///
/// # Safety
///
/// * The requirements of [`copy_without_signals`].
pub(super) unsafe fn copy_by_kernel(
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> (usize, Option<Errno>) {
    let mut done = 0;
    let mut in_page = false;
    while done < len {
        let (from, to, rest) = (from.wrapping_add(done), to.wrapping_add(done), len - done);
        let left_of_page = |address: usize| page_size() - address % page_size();
        let page = rest.min(left_of_page(from.addr())).min(left_of_page(to.addr()));
        let len = if in_page { page } else { rest };
        let (local, remote) = ([IoVec { base: to, len }], [IoVec { base: from.cast_mut(), len }]);
        // SAFETY: the caller allows to write to the local range, or it is not mapped. The other
        // process is this one.
        match unsafe { syscall::process_vm_readv(syscall::getpid(), &local, &remote) } {
            Ok(count @ 1..) => {
                done += count;
                in_page = count < len;
            }
            Ok(_) | Err(Errno::EFAULT) if len > page => in_page = true,
            result => return (done, Some(result.err().unwrap_or(Errno::EFAULT))),
        }
    }
    (done, None)
}

/// The state of the installation: one of the constants, or, while a thread changes it, the number of
/// its process, which is smaller.
static STATE: AtomicU32 = AtomicU32::new(NOT_YET);
const NOT_YET: u32 = 0;
const FORBIDDEN: u32 = u32::MAX - 2;
const DELEGATED: u32 = u32::MAX - 1;
const READY: u32 = u32::MAX;

/// Installs the handler if it is not installed, unless the application has one of its own.
#[inline]
pub(crate) fn ready() -> syscall::Result<()> {
    if STATE.load(Acquire) >= DELEGATED { Ok(()) } else { install_once() }
}

#[cold]
fn install_once() -> syscall::Result<()> {
    exclusively(|state| match state {
        NOT_YET => install_for_both(state),
        FORBIDDEN => (state, Err(Errno::EPERM)),
        _ => (state, Ok(())), // Another thread was faster.
    })
}

/// Installs the handler for both signals. Returns the new state, which is the old one after an
/// error.
fn install_for_both(state: u32) -> (u32, syscall::Result<()>) {
    let result = SIGNALS.iter().try_for_each(|signal| signal.install());
    (if result.is_ok() { READY } else { state }, result)
}

/// The time for which a thread that waits for another one sleeps, and the number of times. A thread
/// that only yielded would never let a thread of a lower real-time priority run.
const NAP: Timespec = Timespec { sec: 0, nsec: 100_000 };
const NAPS: u32 = 10_000;

/// Calls a function with the state, in one thread at a time, and stores the state that it returns.
///
/// The function takes some microseconds. If another thread has not finished it after about a second,
/// it probably does not exist: a child in a PID namespace of its own can have the number of its parent,
/// and the parent was forked while one of its threads changed the state. If that thread does exist,
/// two threads install the handler at the same time. The handler works then, too. It may call the
/// handler that it replaced twice, and the later of two policies may not be the one that is kept.
fn exclusively(function: impl FnOnce(u32) -> (u32, syscall::Result<()>)) -> syscall::Result<()> {
    arch::prepare_copy();
    // All signals are blocked, because a signal handler that interrupted this function and called
    // it would wait for its own thread.
    // SAFETY: the mask is restored before this function returns.
    let mask = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&SigSet::full()))? };
    let process = syscall::getpid() as u32;
    let mut state = STATE.load(Acquire);
    let mut naps = 0;
    let result = loop {
        if state == process && naps < NAPS {
            // Another thread of this process changes the state. If a seccomp filter forbids to
            // sleep, the time is shorter.
            let _ = syscall::nanosleep(NAP);
            naps += 1;
            state = STATE.load(Acquire);
            continue;
        }
        match STATE.compare_exchange(state, process, AcqRel, Acquire) {
            Ok(_) => {
                // The number of another process means that this one was forked while a thread of
                // its parent changed the state. That thread does not exist here.
                let (new, result) = function(if state < FORBIDDEN { NOT_YET } else { state });
                STATE.store(new, Release);
                break result;
            }
            Err(other) => state = other,
        }
    };
    // SAFETY: this restores the mask of the thread.
    unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&mask))? };
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::{Resource, Rlimit, WaitFlags, WaitStatus};

    /// A child in a PID namespace of its own can have the number of its parent, and one thread of the
    /// parent may have changed the state at the moment of the fork.
    #[test]
    fn a_thread_that_does_not_exist_is_not_waited_for_forever() {
        // SAFETY: the child makes only system calls.
        let Some(child) = (unsafe { syscall::fork() }).unwrap() else {
            // Waiting by spinning ends here.
            let limit = Rlimit { current: 2, maximum: 2 };
            let limited = syscall::prlimit(0, Resource::CPU, Some(limit)).is_ok();
            STATE.store(syscall::getpid() as u32, Release);
            let result = if limited { install_once() } else { Err(Errno::EPERM) };
            syscall::exit_group(i32::from(result.is_err() || STATE.load(Acquire) != READY))
        };
        let (_, status) = syscall::waitid(Some(child), WaitFlags::EXITED).unwrap().unwrap();
        assert_eq!(status, WaitStatus::Exited(0));
    }
}
