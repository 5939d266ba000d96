//! Memory that processes share: with a descriptor, and without.

use core::ffi::CStr;

use crate::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use crate::map::Result;
use crate::syscall::{self, Errno, MemfdFlags, Seals};

/// A file that lives in memory, and can be sealed: what a seal forbids nobody can do any more.
///
/// ```
/// use baremap::{map::{Memfd, MmapOptions}, syscall::Seals};
///
/// let file = Memfd::new(c"example", 1000)?;
/// // SAFETY: nobody else has the descriptor.
/// let mut map = unsafe { MmapOptions::new().map_mut(&file)? };
/// map[..5].copy_from_slice(b"hello");
/// drop(map);
/// // Nobody can change it now, so that mapping it is safe: here, and in every process that
/// // gets the descriptor and asks for the seals.
/// file.seal(Seals::WRITE | Seals::SHRINK | Seals::GROW | Seals::SEAL)?;
/// let map = MmapOptions::new().map_if_safe(&file)?;
/// assert_eq!(&map[..6], b"hello\0");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// It is gone when its last descriptor is closed and its last map unmapped. The descriptor
/// is closed in programs that this one executes, and is passed to others by unix(7) sockets.
/// Source: memfd_create(2), and fcntl(2) for the seals.
#[derive(Debug)]
pub struct Memfd(OwnedFd);

impl Memfd {
    /// Makes one of `len` bytes, all zero, which takes no memory before they are written.
    /// The name is for people who look into `/proc`; others may have the same.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a name of more than 249 bytes, or a length above `i64::MAX`. `EFBIG`: longer
    /// than `RLIMIT_FSIZE` (which is a signal as well, `SIGXFSZ`), or than such a file can
    /// be. `EMFILE`, `ENFILE`: no descriptor is left. `EACCES`: policy forbids it.
    pub fn new(name: &CStr, len: u64) -> Result<Memfd> {
        Ok(Memfd(memfd(name, len)?))
    }

    /// Adds seals, for ever: `SHRINK`, `GROW`, `WRITE`, `FUTURE_WRITE` (only the maps that
    /// are writable now stay so; Linux 5.1), and `SEAL`, after which no more are added.
    ///
    /// # Errors
    ///
    /// `EBUSY`: `WRITE`, and a shared map can be written to. `EPERM`: `SEAL` is on.
    /// `EINVAL`: this kernel does not have such a seal.
    pub fn seal(&self, seals: Seals) -> Result<()> {
        syscall::fcntl_add_seals(self.as_fd(), seals)
    }

    /// The seals it has. `EXEC` is on from the start where the kernel knows it (Linux 6.3):
    /// the file cannot become a program.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it was [made of](From) a descriptor of a file that has none.
    pub fn seals(&self) -> Result<Seals> {
        syscall::fcntl_get_seals(self.as_fd())
    }
}

/// A sealable file in memory, `len` bytes long.
pub(in crate::map) fn memfd(name: &CStr, len: u64) -> syscall::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Some systems refuse files that could become programs; older ones do not know better.
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
