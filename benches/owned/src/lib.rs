//! Measures `GuardedMmap` beside memmap2's `Mmap`: `cargo bench -p baremap-bench-owned`.
