//! Questions to the kernel about this process, and threads for which the kernel refuses calls.

#![allow(dead_code, reason = "no test uses all of it")]

use std::{fs, ops::Range, thread};

use baremap::syscall::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule};

/// Returns the kernel's number for any error of the library.
pub fn errno(error: impl Into<Errno>) -> Errno {
    error.into()
}

/// Runs a function in a thread for which the kernel refuses a call, or those calls to which a rule
/// applies.
pub fn refusing(call: u32, rules: Vec<SeccompRule>, errno: Errno, body: impl FnOnce() + Send) {
    let refusal = SeccompAction::Errno(errno.number().into());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let rules = [(call.into(), rules)].into();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            seccompiler::apply_filter(&filter).unwrap();
            body();
        });
    });
}

/// Returns the lines of `/proc/self/smaps` for the mapping at an address, beginning with its
/// addresses and its file. Returns `None` if nothing is mapped there.
pub fn mapping(at: *const u8) -> Option<String> {
    // A file of another test may have a name that is not UTF-8.
    let smaps = fs::read("/proc/self/smaps").unwrap();
    let smaps = String::from_utf8_lossy(&smaps);
    let range = |line: &str| -> Option<Range<usize>> {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some(number(start)?..number(end)?)
    };
    let mut found: Option<String> = None;
    for line in smaps.lines() {
        match (range(line), &mut found) {
            (Some(_), Some(_)) => break,
            (Some(range), None) if range.contains(&at.addr()) => found = Some(line.to_owned()),
            (None, Some(found)) => *found += &format!("\n{line}"),
            _ => {}
        }
    }
    found
}

/// Returns the value of a line of `/proc/self/smaps` for the mapping at an address. The mapping may
/// be larger than what the test has mapped, because the kernel merges equal neighbours.
pub fn smaps(address: *const u8, line: &str) -> String {
    let lines = mapping(address).unwrap();
    lines.lines().find_map(|found| Some(found.strip_prefix(line)?.trim().to_owned())).unwrap()
}

/// Returns whether the mapping at an address has a flag, given by its two letters in proc(5).
pub fn flagged(address: *const u8, flag: &str) -> bool {
    smaps(address, "VmFlags:").split_whitespace().any(|other| other == flag)
}
