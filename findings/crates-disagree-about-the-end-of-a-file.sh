#!/bin/bash
# memmap2 0.9.5, mmap-rs 0.7.0, vmap 0.6.3, mapr 0.8.0 and fmmap 0.4.0 from crates.io: five libraries for
# mapped files, and two or three answers to each of two questions. A map of 20,000 bytes of a file of 10,000 is
# refused by vmap only; memmap2 and mmap-rs return a slice whose second half is not there, so that a
# safe index into it ends the process. An empty file has a length of 0 (memmap2, fmmap), is an error (vmap,
# mapr), or has the length that was asked for (mmap-rs: 4096). The script looks at no byte past the end.
# Seen:
#   past the end: memmap2 Ok(20000), mmap-rs Ok(20000), vmap Err
#   empty file: memmap2 Ok(0), fmmap Ok(0), mmap-rs Ok(4096), vmap Err, mapr Err
# Needs: cargo, and crates.io.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
cat > "$dir/Cargo.toml" <<'T'
[package]
name = "ends"
version = "0.1.0"
edition = "2021"

[dependencies]
fmmap = { version = "=0.4.0", features = ["sync"] }
mapr = "=0.8.0"
memmap2 = "=0.9.5"
mmap-rs = "=0.7.0"
vmap = "=0.6.3"
T
cat > "$dir/src/main.rs" <<'R'
use std::{fmt::Debug, fs::File};

use fmmap::MmapFileExt;

fn show<E: Debug>(name: &str, result: Result<usize, E>) -> String {
    match result {
        Ok(len) => format!("{name} Ok({len})"),
        Err(_) => format!("{name} Err"),
    }
}

fn mmap_rs(path: &str, len: usize) -> Result<usize, mmap_rs::Error> {
    let file = File::open(path).unwrap();
    let options = mmap_rs::MmapOptions::new(len)?;
    unsafe { options.with_file(&file, 0) }.map().map(|map| map.len())
}

fn main() {
    let (empty, full) = ("empty", "full");
    std::fs::write(empty, "").unwrap();
    std::fs::write(full, [1; 10_000]).unwrap();
    let open = |path| File::open(path).unwrap();

    let memmap2 = unsafe { memmap2::MmapOptions::new().len(20_000).map(&open(full)) };
    let vmap = vmap::Map::with_options().len(20_000).open(full);
    let past = [
        show("memmap2", memmap2.map(|map| map.len())),
        show("mmap-rs", mmap_rs(full, 20_000)),
        show("vmap", vmap.map(|(map, _)| map.len())),
    ];
    println!("past the end: {}", past.join(", "));

    let none = [
        show("memmap2", unsafe { memmap2::Mmap::map(&open(empty)) }.map(|map| map.len())),
        show("fmmap", fmmap::MmapFile::open(empty).map(|map| map.len())),
        show("mmap-rs", mmap_rs(empty, 4096)),
        show("vmap", vmap::Map::with_options().open(empty).map(|(map, _)| map.len())),
        show("mapr", unsafe { mapr::Mmap::map(&open(empty)) }.map(|map| map.len())),
    ];
    println!("empty file: {}", none.join(", "));
}
R
seen=$(cd "$dir" && cargo run --quiet 2> log) || { cat "$dir/log"; exit 2; }
echo "$seen"
[ "$seen" = "past the end: memmap2 Ok(20000), mmap-rs Ok(20000), vmap Err
empty file: memmap2 Ok(0), fmmap Ok(0), mmap-rs Ok(4096), vmap Err, mapr Err" ]
