//! What the kernel is told of a mapping's use.

use core::ptr;

use linux_raw_sys::general as kernel;

use crate::fd::BorrowedFd;
use crate::map::Result;
use crate::syscall::{self, Errno, IoVec};

/// Advice that changes no contents, whatever it is given for. Source: madvise(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum Advice {
    /// `MADV_NORMAL`: nothing special, as it is at first.
    Normal = kernel::MADV_NORMAL,
    /// `MADV_RANDOM`: pages are used in no order. Nothing is read ahead.
    Random = kernel::MADV_RANDOM,
    /// `MADV_SEQUENTIAL`: pages are used in order, and once. Much is read ahead.
    Sequential = kernel::MADV_SEQUENTIAL,
    /// `MADV_WILLNEED`: pages are used soon. Reading them may begin.
    WillNeed = kernel::MADV_WILLNEED,
    /// `MADV_DONTFORK`: a child does not have these pages. It must not drop the map either
    /// (`mem::forget` it there): by then the addresses may be somebody else's.
    DontFork = kernel::MADV_DONTFORK,
    /// `MADV_DOFORK`: a child has them, as it is at first.
    DoFork = kernel::MADV_DOFORK,
    /// `MADV_MERGEABLE`: pages of the same contents may become one until they change.
    Mergeable = kernel::MADV_MERGEABLE,
    /// `MADV_UNMERGEABLE`: they may not, as it is at first.
    Unmergeable = kernel::MADV_UNMERGEABLE,
    /// `MADV_HUGEPAGE`: huge pages are welcome.
    HugePage = kernel::MADV_HUGEPAGE,
    /// `MADV_NOHUGEPAGE`: they are not.
    NoHugePage = kernel::MADV_NOHUGEPAGE,
    /// `MADV_DONTDUMP`: a core dump leaves these pages out.
    DontDump = kernel::MADV_DONTDUMP,
    /// `MADV_DODUMP`: it has them, as it is at first.
    DoDump = kernel::MADV_DODUMP,
    /// `MADV_KEEPONFORK`: a child has the contents, as it is at first (Linux 4.14).
    KeepOnFork = kernel::MADV_KEEPONFORK,
    /// `MADV_COLD`: pages may be the first to leave memory (Linux 5.4).
    Cold = kernel::MADV_COLD,
    /// `MADV_PAGEOUT`: pages leave memory now, if there is another place (Linux 5.4).
    PageOut = kernel::MADV_PAGEOUT,
    /// `MADV_POPULATE_READ`: pages are brought in now, to be read (Linux 5.14). What
    /// would fault is an error: `EFAULT` beyond the end of a file.
    PopulateRead = kernel::MADV_POPULATE_READ,
    /// `MADV_POPULATE_WRITE`: pages are brought in now, to be written to (Linux 5.14).
    PopulateWrite = kernel::MADV_POPULATE_WRITE,
    /// `MADV_COLLAPSE`: pages become huge ones now (Linux 6.1).
    Collapse = kernel::MADV_COLLAPSE,
    /// `MADV_HWPOISON`, which is refused with `EINVAL` here.
    #[deprecated(note = "it destroys contents: `UncheckedAdvice::HwPoison`")]
    HwPoison = kernel::MADV_HWPOISON,
}

/// Advice that changes contents, now or later: an owner's to give who relies on none.
/// Source: madvise(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum UncheckedAdvice {
    /// `MADV_DONTNEED`: private pages are given up, and are the file's or zero again.
    DontNeed = kernel::MADV_DONTNEED,
    /// `MADV_FREE`: private anonymous pages may be given up, and be zero, until they are
    /// written to.
    Free = kernel::MADV_FREE,
    /// `MADV_REMOVE`: a hole takes the pages' place in the file.
    Remove = kernel::MADV_REMOVE,
    /// `MADV_WIPEONFORK`: in a child the pages are zero (Linux 4.14).
    WipeOnFork = kernel::MADV_WIPEONFORK,
    /// `MADV_HWPOISON`: the pages are broken from now on, and what was changed in them is
    /// lost. For tests, as root.
    HwPoison = kernel::MADV_HWPOISON,
}

impl Advice {
    /// Whether this kernel knows it, for one mapping or another.
    #[must_use]
    pub fn is_supported(self) -> bool {
        is_supported(syscall::Advice(self as u32))
    }

    /// What the kernel is told; `EINVAL` in place of what changes contents.
    pub(in crate::map) fn raw(self) -> syscall::Result<syscall::Advice> {
        match self {
            #[allow(deprecated, reason = "it must not come through")]
            Advice::HwPoison => Err(Errno::EINVAL),
            _ => Ok(syscall::Advice(self as u32)),
        }
    }
}

impl UncheckedAdvice {
    /// Whether this kernel knows it, for one mapping or another.
    #[must_use]
    pub fn is_supported(self) -> bool {
        is_supported(self.raw())
    }

    /// What the kernel is told.
    pub(in crate::map) fn raw(self) -> syscall::Advice {
        syscall::Advice(self as u32)
    }
}

fn is_supported(advice: syscall::Advice) -> bool {
    // SAFETY: for no bytes.
    unsafe { syscall::madvise(ptr::null_mut(), 0, advice) }.is_ok()
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
