//! System-call numbers, by the kernel's names, up to Linux 7.2.
//!
//! A call that every architecture has is a number; any other is an `Option`. Names of calls that Linux
//! does not implement (unimplemented(2)) are left out.
//!
//! A plain name is the number of the widest call, if every architecture has that: with 32-bit
//! registers, `futex` is `futex_time64`, and where identifiers had 16 bits, `getuid` is `getuid32`.
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
    accept4 __NR_accept4,
    acct __NR_acct,
    add_key __NR_add_key,
    bind __NR_bind,
    bpf __NR_bpf,
    brk __NR_brk,
    cachestat __NR_cachestat,
    capget __NR_capget,
    capset __NR_capset,
    chdir __NR_chdir,
    chroot __NR_chroot,
    clone __NR_clone,
    clone3 __NR_clone3,
    close __NR_close,
    close_range __NR_close_range,
    connect __NR_connect,
    copy_file_range __NR_copy_file_range,
    delete_module __NR_delete_module,
    dup __NR_dup,
    dup3 __NR_dup3,
    epoll_create1 __NR_epoll_create1,
    epoll_ctl __NR_epoll_ctl,
    epoll_pwait __NR_epoll_pwait,
    epoll_pwait2 __NR_epoll_pwait2,
    eventfd2 __NR_eventfd2,
    execve __NR_execve,
    execveat __NR_execveat,
    exit __NR_exit,
    exit_group __NR_exit_group,
    faccessat __NR_faccessat,
    faccessat2 __NR_faccessat2,
    fallocate __NR_fallocate,
    fanotify_init __NR_fanotify_init,
    fanotify_mark __NR_fanotify_mark,
    fchdir __NR_fchdir,
    fchmod __NR_fchmod,
    fchmodat __NR_fchmodat,
    fchmodat2 __NR_fchmodat2,
    fchownat __NR_fchownat,
    fdatasync __NR_fdatasync,
    fgetxattr __NR_fgetxattr,
    file_getattr __NR_file_getattr,
    file_setattr __NR_file_setattr,
    finit_module __NR_finit_module,
    flistxattr __NR_flistxattr,
    flock __NR_flock,
    fremovexattr __NR_fremovexattr,
    fsconfig __NR_fsconfig,
    fsetxattr __NR_fsetxattr,
    fsmount __NR_fsmount,
    fsopen __NR_fsopen,
    fspick __NR_fspick,
    fsync __NR_fsync,
    futex_requeue __NR_futex_requeue,
    futex_wait __NR_futex_wait,
    futex_waitv __NR_futex_waitv,
    futex_wake __NR_futex_wake,
    get_mempolicy __NR_get_mempolicy,
    get_robust_list __NR_get_robust_list,
    getcpu __NR_getcpu,
    getcwd __NR_getcwd,
    getdents64 __NR_getdents64,
    getitimer __NR_getitimer,
    getpeername __NR_getpeername,
    getpgid __NR_getpgid,
    getpid __NR_getpid,
    getppid __NR_getppid,
    getpriority __NR_getpriority,
    getrandom __NR_getrandom,
    getrusage __NR_getrusage,
    getsid __NR_getsid,
    getsockname __NR_getsockname,
    getsockopt __NR_getsockopt,
    gettid __NR_gettid,
    getxattr __NR_getxattr,
    getxattrat __NR_getxattrat,
    init_module __NR_init_module,
    inotify_add_watch __NR_inotify_add_watch,
    inotify_init1 __NR_inotify_init1,
    inotify_rm_watch __NR_inotify_rm_watch,
    io_cancel __NR_io_cancel,
    io_destroy __NR_io_destroy,
    io_setup __NR_io_setup,
    io_submit __NR_io_submit,
    io_uring_enter __NR_io_uring_enter,
    io_uring_register __NR_io_uring_register,
    io_uring_setup __NR_io_uring_setup,
    ioctl __NR_ioctl,
    ioprio_get __NR_ioprio_get,
    ioprio_set __NR_ioprio_set,
    kcmp __NR_kcmp,
    kexec_load __NR_kexec_load,
    keyctl __NR_keyctl,
    kill __NR_kill,
    landlock_add_rule __NR_landlock_add_rule,
    landlock_create_ruleset __NR_landlock_create_ruleset,
    landlock_restrict_self __NR_landlock_restrict_self,
    lgetxattr __NR_lgetxattr,
    linkat __NR_linkat,
    listen __NR_listen,
    listmount __NR_listmount,
    listxattr __NR_listxattr,
    listxattrat __NR_listxattrat,
    llistxattr __NR_llistxattr,
    lookup_dcookie __NR_lookup_dcookie,
    lremovexattr __NR_lremovexattr,
    lsetxattr __NR_lsetxattr,
    lsm_get_self_attr __NR_lsm_get_self_attr,
    lsm_list_modules __NR_lsm_list_modules,
    lsm_set_self_attr __NR_lsm_set_self_attr,
    madvise __NR_madvise,
    map_shadow_stack __NR_map_shadow_stack,
    mbind __NR_mbind,
    membarrier __NR_membarrier,
    memfd_create __NR_memfd_create,
    migrate_pages __NR_migrate_pages,
    mincore __NR_mincore,
    mkdirat __NR_mkdirat,
    mknodat __NR_mknodat,
    mlock __NR_mlock,
    mlock2 __NR_mlock2,
    mlockall __NR_mlockall,
    mount __NR_mount,
    mount_setattr __NR_mount_setattr,
    move_mount __NR_move_mount,
    move_pages __NR_move_pages,
    mprotect __NR_mprotect,
    mq_getsetattr __NR_mq_getsetattr,
    mq_notify __NR_mq_notify,
    mq_open __NR_mq_open,
    mq_unlink __NR_mq_unlink,
    mremap __NR_mremap,
    mseal __NR_mseal,
    msgctl __NR_msgctl,
    msgget __NR_msgget,
    msgrcv __NR_msgrcv,
    msgsnd __NR_msgsnd,
    msync __NR_msync,
    munlock __NR_munlock,
    munlockall __NR_munlockall,
    munmap __NR_munmap,
    name_to_handle_at __NR_name_to_handle_at,
    nfsservctl __NR_nfsservctl,
    open_by_handle_at __NR_open_by_handle_at,
    open_tree __NR_open_tree,
    open_tree_attr __NR_open_tree_attr,
    openat __NR_openat,
    openat2 __NR_openat2,
    perf_event_open __NR_perf_event_open,
    personality __NR_personality,
    pidfd_getfd __NR_pidfd_getfd,
    pidfd_open __NR_pidfd_open,
    pidfd_send_signal __NR_pidfd_send_signal,
    pipe2 __NR_pipe2,
    pivot_root __NR_pivot_root,
    pkey_alloc __NR_pkey_alloc,
    pkey_free __NR_pkey_free,
    pkey_mprotect __NR_pkey_mprotect,
    prctl __NR_prctl,
    pread64 __NR_pread64,
    preadv __NR_preadv,
    preadv2 __NR_preadv2,
    prlimit64 __NR_prlimit64,
    process_madvise __NR_process_madvise,
    process_mrelease __NR_process_mrelease,
    process_vm_readv __NR_process_vm_readv,
    process_vm_writev __NR_process_vm_writev,
    ptrace __NR_ptrace,
    pwrite64 __NR_pwrite64,
    pwritev __NR_pwritev,
    pwritev2 __NR_pwritev2,
    quotactl __NR_quotactl,
    quotactl_fd __NR_quotactl_fd,
    read __NR_read,
    readahead __NR_readahead,
    readlinkat __NR_readlinkat,
    readv __NR_readv,
    reboot __NR_reboot,
    recvfrom __NR_recvfrom,
    recvmsg __NR_recvmsg,
    remap_file_pages __NR_remap_file_pages,
    removexattr __NR_removexattr,
    removexattrat __NR_removexattrat,
    renameat2 __NR_renameat2,
    request_key __NR_request_key,
    restart_syscall __NR_restart_syscall,
    rseq __NR_rseq,
    rt_sigaction __NR_rt_sigaction,
    rt_sigpending __NR_rt_sigpending,
    rt_sigprocmask __NR_rt_sigprocmask,
    rt_sigqueueinfo __NR_rt_sigqueueinfo,
    rt_sigreturn __NR_rt_sigreturn,
    rt_sigsuspend __NR_rt_sigsuspend,
    rt_tgsigqueueinfo __NR_rt_tgsigqueueinfo,
    sched_get_priority_max __NR_sched_get_priority_max,
    sched_get_priority_min __NR_sched_get_priority_min,
    sched_getaffinity __NR_sched_getaffinity,
    sched_getattr __NR_sched_getattr,
    sched_getparam __NR_sched_getparam,
    sched_getscheduler __NR_sched_getscheduler,
    sched_setaffinity __NR_sched_setaffinity,
    sched_setattr __NR_sched_setattr,
    sched_setparam __NR_sched_setparam,
    sched_setscheduler __NR_sched_setscheduler,
    sched_yield __NR_sched_yield,
    seccomp __NR_seccomp,
    semctl __NR_semctl,
    semget __NR_semget,
    sendmmsg __NR_sendmmsg,
    sendmsg __NR_sendmsg,
    sendto __NR_sendto,
    set_mempolicy __NR_set_mempolicy,
    set_mempolicy_home_node __NR_set_mempolicy_home_node,
    set_robust_list __NR_set_robust_list,
    set_tid_address __NR_set_tid_address,
    setdomainname __NR_setdomainname,
    sethostname __NR_sethostname,
    setitimer __NR_setitimer,
    setns __NR_setns,
    setpgid __NR_setpgid,
    setpriority __NR_setpriority,
    setsid __NR_setsid,
    setsockopt __NR_setsockopt,
    setxattr __NR_setxattr,
    setxattrat __NR_setxattrat,
    shmat __NR_shmat,
    shmctl __NR_shmctl,
    shmdt __NR_shmdt,
    shmget __NR_shmget,
    shutdown __NR_shutdown,
    sigaltstack __NR_sigaltstack,
    signalfd4 __NR_signalfd4,
    socket __NR_socket,
    socketpair __NR_socketpair,
    splice __NR_splice,
    statmount __NR_statmount,
    statx __NR_statx,
    swapoff __NR_swapoff,
    swapon __NR_swapon,
    symlinkat __NR_symlinkat,
    sync __NR_sync,
    syncfs __NR_syncfs,
    sysinfo __NR_sysinfo,
    syslog __NR_syslog,
    tee __NR_tee,
    tgkill __NR_tgkill,
    timer_create __NR_timer_create,
    timer_delete __NR_timer_delete,
    timer_getoverrun __NR_timer_getoverrun,
    timerfd_create __NR_timerfd_create,
    times __NR_times,
    tkill __NR_tkill,
    umask __NR_umask,
    umount2 __NR_umount2,
    uname __NR_uname,
    unlinkat __NR_unlinkat,
    unshare __NR_unshare,
    userfaultfd __NR_userfaultfd,
    vhangup __NR_vhangup,
    vmsplice __NR_vmsplice,
    waitid __NR_waitid,
    write __NR_write,
    writev __NR_writev,
}

#[cfg(target_pointer_width = "64")]
numbers! {
    WIDTH:
    clock_adjtime __NR_clock_adjtime,
    clock_getres __NR_clock_getres,
    clock_gettime __NR_clock_gettime,
    clock_nanosleep __NR_clock_nanosleep,
    clock_settime __NR_clock_settime,
    fcntl __NR_fcntl,
    fstat __NR_fstat,
    fstatfs __NR_fstatfs,
    ftruncate __NR_ftruncate,
    futex __NR_futex,
    io_pgetevents __NR_io_pgetevents,
    lseek __NR_lseek,
    mmap __NR_mmap,
    mq_timedreceive __NR_mq_timedreceive,
    mq_timedsend __NR_mq_timedsend,
    ppoll __NR_ppoll,
    pselect6 __NR_pselect6,
    recvmmsg __NR_recvmmsg,
    rt_sigtimedwait __NR_rt_sigtimedwait,
    sched_rr_get_interval __NR_sched_rr_get_interval,
    semtimedop __NR_semtimedop,
    sendfile __NR_sendfile,
    statfs __NR_statfs,
    timer_gettime __NR_timer_gettime,
    timer_settime __NR_timer_settime,
    timerfd_gettime __NR_timerfd_gettime,
    timerfd_settime __NR_timerfd_settime,
    truncate __NR_truncate,
    utimensat __NR_utimensat,
}

// With 32-bit registers, the plain names are calls with sizes and times of 32 bits. These are their
// successors.
#[cfg(target_pointer_width = "32")]
numbers! {
    WIDTH:
    clock_adjtime64 __NR_clock_adjtime64,
    clock_getres_time64 __NR_clock_getres_time64,
    clock_gettime64 __NR_clock_gettime64,
    clock_nanosleep_time64 __NR_clock_nanosleep_time64,
    clock_settime64 __NR_clock_settime64,
    fcntl64 __NR_fcntl64,
    fstatfs64 __NR_fstatfs64,
    ftruncate64 __NR_ftruncate64,
    futex_time64 __NR_futex_time64,
    io_pgetevents_time64 __NR_io_pgetevents_time64,
    mmap2 __NR_mmap2,
    mq_timedreceive_time64 __NR_mq_timedreceive_time64,
    mq_timedsend_time64 __NR_mq_timedsend_time64,
    ppoll_time64 __NR_ppoll_time64,
    pselect6_time64 __NR_pselect6_time64,
    recvmmsg_time64 __NR_recvmmsg_time64,
    rt_sigtimedwait_time64 __NR_rt_sigtimedwait_time64,
    sched_rr_get_interval_time64 __NR_sched_rr_get_interval_time64,
    semtimedop_time64 __NR_semtimedop_time64,
    sendfile64 __NR_sendfile64,
    statfs64 __NR_statfs64,
    timer_gettime64 __NR_timer_gettime64,
    timer_settime64 __NR_timer_settime64,
    timerfd_gettime64 __NR_timerfd_gettime64,
    timerfd_settime64 __NR_timerfd_settime64,
    truncate64 __NR_truncate64,
    utimensat_time64 __NR_utimensat_time64,
}

// One name serves both widths.
#[cfg(target_pointer_width = "32")]
pub use self::{
    clock_adjtime64 as clock_adjtime, clock_getres_time64 as clock_getres,
    clock_gettime64 as clock_gettime, clock_nanosleep_time64 as clock_nanosleep,
    clock_settime64 as clock_settime, fcntl64 as fcntl, futex_time64 as futex,
    io_pgetevents_time64 as io_pgetevents, mq_timedreceive_time64 as mq_timedreceive,
    mq_timedsend_time64 as mq_timedsend, ppoll_time64 as ppoll, pselect6_time64 as pselect6,
    recvmmsg_time64 as recvmmsg, rt_sigtimedwait_time64 as rt_sigtimedwait,
    sched_rr_get_interval_time64 as sched_rr_get_interval, semtimedop_time64 as semtimedop,
    sendfile64 as sendfile, timer_gettime64 as timer_gettime, timer_settime64 as timer_settime,
    timerfd_gettime64 as timerfd_gettime, timerfd_settime64 as timerfd_settime,
    utimensat_time64 as utimensat,
};

optional_numbers! {
    OPTIONAL:
    _newselect __NR__newselect,
    accept __NR_accept,
    access __NR_access,
    adjtimex __NR_adjtimex,
    alarm __NR_alarm,
    arch_prctl __NR_arch_prctl,
    arm_fadvise64_64 __NR_arm_fadvise64_64,
    cachectl __NR_cachectl,
    cacheflush __NR_cacheflush,
    chmod __NR_chmod,
    chown32 __NR_chown32,
    creat __NR_creat,
    dup2 __NR_dup2,
    epoll_create __NR_epoll_create,
    epoll_ctl_old __NR_epoll_ctl_old,
    epoll_wait __NR_epoll_wait,
    epoll_wait_old __NR_epoll_wait_old,
    eventfd __NR_eventfd,
    fadvise64 __NR_fadvise64,
    fadvise64_64 __NR_fadvise64_64,
    fchown32 __NR_fchown32,
    fork __NR_fork,
    fstat64 __NR_fstat64,
    fstatat64 __NR_fstatat64,
    futimesat __NR_futimesat,
    get_thread_area __NR_get_thread_area,
    getdents __NR_getdents,
    getegid32 __NR_getegid32,
    geteuid32 __NR_geteuid32,
    getgid32 __NR_getgid32,
    getgroups32 __NR_getgroups32,
    getpgrp __NR_getpgrp,
    getresgid32 __NR_getresgid32,
    getresuid32 __NR_getresuid32,
    getrlimit __NR_getrlimit,
    gettimeofday __NR_gettimeofday,
    getuid32 __NR_getuid32,
    inotify_init __NR_inotify_init,
    io_getevents __NR_io_getevents,
    ioperm __NR_ioperm,
    iopl __NR_iopl,
    ipc __NR_ipc,
    kexec_file_load __NR_kexec_file_load,
    lchown32 __NR_lchown32,
    link __NR_link,
    lstat __NR_lstat,
    lstat64 __NR_lstat64,
    mkdir __NR_mkdir,
    mknod __NR_mknod,
    modify_ldt __NR_modify_ldt,
    nanosleep __NR_nanosleep,
    nice __NR_nice,
    oldfstat __NR_oldfstat,
    oldlstat __NR_oldlstat,
    oldolduname __NR_oldolduname,
    oldstat __NR_oldstat,
    olduname __NR_olduname,
    open __NR_open,
    pause __NR_pause,
    pciconfig_read __NR_pciconfig_read,
    pciconfig_write __NR_pciconfig_write,
    pipe __NR_pipe,
    poll __NR_poll,
    readdir __NR_readdir,
    readlink __NR_readlink,
    recv __NR_recv,
    rename __NR_rename,
    renameat __NR_renameat,
    riscv_flush_icache __NR_riscv_flush_icache,
    riscv_hwprobe __NR_riscv_hwprobe,
    rmdir __NR_rmdir,
    rtas __NR_rtas,
    s390_guarded_storage __NR_s390_guarded_storage,
    s390_pci_mmio_read __NR_s390_pci_mmio_read,
    s390_pci_mmio_write __NR_s390_pci_mmio_write,
    s390_runtime_instr __NR_s390_runtime_instr,
    s390_sthyi __NR_s390_sthyi,
    select __NR_select,
    semop __NR_semop,
    send __NR_send,
    set_thread_area __NR_set_thread_area,
    setfsgid32 __NR_setfsgid32,
    setfsuid32 __NR_setfsuid32,
    setgid32 __NR_setgid32,
    setgroups32 __NR_setgroups32,
    setregid32 __NR_setregid32,
    setresgid32 __NR_setresgid32,
    setresuid32 __NR_setresuid32,
    setreuid32 __NR_setreuid32,
    setrlimit __NR_setrlimit,
    settimeofday __NR_settimeofday,
    setuid32 __NR_setuid32,
    sgetmask __NR_sgetmask,
    sigaction __NR_sigaction,
    signal __NR_signal,
    signalfd __NR_signalfd,
    sigpending __NR_sigpending,
    sigprocmask __NR_sigprocmask,
    sigreturn __NR_sigreturn,
    sigsuspend __NR_sigsuspend,
    socketcall __NR_socketcall,
    spu_create __NR_spu_create,
    spu_run __NR_spu_run,
    ssetmask __NR_ssetmask,
    stat __NR_stat,
    stat64 __NR_stat64,
    stime __NR_stime,
    subpage_prot __NR_subpage_prot,
    swapcontext __NR_swapcontext,
    switch_endian __NR_switch_endian,
    symlink __NR_symlink,
    sync_file_range __NR_sync_file_range,
    sync_file_range2 __NR_sync_file_range2,
    sys_debug_setcontext __NR_sys_debug_setcontext,
    syscall __NR_syscall,
    sysfs __NR_sysfs,
    sysmips __NR_sysmips,
    time __NR_time,
    ugetrlimit __NR_ugetrlimit,
    umount __NR_umount,
    unlink __NR_unlink,
    uretprobe __NR_uretprobe,
    uselib __NR_uselib,
    ustat __NR_ustat,
    utime __NR_utime,
    utimes __NR_utimes,
    vfork __NR_vfork,
    vm86 __NR_vm86,
    vm86old __NR_vm86old,
    wait4 __NR_wait4,
    waitpid __NR_waitpid,
}

/// Defines the numbers of calls with user and group identifiers of 32 bits. Their names end with 32 on
/// architectures that had the calls with 16 bits before.
macro_rules! numbers_with_identifiers {
    ($($name:ident $raw:ident $wide:ident,)*) => {
        $(
            #[doc = concat!("Corresponds to `__NR_", stringify!($wide), "`, or to `", stringify!($raw),
                "` on architectures whose identifiers always had 32 bits.")]
            pub const $name: usize = match $wide {
                Some(number) => number,
                None => ::linux_raw_sys::general::$raw as usize,
            };
        )*
        #[cfg(test)]
        const IDENTIFIERS: &[(&str, Option<usize>)] = &[$((stringify!($raw), Some($name)),)*];
    };
}

numbers_with_identifiers! {
    fchown __NR_fchown fchown32,
    getegid __NR_getegid getegid32,
    geteuid __NR_geteuid geteuid32,
    getgid __NR_getgid getgid32,
    getgroups __NR_getgroups getgroups32,
    getresgid __NR_getresgid getresgid32,
    getresuid __NR_getresuid getresuid32,
    getuid __NR_getuid getuid32,
    setfsgid __NR_setfsgid setfsgid32,
    setfsuid __NR_setfsuid setfsuid32,
    setgid __NR_setgid setgid32,
    setgroups __NR_setgroups setgroups32,
    setregid __NR_setregid setregid32,
    setresgid __NR_setresgid setresgid32,
    setresuid __NR_setresuid setresuid32,
    setreuid __NR_setreuid setreuid32,
    setuid __NR_setuid setuid32,
}

/// Corresponds to `__NR_chown32`, or to `__NR_chown` if its identifiers have 32 bits. `None` if the
/// architecture does not have the call.
pub const chown: Option<usize> = wide_or(chown32, kernel_constant!(__NR_chown));

/// Corresponds to `__NR_lchown32`, or to `__NR_lchown` if its identifiers have 32 bits. `None` if the
/// architecture does not have the call.
pub const lchown: Option<usize> = wide_or(lchown32, kernel_constant!(__NR_lchown));

const fn wide_or(wide: Option<usize>, plain: Option<u32>) -> Option<usize> {
    match (wide, plain) {
        (None, Some(number)) => Some(number as usize),
        _ => wide,
    }
}

/// Corresponds to `__NR_listns`, which Linux 7.2 has.
///
/// `linux-raw-sys` 0.12 ends before it. New calls have had one number on all architectures (plus a
/// constant on mips) since Linux 5.1, so this one follows `file_setattr`.
pub const listns: usize = file_setattr + 1;

/// Corresponds to `__NR_rseq_slice_yield`, which Linux 7.2 has.
pub const rseq_slice_yield: usize = file_setattr + 2;

const _: () = {
    if let Some(number) = kernel_constant!(__NR_listns) {
        assert!(number as usize == listns);
    }
    if let Some(number) = kernel_constant!(__NR_rseq_slice_yield) {
        assert!(number as usize == rseq_slice_yield);
    }
    // 470 and 462 where no constant is added.
    assert!(listns - mseal == 8);
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
        let derived = [
            ("__NR_memfd_secret", Some(memfd_secret)),
            ("__NR_chown", chown),
            ("__NR_lchown", lchown),
        ];
        let tables = [COMMON, WIDTH, OPTIONAL, IDENTIFIERS, &derived];
        for &(name, number) in tables.into_iter().flatten() {
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
