//! Huge pages, and normal pages where there are none.

use super::*;

fn huge_or_normal(len: usize, bits: u8) -> baremap::map::Result<MmapMut> {
    MmapOptions::new().len(len).huge(Some(bits)).huge_fallback().map_anon()
}

#[test]
fn huge_fallback_gives_huge_or_normal_pages() {
    let size = 1 << 21;
    for len in [1, size - 1, size, 3 * size + 1] {
        let _case = case!(len);
        let mut map = huge_or_normal(len, 21).unwrap();
        assert_eq!((map.len(), map.as_ptr().addr() % size), (len, 0));
        assert!(map.iter().all(|&byte| byte == 0));
        map.fill(1);
        // The mapping has huge pages, or the advice to use them.
        let flags = ["ht", "hg"].map(|flag| flagged(map.as_ptr(), flag));
        assert!(flags == [true, false] || flags == [false, true], "{flags:?}");
        let length = len.next_multiple_of(if flags[0] { size } else { page_size() });
        let whole = mappings(map.as_ptr(), length);
        assert_eq!(whole.iter().map(|map| map.0.len()).sum::<usize>(), length);
    }
    // No system has pages of this size.
    let map = huge_or_normal(1, 13).unwrap();
    assert_eq!(map.as_ptr().addr() % (1 << 13), 0);
    assert!(huge_or_normal(0, 21).unwrap().is_empty());
    fails(huge_or_normal(1, 64), Errno::EINVAL);
    fails(huge_or_normal(usize::MAX, 21), Errno::EOVERFLOW);
}

#[test]
fn dropping_a_huge_map_unmaps_all_of_it() {
    in_child(|| {
        let map = huge_or_normal(1, 21)?;
        let start = map.as_ptr();
        let page = page_size();
        let mapped = |at: usize| whole(start.wrapping_add(at), page);
        let all = (0..1 << 21).step_by(page).take_while(|&at| mapped(at)).count();
        // One normal page, or a huge one.
        check!(all == 1 || all == (1 << 21) / page);
        drop(map);
        check!(!(0..all).any(|number| mapped(number * page)));
        Ok(())
    });
}
