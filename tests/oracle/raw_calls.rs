//! Raw calls and the numbers of the calls, against the crate `sc`.
//!
//! SAFETY of all calls here: the kernel refuses them, or they only ask, or they change only what belongs
//! to the test.

use super::*;
use baremap::syscall::raw;

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

    // A call, its arguments, and for each argument another value that alone changes the result.
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
        let _case = case!(count);
        let arguments = &[1, 2, 3, 4, 5, 6][..count];
        assert_eq!(outcome(ours_raw(100_000, arguments)), Err(Errno::ENOSYS), "{count} arguments");
        assert_eq!(ours_raw(100_000, arguments), oracle_raw(100_000, arguments));
    }
}

#[test]
fn call_numbers_agree_with_the_crate_sc() {
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
    #[cfg(target_arch = "x86_64")]
    same! { newfstatat NEWFSTATAT, rt_sigreturn RT_SIGRETURN, }
    assert_eq!(raw::nr::sync_file_range, Some(sc::nr::SYNC_FILE_RANGE));
    #[cfg(target_arch = "x86_64")]
    assert_eq!(raw::nr::renameat, Some(sc::nr::RENAMEAT));
}
