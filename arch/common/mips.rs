//! What mips and mips64 share. Inline assembly for them is behind a feature gate of the
//! compiler's (`asm_experimental_arch`), in the library and in programs.

use core::mem::offset_of;

use linux_raw_sys::general::{__kernel_sighandler_t, kernel_sigset_t, sigaction};
use static_assertions::{assert_eq_size, const_assert_eq};

use super::nr;

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

/// Has the processors fetch instructions that were written as data: a call of this
/// architecture's own. Source: cacheflush(2).
///
/// # Safety
///
/// The range is mapped.
pub unsafe fn flush_icache(start: usize, length: usize) -> usize {
    /// Both caches, `BCACHE` of `asm/cachectl.h`.
    const BOTH: usize = 3;
    // SAFETY: no memory changes.
    unsafe { crate::arch::syscall3(nr::cacheflush, start, length, BOTH) }
}

/// `R_MIPS_REL32`. Programs are linked at a fixed address, and have none: what needs
/// relocation on mips is the global offset table, and it is listed nowhere.
pub const R_RELATIVE: u32 = 3;

guarded_copy! {
    blocks: {
        "xor $8, $4, $5",
        by_width!("andi $8, $8, 3", "andi $8, $8, 7"),
        "bnez $8, 20f",                     // never both at a word's start
        "2:",
        by_width!("andi $8, $4, 3", "andi $8, $4, 7"),
        "beqz $8, 3f",
        "beqz $6, 20f",
        "lbu $8, 0($5)",                    // up to there
        "sb $8, 0($4)",
        by_width!("addiu $5, $5, 1", "daddiu $5, $5, 1"),
        by_width!("addiu $4, $4, 1", "daddiu $4, $4, 1"),
        by_width!("addiu $6, $6, -1", "daddiu $6, $6, -1"),
        "b 2b",
        "3:",
        by_width!("sltiu $8, $6, 16", "sltiu $8, $6, 32"),
        "bnez $8, 20f",
        by_width!("lw $8, 0($5)", "ld $8, 0($5)"), // 4 words
        by_width!("lw $9, 4($5)", "ld $9, 8($5)"),
        by_width!("lw $10, 8($5)", "ld $10, 16($5)"),
        by_width!("lw $11, 12($5)", "ld $11, 24($5)"),
        by_width!("sw $8, 0($4)", "sd $8, 0($4)"),
        by_width!("sw $9, 4($4)", "sd $9, 8($4)"),
        by_width!("sw $10, 8($4)", "sd $10, 16($4)"),
        by_width!("sw $11, 12($4)", "sd $11, 24($4)"),
        by_width!("addiu $5, $5, 16", "daddiu $5, $5, 32"),
        by_width!("addiu $4, $4, 16", "daddiu $4, $4, 32"),
        by_width!("addiu $6, $6, -16", "daddiu $6, $6, -32"),
        "b 3b",
    }
    bytes: {
        "beqz $6, 30f",
        "lbu $8, 0($5)",
        "sb $8, 0($4)",
        by_width!("addiu $5, $5, 1", "daddiu $5, $5, 1"),
        by_width!("addiu $4, $4, 1", "daddiu $4, $4, 1"),
        by_width!("addiu $6, $6, -1", "daddiu $6, $6, -1"),
        "b 20b",
    }
    done: {
        "move $2, $6",
        "jr $31",
    }
}
