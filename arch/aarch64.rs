//! The calling convention, entry point and guarded copy of aarch64.
//!
//! | | |
//! |---|---|
//! | instruction | `svc 0` |
//! | number | `x8` |
//! | arguments | `x0` to `x5` |
//! | result | `x0`, an error is −4095 to −1 |
//! | changed by the kernel | nothing else, except the bits of SVE and SME registers beyond the first 128 |
//! | `mmap` offset | bytes |
//! | stack at a function's entry | a multiple of 16 |
//! | page size | 4, 16 or 64 KiB |
//! | signal return | code of the kernel, in the vDSO |
//! | relocations | RELA, RELR |
//!
//! Sources: AAPCS64, 6.4.5; kernel `arch/arm64/kernel/syscall.c`,
//! `arch/arm64/kernel/signal.c`; syscall(2).

use super::common;

/// Defines the raw calls. The arguments are registers that a call changes in addition to those that
/// it always changes.
macro_rules! calls {
    ($($vectors:tt)*) => {
        syscalls! {
            |number, result, a, b, c, d, e, f|
            text: ("svc 0"),
            options: (nostack),
            always: {
                in("x8") number,
                lateout("p0") _, lateout("p1") _, lateout("p2") _, lateout("p3") _,
                lateout("p4") _, lateout("p5") _, lateout("p6") _, lateout("p7") _,
                lateout("p8") _, lateout("p9") _, lateout("p10") _, lateout("p11") _,
                lateout("p12") _, lateout("p13") _, lateout("p14") _, lateout("p15") _,
                lateout("ffr") _,
                $($vectors)*
            },
            arguments: {
                { inlateout("x0") a => result, } else { lateout("x0") result, }
                { in("x1") b, } { in("x2") c, }
                { in("x3") d, } { in("x4") e, } { in("x5") f, }
            },
        }
    };
}

#[cfg(not(target_feature = "sve"))]
calls! {}

// Linux discards the bits of a vector register beyond the first 128. The compiler has one name for
// the whole register, and saving the first 128 bits, which do not change, is slow. So the registers
// are declared as changed only if the compiler may use SVE.
#[cfg(target_feature = "sve")]
calls! {
    lateout("v0") _, lateout("v1") _, lateout("v2") _, lateout("v3") _, lateout("v4") _,
    lateout("v5") _, lateout("v6") _, lateout("v7") _, lateout("v8") _, lateout("v9") _,
    lateout("v10") _, lateout("v11") _, lateout("v12") _, lateout("v13") _, lateout("v14") _,
    lateout("v15") _, lateout("v16") _, lateout("v17") _, lateout("v18") _, lateout("v19") _,
    lateout("v20") _, lateout("v21") _, lateout("v22") _, lateout("v23") _, lateout("v24") _,
    lateout("v25") _, lateout("v26") _, lateout("v27") _, lateout("v28") _, lateout("v29") _,
    lateout("v30") _, lateout("v31") _,
}

/// Makes the processors fetch the instructions that were written to a range as data.
///
/// The cache type register contains the sizes of the cache lines, and whether each of both caches
/// needs maintenance. Source: Arm Architecture Reference Manual, B2.7.4 and D24.2.34.
///
/// # Safety
///
/// * The range is mapped and readable.
pub unsafe fn flush_icache(start: usize, length: usize) -> usize {
    let types: usize;
    // SAFETY: the instruction reads a register.
    unsafe {
        core::arch::asm!(
            "mrs {}, ctr_el0", // the sizes, as powers of two of words
            out(reg) types,
            options(nomem, nostack, preserves_flags),
        );
    }
    let lines = |shift: usize| {
        let size = 4usize << (types >> shift & 15);
        (start & !(size - 1)..start + length).step_by(size)
    };
    // SAFETY: the instructions change only caches.
    unsafe {
        if types & 1 << 28 == 0 {
            for line in lines(16) {
                // Writes the data to where instructions are fetched from.
                core::arch::asm!("dc cvau, {}", in(reg) line, options(nostack, preserves_flags));
            }
        }
        // Waits until all processors see the data.
        core::arch::asm!("dsb ish", options(nostack, preserves_flags));
        if types & 1 << 29 == 0 {
            for line in lines(0) {
                // Discards instructions in the instruction cache.
                core::arch::asm!("ic ivau, {}", in(reg) line, options(nostack, preserves_flags));
            }
            // Waits until all processors have discarded the instructions.
            core::arch::asm!("dsb ish", options(nostack, preserves_flags));
        }
        // Discards instructions that this processor has fetched.
        core::arch::asm!("isb", options(nostack, preserves_flags));
    }
    0
}

pub use common::{clone_tls_first as clone, lp64::*};

/// Expands to the body of `_start`, which relocates the program and then runs it.
#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($relocate:path, $run:path) => {
        ::core::arch::naked_asm!(
            "mov x29, xzr",   // the outermost frame: a backtrace ends here
            "mov x30, xzr",   // and it has no caller
            "mov x0, sp",     // the kernel's block: argc, argv, envp, auxv
            "bl {relocate}",  // a direct call; gives the block back in x0
            "bl {run}",       // does not return
            "brk 1",
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// The relocation type `R_AARCH64_RELATIVE`.
pub use linux_raw_sys::elf::R_RELATIVE;

pub use common::kernel_restorer as set_restorer;
pub use linux_raw_sys::general::SA_RESTORER;

guarded_copy! {
    blocks: {
        "2:",
        "cmp x2, 64",
        "b.lo 3f",
        "ldp x4, x5, [x1]",             // 64 bytes
        "ldp x6, x7, [x1, 16]",
        "ldp x8, x9, [x1, 32]",
        "ldp x10, x11, [x1, 48]",
        "stp x4, x5, [x0]",
        "stp x6, x7, [x0, 16]",
        "stp x8, x9, [x0, 32]",
        "stp x10, x11, [x0, 48]",
        "add x1, x1, 64",
        "add x0, x0, 64",
        "sub x2, x2, 64",
        "b 2b",
        "3:",
        "cmp x2, 8",
        "b.lo 20f",
        "ldr x4, [x1]",                 // 8 bytes
        "str x4, [x0]",
        "add x1, x1, 8",
        "add x0, x0, 8",
        "sub x2, x2, 8",
        "b 3b",
    }
    bytes: {
        "cbz x2, 30f",
        "ldrb w4, [x1]",
        "strb w4, [x0]",
        "add x1, x1, 1",
        "add x0, x0, 1",
        "sub x2, x2, 1",
        "b 20b",
    }
    done: {
        "mov x0, x2",
        "ret",
    }
}

pub use common::{guarded_copy, prepare_copy};

/// The offset of `uc_mcontext.pc` in bytes.
pub const PROGRAM_COUNTER: usize = 440;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 40;
