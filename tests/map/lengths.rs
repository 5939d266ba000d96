//! Lengths and ranges at the limits: zero, too long, and past the end.

use super::*;

/// Runs a block for each kind of map, with 100 bytes from the middle of a page.
macro_rules! each_kind {
    (|$map:ident: $($kind:ident)*| $block:expr) => {$({
        let file = zeros(1000);
        let mut options = MmapOptions::new();
        options.offset(500).len(100);
        let $map = each_kind!(@$kind options fd(&file));
        $block
    })*};
    (@Mmap $options:ident $fd:expr) => { unsafe { $options.map($fd) }.unwrap() };
    (@MmapMut $options:ident $fd:expr) => { unsafe { $options.map_mut($fd) }.unwrap() };
    (@MmapRaw $options:ident $fd:expr) => { $options.map_raw($fd).unwrap() };
}

const INSIDE: [(usize, usize); 4] = [(0, 100), (99, 1), (100, 0), (0, 0)];

const OUTSIDE: [(usize, usize); 6] =
    [(0, 101), (1, 100), (99, 2), (100, 1), (101, 0), (usize::MAX, 2)];

#[test]
fn a_range_past_the_end_is_refused() {
    let check = |call: &dyn Fn(usize, usize) -> baremap::map::Result<()>| {
        for (offset, len) in INSIDE {
            call(offset, len).unwrap();
        }
        for (offset, len) in OUTSIDE {
            let error = call(offset, len).map_err(errno);
            assert_eq!(error, Err(Errno::EINVAL), "{offset}, {len}");
        }
    };
    each_kind!(|map: Mmap MmapMut MmapRaw| {
        check(&|offset, len| map.advise_range(Advice::Normal, offset, len));
        check(&|offset, len| unsafe {
            map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, len)
        });
    });
    each_kind!(|map: MmapMut MmapRaw| {
        check(&|offset, len| map.flush_range(offset, len));
        check(&|offset, len| map.flush_async_range(offset, len));
        check(&|offset, len| map.flush_with(FlushOptions::new().range(offset, len)));
    });
}

#[test]
fn empty_maps_work() {
    let (empty, full) =
        (memfd(MemfdFlags::ALLOW_SEALING, ""), memfd(MemfdFlags::ALLOW_SEALING, "full"));
    let mut maps = unsafe {
        [
            MmapMut::map_mut(fd(&empty)).unwrap(),
            MmapOptions::new().map_copy(fd(&empty)).unwrap(),
            MmapOptions::new().offset(4).map_mut(fd(&full)).unwrap(),
            MmapOptions::new().len(0).map_mut(fd(&full)).unwrap(),
            MmapOptions::new().map_anon().unwrap(),
            MmapMut::map_anon(0).unwrap(),
            MmapOptions::new().huge(None).populate().map_anon().unwrap(),
        ]
    };
    let inode = |file: &File| format!(" {} ", file.metadata().unwrap().ino());
    let mapped =
        |file: &File| fs::read_to_string("/proc/self/maps").unwrap().contains(&inode(file));
    for map in &mut maps {
        let _case = case!(map);
        assert!(map.is_empty() && map.iter().next().is_none());
        map.as_mut().fill(1);
        map.flush().unwrap();
        map.flush_async_range(0, 0).unwrap();
        map.advise(Advice::WillNeed).unwrap();
        unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) }.unwrap();
        map.lock().unwrap();
        map.unlock().unwrap();
        unsafe { map.remap(0, RemapOptions::new()) }.unwrap();
    }
    for map in maps {
        let _case = case!(map);
        let map = map.make_read_only().unwrap().make_mut().unwrap().make_exec().unwrap();
        assert!(MmapRaw::from(map).is_empty());
    }
    assert!(!mapped(&empty) && !mapped(&full), "none is left");
}

/// The size of these files does not tell how much can be read.
#[test]
fn files_without_a_size_are_not_empty_maps() {
    let refused = |file: RawFd| unsafe { Mmap::map(file) }.map(|map| map.len()).map_err(errno);
    let status = File::open("/proc/self/status").unwrap();
    assert_eq!(refused(fd(&status)), Err(Errno::ENODEV));
    let (reader, _writer) = std::io::pipe().unwrap();
    assert_eq!(refused(reader.as_raw_fd()), Err(Errno::ENODEV));
    // Some devices can be mapped, but do not report a size.
    for device in ["/dev/null", "/dev/zero"] {
        assert_eq!(refused(fd(&File::open(device).unwrap())), Err(Errno::ENODEV), "{device}");
    }
    assert_eq!(FileMap::open(c"/dev/zero").map(drop).map_err(errno), Err(Errno::ENODEV));
    let zeros = File::open("/dev/zero").unwrap();
    assert_eq!(unsafe { MmapOptions::new().len(5).map(fd(&zeros)) }.unwrap()[..], [0; 5]);
    assert_eq!(refused(fd(&File::open("/proc/self").unwrap())), Err(Errno::ENODEV));
    // A file that cannot be read cannot be mapped, although it is empty.
    let empty = memfd(MemfdFlags::ALLOW_SEALING, "");
    let path = format!("/proc/self/fd/{}", fd(&empty));
    let write_only = File::options().write(true).open(path).unwrap();
    assert_eq!(refused(fd(&write_only)), Err(Errno::EACCES));
    assert_eq!(refused(-1), Err(Errno::EBADF));
}

#[test]
fn lengths_above_isize_max_are_rejected() {
    let most = isize::MAX as usize;
    let file = zeros(1);
    for len in [most + 1, usize::MAX] {
        let _case = case!(len);
        assert_eq!(errno(MmapMut::map_anon(len).unwrap_err()), Errno::EOVERFLOW);
        assert_eq!(errno(MmapRaw::map_secret(len).unwrap_err()), Errno::EOVERFLOW);
        let map = unsafe { MmapOptions::new().len(len).map(fd(&file)) };
        assert_eq!(errno(map.unwrap_err()), Errno::EOVERFLOW);
        let mut map = unsafe { Mmap::map(fd(&file)) }.unwrap();
        let error = unsafe { map.remap(len, RemapOptions::new().may_move(true)) }.unwrap_err();
        assert_eq!((errno(error), map.len()), (Errno::EOVERFLOW, 1));
    }
    // The kernel rejects the length, because the address space has no room.
    assert_eq!(errno(MmapMut::map_anon(most).unwrap_err()), Errno::ENOMEM);
    // With the bytes before it in its page, the mapping would be too long.
    let map = unsafe { MmapOptions::new().offset(1).len(most).map(fd(&file)) };
    assert_eq!(errno(map.unwrap_err()), Errno::EOVERFLOW);
    // With an offset past the end, there is no length.
    let map = unsafe { MmapOptions::new().offset(2).map(fd(&file)) };
    assert_eq!(errno(map.unwrap_err()), Errno::EINVAL);
}
