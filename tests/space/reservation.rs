//! Reservations, against a plain model and the kernel's list of mappings.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Page {
    Reserved,
    Committed,
    Guard,
}

/// An operation on a part, with numbers that select the position.
#[derive(Clone, Debug)]
enum Step {
    Commit(Range<usize>, u8),
    Decommit(Range<usize>),
    Guard(Range<usize>),
    /// Places a map of a file or of memory at a page, and drops, forgets or copies it.
    Place(usize, usize, bool, bool),
    Split(usize),
    Merge(usize),
    Drop,
}

const PAGES: usize = 12;

fn step() -> impl Strategy<Value = (usize, Step)> {
    // Some ranges reach past the end, and some are reversed.
    let bytes = (0..PAGES * 4096 + 9, 0..PAGES * 4096 + 9).prop_map(|(a, b)| a..b);
    let pages = || (0..PAGES + 1, 0..PAGES + 1).prop_map(|(a, b)| a..b);
    let step = prop_oneof![
        8 => (bytes, any::<u8>()).prop_map(|(range, value)| Step::Commit(range, value)),
        3 => pages().prop_map(Step::Decommit),
        3 => pages().prop_map(Step::Guard),
        3 => (0..PAGES, 0usize..4, any::<bool>(), any::<bool>())
            .prop_map(|(at, count, file, forget)| Step::Place(at, count, file, forget)),
        3 => (0..PAGES + 1).prop_map(Step::Split),
        3 => any::<usize>().prop_map(Step::Merge),
        1 => Just(Step::Drop),
    ];
    (any::<usize>(), step)
}

/// A plain model: the state and the contents of each page.
struct Model {
    base: usize,
    pages: Vec<Page>,
    bytes: Vec<u8>,
}

impl Model {
    /// Sets the state of pages. Pages that become memory are zero.
    fn set(&mut self, pages: Range<usize>, state: Page) {
        for page in pages {
            self.pages[page] = state;
            self.bytes[page * page_size()..][..page_size()].fill(0);
        }
    }

    fn check(&self, part: &Reservation, sink: &OwnedFd) {
        let first = (part.as_ptr().addr() - self.base) / page_size();
        let found = permissions(part.as_ptr(), part.len());
        for (number, permissions) in found.iter().enumerate() {
            let page = first + number;
            let at = part.as_ptr().wrapping_add(number * page_size());
            match self.pages[page] {
                Page::Reserved => assert_eq!(permissions, "---p", "page {page}"),
                Page::Committed => {
                    assert_eq!(permissions, "rw-p", "page {page}");
                    // SAFETY: readable, as the kernel says; no other reference is alive.
                    let found = unsafe { std::slice::from_raw_parts(at, page_size()) };
                    let wanted = &self.bytes[page * page_size()..][..page_size()];
                    assert!(found == wanted, "page {page} has other bytes");
                }
                Page::Guard => {
                    assert!(["---p", "rw-p"].contains(&permissions.as_str()), "page {page}");
                    assert!(!readable(sink, at), "page {page} can be read");
                }
            }
        }
    }
}

fn drive(steps: Vec<(usize, Step)>) {
    let page = page_size();
    let sink = sink();
    let file = numbered(4);
    let all = Reservation::new(PAGES * page).unwrap();
    let mut model = Model {
        base: all.as_ptr().addr(),
        pages: vec![Page::Reserved; PAGES],
        bytes: vec![0; PAGES * page],
    };
    let mut parts = vec![all];
    for (which, step) in steps {
        let _case = case!(which, step);
        let Some(which) = which.checked_rem(parts.len()) else { break };
        let part = &mut parts[which];
        let first = (part.as_ptr().addr() - model.base) / page;
        let there = part.len() / page;
        let ok = |range: &Range<usize>, end| range.start <= range.end && range.end <= end;
        match step {
            Step::Commit(range, value) => {
                let length = part.len();
                match part.commit(range.clone()) {
                    Ok(bytes) => {
                        assert!(ok(&range, length));
                        assert_eq!(bytes.len(), range.len());
                        let from = first * page + range.start;
                        for touched in from / page..(from + range.len()).div_ceil(page) {
                            if !range.is_empty() && model.pages[touched] != Page::Committed {
                                model.set(touched..touched + 1, Page::Committed);
                            }
                        }
                        let wanted = &mut model.bytes[from..from + range.len()];
                        assert!(bytes == wanted, "commit gave other bytes");
                        bytes.fill(value);
                        wanted.fill(value);
                    }
                    Err(error) => {
                        assert!(!ok(&range, length));
                        assert_eq!(errno(error), Errno::EINVAL);
                    }
                }
            }
            Step::Decommit(ref range) | Step::Guard(ref range) => {
                let bytes = range.start * page..range.end * page;
                let (result, state) = match step {
                    Step::Guard(_) => (part.guard_pages(bytes), Page::Guard),
                    _ => (part.decommit(bytes), Page::Reserved),
                };
                if ok(range, there) {
                    result.unwrap();
                    model.set(first + range.start..first + range.end, state);
                } else {
                    fails(result, Errno::EINVAL);
                }
                // A half of a page cannot be decommitted either.
                fails(part.decommit(1..page), Errno::EINVAL);
            }
            Step::Place(at, count, of_file, forget) => {
                let mut options = MmapOptions::new();
                options.len(count * page);
                let map = match of_file {
                    // SAFETY: nobody changes the file meanwhile.
                    true => unsafe { options.map_mut(&file).unwrap() },
                    false => options.map_anon().unwrap(),
                };
                match Placed::new(map, &mut *part, at * page) {
                    Ok(placed) => {
                        assert!(count == 0 || at + count <= there);
                        for number in 0..count {
                            let _case = case!(number);
                            let wanted = if of_file { number as u8 + 1 } else { 0 };
                            assert_eq!(placed[number * page], wanted);
                        }
                        if count != 0 {
                            let wanted = model.base + (first + at) * page;
                            assert_eq!(placed.as_ptr().addr(), wanted);
                            let there = mappings(placed.as_ptr(), count * page);
                            assert_eq!(there.iter().any(|map| map.2.contains("numbered")), of_file);
                        }
                        if forget {
                            mem::forget(placed);
                        }
                        if count != 0 {
                            model.set(first + at..first + at + count, Page::Reserved);
                        }
                    }
                    Err(error) => {
                        assert!(at + count > there);
                        assert_eq!(error.errno(), Errno::EINVAL);
                        let (map, _) = error.into_inner();
                        assert_eq!(map.len(), count * page);
                    }
                }
                // A forgotten map is replaced when the part is used again.
                part.decommit(0..0).unwrap();
            }
            Step::Split(at) => match part.split_off(at * page) {
                Ok(rest) => {
                    assert_eq!((part.len(), rest.len()), (at * page, (there - at) * page));
                    assert_eq!(rest.as_ptr(), part.as_ptr().wrapping_add(at * page));
                    parts.push(rest);
                }
                Err(error) => {
                    assert!(at > there);
                    assert_eq!(errno(error), Errno::EINVAL);
                }
            },
            Step::Merge(other) => {
                let next = parts.swap_remove(which);
                if parts.is_empty() {
                    parts.push(next);
                    continue;
                }
                let count = parts.len();
                let part = &mut parts[other % count];
                let (address, length, before) = (next.as_ptr(), next.len(), part.len());
                let adjacent = part.as_ptr().wrapping_add(before) == address;
                match part.merge(next) {
                    Ok(()) => {
                        assert!(adjacent);
                        assert_eq!(part.len(), before + length);
                    }
                    Err(error) => {
                        assert!(!adjacent);
                        assert_eq!(error.errno(), Errno::EINVAL);
                        let next = error.into_inner();
                        assert_eq!((next.as_ptr(), next.len()), (address, length));
                        assert_eq!(part.len(), before);
                        parts.push(next);
                    }
                }
            }
            Step::Drop => drop(parts.swap_remove(which)),
        }
        for part in &parts {
            model.check(part, &sink);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reservations_behave_like_the_model(steps in prop::collection::vec(step(), 1..40)) {
        drive(steps);
    }
}

#[test]
fn a_reservation_uses_no_memory() {
    let size = if cfg!(target_pointer_width = "64") { 1 << 42 } else { 1 << 28 };
    let mut all = Reservation::new(size).unwrap();
    assert_eq!(all.len(), size);
    assert!(!flagged(all.as_ptr(), "ac"), "reserved pages are counted as memory");
    let page = page_size();
    all.commit(page..2 * page).unwrap();
    let committed = all.as_ptr().wrapping_add(page);
    assert!(flagged(committed, "ac"), "committed pages are not counted as memory");
    all.decommit(page..2 * page).unwrap();
    assert!(!flagged(committed, "ac"), "decommitted pages are counted as memory");
    assert_eq!(mappings(all.as_ptr(), size).len(), 1);

    // More than the system can provide is rejected by `commit`.
    let mode = fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap();
    let result = all.commit(0..size).map(drop);
    match mode.trim() {
        "1" => result.unwrap(),
        _ => fails(result, Errno::ENOMEM),
    }
    assert!(whole(all.as_ptr(), size));
}

#[test]
fn reservations_of_zero_bytes_are_empty_and_of_too_many_are_errors() {
    let mut none = Reservation::new(0).unwrap();
    assert!(none.is_empty());
    assert!(none.commit(0..0).unwrap().is_empty());
    none.decommit(0..0).unwrap();
    none.guard_pages(0..0).unwrap();
    fails(none.commit(0..1), Errno::EINVAL);
    fails(none.split_off(page_size()), Errno::EINVAL);
    none.merge(Reservation::new(0).unwrap()).unwrap();
    fails(Reservation::new(usize::MAX), Errno::EOVERFLOW);
    fails(Reservation::new(isize::MAX as usize), Errno::EOVERFLOW);
    fails(Reservation::new(isize::MAX as usize - page_size() + 1), Errno::ENOMEM);
    fails(Reservation::aligned(1, 3), Errno::EINVAL);
    fails(Reservation::aligned(1, 0), Errno::EINVAL);
    fails(Reservation::aligned(isize::MAX as usize, 1 << 30), Errno::EOVERFLOW);
    assert_eq!(Reservation::new(1).unwrap().len(), page_size());
}

#[test]
fn aligned_reservations_have_the_requested_alignment() {
    for align in [1, page_size(), 1 << 21, 1 << 26] {
        let _case = case!(align);
        let part = Reservation::aligned(3 * page_size() - 1, align).unwrap();
        assert_eq!((part.len(), part.as_ptr().addr() % align), (3 * page_size(), 0));
        assert_eq!(permissions(part.as_ptr(), part.len()), ["---p"; 3]);
    }
}

/// Aligning the addresses leaves nothing reserved beside them.
#[test]
fn aligned_reservations_keep_no_other_addresses() {
    in_child(|| {
        let limit = Rlimit { current: in_use(0) + (1 << 28), maximum: u64::MAX };
        syscall::prlimit(0, Resource::AS, Some(limit))?;
        for _ in 0..20 {
            let part = Reservation::aligned(page_size(), 1 << 26)?;
            mem::forget(part);
        }
        Ok(())
    });
}

#[test]
fn decommitted_memory_is_not_resident() {
    let page = page_size();
    for guard in [false, true] {
        let _case = case!(guard);
        let mut part = Reservation::new(8 * page).unwrap();
        part.commit(0..8 * page).unwrap().fill(1);
        let resident = |part: &Reservation| {
            let mut pages = [0; 8];
            syscall::mincore(part.as_ptr(), 8 * page, &mut pages).unwrap();
            pages.map(|page| page & 1)
        };
        assert_eq!(resident(&part), [1; 8]);
        match guard {
            true => part.guard_pages(2 * page..5 * page).unwrap(),
            false => part.decommit(2 * page..5 * page).unwrap(),
        }
        assert_eq!(resident(&part), [1, 1, 0, 0, 0, 1, 1, 1]);
        let bytes = part.commit(0..8 * page).unwrap();
        let sum = |bytes: &[u8]| bytes.iter().map(|&byte| usize::from(byte)).sum::<usize>();
        assert_eq!((sum(bytes), sum(&bytes[2 * page..5 * page])), (5 * page, 0));
    }
}

#[test]
fn accesses_to_reserved_pages_fault() {
    let page = page_size();
    let mut part = Reservation::new(3 * page).unwrap();
    part.commit(0..3 * page).unwrap();
    part.decommit(0..page).unwrap();
    part.guard_pages(2 * page..3 * page).unwrap();
    let start = part.as_mut_ptr();
    for page_number in [0, 2] {
        // SAFETY: the fault is wanted.
        faults(|| unsafe { _ = start.add(page_number * page).read_volatile() });
        faults(|| unsafe { start.add(page_number * page).write_volatile(1) });
    }
    in_child(|| {
        check!(unsafe { start.add(page).read_volatile() } == 0);
        Ok(())
    });
}
