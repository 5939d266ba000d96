//! The destination: where it is, and how a complete copy takes its place.

use core::ffi::CStr;

use super::error::{Action, Cause, Path, hex};
use super::{
    Failure, Outcome, ProcessControl,
    attributes::{set_mode, share_access},
    signals, sync,
};
use crate::decimal::Decimal;
use crate::fd::{AsFd, AsRawFd, BorrowedFd, CWD, FromRawFd, OwnedFd, RawFd};
use crate::syscall::{
    self, Access, AtFlags, Errno, FileType, Flock, Mode, OFlags, RenameFlags, Result, Stat,
    SyncFileRangeFlags,
};
use linux_raw_sys::general::{F_DUPFD_CLOEXEC, NAME_MAX, PATH_MAX};

/// How many symbolic links are followed before it is a circle, as in the kernel.
const MAX_LINKS: usize = 40;

/// Room for the name to which a link leads.
pub type Scratch = Text<{ NAME_MAX as usize + 1 }>;

/// A name in a directory, and the file that has it, if one does.
///
/// Everything is done from the directory's descriptor: moving the directory, or
/// putting a link in the place of one, in the middle of a copy changes nothing.
pub struct Destination<'a> {
    /// `None` is the working directory.
    dir: Option<OwnedFd>,
    name: &'a CStr,
    stat: Option<Stat>,
}

impl<'a> Destination<'a> {
    /// A name in the working directory, of which nothing is known.
    pub fn new(name: &'a CStr) -> Destination<'a> {
        Destination { dir: None, name, stat: None }
    }

    /// Finds the file that a path leads to, or the place for a new one; in a directory the file
    /// of the name `inside`, which is then told in `path`. Symbolic links are followed, so that
    /// the copy replaces the file and not a link to it.
    #[inline(never)]
    pub fn find<'p: 'a>(
        &mut self,
        path: &mut Path<'p>,
        inside: &'p CStr,
        scratch: &'a mut Scratch,
    ) -> Outcome<()> {
        self.name = self.enter(path.base).map_err(failed)?;
        let mut is_link = self.look()?;
        if self.file_type() == Some(FileType::Directory) {
            path.name = Some(inside);
            self.dir = Some(self.open(OFlags::PATH | OFlags::DIRECTORY).map_err(failed)?);
            self.name = inside;
            is_link = self.look()?;
        }
        // Only a regular file is replaced. Others are opened by the link, which may be
        // one that only the kernel can follow, such as /dev/stdout to a pipe.
        if is_link && self.file_type() == Some(FileType::Regular) {
            self.follow(scratch).map_err(failed)?;
            // In /proc a link's text may lead elsewhere than the link does.
            let found = self.examine(AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            if !self.stat.as_ref().is_some_and(|target| found.is_same_file(target)) {
                return Err(failed(Errno::ENOENT));
            }
        }
        Ok(())
    }

    /// Finds out what is known of the file to which the name leads, and whether it is a link.
    #[inline(never)]
    fn look(&mut self) -> Outcome<bool> {
        self.stat = match self.examine(AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(failed(errno)),
        };
        let is_link = self.file_type() == Some(FileType::Symlink);
        if is_link {
            self.stat = match self.examine(AtFlags::empty()) {
                Ok(stat) => Some(stat),
                Err(Errno::ENOENT) => return Err(failed(Cause::DanglingLink)),
                Err(errno) => return Err(failed(errno)),
            };
        }
        Ok(is_link)
    }

    /// What is known of the existing file.
    pub fn stat(&self) -> Option<&Stat> {
        self.stat.as_ref()
    }

    fn file_type(&self) -> Option<FileType> {
        self.stat.as_ref().map(Stat::file_type)
    }

    /// Whether the existing file could be opened for writing: who may not write to it
    /// may not replace it either.
    pub fn check_writable(&self) -> Result<()> {
        syscall::faccessat(self.dir(), self.name, Access::WRITE)
    }

    /// Opens the existing file as it is.
    #[inline(never)]
    pub fn open(&self, access: OFlags) -> Result<OwnedFd> {
        let flags = access | OFlags::CLOEXEC | OFlags::NOCTTY;
        syscall::openat(self.dir(), self.name, flags, Mode::empty())
    }

    /// Opens the existing file for writing. Fails if it has become the source, or another kind
    /// of file than the one that was examined.
    ///
    /// A file of an overlay's lower layer is copied up when it is opened, and has another inode
    /// number from then on. So the numbers of both files are compared after that.
    #[inline(never)]
    pub fn open_to_write(&self, access: OFlags, source: BorrowedFd<'_>) -> Outcome<OwnedFd> {
        let open = || {
            let file = self.open(access)?;
            let found = syscall::fstat(file.as_fd())?;
            if !self.stat.as_ref().is_some_and(|stat| found.is_same_file(stat)) {
                let now = self.examine(AtFlags::SYMLINK_NOFOLLOW)?;
                if !now.is_same_file(&found) || self.file_type() != Some(now.file_type()) {
                    return Err(Errno::ESTALE);
                }
            }
            let is_source = syscall::fstat(source)?.is_same_file(&found);
            Ok(if is_source { None } else { Some(file) })
        };
        match open() {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err(failed(Cause::SameFile)),
            Err(errno) => Err(super::dest(Action::Open, errno)),
        }
    }

    /// Opens the directory, to have its names written to the disk.
    pub fn open_names(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        syscall::openat(self.dir(), c".", flags, Mode::empty())
    }

    #[inline(never)]
    fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_ref().map_or(CWD, AsFd::as_fd)
    }

    fn examine(&self, flags: AtFlags) -> Result<Stat> {
        syscall::fstatat(self.dir(), self.name, flags)
    }

    /// Goes to the directory of a path, and tells the last component. A path that ends with a
    /// slash is a directory: its name is `.`.
    #[inline(never)] // its buffer is no burden on other paths
    fn enter<'p>(&mut self, path: &'p CStr) -> Result<&'p CStr> {
        let (dir, name) = split(path).ok_or(Errno::ENOENT)?;
        if !dir.is_empty() {
            let mut text = Text::<{ PATH_MAX as usize }>::new();
            text.set(&[dir])?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let dir = syscall::openat(self.dir(), text.as_c_str(), flags, Mode::empty())?;
            self.dir = Some(dir);
        }
        Ok(name)
    }

    /// Follows a link, and that to which it leads, to a name that is none.
    #[cold]
    #[inline(never)] // its buffers are no burden on other paths
    fn follow(&mut self, scratch: &'a mut Scratch) -> Result<()> {
        scratch.set(&[self.name.to_bytes()])?;
        for _ in 0..MAX_LINKS {
            let mut target = Text::<{ PATH_MAX as usize }>::new();
            match syscall::readlinkat(self.dir(), scratch.as_c_str(), target.room()) {
                Ok(_) => {}
                // Not a link.
                Err(Errno::EINVAL) => {
                    self.name = scratch.as_c_str();
                    return Ok(());
                }
                Err(errno) => return Err(errno),
            }
            let name = self.enter(target.as_c_str())?;
            scratch.set(&[name.to_bytes()])?;
        }
        Err(Errno::ELOOP)
    }
}

/// Nothing can be copied there, and why.
fn failed(cause: impl Into<Cause>) -> Failure {
    super::dest(Action::CopyTo, cause)
}

/// A path's directory, up to and with the last slash, and the name after it. `None`
/// is the empty path.
pub(super) fn split(path: &CStr) -> Option<(&[u8], &CStr)> {
    if path.is_empty() {
        return None;
    }
    let bytes = path.to_bytes_with_nul();
    let at = bytes.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (dir, name) = bytes.split_at_checked(at)?;
    // SAFETY: the end of a C string is one.
    let name = unsafe { CStr::from_bytes_with_nul_unchecked(name) };
    Some((dir, if name.is_empty() { c"." } else { name }))
}

/// A path's last component, which is the copy's name in a directory; of one that ends with a
/// slash, `.`.
#[inline(never)]
#[must_use]
pub fn last(path: &CStr) -> &CStr {
    split(path).map_or(path, |(_, name)| name)
}

/// A C string with room for `N` bytes, of which the last stays a NUL.
pub struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    pub fn new() -> Text<N> {
        Text([0; N])
    }

    fn as_c_str(&self) -> &CStr {
        first(&self.0)
    }

    /// Replaces the contents; `ENAMETOOLONG` if there is no room.
    fn set(&mut self, parts: &[&[u8]]) -> Result<()> {
        join(self.room(), parts).ok_or(Errno::ENAMETOOLONG)
    }

    /// All but the last NUL, to be written to.
    fn room(&mut self) -> &mut [u8] {
        self.0.split_last_mut().map_or(&mut [], |(_, room)| room)
    }
}

/// The first of several C strings; empty if there is none.
#[inline(never)]
pub fn first(strings: &[u8]) -> &CStr {
    match strings.last() {
        // SAFETY: it ends with the last byte, if not before.
        Some(0) => unsafe { CStr::from_ptr(strings.as_ptr().cast()) },
        _ => c"",
    }
}

/// Makes a C string of some parts, before a NUL that follows the room; `None` if there is too
/// little of it.
#[inline(never)]
fn join(mut room: &mut [u8], parts: &[&[u8]]) -> Option<()> {
    for part in parts {
        let (here, rest) = room.split_at_mut_checked(part.len())?;
        here.iter_mut().zip(*part).for_each(|(to, from)| *to = *from);
        room = rest;
    }
    if let Some(end) = room.first_mut() {
        *end = 0;
    }
    Some(())
}

/// Whether a temporary file has a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has none, and is gone with the process if it is not published.
    Unnamed,
    /// It has one, for file systems that know nothing else; removed on drop.
    Named,
    /// It has one, and all its permissions from the start, for file systems that ignore changes
    /// of them.
    NamedWithMode,
}

/// A file in the destination's directory that is to become the destination.
pub struct Temporary<'a> {
    to: &'a Destination<'a>,
    file: OwnedFd,
    name: Option<&'a Name>,
}

/// The permissions that a mode gives, without the set-id bits: they were given to other contents.
fn permissions(stat: &Stat) -> Mode {
    stat.mode & (Mode::RWXU | Mode::RWXG | Mode::RWXO)
}

impl<'a> Temporary<'a> {
    /// Creates a file with all that the new file has beside its contents: the permissions of the
    /// source, or the owner and the permissions of the file that it replaces.
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
            // Nobody else may read it before it has its owner.
            Some(_) => Mode::RUSR | Mode::WUSR,
        };
        let made = Temporary::create_with(to, mode, kind, process, name);
        let temporary = made.map_err(|e| super::dest(Action::CreateBeside, e))?;
        if let Some(existing) = replaced {
            temporary.copy_metadata_from(existing, kind)?;
        }
        Ok(temporary)
    }

    /// Creates a file with these permissions less the umask. If it has a name, that is put into
    /// `name`.
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
            return Ok(Temporary { to, file, name: None });
        }
        let _held = signals::hold();
        let mut made = None;
        to.take_name(name, &mut |name| {
            let flags = flags | OFlags::CREATE | OFlags::EXCL;
            let file = syscall::openat(to.dir(), name, flags, mode)?;
            // Whoever took it for a leftover in this moment has removed it.
            match syscall::flock(file.as_fd(), Flock::EXCLUSIVE) {
                Err(Errno::EWOULDBLOCK) => return Err(Errno::EEXIST),
                _ if syscall::fstat(file.as_fd())?.nlink == 0 => return Err(Errno::EEXIST),
                _ => made = Some(file),
            }
            Ok(())
        })?;
        let file = made.ok_or(Errno::EEXIST)?;
        let name: &Name = name;
        if let Some(process) = process {
            // SAFETY: the temporary lends them both, and forgets the name when it is dropped.
            unsafe { signals::remove_on_signal(process, to.dir(), name.as_c_str()) };
        }
        Ok(Temporary { to, file, name: Some(name) })
    }

    /// The file, to be written to.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Gives it the owner and the permissions of the file that it is to replace.
    fn copy_metadata_from(&self, existing: &Stat, kind: Kind) -> Outcome<()> {
        let file = self.as_fd();
        let mut mode = permissions(existing);
        let open = |access| self.to.open(access | OFlags::NONBLOCK);
        let mut keep = || {
            let is_given = chown_like(file, existing)?;
            if is_given && kind == Kind::NamedWithMode {
                // The group of this process could have opened it before.
                return Err(Errno::EPERM);
            }
            match open(OFlags::RDONLY).or_else(|_| open(OFlags::WRONLY)) {
                Ok(old) => return share_access(old.as_fd(), file),
                // It was removed meanwhile. Its access list, if it had one, limited the group.
                Err(Errno::ENOENT) => mode -= Mode::RWXG,
                Err(errno) => return Err(errno),
            }
            Ok(())
        };
        keep().map_err(|e| super::dest(Action::KeepOwner, e))?;
        set_mode(file, mode)
    }

    /// Closes a duplicate of the descriptor. On a network or in user space, a write may fail only
    /// then, and what the copy would replace must still be there.
    pub fn check_written(&self) -> Result<()> {
        // SAFETY: it only makes a descriptor.
        let fd = unsafe { syscall::fcntl(self.as_fd(), F_DUPFD_CLOEXEC, 0) }?;
        // SAFETY: it is new.
        syscall::close(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    }

    /// Puts it in the destination's place. At no moment is there no file, or a part of one, by
    /// the destination's name. A failure of [`Action::Name`] with `EEXIST`: there is a file by
    /// now, which is not to be replaced.
    ///
    /// With `is_synced`, each change of the name is followed by an fsync of the file, though that
    /// has its contents on the disk: btrfs before 6.18 logs nothing for a file without a name, and
    /// ext2 and ext4 without a journal write the number of links with the file alone.
    pub fn publish(&mut self, replace: bool, is_synced: bool) -> Outcome<()> {
        let named = |e| super::dest(Action::Name, e);
        let (dir, dest) = (self.to.dir(), self.to.name);
        if let Some(name) = self.name {
            let name = name.as_c_str();
            let _held = signals::hold();
            if replace {
                rename(dir, name, dest).map_err(named)?;
            } else {
                match syscall::renameat2(dir, name, dir, dest, RenameFlags::NOREPLACE) {
                    // A link never replaces; the other name is removed on drop.
                    Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL) => {
                        let linked = syscall::linkat(dir, name, dir, dest, AtFlags::empty());
                        linked.map_err(named)?;
                        return sync(self.as_fd(), is_synced);
                    }
                    result => result.map_err(named)?,
                }
            }
            // Another copy may have taken the name already: it is not ours to remove.
            signals::forget(name);
            self.name = None;
            return sync(self.as_fd(), is_synced);
        }
        if self.to.stat.is_none() {
            match self.link(dest) {
                // Somebody was faster: then theirs is replaced.
                Err(Errno::EEXIST) if replace => {}
                result => {
                    result.map_err(named)?;
                    return sync(self.as_fd(), is_synced);
                }
            }
        }
        // A link cannot replace a file, a name can. Others must know that it is in use.
        let _ = syscall::flock(self.as_fd(), Flock::EXCLUSIVE);
        let mut name = Name::new();
        let held = signals::hold();
        self.to.take_name(&mut name, &mut |name| self.link(name)).map_err(named)?;
        sync(self.as_fd(), is_synced)
            .and_then(|()| rename(dir, name.as_c_str(), dest).map_err(named))
            .inspect_err(|_| self.to.unlink(&name))?;
        drop(held);
        if !is_synced {
            // What it replaced was on the disk for long, so its data shall not wait for half a
            // minute: ext4 sees to that by itself for small files alone. (That it has arrived
            // nobody knows who did not ask for it.) Not before the name changes: that frees the
            // old file's blocks, and where the disk is told so, it would first take all the new
            // ones.
            let _ = syscall::sync_file_range(self.as_fd(), 0, 0, SyncFileRangeFlags::WRITE);
        }
        sync(self.as_fd(), is_synced)
    }

    /// Gives a file without a name its first one.
    fn link(&self, name: &CStr) -> Result<()> {
        let (file, dir) = (self.as_fd(), self.to.dir());
        match syscall::linkat(file, c"", dir, name, AtFlags::EMPTY_PATH) {
            // Before Linux 6.10 only for the mighty; for others there is /proc.
            Err(Errno::ENOENT) => {
                let path = proc_path(file.as_raw_fd())?;
                syscall::linkat(CWD, path.as_c_str(), dir, name, AtFlags::SYMLINK_FOLLOW)
            }
            result => result,
        }
    }
}

impl Drop for Temporary<'_> {
    /// Removes the name, if it still has one.
    fn drop(&mut self) {
        if let Some(name) = self.name {
            self.to.unlink(name);
            signals::forget(name.as_c_str());
        }
    }
}

/// Gives a file to the owner and the group of another. Returns whether it had others before.
#[inline(never)]
pub fn chown_like(file: BorrowedFd<'_>, other: &Stat) -> Result<bool> {
    let own = syscall::fstat(file)?;
    if (own.uid, own.gid) == (other.uid, other.gid) {
        return Ok(false);
    }
    syscall::fchown(file, Some(other.uid), Some(other.gid))?;
    Ok(true)
}

fn rename(dir: BorrowedFd<'_>, from: &CStr, to: &CStr) -> Result<()> {
    match syscall::renameat2(dir, from, dir, to, RenameFlags::empty()) {
        Err(Errno::ENOSYS | Errno::EPERM) => syscall::renameat(dir, from, dir, to),
        result => result,
    }
}

impl Destination<'_> {
    /// Takes a temporary name by `take`, which fails with `EEXIST` where a file has it. A copy
    /// that was killed may have left one: it is removed, as nobody has a lock on it.
    #[inline(never)]
    fn take_name(&self, name: &mut Name, take: &mut dyn FnMut(&CStr) -> Result<()>) -> Result<()> {
        let mut number = hash(self.name.to_bytes());
        let mut is_short = false;
        for _ in 0..NAMES {
            let digits = digits(number);
            if is_short {
                name.set(&[&digits[8..], b".mcp"])?;
            } else {
                name.set(&[b".mapcp-", &digits])?;
            }
            match take(name.as_c_str()) {
                // Another may come first to the name that is free now.
                Err(Errno::EEXIST) if self.remove_leftover(name).is_ok() => {}
                // Another copy to the same destination goes on at the same time.
                Err(Errno::EEXIST) => number = number.wrapping_add(1),
                // Names of msdos begin with no dot, and have eight characters and three.
                Err(Errno::EINVAL | Errno::ENAMETOOLONG) if !is_short => is_short = true,
                result => return result,
            }
        }
        Err(Errno::EEXIST)
    }

    /// Removes a file of which no living copy holds the lock.
    #[cold]
    #[inline(never)]
    fn remove_leftover(&self, name: &Name) -> Result<()> {
        let open = |access| {
            let flags = access | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            syscall::openat(self.dir(), name.as_c_str(), flags, Mode::empty())
        };
        // On NFS only who may write can have the lock.
        let file = open(OFlags::RDWR).or_else(|_| open(OFlags::RDONLY))?;
        syscall::flock(file.as_fd(), Flock::EXCLUSIVE)?;
        // With the lock it is nobody's; if it still has the name, that is nobody's either.
        let stat = syscall::fstatat(self.dir(), name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        let locked = syscall::fstat(file.as_fd())?;
        if stat.file_type() != FileType::Regular || !stat.is_same_file(&locked) {
            return Err(Errno::EEXIST);
        }
        syscall::unlinkat(self.dir(), name.as_c_str(), AtFlags::empty())
    }

    #[inline(never)]
    fn unlink(&self, name: &Name) {
        let _ = syscall::unlinkat(self.dir(), name.as_c_str(), AtFlags::empty());
    }
}

/// The name of a temporary file: `.mapcp-` and sixteen hexadecimal digits, or eight digits and
/// `.mcp`.
pub type Name = Text<24>;

/// How many names are tried. Each copy to one destination at the same time may take one.
const NAMES: u32 = 1 << 16;

/// A number for a name, by which a later copy finds what an earlier one has left (FNV-1a).
fn hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// A number in hexadecimal digits.
fn digits(mut number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for digit in digits.iter_mut().rev() {
        *digit = hex(number as u8);
        number >>= 4;
    }
    digits
}

/// Where `/proc` has a descriptor's file.
fn proc_path(fd: RawFd) -> Result<Text<32>> {
    let mut path = Text::new();
    path.set(&[b"/proc/self/fd/", Decimal::new(fd as u64).as_str().as_bytes()])?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;

    #[test]
    fn a_path_is_a_directory_and_a_name() {
        assert_eq!(split(c""), None);
        assert_eq!(split(c"a"), Some((&b""[..], c"a")));
        assert_eq!(split(c"a/b"), Some((&b"a/"[..], c"b")));
        assert_eq!(split(c"/b"), Some((&b"/"[..], c"b")));
        assert_eq!(split(c"a/"), Some((&b"a/"[..], c".")));
        assert_eq!(split(c"/"), Some((&b"/"[..], c".")));
        assert_eq!(split(c"a//b"), Some((&b"a//"[..], c"b")));
    }

    #[test]
    fn a_text_has_room_for_all_but_the_nul() {
        let mut text = Text::<4>::new();
        assert_eq!(text.set(&[b"ab", b"c"]), Ok(()));
        assert_eq!(text.as_c_str(), c"abc");
        assert_eq!(text.set(&[b"abc", b"d"]), Err(Errno::ENAMETOOLONG));
        assert_eq!(text.set(&[b"x"]), Ok(()));
        assert_eq!(text.as_c_str(), c"x");
    }

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
