//! The runtime of a freestanding program: from the kernel's first instruction to
//! the exit status, without libc.
//!
//! A whole program:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//! baremap::entry!(main);
//!
//! fn main(start: baremap::rt::Start) -> baremap::rt::ExitCode {
//!     for argument in start.args() {
//!         baremap::println!("{}", argument.to_bytes().escape_ascii());
//!     }
//!     baremap::rt::ExitCode::SUCCESS
//! }
//! ```
//!
//! It is linked without start files and libraries, and `panic` is `"abort"`: the package
//! in `examples/` has the lines for `Cargo.toml` and `build.rs`.

#[cfg(test)]
mod fuzz;
mod mem;
mod panic;
mod print;
mod relocate;
mod start;

#[doc(hidden)]
pub use crate::decimal::Decimal;
#[doc(hidden)]
pub use mem::{compare, copy, copy_backward, fill, length};
pub use panic::{abort, panic};
pub use print::{Output, STDERR, STDIN, STDOUT, print, write_all};
pub use relocate::{keep, relocate};
pub use start::{Auxv, ExitCode, Start, Strings, Termination, run, run_bare};

/// Makes a program of a `fn main(Start)`.
///
/// `main` returns nothing or an [`ExitCode`](crate::rt::ExitCode). The macro
/// defines, in the program, all that a standard library would: the symbol
/// `_start`, the panic handler, and the memory functions that the compiler calls. A
/// library must never use it.
///
/// `entry!(main, bare)` does without the runtime's help before `main`: the program
/// must be linked at a fixed address (`-static`), for it is not relocated, and
/// descriptors 0 to 2 stay closed if they are. It saves a kilobyte and two system
/// calls.
#[cfg(not(feature = "std"))]
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        $crate::__program!($crate::rt::relocate, $crate::rt::run, $main);
    };
    ($main:path, bare) => {
        $crate::__program!($crate::rt::keep, $crate::rt::run_bare, $main);
    };
}

#[cfg(not(feature = "std"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __program {
    ($relocate:path, $run:path, $main:path) => {
        const _: () = {
            use ::core::ffi::{c_char, c_int};

            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            unsafe extern "C" fn _start() -> ! {
                $crate::__start!($relocate, run)
            }

            unsafe extern "C" fn run(stack: *const usize) -> ! {
                // SAFETY: `_start` was entered by the kernel, and hands on the stack.
                unsafe { $run(stack, $main) }
            }

            #[panic_handler]
            fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
                $crate::rt::panic(info)
            }

            /// Debug builds of `core` name it; nothing ever unwinds.
            #[unsafe(no_mangle)]
            extern "C" fn rust_eh_personality() {}

            /// So does the crate `alloc` as it comes with the compiler.
            #[unsafe(no_mangle)]
            extern "C" fn _Unwind_Resume() -> ! {
                loop {}
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

/// Makes a program of a `fn main(Start)`: not with the feature `std`.
#[cfg(feature = "std")]
#[macro_export]
macro_rules! entry {
    ($main:path $(, bare)?) => {
        ::core::compile_error!(
            "baremap's feature `std` is on: a freestanding program cannot have it"
        );
    };
}
