//! How long a large copy takes by the size of the pieces that are written, and how much that varies:
//! `cargo bench --bench pieces -- [DIRECTORY] [MEBIBYTES] [RUNS]`.
//!
//! In a virtual machine whose host takes free memory back, a write of 2 MiB gets large folios that
//! the host must provide again, and a write of small pieces gets memory that was freed just now.
//! The ways are run in random order, and the slowest run says more than the median. The source is
//! read before, so that it is in memory, and all destinations are new files. The defaults are the
//! directory `target`, 1024 MiB and 10 runs.

use std::{
    env,
    ffi::CString,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use baremap::{
    fd::{AsFd, BorrowedFd},
    map::MmapOptions,
    syscall::{self, Advice, Errno, FallocateFlags, Mode, OFlags},
};

/// The number of bytes that are mapped at once, as `mapcp` does.
const WINDOW: usize = 2 << 20;

/// A way to copy `len` bytes.
enum Way {
    /// GNU cp, as a process.
    Cp,
    /// `mapcp`, as a process, with these options.
    Mapcp(&'static [&'static str]),
    /// `pwrite(2)` from a mapping of the source, in pieces of this size.
    Write(usize),
    /// `copy_file_range(2)` in pieces of this size.
    Kernel(usize),
}

impl Way {
    fn name(&self) -> String {
        match self {
            Way::Cp => "cp".into(),
            Way::Mapcp(options) => format!("mapcp {}", options.join(" ")).trim_end().into(),
            Way::Write(piece) => format!("write, {} KiB", piece >> 10),
            Way::Kernel(piece) => format!("kernel, {} KiB", piece >> 10),
        }
    }

    fn copy(&self, mapcp: &Path, source: &Path, dest: &Path, len: usize) -> io::Result<()> {
        match self {
            Way::Cp => run(Command::new("cp").arg(source).arg(dest)),
            Way::Mapcp(options) => {
                run(Command::new(mapcp).arg("-q").args(*options).arg(source).arg(dest))
            }
            Way::Write(piece) => copy(source, dest, len, |from, to, start, len| {
                // SAFETY: no other process writes to the file of this bench.
                let map = unsafe { MmapOptions::new().offset(start as u64).len(len).map(from) };
                let map = map.map_err(|_| Errno::ENOMEM)?;
                // SAFETY: the advice does not change the contents of memory.
                let _ = unsafe {
                    syscall::madvise(map.as_ptr().cast_mut(), map.len(), Advice::POPULATE_READ)
                };
                let mut at = 0;
                for piece in map.chunks(*piece) {
                    assert_eq!(syscall::pwrite(to, piece, (start + at) as u64), Ok(piece.len()));
                    at += piece.len();
                }
                Ok(())
            }),
            Way::Kernel(piece) => copy(source, dest, len, |from, to, start, len| {
                let mut at = start;
                while at < start + len {
                    let wanted = (*piece).min(start + len - at);
                    let offset = at as u64;
                    at += syscall::copy_file_range(from, offset, to, offset, wanted)?;
                }
                Ok(())
            }),
        }
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}

/// Preallocates a new file and copies the windows of the source to it.
fn copy(
    source: &Path,
    dest: &Path,
    len: usize,
    window: impl Fn(BorrowedFd<'_>, BorrowedFd<'_>, usize, usize) -> syscall::Result<()>,
) -> io::Result<()> {
    let open = |path: &Path, flags| {
        let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL in a path");
        let mode = Mode::RUSR | Mode::WUSR;
        syscall::open(&path, flags | OFlags::CLOEXEC, mode)
            .map_err(|e| io::Error::other(e.to_string()))
    };
    let from = open(source, OFlags::RDONLY)?;
    let to = open(dest, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
    let _ = syscall::fallocate(to.as_fd(), FallocateFlags::empty(), 0, len as u64);
    for start in (0..len).step_by(WINDOW) {
        window(from.as_fd(), to.as_fd(), start, WINDOW.min(len - start))
            .map_err(|errno| io::Error::other(errno.to_string()))?;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let dir = words.first().map_or(target.clone(), PathBuf::from);
    let number = |at: usize, default| words.get(at).map_or(default, |word| word.parse().unwrap());
    let (len, runs) = (number(1, 1024) << 20, number(2, 10));
    let mapcp = target.join("release/mapcp");
    let source = dir.join("pieces.source");
    let dest = dir.join("pieces.dest");
    let block: Vec<u8> =
        (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(&source, block.repeat(len >> 20))?;
    run(Command::new("sync").arg(&source))?;

    let sizes = [64, 128, 256, 512, 2048].map(|kib| kib << 10);
    let mut ways: Vec<Way> = sizes.map(Way::Write).into();
    ways.extend([Way::Kernel(256 << 10), Way::Kernel(WINDOW), Way::Cp]);
    ways.extend([Way::Mapcp(&[]), Way::Mapcp(&["-j1"]), Way::Mapcp(&["--method=kernel", "-j1"])]);
    let mut times = vec![Vec::new(); ways.len()];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..runs {
        let mut order: Vec<usize> = (0..ways.len()).collect();
        while !order.is_empty() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let way = order.swap_remove((random % order.len() as u64) as usize);
            let _ = fs::remove_file(&dest);
            let start = Instant::now();
            ways[way].copy(&mapcp, &source, &dest, len)?;
            times[way].push(start.elapsed().as_secs_f64());
        }
    }
    let _ = fs::remove_file(&dest);
    fs::remove_file(&source)?;
    println!("| {} MiB, {runs} runs in random order | fastest | median | slowest |", len >> 20);
    println!("|---|---|---|---|");
    for (way, mut times) in ways.iter().zip(times) {
        times.sort_by(f64::total_cmp);
        let (first, middle, last) = (times[0], times[times.len() / 2], times[times.len() - 1]);
        println!("| {} | {first:.3} s | {middle:.3} s | {last:.3} s |", way.name());
    }
    Ok(())
}
