//! A missing page as an error, and what its byte is missing for.

use core::fmt;

use crate::fd::BorrowedFd;
use crate::syscall::{self, Errno, FallocateFlags, page_size};

/// A page of a mapped file that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) offset: u64,
    pub(super) done: usize,
    pub(super) errno: Option<Errno>,
}

impl Fault {
    /// The first byte that could not be reached, from the beginning of the map.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes there were before it, of those that were asked for: they have been
    /// read or written.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.done
    }

    /// Returns what the kernel said when it was asked for the byte again, by a call that can
    /// fail:
    ///
    /// * `ENOSPC`, `EDQUOT`: the disk is full.
    /// * `EIO`: the disk is broken.
    /// * `EPERM`: the file became immutable (`chattr +i`) after it was mapped.
    /// * `EBADF`: the file is not open for writing.
    ///
    /// `None` if the file ends before the byte, and also where no call fails: the file may have
    /// its length again; a hole of a full tmpfs can be read, but not loaded; and where a full
    /// btrfs has no room for a change of blocks that two files share, it reserves space for them
    /// without an error (xfs reports `ENOSPC`; Linux 6.18).
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        self.errno
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            None => write!(f, "a page is missing at byte {} of a mapped file", self.offset),
            Some(errno) => write!(f, "cannot reach byte {} of a mapped file: {errno}", self.offset),
        }
    }
}

impl core::error::Error for Fault {}

impl From<Fault> for Errno {
    /// `EFAULT` for a file that became shorter: what a system call says of such memory.
    fn from(fault: Fault) -> Errno {
        fault.errno.unwrap_or(Errno::EFAULT)
    }
}

#[cfg(feature = "std")]
impl From<Fault> for std::io::Error {
    fn from(fault: Fault) -> Self {
        match fault.errno {
            None => std::io::Error::new(std::io::ErrorKind::UnexpectedEof, fault),
            Some(errno) => errno.into(),
        }
    }
}

/// Why a byte of a file that is missing in its map cannot be read, asked by a call that can
/// fail: it is beyond the end (`None`), or an error; and whether that is so at all.
#[cold]
pub(crate) fn unreadable(file: BorrowedFd<'_>, place: u64) -> Option<Option<Errno>> {
    match syscall::pread(file, &mut [0], place) {
        Ok(0) => Some(None),
        Ok(_) => None,
        Err(errno) => Some(Some(errno)),
    }
}

/// Why a byte of a file that is missing in its map, and can be read, cannot be written to: it
/// is given the room now that it did not have. That is what was asked for anyway.
#[cold]
pub(super) fn unwritable(file: BorrowedFd<'_>, place: u64) -> Option<Errno> {
    let size = page_size() as u64;
    let page = place & !(size - 1);
    // xfs has room for a block that two files share until one of them is to have its own.
    let mut flags = FallocateFlags::KEEP_SIZE | FallocateFlags::UNSHARE_RANGE;
    loop {
        match syscall::fallocate(file, flags, page, size) {
            Err(Errno::EINTR) => {}
            Err(Errno::EOPNOTSUPP) if flags != FallocateFlags::KEEP_SIZE => {
                flags = FallocateFlags::KEEP_SIZE;
            }
            // The file system cannot tell.
            Ok(()) | Err(Errno::EOPNOTSUPP) => return None,
            Err(errno) => return Some(errno),
        }
    }
}
