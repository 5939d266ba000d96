//! A system call changes only the registers that its wrapper declares.

use super::*;
use core::hint::black_box;
use linux_raw_sys::general::__NR_copy_file_range;

/// Defines a function that keeps more values than any architecture has registers, modifies each of
/// them differently around each call, and returns them.
macro_rules! keep {
    ($($int:ident)*; $($float:ident)*) => {
        #[inline(always)]
        pub fn keep(rounds: usize, mut call: impl FnMut(usize) -> usize) -> Kept {
            let mut seed = 0x9e37usize;
            $(seed = seed.wrapping_mul(0x0101_0107); let mut $int = black_box(seed);)*
            let mut number = 1.5f64;
            $(number *= 1.0625; let mut $float = black_box(number);)*
            for round in 0..rounds {
                let zero = call(round);
                $($int = $int.rotate_left(5).wrapping_add(round) ^ zero;)*
                $($float = $float * 1.0078125 - round as f64;)*
            }
            ([$($int),*], [$($float),*])
        }
    };
}
type Kept = ([usize; 24], [f64; 24]);
keep!(
    a b c d e f g h i j k l m n o p q r s t u v w x;
    aa ba ca da ea fa ga ha ia ja ka la ma na oa pa qa ra sa ta ua va wa xa
);

/// A separate function, so that the compiler cannot merge it with the first.
#[inline(never)]
pub fn undisturbed(rounds: usize) -> Kept {
    keep(rounds, |_| black_box(0))
}

const ROUNDS: usize = 50;

// Each of these keeps the values across one inlined piece of assembly. The compiler uses the
// registers that the assembly does not name.
macro_rules! across {
    ($($name:ident: $call:expr;)*) => {$(
        #[inline(never)]
        fn $name() -> Outcome {
            same(keep(ROUNDS, $call), undisturbed(ROUNDS))
        }
    )*};
}

/// A descriptor that is never open. A call with it fails and has no effect.
const BAD: usize = usize::MAX;
const EBADF: usize = (Errno::EBADF.number() as usize).wrapping_neg();

across! {
    // SAFETY: touches no memory.
    none: |_| unsafe { raw::syscall0(nr::getpid) ^ raw::syscall0(nr::gettid) };
    // SAFETY: no such descriptor.
    one: |_| unsafe { raw::syscall1(nr::close, BAD) ^ EBADF };
    // SAFETY: no such descriptor.
    two: |mode| unsafe { raw::syscall2(nr::fchmod, BAD, mode) ^ EBADF };
    // SAFETY: no such descriptor, and the path is a C string.
    three: |_| unsafe { raw::syscall3(nr::faccessat, BAD, NAME.as_ptr() as usize, 0) ^ EBADF };
    // SAFETY: no such descriptor, and the path is a C string.
    four: |mode| unsafe {
        raw::syscall4(nr::openat, BAD, NAME.as_ptr() as usize, 0, mode) ^ EBADF
    };
    // SAFETY: no such descriptor, and the paths are C strings.
    five: |_| unsafe {
        let name = NAME.as_ptr() as usize;
        raw::syscall5(nr::linkat, BAD, name, BAD, name, 0) ^ EBADF
    };
    // SAFETY: no such descriptor.
    six: |length| unsafe {
        raw::syscall6(__NR_copy_file_range as usize, BAD, 0, BAD, 0, length + 1, 0) ^ EBADF
    };
}
const NAME: &CStr = c"conformance none";

/// Nested frames, each with a call and with values that are used after it.
#[inline(never)]
fn frames(depth: usize) -> usize {
    let values: [usize; 5] = black_box([depth, depth * 3, depth * 5, depth * 7, depth * 11]);
    // SAFETY: touches no memory.
    let zero = unsafe { raw::syscall2(nr::fchmod, BAD, depth) ^ EBADF };
    let below = if depth == 0 { 0 } else { frames(depth - 1) };
    // SAFETY: touches no memory.
    let also_zero = unsafe { raw::syscall0(nr::getpid) ^ raw::syscall0(nr::gettid) };
    below + values.iter().sum::<usize>() + zero + also_zero
}

fn frame_pointer() -> Outcome {
    same(frames(50), 27 * 50 * 51 / 2)
}

/// String instructions move upwards in every function.
#[cfg(target_arch = "x86_64")]
fn direction_flag() -> Outcome {
    // SAFETY: touches no memory.
    let _ = unsafe { raw::syscall0(nr::getpid) };
    let flags: u64;
    // SAFETY: pushes and pops one word.
    unsafe { core::arch::asm!("pushfq", "pop {flags}", flags = out(reg) flags) };
    same(flags & 1 << 10, 0)
}

pub const CASES: &[Case] = &[
    case!("values survive a call without arguments", none),
    case!("values survive a call with one argument", one),
    case!("values survive a call with two arguments", two),
    case!("values survive a call with three arguments", three),
    case!("values survive a call with four arguments", four),
    case!("values survive a call with five arguments", five),
    case!("values survive a call with six arguments", six),
    case!("frames and the frame pointer survive calls", frame_pointer),
    #[cfg(target_arch = "x86_64")]
    case!("the direction flag is clear after a call", direction_flag),
];
