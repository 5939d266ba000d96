//! What a signal that ends the program must not leave behind: a file by its temporary name.

use core::{
    ffi::{CStr, c_int},
    ptr,
    sync::atomic::{AtomicI32, AtomicPtr, Ordering::*},
};

use crate::fd::{AsRawFd, BorrowedFd};
use crate::syscall::{
    self, AtFlags, Disposition, SaFlags, SigHow, SigSet, Sigaction, Signal, rt_sigprocmask,
};

/// As long as it lives no signal comes that can be held back.
pub struct Held(Option<SigSet>);

#[inline(never)]
pub fn hold() -> Held {
    // SAFETY: for the time of a few calls, after which it is as before.
    Held(unsafe { rt_sigprocmask(SigHow::SETMASK, Some(&SigSet::full())) }.ok())
}

impl Drop for Held {
    #[inline(never)]
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // SAFETY: it was so before.
            let _ = unsafe { rt_sigprocmask(SigHow::SETMASK, Some(before)) };
        }
    }
}

/// The name that is to be removed, and its directory; null if there is none.
static NAME: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static DIR: AtomicI32 = AtomicI32::new(0);

/// The signals by which people and systems end a program that may clean up before.
const SIGNALS: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// Has a name removed if one of these signals comes, which then ends the process as it would
/// have; unless the program has ignored or handled it before. One name at a time: a copy that
/// another thread makes meanwhile goes without.
///
/// # Safety
///
/// Both arguments live until [`forget`] is called with that name, and no other thread takes these
/// signals.
#[cold]
pub unsafe fn remove_if_ended(dir: BorrowedFd<'_>, name: &CStr) {
    // Called with signals held: none comes between the two.
    let null = ptr::null_mut();
    if NAME.compare_exchange(null, name.as_ptr().cast_mut().cast(), AcqRel, Relaxed).is_err() {
        return;
    }
    DIR.store(dir.as_raw_fd(), Release);
    let action = Sigaction {
        disposition: Disposition::Handler(end),
        flags: SaFlags::RESETHAND,
        mask: SigSet::full(),
    };
    for signal in SIGNALS {
        // SAFETY: nothing is set.
        let before = unsafe { syscall::rt_sigaction(signal, None) };
        if let Ok(Sigaction { disposition: Disposition::Default, .. }) = before {
            // SAFETY: the handler removes a name and raises a signal: two kinds of calls.
            let _ = unsafe { syscall::rt_sigaction(signal, Some(&action)) };
        }
    }
}

/// The name is nobody's to remove any more.
pub fn forget(name: &CStr) {
    let ours = name.as_ptr().cast_mut().cast();
    let _ = NAME.compare_exchange(ours, ptr::null_mut(), AcqRel, Relaxed);
}

/// In a process that only helps, no name is to be removed.
pub fn forget_all() {
    NAME.store(ptr::null_mut(), Release);
}

unsafe extern "C" fn end(signal: c_int) {
    let name = NAME.load(Acquire);
    if !name.is_null() {
        // SAFETY: the promise of `remove_if_ended`: a C string, and an open descriptor.
        let (name, dir) =
            unsafe { (CStr::from_ptr(name.cast()), BorrowedFd::borrow_raw(DIR.load(Acquire))) };
        let _ = syscall::unlinkat(dir, name, AtFlags::empty());
    }
    // By now the action is the default one; and after this function the signal comes.
    let _ = syscall::raise(Signal(signal as u32));
}
