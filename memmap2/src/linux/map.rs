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
    /// Same errors as [`MmapOptions::map`].
    ///
    /// # Safety
    ///
    /// While the map lives nobody changes the bytes of the file, and nobody truncates it.
    pub unsafe fn map<T: MmapAsRawDesc>(file: T) -> io::Result<Mmap> {
        // SAFETY: the caller's promise.
        unsafe { MmapOptions::new().map(file) }
    }

    /// Maps a whole file for reading if nobody can change it.
    ///
    /// # Errors
    ///
    /// Same errors as [`MmapOptions::map_if_safe`].
    pub fn map_if_safe<T: MmapAsRawDesc>(file: T) -> Result<Mmap, MapIfSafeError> {
        MmapOptions::new().map_if_safe(file)
    }

    /// Makes the map writable.
    ///
    /// # Errors
    ///
    /// Those of mprotect(2): `PermissionDenied` if the file is not open for writing, unless the
    /// map is a private copy.
    pub fn make_mut(self) -> io::Result<MmapMut> {
        Ok(MmapMut(self.0.make_mut()?))
    }
}

impl MmapMut {
    /// Maps a whole file for reading and writing.
    ///
    /// # Errors
    ///
    /// Same errors as [`MmapOptions::map_mut`].
    ///
    /// # Safety
    ///
    /// While the map lives nobody reads or changes the bytes of the file by other ways, and
    /// nobody truncates it.
    pub unsafe fn map_mut<T: MmapAsRawDesc>(file: T) -> io::Result<MmapMut> {
        // SAFETY: the caller's promise.
        unsafe { MmapOptions::new().map_mut(file) }
    }

    /// Maps `length` bytes of anonymous memory, all of them zero.
    ///
    /// # Errors
    ///
    /// Same errors as [`MmapOptions::map_anon`].
    pub fn map_anon(length: usize) -> io::Result<MmapMut> {
        MmapOptions::new().len(length).map_anon()
    }

    /// Makes the map read-only.
    ///
    /// # Errors
    ///
    /// Those of mprotect(2).
    pub fn make_read_only(self) -> io::Result<Mmap> {
        Ok(Mmap(self.0.make_read_only()?))
    }

    /// Makes the map read-only and executable.
    ///
    /// # Errors
    ///
    /// Those of mprotect(2): `PermissionDenied` for a file on a file system that is mounted
    /// `noexec`.
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
    /// Same errors as [`MmapOptions::map_raw`].
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
            /// Those of madvise(2).
            pub fn advise(&self, advice: Advice) -> io::Result<()> {
                Ok(self.0.advise(advice.ours())?)
            }

            /// Gives the kernel advice on the pages of a range.
            ///
            /// # Errors
            ///
            /// Those of madvise(2), and `InvalidInput` if the range is not inside the map.
            pub fn advise_range(&self, advice: Advice, offset: usize, len: usize) -> io::Result<()> {
                Ok(self.0.advise_range(advice.ours(), offset, len)?)
            }

            /// Gives advice that changes the contents of the map.
            ///
            /// # Errors
            ///
            /// Those of madvise(2).
            ///
            /// # Safety
            ///
            /// Nothing relies on the contents, and there is no reference to them.
            pub unsafe fn unchecked_advise(&self, advice: UncheckedAdvice) -> io::Result<()> {
                // SAFETY: the caller's promise.
                Ok(unsafe { self.0.unchecked_advise(advice.ours())? })
            }

            /// Gives advice that changes the contents of the pages of a range.
            ///
            /// # Errors
            ///
            /// Those of madvise(2), and `InvalidInput` if the range is not inside the map.
            ///
            /// # Safety
            ///
            /// Nothing relies on the contents of the pages, and there is no reference to them.
            pub unsafe fn unchecked_advise_range(
                &self,
                advice: UncheckedAdvice,
                offset: usize,
                len: usize,
            ) -> io::Result<()> {
                // SAFETY: the caller's promise.
                Ok(unsafe { self.0.unchecked_advise_range(advice.ours(), offset, len)? })
            }

            /// Locks the map into memory.
            ///
            /// # Errors
            ///
            /// Those of mlock(2).
            pub fn lock(&self) -> io::Result<()> {
                Ok(self.0.lock()?)
            }

            /// Unlocks the map.
            ///
            /// # Errors
            ///
            /// Those of munlock(2).
            pub fn unlock(&self) -> io::Result<()> {
                Ok(self.0.unlock()?)
            }

            /// Changes the length of the map.
            ///
            /// # Errors
            ///
            /// Those of mremap(2): `OutOfMemory` if there is no room to grow.
            ///
            /// # Safety
            ///
            /// The file is at least as long as the new map. Pointers into a map that moves or
            /// shrinks are not used afterwards.
            pub unsafe fn remap(&mut self, new_len: usize, options: RemapOptions) -> io::Result<()> {
                // SAFETY: the caller's promise.
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
            /// Those of msync(2).
            pub fn flush(&self) -> io::Result<()> {
                Ok(self.0.flush()?)
            }

            /// Starts to write changed pages back to the file. On Linux the kernel does so in
            /// its own time.
            ///
            /// # Errors
            ///
            /// Those of msync(2).
            pub fn flush_async(&self) -> io::Result<()> {
                Ok(self.0.flush_async()?)
            }

            /// Writes the changed pages of a range back to the file, and waits for the disk.
            ///
            /// # Errors
            ///
            /// Those of msync(2), and `InvalidInput` if the range is not inside the map.
            pub fn flush_range(&self, offset: usize, len: usize) -> io::Result<()> {
                Ok(self.0.flush_range(offset, len)?)
            }

            /// Starts to write the changed pages of a range back to the file. On Linux the
            /// kernel does so in its own time.
            ///
            /// # Errors
            ///
            /// `InvalidInput` if the range is not inside the map.
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
