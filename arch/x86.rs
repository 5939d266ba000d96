//! The calling convention, entry point and guarded copy of x86 (32 bits).
//!
//! | | |
//! |---|---|
//! | instruction | `int 0x80` |
//! | number | `eax` |
//! | arguments | `ebx`, `ecx`, `edx`, `esi`, `edi`, `ebp` |
//! | result | `eax`, an error is −4095 to −1 |
//! | changed by the kernel | nothing else |
//! | `mmap` offset | 4096-byte units, `mmap2` |
//! | 64-bit arguments | two registers, low half first, not aligned |
//! | stack at a function's entry | 4 below a multiple of 16 |
//! | page size | 4 KiB |
//! | signal return | code of the program, with `SA_RESTORER` |
//! | relocations | REL, RELR |
//!
//! The compiler reserves `esi` and `ebp`, and no register is left to save them in. So a call with
//! four or more arguments passes the number, the fourth and the sixth argument in a block of memory
//! whose address is in `eax`, and saves `esi` and `ebp` on the stack.
//!
//! Sources: System V ABI, Intel386 supplement; kernel `arch/x86/entry/entry_32.S`,
//! `arch/x86/kernel/signal_32.c`; syscall(2).

use linux_raw_sys::general::{__NR_sigreturn, SA_RESTORER, SA_SIGINFO};

use super::common::{self, nr};

syscalls!(@call "no arguments", syscall0(number), result, ("int 0x80"), (nostack), {
    inlateout("eax") number => result,
});
syscalls!(@call "one argument", syscall1(number, a), result, ("int 0x80"), (nostack), {
    inlateout("eax") number => result, in("ebx") a,
});
syscalls!(@call "two arguments", syscall2(number, a, b), result, ("int 0x80"), (nostack), {
    inlateout("eax") number => result, in("ebx") a, in("ecx") b,
});
syscalls!(@call "three arguments", syscall3(number, a, b, c), result, ("int 0x80"), (nostack), {
    inlateout("eax") number => result, in("ebx") a, in("ecx") b, in("edx") c,
});

/// Makes a system call with four arguments, and returns the kernel's register.
///
/// A result of −4095 to −1, seen as a signed number, is an errno.
///
/// # Safety
///
/// * `number` and the arguments are those of a system call of this architecture.
/// * All other code allows what the call does to memory, descriptors and the process.
#[inline]
pub unsafe fn syscall4(number: usize, a: usize, b: usize, c: usize, d: usize) -> usize {
    // SAFETY: the caller meets the requirements, and the kernel ignores the other registers.
    unsafe { syscall6(number, a, b, c, d, 0, 0) }
}

/// Makes a system call with five arguments, and returns the kernel's register.
///
/// A result of −4095 to −1, seen as a signed number, is an errno.
///
/// # Safety
///
/// * `number` and the arguments are those of a system call of this architecture.
/// * All other code allows what the call does to memory, descriptors and the process.
#[inline]
pub unsafe fn syscall5(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize) -> usize {
    // SAFETY: the caller meets the requirements, and the kernel ignores the other registers.
    unsafe { syscall6(number, a, b, c, d, e, 0) }
}

/// Makes a system call with six arguments, and returns the kernel's register.
///
/// A result of −4095 to −1, seen as a signed number, is an errno.
///
/// # Safety
///
/// * `number` and the arguments are those of a system call of this architecture.
/// * All other code allows what the call does to memory, descriptors and the process.
#[inline]
pub unsafe fn syscall6(
    number: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> usize {
    // SAFETY: the block lives until the call returns; the caller promises the rest.
    unsafe { syscall_block(&[number, d, f], a, b, c, e) }
}

syscalls!(@call "a block that contains the number, the fourth and the sixth argument, and with the others",
    syscall_block(block: &[usize; 3], a, b, c, e), result,
    (
        "push esi",
        "push ebp",
        "mov esi, [eax + 4]", // from here on, no operand is relative to esp or ebp
        "mov ebp, [eax + 8]",
        "mov eax, [eax]",
        "int 0x80",
        "pop ebp",
        "pop esi"
    ), (),
    {
        inlateout("eax") block => result,
        in("ebx") a, in("ecx") b, in("edx") c, in("edi") e,
    }
);

/// Pairs are not aligned: a 64-bit argument begins at any register.
pub const PAIRS_ALIGNED: bool = false;

pub use common::coherent_icache as flush_icache;

pub use common::{clone_tls_first as clone, ilp32::*};

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
        "push ebx",
        "push edi",
        "mov ebx, [esp + 12]",
        "mov ecx, [esp + 16]",
        "mov edx, [esp + 20]",
        "mov edi, [esp + 24]", // child_tid
        "mov eax, {number}",
        "int 0x80",
        "test eax, eax",
        "jz 2f",
        "pop edi",
        "pop ebx",
        "ret",
        "2:",
        "xor ebp, ebp", // the outermost frame
        "mov eax, [esp]",
        "mov ecx, [esp + 4]",
        "sub esp, 12", // so that the argument keeps it aligned
        "push ecx",
        "call eax", // does not return
        "ud2",
        number = const nr::clone,
    )
}

/// Expands to the body of `_start`, which relocates the program and then runs it.
#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($relocate:path, $run:path) => {
        ::core::arch::naked_asm!(
            "xor ebp, ebp",     // the outermost frame: a backtrace ends here
            "mov eax, esp",     // the kernel's block: argc, argv, envp, auxv
            "and esp, -16",     // the kernel aligns it; another loader may not
            "sub esp, 12",      // so that the argument and the call keep it aligned
            "push eax",
            "call {relocate}",  // a direct call, needing no relocation itself
            "mov [esp], eax",   // relocate returned the block
            "call {run}",       // does not return
            "ud2",
            relocate = sym $relocate,
            run = sym $run,
        )
    };
}

/// The relocation type `R_386_RELATIVE`.
pub use linux_raw_sys::elf::R_RELATIVE;

/// Sets the code that a signal handler returns to.
///
/// The kernel's code in the vDSO would suffice, but qemu-user 7.2 looks for its code at a wrong
/// address.
pub fn set_restorer(action: &mut kernel_sigaction) {
    let information = action.sa_flags & SA_SIGINFO != 0;
    action.sa_flags |= SA_RESTORER;
    action.sa_restorer =
        Some(common::restorer(if information { restore } else { restore_plain }));
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
        ".cfi_def_cfa esp, 0", // the handler's arguments; the ucontext is at 140
        ".cfi_offset edi, 176",
        ".cfi_offset esi, 180",
        ".cfi_offset ebp, 184",
        ".cfi_offset esp, 188",
        ".cfi_offset ebx, 192",
        ".cfi_offset edx, 196",
        ".cfi_offset ecx, 200",
        ".cfi_offset eax, 204",
        ".cfi_offset eip, 216",
        "nop",
        restorer_name!("__restore_rt"),
        "mov eax, {number}", // the stack pointer is at the frame: nothing may move it
        "int 0x80",
        "9:",
        ".cfi_endproc",
        number = const nr::rt_sigreturn,
    )
}

/// Contains the code that a handler without information returns to, which begins at the second
/// byte. The frame of such a handler is smaller.
#[unsafe(naked)]
#[allow(named_asm_labels, reason = "Rust 1.88 warns although a naked function is never inlined")]
unsafe extern "C" fn restore_plain() {
    core::arch::naked_asm!(
        ".cfi_startproc",
        ".cfi_signal_frame",
        ".cfi_def_cfa esp, 0", // the handler's argument; the sigcontext is at 4
        ".cfi_offset edi, 20",
        ".cfi_offset esi, 24",
        ".cfi_offset ebp, 28",
        ".cfi_offset esp, 32",
        ".cfi_offset ebx, 36",
        ".cfi_offset edx, 40",
        ".cfi_offset ecx, 44",
        ".cfi_offset eax, 48",
        ".cfi_offset eip, 60",
        "nop",
        restorer_name!("__restore"),
        "pop eax", // the signal's number
        ".cfi_def_cfa_offset -4",
        "mov eax, {number}",
        "int 0x80",
        "9:",
        ".cfi_endproc",
        number = const __NR_sigreturn,
    )
}

guarded_copy! {
    blocks: {
        "mov eax, edi",         // saves the caller's registers
        "mov edx, esi",
        "mov edi, [esp + 4]",
        "mov esi, [esp + 8]",
        "mov ecx, [esp + 12]",
        "rep movsb",            // all three registers are exact at every byte
    }
    bytes: {}
    done: {
        "mov edi, eax",
        "mov esi, edx",
        "mov eax, ecx",
        "ret",
    }
}

/// The offset of `uc_mcontext.eip` in bytes.
pub const PROGRAM_COUNTER: usize = 76;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 108;

/// The names in the vDSO. Source: vdso(7).
pub const VDSO: common::VdsoNames =
    common::VdsoNames { version: c"LINUX_2.6", clock_gettime: c"__vdso_clock_gettime64", getcpu: c"__vdso_getcpu" };
