//! One file per architecture: the only assembly in the house, and every quirk
//! of a kernel's calling convention.
//!
//! # The contract
//!
//! `arch/<name>.rs` holds, in this order:
//!
//! 1. a table of the convention, with its sources;
//! 2. `syscall0` to `syscall6`, made by the `syscalls!` macro from one line of
//!    assembly and the names of the registers;
//!    and after them `flush_icache`, which has the processors fetch instructions that were
//!    written as data: `coherent_icache` of [`common`] where they do so by themselves;
//! 3. the calls whose convention differs: `mmap`, `ftruncate`, `fallocate`,
//!    `sync_file_range`, `pread64`, `pwrite64`, `lseek`, `fstat`, `newfstatat` with their structure
//!    `kernel_stat` and whether they come second (`STATX_FIRST`), `fstatfs` with its
//!    `kernel_statfs`, `clone`. A file takes
//!    them from [`common`], save for those that are its own; with 32 bits it says before
//!    whether pairs of registers are aligned (`PAIRS_ALIGNED`);
//! 4. `__start!`, the program's entry point;
//! 5. `R_RELATIVE`, the one relocation that a static position-independent
//!    program contains;
//! 6. `set_restorer`, which tells the kernel how a signal handler returns, and the flag
//!    `SA_RESTORER` that would say so;
//! 7. `fixups_and_copy`, made by the macro `guarded_copy!` from the loops of a copy; and
//!    `PROGRAM_COUNTER` and `SIGNAL_MASK`, the offsets in bytes of the interrupted program
//!    counter and of the thread's signal mask in the kernel's `ucontext`.
//!
//! No file defines a global symbol, and labels are numbers: any number of copies and versions
//! of this crate can be one program, however it is linked.
//!
//! What a family of architectures has in common stands in a file of its own in
//! `common`, from which theirs take it.
//!
//! Every raw call returns one register. On every architecture the values −4095
//! to −1, seen as a signed number, are an errno and all others are results; where
//! the kernel flags an error otherwise, the architecture's file converts. A
//! result can have its top bit set: an address on a 32-bit machine does.
//!
//! How to add an architecture is told in `arch/README.md`.

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

#[doc(hidden)]
pub use common::{fixup_address, guarded_copy, kernel_sigaction, nr, program_counter, signal_mask};
