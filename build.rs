//! Links `mapcp` without a standard library. The library is linked as any other is.

fn main() {
    baremap_build::freestanding();
}
