//! Defines owned and borrowed file descriptors, with the interface of `std::os::fd`.
//!
//! With the feature `std`, the types and traits are the standard library's own, so that a `File`
//! can be passed wherever a descriptor is expected.

#[cfg(feature = "std")]
pub use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

#[cfg(not(feature = "std"))]
pub use own::*;

use linux_raw_sys::general::AT_FDCWD;

use crate::arch::{nr, syscall1};
use crate::errno::{Errno, Result};

/// Stands for the working directory where a call takes the descriptor of a directory
/// (`AT_FDCWD`).
///
/// It is not a descriptor. Only calls that take a directory and a path accept it, such as
/// [`openat`](crate::syscall::openat) and [`statx`](crate::syscall::statx()); all other calls fail
/// with `EBADF`.
// SAFETY: the kernel never returns −100 as a descriptor, so nothing can close it.
pub const CWD: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(AT_FDCWD) };

/// Closes a descriptor by its number.
///
/// # Safety
///
/// * The caller owns the descriptor, and does not use it again.
#[inline(never)]
pub(crate) unsafe fn close(fd: RawFd) -> Result<()> {
    // SAFETY: the caller owns the descriptor.
    Errno::check(unsafe { syscall1(nr::close, fd as usize) }).map(drop)
}

#[cfg(not(feature = "std"))]
mod own {
    use core::{fmt, marker::PhantomData, mem};

    use linux_raw_sys::general::F_DUPFD_CLOEXEC;

    use crate::arch::{nr, syscall3};
    use crate::errno::{Errno, Result};

    /// The number of a file descriptor.
    pub type RawFd = i32;

    /// An owned file descriptor, which is closed when the value is dropped.
    ///
    /// Dropping ignores an error of `close(2)`; [`close`](crate::syscall::close) returns it.
    #[repr(transparent)]
    pub struct OwnedFd(RawFd);

    /// A borrowed file descriptor, which stays open during `'fd` and is not closed when the
    /// value is dropped.
    #[derive(Clone, Copy)]
    #[repr(transparent)]
    pub struct BorrowedFd<'fd>(RawFd, PhantomData<&'fd OwnedFd>);

    /// A type that can lend a file descriptor.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` has no file descriptor of `baremap::fd`",
        note = "the feature `std` of `baremap` makes the standard library's files and descriptors \
                those of `baremap::fd`"
    )]
    pub trait AsFd {
        /// Borrows the file descriptor.
        fn as_fd(&self) -> BorrowedFd<'_>;
    }

    /// A type that owns or borrows a raw file descriptor.
    pub trait AsRawFd {
        /// Returns the number of the file descriptor, which is valid while the descriptor is
        /// open.
        fn as_raw_fd(&self) -> RawFd;
    }

    /// A type that can be constructed from a raw file descriptor.
    pub trait FromRawFd {
        /// Constructs a value that owns the file descriptor.
        ///
        /// # Safety
        ///
        /// * `fd` is open.
        /// * No other code owns `fd` or closes it.
        unsafe fn from_raw_fd(fd: RawFd) -> Self;
    }

    /// A type that can give up the ownership of its file descriptor.
    pub trait IntoRawFd {
        /// Returns the number of the file descriptor, which the caller must close.
        fn into_raw_fd(self) -> RawFd;
    }

    impl BorrowedFd<'_> {
        /// Borrows a file descriptor by its number.
        ///
        /// # Safety
        ///
        /// * `fd` stays open during the lifetime of the result.
        /// * `fd` is not −1.
        #[must_use]
        pub const unsafe fn borrow_raw(fd: RawFd) -> Self {
            BorrowedFd(fd, PhantomData)
        }
    }

    impl BorrowedFd<'_> {
        /// Duplicates the file descriptor.
        ///
        /// Both descriptors share one position, one set of status flags and one lock. The
        /// duplicate is closed on `execve`, and its number is at least 3.
        ///
        /// # Errors
        ///
        /// * `EMFILE` if the process has reached its limit of descriptors.
        /// * `EBADF` if the descriptor is [`CWD`](super::CWD).
        pub fn try_clone_to_owned(&self) -> Result<OwnedFd> {
            let (fd, command) = (self.0 as usize, F_DUPFD_CLOEXEC as usize);
            // SAFETY: the command takes a number, and the new descriptor is used nowhere else.
            unsafe {
                let fd = Errno::check(syscall3(nr::fcntl, fd, command, FIRST as usize))?;
                Ok(OwnedFd::from_raw_fd(fd as RawFd))
            }
        }
    }

    /// The lowest number of a duplicate, as in the standard library. If the program was started
    /// with closed standard descriptors, no other file takes their numbers.
    const FIRST: RawFd = 3;

    impl OwnedFd {
        /// Duplicates the file descriptor.
        ///
        /// Both descriptors share one position, one set of status flags and one lock. The
        /// duplicate is closed on `execve`, and its number is at least 3.
        ///
        /// # Errors
        ///
        /// * `EMFILE` if the process has reached its limit of descriptors.
        pub fn try_clone(&self) -> Result<OwnedFd> {
            self.as_fd().try_clone_to_owned()
        }
    }

    impl Drop for OwnedFd {
        fn drop(&mut self) {
            // SAFETY: this value owns the descriptor, and does not use it again.
            let _ = unsafe { super::close(self.0) };
        }
    }

    impl AsFd for OwnedFd {
        fn as_fd(&self) -> BorrowedFd<'_> {
            BorrowedFd(self.0, PhantomData)
        }
    }

    impl AsFd for BorrowedFd<'_> {
        fn as_fd(&self) -> BorrowedFd<'_> {
            *self
        }
    }

    impl<T: AsFd + ?Sized> AsFd for &T {
        fn as_fd(&self) -> BorrowedFd<'_> {
            T::as_fd(self)
        }
    }

    impl<T: AsFd + ?Sized> AsFd for &mut T {
        fn as_fd(&self) -> BorrowedFd<'_> {
            T::as_fd(self)
        }
    }

    impl AsRawFd for OwnedFd {
        fn as_raw_fd(&self) -> RawFd {
            self.0
        }
    }

    impl AsRawFd for BorrowedFd<'_> {
        fn as_raw_fd(&self) -> RawFd {
            self.0
        }
    }

    impl FromRawFd for OwnedFd {
        unsafe fn from_raw_fd(fd: RawFd) -> Self {
            OwnedFd(fd)
        }
    }

    impl IntoRawFd for OwnedFd {
        fn into_raw_fd(self) -> RawFd {
            mem::ManuallyDrop::new(self).0
        }
    }

    impl fmt::Debug for OwnedFd {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("OwnedFd").field("fd", &self.0).finish()
        }
    }

    impl fmt::Debug for BorrowedFd<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("BorrowedFd").field("fd", &self.0).finish()
        }
    }
}
