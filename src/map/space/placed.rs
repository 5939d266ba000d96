//! Maps at a chosen place inside of a reservation.

use core::{fmt, mem::ManuallyDrop, ops::Deref, ptr, result};

use super::{
    Reservation,
    reservation::{ANONYMOUS, NONE},
};
use crate::map::{ConversionError, Mmap, MmapMut, MmapRaw, region::Region};
use crate::syscall::{self, Errno, MapFlags, MremapFlags, page_size};

/// A map at a place of one's choice: inside of a [`Reservation`].
///
/// ```
/// use baremap::map::{MmapMut, Placed, Reservation};
/// # let page = baremap::syscall::page_size();
///
/// let mut addresses = Reservation::new(16 * page)?;
/// let mut map = MmapMut::map_anon(page)?;
/// map[0] = 1;
/// let placed = Placed::new(map, &mut addresses, 3 * page)?;
/// assert_eq!(placed[0], 1);
/// let at = placed.as_ptr().addr();
/// drop(placed); // reserved pages again
/// assert_eq!(at, addresses.as_ptr().addr() + 3 * page);
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// It is used as the map that it was, by reference: it cannot become longer, another kind
/// of map, or leave, which would be a hole in the reservation. [`AsMut`] gives the bytes of
/// an [`MmapMut`].
///
/// The reservation is either borrowed, and free again when this is dropped, or owned, and
/// dropped as well; [`into_reservation`](Placed::into_reservation) gives it back.
pub struct Placed<M: Map, R: ReservationHandle> {
    /// Not to be dropped: its pages are the reservation's.
    map: ManuallyDrop<M>,
    reservation: R,
}

/// The kinds of maps, which can be [`Placed`].
pub trait Map: sealed::Map {}
/// A [`Reservation`], or a mutable reference to one.
pub trait ReservationHandle: sealed::ReservationHandle {}

/// The traits' methods: nobody else may have them, for what they lead to must stay the same.
mod sealed {
    pub trait Map {
        fn region(&mut self) -> &mut super::Region;
    }
    pub trait ReservationHandle {
        fn reservation(&mut self) -> &mut super::Reservation;
    }
}

macro_rules! maps {
    ($($map:ident)*) => {$(
        impl Map for $map {}
        impl sealed::Map for $map {
            fn region(&mut self) -> &mut Region {
                &mut self.0
            }
        }
    )*};
}

maps!(Mmap MmapMut MmapRaw);

impl ReservationHandle for Reservation {}
impl sealed::ReservationHandle for Reservation {
    fn reservation(&mut self) -> &mut Reservation {
        self
    }
}

impl ReservationHandle for &mut Reservation {}
impl sealed::ReservationHandle for &mut Reservation {
    fn reservation(&mut self) -> &mut Reservation {
        self
    }
}

impl<M: Map, R: ReservationHandle> Placed<M, R> {
    /// Moves a map into a reservation, in place of the pages from `offset` on, whatever they
    /// were. A map of no bytes takes no place.
    ///
    /// The map is made elsewhere first, so that it takes addresses twice for a moment: what
    /// cannot be mapped fails there. A call that fails with the place already made free would
    /// leave it to other threads' mappings, be it mmap(2) with `MAP_FIXED` or mremap(2) with
    /// `MREMAP_FIXED`, which is what moves the map: so all that it could refuse is tried out
    /// before, at a place where it does no harm. Source: those pages.
    ///
    /// # Errors
    ///
    /// Both come back. `EINVAL`: the offset is inside of a page; there is no room for the
    /// map from it on; the map is one of huge pages. `EFAULT`: the map is several mappings,
    /// as after advice for a part of it, or of a device's memory, which cannot grow.
    /// `ENOMEM`: too many mappings.
    ///
    /// `ENOMEM` when it is the kernel itself that lacks memory, or other threads have made too
    /// many mappings just then: pages that were committed there may be reserved ones; and if
    /// that cannot be known, for another thread may have mapped something there, the
    /// reservation ends at `offset` from then on, and what was behind is leaked.
    pub fn new(
        mut map: M,
        mut reservation: R,
        offset: usize,
    ) -> result::Result<Placed<M, R>, ConversionError<(M, R)>> {
        match place(map.region(), reservation.reservation(), offset) {
            Ok(()) => Ok(Placed { map: ManuallyDrop::new(map), reservation }),
            Err(errno) => Err(ConversionError { map: (map, reservation), errno }),
        }
    }

    /// Unmaps the map, and gives back the reservation with reserved pages in its place.
    ///
    /// # Errors
    ///
    /// It comes back with `ENOMEM` if there are too many mappings.
    pub fn into_reservation(mut self) -> result::Result<R, ConversionError<Placed<M, R>>> {
        match self.reservation.reservation().reclaim() {
            Ok(()) => {
                let this = ManuallyDrop::new(self);
                // SAFETY: it is not used again, nor dropped.
                Ok(unsafe { ptr::read(&this.reservation) })
            }
            Err(errno) => Err(ConversionError { map: self, errno }),
        }
    }
}

fn place(map: &mut Region, to: &mut Reservation, offset: usize) -> syscall::Result<()> {
    if map.len() == 0 {
        map.unmap(); // the page would outlive a placed map, which is not dropped
        return Ok(());
    }
    let (_, length) = map.mapping();
    let end = offset.checked_add(length).ok_or(Errno::EINVAL)?;
    let range = to.whole(&(offset..end))?;
    if map.page_size() != page_size() {
        return Err(Errno::EINVAL);
    }
    to.reclaim()?;
    try_to_grow(map)?;
    try_to_move()?;
    let at = to.ptr.wrapping_add(offset);
    // SAFETY: the reservation's own pages, to which `&mut` excludes references; nor is there
    // one to the map's.
    if let Err(errno) = unsafe { map.move_to(at) } {
        // The kernel may have made room before it failed. If nothing is there, it is reserved
        // again; what is there may be the same as before, or somebody else's.
        let flags = ANONYMOUS.union(MapFlags::FIXED_NOREPLACE);
        // SAFETY: nothing is replaced.
        if unsafe { syscall::mmap(at, length, NONE, flags, None, 0) }.is_err() {
            to.len = offset;
        }
        return Err(errno);
    }
    to.placed = Some((range.start, range.len()));
    Ok(())
}

/// `EFAULT`: the map is not one mapping, of which only mremap(2) that makes it longer tells on
/// all kernels: until Linux 6.16 a move is refused, when the target is gone, and from then on
/// several are moved, one by one.
fn try_to_grow(map: &Region) -> syscall::Result<()> {
    let (base, length) = map.mapping();
    let (page, flags) = (page_size(), MremapFlags::empty());
    // SAFETY: where it is, no page of it changes, and one behind it was nobody's.
    match unsafe { syscall::mremap(base, length, length + page, flags, ptr::null_mut()) } {
        Err(Errno::EFAULT) => Err(Errno::EFAULT),
        // For other reasons, which do not matter: it shall not become longer.
        Err(_) => Ok(()),
        // SAFETY: just mapped, and known to nobody.
        Ok(_) => unsafe { syscall::munmap(base.wrapping_add(length), page) },
    }
}

/// `ENOMEM`: there are too many mappings to move any, tried with pages of its own.
fn try_to_move() -> syscall::Result<()> {
    let page = page_size();
    let pages = ManuallyDrop::new(Reservation::new(2 * page)?);
    let (from, to) = (pages.ptr, pages.ptr.wrapping_add(page));
    let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
    // SAFETY: both are this function's own; one is in the other's place, or neither is moved,
    // and then the other one may be anybody's by now.
    unsafe {
        let moved = syscall::mremap(from, page, page, flags, to);
        syscall::munmap(if moved.is_ok() { to } else { from }, page)?;
        moved.map(drop)
    }
}

impl<M: Map, R: ReservationHandle> Drop for Placed<M, R> {
    fn drop(&mut self) {
        // If it fails the map stays, and it is tried again when the pages are next used.
        let _ = self.reservation.reservation().reclaim();
    }
}

impl<M: Map, R: ReservationHandle> Deref for Placed<M, R> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.map
    }
}

impl<R: ReservationHandle> AsMut<[u8]> for Placed<MmapMut, R> {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }
}

impl<M: Map + fmt::Debug, R: ReservationHandle> fmt::Debug for Placed<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Placed").field(&*self.map).finish()
    }
}
