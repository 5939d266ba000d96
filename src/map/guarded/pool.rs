//! Memory that is reused but never unmapped, so that a signal handler can read it at any time.

use core::{
    ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*},
};

use crate::syscall::{self, Errno, MapFlags, ProtFlags};

/// The length of one mapping of the pool in bytes.
const ARENA: usize = 64 << 10;

/// The beginning of a mapping of [`ARENA`] bytes.
#[repr(align(64))]
struct Arena {
    /// The number of bytes after this structure that have been allocated.
    used: AtomicUsize,
}

/// The mapping from which memory is allocated, or null before the first one is needed.
static CURRENT: AtomicPtr<Arena> = AtomicPtr::new(ptr::null_mut());

/// Returns zeroed memory for a `T`, which is never unmapped.
///
/// `ENOMEM` if there is no memory.
///
/// # Safety
///
/// * Zeroed memory is a valid `T`.
pub unsafe fn allocate<T>() -> syscall::Result<&'static T> {
    const { assert!(align_of::<T>() <= align_of::<Arena>()) }
    let size = size_of::<T>().next_multiple_of(align_of::<Arena>());
    let room = ARENA - size_of::<Arena>();
    loop {
        let arena = CURRENT.load(Acquire);
        // SAFETY: the pointer is null, or that of a mapping, which is never unmapped.
        if let Some(header) = unsafe { arena.as_ref() } {
            let add = |used| (used + size <= room).then_some(used + size);
            if let Ok(at) = header.used.fetch_update(Relaxed, Relaxed, add) {
                // SAFETY: the memory is inside the mapping, which is zeroed, and no other call
                // returns it, because `used` only grows. The caller allows zeros.
                return Ok(unsafe { &*arena.add(1).byte_add(at).cast::<T>() });
            }
        }
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
        // SAFETY: without a fixed address, no existing mapping is replaced.
        let new = unsafe { syscall::mmap(ptr::null_mut(), ARENA, prot, flags, None, 0)? };
        if CURRENT.compare_exchange(arena, new.cast(), AcqRel, Acquire).is_err() {
            // SAFETY: another thread stored its mapping first, and nothing refers to this one.
            unsafe { syscall::munmap(new, ARENA)? };
        }
    }
}

/// Values that are claimed and released. Their memory is never unmapped.
///
/// No thread waits for another one: a signal handler may claim a value at any time, and a child
/// that is created by `fork` in the middle of an operation loses one value at most.
pub struct Pool<T: 'static> {
    chunks: AtomicPtr<Chunk<T>>,
    /// The chunk in which a value was claimed or released last, or null.
    recent: AtomicPtr<Chunk<T>>,
}

/// The number of values of a chunk.
const VALUES: usize = usize::BITS as usize;

struct Chunk<T: 'static> {
    /// The set of values that are claimed, with one bit for each.
    claimed: AtomicUsize,
    next: AtomicPtr<Chunk<T>>,
    slots: [Slot<T>; VALUES],
}

/// A value of a [`Pool`].
pub struct Slot<T: 'static> {
    chunk: AtomicPtr<Chunk<T>>,
    pub value: T,
}

impl<T> Pool<T> {
    /// Creates a pool without values.
    ///
    /// # Safety
    ///
    /// * Zeroed memory is a valid `T`.
    pub const unsafe fn new() -> Pool<T> {
        let null = ptr::null_mut();
        Pool { chunks: AtomicPtr::new(null), recent: AtomicPtr::new(null) }
    }

    /// Returns a value that nobody else has. It is zero, or as it was when it was released.
    ///
    /// `ENOMEM` if there is no memory for more values.
    pub fn claim(&self) -> syscall::Result<&'static Slot<T>> {
        if let Some(slot) = chunk(&self.recent).and_then(Chunk::claim) {
            return Ok(slot);
        }
        let mut next = chunk(&self.chunks);
        while let Some(current) = next {
            if let Some(slot) = current.claim() {
                self.recent.store(ptr::from_ref(current).cast_mut(), Release);
                return Ok(slot);
            }
            next = chunk(&current.next);
        }
        // SAFETY: zeros are an empty set, null pointers, and values that the caller of `new`
        // allows.
        let new: &'static Chunk<T> = unsafe { allocate()? };
        let slot = new.claim().ok_or(Errno::ENOMEM)?; // The chunk is new, so that there is one.
        let at = ptr::from_ref(new).cast_mut();
        let mut first = self.chunks.load(Acquire);
        loop {
            new.next.store(first, Relaxed);
            match self.chunks.compare_exchange(first, at, AcqRel, Acquire) {
                Ok(_) => break,
                Err(other) => first = other,
            }
        }
        self.recent.store(at, Release);
        Ok(slot)
    }

    /// Makes a value available to others.
    ///
    /// # Safety
    ///
    /// * The caller claimed the value from this pool, and does not use it any more.
    pub unsafe fn release(&self, slot: &'static Slot<T>) {
        let at = slot.chunk.load(Relaxed);
        // SAFETY: `claim` stored the pointer of the chunk, which is never unmapped.
        let chunk = unsafe { &*at };
        let offset = ptr::from_ref(slot).addr() - chunk.slots.as_ptr().addr();
        chunk.claimed.fetch_and(!(1 << (offset / size_of::<Slot<T>>())), Release);
        self.recent.store(at, Release);
    }
}

/// Returns the chunk that a pointer refers to, unless it is null.
fn chunk<T>(pointer: &AtomicPtr<Chunk<T>>) -> Option<&'static Chunk<T>> {
    // SAFETY: the pointer is null, or that of a chunk, which is never unmapped.
    unsafe { pointer.load(Acquire).as_ref() }
}

impl<T> Chunk<T> {
    /// Claims a value of this chunk, or returns `None` if all are claimed.
    fn claim(&'static self) -> Option<&'static Slot<T>> {
        loop {
            let index = (!self.claimed.load(Relaxed)).trailing_zeros() as usize;
            let slot = self.slots.get(index)?;
            if self.claimed.fetch_or(1 << index, Acquire) & 1 << index == 0 {
                slot.chunk.store(ptr::from_ref(self).cast_mut(), Relaxed);
                return Some(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise the number could become zero again, and memory be returned twice.
    #[test]
    fn a_full_mapping_does_not_count_on() {
        let allocate = || {
            // SAFETY: zeros are valid integers.
            unsafe { allocate::<[u64; 100]>().unwrap() };
            CURRENT.load(Acquire)
        };
        let first = allocate();
        while allocate() == first {}
        // SAFETY: the mapping is never unmapped.
        let used = unsafe { (*first).used.load(Relaxed) };
        assert!(used <= ARENA - size_of::<Arena>(), "{used}");
    }
}
