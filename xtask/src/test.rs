//! `cargo xtask test` runs every test.

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use crate::{
    DEBIAN_RUSTC, bindings, cargo, cross, cross_targets, gauntlet,
    install::{install, rust_targets},
    kernels, lowest,
    matrix::Matrix,
    platforms,
    report::Report,
    root,
    targets::{HOST, MATRIX, Target},
    template,
};

/// The tests that run the programs of any architecture.
const PROGRAM_TESTS: &[&str] =
    &["--test=conformance", "--test=elf", "--test=examples", "--test=hardening", "--test=mapcp"];

const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

pub fn test(update: bool) -> Result<ExitCode, String> {
    let booted: Vec<&Target> = MATRIX.iter().filter(|target| target.boots_in_test).collect();
    let emulators = MATRIX.iter().flat_map(Target::emulators);
    // `tests/file_systems.rs` mounts them.
    let file_systems = ["mkfs.ext4", "mkfs.xfs", "mkfs.btrfs"];
    let tools = [DEBIAN_RUSTC, "gdb", "strace"].into_iter().chain(file_systems);
    install(tools.chain(emulators))?;
    // The tests include one column of the gauntlet, whose programs are installed here.
    gauntlet::prepare();
    rust_targets(&["aarch64-unknown-linux-gnu", "riscv64gc-unknown-linux-gnu"])?;
    kernels::install(&booted)?;
    platforms::install()?;
    bindings::install()?;
    let mut report = Report::default();
    let mut matrix = Matrix::default();

    report.step("format", cargo(&["fmt", "--all", "--check"]));
    report.step("lint, freestanding", {
        let mut lint =
            cargo(&["clippy", "--all-targets", "-p", "baremap", "-p", "baremap-examples"]);
        lint.args(["--", "-Dwarnings"]).env("CARGO_TARGET_DIR", root().join("target/lint"));
        lint
    });
    report.step("lint, all packages", {
        let mut lint = cargo(&["clippy", "--workspace", "--all-targets", "--", "-Dwarnings"]);
        lint.env("CARGO_TARGET_DIR", root().join("target/lint"));
        lint
    });
    report.step("lint, std", {
        let mut lint = cargo(&["clippy", "--all-targets", "--no-default-features"]);
        lint.args(["--features", "std,alloc,stable_deref_trait", "--", "-Dwarnings"]);
        lint.env("CARGO_TARGET_DIR", root().join("target/lint"));
        lint
    });
    report.step(&format!("check, Rust {OLDEST_RUST}"), oldest_rust());
    report.step("check, lowest versions of dependencies", lowest::check()?);
    platforms::lint(&mut report);
    platforms::check(&mut report);
    for features in [["--features", "alloc"], ["--features", "std,alloc"]] {
        let mut doc = cargo(&["doc", "--no-deps", "--no-default-features"]);
        doc.args(features).env("RUSTDOCFLAGS", "-Dwarnings");
        report.step(&format!("documentation, {}", features[1]), doc);
    }

    report.step("manual page and completions", cargo(&["run", "-p", "xtask", "--", "manual"]));
    // The hosted packages are left out: they would link `std` into the programs.
    let programs_alone = ["build", "-p", "baremap", "-p", "baremap-examples"];
    report.step("build, debug", cargo(&programs_alone));
    report.step("tests, freestanding", cargo(&["test", "--no-fail-fast", "--features", "alloc"]));
    report.step("tests, std", {
        let mut test = cargo(&["test", "--no-fail-fast", "--no-default-features"]);
        test.args(["--features", "std,alloc,stable_deref_trait"]);
        test
    });
    report.step("tests, baremap-memmap2", {
        cargo(&["test", "--no-fail-fast", "-p", "baremap-memmap2", "--all-features"])
    });
    report.step("tests, tools", {
        cargo(&["test", "--no-fail-fast", "-p", "baremap-build", "-p", "xtask"])
    });
    bindings::test(&mut report);
    report.step("tests, std, address sanitizer", sanitized());
    report.step("random input", fuzz());
    report.step("build, release", cargo(&[&programs_alone[..], &["--release"]].concat()));
    report.step("programs, x86_64 release", programs(&root().join("target/release"), None));

    template::run(&mut report)?;

    let all = ["build", "--release", "-p", "baremap", "-p", "baremap-examples", "--bins"];
    report.step("build, other architectures", cross_targets(&all, MATRIX));

    // Inline assembly is stable on these targets, so the library needs no unstable feature.
    for target in
        MATRIX.iter().filter(|target| target.triple != HOST && !target.triple.starts_with("mips"))
    {
        let library = ["rustc", "--release", "--lib", "-p", "baremap"];
        let mut stable = cross_targets(&library, [target]);
        stable.args(["--", "-Zallow-features="]);
        report.step(&format!("library without feature gates, {}", target.name()), stable);
    }

    for target in MATRIX {
        for runner in target.runners {
            let what = format!("programs, {} under {runner}", target.triple);
            report.step(&what, programs(&target.dir(), Some(runner)));
        }
        matrix.run_under_emulators(&mut report, target);
    }

    let mut build = cross(&all);
    build.args(["-Zjson-target-spec", "--target", "x86_64-target.json"]);
    report.step("build, x86_64-target.json", build);
    let dir = root().join("target/cross/x86_64-target/release");
    report.step("programs, x86_64-target.json", programs(&dir, None));

    kernels::boot(&booted, |kernel| !kernel.by_hand, &mut report, &mut matrix);
    if let Some(host) = MATRIX.iter().find(|target| target.triple == HOST) {
        kernels::boot_init(host, &mut report);
    }
    matrix.finish(&mut report, update);
    Ok(report.finish())
}

/// Returns a command that runs the tests of maps under the address sanitizer.
///
/// The thread sanitizer would need a standard library that is compiled for it. With the precompiled
/// one it reports the standard library's own tests.
fn sanitized() -> Command {
    let mut test = cargo(&["test", "--no-fail-fast", "--target", HOST, "--lib"]);
    test.args(["--no-default-features", "--features", "std"]);
    test.args(["--test", "map", "--test", "faults", "--test", "model"]);
    test.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    test.env("CARGO_TARGET_DIR", root().join("target/sanitizer")).env("PROPTEST_CASES", "64");
    // The signals must reach the library's handlers, and end the processes that the tests expect
    // them to end.
    test.env("ASAN_OPTIONS", "handle_segv=0:handle_sigbus=0");
    test
}

/// Returns a command that runs the model tests on random input, for longer than the other tests do.
/// Each prints the seed with which it begins.
fn fuzz() -> Command {
    let mut test = cargo(&["test", "--no-fail-fast", "--lib", "--test=args", "like_the_model"]);
    test.args(["--", "--nocapture"]).env("BAREMAP_FUZZ_SECONDS", "10");
    test
}

/// Returns a command that compiles everything with the oldest supported compiler, even if that is
/// the current one.
fn oldest_rust() -> Command {
    let current = Command::new("rustc").arg("--version").output();
    let current = current.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let check = ["check", "--workspace", "--all-targets", "--target-dir", "target/lint"];
    if current.is_ok_and(|version| version.starts_with(&format!("rustc {OLDEST_RUST}."))) {
        return cargo(&check);
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["run", "--install", OLDEST_RUST, "cargo"]).args(check).current_dir(root());
    // Cargo sets these variables for the programs that it runs, and they would select its own
    // toolchain.
    rustup.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    rustup
}

/// Returns a command that runs the tests of the programs in a directory.
fn programs(dir: &Path, runner: Option<&str>) -> Command {
    let mut test = cargo(&["test", "--no-fail-fast"]);
    test.args(PROGRAM_TESTS).env("BAREMAP_DIR", dir);
    if let Some(runner) = runner {
        test.env("BAREMAP_RUNNER", runner);
    }
    test
}
