//! `cargo xtask adopters` runs the tests of crates that use memmap2, with baremap in its place.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use crate::{cargo, command::run, replace, root};

/// Published crates, with the features that make them map files.
const ADOPTERS: &[(&str, &str, &[&str])] = &[
    ("cdb64", "0.2.0", &["--features", "mmap"]),
    ("finalfusion", "0.18.0", &[]),
    ("fontdb", "0.24.0", &[]),
    ("gix-commitgraph", "0.42.0", &["--features", "sha1"]),
    ("grep-searcher", "0.1.17", &[]),
    ("mmap-sync", "2.0.4", &[]),
    ("parity-db", "0.5.7", &[]),
    ("tantivy", "0.27.0", &["--lib"]),
];

const FILE: &str = "docs/coming-from-memmap2.md";
const BEGIN: &str = "<!-- The rows that `cargo xtask adopters --update` writes. -->\n";
const END: &str = "<!-- The end of them. -->\n";

/// Runs the tests of all crates, or of those with these names.
pub fn adopters(names: &[&str], update: bool) -> Result<ExitCode, String> {
    let mut rows = String::from("| crate | tests with memmap2 | with baremap |\n|---|---|---|\n");
    let mut alike = true;
    for &(name, version, arguments) in ADOPTERS {
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        let dir = source(name, version)?;
        let before = tests(&dir, arguments, false)?;
        let after = tests(&dir, arguments, true)?;
        alike &= before == after && before.failed == 0 && before.passed > 0;
        let row = format!("| {name} {version} | {before} | {after} |\n");
        print!("{row}");
        rows.push_str(&row);
    }
    if update {
        replace(FILE, BEGIN, END, &rows)?;
    }
    Ok(if alike { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many tests passed and failed.
#[derive(Default, PartialEq)]
pub struct Counts {
    pub passed: u32,
    pub failed: u32,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.failed {
            0 => write!(f, "{} passed", self.passed),
            failed => write!(f, "{} passed, {failed} failed", self.passed),
        }
    }
}

pub fn dir() -> PathBuf {
    root().join("target/adopters")
}

/// Downloads a crate with cargo, and copies it to a directory where it can be built.
pub fn source(name: &str, version: &str) -> Result<PathBuf, String> {
    let copy = dir().join(format!("{name}-{version}"));
    if copy.exists() {
        return Ok(copy);
    }
    let fetcher = dir().join("fetch");
    write(&fetcher.join("src/lib.rs"), "")?;
    let dependency = format!("[dependencies]\n{name} = \"={version}\"\n");
    let package = "[package]\nname = \"fetch\"\nedition = \"2024\"\n\n[workspace]\n\n";
    write(&fetcher.join("Cargo.toml"), &format!("{package}{dependency}"))?;
    run(cargo(&["fetch", "--quiet"]).current_dir(&fetcher))?;
    let source = unpacked(&format!("{name}-{version}"));
    let source = source.ok_or_else(|| format!("cargo did not fetch {name} {version}"))?;
    run(Command::new("cp").arg("-r").arg(&source).arg(&copy))?;
    // Makes the crate a workspace of its own, outside of the one around it.
    let manifest = copy.join("Cargo.toml");
    let text =
        fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", source.display()))?;
    write(&manifest, &format!("{text}\n[workspace]\n"))?;
    Ok(copy)
}

/// Returns the directory of a package that cargo has fetched. `cargo metadata` lists only those with
/// a library.
fn unpacked(package: &str) -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")))?;
    let indexes = fs::read_dir(home.join("registry/src")).ok()?.flatten();
    indexes.map(|index| index.path().join(package)).find(|path| path.is_dir())
}

pub fn write(path: &Path, text: &str) -> Result<(), String> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Runs the tests of a crate, with memmap2 or with baremap in its place.
fn tests(dir: &Path, arguments: &[&str], patched: bool) -> Result<Counts, String> {
    let patch = root().join("memmap2/patch");
    let patch = format!("patch.crates-io.memmap2.path={:?}", patch.display().to_string());
    let command = |arguments: &[&str]| {
        let mut command = cargo(arguments);
        command.current_dir(dir).env("CARGO_TARGET_DIR", self::dir().join("target"));
        command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("RUSTFLAGS", "--cap-lints=warn");
        if patched {
            command.args(["--config", &patch]);
        }
        command
    };
    // The crate's `Cargo.lock` may be older than its dependency on memmap2.
    let update = run(&mut command(&["update", "--quiet", "-p", "memmap2"]));
    update.or_else(|_| run(&mut command(&["generate-lockfile", "--quiet"])))?;
    let mut tree = command(&["tree", "-i", "memmap2", "--depth", "0"]);
    let tree = tree.args(arguments.iter().filter(|&&word| word != "--lib")).output();
    let tree = tree.map_err(|error| format!("cargo tree: {error}"))?;
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    if tree.contains("memmap2/patch") != patched {
        return Err(format!("{}: another memmap2 than wanted: {tree}", dir.display()));
    }
    let mut test = command(&["test", "--no-fail-fast"]);
    let output = test.args(arguments).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo test: {error}"))?;
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let counts = count(&output);
    let name = if patched { "tests-with-baremap.txt" } else { "tests-with-memmap2.txt" };
    write(&dir.join(name), &output)?;
    Ok(counts)
}

/// Counts the tests in what `cargo test` has printed.
pub fn count(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines().filter(|line| line.starts_with("test result: ")) {
        let mut words = line.split([' ', ';']);
        let mut before = "";
        for word in &mut words {
            match word {
                "passed" => counts.passed += before.parse().unwrap_or(0),
                "failed" => counts.failed += before.parse().unwrap_or(0),
                _ => {}
            }
            before = word;
        }
    }
    counts
}
