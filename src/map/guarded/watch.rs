//! Memory in which zeros take the place of missing pages: the table that the fault handler
//! reads, and how it lays them.

use core::{
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering::*, fence},
};

use super::guard;
use crate::syscall::{self, Errno, MapFlags, ProtFlags};

/// Whether any memory was ever watched: a program that does it nowhere goes without the code.
pub(super) static WATCHED: AtomicBool = AtomicBool::new(false);

/// Memory over which zeros are laid: an entry of the table that the handler reads.
struct Entry {
    /// Odd while it is in use or changed: whoever makes it so has the entry. What is read
    /// of it is one whole if this was the same before and after.
    turn: AtomicUsize,
    start: AtomicUsize,
    /// Zero while the rest of it means nothing.
    end: AtomicUsize,
    /// What the mapping consists of, in bytes: a page, or a huge one.
    unit: AtomicUsize,
    prot: AtomicU32,
    /// From where on there are zeros, counted from `start`.
    laid: AtomicUsize,
    /// How often a page was found missing that had been replaced.
    again: AtomicU32,
    /// Where to take a note of the first byte that is not the file's.
    lost: AtomicPtr<AtomicUsize>,
}

/// Tables are never given back, so that the handler can always follow the list.
struct Table {
    entries: [Entry; Table::LEN],
    next: AtomicPtr<Table>,
}

static TABLE: Table = Table {
    entries: [const {
        Entry {
            turn: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            unit: AtomicUsize::new(0),
            prot: AtomicU32::new(0),
            laid: AtomicUsize::new(0),
            again: AtomicU32::new(0),
            lost: AtomicPtr::new(ptr::null_mut()),
        }
    }; Table::LEN],
    next: AtomicPtr::new(ptr::null_mut()),
};

impl Table {
    const LEN: usize = 16;

    /// The next table, if there is one.
    fn next(&self) -> Option<&'static Table> {
        // SAFETY: null, or a table that was made for ever.
        unsafe { self.next.load(Acquire).as_ref() }
    }

    /// The next table, made if there is none.
    fn grow(&self) -> syscall::Result<&'static Table> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
        // SAFETY: replaces nothing.
        let new =
            unsafe { syscall::mmap(ptr::null_mut(), size_of::<Table>(), prot, flags, None, 0)? };
        // All zeros, which is a table of free entries.
        let linked = self.next.compare_exchange(ptr::null_mut(), new.cast(), AcqRel, Acquire);
        if linked.is_err() {
            // SAFETY: another thread was first, and nobody has seen this one.
            unsafe { syscall::munmap(new, size_of::<Table>())? };
        }
        self.next().ok_or(Errno::ENOMEM) // it was linked just now
    }
}

/// Memory that is in the handler's table until this is dropped.
pub(super) struct Watch(&'static Entry);

impl Watch {
    /// Watches `len` bytes from `start` on, both of them multiples of `unit`.
    ///
    /// `ENOMEM` if there is no memory for a longer table, or the process may have no more
    /// mappings.
    ///
    /// # Safety
    ///
    /// Until this is dropped the memory is one mapping of the caller's, which may be
    /// replaced by zeros from anywhere to its end, and `lost` stays where it is.
    pub unsafe fn new(
        start: *mut u8,
        len: usize,
        unit: usize,
        prot: ProtFlags,
        lost: &AtomicUsize,
    ) -> syscall::Result<Watch> {
        guard::ready()?;
        keep_spare()?;
        WATCHED.store(true, Release);
        let mut table = &TABLE;
        loop {
            for entry in &table.entries {
                let turn = entry.turn.load(Relaxed);
                if turn % 2 == 0
                    && entry.turn.compare_exchange(turn, turn + 1, Acquire, Relaxed).is_ok()
                {
                    fence(Release); // who reads what follows reads the new turn as well
                    entry.start.store(start.addr(), Relaxed);
                    entry.unit.store(unit, Relaxed);
                    entry.prot.store(prot.bits(), Relaxed);
                    entry.laid.store(usize::MAX, Relaxed);
                    entry.again.store(0, Relaxed);
                    entry.lost.store(ptr::from_ref(lost).cast_mut(), Relaxed);
                    entry.end.store(start.addr() + len, Release);
                    return Ok(Watch(entry));
                }
            }
            table = match table.next() {
                Some(next) => next,
                None => table.grow()?,
            };
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.end.store(0, Relaxed);
        self.0.turn.fetch_add(1, Release);
    }
}

/// A mapping that the handler unmaps when the kernel allows no more of them
/// (`vm.max_map_count`), to have one for zeros; null if it is not there.
static SPARE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// Maps the spare mapping if it is not there.
fn keep_spare() -> syscall::Result<()> {
    if SPARE.load(Acquire).is_null() {
        // The kernel joins a shared mapping of this kind with no other: unmapping it makes
        // room for one, always.
        let flags = MapFlags::SHARED | MapFlags::ANONYMOUS | MapFlags::NORESERVE;
        // SAFETY: replaces nothing.
        let new = unsafe { syscall::mmap(ptr::null_mut(), 1, ProtFlags::empty(), flags, None, 0)? };
        if SPARE.compare_exchange(ptr::null_mut(), new, AcqRel, Acquire).is_err() {
            // SAFETY: another thread was first, and nobody has seen this one.
            unsafe { syscall::munmap(new, 1)? };
        }
    }
    Ok(())
}

/// Unmaps the spare mapping, if it is there.
fn give_up_spare() {
    let spare = SPARE.swap(ptr::null_mut(), AcqRel);
    if !spare.is_null() {
        // SAFETY: there are no references to it, and only one thread has the address.
        let _ = unsafe { syscall::munmap(spare, 1) };
    }
}

/// Lays zeros over watched memory, from the page of `addr` to its end, or to where there are
/// zeros already: what is beyond a page that is missing is of no use to a caller that asked
/// for all, and a few large mappings cannot be too many. Returns whether there is such memory.
///
/// Zeros over a part split the mapping, and need one more. A process that may have no more
/// (or that was at this limit since the spare mapping was made) has all of the memory
/// replaced, which needs none.
pub(super) fn lay_zeros(addr: *mut u8) -> bool {
    let mut next = Some(&TABLE);
    while let Some(table) = next {
        for entry in &table.entries {
            let turn = entry.turn.load(Acquire);
            let end = entry.end.load(Acquire);
            let start = entry.start.load(Relaxed);
            let unit = entry.unit.load(Relaxed);
            let prot = ProtFlags::from_bits_retain(entry.prot.load(Relaxed));
            let lost = entry.lost.load(Relaxed);
            fence(Acquire);
            // An entry that changes meanwhile is another memory's: that of this thread's
            // access does not change before the access is done.
            let is_whole = turn % 2 == 1 && entry.turn.load(Relaxed) == turn;
            if !is_whole || !(start..end).contains(&addr.addr()) {
                continue;
            }
            let first = (addr.addr() - start) & !(unit - 1);
            // Before the zeros can be read: who reads them finds this note afterwards.
            // SAFETY: it stays as long as the entry, and the memory is in use by this thread.
            let before = unsafe { (*lost).fetch_min(first, SeqCst) };
            if before <= first {
                // Another thread was faster, and is done, or will be at once. If it was done
                // long ago, and this goes on, then the address is wrong, as some of qemu-user's
                // are, and there would be no end.
                if entry.laid.load(Acquire) > first {
                    syscall::sched_yield();
                    return true;
                }
                return entry.again.fetch_add(1, Relaxed) < 4096;
            }
            let lay = |first: usize, end: usize| {
                let flags =
                    MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED | MapFlags::NORESERVE;
                let at = addr.with_addr(start + first);
                // SAFETY: whoever watches the memory allowed it.
                let laid = unsafe { syscall::mmap(at, end - first, prot, flags, None, 0) };
                entry.laid.fetch_min(first, Release);
                laid
            };
            let len = end - start;
            if !SPARE.load(Acquire).is_null() && lay(first, before.min(len)).is_ok() {
                return true;
            }
            give_up_spare();
            // SAFETY: as above.
            unsafe { (*lost).fetch_min(0, SeqCst) };
            return lay(0, len).is_ok();
        }
        next = table.next();
    }
    false
}
