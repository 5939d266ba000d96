//! System calls, entry points and guarded copies in assembly, with one file for each
//! architecture.
//!
//! Everything that depends on the kernel's calling convention is here. The functions are untyped;
//! [`syscall`](crate::syscall) gives them types. Elsewhere in the library, only `src/rt/mem.rs`
//! contains instructions: the string instructions of x86_64, which make copies faster.
//!
//! # The contract
//!
//! `arch/<name>.rs` contains the following. A name in parentheses is one that other code uses.
//!
//! 1. The table of the calling convention, with its sources.
//! 2. The raw calls (`syscall0` to `syscall6`). The macro `syscalls!` makes them from the
//!    assembly of one call and the names of the registers. On aarch64, they are calls of functions.
//! 3. The function that makes instructions visible after they were written as data
//!    (`flush_icache`). It is `coherent_icache` of [`common`] where the hardware does this.
//! 4. With 32-bit registers, whether a 64-bit argument begins at an even register
//!    (`PAIRS_ALIGNED`).
//! 5. The calls whose convention differs between architectures (`mmap`, `ftruncate`,
//!    `fallocate`, `sync_file_range`, `pread64`, `pwrite64`, `lseek`, `fstat`, `newfstatat`,
//!    `fstatfs`, `clone`, `rt_sigaction`), the structures that they read and fill (`kernel_stat`,
//!    `kernel_statfs`, `kernel_sigaction`), and whether `statx` is tried before `fstat`
//!    (`STATX_FIRST`). All but `clone` come with `common::lp64::*` or `common::ilp32::*`; a
//!    definition in the file hides the one that it imports. `clone` is `clone_tls_first` or
//!    `clone_tls_last` of `common`, or a function of the architecture's own.
//! 6. The entry point of a program (`__start!`).
//! 7. The type of the only relocation that a static position-independent program contains
//!    (`R_RELATIVE`).
//! 8. Only if the program has to bring the code that a signal handler returns to: that code, and
//!    the function that sets it (`set_restorer`).
//! 9. The guarded copy (`fixups_and_copy`), which the macro `guarded_copy!` makes from three
//!    pieces of assembly, the function that calls it (`guarded_copy`), and the one that selects its
//!    instructions (`prepare_copy`). Both functions are those of [`common`] unless an architecture
//!    has a better one.
//! 10. The offsets in bytes of the interrupted program counter and of the thread's signal mask
//!     in the kernel's `ucontext` (`PROGRAM_COUNTER`, `SIGNAL_MASK`).
//! 11. The names of functions in the vDSO, and their version (`VDSO`). With 32-bit registers, the
//!     clock's function is the one with 64-bit times. A name that a kernel lacks is not found, and
//!     the system call is made instead.
//! 12. The call that starts a thread on its own stack (`clone_thread`), before the entry point in
//!     the file.
//!
//! The compiler checks the names and types of all of these below.
//!
//! What a family of architectures shares is in a file of its own in `common`, which their files
//! include as the module `family`. What the kernel's headers tell about an architecture, such as
//! whether it has a system call, is found by `kernel_constant!` and is written nowhere.
//!
//! # Rules
//!
//! * Every raw call returns one register. On every architecture the values −4095 to −1, seen as
//!   a signed number, are an errno, and all other values are results. Where the kernel reports
//!   an error in another way, the architecture's file converts it. A result can have its top
//!   bit set, as an address of a 32-bit process can.
//! * No file defines a global symbol, and all labels are numbers, except for the local symbols by
//!   which debuggers know a signal's return. So a program can contain several copies and versions of this crate, however it is linked.
//!
//! `arch/README.md` lists all places that a new architecture touches.

#[macro_use]
mod common;

macro_rules! architectures {
    ($($name:literal => $module:ident),* $(,)?) => {$(
        #[cfg(target_arch = $name)]
        mod $module;
        #[cfg(target_arch = $name)]
        pub use $module::*;
    )*};
}

#[cfg(all(
    target_pointer_width = "32",
    any(target_arch = "aarch64", target_arch = "mips64", target_arch = "x86_64")
))]
compile_error!("baremap does not know the kernel's 32-bit convention for this architecture");

// A function's address is that of a descriptor there, and not of its instructions.
#[cfg(all(target_arch = "powerpc64", target_endian = "big", target_env = "gnu"))]
compile_error!("baremap does not support ELFv1: use a target with the ELFv2 ABI, such as musl's");

architectures! {
    "aarch64" => aarch64,
    "arm" => arm,
    "loongarch64" => loongarch64,
    "mips" => mips,
    "mips64" => mips64,
    "powerpc" => powerpc,
    "powerpc64" => powerpc64,
    "riscv32" => riscv32,
    "riscv64" => riscv64,
    "s390x" => s390x,
    "x86" => x86,
    "x86_64" => x86_64,
}

pub(crate) use common::kernel_constant;

/// The contract, as the compiler checks it: a file that lacks something, or has it with another
/// type, fails to compile here.
const _: () = {
    let _: unsafe fn(usize) -> usize = syscall0;
    let _: unsafe fn(usize, usize) -> usize = syscall1;
    let _: unsafe fn(usize, usize, usize) -> usize = syscall2;
    let _: unsafe fn(usize, usize, usize, usize) -> usize = syscall3;
    let _: unsafe fn(usize, usize, usize, usize, usize) -> usize = syscall4;
    let _: unsafe fn(usize, usize, usize, usize, usize, usize) -> usize = syscall5;
    let _: unsafe fn(usize, usize, usize, usize, usize, usize, usize) -> usize = syscall6;
    let _: unsafe fn(usize, usize) -> usize = flush_icache;
    #[cfg(target_pointer_width = "32")]
    let _: bool = PAIRS_ALIGNED;
    let _: unsafe fn(usize, usize, usize, usize, usize, u64) -> usize = mmap;
    let _: unsafe fn(usize, u64) -> usize = ftruncate;
    let _: unsafe fn(usize, usize, u64, u64) -> usize = fallocate;
    let _: unsafe fn(usize, u64, u64, usize) -> usize = sync_file_range;
    let _: unsafe fn(usize, usize, usize, u64) -> usize = pread64;
    let _: unsafe fn(usize, usize, usize, u64) -> usize = pwrite64;
    let _: unsafe fn(usize, u64, &mut u64, usize) -> usize = lseek;
    let _: unsafe fn(usize, *mut kernel_stat) -> usize = fstat;
    let _: unsafe fn(usize, usize, *mut kernel_stat, usize) -> usize = newfstatat;
    let _: unsafe fn(usize, *mut kernel_statfs) -> usize = fstatfs;
    let _: unsafe fn(usize, usize, usize, usize, usize) -> usize = clone;
    let _: unsafe fn(usize, usize, usize, usize) -> usize = rt_sigaction;
    let _: bool = STATX_FIRST;
    let _: u32 = R_RELATIVE;
    let _: fn(&mut kernel_sigaction) = set_restorer;
    let _: unsafe extern "C" fn() = fixups_and_copy;
    let _: fn() = prepare_copy;
    let _: unsafe fn(*mut u8, *const u8, usize) -> usize = guarded_copy;
    let _: [usize; 2] = [PROGRAM_COUNTER, SIGNAL_MASK];
    let _: common::VdsoNames = VDSO;
    let _: unsafe extern "C" fn(usize, *mut usize, *mut u32, *mut u32) -> usize = clone_thread;
};

#[doc(hidden)]
pub use common::{
    SA_RESTORER, align_stack, context_link, fixup_address, nr, opaque, program_counter, signal_mask,
};
