//! Compares two directory trees, attribute by attribute.
//!
//! Both are walked at once, by descriptors, so that they may have any depth.

use std::{
    collections::BTreeMap, ffi::CString, fmt::Write, mem::MaybeUninit, os::unix::ffi::OsStrExt,
    path::Path,
};

use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, RawDir, SeekFrom, Stat, openat, readlinkat_raw, seek,
        statat,
    },
};

/// A time before this one, in seconds, was set by the test. A later one is that of the copy.
const SET: i64 = 1_700_000_000;

/// The times that are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The times of the last modification and of the last access.
    All,
    /// The times of the last modification, except for directories.
    OfFiles,
}

/// Returns how two trees differ, in lines, about ten. Times that were not set by the test count as
/// equal if neither was.
pub fn differences(left: &Path, right: &Path, times: Times) -> String {
    let mut differences = String::new();
    let open =
        |path: &Path| openat(CWD, path.as_os_str().as_bytes(), FLAGS, Mode::empty()).unwrap();
    let (mut left, mut right) = (open(left), open(right));
    let mut links = BTreeMap::new();
    // The names of the directories around the current one, and of those still to be entered.
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut todo = vec![visit((&left, &right), &path, times, &mut links, &mut differences)];
    while let Some(names) = todo.last_mut() {
        if differences.lines().count() >= 10 {
            break;
        }
        let Some(name) = names.pop() else {
            todo.pop();
            if path.pop().is_some() {
                left = openat(&left, "..", FLAGS, Mode::empty()).unwrap();
                right = openat(&right, "..", FLAGS, Mode::empty()).unwrap();
            }
            continue;
        };
        left = openat(&left, &*name, FLAGS, Mode::empty()).unwrap();
        right = openat(&right, &*name, FLAGS, Mode::empty()).unwrap();
        path.push(name);
        todo.push(visit((&left, &right), &path, times, &mut links, &mut differences));
    }
    differences
}

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);

type Links = BTreeMap<(u64, u64), (u64, u64)>;

/// Compares the files in two directories, and returns the names of the common subdirectories.
fn visit(
    (left, right): (&OwnedFd, &OwnedFd),
    path: &[Vec<u8>],
    times: Times,
    links: &mut Links,
    differences: &mut String,
) -> Vec<Vec<u8>> {
    // The directories themselves, before their names are read, which may change a time.
    let mut compare = |name: &[u8], differences: &mut String| {
        let found = (look(left.as_fd(), name, times), look(right.as_fd(), name, times));
        let (Some(left), Some(right)) = found else { return None };
        let tail: Vec<String> =
            path[path.len().saturating_sub(3)..].iter().map(|name| shown(name)).collect();
        let shown = shown(name);
        let depth = path.len();
        if left.text != right.text {
            writeln!(
                differences,
                "{tail:?} (depth {depth}) {shown}:\n  {}\n  {}",
                left.text, right.text
            )
            .unwrap();
        }
        // Names of one file lead to one file, and of different files to different ones.
        if *links.entry(left.id).or_insert(right.id) != right.id
            || left.nlink != right.nlink && !left.is_directory
        {
            writeln!(differences, "{tail:?} (depth {depth}) {shown}: other hard links").unwrap();
        }
        (left.is_directory && right.is_directory).then_some(())
    };
    compare(b".", differences);
    let (ours, theirs) = (names(left), names(right));
    if ours != theirs {
        let missing: Vec<_> =
            ours.iter().filter(|name| !theirs.contains(name)).map(|name| shown(name)).collect();
        let more: Vec<_> =
            theirs.iter().filter(|name| !ours.contains(name)).map(|name| shown(name)).collect();
        writeln!(differences, "depth {}: missing {missing:?}, too many {more:?}", path.len())
            .unwrap();
    }
    let common = ours.into_iter().filter(|name| theirs.contains(name));
    common.filter(|name| compare(name, differences).is_some()).collect()
}

fn names(dir: &OwnedFd) -> Vec<Vec<u8>> {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(dir, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        names.push(entry.unwrap().file_name().to_bytes().to_vec());
    }
    names.retain(|name| name != b"." && name != b"..");
    names.sort();
    names
}

/// A name in a message.
fn shown(name: &[u8]) -> String {
    let text = name.escape_ascii().to_string();
    if text.len() > 40 { format!("{}...", &text[..40]) } else { text }
}

struct Found {
    id: (u64, u64),
    nlink: u64,
    is_directory: bool,
    /// All that is to be equal.
    text: String,
}

fn look(dir: BorrowedFd<'_>, name: &[u8], times: Times) -> Option<Found> {
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let mut text = format!("{kind:?} {:o} {}:{}", stat.st_mode, stat.st_uid, stat.st_gid);
    let mut time = |what: &str, seconds: i64, nanoseconds: u64| match seconds < SET {
        true => write!(text, " {what} {seconds}.{nanoseconds:09}").unwrap(),
        false => write!(text, " {what} now").unwrap(),
    };
    if times == Times::All || kind != FileType::Directory {
        time("mtime", stat.st_mtime, stat.st_mtime_nsec);
    }
    if times == Times::All {
        time("atime", stat.st_atime, stat.st_atime_nsec);
    }
    match kind {
        FileType::RegularFile => write!(text, " {}", contents(dir, name, &stat)).unwrap(),
        FileType::Symlink => write!(text, " -> {}", link(dir, name)).unwrap(),
        FileType::BlockDevice | FileType::CharacterDevice => {
            write!(text, " device {:x}", stat.st_rdev).unwrap();
        }
        _ => {}
    }
    write!(text, " {:?}", attributes(dir, name)).unwrap();
    Some(Found {
        id: (stat.st_dev, stat.st_ino),
        nlink: stat.st_nlink,
        is_directory: kind == FileType::Directory,
        text,
    })
}

fn link(dir: BorrowedFd<'_>, name: &[u8]) -> String {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let (target, _) = readlinkat_raw(dir, name, &mut buffer).unwrap();
    target.escape_ascii().to_string()
}

/// The length, the data, and the holes of a file.
fn contents(dir: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> String {
    let Ok(file) = openat(dir, name, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty()) else {
        return "unreadable".into();
    };
    let (mut holes, mut at) = (0, 0);
    while let Ok(hole) = seek(&file, SeekFrom::Hole(at)) {
        let data = seek(&file, SeekFrom::Data(hole)).unwrap_or(stat.st_size as u64);
        holes += data - hole;
        if data <= hole {
            break;
        }
        at = data;
    }
    seek(&file, SeekFrom::Start(0)).unwrap();
    let (mut hash, mut buffer) = (0u64, vec![0; 1 << 16]);
    while let Ok(count @ 1..) = rustix::io::read(&file, &mut buffer[..]) {
        for &byte in &buffer[..count] {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3).rotate_left(5);
        }
    }
    format!("{} bytes, {holes} in holes, {hash:016x}", stat.st_size)
}

/// The extended attributes and the access lists, of a symbolic link as well.
fn attributes(dir: BorrowedFd<'_>, name: &[u8]) -> BTreeMap<String, String> {
    let link = format!("/proc/self/fd/{}/", dir.as_raw_fd());
    let path = CString::new([link.as_bytes(), name].concat()).unwrap();
    let mut list = vec![0u8; 65536];
    // SAFETY: the path is a C string, and the buffer has room for as many bytes.
    let count = unsafe { libc::llistxattr(path.as_ptr(), list.as_mut_ptr().cast(), list.len()) };
    let names = list[..count.max(0) as usize].split(|&byte| byte == 0);
    names
        .filter(|name| !name.is_empty())
        .map(|name| {
            let attribute = CString::new(name).unwrap();
            let mut value = vec![0u8; 65536];
            // SAFETY: both strings are C strings, and the buffer has room for as many bytes.
            let count = unsafe {
                libc::lgetxattr(
                    path.as_ptr(),
                    attribute.as_ptr(),
                    value.as_mut_ptr().cast(),
                    value.len(),
                )
            };
            let value = &value[..count.max(0) as usize];
            (String::from_utf8_lossy(name).into_owned(), value.escape_ascii().to_string())
        })
        .collect()
}
