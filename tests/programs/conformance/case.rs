//! Cases and the assertions in them.

use core::{
    fmt::{self, Debug, Write},
    panic::Location,
};

use baremap::{
    map::Fault,
    rt::Start,
    syscall::{self, Errno},
};

/// A question to the kernel, with a description of the right answer.
pub struct Case {
    pub what: &'static str,
    pub run: fn(Start) -> Outcome,
    /// The reason why the answer differs under qemu-user, and whether it does on this machine.
    pub qemu_user: Option<Excuse>,
}

pub type Excuse = (&'static str, fn() -> bool);

/// An entry of a table of cases: `case!("description", function)`, or `case!("description", start
/// function)` if the function takes [`Start`]. A reason may follow if qemu-user differs, always or
/// `if` a condition holds.
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

/// The reason why a case did not pass.
pub enum Trouble {
    /// An assertion failed.
    Wrong(Text),
    /// The system lacks something that the case needs.
    Missing(&'static str),
}

/// A short text without allocation. Text that does not fit is truncated.
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
        // Only ASCII without line ends, so that the text can be truncated anywhere and stays on the
        // line of the case.
        for byte in text.bytes().map(|b| if b.is_ascii_graphic() { b } else { b' ' }) {
            let Some(room) = self.bytes.get_mut(self.used) else { break };
            *room = byte;
            self.used += 1;
        }
        Ok(())
    }
}

/// Returns a failure that names the file and the line of the caller.
#[track_caller]
pub fn wrong(what: fmt::Arguments<'_>) -> Trouble {
    let mut text = Text::new();
    let caller = Location::caller();
    let file = caller.file().rsplit('/').next().unwrap_or_default();
    let _ = write!(text, "{file} line {}: {what}", caller.line());
    Trouble::Wrong(text)
}

/// The error of a call that should have succeeded, and was followed by `?`.
impl From<Errno> for Trouble {
    #[track_caller]
    fn from(errno: Errno) -> Trouble {
        wrong(format_args!("got {errno:?}, wanted success"))
    }
}

/// The error of a guarded access that should have succeeded, and was followed by `?`.
impl From<Fault> for Trouble {
    #[track_caller]
    fn from(fault: Fault) -> Trouble {
        wrong(format_args!("got {fault:?}, wanted success"))
    }
}

/// Asserts that two values are equal.
#[track_caller]
pub fn same<T: PartialEq + Debug>(got: T, wanted: T) -> Outcome {
    if got == wanted { Ok(()) } else { Err(wrong(format_args!("got {got:?}, wanted {wanted:?}"))) }
}

/// Asserts that a call fails with an error.
#[track_caller]
pub fn fails<T>(result: syscall::Result<T>, wanted: Errno) -> Outcome {
    match result {
        Err(errno) if errno == wanted => Ok(()),
        Err(errno) => Err(wrong(format_args!("got {errno:?}, wanted {wanted:?}"))),
        Ok(_) => Err(wrong(format_args!("got success, wanted {wanted:?}"))),
    }
}

/// Asserts a condition. `what` describes what is wrong if it does not hold.
#[track_caller]
pub fn ensure(so: bool, what: &str) -> Outcome {
    if so { Ok(()) } else { Err(wrong(format_args!("got {what}"))) }
}
