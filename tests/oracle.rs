//! Ring 2: the calls of this crate against those of others, on this machine's kernel.
//!
//! Every function of `baremap::syscall`, and `map::MmapOptions`, is called beside an
//! oracle that shares no code with it: `sc` (raw calls), `rustix` (typed calls),
//! `memmap2` (mappings), `syscalls` (names and texts of errors) and the standard library.
//! The same arguments must give the same result, the same effect or the same errno.
//!
//! A table of refused calls names the errno of the manual page as well, so that a row
//! cannot pass because both sides fail for another reason than the one meant.
//!
//! The tests are threads of one process. So they rely on no descriptor's number, look
//! for no mapping in a range that they have given back, and each signal belongs to one
//! test. What changes the whole process is done in a copy of it.

#![allow(clippy::undocumented_unsafe_blocks, reason = "each section says it once")]

use std::{
    ffi::{CString, c_int, c_void},
    fs::{self, File, OpenOptions},
    io::{PipeReader, PipeWriter, Write},
    mem,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, symlink},
    },
    path::{Path, PathBuf},
    ptr,
    sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst},
    time::{Duration, SystemTime},
};

use baremap::{
    fd::{AsFd, AsRawFd, BorrowedFd, CWD, FromRawFd, OwnedFd, RawFd},
    map::MmapOptions,
    syscall::{
        self, Access, Advice, AtFlags, ClockId, CloneFlags, Disposition, Errno, FallocateFlags,
        FileType, Flock, GetrandomFlags, MapFlags, MemfdFlags, MlockFlags, Mode, MremapFlags,
        MsyncFlags, OFlags, Pid, ProtFlags, RenameFlags, Resource, Rlimit, SaFlags, SigHow,
        SigInfo, SigSet, SigStack, Sigaction, Signal, SsFlags, Stat, SyncFileRangeFlags, Timespec,
        WaitFlags, WaitStatus, Whence, XattrFlags, raw,
    },
};
use linux_raw_sys::{general as kernel, ioctl, prctl};

// ---------------------------------------------------------------- helpers

/// A number that no descriptor has: above every limit on their count.
const BAD: RawFd = i32::MAX;

/// A number that no process has.
const NOBODY: Pid = i32::MAX;

/// An address that the kernel gives to nobody who does not insist.
const NOWHERE: *mut u8 = ptr::without_provenance_mut(4096);

/// An empty directory for one test. (That of `tests/common` needs a program which a
/// build without the feature `mapcp` does not have.)
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let name = format!("oracle-{test}-{}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> File {
        fs::write(self.path(name), contents).unwrap();
        OpenOptions::new().read(true).write(true).open(self.path(name)).unwrap()
    }

    fn dir(&self) -> File {
        File::open(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Descriptors of every kind, for calls that refuse some of them.
struct Files {
    scratch: Scratch,
    /// `file`, of ten bytes, opened in three ways and as a path only.
    read: File,
    write: File,
    both: File,
    path: File,
    /// The directory that holds `file`, `link` to it, `loop` to itself, and `sub/inner`.
    dir: File,
    /// An empty pipe whose ends do not wait.
    pipe: (PipeReader, PipeWriter),
    null: File,
    full: File,
}

impl Files {
    fn new(test: &str) -> Files {
        let scratch = Scratch::new(test);
        let both = scratch.file("file", "0123456789");
        symlink("file", scratch.path("link")).unwrap();
        symlink("loop", scratch.path("loop")).unwrap();
        fs::create_dir(scratch.path("sub")).unwrap();
        fs::write(scratch.path("sub/inner"), "").unwrap();
        let mut read = OpenOptions::new();
        let read = read.read(true);
        let mut write = OpenOptions::new();
        let write = write.write(true);
        let file = scratch.path("file");
        let pipe = std::io::pipe().unwrap();
        for end in [number(&pipe.0), number(&pipe.1)] {
            let end = rustix(end);
            let flags = rustix::fs::fcntl_getfl(end).unwrap();
            rustix::fs::fcntl_setfl(end, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        }
        Files {
            read: read.open(&file).unwrap(),
            write: write.open(&file).unwrap(),
            path: read.clone().custom_flags(kernel::O_PATH as i32).open(&file).unwrap(),
            dir: scratch.dir(),
            pipe,
            null: write.clone().read(true).open("/dev/null").unwrap(),
            full: write.open("/dev/full").unwrap(),
            both,
            scratch,
        }
    }

    /// Its descriptor, of which the tables of paths are full.
    fn dir(&self) -> RawFd {
        number(&self.dir)
    }
}

/// A descriptor's number. (The trait is this crate's own or the standard library's.)
fn number(file: &impl std::os::fd::AsRawFd) -> RawFd {
    std::os::fd::AsRawFd::as_raw_fd(file)
}

// SAFETY, for both: a test keeps its files open until its end; a number that is none is
// only given to calls that refuse it.
fn lend<'fd>(number: RawFd) -> BorrowedFd<'fd> {
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn rustix<'fd>(number: RawFd) -> rustix::fd::BorrowedFd<'fd> {
    unsafe { rustix::fd::BorrowedFd::borrow_raw(number) }
}

fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

fn page() -> usize {
    rustix::param::page_size()
}

/// What a register says, by the rule of syscall(2).
fn outcome(register: usize) -> Result<usize, Errno> {
    let signed = register as isize;
    if (-4095..0).contains(&signed) { Err(Errno::new(-signed as u16)) } else { Ok(register) }
}

/// The numbers of rustix's errors are those of ours.
fn number_of<T>(result: rustix::io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| Errno::new(error.raw_os_error() as u16))
}

/// Makes the call of each row both ways: both must fail, with that errno.
fn refused<A: Copy, T>(
    call: &str,
    table: &[(&str, Errno, A)],
    ours: impl Fn(A) -> Result<T, Errno>,
    oracle: impl Fn(A) -> usize,
) {
    assert!(!table.is_empty());
    for &(case, errno, arguments) in table {
        let expected = Err(errno);
        assert_eq!(outcome(oracle(arguments)).map(drop), expected, "the oracle's {call}: {case}");
        assert_eq!(ours(arguments).map(drop), expected, "{call}: {case}");
    }
}

/// Pages of memory that belong to one test. Made and given back by the oracle.
struct Region(*mut u8, usize);

impl Region {
    fn anonymous(pages: usize) -> Region {
        Region::flags(pages, rustix::mm::MapFlags::PRIVATE)
    }

    /// Of which a copy of the process sees what the process writes.
    fn shared(pages: usize) -> Region {
        Region::flags(pages, rustix::mm::MapFlags::SHARED)
    }

    fn flags(pages: usize, flags: rustix::mm::MapFlags) -> Region {
        let (length, prot) = (pages * page(), rustix::mm::ProtFlags::all());
        let prot = prot & (rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE);
        // SAFETY: replaces nothing.
        let at = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), length, prot, flags) };
        Region(at.unwrap().cast(), length)
    }

    fn of(file: RawFd, pages: usize, prot: rustix::mm::ProtFlags) -> Region {
        let (length, flags) = (pages * page(), rustix::mm::MapFlags::SHARED);
        // SAFETY: replaces nothing.
        let at = unsafe { rustix::mm::mmap(ptr::null_mut(), length, prot, flags, rustix(file), 0) };
        Region(at.unwrap().cast(), length)
    }

    fn page(&self, index: usize) -> *mut u8 {
        assert!(index * page() <= self.1);
        self.0.wrapping_add(index * page())
    }

    // SAFETY, for both: only of pages that are mapped for it.
    fn put(&self, index: usize, byte: u8) {
        unsafe { self.page(index).write_volatile(byte) }
    }

    fn get(&self, index: usize) -> u8 {
        unsafe { self.page(index).read_volatile() }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the test's own, and over.
        unsafe { rustix::mm::munmap(self.0.cast(), self.1).unwrap() };
    }
}

/// Ends a copy of this process in which a check has failed, with the check's number.
macro_rules! check {
    ($number:literal, $condition:expr) => {
        if !$condition {
            return $number;
        }
    };
}

/// Begins a copy of this process that has one thread. `body` makes raw calls only: any
/// lock of the standard library may be held for good. It ends with the parent.
fn child(body: impl FnOnce() -> i32) -> Pid {
    // SAFETY: as above.
    match unsafe { syscall::fork() }.expect("fork") {
        Some(pid) => pid,
        None => {
            unsafe { sc::syscall!(PRCTL, prctl::PR_SET_PDEATHSIG, kernel::SIGKILL) };
            syscall::exit_group(body())
        }
    }
}

fn wait(pid: Pid) -> WaitStatus {
    let (who, how) = syscall::waitid(Some(pid), WaitFlags::EXITED).unwrap().unwrap();
    assert_eq!(who, pid);
    how
}

/// What is checked in a copy of this process; zero is success.
fn in_child(body: impl FnOnce() -> i32) {
    let end = wait(child(body));
    assert_eq!(end, WaitStatus::Exited(0), "the check with this number failed in the copy");
}

fn sleep_forever() -> ! {
    loop {
        let _ = syscall::nanosleep(Timespec { sec: 1000, nsec: 0 });
    }
}

// ---------------------------------------------------------------- raw calls
// SAFETY of this section: calls that are refused, that tell something, or that change
// only what belongs to the test.

fn ours_raw(call: usize, arguments: &[usize]) -> usize {
    unsafe {
        match *arguments {
            [] => raw::syscall0(call),
            [a] => raw::syscall1(call, a),
            [a, b] => raw::syscall2(call, a, b),
            [a, b, c] => raw::syscall3(call, a, b, c),
            [a, b, c, d] => raw::syscall4(call, a, b, c, d),
            [a, b, c, d, e] => raw::syscall5(call, a, b, c, d, e),
            [a, b, c, d, e, f] => raw::syscall6(call, a, b, c, d, e, f),
            _ => unreachable!(),
        }
    }
}

fn oracle_raw(call: usize, arguments: &[usize]) -> usize {
    unsafe {
        match *arguments {
            [] => sc::syscall0(call),
            [a] => sc::syscall1(call, a),
            [a, b] => sc::syscall2(call, a, b),
            [a, b, c] => sc::syscall3(call, a, b, c),
            [a, b, c, d] => sc::syscall4(call, a, b, c, d),
            [a, b, c, d, e] => sc::syscall5(call, a, b, c, d, e),
            [a, b, c, d, e, f] => sc::syscall6(call, a, b, c, d, e, f),
            _ => unreachable!(),
        }
    }
}

#[test]
fn every_raw_argument_arrives_in_its_place() {
    use sc::nr;

    let files = Files::new("raw");
    let (dir, read) = (files.dir() as usize, number(&files.read) as usize);
    let mut buffer = [0_u8; 512];
    let (buffer, region) = (buffer.as_mut_ptr() as usize, Region::anonymous(2));
    let [file, link, missing, nested] =
        [c"file", c"link", c"missing", c"missing/x"].map(|path| path.as_ptr() as usize);
    let (bad, nowhere, page) = (BAD as usize, NOWHERE as usize, page());
    let (me, nobody) = (std::process::id() as usize, NOBODY as usize);
    let (shared_fixed, basic) =
        ((kernel::MAP_SHARED | kernel::MAP_FIXED) as usize, kernel::STATX_BASIC_STATS as usize);
    let no_new = prctl::PR_GET_NO_NEW_PRIVS as usize;
    let readable = kernel::PROT_READ as usize;
    let anything = readable | kernel::PROT_WRITE as usize;
    let end = kernel::SEEK_END as usize;

    // A call, its arguments, and for each of them another value that alone changes the
    // result.
    let table: &[(&str, usize, &[usize], &[usize])] = &[
        ("getpid", nr::GETPID, &[], &[]),
        ("getpgid", nr::GETPGID, &[me], &[nobody]),
        ("kill", nr::KILL, &[me, 0], &[nobody, 65]),
        ("lseek", nr::LSEEK, &[read, 5, end], &[bad, 7 << 33, 99]),
        ("pread64", nr::PREAD64, &[read, buffer, 8, 0], &[bad, nowhere, 3, 6]),
        ("readlinkat", nr::READLINKAT, &[dir, link, buffer, 9], &[bad, file, nowhere, 2]),
        ("linkat", nr::LINKAT, &[dir, file, dir, link, 0], &[bad, missing, bad, nested, 1 << 30]),
        ("statx", nr::STATX, &[dir, file, 0, basic, buffer], &[bad, missing, 1, 1 << 31, nowhere]),
        ("prctl", nr::PRCTL, &[no_new, 0, 0, 0, 0], &[9999, 1, 1, 1, 1]),
        (
            "mmap",
            nr::MMAP,
            &[region.0 as usize, page, readable, shared_fixed, read, 0],
            &[region.page(1) as usize, 0, anything, kernel::MAP_FIXED as usize, bad, 1],
        ),
    ];
    for &(name, call, arguments, others) in table {
        let expected = oracle_raw(call, arguments);
        assert_eq!(ours_raw(call, arguments), expected, "{name}");
        assert_eq!(arguments.len(), others.len(), "{name}");
        for (position, &other) in others.iter().enumerate() {
            let mut changed = arguments.to_vec();
            changed[position] = other;
            let result = oracle_raw(call, &changed);
            assert_ne!(result, expected, "{name}: argument {position} makes no difference");
            assert_eq!(ours_raw(call, &changed), result, "{name}, argument {position}");
        }
    }
    let longest = table.iter().map(|row| row.2.len()).max();
    assert_eq!(longest, Some(6));
}

#[test]
fn a_call_that_does_not_exist_is_refused_whatever_its_arguments() {
    for count in 0..=6 {
        let arguments = &[1, 2, 3, 4, 5, 6][..count];
        assert_eq!(outcome(ours_raw(100_000, arguments)), Err(Errno::ENOSYS), "{count} arguments");
        assert_eq!(ours_raw(100_000, arguments), oracle_raw(100_000, arguments));
    }
}

#[test]
fn numbers_of_calls() {
    macro_rules! same {
        ($($ours:ident $oracle:ident,)*) => {
            $(assert_eq!(raw::nr::$ours, sc::nr::$oracle, stringify!($ours));)*
        };
    }
    same! {
        brk BRK, clock_gettime CLOCK_GETTIME, clock_nanosleep CLOCK_NANOSLEEP, clone CLONE,
        close CLOSE, copy_file_range COPY_FILE_RANGE, exit EXIT, exit_group EXIT_GROUP, faccessat FACCESSAT, fallocate FALLOCATE,
        fchmod FCHMOD, fchown FCHOWN, fcntl FCNTL, fdatasync FDATASYNC, fgetxattr FGETXATTR,
        flistxattr FLISTXATTR, flock FLOCK, fremovexattr FREMOVEXATTR, fsetxattr FSETXATTR, fstat FSTAT, fstatfs FSTATFS, fsync FSYNC,
        ftruncate FTRUNCATE, getpid GETPID, getppid GETPPID, getrandom GETRANDOM, gettid GETTID, ioctl IOCTL,
        kill KILL, linkat LINKAT, lseek LSEEK, madvise MADVISE, memfd_create MEMFD_CREATE,
        mincore MINCORE, mlock MLOCK, mlock2 MLOCK2, mmap MMAP, mprotect MPROTECT, mremap MREMAP,
        msync MSYNC, munlock MUNLOCK, munmap MUNMAP, openat OPENAT, ppoll PPOLL, prctl PRCTL,
        pread64 PREAD64, prlimit64 PRLIMIT64, pwrite64 PWRITE64, read READ, readlinkat READLINKAT,
        renameat2 RENAMEAT2, rt_sigaction RT_SIGACTION, rt_sigprocmask RT_SIGPROCMASK,
        sched_getaffinity SCHED_GETAFFINITY, sigaltstack SIGALTSTACK, statx STATX, tgkill TGKILL,
        unlinkat UNLINKAT, utimensat UTIMENSAT, waitid WAITID, write WRITE,
    }
    assert_eq!(raw::nr::sync_file_range, Some(sc::nr::SYNC_FILE_RANGE));
    #[cfg(target_arch = "x86_64")]
    same! { newfstatat NEWFSTATAT, rt_sigreturn RT_SIGRETURN, }
    #[cfg(target_arch = "x86_64")]
    assert_eq!(raw::nr::renameat, Some(sc::nr::RENAMEAT));
}

// ---------------------------------------------------------------- errors

#[test]
fn names_and_texts_of_errors() {
    for number in 0..=Errno::MAX {
        let ours = Errno::new(number);
        let oracle = syscalls::Errno::new(number.into());
        assert_eq!(ours.number(), number);
        // Above 133 the oracle has errors that the kernel keeps to itself.
        if number <= 133 || ours.name().is_some() {
            assert_eq!(ours.name(), oracle.name(), "{number}");
            assert_eq!(ours.text(), oracle.description(), "{number}");
        }
        let shown = match oracle.name_and_description() {
            Some((name, text)) if number <= 133 => format!("{text} ({name})"),
            _ => format!("Unknown error {number}"),
        };
        assert_eq!(ours.to_string(), shown);
        let debugged = match oracle.name() {
            Some(name) if number <= 133 => name.to_string(),
            _ => format!("Errno({number})"),
        };
        assert_eq!(format!("{ours:?}"), debugged);
    }
    assert_eq!(Errno::EWOULDBLOCK.number(), syscalls::Errno::EWOULDBLOCK.into_raw() as u16);
    let [zero, first, last] = [0, 1, 133].map(|number| Errno::new(number).name());
    assert_eq!((zero, first, last), (None, Some("EPERM"), Some("EHWPOISON")));
}

#[cfg(feature = "std")]
#[test]
fn an_error_of_the_standard_library_keeps_the_number() {
    for number in 1..=133 {
        let error = std::io::Error::from(Errno::new(number));
        let oracle = std::io::Error::from_raw_os_error(number.into());
        assert_eq!(error.raw_os_error(), Some(number.into()));
        assert_eq!(error.kind(), oracle.kind());
    }
}

// ---------------------------------------------------------------- flags

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

// ---------------------------------------------------------------- memory, refused
// SAFETY of this section: calls that the kernel refuses, on memory of the test.

#[test]
fn mmap_refuses_what_the_kernel_refuses() {
    use kernel::{
        MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_PRIVATE, MAP_SHARED,
        MAP_SHARED_VALIDATE, MAP_SYNC, PROT_READ, PROT_WRITE,
    };

    let files = Files::new("mmap");
    let region = Region::anonymous(1);
    let (at, page) = (region.0 as usize, page());
    let [read, write, both, dir, pipe, path] = [
        number(&files.read),
        number(&files.write),
        number(&files.both),
        files.dir(),
        number(&files.pipe.0),
        number(&files.path),
    ];
    let sealed = rustix::fs::memfd_create("sealed", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::fcntl_add_seals(&sealed, rustix::fs::SealFlags::WRITE).unwrap();
    let sealed = rustix::fd::AsRawFd::as_raw_fd(&sealed);
    let anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    let writable = PROT_READ | PROT_WRITE;
    let (top, high) = (usize::MAX - page + 1, 1_u64 << 63);

    refused(
        "mmap",
        &[
            ("length 0", Errno::EINVAL, (0, 0, PROT_READ, anonymous, -1, 0)),
            ("file, length 0", Errno::EINVAL, (0, 0, PROT_READ, MAP_SHARED, read, 0)),
            ("offset 1", Errno::EINVAL, (0, page, PROT_READ, MAP_SHARED, read, 1)),
            (
                "offset 2^32 + 512",
                Errno::EINVAL,
                (0, 1, PROT_READ, MAP_SHARED, read, (1 << 32) + 512),
            ),
            (
                "unaligned, fixed",
                Errno::EINVAL,
                (at + 1, page, PROT_READ, anonymous | MAP_FIXED, -1, 0),
            ),
            (
                "unaligned, not replacing",
                Errno::EINVAL,
                (at + 1, page, PROT_READ, anonymous | MAP_FIXED_NOREPLACE, -1, 0),
            ),
            ("no type", Errno::EINVAL, (0, page, PROT_READ, 0, read, 0)),
            ("no type, anonymous", Errno::EINVAL, (0, page, PROT_READ, MAP_ANONYMOUS, -1, 0)),
            (
                "a flag that is validated",
                Errno::EOPNOTSUPP,
                (0, page, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, read, 0),
            ),
            ("bad descriptor", Errno::EBADF, (0, page, PROT_READ, MAP_SHARED, BAD, 0)),
            ("no descriptor", Errno::EBADF, (0, page, PROT_READ, MAP_SHARED, -1, 0)),
            ("path only", Errno::EBADF, (0, page, PROT_READ, MAP_SHARED, path, 0)),
            ("directory", Errno::ENODEV, (0, page, PROT_READ, MAP_SHARED, dir, 0)),
            ("pipe", Errno::ENODEV, (0, page, PROT_READ, MAP_SHARED, pipe, 0)),
            ("write-only", Errno::EACCES, (0, page, PROT_READ, MAP_SHARED, write, 0)),
            ("write-only, private", Errno::EACCES, (0, page, PROT_WRITE, MAP_PRIVATE, write, 0)),
            ("writable of read-only", Errno::EACCES, (0, page, writable, MAP_SHARED, read, 0)),
            ("sealed", Errno::EPERM, (0, page, writable, MAP_SHARED, sealed, 0)),
            ("huge", Errno::ENOMEM, (0, top, PROT_READ, MAP_SHARED, both, 0)),
            ("the longest", Errno::ENOMEM, (0, usize::MAX, PROT_READ, anonymous, -1, 0)),
            (
                "kernel's own",
                Errno::ENOMEM,
                (top - page, page, PROT_READ, anonymous | MAP_FIXED, -1, 0),
            ),
            ("offset overflows", Errno::EOVERFLOW, (0, page, PROT_READ, MAP_SHARED, read, high)),
            (
                "end overflows",
                Errno::EOVERFLOW,
                (0, 2 * page, PROT_READ, MAP_SHARED, read, top as u64),
            ),
            (
                "not replacing",
                Errno::EEXIST,
                (at, page, PROT_READ, anonymous | MAP_FIXED_NOREPLACE, -1, 0),
            ),
        ],
        |(at, length, prot, flags, fd, offset)| {
            let (prot, flags) =
                (ProtFlags::from_bits_retain(prot), MapFlags::from_bits_retain(flags));
            let fd = (fd != -1).then(|| lend(fd));
            unsafe { syscall::mmap(at as *mut u8, length, prot, flags, fd, offset) }
        },
        |(at, length, prot, flags, fd, offset)| unsafe {
            sc::syscall!(MMAP, at, length, prot, flags, fd, offset)
        },
    );
}

#[test]
fn mmap_that_may_not_replace_changes_nothing() {
    let region = Region::anonymous(3);
    for index in 0..3 {
        region.put(index, 7 + index as u8);
    }
    let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED_NOREPLACE;
    for (first, pages) in [(0, 3), (1, 1), (2, 5)] {
        let (at, length) = (region.page(first), pages * page());
        let result = unsafe { syscall::mmap(at, length, ProtFlags::empty(), flags, None, 0) };
        assert_eq!(result, Err(Errno::EEXIST), "{pages} pages from {first}");
    }
    assert_eq!([0, 1, 2].map(|index| region.get(index)), [7, 8, 9]);

    // Where nothing is, it succeeds. Only a process of one thread knows of such a place.
    in_child(|| unsafe {
        let (hole, length) = (region.page(1), page());
        check!(1, sc::syscall!(MUNMAP, hole, length) == 0);
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        check!(2, syscall::mmap(hole, length, prot, flags, None, 0) == Ok(hole));
        check!(3, [0, 1, 2].map(|index| region.get(index)) == [7, 0, 9]);
        0
    });
}

#[test]
fn calls_on_ranges_refuse_what_the_kernel_refuses() {
    let files = Files::new("ranges");
    let (region, empty) = (Region::anonymous(4), File::from(memfd("empty", 0)));
    let (read, none) = (rustix::mm::ProtFlags::READ, usize::MAX);
    let of_read = Region::of(number(&files.read), 1, read);
    let beyond = Region::of(number(&empty), 1, read);
    let (page, at, nowhere) = (page(), region.0 as usize, NOWHERE as usize);
    let (of_read, beyond) = (of_read.0 as usize, beyond.0 as usize);
    let kernels = none - 2 * page + 1;

    refused(
        "munmap",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page)),
            ("length 0", Errno::EINVAL, (at, 0)),
            ("kernel's own", Errno::EINVAL, (kernels, page)),
            ("too long", Errno::EINVAL, (at, none - page)),
        ],
        |(at, length)| unsafe { syscall::munmap(at as *mut u8, length) },
        |(at, length)| unsafe { sc::syscall!(MUNMAP, at, length) },
    );

    let (both, grows) = (kernel::PROT_READ | kernel::PROT_WRITE, kernel::PROT_GROWSDOWN);
    refused(
        "mprotect",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page, both)),
            ("nothing there", Errno::ENOMEM, (nowhere, page, both)),
            ("too long", Errno::ENOMEM, (at, none - page, both)),
            ("writable of read-only", Errno::EACCES, (of_read, page, both)),
            (
                "flags that exclude each other",
                Errno::EINVAL,
                (at, page, grows | kernel::PROT_GROWSUP),
            ),
            ("grows down, but does not", Errno::EINVAL, (at, page, both | grows)),
        ],
        |(at, length, prot)| unsafe {
            syscall::mprotect(at as *mut u8, length, ProtFlags::from_bits_retain(prot))
        },
        |(at, length, prot)| unsafe { sc::syscall!(MPROTECT, at, length, prot) },
    );

    let (may, fixed) = (kernel::MREMAP_MAYMOVE, kernel::MREMAP_MAYMOVE | kernel::MREMAP_FIXED);
    let keep = kernel::MREMAP_MAYMOVE | kernel::MREMAP_DONTUNMAP;
    refused(
        "mremap",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page, page, may, 0)),
            ("new length 0", Errno::EINVAL, (at, page, 0, may, 0)),
            ("unknown flag", Errno::EINVAL, (at, page, page, 1 << 16, 0)),
            (
                "fixed, may not move",
                Errno::EINVAL,
                (at, page, page, kernel::MREMAP_FIXED, at + 2 * page),
            ),
            ("fixed, unaligned", Errno::EINVAL, (at, page, page, fixed, at + 2 * page + 1)),
            ("fixed, onto itself", Errno::EINVAL, (at, 2 * page, 2 * page, fixed, at + page)),
            ("kept, of another length", Errno::EINVAL, (at, page, 2 * page, keep, 0)),
            ("old length 0, private", Errno::EINVAL, (at, 0, page, may, 0)),
            ("nothing there", Errno::EFAULT, (nowhere, page, 2 * page, may, 0)),
            ("no room, may not move", Errno::ENOMEM, (at, page, 2 * page, 0, 0)),
            // As much as there are addresses, of which this program has some already.
            ("huge", Errno::ENOMEM, (at, page, (1 << 47) - (1 << 20), may, 0)),
        ],
        |(at, old, new, flags, to)| unsafe {
            let flags = MremapFlags::from_bits_retain(flags);
            syscall::mremap(at as *mut u8, old, new, flags, to as *mut u8)
        },
        |(at, old, new, flags, to)| unsafe { sc::syscall!(MREMAP, at, old, new, flags, to) },
    );

    refused(
        "msync",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page, kernel::MS_SYNC)),
            ("both", Errno::EINVAL, (at, page, kernel::MS_SYNC | kernel::MS_ASYNC)),
            ("unknown flag", Errno::EINVAL, (at, page, 1 << 16)),
            ("nothing there", Errno::ENOMEM, (nowhere, page, kernel::MS_SYNC)),
            ("too long", Errno::ENOMEM, (at, none - at, kernel::MS_ASYNC)),
        ],
        |(at, length, flags)| unsafe {
            syscall::msync(at as *mut u8, length, MsyncFlags::from_bits_retain(flags))
        },
        |(at, length, flags)| unsafe { sc::syscall!(MSYNC, at, length, flags) },
    );

    refused(
        "madvise",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page, kernel::MADV_NORMAL)),
            ("unknown", Errno::EINVAL, (at, page, 9999)),
            ("too long", Errno::EINVAL, (at, none, kernel::MADV_NORMAL)),
            ("nothing there", Errno::ENOMEM, (nowhere, page, kernel::MADV_NORMAL)),
            ("a hole in no file", Errno::EINVAL, (at, page, kernel::MADV_REMOVE)),
            ("free, of a file", Errno::EINVAL, (of_read, page, kernel::MADV_FREE)),
            ("writable, of read-only", Errno::EINVAL, (of_read, page, kernel::MADV_POPULATE_WRITE)),
            ("beyond the end", Errno::EFAULT, (beyond, page, kernel::MADV_POPULATE_READ)),
        ],
        |(at, length, advice)| unsafe { syscall::madvise(at as *mut u8, length, Advice(advice)) },
        |(at, length, advice)| unsafe { sc::syscall!(MADVISE, at, length, advice) },
    );

    refused(
        "mlock",
        &[("nothing there", Errno::ENOMEM, (nowhere, page))],
        |(at, length)| unsafe { syscall::mlock(at as *const u8, length) },
        |(at, length)| unsafe { sc::syscall!(MLOCK, at, length) },
    );
    refused(
        "mlock2",
        &[
            ("unknown flag", Errno::EINVAL, (at, page, 1 << 16)),
            ("nothing there", Errno::ENOMEM, (nowhere, page, kernel::MLOCK_ONFAULT)),
        ],
        |(at, length, flags)| unsafe {
            syscall::mlock2(at as *const u8, length, MlockFlags::from_bits_retain(flags))
        },
        |(at, length, flags)| unsafe { sc::syscall!(MLOCK2, at, length, flags) },
    );
    refused(
        "munlock",
        &[
            ("nothing there", Errno::ENOMEM, (nowhere, page)),
            ("too long", Errno::EINVAL, (at, none - page)),
        ],
        |(at, length)| unsafe { syscall::munlock(at as *const u8, length) },
        |(at, length)| unsafe { sc::syscall!(MUNLOCK, at, length) },
    );

    refused(
        "mincore",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page)),
            ("nothing there", Errno::ENOMEM, (nowhere, page)),
        ],
        |(at, length)| syscall::mincore(at as *const u8, length, &mut [0]),
        |(at, length)| unsafe { sc::syscall!(MINCORE, at, length, [0_u8].as_mut_ptr()) },
    );
    // Ours finds by itself that there is no room; the kernel only that there is no memory.
    for length in [page + 1, 2 * page, none] {
        assert_eq!(syscall::mincore(region.0, length, &mut [0]), Err(Errno::EFAULT), "{length}");
    }
    assert_eq!(outcome(unsafe { sc::syscall!(MINCORE, at, page, NOWHERE) }), Err(Errno::EFAULT));
}

#[test]
fn memfd_create_refuses_what_the_kernel_refuses() {
    let (long, longest) = (c("x".repeat(250)), c("x".repeat(249)));
    refused(
        "memfd_create",
        &[
            ("unknown flag", Errno::EINVAL, (c"x", 1 << 16)),
            (
                "to be run and not",
                Errno::EINVAL,
                (c"x", kernel::MFD_EXEC | kernel::MFD_NOEXEC_SEAL),
            ),
            ("long name", Errno::EINVAL, (long.as_c_str(), 0)),
        ],
        |(name, flags)| syscall::memfd_create(name, MemfdFlags::from_bits_retain(flags)),
        |(name, flags)| unsafe { sc::syscall!(MEMFD_CREATE, name.as_ptr(), flags) },
    );
    assert!(syscall::memfd_create(&longest, MemfdFlags::empty()).is_ok());
}

/// A file in memory, made by the oracle.
fn memfd(name: &str, length: u64) -> std::os::fd::OwnedFd {
    let fd = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&fd, length).unwrap();
    // SAFETY: given from one owner to the other.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(rustix::fd::IntoRawFd::into_raw_fd(fd)) }
}

// ---------------------------------------------------------------- memory, effects
// SAFETY of this section: memory of the test, to which there is no reference.

#[test]
fn a_shared_mapping_is_the_file_and_a_private_one_is_not() {
    let scratch = Scratch::new("shared");
    let mut contents = vec![b'.'; 3 * page()];
    contents[2 * page()] = b'2';
    let file = scratch.file("file", &contents);
    let fd = lend(number(&file));
    let (prot, offset) = (ProtFlags::READ | ProtFlags::WRITE, 2 * page() as u64);
    let map = |flags| unsafe {
        syscall::mmap(ptr::null_mut(), page(), prot, flags, Some(fd), offset).unwrap()
    };
    let (shared, private) = (map(MapFlags::SHARED), map(MapFlags::PRIVATE));
    let mut byte = [0];
    unsafe {
        assert_eq!((shared.read_volatile(), private.read_volatile()), (b'2', b'2'));
        private.write_volatile(b'p');
        file.read_exact_at(&mut byte, offset).unwrap();
        assert_eq!(byte, *b"2");
        shared.write_volatile(b's');
        file.read_exact_at(&mut byte, offset).unwrap();
        assert_eq!(byte, *b"s");
        assert_eq!(private.read_volatile(), b'p');
        for flags in [MsyncFlags::SYNC, MsyncFlags::ASYNC, MsyncFlags::INVALIDATE] {
            assert_eq!(syscall::msync(shared, page(), flags), Ok(()), "{flags:?}");
        }
        assert_eq!(syscall::munmap(shared, page()), Ok(()));
        assert_eq!(syscall::munmap(private, page()), Ok(()));
    }
}

#[test]
fn a_mapping_beyond_4_gib_of_a_file_has_the_right_page() {
    let fd = memfd("large", 6 << 30);
    let offset = (5 << 30) + 3 * page() as u64;
    rustix::io::pwrite(rustix(number(&fd)), b"here", offset).unwrap();
    let (prot, flags, file) = (ProtFlags::READ, MapFlags::SHARED, lend(number(&fd)));
    let at = unsafe { syscall::mmap(ptr::null_mut(), 4, prot, flags, Some(file), offset) }.unwrap();
    assert_eq!(unsafe { at.cast::<[u8; 4]>().read_volatile() }, *b"here");
    unsafe { syscall::munmap(at, 4).unwrap() };
}

#[test]
fn munmap_leaves_nothing() {
    let region = Region::anonymous(3);
    // In a copy: here another thread may map what is given back.
    in_child(|| unsafe {
        check!(1, syscall::munmap(region.page(1), page()) == Ok(()));
        let mut byte = [0_u8];
        let mapped = |index, byte: &mut [u8; 1]| {
            outcome(sc::syscall!(MINCORE, region.page(index), page(), byte.as_mut_ptr()))
        };
        check!(2, mapped(0, &mut byte) == Ok(0));
        check!(3, mapped(1, &mut byte) == Err(Errno::ENOMEM));
        check!(4, mapped(2, &mut byte) == Ok(0));
        // Pages without a mapping are no error.
        check!(5, syscall::munmap(region.page(0), 3 * page()) == Ok(()));
        check!(6, mapped(2, &mut byte) == Err(Errno::ENOMEM));
        0
    });
}

#[test]
fn mprotect_decides_who_may_read_and_write() {
    let region = Region::anonymous(2);
    region.put(0, 1);
    let file = memfd("target", 0);
    let fd = lend(number(&file));
    // The kernel finds out what a process may do with a page, and faults for nobody.
    let readable = |index| unsafe { syscall::pwrite_raw(fd, region.page(index), 1, 0) };
    let writable =
        |index| unsafe { outcome(sc::syscall!(PREAD64, number(&file), region.page(index), 1, 0)) };
    let (page, all) = (page(), ProtFlags::READ | ProtFlags::WRITE);
    let fault = Err(Errno::EFAULT);
    for (prot, may_read, may_write) in
        [(ProtFlags::empty(), fault, fault), (ProtFlags::READ, Ok(1), fault), (all, Ok(1), Ok(1))]
    {
        assert_eq!(unsafe { syscall::mprotect(region.0, page, prot) }, Ok(()), "{prot:?}");
        assert_eq!(readable(0), may_read, "{prot:?}");
        assert_eq!(readable(1), Ok(1), "the page after");
        assert_eq!(writable(0), may_write, "{prot:?}");
    }
    assert_eq!(unsafe { syscall::mprotect(region.0, 0, ProtFlags::empty()) }, Ok(()));
    assert_eq!(readable(0), Ok(1), "no bytes, no change");
}

#[test]
fn mremap_keeps_the_contents() {
    let page = page();
    let source = Region::anonymous(2);
    source.put(0, 5);
    source.put(1, 6);
    let target = Region::anonymous(4);
    target.put(3, 9);
    let (old, to) = (source.0, target.0);
    let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
    let moved = unsafe { syscall::mremap(old, 2 * page, 3 * page, flags, to) };
    mem::forget(source);
    assert_eq!(moved, Ok(to));
    assert_eq!([0, 1, 2, 3].map(|index| target.get(index)), [5, 6, 0, 9]);

    // Shrinking stays in place whatever the flags.
    let shorter =
        unsafe { syscall::mremap(to, 3 * page, 3 * page, MremapFlags::empty(), ptr::null_mut()) };
    assert_eq!(shorter, Ok(to));
    assert_eq!(target.get(1), 6);

    // An old length of zero: a second mapping of the same pages.
    let shared = Region::shared(1);
    shared.put(0, 1);
    let (may, null) = (MremapFlags::MAYMOVE, ptr::null_mut());
    let second = unsafe { syscall::mremap(shared.0, 0, page, may, null) }.unwrap();
    assert_ne!(second, shared.0);
    let second = Region(second, page);
    second.put(0, 2);
    assert_eq!(shared.get(0), 2);
}

#[test]
fn madvise_gives_pages_up() {
    let region = Region::anonymous(3);
    for index in 0..3 {
        region.put(index, 1);
    }
    unsafe { syscall::madvise(region.page(1), page(), Advice::DONTNEED).unwrap() };
    assert_eq!([0, 1, 2].map(|index| region.get(index)), [1, 0, 1]);

    // WIPEONFORK: the copy finds zeros.
    unsafe { syscall::madvise(region.page(2), page(), Advice::WIPEONFORK).unwrap() };
    in_child(|| {
        check!(1, [0, 1, 2].map(|index| region.get(index)) == [1, 0, 0]);
        0
    });
    assert_eq!(region.get(2), 1);
}

#[test]
fn locked_pages_cannot_be_invalidated() {
    let file = memfd("locked", page() as u64);
    let region = Region::of(number(&file), 1, rustix::mm::ProtFlags::READ);
    // Whether a page is locked, found out by msync(2): EBUSY.
    let locked = || {
        let result = unsafe { sc::syscall!(MSYNC, region.0, page(), kernel::MS_INVALIDATE) };
        outcome(result) == Err(Errno::EBUSY)
    };
    let resident = || {
        let mut byte = [0];
        syscall::mincore(region.0, 1, &mut byte).unwrap();
        byte[0] & 1 == 1
    };
    assert!(!locked() && !resident());
    unsafe {
        assert_eq!(syscall::mlock2(region.0, page(), MlockFlags::ONFAULT), Ok(()));
        assert!(locked() && !resident(), "locked as it comes");
        let ours = syscall::msync(region.0, page(), MsyncFlags::INVALIDATE);
        assert_eq!(ours, Err(Errno::EBUSY));
        assert_eq!(syscall::munlock(region.0, page()), Ok(()));
        assert!(!locked());
        assert_eq!(syscall::mlock(region.0, page()), Ok(()));
        assert!(locked() && resident(), "locked, and brought in");
        assert_eq!(syscall::munlock(region.0, page()), Ok(()));
        assert!(!locked());
        assert_eq!(syscall::mlock2(region.0, page(), MlockFlags::empty()), Ok(()));
        assert!(locked());
    }
}

#[test]
fn mincore_tells_touched_pages_from_others() {
    let file = memfd("pages", 4 * page() as u64);
    let region = Region::of(number(&file), 4, rustix::mm::ProtFlags::READ);
    rustix::io::pwrite(rustix(number(&file)), b"x", 2 * page() as u64).unwrap();
    // One byte more than there are pages, which must stay as it is.
    let (mut ours, mut oracle) = ([0xee; 5], [0xee; 5]);
    syscall::mincore(region.0, 4 * page(), &mut ours).unwrap();
    let result = unsafe { sc::syscall!(MINCORE, region.0, 4 * page(), oracle.as_mut_ptr()) };
    assert_eq!(outcome(result), Ok(0));
    assert_eq!(ours, oracle);
    assert_eq!(ours.map(|byte| byte & 1), [0, 0, 1, 0, 0]);
    assert_eq!(ours[4], 0xee);
    assert_eq!(syscall::mincore(region.page(2), 1, &mut ours[..1]), Ok(()), "part of a page");
    assert_eq!(ours[0] & 1, 1);
}

#[test]
fn a_memfd_has_its_name_and_its_flags() {
    for flags in [MemfdFlags::empty(), MemfdFlags::CLOEXEC, MemfdFlags::ALLOW_SEALING] {
        let fd = syscall::memfd_create(c"some name", flags).unwrap();
        let number = fd.as_fd().as_raw_fd();
        let link = fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
        assert_eq!(link, Path::new("/memfd:some name (deleted)"));
        let closed = rustix::io::fcntl_getfd(rustix(number)).unwrap();
        let expected = flags.contains(MemfdFlags::CLOEXEC);
        assert_eq!(closed.contains(rustix::io::FdFlags::CLOEXEC), expected, "{flags:?}");
        let seals = rustix::fs::fcntl_get_seals(rustix(number)).unwrap();
        let sealable = !seals.contains(rustix::fs::SealFlags::SEAL);
        assert_eq!(sealable, flags.contains(MemfdFlags::ALLOW_SEALING), "{flags:?}");
    }
}

#[test]
fn the_page_size_is_the_kernels() {
    assert_eq!(syscall::page_size(), page());
    // Found once, remembered after.
    assert_eq!(syscall::page_size(), page());
}

// ---------------------------------------------------------------- files, refused
// SAFETY of this section: calls that the kernel refuses.

#[test]
fn calls_on_descriptors_refuse_what_the_kernel_refuses() {
    let files = Files::new("descriptors");
    let [read, write, both, path, dir] = [
        number(&files.read),
        number(&files.write),
        number(&files.both),
        number(&files.path),
        files.dir(),
    ];
    let (reader, writer) = (number(&files.pipe.0), number(&files.pipe.1));
    let (null, full) = (number(&files.null), number(&files.full));
    let sealed = rustix::fs::memfd_create("sealed", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&sealed, 8).unwrap();
    let seals = rustix::fs::SealFlags::WRITE | rustix::fs::SealFlags::SHRINK;
    rustix::fs::fcntl_add_seals(&sealed, seals).unwrap();
    let sealed = rustix::fd::AsRawFd::as_raw_fd(&sealed);
    let high = 1_u64 << 63;
    let mut buffer = [0_u8; 8];
    let buffer = buffer.as_mut_ptr();

    refused(
        "read",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, buffer)),
            ("write-only", Errno::EBADF, (write, buffer)),
            ("path only", Errno::EBADF, (path, buffer)),
            ("directory", Errno::EISDIR, (dir, buffer)),
            ("empty pipe", Errno::EAGAIN, (reader, buffer)),
            ("bad address", Errno::EFAULT, (read, NOWHERE)),
        ],
        |(fd, to)| unsafe { syscall::read_raw(lend(fd), to, 8) },
        |(fd, to)| unsafe { sc::syscall!(READ, fd, to, 8) },
    );
    assert_eq!(syscall::read(lend(write), &mut [0; 8]), Err(Errno::EBADF));

    refused(
        "write",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, buffer)),
            ("read-only", Errno::EBADF, (read, buffer)),
            ("path only", Errno::EBADF, (path, buffer)),
            ("full device", Errno::ENOSPC, (full, buffer)),
            ("sealed", Errno::EPERM, (sealed, buffer)),
            ("bad address", Errno::EFAULT, (both, NOWHERE)),
        ],
        |(fd, from)| unsafe { syscall::write_raw(lend(fd), from, 8) },
        |(fd, from)| unsafe { sc::syscall!(WRITE, fd, from, 8) },
    );
    assert_eq!(syscall::write(lend(full), &[0; 8]), Err(Errno::ENOSPC));

    refused(
        "pread",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, 0)),
            ("write-only", Errno::EBADF, (write, 0)),
            ("pipe", Errno::ESPIPE, (reader, 0)),
            ("directory", Errno::EISDIR, (dir, 0)),
            ("offset 2^63", Errno::EINVAL, (read, high)),
            ("offset -1", Errno::EINVAL, (read, u64::MAX)),
        ],
        |(fd, offset)| syscall::pread(lend(fd), &mut [0; 8], offset),
        |(fd, offset)| unsafe { sc::syscall!(PREAD64, fd, buffer, 8, offset) },
    );

    refused(
        "pwrite",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, buffer, 0)),
            ("read-only", Errno::EBADF, (read, buffer, 0)),
            ("pipe", Errno::ESPIPE, (writer, buffer, 0)),
            ("full device", Errno::ENOSPC, (full, buffer, 0)),
            ("offset 2^63", Errno::EINVAL, (both, buffer, high)),
            ("bad address", Errno::EFAULT, (both, NOWHERE, 0)),
        ],
        |(fd, from, offset)| unsafe { syscall::pwrite_raw(lend(fd), from, 8, offset) },
        |(fd, from, offset)| unsafe { sc::syscall!(PWRITE64, fd, from, 8, offset) },
    );
    assert_eq!(syscall::pwrite(lend(full), &[0; 8], 0), Err(Errno::ENOSPC));

    refused(
        "lseek",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, 0, Whence::SET)),
            ("pipe", Errno::ESPIPE, (reader, 0, Whence::SET)),
            ("path only", Errno::EBADF, (path, 0, Whence::SET)),
            ("unknown", Errno::EINVAL, (read, 0, Whence(99))),
            ("before the start", Errno::EINVAL, (read, -1, Whence::SET)),
            ("far before the end", Errno::EINVAL, (read, -11, Whence::END)),
            ("data beyond the end", Errno::ENXIO, (read, 10, Whence::DATA)),
            ("hole beyond the end", Errno::ENXIO, (read, 11, Whence::HOLE)),
            ("data before the start", Errno::ENXIO, (read, -1, Whence::DATA)),
        ],
        |(fd, offset, whence)| syscall::lseek(lend(fd), offset, whence),
        |(fd, offset, whence)| unsafe { sc::syscall!(LSEEK, fd, offset, whence.0) },
    );

    refused(
        "ftruncate",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, 0)),
            ("read-only", Errno::EINVAL, (read, 0)),
            ("directory", Errno::EINVAL, (dir, 0)),
            ("pipe", Errno::EINVAL, (writer, 0)),
            ("device", Errno::EINVAL, (null, 0)),
            ("length 2^63", Errno::EINVAL, (both, high)),
            ("sealed", Errno::EPERM, (sealed, 7)),
        ],
        |(fd, length)| syscall::ftruncate(lend(fd), length),
        |(fd, length)| unsafe { sc::syscall!(FTRUNCATE, fd, length) },
    );

    let (top, hole) = (i64::MAX as u64, kernel::FALLOC_FL_PUNCH_HOLE);
    refused(
        "fallocate",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, 0, 0, 1)),
            ("read-only", Errno::EBADF, (read, 0, 0, 1)),
            ("pipe", Errno::ESPIPE, (writer, 0, 0, 1)),
            ("device", Errno::ENODEV, (null, 0, 0, 1)),
            ("length 0", Errno::EINVAL, (both, 0, 0, 0)),
            ("length 2^63", Errno::EINVAL, (both, 0, 0, high)),
            ("offset 2^63", Errno::EINVAL, (both, 0, high, 1)),
            ("the end overflows", Errno::EFBIG, (both, 0, top, top)),
            ("unknown", Errno::EOPNOTSUPP, (both, 1 << 16, 0, 1)),
            ("a hole at the end", Errno::EOPNOTSUPP, (both, hole, 0, 1)),
        ],
        |(fd, flags, offset, length)| {
            let flags = FallocateFlags::from_bits_retain(flags);
            syscall::fallocate(lend(fd), flags, offset, length)
        },
        |(fd, flags, offset, length)| unsafe { sc::syscall!(FALLOCATE, fd, flags, offset, length) },
    );

    let mut stat = [0_u64; 32];
    let stat = stat.as_mut_ptr();
    let bad = &[("bad descriptor", Errno::EBADF, BAD)];
    refused(
        "fstat",
        bad,
        |fd| syscall::fstat(lend(fd)),
        |fd| unsafe { sc::syscall!(FSTAT, fd, stat) },
    );
    let bad_or_pipe = &[bad[0], ("pipe", Errno::EINVAL, writer)];
    refused(
        "fsync",
        bad_or_pipe,
        |fd| syscall::fsync(lend(fd)),
        |fd| unsafe { sc::syscall!(FSYNC, fd) },
    );
    refused(
        "fdatasync",
        bad_or_pipe,
        |fd| syscall::fdatasync(lend(fd)),
        |fd| unsafe { sc::syscall!(FDATASYNC, fd) },
    );
    let bad_or_path = &[bad[0], ("path only", Errno::EBADF, path)];
    refused(
        "fchmod",
        bad_or_path,
        |fd| syscall::fchmod(lend(fd), Mode::RUSR),
        |fd| unsafe { sc::syscall!(FCHMOD, fd, kernel::S_IRUSR) },
    );
    refused(
        "fchown",
        bad_or_path,
        |fd| syscall::fchown(lend(fd), None, None),
        |fd| unsafe { sc::syscall!(FCHOWN, fd, -1_i32, -1_i32) },
    );
    refused(
        "close",
        bad,
        |fd| syscall::close(unsafe { OwnedFd::from_raw_fd(fd) }),
        |fd| unsafe { sc::syscall!(CLOSE, fd) },
    );

    refused(
        "fcntl",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, kernel::F_GETFD, 0)),
            ("unknown", Errno::EINVAL, (read, 9999, 0)),
            ("no such number", Errno::EINVAL, (read, kernel::F_DUPFD, BAD as usize)),
            ("bad address", Errno::EFAULT, (read, kernel::F_GETLK, NOWHERE as usize)),
            ("seals elsewhere", Errno::EINVAL, (both, kernel::F_GET_SEALS, 0)),
            ("sealed seals", Errno::EPERM, (read, kernel::F_ADD_SEALS, 0)),
        ],
        |(fd, command, argument)| unsafe { syscall::fcntl(lend(fd), command, argument) },
        |(fd, command, argument)| unsafe { sc::syscall!(FCNTL, fd, command, argument) },
    );
    refused(
        "ioctl",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, ioctl::TCGETS, buffer)),
            ("path only", Errno::EBADF, (path, ioctl::FIONREAD, buffer)),
            ("not a terminal", Errno::ENOTTY, (read, ioctl::TCGETS, buffer)),
            ("bad address", Errno::EFAULT, (reader, ioctl::FIONREAD, NOWHERE)),
        ],
        |(fd, request, to)| unsafe { syscall::ioctl(lend(fd), request, to as usize) },
        |(fd, request, to)| unsafe { sc::syscall!(IOCTL, fd, request, to) },
    );
}

#[test]
fn calls_on_paths_refuse_what_the_kernel_refuses() {
    let files = Files::new("paths");
    let (dir, file, pipe) = (files.dir(), number(&files.read), number(&files.pipe.0));
    let long = c("x".repeat(256));
    let long = long.as_c_str();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix(dir), c"fifo", fifo, mode, 0).unwrap();

    let create = kernel::O_CREAT;
    refused(
        "openat",
        &[
            ("bad directory", Errno::EBADF, (BAD, c"file", 0)),
            ("directory is a file", Errno::ENOTDIR, (file, c"file", 0)),
            ("missing", Errno::ENOENT, (dir, c"missing", 0)),
            ("empty", Errno::ENOENT, (dir, c"", 0)),
            ("below a file", Errno::ENOTDIR, (dir, c"file/x", 0)),
            ("long", Errno::ENAMETOOLONG, (dir, long, 0)),
            ("exists", Errno::EEXIST, (dir, c"file", create | kernel::O_EXCL)),
            ("link exists", Errno::EEXIST, (dir, c"loop", create | kernel::O_EXCL)),
            ("write a directory", Errno::EISDIR, (dir, c"sub", kernel::O_WRONLY)),
            ("not a directory", Errno::ENOTDIR, (dir, c"file", kernel::O_DIRECTORY)),
            ("link", Errno::ELOOP, (dir, c"link", kernel::O_NOFOLLOW)),
            ("loop", Errno::ELOOP, (dir, c"loop", 0)),
            ("nobody reads", Errno::ENXIO, (dir, c"fifo", kernel::O_WRONLY | kernel::O_NONBLOCK)),
            ("nameless to read", Errno::EINVAL, (dir, c".", kernel::O_TMPFILE)),
        ],
        |(dir, path, flags)| {
            syscall::openat(lend(dir), path, OFlags::from_bits_retain(flags), Mode::RUSR)
        },
        |(dir, path, flags)| unsafe {
            sc::syscall!(OPENAT, dir, path.as_ptr(), flags, kernel::S_IRUSR)
        },
    );
    let missing = c(files.scratch.path("missing"));
    let opened = syscall::open(&missing, OFlags::RDONLY, Mode::empty());
    assert_eq!(opened.map(drop), Err(Errno::ENOENT));

    let mut stat = [0_u64; 32];
    let stat = stat.as_mut_ptr();
    let table = [
        ("bad directory", Errno::EBADF, (BAD, c"file", 0)),
        ("bad descriptor", Errno::EBADF, (BAD, c"", kernel::AT_EMPTY_PATH)),
        ("directory is a file", Errno::ENOTDIR, (file, c"file", 0)),
        ("missing", Errno::ENOENT, (dir, c"missing", 0)),
        ("empty", Errno::ENOENT, (dir, c"", 0)),
        ("long", Errno::ENAMETOOLONG, (dir, long, 0)),
        ("loop", Errno::ELOOP, (dir, c"loop", 0)),
        ("unknown flag", Errno::EINVAL, (dir, c"file", 1)),
    ];
    refused(
        "statx",
        &table,
        |(dir, path, flags)| syscall::statx(lend(dir), path, AtFlags::from_bits_retain(flags)),
        |(dir, path, flags)| unsafe {
            sc::syscall!(STATX, dir, path.as_ptr(), flags, kernel::STATX_BASIC_STATS, stat)
        },
    );
    refused(
        "fstatat",
        &table,
        |(dir, path, flags)| syscall::fstatat(lend(dir), path, AtFlags::from_bits_retain(flags)),
        |(dir, path, flags)| unsafe { sc::syscall!(NEWFSTATAT, dir, path.as_ptr(), stat, flags) },
    );

    let remove = kernel::AT_REMOVEDIR;
    refused(
        "unlinkat",
        &[
            ("bad directory", Errno::EBADF, (BAD, c"file", 0)),
            ("missing", Errno::ENOENT, (dir, c"missing", 0)),
            ("below a file", Errno::ENOTDIR, (dir, c"file/x", 0)),
            ("directory", Errno::EISDIR, (dir, c"sub", 0)),
            ("not empty", Errno::ENOTEMPTY, (dir, c"sub", remove)),
            ("not a directory", Errno::ENOTDIR, (dir, c"file", remove)),
            ("itself", Errno::EINVAL, (dir, c"sub/.", remove)),
            ("unknown flag", Errno::EINVAL, (dir, c"file", 1)),
        ],
        |(dir, path, flags)| syscall::unlinkat(lend(dir), path, AtFlags::from_bits_retain(flags)),
        |(dir, path, flags)| unsafe { sc::syscall!(UNLINKAT, dir, path.as_ptr(), flags) },
    );

    let (keep, swap) = (kernel::RENAME_NOREPLACE, kernel::RENAME_EXCHANGE);
    // The directory's descriptor is of no account to an absolute path.
    let elsewhere = c"/proc/baremap-oracle";
    refused(
        "renameat2",
        &[
            ("bad old directory", Errno::EBADF, (BAD, c"file", dir, c"x", 0)),
            ("bad new directory", Errno::EBADF, (dir, c"file", BAD, c"x", 0)),
            ("missing", Errno::ENOENT, (dir, c"missing", dir, c"x", 0)),
            ("exists", Errno::EEXIST, (dir, c"file", dir, c"link", keep)),
            ("nothing to exchange", Errno::ENOENT, (dir, c"file", dir, c"x", swap)),
            ("keep and exchange", Errno::EINVAL, (dir, c"file", dir, c"link", keep | swap)),
            ("unknown flag", Errno::EINVAL, (dir, c"file", dir, c"x", 1 << 16)),
            ("file to directory", Errno::EISDIR, (dir, c"file", dir, c"sub", 0)),
            ("directory to file", Errno::ENOTDIR, (dir, c"sub", dir, c"file", 0)),
            ("into itself", Errno::EINVAL, (dir, c"sub", dir, c"sub/x", 0)),
            ("another mount", Errno::EXDEV, (dir, c"file", BAD, elsewhere, 0)),
        ],
        |(old_dir, old, new_dir, new, flags)| {
            let flags = RenameFlags::from_bits_retain(flags);
            syscall::renameat2(lend(old_dir), old, lend(new_dir), new, flags)
        },
        |(old_dir, old, new_dir, new, flags)| unsafe {
            sc::syscall!(RENAMEAT2, old_dir, old.as_ptr(), new_dir, new.as_ptr(), flags)
        },
    );

    refused(
        "linkat",
        &[
            ("bad old directory", Errno::EBADF, (BAD, c"file", dir, c"x", 0)),
            ("bad new directory", Errno::EBADF, (dir, c"file", BAD, c"x", 0)),
            ("missing", Errno::ENOENT, (dir, c"missing", dir, c"x", 0)),
            ("exists", Errno::EEXIST, (dir, c"file", dir, c"link", 0)),
            ("directory", Errno::EPERM, (dir, c"sub", dir, c"x", 0)),
            (
                "followed to a loop",
                Errno::ELOOP,
                (dir, c"loop", dir, c"x", kernel::AT_SYMLINK_FOLLOW),
            ),
            ("unknown flag", Errno::EINVAL, (dir, c"file", dir, c"x", 1)),
            ("another mount", Errno::EXDEV, (pipe, c"", dir, c"x", kernel::AT_EMPTY_PATH)),
        ],
        |(old_dir, old, new_dir, new, flags)| {
            let flags = AtFlags::from_bits_retain(flags);
            syscall::linkat(lend(old_dir), old, lend(new_dir), new, flags)
        },
        |(old_dir, old, new_dir, new, flags)| unsafe {
            sc::syscall!(LINKAT, old_dir, old.as_ptr(), new_dir, new.as_ptr(), flags)
        },
    );

    let mut buffer = [0_u8; 64];
    let buffer = buffer.as_mut_ptr();
    refused(
        "readlinkat",
        &[
            ("bad directory", Errno::EBADF, (BAD, c"link", 64)),
            ("missing", Errno::ENOENT, (dir, c"missing", 64)),
            ("not a link", Errno::EINVAL, (dir, c"file", 64)),
            ("below a file", Errno::ENOTDIR, (dir, c"file/x", 64)),
            ("no room", Errno::EINVAL, (dir, c"link", 0)),
        ],
        |(dir, path, room)| syscall::readlinkat(lend(dir), path, &mut [0; 64][..room]),
        |(dir, path, room)| unsafe { sc::syscall!(READLINKAT, dir, path.as_ptr(), buffer, room) },
    );

    refused(
        "faccessat",
        &[
            ("bad directory", Errno::EBADF, (BAD, c"file", kernel::F_OK)),
            ("missing", Errno::ENOENT, (dir, c"missing", kernel::F_OK)),
            ("below a file", Errno::ENOTDIR, (dir, c"file/x", kernel::F_OK)),
            ("loop", Errno::ELOOP, (dir, c"loop", kernel::F_OK)),
            ("not to be run", Errno::EACCES, (dir, c"file", kernel::X_OK)),
            ("unknown", Errno::EINVAL, (dir, c"file", 8)),
        ],
        |(dir, path, access)| syscall::faccessat(lend(dir), path, Access::from_bits_retain(access)),
        |(dir, path, access)| unsafe { sc::syscall!(FACCESSAT, dir, path.as_ptr(), access) },
    );

    let mut names: Vec<_> =
        fs::read_dir(&files.scratch.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["fifo", "file", "link", "loop", "sub"], "nothing has changed");
}

// ---------------------------------------------------------------- files, effects

type Fields = [(&'static str, i128); 16];

fn fields(stat: &Stat) -> Fields {
    [
        ("dev", stat.dev.into()),
        ("ino", stat.ino.into()),
        ("mode", stat.mode.bits().into()),
        ("nlink", stat.nlink.into()),
        ("uid", stat.uid.into()),
        ("gid", stat.gid.into()),
        ("rdev", stat.rdev.into()),
        ("size", stat.size.into()),
        ("blksize", stat.blksize.into()),
        ("blocks", stat.blocks.into()),
        ("atime", stat.atime.sec.into()),
        ("atime, nanoseconds", stat.atime.nsec.into()),
        ("mtime", stat.mtime.sec.into()),
        ("mtime, nanoseconds", stat.mtime.nsec.into()),
        ("ctime", stat.ctime.sec.into()),
        ("ctime, nanoseconds", stat.ctime.nsec.into()),
    ]
}

fn fields_of_rustix(stat: &rustix::fs::Stat) -> Fields {
    [
        ("dev", stat.st_dev.into()),
        ("ino", stat.st_ino.into()),
        ("mode", stat.st_mode.into()),
        ("nlink", stat.st_nlink.into()),
        ("uid", stat.st_uid.into()),
        ("gid", stat.st_gid.into()),
        ("rdev", stat.st_rdev.into()),
        ("size", stat.st_size.into()),
        ("blksize", stat.st_blksize.into()),
        ("blocks", stat.st_blocks.into()),
        ("atime", stat.st_atime.into()),
        ("atime, nanoseconds", stat.st_atime_nsec.into()),
        ("mtime", stat.st_mtime.into()),
        ("mtime, nanoseconds", stat.st_mtime_nsec.into()),
        ("ctime", stat.st_ctime.into()),
        ("ctime, nanoseconds", stat.st_ctime_nsec.into()),
    ]
}

fn fields_of_std(stat: &fs::Metadata) -> Fields {
    [
        ("dev", stat.dev().into()),
        ("ino", stat.ino().into()),
        ("mode", stat.mode().into()),
        ("nlink", stat.nlink().into()),
        ("uid", stat.uid().into()),
        ("gid", stat.gid().into()),
        ("rdev", stat.rdev().into()),
        ("size", stat.size().into()),
        ("blksize", stat.blksize().into()),
        ("blocks", stat.blocks().into()),
        ("atime", stat.atime().into()),
        ("atime, nanoseconds", stat.atime_nsec().into()),
        ("mtime", stat.mtime().into()),
        ("mtime, nanoseconds", stat.mtime_nsec().into()),
        ("ctime", stat.ctime().into()),
        ("ctime, nanoseconds", stat.ctime_nsec().into()),
    ]
}

/// The fields that rustix's `statx` has besides; its devices are in two halves.
fn fields_of_statx(stat: &rustix::fs::Statx) -> Fields {
    let device = |major, minor| rustix::fs::makedev(major, minor).into();
    [
        ("dev", device(stat.stx_dev_major, stat.stx_dev_minor)),
        ("ino", stat.stx_ino.into()),
        ("mode", stat.stx_mode.into()),
        ("nlink", stat.stx_nlink.into()),
        ("uid", stat.stx_uid.into()),
        ("gid", stat.stx_gid.into()),
        ("rdev", device(stat.stx_rdev_major, stat.stx_rdev_minor)),
        ("size", stat.stx_size.into()),
        ("blksize", stat.stx_blksize.into()),
        ("blocks", stat.stx_blocks.into()),
        ("atime", stat.stx_atime.tv_sec.into()),
        ("atime, nanoseconds", stat.stx_atime.tv_nsec.into()),
        ("mtime", stat.stx_mtime.tv_sec.into()),
        ("mtime, nanoseconds", stat.stx_mtime.tv_nsec.into()),
        ("ctime", stat.stx_ctime.tv_sec.into()),
        ("ctime, nanoseconds", stat.stx_ctime.tv_nsec.into()),
    ]
}

#[test]
fn stat_of_every_kind_of_file_has_the_fields_of_the_oracles() {
    let scratch = Scratch::new("stat");
    let file = scratch.file("file", vec![b'x'; 12345]);
    // Before 1970, and beyond 32 bits.
    let times = fs::FileTimes::new()
        .set_accessed(SystemTime::UNIX_EPOCH - Duration::new(86400, 1))
        .set_modified(SystemTime::UNIX_EPOCH + Duration::new((1 << 32) + 5, 123_456_789));
    file.set_times(times).unwrap();
    fs::hard_link(scratch.path("file"), scratch.path("second name")).unwrap();
    rustix::fs::fchmod(rustix(number(&file)), 0o4751.into()).unwrap();
    symlink("somewhere", scratch.path("link")).unwrap();
    fs::create_dir(scratch.path("directory")).unwrap();
    let sparse = File::create(scratch.path("sparse")).unwrap();
    sparse.write_all_at(b"end", 5 << 30).unwrap();
    let dir = scratch.dir();
    for (name, kind) in
        [("fifo", rustix::fs::FileType::Fifo), ("socket", rustix::fs::FileType::Socket)]
    {
        rustix::fs::mknodat(rustix(number(&dir)), name, kind, 0o640.into(), 0).unwrap();
    }

    let table = [
        ("file", FileType::Regular),
        ("directory", FileType::Directory),
        ("link", FileType::Symlink),
        ("sparse", FileType::Regular),
        ("fifo", FileType::Fifo),
        ("socket", FileType::Socket),
        ("/dev/null", FileType::CharacterDevice),
        ("/dev/full", FileType::CharacterDevice),
        ("/proc/self/exe", FileType::Symlink),
    ];
    for (name, kind) in table {
        let (path, at) = (c(name), scratch.path(name));
        let stat = syscall::statx(lend(number(&dir)), &path, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        let basic = rustix::fs::StatxFlags::BASIC_STATS;
        let oracle = rustix::fs::statx(rustix(number(&dir)), &*path, flags, basic).unwrap();
        assert_eq!(fields(&stat), fields_of_statx(&oracle), "statx of {name}");
        let oracle = fs::symlink_metadata(&at).unwrap();
        assert_eq!(fields(&stat), fields_of_std(&oracle), "statx of {name}");
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        assert_eq!(syscall::fstatat(lend(number(&dir)), &path, flags), Ok(stat), "{name}");
        assert_eq!(stat.file_type(), kind, "{name}");
        assert_eq!(stat.permissions().bits(), oracle.mode() & 0o7777, "{name}");

        // The same through a descriptor.
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW;
        let fd = rustix::fs::open(&*c(&at), flags, rustix::fs::Mode::empty()).unwrap();
        let oracle = rustix::fs::fstat(&fd).unwrap();
        let fd = lend(rustix::fd::AsRawFd::as_raw_fd(&fd));
        let by_fstat = syscall::fstat(fd).unwrap();
        assert_eq!(fields(&by_fstat), fields_of_rustix(&oracle), "fstat of {name}");
        let by_statx = syscall::statx(fd, c"", AtFlags::EMPTY_PATH).unwrap();
        assert_eq!(by_statx, by_fstat, "{name}");
    }

    let stat = syscall::fstat(lend(number(&file))).unwrap();
    assert_eq!((stat.nlink, stat.size, stat.permissions().bits()), (2, 12345, 0o4751));
    assert_eq!(stat.atime, Timespec { sec: -86401, nsec: 999_999_999 });
    assert_eq!(stat.mtime, Timespec { sec: (1 << 32) + 5, nsec: 123_456_789 });
    assert_eq!(syscall::fstat(lend(number(&sparse))).unwrap().size, (5 << 30) + 3);
}

#[test]
fn statx_follows_a_link_unless_told() {
    let files = Files::new("follow");
    let look = |name, flags| syscall::statx(lend(files.dir()), name, flags).unwrap();
    let file = look(c"file", AtFlags::empty());
    assert!(look(c"link", AtFlags::empty()).is_same_file(&file));
    assert!(!look(c"link", AtFlags::SYMLINK_NOFOLLOW).is_same_file(&file));
    // One of the numbers does not name a file.
    let changed = |change: fn(&mut Stat)| {
        let mut other = file;
        change(&mut other);
        other
    };
    assert!(!changed(|other| other.dev ^= 1).is_same_file(&file));
    assert!(!changed(|other| other.ino ^= 1).is_same_file(&file));
    assert!(changed(|other| other.size = 1).is_same_file(&file));
    let here = syscall::statx(CWD, c".", AtFlags::empty()).unwrap();
    assert_eq!(here.ino, fs::metadata(".").unwrap().ino());
}

#[test]
#[allow(clippy::unnecessary_cast, reason = "the oracle's types differ between architectures")]
fn the_file_system_is_that_of_the_oracle() {
    let scratch = Scratch::new("fstatfs");
    let (disk, memory) = (scratch.file("file", ""), memfd("memory", 0));
    let known = File::open("/proc/self/status").unwrap();
    for fd in [number(&disk), number(&memory), number(&known)] {
        let (ours, oracle) = (syscall::fstatfs(lend(fd)), rustix::fs::fstatfs(rustix(fd)));
        let (ours, oracle) = (ours.unwrap(), oracle.unwrap());
        assert_eq!(
            (ours.fs_type, ours.block_size),
            (oracle.f_type as u32, oracle.f_bsize as u64),
            "{fd}"
        );
    }
    assert_eq!(syscall::fstatfs(lend(number(&known))).unwrap().fs_type, kernel::PROC_SUPER_MAGIC);
    assert_eq!(syscall::fstatfs(lend(BAD)), Err(Errno::EBADF));
}

#[test]
fn every_device_has_the_number_of_the_oracle() {
    let mut devices = 0;
    for entry in fs::read_dir("/dev").unwrap() {
        let path = entry.unwrap().path();
        // What another process has just removed is none.
        let Ok(oracle) = fs::symlink_metadata(&path) else { continue };
        let kind = oracle.file_type();
        if !kind.is_char_device() && !kind.is_block_device() {
            continue;
        }
        let stat = syscall::statx(CWD, &c(&path), AtFlags::SYMLINK_NOFOLLOW).unwrap();
        assert_eq!((stat.rdev, stat.dev), (oracle.rdev(), oracle.dev()), "{}", path.display());
        let block = stat.file_type() == FileType::BlockDevice;
        assert_eq!(block, kind.is_block_device(), "{}", path.display());
        devices += 1;
    }
    assert!(devices >= 2, "at least /dev/null and /dev/full");
}

/// Numbers of which every bit is used. Only root may make such files; to others the
/// kernel refuses them, and that is all there is to see.
#[test]
fn large_device_numbers() {
    let scratch = Scratch::new("devices");
    let dir = scratch.dir();
    for (index, (major, minor)) in
        [(1, 255), (0x7ab, 0xabcde), (0xffe, 0xfffff), (0xfff, 256)].into_iter().enumerate()
    {
        let name = format!("device{index}");
        let kind = rustix::fs::FileType::CharacterDevice;
        let number = (number(&dir), rustix::fs::makedev(major, minor));
        let made = rustix::fs::mknodat(rustix(number.0), &*name, kind, 0o600.into(), number.1);
        match number_of(made) {
            Ok(()) => {
                let stat = syscall::statx(lend(number.0), &c(&name), AtFlags::empty()).unwrap();
                let oracle = fs::metadata(scratch.path(&name)).unwrap();
                assert_eq!(stat.rdev, oracle.rdev(), "{major}:{minor}");
                assert_eq!(stat.file_type(), FileType::CharacterDevice);
            }
            Err(errno) => assert_eq!(errno, Errno::EPERM),
        }
    }
}

#[test]
fn every_file_type_is_that_of_the_oracle() {
    let mut stat = syscall::fstat(lend(number(&File::open("/dev/null").unwrap()))).unwrap();
    for kind in 0..16 {
        let mode = kind << 12 | 0o7777;
        stat.mode = Mode::from_bits_retain(mode);
        let expected = match rustix::fs::FileType::from_raw_mode(mode) {
            rustix::fs::FileType::RegularFile => FileType::Regular,
            rustix::fs::FileType::Directory => FileType::Directory,
            rustix::fs::FileType::Symlink => FileType::Symlink,
            rustix::fs::FileType::Fifo => FileType::Fifo,
            rustix::fs::FileType::Socket => FileType::Socket,
            rustix::fs::FileType::CharacterDevice => FileType::CharacterDevice,
            rustix::fs::FileType::BlockDevice => FileType::BlockDevice,
            _ => FileType::Unknown,
        };
        assert_eq!(stat.file_type(), expected, "{mode:o}");
        assert_eq!(stat.permissions().bits(), 0o7777);
    }
}

#[test]
fn openat_opens_as_it_is_told() {
    let files = Files::new("open");
    let create = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
    let table = [
        ("file", OFlags::RDONLY),
        ("file", OFlags::WRONLY | OFlags::APPEND),
        ("file", OFlags::RDWR | OFlags::CLOEXEC),
        ("file", OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW),
        ("file", OFlags::PATH),
        ("sub", OFlags::RDONLY | OFlags::DIRECTORY),
        ("new", create),
        (".", OFlags::TMPFILE | OFlags::RDWR),
    ];
    for (name, flags) in table {
        let bits = rustix::fs::OFlags::from_bits_retain(flags.bits());
        // A mode of which the umask takes some: the same for both.
        for mode in [0o600, 0o777, 0o4666] {
            let path = c(name);
            let ours =
                syscall::openat(lend(files.dir()), &path, flags, Mode::from_bits_retain(mode));
            let _ = fs::remove_file(files.scratch.path("new"));
            let oracle = rustix::fs::openat(rustix(files.dir()), &*path, bits, mode.into());
            let _ = fs::remove_file(files.scratch.path("new"));
            // A file system may have no nameless files; then neither has any.
            let (ours, oracle) = match (ours, number_of(oracle)) {
                (Ok(ours), Ok(oracle)) => (ours, oracle),
                (ours, oracle) => {
                    assert_eq!(ours.map(drop), oracle.map(drop), "{name}");
                    continue;
                }
            };
            let fd = rustix(ours.as_fd().as_raw_fd());
            let told = |fd| (rustix::fs::fcntl_getfl(fd), rustix::io::fcntl_getfd(fd));
            let oracle = rustix::fd::AsFd::as_fd(&oracle);
            assert_eq!(told(fd), told(oracle), "{name}, {flags:?}");
            let mode = |fd| rustix::fs::fstat(fd).unwrap().st_mode;
            assert_eq!(mode(fd), mode(oracle), "{name}, {flags:?}");
        }
    }

    // TRUNC, and a path from the working directory.
    let path = c(files.scratch.path("file"));
    let fd = syscall::open(&path, OFlags::WRONLY | OFlags::TRUNC, Mode::empty()).unwrap();
    assert_eq!(syscall::write(fd.as_fd(), b"short"), Ok(5));
    assert_eq!(fs::read(files.scratch.path("file")).unwrap(), b"short");
}

#[test]
fn close_and_drop_close() {
    // A pipe ends when nobody can write to it any more. In a copy: another test's copy may
    // hold an end of a pipe that is made here.
    for dropped in [false, true] {
        in_child(|| unsafe {
            let mut ends = [0_i32; 2];
            check!(1, sc::syscall!(PIPE2, ends.as_mut_ptr(), kernel::O_NONBLOCK) == 0);
            let [reader, writer] = ends;
            check!(2, syscall::read(lend(reader), &mut [0]) == Err(Errno::EAGAIN));
            let writer = OwnedFd::from_raw_fd(writer);
            if dropped {
                drop(writer);
            } else {
                check!(3, syscall::close(writer) == Ok(()));
            }
            check!(4, syscall::read(lend(reader), &mut [0]) == Ok(0));
            0
        });
    }
}

#[test]
fn a_pipe_that_nobody_reads_is_broken() {
    // In a copy: another test's copy may hold an end of a pipe that is made here.
    in_child(|| unsafe {
        let mut ends = [0_i32; 2];
        check!(1, sc::syscall!(PIPE2, ends.as_mut_ptr(), 0) == 0);
        check!(2, syscall::write(lend(ends[1]), b"x") == Ok(1));
        check!(3, sc::syscall!(CLOSE, ends[0]) == 0);
        check!(4, outcome(sc::syscall!(WRITE, ends[1], b"x".as_ptr(), 1)) == Err(Errno::EPIPE));
        check!(5, syscall::write(lend(ends[1]), b"x") == Err(Errno::EPIPE));
        0
    });
}

#[test]
fn read_and_write_move_the_position_and_the_others_do_not() {
    let scratch = Scratch::new("position");
    let file = scratch.file("file", "0123456789");
    let (fd, oracle) = (lend(number(&file)), rustix(number(&file)));
    let position = || rustix::fs::tell(oracle).unwrap();
    let mut buffer = [b'-'; 6];
    assert_eq!(syscall::read(fd, &mut buffer[..4]), Ok(4));
    assert_eq!((&buffer, position()), (b"0123--", 4));
    assert_eq!(syscall::pread(fd, &mut buffer, 7), Ok(3));
    assert_eq!((&buffer, position()), (b"7893--", 4));
    assert_eq!(syscall::write(fd, b"ab"), Ok(2));
    assert_eq!(position(), 6);
    assert_eq!(syscall::pwrite(fd, b"cd", 1), Ok(2));
    assert_eq!(position(), 6);
    // SAFETY: of a buffer that is there.
    unsafe {
        assert_eq!(syscall::write_raw(fd, b"EF".as_ptr(), 2), Ok(2));
        assert_eq!(syscall::pwrite_raw(fd, b"xyz".as_ptr(), 3, 9), Ok(3));
        assert_eq!(fs::read(scratch.path("file")).unwrap(), b"0cd3abEF8xyz");
        assert_eq!(syscall::read_raw(fd, buffer.as_mut_ptr(), 3), Ok(3));
    }
    assert_eq!(&buffer, b"8xy3--");
    assert_eq!(syscall::read(fd, &mut buffer), Ok(1));
    assert_eq!(syscall::read(fd, &mut buffer), Ok(0), "the end");
    assert_eq!(syscall::read(fd, &mut []), Ok(0));
    assert_eq!(syscall::write(fd, &[]), Ok(0));
}

#[test]
fn offsets_beyond_4_gib() {
    const FAR: u64 = (5 << 32) + 3;

    let scratch = Scratch::new("far");
    let file = scratch.file("file", "near");
    let (fd, oracle) = (lend(number(&file)), rustix(number(&file)));
    assert_eq!(syscall::pwrite(fd, b"far", FAR), Ok(3));
    let mut bytes = [0; 3];
    file.read_exact_at(&mut bytes, FAR).unwrap();
    assert_eq!(&bytes, b"far");
    file.write_all_at(b"FAR", FAR).unwrap();
    assert_eq!(syscall::pread(fd, &mut bytes, FAR), Ok(3));
    assert_eq!(&bytes, b"FAR");
    assert_eq!(fs::metadata(scratch.path("file")).unwrap().len(), FAR + 3);
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"nea", "not written at the offset less its top");

    // Where the data are, and where the holes: as the file system says, to both.
    use rustix::fs::SeekFrom;
    let starts = [0, 1, 5, 4096, 1 << 20, 1 << 32, FAR - 1, FAR, FAR + 2];
    for at in starts {
        let signed = at as i64;
        let data = number_of(rustix::fs::seek(oracle, SeekFrom::Data(at)));
        assert_eq!(syscall::lseek(fd, signed, Whence::DATA), data, "data from {at}");
        let hole = number_of(rustix::fs::seek(oracle, SeekFrom::Hole(at)));
        assert_eq!(syscall::lseek(fd, signed, Whence::HOLE), hole, "hole from {at}");
        assert_eq!(syscall::lseek(fd, signed, Whence::SET), Ok(at));
        assert_eq!(rustix::fs::tell(oracle), Ok(at));
        assert_eq!(syscall::lseek(fd, 7, Whence::CUR), Ok(at + 7));
        assert_eq!(syscall::lseek(fd, -7, Whence::CUR), Ok(at));
        assert_eq!(syscall::lseek(fd, -signed, Whence::END), Ok(FAR + 3 - at));
    }
    assert_eq!(syscall::lseek(fd, 1 << 32, Whence::HOLE), Ok(1 << 32));
    let data = syscall::lseek(fd, 1 << 32, Whence::DATA).unwrap();
    assert!(data > 1 << 32 && data <= FAR, "{data}");

    for length in [FAR + 100, 1 << 32, 7] {
        assert_eq!(syscall::ftruncate(fd, length), Ok(()));
        assert_eq!(fs::metadata(scratch.path("file")).unwrap().len(), length);
    }
}

#[test]
fn fallocate_does_what_the_oracle_does() {
    let page = page() as u64;
    let keep = FallocateFlags::KEEP_SIZE;
    let table = [
        (FallocateFlags::empty(), 5 << 30, 2 * page),
        (keep, 0, 3 * page),
        (keep | FallocateFlags::PUNCH_HOLE, page, page),
        (FallocateFlags::empty(), 0, page),
    ];
    let (ours, oracle) = (memfd("ours", 0), memfd("oracle", 0));
    for (step, (flags, offset, length)) in table.into_iter().enumerate() {
        syscall::fallocate(lend(number(&ours)), flags, offset, length).unwrap();
        let bits = rustix::fs::FallocateFlags::from_bits_retain(flags.bits());
        rustix::fs::fallocate(rustix(number(&oracle)), bits, offset, length).unwrap();
        let [ours, oracle] = [&ours, &oracle].map(|fd| rustix(number(fd)));
        let size = |fd| rustix::fs::fstat(fd).map(|stat| (stat.st_size, stat.st_blocks)).unwrap();
        assert_eq!(size(ours), size(oracle), "step {step}");
        let hole = |fd| number_of(rustix::fs::seek(fd, rustix::fs::SeekFrom::Hole(0)));
        assert_eq!(hole(ours), hole(oracle), "step {step}");
    }
    let stat = rustix::fs::fstat(rustix(number(&ours))).unwrap();
    assert_eq!(stat.st_size as u64, (5 << 30) + 2 * page);
    assert_eq!(stat.st_blocks as u64 * 512, 4 * page);
}

#[test]
fn syncing_succeeds_on_a_file() {
    let scratch = Scratch::new("sync");
    let file = scratch.file("file", "x");
    assert_eq!(syscall::fsync(lend(number(&file))), Ok(()));
    assert_eq!(syscall::fdatasync(lend(number(&file))), Ok(()));
    assert_eq!(syscall::fsync(lend(number(&scratch.dir()))), Ok(()));
}

#[test]
fn names_come_and_go() {
    let files = Files::new("names");
    let (dir, sub) = (lend(files.dir()), File::open(files.scratch.path("sub")).unwrap());
    let sub = lend(number(&sub));
    let ino =
        |name: &str| fs::symlink_metadata(files.scratch.path(name)).map(|stat| stat.ino()).ok();
    let (file, link) = (ino("file"), ino("link"));
    assert!(file.is_some() && link.is_some() && file != link);

    assert_eq!(syscall::linkat(dir, c"file", sub, c"second", AtFlags::empty()), Ok(()));
    assert_eq!((ino("file"), ino("sub/second")), (file, file));
    assert_eq!(syscall::linkat(dir, c"link", dir, c"links", AtFlags::empty()), Ok(()));
    assert_eq!(ino("links"), link);
    let follow = AtFlags::SYMLINK_FOLLOW;
    assert_eq!(syscall::linkat(dir, c"link", dir, c"followed", follow), Ok(()));
    assert_eq!(ino("followed"), file);

    let rename = syscall::renameat2;
    assert_eq!(rename(sub, c"second", dir, c"third", RenameFlags::NOREPLACE), Ok(()));
    assert_eq!((ino("sub/second"), ino("third")), (None, file));
    assert_eq!(rename(dir, c"third", dir, c"link", RenameFlags::EXCHANGE), Ok(()));
    assert_eq!((ino("third"), ino("link")), (link, file));
    assert_eq!(rename(dir, c"sub/inner", dir, c"third", RenameFlags::empty()), Ok(()));
    assert!(ino("third") != link && ino("sub/inner").is_none());

    assert_eq!(syscall::unlinkat(dir, c"third", AtFlags::empty()), Ok(()));
    assert_eq!(ino("third"), None);
    assert_eq!(syscall::unlinkat(dir, c"sub", AtFlags::REMOVEDIR), Ok(()));
    assert_eq!(ino("sub"), None);
    assert_eq!((ino("file"), ino("followed")), (file, file), "the others are there");
}

#[test]
fn readlinkat_gives_as_much_as_there_is_room_for() {
    let scratch = Scratch::new("readlink");
    symlink("a longer target", scratch.path("link")).unwrap();
    let dir = scratch.dir();
    for room in 1..20 {
        let (mut ours, mut oracle) = ([b'-'; 20], [b'-'; 20]);
        let length = syscall::readlinkat(lend(number(&dir)), c"link", &mut ours[..room]);
        let told = rustix::fs::readlinkat_raw(rustix(number(&dir)), c"link", &mut oracle[..room]);
        assert_eq!(length, number_of(told), "{room}");
        assert_eq!(length, Ok(room.min(15)));
        assert_eq!(ours, oracle, "{room}");
    }
    let mut whole = [0; 15];
    syscall::readlinkat(lend(number(&dir)), c"link", &mut whole).unwrap();
    assert_eq!(&whole, b"a longer target");
}

#[test]
fn faccessat_says_what_the_oracle_says() {
    let scratch = Scratch::new("access");
    let (dir, file) = (scratch.dir(), scratch.file("file", ""));
    for mode in [0o000, 0o400, 0o200, 0o100, 0o600, 0o700] {
        rustix::fs::fchmod(rustix(number(&file)), mode.into()).unwrap();
        for access in 0..8 {
            let ours = Access::from_bits_retain(access);
            let oracle = rustix::fs::Access::from_bits_retain(access);
            let (ours, oracle) = (
                syscall::faccessat(lend(number(&dir)), c"file", ours),
                rustix::fs::accessat(
                    rustix(number(&dir)),
                    c"file",
                    oracle,
                    rustix::fs::AtFlags::empty(),
                ),
            );
            assert_eq!(ours, number_of(oracle), "{access} of {mode:o}");
        }
    }
    let denied = syscall::faccessat(lend(number(&dir)), c"file", Access::EXEC);
    assert_eq!(denied, Ok(()), "the owner's last mode");
}

#[test]
fn copy_file_range_copies_at_offsets() {
    let scratch = Scratch::new("range");
    let from = scratch.file("from", "0123456789");
    let (ours, oracle) = (scratch.file("ours", "abc"), scratch.file("oracle", "abc"));
    for (at, to_at, len) in [(2, 1, 3), (8, 6, 100), (10, 0, 1), (100, 0, 1), (0, 0, 0)] {
        let (mut read, mut written) = (at, to_at);
        let told = rustix::fs::copy_file_range(
            rustix(number(&from)),
            Some(&mut read),
            rustix(number(&oracle)),
            Some(&mut written),
            len,
        );
        let (from, to) = (lend(number(&from)), lend(number(&ours)));
        assert_eq!(syscall::copy_file_range(from, at, to, to_at, len), number_of(told), "{at}");
        let read = |name| fs::read(scratch.path(name)).unwrap();
        assert_eq!(read("ours"), read("oracle"), "{at}");
    }
    let written = fs::read(scratch.path("ours")).unwrap();
    assert_eq!(written, b"a234\0\x0089", "and what is between is zero");
    let (from, to) = (lend(number(&from)), lend(number(&ours)));
    let far = syscall::copy_file_range(from, 0, to, 5 << 30, 4);
    assert_eq!((far, ours.metadata().unwrap().len()), (Ok(4), (5 << 30) + 4));
    let overlap = syscall::copy_file_range(to, 0, to, 1, 4);
    assert_eq!(overlap, Err(Errno::EINVAL));
    let (_reader, writer) = std::io::pipe().unwrap();
    let no_file = syscall::copy_file_range(from, 0, lend(number(&writer)), 0, 1);
    assert_eq!(no_file, Err(Errno::EINVAL));
}

#[test]
fn ficlone_says_what_the_oracle_says() {
    let scratch = Scratch::new("clone");
    let from = scratch.file("from", "contents");
    let (ours, oracle) = (scratch.file("ours", ""), scratch.file("oracle", ""));
    let told = rustix::fs::ioctl_ficlone(rustix(number(&oracle)), rustix(number(&from)));
    assert_eq!(syscall::ficlone(lend(number(&ours)), lend(number(&from))), number_of(told));
    let read = |name| fs::read(scratch.path(name)).unwrap();
    assert_eq!(read("ours"), read("oracle"));
    let directory = scratch.dir();
    let refused = syscall::ficlone(lend(number(&ours)), lend(number(&directory)));
    assert_eq!(refused, Err(Errno::EISDIR));
}

#[test]
fn sync_file_range_writes_what_was_changed() {
    let scratch = Scratch::new("sync-range");
    let file = scratch.file("file", vec![1; 1 << 20]);
    let fd = lend(number(&file));
    let all = SyncFileRangeFlags::WRITE | SyncFileRangeFlags::WAIT_AFTER;
    // By memory alone there is nothing to be written.
    let disk = fs::metadata(scratch.path("")).unwrap().dev() >> 8 != 0;
    let dirty = || syscall::cachestat(fd, 0, 0).unwrap().dirty;
    if disk {
        assert!(dirty() > 0);
    }
    assert_eq!(syscall::sync_file_range(fd, 0, 0, all), Ok(()));
    assert_eq!(dirty(), 0);
    let wrong = SyncFileRangeFlags::from_bits_retain(8);
    for (offset, length, flags) in [(1 << 63, 0, all), (0, 1 << 63, all), (0, 0, wrong)] {
        let result = syscall::sync_file_range(fd, offset, length, flags);
        assert_eq!(result, Err(Errno::EINVAL), "{offset} {length}");
    }
    let (reader, _writer) = std::io::pipe().unwrap();
    let pipe = syscall::sync_file_range(lend(number(&reader)), 0, 0, all);
    assert_eq!(pipe, Err(Errno::ESPIPE));
}

#[test]
fn flock_locks_against_others_alone() {
    let scratch = Scratch::new("flock");
    let one = scratch.file("file", "");
    let other = File::open(scratch.path("file")).unwrap();
    let (one, other) = (lend(number(&one)), lend(number(&other)));
    assert_eq!(syscall::flock(one, Flock::EXCLUSIVE), Ok(()));
    assert_eq!(syscall::flock(one, Flock::EXCLUSIVE), Ok(()), "it is ours");
    assert_eq!(syscall::flock(other, Flock::SHARED), Err(Errno::EWOULDBLOCK));
    assert_eq!(syscall::flock(one, Flock::SHARED), Ok(()));
    assert_eq!(syscall::flock(other, Flock::SHARED), Ok(()));
    assert_eq!(syscall::flock(one, Flock::EXCLUSIVE), Err(Errno::EWOULDBLOCK));
    assert_eq!(syscall::flock(other, Flock::UNLOCK), Ok(()));
    assert_eq!(syscall::flock(one, Flock::EXCLUSIVE), Ok(()));
    assert_eq!(syscall::flock(one, Flock(0x100)), Err(Errno::EINVAL));
}

#[test]
fn renameat_replaces() {
    let scratch = Scratch::new("renameat");
    scratch.file("one", "1");
    scratch.file("other", "2");
    let dir = scratch.dir();
    let dir = lend(number(&dir));
    assert_eq!(syscall::renameat(dir, c"one", dir, c"other"), Ok(()));
    assert_eq!(fs::read(scratch.path("other")).unwrap(), b"1");
    assert_eq!(syscall::renameat(dir, c"one", dir, c"other"), Err(Errno::ENOENT));
    fs::create_dir(scratch.path("sub")).unwrap();
    let sub = File::open(scratch.path("sub")).unwrap();
    let sub = lend(number(&sub));
    assert_eq!(syscall::renameat(dir, c"other", sub, c"moved"), Ok(()));
    assert_eq!(fs::read(scratch.path("sub/moved")).unwrap(), b"1");
}

#[test]
fn futimens_sets_both_times() {
    let scratch = Scratch::new("times");
    let file = scratch.file("file", "");
    for (accessed, modified) in [((1, 2), (3, 4)), ((3 << 32, 999_999_999), (-5, 0))] {
        let time = |(sec, nsec)| Timespec { sec, nsec };
        let fd = lend(number(&file));
        assert_eq!(syscall::futimens(fd, time(accessed), time(modified)), Ok(()));
        let stat = file.metadata().unwrap();
        assert_eq!((stat.atime(), stat.atime_nsec()), accessed);
        assert_eq!((stat.mtime(), stat.mtime_nsec()), modified);
        let wrong = Timespec { sec: 0, nsec: 1_000_000_000 };
        assert_eq!(syscall::futimens(fd, wrong, wrong), Err(Errno::EINVAL));
    }
}

#[test]
fn extended_attributes_are_what_the_oracle_sees() {
    let scratch = Scratch::new("xattr");
    let file = scratch.file("file", "");
    let (ours, oracle) = (lend(number(&file)), rustix(number(&file)));
    assert_eq!(
        syscall::flistxattr(ours, &mut []),
        number_of(rustix::fs::flistxattr(oracle, &mut [0u8; 0][..]))
    );
    let none = XattrFlags::empty();
    let set = syscall::fsetxattr;
    assert_eq!(set(ours, c"user.one", b"value", XattrFlags::REPLACE), Err(Errno::ENODATA));
    assert_eq!(set(ours, c"user.one", b"value", XattrFlags::CREATE), Ok(()));
    assert_eq!(set(ours, c"user.one", b"again", XattrFlags::CREATE), Err(Errno::EEXIST));
    assert_eq!(set(ours, c"user.two", b"", none), Ok(()));
    assert_eq!(set(ours, c"nowhere.one", b"", none), Err(Errno::EOPNOTSUPP));
    let mut value = [0; 10];
    assert_eq!(rustix::fs::fgetxattr(oracle, "user.one", &mut value), Ok(5));
    assert_eq!(&value[..5], b"value");

    let mut found = [0; 10];
    assert_eq!(syscall::fgetxattr(ours, c"user.one", &mut found), Ok(5));
    assert_eq!(found, value);
    assert_eq!(syscall::fgetxattr(ours, c"user.one", &mut []), Ok(5));
    assert_eq!(syscall::fgetxattr(ours, c"user.one", &mut found[..4]), Err(Errno::ERANGE));
    assert_eq!(syscall::fgetxattr(ours, c"user.two", &mut found), Ok(0));
    assert_eq!(syscall::fgetxattr(ours, c"user.three", &mut found), Err(Errno::ENODATA));

    assert_eq!(syscall::fremovexattr(ours, c"user.three"), Err(Errno::ENODATA));
    assert_eq!(set(ours, c"user.three", b"3", none), Ok(()));
    assert_eq!(syscall::fremovexattr(ours, c"user.three"), Ok(()));
    assert_eq!(syscall::fgetxattr(ours, c"user.three", &mut found), Err(Errno::ENODATA));

    let (mut list, mut wanted) = ([0; 100], [0u8; 100]);
    let told = rustix::fs::flistxattr(oracle, &mut wanted[..]).unwrap();
    assert_eq!(syscall::flistxattr(ours, &mut list), Ok(told));
    assert_eq!((list, told >= 18), (wanted, true));
    assert_eq!(syscall::flistxattr(ours, &mut list[..1]), Err(Errno::ERANGE));
}

#[test]
fn modes_and_owners_are_set() {
    let scratch = Scratch::new("owners");
    let file = scratch.file("ours", "");
    let look = |name: &str| {
        let stat = fs::metadata(scratch.path(name)).unwrap();
        (stat.uid(), stat.gid(), stat.mode() & 0o7777)
    };
    for mode in [0o000, 0o640, 0o1777, 0o4755, 0o666] {
        assert_eq!(syscall::fchmod(lend(number(&file)), Mode::from_bits_retain(mode)), Ok(()));
        assert_eq!(look("ours").2, mode, "whatever the umask");
    }
    // Root may give files away, others may not: what the oracle may, we may.
    let table = [(None, None), (Some(12345), None), (None, Some(54321)), (Some(1), Some(2))];
    let oracle = scratch.file("oracle", "");
    fs::set_permissions(
        scratch.path("oracle"),
        fs::metadata(scratch.path("ours")).unwrap().permissions(),
    )
    .unwrap();
    for (owner, group) in table {
        let result = rustix::fs::fchown(
            rustix(number(&oracle)),
            owner.map(rustix::fs::Uid::from_raw),
            group.map(rustix::fs::Gid::from_raw),
        );
        let ours = syscall::fchown(lend(number(&file)), owner, group);
        assert_eq!(ours, number_of(result), "{owner:?}, {group:?}");
        assert_eq!(look("ours"), look("oracle"), "{owner:?}, {group:?}");
    }
}

#[test]
fn ioctl_and_fcntl_ask_and_are_answered() {
    let files = Files::new("ask");
    let (reader, writer) = (number(&files.pipe.0), number(&files.pipe.1));
    (&files.pipe.1).write_all(b"hello").unwrap();
    let mut waiting = 0_i32;
    // SAFETY: each argument is what the request takes; the new descriptor is ours.
    unsafe {
        let to = &raw mut waiting as usize;
        assert_eq!(syscall::ioctl(lend(reader), ioctl::FIONREAD, to), Ok(0));
        assert_eq!(waiting as u64, rustix::io::ioctl_fionread(rustix(reader)).unwrap());
        assert_eq!(waiting, 5);

        let flags = rustix::fs::fcntl_getfl(rustix(writer)).unwrap().bits() as usize;
        assert_eq!(syscall::fcntl(lend(writer), kernel::F_GETFL, 0), Ok(flags));
        let new = syscall::fcntl(lend(writer), kernel::F_DUPFD_CLOEXEC, 500).unwrap();
        assert!(new >= 500);
        let new = OwnedFd::from_raw_fd(new as RawFd);
        let number = new.as_fd().as_raw_fd();
        let closed = rustix::io::fcntl_getfd(rustix(number)).unwrap();
        assert_eq!(closed, rustix::io::FdFlags::CLOEXEC);
        assert_eq!(syscall::fcntl(new.as_fd(), kernel::F_SETFD, 0), Ok(0));
        let closed = rustix::io::fcntl_getfd(rustix(number)).unwrap();
        assert_eq!(closed, rustix::io::FdFlags::empty());
    }
}

// ---------------------------------------------------------------- processes
// SAFETY of this section: a copy makes raw calls only; the rest is refused, or concerns
// a copy.

#[test]
fn calls_on_processes_refuse_what_the_kernel_refuses() {
    let me = std::process::id() as Pid;
    let my_thread = rustix::thread::gettid().as_raw_nonzero().get();

    refused(
        "kill",
        &[
            ("nobody", Errno::ESRCH, (NOBODY, 15)),
            ("nobody, only asked", Errno::ESRCH, (NOBODY, 0)),
            ("no group", Errno::ESRCH, (-NOBODY, 15)),
            ("no signal", Errno::EINVAL, (me, 65)),
        ],
        |(pid, signal)| syscall::kill(pid, (signal != 0).then_some(Signal(signal))),
        |(pid, signal)| unsafe { sc::syscall!(KILL, pid, signal) },
    );
    refused(
        "tgkill",
        &[
            ("nobody", Errno::ESRCH, (NOBODY, NOBODY, 15)),
            ("no thread", Errno::ESRCH, (me, NOBODY, 15)),
            ("another's thread", Errno::ESRCH, (NOBODY, my_thread, 15)),
            ("process 0", Errno::EINVAL, (0, my_thread, 15)),
            ("thread -1", Errno::EINVAL, (me, -1, 15)),
            ("no signal", Errno::EINVAL, (me, my_thread, 65)),
        ],
        |(pid, thread, signal)| syscall::tgkill(pid, thread, Signal(signal)),
        |(pid, thread, signal)| unsafe { sc::syscall!(TGKILL, pid, thread, signal) },
    );
    assert_eq!(syscall::raise(Signal(65)), Err(Errno::EINVAL));

    let mut info = [0_u64; 16];
    let info = info.as_mut_ptr();
    refused(
        "waitid",
        &[
            ("nobody", Errno::ECHILD, (NOBODY, kernel::WEXITED)),
            ("itself", Errno::ECHILD, (me, kernel::WEXITED)),
            ("process 0", Errno::EINVAL, (0, kernel::WEXITED)),
            ("nothing to wait for", Errno::EINVAL, (NOBODY, 0)),
            ("unknown flag", Errno::EINVAL, (NOBODY, kernel::WEXITED | 1 << 20)),
        ],
        |(pid, flags)| syscall::waitid(Some(pid), WaitFlags::from_bits_retain(flags)),
        |(pid, flags)| unsafe { sc::syscall!(WAITID, kernel::P_PID, pid, info, flags, 0) },
    );

    let set = prctl::PR_SET_NO_NEW_PRIVS;
    refused(
        "prctl",
        &[
            ("unknown", Errno::EINVAL, (9999, [0; 4])),
            ("bad address", Errno::EFAULT, (prctl::PR_SET_NAME, [NOWHERE as usize, 0, 0, 0])),
            ("first argument", Errno::EINVAL, (set, [2, 0, 0, 0])),
            ("second argument", Errno::EINVAL, (set, [1, 1, 0, 0])),
            ("third argument", Errno::EINVAL, (set, [1, 0, 1, 0])),
            ("fourth argument", Errno::EINVAL, (set, [1, 0, 0, 1])),
        ],
        |(option, arguments)| unsafe { syscall::prctl(option, arguments) },
        |(option, [a, b, c, d])| unsafe { sc::syscall!(PRCTL, option, a, b, c, d) },
    );

    let mut buffer = [0_u8; 8];
    let buffer = buffer.as_mut_ptr();
    refused(
        "getrandom",
        &[
            ("unknown flag", Errno::EINVAL, 1 << 16),
            ("secure and not", Errno::EINVAL, kernel::GRND_RANDOM | kernel::GRND_INSECURE),
        ],
        |flags| syscall::getrandom(&mut [0; 8], GetrandomFlags::from_bits_retain(flags)),
        |flags| unsafe { sc::syscall!(GETRANDOM, buffer, 8, flags) },
    );

    let mut mask = [0_usize; 128];
    let mask = mask.as_mut_ptr();
    refused(
        "sched_getaffinity",
        &[
            ("no room", Errno::EINVAL, (0, 0)),
            ("nobody", Errno::ESRCH, (NOBODY, 128)),
            ("thread -1", Errno::ESRCH, (-1, 128)),
        ],
        |(thread, words)| syscall::sched_getaffinity(thread, &mut [0; 128][..words]),
        |(thread, words)| unsafe { sc::syscall!(SCHED_GETAFFINITY, thread, words * 8, mask) },
    );

    let none = u64::MAX;
    refused(
        "prlimit",
        &[
            ("unknown", Errno::EINVAL, (0, 99, None)),
            ("nobody", Errno::ESRCH, (NOBODY, kernel::RLIMIT_CORE, None)),
            ("current above maximum", Errno::EINVAL, (0, kernel::RLIMIT_CORE, Some([2, 1]))),
            ("above the system's", Errno::EPERM, (0, kernel::RLIMIT_NOFILE, Some([5, none]))),
        ],
        |(pid, resource, limit)| {
            let limit = limit.map(|[current, maximum]| Rlimit { current, maximum });
            syscall::prlimit(pid, Resource(resource), limit)
        },
        |(pid, resource, limit)| {
            let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
            unsafe { sc::syscall!(PRLIMIT64, pid, resource, limit, 0) }
        },
    );

    refused(
        "clone",
        &[
            ("handlers without memory", Errno::EINVAL, kernel::CLONE_SIGHAND),
            ("thread without handlers", Errno::EINVAL, kernel::CLONE_THREAD),
        ],
        |flags| unsafe { syscall::clone(CloneFlags::from_bits_retain(flags), None) },
        |flags| unsafe { sc::syscall!(CLONE, flags, 0, 0, 0, 0) },
    );
    // Ours alone: two processes on one stack.
    let shared = unsafe { syscall::clone(CloneFlags::VM, None) };
    assert_eq!(shared, Err(Errno::EINVAL));
}

#[test]
fn a_process_and_a_thread_know_their_numbers() {
    assert_eq!(syscall::getpid(), std::process::id() as Pid);
    assert_eq!(syscall::getppid(), std::os::unix::process::parent_id() as Pid);
    let mine = syscall::gettid();
    assert_eq!(mine, rustix::thread::gettid().as_raw_nonzero().get());
    let other = std::thread::spawn(|| {
        assert_eq!(syscall::getpid(), std::process::id() as Pid);
        assert_eq!(syscall::gettid(), rustix::thread::gettid().as_raw_nonzero().get());
        syscall::gettid()
    });
    assert_ne!(other.join().unwrap(), mine);

    let told = Region::shared(1);
    let pid = child(|| unsafe {
        check!(1, syscall::gettid() == syscall::getpid());
        told.0.cast::<Pid>().write_volatile(syscall::getpid());
        0
    });
    assert_eq!(wait(pid), WaitStatus::Exited(0));
    assert_eq!(unsafe { told.0.cast::<Pid>().read_volatile() }, pid);
}

/// Waits without taking the news away, so that the oracle can hear them too.
fn wait_twice(pid: Pid) -> (WaitStatus, rustix::process::WaitIdStatus) {
    let flags = WaitFlags::EXITED | WaitFlags::NOWAIT;
    let (who, ours) = syscall::waitid(Some(pid), flags).unwrap().unwrap();
    assert_eq!(who, pid);
    let pid = rustix::process::WaitId::Pid(rustix::process::Pid::from_raw(pid).unwrap());
    let oracle = rustix::process::waitid(pid, rustix::process::WaitIdOptions::EXITED);
    (ours, oracle.unwrap().unwrap())
}

#[test]
fn exit_statuses_arrive() {
    for (status, told) in [(0, 0), (1, 1), (77, 77), (255, 255), (0x1234, 0x34), (-1, 255)] {
        let (ours, oracle) = wait_twice(child(|| status));
        assert_eq!(ours, WaitStatus::Exited(told), "{status}");
        assert_eq!(oracle.exit_status(), Some(told), "{status}");
        assert_eq!(oracle.raw_code() as u32, kernel::CLD_EXITED);
    }
    // The last thread's end is the process's.
    let (ours, oracle) = wait_twice(child(|| unsafe { syscall::exit(5) }));
    assert_eq!((ours, oracle.exit_status()), (WaitStatus::Exited(5), Some(5)));
}

#[test]
fn killing_signals_arrive() {
    // KILL, and one that this process ignores or handles, set back to what it does.
    for signal in [Signal::KILL, Signal::TERM, Signal::PIPE, Signal::ALRM] {
        let pid = child(|| unsafe {
            let default = action(Disposition::Default, SaFlags::empty());
            check!(
                1,
                signal == Signal::KILL || syscall::rt_sigaction(signal, Some(&default)).is_ok()
            );
            check!(2, syscall::kill(syscall::getpid(), None) == Ok(()));
            check!(3, syscall::kill(syscall::getpid(), Some(signal)) == Ok(()));
            4
        });
        let (ours, oracle) = wait_twice(pid);
        assert_eq!(ours, WaitStatus::Killed(signal, false));
        assert_eq!(oracle.terminating_signal(), Some(signal.0 as i32));
    }
    // Whether there is a core dump is the machine's affair: both say the same. A file that
    // is left goes with the directory.
    let scratch = Scratch::new("killed");
    let dir = c(&scratch.0);
    let pid = child(|| unsafe {
        check!(1, sc::syscall!(CHDIR, dir.as_ptr()) == 0);
        let Ok(limit) = syscall::prlimit(0, Resource::CORE, None) else { return 2 };
        let limit = Rlimit { current: limit.maximum, ..limit };
        check!(3, syscall::prlimit(0, Resource::CORE, Some(limit)).is_ok());
        // Without the memory: to read that of other tests would bring pages in.
        let filter = c"/proc/self/coredump_filter";
        let Ok(filter) = syscall::open(filter, OFlags::WRONLY, Mode::empty()) else { return 7 };
        check!(8, syscall::write(filter.as_fd(), b"0") == Ok(1));
        let default = action(Disposition::Default, SaFlags::empty());
        check!(4, syscall::rt_sigaction(Signal::QUIT, Some(&default)).is_ok());
        check!(5, syscall::raise(Signal::QUIT) == Ok(()));
        6
    });
    let (ours, oracle) = wait_twice(pid);
    assert_eq!(ours, WaitStatus::Killed(Signal::QUIT, oracle.dumped()));
}

#[test]
fn a_child_stops_and_goes_on() {
    let pid = child(|| {
        check!(1, syscall::raise(Signal::STOP) == Ok(()));
        sleep_forever()
    });
    let wait = |flags| syscall::waitid(Some(pid), flags).unwrap();
    let stopped = WaitStatus::Other(kernel::CLD_STOPPED as i32, Signal::STOP.0 as i32);
    assert_eq!(wait(WaitFlags::STOPPED), Some((pid, stopped)));
    assert_eq!(wait(WaitFlags::EXITED | WaitFlags::NOHANG), None);
    assert_eq!(syscall::kill(pid, Some(Signal::CONT)), Ok(()));
    let continued = WaitStatus::Other(kernel::CLD_CONTINUED as i32, Signal::CONT.0 as i32);
    assert_eq!(wait(WaitFlags::CONTINUED), Some((pid, continued)));
    assert_eq!(syscall::kill(pid, None), Ok(()));
    assert_eq!(syscall::kill(pid, Some(Signal::KILL)), Ok(()));
    assert_eq!(wait(WaitFlags::EXITED), Some((pid, WaitStatus::Killed(Signal::KILL, false))));
    let gone = syscall::waitid(Some(pid), WaitFlags::EXITED);
    assert_eq!(gone, Err(Errno::ECHILD), "told once");
}

#[test]
fn any_child_can_be_waited_for() {
    // In a copy, which has no children that belong to other tests.
    in_child(|| {
        check!(1, syscall::waitid(None, WaitFlags::EXITED) == Err(Errno::ECHILD));
        let pid = child(|| 9);
        let end = syscall::waitid(None, WaitFlags::EXITED);
        check!(2, end == Ok(Some((pid, WaitStatus::Exited(9)))));
        0
    });
}

#[test]
fn clone_shares_what_it_is_told() {
    let file = memfd("shared", 0);
    let fd = rustix(number(&file));
    for (flags, shared) in [(CloneFlags::empty(), false), (CloneFlags::FILES, true)] {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC).unwrap();
        match unsafe { syscall::clone(flags, Some(Signal::CHLD)) }.unwrap() {
            None => unsafe {
                sc::syscall!(FCNTL, number(&file), kernel::F_SETFD, 0);
                syscall::exit_group(0)
            },
            Some(pid) => assert_eq!(wait(pid), WaitStatus::Exited(0)),
        }
        let changed = rustix::io::fcntl_getfd(fd).unwrap().is_empty();
        assert_eq!(changed, shared, "{flags:?}");
    }

    // With VFORK the parent goes on only after the copy's end, however long that takes.
    let told = Region::shared(1);
    let pid = match unsafe { syscall::clone(CloneFlags::VFORK, Some(Signal::CHLD)) }.unwrap() {
        None => {
            let _ = syscall::nanosleep(Timespec { sec: 0, nsec: 20_000_000 });
            told.put(0, 1);
            syscall::exit_group(6)
        }
        Some(pid) => pid,
    };
    assert_eq!(told.get(0), 1);
    assert_eq!(wait(pid), WaitStatus::Exited(6));

    // Without a signal at its end a copy is no ordinary child: wait(2), `__WALL`.
    let pid = match unsafe { syscall::clone(CloneFlags::empty(), None) }.unwrap() {
        None => syscall::exit_group(8),
        Some(pid) => pid,
    };
    assert_eq!(syscall::waitid(Some(pid), WaitFlags::EXITED), Err(Errno::ECHILD));
    let all = WaitFlags::EXITED | WaitFlags::from_bits_retain(kernel::__WALL);
    assert_eq!(syscall::waitid(Some(pid), all), Ok(Some((pid, WaitStatus::Exited(8)))));
}

/// On one stack: the copy leaves `clone` and calls `exit_group` before its parent leaves
/// `clone`. That is refused, or works. In a copy, as a wrong return address is its end.
#[test]
fn clone_with_the_parents_memory_lets_the_parent_go_on() {
    in_child(|| {
        let flags = CloneFlags::VM | CloneFlags::VFORK;
        let pid = match unsafe { syscall::clone(flags, Some(Signal::CHLD)) } {
            Ok(None) => syscall::exit_group(7),
            Ok(Some(pid)) => pid,
            Err(error) => return i32::from(error != Errno::EINVAL),
        };
        let end = syscall::waitid(Some(pid), WaitFlags::EXITED);
        check!(2, end == Ok(Some((pid, WaitStatus::Exited(7)))));
        0
    });
}

#[test]
fn prctl_sets_the_name_of_a_thread() {
    std::thread::spawn(|| {
        let name = c"renamed".as_ptr() as usize;
        let set = unsafe { syscall::prctl(prctl::PR_SET_NAME, [name, 0, 0, 0]) };
        assert_eq!(set, Ok(0));
        assert_eq!(fs::read_to_string("/proc/thread-self/comm").unwrap(), "renamed\n");
        let value = unsafe { syscall::prctl(prctl::PR_GET_NO_NEW_PRIVS, [0; 4]) };
        let oracle = rustix::thread::no_new_privs().unwrap();
        assert_eq!(value, Ok(oracle.into()));
    })
    .join()
    .unwrap();
}

#[test]
fn getrandom_fills_all_that_it_is_given() {
    let none = GetrandomFlags::empty();
    assert_eq!(syscall::getrandom(&mut [], none), Ok(0));
    for flags in [none, GetrandomFlags::NONBLOCK, GetrandomFlags::INSECURE] {
        let mut buffers = [[0_u8; 258]; 2];
        for buffer in &mut buffers {
            assert_eq!(syscall::getrandom(&mut buffer[1..257], flags), Ok(256), "{flags:?}");
            assert_eq!((buffer[0], buffer[257]), (0, 0), "not beyond");
            // 32 zeros in a row: one time in 2^256.
            assert!(buffer[1..257].chunks(32).all(|chunk| chunk.iter().any(|&byte| byte != 0)));
        }
        assert_ne!(buffers[0], buffers[1]);
    }
}

#[test]
fn sched_getaffinity_has_the_oracles_processors() {
    let (mut ours, mut oracle) = ([0_usize; 128], [0_usize; 128]);
    for thread in [0, syscall::gettid()] {
        let filled = syscall::sched_getaffinity(thread, &mut ours).unwrap();
        let to = oracle.as_mut_ptr();
        let told = unsafe { sc::syscall!(SCHED_GETAFFINITY, thread, 1024, to) };
        assert_eq!(Ok(filled), outcome(told));
        assert_eq!(ours, oracle);
    }
    let set = rustix::thread::sched_getaffinity(None).unwrap();
    for cpu in 0..1024 {
        assert_eq!(ours[cpu / 64] >> (cpu % 64) & 1 == 1, set.is_set(cpu), "{cpu}");
    }
    assert!(set.count() >= 1);
}

#[test]
fn prlimit_has_the_oracles_limits() {
    use rustix::process::Resource as Oracle;

    let table = [
        (Resource::AS, Oracle::As),
        (Resource::CORE, Oracle::Core),
        (Resource::CPU, Oracle::Cpu),
        (Resource::DATA, Oracle::Data),
        (Resource::FSIZE, Oracle::Fsize),
        (Resource::MEMLOCK, Oracle::Memlock),
        (Resource::NOFILE, Oracle::Nofile),
        (Resource::NPROC, Oracle::Nproc),
        (Resource::STACK, Oracle::Stack),
    ];
    for (resource, other) in table {
        let limit = syscall::prlimit(0, resource, None).unwrap();
        let oracle = rustix::process::getrlimit(other);
        let none = u64::MAX;
        assert_eq!(limit.current, oracle.current.unwrap_or(none), "{resource:?}");
        assert_eq!(limit.maximum, oracle.maximum.unwrap_or(none), "{resource:?}");
        assert_eq!(syscall::prlimit(syscall::getpid(), resource, None), Ok(limit));
    }

    let before = syscall::prlimit(0, Resource::NOFILE, None).unwrap();
    in_child(|| {
        let limit = Rlimit { current: 33, maximum: 44 };
        check!(1, syscall::prlimit(0, Resource::NOFILE, Some(limit)) == Ok(before));
        let mut seen = [0_u64; 2];
        let to = seen.as_mut_ptr();
        check!(2, unsafe { sc::syscall!(PRLIMIT64, 0, kernel::RLIMIT_NOFILE, 0, to) } == 0);
        check!(3, seen == [33, 44]);
        check!(4, syscall::prlimit(0, Resource::NOFILE, None) == Ok(limit));
        0
    });
    assert_eq!(syscall::prlimit(0, Resource::NOFILE, None), Ok(before));
}

// ---------------------------------------------------------------- clocks
// SAFETY of this section: the structures are the kernel's.

#[test]
fn clocks_stand_between_two_readings_of_the_oracle() {
    use rustix::time::ClockId as Oracle;

    let table = [
        (ClockId::Realtime, Oracle::Realtime),
        (ClockId::Monotonic, Oracle::Monotonic),
        (ClockId::Boottime, Oracle::Boottime),
        (ClockId::ProcessCputime, Oracle::ProcessCPUTime),
    ];
    for (clock, other) in table {
        let read = || {
            let time = rustix::time::clock_gettime(other);
            Timespec { sec: time.tv_sec, nsec: time.tv_nsec }
        };
        let before = read();
        let ours = syscall::clock_gettime(clock).unwrap();
        let after = read();
        assert!(before <= ours && ours <= after, "{clock:?}: {before:?} {ours:?} {after:?}");
    }
}

#[test]
fn nanosleep_refuses_what_the_kernel_refuses() {
    refused(
        "nanosleep",
        &[
            ("a whole second of nanoseconds", Errno::EINVAL, [0, 1_000_000_000]),
            ("nanoseconds below zero", Errno::EINVAL, [0, -1]),
            ("seconds below zero", Errno::EINVAL, [-1, 0]),
        ],
        |[sec, nsec]| syscall::nanosleep(Timespec { sec, nsec }),
        |span| unsafe { sc::syscall!(NANOSLEEP, span.as_ptr(), 0) },
    );
    assert_eq!(syscall::nanosleep(Timespec { sec: 0, nsec: 0 }), Ok(()));
    assert_eq!(syscall::nanosleep(Timespec { sec: 0, nsec: 999_999 }), Ok(()));
}

#[test]
fn nanosleep_is_interrupted_by_a_signal() {
    unsafe extern "C" fn nothing(_: c_int) {}

    in_child(|| unsafe {
        let alarm = action(Disposition::Handler(nothing), SaFlags::empty());
        check!(1, syscall::rt_sigaction(Signal::ALRM, Some(&alarm)).is_ok());
        // Again and again: the first may come before the sleep.
        let every = [0_i64, 10_000, 0, 10_000];
        check!(2, sc::syscall!(SETITIMER, kernel::ITIMER_REAL, every.as_ptr(), 0) == 0);
        let span = Timespec { sec: 1_000_000, nsec: 0 };
        check!(3, syscall::nanosleep(span) == Err(Errno::EINTR));
        // As a point in time this one would be over: it is a span from now on.
        let Ok(now) = syscall::clock_gettime(ClockId::Monotonic) else { return 4 };
        let span = Timespec { sec: now.sec / 2, nsec: 0 };
        check!(5, syscall::nanosleep(span) == Err(Errno::EINTR));
        0
    });
}

// ---------------------------------------------------------------- signals
// SAFETY of this section: handlers touch atomic variables, or make raw calls. Each test
// has signals of its own, most of them real-time signals that nobody else uses; what the
// process does with them is set back or of no account.

fn action(disposition: Disposition, flags: SaFlags) -> Sigaction {
    Sigaction { disposition, flags, mask: SigSet::empty() }
}

/// Which signals this thread blocks, by the oracle; bit 0 is signal 1.
fn blocked() -> u64 {
    let mut set = 0_u64;
    let to = &raw mut set;
    assert_eq!(unsafe { sc::syscall!(RT_SIGPROCMASK, 0, 0, to, 8) }, 0);
    set
}

const fn bit(signal: Signal) -> u64 {
    1 << (signal.0 - 1)
}

/// What the kernel has for a signal, by the oracle.
fn kernels_action(signal: Signal) -> kernel::kernel_sigaction {
    let mut action: kernel::kernel_sigaction = unsafe { mem::zeroed() };
    let to = &raw mut action;
    assert_eq!(unsafe { sc::syscall!(RT_SIGACTION, signal.0, 0, to, 8) }, 0);
    action
}

#[test]
fn calls_on_signals_refuse_what_the_kernel_refuses() {
    let ignored = kernels_action(Signal::PIPE);
    let ignored = ptr::from_ref(&ignored);
    refused(
        "rt_sigaction",
        &[
            ("KILL", Errno::EINVAL, Signal::KILL),
            ("STOP", Errno::EINVAL, Signal::STOP),
            ("signal 0", Errno::EINVAL, Signal(0)),
            ("signal 65", Errno::EINVAL, Signal(65)),
        ],
        |signal| unsafe {
            let ignore = action(Disposition::Ignore, SaFlags::empty());
            syscall::rt_sigaction(signal, Some(&ignore))
        },
        |signal| unsafe { sc::syscall!(RT_SIGACTION, signal.0, ignored, 0, 8) },
    );
    assert!(unsafe { syscall::rt_sigaction(Signal::KILL, None) }.is_ok(), "may be asked");

    refused(
        "rt_sigprocmask",
        &[("unknown", Errno::EINVAL, SigHow(99)), ("unknown", Errno::EINVAL, SigHow(3))],
        |how| unsafe { syscall::rt_sigprocmask(how, Some(&SigSet::empty())) },
        |how| unsafe { sc::syscall!(RT_SIGPROCMASK, how.0, &raw const BLOCKED_NONE, 0, 8) },
    );

    let stack = Region::anonymous(4);
    refused(
        "sigaltstack",
        &[("too small", Errno::ENOMEM, (1, 0)), ("unknown flag", Errno::EINVAL, (4 * page(), 16))],
        |(size, flags)| {
            let flags = SsFlags::from_bits_retain(flags);
            unsafe { syscall::sigaltstack(Some(&SigStack { base: stack.0, size, flags })) }
        },
        |(size, flags)| {
            let ss_sp = stack.0.cast();
            let stack = kernel::stack_t { ss_sp, ss_flags: flags as i32, ss_size: size as u64 };
            unsafe { sc::syscall!(SIGALTSTACK, &raw const stack, 0) }
        },
    );
}

static BLOCKED_NONE: u64 = 0;

#[test]
fn a_handler_runs_with_its_mask() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    static SIGNAL: AtomicI32 = AtomicI32::new(0);
    static MASK: AtomicU64 = AtomicU64::new(0);
    unsafe extern "C" fn handler(signal: c_int) {
        RUNS.fetch_add(1, SeqCst);
        SIGNAL.store(signal, SeqCst);
        MASK.store(blocked(), SeqCst);
    }

    let (mine, other) = (Signal::USR1, Signal(40));
    let mut set = action(Disposition::Handler(handler), SaFlags::RESTART);
    set.mask = SigSet::empty().with(other);
    let before = unsafe { syscall::rt_sigaction(mine, Some(&set)) }.unwrap();
    assert!(matches!(before.disposition, Disposition::Default));
    let seen = kernels_action(mine);
    assert_eq!(
        seen.sa_handler_kernel.map(|function| function as usize),
        Some(handler as *const () as usize)
    );
    assert_eq!(seen.sa_flags as u32 & kernel::SA_RESTART, kernel::SA_RESTART);
    assert_eq!(seen.sa_flags as u32 & kernel::SA_SIGINFO, 0);
    assert_eq!(seen.sa_mask.sig[0], bit(other));

    let outside = blocked();
    assert_eq!(syscall::raise(mine), Ok(()));
    assert_eq!((RUNS.load(SeqCst), SIGNAL.load(SeqCst)), (1, mine.0 as i32));
    assert_eq!(MASK.load(SeqCst), outside | bit(mine) | bit(other));
    assert_eq!(blocked(), outside, "set back at the return");
    let me = (syscall::getpid(), syscall::gettid());
    assert_eq!(syscall::tgkill(me.0, me.1, mine), Ok(()));
    assert_eq!(RUNS.load(SeqCst), 2);

    set.flags = SaFlags::NODEFER;
    set.mask = SigSet::empty();
    let back = unsafe { syscall::rt_sigaction(mine, Some(&set)) }.unwrap();
    let Disposition::Handler(function) = back.disposition else { panic!("{back:?}") };
    assert_eq!(function as usize, handler as *const () as usize);
    for signal in (1..=64).map(Signal) {
        assert_eq!(back.mask.contains(signal), signal == other, "{signal:?}");
    }
    assert_eq!(syscall::raise(mine), Ok(()));
    assert_eq!(MASK.load(SeqCst), outside, "not deferred");

    // RESETHAND: for one signal only.
    set.flags = SaFlags::RESETHAND;
    unsafe { syscall::rt_sigaction(mine, Some(&set)) }.unwrap();
    assert_eq!(syscall::raise(mine), Ok(()));
    assert_eq!(RUNS.load(SeqCst), 4);
    let after = unsafe { syscall::rt_sigaction(mine, None) }.unwrap();
    assert!(matches!(after.disposition, Disposition::Default));
}

#[test]
fn a_handler_is_told_about_the_signal() {
    static TOLD: [AtomicI32; 3] = [const { AtomicI32::new(0) }; 3];
    unsafe extern "C" fn handler(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
        let info = unsafe { &*info };
        TOLD[0].store(signal, SeqCst);
        TOLD[1].store(if context.is_null() { 0 } else { info.signal().0 as i32 }, SeqCst);
        TOLD[2].store(info.code(), SeqCst);
    }

    let signal = Signal(41);
    let set = action(Disposition::Info(handler), SaFlags::empty());
    unsafe { syscall::rt_sigaction(signal, Some(&set)) }.unwrap();
    let seen = kernels_action(signal);
    assert_eq!(seen.sa_flags as u32 & kernel::SA_SIGINFO, kernel::SA_SIGINFO);
    assert_eq!(syscall::raise(signal), Ok(()));
    // SI_TKILL, sigaction(2).
    assert_eq!(TOLD.each_ref().map(|told| told.load(SeqCst)), [41, 41, -6]);

    let back = unsafe { syscall::rt_sigaction(signal, None) }.unwrap();
    let Disposition::Info(function) = back.disposition else { panic!("{back:?}") };
    assert_eq!(function as usize, handler as *const () as usize);
    assert!(back.flags.contains(SaFlags::SIGINFO));

    // What is given back can be set again, and a plain handler does not keep the flag.
    unsafe extern "C" fn plain(signal: c_int) {
        TOLD[0].store(-signal, SeqCst);
    }
    let plain = Sigaction { disposition: Disposition::Handler(plain), ..back };
    unsafe { syscall::rt_sigaction(signal, Some(&plain)) }.unwrap();
    assert_eq!(kernels_action(signal).sa_flags as u32 & kernel::SA_SIGINFO, 0);
    assert_eq!(syscall::raise(signal), Ok(()));
    assert_eq!(TOLD[0].load(SeqCst), -41);
}

#[test]
fn an_action_is_given_back_with_the_flags_that_were_set() {
    unsafe extern "C" fn nothing(_: c_int) {}

    let signal = Signal(42);
    for flags in [SaFlags::empty(), SaFlags::RESTART | SaFlags::NODEFER, SaFlags::ONSTACK] {
        let set = action(Disposition::Handler(nothing), flags);
        unsafe { syscall::rt_sigaction(signal, Some(&set)) }.unwrap();
        let back = unsafe { syscall::rt_sigaction(signal, None) }.unwrap();
        assert_eq!(back.flags, flags);
    }
}

#[test]
fn signals_are_ignored_and_kill_as_they_are_told() {
    let signal = Signal::USR2;
    in_child(|| unsafe {
        let ignore = action(Disposition::Ignore, SaFlags::empty());
        check!(1, syscall::rt_sigaction(signal, Some(&ignore)).is_ok());
        check!(2, syscall::raise(signal) == Ok(()));
        let back = syscall::rt_sigaction(signal, None);
        check!(3, back.is_ok_and(|back| matches!(back.disposition, Disposition::Ignore)));
        0
    });
    let pid = child(|| {
        check!(1, syscall::raise(signal) == Ok(()));
        2
    });
    assert_eq!(wait(pid), WaitStatus::Killed(signal, false));
}

#[test]
fn a_blocked_signal_waits() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" fn handler(_: c_int) {
        RUNS.fetch_add(1, SeqCst);
    }

    let signal = Signal(43);
    let handler = action(Disposition::Handler(handler), SaFlags::empty());
    unsafe { syscall::rt_sigaction(signal, Some(&handler)) }.unwrap();
    let mask = |how, set: Option<&SigSet>| unsafe { syscall::rt_sigprocmask(how, set) }.unwrap();
    let (before, set) = (blocked(), SigSet::empty().with(signal));
    assert!(!mask(SigHow::BLOCK, Some(&set)).contains(signal));
    assert_eq!(blocked(), before | bit(signal));
    assert_eq!(syscall::raise(signal), Ok(()));
    assert_eq!(RUNS.load(SeqCst), 0);
    assert!(mask(SigHow::UNBLOCK, None).contains(signal), "only asked");
    assert_eq!(blocked(), before | bit(signal));
    let old = mask(SigHow::UNBLOCK, Some(&set));
    assert_eq!(RUNS.load(SeqCst), 1);
    for number in 1..=64 {
        let expected = (before | bit(signal)) & bit(Signal(number)) != 0;
        assert_eq!(old.contains(Signal(number)), expected, "{number}");
    }

    let ends = SigSet::empty().with(Signal(43)).with(Signal(64)).with(Signal(34));
    let old = mask(SigHow::SETMASK, Some(&ends));
    assert_eq!(blocked(), bit(Signal(43)) | bit(Signal(64)) | bit(Signal(34)));
    mask(SigHow::SETMASK, Some(&old));
    assert_eq!(blocked(), before);
}

#[test]
fn a_set_has_the_signals_that_were_put_in() {
    for number in 0..=70 {
        let (signal, valid) = (Signal(number), (1..=64).contains(&number));
        let set = SigSet::empty().with(signal);
        assert_eq!(set.contains(signal), valid, "{number}");
        for other in (1..=64).filter(|&other| other != number) {
            assert!(!set.contains(Signal(other)), "{other} in the set of {number}");
        }
    }
}

#[test]
fn a_handler_runs_on_the_stack_that_was_set() {
    static AT: AtomicUsize = AtomicUsize::new(0);
    static FLAGS: AtomicU32 = AtomicU32::new(0);
    static REFUSED: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" fn handler(_: c_int) {
        let here = 0_u8;
        AT.store(&raw const here as usize, SeqCst);
        let Ok(stack) = (unsafe { syscall::sigaltstack(None) }) else { return };
        FLAGS.store(stack.flags.bits(), SeqCst);
        // It cannot be changed while something runs on it.
        let Err(errno) = (unsafe { syscall::sigaltstack(Some(&stack)) }) else { return };
        REFUSED.store(errno.number().into(), SeqCst);
    }
    fn kernels_stack() -> (usize, i32, u64) {
        let mut stack = kernel::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
        assert_eq!(unsafe { sc::syscall!(SIGALTSTACK, 0, &raw mut stack) }, 0);
        (stack.ss_sp as usize, stack.ss_flags, stack.ss_size)
    }

    let signal = Signal(44);
    let set = action(Disposition::Handler(handler), SaFlags::ONSTACK);
    unsafe { syscall::rt_sigaction(signal, Some(&set)) }.unwrap();
    let region = Region::anonymous(32);
    let range = region.0 as usize..region.0 as usize + region.1;
    let before = kernels_stack();

    let stack = SigStack { base: region.0, size: region.1, flags: SsFlags::empty() };
    let old = unsafe { syscall::sigaltstack(Some(&stack)) }.unwrap();
    assert_eq!((old.base as usize, old.flags.bits() as i32, old.size as u64), before);
    assert_eq!(kernels_stack(), (region.0 as usize, 0, region.1 as u64));
    assert_eq!(syscall::raise(signal), Ok(()));
    assert!(range.contains(&AT.load(SeqCst)));
    assert_eq!(FLAGS.load(SeqCst), SsFlags::ONSTACK.bits());
    assert_eq!(REFUSED.load(SeqCst), u32::from(Errno::EPERM.number()));

    // Without the flag, on the thread's own stack.
    let set = action(set.disposition, SaFlags::empty());
    unsafe { syscall::rt_sigaction(signal, Some(&set)) }.unwrap();
    assert_eq!(syscall::raise(signal), Ok(()));
    assert!(!range.contains(&AT.load(SeqCst)));

    let back = unsafe { syscall::sigaltstack(Some(&old)) }.unwrap();
    assert_eq!((back.base, back.size, back.flags), (region.0, region.1, SsFlags::empty()));
    assert_eq!(kernels_stack(), before);
}

#[test]
fn a_fault_tells_the_address() {
    static EXPECTED: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn handler(signal: c_int, info: *mut SigInfo, _: *mut c_void) {
        let info = unsafe { &*info };
        let bus = signal != Signal::BUS.0 as i32 || info.code() == syscall::BUS_ADRERR;
        let at = info.addr() as usize == EXPECTED.load(SeqCst);
        syscall::exit_group(if at && bus { 42 } else { 43 });
    }

    let file = memfd("empty", 0);
    let beyond = Region::of(number(&file), 1, rustix::mm::ProtFlags::READ);
    for (signal, at) in [(Signal::BUS, beyond.0.wrapping_add(8)), (Signal::SEGV, NOWHERE)] {
        let pid = child(|| unsafe {
            EXPECTED.store(at as usize, SeqCst);
            let set = action(Disposition::Info(handler), SaFlags::empty());
            check!(1, syscall::rt_sigaction(signal, Some(&set)).is_ok());
            at.read_volatile();
            2
        });
        assert_eq!(wait(pid), WaitStatus::Exited(42), "{signal:?}");
    }
}

// ---------------------------------------------------------------- mappings

/// The number of an error that came from the kernel.
fn of_memmap2<T>(result: std::io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| Errno::new(error.raw_os_error().unwrap() as u16))
}

/// What both ways map of a file.
type Both = (Result<baremap::map::MmapRaw, Errno>, std::io::Result<memmap2::MmapRaw>);

fn both_ways(file: &File, offset: u64, len: Option<usize>) -> Both {
    let (mut ours, mut oracle) = (MmapOptions::new(), memmap2::MmapOptions::new());
    ours.offset(offset);
    oracle.offset(offset);
    if let Some(len) = len {
        ours.len(len);
        oracle.len(len);
    }
    (ours.map_raw_read_only(number(file)), oracle.map_raw_read_only(file))
}

#[test]
fn a_mapping_has_the_contents_of_the_oracles() {
    let scratch = Scratch::new("map");
    let page = page();
    let contents: Vec<u8> =
        (0..3 * page + 100).map(|index| (index * 7 + index / 251) as u8).collect();
    let file = scratch.file("file", &contents);
    let table = [
        (0, None),
        (page, None),
        (3 * page, None),
        (0, Some(1)),
        (0, Some(page)),
        (page, Some(page + 1)),
        (2 * page, Some(page + 100)),
        // Not from the start of a page.
        (1, None),
        (page + 5, Some(page)),
        (3 * page + 99, None),
        // Longer than the file: to the end of its last page.
        (3 * page, Some(page)),
    ];
    for (offset, len) in table {
        let (ours, oracle) = both_ways(&file, offset as u64, len);
        let (ours, oracle) = (ours.unwrap(), oracle.unwrap());
        assert_eq!(ours.len(), oracle.len(), "{offset}, {len:?}");
        assert!(!ours.is_empty());
        assert_eq!(ours.as_ptr() as usize % page, offset % page);
        // SAFETY: nobody writes to the file, and it is as long as that.
        let [ours, oracle] = [ours.as_ptr(), oracle.as_ptr()]
            .map(|at| unsafe { std::slice::from_raw_parts(at, ours.len()) });
        assert!(ours == oracle, "{offset}, {len:?}");
        let rest = &contents[offset..];
        assert!(ours.iter().zip(rest).all(|(a, b)| a == b), "{offset}, {len:?}");
    }
}

#[test]
fn a_mapping_of_nothing_is_empty() {
    let scratch = Scratch::new("nothing");
    let (full, empty) = (scratch.file("full", vec![1; page()]), scratch.file("empty", ""));
    for (file, offset, len) in
        [(&full, 0, Some(0)), (&full, page(), None), (&empty, 0, None), (&empty, 0, Some(0))]
    {
        // Versions of the oracle differ in what they make of it: only ours is looked at.
        let ours = both_ways(file, offset as u64, len).0.unwrap();
        assert_eq!((ours.len(), ours.is_empty()), (0, true));
        assert!(!ours.as_ptr().is_null());
    }
    let ours = MmapOptions::new().map_raw(lend(number(&empty))).unwrap();
    assert!(ours.is_empty() && ours.as_mut_ptr().cast_const() == ours.as_ptr());
}

#[test]
fn a_mapping_is_refused_as_the_oracles_is() {
    let files = Files::new("map-refused");
    let far = 1_u64 << 63;
    let table = [
        ("write-only", Errno::EACCES, &files.write, 0, Some(1)),
        ("directory", Errno::ENODEV, &files.dir, 0, Some(1)),
        ("device", Errno::ENODEV, &files.null, 0, Some(1)),
        ("path only", Errno::EBADF, &files.path, 0, Some(1)),
        ("the longest", Errno::ENOMEM, &files.read, 0, Some(isize::MAX as usize)),
        ("offset 2^63", Errno::EOVERFLOW, &files.read, far, Some(1)),
    ];
    for (case, errno, file, offset, len) in table {
        let (ours, oracle) = both_ways(file, offset, len);
        assert_eq!(ours.map(drop), Err(errno), "{case}");
        assert_eq!(of_memmap2(oracle).map(drop), Err(errno), "the oracle: {case}");
    }
    let ours = MmapOptions::new().map_raw(number(&files.read));
    assert_eq!(ours.map(drop), Err(Errno::EACCES), "writable of read-only");
    let oracle = memmap2::MmapOptions::new().map_raw(&files.read);
    assert_eq!(of_memmap2(oracle).map(drop), Err(Errno::EACCES));
    let ours = MmapOptions::new().map_raw_read_only(BAD);
    assert_eq!(ours.map(drop), Err(Errno::EBADF));

    // Beyond the end both refuse, but the oracle's error is not the kernel's.
    let (ours, oracle) = both_ways(&files.read, page() as u64, None);
    assert_eq!(ours.map(drop), Err(Errno::EINVAL));
    assert_eq!(oracle.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    let longer = (isize::MAX as usize) + 1;
    for len in [longer, usize::MAX] {
        let ours = MmapOptions::new().len(len).map_raw_read_only(number(&files.read));
        assert_eq!(ours.map(drop), Err(Errno::EOVERFLOW), "{len}");
    }
}

#[test]
fn what_is_written_to_a_mapping_is_in_the_file_and_in_the_oracles() {
    let scratch = Scratch::new("written");
    let file = scratch.file("file", vec![0; 2 * page()]);
    let offset = page() as u64;
    let ours = MmapOptions::new().offset(offset).map_raw(lend(number(&file))).unwrap();
    let oracle = memmap2::MmapOptions::new().map_raw(&file).unwrap();
    // It lives on without the descriptor.
    drop(file);
    // SAFETY: no reference to the memory is made.
    unsafe {
        ours.as_mut_ptr().add(5).write_volatile(b'o');
        oracle.as_mut_ptr().add(page() + 6).write_volatile(b'k');
        assert_eq!(oracle.as_ptr().add(page() + 5).read_volatile(), b'o');
        assert_eq!(ours.as_ptr().add(6).read_volatile(), b'k');
    }
    assert_eq!(&fs::read(scratch.path("file")).unwrap()[page() + 5..][..2], b"ok");
}

#[test]
fn a_mapping_ends_with_its_owner() {
    let file = memfd("mapped", 2 * page() as u64);
    let fd = lend(number(&file));
    // In a copy: here another thread may map what is given back.
    in_child(|| {
        let Ok(map) = MmapOptions::new().map_raw_read_only(fd) else { return 1 };
        let mapped = |at: *const u8| {
            // SAFETY: room for two pages.
            let result = unsafe { sc::syscall!(MINCORE, at, 2 * page(), [0_u8; 2].as_mut_ptr()) };
            outcome(result)
        };
        let at = map.as_ptr();
        check!(2, mapped(at) == Ok(0));
        drop(map);
        check!(3, mapped(at) == Err(Errno::ENOMEM));
        check!(4, mapped(at.wrapping_add(page())) == Err(Errno::ENOMEM));
        0
    });
}
