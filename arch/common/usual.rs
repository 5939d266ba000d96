//! What most architectures have. The file of an architecture defines what is different there, and its
//! own definition hides the one that it imports from here.

#![allow(dead_code, unused_imports, reason = "some architectures have their own")]

use super::nr;
use crate::arch::syscall4;

/// The structure that `rt_sigaction` takes.
pub use linux_raw_sys::general::kernel_sigaction;

pub use super::guarded_copy;

/// Leaves the action unchanged, because a signal handler returns through code that the kernel
/// provides, in the vDSO or beside the signal frame.
pub fn set_restorer(_: &mut crate::arch::kernel_sigaction) {}

/// Makes the system call `rt_sigaction`, with the size in bytes of a signal mask.
///
/// # Safety
///
/// * `new` and `old` are each zero, or the address of a `kernel_sigaction`.
/// * The handler can be called at any moment.
#[inline]
pub unsafe fn rt_sigaction(signal: usize, new: usize, old: usize, mask_size: usize) -> usize {
    // SAFETY: the caller meets the requirements of the call.
    unsafe { syscall4(nr::rt_sigaction, signal, new, old, mask_size) }
}

/// Does nothing, because the guarded copy uses instructions that all processors have.
pub fn prepare_copy() {}
