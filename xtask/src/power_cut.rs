//! `cargo xtask power-cut` examines the disk after a power cut during and after a copy.
//!
//! A copy with `--sync` runs on a file system whose disk is an image. Snapshots of the image are
//! taken during the copy and after the copy has reported success. They contain what the file system
//! has written by then, and nothing that is only in memory. Later each snapshot is mounted and the
//! destination is read.
//!
//! After success, the destination must be the new file. Before, it must be the old or the new file.

mod booted;
mod host;
mod write_log;

use std::{
    collections::BTreeMap,
    error::Error,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{cargo, install, root, targets::MODULAR};

/// The page that `--update` writes.
const PAGE: &str = "docs/power-cut.md";

/// The number of runs of each copy without `--runs`.
const RUNS: usize = 2;

/// The factor by which the running kernel makes more runs. Each of its runs takes fewer snapshots
/// and less time.
const HOST_RUNS: usize = 15;

/// The length of the images: the least that `mkfs.xfs` accepts, and some more.
const IMAGE_SIZE: u64 = 400 << 20;

/// The name of the running kernel on the command line and in the table.
const HOST: &str = "host";

/// A file system, and how it is created and mounted.
struct FileSystem {
    name: &'static str,
    kind: &'static str,
    mkfs: &'static str,
    /// The options of `mount`.
    options: &'static str,
    /// The program that makes the file system consistent after a power cut, if mounting does not.
    check: Option<&'static str>,
    /// The kernel modules that the file system needs.
    modules: &'static [&'static str],
}

// With blocks of 4 KiB, as on larger disks, a block has several inodes.
const EXT4: FileSystem = FileSystem {
    name: "ext4",
    kind: "ext4",
    mkfs: "mkfs.ext4 -q -F -b 4096",
    options: "data=ordered",
    check: None,
    modules: &["ext4"],
};

const FILE_SYSTEMS: &[FileSystem] = &[
    FileSystem {
        name: "ext2",
        kind: "ext2",
        mkfs: "mkfs.ext2 -q -F -b 4096",
        options: "defaults",
        check: Some("e2fsck -fy"),
        ..EXT4
    },
    FileSystem {
        name: "ext4-no-journal",
        mkfs: "mkfs.ext4 -q -F -b 4096 -O ^has_journal",
        options: "defaults",
        check: Some("e2fsck -fy"),
        ..EXT4
    },
    FileSystem {
        name: "ext4-no-journal-discard",
        mkfs: "mkfs.ext4 -q -F -b 4096 -O ^has_journal",
        options: "discard",
        check: Some("e2fsck -fy"),
        ..EXT4
    },
    EXT4,
    FileSystem { name: "ext4-writeback", options: "data=writeback", ..EXT4 },
    FileSystem {
        name: "xfs",
        kind: "xfs",
        mkfs: "mkfs.xfs -q -f",
        options: "defaults",
        check: None,
        modules: &["xfs"],
    },
    FileSystem {
        name: "btrfs",
        kind: "btrfs",
        mkfs: "mkfs.btrfs -q -f",
        options: "defaults",
        check: None,
        modules: &["btrfs", "zstd_compress", "xxhash_generic", "blake2b_generic", "sha256_generic"],
    },
    FileSystem {
        name: "vfat",
        kind: "vfat",
        mkfs: "mkfs.vfat",
        options: "defaults",
        check: None,
        modules: &["vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"],
    },
];

impl FileSystem {
    fn make(&self, image: &Path) -> Result<(), Box<dyn Error>> {
        fs::File::create(image)?.set_len(IMAGE_SIZE)?;
        run(self.mkfs, [image])
    }

    /// Makes an image consistent, if mounting does not. `image` may be a part of a file, for which
    /// e2fsprogs has the notation `FILE?offset=BYTES`.
    fn repair(&self, image: &Path) -> Result<(), Box<dyn Error>> {
        let Some(check) = self.check else { return Ok(()) };
        let mut words = check.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg(image).stdout(Stdio::null()).stderr(Stdio::null());
        // The exit statuses 1 and 2 report corrected errors.
        match command.status()?.code() {
            Some(0..=2) => Ok(()),
            code => Err(format!("{check} {}: status {code:?}", image.display()).into()),
        }
    }
}

/// Runs a program with the arguments in a string, separated by spaces, and with further arguments.
fn run<A: AsRef<OsStr>>(
    words: &str,
    more: impl IntoIterator<Item = A>,
) -> Result<(), Box<dyn Error>> {
    let mut split = words.split(' ');
    let mut command = Command::new(split.next().unwrap_or_default());
    let output = command.args(split).args(more).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{words}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{command:?}: {}: {}", output.status, message.trim()).into())
}

/// The source of a copy, and the file that it replaces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    replace: bool,
    large: bool,
}

const CASES: [Case; 4] = [
    Case { replace: false, large: false },
    Case { replace: false, large: true },
    Case { replace: true, large: false },
    Case { replace: true, large: true },
];

impl Case {
    fn name(self) -> &'static str {
        match (self.replace, self.large) {
            (false, false) => "new, small",
            (false, true) => "new, large",
            (true, false) => "replace, small",
            (true, true) => "replace, large",
        }
    }

    fn source(self) -> &'static str {
        if self.large { "large" } else { "small" }
    }
}

/// Returns the old destination and the two sources, by their names.
fn contents() -> [(&'static str, Vec<u8>); 3] {
    let mut random = Random(1);
    [("old", 1_200_000), ("small", 40_000), ("large", 4_000_000)].map(|(name, len)| {
        let bytes = (0..len / 8).flat_map(|_| random.next().to_le_bytes());
        (name, bytes.collect())
    })
}

/// Random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn from_time() -> Random {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Random(time.as_nanos() as u64)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// Returns a random part of a time, with a uniform distribution.
    fn part_of(&mut self, time: Duration) -> Duration {
        time.mul_f64((self.next() >> 11) as f64 / (1u64 << 53) as f64)
    }
}

/// The moment of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// The copy had not reported success.
    Before,
    /// The copy had reported success.
    After,
}

/// The state of the destination in a snapshot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    New,
    Old,
    Missing,
    /// Neither the old nor the new file. The string describes it.
    Other(String),
}

impl Found {
    fn parse(text: &str) -> Found {
        match text {
            "new" => Found::New,
            "old" => Found::Old,
            "missing" => Found::Missing,
            other => Found::Other(other.to_owned()),
        }
    }

    fn is_right(&self, case: Case, moment: Moment) -> bool {
        match self {
            Found::New => true,
            Found::Old => case.replace && moment == Moment::Before,
            Found::Missing => !case.replace && moment == Moment::Before,
            Found::Other(_) => false,
        }
    }
}

/// The states that were found, and how often.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<(Case, Moment, Found), usize>,
}

impl Tally {
    fn add(&mut self, case: Case, moment: Moment, found: Found) {
        *self.counts.entry((case, moment, found)).or_default() += 1;
    }

    /// Returns the number of snapshots, and how many of them are wrong.
    fn totals(&self, moment: Moment) -> [usize; 2] {
        let these = self.counts.iter().filter(|((_, when, _), _)| *when == moment);
        these.fold([0, 0], |[all, wrong], ((case, when, found), count)| {
            [all + count, wrong + if found.is_right(*case, *when) { 0 } else { *count }]
        })
    }

    /// Returns a cell of the table.
    fn cell(&self, case: Case, moment: Moment) -> String {
        let these = self.counts.iter().filter(|((c, m, _), _)| (*c, *m) == (case, moment));
        let parts = these.map(|((_, _, found), count)| {
            let text = match found {
                Found::New => format!("{count} new"),
                Found::Old => format!("{count} old"),
                Found::Missing if case.replace || moment == Moment::After => {
                    format!("{count} missing")
                }
                Found::Missing => format!("{count} none"),
                Found::Other(what) => format!("{count} {what}"),
            };
            if found.is_right(case, moment) { text } else { format!("**{text}**") }
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// A line of the table.
struct Line {
    kernel: String,
    file_system: &'static str,
    tally: Tally,
}

/// The options of the command line.
struct Options {
    mapcp: PathBuf,
    runs: usize,
    words: Vec<String>,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, String> {
        let mapcp = root().join("target/release/mapcp");
        let mut options = Options { mapcp, runs: RUNS, words: Vec::new() };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word {
                "--mapcp" => options.mapcp = value()?.into(),
                "--runs" => {
                    options.runs = value()?.parse().map_err(|error| format!("--runs: {error}"))?;
                }
                _ if kernels().any(|name| name == word) || file_systems().any(|n| n == word) => {
                    options.words.push(word.to_owned());
                }
                _ => {
                    let known: Vec<_> = kernels().chain(file_systems()).collect();
                    return Err(format!("{word} is none of: {}", known.join(", ")));
                }
            }
        }
        Ok(options)
    }

    /// Returns whether a kernel or file system is selected. All are, unless the command line names
    /// some.
    fn wants(&self, name: &str, mut names: impl Iterator<Item = &'static str>) -> bool {
        let named = names.any(|name| self.words.iter().any(|word| word == name));
        !named || self.words.iter().any(|word| word == name)
    }
}

fn kernels() -> impl Iterator<Item = &'static str> {
    [HOST].into_iter().chain(MODULAR.iter().map(|kernel| kernel.series()))
}

fn file_systems() -> impl Iterator<Item = &'static str> {
    FILE_SYSTEMS.iter().map(|file_system| file_system.name)
}

pub fn power_cut(words: &[&str], update: bool) -> Result<ExitCode, String> {
    let options = Options::parse(words)?;
    if update && !options.words.is_empty() {
        return Err("--update writes the whole page: name no kernel and no file system".into());
    }
    let asked: Vec<_> =
        FILE_SYSTEMS.iter().filter(|fs| options.wants(fs.name, file_systems())).collect();
    let programs = asked.iter().filter_map(|fs| fs.mkfs.split(' ').next());
    let kernels_asked: Vec<_> =
        MODULAR.iter().filter(|kernel| options.wants(kernel.series(), kernels())).collect();
    let emulators = kernels_asked.iter().map(|kernel| kernel.emulator());
    install::install(programs.chain(emulators).chain(["e2fsck", "mkfs.xfs", "unxz"]))?;
    if options.mapcp.starts_with(root().join("target")) {
        let status = cargo(&["build", "--release", "-p", "baremap", "--bins"]).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err("mapcp does not build".into());
        }
    }

    let dir = root().join("target/power-cut");
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let mut lines = Vec::new();
    if options.wants(HOST, kernels()) {
        host::cut_power(&options, &asked, &dir, &mut lines).map_err(|error| error.to_string())?;
    }
    for kernel in kernels_asked {
        booted::cut_power(&options, kernel, &asked, &dir, &mut lines)
            .map_err(|error| format!("Linux {}: {error}", kernel.series()))?;
    }

    let table = table(&lines);
    print!("\n{table}");
    let [after, before] = [Moment::After, Moment::Before].map(|moment| {
        let totals = lines.iter().map(|line| line.tally.totals(moment));
        totals.fold([0, 0], |[a, b], [c, d]| [a + c, b + d])
    });
    let summary = format!(
        "{} snapshots after success, {} of them wrong; {} snapshots before it, {} of them wrong.",
        after[0], after[1], before[0], before[1]
    );
    println!("\n{summary}");
    if update {
        write_page(&table, &summary).map_err(|error| format!("{PAGE}: {error}"))?;
    }
    Ok(if after[1] + before[1] == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(lines: &[Line]) -> String {
    let heads = CASES.map(|case| format!(" {} |", case.name())).concat();
    let mut text = format!("| Linux | file system | power cut |{heads}\n|---|---|---|");
    text += &"---|".repeat(CASES.len());
    text.push('\n');
    for Line { kernel, file_system, tally } in lines {
        for (moment, name) in [(Moment::After, "after success"), (Moment::Before, "before")] {
            let cells = CASES.map(|case| format!(" {} |", tally.cell(case, moment))).concat();
            text += &format!("| {kernel} | {file_system} | {name} |{cells}\n");
        }
    }
    text
}

fn write_page(table: &str, summary: &str) -> Result<(), Box<dyn Error>> {
    let date = Command::new("date").arg("+%F").output()?.stdout;
    let date = String::from_utf8(date)?;
    let text = format!(
        "# A power cut during and after `mapcp --sync`\n\n\
         `cargo xtask power-cut --update` writes this page. Last run: {}.\n\n\
         {}\n{summary}\n\n{table}",
        date.trim(),
        include_str!("power_cut/method.md"),
    );
    Ok(fs::write(root().join(PAGE), text)?)
}
