//! `mapcp` copies files by mapping them, without libc.

#![no_std]
#![no_main]
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]

mod args;
mod names;
mod progress;
mod tree;

use core::{ffi::CStr, fmt};

use args::{Settings, UsageError};
use baremap::{
    copy::{self, Action, Cause, Error, Options, Path, ProcessControl, TreeCopy},
    fd::{BorrowedFd, CWD},
    rt::{self, Decimal, ExitCode, STDOUT, Start, eprintln},
    syscall::{self, AtFlags, Errno, FileType, SigHow, SigSet, Signal},
};
use names::Names;
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
    let is_cp = start.args().next().is_some_and(|name| copy::last(name) == c"cp");
    // As DEST, `-` is standard output, except for cp, which makes a file with this name.
    let is_stdout = last == c"-" && settings.target.is_none() && !is_cp;
    let last = if is_stdout { c"/dev/stdout" } else { last };
    let options = tree::options(&settings);
    let mut totals = Totals::new(settings, last, !is_cp);
    if sources > 1
        && let Err(errno) = check_directory(last)
    {
        let path = Path { base: last, name: None };
        totals.fail(Error::new(Action::CopyTo, path, errno.into()));
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

    let mut names = if sources > 1 { Names::new(sources) } else { None };
    let mut number = 0;
    let _ = arguments(start, &mut |source| {
        if number < sources {
            let name = copy::last(source);
            let is_copied = match &mut names {
                Some(names) => names.contains(name),
                // Without memory for the names, those of all earlier sources are compared.
                None => sources > 1 && is_earlier(start, name, number),
            };
            // Directories with one name are merged.
            if is_copied && !(tree.is_some() && check_directory(source).is_ok()) {
                let path = Path { base: last, name: Some(name) };
                totals.fail(Error::new(Action::CopyTo, path, Cause::JustCopied));
            } else if totals.copy(tree.as_mut(), source, last)
                && let Some(names) = &mut names
            {
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
    /// Whether a summary is printed at the end.
    summary: bool,
    /// Whether the sources may be directories.
    is_tree: bool,
    progress: Progress<'a>,
    files: u64,
    bytes: u64,
    failures: u64,
    result: ExitCode,
}

impl<'a> Totals<'a> {
    fn new(settings: Settings<'a>, dest: &'a CStr, summary: bool) -> Totals<'a> {
        let is_tree = settings.tree.recursive;
        let progress = Progress::new(settings.progress, dest);
        let result = ExitCode::SUCCESS;
        Totals { settings, summary, is_tree, progress, files: 0, bytes: 0, failures: 0, result }
    }

    /// Copies one source, by `tree` if the options ask for more than a regular file. Returns whether
    /// it succeeded.
    #[inline(never)]
    fn copy(&mut self, tree: Option<&mut TreeCopy<'_>>, source: &CStr, dest: &'a CStr) -> bool {
        let Some(tree) = tree else { return self.copy_file(source, dest) };
        let before = self.failures;
        if !self.is_tree {
            self.progress = Progress::new(self.settings.progress, dest);
        }
        tree.copy(source, self);
        self.progress.clear();
        self.failures == before
    }

    /// Copies one file, and prints a line for it if that was asked for. Returns whether it
    /// succeeded.
    #[inline(never)]
    fn copy_file(&mut self, source: &CStr, dest: &CStr) -> bool {
        let mut progress = Progress::new(self.settings.progress, dest);
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
        // Nothing is printed into a destination, which may be a file or a pipe that is also standard
        // output.
        if copied.existing.is_some() && copied.existing == identity(STDOUT) {
            self.settings.quiet = true;
        }
        if self.settings.verbose {
            let (from, to) = (Path { base: source, name: None }, copied.path);
            let bytes = Decimal::new(copied.bytes);
            match copied.method {
                Some(method) => {
                    let how = if copied.in_place { ", in place" } else { "" };
                    self.print(format_args!("{from} -> {to} ({bytes} bytes, {method}{how})\n"));
                }
                None => self.print(format_args!("{from} -> {to} (left unchanged)\n")),
            }
        }
        true
    }

    /// Prints the totals, and returns the exit status.
    fn finish(mut self, sources: u64) -> ExitCode {
        let bytes = Decimal::new(self.bytes);
        if !self.summary {
            return self.result;
        }
        if (sources, self.files, self.is_tree) == (1, 1, false) {
            self.print(format_args!("Copied {bytes} bytes\n"));
        } else if sources > 1 || self.files > 0 || self.result == ExitCode::SUCCESS {
            // If the only file failed, its error message is all there is to say.
            let files = Decimal::new(self.files);
            let plural = |count: u64| if count == 1 { "" } else { "s" };
            let (file_s, byte_s) = (plural(self.files), plural(self.bytes));
            self.print(format_args!("Copied {files} file{file_s}, {bytes} byte{byte_s}\n"));
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
        complain(format_args!("{error}{}", hint(&error, &self.settings.tree.file)));
        self.result = ExitCode::FAILURE;
    }
}

/// Returns what would work instead of a copy that failed, or the empty string.
#[cold]
fn hint(error: &Error<'_>, options: &Options) -> &'static str {
    let is_full = matches!(error.cause, Cause::Errno(Errno::ENOSPC | Errno::EDQUOT));
    match error.action {
        Action::Copy if error.cause == Cause::Errno(Errno::EISDIR) => "; -r copies directories",
        Action::CreateBeside | Action::Name | Action::KeepOwner | Action::SetMode
            if options.atomic =>
        {
            if error.replaces {
                "; --in-place writes into it"
            } else {
                "; --atomic forbids the rest"
            }
        }
        Action::Write | Action::Reserve | Action::CreateBeside | Action::Name
            if is_full && error.replaces =>
        {
            "; --in-place needs no room for both files"
        }
        _ => "",
    }
}

/// Returns the device and the inode number of an open file.
fn identity(file: BorrowedFd<'_>) -> Option<(u64, u64)> {
    syscall::fstat(file).ok().map(|stat| (stat.dev, stat.ino))
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
