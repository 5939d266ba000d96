//! Processes and threads, and what a process may know and use.

use core::mem::MaybeUninit;

use linux_raw_sys::general::{CLD_DUMPED, CLD_EXITED, CLD_KILLED, P_ALL, P_PID, SIGCHLD, rlimit64};

use super::raw::{nr, syscall0, syscall1, syscall2, syscall3, syscall4, syscall5};
use super::{
    CloneFlags, Errno, GetrandomFlags, OFlags, Resource, Result, SigInfo, Signal, WaitFlags,
    fs::descriptor, check_unit,
};
use crate::{arch, fd::OwnedFd};

/// The number of a process or a thread.
pub type Pid = i32;

/// The number of this process.
#[must_use]
pub fn getpid() -> Pid {
    // SAFETY: touches no memory.
    unsafe { syscall0(nr::getpid) as Pid }
}

/// The number of the parent process: another once that has ended. Source: getppid(2).
#[must_use]
pub fn getppid() -> Pid {
    // SAFETY: touches no memory.
    unsafe { syscall0(nr::getppid) as Pid }
}

/// The number of this thread.
#[must_use]
pub fn gettid() -> Pid {
    // SAFETY: touches no memory.
    unsafe { syscall0(nr::gettid) as Pid }
}

/// Ends this thread, and the process if it was the last.
///
/// # Safety
///
/// Nothing of what lives on this thread's stack is used by another.
pub unsafe fn exit(status: i32) -> ! {
    loop {
        // SAFETY: the caller's promise.
        unsafe { syscall1(nr::exit, status as usize) };
    }
}

/// Ends this process. Of the status the low eight bits are told to the parent.
pub fn exit_group(status: i32) -> ! {
    loop {
        // SAFETY: nothing of this process is left to be harmed.
        unsafe { syscall1(nr::exit_group, status as usize) };
    }
}

/// Makes a copy of this process; `None` in the copy, its number in the original.
///
/// # Errors
///
/// `EAGAIN`: too many processes. `ENOMEM`: not enough memory.
///
/// # Safety
///
/// * The copy has only this thread: a lock that another thread held is never released. A copy
///   of a hosted program does only what signal-safety(7) allows.
/// * The copy neither uses nor drops a map with [`Advice::DontFork`](crate::Advice::DontFork), or
///   whatever else was advised `MADV_DONTFORK`: its addresses are not mapped there, or belong to
///   another mapping by then.
/// * The copy does not rely on the contents of memory that was advised `MADV_WIPEONFORK`: they
///   are zeros there.
pub unsafe fn fork() -> Result<Option<Pid>> {
    // SAFETY: without a stack of its own the copy goes on where this one does.
    unsafe { clone(CloneFlags::empty(), Some(Signal(SIGCHLD))) }
}

/// Makes a process that shares with this one what `flags` say, and tells its end by
/// a signal if one is given; returns as [`fork`] does.
///
/// The copy returns from this very function on the same stack, so memory may not be
/// shared: [`CloneFlags::VM`] is refused with `EINVAL`. So are the flags that need an
/// address, such as [`CloneFlags::SETTLS`].
///
/// # Safety
///
/// As for [`fork`]. With [`CloneFlags::FILES`] a descriptor that either closes is closed
/// for both, and each believes to own them all.
pub unsafe fn clone(flags: CloneFlags, end: Option<Signal>) -> Result<Option<Pid>> {
    if flags.intersects(CloneFlags::VM | POINTERS) {
        return Err(Errno::EINVAL);
    }
    let flags = flags.as_arg() | end.map_or(0, Signal::as_arg);
    // SAFETY: the copy has its own memory.
    let pid = Errno::check(unsafe { arch::clone(flags, 0, 0, 0, 0) })?;
    Ok((pid != 0).then_some(pid as Pid))
}

/// Flags that take an address which is not asked for here.
const POINTERS: CloneFlags = CloneFlags::SETTLS
    .union(CloneFlags::PARENT_SETTID)
    .union(CloneFlags::CHILD_SETTID)
    .union(CloneFlags::CHILD_CLEARTID)
    .union(CloneFlags::PIDFD);

/// How a child ended, or why it is not running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitStatus {
    /// It exited, with this status.
    Exited(i32),
    /// A signal ended it; whether it left a core dump.
    Killed(Signal, bool),
    /// It was stopped or continued, or is being traced: the code and the status.
    Other(i32, i32),
}

/// Waits for a change of one child, or of any; `None` if there is none yet
/// ([`WaitFlags::NOHANG`]).
///
/// # Errors
///
/// `ECHILD`: no such child. `EINVAL`: flags name no change to wait for. `EINTR`.
pub fn waitid(child: Option<Pid>, flags: WaitFlags) -> Result<Option<(Pid, WaitStatus)>> {
    let (kind, pid) = match child {
        Some(pid) => (P_PID, pid as usize),
        None => (P_ALL, 0),
    };
    let mut info = MaybeUninit::<SigInfo>::zeroed();
    let to = info.as_mut_ptr().expose_provenance();
    // SAFETY: the structure is the kernel's; resource usage is not asked for.
    check_unit(unsafe { syscall5(nr::waitid, kind as usize, pid, to, flags.as_arg(), 0) })?;
    // SAFETY: zeros, or what the kernel filled in.
    let info = unsafe { info.assume_init_ref() };
    let (pid, status) = info.child();
    if pid == 0 {
        return Ok(None);
    }
    let change = match info.code() as u32 {
        CLD_EXITED => WaitStatus::Exited(status),
        CLD_KILLED => WaitStatus::Killed(Signal(status as u32), false),
        CLD_DUMPED => WaitStatus::Killed(Signal(status as u32), true),
        code => WaitStatus::Other(code as i32, status),
    };
    Ok(Some((pid, change)))
}

/// Makes a descriptor that stands for a process. `flags` may be [`OFlags::NONBLOCK`]. It is
/// closed when another program is executed, without being asked.
///
/// # Errors
///
/// `ESRCH`: no such process. `EINVAL`: not the number of a process, or other flags.
/// `ENOSYS`: before Linux 5.3.
pub fn pidfd_open(pid: Pid, flags: OFlags) -> Result<OwnedFd> {
    // SAFETY: the descriptor is nobody else's.
    descriptor(unsafe { syscall2(nr::pidfd_open, pid as usize, flags.as_arg()) })
}

/// Asks something of this process; `option` is one of the kernel's `PR_` constants.
///
/// # Safety
///
/// The arguments are what the option takes: where one is a pointer, to memory of the
/// right size, alignment and contents, which the kernel may change.
pub unsafe fn prctl(option: u32, arguments: [usize; 4]) -> Result<usize> {
    let [a, b, c, d] = arguments;
    // SAFETY: the caller's promise.
    Errno::check(unsafe { syscall5(nr::prctl, option as usize, a, b, c, d) })
}

/// Fills a buffer with random bytes, and returns how many.
///
/// Up to 256 bytes come whole once the kernel has gathered enough at its start.
///
/// # Errors
///
/// `EAGAIN`: it has not yet, and [`GetrandomFlags::NONBLOCK`]. `EINTR`: while waiting.
pub fn getrandom(buf: &mut [u8], flags: GetrandomFlags) -> Result<usize> {
    let (to, count) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the buffer is ours to write for as long as it is.
    Errno::check(unsafe { syscall3(nr::getrandom, to, count, flags.as_arg()) })
}

/// Which processors a thread may run on: bit 0 of the first word is the first. Zero
/// is the calling thread. Returns how many bytes were filled in.
///
/// # Errors
///
/// `EINVAL`: fewer bits than the kernel has processors. `ESRCH`: no such thread.
pub fn sched_getaffinity(thread: Pid, mask: &mut [usize]) -> Result<usize> {
    let (size, to) = (size_of_val(mask), mask.as_mut_ptr().expose_provenance());
    // SAFETY: the words are ours to write.
    Errno::check(unsafe { syscall3(nr::sched_getaffinity, thread as usize, size, to) })
}

/// Lets other threads run first that wait for this processor.
pub fn sched_yield() {
    // SAFETY: touches no memory. It always succeeds.
    unsafe { syscall0(nr::sched_yield) };
}

/// A limit. Source: getrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// What holds now; `u64::MAX` is no limit.
    pub current: u64,
    /// What it may be raised to; `u64::MAX` is no limit.
    pub maximum: u64,
}

/// Sets a limit of a process if one is given, and returns the one before. Zero is
/// this process.
///
/// # Errors
///
/// `EINVAL`: the current limit is above the maximum. `EPERM`: raising the maximum.
pub fn prlimit(pid: Pid, resource: Resource, limit: Option<Rlimit>) -> Result<Rlimit> {
    let new = limit.map(|limit| rlimit64 { rlim_cur: limit.current, rlim_max: limit.maximum });
    let mut old = rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let to = new.as_ref().map_or(0, |new| core::ptr::from_ref(new).expose_provenance());
    let from = (&raw mut old).expose_provenance();
    // SAFETY: both structures are the kernel's.
    check_unit(unsafe { syscall4(nr::prlimit64, pid as usize, resource.as_arg(), to, from) })?;
    Ok(Rlimit { current: old.rlim_cur, maximum: old.rlim_max })
}
