//! Maps files and memory, and unmaps them when the map is dropped.
//!
//! This module has four parts. Errors are [`Errno`](crate::syscall::Errno), with and without the
//! feature `std`. Every function that maps memory also fails with `EAGAIN` if the process has
//! called mlockall(2) with `MCL_FUTURE` and the locked memory would be more than `RLIMIT_MEMLOCK`.
//!
//! # Owned maps
//!
//! [`MmapOptions`] maps a file or memory, and returns one of three types: [`Mmap`] can be read,
//! [`MmapMut`] can be read and written, and [`MmapRaw`] has pointers instead of slices. Their names
//! and methods are those of the crate memmap2. A program that uses memmap2 compiles without a
//! change with the crate `baremap-memmap2`, which has these types with `std::io` results.
//! [A chapter](crate::coming_from_memmap2) describes both. [`Memfd`] is a file in memory that can
//! be sealed, and [`MmapRaw::map_anon_shared`] maps memory that children share.
//!
//! A process that accesses one of these maps past the end of its file is killed by `SIGBUS`. The
//! program has to make sure that nobody truncates the file while it is mapped.
//!
//! # Guarded access
//!
//! [`FileMap`] maps a file that other processes may change and truncate. Its methods copy bytes
//! into and out of the map with [`guard::copy`], and return a [`Fault`] where a page is missing.
//! [`GuardedMmap`] is a slice of such a file, for code that keeps the map.
//! [A chapter](crate::soundness) describes what is promised, and what is not.
//!
//! # Address space
//!
//! A [`Reservation`] is a range of addresses in which memory is committed when it is needed, and
//! in which maps are [`Placed`]. An [`Arena`] grows inside a reservation without moving. A [`Ring`]
//! is a buffer whose memory is mapped twice, so that its contents are always one slice. [`CodeMut`]
//! is memory that code is written to. It becomes [`Code`], which can be executed.
//!
//! # Inspection
//!
//! [`maps`] lists the mappings of a process. [`residency`] and [`pagemap`] report which pages of a
//! range are in memory.

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
pub use guarded::{Chunks, Fault, FileMap, GuardedMmap, guard};
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
