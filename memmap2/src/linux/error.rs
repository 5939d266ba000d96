//! The error type of `map_if_safe`.

use std::{error, fmt, io};

/// The reason why [`map_if_safe`](crate::MmapOptions::map_if_safe) did not map a file.
#[derive(Debug)]
pub struct MapIfSafeError(pub(super) Reason);

#[derive(Debug)]
pub(super) enum Reason {
    NotSafe,
    MapFailed(io::Error),
}

impl MapIfSafeError {
    /// Returns whether the operating system has no files that are safe to map. Always `false` on
    /// Linux.
    pub fn not_supported(&self) -> bool {
        false
    }

    /// Returns whether the file can be changed or truncated, or is shorter than the requested
    /// range.
    pub fn not_safe(&self) -> bool {
        matches!(self.0, Reason::NotSafe)
    }

    /// Returns whether examining the file, or mapping a file that is safe, failed.
    pub fn map_failed(&self) -> bool {
        matches!(self.0, Reason::MapFailed(_))
    }
}

impl fmt::Display for MapIfSafeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::NotSafe => baremap::MapIfSafeError::NotSafe.fmt(f),
            Reason::MapFailed(error) => error.fmt(f),
        }
    }
}

impl error::Error for MapIfSafeError {}

impl From<MapIfSafeError> for io::Error {
    fn from(error: MapIfSafeError) -> io::Error {
        match error.0 {
            Reason::NotSafe => baremap::MapIfSafeError::NotSafe.into(),
            Reason::MapFailed(error) => error,
        }
    }
}
