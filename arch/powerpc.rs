//! The calling convention, entry point and guarded copy of powerpc (32 bits, big-endian).
//!
//! | | |
//! |---|---|
//! | instruction | `sc` |
//! | number | `r0` |
//! | arguments | `r3` to `r8` |
//! | result | `r3`; an error sets the summary overflow bit of `cr0` and is positive |
//! | changed by the kernel | `r0`, `r4` to `r12`, `cr0`, `ctr`, `xer` |
//! | `mmap` offset | 4096-byte units, `mmap2` |
//! | 64-bit arguments | register pairs, the first of them odd, in memory order |
//! | stack at a function's entry | a multiple of 16, with 16 bytes for the callee |
//! | page size | 4 KiB, on some machines 16, 64 or 256 |
//! | signal return | code of the kernel, in the vDSO |
//! | relocations | RELA |
//!
//! Sources: System V ABI, PowerPC supplement, 3; kernel
//! `arch/powerpc/kernel/entry_32.S`, `arch/powerpc/kernel/signal_32.c`; syscall(2).

use super::common;

/// Pairs are aligned: a 64-bit argument begins at `r3`, `r5` or `r7`.
pub const PAIRS_ALIGNED: bool = true;

#[path = "common/powerpc.rs"]
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
        "mr %r7, %r6", // child_tid
        "li %r6, 0",
        "li %r0, {number}",
        "sc",
        "bns+ 3f",
        "neg %r3, %r3", // an error
        "blr",
        "3:",
        "cmpwi %r3, 0",
        "beq 2f",
        "blr",
        "2:",
        "lwz %r12, 0(%r1)",
        "lwz %r3, 4(%r1)",
        "li %r0, 0",
        "stwu %r0, -16(%r1)", // the outermost frame
        "mtctr %r12",
        "bctrl", // does not return
        "trap",
        number = const common::nr::clone,
    )
}

/// Expands to the body of `_start`, which relocates the program and then runs it.
#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($relocate:path, $run:path) => {
        ::core::arch::naked_asm!(
            "mr %r3, %r1",          // the kernel's block: argc, argv, envp, auxv
            "clrrwi %r1, %r1, 4",   // the kernel aligns it; another loader may not
            "li %r0, 0",
            "stwu %r0, -16(%r1)",   // the callee's frame; a backtrace ends here
            "mtlr %r0",             // and this one has no caller
            "bl {relocate}",        // a direct call; gives the block back in r3
            "bl {run}",             // does not return
            "trap",
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// The offset of `uc_mcontext.mc_gregs[PT_NIP]` in bytes.
pub const PROGRAM_COUNTER: usize = 320;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 52;

/// The names in the vDSO. Source: vdso(7).
pub const VDSO: common::VdsoNames =
    common::VdsoNames { version: c"LINUX_2.6.15", clock_gettime: c"__kernel_clock_gettime64", getcpu: c"__kernel_getcpu" };
