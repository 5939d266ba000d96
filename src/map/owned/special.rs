//! Special memory: shared with children, secret, droppable.

use crate::fd::AsFd;
use crate::map::{
    MmapRaw, Result,
    region::{READ_WRITE, Region},
};
use crate::syscall::{self, Errno, MapFlags, OFlags, ProtFlags, page_size};

impl MmapRaw {
    /// Maps zeroed memory that this process shares with its children.
    ///
    /// ```
    /// use baremap::map::MmapRaw;
    /// use core::sync::atomic::{AtomicU32, Ordering};
    ///
    /// let map = MmapRaw::map_anon_shared(4)?;
    /// // SAFETY: the memory is mapped and aligned, and every process uses it as this integer only.
    /// let number = unsafe { AtomicU32::from_ptr(map.as_mut_ptr().cast()) };
    /// // After fork(2) the parent and the child use one counter.
    /// number.fetch_add(1, Ordering::Relaxed);
    /// # Ok::<(), baremap::map::Error>(())
    /// ```
    ///
    /// The memory is accessed through pointers, because another process may change it at any time,
    /// which a slice does not allow. A length of zero maps a page that must not be accessed. The
    /// memory [cannot grow](MmapRaw::remap).
    ///
    /// Source: `MAP_SHARED | MAP_ANONYMOUS` in mmap(2).
    ///
    /// # Errors
    ///
    /// * `ENOMEM` if there is not enough memory or address space.
    /// * `EOVERFLOW` if `len` is more than `isize::MAX`.
    #[doc(alias = "MAP_SHARED")]
    pub fn map_anon_shared(len: usize) -> Result<MmapRaw> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::ANONYMOUS;
        Ok(MmapRaw(Region::map(len, prot, flags, None, 0, page_size())?))
    }

    /// Maps zeroed memory that only this process can read, for keys.
    ///
    /// The kernel removes the pages from its own page tables, so that neither a debugger nor
    /// `/proc/PID/mem` can read them. They are never swapped out, and are left out of core dumps.
    /// System calls of this process can read and write them. The pages count as locked memory.
    ///
    /// The memory is accessed through pointers, because a child created by `fork` shares it and may
    /// change it at any time. [`Advice::DontFork`](crate::map::Advice::DontFork) keeps it from
    /// children. The memory [cannot grow](MmapRaw::remap).
    ///
    /// Source: memfd_secret(2).
    ///
    /// # Errors
    ///
    /// * `ENOSYS` before Linux 5.14, on architectures without `memfd_secret`, and where it is not
    ///   enabled. See [`memfd_secret`](syscall::memfd_secret).
    /// * `EAGAIN` if the locked memory would be more than `RLIMIT_MEMLOCK`.
    /// * `EMFILE` or `ENFILE` if no file descriptor is free. One is used until the memory is
    ///   mapped.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if `len` is more than `isize::MAX`.
    #[doc(alias = "memfd_secret")]
    pub fn map_secret(len: usize) -> Result<MmapRaw> {
        let region = || {
            Region::rounded(0, len, page_size())?;
            let file = syscall::memfd_secret(OFlags::CLOEXEC)?;
            syscall::ftruncate(file.as_fd(), len as u64)?;
            Region::map(len, READ_WRITE, MapFlags::SHARED, Some(file.as_fd()), 0, page_size())
        };
        region().map(MmapRaw)
    }

    /// Maps zeroed memory that the kernel may discard when memory is short, for caches.
    ///
    /// A discarded page is zero again. This can happen at any time, so that the memory is accessed
    /// through pointers: the bytes of a slice must not change.
    ///
    /// The pages are never swapped out, are left out of core dumps, and do not count against the
    /// limit of committed memory. In a child created by `fork` they are zero.
    ///
    /// Source: `MAP_DROPPABLE` in mmap(2).
    ///
    /// # Errors
    ///
    /// * `ENOSYS` before Linux 6.11, and on 32-bit kernels.
    /// * `ENOMEM` if there is not enough address space.
    /// * `EOVERFLOW` if `len` is more than `isize::MAX`.
    #[doc(alias = "MAP_DROPPABLE")]
    pub fn map_droppable(len: usize) -> Result<MmapRaw> {
        let flags = MapFlags::DROPPABLE | MapFlags::ANONYMOUS;
        match Region::map(len, READ_WRITE, flags, None, 0, page_size()) {
            // All other arguments are valid, so `EINVAL` means that the kernel does not know the
            // mapping type. A 32-bit kernel that knows the type returns `ENOTSUPP` (524), which
            // the kernel's headers for user space do not define.
            Err(errno) if errno == Errno::EINVAL || errno.number() == 524 => Err(Errno::ENOSYS),
            region => region.map(MmapRaw),
        }
    }
}
