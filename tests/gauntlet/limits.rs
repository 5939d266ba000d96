//! Limits of a process, and its initial state.

use std::{
    fs::File,
    io,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{
    Rows, common,
    common::noise,
    not_here,
    sizes::METHODS,
    trial::{
        End, Ran, Trial, as_another_user, dies_with_this_process, error, pages, run, start_with,
    },
};

/// Sets a limit in the process that the command starts.
fn limit(command: &mut Command, resource: Resource, value: u64) {
    // SAFETY: one system call.
    unsafe {
        command.pre_exec(move || {
            let value = Some(value);
            setrlimit(resource, Rlimit { current: value, maximum: value }).map_err(error)
        });
    }
}

/// Skips the row under an emulator, which needs files, memory and a stack of its own.
fn native_only() {
    if common::runner().is_some() {
        not_here("the limit would be the emulator's");
    }
}

pub fn rows(rows: &mut Rows) {
    for way in METHODS {
        let name = way.join(" ");
        rows.add(format!("RLIMIT_FSIZE smaller than the copy {name}"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.file("source", pages((9 << 20) + 5));
            t.file("dest", "old");
            for dest in ["dest", "new"] {
                for bytes in [1 << 20, (9 << 20) + 4] {
                    let mut copy = t.mapcp(way.iter().chain(&["source", dest]));
                    limit(&mut copy, Resource::Fsize, bytes);
                    let cause = "File too large (EFBIG)";
                    run(&mut copy).fails_by_one_of(&[
                        &format!("cannot reserve space for '{dest}': {cause}"),
                        &format!("cannot write to '{dest}': {cause}"),
                        &format!("cannot set the length of '{dest}': {cause}"),
                    ]);
                    t.check();
                }
            }
            let mut copy = t.mapcp(way.iter().chain(&["source", "dest"]));
            limit(&mut copy, Resource::Fsize, (9 << 20) + 5);
            run(&mut copy).copied((9 << 20) + 5);
            t.becomes_as("dest", "source");
            t.check();
        });
    }
    rows.add("RLIMIT_AS smaller than the file", |test_fs| {
        native_only();
        let mut t = Trial::new(test_fs);
        t.file("source", pages((60 << 20) + 5));
        for way in METHODS {
            // 32 MiB are what the documentation promises. With 1 MiB the copy has to use another
            // method.
            for bytes in [32 << 20, 1 << 20] {
                let mut copy = t.mapcp(way.iter().chain(&["source", "dest"]));
                limit(&mut copy, Resource::As, bytes);
                let ran = run(&mut copy);
                if bytes == 1 << 20 && ran.end == End::Exit(1) && !way.is_empty() {
                    ran.fails_by_one_of(&[
                        "cannot map 'source': Out of memory (ENOMEM)",
                        "cannot map 'dest': Out of memory (ENOMEM)",
                    ]);
                } else {
                    ran.copied((60 << 20) + 5);
                    t.becomes_as("dest", "source");
                }
                t.check();
            }
        }
    });
    rows.add("RLIMIT_NOFILE of 0 to 16", |test_fs| {
        native_only();
        let mut t = Trial::new(test_fs);
        t.file("source", pages((9 << 20) + 5));
        let mut copied = 0;
        for way in METHODS {
            for files in 0..=16 {
                t.file("dest", "old");
                let mut copy = t.mapcp(way.iter().chain(&["source", "dest"]));
                limit(&mut copy, Resource::Nofile, files);
                let ran = run(&mut copy);
                if ran.end == End::Exit(0) {
                    ran.copied((9 << 20) + 5);
                    t.becomes_as("dest", "source");
                    copied += 1;
                } else {
                    let cause = "Too many open files (EMFILE)";
                    ran.fails_by_one_of(&[
                        &format!("cannot open 'source': {cause}"),
                        &format!("cannot copy to 'dest': {cause}"),
                        &format!("cannot open 'dest': {cause}"),
                        &format!("cannot create a file beside 'dest': {cause}"),
                        // The access list of the old file cannot be read.
                        &format!("cannot keep the owner and the access list of 'dest': {cause}"),
                    ]);
                    assert!(files < 10, "{files} are not enough: {ran:?}");
                }
                t.check();
            }
        }
        assert!(copied >= 7 * METHODS.len(), "{copied} copied");
    });
    rows.add("RLIMIT_STACK of 48 KiB to 1 MiB", |test_fs| {
        native_only();
        let mut t = Trial::new(test_fs);
        t.file("source", pages((9 << 20) + 5));
        for way in METHODS {
            for kib in [48, 64, 128, 1024] {
                let mut copy = t.mapcp(way.iter().chain(&["source", "dest"]));
                // The environment is on the stack, and may take a quarter of the limit.
                copy.env_clear();
                limit(&mut copy, Resource::Stack, kib << 10);
                run(&mut copy).copied((9 << 20) + 5);
                t.becomes_as("dest", "source");
                t.check();
                // Reading needs a buffer.
                let mut copy = t.mapcp(way.iter().chain(&["/proc/version", "dest"]));
                copy.env_clear();
                limit(&mut copy, Resource::Stack, kib << 10);
                let version = std::fs::read("/proc/version").unwrap();
                run(&mut copy).copied(version.len());
                t.becomes("dest", version);
                t.check();
            }
        }
    });
    rows.add("RLIMIT_MEMLOCK of 0", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", pages((9 << 20) + 5));
        for way in METHODS {
            let mut copy = t.mapcp(way.iter().chain(&["source", "dest"]));
            limit(&mut copy, Resource::Memlock, 0);
            run(&mut copy).copied((9 << 20) + 5);
            t.becomes_as("dest", "source");
            t.check();
        }
    });
    rows.add("RLIMIT_NPROC reached: no second worker", |test_fs| {
        native_only();
        let mut t = Trial::new(test_fs);
        t.file("source", pages((40 << 20) + 5));
        std::fs::set_permissions(&t.dir, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .unwrap();
        for way in METHODS {
            let mut copy = t.mapcp(way.iter().chain(&["-j4", "source", "dest"]));
            as_another_user(&t, &mut copy);
            limit(&mut copy, Resource::Nproc, 1);
            run(&mut copy).copied((40 << 20) + 5);
            t.becomes_as("dest", "source");
            t.check();
            t.remove("dest");
        }
    });

    let sets: [&'static [i32]; 7] = [&[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]];
    for closed in sets {
        rows.add(format!("descriptors {closed:?} closed at start"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.file("source", noise(100_000));
            t.file("dest", "old");
            let lost = "mapcp: cannot write to standard output: Bad file number (EBADF)\n";
            let (out, err) = (!closed.contains(&1), !closed.contains(&2));
            for way in METHODS {
                let ran = with_closed(&mut t.mapcp(way.iter().chain(&["source", "dest"])), closed);
                let line = if out { "Copied 100000 bytes\n" } else { "" };
                let message = if !out && err { lost } else { "" };
                ran.is(End::Exit(i32::from(!out)), line, message);
                t.becomes_as("dest", "source");
                t.check();
            }
            // The message must not be written into a file.
            let ran = with_closed(&mut t.mapcp(["none", "dest"]), closed);
            let message = "mapcp: cannot open 'none': No such file or directory (ENOENT)\n";
            ran.is(End::Exit(1), "", if err { message } else { "" });
            t.check();
        });
    }
    rows.add("standard output full", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(100_000));
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut copy = t.mapcp(["source", "dest"]);
        copy.stdout(full);
        start_with(&mut copy, false, true).end().is(
            End::Exit(1),
            "",
            "mapcp: cannot write to standard output: No space left on device (ENOSPC)\n",
        );
        t.becomes_as("dest", "source");
        t.check();
        // A copy without output does not fail.
        let mut copy = t.mapcp(["-q", "source", "dest"]);
        copy.stdout(File::options().write(true).open("/dev/full").unwrap());
        start_with(&mut copy, false, true).end().is(End::Exit(0), "", "");
        t.check();
        for word in ["--help", "--version"] {
            let mut help = t.mapcp([word]);
            help.stdout(File::options().write(true).open("/dev/full").unwrap());
            start_with(&mut help, false, true).end().is(
                End::Exit(1),
                "",
                "mapcp: cannot write to standard output: No space left on device (ENOSPC)\n",
            );
        }
    });
    rows.add("standard output a pipe that nobody reads", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(100_000));
        let mut copy = t.mapcp(["source", "dest"]);
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        copy.stdout(writer);
        start_with(&mut copy, false, true).end().is(
            End::Exit(1),
            "",
            "mapcp: cannot write to standard output: Broken pipe (EPIPE)\n",
        );
        t.becomes_as("dest", "source");
        t.check();
    });
    rows.add("standard output open for reading only", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(100_000));
        let mut copy = t.mapcp(["source", "dest"]);
        copy.stdout(File::open("/dev/null").unwrap());
        start_with(&mut copy, false, true).end().is(
            End::Exit(1),
            "",
            "mapcp: cannot write to standard output: Bad file number (EBADF)\n",
        );
        t.becomes_as("dest", "source");
        t.check();
    });
    rows.add("standard error full, closed pipe: the status tells", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("dest", "old");
        let mut copy = t.mapcp(["none", "dest"]);
        copy.stderr(File::options().write(true).open("/dev/full").unwrap());
        start_with(&mut copy, true, false).end().is(End::Exit(1), "", "");
        let mut copy = t.mapcp(["none", "dest"]);
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        copy.stderr(writer);
        start_with(&mut copy, true, false).end().is(End::Exit(1), "", "");
        t.check();
    });
    rows.add("argc 0", |test_fs| {
        native_only();
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        let mut copy = t.mapcp([""; 0]);
        let path = std::ffi::CString::new(common::path("mapcp").to_str().unwrap()).unwrap();
        // SAFETY: one system call; nothing of it was locked by another thread.
        unsafe {
            copy.pre_exec(move || {
                let none = [std::ptr::null::<u8>()];
                let errno = sc::syscall!(EXECVE, path.as_ptr(), none.as_ptr(), none.as_ptr());
                Err(io::Error::from_raw_os_error(-(errno as isize) as i32))
            });
        }
        let ran = run(&mut copy);
        assert!(ran.err.starts_with("mapcp: ") && ran.err.lines().count() == 1, "{ran:?}");
        assert_eq!((ran.end, &*ran.out), (End::Exit(2), ""));
        t.check();
    });
    rows.add("an environment of 1 MiB", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(100_000));
        for way in METHODS {
            let mut copy = t.mapcp(way.iter().chain(&["source", "dest"]));
            for number in 0..9 {
                copy.env(format!("LARGE{number}"), "x".repeat(120_000));
            }
            run(&mut copy).copied(100_000);
            t.becomes_as("dest", "source");
            t.check();
        }
    });
    rows.add("no environment", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(100_000));
        let mut copy = t.mapcp(["source", "dest"]);
        if common::runner().is_none() {
            copy.env_clear();
        }
        run(&mut copy).copied(100_000);
        t.becomes_as("dest", "source");
        t.check();
    });
    rows.add("working directory removed", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.directory("dir");
        t.file("source", "contents");
        let mut shell = Command::new("sh");
        dies_with_this_process(&mut shell);
        let copy = t.mapcp([""; 0]);
        shell.args(["-c", "cd dir && rmdir ../dir && exec \"$@\"", "sh"]);
        shell.arg(copy.get_program()).args(copy.get_args());
        shell.arg(t.path("source")).arg("dest").current_dir(&t.dir);
        let ran = run(&mut shell);
        ran.fails_by_one_of(&[
            "cannot create a file beside 'dest': No such file or directory (ENOENT)",
            "cannot copy to 'dest': No such file or directory (ENOENT)",
        ]);
        t.gone("dir");
        t.check();
    });
}

/// Runs a command with some standard descriptors closed.
fn with_closed(command: &mut Command, closed: &'static [i32]) -> Ran {
    // SAFETY: system calls alone; the descriptors are those that std put there.
    unsafe {
        command.pre_exec(move || {
            for &fd in closed {
                drop(OwnedFd::from_raw_fd(fd));
            }
            Ok(())
        });
    }
    run(command)
}
