//! Protection keys: pages have a key's number, and each thread's processor register says
//! what that key forbids. Changing the register takes an instruction, not a call.

use super::raw::{nr, syscall1, syscall2, syscall4};
use super::{Errno, PkeyRights, ProtFlags, Result, check_unit};

/// A protection key's number.
pub type Pkey = i32;

/// Takes a key, and sets what it forbids this thread.
///
/// # Errors
///
/// `ENOSPC`: none is left. `EINVAL`: unknown rights. A processor without keys: `ENOSPC`; on
/// x86 the first call of a process is `EINVAL` instead. `ENOSYS`: before Linux 4.9, and on
/// architectures that never had the call.
pub fn pkey_alloc(rights: PkeyRights) -> Result<Pkey> {
    // SAFETY: touches no memory: no page has a key that was free.
    Errno::check(unsafe { syscall2(nr::pkey_alloc, 0, rights.as_arg()) }).map(|key| key as Pkey)
}

/// Gives a key back.
///
/// # Errors
///
/// `EINVAL`: it was not taken. `ENOSYS`: as for [`pkey_alloc`].
///
/// # Safety
///
/// No page has the key any more: it would have that of whoever takes it next.
pub unsafe fn pkey_free(key: Pkey) -> Result<()> {
    // SAFETY: the caller's promise.
    check_unit(unsafe { syscall1(nr::pkey_free, key as usize) })
}

/// [`mprotect`](super::mprotect), and gives the pages a key; `None` leaves them the one that
/// they have.
///
/// # Errors
///
/// As for `mprotect`; `EINVAL` also if the key was not taken; `ENOSYS`: as for
/// [`pkey_alloc`].
///
/// # Safety
///
/// As for `mprotect`, of what the key forbids as well.
pub unsafe fn pkey_mprotect(
    addr: *mut u8,
    length: usize,
    prot: ProtFlags,
    key: Option<Pkey>,
) -> Result<()> {
    let key = key.unwrap_or(-1) as usize;
    // SAFETY: the caller's promise.
    check_unit(unsafe {
        syscall4(nr::pkey_mprotect, addr.expose_provenance(), length, prot.as_arg(), key)
    })
}
