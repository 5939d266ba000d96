//! The end of a program that cannot go on.

use core::panic::PanicInfo;

use super::eprintln;
use crate::syscall::{self, Disposition, SaFlags, SigHow, SigSet, Sigaction, Signal};

/// Prints the name of the program, the file and the line, and the message, and aborts.
pub fn panic(info: &PanicInfo<'_>, program: &str) -> ! {
    match info.location() {
        Some(location) => eprintln!("{program}: panicked at {location}: {}", info.message()),
        None => eprintln!("{program}: panicked: {}", info.message()),
    }
    abort()
}

/// Ends the process by `SIGABRT`, whatever has been done about that signal.
///
/// The first process of a system does not get signals for which it has no handler:
/// it exits, with the status that a shell would show, 134.
pub fn abort() -> ! {
    let default = Sigaction {
        disposition: Disposition::Default,
        flags: SaFlags::empty(),
        mask: SigSet::empty(),
    };
    let set = SigSet::empty().with(Signal::ABRT);
    // SAFETY: nothing of the program is left to rely on its signals.
    unsafe {
        let _ = syscall::rt_sigaction(Signal::ABRT, Some(&default));
        let _ = syscall::rt_sigprocmask(SigHow::UNBLOCK, Some(&set));
    }
    let _ = syscall::raise(Signal::ABRT);
    syscall::exit_group(128 + Signal::ABRT.0 as i32)
}
