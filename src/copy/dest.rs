//! Finds the destination: the directory, the name in it, and the file that has the name now.

use core::ffi::CStr;

use super::error::{Action, Cause, Path};
use super::text::{Text, split};
use super::{Failure, Outcome};
use crate::fd::{AsFd, BorrowedFd, CWD, FromRawFd, OwnedFd, RawFd};
use crate::syscall::{self, Access, AtFlags, Errno, FileType, Mode, OFlags, Result, Stat};
use linux_raw_sys::general::{F_DUPFD_CLOEXEC, NAME_MAX, PATH_MAX};

/// The number of symbolic links that are followed before `ELOOP`. The kernel has the same limit.
const MAX_LINKS: usize = 40;

/// A buffer for the last component of a symbolic link's target.
pub type Scratch = Text<{ NAME_MAX as usize + 1 }>;

/// A name in a directory, and the metadata of the existing file with this name, if there is one.
///
/// All system calls are relative to the directory's descriptor. Another process that renames the
/// directory during the copy, or replaces a directory of the path by a symbolic link, does not
/// redirect the copy.
pub struct Destination<'a> {
    /// The directory that paths are relative to.
    base: BorrowedFd<'a>,
    /// `None` is the directory `base`.
    dir: Option<OwnedFd>,
    name: &'a CStr,
    stat: Option<Stat>,
    /// The number of this process's descriptor, if the name leads to one.
    descriptor: Option<RawFd>,
}

impl<'a> Destination<'a> {
    /// Creates a destination in the working directory that has not been looked up.
    pub fn new(name: &'a CStr) -> Destination<'a> {
        Destination::within(CWD, name)
    }

    /// Creates a destination in a directory that has not been looked up, and is taken for new.
    pub fn within(base: BorrowedFd<'a>, name: &'a CStr) -> Destination<'a> {
        Destination { base, dir: None, name, stat: None, descriptor: None }
    }

    /// Resolves a path to an existing file, or to the directory and the name of a new one.
    ///
    /// If the path is a directory's, the destination is the name `inside` in it, and `path.name` is
    /// set to `inside`. Symbolic links are followed, so that the copy replaces a link's target
    /// instead of the link.
    #[inline(never)]
    pub fn find<'p: 'a>(
        &mut self,
        path: &mut Path<'p>,
        inside: &'p CStr,
        scratch: &'a mut Scratch,
    ) -> Outcome<()> {
        let (dir, name) = enter(CWD, path.base).map_err(failed)?;
        (self.dir, self.name) = (dir, name);
        let is_link = self.look()?;
        if self.file_type() != Some(FileType::Directory) {
            return self.resolve(is_link, scratch);
        }
        path.name = Some(inside);
        self.dir = Some(self.open(OFlags::PATH | OFlags::DIRECTORY).map_err(failed)?);
        self.name = inside;
        self.look_up(scratch)
    }

    /// Finds the existing file with the name. Follows a symbolic link to a regular file, so that
    /// the copy replaces the link's target.
    #[inline(never)]
    pub fn look_up(&mut self, scratch: &'a mut Scratch) -> Outcome<()> {
        let is_link = self.look()?;
        self.resolve(is_link, scratch)
    }

    /// Finds the existing file with the name, which may be a symbolic link.
    pub fn look_at_name(&mut self) -> Outcome<()> {
        self.stat = match self.examine(AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(failed(errno)),
        };
        Ok(())
    }

    /// Takes the destination for new, so that the copy gets no attributes of the existing file that
    /// it replaces.
    pub fn forget_existing(&mut self) {
        self.stat = None;
    }

    /// Follows the name to the file that `look` has found.
    fn resolve(&mut self, is_link: bool, scratch: &'a mut Scratch) -> Outcome<()> {
        if is_link {
            let followed = self.follow(scratch);
            // Only a regular file is replaced. Other files are opened through the link, because
            // only the kernel can follow some links, such as those to other processes' pipes.
            if self.descriptor.is_none() && self.file_type() == Some(FileType::Regular) {
                let (dir, name) = followed.map_err(failed)?;
                self.dir = dir.or_else(|| self.dir.take());
                self.name = name;
                // The text of a link in /proc may name another file than the kernel opens.
                let found = self.examine(AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
                if !self.stat.as_ref().is_some_and(|target| found.is_same_file(target)) {
                    return Err(failed(Errno::ENOENT));
                }
            }
        }
        Ok(())
    }

    /// Returns whether the name is a symbolic link that leads to a descriptor of this process, such as
    /// `/dev/stdout`.
    #[inline(never)] // Keeps the buffer out of the caller's stack frame.
    pub fn leads_to_descriptor(&self) -> bool {
        let mut scratch = Scratch::new();
        let mut target = Destination::within(self.dir(), self.name);
        self.file_type() == Some(FileType::Symlink)
            && target.follow(&mut scratch).is_err()
            && target.descriptor.is_some()
    }

    /// Returns a duplicate of the descriptor of this process to which the name leads, such as
    /// standard output for `/dev/stdout`. `None` if the name leads to no descriptor.
    ///
    /// Opening such a name would open the file again, at its start, and cannot open a socket.
    pub fn duplicate(&self) -> Option<Result<OwnedFd>> {
        let number = self.descriptor?;
        // SAFETY: the caller of the copy has named the descriptor. The call only duplicates it, and
        // returns EBADF if it has been closed meanwhile.
        let duplicate =
            unsafe { syscall::fcntl(BorrowedFd::borrow_raw(number), F_DUPFD_CLOEXEC, 0) };
        // SAFETY: the kernel has just returned the descriptor, so nothing else owns it.
        Some(duplicate.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
    }

    /// Reads the metadata of the file to which the name leads. Returns whether the name is a
    /// symbolic link.
    #[inline(never)]
    fn look(&mut self) -> Outcome<bool> {
        self.look_at_name()?;
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

    /// Returns the name in the directory.
    pub fn name(&self) -> &'a CStr {
        self.name
    }

    /// Returns the metadata of the existing file, or `None` if there is none.
    pub fn stat(&self) -> Option<&Stat> {
        self.stat.as_ref()
    }

    fn file_type(&self) -> Option<FileType> {
        self.stat.as_ref().map(Stat::file_type)
    }

    /// Fails if the caller may not write to the existing file.
    ///
    /// Replacing a file needs only permission to write to its directory. The copy does not replace
    /// a file that the caller could not overwrite.
    #[inline(never)]
    pub fn check_writable(&self) -> Result<()> {
        let checked = syscall::faccessat(self.dir(), self.name, Access::WRITE);
        checked.or_else(|errno| match self.open(OFlags::WRONLY | OFlags::NONBLOCK) {
            // The call was refused, and not the permission. A program that is running can be
            // replaced, and so can a file for which another process has a lease.
            Ok(_) | Err(Errno::ETXTBSY | Errno::EAGAIN) => Ok(()),
            Err(_) => Err(errno),
        })
    }

    /// Opens the existing file. Does not create or truncate it.
    #[inline(never)]
    pub fn open(&self, access: OFlags) -> Result<OwnedFd> {
        let flags = access | OFlags::CLOEXEC | OFlags::NOCTTY;
        syscall::openat(self.dir(), self.name, flags, Mode::empty())
    }

    /// Opens the existing file for writing. Fails if the file is the source, or is of another type
    /// than the file that was examined.
    ///
    /// overlayfs copies a file of a lower layer up when it is opened for writing, and the file has
    /// another inode number from then on. The inode numbers are therefore compared after opening.
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

    /// Opens the directory for `fsync(2)`, which writes its names to the disk.
    pub fn open_names(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        syscall::openat(self.dir(), c".", flags, Mode::empty())
    }

    /// Returns the descriptor of the directory, or `AT_FDCWD`.
    #[inline(never)]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_ref().map_or(self.base, AsFd::as_fd)
    }

    /// Reads the metadata of the file that has the name now.
    fn examine(&self, flags: AtFlags) -> Result<Stat> {
        syscall::fstatat(self.dir(), self.name, flags)
    }

    /// Follows a chain of symbolic links to a name that is not a link, and returns the name and its
    /// directory, `None` for the directory of the destination. Stops at a link to a descriptor of
    /// this process, and records its number.
    #[cold]
    #[inline(never)] // Keeps the buffers out of the caller's stack frame.
    fn follow(&mut self, scratch: &'a mut Scratch) -> Result<(Option<OwnedFd>, &'a CStr)> {
        scratch.set(&[self.name.to_bytes()])?;
        let mut dir: Option<OwnedFd> = None;
        for _ in 0..MAX_LINKS {
            let at = dir.as_ref().map_or(self.dir(), AsFd::as_fd);
            let mut target = Text::<{ PATH_MAX as usize }>::new();
            match syscall::readlinkat(at, scratch.as_c_str(), target.room()) {
                Ok(_) => {}
                // The name is not a symbolic link.
                Err(Errno::EINVAL) => return Ok((dir, scratch.as_c_str())),
                Err(errno) => return Err(errno),
            }
            if let Some(number) = own_descriptor(at, scratch.as_c_str()) {
                self.descriptor = Some(number);
                return Err(Errno::ELOOP);
            }
            let (next, name) = enter(at, target.as_c_str())?;
            scratch.set(&[name.to_bytes()])?;
            dir = next.or(dir);
        }
        Err(Errno::ELOOP)
    }
}

/// Opens the directory of a path, relative to `dir`, and returns it and the path's last component.
/// The directory is `None` if the path has no other component. The last component of a path that
/// ends with a slash is `.`.
#[inline(never)] // Keeps the buffer out of the callers' stack frames.
fn enter<'p>(at: BorrowedFd<'_>, path: &'p CStr) -> Result<(Option<OwnedFd>, &'p CStr)> {
    let (dir, name) = split(path).ok_or(Errno::ENOENT)?;
    if dir.is_empty() {
        return Ok((None, name));
    }
    let mut text = Text::<{ PATH_MAX as usize }>::new();
    text.set(&[dir])?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = syscall::openat(at, text.as_c_str(), flags, Mode::empty())?;
    Ok((Some(dir), name))
}

/// Returns the number of a descriptor of this process, if `name` in the directory `dir` is the link
/// to it in `/proc`.
#[inline(never)]
fn own_descriptor(dir: BorrowedFd<'_>, name: &CStr) -> Option<RawFd> {
    let number = number(name.to_bytes())?;
    let own = syscall::fstatat(CWD, c"/proc/self/fd", AtFlags::empty()).ok()?;
    syscall::fstat(dir).is_ok_and(|dir| dir.is_same_file(&own)).then_some(number)
}

/// Parses a descriptor's number.
fn number(digits: &[u8]) -> Option<RawFd> {
    digits.iter().try_fold(0 as RawFd, |number, &digit| {
        let value = digit.wrapping_sub(b'0');
        if value > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(RawFd::from(value))
    })
}

/// A failure to find the destination, or to accept the file that was found.
fn failed(cause: impl Into<Cause>) -> Failure {
    super::dest(Action::CopyTo, cause)
}
