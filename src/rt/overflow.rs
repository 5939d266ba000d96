//! A line for a stack that has overflowed. A program that does not ask for it has none of this.

use core::{
    cell::UnsafeCell,
    ffi::CStr,
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use linux_raw_sys::auxvec::AT_EXECFN;

use super::{
    Start,
    print::{STDERR, write_all},
};
use crate::syscall::{
    self, Disposition, InfoHandler, Resource, SaFlags, SigInfo, SigSet, SigStack, Sigaction,
    Signal, SsFlags,
};

/// Enough for the registers of any processor (11 KiB with AMX) and for [`report`].
const SIZE: usize = 64 << 10;

/// The stack of the handler, for the only thread that has one.
#[repr(align(16))]
struct Stack(UnsafeCell<[u8; SIZE]>);

// SAFETY: the kernel alone writes to it, and the handler that runs on it.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; SIZE]));

/// Where the stack of the main thread ends, above the strings that the kernel put there. Zero
/// until [`install`].
static TOP: AtomicUsize = AtomicUsize::new(0);

/// Has a handler called when the main thread accesses memory that is not there. The handler
/// passes its arguments to [`report`]. Without effect where the kernel refuses a call.
///
/// # Safety
///
/// `stack` is what the kernel's stack pointer was at the entry. It is called once, before
/// `main`. The handler does nothing but call [`report`].
pub unsafe fn install(stack: *const usize, handler: InfoHandler) {
    let start = Start { stack };
    // The kernel puts the name of the program's file above everything else.
    let Some((_, name)) = start.auxv().find(|&(kind, _)| kind == AT_EXECFN as usize) else {
        return;
    };
    // SAFETY: the kernel put a string there, which stays.
    let name = unsafe { CStr::from_ptr(ptr::with_exposed_provenance(name)) };
    TOP.store(name.as_ptr().addr() + name.count_bytes(), Relaxed);

    let alternate = SigStack { base: STACK.0.get().cast(), size: SIZE, flags: SsFlags::empty() };
    // SAFETY: this thread alone has it, and it is never freed.
    if unsafe { syscall::sigaltstack(Some(&alternate)) }.is_err() {
        return;
    }
    let action = Sigaction {
        disposition: Disposition::Info(handler),
        // The access is repeated after the handler, and then ends the process as it would have
        // without one: with a core dump that shows where.
        flags: SaFlags::ONSTACK | SaFlags::RESETHAND,
        mask: SigSet::empty(),
    };
    // SAFETY: the handler only makes system calls.
    let _ = unsafe { syscall::rt_sigaction(Signal::SEGV, Some(&action)) };
}

/// Prints `PROGRAM: stack overflow` to standard error if that is what happened.
///
/// The kernel lets the stack of the main thread grow to the limit `RLIMIT_STACK`. Without such a
/// limit, an overflow cannot be told from other accesses, and nothing is printed.
pub fn report(info: &SigInfo, program: &str) {
    if info.code() <= 0 {
        // Another process sent the signal, and expects that it ends this one. It is blocked
        // until the handler returns.
        let _ = syscall::raise(Signal::SEGV);
        return;
    }
    let Ok(limit) = syscall::prlimit(0, Resource::STACK, None) else { return };
    let limit = usize::try_from(limit.current).unwrap_or(usize::MAX);
    let lowest = TOP.load(Relaxed).saturating_sub(limit);
    // The compiler touches the pages of a large frame one after the other, so that the first
    // that is missing is at the limit: within a page of 64 KiB on either side.
    if lowest != 0 && info.addr().addr().abs_diff(lowest) <= 128 << 10 {
        // Not `format_args!`, which wants more stack.
        for text in [program, ": stack overflow\n"] {
            let _ = write_all(STDERR, text.as_bytes());
        }
    }
}
