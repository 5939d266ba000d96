//! The signal handler that turns faults into errors.

use core::ffi::{c_int, c_void};

use baremap::{
    map::guard::{self, Installation, Policy},
    syscall::Errno,
};

use crate::support::{boolean, status};

/// The library installs its signal handler when it is first needed. The default.
pub const BAREMAP_POLICY_INSTALL: c_int = 0;

/// The library installs no signal handler, because a handler of the program calls
/// baremap_on_fault(). Without such a handler, a fault kills the process.
pub const BAREMAP_POLICY_DELEGATE: c_int = 1;

/// The library installs no signal handler, and access that needs one fails with -EPERM.
pub const BAREMAP_POLICY_FORBID: c_int = 2;

/// Installs the signal handler for SIGBUS and SIGSEGV, unless it is installed. Returns 0, or 1 if
/// another handler was installed later for one of the signals. Faults are then errors only if that
/// handler chains to this library's handler or calls baremap_on_fault().
///
/// The other functions install the handler when they are first used. A program calls this function
/// to choose the moment: before a seccomp filter forbids rt_sigaction(2), or before the program
/// installs a handler of its own, which then receives the signals first.
///
/// The handler chains to the previous handler for every fault that is not one of this library. It
/// stays installed, and the shared library stays loaded after dlclose(3).
///
/// Errors:
///
/// * -EPERM if the policy is BAREMAP_POLICY_FORBID.
/// * -EPERM, or another error of the filter, if a seccomp filter forbids rt_sigaction(2) or
///   rt_sigprocmask(2).
#[unsafe(no_mangle)]
pub extern "C" fn baremap_install() -> c_int {
    boolean(guard::install().map(|found| found == Installation::Replaced))
}

/// Returns whether the handler of this library receives SIGBUS and SIGSEGV first.
///
/// It asks the kernel, by two system calls. The result is false before the handler is installed,
/// and after another handler was installed for one of the signals.
#[unsafe(no_mangle)]
pub extern "C" fn baremap_installed() -> bool {
    guard::is_installed()
}

/// Installs the signal handler again if another handler has taken one of the signals since.
///
/// The handler then receives the signals first. What it does not handle goes to the other handler,
/// and if that one chains back to this one, to the handler that was there before. No chain of
/// handlers becomes a circle.
///
/// Errors:
///
/// * -EPERM if the policy is BAREMAP_POLICY_FORBID, and -EBUSY if it is BAREMAP_POLICY_DELEGATE.
/// * -EBUSY if four different handlers have taken the signal before.
/// * -EPERM, or another error of the filter, if a seccomp filter forbids rt_sigaction(2) or
///   rt_sigprocmask(2).
#[unsafe(no_mangle)]
pub extern "C" fn baremap_reinstall() -> c_int {
    status(guard::reinstall())
}

/// Sets who handles the signals of faults: one of the BAREMAP_POLICY_ constants. Call it before
/// other functions are used.
///
/// Errors:
///
/// * -EBUSY if the handler is installed, and `policy` is not BAREMAP_POLICY_INSTALL.
/// * -EINVAL if there is no such policy.
/// * An error of rt_sigprocmask(2) if a seccomp filter forbids it.
#[unsafe(no_mangle)]
pub extern "C" fn baremap_set_policy(policy: c_int) -> c_int {
    status(match policy {
        BAREMAP_POLICY_INSTALL => guard::set_policy(Policy::Install),
        BAREMAP_POLICY_DELEGATE => guard::set_policy(Policy::Delegate),
        BAREMAP_POLICY_FORBID => guard::set_policy(Policy::Forbid),
        _ => Err(Errno::EINVAL),
    })
}

/// Handles the signal of a fault, and returns whether it was one of this library. For signal
/// handlers of the program.
///
/// A handler that is installed after the library's, or in its place, calls this function first with
/// its three arguments, of which `info` is a `siginfo_t *`. It returns at once if the result is
/// true: the access that faulted then continues. If the result is false, nothing has changed, and
/// the handler does what it does for all other faults.
///
/// Install such a handler for SIGBUS and SIGSEGV, with the flags SA_SIGINFO and SA_ONSTACK, and with
/// all signals in its mask. The function is async-signal-safe, and never chains to another handler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_on_fault(
    signal: c_int,
    info: *mut c_void,
    context: *mut c_void,
) -> bool {
    // SAFETY: the caller is a signal handler with these arguments.
    unsafe { guard::on_fault(signal, info.cast(), context) }
}
