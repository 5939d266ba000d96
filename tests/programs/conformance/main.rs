//! What the kernel does, asked by a program with nothing between: `conformance`.
//!
//! ```text
//! conformance [--qemu-user] [-- WORD...]
//! ```
//!
//! One source for every architecture. Each case is one function, written so that a
//! fault in the architecture's file gives another answer: arguments that are told apart
//! by position, offsets whose halves differ, values kept in registers. Each group is a
//! file, which ends with the table of its cases; `GROUPS` below is the order in which they
//! run.
//!
//! The report is TAP, one line for each case, `# SKIP` with what the system lacks, and a
//! closing line; the exit status is 0 only if no case failed. It begins with the arguments
//! and the environment as the program sees them, for whoever started it to compare.
//!
//! With `--qemu-user` the cases run as ever; those marked as different there are then not
//! counted as failed. Without it nothing is excused.
//!
//! The working directory must be writable. Files are made there, without a name wherever
//! that will do, and removed.
//!
//! Booted as `/init`, it prepares the system and leaves the emulator: `init.rs`.

#![no_std]
#![no_main]
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]

use core::{
    ffi::CStr,
    ptr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use baremap::{
    fd::{AsFd, BorrowedFd, CWD, FromRawFd, OwnedFd},
    rt::{ExitCode, Start, eprintln, println},
    syscall::{
        self, Access, AtFlags, Errno, MapFlags, MemfdFlags, Mode, OFlags, ProtFlags, raw, raw::nr,
    },
};

use case::*;
use resources::*;

// The tables of cases are made by its macro.
#[macro_use]
mod case;
mod init;
mod resources;

mod arguments;
mod faults;
mod file_map;
mod files;
mod guarded_copy;
mod inspection;
mod memory_functions;
mod mm_calls;
mod mm_errors;
mod mmap;
mod model;
mod mremap;
mod offsets;
mod optional_calls;
mod previous_handlers;
mod processes;
mod registers;
mod results;
mod signals;
mod space;
mod start;
mod stat;
mod time_and_limits;

baremap::entry!(main);

/// The groups, in order: a later one relies on what an earlier one has shown.
const GROUPS: &[(&str, &[Case])] = &[
    ("start", start::CASES),
    ("memory functions", memory_functions::CASES),
    ("arguments", arguments::CASES),
    ("results", results::CASES),
    ("registers", registers::CASES),
    ("files", files::CASES),
    ("offsets", offsets::CASES),
    ("stat", stat::CASES),
    ("mmap", mmap::CASES),
    ("mremap", mremap::CASES),
    ("mm calls", mm_calls::CASES),
    ("mm errors", mm_errors::CASES),
    ("optional calls", optional_calls::CASES),
    ("inspection", inspection::CASES),
    ("signals", signals::CASES),
    ("faults", faults::CASES),
    ("processes", processes::CASES),
    ("previous handlers", previous_handlers::CASES),
    ("guarded copy", guarded_copy::CASES),
    ("FileMap", file_map::CASES),
    ("model", model::CASES),
    ("time and limits", time_and_limits::CASES),
    ("space", space::CASES),
];

/// Whether the system calls are qemu-user's.
static EMULATED: AtomicBool = AtomicBool::new(false);

fn main(start: Start) -> ExitCode {
    if !init::is_booted(start) {
        return run(start);
    }
    if let Err(errno) = init::prepare() {
        println!("# the system could not be prepared: {errno:?}");
    }
    init::leave(run(start) == ExitCode::SUCCESS)
}

/// Runs all cases.
fn run(start: Start) -> ExitCode {
    for argument in start.args().skip(1) {
        match argument.to_bytes() {
            b"--" => break,
            b"--qemu-user" => EMULATED.store(true, Relaxed),
            _ => {
                eprintln!("Usage: conformance [--qemu-user] [-- WORD...]");
                return ExitCode(2);
            }
        }
    }
    for (number, word) in start.args().enumerate() {
        println!("# argument {number}: {}", word.to_bytes().escape_ascii());
    }
    for (number, word) in start.env().enumerate() {
        println!("# environment {number}: {}", word.to_bytes().escape_ascii());
    }

    if let Ok(kernel) = init::Kernel::running() {
        println!("# kernel: {kernel}, pages of {} bytes", page());
    }

    let (mut count, mut failed) = (0, 0);
    for (group, cases) in GROUPS {
        for case in *cases {
            count += 1;
            let outcome = (case.run)(start);
            if !report(count, group, case, outcome) {
                failed += 1;
            }
        }
    }
    println!("1..{count}");
    println!("conformance: {count} cases, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the line of one case, and tells whether it counts as passed.
fn report(number: usize, group: &str, case: &Case, outcome: Outcome) -> bool {
    let what = case.what;
    let emulated = EMULATED.load(Relaxed);
    match (outcome, case.qemu_user) {
        (Ok(()), _) => println!("ok {number} - {group}: {what}"),
        (Err(Trouble::Missing(it)), _) => println!("ok {number} - {group}: {what} # SKIP no {it}"),
        (Err(Trouble::Wrong(_)), Some((reason, when))) if emulated && when() => {
            println!("ok {number} - {group}: {what} # qemu-user differs: {reason}");
        }
        (Err(Trouble::Wrong(text)), _) => {
            println!("not ok {number} - {group}: {what} # {}", text.as_str());
            return false;
        }
    }
    true
}
