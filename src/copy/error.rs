//! The error of a copy: what was tried, on which path, and why it failed.

use core::{
    ffi::CStr,
    fmt::{self, Write},
};

use linux_raw_sys::general::XATTR_NAME_MAX;

use super::text::Text;
use crate::syscall::Errno;

/// Describes a failed copy: the action, the path and the cause.
///
/// `Display` writes one line without a newline: `cannot`, the action, the quoted path, a colon and
/// the cause, and says so if the destination is partly overwritten. Example:
/// `cannot open 'a': No such file or directory (ENOENT)`.
#[derive(Clone, Copy, Debug)]
pub struct Error<'a> {
    /// What the copy tried to do.
    pub action: Action,
    /// The file on which it was tried.
    pub path: Path<'a>,
    /// Why it failed.
    pub cause: Cause,
    /// Whether an existing file was to be replaced, which needs room for both and the permission to
    /// rename. [`Options::in_place`](super::Options::in_place) needs neither.
    pub replaces: bool,
    /// Whether the existing destination is partly overwritten, because it was not replaced
    /// atomically ([`Copied::in_place`](super::Copied::in_place)).
    pub overwrites: bool,
    /// The extended attribute that could not be set, or the empty string.
    pub(super) attribute: AttributeName,
}

/// A buffer for the name of an extended attribute. Source: xattr(7).
pub(super) type AttributeName = Text<{ XATTR_NAME_MAX as usize + 1 }>;

impl<'a> Error<'a> {
    /// Creates an error that names no extended attribute.
    #[must_use]
    pub const fn new(action: Action, path: Path<'a>, cause: Cause) -> Error<'a> {
        Error {
            action,
            path,
            cause,
            replaces: false,
            overwrites: false,
            attribute: AttributeName::new(),
        }
    }

    /// Returns the name of the extended attribute that could not be set. `None` if the action is
    /// not [`Action::SetAttribute`].
    #[must_use]
    pub fn attribute(&self) -> Option<&CStr> {
        Some(self.attribute.as_c_str()).filter(|name| !name.is_empty())
    }
}

macro_rules! actions {
    ($(#[doc = $doc:literal] $name:ident = $text:literal,)*) => {
        /// Names the step of a copy that failed.
        ///
        /// `Display` writes the words that follow "cannot" in the message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Action {
            $(
                #[doc = $doc]
                #[doc = concat!("\n\nDisplayed as \"", $text, "\".")]
                $name,
            )*
        }

        impl Action {
            /// Returns the action whose discriminant is `number`.
            pub(super) fn from_number(number: u32) -> Action {
                match number {
                    $(number if number == Action::$name as u32 => Action::$name,)*
                    _ => Action::Copy, // Unreachable: every number is made from an `Action`.
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
    /// Opens the source, or an existing destination for writing.
    Open = "open",
    /// Reads the metadata of the source, using `fstat(2)`.
    Examine = "examine",
    /// Copies the source.
    Copy = "copy",
    /// Finds the destination, or accepts the file that was found there as a destination.
    CopyTo = "copy to",
    /// Checks that the caller may write to the existing destination.
    Replace = "replace",
    /// Writes the copy to the disk, using `fsync(2)`.
    Sync = "sync",
    /// Writes the destination's directory to the disk, using `fsync(2)`.
    SyncDirectory = "sync the directory of",
    /// Creates a temporary file in the destination's directory.
    CreateBeside = "create a file beside",
    /// Links a temporary file that has no name to a name.
    Link = "link a name to",
    /// Links or renames the temporary file to the destination's name.
    Name = "give the copy the name",
    /// Copies the owner and the access list of the file that is replaced to the temporary file.
    KeepOwner = "keep the owner and the access list of",
    /// Shares the source's blocks with the destination, using the ioctl `FICLONE`.
    CloneTo = "clone to",
    /// Copies data with `copy_file_range(2)`.
    KernelCopy = "copy within the kernel",
    /// Maps the source or the destination.
    Map = "map",
    /// Writes data to the destination, or closes it.
    Write = "write to",
    /// Reads data from the source.
    Read = "read",
    /// Sets the destination's length, using `ftruncate(2)`, or checks it after the copy.
    SetLength = "set the length of",
    /// Preallocates the destination's blocks, using `fallocate(2)`.
    Reserve = "reserve space for",
    /// Sets the copy's permissions, using `fchmod(2)`, and checks them.
    SetMode = "set the permissions of",
    /// Sets the copy's times, using `utimensat(2)`.
    SetTimes = "set the times of",
    /// Lists or reads the source's extended attributes.
    ReadAttributes = "read the attributes of",
    /// Sets an extended attribute or the access list of the copy.
    SetAttribute = "set an attribute of",
    /// Reads the names in a directory of the source, using `getdents64(2)`.
    ReadDirectory = "read the directory",
    /// Reads the target of a symbolic link of the source.
    ReadLink = "read the symbolic link",
    /// Creates a directory of the copy.
    CreateDirectory = "create the directory",
    /// Creates a symbolic link, a FIFO, a socket or a device.
    Create = "create",
    /// Creates a hard link to the source, or to an earlier copy of the source.
    HardLink = "create the hard link",
}

/// Says why an [`Action`] failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A system call returned this error.
    Errno(Errno),
    /// The source and the destination are the same file, by one name or by two.
    SameFile,
    /// The destination is a symbolic link whose target does not exist. The copy does not create
    /// the target.
    DanglingLink,
    /// The source was truncated during the copy, or a page of it could not be read.
    Shrunk,
    /// The source ends before the size that its file system reports.
    EndsEarly,
    /// The destination was truncated during the copy.
    CutOff,
    /// The destination is longer than the data that was copied to it.
    OtherLength,
    /// The destination is on hugetlbfs, whose files can only be mapped, and have a length of whole
    /// huge pages.
    HugePages,
    /// A worker process was killed.
    Worker,
    /// The file system reported success and changed nothing.
    Ignored,
    /// The same command has already copied another source with this name to this directory.
    /// Only `mapcp` reports this cause.
    JustCopied,
    /// Another process replaced the file, or moved the directory, during the copy.
    Replaced,
    /// The destination is inside of the source directory.
    IntoItself,
    /// The destination exists and is not a directory, but the source is.
    NotADirectory,
    /// A relative symbolic link to the source would lead elsewhere, because it is in another
    /// directory than the working directory.
    RelativeLink,
}

/// The number of the first cause that is not an errno. It is greater than every errno.
const OTHER: u16 = Errno::MAX + 1;

impl Cause {
    /// Returns a number from which [`Cause::from_number`] makes this cause again.
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
            Cause::HugePages => OTHER + 9,
            Cause::Replaced => OTHER + 10,
            Cause::IntoItself => OTHER + 11,
            Cause::NotADirectory => OTHER + 12,
            Cause::RelativeLink => OTHER + 13,
        }
    }

    /// Returns the cause for a number that [`Cause::number`] returned.
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
            Some(8) => Cause::OtherLength,
            Some(9) => Cause::HugePages,
            Some(10) => Cause::Replaced,
            Some(11) => Cause::IntoItself,
            Some(12) => Cause::NotADirectory,
            Some(_) => Cause::RelativeLink,
        }
    }
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Cause {
        Cause::Errno(errno)
    }
}

// The pieces are written one by one, because `{}` of a string links the code that pads strings into
// the freestanding binary.
impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot ")?;
        if let Some(name) = self.attribute() {
            f.write_str("set the attribute ")?;
            Quoted(name.to_bytes()).fmt(f)?;
            f.write_str(" of")?;
        } else {
            self.action.fmt(f)?;
        }
        f.write_str(" ")?;
        self.path.fmt(f)?;
        f.write_str(": ")?;
        self.cause.fmt(f)?;
        if self.overwrites {
            f.write_str("; the destination is partly overwritten")?;
        }
        Ok(())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Errno(errno) => return errno.fmt(f),
            Cause::SameFile => "it is the same file as the source",
            Cause::DanglingLink => "it is a dangling symbolic link",
            Cause::Shrunk => "it was truncated or became unreadable during the copy",
            Cause::EndsEarly => "it ends before the size that its file system reports",
            Cause::CutOff => "it was truncated during the copy",
            Cause::OtherLength => "it is longer than what was copied",
            Cause::HugePages => "hugetlbfs takes only mapped copies of whole huge pages",
            Cause::Worker => "a worker process was killed",
            Cause::Ignored => "the file system ignores the change",
            Cause::JustCopied => "another source with this name was copied there",
            Cause::Replaced => "it was replaced or moved during the copy",
            Cause::IntoItself => "it would be copied into itself",
            Cause::NotADirectory => "it exists and is not a directory",
            Cause::RelativeLink => "a relative symbolic link would lead elsewhere",
        })
    }
}

impl core::error::Error for Error<'_> {}

/// Locates a file by a path, or by a directory's path and a name in that directory.
///
/// `Display` escapes both parts like [`Quoted`], joins them with a slash, and puts the result
/// between one pair of single quotes.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    /// The path as the caller passed it.
    pub base: &'a CStr,
    /// The name in the directory `base`, or `None` if `base` is the path of the file itself.
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

/// Displays any bytes as one line of plain text between single quotes.
///
/// ASCII control characters, single quotes, backslashes and bytes that are not valid UTF-8 are
/// escaped, each byte as `\x` and two hexadecimal digits. An untrusted name therefore cannot
/// break a message into lines or send escape sequences to a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        quoted(self.0, f)?;
        f.write_str("'")
    }
}

/// Writes `text` with the escapes of [`Quoted`], without the quotes.
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

/// Decodes the first character of `text`. Returns `None` if `text` is empty or does not begin with
/// valid UTF-8.
///
/// The standard library's `utf8_chunks` is faster, but adds a kilobyte to the freestanding binary.
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
    // Rejects overlong encodings; `from_u32` rejects surrogates.
    char::from_u32(code).filter(|char| char.len_utf8() == more + 1)
}

/// Returns whether an ASCII character must be escaped between single quotes.
fn needs_escape(byte: u8) -> bool {
    byte.is_ascii_control() || byte == b'\'' || byte == b'\\'
}

/// Writes `byte` as `\x` and two hexadecimal digits.
#[inline(never)]
fn escape(byte: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let text = [b'\\', b'x', hex(byte >> 4), hex(byte)];
    // SAFETY: all four bytes are ASCII characters.
    f.write_str(unsafe { str::from_utf8_unchecked(&text) })
}

/// Returns the hexadecimal digit for the lowest four bits of `number`.
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
        let line = |action, cause| Error::new(action, path, cause).to_string();
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
            "cannot copy to 'a b': it is a dangling symbolic link"
        );
        assert_eq!(
            line(Action::Copy, Cause::Shrunk),
            "cannot copy 'a b': it was truncated or became unreadable during the copy"
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
