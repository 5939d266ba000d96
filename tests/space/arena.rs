//! Arenas, which grow without moving.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_arena_behaves_like_a_vector_that_does_not_move(
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

/// An arena that grew often is one mapping of memory, and one of reserved addresses.
#[test]
fn an_arena_uses_two_mappings() {
    // The arena lies between maps of a file, with which the kernel cannot merge it.
    let (page, file) = (page_size(), numbered(1));
    let mut first = Reservation::new(66 * page).unwrap();
    let mut middle = first.split_off(page).unwrap();
    let last = middle.split_off(64 * page).unwrap();
    let map = || MmapOptions::new().map_raw(&file).unwrap();
    let _fences = [first, last].map(|part| Placed::new(map(), part, 0).unwrap());
    let mut arena = Arena::from_reservation(middle).unwrap();
    for size in (1..64).chain((1..64).rev()).chain(1..64) {
        let _case = case!(size);
        arena.resize(size * page).unwrap();
        arena.fill(1);
        assert_eq!(mappings(arena.as_ptr(), 64 * page).len(), 2);
    }
}

#[test]
fn an_arena_can_use_a_part_of_a_reservation() {
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
