//! Mappings that own their memory: unmapped when dropped.
//!
//! The names are those of the crate memmap2. Errors are [`Errno`](crate::syscall::Errno), in
//! programs with and without a standard library. A program that uses memmap2 compiles without
//! a change with the crate `baremap-memmap2`, which has the same types with `std::io` results;
//! [a chapter](crate::coming_from_memmap2) describes both.
//!
//! [`MmapOptions`] says what to map, and makes one of three: [`Mmap`] to be read,
//! [`MmapMut`] to be written as well, and [`MmapRaw`] with pointers instead of slices.
//!
//! None of these survives it when somebody else makes the file shorter. [`FileMap`] does: it
//! copies bytes in and out, by [`guard::copy`], and a missing page is a [`Fault`]. What is
//! promised, and what not, is told in [a chapter](crate::soundness).
//!
//! Address space as a tool: a [`Reservation`] is addresses without memory, in which memory is
//! committed and maps are [`Placed`]; an [`Arena`] grows in one, and a [`Ring`] is a buffer
//! mapped twice. [`CodeMut`] is written and becomes [`Code`], which is executed. [`Memfd`] is
//! a file in memory with seals, and [`MmapRaw::map_anon_shared`] memory shared with children.
//!
//! What is there: [`maps`] tells all mappings of a process, and [`residency`] and [`pagemap`]
//! which pages are in memory.

mod error;
mod guarded;
mod inspection;
mod owned;
mod region;
mod space;

pub use error::{ConversionError, Error, MapIfSafeError, Result};
#[cfg(feature = "std")]
pub use guarded::Cursor;
pub use guarded::{Chunks, Fault, FileMap, guard};
pub use inspection::{
    Mapping, Maps, PageFlags, Pagemap, Residency, Run, maps, maps_of, pagemap, residency,
};
pub use owned::{
    Advice, Memfd, Mmap, MmapAsRawDesc, MmapMut, MmapOptions, MmapRaw, MmapRawDescriptor,
    UncheckedAdvice, advise_process,
};
pub use space::{Addresses, Arena, Code, CodeMut, Map, Placed, Reservation, Ring};

pub(crate) use guarded::unreadable;
pub(crate) use region::Region;

use crate::syscall::MsyncFlags;

/// How a map may become longer or shorter.
///
/// ```
/// use baremap::{MmapMut, RemapOptions};
///
/// let mut map = MmapMut::map_anon(10)?;
/// map[9] = 1;
/// // SAFETY: it is memory, and not a file's, and nothing points into it.
/// unsafe { map.remap(1_000_000, RemapOptions::new().may_move(true))? };
/// assert_eq!((map.len(), map[9]), (1_000_000, 1));
/// # Ok::<(), baremap::map::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RemapOptions {
    may_move: bool,
}

impl RemapOptions {
    /// Where it is.
    #[must_use]
    pub const fn new() -> RemapOptions {
        RemapOptions { may_move: false }
    }

    /// Whether it may move to where there is room.
    #[must_use]
    pub const fn may_move(mut self, may_move: bool) -> RemapOptions {
        self.may_move = may_move;
        self
    }
}

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
    range: Option<(usize, usize)>,
    flags: MsyncFlags,
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
