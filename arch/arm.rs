//! The calling convention, entry point and guarded copy of arm (the EABI, in ARM and Thumb mode).
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
//! | signal return | code of the kernel, in a separate page |
//! | relocations | REL, RELR |
//!
//! In Thumb mode `r7` is also the frame pointer, which inline assembly cannot name. So the compiler
//! chooses the register of the number, and the assembly keeps `r7` in another register during the
//! call. The code is right in ARM mode as well.
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

/// Makes the processors fetch the instructions that were written to a range as data, by a system
/// call of this architecture. Source: kernel `arch/arm/kernel/traps.c`.
///
/// # Safety
///
/// * The range is mapped.
pub unsafe fn flush_icache(start: usize, length: usize) -> usize {
    let number = linux_raw_sys::general::__ARM_NR_cacheflush as usize;
    // SAFETY: the call does not change memory.
    unsafe { syscall3(number, start, start + length, 0) }
}

/// Pairs are aligned: a 64-bit argument begins at an even register.
pub const PAIRS_ALIGNED: bool = true;

pub use common::{clone_tls_first as clone, ilp32::*};

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
        "push {{r4, r7}}",
        "mov r4, r3", // child_tid
        "mov r3, #0",
        "mov r7, #{number}",
        "svc 0",
        "cmp r0, #0",
        "beq 2f",
        "pop {{r4, r7}}",
        "bx lr",
        "2:",
        "mov r11, #0", // the outermost frame
        "ldr r1, [sp]",
        "ldr r0, [sp, #4]",
        "blx r1", // does not return
        "udf #0",
        number = const common::nr::clone,
    )
}

/// Expands to the body of `_start`, which relocates the program and then runs it.
#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($relocate:path, $run:path) => {
        ::core::arch::naked_asm!(
            "mov r7, #0",       // the outermost frame, in Thumb mode
            "mov r11, r7",      // and in ARM mode: a backtrace ends here
            "mov lr, r7",       // and it has no caller
            "mov r0, sp",       // the kernel's block: argc, argv, envp, auxv
            "bic r1, r0, #7",   // the kernel aligns it; another loader may not
            "mov sp, r1",
            "bl {relocate}",    // a direct call; gives the block back in r0
            "bl {run}",         // does not return
            "udf #0",
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// The relocation type `R_ARM_RELATIVE`.
pub use linux_raw_sys::elf::R_RELATIVE;

/// Expands to a loop that copies 48 bytes to an aligned destination, from a source that is a number
/// of bytes behind an aligned word: each word that is stored is made of parts of two that are
/// loaded. Both have bytes that are wanted, so that no other page is touched.
macro_rules! copy_shifted {
    ($drop:literal, $keep:literal, $before:literal, $($next:literal, $after:literal, $at:literal, $then:literal);+) => {
        concat!(
            "ldr r3, [r1, #-", $before, "]\n",
            "5:\n",
            $(
                copy_shifted!(@word "r3", "r12", $drop, $keep, $next, $at),
                copy_shifted!(@word "r12", "r3", $drop, $keep, $after, $then),
            )+
            "add r1, r1, #48\n",
            "add r0, r0, #48\n",
            "sub r2, r2, #48\n",
            "cmp r2, #48\n",
            "bhs 5b\n",
            "b 20f\n",
        )
    };
    (@word $old:literal, $new:literal, $drop:literal, $keep:literal, $from:literal, $to:literal) => {
        concat!(
            "ldr ", $new, ", [r1, #", $from, "]\n",
            by_endian!("lsr ", "lsl "), $old, ", ", $old, ", #", $drop, "\n",
            "orr ", $old, ", ", $old, ", ", $new, by_endian!(", lsl #", ", lsr #"), $keep, "\n",
            "str ", $old, ", [r0, #", $to, "]\n",
        )
    };
}

/// Selects text for little-endian or big-endian words.
#[cfg(target_endian = "little")]
macro_rules! by_endian {
    ($little:literal, $big:literal) => {
        $little
    };
}
/// Selects text for little-endian or big-endian words.
#[cfg(target_endian = "big")]
macro_rules! by_endian {
    ($little:literal, $big:literal) => {
        $big
    };
}

guarded_copy! {
    blocks: {
        "2:",
        "tst r0, #3",
        "beq 3f",
        "cmp r2, #0",
        "beq 20f",
        "ldrb r3, [r1]",                // until the destination is aligned
        "strb r3, [r0]",
        "add r1, r1, #1",
        "add r0, r0, #1",
        "sub r2, r2, #1",
        "b 2b",
        "3:",
        "ands r3, r1, #3",
        "bne 6f",
        "4:",
        "cmp r2, #8",
        "blo 20f",
        "ldm r1, {{r3, r12}}",          // 8 bytes
        "stm r0, {{r3, r12}}",
        "add r1, r1, #8",
        "add r0, r0, #8",
        "sub r2, r2, #8",
        "b 4b",
        "6:",                           // the source is not aligned
        "cmp r2, #48",
        "blo 20f",
        "cmp r3, #2",
        "beq 7f",
        "bhi 8f",
        copy_shifted!("8", "24", "1",
            "3", "7", "0", "4"; "11", "15", "8", "12"; "19", "23", "16", "20";
            "27", "31", "24", "28"; "35", "39", "32", "36"; "43", "47", "40", "44"),
        "7:",
        copy_shifted!("16", "16", "2",
            "2", "6", "0", "4"; "10", "14", "8", "12"; "18", "22", "16", "20";
            "26", "30", "24", "28"; "34", "38", "32", "36"; "42", "46", "40", "44"),
        "8:",
        copy_shifted!("24", "8", "3",
            "1", "5", "0", "4"; "9", "13", "8", "12"; "17", "21", "16", "20";
            "25", "29", "24", "28"; "33", "37", "32", "36"; "41", "45", "40", "44"),
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

/// The offset of `uc_mcontext.arm_pc` in bytes.
pub const PROGRAM_COUNTER: usize = 92;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 104;

/// The names in the vDSO. Source: vdso(7).
pub const VDSO: common::VdsoNames =
    common::VdsoNames { version: c"LINUX_2.6", clock_gettime: c"__vdso_clock_gettime64", getcpu: c"__vdso_getcpu" };
