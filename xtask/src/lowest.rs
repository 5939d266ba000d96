//! Checks the library with the lowest versions of its dependencies that `Cargo.toml` allows.

use std::{fmt::Write, fs, process::Command};

use crate::{cargo, root};

/// Returns a command that checks the library as a dependency of a package that pins those versions.
pub fn check() -> Result<Command, String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml"));
    let manifest = manifest.map_err(|error| format!("Cargo.toml: {error}"))?;
    let mut pinned = String::new();
    let dependencies = manifest.lines().skip_while(|&line| line != "[dependencies]").skip(1);
    for line in dependencies.take_while(|line| !line.starts_with('[')) {
        let name = line.split_once(" = ").map(|(name, _)| name);
        let version = line.split('"').nth(1);
        if let Some((name, version)) = name.zip(version).filter(|(name, _)| !name.starts_with('#'))
        {
            let zeros = [".0.0", ".0", ""][version.matches('.').count().min(2)];
            let _ = writeln!(
                pinned,
                "{name} = {{ version = \"={version}{zeros}\", default-features = false }}"
            );
        }
    }
    let dir = root().join("target/lowest");
    let write = || {
        fs::create_dir_all(dir.join("src"))?;
        fs::write(dir.join("src/lib.rs"), "#![no_std]\n")?;
        let _ = fs::remove_file(dir.join("Cargo.lock"));
        let features = "features = [\"alloc\", \"std\", \"stable_deref_trait\"]";
        fs::write(
            dir.join("Cargo.toml"),
            format!(
                "[package]\nname = \"lowest\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
                 baremap = {{ path = {:?}, {features} }}\n{pinned}",
                root()
            ),
        )
    };
    write().map_err(|error: std::io::Error| format!("{}: {error}", dir.display()))?;
    let mut check = cargo(&["check", "--target-dir", "target/lint", "--manifest-path"]);
    check.arg(dir.join("Cargo.toml"));
    Ok(check)
}
