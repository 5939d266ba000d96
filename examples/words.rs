//! `words FILE`: prints an index of the words in a file, with the numbers of their lines.
//!
//! The index is a `BTreeMap` of the crate `alloc`. The program uses `baremap::alloc::Allocator` as
//! its global allocator, and needs no libc.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

extern crate alloc;

use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, vec::Vec};
use core::{ffi::CStr, fmt::Write};

use baremap::{
    fd::AsFd,
    rt::{ExitCode, Output, STDOUT, Start, eprintln},
    syscall::{self, Errno, Mode, OFlags},
};

baremap::entry!(main);

#[global_allocator]
static ALLOCATOR: baremap::alloc::Allocator = baremap::alloc::Allocator::new();

fn main(start: Start) -> ExitCode {
    let Some(path) = start.args().nth(1) else {
        eprintln!("Usage: words FILE");
        return ExitCode(2);
    };
    match read(path).and_then(|text| print(&index(&text))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            eprintln!("words: {}: {errno}", path.to_bytes().escape_ascii());
            ExitCode::FAILURE
        }
    }
}

/// Reads a whole file.
fn read(path: &CStr) -> Result<Vec<u8>, Errno> {
    let file = syscall::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let size = syscall::fstat(file.as_fd())?.size;
    let mut text = Vec::with_capacity(size.try_into().map_err(|_| Errno::EOVERFLOW)?);
    let mut piece = [0; 4096];
    loop {
        match syscall::read(file.as_fd(), &mut piece) {
            Ok(0) => return Ok(text),
            Ok(count) => text.extend_from_slice(&piece[..count]),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Returns the words in lower case, with the numbers of the lines that contain them.
fn index(text: &[u8]) -> BTreeMap<String, Vec<usize>> {
    let mut index: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, line) in String::from_utf8_lossy(text).lines().enumerate() {
        let words = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        for word in words {
            let lines = index.entry(word.to_lowercase()).or_default();
            if lines.last() != Some(&(number + 1)) {
                lines.push(number + 1);
            }
        }
    }
    index
}

/// Prints one line for each word.
fn print(index: &BTreeMap<String, Vec<usize>>) -> Result<(), Errno> {
    let mut output = Output::new(STDOUT);
    for (word, lines) in index {
        let mut row = word.to_owned();
        for line in lines {
            // Writing to a `String` does not fail.
            let _ = write!(row, " {line}");
        }
        row.push('\n');
        output.bytes(row.as_bytes());
    }
    output.finish()
}
