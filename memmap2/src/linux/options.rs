//! What to map, and how.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
};

use baremap::syscall::Errno;

use super::{MapIfSafeError, Mmap, MmapMut, MmapRaw, error::Reason};

/// A file descriptor, as [`MmapAsRawDesc`] returns it.
pub struct MmapRawDescriptor(RawFd);

/// A type that can be mapped: a reference to anything that has a descriptor, or a descriptor.
pub trait MmapAsRawDesc {
    /// Returns the descriptor.
    fn as_raw_desc(&self) -> MmapRawDescriptor;
}

impl MmapAsRawDesc for RawFd {
    fn as_raw_desc(&self) -> MmapRawDescriptor {
        MmapRawDescriptor(*self)
    }
}

impl<T: AsRawFd> MmapAsRawDesc for &T {
    fn as_raw_desc(&self) -> MmapRawDescriptor {
        MmapRawDescriptor(self.as_raw_fd())
    }
}

/// The part of a file to map, or the length of memory, and how to map it.
#[derive(Clone, Debug, Default)]
pub struct MmapOptions {
    ours: baremap::MmapOptions,
    len: Option<usize>,
}

impl MmapOptions {
    /// Creates options for a whole file.
    pub fn new() -> MmapOptions {
        MmapOptions::default()
    }

    /// Sets the offset in the file, in bytes, of the map's first byte. It needs no alignment.
    pub fn offset(&mut self, offset: u64) -> &mut Self {
        self.ours.offset(offset);
        self
    }

    /// Sets the length in bytes, whether the file has them or not. Defaults to the rest of the
    /// file, or to zero for anonymous memory.
    pub fn len(&mut self, len: usize) -> &mut Self {
        self.ours.len(len);
        self.len = Some(len);
        self
    }

    /// Requests anonymous memory that is suitable for a stack (`MAP_STACK`).
    pub fn stack(&mut self) -> &mut Self {
        self.ours.stack();
        self
    }

    /// Requests anonymous memory in huge pages (`MAP_HUGETLB`) of two to the power of
    /// `page_bits` bytes, or of the system's default size.
    pub fn huge(&mut self, page_bits: Option<u8>) -> &mut Self {
        self.ours.huge(page_bits);
        self
    }

    /// Populates the page tables when the map is made (`MAP_POPULATE`).
    pub fn populate(&mut self) -> &mut Self {
        self.ours.populate();
        self
    }

    /// Reserves no swap space (`MAP_NORESERVE`).
    pub fn no_reserve_swap(&mut self) -> &mut Self {
        self.ours.no_reserve_swap();
        self
    }

    /// Does nothing on Linux.
    pub fn no_probe_handle(&mut self) -> &mut Self {
        self
    }

    /// Maps a file for reading.
    ///
    /// # Errors
    ///
    /// * `PermissionDenied` (`EACCES`) if the descriptor is not open for reading, or is not that of
    ///   a regular file.
    /// * `EBADF` if the descriptor is not open.
    /// * `InvalidData` if no length is set, and the offset is past the end of the file.
    /// * `InvalidData` if the length is more than `isize::MAX`.
    /// * `EOVERFLOW` if the offset is larger than the kernel supports.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe; or if no length is set,
    ///   and the file is a device, which has no size.
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough address space.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file.
    /// * While the map exists, nobody truncates the file to less than the end of the map.
    pub unsafe fn map<T: MmapAsRawDesc>(&self, file: T) -> io::Result<Mmap> {
        // SAFETY: the caller meets this function's requirements.
        self.result(unsafe { self.ours.map(file.as_raw_desc().0) }).map(Mmap)
    }

    /// Maps a file for reading and executing.
    ///
    /// # Errors
    ///
    /// * `PermissionDenied` (`EPERM`) if the file is on a file system mounted `noexec`.
    /// * `PermissionDenied` (`EACCES`) if the descriptor is not open for reading, or is not that of
    ///   a regular file.
    /// * `EBADF` if the descriptor is not open.
    /// * `InvalidData` if no length is set, and the offset is past the end of the file.
    /// * `InvalidData` if the length is more than `isize::MAX`.
    /// * `EOVERFLOW` if the offset is larger than the kernel supports.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe; or if no length is set,
    ///   and the file is a device, which has no size.
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough address space.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file.
    /// * While the map exists, nobody truncates the file to less than the end of the map.
    pub unsafe fn map_exec<T: MmapAsRawDesc>(&self, file: T) -> io::Result<Mmap> {
        // SAFETY: the caller meets this function's requirements.
        self.result(unsafe { self.ours.map_exec(file.as_raw_desc().0) }).map(Mmap)
    }

    /// Maps a file for reading and writing. Writes go to the file.
    ///
    /// # Errors
    ///
    /// * `PermissionDenied` (`EACCES`) if the descriptor is not open for both reading and writing, or
    ///   is not that of a regular file.
    /// * `PermissionDenied` (`EPERM`) if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open.
    /// * `InvalidData` if no length is set, and the offset is past the end of the file.
    /// * `InvalidData` if the length is more than `isize::MAX`.
    /// * `EOVERFLOW` if the offset is larger than the kernel supports.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe; or if no length is set,
    ///   and the file is a device, which has no size.
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough address space.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody reads or changes the mapped bytes of the file by other means.
    /// * While the map exists, nobody truncates the file to less than the end of the map.
    /// * The disk has space for the pages that are written to. A write to a hole of the file while
    ///   the disk is full raises `SIGBUS`.
    pub unsafe fn map_mut<T: MmapAsRawDesc>(&self, file: T) -> io::Result<MmapMut> {
        // SAFETY: the caller meets this function's requirements.
        self.result(unsafe { self.ours.map_mut(file.as_raw_desc().0) }).map(MmapMut)
    }

    /// Maps a file for reading and writing. A page that is written to becomes a private copy.
    ///
    /// # Errors
    ///
    /// * `PermissionDenied` (`EACCES`) if the descriptor is not open for reading, or is not that of
    ///   a regular file.
    /// * `EBADF` if the descriptor is not open.
    /// * `InvalidData` if no length is set, and the offset is past the end of the file.
    /// * `InvalidData` if the length is more than `isize::MAX`.
    /// * `EOVERFLOW` if the offset is larger than the kernel supports.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe; or if no length is set,
    ///   and the file is a device, which has no size.
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough address space.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file.
    /// * While the map exists, nobody truncates the file to less than the end of the map.
    pub unsafe fn map_copy<T: MmapAsRawDesc>(&self, file: T) -> io::Result<MmapMut> {
        // SAFETY: the caller meets this function's requirements.
        self.result(unsafe { self.ours.map_copy(file.as_raw_desc().0) }).map(MmapMut)
    }

    /// Maps a file for reading. [`Mmap::make_mut`] then makes a private copy of it.
    ///
    /// # Errors
    ///
    /// * `PermissionDenied` (`EACCES`) if the descriptor is not open for reading, or is not that of
    ///   a regular file.
    /// * `EBADF` if the descriptor is not open.
    /// * `InvalidData` if no length is set, and the offset is past the end of the file.
    /// * `InvalidData` if the length is more than `isize::MAX`.
    /// * `EOVERFLOW` if the offset is larger than the kernel supports.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe; or if no length is set,
    ///   and the file is a device, which has no size.
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough address space.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file.
    /// * While the map exists, nobody truncates the file to less than the end of the map.
    pub unsafe fn map_copy_read_only<T: MmapAsRawDesc>(&self, file: T) -> io::Result<Mmap> {
        // SAFETY: the caller meets this function's requirements.
        self.result(unsafe { self.ours.map_copy_read_only(file.as_raw_desc().0) }).map(Mmap)
    }

    /// Maps a file for reading if nobody can change it: a sealed file in memory, or a file that
    /// fs-verity protects.
    ///
    /// # Errors
    ///
    /// [`not_safe`](MapIfSafeError::not_safe) if the file could be changed, or is shorter than
    /// the map would be. [`map_failed`](MapIfSafeError::map_failed) with the errors of
    /// [`map`](MmapOptions::map).
    pub fn map_if_safe<T: MmapAsRawDesc>(&self, file: T) -> Result<Mmap, MapIfSafeError> {
        self.ours.map_if_safe(file.as_raw_desc().0).map(Mmap).map_err(|error| {
            MapIfSafeError(match error {
                baremap::MapIfSafeError::NotSafe => Reason::NotSafe,
                baremap::MapIfSafeError::MapFailed(errno) => Reason::MapFailed(self.error(errno)),
            })
        })
    }

    /// Maps anonymous memory, all of it zero.
    ///
    /// # Errors
    ///
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough memory or address space, or if there are no
    ///   huge pages.
    /// * `InvalidData` if the length is more than `isize::MAX`.
    /// * `InvalidInput` (`EINVAL`) if the system has no huge pages of the requested size.
    pub fn map_anon(&self) -> io::Result<MmapMut> {
        self.result(self.ours.map_anon()).map(MmapMut)
    }

    /// Maps a file for reading and writing by pointers.
    ///
    /// # Errors
    ///
    /// * `PermissionDenied` (`EACCES`) if the descriptor is not open for both reading and writing, or
    ///   is not that of a regular file.
    /// * `PermissionDenied` (`EPERM`) if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open.
    /// * `InvalidData` if no length is set, and the offset is past the end of the file.
    /// * `InvalidData` if the length is more than `isize::MAX`.
    /// * `EOVERFLOW` if the offset is larger than the kernel supports.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe; or if no length is set,
    ///   and the file is a device, which has no size.
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough address space.
    pub fn map_raw<T: MmapAsRawDesc>(&self, file: T) -> io::Result<MmapRaw> {
        self.result(self.ours.map_raw(file.as_raw_desc().0)).map(MmapRaw)
    }

    /// Maps a file for reading by pointers.
    ///
    /// # Errors
    ///
    /// * `PermissionDenied` (`EACCES`) if the descriptor is not open for reading, or is not that of
    ///   a regular file.
    /// * `EBADF` if the descriptor is not open.
    /// * `InvalidData` if no length is set, and the offset is past the end of the file.
    /// * `InvalidData` if the length is more than `isize::MAX`.
    /// * `EOVERFLOW` if the offset is larger than the kernel supports.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe; or if no length is set,
    ///   and the file is a device, which has no size.
    /// * `OutOfMemory` (`ENOMEM`) if there is not enough address space.
    pub fn map_raw_read_only<T: MmapAsRawDesc>(&self, file: T) -> io::Result<MmapRaw> {
        self.result(self.ours.map_raw_read_only(file.as_raw_desc().0)).map(MmapRaw)
    }

    fn result<M>(&self, result: Result<M, Errno>) -> io::Result<M> {
        result.map_err(|errno| self.error(errno))
    }

    /// Converts an error. memmap2 has two errors of its own, which do not come from the kernel.
    #[cold]
    fn error(&self, errno: Errno) -> io::Error {
        let text = match (errno, self.len) {
            (Errno::EINVAL, None) => "memory map offset is larger than length",
            (Errno::EOVERFLOW, None) => "memory map length overflows isize",
            (Errno::EOVERFLOW, Some(len)) if isize::try_from(len).is_err() => {
                "memory map length overflows isize"
            }
            _ => return errno.into(),
        };
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}
