//! Contains `baremap-memmap2` under the name `memmap2`, which `[patch.crates-io]` needs, for Linux.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "this patch of memmap2 is for Linux: elsewhere depend on `baremap-memmap2`, which is memmap2 \
     itself there"
);

#[cfg(target_os = "linux")]
#[path = "../src/linux/mod.rs"]
mod linux;

#[cfg(target_os = "linux")]
pub use linux::*;
