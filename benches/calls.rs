//! `cargo bench --bench calls` measures system calls, memory from the kernel, and processes.
//!
//! The figures are medians of the rounds. The ratios are between figures of the same round: how
//! many times as long the other libraries take.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "each call works on files and memory of the bench"
)]

mod common;

use std::{
    fs::{self, File},
    hint::black_box,
    os::fd::{AsRawFd, IntoRawFd},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use baremap::{
    fd::{AsFd, FromRawFd, OwnedFd},
    map::MmapMut,
    rt,
    syscall::{self, ClockId, Whence},
};

const ROUNDS: usize = 21;
const CALLS: u32 = 20_000;
const MAPS: u32 = 500;
const PROCESSES: usize = 301;

/// Does something a number of times.
type Way<'a> = &'a dyn Fn(u32);

/// Returns a closure that evaluates an expression repeatedly.
macro_rules! again {
    ($($what:tt)*) => {
        &|count| {
            for _ in 0..count {
                black_box($($what)*);
            }
        }
    };
}

/// Prints the nanoseconds of one evaluation, and how many times as long the others take.
fn row(what: &str, count: u32, ways: &[Way<'_>]) {
    let times = common::turns(ROUNDS, ways.len(), |way| {
        let start = Instant::now();
        ways[way](count);
        start.elapsed().as_secs_f64() * 1e9 / f64::from(count)
    });
    print_row(what, times);
}

fn print_row(what: &str, times: Vec<Vec<f64>>) {
    let ratios = common::ratios(&times);
    print!("| {what} |");
    for (way, (times, ratio)) in times.into_iter().zip(ratios).enumerate() {
        let time = common::median(times);
        // The ratio is the library's time divided by the other time.
        let ratio = if way == 0 { String::new() } else { format!(" ({:.2})", 1.0 / ratio) };
        print!(" {time:.0}{ratio} |");
    }
    println!();
}

fn calls() {
    println!("One system call, ns, and how many times as long as ours:\n");
    println!("| | baremap | sc | rustix | libc |\n|---|---|---|---|---|");
    let file = File::open("/proc/self/exe").unwrap();
    let raw = file.as_raw_fd();
    let fd = file.try_clone().unwrap().into_raw_fd();
    // SAFETY: cloned for this alone.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let fd = fd.as_fd();
    // SAFETY: `file` is open until the end.
    let theirs = unsafe { rustix::fd::BorrowedFd::borrow_raw(raw) };

    // SAFETY, of all below: calls that use no memory but the structure they fill.
    row(
        "getpid",
        CALLS,
        &[
            again!(syscall::getpid()),
            again!(unsafe { sc::syscall!(GETPID) }),
            again!(rustix::process::getpid()),
            again!(unsafe { libc::getpid() }),
        ],
    );
    row(
        "lseek",
        CALLS,
        &[
            again!(syscall::lseek(fd, 0, Whence::CUR).unwrap()),
            again!(unsafe { sc::syscall!(LSEEK, raw, 0, libc::SEEK_CUR) }),
            again!(rustix::fs::tell(theirs).unwrap()),
            again!(unsafe { libc::lseek(raw, 0, libc::SEEK_CUR) }),
        ],
    );
    row(
        "pread of 0 bytes",
        CALLS,
        &[
            again!(syscall::pread(fd, &mut [], 0).unwrap()),
            again!(unsafe { sc::syscall!(PREAD64, raw, 0, 0, 0) }),
            again!(rustix::io::pread(theirs, &mut [0u8; 0], 0).unwrap()),
            again!(unsafe { libc::pread(raw, std::ptr::null_mut(), 0, 0) }),
        ],
    );
    let by_sc: Way<'_> = again!({
        let mut time = [0i64; 2];
        unsafe { sc::syscall!(CLOCK_GETTIME, libc::CLOCK_MONOTONIC, time.as_mut_ptr()) };
        time
    });
    let by_rustix: Way<'_> = again!(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic));
    let by_libc: Way<'_> = again!({
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
        time.tv_nsec
    });
    let call: Way<'_> = again!(syscall::clock_gettime(ClockId::Monotonic).unwrap());
    let by_vdso: Way<'_> = again!(rt::time::clock_gettime(ClockId::Monotonic).unwrap());
    let calls = "`syscall::clock_gettime` (rustix and libc: no call, the vDSO)";
    row(calls, CALLS, &[call, by_sc, by_rustix, by_libc]);
    let vdso = "`rt::time::clock_gettime`, by the vDSO (sc: the call)";
    row(vdso, CALLS, &[by_vdso, by_sc, by_rustix, by_libc]);
}

/// Writes one byte of each page.
fn touch(memory: &mut [u8]) {
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    black_box(memory);
}

fn rustix_map(len: usize) {
    use rustix::mm::{MapFlags, ProtFlags};
    let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: the kernel chooses a place, nobody else knows of it, and it is used as far as
    // it was mapped, until it is unmapped.
    unsafe {
        let start = rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, prot, flags).unwrap();
        touch(std::slice::from_raw_parts_mut(start.cast(), len));
        rustix::mm::munmap(start, len).unwrap();
    }
}

fn maps() {
    println!("\nMemory mapped, every page of it written, unmapped, ns:\n");
    println!("| | baremap | memmap2 | rustix |\n|---|---|---|---|");
    for (name, len) in [("4 KiB", 4 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        row(
            name,
            MAPS,
            &[
                again!(touch(&mut MmapMut::map_anon(len).unwrap())),
                again!(touch(&mut memmap2::MmapMut::map_anon(len).unwrap())),
                again!(rustix_map(len)),
            ],
        );
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// Compiles the C program that does nothing.
fn nothing_in_c(dir: &Path, name: &str, options: &[&str]) -> PathBuf {
    let program = dir.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/nothing.c");
    run(Command::new("gcc").arg("-O2").args(options).arg("-o").arg(&program).arg(source));
    program
}

fn processes() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(dir).unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--release", "-p", "baremap-examples", "--bin", "nothing"]);
    run(build.current_dir(env!("CARGO_MANIFEST_DIR")));
    let programs = [
        dir.with_file_name("release").join("nothing"),
        nothing_in_c(dir, "spawn", &["-DBARE", "-nostdlib", "-static"]),
        nothing_in_c(dir, "static", &["-static"]),
        nothing_in_c(dir, "dynamic", &[]),
    ];
    let times = common::turns(PROCESSES, programs.len(), |way| {
        let mut command = Command::new(&programs[way]);
        // Cargo's environment names directories in which a dynamic program would search for
        // libraries.
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        let start = Instant::now();
        run(&mut command);
        start.elapsed().as_secs_f64() * 1e9
    });
    println!("\nA process that does nothing, from its start to its end, ns:\n");
    println!("| | baremap | one system call: exit | glibc, static | glibc, dynamic |");
    println!("|---|---|---|---|---|");
    print_row("spawn, main, wait", times);
}

fn main() {
    calls();
    maps();
    processes();
}
