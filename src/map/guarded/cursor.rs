//! A position in a mapped file that implements the traits of `std::io`.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::{Fault, FileMap};

/// A position in a [`FileMap`] that implements [`Read`], [`Write`] and [`Seek`]. Created by
/// [`FileMap::cursor`].
///
/// At the end of the map, reading and writing return zero: writing does not extend the file.
/// [`flush`](Write::flush) writes changes back to the disk, like [`FileMap::flush`].
///
/// A missing page is an error of [`FileMap::read_at`] or [`FileMap::write_at`], converted to an
/// [`io::Error`].
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    pub(super) map: &'a FileMap,
    pub(super) position: u64,
}

impl Cursor<'_> {
    /// Moves the position. Bytes before a fault are a success: the next call returns the fault.
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

    /// Writes changed pages back to the disk, and waits for it.
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
