//! What must have happened before a copy reports success: files are closed without an error, and
//! with `--sync` they are on the disk.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use rustix::io::Errno;

use crate::{
    Rows,
    disk::native_only,
    fuse::{Fault, Odd, has_unnamed_files},
    not_here,
    test_fs::{TestFs, done, is_root},
    trial::{End, Trial, pages, run},
    watch::{refuse, watch},
};

const SIZE: usize = (1 << 20) + 77;

pub fn rows(rows: &mut Rows) {
    for (kind, make) in [
        ("ext2", &["mkfs.ext2", "-q", "-F"][..]),
        ("ext4 without a journal", &["mkfs.ext4", "-q", "-F", "-O", "^has_journal"]),
        ("ext4", &["mkfs.ext4", "-q", "-F"]),
        ("xfs", &["mkfs.xfs", "-q", "-f"]),
        ("btrfs", &["mkfs.btrfs", "-q", "-f"]),
    ] {
        rows.add(format!("--sync: the disk at the moment of success, {kind}"), move |test_fs| {
            at_success(test_fs, kind, make);
        });
    }
    for (what, existing, no_names) in [
        ("a new destination", false, false),
        ("an existing destination", true, false),
        ("a new destination, without O_TMPFILE", false, true),
        ("an existing destination, without O_TMPFILE", true, true),
    ] {
        rows.add(format!("--sync: the data, each name, the directory; {what}"), move |test_fs| {
            order(test_fs, existing, no_names);
        });
    }
    for unnamed in [true, false] {
        for existing in [true, false] {
            let name = format!(
                "disk full at close, {} destination, {} O_TMPFILE",
                if existing { "existing" } else { "new" },
                if unnamed { "with" } else { "without" },
            );
            rows.add(name, move |test_fs| full_at_close(test_fs, unnamed, existing));
        }
    }
    rows.add("disk full at close, --in-place", |test_fs| {
        let odd = Odd::new(test_fs, Fault { close: Some(Errno::NOSPC), ..Fault::NONE });
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        fs::File::create(odd.dir.join("dest")).unwrap();
        let dest = odd.dir.join("dest");
        let ran = run(t.mapcp(["--in-place", "source"]).arg(&dest));
        let cause = "No space left on device (ENOSPC); the destination is partly overwritten";
        ran.fails(&format!("cannot write to '{}': {cause}", dest.display()));
        t.check();
    });
    rows.add("without --sync nothing waits for the disk", |test_fs| {
        native_only();
        for no_names in [false, true] {
            let mut t = Trial::new(test_fs);
            t.file("source", pages(SIZE));
            t.file("dest", "old");
            let mut copy = t.mapcp(["source", "dest"]);
            if no_names {
                refuse(&mut copy, &[crate::signals::without_names()], Errno::OPNOTSUPP);
            }
            watch(&mut copy, |call, _| {
                let waits = [sc::nr::FSYNC, sc::nr::FDATASYNC, sc::nr::SYNCFS, sc::nr::SYNC];
                assert!(!waits.iter().any(|&number| call.is(number)), "{call:?}");
            })
            .copied(SIZE);
            t.becomes_as("dest", "source");
            t.check();
        }
    });
}

/// At the moment of success, the new file is on the disk, whatever the file system still has in
/// memory.
fn at_success(test_fs: &TestFs, kind: &str, make: &[&str]) {
    if !test_fs.is_here() {
        not_here("it has a file system of its own, which one column shows");
    }
    if !is_root() {
        not_here("to mount a file system needs root");
    }
    let dir = test_fs.dir();
    let (image, disk) = (dir.join("image"), dir.join("disk"));
    let (small, large) = (pages(40_000), pages(4_000_000));
    fs::create_dir(&disk).unwrap();
    fs::write(dir.join("small"), &small).unwrap();
    fs::write(dir.join("large"), &large).unwrap();
    let mount = |image: &Path| {
        done(Command::new("mount").args(["-o", "loop"]).arg(image).arg(&disk)).map(drop)
    };
    let unmount = || {
        done(Command::new("umount").arg(&disk)).unwrap();
        if kind == "btrfs" {
            // Both images have the same identity.
            done(Command::new("btrfs").args(["device", "scan", "--forget"])).unwrap();
        }
    };
    let t = Trial::in_dir(test_fs, dir.clone());
    for (source, bytes) in [("small", &small), ("large", &large)] {
        for existing in [false, true] {
            let _ = fs::remove_file(&image);
            File::create(&image).unwrap().set_len(400 << 20).unwrap();
            let made = done(Command::new(make[0]).args(&make[1..]).arg(&image));
            made.unwrap_or_else(|reason| not_here(reason));
            mount(&image).unwrap_or_else(|reason| not_here(reason));
            if existing {
                fs::write(disk.join("dest"), pages(1_200_000)).unwrap();
            }
            done(Command::new("sync").arg("-f").arg(&disk)).unwrap();
            let ran = t.run(["--sync", source, "disk/dest"]);
            let snapshot = dir.join("snapshot");
            let copied = done(Command::new("cp").arg("--sparse=always").args([&image, &snapshot]));
            unmount();
            ran.copied(bytes.len());
            copied.unwrap();
            if kind.starts_with("ext") {
                // The exit status of e2fsck reports repairs.
                let _ = Command::new("e2fsck").arg("-fy").arg(&snapshot).output().unwrap();
            }
            mount(&snapshot).unwrap();
            let found = fs::read(disk.join("dest"));
            unmount();
            let case = format!("{source}, {}", if existing { "existing" } else { "new" });
            match found {
                Ok(found) => assert!(found == *bytes, "{case}: {} bytes, not the new", found.len()),
                Err(error) => panic!("{case}: {error}"),
            }
        }
    }
}

/// A file is synced after all its data was written, and again after its name has changed.
fn order(test_fs: &TestFs, existing: bool, no_names: bool) {
    native_only();
    let mut t = Trial::new(test_fs);
    t.file("source", pages(SIZE));
    if existing {
        t.file("dest", "old");
    }
    let mut copy = t.mapcp(["--sync", "source", "dest"]);
    if no_names {
        refuse(&mut copy, &[crate::signals::without_names()], Errno::OPNOTSUPP);
    }
    let (mut steps, mut file, mut named) = (Vec::new(), None, false);
    watch(&mut copy, |call, _| {
        let first = call.arguments[0];
        if call.is(sc::nr::FSYNC) {
            // The first descriptor is that of the file, another is that of the directory.
            let is_file = *file.get_or_insert(first) == first;
            steps.push(if is_file { "fsync file" } else { "fsync directory" });
        } else if call.is(sc::nr::LINKAT) {
            steps.push("link");
        } else if call.is(sc::nr::RENAMEAT2) || call.is(sc::nr::RENAMEAT) {
            // Renaming a file to its own name only asks whether this is permitted.
            if call.string(1) != call.string(3) {
                steps.push("rename");
            }
        } else if [sc::nr::WRITE, sc::nr::PWRITE64, sc::nr::COPY_FILE_RANGE].contains(&call.number)
            && first > 2
        {
            steps.push("data");
        } else if call.is(sc::nr::OPENAT) && call.string(1).starts_with(b".mapcp-") {
            named = true;
        }
    })
    .copied(SIZE);
    t.becomes_as("dest", "source");
    t.check();
    // docs/power-cut.md explains which kernels and file systems need this order. A file that
    // replaces another is synced only after the directory.
    let mut wanted = match (named, existing) {
        (true, _) => vec!["fsync file", "rename", "fsync file"],
        (false, false) => vec!["fsync file", "link", "fsync file"],
        (false, true) => vec!["fsync file", "link", "fsync file", "rename"],
    };
    wanted.extend(["fsync directory", "fsync file"]);
    // A clone writes no data.
    let start = steps.iter().position(|&step| step != "data").unwrap_or_default();
    assert_eq!(steps[start..], wanted);
}

/// The data fits into a cache, and the error is reported at close.
fn full_at_close(test_fs: &TestFs, unnamed: bool, existing: bool) {
    let odd = Odd::new(test_fs, Fault { unnamed, close: Some(Errno::NOSPC), ..Fault::NONE });
    if unnamed && !has_unnamed_files(&odd.dir) {
        not_here("before Linux 6.2 FUSE has no O_TMPFILE");
    }
    let mut t = Trial::new(test_fs);
    t.file("source", pages(SIZE));
    t.file("empty", "");
    let dest = odd.dir.join("dest");
    if existing {
        fs::write(&dest, "").unwrap();
        // Opening the old file for writing would fail at close, too. The mode identifies the old
        // file.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o741);
        fs::set_permissions(&dest, mode).unwrap();
    }
    for way in crate::sizes::METHODS {
        let ran = run(t.mapcp(way.iter().chain(&["source"])).arg(&dest));
        if ran.end == End::Exit(1) && ran.err.contains("cannot copy within the kernel") {
            continue; // not to another file system
        }
        let cause = "No space left on device (ENOSPC)";
        let hint = if existing { "; --in-place needs no room for both files" } else { "" };
        ran.fails(&format!("cannot write to '{}': {cause}{hint}", dest.display()));
        let names: Vec<_> = fs::read_dir(&odd.dir).unwrap().map(|e| e.unwrap()).collect();
        assert_eq!(names.len(), usize::from(existing), "{names:?}");
        if existing {
            let mode = std::os::unix::fs::MetadataExt::mode(&dest.metadata().unwrap());
            assert_eq!(mode & 0o777, 0o741);
        }
        t.check();
    }
    // Nothing was written, so nothing is lost.
    run(t.mapcp(["empty"]).arg(&dest)).copied(0);
}
