//! loongarch64.
//!
//! | | |
//! |---|---|
//! | instruction | `syscall 0` |
//! | number | `$a7` |
//! | arguments | `$a0` to `$a5` |
//! | result | `$a0`, an error is −4095 to −1 |
//! | changed by the kernel | `$t0` to `$t8` |
//! | `mmap` offset | bytes |
//! | `stat` | `statx` first: kernels before 6.11 have no other |
//! | stack at a function's entry | a multiple of 16 |
//! | page size | 4, 16 or 64 KiB |
//! | signal return | the kernel's, in the vDSO |
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

pub use common::{clone_tls_last as clone, lp64::*};

/// The body of `_start`: relocate the program, then run it.
#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($relocate:path, $run:path) => {
        ::core::arch::naked_asm!(
            "move $fp, $zero",              // the outermost frame: a backtrace ends here
            "move $ra, $zero",              // and it has no caller
            "move $a0, $sp",                // the kernel's block: argc, argv, envp, auxv
            "bstrins.d $sp, $zero, 3, 0",   // the kernel aligns it; a hand-made exec may not
            "bl {relocate}",                // a direct call; gives the block back in a0
            "bl {run}",                     // does not return
            "break 0",
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// `R_LARCH_RELATIVE`.
#[cfg(feature = "freestanding")]
pub const R_RELATIVE: u32 = 3;

pub use common::{NO_SA_RESTORER as SA_RESTORER, kernel_restorer as set_restorer};
