//! Which programs the tests run, and where.
//!
//! By default those of this machine's architecture, built here. `cargo xtask test` runs
//! the same tests on the programs of every other: it sets `BAREMAP_DIR` to the
//! directory that holds them, and `BAREMAP_RUNNER` to the emulator's command line.

#![allow(dead_code, reason = "no test uses all of it")]

pub mod again;
pub mod bars;
pub mod case;
mod scratch;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

pub use scratch::Scratch;

use object::{Architecture, Object};

/// Gives the signals by which people end programs their default action, for this process and those
/// that it starts: a shell starts background jobs with `SIGINT` and `SIGQUIT` ignored, nohup(1) ignores
/// `SIGHUP`, and programs inherit that.
pub fn default_signals() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: no handler is set.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// A freestanding program, under the emulator if its architecture is another.
pub fn program(name: &str) -> Command {
    let path = path(name);
    let runner = runner().unwrap_or_default();
    let mut words = runner.split_whitespace();
    match words.next() {
        None => Command::new(path),
        Some(emulator) => {
            let mut command = Command::new(emulator);
            command.args(words).arg(path);
            command
        }
    }
}

/// The emulator's command line, if the programs run under one.
pub fn runner() -> Option<String> {
    env::var("BAREMAP_RUNNER").ok()
}

/// The size of the programs' pages, in bytes: what the emulator is told, or has always, or
/// what all machines have that the tests run on.
pub fn page_size() -> u64 {
    let runner = runner().unwrap_or_default();
    match runner.split_once(" -p ") {
        Some((_, size)) => size.parse().unwrap(),
        None if runner == "qemu-loongarch64" => 16384,
        None => 4096,
    }
}

/// What the programs are for.
pub fn architecture() -> Architecture {
    let data = fs::read(path("mapcp")).unwrap();
    object::File::parse(&*data).unwrap().architecture()
}

/// How many bits the programs' words have.
pub fn words() -> u32 {
    8 * u32::from(architecture().address_size().unwrap().bytes())
}

/// Where a program's file is.
pub fn path(name: &str) -> PathBuf {
    let path = match env::var_os("BAREMAP_DIR") {
        Some(dir) => Path::new(&dir).join(name),
        None if name == "mapcp" => PathBuf::from(env!("CARGO_BIN_EXE_mapcp")),
        None => example(name),
    };
    assert!(path.is_file(), "{} is not there: build it first", path.display());
    path
}

/// An example, in the directory of `mapcp`. They are another package, which `cargo test`
/// alone does not build.
fn example(name: &str) -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "baremap-examples"]);
        let dir = Path::new(env!("CARGO_BIN_EXE_mapcp")).parent().unwrap().to_owned();
        if dir.ends_with("release") {
            build.arg("--release");
        }
        let build = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(build.is_ok_and(|status| status.success()), "the examples do not build");
        dir
    });
    dir.join(name)
}

/// A program of the release build, which is made if the tests run on another.
pub fn release(name: &str) -> PathBuf {
    let here = path(name);
    let dir = here.parent().unwrap();
    if dir.ends_with("release") {
        return here;
    }
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--release", "-p", "baremap", "-p", "baremap-examples"]);
    run(build.current_dir(env!("CARGO_MANIFEST_DIR")));
    dir.with_file_name("release").join(name)
}

/// What a program wrote to standard output and to standard error, and its exit status
/// (`None` if a signal ended it).
pub fn outcome(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// Runs a program, and returns its [`outcome`].
pub fn run_program(command: &mut Command) -> (String, String, Option<i32>) {
    outcome(&command.output().unwrap())
}

/// The [`outcome`] of a program that has copied this many bytes.
pub fn copied(bytes: u64) -> (String, String, Option<i32>) {
    (format!("Copied {bytes} bytes\n"), String::new(), Some(0))
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{command:?}: {status:?}");
}

/// Bytes that look random, the same in every run.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
