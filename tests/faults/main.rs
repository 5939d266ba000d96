//! Faults in a program with a standard library and threads: truncated files, full disks, and
//! signals of other code.

#[path = "../common/mod.rs"]
mod common;

use std::{
    fs::File,
    os::{
        fd::IntoRawFd,
        unix::{fs::FileExt, process::ExitStatusExt},
    },
    sync::{
        Barrier, LazyLock,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use baremap::{
    Advice,
    fd::{AsFd, FromRawFd, OwnedFd},
    map::{Fault, FileMap, MmapOptions, guard},
    syscall::{self, Errno, MemfdFlags, Seals, Signal, page_size},
};

use common::{
    Scratch,
    again::{again, again_in},
    case::{self, case},
};

mod exhaustion;
mod file_map;
mod foreign;
mod slices;
mod truncation;

/// Returns the map of a file, with each set of features.
fn map(file: &File) -> FileMap {
    part(file, 0, usize::MAX)
}

fn part(file: &File, start: u64, len: usize) -> FileMap {
    let file = file.try_clone().unwrap().into_raw_fd();
    // SAFETY: cloned for this alone.
    FileMap::map_range(unsafe { OwnedFd::from_raw_fd(file) }, start, len).unwrap()
}

/// The size of a page.
static PAGE: LazyLock<usize> = LazyLock::new(page_size);

const PAGES: usize = 5;

static SIZE: LazyLock<usize> = LazyLock::new(|| PAGES * *PAGE - 100);

/// Returns the expected byte at an index, which is never zero.
fn pattern(index: usize) -> u8 {
    (index % 255) as u8 + 1
}

fn contents() -> Vec<u8> {
    (0..*SIZE).map(pattern).collect()
}

fn file(scratch: &Scratch, contents: &[u8]) -> File {
    let path = scratch.file("file", contents);
    File::options().read(true).write(true).open(path).unwrap()
}
