//! Reading a mapped file one buffer at a time.

use core::fmt;

use super::{Fault, FileMap};

/// Reads a [`FileMap`] one buffer at a time. Created by [`FileMap::chunks`].
///
/// It is not an [`Iterator`], because each chunk is borrowed from the buffer.
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
    /// Reads the next bytes into the buffer, and returns their offset and the bytes. Returns `None`
    /// at the end of the map.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if the page of the next byte is missing. The bytes before a missing page are
    /// returned first, by an earlier call.
    #[allow(clippy::should_implement_trait, reason = "an `Iterator` cannot return borrowed bytes")]
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
