//! The error for a missing page, and the reason why it is missing.

use core::fmt;

use crate::fd::BorrowedFd;
use crate::map::{Region, backing::mapping_page_size};
use crate::syscall::{
    self, Advice, Errno, FallocateFlags, FileType, MapFlags, ProtFlags, page_size,
};

/// The error for an access to a missing page of a mapped file.
///
/// The file was truncated, its disk failed, or the disk has no room for what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) offset: u64,
    pub(super) done: usize,
    pub(super) errno: Option<Errno>,
}

impl Fault {
    /// Returns the offset in the map, in bytes, of the first byte that could not be accessed.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns how many bytes of the requested range come before the missing byte. They have been
    /// read or written.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.done
    }

    /// Returns the error of a system call that tries to read or to allocate the missing byte, or
    /// `None` if there is no such error.
    ///
    /// * `ENOSPC` or `EDQUOT` if the disk is full. `ENOSPC` is also the error for a byte that exists
    ///   but for which a map finds no room: in a hole of a file on a full tmpfs, which can be read by
    ///   read(2), although a slice needs a page for it; and in a block that two files share on a full
    ///   xfs or btrfs. On btrfs, and on tmpfs, this needs Linux 5.14. On btrfs, it can be the error
    ///   for an exceeded quota, too.
    /// * `EIO` if the disk failed.
    /// * `EPERM` if the file became immutable (`chattr +i`) after it was mapped.
    /// * `EBADF` if the file is not open for writing.
    /// * `ENOMEM` or another error if [`with_slice`](crate::map::FileMap::with_slice) could not
    ///   protect the slice.
    ///
    /// The result is `None` if the file ends before the byte. It is also `None` if the file was
    /// truncated, and has been extended again since.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        self.errno
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            None => write!(f, "a page is missing at byte {} of a mapped file", self.offset),
            Some(errno) => write!(f, "cannot reach byte {} of a mapped file: {errno}", self.offset),
        }
    }
}

impl core::error::Error for Fault {}

impl From<Fault> for Errno {
    /// Converts a fault to its [`errno`](Fault::errno), or to `EFAULT` if it has none, which is the
    /// error of a system call that accesses missing memory.
    fn from(fault: Fault) -> Errno {
        fault.errno.unwrap_or(Errno::EFAULT)
    }
}

#[cfg(feature = "std")]
impl From<Fault> for std::io::Error {
    /// Converts a fault to the error with its [`errno`](Fault::errno), or to an error of the kind
    /// `UnexpectedEof` if it has none.
    fn from(fault: Fault) -> Self {
        match fault.errno {
            None => std::io::Error::new(std::io::ErrorKind::UnexpectedEof, fault),
            Some(errno) => errno.into(),
        }
    }
}

/// Finds out, with pread(2), why a byte of a file is missing in its map.
///
/// Returns `None` if the byte can be read, `Some(None)` if it is past the end of the file, and
/// `Some(Some(errno))` if reading it fails.
#[cold]
pub(crate) fn unreadable(file: BorrowedFd<'_>, offset: u64) -> Option<Option<Errno>> {
    match syscall::pread(file, &mut [0], offset) {
        Ok(0) => Some(None),
        Ok(_) => None,
        Err(errno) => Some(Some(errno)),
    }
}

/// Finds out why a byte is missing in a map, or cannot be written to. Returns the
/// [`errno`](Fault::errno) of the fault.
///
/// A character device is not asked, because a read or a mapping may have an effect on it, and says
/// nothing about the mapping that faulted. fallocate(2) is for regular files only: for a block
/// device, some kernels drop changed pages of the page cache before they reject the flags.
#[cold]
pub(super) fn reason(file: BorrowedFd<'_>, offset: u64, write: bool) -> Option<Errno> {
    let kind = syscall::fstat(file).map(|stat| stat.file_type());
    if kind == Ok(FileType::CharacterDevice) {
        return None;
    }
    if let Some(errno) = unreadable(file, offset) {
        return errno;
    }
    if write
        && kind == Ok(FileType::Regular)
        && let Some(errno) = unallocated(file, offset)
    {
        return Some(errno);
    }
    unmapped(file, offset, write)
}

/// Tries to allocate the page of a byte with fallocate(2), and returns the error.
///
/// The caller wanted to write to the page, so that allocating it changes nothing that was not asked
/// for.
fn unallocated(file: BorrowedFd<'_>, offset: u64) -> Option<Errno> {
    let size = page_size() as u64;
    let page = offset & !(size - 1);
    // Without `UNSHARE_RANGE`, xfs reports success for a block that two files share, although it
    // has no room to give each file its own.
    let mut flags = FallocateFlags::KEEP_SIZE | FallocateFlags::UNSHARE_RANGE;
    loop {
        match syscall::fallocate(file, flags, page, size) {
            Err(Errno::EINTR) => {}
            Err(Errno::EOPNOTSUPP) if flags != FallocateFlags::KEEP_SIZE => {
                flags = FallocateFlags::KEEP_SIZE;
            }
            // `EOPNOTSUPP` without `UNSHARE_RANGE` means that the file system cannot preallocate.
            Ok(()) | Err(Errno::EOPNOTSUPP) => return None,
            Err(errno) => return Some(errno),
        }
    }
}

/// Maps the page of a byte that can be read, and lets the kernel access it as the program did,
/// which changes no bytes. Returns `ENOSPC` if the kernel cannot, although the byte can still be read.
///
/// The kernel reports only that an access would raise a signal. Since the byte exists and can be
/// read, the reason can only be that the page needs room that the file system does not have: a
/// hole of a file on a full tmpfs needs memory, and a block that two files share needs another one
/// when it is written to, for which btrfs reserves no space in fallocate(2) (Linux 6.18). Before
/// Linux 5.14, the kernel has no such call, and the result is `None`.
fn unmapped(file: BorrowedFd<'_>, offset: u64, write: bool) -> Option<Errno> {
    let (prot, advice) = if write {
        (ProtFlags::READ | ProtFlags::WRITE, Advice::POPULATE_WRITE)
    } else {
        (ProtFlags::READ, Advice::POPULATE_READ)
    };
    let page = syscall::fstat(file).and_then(|stat| mapping_page_size(file, &stat)).ok()?;
    let map = Region::map(1, prot, MapFlags::SHARED, Some(file), offset, page).ok()?;
    // SAFETY: the advice changes no contents.
    let result = unsafe { map.advise(0, 1, advice) };
    if result != Err(Errno::EFAULT) {
        return None;
    }
    // The byte may have got lost since it was read.
    unreadable(file, offset).unwrap_or(Some(Errno::ENOSPC))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fd::AsFd,
        syscall::{MemfdFlags, Mode, OFlags},
    };

    /// fallocate(2) on it returns `ENODEV`, which is not the reason why a page is missing.
    #[test]
    fn a_character_device_is_not_probed() {
        let zero = syscall::open(c"/dev/zero", OFlags::RDWR, Mode::empty()).unwrap();
        for write in [false, true] {
            assert_eq!(reason(zero.as_fd(), 0, write), None);
        }
    }

    /// A byte can get lost between two questions.
    #[test]
    fn a_byte_past_the_end_is_not_a_full_disk() {
        let file = syscall::memfd_create(c"short", MemfdFlags::empty()).unwrap();
        for write in [false, true] {
            assert_eq!(unmapped(file.as_fd(), 1 << 20, write), None);
        }
    }
}
