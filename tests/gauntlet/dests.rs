//! Kinds of destinations.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt},
    },
    path::Path,
    process::Command,
    thread,
};

use rustix::{
    fs::{XattrFlags, getxattr, setxattr},
    io::Errno,
};

use crate::{
    Rows,
    common::noise,
    not_here,
    test_fs::{Bind, Mirror, TestFs, done},
    trial::{End, Trial, as_another_user, run},
};

/// The extended attribute that holds a file's access list. Source: acl(5).
const ACCESS: &str = "system.posix_acl_access";

/// The message for a destination that is the source.
const SAME: &str = "it is the same file as the source";

pub fn rows(rows: &mut Rows) {
    type Arguments = fn(&mut Trial) -> Vec<String>;
    let same: [(&str, Arguments); 4] = [
        ("by path", |_| vec!["file".into(), "./file".into(), "../row/file".into()]),
        ("by hard link", |t| {
            t.hard_link("file", "hard");
            vec!["hard".into()]
        }),
        ("by symbolic link", |t| {
            t.symlink("file", "soft");
            t.symlink("soft", "softer");
            vec!["soft".into(), "softer".into()]
        }),
        ("in a directory", |t| {
            t.symlink(".", "here");
            vec![".".into(), "here".into(), "here/file".into()]
        }),
    ];
    for (how, names) in same {
        for option in [None, Some("--in-place")] {
            let with = option.map_or(String::new(), |option| format!(", {option}"));
            rows.add(format!("same file, {how}{with}"), move |test_fs| {
                let mut t = Trial::new(test_fs);
                t.file("file", noise(100_000));
                for name in names(&mut t) {
                    let ran = t.run(option.into_iter().chain(["file", &name]));
                    let shown =
                        if name == "." || name == "here" { format!("{name}/file") } else { name };
                    ran.fails(&format!("cannot copy to '{shown}': {SAME}"));
                    t.check();
                }
            });
        }
    }
    rows.add("same file, by bind mount", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.directory("dir");
        t.file("dir/file", noise(100_000));
        t.directory("bind");
        let bind = Bind::new(&t.path("dir"), &t.path("bind"), false);
        for [source, dest] in [["dir/file", "bind/file"], ["bind/file", "dir/file"]] {
            t.run([source, dest]).fails(&format!("cannot copy to '{dest}': {SAME}"));
            t.run(["--", source, dest]).fails(&format!("cannot copy to '{dest}': {SAME}"));
        }
        drop(bind);
        t.gone("bind");
        t.check();
    });
    rows.add("destination a read-only file", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.file("dest", "old");
        fs::set_permissions(t.path("dest"), fs::Permissions::from_mode(0o444)).unwrap();
        fs::set_permissions(&t.dir, fs::Permissions::from_mode(0o777)).unwrap();
        let mut copy = t.mapcp(["source", "dest"]);
        as_another_user(&t, &mut copy);
        run(&mut copy).fails("cannot replace 'dest': Permission denied (EACCES)");
        t.check();
    });
    rows.add("destination a read-only file, as root", |test_fs| {
        if !crate::test_fs::is_root() {
            not_here("needs root");
        }
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.file("dest", "old");
        fs::set_permissions(t.path("dest"), fs::Permissions::from_mode(0o444)).unwrap();
        t.run(["source", "dest"]).copied(8);
        t.becomes("dest", "contents");
        t.check();
        assert_eq!(t.path("dest").metadata().unwrap().mode() & 0o777, 0o444);
    });
    rows.add("destination on a read-only file system", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.directory("dir");
        t.file("dir/dest", "old");
        t.directory("bind");
        let bind = Bind::new(&t.path("dir"), &t.path("bind"), true);
        let cause = "Read-only file system (EROFS)";
        for option in [None, Some("--in-place")] {
            let ran = t.run(option.into_iter().chain(["source", "bind/dest"]));
            ran.fails_by_one_of(&[
                &format!("cannot replace 'bind/dest': {cause}"),
                &format!("cannot open 'bind/dest': {cause}"),
            ]);
            let ran = t.run(option.into_iter().chain(["source", "bind/new"]));
            ran.fails_by_one_of(&[
                &format!("cannot create a file beside 'bind/new': {cause}"),
                &format!("cannot create 'bind/new': {cause}"),
            ]);
        }
        drop(bind);
        t.gone("bind");
        t.check();
    });
    rows.add("destination's file system mounted read-only", |test_fs| {
        let volume = test_fs.volume(64 << 20);
        let dir = volume.dir.join("row");
        fs::create_dir(&dir).unwrap();
        let mut t = Trial::in_dir(test_fs, dir);
        t.file("source", "contents");
        t.file("dest", "old");
        volume.read_only();
        let cause = "Read-only file system (EROFS)";
        t.run(["source", "dest"]).fails(&format!("cannot replace 'dest': {cause}"));
        t.run(["source", "new"]).fails(&format!("cannot create a file beside 'new': {cause}"));
        t.check();
    });
    rows.add("destination's parent missing", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.run(["source", "no/dest"])
            .fails("cannot copy to 'no/dest': No such file or directory (ENOENT)");
        t.run(["source", ""]).fails("cannot copy to '': No such file or directory (ENOENT)");
        t.check();
    });
    rows.add("destination below what is no directory", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.file("file", "old");
        for dest in ["file/x", "file/"] {
            t.run(["source", dest])
                .fails(&format!("cannot copy to '{dest}': Not a directory (ENOTDIR)"));
        }
        t.check();
    });
    rows.add("destination a dangling symbolic link", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.symlink("nowhere", "link");
        t.symlink("link", "chain");
        for name in ["link", "chain"] {
            t.run(["source", name])
                .fails(&format!("cannot copy to '{name}': it is a dangling symbolic link"));
        }
        t.check();
    });
    rows.add("destination a symbolic link to a file elsewhere", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.directory("dir");
        t.directory("dir/below");
        t.file("dir/file", "old");
        t.symlink("../file", "dir/below/second");
        t.symlink("dir/below/second", "first");
        t.run(["source", "first"]).copied(8);
        t.becomes("dir/file", "contents");
        t.check();
    });
    rows.add("destination a loop of symbolic links", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.symlink("two", "one");
        t.symlink("one", "two");
        t.run(["source", "one"])
            .fails("cannot copy to 'one': Too many symbolic links encountered (ELOOP)");
        t.check();
    });
    rows.add("destination /dev/null", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(1 << 20));
        t.symlink("/dev/null", "link");
        for dest in ["/dev/null", "link"] {
            t.run(["source", dest]).copied(1 << 20);
        }
        t.check();
        let null = fs::metadata("/dev/null").unwrap();
        assert_eq!((null.mode() & 0o170000, null.rdev()), (0o020000, 0x103));
    });
    rows.add("destination /dev/full", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.run(["source", "/dev/full"])
            .fails("cannot write to '/dev/full': No space left on device (ENOSPC)");
        t.check();
    });
    rows.add("destination a FIFO", |test_fs| {
        let mut t = Trial::new(test_fs);
        let contents = noise(300_000);
        t.file("source", contents.clone());
        t.fifo("fifo");
        let fifo = t.path("fifo");
        thread::scope(|scope| {
            let reader = scope.spawn(|| fs::read(&fifo).unwrap());
            t.run(["source", "fifo"]).copied(300_000);
            assert!(reader.join().unwrap() == contents);
        });
        t.check();
    });
    rows.add("destination a FIFO whose reader goes away", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(300_000));
        t.fifo("fifo");
        let fifo = t.path("fifo");
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut byte = [0];
                File::open(&fifo).unwrap().read_exact(&mut byte).unwrap();
            });
            t.run(["source", "fifo"]).fails("cannot write to 'fifo': Broken pipe (EPIPE)");
        });
        t.check();
    });
    rows.add("destination a socket", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.socket("socket");
        t.run(["source", "socket"])
            .fails("cannot open 'socket': No such device or address (ENXIO)");
        t.check();
    });
    rows.add("destination a directory", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.directory("dir");
        t.symlink("dir", "link");
        for dest in ["dir", "dir/", "link", "link/", "./dir/."] {
            t.run(["source", dest]).copied(8);
            t.becomes("dir/source", "contents");
            t.check();
            t.remove("dir/source");
        }
    });
    rows.add("destination a directory with a directory of that name", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.directory("dir");
        t.directory("dir/source");
        t.run(["source", "dir"]).fails("cannot copy to 'dir/source': Is a directory (EISDIR)");
        t.check();
    });
    rows.add("destination's directory not writable", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.directory("dir");
        t.file("dir/dest", "old");
        fs::set_permissions(t.path("dir/dest"), fs::Permissions::from_mode(0o666)).unwrap();
        let mut copy = t.mapcp(["source", "dir/dest"]);
        as_another_user(&t, &mut copy);
        let cause = "Permission denied (EACCES)";
        run(&mut copy).copied(8);
        t.becomes("dir/dest", "contents");
        let mut copy = t.mapcp(["--atomic", "source", "dir/dest"]);
        as_another_user(&t, &mut copy);
        run(&mut copy).fails(&format!(
            "cannot create a file beside 'dir/dest': {cause}; --in-place writes into it"
        ));
        let mut copy = t.mapcp(["source", "dir/new"]);
        as_another_user(&t, &mut copy);
        run(&mut copy).fails(&format!("cannot create a file beside 'dir/new': {cause}"));
        t.check();
        // Without permission to create a file, an existing file can be overwritten in place.
        let mut copy = t.mapcp(["--in-place", "source", "dir/dest"]);
        as_another_user(&t, &mut copy);
        run(&mut copy).copied(8);
        t.becomes("dir/dest", "contents");
        t.check();
    });
    for (letter, what) in [('i', "immutable"), ('a', "append-only")] {
        rows.add(format!("destination {what}"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.file("source", "contents");
            t.file("dest", "old");
            let dest = t.path("dest");
            let set =
                |sign: char| done(Command::new("chattr").arg(format!("{sign}{letter}")).arg(&dest));
            if let Err(reason) = set('+') {
                not_here(reason);
            }
            let ran = [t.run(["source", "dest"]), t.run(["--in-place", "source", "dest"])];
            set('-').unwrap();
            for ran in ran {
                let cause = "Operation not permitted (EPERM)";
                ran.fails_by_one_of(&[
                    &format!("cannot replace 'dest': {cause}"),
                    &format!("cannot open 'dest': {cause}"),
                    &format!("cannot give the copy the name 'dest': {cause}"),
                ]);
            }
            t.check();
        });
    }
    rows.add("destination a program that is running", |test_fs| {
        let mut t = Trial::new(test_fs);
        let sleep = fs::read("/bin/sleep").unwrap();
        t.file("source", "contents");
        t.file("dest", sleep.clone());
        fs::set_permissions(t.path("dest"), fs::Permissions::from_mode(0o755)).unwrap();
        let Ok(mut running) = Command::new(t.path("dest")).arg("60").spawn() else {
            not_here("programs do not run from here");
        };
        let in_place = t.run(["--in-place", "source", "dest"]);
        let replaced = t.run(["source", "dest"]);
        running.kill().unwrap();
        running.wait().unwrap();
        in_place.fails("cannot open 'dest': Text file busy (ETXTBSY)");
        replaced.copied(8);
        t.becomes("dest", "contents");
        t.check();
    });
    rows.add("source on another mount", |test_fs| other_mount(test_fs, &test_fs.elsewhere()));
    rows.add("source on FUSE", |test_fs| {
        let behind = test_fs.dir();
        let at = behind.with_extension("mirror");
        let mirror = Mirror::new(&behind, &at);
        let dir = behind.with_extension("beside");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        let t = Trial::in_dir(test_fs, dir);
        from(t, &at);
        drop(mirror);
    });
    rows.add("destination keeps its mode and owner", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.file("dest", "old");
        if !crate::test_fs::is_root()
            || std::os::unix::fs::chown(t.path("dest"), Some(1), Some(2)).is_err()
        {
            not_here("a file cannot have another owner");
        }
        fs::set_permissions(t.path("dest"), fs::Permissions::from_mode(0o6604)).unwrap();
        t.run(["source", "dest"]).copied(8);
        t.becomes("dest", "contents");
        t.check();
        let found = t.path("dest").metadata().unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o604, 1, 2));
    });
    rows.add("destination keeps its access list", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(100_000));
        let list = |named: u8| -> Vec<u8> {
            // Tags and permissions: the owner, a user, the group, the mask, and others. Source:
            // `linux/posix_acl_xattr.h`.
            let entries = [(1, 6, !0), (2, named, 1234), (4, 0, !0), (16, 6, !0), (32, 0, !0u32)];
            let entry = |(tag, may, who): (u8, u8, u32)| {
                [&[tag, 0, may, 0][..], &who.to_le_bytes()].concat()
            };
            [vec![2, 0, 0, 0], entries.map(entry).concat()].concat()
        };
        let of = |path: &Path, name| {
            let mut value = [0; 200];
            let found = getxattr(path.as_os_str().as_bytes(), name, &mut value[..]);
            found.map(|count| value[..count].to_vec())
        };
        let give = |path: &Path, name, list: &[u8]| {
            setxattr(path.as_os_str().as_bytes(), name, list, XattrFlags::empty())
        };
        for dest in ["with", "without"] {
            t.file(dest, "old");
            fs::set_permissions(t.path(dest), fs::Permissions::from_mode(0o640)).unwrap();
        }
        if let Err(errno) = give(&t.path("with"), ACCESS, &list(6)) {
            not_here(format!("no access lists: {errno}"));
        }
        // The access list that a new file inherits from the directory differs from that of the old
        // file.
        give(&t.dir, "system.posix_acl_default", &list(7)).unwrap();
        for (dest, wanted) in [("with", Ok(list(6))), ("without", Err(Errno::NODATA))] {
            let mode = t.path(dest).metadata().unwrap().mode();
            t.run(["source", dest]).copied(100_000);
            assert_eq!(of(&t.path(dest), ACCESS), wanted, "{dest}");
            assert_eq!(t.path(dest).metadata().unwrap().mode(), mode, "{dest}");
            t.becomes_as(dest, "source");
        }
        // With -p, the copy has the access list of the source, which is none: neither that of the
        // old file nor the directory's.
        fs::set_permissions(t.path("source"), fs::Permissions::from_mode(0o660)).unwrap();
        for dest in ["with", "new"] {
            t.run(["-p", "source", dest]).copied(100_000);
            assert_eq!(of(&t.path(dest), ACCESS), Err(Errno::NODATA), "-p, {dest}");
            assert_eq!(t.path(dest).metadata().unwrap().mode() & 0o7777, 0o660, "-p, {dest}");
            t.becomes_as(dest, "source");
        }
        t.check();
    });
    rows.add("destination that its owner cannot read keeps its mode", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(100_000));
        t.file("dest", "old");
        fs::set_permissions(&t.dir, fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(t.path("dest"), fs::Permissions::from_mode(0o260)).unwrap();
        let given = std::os::unix::fs::chown(t.path("dest"), Some(65534), Some(65534));
        if given.is_err() || t.path("dest").metadata().unwrap().mode() & 0o777 != 0o260 {
            not_here("files have no owners and modes of their own, or this is not root");
        }
        let mut copy = t.mapcp(["source", "dest"]);
        as_another_user(&t, &mut copy);
        run(&mut copy).copied(100_000);
        assert_eq!(t.path("dest").metadata().unwrap().mode() & 0o7777, 0o260);
        t.becomes_as("dest", "source");
        t.check();
    });
    rows.add("destination is what standard output leads to", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents\n");
        let mut copy = t.mapcp(["source", "/dev/stdout"]);
        let (mut reader, writer) = std::io::pipe().unwrap();
        let ran = {
            copy.stdout(writer);
            let running = crate::trial::start_with(&mut copy, false, true);
            drop(copy);
            running.end()
        };
        let mut out = String::new();
        reader.read_to_string(&mut out).unwrap();
        assert_eq!(out, "contents\n");
        ran.is(End::Exit(0), "", "");
        t.check();
    });
}

/// Copies from a directory on another file system than the row's.
fn other_mount(test_fs: &TestFs, dir: &std::path::Path) {
    from(Trial::new(test_fs), dir);
    fs::remove_dir_all(dir).unwrap();
}

fn from(mut t: Trial, dir: &std::path::Path) {
    let contents = noise((9 << 20) + 7);
    let source = dir.join("source");
    fs::write(&source, &contents).unwrap();
    for way in crate::sizes::METHODS {
        for old in [false, true] {
            if old {
                t.file("dest", "old");
            }
            let mut copy = t.mapcp(way);
            let ran = run(copy.arg(&source).arg("dest"));
            if way.contains(&"--method=kernel") && ran.end == End::Exit(1) {
                // Between most file systems, a requested clone is not possible.
                let cause = "Cross-device link (EXDEV)";
                let path = source.display();
                ran.fails(&format!("cannot copy within the kernel '{path}': {cause}"));
            } else {
                ran.copied(contents.len());
                t.becomes("dest", contents.clone());
            }
            t.check();
        }
        if t.path("dest").exists() {
            t.remove("dest");
        }
    }
    assert!(fs::read(&source).unwrap() == contents);
}
