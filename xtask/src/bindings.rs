//! `cargo xtask bindings`: the tests of the libraries for other languages, C and Python.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use crate::{
    cargo,
    install::{install as install_programs, python_packages, retry},
    libbaremap,
    report::Report,
    root,
};

pub fn bindings() -> Result<ExitCode, String> {
    install()?;
    let mut report = Report::default();
    test(&mut report);
    Ok(report.finish())
}

/// Installs the compilers and the programs that the tests run.
pub fn install() -> Result<(), String> {
    install_programs(["g++", "gcc", "ld", "musl-gcc", "pkg-config", "valgrind"])?;
    if !has_venv() {
        python_packages()?;
    }
    Ok(())
}

/// Returns whether there is a Python that can make an environment with packages of its own.
fn has_venv() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

pub fn test(report: &mut Report) {
    report.step("baremap.h", cargo(&["run", "--quiet", "-p", "xtask", "--", "libbaremap"]));
    report.step("tests, C", cargo(&["test", "--no-fail-fast", "-p", "libbaremap"]));
    let start = Instant::now();
    match python() {
        Ok(test) => report.step("tests, Python", test),
        Err(error) => {
            println!("tests, Python: {error}");
            report.add("tests, Python", start, 0, 1);
        }
    }
}

/// The version of PyPI's pytest that runs the tests, with Python 3.8 and later.
const PYTEST: &str = "8.3.5";

/// Installs the library and PyPI's pytest into directories of their own, and returns the command
/// that runs the tests of the Python package.
fn python() -> Result<Command, String> {
    let dir = root().join("target/python");
    let prefix = dir.join("baremap");
    libbaremap::install_to(&prefix)?;
    let python = environment(&dir.join("venv"))?;
    let mut test = Command::new(python);
    test.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    test.current_dir(root().join("bindings/python"));
    test.env("BAREMAP_LIBRARY", prefix.join("lib/libbaremap.so"));
    test.env("PYTHONPATH", ".").env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(test)
}

/// Makes an environment with the version [`PYTEST`] of pytest, unless it exists, and returns its Python.
pub fn environment(dir: &Path) -> Result<PathBuf, String> {
    let python = dir.join("bin/python");
    let works = || {
        let mut pytest = Command::new(&python);
        pytest.args(["-c", "import pytest; print(pytest.__version__)"]).stderr(Stdio::null());
        pytest.output().is_ok_and(|output| output.stdout.trim_ascii() == PYTEST.as_bytes())
    };
    if works() {
        return Ok(python);
    }
    let mut venv = Command::new("python3");
    let made = venv.args(["-m", "venv", "--clear"]).arg(dir).status();
    if !made.is_ok_and(|status| status.success()) {
        return Err("python3 makes no environment; run: apt-get install python3-venv".into());
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.arg(format!("pytest=={PYTEST}"));
    retry(|| pip.status().is_ok_and(|status| status.success()));
    if works() { Ok(python) } else { Err(format!("pytest is missing; run: {pip:?}")) }
}
