//! The programs that the tests run.
//!
//! By default these are the programs for this machine, which are built here. `cargo xtask test`
//! also runs the tests with the programs of other architectures: `BAREMAP_DIR` is the directory
//! that holds them, and `BAREMAP_RUNNER` is the emulator's command line.

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

/// Restores the default action of the signals by which users end programs, for this process and its
/// children. Shells start background jobs with `SIGINT` and `SIGQUIT` ignored, nohup(1) ignores
/// `SIGHUP`, and programs inherit this.
pub fn default_signals() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: no handler is set.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Returns a command for a freestanding program, under the emulator if the program is for another
/// architecture.
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

/// Returns the emulator's command line, if the programs run under one.
pub fn runner() -> Option<String> {
    env::var("BAREMAP_RUNNER").ok()
}

/// Returns the page size of the programs, in bytes: the one that the emulator's command line sets,
/// or the emulator's default, or the one of all machines that run the tests.
pub fn page_size() -> u64 {
    let runner = runner().unwrap_or_default();
    match runner.split_once(" -p ") {
        Some((_, size)) => size.parse().unwrap(),
        None if runner == "qemu-loongarch64" => 16384,
        None => 4096,
    }
}

/// Returns the architecture of the programs.
pub fn architecture() -> Architecture {
    let data = fs::read(path("mapcp")).unwrap();
    object::File::parse(&*data).unwrap().architecture()
}

/// Returns the number of bits of the programs' words.
pub fn words() -> u32 {
    8 * u32::from(architecture().address_size().unwrap().bytes())
}

/// Returns the path of a program's file.
pub fn path(name: &str) -> PathBuf {
    let path = match env::var_os("BAREMAP_DIR") {
        Some(dir) => Path::new(&dir).join(name),
        None if name == "mapcp" => PathBuf::from(env!("CARGO_BIN_EXE_mapcp")),
        None => example(name),
    };
    assert!(path.is_file(), "{} is not there: build it first", path.display());
    path
}

/// Returns the path of an example, in the directory of `mapcp`. Examples are another package, which
/// `cargo test` does not build.
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

/// Returns the path of a program in the release build. Builds it if the tests run with another
/// profile.
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

/// Returns standard output, standard error and the exit status of a program. The status is `None`
/// if a signal ended the program.
pub fn outcome(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// Runs a program, and returns its [`outcome`].
pub fn run_program(command: &mut Command) -> (String, String, Option<i32>) {
    outcome(&command.output().unwrap())
}

/// Returns the [`outcome`] of a program that has copied `bytes` bytes.
pub fn copied(bytes: u64) -> (String, String, Option<i32>) {
    (format!("Copied {bytes} bytes\n"), String::new(), Some(0))
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{command:?}: {status:?}");
}

/// Returns pseudo-random bytes, the same in every run.
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
