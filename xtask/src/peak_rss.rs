//! How much memory a program has resident at most.
//!
//! `wait4` does not tell it: before a process becomes the program it has its parent's memory,
//! and that counts. Each of its processes is stopped when it ends, and its own peak is read.

use std::{
    collections::BTreeMap, fs, io, os::unix::process::CommandExt, process::Command, process::Stdio,
    ptr,
};

/// Runs a program to its end, and gives the peaks of all its processes, added: in bytes, and
/// more than the truth where they share memory.
pub fn measure(mut command: Command) -> Result<u64, String> {
    // SAFETY: one system call, which uses no memory.
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
        // SAFETY: the status is written.
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
            // It has just become the program.
            started = true;
            let options = libc::PTRACE_O_EXITKILL
                | libc::PTRACE_O_TRACEEXIT
                | libc::PTRACE_O_TRACECLONE
                | libc::PTRACE_O_TRACEFORK
                | libc::PTRACE_O_TRACEVFORK;
            // SAFETY: it is stopped, and ours.
            unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, id, 0, options) };
        }
        if event == libc::PTRACE_EVENT_EXIT {
            let (process, peak) = resident(id).ok_or("no VmHWM in /proc")?;
            let of_process: &mut u64 = peaks.entry(process).or_default();
            *of_process = peak.max(*of_process);
        }
        // What is a stop of our own making is no signal to the program.
        let ours = event != 0 || matches!(signal, libc::SIGTRAP | libc::SIGSTOP);
        let signal = if ours { 0 } else { signal };
        // SAFETY: it is stopped, and ours.
        unsafe { libc::ptrace(libc::PTRACE_CONT, id, ptr::null_mut::<u8>(), signal) };
    };
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
        return Ok(peaks.values().sum());
    }
    let message = child.stderr.take().and_then(|pipe| io::read_to_string(pipe).ok());
    Err(message.unwrap_or_default().trim().to_owned())
}

/// A thread's process, and the most that was resident of it.
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
