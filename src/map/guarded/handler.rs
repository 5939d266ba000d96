//! The signal handler, and the handlers that it chains to.

use core::{
    ffi::{c_int, c_void},
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering::*},
};

use linux_raw_sys::general::{BUS_MCEERR_AO, BUS_MCEERR_AR};

use super::watch;
use crate::arch;
use crate::syscall::{
    self, BUS_ADRERR, Disposition, Errno, InfoHandler, SaFlags, SigHow, SigInfo, SigSet, Sigaction,
    Signal,
};

/// Handles a signal of a fault, and returns whether it was one that this crate handles. For signal
/// handlers of applications.
///
/// A handler that was installed after this crate's, or in its place
/// ([`Policy::Delegate`](super::guard::Policy::Delegate)), calls this function first, and returns at
/// once if the result is `true`: the access that faulted then continues. If the result is `false`,
/// nothing has changed, and the handler does what it does for all other faults.
///
/// ```no_run
/// use std::ffi::{c_int, c_void};
///
/// use baremap::{map::guard, syscall::SigInfo};
///
/// unsafe extern "C" fn handler(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
///     // SAFETY: these are the arguments of the handler, which has `SA_SIGINFO`.
///     if unsafe { guard::on_fault(signal, info, context) } {
///         return;
///     }
///     // The fault of other code: report it, and end the process.
/// }
/// ```
///
/// The function is async-signal-safe, and never chains to another handler. It works whether the
/// handler of this crate is installed or not.
///
/// Install the handler for `SIGBUS` and `SIGSEGV`, with the flags `SA_SIGINFO` and `SA_ONSTACK` and
/// a mask of all signals: the handler of another signal that accesses a missing page while `SIGBUS`
/// is blocked would be killed.
///
/// # Safety
///
/// * The caller is a handler of `signal` that was installed with `SA_SIGINFO`, or was called by one.
/// * `info` and `context` are the handler's second and third argument.
pub unsafe extern "C" fn on_fault(signal: c_int, info: *mut SigInfo, context: *mut c_void) -> bool {
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler with `SA_SIGINFO`.
    let (code, addr) = unsafe { ((*info).code(), (*info).addr()) };
    if !is_fault(signal, code) {
        return false;
    }
    // SAFETY: the context is the third argument of the handler. The program counter is changed
    // only if it is in the copy, and to the address that the copy has for faults.
    unsafe {
        let pc = arch::program_counter(context);
        if let Some(fixup_address) = arch::fixup_address(*pc) {
            *pc = fixup_address;
            return true;
        }
    }
    let is_missing = code == BUS_ADRERR || code == BUS_MCEERR_AR as c_int;
    signal == BUS && is_missing && watch::WATCHED.load(Acquire) && watch::replace_with_zeros(addr)
}

const BUS: c_int = Signal::BUS.0 as c_int;

/// Returns whether the kernel raised the signal for an access of this thread. Otherwise a process
/// sent it (the code is not positive), or a page broke that the thread did not access
/// (`BUS_MCEERR_AO`).
fn is_fault(signal: c_int, code: c_int) -> bool {
    code > 0 && !(signal == BUS && code == BUS_MCEERR_AO as c_int)
}

/// Handles `SIGBUS` and `SIGSEGV`.
unsafe extern "C" fn handler(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
    arch::align_stack();
    // SAFETY: these are the arguments of the handler.
    unsafe {
        if !on_fault(signal, info, context) {
            SIGNALS[usize::from(signal != BUS)].chain(signal, info, context);
        }
    }
}

/// The signals that the handler is installed for.
pub(super) static SIGNALS: [SignalChain; 2] =
    [SignalChain::of(Signal::BUS), SignalChain::of(Signal::SEGV)];

/// A signal, and the actions that the handler has replaced.
pub(super) struct SignalChain {
    signal: Signal,
    /// The actions, in no order.
    replaced: [SavedAction; SignalChain::CAPACITY],
    /// The indexes of the actions, from the newest to the oldest. Each has four bits, from the
    /// lowest on, which contain the index plus one. They are zero after the oldest.
    order: AtomicU32,
}

/// An action that can be saved and read without locks.
struct SavedAction {
    /// The address of a function, null for `SIG_DFL`, or 1 for `SIG_IGN`.
    handler: AtomicPtr<()>,
    flags: AtomicU32,
    mask: [AtomicUsize; SigSet::WORDS],
}

impl SignalChain {
    /// The number of actions that can be saved.
    const CAPACITY: usize = 5;

    const fn of(signal: Signal) -> SignalChain {
        let replaced = [const { SavedAction::new() }; SignalChain::CAPACITY];
        SignalChain { signal, replaced, order: AtomicU32::new(0) }
    }

    /// Returns whether the handler is the present one.
    pub fn is_first(&self) -> bool {
        // SAFETY: without a new action, the call only reads the present one.
        unsafe { syscall::rt_sigaction(self.signal, None) }.is_ok_and(|action| is_own(&action))
    }

    /// Installs the handler, unless it is the present one, and saves the action that it replaces.
    ///
    /// `EBUSY` if there is no room for another action.
    #[inline(never)]
    pub fn install(&self) -> syscall::Result<()> {
        // SAFETY: without a new action, the call only reads the present one.
        let before = unsafe { syscall::rt_sigaction(self.signal, None)? };
        if is_own(&before) {
            return Ok(());
        }
        let order = match before.disposition {
            // Nothing that was replaced earlier is called any more.
            Disposition::Default | Disposition::Ignore => 0,
            _ => self.order.load(Acquire),
        };
        let index = self.index_for(&before, order)?;
        let saved = &self.replaced[index];
        saved.save(&before);
        // The action is in the list before the handler can run.
        self.order.store(with_newest(order, index), Release);
        let replaced = self.install_handler(&before)?;
        if replaced.disposition.address() != before.disposition.address() && !is_own(&replaced) {
            // Another thread changed the action between the two calls.
            saved.save(&replaced);
        }
        Ok(())
    }

    /// Returns the index at which an action is saved: the one where it has been saved before, or one
    /// that is not in `order`.
    fn index_for(&self, action: &Sigaction, order: u32) -> syscall::Result<usize> {
        let address = action.disposition.address();
        let saved = |index: &usize| self.replaced[*index].handler.load(Acquire);
        let known = indexes(order).find(|index| saved(index).cast_const() == address);
        let is_free = |index: &usize| indexes(order).all(|other| other != *index);
        known.or_else(|| (0..SignalChain::CAPACITY).find(is_free)).ok_or(Errno::EBUSY)
    }

    /// Installs the handler. It keeps the flags of the previous action on which the kernel acts
    /// outside of the handler.
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
            Sigaction { disposition: Disposition::Info(handler), flags, mask: SigSet::full() };
        // SAFETY: the handler is async-signal-safe: it only makes system calls and accesses
        // atomics.
        unsafe { syscall::rt_sigaction(self.signal, Some(&action)) }
    }

    /// Chains to the newest handler that was replaced, or to the default action. A handler that
    /// chains back to this one gets to the next older handler, until there is none.
    ///
    /// # Safety
    ///
    /// * The caller is the signal handler, and passes its own arguments.
    unsafe fn chain(&self, signal: c_int, info: *mut SigInfo, context: *mut c_void) {
        // SAFETY: the context is the third argument of the handler.
        let (link, rounds) = unsafe { (arch::context_link(context).cast(), Link::count(context)) };
        let index = indexes(self.order.load(Acquire)).nth(rounds);
        let saved = index.map(|index| &self.replaced[index]);
        let (disposition, flags) =
            saved.map_or((Disposition::Default, SaFlags::empty()), SavedAction::take);
        // SAFETY: `info` is the second argument of the handler.
        let is_fault = is_fault(signal, unsafe { (*info).code() });
        match (disposition, saved) {
            (Disposition::Handler(_) | Disposition::Info(_), Some(saved)) => {
                // SAFETY: the context is the third argument of the handler.
                let interrupted = unsafe { SigSet::interrupted(context) };
                let mask = saved.handler_mask(self.signal, flags, interrupted);
                // SAFETY: the kernel restores the thread's mask when the handler returns.
                let before = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&mask)) };
                // SAFETY: the link is in the context, and points to this frame only while the
                // replaced handler runs, which gets the arguments of this handler.
                unsafe {
                    let mut round = Link { owner: Link::OWNER, next: *link };
                    *link = &raw mut round;
                    disposition.call(signal, info, context);
                    *link = round.next;
                }
                if let Ok(before) = before {
                    // SAFETY: this restores the mask of this handler.
                    let _ = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&before)) };
                }
                self.restore(saved);
            }
            // An ignored signal is ignored if a process sent it. The kernel kills a process that
            // ignores the signal of a fault.
            (Disposition::Ignore, _) if !is_fault => {}
            _ => {
                let action = Sigaction {
                    disposition: Disposition::Default,
                    flags: SaFlags::empty(),
                    mask: SigSet::empty(),
                };
                // SAFETY: the default action has no handler that could be wrong.
                let _ = unsafe { syscall::rt_sigaction(self.signal, Some(&action)) };
                // This sends the signal again with its `siginfo_t`. The signal is blocked until
                // this handler returns, and then kills the process at the instruction that faulted.
                // Not every fault would occur again by itself.
                // SAFETY: `info` is valid as long as the handler runs.
                if syscall::rt_tgsigqueueinfo(self.signal, unsafe { &*info }).is_err() {
                    let _ = syscall::raise(self.signal);
                }
            }
        }
    }

    /// Installs the handler again if the replaced handler, which has just run, reset the action.
    ///
    /// The handler of Rust's standard library resets the action to `SIG_DFL` and returns for
    /// every fault that is not a stack overflow. It does not know that it resets the action of
    /// this handler.
    fn restore(&self, saved: &SavedAction) {
        // SAFETY: without a new action, the call only reads the present one.
        let Ok(now) = (unsafe { syscall::rt_sigaction(self.signal, None) }) else { return };
        // The replaced handler may be that of another copy of this crate, which has installed
        // itself again for the same reason.
        if matches!(now.disposition, Disposition::Default | Disposition::Ignore)
            || now.disposition.address() == saved.handler.load(Acquire)
        {
            saved.save(&now);
            let _ = self.install_handler(&now);
        }
    }
}

/// Returns the indexes in the order of a [`SignalChain`], from the newest action to the oldest.
fn indexes(order: u32) -> impl Iterator<Item = usize> {
    (0..SignalChain::CAPACITY)
        .map_while(move |n| (order >> (4 * n) & 15).checked_sub(1))
        .map(|index| index as usize)
}

/// Returns the order with an index in front, which is removed where it was before.
fn with_newest(order: u32, index: usize) -> u32 {
    let others = indexes(order).filter(|&other| other != index);
    let newest = core::iter::once(index).chain(others);
    newest.enumerate().fold(0, |order, (n, index)| order | (index as u32 + 1) << (4 * n))
}

/// Returns whether the action calls the handler of this crate.
fn is_own(action: &Sigaction) -> bool {
    let own: InfoHandler = handler;
    action.disposition.address() == own as *const ()
}

impl SavedAction {
    const fn new() -> SavedAction {
        SavedAction {
            handler: AtomicPtr::new(ptr::null_mut()),
            flags: AtomicU32::new(0),
            mask: [const { AtomicUsize::new(0) }; SigSet::WORDS],
        }
    }

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

    /// Returns the disposition and the flags for a signal that is not handled here. An action with
    /// `SA_RESETHAND` is returned once.
    fn take(&self) -> (Disposition, SaFlags) {
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

    /// Returns the signal mask with which the kernel would have called the handler: the signals
    /// that the interrupted thread blocked, those of the action, and the signal itself unless the
    /// action has `SA_NODEFER`.
    fn handler_mask(&self, signal: Signal, flags: SaFlags, interrupted: SigSet) -> SigSet {
        let asked = SigSet::from_words(self.mask.each_ref().map(|word| word.load(Acquire)));
        let mask = asked.union(interrupted);
        if flags.contains(SaFlags::NODEFER) { mask } else { mask.with(signal) }
    }
}

/// A note in the context of a signal that this handler is chaining to another one.
///
/// The kernel stores a null pointer in `uc_link` of the context, and does not read it. So while the
/// other handler runs, the field leads to this note, and a handler that is called with the same
/// context finds it. Like the context, a note has its link in the second word, so that several
/// copies of this crate can put their notes into one list. No state is kept outside of the signal
/// frame: it ends with it, also if the other handler jumps out of it by `siglongjmp`.
#[repr(C)]
struct Link {
    /// The address that identifies the copy of this crate that made the note.
    owner: *const (),
    next: *mut Link,
}

impl Link {
    /// The owner of the notes of this copy of the crate.
    const OWNER: *const () = (&raw const SIGNALS).cast();

    /// Returns the number of notes of this copy of the crate in a context.
    ///
    /// # Safety
    ///
    /// * `context` is the third argument of a handler that is running.
    unsafe fn count(context: *mut c_void) -> usize {
        let mut count = 0;
        // SAFETY: the list begins in the context. Its notes are in frames of handlers that are
        // running, because each removes its note before it returns.
        unsafe {
            let mut next: *const Link = *arch::context_link(context).cast();
            while let Some(link) = next.as_ref() {
                count += usize::from(link.owner == Link::OWNER);
                next = link.next;
            }
        }
        count
    }
}
