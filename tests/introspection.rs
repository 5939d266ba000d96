//! Ring 2: what the library tells of mappings and pages, and what newer kernels can do,
//! against `/proc` as the standard library reads it, and raw calls of the crate `sc`.
//!
//! The tests are threads of one process, whose mappings change all the time: a whole list
//! is compared for a child that waits, and in this process each test looks for what is its
//! own.

#![allow(clippy::undocumented_unsafe_blocks, reason = "each helper says it once")]

#[path = "common/kernel.rs"]
mod this_process;

use std::{
    ffi::{OsStr, c_void},
    fs::{self, File},
    io::{Read, Write},
    os::{
        fd::{AsRawFd, IntoRawFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileExt, MetadataExt, OpenOptionsExt},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    ptr, thread,
};

use baremap::{
    fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    map::{
        self, Advice, Mapping, Maps, Mmap, MmapMut, MmapOptions, MmapRaw, PageFlags, Run, maps,
        maps_of, pagemap, residency,
    },
    syscall::{
        self, Errno, IoVec, MapFlags, MremapFlags, OFlags, PkeyRights, ProcmapFlags, ProtFlags,
        WaitStatus,
    },
};
use linux_raw_sys::general as kernel;
use proptest::prelude::*;
use this_process::{child, errno, flagged, refusing, smaps};

// ---------------------------------------------------------------- helpers

/// An empty directory for one test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let name = format!("introspection-{test}-{}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// A file of so many pages.
    fn file(&self, name: impl AsRef<Path>, pages: usize) -> File {
        let path = self.path(name);
        fs::write(&path, vec![7; pages * page()]).unwrap();
        File::options().read(true).write(true).open(path).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn page() -> usize {
    rustix::param::page_size()
}

// SAFETY, for the three: a test keeps its files open until its end.
fn lend(file: &impl AsRawFd) -> BorrowedFd<'_> {
    unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }
}

fn theirs(file: &impl AsRawFd) -> rustix::fd::BorrowedFd<'_> {
    unsafe { rustix::fd::BorrowedFd::borrow_raw(file.as_raw_fd()) }
}

/// A descriptor of the library's own type.
fn own(file: impl IntoRawFd) -> OwnedFd {
    unsafe { OwnedFd::from_raw_fd(file.into_raw_fd()) }
}

/// What a raw call of the oracle's returned.
fn outcome(register: usize) -> Result<usize, Errno> {
    let signed = register as isize;
    if (-4095..0).contains(&signed) { Err(Errno::new(-signed as u16)) } else { Ok(register) }
}

/// `cat`, which waits for its input, and whose mappings do not change.
struct Waiting(Child);

impl Waiting {
    fn new() -> Waiting {
        let mut cat = Command::new("cat");
        let mut child = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"here\n").unwrap();
        let mut line = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        Waiting(child)
    }

    fn pid(&self) -> syscall::Pid {
        self.0.id() as syscall::Pid
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.end();
    }
}

// ---------------------------------------------------------------- maps

/// A mapping that owns its name.
#[derive(Debug, PartialEq)]
struct Told {
    mapping: Mapping<'static>,
    name: Vec<u8>,
}

/// A mapping to be filled in, which may live longer than any name.
fn nameless() -> Mapping<'static> {
    Mapping::parse(b"0-0 ---p 0 0:0 0").unwrap()
}

fn told(mapping: Mapping<'_>) -> Told {
    let mut nameless = nameless();
    nameless.start = mapping.start;
    nameless.end = mapping.end;
    nameless.prot = mapping.prot;
    nameless.shared = mapping.shared;
    nameless.offset = mapping.offset;
    nameless.device = mapping.device;
    nameless.inode = mapping.inode;
    nameless.name_is_cut = mapping.name_is_cut;
    Told { mapping: nameless, name: mapping.name.to_vec() }
}

fn all(mut maps: Maps) -> Vec<Told> {
    let mut list = Vec::new();
    while let Some(mapping) = maps.next().unwrap() {
        list.push(told(mapping));
    }
    assert_eq!(maps.next(), Ok(None), "it ends once");
    list
}

/// The mapping that covers an address.
fn at(maps: Maps, address: *const u8) -> Told {
    let mut found = all(maps);
    found.retain(|told| told.mapping.contains(address as u64));
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// A process's mappings as its text tells them.
fn text_of(pid: syscall::Pid) -> Maps {
    Maps::from_text(own(File::open(format!("/proc/{pid}/maps")).unwrap()))
}

/// The lines of `/proc/PID/maps` that are mappings of the process, taken apart by the
/// standard library alone.
fn lines_of(pid: syscall::Pid) -> Vec<String> {
    let text = fs::read(format!("/proc/{pid}/maps")).unwrap();
    let text = String::from_utf8_lossy(&text); // another test's file may have any name
    let lines = text.lines().map(|line| line.trim_end().to_owned());
    lines.filter(|line| !line.ends_with("[vsyscall]")).collect()
}

fn by_hand(line: &str) -> Told {
    let mut words = line.splitn(6, ' ');
    let mut word = || words.next().unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let (start, end) = word().split_once('-').unwrap();
    let letters = word();
    let offset = hex(word());
    let (major, minor) = word().split_once(':').unwrap();
    let inode = word().parse().unwrap();
    let name = words.next().unwrap_or_default().trim_start();
    let prot = [('r', ProtFlags::READ), ('w', ProtFlags::WRITE), ('x', ProtFlags::EXEC)];
    let prot = prot.into_iter().filter(|&(letter, _)| letters.contains(letter));
    let mut mapping = nameless();
    mapping.start = hex(start);
    mapping.end = hex(end);
    mapping.prot = prot.map(|(_, prot)| prot).collect();
    mapping.shared = letters.ends_with('s');
    mapping.offset = offset;
    mapping.device = (hex(major) as u32, hex(minor) as u32);
    mapping.inode = inode;
    Told { mapping, name: name.as_bytes().to_vec() }
}

#[test]
fn the_maps_of_a_process_are_those_that_its_text_tells() {
    let child = Waiting::new();
    let lines = lines_of(child.pid());
    let wanted: Vec<Told> = lines.iter().map(|line| by_hand(line)).collect();
    assert!(wanted.len() > 10 && lines.iter().any(|line| line.ends_with("[stack]")));
    assert_eq!(all(maps_of(child.pid()).unwrap()), wanted);
    let mut text = all(text_of(child.pid()));
    text.retain(|told| told.name != b"[vsyscall]");
    assert_eq!(text, wanted);
    for errno in [Errno::ENOTTY, Errno::EPERM, Errno::ENOSYS] {
        refusing(kernel::__NR_ioctl, vec![], errno, || {
            let mut text = all(maps_of(child.pid()).unwrap());
            text.retain(|told| told.name != b"[vsyscall]");
            assert_eq!(text, wanted, "without PROCMAP_QUERY: {errno:?}");
        });
    }

    // And the lines are those that the kernel writes, to the last blank.
    let mut maps = maps_of(child.pid()).unwrap();
    for line in lines {
        let mapping = maps.next().unwrap().unwrap();
        assert_eq!(mapping.to_string().trim_end(), line);
        assert_eq!(mapping.len(), mapping.end - mapping.start);
    }
}

#[test]
fn this_process_by_its_own_number_and_without() {
    let here = &raw const PLACE;
    static PLACE: u8 = 1;
    let by_number = at(maps_of(syscall::getpid()).unwrap(), here);
    assert_eq!(at(maps().unwrap(), here), by_number);
    let program = std::env::current_exe().unwrap();
    assert_eq!(by_number.name, program.as_os_str().as_bytes());
}

#[test]
fn processes_that_are_none() {
    for pid in [-1, syscall::Pid::MIN, syscall::Pid::MAX] {
        assert_eq!(errno(maps_of(pid).unwrap_err()), Errno::ENOENT, "{pid}");
    }
    let mut child = Waiting::new();
    let mut begun = maps_of(child.pid()).unwrap();
    assert!(begun.next().unwrap().is_some());
    let mut new = maps_of(child.pid()).unwrap();
    child.end();
    for maps in [&mut begun, &mut new] {
        assert_eq!(maps.next(), Err(Errno::ESRCH));
        assert_eq!(maps.next(), Ok(None));
    }
    assert_eq!(errno(maps_of(child.pid()).unwrap_err()), Errno::ENOENT);
}

#[test]
fn mappings_of_every_kind() {
    let scratch = Scratch::new("kinds");
    let self_text = || text_of(syscall::getpid());
    let newline = OsStr::from_bytes(b"two\nlines \xff");
    for (name, delete) in [(OsStr::new("plain"), false), (newline, false), (newline, true)] {
        let file = scratch.file(name, 3);
        let map = MmapOptions::new().offset(page() as u64).map_raw(file.as_raw_fd()).unwrap();
        let metadata = file.metadata().unwrap();
        let mut wanted = scratch.path(name).into_os_string().into_encoded_bytes();
        if delete {
            fs::remove_file(scratch.path(name)).unwrap();
            wanted.extend(b" (deleted)");
        }
        for told in [at(maps().unwrap(), map.as_ptr()), at(self_text(), map.as_ptr())] {
            let mut mapping: Mapping<'_> = told.mapping;
            mapping.name = &told.name;
            assert_eq!(mapping.name, wanted);
            assert_eq!(mapping.is_deleted(), delete);
            assert_eq!((mapping.start, mapping.len()), (map.as_ptr() as u64, 2 * page() as u64));
            assert_eq!(mapping.prot, ProtFlags::READ | ProtFlags::WRITE);
            assert!(mapping.shared);
            assert_eq!((mapping.offset, mapping.inode), (page() as u64, metadata.ino()));
            let device = metadata.dev();
            let device = (rustix::fs::major(device), rustix::fs::minor(device));
            assert_eq!(mapping.device, device);
            assert!(!mapping.to_string().contains('\n'));
        }
    }

    let memory = MmapMut::map_anon(page()).unwrap().make_read_only().unwrap();
    let told = at(maps().unwrap(), memory.as_ptr());
    assert_eq!(told.mapping.prot, ProtFlags::READ);
    assert_eq!((told.mapping.inode, told.mapping.shared), (0, false));
}

/// A path that is longer than any that can be opened, but is a file's nevertheless.
#[test]
fn a_name_that_is_too_long_is_cut_and_nothing_else_lost() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

    let scratch = Scratch::new("long");
    let name = "n".repeat(250);
    let open = OFlags::PATH | OFlags::DIRECTORY;
    let mut dir = openat(CWD, scratch.0.as_os_str().as_bytes(), open, Mode::empty()).unwrap();
    let mut dirs = Vec::new();
    for _ in 0..36 {
        mkdirat(&dir, &*name, Mode::RWXU).unwrap();
        let inner = openat(&dir, &*name, open, Mode::empty()).unwrap();
        dirs.push(std::mem::replace(&mut dir, inner));
    }
    let file = openat(&dir, "file", OFlags::RDWR | OFlags::CREATE, Mode::RWXU).unwrap();
    rustix::fs::ftruncate(&file, page() as u64).unwrap();
    let number = rustix::fd::AsRawFd::as_raw_fd(&file);
    let map = MmapOptions::new().map_raw(number).unwrap();
    let other = MmapOptions::new().map_raw(scratch.file("other", 1).as_raw_fd()).unwrap();

    let (query, text) = (maps().unwrap(), text_of(syscall::getpid()));
    let beginning = scratch.path(&name).into_os_string().into_encoded_bytes();
    // An older kernel is not asked, but tells it in its text as well.
    for (maps, empty) in [(query, linux() >= (6, 11)), (text, false)] {
        let list = all(maps);
        let find = |map: &MmapRaw| {
            list.iter().find(|told| told.mapping.start == map.as_ptr() as u64).unwrap()
        };
        let long = find(&map);
        assert!(long.mapping.name_is_cut);
        assert_eq!(long.mapping.inode, rustix::fs::fstat(&file).unwrap().st_ino);
        assert_eq!(long.name.is_empty(), empty);
        assert!(empty || long.name.len() > 4096 && long.name.starts_with(&beginning));
        assert_eq!(find(&other).name, scratch.path("other").as_os_str().as_bytes());
        assert_eq!(list.iter().filter(|told| told.mapping.name_is_cut).count(), 1);
    }

    // Removed from the innermost on: no path leads there.
    rustix::fs::unlinkat(&dir, "file", rustix::fs::AtFlags::empty()).unwrap();
    for dir in dirs.iter().rev() {
        rustix::fs::unlinkat(dir, &*name, rustix::fs::AtFlags::REMOVEDIR).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the text comes in, and however long its lines.
    #[test]
    fn text_in_pieces(
        names in proptest::collection::vec(
            (prop_oneof![0_usize..60, 4150..4200_usize, 0_usize..20_000], "[a-z]{1,3}"),
            0..12,
        ),
        pieces in proptest::collection::vec(1_usize..9000, 1..20),
        newline: bool,
    ) {
        const ROOM: usize = 4096 + 128;
        let mut text = Vec::new();
        let mut wanted = Vec::new();
        for (index, (length, name)) in names.iter().enumerate() {
            let name: Vec<u8> = name.bytes().cycle().take(*length).collect();
            let (start, end) = (index as u64 * 8192, index as u64 * 8192 + 4096);
            let header = format!("{start:08x}-{end:08x} r--p 00000000 00:2a {index}   ");
            text.extend(header.bytes());
            text.extend(&name);
            text.push(b'\n');
            // One byte is for the end of the line.
            let long = header.len() + name.len() >= ROOM;
            let name = name[..name.len().min(ROOM - header.len())].to_vec();
            wanted.push((start, index as u64, name, long));
        }
        if !newline {
            text.pop();
        }
        let (reader, mut writer) = std::io::pipe().unwrap();
        let writing = thread::spawn(move || {
            let mut rest = &text[..];
            for size in pieces.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at(rest.len().min(*size));
                writer.write_all(now).unwrap();
                rest = later;
            }
        });
        let got: Vec<_> = all(Maps::from_text(own(reader)))
            .into_iter()
            .map(|Told { mapping, name }| (mapping.start, mapping.inode, name, mapping.name_is_cut))
            .collect();
        writing.join().unwrap();
        prop_assert_eq!(got, wanted);
    }
}

#[test]
fn a_text_that_is_none_is_refused() {
    let scratch = Scratch::new("none");
    fs::write(scratch.path("text"), "0-1000 r--p 0 0:0 0 [one]\nnothing\n1000-2000 r--p 0 0:0 0\n")
        .unwrap();
    let mut maps = Maps::from_text(own(File::open(scratch.path("text")).unwrap()));
    assert_eq!(maps.next().unwrap().unwrap().name, b"[one]");
    assert_eq!(maps.next(), Err(Errno::EINVAL));
    assert_eq!(maps.next(), Ok(None));

    let mut maps = Maps::from_text(own(File::open(&scratch.0).unwrap()));
    assert_eq!(maps.next(), Err(Errno::EISDIR));
}

/// Mappings come and go in other threads: what stays is told, once and whole.
#[test]
fn what_nobody_changes_is_told_once_while_others_change() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    let stays: Vec<Mmap> = (0..20)
        .map(|index| {
            let map = MmapMut::map_anon((index + 1) * page()).unwrap();
            // Neighbours that differ are not joined, neither among these nor to others'.
            map.advise(Advice::DontDump).unwrap();
            if index % 2 == 0 { map.make_read_only().unwrap() } else { map.make_exec().unwrap() }
        })
        .collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                let maps: Vec<_> = (1..40).map(|pages| MmapMut::map_anon(pages * page())).collect();
                drop(maps);
            }
        });
        for _ in 0..100 {
            for maps in [maps().unwrap(), text_of(syscall::getpid())] {
                let list = all(maps);
                for map in &stays {
                    let (start, end) =
                        (map.as_ptr() as u64, map.as_ptr() as u64 + map.len() as u64);
                    let covers = |told: &&Told| told.mapping.contains(start);
                    let found: Vec<_> = list.iter().filter(covers).collect();
                    assert_eq!(found.len(), 1);
                    assert!(found[0].mapping.end >= end);
                }
            }
        }
        stop.store(true, Relaxed);
    });
}

#[test]
fn one_mapping_is_asked_for() {
    let maps = File::open("/proc/self/maps").unwrap();
    let query = |address: u64, flags, name: &mut [u8]| {
        syscall::procmap_query(lend(&maps), address, flags, name)
    };
    let none = ProcmapFlags::empty();
    let scratch = Scratch::new("query");
    let file = scratch.file("file", 2);
    let map = MmapOptions::new().map_raw(file.as_raw_fd()).unwrap();
    let start = map.as_ptr() as u64;
    let path = scratch.path("file").into_os_string().into_encoded_bytes();
    if linux() < (6, 11) {
        assert_eq!(query(start, none, &mut []), Err(Errno::ENOTTY));
        return;
    }

    let mut name = [0xff; 4096];
    let found = query(start + 5000, none, &mut name).unwrap();
    let read_write = ProcmapFlags::READABLE | ProcmapFlags::WRITABLE;
    assert_eq!((found.start, found.end), (start, start + 2 * page() as u64));
    assert_eq!(found.flags, read_write | ProcmapFlags::SHARED);
    assert_eq!((found.page_size, found.offset), (page() as u64, 0));
    assert_eq!((&name[..found.name_len], name[found.name_len]), (&path[..], 0));

    // Exactly enough room, one byte too few, and not asked.
    assert_eq!(query(start, none, &mut name[..path.len() + 1]), Ok(found));
    let short = query(start, none, &mut name[..path.len()]);
    assert_eq!(short, Err(Errno::ENAMETOOLONG));
    assert_eq!(query(start, none, &mut []).unwrap().name_len, 0);

    assert_eq!(query(1, none, &mut []), Err(Errno::ENOENT));
    let first = query(1, ProcmapFlags::COVERING_OR_NEXT, &mut []).unwrap();
    assert!(first.start > 1);
    let next_file = ProcmapFlags::COVERING_OR_NEXT | ProcmapFlags::FILE_BACKED;
    assert_eq!(query(start, next_file, &mut []).unwrap().start, start);
    assert_eq!(query(start, ProcmapFlags::EXECUTABLE, &mut []), Err(Errno::ENOENT));
    assert_eq!(query(u64::MAX, ProcmapFlags::COVERING_OR_NEXT, &mut []), Err(Errno::ENOENT));

    let other = syscall::procmap_query(lend(&file), start, none, &mut []);
    assert_eq!(other, Err(Errno::ENOTTY));
}

// ---------------------------------------------------------------- pages in memory

/// The state of every page of a whole map, from runs.
fn pages<S: Copy>(runs: impl Iterator<Item = map::Result<Run<S>>>) -> Vec<S> {
    let mut states = Vec::new();
    for run in runs {
        let run = run.unwrap();
        assert_eq!(run.offset, states.len() * page());
        states.extend(vec![run.state; run.len / page()]);
    }
    states
}

/// The same by raw calls of `sc`.
fn mincore(start: *const u8, pages: usize) -> Vec<bool> {
    let mut states = vec![0_u8; pages];
    let (start, to) = (start as usize, states.as_mut_ptr());
    let result = unsafe { sc::syscall!(MINCORE, start, pages * page(), to) };
    assert_eq!(outcome(result), Ok(0));
    states.iter().map(|state| state & 1 != 0).collect()
}

/// Anonymous memory whose pages come one by one.
fn small_pages(pages: usize) -> MmapMut {
    let map = MmapMut::map_anon(pages * page()).unwrap();
    map.advise(Advice::NoHugePage).unwrap();
    map
}

#[test]
fn pages_that_were_written_to_are_in_memory() {
    // More than one call has room for.
    let mut map = small_pages(1300);
    let touched = |index: usize| index.is_multiple_of(7) || (500..530).contains(&index);
    for index in (0..1300).filter(|&index| touched(index)) {
        map[index * page()] = 1;
    }
    let wanted: Vec<bool> = (0..1300).map(touched).collect();
    assert_eq!(mincore(map.as_ptr(), 1300), wanted);
    assert_eq!(pages(map.residency()), wanted);
    let present = pagemap(map.as_ptr(), map.len()).unwrap();
    let present = pages(present).into_iter().map(|state| state.contains(PageFlags::PRESENT));
    assert_eq!(present.collect::<Vec<_>>(), wanted);
    let raw = MmapRaw::from(map);
    assert_eq!(pages(raw.residency()), wanted);
    assert_eq!(residency(raw.as_ptr(), 0).count(), 0);

    // From the middle of a page to that of another.
    let range = residency(raw.as_ptr().wrapping_add(499 * page() + 10), 31 * page());
    let range: Vec<_> = range.map(Result::unwrap).collect();
    let runs = [
        Run { offset: 0, len: page() - 10, state: false },
        Run { offset: page() - 10, len: 30 * page(), state: true },
        Run { offset: 31 * page() - 10, len: 10, state: false },
    ];
    assert_eq!(range, runs);
}

#[test]
fn pages_of_a_file_come_into_memory_when_anybody_reads_them() {
    use rustix::fs::{Advice, fadvise};

    let scratch = Scratch::new("file");
    let file = scratch.file("file", 64);
    file.sync_all().unwrap();
    fadvise(theirs(&file), 0, None, Advice::DontNeed).unwrap();
    fadvise(theirs(&file), 0, None, Advice::Random).unwrap();
    let map = MmapOptions::new().map_raw_read_only(file.as_raw_fd()).unwrap();
    assert_eq!(pages(map.residency()), [false; 64]);
    file.read_exact_at(&mut [0], 5 * page() as u64).unwrap();
    let states = pages(map.residency());
    assert!(states[5] && !states[63], "{states:?}");
    assert_eq!(states, mincore(map.as_ptr(), 64));

    // It is not in this process's page table before it is touched there.
    let state = |index: usize| {
        let page_of = map.as_ptr().wrapping_add(index * page());
        pagemap(page_of, page()).unwrap().next().unwrap().unwrap().state
    };
    assert_eq!(state(5), PageFlags::empty());
    // SAFETY: in the map, and in the file.
    unsafe { map.as_ptr().wrapping_add(5 * page()).read_volatile() };
    assert!(state(5).contains(PageFlags::PRESENT | PageFlags::FILE));
}

/// Of a file that is neither its own nor writable, a process is told nothing: even pages
/// that there cannot be, beyond its end, seem to be in memory.
#[test]
fn a_file_of_somebody_else_seems_to_be_in_memory() {
    let beyond = |file: &File| {
        let size = file.metadata().unwrap().len() as usize;
        let map = MmapOptions::new().len(size + 16 * page()).map_raw_read_only(file.as_raw_fd());
        let states = pages(map.unwrap().residency());
        states[states.len() - 8..].to_vec()
    };
    thread::spawn(move || {
        let scratch = Scratch::new("else");
        assert_eq!(beyond(&scratch.file("mine", 1)), [false; 8]);
        // This thread alone becomes nobody; nobody may not look at the directory.
        if rustix::process::geteuid().is_root() {
            let file = File::open("/bin/cat").unwrap();
            let nobody = 65534;
            let result = unsafe { sc::syscall!(SETRESUID, nobody, nobody, nobody) };
            assert_eq!(outcome(result), Ok(0));
            assert_eq!(beyond(&file), [true; 8]);
            let result = unsafe { sc::syscall!(SETRESUID, nobody, nobody, nobody) };
            assert_eq!(outcome(result), Ok(0));
        } else {
            assert_eq!(beyond(&File::open("/bin/cat").unwrap()), [true; 8]);
        }
    })
    .join()
    .unwrap();
}

#[test]
fn a_range_that_is_not_mapped_is_an_error_and_the_last() {
    let mut runs = residency(ptr::without_provenance(page()), 3 * page());
    assert_eq!(errno(runs.next().unwrap().unwrap_err()), Errno::ENOMEM);
    assert!(runs.next().is_none());
    let mut runs = residency(ptr::without_provenance(page()), usize::MAX);
    assert_eq!(errno(runs.next().unwrap().unwrap_err()), Errno::ENOMEM);
    // The page table has nothing there, which is no error.
    let nothing = pages(pagemap(ptr::without_provenance(page()), 3 * page()).unwrap());
    assert_eq!(nothing, [PageFlags::empty(); 3]);
    let top = usize::MAX & !(page() - 1);
    let nothing = pages(pagemap(ptr::without_provenance(top - page()), page()).unwrap());
    assert_eq!(nothing, [PageFlags::empty()]);
    // A range that does not end there goes on nowhere.
    for (start, len) in [(0, usize::MAX), (top, 1), (top - page(), page() + 1), (top, 2 * page())] {
        let mut runs = pagemap(ptr::without_provenance(start), len).unwrap();
        assert_eq!(errno(runs.next().unwrap().unwrap_err()), Errno::ENOMEM, "{start:x}, {len:x}");
        assert!(runs.next().is_none());
    }
}

/// Every flag is the bit that the kernel's documentation gives it, as the standard library
/// reads it, and means what is said of it.
#[test]
fn the_page_table_as_the_kernel_writes_it() {
    let entries = |start: *const u8, pages: usize| -> Vec<u64> {
        let mut bytes = vec![0; pages * 8];
        let from = (start as usize / page() * 8) as u64;
        File::open("/proc/self/pagemap").unwrap().read_exact_at(&mut bytes, from).unwrap();
        bytes.chunks(8).map(|entry| u64::from_ne_bytes(entry.try_into().unwrap())).collect()
    };
    let known = PageFlags::all().bits();
    assert_eq!(known, 0b1110_0111_1000_0000 << 48);

    let mut private = small_pages(6);
    private[0] = 1;
    private[2 * page()] = 1;
    let raw = MmapRaw::from(private);
    let at = |index: usize| raw.as_mut_ptr().wrapping_add(index * page());
    let guard = syscall::Advice(kernel::MADV_GUARD_INSTALL);
    let guarded = unsafe { syscall::madvise(at(4), page(), guard) };
    let wanted = if linux() < (6, 13) { Err(Errno::EINVAL) } else { Ok(()) };
    assert_eq!(guarded, wanted);
    let states = pages(pagemap(raw.as_ptr(), raw.len()).unwrap());
    let read: Vec<u64> = entries(raw.as_ptr(), 6).iter().map(|entry| entry & known).collect();
    assert_eq!(states.iter().map(|state| state.bits()).collect::<Vec<_>>(), read);
    let without_dirty = |state: PageFlags| state - PageFlags::SOFT_DIRTY;
    let alone = PageFlags::PRESENT | PageFlags::EXCLUSIVE;
    let none = PageFlags::empty();
    // The kernel keeps a guard where the place in the swap would be.
    let guard = match linux() {
        (0..=5, _) | (6, ..13) => PageFlags::empty(),
        (6, 13..15) => PageFlags::SWAPPED,
        _ => PageFlags::GUARD | PageFlags::SWAPPED,
    };
    let wanted = [alone, none, alone, none, guard, none];
    assert_eq!(states.into_iter().map(without_dirty).collect::<Vec<_>>(), wanted);

    // A page that two mappings have is nobody's alone.
    let scratch = Scratch::new("pagemap");
    let file = scratch.file("file", 1);
    let one = MmapOptions::new().populate().map_raw(file.as_raw_fd()).unwrap();
    let state = |map: &MmapRaw| pages(pagemap(map.as_ptr(), page()).unwrap())[0];
    let file_page = PageFlags::PRESENT | PageFlags::FILE;
    assert_eq!(without_dirty(state(&one)), file_page | PageFlags::EXCLUSIVE);
    let two = MmapOptions::new().populate().map_raw(file.as_raw_fd()).unwrap();
    assert_eq!(without_dirty(state(&one)), file_page);
    assert_eq!(without_dirty(state(&two)), file_page);
}

// ---------------------------------------------------------------- newer calls

/// Linux's version, as far as it matters here.
fn linux() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn a_sealed_map_stays() {
    if linux() < (6, 10) {
        let refused = MmapMut::map_anon(page()).unwrap().seal().unwrap_err();
        assert_eq!(refused.errno(), Errno::ENOSYS);
        return;
    }
    let mut map = MmapMut::map_anon(3 * page()).unwrap();
    map.fill(5);
    let sealed: &'static [u8] = map.make_read_only().unwrap().seal().unwrap();
    let (addr, length) = (sealed.as_ptr().cast_mut(), sealed.len());
    let middle = addr.wrapping_add(page());
    let anonymous = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
    // SAFETY: each is refused.
    unsafe {
        let read = ProtFlags::READ;
        assert_eq!(syscall::munmap(middle, page()), Err(Errno::EPERM));
        assert_eq!(syscall::munmap(addr, length), Err(Errno::EPERM));
        assert_eq!(syscall::mprotect(middle, 1, read | ProtFlags::WRITE), Err(Errno::EPERM));
        let fixed = anonymous | MapFlags::FIXED;
        assert_eq!(syscall::mmap(addr, page(), read, fixed, None, 0), Err(Errno::EPERM));
        let moved = syscall::mremap(addr, length, page(), MremapFlags::MAYMOVE, ptr::null_mut());
        assert_eq!(moved, Err(Errno::EPERM));
        let advice = syscall::Advice::DONTNEED;
        assert_eq!(syscall::madvise(addr, length, advice), Err(Errno::EPERM));
    }
    assert!(sealed.iter().all(|&byte| byte == 5));
    assert_eq!(at(maps().unwrap(), addr).mapping.prot, ProtFlags::READ);

    // Twice is no error, and what is not mapped, or no page's, is.
    unsafe {
        assert_eq!(syscall::mseal(addr, length), Ok(()));
        assert_eq!(syscall::mseal(addr.wrapping_add(1), 1), Err(Errno::EINVAL));
        assert_eq!(syscall::mseal(ptr::without_provenance_mut(page()), 1), Err(Errno::ENOMEM));
        assert_eq!(syscall::mseal(addr, 0), Ok(()));
    }

    // Of a writable one the contents can change; and it need not be a page's beginning.
    let scratch = Scratch::new("seal");
    let file = scratch.file("file", 2);
    let map = unsafe { MmapOptions::new().offset(100).map_mut(file.as_raw_fd()).unwrap() };
    let sealed: &'static mut [u8] = map.seal().unwrap();
    assert_eq!(sealed.len(), 2 * page() - 100);
    sealed[0] = 9;
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100).unwrap();
    assert_eq!(byte, [9]);
    for offset in [-100, 0] {
        let start = sealed.as_mut_ptr().wrapping_offset(offset);
        let result = unsafe { syscall::munmap(start.wrapping_sub(start.addr() % page()), 1) };
        assert_eq!(result, Err(Errno::EPERM));
    }
    let last = sealed.as_mut_ptr().wrapping_add(page());
    let last = last.wrapping_sub(last.addr() % page());
    assert_eq!(unsafe { syscall::munmap(last, 1) }, Err(Errno::EPERM));

    assert!(MmapMut::map_anon(0).unwrap().seal().unwrap().is_empty());
}

#[test]
fn a_seal_that_is_refused_gives_the_map_back() {
    refusing(kernel::__NR_mseal, vec![], Errno::ENOSYS, || {
        let mut map = MmapMut::map_anon(777 * page()).unwrap();
        map[0] = 3;
        let refused = map.seal().unwrap_err();
        assert_eq!(refused.errno(), Errno::ENOSYS);
        let refused = refused.into_inner().make_read_only().unwrap().seal().unwrap_err();
        let map = refused.into_inner();
        let addr = map.as_ptr();
        assert_eq!(map[0], 3);
        drop(map);
        // Unmapped; and nobody else maps so much.
        let mut list = all(maps().unwrap());
        let end = addr as u64 + 777 * page() as u64;
        list.retain(|told| told.mapping.contains(addr as u64) && told.mapping.end >= end);
        assert_eq!(list, []);
    });
}

#[test]
fn droppable_memory() {
    let map = MmapRaw::map_droppable(3 * page() + 1);
    if linux() < (6, 11) {
        assert_eq!(errno(map.unwrap_err()), Errno::ENOSYS);
        return;
    }
    let map = map.unwrap();
    assert_eq!(map.len(), 3 * page() + 1);
    // SAFETY: in the map, to which there is no reference.
    unsafe {
        assert_eq!(map.as_ptr().add(3 * page()).read_volatile(), 0);
        map.as_mut_ptr().write_volatile(1);
    }
    for flag in ["dp", "wf", "dd", "nr"] {
        assert!(flagged(map.as_ptr(), flag), "no {flag}");
    }
    let told = at(maps().unwrap(), map.as_ptr());
    assert_eq!((told.mapping.len(), told.mapping.shared), (4 * page() as u64, false));

    assert!(MmapRaw::map_droppable(0).unwrap().is_empty());
    assert_eq!(errno(MmapRaw::map_droppable(usize::MAX).unwrap_err()), Errno::EOVERFLOW);
    // As an older kernel has it, to whom the type is not known, and one of 32 bits.
    for refusal in [Errno::EINVAL, Errno::new(524)] {
        refusing(kernel::__NR_mmap, vec![], refusal, || {
            assert_eq!(errno(MmapRaw::map_droppable(1).unwrap_err()), Errno::ENOSYS);
        });
    }
}

#[test]
fn secret_memory() {
    let raw = unsafe { sc::syscall1(kernel::__NR_memfd_secret as usize, 0) };
    let oracle = outcome(raw);
    let ours = syscall::memfd_secret(OFlags::empty());
    assert_eq!(ours.as_ref().map(drop).map_err(|&errno| errno), oracle.map(drop));
    if oracle.is_err() {
        assert_eq!(oracle, Err(Errno::ENOSYS));
        assert_eq!(errno(MmapRaw::map_secret(1).unwrap_err()), Errno::ENOSYS);
        return;
    }
    drop(unsafe { OwnedFd::from_raw_fd(oracle.unwrap() as RawFd) });
    assert_eq!(syscall::memfd_secret(OFlags::APPEND).map(drop), Err(Errno::EINVAL));
    for flags in [OFlags::empty(), OFlags::CLOEXEC] {
        let file = syscall::memfd_secret(flags).unwrap();
        let closes = rustix::io::fcntl_getfd(theirs(&Number(&file))).unwrap()
            == rustix::io::FdFlags::CLOEXEC;
        assert_eq!(closes, flags == OFlags::CLOEXEC);
        assert_eq!(syscall::ftruncate(file.as_fd(), 10), Ok(()));
        assert_eq!(syscall::ftruncate(file.as_fd(), 20), Err(Errno::EINVAL));
        assert!(syscall::read(file.as_fd(), &mut [0]).is_err());
    }

    let secret = MmapRaw::map_secret(page() + 1).unwrap();
    assert_eq!(secret.len(), page() + 1);
    let start = secret.as_mut_ptr();
    // SAFETY: in the map, to which there is no reference.
    unsafe {
        assert_eq!(start.add(page()).read_volatile(), 0);
        start.copy_from_nonoverlapping(b"secret".as_ptr(), 6);
        assert_eq!(start.cast::<[u8; 6]>().read_volatile(), *b"secret");
    }
    // A child has the same, which is why there are no slices of it.
    let wrote = child(|| {
        // SAFETY: as above.
        unsafe { start.add(page()).write_volatile(5) };
        0
    });
    assert_eq!(wrote, WaitStatus::Exited(0));
    // SAFETY: as above.
    assert_eq!(unsafe { start.add(page()).read_volatile() }, 5);
    // The kernel reads other memory for whoever may look into a process, and not this.
    let mut public = MmapMut::map_anon(page()).unwrap();
    public[..6].copy_from_slice(b"public");
    let memory = File::open("/proc/self/mem").unwrap();
    let mut read = [0; 6];
    memory.read_exact_at(&mut read, public.as_ptr() as u64).unwrap();
    assert_eq!(&read, b"public");
    let refused = memory.read_exact_at(&mut read, secret.as_ptr() as u64).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(Errno::EIO.number().into()));
    // What the process itself has written it can.
    let (mut reader, writer) = std::io::pipe().unwrap();
    assert_eq!(unsafe { syscall::write_raw(lend(&writer), start, 6) }, Ok(6));
    reader.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"secret");
    assert_eq!(at(maps().unwrap(), secret.as_ptr()).name, b"/secretmem (deleted)");
    assert!(["lo", "dd"].iter().all(|flag| flagged(secret.as_ptr(), flag)));

    assert!(MmapRaw::map_secret(0).unwrap().is_empty());
    refusing(kernel::__NR_memfd_secret, vec![], Errno::ENOSYS, || {
        assert_eq!(errno(MmapRaw::map_secret(1).unwrap_err()), Errno::ENOSYS);
    });
}

/// Has the number of a descriptor for the standard library, whichever its own type is.
struct Number<'a>(&'a OwnedFd);

impl AsRawFd for Number<'_> {
    fn as_raw_fd(&self) -> RawFd {
        baremap::fd::AsRawFd::as_raw_fd(self.0)
    }
}

#[test]
fn advice_for_another_process() {
    let mut child = Waiting::new();
    let process = syscall::pidfd_open(child.pid(), OFlags::empty()).unwrap();
    let flags = rustix::io::fcntl_getfd(theirs(&Number(&process)));
    assert_eq!(flags.unwrap(), rustix::io::FdFlags::CLOEXEC);
    let mut ranges = Vec::new();
    let mut maps = maps_of(child.pid()).unwrap();
    while let Some(mapping) = maps.next().unwrap() {
        if mapping.name == b"[heap]" || mapping.name == b"[stack]" {
            let base = ptr::without_provenance_mut(mapping.start as usize);
            ranges.push(IoVec { base, len: mapping.len() as usize });
        }
    }
    assert_eq!(ranges.len(), 2);
    let sum = ranges.iter().map(|range| range.len).sum();
    let advise = |ranges: &[IoVec], advice| {
        map::advise_process(process.as_fd(), ranges, advice).map_err(errno)
    };
    for advice in [Advice::Cold, Advice::PageOut, Advice::WillNeed] {
        assert_eq!(advise(&ranges, advice), Ok(sum), "{advice:?}");
    }
    assert_eq!(advise(&[], Advice::Cold), Ok(0));
    // It is not for others.
    assert_eq!(advise(&ranges, Advice::Random), Err(Errno::EINVAL));
    let given_up = syscall::Advice::DONTNEED;
    let refused = unsafe { syscall::process_madvise(process.as_fd(), &ranges, given_up) };
    assert_eq!(refused, Err(Errno::EINVAL));
    // What comes before a range that is refused has been done.
    let nowhere = IoVec { base: ptr::without_provenance_mut(page()), len: page() };
    assert_eq!(advise(&[nowhere], Advice::Cold), Err(Errno::ENOMEM));
    assert_eq!(advise(&[ranges[0], nowhere, ranges[1]], Advice::Cold), Ok(ranges[0].len));
    let inside = IoVec { base: ranges[0].base.wrapping_add(1), len: 1 };
    assert_eq!(advise(&[inside], Advice::Cold), Err(Errno::EINVAL));
    let no_process = File::open("/dev/null").unwrap();
    let refused = map::advise_process(lend(&no_process), &ranges, Advice::Cold);
    assert_eq!(refused.map_err(errno), Err(Errno::EBADF));

    // The pages are the child's: it still does its work.
    let io = (child.0.stdin.as_mut().unwrap(), child.0.stdout.as_mut().unwrap());
    io.0.write_all(b"still here").unwrap();
    let mut line = [0; 10];
    io.1.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"still here");

    child.end();
    assert_eq!(advise(&ranges, Advice::Cold), Err(Errno::ESRCH));
    for pid in [child.pid(), syscall::Pid::MAX] {
        assert_eq!(syscall::pidfd_open(pid, OFlags::empty()).map(drop), Err(Errno::ESRCH));
    }
    for (pid, flags) in [(0, OFlags::empty()), (syscall::getpid(), OFlags::APPEND)] {
        assert_eq!(syscall::pidfd_open(pid, flags).map(drop), Err(Errno::EINVAL));
    }
}

#[test]
fn pages_of_a_file_are_counted() {
    use rustix::fs::{Advice, fadvise};

    let scratch = Scratch::new("cachestat");
    let file = scratch.file("file", 20);
    let size = page() as u64;
    let count = |offset, length| syscall::cachestat(lend(&file), offset, length);
    if linux() < (6, 5) {
        assert_eq!(count(0, 0), Err(Errno::ENOSYS));
        return;
    }
    let all = count(0, 0).unwrap();
    assert_eq!((all.cache, all.evicted), (20, 0));
    assert_eq!(all.dirty + all.writeback, 20);
    assert_eq!(count(3 * size, 5 * size).unwrap().cache, 5);
    assert_eq!(count(3 * size + 1, 5 * size).unwrap().cache, 6);
    assert_eq!(count(20 * size, 0).unwrap(), Default::default());
    file.sync_all().unwrap();
    let synced = count(0, 0).unwrap();
    assert_eq!((synced.cache, synced.dirty, synced.writeback), (20, 0, 0));
    fadvise(theirs(&file), 0, None, Advice::DontNeed).unwrap();
    assert_eq!(count(0, 0).unwrap().cache, 0);

    // Each field is the kernel's one of that name.
    file.write_all_at(&vec![1; 7 * page()], 0).unwrap();
    let range = kernel::cachestat_range { off: 0, len: 0 };
    let mut oracle = [0_u64; 5];
    let result = unsafe {
        let (range, to) = (&raw const range as usize, oracle.as_mut_ptr() as usize);
        let call = kernel::__NR_cachestat as usize;
        sc::syscall4(call, file.as_raw_fd() as usize, range, to, 0)
    };
    assert_eq!(outcome(result), Ok(0));
    let ours = count(0, 0).unwrap();
    let ours = [ours.cache, ours.dirty, ours.writeback, ours.evicted, ours.recently_evicted];
    assert_eq!((ours, ours[0]), (oracle, 7));

    let path =
        File::options().read(true).custom_flags(kernel::O_PATH as i32).open(scratch.path("file"));
    assert_eq!(syscall::cachestat(lend(&path.unwrap()), 0, 0), Err(Errno::EBADF));
}

#[test]
fn protection_keys() {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap();
    let has_keys = cpuinfo.split_whitespace().any(|flag| flag == "ospke");
    let mut map = MmapMut::map_anon(2 * page()).unwrap();
    map[0] = 1;
    let addr = map.as_mut_ptr();
    let protect = |prot, key| unsafe { syscall::pkey_mprotect(addr, page(), prot, key) };
    let read_write = ProtFlags::READ | ProtFlags::WRITE;

    // Without a key it is mprotect.
    assert_eq!(protect(ProtFlags::READ, None), Ok(()));
    assert_eq!(at(maps().unwrap(), addr).mapping.prot, ProtFlags::READ);
    assert_eq!(protect(read_write, None), Ok(()));
    // Those that nobody has taken.
    assert_eq!(protect(read_write, Some(9)), Err(Errno::EINVAL));
    assert_eq!(unsafe { syscall::pkey_free(9) }, Err(Errno::EINVAL));
    let unknown = PkeyRights::from_bits_retain(1 << 20);
    assert_eq!(syscall::pkey_alloc(unknown), Err(Errno::EINVAL));

    let alloc = || syscall::pkey_alloc(PkeyRights::DISABLE_WRITE);
    if !has_keys {
        // The first call of a process is told so, and its later ones that none is left.
        let oracle = || {
            let call = kernel::__NR_pkey_alloc as usize;
            outcome(unsafe { sc::syscall2(call, 0, kernel::PKEY_DISABLE_WRITE as usize) })
        };
        let number = |result: Result<(), Errno>| i32::from(result.unwrap_err().number());
        let first = child(|| number(oracle().map(drop)));
        assert_eq!(first, WaitStatus::Exited(Errno::EINVAL.number().into()));
        assert_eq!(child(|| number(alloc().map(drop))), first);
        let second = child(|| {
            let _ = alloc();
            number(alloc().map(drop))
        });
        assert_eq!(second, WaitStatus::Exited(Errno::ENOSPC.number().into()));
        return;
    }
    let key = alloc();
    let key = key.unwrap();
    assert_eq!(protect(read_write, Some(key)), Ok(()));
    // The kernel writes for this thread, and may not either.
    let zero = File::open("/dev/zero").unwrap();
    assert_eq!(unsafe { syscall::read_raw(lend(&zero), addr, 1) }, Err(Errno::EFAULT));
    assert_eq!(unsafe { addr.read_volatile() }, 1);
    assert_eq!(protect(read_write, Some(0)), Ok(()));
    assert_eq!(unsafe { syscall::pkey_free(key) }, Ok(()));
    assert_eq!(unsafe { syscall::pkey_free(key) }, Err(Errno::EINVAL));
}

#[test]
fn only_persistent_memory_is_mapped_synchronously() {
    let scratch = Scratch::new("sync");
    let file = scratch.file("file", 1);
    let number = file.as_raw_fd();
    let mut options = MmapOptions::new();
    let options = options.sync();
    let memory2 = unsafe {
        let flags =
            rustix::mm::MapFlags::from_bits_retain(kernel::MAP_SHARED_VALIDATE | kernel::MAP_SYNC);
        rustix::mm::mmap(
            ptr::null_mut::<c_void>(),
            page(),
            rustix::mm::ProtFlags::READ,
            flags,
            theirs(&file),
            0,
        )
    };
    assert_eq!(memory2.unwrap_err(), rustix::io::Errno::OPNOTSUPP);
    assert_eq!(errno(options.map_raw(number).unwrap_err()), Errno::EOPNOTSUPP);
    assert_eq!(errno(options.map_raw_read_only(number).unwrap_err()), Errno::EOPNOTSUPP);
    assert_eq!(errno(unsafe { options.map_mut(number).unwrap_err() }), Errno::EOPNOTSUPP);
    assert_eq!(unsafe { options.map_copy(number).unwrap()[0] }, 7);
    assert_eq!(options.len(1).map_anon().unwrap().len(), 1);
}

#[test]
fn pages_are_populated_and_collapsed() {
    let map = small_pages(8);
    if linux() < (5, 14) {
        for advice in [Advice::PopulateRead, Advice::PopulateWrite, Advice::Collapse] {
            assert_eq!(map.advise(advice).map_err(errno), Err(Errno::EINVAL));
        }
        return;
    }
    map.advise_range(Advice::PopulateRead, 0, 2 * page()).unwrap();
    map.advise_range(Advice::PopulateWrite, 4 * page(), 1).unwrap();
    let wanted = [true, true, false, false, true, false, false, false];
    assert_eq!(pages(map.residency()), wanted);

    // Beyond the end of a file there is nothing to bring in, and no signal.
    let scratch = Scratch::new("populate");
    let file = scratch.file("file", 1);
    let map = MmapOptions::new().len(2 * page()).map_raw(file.as_raw_fd()).unwrap();
    for advice in [Advice::PopulateRead, Advice::PopulateWrite] {
        assert_eq!(map.advise_range(advice, 0, page()).map_err(errno), Ok(()));
        assert_eq!(map.advise(advice).map_err(errno), Err(Errno::EFAULT));
    }

    let huge = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").unwrap();
    let huge: usize = huge.trim().parse().unwrap();
    let mut map = MmapMut::map_anon(2 * huge).unwrap();
    map.advise(Advice::NoHugePage).unwrap();
    map.fill(1);
    let start = map.as_ptr().align_offset(huge);
    let huge_pages = |map: &MmapMut| {
        let kilobytes = smaps(map.as_ptr().wrapping_add(start), "AnonHugePages:");
        kilobytes.trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    };
    assert_eq!(huge_pages(&map), 0);
    // Not for memory that shall have none; and before Linux 6.1, for none.
    assert_eq!(map.advise_range(Advice::Collapse, start, huge).map_err(errno), Err(Errno::EINVAL));
    map.advise(Advice::HugePage).unwrap();
    let collapsed = map.advise_range(Advice::Collapse, start, huge).map_err(errno);
    if linux() < (6, 1) {
        assert_eq!(collapsed, Err(Errno::EINVAL));
        return;
    }
    assert_eq!(collapsed, Ok(()));
    assert!(huge_pages(&map) >= huge);
    assert!(map.iter().all(|&byte| byte == 1));
}
