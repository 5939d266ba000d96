//! The calling convention, entry point and guarded copy of riscv32, which has no `fstat` and no calls
//! with 32-bit times.
//!
//! | | |
//! |---|---|
//! | instruction | `ecall` |
//! | number | `a7` |
//! | arguments | `a0` to `a5` |
//! | result | `a0`, an error is −4095 to −1 |
//! | changed by the kernel | nothing else, except all vector registers |
//! | `mmap` offset | 4096-byte units, `mmap2` |
//! | 64-bit arguments | two registers, low half first, not aligned |
//! | stack at a function's entry | a multiple of 16 |
//! | page size | 4 KiB |
//! | signal return | code of the kernel, in the vDSO |
//! | relocations | RELA |
//!
//! Sources: RISC-V ELF psABI, chapters 2 and 8; kernel
//! `arch/riscv/kernel/entry.S`, `arch/riscv/kernel/signal.c`; syscall(2).

use super::common;

/// Pairs are not aligned: a 64-bit argument begins at any register.
pub const PAIRS_ALIGNED: bool = false;

#[path = "common/riscv.rs"]
mod family;

pub use common::{clone_tls_first as clone, ilp32::*};
pub use family::*;

/// Makes the system call `clone` for a thread, which begins on its own stack.
///
/// The new thread calls the function whose address is the first word of the stack, with the second
/// word as its argument. The function does not return. Returns the thread's number, or an error.
///
/// # Safety
///
/// * `flags` contain `CLONE_VM`, and not `CLONE_SETTLS`. The other arguments fit `flags`.
/// * `stack` is a multiple of 16. Above it are the two words, and below it is memory that only the
///   new thread uses.
#[unsafe(naked)]
pub unsafe extern "C" fn clone_thread(
    flags: usize,
    stack: *mut usize,
    parent_tid: *mut u32,
    child_tid: *mut u32,
) -> usize {
    core::arch::naked_asm!(
        "mv a4, a3", // child_tid
        "li a3, 0",
        "li a7, {number}",
        "ecall",
        "beqz a0, 2f",
        "ret",
        "2:",
        "li s0, 0", // the outermost frame
        "lw t0, 0(sp)",
        "lw a0, 4(sp)",
        "jalr t0", // does not return
        "ebreak",
        number = const common::nr::clone,
    )
}

/// The offset of `uc_mcontext.gregs.pc` in bytes.
pub const PROGRAM_COUNTER: usize = 160;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 20;

/// The names in the vDSO. Source: vdso(7).
pub const VDSO: common::VdsoNames =
    common::VdsoNames { version: c"LINUX_4.15", clock_gettime: c"__vdso_clock_gettime64", getcpu: c"__vdso_getcpu" };
