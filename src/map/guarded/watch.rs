//! The table of maps in which the signal handler replaces missing pages by zero pages.

use core::{
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering::*, fence},
};

use super::guard;
use crate::syscall::{self, Errno, MapFlags, ProtFlags};

/// Whether any map was ever watched. A program that never stores `true` is linked without the code
/// that replaces pages.
pub(super) static WATCHED: AtomicBool = AtomicBool::new(false);

/// A watched map: an entry of the table that the signal handler reads, protected by a sequence
/// lock.
struct Entry {
    /// The version of the sequence lock. It is odd while the entry is in use or is changed: the
    /// thread that makes it odd owns the entry. The other fields are consistent if the version
    /// was equal before and after they were read.
    version: AtomicUsize,
    start: AtomicUsize,
    /// The end address, or zero while the other fields are not valid.
    end: AtomicUsize,
    /// The size of the pages of the mapping in bytes.
    page_size: AtomicUsize,
    prot: AtomicU32,
    /// The offset from `start` from which on zero pages have been mapped.
    zeroed_from: AtomicUsize,
    /// The number of faults on pages that had been replaced.
    repeats: AtomicU32,
    /// The variable that receives the offset from `start` of the first page that is replaced.
    lost: AtomicPtr<AtomicUsize>,
}

/// A list of tables. Tables are never unmapped, so that the handler can follow the list at any
/// time.
struct Table {
    entries: [Entry; Table::LEN],
    next: AtomicPtr<Table>,
}

static TABLE: Table = Table {
    entries: [const {
        Entry {
            version: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            page_size: AtomicUsize::new(0),
            prot: AtomicU32::new(0),
            zeroed_from: AtomicUsize::new(0),
            repeats: AtomicU32::new(0),
            lost: AtomicPtr::new(ptr::null_mut()),
        }
    }; Table::LEN],
    next: AtomicPtr::new(ptr::null_mut()),
};

impl Table {
    const LEN: usize = 16;

    /// Returns the next table of the list, if there is one.
    fn next(&self) -> Option<&'static Table> {
        // SAFETY: the pointer is null, or that of a table, which is never unmapped.
        unsafe { self.next.load(Acquire).as_ref() }
    }

    /// Returns the next table of the list, and maps it if there is none.
    fn grow(&self) -> syscall::Result<&'static Table> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
        // SAFETY: without a fixed address, no existing mapping is replaced.
        let new =
            unsafe { syscall::mmap(ptr::null_mut(), size_of::<Table>(), prot, flags, None, 0)? };
        // New memory is zero, which is a table of free entries.
        let linked = self.next.compare_exchange(ptr::null_mut(), new.cast(), AcqRel, Acquire);
        if linked.is_err() {
            // SAFETY: another thread linked its table first, and nothing refers to this one.
            unsafe { syscall::munmap(new, size_of::<Table>())? };
        }
        self.next().ok_or(Errno::ENOMEM) // A table is linked now, so that there is no error.
    }
}

/// A map that is in the handler's table until this value is dropped.
pub(super) struct Watch(&'static Entry);

impl Watch {
    /// Watches `len` bytes from `start` on. Both are multiples of `page_size`.
    ///
    /// `ENOMEM` if there is no memory for another table, or the process has too many mappings.
    ///
    /// # Safety
    ///
    /// Until the value is dropped:
    ///
    /// * The memory is one mapping that the caller owns.
    /// * The pages from any page to the end of the mapping may be replaced by zero pages.
    /// * `lost` stays at its address.
    pub unsafe fn new(
        start: *mut u8,
        len: usize,
        page_size: usize,
        prot: ProtFlags,
        lost: &AtomicUsize,
    ) -> syscall::Result<Watch> {
        guard::ready()?;
        keep_spare()?;
        WATCHED.store(true, Release);
        let mut table = &TABLE;
        loop {
            for entry in &table.entries {
                let version = entry.version.load(Relaxed);
                if version % 2 == 0
                    && entry
                        .version
                        .compare_exchange(version, version + 1, Acquire, Relaxed)
                        .is_ok()
                {
                    // A thread that reads one of the following stores also reads the new version.
                    fence(Release);
                    entry.start.store(start.addr(), Relaxed);
                    entry.page_size.store(page_size, Relaxed);
                    entry.prot.store(prot.bits(), Relaxed);
                    entry.zeroed_from.store(usize::MAX, Relaxed);
                    entry.repeats.store(0, Relaxed);
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
        self.0.version.fetch_add(1, Release);
    }
}

/// A spare mapping, or null. The handler unmaps it if the process has too many mappings
/// (`vm.max_map_count`), so that it can map zero pages.
static SPARE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// Maps the spare mapping if there is none.
fn keep_spare() -> syscall::Result<()> {
    if SPARE.load(Acquire).is_null() {
        // The kernel never merges a shared anonymous mapping with another mapping, so that
        // unmapping it always makes room for one.
        let flags = MapFlags::SHARED | MapFlags::ANONYMOUS | MapFlags::NORESERVE;
        // SAFETY: without a fixed address, no existing mapping is replaced.
        let new = unsafe { syscall::mmap(ptr::null_mut(), 1, ProtFlags::empty(), flags, None, 0)? };
        if SPARE.compare_exchange(ptr::null_mut(), new, AcqRel, Acquire).is_err() {
            // SAFETY: another thread stored its mapping first, and nothing refers to this one.
            unsafe { syscall::munmap(new, 1)? };
        }
    }
    Ok(())
}

/// Unmaps the spare mapping, if there is one.
fn give_up_spare() {
    let spare = SPARE.swap(ptr::null_mut(), AcqRel);
    if !spare.is_null() {
        // SAFETY: there is no reference to the memory, and only this thread took the address.
        let _ = unsafe { syscall::munmap(spare, 1) };
    }
}

/// Replaces the pages of a watched map by zero pages: from the page that contains `addr` to the
/// end of the map, or to the pages that have been replaced before. Returns whether there is such
/// a map.
///
/// All pages to the end are replaced, and not only the missing one, because the caller of
/// `with_slice` has no use for the bytes after a missing page, and because one large mapping does
/// not exceed the limit of mappings.
///
/// Zero pages over a part of the map split its mapping, and need one more. If the process has too
/// many mappings, or had too many since the spare mapping was made, the whole map is replaced,
/// which needs no more mappings.
pub(super) fn replace_with_zeros(addr: *mut u8) -> bool {
    let mut next = Some(&TABLE);
    while let Some(table) = next {
        for entry in &table.entries {
            let version = entry.version.load(Acquire);
            let end = entry.end.load(Acquire);
            let start = entry.start.load(Relaxed);
            let page_size = entry.page_size.load(Relaxed);
            let prot = ProtFlags::from_bits_retain(entry.prot.load(Relaxed));
            let lost = entry.lost.load(Relaxed);
            fence(Acquire);
            // An entry that changes meanwhile is that of another map: the entry of the map that
            // this thread accesses exists until the access is done.
            let is_consistent = version % 2 == 1 && entry.version.load(Relaxed) == version;
            if !is_consistent || !(start..end).contains(&addr.addr()) {
                continue;
            }
            let first = (addr.addr() - start) & !(page_size - 1);
            // The offset is stored before the zero pages are mapped, so that a thread that reads
            // zeros finds it afterwards.
            // SAFETY: the variable exists as long as the entry, and the entry as long as this
            // thread accesses the map.
            let before = unsafe { (*lost).fetch_min(first, SeqCst) };
            if before <= first {
                // Another thread replaces the page, or has replaced it. In the latter case, the
                // access succeeds when it is repeated. If it does not, the address of the fault is
                // wrong, as some are under qemu-user, and the limit ends the repetition.
                if entry.zeroed_from.load(Acquire) > first {
                    syscall::sched_yield();
                    return true;
                }
                return entry.repeats.fetch_add(1, Relaxed) < 4096;
            }
            let map_zeros = |first: usize, end: usize| {
                let flags =
                    MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED | MapFlags::NORESERVE;
                let at = addr.with_addr(start + first);
                // SAFETY: the caller of `Watch::new` allows to replace these pages.
                let mapped = unsafe { syscall::mmap(at, end - first, prot, flags, None, 0) };
                if mapped.is_ok() {
                    entry.zeroed_from.fetch_min(first, Release);
                }
                mapped
            };
            let len = end - start;
            if !SPARE.load(Acquire).is_null() && map_zeros(first, before.min(len)).is_ok() {
                return true;
            }
            give_up_spare();
            // SAFETY: the variable exists as long as the entry, and the entry as long as this
            // thread accesses the map.
            unsafe { (*lost).fetch_min(0, SeqCst) };
            return map_zeros(0, len).is_ok();
        }
        next = table.next();
    }
    false
}
