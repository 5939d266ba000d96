//! Copies that are ended or stopped by signals.

use std::{
    cell::Cell,
    fs,
    os::unix::process::CommandExt,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Signal, kill_process, kill_process_group},
};

use crate::{
    Rows, common,
    disk::native_only,
    not_here,
    sizes::METHODS,
    test_fs::TestFs,
    trial::{End, Trial, dies_with_this_process, pages, start},
    watch::{Calls, refuse, watch},
};

const SIZE: usize = (9 << 20) + 5;

/// Returns the calls that open a file without a name.
pub fn without_names() -> Calls {
    Calls::with(sc::nr::OPENAT, &[(2, rustix::fs::OFlags::TMPFILE.bits())])
}

pub fn rows(rows: &mut Rows) {
    rows.add("SIGKILL at each step", |test_fs| killed_at_each_call(test_fs, &[], false));
    rows.add("SIGKILL at each step, -j2", |test_fs| killed_at_each_call(test_fs, &["-j2"], false));
    rows.add("SIGKILL at each step, without O_TMPFILE", |test_fs| {
        killed_at_each_call(test_fs, &[], true);
    });
    rows.add("SIGKILL at random moments of 200 MiB", |test_fs| killed_at_random(test_fs, &[]));
    rows.add("SIGKILL at random moments of 200 MiB, -j2", |test_fs| {
        killed_at_random(test_fs, &["-j2"]);
    });
    for (name, signal) in
        [("SIGINT", Signal::INT), ("SIGTERM", Signal::TERM), ("SIGHUP", Signal::HUP)]
    {
        for way in [&[][..], &["-j2"], &["--method=map", "-j2"], &["--method=kernel", "-j1"]] {
            let with = if way.is_empty() { String::new() } else { format!(" {}", way.join(" ")) };
            rows.add(format!("{name} in the middle{with}"), move |test_fs| {
                ended(test_fs, signal, way, false, false);
            });
            rows.add(format!("{name} in the middle{with}, without O_TMPFILE"), move |test_fs| {
                ended(test_fs, signal, way, true, false);
            });
        }
        rows.add(format!("{name} to the whole process group, -j2"), move |test_fs| {
            ended(test_fs, signal, &["-j2"], false, true);
        });
        rows.add(
            format!("{name} to the whole process group, -j2, without O_TMPFILE"),
            move |test_fs| {
                ended(test_fs, signal, &["-j2"], true, true);
            },
        );
        rows.add(format!("{name} ignored since before: the copy goes on"), move |test_fs| {
            ignored(test_fs, name, signal);
        });
    }
    rows.add("a worker killed", worker_killed);
    rows.add("SIGSTOP and SIGCONT in the middle", |test_fs| {
        let size = (64 << 20) + 5;
        let mut t = Trial::new(test_fs);
        t.file("source", pages(size));
        for way in METHODS {
            let running = start(&mut t.mapcp(way.iter().chain(&["source", "dest"])));
            for _ in 0..5 {
                thread::sleep(Duration::from_millis(2));
                let _ = kill_process_group(running.pid(), Signal::STOP);
                thread::sleep(Duration::from_millis(1));
                let _ = kill_process_group(running.pid(), Signal::CONT);
            }
            running.end().copied(size);
            t.becomes_as("dest", "source");
            t.check();
            t.remove("dest");
        }
    });
    for (name, how) in [("SIGBUS ignored", true), ("SIGBUS blocked", false)] {
        rows.add(format!("{name} at start, source truncated"), move |test_fs| {
            native_only();
            // Where the kernel copies, this process gets no such signal.
            for way in &METHODS[3..7] {
                let mut t = Trial::new(test_fs);
                t.file("source", pages(SIZE));
                t.file("dest", "old");
                let mut copy = shell_or_blocked(&t, way, how);
                let cut = Cell::new(false);
                let path = t.path("source");
                let mut number = 0;
                let ran = watch(&mut copy, |_, _| {
                    number += 1;
                    if number == 12 {
                        cut.set(true);
                        fs::File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
                    }
                });
                assert!(cut.get());
                ran.fails(
                    "cannot copy 'source': it was truncated or became unreadable during the copy",
                );
                t.becomes("source", &pages(1)[..]);
                t.check();
            }
        });
    }
}

/// Returns a copy that inherits ignored or blocked signals.
fn shell_or_blocked(t: &Trial, way: &[&str], ignored: bool) -> Command {
    let mut copy = t.mapcp(way.iter().chain(&["source", "dest"]));
    // SAFETY: one system call.
    unsafe {
        copy.pre_exec(move || {
            const BUS: usize = 7;
            if ignored {
                // `struct sigaction`: the handler (SIG_IGN), flags, restorer, mask.
                let action = [1usize, 0, 0, 0];
                sc::syscall!(RT_SIGACTION, BUS, action.as_ptr(), 0, 8);
            } else {
                let mask = 1u64 << (BUS - 1);
                const BLOCK: usize = 0;
                sc::syscall!(RT_SIGPROCMASK, BLOCK, &raw const mask, 0, 8);
            }
            Ok(())
        });
    }
    copy
}

fn both(t: &mut Trial) {
    t.file("source", pages(SIZE));
    t.file("dest", "old");
}

/// Returns a copy of both files, with or without support for files without a name.
fn copy(t: &Trial, way: &[&str], no_names: bool) -> Command {
    let mut copy = t.mapcp(way.iter().chain(&["source", "dest"]));
    if no_names {
        refuse(&mut copy, &[without_names()], Errno::OPNOTSUPP);
    }
    copy
}

/// Checks that the destination is the old or the new file. A killed copy leaves at most one
/// temporary file, which the next copy to that destination removes. Returns whether it is the new
/// file.
fn after_a_kill(t: &mut Trial, new: &Arc<Vec<u8>>) -> bool {
    let is_new = fs::metadata(t.path("dest")).unwrap().len() == new.len() as u64;
    if is_new {
        t.becomes_shared("dest", new);
    }
    let left = t.names().iter().any(|name| name.to_string_lossy().starts_with(".mapcp-"));
    if left {
        assert!(t.is_as_it_should("dest"), "neither the old contents nor the new ones");
        t.run(["source", "dest"]).copied(new.len());
        t.becomes_shared("dest", new);
    }
    t.check();
    left
}

fn killed_at_each_call(test_fs: &TestFs, way: &[&str], no_names: bool) {
    native_only();
    let new = Arc::new(pages(SIZE));
    let step = if test_fs.is_here() { 1 } else { 5 };
    let (mut killed, mut over) = (0, 0);
    for at in (0..).step_by(step) {
        let mut t = Trial::new(test_fs);
        both(&mut t);
        let mut number = 0;
        let ran = watch(&mut copy(&t, way, no_names), |_, running| {
            if number == at {
                kill_process(running.pid(), Signal::KILL).unwrap();
            }
            number += 1;
        });
        after_a_kill(&mut t, &new);
        match ran.end {
            End::Signal(9) => killed += 1,
            _ => {
                ran.copied(SIZE);
                over += 1;
            }
        }
        // The number of calls varies by a few.
        if over == 3 {
            break;
        }
    }
    assert!(killed * step > 10, "killed {killed} times");
}

fn killed_at_random(test_fs: &TestFs, way: &[&str]) {
    // A clone ends before it can be killed.
    let slow: &[&str] = if test_fs.has_clones() { &["--method=write"] } else { &[] };
    let arguments: Vec<&str> = way.iter().chain(slow).chain(&["source", "dest"]).copied().collect();
    let size = 200 << 20;
    let wanted =
        if test_fs.is_here() && common::runner().is_none() && way.is_empty() { 150 } else { 15 };
    let new = Arc::new(pages(size));
    let mut t = Trial::new(test_fs);
    t.file("source", "");
    fs::write(t.path("source"), &*new).unwrap();
    t.becomes_shared("source", &new);
    t.file("dest", "old");
    let before = Instant::now();
    t.run(&arguments).copied(size);
    let mut time = before.elapsed();
    let (mut killed, mut copies, mut left) = (0, 0, 0);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    // The speed of a copy varies by a large factor on a busy machine, so kills are counted and not
    // copies.
    while killed < wanted {
        assert!(copies < 20 * wanted, "{killed} of {copies} copies were killed");
        copies += 1;
        t.file("dest", "old");
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let running = start(&mut t.mapcp(&arguments));
        thread::sleep(time.mul_f64((random % 1000) as f64 / 1000.0));
        let _ = kill_process(running.pid(), Signal::KILL);
        match running.end() {
            ran if ran.end == End::Signal(9) => killed += 1,
            ran => {
                // The kills must fall into the copy, however long it takes now.
                time = time.mul_f64(0.8);
                ran.copied(size);
            }
        }
        time = time.mul_f64(1.03);
        left += u32::from(after_a_kill(&mut t, &new));
    }
    println!("        ({killed} of {copies} killed; {left} left a name of their own)");
}

/// After a signal that ends the copy, the destination is the old file, or the new one if the signal
/// came too late, and there is no other file.
fn ended(test_fs: &TestFs, signal: Signal, way: &[&str], no_names: bool, group: bool) {
    native_only();
    let new = Arc::new(pages(SIZE));
    let mut count = 0;
    {
        let mut t = Trial::new(test_fs);
        both(&mut t);
        watch(&mut copy(&t, way, no_names), |_, _| count += 1).copied(SIZE);
    }
    let points = if test_fs.is_here() { 20 } else { 8 }.min(count);
    let mut by_signal = 0;
    for point in 0..points {
        let at = point * (count - 1) / (points - 1);
        let mut t = Trial::new(test_fs);
        both(&mut t);
        let mut number = 0;
        let ran = watch(&mut copy(&t, way, no_names), |_, running| {
            if number == at {
                if group {
                    kill_process_group(running.pid(), signal).unwrap();
                } else {
                    kill_process(running.pid(), signal).unwrap();
                }
            }
            number += 1;
        });
        if t.path("dest").metadata().unwrap().len() == SIZE as u64 {
            t.becomes_shared("dest", &new);
        }
        if ran.end == End::Signal(signal.as_raw()) {
            // The copy may have ended, and reported success.
            assert!(ran.err.is_empty(), "{ran:?}");
            by_signal += 1;
        } else {
            ran.copied(SIZE);
        }
        t.check();
    }
    assert!(by_signal * 3 >= points, "{by_signal} of {points} ended by the signal");
}

/// nohup(1) and `trap '' INT` are respected.
fn ignored(test_fs: &TestFs, name: &str, signal: Signal) {
    native_only();
    for no_names in [false, true] {
        let mut t = Trial::new(test_fs);
        both(&mut t);
        let inner = copy(&t, &["-j2"], false);
        let mut shell = Command::new("sh");
        dies_with_this_process(&mut shell);
        let script = format!("trap '' {}; exec \"$@\"", name.trim_start_matches("SIG"));
        shell.args(["-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        shell.current_dir(&t.dir);
        if no_names {
            refuse(&mut shell, &[without_names()], Errno::OPNOTSUPP);
        }
        let mut number = 0;
        let ran = watch(&mut shell, |_, running| {
            number += 1;
            if number % 5 == 0 {
                kill_process_group(running.pid(), signal).unwrap();
            }
        });
        assert!(number >= 10, "{number} calls");
        ran.copied(SIZE);
        t.becomes_as("dest", "source");
        t.check();
    }
}

/// A worker may be killed, for example for lack of memory. The copy then fails with a message.
fn worker_killed(test_fs: &TestFs) {
    native_only();
    let (mut killed, mut seen) = (0, 0);
    for method in ["--method=map", "--method=write", "--method=kernel"] {
        for at in [0, 1, 2] {
            let mut t = Trial::new(test_fs);
            both(&mut t);
            let mut calls = 0;
            let ran = watch(&mut t.mapcp([method, "-j2", "source", "dest"]), |call, running| {
                if call.process() != running.child.id() {
                    if calls == at {
                        kill_process(call.pid(), Signal::KILL).unwrap();
                    }
                    calls += 1;
                }
            });
            seen += calls;
            if ran.end == End::Exit(0) {
                // The worker was killed before it had taken a window.
                ran.copied(SIZE);
                t.becomes_as("dest", "source");
            } else {
                ran.fails("cannot copy to 'dest': a worker process was killed");
                killed += 1;
            }
            t.check();
        }
    }
    if seen == 0 && !test_fs.is_whole() {
        not_here("where no space can be reserved there is one process");
    }
    assert!(killed > 0, "no worker was killed in the middle");
}
