//! Model tests of the parser of `/proc/PID/maps`, on random lines and on a random text that
//! arrives in pieces.

use std::{format, io::Write, os::fd::IntoRawFd, string::String, thread, vec::Vec};

use linux_raw_sys::general::PATH_MAX;

use super::{Mapping, Maps, maps::ROOM};
use crate::fd::{FromRawFd, OwnedFd};
use crate::fuzz::{Random, fuzz};
use crate::syscall::ProtFlags;

/// Returns a line as the kernel writes it, without its newline: numbers are padded with zeros,
/// and the name begins at its column (`show_map_vma` and `seq_pad` in the kernel's `fs/proc`).
fn line(random: &mut Random) -> Vec<u8> {
    let mut hex = |width: usize| format!("{:0width$x}", random.number());
    let (start, end, offset) = (hex(8), hex(8), hex(8));
    let flags: String = ["r-", "w-", "x-", "sp"]
        .iter()
        .map(|pair| char::from(pair.as_bytes()[random.below(2)]))
        .collect();
    let device = (random.number() as u32, random.number() as u32);
    let (major, minor, inode) = (device.0, device.1, random.number());
    let line = format!("{start}-{end} {flags} {offset} {major:02x}:{minor:02x} {inode} ");
    let mut line = line.into_bytes();
    if random.once_in(3) {
        return line;
    }
    line.resize(line.len().max(73), b' ');
    line.push(random.one_of(b"/["));
    let most = if random.once_in(10) { 2 * ROOM } else { 60 };
    line.extend(random.text(most, b"/\\012] (d"));
    line.retain(|&byte| byte != b'\n');
    if random.once_in(4) {
        line.extend(b" (deleted)");
    }
    line
}

/// Returns a line with mistakes, or a line of words from such lines.
fn garbage(random: &mut Random) -> Vec<u8> {
    if random.once_in(4) {
        let pieces = ["0", "1f", "-", "+", " ", "  ", "r-xp", "rw", ":", "/", "0x", "g", "\u{e9}"];
        let digits =
            ["ffffffffffffffff", "10000000000000000", "18446744073709551616", "4294967296"];
        return random.words(20, &[&pieces[..], &digits].concat()).into_bytes();
    }
    let mut line = line(random);
    for _ in 0..1 + random.below(3) {
        let at = random.below(line.len().min(90) + 1);
        match random.below(4) {
            0 => line.truncate(at),
            1 => line.insert(at, random.one_of(b" -:0fprx\x00\xff+")),
            2 if at < line.len() => drop(line.remove(at)),
            _ if at < line.len() => line[at] = random.one_of(b" -:0fgspwx\x00\xff+"),
            _ => {}
        }
    }
    line.retain(|&byte| byte != b'\n');
    line
}

/// Parses a line with the standard library, as the model of [`Mapping::parse`].
fn parse(line: &[u8]) -> Option<Mapping<'_>> {
    let mut words = line.splitn(6, |&byte| byte == b' ');
    let mut word = || str::from_utf8(words.next()?).ok();
    let number = |text: &str, radix| {
        let is_digit = |char: char| char.is_digit(radix);
        text.chars().all(is_digit).then(|| u64::from_str_radix(text, radix).ok())?
    };
    let (start, end) = word()?.split_once('-')?;
    let flags = word()?.as_bytes();
    let offset = number(word()?, 16)?;
    let (major, minor) = word()?.split_once(':')?;
    let inode = number(word()?, 10)?;
    let name = words.next().unwrap_or_default();
    let all = [ProtFlags::READ, ProtFlags::WRITE, ProtFlags::EXEC];
    let mut prot = ProtFlags::empty();
    for (index, one) in all.into_iter().enumerate() {
        match *flags.get(index)? {
            b'-' => {}
            letter if letter == b"rwx"[index] => prot |= one,
            _ => return None,
        }
    }
    Some(Mapping {
        start: number(start, 16)?,
        end: number(end, 16)?,
        prot,
        shared: match &flags[3..] {
            b"s" => true,
            b"p" => false,
            _ => return None,
        },
        offset,
        device: (number(major, 16)?.try_into().ok()?, number(minor, 16)?.try_into().ok()?),
        inode,
        name: &name[name.iter().take_while(|&&byte| byte == b' ').count()..],
        name_is_cut: false,
    })
}

#[test]
fn lines_of_maps_are_parsed_like_the_model() {
    let make = |random: &mut Random| {
        let line = if random.once_in(2) { line(random) } else { garbage(random) };
        line.into_boxed_slice()
    };
    fuzz("a line of maps", make, |line| {
        let found = Mapping::parse(line);
        assert_eq!(found, parse(line), "{}", line.escape_ascii());
        // A name that is UTF-8 is printed in the format of the kernel, and parses back.
        if let Some(mapping) = found.filter(|mapping| str::from_utf8(mapping.name).is_ok()) {
            let again = format!("{mapping}");
            assert_eq!(Mapping::parse(again.as_bytes()), Some(mapping), "{again}");
        }
    });
}

/// Returns what `Maps` should return for a line: the name is truncated if the line does not fit
/// into the buffer, and has newlines.
fn expected(line: &[u8]) -> Option<(Mapping<'static>, Vec<u8>)> {
    let name_is_cut = line.len() >= ROOM;
    let mapping = parse(&line[..line.len().min(ROOM)])?;
    let mut name = Vec::new();
    let mut rest = mapping.name;
    while let Some((&first, after)) = rest.split_first() {
        let newline = rest.strip_prefix(b"\\012");
        name.push(if newline.is_some() { b'\n' } else { first });
        rest = newline.unwrap_or(after);
    }
    Some((Mapping { name: b"", name_is_cut, ..mapping }, name))
}

#[test]
fn text_of_maps_is_read_like_the_model() {
    // The lengths of the pieces in which another thread writes the text. The seed does not
    // determine how much of it each read returns.
    let make = |random: &mut Random| {
        let mut text = Vec::new();
        for _ in 0..random.below(12) {
            let one = if random.once_in(20) { garbage(random) } else { line(random) };
            text.extend(one);
            text.push(b'\n');
        }
        if random.once_in(3) {
            text.pop();
        }
        text.truncate(4 * PATH_MAX as usize);
        let mut pieces = Vec::new();
        let mut rest = text.len();
        while rest != 0 && pieces.len() < 11 {
            let piece = (1 + random.number() as usize % PATH_MAX as usize).min(rest);
            pieces.push(piece);
            rest -= piece;
        }
        (text, pieces)
    };
    fuzz("a text of maps", make, |(text, pieces)| {
        let mut wanted: Vec<_> = text.split(|&byte| byte == b'\n').map(expected).collect();
        if text.last().is_none_or(|&byte| byte == b'\n') {
            wanted.pop();
        }
        let (reader, mut writer) = std::io::pipe().unwrap();
        // SAFETY: given up just now.
        let mut maps = Maps::from_text(unsafe { OwnedFd::from_raw_fd(reader.into_raw_fd()) });
        let mut rest = &text[..];
        thread::scope(|scope| {
            scope.spawn(move || {
                for &piece in pieces {
                    let (now, later) = rest.split_at(piece);
                    if writer.write_all(now).is_err() {
                        return;
                    }
                    rest = later;
                    thread::yield_now();
                }
                let _ = writer.write_all(rest);
            });
            for wanted in wanted {
                let found = maps.next().map(|found| {
                    let found = found.unwrap();
                    let name = found.name.to_vec();
                    (Mapping { name: b"", ..found }, name)
                });
                let failed = wanted.is_none();
                assert_eq!(found.ok(), wanted);
                if failed {
                    break;
                }
            }
            assert_eq!(maps.next(), Ok(None));
            drop(maps);
        });
    });
}
