//! `mapcp` copies files by mapping them, without libc.

#![no_std]
#![no_main]
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]

mod args;
mod bloom_filter;
mod progress;
mod tree;

use core::{ffi::CStr, fmt};

use args::{Settings, UsageError};
use baremap::{
    copy::{self, Action, Cause, Error, Path, ProcessControl, TreeCopy},
    fd::CWD,
    rt::{self, Decimal, ExitCode, STDOUT, Start, eprintln},
    syscall::{self, AtFlags, Errno, FileType, SigHow, SigSet, Signal},
};
use bloom_filter::BloomFilter;
use progress::Progress;

baremap::entry!(main);

/// The help text, which `cargo xtask manual --update` writes together with the manual page.
const HELP: &str = include_str!("help.txt");

const VERSION: &str = concat!("mapcp ", env!("CARGO_PKG_VERSION"), "\n");

/// The exit status after an error in the command line.
const USAGE: ExitCode = ExitCode(2);

fn main(start: Start) -> ExitCode {
    // SIGXFSZ and SIGPIPE are blocked, so that write(2) fails with EFBIG or EPIPE instead. All
    // other signals are unblocked: the parent may have blocked SIGBUS, which the guarded copy
    // needs.
    let signals = SigSet::empty().with(Signal::XFSZ).with(Signal::PIPE);
    // SAFETY: no other code of the program relies on the signal mask.
    let _ = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&signals)) };

    // The arguments are parsed twice, because the program has no allocator to keep a list of names.
    let (mut count, mut last) = (0u64, c"");
    let mut settings = match arguments(start, &mut |name| (count, last) = (count + 1, name)) {
        Ok(settings) => settings,
        Err(wrong) => return usage(format_args!("{wrong}")),
    };
    // SAFETY: this program has one thread, waits for no children of its own, does not use
    // MADV_DONTFORK or MADV_WIPEONFORK, and relies on no signal's action.
    settings.tree.file.process = Some(unsafe { ProcessControl::new() });
    if settings.help || settings.version {
        let text = if settings.help { HELP } else { VERSION };
        return done(rt::write_all(STDOUT, text.as_bytes()));
    }
    // With -t, all operands are sources.
    let sources = if settings.target.is_some() { count } else { count.saturating_sub(1) };
    let last = settings.target.unwrap_or(last);
    if sources == 0 {
        return usage(format_args!("SOURCE and DEST are required"));
    }
    if settings.no_target && (sources > 1 || settings.target.is_some()) {
        return usage(format_args!("-T takes one SOURCE and DEST"));
    }
    let options = tree::options(&settings);
    let mut totals = Totals::new(settings);
    if sources > 1
        && let Err(errno) = check_directory(last)
    {
        let path = Path { base: last, name: None };
        totals.fail(Error { action: Action::CopyTo, path, cause: errno.into() });
        return totals.result;
    }
    let mut tree = match settings.is_tree.then(|| tree::prepare(&options, &settings, last)) {
        None => None,
        Some(Ok(tree)) => Some(tree),
        Some(Err(error)) => {
            totals.fail(error);
            return totals.result;
        }
    };

    let mut names = BloomFilter::new();
    let mut number = 0;
    let _ = arguments(start, &mut |source| {
        if number < sources {
            let name = copy::last(source);
            let is_known = sources > 1 && names.may_have(name) && is_earlier(start, name, number);
            // Directories with one name are merged.
            if is_known && !(tree.is_some() && check_directory(source).is_ok()) {
                let path = Path { base: last, name: Some(name) };
                totals.fail(Error { action: Action::CopyTo, path, cause: Cause::JustCopied });
            } else if totals.copy(tree.as_mut(), source, last) {
                names.add(name);
            }
        }
        number += 1;
    });
    totals.finish(sources)
}

/// Parses the command line by [`args::parse`]. Calls `operand` with each operand.
#[inline(never)]
fn arguments(
    start: Start,
    operand: &mut dyn FnMut(&'static CStr),
) -> Result<Settings<'static>, UsageError<'static>> {
    let mut arguments = start.args();
    let _own_name = arguments.next();
    args::parse(&mut arguments, operand)
}

/// Returns whether the last component of one of the first `count` operands is `name`.
#[cold]
fn is_earlier(start: Start, name: &CStr, mut count: u64) -> bool {
    let mut found = false;
    let _ = arguments(start, &mut |operand| {
        found |= count > 0 && copy::last(operand) == name;
        count = count.saturating_sub(1);
    });
    found
}

/// Fails with `ENOTDIR` if a path is not a directory's.
fn check_directory(path: &CStr) -> syscall::Result<()> {
    match syscall::fstatat(CWD, path, AtFlags::empty())?.file_type() {
        FileType::Directory => Ok(()),
        _ => Err(Errno::ENOTDIR),
    }
}

/// The options, what has been copied so far, and the exit status.
struct Totals<'a> {
    settings: Settings<'a>,
    /// Whether the sources may be directories.
    is_tree: bool,
    progress: Progress,
    files: u64,
    bytes: u64,
    failures: u64,
    result: ExitCode,
}

impl<'a> Totals<'a> {
    fn new(settings: Settings<'a>) -> Totals<'a> {
        let is_tree = settings.tree.recursive;
        let progress = Progress::new(settings.progress);
        let result = ExitCode::SUCCESS;
        Totals { settings, is_tree, progress, files: 0, bytes: 0, failures: 0, result }
    }

    /// Copies one source, by `tree` if the options ask for more than a regular file. Returns whether
    /// it succeeded.
    #[inline(never)]
    fn copy(&mut self, tree: Option<&mut TreeCopy<'_>>, source: &CStr, dest: &CStr) -> bool {
        let Some(tree) = tree else { return self.copy_file(source, dest) };
        let before = self.failures;
        if !self.is_tree {
            self.progress = Progress::new(self.settings.progress);
        }
        tree.copy(source, self);
        self.progress.clear();
        self.failures == before
    }

    /// Copies one file, and prints a line for it if that was asked for. Returns whether it
    /// succeeded.
    #[inline(never)]
    fn copy_file(&mut self, source: &CStr, dest: &CStr) -> bool {
        let mut progress = Progress::new(self.settings.progress);
        let mut watch = |done, total| progress.show(done, total, None);
        let copied = copy::copy(&self.settings.tree.file, source, dest, &mut watch);
        progress.clear();
        let copied = match copied {
            Ok(copied) => copied,
            Err(error) => {
                self.fail(error);
                return false;
            }
        };
        if copied.method.is_some() {
            self.files += 1;
            self.bytes += copied.bytes;
        }
        if self.settings.verbose {
            let (from, to) = (Path { base: source, name: None }, copied.path);
            let bytes = Decimal::new(copied.bytes);
            match copied.method {
                Some(method) => {
                    self.print(format_args!("{from} -> {to} ({bytes} bytes, {method})\n"));
                }
                None => self.print(format_args!("{from} -> {to} (left unchanged)\n")),
            }
        }
        true
    }

    /// Prints the totals, and returns the exit status.
    fn finish(mut self, sources: u64) -> ExitCode {
        let bytes = Decimal::new(self.bytes);
        if (sources, self.files, self.is_tree) == (1, 1, false) {
            self.print(format_args!("Copied {bytes} bytes\n"));
        } else if sources > 1 || self.result == ExitCode::SUCCESS {
            // If the only source failed, its error message is all there is to say.
            let files = Decimal::new(self.files);
            self.print(format_args!("Copied {files} files, {bytes} bytes\n"));
        }
        self.result
    }

    /// Prints to standard output, unless `--quiet` was given.
    #[inline(never)]
    fn print(&mut self, text: fmt::Arguments<'_>) {
        if !self.settings.quiet && done(rt::print(STDOUT, text)) != ExitCode::SUCCESS {
            self.result = ExitCode::FAILURE;
            // Standard output is broken, so further lines would only repeat the error.
            self.settings.quiet = true;
        }
    }

    /// Prints an error, and makes the exit status 1.
    #[cold]
    fn fail(&mut self, error: Error<'_>) {
        complain(format_args!("{error}"));
        self.result = ExitCode::FAILURE;
    }
}

/// Returns the exit status after printing. A line that could not be printed is a failure, because a
/// script may rely on the output.
#[inline(never)]
fn done(printed: syscall::Result<()>) -> ExitCode {
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            complain(format_args!("cannot write to standard output: {errno}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints one line with the program's name to standard error.
#[cold]
#[inline(never)]
fn complain(text: fmt::Arguments<'_>) {
    eprintln!("mapcp: {text}");
}

/// Prints an error in the command line, and returns its exit status.
#[cold]
#[inline(never)]
fn usage(text: fmt::Arguments<'_>) -> ExitCode {
    complain(format_args!("{text} (mapcp --help)"));
    USAGE
}
