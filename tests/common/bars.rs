//! The largest permitted sizes of the release programs for x86_64. A test and `cargo xtask size`
//! use them.

/// In bytes.
pub const MOST_BYTES: [(&str, u64); 2] = [("mapcp", 68 << 10), ("tiny-copy", 2560)];
