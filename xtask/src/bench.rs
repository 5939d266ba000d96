//! `cargo xtask bench` compares mapcp with other programs that copy a file, each as a process.
//!
//! Every program runs in every round, in an order that changes, so that other load on the machine
//! affects all of them alike. Figures are medians of the rounds, and ratios are ratios of medians.

mod measure;
mod tables;

use std::{fs, path::Path, process::ExitCode, ptr, time::Instant};

use crate::{
    measurements::{Before, Cell, GIB, KIB, LARGEST, MIB, Machine, parse_size},
    plot, replace, root,
};

use measure::{Bench, TestFs, available};

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

pub fn bench(words: &[&str]) -> Result<ExitCode, String> {
    let mut quick = false;
    let mut sizes = Vec::new();
    for word in words {
        match *word {
            "--quick" => quick = true,
            _ => sizes.push(parse_size(word).ok_or_else(|| format!("{word}: no size"))?),
        }
    }
    // The documents are written only if everything was measured.
    let whole = !quick && sizes.is_empty();
    if sizes.is_empty() {
        sizes = if quick { QUICK_SIZES.to_vec() } else { SIZES.to_vec() };
    }

    let mut bench = Bench::new(quick)?;
    let start = Instant::now();
    let disk = TestFs::new(root().join("target/bench"))?;
    let shm = Path::new("/dev/shm").join(format!("mapcp-bench-{}", std::process::id()));
    let memory = TestFs::new(shm)?;

    if disk.name == memory.name {
        return Err(format!("target/ is on {}, too: there is no disk to measure", disk.name));
    }

    for test_fs in [&disk, &memory] {
        let room = available(&test_fs.dir)?;
        let largest = sizes.iter().copied().max().unwrap_or_default();
        // There must be room for all sources, and for two more files of the largest size: the old
        // destination and the new one.
        if room < sizes.iter().sum::<u64>() + 2 * largest {
            return Err(format!("{}: too little room", test_fs.dir.display()));
        }
        sizes.iter().try_for_each(|&size| test_fs.make_source(size))?;
        for before in [Before::Absent, Before::Present] {
            bench.table(test_fs, before, &sizes)?;
        }
        if ptr::eq(test_fs, &disk) && !quick {
            let cold: Vec<u64> =
                COLD_SIZES.into_iter().filter(|size| sizes.contains(size)).collect();
            match fs::write("/proc/sys/vm/drop_caches", "3") {
                Ok(()) => bench.table(test_fs, Before::Cold, &cold)?,
                Err(error) => {
                    bench.measurements.notes.push(format!("no cold cache: drop_caches: {error}"))
                }
            }
        }
        for &size in &sizes {
            let _ = fs::remove_file(test_fs.source(size));
        }
        if whole {
            bench.largest(test_fs)?;
        }
    }

    let machine = Machine::new()?;
    let bars = bench.measurements.bars(&disk.name, &memory.name);
    println!("\n{}\n\n{bars}", machine.sentence());
    bench.measurements.notes.iter().for_each(|note| println!("- {note}"));
    println!("\n{:.0} s", start.elapsed().as_secs_f64());
    if whole {
        let docs = root().join("docs");
        let write = |name: &str, text: String| {
            fs::write(docs.join(name), text).map_err(|error| format!("docs/{name}: {error}"))
        };
        write("bench.json", bench.measurements.json(&machine))?;
        let cells: Vec<&Cell> = bench
            .measurements
            .of(&disk.name, Before::Absent)
            .filter(|cell| cell.size < LARGEST)
            .collect();
        write("throughput.svg", plot::throughput(&cells)?)?;
        write("small.svg", plot::small(&cells)?)?;
        write("memory.svg", plot::memory(&cells)?)?;
        replace("README.md", BEGIN, END, &bench.measurements.summary(&machine, &cells))?;
        replace(
            "docs/benchmarks.md",
            BEGIN,
            END,
            &bench.measurements.section(&machine, &cells, &bars),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

const BEGIN: &str = "<!-- The measurements, written by cargo xtask bench: -->\n\n";

const END: &str = "\n<!-- End of the measurements. -->";
