//! The options of mapping files and memory.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
};

use baremap::syscall::Errno;

use super::{MapIfSafeError, Mmap, MmapMut, MmapRaw, error::Reason};

/// A raw file descriptor, as [`MmapAsRawDesc`] returns it.
pub struct MmapRawDescriptor(RawFd);

/// A type that can be mapped: a reference to anything that has a file descriptor, or a raw file
/// descriptor.
pub trait MmapAsRawDesc {
    /// Returns the raw file descriptor.
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

/// Options for mapping a file, a part of a file, or memory.
#[derive(Clone, Debug, Default)]
pub struct MmapOptions {
    ours: baremap::MmapOptions,
    len: Option<usize>,
}

impl MmapOptions {
    /// Creates options for a whole file, or for zero bytes of memory.
    pub fn new() -> MmapOptions {
        MmapOptions::default()
    }

    /// Sets the offset in the file, in bytes, of the first byte of the map. It need not be
    /// page-aligned. Defaults to zero. Ignored for anonymous memory.
    pub fn offset(&mut self, offset: u64) -> &mut Self {
        self.ours.offset(offset);
        self
    }

    /// Sets the length of the map in bytes. Defaults to the rest of the file from the offset on, or
    /// to zero for anonymous memory.
    ///
    /// Mapping does not fail if the file ends before the map. An access to a page past the end of
    /// the file is `SIGBUS`.
    pub fn len(&mut self, len: usize) -> &mut Self {
        self.ours.len(len);
        self.len = Some(len);
        self
    }

    /// Requests anonymous memory that is suitable for a stack (`MAP_STACK`). Ignored for files.
    pub fn stack(&mut self) -> &mut Self {
        self.ours.stack();
        self
    }

    /// Requests anonymous memory in huge pages (`MAP_HUGETLB`) of 2 to the power of `page_bits`
    /// bytes, or of the system's default size. Ignored for files.
    pub fn huge(&mut self, page_bits: Option<u8>) -> &mut Self {
        self.ours.huge(page_bits);
        self
    }

    /// Brings all pages into memory when the map is made (`MAP_POPULATE`). Best effort: mapping
    /// does not fail if a page cannot be brought into memory.
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

    /// Maps a file for reading. The map is shared: it shows what others write to the file.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`; or if no length is set, and the file is a device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if the length is
    ///   more than `isize::MAX`, or if no length is set, and the offset is past the end of the
    ///   file.
    /// * `EOVERFLOW` if a length is set, and the offset is larger than the kernel supports.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file: no other process, and
    ///   no other part of this one.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    pub unsafe fn map<T: MmapAsRawDesc>(&self, file: T) -> io::Result<Mmap> {
        // SAFETY: the caller fulfills this function's obligations, which are baremap's.
        self.result(unsafe { self.ours.map(file.as_raw_desc().0) }).map(Mmap)
    }

    /// Maps a file for reading and executing.
    ///
    /// # Errors
    ///
    /// * `EPERM` if the file is on a file system mounted `noexec`.
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`; or if no length is set, and the file is a device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if the length is
    ///   more than `isize::MAX`, or if no length is set, and the offset is past the end of the
    ///   file.
    /// * `EOVERFLOW` if a length is set, and the offset is larger than the kernel supports.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file: no other process, and
    ///   no other part of this one.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    pub unsafe fn map_exec<T: MmapAsRawDesc>(&self, file: T) -> io::Result<Mmap> {
        // SAFETY: the caller fulfills this function's obligations, which are baremap's.
        self.result(unsafe { self.ours.map_exec(file.as_raw_desc().0) }).map(Mmap)
    }

    /// Maps a file for reading and writing. What is written goes to the file.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for both reading and writing, or is not that of a
    ///   regular file.
    /// * `EPERM` if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`; or if no length is set, and the file is a device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if the length is
    ///   more than `isize::MAX`, or if no length is set, and the offset is past the end of the
    ///   file.
    /// * `EOVERFLOW` if a length is set, and the offset is larger than the kernel supports.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody else reads or changes the mapped bytes of the file: no other
    ///   process, and no other part of this one.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    /// * The disk has room for what is written to holes of the file, and to blocks that it shares
    ///   with a clone. A store that finds no room is `SIGBUS`.
    pub unsafe fn map_mut<T: MmapAsRawDesc>(&self, file: T) -> io::Result<MmapMut> {
        // SAFETY: the caller fulfills this function's obligations, which are baremap's.
        self.result(unsafe { self.ours.map_mut(file.as_raw_desc().0) }).map(MmapMut)
    }

    /// Maps a file for reading and writing, without changing the file. A page that is written to
    /// becomes a private copy.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`; or if no length is set, and the file is a device, which has no size.
    /// * `ENOMEM` if there is not enough address space, or the kernel cannot commit the memory for
    ///   the copies.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if the length is
    ///   more than `isize::MAX`, or if no length is set, and the offset is past the end of the
    ///   file.
    /// * `EOVERFLOW` if a length is set, and the offset is larger than the kernel supports.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file: no other process, and
    ///   no other part of this one.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    pub unsafe fn map_copy<T: MmapAsRawDesc>(&self, file: T) -> io::Result<MmapMut> {
        // SAFETY: the caller fulfills this function's obligations, which are baremap's.
        self.result(unsafe { self.ours.map_copy(file.as_raw_desc().0) }).map(MmapMut)
    }

    /// Maps a file for reading, privately. [`Mmap::make_mut`] makes the map writable without
    /// changing the file, even if the descriptor is open for reading only.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`; or if no length is set, and the file is a device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if the length is
    ///   more than `isize::MAX`, or if no length is set, and the offset is past the end of the
    ///   file.
    /// * `EOVERFLOW` if a length is set, and the offset is larger than the kernel supports.
    ///
    /// # Safety
    ///
    /// * While the map exists, nobody changes the mapped bytes of the file: no other process, and
    ///   no other part of this one.
    /// * While the map exists, the file reaches to the end of the map: nobody truncates it to less.
    ///   An access to a page past the end of the file is `SIGBUS`.
    pub unsafe fn map_copy_read_only<T: MmapAsRawDesc>(&self, file: T) -> io::Result<Mmap> {
        // SAFETY: the caller fulfills this function's obligations, which are baremap's.
        self.result(unsafe { self.ours.map_copy_read_only(file.as_raw_desc().0) }).map(Mmap)
    }

    /// Maps a file for reading if nobody can change or truncate it: a sealed file in memory, or a
    /// file that fs-verity protects.
    ///
    /// # Errors
    ///
    /// * [`not_safe`](MapIfSafeError::not_safe) if the file can be changed or truncated, is shorter
    ///   than the requested range, or its descriptor was opened with `O_PATH`.
    /// * [`map_failed`](MapIfSafeError::map_failed) if the descriptor is not open (`EBADF`), if no
    ///   descriptor is free for a duplicate (`EMFILE`), or if mapping a safe file fails: because
    ///   the descriptor is not open for reading (`EACCES`), the address space does not suffice
    ///   (`ENOMEM`), the length is more than `isize::MAX`, or no length is set and the offset is
    ///   past the end of the file.
    pub fn map_if_safe<T: MmapAsRawDesc>(&self, file: T) -> Result<Mmap, MapIfSafeError> {
        self.ours.map_if_safe(file.as_raw_desc().0).map(Mmap).map_err(|error| {
            MapIfSafeError(match error {
                baremap::MapIfSafeError::NotSafe => Reason::NotSafe,
                baremap::MapIfSafeError::MapFailed(errno) => Reason::MapFailed(self.error(errno)),
            })
        })
    }

    /// Maps zeroed private memory that belongs to no file. A child created by `fork` has a copy of
    /// it.
    ///
    /// # Errors
    ///
    /// * `ENOMEM` if there is not enough memory or address space, or not enough huge pages are
    ///   free.
    /// * `EINVAL` if the kernel has no huge pages of the requested size, or the size is smaller
    ///   than a page.
    /// * `ENOENT` if huge pages of the default size are requested, and `/proc/meminfo`, which names
    ///   that size, does not exist.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if the length is
    ///   more than `isize::MAX`.
    pub fn map_anon(&self) -> io::Result<MmapMut> {
        self.result(self.ours.map_anon()).map(MmapMut)
    }

    /// Maps a file for reading and writing through pointers. What is written goes to the file.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for both reading and writing, or is not that of a
    ///   regular file.
    /// * `EPERM` if the file is sealed against writing.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`; or if no length is set, and the file is a device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if the length is
    ///   more than `isize::MAX`, or if no length is set, and the offset is past the end of the
    ///   file.
    /// * `EOVERFLOW` if a length is set, and the offset is larger than the kernel supports.
    pub fn map_raw<T: MmapAsRawDesc>(&self, file: T) -> io::Result<MmapRaw> {
        self.result(self.ours.map_raw(file.as_raw_desc().0)).map(MmapRaw)
    }

    /// Maps a file for reading through pointers.
    ///
    /// # Errors
    ///
    /// * `EACCES` if the descriptor is not open for reading, or is not that of a regular file.
    /// * `EBADF` if the descriptor is not open, or was opened with `O_PATH`.
    /// * `ENODEV` or `EIO` if such a file cannot be mapped, such as a pipe or most files in
    ///   `/proc`; or if no length is set, and the file is a device, which has no size.
    /// * `ENOMEM` if there is not enough address space.
    /// * [`InvalidData`](io::ErrorKind::InvalidData), without an error number, if the length is
    ///   more than `isize::MAX`, or if no length is set, and the offset is past the end of the
    ///   file.
    /// * `EOVERFLOW` if a length is set, and the offset is larger than the kernel supports.
    pub fn map_raw_read_only<T: MmapAsRawDesc>(&self, file: T) -> io::Result<MmapRaw> {
        self.result(self.ours.map_raw_read_only(file.as_raw_desc().0)).map(MmapRaw)
    }

    fn result<M>(&self, result: Result<M, Errno>) -> io::Result<M> {
        result.map_err(|errno| self.error(errno))
    }

    /// Returns the error for an error number. memmap2 reports two conditions without an error
    /// number.
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
