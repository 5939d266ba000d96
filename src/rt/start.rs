//! From the kernel's block on the stack to `main`, and from its result to the exit
//! status.

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

/// What the kernel gave the program at its start: arguments, environment and the
/// auxiliary vector, where it left them, at the top of the stack.
///
/// Strings are bytes that end with a NUL; nothing says that they are UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub(super) stack: *const usize,
}

impl Start {
    /// The arguments. The first is the program's name, by convention only: there may
    /// be none at all.
    #[must_use]
    pub fn args(self) -> Strings {
        // SAFETY: the block is a count and then that many pointers.
        Strings { next: unsafe { self.stack.add(1) }.cast() }
    }

    /// The environment, as `NAME=value`.
    #[must_use]
    pub fn env(self) -> Strings {
        // SAFETY: after the count, the arguments and their null stands the environment.
        Strings { next: unsafe { self.stack.add(1 + *self.stack + 1) }.cast() }
    }

    /// The auxiliary vector, as type and value. Source: getauxval(3).
    #[must_use]
    pub fn auxv(self) -> Auxv {
        // SAFETY: the stack is that of `run`.
        Auxv { next: unsafe { relocate::auxv(self.stack) } }
    }
}

/// Strings of the arguments or the environment, in order.
#[derive(Clone, Debug)]
pub struct Strings {
    /// The next element of an array that ends with null.
    next: *const *const c_char,
}

impl Iterator for Strings {
    type Item = &'static CStr;

    fn next(&mut self) -> Option<&'static CStr> {
        // SAFETY: not beyond the null, past which `next` is never moved.
        let string = unsafe { *self.next };
        if string.is_null() {
            return None;
        }
        // SAFETY: not the null, so there is a next one.
        self.next = unsafe { self.next.add(1) };
        // SAFETY: the kernel put a NUL at the end, and the strings stay.
        Some(unsafe { CStr::from_ptr(string) })
    }
}

impl FusedIterator for Strings {}

/// The auxiliary vector, as type (`AT_…`) and value.
#[derive(Clone, Debug)]
pub struct Auxv {
    /// The next pair of an array that ends with the type `AT_NULL`.
    next: *const [usize; 2],
}

impl Iterator for Auxv {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        // SAFETY: not beyond `AT_NULL`, past which `next` is never moved.
        let [kind, value] = unsafe { *self.next };
        if kind == AT_NULL as usize {
            return None;
        }
        // SAFETY: not the last, so there is a next one.
        self.next = unsafe { self.next.add(1) };
        Some((kind, value))
    }
}

impl FusedIterator for Auxv {}

/// How a program ended: zero is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(pub u8);

impl ExitCode {
    /// Everything went well.
    pub const SUCCESS: ExitCode = ExitCode(0);
    /// Something did not.
    pub const FAILURE: ExitCode = ExitCode(1);
}

/// What `main` may return: `()`, [`ExitCode`], `!`, or a `Result` of one of them whose error can
/// be displayed.
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
    /// Returns the exit status. Prints an error to standard error first, as one line that begins
    /// with the name of the program.
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

/// `PROGRAM: ERROR`, with the error's `Display` (the standard library shows its `Debug`), and the
/// status 1.
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

/// Names the type `!`, which stable Rust knows only as the result of a function.
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

/// Runs `main` and ends the process with its result. `program` begins the line of an error.
///
/// Before it, the relocated part of the program that is never written again becomes
/// read-only, and descriptors 0, 1 and 2 are opened if they are closed.
///
/// # Safety
///
/// `stack` is what the kernel's stack pointer was at the entry, and
/// [`relocate`](super::relocate) has been called with it. [`entry!`](crate::entry)
/// sees to both.
pub unsafe fn run<T: Termination>(
    stack: *const usize,
    main: fn(Start) -> T,
    program: &'static str,
) -> ! {
    let start = Start { stack };
    if let Some((_, size)) = start.auxv().find(|&(kind, _)| kind == AT_PAGESZ as usize) {
        syscall::set_page_size(size);
    }
    // SAFETY: relocation is over, by the caller's promise.
    unsafe { relocate::protect(stack) };
    open_standard_descriptors();
    syscall::exit_group(i32::from(main(start).report(program).0))
}

/// Runs `main` and ends the process with its result, and does nothing else.
///
/// # Safety
///
/// `stack` is what the kernel's stack pointer was at the entry, and the program is
/// linked at a fixed address.
pub unsafe fn run_bare<T: Termination>(
    stack: *const usize,
    main: fn(Start) -> T,
    program: &'static str,
) -> ! {
    syscall::exit_group(i32::from(main(Start { stack }).report(program).0))
}

/// Opens those of the descriptors 0, 1 and 2 that are closed, so that no file of the
/// program's can take their numbers and be written to by a message.
///
/// On `/dev/null`, and the wrong way round: reading from a closed input and writing
/// to a closed output fail with `EBADF`, as they would have, and are not lost.
fn open_standard_descriptors() {
    let closed = not_open([0, 1, 2]).unwrap_or_else(|_| {
        // A filter does not allow it, or the process may have fewer than three descriptors.
        // SAFETY: only asks.
        [STDIN, STDOUT, STDERR].map(|fd| unsafe { syscall::fcntl(fd, F_GETFD, 0) }.is_err())
    });
    for (fd, closed) in closed.into_iter().enumerate() {
        if !closed {
            continue;
        }
        let way = if fd == 0 { OFlags::WRONLY } else { OFlags::RDONLY };
        // Without a /dev there is still a root.
        let opened = syscall::open(c"/dev/null", way, Mode::empty())
            .or_else(|_| syscall::open(c"/", OFlags::PATH, Mode::empty()));
        // The kernel gives the lowest number that is free, which is this one.
        let _: Option<RawFd> = opened.ok().map(IntoRawFd::into_raw_fd);
    }
}

/// Returns for each of these numbers whether no descriptor with it is open.
///
/// It takes one `ppoll` that does not wait, and one `fcntl` for each number that `ppoll` does
/// not know: that of a closed descriptor, of one that is open as a path only, or below zero.
fn not_open<const N: usize>(fds: [RawFd; N]) -> syscall::Result<[bool; N]> {
    let mut polls = fds.map(|fd| pollfd { fd, events: 0, revents: 0 });
    let mut now = Timespec::default();
    let (polls_at, now_at) =
        (polls.as_mut_ptr().expose_provenance(), (&raw mut now).expose_provenance());
    // SAFETY: the array has N elements, and the kernel may change it and the time. There is
    // no signal mask.
    Errno::check(unsafe { syscall5(nr::ppoll, polls_at, N, now_at, 0, 0) })?;
    Ok(polls.map(|poll| {
        let suspect = poll.fd < 0 || poll.revents & POLLNVAL as i16 != 0;
        // SAFETY: asks for flags, and touches no memory.
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

    /// Returns which descriptors fcntl(2) does not know.
    fn not_open_by_fcntl<const N: usize>(fds: [RawFd; N]) -> [bool; N] {
        // SAFETY: only asks.
        fds.map(|fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1)
    }

    #[test]
    fn finds_closed_descriptors() {
        // Ends of pipes without another end: poll(2) reports events of them.
        let (reader, writer) = (io::pipe().unwrap().0, io::pipe().unwrap().1);
        let file = File::open("/dev/null").unwrap();
        // A path has no answer from poll(2), and numbers below zero are passed over.
        let path = syscall::open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let closed = RawFd::MAX; // above every limit
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
        /// What is put on a stack the way the kernel does it is what is read.
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
