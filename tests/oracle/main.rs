//! Compares the calls of this crate with those of other crates, on this machine's kernel.
//!
//! Every function of `baremap::syscall`, and `map::MmapOptions`, is called beside an oracle that shares no
//! code with it: `sc` (raw calls), `rustix` (typed calls), `memmap2` (mappings), `libc` (constants),
//! `syscalls` (names and texts of errors) and the standard library. Equal arguments must give equal
//! results, equal effects or equal errors.
//!
//! A table of refused calls also names the error of the manual page, so that a row does not pass because
//! both sides fail for another reason than the row is about.
//!
//! The tests are threads of one process. They therefore rely on no descriptor's number, look for no
//! mapping in a range that they have unmapped, and use signals that no other test uses. A test of what
//! concerns the whole process runs in a child.

#![allow(clippy::undocumented_unsafe_blocks, reason = "each section says it once")]

use std::{
    ffi::{CString, c_int, c_void},
    fs::{self, File, OpenOptions},
    io::{PipeReader, PipeWriter, Write},
    mem,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, symlink},
    },
    path::Path,
    ptr,
    sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst},
    time::{Duration, SystemTime},
};

use baremap::{
    fd::{AsFd, AsRawFd, BorrowedFd, CWD, FromRawFd, OwnedFd, RawFd},
    map::MmapOptions,
    rt,
    syscall::{
        self, Access, Advice, AtFlags, ClockId, CloneFlags, Disposition, Errno, FallocateFlags,
        FileType, Flock, GetrandomFlags, MapFlags, MemfdFlags, MlockFlags, Mode, MremapFlags,
        MsyncFlags, OFlags, Pid, ProtFlags, RenameFlags, Resource, Rlimit, SaFlags, SigHow,
        SigInfo, SigSet, SigStack, Sigaction, Signal, SsFlags, Stat, SyncFileRangeFlags, Timespec,
        WaitFlags, WaitStatus, Whence, XattrFlags,
    },
};
use case::case;
use child::{Failure, check, in_child, start, wait};
use linux_raw_sys::{general as kernel, ioctl, prctl};
use scratch::Scratch;

#[path = "../common/case.rs"]
mod case;
#[path = "../common/child.rs"]
mod child;
#[path = "../common/scratch.rs"]
mod scratch;

mod clocks;
mod constants;
mod directories;
mod errors;
mod file_errors;
mod files;
mod mappings;
mod memory;
mod memory_errors;
mod names_and_attributes;
mod process_vm;
mod processes;
mod raw_calls;
mod signals;
mod stat;

/// A number that no descriptor has, above every limit on the number of descriptors.
const BAD: RawFd = i32::MAX;

/// A number that no process has.
const NOBODY: Pid = i32::MAX;

/// An address at which the kernel maps nothing without `MAP_FIXED`.
const NOWHERE: *mut u8 = ptr::without_provenance_mut(4096);

/// Descriptors of every kind, for calls that reject some of them.
struct Files {
    scratch: Scratch,
    /// `file`, of ten bytes, opened in three ways and with `O_PATH`.
    read: File,
    write: File,
    both: File,
    path: File,
    /// The directory that contains `file`, `link` to it, `loop` to itself, and `sub/inner`.
    dir: File,
    /// An empty pipe whose ends do not block.
    pipe: (PipeReader, PipeWriter),
    null: File,
    full: File,
}

impl Files {
    fn new(test: &str) -> Files {
        let scratch = Scratch::new(test);
        let both = scratch.open_file("file", "0123456789");
        symlink("file", scratch.path("link")).unwrap();
        symlink("loop", scratch.path("loop")).unwrap();
        fs::create_dir(scratch.path("sub")).unwrap();
        fs::write(scratch.path("sub/inner"), "").unwrap();
        let mut read = OpenOptions::new();
        let read = read.read(true);
        let mut write = OpenOptions::new();
        let write = write.write(true);
        let file = scratch.path("file");
        let pipe = std::io::pipe().unwrap();
        for end in [number(&pipe.0), number(&pipe.1)] {
            let end = rustix(end);
            let flags = rustix::fs::fcntl_getfl(end).unwrap();
            rustix::fs::fcntl_setfl(end, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        }
        Files {
            read: read.open(&file).unwrap(),
            write: write.open(&file).unwrap(),
            path: read.clone().custom_flags(kernel::O_PATH as i32).open(&file).unwrap(),
            dir: scratch.open_dir(),
            pipe,
            null: write.clone().read(true).open("/dev/null").unwrap(),
            full: write.open("/dev/full").unwrap(),
            both,
            scratch,
        }
    }

    /// Returns the directory's descriptor.
    fn dir(&self) -> RawFd {
        number(&self.dir)
    }
}

/// Returns a descriptor's number. The library's own trait may be another one than the standard
/// library's.
fn number(file: &impl std::os::fd::AsRawFd) -> RawFd {
    std::os::fd::AsRawFd::as_raw_fd(file)
}

// SAFETY, for both: a test keeps its files open until its end; a number that is none is
// only given to calls that refuse it.
fn lend<'fd>(number: RawFd) -> BorrowedFd<'fd> {
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn rustix<'fd>(number: RawFd) -> rustix::fd::BorrowedFd<'fd> {
    unsafe { rustix::fd::BorrowedFd::borrow_raw(number) }
}

fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

fn page() -> usize {
    rustix::param::page_size()
}

/// Returns the result in a register, by the rule of syscall(2).
fn outcome(register: usize) -> Result<usize, Errno> {
    let signed = register as isize;
    if (-4095..0).contains(&signed) { Err(Errno::new(-signed as u16)) } else { Ok(register) }
}

/// Converts an error of rustix.
fn number_of<T>(result: rustix::io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| Errno::new(error.raw_os_error() as u16))
}

/// Makes the call of each row with both libraries. Both must fail with the row's error.
fn refused<A: Copy, T>(
    call: &str,
    table: &[(&str, Errno, A)],
    ours: impl Fn(A) -> Result<T, Errno>,
    oracle: impl Fn(A) -> usize,
) {
    assert!(!table.is_empty());
    for &(case, errno, arguments) in table {
        let expected = Err(errno);
        assert_eq!(outcome(oracle(arguments)).map(drop), expected, "the oracle's {call}: {case}");
        assert_eq!(ours(arguments).map(drop), expected, "{call}: {case}");
    }
}

/// Pages of memory that belong to one test, mapped and unmapped by the oracle.
struct Region(*mut u8, usize);

impl Region {
    fn anonymous(pages: usize) -> Region {
        Region::flags(pages, rustix::mm::MapFlags::PRIVATE)
    }

    /// Maps pages that the process shares with its children.
    fn shared(pages: usize) -> Region {
        Region::flags(pages, rustix::mm::MapFlags::SHARED)
    }

    fn flags(pages: usize, flags: rustix::mm::MapFlags) -> Region {
        let (length, prot) = (pages * page(), rustix::mm::ProtFlags::all());
        let prot = prot & (rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE);
        // SAFETY: replaces nothing.
        let at = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), length, prot, flags) };
        Region(at.unwrap().cast(), length)
    }

    fn of(file: RawFd, pages: usize, prot: rustix::mm::ProtFlags) -> Region {
        let (length, flags) = (pages * page(), rustix::mm::MapFlags::SHARED);
        // SAFETY: replaces nothing.
        let at = unsafe { rustix::mm::mmap(ptr::null_mut(), length, prot, flags, rustix(file), 0) };
        Region(at.unwrap().cast(), length)
    }

    fn page(&self, index: usize) -> *mut u8 {
        assert!(index * page() <= self.1);
        self.0.wrapping_add(index * page())
    }

    // SAFETY, for both: only of pages that are mapped for it.
    fn put(&self, index: usize, byte: u8) {
        unsafe { self.page(index).write_volatile(byte) }
    }

    fn get(&self, index: usize) -> u8 {
        unsafe { self.page(index).read_volatile() }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the test's own, and over.
        unsafe { rustix::mm::munmap(self.0.cast(), self.1).unwrap() };
    }
}

/// Returns a file in memory, created by the oracle.
fn memfd(name: &str, length: u64) -> std::os::fd::OwnedFd {
    let fd = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&fd, length).unwrap();
    // SAFETY: given from one owner to the other.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(rustix::fd::IntoRawFd::into_raw_fd(fd)) }
}

fn sleep_forever() -> ! {
    loop {
        let _ = syscall::nanosleep(Timespec { sec: 1000, nsec: 0 });
    }
}

fn action(disposition: Disposition, flags: SaFlags) -> Sigaction {
    Sigaction { disposition, flags, mask: SigSet::empty() }
}
