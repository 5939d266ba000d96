//! The calling convention, entry point and guarded copy of riscv64.
//!
//! | | |
//! |---|---|
//! | instruction | `ecall` |
//! | number | `a7` |
//! | arguments | `a0` to `a5` |
//! | result | `a0`, an error is −4095 to −1 |
//! | changed by the kernel | nothing else, except all vector registers |
//! | `mmap` offset | bytes |
//! | stack at a function's entry | a multiple of 16 |
//! | page size | 4 KiB |
//! | signal return | code of the kernel, in the vDSO |
//! | relocations | RELA, RELR |
//!
//! Sources: RISC-V ELF psABI, chapters 2 and 8; kernel
//! `arch/riscv/kernel/entry.S`, `arch/riscv/kernel/signal.c`; syscall(2).

use super::common;

#[path = "common/riscv.rs"]
mod family;

pub use common::{clone_tls_first as clone, lp64::*};
pub use family::*;

/// The offset of `uc_mcontext.gregs.pc` in bytes.
pub const PROGRAM_COUNTER: usize = 176;
/// The offset of `uc_sigmask` in bytes.
pub const SIGNAL_MASK: usize = 40;

/// The names in the vDSO. Source: vdso(7).
pub const VDSO: common::VdsoNames =
    common::VdsoNames { version: c"LINUX_4.15", clock_gettime: c"__vdso_clock_gettime", getcpu: c"__vdso_getcpu" };
