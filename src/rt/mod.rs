//! Runs a program without libc, from the first instruction to the exit status.
//!
//! [`entry!`](crate::entry) turns a function `main` into a freestanding program. [`Start`] gives
//! access to the arguments, the environment and the auxiliary vector, [`println!`] and [`Output`]
//! print text, and [`Termination`] turns the result of `main` into the exit status.
//!
//! A complete program:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! use baremap::rt::{Start, println};
//!
//! baremap::entry!(main);
//!
//! fn main(start: Start) {
//!     for argument in start.args() {
//!         println!("{}", argument.to_bytes().escape_ascii());
//!     }
//! }
//! ```
//!
//! The package of the program needs two settings:
//!
//! * `build.rs` calls the crate `baremap-build`, which emits the arguments for linking without
//!   start files and libraries.
//! * `panic = "abort"` in every profile of `Cargo.toml`.
//!
//! For `Vec`, `String` and the other types of the crate `alloc`, enable the feature `alloc` and
//! declare the allocator of the module `alloc` as the `#[global_allocator]`.
//!
//! The program has one thread until it calls [`thread::spawn`]. The runtime does not set up
//! thread-local storage.
//! The runtime changes no signal's action, except that of `SIGSEGV` in a program with debug
//! assertions. Unlike a program with the standard library, the program is therefore killed by
//! `SIGPIPE` if it writes to a pipe that nothing can read from any more.
//!
//! The directory `template/` of the repository contains a package with both settings, and
//! `docs/freestanding.md` is a step-by-step guide.

mod auxv;
#[cfg(feature = "std")]
#[doc(hidden)]
pub mod hosted;
mod linked;
mod mem;
#[cfg(test)]
mod model_tests;
#[doc(hidden)]
pub mod overflow;
mod panic;
mod print;
mod relocate;
mod start;
pub mod thread;
pub mod time;
mod vdso;

#[doc(hidden)]
pub use crate::decimal::Decimal;
#[cfg(target_arch = "aarch64")]
#[doc(hidden)]
pub use auxv::getauxval;
#[doc(hidden)]
pub use auxv::keep_auxv;
#[doc(hidden)]
pub use linked::check_linked;
#[doc(hidden)]
pub use mem::{compare, copy, copy_backward, fill, length};
pub use panic::{abort, panic};
pub use print::{Output, STDERR, STDIN, STDOUT, eprint, eprintln, print, println, write_all};
pub use relocate::{keep, relocate};
pub use start::{Auxv, ExitCode, Start, Strings, Termination, run, run_bare};

/// Defines the entry point of a freestanding program, which calls a function `main`.
///
/// `main` takes a [`Start`](crate::rt::Start) and returns a type that implements
/// [`Termination`](crate::rt::Termination): `()`, [`ExitCode`](crate::rt::ExitCode), `!`, or a
/// `Result` whose error is printed.
///
/// The macro defines the symbols that a standard library would otherwise define: `_start`, the
/// panic handler, and the memory functions that the compiler calls (`memcpy`, `memmove`, `memset`,
/// `memcmp`, `bcmp` and `strlen`). Use the macro once, in the crate of the program. A library must
/// not use the macro, because the symbols would replace the functions of libc in a hosted program.
///
/// Before `main`, the runtime relocates the program, makes its relocated read-only data read-only
/// (RELRO), and opens those of the descriptors 0, 1 and 2 that are closed, so that no file that the
/// program opens gets these numbers. Reading or writing these descriptors still fails with `EBADF`.
/// A program with debug assertions also installs a handler of `SIGSEGV`, which prints
/// `PROGRAM: stack overflow` if the main thread's stack overflows. `PROGRAM` is the name of the
/// binary in `Cargo.toml`, and not the name by which the program was called.
///
/// After `main`, the process ends with all its threads. The initial stack is `main`'s stack: its
/// size is limited by `RLIMIT_STACK`.
///
/// `entry!(main, bare)` calls `main` without these preparations, which saves one kilobyte and two
/// system calls:
///
/// * The program is not relocated. It must be linked at a fixed address, with
///   `Freestanding::bare_bin` of the crate `baremap-build`.
/// * Descriptors 0, 1 and 2 stay closed if they are closed.
/// * An overflow of the stack is not reported.
///
/// A panic prints `PROGRAM: panicked at FILE:LINE:COLUMN: MESSAGE` to standard error and ends the
/// process with `SIGABRT`. With the feature `std`, the standard library's panic handler is used
/// instead, which needs libc and therefore ends a freestanding program with `SIGSEGV`.
///
/// A program that lacks the necessary link arguments, or `panic = "abort"` in its profiles, does
/// not compile.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        $crate::__program!($crate::rt::relocate, $crate::rt::run, $main, false);
    };
    ($main:path, bare) => {
        $crate::__program!($crate::rt::keep, $crate::rt::run_bare, $main, true);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __program {
    ($relocate:path, $run:path, $main:path, $bare:literal) => {
        // These checks name the missing setting. Without them, a test would fail with an error of
        // the linker, and a missing `panic = "abort"` with an error that recommends nightly Rust.
        #[cfg(test)]
        ::core::compile_error!(
            "a freestanding program has no tests of its own: write `test = false` and \
             `bench = false` under its [[bin]] in Cargo.toml, and put tests into src/lib.rs"
        );
        #[cfg(not(any(test, doc, panic = "abort")))]
        ::core::compile_error!(
            "a freestanding program cannot unwind: write `panic = \"abort\"` under \
             [profile.dev] and [profile.release] in the Cargo.toml of the package or workspace"
        );

        #[cfg(not(test))]
        const _: () = {
            use ::core::ffi::{c_char, c_int, c_ulong, c_void};

            $crate::rt::check_linked(
                ::core::option_env!("BAREMAP_LINK"),
                ::core::option_env!("CARGO_BIN_NAME"),
                $bare,
            );

            /// The name of the program, with which messages begin.
            const PROGRAM: &str = match ::core::option_env!("CARGO_BIN_NAME") {
                Some(name) => name,
                None => ::core::module_path!(),
            };

            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            unsafe extern "C" fn _start() -> ! {
                $crate::__start!($relocate, run)
            }

            unsafe extern "C" fn run(stack: *const usize) -> ! {
                // SAFETY: the kernel entered `_start`, which passes the initial stack pointer.
                unsafe {
                    $crate::rt::keep_auxv(stack)
                };
                #[cfg(debug_assertions)]
                if !$bare {
                    // SAFETY: `stack` is the initial stack pointer, and `main` has not begun. The
                    // handler only calls `report`.
                    unsafe { $crate::rt::overflow::install(stack, on_fault) };
                }
                // SAFETY: `stack` is the initial stack pointer. `_start` has relocated the program,
                // or `check_linked` has found that it is linked at a fixed address.
                unsafe { $run(stack, $main, PROGRAM) }
            }

            #[cfg(debug_assertions)]
            unsafe extern "C" fn on_fault(
                _: c_int,
                info: *mut $crate::syscall::SigInfo,
                _: *mut c_void,
            ) {
                // SAFETY: the kernel passes a valid pointer, because `install` sets SA_SIGINFO.
                $crate::rt::overflow::report(unsafe { &*info }, PROGRAM);
            }

            $crate::__with_or_without_std!(PROGRAM);

            /// Returns an entry of the auxiliary vector. On aarch64, a constructor of
            /// `compiler_builtins` refers to this function, to find out whether the processor has
            /// the atomic instructions of LSE.
            #[cfg(target_arch = "aarch64")]
            #[unsafe(no_mangle)]
            extern "C" fn getauxval(kind: c_ulong) -> c_ulong {
                $crate::rt::getauxval(kind)
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcpy(dest: *mut u8, src: *const u8, n: usize) -> *mut u8 {
                // SAFETY: the caller of memcpy(3) passes two ranges of `n` bytes that do not
                // overlap.
                unsafe { $crate::rt::copy(dest, src, n) };
                dest
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memmove(dest: *mut u8, src: *const u8, n: usize) -> *mut u8 {
                // Copy backward if `dest` points into the source, so that no byte is overwritten
                // before it is read.
                if dest.addr().wrapping_sub(src.addr()) < n {
                    // SAFETY: the caller of memmove(3) passes two ranges of `n` bytes, and `dest`
                    // is at or after `src`.
                    unsafe { $crate::rt::copy_backward(dest, src, n) };
                } else {
                    // SAFETY: the caller of memmove(3) passes two ranges of `n` bytes, and `dest`
                    // does not point into the source.
                    unsafe { $crate::rt::copy(dest, src, n) };
                }
                dest
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memset(dest: *mut u8, byte: c_int, n: usize) -> *mut u8 {
                // SAFETY: the caller of memset(3) passes a range of `n` bytes.
                unsafe { $crate::rt::fill(dest, byte as u8, n) };
                dest
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> c_int {
                // SAFETY: the caller of memcmp(3) passes two ranges of `n` bytes.
                unsafe { $crate::rt::compare(a, b, n) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> c_int {
                // SAFETY: the caller of bcmp(3) passes two ranges of `n` bytes.
                unsafe { $crate::rt::compare(a, b, n) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn strlen(string: *const c_char) -> usize {
                // SAFETY: the caller of strlen(3) passes a string that ends with a NUL.
                unsafe { $crate::rt::length(string) }
            }
        };
    };
}

/// Defines the symbols that `core` and `alloc` need in a program that is linked without `std`.
#[cfg(not(feature = "std"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __with_or_without_std {
    ($program:expr) => {
        $crate::__panic_handler!($program);

        /// Debug builds of `core` refer to this function, although nothing unwinds.
        #[unsafe(no_mangle)]
        extern "C" fn rust_eh_personality() {}

        /// The precompiled crate `alloc` refers to this function, although nothing unwinds.
        #[unsafe(no_mangle)]
        extern "C" fn _Unwind_Resume() -> ! {
            loop {}
        }
    };
}

/// Defines the panic handler, which `std` defines if it is linked.
#[cfg(not(feature = "std"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __panic_handler {
    ($program:expr) => {
        #[panic_handler]
        fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::rt::panic(info, $program)
        }
    };
}

/// Defines nothing, because `std` defines the panic handler.
#[cfg(feature = "std")]
#[doc(hidden)]
#[macro_export]
macro_rules! __panic_handler {
    ($program:expr) => {};
}

/// Defines the functions of libc that `std` calls, with the implementations in `rt::hosted`. `std`
/// defines the panic handler.
#[cfg(feature = "std")]
#[doc(hidden)]
#[macro_export]
macro_rules! __with_or_without_std {
    ($program:expr) => {
        #[unsafe(no_mangle)]
        extern "C" fn __errno_location() -> *mut c_int {
            $crate::rt::hosted::errno_location()
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn close(fd: c_int) -> c_int {
            // SAFETY: the caller of close(2) owns the descriptor and does not use it again.
            unsafe { $crate::rt::hosted::close(fd) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
            // SAFETY: the caller of fcntl(2) passes an argument that is valid for the command.
            unsafe { $crate::rt::hosted::fcntl(fd, command, argument) }
        }

        /// Returns zero, which means that the auxiliary vector has no such entry. The page size
        /// does not depend on this function: `rt::run` reads it from the vector, and a bare
        /// program gets the vector with prctl(2).
        #[cfg(not(target_arch = "aarch64"))] // which has one with and without `std`
        #[unsafe(no_mangle)]
        extern "C" fn getauxval(_: ::core::ffi::c_ulong) -> ::core::ffi::c_ulong {
            0
        }
    };
}
