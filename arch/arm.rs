//! arm, the EABI, in ARM and in Thumb mode.
//!
//! | | |
//! |---|---|
//! | instruction | `svc 0` |
//! | number | `r7` |
//! | arguments | `r0` to `r5` |
//! | result | `r0`, an error is −4095 to −1 |
//! | changed by the kernel | nothing else |
//! | `mmap` offset | 4096-byte units, `mmap2` |
//! | 64-bit arguments | register pairs, the first of them even, in memory order |
//! | stack at a function's entry | a multiple of 8 |
//! | page size | 4 KiB |
//! | signal return | the kernel's, in a page of its own |
//! | relocations | REL, RELR |
//!
//! In Thumb mode `r7` is the frame pointer as well, which inline assembly may not
//! name. So the number comes in any other register, and `r7` is kept in one more
//! around the call; the same lines are right in ARM mode.
//!
//! Sources: AAPCS32, 6.2.1.2 and 6.5; kernel `arch/arm/kernel/entry-common.S`,
//! `arch/arm/kernel/signal.c`; syscall(2).

use super::common;

syscalls! {
    |number, result, a, b, c, d, e, f|
    text: (
        "mov {r7}, r7",      // keep the frame pointer
        "mov r7, {number}",
        "svc 0",
        "mov r7, {r7}"
    ),
    options: (nostack),
    always: {
        number = in(reg) number,
        r7 = out(reg) _, // written before the number is read: not lateout
    },
    arguments: {
        { inlateout("r0") a => result, } else { lateout("r0") result, }
        { in("r1") b, } { in("r2") c, }
        { in("r3") d, } { in("r4") e, } { in("r5") f, }
    },
}

/// Has the processors fetch instructions that were written as data: a call of this
/// architecture's own. Source: kernel `arch/arm/kernel/traps.c`.
///
/// # Safety
///
/// The range is mapped.
pub unsafe fn flush_icache(start: usize, length: usize) -> usize {
    let number = linux_raw_sys::general::__ARM_NR_cacheflush as usize;
    // SAFETY: no memory changes.
    unsafe { syscall3(number, start, start + length, 0) }
}

/// A 64-bit argument begins at an even register.
pub const PAIRS_ALIGNED: bool = true;

pub use common::{clone_tls_first as clone, ilp32::*};

/// The body of `_start`: relocate the program, then run it.
#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($relocate:path, $run:path) => {
        ::core::arch::naked_asm!(
            "mov r7, #0",       // the outermost frame, in Thumb mode
            "mov r11, r7",      // and in ARM mode: a backtrace ends here
            "mov lr, r7",       // and it has no caller
            "mov r0, sp",       // the kernel's block: argc, argv, envp, auxv
            "bic r1, r0, #7",   // the kernel aligns it; a hand-made exec may not
            "mov sp, r1",
            "bl {relocate}",    // a direct call; gives the block back in r0
            "bl {run}",         // does not return
            "udf #0",
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// `R_ARM_RELATIVE`.
pub use linux_raw_sys::elf::R_RELATIVE;

pub use common::kernel_restorer as set_restorer;
pub use linux_raw_sys::general::SA_RESTORER;

guarded_copy! {
    blocks: {
        "eor r3, r0, r1",
        "tst r3, #3",
        "bne 20f",                      // never both at a word's start
        "2:",
        "tst r0, #3",
        "beq 3f",
        "cmp r2, #0",
        "beq 20f",
        "ldrb r3, [r1]",                // up to there
        "strb r3, [r0]",
        "add r1, r1, #1",
        "add r0, r0, #1",
        "sub r2, r2, #1",
        "b 2b",
        "3:",
        "cmp r2, #8",
        "blo 20f",
        "ldm r1, {{r3, r12}}",          // 8 bytes
        "stm r0, {{r3, r12}}",
        "add r1, r1, #8",
        "add r0, r0, #8",
        "sub r2, r2, #8",
        "b 3b",
    }
    bytes: {
        "cmp r2, #0",
        "beq 30f",
        "ldrb r3, [r1]",
        "strb r3, [r0]",
        "add r1, r1, #1",
        "add r0, r0, #1",
        "sub r2, r2, #1",
        "b 20b",
    }
    done: {
        "mov r0, r2",
        "bx lr",
    }
}

/// `uc_mcontext.arm_pc`.
pub const PROGRAM_COUNTER: usize = 92;
/// `uc_sigmask`.
pub const SIGNAL_MASK: usize = 104;
