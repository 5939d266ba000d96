//! Signal handlers, masks and stacks.
//!
//! SAFETY of all calls here: handlers only touch atomic variables or make raw calls. Each test has
//! signals that no other test uses, most of them real-time signals, and either restores their actions or
//! leaves an action that no other test depends on.

use super::*;

/// Returns the signals that this thread blocks, according to the oracle. Bit 0 is signal 1.
fn blocked() -> u64 {
    let mut set = 0_u64;
    let to = &raw mut set;
    assert_eq!(unsafe { sc::syscall!(RT_SIGPROCMASK, 0, 0, to, 8) }, 0);
    set
}

const fn bit(signal: Signal) -> u64 {
    1 << (signal.0 - 1)
}

/// Returns the kernel's action for a signal, according to the oracle.
fn kernels_action(signal: Signal) -> kernel::kernel_sigaction {
    let mut action: kernel::kernel_sigaction = unsafe { mem::zeroed() };
    let to = &raw mut action;
    assert_eq!(unsafe { sc::syscall!(RT_SIGACTION, signal.0, 0, to, 8) }, 0);
    action
}

#[test]
fn calls_on_signals_refuse_what_the_kernel_refuses() {
    let ignored = kernels_action(Signal::PIPE);
    let ignored = ptr::from_ref(&ignored);
    refused(
        "rt_sigaction",
        &[
            ("KILL", Errno::EINVAL, Signal::KILL),
            ("STOP", Errno::EINVAL, Signal::STOP),
            ("signal 0", Errno::EINVAL, Signal(0)),
            ("signal 65", Errno::EINVAL, Signal(65)),
        ],
        |signal| unsafe {
            let ignore = action(Disposition::Ignore, SaFlags::empty());
            syscall::rt_sigaction(signal, Some(&ignore))
        },
        |signal| unsafe { sc::syscall!(RT_SIGACTION, signal.0, ignored, 0, 8) },
    );
    assert!(unsafe { syscall::rt_sigaction(Signal::KILL, None) }.is_ok(), "may be asked");

    refused(
        "rt_sigprocmask",
        &[("unknown", Errno::EINVAL, SigHow(99)), ("unknown", Errno::EINVAL, SigHow(3))],
        |how| unsafe { syscall::rt_sigprocmask(how, Some(&SigSet::empty())) },
        |how| unsafe { sc::syscall!(RT_SIGPROCMASK, how.0, &raw const BLOCKED_NONE, 0, 8) },
    );

    let stack = Region::anonymous(4);
    refused(
        "sigaltstack",
        &[("too small", Errno::ENOMEM, (1, 0)), ("unknown flag", Errno::EINVAL, (4 * page(), 16))],
        |(size, flags)| {
            let flags = SsFlags::from_bits_retain(flags);
            unsafe { syscall::sigaltstack(Some(&SigStack { base: stack.0, size, flags })) }
        },
        |(size, flags)| {
            let ss_sp = stack.0.cast();
            let stack = kernel::stack_t { ss_sp, ss_flags: flags as i32, ss_size: size as u64 };
            unsafe { sc::syscall!(SIGALTSTACK, &raw const stack, 0) }
        },
    );
}

static BLOCKED_NONE: u64 = 0;

#[test]
fn a_handler_runs_with_its_mask() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    static SIGNAL: AtomicI32 = AtomicI32::new(0);
    static MASK: AtomicU64 = AtomicU64::new(0);
    unsafe extern "C" fn handler(signal: c_int) {
        RUNS.fetch_add(1, SeqCst);
        SIGNAL.store(signal, SeqCst);
        MASK.store(blocked(), SeqCst);
    }

    let (mine, other) = (Signal::USR1, Signal(40));
    let mut set = action(Disposition::Handler(handler), SaFlags::RESTART);
    set.mask = SigSet::empty().with(other);
    let before = unsafe { syscall::rt_sigaction(mine, Some(&set)) }.unwrap();
    assert!(matches!(before.disposition, Disposition::Default));
    let seen = kernels_action(mine);
    assert_eq!(
        seen.sa_handler_kernel.map(|function| function as usize),
        Some(handler as *const () as usize)
    );
    assert_eq!(seen.sa_flags as u32 & kernel::SA_RESTART, kernel::SA_RESTART);
    assert_eq!(seen.sa_flags as u32 & kernel::SA_SIGINFO, 0);
    assert_eq!(seen.sa_mask.sig[0], bit(other));

    let outside = blocked();
    assert_eq!(syscall::raise(mine), Ok(()));
    assert_eq!((RUNS.load(SeqCst), SIGNAL.load(SeqCst)), (1, mine.0 as i32));
    assert_eq!(MASK.load(SeqCst), outside | bit(mine) | bit(other));
    assert_eq!(blocked(), outside, "set back at the return");
    let me = (syscall::getpid(), syscall::gettid());
    assert_eq!(syscall::tgkill(me.0, me.1, mine), Ok(()));
    assert_eq!(RUNS.load(SeqCst), 2);

    set.flags = SaFlags::NODEFER;
    set.mask = SigSet::empty();
    let back = unsafe { syscall::rt_sigaction(mine, Some(&set)) }.unwrap();
    let Disposition::Handler(function) = back.disposition else { panic!("{back:?}") };
    assert_eq!(function as usize, handler as *const () as usize);
    for signal in (1..=64).map(Signal) {
        assert_eq!(back.mask.contains(signal), signal == other, "{signal:?}");
    }
    assert_eq!(syscall::raise(mine), Ok(()));
    assert_eq!(MASK.load(SeqCst), outside, "not deferred");

    // With RESETHAND, the handler is called for one signal only.
    set.flags = SaFlags::RESETHAND;
    unsafe { syscall::rt_sigaction(mine, Some(&set)) }.unwrap();
    assert_eq!(syscall::raise(mine), Ok(()));
    assert_eq!(RUNS.load(SeqCst), 4);
    let after = unsafe { syscall::rt_sigaction(mine, None) }.unwrap();
    assert!(matches!(after.disposition, Disposition::Default));
}

#[test]
fn a_handler_receives_the_signals_information() {
    static TOLD: [AtomicI32; 3] = [const { AtomicI32::new(0) }; 3];
    unsafe extern "C" fn handler(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
        let info = unsafe { &*info };
        TOLD[0].store(signal, SeqCst);
        TOLD[1].store(if context.is_null() { 0 } else { info.signal().0 as i32 }, SeqCst);
        TOLD[2].store(info.code(), SeqCst);
    }

    let signal = Signal(41);
    let set = action(Disposition::Info(handler), SaFlags::empty());
    unsafe { syscall::rt_sigaction(signal, Some(&set)) }.unwrap();
    let seen = kernels_action(signal);
    assert_eq!(seen.sa_flags as u32 & kernel::SA_SIGINFO, kernel::SA_SIGINFO);
    assert_eq!(syscall::raise(signal), Ok(()));
    // The code is SI_TKILL (sigaction(2)).
    assert_eq!(TOLD.each_ref().map(|told| told.load(SeqCst)), [41, 41, -6]);

    let back = unsafe { syscall::rt_sigaction(signal, None) }.unwrap();
    let Disposition::Info(function) = back.disposition else { panic!("{back:?}") };
    assert_eq!(function as usize, handler as *const () as usize);
    assert!(back.flags.contains(SaFlags::SIGINFO));

    // The returned action can be set again, and a handler without information does not keep the
    // flag.
    unsafe extern "C" fn plain(signal: c_int) {
        TOLD[0].store(-signal, SeqCst);
    }
    let plain = Sigaction { disposition: Disposition::Handler(plain), ..back };
    unsafe { syscall::rt_sigaction(signal, Some(&plain)) }.unwrap();
    assert_eq!(kernels_action(signal).sa_flags as u32 & kernel::SA_SIGINFO, 0);
    assert_eq!(syscall::raise(signal), Ok(()));
    assert_eq!(TOLD[0].load(SeqCst), -41);
}

#[test]
fn rt_sigaction_returns_the_flags_that_were_set() {
    unsafe extern "C" fn nothing(_: c_int) {}

    let signal = Signal(42);
    for flags in [SaFlags::empty(), SaFlags::RESTART | SaFlags::NODEFER, SaFlags::ONSTACK] {
        let _case = case!(flags);
        let set = action(Disposition::Handler(nothing), flags);
        unsafe { syscall::rt_sigaction(signal, Some(&set)) }.unwrap();
        let back = unsafe { syscall::rt_sigaction(signal, None) }.unwrap();
        assert_eq!(back.flags, flags);
    }
}

#[test]
fn dispositions_ignore_a_signal_or_end_the_process() {
    let signal = Signal::USR2;
    in_child(|| unsafe {
        let ignore = action(Disposition::Ignore, SaFlags::empty());
        check!(syscall::rt_sigaction(signal, Some(&ignore)).is_ok());
        check!(syscall::raise(signal) == Ok(()));
        let back = syscall::rt_sigaction(signal, None);
        check!(back.is_ok_and(|back| matches!(back.disposition, Disposition::Ignore)));
        Ok(())
    });
    let pid = start(|| {
        check!(syscall::raise(signal) == Ok(()));
        Err(Failure::new("the signal does not end the process"))
    });
    assert_eq!(wait(pid), WaitStatus::Killed(signal, false));
}

#[test]
fn a_blocked_signal_waits() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" fn handler(_: c_int) {
        RUNS.fetch_add(1, SeqCst);
    }

    let signal = Signal(43);
    let handler = action(Disposition::Handler(handler), SaFlags::empty());
    unsafe { syscall::rt_sigaction(signal, Some(&handler)) }.unwrap();
    let mask = |how, set: Option<&SigSet>| unsafe { syscall::rt_sigprocmask(how, set) }.unwrap();
    let (before, set) = (blocked(), SigSet::empty().with(signal));
    assert!(!mask(SigHow::BLOCK, Some(&set)).contains(signal));
    assert_eq!(blocked(), before | bit(signal));
    assert_eq!(syscall::raise(signal), Ok(()));
    assert_eq!(RUNS.load(SeqCst), 0);
    assert!(mask(SigHow::UNBLOCK, None).contains(signal), "only asked");
    assert_eq!(blocked(), before | bit(signal));
    let old = mask(SigHow::UNBLOCK, Some(&set));
    assert_eq!(RUNS.load(SeqCst), 1);
    for number in 1..=64 {
        let expected = (before | bit(signal)) & bit(Signal(number)) != 0;
        assert_eq!(old.contains(Signal(number)), expected, "{number}");
    }

    let ends = SigSet::empty().with(Signal(43)).with(Signal(64)).with(Signal(34));
    let old = mask(SigHow::SETMASK, Some(&ends));
    assert_eq!(blocked(), bit(Signal(43)) | bit(Signal(64)) | bit(Signal(34)));
    mask(SigHow::SETMASK, Some(&old));
    assert_eq!(blocked(), before);
}

#[test]
fn a_signal_set_contains_exactly_the_added_signals() {
    for number in 0..=70 {
        let (signal, valid) = (Signal(number), (1..=64).contains(&number));
        let set = SigSet::empty().with(signal);
        assert_eq!(set.contains(signal), valid, "{number}");
        for other in (1..=64).filter(|&other| other != number) {
            assert!(!set.contains(Signal(other)), "{other} in the set of {number}");
        }
    }
}

#[test]
fn a_handler_runs_on_the_alternate_stack() {
    static AT: AtomicUsize = AtomicUsize::new(0);
    static FLAGS: AtomicU32 = AtomicU32::new(0);
    static REFUSED: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" fn handler(_: c_int) {
        let here = 0_u8;
        AT.store(&raw const here as usize, SeqCst);
        let Ok(stack) = (unsafe { syscall::sigaltstack(None) }) else { return };
        FLAGS.store(stack.flags.bits(), SeqCst);
        // The stack cannot be changed while a handler runs on it.
        let Err(errno) = (unsafe { syscall::sigaltstack(Some(&stack)) }) else { return };
        REFUSED.store(errno.number().into(), SeqCst);
    }
    fn kernels_stack() -> (usize, i32, u64) {
        let mut stack = kernel::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
        assert_eq!(unsafe { sc::syscall!(SIGALTSTACK, 0, &raw mut stack) }, 0);
        (stack.ss_sp as usize, stack.ss_flags, stack.ss_size)
    }

    let signal = Signal(44);
    let set = action(Disposition::Handler(handler), SaFlags::ONSTACK);
    unsafe { syscall::rt_sigaction(signal, Some(&set)) }.unwrap();
    let region = Region::anonymous(32);
    let range = region.0 as usize..region.0 as usize + region.1;
    let before = kernels_stack();

    let stack = SigStack { base: region.0, size: region.1, flags: SsFlags::empty() };
    let old = unsafe { syscall::sigaltstack(Some(&stack)) }.unwrap();
    assert_eq!((old.base as usize, old.flags.bits() as i32, old.size as u64), before);
    assert_eq!(kernels_stack(), (region.0 as usize, 0, region.1 as u64));
    assert_eq!(syscall::raise(signal), Ok(()));
    assert!(range.contains(&AT.load(SeqCst)));
    assert_eq!(FLAGS.load(SeqCst), SsFlags::ONSTACK.bits());
    assert_eq!(REFUSED.load(SeqCst), u32::from(Errno::EPERM.number()));

    // Without the flag, the handler runs on the thread's own stack.
    let set = action(set.disposition, SaFlags::empty());
    unsafe { syscall::rt_sigaction(signal, Some(&set)) }.unwrap();
    assert_eq!(syscall::raise(signal), Ok(()));
    assert!(!range.contains(&AT.load(SeqCst)));

    let back = unsafe { syscall::sigaltstack(Some(&old)) }.unwrap();
    assert_eq!((back.base, back.size, back.flags), (region.0, region.1, SsFlags::empty()));
    assert_eq!(kernels_stack(), before);
}

#[test]
fn a_fault_reports_its_address() {
    static EXPECTED: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn handler(signal: c_int, info: *mut SigInfo, _: *mut c_void) {
        let info = unsafe { &*info };
        let bus = signal != Signal::BUS.0 as i32 || info.code() == syscall::BUS_ADRERR;
        let at = info.addr() as usize == EXPECTED.load(SeqCst);
        syscall::exit_group(if at && bus { 42 } else { 43 });
    }

    let file = memfd("empty", 0);
    let beyond = Region::of(number(&file), 1, rustix::mm::ProtFlags::READ);
    for (signal, at) in [(Signal::BUS, beyond.0.wrapping_add(8)), (Signal::SEGV, NOWHERE)] {
        let pid = start(|| unsafe {
            EXPECTED.store(at as usize, SeqCst);
            let set = action(Disposition::Info(handler), SaFlags::empty());
            check!(syscall::rt_sigaction(signal, Some(&set)).is_ok());
            at.read_volatile();
            Err(Failure::new("reading does not fault"))
        });
        assert_eq!(wait(pid), WaitStatus::Exited(42), "{signal:?}");
    }
}
