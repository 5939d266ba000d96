//! aarch64.
//!
//! | | |
//! |---|---|
//! | instruction | `svc 0` |
//! | number | `x8` |
//! | arguments | `x0` to `x5` |
//! | result | `x0`, an error is −4095 to −1 |
//! | changed by the kernel | nothing else, but of SVE and SME what is beyond the first 128 bits |
//! | `mmap` offset | bytes |
//! | stack at a function's entry | a multiple of 16 |
//! | page size | 4, 16 or 64 KiB |
//! | signal return | the kernel's, in the vDSO |
//! | relocations | RELA, RELR |
//!
//! Sources: AAPCS64, 6.4.5; kernel `arch/arm64/kernel/syscall.c`,
//! `arch/arm64/kernel/signal.c`; syscall(2).

use super::common;

syscalls! {
    |number, result, a, b, c, d, e, f|
    text: ("svc 0"),
    options: (nostack),
    always: { in("x8") number, },
    arguments: {
        { inlateout("x0") a => result, } else { lateout("x0") result, }
        { in("x1") b, } { in("x2") c, }
        { in("x3") d, } { in("x4") e, } { in("x5") f, }
    },
}

pub use common::{clone_tls_first as clone, lp64::*};

/// The body of `_start`: relocate the program, then run it.
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

/// `R_AARCH64_RELATIVE`.
#[cfg(feature = "freestanding")]
pub use linux_raw_sys::elf::R_RELATIVE;

pub use common::kernel_restorer as set_restorer;
pub use linux_raw_sys::general::SA_RESTORER;
