//! `cargo xtask gauntlet` stages real faults on every file system that can be made here.

use std::{
    collections::BTreeMap,
    process::{Command, ExitCode, Stdio},
    sync::Mutex,
    thread,
    time::Instant,
};

use crate::{
    cargo, cross_targets,
    install::{fuse_headers, install},
    report::Report,
    root,
    targets::{HOST, MATRIX, Target},
};

/// Programs that make the file systems, that set attributes, and emulators of other architectures.
const PROGRAMS: &[&str] = &[
    "mkfs.ext4",
    "mkfs.xfs",
    "mkfs.btrfs",
    "mkfs.vfat",
    "mkfs.erofs",
    "mksquashfs",
    "bindfs",
    "setfacl",
    "setfattr",
    "strace",
    "qemu-i386",
    "qemu-s390x",
];

/// A column of the table: a file system and a program.
struct Column {
    name: String,
    arguments: Vec<String>,
    target: &'static str,
    runner: Option<&'static str>,
}

/// The output of one column.
struct Outcome {
    start: Instant,
    /// The verdict of each row, by the row's name: `ok`, `FAILED` with a message, or `n/a` with a
    /// reason.
    rows: BTreeMap<String, Verdict>,
    /// The reason why the column cannot run here, if there is one.
    absent: Option<String>,
    passed: usize,
    failed: usize,
}

#[derive(Clone, PartialEq, Eq)]
enum Verdict {
    Ok,
    Failed(String),
    NotHere(String),
}

pub fn gauntlet(words: &[&str]) -> Result<ExitCode, String> {
    prepare();
    let mut report = Report::default();
    report.step("build, release", cargo(&["build", "--release", "-p", "baremap"]));
    let emulated: Vec<&Target> = emulated().collect();
    let build = ["build", "--release", "-p", "baremap", "--bins"];
    report.step("build, other architectures", cross_targets(&build, emulated));
    run(&mut report, words);
    Ok(report.finish())
}

/// Installs as many of the programs as possible. A column whose programs are missing reports it.
pub fn prepare() {
    for result in [install(PROGRAMS.iter().copied()), fuse_headers()] {
        if let Err(message) = result {
            println!("xtask: {message}");
        }
    }
}

/// Returns a target with 32-bit words and one that is big-endian.
fn emulated() -> impl Iterator<Item = &'static Target> {
    MATRIX.iter().filter(|target| ["i686", "s390x"].contains(&target.name()))
}

/// Runs every column, and prints the table.
pub fn run(report: &mut Report, words: &[&str]) {
    let build = ["test", "--no-run", "--test", "gauntlet"];
    report.step("build, gauntlet", cargo(&build));
    println!("\n=== gauntlet");
    let list =
        cargo(&["test", "--quiet", "--test", "gauntlet", "--", "--list"]).args(words).output();
    let list = list.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let names: Vec<String> = list.unwrap_or_default().lines().map(str::to_owned).collect();

    let columns = columns(words);
    let outcomes = all(&columns);
    print(&names, &columns, &outcomes);
    for (column, outcome) in columns.iter().zip(outcomes) {
        match outcome.absent {
            Some(reason) => {
                report.add(
                    &format!("gauntlet, {}: not here: {reason}", column.name),
                    outcome.start,
                    0,
                    0,
                );
            }
            None => {
                let name = format!("gauntlet, {}", column.name);
                report.add(&name, outcome.start, outcome.passed, outcome.failed);
            }
        }
    }
}

fn columns(words: &[&str]) -> Vec<Column> {
    let here = Command::new("stat").args(["-f", "-c", "%T"]).arg(root()).output();
    let here = here.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let here = here.unwrap_or_default().replace("ext2/ext3", "ext4");
    let column = |name: &str, fs: &str, target, runner| {
        let words = words.iter().copied();
        let arguments = ["--fs", fs].into_iter().chain(words).map(str::to_owned).collect();
        Column { name: name.into(), arguments, target, runner }
    };
    let mut columns = vec![column(&here, "here", HOST, None)];
    for kind in ["ext4", "tmpfs", "xfs", "btrfs", "vfat", "fuse"] {
        if kind != here {
            columns.push(column(kind, kind, HOST, None));
        }
    }
    for target in emulated() {
        columns.push(column(target.name(), "here", target.triple, target.runners.first().copied()));
        // If this machine runs the programs itself, a second column shows large offsets without the
        // emulator.
        let native = Command::new(target.dir().join("mapcp"))
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        if words.is_empty() && native.is_ok_and(|status| status.success()) {
            let name = format!("{} itself", target.name());
            let mut native = column(&name, "here", target.triple, None);
            native
                .arguments
                .extend(["size", "holes:", "100 GiB", "random moments"].map(str::to_owned));
            columns.push(native);
        }
    }
    columns
}

/// Runs the columns, two at a time, because one often waits for the disk.
fn all(columns: &[Column]) -> Vec<Outcome> {
    let next = Mutex::new(columns.iter().enumerate());
    let mut outcomes: Vec<(usize, Outcome)> = thread::scope(|scope| {
        let work = || {
            let mut own = Vec::new();
            loop {
                let Some((number, column)) = next.lock().expect("no one panics").next() else {
                    return own;
                };
                let outcome = column.run();
                let (passed, failed) = (outcome.passed, outcome.failed);
                let seconds = outcome.start.elapsed().as_secs();
                println!("{}: {passed} passed, {failed} failed, {seconds} s", column.name);
                own.push((number, outcome));
            }
        };
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().expect("no one panics")).collect()
    });
    outcomes.sort_by_key(|&(number, _)| number);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

impl Column {
    fn run(&self) -> Outcome {
        let start = Instant::now();
        let mut test = cargo(&["test", "--quiet", "--test", "gauntlet", "--"]);
        test.args(&self.arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
        let target = MATRIX.iter().find(|target| target.triple == self.target);
        test.env("BAREMAP_DIR", target.expect("in the matrix").dir());
        test.env_remove("BAREMAP_RUNNER");
        if let Some(runner) = self.runner {
            test.env("BAREMAP_RUNNER", runner);
        }
        let output = test.output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        Outcome::read(start, &text.unwrap_or_default())
    }
}

impl Outcome {
    fn read(start: Instant, text: &str) -> Outcome {
        let mut outcome =
            Outcome { start, rows: BTreeMap::new(), absent: None, passed: 0, failed: 0 };
        let mut ended = false;
        let mut last = String::new();
        for line in text.lines() {
            let untimed = |name: &str| match name.rsplit_once(" (") {
                Some((name, _)) => name.trim_end().to_owned(),
                None => name.to_owned(),
            };
            if let Some((_, reason)) = line.split_once(": not here: ") {
                outcome.absent = Some(reason.to_owned());
                return outcome;
            } else if let Some(name) = line.strip_prefix("ok      ") {
                outcome.passed += 1;
                outcome.rows.insert(untimed(name), Verdict::Ok);
            } else if let Some(name) = line.strip_prefix("FAILED  ") {
                outcome.failed += 1;
                last = untimed(name);
                outcome.rows.insert(last.clone(), Verdict::Failed(String::new()));
            } else if let Some((name, reason)) =
                line.strip_prefix("n/a     ").and_then(|line| line.split_once(" | "))
            {
                outcome.rows.insert(name.to_owned(), Verdict::NotHere(reason.to_owned()));
            } else if let Some(how) = line.strip_prefix("        ")
                && let Some(Verdict::Failed(text)) = outcome.rows.get_mut(&last)
            {
                *text += &format!("    {how}\n");
            }
            ended |= line.starts_with("test result: ");
        }
        if !ended {
            outcome.failed += 1;
            let how = format!("    it ended before its last row:\n{text}");
            outcome.rows.insert("(all)".into(), Verdict::Failed(how));
        }
        outcome
    }
}

fn print(names: &[String], columns: &[Column], outcomes: &[Outcome]) {
    let width = names.iter().map(String::len).max().unwrap_or_default();
    print!("\n{:width$}", "");
    for column in columns {
        print!("  {:>6}", column.name);
    }
    println!();
    for name in names {
        print!("{name:width$}");
        for (column, outcome) in columns.iter().zip(outcomes) {
            let width = column.name.len().max(6);
            let word = match outcome.rows.get(name) {
                Some(Verdict::Ok) => "ok",
                Some(Verdict::Failed(_)) => "FAILED",
                Some(Verdict::NotHere(_)) => "n/a",
                None => "-",
            };
            print!("  {word:>width$}");
        }
        println!();
    }

    // Prints one line for each row and reason, followed by the columns.
    let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (column, outcome) in columns.iter().zip(outcomes) {
        for (name, verdict) in &outcome.rows {
            if let Verdict::NotHere(reason) = verdict {
                reasons.entry((reason, name)).or_default().push(&column.name);
            }
        }
    }
    if !reasons.is_empty() {
        println!("\nn/a:");
    }
    for ((reason, name), columns) in reasons {
        println!("  {}: {name}: {reason}", columns.join(", "));
    }
    for (column, outcome) in columns.iter().zip(outcomes) {
        if let Some(reason) = &outcome.absent {
            println!("\n{}: not here: {reason}", column.name);
        }
        for (name, verdict) in &outcome.rows {
            if let Verdict::Failed(how) = verdict {
                println!("\nFAILED on {}: {name}\n{how}", column.name);
            }
        }
    }
    for (column, outcome) in columns.iter().zip(outcomes).filter(|(_, o)| o.absent.is_none()) {
        let verdict = if outcome.failed == 0 { "ok" } else { "FAILED" };
        let (passed, failed) = (outcome.passed, outcome.failed);
        println!("test result: {verdict}. {passed} passed; {failed} failed; on {}", column.name);
    }
}
