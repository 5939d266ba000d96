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
    arch::{
        asm,
        x86_64::{__cpuid, __cpuid_count},
    },
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering::{Relaxed, Release},
    },
};

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
        "mov r10, rcx", // child_tid
        "mov eax, {number}",
        "syscall",
        "test rax, rax",
        "jz 2f",
        "ret",
        "2:",
        "xor ebp, ebp", // the outermost frame
        "pop rax",
        "pop rdi",
        "call rax", // does not return
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

/// The address of the copy for this processor, or null before [`prepare_copy`].
static COPY: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Selects the instructions of the guarded copy.
pub fn prepare_copy() {
    if !COPY.load(Relaxed).is_null() {
        return;
    }
    COPY.store(copy_with(vectors()).cast_mut(), Release);
}

/// Returns the address of the copy that uses these registers.
fn copy_with(vectors: Vectors) -> *const () {
    type Offsets = [u32; 4];
    let table = fixups_and_copy as *const ();
    // SAFETY: the function's address is that of a table of four offsets, which is constant.
    let [_, _, avx, avx512] = unsafe { table.cast::<Offsets>().read_unaligned() };
    table.wrapping_byte_add(match vectors {
        Vectors::Sse => size_of::<Offsets>(),
        Vectors::Avx => avx as usize,
        Vectors::Avx512 => avx512 as usize,
    })
}

/// The vector registers that the guarded copy uses.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Vectors {
    /// Of 16 bytes, which every processor has.
    Sse,
    /// Of 32 bytes.
    Avx,
    /// Of 32 bytes, and more of them. Using the additional ones does not make later instructions
    /// for 16 bytes slow.
    Avx512,
}

/// Returns the registers that the processor has and the kernel saves.
fn vectors() -> Vectors {
    const AVX_AND_OSXSAVE: u32 = 1 << 28 | 1 << 27;
    const AVX512F_AND_VL: u32 = 1 << 31 | 1 << 16;
    const AVX_STATE: u32 = 1 << 2 | 1 << 1;
    const AVX512_STATE: u32 = 1 << 7 | 1 << 6 | 1 << 5 | AVX_STATE;
    #[allow(unused_unsafe, reason = "Rust 1.88 declares it as unsafe")]
    // SAFETY: all processors of x86_64 have the instruction.
    let features = unsafe { __cpuid(1) }.ecx;
    if features & AVX_AND_OSXSAVE != AVX_AND_OSXSAVE {
        return Vectors::Sse;
    }
    let saved: u32;
    // SAFETY: the processor has the instruction, because the kernel has enabled it (OSXSAVE).
    unsafe {
        asm!(
            "xgetbv", in("ecx") 0, out("eax") saved, out("edx") _,
            options(nomem, nostack, preserves_flags)
        )
    };
    #[allow(unused_unsafe, reason = "Rust 1.88 declares them as unsafe")]
    let has_avx512 = || {
        // SAFETY: all processors of x86_64 have the instruction.
        let features = |leaf| unsafe { __cpuid_count(leaf, 0) };
        features(0).eax >= 7 && features(7).ebx & AVX512F_AND_VL == AVX512F_AND_VL
    };
    if saved & AVX512_STATE == AVX512_STATE && has_avx512() {
        Vectors::Avx512
    } else if saved & AVX_STATE == AVX_STATE {
        Vectors::Avx
    } else {
        Vectors::Sse
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
            lateout("xmm16") _, lateout("xmm17") _, lateout("xmm18") _, lateout("xmm19") _,
            lateout("xmm20") _, lateout("xmm21") _, lateout("xmm22") _, lateout("xmm23") _,
        );
    }
    left
}

/// Expands to a copy by 32 bytes, with eight registers, and an instruction for the end: `vzeroupper`
/// after the registers of AVX, or later instructions for 16 bytes are slow on Intel's processors.
macro_rules! copy_by_32_bytes {
    (
        $a:literal, $b:literal, $c:literal, $d:literal, $e:literal, $f:literal, $g:literal, $h:literal,
        $end:literal
    ) => {
        concat!(
            "lea r8, [rdi + rdx]\n",
            "cmp rdx, 32\n",
            "jbe 43b\n",
            "cmp rdx, 64\n",
            "ja 16f\n",
            copy_by_32_bytes!(@load $a, "[rsi]", $b, "[rsi + rdx - 32]"), // 33 to 64 bytes
            copy_by_32_bytes!(@store "[rdi]", $a, "[r8 - 32]", $b),
            $end, "\nxor eax, eax\nret\n",
            "16:\n",
            "cmp rdx, 128\n",
            "ja 17f\n",
            copy_by_32_bytes!(@load $a, "[rsi]", $b, "[rsi + 32]"), // to 128 bytes
            copy_by_32_bytes!(@load $c, "[rsi + rdx - 64]", $d, "[rsi + rdx - 32]"),
            copy_by_32_bytes!(@store "[rdi]", $a, "[rdi + 32]", $b),
            copy_by_32_bytes!(@store "[r8 - 64]", $c, "[r8 - 32]", $d),
            $end, "\nxor eax, eax\nret\n",
            "17:\n",
            "cmp rdx, 256\n",
            "ja 18f\n",
            copy_by_32_bytes!(@load $a, "[rsi]", $b, "[rsi + 32]"), // to 256 bytes
            copy_by_32_bytes!(@load $c, "[rsi + 64]", $d, "[rsi + 96]"),
            copy_by_32_bytes!(@load $e, "[rsi + rdx - 128]", $f, "[rsi + rdx - 96]"),
            copy_by_32_bytes!(@load $g, "[rsi + rdx - 64]", $h, "[rsi + rdx - 32]"),
            copy_by_32_bytes!(@store "[rdi]", $a, "[rdi + 32]", $b),
            copy_by_32_bytes!(@store "[rdi + 64]", $c, "[rdi + 96]", $d),
            copy_by_32_bytes!(@store "[r8 - 128]", $e, "[r8 - 96]", $f),
            copy_by_32_bytes!(@store "[r8 - 64]", $g, "[r8 - 32]", $h),
            $end, "\nxor eax, eax\nret\n",
            "18:\n",
            "cmp rdx, 2048\n",
            "jae 6b\n",
            "lea r9, [rsi + rdx]\n", // the end of the source
            "vmovups ", $a, ", [rsi]\n", // up to 32 bytes, after which the destination is aligned
            "vmovups [rdi], ", $a, "\n",
            "mov rax, rdi\n",
            "and eax, 31\n",
            "sub rax, 32\n",
            "sub rsi, rax\n",
            "sub rdi, rax\n",
            "lea rcx, [r8 - 128]\n",
            "19:\n",
            copy_by_32_bytes!(@load $a, "[rsi]", $b, "[rsi + 32]"), // 128 bytes
            copy_by_32_bytes!(@load $c, "[rsi + 64]", $d, "[rsi + 96]"),
            copy_by_32_bytes!(@store "[rdi]", $a, "[rdi + 32]", $b),
            copy_by_32_bytes!(@store "[rdi + 64]", $c, "[rdi + 96]", $d),
            "sub rsi, -128\n", // shorter than an addition of 128
            "sub rdi, -128\n",
            "cmp rdi, rcx\n",
            "jb 19b\n",
            copy_by_32_bytes!(@load $a, "[r9 - 128]", $b, "[r9 - 96]"), // the last 128 bytes
            copy_by_32_bytes!(@load $c, "[r9 - 64]", $d, "[r9 - 32]"),
            copy_by_32_bytes!(@store "[rcx]", $a, "[rcx + 32]", $b),
            copy_by_32_bytes!(@store "[rcx + 64]", $c, "[rcx + 96]", $d),
            "mov rdi, r8\n",
            "sub rdi, rdx\n",
            "mov rsi, r9\n",
            "sub rsi, rdx\n",
            $end, "\nxor eax, eax\nret\n",
        )
    };
    (@load $a:literal, $from_a:literal, $b:literal, $from_b:literal) => {
        concat!("vmovups ", $a, ", ", $from_a, "\nvmovups ", $b, ", ", $from_b, "\n")
    };
    (@store $to_a:literal, $a:literal, $to_b:literal, $b:literal) => {
        concat!("vmovups ", $to_a, ", ", $a, "\nvmovups ", $to_b, ", ", $b, "\n")
    };
}

// The destination is in rdi, the source in rsi, and the length in rdx. All three have their values
// again at the end.
//
// A block that faults is copied again byte by byte from `rdi` and `rsi` on. So these registers only
// move on when all bytes before them have been copied, and a short copy does not move them at all:
// its last load and store overlap the others.
guarded_copy! {
    blocks: {
        ".long 41f - 40b",              // the offset of the copy with AVX
        ".long 42f - 40b",              // and with AVX-512
        "lea r8, [rdi + rdx]",          // the end of the destination, to which rdi grows
        "cmp rdx, 32",
        "ja 2f",
        "43:",
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
        "jb 21f",
        "mov eax, [rsi]",               // 4 to 7 bytes
        "mov ecx, [rsi + rdx - 4]",
        "mov [rdi], eax",
        "mov [r8 - 4], ecx",
        "xor eax, eax",
        "ret",
        "41:",
        copy_by_32_bytes!("ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "vzeroupper"),
        "42:",
        copy_by_32_bytes!("ymm16", "ymm17", "ymm18", "ymm19", "ymm20", "ymm21", "ymm22", "ymm23", ""),
    }
    bytes: {
        "lea rax, [rip + 41b]",
        "cmp rax, [rip + {copy}]",
        "jne 21f",
        "vzeroupper",                   // the copy with AVX has not reached its end
        "21:",
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
    operands: { copy = sym COPY }
}

/// The offset of `uc_mcontext.rip` in bytes.
pub const PROGRAM_COUNTER: usize = 168;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 296;

/// The names in the vDSO. Source: vdso(7).
pub const VDSO: common::VdsoNames =
    common::VdsoNames { version: c"LINUX_2.6", clock_gettime: c"__vdso_clock_gettime", getcpu: c"__vdso_getcpu" };

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, vec};

    use super::*;
    use crate::{
        map::guard,
        syscall::{self, MapFlags, ProtFlags, page_size},
    };

    /// Pages after which one is missing.
    fn pages(count: usize) -> *mut u8 {
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
        let (size, prot) = (page_size(), ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: the mapping is new, and its last page belongs to this function.
        unsafe {
            let map =
                syscall::mmap(ptr::null_mut(), (count + 1) * size, prot, flags, None, 0).unwrap();
            syscall::mprotect(map.add(count * size), size, ProtFlags::empty()).unwrap();
            map
        }
    }

    /// Copies from `from` to `to`, whose mappings have `before` and `after` bytes at these places,
    /// and compares every byte around.
    fn check(from: *mut u8, to: *mut u8, len: usize, there: usize, what: Vectors) {
        const AROUND: usize = 70;
        for index in 0..there {
            // SAFETY: the bytes are there.
            unsafe { from.add(index).write(index as u8 | 1) };
        }
        let around = to.wrapping_sub(AROUND);
        // SAFETY: the bytes are there, and those after them as far as they are.
        unsafe { around.write_bytes(0xee, AROUND + there) };
        // SAFETY: nothing refers to the memory.
        let left = unsafe { guarded_copy(to, from, len) };
        assert_eq!(left, len - there, "{what:?}: {len} bytes, {there} there, {from:?} to {to:?}");
        for index in 0..AROUND + there {
            // SAFETY: the bytes are there.
            let byte = unsafe { around.add(index).read() };
            let wanted = if index < AROUND { 0xee } else { (index - AROUND) as u8 | 1 };
            assert_eq!(byte, wanted, "{what:?}: byte {index}, {len} bytes, {from:?} to {to:?}");
        }
    }

    /// Is locked by a test that changes [`COPY`].
    static COPIES: Mutex<()> = Mutex::new(());

    /// Otherwise later instructions for 16 bytes are slow on Intel's processors.
    #[test]
    fn after_a_fault_the_upper_halves_are_zero() {
        guard::install().unwrap();
        let _copies = COPIES.lock();
        let (from, mut to) = (pages(1), [0_u8; 1000]);
        if vectors() < Vectors::Avx {
            return; // the processor has no upper halves
        }
        COPY.store(copy_with(Vectors::Avx).cast_mut(), Release);
        for len in [40, 100, 200, 1000] {
            // SAFETY: all but the last byte is there, and both ranges are this function's.
            let left = unsafe {
                from.write_bytes(1, page_size());
                guarded_copy(to.as_mut_ptr(), from.add(page_size() - len + 1), len)
            };
            assert_eq!(left, 1);
            let mut upper = [1_u64; 4];
            // SAFETY: the processor has AVX, and the registers are outputs.
            unsafe {
                asm!(
                    "vextractf128 [{upper}], ymm0, 1",
                    "vextractf128 [{upper} + 16], ymm7, 1",
                    upper = in(reg) &raw mut upper, options(nostack, preserves_flags)
                )
            };
            assert_eq!(upper, [0; 4], "{len} bytes");
        }
        COPY.store(copy_with(vectors()).cast_mut(), Release);
    }

    #[test]
    fn each_copy_stops_at_the_byte_that_is_missing() {
        guard::install().unwrap();
        let _copies = COPIES.lock();
        let (room, size) = (2 * page_size(), page_size());
        let (from, to) = (pages(2), pages(2));
        let best = vectors();
        for vectors in [Vectors::Sse, Vectors::Avx, Vectors::Avx512] {
            if vectors > best {
                continue; // the processor does not have them
            }
            // Other tests may use either copy.
            COPY.store(copy_with(vectors).cast_mut(), Release);
            let mut lens = vec![255, 256, 257, 300, 383, 384, 385, 511, 600, 1023, 2047, 2048, 3000];
            lens.extend(0..200);
            for &len in &lens {
                for skew in [0, 1, 7, 16, 31] {
                    let (from, to) = (from.wrapping_add(skew), to.wrapping_add(size / 2 + skew / 2));
                    check(from, to, len, len, vectors);
                }
                for there in [0, 1, len / 3, len / 2, len.saturating_sub(1)] {
                    let there = there.min(len);
                    let end = room - there;
                    check(from.wrapping_add(end), to.wrapping_add(size / 2 + 3), len, there, vectors);
                    check(from.wrapping_add(5), to.wrapping_add(end), len, there, vectors);
                }
            }
        }
        COPY.store(copy_with(best).cast_mut(), Release);
    }
}
