//! Guarded access: a page that is missing is an error instead of a signal.

mod file_map;
pub mod guard;
mod watch;

#[cfg(feature = "std")]
pub use file_map::Cursor;
pub use file_map::{Chunks, Fault, FileMap};

pub(crate) use file_map::unreadable;
