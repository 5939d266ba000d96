//! `cargo bench --bench guarded -- [copies] [reads] [watches]` measures copies that survive the
//! truncation of their file.
//!
//! The figures are medians of the rounds. The ratios are between figures of the same round.

mod common;

use std::{
    fs::{self, File},
    hint::black_box,
    os::{fd::AsRawFd, unix::fs::FileExt},
    time::Instant,
};

use baremap::{
    fd::BorrowedFd,
    map::{FileMap, GuardedMmap, guard},
};

use common::median;

const ROUNDS: usize = 9;
/// The least number of bytes that each method copies in a round.
const BYTES: usize = 32 << 20;
/// The file's length, which exceeds the processor's caches.
const SIZE: usize = 256 << 20;

/// A method: copies `len` bytes from an offset into the buffer.
type Way<'a> = &'a dyn Fn(&mut [u8], usize);

/// Returns the nanoseconds of one call of each method, and the speed of the first method relative
/// to each. The figures are medians of the rounds.
fn measure(ways: &[Way<'_>], offsets: &[usize], buffer: &mut [u8]) -> (Vec<f64>, Vec<f64>) {
    let times = common::turns(ROUNDS, ways.len(), |way| {
        let start = Instant::now();
        for &offset in offsets {
            ways[way](black_box(buffer), black_box(offset));
        }
        start.elapsed().as_secs_f64() * 1e9 / offsets.len() as f64
    });
    // The ratios are of times, and a speed is the inverse.
    let speeds = common::ratios(&times).into_iter().map(|ratio| 1.0 / ratio).collect();
    (times.into_iter().map(median).collect(), speeds)
}

/// Returns the offsets of the reads in a round.
fn offsets(len: usize, room: usize, random: bool) -> Vec<usize> {
    let count = (BYTES / len).clamp(16, 1 << 17);
    let mut state = 1u64;
    let mut next = |index: usize| {
        if !random {
            return index * len % (room - len + 1);
        }
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 16) as usize % (room - len + 1)
    };
    (0..count).map(&mut next).collect()
}

fn name(len: usize) -> String {
    match len {
        0..1024 => format!("{len} B"),
        1024..1048576 => format!("{} KiB", len >> 10),
        _ => format!("{} MiB", len >> 20),
    }
}

/// Offsets of the buffer within a page. The relative alignment of source and destination matters to
/// processors, so a method is measured with each. The result is the median and the worst ratio.
const SKEWS: [usize; 5] = [0, 16, 100, 1033, 2048];

fn row(what: &str, ways: &[Way<'_>], len: usize, room: usize, random: bool) {
    let mut memory = vec![0; len + 2 * 4096];
    let start = memory.as_ptr().align_offset(4096);
    let offsets = offsets(len, room, random);
    let (mut times, mut ratios) = (vec![Vec::new(); ways.len()], vec![Vec::new(); ways.len()]);
    for skew in SKEWS {
        let buffer = &mut memory[start + skew..][..len];
        let (some_times, some_ratios) = measure(ways, &offsets, buffer);
        for way in 0..ways.len() {
            times[way].push(some_times[way]);
            ratios[way].push(some_ratios[way]);
        }
    }
    print!("| {what} | {} | {} |", name(len), if random { "random" } else { "sequential" });
    times.into_iter().for_each(|times| print!(" {:.0} |", median(times)));
    for ratios in ratios.into_iter().skip(1) {
        let worst = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        print!(" {:.2} ({worst:.2}) |", median(ratios));
    }
    println!();
}

/// Copies of memory, by a guarded copy and by memcpy.
fn copies() {
    println!("A copy of memory, ns for one call:\n");
    println!("| | size | order | `guard::copy` | memcpy | speed by memcpy's (worst) |");
    println!("|---|---|---|---|---|---|");
    let source = vec![1u8; 64 << 20];
    let short = [16, 24, 32, 48, 64, 100, 128, 200, 256, 384, 512, 768, 1 << 10];
    let long = [4 << 10, 16 << 10, 64 << 10, 1 << 20];
    for (what, room) in [("in the caches", 64 << 10), ("in memory", source.len())] {
        for len in short.into_iter().chain(long) {
            for random in [false, true] {
                if len > room {
                    continue;
                }
                let guarded: Way<'_> = &|buffer, offset| {
                    let from = source[offset..][..buffer.len()].as_ptr();
                    // SAFETY: both ends are so long, and the buffer is ours.
                    let copied = unsafe { guard::copy(from, buffer.as_mut_ptr(), buffer.len()) };
                    assert!(copied.is_ok());
                    black_box(&*buffer); // the program uses the bytes
                };
                let memcpy: Way<'_> = &|buffer, offset| {
                    buffer.copy_from_slice(&source[offset..][..buffer.len()]);
                    black_box(&*buffer);
                };
                row(what, &[guarded, memcpy], len, room, random);
            }
        }
    }
}

/// Reads of a file, by a map, by pread(2), and from a slice of another library.
fn reads() {
    println!("\nA file in the page cache, ns for one read:\n");
    println!(
        "| | size | order | `FileMap::read_at` | pread | slice of memmap2 | \
         speed by pread's (worst) | by memmap2's (worst) |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let file = temporary(&vec![7u8; SIZE]);
    let map = map(&file);
    // SAFETY: nobody else has the file.
    let slice = unsafe { memmap2::Mmap::map(file.as_raw_fd()).unwrap() };
    for len in [16, 64, 256, 1 << 10, 4 << 10, 1 << 20] {
        for random in [false, true] {
            let read_at: Way<'_> = &|buffer, offset| {
                let len = buffer.len();
                assert!(map.read_at(buffer, offset as u64).is_ok_and(|count| count == len));
                black_box(&*buffer); // the program uses the bytes
            };
            let pread: Way<'_> = &|buffer, offset| {
                file.read_exact_at(buffer, offset as u64).unwrap();
                black_box(&*buffer);
            };
            let memmap2: Way<'_> = &|buffer, offset| {
                buffer.copy_from_slice(&slice[offset..][..buffer.len()]);
                black_box(&*buffer);
            };
            row("", &[read_at, pread, memmap2], len, SIZE, random);
        }
    }
}

/// What it costs to lend one map as a slice while others are watched, and to watch one more.
fn watches() {
    println!("\nWhile so many other maps are watched, ns:\n");
    println!(
        "| maps | a `with_slice` that does nothing | `check` | a map made, lent and dropped |"
    );
    println!("|---|---|---|---|");
    let file = temporary(&[7; 100]);
    let mut others = Vec::new();
    for count in [0, 1, 1000, 10_000] {
        // SAFETY: nobody changes the file.
        others.resize_with(count, || unsafe { GuardedMmap::new(map(&file)) }.unwrap());
        let lent = map(&file);
        let lend = |map: &FileMap| {
            // SAFETY: nobody changes the file.
            assert_eq!(unsafe { map.with_slice(|bytes| black_box(bytes).len()) }, Ok(100));
        };
        let ways: [&dyn Fn(); 3] =
            [&|| lend(black_box(&lent)), &|| assert_eq!(black_box(&lent).check(), Ok(())), &|| {
                lend(&map(&file))
            }];
        let times = common::turns(ROUNDS, ways.len(), |way| {
            let times = if way == 2 { 1000 } else { 100_000 };
            let start = Instant::now();
            (0..times).for_each(|_| ways[way]());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(times)
        });
        let [lend, check, make] =
            <[f64; 3]>::try_from(times.into_iter().map(median).collect::<Vec<_>>()).unwrap();
        println!("| {count} | {lend:.1} | {check:.1} | {make:.0} |");
    }
}

fn temporary(contents: &[u8]) -> File {
    let path = std::env::temp_dir().join(format!("bench-guarded-{}", std::process::id()));
    fs::write(&path, contents).unwrap();
    let file = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    file
}

fn map(file: &File) -> FileMap {
    // SAFETY: the file stays open during the call.
    FileMap::new(unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }).unwrap()
}

/// Runs the parts that the arguments name, or all.
fn main() {
    guard::install().unwrap();
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for (name, part) in [("copies", copies as fn()), ("reads", reads), ("watches", watches)] {
        if words.is_empty() || words.iter().any(|word| word == name) {
            part();
        }
    }
}
