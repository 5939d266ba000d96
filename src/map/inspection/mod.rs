//! Inspection: the mappings of a process, and which of their pages are in memory.

mod maps;
#[cfg(test)]
mod model_tests;
mod residency;

pub use maps::{Mapping, Maps, maps, maps_of};
pub use residency::{PageFlags, Pagemap, Residency, Run, pagemap, residency};
