//! The runtime of a freestanding program: from the kernel's first instruction to
//! the exit status, without libc.
//!
//! A whole program:
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
//! It is linked without start files and libraries, which the crate `baremap-build` sees to, and
//! `panic` is `"abort"`. The directory `template/` is a package that has both, and
//! `docs/freestanding.md` a guide.

#[cfg(target_arch = "aarch64")]
mod auxv;
#[cfg(test)]
mod fuzz;
#[cfg(feature = "std")]
#[doc(hidden)]
pub mod hosted;
mod linked;
mod mem;
#[doc(hidden)]
pub mod overflow;
mod panic;
mod print;
mod relocate;
mod start;

#[doc(hidden)]
pub use crate::decimal::Decimal;
#[cfg(target_arch = "aarch64")]
#[doc(hidden)]
pub use auxv::{getauxval, keep_auxv};
#[doc(hidden)]
pub use linked::check_linked;
#[doc(hidden)]
pub use mem::{compare, copy, copy_backward, fill, length};
pub use panic::{abort, panic};
pub use print::{Output, STDERR, STDIN, STDOUT, eprint, eprintln, print, println, write_all};
pub use relocate::{keep, relocate};
pub use start::{Auxv, ExitCode, Start, Strings, Termination, run, run_bare};

/// Makes a program of a `fn main(Start)`.
///
/// `main` returns what [`Termination`](crate::rt::Termination) is implemented for: `()`,
/// [`ExitCode`](crate::rt::ExitCode), `!`, or a `Result` whose error is printed. The macro
/// defines, in the program, all that a standard library would: the symbol
/// `_start`, the panic handler, and the memory functions that the compiler calls. A
/// library must never use it.
///
/// A program with debug assertions reports an overflow of its stack, by a handler of `SIGSEGV`.
///
/// `entry!(main, bare)` does without the runtime's help before `main`: the program
/// must be linked at a fixed address (`Freestanding::bare_bin` of the crate `baremap-build`), for
/// it is not relocated, descriptors 0 to 2 stay closed if they are, and an overflow of the stack
/// is not reported. It saves a kilobyte and two system calls.
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
        // What is forgotten in the package is said here, before the linker or a crash says less.
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

            /// What messages begin with.
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
                #[cfg(target_arch = "aarch64")]
                // SAFETY: `_start` was entered by the kernel, and hands on the stack.
                unsafe {
                    $crate::rt::keep_auxv(stack)
                };
                #[cfg(debug_assertions)]
                if !$bare {
                    // SAFETY: as above, and `main` has not begun.
                    unsafe { $crate::rt::overflow::install(stack, on_fault) };
                }
                // SAFETY: as above.
                unsafe { $run(stack, $main, PROGRAM) }
            }

            #[cfg(debug_assertions)]
            unsafe extern "C" fn on_fault(
                _: c_int,
                info: *mut $crate::syscall::SigInfo,
                _: *mut c_void,
            ) {
                // SAFETY: the kernel passes it to a handler that was installed with SA_SIGINFO.
                $crate::rt::overflow::report(unsafe { &*info }, PROGRAM);
            }

            $crate::__with_or_without_std!(PROGRAM);

            /// The constructor of `compiler_builtins` for aarch64 names it, which asks for the
            /// processor's atomic instructions.
            #[cfg(target_arch = "aarch64")]
            #[unsafe(no_mangle)]
            extern "C" fn getauxval(kind: c_ulong) -> c_ulong {
                $crate::rt::getauxval(kind)
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcpy(dest: *mut u8, src: *const u8, n: usize) -> *mut u8 {
                // SAFETY: memcpy(3) promises two ranges of `n` bytes that do not overlap.
                unsafe { $crate::rt::copy(dest, src, n) };
                dest
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memmove(dest: *mut u8, src: *const u8, n: usize) -> *mut u8 {
                // Does `dest` begin inside the source? Then from the end.
                if dest.addr().wrapping_sub(src.addr()) < n {
                    // SAFETY: memmove(3) promises two ranges of `n` bytes.
                    unsafe { $crate::rt::copy_backward(dest, src, n) };
                } else {
                    // SAFETY: as above, and no byte is written before it is read.
                    unsafe { $crate::rt::copy(dest, src, n) };
                }
                dest
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memset(dest: *mut u8, byte: c_int, n: usize) -> *mut u8 {
                // SAFETY: memset(3) promises a range of `n` bytes.
                unsafe { $crate::rt::fill(dest, byte as u8, n) };
                dest
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> c_int {
                // SAFETY: memcmp(3) promises two ranges of `n` bytes.
                unsafe { $crate::rt::compare(a, b, n) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> c_int {
                // SAFETY: bcmp(3) promises two ranges of `n` bytes.
                unsafe { $crate::rt::compare(a, b, n) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn strlen(string: *const c_char) -> usize {
                // SAFETY: strlen(3) promises a string that ends with a NUL.
                unsafe { $crate::rt::length(string) }
            }
        };
    };
}

/// Defines what `core` and `alloc` expect of a program that is linked without `std`.
#[cfg(not(feature = "std"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __with_or_without_std {
    ($program:expr) => {
        #[panic_handler]
        fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::rt::panic(info, $program)
        }

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

/// Defines what `std` needs, which brings a panic handler of its own: see `rt::hosted`.
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
            // SAFETY: the caller's promise.
            unsafe { $crate::rt::hosted::close(fd) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
            // SAFETY: the caller's promise.
            unsafe { $crate::rt::hosted::fcntl(fd, command, argument) }
        }

        /// Knows nothing: `rt::run` reads the vector, and a bare program asks the kernel.
        #[unsafe(no_mangle)]
        extern "C" fn getauxval(_: ::core::ffi::c_ulong) -> ::core::ffi::c_ulong {
            0
        }
    };
}
