//! What the compiler expects to find in every program: copy, fill, compare.
//!
//! The symbols (`memcpy` and so on) are defined by [`entry!`](crate::entry), in the
//! program: were they here, they would take the place of a hosted program's.
//!
//! The compiler knows such loops, and would make of each a call of the very
//! function that it is in. An empty piece of assembly in every loop forbids that.

use core::{
    ffi::{c_char, c_int},
    mem::MaybeUninit,
};

/// Keeps the compiler from seeing a well-known function in a loop.
#[inline(always)]
fn opaque() {
    // SAFETY: no instruction at all.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) };
}

/// Whatever a word of memory holds: data, part of a pointer, or nothing yet.
type Word = MaybeUninit<usize>;
const WORD: usize = size_of::<Word>();

/// How many bytes lie before the next word.
fn to_word(address: *const u8) -> usize {
    address.addr().wrapping_neg() % WORD
}

/// Copies `n` bytes from the first to the last.
///
/// # Safety
///
/// `src` can be read and `dest` written for `n` bytes, and `dest` does not begin
/// inside the source.
#[inline]
pub unsafe fn copy(dest: *mut u8, src: *const u8, n: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise.
    unsafe {
        x86_64::copy(dest, src, n)
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller's promise.
    unsafe {
        copy_words(dest, src, n)
    }
}

/// [`copy`] for any architecture: by words where both sides can be aligned at once.
///
/// # Safety
///
/// As for [`copy`].
#[cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "tested here as well"))]
unsafe fn copy_words(dest: *mut u8, src: *const u8, n: usize) {
    let head = to_word(dest).min(n);
    let together = to_word(dest) == to_word(src);
    let words = if together { (n - head) / WORD } else { 0 };
    // SAFETY: head, words and tail together are the `n` bytes.
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

/// # Safety
///
/// As for [`copy`].
unsafe fn copy_bytes(dest: *mut u8, src: *const u8, n: usize) {
    let mut i = 0;
    while i != n {
        // SAFETY: below `n`.
        unsafe { *dest.add(i).cast::<MaybeUninit<u8>>() = *src.add(i).cast() };
        i += 1;
        opaque();
    }
}

/// Copies `n` bytes from the last to the first.
///
/// # Safety
///
/// `src` can be read and `dest` written for `n` bytes, and `dest` does not end inside
/// the source.
#[inline]
pub unsafe fn copy_backward(dest: *mut u8, src: *const u8, n: usize) {
    let mut left = n;
    // SAFETY: words and then bytes, from the end, together are the `n` bytes.
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

/// Sets `n` bytes.
///
/// # Safety
///
/// `dest` can be written for `n` bytes.
#[inline]
pub unsafe fn fill(dest: *mut u8, byte: u8, n: usize) {
    let word = usize::MAX / 255 * byte as usize;
    let mut i = 0;
    // SAFETY: below `n`, and aligned where it is by words.
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

/// The difference of the first bytes that differ, or zero.
///
/// # Safety
///
/// `a` and `b` can be read for `n` bytes.
#[inline]
#[must_use]
pub unsafe fn compare(a: *const u8, b: *const u8, n: usize) -> c_int {
    let mut i = 0;
    while i != n {
        // SAFETY: below `n`.
        let (left, right) = unsafe { (*a.add(i), *b.add(i)) };
        if left != right {
            return c_int::from(left) - c_int::from(right);
        }
        i += 1;
        opaque();
    }
    0
}

/// How many bytes stand before the NUL.
///
/// # Safety
///
/// The string can be read up to and with a NUL.
#[inline]
#[must_use]
pub unsafe fn length(string: *const c_char) -> usize {
    let mut n = 0;
    // SAFETY: nothing beyond the NUL is read.
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

    /// From here on the string instructions' start costs little; below, and before
    /// the processor was ever asked, words are as fast.
    const LONG: usize = 256;

    /// # Safety
    ///
    /// As for [`copy`](super::copy).
    #[inline]
    pub unsafe fn copy(dest: *mut u8, src: *const u8, n: usize) {
        // SAFETY: each moves the same `n` bytes, in ascending order, as the caller
        // promised that they may be; the direction flag is clear in every Rust function.
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
                    "mov rcx, {rest}", // and those that are left
                    "rep movsb",
                    rest = in(reg) n % 8,
                    inout("rcx") n / 8 => _, inout("rdi") dest => _, inout("rsi") src => _,
                    options(nostack, preserves_flags),
                );
            }
        }
    }

    /// Asks the processor, once: the answer may cost microseconds in a virtual machine.
    #[inline]
    fn rep_movsb_is_fast() -> bool {
        match REP_MOVSB.load(Relaxed) {
            UNKNOWN => {
                // SAFETY: every x86_64 processor has the instruction. (Safe since Rust 1.94.)
                #[allow(unused_unsafe, reason = "the oldest compiler needs it")]
                let leaf = |number| unsafe { __cpuid_count(number, 0) };
                let fast = leaf(0).eax >= 7 && leaf(7).ebx & ERMS != 0;
                REP_MOVSB.store(if fast { FAST } else { SLOW }, Relaxed);
                fast
            }
            known => known == FAST,
        }
    }

    /// Enhanced `rep movsb` (Intel's manual, volume 1, 7.3.9.3), leaf 7.
    const ERMS: u32 = 1 << 9;
}
