//! Each option, and several sources.

use std::{
    fs::{self, File, FileTimes},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, chown},
    },
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use object::Architecture;
use rustix::{
    fs::{XattrFlags, getxattr, setxattr},
    io::Errno,
};

use crate::{
    Rows,
    common::{self, noise},
    disk::native_only,
    not_here,
    refused::cause,
    sizes::WAYS,
    trial::{End, Trial, as_another_user, pages, run},
    watch::{Calls, refuse, watch},
};

pub fn rows(rows: &mut Rows) {
    no_clobber(rows);
    preserve(rows);
    in_place(rows);
    sync(rows);
    output(rows);
    several(rows);
    rows.add("--method=clone", |place| {
        let mut t = Trial::new(place);
        t.file("source", pages((9 << 20) + 5));
        for old in [false, true] {
            if old {
                t.file("dest", "old");
            }
            let ran = t.run(["-v", "--method=clone", "source", "dest"]);
            if ran.end == End::Exit(0) {
                let line = "'source' -> 'dest' (9437189 bytes, clone)\nCopied 9437189 bytes\n";
                ran.is(End::Exit(0), line, "");
                t.becomes_as("dest", "source");
            } else {
                // Where the file system has none, that is what was asked for.
                assert_ne!(place.kind, "btrfs");
                ran.fails_by_one_of(
                    &[Errno::OPNOTSUPP, Errno::NOTTY, Errno::INVAL, Errno::XDEV, Errno::NOSYS]
                        .map(|errno| format!("cannot clone to 'dest': {}", cause(errno)))
                        .each_ref()
                        .map(|line| &**line),
                );
            }
            t.check();
        }
    });
    for method in ["map", "write", "kernel"] {
        rows.add(format!("--method={method} is the way it takes"), move |place| {
            let mut t = Trial::new(place);
            t.file("source", pages((9 << 20) + 5));
            let arguments = ["-v", &format!("--method={method}"), "source", "dest"];
            let ran = t.run(arguments);
            let line =
                |way| format!("'source' -> 'dest' (9437189 bytes, {way})\nCopied 9437189 bytes\n");
            // Without space that is reserved, the destination cannot be mapped safely.
            let way = if method == "map" && !place.is_whole() && ran.out == line("write") {
                "write"
            } else {
                method
            };
            ran.is(End::Exit(0), &line(way), "");
            t.becomes_as("dest", "source");
            t.check();
        });
    }
}

fn no_clobber(rows: &mut Rows) {
    rows.add("-n: an existing destination is left", |place| {
        let mut t = Trial::new(place);
        t.file("source", "contents");
        t.file("dest", "old");
        t.directory("dir");
        t.file("dir/source", "old");
        for option in ["-n", "--no-clobber"] {
            for dest in ["dest", "dir"] {
                t.run([option, "source", dest]).is(End::Exit(0), "Copied 0 files, 0 bytes\n", "");
                t.run([option, "-q", "source", dest]).is(End::Exit(0), "", "");
                t.check();
            }
        }
        t.run(["-n", "source", "source"])
            .fails("cannot copy to 'source': it is the same file as the source");
        t.run(["-n", "none", "dest"])
            .fails("cannot open 'none': No such file or directory (ENOENT)");
        t.check();
    });
    rows.add("-n: a new destination is made", |place| {
        let mut t = Trial::new(place);
        t.file("source", "contents");
        t.run(["-n", "source", "dest"]).copied(8);
        t.becomes("dest", "contents");
        t.check();
    });
    for no_names in [false, true] {
        let with = if no_names { ", without O_TMPFILE" } else { "" };
        rows.add(
            format!("-n: a destination that comes during the copy is left{with}"),
            move |place| {
                native_only();
                let mut left = 0;
                for at in 0.. {
                    let mut t = Trial::new(place);
                    t.file("source", noise(100_000));
                    let mut copy = t.mapcp(["-n", "source", "dest"]);
                    if no_names {
                        let calls = [crate::signals::without_names()];
                        crate::watch::refuse(&mut copy, &calls, Errno::OPNOTSUPP);
                    }
                    let mut number = 0;
                    let mut came = false;
                    let ran = watch(&mut copy, |_, _| {
                        if number == at && !t.path("dest").exists() {
                            fs::write(t.path("dest"), "somebody's").unwrap();
                            came = true;
                        }
                        number += 1;
                    });
                    if came {
                        ran.is(End::Exit(0), "Copied 0 files, 0 bytes\n", "");
                        t.becomes("dest", "somebody's");
                        left += 1;
                    } else {
                        ran.copied(100_000);
                        t.becomes_as("dest", "source");
                    }
                    t.check();
                    if number <= at {
                        break;
                    }
                }
                assert!(left > 3, "{left} times it came in the middle");
            },
        );
    }
}

/// What `-p` keeps.
#[derive(Debug, PartialEq)]
struct Attributes {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    accessed: (i64, i64),
    extended: Vec<Option<Vec<u8>>>,
}

const NAMES: [&str; 4] = ["user.short", "user.long", "user.empty", "security.capability"];
/// What a program may do that is run from a file: here to bind small numbers of ports. Giving
/// a file away takes it. Source: capabilities(7), `struct vfs_cap_data`.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn attributes(path: &Path) -> Attributes {
    let found = path.metadata().unwrap();
    let value = |name| {
        let mut value = vec![0; 4096];
        getxattr(path.as_os_str().as_bytes(), name, &mut value[..])
            .ok()
            .map(|count| value[..count].to_vec())
    };
    Attributes {
        mode: found.mode() & 0o7777,
        owner: (found.uid(), found.gid()),
        modified: (found.mtime(), found.mtime_nsec()),
        accessed: (found.atime(), found.atime_nsec()),
        extended: NAMES.map(value).to_vec(),
    }
}

fn set_times(path: &Path, mut nanoseconds: u64) {
    if common::runner().is_some() && common::architecture() == Architecture::S390x {
        nanoseconds = 0; // of which the emulator's `fstat` tells nothing there
    }
    let time = |seconds| -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
    };
    let times =
        FileTimes::new().set_modified(time(1_000_000_001)).set_accessed(time(1_100_000_003));
    File::options().write(true).open(path).unwrap().set_times(times).unwrap();
}

fn preserve(rows: &mut Rows) {
    for existing in [false, true] {
        for option in ["-p", "--preserve"] {
            let with = if existing { "an existing destination" } else { "a new destination" };
            rows.add(
                format!("{option}: mode, owner, times and attributes, {with}"),
                move |place| {
                    let mut t = Trial::new(place);
                    t.file("source", noise(100_000));
                    let source = t.path("source");
                    if chown(&source, Some(12), Some(34)).is_err() {
                        not_here("files have no owner of their own, or this is not root");
                    }
                    fs::set_permissions(&source, fs::Permissions::from_mode(0o6751)).unwrap();
                    for (name, value) in
                        NAMES.iter().zip([&b"value"[..], &[7; 1000], b"", &CAPABILITY])
                    {
                        if let Err(errno) = setxattr(
                            source.as_os_str().as_bytes(),
                            *name,
                            value,
                            XattrFlags::empty(),
                        ) {
                            assert!(!["ext4", "xfs", "btrfs"].contains(&&*place.kind), "{errno}");
                        }
                    }
                    for way in WAYS {
                        if existing {
                            t.file("dest", "old");
                        }
                        set_times(&source, 123_456_789);
                        let before = attributes(&source);
                        t.run(way.iter().chain(&[option, "source", "dest"])).copied(100_000);
                        let after = attributes(&t.path("dest"));
                        assert_eq!(after, before);
                        t.becomes_as("dest", "source");
                        t.check();
                        t.remove("dest");
                    }
                },
            );
        }
    }
    rows.add("without -p: mode less the umask, no set-id bits, no times", |place| {
        let mut t = Trial::new(place);
        t.file("source", noise(100_000));
        let source = t.path("source");
        fs::set_permissions(&source, fs::Permissions::from_mode(0o6755)).unwrap();
        set_times(&source, 5);
        if source.metadata().unwrap().mode() & 0o7777 != 0o6755 {
            not_here("files have no modes of their own");
        }
        let mut copy = t.mapcp(["source", "dest"]);
        // SAFETY: one system call.
        unsafe {
            std::os::unix::process::CommandExt::pre_exec(&mut copy, || {
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
                Ok(())
            });
        }
        run(&mut copy).copied(100_000);
        t.becomes_as("dest", "source");
        t.check();
        let found = t.path("dest").metadata().unwrap();
        assert_eq!(found.mode() & 0o7777, 0o750);
        assert!(found.mtime() > 1_700_000_000);
    });
    rows.add("-p as another user: the owner stays, set-id bits go", |place| {
        let mut t = Trial::new(place);
        t.file("source", noise(100_000));
        let source = t.path("source");
        fs::set_permissions(&source, fs::Permissions::from_mode(0o6755)).unwrap();
        fs::set_permissions(&t.dir, fs::Permissions::from_mode(0o777)).unwrap();
        if source.metadata().unwrap().mode() & 0o7777 != 0o6755 {
            not_here("files have no modes of their own");
        }
        set_times(&source, 987_654_321);
        let before = attributes(&source);
        let mut copy = t.mapcp(["-p", "source", "dest"]);
        as_another_user(&t, &mut copy);
        run(&mut copy).copied(100_000);
        let after = attributes(&t.path("dest"));
        assert_eq!((after.mode, after.owner), (0o755, (65534, 65534)));
        assert_eq!((after.modified, after.accessed), (before.modified, before.accessed));
        t.becomes_as("dest", "source");
        t.check();
    });
    rows.add("-p as another user: the attributes of a file that is read-only", |place| {
        let mut t = Trial::new(place);
        t.file("source", noise(100_000));
        let source = t.path("source");
        let path = source.as_os_str().as_bytes();
        if let Err(errno) = setxattr(path, NAMES[0], b"value", XattrFlags::empty()) {
            not_here(format!("no attributes: {errno}"));
        }
        fs::set_permissions(&source, fs::Permissions::from_mode(0o444)).unwrap();
        fs::set_permissions(&t.dir, fs::Permissions::from_mode(0o777)).unwrap();
        for dest in ["new", "old"] {
            if dest == "old" {
                t.file("old", "old");
                chown(t.path("old"), Some(65534), Some(65534)).unwrap();
            }
            let mut copy = t.mapcp(["-p", "source", dest]);
            as_another_user(&t, &mut copy);
            run(&mut copy).copied(100_000);
            let (before, after) = (attributes(&source), attributes(&t.path(dest)));
            assert_eq!((after.mode, after.extended), (before.mode, before.extended));
            t.becomes_as(dest, "source");
            t.check();
        }
    });
    rows.add("-p from a file system with attributes to one without", |place| {
        let elsewhere = place.elsewhere();
        let mut t = Trial::new(place);
        t.file("source", noise(100_000));
        let _ = setxattr(
            t.path("source").as_os_str().as_bytes(),
            "user.name",
            b"value",
            XattrFlags::empty(),
        );
        let dest = elsewhere.join("dest");
        let mut copy = t.mapcp(["-p", "source"]);
        run(copy.arg(&dest)).copied(100_000);
        assert!(fs::read(&dest).unwrap() == noise(100_000));
        fs::remove_dir_all(&elsewhere).unwrap();
        t.check();
    });
}

fn in_place(rows: &mut Rows) {
    for (what, old) in [("shorter", 10), ("as long", 9 << 20), ("longer", 30 << 20)] {
        rows.add(format!("--in-place: a destination that is {what}"), move |place| {
            let mut t = Trial::new(place);
            t.file("source", pages(9 << 20));
            t.file("dest", noise(old));
            t.hard_link("dest", "hard");
            t.symlink("hard", "soft");
            let node = |t: &Trial| t.path("dest").metadata().unwrap().ino();
            let before = node(&t);
            for way in WAYS {
                fs::write(t.path("dest"), vec![0xee; old]).unwrap();
                t.run(way.iter().chain(&["--in-place", "source", "soft"])).copied(9 << 20);
                assert_eq!(node(&t), before);
                t.becomes_as("dest", "source");
                t.becomes_as("hard", "source");
                t.check();
            }
        });
    }
    rows.add("--in-place: holes over what was there", |place| {
        let mut t = Trial::new(place);
        t.sparse("source", 9 << 20, &[(0, b"start"), (5 << 20, b"middle")]);
        for way in WAYS {
            t.file("dest", vec![0xee; 20 << 20]);
            t.run(way.iter().chain(&["--in-place", "source", "dest"])).copied(9 << 20);
            t.becomes_as("dest", "source");
            t.check();
        }
    });
    rows.add("--in-place: what cannot be mapped", |place| {
        native_only();
        for size in [100, 300_000, 5 << 20] {
            for old in [0, 10, 9 << 20] {
                let mut t = Trial::new(place);
                t.file("source", pages(size));
                t.file("dest", noise(old));
                for sparse in ["--sparse=auto", "--sparse=never"] {
                    let mut copy = t.mapcp(["--in-place", sparse, "source", "dest"]);
                    let calls = [Calls::all(sc::nr::MMAP), Calls::all(sc::nr::COPY_FILE_RANGE)];
                    refuse(&mut copy, &calls, Errno::NODEV);
                    run(&mut copy).copied(size);
                    t.becomes_as("dest", "source");
                    t.check();
                }
            }
        }
    });
    rows.add("--in-place: an empty source, a new destination, a missing source", |place| {
        let mut t = Trial::new(place);
        t.file("source", "");
        t.file("dest", "old");
        t.run(["--in-place", "source", "dest"]).copied(0);
        t.becomes("dest", "");
        t.check();
        t.file("source", "contents");
        t.run(["--in-place", "source", "new"]).copied(8);
        t.becomes("new", "contents");
        t.file("dest", "old");
        t.run(["--in-place", "none", "dest"])
            .fails("cannot open 'none': No such file or directory (ENOENT)");
        t.check();
    });
    rows.add("--in-place -p, and -n", |place| {
        let mut t = Trial::new(place);
        t.file("source", noise(100_000));
        set_times(&t.path("source"), 0);
        t.file("dest", "old");
        t.run(["--in-place", "-n", "source", "dest"]).is(
            End::Exit(0),
            "Copied 0 files, 0 bytes\n",
            "",
        );
        t.check();
        t.run(["--in-place", "-p", "source", "dest"]).copied(100_000);
        t.becomes_as("dest", "source");
        t.check();
        assert_eq!(t.path("dest").metadata().unwrap().mtime(), 1_000_000_001);
    });
}

fn sync(rows: &mut Rows) {
    rows.add("--sync: each method, -j2, --in-place, a device", |place| {
        let mut t = Trial::new(place);
        t.file("source", pages((9 << 20) + 5));
        for way in WAYS {
            for more in [&["--sync"][..], &["--sync", "--in-place"]] {
                t.run(way.iter().chain(more).chain(&["source", "dest"])).copied((9 << 20) + 5);
                t.becomes_as("dest", "source");
                t.check();
            }
        }
        t.run(["--sync", "source", "/dev/null"]).copied((9 << 20) + 5);
        t.check();
    });
}

fn output(rows: &mut Rows) {
    rows.add("--sync: a directory that cannot be read is told of in time", |place| {
        let mut t = Trial::new(place);
        t.file("source", "new");
        t.directory("dir");
        t.file("dir/dest", "old");
        for (path, mode) in [("", 0o777), ("dir", 0o333), ("dir/dest", 0o666)] {
            fs::set_permissions(t.path(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        if t.path("dir").metadata().unwrap().mode() & 0o777 != 0o333
            || chown(t.path("dir/dest"), Some(65534), Some(65534)).is_err()
        {
            not_here("files have no modes of their own, or this is not root");
        }
        for dest in ["dir/dest", "dir/new"] {
            let mut copy = t.mapcp(["--sync", "source", dest]);
            as_another_user(&t, &mut copy);
            let text = "Permission denied (EACCES)";
            run(&mut copy).fails(&format!("cannot sync the directory of '{dest}': {text}"));
            t.check();
        }
    });
    rows.add("-v, -q", |place| {
        let mut t = Trial::new(place);
        t.file("source", noise(1000));
        t.file("a b\n", noise(10));
        t.directory("dir");
        for option in ["-v", "--verbose"] {
            let ran = t.run([option, "--method=write", "source", "dir"]);
            let line = "'source' -> 'dir/source' (1000 bytes, write)\nCopied 1000 bytes\n";
            ran.is(End::Exit(0), line, "");
        }
        t.becomes("dir/source", noise(1000));
        let ran = t.run(["-v", "/dev/null", "dest"]);
        ran.is(End::Exit(0), "'/dev/null' -> 'dest' (0 bytes, read)\nCopied 0 bytes\n", "");
        t.becomes("dest", "");
        for option in ["-q", "--quiet", "-qv", "-vq"] {
            t.run([option, "source", "dest"]).is(End::Exit(0), "", "");
            t.becomes("dest", noise(1000));
            t.check();
            t.run([option, "none", "dest"])
                .fails("cannot open 'none': No such file or directory (ENOENT)");
        }
        let ran = t.run(["-v", "--method=write", "a b\n", "dir/"]);
        let line = "'a b\\x0a' -> 'dir/a b\\x0a' (10 bytes, write)\nCopied 10 bytes\n";
        ran.is(End::Exit(0), line, "");
        t.becomes("dir/a b\n", noise(10));
        t.check();
    });
    rows.add("--progress=always", |place| {
        let mut t = Trial::new(place);
        t.file("source", pages(40 << 20));
        for way in WAYS {
            for option in ["--progress", "--progress=always"] {
                let ran = t.run(way.iter().chain(&[option, "source", "dest"]));
                assert_eq!(
                    (ran.end, &*ran.out),
                    (End::Exit(0), "Copied 41943040 bytes\n"),
                    "{ran:?}"
                );
                // One line that is drawn again and again, and in the end is gone.
                assert!(ran.err.starts_with('\r') && !ran.err.contains('\n'), "{ran:?}");
                assert!(
                    ran.err.ends_with("\r\x1b[K") && ran.err.contains(" of 40.0 MiB"),
                    "{ran:?}"
                );
                t.becomes_as("dest", "source");
                t.check();
                t.remove("dest");
            }
        }
    });
    rows.add("--progress: none where there is no terminal, or with =never", |place| {
        let mut t = Trial::new(place);
        t.file("source", pages(40 << 20));
        for option in ["--progress=auto", "--progress=never"] {
            t.run([option, "source", "dest"]).copied(40 << 20);
            t.becomes_as("dest", "source");
            t.check();
        }
    });
    rows.add("--progress=always: an error has a line of its own", |place| {
        let mut t = Trial::new(place);
        t.file("source", noise(100_000));
        let ran = t.run(["--progress=always", "source", "/dev/full"]);
        assert_eq!((ran.end, &*ran.out), (End::Exit(1), ""), "{ran:?}");
        let line = "mapcp: cannot write to '/dev/full': No space left on device (ENOSPC)\n";
        let before = ran.err.strip_suffix(line).unwrap_or_else(|| panic!("{ran:?}"));
        assert!(before.is_empty() || before.ends_with("\r\x1b[K"), "{ran:?}");
        t.check();
    });
}

fn several(rows: &mut Rows) {
    rows.add("several sources", |place| {
        let mut t = Trial::new(place);
        t.directory("dir");
        t.file("dir/b", "old");
        for (name, len) in [("a", 10), ("b", 20_000), ("c", 3 << 20)] {
            t.file(name, noise(len));
        }
        t.run(["a", "b", "c", "dir"]).is(End::Exit(0), "Copied 3 files, 3165738 bytes\n", "");
        for name in ["a", "b", "c"] {
            t.becomes_as(format!("dir/{name}"), name);
        }
        t.check();
    });
    rows.add("several sources, some of which fail", |place| {
        let mut t = Trial::new(place);
        t.directory("dir");
        t.directory("empty");
        t.file("a", noise(10));
        t.file("b", noise(20));
        let err = "mapcp: cannot open 'none': No such file or directory (ENOENT)\n\
            mapcp: cannot copy 'empty': Is a directory (EISDIR); -r copies directories\n";
        t.run(["a", "none", "empty", "b", "dir"]).is(
            End::Exit(1),
            "Copied 2 files, 30 bytes\n",
            err,
        );
        t.becomes_as("dir/a", "a");
        t.becomes_as("dir/b", "b");
        t.check();
    });
    rows.add("several sources, two of one name", |place| {
        let mut t = Trial::new(place);
        for dir in ["dir", "one", "two"] {
            t.directory(dir);
        }
        t.file("one/x", "first");
        t.file("two/x", "second");
        let ran = t.run(["one/x", "two/x", "dir"]);
        let err = "mapcp: cannot copy to 'dir/x': another source with this name was copied there\n";
        ran.is(End::Exit(1), "Copied 1 file, 5 bytes\n", err);
        t.becomes("dir/x", "first");
        t.check();
    });
    rows.add("several sources, two of one name, of which the first is missing", |place| {
        let mut t = Trial::new(place);
        for dir in ["dir", "two"] {
            t.directory(dir);
        }
        t.file("two/x", "second");
        let ran = t.run(["one/x", "two/x", "dir"]);
        let err = "mapcp: cannot open 'one/x': No such file or directory (ENOENT)\n";
        ran.is(End::Exit(1), "Copied 1 file, 6 bytes\n", err);
        t.becomes("dir/x", "second");
        t.check();
    });
    rows.add("several sources, the last name no directory", |place| {
        let mut t = Trial::new(place);
        t.file("a", "1");
        t.file("b", "2");
        t.file("dest", "old");
        t.run(["a", "b", "dest"]).fails("cannot copy to 'dest': Not a directory (ENOTDIR)");
        t.run(["a", "b", "none"])
            .fails("cannot copy to 'none': No such file or directory (ENOENT)");
        t.check();
    });
    rows.add("several sources, the directory itself among them", |place| {
        let mut t = Trial::new(place);
        t.directory("dir");
        t.file("dir/a", "1");
        t.file("b", "22");
        let err = "mapcp: cannot copy to 'dir/a': it is the same file as the source\n";
        t.run(["dir/a", "b", "dir"]).is(End::Exit(1), "Copied 1 file, 2 bytes\n", err);
        t.becomes("dir/b", "22");
        t.check();
    });
    rows.add("several sources, -v, -n", |place| {
        let mut t = Trial::new(place);
        t.directory("dir");
        t.file("a", noise(10));
        t.file("b", noise(20));
        t.file("dir/b", "old");
        let out = "'a' -> 'dir/a' (10 bytes, write)\n'b' -> 'dir/b' (left unchanged)\n\
            Copied 1 file, 10 bytes\n";
        t.run(["-vn", "--method=write", "a", "b", "dir"]).is(End::Exit(0), out, "");
        t.becomes_as("dir/a", "a");
        t.check();
    });
    rows.add("1000 sources", |place| {
        let mut t = Trial::new(place);
        t.directory("dir");
        t.directory("from");
        let names: Vec<String> = (0..1000).map(|number| format!("from/file{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            t.file(name, noise(number));
            t.becomes(format!("dir/file{number}"), noise(number));
        }
        let ran = run(t.mapcp(&names).arg("dir"));
        ran.is(End::Exit(0), "Copied 1000 files, 499500 bytes\n", "");
        t.check();
    });
}
