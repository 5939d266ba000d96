//! Reserved address space.

use core::{fmt, mem::ManuallyDrop, ops::Range, ptr, result, slice};

use crate::map::{ConversionError, Result};
use crate::syscall::{self, Advice, Errno, MapFlags, ProtFlags, page_size};

/// A reserved range of address space, in which memory is committed page by page.
///
/// The most frequent use is memory that grows and must not move. [`Arena`](crate::map::Arena) is a
/// reservation that keeps track of its committed length:
///
/// ```
/// use baremap::map::Arena;
///
/// // Reserves 1 GiB of address space, which takes no memory. A 32-bit system has less of it.
/// let mut arena = Arena::new(if cfg!(target_pointer_width = "64") { 1 << 30 } else { 1 << 26 })?;
/// arena.resize(100_000)?;
/// let before = arena.as_ptr();
/// arena[99_999] = 7;
/// arena.resize(10_000_000)?; // The arena grows without moving.
/// assert_eq!((arena.as_ptr(), arena[99_999], arena[9_999_999]), (before, 7, 0));
/// arena.resize(4096)?; // The memory of the other pages is freed.
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// # Pages
///
/// A page is *reserved* at first: it cannot be accessed, and takes neither memory nor swap space.
/// [`commit`](Reservation::commit) makes it zeroed memory, and [`decommit`](Reservation::decommit)
/// frees that memory and reserves the page again. [`guard_pages`](Reservation::guard_pages) makes a
/// page inaccessible, too, but without another mapping.
///
/// The caller keeps track of which pages are committed. The reservation allocates no memory for
/// that. Each call of `commit` returns the bytes as a slice. Between calls, they are accessed
/// through pointers ([`as_mut_ptr`](Reservation::as_mut_ptr)).
///
/// # Ownership
///
/// The methods replace pages with `MAP_FIXED`. They are safe, because a reservation owns the
/// pages that they replace. [`split_off`](Reservation::split_off) makes two reservations of one,
/// and [`merge`](Reservation::merge) makes one of two. [`Placed::new`](crate::map::Placed::new)
/// moves a map into a reservation. When the map is dropped, its pages are reserved again, and are
/// never free for another mapping meanwhile. If the map is leaked (`mem::forget`), its pages are
/// reserved again by the next call that changes the reservation.
///
/// Dropping a reservation unmaps all of its pages, including committed ones. The slices that
/// `commit` returns borrow the reservation, so that no slice outlives the pages. A child created by
/// fork(2) has its own copy of the memory.
pub struct Reservation {
    /// The first byte, page-aligned; dangling if the reservation was created empty.
    pub(super) ptr: *mut u8,
    /// The length in bytes, a multiple of the page size.
    pub(super) len: usize,
    /// Whether there may be guard pages (`MADV_GUARD_INSTALL`), which mprotect(2) does not remove.
    guards: bool,
    /// The offset and the length of a placed map. It is still mapped if the `Placed` was forgotten.
    pub(super) placed: Option<(usize, usize)>,
}

// SAFETY: the pages belong to the process, not to a thread.
unsafe impl Send for Reservation {}
// SAFETY: a shared reference gives out only a pointer and numbers. Memory is changed through
// `&mut self`.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `len` bytes of address space, rounded up to whole pages. A length of zero reserves
    /// nothing.
    ///
    /// Source: mmap(2), with `PROT_NONE`.
    ///
    /// # Errors
    ///
    /// * `ENOMEM` if `len` contiguous bytes of address space are not free, if the address space
    ///   of the process would be more than `RLIMIT_AS`, or if the process has too many mappings
    ///   (`vm.max_map_count`).
    /// * `EOVERFLOW` if `len`, rounded up, is more than `isize::MAX`.
    pub fn new(len: usize) -> Result<Reservation> {
        let len = whole_pages(len)?;
        let ptr = match len {
            0 => ptr::dangling_mut(),
            // The flags lack `MAP_NORESERVE`, because the kernel does not count pages that cannot
            // be written to anyway. With the flag it would not count committed pages either, so
            // that `commit` would not fail, and the process would be killed later.
            // SAFETY: without a fixed address, no existing mapping is replaced.
            _ => unsafe { syscall::mmap(ptr::null_mut(), len, NONE, ANONYMOUS, None, 0)? },
        };
        Ok(Reservation { ptr, len, guards: false, placed: None })
    }

    /// Reserves `len` bytes of address space, rounded up to whole pages, whose first byte is
    /// aligned to `align` bytes.
    ///
    /// A larger range is reserved for a moment, by up to `align` bytes. An alignment below the page
    /// size has no effect.
    ///
    /// # Errors
    ///
    /// * `EINVAL` if `align` is not a power of two.
    /// * `ENOMEM` if `len + align` contiguous bytes of address space are not free, if the address
    ///   space of the process would be more than `RLIMIT_AS`, or if the process has too many
    ///   mappings (`vm.max_map_count`).
    /// * `EOVERFLOW` if `len + align`, rounded up, is more than `isize::MAX`.
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

    /// Returns a pointer to the first byte. Only committed pages may be read.
    #[must_use]
    pub const fn as_ptr(&self) -> *const u8 {
        self.ptr
    }

    /// Returns a pointer to the first byte. Only committed pages may be read and written.
    #[must_use]
    pub const fn as_mut_ptr(&self) -> *mut u8 {
        self.ptr
    }

    /// Returns the length in bytes of all pages, committed or not. It is a multiple of the page
    /// size.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the length is zero.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Commits memory for the pages of a range, and returns the bytes of the range as a slice.
    ///
    /// Every page that contains a byte of the range is committed. The range need not be
    /// page-aligned. Pages that were committed before keep their contents. Other pages are zero,
    /// also those that were guard pages. A no-op if the range is empty.
    ///
    /// # Errors
    ///
    /// * `EINVAL` if the range, even an empty one, is not inside the reservation, or ends before it
    ///   begins.
    /// * `ENOMEM` if the kernel cannot commit the memory (see `overcommit_memory` in proc(5)), if
    ///   the limit `RLIMIT_DATA` is reached, or if the process has too many mappings
    ///   (`vm.max_map_count`). Some of the pages may be committed.
    pub fn commit(&mut self, range: Range<usize>) -> Result<&mut [u8]> {
        let mut pages = self.inside(&range)?;
        if pages.is_empty() {
            return Ok(&mut []);
        }
        self.reclaim()?;
        let before = pages.start % page_size();
        pages.start -= before;
        let (start, length) = (self.ptr.wrapping_add(pages.start), pages.len());
        // SAFETY: the reservation owns the pages, and `&mut self` excludes references to them. They
        // are private anonymous memory, because a map that was placed has been removed above.
        let bytes = unsafe {
            syscall::mprotect(start, length, READ_WRITE)?;
            if self.guards {
                match syscall::madvise(start, length, Advice::GUARD_REMOVE) {
                    // Kernels before Linux 6.13 have no guard pages.
                    Ok(()) | Err(Errno::EINVAL) => {}
                    Err(errno) => return Err(errno),
                }
            }
            slice::from_raw_parts_mut(start.wrapping_add(before), range.len())
        };
        Ok(bytes)
    }

    /// Frees the memory of a range of pages, and reserves the pages again. A no-op if the range is
    /// empty.
    ///
    /// # Errors
    ///
    /// * `EINVAL` if the range, even an empty one, is not inside the reservation, or does not begin
    ///   and end at multiples of the page size.
    /// * `ENOMEM` if the process has too many mappings (`vm.max_map_count`).
    pub fn decommit(&mut self, range: Range<usize>) -> Result<()> {
        let range = self.page_range(&range)?;
        self.reclaim()?;
        self.reserve_again(range)
    }

    /// Frees the memory of a range of pages, and makes them guard pages, which cannot be
    /// accessed. A no-op if the range is empty.
    ///
    /// [`commit`](Reservation::commit) turns guard pages into memory again.
    ///
    /// [`decommit`](Reservation::decommit) also makes pages inaccessible, but splits the mapping,
    /// and a process can have only 65530 mappings by default. Guard pages (`MADV_GUARD_INSTALL`,
    /// Linux 6.13) need no mappings of their own. Where the kernel refuses them, such as in
    /// locked memory, and on older kernels, this method falls back to `decommit`.
    ///
    /// qemu-user 7.2 and 10.0 report success without making guard pages: the pages stay accessible
    /// there. qemu-user 11.1 returns an error to this library, which falls back to `decommit`.
    ///
    /// Source: madvise(2).
    ///
    /// # Errors
    ///
    /// * `EINVAL` if the range, even an empty one, is not inside the reservation, or does not begin
    ///   and end at multiples of the page size.
    /// * `ENOMEM` if there is no memory for page tables, or, on older kernels, if the process has
    ///   too many mappings (`vm.max_map_count`).
    pub fn guard_pages(&mut self, range: Range<usize>) -> Result<()> {
        let range = self.page_range(&range)?;
        self.reclaim()?;
        // This is set whatever the result is, because a call that fails may have installed some.
        self.guards = true;
        let start = self.ptr.wrapping_add(range.start);
        // SAFETY: the reservation owns the pages, and `&mut self` excludes references to them.
        match unsafe { syscall::madvise(start, range.len(), Advice::GUARD_INSTALL) } {
            // Kernels before Linux 6.13 do not know the advice, and newer ones refuse it for locked
            // memory.
            Err(Errno::EINVAL) => self.reserve_again(range),
            result => result,
        }
    }

    /// Splits the reservation in two: `self` keeps the bytes before `at`, and the returned
    /// reservation owns the rest.
    ///
    /// Pages keep their state and contents. If `at` is zero, `self` becomes empty; if it is the
    /// length, the returned reservation is empty.
    ///
    /// # Errors
    ///
    /// * `EINVAL` if `at` is past the end, or is not a multiple of the page size.
    /// * `ENOMEM` if a placed map was leaked, and the process has too many mappings to remove it.
    pub fn split_off(&mut self, at: usize) -> Result<Reservation> {
        let rest = self.page_range(&(at..self.len))?;
        self.reclaim()?;
        self.len = at;
        Ok(Reservation {
            ptr: self.ptr.wrapping_add(at),
            len: rest.len(),
            guards: self.guards,
            placed: None,
        })
    }

    /// Appends a reservation that begins where this one ends, such as one that
    /// [`split_off`](Reservation::split_off) returned, even if it or this one is empty.
    ///
    /// # Errors
    ///
    /// The error contains `next`, and `self` is unchanged.
    ///
    /// * `EINVAL` if `next` does not begin where this reservation ends. A reservation that was
    ///   created with a length of zero begins nowhere.
    /// * `ENOMEM` if a placed map was leaked, and the process has too many mappings to remove it.
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

    /// Returns the range if it is inside the reservation, and `EINVAL` otherwise.
    fn inside(&self, range: &Range<usize>) -> syscall::Result<Range<usize>> {
        let inside = range.start <= range.end && range.end <= self.len;
        if inside { Ok(range.clone()) } else { Err(Errno::EINVAL) }
    }

    /// Returns the range if it is inside the reservation and consists of whole pages, and `EINVAL`
    /// otherwise.
    pub(super) fn page_range(&self, range: &Range<usize>) -> syscall::Result<Range<usize>> {
        let whole = (range.start | range.end).is_multiple_of(page_size());
        if whole { self.inside(range) } else { Err(Errno::EINVAL) }
    }

    /// Replaces a range of whole pages by reserved pages.
    ///
    /// A call with `MAP_FIXED` that fails may have unmapped the old pages (mmap(2)), which would
    /// leave a hole in the reservation. This call can fail after that only if the kernel has no
    /// memory for its own structures: no file is mapped, and no memory is counted.
    fn reserve_again(&mut self, range: Range<usize>) -> syscall::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let start = self.ptr.wrapping_add(range.start);
        let flags = ANONYMOUS.union(MapFlags::FIXED);
        // SAFETY: the reservation owns the pages, and `&mut self` excludes references to them.
        unsafe { syscall::mmap(start, range.len(), NONE, flags, None, 0).map(drop) }
    }

    /// Reserves all pages again.
    pub(super) fn reserve_all(&mut self) -> syscall::Result<()> {
        self.reserve_again(0..self.len)?;
        self.placed = None;
        self.guards = false;
        Ok(())
    }

    /// Replaces the pages of a placed map, if there is one, by reserved pages.
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
            // SAFETY: the reservation owns the pages, and is dropped.
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

/// Rounds a length up to whole pages. `EOVERFLOW` if the result is more than `isize::MAX`.
pub(super) fn whole_pages(len: usize) -> syscall::Result<usize> {
    let rounded = len.checked_next_multiple_of(page_size()).ok_or(Errno::EOVERFLOW)?;
    if rounded <= isize::MAX as usize { Ok(rounded) } else { Err(Errno::EOVERFLOW) }
}

const _: fn() = || {
    fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Reservation>();
};
