//! Which pages of a range are in memory, and how.

use super::runs::{AT_ONCE, Run, Runs, Source};
use crate::map::{Mmap, MmapMut, MmapRaw, Result};
use crate::syscall::{self, Errno, page_size};

/// Tells which pages of a range of this process's addresses are in memory, as runs of pages
/// that are (`true`) and that are not, without reading any in. No bytes: no runs.
///
/// ```
/// use baremap::map::{MmapMut, residency};
///
/// let mut map = MmapMut::map_anon(100_000)?;
/// map[50_000] = 1;
/// let mut resident = 0;
/// for run in residency(map.as_ptr(), map.len()) {
///     let run = run?;
///     resident += if run.state { run.len } else { 0 };
/// }
/// assert!(resident > 0);
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// A page of a file is in memory if anybody has brought it there: this process need not have
/// touched it. Of private anonymous memory, a page that was never written to is not.
///
/// The kernel (since Linux 5.2) tells only those who own a file or may write to it: to others
/// **every page of it seems to be in memory**. All is as of one moment for 512 pages each,
/// and may be different when the answer is read. [`pagemap`](crate::map::pagemap) tells what this process has in
/// its own page table. For a range of a file that is not mapped there is
/// [`cachestat`](syscall::cachestat). Source: mincore(2).
///
/// # Errors
///
/// An item is `ENOMEM`: part of the range is not mapped. After it there is nothing more.
#[must_use]
pub fn residency(start: *const u8, len: usize) -> Residency {
    Residency(Runs::new(start, len, Mincore([0; AT_ONCE])))
}

macro_rules! of_maps {
    ($($map:ident)*) => {$(
        impl $map {
            /// Tells which of its pages are in memory: [`residency()`] of the whole map.
            pub fn residency(&self) -> Residency {
                residency(self.0.ptr(), self.0.len())
            }
        }
    )*};
}

of_maps!(Mmap MmapMut MmapRaw);

/// Runs of pages that are in memory and that are not: of [`residency`].
#[derive(Debug)]
pub struct Residency(Runs<Mincore>);

impl Iterator for Residency {
    type Item = Result<Run<bool>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// One byte for each page, of which bit 0 counts.
struct Mincore([u8; AT_ONCE]);

impl Source for Mincore {
    type State = bool;

    fn look(&mut self, first: *const u8, pages: usize) -> syscall::Result<()> {
        loop {
            match syscall::mincore(first, pages * page_size(), &mut self.0) {
                // The kernel lacked memory for its own answer.
                Err(Errno::EAGAIN) => {}
                result => return result,
            }
        }
    }

    fn state(&self, page: usize) -> bool {
        self.0[page] & 1 != 0
    }
}
