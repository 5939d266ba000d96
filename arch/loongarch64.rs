//! The calling convention, entry point and guarded copy of loongarch64.
//!
//! | | |
//! |---|---|
//! | instruction | `syscall 0` |
//! | number | `$a7` |
//! | arguments | `$a0` to `$a5` |
//! | result | `$a0`, an error is −4095 to −1 |
//! | changed by the kernel | `$t0` to `$t8` |
//! | `mmap` offset | bytes |
//! | `stat` | `statx` first: kernels before Linux 6.11 do not have `fstat` |
//! | stack at a function's entry | a multiple of 16 |
//! | page size | 4, 16 or 64 KiB |
//! | signal return | code of the kernel, in the vDSO |
//! | relocations | RELA, RELR |
//!
//! Sources: LoongArch ELF psABI; kernel `arch/loongarch/kernel/entry.S`,
//! `arch/loongarch/kernel/signal.c`; syscall(2).

use super::common;

syscalls! {
    |number, result, a, b, c, d, e, f|
    text: ("syscall 0"),
    options: (nostack),
    always: {
        in("$a7") number,
        lateout("$t0") _, lateout("$t1") _, lateout("$t2") _, lateout("$t3") _,
        lateout("$t4") _, lateout("$t5") _, lateout("$t6") _, lateout("$t7") _,
        lateout("$t8") _,
    },
    arguments: {
        { inlateout("$a0") a => result, } else { lateout("$a0") result, }
        { in("$a1") b, } { in("$a2") c, }
        { in("$a3") d, } { in("$a4") e, } { in("$a5") f, }
    },
}

/// Makes this processor fetch the instructions that were written to memory as data.
///
/// The hardware keeps the caches of all processors coherent. Source: LoongArch Reference Manual,
/// volume 1, 2.2.8.
///
/// # Safety
///
/// * There are no requirements. On other architectures, the range must be mapped.
pub unsafe fn flush_icache(_: usize, _: usize) -> usize {
    // SAFETY: the instructions affect only the order of stores and fetches.
    unsafe {
        core::arch::asm!(
            "dbar 0", // waits for the stores
            "ibar 0", // discards instructions that this processor has fetched
            options(nostack, preserves_flags),
        );
    }
    0
}

pub use common::{clone_tls_last as clone, lp64::*};

/// Whether metadata is read by `statx` rather than by `fstat`, which kernels before Linux 6.11 do not
/// have on loongarch64.
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
        "ori $a7, $zero, {number}",
        "syscall 0",
        "beqz $a0, 2f",
        "jr $ra",
        "2:",
        "move $fp, $zero", // the outermost frame
        "ld.d $t0, $sp, 0",
        "ld.d $a0, $sp, 8",
        "jirl $ra, $t0, 0", // does not return
        "break 0",
        number = const common::nr::clone,
    )
}

/// Expands to the body of `_start`, which relocates the program and then runs it.
#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($relocate:path, $run:path) => {
        ::core::arch::naked_asm!(
            "move $fp, $zero",              // the outermost frame: a backtrace ends here
            "move $ra, $zero",              // and it has no caller
            "move $a0, $sp",                // the kernel's block: argc, argv, envp, auxv
            "bstrins.d $sp, $zero, 3, 0",   // the kernel aligns it; another loader may not
            "bl {relocate}",                // a direct call; gives the block back in a0
            "bl {run}",                     // does not return
            "break 0",
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// The relocation type `R_LARCH_RELATIVE`.
pub const R_RELATIVE: u32 = 3;

guarded_copy! {
    blocks: {
        "xor $t0, $a0, $a1",
        "andi $t0, $t0, 7",
        "bnez $t0, 20f",                    // source and destination are never both aligned
        "2:",
        "andi $t0, $a0, 7",
        "beqz $t0, 3f",
        "beqz $a2, 20f",
        "ld.b $t0, $a1, 0",                 // until the destination is aligned
        "st.b $t0, $a0, 0",
        "addi.d $a1, $a1, 1",
        "addi.d $a0, $a0, 1",
        "addi.d $a2, $a2, -1",
        "b 2b",
        "3:",
        "ori $t4, $zero, 32",
        "bltu $a2, $t4, 20f",
        "ld.d $t0, $a1, 0",                 // 32 bytes
        "ld.d $t1, $a1, 8",
        "ld.d $t2, $a1, 16",
        "ld.d $t3, $a1, 24",
        "st.d $t0, $a0, 0",
        "st.d $t1, $a0, 8",
        "st.d $t2, $a0, 16",
        "st.d $t3, $a0, 24",
        "addi.d $a1, $a1, 32",
        "addi.d $a0, $a0, 32",
        "addi.d $a2, $a2, -32",
        "b 3b",
    }
    bytes: {
        "beqz $a2, 30f",
        "ld.b $t0, $a1, 0",
        "st.b $t0, $a0, 0",
        "addi.d $a1, $a1, 1",
        "addi.d $a0, $a0, 1",
        "addi.d $a2, $a2, -1",
        "b 20b",
    }
    done: {
        "move $a0, $a2",
        "ret",
    }
}

/// The offset of `uc_mcontext.sc_pc` in bytes.
pub const PROGRAM_COUNTER: usize = 176;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 40;

/// The names in the vDSO. Source: vdso(7).
pub const VDSO: common::VdsoNames =
    common::VdsoNames { version: c"LINUX_5.10", clock_gettime: c"__vdso_clock_gettime", getcpu: c"__vdso_getcpu" };
