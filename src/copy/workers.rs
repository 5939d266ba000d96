//! Runs worker processes that copy one file together.

use core::{
    num::NonZeroU32,
    ptr,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering::*},
};

use linux_raw_sys::prctl::PR_SET_PDEATHSIG;

use super::plan::Window;
use super::{Action, Cause, Failure, Outcome, ProcessControl, dest, signals};
use crate::map::MmapRaw;
use crate::syscall::{self, Errno, Pid, Signal, WaitFlags};

/// The state that the processes of a copy share. Offsets are counted in units of 4 KiB, because
/// some 32-bit processors have no 64-bit atomic operations.
pub struct WorkQueue {
    /// The offset of the next window, in units.
    next: AtomicUsize,
    /// The amount of data that has been copied, in units.
    done: AtomicUsize,
    /// The number of forked workers that have started and not finished.
    working: AtomicU32,
    /// The first failure, which is the one that is reported, or zero.
    failure: AtomicU32,
}

/// The size of a unit in bytes. Every page size is a multiple of it.
const UNIT: u64 = 4096;

/// Converts bytes to units, rounded up.
const fn units(bytes: u64) -> usize {
    bytes.div_ceil(UNIT) as usize
}

/// Returns whether every offset in a file of `bytes` bytes fits into a `usize` of units. With 32
/// bits, this limits a file to 16 TiB.
pub fn can_count(bytes: u64) -> bool {
    usize::try_from(bytes.div_ceil(UNIT)).is_ok()
}

impl WorkQueue {
    /// Creates a queue. The data before `position` has been copied already.
    pub const fn new(position: u64) -> WorkQueue {
        WorkQueue {
            next: AtomicUsize::new(units(position)),
            done: AtomicUsize::new(units(position)),
            working: AtomicU32::new(0),
            failure: AtomicU32::new(0),
        }
    }

    /// Takes the next window, or returns `None` if there is none left or a process has failed.
    ///
    /// `find` returns the first window at or after an offset in bytes. It may be called more than
    /// once, if other processes take windows meanwhile.
    pub fn take(&self, find: impl Fn(u64) -> Option<Window>) -> Option<Window> {
        let mut next = self.next.load(Relaxed);
        loop {
            if self.failure.load(Relaxed) != 0 {
                return None;
            }
            let window = find(next as u64 * UNIT)?;
            match self.next.compare_exchange_weak(next, units(window.end()), Relaxed, Relaxed) {
                Ok(_) => return Some(window),
                Err(now) => next = now,
            }
        }
    }

    /// Counts a window as copied. Returns the number of bytes copied so far, with the length of
    /// each window rounded up to a unit.
    pub fn count(&self, window: &Window) -> u64 {
        let units = units(window.len as u64);
        (self.done.fetch_add(units, Relaxed) + units) as u64 * UNIT
    }

    /// Returns the result of the copy. All workers have ended.
    fn result(&self) -> Outcome<()> {
        match NonZeroU32::new(self.failure.load(Acquire)) {
            Some(bits) => Err(Failure(bits)),
            // A worker that did not finish was killed, and has not copied its last window.
            None if self.working.load(Acquire) != 0 => Err(dest(Action::CopyTo, Cause::Worker)),
            None => Ok(()),
        }
    }

    /// Runs `work` in this process, and records its failure, which stops all processes at their
    /// next window.
    fn work(&self, work: &mut dyn FnMut(&WorkQueue, bool) -> Outcome<()>, here: bool) {
        if let Err(Failure(bits)) = work(self, here) {
            let _ = self.failure.compare_exchange(0, bits.get(), Relaxed, Relaxed);
        }
    }
}

/// Runs `work` in up to `count` processes, including this one, and returns the first failure.
///
/// Without permission to fork, only this process runs `work`. The data before `position` has been
/// copied already. The second argument of `work` is true in this process and false in a worker.
pub fn run(
    process: Option<ProcessControl>,
    count: u32,
    position: u64,
    work: &mut dyn FnMut(&WorkQueue, bool) -> Outcome<()>,
) -> Outcome<()> {
    let own = WorkQueue::new(position);
    if let Some(process) = process
        && count > 1
        && let Ok(map) = MmapRaw::map_anon_shared(size_of::<WorkQueue>())
    {
        let queue = map.as_mut_ptr().cast();
        // SAFETY: the mapping is page-aligned, large enough for a `WorkQueue`, and lives until the
        // end of this block. After it is written, only its atomic fields change.
        let queue = unsafe {
            ptr::write(queue, own);
            &*queue
        };
        fork_workers(process, count, queue, work, true);
        return queue.result();
    }
    own.work(work, true);
    own.result()
}

/// Runs `work` in up to `count` processes, and returns when all forked processes have ended.
///
/// Each process forks one worker and waits for it, so that the first worker ends last. After
/// `unshare --pid`, the first worker is PID 1 of a new namespace, and the kernel kills all other
/// processes of the namespace when PID 1 ends.
fn fork_workers(
    process: ProcessControl,
    count: u32,
    queue: &WorkQueue,
    work: &mut dyn FnMut(&WorkQueue, bool) -> Outcome<()>,
    here: bool,
) {
    let mut worker = None;
    if count > 1 {
        let parent = syscall::getpid();
        // SAFETY: `ProcessControl` guarantees that the process has one thread, and that all memory
        // of the program exists in a child. The child copies windows of the file, and exits.
        match unsafe { syscall::fork() } {
            Ok(None) => worker_main(process, parent, count - 1, queue, work),
            Ok(pid) => worker = pid,
            Err(_) => {}
        }
    }
    queue.work(work, here);
    if let Some(pid) = worker {
        wait(pid);
    }
}

/// The largest number of processes that copy one file.
pub const MAX_WORKERS: u32 = 64;

/// Runs a worker process, which forks the other workers, up to `count` including itself.
#[cold]
fn worker_main(
    process: ProcessControl,
    parent: Pid,
    count: u32,
    queue: &WorkQueue,
    work: &mut dyn FnMut(&WorkQueue, bool) -> Outcome<()>,
) -> ! {
    signals::forget_all();
    // If the parent is killed, the copy has failed, and the worker must not continue.
    // SAFETY: PR_SET_PDEATHSIG takes the number of a signal, and accesses no memory.
    let _ = unsafe { syscall::prctl(PR_SET_PDEATHSIG, [Signal::KILL.0 as usize, 0, 0, 0]) };
    // The parent may have been killed before the call, and then no signal is sent. The PID of a
    // parent outside of this PID namespace reads as 0.
    let now = syscall::getppid();
    if now == parent || now == 0 {
        queue.working.fetch_add(1, Relaxed);
        fork_workers(process, count, queue, work, false);
        queue.working.fetch_sub(1, Release);
    }
    syscall::exit_group(0);
}

/// Waits until a child has ended.
///
/// If the program ignores `SIGCHLD`, the call returns `ECHILD` when all children have ended. The
/// exit status is not needed.
fn wait(pid: Pid) {
    while let Err(Errno::EINTR) = syscall::waitid(Some(pid), WaitFlags::EXITED) {}
}
