//! Moving the bytes.

use super::{Cause, Failure, Outcome, dest, source};
use crate::fd::BorrowedFd;
use crate::map::{Region, guard, unreadable, unwritable};
use crate::syscall::{
    self, Errno, FallocateFlags, FileType, MapFlags, ProtFlags, Stat, Whence, page_size,
};

/// How much of each file is mapped at once, in bytes: a multiple of every page size.
///
/// Enough that the calls for a window cost nothing beside its bytes; little enough
/// for the two of them to fit in any address space, and to count little against a
/// process's memory.
const WINDOW: u64 = 8 << 20;

/// Up to so many bytes are written: to map the destination as well takes longer, by the
/// calls and by the faults (two to three times as long, measured with ext4).
const SMALL: u64 = 64 << 10;

/// Copies the whole of `from` to the empty file `to`, and returns how many bytes.
pub fn copy(from: BorrowedFd<'_>, stat: &Stat, to: BorrowedFd<'_>) -> Outcome<u64> {
    let size = stat.size;
    // Files in /proc have contents, and no size.
    if stat.file_type() != FileType::Regular || size == 0 {
        return stream(from, to);
    }

    // With less space than bytes it has holes: they stay holes. (Or the file system
    // compresses: then there is one stretch of data, as large as the file.)
    let has_holes = stat.blocks.saturating_mul(512) < size;
    if has_holes {
        set_length(to, size)?;
    }
    let mut started = false;
    let mut position = 0;
    while let Some((start, end)) = next_data(from, position, size, has_holes)? {
        // A fault makes memory, and space, for more than a page at once: a mapped write
        // beside a hole would fill some of it, and could find no space there.
        let mapped = !has_holes && size > SMALL && reserve(to, start, end)?;
        let mut offset = start;
        while offset < end {
            let len = (end - offset).min(WINDOW) as usize;
            match map_shared(from, offset, len, ProtFlags::READ) {
                Ok(map) => copy_window(from, &map, to, offset, mapped)?,
                Err(errno) if started || syscall::lseek(from, 0, Whence::SET).is_err() => {
                    return Err(source("map", errno));
                }
                // It cannot be mapped at all. So it is with files in /sys, whose size is
                // not that of their contents either. (Looking for data moved the position.)
                Err(_) => {
                    set_length(to, 0)?;
                    return stream(from, to);
                }
            }
            started = true;
            offset += len as u64;
        }
        position = end;
    }
    // What is beyond the end was taken for a hole, or for the rest of a page.
    if syscall::lseek(from, 0, Whence::END).is_ok_and(|end| end < size) {
        return Err(source("copy", Cause::Shrunk));
    }
    Ok(size)
}

/// Copies what can only be read, or only be written, from the one's position to the
/// other's, and returns how many bytes.
#[inline(never)] // its buffer is no burden on other paths
pub fn stream(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<u64> {
    let mut buffer = [0; 32 << 10];
    let mut total = 0;
    loop {
        match syscall::read(from, &mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                // SAFETY: the kernel has filled so much of the buffer.
                let written = unsafe { write(to, buffer.as_ptr(), count) };
                written.map_err(|(_, errno)| dest("write to", errno))?;
                total += count as u64;
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(source("read", errno)),
        }
    }
}

/// Writes all of `len` bytes at the position of `to`, or tells how many it could, and why
/// no more.
///
/// # Safety
///
/// This program does not write to them meanwhile. They need not exist: pages of a
/// file that became shorter are an error (`EFAULT`).
#[inline(never)]
unsafe fn write(to: BorrowedFd<'_>, bytes: *const u8, len: usize) -> Result<(), (usize, Errno)> {
    let mut done = 0;
    while done < len {
        // SAFETY: the caller's promise.
        match unsafe { syscall::write_raw(to, bytes.wrapping_add(done), len - done) } {
            // Never so for a count above zero; were it, this would not end.
            Ok(0) => return Err((done, Errno::EIO)),
            Ok(count) => done += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err((done, errno)),
        }
    }
    Ok(())
}

fn set_length(to: BorrowedFd<'_>, length: u64) -> Outcome<()> {
    syscall::ftruncate(to, length).map_err(|errno| dest("set the length of", errno))
}

/// The next stretch of data from `position` on, in bytes: from the start of a page, to
/// the end of one or of the file.
fn next_data(
    from: BorrowedFd<'_>,
    position: u64,
    size: u64,
    has_holes: bool,
) -> Outcome<Option<(u64, u64)>> {
    if position >= size {
        return Ok(None);
    }
    let rest = Ok(Some((position, size)));
    if !has_holes {
        return rest;
    }
    let seek = |offset: u64, whence| syscall::lseek(from, offset as i64, whence);
    let start = match seek(position, Whence::DATA) {
        Ok(start) if start >= size => return Ok(None),
        Ok(start) => start,
        // No more data.
        Err(Errno::ENXIO) => return Ok(None),
        // The file system does not know: all of it, then.
        Err(_) => return rest,
    };
    let end = seek(start, Whence::HOLE).unwrap_or(size);
    let page = page_size() as u64;
    let start = (start & !(page - 1)).max(position);
    let end = end.checked_next_multiple_of(page).map_or(size, |end| end.min(size));
    Ok(Some((start, end)))
}

/// Reserves space for a stretch of the destination, and tells whether it could: some
/// file systems cannot. That there is none is an error.
fn reserve(to: BorrowedFd<'_>, start: u64, end: u64) -> Outcome<bool> {
    loop {
        return match syscall::fallocate(to, FallocateFlags::empty(), start, end - start) {
            Ok(()) => Ok(true),
            Err(Errno::EINTR) => continue,
            Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG | Errno::EIO)) => {
                Err(dest("reserve space for", errno))
            }
            Err(_) => Ok(false),
        };
    }
}

#[inline(never)]
fn map_shared(
    file: BorrowedFd<'_>,
    offset: u64,
    len: usize,
    prot: ProtFlags,
) -> syscall::Result<Region> {
    Region::map(len, prot, MapFlags::SHARED, Some(file), offset, page_size())
}

/// Copies a window of the source to the same place in the destination, which is mapped
/// too if it has space there, or else written.
#[inline(never)]
fn copy_window(
    from: BorrowedFd<'_>,
    map: &Region,
    to: BorrowedFd<'_>,
    offset: u64,
    mapped: bool,
) -> Outcome<()> {
    let writable = ProtFlags::READ | ProtFlags::WRITE;
    if mapped
        && guard::ready().is_ok()
        && let Ok(target) = map_shared(to, offset, map.len(), writable)
    {
        // SAFETY: both are mapped, and `map.len()` long; they are different files. No
        // reference is made to either: others may change the source meanwhile.
        let copied = unsafe { guard::copy(map.ptr(), target.ptr(), map.len()) };
        return copied.map_err(|left| missing(from, to, offset + (map.len() - left) as u64));
    }
    syscall::lseek(to, offset as i64, Whence::SET).map_err(|errno| dest("write to", errno))?;
    // SAFETY: this program never writes to the source.
    let written = unsafe { write(to, map.ptr(), map.len()) };
    written.map_err(|(done, errno)| match errno {
        // It is the source: there is no other memory in it.
        Errno::EFAULT => match unreadable(from, offset + done as u64) {
            Some(Some(errno)) => source("read", errno),
            _ => source("copy", Cause::Shrunk),
        },
        errno => dest("write to", errno),
    })
}

/// Which side a page is missing of, and why.
#[cold]
fn missing(from: BorrowedFd<'_>, to: BorrowedFd<'_>, offset: u64) -> Failure {
    match unreadable(from, offset) {
        Some(None) => source("copy", Cause::Shrunk),
        Some(Some(errno)) => source("read", errno),
        None => dest("write to", unwritable(to, offset).unwrap_or(Errno::EIO)),
    }
}
