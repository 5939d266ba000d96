//! The page size, which is known only at run time.

use core::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

#[cfg(feature = "std")]
use core::ffi::c_ulong;

use linux_raw_sys::{auxvec::AT_PAGESZ, prctl::PR_GET_AUXV};

use super::raw::{nr, syscall3};
use super::{Errno, MapFlags, ProtFlags, mmap, munmap, prctl};

/// The page size, or zero until it is first needed.
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);

/// The smallest page size of all architectures.
const LEAST: usize = 4096;
/// The length in bytes of the mapping whose pages are counted, which is larger than every
/// architecture's page size (at most 256 KiB).
const PROBED: usize = 1 << 20;

/// Returns the page size in bytes, a power of two of at least 4 KiB.
///
/// Offsets of mappings are multiples of it. The kernel passes it to each program at its start
/// (`AT_PAGESZ`), and a freestanding program takes it from there. In a hosted program, the
/// first call calls `getauxval` with the feature `std`, and makes system calls without side
/// effects otherwise. Later calls return the stored value.
///
/// If a seccomp filter refuses all these calls, the result is 4 KiB, which may be less than the
/// kernel's page size.
#[doc(alias("getpagesize", "_SC_PAGESIZE"))]
#[must_use]
pub fn page_size() -> usize {
    match PAGE_SIZE.load(Relaxed) {
        0 => find(),
        size => size,
    }
}

/// Stores the page size that a program was started with. A number that cannot be a page size is
/// ignored, and the page size is found when it is first needed.
pub(crate) fn set_page_size(size: usize) {
    PAGE_SIZE.store(checked(size).unwrap_or(0), Relaxed);
}

/// Finds the page size and stores it.
#[cold]
#[inline(never)]
fn find() -> usize {
    let size = from_libc().or_else(from_vector).unwrap_or_else(probe);
    PAGE_SIZE.store(size, Relaxed);
    size
}

/// Returns the page size by libc, which a program with `std` has anyway.
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

/// The beginning of the auxiliary vector, as pairs of type and value. It is long enough to
/// contain `AT_PAGESZ` on every architecture.
type Vector = [[usize; 2]; 32];

/// Returns the page size from the auxiliary vector, by a call that needs no file and exists since
/// Linux 6.4.
///
/// `/proc/self/auxv` is not read: a container can have a file of that name with any contents, and
/// with a page size that is too large, buffers would be too short for what the kernel writes.
fn from_vector() -> Option<usize> {
    let mut vector = Vector::default();
    let at = vector.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel writes at most the size that is passed, which is the vector's.
    unsafe { prctl(PR_GET_AUXV, [at, size_of::<Vector>(), 0, 0]) }.ok()?;
    let pair = vector.iter().find(|[kind, _]| *kind == AT_PAGESZ as usize);
    pair.and_then(|&[_, size]| checked(size))
}

/// Returns the number if it can be a page size.
fn checked(size: usize) -> Option<usize> {
    (size.is_power_of_two() && (LEAST..=PROBED).contains(&size)).then_some(size)
}

/// Counts the pages of a mapping, for each of which `mincore` writes one byte.
///
/// A seccomp filter that fakes an error makes the count zero, and cannot make it another wrong
/// number. Then the result is the smallest page size. With that, no buffer is too short for
/// what the kernel writes, and no memory after the end of a mapping is unmapped.
fn probe() -> usize {
    let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::NORESERVE;
    // SAFETY: without a fixed address no existing mapping is replaced.
    let map = unsafe { mmap(ptr::null_mut(), PROBED, ProtFlags::empty(), flags, None, 0) };
    let Ok(map) = map else { return LEAST };
    const UNTOUCHED: u8 = 0xff; // Linux writes 0 or 1.
    let mut pages = [UNTOUCHED; PROBED / LEAST];
    let (from, to) = (map.addr(), pages.as_mut_ptr().expose_provenance());
    // SAFETY: the buffer has one byte for each page of the smallest size.
    let _ = Errno::check(unsafe { syscall3(nr::mincore, from, PROBED, to) });
    // SAFETY: the mapping was made here, and no other code has its address.
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
        // Before Linux 6.4 the call does not know the option.
        assert!([Some(size), None].contains(&from_vector()));
        assert_eq!(probe(), size);
    }

    /// A loader other than the kernel can pass any number at the start of a program.
    #[test]
    fn a_number_that_is_no_page_size_is_not_stored() {
        let size = rustix::param::page_size();
        for wrong in [0, 1, 2048, 4095, 5000, 3 << 12, PROBED << 1, usize::MAX] {
            set_page_size(wrong);
            assert_eq!(page_size(), size, "after {wrong}");
        }
        set_page_size(size);
        assert_eq!(PAGE_SIZE.load(Relaxed), size);
    }
}
