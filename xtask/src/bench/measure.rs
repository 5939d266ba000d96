//! Measures copies, each as a process.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    ptr,
    time::Instant,
};

use crate::{
    cargo,
    command::{output, run},
    install,
    measurements::{
        Before, C, CP, Cell, GIB, KIB, LARGE, LARGEST, MAP, MAPCP, MIB, Measured, Measurements,
        format_program, format_size, format_time, processors,
    },
    peak_rss, root,
};

const LARGEST_ROUNDS: usize = 3;

/// From this size on, dirty pages of a copy and a lack of free memory would slow the next copy.
/// Smaller copies are slowed more by flushing, which empties the processor's caches.
const SETTLED: u64 = 4 * MIB;

/// A program to compare.
#[derive(Clone)]
struct Peer {
    name: &'static str,
    program: PathBuf,
    options: Vec<&'static str>,
    /// The program runs in every `every`th round.
    every: usize,
    /// The smallest size that the program copies.
    from: u64,
}

impl Peer {
    fn command(&self, source: &Path, dest: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.options).arg(source).arg(dest);
        // Cargo's environment names library directories, in which a dynamic program would search
        // first.
        command.env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn ours(&self) -> bool {
        self.name.starts_with(MAPCP)
    }
}

/// A directory on the file system to measure, which is removed when the value is dropped.
pub struct TestFs {
    /// The type of the file system.
    pub name: String,
    pub dir: PathBuf,
}

impl TestFs {
    pub fn new(dir: PathBuf) -> Result<TestFs, String> {
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        // Several file systems may be mounted at one path. The last is the visible one.
        let names = output(Command::new("findmnt").args(["-no", "FSTYPE", "-T"]).arg(&dir))?;
        let name = names.lines().last().unwrap_or_default().to_owned();
        Ok(TestFs { name, dir })
    }

    pub fn source(&self, size: u64) -> PathBuf {
        self.dir.join(format!("source-{size}"))
    }

    fn dest(&self) -> PathBuf {
        self.dir.join("dest")
    }

    /// Creates a file without holes, no two pages of which are equal.
    pub fn make_source(&self, size: u64) -> Result<(), String> {
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
        // SAFETY: the call accesses no memory.
        unsafe { libc::syncfs(dir.as_raw_fd()) };
    }
}

impl Drop for TestFs {
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

/// Measures all cells, one after another.
pub struct Bench {
    peers: Vec<Peer>,
    quick: bool,
    random: Random,
    pub measurements: Measurements,
}

/// Builds and installs the programs to compare.
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
        // By default, rsync skips a destination of the same size and time.
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
        if let Ok(lines) = output(Command::new(program).arg("--version")) {
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
        // The first two have bars to reach. The others are for comparison.
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
            notes
                .push(format!("{} is not measured: {processors} processors", format_program(name)));
        }
    }
    Ok(peers)
}

impl Bench {
    pub fn new(quick: bool) -> Result<Bench, String> {
        let mut notes = Vec::new();
        let peers = peers(&mut notes)?;
        let measurements = Measurements { cells: Vec::new(), notes };
        Ok(Bench { peers, quick, random: Random(1), measurements })
    }

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

    /// Returns the programs that run in a cell: all of them on the disk without a destination, and
    /// fewer elsewhere.
    fn peers(&self, test_fs: &TestFs, before: Before, size: u64) -> Vec<Peer> {
        let few: &[&str] = match before {
            Before::Cold => &[CP, C, MAPCP],
            _ if test_fs.name == "tmpfs" && size >= LARGE => &[CP, C, MAPCP],
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
    pub fn table(&mut self, test_fs: &TestFs, before: Before, sizes: &[u64]) -> Result<(), String> {
        let heading = match before {
            Before::Cold => "SOURCE not in memory".to_owned(),
            _ => format!("DEST {}", before.name()),
        };
        println!("\n{}, {heading}:\n", test_fs.name);
        for (number, &size) in sizes.iter().enumerate() {
            let cell = self.cell(test_fs, before, size)?;
            if number == 0 {
                println!("| size | times |");
                println!("|---|---|");
            }
            let figures = cell.measured.iter().map(|measured| {
                let mut figure = format!("{} {}", measured.name, format_time(measured.median()));
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
            println!("| {} | {} |", format_size(size), figures.join("; "));
            self.measurements.cells.push(cell);
        }
        Ok(())
    }

    /// Measures one size: a first run of each program, whose result is checked, and then the
    /// rounds.
    fn cell(&mut self, test_fs: &TestFs, before: Before, size: u64) -> Result<Cell, String> {
        let (source, dest) = (test_fs.source(size), test_fs.dest());
        let mut measured = Vec::new();
        let mut peers = Vec::new();
        for peer in self.peers(test_fs, before, size) {
            let _ = fs::remove_file(&dest);
            if before == Before::Present {
                fs::write(&dest, vec![0xA5; size.min(MIB) as usize])
                    .map_err(|error| error.to_string())?;
            }
            match peak_rss::measure(peer.command(&source, &dest)) {
                Ok(memory) => {
                    if peer.ours() && !same(&source, &dest).map_err(|error| error.to_string())? {
                        return Err(format!("{}: {} bytes differ", peer.name, size));
                    }
                    measured.push(Measured { name: peer.name, times: Vec::new(), memory });
                    peers.push(peer);
                }
                Err(message) if peer.name == MAPCP => return Err(message),
                Err(message) => {
                    // A program that failed is not tried again. The cause comes last in its
                    // message.
                    self.peers.retain(|other| other.name != peer.name);
                    let cause = message.rsplit(": ").next().unwrap_or_default();
                    self.measurements
                        .notes
                        .push(format!("{} is not measured: {cause}", format_program(peer.name)));
                }
            }
        }
        test_fs.sync();
        take_precedence(size);

        let mut order: Vec<usize> = (0..peers.len()).collect();
        for round in 0..self.rounds(before, size) {
            for last in (1..order.len()).rev() {
                order.swap(last, self.random.next() as usize % (last + 1));
            }
            for &index in &order {
                let peer = &peers[index];
                if round % peer.every == 0 {
                    self.prepare(test_fs, before, size, peer)?;
                    measured[index].times.push(timed(peer.command(&source, &dest))?);
                }
            }
        }
        let _ = fs::remove_file(&dest);
        Ok(Cell { fs: test_fs.name.clone(), before, size, measured })
    }

    /// Prepares a copy, outside of the measured time.
    fn prepare(
        &self,
        test_fs: &TestFs,
        before: Before,
        size: u64,
        peer: &Peer,
    ) -> Result<(), String> {
        let dest = test_fs.dest();
        if before == Before::Present {
            // An existing destination has usually reached the disk some time ago.
            let dest = File::open(&dest).and_then(|file| file.sync_all());
            dest.map_err(|error| error.to_string())?;
        } else {
            let _ = fs::remove_file(&dest);
            if size >= SETTLED || before == Before::Cold {
                test_fs.sync();
            }
        }
        if size >= SETTLED {
            take_memory(size + LARGE)?;
        }
        if before == Before::Cold {
            fs::write("/proc/sys/vm/drop_caches", "3").map_err(|error| error.to_string())?;
            // The program itself is brought back into the page cache, and only the source stays out
            // of it.
            let (small, copy) = (test_fs.dir.join("small"), test_fs.dir.join("small-copy"));
            fs::write(&small, "s").map_err(|error| error.to_string())?;
            timed(peer.command(&small, &copy))?;
            let _ = fs::remove_file(copy);
            test_fs.sync();
        }
        Ok(())
    }

    /// Measures mapcp and cp alone, with a file larger than all others.
    pub fn largest(&mut self, test_fs: &TestFs) -> Result<(), String> {
        let memory = meminfo("MemAvailable:")?;
        if available(&test_fs.dir)? < 2 * LARGEST + GIB || memory < 2 * LARGEST + GIB {
            let fs = &test_fs.name;
            self.measurements
                .notes
                .push(format!("{} on {fs}: too little room", format_size(LARGEST)));
            return Ok(());
        }
        test_fs.make_source(LARGEST)?;
        let all = self.peers.clone();
        self.peers.retain(|peer| [CP, MAPCP].contains(&peer.name));
        let result = self.table(test_fs, Before::Absent, &[LARGEST]);
        self.peers = all;
        let _ = fs::remove_file(test_fs.source(LARGEST));
        result
    }
}

/// Gives this process and its children precedence over others, if permitted.
///
/// An ordinary process keeps its processor for milliseconds, whatever the priorities, which is
/// longer than a small copy. A large copy waits for threads of the kernel, which must not wait for
/// it.
fn take_precedence(size: u64) {
    let (policy, sched_priority) =
        if size <= MIB { (libc::SCHED_RR, 1) } else { (libc::SCHED_OTHER, 0) };
    // SAFETY: the kernel reads the structure.
    unsafe {
        libc::sched_setscheduler(0, policy, &libc::sched_param { sched_priority });
        libc::setpriority(libc::PRIO_PROCESS, 0, -20);
    }
}

/// Uses memory, in large pages and in small ones, and frees it, so that free memory is available
/// for the copy. The host of a virtual machine takes unused memory back, and the first process to
/// use it again would wait for longer than a copy takes.
fn take_memory(len: u64) -> Result<(), String> {
    [libc::MADV_HUGEPAGE, libc::MADV_NOHUGEPAGE]
        .into_iter()
        .try_for_each(|pages| take_pages(len as usize, pages))
}

fn take_pages(len: usize, pages: libc::c_int) -> Result<(), String> {
    // SAFETY: the kernel chooses the address, and no other code uses the mapping.
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

/// Returns the seconds from the start of a process to its end.
fn timed(mut command: Command) -> Result<f64, String> {
    let start = Instant::now();
    let status = command.status();
    let time = start.elapsed().as_secs_f64();
    match status {
        Ok(status) if status.success() => Ok(time),
        other => Err(format!("{command:?}: {other:?}")),
    }
}

/// Returns whether two files have equal contents.
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

/// Returns the free bytes of a file system.
pub fn available(dir: &Path) -> Result<u64, String> {
    let table = output(Command::new("df").args(["--block-size=1", "--output=avail"]).arg(dir))?;
    let number = table.lines().last().and_then(|line| line.trim().parse().ok());
    number.ok_or_else(|| format!("df {}: {table}", dir.display()))
}

/// Returns a value of `/proc/meminfo`, in bytes.
fn meminfo(key: &str) -> Result<u64, String> {
    let table = fs::read_to_string("/proc/meminfo").map_err(|error| error.to_string())?;
    let line = table.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB"));
    let number = line.and_then(|line| line.parse::<u64>().ok());
    Ok(number.ok_or_else(|| format!("/proc/meminfo has no {key}"))? * KIB)
}
