//! Copying between the memory of two processes.

use super::raw::{nr, syscall6};
use super::{Errno, IoVec, Pid, Result};

/// Copies bytes from ranges of another process, or of the calling one, to ranges of the calling
/// process.
///
/// The ranges of both lists are used in order, and the copy ends with the shorter list. A list has
/// at most 1024 ranges. Returns the number of bytes that were copied, which is less than requested
/// if a page cannot be read: the copy stops at the beginning of that page. A missing page raises no
/// signal.
///
/// # Errors
///
/// * `EFAULT` if the first byte of `remote` cannot be read, or `local` cannot be written to.
/// * `EINVAL` if the lengths of a list add up to more than `isize::MAX`.
/// * `EPERM` if the caller may not trace the process (ptrace(2)), or a seccomp filter forbids the
///   call.
/// * `ESRCH` if there is no such process.
/// * `ENOSYS` if the kernel was built without `CONFIG_CROSS_MEMORY_ATTACH`, and under qemu-user.
///
/// # Safety
///
/// * The ranges of `local` belong to the caller, and no code relies on their contents.
pub unsafe fn process_vm_readv(pid: Pid, local: &[IoVec], remote: &[IoVec]) -> Result<usize> {
    // SAFETY: the caller allows the kernel to write to the ranges of `local`.
    unsafe { transfer(nr::process_vm_readv, pid, local, remote) }
}

/// Copies bytes from ranges of the calling process to ranges of another process, or of the calling
/// one.
///
/// The ranges of both lists are used in order, and the copy ends with the shorter list. A list has
/// at most 1024 ranges. Returns the number of bytes that were copied, which is less than requested
/// if a page cannot be written to: the copy stops at the beginning of that page. A missing page
/// raises no signal.
///
/// Do not write to a shared mapping of a file in this way. The kernel pins the pages of `remote`, and
/// marks them as changed after the copy. If they were written back in between, the file system does
/// not expect a change: ext4 prints a warning and discards it (Linux 5.18), although the call
/// succeeds. [`process_vm_readv`] with the mapping in `local` does not have this problem, because it
/// stores by page faults.
///
/// # Errors
///
/// * `EFAULT` if the first byte of `remote` cannot be written to, or `local` cannot be read.
/// * `EINVAL` if the lengths of a list add up to more than `isize::MAX`.
/// * `EPERM` if the caller may not trace the process (ptrace(2)), or a seccomp filter forbids the
///   call.
/// * `ESRCH` if there is no such process.
/// * `ENOSYS` if the kernel was built without `CONFIG_CROSS_MEMORY_ATTACH`, and under qemu-user.
///
/// # Safety
///
/// * No code of the other process relies on the contents of the ranges of `remote`.
pub unsafe fn process_vm_writev(pid: Pid, local: &[IoVec], remote: &[IoVec]) -> Result<usize> {
    // SAFETY: the caller allows the kernel to write to the ranges of `remote`.
    unsafe { transfer(nr::process_vm_writev, pid, local, remote) }
}

/// # Safety
///
/// * `number` is that of one of the two calls, whose requirements the caller meets.
unsafe fn transfer(number: usize, pid: Pid, local: &[IoVec], remote: &[IoVec]) -> Result<usize> {
    let (to, from) = (local.as_ptr().expose_provenance(), remote.as_ptr().expose_provenance());
    // SAFETY: `IoVec` has the layout of the kernel's structure; the caller promises the rest.
    Errno::check(unsafe { syscall6(number, pid as usize, to, local.len(), from, remote.len(), 0) })
}
