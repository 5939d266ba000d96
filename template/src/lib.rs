//! Implements the part of the program that unit tests can test. The tests are linked with the
//! standard library, the program is not.

#![no_std]

/// Counts the newlines in `text`.
pub fn count_lines(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_a_newline() {
        assert_eq!(count_lines(b""), 0);
        assert_eq!(count_lines(b"one\ntwo\nthree"), 2);
    }
}
