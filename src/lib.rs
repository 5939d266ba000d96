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
//!     // Somebody truncated the file, or the disk failed. Another library is killed here.
//!     Err(fault) => println!("{} bytes, and then: {fault}", fault.done()),
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Is this for me?
//!
//! * **You map files that others may truncate**: [`FileMap`] copies bytes in and out and needs no
//!   `unsafe`; [`FileMap::with_slice`] lends a `&[u8]`. The chapter [`soundness`] says what is
//!   promised, against whom, and what is not.
//! * **You use memmap2**: [`Mmap`], [`MmapMut`], [`MmapRaw`] and [`MmapOptions`] are its types, and
//!   the crate `baremap-memmap2` takes its place by one line of `Cargo.toml`. The chapter
//!   `coming_from_memmap2` lists what differs.
//! * **You write programs without libc**: [`entry!`] makes a whole program out of a `main`, and
//!   [`rt`] is its runtime, from the first instruction to the exit status.
//! * **You want the kernel's calls**: [`syscall`] has them typed, with 64-bit sizes and offsets on
//!   every architecture, and nothing between them and the kernel.
//! * **You copy files**: [`copy`] is the mapped file copy of *The Linux Programming Interface*,
//!   exercise 49-1, which loses nothing when something goes wrong. The program `mapcp` is its
//!   command line.
//!
//! The crate is `no_std` and links into any program on Linux or Android. Elsewhere it does not
//! compile.
//!
//! # Features
//!
//! Features only add, with one exception: with `std`, the descriptor types of [`fd`] are those of
//! the standard library, with their methods (`try_clone` returns `std::io::Error`).
//!
//! * `std`: the standard library's descriptor types, so that a `std::fs::File` can be mapped, and
//!   conversions of errors to `std::io::Error`.
//! * `alloc`: a global allocator, with which a freestanding program has `Vec`, `String` and the
//!   like.
//! * `stable_deref_trait`: [`Mmap`] and [`MmapMut`] implement the trait of that name.
//! * `mapcp` (default): the program of that name. It changes nothing about the library.

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
