//! Maps that newer kernels have: sealed, secret, droppable. And advice for other processes.

use core::{
    mem::ManuallyDrop,
    result,
    slice::{from_raw_parts, from_raw_parts_mut},
};

use crate::fd::{AsFd, BorrowedFd};
use crate::map::{
    Advice, ConversionError, Mmap, MmapMut, MmapRaw, Result,
    region::{READ_WRITE, Region},
};
use crate::syscall::{self, Errno, IoVec, MapFlags, OFlags, page_size};

impl Mmap {
    /// Seals the map: until the process ends nobody can unmap it, move it, map over it or
    /// make it writable, be it by mistake or with intent. (What is in a file can change, as
    /// ever.)
    ///
    /// ```no_run
    /// use baremap::map::MmapMut;
    ///
    /// let mut map = MmapMut::map_anon(4096)?;
    /// map[..5].copy_from_slice(b"table");
    /// let table: &'static [u8] = map.make_read_only()?.seal()?;
    /// # Ok::<(), baremap::map::Error>(())
    /// ```
    ///
    /// No bytes: nothing to seal. Source: mseal(2).
    ///
    /// # Errors
    ///
    /// The map comes back with `ENOSYS` before Linux 6.10, `ENOSYS` or `EPERM` on kernels of 32
    /// bits: not sealed. With `ENOMEM` (too many mappings) it is sealed perhaps in part.
    pub fn seal(mut self) -> result::Result<&'static [u8], ConversionError<Mmap>> {
        if let Err(errno) = self.0.seal() {
            return Err(ConversionError { map: self, errno });
        }
        let map = ManuallyDrop::new(self);
        // SAFETY: as in `deref`; and it is never unmapped.
        Ok(unsafe { from_raw_parts(map.0.ptr(), map.0.len()) })
    }
}

impl MmapMut {
    /// Seals the map, as [`Mmap::seal`] does; it stays writable for good.
    ///
    /// # Errors
    ///
    /// Those.
    pub fn seal(mut self) -> result::Result<&'static mut [u8], ConversionError<MmapMut>> {
        if let Err(errno) = self.0.seal() {
            return Err(ConversionError { map: self, errno });
        }
        let map = ManuallyDrop::new(self);
        // SAFETY: as in `deref_mut`; it is never unmapped, and the map that could lend it
        // once more is gone.
        Ok(unsafe { from_raw_parts_mut(map.0.ptr(), map.0.len()) })
    }
}

impl MmapRaw {
    /// Maps memory, all of it zero, that nobody sees but this process: the kernel itself has
    /// it mapped nowhere else, so that neither a debugger nor `/proc/PID/mem` reads it, and it
    /// never goes to the swap or into a core dump. For keys. System calls of the process's own
    /// do read and write it.
    ///
    /// A child made by `fork` has the same memory, and each may change it under the other's
    /// hands: hence by pointers. [`Advice::DontFork`] keeps it from children.
    ///
    /// It counts as locked memory. Source: memfd_secret(2).
    ///
    /// # Errors
    ///
    /// `ENOSYS`: as for [`memfd_secret`](syscall::memfd_secret). `EAGAIN`: more than
    /// `RLIMIT_MEMLOCK`. `EOVERFLOW`: more than `isize::MAX` bytes.
    pub fn map_secret(len: usize) -> Result<MmapRaw> {
        let region = || {
            Region::rounded(0, len, page_size())?;
            let file = syscall::memfd_secret(OFlags::CLOEXEC)?;
            syscall::ftruncate(file.as_fd(), len as u64)?;
            Region::map(len, READ_WRITE, MapFlags::SHARED, Some(file.as_fd()), 0, page_size())
        };
        region().map(MmapRaw)
    }

    /// Maps memory, all of it zero, that the kernel may take back whenever memory is short:
    /// a page is then zero again, at any moment. For what can be made anew, as caches. By
    /// pointers, for a `[u8]` must not change.
    ///
    /// It never goes to the swap or into a core dump, counts for nothing against limits on
    /// commitment, and a child made by `fork` has zeros. Source: `MAP_DROPPABLE` in mmap(2).
    ///
    /// # Errors
    ///
    /// `ENOSYS`: before Linux 6.11, and on kernels of 32 bits. `ENOMEM`: there is no such
    /// range of addresses. `EOVERFLOW`: more than `isize::MAX` bytes.
    pub fn map_droppable(len: usize) -> Result<MmapRaw> {
        let flags = MapFlags::DROPPABLE | MapFlags::ANONYMOUS;
        match Region::map(len, READ_WRITE, flags, None, 0, page_size()) {
            // Nothing else is wrong with the arguments than a type that is not known. One of
            // 32 bits that knows it has an error of its own, which is in none of its headers
            // for programs: 524, `ENOTSUPP`.
            Err(errno) if errno == Errno::EINVAL || errno.number() == 524 => Err(Errno::ENOSYS),
            region => region.map(MmapRaw),
        }
    }
}

/// Gives a process advice about ranges of its memory, as a manager of others does that are
/// idle; `process` is of [`pidfd_open`](syscall::pidfd_open), and what it has mapped is told
/// by [`maps_of`](crate::map::maps_of).
///
/// Returns for how many bytes it was given. Source: process_madvise(2).
///
/// # Errors
///
/// `EINVAL`: advice other than `Cold`, `PageOut`, `WillNeed` and `Collapse`, which one's own
/// process is not given here either, though since Linux 6.13 it could be. Otherwise those of
/// [`process_madvise`](syscall::process_madvise): `EPERM`, `ESRCH`, `ENOMEM`; `ENOSYS` before
/// Linux 5.10.
pub fn advise_process(process: BorrowedFd<'_>, ranges: &[IoVec], advice: Advice) -> Result<usize> {
    let advice = match advice {
        Advice::Cold | Advice::PageOut | Advice::WillNeed | Advice::Collapse => advice.raw()?,
        _ => return Err(Errno::EINVAL),
    };
    // SAFETY: none of these four changes contents, here or there.
    unsafe { syscall::process_madvise(process, ranges, advice) }
}
