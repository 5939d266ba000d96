//! Tests that memmap2 makes of its own maps.

use super::*;

#[test]
fn a_file_is_read_and_written() {
    let file = zeros(128);
    let mut map = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
    assert_eq!(map.len(), 128);
    assert!(map.iter().all(|&byte| byte == 0));
    map.copy_from_slice(&counted(128));
    assert_eq!(map[..], counted(128));
    // The map does not need the descriptor, and the file has the written bytes.
    let same = read_only(&file);
    drop(file);
    map[5] = 77;
    let mut read = [0; 128];
    same.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, map[..]);
}

#[test]
fn anything_with_a_descriptor_can_be_mapped() {
    use baremap::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
    let path = c"Cargo.toml";
    let flags = baremap::syscall::OFlags::RDONLY;
    let owned: OwnedFd =
        baremap::syscall::open(path, flags, baremap::syscall::Mode::empty()).unwrap();
    let borrowed: BorrowedFd<'_> = owned.as_fd();
    let number = owned.as_raw_fd();
    let as_object: &dyn AsRawFd = &owned;
    let maps = unsafe {
        [Mmap::map(&owned), Mmap::map(borrowed), Mmap::map(number), Mmap::map(as_object)]
    };
    let contents = fs::read("Cargo.toml").unwrap();
    for map in maps {
        let _case = case!(map);
        assert_eq!(map.unwrap()[..], contents);
    }
    #[cfg(feature = "std")]
    {
        let file = File::open("Cargo.toml").unwrap();
        assert_eq!(unsafe { Mmap::map(&file) }.unwrap()[..], contents);
    }
}

#[test]
fn memory_is_zero_and_is_kept() {
    let mut map = MmapMut::map_anon(128).unwrap();
    assert_eq!(map[..], [0; 128]);
    map.as_mut().copy_from_slice(&counted(128));
    map[127] = 42;
    assert_eq!((&map.as_ref()[..127], map[127]), (&counted(127)[..], 42));
    assert_eq!(format!("{map:?}"), format!("MmapMut {{ ptr: {:?}, len: 128 }}", map.as_ptr()));
    let stack = MmapOptions::new().stack().no_reserve_swap().populate().len(1).map_anon();
    assert_eq!(stack.unwrap()[..], [0]);
}

#[test]
fn written_bytes_are_flushed() {
    let mut file = zeros(128);
    let mut map = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
    map[..6].copy_from_slice(b"abc123");
    map.flush().unwrap();
    map.flush_async().unwrap();
    let mut read = [0; 6];
    file.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"abc123");

    // Neither the map nor the range begins at a page boundary.
    let mut map = unsafe { MmapOptions::new().offset(2).len(6).map_mut(fd(&file)) }.unwrap();
    map.copy_from_slice(b"xyz789");
    map.flush_range(1, 5).unwrap();
    map.flush_async_range(0, 6).unwrap();
    let raw = MmapRaw::from(map);
    raw.flush().unwrap();
    raw.flush_async().unwrap();
    raw.flush_range(6, 0).unwrap();
    raw.flush_async_range(3, 3).unwrap();
    let mut read = [0; 8];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"abxyz789");
}

#[test]
fn writes_to_a_private_copy_do_not_reach_the_file() {
    let file = zeros(128);
    // A descriptor that is open for reading suffices.
    let mut copy = unsafe { MmapOptions::new().map_copy(fd(&read_only(&file))) }.unwrap();
    copy[..6].copy_from_slice(b"abc123");
    copy.flush().unwrap();
    assert_eq!(&copy[..7], b"abc123\0");
    let mut read = [1; 6];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, [0; 6]);
    let other = unsafe { Mmap::map(fd(&file)) }.unwrap();
    assert_eq!(other[..], [0; 128]);

    let copy = unsafe { MmapOptions::new().map_copy_read_only(fd(&read_only(&file))) }.unwrap();
    assert_eq!(copy[..], [0; 128]);
    let mut copy = copy.make_mut().unwrap();
    copy.fill(1);
    assert_eq!(other[..], [0; 128]);
}

#[test]
fn options_for_pages_do_not_change_contents() {
    let file = file(counted(10_000));
    let mut options = MmapOptions::new();
    options.no_probe_handle().populate().no_reserve_swap().stack().huge(None);
    for len in [10_000, 1] {
        let _case = case!(len);
        let map = unsafe { options.clone().len(len).map(fd(&file)) }.unwrap();
        assert_eq!(map[..], counted(10_000)[..len]);
    }
}

#[test]
fn an_offset_may_be_any_byte_even_above_4_gib() {
    let offset = u64::from(u32::MAX) + 2;
    let file = zeros(offset + 5432);
    let mut options = MmapOptions::new();
    options.offset(offset);
    assert_eq!(unsafe { options.map_mut(fd(&file)) }.unwrap().len(), 5432);
    let mut map = unsafe { options.len(5432).map_mut(fd(&file)) }.unwrap();
    assert_eq!(map[..], [0; 5432]);
    map.copy_from_slice(&counted(5432));
    let mut read = vec![0; 5432];
    file.read_exact_at(&mut read, offset).unwrap();
    assert_eq!(read, counted(5432));
}

#[test]
fn maps_can_be_sent_to_another_thread() {
    let mut map = MmapMut::map_anon(129).unwrap();
    map[128] = 1;
    let map = thread::spawn(move || map.make_read_only().unwrap()).join().unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(map[128], 1));
        }
    });
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[test]
fn executable_maps_can_be_called() {
    let file = zeros(4096);
    let maps = [MmapMut::map_anon(4096), unsafe { MmapMut::map_mut(fd(&file)) }];
    for (map, exec) in maps.into_iter().zip([false, true]) {
        let _case = case!(map, exec);
        let mut map = map.unwrap();
        // mov eax, 0xab; ret
        map[..6].copy_from_slice(&[0xb8, 0xab, 0, 0, 0, 0xc3]);
        let map = map.make_exec().unwrap();
        let run = |map: &Mmap| {
            let code: extern "C" fn() -> u32 = unsafe { std::mem::transmute(map.as_ptr()) };
            code()
        };
        assert_eq!(run(&map), 0xab);
        if exec {
            let map = unsafe { MmapOptions::new().map_exec(fd(&file)) }.unwrap();
            assert_eq!(run(&map), 0xab);
            let mut map = map.make_mut().unwrap();
            map[1] = 0xac;
            assert_eq!(run(&map.make_exec().unwrap()), 0xac);
        }
    }
}

#[test]
fn conversions_change_the_protection_and_keep_the_contents() {
    let file = zeros(256);
    let map = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
    let mut map = map.make_read_only().unwrap().make_mut().unwrap();
    map[..6].copy_from_slice(b"abc123");
    map.flush().unwrap();
    let mut read = [0; 6];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!((&read, &map[..6]), (b"abc123", &b"abc123"[..]));
    assert_eq!(&unsafe { Mmap::map(fd(&file)) }.unwrap()[..6], b"abc123");
    assert_eq!(&map.make_exec().unwrap()[..6], b"abc123");

    let map = MmapMut::map_anon(256).unwrap().make_read_only().unwrap();
    let at = map.as_ptr();
    let permissions = |at| mapping(at).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(permissions(at), "r--p");
    let map = map.make_mut().unwrap();
    assert_eq!(permissions(at), "rw-p");
    let map = map.make_exec().unwrap();
    assert_eq!((map.as_ptr(), permissions(at).as_str()), (at, "r-xp"));
}

#[test]
fn raw_maps_give_pointers() {
    let file = file("abc123");
    let map = MmapOptions::new().map_raw(fd(&file)).unwrap();
    assert_eq!((map.len(), unsafe { map.as_ptr().read() }), (6, b'a'));
    unsafe { map.as_mut_ptr().add(5).write(b'4') };
    let map = MmapOptions::new().map_raw_read_only(fd(&read_only(&file))).unwrap();
    assert_eq!((map.len(), unsafe { map.as_ptr().add(5).read() }), (6, b'4'));
    assert_eq!(errno(MmapRaw::map_raw(fd(&read_only(&file))).unwrap_err()), Errno::EACCES);
    let at = MmapRaw::map_raw(fd(&file)).unwrap();
    assert_eq!(format!("{at:?}"), format!("MmapRaw {{ ptr: {:?}, len: 6 }}", at.as_ptr()));
    let map = unsafe { Mmap::map(fd(&file)) }.unwrap();
    let at = map.as_ptr();
    assert_eq!(MmapRaw::from(map).as_ptr(), at);
}

#[cfg(feature = "stable_deref_trait")]
#[test]
fn the_bytes_stay_where_they_are_when_a_map_moves() {
    fn moved<T: stable_deref_trait::StableDeref<Target = [u8]>>(map: T) {
        let at = map.as_ptr();
        let boxed = Box::new(map);
        assert_eq!(boxed.as_ptr(), at);
    }
    moved(MmapMut::map_anon(128).unwrap());
    moved(MmapMut::map_anon(128).unwrap().make_read_only().unwrap());
    moved(MmapMut::map_anon(0).unwrap());
}

#[test]
fn a_map_grows_and_shrinks() {
    // With the offset 77, the map does not begin at a page boundary.
    for offset in [0, 77] {
        let _case = case!(offset);
        let len = 3 * page_size();
        let file = zeros(len as u64 + offset);
        let mut map =
            unsafe { MmapOptions::new().offset(offset).len(128).map_mut(fd(&file)) }.unwrap();
        map[127] = 1;
        unsafe { map.remap(len, RemapOptions::new().may_move(true)) }.unwrap();
        assert_eq!((map.len(), map[127]), (len, 1));
        assert!(map[128..].iter().all(|&byte| byte == 0));
        map.copy_from_slice(&counted(len));
        let mut read = vec![0; len];
        file.read_exact_at(&mut read, offset).unwrap();
        assert_eq!(read, counted(len));

        let at = map.as_ptr();
        unsafe { map.remap(400, RemapOptions::new()) }.unwrap();
        assert_eq!((map.len(), map.as_ptr()), (400, at));
        assert_eq!(map[..], counted(400));
        map.fill(0);
        // The second page is unmapped.
        assert!(shows(at, &file));
        assert!(!shows(at.wrapping_add(2 * page_size()), &file));
    }
}

#[test]
fn remap_moves_only_if_permitted() {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let page = page_size();
    // A mapping of this test follows the map. Mappings of other tests may be unmapped at any time.
    let flags = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
    let mut others = Vec::new();
    let mut map = loop {
        let mut map = MmapMut::map_anon(4 * page).unwrap();
        unsafe { map.remap(3 * page, RemapOptions::new()) }.unwrap();
        let end = map.as_ptr().wrapping_add(3 * page) as *mut _;
        match unsafe { mmap_anonymous(end, page, ProtFlags::empty(), flags) } {
            Ok(_) => break map,
            Err(_) => others.push(map),
        }
    };
    map[..5].copy_from_slice(b"still");
    let at = map.as_ptr();
    let mut remap = |len, options| unsafe { map.remap(len, options) }.map_err(errno);
    assert_eq!(remap(4 * page, RemapOptions::new()), Err(Errno::ENOMEM));
    assert_eq!(remap(4 * page, RemapOptions::default()), Err(Errno::ENOMEM));
    assert_eq!(remap(4 * page, RemapOptions::new().may_move(false)), Err(Errno::ENOMEM));
    assert_eq!((map.as_ptr(), map.len(), &map[..5]), (at, 3 * page, &b"still"[..]));
    unsafe { map.remap(4 * page, RemapOptions::new().may_move(true)) }.unwrap();
    assert_ne!(map.as_ptr(), at);
    assert_eq!((map.len(), &map[..5], map[4 * page - 1]), (4 * page, &b"still"[..], 0));

    // Advice for a part splits the map into several mappings, of which only one could grow.
    map.advise_range(Advice::DontDump, page, page).unwrap();
    let refused = unsafe { map.remap(5 * page, RemapOptions::new().may_move(true)) };
    assert_eq!(refused.map_err(errno), Err(Errno::EFAULT));
    assert_eq!((map.len(), &map[..5]), (4 * page, &b"still"[..]));
}
