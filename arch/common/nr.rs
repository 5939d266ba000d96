//! System-call numbers, by the kernel's names.
//!
//! The numbers come from `linux-raw-sys`. Builds of the unit tests compare them with the crate
//! `syscalls` at compile time, on architectures where that crate builds with a stable compiler.

#![allow(non_upper_case_globals, reason = "the names are the kernel's")]

/// Defines numbers: `name __NR_name`, or `name = other __NR_name` if the crate `syscalls` names the
/// call `other`.
macro_rules! numbers {
    ($($name:ident $(= $sysno:ident)? $raw:ident,)*) => {$(
        #[doc = concat!("Corresponds to `", stringify!($raw), "`.")]
        pub const $name: usize = ::linux_raw_sys::general::$raw as usize;
        #[cfg(all(test, not(any(
            target_arch = "s390x",
            target_arch = "powerpc",
            target_arch = "powerpc64",
            target_arch = "mips",
            target_arch = "mips64"
        ))))]
        ::static_assertions::const_assert_eq!($name, numbers!(@$name $($sysno)?));
    )*};
    (@$name:ident) => { ::syscalls::Sysno::$name as usize };
    (@$name:ident $sysno:ident) => { ::syscalls::Sysno::$sysno as usize };
}

numbers! {
    brk __NR_brk,
    cachestat __NR_cachestat,
    clone __NR_clone,
    close __NR_close,
    copy_file_range __NR_copy_file_range,
    execve __NR_execve,
    exit __NR_exit,
    exit_group __NR_exit_group,
    faccessat __NR_faccessat,
    fallocate __NR_fallocate,
    fchmod __NR_fchmod,
    fchmodat __NR_fchmodat,
    fchmodat2 __NR_fchmodat2,
    fchownat __NR_fchownat,
    fdatasync __NR_fdatasync,
    fgetxattr __NR_fgetxattr,
    flistxattr __NR_flistxattr,
    flock __NR_flock,
    fremovexattr __NR_fremovexattr,
    fsetxattr __NR_fsetxattr,
    fsync __NR_fsync,
    getdents64 __NR_getdents64,
    getpid __NR_getpid,
    getppid __NR_getppid,
    getrandom __NR_getrandom,
    gettid __NR_gettid,
    ioctl __NR_ioctl,
    kill __NR_kill,
    linkat __NR_linkat,
    madvise __NR_madvise,
    memfd_create __NR_memfd_create,
    mincore __NR_mincore,
    mkdirat __NR_mkdirat,
    mknodat __NR_mknodat,
    mlock __NR_mlock,
    mlock2 __NR_mlock2,
    mount __NR_mount,
    mprotect __NR_mprotect,
    mremap __NR_mremap,
    mseal __NR_mseal,
    msync __NR_msync,
    munlock __NR_munlock,
    munmap __NR_munmap,
    openat __NR_openat,
    openat2 __NR_openat2,
    pidfd_open __NR_pidfd_open,
    pkey_alloc __NR_pkey_alloc,
    pkey_free __NR_pkey_free,
    pkey_mprotect __NR_pkey_mprotect,
    prctl __NR_prctl,
    pread64 __NR_pread64,
    prlimit64 __NR_prlimit64,
    process_madvise __NR_process_madvise,
    process_vm_readv __NR_process_vm_readv,
    process_vm_writev __NR_process_vm_writev,
    pwrite64 __NR_pwrite64,
    read __NR_read,
    readlinkat __NR_readlinkat,
    reboot __NR_reboot,
    renameat2 __NR_renameat2,
    rt_sigaction __NR_rt_sigaction,
    rt_sigprocmask __NR_rt_sigprocmask,
    rt_tgsigqueueinfo __NR_rt_tgsigqueueinfo,
    sched_getaffinity __NR_sched_getaffinity,
    sched_yield __NR_sched_yield,
    sigaltstack __NR_sigaltstack,
    statx __NR_statx,
    symlinkat __NR_symlinkat,
    tgkill __NR_tgkill,
    umount2 __NR_umount2,
    unlinkat __NR_unlinkat,
    waitid __NR_waitid,
    write __NR_write,
}

#[cfg(target_pointer_width = "64")]
numbers! {
    clock_gettime __NR_clock_gettime,
    clock_nanosleep __NR_clock_nanosleep,
    fchown __NR_fchown,
    fcntl __NR_fcntl,
    fstat __NR_fstat,
    fstatfs __NR_fstatfs,
    ftruncate __NR_ftruncate,
    lseek __NR_lseek,
    mmap __NR_mmap,
    ppoll __NR_ppoll,
    utimensat __NR_utimensat,
}

// With 32-bit registers, the plain names are calls with sizes and times of 32 bits. These are their
// successors.
#[cfg(target_pointer_width = "32")]
numbers! {
    clock_gettime64 __NR_clock_gettime64,
    clock_nanosleep_time64 __NR_clock_nanosleep_time64,
    fcntl64 __NR_fcntl64,
    fstatfs64 __NR_fstatfs64,
    ftruncate64 __NR_ftruncate64,
    mmap2 __NR_mmap2,
    ppoll_time64 __NR_ppoll_time64,
    utimensat_time64 __NR_utimensat_time64,
}

// `src/syscall` uses one name for both widths.
#[cfg(target_pointer_width = "32")]
pub use self::{
    clock_gettime64 as clock_gettime, clock_nanosleep_time64 as clock_nanosleep, fcntl64 as fcntl,
    ppoll_time64 as ppoll, utimensat_time64 as utimensat,
};

// arm and x86 are so old that their plain `fchown` has 16-bit identifiers.
#[cfg(any(target_arch = "arm", target_arch = "x86"))]
numbers! { fchown = fchown32 __NR_fchown32, }
#[cfg(all(target_pointer_width = "32", not(any(target_arch = "arm", target_arch = "x86"))))]
numbers! { fchown __NR_fchown, }

// riscv32 is the youngest: it does not have `fstat`, and names `_llseek` differently.
#[cfg(target_arch = "riscv32")]
numbers! { _llseek = llseek __NR_llseek, }
#[cfg(all(target_pointer_width = "32", not(target_arch = "riscv32")))]
numbers! {
    _llseek __NR__llseek,
    fstat64 __NR_fstat64,
    fstatat64 __NR_fstatat64,
}

// The crate `syscalls` names this call differently on these architectures.
#[cfg(any(target_arch = "aarch64", target_arch = "loongarch64"))]
numbers! { newfstatat = fstatat __NR_newfstatat, }
#[cfg(all(
    target_pointer_width = "64",
    not(any(target_arch = "aarch64", target_arch = "loongarch64"))
))]
numbers! { newfstatat __NR_newfstatat, }

/// Corresponds to `__NR_memfd_secret`.
///
/// Architectures without the call reserve its number, because new calls have had one number on all
/// architectures (plus a constant on mips) since Linux 5.1. There the number fails with `ENOSYS`.
pub const memfd_secret: usize = mseal - 15;
#[cfg(any(
    target_arch = "aarch64",
    target_arch = "riscv32",
    target_arch = "riscv64",
    target_arch = "s390x",
    target_arch = "x86",
    target_arch = "x86_64"
))]
::static_assertions::const_assert_eq!(
    memfd_secret,
    ::linux_raw_sys::general::__NR_memfd_secret as usize
);

// Architectures that are younger than `renameat2` (Linux 3.15) do not have `renameat`.
#[cfg(not(any(target_arch = "loongarch64", target_arch = "riscv32", target_arch = "riscv64")))]
numbers! { renameat __NR_renameat, }

// Where pairs of registers are aligned, `sync_file_range` would take seven registers. arm and
// powerpc have `sync_file_range2` instead, whose flags come second. mips has the call with seven.
#[cfg(target_arch = "arm")]
numbers! { sync_file_range2 = arm_sync_file_range __NR_sync_file_range2, }
#[cfg(any(target_arch = "powerpc", target_arch = "powerpc64"))]
numbers! { sync_file_range2 __NR_sync_file_range2, }
#[cfg(not(any(target_arch = "arm", target_arch = "powerpc", target_arch = "powerpc64")))]
numbers! { sync_file_range __NR_sync_file_range, }

// On these architectures a program cannot flush the instruction cache of all processors by itself.
#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
numbers! { cacheflush __NR_cacheflush, }
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
numbers! { riscv_flush_icache __NR_riscv_flush_icache, }

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
numbers! { rt_sigreturn __NR_rt_sigreturn, }
#[cfg(target_arch = "x86")]
numbers! { sigreturn __NR_sigreturn, }
