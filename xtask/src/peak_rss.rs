//! Measures the peak resident set of a program and its child processes.
//!
//! The figure of `wait4` is too high: before `execve` the process shares its parent's memory, which
//! counts. Instead, each process is stopped when it exits, and its own peak is read.

use std::{
    collections::BTreeMap, fs, io, os::unix::process::CommandExt, process::Command, process::Stdio,
    ptr,
};

/// Runs a program to its end, and returns the sum of the peaks of all its processes, in bytes.
/// Memory that processes share counts more than once.
pub fn measure(mut command: Command) -> Result<u64, String> {
    // SAFETY: the closure makes one system call, which accesses no memory.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        })
    };
    let mut child =
        command.stderr(Stdio::piped()).spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let main = child.id() as i32;
    let mut peaks = BTreeMap::new();
    let mut started = false;
    let status = loop {
        let mut status = 0;
        // SAFETY: the kernel writes the status to a variable.
        let id = unsafe { libc::waitpid(-1, &mut status, libc::__WALL) };
        if id == -1 {
            return Err(format!("{command:?}: {}", io::Error::last_os_error()));
        }
        if !libc::WIFSTOPPED(status) {
            if id == main {
                break status;
            }
            continue;
        }
        let signal = libc::WSTOPSIG(status);
        let event = status >> 16;
        if !started {
            // This is the stop after `execve`.
            started = true;
            let options = libc::PTRACE_O_EXITKILL
                | libc::PTRACE_O_TRACEEXIT
                | libc::PTRACE_O_TRACECLONE
                | libc::PTRACE_O_TRACEFORK
                | libc::PTRACE_O_TRACEVFORK;
            // SAFETY: the process is a stopped child.
            unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, id, 0, options) };
        }
        if event == libc::PTRACE_EVENT_EXIT {
            let (process, peak) = resident(id).ok_or("no VmHWM in /proc")?;
            let of_process: &mut u64 = peaks.entry(process).or_default();
            *of_process = peak.max(*of_process);
        }
        // A stop that tracing has caused is not passed on as a signal.
        let ours = event != 0 || matches!(signal, libc::SIGTRAP | libc::SIGSTOP);
        let signal = if ours { 0 } else { signal };
        // SAFETY: the process is a stopped child.
        unsafe { libc::ptrace(libc::PTRACE_CONT, id, ptr::null_mut::<u8>(), signal) };
    };
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
        return Ok(peaks.values().sum());
    }
    let message = child.stderr.take().and_then(|pipe| io::read_to_string(pipe).ok());
    Err(message.unwrap_or_default().trim().to_owned())
}

/// Returns the process of a thread, and the peak of that process's resident set, in bytes.
fn resident(thread: i32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let field = |key: &str| -> Option<u64> {
        status
            .lines()
            .find_map(|line| line.strip_prefix(key))?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    Some((field("Tgid:")?, field("VmHWM:").unwrap_or(0) * 1024))
}
