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
//! * **The address of the page**, for `SIGBUS` only. If it is in a map for which
//!   [`FileMap::with_slice`](crate::map::FileMap::with_slice) is running, the handler replaces
//!   the page and all pages of the map after it by zero pages, and records the offset. The table
//!   of these maps has no locks.
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
//! A handler that is installed later receives the signals first, and may chain to this one. A
//! thread that blocks `SIGBUS` is killed by a fault, because the kernel does not run the handler.
//! The handler blocks all signals while it runs, so that no other handler can fault meanwhile. It
//! runs on the alternate stack of the thread if there is one, and so does the handler that it
//! chains to.

use core::{
    ffi::{c_int, c_void},
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering::*},
};

use linux_raw_sys::general::{BUS_MCEERR_AO, BUS_MCEERR_AR};

use super::watch;
use crate::arch;
use crate::syscall::{
    self, BUS_ADRERR, Disposition, InfoHandler, SaFlags, SigHow, SigInfo, SigSet, Sigaction, Signal,
};

/// Installs the signal handler for `SIGBUS` and `SIGSEGV`. A no-op if it is installed.
///
/// [`FileMap`](crate::map::FileMap) and [`copy`] install the handler when they are first used. A
/// program that forbids `rt_sigaction` by a seccomp filter calls this function before.
///
/// # Errors
///
/// `EPERM`, or another error that the filter returns, if a seccomp filter forbids `rt_sigaction` or
/// `rt_sigprocmask`.
pub fn install() -> crate::map::Result<()> {
    ready()
}

/// Copies `len` bytes from `from` to `to`, in ascending order, and stops at the first byte that
/// cannot be read or written.
///
/// A copy of zero bytes is a no-op with any addresses. Other threads and processes may change the
/// bytes at the same time. If the ranges overlap, the contents of `to` are unspecified
/// afterwards.
///
/// On x86_64 the copy is as fast as `memcpy` from 4 KiB on. On processors that need aligned words
/// (arm, mips, riscv, loongarch64) it is fast if both addresses have equal alignment.
///
/// # Errors
///
/// The number of bytes that were not copied. The preceding bytes were copied; this number of
/// bytes at the end were not. It is `len` if the handler cannot be [installed](install).
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
    if ready().is_err() {
        return Err(len);
    }
    // SAFETY: the caller has no conflicting references, and the handler is installed.
    match unsafe { arch::guarded_copy(to, from, len) } {
        0 => Ok(()),
        left => Err(left),
    }
}

/// The action of a signal before the handler was installed.
struct Previous {
    signal: Signal,
    /// The address of a function, null for `SIG_DFL`, or 1 for `SIG_IGN`.
    handler: AtomicPtr<()>,
    flags: AtomicU32,
    mask: [AtomicUsize; SigSet::WORDS],
}

static PREVIOUS: [Previous; 2] = [Previous::of(Signal::BUS), Previous::of(Signal::SEGV)];
/// The state of the installation: one of the two constants, or, while a thread installs the handler,
/// the number of its process.
static STATE: AtomicU32 = AtomicU32::new(NOT_YET);
const NOT_YET: u32 = 0;
const READY: u32 = u32::MAX;

/// Installs the handler if it is not installed.
#[inline]
pub(crate) fn ready() -> syscall::Result<()> {
    if STATE.load(Acquire) == READY { Ok(()) } else { install_once() }
}

/// Installs the handler in one thread, while the other threads wait for it.
#[cold]
fn install_once() -> syscall::Result<()> {
    // All signals are blocked, because a signal handler that interrupted this function and called
    // it would wait for its own thread.
    // SAFETY: the mask is restored before this function returns.
    let mask = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&SigSet::full()))? };
    let process = syscall::getpid() as u32;
    let mut state = NOT_YET;
    let result = loop {
        match STATE.compare_exchange(state, process, AcqRel, Acquire) {
            Ok(_) => {
                let result = PREVIOUS.iter().try_for_each(Previous::install);
                STATE.store(if result.is_ok() { READY } else { NOT_YET }, Release);
                break result;
            }
            Err(READY) => break Ok(()),
            // Another thread of this process installs the handler.
            Err(other) if other == process => {
                state = NOT_YET;
                syscall::sched_yield();
            }
            // The process was forked while a thread of its parent installed the handler. That
            // thread does not exist here, so this one takes its place.
            Err(other) => state = other,
        }
    };
    // SAFETY: this restores the mask of the thread.
    unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&mask))? };
    result
}

impl Previous {
    const fn of(signal: Signal) -> Previous {
        Previous {
            signal,
            handler: AtomicPtr::new(ptr::null_mut()),
            flags: AtomicU32::new(0),
            mask: [const { AtomicUsize::new(0) }; SigSet::WORDS],
        }
    }

    #[inline(never)]
    fn install(&self) -> syscall::Result<()> {
        // SAFETY: without a new action, the call only reads the present one.
        let before = unsafe { syscall::rt_sigaction(self.signal, None)? };
        let handler: InfoHandler = on_fault;
        if before.disposition.address() == handler as *const () {
            // An earlier call installed the handler for this signal, and failed for the other one.
            return Ok(());
        }
        self.save(&before);
        let replaced = self.install_handler(&before)?;
        if replaced.disposition.address() != before.disposition.address() {
            // Another thread changed the action between the two calls.
            self.save(&replaced);
        }
        Ok(())
    }

    /// Installs the handler for this signal. It keeps the flags of the previous action on which the
    /// kernel acts outside of the handler.
    ///
    /// The action blocks all signals while the handler runs, because the handler of another signal
    /// could read a map, and a fault while `SIGBUS` is blocked kills the process.
    fn install_handler(&self, before: &Sigaction) -> syscall::Result<Sigaction> {
        let mut flags = (before.flags - SaFlags::RESETHAND) | SaFlags::ONSTACK;
        if matches!(before.disposition, Disposition::Ignore) {
            // An ignored signal does not interrupt a system call, and so must not this handler.
            flags |= SaFlags::RESTART;
        }
        let action =
            Sigaction { disposition: Disposition::Info(on_fault), flags, mask: SigSet::full() };
        // SAFETY: the handler is async-signal-safe: it only makes system calls and accesses
        // atomics.
        unsafe { syscall::rt_sigaction(self.signal, Some(&action)) }
    }

    /// Saves the action that the handler chains to.
    fn save(&self, action: &Sigaction) {
        // A signal that arrives before the last store finds the default action, and not a handler
        // with the flags of another action.
        self.handler.store(ptr::null_mut(), Release);
        self.flags.store(action.flags.bits(), Release);
        for (word, value) in self.mask.iter().zip(action.mask.to_words()) {
            word.store(value, Release);
        }
        self.handler.store(action.disposition.address().cast_mut(), Release);
    }

    /// Returns the disposition and the flags for a signal that is not handled here. A previous
    /// action with `SA_RESETHAND` is returned once.
    fn previous_action(&self) -> (Disposition, SaFlags) {
        loop {
            let handler = self.handler.load(Acquire);
            let flags = SaFlags::from_bits_retain(self.flags.load(Acquire));
            let next = if flags.contains(SaFlags::RESETHAND) { ptr::null_mut() } else { handler };
            // `save` makes the handler null before it changes the flags: those that were read are
            // this handler's if it is still there.
            if self.handler.compare_exchange(handler, next, AcqRel, Acquire).is_ok() {
                // SAFETY: the address and the flags are those of an action that was installed.
                return (unsafe { Disposition::from_address(handler, flags) }, flags);
            }
        }
    }

    /// Returns the signal mask with which the kernel would have called the previous handler: the
    /// signals that the interrupted thread blocked, those of the action, and the signal itself
    /// unless the action has `SA_NODEFER`.
    fn previous_mask(&self, flags: SaFlags, interrupted: SigSet) -> SigSet {
        let asked = SigSet::from_words(self.mask.each_ref().map(|word| word.load(Acquire)));
        let mask = asked.union(interrupted);
        if flags.contains(SaFlags::NODEFER) { mask } else { mask.with(self.signal) }
    }

    /// Installs the handler again if the previous handler reset the action.
    ///
    /// The handler of Rust's standard library resets the action to `SIG_DFL` and returns for
    /// every fault that is not a stack overflow. It does not know that it resets the action of
    /// this handler.
    fn reinstall(&self) {
        // SAFETY: without a new action, the call only reads the present one.
        let Ok(now) = (unsafe { syscall::rt_sigaction(self.signal, None) }) else { return };
        // The previous handler may be that of another copy of this crate, which has installed
        // itself again for the same reason.
        if matches!(now.disposition, Disposition::Default | Disposition::Ignore)
            || now.disposition.address() == self.handler.load(Acquire)
        {
            self.save(&now);
            let _ = self.install_handler(&now);
        }
    }
}

/// Handles `SIGBUS` and `SIGSEGV`.
unsafe extern "C" fn on_fault(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler with `SA_SIGINFO`.
    let (code, addr) = unsafe { ((*info).code(), (*info).addr()) };
    // Otherwise a process sent the signal (`code` is not positive), or a page broke that this
    // thread did not access (`BUS_MCEERR_AO`).
    let is_fault = code > 0 && !(signal == BUS && code == BUS_MCEERR_AO as c_int);
    if is_fault {
        // SAFETY: the context is the third argument of the handler. The program counter is changed
        // only if it is in the copy, and to the address that the copy has for faults.
        unsafe {
            let pc = arch::program_counter(context);
            if let Some(fixup_address) = arch::fixup_address(*pc) {
                *pc = fixup_address;
                return;
            }
        }
        let is_missing = code == BUS_ADRERR || code == BUS_MCEERR_AR as c_int;
        if signal == BUS
            && is_missing
            && watch::WATCHED.load(Acquire)
            && watch::replace_with_zeros(addr)
        {
            return;
        }
    }
    // SAFETY: these are the arguments of the handler.
    unsafe { chain_to_previous(signal, info, context, is_fault) };
}

const BUS: c_int = Signal::BUS.0 as c_int;

/// Chains to the previous handler, or to the default action.
///
/// # Safety
///
/// * The caller is the signal handler, and passes its own arguments.
unsafe fn chain_to_previous(
    signal: c_int,
    info: *mut SigInfo,
    context: *mut c_void,
    is_fault: bool,
) {
    let previous = &PREVIOUS[usize::from(signal != BUS)];
    let (disposition, flags) = previous.previous_action();
    match disposition {
        handler @ (Disposition::Handler(_) | Disposition::Info(_)) => {
            // SAFETY: the context is the third argument of the handler.
            let mask = previous.previous_mask(flags, unsafe { SigSet::interrupted(context) });
            // SAFETY: the kernel restores the thread's mask when the handler returns.
            let handler_mask = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&mask)) };
            // SAFETY: the previous handler was installed for this signal, and gets its arguments.
            unsafe { handler.call(signal, info, context) };
            if let Ok(handler_mask) = handler_mask {
                // SAFETY: this restores the mask of this handler.
                let _ = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&handler_mask)) };
            }
            previous.reinstall();
        }
        // An ignored signal is ignored if a process sent it. The kernel kills a process that
        // ignores the signal of a fault.
        Disposition::Ignore if !is_fault => {}
        Disposition::Ignore | Disposition::Default => {
            let action = Sigaction {
                disposition: Disposition::Default,
                flags: SaFlags::empty(),
                mask: SigSet::empty(),
            };
            // SAFETY: the default action has no handler that could be wrong.
            let _ = unsafe { syscall::rt_sigaction(previous.signal, Some(&action)) };
            // This sends the signal again with its `siginfo_t`. The signal is blocked until this
            // handler returns, and then kills the process at the instruction that faulted. Not
            // every fault would occur again by itself.
            // SAFETY: `info` is valid as long as the handler runs.
            if syscall::rt_tgsigqueueinfo(previous.signal, unsafe { &*info }).is_err() {
                let _ = syscall::raise(previous.signal);
            }
        }
    }
}
