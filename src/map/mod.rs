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

mod backing;
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
    Advice, FlushOptions, Memfd, Mmap, MmapAsRawDesc, MmapMut, MmapOptions, MmapRaw,
    MmapRawDescriptor, RemapOptions, UncheckedAdvice, advise_process,
};
pub use space::{Arena, Code, CodeMut, Map, Placed, Reservation, ReservationHandle, Ring};

pub(crate) use guarded::unreadable;
pub(crate) use region::Region;
