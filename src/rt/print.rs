//! Prints to the standard descriptors.

use core::fmt::{self, Write};

use crate::fd::BorrowedFd;
use crate::syscall::Result;

pub use crate::syscall::write_all;

/// Standard input (descriptor 0).
pub const STDIN: BorrowedFd<'static> = standard(0);
/// Standard output (descriptor 1).
pub const STDOUT: BorrowedFd<'static> = standard(1);
/// Standard error (descriptor 2).
pub const STDERR: BorrowedFd<'static> = standard(2);

const fn standard(fd: i32) -> BorrowedFd<'static> {
    // SAFETY: by convention, descriptors 0, 1 and 2 belong to the whole program and stay open.
    // `run` opens those that are closed.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// A buffered writer for a descriptor, with a buffer of 256 bytes.
///
/// The buffer is written to the descriptor when it is full, when [`finish`](Output::finish) is
/// called, and when the writer is dropped. A newline does not flush the buffer. The buffer is lost
/// if a panic or [`exit_group`](crate::syscall::exit_group) ends the process. A child of
/// [`fork`](crate::syscall::fork) has a copy of the buffer, and writes it a second time.
///
/// After an error, all further output is discarded. `finish` returns the first error. Dropping the
/// writer ignores it.
pub struct Output<'fd> {
    fd: BorrowedFd<'fd>,
    buffer: [u8; 256],
    used: usize,
    result: Result<()>,
}

impl<'fd> Output<'fd> {
    /// Creates a writer with an empty buffer for `fd`.
    #[must_use]
    pub fn new(fd: BorrowedFd<'fd>) -> Output<'fd> {
        Output { fd, buffer: [0; 256], used: 0, result: Ok(()) }
    }

    /// Adds bytes to the output. They need not be UTF-8.
    ///
    /// Writes the buffer to the descriptor each time it is full. [`finish`](Output::finish) returns
    /// the error of such a write.
    pub fn bytes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let free = self.buffer.get_mut(self.used..).unwrap_or_default();
            let count = free.len().min(bytes.len());
            // `copy_from_slice` would add a panic to the program, for different lengths.
            free.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            bytes = bytes.get(count..).unwrap_or_default();
            self.used += count;
            if self.used == self.buffer.len() {
                self.flush();
            }
        }
    }

    /// Writes the rest of the buffer, and returns the first error of all writes.
    ///
    /// # Errors
    ///
    /// * The errors of [`write_all`]: `EBADF`, `EAGAIN`, `ENOSPC`, `EDQUOT`, `EFBIG`, `EPIPE` and
    ///   `EIO`. Part of the output may have been written.
    pub fn finish(mut self) -> Result<()> {
        self.flush();
        self.result
    }

    /// Writes the buffer unless an earlier write failed, and empties it.
    fn flush(&mut self) {
        if self.result.is_ok() {
            self.result = write_all(self.fd, self.buffer.get(..self.used).unwrap_or_default());
        }
        self.used = 0;
    }
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("fd", &self.fd).finish_non_exhaustive()
    }
}

impl Write for Output<'_> {
    /// Adds `text` to the output. Always returns `Ok`: [`finish`](Output::finish) returns the
    /// errors.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

impl Drop for Output<'_> {
    /// Writes the rest of the buffer and ignores errors.
    fn drop(&mut self) {
        self.flush();
    }
}

/// Prints formatted text to a descriptor.
///
/// Text of up to 256 bytes is written with one system call. Longer text is written in pieces of 256
/// bytes, between which other processes can write.
///
/// # Errors
///
/// * The errors of [`write_all`]: `EBADF`, `EAGAIN`, `ENOSPC`, `EDQUOT`, `EFBIG`, `EPIPE` and `EIO`.
///   Part of the text may have been written.
pub fn print(fd: BorrowedFd<'_>, text: fmt::Arguments<'_>) -> Result<()> {
    let mut output = Output::new(fd);
    let _ = output.write_fmt(text);
    output.finish()
}

// Exported macros are items of the crate root. With the names of the standard library's macros,
// they would be ambiguous after `use baremap::*`. They have hidden names there, and are exported
// under the usual names from the module `rt`.

/// Prints formatted text to standard output, and ignores errors.
///
/// [`rt::print`](crate::rt::print()) and [`rt::Output`](crate::rt::Output) return errors. Unlike
/// the standard library's macro, this macro does not panic if a write fails, and writes the text
/// before it returns.
#[doc(hidden)]
#[macro_export]
macro_rules! __print {
    ($($text:tt)*) => {{
        let _ = $crate::rt::print($crate::rt::STDOUT, ::core::format_args!($($text)*));
    }};
}

/// Prints formatted text and a newline to standard output, and ignores errors.
///
/// [`rt::print`](crate::rt::print()) and [`rt::Output`](crate::rt::Output) return errors. Unlike
/// the standard library's macro, this macro does not panic if a write fails, and writes the text
/// before it returns.
#[doc(hidden)]
#[macro_export]
macro_rules! __println {
    () => { $crate::rt::print!("\n") };
    ($($text:tt)*) => { $crate::rt::print!("{}\n", ::core::format_args!($($text)*)) };
}

/// Prints formatted text to standard error, and ignores errors.
///
/// [`rt::print`](crate::rt::print()) and [`rt::Output`](crate::rt::Output) return errors.
#[doc(hidden)]
#[macro_export]
macro_rules! __eprint {
    ($($text:tt)*) => {{
        let _ = $crate::rt::print($crate::rt::STDERR, ::core::format_args!($($text)*));
    }};
}

/// Prints formatted text and a newline to standard error, and ignores errors.
///
/// [`rt::print`](crate::rt::print()) and [`rt::Output`](crate::rt::Output) return errors.
#[doc(hidden)]
#[macro_export]
macro_rules! __eprintln {
    () => { $crate::rt::eprint!("\n") };
    ($($text:tt)*) => { $crate::rt::eprint!("{}\n", ::core::format_args!($($text)*)) };
}

#[doc(inline)]
pub use crate::{
    __eprint as eprint, __eprintln as eprintln, __print as print, __println as println,
};
