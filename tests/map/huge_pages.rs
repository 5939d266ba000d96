//! Maps of huge pages.

use super::*;

/// Eight free huge pages, while the value exists. Only root can add them, if memory permits.
struct HugePages {
    /// The size of the pool before and after they were added.
    raised: Option<(u64, u64)>,
    there_are_some: bool,
}

impl HugePages {
    const POOL: &str = "/proc/sys/vm/nr_hugepages";
    const NEEDED: u64 = 8;

    fn count() -> u64 {
        fs::read_to_string(HugePages::POOL).unwrap().trim().parse().unwrap()
    }

    /// Returns the number of pages that are neither used nor reserved.
    fn free() -> u64 {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
        let number = |name: &str| -> u64 {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        number("HugePages_Free:") - number("HugePages_Rsvd:")
    }

    fn new() -> HugePages {
        let (before, missing) =
            (HugePages::count(), HugePages::NEEDED.saturating_sub(HugePages::free()));
        let mut raised = None;
        if missing != 0 && fs::write(HugePages::POOL, (before + missing).to_string()).is_ok() {
            raised = Some((before, HugePages::count()));
        }
        HugePages { raised, there_are_some: HugePages::free() >= HugePages::NEEDED }
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        // The pool is restored unless another process has changed it.
        if let Some((before, now)) = self.raised
            && HugePages::count() == now
        {
            let _ = fs::write(HugePages::POOL, before.to_string());
        }
    }
}

/// The pool belongs to the system, so one test contains everything that needs it.
#[test]
fn a_map_of_huge_pages_takes_whole_ones_and_gives_them_back() {
    let pool = HugePages::new();
    let there_are_some = pool.there_are_some;
    println!("huge pages: {there_are_some}");
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let size = meminfo.lines().find_map(|line| line.strip_prefix("Hugepagesize:")).unwrap();
    let size = size.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024;
    let bits = Some(size.ilog2() as u8);

    for page_bits in [None, bits] {
        let _case = case!(page_bits);
        let map = MmapOptions::new().huge(page_bits).len(size + 1).map_anon().map_err(errno);
        if !there_are_some {
            assert_eq!(map.map(drop), Err(Errno::ENOMEM));
            continue;
        }
        let mut map = map.unwrap();
        assert_eq!(map.len(), size + 1);
        map[size] = 1;
        map.advise(Advice::DontDump).unwrap();
        map.advise(Advice::DoDump).unwrap();
        map.lock().unwrap();
        map.unlock().unwrap();
        let map = map.make_read_only().unwrap();
        assert_eq!(map[size], 1);
        unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) }.unwrap();
        assert_eq!(map[size], 0);
        let at = map.as_ptr();
        assert!(mapping(at.wrapping_add(2 * size - 1)).unwrap().contains("hugepage"));
        drop(map);
        for at in [at, at.wrapping_add(size)] {
            let _case = case!(at);
            assert!(mapping(at).is_none_or(|lines| !lines.contains("hugepage")));
        }
    }
    // A file of huge pages, mapped from the middle of a page, and an empty file.
    let file = memfd(MemfdFlags::HUGETLB, "");
    assert!(unsafe { MmapMut::map_mut(fd(&file)) }.unwrap().is_empty());
    assert_eq!(file.metadata().unwrap().len(), 0, "it has grown");
    file.set_len(2 * size as u64).unwrap();
    let map = unsafe { MmapOptions::new().offset(size as u64 + 5000).len(100).map_mut(fd(&file)) };
    match map.map_err(errno) {
        Ok(mut map) => {
            assert!(there_are_some);
            map[99] = 1;
            map.flush().unwrap();
            let at = map.as_ptr();
            assert!(shows(at, &file));
            drop(map);
            assert!(!shows(at, &file));
        }
        Err(error) => assert_eq!((error, there_are_some), (Errno::ENOMEM, false)),
    }
    // No system has pages of this size.
    let map = MmapOptions::new().huge(Some(13)).len(1).map_anon();
    assert_eq!(errno(map.unwrap_err()), Errno::EINVAL);
    let map = MmapOptions::new().huge(Some(64)).len(1).map_anon();
    assert_eq!(errno(map.unwrap_err()), Errno::EINVAL);
}

/// `huge_fallback` gives normal pages where there are no huge ones. No system has pages of this
/// size.
#[test]
fn memory_of_huge_fallback_behaves_like_other_memory() {
    let page = page_size();
    let bits = page.ilog2() as u8 + 2;
    let size = 1 << bits;
    let huge = |len: usize, bits: u8| {
        MmapOptions::new().len(len).huge(Some(bits)).huge_fallback().map_anon()
    };
    for len in [1, page, size, size + 1, 5 * size] {
        let _case = case!(len);
        let mut map = huge(len, bits).unwrap();
        assert_eq!((map.len(), map.as_ptr().addr() % size), (len, 0));
        map.fill(1);
    }

    // The options apply to both kinds of pages.
    let mut options = MmapOptions::new();
    options.len(size).huge(Some(bits)).huge_fallback();
    let there = |map: &MmapMut| {
        let mut pages = [0; 4];
        syscall::mincore(map.as_ptr(), size, &mut pages).unwrap();
        pages.map(|page| page & 1)
    };
    let map = options.map_anon().unwrap();
    assert_eq!((flagged(map.as_ptr(), "nr"), there(&map)), (false, [0; 4]));
    let map = options.populate().no_reserve_swap().map_anon().unwrap();
    let never = fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap().trim() == "2";
    assert_eq!((flagged(map.as_ptr(), "nr"), there(&map)), (!never, [1; 4]));

    // Advice applies to pages.
    let mut map = huge(2 * size, bits).unwrap();
    map.fill(1);
    unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, page, page) }.unwrap();
    assert!((0..2 * size).all(|at| (map[at] == 0) == (page..2 * page).contains(&at)));
    map.advise_range(Advice::Normal, page + 1, 10).unwrap();

    // The map moves to an address with room for its pages, and nothing else is unmapped.
    in_child(|| {
        let mapped = |at: *const u8| syscall::mincore(at, page, &mut [0]).is_ok();
        let obstacle = |at: *const u8| {
            let flags = syscall::MapFlags::PRIVATE
                | syscall::MapFlags::ANONYMOUS
                | syscall::MapFlags::FIXED_NOREPLACE;
            let none = syscall::ProtFlags::empty();
            // If this fails, something is mapped there already.
            let _ = unsafe { syscall::mmap(at.cast_mut(), page, none, flags, None, 0) };
        };
        // The kernel takes the next gap that is long enough. The gaps between other mappings are
        // used up after some tries. The gap beside this map is not aligned, because it begins after
        // a page.
        for _ in 0..1000 {
            let mut map = huge(1, bits)?;
            map[0] = 7;
            obstacle(map.as_ptr().wrapping_sub(page));
            obstacle(map.as_ptr().wrapping_add(page));
            let moved = unsafe { map.remap(3 * size, RemapOptions::new().may_move(true)) };
            check!(moved.is_ok());
            check!((map[0], map[3 * size - 1]) == (7, 0));
            let start = map.as_ptr();
            if start.addr() % size == 0 {
                // The address is aligned by chance. The next map gets another address, one page
                // lower.
                std::mem::forget((map, MmapMut::map_anon(3 * size + page)));
                continue;
            }
            let below = start.wrapping_sub(page);
            obstacle(below);
            drop(map);
            check!(mapped(below));
            check!(!(0..3 * size).step_by(page).any(|at| mapped(start.wrapping_add(at))));
            return Ok(());
        }
        Err(Failure::new("each map moves to an aligned address"))
    });

    // All pages are unmapped.
    in_child(|| {
        let map = huge(size + 1, bits)?;
        let start = map.as_ptr();
        drop(map);
        let mut told = [0];
        let gone = (0..size + page).step_by(page).all(|at| {
            syscall::mincore(start.wrapping_add(at), page, &mut told) == Err(Errno::ENOMEM)
        });
        check!(gone);
        Ok(())
    });

    for (len, bits) in [(1, 1), (1, page.ilog2() as u8 - 1), (100_000, 3), (1, 64), (1, 255)] {
        assert_eq!(huge(len, bits).map(drop).map_err(errno), Err(Errno::EINVAL), "{bits}");
    }
    assert_eq!(huge(usize::MAX, bits).map(drop).map_err(errno), Err(Errno::EOVERFLOW));
    assert!(huge(0, bits).unwrap().is_empty());
}
