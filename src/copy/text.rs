//! C strings in buffers of a fixed size, and the parts of a path.

use core::ffi::CStr;

use crate::syscall::{Errno, Result};

/// Splits a path into its directory, including the last slash, and its last component. Returns
/// `None` for the empty path.
pub fn split(path: &CStr) -> Option<(&[u8], &CStr)> {
    if path.is_empty() {
        return None;
    }
    let bytes = path.to_bytes_with_nul();
    let at = bytes.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (dir, name) = bytes.split_at_checked(at)?;
    // SAFETY: `name` is the end of a C string, and so ends with its only NUL.
    let name = unsafe { CStr::from_bytes_with_nul_unchecked(name) };
    Some((dir, if name.is_empty() { c"." } else { name }))
}

/// Returns a path's last component, which is the name that a copy of the file gets in a directory.
///
/// Returns `.` if the path ends with a slash, and the empty string if the path is empty.
#[inline(never)]
#[must_use]
pub fn last(path: &CStr) -> &CStr {
    split(path).map_or(path, |(_, name)| name)
}

/// A buffer of `N` bytes for a C string. The last byte is always NUL.
#[derive(Clone, Copy, Debug)]
pub struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    /// Creates an empty string.
    pub const fn new() -> Text<N> {
        Text([0; N])
    }

    /// Returns the string up to the first NUL.
    pub fn as_c_str(&self) -> &CStr {
        first(&self.0)
    }

    /// Replaces the contents by the concatenated parts. Returns `ENAMETOOLONG` if they do not fit.
    pub fn set(&mut self, parts: &[&[u8]]) -> Result<()> {
        join(self.room(), parts).ok_or(Errno::ENAMETOOLONG)
    }

    /// Returns all bytes but the last for writing.
    pub fn room(&mut self) -> &mut [u8] {
        self.0.split_last_mut().map_or(&mut [], |(_, room)| room)
    }
}

/// Returns the first of several NUL-terminated strings, or the empty string if there is no NUL.
#[inline(never)]
pub fn first(strings: &[u8]) -> &CStr {
    match strings.last() {
        // SAFETY: the last byte is NUL, so a NUL ends the string within the slice.
        Some(0) => unsafe { CStr::from_ptr(strings.as_ptr().cast()) },
        _ => c"",
    }
}

/// Writes the concatenated parts to `room`, and a NUL if there is a byte left. Returns `None` if
/// the parts do not fit.
#[inline(never)]
fn join(mut room: &mut [u8], parts: &[&[u8]]) -> Option<()> {
    for part in parts {
        let (here, rest) = room.split_at_mut_checked(part.len())?;
        here.iter_mut().zip(*part).for_each(|(to, from)| *to = *from);
        room = rest;
    }
    if let Some(end) = room.first_mut() {
        *end = 0;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_and_a_name() {
        assert_eq!(split(c""), None);
        assert_eq!(split(c"a"), Some((&b""[..], c"a")));
        assert_eq!(split(c"a/b"), Some((&b"a/"[..], c"b")));
        assert_eq!(split(c"/b"), Some((&b"/"[..], c"b")));
        assert_eq!(split(c"a/"), Some((&b"a/"[..], c".")));
        assert_eq!(split(c"/"), Some((&b"/"[..], c".")));
        assert_eq!(split(c"a//b"), Some((&b"a//"[..], c"b")));
    }

    #[test]
    fn a_text_has_room_for_all_but_the_nul() {
        let mut text = Text::<4>::new();
        assert_eq!(text.set(&[b"ab", b"c"]), Ok(()));
        assert_eq!(text.as_c_str(), c"abc");
        assert_eq!(text.set(&[b"abc", b"d"]), Err(Errno::ENAMETOOLONG));
        assert_eq!(text.set(&[b"x"]), Ok(()));
        assert_eq!(text.as_c_str(), c"x");
    }
}
