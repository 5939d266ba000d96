//! Addresses without memory, and what is put there.

use core::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, Range},
    ptr, result, slice,
};

use crate::map::{ConversionError, Mmap, MmapMut, MmapRaw, Result, region::Region};
use crate::syscall::{self, Advice, Errno, MapFlags, MremapFlags, ProtFlags, page_size};

/// A range of addresses that nobody else gets, with memory only where it is asked for.
///
/// Memory that has to grow and must not move is what most need it for; [`Arena`](crate::map::Arena)
/// is a reservation that knows how far it is in use:
///
/// ```
/// use baremap::map::Arena;
///
/// // Addresses for 1 GiB, which cost nothing; a system of 32 bits has fewer.
/// let mut arena = Arena::new(if cfg!(target_pointer_width = "64") { 1 << 30 } else { 1 << 26 })?;
/// arena.resize(100_000)?;
/// let before = arena.as_ptr();
/// arena[99_999] = 7;
/// arena.resize(10_000_000)?; // it never moves
/// assert_eq!((arena.as_ptr(), arena[99_999], arena[9_999_999]), (before, 7, 0));
/// arena.resize(4096)?; // the rest of the memory goes back
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// # Pages
///
/// A page is *reserved* at first: it cannot be accessed, and takes neither memory nor swap.
/// [`commit`](Reservation::commit) makes zeroed memory of it, [`decommit`](Reservation::decommit)
/// a reserved page again, and [`guard_pages`](Reservation::guard_pages) one that cannot be accessed either,
/// at less cost amid memory. Which pages are what is the caller's to know: nothing is
/// allocated here to remember it. `commit` gives the bytes as a slice, as often as it is
/// called; pointers ([`as_mut_ptr`](Reservation::as_mut_ptr)) reach them in between.
///
/// # Ownership
///
/// Every call replaces pages of this reservation alone, which is why none is `unsafe`: what
/// `MAP_FIXED` destroys was this value's own. [`split_off`](Reservation::split_off) makes
/// two owners of one, [`merge`](Reservation::merge) one of two. A map that was made
/// elsewhere is moved in by [`Placed::new`], and leaves reserved pages behind when it is
/// dropped, never a hole that another mapping could take.
///
/// Dropping a reservation unmaps all of its pages, committed ones as well: a slice of them
/// borrows the reservation, so there is none. A child of fork(2) has a copy of its own.
pub struct Reservation {
    /// A page's; dangling if nothing was ever reserved.
    ptr: *mut u8,
    /// Whole pages.
    len: usize,
    /// Whether there may be guards, which `mprotect` does not remove.
    guards: bool,
    /// Where a map was placed, an offset and a length: it is still there if it was forgotten.
    placed: Option<(usize, usize)>,
}

// SAFETY: addresses of the process, not of a thread; memory is changed by `&mut self` alone.
unsafe impl Send for Reservation {}
// SAFETY: as above; by `&self` there is nothing but numbers.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `len` bytes of addresses, rounded up to whole pages. Zero reserves nothing.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: so many addresses are not free in one piece, or above `RLIMIT_AS`, or there
    /// are too many mappings. `EOVERFLOW`: more than `isize::MAX` bytes.
    pub fn new(len: usize) -> Result<Reservation> {
        let len = whole_pages(len)?;
        let ptr = match len {
            0 => ptr::dangling_mut(),
            // Not `MAP_NORESERVE`: pages that cannot be written to are not counted anyway,
            // and with it those that are committed would not be counted either, so that
            // the process would be killed later instead of getting an error here.
            // SAFETY: without a fixed address nothing is replaced.
            _ => unsafe { syscall::mmap(ptr::null_mut(), len, NONE, ANONYMOUS, None, 0)? },
        };
        Ok(Reservation { ptr, len, guards: false, placed: None })
    }

    /// Reserves addresses of which the first is a multiple of `align` bytes, a power of two.
    /// For a moment `align` more are reserved.
    ///
    /// # Errors
    ///
    /// As for [`new`](Reservation::new), and `EINVAL`: no power of two.
    pub fn aligned(len: usize, align: usize) -> Result<Reservation> {
        if !align.is_power_of_two() {
            return Err(Errno::EINVAL);
        }
        let more = align.saturating_sub(page_size());
        let len = whole_pages(len)?;
        let mut before = Reservation::new(len.checked_add(more).ok_or(Errno::EOVERFLOW)?)?;
        let mut all = before.split_off(before.ptr.addr().wrapping_neg() & more)?;
        drop(all.split_off(len)?);
        Ok(all)
    }

    /// The first byte. It may be read where pages are committed.
    #[must_use]
    pub const fn as_ptr(&self) -> *const u8 {
        self.ptr
    }

    /// The first byte. It may be read and written where pages are committed.
    #[must_use]
    pub const fn as_mut_ptr(&self) -> *mut u8 {
        self.ptr
    }

    /// How many bytes are reserved, committed or not: whole pages.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes memory of all pages that have bytes of a range, and gives those bytes. Pages
    /// that were committed before keep their contents, others are zero. No bytes: nothing.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the range is not inside. `ENOMEM`: more than the system is willing to
    /// promise (see `overcommit_memory` in proc(5)), or `RLIMIT_DATA`, or too many
    /// mappings; some of the pages may then be committed.
    pub fn commit(&mut self, range: Range<usize>) -> Result<&mut [u8]> {
        let mut pages = self.inside(&range)?;
        if pages.is_empty() {
            return Ok(&mut []);
        }
        self.reclaim()?;
        let before = pages.start % page_size();
        pages.start -= before;
        let (start, length) = (self.ptr.wrapping_add(pages.start), pages.len());
        // SAFETY: this value's own pages, to which `&mut self` excludes references. They are
        // private and anonymous, or become so: a map that was placed is gone.
        let bytes = unsafe {
            syscall::mprotect(start, length, READ_WRITE)?;
            if self.guards {
                match syscall::madvise(start, length, Advice::GUARD_REMOVE) {
                    // The kernel has none.
                    Ok(()) | Err(Errno::EINVAL) => {}
                    Err(errno) => return Err(errno),
                }
            }
            slice::from_raw_parts_mut(start.wrapping_add(before), range.len())
        };
        Ok(bytes)
    }

    /// Gives the memory of a range of pages back, and reserves them again. No bytes: nothing.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the range is not inside, or does not begin and end with whole pages.
    /// `ENOMEM`: too many mappings.
    pub fn decommit(&mut self, range: Range<usize>) -> Result<()> {
        let range = self.whole(&range)?;
        self.reclaim()?;
        self.reserve_again(range)
    }

    /// Makes guards of a range of pages, which cannot be accessed, and gives their memory
    /// back. Committing them makes memory of them again. No bytes: nothing.
    ///
    /// That is what [`decommit`](Reservation::decommit) does as well, but from Linux 6.13 on
    /// (`MADV_GUARD_INSTALL`) it makes no new mapping, of which a process can have 65530.
    /// Older kernels do the same as there. Source: madvise(2).
    ///
    /// # Errors
    ///
    /// As for `decommit`.
    pub fn guard_pages(&mut self, range: Range<usize>) -> Result<()> {
        let range = self.whole(&range)?;
        self.reclaim()?;
        // Whatever the result: a call that fails may have installed some.
        self.guards = true;
        let start = self.ptr.wrapping_add(range.start);
        // SAFETY: this value's own pages, to which `&mut self` excludes references.
        match unsafe { syscall::madvise(start, range.len(), Advice::GUARD_INSTALL) } {
            // The kernel has none, or not for memory that is locked.
            Err(Errno::EINVAL) => self.reserve_again(range),
            result => result,
        }
    }

    /// Splits the reservation: this one keeps the bytes before `at`, the other has the rest.
    /// Pages stay as they are, contents and all. At either end, one of both is empty.
    ///
    /// # Errors
    ///
    /// `EINVAL`: `at` is beyond the end, or inside of a page.
    pub fn split_off(&mut self, at: usize) -> Result<Reservation> {
        let rest = self.whole(&(at..self.len))?;
        self.reclaim()?;
        self.len = at;
        Ok(Reservation {
            ptr: self.ptr.wrapping_add(at),
            len: rest.len(),
            guards: self.guards,
            placed: None,
        })
    }

    /// Takes the reservation that begins where this one ends, and is then both.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it begins elsewhere. It comes back, and this one is as it was.
    pub fn merge(
        &mut self,
        mut next: Reservation,
    ) -> result::Result<(), ConversionError<Reservation>> {
        let adjacent = match self.ptr.wrapping_add(self.len) == next.ptr {
            true => self.reclaim().and_then(|()| next.reclaim()),
            false => Err(Errno::EINVAL),
        };
        if let Err(errno) = adjacent {
            return Err(ConversionError { map: next, errno });
        }
        let next = ManuallyDrop::new(next);
        self.len += next.len;
        self.guards |= next.guards;
        Ok(())
    }

    fn inside(&self, range: &Range<usize>) -> syscall::Result<Range<usize>> {
        let inside = range.start <= range.end && range.end <= self.len;
        if inside { Ok(range.clone()) } else { Err(Errno::EINVAL) }
    }

    fn whole(&self, range: &Range<usize>) -> syscall::Result<Range<usize>> {
        let whole = (range.start | range.end).is_multiple_of(page_size());
        if whole { self.inside(range) } else { Err(Errno::EINVAL) }
    }

    /// Whatever is in a range of whole pages gives way to reserved ones.
    ///
    /// A call with `MAP_FIXED` that fails may have unmapped what was there (mmap(2), POSIX),
    /// which would leave a hole. Nothing can make this one fail after that but a kernel
    /// without memory for itself: there is no file, and nothing to be counted.
    fn reserve_again(&mut self, range: Range<usize>) -> syscall::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let start = self.ptr.wrapping_add(range.start);
        let flags = ANONYMOUS.union(MapFlags::FIXED);
        // SAFETY: this value's own pages, to which `&mut self` excludes references.
        unsafe { syscall::mmap(start, range.len(), NONE, flags, None, 0).map(drop) }
    }

    /// No page is anything but reserved.
    pub(super) fn reserve_all(&mut self) -> syscall::Result<()> {
        self.reserve_again(0..self.len)?;
        self.placed = None;
        self.guards = false;
        Ok(())
    }

    /// Puts reserved pages where a map was placed and is no longer wanted.
    fn reclaim(&mut self) -> syscall::Result<()> {
        if let Some((offset, length)) = self.placed {
            self.reserve_again(offset..offset + length)?;
            self.placed = None;
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: this value's own pages, and nobody may use them after this.
            let _ = unsafe { syscall::munmap(self.ptr, self.len) };
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("ptr", &self.ptr).field("len", &self.len).finish()
    }
}

const NONE: ProtFlags = ProtFlags::empty();
const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);
const ANONYMOUS: MapFlags = MapFlags::PRIVATE.union(MapFlags::ANONYMOUS);

pub(super) fn whole_pages(len: usize) -> syscall::Result<usize> {
    let rounded = len.checked_next_multiple_of(page_size()).ok_or(Errno::EOVERFLOW)?;
    if rounded <= isize::MAX as usize { Ok(rounded) } else { Err(Errno::EOVERFLOW) }
}

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
pub struct Placed<M: Map, R: Addresses> {
    /// Not to be dropped: its pages are the reservation's.
    map: ManuallyDrop<M>,
    reservation: R,
}

/// The kinds of maps, which can be [`Placed`].
pub trait Map: sealed::Map {}
/// A [`Reservation`], or a mutable reference to one.
pub trait Addresses: sealed::Addresses {}

/// The traits' methods: nobody else may have them, for what they lead to must stay the same.
mod sealed {
    pub trait Map {
        fn region(&mut self) -> &mut super::Region;
    }
    pub trait Addresses {
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

impl Addresses for Reservation {}
impl sealed::Addresses for Reservation {
    fn reservation(&mut self) -> &mut Reservation {
        self
    }
}

impl Addresses for &mut Reservation {}
impl sealed::Addresses for &mut Reservation {
    fn reservation(&mut self) -> &mut Reservation {
        self
    }
}

impl<M: Map, R: Addresses> Placed<M, R> {
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
    if map.unit() != page_size() {
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

impl<M: Map, R: Addresses> Drop for Placed<M, R> {
    fn drop(&mut self) {
        // If it fails the map stays, and it is tried again when the pages are next used.
        let _ = self.reservation.reservation().reclaim();
    }
}

impl<M: Map, R: Addresses> Deref for Placed<M, R> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.map
    }
}

impl<R: Addresses> AsMut<[u8]> for Placed<MmapMut, R> {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }
}

impl<M: Map + fmt::Debug, R: Addresses> fmt::Debug for Placed<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Placed").field(&*self.map).finish()
    }
}

const _: fn() = || {
    fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Reservation>();
};
