//! What a signal that ends the program must not leave behind: a file by its temporary name.

use core::{
    ffi::{CStr, c_int},
    ptr,
    sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering::*},
};

use linux_raw_sys::general::{SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};

use super::ProcessControl;
use crate::fd::{AsRawFd, BorrowedFd};
use crate::syscall::{
    self, AtFlags, Disposition, SaFlags, SigHow, SigSet, Sigaction, Signal, rt_sigaction,
    rt_sigprocmask,
};

/// Blocks all signals that can be blocked in this thread, until it is dropped.
pub struct SignalMaskGuard(Option<SigSet>);

/// Blocks signals for the time of a few calls.
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

/// The name that is to be removed, and its directory; null if there is none.
static NAME: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static DIR: AtomicI32 = AtomicI32::new(0);

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

/// Removes a name if a signal ends the process, which then ends as it would have without this.
/// Signals that the program handles or ignores keep their action.
///
/// # Safety
///
/// Both arguments live until [`forget`] is called with that name. Signals are [held](hold).
#[cold]
#[inline(never)]
pub unsafe fn remove_on_signal(_: ProcessControl, dir: BorrowedFd<'_>, name: &CStr) {
    DIR.store(dir.as_raw_fd(), Release);
    NAME.store(name.as_ptr().cast_mut().cast(), Release);
    if INSTALLED.swap(true, Relaxed) {
        return;
    }
    let action = Sigaction {
        disposition: Disposition::Handler(end),
        flags: SaFlags::empty(),
        mask: SigSet::full(),
    };
    for number in 1..=8 * size_of::<SigSet>() as u32 {
        if HARMLESS.checked_shr(number).is_some_and(|bits| bits & 1 != 0) {
            continue;
        }
        // SAFETY: the handler makes system calls alone, and the process is the caller's to
        // change. SIGKILL and SIGSTOP cannot be handled, which is an error of the call.
        let before = unsafe { rt_sigaction(Signal(number), Some(&action)) };
        if let Ok(before) = before
            && !matches!(before.disposition, Disposition::Default)
        {
            // SAFETY: this is the action from before, and the signal has been blocked since.
            let _ = unsafe { rt_sigaction(Signal(number), Some(&before)) };
        }
    }
}

/// Leaves a name alone from now on.
pub fn forget(name: &CStr) {
    let own = name.as_ptr().cast_mut().cast();
    let _ = NAME.compare_exchange(own, ptr::null_mut(), AcqRel, Relaxed);
}

/// Leaves the name alone in a worker process: the process that forked it removes the name.
pub fn forget_all() {
    NAME.store(ptr::null_mut(), Release);
}

unsafe extern "C" fn end(number: c_int) {
    let name = NAME.load(Acquire);
    if !name.is_null() {
        // SAFETY: the promise of `remove_on_signal`: a C string, and an open descriptor.
        let (name, dir) =
            unsafe { (CStr::from_ptr(name.cast()), BorrowedFd::borrow_raw(DIR.load(Acquire))) };
        let _ = syscall::unlinkat(dir, name, AtFlags::empty());
    }
    let signal = Signal(number as u32);
    let action = Sigaction {
        disposition: Disposition::Default,
        flags: SaFlags::empty(),
        mask: SigSet::empty(),
    };
    // SAFETY: the default action is no function.
    let _ = unsafe { rt_sigaction(signal, Some(&action)) };
    let _ = syscall::raise(signal);
    // SAFETY: nothing comes after it.
    let _ = unsafe { rt_sigprocmask(SigHow::SETMASK, Some(&SigSet::empty())) };
    // The first process of a PID namespace outlives signals with the default action. Without its
    // name, the copy cannot go on.
    syscall::exit_group(128 + number);
}
