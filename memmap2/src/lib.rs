//! The interface of [memmap2] 0.9 on top of [baremap].
//!
//! A program or a library that uses memmap2 uses this crate after a change of one line in its
//! `Cargo.toml`, without a change to its source:
//!
//! ```toml
//! memmap2 = { package = "baremap-memmap2", version = "0.9" }
//! ```
//!
//! ```
//! use memmap2::{Advice, Mmap, MmapMut};
//! use std::fs::File;
//!
//! let file = File::open("Cargo.toml")?;
//! // SAFETY: nobody changes or truncates the file while it is mapped.
//! let map = unsafe { Mmap::map(&file)? };
//! map.advise(Advice::Sequential)?;
//! assert!(map.starts_with(b"[package]"));
//!
//! let mut memory = MmapMut::map_anon(4096)?;
//! memory[0] = 1;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! All names and traits are memmap2's, and fallible functions return [`std::io::Result`]. An error
//! contains the kernel's error number ([`raw_os_error`](std::io::Error::raw_os_error)), which the
//! documentation of the functions names. An offset past the end of a file, and a length above
//! `isize::MAX`, are `InvalidData` without an error number, as in memmap2.
//!
//! The types are not memmap2's own. A value cannot be passed to a crate that uses memmap2 itself,
//! unless the whole program uses this crate by `[patch.crates-io]`. The chapter
//! `coming_from_memmap2` of baremap's documentation describes the patch, and lists the differences
//! in behavior.
//!
//! On other systems than Linux, which include Android, and on mips, this crate re-exports memmap2.
//! On Linux it needs Rust 1.88, or 1.95 on powerpc.
//!
//! # Features
//!
//! * `stable_deref_trait`: [`Mmap`] and [`MmapMut`] implement the trait `StableDeref`.
//!
//! [memmap2]: https://docs.rs/memmap2
//! [baremap]: https://docs.rs/baremap

#![warn(missing_docs)]

#[cfg_attr(
    all(
        target_os = "linux",
        any(
            all(
                target_pointer_width = "64",
                any(
                    target_arch = "aarch64",
                    target_arch = "loongarch64",
                    target_arch = "powerpc64",
                    target_arch = "riscv64",
                    target_arch = "s390x",
                    target_arch = "x86_64",
                )
            ),
            all(
                target_pointer_width = "32",
                any(
                    target_arch = "arm",
                    target_arch = "powerpc",
                    target_arch = "riscv32",
                    target_arch = "x86",
                )
            ),
        )
    ),
    path = "linux/mod.rs"
)]
mod real_memmap2;

pub use real_memmap2::*;
