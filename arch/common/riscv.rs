//! What riscv32 and riscv64 share, which is everything except the width of the registers.

use linux_raw_sys::{errno::ENOSYS, general::__NR_riscv_flush_icache};

use crate::arch::common::failure;

syscalls! {
    |number, result, a, b, c, d, e, f|
    text: ("ecall"),
    options: (nostack),
    always: {
        in("a7") number,
        // Linux discards the vector registers in a system call. The compiler assumes that all
        // assembly changes vl, vtype and vcsr.
        lateout("v0") _, lateout("v1") _, lateout("v2") _, lateout("v3") _, lateout("v4") _,
        lateout("v5") _, lateout("v6") _, lateout("v7") _, lateout("v8") _, lateout("v9") _,
        lateout("v10") _, lateout("v11") _, lateout("v12") _, lateout("v13") _,
        lateout("v14") _, lateout("v15") _, lateout("v16") _, lateout("v17") _,
        lateout("v18") _, lateout("v19") _, lateout("v20") _, lateout("v21") _,
        lateout("v22") _, lateout("v23") _, lateout("v24") _, lateout("v25") _,
        lateout("v26") _, lateout("v27") _, lateout("v28") _, lateout("v29") _,
        lateout("v30") _, lateout("v31") _,
    },
    arguments: {
        { inlateout("a0") a => result, } else { lateout("a0") result, }
        { in("a1") b, } { in("a2") c, }
        { in("a3") d, } { in("a4") e, } { in("a5") f, }
    },
}

/// Makes all processors fetch the instructions that were written to a range as data.
///
/// This is a system call, because the instruction `fence.i` affects only one processor, and the
/// kernel can move the thread to another. Source: kernel `arch/riscv/kernel/sys_riscv.c`.
///
/// # Safety
///
/// * There are no requirements. On other architectures, the range must be mapped.
pub unsafe fn flush_icache(start: usize, length: usize) -> usize {
    // SAFETY: the call does not change memory.
    let result = unsafe { syscall3(__NR_riscv_flush_icache as usize, start, start + length, 0) };
    if result == failure(ENOSYS) {
        // qemu-user 7.2 does not have the call. Each thread is a processor to it, so the instruction
        // is enough.
        // SAFETY: the instruction affects only the fetching of instructions.
        unsafe { core::arch::asm!("fence.i", options(nostack, preserves_flags)) };
        return 0;
    }
    result
}

/// Expands to the body of `_start`, which relocates the program and then runs it.
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
            "andi sp, sp, -16",             // the kernel aligns it; another loader may not
            "call {relocate}",              // a direct call; gives the block back in a0
            "call {run}",                   // does not return
            "unimp",
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// The relocation type `R_RISCV_RELATIVE`.
pub const R_RELATIVE: u32 = 3;

guarded_copy! {
    blocks: {
        "2:",
        by_width!("andi t0, a0, 3", "andi t0, a0, 7"),
        "beqz t0, 3f",
        "beqz a2, 20f",
        "lbu t0, 0(a1)",                    // until the destination is aligned
        "sb t0, 0(a0)",
        "addi a1, a1, 1",
        "addi a0, a0, 1",
        "addi a2, a2, -1",
        "j 2b",
        "3:",
        by_width!("li a4, 16", "li a4, 32"),
        by_width!("andi t0, a1, 3", "andi t0, a1, 7"),
        "bnez t0, 5f",
        "4:",
        "bltu a2, a4, 20f",
        by_width!("lw t0, 0(a1)", "ld t0, 0(a1)"), // 4 words
        by_width!("lw t1, 4(a1)", "ld t1, 8(a1)"),
        by_width!("lw t2, 8(a1)", "ld t2, 16(a1)"),
        by_width!("lw t3, 12(a1)", "ld t3, 24(a1)"),
        by_width!("sw t0, 0(a0)", "sd t0, 0(a0)"),
        by_width!("sw t1, 4(a0)", "sd t1, 8(a0)"),
        by_width!("sw t2, 8(a0)", "sd t2, 16(a0)"),
        by_width!("sw t3, 12(a0)", "sd t3, 24(a0)"),
        "add a1, a1, a4",
        "add a0, a0, a4",
        "sub a2, a2, a4",
        "j 4b",
        "5:",                               // the source is not aligned: each word is made of
        "bltu a2, a4, 20f",                 //   parts of two, both of which have wanted bytes
        "sub a3, a1, t0",                   // the first word
        "slli t5, t0, 3",                   // how many of its bits are not wanted
        "neg t6, t5",                       // (shifts use the lowest bits: the others)
        by_width!("lw t0, 0(a3)", "ld t0, 0(a3)"),
        "6:",
        by_width!("lw t1, 4(a3)", "ld t1, 8(a3)"), // 4 words
        by_width!("lw t2, 8(a3)", "ld t2, 16(a3)"),
        by_width!("lw t3, 12(a3)", "ld t3, 24(a3)"),
        by_width!("lw t4, 16(a3)", "ld t4, 32(a3)"),
        "srl t0, t0, t5",
        "sll a5, t1, t6",
        "or t0, t0, a5",
        by_width!("sw t0, 0(a0)", "sd t0, 0(a0)"),
        "srl t1, t1, t5",
        "sll a5, t2, t6",
        "or t1, t1, a5",
        by_width!("sw t1, 4(a0)", "sd t1, 8(a0)"),
        "srl t2, t2, t5",
        "sll a5, t3, t6",
        "or t2, t2, a5",
        by_width!("sw t2, 8(a0)", "sd t2, 16(a0)"),
        "srl t3, t3, t5",
        "sll a5, t4, t6",
        "or t3, t3, a5",
        by_width!("sw t3, 12(a0)", "sd t3, 24(a0)"),
        "mv t0, t4",
        "add a3, a3, a4",
        "add a1, a1, a4",
        "add a0, a0, a4",
        "sub a2, a2, a4",
        "bgeu a2, a4, 6b",
    }
    bytes: {
        "beqz a2, 30f",
        "lbu t0, 0(a1)",
        "sb t0, 0(a0)",
        "addi a1, a1, 1",
        "addi a0, a0, 1",
        "addi a2, a2, -1",
        "j 20b",
    }
    done: {
        "mv a0, a2",
        "ret",
    }
}
