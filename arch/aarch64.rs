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

/// Defines a raw call and the function that makes it, from the name of the register that contains the
/// number. The arguments are where the kernel expects them.
macro_rules! call {
    ($what:literal, $name:ident($($argument:ident),*), $number:literal) => {
        #[doc = concat!("Makes a system call with ", $what, ", and returns the kernel's register.")]
        ///
        /// A result of −4095 to −1, seen as a signed number, is an errno.
        ///
        /// # Safety
        ///
        /// * `number` and the arguments are those of a system call of this architecture.
        /// * All other code allows what the call does to memory, descriptors and the process.
        #[inline]
        pub unsafe fn $name(number: usize, $($argument: usize),*) -> usize {
            #[unsafe(naked)]
            unsafe extern "C" fn enter($($argument: usize,)* number: usize) -> usize {
                core::arch::naked_asm!(concat!("mov x8, ", $number), "svc 0", "ret")
            }
            // SAFETY: the caller meets the requirements of the call.
            unsafe { enter($($argument,)* number) }
        }
    };
}

// Linux discards the bits of a vector register beyond the first 128, and the predicates. Inline
// assembly could declare that only for a whole register, and then the compiler would save the first
// 128 bits, which do not change; and it could not declare it for a function with
// `#[target_feature(enable = "sve")]` alone. A function of the C convention changes exactly what a
// system call changes, wherever it is called from.
call!("no arguments", syscall0(), "x0");
call!("one argument", syscall1(a), "x1");
call!("two arguments", syscall2(a, b), "x2");
call!("three arguments", syscall3(a, b, c), "x3");
call!("four arguments", syscall4(a, b, c, d), "x4");
call!("five arguments", syscall5(a, b, c, d, e), "x5");
call!("six arguments", syscall6(a, b, c, d, e, f), "x6");

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
        "mov x4, x3", // child_tid
        "mov x3, xzr",
        "mov x8, {number}",
        "svc 0",
        "cbz x0, 2f",
        "ret",
        "2:",
        "mov x29, xzr", // the outermost frame
        "mov x30, xzr",
        "ldp x1, x0, [sp]",
        "blr x1", // does not return
        "brk 1",
        number = const common::nr::clone,
    )
}

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

/// The offset of `uc_mcontext.pc` in bytes.
pub const PROGRAM_COUNTER: usize = 440;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 40;

/// The names in the vDSO. Source: vdso(7).
pub const VDSO: common::VdsoNames =
    common::VdsoNames { version: c"LINUX_2.6.39", clock_gettime: c"__kernel_clock_gettime", getcpu: c"__kernel_getcpu" };
