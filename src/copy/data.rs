//! Copies a file's data by each [`Method`], and falls back from one method to another.

use core::cmp::Ordering;

use linux_raw_sys::general::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F_SETFL, F2FS_SUPER_MAGIC, HUGETLBFS_MAGIC, O_DIRECT,
    OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC,
};

use super::plan::{self, Plan, RESERVED, Window};
use super::workers::{self, MAX_WORKERS};
use super::{Action, Cause, Copy, Failure, Method, Outcome, Source, dest, source};
use crate::fd::BorrowedFd;
use crate::map::{Region, guard, unreadable};
use crate::syscall::{
    self, Advice, Errno, FallocateFlags, FileType, MapFlags, ProtFlags, SyncFileRangeFlags, Whence,
    page_size,
};

/// The two files of a copy, and how the data is copied.
struct Job<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    plan: Plan,
    /// Whether space for the whole destination is preallocated.
    reserved: bool,
    method: Method,
    /// Whether the destination is an existing file, which another process may truncate.
    in_place: bool,
    /// Whether the holes that the source's file system reports are left out.
    reports_holes: bool,
    /// Whether blocks of zeros are left out. Looking for them needs the handler of page faults,
    /// which is the whole process's.
    finds_zeros: bool,
}

impl Copy<'_, '_> {
    /// Copies all data of `from` to the start of `to`.
    ///
    /// `to` is empty unless the copy is in place. An in-place destination may be longer afterwards;
    /// the caller sets its length.
    #[inline(never)]
    pub fn contents(&mut self, from: &Source<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        let method = if self.is_plain { Some(Method::Read) } else { self.options.method };
        let copied = match self.all_contents(from, to, method) {
            // Some FUSE servers report an estimated size. Only reading finds the real end.
            Err(failure) if failure.is_because(Cause::EndsEarly) && method.is_none() => {
                // The pages behind that end are in the page cache by now, and zero. Of requests
                // that run at the same time, the kernel takes the first answer for the end
                // (fuse_short_read, Linux 6.18), which may be a later one. Direct reads ask the
                // server, and need no aligned buffer on FUSE.
                if !is_local(from.file) {
                    // SAFETY: `F_SETFL` takes flags. The descriptor's file is only read from.
                    let _ = unsafe { syscall::fcntl(from.file, F_SETFL, O_DIRECT as usize) };
                }
                self.stream_instead(from.file, to)
            }
            result => result,
        };
        match copied {
            Err(failure) if failure.is_because(Cause::Errno(Errno::EINVAL)) => {
                self.map_huge_pages(from, to, failure)
            }
            result => result,
        }
    }

    /// Copies to a file on hugetlbfs by mapping it, which is the only way to write to such a file.
    /// Returns `failure` for another file system.
    ///
    /// The mapping needs a length of whole huge pages, to which it would lengthen the file, and
    /// the handler of page faults, which is the whole process's.
    #[cold]
    #[inline(never)]
    fn map_huge_pages(
        &mut self,
        from: &Source<'_>,
        to: BorrowedFd<'_>,
        failure: Failure,
    ) -> Outcome<()> {
        match syscall::fstatfs(to) {
            Ok(stat) if stat.fs_type == HUGETLBFS_MAGIC => {
                let is_whole = from.stat.size.checked_rem(stat.block_size) == Some(0);
                let is_auto = self.options.method.is_none() && self.options.process.is_some();
                if is_whole && is_auto && from.stat.file_type() == FileType::Regular {
                    return self.all_contents(from, to, Some(Method::Map));
                }
                Err(dest(Action::CopyTo, Cause::HugePages))
            }
            _ => Err(failure),
        }
    }

    /// Streams the whole source after another method has failed.
    ///
    /// Both files are rewound: `SEEK_DATA` moved the source's file position, and an earlier stream
    /// those of both.
    #[cold]
    fn stream_instead(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        set_length(to, 0)?;
        let _ = syscall::lseek(from, 0, Whence::SET);
        syscall::lseek(to, 0, Whence::SET).map_err(|errno| dest(Action::Write, errno))?;
        self.stream(from, to)
    }

    fn all_contents(
        &mut self,
        whole: &Source<'_>,
        to: BorrowedFd<'_>,
        asked: Option<Method>,
    ) -> Outcome<()> {
        let Source { file: from, stat } = whole;
        let (from, options, size) = (*from, self.options, stat.size);
        // Most files in /proc have contents, but report a size of zero.
        if stat.file_type() != FileType::Regular || size == 0 || asked == Some(Method::Read) {
            return self.stream(from, to);
        }
        if asked == Some(Method::Clone)
            || asked.is_none() && !options.fill_holes && !options.make_holes
        {
            match syscall::ficlone(to, from) {
                Ok(()) => {
                    if options.fill_holes {
                        reserve(to, size)?;
                    }
                    // The source may have grown since its size was read.
                    set_length(to, size)?;
                    if length(from) < size {
                        return Err(source(Action::Copy, Cause::Shrunk));
                    }
                    self.done(size, Method::Clone);
                    return Ok(());
                }
                Err(errno) if asked.is_some() => return Err(dest(Action::CloneTo, errno)),
                Err(_) => {}
            }
        }
        // A file with fewer blocks than bytes has holes, or its file system compresses it.
        let is_sparse = stat.blocks.saturating_mul(512) < size;
        let reports_holes = is_sparse && knows_holes(from);
        let makes_holes = options.make_holes && !options.fill_holes;
        let may_find_zeros = (is_sparse || makes_holes) && options.process.is_some();
        let has_holes = reports_holes || may_find_zeros;
        if !workers::can_count(size) {
            return Err(source(Action::Copy, Errno::EFBIG));
        }
        let plan = Plan { size, holes: has_holes, page: page_size() as u64 };
        let method = Method::Write;
        let mut job = Job {
            from,
            to,
            plan,
            reserved: false,
            method,
            in_place: self.in_place,
            reports_holes,
            finds_zeros: may_find_zeros,
        };
        // Space for holes is only reserved after the old data was removed.
        self.copied.method = has_holes.then_some(method);
        job.prepare(asked, options.fill_holes)?;
        self.copied.method = Some(method);
        if has_holes && options.fill_holes && !job.reserved {
            // Loading from a mapped hole on tmpfs allocates a page of the source, and is SIGBUS if
            // the tmpfs is full. read(2) allocates nothing.
            self.stream_instead(from, to)?;
            return job.missing(size - 1).map_or(Ok(()), Err);
        }
        let (mut method, mut jobs) = plan::best(&plan, job.reserved);
        if let Some(asked) = asked {
            method = asked;
        }
        if options.jobs > 0 && jobs > 0 {
            jobs = options.jobs.min(MAX_WORKERS);
        }
        // A page fault of a large folio allocates more than one page. A mapped store beside a hole
        // would allocate blocks in the hole, and would be SIGBUS on a full disk.
        if method == Method::Map && (!job.reserved || guard::ready().is_err()) {
            method = Method::Write;
        }
        job.method = method;
        let mut position = 0;
        if let Some(first) = job.extent(0, size) {
            if asked.is_none() && method == Method::Write && !plan.holes && !job.is_in_memory(first)
            {
                // copy_file_range(2) reads ahead while it writes. A mapped window would be read
                // from the disk completely before it is written.
                method = Method::Kernel;
                job.method = method;
            }
            if method == Method::Kernel {
                match job.copy_by_kernel(first) {
                    Ok(()) => position = first.end(),
                    // If a file is at fault, the fallback reports the error.
                    Err(failure) if asked.is_none() && failure.is(Action::KernelCopy) => {
                        job.method = Method::Write;
                    }
                    Err(failure) => return Err(failure),
                }
            }
            if job.method != Method::Kernel
                && let Err(failure) = job.map_source(first)
            {
                if asked.is_some() {
                    return Err(failure);
                }
                // Some files cannot be mapped, for example the files in /sys, which also report a
                // size that is not the length of their contents.
                return self.stream_instead(from, to);
            }
        }
        workers::run(options.process, jobs.max(1), position, &mut |queue, here| {
            while let Some(window) = queue.take(|at| job.window(at)) {
                match job.copy_window(window) {
                    // copy_file_range(2) may fail late, as on a FUSE mount whose server has lost
                    // the file's handle.
                    Err(failure) if asked.is_none() && failure.is(Action::KernelCopy) => {
                        job.method = Method::Write;
                        job.copy_window(window)?;
                    }
                    result => result?,
                }
                let done = queue.count(&window);
                if here {
                    (self.progress)(done.min(size), Some(size));
                }
            }
            Ok(())
        })?;
        if has_holes && options.fill_holes && job.method == Method::Kernel {
            // copy_file_range(2) may share blocks (btrfs, xfs), and with them holes that are
            // smaller than a page.
            reserve(to, size)?;
        }
        // If the source was truncated, the bytes after its new end were copied as a hole or as the
        // zeros that fill a page. The last byte is read to detect this.
        if let Some(failure) = job.missing(size - 1) {
            return Err(failure);
        }
        if has_holes && !job.in_place && length(to) < size {
            set_length(to, size)?; // The file ends with a hole.
        }
        self.done(size, job.method);
        if job.in_place {
            // The next call sets the final length, so this is the last check for a truncation.
            job.check_length()?;
        }
        Ok(())
    }

    /// Records and reports that all `size` bytes were copied.
    fn done(&mut self, size: u64, method: Method) {
        // The callback has not seen the bytes that workers, or a clone, have copied.
        (self.progress)(size, Some(size));
        (self.copied.bytes, self.copied.method) = (size, Some(method));
    }

    /// Reads `from` from its file position up to its end, and writes the data to `to` at its file
    /// position. Needs neither file to be mapped or seekable.
    #[inline(never)] // Keeps the buffer out of the callers' stack frames.
    pub fn stream(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        let mut buffer = [0; 32 << 10];
        self.copied.bytes = 0;
        loop {
            let count = match syscall::read(from, &mut buffer) {
                Ok(0) => {
                    self.copied.method = Some(Method::Read);
                    return Ok(());
                }
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(source(Action::Read, errno)),
            };
            syscall::write_all(to, buffer.get(..count).unwrap_or_default())
                .map_err(|errno| dest(Action::Write, errno))?;
            self.copied.method = Some(Method::Read);
            self.copied.bytes += count as u64;
            (self.progress)(self.copied.bytes, None);
        }
    }
}

/// Returns a file's length in bytes, or `u64::MAX` if `fstat(2)` fails.
///
/// `SEEK_END` is not used, because it moves the file position, from which `stream` reads.
#[inline(never)]
pub fn length(file: BorrowedFd<'_>) -> u64 {
    syscall::fstat(file).map_or(u64::MAX, |stat| stat.size)
}

/// Sets the destination's length in bytes.
#[inline(never)]
pub fn set_length(to: BorrowedFd<'_>, length: u64) -> Outcome<()> {
    syscall::ftruncate(to, length).map_err(|errno| dest(Action::SetLength, errno))
}

/// Returns whether an existing file has a length that can be set. May make the file longer.
///
/// `ftruncate(2)` has no effect on the files in `/proc` and `/sys`, and some file systems refuse it.
#[inline(never)]
pub fn has_length(to: BorrowedFd<'_>) -> bool {
    let longer = length(to).saturating_add(1);
    is_local(to) || set_length(to, longer).is_ok() && length(to) == longer
}

/// Fails if the length of `to` is not the number of bytes copied.
///
/// A writable mapping extends a file on hugetlbfs to whole huge pages (Linux 6.12 to 7.2), and a
/// network file system may lose written data.
#[inline(never)]
pub fn check_length(to: BorrowedFd<'_>, copied: u64) -> Outcome<()> {
    match length(to).cmp(&copied) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(dest(Action::Write, Cause::CutOff)),
        Ordering::Greater => Err(dest(Action::SetLength, Cause::OtherLength)),
    }
}

/// Returns the magic number of the file system that contains a file, or zero if `fstatfs(2)` fails.
#[inline(never)]
pub fn fs_type(file: BorrowedFd<'_>) -> u32 {
    syscall::fstatfs(file).map_or(0, |stat| stat.fs_type)
}

/// Returns whether a file is on a known local file system: ext4, xfs, btrfs, f2fs or tmpfs.
///
/// These report holes correctly, report a failed write at the write, and give a file the length
/// that was written. Network and FUSE file systems ask a server, and may report a failed write only
/// when the file is closed.
#[inline(never)]
pub fn is_local(file: BorrowedFd<'_>) -> bool {
    LOCAL.contains(&fs_type(file))
}

/// The file systems that [`is_local`] knows.
const LOCAL: [u32; 5] =
    [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC];

/// Returns whether the holes that the source's file system reports can be trusted.
///
/// Local file systems take data into account that is not yet written back. FUSE with
/// `FUSE_WRITEBACK_CACHE` and virtiofs (up to Linux 6.18), and an overlayfs above them, ask a
/// server, which reports a hole where another process has written data that is still in the page
/// cache. On every file system that is not known, the data is written back first. This waits for
/// the disk if the source was just written, and is a no-op otherwise. An overlayfs writes nothing
/// back for a file below it (Linux 6.18), so its holes are not trusted.
#[cold]
#[inline(never)]
fn knows_holes(from: BorrowedFd<'_>) -> bool {
    let flags = SyncFileRangeFlags::WAIT_BEFORE
        | SyncFileRangeFlags::WRITE
        | SyncFileRangeFlags::WAIT_AFTER;
    let kind = fs_type(from);
    LOCAL.contains(&kind)
        || kind != OVERLAYFS_SUPER_MAGIC && syscall::sync_file_range(from, 0, 0, flags).is_ok()
}

/// Returns whether the destination's file system may compress data, but not in preallocated space.
///
/// This is btrfs. On Linux 6.18 with `compress=zstd`, 64 MiB of text took 64 MiB when preallocated,
/// and 2 MiB otherwise. Without compression, preallocation made no difference in speed, because
/// btrfs writes to new blocks anyway. The mount options are therefore not examined.
fn may_compress(to: BorrowedFd<'_>) -> bool {
    fs_type(to) == BTRFS_SUPER_MAGIC
}

/// Preallocates `size` bytes of the destination. Returns whether the file system supports this.
///
/// A full disk is an error. On btrfs, success does not guarantee space for blocks that the
/// destination shares with another file (Linux 6.18): a store to such a block can still fail.
#[inline(never)]
fn reserve(to: BorrowedFd<'_>, size: u64) -> Outcome<bool> {
    loop {
        match syscall::fallocate(to, FallocateFlags::empty(), 0, size) {
            Ok(()) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) => {
                return Err(dest(Action::Reserve, errno));
            }
            Err(_) => return Ok(false),
        }
    }
}

/// Maps a window of a file with `MAP_SHARED`.
#[inline(never)]
fn map_shared(file: BorrowedFd<'_>, window: Window, prot: ProtFlags) -> syscall::Result<Region> {
    Region::map(window.len, prot, MapFlags::SHARED, Some(file), window.start, page_size())
}

/// Gives advice for a whole mapping, as best effort.
///
/// The advice only saves time. If the kernel does not know it or cannot follow it, the pages are
/// faulted in one by one, and a real error appears then.
#[inline(never)]
fn advise(map: &Region, advice: Advice) {
    // SAFETY: the callers pass POPULATE_READ, POPULATE_WRITE and HUGEPAGE, which do not change
    // the contents of memory.
    let _ = unsafe { map.advise(0, map.len(), advice) };
}

impl Job<'_> {
    /// Preallocates the destination, and sets the length of an in-place destination for the copy.
    #[inline(never)]
    fn prepare(&mut self, asked: Option<Method>, fill_holes: bool) -> Outcome<()> {
        let size = self.plan.size;
        if self.plan.holes && self.in_place {
            // Old data must not remain where the source has holes.
            set_length(self.to, 0)?;
        }
        let reserves = match (self.plan.holes, asked) {
            // Preallocated blocks read as zeros, so they take the place of the holes.
            (true, _) => fill_holes,
            (false, Some(Method::Map)) => true,
            (false, _) => size >= RESERVED && !may_compress(self.to),
        };
        if reserves {
            let before = length(self.to);
            let reserved = reserve(self.to, size);
            if reserved.is_err() {
                // A full disk may have space for a part, to which ext4 lengthens the file.
                let _ = set_length(self.to, before);
            }
            self.reserved = reserved?;
        }
        if self.in_place {
            // One byte longer than the copy, so that `check_length` detects a truncation.
            let length = length(self.to).max(size.saturating_add(1));
            set_length(self.to, length)?;
        }
        Ok(())
    }

    /// Calls lseek(2) of the source, if its file system reports holes.
    fn seek(&self, offset: u64, whence: Whence) -> syscall::Result<u64> {
        match self.reports_holes {
            true => syscall::lseek(self.from, offset as i64, whence),
            false => Err(Errno::EINVAL),
        }
    }

    /// Returns the next window of the source, at or after `position`. It begins with data, and may
    /// contain holes.
    #[inline(never)]
    fn window(&self, position: u64) -> Option<Window> {
        self.plan.window(position, |offset, whence| self.seek(offset, whence))
    }

    /// Returns the next data of the source, at or after `position` and before `end`.
    #[inline(never)]
    fn extent(&self, position: u64, end: u64) -> Option<Window> {
        self.plan.extent(position, end, |offset, whence| self.seek(offset, whence))
    }

    /// Copies the data in one window by the chosen method.
    #[inline(never)]
    fn copy_window(&self, window: Window) -> Outcome<()> {
        if self.in_place {
            self.check_length()?;
        }
        // The window is mapped once, however many extents it has.
        let mut map = None;
        let mut position = window.start;
        while let Some(extent) = self.extent(position, window.end()) {
            position = extent.end();
            if self.method == Method::Kernel {
                self.copy_by_kernel(extent)?;
                continue;
            }
            let map = match &map {
                Some(map) => map,
                None => map.insert(self.map_source(window)?),
            };
            self.copy_extent(extent, map, (extent.start - window.start) as usize)?;
        }
        Ok(())
    }

    /// Copies data that is at an offset in a mapped window.
    fn copy_extent(&self, extent: Window, map: &Region, offset: usize) -> Outcome<()> {
        // Below this size, the faults of a write cost less than another system call: the kernel maps
        // 64 KiB around a page that is in memory (`fault_around_bytes`).
        const POPULATED: usize = 64 << 10;
        if extent.len >= POPULATED || offset == 0 {
            // SAFETY: MADV_POPULATE_READ does not change the contents of memory.
            let _ = unsafe { map.advise(offset, extent.len, Advice::POPULATE_READ) };
        }
        let from = map.ptr().wrapping_add(offset).cast_const();
        if self.method == Method::Map {
            self.copy_mapped(extent, from)
        } else if self.finds_zeros {
            self.write_data(extent, from)
        } else {
            self.write(extent, from)
        }
    }

    /// Fails if another process has truncated the destination of an in-place copy.
    ///
    /// Writing behind the new end would fill the truncated part with zeros, and the length would be
    /// right again. For this reason the file is one byte longer than the copy until all data is
    /// written: no write of the copy restores that last byte.
    fn check_length(&self) -> Outcome<()> {
        let is_shorter = length(self.to) <= self.plan.size;
        if is_shorter { Err(dest(Action::Write, Cause::CutOff)) } else { Ok(()) }
    }

    /// Maps a window of the source for reading.
    fn map_source(&self, window: Window) -> Outcome<Region> {
        map_shared(self.from, window, ProtFlags::READ).map_err(|e| source(Action::Map, e))
    }

    /// Returns whether the first page of the source is in memory. True if the kernel does not say.
    fn is_in_memory(&self, first: Window) -> bool {
        let mut page = [1];
        if let Ok(map) = self.map_source(first) {
            let _ = syscall::mincore(map.ptr(), 1, &mut page);
        }
        page[0] & 1 != 0
    }

    /// Maps a window of the destination, and copies the window of the source that is mapped at
    /// `from` to it.
    fn copy_mapped(&self, window: Window, from: *const u8) -> Outcome<()> {
        let target = map_shared(self.to, window, ProtFlags::READ | ProtFlags::WRITE);
        let target = target.map_err(|errno| dest(Action::Map, errno))?;
        if self.plan.size >= LARGE {
            advise(&target, Advice::HUGEPAGE);
        }
        advise(&target, Advice::POPULATE_WRITE);
        // SAFETY: both mappings are `window.len` bytes long, and are of different files. No
        // reference to either exists, so another process may change the files meanwhile.
        let copied = unsafe { guard::copy(from, target.ptr(), window.len) };
        let Err(left) = copied else { return Ok(()) };
        // A page of the source or the destination is missing. pwrite(2) copies the rest, or reports
        // the reason.
        let done = window.len - left;
        let rest = Window { start: window.start + done as u64, len: left };
        self.write(rest, from.wrapping_add(done))
    }

    /// Writes the blocks that are not zero of a window that is mapped at `map`.
    ///
    /// GNU cp does this, too, for files that have fewer blocks than bytes. On compressed erofs
    /// images, and on squashfs before Linux 6.13, lseek(2) reports no holes.
    fn write_data(&self, window: Window, map: *const u8) -> Outcome<()> {
        let mut start = 0;
        while start < window.len {
            let from = map.wrapping_add(start);
            let mut len = 0;
            while len < window.len - start
                && !is_zero(from.wrapping_add(len), BLOCK.min(window.len - start - len))
            {
                len += BLOCK;
            }
            let len = len.min(window.len - start);
            self.write(Window { start: window.start + start as u64, len }, from)?;
            start += len + BLOCK;
        }
        Ok(())
    }

    /// Writes, in pieces, a part of the source that is mapped at `from` to the same offset of the destination.
    fn write(&self, part: Window, from: *const u8) -> Outcome<()> {
        let mut done = 0;
        while done < part.len {
            let (at, rest) = (from.wrapping_add(done), (part.len - done).min(PIECE));
            let offset = part.start + done as u64;
            // SAFETY: `at` points to `rest` mapped bytes of the source, which this program does not
            // write to. A page that is missing is EFAULT.
            let written = match unsafe { syscall::pwrite_raw(self.to, at, rest, offset) } {
                // The source's mapping is the only memory that the call reads.
                Err(Errno::EFAULT) => self.write_unmapped(offset, rest)?,
                written => written,
            };
            done += check_written(written)?;
        }
        Ok(())
    }

    /// Reads up to one block of the source at `offset`, and writes it to the destination.
    ///
    /// On a full tmpfs, a hole can be read with pread(2), but a load from its mapping is SIGBUS,
    /// because it needs a page.
    #[cold]
    #[inline(never)] // Keeps the buffer out of the caller's stack frame.
    fn write_unmapped(&self, offset: u64, len: usize) -> Outcome<syscall::Result<usize>> {
        let mut buffer = [0; BLOCK];
        let (room, _) = buffer.split_at_mut(len.min(BLOCK));
        match syscall::pread(self.from, room, offset) {
            Ok(count @ 1..) => {
                Ok(syscall::pwrite(self.to, room.get(..count).unwrap_or_default(), offset))
            }
            // A block that is smaller than a page may be broken although the first byte can be read.
            Err(errno) if errno != Errno::EINTR => Err(source(Action::Read, errno)),
            // If the byte can be read by now, EINTR makes the caller try again.
            _ => self.missing(offset).map_or(Ok(Err(Errno::EINTR)), Err),
        }
    }

    /// Reads one byte of the source, and returns why it cannot be read, or `None` if it can.
    #[inline(never)]
    fn missing(&self, place: u64) -> Option<Failure> {
        Some(match unreadable(self.from, place)? {
            Some(errno) => source(Action::Read, errno),
            None if length(self.from) < self.plan.size => source(Action::Copy, Cause::Shrunk),
            None => source(Action::Copy, Cause::EndsEarly),
        })
    }

    /// Copies a window with copy_file_range(2). If the kernel refuses, the failure has the action
    /// [`Action::KernelCopy`], and the caller may fall back to another method.
    #[inline(never)]
    fn copy_by_kernel(&self, window: Window) -> Outcome<()> {
        let mut offset = window.start;
        while offset < window.end() {
            let rest = (window.end() - offset) as usize;
            match syscall::copy_file_range(self.from, offset, self.to, offset, rest) {
                Ok(0) => {
                    let refused = source(Action::KernelCopy, Errno::EOPNOTSUPP);
                    return Err(self.missing(offset).unwrap_or(refused));
                }
                Ok(count) => offset += count as u64,
                Err(Errno::EINTR) => {}
                Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) => {
                    return Err(dest(Action::Write, errno));
                }
                // If a file is broken, the fallback reports the error.
                Err(errno) => return Err(source(Action::KernelCopy, errno)),
            }
        }
        Ok(())
    }
}

/// Returns the number of bytes that a write has written: zero after an interruption.
fn check_written(result: syscall::Result<usize>) -> Outcome<usize> {
    match result {
        // The kernel does not return zero for a length above zero. An error prevents an endless
        // loop if a file system did.
        Ok(0) => Err(dest(Action::Write, Errno::EIO)),
        Ok(count) => Ok(count),
        Err(Errno::EINTR) => Ok(0),
        Err(errno) => Err(dest(Action::Write, errno)),
    }
}

/// The largest number of bytes in one write.
///
/// ext4 and xfs allocate a folio as large as the write, up to 2 MiB. In a virtual machine, large
/// folios often are memory that the host has taken back (free page reporting), and providing one
/// again takes longer than the copy. Smaller folios are memory that was freed recently. `cargo bench
/// --bench pieces` measures other sizes.
const PIECE: usize = 128 << 10;

/// The size in bytes of the blocks that are left out where they are zero: the block size of most
/// file systems.
const BLOCK: usize = 4096;

/// Returns whether `len` bytes of a mapped file, at most [`BLOCK`], can be loaded and are zero.
fn is_zero(from: *const u8, len: usize) -> bool {
    // Eight bytes decide for most data, which does not begin with zeros.
    begins_with_zeros(from, len, &mut [0; 8])
        && begins_with_zeros(from, len, &mut [0; BLOCK / size_of::<u64>()])
}

/// Loads as many of `len` bytes of a mapped file as fit into `words`. Returns whether all of these
/// bytes could be loaded and are zero. The caller passes words that are zero.
#[inline(never)]
fn begins_with_zeros(from: *const u8, len: usize, words: &mut [u64]) -> bool {
    let len = len.min(size_of_val(words));
    // SAFETY: the words are borrowed mutably, and hold at least `len` bytes. No reference to the
    // mapped bytes exists.
    let copied = unsafe { guard::copy(from, words.as_mut_ptr().cast(), len) };
    copied.is_ok() && words.iter().all(|&word| word == 0)
}

/// Mapped destinations of this size in bytes and larger are advised to use huge pages, which ext4
/// and xfs follow with folios up to the size of the file. Smaller files have few pages anyway.
const LARGE: u64 = 64 << 10;
