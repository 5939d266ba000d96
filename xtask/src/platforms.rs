//! The library with every libc that Linux has and with words of 32 bits, and the refusal of other
//! kernels.

use std::{process::Command, time::Instant};

use crate::{cargo, install::rust_targets, report::Report, targets::HOST};

/// Targets with another libc than this machine's. None of it may be needed.
const SUPPORTED: &[&str] = &["aarch64-linux-android", "x86_64-unknown-linux-musl"];

/// A target whose words have 32 bits, with calls of its own for them.
const NARROW: &str = "i686-unknown-linux-gnu";

/// A target with another kernel.
const REFUSED: &str = "x86_64-unknown-freebsd";

/// What the compiler says of a target with another kernel.
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

/// Looks for casts between pointers and integers by which the compiler loses track of what a
/// pointer may be used for. The lints are unstable, which is no matter for a check.
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

/// Compiles for the other kernel, and looks for one error, with exactly that sentence.
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
