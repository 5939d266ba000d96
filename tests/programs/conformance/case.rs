//! What a case is made of, and the assertions that end it.

use core::{
    fmt::{self, Debug, Write},
    panic::Location,
};

use baremap::{
    map::Fault,
    rt::Start,
    syscall::{self, Errno},
};

/// One question, and what a right answer shows.
pub struct Case {
    pub what: &'static str,
    pub run: fn(Start) -> Outcome,
    /// Why the answer is another one under qemu-user, and whether it is on this machine.
    pub qemu_user: Option<Excuse>,
}

pub type Excuse = (&'static str, fn() -> bool);

/// A case of the table: `case!("what it shows", function)`; `start function` if it takes
/// [`Start`]; and a reason if qemu-user differs, everywhere or `if` some condition holds.
macro_rules! case {
    ($what:literal, start $run:path $(, qemu_user: $reason:literal $(, if $when:expr)?)?) => {
        Case { what: $what, run: $run, qemu_user: case!(@ $($reason $(, $when)?)?) }
    };
    ($what:literal, $run:path $(, qemu_user: $reason:literal $(, if $when:expr)?)?) => {
        Case { what: $what, run: |_| $run(), qemu_user: case!(@ $($reason $(, $when)?)?) }
    };
    (@) => { None };
    (@ $reason:literal) => { Some(($reason, || true)) };
    (@ $reason:literal, $when:expr) => { Some(($reason, || $when)) };
}

pub type Outcome = Result<(), Trouble>;

/// Why a case did not pass.
pub enum Trouble {
    /// Something was otherwise than wanted.
    Wrong(Text),
    /// The system lacks what the case needs.
    Missing(&'static str),
}

/// A short text without allocation. What does not fit is cut off.
pub struct Text {
    bytes: [u8; 110],
    used: usize,
}

impl Text {
    pub const fn new() -> Text {
        Text { bytes: [0; 110], used: 0 }
    }

    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.used).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or("?")
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nothing but ASCII without line ends, so that it can be cut anywhere and stays on
        // the case's line.
        for byte in text.bytes().map(|b| if b.is_ascii_graphic() { b } else { b' ' }) {
            let Some(room) = self.bytes.get_mut(self.used) else { break };
            *room = byte;
            self.used += 1;
        }
        Ok(())
    }
}

/// A failure that names the file and the line of the caller.
#[track_caller]
pub fn wrong(what: fmt::Arguments<'_>) -> Trouble {
    let mut text = Text::new();
    let caller = Location::caller();
    let file = caller.file().rsplit('/').next().unwrap_or_default();
    let _ = write!(text, "{file} line {}: {what}", caller.line());
    Trouble::Wrong(text)
}

/// A call that was to succeed, and was followed by `?`.
impl From<Errno> for Trouble {
    #[track_caller]
    fn from(errno: Errno) -> Trouble {
        wrong(format_args!("got {errno:?}, wanted success"))
    }
}

/// A guarded access that was to succeed, and was followed by `?`.
impl From<Fault> for Trouble {
    #[track_caller]
    fn from(fault: Fault) -> Trouble {
        wrong(format_args!("got {fault:?}, wanted success"))
    }
}

/// Both are the same.
#[track_caller]
pub fn same<T: PartialEq + Debug>(got: T, wanted: T) -> Outcome {
    if got == wanted { Ok(()) } else { Err(wrong(format_args!("got {got:?}, wanted {wanted:?}"))) }
}

/// The call fails, and with this error.
#[track_caller]
pub fn fails<T>(result: syscall::Result<T>, wanted: Errno) -> Outcome {
    match result {
        Err(errno) if errno == wanted => Ok(()),
        Err(errno) => Err(wrong(format_args!("got {errno:?}, wanted {wanted:?}"))),
        Ok(_) => Err(wrong(format_args!("got success, wanted {wanted:?}"))),
    }
}

/// It is so; `what` says what is wrong if not.
#[track_caller]
pub fn ensure(so: bool, what: &str) -> Outcome {
    if so { Ok(()) } else { Err(wrong(format_args!("got {what}"))) }
}
