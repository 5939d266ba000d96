//! What mips and mips64 share.
//!
//! Their inline assembly is unstable: it needs the compiler's feature `asm_experimental_arch`,
//! in the library and in each program, for which `baremap-build` sets `cfg(baremap_unstable_asm)`.

use core::mem::offset_of;

use linux_raw_sys::general::{__NR_cacheflush, __kernel_sighandler_t, kernel_sigset_t, sigaction};
use static_assertions::{assert_eq_size, const_assert_eq};

/// The kernel's `struct sigaction`, whose flags come first on mips.
#[allow(non_camel_case_types, reason = "as in linux-raw-sys")]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct kernel_sigaction {
    pub sa_flags: u32,
    pub sa_handler_kernel: __kernel_sighandler_t,
    pub sa_mask: kernel_sigset_t,
}

// linux-raw-sys declares its `kernel_sigaction` in the order of other architectures. Its
// `sigaction`, which comes from the public headers, has the kernel's order on mips.
assert_eq_size!(kernel_sigaction, sigaction);
const_assert_eq!(offset_of!(kernel_sigaction, sa_flags), offset_of!(sigaction, sa_flags));
const_assert_eq!(
    offset_of!(kernel_sigaction, sa_handler_kernel),
    offset_of!(sigaction, sa_handler)
);
const_assert_eq!(offset_of!(kernel_sigaction, sa_mask), offset_of!(sigaction, sa_mask));

/// Makes the processors fetch the instructions that were written to a range as data, by a system
/// call of this architecture. Source: cacheflush(2).
///
/// # Safety
///
/// * The range is mapped.
pub unsafe fn flush_icache(start: usize, length: usize) -> usize {
    /// Selects both caches (`BCACHE` of `asm/cachectl.h`).
    const BOTH: usize = 3;
    // SAFETY: the call does not change memory.
    unsafe { crate::arch::syscall3(__NR_cacheflush as usize, start, length, BOTH) }
}

/// The relocation type `R_MIPS_REL32`, which no program contains: programs are linked at a fixed
/// address, because the linkers do not list the relocations of the global offset table.
pub const R_RELATIVE: u32 = 3;

guarded_copy! {
    blocks: {
        "xor $8, $4, $5",
        by_width!("andi $8, $8, 3", "andi $8, $8, 7"),
        "bnez $8, 20f",                     // source and destination are never both aligned
        "2:",
        by_width!("andi $8, $4, 3", "andi $8, $4, 7"),
        "beqz $8, 3f",
        "beqz $6, 20f",
        "lbu $8, 0($5)",                    // until the destination is aligned
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
