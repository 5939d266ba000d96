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
    ];
    for (clock, other) in table {
        let read = || {
            let time = rustix::time::clock_gettime(other);
            Timespec { sec: time.tv_sec, nsec: time.tv_nsec }
        };
        let before = read();
        let ours = syscall::clock_gettime(clock).unwrap();
        let after = read();
        assert!(before <= ours && ours <= after, "{clock:?}: {before:?} {ours:?} {after:?}");
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
