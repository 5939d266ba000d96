//! Maps at a chosen address inside a reservation.

use core::{fmt, mem::ManuallyDrop, ops::Deref, ptr, result};

use super::{
    Reservation,
    reservation::{ANONYMOUS, NONE},
};
use crate::map::{ConversionError, Mmap, MmapMut, MmapRaw, region::Region};
use crate::syscall::{self, Errno, MapFlags, MremapFlags, page_size};

/// A map at a chosen address inside a [`Reservation`].
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
/// drop(placed); // The pages are reserved again.
/// assert_eq!(at, addresses.as_ptr().addr() + 3 * page);
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// A `Placed` dereferences to the map. The map can neither be resized, converted nor moved out,
/// because that would leave a hole in the reservation. [`AsMut`] returns the bytes of an
/// [`MmapMut`] for writing.
///
/// The reservation is borrowed or owned. A borrowed reservation can be used again when the
/// `Placed` is dropped. An owned one is dropped with it, unless
/// [`into_reservation`](Placed::into_reservation) returns it.
pub struct Placed<M: Map, R: ReservationHandle> {
    /// The map is never dropped, because the reservation owns its pages.
    map: ManuallyDrop<M>,
    reservation: R,
}

/// A map that can be [`Placed`]: [`Mmap`], [`MmapMut`] or [`MmapRaw`].
///
/// The trait is sealed.
pub trait Map: sealed::Map {}

/// A [`Reservation`] or a mutable reference to one.
///
/// The trait is sealed.
pub trait ReservationHandle: sealed::ReservationHandle {}

/// The methods of the traits. They are private, because [`Placed`] is sound only if they return the
/// same value at every call.
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
    /// Moves a map into a reservation, and replaces the pages from `offset` on, whether they are
    /// committed or not.
    ///
    /// The first page of the map is placed at `offset`. A map whose offset in its file is not
    /// page-aligned begins inside of that page. A map of zero bytes replaces nothing, has no
    /// address in the reservation, and can have any `offset`.
    ///
    /// The map takes address space twice until it has been moved.
    ///
    /// mremap(2) with `MREMAP_FIXED` moves the map. If it failed after it unmapped the target,
    /// another thread could map something there. Therefore everything that mremap(2) could refuse
    /// is tried before, where a failure does no harm.
    ///
    /// # Errors
    ///
    /// The error contains the map and the reservation.
    ///
    /// * `EINVAL` if `offset` is not a multiple of the page size, if the map does not fit into the
    ///   reservation at `offset`, or if the map consists of huge pages.
    /// * `EFAULT` if the map consists of several mappings, because advice was given for a part of
    ///   it, or if it is a map of device memory, which cannot grow.
    /// * `ENOMEM` if the process has too many mappings (`vm.max_map_count`).
    /// * `ENOMEM` if the kernel lacks memory for its own structures, or if other threads have
    ///   made too many mappings meanwhile. Pages that were committed in the target may then be
    ///   reserved. If another thread may have mapped something in the target, the reservation
    ///   ends at `offset` afterwards, and the address space after it is leaked.
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

    /// Unmaps the map, reserves its pages again, and returns the reservation.
    ///
    /// # Errors
    ///
    /// The error contains `self`, and is `ENOMEM` if the process has too many mappings
    /// (`vm.max_map_count`).
    pub fn into_reservation(mut self) -> result::Result<R, ConversionError<Placed<M, R>>> {
        match self.reservation.reservation().reclaim() {
            Ok(()) => {
                let this = ManuallyDrop::new(self);
                // SAFETY: the value is neither used again nor dropped.
                Ok(unsafe { ptr::read(&this.reservation) })
            }
            Err(errno) => Err(ConversionError { map: self, errno }),
        }
    }
}

/// Moves a map into a reservation.
fn place(map: &mut Region, to: &mut Reservation, offset: usize) -> syscall::Result<()> {
    if map.len() == 0 {
        // A placed map is never dropped, so that the page of an empty map would be leaked.
        map.unmap();
        return Ok(());
    }
    let (_, length) = map.mapping();
    let end = offset.checked_add(length).ok_or(Errno::EINVAL)?;
    let range = to.page_range(&(offset..end))?;
    if map.page_size() != page_size() {
        return Err(Errno::EINVAL);
    }
    to.reclaim()?;
    try_to_grow(map)?;
    try_to_move()?;
    let at = to.ptr.wrapping_add(offset);
    // SAFETY: the reservation owns the target, and `&mut` excludes references to both.
    if let Err(errno) = unsafe { map.move_to(at) } {
        // The kernel may have unmapped the target before it failed. If nothing is mapped there,
        // it is reserved again. If something is mapped there, it may belong to another thread.
        let flags = ANONYMOUS.union(MapFlags::FIXED_NOREPLACE);
        // SAFETY: `MAP_FIXED_NOREPLACE` replaces nothing.
        if unsafe { syscall::mmap(at, length, NONE, flags, None, 0) }.is_err() {
            to.len = offset;
        }
        return Err(errno);
    }
    to.placed = Some((range.start, range.len()));
    Ok(())
}

/// Returns `EFAULT` if the map consists of several mappings.
///
/// Growing with mremap(2) finds this out on all kernels. A move does not: until Linux 6.16 it fails
/// after the target was unmapped, and since Linux 6.17 it moves several mappings one by one.
fn try_to_grow(map: &Region) -> syscall::Result<()> {
    let (base, length) = map.mapping();
    let (page, flags) = (page_size(), MremapFlags::empty());
    // SAFETY: growing in place changes no page of the map, and takes a free page behind it.
    match unsafe { syscall::mremap(base, length, length + page, flags, ptr::null_mut()) } {
        Err(Errno::EFAULT) => Err(Errno::EFAULT),
        // Other errors do not matter, because the map is not to grow.
        Err(_) => Ok(()),
        // SAFETY: the page was mapped just now, and nothing refers to it.
        Ok(_) => unsafe { syscall::munmap(base.wrapping_add(length), page) },
    }
}

/// Returns `ENOMEM` if the process has too many mappings to move one, by moving a page of its own.
fn try_to_move() -> syscall::Result<()> {
    let page = page_size();
    let pages = ManuallyDrop::new(Reservation::new(2 * page)?);
    let (from, to) = (pages.ptr, pages.ptr.wrapping_add(page));
    let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
    // SAFETY: this function owns both pages. If the move succeeded, the target is the only one
    // left. If it failed, the target may be unmapped, and another thread may have mapped
    // something there, so that only the source is unmapped.
    unsafe {
        let moved = syscall::mremap(from, page, page, flags, to);
        syscall::munmap(if moved.is_ok() { to } else { from }, page)?;
        moved.map(drop)
    }
}

impl<M: Map, R: ReservationHandle> Drop for Placed<M, R> {
    fn drop(&mut self) {
        // If this fails, the map stays, and the next method of the reservation tries again.
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
