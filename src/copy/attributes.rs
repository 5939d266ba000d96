//! What a file has beside its contents.

use core::ffi::CStr;

use super::dest::{chown_like, first};
use super::{Action, Cause, Outcome, Source, dest, source};
use crate::fd::BorrowedFd;
use crate::map::MmapMut;
use crate::syscall::{self, Errno, Mode, XattrFlags};

/// Gives the copy the source's permissions, owner, times and extended attributes.
#[cold]
#[inline(never)]
pub fn preserve(from: &Source<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
    let stat = &from.stat;
    let mut mode = stat.permissions();
    if chown_like(to, stat).is_err() {
        // Who may not give files away may still choose among groups. What a set-id bit lends
        // to whom is changed by that.
        let _ = syscall::fchown(to, None, Some(stat.gid));
        mode -= Mode::SETUID | Mode::SETGID;
    }
    // After the owner, whose change takes capabilities; and before the permissions.
    extended(from.file, to)?;
    match share_access(from.file, to) {
        Ok(()) => {}
        // The file system of the copy has no access lists.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => mode -= Mode::RWXG,
        Err(errno) => return Err(dest(Action::SetAttribute, errno)),
    }
    set_mode(to, mode)?;
    syscall::futimens(to, stat.atime, stat.mtime).map_err(|e| dest(Action::SetTimes, e))
}

/// Sets a file's permissions, and checks that they are set: some file systems accept any change
/// and ignore it (bindfs, and vboxsf behind Vagrant's shared folders).
#[inline(never)]
pub fn set_mode(file: BorrowedFd<'_>, mode: Mode) -> Outcome<()> {
    let set = syscall::fchmod(file, mode);
    if syscall::fstat(file).is_ok_and(|stat| stat.permissions() == mode) {
        return Ok(());
    }
    Err(dest(Action::SetMode, set.err().map_or(Cause::Ignored, Cause::Errno)))
}

/// The attribute that is a file's access list. Source: acl(5).
const ACCESS: &CStr = c"system.posix_acl_access";

/// Gives a file the access list of another, or takes from it what it has (from its directory, or
/// the file that it replaces), if the other has none. If that fails, it is not to have the other's
/// permissions for the group: with a list, they say what anybody on it may have at most.
#[inline(never)] // its buffer is no burden on other paths
pub fn share_access(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> syscall::Result<()> {
    match share_access_in(&mut [0; 1024], from, to) {
        Err(Errno::ERANGE) => {
            // No value is larger than this.
            let mut buffer = MmapMut::map_anon(LARGEST).map_err(|_| Errno::ENOMEM)?;
            share_access_in(&mut buffer, from, to)
        }
        result => result,
    }
}

/// Does what [`share_access`] does, with a buffer for the list. `ERANGE` if it is too small.
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
        // To look is cheap; to remove what is not there writes the inode.
        Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::ENOSYS) => {
            match syscall::fgetxattr(to, ACCESS, &mut []) {
                Ok(_) => syscall::fremovexattr(to, ACCESS),
                Err(_) => Ok(()),
            }
        }
        Err(errno) => Err(errno),
    }
}

/// The largest list of names, and the largest value, in bytes. Source: xattr(7).
const LARGEST: usize = 64 << 10;

fn extended(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
    // A file system without them says so here.
    if !syscall::flistxattr(from, &mut []).is_ok_and(|count| count > 0) {
        return Ok(());
    }
    // Only a file that may be written to, whatever its descriptor, gets any.
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
            // Removed meanwhile, or not for us to read.
            Err(Errno::ENODATA | Errno::EPERM | Errno::EACCES | Errno::EOPNOTSUPP) => continue,
            Err(errno) => return Err(failed(errno)),
        };
        let value = value.get(..count).unwrap_or_default();
        match syscall::fsetxattr(to, name, value, XattrFlags::empty()) {
            // The other side does not have this kind, or not for us.
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::EPERM | Errno::EACCES) => {}
            Err(errno) => return Err(dest(Action::SetAttribute, errno)),
        }
    }
    Ok(())
}
