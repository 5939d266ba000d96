//! What is written back to a file, and how.

use crate::syscall::MsyncFlags;

/// What is written back to a file, and how. Source: msync(2).
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
    /// All of it, waiting for the disk.
    #[must_use]
    pub const fn new() -> FlushOptions {
        FlushOptions { range: None, flags: MsyncFlags::SYNC }
    }

    /// Only the pages that have bytes of this range.
    #[must_use]
    pub const fn range(mut self, offset: usize, len: usize) -> FlushOptions {
        self.range = Some((offset, len));
        self
    }

    /// Without waiting (`MS_ASYNC`), which on Linux is without doing anything.
    #[must_use]
    pub const fn asynchronous(mut self) -> FlushOptions {
        self.flags = self.flags.difference(MsyncFlags::SYNC).union(MsyncFlags::ASYNC);
        self
    }

    /// Other mappings of the file see the changes (`MS_INVALIDATE`), which on Linux they
    /// do anyway; but it is an error if the pages are locked.
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
