//! The copy of *The Linux Programming Interface*, exercise 49-1: map the source, map
//! the destination, copy memory. And lose nothing on the way.
//!
//! * The data goes to a file without a name in the destination's directory, which
//!   takes the name when it is complete. A copy that fails, or is killed, leaves what
//!   was there.
//! * Space is reserved before the destination is mapped, so that a full disk is an
//!   error and not a fault. Where it cannot be, the mapped source is written to it.
//! * Holes stay holes: the data between them is written, too.
//! * What cannot be mapped is read.
//! * The way is the one that was measured to be the fastest ([`Way`]), and large files are
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
pub use options::{Options, Way};

use crate::fd::{AsFd, BorrowedFd};
use crate::syscall::{self, Errno, FileType, Mode, OFlags, Stat};
use dest::{Destination, Kind, Name, Published, Temporary};

/// What became of a file.
#[derive(Clone, Copy, Debug)]
pub struct Copied<'a> {
    /// How many bytes it has.
    pub bytes: u64,
    /// How they were copied; `None`: not, for there was a file already
    /// ([`Options::no_clobber`]).
    pub way: Option<Way>,
    /// Where they are.
    pub path: Path<'a>,
}

/// Is told now and then how many bytes are copied, and of how many, if that is known.
pub type Watch<'w> = &'w mut dyn FnMut(u64, Option<u64>);

/// Copies a file's contents.
///
/// A new destination gets the source's permission bits (not the set-id bits) less
/// the umask. An existing regular file is replaced by one that has its permissions
/// and its owner; if `dest` is a symbolic link, the file that it leads to is. In a directory
/// the copy gets the source's name. A device or a FIFO is written to.
///
/// While a file has a temporary name (the file system has no `O_TMPFILE`), `SIGHUP`, `SIGINT`,
/// `SIGQUIT` and `SIGTERM` get a handler that removes it, if their action is the default one.
/// Large files are copied by several processes (fork(2)); a hosted program that minds asks for
/// one job.
///
/// # Errors
///
/// Whatever goes wrong, with what was tried and on which path; an existing
/// destination is then as it was, if it was not written to in place.
pub fn copy<'a>(
    options: &Options,
    source: &'a CStr,
    dest: &'a CStr,
    watch: Watch<'_>,
) -> Result<Copied<'a>, Error<'a>> {
    let mut path = Path { base: dest, name: None };
    match copy_paths(options, source, &mut path, watch) {
        Ok(Some((bytes, way))) => Ok(Copied { bytes, way: Some(way), path }),
        Ok(None) => Ok(Copied { bytes: 0, way: None, path }),
        Err(Failure(bits)) => {
            let is_dest = bits.get() & DEST != 0;
            let path = if is_dest { path } else { Path { base: source, name: None } };
            let action = Action::from_number((bits.get() >> 17) - 1);
            Err(Error { action, path, cause: Cause::from_number(bits.get() as u16) })
        }
    }
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

#[inline(never)]
fn copy_paths<'a>(
    options: &Options,
    source_path: &'a CStr,
    dest_path: &mut Path<'a>,
    watch: Watch<'_>,
) -> Outcome<Option<(u64, Way)>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let from =
        syscall::open(source_path, flags, Mode::empty()).map_err(|e| source(Action::Open, e))?;
    let from = from.as_fd();
    let stat = syscall::fstat(from).map_err(|e| source(Action::Examine, e))?;
    if stat.file_type() == FileType::Directory {
        return Err(source(Action::Copy, Errno::EISDIR));
    }

    let mut scratch = dest::Scratch::new();
    let inside = dest::last(source_path);
    let to = Destination::find(dest_path, inside, &mut scratch);
    let to = to.map_err(|cause| dest(Action::CopyTo, cause))?;
    if let Some(existing) = to.stat() {
        if existing.is_same_file(&stat) {
            return Err(dest(Action::CopyTo, Cause::SameFile));
        }
        if options.no_clobber {
            return Ok(None);
        }
        match existing.file_type() {
            FileType::Regular if options.in_place => {
                return copy_in_place(options, from, &stat, &to, watch).map(Some);
            }
            FileType::Regular => to.check_writable().map_err(|e| dest(Action::Replace, e))?,
            FileType::Directory => return Err(dest(Action::CopyTo, Errno::EISDIR)),
            _ => {
                let device = to.open(OFlags::WRONLY).map_err(|e| dest(Action::Open, e))?;
                let copied = data::stream(from, device.as_fd(), watch)?;
                if options.sync
                    && let Err(errno) = syscall::fsync(device.as_fd())
                    && errno != Errno::EINVAL
                // what never has anything on a disk
                {
                    return Err(dest(Action::Sync, errno));
                }
                return Ok(Some(copied));
            }
        }
    }

    let copy = Copy { options, stat: &stat, to: &to };
    let mut name = Name::new();
    let Ok(unnamed) = Temporary::create(&to, &stat, Kind::Unnamed, &mut name) else {
        return copy.by_name(from, watch);
    };
    let copied = copy.fill(from, &unnamed, watch)?;
    match unnamed.publish(!options.no_clobber) {
        Ok(published) => copy.finish(published, copied),
        // Without /proc, older kernels have no way to name it: copy it once more.
        Err(Errno::ENOENT | Errno::ENOSYS | Errno::EPERM | Errno::EOPNOTSUPP) => {
            let stat = &syscall::fstat(unnamed.as_fd()).map_err(|e| dest(Action::Examine, e))?;
            Copy { stat, ..copy }.by_name(unnamed.as_fd(), watch)
        }
        Err(errno) => Err(dest(Action::Name, errno)),
    }
}

struct Copy<'a> {
    options: &'a Options,
    /// Of the source.
    stat: &'a Stat,
    to: &'a Destination<'a>,
}

impl Copy<'_> {
    /// Copies by way of a temporary file that has a name.
    #[cold]
    #[inline(never)]
    fn by_name(&self, from: BorrowedFd<'_>, watch: Watch<'_>) -> Outcome<Option<(u64, Way)>> {
        let mut name = Name::new();
        let named = Temporary::create(self.to, self.stat, Kind::Named, &mut name);
        let named = named.map_err(|e| dest(Action::CreateBeside, e))?;
        let copied = self.fill(from, &named, watch)?;
        let published = named.publish(!self.options.no_clobber);
        self.finish(published.map_err(|e| dest(Action::Name, e))?, copied)
    }

    /// Makes of a temporary file all that the destination is to be.
    fn fill(
        &self,
        from: BorrowedFd<'_>,
        to: &Temporary<'_>,
        watch: Watch<'_>,
    ) -> Outcome<(u64, Way)> {
        // Before there is anything in it to be read by others.
        if let Some(existing) = self.to.stat() {
            to.resemble(existing).map_err(|e| dest(Action::KeepOwner, e))?;
        }
        let copied = data::copy(from, self.stat, to.as_fd(), self.options, watch)?;
        self.settle(from, to.as_fd())?;
        Ok(copied)
    }

    /// What comes after the contents.
    fn settle(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        if self.options.preserve {
            attributes::preserve(from, self.stat, to)?;
        }
        if self.options.sync {
            syscall::fsync(to).map_err(|e| dest(Action::Sync, e))?;
        }
        Ok(())
    }

    fn finish(&self, published: Published, copied: (u64, Way)) -> Outcome<Option<(u64, Way)>> {
        if published == Published::Exists {
            return Ok(None);
        }
        if self.options.sync {
            let synced = self.to.sync_names();
            synced.map_err(|e| dest(Action::SyncDirectory, e))?;
        }
        Ok(Some(copied))
    }
}

/// Writes into the existing file.
#[cold]
#[inline(never)]
fn copy_in_place(
    options: &Options,
    from: BorrowedFd<'_>,
    stat: &Stat,
    to: &Destination<'_>,
    watch: Watch<'_>,
) -> Outcome<(u64, Way)> {
    let file = to.open(OFlags::RDWR).map_err(|e| dest(Action::Open, e))?;
    let copied = data::copy(from, stat, file.as_fd(), options, watch)?;
    syscall::ftruncate(file.as_fd(), copied.0).map_err(|e| dest(Action::SetLength, e))?;
    Copy { options, stat, to }.settle(from, file.as_fd())?;
    Ok(copied)
}
