//! Conversions between kinds of maps, which return the map when they fail.

use super::*;

#[test]
fn a_failed_conversion_returns_the_map() {
    let file = file("abc");
    let map = unsafe { Mmap::map(fd(&read_only(&file))) }.unwrap();
    let at = map.as_ptr();
    let error = map.try_make_mut().unwrap_err();
    assert_eq!(error.errno(), Errno::EACCES);
    assert_eq!(error.to_string(), Errno::EACCES.to_string());
    let map = error.into_inner();
    assert_eq!((map.as_ptr(), &map[..]), (at, &b"abc"[..]));
    assert_eq!(errno(map.make_mut().unwrap_err()), Errno::EACCES);
    assert!(!shows(at, &file), "it is leaked");
}

/// These two fail only at the limit on the number of mappings, or under a filter.
#[cfg(target_arch = "x86_64")]
#[test]
fn other_failed_conversions_return_the_map() {
    use linux_raw_sys::general::{__NR_mprotect, PROT_EXEC, PROT_READ};
    let calls = [(__NR_mprotect, 2, PROT_READ), (__NR_mprotect, 2, PROT_READ | PROT_EXEC)];
    let refusal = seccompiler::SeccompAction::Errno(u32::from(Errno::ENOMEM.number()));
    with_filter(&calls, refusal, || {
        let mut map = MmapMut::map_anon(100).unwrap();
        map[99] = 1;
        let error = map.try_make_read_only().unwrap_err();
        assert_eq!(error.errno(), Errno::ENOMEM);
        let mut map = error.into_inner();
        map[99] += 1;
        let error = map.try_make_exec().unwrap_err();
        assert_eq!(error.errno(), Errno::ENOMEM);
        let mut map = error.into_inner();
        map[99] += 1;
        assert_eq!(map[99], 3);
    });
}

/// `mprotect` changes page after page, and stops at the first that fails.
#[test]
fn a_map_returned_after_an_error_is_unchanged() {
    let page = page_size();
    let file = zeros(page as u64);
    let read_only = read_only(&file);
    // The last page belongs to another file, which cannot be written to.
    let place = |map: &Mmap| {
        let borrowed = unsafe { baremap::fd::BorrowedFd::borrow_raw(fd(&read_only)) };
        let at = map.as_ptr().wrapping_add(2 * page).cast_mut();
        let flags = syscall::MapFlags::SHARED | syscall::MapFlags::FIXED;
        let prot = syscall::ProtFlags::READ;
        unsafe { syscall::mmap(at, page, prot, flags, Some(borrowed), 0) }.unwrap();
    };
    let permissions = |map: &Mmap, index: usize| {
        let line = mapping(map.as_ptr().wrapping_add(index * page)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let map = MmapMut::map_anon(3 * page).unwrap().make_read_only().unwrap();
    place(&map);
    let error = map.try_make_mut().unwrap_err();
    assert_eq!(error.errno(), Errno::EACCES);
    let map = error.into_inner();
    assert_eq!((permissions(&map, 0), permissions(&map, 1)), ("r--p".into(), "r--p".into()));

    let map = MmapMut::map_anon(3 * page).unwrap().make_exec().unwrap();
    place(&map);
    let map = map.try_make_mut().unwrap_err().into_inner();
    assert_eq!((permissions(&map, 0), permissions(&map, 1)), ("r-xp".into(), "r-xp".into()));

    // A page of the map is missing. In a child, no other thread can map it.
    in_child(|| {
        let map = MmapMut::map_anon(3 * page)?;
        let last = map.as_ptr().wrapping_add(2 * page).cast_mut();
        unsafe { syscall::munmap(last, page)? };
        let Err(error) = map.try_make_read_only() else {
            return Err(Failure::new("a map with a hole is made read-only"));
        };
        let mut map = error.into_inner();
        map[0] = 1;
        let Err(error) = map.try_make_exec() else {
            return Err(Failure::new("a map with a hole is made executable"));
        };
        let mut map = error.into_inner();
        map[0] += 1;
        check!(map[0] == 2);
        Ok(())
    });
}
