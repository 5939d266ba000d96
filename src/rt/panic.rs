//! Ends a program after a panic.

use core::panic::PanicInfo;

use super::eprintln;
use crate::syscall::{self, Disposition, SaFlags, SigHow, SigSet, Sigaction, Signal};

/// Prints a panic message to standard error and aborts the process with `SIGABRT`.
///
/// The message has the form `PROGRAM: panicked at FILE:LINE:COLUMN: MESSAGE`. The panic handler
/// that [`entry!`](crate::entry) defines calls this function.
pub fn panic(info: &PanicInfo<'_>, program: &str) -> ! {
    match info.location() {
        Some(location) => eprintln!("{program}: panicked at {location}: {}", info.message()),
        None => eprintln!("{program}: panicked: {}", info.message()),
    }
    abort()
}

/// Ends the process with the signal `SIGABRT`, even if the signal is blocked, ignored or handled.
///
/// The first process of a system or PID namespace is not killed by a signal without a handler. It
/// exits with status 134 instead, which is the status that a shell reports for `SIGABRT`. Source:
/// abort(3), pid_namespaces(7).
pub fn abort() -> ! {
    let default = Sigaction {
        disposition: Disposition::Default,
        flags: SaFlags::empty(),
        mask: SigSet::empty(),
    };
    let set = SigSet::empty().with(Signal::ABRT);
    // SAFETY: the function does not return, so no code of this thread relies on the disposition or
    // the mask that is replaced.
    unsafe {
        let _ = syscall::rt_sigaction(Signal::ABRT, Some(&default));
        let _ = syscall::rt_sigprocmask(SigHow::UNBLOCK, Some(&set));
    }
    let _ = syscall::raise(Signal::ABRT);
    syscall::exit_group(128 + Signal::ABRT.0 as i32)
}
