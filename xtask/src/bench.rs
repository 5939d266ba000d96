//! `cargo xtask bench`: mapcp beside other ways to copy a file, each as a process of its own.
//!
//! What is compared takes turns: every program in every round, in an order that changes, so
//! that whatever else the machine does meets them all. Figures are medians of the rounds, and
//! ratios are of medians.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    ptr, thread,
    time::Instant,
};

use crate::{cargo, install, peak, plot, replace, root};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const SIZES: [u64; 12] = [
    1,
    4 * KIB,
    16 * KIB,
    64 * KIB,
    256 * KIB,
    MIB,
    2 * MIB,
    4 * MIB,
    16 * MIB,
    64 * MIB,
    256 * MIB,
    GIB,
];
const QUICK_SIZES: [u64; 5] = [4 * KIB, 64 * KIB, MIB, 16 * MIB, 64 * MIB];
const COLD_SIZES: [u64; 5] = [4 * KIB, 64 * KIB, MIB, 16 * MIB, 256 * MIB];
/// The largest, that of `LARGEST_ROUNDS` rounds of two programs.
const LARGEST: u64 = 8 * GIB;
const LARGEST_ROUNDS: usize = 3;
/// From this size on what a copy left to be written to the disk, and in memory, would slow the
/// next one. (Below, it is more that nothing is left in the processor's caches by then.)
const SETTLED: u64 = 4 * MIB;
const LARGE: u64 = 64 * MIB;

pub const CP: &str = "GNU cp";
pub const C: &str = "49-1 in C";
pub const MAPCP: &str = "mapcp";
pub const MAP: &str = "mapcp --method=map -j1";

/// A way to copy.
#[derive(Clone)]
struct Peer {
    name: &'static str,
    program: PathBuf,
    options: Vec<&'static str>,
    /// Runs in every so many rounds.
    every: usize,
    /// From this size on.
    from: u64,
}

impl Peer {
    fn command(&self, source: &Path, dest: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.options).arg(source).arg(dest);
        // Cargo's environment has library directories, through which a dynamic program would
        // look for its own.
        command.env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn ours(&self) -> bool {
        self.name.starts_with(MAPCP)
    }
}

/// How things are when a copy begins.
#[derive(Clone, Copy, PartialEq)]
pub enum Before {
    Absent,
    Present,
    /// There is no destination, and the source is on the disk alone.
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

/// A directory, which is removed in the end.
struct Place {
    /// Its file system.
    name: String,
    dir: PathBuf,
}

impl Place {
    fn new(dir: PathBuf) -> Result<Place, String> {
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        // One may be mounted over another.
        let names = text(Command::new("findmnt").args(["-no", "FSTYPE", "-T"]).arg(&dir))?;
        let name = names.lines().last().unwrap_or_default().to_owned();
        Ok(Place { name, dir })
    }

    fn source(&self, size: u64) -> PathBuf {
        self.dir.join(format!("source-{size}"))
    }

    fn dest(&self) -> PathBuf {
        self.dir.join("dest")
    }

    /// Makes a file without holes, no two pages of which are the same.
    fn make_source(&self, size: u64) -> Result<(), String> {
        let path = self.source(size);
        let fill = || {
            let mut file = File::create(&path)?;
            let mut random = Random(size);
            let mut block = vec![0; size.min(MIB) as usize];
            block.chunks_mut(8).for_each(|word| {
                word.copy_from_slice(&random.next().to_le_bytes()[..word.len()]);
            });
            let mut at = 0;
            while at < size {
                for (page, number) in block.chunks_exact_mut(4096).zip(at / 4096..) {
                    page[..8].copy_from_slice(&number.to_le_bytes());
                }
                let len = block.len().min((size - at) as usize);
                file.write_all(&block[..len])?;
                at += len as u64;
            }
            file.sync_all()
        };
        fill().map_err(|error| format!("{}: {error}", path.display()))
    }

    fn sync(&self) {
        let dir = File::open(&self.dir).expect("ours");
        // SAFETY: no memory is involved.
        unsafe { libc::syncfs(dir.as_raw_fd()) };
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 ^ self.0 >> 32
    }
}

/// What was measured of one way in one cell.
pub struct Measured {
    pub name: &'static str,
    /// Seconds in each round in which it ran.
    times: Vec<f64>,
    /// The largest resident set, in bytes.
    pub memory: u64,
}

impl Measured {
    fn sorted(&self) -> Vec<f64> {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times
    }

    /// Seconds.
    pub fn median(&self) -> f64 {
        quantile(&self.sorted(), 0.5)
    }
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

/// One size at one place.
pub struct Cell {
    pub place: String,
    pub before: Before,
    pub size: u64,
    pub measured: Vec<Measured>,
}

impl Cell {
    pub fn get(&self, name: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.name == name)
    }

    /// How many times as long `other` took.
    fn ratio(&self, ours: &str, other: &str) -> Option<f64> {
        Some(self.get(other)?.median() / self.get(ours)?.median())
    }
}

struct Bench {
    peers: Vec<Peer>,
    quick: bool,
    random: Random,
    cells: Vec<Cell>,
    /// What is to be said beside the figures.
    notes: Vec<String>,
}

pub fn bench(words: &[&str]) -> Result<ExitCode, String> {
    let mut quick = false;
    let mut sizes = Vec::new();
    for word in words {
        match *word {
            "--quick" => quick = true,
            _ => sizes.push(size(word).ok_or_else(|| format!("{word}: no size"))?),
        }
    }
    // A part is for trying; only the whole is written down.
    let whole = !quick && sizes.is_empty();
    if sizes.is_empty() {
        sizes = if quick { QUICK_SIZES.to_vec() } else { SIZES.to_vec() };
    }

    let mut notes = Vec::new();
    let peers = peers(&mut notes)?;
    let mut bench = Bench { peers, quick, random: Random(1), cells: Vec::new(), notes };
    let start = Instant::now();
    let disk = Place::new(root().join("target/bench"))?;
    let shm = Path::new("/dev/shm").join(format!("mapcp-bench-{}", std::process::id()));
    let memory = Place::new(shm)?;

    if disk.name == memory.name {
        return Err(format!("target/ is on {}, too: there is no disk to measure", disk.name));
    }

    for place in [&disk, &memory] {
        let room = available(&place.dir)?;
        let largest = sizes.iter().copied().max().unwrap_or_default();
        // All sources, and the largest twice more: the old destination and the new.
        if room < sizes.iter().sum::<u64>() + 2 * largest {
            return Err(format!("{}: too little room", place.dir.display()));
        }
        sizes.iter().try_for_each(|&size| place.make_source(size))?;
        for before in [Before::Absent, Before::Present] {
            bench.table(place, before, &sizes)?;
        }
        if ptr::eq(place, &disk) && !quick {
            let cold: Vec<u64> =
                COLD_SIZES.into_iter().filter(|size| sizes.contains(size)).collect();
            match fs::write("/proc/sys/vm/drop_caches", "3") {
                Ok(()) => bench.table(place, Before::Cold, &cold)?,
                Err(error) => bench.notes.push(format!("no cold cache: drop_caches: {error}")),
            }
        }
        for &size in &sizes {
            let _ = fs::remove_file(place.source(size));
        }
        if whole {
            bench.largest(place)?;
        }
    }

    let machine = Machine::new()?;
    let bars = bench.bars(&disk.name, &memory.name);
    println!("\n{}\n\n{bars}", machine.sentence());
    bench.notes.iter().for_each(|note| println!("- {note}"));
    println!("\n{:.0} s", start.elapsed().as_secs_f64());
    if whole {
        let docs = root().join("docs");
        let write = |name: &str, text: String| {
            fs::write(docs.join(name), text).map_err(|error| format!("docs/{name}: {error}"))
        };
        write("bench.json", bench.json(&machine))?;
        let cells: Vec<&Cell> =
            bench.of(&disk.name, Before::Absent).filter(|cell| cell.size < LARGEST).collect();
        write("throughput.svg", plot::throughput(&cells)?)?;
        write("small.svg", plot::small(&cells)?)?;
        write("memory.svg", plot::memory(&cells)?)?;
        replace("README.md", BEGIN, END, &bench.summary(&machine, &cells))?;
        replace("docs/benchmarks.md", BEGIN, END, &bench.section(&machine, &cells, &bars))?;
    }
    Ok(ExitCode::SUCCESS)
}

const BEGIN: &str = "<!-- The measurements, written by cargo xtask bench: -->\n\n";
const END: &str = "\n<!-- End of the measurements. -->";

/// Builds and installs what is compared.
fn peers(notes: &mut Vec<String>) -> Result<Vec<Peer>, String> {
    install::packages(&["gcc", "rsync"])?;
    let target = root().join("target");
    let dir = target.join("peers");
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let program = dir.join("copy");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-Wall", "-o"]).arg(&program).arg(root().join("benches/peers/copy.c"));
    run(&mut gcc)?;
    run(&mut cargo(&["build", "--quiet", "--release", "--package", "baremap", "--bin", "mapcp"]))?;

    let peer = |name, program: &Path, options: &[&'static str], every, from| Peer {
        name,
        program: program.to_owned(),
        options: options.to_vec(),
        every,
        from,
    };
    let mut peers = vec![
        peer(CP, Path::new("/usr/bin/cp"), &[], 1, 0),
        peer(C, &program, &[], 1, 0),
        // It would skip a file of the same size and time.
        peer("rsync", Path::new("/usr/bin/rsync"), &["--whole-file", "--ignore-times"], 3, 0),
    ];
    let xcp = dir.join("bin/xcp");
    if !xcp.exists() {
        println!("xtask: cargo install xcp");
        let root = dir.to_str().ok_or("target/ has a name that is no text")?;
        if run(&mut cargo(&["install", "--quiet", "--locked", "--root", root, "xcp"])).is_err() {
            notes.push("xcp could not be installed".to_owned());
        }
    }
    if xcp.exists() {
        peers.push(peer("xcp", &xcp, &["--no-progress"], 3, 0));
    }
    for program in ["cp", "gcc", "rsync"].map(Path::new).into_iter().chain([&*xcp]) {
        if let Ok(lines) = text(Command::new(program).arg("--version")) {
            let version = lines.lines().next().unwrap_or_default();
            notes.push(version.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }

    let mapcp = target.join("release/mapcp");
    for (name, options, from) in [
        (MAPCP, &[][..], 0),
        (MAP, &["--method=map", "-j1"], 0),
        ("mapcp --method=map", &["--method=map"], LARGE),
        ("mapcp --method=write", &["--method=write"], 0),
        ("mapcp --method=kernel", &["--method=kernel"], 0),
        ("mapcp --method=clone", &["--method=clone"], 0),
    ] {
        // These two have bars, and the others are for comparison.
        let every = if [MAPCP, MAP].contains(&name) { 1 } else { 3 };
        peers.push(peer(name, &mapcp, options, every, from));
    }
    let processors = processors();
    for (name, option, jobs) in
        [("mapcp -j1", "-j1", 1), ("mapcp -j2", "-j2", 2), ("mapcp -j4", "-j4", 4)]
    {
        if jobs <= processors {
            peers.push(peer(name, &mapcp, &[option], 3, LARGE));
        } else {
            notes.push(format!("{} is not measured: {processors} processors", code(name)));
        }
    }
    Ok(peers)
}

impl Bench {
    fn rounds(&self, before: Before, size: u64) -> usize {
        let rounds = match size {
            LARGEST => return LARGEST_ROUNDS,
            _ if before == Before::Cold => 9,
            0..256_000 => 101,
            256_000..4_000_000 => 51,
            4_000_000..LARGE => 25,
            LARGE..100_000_000 => 15,
            _ => 9,
        };
        if self.quick { (rounds / 3).max(5) } else { rounds }
    }

    /// Those that run in a cell: on the disk and without a destination the whole choice of them.
    fn peers(&self, place: &Place, before: Before, size: u64) -> Vec<Peer> {
        let few: &[&str] = match before {
            Before::Cold => &[CP, C, MAPCP],
            _ if place.name == "tmpfs" && size >= LARGE => &[CP, C, MAPCP],
            Before::Present => &[CP, C, MAPCP, MAP],
            Before::Absent => &[],
        };
        let fits = |peer: &&Peer| {
            (few.is_empty() || few.contains(&peer.name))
                && peer.from <= size
                && (peer.ours() || peer.every == 1 || !self.quick)
        };
        self.peers.iter().filter(fits).cloned().collect()
    }

    /// Measures some sizes, and prints a line for each.
    fn table(&mut self, place: &Place, before: Before, sizes: &[u64]) -> Result<(), String> {
        let heading = match before {
            Before::Cold => "SOURCE not in memory".to_owned(),
            _ => format!("DEST {}", before.name()),
        };
        println!("\n{}, {heading}:\n", place.name);
        for (number, &size) in sizes.iter().enumerate() {
            let cell = self.cell(place, before, size)?;
            if number == 0 {
                println!("| size | times |");
                println!("|---|---|");
            }
            let figures = cell.measured.iter().map(|measured| {
                let mut figure = format!("{} {}", measured.name, time(measured.median()));
                if measured.name.starts_with(MAPCP) {
                    for other in [CP, C] {
                        if let Some(ratio) = cell.ratio(measured.name, other) {
                            figure += &format!(" ×{ratio:.2}");
                        }
                    }
                }
                figure
            });
            let figures: Vec<String> = figures.collect();
            println!("| {} | {} |", name(size), figures.join("; "));
            self.cells.push(cell);
        }
        Ok(())
    }

    /// Measures one size: a first run of each way, which is checked, and then the rounds.
    fn cell(&mut self, place: &Place, before: Before, size: u64) -> Result<Cell, String> {
        let (source, dest) = (place.source(size), place.dest());
        let mut measured = Vec::new();
        let mut peers = Vec::new();
        for peer in self.peers(place, before, size) {
            let _ = fs::remove_file(&dest);
            if before == Before::Present {
                fs::write(&dest, vec![0xA5; size.min(MIB) as usize])
                    .map_err(|error| error.to_string())?;
            }
            match peak::run(peer.command(&source, &dest)) {
                Ok(memory) => {
                    if peer.ours() && !same(&source, &dest).map_err(|error| error.to_string())? {
                        return Err(format!("{}: {} bytes differ", peer.name, size));
                    }
                    measured.push(Measured { name: peer.name, times: Vec::new(), memory });
                    peers.push(peer);
                }
                Err(message) if peer.name == MAPCP => return Err(message),
                Err(message) => {
                    // It is not tried again. The cause comes last in the message.
                    self.peers.retain(|other| other.name != peer.name);
                    let cause = message.rsplit(": ").next().unwrap_or_default();
                    self.notes.push(format!("{} is not measured: {cause}", code(peer.name)));
                }
            }
        }
        place.sync();
        take_precedence(size);

        let mut order: Vec<usize> = (0..peers.len()).collect();
        for round in 0..self.rounds(before, size) {
            for last in (1..order.len()).rev() {
                order.swap(last, self.random.next() as usize % (last + 1));
            }
            for &index in &order {
                let peer = &peers[index];
                if round % peer.every == 0 {
                    self.prepare(place, before, size, peer)?;
                    measured[index].times.push(timed(peer.command(&source, &dest))?);
                }
            }
        }
        let _ = fs::remove_file(&dest);
        Ok(Cell { place: place.name.clone(), before, size, measured })
    }

    /// What is done outside the measured time.
    fn prepare(&self, place: &Place, before: Before, size: u64, peer: &Peer) -> Result<(), String> {
        let dest = place.dest();
        if before == Before::Present {
            // The one before left a whole file: on the disk it is there for some time already.
            let dest = File::open(&dest).and_then(|file| file.sync_all());
            dest.map_err(|error| error.to_string())?;
        } else {
            let _ = fs::remove_file(&dest);
            if size >= SETTLED || before == Before::Cold {
                place.sync();
            }
        }
        if size >= SETTLED {
            take_memory(size + LARGE)?;
        }
        if before == Before::Cold {
            fs::write("/proc/sys/vm/drop_caches", "3").map_err(|error| error.to_string())?;
            // The file is cold, and not the program.
            let (small, copy) = (place.dir.join("small"), place.dir.join("small-copy"));
            fs::write(&small, "s").map_err(|error| error.to_string())?;
            timed(peer.command(&small, &copy))?;
            let _ = fs::remove_file(copy);
            place.sync();
        }
        Ok(())
    }

    /// mapcp and cp alone, with a file that is larger than what the others are measured with.
    fn largest(&mut self, place: &Place) -> Result<(), String> {
        let memory = meminfo("MemAvailable:")?;
        if available(&place.dir)? < 2 * LARGEST + GIB || memory < 2 * LARGEST + GIB {
            let place = &place.name;
            self.notes.push(format!("{} on {place}: too little room", name(LARGEST)));
            return Ok(());
        }
        place.make_source(LARGEST)?;
        let all = self.peers.clone();
        self.peers.retain(|peer| [CP, MAPCP].contains(&peer.name));
        let result = self.table(place, Before::Absent, &[LARGEST]);
        self.peers = all;
        let _ = fs::remove_file(place.source(LARGEST));
        result
    }
}

/// Lets whoever else uses the processors wait, if we may.
///
/// Among ordinary processes who runs is left to run for milliseconds, whatever the priorities: a
/// small copy would be measured by that. A large one waits for threads of the kernel, and these
/// must not wait for it.
fn take_precedence(size: u64) {
    let (policy, sched_priority) =
        if size <= MIB { (libc::SCHED_RR, 1) } else { (libc::SCHED_OTHER, 0) };
    // SAFETY: the structure is read.
    unsafe {
        libc::sched_setscheduler(0, policy, &libc::sched_param { sched_priority });
        libc::setpriority(libc::PRIO_PROCESS, 0, -20);
    }
}

/// Uses memory, in large pages and in small ones, and gives it back: then there is so much that
/// nobody has to be asked for. The host of a virtual machine takes back what is not used, and to
/// ask it again would cost whoever comes first more than a copy does.
fn take_memory(len: u64) -> Result<(), String> {
    [libc::MADV_HUGEPAGE, libc::MADV_NOHUGEPAGE]
        .into_iter()
        .try_for_each(|pages| take_pages(len as usize, pages))
}

fn take_pages(len: usize, pages: libc::c_int) -> Result<(), String> {
    // SAFETY: the kernel chooses a place, and nobody else knows of it.
    let done = unsafe {
        let (prot, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let start = libc::mmap(ptr::null_mut(), len, prot, flags, -1, 0);
        start != libc::MAP_FAILED && {
            libc::madvise(start, len, pages);
            let done = libc::madvise(start, len, libc::MADV_POPULATE_WRITE);
            libc::munmap(start, len);
            done == 0
        }
    };
    if done { Ok(()) } else { Err(format!("memory: {}", io::Error::last_os_error())) }
}

/// Seconds from the process's start to its end.
fn timed(mut command: Command) -> Result<f64, String> {
    let start = Instant::now();
    let status = command.status();
    let time = start.elapsed().as_secs_f64();
    match status {
        Ok(status) if status.success() => Ok(time),
        other => Err(format!("{command:?}: {other:?}")),
    }
}

/// How many times faster than another a way shall be.
struct Bar {
    before: &'static [Before],
    /// On the disk, or else in memory.
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
/// How much longer than in the smallest of `LINEAR` a byte may take in the largest.
const MOST_GROWTH: f64 = 1.25;
const LINEAR: (u64, u64) = (16 * MIB, LARGEST);

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "**does not hold**" }
}

fn range((from, to): (u64, u64)) -> String {
    format!("{} to {}", name(from), name(to))
}

impl Bench {
    fn of(&self, place: &str, before: Before) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.place == place && cell.before == before)
    }

    /// The table of what is asked for, and what was measured.
    fn bars(&self, disk: &str, memory: &str) -> String {
        let mut table = "| what | sizes | where | bar | measured, worst first | |\n\
            |---|---|---|---|---|---|\n"
            .to_owned();
        for bar in BARS {
            let place = if bar.disk { disk } else { memory };
            for &before in bar.before {
                let cells = self.of(place, before);
                let cells = cells.filter(|cell| (bar.sizes.0..=bar.sizes.1).contains(&cell.size));
                let mut ratios: Vec<(f64, u64)> = cells
                    .filter_map(|cell| Some((cell.ratio(bar.ours, bar.other)?, cell.size)))
                    .collect();
                ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
                let holds = match ratios.first() {
                    Some(&(worst, _)) => verdict(worst >= bar.at_least),
                    None => "not measured",
                };
                let figures =
                    ratios.iter().map(|&(ratio, size)| format!("{ratio:.2} ({})", name(size)));
                table += &format!(
                    "| {} by {} | {} | {place}, {} | {:.1} | {} | {holds} |\n",
                    code(bar.ours),
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
                code(name_of),
                name(size),
                verdict(most <= MOST_MEMORY)
            );
        }
        for place in [disk, memory] {
            let time_per_byte = |size| {
                let cell = self.of(place, Before::Absent).find(|cell| cell.size == size)?;
                Some(cell.get(MAPCP)?.median() / size as f64)
            };
            let growth = time_per_byte(LINEAR.1).zip(time_per_byte(LINEAR.0)).map(|(a, b)| a / b);
            let (figure, holds) = match growth {
                Some(growth) => (format!("{growth:.2}"), verdict(growth <= MOST_GROWTH)),
                None => (String::new(), "not measured"),
            };
            table += &format!(
                "| time of a byte, in {} by in {} | | {place}, absent | at most {MOST_GROWTH} | \
                 {figure} | {holds} |\n",
                name(LINEAR.1),
                name(LINEAR.0),
            );
        }
        table
    }

    /// What README.md shows: the plot, and a table of the peers that its readers know.
    fn summary(&self, machine: &Machine, cells: &[&Cell]) -> String {
        let plot = "![Throughput by file size](docs/throughput.svg)";
        let table = table(cells, &[CP, C, MAPCP]);
        format!("{}\n\n{plot}\n\n{table}", machine.sentence())
    }

    /// What docs/benchmarks.md shows.
    fn section(&self, machine: &Machine, cells: &[&Cell], bars: &str) -> String {
        let mut text = machine.sentence();
        text += "\n\n![Throughput by file size](throughput.svg)\n\n\
                 ![Small files](small.svg)\n\n![Resident memory](memory.svg)\n\n";
        text += &table(cells, &[CP, C, "rsync", "xcp", MAP, MAPCP]);
        text += &format!("\nEach bar, and what was measured:\n\n{bars}\n");
        self.notes.iter().for_each(|note| text += &format!("- {note}\n"));
        text
    }

    fn json(&self, machine: &Machine) -> String {
        let Machine { date, kernel, model, processors } = machine;
        let notes = &self.notes;
        let mut rows = Vec::new();
        for Cell { place, before, size, measured } in &self.cells {
            for measured in measured {
                let sorted = measured.sorted();
                let quantiles = [0.0, 0.25, 0.5, 0.75];
                let times = quantiles.map(|part| format!("{:.1}", quantile(&sorted, part) * 1e6));
                rows.push(format!(
                    "    {{\"on\": {place:?}, \"before\": {:?}, \"bytes\": {size}, \
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

/// The medians of these programs for each size, and how many times as fast `mapcp` is as GNU cp
/// and as the exercise.
fn table(cells: &[&Cell], peers: &[&str]) -> String {
    let place = cells.first().map_or("", |cell| &cell.place);
    let mut text = format!("On {place}, SOURCE in the page cache, no DEST:\n\n| size |");
    peers.iter().for_each(|peer| text += &format!(" {} |", code(peer)));
    text += " by GNU cp | by 49-1 in C |\n|---|---|---|";
    peers.iter().for_each(|_| text += "---|");
    text += "\n";
    for cell in cells {
        text += &format!("| {} |", name(cell.size));
        for peer in peers {
            let figure = cell.get(peer).map(|measured| time(measured.median()));
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

struct Machine {
    date: String,
    kernel: String,
    model: String,
    processors: usize,
}

impl Machine {
    fn new() -> Result<Machine, String> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = text(Command::new("uname").arg("-r"))?;
        Ok(Machine {
            date: text(Command::new("date").args(["-u", "+%F"]))?,
            // What a distribution adds says little.
            kernel: kernel.split('-').next().unwrap_or_default().to_owned(),
            model: model.map_or("", |(_, model)| model).trim().to_owned(),
            processors: processors(),
        })
    }

    fn sentence(&self) -> String {
        let Machine { date, kernel, model, processors } = self;
        format!(
            "{} ({model}, {processors} processors), Linux {kernel}, {date}: medians of 9 rounds and \
             more, from a process's start to its end.",
            std::env::consts::ARCH
        )
    }
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Whether two files have the same bytes.
fn same(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let mut blocks = [vec![0; MIB as usize], vec![0; MIB as usize]];
    loop {
        let [of_a, of_b] = &mut blocks;
        let len = a.read(of_a)?;
        b.read_exact(&mut of_b[..len])?;
        if len == 0 || of_a[..len] != of_b[..len] {
            return Ok(len == 0);
        }
    }
}

/// How many bytes a file system has room for.
fn available(dir: &Path) -> Result<u64, String> {
    let table = text(Command::new("df").args(["--block-size=1", "--output=avail"]).arg(dir))?;
    let number = table.lines().last().and_then(|line| line.trim().parse().ok());
    number.ok_or_else(|| format!("df {}: {table}", dir.display()))
}

/// In bytes.
fn meminfo(key: &str) -> Result<u64, String> {
    let table = fs::read_to_string("/proc/meminfo").map_err(|error| error.to_string())?;
    let line = table.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB"));
    let number = line.and_then(|line| line.parse::<u64>().ok());
    Ok(number.ok_or_else(|| format!("/proc/meminfo has no {key}"))? * KIB)
}

/// The bytes of a name like `64KiB`.
fn size(name: &str) -> Option<u64> {
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

pub fn name(size: u64) -> String {
    match size {
        0..KIB => format!("{size} B"),
        KIB..MIB => format!("{} KiB", size / KIB),
        MIB..GIB => format!("{} MiB", size / MIB),
        _ => format!("{} GiB", size / GIB),
    }
}

/// Seconds, with three digits that count.
fn time(seconds: f64) -> String {
    let (value, unit) = if seconds < 1e-3 { (seconds * 1e6, "µs") } else { (seconds * 1e3, "ms") };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// Our own names are commands.
fn code(name: &str) -> String {
    if name.starts_with(MAPCP) { format!("`{name}`") } else { name.to_owned() }
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

/// What a program printed.
fn text(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(text) } else { Err(format!("{command:?}: {}", output.status)) }
}
