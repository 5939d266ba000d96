//! The flags and the choices that the calls take, as types. Every value is this architecture's,
//! from `linux-raw-sys`.

use bitflags::bitflags;
use linux_raw_sys::general::{procmap_query_flags::*, *};

use crate::arch::kernel_constant;

/// Defines types of flags whose bits are the kernel's constants.
///
/// Bits without a name are kept, because the kernel may know them. Most calls refuse bits that the
/// kernel does not know.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident { $($flag:ident = $value:ident,)* })*) => {$(
        bitflags! {
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            #[repr(transparent)]
            pub struct $name: u32 {
                $(
                    #[doc = concat!("Corresponds to `", stringify!($value), "`.")]
                    const $flag = $value as u32;
                )*
                const _ = !0;
            }
        }

        impl $name {
            /// Returns the flags as the kernel takes them in a register.
            #[allow(dead_code, reason = "some flags are passed in structures")]
            pub(crate) const fn as_arg(self) -> usize {
                self.bits() as usize
            }
        }
    )*};
}

flags! {
    /// Flags that select how [`openat`](super::openat) opens a file. Source: open(2).
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

    /// The permissions of a file, and its type. Source: inode(7).
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

    /// Flags that select how a path is resolved. Source: the manual pages of the calls that
    /// take them.
    AtFlags {
        SYMLINK_NOFOLLOW = AT_SYMLINK_NOFOLLOW,
        SYMLINK_FOLLOW = AT_SYMLINK_FOLLOW,
        EMPTY_PATH = AT_EMPTY_PATH,
        REMOVEDIR = AT_REMOVEDIR,
    }

    /// Flags that restrict how [`openat2`](super::openat2) resolves a path. Source: openat2(2).
    ResolveFlags {
        NO_XDEV = RESOLVE_NO_XDEV,
        NO_MAGICLINKS = RESOLVE_NO_MAGICLINKS,
        NO_SYMLINKS = RESOLVE_NO_SYMLINKS,
        BENEATH = RESOLVE_BENEATH,
        IN_ROOT = RESOLVE_IN_ROOT,
        CACHED = RESOLVE_CACHED,
    }

    /// Flags that select how [`mount`](super::mount) mounts a file system, or what it changes
    /// about a mount. Source: mount(2).
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

    /// Flags that select how [`umount2`](super::umount2) unmounts a file system. Source:
    /// umount2(2).
    UmountFlags {
        FORCE = MNT_FORCE,
        DETACH = MNT_DETACH,
        EXPIRE = MNT_EXPIRE,
        NOFOLLOW = UMOUNT_NOFOLLOW,
    }

    /// The access that [`faccessat`](super::faccessat) checks. Without flags (`F_OK`) it checks
    /// that the file exists. Source: access(2).
    Access {
        READ = R_OK,
        WRITE = W_OK,
        EXEC = X_OK,
    }

    /// Flags that select what [`renameat2`](super::renameat2) does to a file that has the new
    /// name. Source: rename(2).
    RenameFlags {
        NOREPLACE = RENAME_NOREPLACE,
        EXCHANGE = RENAME_EXCHANGE,
        WHITEOUT = RENAME_WHITEOUT,
    }

    /// Flags that require that an extended attribute exists, or does not exist. Without flags,
    /// it is created or replaced. Source: setxattr(2).
    XattrFlags {
        CREATE = XATTR_CREATE,
        REPLACE = XATTR_REPLACE,
    }

    /// Flags that select what [`fallocate`](super::fallocate) does to a range of a file.
    /// Without flags, it preallocates space. Source: fallocate(2).
    FallocateFlags {
        KEEP_SIZE = FALLOC_FL_KEEP_SIZE,
        PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE,
        COLLAPSE_RANGE = FALLOC_FL_COLLAPSE_RANGE,
        ZERO_RANGE = FALLOC_FL_ZERO_RANGE,
        INSERT_RANGE = FALLOC_FL_INSERT_RANGE,
        UNSHARE_RANGE = FALLOC_FL_UNSHARE_RANGE,
    }

    /// Flags that select what [`sync_file_range`](super::sync_file_range) starts and waits for.
    /// Source: sync_file_range(2).
    SyncFileRangeFlags {
        WAIT_BEFORE = SYNC_FILE_RANGE_WAIT_BEFORE,
        WRITE = SYNC_FILE_RANGE_WRITE,
        WAIT_AFTER = SYNC_FILE_RANGE_WAIT_AFTER,
    }

    /// The access that a mapping allows. Without flags (`PROT_NONE`), every access faults.
    /// Source: mmap(2).
    ProtFlags {
        READ = PROT_READ,
        WRITE = PROT_WRITE,
        EXEC = PROT_EXEC,
    }

    /// The type of a mapping, which is exactly one of the first four flags, and its options.
    /// `SHARED` and `PRIVATE` together have the value of `SHARED_VALIDATE`. Source: mmap(2).
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

    /// The accesses that a new protection key forbids. Without flags, it forbids none. Source:
    /// pkey_alloc(2).
    PkeyRights {
        DISABLE_ACCESS = PKEY_DISABLE_ACCESS,
        DISABLE_WRITE = PKEY_DISABLE_WRITE,
    }

    /// Properties of a mapping, and flags that select which mapping
    /// [`procmap_query`](super::procmap_query()) returns. Source: the kernel's
    /// `Documentation/filesystems/proc.rst`.
    ProcmapFlags {
        READABLE = PROCMAP_QUERY_VMA_READABLE,
        WRITABLE = PROCMAP_QUERY_VMA_WRITABLE,
        EXECUTABLE = PROCMAP_QUERY_VMA_EXECUTABLE,
        SHARED = PROCMAP_QUERY_VMA_SHARED,
        COVERING_OR_NEXT = PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
        FILE_BACKED = PROCMAP_QUERY_FILE_BACKED_VMA,
    }

    /// Flags that select how [`mremap`](super::mremap) may move a mapping. Source: mremap(2).
    MremapFlags {
        MAYMOVE = MREMAP_MAYMOVE,
        FIXED = MREMAP_FIXED,
        DONTUNMAP = MREMAP_DONTUNMAP,
    }

    /// Flags that select whether [`msync`](super::msync) waits for the disk: one of `SYNC` and
    /// `ASYNC`. Source: msync(2).
    MsyncFlags {
        ASYNC = MS_ASYNC,
        SYNC = MS_SYNC,
        INVALIDATE = MS_INVALIDATE,
    }

    /// Flags that select which pages [`mlock2`](super::mlock2) reads in. Without flags, it
    /// reads in all pages. Source: mlock2(2).
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

    /// Seals of a file in memory, each of which forbids an operation for good. Source:
    /// F_ADD_SEALS(2const).
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

    /// The state and the options of an alternate signal stack. Source: sigaltstack(2).
    SsFlags {
        ONSTACK = SS_ONSTACK,
        DISABLE = SS_DISABLE,
        AUTODISARM = SS_AUTODISARM,
    }

    /// Flags that select which changes of a child [`waitid`](super::waitid) waits for. Source:
    /// waitid(2).
    WaitFlags {
        EXITED = WEXITED,
        STOPPED = WSTOPPED,
        CONTINUED = WCONTINUED,
        NOHANG = WNOHANG,
        NOWAIT = WNOWAIT,
    }

    /// Flags that select the source of random bytes, and whether to wait for it. Source:
    /// getrandom(2).
    GetrandomFlags {
        NONBLOCK = GRND_NONBLOCK,
        RANDOM = GRND_RANDOM,
        INSECURE = GRND_INSECURE,
    }

    /// Flags that select what a child shares with its parent. Source: clone(2).
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

impl MapFlags {
    /// Corresponds to `MAP_SYNC`, which needs [`SHARED_VALIDATE`](MapFlags::SHARED_VALIDATE).
    ///
    /// On architectures without the flag, such as mips, this is a bit that no kernel knows. As with
    /// every flag that a mapping cannot have, `SHARED_VALIDATE` makes it `EOPNOTSUPP`.
    pub const SYNC: MapFlags = MapFlags::from_bits_retain(match kernel_constant!(MAP_SYNC) {
        Some(flag) => flag,
        None => 1 << 31,
    });
}

/// Defines types of numbers of which a call takes exactly one.
macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($choice:ident = $value:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct $name(pub u32);

        impl $name {
            $(
                #[doc = concat!("Corresponds to `", stringify!($value), "`.")]
                pub const $choice: $name = $name($value as u32);
            )*

            /// Returns the number as the kernel takes it in a register.
            pub(crate) const fn as_arg(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

choices! {
    /// The operations of [`flock`](super::flock). Source: flock(2).
    Flock {
        SHARED = LOCK_SH,
        EXCLUSIVE = LOCK_EX,
        UNLOCK = LOCK_UN,
    }

    /// The positions that [`lseek`](super::lseek) counts an offset from. Source: lseek(2).
    Whence {
        SET = SEEK_SET,
        CUR = SEEK_CUR,
        END = SEEK_END,
        DATA = SEEK_DATA,
        HOLE = SEEK_HOLE,
    }

    /// The advice that [`madvise`](super::madvise) takes about a range of memory. Source:
    /// madvise(2).
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

    /// The number of a signal. The functions that send a signal accept the number 0, and then only
    /// check whether the receiver exists. Source: signal(7), kill(2).
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

    /// The changes that [`rt_sigprocmask`](super::rt_sigprocmask) makes to a mask. Source:
    /// sigprocmask(2).
    SigHow {
        BLOCK = SIG_BLOCK,
        UNBLOCK = SIG_UNBLOCK,
        SETMASK = SIG_SETMASK,
    }

    /// The commands of [`reboot`](super::reboot). Source: reboot(2).
    RebootCommand {
        POWER_OFF = LINUX_REBOOT_CMD_POWER_OFF,
        RESTART = LINUX_REBOOT_CMD_RESTART,
        HALT = LINUX_REBOOT_CMD_HALT,
        CAD_ON = LINUX_REBOOT_CMD_CAD_ON,
        CAD_OFF = LINUX_REBOOT_CMD_CAD_OFF,
    }

    /// The resources that [`prlimit`](super::prlimit) limits. Source: getrlimit(2).
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
