//! Sizes and holes.

use std::{
    fs::File,
    os::unix::fs::{FileExt, MetadataExt},
};

use rustix::{
    fs::{FallocateFlags, SeekFrom, fallocate, seek},
    process::{Signal, kill_process},
};

use crate::{
    Rows, common, not_here,
    test_fs::TestFs,
    trial::{Trial, fd, pages},
    watch::watch,
};

/// Options that select a method and a number of workers.
pub const METHODS: [&[&str]; 9] = [
    &[],
    &["--method=auto", "-j1"],
    &["--method=auto", "-j2"],
    &["--method=map", "-j1"],
    &["--method=map", "-j2"],
    &["--method=write", "-j1"],
    &["--method=write", "-j2"],
    &["--method=kernel", "-j1"],
    &["--method=kernel", "-j2"],
];

const GIB: u64 = 1 << 30;

pub fn rows(rows: &mut Rows) {
    for size in [
        0,
        1,
        4095,
        4096,
        4097,
        16383,
        16385,
        65535,
        65536,
        65537,
        (2 << 20) - 1,
        2 << 20,
        (2 << 20) + 1,
        (4 << 20) - 1,
        (4 << 20) + 1,
        (8 << 20) - 1,
        8 << 20,
        (8 << 20) + 1,
        (16 << 20) - 1,
        (16 << 20) + 1,
    ] {
        rows.add(format!("size {size}"), move |test_fs| each_way(test_fs, size, &METHODS[..1]));
        rows.add(format!("size {size}, every method and -j"), move |test_fs| {
            each_way(test_fs, size, &METHODS[1..]);
        });
    }
    for (name, size) in [
        ("2 GiB - 1", 2 * GIB - 1),
        ("2 GiB", 2 * GIB),
        ("2 GiB + 1", 2 * GIB + 1),
        ("4 GiB - 1", 4 * GIB - 1),
        ("4 GiB", 4 * GIB),
        ("4 GiB + 1", 4 * GIB + 1),
        ("5 GiB", 5 * GIB),
    ] {
        rows.add(format!("size {name}, data at both ends"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            let mut marks = vec![(0, &b"the start"[..]), (GIB + 12345, b"between")];
            // qemu-user 7.2 truncates the offset of `mmap2` to 32 bits, and maps another part of
            // the file. 32-bit programs need a real kernel for data beyond 4 GiB.
            if common::runner().is_none() || common::words() == 64 {
                marks.push((size - 7, b"the end"));
            }
            t.sparse("source", size, &marks);
            must_have_holes(&t, "source");
            for old in [false, true] {
                if old {
                    t.file("dest", "old");
                }
                t.run(["source", "dest"]).copied(size);
                t.becomes_as("dest", "source");
                t.check();
                has_no_more_blocks(&t, "source");
            }
        });
    }
    rows.add("size 2 GiB + 1, all of it data", |test_fs| {
        // These rows run once: on the file system of the program, and with both word sizes.
        if !test_fs.is_here() {
            not_here("only where the directory target is: it is the same beyond");
        }
        if common::runner().is_some() {
            not_here("an emulator is too slow for it");
        }
        let t = Trial::new(test_fs);
        let size = 2 * GIB + 1;
        let part = pages(64 << 20);
        let source = File::create_new(t.path("source")).unwrap();
        let mark = |number: u64| number.to_ne_bytes();
        for number in 0..32 {
            let mut part = part.clone();
            part[..8].copy_from_slice(&mark(number));
            source.write_all_at(&part, number << 26).unwrap();
        }
        source.write_all_at(b"!", size - 1).unwrap();
        t.run(["source", "dest"]).copied(size);
        let dest = File::open(t.path("dest")).unwrap();
        assert_eq!(dest.metadata().unwrap().len(), size);
        let (mut one, mut other) = (vec![0; 8 << 20], vec![0; 8 << 20]);
        for at in (0..2 * GIB).step_by(8 << 20) {
            source.try_clone().unwrap();
            File::open(t.path("source")).unwrap().read_exact_at(&mut one, at).unwrap();
            dest.read_exact_at(&mut other, at).unwrap();
            assert!(one == other, "they differ in the 8 MiB from {at} on");
        }
        dest.read_exact_at(&mut other[..1], size - 1).unwrap();
        assert_eq!(other[0], b'!');
        assert_eq!(t.names(), ["dest", "source"]);
    });
    // The system calls are counted, because a test must not depend on time. One hole takes a few
    // dozen calls, and 100 GiB of windows would take thousands.
    rows.add("100 GiB of nothing, in few system calls", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.sparse("source", 100 * GIB, &[]);
        must_have_holes(&t, "source");
        if common::runner().is_some() || common::words() == 32 {
            // Under an emulator, the calls cannot be counted: see `native_only`.
            t.run(["source", "dest"]).copied(100 * GIB);
        } else {
            let mut calls = 0;
            let ran = watch(&mut t.mapcp(["source", "dest"]), |_, running| {
                calls += 1;
                if calls > 1000 {
                    let _ = kill_process(running.pid(), Signal::KILL);
                }
            });
            ran.copied(100 * GIB);
            assert!(calls < 100, "{calls} system calls");
        }
        t.becomes_as("dest", "source");
        t.check();
        has_no_more_blocks(&t, "source");
    });
    type Marks<'a> = &'a [(u64, &'a [u8])];
    let patterns: [(&str, u64, Marks); 4] = [
        ("data at both ends", 20 << 20, &[(0, b"start"), ((20 << 20) - 3, b"end")]),
        ("data in the middle", 20 << 20, &[(9 << 20, b"middle")]),
        ("a hole of one page between", 3 << 16, &[(0, &[1; 1 << 16]), (2 << 16, &[2; 1 << 16])]),
        ("a hole at the end", 9 << 20, &[(0, &[3; 1 << 17])]),
    ];
    for (what, size, marks) in patterns {
        rows.add(format!("holes: {what}"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.sparse("source", size, marks);
            must_have_holes(&t, "source");
            t.run(["source", "dest"]).copied(size);
            t.becomes_as("dest", "source");
            t.check();
            has_no_more_blocks(&t, "source");
        });
        rows.add(format!("holes: {what}, every method and -j"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.sparse("source", size, marks);
            must_have_holes(&t, "source");
            for way in &METHODS[1..] {
                t.file("dest", "old");
                t.run(way.iter().chain(&["source", "dest"])).copied(size);
                t.becomes_as("dest", "source");
                t.check();
                has_no_more_blocks(&t, "source");
            }
        });
        rows.add(format!("holes: {what}, --sparse=always of zeros"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.sparse("sparse", size, marks);
            must_have_holes(&t, "sparse");
            t.file("source", t.read("sparse"));
            for way in [&[][..], &["-j1"], &["-j2"], &["--method=write"], &["--in-place"]] {
                t.file("dest", pages(30 << 20));
                let always = ["--sparse=always", "source", "dest"];
                t.run(way.iter().chain(&always)).copied(size);
                t.becomes_as("dest", "source");
                t.check();
                has_no_more_blocks(&t, "sparse");
            }
        });
        rows.add(format!("holes: {what}, --sparse=never"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.sparse("source", size, marks);
            for way in METHODS {
                t.file("dest", "old");
                let never = ["--sparse=never", "source", "dest"];
                t.run(way.iter().chain(&never)).copied(size);
                t.becomes_as("dest", "source");
                t.check();
                let found = t.path("dest").metadata().unwrap().blocks() * 512;
                assert!(
                    test_fs.kind == "btrfs" || found >= size,
                    "{way:?}: {found} bytes of space, {size} long"
                );
            }
            if test_fs.kind == "xfs" {
                t.file("dest", "old");
                t.run(["--method=clone", "--sparse=never", "source", "dest"]).copied(size);
                t.becomes_as("dest", "source");
                t.check();
                let found = t.path("dest").metadata().unwrap().blocks() * 512;
                assert!(found >= size, "clone: {found} bytes of space, {size} long");
            }
        });
    }
    rows.add("space reserved and never written", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "start");
        let file = File::options().write(true).open(t.path("source")).unwrap();
        if let Err(errno) = fallocate(fd(&file), FallocateFlags::empty(), 0, 5 << 20) {
            not_here(format!("fallocate: {errno}"));
        }
        t.becomes_sparse("source", 5 << 20, &[(0, b"start")]);
        for way in METHODS {
            t.file("dest", "old");
            t.run(way.iter().chain(&["source", "dest"])).copied(5 << 20);
            t.becomes_as("dest", "source");
            t.check();
        }
    });
}

fn each_way(test_fs: &TestFs, size: usize, ways: &[&[&str]]) {
    let mut t = Trial::new(test_fs);
    t.file("source", pages(size));
    for way in ways {
        t.run(way.iter().chain(&["source", "dest"])).copied(size);
        t.becomes_as("dest", "source");
        t.check();
        t.file("dest", "old contents");
        t.run(way.iter().chain(&["source", "dest"])).copied(size);
        t.becomes_as("dest", "source");
        t.check();
        t.remove("dest");
    }
}

/// Ends the row if the file system has no holes, or does not report them.
fn must_have_holes(t: &Trial, name: &str) {
    let file = File::open(t.path(name)).unwrap();
    let found = file.metadata().unwrap();
    let end = seek(fd(&file), SeekFrom::End(0)).unwrap();
    let hole = seek(fd(&file), SeekFrom::Hole(0)).unwrap_or(end);
    if found.blocks() * 512 >= found.len() || hole == end {
        assert!(!t.test_fs.is_whole(), "no holes");
        not_here("the file system has no holes, or does not tell where they are");
    }
}

/// Checks that the copy is as sparse as another file, apart from partial pages and the file system's
/// own blocks.
fn has_no_more_blocks(t: &Trial, other: &str) {
    let blocks = |name: &str| t.path(name).metadata().unwrap().blocks();
    let mut slack = 8 * (common::page_size() * 2 / 512 + 8);
    if t.test_fs.kind == "xfs" {
        slack += 128; // behind the end of a file that was just written
    }
    let (found, most) = (blocks("dest"), blocks(other) + slack);
    assert!(found <= most, "the holes are filled: {found} blocks of 512 bytes, {most} at most");
}
