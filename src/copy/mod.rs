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

mod data;
mod dest;
mod error;

use core::ffi::CStr;

pub use error::{Cause, Error, Quoted};

use crate::fd::{AsFd, BorrowedFd};
use crate::syscall::{self, Errno, FileType, Mode, OFlags, Stat};
use dest::{Destination, Kind, Temporary};

/// Copies a file's contents, and returns how many bytes it has.
///
/// A new destination gets the source's permission bits (not the set-id bits) less
/// the umask. An existing regular file is replaced by one that has its permissions
/// and its owner; if `dest` is a symbolic link, the file that it leads to is. A
/// device or a FIFO is written to.
///
/// # Errors
///
/// Whatever goes wrong, with what was tried and on which path; an existing
/// destination is then as it was.
pub fn copy<'a>(source: &'a CStr, dest: &'a CStr) -> Result<u64, Error<'a>> {
    copy_paths(source, dest).map_err(|Failure { side, action, cause }| {
        let path = match side {
            Side::Source => source,
            Side::Dest => dest,
        };
        Error { action, path, cause }
    })
}

/// An [`Error`] before the path is put to it.
struct Failure {
    side: Side,
    action: &'static str,
    cause: Cause,
}

enum Side {
    Source,
    Dest,
}

type Outcome<T> = Result<T, Failure>;

fn source(action: &'static str, cause: impl Into<Cause>) -> Failure {
    Failure { side: Side::Source, action, cause: cause.into() }
}

fn dest(action: &'static str, cause: impl Into<Cause>) -> Failure {
    Failure { side: Side::Dest, action, cause: cause.into() }
}

#[inline(never)]
fn copy_paths(source_path: &CStr, dest_path: &CStr) -> Outcome<u64> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let from = syscall::open(source_path, flags, Mode::empty()).map_err(|e| source("open", e))?;
    let from = from.as_fd();
    let stat = syscall::fstat(from).map_err(|e| source("examine", e))?;
    if stat.file_type() == FileType::Directory {
        return Err(source("copy", Errno::EISDIR));
    }

    let mut scratch = dest::Scratch::new();
    let to = Destination::find(dest_path, &mut scratch).map_err(|cause| dest("copy to", cause))?;
    if let Some(existing) = to.stat() {
        if existing.is_same_file(&stat) {
            return Err(dest("copy to", Cause::SameFile));
        }
        match existing.file_type() {
            FileType::Regular => to.check_writable().map_err(|e| dest("replace", e))?,
            FileType::Directory => return Err(dest("copy to", Errno::EISDIR)),
            _ => {
                let device = to.open_special().map_err(|e| dest("open", e))?;
                return data::stream(from, device.as_fd());
            }
        }
    }

    let Ok(unnamed) = Temporary::create(&to, &stat, Kind::Unnamed) else {
        return copy_named(from, &stat, &to);
    };
    let bytes = data::copy(from, &stat, unnamed.as_fd())?;
    if unnamed.publish().is_err() {
        // Without /proc, older kernels have no way to name it: copy it once more.
        let stat = syscall::fstat(unnamed.as_fd()).map_err(|e| dest("examine", e))?;
        return copy_named(unnamed.as_fd(), &stat, &to);
    }
    Ok(bytes)
}

/// Copies by way of a temporary file that has a name.
#[cold]
#[inline(never)]
fn copy_named(from: BorrowedFd<'_>, stat: &Stat, to: &Destination<'_>) -> Outcome<u64> {
    let named =
        Temporary::create(to, stat, Kind::Named).map_err(|e| dest("create a file beside", e))?;
    let bytes = data::copy(from, stat, named.as_fd())?;
    named.publish().map_err(|e| dest("give the copy the name", e))?;
    Ok(bytes)
}
