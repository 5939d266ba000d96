//! Links `mapcp` without a standard library. The library is linked as any other is.

use std::env;

fn main() {
    // Without the feature no program is built.
    if env::var_os("CARGO_FEATURE_FREESTANDING").is_some() {
        baremap_build::freestanding();
    }
}
