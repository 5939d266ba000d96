//! A mapped file as a slice, in which zero pages replace missing pages.

use core::slice;

use super::{Fault, FileMap, watch::Watch};
use crate::{arch, syscall::ProtFlags};

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
    /// missing page on, all methods except
    /// [`read_at_without_signals`](FileMap::read_at_without_signals), which reads the file, return a
    /// [`Fault`] until the map is [refreshed](FileMap::refresh).
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
        self.watched(false, || function(bytes))
    }

    /// Calls a function with the map as a slice that can be written to.
    ///
    /// If the function accesses a page that is missing or has no room on the disk, that page and
    /// all pages after it are replaced by zero pages. What the function writes to these pages
    /// afterwards is lost, and it no longer sees what it wrote to them before. What it wrote
    /// before the missing page is in the file. From the missing page on, all methods except
    /// [`read_at_without_signals`](FileMap::read_at_without_signals), which reads the file, return a
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
        self.watched(true, || {
            let _writable = WritableZeros::new(&self.watch, self.prot);
            function(bytes)
        })
    }

    /// Calls a function while missing pages of the map are replaced by zero pages.
    fn watched<T>(
        &self,
        write: bool,
        function: impl FnOnce() -> T,
    ) -> core::result::Result<T, Fault> {
        // Pages may have been replaced by an earlier call.
        self.check_for(write)?;
        self.watch().map_err(|errno| Fault { offset: 0, done: 0, errno: Some(errno) })?;
        // What the function returns, and what it stores in variables of the caller, depends only on
        // reads between these two lines, even if the compiler inlines it.
        let function = arch::opaque(function);
        let result = arch::opaque(function());
        self.check_for(write).map(|()| result)
    }

    /// Makes the signal handler replace missing pages by zero pages, until the map is dropped or
    /// refreshed.
    pub(super) fn watch(&self) -> crate::map::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        // SAFETY: the region has a mapping, because the map is not empty. The mapping is unchanged
        // until `watch` is dropped, because `refresh` and the drop of the map drop it first. Zero
        // pages are seen by slices alone, because all other methods look at `lost`.
        unsafe { self.watch.start(&self.region) }
    }

    /// Returns a value that was computed from the slice, if no page of the map has been replaced by a
    /// zero page.
    ///
    /// The function that [`with_slice`](FileMap::with_slice) calls can call this method of the map
    /// before an effect that cannot be undone, such as output. If it returns `Ok`, all bytes of the
    /// slice that the value depends on were those of the file. This includes the contents of memory
    /// that the value refers to, except for the bytes of the slice itself. The method takes about a
    /// nanosecond, and moves the value through memory.
    ///
    /// ```
    /// # use baremap::map::{Fault, FileMap};
    /// let map = FileMap::open(c"Cargo.toml")?;
    /// // SAFETY: nobody changes the file meanwhile.
    /// let printed = unsafe {
    ///     map.with_slice(|bytes| {
    ///         let first_line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(&[]).to_vec();
    ///         let first_line = map.checked(first_line)?; // otherwise zeros could be printed
    ///         println!("{first_line:?}");
    ///         Ok::<(), Fault>(())
    ///     })
    /// };
    /// assert_eq!(printed, Ok(Ok(())));
    /// # Ok::<(), baremap::map::Error>(())
    /// ```
    ///
    /// Bytes that are output must be copied out of the slice before, as the line is here. Otherwise
    /// a page can get lost between the check and the output.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page was missing since the map was made or [refreshed](FileMap::refresh).
    /// Its [`offset`](Fault::offset) is that of the first replaced page, and its
    /// [`errno`](Fault::errno) says why it is missing now. The value is dropped.
    #[inline]
    pub fn checked<T>(&self, value: T) -> core::result::Result<T, Fault> {
        let value = arch::opaque(value);
        self.check().map(|()| value)
    }

    /// Checks that no page of the map has been replaced by a zero page so far.
    ///
    /// Use it to stop a long computation early. Use [`checked`](FileMap::checked) for a value that
    /// is used before [`with_slice`](FileMap::with_slice) returns: the compiler may read bytes of a
    /// slice later than the program says, after this check, because it assumes that they do not
    /// change.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page was missing since the map was made or [refreshed](FileMap::refresh).
    /// Its [`offset`](Fault::offset) is that of the first replaced page, and its
    /// [`errno`](Fault::errno) says why it is missing now.
    #[inline]
    pub fn check(&self) -> core::result::Result<(), Fault> {
        self.check_for(false)
    }

    /// Checks that no page has been replaced. The fault names the reason of a failed read, or write.
    #[inline]
    fn check_for(&self, write: bool) -> core::result::Result<(), Fault> {
        self.check_intact(0, self.len(), Ok(()), write).map(drop)
    }
}

/// Sets the protection of zero pages to that of the map, until it is dropped.
struct WritableZeros<'a>(&'a Watch);

impl<'a> WritableZeros<'a> {
    fn new(watch: &'a Watch, prot: ProtFlags) -> WritableZeros<'a> {
        watch.set_prot(prot);
        WritableZeros(watch)
    }
}

impl Drop for WritableZeros<'_> {
    fn drop(&mut self) {
        self.0.set_prot(ProtFlags::READ);
    }
}
