//! The values of flags and of other constants.
//!
//! The crate takes them from linux-raw-sys, which is generated from the kernel's headers. The
//! oracle is libc, whose values are written by hand. rustix would be no oracle, because it takes
//! its values from linux-raw-sys, too. A constant that libc lacks is given as the number in the
//! kernel's headers (`include/uapi`).

use super::*;
use baremap::syscall::{
    Flock, MountFlags, PkeyRights, ProcmapFlags, RebootCommand, Seals, UmountFlags,
};
use bitflags::Flags;

/// A constant of libc, or a number.
macro_rules! oracle {
    ($name:ident) => {
        libc::$name as u32
    };
    ($number:literal) => {
        $number
    };
}

#[test]
fn flags_have_the_bits_that_libc_gives_them() {
    macro_rules! same {
        ($($name:ident { $($flag:ident = $value:tt,)* })*) => {$(
            let mut names = Vec::new();
            $(
                let what = concat!(stringify!($name), "::", stringify!($flag));
                assert_eq!($name::$flag.bits(), oracle!($value), "{what}");
                names.push(stringify!($flag));
            )*
            let all = $name::FLAGS.iter().map(|flag| flag.name()).filter(|name| !name.is_empty());
            assert_eq!(all.collect::<Vec<_>>(), names, "all of {}", stringify!($name));
        )*};
    }
    same! {
        OFlags {
            RDONLY = O_RDONLY, WRONLY = O_WRONLY, RDWR = O_RDWR, CREATE = O_CREAT, EXCL = O_EXCL,
            TRUNC = O_TRUNC, APPEND = O_APPEND, NONBLOCK = O_NONBLOCK, DIRECTORY = O_DIRECTORY,
            NOFOLLOW = O_NOFOLLOW, CLOEXEC = O_CLOEXEC, NOCTTY = O_NOCTTY, PATH = O_PATH,
            TMPFILE = O_TMPFILE,
        }
        Mode {
            TYPE = S_IFMT, SETUID = S_ISUID, SETGID = S_ISGID, STICKY = S_ISVTX, RWXU = S_IRWXU,
            RUSR = S_IRUSR, WUSR = S_IWUSR, XUSR = S_IXUSR, RWXG = S_IRWXG, RGRP = S_IRGRP,
            WGRP = S_IWGRP, XGRP = S_IXGRP, RWXO = S_IRWXO, ROTH = S_IROTH, WOTH = S_IWOTH,
            XOTH = S_IXOTH,
        }
        AtFlags {
            SYMLINK_NOFOLLOW = AT_SYMLINK_NOFOLLOW, SYMLINK_FOLLOW = AT_SYMLINK_FOLLOW,
            EMPTY_PATH = AT_EMPTY_PATH, REMOVEDIR = AT_REMOVEDIR,
        }
        MountFlags {
            RDONLY = MS_RDONLY, NOSUID = MS_NOSUID, NODEV = MS_NODEV, NOEXEC = MS_NOEXEC,
            SYNCHRONOUS = MS_SYNCHRONOUS, REMOUNT = MS_REMOUNT, DIRSYNC = MS_DIRSYNC,
            NOATIME = MS_NOATIME, NODIRATIME = MS_NODIRATIME, BIND = MS_BIND, MOVE = MS_MOVE,
            REC = MS_REC, SILENT = MS_SILENT, UNBINDABLE = MS_UNBINDABLE, PRIVATE = MS_PRIVATE,
            SLAVE = MS_SLAVE, SHARED = MS_SHARED, RELATIME = MS_RELATIME,
            STRICTATIME = MS_STRICTATIME, LAZYTIME = MS_LAZYTIME,
        }
        UmountFlags {
            FORCE = MNT_FORCE, DETACH = MNT_DETACH, EXPIRE = MNT_EXPIRE, NOFOLLOW = UMOUNT_NOFOLLOW,
        }
        Access {
            READ = R_OK, WRITE = W_OK, EXEC = X_OK,
        }
        RenameFlags {
            NOREPLACE = RENAME_NOREPLACE, EXCHANGE = RENAME_EXCHANGE, WHITEOUT = RENAME_WHITEOUT,
        }
        XattrFlags {
            CREATE = XATTR_CREATE, REPLACE = XATTR_REPLACE,
        }
        FallocateFlags {
            KEEP_SIZE = FALLOC_FL_KEEP_SIZE, PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE,
            COLLAPSE_RANGE = FALLOC_FL_COLLAPSE_RANGE, ZERO_RANGE = FALLOC_FL_ZERO_RANGE,
            INSERT_RANGE = FALLOC_FL_INSERT_RANGE, UNSHARE_RANGE = FALLOC_FL_UNSHARE_RANGE,
        }
        SyncFileRangeFlags {
            WAIT_BEFORE = SYNC_FILE_RANGE_WAIT_BEFORE, WRITE = SYNC_FILE_RANGE_WRITE,
            WAIT_AFTER = SYNC_FILE_RANGE_WAIT_AFTER,
        }
        ProtFlags {
            READ = PROT_READ, WRITE = PROT_WRITE, EXEC = PROT_EXEC,
        }
        MapFlags {
            SHARED = MAP_SHARED, PRIVATE = MAP_PRIVATE, SHARED_VALIDATE = MAP_SHARED_VALIDATE,
            DROPPABLE = MAP_DROPPABLE, ANONYMOUS = MAP_ANONYMOUS, FIXED = MAP_FIXED,
            FIXED_NOREPLACE = MAP_FIXED_NOREPLACE, NORESERVE = MAP_NORESERVE,
            POPULATE = MAP_POPULATE, LOCKED = MAP_LOCKED, NONBLOCK = MAP_NONBLOCK,
            STACK = MAP_STACK, GROWSDOWN = MAP_GROWSDOWN, HUGETLB = MAP_HUGETLB,
        }
        PkeyRights {
            DISABLE_ACCESS = 1, DISABLE_WRITE = 2,
        }
        ProcmapFlags {
            READABLE = 1, WRITABLE = 2, EXECUTABLE = 4, SHARED = 8, COVERING_OR_NEXT = 0x10,
            FILE_BACKED = 0x20,
        }
        MremapFlags {
            MAYMOVE = MREMAP_MAYMOVE, FIXED = MREMAP_FIXED, DONTUNMAP = MREMAP_DONTUNMAP,
        }
        MsyncFlags {
            ASYNC = MS_ASYNC, SYNC = MS_SYNC, INVALIDATE = MS_INVALIDATE,
        }
        MlockFlags {
            ONFAULT = MLOCK_ONFAULT,
        }
        MemfdFlags {
            CLOEXEC = MFD_CLOEXEC, ALLOW_SEALING = MFD_ALLOW_SEALING, HUGETLB = MFD_HUGETLB,
            NOEXEC_SEAL = MFD_NOEXEC_SEAL, EXEC = MFD_EXEC,
        }
        Seals {
            SEAL = F_SEAL_SEAL, SHRINK = F_SEAL_SHRINK, GROW = F_SEAL_GROW, WRITE = F_SEAL_WRITE,
            FUTURE_WRITE = F_SEAL_FUTURE_WRITE, EXEC = F_SEAL_EXEC,
        }
        SaFlags {
            NOCLDSTOP = SA_NOCLDSTOP, NOCLDWAIT = SA_NOCLDWAIT, SIGINFO = SA_SIGINFO,
            ONSTACK = SA_ONSTACK, RESTART = SA_RESTART, NODEFER = SA_NODEFER,
            RESETHAND = SA_RESETHAND,
        }
        SsFlags {
            ONSTACK = SS_ONSTACK, DISABLE = SS_DISABLE, AUTODISARM = 0x8000_0000,
        }
        WaitFlags {
            EXITED = WEXITED, STOPPED = WSTOPPED, CONTINUED = WCONTINUED, NOHANG = WNOHANG,
            NOWAIT = WNOWAIT,
        }
        GetrandomFlags {
            NONBLOCK = GRND_NONBLOCK, RANDOM = GRND_RANDOM, INSECURE = GRND_INSECURE,
        }
        CloneFlags {
            VM = CLONE_VM, FS = CLONE_FS, FILES = CLONE_FILES, SIGHAND = CLONE_SIGHAND,
            VFORK = CLONE_VFORK, THREAD = CLONE_THREAD, SETTLS = CLONE_SETTLS,
            PARENT_SETTID = CLONE_PARENT_SETTID, CHILD_CLEARTID = CLONE_CHILD_CLEARTID,
            CHILD_SETTID = CLONE_CHILD_SETTID, PIDFD = CLONE_PIDFD,
        }
    }
    assert_eq!(MapFlags::SYNC.bits(), libc::MAP_SYNC as u32);
}

#[test]
fn choices_have_the_numbers_that_libc_gives_them() {
    macro_rules! same {
        ($($name:ident { $($choice:ident = $value:tt,)* })*) => {$($(
            let what = concat!(stringify!($name), "::", stringify!($choice));
            assert_eq!($name::$choice.0, oracle!($value), "{what}");
        )*)*};
    }
    same! {
        Flock {
            SHARED = LOCK_SH, EXCLUSIVE = LOCK_EX, UNLOCK = LOCK_UN,
        }
        Whence {
            SET = SEEK_SET, CUR = SEEK_CUR, END = SEEK_END, DATA = SEEK_DATA, HOLE = SEEK_HOLE,
        }
        Advice {
            NORMAL = MADV_NORMAL, RANDOM = MADV_RANDOM, SEQUENTIAL = MADV_SEQUENTIAL,
            WILLNEED = MADV_WILLNEED, DONTNEED = MADV_DONTNEED, FREE = MADV_FREE,
            REMOVE = MADV_REMOVE, DONTFORK = MADV_DONTFORK, DOFORK = MADV_DOFORK,
            MERGEABLE = MADV_MERGEABLE, UNMERGEABLE = MADV_UNMERGEABLE, HUGEPAGE = MADV_HUGEPAGE,
            NOHUGEPAGE = MADV_NOHUGEPAGE, DONTDUMP = MADV_DONTDUMP, DODUMP = MADV_DODUMP,
            WIPEONFORK = MADV_WIPEONFORK, KEEPONFORK = MADV_KEEPONFORK, COLD = MADV_COLD,
            PAGEOUT = MADV_PAGEOUT, POPULATE_READ = MADV_POPULATE_READ,
            POPULATE_WRITE = MADV_POPULATE_WRITE, COLLAPSE = MADV_COLLAPSE, GUARD_INSTALL = 102,
            GUARD_REMOVE = 103,
        }
        Signal {
            HUP = SIGHUP, INT = SIGINT, QUIT = SIGQUIT, ILL = SIGILL, TRAP = SIGTRAP,
            ABRT = SIGABRT, BUS = SIGBUS, FPE = SIGFPE, KILL = SIGKILL, USR1 = SIGUSR1,
            SEGV = SIGSEGV, USR2 = SIGUSR2, PIPE = SIGPIPE, ALRM = SIGALRM, TERM = SIGTERM,
            CHLD = SIGCHLD, CONT = SIGCONT, STOP = SIGSTOP, XFSZ = SIGXFSZ,
        }
        SigHow {
            BLOCK = SIG_BLOCK, UNBLOCK = SIG_UNBLOCK, SETMASK = SIG_SETMASK,
        }
        RebootCommand {
            POWER_OFF = RB_POWER_OFF, RESTART = RB_AUTOBOOT, HALT = RB_HALT_SYSTEM,
            CAD_ON = RB_ENABLE_CAD, CAD_OFF = RB_DISABLE_CAD,
        }
        Resource {
            AS = RLIMIT_AS, CORE = RLIMIT_CORE, CPU = RLIMIT_CPU, DATA = RLIMIT_DATA,
            FSIZE = RLIMIT_FSIZE, MEMLOCK = RLIMIT_MEMLOCK, NOFILE = RLIMIT_NOFILE,
            NPROC = RLIMIT_NPROC, STACK = RLIMIT_STACK,
        }
    }
    let clocks = [
        (ClockId::Realtime, libc::CLOCK_REALTIME),
        (ClockId::Monotonic, libc::CLOCK_MONOTONIC),
        (ClockId::Boottime, libc::CLOCK_BOOTTIME),
        (ClockId::ProcessCputime, libc::CLOCK_PROCESS_CPUTIME_ID),
    ];
    for (ours, oracle) in clocks {
        assert_eq!(ours as i32, oracle, "{ours:?}");
    }
}
