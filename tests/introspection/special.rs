//! Special mappings: sealed, droppable, secret, with protection keys, and synchronous.

use super::*;

#[test]
fn a_sealed_map_cannot_be_changed() {
    if linux() < (6, 10) {
        let refused = MmapMut::map_anon(page()).unwrap().seal().unwrap_err();
        assert_eq!(refused.errno(), Errno::ENOSYS);
        return;
    }
    let mut map = MmapMut::map_anon(3 * page()).unwrap();
    map.fill(5);
    let sealed: &'static [u8] = map.make_read_only().unwrap().seal().unwrap();
    let (addr, length) = (sealed.as_ptr().cast_mut(), sealed.len());
    let middle = addr.wrapping_add(page());
    let anonymous = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
    // SAFETY: each is refused.
    unsafe {
        let read = ProtFlags::READ;
        assert_eq!(syscall::munmap(middle, page()), Err(Errno::EPERM));
        assert_eq!(syscall::munmap(addr, length), Err(Errno::EPERM));
        assert_eq!(syscall::mprotect(middle, 1, read | ProtFlags::WRITE), Err(Errno::EPERM));
        let fixed = anonymous | MapFlags::FIXED;
        assert_eq!(syscall::mmap(addr, page(), read, fixed, None, 0), Err(Errno::EPERM));
        let moved = syscall::mremap(addr, length, page(), MremapFlags::MAYMOVE, ptr::null_mut());
        assert_eq!(moved, Err(Errno::EPERM));
        let advice = syscall::Advice::DONTNEED;
        assert_eq!(syscall::madvise(addr, length, advice), Err(Errno::EPERM));
    }
    assert!(sealed.iter().all(|&byte| byte == 5));
    assert_eq!(at(maps().unwrap(), addr).mapping.prot, ProtFlags::READ);

    // Sealing twice is not an error. Sealing an unmapped page, or a part of a page, is.
    unsafe {
        assert_eq!(syscall::mseal(addr, length), Ok(()));
        assert_eq!(syscall::mseal(addr.wrapping_add(1), 1), Err(Errno::EINVAL));
        assert_eq!(syscall::mseal(ptr::without_provenance_mut(page()), 1), Err(Errno::ENOMEM));
        assert_eq!(syscall::mseal(addr, 0), Ok(()));
    }

    // The contents of a sealed writable map can change. The map need not begin at a page boundary.
    let scratch = Scratch::new("seal");
    let file = scratch.open_file("file", vec![7; 2 * page()]);
    let map = unsafe { MmapOptions::new().offset(100).map_mut(file.as_raw_fd()).unwrap() };
    let sealed: &'static mut [u8] = map.seal().unwrap();
    assert_eq!(sealed.len(), 2 * page() - 100);
    sealed[0] = 9;
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100).unwrap();
    assert_eq!(byte, [9]);
    for offset in [-100, 0] {
        let _case = case!(offset);
        let start = sealed.as_mut_ptr().wrapping_offset(offset);
        let result = unsafe { syscall::munmap(start.wrapping_sub(start.addr() % page()), 1) };
        assert_eq!(result, Err(Errno::EPERM));
    }
    let last = sealed.as_mut_ptr().wrapping_add(page());
    let last = last.wrapping_sub(last.addr() % page());
    assert_eq!(unsafe { syscall::munmap(last, 1) }, Err(Errno::EPERM));

    assert!(MmapMut::map_anon(0).unwrap().seal().unwrap().is_empty());
}

#[test]
fn a_failed_seal_returns_the_map() {
    refusing(kernel::__NR_mseal, vec![], Errno::ENOSYS, || {
        let mut map = MmapMut::map_anon(777 * page()).unwrap();
        map[0] = 3;
        let refused = map.seal().unwrap_err();
        assert_eq!(refused.errno(), Errno::ENOSYS);
        let refused = refused.into_inner().make_read_only().unwrap().seal().unwrap_err();
        let map = refused.into_inner();
        let addr = map.as_ptr();
        assert_eq!(map[0], 3);
        drop(map);
        // The map was unmapped, and no other test maps as much.
        let mut list = all(maps().unwrap());
        let end = addr as u64 + 777 * page() as u64;
        list.retain(|told| told.mapping.contains(addr as u64) && told.mapping.end >= end);
        assert_eq!(list, []);
    });
}

#[test]
fn droppable_memory_is_mapped() {
    let map = MmapRaw::map_droppable(3 * page() + 1);
    if linux() < (6, 11) {
        assert_eq!(errno(map.unwrap_err()), Errno::ENOSYS);
        return;
    }
    let map = map.unwrap();
    assert_eq!(map.len(), 3 * page() + 1);
    // SAFETY: in the map, to which there is no reference.
    unsafe {
        assert_eq!(map.as_ptr().add(3 * page()).read_volatile(), 0);
        map.as_mut_ptr().write_volatile(1);
    }
    for flag in ["dp", "wf", "dd", "nr"] {
        assert!(flagged(map.as_ptr(), flag), "no {flag}");
    }
    let told = at(maps().unwrap(), map.as_ptr());
    assert_eq!((told.mapping.len(), told.mapping.shared), (4 * page() as u64, false));

    assert!(MmapRaw::map_droppable(0).unwrap().is_empty());
    assert_eq!(errno(MmapRaw::map_droppable(usize::MAX).unwrap_err()), Errno::EOVERFLOW);
    // An older kernel does not know the type of mapping, and neither does a 32-bit one.
    for refusal in [Errno::EINVAL, Errno::new(524)] {
        let _case = case!(refusal);
        refusing(kernel::__NR_mmap, vec![], refusal, || {
            assert_eq!(errno(MmapRaw::map_droppable(1).unwrap_err()), Errno::ENOSYS);
        });
    }
}

#[test]
fn secret_memory_is_hidden_from_the_kernels_readers() {
    let raw = unsafe { sc::syscall1(kernel::__NR_memfd_secret as usize, 0) };
    let oracle = outcome(raw);
    let ours = syscall::memfd_secret(OFlags::empty());
    assert_eq!(ours.as_ref().map(drop).map_err(|&errno| errno), oracle.map(drop));
    if oracle.is_err() {
        assert_eq!(oracle, Err(Errno::ENOSYS));
        assert_eq!(errno(MmapRaw::map_secret(1).unwrap_err()), Errno::ENOSYS);
        return;
    }
    drop(unsafe { OwnedFd::from_raw_fd(oracle.unwrap() as RawFd) });
    assert_eq!(syscall::memfd_secret(OFlags::APPEND).map(drop), Err(Errno::EINVAL));
    for flags in [OFlags::empty(), OFlags::CLOEXEC] {
        let _case = case!(flags);
        let file = syscall::memfd_secret(flags).unwrap();
        let closes = rustix::io::fcntl_getfd(theirs(&Number(&file))).unwrap()
            == rustix::io::FdFlags::CLOEXEC;
        assert_eq!(closes, flags == OFlags::CLOEXEC);
        assert_eq!(syscall::ftruncate(file.as_fd(), 10), Ok(()));
        assert_eq!(syscall::ftruncate(file.as_fd(), 20), Err(Errno::EINVAL));
        assert!(syscall::read(file.as_fd(), &mut [0]).is_err());
    }

    let secret = MmapRaw::map_secret(page() + 1).unwrap();
    assert_eq!(secret.len(), page() + 1);
    let start = secret.as_mut_ptr();
    // SAFETY: in the map, to which there is no reference.
    unsafe {
        assert_eq!(start.add(page()).read_volatile(), 0);
        start.copy_from_nonoverlapping(b"secret".as_ptr(), 6);
        assert_eq!(start.cast::<[u8; 6]>().read_volatile(), *b"secret");
    }
    // A child shares the memory, which is why the library gives no slices of it.
    in_child(|| {
        // SAFETY: as above.
        unsafe { start.add(page()).write_volatile(5) };
        Ok(())
    });
    // SAFETY: as above.
    assert_eq!(unsafe { start.add(page()).read_volatile() }, 5);
    // The kernel reads other memory for a process with the permission to trace, but not this
    // memory.
    let mut public = MmapMut::map_anon(page()).unwrap();
    public[..6].copy_from_slice(b"public");
    let memory = File::open("/proc/self/mem").unwrap();
    let mut read = [0; 6];
    memory.read_exact_at(&mut read, public.as_ptr() as u64).unwrap();
    assert_eq!(&read, b"public");
    let refused = memory.read_exact_at(&mut read, secret.as_ptr() as u64).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(Errno::EIO.number().into()));
    // The kernel reads what the process itself passes to a call.
    let (mut reader, writer) = std::io::pipe().unwrap();
    assert_eq!(unsafe { syscall::write_raw(lend(&writer), start, 6) }, Ok(6));
    reader.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"secret");
    assert_eq!(at(maps().unwrap(), secret.as_ptr()).name, b"/secretmem (deleted)");
    assert!(["lo", "dd"].iter().all(|flag| flagged(secret.as_ptr(), flag)));

    assert!(MmapRaw::map_secret(0).unwrap().is_empty());
    refusing(kernel::__NR_memfd_secret, vec![], Errno::ENOSYS, || {
        assert_eq!(errno(MmapRaw::map_secret(1).unwrap_err()), Errno::ENOSYS);
    });
}

#[test]
fn protection_keys_restrict_access() {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap();
    let has_keys = cpuinfo.split_whitespace().any(|flag| flag == "ospke");
    let mut map = MmapMut::map_anon(2 * page()).unwrap();
    map[0] = 1;
    let addr = map.as_mut_ptr();
    let protect = |prot, key| unsafe { syscall::pkey_mprotect(addr, page(), prot, key) };
    let read_write = ProtFlags::READ | ProtFlags::WRITE;

    // Without a key, the call is `mprotect`.
    assert_eq!(protect(ProtFlags::READ, None), Ok(()));
    assert_eq!(at(maps().unwrap(), addr).mapping.prot, ProtFlags::READ);
    assert_eq!(protect(read_write, None), Ok(()));
    // These keys have not been allocated.
    assert_eq!(protect(read_write, Some(9)), Err(Errno::EINVAL));
    assert_eq!(unsafe { syscall::pkey_free(9) }, Err(Errno::EINVAL));
    let unknown = PkeyRights::from_bits_retain(1 << 20);
    assert_eq!(syscall::pkey_alloc(unknown), Err(Errno::EINVAL));

    let alloc = || syscall::pkey_alloc(PkeyRights::DISABLE_WRITE);
    if !has_keys {
        // The first call of a process reports that there are no keys, and later calls report that
        // none is left.
        let oracle = || {
            let call = kernel::__NR_pkey_alloc as usize;
            outcome(unsafe { sc::syscall2(call, 0, kernel::PKEY_DISABLE_WRITE as usize) })
        };
        let number = |result: Result<(), Errno>| i32::from(result.unwrap_err().number());
        let first = child(|| number(oracle().map(drop)));
        assert_eq!(first, WaitStatus::Exited(Errno::EINVAL.number().into()));
        assert_eq!(child(|| number(alloc().map(drop))), first);
        let second = child(|| {
            let _ = alloc();
            number(alloc().map(drop))
        });
        assert_eq!(second, WaitStatus::Exited(Errno::ENOSPC.number().into()));
        return;
    }
    let key = alloc();
    let key = key.unwrap();
    assert_eq!(protect(read_write, Some(key)), Ok(()));
    // The kernel writes on behalf of this thread, and is refused as well.
    let zero = File::open("/dev/zero").unwrap();
    assert_eq!(unsafe { syscall::read_raw(lend(&zero), addr, 1) }, Err(Errno::EFAULT));
    assert_eq!(unsafe { addr.read_volatile() }, 1);
    assert_eq!(protect(read_write, Some(0)), Ok(()));
    assert_eq!(unsafe { syscall::pkey_free(key) }, Ok(()));
    assert_eq!(unsafe { syscall::pkey_free(key) }, Err(Errno::EINVAL));
}

#[test]
fn only_persistent_memory_is_mapped_synchronously() {
    let scratch = Scratch::new("sync");
    let file = scratch.open_file("file", vec![7; page()]);
    let number = file.as_raw_fd();
    let mut options = MmapOptions::new();
    let options = options.sync();
    let memory2 = unsafe {
        let flags =
            rustix::mm::MapFlags::from_bits_retain(kernel::MAP_SHARED_VALIDATE | kernel::MAP_SYNC);
        rustix::mm::mmap(
            ptr::null_mut::<c_void>(),
            page(),
            rustix::mm::ProtFlags::READ,
            flags,
            theirs(&file),
            0,
        )
    };
    assert_eq!(memory2.unwrap_err(), rustix::io::Errno::OPNOTSUPP);
    assert_eq!(errno(options.map_raw(number).unwrap_err()), Errno::EOPNOTSUPP);
    assert_eq!(errno(options.map_raw_read_only(number).unwrap_err()), Errno::EOPNOTSUPP);
    assert_eq!(errno(unsafe { options.map_mut(number).unwrap_err() }), Errno::EOPNOTSUPP);
    assert_eq!(unsafe { options.map_copy(number).unwrap()[0] }, 7);
    assert_eq!(options.len(1).map_anon().unwrap().len(), 1);
}
