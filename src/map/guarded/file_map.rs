//! A mapped file that survives truncation.

use core::{
    cmp, fmt,
    sync::atomic::{
        AtomicUsize,
        Ordering::{Acquire, SeqCst},
        fence,
    },
};

use linux_raw_sys::general::{F_GETFL, O_ACCMODE, O_RDWR};

#[cfg(feature = "std")]
use super::Cursor;
use super::{
    Chunks, Fault,
    fault::{unreadable, unwritable},
    guard,
};
use crate::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::map::{
    Advice, Region, Result,
    backing::{map_file, mapping_page_size, size},
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
/// truncated, or its disk failed or is full, they return a [`Fault`] after the bytes that come
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
/// [`refresh`](FileMap::refresh) finds the new length. What is written to them is not in the file,
/// although it can reappear when the file grows: see [`set_len`](FileMap::set_len).
///
/// Some FUSE servers report a size that is only an estimate. The kernel then shows zeros between
/// the real end of the file and that size. A map cannot distinguish them from data. read(2) finds
/// the real end.
///
/// # Signals and children
///
/// A signal handler may read and write a map, unless it runs with `SIGBUS` or `SIGSEGV` blocked: a
/// missing page then kills the process. See [`guard`].
///
/// A child created by `fork` has the map and the signal handler. What one process writes to the
/// map is visible to the other one.
///
/// # Slices
///
/// [`with_slice`](FileMap::with_slice) lends the map as a `&[u8]` to code that needs one.
pub struct FileMap {
    pub(super) region: Region,
    file: OwnedFd,
    /// The offset in the file of the first byte of the map.
    start: u64,
    /// The greatest length of the map, which `refresh` keeps to.
    limit: usize,
    pub(super) prot: ProtFlags,
    /// The offset from which on the pages of the file have been replaced by zero pages. It counts
    /// from the beginning of the first page.
    pub(super) lost: AtomicUsize,
}

/// The value of `FileMap::lost` if no page was replaced.
const NOTHING_LOST: usize = usize::MAX;

impl FileMap {
    /// Opens a file for reading, and maps all of it.
    ///
    /// With the standard library, `FileMap::new(File::open(path)?)` does this, too.
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
        FileMap::new(syscall::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Maps all of a file.
    ///
    /// The map is writable if the descriptor is open for both reading and writing, and the file is
    /// not sealed against writing. The map of an empty file is empty.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading.
    /// * `EBADF` if the descriptor is open neither for reading nor for writing (`O_PATH`).
    /// * `ENODEV` if such a file cannot be mapped, such as a pipe or a file in `/proc`.
    /// * `EINVAL` if the descriptor is open for writing, and the length of a file on hugetlbfs is
    ///   not a multiple of the huge page size: a writable mapping would extend the file.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the file is longer than `isize::MAX` bytes.
    ///   [`map_range`](FileMap::map_range) can map a part of it.
    /// * `EPERM` if the file is sealed against writing and the kernel has no shared mappings of
    ///   such files. Linux has them since 6.7, and in backports such as 6.1.192.
    /// * `EPERM` or another error of [`guard::install`] if a seccomp filter forbids to install the
    ///   signal handler.
    pub fn new(file: impl Into<OwnedFd>) -> Result<FileMap> {
        FileMap::map_range(file, 0, usize::MAX)
    }

    /// Maps `len` bytes of a file from the offset `start` on, or fewer if the file ends before.
    ///
    /// `start` need not be page-aligned. The map is empty if `start` is past the end of the file. A
    /// [refresh](FileMap::refresh) maps at most `len` bytes again. The map is writable if the
    /// descriptor is open for both reading and writing, and the file is not sealed against writing.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading.
    /// * `EBADF` if the descriptor is open neither for reading nor for writing (`O_PATH`).
    /// * `ENODEV` if such a file cannot be mapped, such as a pipe or a file in `/proc`.
    /// * `EINVAL` if the descriptor is open for writing, and the length of a file on hugetlbfs is
    ///   not a multiple of the huge page size: a writable mapping would extend the file.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the range is longer than `isize::MAX` bytes.
    /// * `EPERM` if the file is sealed against writing and the kernel has no shared mappings of
    ///   such files. Linux has them since 6.7, and in backports such as 6.1.192.
    /// * `EPERM` or another error of [`guard::install`] if a seccomp filter forbids to install the
    ///   signal handler.
    pub fn map_range(file: impl Into<OwnedFd>, start: u64, len: usize) -> Result<FileMap> {
        guard::install()?;
        let file = file.into();
        // SAFETY: `F_GETFL` takes no pointer.
        let mode = unsafe { syscall::fcntl(file.as_fd(), F_GETFL, 0)? };
        let both = mode as u32 & O_ACCMODE == O_RDWR;
        let mut prot = if both { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        let mut region = map(file.as_fd(), start, len, prot);
        if both && region.as_ref().is_err_and(|&errno| errno == Errno::EPERM) {
            prot = ProtFlags::READ; // The file is sealed against writing.
            region = map(file.as_fd(), start, len, prot);
        }
        let region = region?;
        let lost = AtomicUsize::new(NOTHING_LOST);
        Ok(FileMap { region, file, start, limit: len, prot, lost })
    }

    /// Returns the length of the map in bytes.
    pub const fn len(&self) -> usize {
        self.region.len()
    }

    /// Returns whether the length of the map is zero.
    pub const fn is_empty(&self) -> bool {
        self.region.len() == 0
    }

    /// Maps the file with its present length, and returns the new length of the map in bytes.
    ///
    /// Afterwards the map also shows the file again where pages were missing. After an error the
    /// map is unchanged.
    ///
    /// # Errors
    ///
    /// * `EINVAL` if the map is writable, and the length of a file on hugetlbfs is not a multiple
    ///   of the huge page size.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the map would be longer than `isize::MAX` bytes.
    /// * `EPERM` if the map is writable, and the file was sealed with `FUTURE_WRITE` since.
    pub fn refresh(&mut self) -> Result<usize> {
        self.region = map(self.file.as_fd(), self.start, self.limit, self.prot)?;
        self.lost = AtomicUsize::new(NOTHING_LOST);
        Ok(self.len())
    }

    /// Sets the length of the file to `len` bytes, with ftruncate(2), and refreshes the map.
    ///
    /// `len` counts from the beginning of the file, also if the map begins at another offset of
    /// the file. New bytes are a hole: they read as zeros, and take no space on the disk before
    /// they are written.
    ///
    /// New bytes in the last page of the old file are not zeros if somebody wrote to them through
    /// a map, behind the end of the file, and the file is on tmpfs or in memory (memfd_create(2);
    /// Linux 6.1 to 7.2). ext4, xfs and btrfs zero them.
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
        syscall::ftruncate(self.file.as_fd(), len)?;
        self.refresh().map(drop)
    }

    /// Reads bytes from `offset` on into the buffer, and returns their number.
    ///
    /// The number is the length of the buffer, or less if the map ends before. It is zero if
    /// `offset` is at or past the end of the map.
    ///
    /// On overlayfs, a map that was made before the first change of a file (copy-up) keeps
    /// showing the old contents, without an error.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page is missing. The [`done`](Fault::done) bytes before it have been read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> core::result::Result<usize, Fault> {
        let (at, len) = self.clip(offset, buffer.len());
        // SAFETY: the buffer has `len` bytes, to which `&mut` excludes other references. References
        // to the map exist only during `with_slice`, whose caller excludes conflicting accesses.
        let copied = unsafe { guard::copy(self.at(at), buffer.as_mut_ptr(), len) };
        self.check_intact(at, len, copied, false)
    }

    /// Writes bytes to the map from `offset` on, and returns their number.
    ///
    /// The number is the length of `bytes`, or less if the map ends before. It is zero if
    /// `offset` is at or past the end of the map: writing does not extend the file.
    ///
    /// The data is visible to other readers and maps of the file immediately. It reaches the disk
    /// when the kernel writes it back, or when [`flush`](FileMap::flush) returns. There is one
    /// exception: on overlayfs, another map that was made before the first change of the file
    /// (copy-up) keeps showing the old contents.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page is missing or has no room on the disk, or if the map is not writable
    /// (`EBADF`). The [`done`](Fault::done) bytes before it have been written.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> core::result::Result<usize, Fault> {
        let (at, len) = self.clip(offset, bytes.len());
        self.writable(at)?;
        // SAFETY: `bytes` has `len` bytes. References to the map exist only during `with_slice`,
        // whose caller excludes conflicting accesses.
        let copied = unsafe { guard::copy(bytes.as_ptr(), self.at(at), len) };
        self.check_intact(at, len, copied, true)
    }

    /// Writes one value to `len` bytes from `offset` on, and returns their number.
    ///
    /// The number is less than `len` if the map ends before. The data is visible and reaches the
    /// disk like that of [`write_at`](FileMap::write_at).
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page is missing or has no room on the disk, or if the map is not writable
    /// (`EBADF`). The [`done`](Fault::done) bytes before it have been written.
    pub fn fill(&self, byte: u8, offset: u64, len: usize) -> core::result::Result<usize, Fault> {
        let Buffer(bytes) = &Buffer([byte; 4096]);
        let (at, len) = self.clip(offset, len);
        self.writable(at)?;
        let mut done = 0;
        while done < len {
            let count = cmp::min(len - done, bytes.len());
            // SAFETY: the buffer has `count` bytes. References to the map exist only during
            // `with_slice`, whose caller excludes conflicting accesses.
            let copied = unsafe { guard::copy(bytes.as_ptr(), self.at(at + done), count) };
            if let Err(left) = copied {
                return self.check_intact(at, len, Err(len - done - count + left), true);
            }
            done += count;
        }
        self.check_intact(at, len, Ok(()), true)
    }

    /// Copies `len` bytes from `offset` on to another map, and returns their number.
    ///
    /// The number is less than `len` if either map ends before. If the two ranges show common
    /// bytes of one file, the contents of these bytes are unspecified afterwards.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page of either map is missing, or if `to` is not writable (`EBADF`). Its
    /// [`offset`](Fault::offset) is an offset in `self`. The [`done`](Fault::done) bytes before it
    /// have been copied.
    pub fn copy_to(
        &self,
        offset: u64,
        to: &FileMap,
        to_offset: u64,
        len: usize,
    ) -> core::result::Result<usize, Fault> {
        let (at, len) = self.clip(offset, len);
        let (to_at, len) = to.clip(to_offset, len);
        to.writable(to_at).map_err(|fault| Fault { offset: at as u64, ..fault })?;
        // Zero pages that replaced pages of this file must not be copied to the other file.
        let intact = cmp::min(len, self.intact_len(at));
        // SAFETY: both ranges are mapped. References to the maps exist only during `with_slice`,
        // whose caller excludes conflicting accesses.
        let copied = unsafe { guard::copy(self.at(at), to.at(to_at), intact) };
        let done = intact - copied.err().unwrap_or(0);
        let done = cmp::min(done, cmp::min(self.intact_len(at), to.intact_len(to_at)));
        if done == len {
            return Ok(len);
        }
        let offset = (at + done) as u64;
        let errno = match unreadable(self.file.as_fd(), self.start + offset) {
            Some(errno) => errno,
            None if done == self.intact_len(at) => None, // The page was replaced before.
            None => unwritable(to.file.as_fd(), to.start + (to_at + done) as u64),
        };
        Err(Fault { offset, done, errno })
    }

    /// Searches for a byte from `offset` on, and returns the offset of its first occurrence, or
    /// `None` if there is none.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page is missing before the first occurrence.
    pub fn find(&self, byte: u8, offset: u64) -> core::result::Result<Option<u64>, Fault> {
        let Buffer(buffer) = &mut Buffer([0; 4096]);
        let mut chunks = self.chunks(buffer, offset);
        while let Some((start, chunk)) = chunks.next()? {
            if let Some(index) = chunk.iter().position(|&next| next == byte) {
                return Ok(Some(start + index as u64));
            }
        }
        Ok(None)
    }

    /// Reads the map from `offset` to its end in chunks of the buffer's length. The last chunk, and
    /// one before a missing page, may be shorter.
    ///
    /// ```
    /// # use baremap::map::FileMap;
    /// let map = FileMap::open(c"Cargo.toml")?;
    /// let (mut buffer, mut lines) = ([0; 1024], 0);
    /// let mut chunks = map.chunks(&mut buffer, 0);
    /// while let Some((_offset, chunk)) = chunks.next().unwrap() {
    ///     lines += chunk.iter().filter(|&&byte| byte == b'\n').count();
    /// }
    /// assert!(lines > 10);
    /// # Ok::<(), baremap::map::Error>(())
    /// ```
    pub fn chunks<'a>(&'a self, buffer: &'a mut [u8], offset: u64) -> Chunks<'a> {
        Chunks { map: self, buffer, offset }
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
        if advice == Advice::DontFork {
            return Err(Errno::EINVAL);
        }
        // SAFETY: an `Advice` does not change the contents of a map of a file.
        unsafe { self.region.advise(0, self.len(), advice.raw()?) }
    }

    /// Returns a position at the beginning of the map that implements `std::io::Read`, `Write` and
    /// `Seek`.
    #[cfg(feature = "std")]
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { map: self, position: 0 }
    }

    /// Returns the offset and the length of the part of a range that is inside the map.
    fn clip(&self, offset: u64, len: usize) -> (usize, usize) {
        let at = usize::try_from(offset).map_or(self.len(), |offset| cmp::min(offset, self.len()));
        (at, cmp::min(len, self.len() - at))
    }

    /// Returns the address of a byte of the map.
    pub(super) fn at(&self, offset: usize) -> *mut u8 {
        self.region.ptr().wrapping_add(offset)
    }

    /// Returns the number of bytes from `at` on before the first page that was replaced by a zero
    /// page. The number is larger than the map if no page was replaced.
    fn intact_len(&self, at: usize) -> usize {
        // This load comes after the bytes were copied, so that zeros from a replaced page are found
        // out: the signal handler stores `lost` before it replaces pages.
        fence(Acquire);
        let before = self.at(0).addr() & (self.region.page_size() - 1);
        self.lost.load(SeqCst).saturating_sub(before + at)
    }

    /// Returns a fault at `at` if the map is not writable.
    pub(super) fn writable(&self, at: usize) -> core::result::Result<(), Fault> {
        if self.prot.contains(ProtFlags::WRITE) {
            return Ok(());
        }
        Err(Fault { offset: at as u64, done: 0, errno: Some(Errno::EBADF) })
    }

    /// Converts the result of copying `len` bytes from `at` on: returns a fault if the copy
    /// stopped, or if some of the bytes were copied from or to replaced pages.
    #[inline]
    pub(super) fn check_intact(
        &self,
        at: usize,
        len: usize,
        copied: core::result::Result<(), usize>,
        write: bool,
    ) -> core::result::Result<usize, Fault> {
        let left = copied.err().unwrap_or(0);
        let done = cmp::min(len - left, self.intact_len(at));
        if done == len {
            return Ok(len);
        }
        Err(self.fault(at, done, write))
    }

    /// Creates the fault for the byte at `at + done`.
    #[cold]
    fn fault(&self, at: usize, done: usize, write: bool) -> Fault {
        let offset = (at + done) as u64;
        let (file, place) = (self.file.as_fd(), self.start + offset);
        let errno = match unreadable(file, place) {
            Some(errno) => errno,
            None if write => unwritable(file, place),
            None => None,
        };
        Fault { offset, done, errno }
    }
}

/// A buffer that is aligned to cache lines, so that copies from and to it are fast.
#[repr(align(64))]
struct Buffer([u8; 4096]);

/// Maps at most `limit` bytes of the present contents of a file, from the offset `start` on.
fn map(file: BorrowedFd<'_>, start: u64, limit: usize, prot: ProtFlags) -> syscall::Result<Region> {
    let stat = syscall::fstat(file)?;
    let page = mapping_page_size(file, &stat)?;
    let is_huge = page != page_size();
    if is_huge && prot.contains(ProtFlags::WRITE) && !stat.size.is_multiple_of(page as u64) {
        return Err(Errno::EINVAL); // A writable mapping would extend the file.
    }
    let len = match usize::try_from(size(&stat)?.saturating_sub(start)) {
        Ok(rest) => cmp::min(rest, limit),
        // The rest of the file is longer than the address space, and `limit` decides.
        Err(_) => limit,
    };
    // An empty map is made of the first page of the file, which shows whether the file can be
    // mapped. qemu-user refuses a map that begins past the end of the file if its pages are
    // larger than those of the host.
    let start = if len == 0 { 0 } else { start };
    map_file(file, &stat, start, len, prot, MapFlags::SHARED)
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
