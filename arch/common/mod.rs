//! What architectures share: the shape of a system call, the numbers, and the
//! calls whose convention depends only on the size of a register.

use core::{ffi::c_void, mem};

use linux_raw_sys::general::kernel_sigset_t;

pub mod nr;

#[cfg(target_pointer_width = "32")]
pub mod ilp32;
#[cfg(target_pointer_width = "64")]
pub mod lp64;

/// Makes `syscall0` to `syscall6` from the operands of one `asm!`.
///
/// An architecture writes the operands as they stand in its assembly: `always` those of
/// every call (the number, the registers that the kernel does not keep), `arguments`
/// those of the first to the sixth argument, each with an `else` for the calls that do
/// not have it, if its register changes all the same. Somewhere among them `result` is
/// an output.
///
/// The kernel may read and write any memory during a call, and does not touch the stack
/// below the stack pointer: hence no option but `nostack`, and not that either where
/// arguments go to the stack. An architecture with too few registers writes each call by
/// itself (`@call`).
macro_rules! syscalls {
    (
        |$number:ident, $result:ident, $a:ident, $b:ident, $c:ident, $d:ident, $e:ident, $f:ident|
        text: $text:tt,
        options: $options:tt,
        always: {$($always:tt)*},
        arguments: {
            {$($in_a:tt)*} $(else {$($no_a:tt)*})? {$($in_b:tt)*} $(else {$($no_b:tt)*})?
            {$($in_c:tt)*} $(else {$($no_c:tt)*})? {$($in_d:tt)*} $(else {$($no_d:tt)*})?
            {$($in_e:tt)*} $(else {$($no_e:tt)*})? {$($in_f:tt)*} $(else {$($no_f:tt)*})?
        },
    ) => {
        syscalls!(@call "no arguments", syscall0($number), $result, $text, $options, {
            $($always)* $($($no_a)*)? $($($no_b)*)? $($($no_c)*)? $($($no_d)*)? $($($no_e)*)? $($($no_f)*)?
        });
        syscalls!(@call "one argument", syscall1($number, $a), $result, $text, $options, {
            $($always)* $($in_a)* $($($no_b)*)? $($($no_c)*)? $($($no_d)*)? $($($no_e)*)? $($($no_f)*)?
        });
        syscalls!(@call "two arguments", syscall2($number, $a, $b), $result, $text, $options, {
            $($always)* $($in_a)* $($in_b)* $($($no_c)*)? $($($no_d)*)? $($($no_e)*)? $($($no_f)*)?
        });
        syscalls!(@call "three arguments", syscall3($number, $a, $b, $c), $result, $text, $options, {
            $($always)* $($in_a)* $($in_b)* $($in_c)* $($($no_d)*)? $($($no_e)*)? $($($no_f)*)?
        });
        syscalls!(@call "four arguments", syscall4($number, $a, $b, $c, $d), $result, $text, $options, {
            $($always)* $($in_a)* $($in_b)* $($in_c)* $($in_d)* $($($no_e)*)? $($($no_f)*)?
        });
        syscalls!(@call "five arguments", syscall5($number, $a, $b, $c, $d, $e), $result, $text, $options, {
            $($always)* $($in_a)* $($in_b)* $($in_c)* $($in_d)* $($in_e)* $($($no_f)*)?
        });
        syscalls!(@call "six arguments", syscall6($number, $a, $b, $c, $d, $e, $f), $result, $text, $options, {
            $($always)* $($in_a)* $($in_b)* $($in_c)* $($in_d)* $($in_e)* $($in_f)*
        });
    };

    (
        @call $what:literal, $name:ident($($parameter:ident $(: $type:ty)?),+), $result:ident,
        ($($text:literal),+), ($($option:ident)?), {$($operands:tt)*}
    ) => {
        #[doc = concat!("A raw system call with ", $what, ".")]
        ///
        /// The result is the kernel's register: −4095 to −1, seen as a signed
        /// number, is an errno.
        ///
        /// # Safety
        ///
        /// Whatever the call does to memory, descriptors and the process must be
        /// what the caller wants: nothing is checked.
        #[inline]
        pub unsafe fn $name($($parameter: syscalls!(@type $($type)?)),+) -> usize {
            let $result: usize;
            // SAFETY: the registers are those of the kernel's convention, all
            // that it changes are outputs, and memory is not claimed unchanged.
            // What the call itself does is the caller's to answer for.
            unsafe { core::arch::asm!($($text,)+ $($operands)* options($($option)?)) };
            $result
        }
    };

    (@type) => { usize };
    (@type $type:ty) => { $type };
}

/// Picks the text for a register of 32 bits, or for one of 64: what a family's assembly
/// differs in.
#[allow(unused_macros, reason = "not every architecture is of a family")]
#[cfg(target_pointer_width = "32")]
macro_rules! by_width {
    ($narrow:literal, $wide:literal) => {
        $narrow
    };
}
#[allow(unused_macros, reason = "not every architecture is of a family")]
#[cfg(target_pointer_width = "64")]
macro_rules! by_width {
    ($narrow:literal, $wide:literal) => {
        $wide
    };
}

/// Makes [`guarded_copy`] from its parts: `blocks` copies most of it, fast; `bytes` what is
/// left, a byte at a time; `done` returns how many bytes are left after all.
///
/// A signal handler that finds the program counter in one of them resumes at the next: so
/// a block that faults is done again by bytes, up to the very one that is not there. Hence
/// at every load and store of `blocks` the registers tell all that `bytes` begins with,
/// and at every one of `bytes` what `done` does; nothing is on the stack; and `done`
/// touches no memory of the caller's.
///
/// `bytes` begins at label 20, and `done` at label 30. A numeric label is no symbol: any
/// number of copies and versions of this crate can be one program, also where the compiler
/// assembles all of it as one file (link-time optimization). So the offsets of both stand as
/// data before the instructions, where [`fixup_address`] finds them.
macro_rules! guarded_copy {
    (
        blocks: {$($blocks:expr),* $(,)?}
        bytes: {$($bytes:expr),* $(,)?}
        done: {$($done:expr),* $(,)?}
    ) => {
        /// The fix-up offsets, two words of 32 bits, and after them the function that
        /// [`guarded_copy`] calls.
        ///
        /// # Safety
        ///
        /// It is not a function.
        #[unsafe(naked)]
        pub unsafe extern "C" fn fixups_and_copy() {
            core::arch::naked_asm!(
                "40:",
                ".long 20f - 40b",
                ".long 30f - 40b",
                $($blocks,)*
                "20:",
                $($bytes,)*
                "30:",
                $($done,)*
            )
        }
    };
}

// Families, which use the macros.
#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
pub mod mips;
#[cfg(any(target_arch = "powerpc", target_arch = "powerpc64"))]
pub mod powerpc;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
pub mod riscv;

/// Instructions that were written as data are fetched as they are.
///
/// # Safety
///
/// None is needed here: see the other architectures.
#[allow(dead_code, reason = "not so on most")]
pub unsafe fn coherent_icache(_: usize, _: usize) -> usize {
    0
}

/// An errno in the form in which a kernel returns it.
pub const fn failure(errno: u32) -> usize {
    (errno as usize).wrapping_neg()
}

/// The flag that an action brings the code that its handler returns through, where the
/// kernel's headers have none.
#[allow(dead_code, reason = "most have one, and it is the program's libc that sets it")]
pub const NO_SA_RESTORER: u32 = 0;

/// What `rt_sigaction` takes.
#[cfg(not(any(target_arch = "mips", target_arch = "mips64")))]
pub use linux_raw_sys::general::kernel_sigaction;
#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
pub use mips::kernel_sigaction;

/// The signal handler returns through code that the kernel provides: in the
/// vDSO, or written beside the frame.
#[allow(dead_code, reason = "x86 and x86_64 bring their own")]
pub fn kernel_restorer(_: &mut kernel_sigaction) {}

/// Names the code from here to label 9 as the C library's is named: debuggers know it by that.
/// The symbol is local; of two copies of this crate that are assembled as one file, the
/// first has it.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
macro_rules! restorer_name {
    ($name:literal) => {
        concat!(
            ".ifndef ",
            $name,
            "\n",
            ".type ",
            $name,
            ", @function\n",
            ".size ",
            $name,
            ", 9f - ",
            $name,
            "\n",
            $name,
            ":\n",
            ".endif",
        )
    };
}

/// The code that a handler returns to, from a function that begins with one byte more: an
/// unwinder looks up the address before the one that is returned to, as it does for calls.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
pub fn restorer(function: unsafe extern "C" fn()) -> unsafe extern "C" fn() {
    // SAFETY: the second byte is where an instruction begins.
    unsafe { mem::transmute((function as *const ()).byte_add(1)) }
}

/// A raw `clone`; here the kernel takes the thread pointer before the child's place
/// (`CLONE_BACKWARDS` in its configuration), as on most architectures.
///
/// # Safety
///
/// The child returns from this call as well: `stack` is 0, and memory is not shared
/// (`CLONE_VM`).
#[allow(dead_code, reason = "each architecture uses one of the orders")]
#[inline]
#[must_use]
pub unsafe fn clone_tls_first(
    flags: usize,
    stack: usize,
    parent_tid: usize,
    child_tid: usize,
    tls: usize,
) -> usize {
    // SAFETY: the caller's promise is passed on.
    unsafe { super::syscall5(nr::clone, flags, stack, parent_tid, tls, child_tid) }
}

/// A raw `clone`; here the kernel takes the thread pointer last, as its generic code has it.
///
/// # Safety
///
/// The child returns from this call as well: `stack` is 0, and memory is not shared
/// (`CLONE_VM`).
#[allow(dead_code, reason = "each architecture uses one of the orders")]
#[inline]
#[must_use]
pub unsafe fn clone_tls_last(
    flags: usize,
    stack: usize,
    parent_tid: usize,
    child_tid: usize,
    tls: usize,
) -> usize {
    // SAFETY: the caller's promise is passed on.
    unsafe { super::syscall5(nr::clone, flags, stack, parent_tid, child_tid, tls) }
}

/// Where the interrupted program counter stands in what a signal handler is given.
///
/// # Safety
///
/// `context` is the third argument of a handler that is running.
pub unsafe fn program_counter(context: *mut c_void) -> *mut usize {
    // SAFETY: the architecture's kernel has it there.
    unsafe { context.byte_add(super::PROGRAM_COUNTER).cast() }
}

/// Where the mask of the interrupted thread stands in what a signal handler is given.
///
/// # Safety
///
/// `context` is the third argument of a handler that is running.
pub unsafe fn signal_mask(context: *mut c_void) -> *const kernel_sigset_t {
    // SAFETY: the architecture's kernel has it there.
    unsafe { context.byte_add(super::SIGNAL_MASK).cast() }
}

/// The offsets at which the second and the third part of the copy begin, from the beginning
/// of `fixups_and_copy`.
type Fixups = [u32; 2];

/// Copies memory, forwards, and returns how many bytes are left if there is a fault that a
/// handler answers.
///
/// # Safety
///
/// Both ranges are memory of which the program has no other use for the moment, or no
/// memory at all, and then a handler is installed that asks [`fixup_address`].
#[inline]
pub unsafe fn guarded_copy(to: *mut u8, from: *const u8, len: usize) -> usize {
    type Copy = unsafe extern "C" fn(*mut u8, *const u8, usize) -> usize;
    let table = super::fixups_and_copy as *const ();
    // SAFETY: the function stands behind the table.
    let copy = unsafe { mem::transmute::<*const (), Copy>(table.byte_add(size_of::<Fixups>())) };
    // SAFETY: the caller's promise.
    unsafe { copy(to, from, len) }
}

/// The address at which a fault at this program counter resumes, if it is one of
/// [`guarded_copy`].
pub fn fixup_address(pc: usize) -> Option<usize> {
    // The lowest bit of a function's address, on arm, says how its instructions are encoded.
    let table = (super::fixups_and_copy as *const ()).map_addr(|addr| addr & !1);
    // SAFETY: the table, which nothing changes.
    let fixups = unsafe { table.cast::<Fixups>().read_unaligned() };
    let mut addresses = fixups.map(|offset| table.addr() + offset as usize).into_iter();
    addresses.find(|&address| (table.addr()..address).contains(&pc))
}
