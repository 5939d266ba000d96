//! Disks that are full, and disks that lose power.

use std::{
    fs::{self, File},
    io::Write,
    thread,
    time::Instant,
};

use rustix::{
    io::Errno,
    ioctl::{self, Setter, opcode},
};

use crate::{
    Rows,
    common::{self, noise},
    not_here,
    sizes::METHODS,
    test_fs::{TestFs, Volume},
    trial::{End, Ran, Trial, fd, pages, run, start},
    watch::{Calls, refuse, watch},
};

const PAGE: usize = 4096;

pub fn rows(rows: &mut Rows) {
    const SIZE: usize = (3 << 20) + 5 * PAGE;
    for (when, space) in
        [("at the start", 0), ("in the middle", SIZE / 2), ("at the last block", SIZE - PAGE)]
    {
        rows.add(format!("disk full {when}"), move |test_fs| {
            full(test_fs, SIZE, space, &METHODS[..1], false);
        });
        rows.add(format!("disk full {when}, every method and -j"), move |test_fs| {
            full(test_fs, SIZE, space, &METHODS[1..], false);
        });
        rows.add(format!("disk full {when}, without fallocate"), move |test_fs| {
            full(test_fs, SIZE, space, &METHODS, true);
        });
    }
    for (how, no_fallocate) in [("", false), (", without fallocate", true)] {
        rows.add(format!("disk full, --in-place{how}"), move |test_fs| {
            full_in_place(test_fs, no_fallocate);
        });
    }
    rows.add("power cut at each step of --sync", power_cut_at_each_call);
    rows.add("power cut at random moments of --sync", power_cut_at_random);
}

fn full(test_fs: &TestFs, size: usize, space: usize, ways: &[&[&str]], no_fallocate: bool) {
    let volume = test_fs.volume(64 << 20);
    let dir = volume.dir.join("row");
    fs::create_dir(&dir).unwrap();
    let mut t = Trial::in_dir(test_fs, dir);
    let contents = noise(size);
    // The kernel copies within one file system. A clone would need no space.
    let from = if test_fs.has_clones() { test_fs.elsewhere() } else { volume.dir.clone() };
    let source = from.join("source");
    fs::write(&source, &contents).unwrap();
    t.file("dest", "old");
    // xfs reserves an amount of space that depends on the call.
    fill(&volume, if test_fs.kind == "xfs" { space.saturating_sub(16 * PAGE) } else { space });
    // The row applies only if another file finds as little space.
    let probe = t.path("probe");
    match fs::write(&probe, &contents) {
        Err(error) if error.raw_os_error() == Some(Errno::NOSPC.raw_os_error()) => {}
        other => not_here(format!("the file system is not full: {other:?}")),
    }
    let _ = fs::remove_file(&probe);
    sync(&volume);
    for way in ways {
        if test_fs.has_clones() && way.contains(&"--method=kernel") {
            continue;
        }
        for dest in ["dest", "new"] {
            let mut copy = t.mapcp(*way);
            if no_fallocate {
                refuse(&mut copy, &[Calls::all(sc::nr::FALLOCATE)], Errno::OPNOTSUPP);
            }
            let hint = if dest == "new" { "" } else { "; --in-place needs no room for both files" };
            let cause = format!("No space left on device (ENOSPC){hint}");
            run(copy.arg(&source).arg(dest)).fails_by_one_of(
                &["reserve space for", "write to", "set the length of", "create a file beside"]
                    .map(|action| format!("cannot {action} '{dest}': {cause}"))
                    .each_ref()
                    .map(|line| &**line),
            );
            t.check();
        }
    }
    if test_fs.has_clones() {
        fs::remove_dir_all(&from).unwrap();
    }
}

/// If the space cannot be reserved, the old file is unchanged. If the disk is full later, the error
/// says what became of it.
fn full_in_place(test_fs: &TestFs, no_fallocate: bool) {
    let volume = test_fs.volume(64 << 20);
    let dir = volume.dir.join("row");
    fs::create_dir(&dir).unwrap();
    let mut t = Trial::in_dir(test_fs, dir);
    let source = test_fs.elsewhere().join("source");
    fs::write(&source, noise(8 << 20)).unwrap();
    t.file("dest", noise(PAGE));
    fill(&volume, 2 << 20);
    let mut copy = t.mapcp(["--in-place"]);
    if no_fallocate {
        refuse(&mut copy, &[Calls::all(sc::nr::FALLOCATE)], Errno::OPNOTSUPP);
    }
    let ran = run(copy.arg(&source).arg("dest"));
    let line =
        |action, then| format!("cannot {action} 'dest': No space left on device (ENOSPC){then}");
    let partly = line("write to", "; the destination is partly overwritten");
    let unchanged = line("reserve space for", "");
    if ran.err.contains("reserve") {
        ran.fails(&unchanged);
        t.check();
    } else {
        ran.fails(&partly);
    }
    let can_reserve = ["ext4", "xfs", "tmpfs"].contains(&&*test_fs.kind) && !no_fallocate;
    assert!(!can_reserve || ran.err.contains("reserve"), "{ran:?}");
    fs::remove_dir_all(source.parent().unwrap()).unwrap();
}

/// Fills a file system except for some bytes.
pub fn fill(volume: &Volume, space: usize) {
    let mut filler = File::create(volume.dir.join("filler")).unwrap();
    let part = noise(1 << 20);
    let mut len = 0;
    let mut step = part.len();
    while step >= PAGE {
        match filler.write(&part[..step]) {
            Ok(count) => len += count,
            Err(error) if error.raw_os_error() == Some(Errno::NOSPC.raw_os_error()) => step /= 2,
            Err(error) => panic!("{error}"),
        }
    }
    let _ = filler.sync_all();
    filler.set_len(len.saturating_sub(space).next_multiple_of(PAGE) as u64).unwrap();
    sync(volume);
}

pub fn sync(volume: &Volume) {
    let _ = rustix::fs::syncfs(fd(&File::open(&volume.dir).unwrap()));
}

/// Shuts a file system down, as if its disk were gone: nothing more is written, not even the
/// journal.
fn cut(volume: &Volume) -> Result<(), Errno> {
    const SHUTDOWN: ioctl::Opcode = opcode::read::<u32>(b'X', 125);
    const NO_LOG_FLUSH: u32 = 2;
    let dir = File::open(&volume.dir).unwrap();
    // SAFETY: that is what the request reads.
    unsafe { ioctl::ioctl(fd(&dir), Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }
}

struct Cut {
    volume: Volume,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Cut {
    fn new(test_fs: &TestFs) -> Cut {
        if !["ext4", "xfs", "btrfs"].contains(&&*test_fs.kind) {
            not_here("what is not on a disk has nothing after a power cut");
        }
        let volume = test_fs.volume(128 << 20);
        let cut = Cut { volume, old: pages(1 << 20), new: pages((9 << 20) + 77) };
        if let Err(errno) = self::cut(&cut.volume) {
            not_here(format!("the file system has no shutdown: {errno}"));
        }
        cut.volume.again();
        fs::create_dir(cut.volume.dir.join("row")).unwrap();
        cut
    }

    /// Makes a copy, cuts the power, and checks the disk. `copy` returns whether it was over before
    /// the cut. Returns whether the destination has the new contents.
    fn round(&self, test_fs: &TestFs, copy: impl FnOnce(&Trial) -> (Ran, bool)) -> bool {
        let dir = self.volume.dir.join("row");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        let mut t = Trial::in_dir(test_fs, dir);
        t.file("source", self.new.clone());
        t.file("dest", self.old.clone());
        sync(&self.volume);
        let (ran, over) = copy(&t);
        self.volume.again();
        let is_new = t.read("dest") == self.new;
        if is_new {
            t.becomes("dest", self.new.clone());
        }
        if ran.end == End::Exit(0) {
            ran.copied(self.new.len());
            // A program that continues after the cut may be told that its calls succeeded.
            assert!(is_new || !over, "success was reported, and it is the old file");
        } else {
            assert!(
                ran.end == End::Exit(1)
                    && ran.err.starts_with("mapcp: cannot ")
                    && ran.err.ends_with(": I/O error (EIO)\n")
                    && ran.out.is_empty(),
                "{ran:?}"
            );
        }
        // The next copy removes a temporary file.
        let names = t.names();
        let left = names.iter().filter(|name| name.to_string_lossy().starts_with(".mapcp-"));
        if left.count() > 0 {
            t.run(["source", "dest"]).copied(self.new.len());
            t.becomes_as("dest", "source");
        }
        t.check();
        is_new
    }
}

fn power_cut_at_each_call(test_fs: &TestFs) {
    native_only();
    let cut = Cut::new(test_fs);
    let (mut old, mut new) = (0, 0);
    for at in 0.. {
        let mut number = 0;
        let is_new = cut.round(test_fs, |t| {
            let mut copy = t.mapcp(["--sync", "source", "dest"]);
            let mut over = true;
            let ran = watch(&mut copy, |call, _| {
                if number == at {
                    self::cut(&cut.volume).unwrap();
                    over = call.is(sc::nr::WRITE) && call.arguments[0] == 1;
                }
                number += 1;
            });
            (ran, over)
        });
        if number <= at {
            // The power is cut after the end of the copy.
            assert!(is_new);
            break;
        }
        old += u32::from(!is_new);
        new += u32::from(is_new);
    }
    assert!(old > 3 && new > 0, "{old} times the old file, {new} times the new one");
    // After success.
    for _ in 0..3 {
        assert!(cut.round(test_fs, |t| {
            let ran = t.run(["--sync", "source", "dest"]);
            self::cut(&cut.volume).unwrap();
            (ran, true)
        }));
    }
}

fn power_cut_at_random(test_fs: &TestFs) {
    let cut = Cut::new(test_fs);
    let start_ = Instant::now();
    cut.round(test_fs, |t| (t.run(["--sync", "source", "dest"]), true));
    let time = start_.elapsed();
    for round in 0..12 {
        cut.round(test_fs, |t| {
            let mut running = start(&mut t.mapcp(["--sync", "source", "dest"]));
            thread::sleep(time * round / 12);
            let over = running.child.try_wait().unwrap().is_some();
            self::cut(&cut.volume).unwrap();
            (running.end(), over)
        });
    }
}

/// Skips the row under an emulator, which makes system calls of its own, for rows that stop a
/// program at each call.
pub fn native_only() {
    if common::runner().is_some() {
        not_here("the system calls would be the emulator's");
    }
    if common::words() == 32 {
        not_here("its system calls have other numbers than the test's own");
    }
}
