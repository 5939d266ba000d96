//! The copy of *The Linux Programming Interface*, exercise 49-1: map the source, map
//! the destination, copy memory. And lose nothing on the way.
//!
//! * The data goes to a file without a name in the destination's directory, which
//!   takes the name when it is complete. A copy that fails, or is killed, leaves what
//!   was there.
//! * Space is reserved before the destination is mapped, so that a full disk is an
//!   error and not a fault. Where it cannot be, the mapped source is written to it.
//! * Holes stay holes: neither they nor pages of zeros beside them are written. They are trusted
//!   only when what others have written is written back, where a server knows of them.
//! * What cannot be mapped is read, and so is a file that ends before its size.
//! * The destination has the length of what was copied, or the copy fails.
//! * The way is the one that was measured to be the fastest ([`Method`]), and large files are
//!   copied by several processes.

mod attributes;
mod data;
mod dest;
mod error;
#[cfg(test)]
mod fuzz;
mod options;
mod plan;
mod signals;
mod workers;

use core::{ffi::CStr, num::NonZeroU32};

pub use dest::last;
pub use error::{Action, Cause, Error, Path, Quoted};
pub use options::{Method, Options, ProcessControl};

use crate::fd::{AsFd, BorrowedFd};
use crate::syscall::{self, Errno, FileType, Mode, OFlags, Stat, Whence};
use dest::{Destination, Kind, Name, Temporary};

/// The result of a copy.
#[derive(Clone, Copy, Debug)]
pub struct Copied<'a> {
    /// The length of the copy in bytes.
    pub bytes: u64,
    /// How it was copied. `None` if there was a file already, which was left as it was
    /// ([`Options::no_clobber`]).
    pub method: Option<Method>,
    /// Where the copy is.
    pub path: Path<'a>,
}

/// Called periodically with the number of bytes copied so far, and the total if it is known.
pub type ProgressFn<'w> = &'w mut dyn FnMut(u64, Option<u64>);

/// Copies a file's contents.
///
/// A new destination gets the source's permission bits (not the set-id bits) less the umask. An
/// existing regular file is replaced by one that has its permissions, access list and owner. If
/// `dest` is a symbolic link, the file that it leads to is replaced. In a directory, the copy gets
/// the source's name. A device or a FIFO is written to.
///
/// By default, the copy forks no processes and installs no signal handlers, and any number of
/// threads can copy at the same time. If the process is killed while the copy has a temporary
/// name (on a file system without `O_TMPFILE`), the name is left until the next copy to `dest`
/// removes it. [`Options::process`] permits handlers that remove it, and worker processes.
/// [`Method::Map`] installs the handler of [`map::guard`](crate::map::guard).
///
/// # Errors
///
/// An [`Error`] says what was tried, on which path, and why it failed. An existing destination is
/// then as it was, unless it was written to in place. With [`Options::sync`], the new file may
/// have its name already, because its name can be written to the disk only after that.
#[inline(never)]
pub fn copy<'a>(
    options: &Options,
    source: &'a CStr,
    dest: &'a CStr,
    progress: ProgressFn<'_>,
) -> Result<Copied<'a>, Error<'a>> {
    let path = Path { base: dest, name: None };
    let mut copied = Copied { bytes: 0, method: None, path };
    let Err(failure) = copy_paths(options, source, &mut copied, progress) else {
        return Ok(copied);
    };
    Err(failure.on(Path { base: source, name: None }, copied.path))
}

/// An [`Error`] before the path is put to it, in one register: the action's number from one on,
/// the side in a bit, the number of the cause.
#[derive(Clone, Copy)]
struct Failure(NonZeroU32);

const DEST: u32 = 1 << 16;

type Outcome<T> = Result<T, Failure>;

#[inline]
fn failure(side: u32, action: Action, cause: Cause) -> Failure {
    let bits = (action as u32 + 1) << 17 | side | u32::from(cause.number());
    Failure(NonZeroU32::new(bits).unwrap_or(NonZeroU32::MIN))
}

fn source(action: Action, cause: impl Into<Cause>) -> Failure {
    failure(0, action, cause.into())
}

fn dest(action: Action, cause: impl Into<Cause>) -> Failure {
    failure(DEST, action, cause.into())
}

impl Failure {
    /// Whether this was tried.
    fn is(self, action: Action) -> bool {
        self.0.get() >> 17 == action as u32 + 1
    }

    /// The kernel's error, if this was tried.
    fn errno(self, action: Action) -> Option<Errno> {
        match Cause::from_number(self.0.get() as u16) {
            Cause::Errno(errno) if self.is(action) => Some(errno),
            _ => None,
        }
    }

    /// Whether it failed for this reason.
    fn is_because(self, cause: Cause) -> bool {
        self.0.get() as u16 == cause.number()
    }

    fn on<'a>(self, source: Path<'a>, dest: Path<'a>) -> Error<'a> {
        let bits = self.0.get();
        Error {
            action: Action::from_number((bits >> 17) - 1),
            path: if bits & DEST != 0 { dest } else { source },
            cause: Cause::from_number(bits as u16),
        }
    }
}

#[inline(never)]
fn copy_paths<'a>(
    options: &Options,
    path: &'a CStr,
    copied: &mut Copied<'a>,
    progress: ProgressFn<'_>,
) -> Outcome<()> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = syscall::open(path, flags, Mode::empty()).map_err(|e| source(Action::Open, e))?;
    let from = Source::new(file.as_fd())?;
    if from.stat.file_type() == FileType::Directory {
        return Err(source(Action::Copy, Errno::EISDIR));
    }

    let mut scratch = dest::Scratch::new();
    let mut to = Destination::new(c"");
    to.find(&mut copied.path, dest::last(path), &mut scratch)?;
    if let Some(existing) = to.stat() {
        if existing.is_same_file(&from.stat) {
            return Err(dest(Action::CopyTo, Cause::SameFile));
        }
        if options.no_clobber {
            return Ok(());
        }
    }
    let mut copy = Copy { options, to: &to, copied, progress };
    match to.stat().map(Stat::file_type) {
        Some(FileType::Directory) => return Err(dest(Action::CopyTo, Errno::EISDIR)),
        Some(FileType::Regular) if options.in_place => return copy.in_place(&from),
        Some(FileType::Regular) => to.check_writable().map_err(|e| dest(Action::Replace, e))?,
        Some(_) => return copy.device(&from),
        None => {}
    }
    copy.replace(&from, Kind::Unnamed)
}

/// What is copied.
struct Source<'a> {
    file: BorrowedFd<'a>,
    stat: Stat,
}

impl Source<'_> {
    #[inline(never)]
    fn new(file: BorrowedFd<'_>) -> Outcome<Source<'_>> {
        match syscall::fstat(file) {
            Ok(stat) => Ok(Source { file, stat }),
            Err(errno) => Err(source(Action::Examine, errno)),
        }
    }
}

/// A copy under way.
struct Copy<'a, 'p> {
    options: &'a Options,
    to: &'a Destination<'a>,
    copied: &'a mut Copied<'p>,
    progress: ProgressFn<'a>,
}

impl Copy<'_, '_> {
    /// Makes a temporary file all that the destination is to be, and puts it in its place.
    fn replace(&mut self, from: &Source<'_>, kind: Kind) -> Outcome<()> {
        let mut name = Name::new();
        let process = self.options.process;
        let mut temporary = match Temporary::create(self.to, &from.stat, kind, process, &mut name) {
            Ok(temporary) => temporary,
            Err(_) if kind == Kind::Unnamed => return self.replace(from, Kind::Named),
            Err(failure) if kind == Kind::Named && failure.is(Action::SetMode) => {
                return self.replace(from, Kind::NamedWithMode);
            }
            Err(failure) => return Err(failure),
        };
        self.fill(from, temporary.as_fd())?;
        if !data::is_local(temporary.as_fd()) {
            data::check_length(temporary.as_fd(), self.copied.bytes)?;
            temporary.check_written().map_err(|e| dest(Action::Write, e))?;
        }
        let names = match self.options.sync {
            // Before there is anything to be sorry for.
            true => Some(self.to.open_names().map_err(|e| dest(Action::SyncDirectory, e))?),
            false => None,
        };
        if let Err(failure) = temporary.publish(!self.options.no_clobber, self.options.sync) {
            match failure.errno(Action::Name) {
                Some(Errno::EEXIST) if self.options.no_clobber => {
                    self.copied.method = None;
                    return Ok(());
                }
                // Without /proc, older kernels have no way to name it: copy it once more.
                Some(Errno::ENOENT | Errno::ENOSYS | Errno::EPERM | Errno::EOPNOTSUPP)
                    if kind == Kind::Unnamed =>
                {
                    // (What is to be read is read from its start.)
                    let _ = syscall::lseek(temporary.as_fd(), 0, Whence::SET);
                    return self.replace(&Source::new(temporary.as_fd())?, Kind::Named);
                }
                _ => return Err(failure),
            }
        }
        if let Some(names) = names {
            syscall::fsync(names.as_fd()).map_err(|e| dest(Action::SyncDirectory, e))?;
        }
        Ok(())
    }

    /// Gives a file the contents, and what comes after them.
    #[inline(never)]
    fn fill(&mut self, from: &Source<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        self.contents(from, to)?;
        if self.options.in_place {
            data::set_length(to, self.copied.bytes)?;
            data::check_length(to, self.copied.bytes)?;
        }
        if self.options.preserve {
            attributes::preserve(from, to)?;
        }
        sync(to, self.options.sync)
    }

    /// Writes into the existing file.
    fn in_place(&mut self, from: &Source<'_>) -> Outcome<()> {
        let file = self.to.open_to_write(OFlags::RDWR, from.file)?;
        self.fill(from, file.as_fd())?;
        // On a network a write may fail only now.
        syscall::close(file).map_err(|e| dest(Action::Write, e))
    }

    /// Writes to an existing device or FIFO.
    fn device(&mut self, from: &Source<'_>) -> Outcome<()> {
        let device = self.to.open_to_write(OFlags::WRONLY, from.file)?;
        self.stream(from.file, device.as_fd())?;
        sync(device.as_fd(), self.options.sync)?;
        syscall::close(device).map_err(|e| dest(Action::Write, e))
    }
}

/// Has a file written to the disk, if that is asked for.
fn sync(file: BorrowedFd<'_>, is_asked: bool) -> Outcome<()> {
    if !is_asked {
        return Ok(());
    }
    match syscall::fsync(file) {
        // EINVAL: what never has anything on a disk.
        Ok(()) | Err(Errno::EINVAL) => Ok(()),
        Err(errno) => Err(dest(Action::Sync, errno)),
    }
}
