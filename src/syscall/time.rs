//! Clocks, with 64-bit seconds on every architecture.

use linux_raw_sys::general::{
    __kernel_timespec, CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE,
    CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_COARSE,
};
use static_assertions::{assert_eq_size, const_assert_eq};

use super::raw::{nr, syscall2, syscall4};
use super::{Result, check_unit};

/// A point in time, or a duration. Source: timespec(3type).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds, from 0 to 999 999 999.
    pub nsec: i64,
}

assert_eq_size!(Timespec, __kernel_timespec);
const_assert_eq!(
    core::mem::offset_of!(Timespec, nsec),
    core::mem::offset_of!(__kernel_timespec, tv_nsec)
);

/// A clock. Source: clock_gettime(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum ClockId {
    /// The time since 1970-01-01 00:00 UTC (`CLOCK_REALTIME`), which can be set.
    Realtime = CLOCK_REALTIME,
    /// The time since an unspecified point (`CLOCK_MONOTONIC`). It cannot be set, and stops
    /// while the system is suspended.
    Monotonic = CLOCK_MONOTONIC,
    /// The time since the system was booted (`CLOCK_BOOTTIME`). It cannot be set, and continues
    /// while the system is suspended.
    Boottime = CLOCK_BOOTTIME,
    /// The processor time that this process has used (`CLOCK_PROCESS_CPUTIME_ID`).
    ProcessCputime = CLOCK_PROCESS_CPUTIME_ID,
    /// [`Realtime`](ClockId::Realtime) at the last tick of the kernel's timer, 1 to 10 ms ago
    /// (`CLOCK_REALTIME_COARSE`). It is faster to read.
    RealtimeCoarse = CLOCK_REALTIME_COARSE,
    /// [`Monotonic`](ClockId::Monotonic) at the last tick of the kernel's timer, 1 to 10 ms ago
    /// (`CLOCK_MONOTONIC_COARSE`). It is faster to read.
    MonotonicCoarse = CLOCK_MONOTONIC_COARSE,
}

/// Returns the time of a clock.
///
/// Makes a system call. [`rt::time::clock_gettime`](crate::rt::time::clock_gettime) reads the clock
/// without one.
///
/// # Errors
///
/// * `ENOSYS` before Linux 5.1 on 32-bit architectures, whose older kernels have times of 32 bits
///   only.
pub fn clock_gettime(clock: ClockId) -> Result<Timespec> {
    let mut time = Timespec::default();
    // SAFETY: the structure has the kernel's layout, and is borrowed exclusively during the call.
    check_unit(unsafe {
        syscall2(nr::clock_gettime, clock as usize, (&raw mut time).expose_provenance())
    })?;
    Ok(time)
}

/// Sleeps for a duration.
///
/// A duration of zero returns at once. Uses `clock_nanosleep` with `CLOCK_MONOTONIC`, which is the
/// clock of the kernel's `nanosleep`, because `clock_nanosleep` has 64-bit times on every
/// architecture. Time during which the system is suspended does not count.
///
/// # Errors
///
/// * `EINTR` if a signal handler interrupts the sleep, even with
///   [`SaFlags::RESTART`](super::SaFlags::RESTART). The remaining time is not returned.
/// * `EINVAL` if the duration is negative, or the nanoseconds are not between 0 and 999 999
///   999.
/// * `ENOSYS` before Linux 5.1 on 32-bit architectures, whose older kernels have times of 32 bits
///   only.
#[doc(alias = "clock_nanosleep")]
pub fn nanosleep(span: Timespec) -> Result<()> {
    let (clock, at) = (ClockId::Monotonic as usize, (&raw const span).expose_provenance());
    // SAFETY: the structure has the kernel's layout; a null pointer skips the remaining time.
    check_unit(unsafe { syscall4(nr::clock_nanosleep, clock, 0, at, 0) })
}
