//! The figures of `cargo xtask bench`, and how they are formatted.

use std::{fs, process::Command, thread};

use crate::command::output;

pub const KIB: u64 = 1 << 10;

pub const MIB: u64 = 1 << 20;

pub const GIB: u64 = 1 << 30;

/// The largest size, with which only mapcp and cp are measured.
pub const LARGEST: u64 = 8 * GIB;

pub const LARGE: u64 = 64 * MIB;

pub const CP: &str = "GNU cp";

pub const C: &str = "49-1 in C";

pub const MAPCP: &str = "mapcp";

pub const MAP: &str = "mapcp --method=map -j1";

/// The state of the destination and of the page cache when a copy begins.
#[derive(Clone, Copy, PartialEq)]
pub enum Before {
    Absent,
    Present,
    /// There is no destination, and the source is not in the page cache.
    Cold,
}

impl Before {
    pub fn name(self) -> &'static str {
        match self {
            Before::Absent => "absent",
            Before::Present => "present",
            Before::Cold => "cold",
        }
    }
}

/// The results of one program in one cell.
pub struct Measured {
    pub name: &'static str,
    /// The seconds of each round in which the program ran.
    pub times: Vec<f64>,
    /// The peak resident set, in bytes.
    pub memory: u64,
}

impl Measured {
    pub fn sorted(&self) -> Vec<f64> {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times
    }

    /// Returns the median of the times, in seconds.
    pub fn median(&self) -> f64 {
        quantile(&self.sorted(), 0.5)
    }
}

pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

/// The results for one size on one file system.
pub struct Cell {
    /// The type of the file system.
    pub fs: String,
    pub before: Before,
    pub size: u64,
    pub measured: Vec<Measured>,
}

impl Cell {
    pub fn get(&self, name: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.name == name)
    }

    /// Returns how many times as long as `ours` the program `other` took.
    pub fn ratio(&self, ours: &str, other: &str) -> Option<f64> {
        Some(self.get(other)?.median() / self.get(ours)?.median())
    }
}

/// All results.
pub struct Measurements {
    pub cells: Vec<Cell>,
    /// Remarks that are printed beside the figures.
    pub notes: Vec<String>,
}

impl Measurements {
    /// Returns the cells of a file system.
    pub fn of(&self, fs: &str, before: Before) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.fs == fs && cell.before == before)
    }
}

pub struct Machine {
    pub date: String,
    pub kernel: String,
    pub model: String,
    pub processors: usize,
}

impl Machine {
    pub fn new() -> Result<Machine, String> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = output(Command::new("uname").arg("-r"))?;
        Ok(Machine {
            date: output(Command::new("date").args(["-u", "+%F"]))?,
            // The suffix of a distribution is left out.
            kernel: kernel.split('-').next().unwrap_or_default().to_owned(),
            model: model.map_or("", |(_, model)| model).trim().to_owned(),
            processors: processors(),
        })
    }

    pub fn sentence(&self) -> String {
        let Machine { date, kernel, model, processors } = self;
        format!(
            "{} ({model}, {processors} processors), Linux {kernel}, {date}: medians of 9 rounds and \
             more, from a process's start to its end.",
            std::env::consts::ARCH
        )
    }
}

pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Returns the bytes of a size such as `64KiB`.
pub fn parse_size(name: &str) -> Option<u64> {
    let digits = name.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = match name[digits.len()..].trim() {
        "" | "B" => 1,
        "K" | "KiB" => KIB,
        "M" | "MiB" => MIB,
        "G" | "GiB" => GIB,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|&size| size > 0)
}

pub fn format_size(size: u64) -> String {
    match size {
        0..KIB => format!("{size} B"),
        KIB..MIB => format!("{} KiB", size / KIB),
        MIB..GIB => format!("{} MiB", size / MIB),
        _ => format!("{} GiB", size / GIB),
    }
}

/// Formats seconds with three significant digits.
pub fn format_time(seconds: f64) -> String {
    let (value, unit) = if seconds < 1e-3 { (seconds * 1e6, "µs") } else { (seconds * 1e3, "ms") };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// Formats a program's name. The names of mapcp are commands.
pub fn format_program(name: &str) -> String {
    if name.starts_with(MAPCP) { format!("`{name}`") } else { name.to_owned() }
}
