//! `raise` is interrupted at any moment by a handler that forks, and both processes continue.

#[path = "common/child.rs"]
mod child;

use std::{
    ffi::c_int,
    mem, ptr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

use baremap::syscall::{
    self, Disposition, Handler, SaFlags, SigInfo, SigSet, Sigaction, Signal, WaitFlags, WaitStatus,
};

const FORKS: u32 = 2000;

static RAISED: AtomicU32 = AtomicU32::new(0);
static IS_COPY: AtomicBool = AtomicBool::new(false);
static FORKED: AtomicU32 = AtomicU32::new(0);
/// The number of children that ended with an error.
static FAILED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: c_int) {
    RAISED.fetch_add(1, SeqCst);
}

extern "C" fn fork(_: c_int) {
    // SAFETY: the copy makes only system calls.
    match unsafe { syscall::fork() }.unwrap() {
        None => IS_COPY.store(true, SeqCst),
        Some(pid) => {
            let (_, status) = syscall::waitid(Some(pid), WaitFlags::EXITED).unwrap().unwrap();
            FAILED.fetch_add(u32::from(status != WaitStatus::Exited(0)), SeqCst);
            let forked = FORKED.fetch_add(1, SeqCst);
            set_timer(20 + i64::from(forked % 50));
        }
    }
}

fn set_timer(microseconds: i64) {
    let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let value = libc::timeval { tv_sec: 0, tv_usec: microseconds as _ };
    let timer = libc::itimerval { it_interval: none, it_value: value };
    // SAFETY: the structure is the kernel's.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) };
}

fn handle(signal: Signal, handler: Handler) {
    let disposition = Disposition::Handler(handler);
    let action = Sigaction { disposition, flags: SaFlags::RESTART, mask: SigSet::empty() };
    // SAFETY: the handlers use atomics and system calls.
    unsafe { syscall::rt_sigaction(signal, Some(&action)) }.unwrap();
}

/// Raises the signal by one of two calls.
type Raise = fn() -> syscall::Result<()>;

fn raise() -> syscall::Result<()> {
    syscall::raise(Signal::USR1)
}

fn queue() -> syscall::Result<()> {
    const { assert!(size_of::<SigInfo>() == size_of::<libc::siginfo_t>()) }
    // SAFETY: numbers, for which zero is right.
    let info: SigInfo = unsafe { mem::zeroed() };
    syscall::rt_tgsigqueueinfo(Signal::USR1, &info)
}

/// Returns the number of processes that lost a signal, received another process's signal, or got an
/// error.
fn storm(raise: Raise) -> u32 {
    handle(Signal::USR1, count);
    handle(Signal::ALRM, fork);
    set_timer(1000);
    let mut failed = 0;
    while FORKED.load(SeqCst) < FORKS {
        let before = RAISED.load(SeqCst);
        let result = raise();
        let is_wrong = result.is_err() || RAISED.load(SeqCst) != before + 1;
        if IS_COPY.load(SeqCst) {
            syscall::exit_group(i32::from(is_wrong));
        }
        failed += u32::from(is_wrong);
    }
    failed + FAILED.load(SeqCst)
}

#[test]
fn raise_in_a_forked_child_signals_the_child() {
    let status = child::child(|| i32::from(storm(raise) != 0));
    assert_eq!(status, WaitStatus::Exited(0), "a signal was lost, or went to another process");
}

#[test]
fn rt_tgsigqueueinfo_in_a_forked_child_signals_the_child() {
    let status = child::child(|| i32::from(storm(queue) != 0));
    assert_eq!(status, WaitStatus::Exited(0), "a signal was lost, or went to another process");
}
