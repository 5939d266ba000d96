//! A mapping that is unmapped when dropped. All types of maps are built on it.

use core::{fmt, mem::ManuallyDrop, ptr};

use crate::fd::BorrowedFd;
use crate::syscall::{self, Advice, Errno, MapFlags, MremapFlags, MsyncFlags, ProtFlags, Result};

/// Owns the mapping of `len` bytes from `ptr` on.
///
/// The mapping begins with the page that contains `ptr`, and its length is a multiple of
/// `page_size`.
///
/// A region of zero bytes keeps one page mapped, which nobody may access. The kernel stores the
/// file, the offset and the flags with that page, so that the region can grow. A region that cannot
/// grow has no page, no protection, and a dangling pointer: see
/// [`is_unmapped`](Region::is_unmapped).
pub struct Region {
    ptr: *mut u8,
    len: usize,
    /// The size of the mapping's pages in bytes, a power of two.
    page_size: usize,
    /// The protection of all pages.
    prot: ProtFlags,
}

pub const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Region {}
// SAFETY: a shared region gives out only numbers and a pointer. The types that contain a region
// decide what may be done with the memory through a shared reference.
unsafe impl Sync for Region {}

impl Region {
    /// Maps `len` bytes from `offset` on, which need not be page-aligned.
    ///
    /// `EOVERFLOW` if `len`, with the bytes before it in its first page, is more than `isize::MAX`,
    /// because no Rust object is larger.
    pub fn map(
        len: usize,
        prot: ProtFlags,
        flags: MapFlags,
        file: Option<BorrowedFd<'_>>,
        offset: u64,
        page_size: usize,
    ) -> Result<Region> {
        // The kernel cannot grow a mapping of huge pages (mremap(2) is `EINVAL`), so that a page
        // for a map of zero bytes would be wasted.
        if len == 0 && page_size != syscall::page_size() {
            return Ok(Region::empty(page_size));
        }
        let before = offset as usize & (page_size - 1);
        let length = Region::rounded(before, len, page_size)?;
        let null = ptr::null_mut();
        // SAFETY: without a fixed address, no existing mapping is replaced.
        let base =
            unsafe { syscall::mmap(null, length, prot, flags, file, offset - before as u64)? };
        Ok(Region { ptr: base.wrapping_add(before), len, page_size, prot })
    }

    /// Maps memory whose first byte is aligned to `align` bytes, a power of two.
    ///
    /// A larger range is mapped for a moment, by up to `align` bytes. It takes only address space.
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
        // SAFETY: there is no reference to the new memory yet.
        unsafe { region.protect(prot)? };
        Ok(region)
    }

    /// Creates a region of zero bytes without a mapping, whose dangling pointer is page-aligned.
    pub const fn empty(page_size: usize) -> Region {
        let ptr = ptr::without_provenance_mut(page_size);
        Region { ptr, len: 0, page_size, prot: ProtFlags::empty() }
    }

    /// Returns whether the region has no mapping.
    const fn is_unmapped(&self) -> bool {
        self.len == 0 && self.prot.is_empty()
    }

    /// Returns the length of the mapping of `before + len` bytes: rounded up to whole pages, and at
    /// least one page.
    pub fn rounded(before: usize, len: usize, page_size: usize) -> Result<usize> {
        // Only the requested bytes can be seen, so that the rounded length may be larger than
        // `isize::MAX`.
        let end = before.saturating_add(len);
        if end > isize::MAX as usize {
            return Err(Errno::EOVERFLOW);
        }
        Ok((end.max(1) + (page_size - 1)) & !(page_size - 1))
    }

    /// Sets the size of the mapping's pages, if it was not known when the mapping was made. The
    /// mapping begins at a multiple of `page_size`.
    pub const fn with_page_size(mut self, page_size: usize) -> Region {
        self.page_size = page_size;
        self
    }

    /// Returns the size of the mapping's pages in bytes.
    pub const fn page_size(&self) -> usize {
        self.page_size
    }

    pub const fn ptr(&self) -> *mut u8 {
        self.ptr
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns the address and the length of the whole mapping. Must not be called if the region
    /// has no mapping.
    pub fn mapping(&self) -> (*mut u8, usize) {
        self.page_span(self.ptr, self.len.max(1))
    }

    /// Returns the address and the length of the pages of a range, or `None` if the range is empty.
    /// `EINVAL` if the range is not inside the region.
    fn pages(&self, offset: usize, len: usize) -> Result<Option<(*mut u8, usize)>> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => {}
            _ => return Err(Errno::EINVAL),
        }
        let start = self.ptr.wrapping_add(offset);
        Ok((len != 0).then(|| self.page_span(start, len)))
    }

    /// Expands a range of bytes to whole pages.
    fn page_span(&self, start: *mut u8, len: usize) -> (*mut u8, usize) {
        let rest = self.page_size - 1;
        let before = start.addr() & rest;
        (start.wrapping_sub(before), (before + len + rest) & !rest)
    }

    pub fn flush(&self, offset: usize, len: usize, flags: MsyncFlags) -> Result<()> {
        let Some((start, length)) = self.pages(offset, len)? else { return Ok(()) };
        // SAFETY: the pages belong to this mapping, and msync(2) does not change memory.
        unsafe { syscall::msync(start, length, flags) }
    }

    /// # Safety
    ///
    /// * No code relies on contents that the advice changes.
    pub unsafe fn advise(&self, offset: usize, len: usize, advice: Advice) -> Result<()> {
        let Some((start, length)) = self.pages(offset, len)? else { return Ok(()) };
        // SAFETY: the pages belong to this mapping. The caller does not rely on contents that the
        // advice changes.
        unsafe { syscall::madvise(start, length, advice) }
    }

    pub fn lock(&self) -> Result<()> {
        let Some((start, length)) = self.pages(0, self.len)? else { return Ok(()) };
        // SAFETY: the pages belong to this mapping, and locking does not change memory.
        unsafe { syscall::mlock(start, length) }
    }

    pub fn unlock(&self) -> Result<()> {
        let Some((start, length)) = self.pages(0, self.len)? else { return Ok(()) };
        // SAFETY: the pages belong to this mapping, whose owner alone can have locked them.
        unsafe { syscall::munlock(start, length) }
    }

    /// Changes the protection of the whole mapping. After an error it has its old protection.
    ///
    /// # Safety
    ///
    /// * No reference to the memory needs an access that the new protection forbids.
    pub unsafe fn protect(&mut self, prot: ProtFlags) -> Result<()> {
        if self.is_unmapped() {
            return Ok(());
        }
        let (base, length) = self.mapping();
        // SAFETY: the pages belong to this mapping. The caller has no reference that needs the old
        // protection.
        let result = unsafe { syscall::mprotect(base, length, prot) };
        match result {
            Ok(()) => self.prot = prot,
            // mprotect(2) may have changed the pages before the one where it failed.
            // SAFETY: the pages belong to this mapping, and get the protection back that the owner
            // of the memory expects.
            Err(_) => drop(unsafe { syscall::mprotect(base, length, self.prot) }),
        }
        result
    }

    /// Seals the whole mapping, or unmaps the page of a region of zero bytes.
    ///
    /// Afterwards the region must not be dropped, because the kernel refuses to change or unmap a
    /// sealed mapping.
    pub fn seal(&mut self) -> Result<()> {
        if self.len == 0 {
            self.unmap();
            return Ok(());
        }
        let (base, length) = self.mapping();
        // SAFETY: the pages belong to this mapping.
        unsafe { syscall::mseal(base, length) }
    }

    /// Unmaps the whole mapping, and leaves a region of zero bytes that cannot grow.
    pub fn unmap(&mut self) {
        *self = Region::empty(self.page_size);
    }

    /// Resizes the mapping to `new_len` bytes. After an error the region is unchanged.
    ///
    /// `EINVAL` if the region has no mapping that could grow.
    ///
    /// # Safety
    ///
    /// * There is no reference to the memory.
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
        // SAFETY: the range is the whole mapping, which this value owns, and the caller has no
        // reference to it.
        let base = unsafe { syscall::mremap(base, length, new_length, flags, ptr::null_mut())? };
        self.ptr = base.wrapping_add(before);
        self.len = new_len;
        Ok(())
    }

    /// Moves the whole mapping to `to`, and replaces the pages there. Must not be called if the
    /// region has no mapping.
    ///
    /// # Safety
    ///
    /// * The caller owns as many pages from `to` on as the mapping has.
    /// * There is no reference to those pages, and none to the region's memory.
    pub unsafe fn move_to(&mut self, to: *mut u8) -> Result<()> {
        let (base, length) = self.mapping();
        let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
        // SAFETY: the range is the whole mapping, which this value owns. The caller owns the
        // target, and has no reference to either.
        unsafe { syscall::mremap(base, length, length, flags, to)? };
        self.ptr = to.wrapping_add(self.ptr.addr() - base.addr());
        Ok(())
    }
}

impl Drop for Region {
    #[inline(never)] // The system call costs far more than this call.
    fn drop(&mut self) {
        if !self.is_unmapped() {
            let (base, length) = self.mapping();
            // SAFETY: this value owns the mapping, and is dropped.
            let _ = unsafe { syscall::munmap(base, length) };
        }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("ptr", &self.ptr).field("len", &self.len).finish()
    }
}
