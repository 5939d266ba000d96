//! Maps that are sealed: mapped until the process ends.

use core::{
    mem::ManuallyDrop,
    result,
    slice::{from_raw_parts, from_raw_parts_mut},
};

use crate::map::{ConversionError, Mmap, MmapMut};

impl Mmap {
    /// Seals the map: until the process ends nobody can unmap it, move it, map over it or
    /// make it writable, be it by mistake or with intent. (What is in a file can change, as
    /// ever.)
    ///
    /// ```no_run
    /// use baremap::map::MmapMut;
    ///
    /// let mut map = MmapMut::map_anon(4096)?;
    /// map[..5].copy_from_slice(b"table");
    /// let table: &'static [u8] = map.make_read_only()?.seal()?;
    /// # Ok::<(), baremap::map::Error>(())
    /// ```
    ///
    /// No bytes: nothing to seal. Source: mseal(2).
    ///
    /// # Errors
    ///
    /// The map comes back with `ENOSYS` before Linux 6.10, `ENOSYS` or `EPERM` on kernels of 32
    /// bits: not sealed. With `ENOMEM` (too many mappings) it is sealed perhaps in part.
    pub fn seal(mut self) -> result::Result<&'static [u8], ConversionError<Mmap>> {
        if let Err(errno) = self.0.seal() {
            return Err(ConversionError { map: self, errno });
        }
        let map = ManuallyDrop::new(self);
        // SAFETY: as in `deref`; and it is never unmapped.
        Ok(unsafe { from_raw_parts(map.0.ptr(), map.0.len()) })
    }
}

impl MmapMut {
    /// Seals the map, as [`Mmap::seal`] does; it stays writable for good.
    ///
    /// # Errors
    ///
    /// Those.
    pub fn seal(mut self) -> result::Result<&'static mut [u8], ConversionError<MmapMut>> {
        if let Err(errno) = self.0.seal() {
            return Err(ConversionError { map: self, errno });
        }
        let map = ManuallyDrop::new(self);
        // SAFETY: as in `deref_mut`; it is never unmapped, and the map that could lend it
        // once more is gone.
        Ok(unsafe { from_raw_parts_mut(map.0.ptr(), map.0.len()) })
    }
}
