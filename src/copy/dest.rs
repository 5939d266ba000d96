//! The destination: where it is, and how a complete copy takes its place.

use core::ffi::CStr;

use super::error::{Cause, hex};
use crate::Decimal;
use crate::fd::{AsFd, AsRawFd, BorrowedFd, CWD, OwnedFd, RawFd};
use crate::syscall::{
    self, Access, AtFlags, Errno, FileType, GetrandomFlags, Mode, OFlags, RenameFlags, Result, Stat,
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
    /// Finds the file that a path leads to, or the place for a new one. Symbolic links
    /// are followed, so that the copy replaces the file and not a link to it.
    #[inline(never)]
    pub fn find(
        path: &'a CStr,
        scratch: &'a mut Scratch,
    ) -> core::result::Result<Destination<'a>, Cause> {
        let (dir, name) = enter(CWD, path)?;
        let mut found = Destination { dir, name, stat: None };
        found.stat = match found.look(AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(errno.into()),
        };
        if found.stat.is_none_or(|stat| stat.file_type() != FileType::Symlink) {
            return Ok(found);
        }

        let target = found.look(AtFlags::empty()).map_err(|errno| match errno {
            Errno::ENOENT => Cause::DanglingLink,
            errno => errno.into(),
        })?;
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
        Ok(found)
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

    /// Opens what is no regular file, to be written to.
    pub fn open_special(&self) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        syscall::openat(self.dir(), self.name, flags, Mode::empty())
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
fn split(path: &CStr) -> Option<(&[u8], &CStr)> {
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
    name: Option<Name>,
}

impl<'a> Temporary<'a> {
    /// Makes one, with the permissions and the owner of the file that it is to
    /// replace, or with the source's permissions.
    #[inline(never)]
    pub fn create(to: &'a Destination<'a>, source: &Stat, kind: Kind) -> Result<Temporary<'a>> {
        // A file that replaces another is nobody's to read before it has its owner.
        let mode = match to.stat() {
            Some(_) => Mode::RUSR | Mode::WUSR,
            None => source.mode & (Mode::RWXU | Mode::RWXG | Mode::RWXO),
        };
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let temporary = match kind {
            Kind::Unnamed => {
                let file = syscall::openat(to.dir(), c".", flags | OFlags::TMPFILE, mode)?;
                Temporary { to, file, name: None }
            }
            Kind::Named => {
                let flags = flags | OFlags::CREATE | OFlags::EXCL;
                let name = random_name()?;
                let file = syscall::openat(to.dir(), name.as_c_str(), flags, mode)?;
                Temporary { to, file, name: Some(name) }
            }
        };
        if let Some(existing) = to.stat() {
            temporary.resemble(existing)?;
        }
        Ok(temporary)
    }

    /// The file, to be written to.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Puts it in the destination's place. At no moment is there no file, or a part
    /// of one, by the destination's name.
    pub fn publish(&self) -> Result<()> {
        if let Some(name) = &self.name {
            // File systems that need the name may be on a network, where a write fails
            // only now; what it would replace is not lost for that.
            syscall::fdatasync(self.as_fd())?;
            return self.rename(name);
        }
        if self.to.stat.is_none() {
            match self.link(self.to.name) {
                // Somebody was faster: then theirs is replaced.
                Err(Errno::EEXIST) => {}
                result => return result,
            }
        }
        // A link cannot replace a file, a name can.
        let name = random_name()?;
        self.link(name.as_c_str())?;
        self.rename(&name).inspect_err(|_| self.unlink(&name))
    }

    fn resemble(&self, existing: &Stat) -> Result<()> {
        let own = syscall::fstat(self.as_fd())?;
        if (own.uid, own.gid) != (existing.uid, existing.gid) {
            syscall::fchown(self.as_fd(), Some(existing.uid), Some(existing.gid))?;
        }
        // Not the set-id bits: they were given to other contents.
        let bits = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        syscall::fchmod(self.as_fd(), existing.mode & bits)
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

    fn rename(&self, from: &Name) -> Result<()> {
        let (dir, name) = (self.to.dir(), self.to.name);
        syscall::renameat2(dir, from.as_c_str(), dir, name, RenameFlags::empty())
    }

    #[inline(never)]
    fn unlink(&self, name: &Name) {
        let _ = syscall::unlinkat(self.to.dir(), name.as_c_str(), AtFlags::empty());
    }
}

impl Drop for Temporary<'_> {
    /// Removes the name. After `publish` it is nobody's, and nobody else will have it.
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.unlink(name);
        }
    }
}

/// The name of a temporary file: `.mapcp-` and sixteen hexadecimal digits.
type Name = Text<24>;

/// A name that nobody else has or can guess: one of 2⁶⁴.
fn random_name() -> Result<Name> {
    let mut random = [0; 8];
    syscall::getrandom(&mut random, GetrandomFlags::empty())?;
    Ok(temporary_name(random))
}

fn temporary_name(random: [u8; 8]) -> Name {
    let mut name = Text::new();
    name.push(b".mapcp-");
    for byte in random {
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
    use std::{format, string::String};

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
        fn numbers_in_names(fd in 0i32.., random: [u8; 8]) {
            let path = proc_path(fd);
            prop_assert_eq!(path.as_c_str().to_str(), Ok(&*format!("/proc/self/fd/{fd}")));
            let digits: String = random.map(|byte| format!("{byte:02x}")).concat();
            let name = temporary_name(random);
            prop_assert_eq!(name.as_c_str().to_str(), Ok(&*format!(".mapcp-{digits}")));
        }
    }
}
