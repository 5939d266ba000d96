//! Maps that are placed into a reservation.

use super::*;

#[test]
fn placed_maps_keep_their_contents_and_kind() {
    let page = page_size();
    let file = numbered(4);
    let mut part = Reservation::new(8 * page).unwrap();
    let base = part.as_ptr();

    // The map begins in the middle of a page of the file.
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

    // A shared map writes to the file, and a copy does not, as before.
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
    // Both are dropped together, in a child in which no other thread maps anything.
    in_child(|| {
        let map = MmapMut::map_anon(page)?;
        let placed = Placed::new(map, first, 0)?;
        drop(placed);
        check!(!whole(base, page));
        check!(!whole(base.wrapping_add(3 * page), page));
        Ok(())
    });
}

#[test]
fn a_failed_placement_returns_the_map() {
    let page = page_size();
    let mut part = Reservation::new(2 * page).unwrap();
    part.commit(0..2 * page).unwrap().fill(1);
    for (pages, offset) in [(3, 0), (2, page), (1, 2 * page), (1, 1), (1, usize::MAX - page + 1)] {
        let _case = case!(pages, offset);
        let mut map = MmapMut::map_anon(pages * page).unwrap();
        map[0] = 42;
        let error = Placed::new(map, &mut part, offset).unwrap_err();
        assert_eq!(error.errno(), Errno::EINVAL);
        let (map, part) = error.into_inner();
        assert_eq!((map[0], map.len()), (42, pages * page));
        assert!(part.commit(0..2 * page).unwrap().iter().all(|&byte| byte == 1));
    }
    // An empty map is placed nowhere, and replaces nothing.
    let placed = Placed::new(MmapMut::map_anon(0).unwrap(), &mut part, 7).unwrap();
    assert!(placed.is_empty());
    drop(placed);
    assert!(part.commit(0..2 * page).unwrap().iter().all(|&byte| byte == 1));
}

/// The kernel moves one mapping at a time. Some kernels notice several mappings only after they
/// have unmapped the destination, and some move all or a part of them.
#[test]
fn a_map_of_several_mappings_stays_where_it_is() {
    let page = page_size();
    let mut part = Reservation::new(6 * page).unwrap();
    for (from, count) in [(0, 1), (1, 2), (3, 1)] {
        let _case = case!(from, count);
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
        // With equal advice, the kernel merges the mappings.
        map.advise(Advice::DoFork).unwrap();
        assert_eq!(Placed::new(map, part, page).unwrap()[4 * page - 1], 7);
    }
}

/// A failed move may have left a hole, in which another thread may have mapped something. The
/// reservation gives up these addresses.
#[test]
fn addresses_lost_in_a_failed_move_are_given_up() {
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

/// `commit` does not return a slice of a forgotten map.
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

/// Another thread requests these addresses all the time, and never gets one.
#[test]
fn placing_a_map_never_leaves_a_hole() {
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
