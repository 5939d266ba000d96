//! Finds the destination: the directory, the name in it, and the file that has the name now.

use core::ffi::CStr;

use super::error::{Action, Cause, Path};
use super::text::{Text, split};
use super::{Failure, Outcome};
use crate::fd::{AsFd, BorrowedFd, CWD, OwnedFd};
use crate::syscall::{self, Access, AtFlags, Errno, FileType, Mode, OFlags, Result, Stat};
use linux_raw_sys::general::{NAME_MAX, PATH_MAX};

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
}

impl<'a> Destination<'a> {
    /// Creates a destination in the working directory that has not been looked up.
    pub fn new(name: &'a CStr) -> Destination<'a> {
        Destination::within(CWD, name)
    }

    /// Creates a destination in a directory that has not been looked up, and is taken for new.
    pub fn within(base: BorrowedFd<'a>, name: &'a CStr) -> Destination<'a> {
        Destination { base, dir: None, name, stat: None }
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
        self.name = self.enter(path.base).map_err(failed)?;
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
        // Only a regular file is replaced. Other files are opened through the link, because only
        // the kernel can follow some links, such as /dev/stdout if it is a pipe.
        if is_link && self.file_type() == Some(FileType::Regular) {
            self.follow(scratch).map_err(failed)?;
            // The text of a link in /proc may name another file than the kernel opens.
            let found = self.examine(AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            if !self.stat.as_ref().is_some_and(|target| found.is_same_file(target)) {
                return Err(failed(Errno::ENOENT));
            }
        }
        Ok(())
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
    pub fn check_writable(&self) -> Result<()> {
        syscall::faccessat(self.dir(), self.name, Access::WRITE)
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

    /// Opens the directory of a path, relative to the current one, and returns the path's last
    /// component. The last component of a path that ends with a slash is `.`.
    #[inline(never)] // Keeps the buffer out of the callers' stack frames.
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

    /// Follows a chain of symbolic links to a name that is not a link.
    #[cold]
    #[inline(never)] // Keeps the buffers out of the caller's stack frame.
    fn follow(&mut self, scratch: &'a mut Scratch) -> Result<()> {
        scratch.set(&[self.name.to_bytes()])?;
        for _ in 0..MAX_LINKS {
            let mut target = Text::<{ PATH_MAX as usize }>::new();
            match syscall::readlinkat(self.dir(), scratch.as_c_str(), target.room()) {
                Ok(_) => {}
                // The name is not a symbolic link.
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

/// A failure to find the destination, or to accept the file that was found.
fn failed(cause: impl Into<Cause>) -> Failure {
    super::dest(Action::CopyTo, cause)
}
