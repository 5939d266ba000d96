//! Copies permissions, owner, times, access lists and extended attributes.

use core::ffi::CStr;

use super::text::first;
use super::{Action, Cause, Outcome, Source, dest, source};
use crate::fd::BorrowedFd;
use crate::map::MmapMut;
use crate::syscall::{self, Errno, Mode, Stat, XattrFlags};

/// Copies the source's owner, extended attributes, access list, permissions and times to the copy.
#[cold]
#[inline(never)]
pub fn preserve(from: &Source<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
    let stat = &from.stat;
    let mut mode = stat.permissions();
    if chown_like(to, stat).is_err() {
        // Without CAP_CHOWN, an owner can still change the group to one of its own. The set-ID bits
        // are dropped, because they would grant the rights of a different user or group.
        let _ = syscall::fchown(to, None, Some(stat.gid));
        mode -= Mode::SETUID | Mode::SETGID;
    }
    // The kernel removes security.capability and the set-ID bits when the owner changes, so the
    // attributes follow the owner. They need a writable file, so they precede the permissions.
    extended(from.file, to)?;
    match share_access(from.file, to) {
        Ok(()) => {}
        // The copy's file system has no access lists. The group bits are dropped, because with an
        // access list they are the mask: the most that any entry may have.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => mode -= Mode::RWXG,
        Err(errno) => return Err(dest(Action::SetAttribute, errno)),
    }
    syscall::futimens(to, stat.atime, stat.mtime).map_err(|e| dest(Action::SetTimes, e))?;
    // Last, because the copy goes on where the file system ignores this.
    set_mode(to, mode)
}

/// Sets a file's owner and group to those in `other`. Returns whether they were different before.
#[inline(never)]
pub fn chown_like(file: BorrowedFd<'_>, other: &Stat) -> syscall::Result<bool> {
    let own = syscall::fstat(file)?;
    if (own.uid, own.gid) == (other.uid, other.gid) {
        return Ok(false);
    }
    syscall::fchown(file, Some(other.uid), Some(other.gid))?;
    Ok(true)
}

/// Sets a file's permissions, and checks that the file has them afterwards.
///
/// Some file systems report success and ignore the change: bindfs, and vboxsf, which Vagrant's
/// shared folders use.
#[inline(never)]
pub fn set_mode(file: BorrowedFd<'_>, mode: Mode) -> Outcome<()> {
    let set = syscall::fchmod(file, mode);
    if syscall::fstat(file).is_ok_and(|stat| stat.permissions() == mode) {
        return Ok(());
    }
    Err(dest(Action::SetMode, set.err().map_or(Cause::Ignored, Cause::Errno)))
}

/// The extended attribute that contains a file's access list. Source: acl(5).
const ACCESS: &CStr = c"system.posix_acl_access";

/// Copies the access list of `from` to `to`. If `from` has none, removes the access list of `to`,
/// which the file may have inherited from its directory's default access list.
///
/// If this fails, the caller must not give `to` the group permissions of `from`: in a file with an
/// access list, the group bits are the mask, which limits every entry.
#[inline(never)] // Keeps the buffer out of the caller's stack frame.
pub fn share_access(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> syscall::Result<()> {
    match share_access_in(&mut [0; 1024], from, to) {
        Err(Errno::ERANGE) => {
            // The kernel limits the value of an attribute to this size.
            let mut buffer = MmapMut::map_anon(LARGEST).map_err(|_| Errno::ENOMEM)?;
            share_access_in(&mut buffer, from, to)
        }
        result => result,
    }
}

/// Copies or removes the access list, using the buffer `list`. Returns `ERANGE` if the list of
/// `from` is larger than the buffer.
fn share_access_in(
    list: &mut [u8],
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
) -> syscall::Result<()> {
    match syscall::fgetxattr(from, ACCESS, list) {
        Ok(count) => {
            let list = list.get(..count).unwrap_or_default();
            syscall::fsetxattr(to, ACCESS, list, XattrFlags::empty())
        }
        // Looking first is cheap, whereas removing an attribute that does not exist writes the
        // inode.
        Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::ENOSYS) => {
            match syscall::fgetxattr(to, ACCESS, &mut []) {
                Ok(_) => syscall::fremovexattr(to, ACCESS),
                Err(_) => Ok(()),
            }
        }
        Err(errno) => Err(errno),
    }
}

/// The size in bytes of the largest list of attribute names, and of the largest attribute value.
/// Source: xattr(7).
const LARGEST: usize = 64 << 10;

/// Copies the source's extended attributes.
fn extended(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
    // flistxattr(2) fails on a file system that does not support extended attributes.
    if !syscall::flistxattr(from, &mut []).is_ok_and(|count| count > 0) {
        return Ok(());
    }
    // fsetxattr(2) checks the file's permissions, not how the descriptor was opened.
    let _ = syscall::fchmod(to, Mode::RUSR | Mode::WUSR);
    let failed = |errno: Errno| source(Action::ReadAttributes, errno);
    let mut buffers = MmapMut::map_anon(2 * LARGEST).map_err(|_| failed(Errno::ENOMEM))?;
    let Some((names, value)) = buffers.split_at_mut_checked(LARGEST) else { return Ok(()) };
    let count = syscall::flistxattr(from, names).map_err(failed)?;
    let mut names = names.get(..count).unwrap_or_default();
    while !names.is_empty() {
        let name = first(names);
        names = names.get(name.count_bytes() + 1..).unwrap_or_default();
        let count = match syscall::fgetxattr(from, name, value) {
            Ok(count) => count,
            // The attribute was removed meanwhile, or the caller may not read it.
            Err(Errno::ENODATA | Errno::EPERM | Errno::EACCES | Errno::EOPNOTSUPP) => continue,
            Err(errno) => return Err(failed(errno)),
        };
        let value = value.get(..count).unwrap_or_default();
        match syscall::fsetxattr(to, name, value, XattrFlags::empty()) {
            // The copy's file system does not support the attribute, or the caller may not set it.
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::EPERM | Errno::EACCES) => {}
            Err(errno) => return Err(dest(Action::SetAttribute, errno)),
        }
    }
    Ok(())
}
