//! Resident pages: `residency` and `pagemap`, and the page cache.

use super::*;

/// Returns the state of every page of a whole map.
fn pages<S: Copy>(runs: impl Iterator<Item = map::Result<Run<S>>>) -> Vec<S> {
    let mut states = Vec::new();
    for run in runs {
        let run = run.unwrap();
        assert_eq!(run.offset, states.len() * page());
        states.extend(vec![run.state; run.len / page()]);
    }
    states
}

/// Returns the states of pages by raw calls of `sc`.
fn mincore(start: *const u8, pages: usize) -> Vec<bool> {
    let mut states = vec![0_u8; pages];
    let (start, to) = (start as usize, states.as_mut_ptr());
    let result = unsafe { sc::syscall!(MINCORE, start, pages * page(), to) };
    assert_eq!(outcome(result), Ok(0));
    states.iter().map(|state| state & 1 != 0).collect()
}

/// Returns anonymous memory without huge pages.
fn small_pages(pages: usize) -> MmapMut {
    let map = MmapMut::map_anon(pages * page()).unwrap();
    map.advise(Advice::NoHugePage).unwrap();
    map
}

#[test]
fn written_pages_are_resident() {
    // More pages than one call reports.
    let mut map = small_pages(1300);
    let touched = |index: usize| index.is_multiple_of(7) || (500..530).contains(&index);
    for index in (0..1300).filter(|&index| touched(index)) {
        map[index * page()] = 1;
    }
    let wanted: Vec<bool> = (0..1300).map(touched).collect();
    assert_eq!(mincore(map.as_ptr(), 1300), wanted);
    assert_eq!(pages(map.residency()), wanted);
    let present = pagemap(map.as_ptr(), map.len()).unwrap();
    let present = pages(present).into_iter().map(|state| state.contains(PageFlags::PRESENT));
    assert_eq!(present.collect::<Vec<_>>(), wanted);
    let raw = MmapRaw::from(map);
    assert_eq!(pages(raw.residency()), wanted);
    assert_eq!(residency(raw.as_ptr(), 0).count(), 0);

    // The range begins and ends in the middle of a page.
    let range = residency(raw.as_ptr().wrapping_add(499 * page() + 10), 31 * page());
    let range: Vec<_> = range.map(Result::unwrap).collect();
    let runs = [
        Run { offset: 0, len: page() - 10, state: false },
        Run { offset: page() - 10, len: 30 * page(), state: true },
        Run { offset: 31 * page() - 10, len: 10, state: false },
    ];
    assert_eq!(range, runs);
}

#[test]
fn pages_of_a_file_become_resident_when_they_are_read() {
    use rustix::fs::{Advice, fadvise};

    let scratch = Scratch::new("file");
    let file = scratch.open_file("file", vec![7; 64 * page()]);
    file.sync_all().unwrap();
    fadvise(theirs(&file), 0, None, Advice::DontNeed).unwrap();
    fadvise(theirs(&file), 0, None, Advice::Random).unwrap();
    let map = MmapOptions::new().map_raw_read_only(file.as_raw_fd()).unwrap();
    assert_eq!(pages(map.residency()), [false; 64]);
    file.read_exact_at(&mut [0], 5 * page() as u64).unwrap();
    let states = pages(map.residency());
    assert!(states[5] && !states[63], "{states:?}");
    assert_eq!(states, mincore(map.as_ptr(), 64));

    // A page is not in this process's page table before the process accesses it.
    let state = |index: usize| {
        let page_of = map.as_ptr().wrapping_add(index * page());
        pagemap(page_of, page()).unwrap().next().unwrap().unwrap().state
    };
    assert_eq!(state(5), PageFlags::empty());
    // SAFETY: in the map, and in the file.
    unsafe { map.as_ptr().wrapping_add(5 * page()).read_volatile() };
    assert!(state(5).contains(PageFlags::PRESENT | PageFlags::FILE));
}

/// A process learns nothing about a file that it neither owns nor can write to: even pages past the
/// end of the file seem to be resident.
#[test]
fn a_foreign_files_pages_are_reported_resident() {
    let beyond = |file: &File| {
        let size = file.metadata().unwrap().len() as usize;
        let map = MmapOptions::new().len(size + 16 * page()).map_raw_read_only(file.as_raw_fd());
        let states = pages(map.unwrap().residency());
        states[states.len() - 8..].to_vec()
    };
    thread::spawn(move || {
        let scratch = Scratch::new("else");
        assert_eq!(beyond(&scratch.open_file("mine", vec![7; page()])), [false; 8]);
        // Only this thread changes its user, who has no access to the directory.
        if rustix::process::geteuid().is_root() {
            let file = File::open("/bin/cat").unwrap();
            let nobody = 65534;
            let result = unsafe { sc::syscall!(SETRESUID, nobody, nobody, nobody) };
            assert_eq!(outcome(result), Ok(0));
            assert_eq!(beyond(&file), [true; 8]);
            let result = unsafe { sc::syscall!(SETRESUID, nobody, nobody, nobody) };
            assert_eq!(outcome(result), Ok(0));
        } else {
            assert_eq!(beyond(&File::open("/bin/cat").unwrap()), [true; 8]);
        }
    })
    .join()
    .unwrap();
}

#[test]
fn a_range_that_is_not_mapped_is_an_error_and_the_last() {
    let mut runs = residency(ptr::without_provenance(page()), 3 * page());
    assert_eq!(errno(runs.next().unwrap().unwrap_err()), Errno::ENOMEM);
    assert!(runs.next().is_none());
    let mut runs = residency(ptr::without_provenance(page()), usize::MAX);
    assert_eq!(errno(runs.next().unwrap().unwrap_err()), Errno::ENOMEM);
    // A range without mappings is not an error.
    let nothing = pages(pagemap(ptr::without_provenance(page()), 3 * page()).unwrap());
    assert_eq!(nothing, [PageFlags::empty(); 3]);
    let top = usize::MAX & !(page() - 1);
    let nothing = pages(pagemap(ptr::without_provenance(top - page()), page()).unwrap());
    assert_eq!(nothing, [PageFlags::empty()]);
    // These ranges reach past the end of the address space.
    for (start, len) in [(0, usize::MAX), (top, 1), (top - page(), page() + 1), (top, 2 * page())] {
        let _case = case!(start, len);
        let mut runs = pagemap(ptr::without_provenance(start), len).unwrap();
        assert_eq!(errno(runs.next().unwrap().unwrap_err()), Errno::ENOMEM, "{start:x}, {len:x}");
        assert!(runs.next().is_none());
    }
}

/// Every flag is the bit in the kernel's documentation, as the standard library reads it, and has
/// the documented meaning.
#[test]
fn pagemap_agrees_with_proc_pagemap() {
    let entries = |start: *const u8, pages: usize| -> Vec<u64> {
        let mut bytes = vec![0; pages * 8];
        let from = (start as usize / page() * 8) as u64;
        File::open("/proc/self/pagemap").unwrap().read_exact_at(&mut bytes, from).unwrap();
        bytes.chunks(8).map(|entry| u64::from_ne_bytes(entry.try_into().unwrap())).collect()
    };
    let known = PageFlags::all().bits();
    assert_eq!(known, 0b1110_0111_1000_0000 << 48);

    let mut private = small_pages(6);
    private[0] = 1;
    private[2 * page()] = 1;
    let raw = MmapRaw::from(private);
    let at = |index: usize| raw.as_mut_ptr().wrapping_add(index * page());
    let guard = syscall::Advice(kernel::MADV_GUARD_INSTALL);
    let guarded = unsafe { syscall::madvise(at(4), page(), guard) };
    let wanted = if linux() < (6, 13) { Err(Errno::EINVAL) } else { Ok(()) };
    assert_eq!(guarded, wanted);
    let states = pages(pagemap(raw.as_ptr(), raw.len()).unwrap());
    let read: Vec<u64> = entries(raw.as_ptr(), 6).iter().map(|entry| entry & known).collect();
    assert_eq!(states.iter().map(|state| state.bits()).collect::<Vec<_>>(), read);
    let without_dirty = |state: PageFlags| state - PageFlags::SOFT_DIRTY;
    let alone = PageFlags::PRESENT | PageFlags::EXCLUSIVE;
    let none = PageFlags::empty();
    // The kernel stores a guard page in place of a swap entry.
    let guard = match linux() {
        (0..=5, _) | (6, ..13) => PageFlags::empty(),
        (6, 13..15) => PageFlags::SWAPPED,
        _ => PageFlags::GUARD | PageFlags::SWAPPED,
    };
    let wanted = [alone, none, alone, none, guard, none];
    assert_eq!(states.into_iter().map(without_dirty).collect::<Vec<_>>(), wanted);

    // A page of two mappings is not exclusive.
    let scratch = Scratch::new("pagemap");
    let file = scratch.open_file("file", vec![7; page()]);
    let one = MmapOptions::new().populate().map_raw(file.as_raw_fd()).unwrap();
    let state = |map: &MmapRaw| pages(pagemap(map.as_ptr(), page()).unwrap())[0];
    let file_page = PageFlags::PRESENT | PageFlags::FILE;
    assert_eq!(without_dirty(state(&one)), file_page | PageFlags::EXCLUSIVE);
    let two = MmapOptions::new().populate().map_raw(file.as_raw_fd()).unwrap();
    assert_eq!(without_dirty(state(&one)), file_page);
    assert_eq!(without_dirty(state(&two)), file_page);
}

#[test]
fn cachestat_counts_the_pages_of_a_file() {
    use rustix::fs::{Advice, fadvise};

    let scratch = Scratch::new("cachestat");
    let file = scratch.open_file("file", vec![7; 20 * page()]);
    let size = page() as u64;
    let count = |offset, length| syscall::cachestat(lend(&file), offset, length);
    if linux() < (6, 5) {
        assert_eq!(count(0, 0), Err(Errno::ENOSYS));
        return;
    }
    let all = count(0, 0).unwrap();
    assert_eq!((all.cache, all.evicted), (20, 0));
    assert_eq!(all.dirty + all.writeback, 20);
    assert_eq!(count(3 * size, 5 * size).unwrap().cache, 5);
    assert_eq!(count(3 * size + 1, 5 * size).unwrap().cache, 6);
    assert_eq!(count(20 * size, 0).unwrap(), Default::default());
    file.sync_all().unwrap();
    let synced = count(0, 0).unwrap();
    assert_eq!((synced.cache, synced.dirty, synced.writeback), (20, 0, 0));
    fadvise(theirs(&file), 0, None, Advice::DontNeed).unwrap();
    assert_eq!(count(0, 0).unwrap().cache, 0);

    // Each field is the kernel's field of this name.
    file.write_all_at(&vec![1; 7 * page()], 0).unwrap();
    let range = kernel::cachestat_range { off: 0, len: 0 };
    let mut oracle = [0_u64; 5];
    let result = unsafe {
        let (range, to) = (&raw const range as usize, oracle.as_mut_ptr() as usize);
        let call = kernel::__NR_cachestat as usize;
        sc::syscall4(call, file.as_raw_fd() as usize, range, to, 0)
    };
    assert_eq!(outcome(result), Ok(0));
    let ours = count(0, 0).unwrap();
    let ours = [ours.cache, ours.dirty, ours.writeback, ours.evicted, ours.recently_evicted];
    assert_eq!((ours, ours[0]), (oracle, 7));

    let path =
        File::options().read(true).custom_flags(kernel::O_PATH as i32).open(scratch.path("file"));
    assert_eq!(syscall::cachestat(lend(&path.unwrap()), 0, 0), Err(Errno::EBADF));
}

#[test]
fn populate_and_collapse_make_pages_resident() {
    let map = small_pages(8);
    if linux() < (5, 14) {
        for advice in [Advice::PopulateRead, Advice::PopulateWrite, Advice::Collapse] {
            let _case = case!(advice);
            assert_eq!(map.advise(advice).map_err(errno), Err(Errno::EINVAL));
        }
        return;
    }
    map.advise_range(Advice::PopulateRead, 0, 2 * page()).unwrap();
    map.advise_range(Advice::PopulateWrite, 4 * page(), 1).unwrap();
    let wanted = [true, true, false, false, true, false, false, false];
    assert_eq!(pages(map.residency()), wanted);

    // Past the end of a file, there is nothing to make resident, and no signal.
    let scratch = Scratch::new("populate");
    let file = scratch.open_file("file", vec![7; page()]);
    let map = MmapOptions::new().len(2 * page()).map_raw(file.as_raw_fd()).unwrap();
    for advice in [Advice::PopulateRead, Advice::PopulateWrite] {
        let _case = case!(advice);
        assert_eq!(map.advise_range(advice, 0, page()).map_err(errno), Ok(()));
        assert_eq!(map.advise(advice).map_err(errno), Err(Errno::EFAULT));
    }

    let huge = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").unwrap();
    let huge: usize = huge.trim().parse().unwrap();
    let mut map = MmapMut::map_anon(2 * huge).unwrap();
    map.advise(Advice::NoHugePage).unwrap();
    map.fill(1);
    let start = map.as_ptr().align_offset(huge);
    let huge_pages = |map: &MmapMut| {
        let kilobytes = smaps(map.as_ptr().wrapping_add(start), "AnonHugePages:");
        kilobytes.trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    };
    assert_eq!(huge_pages(&map), 0);
    // Memory without huge pages is not collapsed, and no memory before Linux 6.1.
    assert_eq!(map.advise_range(Advice::Collapse, start, huge).map_err(errno), Err(Errno::EINVAL));
    map.advise(Advice::HugePage).unwrap();
    let collapsed = map.advise_range(Advice::Collapse, start, huge).map_err(errno);
    if linux() < (6, 1) {
        assert_eq!(collapsed, Err(Errno::EINVAL));
        return;
    }
    assert_eq!(collapsed, Ok(()));
    assert!(huge_pages(&map) >= huge);
    assert!(map.iter().all(|&byte| byte == 1));
}
