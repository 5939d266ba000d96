//! The pages of a range that are in memory.

use super::runs::{AT_ONCE, Run, Runs, Source};
use crate::map::{Mmap, MmapMut, MmapRaw, Result};
use crate::syscall::{self, Errno, page_size};

/// Returns which pages of a range of this process's address space are in memory.
///
/// The result is an iterator over runs of pages that are in memory (`true`) and of pages that are
/// not (`false`). No page is brought into memory. An empty range has no runs.
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
/// A page of a file is in memory if it is in the page cache, even if this process has never
/// accessed it. A page of private anonymous memory is in memory if it was accessed: a page that
/// was only read is in memory, too, as the zero page.
///
/// Since Linux 5.2, the kernel reveals the page cache of a file only to a process that owns the
/// file or may write to it. To other processes **all pages of the file appear to be in memory**.
/// DAX files have no page cache.
///
/// The result is consistent for 512 pages at a time, and may be out of date when it is returned.
///
/// [`pagemap`](crate::map::pagemap) returns what is in the page table of this process.
/// [`cachestat`](syscall::cachestat) counts the pages of a file that need not be mapped.
///
/// Source: mincore(2).
///
/// # Errors
///
/// An item is `ENOMEM` if a part of the range is not mapped, or is past the end of the address
/// space. It is the last item. Up to 511 mapped pages before the first unmapped page may be missing
/// from the runs, because the kernel is asked for 512 pages at a time.
#[doc(alias = "mincore")]
#[must_use]
pub fn residency(start: *const u8, len: usize) -> Residency {
    Residency(Runs::new(start, len, Mincore([0; AT_ONCE])))
}

macro_rules! of_maps {
    ($($map:ident)*) => {$(
        impl $map {
            /// Returns which pages of the map are in memory, as [`residency()`] does for a range.
            ///
            /// The iterator does not borrow the map. If the map is dropped or moved meanwhile, an
            /// item is `ENOMEM`, or the state of another mapping that has the addresses.
            pub fn residency(&self) -> Residency {
                residency(self.0.ptr(), self.0.len())
            }
        }
    )*};
}

of_maps!(Mmap MmapMut MmapRaw);

/// An iterator over runs of pages that are in memory and of pages that are not. Created by
/// [`residency()`].
#[derive(Debug)]
pub struct Residency(Runs<Mincore>);

impl Iterator for Residency {
    type Item = Result<Run<bool>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// The answers of mincore(2): one byte for each page, of which bit 0 is significant.
struct Mincore([u8; AT_ONCE]);

impl Source for Mincore {
    type State = bool;

    fn query(&mut self, first: *const u8, pages: usize) -> syscall::Result<()> {
        loop {
            match syscall::mincore(first, pages * page_size(), &mut self.0) {
                // The kernel was temporarily short of memory for the call.
                Err(Errno::EAGAIN) => {}
                result => return result,
            }
        }
    }

    fn state(&self, page: usize) -> bool {
        self.0[page] & 1 != 0
    }
}
