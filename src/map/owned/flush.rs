//! The options of writing a map back to its file.

use crate::syscall::MsyncFlags;

/// Options for writing a map back to its file with
/// [`MmapMut::flush_with`](crate::map::MmapMut::flush_with).
///
/// Source: msync(2).
///
/// ```
/// use baremap::{MmapMut, map::FlushOptions};
///
/// let map = MmapMut::map_anon(10_000)?;
/// map.flush_with(FlushOptions::new().range(100, 50).invalidate())?;
/// # Ok::<(), baremap::map::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FlushOptions {
    pub(super) range: Option<(usize, usize)>,
    pub(super) flags: MsyncFlags,
}

impl FlushOptions {
    /// Creates options that write back the whole map, and wait for the disk (`MS_SYNC`).
    #[must_use]
    pub const fn new() -> FlushOptions {
        FlushOptions { range: None, flags: MsyncFlags::SYNC }
    }

    /// Restricts writing back to the pages that contain `len` bytes from `offset` on. A length of
    /// zero writes nothing back.
    #[must_use]
    pub const fn range(mut self, offset: usize, len: usize) -> FlushOptions {
        self.range = Some((offset, len));
        self
    }

    /// Does not wait for the disk (`MS_ASYNC`).
    ///
    /// This is a no-op, because Linux writes changed pages back in its own time.
    #[must_use]
    pub const fn asynchronous(mut self) -> FlushOptions {
        self.flags = self.flags.difference(MsyncFlags::SYNC).union(MsyncFlags::ASYNC);
        self
    }

    /// Makes other mappings of the file see the changes (`MS_INVALIDATE`).
    ///
    /// Linux always does so. The only effect is that
    /// [`flush_with`](crate::map::MmapMut::flush_with) returns `EBUSY` if the pages are locked.
    #[must_use]
    pub const fn invalidate(mut self) -> FlushOptions {
        self.flags = self.flags.union(MsyncFlags::INVALIDATE);
        self
    }
}

impl Default for FlushOptions {
    fn default() -> FlushOptions {
        FlushOptions::new()
    }
}
