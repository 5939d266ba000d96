//! The page table entries of a range.

use bitflags::bitflags;

use super::runs::{AT_ONCE, Run, Runs, Source};
use crate::fd::{AsFd, OwnedFd};
use crate::map::Result;
use crate::syscall::{self, Errno, Mode, OFlags, page_size};

/// Returns the state of the pages of a range in the page table of this process.
///
/// The result is an iterator over runs of pages with equal flags. An empty range has no runs.
///
/// ```
/// use baremap::map::{MmapMut, PageFlags, pagemap};
///
/// let mut map = MmapMut::map_anon(100_000)?;
/// map[50_000] = 1;
/// let mut present = 0;
/// for run in pagemap(map.as_ptr(), map.len())? {
///     let run = run?;
///     present += if run.state.contains(PageFlags::PRESENT) { run.len } else { 0 };
/// }
/// assert!(present > 0);
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// Unmapped pages have empty flags, and so do pages past the end of the address space of user
/// programs.
///
/// More pages may be present than were accessed, because one access maps several pages. For a
/// file on ext4 or xfs it maps at least 16 pages that are in the page cache, and up to 256, the
/// size of a large folio (Linux 6.18).
///
/// Source: the kernel's `Documentation/admin-guide/mm/pagemap.rst`.
///
/// # Errors
///
/// * `ENOENT` if `/proc` is not mounted.
/// * `EMFILE` or `ENFILE` if no file descriptor is free.
///
/// An item is `ENOMEM` if the end of the range is more than the greatest address, or an error of
/// reading `/proc/self/pagemap`. It is the last item.
pub fn pagemap(start: *const u8, len: usize) -> Result<Pagemap> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = syscall::open(c"/proc/self/pagemap", flags, Mode::empty())?;
    Ok(Pagemap(Runs::new(start, len, Entries { file, entries: [0; AT_ONCE] })))
}

bitflags! {
    /// The state of a page in the page table. Empty flags mean that the page is neither in memory
    /// nor in the swap space.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PageFlags: u64 {
        /// The page was written to since 4 was last written to `/proc/self/clear_refs`
        /// (soft-dirty). Not all kernels keep track of it.
        const SOFT_DIRTY = 1 << 55;
        /// The page is mapped exactly once.
        const EXCLUSIVE = 1 << 56;
        /// The page is write-protected by userfaultfd (Linux 5.13).
        const UFFD_WP = 1 << 57;
        /// The page is a guard page, an access to which is a fault (`MADV_GUARD_INSTALL`). Reported
        /// since Linux 6.15. `SWAPPED` is set as well.
        const GUARD = 1 << 58;
        /// The page belongs to a file or to shared memory.
        const FILE = 1 << 61;
        /// The page is in the swap space.
        const SWAPPED = 1 << 62;
        /// The page is in memory.
        const PRESENT = 1 << 63;
    }
}

/// An iterator over runs of pages with equal flags. Created by [`pagemap()`].
#[derive(Debug)]
pub struct Pagemap(Runs<Entries>);

impl Iterator for Pagemap {
    type Item = Result<Run<PageFlags>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// The contents of `/proc/self/pagemap`: eight bytes for each page.
struct Entries {
    file: OwnedFd,
    entries: [u64; AT_ONCE],
}

impl Source for Entries {
    type State = PageFlags;

    fn query(&mut self, first: *const u8, pages: usize) -> syscall::Result<()> {
        let mut bytes = [0; AT_ONCE * 8];
        let from = (first.addr() / page_size()) as u64 * 8;
        let (mut done, all) = (0, pages * 8);
        while done < all {
            match syscall::pread(self.file.as_fd(), &mut bytes[done..all], from + done as u64) {
                // The file ends at the end of the address space of user programs.
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        let (entries, _) = bytes.as_chunks();
        for (entry, &bytes) in self.entries.iter_mut().zip(entries) {
            *entry = u64::from_ne_bytes(bytes);
        }
        Ok(())
    }

    fn state(&self, page: usize) -> PageFlags {
        PageFlags::from_bits_truncate(self.entries[page])
    }
}
