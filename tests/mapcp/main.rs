//! `mapcp` as a process: what it prints, how it exits, and what is on the disk afterwards.

#[path = "../common/mod.rs"]
mod common;

use std::{
    fs::{self, File},
    os::unix::{
        fs::{FileExt, MetadataExt, PermissionsExt, symlink},
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use common::{
    Scratch,
    case::{self, case},
    copied, noise, outcome, program, run_program as run,
};
use object::Architecture;
use proptest::prelude::*;
use rustix::{fs::OFlags, io::Errno};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq, SeccompCondition,
    SeccompFilter, SeccompRule,
};

mod contents;
mod destination;
mod fallbacks;
mod messages;

fn mapcp(source: impl AsRef<Path>, dest: impl AsRef<Path>) -> (String, String, Option<i32>) {
    run(program("mapcp").arg(source.as_ref()).arg(dest.as_ref()))
}

/// Makes the kernel refuse a system call, or only those calls in which all bits of `flags` are set
/// in one of the arguments.
fn refuse(command: &mut Command, call: usize, flags: Option<(u8, u32)>, errno: Errno) {
    let rule = flags.map(|(argument, bits)| {
        let bits = u64::from(bits);
        let condition = SeccompCondition::new(argument, Dword, MaskedEq(bits), bits).unwrap();
        SeccompRule::new(vec![condition]).unwrap()
    });
    let rules = [(call as i64, rule.into_iter().collect())].into();
    let refusal = SeccompAction::Errno(errno.raw_os_error() as u32);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    // SAFETY: the closure makes two system calls, and nothing of it was locked by another
    // thread.
    unsafe {
        command.pre_exec(move || {
            seccompiler::apply_filter(&filter).map_err(|_| std::io::ErrorKind::Other.into())
        })
    };
}
