//! Moving the bytes.

use super::plan::{self, Facts, Plan, Window};
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
    // With less space than bytes it has holes. (Or the file system compresses: then there is
    // one stretch of data, as large as the file.)
    let has_holes = stat.blocks.saturating_mul(512) < size;
    // A clone has them too.
    let cloned = if options.way == Some(Way::Clone) || options.way.is_none() && !options.fill_holes
    {
        syscall::ficlone(to, from)
    } else {
        Err(Errno::EOPNOTSUPP)
    };
    match cloned {
        Ok(()) => return whole(from, size).map(|()| (size, Way::Clone)),
        Err(errno) if options.way == Some(Way::Clone) => return Err(dest(Action::CloneTo, errno)),
        Err(_) => {}
    }

    let holes = has_holes && !options.fill_holes;
    let reserved = prepare(to, size, holes, options)?;
    if options.in_place && syscall::lseek(to, 0, Whence::END).is_ok_and(|end| end < size) {
        set_length(to, size)?;
    }
    let facts = Facts { size, reserved, processors: 0 };
    let (mut way, mut jobs) = plan::best(&facts);
    way = options.way.unwrap_or(way);
    if options.jobs > 0 {
        jobs = options.jobs.min(MAX_WORKERS);
    }
    // A fault makes memory, and space, for more than a page at once: a mapped write beside a
    // hole would fill some of it, and could find no space there.
    if way == Way::Map && !reserved {
        way = Way::Write;
    }
    // Some file systems would first write zeros before what comes out of order.
    if !reserved && !holes {
        jobs = 1;
    }

    let plan = Plan { size, holes, page: page_size() as u64 };
    let mut job = Job { from, to, plan, way, in_place: options.in_place };
    let first = job.next(0);
    let mut position = 0;
    if way == Way::Kernel
        && let Some(window) = first
    {
        match job.copy_by_kernel(window)? {
            Ok(()) => position = window.end(),
            // Something else will tell what is wrong with them, if that is so.
            Err(_) if options.way.is_none() => job.way = Way::Write,
            Err(errno) => return Err(source(Action::KernelCopy, errno)),
        }
    }
    let mut region = None;
    if job.way != Way::Kernel
        && let Some(window) = first
    {
        region = match job.map_source(window) {
            Ok(map) => Some((window, map)),
            // It cannot be mapped at all. So it is with files in /sys, whose size is not that
            // of their contents either.
            Err(errno) if options.way.is_none() => {
                let _ = errno;
                set_length(to, 0)?;
                let _ = syscall::lseek(from, 0, Whence::SET);
                return stream(from, to, watch);
            }
            Err(errno) => return Err(source(Action::Map, errno)),
        };
        position = window.end();
    }
    if job.way == Way::Map {
        // Before there are more processes: then they have it, too.
        let _ = guard::ready();
    }

    workers::run(jobs, position, &mut |board, here| {
        loop {
            // The first is mapped already, for this process.
            let (window, map) = match region.take() {
                Some((window, map)) if here => (window, Some(map)),
                _ => match board.take(|at| job.next(at).map(|window| (window, window.end()))) {
                    Some(window) => (window, None),
                    None => return Ok(()),
                },
            };
            job.copy_window(window, map)?;
            let done = board.count(window.len);
            if here {
                watch(done.min(size), Some(size));
            }
        }
    })?;
    // What is beyond the end was taken for a hole, or for the rest of a page.
    whole(from, size).map(|()| (size, job.way))
}

/// Whether the source still has all that it had.
fn whole(from: BorrowedFd<'_>, size: u64) -> Outcome<()> {
    match syscall::lseek(from, 0, Whence::END) {
        Ok(end) if end < size => Err(source(Action::Copy, Cause::Shrunk)),
        _ => Ok(()),
    }
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

fn set_length(to: BorrowedFd<'_>, length: u64) -> Outcome<()> {
    syscall::ftruncate(to, length).map_err(|errno| dest(Action::SetLength, errno))
}

/// Up to so many bytes are written, without space being reserved: they are as soon written.
const SMALL: u64 = 64 << 10;

/// Makes room in the destination, and tells whether there is space for all of it.
fn prepare(to: BorrowedFd<'_>, size: u64, holes: bool, options: &Options) -> Outcome<bool> {
    if holes {
        // What was there before must not show through.
        if options.in_place {
            set_length(to, 0)?;
        }
        set_length(to, size)?;
        return Ok(false);
    }
    if size <= SMALL && options.way != Some(Way::Map) {
        return Ok(false);
    }
    reserve(to, size)
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
fn advise(map: &Region, advice: Advice) {
    // SAFETY: none of these changes what is in memory.
    let _ = unsafe { map.advise(0, map.len(), advice) };
}

impl Job<'_> {
    fn next(&self, position: u64) -> Option<Window> {
        let seek = |offset: u64, whence| syscall::lseek(self.from, offset as i64, whence);
        self.plan.next(position, seek)
    }

    fn map_source(&self, window: Window) -> syscall::Result<Region> {
        map_shared(self.from, window, ProtFlags::READ)
    }

    fn copy_window(&self, window: Window, map: Option<Region>) -> Outcome<()> {
        if self.in_place {
            self.check_length()?;
        }
        match (self.way, map) {
            (Way::Kernel, _) => {
                self.copy_by_kernel(window)?.map_err(|errno| source(Action::KernelCopy, errno))?
            }
            (way, map) => {
                let map = match map {
                    Some(map) => map,
                    None => self.map_source(window).map_err(|errno| source(Action::Map, errno))?,
                };
                if way == Way::Map && guard::ready().is_ok() {
                    let prot = ProtFlags::READ | ProtFlags::WRITE;
                    let target = map_shared(self.to, window, prot)
                        .map_err(|errno| dest(Action::Map, errno))?;
                    self.copy_mapped(window, &map, &target)?;
                } else {
                    self.write(window, &map)?;
                }
            }
        }
        if self.in_place {
            self.check_length()?;
        }
        Ok(())
    }

    /// Who cuts a destination off that was written to would find zeros in it at the end.
    fn check_length(&self) -> Outcome<()> {
        match syscall::lseek(self.to, 0, Whence::END) {
            Ok(end) if end < self.plan.size => Err(dest(Action::Write, Cause::CutOff)),
            _ => Ok(()),
        }
    }

    fn copy_mapped(&self, window: Window, map: &Region, target: &Region) -> Outcome<()> {
        if self.plan.size >= HUGE {
            advise(target, Advice::HUGEPAGE);
        }
        advise(map, Advice::POPULATE_READ);
        advise(target, Advice::POPULATE_WRITE);
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
