//! A position in a mapped file, with the standard library's traits.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::{Fault, FileMap};

/// A place in a map, from which to read and write: see [`FileMap::cursor`].
///
/// Writing ends where the map does.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    pub(super) map: &'a FileMap,
    pub(super) position: u64,
}

impl Cursor<'_> {
    /// Bytes before a fault count; it is told when it comes first.
    fn advance(&mut self, result: Result<usize, Fault>) -> io::Result<usize> {
        let count = match result {
            Err(fault) if fault.done == 0 => return Err(fault.into()),
            Err(fault) => fault.done,
            Ok(count) => count,
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.map.read_at(buffer, self.position);
        self.advance(result)
    }
}

impl Write for Cursor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.map.write_at(bytes, self.position);
        self.advance(result)
    }

    /// Writes back to the disk.
    fn flush(&mut self) -> io::Result<()> {
        Ok(self.map.flush()?)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => (self.map.len() as u64).checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "a seek before the start");
        self.position = position.ok_or_else(invalid)?;
        Ok(self.position)
    }
}
