//! A range of addresses that is mapped, and unmapped when dropped: what all types of maps
//! are made of.

use core::{fmt, mem::ManuallyDrop, ptr};

use crate::fd::BorrowedFd;
use crate::syscall::{self, Advice, Errno, MapFlags, MremapFlags, MsyncFlags, ProtFlags, Result};

/// `len` bytes from `ptr` on. The mapping begins with the page that `ptr` is in, and ends
/// with a whole page_size.
///
/// A region of no bytes keeps one page mapped, beyond what anybody may access. The kernel
/// remembers with it the file, the offset and the flags, so that the region can grow. A region
/// that cannot grow has no page, no protection, and a pointer that leads nowhere:
/// [`is_unmapped`](Region::is_unmapped).
pub struct Region {
    ptr: *mut u8,
    len: usize,
    /// What the mapping's length is a multiple of: the size of its pages, in bytes. A power
    /// of two.
    page_size: usize,
    /// What may be done to the pages.
    prot: ProtFlags,
}

pub const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

// SAFETY: a pointer and numbers; the mapping is the process's, not a thread's. What may be
// done to the memory through a shared reference is for the types to say that have one.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Maps `len` bytes from an offset on, which need not be a page's.
    ///
    /// `EOVERFLOW`: more than `isize::MAX` bytes with those before them in their page, for
    /// a longer object does not exist in Rust.
    pub fn map(
        len: usize,
        prot: ProtFlags,
        flags: MapFlags,
        file: Option<BorrowedFd<'_>>,
        offset: u64,
        page_size: usize,
    ) -> Result<Region> {
        // The kernel grows no mapping of huge pages, so that one for no bytes would be a waste.
        if len == 0 && page_size != syscall::page_size() {
            return Ok(Region::empty(page_size));
        }
        let before = offset as usize & (page_size - 1);
        let length = Region::rounded(before, len, page_size)?;
        let null = ptr::null_mut();
        // SAFETY: without a fixed address nothing is replaced.
        let base =
            unsafe { syscall::mmap(null, length, prot, flags, file, offset - before as u64)? };
        Ok(Region { ptr: base.wrapping_add(before), len, page_size, prot })
    }

    /// Maps memory that begins at a multiple of `align` bytes, a power of two. For a moment
    /// `align` more are mapped, which take nothing but addresses.
    pub fn aligned(len: usize, prot: ProtFlags, flags: MapFlags, align: usize) -> Result<Region> {
        let (page_size, none) = (syscall::page_size(), ProtFlags::empty());
        let length = Region::rounded(0, len, page_size)?;
        let more = align.saturating_sub(page_size);
        let all = Region::map(length.saturating_add(more), none, flags, None, 0, page_size)?;
        let all = ManuallyDrop::new(all);
        let before = all.ptr.addr().wrapping_neg() & more;
        let part = |from: usize, len| Region {
            ptr: all.ptr.wrapping_add(from),
            len,
            page_size,
            prot: none,
        };
        drop((part(0, before), part(before + length, more - before)));
        let mut region = part(before, len);
        // SAFETY: nobody knows of it yet.
        unsafe { region.protect(prot)? };
        Ok(region)
    }

    /// No bytes and no mapping, at an address that is aligned as that of any mapping.
    pub const fn empty(page_size: usize) -> Region {
        let ptr = ptr::without_provenance_mut(page_size);
        Region { ptr, len: 0, page_size, prot: ProtFlags::empty() }
    }

    const fn is_unmapped(&self) -> bool {
        self.len == 0 && self.prot.is_empty()
    }

    /// The mapping's length for `len` bytes and those before them, at least one page.
    pub fn rounded(before: usize, len: usize, page_size: usize) -> Result<usize> {
        // Of its last page nobody can see what is beyond the bytes that were asked for.
        let end = before.saturating_add(len);
        if end > isize::MAX as usize {
            return Err(Errno::EOVERFLOW);
        }
        Ok((end.max(1) + (page_size - 1)) & !(page_size - 1))
    }

    /// What the mapping's length is a multiple of.
    pub const fn page_size(&self) -> usize {
        self.page_size
    }

    pub const fn ptr(&self) -> *mut u8 {
        self.ptr
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    /// The address and the length of the whole mapping. Must not be called if there is none.
    pub fn mapping(&self) -> (*mut u8, usize) {
        self.page_span(self.ptr, self.len.max(1))
    }

    /// The pages of a range, as an address and a length; `None` if it has no bytes, and
    /// `EINVAL` if it is not inside.
    fn pages(&self, offset: usize, len: usize) -> Result<Option<(*mut u8, usize)>> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => {}
            _ => return Err(Errno::EINVAL),
        }
        let start = self.ptr.wrapping_add(offset);
        Ok((len != 0).then(|| self.page_span(start, len)))
    }

    /// Some of the bytes with all of their pages.
    fn page_span(&self, start: *mut u8, len: usize) -> (*mut u8, usize) {
        let rest = self.page_size - 1;
        let before = start.addr() & rest;
        (start.wrapping_sub(before), (before + len + rest) & !rest)
    }

    pub fn flush(&self, offset: usize, len: usize, flags: MsyncFlags) -> Result<()> {
        let Some((start, length)) = self.pages(offset, len)? else { return Ok(()) };
        // SAFETY: the pages are this mapping's; no memory changes.
        unsafe { syscall::msync(start, length, flags) }
    }

    /// # Safety
    ///
    /// Nothing relies on what the advice changes.
    pub unsafe fn advise(&self, offset: usize, len: usize, advice: Advice) -> Result<()> {
        let Some((start, length)) = self.pages(offset, len)? else { return Ok(()) };
        // SAFETY: the pages are this mapping's; the rest is the caller's promise.
        unsafe { syscall::madvise(start, length, advice) }
    }

    pub fn lock(&self) -> Result<()> {
        let Some((start, length)) = self.pages(0, self.len)? else { return Ok(()) };
        // SAFETY: the pages are this mapping's; no memory changes.
        unsafe { syscall::mlock(start, length) }
    }

    pub fn unlock(&self) -> Result<()> {
        let Some((start, length)) = self.pages(0, self.len)? else { return Ok(()) };
        // SAFETY: as above; they were locked by way of this mapping.
        unsafe { syscall::munlock(start, length) }
    }

    /// After an error everything may be done to the memory that could be before.
    ///
    /// # Safety
    ///
    /// No reference to the memory needs what is no longer allowed.
    pub unsafe fn protect(&mut self, prot: ProtFlags) -> Result<()> {
        if self.is_unmapped() {
            return Ok(());
        }
        let (base, length) = self.mapping();
        // SAFETY: the pages are this mapping's; the rest is the caller's promise.
        let result = unsafe { syscall::mprotect(base, length, prot) };
        match result {
            Ok(()) => self.prot = prot,
            // The pages before the one for which it failed have changed.
            // SAFETY: as above; they are again what the memory's owner takes them for.
            Err(_) => drop(unsafe { syscall::mprotect(base, length, self.prot) }),
        }
        result
    }

    /// Seals the whole mapping, or unmaps what a region of no bytes has. The region must not be
    /// dropped after, nor anything else be done that the kernel refuses from now on.
    pub fn seal(&mut self) -> Result<()> {
        if self.len == 0 {
            self.unmap();
            return Ok(());
        }
        let (base, length) = self.mapping();
        // SAFETY: the pages are this mapping's.
        unsafe { syscall::mseal(base, length) }
    }

    /// Unmaps all, and leaves a region that cannot grow.
    pub fn unmap(&mut self) {
        *self = Region::empty(self.page_size);
    }

    /// `EINVAL`: nothing is mapped that could grow. Otherwise nothing has changed after an
    /// error, either.
    ///
    /// # Safety
    ///
    /// There is no reference to the memory.
    pub unsafe fn remap(&mut self, new_len: usize, may_move: bool) -> Result<()> {
        if new_len == 0 && self.page_size != syscall::page_size() {
            self.unmap();
        }
        if self.is_unmapped() {
            return if new_len == 0 { Ok(()) } else { Err(Errno::EINVAL) };
        }
        let (base, length) = self.mapping();
        let before = self.ptr.addr() - base.addr();
        let new_length = Region::rounded(before, new_len, self.page_size)?;
        let flags = if may_move { MremapFlags::MAYMOVE } else { MremapFlags::empty() };
        // SAFETY: the whole mapping, which is this value's own; nothing else has a pointer
        // to it, by the caller's promise.
        let base = unsafe { syscall::mremap(base, length, new_length, flags, ptr::null_mut())? };
        self.ptr = base.wrapping_add(before);
        self.len = new_len;
        Ok(())
    }

    /// Moves the whole mapping, of which there must be one, in place of another.
    ///
    /// # Safety
    ///
    /// As many pages from `to` on are the caller's, and there is no reference to them, nor
    /// to the memory.
    pub unsafe fn move_to(&mut self, to: *mut u8) -> Result<()> {
        let (base, length) = self.mapping();
        let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
        // SAFETY: the whole mapping, which is this value's own; the rest is the caller's
        // promise.
        unsafe { syscall::mremap(base, length, length, flags, to)? };
        self.ptr = to.wrapping_add(self.ptr.addr() - base.addr());
        Ok(())
    }
}

impl Drop for Region {
    #[inline(never)] // beside the call there is nothing to gain
    fn drop(&mut self) {
        if !self.is_unmapped() {
            let (base, length) = self.mapping();
            // SAFETY: the mapping is this value's own, and nobody may use it after this.
            let _ = unsafe { syscall::munmap(base, length) };
        }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("ptr", &self.ptr).field("len", &self.len).finish()
    }
}
