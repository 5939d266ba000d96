//! A mapping, and its line in `/proc/PID/maps`.

use core::fmt::{self, Write};

use crate::syscall::ProtFlags;

/// A mapping of a process, as the kernel describes it.
///
/// `Display` writes it as a line of `/proc/PID/maps`, without the newline. In a name that is not
/// UTF-8, invalid bytes are written as replacement characters.
///
/// Source: proc_pid_maps(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapping<'name> {
    /// The first address. It is a `u64`, because another process may have longer addresses than
    /// this one.
    pub start: u64,
    /// The address after the last byte.
    pub end: u64,
    /// The protection of the mapping.
    pub prot: ProtFlags,
    /// Whether the mapping is shared (`MAP_SHARED`). Otherwise it is private.
    pub shared: bool,
    /// The offset of the mapping in its file, in bytes, or zero if it has no file.
    pub offset: u64,
    /// The major and minor number of the file's device, or zeros if the mapping has no file.
    ///
    /// On btrfs, and on overlayfs over several file systems, it differs from the device that
    /// fstat(2) reports for the file.
    pub device: (u32, u32),
    /// The inode number of the file, or zero if the mapping has no file.
    pub inode: u64,
    /// The path of the file, or a name by the kernel such as `[heap]`, or empty. If the file was
    /// deleted, the path is its last one, followed by ` (deleted)`.
    ///
    /// Paths are bytes. The kernel writes a newline in a path as `\012`. [`Maps`](crate::map::Maps)
    /// converts it back to a newline, and [`parse`](Mapping::parse) does not.
    pub name: &'name [u8],
    /// Whether the name is longer than `PATH_MAX`. In this case, `name` is truncated or empty.
    pub name_is_cut: bool,
}

impl<'name> Mapping<'name> {
    /// Parses a line of `/proc/PID/maps`, without its newline. Returns `None` if the line does
    /// not have the format of such a line. Does not check whether `end` is above `start`.
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

    /// Returns whether the mapping contains an address.
    #[must_use]
    pub const fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// Returns the length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Returns whether the mapping is empty. The kernel never reports an empty mapping.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the file was deleted.
    ///
    /// The result is also `true` for a file that never had a name, such as a
    /// [`Memfd`](crate::map::Memfd) or shared anonymous memory, and for an existing file whose name
    /// ends with ` (deleted)`.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.inode != 0 && self.name.ends_with(b" (deleted)")
    }
}

/// Splits a line at its first space. `None` if there is nothing before it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (!word.is_empty()).then_some((word, rest.get(1..).unwrap_or_default()))
}

/// Parses two hexadecimal numbers with a separator between them.
fn pair(text: &[u8], between: u8) -> Option<(u64, u64)> {
    let middle = text.iter().position(|&byte| byte == between)?;
    Some((number(&text[..middle], 16)?, number(&text[middle + 1..], 16)?))
}

/// Parses a number without a sign. `None` if it has no digits or does not fit.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, &digit| {
        let digit = char::from(digit).to_digit(radix)?;
        sum.checked_mul(radix.into())?.checked_add(digit.into())
    })
}

/// The column of the name in the lines of the kernel (`show_map_vma` in `fs/proc/task_mmu.c`).
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

/// Counts the bytes that are written.
struct Counted<'a, 'b>(&'a mut fmt::Formatter<'b>, usize);

impl Write for Counted<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.1 += text.len();
        self.0.write_str(text)
    }
}

/// The escape sequence that the kernel writes for a newline in a path.
const NEWLINE: &str = "\\012";

/// Replaces each `\012` by a newline, and returns the new length.
pub(super) fn unescape(name: &mut [u8]) -> usize {
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

        /// Lines that consist of plausible words, which random bytes hardly ever do.
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
