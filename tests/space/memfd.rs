//! Files in memory with seals, and memory that processes share.

use super::*;

const ALL: Seals = Seals::SHRINK.union(Seals::GROW).union(Seals::WRITE).union(Seals::SEAL);

#[test]
fn sealed_files_reject_what_their_seals_forbid() {
    let page = page_size() as u64;
    let file = Memfd::new(c"sealed", page).unwrap();
    let empty = file.seals().unwrap().difference(Seals::EXEC);
    assert_eq!(empty, Seals::empty());
    assert!(MmapOptions::new().map_if_safe(&file).is_err_and(|error| error.not_safe()));
    assert_eq!(syscall::pwrite(file.as_fd(), b"hello", 0).unwrap(), 5);

    // The seal is rejected while a writable mapping exists.
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
    // The file can be placed, but not written to by the placed map.
    let mut part = Reservation::new(2 * page as usize).unwrap();
    let placed = Placed::new(map, &mut part, page as usize).unwrap();
    assert_eq!(&placed[..5], b"hello");
    assert!(permissions(placed.as_ptr(), page as usize)[0].starts_with("r--"));
}

#[test]
fn a_future_write_seal_keeps_existing_maps_writable() {
    let file = Memfd::new(c"future", 1).unwrap();
    let before = MmapOptions::new().map_raw(&file).unwrap();
    file.seal(Seals::FUTURE_WRITE).unwrap();
    // SAFETY: inside the map.
    unsafe { before.as_mut_ptr().write(8) };
    fails(MmapOptions::new().map_raw(&file), Errno::EPERM);
    assert_eq!(syscall::pwrite(file.as_fd(), b"J", 0), Err(Errno::EPERM));
    // SAFETY: nobody writes any more.
    assert_eq!(unsafe { Mmap::map(&file).unwrap() }[..], [8]);
    // A file that others may write to is not safe to map.
    file.seal(Seals::SHRINK | Seals::GROW).unwrap();
    assert!(MmapOptions::new().map_if_safe(&file).is_err_and(|error| error.not_safe()));
}

#[test]
fn invalid_seals_are_rejected() {
    // Files that cannot be sealed.
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
    in_child(|| {
        check!(number.fetch_add(41, SeqCst) == 1);
        Ok(())
    });
    assert_eq!(number.load(SeqCst), 42);
    assert!(MmapRaw::map_anon_shared(0).unwrap().is_empty());
    fails(MmapRaw::map_anon_shared(usize::MAX), Errno::EOVERFLOW);

    // Private memory is not shared with a child.
    let mut private = MmapMut::map_anon(1).unwrap();
    in_child(|| {
        private[0] = 1;
        Ok(())
    });
    assert_eq!(private[0], 0);
    // SAFETY: contents may go.
    unsafe { private.unchecked_advise(UncheckedAdvice::DontNeed).unwrap() };
}
