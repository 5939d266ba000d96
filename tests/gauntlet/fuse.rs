//! A FUSE file system with a fault: one directory of files in memory.
//!
//! It speaks the kernel's protocol on `/dev/fuse` itself, because no library has files without a
//! name, which came with Linux 6.2. Source: fuse(4), `linux/fuse.h`.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{Read, Write},
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};

use crate::{
    not_here,
    test_fs::{TestFs, is_root},
};

/// What a file system cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    Renaming,
    Links,
    /// To open a file for reading and writing at once.
    ReadWrite,
    /// To write anywhere but at the end of a file.
    Seeking,
    /// To change the permissions and the owner of a file.
    Owners,
    RemovalOfOpenFiles,
    /// To change the length of a file, except to zero.
    Lengths,
    /// To change the length of a file, except to zero when it is opened.
    Truncation,
}

/// The fault of the file system.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Whether the file system has files without a name.
    pub unnamed: bool,
    /// The error of closing a file that was written to. The written data is lost.
    pub close: Option<Errno>,
    /// Whether a change of permissions succeeds without an effect.
    pub ignores_modes: bool,
    /// Returns an error for names that the file system cannot store.
    pub refuses: fn(&[u8]) -> Option<Errno>,
    pub lacks: &'static [Lack],
}

impl Fault {
    pub const NONE: Fault =
        Fault { unnamed: true, close: None, ignores_modes: false, refuses: |_| None, lacks: &[] };
}

/// The mounted file system, which is unmounted when the value is dropped.
pub struct Odd {
    pub dir: PathBuf,
    server: Option<JoinHandle<()>>,
}

impl Odd {
    pub fn new(test_fs: &TestFs, fault: Fault) -> Odd {
        if !test_fs.is_here() {
            not_here("it has a file system of its own, which one column shows");
        }
        if !is_root() {
            not_here("to mount a file system needs root");
        }
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.unwrap_or_else(|error| not_here(format!("/dev/fuse: {error}")));
        let dir = test_fs.dir().with_extension("odd");
        fs::create_dir_all(&dir).unwrap();
        let options =
            format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let options = std::ffi::CString::new(options).unwrap();
        mount("odd", dir.as_os_str().as_bytes(), "fuse", MountFlags::empty(), &*options)
            .unwrap_or_else(|errno| not_here(format!("to mount FUSE: {errno}")));
        let server = thread::spawn(move || Server::new(fault).serve(device));
        // The kernel first negotiates the protocol with the server.
        dir.metadata().unwrap();
        Odd { dir, server: Some(server) }
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        let _ = unmount(self.dir.as_os_str().as_bytes(), UnmountFlags::DETACH);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Returns whether the kernel supports files without a name on FUSE.
pub fn has_unnamed_files(dir: &Path) -> bool {
    use rustix::fs::{Mode, OFlags};
    let path = dir.as_os_str().as_bytes();
    rustix::fs::open(path, OFlags::TMPFILE | OFlags::RDWR, Mode::RUSR).is_ok()
}

const ROOT: u64 = 1;

const O_TRUNC: u32 = rustix::fs::OFlags::TRUNC.bits();

#[derive(Default)]
struct Node {
    mode: u32,
    owner: (u32, u32),
    links: u32,
    bytes: Vec<u8>,
    /// Whether the file was written to since it was last closed.
    is_dirty: bool,
    /// How often it is open.
    opened: u32,
}

struct Server {
    fault: Fault,
    nodes: HashMap<u64, Node>,
    names: BTreeMap<Vec<u8>, u64>,
    last: u64,
}

type Answer = Result<Vec<u8>, Errno>;

/// Reads a number from a request.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

fn longs(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

/// Splits a request into strings, each of which ends with a NUL.
fn strings(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

impl Server {
    fn new(fault: Fault) -> Server {
        let root = Node { mode: 0o40755, links: 2, ..Node::default() };
        Server { fault, nodes: [(ROOT, root)].into(), names: BTreeMap::new(), last: ROOT }
    }

    /// Answers requests until the file system is unmounted.
    fn serve(mut self, mut device: File) {
        const HEADER: usize = 40;
        const FORGET: u32 = 2;
        const BATCH_FORGET: u32 = 42;
        let mut buffer = vec![0; (1 << 20) + 4096];
        loop {
            let count = match device.read(&mut buffer) {
                Ok(count) => count,
                // The request was interrupted before it was read.
                Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => continue,
                Err(_) => return,
            };
            let request = &buffer[..count];
            let (code, node) = (u32_at(request, 4), u64_at(request, 16));
            if code == FORGET || code == BATCH_FORGET {
                continue;
            }
            let owner = (u32_at(request, 24), u32_at(request, 28));
            let answer = self.answer(code, node, owner, &request[HEADER..]);
            let (error, body) = match answer {
                Ok(body) => (0, body),
                Err(errno) => (-errno.raw_os_error(), Vec::new()),
            };
            let mut reply = words(&[16 + body.len() as u32, error as u32]);
            reply.extend(&request[8..16]);
            reply.extend(body);
            let _ = device.write(&reply);
        }
    }

    fn answer(&mut self, code: u32, node: u64, owner: (u32, u32), body: &[u8]) -> Answer {
        if let Some(errno) = self.refusal(code, node, body) {
            return Err(errno);
        }
        match code {
            // LOOKUP
            1 => self.entry(self.find(&strings(body)[0])?),
            // GETATTR, SETATTR
            3 => self.attributes(node),
            4 => self.set_attributes(node, body),
            // UNLINK
            10 => {
                let number = self.names.remove(&strings(body)[0]).ok_or(Errno::NOENT)?;
                self.node(number).links -= 1;
                Ok(Vec::new())
            }
            // RENAME, RENAME2
            12 => self.rename(&strings(&body[8..]), 0),
            45 => self.rename(&strings(&body[16..]), u32_at(body, 8)),
            // LINK
            13 => {
                let number = u64_at(body, 0);
                self.link(&strings(&body[8..])[0], number)?;
                self.entry(number)
            }
            // OPEN, OPENDIR, STATFS, RELEASE, FSYNC, RELEASEDIR
            14 | 27 => {
                if code == 14 && self.truncates_at_open() && u32_at(body, 0) & O_TRUNC != 0 {
                    self.node(node).bytes.clear();
                }
                self.node(node).opened += 1;
                Ok(longs(&[0, 0]))
            }
            17 => Ok(longs(&[1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19])
                .into_iter()
                .chain(words(&[4096, 255, 4096, 0, 0, 0, 0, 0, 0, 0]))
                .collect()),
            18 => {
                self.node(node).opened -= 1;
                Ok(Vec::new())
            }
            20 | 29 => Ok(Vec::new()),
            // READ, WRITE
            15 => {
                let bytes = &self.nodes[&node].bytes;
                let start = bytes.len().min(u64_at(body, 8) as usize);
                let end = bytes.len().min(start + u32_at(body, 16) as usize);
                Ok(bytes[start..end].to_vec())
            }
            16 => {
                let (at, data) = (u64_at(body, 8) as usize, &body[40..]);
                let data = &data[..u32_at(body, 16) as usize];
                let node = self.node(node);
                let len = node.bytes.len().max(at + data.len());
                node.bytes.resize(len, 0);
                node.bytes[at..at + data.len()].copy_from_slice(data);
                node.is_dirty = true;
                Ok(words(&[data.len() as u32, 0]))
            }
            // FLUSH, which each close of a descriptor sends.
            25 => {
                let close = self.fault.close;
                let node = self.node(node);
                match close {
                    Some(errno) if node.is_dirty => {
                        node.is_dirty = false;
                        node.bytes.clear();
                        Err(errno)
                    }
                    _ => Ok(Vec::new()),
                }
            }
            // INIT: version 7.31, writes of 128 KiB, and nanoseconds.
            26 => {
                const ATOMIC_O_TRUNC: u32 = 1 << 3;
                let flags = if self.truncates_at_open() { ATOMIC_O_TRUNC } else { 0 };
                let mut answer = words(&[7, 31, u32_at(body, 8), flags, 0, 128 << 10, 1, 32]);
                answer.resize(64, 0);
                Ok(answer)
            }
            // READDIR
            28 => Ok(self.list(u64_at(body, 8) as usize, u32_at(body, 16) as usize)),
            // CREATE, TMPFILE
            35 => {
                let number = self.make(u32_at(body, 4), owner);
                self.link(&strings(&body[16..])[0], number)?;
                self.node(number).opened += 1;
                Ok([self.entry(number)?, longs(&[0, 0])].concat())
            }
            51 if self.fault.unnamed => {
                let number = self.make(u32_at(body, 4), owner);
                self.node(number).opened += 1;
                Ok([self.entry(number)?, longs(&[0, 0])].concat())
            }
            // INTERRUPT needs no answer, because every request is answered at once.
            _ => Err(Errno::NOSYS),
        }
    }

    fn truncates_at_open(&self) -> bool {
        self.fault.lacks.contains(&Lack::Truncation)
    }

    /// What is refused because the file system cannot do it.
    fn refusal(&self, code: u32, node: u64, body: &[u8]) -> Option<Errno> {
        let lacks = |lack| self.fault.lacks.contains(&lack);
        let refused = match code {
            4 => {
                let has = |bit: u32| u32_at(body, 0) & 1 << bit != 0;
                lacks(Lack::Owners) && (has(0) || has(1) || has(2))
                    || lacks(Lack::Lengths) && has(3) && u64_at(body, 16) != 0
                    || lacks(Lack::Truncation) && has(3)
            }
            10 => {
                let number = self.names.get(&strings(body)[0]);
                let is_open = number.is_some_and(|number| self.nodes[number].opened > 0);
                lacks(Lack::RemovalOfOpenFiles) && is_open
            }
            12 | 45 => lacks(Lack::Renaming),
            13 => lacks(Lack::Links),
            14 | 35 => lacks(Lack::ReadWrite) && u32_at(body, 0) & 3 == 2,
            16 => lacks(Lack::Seeking) && u64_at(body, 8) != self.nodes[&node].bytes.len() as u64,
            _ => false,
        };
        let errno = if code == 14 || code == 35 { Errno::INVAL } else { Errno::PERM };
        refused.then_some(errno)
    }

    fn node(&mut self, number: u64) -> &mut Node {
        self.nodes.get_mut(&number).expect("the kernel knows what there is")
    }

    fn find(&self, name: &[u8]) -> Result<u64, Errno> {
        if let Some(errno) = (self.fault.refuses)(name) {
            return Err(errno);
        }
        self.names.get(name).copied().ok_or(Errno::NOENT)
    }

    fn make(&mut self, mode: u32, owner: (u32, u32)) -> u64 {
        self.last += 1;
        self.nodes.insert(self.last, Node { mode, owner, ..Node::default() });
        self.last
    }

    fn link(&mut self, name: &[u8], number: u64) -> Result<(), Errno> {
        match self.find(name) {
            Err(Errno::NOENT) => {
                self.names.insert(name.to_vec(), number);
                self.node(number).links += 1;
                Ok(())
            }
            Err(errno) => Err(errno),
            Ok(_) => Err(Errno::EXIST),
        }
    }

    fn rename(&mut self, names: &[Vec<u8>], flags: u32) -> Answer {
        const NOREPLACE: u32 = 1;
        let number = self.find(&names[0])?;
        match self.find(&names[1]) {
            Ok(_) if flags == NOREPLACE => return Err(Errno::EXIST),
            Ok(old) => self.node(old).links -= 1,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        self.names.remove(&names[0]);
        self.names.insert(names[1].clone(), number);
        Ok(Vec::new())
    }

    /// Returns a `struct fuse_attr`.
    fn attributes_of(&self, number: u64) -> Vec<u8> {
        let node = &self.nodes[&number];
        let len = node.bytes.len() as u64;
        let (uid, gid) = node.owner;
        let rest = [0, 0, 0, node.mode, node.links, uid, gid, 0, 4096, 0];
        [longs(&[number, len, len.div_ceil(512), 0, 0, 0]), words(&rest)].concat()
    }

    fn attributes(&self, number: u64) -> Answer {
        Ok([longs(&[0, 0]), self.attributes_of(number)].concat())
    }

    /// Returns a `struct fuse_entry_out`.
    fn entry(&self, number: u64) -> Answer {
        Ok([longs(&[number, 0, 0, 0, 0]), self.attributes_of(number)].concat())
    }

    fn set_attributes(&mut self, number: u64, body: &[u8]) -> Answer {
        let valid = u32_at(body, 0);
        let has = |bit: u32| valid & 1 << bit != 0;
        let ignores_modes = self.fault.ignores_modes;
        let node = self.node(number);
        if has(0) && !ignores_modes {
            node.mode = u32_at(body, 68);
        }
        if has(1) {
            node.owner.0 = u32_at(body, 76);
        }
        if has(2) {
            node.owner.1 = u32_at(body, 80);
        }
        if has(3) {
            node.bytes.resize(u64_at(body, 16) as usize, 0);
        }
        self.attributes(number)
    }

    /// Returns a `struct fuse_dirent` for each name from a position on.
    fn list(&self, from: usize, room: usize) -> Vec<u8> {
        let mut list = Vec::new();
        for (at, (name, number)) in self.names.iter().enumerate().skip(from) {
            let mut entry = longs(&[*number, at as u64 + 1]);
            entry.extend(words(&[name.len() as u32, 8]));
            entry.extend(name);
            entry.resize(entry.len().next_multiple_of(8), 0);
            if list.len() + entry.len() > room {
                break;
            }
            list.extend(entry);
        }
        list
    }
}
