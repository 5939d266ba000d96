//! Sources on file systems that report wrong sizes and holes, or that have no memory for holes.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    process::{Command, Stdio},
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use crate::{
    Rows,
    common::noise,
    disk::native_only,
    mounts::{Mount, odd_fs},
    sizes::METHODS,
    test_fs::TestFs,
    trial::{End, Trial, dies_with_this_process, fd, pages, run},
    watch::{Calls, refuse},
};

const EARLY: &str = "it ends before the size that its file system reports";

pub fn rows(rows: &mut Rows) {
    for old in [0, 5000, 1 << 20] {
        rows.add(format!("source not yet written back to a server, after {old} bytes"), move |p| {
            not_written_back(p, old, false);
        });
        let name = format!("source not yet written back, below an overlay, after {old} bytes");
        rows.add(name, move |p| not_written_back(p, old, true));
    }
    let timeouts: [&[&str]; 2] = [&[], &["-oattr_timeout=0"]];
    for (size, real) in [(4096, 100), (4096, 0), ((9 << 20) + 5, (5 << 20) + 7), (200_000, 199_999)]
    {
        rows.add(format!("source ends after {real} of {size} bytes"), move |test_fs| {
            for options in timeouts {
                ends_early(test_fs, size, real, options, &[]);
            }
        });
        rows.add(
            format!("source ends after {real} of {size} bytes, not mappable"),
            move |test_fs| {
                ends_early(test_fs, size, real, &[], &["ODD_FS_DIRECT"]);
            },
        );
    }
    rows.add("source ends early and has no blocks, --sparse=never without fallocate", |test_fs| {
        ends_early_without_blocks(test_fs);
    });
    rows.add("holes of a source in a full tmpfs, --sparse=never", |test_fs| {
        full_tmpfs(test_fs, &["--sparse=never"], false);
    });
    rows.add("holes of a source in a full tmpfs", |test_fs| full_tmpfs(test_fs, &[], false));
    rows.add("a hole that the size hides, of a source in a full tmpfs", |test_fs| {
        full_tmpfs(test_fs, &[], true);
    });
    rows.add("holes of a source in a tmpfs get no blocks, --sparse=never", |test_fs| {
        let tmpfs = Mount::new(test_fs, "source", &["-t", "tmpfs", "-o", "size=128m", "none"]);
        let source = tmpfs.path("source");
        let file = File::create(&source).unwrap();
        file.set_len(48 << 20).unwrap();
        file.write_all_at(&noise(70_000), 5 << 20).unwrap();
        copies_and_keeps_blocks(test_fs, &source, &["--sparse=never"]);
    });
}

/// Combines two reasons to read the source again from its start.
fn ends_early_without_blocks(test_fs: &TestFs) {
    native_only();
    let mut t = Trial::new(test_fs);
    let short = Mount::odd_fs(test_fs, "short", &["short", "100000", "5000"], &["NO_BLOCKS"]);
    for in_place in [false, true] {
        t.file("dest", pages(3000));
        let in_place: &[&str] = if in_place { &["--in-place"] } else { &[] };
        let mut copy = t.mapcp(in_place.iter().chain(&["--sparse=never"]));
        copy.arg(short.path("f")).arg("dest");
        let fallocate = Calls::all(sc::nr::FALLOCATE);
        refuse(&mut copy, &[fallocate], Errno::OPNOTSUPP);
        run(&mut copy).copied(5000);
        t.becomes("dest", vec![b'x'; 5000]);
        t.check();
    }
}

/// A file of which the server knows `old` bytes, while another process has written more.
///
/// An overlay above the server's file system finds the data in memory, but not that it is no hole.
fn not_written_back(test_fs: &TestFs, old: usize, overlaid: bool) {
    let mut t = Trial::new(test_fs);
    let behind = test_fs.beside("behind");
    fs::create_dir_all(&behind).unwrap();
    let mirror = Mount::odd_fs(test_fs, "mirror", &["mirror", behind.to_str().unwrap()], &[]);
    for (number, way) in METHODS.iter().enumerate() {
        let name = format!("source{number}");
        let source = mirror.path(&name);
        fs::write(&source, vec![b'x'; old]).unwrap();
        let mut append = Command::new(odd_fs());
        append.arg("append").arg(&source).arg("300000").stdin(Stdio::piped());
        dies_with_this_process(append.stdout(Stdio::piped()));
        let mut append = append.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(append.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        assert_eq!(fs::metadata(behind.join(format!("source{number}"))).unwrap().len(), old as u64);

        let overlay = overlaid.then(|| {
            let lower = format!("lowerdir={}:{}", mirror.dir.display(), t.dir.display());
            Mount::new(test_fs, "overlay", &["-t", "overlay", "-o", &lower, "none"])
        });
        let source = overlay.as_ref().map_or(source, |overlay| overlay.path(&name));
        let ran = t.run(way.iter().map(Path::new).chain([&*source, Path::new("dest")]));
        drop(append.stdin.take());
        append.wait().unwrap();
        if way.contains(&"--method=kernel") && ran.end == End::Exit(1) {
            ran.fails(&format!(
                "cannot copy within the kernel '{}': Cross-device link (EXDEV)",
                source.display()
            ));
        } else {
            ran.copied(old + 300_000);
            t.becomes("dest", vec![b'x'; old + 300_000]);
        }
        t.check();
    }
    drop(mirror);
    fs::remove_dir_all(&behind).unwrap();
}

/// Accepts that a failed copy has changed a destination, and returns the end of its message: that it
/// did so, or nothing if it has changed nothing.
fn partly_overwritten(t: &mut Trial, dest: &str, old: &[u8]) -> &'static str {
    let now = t.read(dest);
    let is_changed = now != old;
    t.becomes(dest, now);
    if is_changed { "; the destination is partly overwritten" } else { "" }
}

fn ends_early(test_fs: &TestFs, size: usize, real: usize, options: &[&str], variables: &[&str]) {
    let mut t = Trial::new(test_fs);
    for dest in ["new", "old", "in place"] {
        for way in METHODS {
            let (size, real) = (size.to_string(), real.to_string());
            let arguments = [&["short", &size, &real], options].concat();
            let short = Mount::odd_fs(test_fs, "short", &arguments, variables);
            let source = short.path("f");
            if dest != "new" {
                t.file(dest, pages(3000));
            }
            let in_place: &[&str] = if dest == "in place" { &["--in-place"] } else { &[] };
            let options = way.iter().chain(in_place).map(Path::new);
            let ran = t.run(options.chain([&*source, Path::new(dest)]));
            let exdev = "cannot copy within the kernel";
            if ran.end == End::Exit(1) && !way.is_empty() && !way.contains(&"--method=auto") {
                let (from, map) = (source.display(), "No such device (ENODEV)");
                let partly = if dest == "in place" {
                    partly_overwritten(&mut t, dest, &pages(3000))
                } else {
                    ""
                };
                ran.fails_by_one_of(&[
                    &format!("cannot copy '{from}': {EARLY}{partly}"),
                    &format!("cannot map '{from}': {map}{partly}"),
                    &format!("{exdev} '{from}': Cross-device link (EXDEV){partly}"),
                ]);
            } else {
                ran.copied(real.parse::<u64>().unwrap());
                t.becomes(dest, vec![b'x'; real.parse().unwrap()]);
            }
            t.check();
            if dest == "new" && t.path(dest).exists() {
                t.remove(dest);
            }
        }
    }
}

/// Copies a sparse file from a tmpfs that has no free page.
fn full_tmpfs(test_fs: &TestFs, options: &[&str], hidden: bool) {
    let tmpfs = Mount::new(test_fs, "source", &["-t", "tmpfs", "-o", "size=24m", "none"]);
    let source = tmpfs.path("source");
    let file = File::create(&source).unwrap();
    // The file is as long as the file system, so part of it must be a hole.
    file.set_len(if hidden { 6 << 20 } else { 40 << 20 }).unwrap();
    for at in [0, 1 << 20, (5 << 20) - 3] {
        file.write_all_at(&noise(70_000), at).unwrap();
    }
    if hidden {
        // Preallocated space past the end makes up for the holes.
        fallocate(fd(&file), FallocateFlags::KEEP_SIZE, 6 << 20, 6 << 20).unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 >= 6 << 20);
    }
    let filler = File::create(tmpfs.path("filler")).unwrap();
    let (part, mut at) = (vec![1; 4096], 0);
    while filler.write_all_at(&part, at).is_ok() {
        at += 4096;
    }
    copies_and_keeps_blocks(test_fs, &source, options);
}

fn copies_and_keeps_blocks(test_fs: &TestFs, source: &Path, options: &[&str]) {
    let mut t = Trial::new(test_fs);
    let contents = fs::read(source).unwrap();
    let blocks = || source.metadata().unwrap().blocks();
    let before = blocks();
    for way in METHODS {
        for in_place in [false, true] {
            t.file("dest", pages(3 << 20));
            let in_place: &[&str] = if in_place { &["--in-place"] } else { &[] };
            let options = way.iter().chain(options).chain(in_place).map(Path::new);
            let ran = t.run(options.chain([source, Path::new("dest")]));
            if way.contains(&"--method=kernel") && ran.end == End::Exit(1) {
                let from = source.display();
                let exdev = "Cross-device link (EXDEV)";
                let partly = partly_overwritten(&mut t, "dest", &pages(3 << 20));
                ran.fails(&format!("cannot copy within the kernel '{from}': {exdev}{partly}"));
            } else {
                ran.copied(contents.len());
                t.becomes("dest", &*contents);
            }
            t.check();
            assert_eq!(blocks(), before, "the copy made blocks of the source's holes: {way:?}");
        }
    }
}
