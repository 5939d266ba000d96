//! Reads the auxiliary vector after the program has started.
//!
//! [`entry!`](crate::entry) stores where the vector is. In a program without anything that reads
//! it, the linker's optimizer removes the store.

use core::{
    ptr,
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

#[cfg(target_arch = "aarch64")]
use core::ffi::c_ulong;

use linux_raw_sys::prctl::PR_GET_AUXV;

use super::Start;
use crate::syscall;

/// The stack pointer at the program's entry. Null until [`keep_auxv`] is called.
static STACK: AtomicPtr<usize> = AtomicPtr::new(ptr::null_mut());

/// Stores the initial stack pointer, from which `value` finds the auxiliary vector.
///
/// # Safety
///
/// * `stack` is the value of the stack pointer when the kernel entered the program.
/// * The memory that the kernel laid out there is not modified while the program runs.
pub unsafe fn keep_auxv(stack: *const usize) {
    STACK.store(stack.cast_mut(), Relaxed);
}

/// Returns the value of the first auxiliary vector entry with type `kind`, or `None` if no entry
/// has that type.
///
/// In a program without [`entry!`](crate::entry), asks the kernel, which answers since Linux 6.4.
pub(super) fn value(kind: usize) -> Option<usize> {
    let stack = STACK.load(Relaxed).cast_const();
    if !stack.is_null() {
        let mut auxv = Start { stack }.auxv();
        return auxv.find(|&(found, _)| found == kind).map(|(_, value)| value);
    }
    let mut vector = [[0_usize; 2]; 32];
    let at = vector.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel writes at most the size that is passed, which is the vector's.
    unsafe { syscall::prctl(PR_GET_AUXV, [at, size_of_val(&vector), 0, 0]) }.ok()?;
    vector.iter().find(|[found, _]| *found == kind).map(|&[_, value]| value)
}

/// Returns whether the program was started by [`entry!`](crate::entry).
pub(super) fn is_freestanding() -> bool {
    !STACK.load(Relaxed).is_null()
}

/// Implements `getauxval` for `compiler_builtins`: returns the value of the first auxiliary vector
/// entry with type `kind`, or zero if no entry has that type. Source: getauxval(3).
///
/// A constructor of `compiler_builtins` calls `getauxval(AT_HWCAP)` to find out whether the
/// processor has the atomic instructions of the extension LSE. Returns zero until [`keep_auxv`] is
/// called.
#[cfg(target_arch = "aarch64")]
pub fn getauxval(kind: c_ulong) -> c_ulong {
    if STACK.load(Relaxed).is_null() {
        return 0;
    }
    value(kind as usize).map_or(0, |value| value as c_ulong)
}
