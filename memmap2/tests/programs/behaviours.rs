//! Behaviour of memmap2 on which its users rely, apart from names and types.

#![allow(clippy::undocumented_unsafe_blocks, reason = "each test maps a file of its own")]

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, Write},
    os::fd::{AsFd, AsRawFd},
    os::unix::fs::FileExt,
    thread,
};

use baremap::syscall::{self, MemfdFlags, Seals, page_size};

use super::memmap2::{Advice, Mmap, MmapMut, MmapOptions, MmapRaw, RemapOptions, UncheckedAdvice};

/// Returns a file in memory with these contents, which can be sealed.
fn file(contents: &[u8]) -> File {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(syscall::memfd_create(c"behaviours", flags).unwrap());
    file.write_all(contents).unwrap();
    file.rewind().unwrap();
    file
}

fn counted(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

fn contents(mut file: &File) -> Vec<u8> {
    let mut contents = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut contents).unwrap();
    contents
}

fn may_move() -> RemapOptions {
    RemapOptions::new().may_move(true)
}

#[test]
fn an_empty_file_is_an_empty_map() -> io::Result<()> {
    let file = file(b"");
    let map = unsafe { Mmap::map(&file)? };
    assert!(map.is_empty() && map[..].is_empty());
    let mut map = unsafe { MmapMut::map_mut(&file)? };
    map.as_mut().fill(1);
    map.flush()?;
    map.flush_async()?;
    map.advise(Advice::Sequential)?;
    let map = map.make_read_only()?.make_mut()?;
    assert_eq!(MmapRaw::from(map).len(), 0);
    assert!(MmapMut::map_anon(0)?.is_empty());
    assert!(MmapOptions::new().map_anon()?.is_empty());
    Ok(())
}

#[test]
fn an_empty_map_grows() -> io::Result<()> {
    let file = file(b"");
    let mut map = unsafe { MmapMut::map_mut(&file)? };
    for len in [5, 3 * page_size() + 1, 0, 10] {
        file.set_len(len as u64)?;
        unsafe { map.remap(len, may_move())? };
        map.fill(7);
        assert_eq!(contents(&file), vec![7; len]);
    }
    let mut memory = MmapMut::map_anon(0)?;
    unsafe { memory.remap(100_000, may_move())? };
    assert!(memory.iter().all(|&byte| byte == 0));
    Ok(())
}

#[test]
fn a_map_lives_longer_than_its_file() -> io::Result<()> {
    let wanted = counted(10_000);
    let file = file(&wanted);
    let maps = unsafe { [Mmap::map(&file)?, Mmap::map(file.as_raw_fd())?] };
    drop(file);
    assert!(maps.iter().all(|map| map[..] == wanted));
    Ok(())
}

#[test]
fn an_offset_needs_no_alignment() -> io::Result<()> {
    let wanted = counted(3 * page_size());
    let file = file(&wanted);
    for offset in [1, 100, page_size() - 1, page_size(), page_size() + 1, 3 * page_size()] {
        let mut options = MmapOptions::new();
        options.offset(offset as u64);
        assert_eq!(unsafe { options.map(&file)? }[..], wanted[offset..]);
        let mut map = unsafe { options.map_mut(&file)? };
        map.flush_range(0, map.len())?;
        map.flush_async_range(map.len(), 0)?;
        let mut copy = unsafe { options.map_copy(&file)? };
        copy.fill(0);
        assert_eq!(map[..], wanted[offset..]);
        map.as_mut().reverse();
        map.as_mut().reverse();
        assert_eq!(map.make_read_only()?[..], wanted[offset..]);
    }
    Ok(())
}

#[test]
fn a_copy_is_private() -> io::Result<()> {
    let wanted = counted(5_000);
    let file = file(&wanted);
    let mut copy = unsafe { MmapOptions::new().map_copy(&file)? };
    copy[..10].fill(255);
    assert_eq!((&copy[..10], &copy[10..]), (&[255; 10][..], &wanted[10..]));
    assert_eq!(contents(&file), wanted);
    // A descriptor that is open for reading only suffices.
    let read_only = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let copy = unsafe { MmapOptions::new().map_copy_read_only(&read_only)? };
    let mut copy = copy.make_mut()?;
    copy.fill(1);
    assert_eq!(contents(&file), wanted);
    Ok(())
}

#[test]
fn the_mode_of_a_file_is_the_most_that_is_allowed() -> io::Result<()> {
    let file = file(&counted(10));
    let read_only = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let denied = |error: io::Error| assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    denied(unsafe { MmapMut::map_mut(&read_only) }.unwrap_err());
    denied(MmapRaw::map_raw(&read_only).unwrap_err());
    denied(unsafe { Mmap::map(&read_only) }?.make_mut().unwrap_err());
    assert_eq!(MmapOptions::new().map_raw_read_only(&read_only)?.len(), 10);
    let write_only =
        File::options().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    denied(unsafe { Mmap::map(&write_only) }.unwrap_err());
    Ok(())
}

#[test]
fn what_is_out_of_range_is_an_error() -> io::Result<()> {
    let file = file(&counted(100));
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    let too_far = unsafe { MmapOptions::new().offset(101).map(&file) };
    assert_eq!(kind(too_far.map(drop)), ErrorKind::InvalidData);
    let too_long = unsafe { MmapOptions::new().len(isize::MAX as usize + 1).map(&file) };
    assert_eq!(kind(too_long.map(drop)), ErrorKind::InvalidData);
    assert_eq!(kind(MmapMut::map_anon(usize::MAX).map(drop)), ErrorKind::InvalidData);

    let map = unsafe { MmapMut::map_mut(&file)? };
    for (offset, len) in [(101, 0), (100, 1), (0, 101), (50, 51), (usize::MAX, 2)] {
        assert_eq!(kind(map.flush_range(offset, len)), ErrorKind::InvalidInput);
        assert_eq!(kind(map.flush_async_range(offset, len)), ErrorKind::InvalidInput);
    }
    for (offset, len) in [(101, 0), (0, 101)] {
        assert_eq!(kind(map.advise_range(Advice::Normal, offset, len)), ErrorKind::InvalidInput);
    }
    for (offset, len) in [(0, 100), (50, 50), (100, 0)] {
        map.flush_range(offset, len)?;
        map.flush_async_range(offset, len)?;
        map.advise_range(Advice::Random, offset, len)?;
    }
    assert_eq!(
        kind(unsafe { Mmap::map(i32::MAX) }.map(drop)),
        io::Error::from_raw_os_error(9).kind()
    );
    Ok(())
}

#[test]
fn advice_is_taken() -> io::Result<()> {
    for advice in [Advice::Normal, Advice::Random, Advice::Sequential, Advice::WillNeed] {
        assert!(advice.is_supported());
        let map = unsafe { Mmap::map(&file(&counted(10_000)))? };
        map.advise(advice)?;
        map.advise_range(advice, 5_000, 10)?;
        assert_eq!(map[..], counted(10_000));
    }
    // Whole pages of private memory are discarded.
    let page = page_size();
    let mut map = MmapMut::map_anon(3 * page)?;
    map.fill(1);
    unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, page, page)? };
    assert_eq!((map[page - 1], map[page], map[2 * page - 1], map[2 * page]), (1, 0, 0, 1));
    unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed)? };
    assert!(map.iter().all(|&byte| byte == 0));
    Ok(())
}

/// Returns the locked kibibytes of the mapping at an address.
fn locked(at: *const u8) -> u64 {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let start = |line: &str| usize::from_str_radix(line.split_once('-')?.0, 16).ok();
    let lines = smaps.lines().skip_while(|&line| start(line) != Some(at.addr()));
    let line = lines.skip(1).find(|line| line.starts_with("Locked:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_locked_map_is_in_memory() -> io::Result<()> {
    // The kernel does not merge a map of a file with its neighbours.
    let map = unsafe { Mmap::map(&file(&counted(page_size())))? };
    assert_eq!(locked(map.as_ptr()), 0);
    map.lock()?;
    map.lock()?;
    assert_eq!(locked(map.as_ptr()), page_size() as u64 / 1024);
    map.unlock()?;
    map.unlock()?;
    assert_eq!(locked(map.as_ptr()), 0);
    Ok(())
}

#[test]
fn a_map_grows_and_shrinks() -> io::Result<()> {
    let page = page_size();
    let wanted = counted(4 * page);
    let file = file(&wanted);
    for offset in [0, 100, page, page + 1] {
        let mut map = unsafe { MmapOptions::new().offset(offset as u64).len(page).map(&file)? };
        let all = wanted.len() - offset;
        unsafe { map.remap(all, may_move())? };
        assert_eq!(map[..], wanted[offset..]);
        let start = map.as_ptr();
        unsafe { map.remap(10, RemapOptions::new())? };
        assert_eq!((map.as_ptr(), &map[..]), (start, &wanted[offset..offset + 10]));
    }
    // Another mapping follows the memory.
    let mut memory = MmapMut::map_anon(page)?;
    let len = 1 << 46;
    let error = unsafe { memory.remap(len, RemapOptions::new()) }.unwrap_err();
    assert_eq!((error.kind(), memory.len()), (ErrorKind::OutOfMemory, page));
    Ok(())
}

#[test]
fn a_sealed_file_is_safe() -> io::Result<()> {
    let sealed = file(&counted(100));
    let refused = Mmap::map_if_safe(&sealed).unwrap_err();
    assert!(refused.not_safe() && !refused.map_failed() && !refused.not_supported());
    assert_eq!(io::Error::from(refused).kind(), ErrorKind::InvalidInput);
    for seals in [Seals::SHRINK, Seals::WRITE] {
        assert!(Mmap::map_if_safe(&sealed).unwrap_err().not_safe());
        syscall::fcntl_add_seals(sealed.as_fd(), seals)?;
    }
    assert_eq!(Mmap::map_if_safe(&sealed)?[..], counted(100));
    let mut options = MmapOptions::new();
    assert_eq!(options.offset(40).map_if_safe(&sealed)?[..], counted(100)[40..]);
    assert!(options.len(61).map_if_safe(&sealed).unwrap_err().not_safe());
    assert_eq!(options.len(60).map_if_safe(&sealed)?.len(), 60);
    let disk = File::open("Cargo.toml")?;
    assert!(Mmap::map_if_safe(&disk).unwrap_err().not_safe());
    Ok(())
}

#[test]
fn pointers_write_through() -> io::Result<()> {
    let file = file(&[0; 100]);
    let map = MmapRaw::map_raw(&file)?;
    let read_only = MmapOptions::new().map_raw_read_only(&file)?;
    unsafe { map.as_mut_ptr().add(99).write_volatile(5) };
    assert_eq!(unsafe { read_only.as_ptr().add(99).read_volatile() }, 5);
    map.flush()?;
    map.flush_range(99, 1)?;
    let mut last = [0];
    file.read_exact_at(&mut last, 99)?;
    assert_eq!(last, [5]);
    Ok(())
}

#[cfg(target_arch = "x86_64")]
#[test]
fn code_is_executed() -> io::Result<()> {
    let mut map = MmapMut::map_anon(page_size())?;
    map[..6].copy_from_slice(&[0xb8, 0xab, 0, 0, 0, 0xc3]); // mov eax, 171; ret
    let map = map.make_exec()?;
    let function: extern "C" fn() -> u32 = unsafe { std::mem::transmute(map.as_ptr()) };
    assert_eq!(function(), 171);
    let file = file(&map[..6]);
    let map = unsafe { MmapOptions::new().map_exec(&file)? };
    let function: extern "C" fn() -> u32 = unsafe { std::mem::transmute(map.as_ptr()) };
    assert_eq!(function(), 171);
    Ok(())
}

#[test]
fn slices_of_one_map_go_to_all_threads() -> io::Result<()> {
    let map = unsafe { Mmap::map(&file(&counted(100_000)))? };
    let sums: Vec<u64> = thread::scope(|scope| {
        let threads = map.chunks(10_000);
        let sum = |chunk: &[u8]| chunk.iter().map(|&byte| u64::from(byte)).sum();
        let threads: Vec<_> = threads.map(|chunk| scope.spawn(move || sum(chunk))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let wanted: u64 = counted(100_000).into_iter().map(u64::from).sum();
    assert_eq!(sums.into_iter().sum::<u64>(), wanted);
    Ok(())
}

#[test]
fn maps_show_where_they_are() -> io::Result<()> {
    let map = MmapMut::map_anon(5)?;
    let at = map.as_ptr();
    assert_eq!(format!("{map:?}"), format!("MmapMut {{ ptr: {at:?}, len: 5 }}"));
    let map = map.make_read_only()?;
    assert_eq!(format!("{map:?}"), format!("Mmap {{ ptr: {at:?}, len: 5 }}"));
    let map = MmapRaw::from(map);
    assert_eq!(format!("{map:?}"), format!("MmapRaw {{ ptr: {at:?}, len: 5 }}"));
    Ok(())
}

#[cfg(feature = "stable_deref_trait")]
#[test]
fn owners_may_rely_on_the_address() {
    fn stable<T: stable_deref_trait::StableDeref>() {}
    stable::<Mmap>();
    stable::<MmapMut>();
}
