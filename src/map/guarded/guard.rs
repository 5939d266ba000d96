//! Faults that are errors: a copy that tells where it had to stop, and memory in which
//! zeros take the place of what is missing.
//!
//! ```
//! use baremap::map::guard;
//!
//! guard::install()?;
//! let (nowhere, mut byte) = (core::ptr::without_provenance(1), 0);
//! // SAFETY: `byte` is ours, and at the other end there is nothing.
//! let left = unsafe { guard::copy(nowhere, &mut byte, 1) };
//! assert_eq!(left, Err(1));
//! # Ok::<(), baremap::map::Error>(())
//! ```
//!
//! # How
//!
//! A page that is not there (the file was made shorter, its disk is full or broken, huge
//! pages have run out) is a `SIGBUS` for the thread that touches it, an address without a
//! mapping a `SIGSEGV`. The handler of both looks at two things:
//!
//! * **where the thread was**: in the loop of the copy, it goes on at the end of that, which
//!   returns how much is left. Nothing is kept for this, by thread or by copy: so there
//!   may be any number of them, one inside another, and in signal handlers (but for those
//!   that block these two signals, as a handler of `SIGSEGV` does unless it is installed
//!   with `SA_NODEFER`). The kernel's own copies from and to a program's memory are made so.
//! * **where the page is** (`SIGBUS` only): in memory for which
//!   [`FileMap::with_slice`](crate::map::FileMap::with_slice) runs at the time, it lays zeros
//!   there and takes a note. The table of them has no locks.
//!
//! # Whose the signals are
//!
//! [`install`] puts the handler before whatever was there, once. It chains every signal that
//! it does not answer to the previous handler, with the signal mask that this handler asked
//! for; or leaves it to the kernel, which then ends the process as it would have without
//! this library, by the same signal, at the same instruction, core dump and all. If the
//! previous handler resets the action and returns, then that is the action for all signals
//! that are not answered here.
//!
//! A handler that is installed later receives the signals first, and may chain to this one
//! in the same way. In a thread that blocks `SIGBUS` a fault ends the process, because the
//! kernel does not run the handler. The handler blocks all signals while it runs, so that no
//! other handler can fault meanwhile. It runs, and so does the handler that it chains to, on
//! the thread's alternate stack if there is one.

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

/// Installs the handler, the first time.
///
/// [`FileMap`](crate::map::FileMap) and [`copy`] do it themselves. To call it is of use before a
/// process gives up the right to `rt_sigaction`.
///
/// # Errors
///
/// `EPERM` and the like: a seccomp filter does not allow it.
pub fn install() -> crate::map::Result<()> {
    ready()
}

/// Copies `len` bytes, forwards, or so many as there are: `Err` tells how many are left.
///
/// On x86_64 it is as fast as `memcpy` from 4 KiB on; where the processor wants aligned
/// words (arm, mips, riscv, loongarch64), only if both ends are aligned alike. No bytes:
/// nothing, whatever the addresses.
///
/// # Errors
///
/// How many bytes could not be copied: all before them were, and none of them. The first
/// of them cannot be read, or its place cannot be written to. All of them, if the handler
/// cannot be [installed](install).
///
/// # Safety
///
/// What is mapped in the two ranges is memory of which the program has no reference that
/// forbids this: none at all where it is written to, none that is `&mut` where it is read.
/// Others may change the bytes at the same time. Where the ranges overlap, which bytes are
/// copied is not said.
#[inline]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) -> Result<(), usize> {
    if ready().is_err() {
        return Err(len);
    }
    // SAFETY: the caller's promise; and the handler is installed.
    match unsafe { arch::guarded_copy(to, from, len) } {
        0 => Ok(()),
        left => Err(left),
    }
}

/// What each of the two signals did before.
struct Previous {
    signal: Signal,
    /// A function, null for the default, or another number for what is none.
    handler: AtomicPtr<()>,
    flags: AtomicU32,
    mask: [AtomicUsize; SigSet::WORDS],
}

static PREVIOUS: [Previous; 2] = [Previous::of(Signal::BUS), Previous::of(Signal::SEGV)];
/// How far installing is: not begun, under way, done.
static STATE: AtomicU32 = AtomicU32::new(NOT_YET);
const NOT_YET: u32 = 0;
const UNDER_WAY: u32 = 1;
const READY: u32 = 2;

#[inline]
pub(crate) fn ready() -> syscall::Result<()> {
    if STATE.load(Acquire) == READY { Ok(()) } else { take_over() }
}

/// One thread installs, the others wait for it.
#[cold]
fn take_over() -> syscall::Result<()> {
    // A signal's handler that wants to copy as well would wait for its own thread.
    // SAFETY: for the time of a few calls, after which it is as before.
    let mask = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&SigSet::full()))? };
    let result = loop {
        match STATE.compare_exchange(NOT_YET, UNDER_WAY, AcqRel, Acquire) {
            Ok(_) => {
                let result = PREVIOUS.iter().try_for_each(Previous::install);
                STATE.store(if result.is_ok() { READY } else { NOT_YET }, Release);
                break result;
            }
            Err(READY) => break Ok(()),
            Err(_) => syscall::sched_yield(),
        }
    };
    // SAFETY: it was so before.
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
        // SAFETY: only asks.
        let before = unsafe { syscall::rt_sigaction(self.signal, None)? };
        let ours: InfoHandler = on_fault;
        if before.disposition.address() == ours as *const () {
            return Ok(()); // and the other signal could not be had, the last time
        }
        self.keep(&before);
        let replaced = self.put_ours_after(&before)?;
        if replaced.disposition.address() != before.disposition.address() {
            self.keep(&replaced); // another library came between
        }
        Ok(())
    }

    /// Installs the handler, with those flags of the previous action that the kernel acts on
    /// outside of the handler.
    ///
    /// All signals are blocked while it runs: the handler of another could read a map as
    /// well, and a fault while `SIGBUS` is blocked ends the process.
    fn put_ours_after(&self, before: &Sigaction) -> syscall::Result<Sigaction> {
        let mut flags = (before.flags - SaFlags::RESETHAND) | SaFlags::ONSTACK;
        if matches!(before.disposition, Disposition::Ignore) {
            flags |= SaFlags::RESTART; // what is ignored interrupts nothing
        }
        let action =
            Sigaction { disposition: Disposition::Info(on_fault), flags, mask: SigSet::full() };
        // SAFETY: the handler only makes system calls, and reads and writes atomics.
        unsafe { syscall::rt_sigaction(self.signal, Some(&action)) }
    }

    fn keep(&self, action: &Sigaction) {
        // A signal that comes in between finds none, rather than one with another's flags.
        self.handler.store(ptr::null_mut(), Release);
        self.flags.store(action.flags.bits(), Release);
        for (word, value) in self.mask.iter().zip(action.mask.to_words()) {
            word.store(value, Release);
        }
        self.handler.store(action.disposition.address().cast_mut(), Release);
    }

    /// What the signal does if it is not answered here: once, if it was to be once.
    fn previous_disposition(&self, flags: SaFlags) -> Disposition {
        let handler = if flags.contains(SaFlags::RESETHAND) {
            self.handler.swap(ptr::null_mut(), AcqRel)
        } else {
            self.handler.load(Acquire)
        };
        // SAFETY: both are of an action that the kernel had.
        unsafe { Disposition::from_address(handler, flags) }
    }

    /// The mask that the kernel would have called the previous handler with: the signals that
    /// the interrupted thread blocked, those of the action, and the signal itself unless the
    /// action has `SA_NODEFER`.
    fn previous_mask(&self, flags: SaFlags, interrupted: SigSet) -> SigSet {
        let asked = SigSet::from_words(self.mask.each_ref().map(|word| word.load(Acquire)));
        let mask = asked.union(interrupted);
        if flags.contains(SaFlags::NODEFER) { mask } else { mask.with(self.signal) }
    }

    /// Installs the handler again if the previous one reset the action: that of the standard
    /// library does so for every fault that is no stack overflow, and returns. It does not
    /// know that it resets the action of this handler.
    fn reinstall(&self) {
        // SAFETY: only asks.
        if let Ok(now) = unsafe { syscall::rt_sigaction(self.signal, None) }
            && matches!(now.disposition, Disposition::Default | Disposition::Ignore)
        {
            self.keep(&now);
            let _ = self.put_ours_after(&now);
        }
    }
}

/// What comes of a signal of the two.
unsafe extern "C" fn on_fault(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
    // SAFETY: the kernel passes the handler what it asked for.
    let (code, addr) = unsafe { ((*info).code(), (*info).addr()) };
    // Somebody sent it, or a page broke that this thread did not touch.
    let is_fault = code > 0 && !(signal == BUS && code == BUS_MCEERR_AO as c_int);
    if is_fault {
        // SAFETY: the handler's third argument; the place is written to only if
        // the thread was in the copy, and with the place that the copy has for it.
        unsafe {
            let pc = arch::program_counter(context);
            if let Some(fixup_address) = arch::fixup_address(*pc) {
                *pc = fixup_address;
                return;
            }
        }
        let is_missing = code == BUS_ADRERR || code == BUS_MCEERR_AR as c_int;
        if signal == BUS && is_missing && watch::WATCHED.load(Acquire) && watch::lay_zeros(addr) {
            return;
        }
    }
    // SAFETY: all of this is what the handler was called with.
    unsafe { pass_on(signal, info, context, is_fault) };
}

const BUS: c_int = Signal::BUS.0 as c_int;

/// Does with a signal what would have been done without this handler.
///
/// # Safety
///
/// For the handler to call, with what it was called with.
unsafe fn pass_on(signal: c_int, info: *mut SigInfo, context: *mut c_void, is_fault: bool) {
    let previous = &PREVIOUS[usize::from(signal != BUS)];
    let flags = SaFlags::from_bits_retain(previous.flags.load(Acquire));
    match previous.previous_disposition(flags) {
        handler @ (Disposition::Handler(_) | Disposition::Info(_)) => {
            // SAFETY: the handler's third argument.
            let mask = previous.previous_mask(flags, unsafe { SigSet::interrupted(context) });
            // SAFETY: the thread's mask is its signal handler's until that returns.
            let ours = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&mask)) };
            // SAFETY: installed for this signal, to be called so.
            unsafe { handler.call(signal, info, context) };
            if let Ok(ours) = ours {
                // SAFETY: it was the mask before.
                let _ = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&ours)) };
            }
            previous.reinstall();
        }
        // A fault cannot be ignored: the kernel ends a process that tries.
        Disposition::Ignore if !is_fault => {}
        Disposition::Ignore | Disposition::Default => {
            let action = Sigaction {
                disposition: Disposition::Default,
                flags: SaFlags::empty(),
                mask: SigSet::empty(),
            };
            // SAFETY: without a handler none can be wrong.
            let _ = unsafe { syscall::rt_sigaction(previous.signal, Some(&action)) };
            // The very same signal once more. It is blocked until this returns, and then ends
            // the process where it was. (Not every fault would come again by itself.)
            // SAFETY: the kernel's, for as long as the handler runs.
            if syscall::rt_tgsigqueueinfo(previous.signal, unsafe { &*info }).is_err() {
                let _ = syscall::raise(previous.signal);
            }
        }
    }
}
