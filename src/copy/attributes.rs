//! Copies permissions, owner, times, access lists and extended attributes.

use core::ffi::CStr;

use linux_raw_sys::general::{
    FS_COMPR_FL, FS_DAX_FL, FS_JOURNAL_DATA_FL, FS_NOATIME_FL, FS_NOCOMP_FL, FS_NOCOW_FL,
    FS_NODUMP_FL, FS_NOTAIL_FL, FS_SYNC_FL,
};
use linux_raw_sys::ioctl::{FS_IOC_GETFLAGS, FS_IOC_SETFLAGS};

use super::error::AttributeName;
use super::temporary::proc_path;
use super::text::first;
use super::{Action, Cause, Outcome, Preserve, Source, dest, source, xattr};
use crate::fd::{AsRawFd, BorrowedFd, CWD};
use crate::map::MmapMut;
use crate::syscall::{self, AtFlags, Errno, FileType, Mode, Stat};

/// Copies those of the source's attributes to the copy that `what` selects. Both descriptors may be
/// open as paths, as those of symbolic links and special files are.
///
/// Sets all attributes that can be set, and returns the first failure. If it is that of an extended
/// attribute, writes its name to `attribute`.
#[cold]
#[inline(never)]
pub fn preserve(
    from: &Source<'_>,
    to: BorrowedFd<'_>,
    what: Preserve,
    attribute: &mut AttributeName,
) -> Outcome<()> {
    let stat = &from.stat;
    let what = match stat.file_type() {
        // Linux has no permissions of links.
        FileType::Symlink => what - Preserve::MODE,
        _ => what,
    };
    let mut mode = stat.permissions();
    let is_owned = match what.contains(Preserve::OWNERSHIP) {
        true => chown_like(to, stat).is_ok(),
        false => has_owner_of(to, stat),
    };
    if !is_owned {
        if what.contains(Preserve::OWNERSHIP) {
            // Without CAP_CHOWN, an owner can still change the group to one of its own.
            let _ = chown(to, None, stat.gid);
        }
        // The set-ID bits would grant the rights of a different user or group.
        mode -= Mode::SETUID | Mode::SETGID;
    }
    // The kernel removes security.capability and the set-ID bits when the owner changes, so the
    // attributes follow the owner. They need a writable file, so they precede the permissions.
    let mut result = Ok(());
    if what.contains(Preserve::XATTR) {
        let before = syscall::fstat(to);
        result = extended(from.file, to, attribute);
        if let Ok(before) = before
            && !what.contains(Preserve::MODE)
            && before.file_type() != FileType::Symlink
        {
            result = result.and(set_mode(to, before.permissions()));
        }
    }
    if what.contains(Preserve::MODE) {
        let mut list = ACCESS;
        let mut shared = share_list(list, from.file, to);
        if shared.is_ok() && stat.file_type() == FileType::Directory {
            list = DEFAULT;
            shared = share_list(list, from.file, to);
        }
        if let Err((action, errno)) = shared {
            // The group bits are dropped, because with an access list they are the mask: the most
            // that any entry may have.
            mode -= Mode::RWXG;
            if result.is_ok() {
                let _ = attribute.set(&[list.to_bytes()]);
                result = Err(match action {
                    Action::SetAttribute => dest(action, errno),
                    _ => source(action, errno),
                });
            }
        }
    }
    if what.contains(Preserve::TIMESTAMPS) {
        let times = match syscall::futimens(to, stat.atime, stat.mtime) {
            Err(Errno::EBADF) => set_times_of_path(to, stat),
            times => times,
        };
        result = result.and(times.map_err(|e| dest(Action::SetTimes, e)));
    }
    if what.contains(Preserve::MODE) {
        result = result.and(set_mode(to, mode));
    }
    result
}

/// Sets the times of a file that is open as a path.
fn set_times_of_path(to: BorrowedFd<'_>, stat: &Stat) -> syscall::Result<()> {
    let set =
        |dir, name: &CStr, flags| syscall::utimensat(dir, name, stat.atime, stat.mtime, flags);
    // Before Linux 5.8, the call does not know the flag.
    set(to, c"", AtFlags::EMPTY_PATH)
        .or_else(|_| set(CWD, proc_path(to.as_raw_fd())?.as_c_str(), AtFlags::empty()))
}

/// Sets a file's owner and group to those in `other`. Returns whether they were different before.
#[inline(never)]
pub fn chown_like(file: BorrowedFd<'_>, other: &Stat) -> syscall::Result<bool> {
    if has_owner_of(file, other) {
        return Ok(false);
    }
    chown(file, Some(other.uid), other.gid)?;
    Ok(true)
}

/// Sets a file's group, and its owner unless this is `None`.
fn chown(file: BorrowedFd<'_>, owner: Option<u32>, group: u32) -> syscall::Result<()> {
    syscall::fchownat(file, c"", owner, Some(group), AtFlags::EMPTY_PATH)
}

/// Returns whether a file has the owner and the group of another file.
pub fn has_owner_of(file: BorrowedFd<'_>, other: &Stat) -> bool {
    syscall::fstat(file).is_ok_and(|own| (own.uid, own.gid) == (other.uid, other.gid))
}

/// The flags of a file that chattr(1) sets, that say how its data is stored or accessed, and that do
/// not forbid to replace the file. Source: ioctl_iflags(2).
const FLAGS: u32 = FS_SYNC_FL
    | FS_NODUMP_FL
    | FS_NOATIME_FL
    | FS_COMPR_FL
    | FS_NOCOMP_FL
    | FS_JOURNAL_DATA_FL
    | FS_NOTAIL_FL
    | FS_NOCOW_FL
    | FS_DAX_FL;

/// Gives an empty file the flags of another file, as best effort.
///
/// The file may have other flags than the other file, which it inherited from its directory. The
/// order of the calls matters: btrfs sets `FS_NOCOW_FL` only on an empty file.
#[inline(never)]
pub fn copy_flags(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    let (Some(wanted), Some(own)) = (flags(from), flags(to)) else { return };
    let mut differing = (wanted ^ own) & FLAGS;
    if differing == 0 || set_flags(to, own ^ differing) {
        return;
    }
    // One of the flags is refused, such as `FS_JOURNAL_DATA_FL` without CAP_SYS_RESOURCE. The
    // others are set one by one.
    let mut own = own;
    while differing != 0 {
        let flag = differing & differing.wrapping_neg();
        differing ^= flag;
        if set_flags(to, own ^ flag) {
            own ^= flag;
        }
    }
}

/// Returns a file's flags, or `None` if its file system has none.
fn flags(file: BorrowedFd<'_>) -> Option<u32> {
    // The kernel reads and writes an `int`, although the request's number says `long`.
    let mut flags = 0u32;
    let at = (&raw mut flags).expose_provenance();
    // SAFETY: FS_IOC_GETFLAGS writes an `int`.
    unsafe { syscall::ioctl(file, FS_IOC_GETFLAGS, at) }.ok()?;
    Some(flags)
}

/// Sets a file's flags. Returns whether this succeeded.
fn set_flags(file: BorrowedFd<'_>, flags: u32) -> bool {
    let at = (&raw const flags).expose_provenance();
    // SAFETY: FS_IOC_SETFLAGS reads an `int`.
    unsafe { syscall::ioctl(file, FS_IOC_SETFLAGS, at) }.is_ok()
}

/// Sets a file's permissions, and checks that the file has them afterwards.
///
/// Some file systems report success and ignore the change: bindfs, and vboxsf, which Vagrant's
/// shared folders use.
#[inline(never)]
pub fn set_mode(file: BorrowedFd<'_>, mode: Mode) -> Outcome<()> {
    let set = match syscall::fchmod(file, mode) {
        // The file is open as a path. Before Linux 6.6, only the link in /proc leads to it.
        Err(Errno::EBADF) => syscall::fchmodat2(file, c"", mode, AtFlags::EMPTY_PATH)
            .or_else(|_| syscall::fchmodat(CWD, proc_path(file.as_raw_fd())?.as_c_str(), mode)),
        set => set,
    };
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
    share_list(ACCESS, from, to).map_err(|(_, errno)| errno)
}

/// Copies the access list in the attribute `name` of `from` to `to`, or removes it from `to`. Returns
/// what failed, and why.
#[inline(never)] // Keeps the buffer out of the caller's stack frame.
fn share_list(
    name: &CStr,
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
) -> Result<(), (Action, Errno)> {
    match share_list_in(&mut [0; 1024], name, from, to) {
        Err((Action::ReadAttributes, Errno::ERANGE)) => {
            // The kernel limits the value of an attribute to this size.
            let buffer = MmapMut::map_anon(LARGEST);
            let mut buffer = buffer.map_err(|_| (Action::ReadAttributes, Errno::ENOMEM))?;
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
) -> Result<(), (Action, Errno)> {
    let set = match xattr::get(from, name, list) {
        Ok(count) => xattr::set(to, name, list.get(..count).unwrap_or_default()),
        // Looking first is cheap, whereas removing an attribute that does not exist writes the
        // inode.
        Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::ENOSYS) => {
            match xattr::get(to, name, &mut []) {
                Ok(_) => xattr::remove(to, name),
                Err(_) => Ok(()),
            }
        }
        Err(errno) => return Err((Action::ReadAttributes, errno)),
    };
    set.map_err(|errno| (Action::SetAttribute, errno))
}

/// The size in bytes of the largest list of attribute names, and of the largest attribute value.
/// Source: xattr(7).
const LARGEST: usize = 64 << 10;

/// Copies the source's extended attributes. Returns the first failure, and writes the name of the
/// attribute that failed to `attribute`.
fn extended(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    attribute: &mut AttributeName,
) -> Outcome<()> {
    let failed = |errno: Errno| source(Action::ReadAttributes, errno);
    match xattr::list(from, &mut []) {
        Ok(1..) => {}
        // The file system has no extended attributes, or a filter has no such call.
        Ok(0) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EPERM | Errno::EACCES) => {
            return Ok(());
        }
        Err(errno) => return Err(failed(errno)),
    }
    // fsetxattr(2) checks the file's permissions, not how the descriptor was opened. `to` may be a
    // directory, and only the owner has these permissions.
    let _ = syscall::fchmod(to, Mode::RWXU);
    let mut buffers = MmapMut::map_anon(2 * LARGEST).map_err(|_| failed(Errno::ENOMEM))?;
    let Some((names, value)) = buffers.split_at_mut_checked(LARGEST) else { return Ok(()) };
    let count = xattr::list(from, names).map_err(failed)?;
    let mut names = names.get(..count).unwrap_or_default();
    let mut result = Ok(());
    while !names.is_empty() {
        let name = first(names);
        names = names.get(name.count_bytes() + 1..).unwrap_or_default();
        if name == ACCESS || name == DEFAULT {
            continue; // They belong to the permissions.
        }
        let copied = match xattr::get(from, name, value) {
            Ok(count) => {
                let value = value.get(..count).unwrap_or_default();
                let set = xattr::set(to, name, value);
                set.map_err(|errno| (errno, dest(Action::SetAttribute, errno)))
            }
            // The attribute was removed meanwhile.
            Err(Errno::ENODATA) => Ok(()),
            Err(errno) => Err((errno, failed(errno))),
        };
        match copied {
            // The copy's file system does not support the attribute, or the caller may not read or
            // set it.
            Ok(()) | Err((Errno::EOPNOTSUPP | Errno::EPERM | Errno::EACCES, _)) => {}
            Err((_, failure)) if result.is_ok() => {
                let _ = attribute.set(&[name.to_bytes()]);
                result = Err(failure);
            }
            Err(_) => {}
        }
    }
    result
}
