//! riscv32, the youngest: no call with 32-bit times, and no `fstat`.
//!
//! | | |
//! |---|---|
//! | instruction | `ecall` |
//! | number | `a7` |
//! | arguments | `a0` to `a5` |
//! | result | `a0`, an error is −4095 to −1 |
//! | changed by the kernel | nothing else, but all vector registers |
//! | `mmap` offset | 4096-byte units, `mmap2` |
//! | 64-bit arguments | two registers, low half first, not aligned |
//! | stack at a function's entry | a multiple of 16 |
//! | page size | 4 KiB |
//! | signal return | the kernel's, in the vDSO |
//! | relocations | RELA |
//!
//! Sources: RISC-V ELF psABI, chapters 2 and 8; kernel
//! `arch/riscv/kernel/entry.S`, `arch/riscv/kernel/signal.c`; syscall(2).

use linux_raw_sys::errno::ENOSYS;

use super::common;

/// A 64-bit argument begins at any register.
pub const PAIRS_ALIGNED: bool = false;

pub use common::{clone_tls_first as clone, ilp32::*, riscv::*};

/// There is none: see `STATX_FIRST`.
#[inline]
pub unsafe fn fstat(_: usize, _: *mut kernel_stat) -> usize {
    common::failure(ENOSYS)
}

/// There is none: see `STATX_FIRST`.
#[inline]
pub unsafe fn newfstatat(_: usize, _: usize, _: *mut kernel_stat, _: usize) -> usize {
    common::failure(ENOSYS)
}

pub use common::{NO_SA_RESTORER as SA_RESTORER, kernel_restorer as set_restorer};

/// `uc_mcontext.gregs.pc`.
pub const PROGRAM_COUNTER: usize = 160;
/// `uc_sigmask`.
pub const SIGNAL_MASK: usize = 20;
