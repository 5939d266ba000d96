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
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering::{Relaxed, Release},
    },
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

/// The address of the copy for this processor, or null before [`prepare_copy`].
static COPY: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Selects the instructions of the guarded copy: those for 32 bytes (AVX) if the processor has them
/// and the kernel saves their registers, and otherwise those of all processors.
pub fn prepare_copy() {
    if !COPY.load(Relaxed).is_null() {
        return;
    }
    let table = fixups_and_copy as *const ();
    // SAFETY: the function's address is that of a table of three offsets, which is constant.
    let [_, _, wide] = unsafe { table.cast::<[u32; 3]>().read_unaligned() };
    let offset = if has_avx() { wide as usize } else { size_of::<[u32; 3]>() };
    COPY.store(table.wrapping_byte_add(offset).cast_mut(), Release);
}

fn has_avx() -> bool {
    const AVX_AND_OSXSAVE: u32 = 1 << 28 | 1 << 27;
    const XMM_AND_YMM: u32 = 1 << 2 | 1 << 1;
    __cpuid(1).ecx & AVX_AND_OSXSAVE == AVX_AND_OSXSAVE && {
        let enabled: u32;
        // SAFETY: the processor has the instruction, because the kernel has enabled it (OSXSAVE).
        unsafe {
            asm!(
                "xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _,
                options(nomem, nostack, preserves_flags)
            )
        };
        enabled & XMM_AND_YMM == XMM_AND_YMM
    }
}

/// Copies memory forwards and returns the number of bytes that were not copied because of a
/// fault.
///
/// The call is in assembly, so that the caller keeps values in the registers that the copy does not
/// change, such as the three arguments.
///
/// # Safety
///
/// * [`prepare_copy`] was called before.
/// * Each range is memory that no other code uses during the call, or is not mapped.
/// * If a range is not mapped, a handler is installed that continues at
///   [`fixup_address`](common::fixup_address).
#[inline(always)]
pub unsafe fn guarded_copy(to: *mut u8, from: *const u8, len: usize) -> usize {
    let left: usize;
    // SAFETY: the function changes no other registers than those that are named here: `vzeroupper`
    // changes a half of each of the vector registers. The caller meets the requirements.
    unsafe {
        asm!(
            "call qword ptr [rip + {copy}]",
            copy = sym COPY,
            in("rdi") to, in("rsi") from, in("rdx") len, lateout("rax") left,
            lateout("rcx") _, lateout("r8") _, lateout("r9") _,
            lateout("xmm0") _, lateout("xmm1") _, lateout("xmm2") _, lateout("xmm3") _,
            lateout("xmm4") _, lateout("xmm5") _, lateout("xmm6") _, lateout("xmm7") _,
            lateout("xmm8") _, lateout("xmm9") _, lateout("xmm10") _, lateout("xmm11") _,
            lateout("xmm12") _, lateout("xmm13") _, lateout("xmm14") _, lateout("xmm15") _,
        );
    }
    left
}

// The destination is in rdi, the source in rsi, and the length in rdx. All three have their values
// again at the end.
//
// A block that faults is copied again byte by byte from `rdi` and `rsi` on. So these registers only
// move on when all bytes before them have been copied, and a short copy does not move them at all:
// its last load and store overlap the others.
guarded_copy! {
    blocks: {
        ".long 10f - 40b",              // the offset of the copy for AVX
        "lea r8, [rdi + rdx]",          // the end of the destination, to which rdi grows
        "cmp rdx, 32",
        "ja 2f",
        "1:",
        "cmp edx, 16",
        "jb 8f",
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
        "cmp rdx, 2048",
        "jae 6f",
        "4:",
        "lea rcx, [r8 - 64]",
        "5:",
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
        "jb 5b",
        "mov rax, rcx",                 // the last 64 bytes: where they begin, and
        "sub rax, rdi",                 //   how far that is before what has been copied
        "movups xmm0, [rsi + rax]",
        "movups xmm1, [rsi + rax + 16]",
        "movups xmm2, [rsi + rax + 32]",
        "movups xmm3, [rsi + rax + 48]",
        "movups [rcx], xmm0",
        "movups [rcx + 16], xmm1",
        "movups [rcx + 32], xmm2",
        "movups [rcx + 48], xmm3",
        "sub rsi, rdi",                 // the distance of the source
        "mov rdi, r8",
        "sub rdi, rdx",
        "add rsi, rdi",
        "xor eax, eax",
        "ret",
        "6:",                           // rep movsb is slow to start
        "mov eax, edi",
        "sub eax, esi",
        "and eax, 4095",
        "dec eax",                      // and slow on AMD if the destination, within its
        "cmp eax, 63",                  //   page, is slightly after the source
        "jb 4b",
        "mov rcx, rdx",
        "rep movsb",                    // rdi and rsi are exact at every byte
        "sub rdi, rdx",
        "sub rsi, rdx",
        "xor eax, eax",
        "ret",
        "8:",
        "cmp edx, 8",
        "jb 9f",
        "mov rax, [rsi]",               // 8 to 15 bytes
        "mov rcx, [rsi + rdx - 8]",
        "mov [rdi], rax",
        "mov [r8 - 8], rcx",
        "xor eax, eax",
        "ret",
        "9:",
        "cmp edx, 4",
        "jb 20f",
        "mov eax, [rsi]",               // 4 to 7 bytes
        "mov ecx, [rsi + rdx - 4]",
        "mov [rdi], eax",
        "mov [r8 - 4], ecx",
        "xor eax, eax",
        "ret",
        "10:",                          // with AVX
        "lea r8, [rdi + rdx]",
        "cmp rdx, 32",
        "jbe 1b",
        "cmp rdx, 64",
        "ja 11f",
        "vmovups ymm0, [rsi]",          // to 64 bytes
        "vmovups ymm1, [rsi + rdx - 32]",
        "vmovups [rdi], ymm0",
        "vmovups [r8 - 32], ymm1",
        "vzeroupper",                   // or instructions for 16 bytes are slow on Intel
        "xor eax, eax",
        "ret",
        "11:",
        "cmp rdx, 128",
        "ja 12f",
        "vmovups ymm0, [rsi]",          // to 128 bytes
        "vmovups ymm1, [rsi + 32]",
        "vmovups ymm2, [rsi + rdx - 64]",
        "vmovups ymm3, [rsi + rdx - 32]",
        "vmovups [rdi], ymm0",
        "vmovups [rdi + 32], ymm1",
        "vmovups [r8 - 64], ymm2",
        "vmovups [r8 - 32], ymm3",
        "vzeroupper",
        "xor eax, eax",
        "ret",
        "12:",
        "cmp rdx, 256",
        "ja 13f",
        "vmovups ymm0, [rsi]",          // to 256 bytes
        "vmovups ymm1, [rsi + 32]",
        "vmovups ymm2, [rsi + 64]",
        "vmovups ymm3, [rsi + 96]",
        "vmovups ymm4, [rsi + rdx - 128]",
        "vmovups ymm5, [rsi + rdx - 96]",
        "vmovups ymm6, [rsi + rdx - 64]",
        "vmovups ymm7, [rsi + rdx - 32]",
        "vmovups [rdi], ymm0",
        "vmovups [rdi + 32], ymm1",
        "vmovups [rdi + 64], ymm2",
        "vmovups [rdi + 96], ymm3",
        "vmovups [r8 - 128], ymm4",
        "vmovups [r8 - 96], ymm5",
        "vmovups [r8 - 64], ymm6",
        "vmovups [r8 - 32], ymm7",
        "vzeroupper",
        "xor eax, eax",
        "ret",
        "13:",
        "cmp rdx, 2048",
        "jae 6b",
        "lea r9, [rsi + rdx]",          // the end of the source
        "vmovups ymm0, [rsi]",          // up to 32 bytes, after which
        "vmovups [rdi], ymm0",
        "mov rax, rdi",
        "and eax, 31",
        "sub rax, 32",
        "sub rsi, rax",
        "sub rdi, rax",                 //   the destination is aligned
        "lea rcx, [r8 - 128]",
        "14:",
        "vmovups ymm0, [rsi]",          // 128 bytes
        "vmovups ymm1, [rsi + 32]",
        "vmovups ymm2, [rsi + 64]",
        "vmovups ymm3, [rsi + 96]",
        "vmovaps [rdi], ymm0",
        "vmovaps [rdi + 32], ymm1",
        "vmovaps [rdi + 64], ymm2",
        "vmovaps [rdi + 96], ymm3",
        "sub rsi, -128",                // shorter than an addition of 128
        "sub rdi, -128",
        "cmp rdi, rcx",
        "jb 14b",
        "vmovups ymm0, [r9 - 128]",     // the last 128 bytes
        "vmovups ymm1, [r9 - 96]",
        "vmovups ymm2, [r9 - 64]",
        "vmovups ymm3, [r9 - 32]",
        "vmovups [rcx], ymm0",
        "vmovups [rcx + 32], ymm1",
        "vmovups [rcx + 64], ymm2",
        "vmovups [rcx + 96], ymm3",
        "mov rdi, r8",
        "sub rdi, rdx",
        "mov rsi, r9",
        "sub rsi, rdx",
        "vzeroupper",
        "xor eax, eax",
        "ret",
    }
    bytes: {
        "cmp rdi, r8",
        "je 30f",
        "15:",
        "movzx eax, byte ptr [rsi]",
        "mov [rdi], al",
        "inc rsi",
        "inc rdi",
        "cmp rdi, r8",
        "jne 15b",
    }
    done: {
        "mov rax, r8",
        "sub rax, rdi",                 // the number of bytes that are left
        "mov rcx, rdx",
        "sub rcx, rax",
        "sub rdi, rcx",
        "sub rsi, rcx",
        "ret",
    }
}

/// The offset of `uc_mcontext.rip` in bytes.
pub const PROGRAM_COUNTER: usize = 168;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 296;
