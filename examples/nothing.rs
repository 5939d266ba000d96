//! `nothing`: exits immediately.
//!
//! Such a program consists only of the runtime. `cargo bench --bench calls` measures the runtime's
//! cost with it.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

use baremap::rt::Start;

baremap::entry!(main);

fn main(_: Start) {}
