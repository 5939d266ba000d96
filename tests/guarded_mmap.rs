//! The map that is a slice for its whole life: what it shows, checks and shares, alone and beside
//! ten thousand others.

#[path = "common/child.rs"]
mod child;
mod common;

use std::{
    fs::File,
    hint::black_box,
    os::unix::fs::FileExt,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use baremap::{
    fd::BorrowedFd,
    map::{Fault, FileMap, GuardedMmap},
    syscall::{self, Errno, Resource, Rlimit, WaitStatus, page_size},
};
use common::Scratch;

/// Maps a file, whichever descriptors the library has.
fn file_map(file: &File) -> FileMap {
    use std::os::fd::AsRawFd;
    // SAFETY: the file stays open during the call.
    FileMap::new(unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }).unwrap()
}

fn guarded(file: &File) -> GuardedMmap {
    // SAFETY: the tests change the file only by truncating it to whole pages, or while no slice of
    // the map is borrowed.
    unsafe { GuardedMmap::new(file_map(file)) }.unwrap()
}

fn create(scratch: &Scratch, name: &str, contents: &[u8]) -> File {
    let path = scratch.file(name, contents);
    File::options().read(true).write(true).open(path).unwrap()
}

const PAGES: usize = 5;

fn contents() -> Vec<u8> {
    (0..PAGES * page_size() - 100).map(|index| (index % 255) as u8 + 1).collect()
}

#[test]
fn it_is_the_slice_of_the_file() {
    let scratch = Scratch::new("guarded-slice");
    let contents = contents();
    let map = guarded(&create(&scratch, "file", &contents));
    assert_eq!(*map, *contents);
    assert_eq!(map.as_ref(), contents);
    assert_eq!(map.check(), Ok(()));
    let empty = guarded(&create(&scratch, "empty", b""));
    assert_eq!((empty.len(), empty.check()), (0, Ok(())));
}

#[test]
fn its_type_is_what_adopters_need() {
    fn needs<T: AsRef<[u8]> + Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    needs::<GuardedMmap>();
    #[cfg(feature = "stable_deref_trait")]
    {
        fn stable<T: stable_deref_trait::CloneStableDeref>() {}
        stable::<GuardedMmap>();
    }
}

#[test]
fn a_truncation_is_a_fault_in_all_clones_until_a_refresh() {
    let scratch = Scratch::new("guarded-truncated");
    let contents = contents();
    let file = create(&scratch, "file", &contents);
    let mut map = guarded(&file);
    let clone = map.clone();
    assert_eq!(map.as_ptr(), clone.as_ptr());
    file.set_len(2 * page_size() as u64).unwrap();
    assert_eq!(map[..2 * page_size()], contents[..2 * page_size()]);
    assert_eq!(clone.check(), Ok(()), "no missing page was read");

    assert!(map[3 * page_size()..].iter().all(|&byte| byte == 0));
    let fault = |map: &GuardedMmap| map.check().map_err(|fault| (fault.offset(), fault.errno()));
    let missing = Err((3 * page_size() as u64, None));
    assert_eq!((fault(&map), fault(&clone)), (missing, missing));
    assert_eq!(black_box(map[2 * page_size()]), 0);
    assert_eq!(fault(&clone), Err((2 * page_size() as u64, None)));
    assert_eq!(map[..2 * page_size()], contents[..2 * page_size()]);

    file.write_all_at(&contents, 0).unwrap();
    assert_eq!(map.refresh(), Ok(contents.len()));
    assert_eq!((map.check(), &map[..]), (Ok(()), &contents[..]));
    assert!(clone.check().is_err(), "the old mapping still has zero pages");
    drop(clone);
    assert_eq!((map.check(), &map[..]), (Ok(()), &contents[..]));
}

#[test]
fn a_part_of_a_file_counts_offsets_from_its_beginning() {
    use std::os::fd::AsRawFd;
    let scratch = Scratch::new("guarded-part");
    let file = create(&scratch, "file", &contents());
    // SAFETY: the file stays open during the call.
    let fd = unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) };
    let part = FileMap::map_range(fd, page_size() as u64 - 96, 200).unwrap();
    // SAFETY: the file changes only by a truncation to a whole page.
    let map = unsafe { GuardedMmap::new(part) }.unwrap();
    file.set_len(page_size() as u64).unwrap();
    assert_eq!(map.iter().filter(|&&byte| byte == 0).count(), 104);
    let fault = map.check().unwrap_err();
    assert_eq!((fault.offset(), fault.done(), fault.errno()), (96, 96, None));
}

#[test]
fn the_last_clone_gives_the_map_back() {
    let scratch = Scratch::new("guarded-unwrap");
    let file = create(&scratch, "file", &contents());
    let map = guarded(&file);
    let clone = map.clone();
    let map = map.try_unwrap().unwrap_err();
    drop(clone);
    let map = map.try_unwrap().unwrap();
    assert_eq!(map.read_at(&mut [0; 10], 0), Ok(10));
    // SAFETY: nobody changes the file.
    let again = unsafe { GuardedMmap::new(map) }.unwrap();
    assert_eq!(*again, *contents());
}

#[test]
fn a_map_with_a_missing_page_is_given_back() {
    let scratch = Scratch::new("guarded-missing");
    let file = create(&scratch, "file", &contents());
    let map = file_map(&file);
    // SAFETY: the file changes only by a truncation to a whole page.
    let slice = unsafe {
        map.with_slice(|bytes| {
            assert_eq!(map.check(), Ok(()));
            file.set_len(0).unwrap();
            let byte = black_box(bytes[0]);
            (byte, map.check().map_err(|fault| fault.offset()))
        })
    };
    assert_eq!((slice.is_err(), map.check().map_err(|fault| fault.offset())), (true, Err(0)));
    // SAFETY: the file does not change.
    let error = unsafe { GuardedMmap::new(map) }.unwrap_err();
    assert_eq!(error.errno(), Errno::EFAULT);
    let mut map = error.into_inner();
    assert_eq!(map.refresh(), Ok(0));
}

/// A child of `fork` has the map; what gets lost in one process is not lost in the other.
#[test]
fn a_child_has_the_map() {
    let scratch = Scratch::new("guarded-fork");
    let file = create(&scratch, "file", &contents());
    let map = guarded(&file);
    let status = child::child(|| {
        let before = map[0];
        let truncated = file.set_len(0);
        i32::from(before == 1 && truncated.is_ok() && map[0] == 0 && map.check().is_err())
    });
    assert_eq!(status, WaitStatus::Exited(1));
    assert_eq!(map.check(), Ok(()));
    assert_eq!((black_box(map[0]), map.check().is_err()), (0, true));
}

/// Sixteen threads read ten thousand maps, whose files are truncated meanwhile, and drop and make
/// maps. Each byte is that of the file, or a zero that `check` reports.
#[test]
fn a_storm_of_faults_over_ten_thousand_maps() {
    const MAPS: usize = 10_000;
    const FILES: usize = 500;
    const THREADS: usize = 16;
    let scratch = Scratch::new("guarded-storm");
    let size = 3 * page_size();
    let contents = vec![7; size];
    let files: Vec<File> =
        (0..FILES).map(|index| create(&scratch, &index.to_string(), &contents)).collect();
    let limit = syscall::prlimit(0, Resource::NOFILE, None).unwrap();
    assert!(limit.maximum >= 11_000, "needs a hard limit of 11,000 descriptors (ulimit -Hn)");
    let raised = Rlimit { current: limit.maximum, ..limit };
    syscall::prlimit(0, Resource::NOFILE, Some(raised)).unwrap();
    let maps: Vec<GuardedMmap> = (0..MAPS).map(|index| guarded(&files[index % FILES])).collect();
    let (wrong, faults, intact) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let barrier = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (maps, files, barrier) = (&maps, &files, &barrier);
            let (wrong, faults, intact) = (&wrong, &faults, &intact);
            scope.spawn(move || {
                barrier.wait();
                for step in 0..MAPS {
                    // Every thread goes through all maps, in an order of its own.
                    let index = (step * (2 * number + 1) * 7 + number * 613) % MAPS;
                    let map = &maps[index];
                    let mut is_lost = false;
                    for page in [2, 0, 1] {
                        let byte = black_box(map[page * page_size() + number]);
                        let lost = map.check();
                        is_lost |= lost.is_err();
                        let is_right = match byte {
                            7 => true,
                            0 => lost.is_err_and(|fault: Fault| fault.errno().is_none()),
                            _ => false,
                        };
                        wrong.fetch_add(usize::from(!is_right), SeqCst);
                    }
                    let count = if is_lost { faults } else { intact };
                    count.fetch_add(1, SeqCst);
                    if step % 64 == 0 {
                        // Maps come and go beside it.
                        let map = file_map(&files[index % FILES]);
                        // SAFETY: the file changes only by truncations to whole pages.
                        let slice =
                            unsafe { map.with_slice(|bytes| bytes.iter().all(|&b| b == 7)) };
                        wrong.fetch_add(usize::from(slice == Ok(false)), SeqCst);
                    }
                }
            });
        }
        barrier.wait();
        for (index, file) in files.iter().enumerate() {
            file.set_len((index % 3 * page_size()) as u64).unwrap();
        }
    });
    assert_eq!(wrong.into_inner(), 0);
    // All files were truncated in the end: each map has a page that is missing.
    assert!(maps.iter().all(|map| black_box(map[2 * page_size()]) == 0 && map.check().is_err()));
    println!("{faults:?} reads with a fault, {intact:?} without");
}
