//! `cargo xtask test`: every test, for every architecture, and what they need.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

/// An architecture: its target, and the emulators that its programs run under.
struct Row {
    target: &'static str,
    runners: &'static [&'static str],
}

/// One row for each that is tested.
const MATRIX: &[Row] = &[
    Row {
        target: "aarch64-unknown-linux-gnu",
        runners: &["qemu-aarch64", "qemu-aarch64 -p 16384", "qemu-aarch64 -p 65536"],
    },
    Row { target: "armv7-unknown-linux-gnueabihf", runners: &["qemu-arm"] },
    Row { target: "riscv64gc-unknown-linux-gnu", runners: &["qemu-riscv64"] },
    Row { target: "s390x-unknown-linux-gnu", runners: &["qemu-s390x"] },
    Row { target: "thumbv7neon-unknown-linux-gnueabihf", runners: &["qemu-arm"] },
];

/// The tests that run the programs of any architecture.
const PROGRAM_TESTS: &[&str] = &["--test=elf", "--test=programs", "--test=conformance"];

const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// Debian's compiler, which has the sources of `core` beside it.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const PACKAGES: &[&str] = &["qemu-user", "rustc-web", "rust-web-src", "strace"];

fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        Some("test") => test(),
        _ => {
            eprintln!("Usage: cargo xtask test");
            ExitCode::from(2)
        }
    }
}

fn test() -> ExitCode {
    if let Err(message) = install() {
        eprintln!("xtask: {message}");
        return ExitCode::FAILURE;
    }
    let mut report = Report::default();

    report.step("format", cargo(&["fmt", "--all", "--check"]));
    report.step("lint, freestanding", {
        let mut lint = cargo(&["clippy", "--workspace", "--all-targets", "--", "-Dwarnings"]);
        lint.env("CARGO_TARGET_DIR", root().join("target/lint"));
        lint
    });
    report.step("lint, std", {
        let mut lint = cargo(&["clippy", "--all-targets", "--no-default-features"]);
        lint.args(["--features", "std", "--", "-Dwarnings"]);
        lint.env("CARGO_TARGET_DIR", root().join("target/lint"));
        lint
    });
    report.step(&format!("check, Rust {OLDEST_RUST}"), oldest_rust());
    for features in [&["--features", "freestanding"][..], &["--features", "std"]] {
        let mut doc = cargo(&["doc", "--no-deps", "--no-default-features"]);
        doc.args(features).env("RUSTDOCFLAGS", "-Dwarnings");
        report.step(&format!("documentation, {}", features[1]), doc);
    }

    report.step("build, debug", cargo(&["build", "--workspace"]));
    report.step("tests, freestanding", cargo(&["test", "--no-fail-fast"]));
    report.step("tests, std", {
        let mut test = cargo(&["test", "--no-fail-fast", "--no-default-features"]);
        test.args(["--features", "std"]);
        test
    });
    report.step("build, release", cargo(&["build", "--release", "--workspace"]));
    report.step("programs, x86_64 release", programs(&root().join("target/release"), None));

    let mut build = cross(&["build", "--release", "-p", "baremap", "-p", "baremap-examples"]);
    build.arg("--bins");
    for row in MATRIX {
        build.args(["--target", row.target]);
    }
    report.step("build, other architectures", build);
    for row in MATRIX {
        let dir = root().join("target/cross").join(row.target).join("release");
        for runner in row.runners {
            let what = format!("programs, {} under {runner}", row.target);
            report.step(&what, programs(&dir, Some(runner)));
        }
    }

    let mut build = cross(&["build", "--release", "-p", "baremap", "-p", "baremap-examples"]);
    build.args(["--bins", "-Zjson-target-spec", "--target", "x86_64-target.json"]);
    report.step("build, x86_64-target.json", build);
    let dir = root().join("target/cross/x86_64-target/release");
    report.step("programs, x86_64-target.json", programs(&dir, None));

    report.finish()
}

/// Compiles everything with the oldest compiler that is supported, be it the current one.
fn oldest_rust() -> Command {
    let current = Command::new("rustc").arg("--version").output();
    let current = current.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let check = ["check", "--workspace", "--all-targets", "--target-dir", "target/lint"];
    if current.is_ok_and(|version| version.starts_with(&format!("rustc {OLDEST_RUST}."))) {
        return cargo(&check);
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["run", "--install", OLDEST_RUST, "cargo"]).args(check).current_dir(root());
    // Cargo tells those it runs which toolchain it is of.
    rustup.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    rustup
}

/// The tests of the programs in a directory.
fn programs(dir: &Path, runner: Option<&str>) -> Command {
    let mut test = cargo(&["test", "--no-fail-fast"]);
    test.args(PROGRAM_TESTS).env("BAREMAP_DIR", dir);
    if let Some(runner) = runner {
        test.env("BAREMAP_RUNNER", runner);
    }
    test
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).current_dir(root());
    cargo
}

/// Cargo for targets that have no precompiled `core` here: Debian's compiler builds it
/// from source, and rustup's own lld links.
fn cross(arguments: &[&str]) -> Command {
    let mut cargo = cargo(arguments);
    cargo.args(["--target-dir", "target/cross", "-Zbuild-std=core,alloc,compiler_builtins"]);
    cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
    let lld = lld();
    for row in MATRIX {
        let name = row.target.to_uppercase().replace('-', "_");
        cargo.env(format!("CARGO_TARGET_{name}_LINKER"), &lld);
    }
    cargo.env("CARGO_TARGET_X86_64_TARGET_LINKER", &lld);
    cargo
}

fn lld() -> PathBuf {
    sysroot("rustc").join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld")
}

/// Where a compiler keeps its libraries; empty if it does not run.
fn sysroot(rustc: &str) -> PathBuf {
    let output = Command::new(rustc).args(["--print", "sysroot"]).output();
    let output = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    PathBuf::from(output.unwrap_or_default().trim())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in the workspace").to_owned()
}

/// Installs what is missing, if this is Debian and we may.
fn install() -> Result<(), String> {
    let there = |program: &str| {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let emulators = MATRIX
        .iter()
        .flat_map(|row| row.runners)
        .all(|runner| runner.split_whitespace().next().is_some_and(there));
    let sources = sysroot(DEBIAN_RUSTC).join("lib/rustlib/src/rust/library/core");
    if emulators && there(DEBIAN_RUSTC) && there("strace") && sources.exists() {
        return Ok(());
    }
    let install = ["install", "-y", "--no-install-recommends"];
    let advice = format!("apt-get {} {}", install.join(" "), PACKAGES.join(" "));
    println!("xtask: {advice}");
    for attempt in 1..=4u64 {
        let apt = |arguments: &[&str]| {
            // As root already, or if sudo asks nothing.
            let script = "[ \"$(id -u)\" = 0 ] || sudo=\"sudo -n\"; exec $sudo apt-get \"$@\"";
            let status = Command::new("sh")
                .args(["-c", script, "sh"])
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdout(Stdio::null())
                .status();
            status.is_ok_and(|status| status.success())
        };
        if apt(&["update"]) && apt(&[&install[..], PACKAGES].concat()) {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(10 * attempt));
    }
    Err(format!("something is missing and could not be installed; run: {advice}"))
}

/// What ran, and how it ended.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    passed: u32,
    failed: u32,
}

impl Report {
    /// Runs a step, shows what it prints, and counts its tests; a step without tests
    /// counts as one.
    fn step(&mut self, name: &str, mut command: Command) {
        println!("\n=== {name}");
        let start = Instant::now();
        let output = command.stderr(Stdio::inherit()).output();
        let (ok, text) = match &output {
            Ok(output) => {
                (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Err(error) => (false, error.to_string()),
        };
        print!("{text}");
        let (mut passed, mut failed) = (0, 0);
        for line in text.lines().filter(|line| line.starts_with("test result:")) {
            let count = |word: &str| -> u32 {
                let before = line.split(word).next().unwrap_or_default().trim_end();
                before.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
            };
            passed += count(" passed");
            failed += count(" failed");
        }
        if passed + failed == 0 || (!ok && failed == 0) {
            passed += u32::from(ok);
            failed += u32::from(!ok);
        }
        self.passed += passed;
        self.failed += failed;
        let verdict = if ok { "ok" } else { "FAILED" };
        let seconds = start.elapsed().as_secs();
        self.lines.push(format!("{verdict:6} {passed:5} {failed:5} {seconds:5} s  {name}"));
    }

    fn finish(self) -> ExitCode {
        println!("\n       passed failed   time  step");
        for line in &self.lines {
            println!("{line}");
        }
        println!("\n{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
