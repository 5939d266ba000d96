//! riscv64.
//!
//! | | |
//! |---|---|
//! | instruction | `ecall` |
//! | number | `a7` |
//! | arguments | `a0` to `a5` |
//! | result | `a0`, an error is −4095 to −1 |
//! | changed by the kernel | nothing else |
//! | `mmap` offset | bytes |
//! | stack at a function's entry | a multiple of 16 |
//! | page size | 4 KiB |
//! | signal return | the kernel's, in the vDSO |
//! | relocations | RELA, RELR |
//!
//! Sources: RISC-V ELF psABI, chapters 2 and 8; kernel
//! `arch/riscv/kernel/entry.S`, `arch/riscv/kernel/signal.c`; syscall(2).

use super::common;

syscalls! {
    |number, result, a, b, c, d, e, f|
    text: ("ecall"),
    always: { in("a7") number, },
    none: { lateout("a0") result, },
    arguments: {
        { inlateout("a0") a => result, } { in("a1") b, } { in("a2") c, }
        { in("a3") d, } { in("a4") e, } { in("a5") f, }
    },
}

pub use common::{clone_tls_first as clone, lp64::*};

/// The body of `_start`: relocate the program, then run it.
#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($relocate:path, $run:path) => {
        ::core::arch::naked_asm!(
            ".option push",
            ".option norelax",              // or the next line would use gp itself
            "lla gp, __global_pointer$",    // what relaxed code reaches data by
            ".option pop",
            "mv fp, zero",                  // the outermost frame: a backtrace ends here
            "mv a0, sp",                    // the kernel's block: argc, argv, envp, auxv
            "andi sp, sp, -16",             // the kernel aligns it; a hand-made exec may not
            "call {relocate}",              // a direct call; gives the block back in a0
            "call {run}",                   // does not return
            "unimp",
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// `R_RISCV_RELATIVE`.
#[cfg(feature = "freestanding")]
pub use linux_raw_sys::elf::R_RELATIVE;

pub use common::{NO_SA_RESTORER as SA_RESTORER, kernel_restorer as set_restorer};
