//! Copies where the usual way to publish a file is refused: links, renaming, the removal of names.

use std::{
    fs, io,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    process::Command,
};

use rustix::io::Errno;

use crate::{
    Rows,
    common::noise,
    not_here,
    refused::cause,
    test_fs::{Mirror, TestFs, done, is_root},
    trial::{Trial, as_another_user, run},
    watch::{Calls, refuse},
};

/// The errors by which a kernel, a file system or a policy refuses a call.
pub const REFUSALS: [(&str, Errno); 6] = [
    ("EPERM", Errno::PERM),
    ("EACCES", Errno::ACCESS),
    ("ENOSYS", Errno::NOSYS),
    ("EINVAL", Errno::INVAL),
    ("EOPNOTSUPP", Errno::OPNOTSUPP),
    ("EXDEV", Errno::XDEV),
];

pub fn rows(rows: &mut Rows) {
    for (text, errno) in REFUSALS.into_iter().chain([("EIO", Errno::IO), ("EMLINK", Errno::MLINK)])
    {
        rows.add(format!("fallback: linkat is {text}"), move |test_fs| {
            links_refused(test_fs, &[sc::nr::LINKAT], errno);
        });
    }
    for (text, errno) in REFUSALS {
        rows.add(format!("fallback: renaming is {text}"), move |test_fs| {
            renaming_refused(test_fs, errno);
        });
        rows.add(format!("fallback: neither links nor renaming, {text}"), move |test_fs| {
            neither(test_fs, errno);
        });
    }
    for (text, errno) in [
        ("ENOENT", Errno::NOENT),
        ("EINTR", Errno::INTR),
        ("EAGAIN", Errno::AGAIN),
        ("ESTALE", Errno::STALE),
        ("ENOTCONN", Errno::NOTCONN),
        ("ETIMEDOUT", Errno::TIMEDOUT),
    ] {
        rows.add(format!("no fallback: renaming is {text}"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.file("source", "new");
            t.file("dest", "old");
            let mut copy = t.mapcp(["source", "dest"]);
            refuse(&mut copy, &[sc::nr::RENAMEAT2, sc::nr::RENAMEAT].map(Calls::all), errno);
            let ran = run(&mut copy);
            assert!(
                ran.err.starts_with("mapcp: cannot give the copy the name 'dest': "),
                "{ran:?}"
            );
            t.check();
        });
    }
    for named in [false, true] {
        let with = if named { ", without O_TMPFILE" } else { "" };
        rows.add(format!("fallback: append-only directory{with}"), move |test_fs| {
            append_only(test_fs, named);
        });
        rows.add(format!("fallback: Landlock without the right to remove{with}"), move |test_fs| {
            landlocked(test_fs, named);
        });
        rows.add(format!("fallback: no removal of names{with}"), move |test_fs| {
            no_removal(test_fs, named);
        });
    }
    rows.add("fallback: a file that is a mount point", mounted_file);
    rows.add("fallback: another owner's file in a directory of one's own", other_owner);
    rows.add("fallback: a file in a directory that is not writable", closed_directory);
    rows.add("fallback: bindfs without renaming", |test_fs| mirrored(test_fs, &["--rename-deny"]));
    rows.add("fallback: bindfs without renaming and links", |test_fs| {
        mirrored(test_fs, &["--rename-deny", "--hide-hard-links"]);
    });
    rows.add("fallback: bindfs without chmod and chown", |test_fs| {
        mirrored(test_fs, &["--chmod-deny", "--chown-deny"]);
    });
    rows.add("fallback: bindfs without removal", |test_fs| mirrored(test_fs, &["--delete-deny"]));
    rows.add("fallback: -n still leaves an existing file alone", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.file("dest", "old");
        let mut copy = t.mapcp(["-n", "source", "dest"]);
        refuse(
            &mut copy,
            &calls(&[sc::nr::LINKAT, sc::nr::RENAMEAT2, sc::nr::RENAMEAT]),
            Errno::PERM,
        );
        run(&mut copy).is(crate::trial::End::Exit(0), "Copied 0 files, 0 bytes\n", "");
        t.check();
    });
    rows.add("fallback: a source that can be read only once", |test_fs| {
        let mut t = Trial::new(test_fs);
        let contents = noise(300_000);
        t.file("contents", contents.clone());
        t.file("dest", "old");
        for dest in ["dest", "new"] {
            let mut copy = Command::new("sh");
            let mapcp = t.mapcp([""; 0]);
            copy.args(["-c", "cat contents | \"$0\" /dev/stdin \"$1\""]);
            copy.arg(mapcp.get_program()).arg(dest).current_dir(&t.dir);
            refuse(
                &mut copy,
                &calls(&[sc::nr::LINKAT, sc::nr::RENAMEAT2, sc::nr::RENAMEAT]),
                Errno::ACCESS,
            );
            run(&mut copy).copied(300_000);
            t.becomes(dest, contents.clone());
            t.check();
        }
    });
}

fn calls(numbers: &[usize]) -> Vec<Calls> {
    numbers.iter().map(|&number| Calls::all(number)).collect()
}

/// Files of several kinds, each copied to a new name and over an existing file.
fn copies(t: &mut Trial, in_place: &str, prepare: &dyn Fn(&mut Command), dests: &[&str]) {
    t.file("small", noise(1000));
    t.file("large", noise(3 << 20));
    t.file("empty", "");
    for source in ["small", "large", "empty"] {
        for dest in dests {
            let is_new = *dest == "new";
            if !is_new {
                t.file(dest, "old");
                // (A file of root's must not become another mode on the way.)
                let mode = fs::Permissions::from_mode(0o640);
                t.made("permissions", fs::set_permissions(t.path(dest), mode));
            }
            let mode = t.path(dest).metadata().map(|found| (found.mode(), found.uid()));
            let mut copy = t.mapcp(["-v", source, dest]);
            prepare(&mut copy);
            let ran = run(&mut copy);
            assert!(ran.end == crate::trial::End::Exit(0) && ran.err.is_empty(), "{ran:?}");
            assert_eq!(ran.out.contains(", in place)"), in_place.contains(dest), "{dest}: {ran:?}");
            t.becomes_as(dest, source);
            if !is_new {
                let now = t.path(dest).metadata().map(|found| (found.mode(), found.uid()));
                assert_eq!(now.unwrap(), mode.unwrap(), "{dest}");
            }
            t.check();
            if is_new {
                t.remove("new");
            }
        }
    }
}

fn links_refused(test_fs: &TestFs, numbers: &[usize], errno: Errno) {
    let mut t = Trial::new(test_fs);
    let refused = calls(numbers);
    copies(&mut t, "", &|copy| refuse(copy, &refused, errno), &["new", "dest"]);
}

/// A new file is linked to its name. An existing one is written in place, unless that is forbidden.
fn renaming_refused(test_fs: &TestFs, errno: Errno) {
    let refused = calls(&[sc::nr::RENAMEAT2, sc::nr::RENAMEAT, sc::nr::RENAME]);
    {
        let mut t = Trial::new(test_fs);
        copies(&mut t, "dest", &|copy| refuse(copy, &refused, errno), &["new", "dest"]);
    }
    let mut t = Trial::new(test_fs);
    t.file("source", noise(1000));
    t.file("dest", "old");
    let mut copy = t.mapcp(["--atomic", "source", "dest"]);
    refuse(&mut copy, &refused, errno);
    let text = cause(errno);
    let line = format!("cannot give the copy the name 'dest': {text}; --in-place writes into it");
    run(&mut copy).fails(&line);
    t.check();
}

fn neither(test_fs: &TestFs, errno: Errno) {
    let mut refused = calls(&[sc::nr::RENAMEAT2, sc::nr::RENAMEAT, sc::nr::LINKAT]);
    {
        let mut t = Trial::new(test_fs);
        copies(&mut t, "dest new", &|copy| refuse(copy, &refused, errno), &["new", "dest"]);
    }
    refused.push(crate::signals::without_names());
    {
        let mut t = Trial::new(test_fs);
        copies(&mut t, "dest new", &|copy| refuse(copy, &refused, errno), &["new", "dest"]);
    }
    let mut t = Trial::new(test_fs);
    t.file("source", noise(1000));
    t.file("dest", "old");
    for dest in ["dest", "new"] {
        let mut copy = t.mapcp(["--atomic", "source", dest]);
        refuse(&mut copy, &refused, errno);
        let ran = run(&mut copy);
        let start = format!("mapcp: cannot give the copy the name '{dest}': ");
        assert!(ran.err.starts_with(&start) && ran.err.lines().count() == 1, "{ran:?}");
        t.check();
    }
}

/// `chattr +a`: names can be added, and neither removed nor replaced.
fn append_only(test_fs: &TestFs, named: bool) {
    let mut t = Trial::new(test_fs);
    t.directory("dir");
    t.file("dir/dest", "old");
    let dir = t.path("dir");
    let set = |sign| done(Command::new("chattr").arg(format!("{sign}a")).arg(&dir));
    let prepare = |copy: &mut Command| {
        if named {
            refuse(copy, &[crate::signals::without_names()], Errno::OPNOTSUPP);
        }
    };
    if let Err(reason) = set("+") {
        not_here(reason);
    }
    t.file("source", noise(1_000_000));
    let mut ran = Vec::new();
    for arguments in [["-v", "source", "dir/dest"], ["-v", "source", "dir/new"]] {
        for _ in 0..3 {
            let mut copy = t.mapcp(arguments);
            prepare(&mut copy);
            ran.push(run(&mut copy));
        }
    }
    let mut copy = t.mapcp(["--atomic", "source", "dir/dest"]);
    prepare(&mut copy);
    let atomic = run(&mut copy);
    set("-").unwrap();
    t.becomes_as("dir/dest", "source");
    t.becomes_as("dir/new", "source");
    t.check();
    for ran in ran {
        assert!(ran.end == crate::trial::End::Exit(0) && ran.err.is_empty(), "{ran:?}");
    }
    assert!(atomic.err.ends_with("; --in-place writes into it\n"), "{atomic:?}");
}

/// A sandbox that lets the program create and write to files, and remove none.
fn landlocked(test_fs: &TestFs, named: bool) {
    const REMOVE_FILE: u64 = 1 << 5;
    // SAFETY: the call reads nothing without a structure.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    if version < 1 {
        not_here("the kernel has no Landlock");
    }
    let prepare = move |copy: &mut Command| {
        if named {
            refuse(copy, &[crate::signals::without_names()], Errno::OPNOTSUPP);
        }
        // SAFETY: the closure only makes system calls.
        unsafe {
            copy.pre_exec(|| {
                let rights = [REMOVE_FILE];
                let rules = libc::syscall(libc::SYS_landlock_create_ruleset, &rights, 8, 0);
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                match libc::syscall(libc::SYS_landlock_restrict_self, rules, 0) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
    };
    let mut t = Trial::new(test_fs);
    // Without O_TMPFILE, that a name cannot be removed shows only when it is there.
    let dests: &[&str] = if named { &["dest"] } else { &["new", "dest"] };
    copies(&mut t, "dest", &prepare, dests);
    drop(t);
    if named {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(1000));
        for _ in 0..3 {
            let mut copy = t.mapcp(["source", "new"]);
            prepare(&mut copy);
            run(&mut copy).copied(1000);
            assert!(t.read("new") == t.read("source"));
            fs::remove_file(t.path("new")).unwrap();
        }
        let left = t.names().into_iter().filter(|name| name != "source");
        let left: Vec<_> = left.map(|name| t.path(name).metadata().unwrap().len()).collect();
        assert!(left == [0] || left.is_empty(), "not one empty name is left: {left:?}");
    }
}

/// A policy that refuses unlinkat and renaming by an error that no probe can see.
fn no_removal(test_fs: &TestFs, named: bool) {
    let mut refused = calls(&[sc::nr::RENAMEAT2, sc::nr::RENAMEAT, sc::nr::UNLINKAT]);
    if named {
        refused.push(crate::signals::without_names());
    }
    let mut t = Trial::new(test_fs);
    t.file("source", noise(100_000));
    t.file("dest", "old");
    for _ in 0..3 {
        let mut copy = t.mapcp(["source", "dest"]);
        refuse(&mut copy, &refused, Errno::ACCESS);
        run(&mut copy).copied(100_000);
        t.becomes_as("dest", "source");
        t.check();
        t.file("dest", "old");
    }
}

fn mounted_file(test_fs: &TestFs) {
    if !is_root() {
        not_here("to mount a file needs root");
    }
    let mut t = Trial::new(test_fs);
    t.file("source", noise(100_000));
    t.file("dest", "old");
    t.file("behind", "old");
    let dest = t.path("dest");
    done(Command::new("mount").arg("--bind").arg(t.path("behind")).arg(&dest)).unwrap();
    let atomic = t.run(["--atomic", "source", "dest"]);
    let copied = t.run(["-v", "source", "dest"]);
    done(Command::new("umount").arg(&dest)).unwrap();
    let busy = "Device or resource busy (EBUSY); --in-place writes into it";
    atomic.fails(&format!("cannot give the copy the name 'dest': {busy}"));
    assert!(copied.out.contains(", in place)"), "{copied:?}");
    t.becomes_as("behind", "source");
    t.check();
}

fn other_owner(test_fs: &TestFs) {
    let mut t = Trial::new(test_fs);
    t.file("source", noise(100_000));
    t.file("dest", "old");
    fs::set_permissions(&t.dir, fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(t.path("dest"), fs::Permissions::from_mode(0o666)).unwrap();
    if t.path("dest").metadata().unwrap().mode() & 0o777 != 0o666
        || chown(t.path("dest"), Some(1), Some(2)).is_err()
    {
        not_here("files have no owners and modes of their own, or this is not root");
    }
    let mut copy = t.mapcp(["--atomic", "source", "dest"]);
    as_another_user(&t, &mut copy);
    run(&mut copy).fails(
        "cannot keep the owner and the access list of 'dest': Operation not permitted (EPERM); \
         --in-place writes into it",
    );
    t.check();
    let mut copy = t.mapcp(["source", "dest"]);
    as_another_user(&t, &mut copy);
    run(&mut copy).copied(100_000);
    t.becomes_as("dest", "source");
    t.check();
    let found = t.path("dest").metadata().unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o666, 1, 2));
}

fn closed_directory(test_fs: &TestFs) {
    let mut t = Trial::new(test_fs);
    t.file("source", noise(100_000));
    t.directory("dir");
    t.file("dir/dest", vec![1; 300_000]);
    fs::set_permissions(t.path("dir/dest"), fs::Permissions::from_mode(0o222)).unwrap();
    for option in ["--quiet", "--in-place"] {
        // The file cannot even be read.
        let mut copy = t.mapcp([option, "source", "dir/dest"]);
        as_another_user(&t, &mut copy);
        let ran = run(&mut copy);
        assert!(ran.end == crate::trial::End::Exit(0) && ran.err.is_empty(), "{ran:?}");
        t.becomes_as("dir/dest", "source");
        t.check();
        fs::write(t.path("dir/dest"), vec![1; 300_000]).unwrap();
    }
}

/// A directory seen through bindfs with restrictions.
fn mirrored(test_fs: &TestFs, options: &[&str]) {
    let behind = test_fs.dir();
    let at = behind.with_extension("mirror");
    let mirror = Mirror::with(&behind, &at, options);
    let mut t = Trial::in_dir(test_fs, at.clone());
    t.file("source", noise(100_000));
    t.file("dest", "old");
    for dest in ["dest", "new"] {
        for _ in 0..2 {
            t.run(["source", dest]).copied(100_000);
            t.becomes_as(dest, "source");
        }
    }
    let expected: &[&str] = &["dest", "new", "source"];
    let mut names: Vec<_> =
        fs::read_dir(&behind).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, expected);
    t.check();
    t.leave(); // The mount is removed as a whole.
    drop(mirror);
}
