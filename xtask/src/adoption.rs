//! `cargo xtask adoption`: crates whose maps of files become guarded ones by a patch. They pass their
//! own tests, and a file that is truncated while their program runs is an error instead of `SIGBUS`.

use std::{
    fmt,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use crate::{
    adopters::{self, Counts, count, source},
    bindings::environment,
    cargo,
    command::run,
    install, replace, root,
};

/// A crate of crates.io as it is there, which `adoption/NAME.patch` changes.
struct Adoption {
    name: &'static str,
    version: &'static str,
    /// The features that have it map files.
    features: &'static [&'static str],
    /// The program that is run: an example in `adoption/`, or the crate's own.
    program: &'static str,
    is_example: bool,
    /// Runs the program, and truncates its file meanwhile.
    truncate: fn(&Path, &Path) -> Result<Ended, String>,
    /// Runs the program with an intact file, and returns what it prints.
    intact: fn(&Path, &Path) -> Result<String, String>,
}

const ADOPTIONS: &[Adoption] = &[
    Adoption {
        name: "b3sum",
        version: "1.8.7",
        features: &[],
        program: "b3sum",
        is_example: false,
        truncate: b3sum_truncated,
        intact: b3sum_intact,
    },
    Adoption {
        name: "maxminddb",
        version: "0.32.0",
        features: &["--features", "mmap"],
        program: "lookup",
        is_example: true,
        truncate: |program, dir| {
            let database = dir.join("test-data/test-data/GeoIP2-City-Test.mmdb");
            at_a_line(program, &database, LOOKUP)
        },
        intact: |program, dir| {
            let database = dir.join("test-data/test-data/GeoIP2-City-Test.mmdb");
            let addresses = "81.2.69.142\n89.160.20.112\n2001:218::1\n127.0.0.1\n";
            printed(Command::new(program).arg(database), addresses)
        },
    },
    Adoption {
        name: "fontdb",
        version: "0.24.0",
        features: &[],
        program: "faces",
        is_example: true,
        truncate: |program, dir| at_a_line(program, &dir.join("tests/fonts/Tuffy.ttf"), ""),
        intact: |program, dir| {
            printed(Command::new(program).arg(dir.join("tests/fonts/Tuffy.ttf")), "\n")
        },
    },
];

const LOOKUP: &str = "81.2.69.142\n";

const FILE: &str = "docs/adoption.md";
const BEGIN: &str = "<!-- The rows that `cargo xtask adoption --update` writes. -->\n";
const END: &str = "<!-- The end of them. -->\n";

/// Runs all of them, or those with these names.
pub fn adoption(names: &[&str], update: bool) -> Result<ExitCode, String> {
    install::packages(&["patch"])?;
    let mut rows = String::from(
        "| crate | lines of source added and removed | its own tests, before and after | \
         truncated, with memmap2 | truncated, with the patch |\n|---|---|---|---|---|\n",
    );
    let mut good = true;
    for adoption in ADOPTIONS {
        if !names.is_empty() && !names.contains(&adoption.name) {
            continue;
        }
        let [before, after] = [adoption.prepare(false)?, adoption.prepare(true)?];
        let tests = [adoption.test(&before)?, adoption.test(&after)?];
        let [old, new] = [adoption.build(&before)?, adoption.build(&after)?];
        let intact = [(adoption.intact)(&old, &before)?, (adoption.intact)(&new, &after)?];
        let ended = [(adoption.truncate)(&old, &before)?, (adoption.truncate)(&new, &after)?];

        good &= tests[0] == tests[1] && tests[0].failed == 0 && tests[0].passed > 0;
        good &= intact[0] == intact[1] && !intact[0].is_empty();
        good &= ended[0].status.signal() == Some(libc::SIGBUS) && ended[1].is_error();
        let (added, removed) = adoption.lines()?;
        let row = format!(
            "| {} {} | +{added} −{removed} | {}; {} | {} | {} |\n",
            adoption.name, adoption.version, tests[0], tests[1], ended[0], ended[1]
        );
        print!("{row}");
        rows.push_str(&row);
    }
    if update && good && names.is_empty() {
        replace(FILE, BEGIN, END, &rows)?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How a program ended whose file was truncated.
struct Ended {
    status: ExitStatus,
    /// What it printed to standard error, without the path of the file.
    errors: String,
}

impl Ended {
    /// Returns whether the program has reported an error, by a message and its status.
    fn is_error(&self) -> bool {
        self.status.code().is_some_and(|code| code != 0) && !self.errors.is_empty()
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status.signal(), self.status.code()) {
            (Some(libc::SIGBUS), _) => f.write_str("killed by SIGBUS"),
            (Some(signal), _) => write!(f, "killed by signal {signal}"),
            (None, code) => write!(f, "status {}: `{}`", code.unwrap_or(-1), self.errors.trim()),
        }
    }
}

impl Adoption {
    /// Copies the crate, adds the program, and patches both.
    fn prepare(&self, patched: bool) -> Result<PathBuf, String> {
        let kind = if patched { "with-baremap" } else { "with-memmap2" };
        let dir = adopters::dir().join(kind).join(self.name);
        let _ = fs::remove_dir_all(&dir);
        let parent = dir.parent().unwrap_or(&dir);
        fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
        run(Command::new("cp").arg("-r").arg(source(self.name, self.version)?).arg(&dir))?;
        if self.is_example {
            let (manifest, file) = (dir.join("Cargo.toml"), format!("{}.rs", self.program));
            let text = fs::read_to_string(&manifest).map_err(|error| format!("{error}"))?;
            let name = self.program;
            let example = format!("[[example]]\nname = \"{name}\"\npath = \"examples/{file}\"\n");
            adopters::write(&manifest, &format!("{text}\n{example}"))?;
            let program = fs::read_to_string(root().join("adoption").join(&file));
            let program = program.map_err(|error| format!("adoption/{file}: {error}"))?;
            adopters::write(&dir.join("examples").join(&file), &program)?;
        }
        if patched {
            let mut patch = Command::new("patch");
            patch.args(["--quiet", "-p1", "-i"]).arg(self.patch()).current_dir(&dir);
            run(&mut patch)?;
        }
        if self.name == "maxminddb" {
            run(Command::new("cp").arg("-r").arg(databases()?).arg(dir.join("test-data")))?;
        }
        Ok(dir)
    }

    fn patch(&self) -> PathBuf {
        root().join("adoption").join(format!("{}.patch", self.name))
    }

    /// Counts the lines that the patch adds and removes, those of the manifest left out.
    fn lines(&self) -> Result<(usize, usize), String> {
        let text = fs::read_to_string(self.patch()).map_err(|error| format!("a patch: {error}"))?;
        let (mut added, mut removed, mut counts) = (0, 0, false);
        for line in text.lines() {
            if let Some(file) = line.strip_prefix("--- ") {
                counts = file.ends_with(".rs");
            } else if !line.starts_with("+++") && counts {
                added += usize::from(line.starts_with('+'));
                removed += usize::from(line.starts_with('-'));
            }
        }
        Ok((added, removed))
    }

    fn cargo(&self, dir: &Path, arguments: &[&str]) -> Command {
        let mut cargo = cargo(arguments);
        cargo.args(self.features).current_dir(dir);
        cargo.arg("--config").arg(format!("patch.crates-io.baremap.path={:?}", root()));
        // One directory for each, because both programs have one name.
        cargo.arg("--target-dir").arg(dir.with_file_name("target"));
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").env("RUSTFLAGS", "--cap-lints=warn");
        cargo
    }

    fn test(&self, dir: &Path) -> Result<Counts, String> {
        let mut test = self.cargo(dir, &["test", "--no-fail-fast"]);
        let output = test.stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("cargo test: {error}"))?;
        Ok(count(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Builds the program, and returns its path.
    fn build(&self, dir: &Path) -> Result<PathBuf, String> {
        let kind = if self.is_example { "--example" } else { "--bin" };
        run(&mut self.cargo(dir, &["build", "--quiet", kind, self.program]))?;
        let built = dir.with_file_name("target").join("debug");
        Ok(built.join(if self.is_example { "examples" } else { "" }).join(self.program))
    }
}

/// Has pip fetch the package of PyPI that contains the databases of maxminddb's tests, which the
/// crate leaves out, and returns their directory.
fn databases() -> Result<PathBuf, String> {
    let dir = adopters::dir().join("databases");
    let data = dir.join("maxminddb-3.2.0/tests/data");
    if !data.exists() {
        let python = environment(&root().join("target/python/venv"))?;
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        run(pip.args(["--no-binary=:all:", "maxminddb==3.2.0"]).current_dir(&dir))?;
        run(Command::new("tar").args(["-xzf", "maxminddb-3.2.0.tar.gz"]).current_dir(&dir))?;
    }
    Ok(data)
}

fn start(command: &mut Command) -> Result<Child, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|error| format!("{command:?}: {error}"))
}

/// Runs a program that has to succeed, and returns what it prints.
fn printed(command: &mut Command, input: &str) -> Result<String, String> {
    let mut child = start(command)?;
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits for the end of a program.
fn end(mut child: Child, path: &Path) -> Result<Ended, String> {
    drop(child.stdin.take());
    let output = child.wait_with_output().map_err(|error| format!("wait: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors = errors.replace(&path.display().to_string(), "FILE");
    Ok(Ended { status: output.status, errors })
}

fn truncate(path: &Path) -> Result<(), String> {
    let file = File::options().write(true).open(path);
    file.and_then(|file| file.set_len(4096)).map_err(|error| format!("truncate: {error}"))
}

/// Runs a program with a copy of a file. It gets a first line, and when it has answered, the file is
/// truncated, and it gets a second one.
fn at_a_line(program: &Path, file: &Path, line: &str) -> Result<Ended, String> {
    let copy = adopters::dir().join("truncated");
    fs::copy(file, &copy).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut child = start(Command::new(program).arg(&copy))?;
    let (Some(stdin), Some(stdout)) = (&mut child.stdin, &mut child.stdout) else {
        return Err("a program without pipes".into());
    };
    let mut answer = String::new();
    stdin
        .write_all(line.as_bytes())
        .and_then(|()| BufReader::new(stdout).read_line(&mut answer))
        .map_err(|error| format!("{}: {error}", program.display()))?;
    truncate(&copy)?;
    let again = if line.is_empty() { "\n" } else { line };
    // A program that has ended already does not read it.
    let _ = stdin.write_all(again.as_bytes());
    end(child, &copy)
}

/// Hashes files of lengths around those from which on a file is mapped, and hashed in parts.
fn b3sum_intact(program: &Path, _: &Path) -> Result<String, String> {
    let path = adopters::dir().join("intact");
    let mut all = String::new();
    for length in [0_usize, 1, 16383, 16384, 100_000, 64 << 20, (64 << 20) + 1, 200_000_000] {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 31 / 7) as u8).collect();
        fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        all += &printed(Command::new(program).arg("--no-names").arg(&path), "")?;
    }
    let _ = fs::remove_file(&path);
    Ok(all)
}

/// Has a file hashed that is a hole of 64 GiB, which takes some seconds at least. The program is
/// stopped when it has mapped the file.
fn b3sum_truncated(program: &Path, _: &Path) -> Result<Ended, String> {
    let path = adopters::dir().join("hole");
    let hole = File::create(&path).and_then(|file| file.set_len(64 << 30));
    hole.map_err(|error| format!("{}: {error}", path.display()))?;
    let mut child = start(Command::new(program).arg(&path))?;
    let process = child.id() as libc::pid_t;
    // SAFETY: the process is a child that has not been waited for.
    let send = |signal| unsafe { libc::kill(process, signal) };
    let is_mapped = || {
        let maps = fs::read(format!("/proc/{process}/maps")).unwrap_or_default();
        String::from_utf8_lossy(&maps).contains("/target/adopters/hole\n")
    };
    while !is_mapped() && child.try_wait().is_ok_and(|status| status.is_none()) {
        thread::sleep(Duration::from_millis(1));
    }
    send(libc::SIGSTOP);
    let mut status = 0;
    // SAFETY: `status` is valid, and the flags keep the child to be waited for.
    unsafe { libc::waitpid(process, &mut status, libc::WUNTRACED) };
    if !libc::WIFSTOPPED(status) || !is_mapped() {
        return Err("b3sum had hashed the file before it could be truncated".into());
    }
    truncate(&path)?;
    send(libc::SIGCONT);
    let ended = end(child, &path);
    let _ = fs::remove_file(&path);
    ended
}
