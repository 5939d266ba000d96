//! A buffer without an end.

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

/// A buffer that is written at one end and read at the other, in which all that can be read,
/// and all room to write, is in one piece.
///
/// ```
/// use baremap::map::Ring;
///
/// let mut ring = Ring::new(4096)?;
/// ring.push(&[1; 4000]);
/// ring.consume(3990);
/// // Beyond the last byte it goes on at the first, and yet it is one slice.
/// assert_eq!(ring.push(b"hello"), 5);
/// assert_eq!(ring.push(&vec![2; ring.capacity() - 15]), ring.capacity() - 15);
/// assert_eq!(ring.readable().len(), ring.capacity());
/// assert_eq!(&ring.readable()[10..15], b"hello");
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// The same memory, a file without a name, is mapped twice, the second time right behind the
/// first: both inside of a [`Reservation`], so that neither replaces anything. All of it is
/// allocated at once, and sealed against becoming shorter: no access fails.
///
/// A child of fork(2) does not have the memory (`MADV_DONTFORK`), for it would be the same
/// one, and each process would change it under the other's hands. To read or write such a ring
/// there is a panic, and dropping it does nothing: what is mapped there by then is another's.
pub struct Ring {
    halves: ManuallyDrop<[Placed<MmapRaw, Reservation>; 2]>,
    /// One page whose first byte is 1, and 0 in a child.
    here: Arena,
    /// The first byte to be read, below the capacity.
    start: usize,
    /// How many there are.
    len: usize,
}

impl Ring {
    /// A ring for `capacity` bytes, rounded up to whole pages; zero has room for none.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENOSPC`: no such addresses are free in one piece, or no memory. `EMFILE`,
    /// `ENFILE`: no descriptor is left, of which one is used for a moment. `EFBIG`: longer
    /// than `RLIMIT_FSIZE` (which is a signal as well, `SIGXFSZ`). `EOVERFLOW`: more
    /// than half of `isize::MAX` bytes. `EINVAL`: before Linux 4.14.
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
        // SAFETY: its own page, and what a child has there is what is relied on.
        unsafe { syscall::madvise(here.as_mut_ptr(), here.len(), syscall::Advice::WIPEONFORK)? };
        here[0] = 1;
        Ok(Ring { halves: ManuallyDrop::new(halves), here, start: 0, len: 0 })
    }

    /// How many bytes it has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.halves[0].len()
    }

    /// How many bytes can be read.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether this is the process that made it.
    fn is_here(&self) -> bool {
        self.here[0] == 1
    }

    /// All bytes that can be read, the oldest first.
    ///
    /// # Panics
    ///
    /// This process is a child of the one that made the ring.
    #[must_use]
    pub fn readable(&self) -> &[u8] {
        assert!(self.is_here(), "a child does not have its parent's ring");
        let start = self.halves[0].as_ptr().wrapping_add(self.start);
        // SAFETY: from a byte of the first half on, no more than one half: mapped, and only
        // `&mut self` changes it.
        unsafe { slice::from_raw_parts(start, self.len) }
    }

    /// Forgets the oldest bytes, which leaves room to write.
    ///
    /// # Panics
    ///
    /// There are not so many.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len, "more consumed than there is");
        self.len -= count;
        self.start += count;
        if self.start >= self.capacity() {
            self.start -= self.capacity();
        }
        remapped();
    }

    /// All room there is. What is written to it can be read after [`produce`](Ring::produce).
    ///
    /// # Panics
    ///
    /// This process is a child of the one that made the ring.
    pub fn writable(&mut self) -> &mut [u8] {
        assert!(self.is_here(), "a child does not have its parent's ring");
        let room = self.capacity() - self.len;
        let mut end = self.start + self.len;
        if end >= self.capacity() {
            end -= self.capacity();
        }
        let start = self.halves[0].as_mut_ptr().wrapping_add(end);
        // SAFETY: as above, and `&mut self` excludes other references. No byte is in it
        // twice.
        unsafe { slice::from_raw_parts_mut(start, room) }
    }

    /// Makes the first so many bytes of [`writable`](Ring::writable) the newest to be read.
    ///
    /// # Panics
    ///
    /// There is no room for so many.
    pub fn produce(&mut self, count: usize) {
        assert!(count <= self.capacity() - self.len, "more produced than there is room");
        self.len += count;
        remapped();
    }

    /// Writes as many bytes as there is room for, and returns how many.
    ///
    /// # Panics
    ///
    /// As [`writable`](Ring::writable) does.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let room = self.writable();
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.produce(count);
        count
    }
}

/// A byte has two addresses, of which the compiler knows nothing: what was written by one is
/// to be read by the other, and not to be remembered.
fn remapped() {
    compiler_fence(SeqCst);
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.is_here() {
            // SAFETY: not used again.
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
