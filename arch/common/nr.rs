//! System-call numbers, by the kernel's names.
//!
//! The numbers come from `linux-raw-sys`. A unit test compares them with the crate `syscalls`.

#![allow(non_upper_case_globals, reason = "the names are the kernel's")]

/// Defines numbers that every architecture has, or every architecture with registers of this width.
macro_rules! numbers {
    ($table:ident: $($name:ident $raw:ident,)*) => {
        $(
            #[doc = concat!("Corresponds to `", stringify!($raw), "`.")]
            pub const $name: usize = ::linux_raw_sys::general::$raw as usize;
        )*
        #[cfg(test)]
        const $table: &[(&str, Option<usize>)] = &[$((stringify!($raw), Some($name)),)*];
    };
}

/// Defines numbers that are `None` on architectures without the call.
macro_rules! optional_numbers {
    ($table:ident: $($name:ident $raw:ident,)*) => {
        $(
            #[doc = concat!("Corresponds to `", stringify!($raw), "`. `None` if the architecture does \
                not have the call.")]
            pub const $name: Option<usize> = match kernel_constant!($raw) {
                Some(number) => Some(number as usize),
                None => None,
            };
        )*
        #[cfg(test)]
        const $table: &[(&str, Option<usize>)] = &[$((stringify!($raw), $name),)*];
    };
}

numbers! {
    COMMON:
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
    getcpu __NR_getcpu,
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
    rt_sigreturn __NR_rt_sigreturn,
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
    WIDTH:
    clock_gettime __NR_clock_gettime,
    clock_nanosleep __NR_clock_nanosleep,
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
    WIDTH:
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

optional_numbers! {
    OPTIONAL:
    fchown32 __NR_fchown32,
    fstat64 __NR_fstat64,
    fstatat64 __NR_fstatat64,
    renameat __NR_renameat,
    sync_file_range __NR_sync_file_range,
    sync_file_range2 __NR_sync_file_range2,
}

/// Corresponds to `__NR_fchown32`, or to `__NR_fchown` on architectures that are young enough for it
/// to have 32-bit identifiers.
pub const fchown: usize = match fchown32 {
    Some(number) => number,
    None => ::linux_raw_sys::general::__NR_fchown as usize,
};

/// Corresponds to `__NR__llseek`, or to `__NR_llseek` on riscv32.
#[cfg(target_pointer_width = "32")]
pub const _llseek: usize = match (kernel_constant!(__NR__llseek), kernel_constant!(__NR_llseek)) {
    (Some(number), _) | (None, Some(number)) => number as usize,
    (None, None) => panic!("the architecture has neither name of the call"),
};

/// Corresponds to `__NR_newfstatat`, or to `__NR_fstatat64` on sparc64.
#[cfg(target_pointer_width = "64")]
pub const newfstatat: usize = match (kernel_constant!(__NR_newfstatat), fstatat64) {
    (Some(number), _) => number as usize,
    (None, Some(number)) => number,
    (None, None) => panic!("the architecture has neither name of the call"),
};

/// Corresponds to `__NR_memfd_secret`.
///
/// Architectures without the call reserve its number, because new calls have had one number on all
/// architectures (plus a constant on mips) since Linux 5.1. There the number fails with `ENOSYS`.
pub const memfd_secret: usize = mseal - 15;
const _: () = {
    if let Some(number) = kernel_constant!(__NR_memfd_secret) {
        assert!(number as usize == memfd_secret);
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use syscalls::Sysno;

    #[test]
    fn the_crate_syscalls_has_equal_numbers() {
        let derived = [("__NR_memfd_secret", Some(memfd_secret))];
        for &(name, number) in [COMMON, WIDTH, OPTIONAL, &derived].into_iter().flatten() {
            let name = name.strip_prefix("__NR_").unwrap();
            // The names of the kernel's functions, where the crate has these instead.
            let other = match name {
                "sync_file_range2" => "arm_sync_file_range",
                name => name,
            };
            let found = [name, other].iter().find_map(|name| name.parse::<Sysno>().ok());
            assert_eq!(number, found.map(|sysno| sysno as usize), "{name}");
        }
    }
}
