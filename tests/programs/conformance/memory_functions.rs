//! The memory functions that the compiler calls, with all small sizes and misalignments.

use super::*;
use core::{
    ffi::{c_char, c_int},
    hint::black_box,
};

// The macro `entry!` defines them in this program.
unsafe extern "C" {
    fn memcpy(dest: *mut u8, src: *const u8, n: usize) -> *mut u8;
    fn memmove(dest: *mut u8, src: *const u8, n: usize) -> *mut u8;
    fn memset(dest: *mut u8, byte: c_int, n: usize) -> *mut u8;
    fn memcmp(a: *const u8, b: *const u8, n: usize) -> c_int;
    fn bcmp(a: *const u8, b: *const u8, n: usize) -> c_int;
    fn strlen(string: *const c_char) -> usize;
}

/// Returns small sizes, and sizes around which the functions change their method.
fn sizes() -> impl Iterator<Item = usize> {
    (0..=40).chain(250..=262).chain(4090..=4100)
}

/// Longer than the largest size, with a margin at both ends.
const ROOM: usize = 4100 + 2 * EDGE;
const EDGE: usize = 32;

/// Returns a byte for each index. Its period is not a multiple of any word.
fn pattern(index: usize) -> u8 {
    (index % 251) as u8 + 1
}

/// A byte that is neither in the pattern nor used to fill.
const OTHER: u8 = 0;

fn copies() -> Outcome {
    let source: [u8; ROOM] = core::array::from_fn(pattern);
    for size in sizes() {
        for (to, from) in (0..8).flat_map(|to| (0..8).map(move |from| (to, from))) {
            let mut dest = [OTHER; ROOM];
            let at = dest.as_mut_ptr().wrapping_add(EDGE + to);
            // SAFETY: both ranges lie in their arrays.
            let result =
                unsafe { memcpy(black_box(at), source.as_ptr().add(from), black_box(size)) };
            same(result, at)?;
            for (index, &got) in dest.iter().enumerate().take(EDGE + to + size + EDGE) {
                let inside = index.wrapping_sub(EDGE + to);
                let wanted = if inside < size { pattern(from + inside) } else { OTHER };
                if got != wanted {
                    return Err(wrong(format_args!("size {size}, {to} from {from}, {index}")));
                }
            }
        }
    }
    Ok(())
}

/// Tries every distance of up to two words, in both directions.
fn moves() -> Outcome {
    for size in (0..=40).chain([255, 256, 257, 1023, 4096]) {
        for (to, from) in (0..33).map(|to| (to, 16)).chain((0..9).map(|from| (7, from))) {
            let mut bytes: [u8; ROOM] = core::array::from_fn(pattern);
            let at = bytes.as_mut_ptr();
            // SAFETY: both ranges lie in the array.
            let result = unsafe { memmove(black_box(at.add(to)), at.add(from), black_box(size)) };
            same(result, at.wrapping_add(to))?;
            for (index, &got) in bytes.iter().enumerate().take(size + 64) {
                let inside = index.wrapping_sub(to);
                let wanted = pattern(if inside < size { from + inside } else { index });
                if got != wanted {
                    return Err(wrong(format_args!("size {size}, {to} from {from}, {index}")));
                }
            }
        }
    }
    Ok(())
}

fn fills() -> Outcome {
    for size in sizes() {
        for to in 0..8 {
            let mut dest = [OTHER; ROOM];
            let at = dest.as_mut_ptr().wrapping_add(EDGE + to);
            // SAFETY: the range lies in the array. Only the low byte of the value counts.
            let result = unsafe { memset(black_box(at), 0x1a5, black_box(size)) };
            same(result, at)?;
            for (index, &got) in dest.iter().enumerate().take(EDGE + to + size + EDGE) {
                let inside = index.wrapping_sub(EDGE + to) < size;
                if got != if inside { 0xa5 } else { OTHER } {
                    return Err(wrong(format_args!("size {size} at {to}, {index}")));
                }
            }
        }
    }
    Ok(())
}

/// The first difference decides, with bytes as unsigned numbers. Bytes after the range do not
/// count.
fn compares() -> Outcome {
    let left: [u8; ROOM] = core::array::from_fn(pattern);
    for size in (0..=40).chain([255, 256, 257]) {
        for offset in 0..8 {
            let mut right = [OTHER; ROOM];
            right[..size].copy_from_slice(&left[offset..offset + size]);
            let (a, b) = (left.as_ptr().wrapping_add(offset), right.as_mut_ptr());
            // SAFETY: both ranges lie in their arrays.
            unsafe {
                same(memcmp(black_box(a), b, black_box(size)), 0)?;
                same(bcmp(black_box(a), b, black_box(size)), 0)?;
                for index in 0..size {
                    let kept = *b.add(index);
                    *b.add(index) = kept ^ 0x80;
                    let order = kept.cmp(&(kept ^ 0x80)) as c_int;
                    same(memcmp(black_box(a), b, black_box(size)).signum(), order)?;
                    same(memcmp(black_box(b), a, black_box(size)).signum(), -order)?;
                    ensure(bcmp(black_box(a), b, black_box(size)) != 0, "bcmp equal")?;
                    *b.add(index) = kept;
                }
            }
        }
    }
    Ok(())
}

fn lengths() -> Outcome {
    for length in (0..=40).chain([255, 256, 257]) {
        for offset in 0..8 {
            let mut bytes = [0xffu8; 300];
            bytes[offset + length] = 0;
            let at = bytes.as_ptr().wrapping_add(offset);
            // SAFETY: the string ends inside the array.
            same(unsafe { strlen(black_box(at).cast()) }, length)?;
        }
    }
    Ok(())
}

pub const CASES: &[Case] = &[
    case!("memcpy", copies),
    case!("memmove, overlapping both ways", moves),
    case!("memset", fills),
    case!("memcmp and bcmp", compares),
    case!("strlen", lengths),
];
