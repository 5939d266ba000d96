//! What powerpc and powerpc64 share: the system call, the cache, and the guarded copy.
//!
//! The kernel reports an error in the condition register (the summary overflow bit of field 0)
//! and returns a positive errno. The assembly negates it, so that the result is as on other
//! architectures.

syscalls! {
    |number, result, a, b, c, d, e, f|
    text: (
        "sc",
        "bns+ 2f",      // no error
        "neg %r3, %r3",
        "2:"
    ),
    options: (nostack),
    always: {
        inlateout("r0") number => _,
        lateout("r9") _, lateout("r10") _, lateout("r11") _, lateout("r12") _,
        lateout("cr0") _, lateout("ctr") _, lateout("xer") _,
    },
    arguments: {
        { inlateout("r3") a => result, } else { lateout("r3") result, }
        { inlateout("r4") b => _, } else { lateout("r4") _, }
        { inlateout("r5") c => _, } else { lateout("r5") _, }
        { inlateout("r6") d => _, } else { lateout("r6") _, }
        { inlateout("r7") e => _, } else { lateout("r7") _, }
        { inlateout("r8") f => _, } else { lateout("r8") _, }
    },
}

/// Makes the processors fetch the instructions that were written to a range as data.
///
/// Steps by 16 bytes, the smallest cache block of all processors, which is right for larger blocks
/// as well. Source: Power ISA, book II, 1.8.
///
/// # Safety
///
/// * The range is mapped and readable.
pub unsafe fn flush_icache(start: usize, length: usize) -> usize {
    let blocks = || (start & !15..start + length).step_by(16);
    // SAFETY: the instructions change only caches.
    unsafe {
        for block in blocks() {
            // Writes the data to memory.
            core::arch::asm!("dcbst 0, {}", in(reg) block, options(nostack, preserves_flags));
        }
        // Waits for the writes.
        core::arch::asm!("sync", options(nostack, preserves_flags));
        for block in blocks() {
            // Discards instructions in the instruction cache.
            core::arch::asm!("icbi 0, {}", in(reg) block, options(nostack, preserves_flags));
        }
        core::arch::asm!(
            "sync",  // waits for all processors
            "isync", // discards instructions that this processor has fetched
            options(nostack, preserves_flags),
        );
    }
    0
}

/// The relocation types `R_PPC_RELATIVE` and `R_PPC64_RELATIVE`.
pub const R_RELATIVE: u32 = 22;

guarded_copy! {
    blocks: {
        by_width!("li %r10, 16", "li %r10, 32"),
        "2:",
        by_width!("cmplw %r5, %r10", "cmpld %r5, %r10"),
        "blt 20f",
        by_width!("lwz %r6, 0(%r4)", "ld %r6, 0(%r4)"), // 4 words
        by_width!("lwz %r7, 4(%r4)", "ld %r7, 8(%r4)"),
        by_width!("lwz %r8, 8(%r4)", "ld %r8, 16(%r4)"),
        by_width!("lwz %r9, 12(%r4)", "ld %r9, 24(%r4)"),
        by_width!("stw %r6, 0(%r3)", "std %r6, 0(%r3)"),
        by_width!("stw %r7, 4(%r3)", "std %r7, 8(%r3)"),
        by_width!("stw %r8, 8(%r3)", "std %r8, 16(%r3)"),
        by_width!("stw %r9, 12(%r3)", "std %r9, 24(%r3)"),
        "add %r4, %r4, %r10",
        "add %r3, %r3, %r10",
        "subf %r5, %r10, %r5",
        "b 2b",
    }
    bytes: {
        by_width!("cmplwi %r5, 0", "cmpldi %r5, 0"),
        "beq 30f",
        "lbz %r6, 0(%r4)",
        "stb %r6, 0(%r3)",
        "addi %r4, %r4, 1",
        "addi %r3, %r3, 1",
        "addi %r5, %r5, -1",
        "b 20b",
    }
    done: {
        "mr %r3, %r5",
        "blr",
    }
}
