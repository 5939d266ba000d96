//! Applies random operations to a file and its maps, and compares them with a plain model: the file
//! is a `Vec`, and a map is a window on it with the pages that it has copied.
//!
//! After each step everything is compared. An access that cannot succeed must return an error at
//! the exact byte. Source: mmap(2), and Linux where mmap(2) leaves the behaviour open: a private
//! page shows the file until it is written to, and is lost if the file is truncated before it.

#[path = "../common/kernel.rs"]
mod kernel;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    hint::black_box,
    ops::Range,
    os::{
        fd::{AsRawFd, IntoRawFd},
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    sync::LazyLock,
};

use baremap::{
    Advice, Mmap, MmapMut, MmapOptions, MmapRaw, RemapOptions, UncheckedAdvice,
    fd::{FromRawFd, OwnedFd},
    map::{Fault, FileMap, FlushOptions, guard},
    syscall::{self, Errno, MlockFlags, OFlags},
};

use kernel::errno;
use part::*;
use proptest::{collection::vec, option, prelude::*};
use steps::*;
use window::*;
use world::*;

mod file_map_steps;
mod map_steps;
mod part;
mod steps;
mod window;
mod world;

const PAGE: usize = 4096;

/// The most bytes of the file.
const SIZE: usize = 6 * PAGE;

/// The number of maps of each kind.
const MAPS: usize = 3;

const FILE_MAPS: usize = 2;

fn up(len: usize) -> usize {
    len.next_multiple_of(PAGE)
}

/// Returns the pages that contain bytes of a range.
fn pages(range: Range<usize>) -> Range<usize> {
    if range.is_empty() { 0..0 } else { range.start / PAGE..range.end.div_ceil(PAGE) }
}

/// Returns the pages of a mapping. An empty mapping has one page.
fn mapped(offset: usize, len: usize) -> Range<usize> {
    pages(offset..offset + len.max(1))
}

/// Returns the bytes of a file, with zeros past its end.
fn contents(file: &[u8], range: Range<usize>) -> Vec<u8> {
    let mut bytes = vec![0; range.len()];
    let there = file.get(range.start..).unwrap_or_default();
    let count = there.len().min(bytes.len());
    bytes[..count].copy_from_slice(&there[..count]);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn maps_behave_like_the_model(
        on_disk in prop::bool::weighted(0.1),
        len in place(),
        start in place(),
        steps in vec(step(), 1..400),
    ) {
        let mut world = World::new(on_disk);
        world.apply(&Step::WriteFile { at: 0, bytes: Bytes(0, len) });
        for map in 0..FILE_MAPS {
            world.apply(&Step::Open { map, start: map * start, len: None, read_only: false });
        }
        world.check();
        for step in &steps {
            world.apply(step);
            world.check();
        }
        world.end();
    }
}
