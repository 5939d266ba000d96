//! Memory that grows without moving.

use core::{
    fmt,
    ops::{Deref, DerefMut},
    result, slice,
};

use super::{Reservation, reservation::whole_pages};
use crate::map::{ConversionError, Result};
use crate::syscall::Errno;

/// Memory that can be resized and never moves. It dereferences to a `[u8]`.
///
/// ```
/// use baremap::map::Arena;
///
/// let mut arena = Arena::new(1 << 26)?;
/// for size in [1, 100, 10_000, 1_000_000] {
///     arena.resize(size)?;
///     arena[size - 1] = 1;
/// }
/// assert_eq!(arena.iter().filter(|&&byte| byte == 1).count(), 4);
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// An arena owns a [`Reservation`], and commits its first pages. A child created by fork(2) has its
/// own copy of the memory.
pub struct Arena {
    reservation: Reservation,
    /// The committed length in bytes, a multiple of the page size. The pages after it are reserved.
    len: usize,
}

impl Arena {
    /// Creates an empty arena that can grow to `capacity` bytes, rounded up to whole pages.
    ///
    /// Only address space is reserved. [`resize`](Arena::resize) commits memory.
    ///
    /// # Errors
    ///
    /// * `ENOMEM` if `capacity` contiguous bytes of address space are not free, if the address
    ///   space of the process would be more than `RLIMIT_AS`, or if the process has too many
    ///   mappings (`vm.max_map_count`).
    /// * `EOVERFLOW` if `capacity`, rounded up, is more than `isize::MAX`.
    pub fn new(capacity: usize) -> Result<Arena> {
        Ok(Arena { reservation: Reservation::new(capacity)?, len: 0 })
    }

    /// Creates an empty arena from a reservation, whose contents are discarded.
    ///
    /// The arena can thus be [aligned](Reservation::aligned), or be a part of a larger reservation
    /// ([`split_off`](Reservation::split_off)).
    ///
    /// # Errors
    ///
    /// The error contains the reservation, and is `ENOMEM` if the process has too many mappings
    /// (`vm.max_map_count`).
    pub fn from_reservation(
        mut reservation: Reservation,
    ) -> result::Result<Arena, ConversionError<Reservation>> {
        match reservation.reserve_all() {
            Ok(()) => Ok(Arena { reservation, len: 0 }),
            Err(errno) => Err(ConversionError { map: reservation, errno }),
        }
    }

    /// Returns the reservation with its contents. Its first [`len`](slice::len) bytes are
    /// committed.
    #[must_use]
    pub fn into_reservation(self) -> Reservation {
        self.reservation
    }

    /// Resizes the arena to `len` bytes, rounded up to whole pages. New pages are zero, and the
    /// memory of removed pages is freed.
    ///
    /// The length of the slice is the rounded one. Bytes of a page that stays keep their contents.
    ///
    /// # Errors
    ///
    /// After an error the length is unchanged.
    ///
    /// * `ENOMEM` if `len` is more than the [capacity](Arena::capacity).
    /// * `ENOMEM` if the kernel cannot commit the memory (see `overcommit_memory` in proc(5)), if
    ///   the limit `RLIMIT_DATA` is reached, or if the process has too many mappings
    ///   (`vm.max_map_count`).
    pub fn resize(&mut self, len: usize) -> Result<()> {
        if len > self.capacity() {
            return Err(Errno::ENOMEM);
        }
        let len = whole_pages(len)?;
        if len > self.len {
            // An earlier call that failed may have committed some of the pages. They are zero,
            // because the arena has not given them out.
            self.reservation.commit(self.len..len)?;
        } else {
            self.reservation.decommit(len..self.len)?;
        }
        self.len = len;
        Ok(())
    }

    /// Returns the greatest possible length in bytes. It is a multiple of the page size.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.reservation.len()
    }
}

impl Deref for Arena {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` bytes are committed, and the arena owns them.
        unsafe { slice::from_raw_parts(self.reservation.as_ptr(), self.len) }
    }
}

impl DerefMut for Arena {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: `len` bytes are committed, and `&mut self` excludes other references.
        unsafe { slice::from_raw_parts_mut(self.reservation.as_mut_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Arena {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for Arena {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("ptr", &self.as_ptr())
            .field("len", &self.len)
            .field("capacity", &self.capacity())
            .finish()
    }
}
