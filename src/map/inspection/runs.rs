//! Runs of pages that are alike.

use core::fmt;

use crate::map::Result;
use crate::syscall::{self, Errno, page_size};

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

/// How many pages are looked at by one call.
pub(super) const AT_ONCE: usize = 512;

/// Tells the states of pages, `AT_ONCE` of them or fewer at a time.
pub(super) trait Source {
    type State: Copy + PartialEq;

    /// Looks at pages, given by the address of the first.
    fn look(&mut self, first: *const u8, pages: usize) -> syscall::Result<()>;

    /// The state of one of them.
    fn state(&self, page: usize) -> Self::State;
}

/// Runs of equal states.
pub(super) struct Runs<S> {
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
    pub fn new(start: *const u8, len: usize, source: S) -> Runs<S> {
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

    pub fn next(&mut self) -> Option<Result<Run<S::State>>> {
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
