//! Memory that grows where it is.

use core::{
    fmt,
    ops::{Deref, DerefMut},
    result, slice,
};

use super::{Reservation, reservation::whole_pages};
use crate::map::{ConversionError, Result};
use crate::syscall::Errno;

/// Memory that becomes longer and shorter, and never moves: a `[u8]`.
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
/// It is the first pages of a [`Reservation`], committed.
pub struct Arena {
    reservation: Reservation,
    /// Whole pages; what is behind them is reserved.
    len: usize,
}

impl Arena {
    /// Reserves addresses for `capacity` bytes, rounded up to whole pages, and no memory.
    ///
    /// # Errors
    ///
    /// As for [`Reservation::new`].
    pub fn new(capacity: usize) -> Result<Arena> {
        Ok(Arena { reservation: Reservation::new(capacity)?, len: 0 })
    }

    /// Makes an arena of a reservation, which loses its contents: a reservation that is
    /// [aligned](Reservation::aligned), or part of one.
    ///
    /// # Errors
    ///
    /// It comes back with `ENOMEM` if there are too many mappings.
    pub fn from_reservation(
        mut reservation: Reservation,
    ) -> result::Result<Arena, ConversionError<Reservation>> {
        match reservation.reserve_all() {
            Ok(()) => Ok(Arena { reservation, len: 0 }),
            Err(errno) => Err(ConversionError { map: reservation, errno }),
        }
    }

    /// The reservation, contents and all: [`len`](slice::len) bytes of it are committed.
    #[must_use]
    pub fn into_reservation(self) -> Reservation {
        self.reservation
    }

    /// Makes it so many bytes long, rounded up to whole pages. New ones are zero; the memory
    /// of those that are gone is given back.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: more than the capacity; or as for [`commit`](Reservation::commit) and
    /// [`decommit`](Reservation::decommit). The length is then as it was.
    pub fn resize(&mut self, len: usize) -> Result<()> {
        if len > self.capacity() {
            return Err(Errno::ENOMEM);
        }
        let len = whole_pages(len)?;
        if len > self.len {
            // What an earlier call committed before it failed is in nobody's hands yet.
            self.reservation.commit(self.len..len)?;
        } else {
            self.reservation.decommit(len..self.len)?;
        }
        self.len = len;
        Ok(())
    }

    /// How many bytes it can have: whole pages.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.reservation.len()
    }
}

impl Deref for Arena {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes are committed, and nobody else has them.
        unsafe { slice::from_raw_parts(self.reservation.as_ptr(), self.len) }
    }
}

impl DerefMut for Arena {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
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
