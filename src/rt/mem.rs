//! Implements the memory functions that the compiler calls in every program: `memcpy`, `memmove`,
//! `memset`, `memcmp`, `bcmp` and `strlen`.
//!
//! [`entry!`](crate::entry) defines the symbols in the program. If they were defined in this crate,
//! they would replace libc's functions in a hosted program.
//!
//! LLVM recognizes a loop that copies or fills memory and replaces it with a call to `memcpy` or
//! `memset`, which would make these functions call themselves. An empty `asm!` in every loop
//! prevents that.

use core::{
    ffi::{c_char, c_int},
    mem::MaybeUninit,
};

/// Prevents the compiler from replacing the surrounding loop with a call to a memory function.
#[inline(always)]
fn opaque() {
    // SAFETY: the assembly contains no instruction.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) };
}

/// A word of memory, which may be uninitialized or hold a part of a pointer. `MaybeUninit` copies
/// both, and keeps a pointer's provenance.
type Word = MaybeUninit<usize>;
const WORD: usize = size_of::<Word>();

/// Returns the number of bytes from `address` to the next word boundary.
fn to_word(address: *const u8) -> usize {
    address.addr().wrapping_neg() % WORD
}

/// Copies `n` bytes in ascending order of their addresses, for `memcpy` and `memmove`.
///
/// # Safety
///
/// * `src` is valid for reads of `n` bytes.
/// * `dest` is valid for writes of `n` bytes.
/// * `dest` does not point into the source: it is at or before `src`, or at least `n` bytes after
///   it.
#[inline]
pub unsafe fn copy(dest: *mut u8, src: *const u8, n: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller fulfills the same requirements.
    unsafe {
        x86_64::copy(dest, src, n)
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller fulfills the same requirements.
    unsafe {
        copy_words(dest, src, n)
    }
}

/// Copies `n` bytes in ascending order on any architecture: word by word if `dest` and `src` have
/// equal offsets within a word, and byte by byte otherwise.
///
/// # Safety
///
/// * `src` is valid for reads of `n` bytes, and `dest` for writes of `n` bytes.
/// * `dest` does not point into the source: it is at or before `src`, or at least `n` bytes after
///   it.
#[cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "tested on x86_64 as well"))]
unsafe fn copy_words(dest: *mut u8, src: *const u8, n: usize) {
    let head = to_word(dest).min(n);
    let co_aligned = to_word(dest) == to_word(src);
    let words = if co_aligned { (n - head) / WORD } else { 0 };
    // SAFETY: the head, the words and the tail add up to `n` bytes. The words are aligned on both
    // sides, or there are none.
    unsafe {
        copy_bytes(dest, src, head);
        let (mut to, mut from) = (dest.add(head).cast::<Word>(), src.add(head).cast::<Word>());
        let mut left = words;
        while left >= 4 {
            let four = [*from, *from.add(1), *from.add(2), *from.add(3)];
            *to = four[0];
            *to.add(1) = four[1];
            *to.add(2) = four[2];
            *to.add(3) = four[3];
            (to, from) = (to.add(4), from.add(4));
            left -= 4;
            opaque();
        }
        while left != 0 {
            *to = *from;
            (to, from) = (to.add(1), from.add(1));
            left -= 1;
            opaque();
        }
        let done = head + words * WORD;
        copy_bytes(dest.add(done), src.add(done), n - done);
    }
}

/// Copies `n` bytes in ascending order, byte by byte.
///
/// # Safety
///
/// * `src` is valid for reads of `n` bytes, and `dest` for writes of `n` bytes.
/// * `dest` does not point into the source: it is at or before `src`, or at least `n` bytes after
///   it.
unsafe fn copy_bytes(dest: *mut u8, src: *const u8, n: usize) {
    let mut i = 0;
    while i != n {
        // SAFETY: `i` is less than `n`.
        unsafe { *dest.add(i).cast::<MaybeUninit<u8>>() = *src.add(i).cast() };
        i += 1;
        opaque();
    }
}

/// Copies `n` bytes in descending order of their addresses, for `memmove`.
///
/// # Safety
///
/// * `src` is valid for reads of `n` bytes.
/// * `dest` is valid for writes of `n` bytes.
/// * The end of the destination is not inside the source: `dest` is at or after `src`, or at least
///   `n` bytes before it.
#[inline]
pub unsafe fn copy_backward(dest: *mut u8, src: *const u8, n: usize) {
    let mut left = n;
    // SAFETY: `left` starts at `n` and only decreases, so every access is within the `n` bytes. The
    // words are aligned on both sides.
    unsafe {
        if to_word(dest.wrapping_add(n)) == to_word(src.wrapping_add(n)) {
            while left != 0 && to_word(dest.add(left)) != 0 {
                left -= 1;
                *dest.add(left).cast::<MaybeUninit<u8>>() = *src.add(left).cast();
                opaque();
            }
            while left >= WORD {
                left -= WORD;
                *dest.add(left).cast::<Word>() = *src.add(left).cast();
                opaque();
            }
        }
        while left != 0 {
            left -= 1;
            *dest.add(left).cast::<MaybeUninit<u8>>() = *src.add(left).cast();
            opaque();
        }
    }
}

/// Sets `n` bytes to the value `byte`, for `memset`.
///
/// # Safety
///
/// `dest` is valid for writes of `n` bytes.
#[inline]
pub unsafe fn fill(dest: *mut u8, byte: u8, n: usize) {
    let word = usize::MAX / 255 * byte as usize;
    let mut i = 0;
    // SAFETY: every access is below `n`, and the words are aligned.
    unsafe {
        while i != n && to_word(dest.add(i)) != 0 {
            *dest.add(i) = byte;
            i += 1;
            opaque();
        }
        while n - i >= WORD {
            *dest.add(i).cast::<usize>() = word;
            i += WORD;
            opaque();
        }
        while i != n {
            *dest.add(i) = byte;
            i += 1;
            opaque();
        }
    }
}

/// Compares `n` bytes, for `memcmp` and `bcmp`. Returns the difference of the first two bytes that
/// differ, as `a` minus `b`, or zero if all bytes are equal.
///
/// # Safety
///
/// `a` and `b` are valid for reads of `n` bytes.
#[inline]
#[must_use]
pub unsafe fn compare(a: *const u8, b: *const u8, n: usize) -> c_int {
    let mut i = 0;
    while i != n {
        // SAFETY: `i` is less than `n`.
        let (left, right) = unsafe { (*a.add(i), *b.add(i)) };
        if left != right {
            return c_int::from(left) - c_int::from(right);
        }
        i += 1;
        opaque();
    }
    0
}

/// Returns the number of bytes before the terminating NUL, for `strlen`.
///
/// # Safety
///
/// `string` is valid for reads up to and including a NUL.
#[inline]
#[must_use]
pub unsafe fn length(string: *const c_char) -> usize {
    let mut n = 0;
    // SAFETY: the loop reads no byte after the NUL.
    while unsafe { *string.add(n) } != 0 {
        n += 1;
        opaque();
    }
    n
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use core::arch::{asm, x86_64::__cpuid_count};
    use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

    const UNKNOWN: u8 = 0;
    const SLOW: u8 = 1;
    const FAST: u8 = 2;
    static REP_MOVSB: AtomicU8 = AtomicU8::new(UNKNOWN);

    /// The length in bytes from which on a string instruction is used. A string instruction has a
    /// startup cost, so a loop over words is as fast for shorter copies, and does not need `cpuid`.
    const LONG: usize = 256;

    /// Copies `n` bytes in ascending order, with a string instruction from [`LONG`] bytes on.
    ///
    /// # Safety
    ///
    /// * `src` is valid for reads of `n` bytes, and `dest` for writes of `n` bytes.
    /// * `dest` does not point into the source: it is at or before `src`, or at least `n` bytes
    ///   after it.
    #[inline]
    pub unsafe fn copy(dest: *mut u8, src: *const u8, n: usize) {
        // SAFETY: each branch copies exactly `n` bytes in ascending order, which the caller allows.
        // The direction flag is clear, as Rust requires at the start of every `asm!`.
        unsafe {
            if n < LONG {
                super::copy_words(dest, src, n);
            } else if rep_movsb_is_fast() {
                asm!(
                    "rep movsb", // the processor moves whole cache lines
                    inout("rcx") n => _, inout("rdi") dest => _, inout("rsi") src => _,
                    options(nostack, preserves_flags),
                );
            } else {
                asm!(
                    "rep movsq",       // eight bytes at a time,
                    "mov rcx, {rest}", // and the remaining bytes
                    "rep movsb",
                    rest = in(reg) n % 8,
                    inout("rcx") n / 8 => _, inout("rdi") dest => _, inout("rsi") src => _,
                    options(nostack, preserves_flags),
                );
            }
        }
    }

    /// Returns whether the processor has a fast `rep movsb` (ERMS). The first call executes `cpuid`
    /// and stores the result, because `cpuid` takes microseconds in a virtual machine.
    #[inline]
    fn rep_movsb_is_fast() -> bool {
        match REP_MOVSB.load(Relaxed) {
            UNKNOWN => {
                // SAFETY: every x86_64 processor has the instruction. (The function is safe since
                // Rust 1.94.)
                #[allow(unused_unsafe, reason = "compilers before Rust 1.94 need it")]
                let leaf = |number| unsafe { __cpuid_count(number, 0) };
                let fast = leaf(0).eax >= 7 && leaf(7).ebx & ERMS != 0;
                REP_MOVSB.store(if fast { FAST } else { SLOW }, Relaxed);
                fast
            }
            known => known == FAST,
        }
    }

    /// The bit in EBX of `cpuid` leaf 7 for enhanced `rep movsb`. Source: Intel SDM, volume 1,
    /// section 7.3.9.3.
    const ERMS: u32 = 1 << 9;
}
