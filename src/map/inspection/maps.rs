//! The mappings of a process, one after another.

use core::{ffi::CStr, fmt, ops::Range};

use linux_raw_sys::general::PATH_MAX;

use super::{Mapping, mapping::unescape};
use crate::decimal::Decimal;
use crate::fd::{AsFd, OwnedFd};
use crate::map::Result;
use crate::syscall::{self, Errno, Mode, OFlags, Pid, ProcmapFlags, ProtFlags};

/// The mappings of this process, from the lowest address to the highest.
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
/// Those of opening `/proc/self/maps`: `ENOENT` where there is no `/proc`.
pub fn maps() -> Result<Maps> {
    Maps::open(c"/proc/self/maps")
}

/// The mappings of another process.
///
/// # Errors
///
/// `ENOENT`: no such process. `EACCES`: not ours to look into (ptrace(2)).
pub fn maps_of(process: Pid) -> Result<Maps> {
    // A negative number is no process's, and no name under /proc.
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

/// The mappings of a process, from the lowest address to the highest: of [`maps`] and
/// [`maps_of`].
///
/// No memory is allocated: a mapping's name is borrowed from here, which is why this is no
/// [`Iterator`]. It has the room for a path, some 4 KiB.
///
/// The kernel is asked for one mapping at a time (`PROCMAP_QUERY`, Linux 6.11); before, its
/// text is read (`/proc/PID/maps`). The text also has `[vsyscall]`, which is no mapping of
/// the process's; and in it a path with the four characters `\012` looks like one with the
/// end of a line.
///
/// # While mappings change
///
/// Only what one call of the kernel's tells is of one moment: each single mapping if it is
/// asked for them, and as many lines as fit if its text is read. Another thread's mapping,
/// made or removed meanwhile, may be told or not; one that grows or is joined to its
/// neighbour may be told in both states. What nobody changes is told once.
///
/// Source: proc_pid_maps(5), and the kernel's `Documentation/filesystems/proc.rst`.
pub struct Maps {
    file: OwnedFd,
    way: Way,
    buffer: [u8; ROOM],
}

/// A path and a NUL, or a line of text with a path.
pub(super) const ROOM: usize = PATH_MAX as usize + 128;

enum Way {
    /// The next mapping is at this address or above.
    Query { next: u64 },
    /// These bytes of the buffer are still to be looked at; and whether they, and what comes
    /// up to the next end of a line, are the rest of one that was too long.
    Text { unread: Range<usize>, skip: bool },
    /// After the last, or an error.
    End,
}

impl Maps {
    /// The mappings that a text tells in the form of `/proc/PID/maps`, as one that was saved.
    #[must_use]
    pub fn from_text(file: OwnedFd) -> Maps {
        let way = Way::Text { unread: 0..0, skip: false };
        Maps { file, way, buffer: [0; ROOM] }
    }

    fn open(path: &CStr) -> syscall::Result<Maps> {
        let file = syscall::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Maps { way: Way::Query { next: 0 }, ..Maps::from_text(file) })
    }

    /// Returns the next mapping, or `None` after the last.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a line of the text is not that of a mapping. Otherwise those of
    /// [`procmap_query`](syscall::procmap_query()) and [`read`](syscall::read), as `ESRCH`: the
    /// process has ended. After an error there is nothing more.
    #[allow(clippy::should_implement_trait, reason = "what it returns is borrowed")]
    pub fn next(&mut self) -> Result<Option<Mapping<'_>>> {
        let found = match self.query() {
            Some(found) => found,
            None => self.line(),
        };
        match found {
            Ok(Some((mapping, name))) => Ok(Some(Mapping { name: &self.buffer[name], ..mapping })),
            Ok(None) => {
                self.way = Way::End;
                Ok(None)
            }
            Err(errno) => {
                self.way = Way::End;
                Err(errno)
            }
        }
    }

    /// Asks for the next mapping; `None` if the text is to be read instead.
    fn query(&mut self) -> Option<syscall::Result<Option<Found>>> {
        let Way::Query { next } = self.way else { return None };
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
                self.way = match mapping.end {
                    // Beyond the last address there is none.
                    0 => Way::End,
                    next => Way::Query { next },
                };
                Some(Ok(Some(found(mapping, name_is_cut))))
            }
            Err(Errno::ENOENT) => Some(Ok(None)),
            // The kernel does not know the request, or a filter does not let it through.
            Err(_) if next == 0 => {
                self.way = Way::Text { unread: 0..0, skip: false };
                None
            }
            Err(errno) => Some(Err(errno)),
        }
    }

    /// Reads the next mapping from the text.
    fn line(&mut self) -> syscall::Result<Option<Found>> {
        let Way::Text { unread, skip } = &mut self.way else { return Ok(None) };
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

/// A mapping without its name, and where in the buffer that is.
type Found = (Mapping<'static>, Range<usize>);

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
