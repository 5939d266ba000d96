//! A file's bytes, to be read and written without fear.

use core::{
    cmp, fmt, slice,
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
    watch::Watch,
};
use crate::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::map::{
    Advice, Region, Result,
    backing::{map_file, mapping_page_size, size},
};
use crate::syscall::{self, Errno, MapFlags, Mode, MsyncFlags, OFlags, ProtFlags, page_size};

/// A mapped file that is safe to use, whatever others do to the file.
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
/// Bytes are copied from it and to it, by a copy that stops where a page is missing: the
/// file was made shorter, its disk is full or broken. That is an [`Fault`], where a slice
/// would have ended the process with `SIGBUS`. There is no reference to the file's memory
/// anywhere, and so nobody who changes it breaks a promise. All of it may be used by any
/// number of threads at the same time: bytes that one writes while another reads them are
/// old ones, new ones, or some of each.
///
/// Offsets and lengths are in bytes and need no alignment; offsets count from the beginning
/// of the map. The map is as long as the file was when it was made, or last
/// [refreshed](FileMap::refresh). Like a slice, and unlike a descriptor, it ends there:
/// writing does not make the file longer ([`set_len`](FileMap::set_len) does).
///
/// Where the file ends within a page, mmap(2) has zeros up to the end of that page. So they
/// are read in place of what was there if the file was made shorter since: of this the
/// kernel tells nobody, and `refresh` finds out.
///
/// A file system that reports a size which is only an estimate (some FUSE servers) has the kernel
/// put zeros behind the file's real end, too, up to that size. A map cannot tell them from data:
/// read(2) finds the real end.
///
/// For code that needs a `&[u8]` there is [`with_slice`](FileMap::with_slice).
pub struct FileMap {
    region: Region,
    file: OwnedFd,
    /// Where in the file the map begins.
    start: u64,
    /// How long the map may be.
    limit: usize,
    prot: ProtFlags,
    /// From here on, counted from the first page's beginning, there are zeros of ours in
    /// place of the file's pages.
    lost: AtomicUsize,
}

/// No page was lost.
const NOTHING: usize = usize::MAX;

impl FileMap {
    /// Opens a file to be read, and maps it all. (With the standard library a
    /// [`new`](FileMap::new) of a `File` does the same.)
    ///
    /// # Errors
    ///
    /// Those of open(2), and of [`new`](FileMap::new).
    pub fn open(path: &core::ffi::CStr) -> Result<FileMap> {
        FileMap::new(syscall::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Maps all of a file; to be written as well if the descriptor is open for both, and the
    /// file is not sealed against it. An empty file makes an empty map.
    ///
    /// # Errors
    ///
    /// * `EACCES`: the descriptor is not open for reading. `EBADF`: for nothing (`O_PATH`).
    /// * `ENODEV`: such a file cannot be mapped: a pipe, those in `/proc`.
    /// * `EINVAL`: the descriptor is open for writing, and the file is on hugetlbfs and has a
    ///   part of a huge page: a writable mapping would lengthen it to whole ones.
    /// * `ENOMEM`: no such range of addresses is free.
    /// * `EOVERFLOW`: more than `isize::MAX` bytes: a [part](FileMap::map_range) can be mapped.
    /// * `EPERM`: sealed against writing, and the kernel is older than 6.7; or
    ///   [`guard::install`] is not allowed.
    pub fn new(file: impl Into<OwnedFd>) -> Result<FileMap> {
        FileMap::map_range(file, 0, usize::MAX)
    }

    /// Maps `len` bytes of a file from `start` on, or as many as there are.
    ///
    /// # Errors
    ///
    /// As for [`new`](FileMap::new).
    pub fn map_range(file: impl Into<OwnedFd>, start: u64, len: usize) -> Result<FileMap> {
        guard::install()?;
        let file = file.into();
        // SAFETY: takes no pointer.
        let mode = unsafe { syscall::fcntl(file.as_fd(), F_GETFL, 0)? };
        let both = mode as u32 & O_ACCMODE == O_RDWR;
        let mut prot = if both { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        let mut region = map(file.as_fd(), start, len, prot);
        if both && region.as_ref().is_err_and(|&errno| errno == Errno::EPERM) {
            prot = ProtFlags::READ; // it is sealed
            region = map(file.as_fd(), start, len, prot);
        }
        let region = region?;
        let lost = AtomicUsize::new(NOTHING);
        Ok(FileMap { region, file, start, limit: len, prot, lost })
    }

    /// The length in bytes.
    pub const fn len(&self) -> usize {
        self.region.len()
    }

    /// Whether there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.region.len() == 0
    }

    /// Maps what the file has now, and returns how many bytes. After an error the map is as
    /// it was.
    ///
    /// # Errors
    ///
    /// As for [`new`](FileMap::new).
    pub fn refresh(&mut self) -> Result<usize> {
        self.region = map(self.file.as_fd(), self.start, self.limit, self.prot)?;
        self.lost = AtomicUsize::new(NOTHING);
        Ok(self.len())
    }

    /// Makes the file so many bytes long, and maps what it has then. New bytes are zeros,
    /// and have no place on the disk before they are written.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EBADF`: the file is not open for writing. `EFBIG`, `EPERM`: too long, or
    /// sealed. And those of [`new`](FileMap::new).
    pub fn set_len(&mut self, len: u64) -> Result<()> {
        syscall::ftruncate(self.file.as_fd(), len)?;
        self.refresh().map(drop)
    }

    /// Reads into the buffer from `offset` on, and returns how many bytes: fewer than the
    /// buffer has if the map ends before, and none beyond its end.
    ///
    /// # Errors
    ///
    /// A page is missing. The bytes before it have been read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> core::result::Result<usize, Fault> {
        let (at, len) = self.clip(offset, buffer.len());
        // SAFETY: the buffer is the caller's, and so long; to the map there are no references
        // but those that `with_slice` was promised to be the only ones.
        let copied = unsafe { guard::copy(self.at(at), buffer.as_mut_ptr(), len) };
        self.check_intact(at, len, copied, false)
    }

    /// Writes the bytes from `offset` on, and returns how many: fewer if the map ends before.
    ///
    /// They are the file's at once, for all who read or map it; on the disk they are when the
    /// kernel has the time, or after [`flush`](FileMap::flush).
    ///
    /// # Errors
    ///
    /// A page is missing, or has no room on the disk. The bytes before it have been written.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> core::result::Result<usize, Fault> {
        let (at, len) = self.clip(offset, bytes.len());
        self.writable(at)?;
        // SAFETY: as in `read_at`.
        let copied = unsafe { guard::copy(bytes.as_ptr(), self.at(at), len) };
        self.check_intact(at, len, copied, true)
    }

    /// Writes one byte, `len` times, as [`write_at`](FileMap::write_at) would.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn fill(&self, byte: u8, offset: u64, len: usize) -> core::result::Result<usize, Fault> {
        let Buffer(bytes) = &Buffer([byte; 4096]);
        let (at, len) = self.clip(offset, len);
        self.writable(at)?;
        let mut done = 0;
        while done < len {
            let count = cmp::min(len - done, bytes.len());
            // SAFETY: as in `read_at`.
            let copied = unsafe { guard::copy(bytes.as_ptr(), self.at(at + done), count) };
            if let Err(left) = copied {
                return self.check_intact(at, len, Err(len - done - count + left), true);
            }
            done += count;
        }
        self.check_intact(at, len, Ok(()), true)
    }

    /// Copies `len` bytes from `offset` on to another map, and returns how many: fewer if
    /// either ends before.
    ///
    /// If both show the same bytes of one file, what becomes of those is not said.
    ///
    /// # Errors
    ///
    /// A page of either is missing, or `to` cannot be written to. [`Fault::offset`] is that
    /// of this one.
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
        // Zeros of ours are not for the other file.
        let intact = cmp::min(len, self.intact_len(at));
        // SAFETY: as in `read_at`.
        let copied = unsafe { guard::copy(self.at(at), to.at(to_at), intact) };
        let done = intact - copied.err().unwrap_or(0);
        let done = cmp::min(done, cmp::min(self.intact_len(at), to.intact_len(to_at)));
        if done == len {
            return Ok(len);
        }
        let offset = (at + done) as u64;
        let errno = match unreadable(self.file.as_fd(), self.start + offset) {
            Some(errno) => errno,
            None if done == self.intact_len(at) => None, // it was missing before
            None => unwritable(to.file.as_fd(), to.start + (to_at + done) as u64),
        };
        Err(Fault { offset, done, errno })
    }

    /// Where the next byte of this value is, from `offset` on.
    ///
    /// # Errors
    ///
    /// A page is missing before there is one.
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

    /// Goes through the bytes from `offset` on, as many at a time as the buffer has.
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

    /// Calls a function with all of the bytes as a slice: for searching, hashing and
    /// parsing by code that is not ours.
    ///
    /// ```
    /// # use baremap::map::FileMap;
    /// let map = FileMap::open(c"Cargo.toml")?;
    /// // SAFETY: nobody writes to the file.
    /// let zeros = unsafe { map.with_slice(|bytes| bytes.iter().filter(|&&b| b == 0).count()) };
    /// assert_eq!(zeros, Ok(0));
    /// # Ok::<(), baremap::map::Error>(())
    /// ```
    ///
    /// If a page is missing, the function finds zeros in its place and in that of all pages
    /// after it, ends as it will, and its result is thrown away. Then the map is of no use
    /// from there on, until it is [refreshed](FileMap::refresh). It is watched in all
    /// threads, so that the function may use others.
    ///
    /// # Errors
    ///
    /// A page was missing, now or before. [`Fault::done`] tells how many bytes there were
    /// before it. `ENOMEM`: no memory to take note of this.
    ///
    /// # Safety
    ///
    /// While the function runs nobody changes the bytes that the map shows: no other process,
    /// and not this one by a descriptor, another map or this one's
    /// [`write_at`](FileMap::write_at). A `&[u8]` must not change, and the compiler relies
    /// on it. To make the file longer again after it became shorter is to change bytes, and so
    /// is to make a hole in it.
    ///
    /// That it becomes shorter, by whole pages, is *not* excluded; within a page, the rest of
    /// that changes to zeros, as by writing.
    ///
    /// The function returns, or panics: no handler of a signal jumps out of it.
    pub unsafe fn with_slice<T>(
        &self,
        function: impl FnOnce(&[u8]) -> T,
    ) -> core::result::Result<T, Fault> {
        // SAFETY: mapped as long as `self`; that nobody writes is the caller's promise.
        let bytes = unsafe { slice::from_raw_parts(self.at(0), self.len()) };
        self.watched(ProtFlags::READ, false, || function(bytes))
    }

    /// Calls a function with all of the bytes as a slice that can be written to.
    ///
    /// If a page is missing, or has no room on the disk, what is written from there on is
    /// lost, also what was written there before; and what is before it is in the file.
    ///
    /// # Errors
    ///
    /// As for [`with_slice`](FileMap::with_slice); `EBADF`: the file is not open for writing.
    ///
    /// # Safety
    ///
    /// While the function runs nobody reads the bytes by other ways, or changes them, as
    /// there. And the function does not rely on what it wrote to be there still: where a page
    /// is missing, zeros take the place of all that follows, written or not.
    pub unsafe fn with_slice_mut<T>(
        &mut self,
        function: impl FnOnce(&mut [u8]) -> T,
    ) -> core::result::Result<T, Fault> {
        self.writable(0)?;
        // SAFETY: as in `with_slice`, and the mapping is writable.
        let bytes = unsafe { slice::from_raw_parts_mut(self.at(0), self.len()) };
        self.watched(self.prot, true, || function(bytes))
    }

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
        self.check_intact(0, len, Ok(()), write)?; // some of it may be lost already
        let (base, length) = self.region.mapping();
        // SAFETY: the region's own mapping, which this value keeps; zeros in it are the
        // function's, and `check_intact` looks at the note for everybody else.
        let watch = unsafe { Watch::new(base, length, self.region.page_size(), prot, &self.lost) };
        let watch = watch.map_err(|errno| Fault { offset: 0, done: 0, errno: Some(errno) })?;
        let result = function();
        drop(watch);
        self.check_intact(0, len, Ok(()), write).map(|_| result)
    }

    /// Writes changed pages back to the file's disk, and waits for it.
    ///
    /// # Errors
    ///
    /// `EIO`, `ENOSPC`, `EDQUOT`: the disk is broken, or full.
    pub fn flush(&self) -> Result<()> {
        self.region.flush(0, self.len(), MsyncFlags::SYNC)
    }

    /// Tells the kernel how the bytes will be used.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the kernel does not know this advice, or not for a file; or it is
    /// [`Advice::DontFork`]: a child would copy from and to whatever has the addresses then.
    pub fn advise(&self, advice: Advice) -> Result<()> {
        if advice == Advice::DontFork {
            return Err(Errno::EINVAL);
        }
        // SAFETY: none of these changes contents.
        unsafe { self.region.advise(0, self.len(), advice.raw()?) }
    }

    /// Reads, writes and seeks from the beginning on.
    #[cfg(feature = "std")]
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { map: self, position: 0 }
    }

    /// The part of a range that is inside.
    fn clip(&self, offset: u64, len: usize) -> (usize, usize) {
        let at = usize::try_from(offset).map_or(self.len(), |offset| cmp::min(offset, self.len()));
        (at, cmp::min(len, self.len() - at))
    }

    fn at(&self, offset: usize) -> *mut u8 {
        self.region.ptr().wrapping_add(offset)
    }

    /// How many bytes from `at` on are the file's and not lost; without an end if none are.
    fn intact_len(&self, at: usize) -> usize {
        // After the bytes: zeros that were read are found to be ours.
        fence(Acquire);
        let before = self.at(0).addr() & (self.region.page_size() - 1);
        self.lost.load(SeqCst).saturating_sub(before + at)
    }

    fn writable(&self, at: usize) -> core::result::Result<(), Fault> {
        if self.prot.contains(ProtFlags::WRITE) {
            return Ok(());
        }
        Err(Fault { offset: at as u64, done: 0, errno: Some(Errno::EBADF) })
    }

    /// What became of `len` bytes from `at` on.
    #[inline]
    fn check_intact(
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

/// Memory that is aligned as a copy likes it.
#[repr(align(64))]
struct Buffer([u8; 4096]);

fn map(file: BorrowedFd<'_>, start: u64, limit: usize, prot: ProtFlags) -> syscall::Result<Region> {
    let stat = syscall::fstat(file)?;
    let page = mapping_page_size(file, &stat)?;
    let is_huge = page != page_size();
    if is_huge && prot.contains(ProtFlags::WRITE) && !stat.size.is_multiple_of(page as u64) {
        return Err(Errno::EINVAL); // a writable mapping would lengthen the file
    }
    let len = match usize::try_from(size(&stat)?.saturating_sub(start)) {
        Ok(rest) => cmp::min(rest, limit),
        Err(_) => limit, // too long for any map, unless it is to be of a part
    };
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
