//! The gauntlet: every row stages a real fault, on one file system, for one program.
//!
//! `cargo xtask gauntlet` runs it on every file system that can be made here, and for other
//! architectures, and prints a table with one column for each. `cargo test --test gauntlet` runs
//! one column: that of the file system of the directory `target`.
//!
//!     gauntlet [--list] [--fs KIND] [WORD...]
//!
//! Only rows whose names contain one of the words are run. A file system other than `here` is
//! mounted in a mount namespace of this process, which ends with the process.

#[path = "../common/mod.rs"]
mod common;

mod attributes;
mod changes;
mod clones;
mod command_line;
mod compare;
mod compressed;
mod dests;
mod disk;
mod durable;
mod each_call;
mod fallbacks;
mod fuse;
mod hugetlbfs;
mod kernel_files;
mod late;
mod leases;
mod limits;
mod mounts;
mod notify;
mod odd_sources;
mod options;
mod output;
mod preserve;
mod process;
mod refused;
mod several;
mod signals;
mod sizes;
mod sources;
mod stores;
mod streams;
mod temporaries;
mod test_fs;
mod tree_guards;
mod tree_races;
mod trees;
mod trial;
mod watch;

use std::{
    any::Any,
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    time::Instant,
};

use test_fs::TestFs;

/// A fault with its name.
struct Row {
    name: String,
    body: Box<dyn Fn(&TestFs)>,
}

#[derive(Default)]
pub struct Rows(Vec<Row>);

impl Rows {
    /// Adds a row, which fails by panicking.
    pub fn add(&mut self, name: impl Into<String>, body: impl Fn(&TestFs) + 'static) {
        self.0.push(Row { name: name.into(), body: Box::new(body) });
    }
}

/// The reason why a row does not apply to this file system or program.
struct NotHere(String);

/// Ends a row that does not apply.
pub fn not_here(reason: impl Into<String>) -> ! {
    panic::resume_unwind(Box::new(NotHere(reason.into())))
}

fn rows() -> Vec<Row> {
    let mut rows = Rows::default();
    sources::rows(&mut rows);
    odd_sources::rows(&mut rows);
    compressed::rows(&mut rows);
    clones::rows(&mut rows);
    hugetlbfs::rows(&mut rows);
    sizes::rows(&mut rows);
    dests::rows(&mut rows);
    disk::rows(&mut rows);
    durable::rows(&mut rows);
    attributes::rows(&mut rows);
    process::rows(&mut rows);
    limits::rows(&mut rows);
    changes::rows(&mut rows);
    signals::rows(&mut rows);
    refused::rows(&mut rows);
    fallbacks::rows(&mut rows);
    each_call::rows(&mut rows);
    streams::rows(&mut rows);
    temporaries::rows(&mut rows);
    late::rows(&mut rows);
    leases::rows(&mut rows);
    stores::rows(&mut rows);
    kernel_files::rows(&mut rows);
    notify::rows(&mut rows);
    command_line::rows(&mut rows);
    options::rows(&mut rows);
    trees::rows(&mut rows);
    tree_guards::rows(&mut rows);
    tree_races::rows(&mut rows);
    let mut names: Vec<&str> = rows.0.iter().map(|row| &*row.name).collect();
    names.sort();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "two rows have one name");
    rows.0
}

thread_local! {
    /// The location of the last panic.
    static WHERE: RefCell<String> = const { RefCell::new(String::new()) };
}

fn main() -> ExitCode {
    common::default_signals();
    let mut kind = "here".to_owned();
    let mut list = false;
    let mut words = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--list" => list = true,
            "--fs" => kind = arguments.next().expect("--fs KIND"),
            // Options for `cargo test`, which passes them to every test program.
            "--nocapture" | "--show-output" | "--test-threads=1" => {}
            _ => words.push(argument),
        }
    }
    let mut rows = rows();
    rows.retain(|row| words.is_empty() || words.iter().any(|word| row.name.contains(word)));
    if list {
        for row in &rows {
            println!("{}", row.name);
        }
        return ExitCode::SUCCESS;
    }

    // The release build is tested: a debug build would need a larger stack than some rows give.
    if std::env::var_os("BAREMAP_DIR").is_none() {
        let mapcp = common::release("mapcp");
        // SAFETY: no other thread is there yet.
        unsafe { std::env::set_var("BAREMAP_DIR", mapcp.parent().expect("a file")) };
    }
    let test_fs = match TestFs::new(&kind) {
        Ok(test_fs) => test_fs,
        Err(reason) => {
            println!("# {kind}: not here: {reason}");
            return ExitCode::SUCCESS;
        }
    };
    println!("# {}", test_fs.title());
    panic::set_hook(Box::new(|info| {
        let location = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        WHERE.set(location.unwrap_or_default());
    }));
    let (mut passed, mut failed, mut absent) = (0, 0, 0);
    for row in &rows {
        let start = Instant::now();
        let result = panic::catch_unwind(AssertUnwindSafe(|| (row.body)(&test_fs)));
        let time = start.elapsed().as_secs_f32();
        match result.map_err(|payload| reason(&*payload)) {
            Ok(()) => {
                passed += 1;
                println!("ok      {} ({time:.1} s)", row.name);
            }
            Err(Ok(reason)) => {
                absent += 1;
                println!("n/a     {} | {reason}", row.name);
            }
            Err(Err(message)) => {
                failed += 1;
                println!("FAILED  {} ({time:.1} s)", row.name);
                println!("        {}", WHERE.take());
                for line in message.lines() {
                    println!("        {line}");
                }
            }
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed} passed; {failed} failed; {absent} n/a");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns `Ok` with the reason why a row does not apply, or `Err` with the failure.
fn reason(payload: &(dyn Any + Send)) -> Result<String, String> {
    if let Some(NotHere(reason)) = payload.downcast_ref() {
        return Ok(reason.clone());
    }
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    Err(text.unwrap_or("a panic without a message").to_owned())
}
