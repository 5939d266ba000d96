//! Which pages of a range are in memory, and how.

use core::fmt;

use bitflags::bitflags;

use crate::fd::{AsFd, OwnedFd};
use crate::map::{Mmap, MmapMut, MmapRaw, Result};
use crate::syscall::{self, Errno, Mode, OFlags, page_size};

/// Pages one after another that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<S> {
    /// Where they begin, in bytes from the start of the range that was asked about.
    pub offset: usize,
    /// How many bytes of the range are in them.
    pub len: usize,
    /// What they are like.
    pub state: S,
}

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
/// and may be different when the answer is read. [`pagemap`] tells what this process has in
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

/// Runs of pages that are in memory and that are not: of [`residency`].
#[derive(Debug)]
pub struct Residency(Runs<Mincore>);

/// Runs of pages with the same flags: of [`pagemap`].
#[derive(Debug)]
pub struct Pagemap(Runs<Entries>);

impl Iterator for Residency {
    type Item = Result<Run<bool>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl Iterator for Pagemap {
    type Item = Result<Run<PageFlags>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// How many pages are looked at by one call.
const AT_ONCE: usize = 512;

/// Tells the states of pages, `AT_ONCE` of them or fewer at a time.
trait Source {
    type State: Copy + PartialEq;

    /// Looks at pages, given by the address of the first.
    fn look(&mut self, first: *const u8, pages: usize) -> syscall::Result<()>;

    /// The state of one of them.
    fn state(&self, page: usize) -> Self::State;
}

/// Runs of equal states.
struct Runs<S> {
    /// The page that the range begins in.
    first: *const u8,
    /// Where in it the range begins.
    before: usize,
    len: usize,
    /// How many bytes of the range have been told.
    told: usize,
    /// Which pages were looked at last, from one number to another.
    seen: (usize, usize),
    source: S,
}

// SAFETY: the pointer is never read by: it is an address to ask the kernel about, which all
// threads have in common.
unsafe impl<S: Send> Send for Runs<S> {}
// SAFETY: as above.
unsafe impl<S: Sync> Sync for Runs<S> {}

impl<S: Source> Runs<S> {
    fn new(start: *const u8, len: usize, source: S) -> Runs<S> {
        let before = start.addr() & (page_size() - 1);
        Runs { first: start.wrapping_sub(before), before, len, told: 0, seen: (0, 0), source }
    }

    fn state(&mut self, page: usize) -> syscall::Result<S::State> {
        if page >= self.seen.1 {
            // The kernel's own last pages are nobody's, so no sum below overflows.
            let end = self.first.addr() + self.before;
            let end = end.checked_add(self.len).ok_or(Errno::ENOMEM)?;
            let end = end.checked_next_multiple_of(page_size()).ok_or(Errno::ENOMEM)?;
            let pages = (end - self.first.addr()) / page_size();
            let count = (pages - page).min(AT_ONCE);
            self.source.look(self.first.wrapping_add(page * page_size()), count)?;
            self.seen = (page, page + count);
        }
        Ok(self.source.state(page - self.seen.0))
    }

    fn run(&mut self) -> syscall::Result<Run<S::State>> {
        let offset = self.told;
        let mut page = (self.before + offset) / page_size();
        let state = self.state(page)?;
        loop {
            page += 1;
            self.told = (page * page_size() - self.before).min(self.len);
            // An error is that of the next run.
            if self.told == self.len || !self.state(page).is_ok_and(|next| next == state) {
                return Ok(Run { offset, len: self.told - offset, state });
            }
        }
    }

    fn next(&mut self) -> Option<Result<Run<S::State>>> {
        if self.told == self.len {
            return None;
        }
        let run = self.run();
        if run.is_err() {
            self.told = self.len;
        }
        Some(run)
    }
}

impl<S> fmt::Debug for Runs<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs").field("told", &self.told).field("len", &self.len).finish()
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

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Answers from a list, whose first page is that of address zero; `None` is an error.
    struct List {
        states: Vec<Option<u8>>,
        seen: Vec<u8>,
    }

    impl Source for List {
        type State = u8;

        fn look(&mut self, first: *const u8, pages: usize) -> syscall::Result<()> {
            assert!(first.addr().is_multiple_of(page_size()) && (1..=AT_ONCE).contains(&pages));
            let from = first.addr() / page_size();
            let seen = self.states[from..from + pages].iter().copied();
            self.seen = seen.collect::<Option<_>>().ok_or(Errno::ENOMEM)?;
            Ok(())
        }

        fn state(&self, page: usize) -> u8 {
            self.seen[page]
        }
    }

    proptest! {
        /// The runs are the whole range and no more, each as long as it can be, and every
        /// byte has its page's state.
        #[test]
        fn runs_tell_every_byte_once(
            states in proptest::collection::vec((0_u8..3, 1_usize..700), 1..8),
            cut in (0_usize..5000, 0_usize..5000),
        ) {
            let states: Vec<Option<u8>> = states
                .iter()
                .flat_map(|&(state, count)| std::iter::repeat_n(Some(state), count))
                .collect();
            let all = states.len() * page_size();
            let start = cut.0.min(all - 1);
            let len = (all - start).saturating_sub(cut.1);
            let list = List { states: states.clone(), seen: Vec::new() };
            let mut runs = Runs::new(ptr::without_provenance(start), len, list);
            let mut end = 0;
            let mut last = None;
            while let Some(run) = runs.next() {
                let run = run.unwrap();
                prop_assert_eq!(run.offset, end);
                prop_assert!(run.len > 0 && last != Some(run.state));
                (end, last) = (run.offset + run.len, Some(run.state));
                let pages = (start + run.offset) / page_size()..=(start + end - 1) / page_size();
                prop_assert!(states[pages].iter().all(|&state| state == Some(run.state)));
            }
            prop_assert_eq!(end, len);
        }
    }

    #[test]
    fn an_error_comes_after_what_was_known_and_is_the_last() {
        let mut states = std::vec![Some(1); AT_ONCE + 1];
        states.push(None);
        let list = List { states, seen: Vec::new() };
        let mut runs = Runs::new(ptr::null(), (AT_ONCE + 2) * page_size(), list);
        let run = runs.next().unwrap().unwrap();
        assert_eq!(run, Run { offset: 0, len: AT_ONCE * page_size(), state: 1 });
        assert!(runs.next().unwrap().is_err());
        assert!(runs.next().is_none());
    }
}
