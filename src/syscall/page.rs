//! The page size, known only at run time.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use linux_raw_sys::general::MS_ASYNC;

use super::Errno;
use super::raw::{nr, syscall3};

const INVALID: usize = (Errno::EINVAL.number() as usize).wrapping_neg();

/// Zero until somebody asks.
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);

/// The size of a page in bytes, a power of two from 4 KiB on.
///
/// Every offset given to `mmap` is a multiple of it. A freestanding program has
/// it from the kernel (`AT_PAGESZ`); a hosted one finds it out at the first call,
/// by system calls that change nothing, and remembers it.
pub fn page_size() -> usize {
    match PAGE_SIZE.load(Relaxed) {
        0 => probe(),
        size => size,
    }
}

#[cfg(feature = "freestanding")]
pub(crate) fn set_page_size(size: usize) {
    PAGE_SIZE.store(size, Relaxed);
}

/// The least power of two that the kernel takes for the address of a page, which is kept.
///
/// `msync` of no bytes succeeds at any page boundary, mapped or not, and fails
/// with `EINVAL` elsewhere: an answer without a file, a buffer or an allocation.
#[cold]
#[inline(never)]
fn probe() -> usize {
    let mut size = 4096;
    // Another error is that of a filter, which knows no page size.
    // SAFETY: a range of no bytes is not touched.
    while unsafe { syscall3(nr::msync, size, 0, MS_ASYNC as usize) } == INVALID && size < 1 << 20 {
        size *= 2;
    }
    PAGE_SIZE.store(size, Relaxed);
    size
}

#[cfg(test)]
mod tests {
    #[test]
    fn probing_finds_what_the_kernel_said_at_the_start() {
        assert_eq!(super::probe(), rustix::param::page_size());
    }
}
