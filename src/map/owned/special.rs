//! Memory of a special kind: shared, secret, droppable.

use crate::fd::AsFd;
use crate::map::{
    MmapRaw, Result,
    region::{READ_WRITE, Region},
};
use crate::syscall::{self, Errno, MapFlags, OFlags, ProtFlags, page_size};

impl MmapRaw {
    /// Maps memory that this process and its children share, all of it zero.
    ///
    /// ```
    /// use baremap::map::MmapRaw;
    /// use core::sync::atomic::{AtomicU32, Ordering};
    ///
    /// let map = MmapRaw::map_anon_shared(4)?;
    /// // SAFETY: mapped, aligned, and used as nothing else in any process.
    /// let number = unsafe { AtomicU32::from_ptr(map.as_mut_ptr().cast()) };
    /// // After fork(2) both processes count with one number.
    /// number.fetch_add(1, Ordering::Relaxed);
    /// # Ok::<(), baremap::map::Error>(())
    /// ```
    ///
    /// By pointers alone: a slice must not change under whoever has it.
    /// Source: mmap(2), `MAP_SHARED | MAP_ANONYMOUS`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory, or addresses. `EOVERFLOW`: more than `isize::MAX` bytes.
    pub fn map_anon_shared(len: usize) -> Result<MmapRaw> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::ANONYMOUS;
        Ok(MmapRaw(Region::map(len, prot, flags, None, 0, page_size())?))
    }

    /// Maps memory, all of it zero, that nobody sees but this process: the kernel itself has
    /// it mapped nowhere else, so that neither a debugger nor `/proc/PID/mem` reads it, and it
    /// never goes to the swap or into a core dump. For keys. System calls of the process's own
    /// do read and write it.
    ///
    /// A child made by `fork` has the same memory, and each may change it under the other's
    /// hands: hence by pointers. [`Advice::DontFork`](crate::map::Advice::DontFork) keeps it from children.
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
