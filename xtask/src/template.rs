//! `cargo xtask template` takes the steps of a new user, in an empty directory and with the
//! packages as they would be published: the first program of `template/`, and programs for other
//! architectures with rustup's precompiled `core`.

use std::{
    env,
    error::Error,
    fs,
    path::PathBuf,
    process::{Command, ExitCode},
    time::Instant,
};

use crate::{
    cargo, install, link_with_lld,
    matrix::{self, Outcome},
    report::Report,
    root,
    targets::{MATRIX, Target},
};

/// The targets whose programs are linked with rustup's `core`.
const TARGETS: &[&str] = &[
    "aarch64-unknown-linux-gnu",
    "armv7-unknown-linux-gnueabihf",
    "i686-unknown-linux-gnu",
    "powerpc64le-unknown-linux-gnu",
    "riscv64gc-unknown-linux-gnu",
    "s390x-unknown-linux-gnu",
];

/// Targets with a libc of their own, which the template's configuration does not mention.
const MUSL_TARGETS: &[&str] = &["aarch64-unknown-linux-musl", "x86_64-unknown-linux-musl"];

/// The commands that work in the template without further configuration.
const COMMANDS: &[&[&str]] = &[
    &["build"],
    &["run"],
    &["test"],
    &["clippy", "--all-targets", "--", "-Dwarnings"],
    &["check", "--all-targets"],
];

pub fn template() -> Result<ExitCode, String> {
    let mut report = Report::default();
    run(&mut report)?;
    Ok(report.finish())
}

/// Installs what is missing, and runs every step.
pub fn run(report: &mut Report) -> Result<(), String> {
    install::install(targets().flat_map(Target::emulators))?;
    install::rust_targets(&[TARGETS, MUSL_TARGETS].concat())?;
    first_program(report);
    conformance(report);
    Ok(())
}

fn targets() -> impl Iterator<Item = &'static Target> {
    MATRIX.iter().filter(|target| TARGETS.contains(&target.triple))
}

/// Follows the first steps of `docs/freestanding.md`.
fn first_program(report: &mut Report) {
    let start = Instant::now();
    let dir = match lay_out() {
        Ok(dir) => dir,
        Err(error) => {
            println!("template: {error}");
            return report.add("template, from the packages", start, 0, 1);
        }
    };
    let cargo = |arguments: &[&str]| {
        let mut cargo = cargo(arguments);
        cargo.current_dir(dir.0.join("hello"));
        cargo
    };
    for profile in ["debug", "release"] {
        for &command in COMMANDS {
            let (name, rest) = (command[0], &command[1..]);
            let release: &[&str] = if profile == "release" { &["--release"] } else { &[] };
            let what = format!("template, cargo {name}, {profile}");
            report.step(&what, cargo(&[&[name], release, rest].concat()));
        }
        for target in TARGETS.iter().chain(MUSL_TARGETS) {
            let mut run = cargo(&["run", "--target", target]);
            run.args((profile == "release").then_some("--release")).args(["--", "Cargo.toml"]);
            report.step(&format!("template, {target}, {profile}"), run);
        }
    }
}

/// A directory that is removed when the value is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Creates a directory with the template, whose dependencies come from their packages and not from
/// crates.io. The directory lies outside of this workspace, whose configuration would apply
/// otherwise.
fn lay_out() -> Result<Temporary, Box<dyn Error>> {
    let target = root().join("target/template");
    // Older packages of other versions may be there.
    let packages = target.join("package");
    let _ = fs::remove_dir_all(&packages);
    let mut package = cargo(&["package", "--quiet", "--no-verify", "--allow-dirty"]);
    package.args(["-p", "baremap", "-p", "baremap-build", "--target-dir"]).arg(target);
    succeed(&mut package)?;

    let dir = env::temp_dir().join(format!("baremap-template-{}", std::process::id()));
    let dir = Temporary(dir);
    fs::create_dir_all(dir.0.join(".cargo"))?;
    let mut config = String::from("[patch.crates-io]\n");
    for entry in fs::read_dir(packages)? {
        let file = entry?.path();
        let is_package = file.extension().is_some_and(|extension| extension == "crate");
        let Some(package) = file.file_stem().filter(|_| is_package) else { continue };
        succeed(Command::new("tar").arg("-xzf").arg(&file).arg("-C").arg(&dir.0))?;
        let (name, _version) = package.to_str().and_then(|p| p.rsplit_once('-')).ok_or("a name")?;
        config += &format!("{name} = {{ path = {:?} }}\n", dir.0.join(package));
    }
    fs::write(dir.0.join(".cargo/config.toml"), config)?;
    succeed(Command::new("cp").arg("-r").arg(root().join("template")).arg(dir.0.join("hello")))?;
    Ok(dir)
}

fn succeed(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// Builds programs with rustup's `core`, and runs `conformance`.
fn conformance(report: &mut Report) {
    let dir = root().join("target/rustup");
    let mut build = cargo(&["build", "--release", "-p", "baremap", "-p", "baremap-examples"]);
    // One program of every kind: with packed relocations, with others, with none, and with the
    // crate `alloc`.
    for program in ["mapcp", "conformance", "tiny-copy", "words"] {
        build.args(["--bin", program]);
    }
    build.arg("--target-dir").arg(&dir);
    for target in targets() {
        link_with_lld(&mut build, target);
    }
    report.step("build, rustup's core", build);
    for target in targets() {
        let start = Instant::now();
        let what = format!("cases, {} with rustup's core", target.name());
        let program = dir.join(target.triple).join("release/conformance");
        let runner = target.runners.first().copied().unwrap_or_default();
        match matrix::run(&program, runner) {
            Ok(Outcome { passed, failed, .. }) => report.add(&what, start, passed, failed),
            Err(error) => {
                println!("{what}: {error}");
                report.add(&what, start, 0, 1);
            }
        }
    }
}
