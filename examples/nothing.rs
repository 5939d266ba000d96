//! `nothing`: exits immediately.
//!
//! Such a program consists only of the runtime. `cargo bench --bench calls` measures the runtime's
//! cost with it.

#![no_std]
#![no_main]
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]

use baremap::rt::Start;

baremap::entry!(main);

fn main(_: Start) {}
