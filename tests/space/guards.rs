//! Guard pages within a reservation. Linux 6.13 makes them without a mapping of their own.

use super::*;

/// Returns whether the kernel has guard pages. If not, the call fails with `EINVAL`.
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
fn guard_pages_make_no_mappings() {
    let page = page_size();
    let mut part = Reservation::new(64 * page).unwrap();
    part.commit(0..64 * page).unwrap();
    for number in (1..64).step_by(2) {
        part.guard_pages(number * page..(number + 1) * page).unwrap();
    }
    let count = mappings(part.as_ptr(), part.len()).len();
    assert_eq!(count, if has_guards() { 1 } else { 64 });
}

/// The kernel makes no guard pages in locked memory, so a mapping is used, as on a kernel without
/// them.
#[test]
fn guard_pages_in_locked_memory_use_mappings() {
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

/// A later owner of a part knows the guard pages in it.
#[test]
fn guard_pages_stay_with_their_part() {
    let (page, sink) = (page_size(), sink());
    for split_first in [false, true] {
        let _case = case!(split_first);
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
