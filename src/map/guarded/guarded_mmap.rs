//! A mapped file that is a slice for its whole life, and survives truncation.

use core::{
    cell::UnsafeCell,
    fmt,
    mem::MaybeUninit,
    ops::Deref,
    slice,
    sync::atomic::{AtomicUsize, Ordering::*, fence},
};

use super::{
    Fault, FileMap,
    pool::{Pool, Slot},
    watch::NOTHING_LOST,
};
use crate::{
    arch,
    map::{Advice, ConversionError, Result},
    syscall::Errno,
};

/// A mapped file that is a `&[u8]` for its whole life, and survives a truncation of the file.
///
/// It takes the place of a memmap2 `Mmap` in code that keeps the map and returns data borrowed from
/// it. Clones share one mapping, so that the code that owns a parser can pass the parser's results to
/// [`checked`](Self::checked) of a clone of the map that it gave to the parser.
///
/// ```
/// use baremap::map::{FileMap, GuardedMmap};
///
/// // SAFETY: nobody changes the bytes of the file while the program runs.
/// let map = unsafe { GuardedMmap::new(FileMap::open(c"Cargo.toml")?)? };
/// let name = map.split(|&byte| byte == b'\n').find(|line| line.starts_with(b"name"));
/// // All bytes that the search has read were those of the file.
/// let name = map.checked(name)?;
/// assert_eq!(name, Some(&b"name = \"baremap\""[..]));
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// # Missing pages
///
/// If a thread accesses a page that is missing, because the file was truncated or its disk failed,
/// that page and all pages after it are replaced by zero pages, in all clones. The access then reads
/// zeros, and [`checked`](Self::checked) returns a [`Fault`] from then on. Pass it each value that
/// was computed from the map before an effect that cannot be undone, such as output, and before the
/// value is returned. It takes about a nanosecond, so that it can be called for each lookup.
///
/// Bytes that are output must be copied out of the map first, then the copy must be passed to
/// `checked`, and then it can be output: otherwise a page can get lost between the check and the
/// output.
///
/// [`refresh`](Self::refresh) maps the file again.
///
/// # Memory
///
/// The state that clones share is kept in memory that this crate maps, which is never unmapped but
/// reused. So the type needs neither an allocator nor the feature `alloc`, and works in a program
/// that has none.
///
/// With the feature `stable_deref_trait`, it implements `StableDeref` and `CloneStableDeref`.
pub struct GuardedMmap {
    ptr: *const u8,
    len: usize,
    /// The offset from the beginning of the mapping from which on pages have been replaced.
    lost: &'static AtomicUsize,
    shared: &'static Slot<Shared>,
}

/// What clones share.
struct Shared {
    /// The number of clones.
    clones: AtomicUsize,
    /// The map, which is initialized while there are clones.
    map: UnsafeCell<MaybeUninit<FileMap>>,
}

// SAFETY: threads share only references to the map, which is `Sync`. The last clone takes the map,
// which is `Send`, when no reference is left.
unsafe impl Sync for Shared {}

// SAFETY: zeros are valid for an integer, and for a map that is not initialized.
static SHARED: Pool<Shared> = unsafe { Pool::new() };

/// The variable of an empty map, which has no pages that could be replaced.
static NEVER_LOST: AtomicUsize = AtomicUsize::new(NOTHING_LOST);

// SAFETY: a clone has what a shared reference to the map has, which is `Sync`, and drops the map,
// which is `Send`.
unsafe impl Send for GuardedMmap {}
// SAFETY: threads that share a clone only read the bytes, and the map, which is `Sync`.
unsafe impl Sync for GuardedMmap {}

impl GuardedMmap {
    /// Converts a map to one that is a slice for its whole life.
    ///
    /// The map of a range, or one that is writable, is converted, too. The slice is read-only, and
    /// has the present length of the map.
    ///
    /// # Errors
    ///
    /// The error returns the map.
    ///
    /// * The [`errno`](Fault::errno) of the fault, or `EFAULT` if it has none, if a page was found
    ///   to be missing before.
    /// * `ENOMEM` if there is no memory to register the map with the signal handler, or the process
    ///   has too many mappings.
    /// * An error of [`guard::install`](super::guard::install) if the signal handler cannot be
    ///   installed.
    ///
    /// # Safety
    ///
    /// Whenever a slice of this map is borrowed, until the last clone is dropped, and of the maps
    /// that replace it by [`refresh`](Self::refresh):
    ///
    /// * Nobody changes the mapped bytes of the file: no other process, and no other part of this
    ///   one. Punching a hole is such a change.
    /// * Nobody extends the file after it was truncated.
    /// * Nobody truncates the file within a page, which would change the rest of that page to
    ///   zeros. A truncation by whole pages is allowed.
    /// * No code relies, for its soundness, on reading one value twice: the bytes of a page that
    ///   gets lost change to zeros. Code that checks a copy of a value and uses that copy is sound.
    pub unsafe fn new(map: FileMap) -> core::result::Result<GuardedMmap, ConversionError<FileMap>> {
        if let Err(errno) = map.check().map_err(Errno::from).and_then(|()| map.watch()) {
            return Err(ConversionError { map, errno });
        }
        let shared = match SHARED.claim() {
            Ok(shared) => shared,
            Err(errno) => return Err(ConversionError { map, errno }),
        };
        let guarded = GuardedMmap {
            ptr: map.at(0),
            len: map.len(),
            lost: map.watch.lost_variable().unwrap_or(&NEVER_LOST),
            shared,
        };
        shared.value.clones.store(1, Relaxed);
        // SAFETY: nobody else has the slot.
        unsafe { (*shared.value.map.get()).write(map) };
        Ok(guarded)
    }

    fn map(&self) -> &FileMap {
        // SAFETY: the map is initialized as long as there is a clone, and nobody has a `&mut` to
        // it.
        unsafe { (*self.shared.value.map.get()).assume_init_ref() }
    }

    /// Returns a value that was computed from the map, if all bytes that it depends on were those of
    /// the file.
    ///
    /// The bytes of a page that is missing are zeros from the first access to it on. If this call
    /// returns `Ok`, no clone has read such a byte for the value. This includes the contents of
    /// memory that the value refers to, such as a buffer, except for the bytes of the map itself.
    /// The value is moved through memory, where the compiler loses sight of it.
    ///
    /// ```
    /// # use baremap::map::{Fault, GuardedMmap};
    /// fn is_elf(map: &GuardedMmap) -> Result<bool, Fault> {
    ///     map.checked(map.starts_with(b"\x7fELF"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page was missing. Its [`offset`](Fault::offset) is that of the first
    /// replaced page, and its [`errno`](Fault::errno) says why it is missing now. The value is
    /// dropped.
    #[inline]
    pub fn checked<T>(&self, value: T) -> core::result::Result<T, Fault> {
        let value = arch::opaque(value);
        self.check().map(|()| value)
    }

    /// Checks that no page has been replaced by zeros so far, in any clone.
    ///
    /// Use it to stop a long computation early, and [`checked`](Self::checked) for the value that
    /// was computed: the compiler may read bytes of a slice later than the program says, after this
    /// check, because it assumes that they do not change. A loop that reads one byte and calls
    /// `check` in each round can become a loop of checks, and one read after it.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page was missing. Its [`offset`](Fault::offset) is that of the first
    /// replaced page, and its [`errno`](Fault::errno) says why it is missing now.
    #[inline]
    pub fn check(&self) -> core::result::Result<(), Fault> {
        // The fence makes the loads of the bytes come before the load of the offset, which the
        // handler stores before it maps zero pages.
        fence(Acquire);
        if self.lost.load(Acquire) == NOTHING_LOST { Ok(()) } else { self.map().check() }
    }

    /// Maps the file again, with its present length, and returns the new length in bytes.
    ///
    /// The new mapping has another address. Other clones keep the old one, with its zero pages, and
    /// their [`checked`](Self::checked) keeps returning the fault: replace them by clones of this one.
    /// After an error the map is unchanged.
    ///
    /// # Errors
    ///
    /// * `EMFILE` if the process has reached its limit of descriptors. Each mapping keeps its own.
    /// * `ENOMEM` if there is not enough address space, or no memory to register the map with the
    ///   signal handler.
    /// * `EINVAL` if the map is writable, and the length of a file on hugetlbfs is not a multiple
    ///   of the huge page size.
    /// * `EOVERFLOW` if the map would be longer than `isize::MAX` bytes.
    /// * `EPERM` if the map is writable, and the file was sealed with `FUTURE_WRITE` since.
    pub fn refresh(&mut self) -> Result<usize> {
        let map = self.map().map_again()?;
        // SAFETY: the caller of `new` has made the promises for this map, too.
        *self = unsafe { GuardedMmap::new(map)? };
        Ok(self.len)
    }

    /// Advises the kernel how the map will be used. A no-op if the map is empty.
    ///
    /// Source: madvise(2).
    ///
    /// # Errors
    ///
    /// The errors of [`FileMap::advise`], such as `EINVAL` if the kernel does not know the advice.
    pub fn advise(&self, advice: Advice) -> Result<()> {
        self.map().advise(advice)
    }

    /// Advises the kernel how `len` bytes from `offset` on will be used. The range is expanded to
    /// whole pages. A no-op if `len` is zero.
    ///
    /// Source: madvise(2).
    ///
    /// # Errors
    ///
    /// * `EINVAL` if the range is not inside the map.
    /// * The errors of [`FileMap::advise`], such as `EINVAL` if the kernel does not know the advice.
    pub fn advise_range(&self, advice: Advice, offset: usize, len: usize) -> Result<()> {
        self.map().advise_range(advice, offset, len)
    }

    /// Returns the map if there is no other clone.
    ///
    /// # Errors
    ///
    /// Returns this value if there is another clone.
    pub fn try_unwrap(self) -> core::result::Result<FileMap, GuardedMmap> {
        // Only the last clone reads 1, because nobody can clone it meanwhile.
        if self.shared.value.clones.load(Acquire) != 1 {
            return Err(self);
        }
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: this is the last clone, which is not dropped.
        Ok(unsafe { this.take() })
    }

    /// Takes the map, and releases the shared state.
    ///
    /// # Safety
    ///
    /// * There is no other clone, and this one is not used any more.
    unsafe fn take(&self) -> FileMap {
        // SAFETY: the map is initialized, and nobody reads it again.
        let map = unsafe { (*self.shared.value.map.get()).assume_init_read() };
        // SAFETY: nobody uses the slot any more.
        unsafe { SHARED.release(self.shared) };
        map
    }
}

impl Clone for GuardedMmap {
    /// Returns another owner of the mapping. It takes one addition.
    ///
    /// # Panics
    ///
    /// Panics if there are more than `isize::MAX` clones.
    #[inline]
    fn clone(&self) -> GuardedMmap {
        let before = self.shared.value.clones.fetch_add(1, Relaxed);
        if before > isize::MAX as usize {
            self.shared.value.clones.fetch_sub(1, Relaxed);
            panic!("too many clones of a map");
        }
        GuardedMmap { ..*self }
    }
}

impl Drop for GuardedMmap {
    fn drop(&mut self) {
        if self.shared.value.clones.fetch_sub(1, Release) == 1 {
            fence(Acquire);
            // SAFETY: this was the last clone, and is being dropped.
            drop(unsafe { self.take() });
        }
    }
}

impl Deref for GuardedMmap {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the range is mapped as long as there is a clone. The caller of `new` excludes
        // changes.
        unsafe { slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl AsRef<[u8]> for GuardedMmap {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(feature = "stable_deref_trait")]
// SAFETY: the bytes are in a mapping, which does not move when this value does.
unsafe impl stable_deref_trait::StableDeref for GuardedMmap {}
#[cfg(feature = "stable_deref_trait")]
// SAFETY: clones share one mapping.
unsafe impl stable_deref_trait::CloneStableDeref for GuardedMmap {}

impl fmt::Debug for GuardedMmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedMmap")
            .field("ptr", &self.ptr)
            .field("len", &self.len)
            .field("check", &self.check())
            .finish()
    }
}
