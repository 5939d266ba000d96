//! Tests that need a process of their own, and therefore run themselves again.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use super::Scratch;

/// Runs the calling test, whose full name is `name`, in a process of its own, with a directory to
/// work in. `command`, if it is not empty, is a program and its first arguments; the directory and
/// the test's command line follow them.
///
/// Panics if there is no test of that name: a process that runs no test succeeds.
#[track_caller]
pub fn again(name: &str, command: &[&str], dir: &Scratch) -> Output {
    let test = std::env::current_exe().unwrap();
    let mut words = command.iter();
    let mut command = match words.next() {
        None => Command::new(&test),
        Some(program) => {
            let mut command = Command::new(program);
            command.args(words).arg(dir.path("")).arg(&test);
            command
        }
    };
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    let output = command.env("BAREMAP_AGAIN", dir.path("")).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("running 1 test"), "{name} is not run: {output:?}");
    output
}

/// Returns the directory to work in, if this is the process that [`again`] started.
pub fn again_in() -> Option<PathBuf> {
    std::env::var_os("BAREMAP_AGAIN").map(Into::into)
}
