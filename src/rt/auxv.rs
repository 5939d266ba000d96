//! Implements `getauxval` for `compiler_builtins`.
//!
//! On aarch64, a constructor of `compiler_builtins` calls `getauxval(AT_HWCAP)` to find out
//! whether the processor has the atomic instructions of the extension LSE.

use core::{
    ffi::c_ulong,
    ptr,
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

use super::Start;

/// The stack pointer at the program's entry. Null until [`keep_auxv`] is called.
static STACK: AtomicPtr<usize> = AtomicPtr::new(ptr::null_mut());

/// Stores the initial stack pointer, from which [`getauxval`] finds the auxiliary vector.
///
/// # Safety
///
/// * `stack` is the value of the stack pointer when the kernel entered the program.
/// * The memory that the kernel laid out there is not modified while the program runs.
pub unsafe fn keep_auxv(stack: *const usize) {
    STACK.store(stack.cast_mut(), Relaxed);
}

/// Returns the value of the first auxiliary vector entry with type `kind`, or zero if no entry has
/// that type. Returns zero until [`keep_auxv`] is called. Source: getauxval(3).
pub fn getauxval(kind: c_ulong) -> c_ulong {
    let stack = STACK.load(Relaxed).cast_const();
    if stack.is_null() {
        return 0;
    }
    let mut auxv = Start { stack }.auxv();
    auxv.find(|&(found, _)| found as c_ulong == kind).map_or(0, |(_, value)| value as c_ulong)
}
