//! Signals: actions, masks, alternate stacks, and sending.

use core::{
    ffi::{c_int, c_void},
    fmt, mem, ptr,
};

use linux_raw_sys::general::{self, kernel_sigset_t, siginfo_t, stack_t};
use static_assertions::assert_eq_size;

use super::raw::{nr, syscall2, syscall3, syscall4};
use super::{Pid, Result, SaFlags, SigHow, Signal, SsFlags, check_unit};
use crate::arch::{self, kernel_sigaction};

/// A set of signals. Source: sigsetops(3).
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct SigSet(kernel_sigset_t);

impl SigSet {
    /// Creates a set without signals.
    #[doc(alias = "sigemptyset")]
    #[must_use]
    pub const fn empty() -> SigSet {
        // SAFETY: the set is an array of integers, for which zeros are valid.
        SigSet(unsafe { mem::zeroed() })
    }

    /// Creates a set of all signals.
    ///
    /// The kernel ignores `SIGKILL` and `SIGSTOP` in a mask.
    #[doc(alias = "sigfillset")]
    #[must_use]
    pub const fn full() -> SigSet {
        let mut set = SigSet::empty();
        let mut word = 0;
        while word < set.0.sig.len() {
            set.0.sig[word] = !0;
            word += 1;
        }
        set
    }

    /// Returns this set with `signal` added. A number that is not a signal changes nothing.
    #[doc(alias = "sigaddset")]
    #[must_use]
    pub const fn with(mut self, signal: Signal) -> SigSet {
        let bit = signal.0.wrapping_sub(1);
        let word = (bit / usize::BITS) as usize;
        if word < self.0.sig.len() {
            self.0.sig[word] |= 1 << (bit % usize::BITS);
        }
        self
    }

    /// Returns the signals that are in at least one of both sets.
    pub(crate) fn union(self, other: SigSet) -> SigSet {
        let (mut words, others) = (self.to_words(), other.to_words());
        words.iter_mut().zip(others).for_each(|(word, other)| *word |= other);
        SigSet::from_words(words)
    }

    /// The number of words in a set.
    pub(crate) const WORDS: usize = SET_SIZE / size_of::<usize>();

    /// Returns the words of the kernel's structure.
    pub(crate) fn to_words(self) -> [usize; SigSet::WORDS] {
        self.0.sig.map(|word| word as usize)
    }

    /// Creates a set from the words of the kernel's structure.
    pub(crate) fn from_words(words: [usize; SigSet::WORDS]) -> SigSet {
        SigSet(kernel_sigset_t { sig: words.map(|word| word as _) })
    }

    /// Returns the signals that a thread had blocked when a signal interrupted it.
    ///
    /// # Safety
    ///
    /// * `context` is the third argument of a handler that is running.
    pub(crate) unsafe fn interrupted(context: *mut c_void) -> SigSet {
        // SAFETY: the context of a running handler contains the mask at this address.
        SigSet(unsafe { *arch::signal_mask(context) })
    }

    /// Returns whether `signal` is in the set.
    #[doc(alias = "sigismember")]
    #[must_use]
    pub const fn contains(&self, signal: Signal) -> bool {
        let bit = signal.0.wrapping_sub(1);
        let word = (bit / usize::BITS) as usize;
        word < self.0.sig.len() && self.0.sig[word] & 1 << (bit % usize::BITS) != 0
    }
}

impl PartialEq for SigSet {
    fn eq(&self, other: &SigSet) -> bool {
        self.0.sig == other.0.sig
    }
}

impl Eq for SigSet {}

/// Information about a signal: which one it is, and why it was raised. Source: sigaction(2).
#[repr(transparent)]
pub struct SigInfo(siginfo_t);

assert_eq_size!(SigInfo, [u8; 128]);

impl SigInfo {
    /// Returns the signal.
    #[must_use]
    pub fn signal(&self) -> Signal {
        // SAFETY: every signal's structure begins with these three fields.
        Signal(unsafe { self.0.__bindgen_anon_1.__bindgen_anon_1.si_signo } as u32)
    }

    /// Returns the reason for the signal (`si_code`), whose meaning depends on the signal.
    #[must_use]
    pub fn code(&self) -> i32 {
        // SAFETY: every signal's structure begins with these three fields.
        unsafe { self.0.__bindgen_anon_1.__bindgen_anon_1.si_code }
    }

    /// Returns the address that faulted.
    ///
    /// The address is meaningful only for `SIGSEGV`, `SIGBUS`, `SIGILL`, `SIGFPE` and `SIGTRAP`
    /// that the kernel raised.
    #[must_use]
    pub fn addr(&self) -> *mut u8 {
        // SAFETY: the bytes are initialized, and any value is valid for a pointer.
        unsafe { self.0.__bindgen_anon_1.__bindgen_anon_1._sifields._sigfault._addr.cast() }
    }

    /// Returns the child of a `SIGCHLD`, or the sender of another signal, and the child's
    /// status.
    pub(super) fn child(&self) -> (Pid, i32) {
        // SAFETY: the bytes are initialized, and any value is valid for an integer.
        unsafe {
            let child = &self.0.__bindgen_anon_1.__bindgen_anon_1._sifields._sigchld;
            (child._pid, child._status)
        }
    }
}

impl fmt::Debug for SigInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigInfo")
            .field("signal", &self.signal())
            .field("code", &self.code())
            .finish_non_exhaustive()
    }
}

/// The [`SigInfo::code`] of a `SIGBUS` for a page that does not exist, such as one past the end
/// of a mapped file.
pub const BUS_ADRERR: i32 = general::BUS_ADRERR as i32;

/// A signal handler that receives the signal's number.
pub type Handler = unsafe extern "C" fn(c_int);

/// A signal handler that receives the signal's number, information about the signal, and the
/// interrupted context (the kernel's `ucontext` of the architecture).
pub type InfoHandler = unsafe extern "C" fn(c_int, *mut SigInfo, *mut c_void);

/// The disposition of a signal: what happens when it is delivered.
#[derive(Clone, Copy, Debug)]
pub enum Disposition {
    /// Performs the default action of the signal (`SIG_DFL`); signal(7) lists the actions.
    Default,
    /// Ignores the signal (`SIG_IGN`).
    Ignore,
    /// Calls a handler with the signal's number.
    Handler(Handler),
    /// Calls a handler with the signal's number, information about the signal, and the context
    /// (`SA_SIGINFO`).
    Info(InfoHandler),
}

/// The value by which the kernel's structure represents `SIG_IGN`.
const SIG_IGN: usize = 1;

impl Disposition {
    /// Returns the value that represents the disposition in the kernel's structure.
    pub(crate) fn address(self) -> *const () {
        match self {
            Disposition::Default => ptr::null(),
            Disposition::Ignore => ptr::without_provenance(SIG_IGN),
            Disposition::Handler(function) => function as *const (),
            Disposition::Info(function) => function as *const (),
        }
    }

    /// Calls the handler, if the disposition is one.
    ///
    /// # Safety
    ///
    /// * The arguments are those that the kernel would call a handler of the signal with.
    pub(crate) unsafe fn call(self, signal: c_int, info: *mut SigInfo, context: *mut c_void) {
        match self {
            // SAFETY: the caller promises that the arguments fit.
            Disposition::Handler(function) => unsafe { function(signal) },
            // SAFETY: the caller promises that the arguments fit.
            Disposition::Info(function) => unsafe { function(signal, info, context) },
            Disposition::Default | Disposition::Ignore => {}
        }
    }

    /// Creates a disposition from its representation in the kernel's structure.
    ///
    /// # Safety
    ///
    /// * `address` and `flags` come from one action that the kernel returned.
    pub(crate) unsafe fn from_address(address: *const (), flags: SaFlags) -> Disposition {
        if address.is_null() {
            Disposition::Default
        } else if address.addr() == SIG_IGN {
            Disposition::Ignore
        } else if flags.contains(SaFlags::SIGINFO) {
            // SAFETY: the address is a function's, and the flag determines its signature.
            Disposition::Info(unsafe { mem::transmute::<*const (), InfoHandler>(address) })
        } else {
            // SAFETY: the address is a function's, and the flag determines its signature.
            Disposition::Handler(unsafe { mem::transmute::<*const (), Handler>(address) })
        }
    }
}

/// The action of a signal. Source: sigaction(2).
///
/// The function through which a handler returns (`SA_RESTORER`) is set by [`rt_sigaction`], and is
/// not part of the value. An action that [`rt_sigaction`] returned can be set again unchanged.
#[derive(Clone, Copy, Debug)]
pub struct Sigaction {
    /// What happens when the signal is delivered.
    pub disposition: Disposition,
    /// Options. `SaFlags::SIGINFO` is ignored, because the disposition determines it.
    pub flags: SaFlags,
    /// The signals that are blocked while the handler runs, in addition to the signal itself.
    pub mask: SigSet,
}

impl Sigaction {
    fn to_kernel(self) -> kernel_sigaction {
        // SAFETY: the structure consists of integers and optional functions, for which zeros are
        // valid.
        let mut action: kernel_sigaction = unsafe { mem::zeroed() };
        // SAFETY: an optional function has the layout of an address that may be null. Only the
        // kernel uses it, and it does not call `SIG_IGN`.
        action.sa_handler_kernel =
            unsafe { mem::transmute::<*const (), Option<Handler>>(self.disposition.address()) };
        let flags = match self.disposition {
            Disposition::Info(_) => self.flags | SaFlags::SIGINFO,
            _ => self.flags - SaFlags::SIGINFO,
        };
        action.sa_flags = (flags.bits() & !arch::SA_RESTORER).into();
        action.sa_mask = self.mask.0;
        arch::set_restorer(&mut action);
        action
    }

    #[allow(clippy::unnecessary_cast, reason = "the width differs between architectures")]
    fn from_kernel(action: &kernel_sigaction) -> Sigaction {
        // `to_kernel` sets the restorer's flag again, so that it stays hidden from the caller.
        let flags = SaFlags::from_bits_retain(action.sa_flags as u32 & !arch::SA_RESTORER);
        let address =
            action.sa_handler_kernel.map_or(ptr::null(), |function| function as *const ());
        // SAFETY: the kernel returned the address and the flags in one action.
        let disposition = unsafe { Disposition::from_address(address, flags) };
        Sigaction { disposition, flags, mask: SigSet(action.sa_mask) }
    }
}

/// The kernel's structure, with space for one more mask after it.
///
/// On some architectures, such as riscv64, qemu-user 7.2 wrongly assumes that the structure has
/// a restorer before the mask, so it reads and writes the mask one word after its place.
#[repr(C)]
struct PaddedSigaction {
    action: kernel_sigaction,
    mask: kernel_sigset_t,
}

/// The size in bytes that the kernel requires a set of signals to have.
const SET_SIZE: usize = size_of::<kernel_sigset_t>();

/// Returns the address of a structure, or zero.
fn address<T>(option: Option<&T>) -> usize {
    option.map_or(0, |value| ptr::from_ref(value).expose_provenance())
}

/// Returns the action of a signal, and sets it if `action` is given.
///
/// # Errors
///
/// * `EINVAL` if `signal` is not a signal, or is `SIGKILL` or `SIGSTOP` and an action is given.
///
/// # Safety
///
/// * The handler is async-signal-safe; see signal-safety(7). It can run at any moment between
///   two instructions, on any thread that does not block the signal.
/// * The handler's code stays mapped while the action is set.
/// * No other code relies on the previous action.
#[doc(alias = "sigaction")]
pub unsafe fn rt_sigaction(signal: Signal, action: Option<&Sigaction>) -> Result<Sigaction> {
    let new =
        action.map(|action| PaddedSigaction { action: action.to_kernel(), mask: action.mask.0 });
    // SAFETY: the structure consists of integers and optional functions, for which zeros are valid.
    let mut old: PaddedSigaction = unsafe { mem::zeroed() };
    let (to, from) = (address(new.as_ref()), (&raw mut old).expose_provenance());
    // SAFETY: both structures have the kernel's layout; the caller promises that the handler fits.
    check_unit(unsafe { arch::rt_sigaction(signal.as_arg(), to, from, SET_SIZE) })?;
    Ok(Sigaction::from_kernel(&old.action))
}

/// Returns the calling thread's mask of blocked signals, and changes it if `set` is given.
///
/// # Errors
///
/// * `EINVAL` if `how` is unknown and a set is given.
///
/// # Safety
///
/// * No other code relies on the mask, such as a libc that has signals of its own.
#[doc(alias = "sigprocmask")]
pub unsafe fn rt_sigprocmask(how: SigHow, set: Option<&SigSet>) -> Result<SigSet> {
    let mut old = SigSet::empty();
    let (to, from) = (address(set), (&raw mut old).expose_provenance());
    // SAFETY: both sets have the size that is passed.
    check_unit(unsafe { syscall4(nr::rt_sigprocmask, how.as_arg(), to, from, SET_SIZE) })?;
    Ok(old)
}

/// An alternate signal stack: memory that signal handlers run on. Source: sigaltstack(2).
#[derive(Clone, Copy, Debug)]
pub struct SigStack {
    /// The lowest address of the stack.
    pub base: *mut u8,
    /// The length of the stack in bytes, at least `AT_MINSIGSTKSZ` of the auxiliary vector.
    pub size: usize,
    /// Options and state.
    pub flags: SsFlags,
}

/// Returns the calling thread's alternate signal stack, and sets it if `stack` is given.
///
/// # Errors
///
/// * `ENOMEM` if the stack is too small.
/// * `EPERM` if a handler is running on the current alternate stack.
/// * `EINVAL` if a flag is unknown.
///
/// # Safety
///
/// * The memory is used for nothing else, and stays mapped and writable, while it is the
///   alternate stack.
#[allow(clippy::unnecessary_cast, reason = "the types differ between architectures")]
pub unsafe fn sigaltstack(stack: Option<&SigStack>) -> Result<SigStack> {
    let new = stack.map(|stack| stack_t {
        ss_sp: stack.base.cast(),
        ss_flags: stack.flags.bits() as i32,
        ss_size: stack.size as _,
    });
    let mut old = stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    let (to, from) = (address(new.as_ref()), (&raw mut old).expose_provenance());
    // SAFETY: both structures have the kernel's layout; the caller promises that the memory is free.
    check_unit(unsafe { syscall2(nr::sigaltstack, to, from) })?;
    Ok(SigStack {
        base: old.ss_sp.cast(),
        size: old.ss_size as usize,
        flags: SsFlags::from_bits_retain(old.ss_flags as u32),
    })
}

/// Sends a signal to a process or to several processes.
///
/// `pid` selects the receiver: above zero, the process; 0, all processes of the caller's
/// process group; −1, all processes that the caller may send signals to; below −1, the process
/// group `-pid`. With `None` as `signal`, or the number 0, the call only checks that the receiver
/// exists and may be sent signals to.
///
/// # Errors
///
/// * `ESRCH` if no such process or process group exists.
/// * `EPERM` if the caller may not send signals to any of the receivers.
/// * `EINVAL` if `signal` is not a signal.
pub fn kill(pid: Pid, signal: Option<Signal>) -> Result<()> {
    let signal = signal.map_or(0, Signal::as_arg);
    // SAFETY: the call does not access memory.
    check_unit(unsafe { syscall2(nr::kill, pid as usize, signal) })
}

/// Sends a signal to one thread of a process.
///
/// # Errors
///
/// * `ESRCH` if the process does not have such a thread.
/// * `EPERM` if the caller may not send signals to the process.
/// * `EINVAL` if `signal` is not a signal, or if `process` or `thread` is not above zero.
pub fn tgkill(process: Pid, thread: Pid, signal: Signal) -> Result<()> {
    // SAFETY: the call does not access memory.
    check_unit(unsafe { syscall3(nr::tgkill, process as usize, thread as usize, signal.as_arg()) })
}

/// Raises a signal in the calling thread with given information, for example to repeat a signal that
/// the thread has received.
///
/// The call makes five system calls: it blocks all signals while it reads the thread's
/// identifiers and uses them, because otherwise a handler that forks could send the child's
/// signal to the parent.
///
/// # Errors
///
/// * `EINVAL` if `signal` is not a signal.
/// * `EAGAIN` if too many signals are pending.
#[doc(alias = "rt_sigqueueinfo")]
pub fn rt_tgsigqueueinfo(signal: Signal, info: &SigInfo) -> Result<()> {
    to_this_thread(|process, thread| {
        let info = ptr::from_ref(info).expose_provenance();
        let (process, thread) = (process as usize, thread as usize);
        // SAFETY: the kernel reads the structure.
        check_unit(unsafe {
            syscall4(nr::rt_tgsigqueueinfo, process, thread, signal.as_arg(), info)
        })
    })
}

/// Raises a signal in the calling thread.
///
/// The call makes five system calls: it blocks all signals while it reads the thread's
/// identifiers and uses them, because otherwise a handler that forks could send the child's
/// signal to the parent. Source: raise(3).
///
/// # Errors
///
/// * `EINVAL` if `signal` is not a signal.
pub fn raise(signal: Signal) -> Result<()> {
    to_this_thread(|process, thread| tgkill(process, thread, signal))
}

/// Calls `send` with the identifiers of the current process and thread, with all signals
/// blocked, so that no handler can fork in between.
fn to_this_thread(send: impl FnOnce(Pid, Pid) -> Result<()>) -> Result<()> {
    // SAFETY: the mask is restored before this function returns.
    let mask = unsafe { rt_sigprocmask(SigHow::BLOCK, Some(&SigSet::full()))? };
    let sent = send(super::getpid(), super::gettid());
    // SAFETY: this restores the thread's previous mask.
    let restored = unsafe { rt_sigprocmask(SigHow::SETMASK, Some(&mask)) };
    sent.and(restored.map(drop))
}
