//! File descriptors: owned and borrowed.
//!
//! The names and the methods are those of `std::os::fd`, and with the feature
//! `std` they are those very types, so that a `File` can be passed wherever a
//! descriptor is asked for.

#[cfg(feature = "std")]
pub use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

#[cfg(not(feature = "std"))]
pub use own::*;

use linux_raw_sys::general::AT_FDCWD;

/// The working directory, where a directory's descriptor is asked for.
///
/// It is not a descriptor: of the calls that take one, only those whose names end
/// in `at` understand it.
// SAFETY: the kernel never gives the number −100 to a file, so nothing can close it.
pub const CWD: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(AT_FDCWD) };

#[cfg(not(feature = "std"))]
mod own {
    use core::{fmt, marker::PhantomData, mem};

    use linux_raw_sys::general::F_DUPFD_CLOEXEC;

    use crate::syscall::{self, Result};

    /// A descriptor's number.
    pub type RawFd = i32;

    /// A descriptor that is closed when this is dropped.
    ///
    /// An error from closing is lost; [`close`](crate::syscall::close) tells it.
    #[repr(transparent)]
    pub struct OwnedFd(RawFd);

    /// A descriptor that someone else closes, not before `'fd` ends.
    #[derive(Clone, Copy)]
    #[repr(transparent)]
    pub struct BorrowedFd<'fd>(RawFd, PhantomData<&'fd OwnedFd>);

    /// Has a descriptor to lend.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` has no file descriptor of `baremap::fd`",
        note = "the feature `std` of `baremap` makes the standard library's files and descriptors \
                those of `baremap::fd`"
    )]
    pub trait AsFd {
        /// Lends the descriptor.
        fn as_fd(&self) -> BorrowedFd<'_>;
    }

    /// Has a descriptor's number to tell.
    pub trait AsRawFd {
        /// The number, which is of use only while the descriptor stays open.
        fn as_raw_fd(&self) -> RawFd;
    }

    /// Is made of a descriptor.
    pub trait FromRawFd {
        /// Takes the descriptor over.
        ///
        /// # Safety
        ///
        /// `fd` is open and nobody else closes it.
        unsafe fn from_raw_fd(fd: RawFd) -> Self;
    }

    /// Gives its descriptor away.
    pub trait IntoRawFd {
        /// The number; closing it is now the caller's task.
        fn into_raw_fd(self) -> RawFd;
    }

    impl BorrowedFd<'_> {
        /// Borrows a descriptor by its number.
        ///
        /// # Safety
        ///
        /// `fd` stays open as long as the lifetime says, and is not −1.
        #[must_use]
        pub const unsafe fn borrow_raw(fd: RawFd) -> Self {
            BorrowedFd(fd, PhantomData)
        }
    }

    impl BorrowedFd<'_> {
        /// Duplicates the descriptor, as [`OwnedFd::try_clone`] does.
        ///
        /// # Errors
        ///
        /// `EMFILE` if the process has as many descriptors as it may. `EBADF` if this is
        /// [`CWD`](super::CWD).
        pub fn try_clone_to_owned(&self) -> Result<OwnedFd> {
            // SAFETY: the command takes a number, and the new descriptor is not used elsewhere.
            unsafe {
                let fd = syscall::fcntl(*self, F_DUPFD_CLOEXEC, FIRST as usize)?;
                Ok(OwnedFd::from_raw_fd(fd as RawFd))
            }
        }
    }

    /// The lowest number of a duplicate, as in the standard library: the standard descriptors
    /// may be closed, and no other file may take their place.
    const FIRST: RawFd = 3;

    impl OwnedFd {
        /// Duplicates the descriptor. Both have one position, one set of status flags and one
        /// lock. The duplicate is closed when another program is executed.
        ///
        /// # Errors
        ///
        /// `EMFILE` if the process has as many descriptors as it may.
        pub fn try_clone(&self) -> Result<OwnedFd> {
            self.as_fd().try_clone_to_owned()
        }
    }

    impl Drop for OwnedFd {
        fn drop(&mut self) {
            // SAFETY: the descriptor was ours alone, and is not used again.
            let _ = unsafe { crate::syscall::close_raw(self.0) };
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
