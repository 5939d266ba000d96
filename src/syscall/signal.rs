//! Signals: actions, masks, alternate stacks, sending.

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
    /// No signal.
    #[must_use]
    pub const fn empty() -> SigSet {
        // SAFETY: an array of integers, for which zeros are a value.
        SigSet(unsafe { mem::zeroed() })
    }

    /// All signals. (Two of them nobody can block.)
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

    /// This set with one signal more. A number that is no signal's changes nothing.
    #[must_use]
    pub const fn with(mut self, signal: Signal) -> SigSet {
        let bit = signal.0.wrapping_sub(1);
        let word = (bit / usize::BITS) as usize;
        if word < self.0.sig.len() {
            self.0.sig[word] |= 1 << (bit % usize::BITS);
        }
        self
    }

    /// The signals that are in one of the two sets.
    pub(crate) fn union(self, other: SigSet) -> SigSet {
        let (mut words, others) = (self.to_words(), other.to_words());
        words.iter_mut().zip(others).for_each(|(word, other)| *word |= other);
        SigSet::from_words(words)
    }

    /// The number of words of a set.
    pub(crate) const WORDS: usize = SET_SIZE / size_of::<usize>();

    /// The words of the kernel's structure.
    pub(crate) fn to_words(self) -> [usize; SigSet::WORDS] {
        self.0.sig.map(|word| word as usize)
    }

    /// A set from the words of the kernel's structure.
    pub(crate) fn from_words(words: [usize; SigSet::WORDS]) -> SigSet {
        SigSet(kernel_sigset_t { sig: words.map(|word| word as _) })
    }

    /// The signals that a thread had blocked when it was interrupted by a signal.
    ///
    /// # Safety
    ///
    /// `context` is the third argument of a handler that is running.
    pub(crate) unsafe fn interrupted(context: *mut c_void) -> SigSet {
        // SAFETY: the kernel has the mask there, in its own form.
        SigSet(unsafe { *arch::signal_mask(context) })
    }

    /// Whether the signal is in the set.
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

/// What is told of a signal. Source: sigaction(2).
#[repr(transparent)]
pub struct SigInfo(siginfo_t);

assert_eq_size!(SigInfo, [u8; 128]);

impl SigInfo {
    /// The signal.
    #[must_use]
    pub fn signal(&self) -> Signal {
        // SAFETY: every signal's structure begins with these three fields.
        Signal(unsafe { self.0.__bindgen_anon_1.__bindgen_anon_1.si_signo } as u32)
    }

    /// Why it was raised; what the number means depends on the signal.
    #[must_use]
    pub fn code(&self) -> i32 {
        // SAFETY: as for `signal`.
        unsafe { self.0.__bindgen_anon_1.__bindgen_anon_1.si_code }
    }

    /// The address that faulted. Of use only for `SIGSEGV`, `SIGBUS`, `SIGILL`,
    /// `SIGFPE` and `SIGTRAP`.
    #[must_use]
    pub fn addr(&self) -> *mut u8 {
        // SAFETY: whatever is there can be seen as an address.
        unsafe { self.0.__bindgen_anon_1.__bindgen_anon_1._sifields._sigfault._addr.cast() }
    }

    /// The sender, or the child of a `SIGCHLD`; and its status.
    pub(super) fn child(&self) -> (Pid, i32) {
        // SAFETY: whatever is there can be seen as two numbers.
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

/// [`SigInfo::code`] of a `SIGBUS` for a page that does not exist, as beyond the end
/// of a mapped file.
pub const BUS_ADRERR: i32 = general::BUS_ADRERR as i32;

/// A signal handler that is told the signal.
pub type Handler = unsafe extern "C" fn(c_int);

/// A signal handler that is told the signal, what is known of it, and the
/// interrupted registers (the kernel's `ucontext` of the architecture).
pub type InfoHandler = unsafe extern "C" fn(c_int, *mut SigInfo, *mut c_void);

/// What happens when a signal is delivered.
#[derive(Clone, Copy, Debug)]
pub enum Disposition {
    /// `SIG_DFL`: what signal(7) lists for it.
    Default,
    /// `SIG_IGN`: nothing.
    Ignore,
    /// A function is called.
    Handler(Handler),
    /// A function is called, with more arguments (`SA_SIGINFO`).
    Info(InfoHandler),
}

/// The kernel's `SIG_IGN`, which is no function.
const SIG_IGN: usize = 1;

impl Disposition {
    /// What stands for it in the kernel's structure.
    pub(crate) fn address(self) -> *const () {
        match self {
            Disposition::Default => ptr::null(),
            Disposition::Ignore => ptr::without_provenance(SIG_IGN),
            Disposition::Handler(function) => function as *const (),
            Disposition::Info(function) => function as *const (),
        }
    }

    /// Calls the function, if it is one.
    ///
    /// # Safety
    ///
    /// The arguments are those that the kernel calls a handler of the signal with.
    pub(crate) unsafe fn call(self, signal: c_int, info: *mut SigInfo, context: *mut c_void) {
        match self {
            // SAFETY: the caller's promise.
            Disposition::Handler(function) => unsafe { function(signal) },
            // SAFETY: as above.
            Disposition::Info(function) => unsafe { function(signal, info, context) },
            Disposition::Default | Disposition::Ignore => {}
        }
    }

    /// # Safety
    ///
    /// Both are of one action that the kernel has, or had.
    pub(crate) unsafe fn from_address(address: *const (), flags: SaFlags) -> Disposition {
        if address.is_null() {
            Disposition::Default
        } else if address.addr() == SIG_IGN {
            Disposition::Ignore
        } else if flags.contains(SaFlags::SIGINFO) {
            // SAFETY: a function, and the flag says how it is called.
            Disposition::Info(unsafe { mem::transmute::<*const (), InfoHandler>(address) })
        } else {
            // SAFETY: as above.
            Disposition::Handler(unsafe { mem::transmute::<*const (), Handler>(address) })
        }
    }
}

/// A signal's action. Source: sigaction(2).
#[derive(Clone, Copy, Debug)]
pub struct Sigaction {
    /// What happens.
    pub disposition: Disposition,
    /// Options; `SIGINFO` is the disposition's to say.
    pub flags: SaFlags,
    /// The signals that are blocked while the handler runs, beside its own.
    pub mask: SigSet,
}

impl Sigaction {
    fn to_kernel(self) -> kernel_sigaction {
        // SAFETY: integers and optional functions, for which zeros are values.
        let mut action: kernel_sigaction = unsafe { mem::zeroed() };
        // SAFETY: an optional function is an address that may be null. The kernel
        // alone calls it, and knows which of them are none.
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
        // The restorer is none of the caller's business.
        let flags = SaFlags::from_bits_retain(action.sa_flags as u32 & !arch::SA_RESTORER);
        let address =
            action.sa_handler_kernel.map_or(ptr::null(), |function| function as *const ());
        // SAFETY: the action is the kernel's.
        let disposition = unsafe { Disposition::from_address(address, flags) };
        Sigaction { disposition, flags, mask: SigSet(action.sa_mask) }
    }
}

/// The kernel's structure, and one mask more: on some architectures (riscv64 is one)
/// qemu-user believes that it has a restorer before the mask, and reads and writes the mask
/// a word behind its place.
#[repr(C)]
struct PaddedSigaction {
    action: kernel_sigaction,
    mask: kernel_sigset_t,
}

/// The size that the kernel asks a set of signals to have.
const SET_SIZE: usize = size_of::<kernel_sigset_t>();

fn address<T>(option: Option<&T>) -> usize {
    option.map_or(0, |value| ptr::from_ref(value).expose_provenance())
}

/// Sets a signal's action if one is given, and returns the one before.
///
/// # Errors
///
/// `EINVAL`: no signal, or one whose action cannot be changed (`KILL`, `STOP`).
///
/// # Safety
///
/// The handler may run at any moment, on any thread that does not block the signal,
/// between any two instructions: it may only do what signal-safety(7) allows. Its
/// code stays mapped as long as it is set.
pub unsafe fn rt_sigaction(signal: Signal, action: Option<&Sigaction>) -> Result<Sigaction> {
    let new = action.map(|action| PaddedSigaction { action: action.to_kernel(), mask: action.mask.0 });
    // SAFETY: as in `to_kernel`.
    let mut old: PaddedSigaction = unsafe { mem::zeroed() };
    let (to, from) = (address(new.as_ref()), (&raw mut old).expose_provenance());
    // SAFETY: both structures are the kernel's; the handler is the caller's promise.
    check_unit(unsafe { syscall4(nr::rt_sigaction, signal.as_arg(), to, from, SET_SIZE) })?;
    Ok(Sigaction::from_kernel(&old.action))
}

/// Changes this thread's mask of blocked signals if a set is given, and returns the
/// one before.
///
/// # Errors
///
/// `EINVAL`: no such `how`.
///
/// # Safety
///
/// Nothing relies on the mask: a hosted program's threads have signals of their own.
pub unsafe fn rt_sigprocmask(how: SigHow, set: Option<&SigSet>) -> Result<SigSet> {
    let mut old = SigSet::empty();
    let (to, from) = (address(set), (&raw mut old).expose_provenance());
    // SAFETY: both sets have the size that is told.
    check_unit(unsafe { syscall4(nr::rt_sigprocmask, how.as_arg(), to, from, SET_SIZE) })?;
    Ok(old)
}

/// Memory for signal handlers to run on. Source: sigaltstack(2).
#[derive(Clone, Copy, Debug)]
pub struct SigStack {
    /// Its lowest address.
    pub base: *mut u8,
    /// Its length in bytes, at least `AT_MINSIGSTKSZ` of the auxiliary vector.
    pub size: usize,
    /// Options and state.
    pub flags: SsFlags,
}

/// Sets this thread's alternate signal stack if one is given, and returns the one
/// before.
///
/// # Errors
///
/// `ENOMEM`: too small. `EPERM`: a handler is running on it. `EINVAL`: unknown flags.
///
/// # Safety
///
/// The memory is used for nothing else, and stays mapped as long as it is set.
#[allow(clippy::unnecessary_cast, reason = "the types differ between architectures")]
pub unsafe fn sigaltstack(stack: Option<&SigStack>) -> Result<SigStack> {
    let new = stack.map(|stack| stack_t {
        ss_sp: stack.base.cast(),
        ss_flags: stack.flags.bits() as i32,
        ss_size: stack.size as _,
    });
    let mut old = stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    let (to, from) = (address(new.as_ref()), (&raw mut old).expose_provenance());
    // SAFETY: both structures are the kernel's; the memory is the caller's promise.
    check_unit(unsafe { syscall2(nr::sigaltstack, to, from) })?;
    Ok(SigStack {
        base: old.ss_sp.cast(),
        size: old.ss_size as usize,
        flags: SsFlags::from_bits_retain(old.ss_flags as u32),
    })
}

/// Sends a signal to a process; or to all of the caller's group (0), to all that it
/// may (−1), or to a group (its number below zero). `None` only asks whether it may.
///
/// # Errors
///
/// `ESRCH`: no such process. `EPERM`: not allowed. `EINVAL`: no signal.
pub fn kill(pid: Pid, signal: Option<Signal>) -> Result<()> {
    let signal = signal.map_or(0, Signal::as_arg);
    // SAFETY: touches no memory.
    check_unit(unsafe { syscall2(nr::kill, pid as usize, signal) })
}

/// Sends a signal to one thread of a process.
///
/// # Errors
///
/// As for [`kill`]; `EINVAL` also if either number is not above zero.
pub fn tgkill(process: Pid, thread: Pid, signal: Signal) -> Result<()> {
    // SAFETY: touches no memory.
    check_unit(unsafe { syscall3(nr::tgkill, process as usize, thread as usize, signal.as_arg()) })
}

/// Raises a signal in the calling thread once more, with the information of the first time:
/// the sender and the cause.
///
/// Takes five system calls, for the reason that [`raise`] does.
///
/// # Errors
///
/// `EINVAL` if `signal` is not a signal. `EAGAIN` if too many signals are pending.
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
/// Takes five system calls: all signals are blocked while the thread's numbers are asked for and
/// used. A handler that forks would leave the numbers of the parent to the child otherwise.
/// Source: raise(3).
///
/// # Errors
///
/// `EINVAL` if `signal` is not a signal.
pub fn raise(signal: Signal) -> Result<()> {
    to_this_thread(|process, thread| tgkill(process, thread, signal))
}

/// Sends a signal to this process and thread, which stay what they are meanwhile.
fn to_this_thread(send: impl FnOnce(Pid, Pid) -> Result<()>) -> Result<()> {
    // SAFETY: only this function runs before the mask is as it was.
    let mask = unsafe { rt_sigprocmask(SigHow::BLOCK, Some(&SigSet::full()))? };
    let sent = send(super::getpid(), super::gettid());
    // SAFETY: the mask is the one before.
    let restored = unsafe { rt_sigprocmask(SigHow::SETMASK, Some(&mask)) };
    sent.and(restored.map(drop))
}
