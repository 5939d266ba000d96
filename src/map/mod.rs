//! Mappings that own their memory: unmapped when dropped.
//!
//! So far this is the raw one, [`MmapRaw`], which gives pointers and promises
//! nothing about what they point to: a file's bytes change when anybody writes to
//! the file, and are gone (`SIGBUS`) when it becomes shorter.

use core::{fmt, ptr};

use crate::fd::{AsFd, BorrowedFd};
use crate::syscall::{self, Errno, MapFlags, ProtFlags, Result};

/// What part of a file to map.
///
/// ```
/// use baremap::{fd::AsFd, map::MmapOptions, syscall};
///
/// let fd = syscall::open(c"Cargo.toml", syscall::OFlags::RDONLY, syscall::Mode::empty())?;
/// let map = MmapOptions::new().map_raw_read_only(fd.as_fd())?;
/// assert_eq!(map.len() as u64, syscall::fstat(fd.as_fd())?.size);
/// # Ok::<(), syscall::Errno>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MmapOptions {
    offset: u64,
    len: Option<usize>,
}

impl MmapOptions {
    /// A whole file.
    pub const fn new() -> MmapOptions {
        MmapOptions { offset: 0, len: None }
    }

    /// From this byte of the file: a multiple of the
    /// [page size](crate::syscall::page_size).
    pub const fn offset(mut self, offset: u64) -> MmapOptions {
        self.offset = offset;
        self
    }

    /// This many bytes, whether the file has them or not. Zero maps nothing.
    ///
    /// Unless it is said, all from the offset to the end of the file as it is then.
    pub const fn len(mut self, len: usize) -> MmapOptions {
        self.len = Some(len);
        self
    }

    /// Maps a file for reading.
    ///
    /// # Errors
    ///
    /// Those of [`mmap`](crate::syscall::mmap) and [`fstat`](crate::syscall::fstat);
    /// `EINVAL`: the offset is beyond the end of the file, and no length was said;
    /// `EOVERFLOW`: more than `isize::MAX` bytes.
    pub fn map_raw_read_only(self, file: impl AsFd) -> Result<MmapRaw> {
        self.map(file.as_fd(), ProtFlags::READ)
    }

    /// Maps a file for reading and writing; what is written goes to the file.
    ///
    /// Where the file has holes, or the file system's space is not reserved
    /// ([`fallocate`](crate::syscall::fallocate)), writing to the memory faults if the
    /// disk is full.
    ///
    /// # Errors
    ///
    /// As for [`map_raw_read_only`](MmapOptions::map_raw_read_only); `EACCES`: the
    /// descriptor is not open for both.
    pub fn map_raw(self, file: impl AsFd) -> Result<MmapRaw> {
        self.map(file.as_fd(), ProtFlags::READ | ProtFlags::WRITE)
    }

    fn map(self, file: BorrowedFd<'_>, prot: ProtFlags) -> Result<MmapRaw> {
        let len = match self.len {
            Some(len) => len,
            None => {
                let rest = syscall::fstat(file)?.size.checked_sub(self.offset);
                rest.ok_or(Errno::EINVAL)?.try_into().map_err(|_| Errno::EOVERFLOW)?
            }
        };
        // A longer object than this does not exist in Rust.
        if len > isize::MAX as usize {
            return Err(Errno::EOVERFLOW);
        }
        // The kernel does not map zero bytes, and nothing is needed for them.
        if len == 0 {
            return Ok(MmapRaw { ptr: ptr::dangling_mut(), len });
        }
        let null = ptr::null_mut();
        // SAFETY: nothing is replaced, and no reference to the memory is made here.
        let ptr =
            unsafe { syscall::mmap(null, len, prot, MapFlags::SHARED, Some(file), self.offset)? };
        Ok(MmapRaw { ptr, len })
    }
}

/// A part of a file in memory, as a pointer and a length.
///
/// The memory stays mapped, whatever becomes of the descriptor, until this is
/// dropped.
pub struct MmapRaw {
    ptr: *mut u8,
    len: usize,
}

// SAFETY: a pointer and a number; the mapping is the process's, not a thread's, and
// only raw pointers are given out.
unsafe impl Send for MmapRaw {}
// SAFETY: as above.
unsafe impl Sync for MmapRaw {}

impl MmapRaw {
    /// The first byte. Dangling, as that of an empty slice, if the length is zero.
    pub const fn as_ptr(&self) -> *const u8 {
        self.ptr
    }

    /// The first byte, to write to if the mapping is writable.
    pub const fn as_mut_ptr(&self) -> *mut u8 {
        self.ptr
    }

    /// The length in bytes, as it was asked for.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the length is zero.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for MmapRaw {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: mapped by `map`, and owned: nobody may use it after this.
            let _ = unsafe { syscall::munmap(self.ptr, self.len) };
        }
    }
}

impl fmt::Debug for MmapRaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MmapRaw").field("ptr", &self.ptr).field("len", &self.len).finish()
    }
}
