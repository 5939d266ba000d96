//! Clocks that are read without a system call, and arithmetic with times.

use super::processes::{child, ended};
use super::*;
use baremap::rt::{
    thread,
    time::{self, Instant, SystemTime},
};
use baremap::syscall::{
    ClockId, Disposition, SaFlags, SigSet, Sigaction, Signal, Timespec, WaitStatus, clock_gettime,
    exit,
};
use core::{ffi::c_int, time::Duration};
use linux_raw_sys::{auxvec::AT_SYSINFO_EHDR, prctl::PR_SET_SECCOMP};

const CLOCKS: [ClockId; 6] = [
    ClockId::Realtime,
    ClockId::Monotonic,
    ClockId::Boottime,
    ClockId::ProcessCputime,
    ClockId::RealtimeCoarse,
    ClockId::MonotonicCoarse,
];

/// The call is the oracle. Both read the same clock, so the times are in the order of the readings.
fn between_two_calls() -> Outcome {
    for clock in CLOCKS {
        for _ in 0..100 {
            let before = clock_gettime(clock)?;
            let now = time::clock_gettime(clock)?;
            let after = clock_gettime(clock)?;
            ensure((before..=after).contains(&now), "a time outside of two calls")?;
            ensure((0..1_000_000_000).contains(&now.nsec), "nanoseconds out of range")?;
        }
    }
    Ok(())
}

/// In the strict mode of seccomp, the kernel kills the process if it makes the call. The coarse
/// clock is one that the vDSO reads on every machine.
fn without_a_call(start: Start) -> Outcome {
    const SECCOMP_MODE_STRICT: usize = 1;
    let vdso = start.auxv().any(|(kind, base)| kind == AT_SYSINFO_EHDR as usize && base != 0);
    ensure(vdso, "no vDSO")?;
    let before = time::clock_gettime(ClockId::MonotonicCoarse)?;
    let pid = child(|| {
        // SAFETY: no pointer is passed.
        let strict = unsafe { syscall::prctl(PR_SET_SECCOMP, [SECCOMP_MODE_STRICT, 0, 0, 0]) };
        if strict.is_err() {
            return 2;
        }
        let now = time::clock_gettime(ClockId::MonotonicCoarse);
        // SAFETY: nothing else uses this stack. The mode forbids `exit_group`.
        unsafe { exit(i32::from(!now.is_ok_and(|now| now >= before))) }
    })?;
    match ended(pid)? {
        WaitStatus::Exited(2) => Err(Trouble::Missing("strict mode of seccomp")),
        // Without a timer that user space can read, the kernel takes the names out of the vDSO.
        WaitStatus::Killed(Signal::KILL, _) if cfg!(target_arch = "arm") => {
            Err(Trouble::Missing("timer for the vDSO"))
        }
        status => same(status, WaitStatus::Exited(0)),
    }
}

fn processor() -> Outcome {
    let (cpu, _) = match time::getcpu() {
        Err(Errno::ENOSYS) => return Err(Trouble::Missing("getcpu")),
        result => result?,
    };
    let mut mask = [0usize; 128];
    syscall::sched_getaffinity(0, &mut mask)?;
    let (word, bit) = (cpu / usize::BITS, cpu % usize::BITS);
    ensure(mask.get(word as usize).is_some_and(|word| word >> bit & 1 != 0), "another processor")
}

fn instants() -> Outcome {
    let start = Instant::now();
    let span = Duration::from_millis(2);
    time::sleep(span)?;
    let slept = start.elapsed();
    ensure(slept >= span && slept < Duration::from_secs(10), "another time slept")?;
    same((start + span).checked_duration_since(start), Some(span))?;
    same(start.checked_duration_since(start + span), None)?;
    same(start.duration_since(start + span), Duration::ZERO)?;
    time::sleep(Duration::ZERO)?;
    interrupted_sleep()
}

unsafe extern "C" fn do_nothing(_: c_int) {}

/// A sleep continues after a handler, which ends the system call.
fn interrupted_sleep() -> Outcome {
    let action = Sigaction {
        disposition: Disposition::Handler(do_nothing),
        flags: SaFlags::empty(),
        mask: SigSet::empty(),
    };
    // SAFETY: the handler does nothing, and no other case runs meanwhile.
    let before = unsafe { syscall::rt_sigaction(Signal::USR1, Some(&action))? };
    let (process, sleeper) = (syscall::getpid(), syscall::gettid());
    let (start, span) = (Instant::now(), Duration::from_millis(30));
    let slept = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for _ in 0..5 {
                time::sleep(Duration::from_millis(3))?;
                syscall::tgkill(process, sleeper, Signal::USR1)?;
            }
            Ok::<(), Errno>(())
        })?;
        let slept = time::sleep(span);
        sender.join().and(slept)
    });
    // SAFETY: this was the action before.
    unsafe { syscall::rt_sigaction(Signal::USR1, Some(&before))? };
    slept?;
    ensure(start.elapsed() >= span, "a sleep that a signal ended")
}

/// Carries and borrows between seconds and nanoseconds, before and after 1970.
fn system_times() -> Outcome {
    let now = Timespec::from(SystemTime::now());
    ensure(now >= clock_gettime(ClockId::RealtimeCoarse)?.min(now), "an earlier time")?;
    let half = Duration::from_millis(500);
    let before = SystemTime::UNIX_EPOCH - half;
    same(Timespec::from(before), Timespec { sec: -1, nsec: 500_000_000 })?;
    same(before + half, SystemTime::UNIX_EPOCH)?;
    let (least, most) = (Timespec { sec: i64::MIN, nsec: 0 }, Timespec { sec: i64::MAX, nsec: 0 });
    let all = Duration::from_secs(u64::MAX);
    same(SystemTime::from(most).checked_duration_since(least.into()), Some(all))?;
    same(SystemTime::from(least).checked_add(all).map(Timespec::from), Some(most))?;
    same(SystemTime::from(most).checked_add(Duration::from_secs(1)), None)?;
    same(SystemTime::from(least).checked_sub(Duration::from_nanos(1)), None)
}

pub const CASES: &[Case] = &[
    case!("a clock is between two readings by the call", between_two_calls),
    case!(
        "a clock is read where the call is forbidden",
        start without_a_call,
        qemu_user: "it has no vDSO"
    ),
    case!("getcpu returns a processor that is allowed", processor),
    case!("Instant measures a sleep", instants),
    case!("SystemTime carries and borrows", system_times),
];
