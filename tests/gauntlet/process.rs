//! Whole processes: signals, namespaces, and many copies at once.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, setrlimit},
};

use crate::{
    Rows, common,
    disk::native_only,
    fuse::{Fault, Odd},
    not_here,
    test_fs::{TestFs, done, is_root},
    trial::{End, Running, Trial, dies_with_this_process, error, pages, run, start},
    watch::refuse,
};

pub fn rows(rows: &mut Rows) {
    for first in [1, 17, 33, 49] {
        let last = first + 15;
        rows.add(format!("a signal that ends the program, {first} to {last}"), move |test_fs| {
            native_only();
            (first..=last).for_each(|signal| ended(test_fs, signal));
        });
    }
    for ways in [&["-j4"][..], &["-j4", "--method=map"], &["-j64"], &[]] {
        let with = if ways.is_empty() { String::new() } else { format!(" {}", ways.join(" ")) };
        rows.add(
            format!("unshare --pid: a worker is PID 1 of a namespace{with}"),
            move |test_fs| {
                native_only();
                if !is_root() {
                    not_here("a namespace needs root");
                }
                let size = (40 << 20) + 5;
                let mut t = Trial::new(test_fs);
                t.file("source", pages(size));
                t.becomes_as("dest", "source");
                for _ in 0..10 {
                    let mut unshare = Command::new("unshare");
                    dies_with_this_process(&mut unshare);
                    unshare
                        .arg("--pid")
                        .arg(common::path("mapcp"))
                        .args(ways)
                        .args(["source", "dest"]);
                    run(unshare.current_dir(&t.dir)).copied(size);
                    t.check();
                }
            },
        );
    }
    rows.add("SIGTERM as the first process of a PID namespace, without O_TMPFILE", |test_fs| {
        native_only();
        if !is_root() {
            not_here("a namespace needs root");
        }
        let mut t = Trial::new(test_fs);
        t.fifo("source");
        let fifo = File::options().read(true).write(true).open(t.path("source")).unwrap();
        let mut unshare = Command::new("unshare");
        dies_with_this_process(&mut unshare);
        unshare.args(["--pid", "--fork"]).arg(common::path("mapcp")).args(["source", "dest"]);
        refuse(&mut unshare, &[crate::signals::without_names()], Errno::OPNOTSUPP);
        let running = start(unshare.current_dir(&t.dir));
        until_named(&t, 1);
        let children = format!("/proc/{0}/task/{0}/children", running.child.id());
        let child = fs::read_to_string(children).unwrap();
        kill(child.trim().parse().unwrap(), 15);
        let ran = running.end();
        // The kernel does not end the first process of a namespace by a signal with the default
        // action.
        ran.is(End::Exit(128 + 15), "", "");
        drop(fifo);
        t.check();
    });
    for (no_names, existing) in [(false, true), (true, true), (true, false)] {
        let name = format!(
            "64 copies at once to {} destination, {} O_TMPFILE",
            if existing { "an existing" } else { "a new" },
            if no_names { "without" } else { "with" },
        );
        rows.add(name, move |test_fs| many(test_fs, no_names, existing));
    }
    for unnamed in [true, false] {
        let with = if unnamed { "with" } else { "without" };
        rows.add(
            format!("names of eight characters and three, {with} O_TMPFILE"),
            move |test_fs| {
                short_names(test_fs, unnamed);
            },
        );
    }
    rows.add("--in-place, a hard link in an overlay's lower layer", overlay);
}

/// Sends a signal by its number, because the C library reserves some signals.
fn kill(process: u32, signal: u32) {
    // SAFETY: touches no memory.
    let result = unsafe { sc::syscall!(KILL, process, signal) };
    assert_eq!(result, 0, "kill of {process} with {signal}");
}

/// Waits until a number of copies have a temporary file.
fn until_named(t: &Trial, count: usize) {
    let begin = Instant::now();
    loop {
        let names = t.names();
        let is_temporary = |name: &&OsString| name.to_string_lossy().starts_with(".mapcp-");
        let found = names.iter().filter(is_temporary).count();
        if found == count {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{found} of {count} have a name");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A signal ends a copy that has a temporary file and waits for its source.
fn ended(test_fs: &TestFs, signal: u32) {
    // KILL and STOP cannot be handled, the program blocks PIPE and XFSZ, and the others end no
    // process. Source: signal(7).
    if [9, 19, 13, 25, 17, 18, 20, 21, 22, 23, 28].contains(&signal) {
        return;
    }
    let mut t = Trial::new(test_fs);
    t.fifo("source");
    t.file("dest", "old");
    let fifo = File::options().read(true).write(true).open(t.path("source")).unwrap();
    let mut copy = t.mapcp(["source", "dest"]);
    refuse(&mut copy, &[crate::signals::without_names()], Errno::OPNOTSUPP);
    // SAFETY: two system calls. Some of the signals would write the memory to a file, and some are
    // ignored by whoever started this program.
    unsafe {
        copy.pre_exec(move || {
            let default = [0usize; 4];
            sc::syscall!(RT_SIGACTION, signal, default.as_ptr(), 0, 8);
            setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(error)
        });
    }
    let running = start(&mut copy);
    until_named(&t, 1);
    kill(running.child.id(), signal);
    running.end().is(End::Signal(signal as i32), "", "");
    drop(fifo);
    t.check();
}

/// All copies are ready at the same time, and each replaces the destination.
fn many(test_fs: &TestFs, no_names: bool, existing: bool) {
    native_only();
    const COUNT: usize = 64;
    let mut t = Trial::new(test_fs);
    if existing {
        t.file("dest", "old");
    }
    let contents: Vec<Vec<u8>> = (0..COUNT).map(|number| vec![number as u8; 3000]).collect();
    let mut copies = Vec::new();
    for number in 0..COUNT {
        let name = format!("source{number}");
        t.fifo(&name);
        let fifo = File::options().read(true).write(true).open(t.path(&name)).unwrap();
        let mut copy = t.mapcp([&*name, "dest"]);
        if no_names {
            refuse(&mut copy, &[crate::signals::without_names()], Errno::OPNOTSUPP);
        }
        copies.push((start(&mut copy), fifo));
    }
    if no_names {
        until_named(&t, COUNT);
    }
    for ((_, fifo), bytes) in copies.iter_mut().zip(&contents) {
        fifo.write_all(bytes).unwrap();
    }
    // A copy that has not opened its source yet would wait for another writer.
    for (_, fifo) in &copies {
        while rustix::io::ioctl_fionread(crate::trial::fd(fifo)).unwrap() > 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    // The reader sees the end of the file when no process has it open for writing.
    let running: Vec<Running> = copies.into_iter().map(|(running, _)| running).collect();
    for running in running {
        running.end().copied(3000);
    }
    let found = t.read("dest");
    assert!(contents.contains(&found), "{} bytes of more than one source", found.len());
    t.becomes("dest", found);
    t.check();
}

/// The error of msdos for a name that is not of its form.
fn short_names(test_fs: &TestFs, unnamed: bool) {
    let refuses = |name: &[u8]| {
        let name = str::from_utf8(name).unwrap();
        let (base, extension) = name.split_once('.').unwrap_or((name, ""));
        let fits = (1..=8).contains(&base.len()) && extension.len() <= 3;
        (!fits || extension.contains('.')).then_some(Errno::INVAL)
    };
    let odd = Odd::new(test_fs, Fault { unnamed, refuses, ..Fault::NONE });
    let mut t = Trial::new(test_fs);
    t.file("source", pages(100_000));
    t.file("short", "short");
    let dest = odd.dir.join("dest.txt");
    for (source, bytes) in [("source", pages(100_000)), ("short", b"short".to_vec())] {
        for option in ["--method=write", "--sync", "-n"] {
            if option == "-n" {
                fs::remove_file(&dest).unwrap();
            }
            run(t.mapcp([option, source]).arg(&dest)).copied(bytes.len());
            assert!(fs::read(&dest).unwrap() == bytes, "{option}");
            assert_eq!(fs::read_dir(&odd.dir).unwrap().count(), 1, "{option}");
        }
    }
    t.check();
}

/// Opening a file of the lower layer for writing changes its inode number.
fn overlay(test_fs: &TestFs) {
    if !test_fs.is_here() {
        not_here("it has a file system of its own, which one column shows");
    }
    if !is_root() {
        not_here("to mount a file system needs root");
    }
    let base = test_fs.elsewhere();
    let dir = |name: &str| -> PathBuf {
        let dir = base.join(name);
        fs::create_dir(&dir).unwrap();
        dir
    };
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(dir);
    fs::write(lower.join("dest"), "old and longer").unwrap();
    fs::write(lower.join("source"), "the source").unwrap();
    fs::hard_link(lower.join("dest"), lower.join("other")).unwrap();
    fs::hard_link(lower.join("source"), lower.join("same")).unwrap();
    let layers = format!(
        "lowerdir={},upperdir={},workdir={},index=off",
        lower.display(),
        upper.display(),
        work.display()
    );
    let mut mount = Command::new("mount");
    mount.args(["-t", "overlay", "-o", &layers, "none"]).arg(&merged);
    done(&mut mount).unwrap_or_else(|reason| not_here(reason));
    let t = Trial::in_dir(test_fs, merged.clone());
    let same = t.run(["--in-place", "source", "same"]);
    let copied = t.run(["--in-place", "source", "dest"]);
    let read = |name: &str| String::from_utf8(t.read(name)).unwrap();
    let found = ["source", "same", "dest", "other"].map(read);
    done(Command::new("umount").arg(&merged)).unwrap();
    drop(t);
    fs::remove_dir_all(&base).unwrap();
    same.fails("cannot copy to 'same': it is the same file as the source");
    copied.copied(10);
    assert_eq!(found, ["the source", "the source", "the source", "old and longer"]);
}
