//! The calling convention, entry point and guarded copy of x86_64.
//!
//! | | |
//! |---|---|
//! | instruction | `syscall` |
//! | number | `rax` |
//! | arguments | `rdi`, `rsi`, `rdx`, `r10`, `r8`, `r9` |
//! | result | `rax`, an error is −4095 to −1 |
//! | changed by the kernel | `rcx` (return address), `r11` (flags) |
//! | `mmap` offset | bytes |
//! | stack at a function's entry | 8 below a multiple of 16 |
//! | page size | 4 KiB |
//! | signal return | code of the program, with `SA_RESTORER` |
//! | relocations | RELA, RELR |
//!
//! Sources: System V ABI, AMD64 supplement, 3.2.2, 3.4.1 and A.2; kernel
//! `arch/x86/entry/entry_64.S`, `arch/x86/kernel/signal_64.c`; syscall(2).

use core::{
    arch::{asm, x86_64::__cpuid},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use super::common::{self, kernel_sigaction, nr};

syscalls! {
    |number, result, a, b, c, d, e, f|
    text: ("syscall"),
    options: (nostack),
    always: {
        inlateout("rax") number => result,
        lateout("rcx") _, // the return address
        lateout("r11") _, // the flags
    },
    arguments: {
        { in("rdi") a, } { in("rsi") b, } { in("rdx") c, }
        { in("r10") d, } { in("r8") e, } { in("r9") f, }
    },
}

pub use common::coherent_icache as flush_icache;

pub use common::{clone_tls_last as clone, lp64::*};

/// Expands to the body of `_start`, which relocates the program and then runs it.
#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($relocate:path, $run:path) => {
        ::core::arch::naked_asm!(
            "xor ebp, ebp",     // the outermost frame: a backtrace ends here
            "mov rdi, rsp",     // the kernel's block: argc, argv, envp, auxv
            "and rsp, -16",     // the kernel aligns it; another loader may not
            "call {relocate}",  // a direct call, needing no relocation itself
            "mov rdi, rax",     // relocate returned the block
            "call {run}",       // does not return
            "ud2",
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// The relocation type `R_X86_64_RELATIVE`.
pub use linux_raw_sys::elf::R_RELATIVE;

/// The flag that tells the kernel that `sa_restorer` is set.
pub use linux_raw_sys::general::SA_RESTORER;

/// Sets the code that a signal handler returns to, because the kernel provides none on x86_64.
pub fn set_restorer(action: &mut kernel_sigaction) {
    action.sa_flags |= u64::from(SA_RESTORER);
    action.sa_restorer = Some(common::restorer(restore));
}

/// Contains the code that a signal handler returns to, which begins at the second byte.
///
/// Debuggers recognize this code by its name, and unwinders by its instructions or by the directives
/// that describe where the kernel stored the interrupted registers.
#[unsafe(naked)]
#[allow(named_asm_labels, reason = "Rust 1.88 warns although a naked function is never inlined")]
unsafe extern "C" fn restore() {
    core::arch::naked_asm!(
        ".cfi_startproc",
        ".cfi_signal_frame",
        ".cfi_def_cfa rsp, 0", // where the kernel's ucontext begins
        ".cfi_offset r8, 40",
        ".cfi_offset r9, 48",
        ".cfi_offset r10, 56",
        ".cfi_offset r11, 64",
        ".cfi_offset r12, 72",
        ".cfi_offset r13, 80",
        ".cfi_offset r14, 88",
        ".cfi_offset r15, 96",
        ".cfi_offset rdi, 104",
        ".cfi_offset rsi, 112",
        ".cfi_offset rbp, 120",
        ".cfi_offset rbx, 128",
        ".cfi_offset rdx, 136",
        ".cfi_offset rax, 144",
        ".cfi_offset rcx, 152",
        ".cfi_offset rsp, 160",
        ".cfi_offset rip, 168",
        "nop",
        restorer_name!("__restore_rt"),
        "mov rax, {number}", // the stack pointer is at the frame: nothing may move it
        "syscall",
        "9:",
        ".cfi_endproc",
        number = const nr::rt_sigreturn,
    )
}

/// Whether the processor has registers of 32 bytes (AVX), and the kernel saves them.
static HAS_AVX: AtomicBool = AtomicBool::new(false);

/// Finds out which instructions the guarded copy may use. Before, it uses those of all processors.
pub fn prepare_copy() {
    const AVX_AND_OSXSAVE: u32 = 1 << 28 | 1 << 27;
    const XMM_AND_YMM: u64 = 1 << 2 | 1 << 1;
    if __cpuid(1).ecx & AVX_AND_OSXSAVE == AVX_AND_OSXSAVE {
        let (low, high): (u32, u32);
        // SAFETY: the processor has the instruction, because the kernel has enabled it (OSXSAVE).
        unsafe {
            asm!(
                "xgetbv", in("ecx") 0, out("eax") low, out("edx") high,
                options(nomem, nostack, preserves_flags)
            )
        };
        let enabled = u64::from(high) << 32 | u64::from(low);
        HAS_AVX.store(enabled & XMM_AND_YMM == XMM_AND_YMM, Relaxed);
    }
}

// A block that faults is copied again byte by byte from `rdi` and `rsi` on. So these registers only
// move on when all bytes before them have been copied, and a short copy does not move them at all:
// its last load and store overlap the others.
guarded_copy! {
    operands: { avx = sym HAS_AVX, }
    blocks: {
        "lea r8, [rdi + rdx]",          // the end of the destination, to which rdi grows
        "cmp rdx, 16",
        "jb 6f",
        "cmp rdx, 32",
        "ja 2f",
        "movups xmm0, [rsi]",           // 16 to 32 bytes
        "movups xmm1, [rsi + rdx - 16]",
        "movups [rdi], xmm0",
        "movups [r8 - 16], xmm1",
        "xor eax, eax",
        "ret",
        "2:",
        "cmp rdx, 64",
        "ja 3f",
        "movups xmm0, [rsi]",           // to 64 bytes
        "movups xmm1, [rsi + 16]",
        "movups xmm2, [rsi + rdx - 32]",
        "movups xmm3, [rsi + rdx - 16]",
        "movups [rdi], xmm0",
        "movups [rdi + 16], xmm1",
        "movups [r8 - 32], xmm2",
        "movups [r8 - 16], xmm3",
        "xor eax, eax",
        "ret",
        "3:",
        "cmp rdx, 128",
        "ja 4f",
        "movups xmm0, [rsi]",           // to 128 bytes
        "movups xmm1, [rsi + 16]",
        "movups xmm2, [rsi + 32]",
        "movups xmm3, [rsi + 48]",
        "movups xmm4, [rsi + rdx - 64]",
        "movups xmm5, [rsi + rdx - 48]",
        "movups xmm6, [rsi + rdx - 32]",
        "movups xmm7, [rsi + rdx - 16]",
        "movups [rdi], xmm0",
        "movups [rdi + 16], xmm1",
        "movups [rdi + 32], xmm2",
        "movups [rdi + 48], xmm3",
        "movups [r8 - 64], xmm4",
        "movups [r8 - 48], xmm5",
        "movups [r8 - 32], xmm6",
        "movups [r8 - 16], xmm7",
        "xor eax, eax",
        "ret",
        "4:",
        "lea r9, [rsi + rdx]",          // the end of the source
        "cmp rdx, 2048",                // rep movsb is slow to start
        "jb 5f",
        "mov eax, edi",
        "sub eax, esi",
        "and eax, 4095",
        "dec eax",                      // and slow on AMD if the destination, within its
        "cmp eax, 63",                  //   page, is slightly after the source
        "jb 5f",
        "mov rcx, rdx",
        "rep movsb",                    // rdi and rsi are exact at every byte
        "xor eax, eax",
        "ret",
        "5:",
        "cmp byte ptr [rip + {avx}], 0",
        "je 12f",
        "cmp rdx, 256",
        "ja 10f",
        "vmovups ymm0, [rsi]",          // to 256 bytes
        "vmovups ymm1, [rsi + 32]",
        "vmovups ymm2, [rsi + 64]",
        "vmovups ymm3, [rsi + 96]",
        "vmovups ymm4, [r9 - 128]",
        "vmovups ymm5, [r9 - 96]",
        "vmovups ymm6, [r9 - 64]",
        "vmovups ymm7, [r9 - 32]",
        "vmovups [rdi], ymm0",
        "vmovups [rdi + 32], ymm1",
        "vmovups [rdi + 64], ymm2",
        "vmovups [rdi + 96], ymm3",
        "vmovups [r8 - 128], ymm4",
        "vmovups [r8 - 96], ymm5",
        "vmovups [r8 - 64], ymm6",
        "vmovups [r8 - 32], ymm7",
        "vzeroupper",                   // or instructions for 16 bytes are slow on Intel
        "xor eax, eax",
        "ret",
        "10:",
        "vmovups ymm0, [rsi]",          // 32 bytes, after which
        "vmovups [rdi], ymm0",
        "mov rax, rdi",
        "and eax, 31",
        "sub rax, 32",
        "sub rsi, rax",
        "sub rdi, rax",                 // the destination is aligned
        "lea rcx, [r8 - 128]",
        "11:",
        "vmovups ymm0, [rsi]",          // 128 bytes
        "vmovups ymm1, [rsi + 32]",
        "vmovups ymm2, [rsi + 64]",
        "vmovups ymm3, [rsi + 96]",
        "vmovaps [rdi], ymm0",
        "vmovaps [rdi + 32], ymm1",
        "vmovaps [rdi + 64], ymm2",
        "vmovaps [rdi + 96], ymm3",
        "sub rsi, -128",                // one byte shorter than an addition
        "sub rdi, -128",
        "cmp rdi, rcx",
        "jb 11b",
        "vmovups ymm0, [r9 - 128]",     // the last 128 bytes
        "vmovups ymm1, [r9 - 96]",
        "vmovups ymm2, [r9 - 64]",
        "vmovups ymm3, [r9 - 32]",
        "vmovups [r8 - 128], ymm0",
        "vmovups [r8 - 96], ymm1",
        "vmovups [r8 - 64], ymm2",
        "vmovups [r8 - 32], ymm3",
        "vzeroupper",
        "xor eax, eax",
        "ret",
        "12:",
        "lea rcx, [r8 - 64]",
        "13:",
        "movups xmm0, [rsi]",           // 64 bytes
        "movups xmm1, [rsi + 16]",
        "movups xmm2, [rsi + 32]",
        "movups xmm3, [rsi + 48]",
        "movups [rdi], xmm0",
        "movups [rdi + 16], xmm1",
        "movups [rdi + 32], xmm2",
        "movups [rdi + 48], xmm3",
        "add rsi, 64",
        "add rdi, 64",
        "cmp rdi, rcx",
        "jb 13b",
        "movups xmm0, [r9 - 64]",       // the last 64 bytes
        "movups xmm1, [r9 - 48]",
        "movups xmm2, [r9 - 32]",
        "movups xmm3, [r9 - 16]",
        "movups [r8 - 64], xmm0",
        "movups [r8 - 48], xmm1",
        "movups [r8 - 32], xmm2",
        "movups [r8 - 16], xmm3",
        "xor eax, eax",
        "ret",
        "6:",
        "cmp edx, 8",
        "jb 7f",
        "mov rax, [rsi]",               // 8 to 15 bytes
        "mov rcx, [rsi + rdx - 8]",
        "mov [rdi], rax",
        "mov [r8 - 8], rcx",
        "xor eax, eax",
        "ret",
        "7:",
        "cmp edx, 4",
        "jb 20f",
        "mov eax, [rsi]",               // 4 to 7 bytes
        "mov ecx, [rsi + rdx - 4]",
        "mov [rdi], eax",
        "mov [r8 - 4], ecx",
        "xor eax, eax",
        "ret",
    }
    bytes: {
        "cmp rdi, r8",
        "je 30f",
        "9:",
        "movzx eax, byte ptr [rsi]",
        "mov [rdi], al",
        "inc rsi",
        "inc rdi",
        "cmp rdi, r8",
        "jne 9b",
    }
    done: {
        "mov rax, r8",
        "sub rax, rdi",
        "ret",
    }
}

/// The offset of `uc_mcontext.rip` in bytes.
pub const PROGRAM_COUNTER: usize = 168;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 296;
