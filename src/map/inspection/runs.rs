//! Runs of consecutive pages with equal state.

use core::fmt;

use crate::map::Result;
use crate::syscall::{self, Errno, page_size};

/// A run of consecutive pages with equal state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<S> {
    /// The offset of the run in the range, in bytes.
    pub offset: usize,
    /// The number of bytes of the range that are in these pages. It is a multiple of the page size
    /// unless the run contains a partial page at the beginning or the end of the range.
    pub len: usize,
    /// The state of the pages.
    pub state: S,
}

/// The number of pages that are queried by one system call.
pub(super) const AT_ONCE: usize = 512;

/// Queries the states of at most `AT_ONCE` pages at a time.
pub(super) trait Source {
    type State: Copy + PartialEq;

    /// Queries the states of `pages` pages from the address `first` on.
    fn query(&mut self, first: *const u8, pages: usize) -> syscall::Result<()>;

    /// Returns the state of a page, whose index counts from the first page of the last query.
    fn state(&self, page: usize) -> Self::State;
}

/// The runs of a range.
pub(super) struct Runs<S> {
    /// The address of the page that contains the first byte of the range.
    first: *const u8,
    /// The offset of the range in its first page.
    before: usize,
    len: usize,
    /// The number of bytes of the range that have been returned.
    returned: usize,
    /// The indices of the first page of the last query, and of the page after its last one.
    seen: (usize, usize),
    source: S,
}

// SAFETY: the pointer is never dereferenced. It is an address in the address space that all threads
// share, which the kernel is asked about.
unsafe impl<S: Send> Send for Runs<S> {}
// SAFETY: the pointer is never dereferenced, and a shared reference changes nothing.
unsafe impl<S: Sync> Sync for Runs<S> {}

impl<S: Source> Runs<S> {
    pub fn new(start: *const u8, len: usize, source: S) -> Runs<S> {
        let before = start.addr() & (page_size() - 1);
        Runs { first: start.wrapping_sub(before), before, len, returned: 0, seen: (0, 0), source }
    }

    /// Returns the state of a page, whose index counts from the first page of the range.
    fn state(&mut self, page: usize) -> syscall::Result<S::State> {
        if page >= self.seen.1 {
            // The last page of the address space belongs to the kernel, so that a range that ends
            // there is `ENOMEM`, and the sums do not overflow.
            let end = self.first.addr() + self.before;
            let end = end.checked_add(self.len).ok_or(Errno::ENOMEM)?;
            let end = end.checked_next_multiple_of(page_size()).ok_or(Errno::ENOMEM)?;
            let pages = (end - self.first.addr()) / page_size();
            let count = (pages - page).min(AT_ONCE);
            self.source.query(self.first.wrapping_add(page * page_size()), count)?;
            self.seen = (page, page + count);
        }
        Ok(self.source.state(page - self.seen.0))
    }

    /// Returns the next run. The range is not at its end.
    fn run(&mut self) -> syscall::Result<Run<S::State>> {
        let offset = self.returned;
        let mut page = (self.before + offset) / page_size();
        let state = self.state(page)?;
        loop {
            page += 1;
            self.returned = (page * page_size() - self.before).min(self.len);
            // An error is returned by the next call, as that of the next run.
            if self.returned == self.len || !self.state(page).is_ok_and(|next| next == state) {
                return Ok(Run { offset, len: self.returned - offset, state });
            }
        }
    }

    /// Returns the next run, or `None` after the last one or after an error.
    pub fn next(&mut self) -> Option<Result<Run<S::State>>> {
        if self.returned == self.len {
            return None;
        }
        let run = self.run();
        if run.is_err() {
            self.returned = self.len;
        }
        Some(run)
    }
}

impl<S> fmt::Debug for Runs<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs").field("returned", &self.returned).field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// A source that answers from a list, whose first page is at the address zero. `None` is an
    /// error.
    struct List {
        states: Vec<Option<u8>>,
        seen: Vec<u8>,
    }

    impl Source for List {
        type State = u8;

        fn query(&mut self, first: *const u8, pages: usize) -> syscall::Result<()> {
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
        /// The runs cover the whole range and nothing else, each is as long as possible, and every
        /// byte has the state of its page.
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
