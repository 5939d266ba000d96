//! The destination: where it is, and how a complete copy takes its place.

use core::ffi::CStr;

use super::error::{Cause, Path, hex};
use super::signals;
use crate::Decimal;
use crate::fd::{AsFd, AsRawFd, BorrowedFd, CWD, OwnedFd, RawFd};
use crate::syscall::{
    self, Access, AtFlags, Errno, FileType, Flock, Mode, OFlags, RenameFlags, Result, Stat,
};
use linux_raw_sys::general::{NAME_MAX, PATH_MAX};

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
    /// Finds the file that a path leads to, or the place for a new one; in a directory the file
    /// of the name `inside`, which is then told in `path`. Symbolic links are followed, so that
    /// the copy replaces the file and not a link to it.
    #[inline(never)]
    pub fn find<'p: 'a>(
        path: &mut Path<'p>,
        inside: &'p CStr,
        scratch: &'a mut Scratch,
    ) -> core::result::Result<Destination<'a>, Cause> {
        let (dir, name) = enter(CWD, path.base)?;
        let (mut found, mut target) = Destination::at(dir, name)?;
        if target.is_some_and(|target| target.file_type() == FileType::Directory) {
            path.name = Some(inside);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let dir = syscall::openat(found.dir(), found.name, flags, Mode::empty())?;
            (found, target) = Destination::at(Some(dir), inside)?;
        }
        if let (Some(link), Some(target)) = (found.stat, target)
            && link.file_type() == FileType::Symlink
        {
            // Only a regular file is replaced. Others are opened by the link, which may be
            // one that only the kernel can follow, such as /dev/stdout to a pipe.
            if target.file_type() == FileType::Regular {
                found = found.follow(scratch)?;
                // In /proc a link's text may lead elsewhere than the link does.
                if !found.look(AtFlags::SYMLINK_NOFOLLOW)?.is_same_file(&target) {
                    return Err(Errno::ENOENT.into());
                }
            }
            found.stat = Some(target);
        }
        Ok(found)
    }

    /// A name in a directory, what is known of it, and of the file to which it leads.
    fn at(
        dir: Option<OwnedFd>,
        name: &'a CStr,
    ) -> core::result::Result<(Destination<'a>, Option<Stat>), Cause> {
        let mut found = Destination { dir, name, stat: None };
        found.stat = match found.look(AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::ENOENT) => return Ok((found, None)),
            Err(errno) => return Err(errno.into()),
        };
        if found.stat.is_some_and(|stat| stat.file_type() != FileType::Symlink) {
            let target = found.stat;
            return Ok((found, target));
        }
        let target = found.look(AtFlags::empty()).map_err(|errno| match errno {
            Errno::ENOENT => Cause::DanglingLink,
            errno => errno.into(),
        })?;
        Ok((found, Some(target)))
    }

    /// What is known of the existing file.
    pub fn stat(&self) -> Option<&Stat> {
        self.stat.as_ref()
    }

    /// Whether the existing file could be opened for writing: who may not write to it
    /// may not replace it either.
    pub fn check_writable(&self) -> Result<()> {
        syscall::faccessat(self.dir(), self.name, Access::WRITE)
    }

    /// Opens the existing file, to be written to as it is.
    pub fn open(&self, access: OFlags) -> Result<OwnedFd> {
        let flags = access | OFlags::CLOEXEC | OFlags::NOCTTY;
        syscall::openat(self.dir(), self.name, flags, Mode::empty())
    }

    /// Has the names of the directory written to the disk.
    pub fn sync_names(&self) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        syscall::fsync(syscall::openat(self.dir(), c".", flags, Mode::empty())?.as_fd())
    }

    fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_ref().map_or(CWD, AsFd::as_fd)
    }

    #[inline(never)]
    fn look(&self, flags: AtFlags) -> Result<Stat> {
        syscall::statx(self.dir(), self.name, flags)
    }

    /// Follows a link, and that to which it leads, to a name that is none.
    #[cold]
    #[inline(never)] // its buffers are no burden on other paths
    fn follow(self, scratch: &'a mut Scratch) -> Result<Destination<'a>> {
        let Destination { mut dir, name, stat } = self;
        scratch.set(name.to_bytes())?;
        for _ in 0..MAX_LINKS {
            let here = dir.as_ref().map_or(CWD, AsFd::as_fd);
            let mut target = Text::<{ PATH_MAX as usize }>::new();
            match syscall::readlinkat(here, scratch.as_c_str(), target.room()) {
                Ok(_) => {}
                // Not a link.
                Err(Errno::EINVAL) => {
                    return Ok(Destination { dir, name: scratch.as_c_str(), stat });
                }
                Err(errno) => return Err(errno),
            }
            let (next, name) = enter(here, target.as_c_str())?;
            scratch.set(name.to_bytes())?;
            dir = next.or(dir);
        }
        Err(Errno::ELOOP)
    }
}

/// Opens the directory of a path from another (`None`: it is that one), and tells the
/// last component. A path that ends with a slash is a directory: its name is `.`.
fn enter<'a>(from: BorrowedFd<'_>, path: &'a CStr) -> Result<(Option<OwnedFd>, &'a CStr)> {
    let (dir, name) = split(path).ok_or(Errno::ENOENT)?;
    if dir.is_empty() {
        return Ok((None, name));
    }
    let mut text = Text::<{ PATH_MAX as usize }>::new();
    text.set(dir)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok((Some(syscall::openat(from, text.as_c_str(), flags, Mode::empty())?), name))
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
pub fn last(path: &CStr) -> &CStr {
    split(path).map_or(path, |(_, name)| name)
}

/// A string with room for `N` bytes, the last of which is a NUL.
pub struct Text<const N: usize> {
    bytes: [u8; N],
    used: usize,
}

impl<const N: usize> Text<N> {
    pub fn new() -> Text<N> {
        Text { bytes: [0; N], used: 0 }
    }

    #[inline(never)]
    fn as_c_str(&self) -> &CStr {
        // SAFETY: the last byte is never written to, and stays a NUL.
        unsafe { CStr::from_ptr(self.bytes.as_ptr().cast()) }
    }

    /// Replaces the contents; `ENAMETOOLONG` if there is no room.
    #[inline(never)]
    fn set(&mut self, text: &[u8]) -> Result<()> {
        *self = Text::new();
        self.push(text).ok_or(Errno::ENAMETOOLONG)
    }

    /// Adds to the contents; `None` if there is no room.
    fn push(&mut self, text: &[u8]) -> Option<()> {
        let range = self.used..self.used.checked_add(text.len())?;
        self.used = range.end;
        self.room().get_mut(range)?.copy_from_slice(text);
        Some(())
    }

    /// All but the NUL, to be written to.
    fn room(&mut self) -> &mut [u8] {
        self.bytes.split_last_mut().map_or(&mut [], |(_, room)| room)
    }
}

/// Whether a temporary file has a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has none, and is gone with the process if it is not published.
    Unnamed,
    /// It has one, for file systems that know nothing else; removed on drop.
    Named,
}

/// A file in the destination's directory that is to become the destination.
pub struct Temporary<'a> {
    to: &'a Destination<'a>,
    file: OwnedFd,
    name: Option<&'a Name>,
}

/// How a copy took its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is the destination.
    Done,
    /// There was a file by now, which was not to be replaced.
    Exists,
}

impl<'a> Temporary<'a> {
    /// Makes one, with the permissions of the source, or nobody's to read if it is to replace a
    /// file. If it has a name, that is put into `name`.
    #[inline(never)]
    pub fn create(
        to: &'a Destination<'a>,
        source: &Stat,
        kind: Kind,
        name: &'a mut Name,
    ) -> Result<Temporary<'a>> {
        // A file that replaces another is nobody's to read before it has its owner.
        let mode = match to.stat() {
            Some(_) => Mode::RUSR | Mode::WUSR,
            None => source.mode & (Mode::RWXU | Mode::RWXG | Mode::RWXO),
        };
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        if kind == Kind::Unnamed {
            let file = syscall::openat(to.dir(), c".", flags | OFlags::TMPFILE, mode)?;
            return Ok(Temporary { to, file, name: None });
        }
        let held = signals::hold();
        let file = to.take_name(name, |name| {
            let file =
                syscall::openat(to.dir(), name, flags | OFlags::CREATE | OFlags::EXCL, mode)?;
            // Whoever took it for a leftover in this moment has removed it.
            match syscall::flock(file.as_fd(), Flock::EXCLUSIVE) {
                Err(Errno::EWOULDBLOCK) => Err(Errno::EEXIST),
                _ if syscall::fstat(file.as_fd())?.nlink == 0 => Err(Errno::EEXIST),
                _ => Ok(file),
            }
        })?;
        let name: &Name = name;
        // SAFETY: the temporary lends them both, and forgets the name when it is dropped.
        unsafe { signals::remove_if_ended(to.dir(), name.as_c_str()) };
        drop(held);
        Ok(Temporary { to, file, name: Some(name) })
    }

    /// The file, to be written to.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Gives it the owner and the permissions of the file that it is to replace.
    pub fn resemble(&self, existing: &Stat) -> Result<()> {
        let own = syscall::fstat(self.as_fd())?;
        if (own.uid, own.gid) != (existing.uid, existing.gid) {
            syscall::fchown(self.as_fd(), Some(existing.uid), Some(existing.gid))?;
        }
        // Not the set-id bits: they were given to other contents.
        let bits = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        syscall::fchmod(self.as_fd(), existing.mode & bits)
    }

    /// Puts it in the destination's place. At no moment is there no file, or a part of one, by
    /// the destination's name.
    pub fn publish(&self, replace: bool) -> Result<Published> {
        let (dir, dest) = (self.to.dir(), self.to.name);
        if let Some(name) = self.name {
            // File systems that need the name may be on a network, where a write fails
            // only now; what it would replace is not lost for that.
            syscall::fdatasync(self.as_fd())?;
            if replace {
                rename(dir, name.as_c_str(), dest)?;
                return Ok(Published::Done);
            }
            let flags = RenameFlags::NOREPLACE;
            let renamed = match syscall::renameat2(dir, name.as_c_str(), dir, dest, flags) {
                // A link never replaces; the other name is removed on drop.
                Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL) => {
                    syscall::linkat(dir, name.as_c_str(), dir, dest, AtFlags::empty())
                }
                result => result,
            };
            return unless_exists(renamed);
        }
        if self.to.stat.is_none() {
            match unless_exists(self.link(dest))? {
                // Somebody was faster: then theirs is replaced.
                Published::Exists if replace => {}
                published => return Ok(published),
            }
        }
        // A link cannot replace a file, a name can. Others must know that it is in use.
        let _ = syscall::flock(self.as_fd(), Flock::EXCLUSIVE);
        let mut name = Name::new();
        let _held = signals::hold();
        self.to.take_name(&mut name, |name| self.link(name))?;
        rename(dir, name.as_c_str(), dest).inspect_err(|_| self.to.unlink(&name))?;
        Ok(Published::Done)
    }

    /// Gives a file without a name its first one.
    fn link(&self, name: &CStr) -> Result<()> {
        let (file, dir) = (self.as_fd(), self.to.dir());
        match syscall::linkat(file, c"", dir, name, AtFlags::EMPTY_PATH) {
            // Before Linux 6.10 only for the mighty; for others there is /proc.
            Err(Errno::ENOENT) => {
                let path = proc_path(file.as_raw_fd());
                syscall::linkat(CWD, path.as_c_str(), dir, name, AtFlags::SYMLINK_FOLLOW)
            }
            result => result,
        }
    }
}

impl Drop for Temporary<'_> {
    /// Removes the name. After `publish` it is nobody's, unless the file has two.
    fn drop(&mut self) {
        if let Some(name) = self.name {
            self.to.unlink(name);
            signals::forget(name.as_c_str());
        }
    }
}

fn unless_exists(result: Result<()>) -> Result<Published> {
    match result {
        Ok(()) => Ok(Published::Done),
        Err(Errno::EEXIST) => Ok(Published::Exists),
        Err(errno) => Err(errno),
    }
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
    fn take_name<T>(&self, name: &mut Name, take: impl Fn(&CStr) -> Result<T>) -> Result<T> {
        let mut number = hash(self.name.to_bytes());
        for _ in 0..NAMES {
            *name = temporary_name(number);
            for _ in 0..2 {
                match take(name.as_c_str()) {
                    Err(Errno::EEXIST) if self.remove_leftover(name).is_ok() => {}
                    Err(Errno::EEXIST) => break,
                    result => return result,
                }
            }
            // Another copy to the same destination goes on at the same time.
            number = number.wrapping_add(1);
        }
        Err(Errno::EEXIST)
    }

    /// Removes a file of which no living copy holds the lock.
    #[cold]
    #[inline(never)]
    fn remove_leftover(&self, name: &Name) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = syscall::openat(self.dir(), name.as_c_str(), flags, Mode::empty())?;
        syscall::flock(file.as_fd(), Flock::EXCLUSIVE)?;
        // With the lock it is nobody's; if it still has the name, that is nobody's either.
        let stat = syscall::statx(self.dir(), name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
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

/// The name of a temporary file: `.mapcp-` and sixteen hexadecimal digits.
pub type Name = Text<24>;

/// So many copies to one destination can take their place in one moment.
const NAMES: usize = 16;

/// A number for a name, by which a later copy finds what an earlier one has left (FNV-1a).
fn hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn temporary_name(number: u64) -> Name {
    let mut name = Text::new();
    name.push(b".mapcp-");
    for byte in number.to_be_bytes() {
        name.push(&hex(byte));
    }
    name
}

/// Where `/proc` has a descriptor's file.
fn proc_path(fd: RawFd) -> Text<32> {
    let mut path = Text::new();
    path.push(b"/proc/self/fd/");
    path.push(Decimal::new(fd as u64).as_str().as_bytes());
    path
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
        assert_eq!(text.set(b"abc"), Ok(()));
        assert_eq!(text.as_c_str(), c"abc");
        assert_eq!(text.set(b"abcd"), Err(Errno::ENAMETOOLONG));
        assert_eq!(text.set(b"x"), Ok(()));
        assert_eq!(text.as_c_str(), c"x");
    }

    proptest! {
        #[test]
        fn numbers_in_names(fd in 0i32.., number: u64) {
            let path = proc_path(fd);
            prop_assert_eq!(path.as_c_str().to_str(), Ok(&*format!("/proc/self/fd/{fd}")));
            let name = temporary_name(number);
            prop_assert_eq!(name.as_c_str().to_str(), Ok(&*format!(".mapcp-{number:016x}")));
        }
    }
}
