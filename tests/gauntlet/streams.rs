//! Destinations that are open descriptors, and what is printed beside them.

use std::{
    fs::{self, File},
    io::{Read, Seek, Write},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread,
};

use crate::{
    Rows,
    common::noise,
    trial::{End, Trial, run, start_with},
};

pub fn rows(rows: &mut Rows) {
    for dest in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "-", "link", "dir/link"] {
        rows.add(format!("a log goes on around a copy to {dest}"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.file("source", "contents\n");
            t.symlink("/dev/stdout", "link");
            t.directory("dir");
            t.symlink("../link", "dir/link");
            for (redirection, before) in [(">", ""), (">>", "zero\n")] {
                for option in ["", "-v", "-p", "--in-place", "--sync", "--atomic", "--method=write"]
                {
                    t.file("log", before);
                    let script = format!(
                        "(echo one; \"$0\" {option} source {dest}; echo two) {redirection} log"
                    );
                    shell(&t, &script).is(End::Exit(0), "", "");
                    t.becomes("log", format!("{before}one\ncontents\ntwo\n"));
                    t.check();
                }
            }
        });
        rows.add(format!("a pipe through {dest} has the data and nothing else"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            let contents = noise(300_000);
            t.file("source", contents.clone());
            t.symlink("/dev/stdout", "link");
            t.directory("dir");
            t.symlink("../link", "dir/link");
            for option in ["", "-v"] {
                shell(&t, &format!("\"$0\" {option} source {dest} | cat > got")).is(
                    End::Exit(0),
                    "",
                    "",
                );
                t.becomes("got", contents.clone());
                t.check();
            }
        });
    }
    rows.add("a socket as standard output", |test_fs| {
        let mut t = Trial::new(test_fs);
        let contents = noise(300_000);
        t.file("source", contents.clone());
        for dest in ["/dev/stdout", "-", "/dev/fd/1"] {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            let reader = thread::spawn(move || {
                let mut got = Vec::new();
                ours.read_to_end(&mut got).unwrap();
                got
            });
            let mut copy = t.mapcp(["source", dest]);
            copy.stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
            let running = start_with(&mut copy, false, true);
            drop(copy);
            running.end().is(End::Exit(0), "", "");
            assert!(reader.join().unwrap() == contents);
        }
        t.check();
    });
    rows.add("another descriptor that leads to standard output", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents\n");
        for script in [
            "\"$0\" -v source /dev/fd/3 3>&1 >log",
            "\"$0\" -v source /dev/fd/3 3>log >>log",
            "\"$0\" -v source /dev/fd/3 3>log 4>&1 >&3",
        ] {
            let script = format!("({script}) | cat >> log");
            fs::write(t.path("log"), "").unwrap();
            shell(&t, &script).is(End::Exit(0), "", "");
            let log = String::from_utf8(t.read("log")).unwrap();
            // Where both are one file, only the data is in it.
            let said = "'source' -> '/dev/fd/3' (9 bytes, read, in place)\nCopied 9 bytes\n";
            let both = [format!("{said}contents\n"), format!("contents\n{said}")];
            let is_apart = script.contains("3>&1") && both.contains(&log);
            assert!(log == "contents\n" || is_apart, "{script}: {log:?}");
        }
        t.becomes("log", t.read("log"));
        t.check();
    });
    rows.add("a named destination that is standard output", |test_fs| {
        for script in [
            "\"$0\" -v --in-place source dest > dest",
            "\"$0\" -v --in-place source dest >> dest",
            "\"$0\" -v --in-place source other dir > dir/source",
            "\"$0\" -v source dest > dest",
        ] {
            let mut t = Trial::new(test_fs);
            t.file("source", "contents\n");
            t.file("other", "other contents\n");
            t.file("dest", "old");
            t.directory("dir");
            shell(&t, script).is(End::Exit(0), "", "");
            if script.contains("dir") {
                t.becomes("dir/source", "contents\n");
                t.becomes("dir/other", "other contents\n");
            } else {
                t.becomes_as("dest", "source");
            }
            t.check();
        }
        let mut t = Trial::new(test_fs);
        t.file("source", "contents\n");
        t.fifo("fifo");
        shell(&t, "cat fifo > got & \"$0\" -v source fifo > fifo; wait").is(End::Exit(0), "", "");
        t.becomes_as("got", "source");
        t.check();
    });
    rows.add("standard error as a destination has no progress in it", |test_fs| {
        let mut t = Trial::new(test_fs);
        let contents = noise(3 << 20);
        t.file("source", contents.clone());
        for dest in ["/dev/stderr", "/dev/fd/2"] {
            shell(&t, &format!("\"$0\" --progress source {dest} 2> got")).is(
                End::Exit(0),
                &format!("Copied {} bytes\n", contents.len()),
                "",
            );
            t.becomes("got", contents.clone());
            t.check();
        }
    });
    rows.add("a descriptor that is not open for writing", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents\n");
        t.file("dest", "old");
        let ran = shell(&t, "\"$0\" source /dev/fd/3 3< dest");
        ran.fails("cannot write to '/dev/fd/3': Bad file number (EBADF)");
        t.check();
        // One that is not open at all is no file.
        let ran = shell(&t, "\"$0\" source /dev/fd/9");
        assert!(ran.end == End::Exit(1) && ran.err.lines().count() == 1, "{ran:?}");
        t.check();
    });
    rows.add("the source as standard output", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents\n");
        shell(&t, "\"$0\" source /dev/stdout >> source")
            .fails("cannot copy to '/dev/stdout': it is the same file as the source");
        t.check();
    });
    rows.add("a copy to a descriptor writes at its position", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        t.file("dest", "0123456789abcdefghij");
        let mut file = File::options().write(true).open(t.path("dest")).unwrap();
        file.seek(std::io::SeekFrom::Start(5)).unwrap();
        let mut copy = t.mapcp(["source", "/dev/stdout"]);
        copy.stdout(file.try_clone().unwrap());
        start_with(&mut copy, false, true).end().is(End::Exit(0), "", "");
        file.write_all(b"!").unwrap();
        t.becomes("dest", "01234contents!efghij");
        t.check();
    });
    rows.add("called as cp it is silent", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents\n");
        t.file("other", "other\n");
        t.directory("dir");
        let mapcp = t.mapcp([""; 0]).get_program().to_owned();
        let cp = t.path("cp");
        std::os::unix::fs::symlink(&mapcp, &cp).unwrap();
        let silent = |arguments: &[&str]| {
            let mut copy = Command::new(&cp);
            copy.args(arguments).current_dir(&t.dir);
            run(&mut copy)
        };
        if crate::common::runner().is_some() {
            crate::not_here("the emulator has the name that is called");
        }
        silent(&["source", "dest"]).is(End::Exit(0), "", "");
        silent(&["source", "other", "dir"]).is(End::Exit(0), "", "");
        silent(&["source", "-"]).is(End::Exit(0), "", "");
        silent(&["-v", "source", "dest"]).is(End::Exit(0), "'source' -> 'dest'\n", "");
        silent(&["-vn", "source", "dest"]).is(End::Exit(0), "", "");
        silent(&["--reflink=auto", "source", "dest"]).is(End::Exit(0), "", "");
        let error = "cp: cannot open 'absent': No such file or directory (ENOENT)\n";
        silent(&["absent", "dest"]).is(End::Exit(1), "", error);
        let error = "cp: unknown option '--wrong' (cp --help)\n";
        silent(&["--wrong", "source", "dest"]).is(End::Exit(1), "", error);
        fs::remove_file(&cp).unwrap();
        for name in ["dest", "dir/source", "-"] {
            t.becomes(name, "contents\n");
        }
        t.becomes("dir/other", "other\n");
        t.check();
    });
}

/// Runs a script with `mapcp` as its name.
fn shell(t: &Trial, script: &str) -> crate::trial::Ran {
    let mapcp = t.mapcp([""; 0]);
    if mapcp.get_args().next().is_some() {
        crate::not_here("a script calls the program, and not the emulator");
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(mapcp.get_program()).current_dir(&t.dir);
    run(&mut shell)
}
