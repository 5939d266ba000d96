//! The mappings of a process, one after another.

use core::{
    ffi::CStr,
    fmt::{self, Write},
    ops::Range,
};

use linux_raw_sys::general::PATH_MAX;

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

/// One mapping, as the kernel describes it. `Display` writes it as a line of
/// `/proc/PID/maps` (proc_pid_maps(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapping<'name> {
    /// Its first address. Of another process, which may have longer ones.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// What may be done to it.
    pub prot: ProtFlags,
    /// Whether it is shared with all who map the same; otherwise it is private.
    pub shared: bool,
    /// Where in the file it begins, in bytes. Zero if there is no file.
    pub offset: u64,
    /// The device that the file is on, major and minor number.
    pub device: (u32, u32),
    /// The file's number on that device. Zero if there is no file.
    pub inode: u64,
    /// The file's path, or what the kernel says instead, as `[heap]`; empty if nothing. A
    /// file that has no name any more has the path of its last, and ` (deleted)` after it.
    ///
    /// Paths are bytes. A line of text has `\012` for each end of a line in a path, and so
    /// here as well after [`parse`](Mapping::parse); [`Maps`] makes it the one byte again.
    pub name: &'name [u8],
    /// Whether the name is longer than `PATH_MAX`. It is then without its end, or empty.
    pub name_is_cut: bool,
}

impl<'name> Mapping<'name> {
    /// The mapping that a line of `/proc/PID/maps` tells, without the end of the line;
    /// `None` if it is no such line.
    #[must_use]
    pub fn parse(line: &'name [u8]) -> Option<Mapping<'name>> {
        let (range, rest) = word(line)?;
        let (prot, rest) = word(rest)?;
        let (offset, rest) = word(rest)?;
        let (device, rest) = word(rest)?;
        let (inode, rest) = word(rest)?;
        let (start, end) = pair(range, b'-')?;
        let (major, minor) = pair(device, b':')?;
        let name = rest.iter().position(|&byte| byte != b' ').unwrap_or(rest.len());
        let &[read @ (b'r' | b'-'), write @ (b'w' | b'-'), exec @ (b'x' | b'-'), kind] = prot
        else {
            return None;
        };
        let mut prot = ProtFlags::empty();
        prot.set(ProtFlags::READ, read == b'r');
        prot.set(ProtFlags::WRITE, write == b'w');
        prot.set(ProtFlags::EXEC, exec == b'x');
        Some(Mapping {
            start,
            end,
            prot,
            shared: match kind {
                b's' => true,
                b'p' => false,
                _ => return None,
            },
            offset: number(offset, 16)?,
            device: (major.try_into().ok()?, minor.try_into().ok()?),
            inode: number(inode, 10)?,
            name: &rest[name..],
            name_is_cut: false,
        })
    }

    /// Whether an address is in it.
    #[must_use]
    pub const fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it has no bytes: none of the kernel's is so.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the file has no name any more. (A file may be called `… (deleted)`, too.)
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.inode != 0 && self.name.ends_with(b" (deleted)")
    }
}

/// What comes before the next space, and what after.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (!word.is_empty()).then_some((word, rest.get(1..).unwrap_or_default()))
}

/// Two hexadecimal numbers.
fn pair(text: &[u8], between: u8) -> Option<(u64, u64)> {
    let middle = text.iter().position(|&byte| byte == between)?;
    Some((number(&text[..middle], 16)?, number(&text[middle + 1..], 16)?))
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, &digit| {
        let digit = char::from(digit).to_digit(radix)?;
        sum.checked_mul(radix.into())?.checked_add(digit.into())
    })
}

/// The column of the name, which is the kernel's own.
const NAME: usize = 25 + 6 * size_of::<usize>();

impl fmt::Display for Mapping<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let may = |what, letter| if self.prot.contains(what) { letter } else { '-' };
        let mut f = Counted(f, 0);
        write!(
            f,
            "{:08x}-{:08x} {}{}{}{} {:08x} {:02x}:{:02x} {} ",
            self.start,
            self.end,
            may(ProtFlags::READ, 'r'),
            may(ProtFlags::WRITE, 'w'),
            may(ProtFlags::EXEC, 'x'),
            if self.shared { 's' } else { 'p' },
            self.offset,
            self.device.0,
            self.device.1,
            self.inode,
        )?;
        if self.name.is_empty() {
            return Ok(());
        }
        while f.1 < NAME {
            f.write_char(' ')?;
        }
        for chunk in self.name.utf8_chunks() {
            for (index, part) in chunk.valid().split('\n').enumerate() {
                if index != 0 {
                    f.write_str(NEWLINE)?;
                }
                f.write_str(part)?;
            }
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

/// Knows how much was written.
struct Counted<'a, 'b>(&'a mut fmt::Formatter<'b>, usize);

impl Write for Counted<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.1 += text.len();
        self.0.write_str(text)
    }
}

/// How the kernel writes the end of a line in a path.
const NEWLINE: &str = "\\012";

/// Makes each `\012` one byte, and tells the new length.
fn unescape(name: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while from < name.len() {
        if name[from..].starts_with(NEWLINE.as_bytes()) {
            name[to] = b'\n';
            from += NEWLINE.len();
        } else {
            name[to] = name[from];
            from += 1;
        }
        to += 1;
    }
    to
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{string::ToString, vec::Vec};

    #[test]
    fn a_line() {
        let line = b"7f37591a8000-7f37591aa000 rw-s 00033000 fe:00 325843      /lib/x y (deleted)";
        let mapping = Mapping {
            start: 0x7f37_591a_8000,
            end: 0x7f37_591a_a000,
            prot: ProtFlags::READ | ProtFlags::WRITE,
            shared: true,
            offset: 0x33000,
            device: (0xfe, 0),
            inode: 325843,
            name: b"/lib/x y (deleted)",
            name_is_cut: false,
        };
        assert_eq!(Mapping::parse(line), Some(mapping));
        assert!(mapping.is_deleted());
        assert_eq!((mapping.len(), mapping.is_empty()), (0x2000, false));
        for (address, inside) in [
            (0x7f37_591a_7fff, false),
            (0x7f37_591a_8000, true),
            (0x7f37_591a_9fff, true),
            (0x7f37_591a_a000, false),
        ] {
            assert_eq!(mapping.contains(address), inside);
        }
    }

    #[test]
    fn lines_that_are_none() {
        for line in [
            "",
            "0-1000 rw-p 0 0:0",
            "0-1000 rw-p 0 0:0 ",
            "0-1000  rw-p 0 0:0 0",
            "-1000 rw-p 0 0:0 0",
            "0 rw-p 0 0:0 0",
            "0-1000 rw-x 0 0:0 0",
            "0-1000 wr-p 0 0:0 0",
            "0-1000 rw-pp 0 0:0 0",
            "0-1000 rw-p 0 00 0",
            "0-1000 rw-p 0 0:100000000 0",
            "0-10000000000000000 rw-p 0 0:0 0",
            "0-1000 rw-p g 0:0 0",
            "0-1000 rw-p 0 0:0 a",
            "+0-1000 rw-p 0 0:0 0",
        ] {
            assert_eq!(Mapping::parse(line.as_bytes()), None, "{line}");
        }
        assert!(Mapping::parse(b"0-1000 rw-p 0 0:0 0").is_some());
    }

    fn mappings() -> impl Strategy<Value = (Mapping<'static>, std::string::String)> {
        let numbers = any::<(u64, u64, u64, u64, (u32, u32), bool)>();
        (numbers, 0_u32..8, "([/\\[][^\n]{0,40})?").prop_map(|(numbers, prot, name)| {
            let (start, end, offset, inode, device, shared) = numbers;
            let prot = ProtFlags::from_bits_retain(prot);
            let mapping = Mapping::parse(b"0-1 ---p 0 0:0 0").unwrap();
            (Mapping { start, end, prot, shared, offset, device, inode, ..mapping }, name)
        })
    }

    proptest! {
        #[test]
        fn a_printed_mapping_parses_back((mapping, name) in mappings()) {
            let mapping = Mapping { name: name.as_bytes(), ..mapping };
            let line = mapping.to_string();
            prop_assert_eq!(Mapping::parse(line.as_bytes()), Some(mapping), "{}", line);
        }

        #[test]
        fn no_line_panics(line: Vec<u8>) {
            if let Some(mapping) = Mapping::parse(&line) {
                prop_assert!(line.ends_with(mapping.name));
            }
        }

        /// Words that lines are made of, which random bytes hardly ever are.
        #[test]
        fn no_line_of_such_words_panics(
            line in "[0-9a-f]{0,17}-?[0-9a-f]{0,17} [rwxps-]{3,5} [0-9a-fx]{0,17} [0-9:]{0,9} \
                     [0-9]{0,21} {0,3}[ /\\[a]{0,5}",
        ) {
            if let Some(mapping) = Mapping::parse(line.as_bytes()) {
                let again = mapping.to_string();
                prop_assert_eq!(Mapping::parse(again.as_bytes()), Some(mapping));
            }
        }

        #[test]
        fn a_newline_is_four_characters_and_one_again(name in "/[a\n\\\\012]{0,20}") {
            let escaped = name.replace('\n', NEWLINE);
            let mut bytes = escaped.clone().into_bytes();
            let length = unescape(&mut bytes);
            bytes.truncate(length);
            prop_assert_eq!(bytes, escaped.replace(NEWLINE, "\n").into_bytes());

            let mapping = Mapping::parse(b"0-1 ---p 0 0:0 0").unwrap();
            let line = Mapping { name: name.as_bytes(), ..mapping }.to_string();
            prop_assert!(line.ends_with(&escaped) && !line.contains('\n'), "{}", line);
        }
    }
}
