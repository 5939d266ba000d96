//! Prepares the process, calls `main`, and exits with the status that `main` returns.
//!
//! The kernel puts the arguments, the environment and the auxiliary vector on the initial stack:
//! the number of arguments; a pointer for each argument, and null; a pointer for each variable of
//! the environment, and null; the auxiliary vector, as pairs of type and value, up to `AT_NULL`.

use core::{
    ffi::{CStr, c_char},
    fmt::Display,
    iter::FusedIterator,
};

use linux_raw_sys::auxvec::{AT_NULL, AT_PAGESZ};
use linux_raw_sys::general::{F_GETFD, POLLNVAL, pollfd};

use super::{
    print::{STDERR, STDIN, STDOUT, print},
    relocate,
};
use crate::fd::{IntoRawFd, RawFd};
use crate::syscall::raw::{nr, syscall2, syscall5};
use crate::syscall::{self, Errno, Mode, OFlags, Timespec};

/// The arguments, the environment and the auxiliary vector of the process.
///
/// The kernel stores them at the top of the initial stack. `Start` is a pointer to them, and does
/// not copy them. Strings end with a NUL, and need not be UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The value of the stack pointer when the kernel entered the program.
    pub(super) stack: *const usize,
}

impl Start {
    /// Returns an iterator over the arguments.
    ///
    /// By convention, the first argument is the name of the program. The process that calls
    /// `execve` chooses all arguments, and kernels before Linux 5.18 accept an empty list. Source:
    /// execve(2).
    #[doc(alias("argc", "argv"))]
    #[must_use]
    pub fn args(self) -> Strings {
        // SAFETY: the word at `stack` is the number of arguments, and their pointers follow it.
        Strings { next: unsafe { self.stack.add(1) }.cast() }
    }

    /// Returns an iterator over the environment, whose strings have the form `NAME=VALUE` by
    /// convention. Source: environ(7).
    #[doc(alias("environ", "getenv"))]
    #[must_use]
    pub fn env(self) -> Strings {
        // SAFETY: the environment follows the number of arguments, their pointers, and null.
        Strings { next: unsafe { self.stack.add(1 + *self.stack + 1) }.cast() }
    }

    /// Returns an iterator over the auxiliary vector, as pairs of type (`AT_…`) and value. Source:
    /// getauxval(3).
    #[doc(alias = "getauxval")]
    #[must_use]
    pub fn auxv(self) -> Auxv {
        // SAFETY: `stack` is the initial stack pointer.
        Auxv { next: unsafe { relocate::auxv(self.stack) } }
    }
}

/// An iterator over the strings of the arguments or the environment, in their order on the stack.
#[derive(Clone, Debug)]
pub struct Strings {
    /// The address of the next element of an array that ends with null.
    next: *const *const c_char,
}

impl Iterator for Strings {
    type Item = &'static CStr;

    fn next(&mut self) -> Option<&'static CStr> {
        // SAFETY: `next` is never advanced past the null at the end of the array.
        let string = unsafe { *self.next };
        if string.is_null() {
            return None;
        }
        // SAFETY: the element is not the null at the end, so another element follows.
        self.next = unsafe { self.next.add(1) };
        // SAFETY: the string ends with a NUL, and the kernel never unmaps the initial stack.
        Some(unsafe { CStr::from_ptr(string) })
    }
}

impl FusedIterator for Strings {}

/// An iterator over the auxiliary vector, as pairs of type (`AT_…`) and value. It ends before
/// `AT_NULL`.
#[derive(Clone, Debug)]
pub struct Auxv {
    /// The address of the next pair of an array that ends with the type `AT_NULL`.
    next: *const [usize; 2],
}

impl Iterator for Auxv {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        // SAFETY: `next` is never advanced past the pair with the type `AT_NULL`.
        let [kind, value] = unsafe { *self.next };
        if kind == AT_NULL as usize {
            return None;
        }
        // SAFETY: the type is not `AT_NULL`, so another pair follows.
        self.next = unsafe { self.next.add(1) };
        Some((kind, value))
    }
}

impl FusedIterator for Auxv {}

/// The exit status of a program. Zero means success. Source: exit_group(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(pub u8);

impl ExitCode {
    /// The status 0, for success.
    pub const SUCCESS: ExitCode = ExitCode(0);
    /// The status 1, for failure.
    pub const FAILURE: ExitCode = ExitCode(1);
}

/// A type that `main` can return: `()`, [`ExitCode`], `!`, or a `Result` of one of these types
/// whose error implements [`Display`].
///
/// `()` is the status 0. An error is printed to standard error as `PROGRAM: ERROR`, and is the
/// status 1. To end the process in another function, call
/// [`syscall::exit_group`](crate::syscall::exit_group), which drops no value: output in the buffer
/// of an [`Output`](super::Output) is lost.
///
/// ```ignore
/// fn main(_: Start) -> Result<(), Errno> {
///     let file = syscall::open(c"/etc/hostname", OFlags::RDONLY, Mode::empty())?;
///     // …
///     Ok(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`main` cannot return `{Self}`",
    note = "it can return `()`, `ExitCode`, `!`, or a `Result` whose error implements `Display`"
)]
pub trait Termination {
    /// Returns the exit status. If `self` is an error, prints `PROGRAM: ERROR` to standard error
    /// first.
    fn report(self, program: &str) -> ExitCode;
}

impl Termination for () {
    fn report(self, _program: &str) -> ExitCode {
        ExitCode::SUCCESS
    }
}

impl Termination for ExitCode {
    fn report(self, _program: &str) -> ExitCode {
        self
    }
}

/// Prints an error as `PROGRAM: ERROR` and returns the status 1.
///
/// The error is printed with [`Display`], unlike in the standard library, which uses `Debug`. An
/// error of the print itself is ignored.
impl<T: Termination, E: Display> Termination for Result<T, E> {
    fn report(self, program: &str) -> ExitCode {
        match self {
            Ok(value) => value.report(program),
            Err(error) => {
                let _ = print(STDERR, format_args!("{program}: {error}\n"));
                ExitCode::FAILURE
            }
        }
    }
}

/// Names the type `!`. In stable Rust, `!` can only be written as the return type of a function, so
/// the trait takes it from a function type.
mod never {
    pub trait Function {
        type Output;
    }

    impl<T> Function for fn() -> T {
        type Output = T;
    }
}

impl Termination for <fn() -> ! as never::Function>::Output {
    fn report(self, _program: &str) -> ExitCode {
        self
    }
}

/// Calls `main` and ends the process with its result. [`entry!`](crate::entry) calls this function.
///
/// Before `main`, stores the page size, makes the relocated read-only data of the program read-only
/// (RELRO), and opens those of the descriptors 0, 1 and 2 that are closed. `program` is the name of
/// the program, with which an error message begins.
///
/// # Safety
///
/// * `stack` is the value of the stack pointer when the kernel entered the program.
/// * [`relocate`](super::relocate()) has been called with `stack`.
pub unsafe fn run<T: Termination>(
    stack: *const usize,
    main: fn(Start) -> T,
    program: &'static str,
) -> ! {
    let start = Start { stack };
    if let Some((_, size)) = start.auxv().find(|&(kind, _)| kind == AT_PAGESZ as usize) {
        syscall::set_page_size(size);
    }
    // SAFETY: the caller passes the initial stack pointer, and has called `relocate`.
    unsafe { relocate::protect(stack) };
    open_standard_descriptors();
    syscall::exit_group(i32::from(main(start).report(program).0))
}

/// Calls `main` and ends the process with its result, without any preparation.
/// [`entry!(main, bare)`](crate::entry) calls this function.
///
/// # Safety
///
/// * `stack` is the value of the stack pointer when the kernel entered the program.
/// * The program is linked at a fixed address.
pub unsafe fn run_bare<T: Termination>(
    stack: *const usize,
    main: fn(Start) -> T,
    program: &'static str,
) -> ! {
    syscall::exit_group(i32::from(main(Start { stack }).report(program).0))
}

/// Opens those of the descriptors 0, 1 and 2 that are closed. Best effort.
///
/// Otherwise a file that the program opens could get the number 1 or 2, and a message would be
/// written to that file.
///
/// The descriptors refer to `/dev/null`, but standard input is write-only, and the outputs are
/// read-only. Reading standard input and writing to the outputs therefore still fail with `EBADF`,
/// as with a closed descriptor.
fn open_standard_descriptors() {
    let closed = not_open([0, 1, 2]).unwrap_or_else(|_| {
        // `ppoll` fails if a seccomp filter refuses it, or if RLIMIT_NOFILE is less than three.
        // SAFETY: F_GETFD changes nothing.
        [STDIN, STDOUT, STDERR].map(|fd| unsafe { syscall::fcntl(fd, F_GETFD, 0) }.is_err())
    });
    for (fd, closed) in closed.into_iter().enumerate() {
        if !closed {
            continue;
        }
        let access = if fd == 0 { OFlags::WRONLY } else { OFlags::RDONLY };
        // If /dev/null does not exist, fall back to the root directory, opened as a path only.
        let opened = syscall::open(c"/dev/null", access, Mode::empty())
            .or_else(|_| syscall::open(c"/", OFlags::PATH, Mode::empty()));
        // The kernel returns the lowest free number. It is `fd`, because all lower descriptors are
        // open.
        let _: Option<RawFd> = opened.ok().map(IntoRawFd::into_raw_fd);
    }
}

/// Returns whether each descriptor is closed.
///
/// Makes one `ppoll` call that does not wait. `ppoll` reports `POLLNVAL` for a closed descriptor,
/// but also for a descriptor that was opened with `O_PATH`, and it skips negative numbers. One
/// `fcntl` call decides each of these cases.
///
/// # Errors
///
/// * `EINVAL` if `N` is greater than the limit `RLIMIT_NOFILE`.
/// * `ENOMEM` if the kernel is out of memory.
fn not_open<const N: usize>(fds: [RawFd; N]) -> syscall::Result<[bool; N]> {
    let mut polls = fds.map(|fd| pollfd { fd, events: 0, revents: 0 });
    let mut now = Timespec::default();
    let (polls_at, now_at) =
        (polls.as_mut_ptr().expose_provenance(), (&raw mut now).expose_provenance());
    // SAFETY: the array has N elements. The array and the time are valid for writes, and the null
    // signal mask leaves the mask unchanged.
    Errno::check(unsafe { syscall5(nr::ppoll, polls_at, N, now_at, 0, 0) })?;
    Ok(polls.map(|poll| {
        let suspect = poll.fd < 0 || poll.revents & POLLNVAL as i16 != 0;
        // SAFETY: F_GETFD returns the descriptor's flags, and accesses no memory.
        let flags = || unsafe { syscall2(nr::fcntl, poll.fd as usize, F_GETFD as usize) };
        suspect && Errno::check(flags()).is_err()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fd::AsRawFd;
    use core::ptr;
    use proptest::prelude::*;
    use std::{ffi::CString, vec::Vec};
    use std::{fs::File, io};

    /// Returns whether each descriptor is closed, according to fcntl(2).
    fn not_open_by_fcntl<const N: usize>(fds: [RawFd; N]) -> [bool; N] {
        // SAFETY: F_GETFD changes nothing.
        fds.map(|fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1)
    }

    #[test]
    fn finds_closed_descriptors() {
        // poll(2) reports events for an end of a pipe whose other end is closed.
        let (reader, writer) = (io::pipe().unwrap().0, io::pipe().unwrap().1);
        let file = File::open("/dev/null").unwrap();
        // poll(2) reports POLLNVAL for a descriptor that is open as a path only, and skips negative
        // numbers.
        let path = syscall::open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let closed = RawFd::MAX; // greater than every limit on the number of descriptors
        let [reader, writer] = [io_number(&reader), io_number(&writer)];
        let fds = [io_number(&file), closed, reader, closed - 1, writer, path.as_raw_fd(), -1];
        let oracle = not_open_by_fcntl(fds);
        assert_eq!(oracle, [false, true, false, true, false, false, true]);
        assert_eq!(not_open(fds), Ok(oracle));
        assert_eq!(not_open([]), Ok([]));
    }

    fn io_number(file: &impl std::os::fd::AsRawFd) -> RawFd {
        file.as_raw_fd()
    }

    proptest! {
        /// Lays out a stack as the kernel does, and reads every argument, variable and entry of the
        /// auxiliary vector from it.
        #[test]
        fn reads_what_the_kernel_wrote(
            args in proptest::collection::vec("[^\0]{0,9}", 0..5),
            env in proptest::collection::vec("[^\0]{0,9}", 0..5),
            auxv in proptest::collection::vec((1usize..99, any::<usize>()), 0..5),
        ) {
            let strings = |list: &[std::string::String]| -> Vec<CString> {
                list.iter().map(|s| CString::new(s.as_bytes()).unwrap()).collect()
            };
            let (args, env) = (strings(&args), strings(&env));
            let mut stack: Vec<*const u8> = Vec::new();
            stack.push(ptr::without_provenance(args.len()));
            for list in [&args, &env] {
                stack.extend(list.iter().map(|s| s.as_ptr().cast::<u8>()));
                stack.push(ptr::null());
            }
            for &(kind, value) in auxv.iter().chain(&[(AT_NULL as usize, 7)]) {
                stack.extend([ptr::without_provenance(kind), ptr::without_provenance(value)]);
            }

            let start = Start { stack: stack.as_ptr().cast() };
            prop_assert!(start.args().eq(args.iter().map(|s| s.as_c_str())));
            prop_assert!(start.env().eq(env.iter().map(|s| s.as_c_str())));
            prop_assert_eq!(start.auxv().collect::<Vec<_>>(), auxv);
        }
    }
}
