//! The signal handler that turns faults into errors.

use core::ffi::c_int;

use baremap::map::guard;

use crate::support::status;

/// Installs the signal handler for SIGBUS and SIGSEGV. A no-op if it was installed before.
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
/// * -EPERM, or another error of the filter, if a seccomp filter forbids rt_sigaction(2) or
///   rt_sigprocmask(2).
#[unsafe(no_mangle)]
pub extern "C" fn baremap_install() -> c_int {
    status(guard::install())
}
