//! The types of owned maps: read-only, writable, and as pointers.

use core::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    slice,
};

use crate::arch;
use crate::map::{
    Advice, ConversionError, FlushOptions, MapIfSafeError, MmapAsRawDesc, MmapOptions,
    RemapOptions, Result, UncheckedAdvice, region::Region,
};
use crate::syscall::{Errno, MsyncFlags, ProtFlags};

/// A read-only map, which dereferences to a `[u8]`.
///
/// ```
/// use std::{fs::File, os::fd::AsRawFd};
/// use baremap::Mmap;
///
/// let file = File::open("Cargo.toml").unwrap();
/// // SAFETY: nobody changes or truncates the file while it is mapped.
/// let map = unsafe { Mmap::map(file.as_raw_fd())? };
/// assert!(map.starts_with(b"[package]"));
/// # Ok::<(), baremap::map::Error>(())
/// ```
pub struct Mmap(pub(in crate::map) Region);

/// A writable map, which dereferences to a `[u8]`.
///
/// ```
/// use baremap::MmapMut;
///
/// let mut map = MmapMut::map_anon(100)?;
/// map[..5].copy_from_slice(b"hello");
/// let map = map.make_read_only()?;
/// assert_eq!(&map[..6], b"hello\0");
/// # Ok::<(), baremap::map::Error>(())
/// ```
pub struct MmapMut(pub(in crate::map) Region);

/// A map that is accessed through a pointer and a length.
///
/// The map makes no promise about its memory. The bytes of a file change when anybody writes to the
/// file, and an access past the end of the file is `SIGBUS`.
pub struct MmapRaw(pub(in crate::map) Region);

impl Mmap {
    /// Maps a whole file for reading, as [`MmapOptions::map`] does with default options.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe, a character
    ///   device or most files in `/proc`.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the file is longer than `isize::MAX`.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file: no other process, and
    ///   no other part of this one. The bytes of a `&[u8]` must not change.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    pub unsafe fn map<T: MmapAsRawDesc>(file: T) -> Result<Mmap> {
        // SAFETY: the caller fulfills the obligations of `MmapOptions::map`, which are the same.
        unsafe { MmapOptions::new().map(file) }
    }

    /// Maps a whole file for reading if nobody can change or truncate it, as
    /// [`MmapOptions::map_if_safe`] does with default options.
    ///
    /// # Errors
    ///
    /// * [`NotSafe`](MapIfSafeError::NotSafe) if the file can be changed or truncated.
    /// * [`MapFailed`](MapIfSafeError::MapFailed) with `EBADF` if the descriptor is not open, with
    ///   `EMFILE` if no file descriptor is free for a duplicate, with `EACCES` if the descriptor is
    ///   not open for reading, with `ENOMEM` if there is not enough address space, or with
    ///   `EOVERFLOW` if the file is longer than `isize::MAX`.
    pub fn map_if_safe<T: MmapAsRawDesc>(file: T) -> core::result::Result<Mmap, MapIfSafeError> {
        MmapOptions::new().map_if_safe(file)
    }

    /// Makes the map writable. After an error the map is dropped;
    /// [`try_make_mut`](Self::try_make_mut) returns it instead.
    ///
    /// What is written to a shared map goes to the file. What is written to a private map, such as
    /// that of [`MmapOptions::map_copy_read_only`], does not. A map that was executable no longer
    /// is.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the map is shared, and its file was not open for writing.
    /// * `ENOMEM` if the map is private and the kernel cannot commit the memory for its copy, or if
    ///   the process has too many mappings (`vm.max_map_count`).
    pub fn make_mut(self) -> Result<MmapMut> {
        Ok(self.try_make_mut()?)
    }

    /// Makes the map writable, and returns the map after an error. A map that was executable no
    /// longer is.
    ///
    /// # Errors
    ///
    /// The error contains the map.
    ///
    /// * `EACCES` if the map is shared, and its file was not open for writing.
    /// * `ENOMEM` if the map is private and the kernel cannot commit the memory for its copy, or if
    ///   the process has too many mappings (`vm.max_map_count`).
    pub fn try_make_mut(self) -> core::result::Result<MmapMut, ConversionError<Mmap>> {
        convert(self, |map| &mut map.0, ProtFlags::READ | ProtFlags::WRITE).map(MmapMut)
    }
}

impl MmapMut {
    /// Maps a whole file for reading and writing, as [`MmapOptions::map_mut`] does with default
    /// options.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for both reading and writing, or is not that of a
    ///   regular file.
    /// * `EPERM` if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe, a character
    ///   device or most files in `/proc`.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the file is longer than `isize::MAX`.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody else reads or changes the mapped bytes of the file: no other
    ///   process, and no other part of this one. The bytes of a `&mut [u8]` belong to one owner.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    /// * The disk has room for what is written to holes of the file, and to blocks that it shares
    ///   with a clone. A store that finds no room is `SIGBUS`.
    pub unsafe fn map_mut<T: MmapAsRawDesc>(file: T) -> Result<MmapMut> {
        // SAFETY: the caller fulfills the obligations of `MmapOptions::map_mut`, which are the
        // same.
        unsafe { MmapOptions::new().map_mut(file) }
    }

    /// Maps `length` bytes of zeroed memory. The memory is private: a child created by `fork` has a
    /// copy of it.
    ///
    /// # Errors
    ///
    /// * `ENOMEM` if there is not enough memory or address space.
    /// * `EOVERFLOW` if `length` is more than `isize::MAX`.
    pub fn map_anon(length: usize) -> Result<MmapMut> {
        MmapOptions::new().len(length).map_anon()
    }

    /// Makes the map read-only. After an error the map is dropped;
    /// [`try_make_read_only`](Self::try_make_read_only) returns it instead.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if the process has too many mappings (`vm.max_map_count`).
    pub fn make_read_only(self) -> Result<Mmap> {
        Ok(self.try_make_read_only()?)
    }

    /// Makes the map read-only, and returns the map after an error.
    ///
    /// # Errors
    ///
    /// The error contains the map, and is `ENOMEM` if the process has too many mappings
    /// (`vm.max_map_count`).
    pub fn try_make_read_only(self) -> core::result::Result<Mmap, ConversionError<MmapMut>> {
        convert(self, |map| &mut map.0, ProtFlags::READ).map(Mmap)
    }

    /// Makes the map read-only and executable. After an error the map is dropped;
    /// [`try_make_exec`](Self::try_make_exec) returns it instead.
    ///
    /// On processors whose instruction cache does not follow stores by itself (not x86), it is
    /// flushed for the map. [`CodeMut`](crate::map::CodeMut) is the type for generated code.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the map is that of a file on a file system mounted `noexec`, or if a security
    ///   policy forbids it.
    /// * `ENOMEM` if the process has too many mappings (`vm.max_map_count`).
    pub fn make_exec(self) -> Result<Mmap> {
        Ok(self.try_make_exec()?)
    }

    /// Makes the map read-only and executable, and returns the map after an error.
    ///
    /// On processors whose instruction cache does not follow stores by itself (not x86), it is
    /// flushed for the map.
    ///
    /// # Errors
    ///
    /// The error contains the map.
    ///
    /// * `EACCES` if the map is that of a file on a file system mounted `noexec`, or if a security
    ///   policy forbids it.
    /// * `ENOMEM` if the process has too many mappings (`vm.max_map_count`).
    pub fn try_make_exec(self) -> core::result::Result<Mmap, ConversionError<MmapMut>> {
        if !self.is_empty() {
            let (start, length) = (self.0.ptr().expose_provenance(), self.0.len());
            // SAFETY: the range is mapped and readable, and flushing does not change its contents.
            if let Err(errno) = Errno::check(unsafe { arch::flush_icache(start, length) }) {
                return Err(ConversionError { map: self, errno });
            }
        }
        convert(self, |map| &mut map.0, ProtFlags::READ | ProtFlags::EXEC).map(Mmap)
    }
}

/// Changes the protection of a map, and takes the region out of it. Returns the map after an error.
fn convert<M>(
    mut map: M,
    region: fn(&mut M) -> &mut Region,
    prot: ProtFlags,
) -> core::result::Result<Region, ConversionError<M>> {
    // SAFETY: this function owns the map, so that there is no reference to its memory.
    if let Err(errno) = unsafe { region(&mut map).protect(prot) } {
        return Err(ConversionError { map, errno });
    }
    let mut map = ManuallyDrop::new(map);
    // SAFETY: the map is neither used again nor dropped.
    Ok(unsafe { core::ptr::read(region(&mut map)) })
}

impl MmapRaw {
    /// Maps a whole file for reading and writing, as [`MmapOptions::map_raw`] does with default
    /// options.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for both reading and writing, or is not that of a
    ///   regular file.
    /// * `EPERM` if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe, a character
    ///   device or most files in `/proc`.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the file is longer than `isize::MAX`.
    pub fn map_raw<T: MmapAsRawDesc>(file: T) -> Result<MmapRaw> {
        MmapOptions::new().map_raw(file)
    }

    /// Returns a pointer to the first byte. It must not be accessed if the length is zero.
    #[must_use]
    pub const fn as_ptr(&self) -> *const u8 {
        self.0.ptr()
    }

    /// Returns a pointer to the first byte. It may be written to only if the map is writable, and
    /// must not be accessed if the length is zero.
    #[must_use]
    pub const fn as_mut_ptr(&self) -> *mut u8 {
        self.0.ptr()
    }

    /// Returns the length in bytes: the requested length, not rounded up to pages.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the length is zero.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

/// The methods of all three types.
macro_rules! common {
    ($($map:ident)*) => {$(
        impl $map {
            /// Advises the kernel how the whole map will be used. A no-op if the map is empty.
            ///
            /// Source: madvise(2).
            ///
            /// # Errors
            ///
            /// `EINVAL` if the kernel does not know the advice, or does not accept it for this kind
            /// of mapping. See [`Advice`] for the other errors of some advice.
            #[doc(alias = "madvise")]
            pub fn advise(&self, advice: Advice) -> Result<()> {
                self.advise_range(advice, 0, self.0.len())
            }

            /// Advises the kernel how the pages of a range will be used. A no-op if `len` is zero.
            ///
            /// The advice applies to every page that contains one of the `len` bytes from `offset`
            /// on. Source: madvise(2).
            ///
            /// # Errors
            ///
            /// `EINVAL` if the range is not inside the map, or if the kernel does not know the
            /// advice, or does not accept it for this kind of mapping. See [`Advice`] for the other
            /// errors of some advice.
            pub fn advise_range(&self, advice: Advice, offset: usize, len: usize) -> Result<()> {
                let advice = advice.raw()?;
                // SAFETY: an `Advice` changes no contents that a reference can see. (`PageOut`
                // empties droppable memory, which has no references.)
                unsafe { self.0.advise(offset, len, advice) }
            }

            /// Gives the kernel advice that may change the contents of the map. A no-op if the map
            /// is empty.
            ///
            /// Source: madvise(2).
            ///
            /// # Errors
            ///
            /// `EINVAL` if the kernel does not know the advice, or does not accept it for this kind
            /// of mapping. See [`UncheckedAdvice`] for the other errors of some advice.
            ///
            /// # Safety
            ///
            /// * No code relies on the contents of the map.
            /// * There is no reference to the contents of the map.
            pub unsafe fn unchecked_advise(&self, advice: UncheckedAdvice) -> Result<()> {
                // SAFETY: the caller fulfills the obligations for the whole map.
                unsafe { self.unchecked_advise_range(advice, 0, self.0.len()) }
            }

            /// Gives the kernel advice that may change the contents of a range of pages. A no-op if
            /// `len` is zero.
            ///
            /// The advice applies to every page that contains one of the `len` bytes from `offset`
            /// on. Source: madvise(2).
            ///
            /// # Errors
            ///
            /// `EINVAL` if the range is not inside the map, or if the kernel does not know the
            /// advice, or does not accept it for this kind of mapping. See [`UncheckedAdvice`] for
            /// the other errors of some advice.
            ///
            /// # Safety
            ///
            /// * No code relies on the contents of these pages.
            /// * There is no reference to the contents of these pages.
            pub unsafe fn unchecked_advise_range(
                &self,
                advice: UncheckedAdvice,
                offset: usize,
                len: usize,
            ) -> Result<()> {
                // SAFETY: the caller fulfills the obligations for these pages.
                unsafe { self.0.advise(offset, len, advice.raw()) }
            }

            /// Locks the pages of the map in memory, so that they are never swapped out.
            ///
            /// All pages are brought into memory. In a writable private map of a file, all of them
            /// become copies. A child created by `fork` does not inherit the lock. A no-op if the
            /// map is empty. Source: mlock(2).
            ///
            /// # Errors
            ///
            /// * `ENOMEM` if the locked memory would be more than `RLIMIT_MEMLOCK`.
            /// * `ENOMEM` if a page cannot be brought into memory: it is past the end of the
            ///   file, a guard page, or has the protection `PROT_NONE`. The range stays locked
            ///   nevertheless (Linux 6.18).
            /// * `EPERM` if `RLIMIT_MEMLOCK` is zero.
            #[doc(alias = "mlock")]
            pub fn lock(&self) -> Result<()> {
                self.0.lock()
            }

            /// Unlocks the pages of the map, so that they may be swapped out, however often they
            /// were locked. A no-op if they are not locked. Source: munlock(2).
            ///
            /// # Errors
            ///
            /// Does not fail for a valid mapping.
            #[doc(alias = "munlock")]
            pub fn unlock(&self) -> Result<()> {
                self.0.unlock()
            }

            /// Resizes the map to `new_len` bytes.
            ///
            /// A map of a file shows the next bytes of the file when it grows. A map of private
            /// anonymous memory gets new pages of zeros; the bytes between the old length and the
            /// end of its last page keep what they contained. In shared anonymous memory and in
            /// secret memory, an access to the new pages is `SIGBUS`, because the memory is a file
            /// whose length does not change.
            ///
            /// A map of zero bytes keeps one page of address space, and grows like any other map
            /// unless it was made for huge pages. Source: mremap(2).
            ///
            /// # Errors
            ///
            /// After an error the map is unchanged.
            ///
            /// * `ENOMEM` if the map cannot grow in place and may not move, or if there is not
            ///   enough memory or address space.
            /// * `EINVAL` if the map consists of huge pages, or was made for huge pages with a
            ///   length of zero.
            /// * `EOVERFLOW` if `new_len` is more than `isize::MAX`.
            /// * `EFAULT` if the map consists of several mappings, because advice was given for a
            ///   part of it.
            /// * `EAGAIN` if the map is locked, and the locked memory would be more than
            ///   `RLIMIT_MEMLOCK`.
            ///
            /// # Safety
            ///
            /// * The obligations of the function of [`MmapOptions`] that mapped the file hold for
            ///   the new length.
            /// * No pointer to the map is used afterwards if the map may move, and none to bytes
            ///   behind the new end if it shrinks.
            #[doc(alias = "mremap")]
            pub unsafe fn remap(&mut self, new_len: usize, options: RemapOptions) -> Result<()> {
                // SAFETY: `&mut self` excludes references, and the caller uses no pointers.
                unsafe { self.0.remap(new_len, options.may_move) }
            }
        }

        impl fmt::Debug for $map {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($map))
                    .field("ptr", &self.0.ptr())
                    .field("len", &self.0.len())
                    .finish()
            }
        }
    )*};
}

/// The methods of the types that may be writable.
macro_rules! writable {
    ($($map:ident)*) => {$(
        impl $map {
            /// Writes the changed pages of the map back to the file, and waits for the disk.
            ///
            /// The data is on the disk when this returns `Ok`. A no-op for anonymous memory, and
            /// for private maps of files, whose changes are never written back. Dropping a map
            /// neither waits for the disk nor reports errors of writing back. Source: `MS_SYNC` in
            /// msync(2).
            ///
            /// # Errors
            ///
            /// `EIO`, `ENOSPC` or `EDQUOT` if the disk failed or is full. The kernel reports an
            /// error once: the next `flush` returns `Ok` although the data is lost.
            #[doc(alias = "msync")]
            pub fn flush(&self) -> Result<()> {
                self.flush_range(0, self.0.len())
            }

            /// Writes the changed pages of a range back to the file, and waits for the disk.
            ///
            /// Every page that contains one of the `len` bytes from `offset` on is written back. A
            /// no-op if `len` is zero, for anonymous memory, and for private maps of files. Source:
            /// `MS_SYNC` in msync(2).
            ///
            /// # Errors
            ///
            /// * `EINVAL` if the range is not inside the map.
            /// * `EIO`, `ENOSPC` or `EDQUOT` if the disk failed or is full. The kernel reports an
            ///   error once: the next flush returns `Ok` although the data is lost.
            pub fn flush_range(&self, offset: usize, len: usize) -> Result<()> {
                self.0.flush(offset, len, MsyncFlags::SYNC)
            }

            /// Does nothing, because Linux writes changed pages back in its own time (`MS_ASYNC` in
            /// msync(2)). The method exists for compatibility with memmap2.
            ///
            /// # Errors
            ///
            /// Does not fail for a valid mapping.
            pub fn flush_async(&self) -> Result<()> {
                self.flush_async_range(0, self.0.len())
            }

            /// Checks the range and does nothing else, because Linux writes changed pages back in
            /// its own time (`MS_ASYNC` in msync(2)). The method exists for compatibility with
            /// memmap2.
            ///
            /// # Errors
            ///
            /// `EINVAL` if the range is not inside the map.
            pub fn flush_async_range(&self, offset: usize, len: usize) -> Result<()> {
                self.0.flush(offset, len, MsyncFlags::ASYNC)
            }

            /// Writes changed pages back to the file as the options specify. Source: msync(2).
            ///
            /// # Errors
            ///
            /// * `EINVAL` if the range is not inside the map.
            /// * `EIO`, `ENOSPC` or `EDQUOT` if the disk failed or is full. The kernel reports an
            ///   error once: the next flush returns `Ok` although the data is lost.
            /// * `EBUSY` if [`invalidate`](FlushOptions::invalidate) is set, and pages are locked.
            pub fn flush_with(&self, options: FlushOptions) -> Result<()> {
                let (offset, len) = match options.range {
                    Some(range) => range,
                    None => (0, self.0.len()),
                };
                self.0.flush(offset, len, options.flags)
            }
        }
    )*};
}

common!(Mmap MmapMut MmapRaw);
writable!(MmapMut MmapRaw);

/// The traits of the types that dereference to a slice.
macro_rules! bytes {
    ($($map:ident)*) => {$(
        impl Deref for $map {
            type Target = [u8];

            #[inline]
            fn deref(&self) -> &[u8] {
                // SAFETY: the range is mapped, readable, and at most `isize::MAX` bytes long. The
                // caller of the function that mapped a file excluded changes.
                unsafe { slice::from_raw_parts(self.0.ptr(), self.0.len()) }
            }
        }

        impl AsRef<[u8]> for $map {
            #[inline]
            fn as_ref(&self) -> &[u8] {
                self
            }
        }

        impl From<$map> for MmapRaw {
            fn from(map: $map) -> MmapRaw {
                MmapRaw(map.0)
            }
        }
    )*};
}

bytes!(Mmap MmapMut);

impl DerefMut for MmapMut {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the range is mapped, writable, and at most `isize::MAX` bytes long. The caller of
        // the function that mapped a file excluded other accesses.
        unsafe { slice::from_raw_parts_mut(self.0.ptr(), self.0.len()) }
    }
}

impl AsMut<[u8]> for MmapMut {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

// SAFETY: moving the map does not move its bytes. (`remap` may move them. It is unsafe, and its
// caller must not use pointers to the old address.)
#[cfg(feature = "stable_deref_trait")]
unsafe impl stable_deref_trait::StableDeref for Mmap {}
// SAFETY: moving the map does not move its bytes. The caller of `remap` excludes old pointers.
#[cfg(feature = "stable_deref_trait")]
unsafe impl stable_deref_trait::StableDeref for MmapMut {}

const _: fn() = || {
    fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Mmap>();
    shared_between_threads::<MmapMut>();
    shared_between_threads::<MmapRaw>();
};
