//! The library with every libc that Linux has, and the refusal of other kernels.

use std::{process::Command, time::Instant};

use crate::{cargo, install::rust_targets, report::Report};

/// Targets with another libc than this machine's. None of it may be needed.
const SUPPORTED: &[&str] = &["aarch64-linux-android", "x86_64-unknown-linux-musl"];

/// A target with another kernel.
const REFUSED: &str = "x86_64-unknown-freebsd";

/// What the compiler says of a target with another kernel.
const REFUSAL: &str =
    "baremap supports only Linux and Android, because it makes Linux's system calls";

pub fn install() -> Result<(), String> {
    rust_targets(&[SUPPORTED, &[REFUSED]].concat())
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
