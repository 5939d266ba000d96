//! Address space as a tool: reservations, arenas, rings, code, files in memory.
//!
//! What is mapped is asked of the kernel: `/proc/self/maps` and `smaps`, and calls that fail
//! where nothing is. The tests are threads of one process: each looks at its own ranges. What
//! ends or limits a process is done in a copy of it, which allocates nothing.

#![allow(clippy::undocumented_unsafe_blocks, reason = "each test looks at its own memory")]

#[path = "common/kernel.rs"]
mod kernel;

use std::{
    collections::VecDeque,
    fs, mem,
    ops::Range,
    ptr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    thread,
};

use baremap::{
    fd::{AsFd, AsRawFd, OwnedFd},
    map::{
        Advice, Arena, Code, CodeMut, Error, Memfd, Mmap, MmapMut, MmapOptions, MmapRaw, Placed,
        Reservation, Ring, UncheckedAdvice,
    },
    syscall::{
        self, Errno, MapFlags, MsyncFlags, ProtFlags, Resource, Rlimit, Seals, Signal, WaitStatus,
        page_size,
    },
};
use kernel::{child, errno, flagged, refusing};
use proptest::prelude::*;
use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

#[track_caller]
fn fails<T>(result: Result<T, impl Into<Error>>, wanted: Errno) {
    match result {
        Ok(_) => panic!("succeeded, wanted {wanted:?}"),
        Err(error) => assert_eq!(errno(error), wanted),
    }
}

#[track_caller]
fn in_child(body: impl FnOnce() -> i32) {
    assert_eq!(child(body), WaitStatus::Exited(0), "the check with this number failed");
}

#[track_caller]
fn faults(body: impl FnOnce()) {
    let end = child(|| {
        // No core dump of a crash that is wanted.
        let none = Rlimit { current: 0, maximum: 0 };
        if syscall::prlimit(0, Resource::CORE, Some(none)).is_err() {
            return 2;
        }
        // Not the standard library's handler, which would look for a stack overflow.
        unsafe { syscall::rt_sigaction(Signal::SEGV, Some(&DEFAULT)) }.map_or(3, |_| {
            body();
            1
        })
    });
    assert!(matches!(end, WaitStatus::Killed(Signal::SEGV, _)), "{end:?}");
}

const DEFAULT: syscall::Sigaction = syscall::Sigaction {
    disposition: syscall::Disposition::Default,
    flags: syscall::SaFlags::empty(),
    mask: syscall::SigSet::empty(),
};

/// The mappings of a range, as the kernel lists them: address and length within the range,
/// permissions, and the file's name.
fn mappings(start: *const u8, length: usize) -> Vec<(Range<usize>, String, String)> {
    let (start, end) = (start.addr(), start.addr() + length);
    let text = fs::read_to_string("/proc/self/maps").unwrap();
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (from, to) = words.next().unwrap().split_once('-').unwrap();
        let from = usize::from_str_radix(from, 16).unwrap().max(start);
        let to = usize::from_str_radix(to, 16).unwrap().min(end);
        let permissions = words.next().unwrap().to_owned();
        (from < to).then(|| (from..to, permissions, words.nth(3).unwrap_or("").to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// The permissions of each page of a range; nothing where nothing is mapped.
fn permissions(start: *const u8, length: usize) -> Vec<String> {
    let mut pages = vec![String::new(); length / page_size()];
    for (range, permissions, _) in mappings(start, length) {
        for page in range.step_by(page_size()) {
            pages[(page - start.addr()) / page_size()].clone_from(&permissions);
        }
    }
    pages
}

/// Whether all of a range is mapped, to whatever. Allocates nothing.
fn whole(start: *const u8, length: usize) -> bool {
    // SAFETY: writes nothing back.
    unsafe { syscall::msync(start.cast_mut(), length, MsyncFlags::ASYNC).is_ok() }
}

/// Whether the kernel can read a byte. Allocates nothing.
fn readable(sink: &OwnedFd, byte: *const u8) -> bool {
    // SAFETY: the kernel checks the address.
    match unsafe { syscall::pwrite_raw(sink.as_fd(), byte, 1, 0) } {
        Ok(1) => true,
        Err(Errno::EFAULT) => false,
        other => panic!("{other:?}"),
    }
}

/// A file to write bytes to that nobody wants.
fn sink() -> OwnedFd {
    Memfd::new(c"sink", 1).unwrap().into()
}

/// A file in memory whose every page has its number, from 1 on.
fn numbered(pages: usize) -> Memfd {
    let file = Memfd::new(c"numbered", (pages * page_size()) as u64).unwrap();
    let map = MmapOptions::new().map_raw(&file).unwrap();
    for page in 0..pages {
        // SAFETY: inside the map, and nobody else's.
        unsafe { map.as_mut_ptr().add(page * page_size()).write(page as u8 + 1) };
    }
    file
}

// ------------------------------------------------------------------------- reservations

#[derive(Clone, Copy, Debug, PartialEq)]
enum Page {
    Reserved,
    Committed,
    Guard,
}

/// What is done to a part, which is told by a number, with numbers that say where.
#[derive(Clone, Debug)]
enum Step {
    Commit(Range<usize>, u8),
    Decommit(Range<usize>),
    Guard(Range<usize>),
    /// Place a map of a file or of memory at a page, and drop it, forget it, or copy.
    Place(usize, usize, bool, bool),
    Split(usize),
    Merge(usize),
    Drop,
}

const PAGES: usize = 12;

fn step() -> impl Strategy<Value = (usize, Step)> {
    // Ranges go beyond the end at times, and may be backwards.
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

/// A plain model: what each page is, and what its bytes are.
struct Model {
    base: usize,
    pages: Vec<Page>,
    bytes: Vec<u8>,
}

impl Model {
    /// Pages that are not memory are zero when they become memory.
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
                // Half of a page cannot be either.
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
                // What was forgotten is replaced when the part is next used.
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
    fn a_reservation_is_what_a_plain_model_says(steps in prop::collection::vec(step(), 1..40)) {
        drive(steps);
    }
}

#[test]
fn a_reservation_takes_addresses_and_nothing_else() {
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

    // More than there can be is refused when it is committed.
    let mode = fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap();
    let result = all.commit(0..size).map(drop);
    match mode.trim() {
        "1" => result.unwrap(),
        _ => fails(result, Errno::ENOMEM),
    }
    assert!(whole(all.as_ptr(), size));
}

#[test]
fn no_bytes_and_too_many() {
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
fn aligned_addresses() {
    for align in [1, page_size(), 1 << 21, 1 << 26] {
        let part = Reservation::aligned(3 * page_size() - 1, align).unwrap();
        assert_eq!((part.len(), part.as_ptr().addr() % align), (3 * page_size(), 0));
        assert_eq!(permissions(part.as_ptr(), part.len()), ["---p"; 3]);
    }
}

/// What was reserved beside aligned addresses is free again.
#[test]
fn aligned_addresses_leave_no_others() {
    in_child(|| {
        let limit = Rlimit { current: in_use(0) + (1 << 28), maximum: u64::MAX };
        let Ok(_) = syscall::prlimit(0, Resource::AS, Some(limit)) else { return 1 };
        for _ in 0..20 {
            let Ok(part) = Reservation::aligned(page_size(), 1 << 26) else { return 2 };
            mem::forget(part);
        }
        0
    });
}

#[test]
fn memory_that_is_given_back_is_not_resident() {
    let page = page_size();
    for guard in [false, true] {
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
fn pages_that_are_no_memory_fault() {
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
    in_child(|| i32::from(unsafe { start.add(page).read_volatile() }));
}

/// Whether this kernel has guards: 0, or `EINVAL` and nothing else.
fn has_guards() -> bool {
    // SAFETY: for no bytes.
    match unsafe { syscall::madvise(ptr::null_mut(), 0, syscall::Advice::GUARD_INSTALL) } {
        Ok(()) => true,
        Err(errno) => {
            assert_eq!(errno, Errno::EINVAL);
            false
        }
    }
}

#[test]
fn guards_make_no_mappings() {
    let page = page_size();
    let mut part = Reservation::new(64 * page).unwrap();
    part.commit(0..64 * page).unwrap();
    for number in (1..64).step_by(2) {
        part.guard_pages(number * page..(number + 1) * page).unwrap();
    }
    let count = mappings(part.as_ptr(), part.len()).len();
    assert_eq!(count, if has_guards() { 1 } else { 64 });
}

/// The kernel refuses to make guards of locked memory, as one without guards does.
#[test]
fn guards_where_the_kernel_makes_none() {
    let (page, sink) = (page_size(), sink());
    let mut part = Reservation::new(3 * page).unwrap();
    part.commit(0..3 * page).unwrap().fill(9);
    // SAFETY: this test's own.
    unsafe { syscall::mlock(part.as_ptr(), 3 * page).unwrap() };
    // SAFETY: as above.
    let refused = unsafe {
        syscall::madvise(part.as_mut_ptr(), page, syscall::Advice::GUARD_INSTALL).unwrap_err()
    };
    assert_eq!(refused, Errno::EINVAL);
    part.guard_pages(page..2 * page).unwrap();
    let readable = |number| readable(&sink, part.as_ptr().wrapping_add(number * page));
    assert_eq!([0, 1, 2].map(readable), [true, false, true]);
    assert_eq!(permissions(part.as_ptr(), part.len()), ["rw-p", "---p", "rw-p"]);
    let bytes = part.commit(0..3 * page).unwrap();
    assert_eq!([bytes[0], bytes[page], bytes[2 * page]], [9, 0, 9]);
}

/// Guards that came with a part are found by whoever owns it later.
#[test]
fn guards_go_with_their_pages() {
    let (page, sink) = (page_size(), sink());
    for split_first in [false, true] {
        let mut first = Reservation::new(4 * page).unwrap();
        first.commit(0..4 * page).unwrap();
        let guard = first.as_ptr().wrapping_add(2 * page);
        if split_first {
            let mut second = first.split_off(2 * page).unwrap();
            second.guard_pages(0..page).unwrap();
            first.merge(second).unwrap();
            assert!(!readable(&sink, guard));
            first.commit(0..4 * page).unwrap();
        } else {
            first.guard_pages(2 * page..3 * page).unwrap();
            let mut second = first.split_off(2 * page).unwrap();
            assert!(!readable(&sink, guard));
            second.commit(0..page).unwrap();
            mem::forget(second);
        }
        assert!(readable(&sink, guard));
    }
}

// ------------------------------------------------------------------------- placed maps

#[test]
fn placed_maps_are_what_they_were() {
    let page = page_size();
    let file = numbered(4);
    let mut part = Reservation::new(8 * page).unwrap();
    let base = part.as_ptr();

    // From the middle of a page of the file on.
    let offset = page as u64 + 10;
    let map = MmapOptions::new().offset(offset).len(page).map_raw(&file).unwrap();
    // SAFETY: inside the map.
    unsafe { map.as_mut_ptr().write(77) };
    let placed = Placed::new(map, &mut part, page).unwrap();
    assert_eq!((placed.as_ptr(), placed.len()), (base.wrapping_add(page + 10), page));
    // SAFETY: as above.
    assert_eq!(unsafe { placed.as_ptr().read() }, 77);
    assert_eq!(permissions(base, 8 * page)[..4], ["---p", "rw-s", "rw-s", "---p"]);
    drop(placed);
    assert_eq!(permissions(base, 8 * page), ["---p"; 8]);

    // What is written goes to the file, or not, as before.
    // SAFETY: nobody else uses the file.
    let copy = unsafe { MmapOptions::new().map_copy(&file).unwrap() };
    let mut placed = Placed::new(copy, &mut part, 0).unwrap();
    placed.as_mut()[0] = 55;
    assert_eq!((placed[0], placed[page + 10]), (55, 77));
    drop(placed);
    // SAFETY: as above.
    let map = unsafe { Mmap::map(&file).unwrap() };
    let placed = Placed::new(map, &mut part, 2 * page).unwrap();
    assert_eq!([0, 1, 2, 3].map(|number| placed[number * page]), [1, 2, 3, 4]);
    placed.advise(Advice::WillNeed).unwrap();
    fails(placed.advise_range(Advice::WillNeed, page, 4 * page), Errno::EINVAL);
}

#[test]
fn a_placed_map_may_own_its_reservation() {
    let page = page_size();
    let mut first = Reservation::new(4 * page).unwrap();
    let second = first.split_off(2 * page).unwrap();
    let base = first.as_ptr();
    let shared = MmapRaw::map_anon_shared(page).unwrap();
    let first = Placed::new(shared, first, page).unwrap();
    let second = Placed::new(MmapMut::map_anon(2 * page).unwrap(), second, 0).unwrap();
    assert_eq!(permissions(base, 4 * page), ["---p", "rw-s", "rw-p", "rw-p"]);
    let mut first = first.into_reservation().unwrap();
    assert_eq!(permissions(base, 4 * page), ["---p", "---p", "rw-p", "rw-p"]);
    first.merge(second.into_reservation().unwrap()).unwrap();
    assert_eq!(permissions(base, 4 * page), ["---p"; 4]);
    // Dropped together, in a copy where nobody else maps anything.
    in_child(|| {
        let Ok(map) = MmapMut::map_anon(page) else { return 1 };
        let Ok(placed) = Placed::new(map, first, 0) else { return 2 };
        drop(placed);
        i32::from(whole(base, page)) + i32::from(whole(base.wrapping_add(3 * page), page))
    });
}

#[test]
fn what_cannot_be_placed_comes_back() {
    let page = page_size();
    let mut part = Reservation::new(2 * page).unwrap();
    part.commit(0..2 * page).unwrap().fill(1);
    for (pages, offset) in [(3, 0), (2, page), (1, 2 * page), (1, 1), (1, usize::MAX - page + 1)] {
        let mut map = MmapMut::map_anon(pages * page).unwrap();
        map[0] = 42;
        let error = Placed::new(map, &mut part, offset).unwrap_err();
        assert_eq!(error.errno(), Errno::EINVAL);
        let (map, part) = error.into_inner();
        assert_eq!((map[0], map.len()), (42, pages * page));
        assert!(part.commit(0..2 * page).unwrap().iter().all(|&byte| byte == 1));
    }
    // No bytes are placed anywhere, and replace nothing.
    let placed = Placed::new(MmapMut::map_anon(0).unwrap(), &mut part, 7).unwrap();
    assert!(placed.is_empty());
    drop(placed);
    assert!(part.commit(0..2 * page).unwrap().iter().all(|&byte| byte == 1));
}

/// The kernel moves one mapping, and some kernels find out that there are more when they have
/// unmapped what was in the way, and some move them all, or half of them.
#[test]
fn a_map_of_several_mappings_stays_where_it_is() {
    let page = page_size();
    let mut part = Reservation::new(6 * page).unwrap();
    for (from, count) in [(0, 1), (1, 2), (3, 1)] {
        part.commit(0..6 * page).unwrap().fill(1);
        let mut map = MmapMut::map_anon(4 * page).unwrap();
        map.fill(7);
        map.advise_range(Advice::DontFork, from * page, count * page).unwrap();
        let before = map.as_ptr();
        let error = Placed::new(map, &mut part, page).unwrap_err();
        assert_eq!(error.errno(), Errno::EFAULT);
        let (map, part) = error.into_inner();
        assert_eq!((map.as_ptr(), map.len()), (before, 4 * page));
        assert!(map.iter().all(|&byte| byte == 7));
        assert!(part.commit(0..6 * page).unwrap().iter().all(|&byte| byte == 1));
        // Alike again they are one.
        map.advise(Advice::DoFork).unwrap();
        assert_eq!(Placed::new(map, part, page).unwrap()[4 * page - 1], 7);
    }
}

/// A move that failed may have left a hole, and what is there now may be somebody else's:
/// of that, nothing belongs to the reservation any more.
#[test]
fn what_may_be_somebody_elses_is_given_up() {
    let page = page_size();
    let mut part = Reservation::new(6 * page).unwrap();
    part.commit(0..6 * page).unwrap().fill(1);
    let target = part.as_ptr().wrapping_add(2 * page).addr();
    let to_target =
        SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, target as u64).unwrap();
    let rules = vec![SeccompRule::new(vec![to_target]).unwrap()];
    refusing(linux_raw_sys::general::__NR_mremap, rules, Errno::ENOMEM, || {
        let map = MmapMut::map_anon(page).unwrap();
        let error = Placed::new(map, part, 2 * page).unwrap_err();
        assert_eq!(error.errno(), Errno::ENOMEM);
        let (map, mut part) = error.into_inner();
        assert_eq!((map.len(), part.len()), (page, 2 * page));
        assert!(part.commit(0..2 * page).unwrap().iter().all(|&byte| byte == 1));
        drop(part);
        assert_eq!(permissions(ptr::without_provenance(target), 4 * page), ["rw-p"; 4]);
    });
}

/// A forgotten map is not what `commit` gives a slice of.
#[test]
fn a_forgotten_map_is_replaced() {
    let page = page_size();
    let file = numbered(2);
    let mut part = Reservation::new(4 * page).unwrap();
    part.commit(0..page).unwrap()[0] = 5;
    let map = MmapOptions::new().map_raw(&file).unwrap();
    mem::forget(Placed::new(map, &mut part, page).unwrap());
    let bytes = part.commit(0..4 * page).unwrap();
    assert_eq!([0, 1, 2, 3].map(|number| bytes[number * page]), [5, 0, 0, 0]);
    bytes.fill(9);
    // SAFETY: nobody changes the file.
    let map = unsafe { Mmap::map(&file).unwrap() };
    assert_eq!((map[0], map[page]), (1, 2));
}

/// Another thread asks for those very addresses all the time, and never gets one.
#[test]
fn there_is_never_a_hole() {
    let page = page_size();
    let file = numbered(2);
    let mut part = Reservation::new(16 * page).unwrap();
    let (base, done) = (part.as_ptr().addr(), AtomicBool::new(false));
    thread::scope(|scope| {
        let thief = scope.spawn(|| {
            let mut asked = 0u32;
            while !done.load(SeqCst) || asked < 1000 {
                let wish = ptr::without_provenance_mut(base + asked as usize % 16 * page);
                let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
                // SAFETY: a wish replaces nothing.
                let got = unsafe {
                    syscall::mmap(wish, page, ProtFlags::empty(), flags, None, 0).unwrap()
                };
                let stolen = (base..base + 16 * page).contains(&got.addr());
                // SAFETY: just mapped.
                unsafe { syscall::munmap(got, page).unwrap() };
                assert!(!stolen, "a page was free");
                asked += 1;
            }
        });
        for round in 0..5000 {
            let at = round % 14 * page;
            let map = MmapOptions::new().map_raw(&file).unwrap();
            drop(Placed::new(map, &mut part, at).unwrap());
            part.commit(at..at + 2 * page).unwrap();
            part.guard_pages(at..at + page).unwrap();
            part.decommit(at..at + page).unwrap();
        }
        done.store(true, SeqCst);
        thief.join().unwrap();
    });
}

// ------------------------------------------------------------------------- limits

/// How much of a limit is in use, in bytes: a word of `/proc/self/statm`. Allocates nothing.
fn in_use(word: usize) -> u64 {
    let flags = syscall::OFlags::RDONLY | syscall::OFlags::CLOEXEC;
    let file = syscall::open(c"/proc/self/statm", flags, syscall::Mode::empty()).unwrap();
    let mut text = [0; 200];
    let count = syscall::read(file.as_fd(), &mut text).unwrap();
    let mut words = text[..count].split(|byte| !byte.is_ascii_digit());
    let digits = words.nth(word).unwrap().iter();
    digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')) * page_size() as u64
}

#[test]
fn limits_are_errors_and_harm_nothing() {
    let page = page_size();
    let size = 64 << 20;
    let mut part = Reservation::new(size).unwrap();
    part.commit(0..page).unwrap()[0] = 1;
    let part = &mut part;
    let base = part.as_ptr();
    let file = numbered(4);

    in_child(|| {
        let limit = Rlimit { current: in_use(0) + (8 << 20), maximum: u64::MAX };
        let Ok(_) = syscall::prlimit(0, Resource::AS, Some(limit)) else { return 1 };
        if Reservation::new(size).map_err(errno).err() != Some(Errno::ENOMEM) {
            return 2;
        }
        // What is reserved has been counted already.
        let Ok(bytes) = part.commit(0..size) else { return 3 };
        if bytes[0] != 1 {
            return 4;
        }
        // A map is made elsewhere first, for which there is no room: nothing has happened.
        let map = MmapOptions::new().len(16 << 20).map_raw(&file);
        if map.map_err(errno).err() != Some(Errno::ENOMEM) {
            return 5;
        }
        let Ok(()) = part.decommit(page..size) else { return 6 };
        i32::from(!whole(base, size))
    });

    in_child(|| {
        let limit = Rlimit { current: in_use(5) + (8 << 20), maximum: u64::MAX };
        let Ok(_) = syscall::prlimit(0, Resource::DATA, Some(limit)) else { return 1 };
        if part.commit(0..size).map_err(errno).err() != Some(Errno::ENOMEM) {
            return 2;
        }
        if !whole(base, size) {
            return 3;
        }
        let Ok(bytes) = part.commit(0..4 << 20) else { return 4 };
        i32::from(bytes[0] != 1)
    });
}

/// With as many mappings as a process can have every call fails, and what it was about stays.
#[test]
fn too_many_mappings() {
    let page = page_size();
    let most: usize =
        fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    let mut fill = Reservation::new((2 * most + 100) * page).unwrap();
    let mut part = Reservation::new(8 * page).unwrap();
    part.commit(0..8 * page).unwrap().fill(3);
    let file = numbered(2);
    in_child(|| {
        let Ok(map) = MmapOptions::new().map_raw(&file) else { return 1 };
        let mut refused = None;
        for number in 0..most {
            if let Err(error) = fill.commit(2 * number * page..(2 * number + 1) * page) {
                refused = Some(errno(error));
                break;
            }
        }
        if refused != Some(Errno::ENOMEM) {
            return 2;
        }
        if part.decommit(page..2 * page).map_err(errno).err() != Some(Errno::ENOMEM) {
            return 3;
        }
        if !whole(part.as_ptr(), 8 * page) {
            return 4;
        }
        let error = match Placed::new(map, &mut part, 3 * page) {
            Ok(_) => return 5,
            Err(error) => error,
        };
        if error.errno() != Errno::ENOMEM {
            return 6;
        }
        let (map, part) = error.into_inner();
        // SAFETY: inside the map.
        if !whole(part.as_ptr(), 8 * page) || unsafe { map.as_ptr().read() } != 1 {
            return 7;
        }
        drop(fill);
        // All is well again.
        let Ok(placed) = Placed::new(map, &mut *part, 3 * page) else { return 8 };
        drop(placed);
        let Ok(bytes) = part.commit(0..8 * page) else { return 9 };
        i32::from(bytes[0] != 3 || bytes[3 * page] != 0 || bytes[7 * page] != 3)
    });
}

// ------------------------------------------------------------------------- arenas

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_arena_is_a_vector_that_does_not_move(
        sizes in prop::collection::vec(0usize..9 * 4096, 1..30),
    ) {
        let page = page_size();
        let mut arena = Arena::new(8 * page).unwrap();
        let (base, mut model) = (arena.as_ptr(), Vec::new());
        for (value, size) in sizes.into_iter().enumerate() {
            match arena.resize(size) {
                Ok(()) => {
                    prop_assert!(size <= 8 * page);
                    model.resize(size.next_multiple_of(page), 0);
                }
                Err(error) => {
                    prop_assert!(size > 8 * page);
                    prop_assert_eq!(errno(error), Errno::ENOMEM);
                }
            }
            prop_assert!(arena[..] == model[..]);
            prop_assert_eq!(arena.as_ptr(), base);
            arena.fill(value as u8 + 1);
            model.fill(value as u8 + 1);
        }
    }
}

/// However often it grows, it is one mapping of memory, and one of what is reserved.
#[test]
fn an_arena_is_two_mappings() {
    // Between maps of a file, with which the kernel cannot merge it.
    let (page, file) = (page_size(), numbered(1));
    let mut first = Reservation::new(66 * page).unwrap();
    let mut middle = first.split_off(page).unwrap();
    let last = middle.split_off(64 * page).unwrap();
    let map = || MmapOptions::new().map_raw(&file).unwrap();
    let _fences = [first, last].map(|part| Placed::new(map(), part, 0).unwrap());
    let mut arena = Arena::from_reservation(middle).unwrap();
    for size in (1..64).chain((1..64).rev()).chain(1..64) {
        arena.resize(size * page).unwrap();
        arena.fill(1);
        assert_eq!(mappings(arena.as_ptr(), 64 * page).len(), 2);
    }
}

#[test]
fn an_arena_of_a_part() {
    let page = page_size();
    let mut part = Reservation::new(4 * page).unwrap();
    part.commit(0..4 * page).unwrap().fill(1);
    part.guard_pages(page..2 * page).unwrap();
    let mut arena = Arena::from_reservation(part).unwrap();
    assert_eq!((arena.len(), arena.capacity()), (0, 4 * page));
    assert_eq!(permissions(arena.as_ptr(), 4 * page), ["---p"; 4]);
    arena.resize(3 * page).unwrap();
    assert!(arena.iter().all(|&byte| byte == 0));
    arena.fill(2);
    let mut part = arena.into_reservation();
    assert!(part.commit(0..3 * page).unwrap().iter().all(|&byte| byte == 2));
}

// ------------------------------------------------------------------------- rings

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_is_a_queue(
        steps in prop::collection::vec((any::<bool>(), 0usize..3 * 4096), 1..60),
        capacity in 1usize..3 * 4096,
    ) {
        let mut ring = Ring::new(capacity).unwrap();
        let capacity = capacity.next_multiple_of(page_size());
        prop_assert_eq!(ring.capacity(), capacity);
        let (mut model, mut next) = (VecDeque::new(), 0u32);
        for (write, count) in steps {
            if write {
                // Numbers that are not the same from one round to the next.
                let bytes: Vec<u8> = (0..count).map(|_| { next += 1; (next % 251) as u8 }).collect();
                let written = ring.push(&bytes);
                prop_assert_eq!(written, count.min(capacity - model.len()));
                model.extend(&bytes[..written]);
            } else {
                let count = count.min(model.len());
                ring.consume(count);
                model.drain(..count);
            }
            prop_assert_eq!((ring.len(), ring.is_empty()), (model.len(), model.is_empty()));
            prop_assert!(ring.readable() == model.make_contiguous());
            prop_assert_eq!(ring.writable().len(), capacity - model.len());
        }
    }
}

#[test]
fn a_ring_is_one_file_twice() {
    let ring = Ring::new(1).unwrap();
    let maps = mappings(ring.readable().as_ptr(), 2 * page_size());
    assert_eq!(maps.len(), 2);
    for (range, permissions, name) in &maps {
        assert_eq!(range.len(), page_size());
        assert_eq!((permissions.as_str(), name.as_str()), ("rw-s", "/memfd:ring"));
        let start = ptr::without_provenance(range.start);
        assert!(flagged(start, "dc"), "a child would have it");
    }
}

#[test]
fn a_ring_for_nothing() {
    let mut ring = Ring::new(0).unwrap();
    assert_eq!((ring.capacity(), ring.push(b"some"), ring.readable()), (0, 0, &[][..]));
    assert!(ring.writable().is_empty());
    ring.consume(0);
    ring.produce(0);
    fails(Ring::new(isize::MAX as usize), Errno::EOVERFLOW);
    fails(Ring::new(usize::MAX), Errno::EOVERFLOW);
}

#[test]
#[should_panic = "more consumed than there is"]
fn a_ring_gives_no_more_than_it_has() {
    let mut ring = Ring::new(1).unwrap();
    ring.push(b"12");
    ring.consume(3);
}

#[test]
#[should_panic = "more produced than there is room"]
fn a_ring_takes_no_more_than_it_has_room_for() {
    let mut ring = Ring::new(1).unwrap();
    ring.push(b"12");
    ring.produce(ring.capacity() - 1);
}

#[test]
fn a_child_has_no_ring() {
    let page = page_size();
    let mut ring = Ring::new(1).unwrap();
    ring.push(b"parent's");
    let bytes = ring.readable().as_ptr();
    // SAFETY: the fault is wanted.
    faults(|| unsafe { _ = bytes.read_volatile() });
    let mut ring = mem::ManuallyDrop::new(ring);
    in_child(|| {
        // Something else is mapped there by now, and is not taken away with the ring.
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
        let (wish, prot) = (bytes.cast_mut(), ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: a wish replaces nothing.
        match unsafe { syscall::mmap(wish, 2 * page, prot, flags, None, 0) } {
            Ok(other) if other == wish => {}
            _ => return 1,
        }
        // SAFETY: just mapped; the ring is not used again in the copy.
        unsafe {
            wish.write(99);
            mem::ManuallyDrop::drop(&mut ring);
        }
        if !whole(bytes, 2 * page) {
            return 2;
        }
        // SAFETY: mapped.
        i32::from(unsafe { wish.read_volatile() } != 99)
    });
    assert_eq!(ring.readable(), b"parent's");
    mem::ManuallyDrop::into_inner(ring).consume(1);
}

// ------------------------------------------------------------------------- huge pages

fn huge_or_normal(len: usize, bits: u8) -> baremap::map::Result<MmapMut> {
    MmapOptions::new().len(len).huge(Some(bits)).huge_fallback().map_anon()
}

#[test]
fn huge_pages_or_what_may_become_some() {
    let size = 1 << 21;
    for len in [1, size - 1, size, 3 * size + 1] {
        let mut map = huge_or_normal(len, 21).unwrap();
        assert_eq!((map.len(), map.as_ptr().addr() % size), (len, 0));
        assert!(map.iter().all(|&byte| byte == 0));
        map.fill(1);
        // One of both: huge pages, or advised to become some.
        let flags = ["ht", "hg"].map(|flag| flagged(map.as_ptr(), flag));
        assert!(flags == [true, false] || flags == [false, true], "{flags:?}");
        let length = len.next_multiple_of(if flags[0] { size } else { page_size() });
        let whole = mappings(map.as_ptr(), length);
        assert_eq!(whole.iter().map(|map| map.0.len()).sum::<usize>(), length);
    }
    // A size of which no system has pages.
    let map = huge_or_normal(1, 13).unwrap();
    assert_eq!(map.as_ptr().addr() % (1 << 13), 0);
    assert!(huge_or_normal(0, 21).unwrap().is_empty());
    fails(huge_or_normal(1, 64), Errno::EINVAL);
    fails(huge_or_normal(usize::MAX, 21), Errno::EOVERFLOW);
}

#[test]
fn all_of_a_huge_map_is_unmapped() {
    in_child(|| {
        let Ok(map) = huge_or_normal(1, 21) else { return 1 };
        let start = map.as_ptr();
        let page = page_size();
        let mapped = |at: usize| whole(start.wrapping_add(at), page);
        let all = (0..1 << 21).step_by(page).take_while(|&at| mapped(at)).count();
        if all != 1 && all != (1 << 21) / page {
            return 2; // neither one normal page nor a huge one
        }
        drop(map);
        i32::from((0..all).any(|number| mapped(number * page)))
    });
}

// ------------------------------------------------------------------------- code

/// `extern "C" fn(i32) -> i32` that adds a number below 100.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn adder(number: u8) -> Vec<u8> {
    if cfg!(target_arch = "x86_64") {
        vec![0x8d, 0x47, number, 0xc3]
    } else {
        let add = 0x1100_0000 | u32::from(number) << 10;
        [add.to_le_bytes(), 0xd65f_03c0_u32.to_le_bytes()].concat()
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn code_is_written_and_then_executed() {
    let mut code = CodeMut::new(100).unwrap();
    let page = page_size();
    for number in 0..50 {
        for (offset, number) in [(0, number), (32, number + 40)] {
            let adder = adder(number);
            code[offset..][..adder.len()].copy_from_slice(&adder);
        }
        assert_eq!(permissions(code.as_ptr(), page), ["rw-p"]);
        let exec = code.make_exec().unwrap();
        assert_eq!(permissions(exec.as_ptr(), page), ["r-xp"]);
        assert_eq!(exec[..4], adder(number)[..4]);
        // SAFETY: such functions are there, and are called before the code changes.
        let adders: [extern "C" fn(i32) -> i32; 2] =
            unsafe { [exec.function(0), exec.function(32)] };
        let number = i32::from(number);
        assert_eq!(adders.map(|add| add(100)), [100 + number, 140 + number]);
        code = exec.make_mut().unwrap();
    }
}

#[test]
fn code_is_not_both() {
    let code = CodeMut::new(1).unwrap();
    let start = code.as_ptr();
    // Called, it is an error before the first instruction.
    // SAFETY: the fault is wanted.
    faults(|| unsafe { mem::transmute::<*const u8, extern "C" fn()>(start)() });
    let code: Code = code.make_exec().unwrap();
    faults(|| unsafe { code.as_ptr().cast_mut().write_volatile(1) });
}

#[test]
fn no_code_at_all() {
    let code = CodeMut::new(0).unwrap().make_exec().unwrap();
    assert!(code.is_empty());
    assert!(code.make_mut().unwrap().is_empty());
}

// ------------------------------------------------------------------------- shared memory

const ALL: Seals = Seals::SHRINK.union(Seals::GROW).union(Seals::WRITE).union(Seals::SEAL);

#[test]
fn seals_hold() {
    let page = page_size() as u64;
    let file = Memfd::new(c"sealed", page).unwrap();
    let empty = file.seals().unwrap().difference(Seals::EXEC);
    assert_eq!(empty, Seals::empty());
    assert!(MmapOptions::new().map_if_safe(&file).is_err_and(|error| error.not_safe()));
    assert_eq!(syscall::pwrite(file.as_fd(), b"hello", 0).unwrap(), 5);

    // Not while somebody could go on writing.
    let map = MmapOptions::new().map_raw(&file).unwrap();
    fails(file.seal(Seals::WRITE), Errno::EBUSY);
    drop(map);

    file.seal(Seals::GROW).unwrap();
    assert_eq!(syscall::ftruncate(file.as_fd(), page + 1), Err(Errno::EPERM));
    syscall::ftruncate(file.as_fd(), page - 1).unwrap();
    file.seal(Seals::SHRINK).unwrap();
    assert_eq!(syscall::ftruncate(file.as_fd(), 0), Err(Errno::EPERM));
    file.seal(Seals::WRITE).unwrap();
    assert_eq!(syscall::pwrite(file.as_fd(), b"J", 0), Err(Errno::EPERM));
    fails(MmapOptions::new().map_raw(&file), Errno::EPERM);
    file.seal(Seals::SEAL).unwrap();
    fails(file.seal(Seals::FUTURE_WRITE), Errno::EPERM);
    assert_eq!(file.seals().unwrap().difference(Seals::EXEC), ALL);
    // SAFETY: open as long as `file` is.
    let same = unsafe { rustix::fd::BorrowedFd::borrow_raw(file.as_raw_fd()) };
    let oracle = rustix::fs::fcntl_get_seals(same).unwrap();
    assert_eq!(file.seals().unwrap().bits(), oracle.bits());

    let map = MmapOptions::new().map_if_safe(&file).unwrap();
    assert_eq!((map.len() as u64, &map[..6]), (page - 1, &b"hello\0"[..]));
    // It can be placed, and cannot be written to there either.
    let mut part = Reservation::new(2 * page as usize).unwrap();
    let placed = Placed::new(map, &mut part, page as usize).unwrap();
    assert_eq!(&placed[..5], b"hello");
    assert!(permissions(placed.as_ptr(), page as usize)[0].starts_with("r--"));
}

#[test]
fn a_seal_for_the_future() {
    let file = Memfd::new(c"future", 1).unwrap();
    let before = MmapOptions::new().map_raw(&file).unwrap();
    file.seal(Seals::FUTURE_WRITE).unwrap();
    // SAFETY: inside the map.
    unsafe { before.as_mut_ptr().write(8) };
    fails(MmapOptions::new().map_raw(&file), Errno::EPERM);
    assert_eq!(syscall::pwrite(file.as_fd(), b"J", 0), Err(Errno::EPERM));
    // SAFETY: nobody writes any more.
    assert_eq!(unsafe { Mmap::map(&file).unwrap() }[..], [8]);
    // Whoever had it can write: it is not safe.
    file.seal(Seals::SHRINK | Seals::GROW).unwrap();
    assert!(MmapOptions::new().map_if_safe(&file).is_err_and(|error| error.not_safe()));
}

#[test]
fn seals_that_are_refused() {
    // Made without being sealable, or no such file at all.
    let plain = syscall::memfd_create(c"plain", syscall::MemfdFlags::CLOEXEC).unwrap();
    let plain = Memfd::from(plain);
    assert_eq!(plain.seals().unwrap(), Seals::SEAL);
    fails(plain.seal(Seals::GROW), Errno::EPERM);
    let none = syscall::open(c"Cargo.toml", syscall::OFlags::RDONLY, syscall::Mode::empty());
    let none = Memfd::from(none.unwrap());
    fails(none.seals(), Errno::EINVAL);
    fails(none.seal(Seals::GROW), Errno::EPERM); // not open for writing: asked first
    let file = Memfd::new(c"", 0).unwrap();
    fails(file.seal(Seals::from_bits_retain(1 << 20)), Errno::EINVAL);
    file.seal(Seals::empty()).unwrap();
    fails(Memfd::new(c"too long", u64::MAX), Errno::EINVAL);
    let name = std::ffi::CString::new([b'n'; 250]).unwrap();
    fails(Memfd::new(&name, 0), Errno::EINVAL);
}

#[test]
fn processes_share_anonymous_memory() {
    let map = MmapRaw::map_anon_shared(10_000).unwrap();
    assert_eq!(map.len(), 10_000);
    // SAFETY: mapped, aligned, and used as nothing else.
    let number = unsafe { AtomicU32::from_ptr(map.as_mut_ptr().add(8192).cast()) };
    assert_eq!(number.load(SeqCst), 0);
    number.store(1, SeqCst);
    in_child(|| i32::from(number.fetch_add(41, SeqCst) != 1));
    assert_eq!(number.load(SeqCst), 42);
    assert!(MmapRaw::map_anon_shared(0).unwrap().is_empty());
    fails(MmapRaw::map_anon_shared(usize::MAX), Errno::EOVERFLOW);

    // Private memory is the child's own.
    let mut private = MmapMut::map_anon(1).unwrap();
    in_child(|| {
        private[0] = 1;
        0
    });
    assert_eq!(private[0], 0);
    // SAFETY: contents may go.
    unsafe { private.unchecked_advise(UncheckedAdvice::DontNeed).unwrap() };
}
