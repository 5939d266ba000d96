//! Guarded access: a missing page is an error instead of a signal.

mod access;
mod address_tree;
mod chunks;
#[cfg(feature = "std")]
mod cursor;
mod fault;
mod file_map;
pub mod guard;
mod guarded_mmap;
mod handler;
mod pool;
mod slice;
mod watch;

pub use chunks::Chunks;
#[cfg(feature = "std")]
pub use cursor::Cursor;
pub use fault::Fault;
pub use file_map::FileMap;
pub use guarded_mmap::GuardedMmap;

pub(crate) use fault::unreadable;
