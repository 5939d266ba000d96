//! Calls on mapped memory: `madvise`, `mincore`, `mlock` and `msync`.

use super::*;
use baremap::syscall::{Advice, MlockFlags, MsyncFlags};

fn dontneed() -> Outcome {
    let pages = Pages::zeros(3)?;
    for number in 0..3 {
        pages.set(number * page(), 5);
    }
    // SAFETY: the page is this function's own, and its contents are not needed.
    unsafe { syscall::madvise(pages.page(1), page(), Advice::DONTNEED)? };
    same([0, 1, 2].map(|n| pages.get(n * page())), [5, 0, 5])
}

/// A private mapping of a file shows the file again.
fn dontneed_of_a_file() -> Outcome {
    let fd = numbered(1)?;
    let pages = Pages::map(page(), READ_WRITE, MapFlags::PRIVATE, Some(fd.as_fd()), 0)?;
    pages.set(0, 9);
    // SAFETY: as above.
    unsafe { syscall::madvise(pages.addr, page(), Advice::DONTNEED)? };
    same(pages.get(0), 1)
}

fn harmless_advice() -> Outcome {
    let pages = Pages::zeros(2)?;
    pages.set(0, 5);
    let advice = [Advice::NORMAL, Advice::RANDOM, Advice::SEQUENTIAL, Advice::WILLNEED];
    for advice in advice {
        // SAFETY: changes no contents.
        unsafe { syscall::madvise(pages.addr, pages.length, advice)? };
    }
    same(pages.get(0), 5)
}

fn mincore() -> Outcome {
    let pages = Pages::zeros(3)?;
    pages.set(page(), 1);
    let mut present = [0xaa; PRESENT];
    syscall::mincore(pages.addr, 3 * page(), &mut present[..3])?;
    same(present[1] & 1, 1)?;
    same(present[3], 0xaa)?;
    fails(syscall::mincore(pages.at(1), page(), &mut present), Errno::EINVAL)
}

/// Only pages that were accessed are resident.
fn mincore_of_untouched() -> Outcome {
    let pages = Pages::zeros(3)?;
    // If huge pages are always used, one would make all three pages resident.
    // SAFETY: changes no contents.
    let _ = unsafe { syscall::madvise(pages.addr, pages.length, Advice::NOHUGEPAGE) };
    pages.set(page(), 1);
    let mut present = [0xaa; PRESENT];
    syscall::mincore(pages.addr, 3 * page(), &mut present)?;
    same([0, 1, 2].map(|page| present[page] & 1), [0, 1, 0])
}

fn msync() -> Outcome {
    let fd = file()?;
    syscall::ftruncate(fd.as_fd(), 2 * page() as u64)?;
    let pages = Pages::map(2 * page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
    pages.set(page(), 4);
    let msync = |at, length, flags| {
        // SAFETY: the range is this function's own.
        unsafe { syscall::msync(at, length, flags) }
    };
    msync(pages.addr, 2 * page(), MsyncFlags::SYNC)?;
    msync(pages.addr, 2 * page(), MsyncFlags::ASYNC)?;
    msync(pages.addr, 0, MsyncFlags::SYNC)?;
    fails(msync(pages.at(1), page(), MsyncFlags::SYNC), Errno::EINVAL)?;
    fails(msync(pages.addr, page(), MsyncFlags::SYNC | MsyncFlags::ASYNC), Errno::EINVAL)
}

fn lock() -> Outcome {
    let pages = Pages::zeros(2)?;
    // SAFETY: the pages are this function's own.
    unsafe {
        syscall::mlock(pages.page(1), page())?;
        let mut present = [0; PRESENT];
        syscall::mincore(pages.page(1), page(), &mut present)?;
        same(present[0] & 1, 1)?;
        syscall::munlock(pages.page(1), page())?;
    }
    Ok(())
}

fn lock_on_fault() -> Outcome {
    let pages = Pages::zeros(2)?;
    // SAFETY: the pages are this function's own.
    unsafe {
        syscall::mlock2(pages.addr, pages.length, MlockFlags::ONFAULT)?;
        fails(syscall::mlock2(pages.addr, page(), MlockFlags::from_bits_retain(2)), Errno::EINVAL)?;
        syscall::munlock(pages.addr, pages.length)?;
    }
    Ok(())
}

fn memfd() -> Outcome {
    let fd = memory()?;
    same(syscall::fstat(fd.as_fd())?.size, 0)?;
    same(syscall::write(fd.as_fd(), b"abc")?, 3)?;
    let pages = Pages::map(page(), ProtFlags::READ, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
    same((pages.get(2), pages.get(3)), (b'c', 0))?;
    fails(syscall::memfd_create(c"x", MemfdFlags::from_bits_retain(1 << 20)), Errno::EINVAL)
}

pub const CASES: &[Case] = &[
    case!("MADV_DONTNEED zeroes anonymous memory", dontneed),
    case!("MADV_DONTNEED drops changes to a file's copy", dontneed_of_a_file),
    case!("other advice changes nothing", harmless_advice),
    case!(
        "mincore tells one byte for each page",
        mincore,
        qemu_user: "a byte for each of the host's pages",
        if page() > 4096
    ),
    case!("mincore tells what was touched", mincore_of_untouched,
        qemu_user: "a byte for each of the host's pages",
        if page() > 4096),
    case!("msync", msync),
    case!("mlock and munlock", lock),
    case!("mlock2 MLOCK_ONFAULT", lock_on_fault, qemu_user: "it has no mlock2"),
    case!("memfd_create", memfd),
];
