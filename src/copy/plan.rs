//! Divides a file into windows, and chooses the method and the number of processes.

use super::Method;
use crate::syscall::{Errno, Result, Whence, sched_getaffinity};

/// The number of bytes of each file that are mapped at once: a multiple of every page size, and the
/// size of a huge page on most architectures.
///
/// A window is large enough for one huge page, and for the cost of its system calls to be
/// negligible compared with copying its bytes. It is small enough to stay in a processor's cache,
/// and for two windows to fit into any address space.
pub const WINDOW: u64 = 2 << 20;

/// A range of the source that is copied in one step. Offset and length are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub start: u64,
    pub len: usize,
}

impl Window {
    /// Returns the offset of the first byte after the window.
    pub fn end(&self) -> u64 {
        self.start + self.len as u64
    }
}

/// Divides a file into windows. Every byte that is not in a hole is in exactly one window.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The file's size in bytes, above zero.
    pub size: u64,
    /// Whether the file has holes, which are left out.
    pub holes: bool,
    /// The page size in bytes, a power of two that divides [`WINDOW`].
    pub page: u64,
}

impl Plan {
    /// Returns the first window at or after `position`, or `None` if only a hole is left, or
    /// nothing. The window begins with data, and may contain holes.
    ///
    /// The window starts at `position` or at a page boundary after it, and ends at a multiple of
    /// [`WINDOW`] or at the end of the file. `seek` is `lseek(2)` of the source. Whatever `seek`
    /// returns, the window is not empty and ends after `position`, so that a copy makes progress.
    pub fn window(
        &self,
        position: u64,
        seek: impl Fn(u64, Whence) -> Result<u64>,
    ) -> Option<Window> {
        let data = self.data(position, self.size, &seek)?;
        self.aligned(position, data, self.size)
    }

    /// Returns the first data at or after `position` and before `end`, up to the next hole, or
    /// `None` if there is only a hole.
    ///
    /// The data starts at `position` or at a page boundary after it, and ends at a page boundary or
    /// at `end`. It is contained in one window.
    pub fn extent(
        &self,
        position: u64,
        end: u64,
        seek: impl Fn(u64, Whence) -> Result<u64>,
    ) -> Option<Window> {
        let data = self.data(position, end, &seek)?;
        let extent = self.aligned(position, data, end)?;
        if self.holes
            && let Ok(hole) = seek(data, Whence::HOLE)
            && let Some(hole) = hole.checked_next_multiple_of(self.page)
            && (extent.start + 1..extent.end()).contains(&hole)
        {
            return Some(Window { start: extent.start, len: (hole - extent.start) as usize });
        }
        Some(extent)
    }

    /// Returns the range from the page of `data`, or from `position` if it is in that page, up to
    /// the end of the window that contains it, or to `end`.
    fn aligned(&self, position: u64, data: u64, end: u64) -> Option<Window> {
        let start = position.max(data & !(self.page - 1));
        // A window ends at a multiple of its size, so that the next one is aligned.
        let end = end.min((start | (WINDOW - 1)).saturating_add(1));
        (start < end).then(|| Window { start, len: (end - start) as usize })
    }

    /// Returns the offset of the first data at or after `position`, or `None` if there is none
    /// before `end`.
    fn data(
        &self,
        position: u64,
        end: u64,
        seek: &impl Fn(u64, Whence) -> Result<u64>,
    ) -> Option<u64> {
        if position >= end {
            return None;
        }
        if !self.holes {
            return Some(position);
        }
        match seek(position, Whence::DATA) {
            Ok(data) => Some(data),
            // There is no data after `position`.
            Err(Errno::ENXIO) => None,
            // The file system does not report holes: all the rest is treated as data.
            Err(_) => Some(position),
        }
    }
}

/// Files of this size in bytes and larger are preallocated.
///
/// Smaller files are written just as fast without preallocation, and delayed allocation reserves
/// their space when they are written.
pub const RESERVED: u64 = 128 << 10;

/// Files of this size in bytes and larger are written from a mapping, which is then faster than
/// `copy_file_range(2)`.
const WRITTEN: u64 = 4 << 20;

/// Files of this size in bytes and larger are copied by two processes. Only one process can write
/// to a file at a time, and the other one maps and populates its next window meanwhile.
const SHARED: u64 = 16 << 20;

/// Returns the fastest method, and the number of processes. Zero means that a second process is
/// never used, even if the caller asks for it.
///
/// | size | space | method | processes |
/// |---|---|---|---|
/// | less than 128 KiB | not preallocated | kernel | 1 |
/// | 128 KiB to 4 MiB | preallocated | kernel | 1 |
/// | 4 MiB to 16 MiB | preallocated | write | 1 |
/// | from 16 MiB | preallocated | write | 2, if there are two processors |
/// | from 128 KiB | cannot be preallocated | kernel | 1 |
/// | less than 16 MiB, with holes | allocated by writing | write | 1 |
/// | from 16 MiB, with holes | allocated by writing | write | 2, if there are two processors |
///
/// Space is not preallocated on btrfs, because btrfs does not compress data in preallocated extents
/// (Linux 6.18).
///
/// The caller first tries to clone the file. It falls back from `write` to `kernel` if the source
/// is not in memory, from `kernel` to `write` if `copy_file_range(2)` fails, and to reading if the
/// source cannot be mapped. `cargo xtask bench` measures the sizes.
pub fn best(plan: &Plan, reserved: bool) -> (Method, u32) {
    if !reserved && !plan.holes {
        // A second process would write out of order. File systems without sparse files, such as
        // vfat, then write zeros up to the new data first.
        return (Method::Kernel, 0);
    }
    let method = if plan.size < WRITTEN && !plan.holes { Method::Kernel } else { Method::Write };
    (method, if plan.size >= SHARED && has_two_processors() { 2 } else { 1 })
}

/// Returns whether this process may run on at least two of the first 1024 processors.
#[cold]
#[inline(never)]
fn has_two_processors() -> bool {
    let mut mask = [0usize; 1024 / usize::BITS as usize];
    if sched_getaffinity(0, &mut mask).is_err() {
        return false;
    }
    mask.iter().map(|word| word.count_ones()).sum::<u32>() > 1
}
