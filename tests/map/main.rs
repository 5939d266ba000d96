//! Maps with an owner: what memmap2's own tests check, and cases in which memmap2 is wrong.
//!
//! The tests run with each set of features. They are threads of one process, so each looks at its
//! own addresses.

#![allow(clippy::undocumented_unsafe_blocks, reason = "the files are each test's own")]

#[path = "../common/case.rs"]
mod case;
#[path = "../common/child.rs"]
mod child;
#[path = "../common/kernel.rs"]
mod kernel;

use std::{
    fs::{self, File},
    io::Read,
    os::fd::{AsRawFd, FromRawFd, RawFd},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    thread,
};

use baremap::{
    Advice, Mmap, MmapMut, MmapOptions, MmapRaw, RemapOptions, UncheckedAdvice,
    map::{FileMap, FlushOptions, advise_process},
    syscall::{self, Errno, IoVec, page_size},
};
use case::case;
use child::{Failure, check, in_child};
use kernel::{errno, flagged, mapping};
use rustix::fs::{MemfdFlags, SealFlags};

mod advice;
mod conversions;
mod flush;
mod huge_pages;
mod lengths;
mod memmap2;
mod sealed_files;

/// Returns a file without a name.
fn file(contents: impl AsRef<[u8]>) -> File {
    let dir = env!("CARGO_TARGET_TMPDIR");
    let mut options = File::options();
    options.read(true).write(true).custom_flags(linux_raw_sys::general::O_TMPFILE as i32);
    let file = options.open(dir).unwrap();
    file.write_all_at(contents.as_ref(), 0).unwrap();
    file
}

/// A file of zeros.
fn zeros(len: u64) -> File {
    let file = file("");
    file.set_len(len).unwrap();
    file
}

/// Returns the file, open for reading only.
fn read_only(file: &File) -> File {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

/// Returns a file in memory, which can be sealed, or has huge pages.
fn memfd(flags: MemfdFlags, contents: impl AsRef<[u8]>) -> File {
    let fd = rustix::fs::memfd_create("map", flags).unwrap();
    // rustix has descriptors of its own here.
    let file = unsafe { File::from_raw_fd(rustix::fd::IntoRawFd::into_raw_fd(fd)) };
    file.write_all_at(contents.as_ref(), 0).unwrap();
    file
}

fn seal(file: &File, seals: SealFlags) {
    let fd = unsafe { rustix::fd::BorrowedFd::borrow_raw(file.as_raw_fd()) };
    rustix::fs::fcntl_add_seals(fd, seals).unwrap();
}

/// Returns a file's descriptor in the form that every kind of map accepts, with each set of
/// features.
fn fd(file: &File) -> RawFd {
    file.as_raw_fd()
}

/// Returns bytes of which two neighbours differ.
fn counted(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 7 + index / 251) as u8).collect()
}

/// Returns whether an address is mapped to this file.
fn shows(at: *const u8, file: &File) -> bool {
    let inode = format!(" {} ", file.metadata().unwrap().ino());
    mapping(at).is_some_and(|lines| lines.lines().next().unwrap().contains(&inode))
}

fn is_locked(at: *const u8) -> bool {
    flagged(at, "lo")
}

/// Runs a function in a thread in which calls with such an argument are answered otherwise. A call
/// is given by its number, the index of the argument, and the argument's value.
#[cfg(target_arch = "x86_64")]
fn with_filter(
    calls: &[(u32, u8, u32)],
    action: seccompiler::SeccompAction,
    function: impl FnOnce() + Send + 'static,
) {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, SeccompCondition,
        SeccompFilter, SeccompRule, TargetArch,
    };
    let mut rules = std::collections::BTreeMap::<i64, Vec<SeccompRule>>::new();
    for &(call, argument, value) in calls {
        let is = SeccompCondition::new(argument, Dword, Eq, value.into()).unwrap();
        rules.entry(call.into()).or_default().push(SeccompRule::new(vec![is]).unwrap());
    }
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, TargetArch::x86_64);
    let filter: BpfProgram = filter.unwrap().try_into().unwrap();
    let thread = thread::spawn(move || {
        seccompiler::apply_filter(&filter).unwrap();
        function();
    });
    thread.join().unwrap();
}
