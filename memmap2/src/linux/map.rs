//! The types of maps: read-only, writable, and as pointers.

use std::{
    fmt, io,
    ops::{Deref, DerefMut},
};

use super::{Advice, MapIfSafeError, MmapAsRawDesc, MmapOptions, UncheckedAdvice};

/// A read-only map, which dereferences to `[u8]`.
pub struct Mmap(pub(super) baremap::Mmap);

/// A writable map, which dereferences to `[u8]`.
pub struct MmapMut(pub(super) baremap::MmapMut);

/// A map that is accessed through a pointer and a length.
pub struct MmapRaw(pub(super) baremap::MmapRaw);

/// Options for resizing a map with [`MmapMut::remap`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RemapOptions {
    ours: baremap::RemapOptions,
}

impl RemapOptions {
    /// Creates options that resize a map in place.
    pub fn new() -> RemapOptions {
        RemapOptions::default()
    }

    /// Sets whether a map that cannot grow in place may move to another address. Defaults to
    /// `false`.
    pub fn may_move(mut self, may_move: bool) -> RemapOptions {
        self.ours = self.ours.may_move(may_move);
        self
    }
}

impl Mmap {
    /// Maps a whole file for reading.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe, a device or most files
    ///   in `/proc`.
    /// * `ENOMEM` if there is not enough address space.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if the file is
    ///   longer than `isize::MAX`.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file: no other process, and
    ///   no other part of this one.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    pub unsafe fn map<T: MmapAsRawDesc>(file: T) -> io::Result<Mmap> {
        // SAFETY: the caller fulfills this function's obligations, which are baremap's.
        unsafe { MmapOptions::new().map(file) }
    }

    /// Maps a whole file for reading if nobody can change it.
    ///
    /// # Errors
    ///
    /// * [`not_safe`](MapIfSafeError::not_safe) if the file can be changed or truncated, or its
    ///   descriptor was opened with `O_PATH`.
    /// * [`map_failed`](MapIfSafeError::map_failed) if the descriptor is not open (`EBADF`), if no
    ///   descriptor is free for a duplicate (`EMFILE`), or if mapping a safe file fails: because
    ///   the descriptor is not open for reading (`EACCES`), the address space does not suffice
    ///   (`ENOMEM`), or the file is longer than `isize::MAX`.
    pub fn map_if_safe<T: MmapAsRawDesc>(file: T) -> Result<Mmap, MapIfSafeError> {
        MmapOptions::new().map_if_safe(file)
    }

    /// Makes the map writable. A map that was executable no longer is. After an error the map is
    /// dropped.
    ///
    /// What is written to a shared map goes to the file. What is written to a private map, such as
    /// that of [`MmapOptions::map_copy_read_only`], does not.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the map is shared, and its file was not open for writing.
    /// * `ENOMEM` if the map is private and the kernel cannot commit the memory for its copy, or if
    ///   the process has too many mappings (`vm.max_map_count`).
    pub fn make_mut(self) -> io::Result<MmapMut> {
        Ok(MmapMut(self.0.make_mut()?))
    }
}

impl MmapMut {
    /// Maps a whole file for reading and writing.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for both reading and writing, or is not that of a
    ///   regular file.
    /// * `EPERM` if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe, a device or most files
    ///   in `/proc`.
    /// * `ENOMEM` if there is not enough address space.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if the file is
    ///   longer than `isize::MAX`.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody else reads or changes the mapped bytes of the file: no other
    ///   process, and no other part of this one.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    /// * The disk has room for what is written to holes of the file, and to blocks that it shares
    ///   with a clone. A store that finds no room is `SIGBUS`.
    pub unsafe fn map_mut<T: MmapAsRawDesc>(file: T) -> io::Result<MmapMut> {
        // SAFETY: the caller fulfills this function's obligations, which are baremap's.
        unsafe { MmapOptions::new().map_mut(file) }
    }

    /// Maps `length` bytes of zeroed private memory.
    ///
    /// # Errors
    ///
    /// * `ENOMEM` if there is not enough memory or address space.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if `length` is more
    ///   than `isize::MAX`.
    pub fn map_anon(length: usize) -> io::Result<MmapMut> {
        MmapOptions::new().len(length).map_anon()
    }

    /// Makes the map read-only. After an error the map is dropped.
    ///
    /// # Errors
    ///
    /// * `ENOMEM` if the process has too many mappings (`vm.max_map_count`).
    pub fn make_read_only(self) -> io::Result<Mmap> {
        Ok(Mmap(self.0.make_read_only()?))
    }

    /// Makes the map read-only and executable. After an error the map is dropped.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the map is that of a file on a file system mounted `noexec`, or if a security
    ///   policy forbids it.
    /// * `ENOMEM` if the process has too many mappings (`vm.max_map_count`).
    pub fn make_exec(self) -> io::Result<Mmap> {
        Ok(Mmap(self.0.make_exec()?))
    }
}

#[allow(clippy::len_without_is_empty, reason = "memmap2 has none")]
impl MmapRaw {
    /// Maps a whole file for reading and writing through pointers.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for both reading and writing, or is not that of a
    ///   regular file.
    /// * `EPERM` if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe, a device or most files
    ///   in `/proc`.
    /// * `ENOMEM` if there is not enough address space.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if the file is
    ///   longer than `isize::MAX`.
    pub fn map_raw<T: MmapAsRawDesc>(file: T) -> io::Result<MmapRaw> {
        MmapOptions::new().map_raw(file)
    }

    /// Returns a pointer to the first byte. It must not be accessed if the length is zero.
    #[inline]
    pub fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    /// Returns a pointer to the first byte. It may be written to only if the map is writable, and
    /// must not be accessed if the length is zero.
    #[inline]
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Returns the length in bytes: the requested length, not rounded up to pages.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The methods of all three types.
macro_rules! every_map {
    ($($map:ident)*) => {$(
        impl $map {
            /// Advises the kernel how the whole map will be used. A no-op if the map is empty.
            ///
            /// # Errors
            ///
            /// * `EINVAL` if the kernel does not know the advice, or does not accept it for this
            ///   kind of mapping.
            /// * `EFAULT` if the advice is [`Advice::PopulateRead`] or [`Advice::PopulateWrite`],
            ///   and a page is past the end of the file.
            pub fn advise(&self, advice: Advice) -> io::Result<()> {
                Ok(self.0.advise(advice.ours())?)
            }

            /// Advises the kernel how the pages of a range will be used. A no-op if `len` is zero.
            ///
            /// # Errors
            ///
            /// * `EINVAL` if the range is not inside the map.
            /// * `EINVAL` if the kernel does not know the advice, or does not accept it for this
            ///   kind of mapping.
            /// * `EFAULT` if the advice is [`Advice::PopulateRead`] or [`Advice::PopulateWrite`],
            ///   and a page is past the end of the file.
            pub fn advise_range(&self, advice: Advice, offset: usize, len: usize) -> io::Result<()> {
                Ok(self.0.advise_range(advice.ours(), offset, len)?)
            }

            /// Gives the kernel advice that may change the contents of the map. A no-op if the map
            /// is empty.
            ///
            /// # Errors
            ///
            /// * `EINVAL` if the kernel does not know the advice, or does not accept it for this
            ///   kind of mapping.
            /// * `EACCES` if the advice is [`UncheckedAdvice::Remove`], and the map is private or
            ///   its file was not open for writing.
            /// * `EOPNOTSUPP` if the advice is [`UncheckedAdvice::Remove`], and the file system has
            ///   no holes.
            ///
            /// # Safety
            ///
            /// * No code relies on the contents of the map.
            /// * There is no reference to the contents of the map.
            pub unsafe fn unchecked_advise(&self, advice: UncheckedAdvice) -> io::Result<()> {
                // SAFETY: the caller fulfills this function's obligations, which are baremap's.
                Ok(unsafe { self.0.unchecked_advise(advice.ours())? })
            }

            /// Gives the kernel advice that may change the contents of a range of pages. A no-op if
            /// `len` is zero.
            ///
            /// # Errors
            ///
            /// * `EINVAL` if the range is not inside the map.
            /// * `EINVAL` if the kernel does not know the advice, or does not accept it for this
            ///   kind of mapping.
            /// * `EACCES` if the advice is [`UncheckedAdvice::Remove`], and the map is private or
            ///   its file was not open for writing.
            /// * `EOPNOTSUPP` if the advice is [`UncheckedAdvice::Remove`], and the file system has
            ///   no holes.
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
            ) -> io::Result<()> {
                // SAFETY: the caller fulfills this function's obligations, which are baremap's.
                Ok(unsafe { self.0.unchecked_advise_range(advice.ours(), offset, len)? })
            }

            /// Locks the pages of the map in memory, so that they are never swapped out. A no-op if
            /// the map is empty.
            ///
            /// # Errors
            ///
            /// * `ENOMEM` if the locked memory would be more than `RLIMIT_MEMLOCK`, or if a page is
            ///   past the end of the file.
            /// * `EPERM` if `RLIMIT_MEMLOCK` is zero.
            pub fn lock(&self) -> io::Result<()> {
                Ok(self.0.lock()?)
            }

            /// Unlocks the pages of the map, so that they may be swapped out.
            ///
            /// # Errors
            ///
            /// Does not fail for a valid mapping.
            pub fn unlock(&self) -> io::Result<()> {
                Ok(self.0.unlock()?)
            }

            /// Resizes the map to `new_len` bytes.
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
            /// * The obligations of the function that mapped the file hold for the new length.
            /// * No pointer to the map is used afterwards if the map may move, and none to bytes
            ///   behind the new end if it shrinks.
            pub unsafe fn remap(&mut self, new_len: usize, options: RemapOptions) -> io::Result<()> {
                // SAFETY: the caller fulfills this function's obligations, which are baremap's.
                Ok(unsafe { self.0.remap(new_len, options.ours)? })
            }
        }

        impl fmt::Debug for $map {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

/// The methods of maps that may be writable.
macro_rules! writable {
    ($($map:ident)*) => {$(
        impl $map {
            /// Writes the changed pages of the map back to the file, and waits for the disk. A
            /// no-op for private memory.
            ///
            /// # Errors
            ///
            /// * `EIO`, `ENOSPC` or `EDQUOT` if the disk failed or is full. The kernel reports an
            ///   error once: the next flush returns `Ok` although the data is lost.
            pub fn flush(&self) -> io::Result<()> {
                Ok(self.0.flush()?)
            }

            /// Does nothing, because Linux writes changed pages back in its own time.
            ///
            /// # Errors
            ///
            /// Does not fail for a valid mapping.
            pub fn flush_async(&self) -> io::Result<()> {
                Ok(self.0.flush_async()?)
            }

            /// Writes the changed pages of a range back to the file, and waits for the disk. A
            /// no-op if `len` is zero, and for private memory.
            ///
            /// # Errors
            ///
            /// * `EINVAL` if the range is not inside the map.
            /// * `EIO`, `ENOSPC` or `EDQUOT` if the disk failed or is full. The kernel reports an
            ///   error once: the next flush returns `Ok` although the data is lost.
            pub fn flush_range(&self, offset: usize, len: usize) -> io::Result<()> {
                Ok(self.0.flush_range(offset, len)?)
            }

            /// Checks the range and does nothing else, because Linux writes changed pages back in
            /// its own time.
            ///
            /// # Errors
            ///
            /// `EINVAL` if the range is not inside the map.
            pub fn flush_async_range(&self, offset: usize, len: usize) -> io::Result<()> {
                Ok(self.0.flush_async_range(offset, len)?)
            }
        }
    )*};
}

/// The traits of maps that are slices.
macro_rules! slices {
    ($($map:ident)*) => {$(
        impl Deref for $map {
            type Target = [u8];

            #[inline]
            fn deref(&self) -> &[u8] {
                &self.0
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
                MmapRaw(map.0.into())
            }
        }

        // SAFETY: the bytes stay where they are when the map is moved. (`remap` may move them. It
        // is unsafe, and its caller makes sure that no pointer to them is used afterwards.)
        #[cfg(feature = "stable_deref_trait")]
        unsafe impl stable_deref_trait::StableDeref for $map {}
    )*};
}

every_map!(Mmap MmapMut MmapRaw);
writable!(MmapMut MmapRaw);
slices!(Mmap MmapMut);

impl DerefMut for MmapMut {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl AsMut<[u8]> for MmapMut {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}
