//! What mips and mips64 share. Inline assembly for them is behind a feature gate of the
//! compiler's (`asm_experimental_arch`), in the library and in programs.

use core::mem::offset_of;

use linux_raw_sys::general::{__kernel_sighandler_t, kernel_sigset_t, sigaction};
use static_assertions::{assert_eq_size, const_assert_eq};

/// The kernel's `struct sigaction`: the flags come first here.
#[allow(non_camel_case_types, reason = "as in linux-raw-sys")]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct kernel_sigaction {
    pub sa_flags: u32,
    pub sa_handler_kernel: __kernel_sighandler_t,
    pub sa_mask: kernel_sigset_t,
}

// The crate has another order for the structure of this name, and the kernel's own for
// that of the public headers, which is the same one.
assert_eq_size!(kernel_sigaction, sigaction);
const_assert_eq!(offset_of!(kernel_sigaction, sa_flags), offset_of!(sigaction, sa_flags));
const_assert_eq!(
    offset_of!(kernel_sigaction, sa_handler_kernel),
    offset_of!(sigaction, sa_handler)
);
const_assert_eq!(offset_of!(kernel_sigaction, sa_mask), offset_of!(sigaction, sa_mask));

/// `R_MIPS_REL32`. Programs are linked at a fixed address, and have none: what needs
/// relocation on mips is the global offset table, and it is listed nowhere.
#[cfg(feature = "freestanding")]
pub const R_RELATIVE: u32 = 3;
