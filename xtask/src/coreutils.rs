//! `cargo xtask coreutils`: the tests of GNU coreutils for `cp`, with `mapcp` in its place.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use crate::{cargo, command::run, fetch, install, replace, root};

const FILE: &str = "docs/coreutils-tests.md";
const BEGIN: &str = "<!-- The rows that `cargo xtask coreutils --update` writes. -->\n";
const END: &str = "<!-- The end of the rows. -->";

/// The version of the tests, which is that of Debian 12's cp.
const VERSION: &str = "9.1";

/// Why `mapcp` does not pass a test that cp passes.
const REASONS: &[(&str, &str)] = &[
    ("abuse", "the text of a message"),
    ("attr-existing", "`--attributes-only` is not there"),
    ("backup-1", "`--backup` is not there"),
    ("backup-dir", "`--backup` is not there"),
    ("backup-is-src", "`--backup` is not there"),
    ("cp-i", "a directory in the place of a file is an error, about which `-i` does not ask"),
    ("cp-mv-backup", "`--backup` is not there"),
    ("cp-parents", "`--parents` is not there"),
    (
        "cross-dev-symlink",
        "`-s` of a relative SOURCE to another directory is refused, not made wrong",
    ),
    ("dir-rm-dest", "`--remove-destination` is not there"),
    ("file-perm-race", "`--copy-contents` is not there"),
    (
        "into-self",
        "a directory is not copied into itself, not even in part; the text of the message",
    ),
    ("link-deref", "the text of a message"),
    ("link-preserve", "`--no-preserve` is not there"),
    ("parent-perm", "`--parents` is not there"),
    ("parent-perm-race", "`--copy-contents` is not there"),
    ("preserve-mode", "`--no-preserve` is not there"),
    ("reflink-perm", "`--attributes-only` is not there"),
    ("same-file", "`--backup` is not there"),
    ("src-base-dot", "`--backup` is not there"),
    ("thru-dangling", "no way through a dangling link, also with POSIXLY_CORRECT"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Skipped,
    Failed,
}

pub fn coreutils(update: bool) -> Result<ExitCode, String> {
    install::install(["gcc", "perl", "strace", "mkfs.ext4"])?;
    let source = fetch::original_source("bookworm", "coreutils").map_err(|e| e.to_string())?;
    let found = fs::read_to_string(source.join(".tarball-version")).unwrap_or_default();
    if found.trim() != VERSION {
        return Err(format!("coreutils {} instead of {VERSION}", found.trim()));
    }
    run(&mut cargo(&["build", "--release", "-p", "baremap"]))?;
    let by_cp = results(&source, Path::new("/bin/cp"), "cp")?;
    let by_mapcp = results(&source, &root().join("target/release/mapcp"), "mapcp")?;

    let (mut rows, mut passed, mut all) = (String::new(), 0, 0);
    let mut wrong = Vec::new();
    let reasons: BTreeMap<&str, &str> = REASONS.iter().copied().collect();
    for (test, verdict) in &by_cp {
        // A test that cp does not pass here says nothing.
        if *verdict != Verdict::Passed {
            continue;
        }
        all += 1;
        let is_passed = by_mapcp.get(test) == Some(&Verdict::Passed);
        passed += usize::from(is_passed);
        match (is_passed, reasons.get(&**test)) {
            (true, None) => rows += &format!("| {test} | passed | |\n"),
            (false, Some(reason)) => rows += &format!("| {test} | failed | {reason} |\n"),
            (true, Some(_)) => wrong.push(format!("{test} passes, and has a reason")),
            (false, None) => wrong.push(format!("{test} does not pass")),
        }
    }
    let skipped = by_cp.len() - all;
    let text = format!(
        "\nOf {} tests, cp passes {all} here, and mapcp {passed} of them. {skipped} are for another \
         user, another file system or expensive.\n\n| test | mapcp | why |\n|---|---|---|\n{rows}\n",
        by_cp.len()
    );
    println!("{text}");
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    if update {
        replace(FILE, BEGIN, END, &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs each test with a program that is called `cp`.
fn results(source: &Path, cp: &Path, name: &str) -> Result<BTreeMap<String, Verdict>, String> {
    let dir = root().join("target/coreutils").join(name);
    prepare(&dir, cp).map_err(|error| format!("{}: {error}", dir.display()))?;
    let tests = fs::read_dir(source.join("tests/cp")).map_err(|error| error.to_string())?;
    let mut tests: Vec<PathBuf> = tests.flatten().map(|entry| entry.path()).collect();
    tests.retain(|path| path.extension().is_some_and(|extension| extension == "sh"));
    tests.sort();
    let mut results = BTreeMap::new();
    for test in tests {
        let name = test.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let log = File::create(dir.join(&name)).map_err(|error| error.to_string())?;
        let again = log.try_clone().map_err(|error| error.to_string())?;
        // The tests write their messages to descriptor 9.
        let mut command = Command::new("timeout");
        command.args(["60", "bash", "-c", "exec 9>&2; . \"$0\""]).arg(&test);
        command.current_dir(&dir).stdin(Stdio::null()).stdout(log).stderr(again);
        let path = env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", dir.join("src").display()));
        for variable in ["srcdir", "abs_srcdir", "top_srcdir", "abs_top_srcdir"] {
            command.env(variable, source);
        }
        command.env("abs_top_builddir", &dir).env("CONFIG_HEADER", dir.join("config.h"));
        let programs =
            "cp mv ls ln rm mkdir cat dd chmod chown touch stat install test mkfifo timeout";
        command.env("built_programs", programs).env("host_os", "linux-gnu").env("LC_ALL", "C");
        command.env("PERL", "perl").env("CC", "gcc").env("SHELL", "/bin/sh").env("fail", "0");
        command.env("PREFERABLY_POSIX_SHELL", "/bin/sh").env("VERBOSE", "no");
        command.env("NON_ROOT_USERNAME", "nobody").env("NON_ROOT_GID", "65534");
        let status = command.status().map_err(|error| format!("timeout: {error}"))?;
        let verdict = match status.code() {
            Some(0) => Verdict::Passed,
            Some(77) => Verdict::Skipped,
            _ => Verdict::Failed,
        };
        results.insert(name, verdict);
    }
    Ok(results)
}

/// Makes what the tests expect of a directory in which coreutils was built.
fn prepare(dir: &Path, cp: &Path) -> std::io::Result<()> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir.join("src"))?;
    symlink(cp, dir.join("src/cp"))?;
    fs::write(dir.join("config.h"), "")?;
    let limits = dir.join("src/getlimits");
    let sizes = "echo INT_MAX=2147483647; echo OFF_T_MAX=9223372036854775807";
    fs::write(&limits, format!("#!/bin/sh\n{sizes}\n"))?;
    fs::set_permissions(limits, fs::Permissions::from_mode(0o755))
}
