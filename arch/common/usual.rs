//! What most architectures have. The file of an architecture defines what is different there, and its
//! own definition hides the one that it imports from here.

use super::nr;
use crate::arch::syscall4;

/// The structure that `rt_sigaction` takes.
#[allow(unused_imports, reason = "some architectures have a structure of their own")]
pub use linux_raw_sys::general::kernel_sigaction;

/// Leaves the action unchanged, because a signal handler returns through code that the kernel
/// provides, in the vDSO or beside the signal frame.
#[allow(dead_code, reason = "some architectures have a function of their own")]
pub fn set_restorer(_: &mut crate::arch::kernel_sigaction) {}

/// Makes the system call `rt_sigaction`, with the size in bytes of a signal mask.
///
/// # Safety
///
/// * `new` and `old` are each zero, or the address of a `kernel_sigaction`.
/// * The handler can be called at any moment.
#[allow(dead_code, reason = "some architectures have a function of their own")]
#[inline]
pub unsafe fn rt_sigaction(signal: usize, new: usize, old: usize, mask_size: usize) -> usize {
    // SAFETY: the caller meets the requirements of the call.
    unsafe { syscall4(nr::rt_sigaction, signal, new, old, mask_size) }
}
