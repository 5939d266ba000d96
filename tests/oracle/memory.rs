//! The effects of calls on memory.
//!
//! SAFETY of all calls here: the memory belongs to the test, and there is no reference to it.

use super::*;

/// A shared mapping shows the file, and a private one keeps its own contents.
#[test]
fn writes_to_a_shared_mapping_reach_the_file_and_to_a_private_one_do_not() {
    let scratch = Scratch::new("shared");
    let mut contents = vec![b'.'; 3 * page()];
    contents[2 * page()] = b'2';
    let file = scratch.open_file("file", &contents);
    let fd = lend(number(&file));
    let (prot, offset) = (ProtFlags::READ | ProtFlags::WRITE, 2 * page() as u64);
    let map = |flags| unsafe {
        syscall::mmap(ptr::null_mut(), page(), prot, flags, Some(fd), offset).unwrap()
    };
    let (shared, private) = (map(MapFlags::SHARED), map(MapFlags::PRIVATE));
    let mut byte = [0];
    unsafe {
        assert_eq!((shared.read_volatile(), private.read_volatile()), (b'2', b'2'));
        private.write_volatile(b'p');
        file.read_exact_at(&mut byte, offset).unwrap();
        assert_eq!(byte, *b"2");
        shared.write_volatile(b's');
        file.read_exact_at(&mut byte, offset).unwrap();
        assert_eq!(byte, *b"s");
        assert_eq!(private.read_volatile(), b'p');
        for flags in [MsyncFlags::SYNC, MsyncFlags::ASYNC, MsyncFlags::INVALIDATE] {
            assert_eq!(syscall::msync(shared, page(), flags), Ok(()), "{flags:?}");
        }
        assert_eq!(syscall::munmap(shared, page()), Ok(()));
        assert_eq!(syscall::munmap(private, page()), Ok(()));
    }
}

#[test]
fn a_mapping_above_4_gib_shows_the_right_page() {
    let fd = memfd("large", 6 << 30);
    let offset = (5 << 30) + 3 * page() as u64;
    rustix::io::pwrite(rustix(number(&fd)), b"here", offset).unwrap();
    let (prot, flags, file) = (ProtFlags::READ, MapFlags::SHARED, lend(number(&fd)));
    let at = unsafe { syscall::mmap(ptr::null_mut(), 4, prot, flags, Some(file), offset) }.unwrap();
    assert_eq!(unsafe { at.cast::<[u8; 4]>().read_volatile() }, *b"here");
    unsafe { syscall::munmap(at, 4).unwrap() };
}

#[test]
fn munmap_unmaps_exactly_its_range() {
    let region = Region::anonymous(3);
    // In a child, in which no other thread maps anything at the address.
    in_child(|| unsafe {
        check!(syscall::munmap(region.page(1), page()) == Ok(()));
        let mut byte = [0_u8];
        let mapped = |index, byte: &mut [u8; 1]| {
            outcome(sc::syscall!(MINCORE, region.page(index), page(), byte.as_mut_ptr()))
        };
        check!(mapped(0, &mut byte) == Ok(0));
        check!(mapped(1, &mut byte) == Err(Errno::ENOMEM));
        check!(mapped(2, &mut byte) == Ok(0));
        // Unmapping pages that are not mapped is not an error.
        check!(syscall::munmap(region.page(0), 3 * page()) == Ok(()));
        check!(mapped(2, &mut byte) == Err(Errno::ENOMEM));
        Ok(())
    });
}

#[test]
fn mprotect_changes_read_and_write_access() {
    let region = Region::anonymous(2);
    region.put(0, 1);
    let file = memfd("target", 0);
    let fd = lend(number(&file));
    // The kernel checks the access, and returns an error instead of raising a signal.
    let readable = |index| unsafe { syscall::pwrite_raw(fd, region.page(index), 1, 0) };
    let writable =
        |index| unsafe { outcome(sc::syscall!(PREAD64, number(&file), region.page(index), 1, 0)) };
    let (page, all) = (page(), ProtFlags::READ | ProtFlags::WRITE);
    let fault = Err(Errno::EFAULT);
    for (prot, may_read, may_write) in
        [(ProtFlags::empty(), fault, fault), (ProtFlags::READ, Ok(1), fault), (all, Ok(1), Ok(1))]
    {
        assert_eq!(unsafe { syscall::mprotect(region.0, page, prot) }, Ok(()), "{prot:?}");
        assert_eq!(readable(0), may_read, "{prot:?}");
        assert_eq!(readable(1), Ok(1), "the page after");
        assert_eq!(writable(0), may_write, "{prot:?}");
    }
    assert_eq!(unsafe { syscall::mprotect(region.0, 0, ProtFlags::empty()) }, Ok(()));
    assert_eq!(readable(0), Ok(1), "no bytes, no change");
}

#[test]
fn mremap_keeps_the_contents() {
    let page = page();
    let source = Region::anonymous(2);
    source.put(0, 5);
    source.put(1, 6);
    let target = Region::anonymous(4);
    target.put(3, 9);
    let (old, to) = (source.0, target.0);
    let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
    let moved = unsafe { syscall::mremap(old, 2 * page, 3 * page, flags, to) };
    mem::forget(source);
    assert_eq!(moved, Ok(to));
    assert_eq!([0, 1, 2, 3].map(|index| target.get(index)), [5, 6, 0, 9]);

    // A mapping shrinks in place, whatever the flags.
    let shorter =
        unsafe { syscall::mremap(to, 3 * page, 3 * page, MremapFlags::empty(), ptr::null_mut()) };
    assert_eq!(shorter, Ok(to));
    assert_eq!(target.get(1), 6);

    // With an old length of zero, the pages are mapped a second time.
    let shared = Region::shared(1);
    shared.put(0, 1);
    let (may, null) = (MremapFlags::MAYMOVE, ptr::null_mut());
    let second = unsafe { syscall::mremap(shared.0, 0, page, may, null) }.unwrap();
    assert_ne!(second, shared.0);
    let second = Region(second, page);
    second.put(0, 2);
    assert_eq!(shared.get(0), 2);
}

#[test]
fn madvise_discards_pages() {
    let region = Region::anonymous(3);
    for index in 0..3 {
        region.put(index, 1);
    }
    unsafe { syscall::madvise(region.page(1), page(), Advice::DONTNEED).unwrap() };
    assert_eq!([0, 1, 2].map(|index| region.get(index)), [1, 0, 1]);

    // With WIPEONFORK, the child finds zeros.
    unsafe { syscall::madvise(region.page(2), page(), Advice::WIPEONFORK).unwrap() };
    in_child(|| {
        check!([0, 1, 2].map(|index| region.get(index)) == [1, 0, 0]);
        Ok(())
    });
    assert_eq!(region.get(2), 1);
}

#[test]
fn locked_pages_cannot_be_invalidated() {
    let file = memfd("locked", page() as u64);
    let region = Region::of(number(&file), 1, rustix::mm::ProtFlags::READ);
    // Returns whether a page is locked: msync(2) then fails with EBUSY.
    let locked = || {
        let result = unsafe { sc::syscall!(MSYNC, region.0, page(), kernel::MS_INVALIDATE) };
        outcome(result) == Err(Errno::EBUSY)
    };
    let resident = || {
        let mut byte = [0];
        syscall::mincore(region.0, 1, &mut byte).unwrap();
        byte[0] & 1 == 1
    };
    assert!(!locked() && !resident());
    unsafe {
        assert_eq!(syscall::mlock2(region.0, page(), MlockFlags::ONFAULT), Ok(()));
        assert!(locked() && !resident(), "locked as it comes");
        let ours = syscall::msync(region.0, page(), MsyncFlags::INVALIDATE);
        assert_eq!(ours, Err(Errno::EBUSY));
        assert_eq!(syscall::munlock(region.0, page()), Ok(()));
        assert!(!locked());
        assert_eq!(syscall::mlock(region.0, page()), Ok(()));
        assert!(locked() && resident(), "locked, and brought in");
        assert_eq!(syscall::munlock(region.0, page()), Ok(()));
        assert!(!locked());
        assert_eq!(syscall::mlock2(region.0, page(), MlockFlags::empty()), Ok(()));
        assert!(locked());
    }
}

#[test]
fn mincore_reports_accessed_pages() {
    let file = memfd("pages", 4 * page() as u64);
    let region = Region::of(number(&file), 4, rustix::mm::ProtFlags::READ);
    rustix::io::pwrite(rustix(number(&file)), b"x", 2 * page() as u64).unwrap();
    // The last byte is past the number of pages, and must not change.
    let (mut ours, mut oracle) = ([0xee; 5], [0xee; 5]);
    syscall::mincore(region.0, 4 * page(), &mut ours).unwrap();
    let result = unsafe { sc::syscall!(MINCORE, region.0, 4 * page(), oracle.as_mut_ptr()) };
    assert_eq!(outcome(result), Ok(0));
    assert_eq!(ours, oracle);
    assert_eq!(ours.map(|byte| byte & 1), [0, 0, 1, 0, 0]);
    assert_eq!(ours[4], 0xee);
    assert_eq!(syscall::mincore(region.page(2), 1, &mut ours[..1]), Ok(()), "part of a page");
    assert_eq!(ours[0] & 1, 1);
}

#[test]
fn a_memfd_has_its_name_and_its_flags() {
    for flags in [MemfdFlags::empty(), MemfdFlags::CLOEXEC, MemfdFlags::ALLOW_SEALING] {
        let _case = case!(flags);
        let fd = syscall::memfd_create(c"some name", flags).unwrap();
        let number = fd.as_fd().as_raw_fd();
        let link = fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
        assert_eq!(link, Path::new("/memfd:some name (deleted)"));
        let closed = rustix::io::fcntl_getfd(rustix(number)).unwrap();
        let expected = flags.contains(MemfdFlags::CLOEXEC);
        assert_eq!(closed.contains(rustix::io::FdFlags::CLOEXEC), expected, "{flags:?}");
        let seals = rustix::fs::fcntl_get_seals(rustix(number)).unwrap();
        let sealable = !seals.contains(rustix::fs::SealFlags::SEAL);
        assert_eq!(sealable, flags.contains(MemfdFlags::ALLOW_SEALING), "{flags:?}");
    }
}

#[test]
fn page_size_agrees_with_rustix() {
    assert_eq!(syscall::page_size(), page());
    // The page size is determined once, and then remembered.
    assert_eq!(syscall::page_size(), page());
}
