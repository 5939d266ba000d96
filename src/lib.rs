//! Memory-mapped files on Linux without libc and without fear.
//!
//! Three things in one package, each on top of the one before:
//!
//! * [`syscall`]: the kernel's calls, typed, 64-bit clean on every architecture,
//!   with nothing between them and the kernel;
//! * [`map`]: mappings that own their memory;
//! * [`copy`]: the file copy of *The Linux Programming Interface*, exercise 49-1,
//!   which loses nothing when something goes wrong. The program `mapcp` is its
//!   command line.
//!
//! The crate is `no_std` and links into any program. With a standard library:
//!
//! ```
//! use baremap::{map::MmapOptions, syscall};
//!
//! let fd = syscall::open(c"Cargo.toml", syscall::OFlags::RDONLY, syscall::Mode::empty())?;
//! let length = syscall::fstat(fd.as_fd())?.size;
//! let map = MmapOptions::new().len(length as usize).map_raw_read_only(fd.as_fd())?;
//! # use baremap::fd::AsFd;
//! assert_eq!(map.len() as u64, length);
//! # Ok::<(), baremap::map::Error>(())
//! ```
//!
//! With nothing at all, `entry!` makes a whole program out of a `main`; `rt`
//! is its runtime, from the first instruction to the exit status.
//!
//! # Features
//!
//! * `mapcp` (default): the program of that name. It changes nothing about the library.
//! * `alloc`: `alloc::Allocator`, with which a freestanding program has `Vec`, `String` and
//!   the like.
//! * `std`: the descriptor types of [`fd`] are those of the standard library, and every error
//!   converts to `std::io::Error`. A freestanding program cannot have it.
//! * `stable_deref_trait`: [`Mmap`] and [`MmapMut`] implement the trait of that name.

#![no_std]
// Inline assembly is not yet stable there.
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]
#![warn(
    missing_debug_implementations,
    missing_docs,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use
)]

// Other kernels number their calls differently: Linux's `close` is FreeBSD's `read`.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
compile_error!("baremap supports only Linux and Android, because it makes Linux's system calls");

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(feature = "alloc")]
pub mod alloc;
#[path = "../arch/mod.rs"]
mod arch;
pub mod copy;
mod decimal;
pub mod fd;
#[cfg(test)]
mod fuzz;
pub mod map;
pub mod rt;
pub mod syscall;

pub use map::{
    Advice, FileMap, MapIfSafeError, Mmap, MmapAsRawDesc, MmapMut, MmapOptions, MmapRaw,
    MmapRawDescriptor, RemapOptions, UncheckedAdvice,
};

#[doc = include_str!("../docs/soundness.md")]
#[cfg(doc)]
pub mod soundness {}

#[doc = include_str!("../docs/coming-from-memmap2.md")]
#[cfg(all(doc, any(feature = "std", not(doctest))))] // its examples use std's files
pub mod coming_from_memmap2 {}
