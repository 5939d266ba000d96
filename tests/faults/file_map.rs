//! `FileMap` without faults.

use super::*;

#[test]
fn files_that_cannot_be_read_are_errors() {
    let scratch = Scratch::new("kinds");
    let path = scratch.file("file", contents());
    let read_only = map(&File::open(&path).unwrap());
    let fault = read_only.write_at(b"x", 5).unwrap_err();
    assert_eq!((fault.offset(), fault.done(), fault.errno()), (5, 0, Some(Errno::EBADF)));
    let mut read_only = read_only;
    // SAFETY: nobody else has the file.
    let fault = unsafe { read_only.with_slice_mut(|bytes| bytes.fill(0)) }.unwrap_err();
    assert_eq!(fault.errno(), Some(Errno::EBADF));
    assert!(read_only.set_len(0).is_err());

    let open = |file: File| {
        // SAFETY: the descriptor is given away.
        FileMap::new(unsafe { OwnedFd::from_raw_fd(file.into_raw_fd()) }).map(|map| map.len())
    };
    assert_eq!(open(File::open("/").unwrap()), Err(Errno::ENODEV));
    let write_only = File::options().write(true).open(&path).unwrap();
    assert_eq!(open(write_only), Err(Errno::EACCES));
    assert_eq!(open(File::open("/dev/null").unwrap()), Err(Errno::ENODEV));
    assert_eq!(open(File::open("/proc/self/stat").unwrap()), Err(Errno::ENODEV));
}

#[test]
fn map_range_maps_a_part_of_a_file() {
    let scratch = Scratch::new("part");
    let file = file(&scratch, &contents());
    let part = |start, len| part(&file, start, len);
    let mut some = part(*PAGE as u64 + 5, 100);
    let mut buffer = [0; 200];
    assert_eq!(some.read_at(&mut buffer, 10), Ok(90));
    assert!(buffer[..90].iter().zip(*PAGE + 15..).all(|(&byte, index)| byte == pattern(index)));
    assert_eq!(part(*SIZE as u64 - 1, 100).len(), 1);
    assert_eq!(part(*SIZE as u64 + 9, 100).len(), 0);
    file.set_len(*PAGE as u64 + 50).unwrap();
    assert_eq!(some.refresh().unwrap(), 45);
    file.set_len(1 << 20).unwrap();
    assert_eq!(some.refresh().unwrap(), 100);
}

#[test]
fn find_and_iteration_return_the_bytes_of_the_file() {
    let scratch = Scratch::new("find");
    let mut contents = vec![b'.'; 3 * *PAGE + 17];
    for index in [0, 4095, 4096, 9000, contents.len() - 1] {
        contents[index] = b'x';
    }
    let file = file(&scratch, &contents);
    let map = map(&file);
    let found: Vec<u64> =
        std::iter::successors(map.find(b'x', 0).unwrap(), |&at| map.find(b'x', at + 1).unwrap())
            .collect();
    assert_eq!(found, [0, 4095, 4096, 9000, contents.len() as u64 - 1]);
    assert_eq!(map.find(b'y', 0), Ok(None));
    assert_eq!(map.find(b'x', u64::MAX), Ok(None));

    let (mut all, mut buffer) = (Vec::new(), [0; 1000]);
    let mut chunks = map.chunks(&mut buffer, 3);
    while let Some((offset, chunk)) = chunks.next().unwrap() {
        assert_eq!(offset, 3 + all.len() as u64);
        all.extend_from_slice(chunk);
    }
    assert_eq!(all, contents[3..]);

    // The existing bytes are returned before the error.
    file.set_len(5000).unwrap();
    let (mut all, mut buffer) = (Vec::new(), [0; 1000]);
    let mut chunks = map.chunks(&mut buffer, 0);
    let fault = loop {
        match chunks.next() {
            Ok(chunk) => all.extend_from_slice(chunk.unwrap().1),
            Err(fault) => break fault,
        }
    };
    let end = 5000usize.next_multiple_of(*PAGE);
    assert_eq!((all.len(), fault.offset(), fault.done()), (end, end as u64, 0));
    assert_eq!(all[..5000], contents[..5000]);
    assert_eq!(map.find(b'x', end as u64 - 9).unwrap_err().offset(), end as u64);
}

#[cfg(feature = "std")]
#[test]
fn a_cursor_reads_writes_and_seeks() {
    use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
    let scratch = Scratch::new("cursor");
    let file = file(&scratch, b"hello, world");
    let map = map(&file);
    let mut cursor = map.cursor();
    let mut text = String::new();
    cursor.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello, world");
    assert_eq!(cursor.seek(SeekFrom::Current(-5)).unwrap(), 7);
    cursor.write_all(b"there").unwrap();
    assert_eq!(cursor.write(b"!").unwrap(), 0);
    assert_eq!(cursor.seek(SeekFrom::End(-12)).unwrap(), 0);
    assert_eq!(cursor.seek(SeekFrom::End(-13)).unwrap_err().kind(), ErrorKind::InvalidInput);
    cursor.flush().unwrap();
    assert_eq!(std::fs::read(scratch.path("file")).unwrap(), b"hello, there");
    file.set_len(0).unwrap();
    assert_eq!(cursor.read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}
