//! memmap2's interface on top of baremap.

mod advice;
mod error;
mod map;
mod options;

pub use advice::{Advice, UncheckedAdvice};
pub use error::MapIfSafeError;
pub use map::{Mmap, MmapMut, MmapRaw, RemapOptions};
pub use options::{MmapAsRawDesc, MmapOptions, MmapRawDescriptor};
