//! What to map, and how.

use linux_raw_sys::general::{MAP_HUGE_MASK, MAP_HUGE_SHIFT};

use super::descriptor::{MmapAsRawDesc, borrow, duplicate};
use crate::fd::{AsFd, BorrowedFd, RawFd};
use crate::map::{
    MapIfSafeError, Mmap, MmapMut, MmapRaw, Result,
    backing::{is_immutable, map_file, size},
    region::{READ_WRITE, Region},
};
use crate::syscall::{self, Advice, Errno, MapFlags, Mode, OFlags, ProtFlags, Stat, page_size};

/// What to map, and how: the part of a file, or the length of memory, and options.
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
    /// Huge pages, and two to which power their size is: zero leaves it to the kernel.
    huge: Option<u8>,
    huge_fallback: bool,
    populate: bool,
    no_reserve_swap: bool,
    sync: bool,
}

impl MmapOptions {
    /// A whole file, or no memory, and nothing special.
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

    /// From this byte of the file on; it need not be the first of a page.
    pub const fn offset(&mut self, offset: u64) -> &mut Self {
        self.offset = offset;
        self
    }

    /// Sets the length in bytes, whether the file has them or not. A map of zero bytes can
    /// [grow](MmapMut::remap).
    ///
    /// Defaults to the rest of the file from the offset on, or to zero for memory.
    pub const fn len(&mut self, len: usize) -> &mut Self {
        self.len = Some(len);
        self
    }

    /// Memory is to be a stack (`MAP_STACK`, which does nothing on Linux so far).
    pub const fn stack(&mut self) -> &mut Self {
        self.stack = true;
        self
    }

    /// Memory is to have huge pages (`MAP_HUGETLB`), of two to this power of bytes, such as
    /// 21 for 2 MiB; or of the size that the system prefers. The mapping takes whole ones.
    pub const fn huge(&mut self, page_bits: Option<u8>) -> &mut Self {
        self.huge = Some(match page_bits {
            Some(bits) => bits,
            None => 0,
        });
        self
    }

    /// Where there are no huge pages to be had, memory is to have normal ones instead: from a
    /// multiple of the size of huge ones on, so that the kernel may make some of them as it
    /// goes (`MADV_HUGEPAGE`). To [`populate`](MmapOptions::populate) those needs Linux 5.14.
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

    /// Brings all pages in at once (`MAP_POPULATE`).
    pub const fn populate(&mut self) -> &mut Self {
        self.populate = true;
        self
    }

    /// Reserves no swap (`MAP_NORESERVE`): writing may find no memory, and end the process.
    pub const fn no_reserve_swap(&mut self) -> &mut Self {
        self.no_reserve_swap = true;
        self
    }

    /// Does nothing on Linux: memmap2 has it for another system.
    pub const fn no_probe_handle(&mut self) -> &mut Self {
        self
    }

    /// What is written to a shared map of a file on persistent memory (DAX) is there to stay
    /// as soon as it has left the processor's caches, without a flush by the kernel
    /// (`MAP_SYNC`). Mapping any other file is `EOPNOTSUPP`. Copies are not concerned.
    ///
    /// Since Linux 4.15 (`EINVAL` before), and not on mips (`ENOSYS`).
    pub const fn sync(&mut self) -> &mut Self {
        self.sync = true;
        self
    }

    /// Maps a file to be read. What others write to it is seen. An empty file is an empty
    /// map, which can [grow](Mmap::remap) with it.
    ///
    /// # Errors
    ///
    /// * `EACCES`: the descriptor is not open for reading, or is that of no regular file.
    /// * `EBADF`: it is not open at all.
    /// * `EINVAL`: the offset is beyond the end of the file, and no length was said.
    /// * `ENODEV`, `EIO`: such a file cannot be mapped, as a pipe or most of `/proc`, even
    ///   if its size is zero; or it is a device, and no length was said: it tells none.
    /// * `ENOMEM`: no such range of addresses is free.
    /// * `EOVERFLOW`: more than `isize::MAX` bytes, or an offset beyond what the kernel has.
    ///
    /// # Safety
    ///
    /// While the map lives nobody, in this process or another, changes the bytes of the
    /// file that it shows, or makes the file shorter than it reaches: a `&[u8]` must not
    /// change, and beyond the end of the file is `SIGBUS`.
    pub unsafe fn map<T: MmapAsRawDesc>(&self, file: T) -> Result<Mmap> {
        let flags = MapFlags::SHARED;
        Ok(Mmap(self.map_descriptor(file.as_raw_desc(), ProtFlags::READ, flags)?))
    }

    /// Maps a file to be read and executed.
    ///
    /// # Errors
    ///
    /// As for [`map`](MmapOptions::map); `EPERM`: on a file system mounted `noexec`.
    ///
    /// # Safety
    ///
    /// As for [`map`](MmapOptions::map).
    pub unsafe fn map_exec<T: MmapAsRawDesc>(&self, file: T) -> Result<Mmap> {
        let prot = ProtFlags::READ | ProtFlags::EXEC;
        Ok(Mmap(self.map_descriptor(file.as_raw_desc(), prot, MapFlags::SHARED)?))
    }

    /// Maps a file to be read and written. What is written goes to the file.
    ///
    /// On hugetlbfs the mapping lengthens the file to the whole huge pages that it covers, before
    /// anything is written to it, and ftruncate(2) to the old length is `EINVAL` (Linux 6.18).
    ///
    /// # Errors
    ///
    /// As for [`map`](MmapOptions::map); `EACCES`: the descriptor is not open for both;
    /// `EPERM`: the file is sealed against it.
    ///
    /// # Safety
    ///
    /// As for [`map`](MmapOptions::map), and nobody reads the bytes by other ways at the
    /// same time. Where the file has holes and the disk is full, writing is `SIGBUS`, too.
    pub unsafe fn map_mut<T: MmapAsRawDesc>(&self, file: T) -> Result<MmapMut> {
        Ok(MmapMut(self.map_descriptor(file.as_raw_desc(), READ_WRITE, MapFlags::SHARED)?))
    }

    /// Maps a file to be read, and written to in memory alone: a page that is written to
    /// becomes a copy.
    ///
    /// On hugetlbfs even this mapping lengthens the file to the whole huge pages that it covers,
    /// also by a descriptor that is open for reading alone (Linux 6.18).
    ///
    /// # Errors
    ///
    /// As for [`map`](MmapOptions::map).
    ///
    /// # Safety
    ///
    /// As for [`map`](MmapOptions::map): a page that was not written to is the file's.
    pub unsafe fn map_copy<T: MmapAsRawDesc>(&self, file: T) -> Result<MmapMut> {
        Ok(MmapMut(self.map_descriptor(file.as_raw_desc(), READ_WRITE, MapFlags::PRIVATE)?))
    }

    /// Maps a file as [`map_copy`](MmapOptions::map_copy) does, to be read. It can be made
    /// writable whatever the descriptor is open for.
    ///
    /// # Errors
    ///
    /// As for [`map`](MmapOptions::map).
    ///
    /// # Safety
    ///
    /// As for [`map`](MmapOptions::map).
    pub unsafe fn map_copy_read_only<T: MmapAsRawDesc>(&self, file: T) -> Result<Mmap> {
        Ok(Mmap(self.map_descriptor(file.as_raw_desc(), ProtFlags::READ, MapFlags::PRIVATE)?))
    }

    /// Maps a file to be read if nobody can change it or make it shorter: a file in memory
    /// (memfd_create(2)) that is sealed against both, or one that fs-verity protects on ext4,
    /// f2fs or btrfs. (What other file systems say of this may be the word of a program, as
    /// with FUSE.) A page that fs-verity finds to be changed on the disk is `SIGBUS`, as one
    /// that cannot be read.
    ///
    /// The mapping is private, which for such a file is the same: older kernels than 6.7
    /// have no shared one of a sealed file.
    ///
    /// # Errors
    ///
    /// [`NotSafe`](MapIfSafeError::NotSafe): somebody could, or the file is shorter than
    /// what is to be mapped. Otherwise as for [`map`](MmapOptions::map), and `EMFILE` if no
    /// descriptor is free.
    pub fn map_if_safe<T: MmapAsRawDesc>(
        &self,
        file: T,
    ) -> core::result::Result<Mmap, MapIfSafeError> {
        let mapped = || {
            // A number may come to be another file's at any time, unless it is our own.
            let file = duplicate(borrow(file.as_raw_desc())?)?;
            let file = file.as_fd();
            // First: until then the size could become smaller.
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

    /// Maps memory, all of it zero.
    ///
    /// # Errors
    ///
    /// * `ENOMEM`: there is none, or, with [`huge`](MmapOptions::huge), no huge pages are
    ///   left and there is no [fallback](MmapOptions::huge_fallback).
    /// * `EINVAL`: there are no huge pages, or none of this size, and no fallback; or this is
    ///   no size, or less than a page's.
    /// * `EOVERFLOW`: more than `isize::MAX` bytes.
    /// * `ENOENT`: the size of huge pages is left to the system, and there is no
    ///   `/proc/meminfo` to tell it.
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
            return Ok(MmapMut(Region::empty(page_size()))); // huge pages never grow
        }
        let size = match bits {
            0 => huge_page_size()?,
            // Another size that does not exist is the kernel's to refuse.
            bits => match 1usize.checked_shl(bits.into()) {
                Some(size) if size >= page_size() => size,
                _ => return Err(Errno::EINVAL),
            },
        };
        let encoded = (u32::from(bits) & MAP_HUGE_MASK) << MAP_HUGE_SHIFT;
        let huge = flags | MapFlags::HUGETLB | MapFlags::from_bits_retain(encoded);
        let region = match Region::map(len, READ_WRITE, huge, None, 0, size) {
            // Whatever the reason: if it is not the pages, it comes again.
            Err(_) if self.huge_fallback => self.normal_pages(len, flags, size)?,
            region => region?,
        };
        Ok(MmapMut(region))
    }

    fn normal_pages(&self, len: usize, flags: MapFlags, align: usize) -> syscall::Result<Region> {
        let flags = flags.difference(MapFlags::POPULATE); // it is not the time yet
        let region = Region::aligned(len, READ_WRITE, flags, align)?;
        // If the kernel makes no huge pages, or does not populate, the memory is good all the
        // same.
        // SAFETY: contents stay as they are.
        let _ = unsafe { region.advise(0, len, Advice::HUGEPAGE) };
        if self.populate {
            // SAFETY: as above.
            let _ = unsafe { region.advise(0, len, Advice::POPULATE_WRITE) };
        }
        Ok(region)
    }

    /// Maps a file to be read and written, by pointers.
    ///
    /// On hugetlbfs the mapping lengthens the file to the whole huge pages that it covers, before
    /// anything is written to it, and ftruncate(2) to the old length is `EINVAL` (Linux 6.18).
    ///
    /// # Errors
    ///
    /// As for [`map_mut`](MmapOptions::map_mut).
    pub fn map_raw<T: MmapAsRawDesc>(&self, file: T) -> Result<MmapRaw> {
        Ok(MmapRaw(self.map_descriptor(file.as_raw_desc(), READ_WRITE, MapFlags::SHARED)?))
    }

    /// Maps a file to be read, by pointers.
    ///
    /// # Errors
    ///
    /// As for [`map`](MmapOptions::map).
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
        self.map_with_stat(file, &syscall::fstat(file)?, prot, sharing)
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
                let rest = size(stat)?.checked_sub(self.offset).ok_or(Errno::EINVAL)?;
                rest.try_into().map_err(|_| Errno::EOVERFLOW)?
            }
        };
        let mut flags = self.flags(sharing);
        if self.sync && sharing.contains(MapFlags::SHARED) {
            flags |= sync_flags()?;
        }
        map_file(file, stat, self.offset, len, prot, flags)
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

fn sync_flags() -> syscall::Result<MapFlags> {
    #[cfg(not(any(target_arch = "mips", target_arch = "mips64")))]
    return Ok(MapFlags::SHARED_VALIDATE | MapFlags::SYNC);
    #[cfg(any(target_arch = "mips", target_arch = "mips64"))]
    Err(Errno::ENOSYS)
}

/// The size of huge pages that the system prefers, in bytes; `EINVAL` if it has none.
fn huge_page_size() -> syscall::Result<usize> {
    let file = syscall::open(c"/proc/meminfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // The whole file is smaller, and read at once.
    let mut text = [0; 4096];
    let count = syscall::read(file.as_fd(), &mut text)?;
    let mut lines = text[..count].split(|&byte| byte == b'\n');
    let size = lines.find_map(|line| line.strip_prefix(b"Hugepagesize:"));
    let digits = size.ok_or(Errno::EINVAL)?.iter().filter(|byte| byte.is_ascii_digit());
    let kilobytes = digits.fold(0usize, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    Ok(kilobytes * 1024)
}
