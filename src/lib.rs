//! Memory-mapped files on Linux without libc and without `SIGBUS`.
//!
//! A mapped file is fast until another process truncates it, or its disk fills up: then the next
//! access is `SIGBUS`, and the process is killed. [`FileMap`] returns an error instead:
//!
#![cfg_attr(feature = "std", doc = "```")]
#![cfg_attr(not(feature = "std"), doc = "```ignore")]
//! use baremap::FileMap;
//!
//! let map = FileMap::new(std::fs::File::open("Cargo.toml")?)?;
//! let mut start = [0; 9];
//! match map.read_at(&mut start, 0) {
//!     Ok(count) => println!("{:?}", &start[..count]),
//!     // The file was truncated, or the disk failed.
//!     // With a plain mapping, the process is killed.
//!     Err(fault) => println!("{} bytes, and then: {fault}", fault.done()),
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Is this for me?
//!
//! * **You map files that others may truncate**: [`FileMap`] copies bytes in and out and needs no
//!   `unsafe`; [`FileMap::with_slice`] lends a `&[u8]`, and [`GuardedMmap`](map::GuardedMmap) is one
//!   for its whole life. The chapter [`soundness`] lists the
//!   guarantees, and what is not guaranteed. The first `FileMap` installs a handler for `SIGBUS`
//!   and `SIGSEGV`, which chains to the previous handler: see [`map::guard`].
//! * **You use memmap2**: [`Mmap`], [`MmapMut`], [`MmapRaw`] and [`MmapOptions`] have the names and
//!   methods of memmap2's types, and the crate `baremap-memmap2` replaces memmap2 by a change of
//!   one line in `Cargo.toml`. The chapter `coming_from_memmap2` lists the differences.
//! * **You write programs without libc**: [`entry!`] makes a whole program out of a `main`, and
//!   [`rt`] is the program's runtime, from the first instruction to the exit status.
//! * **You want raw system calls**: [`syscall`] contains a typed function for each, with 64-bit
//!   sizes and offsets on every architecture.
//! * **You copy files**: [`copy`] copies a file by mapping it (*The Linux Programming Interface*,
//!   exercise 49-1), and leaves the old destination unchanged if the copy fails. The program
//!   `mapcp` is its command line.
//!
//! The crate is `no_std` and links into any program on Linux or Android. It does not compile for
//! other systems.
//!
//! # Features
//!
//! Features only add, with one exception: with `std`, the descriptor types of [`fd`] are the
//! standard library's own types, with the standard library's methods (`try_clone` returns
//! `std::io::Error`).
//!
//! * `std`: the standard library's descriptor types, so that a `std::fs::File` can be mapped, and
//!   conversions of errors to `std::io::Error`.
//! * `alloc`: a global allocator, so that a freestanding program can use `Vec`, `String` and the
//!   other types of the crate `alloc`.
//! * `stable_deref_trait`: [`Mmap`], [`MmapMut`] and [`GuardedMmap`](map::GuardedMmap)
//!   implement the trait `StableDeref`.
//! * `mapcp` (default): the program `mapcp`. The feature does not change the library.

#![no_std]
// Inline assembly is not yet stable on every architecture: `baremap-build` lists them.
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]
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
mod errno;
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
