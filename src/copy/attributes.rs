//! Copies permissions, owner, times, access lists and extended attributes.

use core::ffi::CStr;

use super::text::first;
use super::{Action, Cause, Outcome, Preserve, Source, dest, source};
use crate::fd::BorrowedFd;
use crate::map::MmapMut;
use crate::syscall::{self, Errno, FileType, Mode, Stat, XattrFlags};

/// Copies those of the source's attributes to the copy that `what` selects.
#[cold]
#[inline(never)]
pub fn preserve(from: &Source<'_>, to: BorrowedFd<'_>, what: Preserve) -> Outcome<()> {
    let stat = &from.stat;
    let mut mode = stat.permissions();
    let own = syscall::fstat(to).map_err(|errno| dest(Action::SetMode, errno))?;
    let is_owned = match what.contains(Preserve::OWNERSHIP) {
        true => chown_like(to, stat).is_ok(),
        false => (own.uid, own.gid) == (stat.uid, stat.gid),
    };
    if !is_owned {
        if what.contains(Preserve::OWNERSHIP) {
            // Without CAP_CHOWN, an owner can still change the group to one of its own.
            let _ = syscall::fchown(to, None, Some(stat.gid));
        }
        // The set-ID bits would grant the rights of a different user or group.
        mode -= Mode::SETUID | Mode::SETGID;
    }
    // The kernel removes security.capability and the set-ID bits when the owner changes, so the
    // attributes follow the owner. They need a writable file, so they precede the permissions.
    if what.contains(Preserve::XATTR) {
        extended(from.file, to)?;
        if !what.contains(Preserve::MODE) {
            set_mode(to, own.permissions())?;
        }
    }
    if what.contains(Preserve::MODE) {
        let mut shared = share_list(ACCESS, from.file, to);
        if shared.is_ok() && stat.file_type() == FileType::Directory {
            shared = share_list(DEFAULT, from.file, to);
        }
        match shared {
            Ok(()) => {}
            // The copy's file system has no access lists. The group bits are dropped, because with
            // an access list they are the mask: the most that any entry may have.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => mode -= Mode::RWXG,
            Err(errno) => return Err(dest(Action::SetAttribute, errno)),
        }
    }
    if what.contains(Preserve::TIMESTAMPS) {
        syscall::futimens(to, stat.atime, stat.mtime).map_err(|e| dest(Action::SetTimes, e))?;
    }
    // Last, because the copy goes on where the file system ignores this.
    if what.contains(Preserve::MODE) { set_mode(to, mode) } else { Ok(()) }
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

/// The extended attributes that contain a file's access list, and a directory's default access list
/// for new files. Source: acl(5).
const ACCESS: &CStr = c"system.posix_acl_access";
const DEFAULT: &CStr = c"system.posix_acl_default";

/// Copies the access list of `from` to `to`. If `from` has none, removes the access list of `to`,
/// which the file may have inherited from its directory's default access list.
///
/// If this fails, the caller must not give `to` the group permissions of `from`: in a file with an
/// access list, the group bits are the mask, which limits every entry.
pub fn share_access(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> syscall::Result<()> {
    share_list(ACCESS, from, to)
}

/// Copies the access list in the attribute `name` of `from` to `to`, or removes it from `to`.
#[inline(never)] // Keeps the buffer out of the caller's stack frame.
fn share_list(name: &CStr, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> syscall::Result<()> {
    match share_list_in(&mut [0; 1024], name, from, to) {
        Err(Errno::ERANGE) => {
            // The kernel limits the value of an attribute to this size.
            let mut buffer = MmapMut::map_anon(LARGEST).map_err(|_| Errno::ENOMEM)?;
            share_list_in(&mut buffer, name, from, to)
        }
        result => result,
    }
}

/// Copies or removes the access list, using the buffer `list`. Returns `ERANGE` if the list of
/// `from` is larger than the buffer.
fn share_list_in(
    list: &mut [u8],
    name: &CStr,
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
) -> syscall::Result<()> {
    match syscall::fgetxattr(from, name, list) {
        Ok(count) => {
            let list = list.get(..count).unwrap_or_default();
            syscall::fsetxattr(to, name, list, XattrFlags::empty())
        }
        // Looking first is cheap, whereas removing an attribute that does not exist writes the
        // inode.
        Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::ENOSYS) => {
            match syscall::fgetxattr(to, name, &mut []) {
                Ok(_) => syscall::fremovexattr(to, name),
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
    // fsetxattr(2) checks the file's permissions, not how the descriptor was opened. `to` may be a
    // directory, and only the owner has these permissions.
    let _ = syscall::fchmod(to, Mode::RWXU);
    let failed = |errno: Errno| source(Action::ReadAttributes, errno);
    let mut buffers = MmapMut::map_anon(2 * LARGEST).map_err(|_| failed(Errno::ENOMEM))?;
    let Some((names, value)) = buffers.split_at_mut_checked(LARGEST) else { return Ok(()) };
    let count = syscall::flistxattr(from, names).map_err(failed)?;
    let mut names = names.get(..count).unwrap_or_default();
    while !names.is_empty() {
        let name = first(names);
        names = names.get(name.count_bytes() + 1..).unwrap_or_default();
        if name.to_bytes().starts_with(b"system.posix_acl_") {
            continue; // The access lists belong to the permissions.
        }
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
