//! The tables of `cargo xtask bench`: the bars and the measured ratios, and the figures for
//! `README.md`, `docs/benchmarks.md` and `docs/bench.json`.

use crate::measurements::{
    Before, C, CP, Cell, GIB, KIB, LARGE, LARGEST, MAP, MAPCP, MIB, Machine, Measurements,
    format_program, format_size, format_time, quantile,
};

/// The factor by which a program should be faster than another.
struct Bar {
    before: &'static [Before],
    /// Whether the bar is for the disk. Otherwise it is for a file system in memory.
    disk: bool,
    sizes: (u64, u64),
    ours: &'static str,
    other: &'static str,
    at_least: f64,
}

impl Bar {
    const fn new(sizes: (u64, u64), ours: &'static str, other: &'static str, at_least: f64) -> Bar {
        let before = &[Before::Absent, Before::Present];
        Bar { before, disk: true, sizes, ours, other, at_least }
    }
}

const SMALL_FILES: (u64, u64) = (1, 64 * KIB);

const MIDDLE: (u64, u64) = (256 * KIB, 16 * MIB);

const LARGE_FILES: (u64, u64) = (LARGE, GIB);

const BARS: [Bar; 12] = [
    Bar::new(SMALL_FILES, MAPCP, CP, 3.5),
    Bar::new(SMALL_FILES, MAPCP, C, 2.5),
    Bar::new(MIDDLE, MAPCP, CP, 1.5),
    Bar::new(MIDDLE, MAPCP, C, 2.5),
    Bar::new(LARGE_FILES, MAPCP, CP, 1.8),
    Bar::new(LARGE_FILES, MAPCP, C, 2.5),
    Bar::new(SMALL_FILES, MAP, CP, 1.0),
    Bar::new((256 * KIB, MIB), MAP, CP, 0.8),
    Bar::new((2 * MIB, GIB), MAP, CP, 1.0),
    Bar::new((256 * KIB, GIB), MAP, C, 1.5),
    Bar { disk: false, ..Bar::new((1, GIB), MAPCP, CP, 1.0) },
    Bar { before: &[Before::Cold], ..Bar::new((1, GIB), MAPCP, CP, 1.0) },
];

const MOST_MEMORY: u64 = 64 * MIB;

/// The most by which the time per byte may grow from the smaller size of `LINEAR` to the larger
/// one.
const MOST_GROWTH: f64 = 1.25;

const LINEAR: (u64, u64) = (16 * MIB, LARGEST);

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "**does not hold**" }
}

fn range((from, to): (u64, u64)) -> String {
    format!("{} to {}", format_size(from), format_size(to))
}

impl Measurements {
    /// Returns the table of the bars and the measured ratios.
    pub fn bars(&self, disk: &str, memory: &str) -> String {
        let mut table = "| what | sizes | where | bar | measured, worst first | |\n\
            |---|---|---|---|---|---|\n"
            .to_owned();
        for bar in BARS {
            let fs = if bar.disk { disk } else { memory };
            for &before in bar.before {
                let cells = self.of(fs, before);
                let cells = cells.filter(|cell| (bar.sizes.0..=bar.sizes.1).contains(&cell.size));
                let mut ratios: Vec<(f64, u64)> = cells
                    .filter_map(|cell| Some((cell.ratio(bar.ours, bar.other)?, cell.size)))
                    .collect();
                ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
                let holds = match ratios.first() {
                    Some(&(worst, _)) => verdict(worst >= bar.at_least),
                    None => "not measured",
                };
                let figures = ratios
                    .iter()
                    .map(|&(ratio, size)| format!("{ratio:.2} ({})", format_size(size)));
                table += &format!(
                    "| {} by {} | {} | {fs}, {} | {:.1} | {} | {holds} |\n",
                    format_program(bar.ours),
                    bar.other,
                    range(bar.sizes),
                    before.name(),
                    bar.at_least,
                    figures.collect::<Vec<_>>().join(", "),
                );
            }
        }

        let ours = self.cells.iter().flat_map(|cell| {
            let ours = cell.measured.iter().filter(|measured| measured.name.starts_with(MAPCP));
            ours.map(|measured| (measured.memory, measured.name, cell.size))
        });
        if let Some((most, name_of, size)) = ours.max() {
            table += &format!(
                "| resident memory, MiB | all | all | at most {} | {:.1} ({} of {}) | {} |\n",
                MOST_MEMORY / MIB,
                most as f64 / MIB as f64,
                format_program(name_of),
                format_size(size),
                verdict(most <= MOST_MEMORY)
            );
        }
        for fs in [disk, memory] {
            let time_per_byte = |size| {
                let cell = self.of(fs, Before::Absent).find(|cell| cell.size == size)?;
                Some(cell.get(MAPCP)?.median() / size as f64)
            };
            let growth = time_per_byte(LINEAR.1).zip(time_per_byte(LINEAR.0)).map(|(a, b)| a / b);
            let (figure, holds) = match growth {
                Some(growth) => (format!("{growth:.2}"), verdict(growth <= MOST_GROWTH)),
                None => (String::new(), "not measured"),
            };
            table += &format!(
                "| time of a byte, in {} by in {} | | {fs}, absent | at most {MOST_GROWTH} | \
                 {figure} | {holds} |\n",
                format_size(LINEAR.1),
                format_size(LINEAR.0),
            );
        }
        table
    }

    /// Returns the section of `README.md`: a plot, and a table of the programs that its readers
    /// know.
    pub fn summary(&self, machine: &Machine, cells: &[&Cell]) -> String {
        let plot = "![Throughput by file size](docs/throughput.svg)";
        let table = table(cells, &[CP, C, MAPCP]);
        format!("{}\n\n{plot}\n\n{table}", machine.sentence())
    }

    /// Returns the section of `docs/benchmarks.md`.
    pub fn section(&self, machine: &Machine, cells: &[&Cell], bars: &str) -> String {
        let mut text = machine.sentence();
        text += "\n\n![Throughput by file size](throughput.svg)\n\n\
                 ![Small files](small.svg)\n\n![Resident memory](memory.svg)\n\n";
        text += &table(cells, &[CP, C, "rsync", "xcp", MAP, MAPCP]);
        text += &format!("\nEach bar, and what was measured:\n\n{bars}\n");
        self.notes.iter().for_each(|note| text += &format!("- {note}\n"));
        text
    }

    pub fn json(&self, machine: &Machine) -> String {
        let Machine { date, kernel, model, processors } = machine;
        let notes = &self.notes;
        let mut rows = Vec::new();
        for Cell { fs, before, size, measured } in &self.cells {
            for measured in measured {
                let sorted = measured.sorted();
                let quantiles = [0.0, 0.25, 0.5, 0.75];
                let times = quantiles.map(|part| format!("{:.1}", quantile(&sorted, part) * 1e6));
                rows.push(format!(
                    "    {{\"on\": {fs:?}, \"before\": {:?}, \"bytes\": {size}, \
                     \"program\": {:?}, \"rounds\": {}, \"us\": [{}], \"resident\": {}}}",
                    before.name(),
                    measured.name,
                    sorted.len(),
                    times.join(", "),
                    measured.memory,
                ));
            }
        }
        format!(
            "{{\n  \"date\": {date:?},\n  \"kernel\": {kernel:?},\n  \"processor\": {model:?},\n  \
             \"processors\": {processors},\n  \"notes\": {notes:?},\n  \"us\": \"microseconds from a process's start to its \
             end: the least, the first quartile, the median, the third quartile\",\n  \
             \"measured\": [\n{}\n  ]\n}}\n",
            rows.join(",\n")
        )
    }
}

/// Returns a table of the medians of these programs for each size, and of the factors by which
/// mapcp is faster than GNU cp and than the exercise in C.
fn table(cells: &[&Cell], peers: &[&str]) -> String {
    let fs = cells.first().map_or("", |cell| &cell.fs);
    let mut text = format!("On {fs}, SOURCE in the page cache, no DEST:\n\n| size |");
    peers.iter().for_each(|peer| text += &format!(" {} |", format_program(peer)));
    text += " by GNU cp | by 49-1 in C |\n|---|---|---|";
    peers.iter().for_each(|_| text += "---|");
    text += "\n";
    for cell in cells {
        text += &format!("| {} |", format_size(cell.size));
        for peer in peers {
            let figure = cell.get(peer).map(|measured| format_time(measured.median()));
            text += &format!(" {} |", figure.unwrap_or_default());
        }
        for other in [CP, C] {
            let ratio = cell.ratio(MAPCP, other).map(|ratio| format!("{ratio:.2}×"));
            text += &format!(" {} |", ratio.unwrap_or_default());
        }
        text += "\n";
    }
    text
}
