//! Each system call of a copy refused in turn, by each error by which that can happen.

use std::{
    collections::BTreeSet,
    panic::{self, AssertUnwindSafe},
};

use rustix::io::Errno;

use crate::{
    Rows,
    common::noise,
    disk::native_only,
    not_here,
    signals::without_names,
    test_fs::TestFs,
    trial::{End, Ran, Trial, run},
    watch::{Calls, refuse, watch},
};

/// The calls without which nothing can be copied, and those that no filter refuses to a program
/// that is to run at all.
const NEEDED: [usize; 8] = {
    use sc::nr::*;
    [OPENAT, READ, WRITE, CLOSE, EXIT_GROUP, MUNMAP, FSTAT, NEWFSTATAT]
};

pub fn rows(rows: &mut Rows) {
    for (text, errno) in [
        ("EPERM", Errno::PERM),
        ("EACCES", Errno::ACCESS),
        ("ENOSYS", Errno::NOSYS),
        ("EINVAL", Errno::INVAL),
        ("EOPNOTSUPP", Errno::OPNOTSUPP),
        ("EIO", Errno::IO),
    ] {
        for way in [&[][..], &["-p"], &["--in-place"], &["--sparse=never"]] {
            for named in [false, true] {
                let mut name = format!("each call refused in turn, {text}");
                for word in way {
                    name = format!("{name}, {word}");
                }
                let name = if named { format!("{name}, without O_TMPFILE") } else { name };
                rows.add(name, move |test_fs| each(test_fs, errno, way, named));
            }
        }
    }
}

/// Returns whether a copy may fail without a call: one that was asked for, or one by which the copy
/// knows that it loses nothing.
fn may_fail(call: usize, errno: Errno, way: &[&str]) -> bool {
    use sc::nr::*;
    let is_preserved = way.contains(&"-p")
        && [FCHMOD, FCHOWN, UTIMENSAT, FSETXATTR, FGETXATTR, FLISTXATTR].contains(&call);
    // An error of the file system, which overwriting the old file would not mend.
    let is_broken = errno == Errno::IO
        && [PREAD64, FCHMOD, FCHOWN, FGETXATTR, RENAMEAT2, PWRITE64, FTRUNCATE].contains(&call);
    is_preserved || is_broken
}

fn each(test_fs: &TestFs, errno: Errno, way: &[&str], named: bool) {
    native_only();
    if !test_fs.is_whole() {
        not_here("the calls of a copy are those of a file system that can do all");
    }
    let mut wrong = Vec::new();
    for (source, dest) in
        [("source", "new"), ("source", "dest"), ("large_source", "dest"), ("holes_source", "new")]
    {
        let start = || {
            let mut t = Trial::new(test_fs);
            t.file("source", noise(5000));
            t.file("large_source", noise(5 << 20));
            t.sparse("holes_source", 3 << 20, &[(0, b"start"), (2 << 20, b"later")]);
            t.file("dest", "old");
            let mut copy = t.mapcp(way.iter().chain(&[source, dest]));
            if named {
                refuse(&mut copy, &[without_names()], Errno::OPNOTSUPP);
            }
            (t, copy)
        };
        let mut numbers = BTreeSet::new();
        let (t, mut copy) = start();
        let ran = watch(&mut copy, |call, _| {
            numbers.insert(call.number);
        });
        drop(t);
        assert_eq!((ran.end, &*ran.err), (End::Exit(0), ""));
        assert!(numbers.len() > 8, "{numbers:?}");
        for number in numbers.into_iter().filter(|number| !NEEDED.contains(number)) {
            let (mut t, mut copy) = start();
            refuse(&mut copy, &[Calls::all(number)], errno);
            let ran = run(&mut copy);
            if let Err(how) =
                is_right(&mut t, &ran, source, dest, way, may_fail(number, errno, way))
            {
                wrong.push(format!("{source} to {dest} without call {number}: {how}\n  {ran:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The data is copied, or one line says why not and the old file is as it was.
fn is_right(
    t: &mut Trial,
    ran: &Ran,
    source: &str,
    dest: &str,
    way: &[&str],
    may_fail: bool,
) -> Result<(), String> {
    if ran.end == End::Exit(0) {
        if !ran.err.is_empty() || !ran.out.starts_with("Copied ") {
            return Err("not what a success says".into());
        }
        t.becomes_as(dest, source);
    } else {
        if !may_fail {
            return Err("the copy failed".into());
        }
        let is_line = ran.err.starts_with("mapcp: cannot ") && ran.err.lines().count() == 1;
        if ran.end != End::Exit(1) || !is_line {
            return Err("not one line of an error".into());
        }
        if t.path(dest).exists() {
            // An attribute that cannot be set does not keep the data from being copied, and a
            // failed copy in place leaves a part of it.
            if way.contains(&"-p") && t.read(dest) == t.read(source) {
                t.becomes_as(dest, source);
            } else if way.contains(&"--in-place") {
                t.remove(dest);
            }
        }
    }
    panic::catch_unwind(AssertUnwindSafe(|| t.check()))
        .map_err(|wrong| wrong.downcast_ref::<String>().cloned().unwrap_or_default())
}
