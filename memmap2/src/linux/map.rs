//! The kinds of maps: for reading, for writing, and by pointers.

use std::{
    fmt, io,
    ops::{Deref, DerefMut},
};

use super::{Advice, MapIfSafeError, MmapAsRawDesc, MmapOptions, UncheckedAdvice};

/// A map for reading, which dereferences to `[u8]`.
pub struct Mmap(pub(super) baremap::Mmap);

/// A map for reading and writing, which dereferences to `[u8]`.
pub struct MmapMut(pub(super) baremap::MmapMut);

/// A map by pointers.
pub struct MmapRaw(pub(super) baremap::MmapRaw);

/// How a map is remapped.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemapOptions {
    ours: baremap::RemapOptions,
}

impl RemapOptions {
    /// Creates options that keep the map at its address.
    pub fn new() -> RemapOptions {
        RemapOptions::default()
    }

    /// Sets whether the map may move to another address.
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
    /// * `PermissionDenied` (`EACCES`) if the descriptor is not open for reading, or is not that of
    ///   a regular file.
    /// * `EBADF` if the descriptor is not open.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or a device.
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough address space.
    /// * `InvalidData` if the file is longer than `isize::MAX`.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the bytes of the file.
    /// * While the map exists, nobody truncates the file.
    pub unsafe fn map<T: MmapAsRawDesc>(file: T) -> io::Result<Mmap> {
        // SAFETY: the caller meets this function's requirements.
        unsafe { MmapOptions::new().map(file) }
    }

    /// Maps a whole file for reading if nobody can change it.
    ///
    /// # Errors
    ///
    /// * [`not_safe`](MapIfSafeError::not_safe) if the file can be changed or truncated.
    /// * [`map_failed`](MapIfSafeError::map_failed) if the file is safe, but mapping it failed.
    pub fn map_if_safe<T: MmapAsRawDesc>(file: T) -> Result<Mmap, MapIfSafeError> {
        MmapOptions::new().map_if_safe(file)
    }

    /// Makes the map writable.
    ///
    /// # Errors
    ///
    /// * `PermissionDenied` (`EACCES`) if the map is shared and the file was not open for writing.
    /// * `OutOfMemory` (`ENOMEM`) if the kernel cannot commit the memory for a private map, or if
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
    /// * `PermissionDenied` (`EACCES`) if the descriptor is not open for both reading and writing, or
    ///   is not that of a regular file.
    /// * `PermissionDenied` (`EPERM`) if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or a device.
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough address space.
    /// * `InvalidData` if the file is longer than `isize::MAX`.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody reads or changes the bytes of the file by other means.
    /// * While the map exists, nobody truncates the file.
    pub unsafe fn map_mut<T: MmapAsRawDesc>(file: T) -> io::Result<MmapMut> {
        // SAFETY: the caller meets this function's requirements.
        unsafe { MmapOptions::new().map_mut(file) }
    }

    /// Maps `length` bytes of anonymous memory, all of them zero.
    ///
    /// # Errors
    ///
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough memory or address space.
    /// * `InvalidData` if `length` is more than `isize::MAX`.
    pub fn map_anon(length: usize) -> io::Result<MmapMut> {
        MmapOptions::new().len(length).map_anon()
    }

    /// Makes the map read-only.
    ///
    /// # Errors
    ///
    /// `OutOfMemory` (`ENOMEM`) if the process has too many mappings (`vm.max_map_count`).
    pub fn make_read_only(self) -> io::Result<Mmap> {
        Ok(Mmap(self.0.make_read_only()?))
    }

    /// Makes the map read-only and executable.
    ///
    /// # Errors
    ///
    /// * `PermissionDenied` (`EACCES`) if the file is on a file system mounted `noexec`, or if a
    ///   security policy forbids it.
    /// * `OutOfMemory` (`ENOMEM`) if the process has too many mappings (`vm.max_map_count`).
    pub fn make_exec(self) -> io::Result<Mmap> {
        Ok(Mmap(self.0.make_exec()?))
    }
}

#[allow(clippy::len_without_is_empty, reason = "memmap2 has none")]
impl MmapRaw {
    /// Maps a whole file for reading and writing by pointers.
    ///
    /// # Errors
    ///
    /// * `PermissionDenied` (`EACCES`) if the descriptor is not open for both reading and writing, or
    ///   is not that of a regular file.
    /// * `PermissionDenied` (`EPERM`) if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or a device.
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough address space.
    /// * `InvalidData` if the file is longer than `isize::MAX`.
    pub fn map_raw<T: MmapAsRawDesc>(file: T) -> io::Result<MmapRaw> {
        MmapOptions::new().map_raw(file)
    }

    /// Returns a pointer to the first byte, which must not be accessed if the length is zero.
    #[inline]
    pub fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    /// Returns a pointer to the first byte, which must not be written to if the map is
    /// read-only or the length is zero.
    #[inline]
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Returns the length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The methods of every map.
macro_rules! every_map {
    ($($map:ident)*) => {$(
        impl $map {
            /// Gives the kernel advice on how the whole map will be used.
            ///
            /// # Errors
            ///
            /// `InvalidInput` (`EINVAL`) if the kernel does not know the advice, or does not accept it
            /// for this kind of mapping.
            pub fn advise(&self, advice: Advice) -> io::Result<()> {
                Ok(self.0.advise(advice.ours())?)
            }

            /// Gives the kernel advice on the pages of a range.
            ///
            /// # Errors
            ///
            /// `InvalidInput` (`EINVAL`) if the range is not inside the map, or if the kernel does not
            /// know the advice, or does not accept it for this kind of mapping.
            pub fn advise_range(&self, advice: Advice, offset: usize, len: usize) -> io::Result<()> {
                Ok(self.0.advise_range(advice.ours(), offset, len)?)
            }

            /// Gives advice that changes the contents of the map.
            ///
            /// # Errors
            ///
            /// `InvalidInput` (`EINVAL`) if the kernel does not know the advice, or does not accept it
            /// for this kind of mapping.
            ///
            /// # Safety
            ///
            /// * No code relies on the contents of the map.
            /// * There is no reference to the contents of the map.
            pub unsafe fn unchecked_advise(&self, advice: UncheckedAdvice) -> io::Result<()> {
                // SAFETY: the caller meets this function's requirements.
                Ok(unsafe { self.0.unchecked_advise(advice.ours())? })
            }

            /// Gives advice that changes the contents of the pages of a range.
            ///
            /// # Errors
            ///
            /// `InvalidInput` (`EINVAL`) if the range is not inside the map, or if the kernel does not
            /// know the advice, or does not accept it for this kind of mapping.
            ///
            /// # Safety
            ///
            /// * No code relies on the contents of the pages.
            /// * There is no reference to the contents of the pages.
            pub unsafe fn unchecked_advise_range(
                &self,
                advice: UncheckedAdvice,
                offset: usize,
                len: usize,
            ) -> io::Result<()> {
                // SAFETY: the caller meets this function's requirements.
                Ok(unsafe { self.0.unchecked_advise_range(advice.ours(), offset, len)? })
            }

            /// Locks the map into memory.
            ///
            /// # Errors
            ///
            /// * `OutOfMemory` (`ENOMEM`) if the locked memory would be more than `RLIMIT_MEMLOCK`, or if
            ///   a page cannot be brought into memory, for example one past the end of the file.
            /// * `PermissionDenied` (`EPERM`) if `RLIMIT_MEMLOCK` is zero.
            pub fn lock(&self) -> io::Result<()> {
                Ok(self.0.lock()?)
            }

            /// Unlocks the map.
            ///
            /// # Errors
            ///
            /// Does not fail for a valid mapping.
            pub fn unlock(&self) -> io::Result<()> {
                Ok(self.0.unlock()?)
            }

            /// Changes the length of the map.
            ///
            /// # Errors
            ///
            /// After an error the map is unchanged.
            ///
            /// * `OutOfMemory` (`ENOMEM`) if the map cannot grow in place and may not move, or if there is
            ///   not enough memory or address space.
            /// * `InvalidInput` (`EINVAL`) if the map consists of huge pages.
            /// * `EOVERFLOW` if `new_len` is more than `isize::MAX`.
            /// * `EFAULT` if the map consists of several mappings, because advice was given for a part of
            ///   it.
            /// * `WouldBlock` (`EAGAIN`) if the map is locked, and the locked memory would be more than
            ///   `RLIMIT_MEMLOCK`.
            ///
            /// # Safety
            ///
            /// * The file is at least as long as the end of the new map.
            /// * No pointer to the map is used afterwards if the map may move, and none to bytes past the
            ///   new end if it shrinks.
            pub unsafe fn remap(&mut self, new_len: usize, options: RemapOptions) -> io::Result<()> {
                // SAFETY: the caller meets this function's requirements.
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
            /// Writes changed pages back to the file, and waits for the disk.
            ///
            /// # Errors
            ///
            /// `EIO`, `ENOSPC` or `EDQUOT` if the disk failed or is full. The kernel reports an error once:
            /// the next flush returns `Ok` although the data is lost.
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

            /// Writes the changed pages of a range back to the file, and waits for the disk.
            ///
            /// # Errors
            ///
            /// * `InvalidInput` (`EINVAL`) if the range is not inside the map.
            /// * `EIO`, `ENOSPC` or `EDQUOT` if the disk failed or is full. The kernel reports an error
            ///   once: the next flush returns `Ok` although the data is lost.
            pub fn flush_range(&self, offset: usize, len: usize) -> io::Result<()> {
                Ok(self.0.flush_range(offset, len)?)
            }

            /// Checks the range and does nothing else, because Linux writes changed pages back in its
            /// own time.
            ///
            /// # Errors
            ///
            /// `InvalidInput` (`EINVAL`) if the range is not inside the map.
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

        // SAFETY: the bytes stay where they are when the map is moved. (`remap` may move them;
        // it is unsafe, and its caller's promise includes whoever relies on this.)
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
