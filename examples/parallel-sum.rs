//! `parallel-sum FILE`: prints the sum of a file's bytes, which several threads add up.
//!
//! The threads share one map of the file. If another process truncates the file meanwhile, reading
//! fails, and the program is not killed by `SIGBUS`.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

use core::ffi::CStr;

use baremap::{
    fd::AsFd,
    map::FileMap,
    rt::{ExitCode, Start, eprintln, println, thread},
    syscall::{self, Errno, Mode, OFlags},
};

baremap::entry!(main);

/// The largest number of threads.
const THREADS: usize = 16;

fn main(start: Start) -> ExitCode {
    let Some(path) = start.args().nth(1) else {
        eprintln!("Usage: parallel-sum FILE");
        return ExitCode(2);
    };
    match sum_file(path) {
        Ok(sum) => {
            println!("{sum}");
            ExitCode::SUCCESS
        }
        Err(errno) => {
            eprintln!("parallel-sum: {}: {errno}", path.to_bytes().escape_ascii());
            ExitCode::FAILURE
        }
    }
}

/// Maps a file and divides it between as many threads as there are processors.
fn sum_file(path: &CStr) -> Result<u64, Errno> {
    let file = syscall::open(path, OFlags::RDONLY, Mode::empty())?;
    let map = FileMap::new(file.as_fd())?;
    let threads = thread::available_parallelism().min(THREADS);
    let part = map.len().div_ceil(threads);
    let mut sums = [Ok(0); THREADS];
    thread::scope(|scope| {
        let mut handles = [const { None }; THREADS];
        for (index, (sum, handle)) in sums.iter_mut().zip(&mut handles).take(threads).enumerate() {
            let map = &map;
            let begin = (part * index).min(map.len());
            let end = (begin + part).min(map.len());
            *handle = Some(scope.spawn(move || *sum = sum_part(map, begin, end))?);
        }
        Ok::<(), Errno>(()) // dropping the handles waits for the threads
    })?;
    sums.into_iter().sum()
}

/// Adds up the bytes from one offset to another.
fn sum_part(map: &FileMap, begin: usize, end: usize) -> Result<u64, Errno> {
    let mut buffer = [0; 16384];
    let (mut at, mut sum) = (begin, 0);
    while at < end {
        let wanted = (end - at).min(buffer.len());
        let count = map.read_at(&mut buffer[..wanted], at as u64)?;
        if count == 0 {
            break;
        }
        sum += buffer[..count].iter().map(|&byte| u64::from(byte)).sum::<u64>();
        at += count;
    }
    Ok(sum)
}
