//! Copies a file by mapping it, without losing the old destination if the copy fails.
//!
//! This is exercise 49-1 of *The Linux Programming Interface* (map the source, map the destination,
//! copy memory), hardened for use as a file copy. [`copy()`] is the entry point, [`Options`]
//! selects what it does, and [`Error`] describes a failure in one line.
//!
//! * **Atomic replacement**: the data goes to an unnamed temporary file (`O_TMPFILE`) in the
//!   destination's directory. The file takes the destination's name when it is complete. A copy
//!   that fails or is killed leaves the old destination unchanged.
//! * **Full disks**: space is preallocated before the destination is mapped, so that a full disk is
//!   an error instead of `SIGBUS`. If the file system cannot preallocate, the data is written with
//!   `pwrite(2)` instead.
//! * **Sparse files**: holes stay holes. Neither holes nor pages of zeros in a sparse file are
//!   written. On a file system that is served by another process or another machine, dirty data is
//!   written back before the copy trusts a hole.
//! * **Files that cannot be mapped** are read into a buffer. A file that ends before the size that
//!   its file system reports is read up to its end.
//! * **Length**: the destination has the length of the data that was copied, or the copy fails.
//! * **Speed**: the copy chooses the [`Method`] that measured fastest for the file's size. With
//!   [`Options::process`], several processes copy a large file.

mod attributes;
mod data;
mod dest;
mod error;
#[cfg(test)]
mod model_tests;
mod options;
mod plan;
mod signals;
mod temporary;
mod text;
mod tree;
mod workers;

use core::{ffi::CStr, num::NonZeroU32};

pub use error::{Action, Cause, Error, Path, Quoted};
pub use options::{Method, Options, Preserve, ProcessControl};
pub use text::last;
pub use tree::{Content, Done, Follow, Observer, TreeCopy, TreeOptions, Update, What};

use crate::fd::{AsFd, BorrowedFd};
use crate::syscall::{self, Errno, FileType, Mode, OFlags, Stat, Whence};
use dest::Destination;
use temporary::{Kind, Name, Temporary};

/// Describes a completed copy: its length, method and path.
#[derive(Clone, Copy, Debug)]
pub struct Copied<'a> {
    /// The length of the copy in bytes. Unspecified if `method` is `None`.
    pub bytes: u64,
    /// The method that copied the data. `None` if the destination existed already and was left
    /// unchanged because of [`Options::no_clobber`].
    pub method: Option<Method>,
    /// The path of the copy, with the file's name if the destination is a directory.
    pub path: Path<'a>,
}

/// A callback that receives the number of bytes copied so far, and the total if it is known.
///
/// The calling thread calls it after each piece of up to 2 MiB that this process has copied, and at
/// the end. The number includes the pieces of worker processes. The callback is not called for an
/// empty file. The total is `None` for [`Method::Read`], which reads up to the end of the source.
/// If the copy falls back to another method, the number starts at zero again.
pub type ProgressFn<'w> = &'w mut dyn FnMut(u64, Option<u64>);

/// Copies the contents of the file `source` to `dest`, and replaces `dest` atomically.
///
/// * If `dest` does not exist, the copy gets the source's permission bits, without the set-user-ID,
///   set-group-ID and sticky bits, as modified by the umask.
/// * If `dest` is a regular file, the copy replaces it and keeps its permissions, access list and
///   owner, but not its set-user-ID, set-group-ID and sticky bits, hard links and extended
///   attributes. [`Options::in_place`] keeps hard links and attributes.
/// * If `dest` is a symbolic link to a regular file, the copy replaces the target of the link. This
///   includes `/dev/stdout` if standard output is a file: its descriptor still refers to the old
///   file.
/// * If `dest` is a directory, the copy gets the [`last`] component of `source` as its name in the
///   directory.
/// * If `dest` is a device or a FIFO, the data is written to it.
///
/// A symbolic link `source` is followed. The call waits if `source` is a FIFO that nothing writes
/// to, or `dest` a FIFO that nothing reads from.
///
/// A new file belongs to the caller. If several copies to one destination run at the same time, the
/// destination is the complete copy that was published last.
///
/// By default, the copy forks no processes, and any number of threads can copy at the same time.
/// It installs no signal handlers, except that of [`map::guard`](crate::map::guard) if
/// [`Method::Map`] asks it to map the destination. [`Options::process`] permits worker processes,
/// leaving out blocks of zeros that the file system does not report as holes (which needs that
/// handler), and handlers that remove a temporary name if a signal ends the process. Without these
/// handlers, a process that is killed on a file system without `O_TMPFILE` leaves the temporary
/// name behind, and the next copy to `dest` removes the name.
///
/// # Errors
///
/// Returns an [`Error`] that contains the step that failed, the path, and the cause. Among the
/// causes are:
///
/// * `ENOENT` if `source`, or the directory of `dest`, does not exist.
/// * `EISDIR` if `source` is a directory, or if `dest` is a directory that contains a directory
///   with the name of `source`.
/// * `EACCES` if the caller may not read `source`, may not write to an existing destination, or may
///   not create files in its directory.
/// * `ENOSPC` if the disk is full, and `EDQUOT` if the copy would exceed a quota.
/// * `EFBIG` if the copy would exceed `RLIMIT_FSIZE` or the file system's limit. For
///   `RLIMIT_FSIZE`, the kernel also sends `SIGXFSZ`, which ends the process unless it is blocked
///   or ignored.
/// * `EPIPE` if `dest` is a FIFO whose reader has closed it. The kernel also sends `SIGPIPE`, which
///   ends the process unless the signal is blocked or ignored. The standard library ignores
///   `SIGPIPE`.
/// * [`Cause::SameFile`] if `source` and `dest` are the same file.
/// * [`Cause::DanglingLink`] if `dest` is a symbolic link whose target does not exist.
/// * [`Cause::Shrunk`] if `source` is truncated during the copy.
///
/// After an error, an existing destination is unchanged, with these exceptions:
///
/// * With [`Options::in_place`], and for devices and FIFOs, part of the data may have been written.
/// * With [`Options::sync`], the copy may already have replaced the destination, because the new
///   name can be written to the disk only afterwards.
/// * With [`Options::preserve`], a file system that ignores a change of the permissions fails the
///   copy at the end ([`Cause::Ignored`]): the data is copied, and has replaced the destination.
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

/// An [`Error`] without its path, packed into one register: the action's number plus one in the
/// upper bits, [`DEST`] if the path is the destination's, and the cause's number in the lower 16.
#[derive(Clone, Copy)]
struct Failure(NonZeroU32);

/// Set if the failure belongs to the destination, clear if it belongs to the source.
const DEST: u32 = 1 << 16;

type Outcome<T> = Result<T, Failure>;

#[inline]
fn failure(side: u32, action: Action, cause: Cause) -> Failure {
    let bits = (action as u32 + 1) << 17 | side | u32::from(cause.number());
    Failure(NonZeroU32::new(bits).unwrap_or(NonZeroU32::MIN))
}

/// A failure that names the source's path.
fn source(action: Action, cause: impl Into<Cause>) -> Failure {
    failure(0, action, cause.into())
}

/// A failure that names the destination's path.
fn dest(action: Action, cause: impl Into<Cause>) -> Failure {
    failure(DEST, action, cause.into())
}

impl Failure {
    /// Returns whether `action` failed.
    fn is(self, action: Action) -> bool {
        self.0.get() >> 17 == action as u32 + 1
    }

    /// Returns the system call's error if `action` failed with one.
    fn errno(self, action: Action) -> Option<Errno> {
        match Cause::from_number(self.0.get() as u16) {
            Cause::Errno(errno) if self.is(action) => Some(errno),
            _ => None,
        }
    }

    /// Returns whether the failure has this cause.
    fn is_because(self, cause: Cause) -> bool {
        self.0.get() as u16 == cause.number()
    }

    /// Unpacks the failure into an error with the path of its side.
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
    to.find(&mut copied.path, last(path), &mut scratch)?;
    copy_file(options, &from, &to, copied, progress)
}

/// Copies an open file to a destination that was looked up.
#[inline(never)]
fn copy_file(
    options: &Options,
    from: &Source<'_>,
    to: &Destination<'_>,
    copied: &mut Copied<'_>,
    progress: ProgressFn<'_>,
) -> Outcome<()> {
    if let Some(existing) = to.stat() {
        if existing.is_same_file(&from.stat) {
            return Err(dest(Action::CopyTo, Cause::SameFile));
        }
        if options.no_clobber {
            return Ok(());
        }
    }
    let mut copy = Copy { options, to, copied, progress, ignored: Ok(()) };
    match to.stat().map(Stat::file_type) {
        Some(FileType::Directory) => return Err(dest(Action::CopyTo, Errno::EISDIR)),
        Some(FileType::Regular) if options.in_place => return copy.in_place(from),
        Some(FileType::Regular) => to.check_writable().map_err(|e| dest(Action::Replace, e))?,
        Some(_) => return copy.device(from),
        None => {}
    }
    copy.replace(from, Kind::Unnamed)
}

/// The file that is copied, with the metadata from the start of the copy.
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

/// A copy in progress.
struct Copy<'a, 'p> {
    options: &'a Options,
    to: &'a Destination<'a>,
    copied: &'a mut Copied<'p>,
    progress: ProgressFn<'a>,
    /// The failure to set the permissions on a file system that ignores it.
    ignored: Outcome<()>,
}

impl Copy<'_, '_> {
    /// Fills a temporary file with the copy, and publishes it under the destination's name.
    ///
    /// Falls back to a named temporary file if an unnamed one cannot be created or linked, and to
    /// one that is created with its final permissions if the file system ignores `fchmod(2)`.
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
            // A server may know the length only after the close.
            temporary.check_written().map_err(|e| dest(Action::Write, e))?;
            data::check_length(temporary.as_fd(), self.copied.bytes)?;
        }
        let names = match self.options.sync {
            // The directory is opened before the destination changes, so that a directory that
            // cannot be opened fails the copy while the old destination is still in place.
            true => Some(self.to.open_names().map_err(|e| dest(Action::SyncDirectory, e))?),
            false => None,
        };
        if let Err(failure) = temporary.publish(!self.options.no_clobber, self.options.sync) {
            match failure.errno(Action::Name) {
                Some(Errno::EEXIST) if self.options.no_clobber => {
                    self.copied.method = None;
                    return Ok(());
                }
                // Before Linux 6.10, an unprivileged process needs /proc to link an unnamed file.
                // Without /proc, the data is copied once more, to a named temporary file.
                Some(Errno::ENOENT | Errno::ENOSYS | Errno::EPERM | Errno::EOPNOTSUPP)
                    if kind == Kind::Unnamed =>
                {
                    // A copy that falls back to reading starts at the file position.
                    let _ = syscall::lseek(temporary.as_fd(), 0, Whence::SET);
                    return self.replace(&Source::new(temporary.as_fd())?, Kind::Named);
                }
                _ => return Err(failure),
            }
        }
        if let Some(names) = names {
            syscall::fsync(names.as_fd()).map_err(|e| dest(Action::SyncDirectory, e))?;
            temporary.sync_inode(true)?;
        }
        self.ignored
    }

    /// Copies the contents, then sets the length in place, the attributes, and syncs, as the
    /// options ask.
    #[inline(never)]
    fn fill(&mut self, from: &Source<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        self.contents(from, to)?;
        if self.options.in_place {
            data::set_length(to, self.copied.bytes)?;
            data::check_length(to, self.copied.bytes)?;
        }
        let what = self.options.preserve - Preserve::LINKS;
        if !what.is_empty()
            && let Err(failure) = attributes::preserve(from, to, what)
        {
            // ntfs-3g, and vfat mounted `quiet`, accept and ignore a change of the permissions.
            // The data is copied all the same, and the failure reported at the end.
            if !failure.is_because(Cause::Ignored) {
                return Err(failure);
            }
            self.ignored = Err(failure);
        }
        sync(to, self.options.sync)
    }

    /// Writes into the existing regular file without replacing it.
    fn in_place(&mut self, from: &Source<'_>) -> Outcome<()> {
        let file = self.to.open_to_write(OFlags::RDWR, from.file)?;
        self.fill(from, file.as_fd())?;
        // A network file system may report a failed write only when the file is closed.
        syscall::close(file).map_err(|e| dest(Action::Write, e))?;
        self.ignored
    }

    /// Writes to an existing device or FIFO.
    fn device(&mut self, from: &Source<'_>) -> Outcome<()> {
        let device = self.to.open_to_write(OFlags::WRONLY, from.file)?;
        self.stream(from.file, device.as_fd())?;
        sync(device.as_fd(), self.options.sync)?;
        syscall::close(device).map_err(|e| dest(Action::Write, e))
    }
}

/// Writes a file to the disk, using `fsync(2)`, if `is_asked`.
fn sync(file: BorrowedFd<'_>, is_asked: bool) -> Outcome<()> {
    if !is_asked {
        return Ok(());
    }
    match syscall::fsync(file) {
        // EINVAL: a device or a FIFO that has no storage to be written back to.
        Ok(()) | Err(Errno::EINVAL) => Ok(()),
        Err(errno) => Err(dest(Action::Sync, errno)),
    }
}
