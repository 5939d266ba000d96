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

use linux_raw_sys::general::SA_RESTORER;

use super::common::{self, nr};

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

guarded_copy! {
    blocks: {
        "lea r8, [rdi + rdx]",          // the end of the destination, to which rdi grows
        "cmp rdx, 2048",                // rep movsb is slow to start
        "jb 2f",
        "mov eax, edi",
        "sub eax, esi",
        "and eax, 4095",
        "dec eax",                      // and slow on AMD if the destination, within its
        "cmp eax, 63",                  //   page, is slightly after the source
        "jb 2f",
        "mov rcx, rdx",
        "rep movsb",                    // rdi and rsi are exact at every byte
        "jmp 30f",
        "2:",
        "sub rdx, 64",
        "jb 4f",
        "3:",
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
        "sub rdx, 64",
        "jae 3b",
        "4:",
        "add rdx, 48",                  // undoes the last 64, and subtracts the next 16
        "jnc 6f",
        "5:",
        "movups xmm0, [rsi]",           // 16 bytes, at most three times
        "movups [rdi], xmm0",
        "add rsi, 16",
        "add rdi, 16",
        "sub rdx, 16",
        "jae 5b",
        "6:",
        "test dl, 8",
        "jz 7f",
        "mov rax, [rsi]",               // 8 bytes
        "mov [rdi], rax",
        "add rsi, 8",
        "add rdi, 8",
        "7:",
        "test dl, 4",
        "jz 8f",
        "mov eax, [rsi]",               // 4 bytes
        "mov [rdi], eax",
        "add rsi, 4",
        "add rdi, 4",
        "8:",
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
