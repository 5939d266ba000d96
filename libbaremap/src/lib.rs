//! `libbaremap`: baremap for C, and for every language that calls C.
//!
//! `baremap.h` describes the functions, and is generated from this source by
//! `cargo xtask libbaremap --update`. `docs/c.md` of the repository is the guide.
//!
//! The library is `no_std` and links to no other library. `memcpy`, `memmove`, `memset`, `malloc`
//! and `free` come from the C library of the program, so that one build serves glibc and musl.

#![no_std]

mod copy;
mod handler;
mod inspection;
mod map;
mod reservation;
mod ring;
mod support;
mod watch;

use core::ffi::{CStr, c_char};

baremap::__panic_handler!("libbaremap");

/// The version of this package, as a string for C.
const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };

/// Returns the version of the library, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn baremap_version() -> *const c_char {
    VERSION.as_ptr()
}
