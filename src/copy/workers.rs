//! Several processes that copy one file.

use core::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering::*},
};

use linux_raw_sys::prctl::PR_SET_PDEATHSIG;

use super::plan::Window;
use super::{Action, Cause, Failure, Outcome, dest, signals};
use crate::map::MmapRaw;
use crate::syscall::{self, Errno, Pid, Signal, WaitFlags};

/// What the workers of a copy share. Positions are in units, for not every processor can
/// change 64 bits at once.
pub struct Board {
    /// All before it is taken.
    next: AtomicUsize,
    /// How much is copied.
    done: AtomicUsize,
    /// How many workers came to the end.
    finished: AtomicU32,
    /// Whether one has failed, and then whether it is written down.
    failed: AtomicU32,
    failure: UnsafeCell<MaybeUninit<Failure>>,
}

/// Bytes in a unit: no page is smaller.
const UNIT: u64 = 4096;

/// Bytes in units; the end of a file counts as that of its page.
fn units(bytes: u64) -> usize {
    bytes.div_ceil(UNIT) as usize
}

const FAILING: u32 = 1;
const FAILED: u32 = 2;

impl Board {
    /// All before `position` is somebody's already.
    pub const fn new(position: u64) -> Board {
        Board {
            next: AtomicUsize::new((position.div_ceil(UNIT)) as usize),
            done: AtomicUsize::new(0),
            finished: AtomicU32::new(0),
            failed: AtomicU32::new(0),
            failure: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Takes the next window, which `find` finds from a position on. `None`: there is none, or
    /// somebody has failed.
    pub fn take(&self, find: impl Fn(u64) -> Option<Window>) -> Option<Window> {
        let mut next = self.next.load(Relaxed);
        loop {
            if self.failed.load(Relaxed) != 0 {
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

    /// Ends the work of all. The first failure is the one that is told.
    fn fail(&self, failure: Failure) {
        if self.failed.compare_exchange(0, FAILING, Relaxed, Relaxed).is_ok() {
            // SAFETY: nobody else comes here, and nobody reads before the next line.
            unsafe { *self.failure.get() = MaybeUninit::new(failure) };
            self.failed.store(FAILED, Release);
        }
    }

    fn failure(&self) -> Option<Failure> {
        (self.failed.load(Acquire) == FAILED)
            // SAFETY: it was written before, and is not written again.
            .then(|| unsafe { (*self.failure.get()).assume_init() })
    }
}

/// Does the work in `count` processes, of which this is one: with fewer if there cannot be so
/// many. `work` is told whether it runs in this one. A failure of one is that of all.
pub fn run(
    count: u32,
    position: u64,
    work: &mut dyn FnMut(&Board, bool) -> Outcome<()>,
) -> Outcome<()> {
    let board = Board::new(position);
    if count > 1
        && let Ok(map) = MmapRaw::map_anon_shared(size_of::<Board>())
    {
        let shared = map.as_mut_ptr().cast::<Board>();
        // SAFETY: mapped, with room for it, and aligned to a page.
        unsafe { shared.write(board) };
        // SAFETY: as above; what changes in it is atomic, or guarded by what is.
        return run_shared(count, unsafe { &*shared }, work);
    }
    work(&board, true)
}

fn run_shared(
    count: u32,
    board: &Board,
    work: &mut dyn FnMut(&Board, bool) -> Outcome<()>,
) -> Outcome<()> {
    let mut pids = [0; MAX_WORKERS as usize];
    let mut helpers = 0;
    for pid in pids.iter_mut().take(count as usize - 1) {
        // SAFETY: the copy only copies a part of the file, and exits.
        match unsafe { syscall::fork() } {
            Ok(None) => help(board, work),
            Ok(Some(child)) => *pid = child,
            Err(_) => break,
        }
        helpers += 1;
    }
    if let Err(failure) = work(board, true) {
        board.fail(failure);
    }
    pids.iter().take(helpers as usize).for_each(|&pid| wait(pid));
    match board.failure() {
        Some(failure) => Err(failure),
        // One was killed, and what it had taken is copied by nobody.
        None if board.finished.load(Acquire) != helpers => Err(dest(Action::CopyTo, Cause::Worker)),
        None => Ok(()),
    }
}

/// No more than so many at one file.
pub const MAX_WORKERS: u32 = 64;

/// The whole life of a helper.
#[cold]
fn help(board: &Board, work: &mut dyn FnMut(&Board, bool) -> Outcome<()>) -> ! {
    signals::forget_all();
    // Whom it helps may be killed; then its work is of no use.
    // SAFETY: the argument is a number.
    let _ = unsafe { syscall::prctl(PR_SET_PDEATHSIG, [Signal::KILL.0 as usize, 0, 0, 0]) };
    if let Err(failure) = work(board, false) {
        board.fail(failure);
    }
    board.finished.fetch_add(1, Release);
    syscall::exit_group(0);
}

/// Waits for a child's end. (If the program ignores `SIGCHLD`, until there is no child: the
/// status is lost, and not needed.)
fn wait(pid: Pid) {
    while let Err(Errno::EINTR) = syscall::waitid(Some(pid), WaitFlags::EXITED) {}
}
