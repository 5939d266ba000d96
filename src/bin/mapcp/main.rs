//! `mapcp` copies files by mapping them, without libc.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

mod args;
mod names;
mod progress;

use core::{
    ffi::CStr,
    fmt,
    mem::ManuallyDrop,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use args::{Settings, UsageError};
use baremap::{
    copy::{
        self, Action, Cause, Error, Follow, Observer, Options, Path, ProcessControl, TreeCopy, What,
    },
    fd::{BorrowedFd, CWD},
    rt::{self, Decimal, ExitCode, STDERR, STDIN, STDOUT, Start, eprintln},
    syscall::{self, AtFlags, Errno, FileType, SigHow, SigSet, Signal},
};
use names::Names;
use progress::Progress;

baremap::entry!(main);

/// The help text, which `cargo xtask manual --update` writes together with the manual page.
const HELP: &str = include_str!("help.txt");

const VERSION: &str = concat!("mapcp ", env!("CARGO_PKG_VERSION"), "\n");

/// Whether the program was called by the name `cp`. Its messages and exit status are those of cp then.
static IS_CP: AtomicBool = AtomicBool::new(false);

/// Returns the name in messages.
fn own_name() -> &'static str {
    if IS_CP.load(Relaxed) { "cp" } else { "mapcp" }
}

fn main(start: Start) -> ExitCode {
    // SIGXFSZ and SIGPIPE are blocked, so that write(2) fails with EFBIG or EPIPE instead. All
    // other signals are unblocked: the parent may have blocked SIGBUS, which the guarded copy
    // needs.
    let signals = SigSet::empty().with(Signal::XFSZ).with(Signal::PIPE);
    // SAFETY: no other code of the program relies on the signal mask.
    let _ = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&signals)) };

    let is_cp = start.args().next().is_some_and(|name| copy::last(name) == c"cp");
    IS_CP.store(is_cp, Relaxed);
    // The arguments are parsed twice, because the program has no allocator to keep a list of names.
    let (mut count, mut last) = (0u64, c"");
    let mut settings = Settings::default();
    let parsed = parse(start, &mut settings, &mut |name| (count, last) = (count + 1, name));
    if let Err(wrong) = parsed {
        return usage(format_args!("{wrong}"));
    }
    if settings.help || settings.version {
        let text = if settings.help { HELP } else { VERSION };
        return done(rt::write_all(STDOUT, text.as_bytes()));
    }
    // SAFETY: this program has one thread, waits for no children of its own, does not use
    // MADV_DONTFORK or MADV_WIPEONFORK, and relies on no signal's action.
    settings.tree.file.process = Some(unsafe { ProcessControl::new() });
    settings.complete();
    let settings = &settings;
    // With -t, all operands are sources.
    let mut sources = count;
    let mut is_directory = settings.target.is_some();
    if !is_directory {
        sources = count.saturating_sub(1);
    }
    if sources == 0 {
        return usage(format_args!("SOURCE and DEST are required"));
    }
    if settings.no_target && (sources > 1 || is_directory) {
        return usage(format_args!("-T takes one SOURCE and DEST"));
    }
    // As DEST, `-` is standard output, except for cp, which makes a file with this name.
    if last == c"-" && !is_cp {
        last = c"/dev/stdout";
    }
    let dest = settings.target.unwrap_or(last);
    let mut totals = Totals {
        settings,
        dest,
        is_quiet: settings.quiet,
        progress: Progress::new(settings.progress, dest),
        files: 0,
        bytes: 0,
        failures: 0,
        result: ExitCode::SUCCESS,
    };
    if !settings.no_target && !is_directory {
        match check_directory(dest, AtFlags::empty()) {
            Ok(()) => is_directory = true,
            Err(errno) if sources > 1 => {
                totals.fail(&Error::new(Action::CopyTo, path(dest), errno.into()));
                return totals.result;
            }
            Err(_) => {}
        }
    }
    // The program ends soon, so the memory and the descriptors are not released.
    let mut tree = ManuallyDrop::new(match is_directory {
        true => TreeCopy::into_directory(&settings.tree, dest),
        false => TreeCopy::to_path(&settings.tree, dest),
    });

    let mut names = ManuallyDrop::new(if sources > 1 { Names::new(sources) } else { None });
    let follow = match settings.tree.follow {
        Follow::Never => AtFlags::SYMLINK_NOFOLLOW,
        _ => AtFlags::empty(),
    };
    let mut number = 0;
    operands(start, &mut |source| {
        if number < sources {
            let name = copy::last(source);
            let is_copied = match &mut *names {
                Some(names) => names.contains(name),
                // Without memory for the names, those of all earlier sources are compared.
                None => sources > 1 && is_earlier(start, name, number),
            };
            // Directories with one name are merged.
            let is_merged = || settings.tree.recursive && check_directory(source, follow).is_ok();
            if is_copied && !is_merged() {
                let path = Path { base: dest, name: Some(name) };
                totals.fail(&Error::new(Action::CopyTo, path, Cause::JustCopied));
            } else if totals.copy(&mut tree, source)
                && let Some(names) = &mut *names
            {
                names.add(name);
            }
        }
        number += 1;
    });
    if !is_cp {
        totals.finish(sources);
    }
    totals.result
}

/// Parses the command line by [`args::parse`]. Calls `operand` with each operand.
#[inline(never)]
fn parse(
    start: Start,
    settings: &mut Settings<'static>,
    operand: &mut dyn FnMut(&'static CStr),
) -> Result<(), UsageError<'static>> {
    let mut arguments = start.args();
    let _own_name = arguments.next();
    args::parse(settings, &mut arguments, operand)
}

/// Calls `operand` with each operand of the command line, which was parsed without an error before.
#[inline(never)]
fn operands(start: Start, operand: &mut dyn FnMut(&'static CStr)) {
    let _ = parse(start, &mut Settings::default(), operand);
}

/// Returns whether the last component of one of the first `count` operands is `name`.
#[cold]
fn is_earlier(start: Start, name: &CStr, mut count: u64) -> bool {
    let mut found = false;
    operands(start, &mut |operand| {
        found |= count > 0 && copy::last(operand) == name;
        count = count.saturating_sub(1);
    });
    found
}

/// Fails with `ENOTDIR` if a path is not a directory's.
#[inline(never)]
fn check_directory(path: &CStr, flags: AtFlags) -> syscall::Result<()> {
    match syscall::fstatat(CWD, path, flags)?.file_type() {
        FileType::Directory => Ok(()),
        _ => Err(Errno::ENOTDIR),
    }
}

/// Returns a path for a message.
fn path(base: &CStr) -> Path<'_> {
    Path { base, name: None }
}

/// The options, what has been copied so far, and the exit status.
struct Totals<'a> {
    settings: &'a Settings<'a>,
    dest: &'a CStr,
    /// Nothing but errors is printed.
    is_quiet: bool,
    progress: Progress<'a>,
    files: u64,
    bytes: u64,
    failures: u64,
    result: ExitCode,
}

impl Totals<'_> {
    /// Copies one source. Returns whether it succeeded.
    #[inline(never)]
    fn copy(&mut self, tree: &mut TreeCopy<'_>, source: &CStr) -> bool {
        let before = self.failures;
        if !self.settings.tree.recursive {
            self.progress = Progress::new(self.settings.progress, self.dest);
        }
        tree.copy(source, self);
        self.progress.clear();
        self.failures == before
    }

    /// Prints the totals.
    fn finish(&mut self, sources: u64) {
        let is_tree = self.settings.tree.recursive;
        let bytes = Decimal::new(self.bytes);
        if (sources, self.files, is_tree) == (1, 1, false) {
            self.print(format_args!("Copied {bytes} bytes\n"));
        } else if sources > 1 || self.files > 0 || self.result == ExitCode::SUCCESS {
            // If the only file failed, its error message is all there is to say.
            let files = Decimal::new(self.files);
            let plural = |count: u64| if count == 1 { "" } else { "s" };
            let (file_s, byte_s) = (plural(self.files), plural(self.bytes));
            self.print(format_args!("Copied {files} file{file_s}, {bytes} byte{byte_s}\n"));
        }
    }

    /// Prints to standard output, unless `--quiet` was given.
    #[inline(never)]
    fn print(&mut self, text: fmt::Arguments<'_>) {
        if !self.is_quiet && done(rt::print(STDOUT, text)) != ExitCode::SUCCESS {
            self.result = ExitCode::FAILURE;
            // Standard output is broken, so further lines would only repeat the error.
            self.is_quiet = true;
        }
    }

    /// Prints an error, and makes the exit status 1.
    #[cold]
    fn fail(&mut self, error: &Error<'_>) {
        complain(format_args!("{error}{}", hint(error, &self.settings.tree.file)));
        self.failures += 1;
        self.result = ExitCode::FAILURE;
    }
}

impl Observer for Totals<'_> {
    fn failed(&mut self, error: &Error<'_>) {
        self.progress.clear();
        self.fail(error);
    }

    fn done(&mut self, from: &Path<'_>, to: &Path<'_>, what: &What<'_>) {
        let is_cp = IS_CP.load(Relaxed);
        let word = match what {
            What::File(copied) => {
                // Nothing is printed into a destination, which may be a file or a pipe that is also
                // standard output.
                if copied.existing.is_some() && copied.existing == identity(STDOUT) {
                    self.is_quiet = true;
                }
                match copied.method {
                    Some(method) => {
                        self.files += 1;
                        self.bytes += copied.bytes;
                        if self.settings.verbose && !is_cp {
                            self.progress.clear();
                            let bytes = Decimal::new(copied.bytes);
                            let how = if copied.in_place { ", in place" } else { "" };
                            self.print(format_args!(
                                "{from} -> {to} ({bytes} bytes, {method}{how})\n"
                            ));
                            return;
                        }
                        ""
                    }
                    None => UNCHANGED,
                }
            }
            What::HardLink => "hard link",
            What::Symlink => "symbolic link",
            What::Directory => "directory",
            What::Special => "special file",
            _ => UNCHANGED,
        };
        if matches!(what, What::HardLink | What::Symlink | What::Special) {
            self.files += 1;
        }
        if self.settings.verbose && is_cp && word != UNCHANGED {
            self.progress.clear();
            self.print(format_args!("{from} -> {to}\n"));
        } else if self.settings.verbose && !is_cp {
            self.progress.clear();
            self.print(format_args!("{from} -> {to} ({word})\n"));
        }
    }

    fn progress(&mut self, done: u64, total: Option<u64>) {
        // The total is that of one file. That of a tree is not known.
        match self.settings.tree.recursive {
            true => self.progress.show(self.bytes + done, None, Some(self.files)),
            false => self.progress.show(done, total, None),
        }
    }

    fn may_replace(&mut self, dest: &Path<'_>) -> bool {
        self.progress.clear();
        let _ = rt::print(STDERR, format_args!("{}: overwrite {dest}? ", own_name()));
        let (mut answer, mut byte) = (None, [0]);
        // Standard input may be shared with other programs, so no more than the line is read.
        while let Ok(1) = syscall::read(STDIN, &mut byte) {
            let [byte] = byte;
            if byte == b'\n' {
                break;
            }
            answer.get_or_insert(byte);
        }
        matches!(answer, Some(b'y' | b'Y'))
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
    eprintln!("{}: {text}", own_name());
}

/// Prints an error in the command line, and returns its exit status.
#[cold]
#[inline(never)]
fn usage(text: fmt::Arguments<'_>) -> ExitCode {
    complain(format_args!("{text} ({} --help)", own_name()));
    ExitCode(if IS_CP.load(Relaxed) { 1 } else { 2 })
}

/// The word for a file that was not copied, because the options keep the existing one.
const UNCHANGED: &str = "left unchanged";
