//! Removes the temporary name of a copy if a signal ends the process.

use core::{
    ffi::{CStr, c_int},
    ptr,
    sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering::*},
};

use linux_raw_sys::general::{SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};

use super::{
    ProcessControl,
    leftover::{Owner, remove_unlocked},
};
use crate::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use crate::syscall::{
    self, Disposition, Flock, SaFlags, SigHow, SigSet, Sigaction, Signal, align_stack,
    rt_sigaction, rt_sigprocmask,
};

/// Blocks all signals in this thread until the guard is dropped, except `SIGKILL` and `SIGSTOP`,
/// which cannot be blocked.
pub struct SignalMaskGuard(Option<SigSet>);

/// Blocks signals, so that a change of the temporary name and the record of it are one step for the
/// signal handler.
#[inline(never)]
pub fn hold() -> SignalMaskGuard {
    // SAFETY: the mask is restored when the guard is dropped.
    SignalMaskGuard(unsafe { rt_sigprocmask(SigHow::SETMASK, Some(&SigSet::full())) }.ok())
}

impl Drop for SignalMaskGuard {
    #[inline(never)]
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // SAFETY: this is the mask from before the guard was made.
            let _ = unsafe { rt_sigprocmask(SigHow::SETMASK, Some(before)) };
        }
    }
}

/// The name that the handler removes, or null.
static NAME: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// The descriptor of the directory of [`NAME`].
static DIR: AtomicI32 = AtomicI32::new(0);

/// The descriptor of the file with the name [`NAME`].
static FILE: AtomicI32 = AtomicI32::new(0);

/// Whether the handler is installed.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// One bit for each signal whose default action does not end the process. Source: signal(7).
const HARMLESS: u32 = 1 << SIGCHLD
    | 1 << SIGCONT
    | 1 << SIGTSTP
    | 1 << SIGTTIN
    | 1 << SIGTTOU
    | 1 << SIGURG
    | 1 << SIGWINCH;

/// Registers a name to be removed if a signal ends the process.
///
/// The first call installs a handler for each signal whose default action ends the process. The
/// handler removes the name, and ends the process by the signal's default action. Signals that the
/// program handles or ignores keep their action.
///
/// # Safety
///
/// * `file` and `dir` stay open, and `name` stays valid and unchanged, until [`forget`] is called
///   with `name`.
/// * All signals are blocked by [`hold`] during the call.
#[cold]
#[inline(never)]
pub unsafe fn remove_on_signal(
    _: ProcessControl,
    file: BorrowedFd<'_>,
    dir: BorrowedFd<'_>,
    name: &CStr,
) {
    FILE.store(file.as_raw_fd(), Release);
    DIR.store(dir.as_raw_fd(), Release);
    NAME.store(name.as_ptr().cast_mut().cast(), Release);
    if INSTALLED.swap(true, Relaxed) {
        return;
    }
    let action = Sigaction {
        disposition: Disposition::Handler(end),
        // The signal that the handler raises has its default action without another call.
        flags: SaFlags::RESETHAND,
        mask: SigSet::full(),
    };
    for number in 1..=8 * size_of::<SigSet>() as u32 {
        if HARMLESS.checked_shr(number).is_some_and(|bits| bits & 1 != 0) {
            continue;
        }
        // SAFETY: the handler is async-signal-safe: it only makes system calls. `ProcessControl` is
        // the permission to install handlers. For SIGKILL and SIGSTOP the call is EINVAL.
        let before = unsafe { rt_sigaction(Signal(number), Some(&action)) };
        if let Ok(before) = before
            && !matches!(before.disposition, Disposition::Default)
        {
            // SAFETY: this restores the previous action. The signal has been blocked since the
            // action was replaced, so the handler has not run.
            let _ = unsafe { rt_sigaction(Signal(number), Some(&before)) };
        }
    }
}

/// Unregisters `name`. Does nothing if another name is registered.
pub fn forget(name: &CStr) {
    let own = name.as_ptr().cast_mut().cast();
    let _ = NAME.compare_exchange(own, ptr::null_mut(), AcqRel, Relaxed);
}

/// Unregisters any name. A worker process calls it, because the first process removes the name.
pub fn forget_all() {
    NAME.store(ptr::null_mut(), Release);
}

/// The signal handler: removes the registered name, and ends the process by the signal, whose action
/// is the default one again.
unsafe extern "C" fn end(number: c_int) {
    align_stack();
    let name = NAME.load(Acquire);
    if !name.is_null() {
        // SAFETY: the caller of `remove_on_signal` keeps the C string valid and the descriptors open
        // while the name is registered. The process ends below, so nothing uses the closed one.
        let (name, dir, file) = unsafe {
            let file = OwnedFd::from_raw_fd(FILE.load(Acquire));
            (CStr::from_ptr(name.cast()), BorrowedFd::borrow_raw(DIR.load(Acquire)), file)
        };
        // Worker processes share the lock, and may still have the file open.
        let _ = syscall::flock(file.as_fd(), Flock::UNLOCK);
        drop(file);
        let _ = remove_unlocked(dir, name, Owner::Own);
    }
    let signal = Signal(number as u32);
    let _ = syscall::raise(signal);
    // SAFETY: the process ends here or in the next call, so no code depends on the mask.
    let _ = unsafe { rt_sigprocmask(SigHow::SETMASK, Some(&SigSet::empty())) };
    // The kernel ignores a signal with the default action that PID 1 of a PID namespace sends to
    // itself. The copy cannot continue without its temporary name, so the process exits.
    syscall::exit_group(128 + number);
}
