//! Moving the bytes.

use super::plan::{self, Plan, RESERVED, Window};
use super::workers::{self, MAX_WORKERS};
use super::{Action, Cause, Copy, Failure, Options, Outcome, Source, Way, dest, source};
use crate::fd::BorrowedFd;
use crate::map::{Region, guard, unreadable, unwritable};
use crate::syscall::{
    self, Advice, Errno, FallocateFlags, FileType, MapFlags, ProtFlags, Whence, page_size,
};

/// Two files, and how the one becomes as the other.
struct Job<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    plan: Plan,
    /// Whether there is space for all of the destination.
    reserved: bool,
    way: Way,
    /// Others know the destination, and could make it shorter.
    in_place: bool,
}

impl Copy<'_, '_> {
    /// Copies the whole of `from` to the start of `to`, which is empty, unless the copy is in
    /// place; then what it has behind them stays.
    #[inline(never)]
    pub fn contents(&mut self, whole: &Source<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        let Source { file: from, stat } = whole;
        let (from, options, size) = (*from, self.options, stat.size);
        // Files in /proc have contents, and no size.
        if stat.file_type() != FileType::Regular || size == 0 || options.way == Some(Way::Read) {
            return self.stream(from, to);
        }
        if options.way == Some(Way::Clone) || options.way.is_none() && !options.fill_holes {
            match syscall::ficlone(to, from) {
                Ok(()) => {
                    if options.fill_holes {
                        reserve(to, size)?;
                    }
                    // It may have become longer since it was examined.
                    set_length(to, size)?;
                    return self.done(whole, Way::Clone);
                }
                Err(errno) if options.way.is_some() => return Err(dest(Action::CloneTo, errno)),
                Err(_) => {}
            }
        }
        // With less space than bytes it has holes. (Or the file system compresses: then there
        // is one stretch of data, as large as the file.)
        let has_holes = stat.blocks.saturating_mul(512) < size;
        let holes = has_holes && !options.fill_holes;
        if !workers::can_count(size) {
            return Err(source(Action::Copy, Errno::EFBIG));
        }
        let plan = Plan { size, holes, page: page_size() as u64 };
        let way = Way::Write;
        let mut job = Job { from, to, plan, reserved: false, way, in_place: options.in_place };
        job.prepare(options)?;
        let (mut way, mut jobs) = plan::best(&plan, job.reserved);
        // Within the kernel a file system may share holes, too.
        if has_holes && !holes {
            way = Way::Write;
        }
        if let Some(asked) = options.way {
            way = asked;
        }
        if options.jobs > 0 && jobs > 0 {
            jobs = options.jobs.min(MAX_WORKERS);
        }
        // A fault makes memory, and space, for more than a page at once: a mapped write beside
        // a hole would fill some of it, and could find no space there.
        if way == Way::Map && (!job.reserved || guard::ready().is_err()) {
            way = Way::Write;
        }
        job.way = way;
        let mut position = 0;
        if let Some(first) = job.next(0) {
            if options.way.is_none() && way == Way::Write && !plan.holes && !job.is_in_memory(first)
            {
                // It reads ahead while it writes; what is mapped is first read, and then written.
                way = Way::Kernel;
                job.way = way;
            }
            if way == Way::Kernel {
                match job.copy_by_kernel(first) {
                    Ok(()) => position = first.end(),
                    // Another way will tell what is wrong with them, if something is.
                    Err(failure) if options.way.is_none() && failure.is(Action::KernelCopy) => {
                        job.way = Way::Write;
                    }
                    Err(failure) => return Err(failure),
                }
            }
            if job.way != Way::Kernel
                && let Err(failure) = job.map_source(first)
            {
                if options.way.is_some() {
                    return Err(failure);
                }
                // It cannot be mapped at all. So it is with files in /sys, whose size is not
                // that of their contents either. (Looking for data moved the position.)
                set_length(to, 0)?;
                let _ = syscall::lseek(from, 0, Whence::SET);
                return self.stream(from, to);
            }
        }
        workers::run(options.process, jobs.max(1), position, &mut |board, here| {
            while let Some(window) = board.take(|at| job.next(at)) {
                job.copy_window(window)?;
                let done = board.count(&window);
                if here {
                    (self.watch)(done.min(size), Some(size));
                }
            }
            Ok(())
        })?;
        if has_holes && !holes && job.way == Way::Kernel {
            // It may have shared the holes, too.
            reserve(to, size)?;
        }
        self.done(whole, job.way)?;
        if options.in_place {
            // The last look before the file gets its length, which is the next call.
            job.check_length()?;
        }
        Ok(())
    }

    /// All is copied, if the source still has all that it had: what is beyond its end was taken
    /// for a hole, or for the rest of a page.
    fn done(&mut self, from: &Source<'_>, way: Way) -> Outcome<()> {
        if length(from.file) < from.stat.size {
            return Err(source(Action::Copy, Cause::Shrunk));
        }
        // A helper may have copied all of it, or the file system.
        (self.watch)(from.stat.size, Some(from.stat.size));
        (self.copied.bytes, self.copied.way) = (from.stat.size, Some(way));
        Ok(())
    }

    /// Copies what can only be read, or only be written, from the one's position to the
    /// other's.
    #[inline(never)] // its buffer is no burden on other paths
    pub fn stream(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
        let mut buffer = [0; 32 << 10];
        self.copied.bytes = 0;
        self.copied.way = Some(Way::Read);
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
            (self.watch)(self.copied.bytes, None);
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

/// Reserves space for the destination, and tells whether it could: some file systems cannot. That
/// there is none is an error.
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
        if !self.plan.holes && (size >= RESERVED || options.way == Some(Way::Map)) {
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
        if self.way == Way::Kernel {
            self.copy_by_kernel(window)?;
        } else {
            let map = self.map_source(window)?;
            advise(&map, Advice::POPULATE_READ);
            if self.way == Way::Map {
                self.copy_mapped(window, &map)?;
            } else {
                self.write(window, &map)?;
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
        copied.map_err(|left| self.missing(window.end() - left as u64))
    }

    /// Writes a window of the mapped source.
    fn write(&self, window: Window, map: &Region) -> Outcome<()> {
        let mut done = 0;
        while done < window.len {
            let (at, rest) = (map.ptr().wrapping_add(done), window.len - done);
            let offset = window.start + done as u64;
            // SAFETY: this program never writes to the source; its pages need not exist.
            match unsafe { syscall::pwrite_raw(self.to, at, rest, offset) } {
                // Never so for a count above zero; were it, this would not end.
                Ok(0) => return Err(dest(Action::Write, Errno::EIO)),
                Ok(count) => done += count,
                Err(Errno::EINTR) => {}
                // It is the source: there is no other memory in it.
                Err(Errno::EFAULT) => {
                    return Err(match unreadable(self.from, offset) {
                        Some(Some(errno)) => source(Action::Read, errno),
                        _ => source(Action::Copy, Cause::Shrunk),
                    });
                }
                Err(errno) => return Err(dest(Action::Write, errno)),
            }
        }
        Ok(())
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
                    return Err(match unreadable(self.from, offset) {
                        Some(_) => source(Action::Copy, Cause::Shrunk),
                        None => source(Action::KernelCopy, Errno::EOPNOTSUPP),
                    });
                }
                Ok(count) => offset += count as u64,
                Err(Errno::EINTR) => {}
                Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) => {
                    return Err(dest(Action::Write, errno));
                }
                Err(Errno::EIO) => return Err(self.missing(offset)),
                Err(errno) => return Err(source(Action::KernelCopy, errno)),
            }
        }
        Ok(())
    }

    /// Which side a byte is missing of, and why.
    #[cold]
    fn missing(&self, offset: u64) -> Failure {
        if self.in_place
            && let Err(failure) = self.check_length()
        {
            return failure;
        }
        match unreadable(self.from, offset) {
            Some(None) => source(Action::Copy, Cause::Shrunk),
            Some(Some(errno)) => source(Action::Read, errno),
            None => dest(Action::Write, unwritable(self.to, offset).unwrap_or(Errno::EIO)),
        }
    }
}

/// From so many bytes on a mapped destination is given large pages, as large as the file is long:
/// with fewer bytes there are few pages anyway.
const LARGE: u64 = 64 << 10;
