//! Reports an overflow of the main thread's stack, in programs with debug assertions.
//!
//! [`entry!`](crate::entry) refers to this module only if debug assertions are enabled, so it adds
//! nothing to a release build.

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
    Signal, SsFlags, align_stack,
};

/// The size of the signal stack in bytes. The kernel saves the registers there, which take about
/// 11 KiB on x86_64 with AMX; the rest is for [`report`].
const SIZE: usize = 64 << 10;

/// The alternate signal stack of the main thread. Other threads have none.
#[repr(align(16))]
struct Stack(UnsafeCell<[u8; SIZE]>);

// SAFETY: only the kernel and the signal handler that runs on the stack access it, and only the
// main thread uses it.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; SIZE]));

/// The highest address of the main thread's stack, above the strings that the kernel puts there.
/// Zero until [`install`] is called.
static TOP: AtomicUsize = AtomicUsize::new(0);

/// Installs a handler of `SIGSEGV` that runs on an alternate signal stack, for the main thread.
///
/// Best effort: does nothing if the auxiliary vector has no `AT_EXECFN` or if the kernel refuses a
/// system call.
///
/// # Safety
///
/// * `stack` is the value of the stack pointer when the kernel entered the program.
/// * It is called once, before `main`.
/// * `handler` only calls [`report`].
pub unsafe fn install(stack: *const usize, handler: InfoHandler) {
    let start = Start { stack };
    // The kernel copies the path of the executable to the top of the stack, above the strings of
    // the environment and the arguments.
    let Some((_, name)) = start.auxv().find(|&(kind, _)| kind == AT_EXECFN as usize) else {
        return;
    };
    // SAFETY: AT_EXECFN is the address of a string that ends with a NUL, on the stack, which is
    // never unmapped.
    let name = unsafe { CStr::from_ptr(ptr::with_exposed_provenance(name)) };
    TOP.store(name.as_ptr().addr() + name.count_bytes(), Relaxed);

    let alternate = SigStack { base: STACK.0.get().cast(), size: SIZE, flags: SsFlags::empty() };
    // SAFETY: the memory is static, and no other thread uses it as its signal stack.
    if unsafe { syscall::sigaltstack(Some(&alternate)) }.is_err() {
        return;
    }
    let action = Sigaction {
        disposition: Disposition::Info(handler),
        // RESETHAND restores the default action. The access is repeated when the handler returns,
        // and then ends the process with a core dump that shows the address of the access.
        flags: SaFlags::ONSTACK | SaFlags::RESETHAND,
        mask: SigSet::empty(),
    };
    // SAFETY: the handler only calls `report`, which only makes system calls and is therefore
    // async-signal-safe.
    let _ = unsafe { syscall::rt_sigaction(Signal::SEGV, Some(&action)) };
}

/// Prints `PROGRAM: stack overflow` to standard error if the signal was caused by an overflow of
/// the main thread's stack.
///
/// The kernel lets the stack of the main thread grow up to the soft limit `RLIMIT_STACK`. If that
/// limit is unlimited, an overflow cannot be distinguished from another invalid access, and nothing
/// is printed.
pub fn report(info: &SigInfo, program: &str) {
    align_stack();
    if info.code() <= 0 {
        // A process sent the signal with kill(2) or a similar call, so no access is repeated when
        // the handler returns. Send the signal again, because the sender expects it to end the
        // process. It is blocked until the handler returns.
        let _ = syscall::raise(Signal::SEGV);
        return;
    }
    let Ok(limit) = syscall::prlimit(0, Resource::STACK, None) else { return };
    let limit = usize::try_from(limit.current).unwrap_or(usize::MAX);
    let lowest = TOP.load(Relaxed).saturating_sub(limit);
    // The compiler probes every page of a large stack frame in order, so the first access to a
    // missing page is at the limit. Pages have up to 64 KiB, so accept two pages on either side.
    if lowest != 0 && info.addr().addr().abs_diff(lowest) <= 128 << 10 {
        // `format_args!` would need more of the signal stack.
        for text in [program, ": stack overflow\n"] {
            let _ = write_all(STDERR, text.as_bytes());
        }
    }
}
