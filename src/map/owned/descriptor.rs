//! What can be mapped: anything that has a file descriptor.

use linux_raw_sys::general::F_DUPFD_CLOEXEC;

use crate::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use crate::syscall::{self, Errno};

/// A descriptor's number, as [`MmapAsRawDesc`] has it.
pub type MmapRawDescriptor = RawFd;

/// What can be mapped: a reference to anything with a descriptor, or its number.
#[cfg_attr(
    not(feature = "std"),
    diagnostic::on_unimplemented(
        message = "`{Self}` cannot be mapped: it has no file descriptor of `baremap::fd`",
        note = "the feature `std` of `baremap` makes the standard library's files and descriptors \
                those of `baremap::fd`"
    )
)]
pub trait MmapAsRawDesc {
    /// The descriptor's number.
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

pub(super) fn borrow<'fd>(fd: RawFd) -> syscall::Result<BorrowedFd<'fd>> {
    if fd == -1 {
        return Err(Errno::EBADF);
    }
    // SAFETY: for one call each, which fails if it is not open.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

pub(super) fn duplicate(file: BorrowedFd<'_>) -> syscall::Result<OwnedFd> {
    // SAFETY: takes a number, and returns a descriptor that is nobody else's.
    unsafe {
        let fd = syscall::fcntl(file, F_DUPFD_CLOEXEC, 0)?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}
