//! The page size, known only at run time.

use core::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

#[cfg(feature = "std")]
use core::ffi::c_ulong;

use linux_raw_sys::{auxvec::AT_PAGESZ, prctl::PR_GET_AUXV};

use super::raw::{nr, syscall3};
use super::{
    Errno, MapFlags, Mode, OFlags, ProtFlags, Result, mmap, munmap, open, prctl, read_raw,
};
use crate::fd::AsFd;

/// Zero until somebody asks.
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);

/// The smallest page size of all architectures.
const LEAST: usize = 4096;
/// More than any architecture's page size, which is at most 256 KiB.
const PROBED: usize = 1 << 20;

/// Returns the size of a page in bytes, a power of two of at least 4 KiB.
///
/// Every offset given to `mmap` is a multiple of it. The kernel gives it to each program at its
/// start (`AT_PAGESZ`), where a freestanding program has it from. In a hosted program the first
/// call finds it, by `getauxval` with the feature `std`, and otherwise by system calls that
/// change nothing; later calls remember it.
#[must_use]
pub fn page_size() -> usize {
    match PAGE_SIZE.load(Relaxed) {
        0 => find(),
        size => size,
    }
}

pub(crate) fn set_page_size(size: usize) {
    PAGE_SIZE.store(size, Relaxed);
}

#[cold]
#[inline(never)]
fn find() -> usize {
    let size = from_libc().or_else(from_vector).unwrap_or_else(probe);
    PAGE_SIZE.store(size, Relaxed);
    size
}

/// Asks the libc that is linked anyway.
#[cfg(feature = "std")]
fn from_libc() -> Option<usize> {
    unsafe extern "C" {
        safe fn getauxval(kind: c_ulong) -> c_ulong;
    }
    checked(getauxval(AT_PAGESZ.into()) as usize)
}

#[cfg(not(feature = "std"))]
fn from_libc() -> Option<usize> {
    None
}

/// The auxiliary vector as pairs of type and value, as far as every architecture has
/// `AT_PAGESZ`.
type Vector = [[usize; 2]; 32];

fn from_vector() -> Option<usize> {
    let mut vector = Vector::default();
    let _ = get_vector(&mut vector).or_else(|_| read_vector(&mut vector));
    let pair = vector.iter().find(|[kind, _]| *kind == AT_PAGESZ as usize);
    pair.and_then(|&[_, size]| checked(size))
}

/// Asks for the vector by a call that needs no file, since Linux 6.4.
fn get_vector(vector: &mut Vector) -> Result<usize> {
    let at = vector.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel writes at most as many bytes as there are.
    unsafe { prctl(PR_GET_AUXV, [at, size_of::<Vector>(), 0, 0]) }
}

fn read_vector(vector: &mut Vector) -> Result<usize> {
    let file = open(c"/proc/self/auxv", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // SAFETY: the vector is ours to write to, and holds any bytes.
    unsafe { read_raw(file.as_fd(), vector.as_mut_ptr().cast(), size_of::<Vector>()) }
}

fn checked(size: usize) -> Option<usize> {
    (size.is_power_of_two() && (LEAST..=PROBED).contains(&size)).then_some(size)
}

/// Counts the pages of a mapping: `mincore` writes one byte for each.
///
/// An error that a filter makes up cannot change this number but to zero. Then the answer is
/// the smallest page size, with which no buffer is too short for the kernel's answer, and
/// nothing past the end of a mapping is unmapped.
fn probe() -> usize {
    let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::NORESERVE;
    // SAFETY: the kernel chooses the place.
    let map = unsafe { mmap(ptr::null_mut(), PROBED, ProtFlags::empty(), flags, None, 0) };
    let Ok(map) = map else { return LEAST };
    const UNTOUCHED: u8 = 0xff; // the kernel writes 0 or 1
    let mut pages = [UNTOUCHED; PROBED / LEAST];
    let (from, to) = (map.addr(), pages.as_mut_ptr().expose_provenance());
    // SAFETY: there is room for as many bytes as there can be pages.
    let _ = Errno::check(unsafe { syscall3(nr::mincore, from, PROBED, to) });
    // SAFETY: nobody else knows of the mapping.
    let _ = unsafe { munmap(map, PROBED) };
    let count = pages.iter().filter(|&&page| page != UNTOUCHED).count();
    PROBED.checked_div(count).and_then(checked).unwrap_or(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_finds_what_the_kernel_said_at_the_start() {
        let size = rustix::param::page_size();
        assert_eq!(from_libc(), cfg!(feature = "std").then_some(size));
        assert_eq!(from_vector(), Some(size));
        assert_eq!(probe(), size);
    }

    #[test]
    fn the_vector_is_that_of_the_file() {
        let (mut called, mut read) = (Vector::default(), Vector::default());
        read_vector(&mut read).unwrap();
        assert!(read.contains(&[AT_PAGESZ as usize, rustix::param::page_size()]));
        match get_vector(&mut called) {
            Ok(_) => assert_eq!(called, read),
            // Before Linux 6.4 the call does not know the option.
            Err(errno) => assert_eq!(errno, Errno::EINVAL),
        }
    }
}
