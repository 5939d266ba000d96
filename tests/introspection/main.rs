//! Reports on mappings and pages, and special mappings of newer kernels. The oracles are `/proc`,
//! as the standard library reads it, and raw calls of the crate `sc`.
//!
//! The tests are threads of one process, whose mappings change all the time. A whole list is
//! compared for a child that waits. In this process, each test looks for its own mappings.

#![allow(clippy::undocumented_unsafe_blocks, reason = "each helper says it once")]

#[path = "../common/case.rs"]
mod case;
#[path = "../common/child.rs"]
mod child;
#[path = "../common/scratch.rs"]
mod scratch;
#[path = "../common/kernel.rs"]
mod this_process;

use std::{
    ffi::{OsStr, c_void},
    fs::{self, File},
    io::{Read, Write},
    os::{
        fd::{AsRawFd, IntoRawFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileExt, MetadataExt, OpenOptionsExt},
        },
    },
    process::{Child, Command, Stdio},
    ptr, thread,
};

use baremap::{
    fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    map::{
        self, Advice, Mapping, Maps, Mmap, MmapMut, MmapOptions, MmapRaw, PageFlags, Run, maps,
        maps_of, pagemap, residency,
    },
    syscall::{
        self, Errno, IoVec, MapFlags, MremapFlags, OFlags, PkeyRights, ProcmapFlags, ProtFlags,
        WaitStatus,
    },
};
use case::case;
use child::{child, in_child};
use linux_raw_sys::general as kernel;
use proptest::prelude::*;
use scratch::Scratch;
use this_process::{errno, flagged, refusing, smaps};

mod maps;
mod pages;
mod process_advice;
mod special;

fn page() -> usize {
    rustix::param::page_size()
}

// SAFETY, for the three: a test keeps its files open until its end.
fn lend(file: &impl AsRawFd) -> BorrowedFd<'_> {
    unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }
}

fn theirs(file: &impl AsRawFd) -> rustix::fd::BorrowedFd<'_> {
    unsafe { rustix::fd::BorrowedFd::borrow_raw(file.as_raw_fd()) }
}

/// Returns a descriptor of the library's own type.
fn own(file: impl IntoRawFd) -> OwnedFd {
    unsafe { OwnedFd::from_raw_fd(file.into_raw_fd()) }
}

/// Returns the result of a raw call of the oracle.
fn outcome(register: usize) -> Result<usize, Errno> {
    let signed = register as isize;
    if (-4095..0).contains(&signed) { Err(Errno::new(-signed as u16)) } else { Ok(register) }
}

/// `cat`, which waits for input, and whose mappings do not change.
struct Waiting(Child);

impl Waiting {
    fn new() -> Waiting {
        let mut cat = Command::new("cat");
        let mut child = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"here\n").unwrap();
        let mut line = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        Waiting(child)
    }

    fn pid(&self) -> syscall::Pid {
        self.0.id() as syscall::Pid
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the first two numbers of the version of Linux.
fn linux() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// A descriptor's number for the standard library, with each set of features.
struct Number<'a>(&'a OwnedFd);

impl AsRawFd for Number<'_> {
    fn as_raw_fd(&self) -> RawFd {
        baremap::fd::AsRawFd::as_raw_fd(self.0)
    }
}

/// A mapping with a name of its own.
#[derive(Debug, PartialEq)]
struct Told {
    mapping: Mapping<'static>,
    name: Vec<u8>,
}

/// Returns a mapping to be filled in, whose lifetime is not bound to a name.
fn nameless() -> Mapping<'static> {
    Mapping::parse(b"0-0 ---p 0 0:0 0").unwrap()
}

fn told(mapping: Mapping<'_>) -> Told {
    let mut nameless = nameless();
    nameless.start = mapping.start;
    nameless.end = mapping.end;
    nameless.prot = mapping.prot;
    nameless.shared = mapping.shared;
    nameless.offset = mapping.offset;
    nameless.device = mapping.device;
    nameless.inode = mapping.inode;
    nameless.name_is_cut = mapping.name_is_cut;
    Told { mapping: nameless, name: mapping.name.to_vec() }
}

fn all(mut maps: Maps) -> Vec<Told> {
    let mut list = Vec::new();
    while let Some(mapping) = maps.next().unwrap() {
        list.push(told(mapping));
    }
    assert_eq!(maps.next(), Ok(None), "it ends once");
    list
}

/// Returns the mapping at an address.
fn at(maps: Maps, address: *const u8) -> Told {
    let mut found = all(maps);
    found.retain(|told| told.mapping.contains(address as u64));
    assert_eq!(found.len(), 1);
    found.remove(0)
}
