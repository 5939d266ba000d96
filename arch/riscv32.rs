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

use super::common;

/// Pairs are not aligned: a 64-bit argument begins at any register.
pub const PAIRS_ALIGNED: bool = false;

#[path = "common/riscv.rs"]
mod family;

pub use common::{clone_tls_first as clone, ilp32::*};
pub use family::*;

/// The offset of `uc_mcontext.gregs.pc` in bytes.
pub const PROGRAM_COUNTER: usize = 160;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 20;

/// The names in the vDSO. Source: vdso(7).
pub const VDSO: common::VdsoNames =
    common::VdsoNames { version: c"LINUX_4.15", clock_gettime: c"__vdso_clock_gettime64", getcpu: c"__vdso_getcpu" };
