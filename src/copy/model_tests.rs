//! Tests the plan of a copy, quoted names, and paths with symbolic links against plain models, on
//! random input.

use core::{
    cell::{Cell, RefCell},
    ffi::CStr,
};
use std::{
    collections::BTreeMap,
    env,
    ffi::CString,
    format, fs,
    ops::Range,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    process,
    string::String,
    vec::Vec,
};

use super::{
    Options, Quoted, copy, last,
    plan::{Plan, WINDOW, Window},
    workers::WorkQueue,
};
use crate::fuzz::{Random, fuzz};
use crate::syscall::{Errno, Result, Whence};

/// A model of a sparse file.
#[derive(Debug)]
struct File {
    plan: Plan,
    /// The ranges of data, in ascending order. They are not empty, and do not adjoin.
    data: Vec<Range<u64>>,
    /// Whether `lseek` sometimes returns offsets and errors that no file returns.
    nonsense: bool,
    /// The seed of all random events during the copy.
    seed: u64,
}

/// Makes a random sparse file.
fn file(random: &mut Random) -> File {
    let page = 4096 << random.one_of(&[0, 0, 2, 4]);
    // Offsets near the boundaries of pages and windows, or anywhere.
    let place = |random: &mut Random| {
        let unit = random.one_of(&[1, 512, 4096, page, WINDOW]);
        let near = random.below(6) as u64 * unit;
        (near + random.below(12 << 20) as u64 / unit * unit)
            .saturating_add_signed(random.below(3) as i64 - 1)
    };
    let mut size = place(random).max(1);
    if random.once_in(8) {
        // Large files have large numbers of units.
        size += random.number() >> random.one_of(&[1, 20, 30]);
    }
    let far = size.saturating_sub(8 << 20);
    let mut places: Vec<u64> = (0..2 * random.below(12)).map(|_| place(random) % size).collect();
    for place in &mut places {
        if random.once_in(3) {
            *place = (far + *place % (8 << 20)).min(size - 1);
        }
    }
    places.sort();
    places.dedup();
    if random.once_in(2) {
        places.push(size);
    }
    let data = places.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
    // A very large file without holes would have too many windows for a test.
    let holes = size > 64 << 20 || !random.once_in(5);
    File {
        plan: Plan { size, holes, page },
        data: if holes { data } else { core::iter::once(0..size).collect() },
        nonsense: random.once_in(4),
        seed: random.word(),
    }
}

impl File {
    /// Returns what lseek(2) returns on a file system that reports holes.
    fn seek(&self, offset: u64, whence: Whence, random: &mut Random) -> Result<u64> {
        if self.nonsense && random.once_in(3) {
            return match random.below(6) {
                0 => Err(Errno::ENXIO),
                1 => Err(Errno::EINVAL),
                2 => Ok(random.number()),
                3 => Ok(u64::MAX - random.below(5000) as u64),
                4 => Ok(offset.saturating_sub(random.number())),
                _ => Ok(offset.saturating_add(random.below(10_000) as u64)),
            };
        }
        if offset >= self.plan.size {
            return Err(Errno::ENXIO);
        }
        let next = self.data.iter().find(|range| offset < range.end);
        if whence == Whence::DATA {
            return next.map(|range| offset.max(range.start)).ok_or(Errno::ENXIO);
        }
        // The end of the file counts as a hole.
        Ok(next.filter(|range| range.contains(&offset)).map_or(offset, |range| range.end))
    }
}

/// Takes a window and its data. While the window is searched for, up to `workers` other workers take
/// theirs.
fn take(
    file: &File,
    queue: &WorkQueue,
    random: &RefCell<Random>,
    taken: &RefCell<Vec<Window>>,
    workers: usize,
) -> bool {
    let found = queue.take(|at| {
        let others = random.borrow_mut().below(3).min(workers);
        for _ in 0..others {
            take(file, queue, random, taken, workers - 1);
        }
        // Whether the model has reported that there is no more data.
        let end = Cell::new(at >= file.plan.size);
        let window = file.plan.window(at, |offset, whence| {
            let found = file.seek(offset, whence, &mut random.borrow_mut());
            let beyond = found.is_ok_and(|data| data >= file.plan.size);
            end.set(end.get() || whence == Whence::DATA && (beyond || found == Err(Errno::ENXIO)));
            found
        });
        assert!(window.is_some() || end.get(), "nothing from {at}");
        let window = window?;
        // A window starts at the requested offset or at a page boundary, and ends at a page
        // boundary or at the end of the file.
        let Plan { size, page, .. } = file.plan;
        assert!(window.start >= at && window.len > 0, "{window:?} from {at}");
        assert!(window.start == at || window.start % page == 0, "{window:?} from {at}");
        assert!(window.end() <= size, "{window:?} is outside");
        assert!(window.end() == size || window.end() % page == 0, "{window:?}");
        assert_eq!(window.start / WINDOW, (window.end() - 1) / WINDOW, "{window:?} is too long");
        Some(window)
    });
    let Some(window) = found else { return false };
    let mut at = window.start;
    let seek = |at, whence| file.seek(at, whence, &mut random.borrow_mut());
    while let Some(extent) = file.plan.extent(at, window.end(), seek) {
        let page = file.plan.page;
        assert!(extent.start >= at && extent.len > 0, "{extent:?} from {at}");
        assert!(extent.start == at || extent.start % page == 0, "{extent:?} from {at}");
        assert!(extent.end() <= window.end(), "{extent:?} is outside of {window:?}");
        assert!(extent.end() == window.end() || extent.end() % page == 0, "{extent:?}");
        at = extent.end();
        taken.borrow_mut().push(extent);
    }
    true
}

#[test]
fn copies_are_planned_like_the_model() {
    fuzz("copy planner", file, |file| {
        let random = RefCell::new(Random::new(file.seed));
        let workers = random.borrow_mut().below(4);
        // A first window may be copied before the workers start.
        let before = random.borrow_mut().once_in(3);
        let seek = |at, whence| file.seek(at, whence, &mut random.borrow_mut());
        let first = before.then(|| file.plan.extent(0, file.plan.size, seek)).flatten();
        let queue = WorkQueue::new(first.map_or(0, |window| window.end()));
        let taken = RefCell::new(Vec::from_iter(first));
        while take(file, &queue, &random, &taken, workers) {
            let File { data, nonsense, .. } = file;
            let bytes: u64 = data.iter().map(|range| range.end - range.start).sum();
            let most = bytes / WINDOW + 2 * data.len() as u64 + 2;
            let most = if *nonsense { u64::MAX } else { most };
            assert!(taken.borrow().len() as u64 <= most, "more windows than {most}");
            if taken.borrow().len() > 10_000 {
                // If the offsets are nonsense, all of a large file may seem to be data.
                return;
            }
        }

        let mut taken = taken.into_inner();
        taken.sort_by_key(|window| window.start);
        let twice = taken.windows(2).find(|pair| pair[0].end() > pair[1].start);
        assert_eq!(twice, None, "copied twice");
        if file.nonsense {
            return;
        }
        // The windows contain all data, and no page that is a hole.
        let mut windows = taken.iter();
        let mut window = windows.next();
        for range in &file.data {
            let mut at = range.start;
            while at < range.end {
                let here = window.filter(|window| window.start <= at);
                let here = here.unwrap_or_else(|| panic!("{at} is not copied"));
                if here.end() > at {
                    at = here.end();
                } else {
                    window = windows.next();
                }
            }
        }
        for window in &taken {
            let page = file.plan.page;
            for at in (window.start & !(page - 1)..window.end()).step_by(page as usize) {
                let has = file.data.iter().any(|range| range.start < at + page && at < range.end);
                assert!(has, "a hole at {at} is copied");
            }
        }
    });
}

/// Returns the quoted form of a path, computed byte by byte.
fn quoted(path: &[u8]) -> String {
    let mut text = String::from("'");
    let mut rest = path;
    while !rest.is_empty() {
        // The valid UTF-8 character that begins here, if there is one.
        let char = (1..=rest.len().min(4)).find_map(|len| str::from_utf8(&rest[..len]).ok());
        let plain = char.filter(|char| {
            let char = char.chars().next().unwrap();
            !char.is_ascii_control() && char != '\'' && char != '\\'
        });
        match plain {
            Some(char) => text += char,
            None => text += &format!("\\x{:02x}", rest[0]),
        }
        rest = &rest[plain.map_or(1, str::len)..];
    }
    text + "'"
}

#[test]
fn paths_are_quoted_like_the_model() {
    let make = |random: &mut Random| {
        let characters =
            ["a", "/", "'", "\\", "\n", "\x1b", "\x7f", "\u{80}", "\u{9b}", "é", "€", "𝄞"];
        let mut text = random.words(12, &characters).into_bytes();
        for _ in 0..random.below(4) {
            let at = random.below(text.len() + 1);
            // Truncated characters, and bytes that are not part of a character.
            match random.below(3) {
                0 => text.truncate(at),
                1 => text.insert(at, random.one_of(b"\x80\xbf\xc0\xc3\xe2\xed\xf0\xf4\xff")),
                _ => text.insert(at, 1 + random.below(255) as u8),
            }
        }
        text
    };
    fuzz("quoted paths", make, |path| {
        let text = format!("{}", Quoted(path));
        assert_eq!(text, quoted(path));
        // The quoted form decodes to the original bytes.
        let mut back = Vec::new();
        let mut rest = &text.as_bytes()[1..text.len() - 1];
        while let [first, after @ ..] = rest {
            rest = after;
            if let [b'x', high, low, after @ ..] = after
                && *first == b'\\'
            {
                let digits = [*high, *low];
                back.push(u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            } else {
                back.push(*first);
            }
        }
        assert_eq!(back, *path);
    });
}

#[test]
fn paths_are_split_like_the_model() {
    let make = |random: &mut Random| CString::new(random.text(10, b"/.a")).unwrap();
    fuzz("last component", make, |path| {
        let name = last(path);
        let Some((dir, rest)) = super::text::split(path) else {
            return assert_eq!((name, path.as_c_str()), (c"", c""));
        };
        // The name has no slash, and both parts together are the path. After a slash, the name is
        // `.`.
        assert_eq!(name, rest);
        assert!(!name.is_empty() && !name.to_bytes().contains(&b'/'));
        assert!(dir.is_empty() || dir.ends_with(b"/"));
        let whole = [dir, name.to_bytes()].concat();
        let meant = path.to_bytes().ends_with(b"/").then(|| [path.to_bytes(), b"."].concat());
        assert_eq!(whole, meant.unwrap_or_else(|| path.to_bytes().to_vec()));
        let _: &CStr = name;
    });
}

/// Symbolic links with their targets, and a destination, relative to a directory of the test.
#[derive(Debug)]
struct Tree {
    links: Vec<(&'static str, String)>,
    dest: String,
}

/// A directory entry with its contents.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
}

/// Adds all entries below a directory to `nodes`.
fn snapshot(dir: &Path, nodes: &mut BTreeMap<PathBuf, Node>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        let node = if kind.is_dir() {
            snapshot(&path, nodes);
            Node::Directory
        } else if kind.is_symlink() {
            Node::Link(fs::read_link(&path).unwrap())
        } else {
            Node::File(fs::read(&path).unwrap())
        };
        nodes.insert(path, node);
    }
}

/// Returns the file that a copy replaces or creates, computed with the standard library.
fn place(dest: &Path, source: &str) -> Option<PathBuf> {
    match fs::metadata(dest) {
        Ok(found) if found.is_file() => fs::canonicalize(dest).ok(),
        Ok(_) if !source.is_empty() => place(&dest.join(source), ""),
        Ok(_) => None,
        // A dangling link, or a circle of links.
        Err(_) if fs::symlink_metadata(dest).is_ok() => None,
        Err(_) => {
            let (dir, name) = dest.to_str()?.rsplit_once('/')?;
            let dir = fs::canonicalize(dir).ok().filter(|dir| dir.is_dir())?;
            (!name.is_empty() && name != "." && name != "..").then(|| dir.join(name))
        }
    }
}

#[test]
fn links_are_followed_like_the_model() {
    const DIRS: [&str; 2] = ["d", "d/e"];
    const FILES: [&str; 3] = ["f", "d/g", "d/e/f"];
    let scratch = env::temp_dir().join(format!("baremap-links-{}", process::id()));
    let source = scratch.join("s");
    let base = scratch.join("tree");
    let make = |random: &mut Random| {
        let path = |random: &mut Random| {
            let parts = ["a", "b", "c", "d", "e", "f", "g", "..", ".", "d/e", "new", "s"];
            let mut path = String::new();
            for _ in 0..1 + random.below(3) {
                path += random.one_of(&parts);
                path += random.one_of(&["/", "/", "/", "//"]);
            }
            path.truncate(path.trim_end_matches('/').len());
            path + if random.once_in(6) { "/" } else { "" }
        };
        let links = ["a", "b", "s", "d/a", "d/b", "d/c", "d/e/a", "d/e/s"];
        let mut links = Vec::from_iter(links);
        links.retain(|_| !random.once_in(3));
        let target = |random: &mut Random| match random.once_in(4) {
            true => format!("{}/{}", base.display(), path(random)),
            false => path(random),
        };
        let links = links.into_iter().map(|link| (link, target(random))).collect();
        Tree { links, dest: path(random) }
    };
    fuzz("links on the way", make, |Tree { links, dest }| {
        let _ = fs::remove_dir_all(&scratch);
        for dir in DIRS {
            fs::create_dir_all(base.join(dir)).unwrap();
        }
        for file in FILES {
            fs::write(base.join(file), file).unwrap();
        }
        for (link, target) in links {
            symlink(target, base.join(link)).unwrap();
        }
        fs::write(&source, "the copy").unwrap();
        let dest = base.join(dest);
        let mut wanted = BTreeMap::new();
        snapshot(&base, &mut wanted);
        let place = place(&dest, "s");
        if let Some(place) = &place
            && place.starts_with(&base)
        {
            wanted.insert(place.clone(), Node::File(b"the copy".to_vec()));
        }

        let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
        let (from, to) = (text(&source), text(&dest));
        let options = Options { jobs: 1, ..Options::default() };
        let copied = copy(&options, &from, &to, &mut |_, _| {});
        let copied = copied.map(|copied| copied.bytes).map_err(|error| format!("{error}"));
        let mut found = BTreeMap::new();
        snapshot(&base, &mut found);
        // A path that leads out of the tree and back may name the source itself, which is an error.
        let same = place.as_ref() == Some(&source);
        assert_eq!(copied.is_ok(), place.is_some() && !same, "{copied:?}, {place:?}");
        assert_eq!(found, wanted, "{copied:?}");
    });
    let _ = fs::remove_dir_all(&scratch);
}
