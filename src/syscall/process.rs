//! Processes and threads: creating, waiting for and ending them, their limits, and random
//! bytes.

use core::mem::MaybeUninit;

use linux_raw_sys::general::{CLD_DUMPED, CLD_EXITED, CLD_KILLED, P_ALL, P_PID, SIGCHLD, rlimit64};

use super::raw::{nr, syscall0, syscall1, syscall2, syscall3, syscall4, syscall5};
use super::{
    CloneFlags, Errno, GetrandomFlags, OFlags, Resource, Result, SigInfo, Signal, WaitFlags,
    check_unit, fs::descriptor,
};
use crate::{arch, fd::OwnedFd};

/// The identifier of a process, of a process group, or of a thread.
pub type Pid = i32;

/// Returns the identifier of the current process.
#[must_use]
pub fn getpid() -> Pid {
    // SAFETY: the call does not access memory.
    unsafe { syscall0(nr::getpid) as Pid }
}

/// Returns the identifier of the parent process.
///
/// After the parent has ended, this is the process that adopted the current process.
#[must_use]
pub fn getppid() -> Pid {
    // SAFETY: the call does not access memory.
    unsafe { syscall0(nr::getppid) as Pid }
}

/// Returns the identifier of the calling thread.
#[must_use]
pub fn gettid() -> Pid {
    // SAFETY: the call does not access memory.
    unsafe { syscall0(nr::gettid) as Pid }
}

/// Ends the calling thread, and the process if this was its last thread.
///
/// # Safety
///
/// * No other thread uses anything that lives on the stack of the calling thread.
/// * No code relies on the destructors of values on that stack, which do not run.
pub unsafe fn exit(status: i32) -> ! {
    loop {
        // SAFETY: the caller meets this function's requirements.
        unsafe { syscall1(nr::exit, status as usize) };
    }
}

/// Ends the current process with all its threads.
///
/// The parent receives the low eight bits of `status`. No destructor and no `atexit` handler
/// runs.
#[doc(alias = "_exit")]
pub fn exit_group(status: i32) -> ! {
    loop {
        // SAFETY: no code of this process runs afterwards.
        unsafe { syscall1(nr::exit_group, status as usize) };
    }
}

/// Creates a child process that is a copy of the current process.
///
/// Returns the child's identifier in the parent, and `None` in the child.
///
/// # Errors
///
/// * `EAGAIN` if a limit on the number of processes is reached.
/// * `ENOMEM` if the kernel has not enough memory.
///
/// # Safety
///
/// * The child has only the calling thread, so a lock that another thread held is never
///   released. In a hosted program, the child makes only calls that are async-signal-safe; see
///   signal-safety(7).
/// * The child neither uses nor drops a map with [`Advice::DontFork`](crate::Advice::DontFork),
///   nor uses other memory with `MADV_DONTFORK`. The child does not have these mappings, and
///   their addresses may belong to other mappings.
/// * The child does not rely on the contents of memory with `MADV_WIPEONFORK`, which is zero in
///   the child.
pub unsafe fn fork() -> Result<Option<Pid>> {
    // SAFETY: the child has a copy of this thread's stack, and continues here.
    unsafe { clone(CloneFlags::empty(), Some(Signal(SIGCHLD))) }
}

/// Creates a child process that shares with the current process what `flags` select.
///
/// Returns the child's identifier in the parent, and `None` in the child. When the child ends,
/// the parent receives the signal `end`, if there is one. The child returns from this function
/// on the parent's stack, so it must have its own copy of the memory.
///
/// # Errors
///
/// * `EINVAL` if `flags` contain [`CloneFlags::VM`], or a flag that needs an address, such as
///   [`CloneFlags::SETTLS`].
/// * `EINVAL` if the flags exclude each other.
/// * `EAGAIN` if a limit on the number of processes is reached.
/// * `ENOMEM` if the kernel has not enough memory.
///
/// # Safety
///
/// * The child has only the calling thread, so a lock that another thread held is never
///   released. In a hosted program, the child makes only calls that are async-signal-safe; see
///   signal-safety(7).
/// * The child neither uses nor drops a map with [`Advice::DontFork`](crate::Advice::DontFork),
///   nor uses other memory with `MADV_DONTFORK`. The child does not have these mappings, and
///   their addresses may belong to other mappings.
/// * The child does not rely on the contents of memory with `MADV_WIPEONFORK`, which is zero in
///   the child.
/// * With [`CloneFlags::FILES`], only one of the two processes closes each descriptor, because both
///   share one table of descriptors.
pub unsafe fn clone(flags: CloneFlags, end: Option<Signal>) -> Result<Option<Pid>> {
    if flags.intersects(CloneFlags::VM | POINTERS) {
        return Err(Errno::EINVAL);
    }
    let flags = flags.as_arg() | end.map_or(0, Signal::as_arg);
    // SAFETY: without `CLONE_VM` the child has its own copy of memory, and no flag takes an address.
    let pid = Errno::check(unsafe { arch::clone(flags, 0, 0, 0, 0) })?;
    Ok((pid != 0).then_some(pid as Pid))
}

/// The flags that need an address, which [`clone`] does not take.
const POINTERS: CloneFlags = CloneFlags::SETTLS
    .union(CloneFlags::PARENT_SETTID)
    .union(CloneFlags::CHILD_SETTID)
    .union(CloneFlags::CHILD_CLEARTID)
    .union(CloneFlags::PIDFD);

/// The change of a child's state that [`waitid`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitStatus {
    /// The child exited with this status.
    Exited(i32),
    /// A signal killed the child. The second value is whether a core dump was written.
    Killed(Signal, bool),
    /// The child was stopped or continued, or is being traced: the code (`CLD_*`) and the
    /// status.
    Other(i32, i32),
}

/// Waits for a child to change its state, and returns the child and the change.
///
/// `None` as `child` waits for any child. Returns `Ok(None)` if [`WaitFlags::NOHANG`] is set
/// and no child has changed yet.
///
/// # Errors
///
/// * `ECHILD` if the process has no such child.
/// * `EINVAL` if `flags` contain no change to wait for.
/// * `EINTR` if a signal handler interrupts the call.
pub fn waitid(child: Option<Pid>, flags: WaitFlags) -> Result<Option<(Pid, WaitStatus)>> {
    let (kind, pid) = match child {
        Some(pid) => (P_PID, pid as usize),
        None => (P_ALL, 0),
    };
    let mut info = MaybeUninit::<SigInfo>::zeroed();
    let to = info.as_mut_ptr().expose_provenance();
    // SAFETY: `SigInfo` has the kernel's layout; a null pointer skips the resource usage.
    check_unit(unsafe { syscall5(nr::waitid, kind as usize, pid, to, flags.as_arg(), 0) })?;
    // SAFETY: the structure is valid if it is zero, and the kernel fills in valid values.
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

/// Opens a descriptor that refers to a process.
///
/// `flags` may be [`OFlags::NONBLOCK`]. The descriptor is always closed on `execve`.
///
/// # Errors
///
/// * `ESRCH` if the process does not exist.
/// * `EINVAL` if `pid` is not a process, or another flag is set.
/// * `ENOSYS` before Linux 5.3.
pub fn pidfd_open(pid: Pid, flags: OFlags) -> Result<OwnedFd> {
    // SAFETY: the new descriptor is used nowhere else.
    descriptor(unsafe { syscall2(nr::pidfd_open, pid as usize, flags.as_arg()) })
}

/// Performs an operation on the current process or thread; `option` is one of the kernel's
/// `PR_` constants.
///
/// The meaning of the arguments and of the result depends on `option`.
///
/// # Errors
///
/// * `EINVAL` if the kernel does not know the option, or an argument is invalid for it.
///
/// # Safety
///
/// * The arguments are what the option takes.
/// * If an argument is a pointer, it points to memory of the size, alignment and contents that the
///   option asks for, and the kernel may change the memory as the option documents.
pub unsafe fn prctl(option: u32, arguments: [usize; 4]) -> Result<usize> {
    let [a, b, c, d] = arguments;
    // SAFETY: the caller meets this function's requirements.
    Errno::check(unsafe { syscall5(nr::prctl, option as usize, a, b, c, d) })
}

/// Fills a buffer with random bytes and returns how many bytes were written.
///
/// By default, the call waits until the kernel has initialized its random number generator. Up to
/// 256 bytes are always written completely; a larger request may be interrupted and return fewer
/// bytes.
///
/// # Errors
///
/// * `EAGAIN` if the generator is not initialized and [`GetrandomFlags::NONBLOCK`] is set.
/// * `EINTR` if a signal handler interrupts the call before any byte was written.
pub fn getrandom(buf: &mut [u8], flags: GetrandomFlags) -> Result<usize> {
    let (to, count) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the buffer is borrowed exclusively during the call.
    Errno::check(unsafe { syscall3(nr::getrandom, to, count, flags.as_arg()) })
}

/// Reads the set of processors that a thread may run on, and returns how many bytes were
/// written.
///
/// Bit 0 of the first word is the first processor. A `thread` of zero is the calling thread. Bytes
/// of `mask` after the returned number are unchanged.
///
/// # Errors
///
/// * `EINVAL` if the mask has fewer bits than the kernel has processors.
/// * `ESRCH` if the thread does not exist.
pub fn sched_getaffinity(thread: Pid, mask: &mut [usize]) -> Result<usize> {
    let (size, to) = (size_of_val(mask), mask.as_mut_ptr().expose_provenance());
    // SAFETY: the words are borrowed exclusively during the call.
    Errno::check(unsafe { syscall3(nr::sched_getaffinity, thread as usize, size, to) })
}

/// Lets other threads run that wait for the calling thread's processor.
pub fn sched_yield() {
    // SAFETY: the call does not access memory. It always succeeds on Linux.
    unsafe { syscall0(nr::sched_yield) };
}

/// A limit on a resource. Source: getrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// The limit that is in force (the soft limit). `u64::MAX` means no limit.
    pub current: u64,
    /// The value that `current` may be raised to (the hard limit). `u64::MAX` means no limit.
    pub maximum: u64,
}

/// Returns a limit of a process, and sets it if `limit` is given.
///
/// A `pid` of zero is the current process.
///
/// # Errors
///
/// * `EINVAL` if `current` is greater than `maximum`.
/// * `EPERM` if the caller may not raise the maximum, or may not change the process.
/// * `ESRCH` if the process does not exist.
#[doc(alias("getrlimit", "setrlimit", "prlimit64"))]
pub fn prlimit(pid: Pid, resource: Resource, limit: Option<Rlimit>) -> Result<Rlimit> {
    let new = limit.map(|limit| rlimit64 { rlim_cur: limit.current, rlim_max: limit.maximum });
    let mut old = rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let to = new.as_ref().map_or(0, |new| core::ptr::from_ref(new).expose_provenance());
    let from = (&raw mut old).expose_provenance();
    // SAFETY: both structures have the kernel's layout, and live until the call returns.
    check_unit(unsafe { syscall4(nr::prlimit64, pid as usize, resource.as_arg(), to, from) })?;
    Ok(Rlimit { current: old.rlim_cur, maximum: old.rlim_max })
}
