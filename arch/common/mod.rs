//! What several architectures share: the shape of a system call, the numbers, and the calls
//! whose convention depends only on the size of a register.

use core::{
    ffi::{CStr, c_void},
    mem,
};

use linux_raw_sys::general::kernel_sigset_t;

/// Evaluates to a constant of the kernel's headers, or to `None` if the headers of this architecture
/// do not have it.
///
/// A name that comes from a glob import hides the name of an outer block, so the outer constant is
/// used only if the headers do not define the name.
macro_rules! kernel_constant {
    ($name:ident) => {{
        /// No constant has this value.
        const ABSENT: u32 = u32::MAX;
        #[allow(dead_code, reason = "the headers of this architecture define the constant")]
        const $name: u32 = ABSENT;
        const FOUND: u32 = {
            #[allow(unused_imports, reason = "the headers do not define the constant")]
            use ::linux_raw_sys::general::*;
            $name
        };
        if FOUND == ABSENT { None } else { Some(FOUND) }
    }};
}
pub(crate) use kernel_constant;

pub mod nr;

/// The names of the vDSO's functions, which the kernel's linker scripts (`vdso.lds.S`) define.
#[derive(Clone, Copy, Debug)]
pub struct VdsoNames {
    /// The version that the names have.
    pub version: &'static CStr,
    /// Reads a clock into a structure with 64-bit times.
    pub clock_gettime: &'static CStr,
    /// Returns the number of the processor and of its node.
    pub getcpu: &'static CStr,
}

#[cfg(target_pointer_width = "32")]
pub mod ilp32;
#[cfg(target_pointer_width = "64")]
pub mod lp64;
pub mod usual;

/// Defines `syscall0` to `syscall6` from the operands of one `asm!`.
///
/// * `|number, result, a, …, f|` names the parameters and the result, so that the operands can use
///   the names.
/// * `text` is the assembly.
/// * `options` are the options of `asm!`: `nostack`, or none if the assembly uses the stack. The
///   kernel may read and write any memory during a call, so no option may say otherwise.
/// * `always` are the operands of every call: the number, and the registers that the kernel changes.
/// * `arguments` are six groups of operands, one for each argument. The operands in the first braces
///   are for a call that has the argument. The operands after `else` are for a call without it, and
///   are needed only if the kernel changes the register nevertheless.
///
/// One operand, in `always` or in the group of the first argument, has `result` as its output.
///
/// For example, s390x writes:
///
/// ```text
/// syscalls! {
///     |number, result, a, b, c, d, e, f|
///     text: ("svc 0"),
///     options: (nostack),
///     always: { in("r1") number, },
///     arguments: {
///         { inlateout("r2") a => result, } else { lateout("r2") result, }
///         { in("r3") b, } { in("r4") c, }
///         { in("r5") d, } { in("r6") e, } { in("r7") f, }
///     },
/// }
/// ```
///
/// The first and the third of the seven functions are then:
///
/// ```text
/// pub unsafe fn syscall0(number: usize) -> usize {
///     let result: usize;
///     // `always`, and the `else` of the first argument, which is the only group with one.
///     unsafe { asm!("svc 0", in("r1") number, lateout("r2") result, options(nostack)) };
///     result
/// }
///
/// pub unsafe fn syscall2(number: usize, a: usize, b: usize) -> usize {
///     let result: usize;
///     // `always`, and the operands of the first and the second argument.
///     unsafe {
///         asm!(
///             "svc 0",
///             in("r1") number, inlateout("r2") a => result, in("r3") b,
///             options(nostack)
///         )
///     };
///     result
/// }
/// ```
///
/// An architecture that needs another assembly for some of the calls, because it has too few
/// registers, defines each function by itself with `@call`, as x86 does.
#[allow(unused_macros, reason = "aarch64 makes its calls by functions")]
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
        #[doc = concat!("Makes a system call with ", $what, ", and returns the kernel's register.")]
        ///
        /// A result of −4095 to −1, seen as a signed number, is an errno.
        ///
        /// # Safety
        ///
        /// * `number` and the arguments are those of a system call of this architecture.
        /// * All other code allows what the call does to memory, descriptors and the process.
        #[inline]
        pub unsafe fn $name($($parameter: syscalls!(@type $($type)?)),+) -> usize {
            let $result: usize;
            // SAFETY: the registers are those of the kernel's convention, all registers that it
            // changes are outputs, and no option says that memory does not change. The caller
            // promises that the call itself is allowed.
            unsafe { core::arch::asm!($($text,)+ $($operands)* options($($option)?)) };
            $result
        }
    };

    (@type) => { usize };
    (@type $type:ty) => { $type };
}

/// Selects the assembly for 32-bit registers or for 64-bit registers, in the file of a family.
#[allow(unused_macros, reason = "not every architecture belongs to a family")]
#[cfg(target_pointer_width = "32")]
macro_rules! by_width {
    ($narrow:literal, $wide:literal) => {
        $narrow
    };
}
/// Selects the assembly for 32-bit registers or for 64-bit registers, in the file of a family.
#[allow(unused_macros, reason = "not every architecture belongs to a family")]
#[cfg(target_pointer_width = "64")]
macro_rules! by_width {
    ($narrow:literal, $wide:literal) => {
        $wide
    };
}

/// Defines the function behind [`guarded_copy`] from three pieces of assembly.
///
/// * `blocks` copies most of the range in large steps, and returns zero if it has copied all.
/// * `bytes` copies the rest byte by byte. It begins at label 20.
/// * `done` returns the number of bytes that were not copied. It begins at label 30.
/// * `operands`, which may be absent, are operands that the pieces name.
///
/// A signal handler that finds the program counter in one piece resumes at the next. So a block
/// that faults is copied again byte by byte, up to the byte that faults. This needs three
/// properties:
///
/// * At every load and store of `blocks`, the registers contain everything that `bytes` starts
///   from, and at every load and store of `bytes`, everything that `done` starts from.
/// * The pieces keep nothing on the stack.
/// * `done` does not access the memory that is copied.
///
/// The labels are numbers, which are not symbols, so that a program can contain several copies and
/// versions of this crate, even if link-time optimization assembles them as one file. Therefore
/// [`fixup_address`] cannot name the labels: their offsets are stored as data before the
/// instructions.
macro_rules! guarded_copy {
    (
        blocks: {$($blocks:expr),* $(,)?}
        bytes: {$($bytes:expr),* $(,)?}
        done: {$($done:expr),* $(,)?}
        $(operands: {$($operands:tt)*})?
    ) => {
        /// Contains the fix-up offsets, two words of 32 bits, and after them the function that
        /// [`guarded_copy`] calls.
        ///
        /// # Safety
        ///
        /// * No code calls it, because it begins with data.
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
                $($($operands)*)?
            )
        }
    };
}

/// Does nothing, because the processors fetch instructions that were written as data without help.
///
/// # Safety
///
/// * There are no requirements. On other architectures, the range must be mapped.
#[allow(dead_code, reason = "most architectures have a function of their own")]
pub unsafe fn coherent_icache(_: usize, _: usize) -> usize {
    0
}

/// Returns a value that the compiler has to compute before this call, and knows nothing about
/// afterwards.
///
/// The compiler assumes that the empty assembly reads and changes the value, and all memory that is
/// reachable from it or from any value that was passed before. So it carries out all reads that the
/// value depends on before the assembly, even those of memory that it assumes to be constant, and
/// does not repeat them later. `core::hint::black_box` promises nothing of that kind.
#[inline(always)]
pub fn opaque<T>(mut value: T) -> T {
    // SAFETY: the assembly has no instructions. The value is borrowed exclusively.
    unsafe {
        core::arch::asm!("/* {} */", in(reg) &raw mut value, options(nostack, preserves_flags))
    };
    value
}

/// Makes the compiler align the stack in the function that calls this one, also for what it calls.
///
/// A signal handler of this crate begins with it. Linux aligns a handler's stack as the calling
/// convention says, but qemu-user 7.2 aligns it to 4 bytes on x86 and to 8 bytes on mips64, and
/// compiled code fails there.
#[inline(always)]
pub fn align_stack() {
    // A variable whose alignment is larger than that of the stack: the function begins with
    // instructions that align the stack for it.
    #[repr(align(32))]
    struct Aligned(#[expect(dead_code, reason = "only its address is used")] [u8; 32]);
    let variable = Aligned([0; 32]);
    // SAFETY: the assembly has no instructions.
    unsafe {
        core::arch::asm!("/* {} */", in(reg) &raw const variable, options(nostack, preserves_flags))
    };
}

/// Returns an errno in the form in which a kernel returns it.
pub const fn failure(errno: u32) -> usize {
    (errno as usize).wrapping_neg()
}

/// The flag that tells the kernel that `sa_restorer` is set, or no flag on architectures without it.
pub const SA_RESTORER: u32 = match kernel_constant!(SA_RESTORER) {
    Some(flag) => flag,
    None => 0,
};

/// Defines a local symbol for the code from here to label 9.
///
/// It is the C library's name of such code, by which debuggers recognize a signal frame. If
/// several copies of this crate are assembled as one file, the first copy defines the symbol.
#[allow(unused_macros, reason = "on most architectures the kernel has this code")]
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

/// Returns the address that a signal handler returns to, which is the second byte of `function`.
///
/// An unwinder looks up the address before a return address, because for a call that is the call
/// instruction. The first byte of `function` makes that address a part of the function.
#[allow(dead_code, reason = "on most architectures the kernel has this code")]
pub fn restorer(function: unsafe extern "C" fn()) -> unsafe extern "C" fn() {
    // SAFETY: an instruction begins at the second byte.
    unsafe { mem::transmute((function as *const ()).byte_add(1)) }
}

/// Makes the system call `clone` on an architecture whose kernel takes the thread pointer
/// before `child_tid`.
///
/// This is the order of most architectures (`CONFIG_CLONE_BACKWARDS`).
///
/// # Safety
///
/// * `stack` is 0 and `flags` do not contain `CLONE_VM`, because the child returns from this
///   call on a copy of the stack.
/// * The other arguments fit `flags`.
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
    // SAFETY: the caller meets the requirements of the call.
    unsafe { super::syscall5(nr::clone, flags, stack, parent_tid, tls, child_tid) }
}

/// Makes the system call `clone` on an architecture whose kernel takes the thread pointer last.
///
/// This is the order of the kernel's generic code.
///
/// # Safety
///
/// * `stack` is 0 and `flags` do not contain `CLONE_VM`, because the child returns from this
///   call on a copy of the stack.
/// * The other arguments fit `flags`.
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
    // SAFETY: the caller meets the requirements of the call.
    unsafe { super::syscall5(nr::clone, flags, stack, parent_tid, child_tid, tls) }
}

/// Returns the address of the interrupted program counter in the context of a signal handler.
///
/// # Safety
///
/// * `context` is the third argument of a handler that is running.
pub unsafe fn program_counter(context: *mut c_void) -> *mut usize {
    // SAFETY: the architecture's kernel has it there.
    unsafe { context.byte_add(super::PROGRAM_COUNTER).cast() }
}

/// Returns the address of the interrupted thread's signal mask in the context of a signal
/// handler.
///
/// # Safety
///
/// * `context` is the third argument of a handler that is running.
pub unsafe fn signal_mask(context: *mut c_void) -> *const kernel_sigset_t {
    // SAFETY: the architecture's kernel has it there.
    unsafe { context.byte_add(super::SIGNAL_MASK).cast() }
}

/// Returns the address of the field `uc_link` in the context of a signal handler.
///
/// It is the second word of the context on every architecture. The kernel stores a null pointer
/// there when it calls a handler, and does not read it when the handler returns.
///
/// # Safety
///
/// * `context` is the third argument of a handler that is running.
pub unsafe fn context_link(context: *mut c_void) -> *mut *mut c_void {
    // SAFETY: the kernel's `struct ucontext` begins with `unsigned long uc_flags`.
    unsafe { context.byte_add(size_of::<usize>()).cast() }
}

/// The offsets of the second and the third piece of the copy from the start of
/// `fixups_and_copy`.
type Fixups = [u32; 2];

/// Copies memory forwards and returns the number of bytes that were not copied because of a
/// fault.
///
/// A signal handler has to continue a fault at [`fixup_address`]; without one, a fault ends the
/// process as anywhere else.
///
/// # Safety
///
/// * Each range is memory that no other code uses during the call, or is not mapped.
/// * If a range is not mapped, a handler is installed that continues at [`fixup_address`].
#[inline]
pub unsafe fn guarded_copy(to: *mut u8, from: *const u8, len: usize) -> usize {
    type Copy = unsafe extern "C" fn(*mut u8, *const u8, usize) -> usize;
    let table = super::fixups_and_copy as *const ();
    // SAFETY: the function begins directly after the table.
    let copy = unsafe { mem::transmute::<*const (), Copy>(table.byte_add(size_of::<Fixups>())) };
    // SAFETY: the caller meets this function's requirements.
    unsafe { copy(to, from, len) }
}

/// Returns the address at which a fault at the program counter `pc` continues, or `None` if
/// `pc` is not in the code of [`guarded_copy`].
pub fn fixup_address(pc: usize) -> Option<usize> {
    // On arm, the lowest bit of a function's address selects the instruction set (ARM or Thumb).
    let table = (super::fixups_and_copy as *const ()).map_addr(|addr| addr & !1);
    // SAFETY: the function's address is that of the table, which is constant.
    let fixups = unsafe { table.cast::<Fixups>().read_unaligned() };
    let mut addresses = fixups.map(|offset| table.addr() + offset as usize).into_iter();
    addresses.find(|&address| (table.addr()..address).contains(&pc))
}
