//! Faults because a resource is exhausted: a full disk, and no huge pages.

use std::hint::black_box;

use super::*;

#[test]
fn writes_to_a_full_disk_return_errors() {
    if let Some(dir) = again_in() {
        return on_a_full_disk(&dir);
    }
    let script = "mount -t tmpfs -o size=64k none \"$0\" || exit 99; \"$@\"";
    let unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script];
    let scratch = Scratch::new("full");
    let output = again("exhaustion::writes_to_a_full_disk_return_errors", &unshare, &scratch);
    assert!(output.status.success(), "{output:?}");
}

fn on_a_full_disk(dir: &std::path::Path) {
    const DISK: usize = 64 << 10;
    let path = dir.join("file");
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(1 << 20).unwrap(); // all of it a hole
    let mut map = map(&file);
    let bytes: Vec<u8> = (0..1 << 20).map(pattern).collect();

    let fault = map.write_at(&bytes, 10).unwrap_err();
    assert_eq!((fault.offset(), fault.errno()), (DISK as u64, Some(Errno::ENOSPC)));
    assert_eq!(fault.done(), DISK - 10);
    let mut found = vec![0; DISK];
    file.read_exact_at(&mut found, 0).unwrap();
    assert!(found[..10].iter().all(|&byte| byte == 0) && found[10..] == bytes[..DISK - 10]);
    // Data on the disk can be overwritten, and holes can be read.
    assert_eq!(map.fill(7, 0, DISK), Ok(DISK));
    assert_eq!(map.fill(7, 0, DISK + 1).unwrap_err().errno(), Some(Errno::ENOSPC));
    assert_eq!(map.read_at(&mut found, 0), Ok(DISK));

    // A part that does not begin at a page boundary faults at the same pages.
    let part = part(&file, 5000, usize::MAX);
    for fault in [part.write_at(&bytes, 0), part.fill(7, 0, DISK), map.copy_to(0, &part, 0, DISK)] {
        let _case = case!(fault);
        let fault = fault.unwrap_err();
        let missing = (DISK as u64 - 5000, DISK - 5000, Some(Errno::ENOSPC));
        assert_eq!((fault.offset(), fault.done(), fault.errno()), missing);
    }
    // SAFETY: nobody else has the file.
    let fault = unsafe { map.with_slice_mut(|bytes| bytes.fill(9)) }.unwrap_err();
    assert_eq!((fault.offset(), fault.errno()), (DISK as u64, Some(Errno::ENOSPC)));
    map.refresh().unwrap();
    assert_eq!(map.read_at(&mut found, 0), Ok(DISK));
    assert!(found.iter().all(|&byte| byte == 9));
    // A page that a map cannot show is read by another way, up to the pages that were replaced.
    assert_eq!(map.read_at(&mut found, DISK as u64), Ok(DISK));
    // SAFETY: nobody else has the file.
    let _ = unsafe { map.with_slice(|bytes| black_box(bytes[DISK + 2 * *PAGE])) };
    let fault = map.read_at(&mut found, DISK as u64 - 10).unwrap_err();
    let missing = (DISK as u64 + 2 * *PAGE as u64, 2 * *PAGE + 10, Some(Errno::ENOSPC));
    assert_eq!((fault.offset(), fault.done(), fault.errno()), missing);
    assert!(found[..10] == [9; 10] && found[10..fault.done()].iter().all(|&byte| byte == 0));
    assert_eq!(map.read_at_without_signals(&mut found, DISK as u64), Ok(DISK));
    map.refresh().unwrap();
    #[cfg(feature = "std")]
    {
        use std::io::{ErrorKind, Seek, SeekFrom, Write};
        let mut cursor = map.cursor();
        cursor.seek(SeekFrom::Start(DISK as u64 - 3)).unwrap();
        assert_eq!(cursor.write(b"hello").unwrap(), 3);
        assert_eq!(cursor.write(b"lo").unwrap_err().kind(), ErrorKind::StorageFull);
    }
}

/// Without a reservation, huge pages are taken from the pool at the first access, until none is
/// left.
#[test]
fn a_fault_without_huge_pages_is_an_error() {
    const HUGE: usize = 2 << 20;
    const PAGES: usize = 1 << 10; // more than anybody keeps ready
    let mut options = MmapOptions::new();
    let options = options.len(PAGES * HUGE).huge(Some(21)).no_reserve_swap();
    let mut memory = options.map_anon().expect("pages of 2 MiB, if only there were some");
    let start = memory.as_mut_ptr();
    // SAFETY: the map is this function's, and there is no reference to its bytes.
    let write = |page| unsafe { guard::copy(&1, start.add(page * HUGE), 1) };
    let first = (0..PAGES).find(|&page| write(page) == Err(1)).expect("they do not run out");
    println!("there were {first}");
    let number = |name| {
        let text = std::fs::read_to_string(format!("/proc/sys/vm/{name}")).unwrap();
        text.trim().parse::<usize>().unwrap()
    };
    assert!(first <= number("nr_hugepages") + number("nr_overcommit_hugepages"));
}
