//! `getauxval`, for the compiler's own library.

use core::{
    ffi::c_ulong,
    ptr,
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

use super::Start;

/// The kernel's block. Null before [`keep_auxv`].
static STACK: AtomicPtr<usize> = AtomicPtr::new(ptr::null_mut());

/// Keeps the place of the auxiliary vector for [`getauxval`].
///
/// # Safety
///
/// `stack` is what the kernel's stack pointer was at the entry.
pub unsafe fn keep_auxv(stack: *const usize) {
    STACK.store(stack.cast_mut(), Relaxed);
}

/// Returns the value of an entry of the auxiliary vector, or zero if there is none. Source:
/// getauxval(3).
pub fn getauxval(kind: c_ulong) -> c_ulong {
    let stack = STACK.load(Relaxed).cast_const();
    if stack.is_null() {
        return 0;
    }
    let mut auxv = Start { stack }.auxv();
    auxv.find(|&(found, _)| found as c_ulong == kind).map_or(0, |(_, value)| value as c_ulong)
}
