//! The sizes of the programs, and the system calls that they make, in the release build for this
//! machine.

mod common;

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
};

use common::{Scratch, noise, outcome, release};

#[cfg(target_arch = "x86_64")]
#[test]
fn bytes() {
    for (name, limit) in common::bars::MOST_BYTES {
        let size = fs::metadata(release(name)).unwrap().len();
        println!("{name}: {size} bytes of {limit}");
        assert!(size <= limit, "{name} has {size} bytes, {limit} are allowed");
    }
}

/// Copies 4 KiB under strace. Returns the names of the system calls after `execve`.
fn calls(program: &Path) -> Vec<String> {
    let dir = Scratch::new("calls");
    let source = dir.file("source", noise(4096));
    let (dest, trace) = (dir.path("dest"), dir.path("trace"));
    let mut strace = Command::new("strace");
    strace.arg("-f").arg("-o").arg(&trace).arg(program).arg(&source).arg(&dest);
    let output = strace.output().expect("strace runs: apt-get install strace");
    let copied = ("Copied 4096 bytes\n".into(), String::new(), Some(0));
    assert_eq!(outcome(&output), copied);
    assert_eq!(fs::read(&dest).unwrap(), fs::read(&source).unwrap());
    // A line is `PID name(arguments) = result`, or `PID +++ exited with 0 +++`.
    let trace = fs::read_to_string(trace).unwrap();
    let call = |line: &str| {
        let (name, _) = line.split_once(' ')?.1.trim_start().split_once('(')?;
        Some(name.to_owned())
    };
    let calls: Vec<String> = trace.lines().filter_map(call).collect();
    assert_eq!((calls[0].as_str(), calls.last().unwrap().as_str()), ("execve", "exit_group"));
    calls[1..].to_vec()
}

#[test]
fn system_calls() {
    for (name, limit) in [("mapcp", 20), ("tiny-copy", 10)] {
        let calls = calls(&release(name));
        println!("{name}: {} calls of {limit}: {calls:?}", calls.len());
        assert!(calls.len() <= limit, "{name}: {calls:?}");
    }
}

/// Resident memory is a part of the address space, so a limit on the address space bounds it.
#[test]
fn memory() {
    let dir = Scratch::new("memory");
    let (source, dest) = (dir.path("source"), dir.path("dest"));
    let size = 300 << 20;
    let file = File::create(&source).unwrap();
    for at in (0..size).step_by(20 << 20) {
        file.write_all_at(&noise(20 << 20), at).unwrap();
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 32768; exec \"$@\"", "sh"]);
    shell.arg(release("mapcp")).arg(&source).arg(&dest);
    let copied = (format!("Copied {size} bytes\n"), String::new(), Some(0));
    assert_eq!(outcome(&shell.output().unwrap()), copied);
    assert!(fs::read(&source).unwrap() == fs::read(&dest).unwrap());
}
