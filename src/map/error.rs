//! The errors of maps.

use core::{fmt, result};

use crate::syscall::Errno;

/// The error type of this module's functions, with and without the feature `std`.
///
/// With the feature `std`, `?` converts it to a `std::io::Error` with this error number.
pub type Error = Errno;

/// The result type of this module's functions, with and without the feature `std`.
pub type Result<T> = result::Result<T, Errno>;

/// A failed conversion. Returns the original value so that it can still be used.
///
/// A map could not change its kind, be sealed or be placed; or a reservation could not be merged
/// or become an arena.
///
/// `?` converts it to an [`Errno`], or to a `std::io::Error` with the feature `std`, and drops the
/// original value.
pub struct ConversionError<M> {
    pub(super) map: M,
    pub(super) errno: Errno,
}

impl<M> ConversionError<M> {
    /// Returns the original value, unchanged unless the function that failed documents a change.
    pub fn into_inner(self) -> M {
        self.map
    }

    /// Returns the error number, which the `# Errors` section of the function that failed explains.
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl<M> fmt::Debug for ConversionError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConversionError").field(&self.errno).finish()
    }
}

impl<M> fmt::Display for ConversionError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.errno.fmt(f)
    }
}

impl<M> core::error::Error for ConversionError<M> {}

impl<M> From<ConversionError<M>> for Errno {
    fn from(error: ConversionError<M>) -> Errno {
        error.errno
    }
}

#[cfg(feature = "std")]
impl<M> From<ConversionError<M>> for std::io::Error {
    fn from(error: ConversionError<M>) -> Self {
        error.errno.into()
    }
}

/// The reason why [`map_if_safe`](super::MmapOptions::map_if_safe) did not map a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapIfSafeError {
    /// The file can be changed or truncated, or it is shorter than the requested range.
    NotSafe,
    /// Examining the file, or mapping a file that cannot be changed, failed with this error.
    MapFailed(Errno),
}

impl MapIfSafeError {
    /// Returns whether the operating system has no files that are safe to map. Always `false` on
    /// Linux.
    #[must_use]
    pub fn not_supported(&self) -> bool {
        false
    }

    /// Returns whether the file can be changed or truncated, or is shorter than the requested
    /// range.
    #[must_use]
    pub fn not_safe(&self) -> bool {
        *self == MapIfSafeError::NotSafe
    }

    /// Returns whether examining the file, or mapping a file that is safe, failed.
    #[must_use]
    pub fn map_failed(&self) -> bool {
        !self.not_safe()
    }
}

impl fmt::Display for MapIfSafeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapIfSafeError::NotSafe => f.write_str("the file could be changed while it is mapped"),
            MapIfSafeError::MapFailed(errno) => errno.fmt(f),
        }
    }
}

impl core::error::Error for MapIfSafeError {}

impl From<MapIfSafeError> for Errno {
    /// Converts [`NotSafe`](MapIfSafeError::NotSafe) to `EINVAL`, and
    /// [`MapFailed`](MapIfSafeError::MapFailed) to its error number.
    fn from(error: MapIfSafeError) -> Errno {
        match error {
            MapIfSafeError::NotSafe => Errno::EINVAL,
            MapIfSafeError::MapFailed(errno) => errno,
        }
    }
}

#[cfg(feature = "std")]
impl From<MapIfSafeError> for std::io::Error {
    /// Converts [`NotSafe`](MapIfSafeError::NotSafe) to an error of the kind `InvalidInput`, and
    /// [`MapFailed`](MapIfSafeError::MapFailed) to the error with its error number.
    fn from(error: MapIfSafeError) -> Self {
        match error {
            MapIfSafeError::NotSafe => std::io::Error::new(std::io::ErrorKind::InvalidInput, error),
            MapIfSafeError::MapFailed(errno) => errno.into(),
        }
    }
}
