//! Moving the bytes.

use super::plan::{self, Plan, RESERVED, Window};
use super::workers::{self, MAX_WORKERS};
use super::{Action, Cause, Failure, Options, Outcome, Watch, Way, dest, source};
use crate::fd::BorrowedFd;
use crate::map::{Region, guard, unreadable, unwritable};
use crate::syscall::{
    self, Advice, Errno, FallocateFlags, FileType, MapFlags, ProtFlags, Stat, Whence, page_size,
};

/// Two files, and how the one becomes as the other.
struct Job<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    plan: Plan,
    way: Way,
    /// Others know the destination, and could make it shorter.
    in_place: bool,
}

/// Copies the whole of `from` to the start of `to`, and returns how many bytes, and how. `to`
/// is empty, unless the copy is in place; then what it has behind them stays.
pub fn copy(
    from: BorrowedFd<'_>,
    stat: &Stat,
    to: BorrowedFd<'_>,
    options: &Options,
    watch: Watch<'_>,
) -> Outcome<(u64, Way)> {
    let size = stat.size;
    // Files in /proc have contents, and no size.
    if stat.file_type() != FileType::Regular || size == 0 || options.way == Some(Way::Read) {
        return stream(from, to, watch);
    }
    if options.way == Some(Way::Clone) || options.way.is_none() && !options.fill_holes {
        match syscall::ficlone(to, from) {
            Ok(()) => return whole(from, size).map(|()| (size, Way::Clone)),
            Err(errno) if options.way.is_some() => return Err(dest(Action::CloneTo, errno)),
            Err(_) => {}
        }
    }
    // With less space than bytes it has holes. (Or the file system compresses: then there is
    // one stretch of data, as large as the file.)
    let holes = !options.fill_holes && stat.blocks.saturating_mul(512) < size;
    let plan = Plan { size, holes, page: page_size() as u64 };
    let reserved = prepare(to, &plan, options)?;
    let (mut way, mut jobs) = plan::best(&plan, reserved);
    if let Some(asked) = options.way {
        way = asked;
    }
    if options.jobs > 0 && jobs > 0 {
        jobs = options.jobs.min(MAX_WORKERS);
    }
    // A fault makes memory, and space, for more than a page at once: a mapped write beside a
    // hole would fill some of it, and could find no space there.
    if way == Way::Map && (!reserved || guard::ready().is_err()) {
        way = Way::Write;
    }
    let mut job = Job { from, to, plan, way, in_place: options.in_place };
    let mut position = 0;
    if let Some(first) = job.next(0) {
        if way == Way::Kernel {
            match job.copy_by_kernel(first)? {
                Ok(()) => position = first.end(),
                // Another way will tell what is wrong with them, if something is.
                Err(_) if options.way.is_none() => job.way = Way::Write,
                Err(errno) => return Err(source(Action::KernelCopy, errno)),
            }
        }
        if job.way != Way::Kernel
            && let Err(errno) = map_shared(from, first, ProtFlags::READ)
        {
            if options.way.is_some() {
                return Err(source(Action::Map, errno));
            }
            // It cannot be mapped at all. So it is with files in /sys, whose size is not that of
            // their contents either. (Looking for data moved the position.)
            set_length(to, 0)?;
            let _ = syscall::lseek(from, 0, Whence::SET);
            return stream(from, to, watch);
        }
    }
    workers::run(jobs.max(1), position, &mut |board, here| {
        while let Some(window) = board.take(|at| job.next(at)) {
            job.copy_window(window)?;
            let done = board.count(&window);
            if here {
                watch(done.min(size), Some(size));
            }
        }
        Ok(())
    })?;
    // What is beyond the end was taken for a hole, or for the rest of a page.
    whole(from, size).map(|()| (size, job.way))
}

/// Whether the source still has all that it had.
fn whole(from: BorrowedFd<'_>, size: u64) -> Outcome<()> {
    if length(from) < size { Err(source(Action::Copy, Cause::Shrunk)) } else { Ok(()) }
}

/// A file's length in bytes; as much as there can be, if it does not tell.
#[inline(never)]
fn length(file: BorrowedFd<'_>) -> u64 {
    syscall::lseek(file, 0, Whence::END).unwrap_or(u64::MAX)
}

/// Copies what can only be read, or only be written, from the one's position to the
/// other's, and returns how many bytes.
#[inline(never)] // its buffer is no burden on other paths
pub fn stream(from: BorrowedFd<'_>, to: BorrowedFd<'_>, watch: Watch<'_>) -> Outcome<(u64, Way)> {
    let mut buffer = [0; 32 << 10];
    let mut total = 0;
    loop {
        match syscall::read(from, &mut buffer) {
            Ok(0) => return Ok((total, Way::Read)),
            Ok(count) => {
                let mut rest = buffer.get(..count).unwrap_or_default();
                while !rest.is_empty() {
                    match syscall::write(to, rest) {
                        // Never so for a count above zero; were it, this would not end.
                        Ok(0) => return Err(dest(Action::Write, Errno::EIO)),
                        Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                        Err(Errno::EINTR) => {}
                        Err(errno) => return Err(dest(Action::Write, errno)),
                    }
                }
                total += count as u64;
                watch(total, None);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(source(Action::Read, errno)),
        }
    }
}

#[inline(never)]
fn set_length(to: BorrowedFd<'_>, length: u64) -> Outcome<()> {
    syscall::ftruncate(to, length).map_err(|errno| dest(Action::SetLength, errno))
}

/// Makes room in the destination, and tells whether there is space for all of it.
fn prepare(to: BorrowedFd<'_>, plan: &Plan, options: &Options) -> Outcome<bool> {
    if plan.holes && options.in_place {
        // What was there before must not show through.
        set_length(to, 0)?;
    }
    let wanted = !plan.holes && (plan.size >= RESERVED || options.way == Some(Way::Map));
    let reserved = wanted && reserve(to, plan.size)?;
    if plan.holes || options.in_place && length(to) < plan.size {
        set_length(to, plan.size)?;
    }
    Ok(reserved)
}

/// Reserves space for the destination, and tells whether it could: some file systems cannot.
/// That there is none is an error.
fn reserve(to: BorrowedFd<'_>, size: u64) -> Outcome<bool> {
    loop {
        return match syscall::fallocate(to, FallocateFlags::empty(), 0, size) {
            Ok(()) => Ok(true),
            Err(Errno::EINTR) => continue,
            Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG | Errno::EIO)) => {
                Err(dest(Action::Reserve, errno))
            }
            Err(_) => Ok(false),
        };
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
            let copied = self.copy_by_kernel(window)?;
            copied.map_err(|errno| source(Action::KernelCopy, errno))?;
        } else {
            let map = map_shared(self.from, window, ProtFlags::READ);
            let map = map.map_err(|errno| source(Action::Map, errno))?;
            advise(&map, Advice::POPULATE_READ);
            if self.way == Way::Map {
                self.copy_mapped(window, &map)?;
            } else {
                self.write(window, &map)?;
            }
        }
        if self.in_place {
            self.check_length()?;
        }
        Ok(())
    }

    /// Who cuts a destination off that was written to would find zeros in it at the end.
    fn check_length(&self) -> Outcome<()> {
        let is_shorter = length(self.to) < self.plan.size;
        if is_shorter { Err(dest(Action::Write, Cause::CutOff)) } else { Ok(()) }
    }

    /// Copies a window of the mapped source to the same of the destination, mapped for it.
    fn copy_mapped(&self, window: Window, map: &Region) -> Outcome<()> {
        let target = map_shared(self.to, window, ProtFlags::READ | ProtFlags::WRITE);
        let target = target.map_err(|errno| dest(Action::Map, errno))?;
        if self.plan.size >= HUGE {
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

    /// Copies a window within the kernel; the inner error says that it would not.
    fn copy_by_kernel(&self, window: Window) -> Outcome<syscall::Result<()>> {
        let mut offset = window.start;
        while offset < window.end() {
            let rest = (window.end() - offset) as usize;
            match syscall::copy_file_range(self.from, offset, self.to, offset, rest) {
                Ok(0) => match unreadable(self.from, offset) {
                    Some(_) => return Err(source(Action::Copy, Cause::Shrunk)),
                    None => return Ok(Err(Errno::EOPNOTSUPP)),
                },
                Ok(count) => offset += count as u64,
                Err(Errno::EINTR) => {}
                Err(
                    errno @ (Errno::ENOSYS
                    | Errno::EPERM
                    | Errno::EXDEV
                    | Errno::EINVAL
                    | Errno::EOPNOTSUPP),
                ) => {
                    return Ok(Err(errno));
                }
                Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) => {
                    return Err(dest(Action::Write, errno));
                }
                Err(_) => return Err(self.missing(offset)),
            }
        }
        Ok(Ok(()))
    }

    /// Which side a byte is missing of, and why.
    #[cold]
    fn missing(&self, offset: u64) -> Failure {
        match unreadable(self.from, offset) {
            Some(None) => source(Action::Copy, Cause::Shrunk),
            Some(Some(errno)) => source(Action::Read, errno),
            None => dest(Action::Write, unwritable(self.to, offset).unwrap_or(Errno::EIO)),
        }
    }
}

/// From so many bytes on a mapped destination is given huge pages; below, more memory would be
/// made zero than is used.
const HUGE: u64 = 2 << 20;
