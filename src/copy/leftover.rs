//! Removes temporary names, of this copy and of copies that were killed.

use core::ffi::CStr;

use super::data::is_local;
use crate::fd::{AsFd, BorrowedFd};
use crate::syscall::{self, AtFlags, Errno, FileType, Flock, Mode, OFlags, Result, Timespec};

/// What is known of a temporary file that is to be removed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This copy has created the file, and closed it.
    Own,
    /// This copy has created the file, closed it, and linked it to the destination's name.
    Published,
    /// Another copy has created the file, and may still use it.
    Other,
}

/// How often the removal is tried again on a file system that is not local, a millisecond apart.
const TRIES: u32 = 50;

/// Removes the name of a temporary file that no process has locked.
///
/// A file of this copy is removed even on a file system without locks. If its name cannot be
/// removed, it is truncated, unless it is published.
///
/// Returns `EWOULDBLOCK` if a copy in progress holds the lock, and `EPERM` if the name of an empty
/// file cannot be removed. This function is async-signal-safe.
#[cold]
#[inline(never)]
pub fn remove_unlocked(dir: BorrowedFd<'_>, name: &CStr, owner: Owner) -> Result<()> {
    let open = |access| {
        let flags = access | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        syscall::openat(dir, name, flags, Mode::empty())
    };
    let unlink = || syscall::unlinkat(dir, name, AtFlags::empty());
    // On NFS, flock(2) is a lock of the server, which needs a descriptor open for writing.
    let file = match open(OFlags::RDWR).or_else(|_| open(OFlags::RDONLY)) {
        Err(_) if owner != Owner::Other => return unlink(),
        file => file?,
    };
    match syscall::flock(file.as_fd(), Flock::EXCLUSIVE) {
        Err(errno) if owner == Owner::Other || errno == Errno::EWOULDBLOCK => return Err(errno),
        _ => {}
    }
    // With the lock held, no copy uses the file. If the name still leads to it, no copy has taken
    // the name meanwhile.
    let stat = syscall::fstatat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let locked = syscall::fstat(file.as_fd())?;
    if stat.file_type() != FileType::Regular || !stat.is_same_file(&locked) {
        return Err(Errno::EEXIST);
    }
    // libfuse renames an open file instead of removing it, and a cloud mount may upload it. On such
    // a file system, another copy can take the name between the close and the removal.
    let kept = Some(file).filter(|file| is_local(file.as_fd()));
    let mut removed = unlink();
    // A FUSE server learns of a close only after close(2) has returned.
    let mut tries = if kept.is_none() { TRIES } else { 0 };
    while removed.is_err() && tries > 0 {
        tries -= 1;
        let _ = syscall::nanosleep(Timespec { sec: 0, nsec: 1_000_000 });
        removed = unlink();
    }
    drop(kept);
    if removed.is_err() {
        // An empty file marks a directory in which names cannot be removed.
        if owner == Owner::Own {
            let _ = open(OFlags::WRONLY).and_then(|file| syscall::ftruncate(file.as_fd(), 0));
        }
        return if stat.size == 0 { Err(Errno::EPERM) } else { removed };
    }
    removed
}
