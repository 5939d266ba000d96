//! Creates a temporary file beside the destination, and publishes it under the destination's name.

use core::ffi::CStr;

use super::dest::Destination;
use super::error::{Action, hex};
use super::text::Text;
use super::{
    Outcome, ProcessControl,
    attributes::{chown_like, set_mode, share_access},
    data::fs_type,
    signals, sync,
};
use crate::decimal::Decimal;
use crate::fd::{AsFd, AsRawFd, BorrowedFd, CWD, FromRawFd, OwnedFd, RawFd};
use crate::syscall::{
    self, AtFlags, Errno, FileType, Flock, Mode, OFlags, RenameFlags, Result, Stat,
    SyncFileRangeFlags,
};
use linux_raw_sys::general::{EXT4_SUPER_MAGIC, F_DUPFD_CLOEXEC};

/// Selects how a temporary file is created.
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
}

/// A temporary file in the destination's directory, which becomes the destination when it is
/// published.
pub struct Temporary<'a> {
    to: &'a Destination<'a>,
    file: OwnedFd,
    name: Option<&'a Name>,
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
    #[inline(never)]
    pub fn create(
        to: &'a Destination<'a>,
        source: &Stat,
        kind: Kind,
        process: Option<ProcessControl>,
        name: &'a mut Name,
    ) -> Outcome<Temporary<'a>> {
        let replaced = to.stat();
        let mode = match replaced {
            None => permissions(source),
            Some(existing) if kind == Kind::NamedWithMode => permissions(existing),
            // No other user may open the file before it has its owner.
            Some(_) => Mode::RUSR | Mode::WUSR,
        };
        let made = Temporary::create_with(to, mode, kind, process, name);
        let temporary = made.map_err(|e| super::dest(Action::CreateBeside, e))?;
        if let Some(existing) = replaced {
            temporary.copy_metadata_from(existing, kind)?;
        }
        Ok(temporary)
    }

    /// Creates a temporary file with the permissions `mode`, as modified by the umask. Writes its
    /// name, if it has one, to `name`.
    #[inline(never)]
    fn create_with(
        to: &'a Destination<'a>,
        mode: Mode,
        kind: Kind,
        process: Option<ProcessControl>,
        name: &'a mut Name,
    ) -> Result<Temporary<'a>> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        if kind == Kind::Unnamed {
            let file = syscall::openat(to.dir(), c".", flags | OFlags::TMPFILE, mode)?;
            return Ok(Temporary { to, file, name: None, replaced: None });
        }
        let _held = signals::hold();
        let mut made = None;
        to.take_name(name, &mut |name| {
            let flags = flags | OFlags::CREATE | OFlags::EXCL;
            let file = syscall::openat(to.dir(), name, flags, mode)?;
            // Another copy may remove the file as a leftover before this one holds the lock.
            // The name then leads to no file, or to that copy's. (Some file systems in user space
            // report no link for any file.)
            if syscall::flock(file.as_fd(), Flock::EXCLUSIVE) == Err(Errno::EWOULDBLOCK) {
                return Err(Errno::EEXIST);
            }
            let created = syscall::fstat(file.as_fd())?;
            match syscall::fstatat(to.dir(), name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) if !found.is_same_file(&created) => return Err(Errno::EEXIST),
                Err(Errno::ENOENT) => return Err(Errno::EEXIST),
                _ => made = Some(file),
            }
            Ok(())
        })?;
        let file = made.ok_or(Errno::EEXIST)?;
        let name: &Name = name;
        if let Some(process) = process {
            // SAFETY: the temporary file borrows the directory and the name, and calls `forget`
            // when it is published or dropped. `_held` blocks all signals.
            unsafe { signals::remove_on_signal(process, to.dir(), name.as_c_str()) };
        }
        Ok(Temporary { to, file, name: Some(name), replaced: None })
    }

    /// Returns the file's descriptor, which is open for reading and writing.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Copies the owner, the access list and the permissions of the file that is replaced.
    fn copy_metadata_from(&self, existing: &Stat, kind: Kind) -> Outcome<()> {
        let file = self.as_fd();
        let mut mode = permissions(existing);
        let open = |access| match self.to.open(access | OFlags::NONBLOCK) {
            // Another process has a lease on the file, which it gives up for a caller that waits.
            Err(Errno::EAGAIN) => self.to.open(access),
            result => result,
        };
        let mut keep = || {
            let is_given = chown_like(file, existing)?;
            if is_given && kind == Kind::NamedWithMode {
                // With its final permissions, the file could be opened by the group of this process
                // before it had its owner.
                return Err(Errno::EPERM);
            }
            match open(OFlags::RDONLY).or_else(|_| open(OFlags::WRONLY)) {
                Ok(old) => return share_access(old.as_fd(), file),
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
    /// action [`Action::Name`] and the cause `EEXIST`.
    ///
    /// With `is_synced`, the file is synced again where its first name may reach the disk before
    /// the caller syncs the directory: btrfs before Linux 6.18 logs nothing for a file without a
    /// name, and vfat stores the length and the first block in the directory, but writes them with
    /// the file. The caller then syncs the directory, and the file once more.
    pub fn publish(&mut self, replace: bool, is_synced: bool) -> Outcome<()> {
        let named = |e| super::dest(Action::Name, e);
        let (dir, dest) = (self.to.dir(), self.to.name());
        if let Some(name) = self.name {
            let name = name.as_c_str();
            let _held = signals::hold();
            if replace {
                rename(dir, name, dest).map_err(named)?;
            } else {
                match syscall::renameat2(dir, name, dir, dest, RenameFlags::NOREPLACE) {
                    // A file system without RENAME_NOREPLACE: linkat(2) never replaces a file. The
                    // temporary name is removed on drop.
                    Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL) => {
                        let linked = syscall::linkat(dir, name, dir, dest, AtFlags::empty());
                        linked.map_err(named)?;
                        return self.sync_inode(is_synced);
                    }
                    result => result.map_err(named)?,
                }
            }
            // The temporary name is free now, and another copy may use it. It must not be removed
            // on drop or by the signal handler.
            signals::forget(name);
            self.name = None;
            return self.sync_inode(is_synced);
        }
        if self.to.stat().is_none() {
            match self.link(dest) {
                // Another process has created the file meanwhile. It is replaced below.
                Err(Errno::EEXIST) if replace => {}
                result => {
                    result.map_err(named)?;
                    return self.sync_inode(is_synced);
                }
            }
        }
        // linkat(2) cannot replace a file, but renameat(2) can, so the file needs a temporary name
        // for a moment. The lock keeps other copies from removing the name as a leftover.
        let _ = syscall::flock(self.as_fd(), Flock::EXCLUSIVE);
        let mut name = Name::new();
        let held = signals::hold();
        self.to.take_name(&mut name, &mut |name| self.link(name)).map_err(named)?;
        if is_synced {
            // The descriptor keeps the old file's blocks until the directory is on the disk. ext4
            // without a journal, mounted with `discard`, discards them with the last reference.
            self.replaced = self.to.open(OFlags::PATH).ok();
        }
        self.sync_inode(is_synced)
            .and_then(|()| rename(dir, name.as_c_str(), dest).map_err(named))
            .inspect_err(|_| self.to.unlink(&name))?;
        drop(held);
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
            // Before Linux 6.10, AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH. The link in /proc does
            // not.
            Err(Errno::ENOENT) => {
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
            // Between the two calls, a signal's handler would remove another copy's file.
            let _held = signals::hold();
            self.to.unlink(name);
            signals::forget(name.as_c_str());
        }
    }
}

/// Renames a file in a directory, and replaces an existing file.
fn rename(dir: BorrowedFd<'_>, from: &CStr, to: &CStr) -> Result<()> {
    match syscall::renameat2(dir, from, dir, to, RenameFlags::empty()) {
        Err(Errno::ENOSYS | Errno::EPERM) => syscall::renameat(dir, from, dir, to),
        result => result,
    }
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
        rename(self.dir(), name.as_c_str(), self.name()).inspect_err(|_| self.unlink(&name))
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
                // The name is free now. It is tried again, unless another copy takes it first.
                Err(Errno::EEXIST) if self.remove_leftover(name).is_ok() => {}
                // Another copy to this destination is in progress, and uses the name.
                Err(Errno::EEXIST) => number = number.wrapping_add(1),
                // On msdos, names have eight characters and three, and do not begin with a dot.
                Err(Errno::EINVAL | Errno::ENAMETOOLONG) if !is_short => is_short = true,
                result => return result,
            }
        }
        Err(Errno::EEXIST)
    }

    /// Removes a temporary file that no process has locked. Returns `EWOULDBLOCK` if a copy in
    /// progress holds the lock.
    #[cold]
    #[inline(never)]
    fn remove_leftover(&self, name: &Name) -> Result<()> {
        let open = |access| {
            let flags = access | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            syscall::openat(self.dir(), name.as_c_str(), flags, Mode::empty())
        };
        // On NFS, flock(2) is a lock of the server, which needs a descriptor open for writing.
        let file = open(OFlags::RDWR).or_else(|_| open(OFlags::RDONLY))?;
        syscall::flock(file.as_fd(), Flock::EXCLUSIVE)?;
        // With the lock held, no copy uses the file. If the name still leads to it, no copy has
        // taken the name meanwhile.
        let stat = syscall::fstatat(self.dir(), name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        let locked = syscall::fstat(file.as_fd())?;
        if stat.file_type() != FileType::Regular || !stat.is_same_file(&locked) {
            return Err(Errno::EEXIST);
        }
        syscall::unlinkat(self.dir(), name.as_c_str(), AtFlags::empty())
    }

    /// Removes a temporary name, as best effort.
    #[inline(never)]
    fn unlink(&self, name: &Name) {
        let _ = syscall::unlinkat(self.dir(), name.as_c_str(), AtFlags::empty());
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
