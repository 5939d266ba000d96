//! A mapped file that survives truncation.

use core::{
    cmp, fmt,
    sync::atomic::{
        AtomicUsize,
        Ordering::{AcqRel, Acquire},
    },
};

use linux_raw_sys::general::{F_GETFL, O_ACCMODE, O_RDWR};

use super::{guard, watch::Watch};
use crate::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::map::{
    Advice, ConversionError, Region, Result,
    backing::{is_mapped_by_length, map_file, mapping_page_size, size},
    owned::duplicate,
};
use crate::syscall::{self, Errno, MapFlags, Mode, MsyncFlags, OFlags, ProtFlags, page_size};

/// A mapped file that is safe to access, even if other processes change or truncate the file.
///
/// ```
/// use baremap::map::FileMap;
///
/// let map = FileMap::open(c"Cargo.toml")?;
/// let mut start = [0; 9];
/// map.read_at(&mut start, 0).unwrap();
/// assert_eq!(&start, b"[package]");
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// The methods copy bytes into and out of the map. Where a page is missing, because the file was
/// truncated, or its disk failed or is full, they return a [`Fault`](super::Fault) after the bytes that come
/// before it. An access through a slice would kill the process with `SIGBUS`.
///
/// # Threads
///
/// Any number of threads may read and write one map at the same time, because no reference to the
/// file's memory exists. If one thread writes bytes while another one reads them, the reader gets
/// old bytes, new bytes, or a mixture of both.
///
/// # Length
///
/// Offsets and lengths are in bytes, need no alignment, and count from the beginning of the map.
/// The length of the map is that of the file when it was mapped or [refreshed](FileMap::refresh)
/// last. Writing does not extend the file; [`set_len`](FileMap::set_len) does.
///
/// # Truncation within a page
///
/// If the file ends within a page, the rest of that page can be accessed through a map without an
/// error (mmap(2)). After a truncation by another process, these bytes read as zeros until
/// [`refresh`](FileMap::refresh) finds the new length. What is written to them is not in the file.
/// If another process extends the file, tmpfs makes it a part of the file (Linux 6.1 to 7.2);
/// [`set_len`](FileMap::set_len) replaces it by zeros.
///
/// Some FUSE servers report a size that is only an estimate. The kernel then shows zeros between
/// the real end of the file and that size. A map cannot distinguish them from data. read(2) finds
/// the real end.
///
/// # Signals and children
///
/// A signal handler may read and write a map, unless it runs with `SIGBUS` or `SIGSEGV` blocked: a
/// missing page then kills the process. [`read_at_without_signals`] and [`write_at_without_signals`]
/// work there. See [`guard`].
///
/// A child created by `fork` has the map and the signal handler. What one process writes to the
/// map is visible to the other one.
///
/// # Slices
///
/// [`with_slice`](FileMap::with_slice) lends the map as a `&[u8]` to code that needs one, and
/// [`GuardedMmap`](super::GuardedMmap) is one for its whole life.
///
/// [`read_at_without_signals`]: FileMap::read_at_without_signals
/// [`write_at_without_signals`]: FileMap::write_at_without_signals
pub struct FileMap {
    /// Fields are dropped in order: the mapping must not be watched any more when it is unmapped.
    pub(super) watch: Watch,
    pub(super) region: Region,
    pub(super) file: OwnedFd,
    /// The offset in the file of the first byte of the map.
    pub(super) start: u64,
    /// The greatest length of the map, which `refresh` keeps to.
    limit: usize,
    /// Whether the mapping has `limit` bytes, even if the file is shorter.
    has_capacity: bool,
    pub(super) prot: ProtFlags,
    /// The length of the map, at most that of the region.
    len: AtomicUsize,
}

impl FileMap {
    /// Opens a file for reading, and maps all of it.
    ///
    /// With the standard library, `FileMap::new(&File::open(path)?)` does this, too.
    ///
    /// # Errors
    ///
    /// * An error of open(2), such as `ENOENT` if there is no such file, or `EACCES` if the
    ///   caller may not read it.
    /// * `ENODEV` if such a file cannot be mapped, such as a pipe or a file in `/proc`.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the file is longer than `isize::MAX` bytes.
    ///   [`map_range`](FileMap::map_range) can map a part of it.
    /// * `EPERM` if the file is sealed against writing and the kernel has no shared mappings of
    ///   such files. Linux has them since 6.7, and in backports such as 6.1.192.
    /// * `EPERM` or another error of [`guard::install`] if a seccomp filter forbids to install the
    ///   signal handler.
    pub fn open(path: &core::ffi::CStr) -> Result<FileMap> {
        let file = syscall::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(FileMap::from_fd(file)?)
    }

    /// Maps all of a file.
    ///
    /// The map has a duplicate of the descriptor, so that a reference to a `File` can be passed. A
    /// block device is mapped like a file of its size. [`from_fd`](FileMap::from_fd) takes the
    /// descriptor itself.
    ///
    /// The map is writable if the descriptor is open for both reading and writing, and the file is
    /// not sealed against writing. The map of an empty file is empty.
    ///
    /// Closing any descriptor of a file, as dropping the map does, releases all record locks
    /// (`F_SETLK` in fcntl(2)) that the process has on the file.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading.
    /// * `EBADF` if the descriptor is open neither for reading nor for writing (`O_PATH`).
    /// * `EMFILE` if the process has reached its limit of descriptors.
    /// * `ENODEV` if such a file cannot be mapped, such as a pipe or a file in `/proc`; or if it is
    ///   a character device, whose length [`map_range`](FileMap::map_range) takes.
    /// * `EINVAL` if the descriptor is open for writing, and the length of a file on hugetlbfs is
    ///   not a multiple of the huge page size: a writable mapping would extend the file.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the file is longer than `isize::MAX` bytes.
    ///   [`map_range`](FileMap::map_range) can map a part of it.
    /// * `EPERM` if the file is sealed against writing and the kernel has no shared mappings of
    ///   such files. Linux has them since 6.7, and in backports such as 6.1.192.
    /// * `EPERM` or another error of [`guard::install`] if the signal handler cannot be installed.
    pub fn new(file: impl AsFd) -> Result<FileMap> {
        FileMap::map_range(file, 0, usize::MAX)
    }

    /// Maps all of a file, and takes its descriptor.
    ///
    /// The map is writable if the descriptor is open for both reading and writing, and the file is
    /// not sealed against writing. The map of an empty file is empty.
    ///
    /// # Errors
    ///
    /// The error returns the descriptor. It has one of the errors of [`new`](FileMap::new), except
    /// `EMFILE`.
    pub fn from_fd(
        file: impl Into<OwnedFd>,
    ) -> core::result::Result<FileMap, ConversionError<OwnedFd>> {
        let file = file.into();
        match map_accessible(file.as_fd(), 0, usize::MAX, false) {
            Ok((region, len, prot)) => {
                Ok(FileMap::of(file, 0, usize::MAX, false, (region, len, prot)))
            }
            Err(errno) => Err(ConversionError { map: file, errno }),
        }
    }

    /// Maps `len` bytes of a file from the offset `start` on, or fewer if the file ends before.
    ///
    /// `start` need not be page-aligned. The map is empty if `start` is past the end of the file. A
    /// [refresh](FileMap::refresh) maps at most `len` bytes again. The map has a duplicate of the
    /// descriptor. It is writable if the descriptor is open for both reading and writing, and the
    /// file is not sealed against writing.
    ///
    /// A character device, such as `/dev/zero`, has no length, so that exactly `len` bytes are
    /// mapped. A block device has a length.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading.
    /// * `EBADF` if the descriptor is open neither for reading nor for writing (`O_PATH`).
    /// * `EMFILE` if the process has reached its limit of descriptors.
    /// * `ENODEV` if such a file cannot be mapped, such as a pipe or a file in `/proc`; or if it is
    ///   a character device, and `len` is `usize::MAX`.
    /// * `EINVAL` if the descriptor is open for writing, and the length of a file on hugetlbfs is
    ///   not a multiple of the huge page size: a writable mapping would extend the file.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the range is longer than `isize::MAX` bytes.
    /// * `EPERM` if the file is sealed against writing and the kernel has no shared mappings of
    ///   such files. Linux has them since 6.7, and in backports such as 6.1.192.
    /// * `EPERM` or another error of [`guard::install`] if the signal handler cannot be installed.
    pub fn map_range(file: impl AsFd, start: u64, len: usize) -> Result<FileMap> {
        FileMap::map_duplicate(file.as_fd(), start, len, false)
    }

    /// Maps a file that will grow, with address space for `capacity` bytes from the offset `start`
    /// on.
    ///
    /// The map has the present length of the file, up to `capacity`. When the file has become
    /// longer, by [`grow`](FileMap::grow) or by another process, [`update_len`](FileMap::update_len)
    /// extends the map without moving it. Both need only a shared reference, so that other threads
    /// may use the map meanwhile. The capacity takes address space, but neither memory nor space on
    /// the disk.
    ///
    /// The map has a duplicate of the descriptor. It is writable if the descriptor is open for both
    /// reading and writing, and the file is not sealed against writing.
    ///
    /// ```no_run
    /// # use baremap::{fd::AsFd, map::FileMap};
    /// # fn f(file: impl AsFd) -> Result<(), baremap::map::Error> {
    /// let map = FileMap::with_capacity(&file, 0, 1 << 30)?;
    /// map.grow(4096)?;
    /// map.write_at(b"new", 4000)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading.
    /// * `EBADF` if the descriptor is open neither for reading nor for writing (`O_PATH`).
    /// * `EMFILE` if the process has reached its limit of descriptors.
    /// * `ENODEV` if such a file cannot be mapped, such as a pipe or a file in `/proc`.
    /// * `EINVAL` if the descriptor is open for writing, and the file is on hugetlbfs: a writable
    ///   mapping would extend the file.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if `capacity` is more than `isize::MAX` bytes, or the range ends past the
    ///   greatest offset of a file.
    /// * `EPERM` if the file is sealed against writing and the kernel has no shared mappings of
    ///   such files. Linux has them since 6.7, and in backports such as 6.1.192.
    /// * `EPERM` or another error of [`guard::install`] if the signal handler cannot be installed.
    pub fn with_capacity(file: impl AsFd, start: u64, capacity: usize) -> Result<FileMap> {
        FileMap::map_duplicate(file.as_fd(), start, capacity, true)
    }

    fn map_duplicate(
        file: BorrowedFd<'_>,
        start: u64,
        limit: usize,
        has_capacity: bool,
    ) -> Result<FileMap> {
        let mapped = map_accessible(file, start, limit, has_capacity)?;
        Ok(FileMap::of(duplicate(file)?, start, limit, has_capacity, mapped))
    }

    fn of(
        file: OwnedFd,
        start: u64,
        limit: usize,
        has_capacity: bool,
        (region, len, prot): (Region, usize, ProtFlags),
    ) -> FileMap {
        let len = AtomicUsize::new(len);
        FileMap { watch: Watch::new(), region, file, start, limit, has_capacity, prot, len }
    }

    /// Maps the file once more, as `refresh` does.
    pub(super) fn map_again(&self) -> Result<FileMap> {
        let file = duplicate(self.file.as_fd())?;
        let (region, len) =
            map(file.as_fd(), self.start, self.limit, self.has_capacity, self.prot)?;
        let mapped = (region, len, self.prot);
        Ok(FileMap::of(file, self.start, self.limit, self.has_capacity, mapped))
    }

    /// Returns the length of the map in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Acquire)
    }

    /// Returns whether the length of the map is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the length in bytes up to which the map can grow without being mapped again. It is
    /// the length of the map, unless the map was made
    /// [with a capacity](FileMap::with_capacity).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.region.len()
    }

    /// Maps the file with its present length, and returns the new length of the map in bytes.
    ///
    /// Afterwards the map also shows the file again where pages were missing. After an error the
    /// map is unchanged.
    ///
    /// On overlayfs, a descriptor that was opened before the first change of the file (copy-up)
    /// reads the new contents, but every mapping of it shows the old ones (Linux 6.18).
    ///
    /// # Errors
    ///
    /// * `EINVAL` if the map is writable, and the length of a file on hugetlbfs is not a multiple
    ///   of the huge page size.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the map would be longer than `isize::MAX` bytes.
    /// * `EPERM` if the map is writable, and the file was sealed with `FUTURE_WRITE` since.
    pub fn refresh(&mut self) -> Result<usize> {
        let (region, len) =
            map(self.file.as_fd(), self.start, self.limit, self.has_capacity, self.prot)?;
        self.watch = Watch::new(); // before the mapping is replaced
        self.region = region;
        self.len = AtomicUsize::new(len);
        Ok(len)
    }

    /// Extends the map to the present length of the file, up to its
    /// [capacity](FileMap::capacity), and returns the length of the map in bytes.
    ///
    /// The mapping does not change. The map never becomes shorter: if the file did, the bytes after
    /// its end are missing until a [refresh](FileMap::refresh).
    ///
    /// # Errors
    ///
    /// Does not fail for a file of a local file system.
    pub fn update_len(&self) -> Result<usize> {
        let file = self.file.as_fd();
        let stat = syscall::fstat(file)?;
        let len = match size(file, &stat) {
            Ok(size) => clip_to_size(size, self.start, self.capacity()),
            Err(_) => return Ok(self.len()), // a character device, of which all is mapped
        };
        Ok(cmp::max(len, self.len.fetch_max(len, AcqRel)))
    }

    /// Extends the file to `len` bytes, with ftruncate(2), and extends the map up to its
    /// [capacity](FileMap::capacity). A no-op if the file has `len` bytes.
    ///
    /// `len` counts from the beginning of the file, also if the map begins at another offset of
    /// the file. New bytes are a hole: they read as zeros, and take no space on the disk before
    /// they are written. Other threads may use the map meanwhile. Two threads or processes that
    /// extend one file must not do so at the same time, because the one with the shorter length
    /// would truncate it.
    ///
    /// # Errors
    ///
    /// * `EINVAL` if the file is longer than `len` bytes.
    /// * `EINVAL` or `EBADF` if the file is not open for writing.
    /// * `EFBIG` if `len` is larger than the file system or `RLIMIT_FSIZE` allows. In the latter
    ///   case the process is also sent `SIGXFSZ`.
    /// * `EPERM` if a seal forbids the change.
    #[doc(alias = "ftruncate")]
    pub fn grow(&self, len: u64) -> Result<()> {
        let file = self.file.as_fd();
        let before = syscall::fstat(file)?.size;
        if len < before {
            return Err(Errno::EINVAL);
        }
        set_file_len(file, before, len)?;
        self.update_len().map(drop)
    }

    /// Sets the length of the file to `len` bytes, with ftruncate(2), and refreshes the map.
    ///
    /// `len` counts from the beginning of the file, also if the map begins at another offset of
    /// the file. New bytes are a hole: they read as zeros, and take no space on the disk before
    /// they are written.
    ///
    /// Bytes that somebody stored through a map behind the end of the file, within its last page, are
    /// set to zero before. tmpfs and files in memory (memfd_create(2)) would make them a part of the
    /// file (Linux 6.1 to 7.2). A store at this moment can still become a part of the file.
    ///
    /// Two processes that change the length of one file must not do so at the same time.
    ///
    /// # Errors
    ///
    /// * `EINVAL` or `EBADF` if the file is not open for writing.
    /// * `EFBIG` if `len` is larger than the file system or `RLIMIT_FSIZE` allows. In the latter
    ///   case the process is also sent `SIGXFSZ`.
    /// * `EPERM` if a seal forbids the change.
    /// * An error of [`refresh`](FileMap::refresh). The file then has its new length, and the map
    ///   is unchanged.
    #[doc(alias = "ftruncate")]
    pub fn set_len(&mut self, len: u64) -> Result<()> {
        let file = self.file.as_fd();
        set_file_len(file, syscall::fstat(file)?.size, len)?;
        self.refresh().map(drop)
    }

    /// Writes the changed pages of the map back to the disk, and waits for it.
    ///
    /// The data is on the disk when this returns `Ok`. The directory entry of a new file needs an
    /// fsync(2) of the directory as well. Dropping a map neither waits for the disk nor reports
    /// errors of writing back. Source: `MS_SYNC` in msync(2).
    ///
    /// # Errors
    ///
    /// `EIO`, `ENOSPC` or `EDQUOT` if the disk failed or is full. The kernel reports an error once:
    /// the next `flush` returns `Ok` although the data is lost.
    #[doc(alias = "msync")]
    pub fn flush(&self) -> Result<()> {
        self.region.flush(0, self.len(), MsyncFlags::SYNC)
    }

    /// Advises the kernel how the map will be used. A no-op if the map is empty.
    ///
    /// Source: madvise(2).
    ///
    /// # Errors
    ///
    /// * `EINVAL` if the kernel does not know the advice, or does not accept it for maps of files.
    /// * `EINVAL` if the advice is [`Advice::DontFork`]. A child would otherwise access whatever
    ///   memory has the addresses of the map then.
    /// * `EFAULT` if the advice is [`Advice::PopulateRead`] or [`Advice::PopulateWrite`], and a
    ///   page is missing.
    #[doc(alias = "madvise")]
    pub fn advise(&self, advice: Advice) -> Result<()> {
        self.advise_range(advice, 0, self.len())
    }

    /// Advises the kernel how `len` bytes from `offset` on will be used. The range is expanded to
    /// whole pages. A no-op if `len` is zero.
    ///
    /// Source: madvise(2).
    ///
    /// # Errors
    ///
    /// * `EINVAL` if the range is not inside the map, up to its [capacity](FileMap::capacity).
    /// * `EINVAL` if the kernel does not know the advice, or does not accept it for maps of files.
    /// * `EINVAL` if the advice is [`Advice::DontFork`]. A child would otherwise access whatever
    ///   memory has the addresses of the map then.
    /// * `EFAULT` if the advice is [`Advice::PopulateRead`] or [`Advice::PopulateWrite`], and a
    ///   page is missing.
    #[doc(alias = "madvise")]
    pub fn advise_range(&self, advice: Advice, offset: usize, len: usize) -> Result<()> {
        if advice == Advice::DontFork {
            return Err(Errno::EINVAL);
        }
        // SAFETY: an `Advice` does not change the contents of a map of a file.
        unsafe { self.region.advise(offset, len, advice.raw()?) }
    }

    /// Locks the pages of the map in memory, after reading them in. A no-op if the map is empty.
    ///
    /// The lock ends when the map is dropped, refreshed or [unlocked](FileMap::unlock). Locked pages
    /// count against `RLIMIT_MEMLOCK`. A page that gets lost by a truncation is not locked any more.
    ///
    /// Source: mlock(2).
    ///
    /// # Errors
    ///
    /// * `ENOMEM` if the map exceeds `RLIMIT_MEMLOCK`.
    /// * `ENOMEM` if a page is missing, such as one past the end of the file, to which the
    ///   [capacity](FileMap::capacity) of the map extends. The map is locked nevertheless.
    /// * `EPERM` if `RLIMIT_MEMLOCK` is zero.
    /// * `EAGAIN` if the kernel could not read in some pages for another reason.
    #[doc(alias = "mlock")]
    pub fn lock(&self) -> Result<()> {
        self.region.lock()
    }

    /// Unlocks the pages of the map. A no-op if the map is not locked.
    ///
    /// Source: munlock(2).
    ///
    /// # Errors
    ///
    /// Does not fail for a map that was locked by [`lock`](FileMap::lock).
    #[doc(alias = "munlock")]
    pub fn unlock(&self) -> Result<()> {
        self.region.unlock()
    }
}

/// Maps a file for reading, and for writing if the descriptor and the seals of the file allow it.
/// Returns the region, the length of the map and the protection.
fn map_accessible(
    file: BorrowedFd<'_>,
    start: u64,
    limit: usize,
    has_capacity: bool,
) -> Result<(Region, usize, ProtFlags)> {
    guard::ready()?;
    // SAFETY: `F_GETFL` takes no pointer.
    let mode = unsafe { syscall::fcntl(file, F_GETFL, 0)? };
    let both = mode as u32 & O_ACCMODE == O_RDWR;
    let mut prot = if both { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
    let mut mapped = map(file, start, limit, has_capacity, prot);
    if both && mapped.as_ref().is_err_and(|&errno| errno == Errno::EPERM) {
        prot = ProtFlags::READ; // The file is sealed against writing.
        mapped = map(file, start, limit, has_capacity, prot);
    }
    mapped.map(|(region, len)| (region, len, prot))
}

/// Returns the number of bytes of a file of `size` bytes from `start` on, up to `limit`.
fn clip_to_size(size: u64, start: u64, limit: usize) -> usize {
    // If the rest of the file is longer than the address space, `limit` decides.
    usize::try_from(size.saturating_sub(start)).map_or(limit, |rest| cmp::min(rest, limit))
}

/// Maps at most `limit` bytes of the present contents of a file, from the offset `start` on, or
/// exactly `limit` bytes if `has_capacity`. Returns the region, and the number of bytes that the
/// file has.
fn map(
    file: BorrowedFd<'_>,
    start: u64,
    limit: usize,
    has_capacity: bool,
    prot: ProtFlags,
) -> Result<(Region, usize)> {
    let stat = syscall::fstat(file)?;
    let page = mapping_page_size(file, &stat)?;
    let is_huge = page != page_size();
    let extends = has_capacity || !stat.size.is_multiple_of(page as u64);
    if is_huge && prot.contains(ProtFlags::WRITE) && extends {
        return Err(Errno::EINVAL); // A writable mapping would extend the file.
    }
    let len = match size(file, &stat) {
        Ok(size) => clip_to_size(size, start, limit),
        Err(_) if limit != usize::MAX && is_mapped_by_length(&stat) => limit,
        Err(errno) => return Err(errno),
    };
    let mapped = if has_capacity { limit } else { len };
    // An empty map is made of the first page of the file, which shows whether the file can be
    // mapped. qemu-user refuses a map that begins past the end of the file if its pages are
    // larger than those of the host.
    let start = if mapped == 0 { 0 } else { start };
    Ok((map_file(file, &stat, start, mapped, prot, MapFlags::SHARED)?, len))
}

/// Sets the length of a file of `before` bytes to `len` bytes.
fn set_file_len(file: BorrowedFd<'_>, before: u64, len: u64) -> Result<()> {
    if before < len {
        // Without it, the call below works as well.
        let _ = zero_past_end(file, before);
    }
    syscall::ftruncate(file, len)
}

/// Stores zeros after the end of a file of `end` bytes, up to the end of its last page.
///
/// A map shows these bytes, and stores to them are possible, although they are not in the file. On
/// tmpfs they become a part of the file when it grows (Linux 6.1 to 7.2). Other file systems store
/// zeros themselves.
fn zero_past_end(file: BorrowedFd<'_>, end: u64) -> Result<()> {
    let page = page_size();
    let rest = end.wrapping_neg() as usize & (page - 1);
    if rest == 0 || mapping_page_size(file, &syscall::fstat(file)?)? != page {
        return Ok(());
    }
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    let map = Region::map(rest, prot, MapFlags::SHARED, Some(file), end, page)?;
    const ZEROS: [u8; 256] = [0; 256];
    for start in (0..rest).step_by(ZEROS.len()) {
        let (at, count) = (map.ptr().wrapping_add(start), cmp::min(rest - start, ZEROS.len()));
        let mut found = ZEROS;
        // Only bytes that are not zero are replaced, so that the page does not become dirty.
        // SAFETY: the mapping is this function's, and there is no reference to it. A handler is
        // installed, because the caller has a `FileMap`.
        unsafe {
            let _ = guard::copy_installed(at, found.as_mut_ptr(), count);
            if found != ZEROS {
                let _ = guard::copy_installed(ZEROS.as_ptr(), at, count);
            }
        }
    }
    Ok(())
}

impl AsFd for FileMap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl From<FileMap> for OwnedFd {
    /// Unmaps the file and returns its descriptor.
    fn from(map: FileMap) -> OwnedFd {
        map.file
    }
}

impl fmt::Debug for FileMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileMap")
            .field("file", &self.file)
            .field("start", &self.start)
            .field("len", &self.len())
            .field("writable", &self.prot.contains(ProtFlags::WRITE))
            .finish()
    }
}
