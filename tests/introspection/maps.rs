//! The mappings of a process, as `maps` reports them.

use super::*;

/// Returns a process's mappings, from their text.
fn text_of(pid: syscall::Pid) -> Maps {
    Maps::from_text(own(File::open(format!("/proc/{pid}/maps")).unwrap()))
}

/// Returns the lines of `/proc/PID/maps`, parsed by the standard library.
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
fn maps_of_agrees_with_proc_maps() {
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

    // Formatted mappings are equal to the kernel's lines, up to trailing blanks.
    let mut maps = maps_of(child.pid()).unwrap();
    for line in lines {
        let _case = case!(line);
        let mapping = maps.next().unwrap().unwrap();
        assert_eq!(mapping.to_string().trim_end(), line);
        assert_eq!(mapping.len(), mapping.end - mapping.start);
    }
}

#[test]
fn maps_of_this_process_agrees_with_maps() {
    let here = &raw const PLACE;
    static PLACE: u8 = 1;
    let by_number = at(maps_of(syscall::getpid()).unwrap(), here);
    assert_eq!(at(maps().unwrap(), here), by_number);
    let program = std::env::current_exe().unwrap();
    assert_eq!(by_number.name, program.as_os_str().as_bytes());
}

#[test]
fn maps_of_a_missing_process_is_an_error() {
    for pid in [-1, syscall::Pid::MIN, syscall::Pid::MAX] {
        assert_eq!(errno(maps_of(pid).unwrap_err()), Errno::ENOENT, "{pid}");
    }
    let mut child = Waiting::new();
    let mut begun = maps_of(child.pid()).unwrap();
    assert!(begun.next().unwrap().is_some());
    let mut new = maps_of(child.pid()).unwrap();
    child.end();
    for maps in [&mut begun, &mut new] {
        let _case = case!(maps);
        assert_eq!(maps.next(), Err(Errno::ESRCH));
        assert_eq!(maps.next(), Ok(None));
    }
    assert_eq!(errno(maps_of(child.pid()).unwrap_err()), Errno::ENOENT);
}

#[test]
fn maps_reports_every_kind_of_mapping() {
    let scratch = Scratch::new("kinds");
    let self_text = || text_of(syscall::getpid());
    let newline = OsStr::from_bytes(b"two\nlines \xff");
    for (name, delete) in [(OsStr::new("plain"), false), (newline, false), (newline, true)] {
        let _case = case!(name, delete);
        let file = scratch.open_file(name, vec![7; 3 * page()]);
        let map = MmapOptions::new().offset(page() as u64).map_raw(file.as_raw_fd()).unwrap();
        let metadata = file.metadata().unwrap();
        let mut wanted = scratch.path(name).into_os_string().into_encoded_bytes();
        if delete {
            fs::remove_file(scratch.path(name)).unwrap();
            wanted.extend(b" (deleted)");
        }
        for told in [at(maps().unwrap(), map.as_ptr()), at(self_text(), map.as_ptr())] {
            let _case = case!(told);
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

/// The path of this file is longer than any path that can be opened.
#[test]
fn a_name_that_is_too_long_is_truncated_and_nothing_else_is_lost() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

    let scratch = Scratch::new("long");
    let name = "n".repeat(250);
    let open = OFlags::PATH | OFlags::DIRECTORY;
    let mut dir =
        openat(CWD, scratch.path("").as_os_str().as_bytes(), open, Mode::empty()).unwrap();
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
    let other = MmapOptions::new()
        .map_raw(scratch.open_file("other", vec![7; page()]).as_raw_fd())
        .unwrap();

    let (query, text) = (maps().unwrap(), text_of(syscall::getpid()));
    let beginning = scratch.path(&name).into_os_string().into_encoded_bytes();
    // An older kernel has no query, but its text has the name.
    for (maps, empty) in [(query, linux() >= (6, 11)), (text, false)] {
        let _case = case!(maps, empty);
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

    // The files are removed from the innermost on, because no path reaches them.
    rustix::fs::unlinkat(&dir, "file", rustix::fs::AtFlags::empty()).unwrap();
    for dir in dirs.iter().rev() {
        rustix::fs::unlinkat(dir, &*name, rustix::fs::AtFlags::REMOVEDIR).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The text may arrive in pieces of any length, and with lines of any length.
    #[test]
    fn text_may_arrive_in_pieces(
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
            // One byte of the buffer is for the newline.
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
fn an_invalid_line_is_an_error() {
    let scratch = Scratch::new("none");
    fs::write(scratch.path("text"), "0-1000 r--p 0 0:0 0 [one]\nnothing\n1000-2000 r--p 0 0:0 0\n")
        .unwrap();
    let mut maps = Maps::from_text(own(File::open(scratch.path("text")).unwrap()));
    assert_eq!(maps.next().unwrap().unwrap().name, b"[one]");
    assert_eq!(maps.next(), Err(Errno::EINVAL));
    assert_eq!(maps.next(), Ok(None));

    let mut maps = Maps::from_text(own(File::open(scratch.path("")).unwrap()));
    assert_eq!(maps.next(), Err(Errno::EISDIR));
}

/// Other threads map and unmap. A mapping that stays is reported once, and completely.
#[test]
fn unchanged_mappings_are_reported_once_while_others_change() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    let stays: Vec<Mmap> = (0..20)
        .map(|index| {
            let map = MmapMut::map_anon((index + 1) * page()).unwrap();
            // The kernel merges no neighbours that differ, neither these with each other nor with
            // those of other tests.
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
fn procmap_query_returns_one_mapping() {
    let maps = File::open("/proc/self/maps").unwrap();
    let query = |address: u64, flags, name: &mut [u8]| {
        syscall::procmap_query(lend(&maps), address, flags, name)
    };
    let none = ProcmapFlags::empty();
    let scratch = Scratch::new("query");
    let file = scratch.open_file("file", vec![7; 2 * page()]);
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

    // The buffer has exactly enough room, one byte less, and none.
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
