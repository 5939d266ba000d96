//! Files that others cut off while they are mapped, disks that are full, and whose signals
//! they are: in a program with a standard library and its threads.

mod common;

use std::{
    fs::File,
    os::{
        fd::IntoRawFd,
        unix::{fs::FileExt, process::ExitStatusExt},
    },
    sync::{
        Barrier, LazyLock,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use baremap::{
    Advice,
    fd::{AsFd, FromRawFd, OwnedFd},
    map::{Fault, FileMap, MmapOptions, guard},
    syscall::{self, Errno, MemfdFlags, Seals, Signal, page_size},
};
use common::{
    Scratch,
    again::{again, again_in},
};

/// The map of a file, whichever descriptors the library has.
fn map(file: &File) -> FileMap {
    part(file, 0, usize::MAX)
}

fn part(file: &File, start: u64, len: usize) -> FileMap {
    let file = file.try_clone().unwrap().into_raw_fd();
    // SAFETY: cloned for this alone.
    FileMap::map_range(unsafe { OwnedFd::from_raw_fd(file) }, start, len).unwrap()
}

/// The size of a page.
static PAGE: LazyLock<usize> = LazyLock::new(page_size);
const PAGES: usize = 5;
static SIZE: LazyLock<usize> = LazyLock::new(|| PAGES * *PAGE - 100);

/// What stands at each place: never zero.
fn pattern(index: usize) -> u8 {
    (index % 255) as u8 + 1
}

fn contents() -> Vec<u8> {
    (0..*SIZE).map(pattern).collect()
}

fn file(scratch: &Scratch, contents: &[u8]) -> File {
    let path = scratch.file("file", contents);
    File::options().read(true).write(true).open(path).unwrap()
}

/// Numbers that are all over the place.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % end
    }
}

/// Reads while another thread makes the file so long, and whole again, ten thousand times.
fn reads_while_truncated(to: usize, threads: usize) {
    const TIMES: usize = 10_000;
    let scratch = Scratch::new("truncated");
    let contents = contents();
    let file = file(&scratch, &contents);
    let map = map(&file);
    assert_eq!(map.len(), *SIZE);
    let (stop, whole, cut) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));

    thread::scope(|scope| {
        for number in 0..threads {
            let (map, stop, whole, cut) = (&map, &stop, &whole, &cut);
            scope.spawn(move || {
                let mut random = Random(number as u64);
                let mut buffer = vec![0xee; *SIZE];
                while !stop.load(SeqCst) {
                    let start = random.below(*SIZE);
                    let wanted = 1 + random.below(*SIZE - start);
                    let there = match map.read_at(&mut buffer[..wanted], start as u64) {
                        Ok(count) => {
                            assert_eq!(count, wanted);
                            whole.fetch_add(1, SeqCst);
                            count
                        }
                        Err(fault) => {
                            assert_eq!(fault.offset(), (start + fault.done()) as u64);
                            assert!(fault.done() < wanted);
                            // All that is before the new end is there at all times.
                            assert!(fault.offset() as usize >= to, "{fault:?}");
                            assert_eq!(fault.errno(), None);
                            cut.fetch_add(1, SeqCst);
                            fault.done()
                        }
                    };
                    for (index, &byte) in (start..).zip(&buffer[..there]) {
                        let empty = index >= to && byte == 0;
                        assert!(byte == pattern(index) || empty, "{byte} at {index}");
                    }
                    assert!(buffer[there..wanted].iter().all(|&byte| byte == 0xee), "too many");
                    buffer[..wanted].fill(0xee);
                }
            });
        }
        let mut times = 0;
        // On a busy machine the readers may need more of them to see it.
        while times < TIMES || whole.load(SeqCst) == 0 || cut.load(SeqCst) == 0 {
            file.set_len(to as u64).unwrap();
            if times % 16 == 0 {
                thread::yield_now();
            }
            file.write_all_at(&contents[to..], to as u64).unwrap();
            times += 1;
            assert!(times < 100 * TIMES, "whole: {whole:?}, cut off: {cut:?}");
        }
        stop.store(true, SeqCst);
    });
}

#[test]
fn reads_while_truncated_to_nothing() {
    for threads in [1, 2, 8] {
        reads_while_truncated(0, threads);
    }
}

#[test]
fn reads_while_truncated_in_a_page() {
    for threads in [1, 2, 8] {
        reads_while_truncated(2 * *PAGE + 1000, threads);
    }
}

#[test]
fn reads_while_truncated_between_pages() {
    for threads in [1, 2, 8] {
        reads_while_truncated(3 * *PAGE, threads);
    }
}

/// Threads that go through one slice while the file becomes shorter under them.
#[test]
fn slices_while_truncated() {
    for threads in [1, 2, 8] {
        let scratch = Scratch::new("slices");
        let contents = contents();
        let file = file(&scratch, &contents);
        let mut map = map(&file);
        let (mut whole, mut cut) = (0, 0);
        for time in 0..500 {
            let to = time % (PAGES + 1) * *PAGE;
            let barrier = Barrier::new(threads + 1);
            let results: Vec<Result<usize, Fault>> = thread::scope(|scope| {
                let readers: Vec<_> = (0..threads)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            // SAFETY: nobody writes meanwhile; truncation is by whole pages.
                            unsafe {
                                map.with_slice(|bytes| {
                                    bytes
                                        .iter()
                                        .enumerate()
                                        .filter(|&(i, &b)| b != pattern(i))
                                        .count()
                                })
                            }
                        })
                    })
                    .collect();
                barrier.wait();
                if to < *SIZE {
                    file.set_len(to as u64).unwrap();
                }
                readers.into_iter().map(|reader| reader.join().unwrap()).collect()
            });
            for result in results {
                match result {
                    Ok(others) => {
                        assert_eq!(others, 0);
                        whole += 1;
                    }
                    Err(fault) => {
                        assert!(to < *SIZE && fault.offset() as usize >= to, "{fault:?} {to}");
                        cut += 1;
                    }
                }
            }
            file.write_all_at(&contents, 0).unwrap();
            assert_eq!(map.refresh().unwrap(), *SIZE);
        }
        assert!(whole > 0 && cut > 0, "{whole} {cut}");
    }
}

/// More slices at a time than the handler's first table has room for.
#[test]
fn many_slices() {
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
        // The result is lost with the fault: count those that there must have been.
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

/// Copies from memory that another thread unmaps and maps. (What comes in its place may be
/// other memory, with other bytes.)
#[test]
fn copies_while_unmapped() {
    let memory = AtomicPtr::new(std::ptr::null_mut());
    let stop = AtomicBool::new(false);
    let (mut whole, mut cut) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                let mut map = MmapOptions::new().len(4 * *PAGE).map_anon().unwrap();
                map.fill(1);
                memory.store(map.as_mut_ptr(), SeqCst);
                thread::yield_now();
            }
        });
        let mut buffer = vec![0; 4 * *PAGE];
        for time in 0.. {
            let from = memory.load(SeqCst);
            if from.is_null() {
                continue; // not yet
            }
            // SAFETY: the buffer is ours. Of what is mapped at the address, if anything is,
            // nothing is written to.
            match unsafe { guard::copy(from, buffer.as_mut_ptr(), buffer.len()) } {
                Ok(()) => whole += usize::from(buffer.iter().all(|&byte| byte == 1)),
                Err(left) => {
                    assert!(left > 0 && left <= buffer.len());
                    cut += 1;
                }
            }
            if time > 10_000 && whole > 0 && cut > 0 {
                break;
            }
        }
        stop.store(true, SeqCst);
    });
}

/// Zeros of ours are told apart from the file's also where a map does not begin with a page.
#[test]
fn a_slice_of_a_part() {
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

/// A second fault, below the first, leaves what was written between them.
#[test]
fn a_slice_to_be_written_to_by_two_threads() {
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

/// A file in memory that nobody can write to any more can still be read.
#[test]
fn a_sealed_file() {
    let fd = syscall::memfd_create(c"sealed", MemfdFlags::ALLOW_SEALING).unwrap();
    syscall::pwrite(fd.as_fd(), b"hello", 0).unwrap();
    syscall::fcntl_add_seals(fd.as_fd(), Seals::SHRINK | Seals::WRITE).unwrap();
    let map = FileMap::new(fd).unwrap();
    let mut buffer = [0; 9];
    assert_eq!((map.read_at(&mut buffer, 0), &buffer[..5]), (Ok(5), &b"hello"[..]));
    assert_eq!(map.write_at(b"x", 0).unwrap_err().errno(), Some(Errno::EBADF));
}

#[test]
fn a_child_keeps_its_map() {
    let scratch = Scratch::new("advice");
    let map = map(&file(&scratch, b"hello"));
    assert_eq!(map.advise(Advice::DontFork), Err(Errno::EINVAL));
    map.advise(Advice::WillNeed).unwrap();
}

#[test]
fn a_full_disk() {
    if let Some(dir) = again_in() {
        return on_a_full_disk(&dir);
    }
    let script = "mount -t tmpfs -o size=64k none \"$0\" || exit 99; \"$@\"";
    let unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script];
    let scratch = Scratch::new("full");
    let output = again("a_full_disk", &unshare, &scratch);
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
    // What is on the disk can be written again, and holes can be read.
    assert_eq!(map.fill(7, 0, DISK), Ok(DISK));
    assert_eq!(map.fill(7, 0, DISK + 1).unwrap_err().errno(), Some(Errno::ENOSPC));
    assert_eq!(map.read_at(&mut found, 0), Ok(DISK));

    // From a place on that is no page's, the disk is full for the same pages.
    let part = part(&file, 5000, usize::MAX);
    for fault in [part.write_at(&bytes, 0), part.fill(7, 0, DISK), map.copy_to(0, &part, 0, DISK)] {
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
    #[cfg(feature = "std")]
    {
        use std::io::{ErrorKind, Seek, SeekFrom, Write};
        let mut cursor = map.cursor();
        cursor.seek(SeekFrom::Start(DISK as u64 - 3)).unwrap();
        assert_eq!(cursor.write(b"hello").unwrap(), 3);
        assert_eq!(cursor.write(b"lo").unwrap_err().kind(), ErrorKind::StorageFull);
    }
}

/// With no swap reserved, no huge pages are either: there are as many as there are, and then
/// none.
#[test]
fn huge_pages_run_out() {
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

/// As it does without the handler, which the directory's file `control` asks for: the same
/// signal, and a core dump or none.
#[test]
fn a_fault_of_the_program_ends_it_as_ever() {
    if let Some(dir) = again_in() {
        return touch_nothing(&dir);
    }
    let scratch = Scratch::new("segv");
    let again = || again("a_fault_of_the_program_ends_it_as_ever", &[], &scratch).status;
    let with = again();
    scratch.file("control", "");
    assert_eq!((with, with.signal()), (again(), Some(11)));
}

fn touch_nothing(dir: &std::path::Path) {
    if !dir.join("control").exists() {
        guard::install().unwrap();
    }
    // SAFETY: none: this is what is to end the process.
    unsafe { std::ptr::without_provenance::<u8>(8).read_volatile() };
}

/// The standard library's handler gives the signal up when it is sent one: not ours with it.
#[test]
fn a_signal_that_is_sent_takes_nothing_away() {
    if let Some(dir) = again_in() {
        return send_and_read(&dir);
    }
    let scratch = Scratch::new("sent");
    scratch.file("file", contents());
    let output = again("a_signal_that_is_sent_takes_nothing_away", &[], &scratch);
    assert!(output.status.success(), "{output:?}");
}

fn send_and_read(dir: &std::path::Path) {
    let file = File::options().read(true).write(true).open(dir.join("file")).unwrap();
    let map = map(&file);
    for signal in [Signal::BUS, Signal::SEGV] {
        syscall::raise(signal).unwrap();
    }
    file.set_len(0).unwrap();
    assert!(map.read_at(&mut [0; 10], 0).is_err());
}

/// Threads that are all the first to need the handler.
#[test]
fn many_install_at_once() {
    if again_in().is_some() {
        let barrier = Barrier::new(16);
        return thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let (nowhere, mut byte) = (std::ptr::without_provenance(8), 0);
                    barrier.wait();
                    // SAFETY: the byte is ours.
                    assert_eq!(unsafe { guard::copy(nowhere, &mut byte, 1) }, Err(1));
                });
            }
        });
    }
    let scratch = Scratch::new("install");
    for _ in 0..50 {
        let output = again("many_install_at_once", &[], &scratch);
        assert!(output.status.success(), "{output:?}");
    }
}

/// The standard library has a handler for SIGSEGV, on a stack of its own.
#[test]
fn a_stack_overflow_is_told_as_ever() {
    if let Some(dir) = again_in() {
        return overflow(&dir);
    }
    let scratch = Scratch::new("overflow");
    let output = again("a_stack_overflow_is_told_as_ever", &[], &scratch);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("has overflowed its stack"), "{output:?}");
    assert_eq!(output.status.signal(), Some(6));
}

#[allow(unconditional_recursion, reason = "that is what it is for")]
fn overflow(_: &std::path::Path) {
    fn deeper(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 100]);
        deeper(depth + 1) + frame[depth as usize % 100]
    }
    guard::install().unwrap();
    std::hint::black_box(deeper(0));
}

/// A mapped slice of another library, whose file ends: not ours, and deadly.
#[test]
fn a_slice_of_another_library_ends_the_process_as_ever() {
    if let Some(dir) = again_in() {
        return touch_what_is_cut_off(&dir);
    }
    let scratch = Scratch::new("bus");
    scratch.file("file", contents());
    let output = again("a_slice_of_another_library_ends_the_process_as_ever", &[], &scratch);
    assert_eq!(output.status.signal(), Some(7), "{output:?}");
}

fn touch_what_is_cut_off(dir: &std::path::Path) {
    let path = dir.join("file");
    let file = File::options().read(true).write(true).open(path).unwrap();
    let map = map(&file);
    // SAFETY: none, which is the point.
    let slice = unsafe { memmap2::Mmap::map(&file).unwrap() };
    file.set_len(0).unwrap();
    assert!(map.read_at(&mut [0; 10], 0).is_err());
    std::hint::black_box(slice[0]);
}

#[test]
fn nothing_is_read_of_what_cannot_be() {
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
fn a_part_of_a_file() {
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
fn finds_and_goes_through() {
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

    // All that there is comes before the error.
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
fn reads_writes_and_seeks() {
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
