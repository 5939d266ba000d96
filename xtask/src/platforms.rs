//! Checks the library on targets with another libc than this machine's and with 32-bit words, and
//! that it refuses other kernels.

use std::{process::Command, time::Instant};

use crate::{cargo, install::rust_targets, report::Report, targets::HOST};

/// Targets with another libc than this machine's. The library needs none of them.
const SUPPORTED: &[&str] = &["aarch64-linux-android", "x86_64-unknown-linux-musl"];

/// A target with 32-bit words, for which some system calls have other numbers and arguments.
const NARROW: &str = "i686-unknown-linux-gnu";

/// A target with another kernel.
const REFUSED: &str = "x86_64-unknown-freebsd";

/// The message of the compiler for a target with another kernel.
const REFUSAL: &str =
    "baremap supports only Linux and Android, because it makes Linux's system calls";

pub fn install() -> Result<(), String> {
    rust_targets(&[SUPPORTED, &[NARROW, REFUSED]].concat())
}

pub fn check(report: &mut Report) {
    for target in SUPPORTED {
        for features in ["", "std,alloc,stable_deref_trait"] {
            let with = if features.is_empty() { "no features" } else { features };
            report.step(&format!("library, {target}, {with}"), library(target, features));
        }
    }
    let start = Instant::now();
    let refused = is_refused();
    let name = format!("library, {REFUSED}, is refused");
    report.add(&name, start, usize::from(refused), usize::from(!refused));
}

/// Runs the strict-provenance lints, which find casts between pointers and integers that lose a
/// pointer's provenance. The lints are unstable, but no compiled program depends on them.
pub fn lint(report: &mut Report) {
    for target in [HOST, NARROW] {
        for features in ["mapcp,alloc", "std,alloc,stable_deref_trait"] {
            let mut lint =
                cargo(&["check", "--lib", "--bins", "--target-dir", "target/provenance"]);
            lint.args(["--no-default-features", "--features", features, "--target", target]);
            lint.env("RUSTC_BOOTSTRAP", "1").env(
                "RUSTFLAGS",
                "-Zcrate-attr=feature(strict_provenance_lints) \
                 -Dfuzzy_provenance_casts -Dlossy_provenance_casts",
            );
            report.step(&format!("lint, provenance, {target}, {features}"), lint);
        }
    }
}

fn library(target: &str, features: &str) -> Command {
    let mut check = cargo(&["check", "--lib", "--target-dir", "target/lint"]);
    check.args(["--no-default-features", "--features", features, "--target", target]);
    check
}

/// Compiles for another kernel. Returns whether exactly one error is reported, with the expected
/// message.
fn is_refused() -> bool {
    println!("\n=== {REFUSED}");
    let mut check = library(REFUSED, "");
    let output = match check.arg("--message-format=short").output() {
        Ok(output) => output,
        Err(error) => {
            println!("cargo: {error}");
            return false;
        }
    };
    let text = String::from_utf8_lossy(&output.stderr);
    print!("{text}");
    let errors: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("error: ").map(|(_, error)| error))
        .collect();
    let [first, last] = errors[..] else { return false };
    first == REFUSAL && last.starts_with("could not compile `baremap`") && !output.status.success()
}
