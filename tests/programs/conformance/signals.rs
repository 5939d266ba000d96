//! Signals that are sent to this process.

use super::*;
use baremap::syscall::{
    Disposition, Handler, InfoHandler, SaFlags, SigHow, SigInfo, SigSet, SigStack, Sigaction,
    Signal, SsFlags,
};
use core::{
    ffi::{c_int, c_void},
    sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst},
};
use linux_raw_sys::general::{SI_TKILL, SI_USER};

// These record what the handlers saw. They interrupt the only thread.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static SIGNAL: AtomicI32 = AtomicI32::new(0);
static TOLD: AtomicI32 = AtomicI32::new(0);
static CODE: AtomicI32 = AtomicI32::new(0);
static STACK: AtomicUsize = AtomicUsize::new(0);
static ALIGNED: AtomicBool = AtomicBool::new(false);
/// Which of USR1 and USR2 were blocked, as the bits 0 and 1.
static BLOCKED: AtomicUsize = AtomicUsize::new(0);
/// The difference in the values that the handler kept in registers: zero if they were unchanged.
static CHANGED: AtomicUsize = AtomicUsize::new(0);

/// Records the signal, and uses all registers.
unsafe extern "C" fn record(signal: c_int) {
    let local = 0u8;
    STACK.store((&raw const local).addr(), SeqCst);
    COUNT.fetch_add(1, SeqCst);
    SIGNAL.store(signal, SeqCst);
    ALIGNED.store(start::aligned_local(), SeqCst);
    if registers::undisturbed(3) != registers::undisturbed(3) {
        CHANGED.fetch_add(1, SeqCst);
    }
    BLOCKED.store(blocked().unwrap_or(99), SeqCst);
}

unsafe extern "C" fn record_info(signal: c_int, info: *mut SigInfo, _: *mut c_void) {
    // SAFETY: the structure is the kernel's, as long as the handler runs.
    unsafe {
        CODE.store((*info).code(), SeqCst);
        TOLD.store((*info).signal().0 as i32, SeqCst);
        record(signal);
    }
}

fn blocked() -> syscall::Result<usize> {
    // SAFETY: asks only.
    let mask = unsafe { syscall::rt_sigprocmask(SigHow::BLOCK, None)? };
    let (one, two) = (mask.contains(Signal::USR1), mask.contains(Signal::USR2));
    Ok(usize::from(one) | usize::from(two) << 1)
}

/// An action that is undone when the value is dropped.
pub struct Acting {
    signal: Signal,
    before: Sigaction,
}

impl Acting {
    pub fn new(
        signal: Signal,
        disposition: Disposition,
        flags: SaFlags,
        mask: SigSet,
    ) -> syscall::Result<Acting> {
        #[cfg(target_arch = "x86")]
        let disposition = realigned::instead_of(signal, disposition);
        let action = Sigaction { disposition, flags, mask };
        // SAFETY: the handlers of this program touch atomics and make system calls.
        let before = unsafe { syscall::rt_sigaction(signal, Some(&action))? };
        COUNT.store(0, SeqCst);
        Ok(Acting { signal, before })
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        // SAFETY: it was the action before.
        let _ = unsafe { syscall::rt_sigaction(self.signal, Some(&self.before)) };
    }
}

/// On x86, qemu-user calls handlers with a misaligned stack, on which compiled code fails. There, a
/// handler is called by code that aligns the stack.
#[cfg(target_arch = "x86")]
mod realigned {
    use super::*;

    static HANDLERS: [AtomicUsize; 65] = [const { AtomicUsize::new(0) }; 65];

    pub fn instead_of(signal: Signal, disposition: Disposition) -> Disposition {
        let Some(place) = HANDLERS.get(signal.0 as usize).filter(|_| EMULATED.load(SeqCst)) else {
            return disposition;
        };
        match disposition {
            Disposition::Handler(handler) => {
                place.store(handler as usize, SeqCst);
                // SAFETY: a C function may be called with more arguments than it takes.
                Disposition::Handler(unsafe { core::mem::transmute(enter as InfoHandler) })
            }
            Disposition::Info(handler) => {
                place.store(handler as usize, SeqCst);
                Disposition::Info(enter)
            }
            as_it_is => as_it_is,
        }
    }

    #[unsafe(naked)]
    unsafe extern "C" fn enter(_: c_int, _: *mut SigInfo, _: *mut c_void) {
        core::arch::naked_asm!(
            "push ebp",
            "mov ebp, esp",
            "and esp, -16",
            "push eax",             // with three arguments, sixteen bytes
            "push [ebp + 16]",
            "push [ebp + 12]",
            "push [ebp + 8]",
            "call {call}",
            "leave",
            "ret",
            call = sym call,
        )
    }

    unsafe extern "C" fn call(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
        let handler = HANDLERS[signal as usize].load(SeqCst);
        // SAFETY: one that was set; what it does not take is left on the stack.
        unsafe { core::mem::transmute::<usize, InfoHandler>(handler)(signal, info, context) }
    }
}

fn plain(signal: Signal) -> syscall::Result<Acting> {
    Acting::new(signal, Disposition::Handler(record), SaFlags::empty(), SigSet::empty())
}

/// An alternate stack that is disabled when the value is dropped.
pub struct AltStack(pub Pages);

impl AltStack {
    pub fn new() -> syscall::Result<AltStack> {
        // Twice the largest signal frame of any architecture.
        let pages = Pages::map(0x4_0000, READ_WRITE, ANONYMOUS, None, 0)?;
        let stack = SigStack { base: pages.addr, size: pages.length, flags: SsFlags::empty() };
        // SAFETY: the memory is for this alone, and stays until `drop`.
        unsafe { syscall::sigaltstack(Some(&stack))? };
        Ok(AltStack(pages))
    }

    pub fn holds(&self, address: usize) -> bool {
        address.wrapping_sub(self.0.addr.addr()) < self.0.length
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        let none = SigStack { base: ptr::null_mut(), size: 0, flags: SsFlags::DISABLE };
        // SAFETY: no handler is running.
        let _ = unsafe { syscall::sigaltstack(Some(&none)) };
    }
}

fn seen() -> (usize, i32) {
    (COUNT.load(SeqCst), SIGNAL.load(SeqCst))
}

fn handler() -> Outcome {
    for signal in [Signal::USR1, Signal::USR2, Signal::TERM] {
        let _acting = plain(signal)?;
        syscall::kill(syscall::getpid(), Some(signal))?;
        same(seen(), (1, signal.0 as i32))?;
        syscall::raise(signal)?;
        same(seen(), (2, signal.0 as i32))?;
        ensure(ALIGNED.load(SeqCst), "a handler's stack that is not aligned")?;
    }
    Ok(())
}

fn handler_with_information() -> Outcome {
    let info = Disposition::Info(record_info);
    let _acting = Acting::new(Signal::USR1, info, SaFlags::empty(), SigSet::empty())?;
    let usr1 = Signal::USR1.0 as i32;
    syscall::kill(syscall::getpid(), Some(Signal::USR1))?;
    same(seen(), (1, usr1))?;
    same((TOLD.load(SeqCst), CODE.load(SeqCst)), (usr1, SI_USER as i32))?;
    syscall::raise(Signal::USR1)?;
    same(seen(), (2, usr1))?;
    same((TOLD.load(SeqCst), CODE.load(SeqCst)), (usr1, SI_TKILL))
}

/// Keeps integers and floating-point numbers in registers across calls that raise a signal.
#[inline(never)]
fn values_survive() -> Outcome {
    let _acting = plain(Signal::USR1)?;
    let (me, signal) = (syscall::getpid() as usize, Signal::USR1.0 as usize);
    // SAFETY: the handler is set.
    let kept = registers::keep(20, |_| unsafe { raw::syscall2(nr::kill, me, signal) });
    same(kept, registers::undisturbed(20))?;
    same((COUNT.load(SeqCst), CHANGED.load(SeqCst)), (20, 0))
}

fn a_hundred_times() -> Outcome {
    let _acting = plain(Signal::USR1)?;
    for count in 1..=100 {
        syscall::raise(Signal::USR1)?;
        same(COUNT.load(SeqCst), count)?;
    }
    Ok(())
}

fn mask() -> Outcome {
    let _acting = plain(Signal::USR1)?;
    let set = SigSet::empty().with(Signal::USR1);
    // SAFETY: nothing relies on the mask.
    unsafe { syscall::rt_sigprocmask(SigHow::BLOCK, Some(&set))? };
    syscall::raise(Signal::USR1)?;
    let (waiting, mask) = (COUNT.load(SeqCst), blocked()?);
    // SAFETY: as above.
    let before = unsafe { syscall::rt_sigprocmask(SigHow::UNBLOCK, Some(&set))? };
    same((waiting, mask), (0, 1))?;
    ensure(before.contains(Signal::USR1), "another mask before")?;
    same((COUNT.load(SeqCst), blocked()?), (1, 0))
}

fn set_mask() -> Outcome {
    let set = SigSet::empty().with(Signal::USR2);
    // SAFETY: nothing relies on the mask, and it is set back.
    unsafe {
        let before = syscall::rt_sigprocmask(SigHow::SETMASK, Some(&set))?;
        let between = blocked()?;
        syscall::rt_sigprocmask(SigHow::SETMASK, Some(&before))?;
        same((between, blocked()?), (2, 0))?;
        fails(syscall::rt_sigprocmask(SigHow(77), Some(&set)), Errno::EINVAL)
    }
}

/// While the handler runs, its own signal and those of the action's mask are blocked.
fn mask_of_the_handler() -> Outcome {
    let with_usr2 = SigSet::empty().with(Signal::USR2);
    let nothing = SigSet::empty();
    for (flags, mask, wanted) in [
        (SaFlags::empty(), nothing, 1),
        (SaFlags::empty(), with_usr2, 3),
        (SaFlags::NODEFER, nothing, 0),
        (SaFlags::NODEFER, with_usr2, 2),
    ] {
        let _acting = Acting::new(Signal::USR1, Disposition::Handler(record), flags, mask)?;
        syscall::raise(Signal::USR1)?;
        same((BLOCKED.load(SeqCst), blocked()?), (wanted, 0))?;
    }
    Ok(())
}

fn alternate_stack() -> Outcome {
    let stack = AltStack::new()?;
    let onstack = SaFlags::ONSTACK;
    for disposition in [Disposition::Handler(record), Disposition::Info(record_info)] {
        let _acting = Acting::new(Signal::USR1, disposition, onstack, SigSet::empty())?;
        syscall::raise(Signal::USR1)?;
        same(seen(), (1, Signal::USR1.0 as i32))?;
        ensure(stack.holds(STACK.load(SeqCst)), "a handler on another stack")?;
        ensure(ALIGNED.load(SeqCst), "a handler's stack that is not aligned")?;
    }
    let _acting = plain(Signal::USR1)?;
    syscall::raise(Signal::USR1)?;
    ensure(!stack.holds(STACK.load(SeqCst)), "a handler on the alternate stack")
}

fn alternate_stack_is_told() -> Outcome {
    // SAFETY: asks only.
    let told = || unsafe { syscall::sigaltstack(None) };
    let stack = AltStack::new()?;
    let now = told()?;
    same((now.base, now.size, now.flags), (stack.0.addr, stack.0.length, SsFlags::empty()))?;
    drop(stack);
    ensure(told()?.flags.contains(SsFlags::DISABLE), "a stack that is still set")?;
    let tiny = SigStack { base: ptr::null_mut(), size: 16, flags: SsFlags::empty() };
    // SAFETY: refused.
    fails(unsafe { syscall::sigaltstack(Some(&tiny)) }, Errno::ENOMEM)
}

/// Where qemu-user assumes that the action has a restorer.
const RESTORER: bool = cfg!(any(
    target_arch = "loongarch64",
    target_arch = "mips",
    target_arch = "riscv32",
    target_arch = "riscv64"
));

/// The kernel writes as many bytes of the old action as its headers say.
fn structure_has_its_size() -> Outcome {
    use linux_raw_sys::general::{kernel_sigaction, kernel_sigset_t};
    const WORDS: usize = size_of::<kernel_sigaction>() / size_of::<usize>();
    let mut old = [0x5a5a_5a5ausize; WORDS + 2];
    let (signal, size) = (Signal::USR2.0 as usize, size_of::<kernel_sigset_t>());
    // SAFETY: asks only, and there is more than enough room.
    let result = unsafe { raw::syscall4(nr::rt_sigaction, signal, 0, &raw mut old as usize, size) };
    same(check(result), Ok(0))?;
    same(&old[WORDS..], &[0x5a5a_5a5a; 2])?;
    ensure(old[WORDS - 1] != 0x5a5a_5a5a, "a structure with room left")
}

fn current(signal: Signal) -> syscall::Result<Sigaction> {
    // SAFETY: asks only.
    unsafe { syscall::rt_sigaction(signal, None) }
}

fn reset() -> Outcome {
    let flags = SaFlags::RESETHAND;
    let _acting = Acting::new(Signal::USR1, Disposition::Handler(record), flags, SigSet::empty())?;
    syscall::raise(Signal::USR1)?;
    same(seen(), (1, Signal::USR1.0 as i32))?;
    let default = matches!(current(Signal::USR1)?.disposition, Disposition::Default);
    ensure(default, "an action that is still set")
}

/// The kernel reports the action that was set: the kind of handler, its address, the flags and the
/// mask.
fn actions_are_told() -> Outcome {
    let set = SigSet::empty().with(Signal::HUP).with(Signal::XFSZ);
    let flags = SaFlags::RESTART | SaFlags::ONSTACK;
    let _plain = Acting::new(Signal::USR1, Disposition::Handler(record), flags, set)?;
    let told = current(Signal::USR1)?;
    let Disposition::Handler(handler) = told.disposition else {
        return Err(wrong(format_args!("got another disposition")));
    };
    same(handler as usize, record as Handler as usize)?;
    ensure(told.flags.contains(flags), "other flags")?;
    ensure(!told.flags.intersects(SaFlags::NODEFER | SaFlags::RESETHAND), "more flags")?;
    let others = [Signal::HUP, Signal::XFSZ, Signal::USR2, Signal::INT];
    same(others.map(|signal| told.mask.contains(signal)), [true, true, false, false])?;

    let info = Disposition::Info(record_info);
    let _info = Acting::new(Signal::USR2, info, SaFlags::empty(), SigSet::empty())?;
    match current(Signal::USR2)?.disposition {
        Disposition::Info(function) => {
            same(function as usize, record_info as InfoHandler as usize)?;
        }
        _ => return Err(wrong(format_args!("got another disposition"))),
    }
    let ignore = Disposition::Ignore;
    let before = Acting::new(Signal::USR2, ignore, SaFlags::empty(), SigSet::empty())?.before;
    ensure(matches!(before.disposition, Disposition::Info(_)), "another one before")
}

/// The restorer of a libc is not kept when its action is set again.
#[cfg(not(any(
    target_arch = "loongarch64",
    target_arch = "mips",
    target_arch = "mips64",
    target_arch = "riscv32",
    target_arch = "riscv64"
)))]
fn restorer_is_not_kept() -> Outcome {
    use linux_raw_sys::general::SA_RESTORER;
    let handler = Disposition::Handler(record);
    let flags = SaFlags::from_bits_retain(SA_RESTORER);
    let _acting = Acting::new(Signal::USR1, handler, flags, SigSet::empty())?;
    syscall::raise(Signal::USR1)?;
    same(seen(), (1, Signal::USR1.0 as i32))?;
    ensure(!current(Signal::USR1)?.flags.contains(flags), "a flag that is the kernel's")
}

fn ignored() -> Outcome {
    let ignore = Disposition::Ignore;
    let _acting = Acting::new(Signal::TERM, ignore, SaFlags::empty(), SigSet::empty())?;
    syscall::raise(Signal::TERM)?; // would end this process
    let ignored = matches!(current(Signal::TERM)?.disposition, Disposition::Ignore);
    ensure(ignored, "another disposition")
}

fn errors() -> Outcome {
    let (ignore, none) = (Disposition::Ignore, SaFlags::empty());
    fails(Acting::new(Signal::KILL, ignore, none, SigSet::empty()), Errno::EINVAL)?;
    fails(Acting::new(Signal(999), ignore, none, SigSet::empty()), Errno::EINVAL)?;
    let me = syscall::getpid();
    syscall::kill(me, None)?;
    fails(syscall::kill(me, Some(Signal(999))), Errno::EINVAL)?;
    fails(syscall::kill(i32::MAX, Some(Signal::USR1)), Errno::ESRCH)?;
    fails(syscall::tgkill(me, i32::MAX, Signal::USR1), Errno::ESRCH)?;
    fails(syscall::tgkill(me, 0, Signal::USR1), Errno::EINVAL)?;
    fails(syscall::tgkill(0, me, Signal::USR1), Errno::EINVAL)
}

pub const CASES: &[Case] = &[
    case!(
        "rt_sigaction writes its structure and no more",
        structure_has_its_size,
        qemu_user: "it takes this for an architecture with a restorer",
        if RESTORER
    ),
    case!(
        "a handler is called with the number",
        handler,
        qemu_user: "it aligns the stack to 8 bytes",
        if cfg!(target_arch = "mips64")
    ),
    case!("a handler is told who sent it", handler_with_information),
    case!("values in registers survive a handler", values_survive),
    case!("a handler returns a hundred times", a_hundred_times),
    case!("a blocked signal waits until unblocked", mask),
    case!("the mask is set as a whole, and told", set_mask),
    case!(
        "the mask while a handler runs",
        mask_of_the_handler,
        qemu_user: "it looks for the mask behind a restorer",
        if cfg!(target_arch = "riscv32")
    ),
    case!(
        "SA_ONSTACK runs on the alternate stack",
        alternate_stack,
        qemu_user: "it aligns the stack to 8 bytes",
        if cfg!(target_arch = "mips64")
    ),
    case!("sigaltstack tells what was set", alternate_stack_is_told),
    case!("SA_RESETHAND", reset),
    case!(
        "rt_sigaction tells what was set",
        actions_are_told,
        qemu_user: "handlers are called from another, on an aligned stack",
        if cfg!(target_arch = "x86")
    ),
    #[cfg(not(any(
        target_arch = "loongarch64",
        target_arch = "mips",
        target_arch = "mips64",
        target_arch = "riscv32",
        target_arch = "riscv64"
    )))]
    case!("a restorer is not kept", restorer_is_not_kept),
    case!("an ignored signal does nothing", ignored),
    case!("no such signal, no such process", errors),
];
