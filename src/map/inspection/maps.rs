//! The list of the mappings of a process.

use core::{ffi::CStr, fmt, ops::Range};

use linux_raw_sys::general::PATH_MAX;

use super::{Mapping, mapping::unescape};
use crate::decimal::Decimal;
use crate::fd::{AsFd, OwnedFd};
use crate::map::Result;
use crate::syscall::{self, Errno, Mode, OFlags, Pid, ProcmapFlags, ProtFlags};

/// Lists the mappings of this process in ascending order of their addresses.
///
/// ```
/// use baremap::map::maps;
///
/// let here = &raw const PAGE as u64;
/// # static PAGE: [u8; 3] = *b"abc";
/// let mut maps = maps()?;
/// while let Some(mapping) = maps.next()? {
///     if mapping.contains(here) {
///         println!("{mapping}");
///         assert!(mapping.name.starts_with(b"/"));
///     }
/// }
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// # Errors
///
/// * `ENOENT` if `/proc` is not mounted.
/// * `EMFILE` or `ENFILE` if no file descriptor is free.
pub fn maps() -> Result<Maps> {
    Maps::open(c"/proc/self/maps")
}

/// Lists the mappings of another process in ascending order of their addresses.
///
/// The list is empty for a kernel thread, and for a process that has ended and has not been waited
/// for (a zombie). Mappings that the process makes after a later execve(2) are not listed.
///
/// # Errors
///
/// * `ENOENT` if there is no such process, or `/proc` is not mounted.
/// * `EACCES` if the caller may not inspect the process (ptrace(2)).
/// * `EMFILE` or `ENFILE` if no file descriptor is free.
pub fn maps_of(process: Pid) -> Result<Maps> {
    // A negative number is not that of a process, and not a name in /proc.
    let number = Decimal::new(u32::try_from(process).map_err(|_| Errno::ENOENT)?.into());
    let mut path = [0; 32];
    let mut used = 0;
    for part in ["/proc/", number.as_str(), "/maps"] {
        path[used..used + part.len()].copy_from_slice(part.as_bytes());
        used += part.len();
    }
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::ENOENT)?;
    Maps::open(path)
}

/// The mappings of a process in ascending order of their addresses. Created by [`maps`] and
/// [`maps_of`].
///
/// A `Maps` allocates no memory, but contains a buffer of about 4 KiB for a path. It is not an
/// [`Iterator`], because the name of a mapping is borrowed from that buffer.
///
/// Since Linux 6.11, the kernel is asked for one mapping at a time (`PROCMAP_QUERY`). On older
/// kernels, the text of `/proc/PID/maps` is read. The text also contains `[vsyscall]`, which is
/// not a mapping of the process, and does not distinguish a path with a newline from one with the
/// four characters `\012`.
///
/// # Concurrent changes
///
/// The list is not a snapshot. A single mapping is consistent if the kernel is asked for one
/// mapping at a time, and as many lines as fit into the buffer are consistent if the text is
/// read. A mapping that another thread creates or removes meanwhile may be missing or not. A
/// mapping that grows or is merged with its neighbor may be reported in both states. A mapping
/// that does not change is reported exactly once.
///
/// Source: proc_pid_maps(5), and the kernel's `Documentation/filesystems/proc.rst`.
pub struct Maps {
    file: OwnedFd,
    state: State,
    buffer: [u8; ROOM],
}

/// The length of the buffer in bytes: room for a path and its NUL, or for a line with a path.
pub(super) const ROOM: usize = PATH_MAX as usize + 128;

/// The method by which the next mapping is found, and the position.
enum State {
    /// `PROCMAP_QUERY`: the next mapping is at this address or above.
    Query { next: u64 },
    /// The text of `/proc/PID/maps`: the range of the buffer that has not been parsed, and
    /// whether the bytes up to the next newline are the rest of a line that was too long.
    Text { unread: Range<usize>, skip: bool },
    /// After the last mapping, or after an error.
    End,
}

impl Maps {
    /// Reads mappings from a file with the format of `/proc/PID/maps`, such as a saved copy of one.
    #[must_use]
    pub fn from_text(file: OwnedFd) -> Maps {
        let state = State::Text { unread: 0..0, skip: false };
        Maps { file, state, buffer: [0; ROOM] }
    }

    fn open(path: &CStr) -> syscall::Result<Maps> {
        let file = syscall::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Maps { state: State::Query { next: 0 }, ..Maps::from_text(file) })
    }

    /// Returns the next mapping, or `None` after the last.
    ///
    /// If the text is read and the process ends meanwhile, the list may end early, without an error
    /// (Linux 6.18).
    ///
    /// # Errors
    ///
    /// After an error, all further calls return `None`.
    ///
    /// * `EINVAL` if a line of the text does not have the format of a mapping.
    /// * `ESRCH` if the process has ended, or has executed another program, after the list was
    ///   begun.
    /// * An error of [`procmap_query`](syscall::procmap_query()) or [`read`](syscall::read).
    #[allow(clippy::should_implement_trait, reason = "an `Iterator` cannot return borrowed names")]
    pub fn next(&mut self) -> Result<Option<Mapping<'_>>> {
        let found = match self.query() {
            Some(found) => found,
            None => self.line(),
        };
        match found {
            Ok(Some((mapping, name))) => Ok(Some(Mapping { name: &self.buffer[name], ..mapping })),
            Ok(None) => {
                self.state = State::End;
                Ok(None)
            }
            Err(errno) => {
                self.state = State::End;
                Err(errno)
            }
        }
    }

    /// Finds the next mapping with `PROCMAP_QUERY`. Returns `None` if the text is to be read
    /// instead.
    fn query(&mut self) -> Option<syscall::Result<Option<Found>>> {
        let State::Query { next } = self.state else { return None };
        let buffer = &mut self.buffer[..PATH_MAX as usize];
        let ask = |name: &mut [u8]| {
            syscall::procmap_query(self.file.as_fd(), next, ProcmapFlags::COVERING_OR_NEXT, name)
        };
        let (answer, name_is_cut) = match ask(buffer) {
            Err(Errno::ENAMETOOLONG) => (ask(&mut []), true),
            answer => (answer, false),
        };
        match answer {
            Ok(mapping) => {
                self.state = match mapping.end {
                    // The mapping ends at the end of the address space.
                    0 => State::End,
                    next => State::Query { next },
                };
                Some(Ok(Some(found(mapping, name_is_cut))))
            }
            Err(Errno::ENOENT) => Some(Ok(None)),
            // Kernels before Linux 6.11 do not know the request, and a seccomp filter may refuse
            // it.
            Err(_) if next == 0 => {
                self.state = State::Text { unread: 0..0, skip: false };
                None
            }
            Err(errno) => Some(Err(errno)),
        }
    }

    /// Finds the next mapping in the text.
    fn line(&mut self) -> syscall::Result<Option<Found>> {
        let State::Text { unread, skip } = &mut self.state else { return Ok(None) };
        let (line, name_is_cut) = loop {
            let text = &self.buffer[unread.clone()];
            if let Some(length) = text.iter().position(|&byte| byte == b'\n') {
                let line = unread.start..unread.start + length;
                unread.start = line.end + 1;
                if !core::mem::take(skip) {
                    break (line, false);
                }
                continue;
            }
            if *skip {
                *unread = 0..0;
            } else if text.len() == ROOM {
                *unread = 0..0;
                *skip = true;
                break (0..ROOM, true);
            }
            self.buffer.copy_within(unread.clone(), 0);
            *unread = 0..unread.len();
            match syscall::read(self.file.as_fd(), &mut self.buffer[unread.end..]) {
                Ok(0) if unread.end == 0 => return Ok(None),
                Ok(0) => break (core::mem::take(unread), false),
                Ok(count) => unread.end += count,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        };
        let mapping = Mapping::parse(&self.buffer[line.clone()]).ok_or(Errno::EINVAL)?;
        let from = line.end - mapping.name.len();
        let mapping = Mapping { name: &[], name_is_cut, ..mapping };
        let length = unescape(&mut self.buffer[from..line.end]);
        Ok(Some((mapping, from..from + length)))
    }
}

/// A mapping without its name, and the range of the buffer that contains the name.
type Found = (Mapping<'static>, Range<usize>);

/// Converts an answer of the kernel.
fn found(mapping: syscall::Procmap, name_is_cut: bool) -> Found {
    let mut prot = ProtFlags::empty();
    prot.set(ProtFlags::READ, mapping.flags.contains(ProcmapFlags::READABLE));
    prot.set(ProtFlags::WRITE, mapping.flags.contains(ProcmapFlags::WRITABLE));
    prot.set(ProtFlags::EXEC, mapping.flags.contains(ProcmapFlags::EXECUTABLE));
    let name = 0..mapping.name_len;
    let mapping = Mapping {
        start: mapping.start,
        end: mapping.end,
        prot,
        shared: mapping.flags.contains(ProcmapFlags::SHARED),
        offset: mapping.offset,
        device: mapping.device,
        inode: mapping.inode,
        name: &[],
        name_is_cut,
    };
    (mapping, name)
}

impl fmt::Debug for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maps").field("file", &self.file).finish_non_exhaustive()
    }
}
