//! How far a copy is, on one line.

use core::fmt::{self, Write};

use baremap::{
    rt::{Decimal, STDERR, eprint},
    syscall::{self, ClockId},
};

use super::args::When;

/// The line on standard error. Times are in milliseconds.
pub struct Progress {
    when: When,
    /// When this file was begun.
    start: Option<u64>,
    /// When the line is to be drawn.
    due: u64,
    is_drawn: bool,
}

/// Milliseconds before a line is drawn that nobody has asked for, and between two of them.
const PATIENCE: u64 = 1000;
const PAUSE: u64 = 100;

impl Progress {
    pub fn new(when: When) -> Progress {
        Progress { when, start: None, due: 0, is_drawn: false }
    }

    /// Shows that so much is done, of so much if that is known.
    pub fn show(&mut self, done: u64, total: Option<u64>) {
        let over = total == Some(done);
        if self.when == When::Never || over && self.when == When::Auto {
            return;
        }
        let Ok(now) = syscall::clock_gettime(ClockId::Monotonic) else { return };
        let now = now.sec as u64 * 1000 + now.nsec as u64 / 1_000_000;
        if self.start.is_none() && self.when == When::Auto {
            if !is_terminal() {
                self.when = When::Never;
                return;
            }
            self.due = now + PATIENCE;
        }
        let start = *self.start.get_or_insert(now);
        if now >= self.due || over {
            (self.due, self.is_drawn) = (now + PAUSE, true);
            let line = Line { done, total, elapsed: now - start };
            eprint!("\r\x1b[K{line}");
        }
    }

    /// Removes the line, before anything else is printed.
    pub fn clear(&self) {
        if self.is_drawn {
            eprint!("\r\x1b[K");
        }
    }
}

struct Line {
    done: u64,
    total: Option<u64>,
    elapsed: u64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { done, total, elapsed } = *self;
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

fn is_terminal() -> bool {
    let mut state = [0u8; 256]; // more than any architecture's `termios`
    let at = state.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel fills a structure that is smaller.
    unsafe { syscall::ioctl(STDERR, linux_raw_sys::ioctl::TCGETS, at) }.is_ok()
}

/// A number of bytes for people, with one decimal place.
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
