//! Owned maps: the types and options of memmap2, and those that only Linux has.

mod advice;
mod descriptor;
mod flush;
mod memfd;
mod options;
mod remap;
mod sealed;
mod special;
mod types;

pub use advice::{Advice, UncheckedAdvice, advise_process};
pub use descriptor::{MmapAsRawDesc, MmapRawDescriptor};
pub use flush::FlushOptions;
pub use memfd::Memfd;
pub use options::MmapOptions;
pub use remap::RemapOptions;
pub use types::{Mmap, MmapMut, MmapRaw};

pub(super) use descriptor::duplicate;
pub(super) use memfd::memfd;
