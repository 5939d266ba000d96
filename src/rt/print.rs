//! The standard descriptors, and printing to them.

use core::fmt::{self, Write};

use crate::fd::BorrowedFd;
use crate::syscall::Result;

pub use crate::syscall::write_all;

/// Standard input, descriptor 0.
pub const STDIN: BorrowedFd<'static> = standard(0);
/// Standard output, descriptor 1.
pub const STDOUT: BorrowedFd<'static> = standard(1);
/// Standard error, descriptor 2.
pub const STDERR: BorrowedFd<'static> = standard(2);

const fn standard(fd: i32) -> BorrowedFd<'static> {
    // SAFETY: what these numbers are is a convention between programs: text for whoever
    // reads it may go to whatever has the number. `run` opens those that are closed.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Text on its way to a descriptor, gathered so that a line is one system call.
///
/// It is written when the buffer is full and by [`finish`](Output::finish), which
/// tells whether all of it was. What is still in the buffer when it is dropped is
/// written, and an error lost.
pub struct Output<'fd> {
    fd: BorrowedFd<'fd>,
    buffer: [u8; 256],
    used: usize,
    result: Result<()>,
}

impl<'fd> Output<'fd> {
    /// Text for this descriptor.
    #[must_use]
    pub fn new(fd: BorrowedFd<'fd>) -> Output<'fd> {
        Output { fd, buffer: [0; 256], used: 0, result: Ok(()) }
    }

    /// Adds bytes, whether they are UTF-8 or not.
    pub fn bytes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let free = self.buffer.get_mut(self.used..).unwrap_or_default();
            let count = free.len().min(bytes.len());
            // Not `copy_from_slice`, which panics where the lengths differ.
            free.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            bytes = bytes.get(count..).unwrap_or_default();
            self.used += count;
            if self.used == self.buffer.len() {
                self.flush();
            }
        }
    }

    /// Writes what is left, and tells the first error of all the writing.
    pub fn finish(mut self) -> Result<()> {
        self.flush();
        self.result
    }

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
    /// Never fails here: an error is kept for [`finish`](Output::finish).
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Prints to a descriptor, and tells whether it succeeded.
pub fn print(fd: BorrowedFd<'_>, text: fmt::Arguments<'_>) -> Result<()> {
    let mut output = Output::new(fd);
    let _ = output.write_fmt(text);
    output.finish()
}

// Macros that a crate exports stand at its root, where `use baremap::*` would make them collide
// with those of the standard library: there they have other names.

/// Prints to standard output. An error is ignored: [`rt::print`](crate::rt::print)
/// and [`rt::Output`](crate::rt::Output) return it.
#[doc(hidden)]
#[macro_export]
macro_rules! __print {
    ($($text:tt)*) => {{
        let _ = $crate::rt::print($crate::rt::STDOUT, ::core::format_args!($($text)*));
    }};
}

/// Prints a line to standard output; see [`print!`](crate::rt::print!).
#[doc(hidden)]
#[macro_export]
macro_rules! __println {
    () => { $crate::rt::print!("\n") };
    ($($text:tt)*) => { $crate::rt::print!("{}\n", ::core::format_args!($($text)*)) };
}

/// Prints to standard error. An error is ignored: [`rt::print`](crate::rt::print)
/// and [`rt::Output`](crate::rt::Output) return it.
#[doc(hidden)]
#[macro_export]
macro_rules! __eprint {
    ($($text:tt)*) => {{
        let _ = $crate::rt::print($crate::rt::STDERR, ::core::format_args!($($text)*));
    }};
}

/// Prints a line to standard error; see [`eprint!`](crate::rt::eprint!).
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
