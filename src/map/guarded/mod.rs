//! Guarded access: a missing page is an error instead of a signal.

mod chunks;
#[cfg(feature = "std")]
mod cursor;
mod fault;
mod file_map;
pub mod guard;
mod slice;
mod watch;

pub use chunks::Chunks;
#[cfg(feature = "std")]
pub use cursor::Cursor;
pub use fault::Fault;
pub use file_map::FileMap;

pub(crate) use fault::unreadable;
