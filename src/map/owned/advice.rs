//! Advice to the kernel about the use of mappings.

use core::ptr;

use linux_raw_sys::general as kernel;

use crate::fd::BorrowedFd;
use crate::map::Result;
use crate::syscall::{self, Errno, IoVec};

/// Advice about the use of memory, which does not change the contents of a map that has slices.
///
/// The one exception is `PageOut`, which discards the contents of
/// [droppable memory](crate::map::MmapRaw::map_droppable). The kernel may discard them at any time
/// anyway, and no slice refers to them.
///
/// The kernel rejects some advice for some kinds of mappings with `EINVAL`, such as `Cold` and
/// `PageOut` for [locked](crate::map::MmapMut::lock) pages. Newer variants name the Linux version
/// that they need.
///
/// Source: madvise(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum Advice {
    /// Restores the default treatment (`MADV_NORMAL`).
    Normal = kernel::MADV_NORMAL,
    /// Expects accesses in random order, and disables readahead (`MADV_RANDOM`). A file system may
    /// still read more than the page that is accessed, such as a whole compressed cluster on erofs.
    Random = kernel::MADV_RANDOM,
    /// Expects accesses in sequential order, and increases readahead (`MADV_SEQUENTIAL`).
    Sequential = kernel::MADV_SEQUENTIAL,
    /// Expects accesses soon, and may start to read the pages (`MADV_WILLNEED`).
    WillNeed = kernel::MADV_WILLNEED,
    /// Leaves the pages out of children created by `fork` (`MADV_DONTFORK`). A child must not drop
    /// or access the map, but has to `mem::forget` it, because another mapping may have its
    /// addresses.
    DontFork = kernel::MADV_DONTFORK,
    /// Undoes `DontFork` (`MADV_DOFORK`).
    DoFork = kernel::MADV_DOFORK,
    /// Lets the kernel merge pages with equal contents until they change (`MADV_MERGEABLE`).
    Mergeable = kernel::MADV_MERGEABLE,
    /// Undoes `Mergeable` (`MADV_UNMERGEABLE`).
    Unmergeable = kernel::MADV_UNMERGEABLE,
    /// Enables transparent huge pages (`MADV_HUGEPAGE`).
    HugePage = kernel::MADV_HUGEPAGE,
    /// Disables transparent huge pages (`MADV_NOHUGEPAGE`).
    NoHugePage = kernel::MADV_NOHUGEPAGE,
    /// Leaves the pages out of core dumps (`MADV_DONTDUMP`).
    DontDump = kernel::MADV_DONTDUMP,
    /// Undoes `DontDump` (`MADV_DODUMP`). `EINVAL` for droppable memory.
    DoDump = kernel::MADV_DODUMP,
    /// Undoes [`UncheckedAdvice::WipeOnFork`] (`MADV_KEEPONFORK`, Linux 4.14). `EINVAL` for
    /// droppable memory.
    KeepOnFork = kernel::MADV_KEEPONFORK,
    /// Makes the pages the first candidates for reclaim (`MADV_COLD`, Linux 5.4).
    Cold = kernel::MADV_COLD,
    /// Reclaims the pages now, if they can be swapped out or read again (`MADV_PAGEOUT`, Linux
    /// 5.4). Discards the contents of droppable memory.
    PageOut = kernel::MADV_PAGEOUT,
    /// Brings the pages into memory for reading (`MADV_POPULATE_READ`, Linux 5.14). `EFAULT` if an
    /// access would be `SIGBUS`, such as past the end of the file. `EINVAL` under qemu-user 11.1.
    PopulateRead = kernel::MADV_POPULATE_READ,
    /// Brings the pages into memory for writing (`MADV_POPULATE_WRITE`, Linux 5.14). `EFAULT` if an
    /// access would be `SIGBUS`, such as past the end of the file. `EINVAL` if the map is not
    /// writable, and under qemu-user 11.1.
    PopulateWrite = kernel::MADV_POPULATE_WRITE,
    /// Replaces the pages by transparent huge pages now (`MADV_COLLAPSE`, Linux 6.1).
    Collapse = kernel::MADV_COLLAPSE,
    /// Fails with `EINVAL` in every function, because it destroys contents (`MADV_HWPOISON`).
    #[deprecated(note = "destroys contents; use `UncheckedAdvice::HwPoison`")]
    HwPoison = kernel::MADV_HWPOISON,
}

/// Advice that changes the contents of memory, now or later.
///
/// `DontNeed`, `Free` and `Remove` are `EINVAL` for [locked](crate::map::MmapMut::lock) pages.
///
/// Source: madvise(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum UncheckedAdvice {
    /// Discards private pages: they show the file again, or are zero (`MADV_DONTNEED`).
    DontNeed = kernel::MADV_DONTNEED,
    /// Lets the kernel discard private anonymous pages, which are then zero, until they are written
    /// to (`MADV_FREE`, Linux 4.5).
    Free = kernel::MADV_FREE,
    /// Punches a hole into the file in place of the pages (`MADV_REMOVE`). `EACCES` if the map is
    /// private or its file was not open for writing, and `EOPNOTSUPP` if the file system has no
    /// holes.
    Remove = kernel::MADV_REMOVE,
    /// Makes the pages zero in children created by `fork` (`MADV_WIPEONFORK`, Linux 4.14).
    WipeOnFork = kernel::MADV_WIPEONFORK,
    /// Marks the pages as broken hardware, and loses the changes in them (`MADV_HWPOISON`). Serves
    /// tests of error handling. `EPERM` without `CAP_SYS_ADMIN`.
    HwPoison = kernel::MADV_HWPOISON,
}

impl Advice {
    /// Returns whether the kernel knows this advice. The kernel may still reject the advice for some
    /// mappings.
    ///
    /// Under qemu-user 7.2 and 10.0 the result is always `true`, because these versions ignore
    /// unknown advice.
    #[must_use]
    pub fn is_supported(self) -> bool {
        is_supported(syscall::Advice(self as u32))
    }

    /// Returns the number for the kernel. `EINVAL` for advice that changes contents.
    pub(in crate::map) fn raw(self) -> syscall::Result<syscall::Advice> {
        match self {
            #[allow(deprecated, reason = "the variant is rejected here")]
            Advice::HwPoison => Err(Errno::EINVAL),
            _ => Ok(syscall::Advice(self as u32)),
        }
    }
}

impl UncheckedAdvice {
    /// Returns whether the kernel knows this advice. The kernel may still reject the advice for some
    /// mappings.
    ///
    /// Under qemu-user 7.2 and 10.0 the result is always `true`, because these versions ignore
    /// unknown advice.
    #[must_use]
    pub fn is_supported(self) -> bool {
        is_supported(self.raw())
    }

    /// Returns the number for the kernel.
    pub(in crate::map) fn raw(self) -> syscall::Advice {
        syscall::Advice(self as u32)
    }
}

/// Asks the kernel with an empty range, for which it only checks whether it knows the advice.
fn is_supported(advice: syscall::Advice) -> bool {
    // SAFETY: the advice is given for an empty range.
    unsafe { syscall::madvise(ptr::null_mut(), 0, advice) }.is_ok()
}

/// Advises the kernel about the use of another process's memory, and returns the number of bytes
/// that the advice was applied to.
///
/// The number is less than the length of the ranges if a range after the first was refused.
/// `process` is a descriptor from [`pidfd_open`](syscall::pidfd_open), and the ranges are addresses
/// in that process. [`maps_of`](crate::map::maps_of) lists the mappings of a process.
///
/// Source: process_madvise(2).
///
/// # Errors
///
/// * `EINVAL` if the advice is not one of `Cold`, `PageOut`, `WillNeed` and `Collapse`. Other
///   advice is rejected even for the current process, although the kernel accepts it since Linux
///   6.13.
/// * `EINVAL` if an address is not page-aligned, or there are more than 1024 ranges.
/// * `EPERM` if the caller may not trace the process (ptrace(2)), or does not have `CAP_SYS_NICE`.
/// * `ESRCH` if the process has ended.
/// * `EBADF` if `process` does not refer to a process.
/// * `ENOMEM` if the first range is not mapped in the process.
/// * `ENOSYS` before Linux 5.10.
#[doc(alias = "process_madvise")]
pub fn advise_process(process: BorrowedFd<'_>, ranges: &[IoVec], advice: Advice) -> Result<usize> {
    let advice = match advice {
        Advice::Cold | Advice::PageOut | Advice::WillNeed | Advice::Collapse => advice.raw()?,
        _ => return Err(Errno::EINVAL),
    };
    // SAFETY: `Cold`, `WillNeed` and `Collapse` change no contents, and `PageOut` only those of
    // droppable memory, which may change at any time. This holds for every process.
    unsafe { syscall::process_madvise(process, ranges, advice) }
}
