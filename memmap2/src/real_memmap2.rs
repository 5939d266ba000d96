//! memmap2 itself, where baremap does not run.

pub use real::*;
