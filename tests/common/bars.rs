//! How large the release programs for x86_64 may be: for a test and for `cargo xtask size`.

/// In bytes.
pub const MOST_BYTES: [(&str, u64); 2] = [("mapcp", 36 << 10), ("tiny-copy", 2560)];
