//! Files in memory that can be sealed.

use core::ffi::CStr;

use crate::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use crate::map::Result;
use crate::syscall::{self, Errno, MemfdFlags, Seals};

/// A file in memory that can be sealed. Seals cannot be removed.
///
/// ```
/// use baremap::{map::{Memfd, MmapOptions}, syscall::Seals};
///
/// let file = Memfd::new(c"example", 1000)?;
/// // SAFETY: nothing else has the descriptor.
/// let mut map = unsafe { MmapOptions::new().map_mut(&file)? };
/// map[..5].copy_from_slice(b"hello");
/// drop(map);
/// // Nobody can change the file any more, so that mapping it is safe in this process, and in every
/// // process that receives the descriptor and checks the seals.
/// file.seal(Seals::WRITE | Seals::SHRINK | Seals::GROW | Seals::SEAL)?;
/// let map = MmapOptions::new().map_if_safe(&file)?;
/// assert_eq!(&map[..6], b"hello\0");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// The file is deleted when its last descriptor is closed and its last map is unmapped. The
/// descriptor is closed by execve(2), and can be passed to other processes through a unix(7)
/// socket.
///
/// Source: memfd_create(2), and fcntl(2) for the seals.
#[derive(Debug)]
pub struct Memfd(OwnedFd);

impl Memfd {
    /// Creates a sparse file of `len` zero bytes in memory. A page is allocated when it is
    /// written, or accessed through a map.
    ///
    /// The name is shown in `/proc`. It need not be unique.
    ///
    /// # Errors
    ///
    /// * `EINVAL` if the name has more than 249 bytes, or `len` is more than `i64::MAX`.
    /// * `EFBIG` if `len` is more than `RLIMIT_FSIZE`, in which case the process is also sent
    ///   `SIGXFSZ`, or more than such a file can have.
    /// * `EMFILE` or `ENFILE` if no file descriptor is free.
    /// * `EACCES` if a security policy forbids it.
    #[doc(alias = "memfd_create")]
    pub fn new(name: &CStr, len: u64) -> Result<Memfd> {
        Ok(Memfd(memfd(name, len)?))
    }

    /// Adds seals, which cannot be removed.
    ///
    /// `SHRINK` and `GROW` forbid that the file becomes shorter and longer, and `WRITE` that its
    /// contents change. `FUTURE_WRITE` (Linux 5.1) forbids changes except through maps that are
    /// writable already. `SEAL` forbids that more seals are added.
    ///
    /// # Errors
    ///
    /// * `EBUSY` if `seals` contains `WRITE` and the file has a shared map that was made with a
    ///   writable descriptor, even if the map itself is only readable: an
    ///   [`Mmap`](crate::map::Mmap) made by [`MmapOptions::map`](crate::map::MmapOptions::map),
    ///   or a [`FileMap`](crate::map::FileMap).
    /// * `EPERM` if the file has the seal `SEAL`, or the descriptor is not open for writing.
    /// * `EINVAL` if the kernel does not know one of the seals, or if the value was
    ///   [created from](From) a descriptor of a file that cannot be sealed.
    #[doc(alias = "F_ADD_SEALS")]
    pub fn seal(&self, seals: Seals) -> Result<()> {
        syscall::fcntl_add_seals(self.as_fd(), seals)
    }

    /// Returns the seals of the file.
    ///
    /// Since Linux 6.3 a new file has the seal `EXEC`, which forbids to make the file executable.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the value was [created from](From) a descriptor of a file that cannot be sealed.
    #[doc(alias = "F_GET_SEALS")]
    pub fn seals(&self) -> Result<Seals> {
        syscall::fcntl_get_seals(self.as_fd())
    }
}

/// Creates a file of `len` bytes in memory that can be sealed.
pub(in crate::map) fn memfd(name: &CStr, len: u64) -> syscall::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // With the sysctl `vm.memfd_noexec` = 2 the kernel refuses files that may be made executable.
    // Kernels before Linux 6.3 do not know the flag, and return `EINVAL`.
    let file = match syscall::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::EINVAL) => syscall::memfd_create(name, flags)?,
        file => file?,
    };
    syscall::ftruncate(file.as_fd(), len)?;
    Ok(file)
}

impl AsFd for Memfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Memfd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl From<OwnedFd> for Memfd {
    fn from(fd: OwnedFd) -> Memfd {
        Memfd(fd)
    }
}

impl From<Memfd> for OwnedFd {
    fn from(file: Memfd) -> OwnedFd {
        file.0
    }
}
