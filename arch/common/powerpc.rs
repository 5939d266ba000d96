//! What powerpc and powerpc64 share: the call.
//!
//! The kernel flags an error in the condition register (the summary overflow bit of
//! field 0) and returns a positive errno: it is negated here, to be as everywhere.

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

/// `R_PPC_RELATIVE`, `R_PPC64_RELATIVE`.
#[cfg(feature = "freestanding")]
pub const R_RELATIVE: u32 = 22;
