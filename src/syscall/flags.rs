//! The bits that calls take, typed. Every value is this architecture's, from
//! `linux-raw-sys`.

use bitflags::bitflags;
use linux_raw_sys::general::{procmap_query_flags::*, *};

/// Makes flag types whose bits are constants of the kernel's. Bits without a name
/// here are kept: the kernel is the one to refuse them.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident { $($flag:ident = $value:ident,)* })*) => {$(
        bitflags! {
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            #[repr(transparent)]
            pub struct $name: u32 {
                $(#[doc = concat!("`", stringify!($value), "`")] const $flag = $value as u32;)*
                const _ = !0;
            }
        }

        impl $name {
            #[allow(dead_code, reason = "some travel inside structures")]
            pub(crate) const fn as_arg(self) -> usize {
                self.bits() as usize
            }
        }
    )*};
}

flags! {
    /// How a file is opened. Source: open(2).
    OFlags {
        RDONLY = O_RDONLY,
        WRONLY = O_WRONLY,
        RDWR = O_RDWR,
        CREATE = O_CREAT,
        EXCL = O_EXCL,
        TRUNC = O_TRUNC,
        APPEND = O_APPEND,
        NONBLOCK = O_NONBLOCK,
        DIRECTORY = O_DIRECTORY,
        NOFOLLOW = O_NOFOLLOW,
        CLOEXEC = O_CLOEXEC,
        NOCTTY = O_NOCTTY,
        PATH = O_PATH,
        TMPFILE = O_TMPFILE,
    }

    /// Permission bits and the file type. Source: inode(7).
    Mode {
        TYPE = S_IFMT,
        SETUID = S_ISUID,
        SETGID = S_ISGID,
        STICKY = S_ISVTX,
        RWXU = S_IRWXU,
        RUSR = S_IRUSR,
        WUSR = S_IWUSR,
        XUSR = S_IXUSR,
        RWXG = S_IRWXG,
        RGRP = S_IRGRP,
        WGRP = S_IWGRP,
        XGRP = S_IXGRP,
        RWXO = S_IRWXO,
        ROTH = S_IROTH,
        WOTH = S_IWOTH,
        XOTH = S_IXOTH,
    }

    /// How a path is looked up. Source: the pages of the calls that take it.
    AtFlags {
        SYMLINK_NOFOLLOW = AT_SYMLINK_NOFOLLOW,
        SYMLINK_FOLLOW = AT_SYMLINK_FOLLOW,
        EMPTY_PATH = AT_EMPTY_PATH,
        REMOVEDIR = AT_REMOVEDIR,
    }

    /// How a file system is mounted, or what changes about a mount. Source: mount(2).
    MountFlags {
        RDONLY = MS_RDONLY,
        NOSUID = MS_NOSUID,
        NODEV = MS_NODEV,
        NOEXEC = MS_NOEXEC,
        SYNCHRONOUS = MS_SYNCHRONOUS,
        REMOUNT = MS_REMOUNT,
        DIRSYNC = MS_DIRSYNC,
        NOATIME = MS_NOATIME,
        NODIRATIME = MS_NODIRATIME,
        BIND = MS_BIND,
        MOVE = MS_MOVE,
        REC = MS_REC,
        SILENT = MS_SILENT,
        UNBINDABLE = MS_UNBINDABLE,
        PRIVATE = MS_PRIVATE,
        SLAVE = MS_SLAVE,
        SHARED = MS_SHARED,
        RELATIME = MS_RELATIME,
        STRICTATIME = MS_STRICTATIME,
        LAZYTIME = MS_LAZYTIME,
    }

    /// How a file system is unmounted. Source: umount2(2).
    UmountFlags {
        FORCE = MNT_FORCE,
        DETACH = MNT_DETACH,
        EXPIRE = MNT_EXPIRE,
        NOFOLLOW = UMOUNT_NOFOLLOW,
    }

    /// What [`faccessat`](super::faccessat) asks; empty asks whether there is such
    /// a file. Source: access(2).
    Access {
        READ = R_OK,
        WRITE = W_OK,
        EXEC = X_OK,
    }

    /// What renaming may do to an existing file. Source: rename(2).
    RenameFlags {
        NOREPLACE = RENAME_NOREPLACE,
        EXCHANGE = RENAME_EXCHANGE,
        WHITEOUT = RENAME_WHITEOUT,
    }

    /// Whether an extended attribute may exist already; empty does not mind. Source:
    /// setxattr(2).
    XattrFlags {
        CREATE = XATTR_CREATE,
        REPLACE = XATTR_REPLACE,
    }

    /// What is done to a range of a file; empty reserves space. Source: fallocate(2).
    FallocateFlags {
        KEEP_SIZE = FALLOC_FL_KEEP_SIZE,
        PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE,
        COLLAPSE_RANGE = FALLOC_FL_COLLAPSE_RANGE,
        ZERO_RANGE = FALLOC_FL_ZERO_RANGE,
        INSERT_RANGE = FALLOC_FL_INSERT_RANGE,
        UNSHARE_RANGE = FALLOC_FL_UNSHARE_RANGE,
    }

    /// What is begun and waited for. Source: sync_file_range(2).
    SyncFileRangeFlags {
        WAIT_BEFORE = SYNC_FILE_RANGE_WAIT_BEFORE,
        WRITE = SYNC_FILE_RANGE_WRITE,
        WAIT_AFTER = SYNC_FILE_RANGE_WAIT_AFTER,
    }

    /// What may be done to the pages of a mapping; empty (`PROT_NONE`) nothing.
    /// Source: mmap(2).
    ProtFlags {
        READ = PROT_READ,
        WRITE = PROT_WRITE,
        EXEC = PROT_EXEC,
    }

    /// The type of a mapping, exactly one of the first four, and its options.
    /// Source: mmap(2).
    MapFlags {
        SHARED = MAP_SHARED,
        PRIVATE = MAP_PRIVATE,
        SHARED_VALIDATE = MAP_SHARED_VALIDATE,
        DROPPABLE = MAP_DROPPABLE,
        ANONYMOUS = MAP_ANONYMOUS,
        FIXED = MAP_FIXED,
        FIXED_NOREPLACE = MAP_FIXED_NOREPLACE,
        NORESERVE = MAP_NORESERVE,
        POPULATE = MAP_POPULATE,
        LOCKED = MAP_LOCKED,
        NONBLOCK = MAP_NONBLOCK,
        STACK = MAP_STACK,
        GROWSDOWN = MAP_GROWSDOWN,
        HUGETLB = MAP_HUGETLB,
    }

    /// What a protection key forbids at first; empty nothing. Source: pkey_alloc(2).
    PkeyRights {
        DISABLE_ACCESS = PKEY_DISABLE_ACCESS,
        DISABLE_WRITE = PKEY_DISABLE_WRITE,
    }

    /// Which mapping is asked for, and what the kernel tells of one. Source: the kernel's
    /// `Documentation/filesystems/proc.rst`.
    ProcmapFlags {
        READABLE = PROCMAP_QUERY_VMA_READABLE,
        WRITABLE = PROCMAP_QUERY_VMA_WRITABLE,
        EXECUTABLE = PROCMAP_QUERY_VMA_EXECUTABLE,
        SHARED = PROCMAP_QUERY_VMA_SHARED,
        COVERING_OR_NEXT = PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
        FILE_BACKED = PROCMAP_QUERY_FILE_BACKED_VMA,
    }

    /// How a mapping may be moved. Source: mremap(2).
    MremapFlags {
        MAYMOVE = MREMAP_MAYMOVE,
        FIXED = MREMAP_FIXED,
        DONTUNMAP = MREMAP_DONTUNMAP,
    }

    /// When a mapping is written back: one of `SYNC` and `ASYNC`. Source: msync(2).
    MsyncFlags {
        ASYNC = MS_ASYNC,
        SYNC = MS_SYNC,
        INVALIDATE = MS_INVALIDATE,
    }

    /// Which pages are locked; empty brings all of them in. Source: mlock2(2).
    MlockFlags {
        ONFAULT = MLOCK_ONFAULT,
    }

    /// Options of a file that lives in memory. Source: memfd_create(2).
    MemfdFlags {
        CLOEXEC = MFD_CLOEXEC,
        ALLOW_SEALING = MFD_ALLOW_SEALING,
        HUGETLB = MFD_HUGETLB,
        NOEXEC_SEAL = MFD_NOEXEC_SEAL,
        EXEC = MFD_EXEC,
    }

    /// What can no longer be done to a file in memory. Source: fcntl(2), F_ADD_SEALS.
    Seals {
        SEAL = F_SEAL_SEAL,
        SHRINK = F_SEAL_SHRINK,
        GROW = F_SEAL_GROW,
        WRITE = F_SEAL_WRITE,
        FUTURE_WRITE = F_SEAL_FUTURE_WRITE,
        EXEC = F_SEAL_EXEC,
    }

    /// Options of a signal's action. Source: sigaction(2).
    SaFlags {
        NOCLDSTOP = SA_NOCLDSTOP,
        NOCLDWAIT = SA_NOCLDWAIT,
        SIGINFO = SA_SIGINFO,
        ONSTACK = SA_ONSTACK,
        RESTART = SA_RESTART,
        NODEFER = SA_NODEFER,
        RESETHAND = SA_RESETHAND,
    }

    /// State of an alternate signal stack. Source: sigaltstack(2).
    SsFlags {
        ONSTACK = SS_ONSTACK,
        DISABLE = SS_DISABLE,
        AUTODISARM = SS_AUTODISARM,
    }

    /// Which changes of a child are waited for. Source: waitid(2).
    WaitFlags {
        EXITED = WEXITED,
        STOPPED = WSTOPPED,
        CONTINUED = WCONTINUED,
        NOHANG = WNOHANG,
        NOWAIT = WNOWAIT,
    }

    /// Where random bytes come from. Source: getrandom(2).
    GetrandomFlags {
        NONBLOCK = GRND_NONBLOCK,
        RANDOM = GRND_RANDOM,
        INSECURE = GRND_INSECURE,
    }

    /// What `clone` shares between parent and child. Source: clone(2).
    CloneFlags {
        VM = CLONE_VM,
        FS = CLONE_FS,
        FILES = CLONE_FILES,
        SIGHAND = CLONE_SIGHAND,
        VFORK = CLONE_VFORK,
        THREAD = CLONE_THREAD,
        SETTLS = CLONE_SETTLS,
        PARENT_SETTID = CLONE_PARENT_SETTID,
        CHILD_CLEARTID = CLONE_CHILD_CLEARTID,
        CHILD_SETTID = CLONE_CHILD_SETTID,
        PIDFD = CLONE_PIDFD,
    }
}

#[cfg(not(any(target_arch = "mips", target_arch = "mips64")))]
impl MapFlags {
    /// `MAP_SYNC`, with [`SHARED_VALIDATE`](MapFlags::SHARED_VALIDATE). On mips there is none.
    pub const SYNC: MapFlags = MapFlags::from_bits_retain(MAP_SYNC);
}

/// Makes a type of numbers of which a call takes exactly one.
macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($choice:ident = $value:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct $name(pub u32);

        impl $name {
            $(
                #[doc = concat!("`", stringify!($value), "`")]
                pub const $choice: $name = $name($value as u32);
            )*

            pub(crate) const fn as_arg(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

choices! {
    /// What kind of lock, or none. Source: flock(2).
    Flock {
        SHARED = LOCK_SH,
        EXCLUSIVE = LOCK_EX,
        UNLOCK = LOCK_UN,
    }

    /// What an offset is counted from. Source: lseek(2).
    Whence {
        SET = SEEK_SET,
        CUR = SEEK_CUR,
        END = SEEK_END,
        DATA = SEEK_DATA,
        HOLE = SEEK_HOLE,
    }

    /// How memory will be used. Source: madvise(2).
    Advice {
        NORMAL = MADV_NORMAL,
        RANDOM = MADV_RANDOM,
        SEQUENTIAL = MADV_SEQUENTIAL,
        WILLNEED = MADV_WILLNEED,
        DONTNEED = MADV_DONTNEED,
        FREE = MADV_FREE,
        REMOVE = MADV_REMOVE,
        DONTFORK = MADV_DONTFORK,
        DOFORK = MADV_DOFORK,
        MERGEABLE = MADV_MERGEABLE,
        UNMERGEABLE = MADV_UNMERGEABLE,
        HUGEPAGE = MADV_HUGEPAGE,
        NOHUGEPAGE = MADV_NOHUGEPAGE,
        DONTDUMP = MADV_DONTDUMP,
        DODUMP = MADV_DODUMP,
        WIPEONFORK = MADV_WIPEONFORK,
        KEEPONFORK = MADV_KEEPONFORK,
        COLD = MADV_COLD,
        PAGEOUT = MADV_PAGEOUT,
        POPULATE_READ = MADV_POPULATE_READ,
        POPULATE_WRITE = MADV_POPULATE_WRITE,
        COLLAPSE = MADV_COLLAPSE,
        GUARD_INSTALL = MADV_GUARD_INSTALL,
        GUARD_REMOVE = MADV_GUARD_REMOVE,
    }

    /// A signal's number. Source: signal(7).
    Signal {
        HUP = SIGHUP,
        INT = SIGINT,
        QUIT = SIGQUIT,
        ILL = SIGILL,
        TRAP = SIGTRAP,
        ABRT = SIGABRT,
        BUS = SIGBUS,
        FPE = SIGFPE,
        KILL = SIGKILL,
        USR1 = SIGUSR1,
        SEGV = SIGSEGV,
        USR2 = SIGUSR2,
        PIPE = SIGPIPE,
        ALRM = SIGALRM,
        TERM = SIGTERM,
        CHLD = SIGCHLD,
        CONT = SIGCONT,
        STOP = SIGSTOP,
        XFSZ = SIGXFSZ,
    }

    /// What is done to the mask of blocked signals. Source: sigprocmask(2).
    SigHow {
        BLOCK = SIG_BLOCK,
        UNBLOCK = SIG_UNBLOCK,
        SETMASK = SIG_SETMASK,
    }

    /// What becomes of the machine. Source: reboot(2).
    RebootCommand {
        POWER_OFF = LINUX_REBOOT_CMD_POWER_OFF,
        RESTART = LINUX_REBOOT_CMD_RESTART,
        HALT = LINUX_REBOOT_CMD_HALT,
        CAD_ON = LINUX_REBOOT_CMD_CAD_ON,
        CAD_OFF = LINUX_REBOOT_CMD_CAD_OFF,
    }

    /// A limit on what a process may use. Source: getrlimit(2).
    Resource {
        AS = RLIMIT_AS,
        CORE = RLIMIT_CORE,
        CPU = RLIMIT_CPU,
        DATA = RLIMIT_DATA,
        FSIZE = RLIMIT_FSIZE,
        MEMLOCK = RLIMIT_MEMLOCK,
        NOFILE = RLIMIT_NOFILE,
        NPROC = RLIMIT_NPROC,
        STACK = RLIMIT_STACK,
    }
}
