//! Maps that own their memory: memmap2's types and options, and what Linux adds to them.

mod advice;
mod memfd;
mod options;
mod special;
mod types;

pub use advice::{Advice, UncheckedAdvice};
pub use memfd::Memfd;
pub use options::{MmapAsRawDesc, MmapOptions, MmapRawDescriptor};
pub use special::advise_process;
pub use types::{Mmap, MmapMut, MmapRaw};

pub(super) use memfd::memfd;
pub(super) use options::{map_file, size, unit};
