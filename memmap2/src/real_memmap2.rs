//! memmap2 itself, for the targets that baremap does not support.

pub use real::*;
