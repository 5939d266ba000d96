//! A mapped file as a slice, in which zero pages replace missing pages.

use core::slice;

use super::{Fault, FileMap, watch::Watch};
use crate::syscall::ProtFlags;

impl FileMap {
    /// Calls a function with the map as a slice, for code that needs a `&[u8]`, such as a parser of
    /// another crate.
    ///
    /// ```
    /// # use baremap::map::FileMap;
    /// let map = FileMap::open(c"Cargo.toml")?;
    /// // SAFETY: nobody changes the file meanwhile.
    /// let zeros = unsafe { map.with_slice(|bytes| bytes.iter().filter(|&&b| b == 0).count()) };
    /// assert_eq!(zeros, Ok(0));
    /// # Ok::<(), baremap::map::Error>(())
    /// ```
    ///
    /// If the function accesses a missing page, that page and all pages after it are replaced by
    /// zero pages. The function continues, and its result is dropped when it returns. From the
    /// missing page on, all methods return a [`Fault`] until the map is
    /// [refreshed](FileMap::refresh).
    ///
    /// The function may pass the slice to other threads, because the pages are replaced for all
    /// threads of the process.
    ///
    /// # Errors
    ///
    /// * A [`Fault`] if a page is missing, or was found to be missing before. Its
    ///   [`done`](Fault::done) is the number of bytes before that page.
    /// * A [`Fault`] with `ENOMEM` if there is no memory to register the slice with the signal
    ///   handler. The function is not called.
    ///
    /// # Safety
    ///
    /// * While the function runs, nobody changes the bytes of the map: no other process, and not
    ///   this one through a descriptor, another map, or [`write_at`](FileMap::write_at),
    ///   [`fill`](FileMap::fill) and [`copy_to`](FileMap::copy_to) of this map. Punching a hole
    ///   is such a change.
    /// * While the function runs, nobody extends the file after it was truncated.
    /// * While the function runs, nobody truncates the file within a page of the map, which would
    ///   change the rest of that page to zeros. A truncation by whole pages is allowed.
    /// * The function returns or panics. No signal handler jumps out of it with `siglongjmp`.
    pub unsafe fn with_slice<T>(
        &self,
        function: impl FnOnce(&[u8]) -> T,
    ) -> core::result::Result<T, Fault> {
        // SAFETY: the range is mapped as long as `self` exists. The caller excludes changes.
        let bytes = unsafe { slice::from_raw_parts(self.at(0), self.len()) };
        self.watched(ProtFlags::READ, false, || function(bytes))
    }

    /// Calls a function with the map as a slice that can be written to.
    ///
    /// If the function accesses a page that is missing or has no room on the disk, that page and
    /// all pages after it are replaced by zero pages. What the function writes to these pages
    /// afterwards is lost, and it no longer sees what it wrote to them before. What it wrote
    /// before the missing page is in the file. From the missing page on, all methods return a
    /// [`Fault`] until the map is [refreshed](FileMap::refresh).
    ///
    /// # Errors
    ///
    /// * A [`Fault`] if a page is missing or has no room on the disk, or was found to be missing
    ///   before. Its [`done`](Fault::done) is the number of bytes before that page.
    /// * A [`Fault`] with `EBADF` if the map is not writable. The function is not called.
    /// * A [`Fault`] with `ENOMEM` if there is no memory to register the slice with the signal
    ///   handler. The function is not called.
    ///
    /// # Safety
    ///
    /// * While the function runs, nobody else reads or changes the bytes of the map: no other
    ///   process, and not this one through a descriptor or another map. Punching a hole is such a
    ///   change.
    /// * While the function runs, nobody extends the file after it was truncated.
    /// * While the function runs, nobody truncates the file within a page of the map. A
    ///   truncation by whole pages is allowed.
    /// * The soundness of the function does not depend on reading back what it wrote, because the
    ///   written pages may be replaced by zero pages.
    /// * The function returns or panics. No signal handler jumps out of it with `siglongjmp`.
    pub unsafe fn with_slice_mut<T>(
        &mut self,
        function: impl FnOnce(&mut [u8]) -> T,
    ) -> core::result::Result<T, Fault> {
        self.writable(0)?;
        // SAFETY: the range is mapped as long as `self` exists, and writable. The caller excludes
        // other accesses.
        let bytes = unsafe { slice::from_raw_parts_mut(self.at(0), self.len()) };
        self.watched(self.prot, true, || function(bytes))
    }

    /// Calls a function while missing pages of the map are replaced by zero pages.
    fn watched<T>(
        &self,
        prot: ProtFlags,
        write: bool,
        function: impl FnOnce() -> T,
    ) -> core::result::Result<T, Fault> {
        let len = self.len();
        if len == 0 {
            return Ok(function());
        }
        // Pages may have been replaced by an earlier call.
        self.check_intact(0, len, Ok(()), write)?;
        let (base, length) = self.region.mapping();
        // SAFETY: the range is the region's own mapping, which exists as long as `self`. Zero pages
        // are seen by the function alone, because `check_intact` looks at `lost` for all others.
        let watch = unsafe { Watch::new(base, length, self.region.page_size(), prot, &self.lost) };
        let watch = watch.map_err(|errno| Fault { offset: 0, done: 0, errno: Some(errno) })?;
        let result = function();
        drop(watch);
        self.check_intact(0, len, Ok(()), write).map(|_| result)
    }
}
