//! What can be mapped: anything that has a file descriptor.

use linux_raw_sys::general::F_DUPFD_CLOEXEC;

use crate::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use crate::syscall::{self, Errno};

/// A raw file descriptor, as [`MmapAsRawDesc`] returns it.
pub type MmapRawDescriptor = RawFd;

/// A type that can be mapped: a reference to anything that has a file descriptor, or a raw file
/// descriptor.
#[cfg_attr(
    not(feature = "std"),
    diagnostic::on_unimplemented(
        message = "`{Self}` cannot be mapped: it has no file descriptor of `baremap::fd`",
        note = "the feature `std` of `baremap` makes the standard library's files and descriptors \
                those of `baremap::fd`"
    )
)]
pub trait MmapAsRawDesc {
    /// Returns the raw file descriptor.
    fn as_raw_desc(&self) -> MmapRawDescriptor;
}

impl MmapAsRawDesc for RawFd {
    fn as_raw_desc(&self) -> MmapRawDescriptor {
        *self
    }
}

impl MmapAsRawDesc for BorrowedFd<'_> {
    fn as_raw_desc(&self) -> MmapRawDescriptor {
        self.as_raw_fd()
    }
}

impl<T: AsRawFd + ?Sized> MmapAsRawDesc for &T {
    fn as_raw_desc(&self) -> MmapRawDescriptor {
        self.as_raw_fd()
    }
}

/// Borrows a raw descriptor for a system call. `EBADF` if it is -1, which is not a descriptor.
pub(super) fn borrow<'fd>(fd: RawFd) -> syscall::Result<BorrowedFd<'fd>> {
    if fd == -1 {
        return Err(Errno::EBADF);
    }
    // SAFETY: the borrowed descriptor is used by a few system calls, which fail with `EBADF` if it
    // is not open.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Duplicates a descriptor, so that its number cannot be closed and reused meanwhile.
pub(in crate::map) fn duplicate(file: BorrowedFd<'_>) -> syscall::Result<OwnedFd> {
    // SAFETY: `F_DUPFD_CLOEXEC` takes a number, and returns a new descriptor that nothing else
    // owns.
    unsafe {
        let fd = syscall::fcntl(file, F_DUPFD_CLOEXEC, 0)?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}
