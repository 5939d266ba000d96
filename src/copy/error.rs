//! What went wrong, in one line.

use core::{
    ffi::CStr,
    fmt::{self, Write},
};

use crate::syscall::Errno;

/// Why a copy failed. `Display` gives one line without a newline.
#[derive(Clone, Copy, Debug)]
pub struct Error<'a> {
    /// What was tried.
    pub action: Action,
    /// On what.
    pub path: Path<'a>,
    /// Why it failed.
    pub cause: Cause,
}

macro_rules! actions {
    ($($name:ident = $text:literal,)*) => {
        /// What was tried. `Display` gives it as it follows the word "cannot".
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Action {
            $(#[doc = concat!("To ", $text, " it.")] $name,)*
        }

        impl Action {
            /// The one that is this as a number.
            pub(super) fn from_number(number: u32) -> Action {
                match number {
                    $(number if number == Action::$name as u32 => Action::$name,)*
                    _ => Action::Copy, // never so
                }
            }
        }

        impl fmt::Display for Action {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Action::$name => $text,)* })
            }
        }
    };
}

actions! {
    Open = "open",
    Examine = "examine",
    Copy = "copy",
    CopyTo = "copy to",
    Replace = "replace",
    Sync = "write to the disk",
    SyncDirectory = "write to the disk the directory of",
    CreateBeside = "create a file beside",
    Name = "give the copy the name",
    KeepOwner = "keep the owner and the access list of",
    CloneTo = "clone to",
    KernelCopy = "copy within the kernel",
    Map = "map",
    Write = "write to",
    Read = "read",
    SetLength = "set the length of",
    Reserve = "reserve space for",
    SetMode = "set the permissions of",
    SetTimes = "set the times of",
    ReadAttributes = "read the attributes of",
    SetAttribute = "set an attribute of",
}

/// Why it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The kernel said so.
    Errno(Errno),
    /// Source and destination are one file, by whatever names.
    SameFile,
    /// The destination is a symbolic link that leads nowhere. What it was meant to
    /// lead to is not guessed.
    DanglingLink,
    /// The source became shorter while it was copied, or a page of it could not be read.
    Shrunk,
    /// The source ends before the size that its file system reports.
    EndsEarly,
    /// The destination became shorter while it was written to in place.
    CutOff,
    /// The destination has another length than what was copied to it.
    OtherLength,
    /// One of the processes that copied was killed.
    Worker,
    /// The file system reported success and changed nothing.
    Ignored,
    /// Another source of the same name has been copied there by the same command.
    JustCopied,
}

/// Where the numbers of other causes begin: beyond every errno.
const OTHER: u16 = Errno::MAX + 1;

impl Cause {
    /// A number for it, by which it can be found again.
    #[inline]
    pub(super) fn number(self) -> u16 {
        match self {
            Cause::Errno(errno) => errno.number(),
            Cause::SameFile => OTHER,
            Cause::DanglingLink => OTHER + 1,
            Cause::Shrunk => OTHER + 2,
            Cause::CutOff => OTHER + 3,
            Cause::Worker => OTHER + 4,
            Cause::JustCopied => OTHER + 5,
            Cause::Ignored => OTHER + 6,
            Cause::EndsEarly => OTHER + 7,
            Cause::OtherLength => OTHER + 8,
        }
    }

    pub(super) fn from_number(number: u16) -> Cause {
        match number.checked_sub(OTHER) {
            None => Cause::Errno(Errno::new(number)),
            Some(0) => Cause::SameFile,
            Some(1) => Cause::DanglingLink,
            Some(2) => Cause::Shrunk,
            Some(3) => Cause::CutOff,
            Some(4) => Cause::Worker,
            Some(5) => Cause::JustCopied,
            Some(6) => Cause::Ignored,
            Some(7) => Cause::EndsEarly,
            Some(_) => Cause::OtherLength,
        }
    }
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Cause {
        Cause::Errno(errno)
    }
}

// Written piece by piece: `{}` of a string would bring in the code for padding it.
impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot ")?;
        self.action.fmt(f)?;
        f.write_str(" ")?;
        self.path.fmt(f)?;
        f.write_str(": ")?;
        self.cause.fmt(f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Errno(errno) => return errno.fmt(f),
            Cause::SameFile => "it is the same file as the source",
            Cause::DanglingLink => "it is a symbolic link that leads nowhere",
            Cause::Shrunk => "it became shorter or unreadable while it was copied",
            Cause::EndsEarly => "it ends before the size that its file system reports",
            Cause::CutOff => "it became shorter while it was written to",
            Cause::OtherLength => "it is not that of what was copied",
            Cause::Worker => "a process that copied was killed",
            Cause::Ignored => "the file system ignores the change",
            Cause::JustCopied => "another source of that name has just been copied there",
        })
    }
}

impl core::error::Error for Error<'_> {}

/// Where a file is: a path, or a name in the directory of that path. Displayed as [`Quoted`].
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    /// The path as it was given.
    pub base: &'a CStr,
    /// The name, if the path is that of a directory.
    pub name: Option<&'a CStr>,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        quoted(self.base.to_bytes(), f)?;
        if let Some(name) = self.name {
            if !self.base.to_bytes().ends_with(b"/") {
                f.write_str("/")?;
            }
            quoted(name.to_bytes(), f)?;
        }
        f.write_str("'")
    }
}

/// Text from outside in a message: between quotes, on one line, and plain text whatever its
/// bytes are. Control characters, quotes, backslashes and bytes that are not UTF-8
/// stand as `\x` and two hexadecimal digits each.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        quoted(self.0, f)?;
        f.write_str("'")
    }
}

#[inline(never)]
fn quoted(mut text: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    while let Some(&byte) = text.first() {
        let length = match character(text) {
            Some(char) if !needs_escape(byte) => {
                f.write_char(char)?;
                char.len_utf8()
            }
            _ => {
                escape(byte, f)?;
                1
            }
        };
        text = text.get(length..).unwrap_or_default();
    }
    Ok(())
}

/// The character with which a text begins, if its bytes are those that UTF-8 has for one.
/// (`utf8_chunks` knows it as well, and much faster: it takes a kilobyte more.)
fn character(text: &[u8]) -> Option<char> {
    let (&first, rest) = text.split_first()?;
    let more = match first {
        ..0x80 => return Some(first.into()),
        0xc0..0xe0 => 1,
        0xe0..0xf0 => 2,
        0xf0..0xf8 => 3,
        _ => return None,
    };
    let mut code = u32::from(first & 0x3f >> more);
    for &byte in rest.get(..more)? {
        if byte & 0xc0 != 0x80 {
            return None;
        }
        code = code << 6 | u32::from(byte & 0x3f);
    }
    // Not one that has a shorter form, and no surrogate.
    char::from_u32(code).filter(|char| char.len_utf8() == more + 1)
}

fn needs_escape(byte: u8) -> bool {
    byte.is_ascii_control() || byte == b'\'' || byte == b'\\'
}

#[inline(never)]
fn escape(byte: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let text = [b'\\', b'x', hex(byte >> 4), hex(byte)];
    // SAFETY: nothing but ASCII characters.
    f.write_str(unsafe { str::from_utf8_unchecked(&text) })
}

/// The hexadecimal digit for the lowest four bits.
pub(super) fn hex(number: u8) -> u8 {
    match number & 15 {
        value @ ..10 => b'0' + value,
        value => b'a' + value - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{format, string::ToString};

    #[test]
    fn one_line_for_each_error() {
        let path = Path { base: c"a b", name: None };
        let line = |action, cause| Error { action, path, cause }.to_string();
        assert_eq!(
            line(Action::Open, Cause::Errno(Errno::ENOENT)),
            "cannot open 'a b': No such file or directory (ENOENT)"
        );
        assert_eq!(
            line(Action::CopyTo, Cause::SameFile),
            "cannot copy to 'a b': it is the same file as the source"
        );
        assert_eq!(
            line(Action::CopyTo, Cause::DanglingLink),
            "cannot copy to 'a b': it is a symbolic link that leads nowhere"
        );
        assert_eq!(
            line(Action::Copy, Cause::Shrunk),
            "cannot copy 'a b': it became shorter or unreadable while it was copied"
        );
    }

    #[test]
    fn a_name_in_a_directory() {
        let path = |base, name| Path { base, name }.to_string();
        assert_eq!(path(c"a", Some(c"b'")), r"'a/b\x27'");
        assert_eq!(path(c"a/", Some(c"b")), "'a/b'");
        assert_eq!(path(c"/", Some(c"b")), "'/b'");
    }

    #[test]
    fn any_bytes_are_one_line_of_text() {
        let quoted = |path: &CStr| format!("{}", Quoted(path.to_bytes()));
        assert_eq!(quoted(c"plain \xc3\xa9"), "'plain é'");
        assert_eq!(quoted(c"a\nb\t\x1b[0m\x7f"), r"'a\x0ab\x09\x1b[0m\x7f'");
        assert_eq!(quoted(c"it's \\"), r"'it\x27s \x5c'");
        assert_eq!(quoted(c"\xff\xfe\xc3"), r"'\xff\xfe\xc3'");
        assert_eq!(quoted(c""), "''");
    }

    proptest! {
        #[test]
        fn what_utf_8_is_the_standard_library_knows(
            text in proptest::collection::vec(prop_oneof![any::<u8>(), 0x80u8..0xc0, 0xe0u8..], 0..9)
        ) {
            let plain = std::string::String::from_utf8_lossy(&text).chars().next();
            let valid = text.utf8_chunks().next().is_some_and(|chunk| !chunk.valid().is_empty());
            prop_assert_eq!(character(&text), plain.filter(|_| valid));
        }
    }
}
