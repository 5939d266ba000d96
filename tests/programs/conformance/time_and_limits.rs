//! Clocks, random numbers, and limits of a process.

use super::*;
use baremap::syscall::{
    ClockId, GetrandomFlags, Resource, Rlimit, Timespec, clock_gettime, nanosleep,
};
use linux_raw_sys::prctl::{PR_GET_NAME, PR_SET_NAME};

fn monotonic() -> Outcome {
    let mut before = clock_gettime(ClockId::Monotonic)?;
    for _ in 0..1000 {
        let now = clock_gettime(ClockId::Monotonic)?;
        ensure(now >= before, "an earlier time")?;
        ensure((0..1_000_000_000).contains(&now.nsec), "nanoseconds out of range")?;
        before = now;
    }
    Ok(())
}

/// Only `CLOCK_BOOTTIME` advances while the system is suspended.
fn boottime() -> Outcome {
    let monotonic = clock_gettime(ClockId::Monotonic)?;
    let boot = clock_gettime(ClockId::Boottime)?;
    ensure(boot >= monotonic, "less time since the start")?;
    // SAFETY: refused.
    let bad = unsafe { raw::syscall2(nr::clock_gettime, 999, &raw const boot as usize) };
    fails(check(bad), Errno::EINVAL)
}

fn nanoseconds(time: Timespec) -> i128 {
    i128::from(time.sec) * 1_000_000_000 + i128::from(time.nsec)
}

fn sleep() -> Outcome {
    for (sec, nsec, wanted) in [(0, 1_000_000, 1_000_000), (0, 0, 0)] {
        let before = clock_gettime(ClockId::Monotonic)?;
        nanosleep(Timespec { sec, nsec })?;
        let slept = nanoseconds(clock_gettime(ClockId::Monotonic)?) - nanoseconds(before);
        ensure((wanted..wanted + 5_000_000_000).contains(&slept), "another time slept")?;
    }
    fails(nanosleep(Timespec { sec: 0, nsec: 1_000_000_000 }), Errno::EINVAL)?;
    fails(nanosleep(Timespec { sec: 0, nsec: -1 }), Errno::EINVAL)?;
    fails(nanosleep(Timespec { sec: -1, nsec: 0 }), Errno::EINVAL)
}

fn random() -> Outcome {
    let (mut one, mut other) = ([0; 33], [0; 33]);
    same(syscall::getrandom(&mut one[..32], GetrandomFlags::empty())?, 32)?;
    same(syscall::getrandom(&mut other[..32], GetrandomFlags::NONBLOCK)?, 32)?;
    ensure(one != other, "the same twice")?;
    same((one[32], other[32]), (0, 0))?;
    let unknown = GetrandomFlags::from_bits_retain(1 << 20);
    fails(syscall::getrandom(&mut one, unknown), Errno::EINVAL)
}

fn affinity() -> Outcome {
    let mut mask = [0usize; 128];
    let bytes = syscall::sched_getaffinity(0, &mut mask)?;
    ensure(bytes > 0 && bytes.is_multiple_of(size_of::<usize>()), "a strange size")?;
    let (inside, outside) = mask.split_at(bytes / size_of::<usize>());
    ensure(inside.iter().any(|&word| word != 0), "no processor")?;
    ensure(outside.iter().all(|&word| word == 0), "words beyond the size")?;
    fails(syscall::sched_getaffinity(0, &mut []), Errno::EINVAL)
}

/// Reads a limit, lowers it, and restores it.
fn limits() -> Outcome {
    let stack = syscall::prlimit(0, Resource::STACK, None)?;
    ensure(stack.current > 0 && stack.current <= stack.maximum, "no stack")?;
    let before = syscall::prlimit(0, Resource::NOFILE, None)?;
    let less = Rlimit { current: before.current - 3, ..before };
    same(syscall::prlimit(0, Resource::NOFILE, Some(less))?, before)?;
    same(syscall::prlimit(0, Resource::NOFILE, Some(before))?, less)?;
    let crossed = Rlimit { current: 2, maximum: 1 };
    fails(syscall::prlimit(0, Resource::NOFILE, Some(crossed)), Errno::EINVAL)?;
    fails(syscall::prlimit(0, Resource(999), None), Errno::EINVAL)
}

/// The kernel keeps fifteen bytes and a NUL.
fn name() -> Outcome {
    let (mut before, mut now) = ([0u8; 16], [0u8; 16]);
    let new = c"a name that is too long";
    // SAFETY: both options take sixteen bytes at most, and a C string.
    unsafe {
        syscall::prctl(PR_GET_NAME, [before.as_mut_ptr() as usize, 0, 0, 0])?;
        syscall::prctl(PR_SET_NAME, [new.as_ptr() as usize, 0, 0, 0])?;
        syscall::prctl(PR_GET_NAME, [now.as_mut_ptr() as usize, 0, 0, 0])?;
        syscall::prctl(PR_SET_NAME, [before.as_ptr() as usize, 0, 0, 0])?;
    }
    same(&now, b"a name that is \0")
}

pub const CASES: &[Case] = &[
    case!("CLOCK_MONOTONIC does not go back", monotonic),
    case!("CLOCK_BOOTTIME, and a clock that is none", boottime),
    case!("nanosleep sleeps, and not for wrong spans", sleep),
    case!("getrandom fills, and differs", random),
    case!("sched_getaffinity tells a processor", affinity),
    case!("prlimit reads and sets", limits),
    case!("prctl sets and gets the name", name),
];
