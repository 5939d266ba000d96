//! A trial: a directory of its own, the files in it, and one or more runs of a program.
//!
//! Afterwards the directory must contain what was created in it, apart from the changes that the
//! row expects.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt::{self, Write},
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileExt, FileTypeExt, symlink},
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{MemfdFlags, SeekFrom, memfd_create, seek},
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open,
        set_parent_process_death_signal, test_kill_process_group, waitpgid,
    },
};

use crate::{common, not_here, test_fs::TestFs};

/// The time after which a copy is considered to hang.
const LIMIT: Duration = Duration::from_secs(120);

/// The expected file of a name.
#[derive(Clone)]
enum Thing {
    File(Arc<Vec<u8>>),
    /// Zeros, with these bytes at these offsets.
    Sparse(u64, Vec<(u64, Vec<u8>)>),
    Link(PathBuf),
    Directory,
    /// A FIFO or a socket.
    Special,
}

pub struct Trial<'a> {
    pub test_fs: &'a TestFs,
    pub dir: PathBuf,
    things: BTreeMap<OsString, Thing>,
}

impl<'a> Trial<'a> {
    pub fn new(test_fs: &'a TestFs) -> Trial<'a> {
        Trial::in_dir(test_fs, test_fs.dir())
    }

    /// Uses a directory on a file system that was made for the row.
    pub fn in_dir(test_fs: &'a TestFs, dir: PathBuf) -> Trial<'a> {
        Trial { test_fs, dir, things: BTreeMap::new() }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// Checks that something could be created. If the file system does not support it, the row does
    /// not apply, but only on a file system that is known to lack something.
    pub fn made(&self, what: &str, result: io::Result<()>) {
        if let Err(error) = result {
            if self.test_fs.is_whole() {
                panic!("{what}: {error}");
            }
            not_here(format!("{what}: {error}"));
        }
    }

    pub fn file(&mut self, name: impl AsRef<OsStr>, bytes: impl Into<Vec<u8>>) {
        let (name, bytes) = (name.as_ref(), bytes.into());
        self.made(&format!("a file named {name:?}"), fs::write(self.path(name), &bytes));
        self.becomes(name, bytes);
    }

    /// Creates a file that is mostly a hole.
    pub fn sparse(&mut self, name: &str, len: u64, marks: &[(u64, &[u8])]) {
        let file = File::create(self.path(name)).unwrap();
        self.made("a file with a hole", file.set_len(len));
        for &(offset, bytes) in marks {
            file.write_all_at(bytes, offset).unwrap();
        }
        self.becomes_sparse(name, len, marks);
    }

    pub fn symlink(&mut self, target: impl AsRef<Path>, name: &str) {
        let target = target.as_ref();
        self.made("a symbolic link", symlink(target, self.path(name)));
        self.things.insert(name.into(), Thing::Link(target.into()));
    }

    pub fn hard_link(&mut self, old: &str, name: &str) {
        self.made("a hard link", fs::hard_link(self.path(old), self.path(name)));
        let thing = self.things[OsStr::new(old)].clone();
        self.things.insert(name.into(), thing);
    }

    pub fn directory(&mut self, name: &str) {
        fs::create_dir(self.path(name)).unwrap();
        self.things.insert(name.into(), Thing::Directory);
    }

    pub fn fifo(&mut self, name: &str) {
        let made = Command::new("mkfifo").arg(self.path(name)).output().unwrap();
        let error = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        let result = if made.status.success() { Ok(()) } else { Err(io::Error::other(error)) };
        self.made("a FIFO", result);
        self.things.insert(name.into(), Thing::Special);
    }

    pub fn socket(&mut self, name: &str) {
        // A socket's address is short, so the path begins with the directory's descriptor.
        let dir = File::open(&self.dir).unwrap();
        let address = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
        let bound = std::os::unix::net::UnixListener::bind(address);
        self.made("a socket", bound.map(drop));
        self.things.insert(name.into(), Thing::Special);
    }

    /// Sets the expected contents of a file.
    pub fn becomes(&mut self, name: impl AsRef<OsStr>, bytes: impl Into<Vec<u8>>) {
        self.becomes_shared(name, &Arc::new(bytes.into()));
    }

    pub fn becomes_shared(&mut self, name: impl AsRef<OsStr>, bytes: &Arc<Vec<u8>>) {
        self.things.insert(name.as_ref().into(), Thing::File(bytes.clone()));
    }

    pub fn becomes_sparse(&mut self, name: &str, len: u64, marks: &[(u64, &[u8])]) {
        let marks = marks.iter().map(|&(offset, bytes)| (offset, bytes.to_vec())).collect();
        self.things.insert(name.into(), Thing::Sparse(len, marks));
    }

    /// Expects a directory.
    pub fn becomes_directory(&mut self, name: &str) {
        self.things.insert(name.into(), Thing::Directory);
    }

    /// Expects a file to have the contents of another.
    pub fn becomes_as(&mut self, name: impl AsRef<OsStr>, other: impl AsRef<OsStr>) {
        let thing = self.things[other.as_ref()].clone();
        self.things.insert(name.as_ref().into(), thing);
    }

    /// Expects a name not to exist.
    pub fn gone(&mut self, name: &str) {
        self.things.remove(OsStr::new(name));
    }

    /// Removes a file.
    pub fn remove(&mut self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
        self.gone(name);
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns the names in the directory and in its subdirectories.
    pub fn names(&self) -> Vec<OsString> {
        let mut names = Vec::new();
        walk(&self.dir, Path::new(""), &mut names);
        names.sort();
        names
    }

    /// Returns a command for `mapcp` in this directory.
    pub fn mapcp<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = common::program("mapcp");
        command.args(arguments).current_dir(&self.dir);
        dies_with_this_process(&mut command);
        command
    }

    /// Runs `mapcp` in this directory.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        run(&mut self.mapcp(arguments))
    }

    /// Checks that everything is as expected, and that there are no other files.
    #[track_caller]
    pub fn check(&self) {
        let mut wrong = String::new();
        let names = self.names();
        for name in &names {
            match self.things.get(name) {
                None => {
                    let len = fs::symlink_metadata(self.path(name)).map_or(0, |found| found.len());
                    writeln!(wrong, "{name:?} ({len} bytes) is there as well").unwrap();
                }
                Some(thing) => {
                    if let Err(how) = is(&self.path(name), thing) {
                        writeln!(wrong, "{name:?} {how}").unwrap();
                    }
                }
            }
        }
        for name in self.things.keys().filter(|name| !names.contains(name)) {
            writeln!(wrong, "{name:?} is missing").unwrap();
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    /// Ends the trial without removing its directory.
    pub fn leave(self) {
        std::mem::forget(self);
    }

    /// Returns whether a file is as expected.
    pub fn is_as_it_should(&self, name: &str) -> bool {
        is(&self.path(name), &self.things[OsStr::new(name)]).is_ok()
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn walk(dir: &Path, prefix: &Path, names: &mut Vec<OsString>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = prefix.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &name, names);
        }
        names.push(name.into());
    }
}

/// Compares a file with its expected state.
fn is(path: &Path, thing: &Thing) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let found = fs::symlink_metadata(path).map_err(text)?;
    let kind = found.file_type();
    match thing {
        Thing::Directory if kind.is_dir() => Ok(()),
        Thing::Special if kind.is_fifo() || kind.is_socket() => Ok(()),
        Thing::Link(target) if kind.is_symlink() => {
            let leads = fs::read_link(path).map_err(text)?;
            if leads == *target { Ok(()) } else { Err(format!("leads to {leads:?}")) }
        }
        Thing::File(bytes) if kind.is_file() => {
            if found.len() != bytes.len() as u64 {
                return Err(format!("has {} bytes, expected {}", found.len(), bytes.len()));
            }
            let differs = |at| Err(format!("differs at byte {at} of {}", bytes.len()));
            differing(path, bytes).map_err(text)?.map_or(Ok(()), differs)
        }
        Thing::Sparse(len, marks) if kind.is_file() => {
            if found.len() != *len {
                return Err(format!("has {} bytes, expected {len}", found.len()));
            }
            is_sparse(path, *len, marks).map_err(text)?.map_or(Ok(()), Err)
        }
        _ => Err(format!("is {kind:?}")),
    }
}

/// Returns the offset of the first byte at which a file differs from as many bytes.
fn differing(path: &Path, bytes: &[u8]) -> io::Result<Option<usize>> {
    let file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    for (number, part) in bytes.chunks(1 << 20).enumerate() {
        let buffer = &mut buffer[..part.len()];
        file.read_exact_at(buffer, (number as u64) << 20)?;
        if buffer != part {
            let at = buffer.iter().zip(part).position(|(a, b)| a != b).unwrap_or_default();
            return Ok(Some((number << 20) + at));
        }
    }
    Ok(None)
}

fn is_sparse(path: &Path, len: u64, marks: &[(u64, Vec<u8>)]) -> io::Result<Option<String>> {
    let file = File::open(path)?;
    let mut at = 0;
    let mut buffer = vec![0; 1 << 20];
    while at < len {
        at = match seek(fd(&file), SeekFrom::Data(at)) {
            Ok(at) => at,
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(error(errno)),
        };
        let end = seek(fd(&file), SeekFrom::Hole(at)).map_err(error)?;
        while at < end {
            let buffer = &mut buffer[..(end - at).min(1 << 20) as usize];
            file.read_exact_at(buffer, at)?;
            for (offset, bytes) in marks {
                // The bytes of the mark in this part become zero if they are right.
                for (number, &byte) in bytes.iter().enumerate() {
                    let index = (offset + number as u64).checked_sub(at);
                    if let Some(found) = index.and_then(|index| buffer.get_mut(index as usize)) {
                        *found ^= byte;
                    }
                }
            }
            if let Some(index) = buffer.iter().position(|&byte| byte != 0) {
                return Ok(Some(format!("differs at byte {}", at + index as u64)));
            }
            at += buffer.len() as u64;
        }
    }
    for (offset, bytes) in marks {
        let mut found = vec![0; bytes.len()];
        file.read_exact_at(&mut found, *offset)?;
        if found != *bytes {
            return Ok(Some(format!("differs at byte {offset}")));
        }
    }
    Ok(None)
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    Signal(i32),
}

/// The output and the end of a process.
#[derive(Clone, PartialEq, Eq)]
pub struct Ran {
    pub end: End,
    pub out: String,
    pub err: String,
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, stdout {:?}, stderr {:?}", self.end, self.out, self.err)
    }
}

impl Ran {
    #[track_caller]
    pub fn is(&self, end: End, out: &str, err: &str) {
        let expected = Ran { end, out: out.into(), err: err.into() };
        assert!(*self == expected, "expected {expected:?}\ngot      {self:?}");
    }

    /// Asserts that one file of this many bytes was copied.
    #[track_caller]
    pub fn copied(&self, bytes: impl TryInto<u64, Error: fmt::Debug>) {
        let bytes = bytes.try_into().unwrap();
        self.is(End::Exit(0), &format!("Copied {bytes} bytes\n"), "");
    }

    /// Asserts that the program failed with this message, and copied nothing.
    #[track_caller]
    pub fn fails(&self, line: &str) {
        self.is(End::Exit(1), "", &format!("mapcp: {line}\n"));
    }

    /// Asserts that the program failed with one of these messages, and copied nothing.
    #[track_caller]
    pub fn fails_by_one_of(&self, lines: &[&str]) {
        let said = self.err.strip_prefix("mapcp: ").and_then(|line| line.strip_suffix('\n'));
        let matches = said.is_some_and(|said| lines.contains(&said));
        assert!(
            matches && self.end == End::Exit(1) && self.out.is_empty(),
            "expected exit 1 and one of {lines:?}\ngot      {self:?}"
        );
    }
}

/// A running process, whose output is collected.
pub struct Running {
    pub child: Child,
    out: Option<File>,
    err: Option<File>,
}

/// Starts a program in a process group of its own, with an empty input. Keeps standard output and
/// standard error, unless the row has redirected them.
pub fn start(command: &mut Command) -> Running {
    start_with(command, true, true)
}

/// Starts a program without redirecting standard output or standard error, if the row has done so.
pub fn start_with(command: &mut Command, keep_out: bool, keep_err: bool) -> Running {
    let memory = || file(memfd_create("output", MemfdFlags::CLOEXEC).unwrap());
    let out = keep_out.then(memory);
    let err = keep_err.then(memory);
    if let Some(out) = &out {
        command.stdout(out.try_clone().unwrap());
    }
    if let Some(err) = &err {
        command.stderr(err.try_clone().unwrap());
    }
    command.stdin(Stdio::null()).process_group(0);
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Running { child, out, err }
}

impl Running {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32).expect("a process")
    }

    /// Waits for the end of the process. Checks that it leaves no other processes.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        let pid = self.pid();
        let status: ExitStatus = match self.child.try_wait().unwrap() {
            Some(status) => status,
            None => {
                let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
                let mut wait = [PollFd::new(&pidfd, PollFlags::IN)];
                let limit = LIMIT.try_into().unwrap();
                if poll(&mut wait, Some(&limit)).unwrap() == 0 {
                    let _ = kill_process_group(pid, Signal::KILL);
                    let _ = self.child.wait();
                    panic!("it hangs: {:?}", self.ran(End::Signal(0)));
                }
                self.child.wait().unwrap()
            }
        };
        let end = match status.code() {
            Some(code) => End::Exit(code),
            None => End::Signal(status.signal().unwrap()),
        };
        // An orphan becomes a child of this process, which waits for it.
        let start = Instant::now();
        while test_kill_process_group(pid).is_ok() {
            let _ = waitpgid(pid, WaitOptions::NOHANG);
            if start.elapsed() > Duration::from_secs(5) {
                let _ = kill_process_group(pid, Signal::KILL);
                panic!("it left a process behind: {:?}", self.ran(end));
            }
            thread::sleep(Duration::from_micros(200));
        }
        self.ran(end)
    }

    fn ran(&self, end: End) -> Ran {
        let text = |file: &Option<File>| {
            let mut bytes = Vec::new();
            if let Some(file) = file {
                bytes.resize(file.metadata().unwrap().len() as usize, 0);
                file.read_exact_at(&mut bytes, 0).unwrap();
            }
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let mut err = text(&self.err);
        if common::runner().is_some() {
            let lines = err.split_inclusive('\n');
            err = lines.filter(|line| !line.starts_with("qemu: uncaught target signal")).collect();
        }
        Ran { end, out: text(&self.out), err }
    }
}

/// Converts a descriptor for rustix, which has types of its own without its feature `std`.
pub fn fd(file: &impl AsRawFd) -> rustix::fd::BorrowedFd<'_> {
    // SAFETY: it is open as long as it is borrowed.
    unsafe { rustix::fd::BorrowedFd::borrow_raw(file.as_raw_fd()) }
}

pub fn file(fd: rustix::fd::OwnedFd) -> File {
    // SAFETY: nobody else has it.
    unsafe { File::from_raw_fd(rustix::fd::IntoRawFd::into_raw_fd(fd)) }
}

pub fn error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}

/// Runs a program to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    start(command).end()
}

/// Makes the kernel kill the program when this process ends, however it ends.
pub fn dies_with_this_process(command: &mut Command) {
    // SAFETY: one system call.
    unsafe {
        command
            .pre_exec(move || set_parent_process_death_signal(Some(Signal::KILL)).map_err(error));
    }
}

/// Returns bytes of which no two pages are equal, faster than [`noise`].
pub fn pages(len: usize) -> Vec<u8> {
    let tile = common::noise(1 << 20);
    let mut bytes = Vec::with_capacity(len.next_multiple_of(1 << 20));
    while bytes.len() < len {
        let start = bytes.len();
        bytes.extend_from_slice(&tile);
        for page in (start..bytes.len()).step_by(4096) {
            bytes[page..page + 8].copy_from_slice(&(page as u64 ^ 0x5bd1_e995).to_ne_bytes());
        }
    }
    bytes.truncate(len);
    bytes
}

/// Runs the command as a user without privileges.
pub fn as_another_user(trial: &Trial, command: &mut Command) {
    if !crate::test_fs::is_root() {
        not_here("to run as another user needs root");
    }
    const NOBODY: u32 = 65534;
    let mut look = Command::new("test");
    look.arg("-x").arg(common::path("mapcp")).arg("-a").arg("-x").arg(&trial.dir);
    if !look.uid(NOBODY).gid(NOBODY).status().unwrap().success() {
        not_here(format!("another user cannot reach {}", trial.dir.display()));
    }
    command.uid(NOBODY).gid(NOBODY);
}

/// Returns the bytes of a path as a name.
pub fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}
