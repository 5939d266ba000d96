//! `--preserve`: modes, owners, times and extended attributes.

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
use rustix::fs::{XattrFlags, getxattr, setxattr};

use crate::{
    Rows,
    common::{self, noise},
    not_here,
    sizes::METHODS,
    trial::{Trial, as_another_user, run},
};

/// The attributes that `-p` preserves.
#[derive(Debug, PartialEq)]
struct Attributes {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    accessed: (i64, i64),
    extended: Vec<Option<Vec<u8>>>,
}

const NAMES: [&str; 4] = ["user.short", "user.long", "user.empty", "security.capability"];

/// The capability to bind low ports, for a program that is run from the file. Changing the owner
/// removes it. Source: capabilities(7), `struct vfs_cap_data`.
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

pub fn set_times(path: &Path, mut nanoseconds: u64) {
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

pub fn rows(rows: &mut Rows) {
    for existing in [false, true] {
        for option in ["-p", "--preserve"] {
            let with = if existing { "an existing destination" } else { "a new destination" };
            rows.add(
                format!("{option}: mode, owner, times and attributes, {with}"),
                move |test_fs| {
                    let mut t = Trial::new(test_fs);
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
                            assert!(!["ext4", "xfs", "btrfs"].contains(&&*test_fs.kind), "{errno}");
                        }
                    }
                    for way in METHODS {
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
    rows.add("without -p: mode less the umask, no set-id bits, no times", |test_fs| {
        let mut t = Trial::new(test_fs);
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
    rows.add("-p as another user: the owner stays, set-id bits go", |test_fs| {
        let mut t = Trial::new(test_fs);
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
    rows.add("-p as another user: the attributes of a file that is read-only", |test_fs| {
        let mut t = Trial::new(test_fs);
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
    rows.add("-p from a file system with attributes to one without", |test_fs| {
        let elsewhere = test_fs.elsewhere();
        let mut t = Trial::new(test_fs);
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
