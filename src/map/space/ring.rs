//! A ring buffer whose memory is mapped twice.

use core::{
    fmt,
    mem::ManuallyDrop,
    slice,
    sync::atomic::{Ordering::SeqCst, compiler_fence},
};

use super::{Arena, Placed, Reservation, reservation::whole_pages};
use crate::fd::AsFd;
use crate::map::{Advice, MmapRaw, Result, owned::memfd, region::Region};
use crate::syscall::{self, Errno, FallocateFlags, MapFlags, ProtFlags, Seals, page_size};

/// A ring buffer in which all readable bytes are one slice, and so is all free space.
///
/// ```
/// use baremap::map::Ring;
///
/// let mut ring = Ring::new(4096)?;
/// ring.push(&[1; 4000]);
/// ring.consume(3990);
/// // The bytes wrap around the end of the buffer, and are one slice nevertheless.
/// assert_eq!(ring.push(b"hello"), 5);
/// assert_eq!(ring.push(&vec![2; ring.capacity() - 15]), ring.capacity() - 15);
/// assert_eq!(ring.readable().len(), ring.capacity());
/// assert_eq!(&ring.readable()[10..15], b"hello");
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// The memory is a file without a name that is mapped twice, into two adjacent halves of a
/// [`Reservation`]. All of it is allocated when the ring is created, and the file is sealed against
/// being truncated, so that no access fails.
///
/// Writing and removing bytes need `&mut self`, so that two threads can use one ring only with a
/// lock.
///
/// # Fork
///
/// A child created by fork(2) does not have the memory (`MADV_DONTFORK`), because both processes
/// would share it, and each would change it while the other one uses it. In a child, reading or
/// writing the ring panics, and dropping it is a no-op, because another mapping may have its
/// addresses.
pub struct Ring {
    halves: ManuallyDrop<[Placed<MmapRaw, Reservation>; 2]>,
    /// One page whose first byte is 1 in this process, and 0 in a child (`MADV_WIPEONFORK`).
    here: Arena,
    /// The offset of the first readable byte, less than the capacity.
    start: usize,
    /// The number of readable bytes.
    len: usize,
}

impl Ring {
    /// Creates an empty ring for `capacity` bytes, rounded up to whole pages. A ring with a
    /// capacity of zero holds no bytes.
    ///
    /// # Errors
    ///
    /// * `ENOMEM` or `ENOSPC` if there is not enough memory or contiguous address space.
    /// * `EMFILE` or `ENFILE` if no file descriptor is free. One is used until the ring is created.
    /// * `EFBIG` if `capacity` is more than `RLIMIT_FSIZE`. The process is then also sent
    ///   `SIGXFSZ`.
    /// * `EOVERFLOW` if `capacity` is more than half of `isize::MAX`.
    /// * `EINVAL` before Linux 4.14, which does not know `MADV_WIPEONFORK`.
    pub fn new(capacity: usize) -> Result<Ring> {
        let capacity = whole_pages(capacity)?;
        let both = capacity.checked_mul(2).ok_or(Errno::EOVERFLOW)?;
        let mut first = Reservation::new(both)?;
        let second = first.split_off(capacity)?;

        let file = memfd(c"ring", capacity as u64)?;
        if capacity != 0 {
            syscall::fallocate(file.as_fd(), FallocateFlags::empty(), 0, capacity as u64)?;
        }
        let seals = Seals::SHRINK | Seals::GROW | Seals::SEAL;
        syscall::fcntl_add_seals(file.as_fd(), seals)?;
        let place = |half| -> Result<_> {
            let (prot, fd) = (ProtFlags::READ | ProtFlags::WRITE, Some(file.as_fd()));
            let map = Region::map(capacity, prot, MapFlags::SHARED, fd, 0, page_size())?;
            let half = Placed::new(MmapRaw(map), half, 0)?;
            half.advise(Advice::DontFork)?;
            Ok(half)
        };
        let halves = [place(first)?, place(second)?];

        let mut here = Arena::new(1)?;
        here.resize(1)?;
        // SAFETY: the arena owns the page, and its contents in a child are what `is_accessible` relies
        // on.
        unsafe { syscall::madvise(here.as_mut_ptr(), here.len(), syscall::Advice::WIPEONFORK)? };
        here[0] = 1;
        Ok(Ring { halves: ManuallyDrop::new(halves), here, start: 0, len: 0 })
    }

    /// Returns the capacity in bytes. It is a multiple of the page size.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.halves[0].len()
    }

    /// Returns the number of readable bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no readable bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns whether the memory of the ring exists in this process: `false` in a child of the
    /// process that created the ring, where reading and writing panic.
    #[must_use]
    pub fn is_accessible(&self) -> bool {
        self.here[0] == 1
    }

    /// Returns all readable bytes, the oldest first. They stay readable until
    /// [`consume`](Ring::consume) removes them.
    ///
    /// # Panics
    ///
    /// Panics in a child of the process that created the ring.
    #[must_use]
    pub fn readable(&self) -> &[u8] {
        assert!(self.is_accessible(), "a child does not have its parent's ring");
        let start = self.halves[0].as_ptr().wrapping_add(self.start);
        // SAFETY: the slice begins in the first half and is at most one half long, so that it is
        // mapped. Only `&mut self` changes it.
        unsafe { slice::from_raw_parts(start, self.len) }
    }

    /// Removes the `count` oldest bytes, which makes room for new ones.
    ///
    /// # Panics
    ///
    /// Panics if `count` is greater than [`len`](Ring::len).
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len, "more consumed than there is");
        self.len -= count;
        self.start += count;
        if self.start >= self.capacity() {
            self.start -= self.capacity();
        }
        remapped();
    }

    /// Returns all free space. What is written to its beginning becomes readable by
    /// [`produce`](Ring::produce). The space contains old bytes.
    ///
    /// # Panics
    ///
    /// Panics in a child of the process that created the ring.
    pub fn writable(&mut self) -> &mut [u8] {
        assert!(self.is_accessible(), "a child does not have its parent's ring");
        let room = self.capacity() - self.len;
        let mut end = self.start + self.len;
        if end >= self.capacity() {
            end -= self.capacity();
        }
        let start = self.halves[0].as_mut_ptr().wrapping_add(end);
        // SAFETY: the slice begins in the first half and is at most one half long, so that it is
        // mapped, and contains no byte twice. `&mut self` excludes other references.
        unsafe { slice::from_raw_parts_mut(start, room) }
    }

    /// Makes the first `count` bytes of [`writable`](Ring::writable) readable.
    ///
    /// # Panics
    ///
    /// Panics if `count` is greater than the length of the free space.
    pub fn produce(&mut self, count: usize) {
        assert!(count <= self.capacity() - self.len, "more produced than there is room");
        self.len += count;
        remapped();
    }

    /// Writes bytes to the ring, and returns their number: that of `bytes`, or of the free space
    /// if that is less.
    ///
    /// # Panics
    ///
    /// Panics in a child of the process that created the ring.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let room = self.writable();
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.produce(count);
        count
    }
}

/// Makes the compiler forget the contents of the ring. Each byte has two addresses, and what was
/// written through one must be read through the other, which the compiler does not know.
fn remapped() {
    compiler_fence(SeqCst);
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.is_accessible() {
            // SAFETY: the halves are not used again.
            unsafe { ManuallyDrop::drop(&mut self.halves) };
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("capacity", &self.capacity())
            .field("start", &self.start)
            .field("len", &self.len)
            .finish()
    }
}
