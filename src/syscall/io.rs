//! The contents of files: reading, writing and seeking, length and space, copying, write-back, and
//! the page cache.

use linux_raw_sys::general::{cachestat, cachestat_range};
use linux_raw_sys::ioctl::FICLONE;

use super::raw::{nr, syscall1, syscall3, syscall4, syscall6};
use super::{Errno, FallocateFlags, Result, SyncFileRangeFlags, Whence, as_arg, check_unit, ioctl};
use crate::arch;
use crate::fd::BorrowedFd;

/// Reads from the descriptor's position into a buffer and advances the position.
///
/// Returns the number of bytes that were read, which may be less than the buffer's length. Zero
/// means the end of the file, or an empty buffer. One call reads at most 2 GiB less one page.
///
/// # Errors
///
/// * `EBADF` if the descriptor is not open for reading.
/// * `EISDIR` if the descriptor is a directory.
/// * `EAGAIN` if the call would wait and the descriptor is non-blocking.
/// * `EIO` if the device fails.
/// * `EINTR` if a signal handler interrupts the call before any data was read.
pub fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: the buffer is borrowed exclusively during the call.
    unsafe { read_raw(fd, buf.as_mut_ptr(), buf.len()) }
}

/// Reads from the descriptor's position into memory that is not a Rust slice, such as a shared
/// mapping.
///
/// Returns the number of bytes that were read, which may be less than `count`. Zero means the end
/// of the file, or a `count` of zero. One call reads at most 2 GiB less one page.
///
/// # Errors
///
/// * `EFAULT` if the memory cannot be written to. No signal is raised.
/// * The errors of [`read`]: `EBADF`, `EISDIR`, `EAGAIN`, `EIO` and `EINTR`.
///
/// # Safety
///
/// * Nothing relies on the `count` bytes at `buf` staying unchanged.
pub unsafe fn read_raw(fd: BorrowedFd<'_>, buf: *mut u8, count: usize) -> Result<usize> {
    // SAFETY: the caller meets this function's requirements.
    Errno::check(unsafe { syscall3(nr::read, as_arg(fd), buf.expose_provenance(), count) })
}

/// Writes a buffer at the descriptor's position and advances the position.
///
/// Returns the number of bytes that were written, which may be less than the buffer's length.
/// One call writes at most 2 GiB less one page.
///
/// # Errors
///
/// * `EBADF` if the descriptor is not open for writing.
/// * `EAGAIN` if the call would wait and the descriptor is non-blocking.
/// * `ENOSPC` or `EDQUOT` if the device or the quota is full.
/// * `EFBIG` if the write begins at the largest size of a file, or at `RLIMIT_FSIZE` or past it. In
///   the latter case `SIGXFSZ` is raised as well. A write that begins before the limit ends there.
/// * `EPIPE` if nothing can read from the pipe any more; `SIGPIPE` is raised as well.
/// * `EIO` if the device fails.
/// * `EINTR` if a signal handler interrupts the call before any data was written.
pub fn write(fd: BorrowedFd<'_>, buf: &[u8]) -> Result<usize> {
    // SAFETY: the buffer is borrowed, so it does not change during the call.
    unsafe { write_raw(fd, buf.as_ptr(), buf.len()) }
}

/// Writes memory that is not a Rust slice, such as a shared mapping, at the descriptor's position.
///
/// Returns the number of bytes that were written. The write ends before the first page that cannot
/// be read. Such a page, for example one past the end of a file that was truncated, does not
/// raise a signal. One call writes at most 2 GiB less one page.
///
/// # Errors
///
/// * `EFAULT` if the first byte cannot be read.
/// * The errors of [`write()`]: `EBADF`, `EAGAIN`, `ENOSPC`, `EDQUOT`, `EFBIG`, `EPIPE`, `EIO` and
///   `EINTR`.
///
/// # Safety
///
/// * No thread of this process writes to the `count` bytes at `buf` through a Rust reference
///   during the call. Another process may write to them: the kernel copies what it finds.
pub unsafe fn write_raw(fd: BorrowedFd<'_>, buf: *const u8, count: usize) -> Result<usize> {
    // SAFETY: the kernel only reads, and checks every address; the caller promises the rest.
    Errno::check(unsafe { syscall3(nr::write, as_arg(fd), buf.expose_provenance(), count) })
}

/// Writes the whole buffer at the descriptor's position, in as many calls as that takes.
///
/// A call that a signal handler interrupts is repeated.
///
/// # Errors
///
/// * The errors of [`write()`] except `EINTR`: `EBADF`, `EAGAIN`, `ENOSPC`, `EDQUOT`, `EFBIG`,
///   `EPIPE` and `EIO`. Part of the buffer may have been written.
/// * `EIO` if a call writes no bytes.
#[inline(never)]
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            // Linux does not return zero for a count above zero. Without this arm, a file that
            // did would make the loop endless.
            Ok(0) => return Err(Errno::EIO),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads at an offset in bytes into a buffer, without moving the descriptor's position.
///
/// Returns the number of bytes that were read, which may be less than the buffer's length. Zero
/// means that the offset is at or past the end of the file, or that the buffer is empty. One call
/// reads at most 2 GiB less one page.
///
/// # Errors
///
/// * `EINVAL` if `offset` is above `i64::MAX`.
/// * `ESPIPE` if the descriptor is a pipe or a socket.
/// * The errors of [`read`] for files with offsets: `EBADF`, `EISDIR`, `EIO` and `EINTR`.
#[doc(alias = "pread64")]
pub fn pread(fd: BorrowedFd<'_>, buf: &mut [u8], offset: u64) -> Result<usize> {
    let (address, count) = (buf.as_mut_ptr().expose_provenance(), buf.len());
    // SAFETY: the buffer is borrowed exclusively during the call.
    Errno::check(unsafe { arch::pread64(as_arg(fd), address, count, offset) })
}

/// Writes a buffer at an offset in bytes, without moving the descriptor's position.
///
/// Returns the number of bytes that were written, which may be less than the buffer's length. One
/// call writes at most 2 GiB less one page. Bytes between the end of the file and a larger `offset`
/// are a hole. A descriptor with [`OFlags::APPEND`](super::OFlags::APPEND) writes at the end of the
/// file, and `offset` is ignored.
///
/// # Errors
///
/// * `EINVAL` if `offset` is above `i64::MAX`.
/// * `ESPIPE` if the descriptor is a pipe or a socket.
/// * The errors of [`write()`] for files with offsets: `EBADF`, `ENOSPC`, `EDQUOT`, `EFBIG`, `EIO`
///   and `EINTR`.
#[doc(alias = "pwrite64")]
pub fn pwrite(fd: BorrowedFd<'_>, buf: &[u8], offset: u64) -> Result<usize> {
    // SAFETY: the buffer is borrowed, so it does not change during the call.
    unsafe { pwrite_raw(fd, buf.as_ptr(), buf.len(), offset) }
}

/// Writes memory that is not a Rust slice at an offset in bytes, without moving the descriptor's
/// position.
///
/// Returns the number of bytes that were written. The write ends before the first page that cannot
/// be read. Such a page does not raise a signal. One call writes at most 2 GiB less one page.
///
/// # Errors
///
/// * `EFAULT` if the first byte cannot be read.
/// * The errors of [`pwrite`]: `EINVAL` and `ESPIPE`, and `EBADF`, `ENOSPC`, `EDQUOT`, `EFBIG`, `EIO`
///   and `EINTR`.
///
/// # Safety
///
/// * No thread of this process writes to the `count` bytes at `buf` through a Rust reference
///   during the call. Another process may write to them: the kernel copies what it finds.
pub unsafe fn pwrite_raw(
    fd: BorrowedFd<'_>,
    buf: *const u8,
    count: usize,
    offset: u64,
) -> Result<usize> {
    // SAFETY: the kernel only reads, and checks every address; the caller promises the rest.
    Errno::check(unsafe { arch::pwrite64(as_arg(fd), buf.expose_provenance(), count, offset) })
}

/// Moves the descriptor's position and returns the new position, in bytes from the start of the
/// file.
///
/// [`Whence::DATA`] and [`Whence::HOLE`] find the next data, or the next hole, at or after
/// `offset`; the end of the file counts as a hole. Three kinds of file system report them
/// imprecisely:
///
/// * File systems without holes report the whole file as data.
/// * ext4 and xfs report a preallocated range as data where its pages are in the page cache
///   (Linux 6.18).
/// * A FUSE server does not see data that is not yet written back, and reports a hole (Linux
///   6.18). [`sync_file_range`] with all its flags writes the data back, also through a
///   descriptor that is open for reading only.
///
/// # Errors
///
/// * `ENXIO` for [`Whence::DATA`] and [`Whence::HOLE`] if `offset` is at or past the end of the
///   file, and for [`Whence::DATA`] if no data follows `offset`. The other positions may be past
///   the end of the file.
/// * `EINVAL` if `whence` is unknown, or the new position would be negative or larger than the file
///   system allows.
/// * `ESPIPE` if the descriptor is a pipe or a socket.
#[doc(alias = "_llseek")]
#[inline(never)]
pub fn lseek(fd: BorrowedFd<'_>, offset: i64, whence: Whence) -> Result<u64> {
    let mut position = 0;
    // SAFETY: the call changes the descriptor's position, and writes to `position` only.
    check_unit(unsafe { arch::lseek(as_arg(fd), offset as u64, &mut position, whence.as_arg()) })?;
    Ok(position)
}

/// Sets the length of a file: truncates it, or extends it by a hole.
///
/// A hole reads as zeros. On tmpfs and in memory files (Linux 6.1 to 7.2), bytes that were
/// stored through a mapping after the end of the file, within its last page, become visible
/// when the file is extended over them. ext4, xfs and btrfs clear them.
///
/// # Errors
///
/// * `EINVAL` if the descriptor is not open for writing, the file is not a regular file, or
///   `length` is above `i64::MAX`.
/// * `EFBIG` if the file system does not allow files of this length, or the call extends the file
///   past `RLIMIT_FSIZE`. In the latter case `SIGXFSZ` is raised as well.
/// * `EPERM` if a seal forbids the change.
pub fn ftruncate(fd: BorrowedFd<'_>, length: u64) -> Result<()> {
    // SAFETY: the call changes the file. It changes memory only through mappings of the file,
    // whose contents no safe code relies on.
    check_unit(unsafe { arch::ftruncate(as_arg(fd), length) })
}

/// Preallocates space for `length` bytes from `offset`, or changes the range in the way that
/// `flags` select.
///
/// After preallocation, neither `write` nor a store to a mapping of the range runs out of
/// space, with these exceptions:
///
/// * Blocks that are shared with another file (reflinks) count as allocated, but changing one
///   needs a new block. On xfs, [`FallocateFlags::UNSHARE_RANGE`] allocates new blocks.
/// * btrfs writes changed data to another place, so that it can run out of space later.
///
/// btrfs does not compress what is written to preallocated space.
///
/// # Errors
///
/// * `ENOSPC` if there is not enough space.
/// * `EOPNOTSUPP` if the file system does not support the operation.
/// * `EINVAL` if `length` is zero, or if `offset` or `length` is above `i64::MAX`.
/// * `EFBIG` if the range ends past the largest file size, or the call extends the file past
///   `RLIMIT_FSIZE`. In the latter case `SIGXFSZ` is raised as well.
/// * `EINTR` if a signal handler interrupts the call.
pub fn fallocate(
    fd: BorrowedFd<'_>,
    flags: FallocateFlags,
    offset: u64,
    length: u64,
) -> Result<()> {
    // SAFETY: the call changes the file. It changes memory only through mappings of the file,
    // whose contents no safe code relies on.
    check_unit(unsafe { arch::fallocate(as_arg(fd), flags.as_arg(), offset, length) })
}

/// Copies up to `len` bytes from one file to another in the kernel, without moving the
/// descriptors' positions.
///
/// Both offsets are in bytes. Returns the number of bytes that were copied, which may be less
/// than `len`. Zero means that `from_offset` is at or past the end of the source, or that `len`
/// is zero. File systems with reflinks may share the blocks instead of copying them.
///
/// # Errors
///
/// * `EXDEV` if the files are on two file systems and the kernel is older than Linux 5.3 or the
///   file systems do not support it.
/// * `EINVAL` if one of the files is not a regular file, or both ranges are in one file and
///   overlap.
/// * `EINVAL` or `EOVERFLOW` if an offset is above `i64::MAX`.
/// * `ENOSPC` if the device is full.
/// * `EFBIG` if `to_offset` is at the largest size of a file, or at `RLIMIT_FSIZE` or past it. In
///   the latter case `SIGXFSZ` is raised as well. A copy that begins before the limit ends there.
/// * `EOPNOTSUPP` if the file system does not support the operation.
/// * `ENOSYS` before Linux 4.5.
pub fn copy_file_range(
    from: BorrowedFd<'_>,
    from_offset: u64,
    to: BorrowedFd<'_>,
    to_offset: u64,
    len: usize,
) -> Result<usize> {
    let (mut read, mut written) = (from_offset, to_offset);
    let (read, written) =
        ((&raw mut read).expose_provenance(), (&raw mut written).expose_provenance());
    // SAFETY: the kernel may change both offsets, which are local. It changes other memory only
    // through mappings of the files, whose contents no safe code relies on.
    Errno::check(unsafe {
        syscall6(nr::copy_file_range, as_arg(from), read, as_arg(to), written, len, 0)
    })
}

/// Replaces the contents of a file by those of another file, by sharing all its blocks
/// (reflink).
///
/// Source: ioctl_ficlone(2).
///
/// # Errors
///
/// * `EOPNOTSUPP` or `ENOTTY` if the file system does not support reflinks.
/// * `EXDEV` if the files are on two file systems.
/// * `EINVAL` if one of the files is not a regular file.
#[doc(alias("FICLONE", "ioctl_ficlone"))]
pub fn ficlone(to: BorrowedFd<'_>, from: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the argument is a descriptor. The call changes memory only through mappings of the
    // file, whose contents no safe code relies on.
    unsafe { ioctl(to, FICLONE, as_arg(from)) }.map(drop)
}

/// The counts of pages that [`cachestat()`] returns.
///
/// The kernel counts folios, which may have many pages: one changed byte makes all pages of its
/// folio dirty. On ext4 and xfs a folio has up to 256 pages of 4 KiB, depending on how the file
/// was read ahead; on btrfs and tmpfs one page (Linux 6.18). Source: the kernel's
/// `include/uapi/linux/mman.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cachestat {
    /// The pages that are in the page cache.
    pub cache: u64,
    /// The pages in the page cache that are in a changed folio.
    pub dirty: u64,
    /// The pages that are being written back.
    pub writeback: u64,
    /// The pages that were in the page cache and have been evicted.
    pub evicted: u64,
    /// The evicted pages whose eviction is so recent that it indicates memory pressure.
    pub recently_evicted: u64,
}

/// Counts the pages of `length` bytes from `offset` that are in the page cache, changed, being
/// written back, or evicted.
///
/// A `length` of zero means up to the end of the file. Files on persistent memory (DAX) have no
/// page cache.
///
/// Source: the kernel's `mm/filemap.c`.
///
/// # Errors
///
/// * `EBADF` if the descriptor was opened with [`OFlags::PATH`](super::OFlags::PATH).
/// * `EOPNOTSUPP` if the file is on hugetlbfs.
/// * `EPERM` if the caller neither owns the file nor may write to it (since Linux 6.15, and in
///   stable kernels such as 6.12.117).
/// * `ENOSYS` before Linux 6.5.
pub fn cachestat(fd: BorrowedFd<'_>, offset: u64, length: u64) -> Result<Cachestat> {
    let range = cachestat_range { off: offset, len: length };
    let mut stat = cachestat {
        nr_cache: 0,
        nr_dirty: 0,
        nr_writeback: 0,
        nr_evicted: 0,
        nr_recently_evicted: 0,
    };
    let (from, to) = ((&raw const range).expose_provenance(), (&raw mut stat).expose_provenance());
    // SAFETY: both structures have the kernel's layout, and live until the call returns.
    check_unit(unsafe { syscall4(nr::cachestat, as_arg(fd), from, to, 0) })?;
    Ok(Cachestat::from(stat))
}

impl From<cachestat> for Cachestat {
    fn from(stat: cachestat) -> Cachestat {
        Cachestat {
            cache: stat.nr_cache,
            dirty: stat.nr_dirty,
            writeback: stat.nr_writeback,
            evicted: stat.nr_evicted,
            recently_evicted: stat.nr_recently_evicted,
        }
    }
}

/// Writes a file's data and metadata to the disk, and waits until it is stored.
///
/// # Errors
///
/// * `EIO`, `ENOSPC` or `EDQUOT` if data could not be written. The error is reported once for
///   each open file description: the next call can succeed although the data is lost.
/// * `EINVAL` or `EROFS` if the file cannot be synchronized.
pub fn fsync(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the call does not change memory.
    check_unit(unsafe { syscall1(nr::fsync, as_arg(fd)) })
}

/// Writes a file's data and the metadata that is needed to read it, such as its length, to the
/// disk, and waits until it is stored.
///
/// # Errors
///
/// * `EIO`, `ENOSPC` or `EDQUOT` if data could not be written. The error is reported once for
///   each open file description: the next call can succeed although the data is lost.
/// * `EINVAL` or `EROFS` if the file cannot be synchronized.
pub fn fdatasync(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the call does not change memory.
    check_unit(unsafe { syscall1(nr::fdatasync, as_arg(fd)) })
}

/// Starts writing back the changed pages of `length` bytes from `offset`, or waits for it, as
/// `flags` select.
///
/// A `length` of zero means up to the end of the file. The call does not make data durable: it
/// writes no metadata, and the disk may keep the data in its cache. Use [`fdatasync`] for data
/// that must survive a power failure.
///
/// # Errors
///
/// * `EINVAL` if a flag is unknown, or the range ends past `i64::MAX`.
/// * `ESPIPE` if the descriptor is not a regular file, a block device or a directory.
/// * `EIO` or `ENOSPC` if data could not be written.
/// * `ENOSYS` on 32-bit mips, where the call takes seven arguments.
pub fn sync_file_range(
    fd: BorrowedFd<'_>,
    offset: u64,
    length: u64,
    flags: SyncFileRangeFlags,
) -> Result<()> {
    // SAFETY: the call does not change memory.
    check_unit(unsafe { arch::sync_file_range(as_arg(fd), offset, length, flags.as_arg()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses made-up counts, because a test cannot make the kernel evict a page.
    #[test]
    fn each_count_of_cachestat_has_its_own_field() {
        let stat = cachestat {
            nr_cache: 1,
            nr_dirty: 2,
            nr_writeback: 3,
            nr_evicted: 4,
            nr_recently_evicted: 5,
        };
        let Cachestat { cache, dirty, writeback, evicted, recently_evicted } = stat.into();
        assert_eq!([cache, dirty, writeback, evicted, recently_evicted], [1, 2, 3, 4, 5]);
    }
}
