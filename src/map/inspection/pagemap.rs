//! How a process has the pages of a range in its page table.

use bitflags::bitflags;

use super::runs::{AT_ONCE, Run, Runs, Source};
use crate::fd::{AsFd, OwnedFd};
use crate::map::Result;
use crate::syscall::{self, Errno, Mode, OFlags, page_size};

/// Tells how this process has the pages of a range in its page table, as runs of pages with
/// the same flags. No bytes: no runs.
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
/// Addresses where nothing is mapped have no flags, as long as there are any. Source: the kernel's
/// `Documentation/admin-guide/mm/pagemap.rst`.
///
/// # Errors
///
/// Those of opening `/proc/self/pagemap`, as `ENOENT` where there is no `/proc`; and an item
/// is one of reading it, or `ENOMEM`: the range goes on beyond the last address.
pub fn pagemap(start: *const u8, len: usize) -> Result<Pagemap> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = syscall::open(c"/proc/self/pagemap", flags, Mode::empty())?;
    Ok(Pagemap(Runs::new(start, len, Entries { file, entries: [0; AT_ONCE] })))
}

bitflags! {
    /// What the page table says of a page. Empty: it has no memory, and no place in the
    /// swap.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PageFlags: u64 {
        /// Written to since the process's `clear_refs` was last used (soft-dirty; not all
        /// kernels keep account of it).
        const SOFT_DIRTY = 1 << 55;
        /// Mapped by nobody else.
        const EXCLUSIVE = 1 << 56;
        /// Protected from being written to by userfaultfd (Linux 5.13).
        const UFFD_WP = 1 << 57;
        /// A guard: touching it is a fault (`MADV_GUARD_INSTALL`; told since Linux 6.15). It
        /// seems to be `SWAPPED` as well.
        const GUARD = 1 << 58;
        /// A page of a file, or of shared memory.
        const FILE = 1 << 61;
        /// Not in memory but in the swap.
        const SWAPPED = 1 << 62;
        /// In memory.
        const PRESENT = 1 << 63;
    }
}

/// Runs of pages with the same flags: of [`pagemap`].
#[derive(Debug)]
pub struct Pagemap(Runs<Entries>);

impl Iterator for Pagemap {
    type Item = Result<Run<PageFlags>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// Eight bytes for each page.
struct Entries {
    file: OwnedFd,
    entries: [u64; AT_ONCE],
}

impl Source for Entries {
    type State = PageFlags;

    fn look(&mut self, first: *const u8, pages: usize) -> syscall::Result<()> {
        let mut bytes = [0; AT_ONCE * 8];
        let from = (first.addr() / page_size()) as u64 * 8;
        let (mut done, all) = (0, pages * 8);
        while done < all {
            match syscall::pread(self.file.as_fd(), &mut bytes[done..all], from + done as u64) {
                // Beyond the addresses that a process may have there are no entries.
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
