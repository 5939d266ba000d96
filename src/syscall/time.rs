//! Clocks, with 64-bit seconds on every architecture.

use linux_raw_sys::general::{
    __kernel_timespec, CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME,
};
use static_assertions::{assert_eq_size, const_assert_eq};

use super::raw::{nr, syscall2, syscall4};
use super::{Result, check_unit};

/// A point in time, or a span of it. Source: timespec(3type).
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
    /// `CLOCK_REALTIME`: the time of day, since 1970; it can be set.
    Realtime = CLOCK_REALTIME,
    /// `CLOCK_MONOTONIC`: never set back, and stands still while suspended.
    Monotonic = CLOCK_MONOTONIC,
    /// `CLOCK_BOOTTIME`: never set back, and runs while suspended.
    Boottime = CLOCK_BOOTTIME,
    /// `CLOCK_PROCESS_CPUTIME_ID`: what this process has used of the processors.
    ProcessCputime = CLOCK_PROCESS_CPUTIME_ID,
}

/// Reads a clock.
///
/// A real system call: the quicker way through the vDSO is not taken.
pub fn clock_gettime(clock: ClockId) -> Result<Timespec> {
    let mut time = Timespec::default();
    // SAFETY: the structure is the kernel's, and ours to have filled.
    check_unit(unsafe {
        syscall2(nr::clock_gettime, clock as usize, (&raw mut time).expose_provenance())
    })?;
    Ok(time)
}

/// Sleeps for a span of time.
///
/// `clock_nanosleep` of `CLOCK_MONOTONIC`, which is what the kernel's `nanosleep`
/// does, and which has 64-bit times everywhere.
///
/// # Errors
///
/// `EINTR`: a signal came; how much time was left is not told. `EINVAL`: a span
/// below zero, or nanoseconds out of range.
pub fn nanosleep(span: Timespec) -> Result<()> {
    let (clock, at) = (ClockId::Monotonic as usize, (&raw const span).expose_provenance());
    // SAFETY: the structure is the kernel's; the remainder is not asked for.
    check_unit(unsafe { syscall4(nr::clock_nanosleep, clock, 0, at, 0) })
}
