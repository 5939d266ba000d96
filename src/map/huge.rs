//! Huge pages, if there are any.

use super::{Advice, MmapMut, MmapOptions, Reservation, Result};
use crate::syscall::Errno;

impl MmapMut {
    /// Maps memory, all of it zero, with huge pages of two to the power of `page_bits` bytes
    /// (21: 2 MiB) if the system has enough of them left; and otherwise ordinary memory that
    /// begins at a multiple of their size, of which the kernel may make huge pages as it
    /// goes (`MADV_HUGEPAGE`). Zero bytes map nothing.
    ///
    /// ```
    /// use baremap::map::MmapMut;
    ///
    /// let mut map = MmapMut::map_anon_huge(3 << 20, 21)?;
    /// map[(3 << 20) - 1] = 1;
    /// # Ok::<(), baremap::map::Error>(())
    /// ```
    ///
    /// Either way the mapping takes whole huge pages, though ordinary memory is only used
    /// where it is written to. [`MmapOptions::huge`] takes nothing but huge ones.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory, or addresses. `EOVERFLOW`: more than `isize::MAX` bytes.
    /// `EINVAL`: two to this power is no `usize`.
    pub fn map_anon_huge(len: usize, page_bits: u8) -> Result<MmapMut> {
        let size = 1usize.checked_shl(page_bits.into()).ok_or(Errno::EINVAL)?;
        // Whatever the reason is that there are none: if it is another one, it will be that
        // of what follows as well.
        if let Ok(map) = MmapOptions::new().len(len).huge(Some(page_bits)).map_anon() {
            return Ok(map);
        }
        let whole = len.checked_next_multiple_of(size).ok_or(Errno::EOVERFLOW)?;
        let mut memory = Reservation::aligned(whole, size)?;
        memory.commit(0..whole)?;
        let map = MmapMut(memory.into_region(len, size));
        // `EINVAL` of a kernel that makes none: the memory is good all the same.
        let _ = map.advise(Advice::HugePage);
        Ok(map)
    }
}
