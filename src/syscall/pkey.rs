//! Protection keys: each page has a key, and a register of each thread's processor contains the
//! accesses that each key forbids.
//!
//! A thread changes the register by an instruction, without a system call. Source: pkeys(7).

use super::raw::{nr, syscall1, syscall2, syscall4};
use super::{Errno, PkeyRights, ProtFlags, Result, check_unit};

/// The number of a protection key.
pub type Pkey = i32;

/// Allocates a protection key and sets the rights of the calling thread for it.
///
/// # Errors
///
/// * `ENOSPC` if no key is free, or the processor has no protection keys. On x86 without them,
///   the first call of a process is `EINVAL` instead.
/// * `EINVAL` if `rights` contain an unknown bit.
/// * `ENOSYS` before Linux 4.9, and on architectures that do not have the call.
pub fn pkey_alloc(rights: PkeyRights) -> Result<Pkey> {
    // SAFETY: changes the access to no page, because no page has a key that was free.
    Errno::check(unsafe { syscall2(nr::pkey_alloc, 0, rights.as_arg()) }).map(|key| key as Pkey)
}

/// Frees a protection key.
///
/// # Errors
///
/// * `EINVAL` if the key is not allocated.
/// * `ENOSYS` before Linux 4.9, and on architectures that do not have the call.
///
/// # Safety
///
/// * No page has the key any more. A later [`pkey_alloc`] can return its number, and would
///   change the access to such a page.
pub unsafe fn pkey_free(key: Pkey) -> Result<()> {
    // SAFETY: the caller meets this function's requirements.
    check_unit(unsafe { syscall1(nr::pkey_free, key as usize) })
}

/// Changes the protection of the pages in a range and assigns a protection key to them.
///
/// With `None` the pages keep their key, and the call is [`mprotect`](super::mprotect).
///
/// # Errors
///
/// * `EINVAL` if `addr` is not page-aligned, or the key is not allocated.
/// * `EACCES` if the file was not opened for the requested access.
/// * `ENOMEM` if part of the range is not mapped, or the process has too many mappings.
/// * `ENOSYS` before Linux 4.9, and on architectures that do not have the call.
///
/// # Safety
///
/// * Nothing accesses the range in a way that `prot`, or the key in the accessing thread, does
///   not allow.
/// * Nothing relies on the range staying unchanged if `prot` makes it writable.
pub unsafe fn pkey_mprotect(
    addr: *mut u8,
    length: usize,
    prot: ProtFlags,
    key: Option<Pkey>,
) -> Result<()> {
    let key = key.unwrap_or(-1) as usize;
    // SAFETY: the caller meets this function's requirements.
    check_unit(unsafe {
        syscall4(nr::pkey_mprotect, addr.expose_provenance(), length, prot.as_arg(), key)
    })
}
