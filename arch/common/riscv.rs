//! What riscv32 and riscv64 share: all but the width of their registers.

syscalls! {
    |number, result, a, b, c, d, e, f|
    text: ("ecall"),
    options: (nostack),
    always: { in("a7") number, },
    arguments: {
        { inlateout("a0") a => result, } else { lateout("a0") result, }
        { in("a1") b, } { in("a2") c, }
        { in("a3") d, } { in("a4") e, } { in("a5") f, }
    },
}

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
pub const R_RELATIVE: u32 = 3;
