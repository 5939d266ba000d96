//! Creates a temporary file beside the destination, and publishes it under the destination's name.

use core::ffi::CStr;

use super::dest::Destination;
use super::error::{Action, Cause, hex};
use super::leftover::{Owner, remove_unlocked};
use super::text::Text;
use super::{
    Failure, Outcome, ProcessControl,
    attributes::{chown_like, copy_flags, has_owner_of, set_mode, share_access},
    data::fs_type,
    signals, sync,
};
use crate::decimal::Decimal;
use crate::fd::{AsFd, AsRawFd, BorrowedFd, CWD, FromRawFd, OwnedFd, RawFd};
use crate::syscall::{
    self, AtFlags, Errno, Flock, Mode, OFlags, RenameFlags, Result, Stat, SyncFileRangeFlags,
};
use linux_raw_sys::general::{EXT4_SUPER_MAGIC, F_DUPFD_CLOEXEC, STATX_ATTR_APPEND};

/// Selects how the copy is written before it has the destination's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Without a name (`O_TMPFILE`). The kernel frees the file if the process ends before the file
    /// is published.
    Unnamed,
    /// With a temporary name, for file systems without `O_TMPFILE`. The name is removed on drop.
    Named,
    /// With a temporary name and with its final permissions, for file systems that ignore
    /// `fchmod(2)`.
    NamedWithMode,
    /// With the destination's name from the start, as `cp` writes a new file. The name is removed
    /// on drop. Needs neither links nor renaming, but is not atomic.
    Direct,
}

/// The error of `/proc` for a new name.
const ABSENT: Cause = Cause::Errno(Errno::ENOENT);

impl Kind {
    /// Returns the kind to try next after a failure, or `None` if no other kind would succeed or
    /// the old destination could be lost.
    pub fn after(self, failure: Failure) -> Option<Kind> {
        let is_refused = [Action::CreateBeside, Action::KeepOwner, Action::Name, Action::SetMode];
        match self {
            // A named file is as safe, so any failure may lead to it.
            Kind::Unnamed if failure.is(Action::CreateBeside) || failure.is(Action::Link) => {
                Some(Kind::Named)
            }
            // In /proc, nothing can be created, but some files can be written to.
            Kind::Named if failure.is(Action::CreateBeside) && failure.is_because(ABSENT) => {
                Some(Kind::Direct)
            }
            _ if failure.is_final() => None,
            Kind::Unnamed | Kind::Named if failure.is(Action::SetMode) => Some(Kind::NamedWithMode),
            Kind::Direct => None,
            _ => is_refused.iter().any(|&action| failure.is(action)).then_some(Kind::Direct),
        }
    }
}

/// A temporary file in the destination's directory, which becomes the destination when it is
/// published.
pub struct Temporary<'a> {
    to: &'a Destination<'a>,
    kind: Kind,
    /// `None` only while the file is dropped.
    file: Option<OwnedFd>,
    /// The name that is removed on drop.
    name: Option<&'a CStr>,
    /// Whether the file also has the destination's name.
    owner: Owner,
    /// The buffer for a temporary name, until there is one.
    room: Option<&'a mut Name>,
    /// The file that was replaced, if it must not be freed before the directory is on the disk.
    replaced: Option<OwnedFd>,
}

/// Returns the permission bits without the set-user-ID, set-group-ID and sticky bits, because
/// whoever set these bits trusted other contents.
fn permissions(stat: &Stat) -> Mode {
    stat.mode & (Mode::RWXU | Mode::RWXG | Mode::RWXO)
}

impl<'a> Temporary<'a> {
    /// Creates a temporary file with the owner and the permissions of the file that it replaces, or
    /// with the permissions of the source if it replaces none.
    ///
    /// If `preserves`, the caller will give the file the owner and the permissions of the source.
    #[inline(never)]
    pub fn create(
        to: &'a Destination<'a>,
        source: &Stat,
        kind: Kind,
        preserves: bool,
        process: Option<ProcessControl>,
        name: &'a mut Name,
    ) -> Outcome<Temporary<'a>> {
        let replaced = to.stat();
        let mode = match replaced {
            Some(existing) if kind == Kind::NamedWithMode => permissions(existing),
            // No other user may open the file before it has its owner.
            Some(_) => Mode::RUSR | Mode::WUSR,
            None if preserves && (kind == Kind::Named || kind == Kind::Direct) => {
                permissions(source) & Mode::RWXU
            }
            None => permissions(source),
        };
        let needs_removal = kind != Kind::Direct && (replaced.is_some() || kind != Kind::Unnamed);
        let unnamable = |errno| super::dest(Action::Name, errno);
        if needs_removal {
            to.check_not_append_only().map_err(unnamable)?;
        }
        if needs_removal && replaced.is_some() {
            to.check_removable(to.name()).map_err(unnamable)?;
        }
        let made = Temporary::create_with(to, mode, kind, process, name);
        let temporary = made.map_err(|e| super::dest(Action::CreateBeside, e))?;
        if let Some(name) = temporary.name
            && needs_removal
            && replaced.is_none()
        {
            to.check_removable(name).map_err(unnamable)?;
        }
        match replaced {
            Some(existing) => temporary.copy_metadata_from(existing)?,
            // The permissions are set now, so that a file system that ignores this gets another
            // file, which is created with them.
            None if preserves && kind == Kind::Named => {
                let file = temporary.as_fd();
                if has_owner_of(file, source) {
                    set_mode(file, permissions(source))?;
                }
            }
            None => {}
        }
        Ok(temporary)
    }

    /// Creates a temporary file with the permissions `mode`, as modified by the umask. Writes its
    /// name, if it has one of its own, to `name`.
    #[inline(never)]
    fn create_with(
        to: &'a Destination<'a>,
        mode: Mode,
        kind: Kind,
        process: Option<ProcessControl>,
        name: &'a mut Name,
    ) -> Result<Temporary<'a>> {
        if kind == Kind::Unnamed {
            let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
            let file = syscall::openat(to.dir(), c".", flags, mode)?;
            let (file, room) = (Some(file), Some(name));
            return Ok(Temporary {
                to,
                kind,
                file,
                name: None,
                owner: Owner::Own,
                room,
                replaced: None,
            });
        }
        let mut made = None;
        // The name is removed by whoever is the first to end the copy: this function, the drop or
        // the signal's handler. Signals are held from the creation of the name until it is
        // registered, but not while other names are tried.
        let mut create = |name: &CStr| {
            let held = signals::hold();
            let file = create_locked(to, name, mode)?;
            if let Some(process) = process {
                // SAFETY: the temporary file borrows the directory and the name, owns the file, and
                // calls `forget` before it closes the file. `held` blocks all signals.
                unsafe { signals::remove_on_signal(process, file.as_fd(), to.dir(), name) };
            }
            drop(held);
            made = Some(file);
            Ok(())
        };
        let name = match kind {
            Kind::Direct => {
                create(to.name())?;
                to.name()
            }
            _ => {
                to.take_name(name, &mut create)?;
                name.as_c_str()
            }
        };
        Ok(Temporary {
            to,
            kind,
            file: made,
            name: Some(name),
            owner: Owner::Own,
            room: None,
            replaced: None,
        })
    }

    /// Returns the file's descriptor, which is open for writing, and for reading if the file system
    /// permits it.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_ref().map_or(CWD, AsFd::as_fd)
    }

    /// Copies the owner, the access list, the flags and the permissions of the file that is
    /// replaced.
    fn copy_metadata_from(&self, existing: &Stat) -> Outcome<()> {
        let file = self.as_fd();
        let mut mode = permissions(existing);
        let open = |access| match self.to.open(access | OFlags::NONBLOCK) {
            // Another process has a lease on the file, which it gives up for a caller that waits.
            Err(Errno::EAGAIN) => self.to.open(access),
            result => result,
        };
        let mut keep = || {
            let is_given = chown_like(file, existing)?;
            if is_given && self.kind == Kind::NamedWithMode {
                // With its final permissions, the file could be opened by the group of this process
                // before it had its owner.
                return Err(Errno::EPERM);
            }
            match open(OFlags::RDONLY).or_else(|_| open(OFlags::WRONLY)) {
                Ok(old) => {
                    copy_flags(old.as_fd(), file);
                    return share_access(old.as_fd(), file);
                }
                // The old file was removed meanwhile, and its access list is unknown. Its group
                // bits may have been the mask of that list, and are dropped.
                Err(Errno::ENOENT) => mode -= Mode::RWXG,
                Err(errno) => return Err(errno),
            }
            Ok(())
        };
        keep().map_err(|e| super::dest(Action::KeepOwner, e))?;
        set_mode(file, mode)
    }

    /// Closes a duplicate of the descriptor, and returns the error of the close.
    ///
    /// Network and FUSE file systems may report a failed write only at close. The error must appear
    /// while the old destination still exists.
    pub fn check_written(&self) -> Result<()> {
        // SAFETY: F_DUPFD_CLOEXEC takes a number, and only creates a descriptor.
        let fd = unsafe { syscall::fcntl(self.as_fd(), F_DUPFD_CLOEXEC, 0) }?;
        // SAFETY: the kernel has just returned the descriptor, so nothing else owns it.
        syscall::close(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    }

    /// Links or renames the temporary file to the destination's name.
    ///
    /// The change is atomic: another process sees the old file or the complete copy at every
    /// moment. If `replace` is false and a file with the name exists by now, the failure has the
    /// cause `EEXIST`. The failure's action is [`Action::Link`] if an unnamed file cannot be linked
    /// to any name, and otherwise [`Action::Name`].
    ///
    /// With `is_synced`, the file is synced again where its first name may reach the disk before
    /// the caller syncs the directory: btrfs before Linux 6.18 logs nothing for a file without a
    /// name, and vfat stores the length and the first block in the directory, but writes them with
    /// the file. The caller then syncs the directory, and the file once more.
    pub fn publish(&mut self, replace: bool, is_synced: bool) -> Outcome<()> {
        match self.name {
            _ if self.kind == Kind::Direct => {
                self.keep_name();
                self.sync_inode(is_synced)
            }
            Some(name) => {
                self.publish_named(name, replace).map_err(|e| super::dest(Action::Name, e))?;
                self.sync_inode(is_synced)
            }
            None => self.publish_unnamed(replace, is_synced),
        }
    }

    /// Leaves the file its name, which is then removed neither on drop nor by the signal handler.
    fn keep_name(&mut self) {
        if let Some(name) = self.name.take() {
            signals::forget(name);
        }
    }

    fn publish_named(&mut self, name: &CStr, replace: bool) -> Result<()> {
        let (dir, dest) = (self.to.dir(), self.to.name());
        let _held = signals::hold();
        let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        let renamed = match syscall::renameat2(dir, name, dir, dest, flags) {
            Err(errno) if replace => syscall::renameat(dir, name, dir, dest).map_err(|_| errno),
            result => result,
        };
        match renamed {
            // The temporary name is free now, and another copy may use it.
            Ok(()) => {
                self.keep_name();
                Ok(())
            }
            // A file system without RENAME_NOREPLACE, or without any renaming: linkat(2) gives a
            // new file its name, and never replaces a file. The temporary name is removed on drop.
            Err(errno) if errno != Errno::EEXIST && (!replace || self.to.stat().is_none()) => {
                match syscall::linkat(dir, name, dir, dest, AtFlags::empty()) {
                    Ok(()) => {
                        signals::forget(name);
                        self.owner = Owner::Published;
                        Ok(())
                    }
                    Err(Errno::EEXIST) if !replace => Err(Errno::EEXIST),
                    Err(_) => Err(errno),
                }
            }
            Err(errno) => Err(errno),
        }
    }

    fn publish_unnamed(&mut self, replace: bool, is_synced: bool) -> Outcome<()> {
        let (dir, dest) = (self.to.dir(), self.to.name());
        let unlinked = |errno| match errno {
            // Another process has created the file.
            Errno::EEXIST => super::dest(Action::Name, errno),
            _ => super::dest(Action::Link, errno),
        };
        if self.to.stat().is_none() {
            match self.link(dest) {
                // Another process has created the file meanwhile. It is replaced below.
                Err(Errno::EEXIST) if replace => {}
                result => {
                    result.map_err(unlinked)?;
                    return self.sync_inode(is_synced);
                }
            }
        }
        // linkat(2) cannot replace a file, but renameat(2) can, so the file needs a temporary name
        // for a moment. The lock keeps other copies from removing the name as a leftover.
        let _ = syscall::flock(self.as_fd(), Flock::EXCLUSIVE);
        let Some(name) = self.room.take() else { return Err(unlinked(Errno::EEXIST)) };
        let mut held = None;
        let mut link = |name: &CStr| {
            let hold = signals::hold();
            self.link(name)?;
            held = Some(hold);
            Ok(())
        };
        self.to.take_name(name, &mut link).map_err(unlinked)?;
        let name = name.as_c_str();
        if is_synced {
            // The descriptor keeps the old file's blocks until the directory is on the disk. ext4
            // without a journal, mounted with `discard`, discards them with the last reference.
            self.replaced = self.to.open(OFlags::PATH).ok();
        }
        let renamed = self
            .sync_inode(is_synced)
            .and_then(|()| rename(dir, name, dest).map_err(|e| super::dest(Action::Name, e)));
        if renamed.is_err() && !self.to.unlink(name) {
            self.name = Some(name);
        }
        drop(held);
        renamed?;
        // If the copy is synced, the file is not synced here, but after the directory. ext2, and
        // ext4 without a journal, would write the old file's inode without links, which is often in
        // the block of the new file's inode, while the directory on the disk still leads to it.
        if !is_synced {
            // The data of the old file was on the disk. The kernel writes new data back after up to
            // 30 seconds, and a power cut before that would lose both. ext4 (auto_da_alloc) starts
            // this by itself only for files that are not preallocated. The call is best effort:
            // only `Options::sync` waits for the disk. It follows the rename, because the rename
            // frees the old blocks, and on ext4 mounted with `discard` the rename would wait until
            // the disk had taken all of the new data.
            let _ = syscall::sync_file_range(self.as_fd(), 0, 0, SyncFileRangeFlags::WRITE);
        }
        Ok(())
    }

    /// Closes the published file.
    ///
    /// A file that was created without a name is opened by its new name for a moment. inotify(7)
    /// otherwise reports only the name that the kernel invents for such a file, a number after `#`,
    /// and programs that wait for `IN_CLOSE_WRITE` would not learn of the new file.
    pub fn close(mut self) {
        if self.kind != Kind::Unnamed || self.to.stat().is_some() {
            return;
        }
        let Some(file) = self.file.take() else { return };
        let open = || {
            let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            self.to.open(flags)
        };
        let named = match open() {
            // The permissions of the source do not let its owner write.
            Err(Errno::EACCES) => {
                let mode = syscall::fstat(file.as_fd()).map(|stat| stat.permissions());
                mode.and_then(|mode| {
                    syscall::fchmod(file.as_fd(), mode | Mode::WUSR)?;
                    let named = open();
                    syscall::fchmod(file.as_fd(), mode)?;
                    named
                })
            }
            result => result,
        };
        // The event of the name is the last one.
        drop(file);
        drop(named);
    }

    /// Writes the file's inode to the disk again after a change of its names, if `is_asked`.
    #[inline(never)]
    pub fn sync_inode(&self, is_asked: bool) -> Outcome<()> {
        if is_asked && fs_type(self.as_fd()) == EXT4_SUPER_MAGIC {
            // Before Linux 6.12, ext2, and ext4 without a journal, do not mark the inode as changed
            // after linkat(2) and renameat(2): fsync(2) would not write the number of links, and
            // would not flush the disk's cache. Setting the mode marks it, even if the mode is
            // equal.
            let stat = syscall::fstat(self.as_fd());
            let _ = stat.and_then(|stat| syscall::fchmod(self.as_fd(), stat.mode));
        }
        sync(self.as_fd(), is_asked)
    }

    /// Links the unnamed file to a name.
    fn link(&self, name: &CStr) -> Result<()> {
        let (file, dir) = (self.as_fd(), self.to.dir());
        match syscall::linkat(file, c"", dir, name, AtFlags::EMPTY_PATH) {
            Err(errno) if errno != Errno::EEXIST => {
                // Before Linux 6.10, AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH. The link in /proc
                // does not.
                let path = proc_path(file.as_raw_fd())?;
                syscall::linkat(CWD, path.as_c_str(), dir, name, AtFlags::SYMLINK_FOLLOW)
            }
            result => result,
        }
    }
}

impl Drop for Temporary<'_> {
    /// Removes the temporary name, if the file still has one.
    fn drop(&mut self) {
        if let Some(name) = self.name {
            // Between the calls, a signal's handler would use a closed descriptor.
            let _held = signals::hold();
            signals::forget(name);
            if let Some(file) = self.file.take()
                && self.owner == Owner::Own
            {
                // The permissions may be those of a file that its owner cannot open.
                let _ = syscall::fchmod(file.as_fd(), Mode::RUSR | Mode::WUSR);
            }
            let _ = remove_unlocked(self.to.dir(), name, self.owner);
        }
    }
}

/// Creates a file, and locks it, so that no other copy removes it as a leftover.
#[inline(never)]
fn create_locked(to: &Destination<'_>, name: &CStr, mode: Mode) -> Result<OwnedFd> {
    let open = |access| {
        let flags = access | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        syscall::openat(to.dir(), name, flags, mode)
    };
    // Some file systems in user space, such as those of object stores, open a file either for
    // reading or for writing.
    let file = match open(OFlags::RDWR) {
        Err(errno) if errno != Errno::EEXIST => open(OFlags::WRONLY).map_err(|_| errno)?,
        result => result?,
    };
    // Another copy may remove the file as a leftover before this one holds the lock. The name then
    // leads to no file, or to that copy's. (Some file systems in user space report no link for any
    // file.)
    if syscall::flock(file.as_fd(), Flock::EXCLUSIVE) == Err(Errno::EWOULDBLOCK) {
        return Err(Errno::EEXIST);
    }
    let created = syscall::fstat(file.as_fd())?;
    match syscall::fstatat(to.dir(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if !found.is_same_file(&created) => Err(Errno::EEXIST),
        Err(Errno::ENOENT) => Err(Errno::EEXIST),
        _ => Ok(file),
    }
}

/// Renames a file in a directory, and replaces an existing file.
fn rename(dir: BorrowedFd<'_>, from: &CStr, to: &CStr) -> Result<()> {
    syscall::renameat2(dir, from, dir, to, RenameFlags::empty())
        .or_else(|errno| syscall::renameat(dir, from, dir, to).map_err(|_| errno))
}

impl Destination<'_> {
    /// Creates a file that is complete at once, such as a symbolic link, with the destination's
    /// name. If `replace` is true, atomically replaces an existing file.
    ///
    /// `create` creates the file with a name in a directory, and fails with `EEXIST` if the name is
    /// in use.
    pub fn create(
        &self,
        replace: bool,
        create: &mut dyn FnMut(BorrowedFd<'_>, &CStr) -> Result<()>,
    ) -> Result<()> {
        match create(self.dir(), self.name()) {
            Err(Errno::EEXIST) if replace => {}
            result => return result,
        }
        let mut name = Name::new();
        let _held = signals::hold();
        self.take_name(&mut name, &mut |name| create(self.dir(), name))?;
        let renamed = rename(self.dir(), name.as_c_str(), self.name());
        if renamed.is_err() {
            self.unlink(name.as_c_str());
        }
        renamed
    }

    /// Tries temporary names in a fixed order until `take` succeeds with one, and writes it to
    /// `name`.
    ///
    /// `take` creates or links a file, and fails with `EEXIST` if the name is in use. A file that
    /// no process has locked was left by a copy that was killed, and is removed.
    #[inline(never)]
    fn take_name(&self, name: &mut Name, take: &mut dyn FnMut(&CStr) -> Result<()>) -> Result<()> {
        let mut number = hash(self.name().to_bytes());
        let mut is_short = false;
        for _ in 0..NAMES {
            let digits = digits(number);
            if is_short {
                name.set(&[&digits[8..], b".mcp"])?;
            } else {
                name.set(&[b".mapcp-", &digits])?;
            }
            match take(name.as_c_str()) {
                Err(Errno::EEXIST) => {
                    match remove_unlocked(self.dir(), name.as_c_str(), Owner::Other) {
                        // The name is free now. It is tried again, unless another copy takes it first.
                        Ok(()) => {}
                        // Names cannot be removed here, and a new one would be the next leftover.
                        Err(Errno::EPERM) => return Err(Errno::EPERM),
                        // Another copy to this destination is in progress, and uses the name.
                        Err(_) => number = number.wrapping_add(1),
                    }
                }
                // On msdos, names have eight characters and three, and do not begin with a dot.
                Err(Errno::EINVAL | Errno::ENAMETOOLONG) if !is_short => is_short = true,
                result => return result,
            }
        }
        Err(Errno::EEXIST)
    }

    /// Fails in an append-only directory (chattr(1), `+a`), in which names can be created, but
    /// neither removed nor replaced. A temporary name would be left behind for good.
    #[inline(never)]
    fn check_not_append_only(&self) -> Result<()> {
        let attributes = syscall::statx_attributes(self.dir(), c".", AtFlags::empty());
        match attributes.is_ok_and(|bits| bits & u64::from(STATX_ATTR_APPEND) != 0) {
            true => Err(Errno::EPERM),
            false => Ok(()),
        }
    }

    /// Fails if a policy forbids to remove or rename an existing file.
    ///
    /// Renaming a file to its own name changes nothing. Landlock and AppArmor check the call before
    /// the kernel compares the names.
    #[inline(never)]
    fn check_removable(&self, name: &CStr) -> Result<()> {
        match rename(self.dir(), name, name) {
            Err(errno @ (Errno::EACCES | Errno::EPERM)) => Err(errno),
            _ => Ok(()),
        }
    }

    /// Removes a temporary name, as best effort. Returns whether the name is removed.
    #[inline(never)]
    fn unlink(&self, name: &CStr) -> bool {
        syscall::unlinkat(self.dir(), name, AtFlags::empty()).is_ok()
    }
}

/// The name of a temporary file: `.mapcp-` and sixteen hexadecimal digits, or eight digits and
/// `.mcp`.
pub type Name = Text<24>;

/// The number of temporary names that are tried. Copies to one destination that run at the same
/// time use one each.
const NAMES: u32 = 1 << 16;

/// Returns the FNV-1a hash of a destination's name. The temporary name is derived from it, so that
/// the next copy to the destination finds a leftover.
fn hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Returns a number as sixteen hexadecimal digits.
fn digits(mut number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for digit in digits.iter_mut().rev() {
        *digit = hex(number as u8);
        number >>= 4;
    }
    digits
}

/// Returns the path of a descriptor's link in `/proc`.
pub fn proc_path(fd: RawFd) -> Result<Text<32>> {
    let mut path = Text::new();
    path.set(&[b"/proc/self/fd/", Decimal::new(fd as u64).as_str().as_bytes()])?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;

    proptest! {
        #[test]
        fn numbers_in_names(fd in 0i32.., number: u64) {
            let path = proc_path(fd).unwrap();
            let wanted = format!("/proc/self/fd/{fd}");
            prop_assert_eq!(path.as_c_str().to_str(), Ok(&*wanted));
            let digits = digits(number);
            let wanted = format!("{number:016x}");
            prop_assert_eq!(str::from_utf8(&digits), Ok(&*wanted));
        }
    }
}
