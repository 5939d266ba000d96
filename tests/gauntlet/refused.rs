//! System calls that fail: on an older kernel, on another file system, or under a filter.

use rustix::io::Errno;

use crate::{
    Rows, common,
    common::noise,
    not_here,
    sizes::METHODS,
    test_fs::TestFs,
    trial::{Trial, pages, run},
    watch::{Calls, refuse},
};

const MAP_SHARED: u32 = 1;
const PROT_WRITE: u32 = 2;

/// Returns the calls that a copy can do without, by name.
fn optional() -> Vec<(&'static str, Vec<Calls>)> {
    use sc::nr::*;
    let all = |numbers: &[usize]| numbers.iter().map(|&number| Calls::all(number)).collect();
    const FADVISE64: usize = 221;
    vec![
        ("copy_file_range", all(&[COPY_FILE_RANGE])),
        ("fallocate", all(&[FALLOCATE])),
        ("fstatfs", all(&[FSTATFS])),
        ("fstatfs, sync_file_range", all(&[FSTATFS, SYNC_FILE_RANGE])),
        ("statx", all(&[STATX])),
        ("renameat2", all(&[RENAMEAT2])),
        ("O_TMPFILE", vec![crate::signals::without_names()]),
        ("linkat", all(&[LINKAT])),
        ("madvise", all(&[MADVISE])),
        ("clone, clone3, fork, vfork", all(&[CLONE, CLONE3, FORK, VFORK])),
        ("ioctl", all(&[IOCTL])),
        ("flock", all(&[FLOCK])),
        ("prctl", all(&[PRCTL])),
        ("getrandom", all(&[GETRANDOM])),
        ("faccessat2", all(&[FACCESSAT2])),
        ("sched_getaffinity", all(&[SCHED_GETAFFINITY])),
        ("poll, ppoll", all(&[POLL, PPOLL])),
        ("clock_gettime", all(&[CLOCK_GETTIME])),
        ("fadvise64", all(&[FADVISE64])),
        ("sigaltstack", all(&[SIGALTSTACK])),
        ("rt_sigprocmask", all(&[RT_SIGPROCMASK])),
        ("rt_sigaction", all(&[RT_SIGACTION])),
        ("mmap of the destination", vec![Calls::with(MMAP, &[(2, PROT_WRITE), (3, MAP_SHARED)])]),
        ("mmap of files", vec![Calls::with(MMAP, &[(3, MAP_SHARED)])]),
    ]
}

fn needed_by_an_emulator(name: &str) -> bool {
    let calls = "clone madvise poll sigaltstack rt_sig prctl mmap ioctl getrandom faccessat2 \
        sched_getaffinity";
    calls.split_whitespace().any(|call| name.starts_with(call))
}

pub fn rows(rows: &mut Rows) {
    for (name, calls) in optional() {
        for (text, errno) in [("ENOSYS", Errno::NOSYS), ("EPERM", Errno::PERM)] {
            let calls = calls.clone();
            rows.add(format!("refused: {name}, {text}"), move |test_fs| {
                if common::runner().is_some() && needed_by_an_emulator(name) {
                    not_here("the emulator itself needs it");
                }
                if common::runner().is_some() && name == "statx" {
                    not_here("the emulator does it another way itself");
                }
                refused(test_fs, name, &calls, errno);
            });
        }
    }
    for (text, errno) in [("ENOSYS", Errno::NOSYS), ("EPERM", Errno::PERM)] {
        rows.add(format!("refused: all of these together, {text}"), move |test_fs| {
            if common::runner().is_some() {
                not_here("the emulator itself needs some of them");
            }
            let calls: Vec<Calls> = optional().into_iter().flat_map(|(_, calls)| calls).collect();
            refused(test_fs, "all", &calls, errno);
        });
    }
    for (what, call, errno) in [
        ("O_TMPFILE, EOPNOTSUPP (NFS)", crate::signals::without_names(), Errno::OPNOTSUPP),
        ("O_TMPFILE, EISDIR (before Linux 3.11)", crate::signals::without_names(), Errno::ISDIR),
        ("fallocate, EOPNOTSUPP (ext3)", Calls::all(sc::nr::FALLOCATE), Errno::OPNOTSUPP),
        ("copy_file_range, EXDEV", Calls::all(sc::nr::COPY_FILE_RANGE), Errno::XDEV),
        ("copy_file_range, EINVAL", Calls::all(sc::nr::COPY_FILE_RANGE), Errno::INVAL),
        // The source is in use as swap space.
        ("copy_file_range, ETXTBSY", Calls::all(sc::nr::COPY_FILE_RANGE), Errno::TXTBSY),
        ("FICLONE, ENOTTY", Calls::all(sc::nr::IOCTL), Errno::NOTTY),
        ("clone, EAGAIN", Calls::all(sc::nr::CLONE), Errno::AGAIN),
        ("madvise, EAGAIN", Calls::all(sc::nr::MADVISE), Errno::AGAIN),
        ("mmap of files, ENODEV", Calls::with(sc::nr::MMAP, &[(3, MAP_SHARED)]), Errno::NODEV),
    ] {
        rows.add(format!("refused: {what}"), move |test_fs| {
            if common::runner().is_some() && needed_by_an_emulator(what) {
                not_here("the emulator itself needs it");
            }
            refused(test_fs, what, std::slice::from_ref(&call), errno);
        });
    }
}

/// The copy succeeds with other calls: with each method, to no destination and to an existing one,
/// small and large, with and without holes, and with the options that need calls of their own.
fn refused(test_fs: &TestFs, name: &str, calls: &[Calls], errno: Errno) {
    let mut t = Trial::new(test_fs);
    t.file("small", noise(1000));
    t.file("middle", noise(300_000));
    t.file("large", pages((9 << 20) + 5));
    let holes = test_fs.is_whole();
    if holes {
        t.sparse("holes", 3 << 20, &[(0, b"start"), (2 << 20, b"later")]);
    }
    for source in ["small", "middle", "large", "holes"] {
        if source == "holes" && !holes {
            continue;
        }
        let bytes = t.path(source).metadata().unwrap().len();
        // Each method once, and each with a second worker, except for copies by the kernel.
        for way in [0, 2, 4, 5, 7].map(|number| METHODS[number]) {
            for dest in ["new", "dest"] {
                if dest == "dest" {
                    t.file("dest", "old");
                }
                let mut copy = t.mapcp(way.iter().chain(&[source, dest]));
                refuse(&mut copy, calls, errno);
                let ran = run(&mut copy);
                // A requested method that is not possible is an error.
                let kernel = way.contains(&"--method=kernel")
                    && (name.starts_with("copy_file_range") || name == "all");
                let maps =
                    way.iter().any(|word| *word == "--method=map" || *word == "--method=write")
                        && (name.starts_with("mmap") || name == "all");
                if (kernel || maps) && !ran.err.is_empty() {
                    let lines = ["copy within the kernel", "map"].map(|action| {
                        [source, dest].map(|path| {
                            let text = cause(errno);
                            format!("cannot {action} '{path}': {text}")
                        })
                    });
                    let lines: Vec<&str> = lines.iter().flatten().map(|line| &**line).collect();
                    ran.fails_by_one_of(&lines);
                    t.check();
                    continue;
                }
                ran.copied(bytes);
                t.becomes_as(dest, source);
                t.check();
                if dest == "new" {
                    t.remove("new");
                }
            }
        }
    }
}

/// Returns the text of an error in a message.
pub fn cause(errno: Errno) -> &'static str {
    match errno {
        Errno::NOSYS => "Invalid system call number (ENOSYS)",
        Errno::PERM => "Operation not permitted (EPERM)",
        Errno::ACCESS => "Permission denied (EACCES)",
        Errno::XDEV => "Cross-device link (EXDEV)",
        Errno::INVAL => "Invalid argument (EINVAL)",
        Errno::NODEV => "No such device (ENODEV)",
        Errno::OPNOTSUPP => "Operation not supported on transport endpoint (EOPNOTSUPP)",
        Errno::NOTTY => "Not a typewriter (ENOTTY)",
        Errno::AGAIN => "Try again (EAGAIN)",
        Errno::TXTBSY => "Text file busy (ETXTBSY)",
        _ => panic!("{errno} is not asked for"),
    }
}
