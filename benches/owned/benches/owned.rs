//! What a `GuardedMmap` costs code that reads it as a slice, beside memmap2's `Mmap`.
//!
//! `cargo bench -p baremap-bench-owned` prints, for each task, nanoseconds (medians of the rounds, in
//! which both take turns) and how fast `GuardedMmap` is by memmap2's `Mmap` (the median of the
//! rounds' ratios). Each task ends with a `check`.

#[path = "../../common/mod.rs"]
mod common;

use std::{
    fs::{self, File},
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use baremap::map::{FileMap, GuardedMmap};
use common::median;

const ROUNDS: usize = 21;

/// Measures two ways, of which each does its task `times` times, and prints a row.
fn row(what: &str, times: u32, guarded: &dyn Fn(), memmap2: &dyn Fn()) {
    let ways = [guarded, memmap2];
    let figures = common::turns(ROUNDS, ways.len(), |way| {
        let start = Instant::now();
        (0..times).for_each(|_| ways[way]());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(times)
    });
    let speed = 1.0 / common::ratios(&figures)[1];
    let [guarded, memmap2] = [0, 1].map(|way| median(figures[way].clone()));
    println!("| {what} | {guarded:.0} | {memmap2:.0} | {speed:.3} |");
}

fn file(name: &str, contents: &[u8]) -> File {
    let path = std::env::temp_dir().join(format!("bench-owned-{}-{name}", std::process::id()));
    fs::write(&path, contents).unwrap();
    let file = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    file
}

fn maps(file: &File) -> (GuardedMmap, memmap2::Mmap) {
    // SAFETY: the file has no name any more, and nobody else has it open.
    unsafe {
        let guarded = GuardedMmap::new(FileMap::new(file).unwrap()).unwrap();
        (guarded, memmap2::Mmap::map(file).unwrap())
    }
}

/// Makes a database in MaxMind's format: 65,536 networks, each with a record of two strings.
/// Source: the "MaxMind DB File Format Specification", version 2.0.
fn database() -> Vec<u8> {
    fn string(to: &mut Vec<u8>, text: &str) {
        to.push(2 << 5 | u8::try_from(text.len()).unwrap()); // at most 28 bytes
        to.extend_from_slice(text.as_bytes());
    }
    const NODES: u32 = (1 << 16) - 1;
    let (mut data, mut places) = (Vec::new(), Vec::new());
    for number in 0..1000 {
        places.push(data.len() as u32);
        data.push(7 << 5 | 2); // a map of two pairs
        string(&mut data, "country");
        string(&mut data, &format!("country {number}"));
        string(&mut data, "city");
        string(&mut data, &format!("city {number}"));
    }
    let mut database = Vec::new();
    for node in 0..NODES {
        for child in [2 * node + 1, 2 * node + 2] {
            let record = match child {
                0..NODES => child,
                // After the nodes come 16 zero bytes, and after them the data.
                _ => NODES + 16 + places[child as usize * 7 % places.len()],
            };
            database.extend_from_slice(&record.to_be_bytes()[1..]);
        }
    }
    database.extend_from_slice(&[0; 16]);
    database.extend_from_slice(&data);
    database.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    database.push(7 << 5 | 9);
    let number = |to: &mut Vec<u8>, name: &str, kind: u8, value: u32| {
        string(to, name);
        // Kinds from 8 on are in a second byte, from which 7 is subtracted.
        match kind {
            9 => to.extend_from_slice(&[4, 2]),
            kind => to.push(kind << 5 | 4),
        }
        to.extend_from_slice(&value.to_be_bytes());
    };
    string(&mut database, "binary_format_major_version");
    database.extend_from_slice(&[5 << 5 | 1, 2]);
    string(&mut database, "binary_format_minor_version");
    database.push(5 << 5);
    number(&mut database, "build_epoch", 9, 1);
    string(&mut database, "database_type");
    string(&mut database, "bench");
    string(&mut database, "description");
    database.push(7 << 5);
    string(&mut database, "ip_version");
    database.extend_from_slice(&[5 << 5 | 1, 4]);
    string(&mut database, "languages");
    database.extend_from_slice(&[0, 4]); // an array of no elements
    number(&mut database, "node_count", 6, NODES);
    string(&mut database, "record_size");
    database.extend_from_slice(&[5 << 5 | 1, 24]);
    database
}

fn lookups() {
    let (guarded, memmap2) = maps(&file("database", &database()));
    let readers = (
        maxminddb::Reader::from_source(guarded.clone()).unwrap(),
        maxminddb::Reader::from_source(memmap2).unwrap(),
    );
    let addresses: Vec<IpAddr> = (0..10_000_u32)
        .map(|number| IpAddr::V4(Ipv4Addr::from(number.wrapping_mul(2_654_435_761))))
        .collect();
    macro_rules! look_up {
        ($reader:expr, $address:expr) => {{
            let found = $reader.lookup($address).unwrap();
            let found: Option<std::collections::BTreeMap<&str, &str>> = found.decode().unwrap();
            assert_eq!(black_box(found).unwrap().len(), 2);
        }};
    }
    row(
        "10,000 lookups of maxminddb, each with a `check`",
        1,
        &|| {
            for &address in &addresses {
                look_up!(readers.0, address);
                assert!(guarded.check().is_ok());
            }
        },
        &|| addresses.iter().for_each(|&address| look_up!(readers.1, address)),
    );
}

fn main() {
    println!("| | `GuardedMmap`, ns | memmap2's `Mmap`, ns | speed by memmap2's |");
    println!("|---|---|---|---|");
    lookups();
    let (guarded, memmap2) = maps(&file("bytes", &vec![7; 1 << 30]));
    row(
        "memchr for a byte that 1 GiB does not have",
        1,
        &|| assert!(memchr::memchr(1, &guarded).is_none() && guarded.check().is_ok()),
        &|| assert_eq!(memchr::memchr(1, &memmap2), None),
    );
    row(
        "BLAKE3 of 1 GiB",
        1,
        &|| {
            black_box(blake3::hash(&guarded));
            assert!(guarded.check().is_ok());
        },
        &|| {
            black_box(blake3::hash(&memmap2));
        },
    );
}
