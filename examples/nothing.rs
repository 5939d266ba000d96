//! `nothing`: starts and ends. What is left when a program does nothing is the runtime, and
//! `cargo bench --bench calls` measures it.

#![no_std]
#![no_main]
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]

use baremap::rt::Start;

baremap::entry!(main);

fn main(_: Start) {}
