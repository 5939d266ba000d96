//! Clocks and sleeping.
//!
//! SAFETY of all calls here: the kernel writes into structures of its own layout.

use super::*;

#[test]
fn clock_gettime_is_between_two_readings_of_rustix() {
    use rustix::time::ClockId as Oracle;

    let table = [
        (ClockId::Realtime, Oracle::Realtime),
        (ClockId::Monotonic, Oracle::Monotonic),
        (ClockId::Boottime, Oracle::Boottime),
        (ClockId::ProcessCputime, Oracle::ProcessCPUTime),
        (ClockId::RealtimeCoarse, Oracle::RealtimeCoarse),
        (ClockId::MonotonicCoarse, Oracle::MonotonicCoarse),
    ];
    for (clock, other) in table {
        let read = || {
            let time = rustix::time::clock_gettime(other);
            Timespec { sec: time.tv_sec, nsec: time.tv_nsec }
        };
        let before = read();
        let call = syscall::clock_gettime(clock).unwrap();
        let vdso = rt::time::clock_gettime(clock).unwrap();
        let after = read();
        let times = [before, call, vdso, after];
        assert!(times.is_sorted(), "{clock:?}: {times:?}");
    }
}

#[test]
fn nanosleep_refuses_what_the_kernel_refuses() {
    refused(
        "nanosleep",
        &[
            ("a whole second of nanoseconds", Errno::EINVAL, [0, 1_000_000_000]),
            ("nanoseconds below zero", Errno::EINVAL, [0, -1]),
            ("seconds below zero", Errno::EINVAL, [-1, 0]),
        ],
        |[sec, nsec]| syscall::nanosleep(Timespec { sec, nsec }),
        |span| unsafe { sc::syscall!(NANOSLEEP, span.as_ptr(), 0) },
    );
    assert_eq!(syscall::nanosleep(Timespec { sec: 0, nsec: 0 }), Ok(()));
    assert_eq!(syscall::nanosleep(Timespec { sec: 0, nsec: 999_999 }), Ok(()));
}

#[test]
fn nanosleep_is_interrupted_by_a_signal() {
    unsafe extern "C" fn nothing(_: c_int) {}

    in_child(|| unsafe {
        let alarm = action(Disposition::Handler(nothing), SaFlags::empty());
        check!(syscall::rt_sigaction(Signal::ALRM, Some(&alarm)).is_ok());
        // The timer repeats, because the first signal may arrive before the sleep.
        let every = [0_i64, 10_000, 0, 10_000];
        check!(sc::syscall!(SETITIMER, kernel::ITIMER_REAL, every.as_ptr(), 0) == 0);
        let span = Timespec { sec: 1_000_000, nsec: 0 };
        check!(syscall::nanosleep(span) == Err(Errno::EINTR));
        // As an absolute time this would be in the past. `nanosleep` takes a duration.
        let now = syscall::clock_gettime(ClockId::Monotonic)?;
        let span = Timespec { sec: now.sec / 2, nsec: 0 };
        check!(syscall::nanosleep(span) == Err(Errno::EINTR));
        Ok(())
    });
}

/// The thread is bound to one processor after the other.
#[test]
fn getcpu_is_the_processor_of_libc() {
    std::thread::spawn(|| unsafe {
        let mut allowed: libc::cpu_set_t = mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed), 0);
        for cpu in (0..libc::CPU_SETSIZE as usize).filter(|&cpu| libc::CPU_ISSET(cpu, &allowed)) {
            let mut one: libc::cpu_set_t = mem::zeroed();
            libc::CPU_SET(cpu, &mut one);
            assert_eq!(libc::sched_setaffinity(0, size_of_val(&one), &raw const one), 0);
            let (mut theirs, mut node) = (0_u32, 0_u32);
            assert_eq!(sc::syscall!(GETCPU, &raw mut theirs, &raw mut node, 0), 0);
            assert_eq!(rt::time::getcpu(), Ok((theirs, node)));
            assert_eq!(theirs as usize, cpu);
        }
    })
    .join()
    .unwrap();
}
