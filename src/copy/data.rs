//! Moving the bytes.

use core::cmp::Ordering;

use linux_raw_sys::general::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC,
};

use super::plan::{self, Plan, RESERVED, Window};
use super::workers::{self, MAX_WORKERS};
use super::{Action, Cause, Copy, Failure, Method, Options, Outcome, Source, dest, source};
use crate::fd::BorrowedFd;
use crate::map::{Region, guard, unreadable};
use crate::syscall::{
    self, Advice, Errno, FallocateFlags, FileType, MapFlags, ProtFlags, SyncFileRangeFlags, Whence,
    page_size,
};

/// Two files, and how the one becomes as the other.
struct Job<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    plan: Plan,
    /// Whether there is space for all of the destination.
    reserved: bool,
    method: Method,
    /// Others know the destination, and could make it shorter.
    in_place: bool,
}

impl Copy<'_, '_> {
    /// Copies the whole of `from` to the start of `to`, which is empty, unless the copy is in
    /// place; then what it has behind them stays.
    #[inline(never)]
    pub fn contents(&mut self, from: &Source<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        match self.all_contents(from, to) {
            // The size was an estimate, as with some FUSE servers: only reading finds the end.
            Err(failure)
                if failure.is_because(Cause::EndsEarly) && self.options.method.is_none() =>
            {
                self.stream_instead(from.file, to)
            }
            result => result,
        }
    }

    /// Streams the whole source after another way has failed. (Looking for data moved the
    /// source's position. The destination's is still at the start.)
    #[cold]
    fn stream_instead(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        set_length(to, 0)?;
        let _ = syscall::lseek(from, 0, Whence::SET);
        self.stream(from, to)
    }

    fn all_contents(&mut self, whole: &Source<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        let Source { file: from, stat } = whole;
        let (from, options, size) = (*from, self.options, stat.size);
        // Files in /proc have contents, and no size.
        if stat.file_type() != FileType::Regular
            || size == 0
            || options.method == Some(Method::Read)
        {
            return self.stream(from, to);
        }
        if options.method == Some(Method::Clone) || options.method.is_none() && !options.fill_holes
        {
            match syscall::ficlone(to, from) {
                Ok(()) => {
                    if options.fill_holes {
                        reserve(to, size)?;
                    }
                    // It may have become longer since it was examined.
                    set_length(to, size)?;
                    if length(from) < size {
                        return Err(source(Action::Copy, Cause::Shrunk));
                    }
                    self.done(size, Method::Clone);
                    return Ok(());
                }
                Err(errno) if options.method.is_some() => return Err(dest(Action::CloneTo, errno)),
                Err(_) => {}
            }
        }
        // A file with less space than bytes has holes, or its file system compresses.
        let has_holes = stat.blocks.saturating_mul(512) < size && knows_holes(from);
        if !workers::can_count(size) {
            return Err(source(Action::Copy, Errno::EFBIG));
        }
        let plan = Plan { size, holes: has_holes, page: page_size() as u64 };
        let method = Method::Write;
        let mut job = Job { from, to, plan, reserved: false, method, in_place: options.in_place };
        job.prepare(options)?;
        if has_holes && options.fill_holes && !job.reserved {
            // The holes are to be written, too. Loading a hole of a tmpfs takes a block of it;
            // reading does not.
            self.stream_instead(from, to)?;
            return job.missing(size - 1).map_or(Ok(()), Err);
        }
        let (mut method, mut jobs) = plan::best(&plan, job.reserved);
        if let Some(asked) = options.method {
            method = asked;
        }
        if options.jobs > 0 && jobs > 0 {
            jobs = options.jobs.min(MAX_WORKERS);
        }
        // A fault makes memory, and space, for more than a page at once: a mapped write beside
        // a hole would fill some of it, and could find no space there.
        if method == Method::Map && (!job.reserved || guard::ready().is_err()) {
            method = Method::Write;
        }
        job.method = method;
        let mut position = 0;
        if let Some(first) = job.next(0) {
            if options.method.is_none()
                && method == Method::Write
                && !plan.holes
                && !job.is_in_memory(first)
            {
                // It reads ahead while it writes; what is mapped is first read, and then written.
                method = Method::Kernel;
                job.method = method;
            }
            if method == Method::Kernel {
                match job.copy_by_kernel(first) {
                    Ok(()) => position = first.end(),
                    // Another way will tell what is wrong with them, if something is.
                    Err(failure) if options.method.is_none() && failure.is(Action::KernelCopy) => {
                        job.method = Method::Write;
                    }
                    Err(failure) => return Err(failure),
                }
            }
            if job.method != Method::Kernel
                && let Err(failure) = job.map_source(first)
            {
                if options.method.is_some() {
                    return Err(failure);
                }
                // It cannot be mapped at all. So it is with files in /sys, whose size is not
                // that of their contents either.
                return self.stream_instead(from, to);
            }
        }
        workers::run(options.process, jobs.max(1), position, &mut |queue, here| {
            while let Some(window) = queue.take(|at| job.next(at)) {
                job.copy_window(window)?;
                let done = queue.count(&window);
                if here {
                    (self.progress)(done.min(size), Some(size));
                }
            }
            Ok(())
        })?;
        if has_holes && options.fill_holes && job.method == Method::Kernel {
            // A file system that shares blocks may have shared the parts of pages that are holes.
            reserve(to, size)?;
        }
        // What is beyond the source's end was taken for a hole, or for the rest of a page.
        if let Some(failure) = job.missing(size - 1) {
            return Err(failure);
        }
        self.done(size, job.method);
        if options.in_place {
            // The last look before the file gets its length, which is the next call.
            job.check_length()?;
        }
        Ok(())
    }

    /// All `size` bytes are copied.
    fn done(&mut self, size: u64, method: Method) {
        // A worker may have copied all of it, or the file system.
        (self.progress)(size, Some(size));
        (self.copied.bytes, self.copied.method) = (size, Some(method));
    }

    /// Copies what can only be read, or only be written, from the one's position to the
    /// other's.
    #[inline(never)] // its buffer is no burden on other paths
    pub fn stream(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        let mut buffer = [0; 32 << 10];
        self.copied.bytes = 0;
        self.copied.method = Some(Method::Read);
        loop {
            let count = match syscall::read(from, &mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(source(Action::Read, errno)),
            };
            syscall::write_all(to, buffer.get(..count).unwrap_or_default())
                .map_err(|errno| dest(Action::Write, errno))?;
            self.copied.bytes += count as u64;
            (self.progress)(self.copied.bytes, None);
        }
    }
}

/// A file's length in bytes; as much as there can be, if it does not tell. (`lseek` would tell
/// with less, and move the position: what cannot be mapped is still to be read from the start.)
#[inline(never)]
fn length(file: BorrowedFd<'_>) -> u64 {
    syscall::fstat(file).map_or(u64::MAX, |stat| stat.size)
}

#[inline(never)]
pub fn set_length(to: BorrowedFd<'_>, length: u64) -> Outcome<()> {
    syscall::ftruncate(to, length).map_err(|errno| dest(Action::SetLength, errno))
}

/// Fails if a file has another length than what was copied to it.
///
/// A writable mapping lengthens a file of hugetlbfs to whole huge pages (Linux 6.18), and what
/// is written to a file of a network may be lost.
#[inline(never)]
pub fn check_length(to: BorrowedFd<'_>, copied: u64) -> Outcome<()> {
    match length(to).cmp(&copied) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(dest(Action::Write, Cause::CutOff)),
        Ordering::Greater => Err(dest(Action::SetLength, Cause::OtherLength)),
    }
}

/// Which kind of file system a file is on; zero if the kernel does not say.
#[inline(never)]
fn fs_type(file: BorrowedFd<'_>) -> u32 {
    syscall::fstatfs(file).map_or(0, |stat| stat.fs_type)
}

/// Whether a file is on a file system of the kernel's own that is known: it reports holes as they
/// are, a write that fails is an error of the write, and a file is as long as was written. Others
/// ask a server, which may fail when the file is closed.
#[inline(never)]
pub fn is_local(file: BorrowedFd<'_>) -> bool {
    const KNOWN: [u32; 5] =
        [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC];
    KNOWN.contains(&fs_type(file))
}

/// Whether the source's file system can be believed where it reports a hole.
///
/// The local ones know of data that is not yet on the disk. Others ask a server, which knows of
/// a hole where another process has written data that is not yet written back: FUSE with
/// `FUSE_WRITEBACK_CACHE` and virtiofs up to Linux 6.18, and an overlayfs above them. There, and
/// on any file system that is not known, the data is written back first. This waits for the
/// disk if the source was just written, and is a no-op otherwise.
#[cold]
#[inline(never)]
fn knows_holes(from: BorrowedFd<'_>) -> bool {
    let flags = SyncFileRangeFlags::WAIT_BEFORE
        | SyncFileRangeFlags::WRITE
        | SyncFileRangeFlags::WAIT_AFTER;
    is_local(from) || syscall::sync_file_range(from, 0, 0, flags).is_ok()
}

/// Whether the destination's file system compresses, unless the space is preallocated.
///
/// That is btrfs. On Linux 6.18 with `compress=zstd`, 64 MiB of text took 64 MiB when preallocated,
/// and 2 MiB when not. Without compression neither was faster than the other, because btrfs
/// writes to new blocks anyway; so it is not asked for its mount options.
fn may_compress(to: BorrowedFd<'_>) -> bool {
    fs_type(to) == BTRFS_SUPER_MAGIC
}

/// Reserves space for the destination, and tells whether it could: some file systems cannot. That
/// there is none is an error.
///
/// (Not all have it then: btrfs reserves nothing for blocks that the destination shares.)
#[inline(never)]
fn reserve(to: BorrowedFd<'_>, size: u64) -> Outcome<bool> {
    loop {
        match syscall::fallocate(to, FallocateFlags::empty(), 0, size) {
            Ok(()) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG | Errno::EIO)) => {
                return Err(dest(Action::Reserve, errno));
            }
            Err(_) => return Ok(false),
        }
    }
}

#[inline(never)]
fn map_shared(file: BorrowedFd<'_>, window: Window, prot: ProtFlags) -> syscall::Result<Region> {
    Region::map(window.len, prot, MapFlags::SHARED, Some(file), window.start, page_size())
}

/// For speed alone: what the kernel does not know, or cannot do now, it says again, or does
/// page by page.
#[inline(never)]
fn advise(map: &Region, advice: Advice) {
    // SAFETY: none of these changes what is in memory.
    let _ = unsafe { map.advise(0, map.len(), advice) };
}

impl Job<'_> {
    /// Makes room in the destination.
    #[inline(never)]
    fn prepare(&mut self, options: &Options) -> Outcome<()> {
        let size = self.plan.size;
        if self.plan.holes && options.in_place {
            // What was there before must not show through.
            set_length(self.to, 0)?;
        }
        let reserves = match (self.plan.holes, options.method) {
            // All of it is to take space, and what has space and no data is zeros.
            (true, _) => options.fill_holes,
            (false, Some(Method::Map)) => true,
            (false, _) => size >= RESERVED && !may_compress(self.to),
        };
        if reserves {
            self.reserved = reserve(self.to, size)?;
        }
        if options.in_place {
            // Longer than it will be: see `check_length`.
            let length = length(self.to).max(size.saturating_add(1));
            set_length(self.to, length)?;
        } else if self.plan.holes {
            set_length(self.to, size)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn next(&self, position: u64) -> Option<Window> {
        let seek = |offset: u64, whence| syscall::lseek(self.from, offset as i64, whence);
        self.plan.next(position, seek)
    }

    #[inline(never)]
    fn copy_window(&self, window: Window) -> Outcome<()> {
        if self.in_place {
            self.check_length()?;
        }
        if self.method == Method::Kernel {
            self.copy_by_kernel(window)?;
        } else {
            let map = self.map_source(window)?;
            advise(&map, Advice::POPULATE_READ);
            if self.method == Method::Map {
                self.copy_mapped(window, &map)?;
            } else if self.plan.holes {
                self.write_data(window, &map)?;
            } else {
                self.write(window, map.ptr())?;
            }
        }
        Ok(())
    }

    /// Whoever cuts a destination off that was written to makes zeros of that, when more is
    /// written behind. But nothing that is written makes it longer than its last byte: so
    /// until all is written, it has one more.
    fn check_length(&self) -> Outcome<()> {
        let is_shorter = length(self.to) <= self.plan.size;
        if is_shorter { Err(dest(Action::Write, Cause::CutOff)) } else { Ok(()) }
    }

    fn map_source(&self, window: Window) -> Outcome<Region> {
        map_shared(self.from, window, ProtFlags::READ).map_err(|e| source(Action::Map, e))
    }

    /// Whether the source's first page is in memory, as far as the kernel tells.
    fn is_in_memory(&self, first: Window) -> bool {
        let mut page = [1];
        if let Ok(map) = self.map_source(first) {
            let _ = syscall::mincore(map.ptr(), 1, &mut page);
        }
        page[0] & 1 != 0
    }

    /// Copies a window of the mapped source to the same of the destination, mapped for it.
    fn copy_mapped(&self, window: Window, map: &Region) -> Outcome<()> {
        let target = map_shared(self.to, window, ProtFlags::READ | ProtFlags::WRITE);
        let target = target.map_err(|errno| dest(Action::Map, errno))?;
        if self.plan.size >= LARGE {
            advise(&target, Advice::HUGEPAGE);
        }
        advise(&target, Advice::POPULATE_WRITE);
        // SAFETY: both are mapped, and `window.len` long; they are different files. No
        // reference is made to either: others may change the source meanwhile.
        let copied = unsafe { guard::copy(map.ptr(), target.ptr(), window.len) };
        let Err(left) = copied else { return Ok(()) };
        // What memory could not give or take, a call can; or it says why not.
        let done = window.len - left;
        let rest = Window { start: window.start + done as u64, len: left };
        self.write(rest, map.ptr().wrapping_add(done))
    }

    /// Writes what is not zero of a window of the mapped source, as GNU cp does with files that
    /// have less space than bytes: compressed images of erofs and squashfs (before Linux 6.13)
    /// have holes, and lseek(2) finds none.
    fn write_data(&self, window: Window, map: &Region) -> Outcome<()> {
        let mut start = 0;
        while start < window.len {
            let from = map.ptr().wrapping_add(start);
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

    /// Writes a part of the source, which is mapped at `from`.
    fn write(&self, part: Window, from: *const u8) -> Outcome<()> {
        let mut done = 0;
        while done < part.len {
            let (at, rest) = (from.wrapping_add(done), part.len - done);
            let offset = part.start + done as u64;
            // SAFETY: this program never writes to the source; its pages need not exist.
            let written = match unsafe { syscall::pwrite_raw(self.to, at, rest, offset) } {
                // It is the source: there is no other memory in it.
                Err(Errno::EFAULT) => self.write_unmapped(offset, rest)?,
                written => written,
            };
            done += check_written(written)?;
        }
        Ok(())
    }

    /// Reads the first of `len` bytes that no memory could be found for in the source's mapping,
    /// and writes them: in a full tmpfs a hole can be read, but not loaded.
    #[cold]
    #[inline(never)] // its buffer is no burden on other paths
    fn write_unmapped(&self, offset: u64, len: usize) -> Outcome<syscall::Result<usize>> {
        let mut buffer = [0; BLOCK];
        let (room, _) = buffer.split_at_mut(len.min(BLOCK));
        match syscall::pread(self.from, room, offset) {
            Ok(count @ 1..) => {
                Ok(syscall::pwrite(self.to, room.get(..count).unwrap_or_default(), offset))
            }
            // It is tried again where it can be read by now.
            _ => self.missing(offset).map_or(Ok(Err(Errno::EINTR)), Err),
        }
    }

    /// Why a byte of the source cannot be read; `None` if it can be.
    #[inline(never)]
    fn missing(&self, place: u64) -> Option<Failure> {
        Some(match unreadable(self.from, place)? {
            Some(errno) => source(Action::Read, errno),
            None if length(self.from) < self.plan.size => source(Action::Copy, Cause::Shrunk),
            None => source(Action::Copy, Cause::EndsEarly),
        })
    }

    /// Copies a window within the kernel. That it would not is a failure of
    /// [`Action::KernelCopy`].
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
                Err(Errno::EIO) => {
                    let broken = dest(Action::Write, Errno::EIO);
                    return Err(self.missing(offset).unwrap_or(broken));
                }
                Err(errno) => return Err(source(Action::KernelCopy, errno)),
            }
        }
        Ok(())
    }
}

/// How many bytes of a write were written; none after an interruption.
fn check_written(result: syscall::Result<usize>) -> Outcome<usize> {
    match result {
        // Never so for a count above zero; were it, the copy would not end.
        Ok(0) => Err(dest(Action::Write, Errno::EIO)),
        Ok(count) => Ok(count),
        Err(Errno::EINTR) => Ok(0),
        Err(errno) => Err(dest(Action::Write, errno)),
    }
}

/// The size in bytes of the blocks that are left out where they are zero, as most file systems
/// have them.
const BLOCK: usize = 4096;

/// Whether `len` bytes of a mapped file, at most [`BLOCK`], can be loaded and are zero.
fn is_zero(from: *const u8, len: usize) -> bool {
    // Most data does not begin with zeros, and then little of it is looked at.
    begins_with_zeros(from, len, &mut [0; 8])
        && begins_with_zeros(from, len, &mut [0; BLOCK / size_of::<u64>()])
}

/// Whether as many of `len` bytes of a mapped file as fit into `words`, which are zero, can be
/// loaded and are zero.
#[inline(never)]
fn begins_with_zeros(from: *const u8, len: usize, words: &mut [u64]) -> bool {
    let len = len.min(size_of_val(words));
    // SAFETY: no reference is made to the mapped bytes; the words are borrowed for this.
    let copied = unsafe { guard::copy(from, words.as_mut_ptr().cast(), len) };
    copied.is_ok() && words.iter().all(|&word| word == 0)
}

/// From so many bytes on a mapped destination is given large pages, as large as the file is long:
/// with fewer bytes there are few pages anyway.
const LARGE: u64 = 64 << 10;
