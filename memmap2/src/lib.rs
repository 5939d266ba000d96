//! The interface of [memmap2] 0.9 on top of [baremap].
//!
//! A program or a library that uses memmap2 takes this crate by one line of its `Cargo.toml`,
//! and changes no source:
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
//! // SAFETY: nobody changes the file meanwhile.
//! let map = unsafe { Mmap::map(&file)? };
//! map.advise(Advice::Sequential)?;
//! assert!(map.starts_with(b"[package]"));
//!
//! let mut memory = MmapMut::map_anon(4096)?;
//! memory[0] = 1;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! All names, types and traits are those of memmap2, and every result is that of [`std::io`].
//! baremap's guide for users of memmap2 lists what is different when a program runs, and how a
//! whole tree of dependencies takes this crate by `[patch.crates-io]`.
//!
//! Where baremap does not run, which is everywhere but on Linux, and on a few of Linux's
//! architectures, this crate is memmap2 itself, re-exported.
//!
//! # Features
//!
//! * `stable_deref_trait`: [`Mmap`] and [`MmapMut`] implement the trait of that name.
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
