//! Child processes.

use super::*;
use baremap::syscall::{
    CloneFlags, Pid, Signal, Timespec, WaitFlags, WaitStatus, exit, exit_group, fork, nanosleep,
};
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

const MILLISECOND: Timespec = Timespec { sec: 0, nsec: 1_000_000 };

/// Starts a child that runs a function and exits with its result.
pub fn child(run: impl FnOnce() -> i32) -> syscall::Result<Pid> {
    // SAFETY: this process has one thread.
    match unsafe { fork()? } {
        Some(pid) => Ok(pid),
        None => exit_group(run()),
    }
}

pub fn ended(pid: Pid) -> Result<WaitStatus, Trouble> {
    match syscall::waitid(Some(pid), WaitFlags::EXITED)? {
        Some((of, status)) if of == pid => Ok(status),
        other => Err(wrong(format_args!("got {other:?}, wanted {pid}"))),
    }
}

/// A number in memory that parent and child share.
struct Common(Pages);

impl Common {
    fn new() -> syscall::Result<Common> {
        Pages::map(page(), READ_WRITE, SHARED_ANONYMOUS, None, 0).map(Common)
    }

    fn number(&self) -> &AtomicU32 {
        // SAFETY: aligned, zeroed, mapped as long as the borrow, and used as an atomic
        // by both processes.
        unsafe { AtomicU32::from_ptr(self.0.addr.cast()) }
    }
}

fn exit_status() -> Outcome {
    for (status, wanted) in [(0, 0), (42, 42), (0x1ff, 0xff), (-1, 0xff)] {
        same(ended(child(|| status)?)?, WaitStatus::Exited(wanted))?;
    }
    Ok(())
}

/// `exit` of the only thread ends the process.
fn exit_of_a_thread() -> Outcome {
    // SAFETY: nothing else uses this stack.
    same(ended(child(|| unsafe { exit(43) })?)?, WaitStatus::Exited(43))
}

fn killed() -> Outcome {
    for signal in [Signal::KILL, Signal::TERM, Signal::USR1] {
        let pid = child(|| {
            let _ = syscall::raise(signal);
            77
        })?;
        same(ended(pid)?, WaitStatus::Killed(signal, false))?;
    }
    Ok(())
}

fn killed_by_the_parent() -> Outcome {
    let pid = child(|| {
        loop {
            let _ = nanosleep(MILLISECOND);
        }
    })?;
    syscall::kill(pid, Some(Signal::KILL))?;
    same(ended(pid)?, WaitStatus::Killed(Signal::KILL, false))
}

fn numbers() -> Outcome {
    let common = Common::new()?;
    let parent = syscall::getpid();
    let pid = child(|| {
        common.number().store(syscall::getpid() as u32, SeqCst);
        i32::from(syscall::getpid() == parent || syscall::gettid() != syscall::getpid())
    })?;
    same(ended(pid)?, WaitStatus::Exited(0))?;
    ensure(pid > 0 && pid != parent, "the parent's number")?;
    same(common.number().load(SeqCst) as Pid, pid)?;
    same(syscall::getpid(), parent)
}

fn memory_is_copied() -> Outcome {
    let private = Pages::zeros(1)?;
    private.set(0, 1);
    let pid = child(|| {
        let before = private.get(0);
        private.set(0, 2);
        i32::from(before) * 10 + i32::from(private.get(0))
    })?;
    same(ended(pid)?, WaitStatus::Exited(12))?;
    same(private.get(0), 1)
}

fn memory_is_shared() -> Outcome {
    let common = Common::new()?;
    common.number().store(0x0102_0304, SeqCst);
    let pid = child(|| {
        common.number().fetch_add(0x1020_3040, SeqCst);
        0
    })?;
    same(ended(pid)?, WaitStatus::Exited(0))?;
    same(common.number().load(SeqCst), 0x1122_3344)
}

/// The child starts with the parent's registers. Each of five calls doubles the number of
/// processes, all of which continue with their values.
fn registers_are_copied() -> Outcome {
    let common = Common::new()?;
    let parent = syscall::getpid();
    let kept = registers::keep(5, |_| {
        // SAFETY: this process has one thread.
        match unsafe { fork() } {
            Ok(None) => 0,
            Ok(Some(pid)) if matches!(ended(pid), Ok(WaitStatus::Exited(0))) => 0,
            _ => 1,
        }
    });
    let right = kept == registers::undisturbed(5);
    if right {
        common.number().fetch_add(1, SeqCst);
    }
    if syscall::getpid() != parent {
        exit_group(i32::from(!right));
    }
    ensure(right, "other values in the parent")?;
    same(common.number().load(SeqCst), 32)
}

fn wait_flags() -> Outcome {
    let common = Common::new()?;
    let pid = child(|| {
        while common.number().load(SeqCst) == 0 {
            let _ = nanosleep(MILLISECOND);
        }
        5
    })?;
    let wait = |flags| syscall::waitid(Some(pid), WaitFlags::EXITED | flags);
    let running = wait(WaitFlags::NOHANG);
    common.number().store(1, SeqCst);
    same(running, Ok(None))?;
    let end = Ok(Some((pid, WaitStatus::Exited(5))));
    same(wait(WaitFlags::NOWAIT), end)?;
    same(wait(WaitFlags::empty()), end)?;
    fails(wait(WaitFlags::empty()), Errno::ECHILD)?;
    fails(syscall::waitid(Some(pid), WaitFlags::empty()), Errno::EINVAL)
}

/// The kernel writes the child's number to an address. With `CLONE_CHILD_SETTID` it writes to the
/// child's memory, and the position of that argument depends on the architecture.
fn number_for(flag: u32) -> Outcome {
    use linux_raw_sys::general::{CLONE_CHILD_SETTID, CLONE_PARENT_SETTID, SIGCHLD};
    let (in_parent, in_child) = (Common::new()?, Common::new()?);
    let [parent, child] = [&in_parent, &in_child].map(|place| place.0.addr as usize);
    // SAFETY: a process of its own, on a copy of this stack; both places are this case's.
    let pid = check(unsafe { raw::clone((flag | SIGCHLD) as usize, 0, parent, child, 0) })?;
    if pid == 0 {
        exit_group((in_child.number().load(SeqCst) == syscall::getpid() as u32).into());
    }
    let told = |by| if flag == by { pid as u32 } else { 0 };
    same(in_parent.number().load(SeqCst), told(CLONE_PARENT_SETTID))?;
    let in_time = i32::from(flag == CLONE_CHILD_SETTID);
    same(ended(pid as Pid)?, WaitStatus::Exited(in_time))?;
    same(in_child.number().load(SeqCst), told(CLONE_CHILD_SETTID))
}

fn number_for_the_child() -> Outcome {
    number_for(linux_raw_sys::general::CLONE_CHILD_SETTID)
}

fn number_for_the_parent() -> Outcome {
    number_for(linux_raw_sys::general::CLONE_PARENT_SETTID)
}

/// The child's end sends the parent the signal that `clone` named.
fn end_is_signalled() -> Outcome {
    use baremap::syscall::{Disposition, SaFlags, SigSet};
    use core::ffi::c_int;
    static HEARD: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" fn hear(signal: c_int) {
        HEARD.store(signal as u32, SeqCst);
    }
    let action = Disposition::Handler(hear);
    let flags = SaFlags::RESTART;
    let _acting = signals::Acting::new(Signal::CHLD, action, flags, SigSet::empty())?;
    same(ended(child(|| 0)?)?, WaitStatus::Exited(0))?;
    same(HEARD.load(SeqCst), Signal::CHLD.0)
}

/// With `CLONE_VFORK`, the parent continues when the child has ended, and not before.
fn vfork() -> Outcome {
    let common = Common::new()?;
    // SAFETY: this process has one thread, and its memory is copied.
    match unsafe { syscall::clone(CloneFlags::VFORK, Some(Signal::CHLD))? } {
        None => {
            let _ = nanosleep(Timespec { nsec: 5_000_000, ..MILLISECOND });
            common.number().store(1, SeqCst);
            exit_group(6)
        }
        Some(pid) => {
            let there = common.number().load(SeqCst);
            same(ended(pid)?, WaitStatus::Exited(6))?;
            same(there, 1)
        }
    }
}

fn shared_stack_is_refused() -> Outcome {
    for flags in [CloneFlags::VM, CloneFlags::SETTLS, CloneFlags::CHILD_SETTID] {
        // SAFETY: refused.
        fails(unsafe { syscall::clone(flags, Some(Signal::CHLD)) }, Errno::EINVAL)?;
    }
    Ok(())
}

/// Descriptors are copied, and their file positions are shared.
fn descriptors_are_copied() -> Outcome {
    let fd = memory()?;
    let pid = child(|| {
        let written = syscall::write(fd.as_fd(), b"child");
        i32::from(written != Ok(5))
    })?;
    same(ended(pid)?, WaitStatus::Exited(0))?;
    same(syscall::write(fd.as_fd(), b"!")?, 1)?;
    let mut back = [0; 8];
    same(syscall::pread(fd.as_fd(), &mut back, 0)?, 6)?;
    same(&back, b"child!\0\0")
}

/// Runs a case in a child.
pub fn in_child(run: impl FnOnce() -> Outcome) -> Outcome {
    let pid = child(|| match run() {
        Ok(()) => 0,
        Err(Trouble::Wrong(text)) => {
            println!("# {}", text.as_str());
            1
        }
        Err(Trouble::Missing(_)) => 2,
    })?;
    same(ended(pid)?, WaitStatus::Exited(0))
}

pub const CASES: &[Case] = &[
    case!("CLONE_CHILD_SETTID tells the child its number", number_for_the_child),
    case!(
        "CLONE_PARENT_SETTID tells the parent the number",
        number_for_the_parent,
        qemu_user: "it tells the child"
    ),
    case!("the exit status, of which eight bits", exit_status),
    case!("exit of the only thread", exit_of_a_thread),
    case!("a signal of its own ends a child", killed),
    case!("a signal of the parent ends a child", killed_by_the_parent),
    case!("getpid and gettid of a child", numbers),
    case!("private memory is copied", memory_is_copied),
    case!("shared memory is common", memory_is_shared),
    case!("values in registers are copied", registers_are_copied),
    case!("descriptors are copied", descriptors_are_copied),
    case!("WNOHANG and WNOWAIT", wait_flags),
    case!("the end of a child is signalled", end_is_signalled),
    case!("CLONE_VFORK waits", vfork, qemu_user: "it does not wait"),
    case!("clone on one stack, or without an address, is refused", shared_stack_is_refused),
];
