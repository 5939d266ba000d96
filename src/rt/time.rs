//! Reads clocks without a system call, and measures time.
//!
//! The vDSO, a shared library that the kernel maps into every process, reads the clocks. Where there
//! is none, as under qemu-user, the functions here make the system call.

use core::{
    ffi::{c_int, c_uint},
    mem,
    ops::{Add, AddAssign, Sub, SubAssign},
    ptr,
    time::Duration,
};

use linux_raw_sys::general::TIMER_ABSTIME;

use super::vdso::Function;
use crate::arch::VDSO;
use crate::syscall::raw::{nr, syscall3, syscall4};
use crate::syscall::{self, ClockId, Errno, Result, Timespec};

/// Returns the time of a clock, using the vDSO.
///
/// Falls back to the system call if there is no vDSO, or if the vDSO refuses. The vDSO itself makes
/// the system call for [`ClockId::ProcessCputime`], and for every clock if it cannot read the
/// machine's time source.
///
/// In a program without [`entry!`](crate::entry), the vDSO is found since Linux 6.4.
///
/// # Errors
///
/// * `ENOSYS` before Linux 5.1 on 32-bit architectures, whose older kernels have times of 32 bits
///   only.
#[doc(alias = "vdso")]
#[inline]
pub fn clock_gettime(clock: ClockId) -> Result<Timespec> {
    type ClockGettime = unsafe extern "C" fn(c_int, *mut Timespec) -> c_int;
    static FUNCTION: Function = Function::new();
    let Some(address) = FUNCTION.address(VDSO.clock_gettime) else {
        return syscall::clock_gettime(clock);
    };
    // SAFETY: the kernel's function with this name has this type. It follows the C convention on all
    // architectures. On powerpc, it also sets a bit of `cr0` with an error, but its result is then
    // an error number, and zero only without an error.
    let function = unsafe { mem::transmute::<*const (), ClockGettime>(address) };
    let mut time = Timespec::default();
    // SAFETY: the structure has the kernel's layout, and is borrowed exclusively during the call.
    match unsafe { function(clock as c_int, &raw mut time) } {
        0 => Ok(time),
        _ => syscall::clock_gettime(clock),
    }
}

/// Returns the number of the processor that runs the calling thread, and the number of its NUMA
/// node, using the vDSO.
///
/// The thread may run on another processor as soon as the function returns, unless
/// `sched_setaffinity` has bound it to one. Falls back to the system call. Source: getcpu(2).
///
/// # Errors
///
/// * `ENOSYS` if an emulator or a seccomp filter does not have the call.
pub fn getcpu() -> Result<(u32, u32)> {
    type Getcpu = unsafe extern "C" fn(*mut c_uint, *mut c_uint, *mut ()) -> c_int;
    static FUNCTION: Function = Function::new();
    let (mut cpu, mut node) = (0, 0);
    if let Some(address) = FUNCTION.address(VDSO.getcpu) {
        // SAFETY: the kernel's function with this name has this type, and the C convention.
        let function = unsafe { mem::transmute::<*const (), Getcpu>(address) };
        // SAFETY: the numbers are valid for writes. The third argument is unused since Linux 2.6.24.
        if unsafe { function(&raw mut cpu, &raw mut node, ptr::null_mut()) } == 0 {
            return Ok((cpu, node));
        }
    }
    let (at, node_at) = ((&raw mut cpu).expose_provenance(), (&raw mut node).expose_provenance());
    // SAFETY: as in the call of the vDSO.
    Errno::check(unsafe { syscall3(nr::getcpu, at, node_at, 0) })?;
    Ok((cpu, node))
}

/// Sleeps for at least a duration.
///
/// Continues after a signal handler has run. A duration of zero returns at once. Time during which
/// the system is suspended does not count. A duration that ends past the largest time of the clock
/// sleeps until then.
///
/// # Errors
///
/// * `ENOSYS` before Linux 5.1 on 32-bit architectures, whose older kernels have times of 32 bits
///   only.
#[doc(alias("clock_nanosleep", "nanosleep"))]
pub fn sleep(span: Duration) -> Result<()> {
    let now = clock_gettime(ClockId::Monotonic)?;
    let end = add(now, span).unwrap_or(Timespec { sec: i64::MAX, nsec: 0 });
    let (clock, at) = (ClockId::Monotonic as usize, (&raw const end).expose_provenance());
    loop {
        // SAFETY: the structure has the kernel's layout. The remaining time is not asked for.
        let slept = unsafe { syscall4(nr::clock_nanosleep, clock, TIMER_ABSTIME as usize, at, 0) };
        match Errno::check(slept) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

/// The nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Returns the time after a duration, or `None` if it cannot be represented.
fn add(time: Timespec, span: Duration) -> Option<Timespec> {
    let sec = time.sec.checked_add_unsigned(span.as_secs())?;
    let nsec = time.nsec + i64::from(span.subsec_nanos());
    match nsec < SECOND {
        true => Some(Timespec { sec, nsec }),
        false => Some(Timespec { sec: sec.checked_add(1)?, nsec: nsec - SECOND }),
    }
}

/// Returns the time before a duration, or `None` if it cannot be represented.
fn sub(time: Timespec, span: Duration) -> Option<Timespec> {
    let sec = time.sec.checked_sub_unsigned(span.as_secs())?;
    let nsec = time.nsec - i64::from(span.subsec_nanos());
    match nsec >= 0 {
        true => Some(Timespec { sec, nsec }),
        false => Some(Timespec { sec: sec.checked_sub(1)?, nsec: nsec + SECOND }),
    }
}

/// Returns the duration from `earlier` to `later`, or `None` if `earlier` is later.
fn between(earlier: Timespec, later: Timespec) -> Option<Duration> {
    if earlier > later {
        return None;
    }
    let sec = later.sec.abs_diff(earlier.sec);
    let nsec = later.nsec - earlier.nsec;
    Some(match nsec >= 0 {
        true => Duration::new(sec, nsec as u32),
        false => Duration::new(sec - 1, (nsec + SECOND) as u32),
    })
}

/// Defines a point in time of one clock.
macro_rules! point {
    ($(#[$doc:meta])* $name:ident, $clock:ident, $panics:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            // In this order, so that the derived comparison is that of the times.
            sec: i64,
            nsec: i64,
        }

        impl $name {
            /// Returns the current time.
            ///
            /// # Panics
            ///
            /// Panics if the clock cannot be read: before Linux 5.1 on 32-bit architectures, or if a
            /// seccomp filter refuses the call and there is no vDSO.
            #[must_use]
            pub fn now() -> $name {
                match clock_gettime(ClockId::$clock) {
                    Ok(time) => $name::from_timespec(time),
                    Err(errno) => panic!("clock_gettime: {errno}"),
                }
            }

            fn from_timespec(Timespec { sec, nsec }: Timespec) -> $name {
                $name { sec, nsec }
            }

            fn timespec(self) -> Timespec {
                Timespec { sec: self.sec, nsec: self.nsec }
            }

            /// Returns the duration since an earlier time, or `None` if `earlier` is later than
            /// `self`.
            #[must_use]
            pub fn checked_duration_since(self, earlier: $name) -> Option<Duration> {
                between(earlier.timespec(), self.timespec())
            }

            /// Returns the duration since an earlier time, or zero if `earlier` is later than `self`.
            #[must_use]
            pub fn duration_since(self, earlier: $name) -> Duration {
                self.checked_duration_since(earlier).unwrap_or_default()
            }

            /// Returns the duration since this time, or zero if this time is in the future.
            ///
            /// # Panics
            ///
            /// Panics if the clock cannot be read, as [`now`](Self::now) does.
            #[must_use]
            pub fn elapsed(self) -> Duration {
                $name::now().duration_since(self)
            }

            /// Returns the time after a duration, or `None` if it cannot be represented.
            #[must_use]
            pub fn checked_add(self, span: Duration) -> Option<$name> {
                add(self.timespec(), span).map($name::from_timespec)
            }

            /// Returns the time before a duration, or `None` if it cannot be represented.
            #[must_use]
            pub fn checked_sub(self, span: Duration) -> Option<$name> {
                sub(self.timespec(), span).map($name::from_timespec)
            }
        }

        /// Panics if the result cannot be represented.
        impl Add<Duration> for $name {
            type Output = $name;

            fn add(self, span: Duration) -> $name {
                self.checked_add(span).expect($panics)
            }
        }

        /// Panics if the result cannot be represented.
        impl Sub<Duration> for $name {
            type Output = $name;

            fn sub(self, span: Duration) -> $name {
                self.checked_sub(span).expect($panics)
            }
        }

        impl AddAssign<Duration> for $name {
            fn add_assign(&mut self, span: Duration) {
                *self = *self + span;
            }
        }

        impl SubAssign<Duration> for $name {
            fn sub_assign(&mut self, span: Duration) {
                *self = *self - span;
            }
        }
    };
}

point! {
    /// A time of the clock `CLOCK_MONOTONIC`, which never goes back. Measures durations.
    ///
    /// Time during which the system is suspended does not count.
    Instant, Monotonic, "a time outside of the range of `Instant`"
}

point! {
    /// A time of the clock `CLOCK_REALTIME`, which can be set. Names points in time.
    SystemTime, Realtime, "a time outside of the range of `SystemTime`"
}

impl SystemTime {
    /// 1970-01-01 00:00 UTC.
    pub const UNIX_EPOCH: SystemTime = SystemTime { sec: 0, nsec: 0 };
}

/// Converts a time of files, for example from [`Stat`](crate::syscall::Stat).
impl From<Timespec> for SystemTime {
    fn from(time: Timespec) -> SystemTime {
        SystemTime::from_timespec(time)
    }
}

impl From<SystemTime> for Timespec {
    fn from(time: SystemTime) -> Timespec {
        time.timespec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::SystemTime as Oracle;

    fn oracle(time: SystemTime) -> Option<Oracle> {
        let (sec, nsec) = (Duration::from_secs(time.sec.unsigned_abs()), time.nsec as u64);
        let whole = match time.sec < 0 {
            true => Oracle::UNIX_EPOCH.checked_sub(sec),
            false => Oracle::UNIX_EPOCH.checked_add(sec),
        };
        whole?.checked_add(Duration::from_nanos(nsec))
    }

    fn times() -> impl Strategy<Value = SystemTime> {
        let seconds = prop_oneof![any::<i64>(), -3_i64..3, Just(i64::MIN), Just(i64::MAX)];
        let nanoseconds = prop_oneof![0..SECOND, Just(0), Just(SECOND - 1)];
        (seconds, nanoseconds).prop_map(|(sec, nsec)| SystemTime { sec, nsec })
    }

    fn spans() -> impl Strategy<Value = Duration> {
        let seconds = prop_oneof![any::<u64>(), 0_u64..3, Just(u64::MAX)];
        let nanoseconds = prop_oneof![0..SECOND as u32, Just(SECOND as u32 - 1)];
        (seconds, nanoseconds).prop_map(|(sec, nsec)| Duration::new(sec, nsec))
    }

    proptest! {
        #[test]
        fn arithmetic_is_that_of_the_standard_library(
            time in times(), other in times(), span in spans(),
        ) {
            let (a, b) = (oracle(time).unwrap(), oracle(other).unwrap());
            prop_assert_eq!(time.checked_add(span).and_then(oracle), a.checked_add(span));
            prop_assert_eq!(time.checked_sub(span).and_then(oracle), a.checked_sub(span));
            prop_assert_eq!(time.checked_duration_since(other), a.duration_since(b).ok());
            prop_assert_eq!(time.cmp(&other), a.cmp(&b));
        }
    }
}
