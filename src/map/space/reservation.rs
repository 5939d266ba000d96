//! Addresses without memory, and what is put there.

use core::{fmt, mem::ManuallyDrop, ops::Range, ptr, result, slice};

use crate::map::{ConversionError, Result};
use crate::syscall::{self, Advice, Errno, MapFlags, ProtFlags, page_size};

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
/// elsewhere is moved in by [`Placed::new`](crate::map::Placed::new), and leaves reserved pages behind when it is
/// dropped, never a hole that another mapping could take.
///
/// Dropping a reservation unmaps all of its pages, committed ones as well: a slice of them
/// borrows the reservation, so there is none. A child of fork(2) has a copy of its own.
pub struct Reservation {
    /// A page's; dangling if nothing was ever reserved.
    pub(super) ptr: *mut u8,
    /// Whole pages.
    pub(super) len: usize,
    /// Whether there may be guards, which `mprotect` does not remove.
    guards: bool,
    /// Where a map was placed, an offset and a length: it is still there if it was forgotten.
    pub(super) placed: Option<(usize, usize)>,
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

    pub(super) fn whole(&self, range: &Range<usize>) -> syscall::Result<Range<usize>> {
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
    pub(super) fn reclaim(&mut self) -> syscall::Result<()> {
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

pub(super) const NONE: ProtFlags = ProtFlags::empty();
const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);
pub(super) const ANONYMOUS: MapFlags = MapFlags::PRIVATE.union(MapFlags::ANONYMOUS);

pub(super) fn whole_pages(len: usize) -> syscall::Result<usize> {
    let rounded = len.checked_next_multiple_of(page_size()).ok_or(Errno::EOVERFLOW)?;
    if rounded <= isize::MAX as usize { Ok(rounded) } else { Err(Errno::EOVERFLOW) }
}

const _: fn() = || {
    fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Reservation>();
};
