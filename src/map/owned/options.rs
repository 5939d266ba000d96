//! The options of mapping files and memory.

use linux_raw_sys::general::{MAP_HUGE_MASK, MAP_HUGE_SHIFT};

use super::descriptor::{MmapAsRawDesc, borrow, duplicate};
use crate::fd::{AsFd, BorrowedFd, RawFd};
use crate::map::{
    MapIfSafeError, Mmap, MmapMut, MmapRaw, Result,
    backing::{is_immutable, map_file, mapping_page_size, size},
    region::{READ_WRITE, Region},
};
use crate::syscall::{self, Advice, Errno, MapFlags, Mode, OFlags, ProtFlags, Stat, page_size};

/// Options for mapping a file, a part of a file, or memory.
///
/// The descriptor of a file may be closed after the file was mapped. The map keeps the file open.
///
/// ```
/// use baremap::MmapOptions;
///
/// let mut map = MmapOptions::new().len(10_000).map_anon()?;
/// map[9_999] = 1;
/// # Ok::<(), baremap::map::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MmapOptions {
    offset: u64,
    len: Option<usize>,
    stack: bool,
    /// The base-2 logarithm of the size of huge pages, or zero for the default size of the system.
    huge: Option<u8>,
    huge_fallback: bool,
    populate: bool,
    no_reserve_swap: bool,
    sync: bool,
}

impl MmapOptions {
    /// Creates options for a whole file, or for zero bytes of memory.
    #[must_use]
    pub const fn new() -> MmapOptions {
        MmapOptions {
            offset: 0,
            len: None,
            stack: false,
            huge: None,
            huge_fallback: false,
            populate: false,
            no_reserve_swap: false,
            sync: false,
        }
    }

    /// Sets the offset in the file, in bytes, of the first byte of the map. It need not be
    /// page-aligned. Defaults to zero. Ignored for anonymous memory.
    pub const fn offset(&mut self, offset: u64) -> &mut Self {
        self.offset = offset;
        self
    }

    /// Sets the length of the map in bytes. A map of zero bytes can [grow](MmapMut::remap).
    ///
    /// Mapping does not fail if the file ends before the map, or even before its offset. An access
    /// to a page past the end of the file is `SIGBUS`.
    ///
    /// With a length, mapping a file takes one system call, mmap(2), and works for devices that have
    /// no size, such as `/dev/zero`.
    ///
    /// Defaults to the rest of the file from the offset on, or to zero for anonymous memory.
    pub const fn len(&mut self, len: usize) -> &mut Self {
        self.len = Some(len);
        self
    }

    /// Requests memory that is suitable for a stack (`MAP_STACK`). It is a no-op on Linux so far.
    /// Ignored for files.
    pub const fn stack(&mut self) -> &mut Self {
        self.stack = true;
        self
    }

    /// Requests memory in huge pages (`MAP_HUGETLB`) of 2 to the power of `page_bits` bytes, such
    /// as 21 for 2 MiB, or, with `None` and `Some(0)`, of the system's default size.
    ///
    /// The length of the mapping is rounded up to whole huge pages. The map cannot be resized, and
    /// a map of zero bytes has no mapping and cannot grow. Ignored for files.
    pub const fn huge(&mut self, page_bits: Option<u8>) -> &mut Self {
        self.huge = Some(match page_bits {
            Some(bits) => bits,
            None => 0,
        });
        self
    }

    /// Falls back to normal pages if no huge pages are available for [`huge`](MmapOptions::huge).
    ///
    /// The memory is then aligned to the size of a huge page, and the kernel may use transparent
    /// huge pages for it (`MADV_HUGEPAGE`). To [`populate`](MmapOptions::populate) it needs Linux
    /// 5.14.
    ///
    /// There is no fallback together with [`no_reserve_swap`](MmapOptions::no_reserve_swap): the
    /// kernel then reserves no huge pages when it maps the memory, so that mapping succeeds, and an
    /// access that finds no free huge page is `SIGBUS` (Linux 6.18).
    ///
    /// ```
    /// use baremap::MmapOptions;
    ///
    /// let mut map = MmapOptions::new().len(3 << 20).huge(Some(21)).huge_fallback().map_anon()?;
    /// map[(3 << 20) - 1] = 1;
    /// # Ok::<(), baremap::map::Error>(())
    /// ```
    pub const fn huge_fallback(&mut self) -> &mut Self {
        self.huge_fallback = true;
        self
    }

    /// Brings all pages into memory when the map is made (`MAP_POPULATE`). Best effort: mapping
    /// does not fail if a page cannot be brought into memory.
    ///
    /// In a writable private map of a file ([`map_copy`](MmapOptions::map_copy)), all pages become
    /// copies.
    pub const fn populate(&mut self) -> &mut Self {
        self.populate = true;
        self
    }

    /// Reserves no swap space (`MAP_NORESERVE`). If there is no memory for a page that is written
    /// to, the kernel kills a process.
    pub const fn no_reserve_swap(&mut self) -> &mut Self {
        self.no_reserve_swap = true;
        self
    }

    /// Does nothing on Linux. The method exists for compatibility with memmap2, which uses it on
    /// another system.
    pub const fn no_probe_handle(&mut self) -> &mut Self {
        self
    }

    /// Makes data in a shared map of a file on persistent memory (DAX) durable as soon as it has
    /// left the caches of the processor, without a flush by the kernel (`MAP_SYNC`). Private maps
    /// ignore the option.
    ///
    /// Mapping fails with `EOPNOTSUPP` if the file is not on persistent memory, and on mips, and
    /// with `EINVAL` before Linux 4.15.
    pub const fn sync(&mut self) -> &mut Self {
        self.sync = true;
        self
    }

    /// Maps a file for reading. The map is shared: it shows what others write to the file.
    ///
    /// The map of an empty file is empty, and can [grow](Mmap::remap) when the file does.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `EINVAL` if no length is set, and the offset is past the end of the file.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`, even if its size is zero; or if no length is set, and the file is a character
    ///   device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the length is more than `isize::MAX`, or the offset is larger than the
    ///   kernel supports.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file: no other process, and
    ///   no other part of this one. The bytes of a `&[u8]` must not change.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    pub unsafe fn map<T: MmapAsRawDesc>(&self, file: T) -> Result<Mmap> {
        let flags = MapFlags::SHARED;
        Ok(Mmap(self.map_descriptor(file.as_raw_desc(), ProtFlags::READ, flags)?))
    }

    /// Maps a file for reading and executing.
    ///
    /// # Errors
    ///
    /// * `EPERM` if the file is on a file system mounted `noexec`.
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `EINVAL` if no length is set, and the offset is past the end of the file.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`, even if its size is zero; or if no length is set, and the file is a character
    ///   device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the length is more than `isize::MAX`, or the offset is larger than the
    ///   kernel supports.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file: no other process, and
    ///   no other part of this one. The bytes of a `&[u8]` must not change.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    pub unsafe fn map_exec<T: MmapAsRawDesc>(&self, file: T) -> Result<Mmap> {
        let prot = ProtFlags::READ | ProtFlags::EXEC;
        Ok(Mmap(self.map_descriptor(file.as_raw_desc(), prot, MapFlags::SHARED)?))
    }

    /// Maps a file for reading and writing. What is written goes to the file.
    ///
    /// On hugetlbfs the mapping extends the file to the whole huge pages that it covers, before
    /// anything is written to it, and ftruncate(2) to the old length is `EINVAL` (Linux 6.18).
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for both reading and writing, or is not that of a
    ///   regular file.
    /// * `EPERM` if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `EINVAL` if no length is set, and the offset is past the end of the file.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`, even if its size is zero; or if no length is set, and the file is a character
    ///   device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the length is more than `isize::MAX`, or the offset is larger than the
    ///   kernel supports.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody else reads or changes the mapped bytes of the file: no other
    ///   process, and no other part of this one. The bytes of a `&mut [u8]` belong to one owner.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    /// * The disk has room for what is written to holes of the file, and to blocks that it shares
    ///   with a clone. A store that finds no room is `SIGBUS`.
    pub unsafe fn map_mut<T: MmapAsRawDesc>(&self, file: T) -> Result<MmapMut> {
        Ok(MmapMut(self.map_descriptor(file.as_raw_desc(), READ_WRITE, MapFlags::SHARED)?))
    }

    /// Maps a file for reading and writing, without changing the file. The map is private: a page
    /// that is written to becomes a copy in memory (copy-on-write).
    ///
    /// A page that is not a copy shows what others write to the file. With
    /// [`populate`](MmapOptions::populate), and after [`lock`](MmapMut::lock), all pages are
    /// copies.
    ///
    /// On hugetlbfs even a private mapping extends the file to the whole huge pages that it covers,
    /// also if the descriptor is open for reading only (Linux 6.18).
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `EINVAL` if no length is set, and the offset is past the end of the file.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`, even if its size is zero; or if no length is set, and the file is a character
    ///   device, which has no size.
    /// * `ENOMEM` if there is not enough address space, or the kernel cannot commit the memory for
    ///   the copies.
    /// * `EOVERFLOW` if the length is more than `isize::MAX`, or the offset is larger than the
    ///   kernel supports.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file: no other process, and
    ///   no other part of this one. The bytes of a `&[u8]` must not change.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    pub unsafe fn map_copy<T: MmapAsRawDesc>(&self, file: T) -> Result<MmapMut> {
        Ok(MmapMut(self.map_descriptor(file.as_raw_desc(), READ_WRITE, MapFlags::PRIVATE)?))
    }

    /// Maps a file for reading, privately. [`Mmap::make_mut`] makes the map writable without
    /// changing the file, even if the descriptor is open for reading only.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `EINVAL` if no length is set, and the offset is past the end of the file.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`, even if its size is zero; or if no length is set, and the file is a character
    ///   device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the length is more than `isize::MAX`, or the offset is larger than the
    ///   kernel supports.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file: no other process, and
    ///   no other part of this one. The bytes of a `&[u8]` must not change.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    pub unsafe fn map_copy_read_only<T: MmapAsRawDesc>(&self, file: T) -> Result<Mmap> {
        Ok(Mmap(self.map_descriptor(file.as_raw_desc(), ProtFlags::READ, MapFlags::PRIVATE)?))
    }

    /// Maps a file for reading if nobody can change or truncate it.
    ///
    /// Such a file is either a file in memory ([`Memfd`](crate::map::Memfd), memfd_create(2))
    /// with the seals `SHRINK` and `WRITE`, or a file on ext4, f2fs or btrfs that fs-verity
    /// protects. The fs-verity flag of other file systems is not trusted, because a FUSE server
    /// could make it up.
    ///
    /// An access to a page that cannot be read, or whose contents fs-verity finds to be changed on
    /// the disk, is `SIGBUS`.
    ///
    /// The mapping is private, which makes no difference for a file that does not change. Shared
    /// mappings of files that are sealed against writing need Linux 6.7 or a backport, such as
    /// 6.1.192.
    ///
    /// # Errors
    ///
    /// * [`NotSafe`](MapIfSafeError::NotSafe) if the file can be changed or truncated, or is
    ///   shorter than the requested range.
    /// * [`NotSafe`](MapIfSafeError::NotSafe) if the descriptor was opened with `O_PATH`, because
    ///   its seals and flags cannot be read.
    /// * [`MapFailed`](MapIfSafeError::MapFailed) with `EBADF` if the descriptor is not open, or
    ///   with `EMFILE` if no file descriptor is free for a duplicate.
    /// * [`MapFailed`](MapIfSafeError::MapFailed) if the file is safe, but mapping it failed:
    ///   with `EACCES` if the descriptor is not open for reading, with `EINVAL` if no length is set
    ///   and the offset is past the end of the file, with `ENOMEM` if there is not enough address
    ///   space, or with `EOVERFLOW` if the length is more than `isize::MAX`.
    pub fn map_if_safe<T: MmapAsRawDesc>(
        &self,
        file: T,
    ) -> core::result::Result<Mmap, MapIfSafeError> {
        let mapped = || {
            // Another thread may close the caller's descriptor, and its number may then refer to
            // another file. A duplicate keeps referring to the file that is checked.
            let file = duplicate(borrow(file.as_raw_desc())?)?;
            let file = file.as_fd();
            // This comes before the size is read, which may shrink as long as the file is not
            // known to be immutable.
            if !is_immutable(file) {
                return Ok(None);
            }
            let stat = syscall::fstat(file)?;
            let end = match self.len {
                Some(len) => self.offset.checked_add(len as u64),
                None => Some(stat.size),
            };
            if end.is_none_or(|end| end > stat.size) {
                return Ok(None);
            }
            self.map_with_stat(file, &stat, ProtFlags::READ, MapFlags::PRIVATE).map(Some)
        };
        match mapped() {
            Ok(Some(region)) => Ok(Mmap(region)),
            Ok(None) => Err(MapIfSafeError::NotSafe),
            Err(errno) => Err(MapIfSafeError::MapFailed(errno)),
        }
    }

    /// Maps zeroed memory that belongs to no file.
    ///
    /// The memory is private: a child created by `fork` has a copy of it.
    /// [`MmapRaw::map_anon_shared`] maps memory that children share. The length defaults to zero.
    ///
    /// # Errors
    ///
    /// * `ENOMEM` if there is not enough memory or address space; or, with
    ///   [`huge`](MmapOptions::huge) and without [`huge_fallback`](MmapOptions::huge_fallback),
    ///   if not enough huge pages are free.
    /// * `EINVAL` if the kernel has no huge pages, or none of the requested size, and
    ///   [`huge_fallback`](MmapOptions::huge_fallback) is not set; or if the requested size is
    ///   smaller than a page or does not fit in a `usize`.
    /// * `EOVERFLOW` if the length is more than `isize::MAX`.
    /// * `ENOENT` if huge pages of the default size are requested, and `/proc/meminfo`, which names
    ///   that size, does not exist.
    pub fn map_anon(&self) -> Result<MmapMut> {
        let len = self.len.unwrap_or(0);
        let mut flags = self.flags(MapFlags::PRIVATE | MapFlags::ANONYMOUS);
        if self.stack {
            flags |= MapFlags::STACK;
        }
        let Some(bits) = self.huge else {
            return Ok(MmapMut(Region::map(len, READ_WRITE, flags, None, 0, page_size())?));
        };
        if len == 0 {
            // The kernel cannot grow a mapping of huge pages, so that nothing needs to be mapped.
            return Ok(MmapMut(Region::empty(page_size())));
        }
        let size = match bits {
            0 => huge_page_size()?,
            // The kernel refuses the other sizes that the processor does not have.
            bits => match 1usize.checked_shl(bits.into()) {
                Some(size) if size >= page_size() => size,
                _ => return Err(Errno::EINVAL),
            },
        };
        let encoded = (u32::from(bits) & MAP_HUGE_MASK) << MAP_HUGE_SHIFT;
        let huge = flags | MapFlags::HUGETLB | MapFlags::from_bits_retain(encoded);
        let region = match Region::map(len, READ_WRITE, huge, None, 0, size) {
            // If the reason was not a lack of huge pages, the fallback fails for that reason again.
            Err(_) if self.huge_fallback => self.normal_pages(len, flags, size)?,
            region => region?,
        };
        Ok(MmapMut(region))
    }

    /// Maps normal pages in place of huge ones of `align` bytes.
    fn normal_pages(&self, len: usize, flags: MapFlags, align: usize) -> syscall::Result<Region> {
        // The pages are populated below, after the advice, so that they can be huge.
        let flags = flags.difference(MapFlags::POPULATE);
        let region = Region::aligned(len, READ_WRITE, flags, align)?;
        // Both pieces of advice are best effort: the memory is valid without them.
        // SAFETY: `HUGEPAGE` does not change contents.
        let _ = unsafe { region.advise(0, len, Advice::HUGEPAGE) };
        if self.populate {
            // SAFETY: `POPULATE_WRITE` does not change contents.
            let _ = unsafe { region.advise(0, len, Advice::POPULATE_WRITE) };
        }
        Ok(region)
    }

    /// Maps a file for reading and writing through pointers. What is written goes to the file.
    ///
    /// On hugetlbfs the mapping extends the file to the whole huge pages that it covers, before
    /// anything is written to it, and ftruncate(2) to the old length is `EINVAL` (Linux 6.18).
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for both reading and writing, or is not that of a
    ///   regular file.
    /// * `EPERM` if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `EINVAL` if no length is set, and the offset is past the end of the file.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`, even if its size is zero; or if no length is set, and the file is a character
    ///   device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the length is more than `isize::MAX`, or the offset is larger than the
    ///   kernel supports.
    pub fn map_raw<T: MmapAsRawDesc>(&self, file: T) -> Result<MmapRaw> {
        Ok(MmapRaw(self.map_descriptor(file.as_raw_desc(), READ_WRITE, MapFlags::SHARED)?))
    }

    /// Maps a file for reading through pointers.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `EINVAL` if no length is set, and the offset is past the end of the file.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`, even if its size is zero; or if no length is set, and the file is a character
    ///   device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if the length is more than `isize::MAX`, or the offset is larger than the
    ///   kernel supports.
    pub fn map_raw_read_only<T: MmapAsRawDesc>(&self, file: T) -> Result<MmapRaw> {
        Ok(MmapRaw(self.map_descriptor(file.as_raw_desc(), ProtFlags::READ, MapFlags::SHARED)?))
    }

    fn map_descriptor(
        &self,
        file: RawFd,
        prot: ProtFlags,
        sharing: MapFlags,
    ) -> syscall::Result<Region> {
        let file = borrow(file)?;
        match self.len {
            Some(len) if len != 0 => self.map_with_len(file, len, prot, sharing),
            _ => self.map_with_stat(file, &syscall::fstat(file)?, prot, sharing),
        }
    }

    /// Maps `len` bytes, and asks for the attributes of the file only if it seems to be on
    /// hugetlbfs, whose pages are larger.
    fn map_with_len(
        &self,
        file: BorrowedFd<'_>,
        len: usize,
        prot: ProtFlags,
        sharing: MapFlags,
    ) -> syscall::Result<Region> {
        let flags = self.file_flags(sharing)?;
        let page = page_size();
        match Region::map(len, prot, flags, Some(file), self.offset, page) {
            // Huge pages have at least 16 pages, and are aligned to their size.
            Ok(region) if region.mapping().0.addr().is_multiple_of(16 * page) => {
                let huge = syscall::fstat(file).and_then(|stat| mapping_page_size(file, &stat));
                Ok(region.with_page_size(huge.unwrap_or(page)))
            }
            // On hugetlbfs, the offset must be a multiple of a larger size.
            Err(Errno::EINVAL) => self.map_with_stat(file, &syscall::fstat(file)?, prot, sharing),
            region => region,
        }
    }

    fn map_with_stat(
        &self,
        file: BorrowedFd<'_>,
        stat: &Stat,
        prot: ProtFlags,
        sharing: MapFlags,
    ) -> syscall::Result<Region> {
        let len = match self.len {
            Some(len) => len,
            None => {
                let rest = size(file, stat)?.checked_sub(self.offset).ok_or(Errno::EINVAL)?;
                rest.try_into().map_err(|_| Errno::EOVERFLOW)?
            }
        };
        map_file(file, stat, self.offset, len, prot, self.file_flags(sharing)?)
    }

    fn file_flags(&self, sharing: MapFlags) -> syscall::Result<MapFlags> {
        let mut flags = self.flags(sharing);
        if self.sync && sharing.contains(MapFlags::SHARED) {
            flags |= MapFlags::SHARED_VALIDATE | MapFlags::SYNC;
        }
        Ok(flags)
    }

    fn flags(&self, mut flags: MapFlags) -> MapFlags {
        if self.populate {
            flags |= MapFlags::POPULATE;
        }
        if self.no_reserve_swap {
            flags |= MapFlags::NORESERVE;
        }
        flags
    }
}

/// Returns the default size of huge pages in bytes. `EINVAL` if the kernel has no huge pages.
fn huge_page_size() -> syscall::Result<usize> {
    let file = syscall::open(c"/proc/meminfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // The file is shorter than the buffer, and the kernel returns all of it by one read.
    let mut text = [0; 4096];
    let count = syscall::read(file.as_fd(), &mut text)?;
    let mut lines = text[..count].split(|&byte| byte == b'\n');
    let size = lines.find_map(|line| line.strip_prefix(b"Hugepagesize:"));
    let digits = size.ok_or(Errno::EINVAL)?.iter().filter(|byte| byte.is_ascii_digit());
    let kilobytes = digits.fold(0usize, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    Ok(kilobytes * 1024)
}
