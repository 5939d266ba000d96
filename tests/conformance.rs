//! Runs the program `conformance` and reads its report.

mod common;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{Scratch, outcome};

/// Runs the program in an empty directory, which it leaves empty, with one variable in its
/// environment.
fn run(test: &str, words: &[&[u8]]) -> Output {
    let scratch = Scratch::new(test);
    let mut command = common::program("conformance");
    if common::runner().is_some() {
        command.arg("--qemu-user");
        // The emulator is found by `PATH`, and passes its own environment on.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    } else {
        command.env_clear();
    }
    command.args(words.iter().map(|word| OsStr::from_bytes(word)));
    command.env("BAREMAP_CONFORMANCE", OsStr::from_bytes(b"= \xff\t'x'"));
    let output = finish(command.current_dir(scratch.path("")), &scratch);
    assert_eq!(scratch.names(), Vec::<String>::new(), "files left behind");
    output
}

/// Runs a command with a time limit: a fault in a register could make a call wait for ever.
fn finish(command: &mut Command, scratch: &Scratch) -> Output {
    // The output goes to files without names, because nothing reads a pipe until the command ends.
    let file = |name| {
        let path = scratch.path(name);
        let options = fs::File::options().read(true).write(true).create_new(true).open(&path);
        fs::remove_file(&path).unwrap();
        options.unwrap()
    };
    let files = [file("stdout"), file("stderr")];
    let [stdout, stderr] = files.each_ref().map(|file| Stdio::from(file.try_clone().unwrap()));
    let mut child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(300);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            None => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
        }
    };
    let [stdout, stderr] = files.map(|mut file| {
        use std::io::{Read, Seek};
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).unwrap();
        bytes
    });
    Output { status, stdout, stderr }
}

/// Parses a TAP line. Returns whether it is `ok`, its number, and the rest.
fn result(line: &str) -> Option<(bool, usize, &str)> {
    let (ok, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let (number, what) = rest.split_once(" - ")?;
    Some((ok, number.parse().ok()?, what))
}

#[test]
fn every_case_passes() {
    let output = run("conformance", &[]);
    let (report, errors, status) = outcome(&output);
    let results: Vec<_> = report.lines().filter_map(result).collect();
    let bad: Vec<_> = results.iter().filter(|(ok, ..)| !ok).collect();
    assert!(
        bad.is_empty() && status == Some(0),
        "{:?}\nfailed: {bad:#?}\nlast line: {:?}\nstandard error: {errors}",
        output.status,
        report.lines().last(),
    );
    // An emulator reports each child that ends by a fault.
    if common::runner().is_none() {
        assert_eq!(errors, "");
    }

    // The report has comments, results from 1 to N, the plan, and the closing line. The emulator
    // prints `Bail out!` if it fails itself in a child.
    let foreign = |line: &str| common::runner().is_some() && line.starts_with("Bail out! ERROR:");
    let mut lines = report.lines().filter(|line| !line.starts_with('#') && !foreign(line));
    for number in 1..=results.len() {
        let line = lines.next().unwrap();
        assert!(matches!(result(line), Some((_, n, _)) if n == number), "{number}: {line}");
    }
    let count = results.len();
    assert!(count >= 150, "only {count} cases");
    assert_eq!(lines.next(), Some(&*format!("1..{count}")));
    assert_eq!(lines.next(), Some(&*format!("conformance: {count} cases, 0 failed")));
    assert_eq!(lines.next(), None);

    // Every case has a group and a unique name.
    let mut names = BTreeMap::new();
    for &(_, number, what) in &results {
        let what = what.split(" # ").next().unwrap();
        assert!(what.contains(": "), "{number} has no group: {what}");
        assert_eq!(names.insert(what, number), None, "twice: {what}");
    }
}

/// Without optimization, the compiler does not move reads across a check.
#[test]
fn an_optimized_program_reads_a_value_before_it_is_checked() {
    let mut command = common::program("conformance");
    if common::runner().is_none() {
        command = Command::new(common::release("conformance"));
    } else {
        command.arg("--qemu-user");
    }
    let scratch = Scratch::new("conformance-release");
    let (report, ..) = outcome(&finish(command.current_dir(scratch.path("")), &scratch));
    let line = report.lines().find(|line| line.contains("a value that was checked"));
    assert!(line.is_some_and(|line| line.starts_with("ok ")), "{line:?}");
}

/// No case is skipped on a machine that has everything, and no failure is excused without an
/// emulator.
#[test]
fn nothing_is_skipped() {
    let (report, ..) = outcome(&run("conformance-skip", &[]));
    let skipped: Vec<_> = report.lines().filter(|line| line.contains("# SKIP")).collect();
    assert!(report.contains("\n1..") && skipped.is_empty(), "{skipped:#?}");
    if common::runner().is_none() {
        assert!(!report.contains("qemu-user differs"), "excused outside of qemu-user");
    }
}

/// The effect of the call is not visible on every file system, so its arguments are traced. An
/// emulator passes the call on to this machine's kernel.
#[test]
fn sync_file_range_has_its_arguments_in_order() {
    let scratch = Scratch::new("conformance-strace");
    let trace = scratch.path("trace");
    let program = common::program("conformance");
    let mut strace = Command::new("strace");
    strace.args(["--seccomp-bpf", "-f", "-qq", "-e", "trace=sync_file_range", "-e", "signal=none"]);
    strace.arg("-o").arg(&trace).arg(program.get_program()).args(program.get_args());
    if common::runner().is_some() {
        strace.arg("--qemu-user");
    }
    // strace stops an emulator at each of its signals, of which other groups have millions.
    strace.args(["--group", "files"]);
    strace.current_dir(scratch.path("")).stdout(Stdio::null()).stderr(Stdio::null());
    let status = strace.status().expect("strace runs: apt-get install strace");
    assert!(status.success(), "the traced program: {status}");
    let trace = fs::read_to_string(trace).unwrap();
    // The trace also has calls that strace does not know.
    let lines: Vec<_> = trace.lines().filter(|line| line.contains(" sync_file_range")).collect();
    if common::architecture() == object::Architecture::Mips {
        assert!(
            lines.is_empty(),
            "where it takes seven registers, the call is not made: {lines:?}"
        );
    } else {
        let wanted = ", 4886716416, 8589938688, SYNC_FILE_RANGE_WRITE) = 0";
        assert!(lines.len() == 1 && lines[0].ends_with(wanted), "{lines:?}");
    }
}

/// The program receives its arguments and its environment byte for byte.
#[test]
fn the_program_receives_its_arguments_and_environment() {
    let words: [&[u8]; 6] = [b"--", b"", b"two words", b"\xff\xfe\x80", b"--wrong", b""];
    let (report, ..) = outcome(&run("conformance-start", &words));
    let told = |kind: &str| -> Vec<String> {
        let lines = report.lines().filter_map(|line| line.strip_prefix(kind));
        lines
            .enumerate()
            .map(|(index, line)| line.strip_prefix(&format!("{index}: ")).unwrap().to_owned())
            .collect()
    };
    let mut wanted = vec![common::path("conformance").to_str().unwrap().to_owned()];
    if common::runner().is_some() {
        wanted.push("--qemu-user".to_owned());
    }
    wanted.extend(words.map(|word| word.escape_ascii().to_string()));
    assert_eq!(told("# argument "), wanted);

    let environment = told("# environment ");
    let ours = r"BAREMAP_CONFORMANCE== \xff\t\'x\'".to_owned();
    if common::runner().is_some() {
        assert!(environment.contains(&ours), "{environment:?}");
    } else {
        assert_eq!(environment, [ours]);
    }
}

/// A misspelled option must not start a run without excuses that seems to be one with them.
#[test]
fn a_wrong_option_is_refused() {
    let wrong: [&[&[u8]]; 5] =
        [&[b"--qemu"], &[b""], &[b"-x"], &[b"--group", b"none"], &[b"--group"]];
    for words in wrong {
        let (report, errors, status) = outcome(&run("conformance-usage", words));
        assert_eq!((&*report, status), ("", Some(2)), "{words:?}");
        assert_eq!(errors, "Usage: conformance [--qemu-user] [--group NAME] [-- WORD...]\n");
    }
}

/// An emulator starts a thread slowly, and its own memory is not compared.
#[test]
fn many_threads_leave_nothing_behind() {
    let count = if common::runner().is_some() { "1000" } else { "100000" };
    let scratch = Scratch::new("threads");
    let mut command = common::program("conformance");
    if common::runner().is_some() {
        command.arg("--qemu-user");
    }
    command.args(["--group", "threads"]).env("BAREMAP_SPAWNS", count);
    let (report, errors, status) =
        outcome(&finish(command.current_dir(scratch.path("")), &scratch));
    let line = format!("# {count} threads, pages: ");
    assert!(status == Some(0) && report.contains(&line), "{report}{errors}");
}
