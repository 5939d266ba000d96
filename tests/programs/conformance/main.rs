//! Asks the kernel, case by case, whether calls and mappings do what the documentation says.
//!
//! ```text
//! conformance [--qemu-user] [--group NAME] [-- WORD...]
//! ```
//!
//! One source serves every architecture. Each case is a function that gives another answer if an
//! architecture's file has a fault: arguments can be told apart by their position, the halves of
//! offsets differ, values are kept in registers. Each group is a file that ends with the table of
//! its cases. `GROUPS` has the order in which they run.
//!
//! The report is TAP: a line for each case, with `# SKIP` if the system lacks something, and a
//! closing line. The exit status is 0 only if no case failed. The report begins with the arguments
//! and the environment as the program received them, so that the caller can compare them.
//!
//! With `--qemu-user`, a failed case does not count if it is marked as different there. Otherwise
//! every failure counts. With `--group`, only the cases of that group run.
//!
//! The working directory must be writable. The program creates files in it, without a name where
//! that suffices, and removes them.
//!
//! Booted as `/init`, the program prepares the system and ends the emulator: see `init.rs`.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

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

// The tables of cases use its macro.
#[macro_use]
mod case;
mod init;
mod resources;

mod arguments;
mod directories;
mod faults;
mod file_map;
mod files;
mod guarded_copy;
mod guarded_map;
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
mod threads;
mod time_and_limits;
mod vdso;

baremap::entry!(main);

/// The groups, in the order in which they run. A later group relies on calls that an earlier one
/// has checked.
const GROUPS: &[(&str, &[Case])] = &[
    ("start", start::CASES),
    ("memory functions", memory_functions::CASES),
    ("arguments", arguments::CASES),
    ("results", results::CASES),
    ("registers", registers::CASES),
    ("files", files::CASES),
    ("offsets", offsets::CASES),
    ("stat", stat::CASES),
    ("directories", directories::CASES),
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
    ("guarded map", guarded_map::CASES),
    ("model", model::CASES),
    ("time and limits", time_and_limits::CASES),
    ("vdso", vdso::CASES),
    ("threads", threads::CASES),
    ("space", space::CASES),
];

/// Whether qemu-user emulates the system calls.
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
    let mut groups = GROUPS;
    let mut arguments = start.args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_bytes() {
            b"--" => break,
            b"--qemu-user" => EMULATED.store(true, Relaxed),
            b"--group" => match arguments.next().and_then(group) {
                Some(group) => groups = group,
                None => return usage(),
            },
            _ => return usage(),
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
    for (group, cases) in groups {
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

fn usage() -> ExitCode {
    eprintln!("Usage: conformance [--qemu-user] [--group NAME] [-- WORD...]");
    ExitCode(2)
}

/// Returns the part of [`GROUPS`] that is the group of this name.
fn group(name: &CStr) -> Option<&'static [(&'static str, &'static [Case])]> {
    let index = GROUPS.iter().position(|(group, _)| group.as_bytes() == name.to_bytes())?;
    GROUPS.get(index..=index)
}

/// Prints the line of a case. Returns whether it counts as passed.
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
