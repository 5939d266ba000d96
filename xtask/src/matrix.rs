//! The matrix in `docs/architectures.md`: where the program `conformance` ran, and how many cases
//! passed.

use std::{collections::BTreeMap, error::Error, fs, path::Path, process::Command, time::Instant};

use crate::{report::Report, root, targets::MATRIX, targets::Target};

/// The page that holds the matrix.
const PAGE: &str = "docs/architectures.md";
const BEGIN: &str = "<!-- The matrix, written by cargo xtask with --update: -->\n\n";
const END: &str = "\n<!-- End of the matrix. -->";
const HEAD: &str = "\
| architecture | under | Linux | pages | cases passed |
|---|---|---|---|---|
";

/// The report of the program `conformance`.
pub struct Outcome {
    pub release: String,
    /// The page size, in bytes.
    pub page_size: usize,
    pub passed: usize,
    /// The number of passed cases that are excused, because qemu-user is known to differ.
    differ: usize,
    pub failed: usize,
}

impl Outcome {
    /// Reads a report. The kernel may have printed lines between its lines. Fails if a line of the
    /// report is missing, in particular the last one.
    pub fn read(text: &str) -> Result<Outcome, String> {
        let lines = || text.lines().map(str::trim_end);
        let kernel = lines().find_map(|line| {
            let (kernel, pages) = line.strip_prefix("# kernel: ")?.split_once(", pages of ")?;
            let size = pages.strip_suffix(" bytes")?.parse().ok()?;
            Some((kernel.split(' ').next()?.to_owned(), size))
        });
        let (release, page_size) = kernel.ok_or("no line names the kernel")?;

        let (mut passed, mut differ, mut failed) = (0, 0, 0);
        for line in lines() {
            let number = passed + failed + 1;
            if line.starts_with(&format!("ok {number} - ")) && !line.contains(" # SKIP ") {
                passed += 1;
                differ += usize::from(line.contains(" # qemu-user differs"));
            } else if line.trim_start_matches("not ").starts_with(&format!("ok {number} - ")) {
                // A skipped case counts as failed, because every system in the matrix has what the
                // cases need.
                failed += 1;
                println!("{line}");
            }
        }
        let end = format!("conformance: {} cases, ", passed + failed);
        match lines().find(|line| line.starts_with("conformance: ")) {
            Some(line) if line.starts_with(&end) => {}
            Some(line) => return Err(format!("{} results, but {line}", passed + failed)),
            None => return Err(format!("no closing line after {} results", passed + failed)),
        }
        Ok(Outcome { release, page_size, passed, differ, failed })
    }

    pub fn pages(&self) -> String {
        format!("{} KiB", self.page_size / 1024)
    }
}

/// The lines of the configurations that ran, by their first two cells.
#[derive(Default)]
pub struct Matrix {
    ran: BTreeMap<String, String>,
}

/// Returns the beginning of the line of an architecture and an emulator, or of a kernel's flavour.
fn key(target: &Target, under: &str) -> String {
    format!("| {} | {under} |", target.name())
}

/// Runs the cases under a user-mode emulator.
pub fn run(program: &Path, runner: &str) -> Result<Outcome, Box<dyn Error>> {
    // The program needs an empty directory, and leaves it empty.
    let dir = root().join("target/matrix");
    fs::create_dir_all(&dir)?;
    let mut words = runner.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).arg(program).arg("--qemu-user").current_dir(dir);
    Ok(Outcome::read(&String::from_utf8_lossy(&command.output()?.stdout))?)
}

impl Matrix {
    /// Adds the results under this target's user-mode emulators.
    pub fn run_under_emulators(&mut self, report: &mut Report, target: &Target) {
        for runner in target.runners {
            let start = Instant::now();
            let what = format!("cases, {} under {runner}", target.name());
            match run(&target.dir().join("conformance"), runner) {
                Ok(outcome) => {
                    report.add(&what, start, outcome.passed, outcome.failed);
                    if outcome.failed == 0 {
                        self.add(target, runner, "", &outcome);
                    }
                }
                Err(error) => {
                    println!("{what}: {error}");
                    report.add(&what, start, 0, 1);
                }
            }
        }
    }

    /// Adds a line. `linux` is the kernel's version, of which the first two numbers are shown.
    pub fn add(&mut self, target: &Target, under: &str, linux: &str, outcome: &Outcome) {
        let linux: Vec<&str> = linux.splitn(3, '.').take(2).collect();
        let linux = linux.join(".");
        let Outcome { passed, differ, .. } = outcome;
        // The number depends on the addresses that the emulator chooses, and varies from run to
        // run.
        let differ = if *differ == 0 { "" } else { " (some differ)" };
        let key = key(target, under);
        let line = format!("{key} {linux} | {} | {passed}{differ} |\n", outcome.pages());
        self.ran.insert(key, line);
    }

    /// Compares the lines with `docs/architectures.md`, or replaces them there.
    pub fn finish(&self, report: &mut Report, update: bool) {
        let start = Instant::now();
        let result = self.compare(update);
        if let Err(message) = &result {
            println!("{message}");
        }
        let [ok, failed] = [result.is_ok(), result.is_err()].map(usize::from);
        report.add(&format!("matrix in {PAGE}"), start, ok, failed);
    }

    fn compare(&self, update: bool) -> Result<(), String> {
        let path = root().join(PAGE);
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
            let (table, after) = rest.split_once(END)?;
            Some((before, table, after))
        });
        let (before, old, after) =
            parts.ok_or_else(|| format!("{PAGE} has no place for the matrix"))?;

        // The lines stand in the order of the targets. A configuration that did not run keeps its
        // line.
        let mut new = HEAD.to_owned();
        for target in MATRIX {
            let flavours = target.kernels.iter().map(|kernel| kernel.flavour());
            for under in target.runners.iter().copied().chain(flavours) {
                let key = key(target, under);
                let old = old.split_inclusive('\n').find(|line| line.starts_with(&key));
                let ran = self.ran.get(&key).map(String::as_str);
                // Debian updates its kernels, so a line that differs in the kernel's version alone
                // is up to date.
                let same = !update
                    && ran.zip(old).is_some_and(|(a, b)| {
                        let rest = |line: &str| line.splitn(5, '|').nth(4).map(str::to_owned);
                        rest(a) == rest(b)
                    });
                new += if same { old } else { ran.or(old) }.unwrap_or_default();
            }
        }
        if new == old {
            return Ok(());
        }
        if update {
            let text = format!("{before}{BEGIN}{new}{END}{after}");
            return fs::write(path, text).map_err(|error| error.to_string());
        }
        let mut message = format!("{PAGE} differs from what ran; --update writes it:");
        for (sign, these, others) in [('-', old, &*new), ('+', &new, old)] {
            for line in these.lines().filter(|line| !others.lines().any(|other| other == *line)) {
                message += &format!("\n{sign} {line}");
            }
        }
        Err(message)
    }
}
