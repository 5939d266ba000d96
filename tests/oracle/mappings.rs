//! `MmapOptions` against memmap2.

use super::*;

/// Converts an error that came from the kernel.
fn of_memmap2<T>(result: std::io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| Errno::new(error.raw_os_error().unwrap() as u16))
}

/// The results of both libraries.
type Both = (Result<baremap::map::MmapRaw, Errno>, std::io::Result<memmap2::MmapRaw>);

fn both_ways(file: &File, offset: u64, len: Option<usize>) -> Both {
    let (mut ours, mut oracle) = (MmapOptions::new(), memmap2::MmapOptions::new());
    ours.offset(offset);
    oracle.offset(offset);
    if let Some(len) = len {
        ours.len(len);
        oracle.len(len);
    }
    (ours.map_raw_read_only(number(file)), oracle.map_raw_read_only(file))
}

#[test]
fn maps_have_the_same_contents_as_memmap2s() {
    let scratch = Scratch::new("map");
    let page = page();
    let contents: Vec<u8> =
        (0..3 * page + 100).map(|index| (index * 7 + index / 251) as u8).collect();
    let file = scratch.open_file("file", &contents);
    let table = [
        (0, None),
        (page, None),
        (3 * page, None),
        (0, Some(1)),
        (0, Some(page)),
        (page, Some(page + 1)),
        (2 * page, Some(page + 100)),
        // These offsets are not page-aligned.
        (1, None),
        (page + 5, Some(page)),
        (3 * page + 99, None),
        // A length past the end of the file reaches to the end of its last page.
        (3 * page, Some(page)),
    ];
    for (offset, len) in table {
        let _case = case!(offset, len);
        let (ours, oracle) = both_ways(&file, offset as u64, len);
        let (ours, oracle) = (ours.unwrap(), oracle.unwrap());
        assert_eq!(ours.len(), oracle.len(), "{offset}, {len:?}");
        assert!(!ours.is_empty());
        assert_eq!(ours.as_ptr() as usize % page, offset % page);
        // SAFETY: nobody writes to the file, and it is as long as that.
        let [ours, oracle] = [ours.as_ptr(), oracle.as_ptr()]
            .map(|at| unsafe { std::slice::from_raw_parts(at, ours.len()) });
        assert!(ours == oracle, "{offset}, {len:?}");
        let rest = &contents[offset..];
        assert!(ours.iter().zip(rest).all(|(a, b)| a == b), "{offset}, {len:?}");
    }
}

#[test]
fn a_map_of_zero_bytes_is_empty() {
    let scratch = Scratch::new("nothing");
    let (full, empty) =
        (scratch.open_file("full", vec![1; page()]), scratch.open_file("empty", ""));
    for (file, offset, len) in
        [(&full, 0, Some(0)), (&full, page(), None), (&empty, 0, None), (&empty, 0, Some(0))]
    {
        // Versions of memmap2 differ in this case, so only the library's result is checked.
        let ours = both_ways(file, offset as u64, len).0.unwrap();
        assert_eq!((ours.len(), ours.is_empty()), (0, true));
        assert!(!ours.as_ptr().is_null());
    }
    let ours = MmapOptions::new().map_raw(lend(number(&empty))).unwrap();
    assert!(ours.is_empty() && ours.as_mut_ptr().cast_const() == ours.as_ptr());
}

#[test]
fn mapping_fails_with_the_same_errors_as_memmap2() {
    let files = Files::new("map-refused");
    let far = 1_u64 << 63;
    let table = [
        ("write-only", Errno::EACCES, &files.write, 0, Some(1)),
        ("directory", Errno::ENODEV, &files.dir, 0, Some(1)),
        ("device", Errno::ENODEV, &files.null, 0, Some(1)),
        ("path only", Errno::EBADF, &files.path, 0, Some(1)),
        ("the longest", Errno::ENOMEM, &files.read, 0, Some(isize::MAX as usize)),
        ("offset 2^63", Errno::EOVERFLOW, &files.read, far, Some(1)),
    ];
    for (case, errno, file, offset, len) in table {
        let (ours, oracle) = both_ways(file, offset, len);
        assert_eq!(ours.map(drop), Err(errno), "{case}");
        assert_eq!(of_memmap2(oracle).map(drop), Err(errno), "the oracle: {case}");
    }
    let ours = MmapOptions::new().map_raw(number(&files.read));
    assert_eq!(ours.map(drop), Err(Errno::EACCES), "writable of read-only");
    let oracle = memmap2::MmapOptions::new().map_raw(&files.read);
    assert_eq!(of_memmap2(oracle).map(drop), Err(Errno::EACCES));
    let ours = MmapOptions::new().map_raw_read_only(BAD);
    assert_eq!(ours.map(drop), Err(Errno::EBADF));

    // Both reject an offset past the end, but the error of memmap2 does not come from the kernel.
    let (ours, oracle) = both_ways(&files.read, page() as u64, None);
    assert_eq!(ours.map(drop), Err(Errno::EINVAL));
    assert_eq!(oracle.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    let longer = (isize::MAX as usize) + 1;
    for len in [longer, usize::MAX] {
        let ours = MmapOptions::new().len(len).map_raw_read_only(number(&files.read));
        assert_eq!(ours.map(drop), Err(Errno::EOVERFLOW), "{len}");
    }
}

#[test]
fn writes_to_a_map_reach_the_file_and_memmap2s_map() {
    let scratch = Scratch::new("written");
    let file = scratch.open_file("file", vec![0; 2 * page()]);
    let offset = page() as u64;
    let ours = MmapOptions::new().offset(offset).map_raw(lend(number(&file))).unwrap();
    let oracle = memmap2::MmapOptions::new().map_raw(&file).unwrap();
    // The mapping does not need the descriptor.
    drop(file);
    // SAFETY: no reference to the memory is made.
    unsafe {
        ours.as_mut_ptr().add(5).write_volatile(b'o');
        oracle.as_mut_ptr().add(page() + 6).write_volatile(b'k');
        assert_eq!(oracle.as_ptr().add(page() + 5).read_volatile(), b'o');
        assert_eq!(ours.as_ptr().add(6).read_volatile(), b'k');
    }
    assert_eq!(&fs::read(scratch.path("file")).unwrap()[page() + 5..][..2], b"ok");
}

#[test]
fn dropping_a_map_unmaps_it() {
    let file = memfd("mapped", 2 * page() as u64);
    let fd = lend(number(&file));
    // In a child, in which no other thread maps anything at the address.
    in_child(|| {
        let map = MmapOptions::new().map_raw_read_only(fd)?;
        let mapped = |at: *const u8| {
            // SAFETY: room for two pages.
            let result = unsafe { sc::syscall!(MINCORE, at, 2 * page(), [0_u8; 2].as_mut_ptr()) };
            outcome(result)
        };
        let at = map.as_ptr();
        check!(mapped(at) == Ok(0));
        drop(map);
        check!(mapped(at) == Err(Errno::ENOMEM));
        check!(mapped(at.wrapping_add(page())) == Err(Errno::ENOMEM));
        Ok(())
    });
}
