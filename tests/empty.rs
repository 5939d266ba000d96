//! Empty maps: they grow with their file, as those of memmap2 do, and keep their protection.
//! memmap2 is the oracle.

#[path = "common/case.rs"]
mod case;
#[path = "common/child.rs"]
mod child;
#[path = "common/kernel.rs"]
mod kernel;

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, RawFd},
        unix::fs::{FileExt, MetadataExt},
    },
};

use baremap::{
    Mmap, MmapMut, MmapOptions, MmapRaw, RemapOptions,
    fd::{AsFd, IntoRawFd},
    map::{Placed, Reservation, Ring},
    syscall::{self, Errno, MemfdFlags, Mode, OFlags, page_size},
};
use case::case;
use child::{Failure, check, in_child};
use kernel::{errno, mapping};

const MAY_MOVE: RemapOptions = RemapOptions::new().may_move(true);

fn memfd(contents: &[u8]) -> File {
    let fd = syscall::memfd_create(c"empty", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING);
    // SAFETY: the descriptor is given away.
    let file = unsafe { File::from_raw_fd(fd.unwrap().into_raw_fd()) };
    file.write_all_at(contents, 0).unwrap();
    file
}

fn fd(file: &File) -> RawFd {
    file.as_raw_fd()
}

/// Returns the protection and the sharing of the mapping at an address, such as `rw-s`.
fn flags(at: *const u8) -> String {
    let lines = mapping(at).expect("mapped");
    lines.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn memory_grows_from_nothing_and_back() {
    let mut map = MmapMut::map_anon(0).unwrap();
    for _ in 0..3 {
        assert!(map.is_empty());
        // SAFETY: memory, to which nothing points.
        unsafe { map.remap(10_000, MAY_MOVE) }.unwrap();
        assert_eq!(map.len(), 10_000);
        assert!(map.iter().all(|&byte| byte == 0));
        map.fill(7);
        // SAFETY: as above.
        unsafe { map.remap(0, MAY_MOVE) }.unwrap();
        // SAFETY: as above.
        unsafe { map.remap(0, RemapOptions::new()) }.unwrap();
        // SAFETY: as above.
        unsafe { map.remap(10, MAY_MOVE) }.unwrap();
        assert_eq!(map[..], [7; 10], "the first page is kept");
        map = MmapMut::map_anon(0).unwrap();
    }
}

/// Each kind of map of an empty file grows when the file has been extended.
#[test]
fn an_empty_file_grows() {
    let wanted: Vec<u8> = (0..9_000).map(|index| (index % 251) as u8).collect();
    macro_rules! grows {
        ($($how:ident $flags:literal,)*) => {$(
            let file = memfd(b"");
            // SAFETY: nobody else has the file.
            #[allow(unused_unsafe, reason = "those by pointers are safe")]
            let mut map = unsafe { MmapOptions::new().$how(fd(&file)) }.unwrap();
            let oracle = memfd(b"");
            // SAFETY: as above.
            #[allow(unused_unsafe, reason = "those by pointers are safe")]
            let mut theirs = unsafe { memmap2::MmapOptions::new().$how(&oracle) }.unwrap();
            assert_eq!((map.len(), theirs.len()), (0, 0));
            file.write_all_at(&wanted, 0).unwrap();
            oracle.write_all_at(&wanted, 0).unwrap();
            // The map does not need the descriptor.
            drop((file, oracle));
            let options = memmap2::RemapOptions::new().may_move(true);
            // SAFETY: nothing points into them, and the files are as long.
            unsafe {
                map.remap(wanted.len(), MAY_MOVE).unwrap();
                theirs.remap(wanted.len(), options).unwrap();
            }
            let [ours, theirs] = [(map.as_ptr(), map.len()), (theirs.as_ptr(), theirs.len())]
                // SAFETY: mapped so long.
                .map(|(start, len)| unsafe { std::slice::from_raw_parts(start, len) });
            assert_eq!(ours, wanted, stringify!($how));
            assert_eq!(theirs, wanted, stringify!($how));
            assert_eq!(flags(ours.as_ptr()), $flags, stringify!($how));
            assert_eq!(flags(theirs.as_ptr()), $flags, stringify!($how));
        )*};
    }
    grows! {
        map "r--s",
        map_exec "r-xs",
        map_mut "rw-s",
        map_copy "rw-p",
        map_copy_read_only "r--p",
        map_raw "rw-s",
        map_raw_read_only "r--s",
    }
}

#[test]
fn a_map_from_the_end_of_a_file_grows() {
    for before in [1, 100, page_size(), page_size() + 1] {
        let _case = case!(before);
        let file = memfd(&vec![1; before]);
        // SAFETY: nobody else has the file.
        let mut map =
            unsafe { MmapOptions::new().offset(before as u64).map_mut(fd(&file)) }.unwrap();
        assert!(map.is_empty());
        file.set_len(2 * before as u64 + 5).unwrap();
        // SAFETY: nothing points into it.
        unsafe { map.remap(before + 5, MAY_MOVE) }.unwrap();
        map.fill(9);
        let mut all = vec![0; 2 * before + 5];
        file.read_exact_at(&mut all, 0).unwrap();
        assert_eq!(all[..before], vec![1; before]);
        assert_eq!(all[before..], vec![9; before + 5]);
        // The map shrinks, and grows again.
        for len in [0, 3, 0, before + 5] {
            let _case = case!(len);
            // SAFETY: nothing points into it.
            unsafe { map.remap(len, MAY_MOVE) }.unwrap();
            assert_eq!(map[..], vec![9; len]);
        }
    }
}

/// A requested length of zero also makes a map of the file.
#[test]
fn a_length_of_zero_grows() {
    let file = memfd(b"hello");
    // SAFETY: nobody else has the file.
    let mut map = unsafe { MmapOptions::new().len(0).map(fd(&file)) }.unwrap();
    assert!(map.is_empty());
    // SAFETY: nothing points into it.
    unsafe { map.remap(5, MAY_MOVE) }.unwrap();
    assert_eq!(map[..], *b"hello");
}

/// A conversion of an empty map applies to the bytes that the map gets later.
#[test]
fn conversions_of_nothing_are_kept() {
    let file = memfd(b"");
    // SAFETY: nobody else has the file.
    let map = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
    let mut map = map.make_read_only().unwrap();
    file.set_len(9).unwrap();
    // SAFETY: nothing points into it.
    unsafe { map.remap(9, MAY_MOVE) }.unwrap();
    assert_eq!(flags(map.as_ptr()), "r--s");
    // SAFETY: as above.
    unsafe { map.remap(0, MAY_MOVE) }.unwrap();
    let mut map = map.make_mut().unwrap();
    // SAFETY: as above.
    unsafe { map.remap(9, MAY_MOVE) }.unwrap();
    map.fill(1);

    // A file that is not open for writing cannot be written to by an empty map either.
    let file = memfd(b"");
    let read_only = File::open(format!("/proc/self/fd/{}", fd(&file))).unwrap();
    // SAFETY: nobody else has the file.
    let map = unsafe { Mmap::map(fd(&read_only)) }.unwrap();
    assert_eq!(map.make_mut().map(drop).map_err(errno), Err(Errno::EACCES));
    // SAFETY: as above.
    let theirs = unsafe { memmap2::Mmap::map(&read_only) }.unwrap();
    assert_eq!(theirs.make_mut().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

/// A file that cannot be mapped is rejected with a length of zero as with any other length.
#[test]
fn empty_maps_of_unmappable_files_are_rejected() {
    let (reader, _writer) = io::pipe().unwrap();
    for (file, wanted) in [(reader.as_raw_fd(), Errno::ENODEV), (i32::MAX, Errno::EBADF)] {
        let _case = case!(file, wanted);
        // SAFETY: nothing is mapped.
        let ours = unsafe { MmapOptions::new().len(0).map(file) };
        assert_eq!(ours.map(drop), Err(wanted));
        // SAFETY: as above.
        let theirs = unsafe { memmap2::MmapOptions::new().len(0).map(file) };
        assert_eq!(theirs.unwrap_err().raw_os_error(), Some(wanted.number().into()));
    }
    let zeros = File::open("/dev/zero").unwrap();
    // SAFETY: the device has zeros for ever.
    let mut map = unsafe { MmapOptions::new().len(0).map_copy(fd(&zeros)) }.unwrap();
    // SAFETY: nothing points into it.
    unsafe { map.remap(5, MAY_MOVE) }.unwrap();
    assert_eq!(map[..], [0; 5]);
}

/// Reads `/proc/self/maps` without allocating.
fn read_maps(buffer: &mut [u8]) -> syscall::Result<&[u8]> {
    let maps = syscall::open(c"/proc/self/maps", OFlags::RDONLY, Mode::empty())?;
    let mut len = 0;
    loop {
        match syscall::read(maps.as_fd(), &mut buffer[len..])? {
            0 => return Ok(&buffer[..len]),
            count => len += count,
        }
    }
}

/// An empty map is unmapped together with the value that owns it, whatever it was converted to.
#[test]
fn no_mapping_is_left() {
    let file = memfd(b"");
    let inode = format!(" {} ", file.metadata().unwrap().ino());
    let mut buffer = vec![0; 1 << 20];
    // In a child, in which no other test maps anything.
    in_child(|| {
        // SAFETY: nobody else has the file.
        let map = || unsafe { MmapMut::map_mut(fd(&file)) };
        drop(MmapRaw::from(map()?));
        drop(map()?.make_read_only()?.make_mut()?);
        check!(map()?.seal()?.is_empty());
        check!(map()?.make_read_only()?.seal()?.is_empty());
        let mut reservation = Reservation::new(page_size())?;
        drop(Placed::new(map()?, &mut reservation, 0)?);
        let mut twice = map()?;
        // SAFETY: nothing points into it.
        unsafe { twice.remap(0, MAY_MOVE)? };
        drop(twice);
        let text = read_maps(&mut buffer)?;
        check!(!text.windows(inode.len()).any(|part| part == inode.as_bytes()));
        drop(Ring::new(0)?);
        let mut lines = || {
            read_maps(&mut buffer).map(|text| text.iter().filter(|&&byte| byte == b'\n').count())
        };
        let before = lines()?;
        for _ in 0..10 {
            drop(Ring::new(0)?);
        }
        check!(lines()? == before);
        Ok(())
    });
}

/// Huge pages do not grow (mremap(2): `EINVAL`), and an empty map of them has no mapping.
#[test]
fn an_empty_map_of_huge_pages_has_no_mapping() {
    let mut map = MmapOptions::new().huge(None).populate().map_anon().unwrap();
    assert!(map.is_empty() && mapping(map.as_ptr()).is_none());
    // SAFETY: nothing points into it.
    unsafe { map.remap(0, MAY_MOVE) }.unwrap();
    // SAFETY: as above.
    let error = unsafe { map.remap(1, MAY_MOVE) }.unwrap_err();
    assert_eq!(errno(error), Errno::EINVAL);
    assert!(map.make_read_only().unwrap().make_mut().unwrap().seal().unwrap().is_empty());
}
