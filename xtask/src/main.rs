//! `cargo xtask` runs every test, for every architecture, and installs what the tests need.

mod adopters;
mod adoption;
#[path = "../../tests/common/bars.rs"]
mod bars;
mod bench;
mod bindings;
mod command;
mod coreutils;
mod fetch;
mod gauntlet;
mod initramfs;
mod install;
mod kernels;
mod libbaremap;
mod lowest;
mod manual;
mod matrix;
mod measurements;
mod peak_rss;
mod platforms;
mod plot;
mod power_cut;
mod report;
mod size;
mod targets;
mod template;
mod test;
mod vm;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use targets::{HOST, Target};

const USAGE: &str = "\
Usage: cargo xtask test [--update]               every test
       cargo xtask gauntlet [WORD...]            faults made real: the rows with these words
       cargo xtask kernels [--update] [ARCH...]  conformance on real kernels
       --update writes the matrix in docs/architectures.md instead of comparing it
       cargo xtask adopters [--update] [NAME...] crates that use memmap2, with baremap-memmap2
       --update writes the table in docs/coming-from-memmap2.md
       cargo xtask adoption [--update] [NAME...] crates that a patch makes survive a truncated file
       --update writes the table in docs/adoption.md
       cargo xtask coreutils [--update]          the tests of GNU coreutils for cp, with mapcp
       --update writes the table in docs/coreutils-tests.md
       cargo xtask bindings                      the libraries for C and Python
       cargo xtask libbaremap [--update]         the header of the library for C
       --update writes it instead of comparing it
       cargo xtask libbaremap --prefix DIR [--libdir DIR] [--destdir DIR] [--target TARGET]
       builds the library for C, and installs it
       cargo xtask manual [--update]             mapcp's manual page, --help and completions
       --update writes them instead of comparing them
       cargo xtask power-cut [--update] [--runs N] [--mapcp PATH] [KERNEL...] [FILE_SYSTEM...]
       what a power cut leaves of a copy; --update writes it to docs/power-cut.md
       cargo xtask template                      a user's first program, and rustup's targets
       cargo xtask size [--update]               bytes of the programs, by function
       --update writes them to docs/size.tsv, to be compared with later
       cargo xtask bench [--quick] [SIZE...]     mapcp beside other ways to copy
       all of it writes docs/bench.json, plots and figures; a part of it nothing";

/// Debian's compiler, whose package has the sources of `core`.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

fn main() -> ExitCode {
    let mut words: Vec<String> = env::args().skip(1).collect();
    let count = words.len();
    words.retain(|word| word != "--update");
    let update = words.len() < count;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["test"] => test::test(update),
        ["gauntlet", ref words @ ..] => gauntlet::gauntlet(words),
        ["kernels", ref names @ ..] => kernels::kernels(names, update),
        ["adopters", ref names @ ..] => adopters::adopters(names, update),
        ["coreutils"] => coreutils::coreutils(update),
        ["adoption", ref names @ ..] => adoption::adoption(names, update),
        ["bindings"] if !update => bindings::bindings(),
        ["libbaremap", ref words @ ..] => libbaremap::libbaremap(words, update),
        ["manual"] => manual::manual(update),
        ["power-cut", ref words @ ..] => power_cut::power_cut(words, update),
        ["template"] if !update => template::template(),
        ["size"] => size::size(update),
        ["bench", ref words @ ..] if !update => bench::bench(words),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|message| {
        eprintln!("xtask: {message}");
        ExitCode::FAILURE
    })
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).current_dir(root());
    cargo
}

/// Returns a cargo command for targets that have no precompiled `core` and `alloc` here: Debian's
/// compiler builds them from source, and rustup's lld links.
fn cross(arguments: &[&str]) -> Command {
    let mut cargo = cargo(arguments);
    cargo.args(["--target-dir", "target/cross", "-Zbuild-std=core,alloc,compiler_builtins"]);
    cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
    cargo.env("CARGO_TARGET_X86_64_TARGET_LINKER", "rust-lld");
    let lld = sysroot("rustc").join("lib/rustlib/x86_64-unknown-linux-gnu/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([lld].into_iter().chain(env::split_paths(&path)));
    cargo.env("PATH", path.expect("no directory of rustup's has a colon"));
    cargo
}

/// Returns a command that builds programs for all of these targets but this machine's.
fn cross_targets<'a>(arguments: &[&str], targets: impl IntoIterator<Item = &'a Target>) -> Command {
    let mut build = cross(arguments);
    for target in targets.into_iter().filter(|target| target.triple != HOST) {
        link_with_lld(&mut build, target);
    }
    build
}

/// Adds a target, whose programs rustup's lld links.
fn link_with_lld(build: &mut Command, target: &Target) {
    build.args(["--target", target.triple]);
    let name = target.triple.to_uppercase().replace('-', "_");
    build.env(format!("CARGO_TARGET_{name}_LINKER"), "rust-lld");
    let flags = format!("-Clinker-flavor=ld.lld {}", target.flags);
    build.env(format!("CARGO_TARGET_{name}_RUSTFLAGS"), flags.trim_end());
}

/// Returns the directory in which a compiler keeps its libraries, or an empty path if the compiler
/// does not run.
fn sysroot(rustc: &str) -> PathBuf {
    let output = Command::new(rustc).args(["--print", "sysroot"]).output();
    let output = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    PathBuf::from(output.unwrap_or_default().trim())
}

/// Replaces the part of a file between two marks.
fn replace(name: &str, begin: &str, end: &str, text: &str) -> Result<(), String> {
    let path = root().join(name);
    let old = fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
    let parts = old.split_once(begin).zip(old.split_once(end));
    let ((before, _), (_, after)) = parts.ok_or_else(|| format!("{name} has no {begin}"))?;
    fs::write(&path, [before, begin, text, end, after].concat())
        .map_err(|error| format!("{name}: {error}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in the workspace").to_owned()
}
