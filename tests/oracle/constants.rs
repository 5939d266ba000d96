//! Flags and other constants.

use super::*;

#[test]
fn flags_have_the_bits_of_the_oracle() {
    macro_rules! same {
        ($($name:ident $oracle:path { $($flag:ident $(= $other:ident)?,)* })*) => {$(
            type Oracle = $oracle;
            $(
                let oracle = same!(@Oracle $flag $($other)?);
                let what = concat!(stringify!($name), "::", stringify!($flag));
                assert_eq!($name::$flag.bits(), oracle.bits(), "{what}");
            )*
        )*};
        (@$type:ident $flag:ident) => { $type::$flag };
        (@$type:ident $flag:ident $other:ident) => { $type::$other };
    }
    {
        same! { OFlags rustix::fs::OFlags {
            RDONLY, WRONLY, RDWR, CREATE, EXCL, TRUNC, APPEND, NONBLOCK, DIRECTORY, NOFOLLOW,
            CLOEXEC, NOCTTY, PATH, TMPFILE,
        } }
    }
    {
        same! { Mode rustix::fs::Mode {
            SETUID = SUID, SETGID = SGID, STICKY = SVTX, RWXU, RUSR, WUSR, XUSR, RWXG, RGRP, WGRP,
            XGRP, RWXO, ROTH, WOTH, XOTH,
        } }
    }
    {
        same! { AtFlags rustix::fs::AtFlags {
            SYMLINK_NOFOLLOW, SYMLINK_FOLLOW, EMPTY_PATH, REMOVEDIR,
        } }
    }
    {
        same! { Access rustix::fs::Access { READ = READ_OK, WRITE = WRITE_OK, EXEC = EXEC_OK, } }
    }
    {
        same! { RenameFlags rustix::fs::RenameFlags { NOREPLACE, EXCHANGE, WHITEOUT, } }
    }
    {
        same! { FallocateFlags rustix::fs::FallocateFlags {
            KEEP_SIZE, PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE, INSERT_RANGE, UNSHARE_RANGE,
        } }
    }
    {
        same! { ProtFlags rustix::mm::ProtFlags { READ, WRITE, EXEC, } }
    }
    {
        same! { MapFlags rustix::mm::MapFlags {
            SHARED, PRIVATE, SHARED_VALIDATE, FIXED, FIXED_NOREPLACE, NORESERVE, POPULATE, LOCKED,
            STACK, GROWSDOWN, HUGETLB,
        } }
    }
    {
        same! { MremapFlags rustix::mm::MremapFlags { MAYMOVE, DONTUNMAP, } }
    }
    {
        same! { MsyncFlags rustix::mm::MsyncFlags { ASYNC, SYNC, INVALIDATE, } }
    }
    {
        same! { MlockFlags rustix::mm::MlockFlags { ONFAULT, } }
    }
    {
        same! { MemfdFlags rustix::fs::MemfdFlags {
            CLOEXEC, ALLOW_SEALING, HUGETLB, NOEXEC_SEAL, EXEC,
        } }
    }
    {
        same! { WaitFlags rustix::process::WaitIdOptions {
            EXITED, STOPPED, CONTINUED, NOHANG, NOWAIT,
        } }
    }
    {
        same! { GetrandomFlags rustix::rand::GetRandomFlags { NONBLOCK, RANDOM, INSECURE, } }
    }
    assert_eq!(Mode::TYPE.bits(), rustix::fs::FileType::Unknown.as_raw_mode());
}

/// For what rustix does not have: the numbers as they stand in the kernel's
/// `include/uapi/asm-generic`, which x86_64, aarch64 and riscv64 share.
#[test]
fn flags_have_the_bits_of_the_kernels_headers() {
    macro_rules! same {
        ($($name:ident { $($flag:ident $bits:literal,)* })*) => {$($(
            let what = concat!(stringify!($name), "::", stringify!($flag));
            assert_eq!($name::$flag.bits(), $bits, "{what}");
        )*)*};
    }
    same! {
        MapFlags { ANONYMOUS 0x20, NONBLOCK 0x10000, }
        MremapFlags { FIXED 2, }
        SaFlags {
            NOCLDSTOP 1, NOCLDWAIT 2, SIGINFO 4, ONSTACK 0x0800_0000, RESTART 0x1000_0000,
            NODEFER 0x4000_0000, RESETHAND 0x8000_0000,
        }
        SsFlags { ONSTACK 1, DISABLE 2, AUTODISARM 0x8000_0000, }
        CloneFlags {
            VM 0x100, FS 0x200, FILES 0x400, SIGHAND 0x800, VFORK 0x4000, THREAD 0x10000,
            SETTLS 0x80000, PARENT_SETTID 0x10_0000, CHILD_CLEARTID 0x20_0000,
            CHILD_SETTID 0x100_0000,
        }
    }
}

#[test]
fn choices_have_the_numbers_of_the_oracle() {
    macro_rules! same {
        ($($name:ident $oracle:path, $number:expr, { $($choice:ident = $other:ident,)* })*) => {$(
            $({
                use $oracle as Oracle;
                let (number, oracle): (fn(Oracle) -> u32, _) = ($number, Oracle::$other);
                let what = concat!(stringify!($name), "::", stringify!($choice));
                assert_eq!($name::$choice.0, number(oracle), "{what}");
            })*
        )*};
    }
    same! {
        Advice rustix::mm::Advice, |advice| advice as u32, {
            NORMAL = Normal, RANDOM = Random, SEQUENTIAL = Sequential, WILLNEED = WillNeed,
            DONTNEED = LinuxDontNeed, FREE = LinuxFree, REMOVE = LinuxRemove,
            DONTFORK = LinuxDontFork, DOFORK = LinuxDoFork, MERGEABLE = LinuxMergeable,
            UNMERGEABLE = LinuxUnmergeable, HUGEPAGE = LinuxHugepage,
            NOHUGEPAGE = LinuxNoHugepage, DONTDUMP = LinuxDontDump, DODUMP = LinuxDoDump,
            WIPEONFORK = LinuxWipeOnFork, KEEPONFORK = LinuxKeepOnFork, COLD = LinuxCold,
            PAGEOUT = LinuxPageOut, POPULATE_READ = LinuxPopulateRead,
            POPULATE_WRITE = LinuxPopulateWrite,
        }
        Signal rustix::process::Signal, |signal| signal.as_raw() as u32, {
            HUP = HUP, INT = INT, QUIT = QUIT, ILL = ILL, TRAP = TRAP, ABRT = ABORT, BUS = BUS,
            FPE = FPE, KILL = KILL, USR1 = USR1, SEGV = SEGV, USR2 = USR2, PIPE = PIPE,
            ALRM = ALARM, TERM = TERM, CHLD = CHILD, CONT = CONT, STOP = STOP, XFSZ = XFSZ,
        }
        Resource rustix::process::Resource, |resource| resource as u32, {
            AS = As, CORE = Core, CPU = Cpu, DATA = Data, FSIZE = Fsize, MEMLOCK = Memlock,
            NOFILE = Nofile, NPROC = Nproc, STACK = Stack,
        }
    }
    // These the oracle keeps to itself: madvise(2), lseek(2), sigprocmask(2).
    assert_eq!(Advice::COLLAPSE.0, 25);
    let whence = [Whence::SET, Whence::CUR, Whence::END, Whence::DATA, Whence::HOLE];
    assert_eq!(whence.map(|whence| whence.0), [0, 1, 2, 3, 4]);
    assert_eq!([SigHow::BLOCK, SigHow::UNBLOCK, SigHow::SETMASK].map(|how| how.0), [0, 1, 2]);
    let clocks = [
        (ClockId::Realtime, rustix::time::ClockId::Realtime),
        (ClockId::Monotonic, rustix::time::ClockId::Monotonic),
        (ClockId::Boottime, rustix::time::ClockId::Boottime),
        (ClockId::ProcessCputime, rustix::time::ClockId::ProcessCPUTime),
    ];
    for (ours, oracle) in clocks {
        assert_eq!(ours as u32, oracle as u32, "{ours:?}");
    }
}
