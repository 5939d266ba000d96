//! The maps in which the signal handler replaces missing pages by zero pages.

use core::{
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering::*, fence},
};

use super::{
    address_tree::AddressTree,
    guard,
    pool::{Pool, Slot},
};
use crate::map::Region;
use crate::syscall::{self, MapFlags, ProtFlags};

/// Whether any map was ever watched. A program that never stores `true` is linked without the code
/// that replaces pages.
pub(super) static WATCHED: AtomicBool = AtomicBool::new(false);

/// The value of [`Watch::lost`] if no page was replaced.
pub(super) const NOTHING_LOST: usize = usize::MAX;

/// A mapping in which the handler replaces missing pages.
///
/// The thread that watches the mapping stores the fields before it puts the entry into the table,
/// and removes it from the table before the mapping is unmapped. So a handler that finds the entry
/// of an address to which its thread has access reads fields that belong together.
pub(super) struct Entry {
    start: AtomicUsize,
    end: AtomicUsize,
    /// The size of the pages of the mapping in bytes.
    page_size: AtomicUsize,
    /// The protection of zero pages.
    prot: AtomicU32,
    /// Whether the table contains the whole mapping.
    is_in_table: AtomicBool,
    /// The offset from `start` from which on pages are, or are about to be, replaced.
    lost: AtomicUsize,
    /// The number of faults on replaced pages since `lost` changed.
    repeats: AtomicU32,
}

// SAFETY: zeros are valid for integers.
static ENTRIES: Pool<Entry> = unsafe { Pool::new() };
static TABLE: AddressTree<Entry> = AddressTree::new();

/// The watching of a mapping, from the first call of [`start`](Watch::start) until it is dropped.
///
/// Watching costs nothing as long as no page is missing, because all accesses by other means than
/// slices are guarded copies. So a mapping stays watched, and lending it as a slice once more is
/// free.
pub(super) struct Watch(AtomicPtr<Slot<Entry>>);

impl Watch {
    /// Creates a value that does not watch yet.
    pub const fn new() -> Watch {
        Watch(AtomicPtr::new(ptr::null_mut()))
    }

    fn slot(&self) -> Option<&'static Slot<Entry>> {
        // SAFETY: the pointer is null, or that of a slot, which is never unmapped.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    /// Returns the offset from the beginning of the mapping from which on the pages have been
    /// replaced by zero pages, or [`NOTHING_LOST`].
    ///
    /// If a byte was read before the call, the result is at most the offset of its page if that was
    /// a zero page. The compiler may move a read of a slice behind the call, unless the byte's value
    /// is passed to [`arch::opaque`](crate::arch::opaque) before.
    #[inline]
    pub fn lost(&self) -> usize {
        // The handler stores `lost` before it maps zero pages. The fence makes the loads of the
        // bytes come before the loads of this function.
        fence(Acquire);
        match self.slot() {
            None => NOTHING_LOST,
            Some(slot) => slot.value.lost.load(SeqCst),
        }
    }

    /// Returns the variable that [`lost`](Watch::lost) reads, if the mapping is watched.
    pub fn lost_variable(&self) -> Option<&'static AtomicUsize> {
        self.slot().map(|slot| &slot.value.lost)
    }

    /// Watches the mapping of a region, unless it is watched already.
    ///
    /// Several threads, and signal handlers that interrupt them, may call this at the same time:
    /// each of them does all of the work if it finds it undone.
    ///
    /// `ENOMEM` if there is no memory for the table, or the process has too many mappings.
    ///
    /// # Safety
    ///
    /// * `region` has a mapping, which stays unchanged until this value is dropped.
    /// * All calls pass one region.
    /// * Until then, the pages from any page to the end of the mapping may be replaced by zero
    ///   pages.
    #[inline]
    pub unsafe fn start(&self, region: &Region) -> syscall::Result<()> {
        match self.slot() {
            Some(slot)
                if slot.value.is_in_table.load(Acquire) && !SPARE.load(Relaxed).is_null() =>
            {
                Ok(())
            }
            // SAFETY: the caller meets the requirements.
            _ => unsafe { self.start_now(region) },
        }
    }

    #[cold]
    unsafe fn start_now(&self, region: &Region) -> syscall::Result<()> {
        guard::ready()?;
        keep_spare()?;
        WATCHED.store(true, Release);
        let (start, len) = region.mapping();
        let range = start.addr()..start.addr() + len;
        let slot = match self.slot() {
            Some(slot) => slot,
            None => {
                let slot = ENTRIES.claim()?;
                let entry = &slot.value;
                entry.start.store(range.start, Relaxed);
                entry.end.store(range.end, Relaxed);
                entry.page_size.store(region.page_size(), Relaxed);
                entry.prot.store(ProtFlags::READ.bits(), Relaxed);
                entry.is_in_table.store(false, Relaxed);
                entry.lost.store(NOTHING_LOST, Relaxed);
                entry.repeats.store(0, Relaxed);
                let at = ptr::from_ref(slot).cast_mut();
                match self.0.compare_exchange(ptr::null_mut(), at, AcqRel, Acquire) {
                    Ok(_) => slot,
                    Err(other) => {
                        // SAFETY: nobody else has the slot.
                        unsafe { ENTRIES.release(slot) };
                        // SAFETY: another thread stored its slot, which is never unmapped.
                        unsafe { &*other }
                    }
                }
            }
        };
        TABLE.insert(range, &slot.value)?;
        slot.value.is_in_table.store(true, Release);
        Ok(())
    }

    /// Sets the protection of zero pages, which is `READ` at first.
    pub fn set_prot(&self, prot: ProtFlags) {
        if let Some(slot) = self.slot() {
            slot.value.prot.store(prot.bits(), Release);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(slot) = self.slot() {
            let entry = &slot.value;
            TABLE.remove(entry.start.load(Relaxed)..entry.end.load(Relaxed));
            // SAFETY: the table does not contain the entry any more, and this value is dropped.
            unsafe { ENTRIES.release(slot) };
        }
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

/// The number of faults on replaced pages for which the handler waits before it replaces them
/// again, and then gives up.
const PATIENCE: u32 = 1 << 16;

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
    let Some(entry) = TABLE.get(addr.addr()) else { return false };
    let (start, end) = (entry.start.load(Relaxed), entry.end.load(Relaxed));
    let page_size = entry.page_size.load(Relaxed);
    let prot = ProtFlags::from_bits_retain(entry.prot.load(Acquire));
    let first = (addr.addr() - start) & !(page_size - 1);
    // The offset is stored before the zero pages are mapped, so that a thread that reads zeros
    // finds it afterwards.
    let before = entry.lost.fetch_min(first, SeqCst);
    let len = end - start;
    let (first, end) = if first < before {
        entry.repeats.store(0, Relaxed);
        (first, before.min(len))
    } else {
        // Another thread has recorded the offset, and is about to replace the page, or was when the
        // process was forked. Zero pages that are written to are replaced once more only if that
        // thread does not exist. Otherwise it does no harm, and happens at most once in each thread.
        let repeats = entry.repeats.fetch_add(1, Relaxed);
        if repeats >= 2 * PATIENCE {
            return false; // The address of the fault is wrong, as some are under qemu-user.
        }
        if prot.contains(ProtFlags::WRITE) && repeats < PATIENCE {
            syscall::sched_yield();
            return true;
        }
        (before, len)
    };
    let map_zeros = |first: usize, end: usize| {
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED | MapFlags::NORESERVE;
        let at = addr.with_addr(start + first);
        // SAFETY: the caller of `Watch::start` allows to replace these pages.
        unsafe { syscall::mmap(at, end - first, prot, flags, None, 0) }.is_ok()
    };
    if !SPARE.load(Acquire).is_null() && map_zeros(first, end) {
        return true;
    }
    give_up_spare();
    entry.lost.fetch_min(0, SeqCst);
    map_zeros(0, len)
}
