//! The error for a missing page, and the reason why it is missing.

use core::fmt;

use crate::fd::BorrowedFd;
use crate::syscall::{self, Errno, FallocateFlags, page_size};

/// The error for an access to a missing page of a mapped file.
///
/// The file was truncated, its disk failed, or the disk has no room for what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) offset: u64,
    pub(super) done: usize,
    pub(super) errno: Option<Errno>,
}

impl Fault {
    /// Returns the offset in the map, in bytes, of the first byte that could not be accessed.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns how many bytes of the requested range come before the missing byte. They have been
    /// read or written.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.done
    }

    /// Returns the error of a system call that tries to read or to allocate the missing byte, or
    /// `None` if there is no such error.
    ///
    /// * `ENOSPC` or `EDQUOT` if the disk is full.
    /// * `EIO` if the disk failed.
    /// * `EPERM` if the file became immutable (`chattr +i`) after it was mapped.
    /// * `EBADF` if the file is not open for writing.
    /// * `ENOMEM` or another error if [`with_slice`](crate::map::FileMap::with_slice) could not
    ///   protect the slice.
    ///
    /// The result is `None` if the file ends before the byte. It is also `None` in three cases in
    /// which the system call succeeds:
    ///
    /// * The file was truncated, and has been extended again since.
    /// * The byte is in a hole of a file on a full tmpfs. The hole can be read by read(2), but a
    ///   map needs a page for it.
    /// * The byte is in a block that two files share on a full btrfs, which reserves space for the
    ///   block without an error, but has no room to change it. (xfs reports `ENOSPC`; Linux 6.18.)
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
    /// Converts a fault to its [`errno`](Fault::errno), or to `EFAULT` if it has none, which is the
    /// error of a system call that accesses missing memory.
    fn from(fault: Fault) -> Errno {
        fault.errno.unwrap_or(Errno::EFAULT)
    }
}

#[cfg(feature = "std")]
impl From<Fault> for std::io::Error {
    /// Converts a fault to the error with its [`errno`](Fault::errno), or to an error of the kind
    /// `UnexpectedEof` if it has none.
    fn from(fault: Fault) -> Self {
        match fault.errno {
            None => std::io::Error::new(std::io::ErrorKind::UnexpectedEof, fault),
            Some(errno) => errno.into(),
        }
    }
}

/// Finds out, with pread(2), why a byte of a file is missing in its map.
///
/// Returns `None` if the byte can be read, `Some(None)` if it is past the end of the file, and
/// `Some(Some(errno))` if reading it fails.
#[cold]
pub(crate) fn unreadable(file: BorrowedFd<'_>, place: u64) -> Option<Option<Errno>> {
    match syscall::pread(file, &mut [0], place) {
        Ok(0) => Some(None),
        Ok(_) => None,
        Err(errno) => Some(Some(errno)),
    }
}

/// Finds out why a byte that can be read cannot be written to through a map: tries to allocate its
/// page with fallocate(2), and returns the error.
///
/// The caller wanted to write to the page, so that allocating it changes nothing that was not asked
/// for.
#[cold]
pub(super) fn unwritable(file: BorrowedFd<'_>, place: u64) -> Option<Errno> {
    let size = page_size() as u64;
    let page = place & !(size - 1);
    // Without `UNSHARE_RANGE`, xfs reports success for a block that two files share, although it
    // has no room to give each file its own.
    let mut flags = FallocateFlags::KEEP_SIZE | FallocateFlags::UNSHARE_RANGE;
    loop {
        match syscall::fallocate(file, flags, page, size) {
            Err(Errno::EINTR) => {}
            Err(Errno::EOPNOTSUPP) if flags != FallocateFlags::KEEP_SIZE => {
                flags = FallocateFlags::KEEP_SIZE;
            }
            // `EOPNOTSUPP` without `UNSHARE_RANGE` means that the file system cannot preallocate.
            Ok(()) | Err(Errno::EOPNOTSUPP) => return None,
            Err(errno) => return Some(errno),
        }
    }
}
