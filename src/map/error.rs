//! What goes wrong with maps.

use core::{fmt, result};

use crate::syscall::Errno;

/// The error of every function of this module, with and without the feature `std`.
///
/// With that feature `?` converts it to a `std::io::Error` that has the same number.
pub type Error = Errno;

/// The result of every function of this module, with and without the feature `std`.
pub type Result<T> = result::Result<T, Errno>;

/// What could not become another thing, and is given back: a map that could not become one of
/// another kind, be sealed or placed, a reservation that could not be merged.
///
/// `?` converts it to an [`Errno`], or with the feature `std` to a `std::io::Error`, and drops
/// what it has.
pub struct ConversionError<M> {
    pub(super) map: M,
    pub(super) errno: Errno,
}

impl<M> ConversionError<M> {
    /// What was to become another thing: as it was, unless the function says otherwise.
    pub fn into_inner(self) -> M {
        self.map
    }

    /// Why: one of the errors that the function tells.
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

/// Why [`map_if_safe`](super::MmapOptions::map_if_safe) did not map a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapIfSafeError {
    /// Somebody could change the file, or make it shorter than what was to be mapped.
    NotSafe,
    /// Nobody could, but mapping it failed.
    MapFailed(Errno),
}

impl MapIfSafeError {
    /// Whether no file can be mapped so: never on Linux.
    #[must_use]
    pub fn not_supported(&self) -> bool {
        false
    }

    /// Whether this file cannot.
    #[must_use]
    pub fn not_safe(&self) -> bool {
        *self == MapIfSafeError::NotSafe
    }

    /// Whether it could, but mapping it failed.
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

/// A file that is not safe is `EINVAL`.
impl From<MapIfSafeError> for Errno {
    fn from(error: MapIfSafeError) -> Errno {
        match error {
            MapIfSafeError::NotSafe => Errno::EINVAL,
            MapIfSafeError::MapFailed(errno) => errno,
        }
    }
}

#[cfg(feature = "std")]
impl From<MapIfSafeError> for std::io::Error {
    fn from(error: MapIfSafeError) -> Self {
        match error {
            MapIfSafeError::NotSafe => std::io::Error::new(std::io::ErrorKind::InvalidInput, error),
            MapIfSafeError::MapFailed(errno) => errno.into(),
        }
    }
}
