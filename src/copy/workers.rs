//! Worker processes that copy one file.

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

/// The work that the processes of a copy share. Positions are in units, because not every
/// processor can change 64 bits at once.
pub struct WorkQueue {
    /// Where the next window begins.
    next: AtomicUsize,
    /// How much has been copied.
    done: AtomicUsize,
    /// How many forked workers have begun and not finished.
    working: AtomicU32,
    /// The first failure, which is the one that is reported; zero if there is none.
    failure: AtomicU32,
}

/// Bytes in a unit: no page is smaller.
const UNIT: u64 = 4096;

/// Bytes in units; the end of a file counts as that of its page.
const fn units(bytes: u64) -> usize {
    bytes.div_ceil(UNIT) as usize
}

/// Whether the positions in a file of so many bytes can be told: in 32 bits up to 16 TiB.
pub fn can_count(bytes: u64) -> bool {
    usize::try_from(bytes.div_ceil(UNIT)).is_ok()
}

impl WorkQueue {
    /// All before `position` is somebody's already.
    pub const fn new(position: u64) -> WorkQueue {
        WorkQueue {
            next: AtomicUsize::new(units(position)),
            done: AtomicUsize::new(units(position)),
            working: AtomicU32::new(0),
            failure: AtomicU32::new(0),
        }
    }

    /// Takes the next window, which `find` finds from a position on. `None`: there is none, or
    /// somebody has failed.
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

    /// Counts a window as copied, and tells how many bytes are, up to a unit for each.
    pub fn count(&self, window: &Window) -> u64 {
        let units = units(window.len as u64);
        (self.done.fetch_add(units, Relaxed) + units) as u64 * UNIT
    }

    /// Returns what came of the work, after all workers have ended.
    fn result(&self) -> Outcome<()> {
        match NonZeroU32::new(self.failure.load(Acquire)) {
            Some(bits) => Err(Failure(bits)),
            // One was killed, and what it had taken is copied by nobody.
            None if self.working.load(Acquire) != 0 => Err(dest(Action::CopyTo, Cause::Worker)),
            None => Ok(()),
        }
    }

    /// Does work that is done at this board; a failure ends that of all.
    fn work(&self, work: &mut dyn FnMut(&WorkQueue, bool) -> Outcome<()>, here: bool) {
        if let Err(Failure(bits)) = work(self, here) {
            let _ = self.failure.compare_exchange(0, bits.get(), Relaxed, Relaxed);
        }
    }
}

/// Does the work in up to `count` processes, of which this is one; in this one alone without
/// permission to fork. All before `position` is done already. `work` is told whether it runs in
/// this process. A failure of one is that of all.
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
        // SAFETY: mapped, with room for it, and aligned to a page; what changes in it is atomic.
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

/// Works in up to `count` processes, and returns when all forked ones have ended.
///
/// Each process forks one worker, and waits for it. After `unshare --pid` the first worker is
/// PID 1 of a namespace, and the kernel kills all others in it when PID 1 ends: here it ends last.
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
        // SAFETY: this is the only thread, as whoever made the permission promised, and the
        // child uses no memory that is missing there. It copies a part of the file, and exits.
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

/// No more than so many at one file.
pub const MAX_WORKERS: u32 = 64;

/// The whole life of a worker, which forks the others: up to `count` with it.
#[cold]
fn worker_main(
    process: ProcessControl,
    parent: Pid,
    count: u32,
    queue: &WorkQueue,
    work: &mut dyn FnMut(&WorkQueue, bool) -> Outcome<()>,
) -> ! {
    signals::forget_all();
    // Whom it helps may be killed; then its work is of no use.
    // SAFETY: the argument is a number.
    let _ = unsafe { syscall::prctl(PR_SET_PDEATHSIG, [Signal::KILL.0 as usize, 0, 0, 0]) };
    // It may have been by then. (A parent outside of this PID namespace has the number 0.)
    let now = syscall::getppid();
    if now == parent || now == 0 {
        queue.working.fetch_add(1, Relaxed);
        fork_workers(process, count, queue, work, false);
        queue.working.fetch_sub(1, Release);
    }
    syscall::exit_group(0);
}

/// Waits for a child's end. (If the program ignores `SIGCHLD`, until there is no child: the
/// status is lost, and not needed.)
fn wait(pid: Pid) {
    while let Err(Errno::EINTR) = syscall::waitid(Some(pid), WaitFlags::EXITED) {}
}
