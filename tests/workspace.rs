//! A workspace with a hosted and a freestanding member: cargo builds both with one set of features.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const WORKSPACE: &str = r#"
[workspace]
members = ["hosted", "freestanding"]
resolver = "3"

[profile.dev]
panic = "abort"

[profile.release]
panic = "abort"
lto = true
"#;

const HOSTED: &str = r#"
use baremap::map::FileMap;

fn main() -> std::io::Result<()> {
    let map = FileMap::new(std::fs::File::open(std::env::args().nth(1).unwrap())?)?;
    let mut bytes = vec![0; map.len()];
    let count = map.read_at(&mut bytes, 0)?;
    println!("{}", String::from_utf8_lossy(&bytes[..count]));
    Ok(())
}
"#;

const FREESTANDING: &str = r#"
#![no_std]
#![no_main]

use baremap::{
    rt::{ExitCode, Start, println},
    syscall::{self, Mode, OFlags},
};

baremap::entry!(main);

fn main(start: Start) -> ExitCode {
    let Some(path) = start.args().nth(1) else { return ExitCode(2) };
    for _ in 0..2 {
        // The descriptor is closed by `std`, if that is linked in.
        let Ok(_file) = syscall::open(path, OFlags::RDONLY, Mode::empty()) else { return ExitCode(3) };
    }
    match syscall::open(path, OFlags::RDONLY, Mode::empty()) {
        Ok(file) => println!("descriptor {}", baremap::fd::AsRawFd::as_raw_fd(&file)),
        Err(_) => return ExitCode(4),
    }
    ExitCode::SUCCESS
}
"#;

fn package(dir: &Path, name: &str, program: &str, rest: &str) {
    fs::create_dir_all(dir.join(name).join("src")).unwrap();
    let head = format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n");
    fs::write(dir.join(name).join("Cargo.toml"), head + rest).unwrap();
    fs::write(dir.join(name).join("src/main.rs"), program).unwrap();
}

/// Creates the workspace, with the packages of this checkout.
fn workspace() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mixed");
    let root = env!("CARGO_MANIFEST_DIR");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("Cargo.toml"), WORKSPACE).unwrap();
    fs::copy(Path::new(root).join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let hosted = format!("[dependencies]\nbaremap = {{ path = {root:?}, features = [\"std\"] }}\n");
    package(&dir, "hosted", HOSTED, &hosted);
    let freestanding = format!(
        "[[bin]]\nname = \"freestanding\"\npath = \"src/main.rs\"\ntest = false\nbench = false\n\
         [dependencies]\nbaremap = {{ path = {root:?} }}\n\
         [build-dependencies]\nbaremap-build = {{ path = \"{root}/baremap-build\" }}\n"
    );
    package(&dir, "freestanding", FREESTANDING, &freestanding);
    fs::write(
        dir.join("freestanding/build.rs"),
        "fn main() {\n    baremap_build::freestanding();\n}\n",
    )
    .unwrap();
    dir
}

fn cargo(dir: &Path, arguments: &[&str]) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).arg("--offline").current_dir(dir).env_remove("CARGO_TARGET_DIR");
    // Cargo passes the variables of this package's build script on to its tests.
    cargo.env_remove("BAREMAP_LINK");
    let output = cargo.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}:\n{text}");
}

/// Returns the output of a program for a file of one line.
fn run(dir: &Path, profile: &str, program: &str) -> String {
    let file = dir.join("file");
    fs::write(&file, "one line").unwrap();
    let output = Command::new(dir.join("target").join(profile).join(program)).arg(file).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{program}, {profile}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn one_build_makes_a_hosted_and_a_freestanding_member() {
    let dir = workspace();
    for (profile, arguments) in [("debug", &["build"][..]), ("release", &["build", "--release"])] {
        cargo(&dir, arguments);
        assert_eq!(run(&dir, profile, "hosted"), "one line\n");
        assert_eq!(run(&dir, profile, "freestanding"), "descriptor 3\n");
    }
    cargo(&dir, &["check", "--workspace", "--all-features", "--all-targets"]);
}

#[test]
fn all_features_check() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    cargo(root, &["check", "--all-features", "--all-targets", "--target-dir", "target/lint"]);
}
