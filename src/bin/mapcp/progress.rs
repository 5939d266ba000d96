//! How far a copy is, on one line.

use core::fmt;

use baremap::{
    Decimal, eprint,
    rt::STDERR,
    syscall::{self, ClockId, Timespec},
};

use super::args::When;

/// The line on standard error.
pub struct Progress {
    when: When,
    /// When this file was begun.
    start: Option<Timespec>,
    /// When the line was last drawn, in milliseconds after that.
    drawn: Option<u64>,
}

/// Milliseconds before a line is drawn that nobody has asked for, and between two of them.
const PATIENCE: u64 = 1000;
const PAUSE: u64 = 100;

impl Progress {
    pub fn new(when: When) -> Progress {
        Progress { when, start: None, drawn: None }
    }

    /// Shows that so much is done, of so much if that is known.
    pub fn show(&mut self, done: u64, total: Option<u64>) {
        let over = total == Some(done);
        if self.when == When::Never || over && self.when == When::Auto {
            return;
        }
        if self.when == When::Auto && self.start.is_none() && !is_terminal() {
            self.when = When::Never;
            return;
        }
        let Ok(now) = syscall::clock_gettime(ClockId::Monotonic) else { return };
        let elapsed = since(*self.start.get_or_insert(now), now);
        let due = match self.drawn {
            Some(drawn) => elapsed >= drawn + PAUSE || over,
            None => elapsed >= PATIENCE || self.when == When::Always,
        };
        if due {
            self.drawn = Some(elapsed);
            draw(done, total, elapsed);
        }
    }

    /// Removes the line, before anything else is printed, or another file is begun.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            eprint!("\r\x1b[K");
        }
        self.start = None;
    }
}

#[cold]
fn draw(done: u64, total: Option<u64>, elapsed: u64) {
    let rate = if elapsed < PAUSE { 0 } else { done / elapsed * 1000 };
    eprint!("\r\x1b[K{}", Bytes(done));
    if let Some(total) = total {
        let percent = Decimal::new((done / (total / 100).max(1)).min(100));
        eprint!(" of {}, {percent} %", Bytes(total));
    }
    if rate > 0 {
        eprint!(", {}/s", Bytes(rate));
        if let Some(total) = total {
            eprint!(", {} s left", Decimal::new((total - done) / rate));
        }
    }
}

/// Milliseconds between two times.
fn since(start: Timespec, now: Timespec) -> u64 {
    let nanoseconds = (now.sec - start.sec) * 1_000_000_000 + now.nsec - start.nsec;
    (nanoseconds / 1_000_000) as u64
}

fn is_terminal() -> bool {
    let mut state = [0u8; 256]; // more than any architecture's `termios`
    let at = state.as_mut_ptr() as usize;
    // SAFETY: the kernel fills a structure that is smaller.
    unsafe { syscall::ioctl(STDERR, linux_raw_sys::ioctl::TCGETS, at) }.is_ok()
}

/// A number of bytes for people, with one decimal place.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut whole, mut tenths, mut unit) = (self.0, 0, "B");
        for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
            if whole < 1024 {
                break;
            }
            (whole, tenths, unit) = (whole >> 10, (whole & 1023) * 10 >> 10, larger);
        }
        f.write_str(Decimal::new(whole).as_str())?;
        if unit != "B" {
            f.write_str(".")?;
            f.write_str(Decimal::new(tenths).as_str())?;
        }
        f.write_str(" ")?;
        f.write_str(unit)
    }
}
