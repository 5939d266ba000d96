//! A mapped file's bytes, one buffer at a time.

use core::fmt;

use super::{Fault, FileMap};

/// A map's bytes, one buffer at a time: see [`FileMap::chunks`].
pub struct Chunks<'a> {
    pub(super) map: &'a FileMap,
    pub(super) buffer: &'a mut [u8],
    pub(super) offset: u64,
}

impl fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks")
            .field("map", self.map)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl Chunks<'_> {
    /// Returns the next bytes and their offset, or `None` at the end.
    ///
    /// # Errors
    ///
    /// A page is missing. The bytes before it are there first.
    #[allow(clippy::should_implement_trait, reason = "the bytes are lent: no iterator can")]
    pub fn next(&mut self) -> core::result::Result<Option<(u64, &[u8])>, Fault> {
        let start = self.offset;
        let count = match self.map.read_at(self.buffer, start) {
            Err(fault) if fault.done == 0 => return Err(fault),
            Err(fault) => fault.done,
            Ok(0) => return Ok(None),
            Ok(count) => count,
        };
        self.offset += count as u64;
        Ok(Some((start, &self.buffer[..count])))
    }
}
