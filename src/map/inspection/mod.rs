//! Inspection: the mappings of a process, and which pages of them are in memory.

mod mapping;
mod maps;
#[cfg(test)]
mod model_tests;
mod pagemap;
mod residency;
mod runs;

pub use mapping::Mapping;
pub use maps::{Maps, maps, maps_of};
pub use pagemap::{PageFlags, Pagemap, pagemap};
pub use residency::{Residency, residency};
pub use runs::Run;
