//! Slices whose faults are errors.

use super::*;

/// More nested slices than the handler's first table has room for.
#[test]
fn many_nested_slices_report_their_own_faults() {
    let scratch = Scratch::new("many");
    let contents = contents();
    let file = file(&scratch, &contents);
    let maps: Vec<FileMap> = (0..100).map(|_| map(&file)).collect();
    fn nest(maps: &[FileMap], then: &dyn Fn()) -> usize {
        let Some((map, rest)) = maps.split_first() else {
            then();
            return 0;
        };
        // SAFETY: nobody writes, and truncation is by a whole page.
        let result = unsafe {
            map.with_slice(|bytes| {
                let faults = nest(rest, then);
                std::hint::black_box(bytes[2 * *PAGE]);
                faults
            })
        };
        // The result is lost with the fault, so the number of slices is counted otherwise.
        result.map_or_else(
            |fault| {
                assert_eq!(fault.offset(), *PAGE as u64 * 2);
                1
            },
            |_| 0,
        )
    }
    assert_eq!(nest(&maps, &|| file.set_len(*PAGE as u64).unwrap()), 1);
    let mut byte = [0];
    for map in &maps {
        assert!(map.read_at(&mut byte, 2 * *PAGE as u64).is_err());
        assert_eq!(map.read_at(&mut byte, 1), Ok(1));
    }
}

#[test]
fn a_panic_in_a_slice_ends_the_watch() {
    let scratch = Scratch::new("panic");
    let file = file(&scratch, &contents());
    let map = map(&file);
    for _ in 0..100 {
        // SAFETY: nobody writes.
        let caught = std::panic::catch_unwind(|| unsafe {
            map.with_slice(|bytes| std::panic::resume_unwind(Box::new(bytes[0])))
        });
        assert_eq!(
            caught.map(|_: Result<(), _>| ()).unwrap_err().downcast_ref(),
            Some(&pattern(0))
        );
    }
    // SAFETY: nobody writes.
    assert_eq!(unsafe { map.with_slice(<[u8]>::len) }, Ok(*SIZE));
}

/// A map that does not begin at a page boundary reports a lost page, and no zero byte of the file.
#[test]
fn a_slice_of_a_part_reports_lost_pages() {
    let scratch = Scratch::new("part");
    let file = file(&scratch, &contents());
    let fd = file.try_clone().unwrap().into_raw_fd();
    // SAFETY: cloned for this alone.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let map = FileMap::map_range(fd, *PAGE as u64 - 96, 200).unwrap();
    // SAFETY: nobody writes, and truncation is by a whole page.
    let result = unsafe {
        map.with_slice(|bytes| {
            file.set_len(*PAGE as u64).unwrap();
            bytes.iter().filter(|&&byte| byte == 0).count()
        })
    };
    let fault = result.unwrap_err();
    assert_eq!((fault.offset(), fault.done(), fault.errno()), (96, 96, None));
    let mut buffer = [0; 200];
    assert_eq!(map.read_at(&mut buffer, 0).unwrap_err().done(), 96);
    assert_eq!(map.read_at(&mut buffer, 100).unwrap_err().done(), 0);
    assert_eq!(map.read_at(&mut buffer[..96], 0), Ok(96));
}

/// A second fault, at a lower offset, keeps what was written between the two.
#[test]
fn two_faults_in_a_mutable_slice_keep_other_writes() {
    let scratch = Scratch::new("halves");
    let file = file(&scratch, &contents());
    let mut map = map(&file);
    // SAFETY: nobody else has the file.
    let result = unsafe {
        map.with_slice_mut(|bytes| {
            file.set_len(0).unwrap();
            let (low, high) = bytes.split_at_mut(2 * *PAGE);
            high[5] = 42;
            thread::scope(|scope| {
                scope.spawn(|| low[0] = 1);
            });
            assert_eq!((high[5], low[0], high[6], low[1]), (42, 1, 0, 0));
        })
    };
    assert_eq!(result.unwrap_err().offset(), 0);
}

/// A sealed file in memory can be read.
#[test]
fn a_sealed_file_can_be_mapped() {
    let fd = syscall::memfd_create(c"sealed", MemfdFlags::ALLOW_SEALING).unwrap();
    syscall::pwrite(fd.as_fd(), b"hello", 0).unwrap();
    syscall::fcntl_add_seals(fd.as_fd(), Seals::SHRINK | Seals::WRITE).unwrap();
    let map = FileMap::new(fd).unwrap();
    let mut buffer = [0; 9];
    assert_eq!((map.read_at(&mut buffer, 0), &buffer[..5]), (Ok(5), &b"hello"[..]));
    assert_eq!(map.write_at(b"x", 0).unwrap_err().errno(), Some(Errno::EBADF));
}

#[test]
fn a_child_can_read_its_parents_map() {
    let scratch = Scratch::new("advice");
    let map = map(&file(&scratch, b"hello"));
    assert_eq!(map.advise(Advice::DontFork), Err(Errno::EINVAL));
    map.advise(Advice::WillNeed).unwrap();
}
