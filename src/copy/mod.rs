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
mod leftover;
#[cfg(test)]
mod model_tests;
mod options;
mod plan;
mod signals;
mod temporary;
mod text;
mod tree;
mod workers;
mod xattr;

use core::{ffi::CStr, num::NonZeroU32};

use linux_raw_sys::general::HUGETLBFS_MAGIC;

use error::AttributeName;
pub use error::{Action, Cause, Error, Path, Quoted};
pub use options::{Method, Options, Preserve, ProcessControl};
pub use text::last;
pub use tree::{Content, Follow, Observer, TreeCopy, TreeOptions, Update, What};

use crate::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::syscall::{self, Errno, FileType, Mode, OFlags, Stat, Whence};
use dest::Destination;
use temporary::{Kind, Name, Temporary};

/// Describes a completed copy: its length, method and path.
#[derive(Clone, Copy, Debug)]
pub struct Copied<'a> {
    /// The length of the copy in bytes.
    pub bytes: u64,
    /// The method that copied the data. `None` if the destination existed already and was left
    /// unchanged because of [`Options::no_clobber`].
    pub method: Option<Method>,
    /// The path of the copy, with the file's name if the destination is a directory.
    pub path: Path<'a>,
    /// The device and the inode number (see [`Stat`]) of the file that the destination was before
    /// the copy. `None` if there was no file.
    pub existing: Option<(u64, u64)>,
    /// Whether the data was written into the destination under its name, so that another process
    /// could see a part of it: because of [`Options::in_place`], because the destination is no
    /// regular file, or because the file system or a policy forbids to replace it atomically.
    pub in_place: bool,
}

/// A callback that receives the number of bytes copied so far, and the total if it is known.
///
/// The copy calls it periodically from the calling thread.
pub type ProgressFn<'w> = &'w mut dyn FnMut(u64, Option<u64>);

/// Copies the contents of the file `source` to `dest`, and replaces `dest` atomically where the file
/// system and its policies permit this.
///
/// * If `dest` does not exist, the copy gets the source's permission bits, without the set-user-ID
///   and set-group-ID bits, as modified by the umask.
/// * If `dest` is a regular file, the copy replaces it and keeps its permissions, access list and
///   owner, but not its hard links and extended attributes. [`Options::in_place`] keeps these.
/// * If `dest` is a symbolic link to a regular file, the copy replaces the target of the link.
/// * If `dest` is a directory, the copy gets the [`last`] component of `source` as its name there.
/// * If `dest` is a device or a FIFO, the data is written to it.
/// * If `dest` leads to a link in `/proc/self/fd`, as `/dev/stdout` and `/dev/fd/3` do, the data is
///   written to that descriptor, at its file position.
///
/// If a system call is refused, the copy tries another way: a temporary file with a name instead of
/// one without, and in the end a write into `dest` itself ([`Copied::in_place`]), unless
/// [`Options::atomic`] is set. It writes into an existing destination, whose contents could be lost,
/// only after `EACCES`, `EPERM`, `EBUSY`, `EXDEV`, `EROFS`, `ENOSYS`, `EOPNOTSUPP`, `EINVAL`,
/// `ENOTTY`, `ENODEV` and `EMLINK`, or after `EBADF` or `ESTALE` of a call for an open file.
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
///   ends the process unless it is blocked or ignored. The standard library ignores it.
/// * [`Cause::HugePages`] if `dest` is on hugetlbfs, and `source` is not a file of whole huge pages
///   or the default method is not used with [`Options::process`].
/// * [`Cause::SameFile`] if `source` and `dest` are the same file.
/// * [`Cause::DanglingLink`] if `dest` is a symbolic link whose target does not exist.
/// * [`Cause::Shrunk`] if `source` is truncated during the copy.
///
/// After an error, an existing destination is unchanged, with these exceptions:
///
/// * With [`Options::in_place`], for devices, FIFOs and descriptors, and where nothing but a write
///   into the destination was permitted, part of the data may have been written.
/// * With [`Options::sync`], the copy may already have replaced the destination, because the new
///   name can be written to the disk only afterwards.
/// * With [`Options::preserve`], a failure to set the permissions, the times, the access list or an
///   extended attribute is returned at the end ([`Action::SetMode`], [`Action::SetTimes`],
///   [`Action::SetAttribute`]): the data and the other attributes are copied, and have replaced the
///   destination.
#[inline(never)]
#[allow(clippy::result_large_err, reason = "the error contains an attribute's name, and is rare")]
pub fn copy<'a>(
    options: &Options,
    source: &'a CStr,
    dest: &'a CStr,
    progress: ProgressFn<'_>,
) -> Result<Copied<'a>, Error<'a>> {
    let path = Path { base: dest, name: None };
    let mut copied = Copied { bytes: 0, method: None, path, existing: None, in_place: false };
    let mut attribute = AttributeName::new();
    let copying = copy_paths(options, source, &mut copied, &mut attribute, progress);
    let Err(failure) = copying else { return Ok(copied) };
    Err(failure.error(Path { base: source, name: None }, &copied, attribute))
}

/// An [`Error`] without its path, packed into one register: the action's number plus one in the
/// upper bits, [`DEST`] if the path is the destination's, and the cause's number in the lower 16.
#[derive(Clone, Copy)]
struct Failure(NonZeroU32);

/// Set if the failure belongs to the destination, clear if it belongs to the source.
const DEST: u32 = 1 << 16;

/// Set if the existing destination is partly overwritten.
const PARTLY: u32 = 1 << 31;

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
        (self.0.get() & !PARTLY) >> 17 == action as u32 + 1
    }

    /// Returns whether the failure has this cause.
    fn is_because(self, cause: Cause) -> bool {
        self.0.get() as u16 == cause.number()
    }

    /// Unpacks the failure into an error with the path of its side.
    fn on<'a>(self, source: Path<'a>, dest: Path<'a>) -> Error<'a> {
        let bits = self.0.get();
        let action = Action::from_number(((bits & !PARTLY) >> 17).wrapping_sub(1));
        let path = if bits & DEST != 0 { dest } else { source };
        let mut error = Error::new(action, path, Cause::from_number(bits as u16));
        error.overwrites = bits & PARTLY != 0;
        error
    }

    /// Unpacks the failure of a copy into an error.
    #[cold]
    #[inline(never)]
    fn error<'a>(
        self,
        source: Path<'a>,
        copied: &Copied<'a>,
        attribute: AttributeName,
    ) -> Error<'a> {
        let mut error = self.on(source, copied.path);
        error.replaces = copied.existing.is_some() && !copied.in_place;
        if self.is(Action::SetAttribute) {
            error.attribute = attribute;
        }
        error
    }

    /// Returns whether the copy must not be tried another way, because the cause is not that a
    /// system, a file system or a policy refuses this one.
    ///
    /// A way that overwrites the destination could then lose the old contents: the file system is
    /// full or broken, its server does not answer, or the process has reached a limit.
    fn is_final(self) -> bool {
        match Cause::from_number(self.0.get() as u16) {
            // The server of the file system has lost the handle of a descriptor. Renaming needs none of
            // a file.
            Cause::Errno(Errno::EBADF | Errno::ESTALE) => self.is(Action::Name),
            Cause::Errno(errno) => !matches!(
                errno,
                Errno::EACCES
                    | Errno::EPERM
                    | Errno::EBUSY
                    | Errno::EXDEV
                    | Errno::EROFS
                    | Errno::ENOSYS
                    | Errno::EOPNOTSUPP
                    | Errno::EINVAL
                    | Errno::ENOTTY
                    | Errno::ENODEV
                    | Errno::EMLINK
            ),
            Cause::Ignored => false,
            _ => true,
        }
    }
}

#[inline(never)]
fn copy_paths<'a>(
    options: &Options,
    path: &'a CStr,
    copied: &mut Copied<'a>,
    attribute: &mut AttributeName,
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
    copy_file(options, &from, &to, copied, attribute, progress)
}

/// Copies an open file to a destination that was looked up.
#[inline(never)]
fn copy_file(
    options: &Options,
    from: &Source<'_>,
    to: &Destination<'_>,
    copied: &mut Copied<'_>,
    attribute: &mut AttributeName,
    progress: ProgressFn<'_>,
) -> Outcome<()> {
    if let Some(existing) = to.stat() {
        copied.existing = Some((existing.dev, existing.ino));
        if existing.is_same_file(&from.stat) {
            return Err(dest(Action::CopyTo, Cause::SameFile));
        }
        if options.no_clobber {
            return Ok(());
        }
    }
    let mut copy = Copy {
        options,
        to,
        copied,
        progress,
        is_plain: false,
        in_place: false,
        attribute,
        unset: Ok(()),
    };
    if let Some(descriptor) = to.duplicate() {
        return copy.device(from, descriptor.map_err(|e| dest(Action::Open, e))?);
    }
    match to.stat().map(Stat::file_type) {
        Some(FileType::Directory) => return Err(dest(Action::CopyTo, Errno::EISDIR)),
        Some(FileType::Regular) if options.in_place => return copy.in_place(from),
        Some(FileType::Regular) => to.check_writable().map_err(|e| dest(Action::Replace, e))?,
        Some(_) => {
            let device = to.open_to_write(OFlags::WRONLY, from.file)?;
            return copy.device(from, device);
        }
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
    /// Whether the data is only read and written in order, because another way has failed.
    is_plain: bool,
    /// Whether the data is written into an existing file.
    in_place: bool,
    /// The name of the extended attribute that could not be set.
    attribute: &'a mut AttributeName,
    /// The first failure to set an attribute. The data is copied all the same.
    unset: Outcome<()>,
}

impl Copy<'_, '_> {
    /// Fills a temporary file with the copy, and publishes it under the destination's name.
    ///
    /// If the system refuses this kind of temporary file, falls back to the next kind, down to
    /// writing into the destination.
    fn replace(&mut self, from: &Source<'_>, kind: Kind) -> Outcome<()> {
        let mut name = Name::new();
        let Options { preserve, process, sync, no_clobber, .. } = *self.options;
        let preserves = preserve.contains(Preserve::MODE);
        let made = Temporary::create(self.to, &from.stat, kind, preserves, process, &mut name);
        let mut temporary = match made {
            Ok(temporary) => temporary,
            Err(failure) => return self.replace_otherwise(from, kind, failure),
        };
        if let Err(failure) = self.fill(from, temporary.as_fd()) {
            if self.is_refused(failure) && rewind(from) {
                drop(temporary);
                self.is_plain = true;
                return self.replace(from, kind);
            }
            return Err(failure);
        }
        if !data::is_local(temporary.as_fd()) {
            // A server may know the length only after the close.
            temporary.check_written().map_err(|e| dest(Action::Write, e))?;
            data::check_length(temporary.as_fd(), self.copied.bytes)?;
        }
        let names = match sync {
            // The directory is opened before the destination changes, so that a directory that
            // cannot be opened fails the copy while the old destination is still in place.
            true => Some(self.to.open_names().map_err(|e| dest(Action::SyncDirectory, e))?),
            false => None,
        };
        if let Err(failure) = temporary.publish(!no_clobber, sync) {
            if rewind(from) {
                drop(temporary);
                return self.replace_otherwise(from, kind, failure);
            }
            // The source cannot be read again. The temporary file can, from its start.
            let again = Source::new(temporary.as_fd())?;
            rewind(&again);
            return self.replace_otherwise(&again, kind, failure);
        }
        if let Some(names) = names {
            syscall::fsync(names.as_fd()).map_err(|e| dest(Action::SyncDirectory, e))?;
            temporary.sync_inode(true)?;
        }
        temporary.close();
        self.unset
    }

    /// Copies to the next kind of temporary file after a failure, or into the destination.
    #[cold]
    #[inline(never)]
    fn replace_otherwise(
        &mut self,
        from: &Source<'_>,
        kind: Kind,
        failure: Failure,
    ) -> Outcome<()> {
        let exists = failure.is_because(Cause::Errno(Errno::EEXIST));
        if exists && self.options.no_clobber {
            self.copied.method = None;
            return Ok(());
        }
        let copied = match kind.after(failure) {
            None => return Err(failure),
            Some(Kind::Direct) if self.options.atomic => return Err(failure),
            Some(Kind::Direct) if self.to.stat().is_some() => self.in_place(from),
            Some(Kind::Direct) => {
                self.copied.in_place = true;
                self.replace(from, Kind::Direct)
            }
            Some(kind) => return self.replace(from, kind),
        };
        // If the destination cannot be opened either, the first failure says more.
        copied.map_err(|later| match later.is(Action::Open) || later.is(Action::CreateBeside) {
            true => failure,
            false => later,
        })
    }

    /// Returns whether a way to write the data was refused, so that it may succeed with `read(2)`
    /// and `write(2)` in order, as for example an object store demands.
    fn is_refused(&self, failure: Failure) -> bool {
        let ways =
            [Action::KernelCopy, Action::Map, Action::Read, Action::Write, Action::SetLength];
        !self.is_plain
            && self.options.method.is_none()
            && !failure.is_final()
            && ways.iter().any(|&way| failure.is(way))
    }

    /// Copies the contents, then sets the length in place, the attributes, and syncs, as the
    /// options ask.
    #[inline(never)]
    fn fill(&mut self, from: &Source<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        self.contents(from, to)?;
        if self.in_place && !self.is_plain {
            data::set_length(to, self.copied.bytes)?;
            data::check_length(to, self.copied.bytes)?;
        }
        let what = self.options.preserve - Preserve::LINKS;
        if !what.is_empty() {
            // The data is copied all the same, and the failure is reported at the end.
            self.unset = attributes::preserve(from, to, what, self.attribute);
        }
        sync(to, self.options.sync)
    }

    /// Writes into the existing regular file without replacing it.
    fn in_place(&mut self, from: &Source<'_>) -> Outcome<()> {
        self.copied.method = None;
        let written = self.write_in_place(from);
        match self.copied.method {
            // The data is complete if only an attribute could not be set.
            Some(_) if self.unset.is_ok() => {
                written.map_err(|Failure(bits)| Failure(bits | PARTLY))
            }
            _ => written,
        }
    }

    fn write_in_place(&mut self, from: &Source<'_>) -> Outcome<()> {
        let file = match self.to.open_to_write(OFlags::RDWR, from.file) {
            // The caller may write to the file, but not read it.
            Err(failure) if failure.is(Action::Open) => {
                self.to.open_to_write(OFlags::WRONLY, from.file)?
            }
            file => file?,
        };
        (self.in_place, self.copied.in_place) = (true, true);
        let mut filled = None;
        if !self.is_plain && data::has_length(file.as_fd()) {
            match self.fill(from, file.as_fd()) {
                Err(failure) if self.is_refused(failure) && rewind(from) => {}
                result => filled = Some(result),
            }
        }
        let file = match filled {
            Some(result) => result.map(|()| file)?,
            None => self.overwrite(from, file)?,
        };
        // A network file system may report a failed write only when the file is closed.
        syscall::close(file).map_err(|e| dest(Action::Write, e))?;
        self.unset
    }

    /// Truncates the existing file and writes the data in order, as `cp` does. Returns the file.
    ///
    /// Files in `/proc/sys` and `/sys`, and control files of cgroups, have no length that can be
    /// set. Some object stores replace a file only if it is truncated when it is opened.
    #[cold]
    #[inline(never)]
    fn overwrite(&mut self, from: &Source<'_>, mut file: OwnedFd) -> Outcome<OwnedFd> {
        self.is_plain = true;
        if data::fs_type(file.as_fd()) == HUGETLBFS_MAGIC {
            return Err(dest(Action::CopyTo, Cause::HugePages));
        }
        if data::set_length(file.as_fd(), 0).is_err() {
            let access = OFlags::WRONLY | OFlags::TRUNC;
            file = self.to.open_to_write(access, from.file)?;
        }
        if self.to.stat().is_some_and(|old| data::length(file.as_fd()) < old.size) {
            // The old data is lost from here on.
            self.copied.method = Some(Method::Read);
        }
        let _ = syscall::lseek(file.as_fd(), 0, Whence::SET);
        self.fill(from, file.as_fd())?;
        Ok(file)
    }

    /// Writes to an open device, FIFO or descriptor of this process.
    fn device(&mut self, from: &Source<'_>, device: OwnedFd) -> Outcome<()> {
        self.copied.in_place = true;
        self.stream(from.file, device.as_fd())?;
        sync(device.as_fd(), self.options.sync)?;
        syscall::close(device).map_err(|e| dest(Action::Write, e))
    }
}

/// Makes the next reading begin at the start of a regular file. Returns false for another file,
/// whose data can be read only once.
fn rewind(from: &Source<'_>) -> bool {
    from.stat.file_type() == FileType::Regular && syscall::lseek(from.file, 0, Whence::SET).is_ok()
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
