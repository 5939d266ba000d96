//! Address space: reservations, placed maps, arenas, rings, code and files in memory.
//!
//! The tests check what is mapped with `/proc/self/maps` and `smaps`, and with calls that fail
//! where nothing is mapped. They are threads of one process, so each looks at its own ranges. What
//! ends or limits a process runs in a child, which allocates nothing.

#![allow(clippy::undocumented_unsafe_blocks, reason = "each test looks at its own memory")]

#[path = "../common/case.rs"]
mod case;
#[path = "../common/child.rs"]
mod child;
#[path = "../common/kernel.rs"]
mod kernel;

use std::{
    collections::VecDeque,
    fs, mem,
    ops::Range,
    ptr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    thread,
};

use baremap::{
    fd::{AsFd, AsRawFd, OwnedFd},
    map::{
        Advice, Arena, Code, CodeMut, Error, Memfd, Mmap, MmapMut, MmapOptions, MmapRaw, Placed,
        Reservation, Ring, UncheckedAdvice,
    },
    syscall::{
        self, Errno, MapFlags, MsyncFlags, ProtFlags, Resource, Rlimit, Seals, Signal, WaitStatus,
        page_size,
    },
};
use case::case;
use child::{Failure, check, child, in_child};
use kernel::{errno, flagged, refusing};
use proptest::prelude::*;
use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

mod arena;
mod code;
mod guards;
mod huge_pages;
mod limits;
mod memfd;
mod placed;
mod reservation;
mod ring;

#[track_caller]
fn fails<T>(result: Result<T, impl Into<Error>>, wanted: Errno) {
    match result {
        Ok(_) => panic!("succeeded, wanted {wanted:?}"),
        Err(error) => assert_eq!(errno(error), wanted),
    }
}

#[track_caller]
fn faults(body: impl FnOnce()) {
    let end = child(|| {
        // The expected crash should leave no core dump.
        let none = Rlimit { current: 0, maximum: 0 };
        syscall::prlimit(0, Resource::CORE, Some(none))?;
        // The standard library's handler would look for a stack overflow.
        unsafe { syscall::rt_sigaction(Signal::SEGV, Some(&DEFAULT))? };
        body();
        Err(Failure::new("there is no fault"))
    });
    assert!(matches!(end, WaitStatus::Killed(Signal::SEGV, _)), "{end:?}");
}

const DEFAULT: syscall::Sigaction = syscall::Sigaction {
    disposition: syscall::Disposition::Default,
    flags: syscall::SaFlags::empty(),
    mask: syscall::SigSet::empty(),
};

/// Returns the mappings of a range, as the kernel lists them: the addresses within the range, the
/// permissions, and the file's name.
fn mappings(start: *const u8, length: usize) -> Vec<(Range<usize>, String, String)> {
    let (start, end) = (start.addr(), start.addr() + length);
    let text = fs::read_to_string("/proc/self/maps").unwrap();
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (from, to) = words.next().unwrap().split_once('-').unwrap();
        let from = usize::from_str_radix(from, 16).unwrap().max(start);
        let to = usize::from_str_radix(to, 16).unwrap().min(end);
        let permissions = words.next().unwrap().to_owned();
        (from < to).then(|| (from..to, permissions, words.nth(3).unwrap_or("").to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// Returns the permissions of each page of a range. A page that is not mapped has none.
fn permissions(start: *const u8, length: usize) -> Vec<String> {
    let mut pages = vec![String::new(); length / page_size()];
    for (range, permissions, _) in mappings(start, length) {
        for page in range.step_by(page_size()) {
            pages[(page - start.addr()) / page_size()].clone_from(&permissions);
        }
    }
    pages
}

/// Returns whether all of a range is mapped. Allocates nothing.
fn whole(start: *const u8, length: usize) -> bool {
    // SAFETY: writes nothing back.
    unsafe { syscall::msync(start.cast_mut(), length, MsyncFlags::ASYNC).is_ok() }
}

/// Returns whether the kernel can read a byte. Allocates nothing.
fn readable(sink: &OwnedFd, byte: *const u8) -> bool {
    // SAFETY: the kernel checks the address.
    match unsafe { syscall::pwrite_raw(sink.as_fd(), byte, 1, 0) } {
        Ok(1) => true,
        Err(Errno::EFAULT) => false,
        other => panic!("{other:?}"),
    }
}

/// Returns a file that takes bytes to be discarded.
fn sink() -> OwnedFd {
    Memfd::new(c"sink", 1).unwrap().into()
}

/// Returns a file in memory whose pages begin with their number, counted from 1.
fn numbered(pages: usize) -> Memfd {
    let file = Memfd::new(c"numbered", (pages * page_size()) as u64).unwrap();
    let map = MmapOptions::new().map_raw(&file).unwrap();
    for page in 0..pages {
        // SAFETY: inside the map, and nobody else's.
        unsafe { map.as_mut_ptr().add(page * page_size()).write(page as u8 + 1) };
    }
    file
}

/// Returns how much of a limit is in use, in bytes: a word of `/proc/self/statm`. Allocates
/// nothing.
fn in_use(word: usize) -> u64 {
    let flags = syscall::OFlags::RDONLY | syscall::OFlags::CLOEXEC;
    let file = syscall::open(c"/proc/self/statm", flags, syscall::Mode::empty()).unwrap();
    let mut text = [0; 200];
    let count = syscall::read(file.as_fd(), &mut text).unwrap();
    let mut words = text[..count].split(|byte| !byte.is_ascii_digit());
    let digits = words.nth(word).unwrap().iter();
    digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')) * page_size() as u64
}
