//! Shows the progress of a copy on one line of standard error.

use core::{
    ffi::CStr,
    fmt::{self, Write},
};

use baremap::{
    fd::CWD,
    rt::{Decimal, STDERR, eprint},
    syscall::{self, AtFlags, ClockId},
};

use super::args::When;

/// The progress line of one file, or of a tree. Times are in milliseconds of the monotonic clock.
pub struct Progress<'a> {
    when: When,
    dest: &'a CStr,
    /// The time of the first report.
    start: Option<u64>,
    /// The time at which the line is drawn next.
    due: u64,
    is_drawn: bool,
}

/// The time in milliseconds before the line first appears with `--progress=auto`.
const PATIENCE: u64 = 1000;

/// The shortest time in milliseconds between two updates of the line.
const PAUSE: u64 = 100;

impl<'a> Progress<'a> {
    /// Starts without a line.
    pub fn new(when: When, dest: &'a CStr) -> Progress<'a> {
        Progress { when, dest, start: None, due: 0, is_drawn: false }
    }

    /// Reports that `done` bytes were copied, of `total` if the total is known, and of a tree the
    /// number of files.
    pub fn show(&mut self, done: u64, total: Option<u64>, files: Option<u64>) {
        let over = total == Some(done);
        if self.when == When::Never || over && self.when == When::Auto {
            return;
        }
        let Ok(now) = syscall::clock_gettime(ClockId::Monotonic) else { return };
        let now = now.sec as u64 * 1000 + now.nsec as u64 / 1_000_000;
        if self.start.is_none() {
            // The data goes to standard error, and nothing else does.
            if leads_to_stderr(self.dest) || self.when == When::Auto && !is_terminal() {
                self.when = When::Never;
                return;
            }
            if self.when == When::Auto {
                self.due = now + PATIENCE;
            }
        }
        let start = *self.start.get_or_insert(now);
        if now >= self.due || over {
            (self.due, self.is_drawn) = (now + PAUSE, true);
            let line = Line { done, total, files, elapsed: now - start };
            eprint!("\r\x1b[K{line}");
        }
    }

    /// Erases the line, so that other lines can be printed.
    pub fn clear(&mut self) {
        if core::mem::take(&mut self.is_drawn) {
            eprint!("\r\x1b[K");
        }
    }
}

/// The text of the progress line.
struct Line {
    done: u64,
    total: Option<u64>,
    files: Option<u64>,
    elapsed: u64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { done, total, files, elapsed } = *self;
        if let Some(files) = files {
            write!(f, "{} files, ", Decimal::new(files))?;
        }
        Bytes(done).fmt(f)?;
        if let Some(total) = total {
            let percent = Decimal::new((done / (total / 100).max(1)).min(100));
            write!(f, " of {}, {percent} %", Bytes(total))?;
        }
        let rate = if elapsed < PAUSE { 0 } else { done / elapsed * 1000 };
        if rate > 0 {
            write!(f, ", {}/s", Bytes(rate))?;
            if let Some(total) = total {
                write!(f, ", {} s left", Decimal::new((total - done) / rate))?;
            }
        }
        Ok(())
    }
}

/// Returns whether a path leads to the file or the pipe that is standard error.
fn leads_to_stderr(path: &CStr) -> bool {
    let found = syscall::fstatat(CWD, path, AtFlags::empty());
    found.is_ok_and(|found| syscall::fstat(STDERR).is_ok_and(|err| err.is_same_file(&found)))
}

/// Returns whether standard error is a terminal.
fn is_terminal() -> bool {
    let mut state = [0u8; 256]; // Larger than `termios` on every architecture.
    let at = state.as_mut_ptr().expose_provenance();
    // SAFETY: TCGETS writes a `termios`, which is smaller than `state`.
    unsafe { syscall::ioctl(STDERR, linux_raw_sys::ioctl::TCGETS, at) }.is_ok()
}

/// Displays a number of bytes in binary units, with one decimal place.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut whole, mut tenths, mut units) = (self.0, 0, b" KMGTPE".iter());
        let mut unit = units.next();
        while whole >= 1024 {
            (whole, tenths, unit) = (whole >> 10, ((whole & 1023) * 10) >> 10, units.next());
        }
        f.write_str(Decimal::new(whole).as_str())?;
        match unit {
            Some(&letter @ b'A'..) => {
                write!(f, ".{} ", Decimal::new(tenths))?;
                f.write_char(letter.into())?;
                f.write_str("iB")
            }
            _ => f.write_str(" B"),
        }
    }
}
