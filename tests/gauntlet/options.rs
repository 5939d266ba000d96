//! The options, except for those with files of their own.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
};

use rustix::io::Errno;

use crate::{
    Rows,
    common::noise,
    disk::native_only,
    not_here, output, preserve,
    refused::cause,
    several,
    sizes::METHODS,
    trial::{End, Trial, as_another_user, pages, run},
    watch::{Calls, refuse, watch},
};

pub fn rows(rows: &mut Rows) {
    no_clobber(rows);
    preserve::rows(rows);
    in_place(rows);
    sync(rows);
    output::rows(rows);
    several::rows(rows);
    rows.add("--method=clone", |test_fs| {
        let mut t = Trial::new(test_fs);
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
                // Where the file system has no clones, the requested method is not possible.
                assert_ne!(test_fs.kind, "btrfs");
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
        rows.add(format!("--method={method} is the way it takes"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.file("source", pages((9 << 20) + 5));
            let arguments = ["-v", &format!("--method={method}"), "source", "dest"];
            let ran = t.run(arguments);
            let line =
                |way| format!("'source' -> 'dest' (9437189 bytes, {way})\nCopied 9437189 bytes\n");
            // If the destination cannot be preallocated, it cannot be mapped safely.
            let way = if method == "map" && !test_fs.is_whole() && ran.out == line("write") {
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
    rows.add("-n: an existing destination is left", |test_fs| {
        let mut t = Trial::new(test_fs);
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
    rows.add("-n: a new destination is made", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.run(["-n", "source", "dest"]).copied(8);
        t.becomes("dest", "contents");
        t.check();
    });
    for no_names in [false, true] {
        let with = if no_names { ", without O_TMPFILE" } else { "" };
        rows.add(
            format!("-n: a destination that comes during the copy is left{with}"),
            move |test_fs| {
                native_only();
                let mut left = 0;
                for at in 0.. {
                    let mut t = Trial::new(test_fs);
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
fn in_place(rows: &mut Rows) {
    for (what, old) in [("shorter", 10), ("as long", 9 << 20), ("longer", 30 << 20)] {
        rows.add(format!("--in-place: a destination that is {what}"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.file("source", pages(9 << 20));
            t.file("dest", noise(old));
            t.hard_link("dest", "hard");
            t.symlink("hard", "soft");
            let node = |t: &Trial| t.path("dest").metadata().unwrap().ino();
            let before = node(&t);
            for way in METHODS {
                fs::write(t.path("dest"), vec![0xee; old]).unwrap();
                t.run(way.iter().chain(&["--in-place", "source", "soft"])).copied(9 << 20);
                assert_eq!(node(&t), before);
                t.becomes_as("dest", "source");
                t.becomes_as("hard", "source");
                t.check();
            }
        });
    }
    rows.add("--in-place: holes over what was there", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.sparse("source", 9 << 20, &[(0, b"start"), (5 << 20, b"middle")]);
        for way in METHODS {
            t.file("dest", vec![0xee; 20 << 20]);
            t.run(way.iter().chain(&["--in-place", "source", "dest"])).copied(9 << 20);
            t.becomes_as("dest", "source");
            t.check();
        }
    });
    rows.add("--in-place: what cannot be mapped", |test_fs| {
        native_only();
        for size in [100, 300_000, 5 << 20] {
            for old in [0, 10, 9 << 20] {
                let mut t = Trial::new(test_fs);
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
    rows.add("--in-place: an empty source, a new destination, a missing source", |test_fs| {
        let mut t = Trial::new(test_fs);
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
    rows.add("--in-place -p, and -n", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(100_000));
        preserve::set_times(&t.path("source"), 0);
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
    rows.add("--sync: each method, -j2, --in-place, a device", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", pages((9 << 20) + 5));
        for way in METHODS {
            for more in [&["--sync"][..], &["--sync", "--in-place"]] {
                t.run(way.iter().chain(more).chain(&["source", "dest"])).copied((9 << 20) + 5);
                t.becomes_as("dest", "source");
                t.check();
            }
        }
        t.run(["--sync", "source", "/dev/null"]).copied((9 << 20) + 5);
        t.check();
    });
    rows.add("--sync: a directory that cannot be read is told of in time", |test_fs| {
        let mut t = Trial::new(test_fs);
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
}
