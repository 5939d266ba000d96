//! The end of a program that cannot go on.

use core::panic::PanicInfo;

use crate::syscall::{self, Disposition, SaFlags, SigHow, SigSet, Sigaction, Signal};

/// Says what happened, in which file and line, and aborts.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(location) => crate::eprintln!("panicked at {location}: {}", info.message()),
        None => crate::eprintln!("panicked: {}", info.message()),
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
