//! The kinds of maps: to be read, to be written, and as pointers.

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

/// A map to be read: a `[u8]`.
///
/// ```
/// use std::{fs::File, os::fd::AsRawFd};
/// use baremap::Mmap;
///
/// let file = File::open("Cargo.toml").unwrap();
/// // SAFETY: nobody changes the file meanwhile.
/// let map = unsafe { Mmap::map(file.as_raw_fd())? };
/// assert!(map.starts_with(b"[package]"));
/// # Ok::<(), baremap::map::Error>(())
/// ```
pub struct Mmap(pub(in crate::map) Region);

/// A map to be read and written: a `[u8]`.
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

/// A map as a pointer and a length, which promises nothing of what they lead to: a file's
/// bytes change when anybody writes to the file, and are gone (`SIGBUS`) when it becomes
/// shorter.
pub struct MmapRaw(pub(in crate::map) Region);

impl Mmap {
    /// [`MmapOptions::map`] of a whole file.
    ///
    /// # Errors
    ///
    /// Those.
    ///
    /// # Safety
    ///
    /// As there.
    pub unsafe fn map<T: MmapAsRawDesc>(file: T) -> Result<Mmap> {
        // SAFETY: the caller's promise.
        unsafe { MmapOptions::new().map(file) }
    }

    /// [`MmapOptions::map_if_safe`] of a whole file.
    ///
    /// # Errors
    ///
    /// Those.
    pub fn map_if_safe<T: MmapAsRawDesc>(file: T) -> core::result::Result<Mmap, MapIfSafeError> {
        MmapOptions::new().map_if_safe(file)
    }

    /// Makes it writable. On an error the map is dropped:
    /// [`try_make_mut`](Self::try_make_mut) gives it back.
    ///
    /// # Errors
    ///
    /// `EACCES`: it is a file's that is not open for writing, other than as a copy.
    /// `ENOMEM`: a copy would need more memory than there is, or there would be too many
    /// mappings.
    pub fn make_mut(self) -> Result<MmapMut> {
        Ok(self.try_make_mut()?)
    }

    /// Makes it writable.
    ///
    /// # Errors
    ///
    /// As for [`make_mut`](Self::make_mut), with the map.
    pub fn try_make_mut(self) -> core::result::Result<MmapMut, ConversionError<Mmap>> {
        convert(self, |map| &mut map.0, ProtFlags::READ | ProtFlags::WRITE).map(MmapMut)
    }
}

impl MmapMut {
    /// [`MmapOptions::map_mut`] of a whole file.
    ///
    /// # Errors
    ///
    /// Those.
    ///
    /// # Safety
    ///
    /// As there.
    pub unsafe fn map_mut<T: MmapAsRawDesc>(file: T) -> Result<MmapMut> {
        // SAFETY: the caller's promise.
        unsafe { MmapOptions::new().map_mut(file) }
    }

    /// [`MmapOptions::map_anon`] of so many bytes.
    ///
    /// # Errors
    ///
    /// Those.
    pub fn map_anon(length: usize) -> Result<MmapMut> {
        MmapOptions::new().len(length).map_anon()
    }

    /// Makes it read-only. On an error the map is dropped:
    /// [`try_make_read_only`](Self::try_make_read_only) gives it back.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there would be too many mappings.
    pub fn make_read_only(self) -> Result<Mmap> {
        Ok(self.try_make_read_only()?)
    }

    /// Makes it read-only.
    ///
    /// # Errors
    ///
    /// As for [`make_read_only`](Self::make_read_only), with the map.
    pub fn try_make_read_only(self) -> core::result::Result<Mmap, ConversionError<MmapMut>> {
        convert(self, |map| &mut map.0, ProtFlags::READ).map(Mmap)
    }

    /// Makes it read-only and executable. On an error the map is dropped:
    /// [`try_make_exec`](Self::try_make_exec) gives it back.
    ///
    /// Where instructions are fetched by another way than data (not on x86), that way is told
    /// of new ones. [`CodeMut`](crate::map::CodeMut) is for making them.
    ///
    /// # Errors
    ///
    /// `EACCES`: it is a file's on a file system mounted `noexec`, or policy forbids it.
    /// `ENOMEM`: there would be too many mappings.
    pub fn make_exec(self) -> Result<Mmap> {
        Ok(self.try_make_exec()?)
    }

    /// Makes it read-only and executable.
    ///
    /// # Errors
    ///
    /// As for [`make_exec`](Self::make_exec), with the map.
    pub fn try_make_exec(self) -> core::result::Result<Mmap, ConversionError<MmapMut>> {
        if !self.is_empty() {
            let (start, length) = (self.0.ptr().expose_provenance(), self.0.len());
            // SAFETY: mapped and readable; no contents change.
            if let Err(errno) = Errno::check(unsafe { arch::flush_icache(start, length) }) {
                return Err(ConversionError { map: self, errno });
            }
        }
        convert(self, |map| &mut map.0, ProtFlags::READ | ProtFlags::EXEC).map(Mmap)
    }
}

/// Takes the region out of a map after changing what may be done to it, or gives the map
/// back.
fn convert<M>(
    mut map: M,
    region: fn(&mut M) -> &mut Region,
    prot: ProtFlags,
) -> core::result::Result<Region, ConversionError<M>> {
    // SAFETY: the map is owned here: there is no reference to its memory.
    if let Err(errno) = unsafe { region(&mut map).protect(prot) } {
        return Err(ConversionError { map, errno });
    }
    let mut map = ManuallyDrop::new(map);
    // SAFETY: the map is not used again, nor dropped.
    Ok(unsafe { core::ptr::read(region(&mut map)) })
}

impl MmapRaw {
    /// [`MmapOptions::map_raw`] of a whole file.
    ///
    /// # Errors
    ///
    /// Those.
    pub fn map_raw<T: MmapAsRawDesc>(file: T) -> Result<MmapRaw> {
        MmapOptions::new().map_raw(file)
    }

    /// The first byte, which must not be accessed if the length is zero.
    #[must_use]
    pub const fn as_ptr(&self) -> *const u8 {
        self.0.ptr()
    }

    /// The first byte, to write to if the mapping is writable.
    #[must_use]
    pub const fn as_mut_ptr(&self) -> *mut u8 {
        self.0.ptr()
    }

    /// The length in bytes, as it was asked for.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the length is zero.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

/// What all kinds of maps can do.
macro_rules! common {
    ($($map:ident)*) => {$(
        impl $map {
            /// Tells the kernel how the memory will be used. No bytes: nothing.
            ///
            /// # Errors
            ///
            /// `EINVAL`: the kernel does not know this advice, or not for such a mapping.
            pub fn advise(&self, advice: Advice) -> Result<()> {
                self.advise_range(advice, 0, self.0.len())
            }

            /// The same for all pages that have bytes of a range.
            ///
            /// # Errors
            ///
            /// `EINVAL` also if the range is not inside the map.
            pub fn advise_range(&self, advice: Advice, offset: usize, len: usize) -> Result<()> {
                let advice = advice.raw()?;
                // SAFETY: none of this advice changes contents.
                unsafe { self.0.advise(offset, len, advice) }
            }

            /// Gives advice that changes contents.
            ///
            /// # Errors
            ///
            /// As for [`advise`](Self::advise).
            ///
            /// # Safety
            ///
            /// Nothing relies on the contents, and there is no reference to them.
            pub unsafe fn unchecked_advise(&self, advice: UncheckedAdvice) -> Result<()> {
                // SAFETY: the caller's promise.
                unsafe { self.unchecked_advise_range(advice, 0, self.0.len()) }
            }

            /// The same for all pages that have bytes of a range.
            ///
            /// # Errors
            ///
            /// As for [`advise_range`](Self::advise_range).
            ///
            /// # Safety
            ///
            /// As for [`unchecked_advise`](Self::unchecked_advise), for the whole pages.
            pub unsafe fn unchecked_advise_range(
                &self,
                advice: UncheckedAdvice,
                offset: usize,
                len: usize,
            ) -> Result<()> {
                // SAFETY: the caller's promise.
                unsafe { self.0.advise(offset, len, advice.raw()) }
            }

            /// Keeps the pages in memory.
            ///
            /// # Errors
            ///
            /// `ENOMEM`: more than `RLIMIT_MEMLOCK`, or beyond the end of the file.
            /// `EPERM`: the limit is zero.
            pub fn lock(&self) -> Result<()> {
                self.0.lock()
            }

            /// Lets them leave memory again.
            ///
            /// # Errors
            ///
            /// None that a mapping of one's own could cause.
            pub fn unlock(&self) -> Result<()> {
                self.0.unlock()
            }

            /// Makes the map longer or shorter. New bytes are the file's next bytes. In memory
            /// new pages are zero.
            ///
            /// A map of no bytes grows as any other: it keeps one page of addresses and, in
            /// memory, what its first page has.
            ///
            /// # Errors
            ///
            /// `ENOMEM`: it cannot grow where it is, and may not move, or there is no
            /// room at all. `EINVAL`: its pages are huge, and do not grow.
            /// `EOVERFLOW`: more than `isize::MAX` bytes. `EFAULT`: advice for a part of it
            /// has made several mappings of it. `EAGAIN`: it is locked, and would pass the
            /// limit. The map is then as it was.
            ///
            /// # Safety
            ///
            /// What [`MmapOptions`] asks of whoever maps the file holds for the new length.
            /// Pointers into a map that may move, or shrinks, are not used after.
            pub unsafe fn remap(&mut self, new_len: usize, options: RemapOptions) -> Result<()> {
                // SAFETY: `&mut self` excludes references; pointers are the caller's promise.
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

/// What those can do that may be writable.
macro_rules! writable {
    ($($map:ident)*) => {$(
        impl $map {
            /// Writes changed pages back to the file, and waits for the disk.
            ///
            /// # Errors
            ///
            /// `EIO`, `ENOSPC`: the disk failed, or is full.
            pub fn flush(&self) -> Result<()> {
                self.flush_range(0, self.0.len())
            }

            /// The same for all pages that have bytes of a range.
            ///
            /// # Errors
            ///
            /// `EINVAL` also if the range is not inside the map.
            pub fn flush_range(&self, offset: usize, len: usize) -> Result<()> {
                self.0.flush(offset, len, MsyncFlags::SYNC)
            }

            /// Has the kernel write changed pages back in its own time: what Linux does
            /// anyway, so that this does nothing but look for errors of the range.
            ///
            /// # Errors
            ///
            /// None that a mapping of one's own could cause.
            pub fn flush_async(&self) -> Result<()> {
                self.flush_async_range(0, self.0.len())
            }

            /// The same for all pages that have bytes of a range.
            ///
            /// # Errors
            ///
            /// `EINVAL`: the range is not inside the map.
            pub fn flush_async_range(&self, offset: usize, len: usize) -> Result<()> {
                self.0.flush(offset, len, MsyncFlags::ASYNC)
            }

            /// Writes changed pages back as the options say.
            ///
            /// # Errors
            ///
            /// As for [`flush_range`](Self::flush_range); `EBUSY`: to be invalidated, and
            /// locked.
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

/// Reads the bytes through a map.
macro_rules! bytes {
    ($($map:ident)*) => {$(
        impl Deref for $map {
            type Target = [u8];

            #[inline]
            fn deref(&self) -> &[u8] {
                // SAFETY: mapped, so long, readable, and no longer than `isize::MAX`; that
                // nobody changes it was promised when it was mapped.
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
        // SAFETY: as in `deref`, and writable.
        unsafe { slice::from_raw_parts_mut(self.0.ptr(), self.0.len()) }
    }
}

impl AsMut<[u8]> for MmapMut {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

// SAFETY: the bytes stay where they are when the map is moved. (`remap` may move them, and
// says so: it is unsafe, and its caller's promise includes whoever relies on this.)
#[cfg(feature = "stable_deref_trait")]
unsafe impl stable_deref_trait::StableDeref for Mmap {}
// SAFETY: as above.
#[cfg(feature = "stable_deref_trait")]
unsafe impl stable_deref_trait::StableDeref for MmapMut {}

const _: fn() = || {
    fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Mmap>();
    shared_between_threads::<MmapMut>();
    shared_between_threads::<MmapRaw>();
};
