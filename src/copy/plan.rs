//! Which bytes are copied when, and how.

use super::Method;
use crate::syscall::{Errno, Result, Whence, sched_getaffinity};

/// How much of each file is mapped at once, in bytes: a multiple of every page size, and of
/// most huge pages.
///
/// Enough that the calls for a window cost nothing beside its bytes, and for one huge page;
/// little enough to stay in a processor's cache, and for two of them to fit in any address space.
pub const WINDOW: u64 = 2 << 20;

/// A stretch of the source that is copied at once, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub start: u64,
    pub len: usize,
}

impl Window {
    pub fn end(&self) -> u64 {
        self.start + self.len as u64
    }
}

/// A file of which every byte that is no hole is in one window.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The file's size in bytes, above zero.
    pub size: u64,
    /// Whether it has holes, which are left out.
    pub holes: bool,
    /// The size of a page in bytes, a power of two that divides [`WINDOW`].
    pub page: u64,
}

impl Plan {
    /// The first window from `position` on. It begins with a page or at `position`, and ends
    /// with a page or with the file, after `position` whatever `seek` (lseek(2) of the source)
    /// says. `None`: only a hole is left, or nothing.
    pub fn next(&self, position: u64, seek: impl Fn(u64, Whence) -> Result<u64>) -> Option<Window> {
        let (mut start, mut end) = (position, self.size);
        if start >= end {
            return None;
        }
        if self.holes {
            match seek(start, Whence::DATA) {
                Ok(data) => {
                    start = start.max(data & !(self.page - 1));
                    let hole = seek(data, Whence::HOLE).unwrap_or(end);
                    let hole = hole.checked_next_multiple_of(self.page).unwrap_or(end);
                    if hole > start {
                        end = end.min(hole);
                    }
                }
                // No more data.
                Err(Errno::ENXIO) => return None,
                // The file system does not know: all of it, then.
                Err(_) => {}
            }
        }
        // The next window begins where this one ends: with a multiple of its size.
        end = end.min((start | (WINDOW - 1)).saturating_add(1));
        (start < end).then(|| Window { start, len: (end - start) as usize })
    }
}

/// From so many bytes on space is reserved first: less is as soon written, and until it is, the
/// file system knows that it must not forget it.
pub const RESERVED: u64 = 128 << 10;

/// From so many bytes on writing pays for mapping.
const WRITTEN: u64 = 4 << 20;

/// From so many bytes on a second process pays for itself: while one writes, which only one can
/// at a time, the other maps its next window.
const SHARED: u64 = 16 << 20;

/// The best way to copy, and how many processes at once; no number: never more than one.
///
/// | bytes | space is | way | processes |
/// |---|---|---|---|
/// | up to 128 KiB | not reserved | by the kernel | 1 |
/// | up to 4 MiB | reserved | by the kernel | 1 |
/// | up to 16 MiB | reserved | written | 1 |
/// | more | reserved | written | 2, if there are two processors |
/// | more | not reserved | by the kernel | 1 |
/// | up to 4 MiB, with holes | the file system's matter | written | 1 |
/// | more, with holes | the file system's matter | written | 2 from 16 MiB on, as above |
///
/// No space is reserved on btrfs, where what is written to reserved space is not compressed.
///
/// Before that it is cloned where the file system can; what is to be written and is not in memory
/// is copied by the kernel after all; and if that will not, it is written, and read if it cannot
/// be mapped. Measured by `cargo xtask bench`.
pub fn best(plan: &Plan, reserved: bool) -> (Method, u32) {
    if !reserved && !plan.holes {
        // Some file systems would first write zeros before what comes out of order.
        return (Method::Kernel, 0);
    }
    let method = if plan.size < WRITTEN && !plan.holes { Method::Kernel } else { Method::Write };
    (method, if plan.size >= SHARED && has_two_processors() { 2 } else { 1 })
}

/// Whether this process may run on two processors, of the first 1024.
#[cold]
#[inline(never)]
fn has_two_processors() -> bool {
    let mut mask = [0usize; 1024 / usize::BITS as usize];
    if sched_getaffinity(0, &mut mask).is_err() {
        return false;
    }
    mask.iter().map(|word| word.count_ones()).sum::<u32>() > 1
}
