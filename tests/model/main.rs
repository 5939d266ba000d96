//! Random sequences of all that can be done to a file and to its maps, against a plain model
//! of both: the file is a `Vec`, a map is a window on it with the pages that it has copied.
//!
//! After each step all of it is compared. What cannot be reached has to be an error, at the
//! very byte. Source: mmap(2), and where that leaves it open, what Linux does: a private page
//! shows the file until it is written to, and is gone if the file becomes shorter than it.

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

/// No file is longer.
const SIZE: usize = 6 * PAGE;

/// So many of each kind at the same time.
const MAPS: usize = 3;

const FILE_MAPS: usize = 2;

fn up(len: usize) -> usize {
    len.next_multiple_of(PAGE)
}

/// The pages that have bytes of a range.
fn pages(range: Range<usize>) -> Range<usize> {
    if range.is_empty() { 0..0 } else { range.start / PAGE..range.end.div_ceil(PAGE) }
}

/// The pages of a mapping, of which there is one for no bytes.
fn mapped(offset: usize, len: usize) -> Range<usize> {
    pages(offset..offset + len.max(1))
}

/// The file's bytes, and beyond its end zeros.
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
    fn maps_are_as_their_model(
        on_disk in prop::bool::weighted(0.1),
        len in place(),
        start in place(),
        steps in vec(step(), 1..400),
    ) {
        let mut world = World::new(on_disk);
        world.take(&Step::WriteFile { at: 0, bytes: Bytes(0, len) });
        for map in 0..FILE_MAPS {
            world.take(&Step::Open { map, start: map * start, len: None, read_only: false });
        }
        world.check();
        for step in &steps {
            world.take(step);
            world.check();
        }
        world.end();
    }
}
