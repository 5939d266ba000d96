//! The calling convention, entry point and guarded copy of riscv32, which has no `fstat` and no calls
//! with 32-bit times.
//!
//! | | |
//! |---|---|
//! | instruction | `ecall` |
//! | number | `a7` |
//! | arguments | `a0` to `a5` |
//! | result | `a0`, an error is −4095 to −1 |
//! | changed by the kernel | nothing else, except all vector registers |
//! | `mmap` offset | 4096-byte units, `mmap2` |
//! | 64-bit arguments | two registers, low half first, not aligned |
//! | stack at a function's entry | a multiple of 16 |
//! | page size | 4 KiB |
//! | signal return | code of the kernel, in the vDSO |
//! | relocations | RELA |
//!
//! Sources: RISC-V ELF psABI, chapters 2 and 8; kernel
//! `arch/riscv/kernel/entry.S`, `arch/riscv/kernel/signal.c`; syscall(2).

use linux_raw_sys::errno::ENOSYS;

use super::common;

/// Pairs are not aligned: a 64-bit argument begins at any register.
pub const PAIRS_ALIGNED: bool = false;

pub use common::{clone_tls_first as clone, ilp32::*, riscv::*};

/// Returns `ENOSYS`, because riscv32 does not have the call; `statx` is called first.
#[inline]
pub unsafe fn fstat(_: usize, _: *mut kernel_stat) -> usize {
    common::failure(ENOSYS)
}

/// Returns `ENOSYS`, because riscv32 does not have the call; `statx` is called first.
#[inline]
pub unsafe fn newfstatat(_: usize, _: usize, _: *mut kernel_stat, _: usize) -> usize {
    common::failure(ENOSYS)
}

pub use common::{NO_SA_RESTORER as SA_RESTORER, kernel_restorer as set_restorer};

pub use common::{guarded_copy, prepare_copy};

/// The offset of `uc_mcontext.gregs.pc` in bytes.
pub const PROGRAM_COUNTER: usize = 160;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 20;
