//! Faults that the library does not handle, and handlers that were installed before or after its
//! own. Each case runs in a child, because the process itself has not installed the library's
//! handler yet.

use super::processes::{child, ended};
use super::signals::Acting;
use super::*;
use baremap::map::guard;
use baremap::syscall::{
    BUS_ADRERR, Disposition, InfoHandler, SaFlags, SigInfo, SigSet, Signal, WaitStatus, exit_group,
};
use core::{
    ffi::{c_int, c_void},
    mem,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst},
};

/// The missing page, for the handlers of these cases.
static MISSING: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Maps the missing page if the signal's information is as the kernel gives it.
unsafe extern "C" fn mend(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
    // SAFETY: the structure is the kernel's, as long as the handler runs.
    let code = unsafe { (*info).code() };
    let raised = page() > 4096 && EMULATED.load(SeqCst); // as SIGSEGV: see the group "faults"
    if (signal != Signal::BUS.0 as c_int || code != BUS_ADRERR) && !raised || context.is_null() {
        exit_group(3);
    }
    CALLS.fetch_add(1, SeqCst);
    let (at, flags) = (MISSING.load(SeqCst), ANONYMOUS | MapFlags::FIXED);
    // SAFETY: the page is the one that the case is about.
    if unsafe { syscall::mmap(at, page(), READ_WRITE, flags, None, 0) }.is_err() {
        exit_group(5);
    }
}

/// Exits with 50 if exactly those signals are blocked that the action names (`USR2`) and that the
/// thread had blocked (`XFSZ`), and with 51 otherwise. Adds 2 if the handler's own signal is
/// blocked.
unsafe extern "C" fn tell_the_mask(signal: c_int) {
    // SAFETY: only asks; nothing relies on the mask.
    let mask = unsafe { syscall::rt_sigprocmask(syscall::SigHow::BLOCK, None) };
    let blocked = |signal| mask.as_ref().is_ok_and(|mask| mask.contains(signal));
    let right = [Signal::USR2, Signal::XFSZ].into_iter().all(blocked)
        && ![Signal::USR1, Signal::ALRM, Signal::CHLD].into_iter().any(blocked);
    exit_group(50 + i32::from(!right) + 2 * i32::from(blocked(Signal(signal as u32))));
}

unsafe extern "C" fn leave(signal: c_int) {
    exit_group(if signal == Signal::BUS.0 as c_int { 40 } else { 41 });
}

/// Runs a function in a child, in which both signals had this disposition before the library's
/// handler was installed.
fn after(
    disposition: Disposition,
    flags: SaFlags,
    run: impl FnOnce(&Pages) -> syscall::Result<i32>,
) -> Result<WaitStatus, Trouble> {
    let mask = SigSet::empty().with(Signal::USR2);
    let pid = child(|| {
        let prepared = || {
            mem::forget(Acting::new(Signal::BUS, disposition, flags, mask)?);
            mem::forget(Acting::new(Signal::SEGV, disposition, flags, mask)?);
            guard::install()?;
            let pages = Pages::map(
                2 * page(),
                READ_WRITE,
                MapFlags::SHARED,
                Some(numbered(1)?.as_fd()),
                0,
            )?;
            MISSING.store(pages.page(1), SeqCst);
            run(&pages)
        };
        prepared().unwrap_or(99)
    })?;
    ended(pid)
}

/// Checks that a fault ended the child. qemu-user may raise SIGSEGV for a page past the end of a
/// file.
fn ended_by_a_fault(status: WaitStatus) -> Outcome {
    match status {
        WaitStatus::Killed(Signal::BUS, _) => Ok(()),
        WaitStatus::Killed(Signal::SEGV, _) if EMULATED.load(SeqCst) && page() > 4096 => Ok(()),
        other => Err(wrong(format_args!("got {other:?}, wanted SIGBUS"))),
    }
}

fn handler_with_information_before() -> Outcome {
    let status = after(Disposition::Info(mend), SaFlags::empty(), |pages| {
        // The library handles the copy, and the other handler the access after it.
        let mut byte = 0xff;
        // SAFETY: the byte is this function's, and to the mapping there are no references.
        let left = unsafe { guard::copy(pages.page(1), &mut byte, 1) };
        if (left, CALLS.load(SeqCst)) != (Err(1), 0) {
            return Ok(1);
        }
        let mended = pages.get(page()) == 0;
        Ok(if mended && CALLS.load(SeqCst) == 1 { 0 } else { 2 })
    })?;
    same(status, WaitStatus::Exited(0))
}

fn handler_before() -> Outcome {
    let run = |pages: &Pages| Ok(pages.get(page()).into());
    match after(Disposition::Handler(leave), SaFlags::empty(), run)? {
        WaitStatus::Exited(41) if EMULATED.load(SeqCst) && page() > 4096 => Ok(()),
        status => same(status, WaitStatus::Exited(40)),
    }
}

fn mask_of_a_handler_before() -> Outcome {
    for (flags, code) in [(SaFlags::empty(), 52), (SaFlags::NODEFER, 50)] {
        let status = after(Disposition::Handler(tell_the_mask), flags, |pages| {
            let set = SigSet::empty().with(Signal::XFSZ);
            // SAFETY: nothing relies on the mask.
            unsafe { syscall::rt_sigprocmask(syscall::SigHow::BLOCK, Some(&set))? };
            Ok(pages.get(page()).into())
        })?;
        same(status, WaitStatus::Exited(code))?;
    }
    Ok(())
}

fn handler_for_once_before() -> Outcome {
    let status = after(Disposition::Info(mend), SaFlags::RESETHAND, |pages| {
        if pages.get(page()) != 0 {
            return Ok(1);
        }
        if guarded_copy::shorten(pages, 1).is_err() {
            return Ok(2);
        }
        Ok(pages.get(page()).into())
    })?;
    ended_by_a_fault(status)
}

fn nothing_before() -> Outcome {
    let run = |pages: &Pages| Ok(pages.get(page()).into());
    ended_by_a_fault(after(Disposition::Default, SaFlags::empty(), run)?)?;
    let sent = |_: &Pages| {
        syscall::kill(syscall::getpid(), Some(Signal::SEGV))?;
        Ok(0)
    };
    match after(Disposition::Default, SaFlags::empty(), sent)? {
        WaitStatus::Killed(Signal::SEGV, _) => Ok(()),
        other => Err(wrong(format_args!("got {other:?}, wanted SIGSEGV"))),
    }
}

fn ignored_before() -> Outcome {
    // A signal that is sent can be ignored, a fault cannot.
    let run = |pages: &Pages| {
        for _ in 0..3 {
            syscall::raise(Signal::BUS)?;
            syscall::raise(Signal::SEGV)?;
        }
        Ok(pages.get(page()).into())
    };
    ended_by_a_fault(after(Disposition::Ignore, SaFlags::empty(), run)?)
}

static BEFORE: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Chains to the previous handler.
unsafe extern "C" fn hand_on(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
    CALLS.fetch_add(1, SeqCst);
    // SAFETY: such a handler is what the case stored.
    let before = unsafe { mem::transmute::<*mut (), InfoHandler>(BEFORE.load(SeqCst)) };
    // SAFETY: all that this one was called with.
    unsafe { before(signal, info, context) };
}

/// Another handler is installed later, and chains to the library's handler.
fn handler_after() -> Outcome {
    let status = after(Disposition::Info(mend), SaFlags::empty(), |pages| {
        // SAFETY: only asks.
        let before = unsafe { syscall::rt_sigaction(Signal::BUS, None)? };
        let Disposition::Info(handler) = before.disposition else { return Ok(1) };
        BEFORE.store(handler as *mut (), SeqCst);
        for signal in [Signal::BUS, Signal::SEGV] {
            let (hand_on, mask) = (Disposition::Info(hand_on), before.mask);
            mem::forget(Acting::new(signal, hand_on, before.flags, mask)?);
        }
        let mut byte = 0xff;
        // SAFETY: the byte is this function's, and to the mapping there are no references.
        let left = unsafe { guard::copy(pages.page(1), &mut byte, 1) };
        if (left, CALLS.load(SeqCst)) != (Err(1), 1) {
            return Ok(2);
        }
        // A fault that the library does not handle passes through all three handlers.
        Ok(if pages.get(page()) == 0 && CALLS.load(SeqCst) == 3 { 0 } else { 3 })
    })?;
    same(status, WaitStatus::Exited(0))
}

pub const CASES: &[Case] = &[
    case!(
        "a handler with information before is called",
        handler_with_information_before,
        qemu_user: "handlers are called on a stack that is not aligned",
        if cfg!(target_arch = "x86")
    ),
    case!("a handler before is called", handler_before),
    case!(
        "the mask of a handler before holds",
        mask_of_a_handler_before,
        qemu_user: "it looks for the mask behind a restorer",
        if cfg!(target_arch = "riscv32")
    ),
    case!(
        "a handler before that is for once is called once",
        handler_for_once_before,
        qemu_user: "a fault that is sent once more it takes for its own, and exits"
    ),
    case!(
        "a handler after may hand on",
        handler_after,
        qemu_user: "handlers are called on a stack that is not aligned",
        if cfg!(target_arch = "x86")
    ),
    case!(
        "without one before the signal ends the process",
        nothing_before,
        qemu_user: "a fault that is sent once more it takes for its own, and exits"
    ),
    case!(
        "an ignored signal ends it only if it is a fault",
        ignored_before,
        qemu_user: "a fault that is sent once more it takes for its own, and exits"
    ),
];
