//! The calling convention, entry point and guarded copy of mips64 (the n64 ABI, both endians).
//!
//! | | |
//! |---|---|
//! | instruction | `syscall` |
//! | number | `$2` |
//! | arguments | `$4` to `$9` |
//! | result | `$2`; an error sets `$7` and is positive |
//! | changed by the kernel | `$1`, `$3`, `$8` to `$15`, `$24`, `$25`, `hi`, `lo` |
//! | `mmap` offset | bytes |
//! | stack at a function's entry | a multiple of 16 |
//! | page size | 4, 16 or 64 KiB |
//! | `stat` | `statx` first: `fstat` has times of 32 bits |
//! | signal return | code of the kernel, in the vDSO |
//! | relocations | none, because programs are linked at a fixed address |
//!
//! The compiler uses `$1`, the assembler's temporary register, as any other, and inline assembly
//! cannot name `$1`, `hi` and `lo`. So the assembly saves and restores these three.
//!
//! Sources: MIPSpro N32 ABI Handbook; kernel `arch/mips/kernel/scall64-n64.S`,
//! `arch/mips/kernel/signal.c`; syscall(2).

use super::common;

syscalls! {
    |number, result, a, b, c, d, e, f|
    text: (
        ".set noat",
        "move $16, $1",
        "mfhi $17",
        "mflo $18",
        "syscall",
        "mtlo $18",
        "mthi $17",
        "move $1, $16",
        ".set at",
        "beqz $7, 2f",      // no error
        "dnegu $2, $2",
        "2:"
    ),
    options: (nostack),
    always: {
        inlateout("$2") number => result,
        out("$16") _, out("$17") _, out("$18") _,
        lateout("$3") _, lateout("$10") _, lateout("$11") _, lateout("$12") _,
        lateout("$13") _, lateout("$14") _, lateout("$15") _, lateout("$24") _,
        lateout("$25") _,
    },
    arguments: {
        { in("$4") a, } { in("$5") b, } { in("$6") c, }
        { inlateout("$7") d => _, } else { lateout("$7") _, }
        { inlateout("$8") e => _, } else { lateout("$8") _, }
        { inlateout("$9") f => _, } else { lateout("$9") _, }
    },
}

#[path = "common/mips.rs"]
mod family;

pub use common::{clone_tls_first as clone, lp64::*};
pub use family::*;
// Hides the usual structure.
pub use family::kernel_sigaction;

/// Whether metadata is read by `statx` rather than by `fstat`, which has times of 32 bits on mips64.
pub const STATX_FIRST: bool = true;

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
        "move $8, $7", // child_tid
        "move $7, $0",
        "li $2, {number}",
        "syscall",
        "bnez $7, 3f",
        "beqz $2, 2f",
        "jr $31",
        "3:",
        "dnegu $2, $2", // an error
        "jr $31",
        "2:",
        "move $fp, $0", // the outermost frame
        "ld $25, 0($sp)",
        "ld $4, 8($sp)",
        "jalr $25", // does not return
        "break",
        number = const common::nr::clone,
    )
}

/// Expands to the body of `_start`, which relocates the program and then runs it.
#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($relocate:path, $run:path) => {
        ::core::arch::naked_asm!(
            "move $4, $sp",                     // the kernel's block: argc, argv, envp, auxv
            "dli $8, -16",
            "and $sp, $sp, $8",                 // the kernel aligns it; another loader may not
            "move $fp, $0",                     // the outermost frame: a backtrace ends here
            "move $31, $0",                     // and it has no caller
            "lui $25, %highest({relocate})",    // a function finds its data by its own
            "daddiu $25, $25, %higher({relocate})", // address, which it expects in $25
            "dsll $25, $25, 16",
            "daddiu $25, $25, %hi({relocate})",
            "dsll $25, $25, 16",
            "daddiu $25, $25, %lo({relocate})",
            "jalr $25",                         // gives the block back in $2
            "move $4, $2",
            "lui $25, %highest({run})",
            "daddiu $25, $25, %higher({run})",
            "dsll $25, $25, 16",
            "daddiu $25, $25, %hi({run})",
            "dsll $25, $25, 16",
            "daddiu $25, $25, %lo({run})",
            "jalr $25",                         // does not return
            "break",
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// The offset of `uc_mcontext.pc` in bytes.
pub const PROGRAM_COUNTER: usize = 616;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 640;

/// The names in the vDSO. Source: vdso(7).
pub const VDSO: common::VdsoNames =
    common::VdsoNames { version: c"LINUX_2.6", clock_gettime: c"__vdso_clock_gettime", getcpu: c"__vdso_getcpu" };
