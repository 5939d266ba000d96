//! The copy as a library call: it leaves the rest of the process unchanged.
//!
//! No test in this file starts another process, so that any child belongs to a copy.

mod common;

use std::{
    ffi::{CStr, CString},
    fs, mem,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use baremap::{
    copy::{self, Copied, Method, Options},
    syscall::{self, Disposition, SigSet, Signal},
};
use common::{Scratch, noise};
use rustix::{fs::OFlags, io::Errno};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq, SeccompCondition,
    SeccompFilter, SeccompRule,
};

const SIZE: usize = 32 << 20;

fn path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// Returns the signals that have a handler, except those of the standard library and of glibc's
/// threads.
fn handled() -> Vec<Signal> {
    let signals = (1..=8 * size_of::<SigSet>() as u32).map(Signal);
    let of_others = [Signal::SEGV, Signal::BUS, Signal(32), Signal(33)];
    let is_handled = |signal: &Signal| {
        // SAFETY: nothing is set.
        let action = unsafe { syscall::rt_sigaction(*signal, None) }.unwrap();
        matches!(action.disposition, Disposition::Handler(_) | Disposition::Info(_))
    };
    signals.filter(|signal| !of_others.contains(signal)).filter(is_handled).collect()
}

/// Returns the largest resident set of any child that was waited for, in KiB, or zero without
/// children.
fn children() -> i64 {
    // SAFETY: numbers, for which zeros are values.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: the kernel fills the structure.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) }, 0);
    usage.ru_maxrss as i64
}

/// Makes the kernel refuse unnamed files to this thread, so that a copy has a temporary name.
fn refuse_unnamed_files() {
    let bits = u64::from(OFlags::TMPFILE.bits());
    let flags = SeccompCondition::new(2, Dword, MaskedEq(bits), bits).unwrap();
    let rule = SeccompRule::new(vec![flags]).unwrap();
    let filter = SeccompFilter::new(
        [(libc::SYS_openat, vec![rule])].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(Errno::OPNOTSUPP.raw_os_error() as u32),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let filter: BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&filter).unwrap();
}

/// Copies beside a thread that waits for signals, and checks the process during and after the copy.
fn copy_beside_a_thread(test: &str, has_names: bool, options: fn(&mut Options)) {
    let dir = Scratch::new(test);
    let source = dir.file("source", noise(SIZE));
    let dest = dir.file("dest", "old");
    let is_over = AtomicBool::new(false);
    let (mut calls, mut names) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                thread::yield_now();
            }
        });
        let copying = scope.spawn(|| {
            if has_names {
                refuse_unnamed_files();
            }
            let mut asked = Options::default();
            options(&mut asked);
            let mut progress = |_, _| {
                calls += 1;
                let is_temporary = |name: &String| name.starts_with(".mapcp-");
                names += dir.names().iter().filter(|name| is_temporary(name)).count();
                assert_eq!(handled(), [], "while it copies");
            };
            let (source, dest) = (path(&source), path(&dest));
            let Copied { bytes, .. } =
                copy::copy(&asked, &source, &dest, &mut progress).map_err(|e| e.to_string())?;
            Ok::<u64, String>(bytes)
        });
        let copied = copying.join();
        is_over.store(true, Relaxed);
        assert_eq!(copied.unwrap(), Ok(SIZE as u64));
    });
    assert!(calls > 1, "{calls} calls of the progress function");
    assert_eq!(names > 0, has_names, "a temporary name was there {names} times");
    assert_eq!(handled(), [], "after the copy");
    assert_eq!(children(), 0, "KiB of a child that was waited for");
    assert_eq!(dir.names(), ["dest", "source"]);
    assert!(fs::read(&dest).unwrap() == fs::read(&source).unwrap());
}

#[test]
fn a_large_file_is_copied_by_this_process_alone() {
    copy_beside_a_thread("alone", false, |options| options.method = Some(Method::Write));
    copy_beside_a_thread("best", false, |_| {});
}

#[test]
fn more_jobs_than_one_need_permission() {
    copy_beside_a_thread("jobs", false, |options| {
        (options.method, options.jobs) = (Some(Method::Write), 4);
    });
}

#[test]
fn no_handler_is_installed_for_a_temporary_name() {
    copy_beside_a_thread("names", true, |options| options.method = Some(Method::Write));
}

/// Copies by several threads to one destination are as independent as copies by several processes.
#[test]
fn threads_copy_at_the_same_time() {
    let dir = Scratch::new("threads");
    let dest = dir.file("dest", "old");
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..8 {
            let (dir, dest, failures) = (&dir, path(&dest), &failures);
            scope.spawn(move || {
                if number % 2 == 0 {
                    refuse_unnamed_files();
                }
                let source = path(&dir.file(format!("source{number}"), [number; 100_000]));
                for _ in 0..20 {
                    let copied = copy::copy(&Options::default(), &source, &dest, &mut |_, _| {});
                    if let Err(error) = copied {
                        failures.lock().unwrap().push(error.to_string());
                    }
                }
            });
        }
    });
    assert_eq!(*failures.lock().unwrap(), [""; 0]);
    let bytes = fs::read(&dest).unwrap();
    assert!(bytes.len() == 100_000 && bytes.iter().all(|&byte| byte == bytes[0]));
    assert!(dir.names().iter().all(|name| !name.starts_with(".mapcp-")), "{:?}", dir.names());
}

#[test]
fn everything_public_has_debug() {
    fn text(value: &dyn std::fmt::Debug) -> String {
        format!("{value:?}")
    }
    let path = copy::Path { base: c"base", name: None };
    let copied = Copied { bytes: 1, method: None, path, existing: None, in_place: false };
    let error = copy::copy(&Options::default(), c"", c"", &mut |_, _| {}).unwrap_err();
    // SAFETY: nothing is copied with it.
    let process = unsafe { copy::ProcessControl::new() };
    let values: [&dyn std::fmt::Debug; 8] = [
        &copied,
        &error,
        &path,
        &copy::Quoted(b"text"),
        &Options::default(),
        &process,
        &Method::Map,
        &CStr::to_bytes(c""),
    ];
    assert!(values.iter().all(|value| !text(value).is_empty()));
}
