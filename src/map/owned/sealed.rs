//! Sealed maps, which stay mapped until the process ends.

use core::{
    mem::ManuallyDrop,
    result,
    slice::{from_raw_parts, from_raw_parts_mut},
};

use crate::map::{ConversionError, Mmap, MmapMut};

impl Mmap {
    /// Seals the map, so that it can neither be unmapped, moved, replaced nor made writable until
    /// the process ends.
    ///
    /// Sealing does not protect the contents of a file from being changed through the file: the
    /// obligations of the function that mapped the file hold until the process ends. A map of zero
    /// bytes is not sealed but unmapped.
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
    /// Source: mseal(2).
    ///
    /// # Errors
    ///
    /// The error contains the map.
    ///
    /// * `ENOSYS` before Linux 6.10. The map is not sealed.
    /// * `ENOSYS` or `EPERM` on 32-bit kernels. The map is not sealed.
    /// * `ENOMEM` if the process has too many mappings (`vm.max_map_count`). Part of the map may be
    ///   sealed.
    #[doc(alias = "mseal")]
    pub fn seal(mut self) -> result::Result<&'static [u8], ConversionError<Mmap>> {
        if let Err(errno) = self.0.seal() {
            return Err(ConversionError { map: self, errno });
        }
        let map = ManuallyDrop::new(self);
        // SAFETY: the pages are mapped, readable, and never unmapped. The contract of the function
        // that mapped the file excludes changes.
        Ok(unsafe { from_raw_parts(map.0.ptr(), map.0.len()) })
    }
}

impl MmapMut {
    /// Seals the map, so that it can neither be unmapped, moved, replaced nor made read-only until
    /// the process ends.
    ///
    /// The obligations of the function that mapped a file hold until then. A map of zero bytes is
    /// not sealed but unmapped. Source: mseal(2).
    ///
    /// # Errors
    ///
    /// The error contains the map.
    ///
    /// * `ENOSYS` before Linux 6.10. The map is not sealed.
    /// * `ENOSYS` or `EPERM` on 32-bit kernels. The map is not sealed.
    /// * `ENOMEM` if the process has too many mappings (`vm.max_map_count`). Part of the map may be
    ///   sealed.
    #[doc(alias = "mseal")]
    pub fn seal(mut self) -> result::Result<&'static mut [u8], ConversionError<MmapMut>> {
        if let Err(errno) = self.0.seal() {
            return Err(ConversionError { map: self, errno });
        }
        let map = ManuallyDrop::new(self);
        // SAFETY: the pages are mapped, writable, and never unmapped. The map that could create
        // another reference is consumed.
        Ok(unsafe { from_raw_parts_mut(map.0.ptr(), map.0.len()) })
    }
}
