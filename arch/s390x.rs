//! The calling convention, entry point and guarded copy of s390x (big-endian).
//!
//! | | |
//! |---|---|
//! | instruction | `svc 0` |
//! | number | `r1` |
//! | arguments | `r2` to `r7` |
//! | result | `r2`, an error is −4095 to −1 |
//! | changed by the kernel | nothing else |
//! | `mmap` | its six arguments in memory, offset in bytes |
//! | `clone` | the stack before the flags |
//! | stack at a function's entry | a multiple of 8, with 160 bytes for the callee |
//! | page size | 4 KiB |
//! | signal return | code of the kernel, in the vDSO, or before Linux 5.15 in the signal frame |
//! | relocations | RELA |
//!
//! Sources: ELF ABI s390x supplement, 1.3 to 1.5; kernel
//! `arch/s390/kernel/syscall.c`, `arch/s390/kernel/signal.c`; syscall(2).

use super::common::{self, nr};

syscalls! {
    |number, result, a, b, c, d, e, f|
    text: ("svc 0"),
    options: (nostack),
    always: { in("r1") number, },
    arguments: {
        { inlateout("r2") a => result, } else { lateout("r2") result, }
        { in("r3") b, } { in("r4") c, }
        { in("r5") d, } { in("r6") e, } { in("r7") f, }
    },
}

pub use common::coherent_icache as flush_icache;

pub use common::lp64::*;

/// Calls `mmap`, which takes one pointer to its six arguments on s390x.
#[inline]
pub unsafe fn mmap(
    addr: usize,
    length: usize,
    prot: usize,
    flags: usize,
    fd: usize,
    offset: u64,
) -> usize {
    let block = [addr, length, prot, flags, fd, offset as usize];
    // SAFETY: the block lives until the call returns, and the compiler assumes that the assembly
    // reads all memory. The caller promises the rest.
    unsafe { syscall1(nr::mmap, block.as_ptr().expose_provenance()) }
}

/// Makes the system call `clone`, which takes the stack first and the thread pointer last on s390x.
///
/// # Safety
///
/// * `stack` is 0 and `flags` do not contain `CLONE_VM`, because the child returns from this call on
///   a copy of the stack.
/// * The other arguments fit `flags`.
#[inline]
#[must_use]
pub unsafe fn clone(
    flags: usize,
    stack: usize,
    parent_tid: usize,
    child_tid: usize,
    tls: usize,
) -> usize {
    // SAFETY: the caller meets the requirements of the call.
    unsafe { syscall5(nr::clone, stack, flags, parent_tid, child_tid, tls) }
}

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
        "lgr %r1, %r2",
        "lgr %r2, %r3", // the stack is the first argument
        "lgr %r3, %r1",
        "lghi %r1, {number}",
        "svc 0",
        "ltgr %r2, %r2",
        "jz 2f",
        "br %r14",
        "2:",
        "lghi %r11, 0",
        "lg %r1, 0(%r15)",
        "lg %r2, 8(%r15)",
        "aghi %r15, -160", // the callee's frame
        "basr %r14, %r1", // does not return
        ".long 0",
        number = const nr::clone,
    )
}

/// Expands to the body of `_start`, which relocates the program and then runs it.
#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($relocate:path, $run:path) => {
        ::core::arch::naked_asm!(
            "lgr %r2, %r15",                // the kernel's block: argc, argv, envp, auxv
            "aghi %r15, -160",              // the frame that every callee may use
            "xc 0(8, %r15), 0(%r15)",       // its back chain is zero: a backtrace ends here
            "brasl %r14, {relocate}",       // a direct call; gives the block back in r2
            "brasl %r14, {run}",            // does not return
            "j .+2",                        // an illegal instruction
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// The relocation type `R_390_RELATIVE`.
pub const R_RELATIVE: u32 = 12;

guarded_copy! {
    blocks: {
        "2:",
        "clgfi %r4, 256",
        "jl 20f",
        "mvc 0(256, %r2), 0(%r3)",      // 256 bytes
        "la %r3, 256(%r3)",
        "la %r2, 256(%r2)",
        "aghi %r4, -256",
        "j 2b",
    }
    bytes: {
        "ltgr %r4, %r4",
        "jz 30f",
        "ic %r0, 0(%r3)",
        "stc %r0, 0(%r2)",
        "la %r3, 1(%r3)",
        "la %r2, 1(%r2)",
        "aghi %r4, -1",
        "j 20b",
    }
    done: {
        "lgr %r2, %r4",
        "br %r14",
    }
}

/// The offset of `uc_mcontext.regs.psw.addr` in bytes.
pub const PROGRAM_COUNTER: usize = 48;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 384;

/// The names in the vDSO. Source: vdso(7).
pub const VDSO: common::VdsoNames =
    common::VdsoNames { version: c"LINUX_2.6.29", clock_gettime: c"__kernel_clock_gettime", getcpu: c"__kernel_getcpu" };
