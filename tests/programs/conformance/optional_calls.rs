//! Calls that some kernels lack, and what they return where they are missing.

use super::*;
use baremap::map::{Advice, MmapRaw};
use baremap::syscall::{IoVec, PkeyRights};

/// Whether the architecture has memfd_secret.
const HAS_SECRETS: bool = cfg!(any(
    target_arch = "aarch64",
    target_arch = "riscv32",
    target_arch = "riscv64",
    target_arch = "s390x",
    target_arch = "x86",
    target_arch = "x86_64"
));

const WORDS_OF_64_BITS: bool = cfg!(target_pointer_width = "64");

/// A 32-bit kernel never has the call. All 32-bit programs that run under 64-bit kernels here run
/// under older ones.
fn mseal() -> Outcome {
    let pages = Pages::zeros(2)?;
    pages.set(0, 5);
    // SAFETY: the page is this function's own, and stays mapped.
    let sealed = unsafe { syscall::mseal(pages.addr, page()) };
    if linux()? < (6, 10) || !WORDS_OF_64_BITS {
        return fails(sealed, Errno::ENOSYS);
    }
    sealed?;
    // SAFETY: each is refused.
    unsafe {
        fails(syscall::munmap(pages.addr, page()), Errno::EPERM)?;
        fails(syscall::munmap(pages.addr, 2 * page()), Errno::EPERM)?;
        fails(syscall::mprotect(pages.addr, page(), ProtFlags::READ), Errno::EPERM)?;
        let fixed = ANONYMOUS | MapFlags::FIXED;
        fails(syscall::mmap(pages.addr, page(), READ_WRITE, fixed, None, 0), Errno::EPERM)?;
        fails(syscall::mseal(pages.at(1), page()), Errno::EINVAL)?;
        // The neighbouring page is not sealed.
        syscall::mprotect(pages.page(1), page(), ProtFlags::READ)?;
    }
    same(pages.get(0), 5)
}

/// Before Linux 6.5, the call has to be enabled on the kernel's command line.
fn memfd_secret() -> Outcome {
    let fd = syscall::memfd_secret(OFlags::CLOEXEC);
    // Linux 7.2 has the call on loongarch64, which the headers here do not know.
    let has_secrets = HAS_SECRETS || cfg!(target_arch = "loongarch64") && linux()? >= (7, 2);
    if !has_secrets || linux()? < (6, 5) {
        return fails(fd, Errno::ENOSYS);
    }
    let fd = fd?;
    fails(syscall::memfd_secret(OFlags::APPEND), Errno::EINVAL)?;
    syscall::ftruncate(fd.as_fd(), page() as u64)?;
    let pages = Pages::map(page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
    same(pages.get(7), 0)?;
    pages.set(7, 3);
    same(pages.get(7), 3)
}

fn droppable() -> Outcome {
    let map = MmapRaw::map_droppable(2 * page());
    if linux()? < (6, 11) || !WORDS_OF_64_BITS {
        return fails(map, Errno::ENOSYS);
    }
    let map = map?;
    // SAFETY: in the map, to which there is no reference.
    unsafe {
        same(map.as_ptr().wrapping_add(page()).read_volatile(), 0)?;
        map.as_mut_ptr().write_volatile(1);
    }
    same(map.len(), 2 * page())
}

/// No file system here is on persistent memory.
fn synchronous() -> Outcome {
    let fd = file()?;
    syscall::ftruncate(fd.as_fd(), page() as u64)?;
    let flags = MapFlags::SHARED_VALIDATE | MapFlags::SYNC;
    let map = Pages::map(page(), READ_WRITE, flags, Some(fd.as_fd()), 0);
    fails(map.map(drop), Errno::EOPNOTSUPP)?;
    Pages::map(page(), READ_WRITE, MapFlags::SHARED_VALIDATE, Some(fd.as_fd()), 0)?;
    Ok(())
}

/// The structure has words of the program's size.
fn process_madvise() -> Outcome {
    let pages = Pages::zeros(4)?;
    pages.set(0, 5);
    let me = syscall::pidfd_open(syscall::getpid(), OFlags::empty())?;
    let range = |number, count| IoVec { base: pages.page(number), len: count * page() };
    let advise = |fd, ranges: &[IoVec]| baremap::map::advise_process(fd, ranges, Advice::Cold);
    same(advise(me.as_fd(), &[range(0, 1), range(2, 2)])?, 3 * page())?;
    same(advise(me.as_fd(), &[])?, 0)?;
    let inside = IoVec { base: pages.at(1), len: 1 };
    fails(advise(me.as_fd(), &[inside]), Errno::EINVAL)?;
    fails(advise(file()?.as_fd(), &[range(0, 1)]), Errno::EBADF)?;
    same(pages.get(0), 5)
}

fn pidfd() -> Outcome {
    syscall::pidfd_open(syscall::getpid(), OFlags::empty())?;
    fails(syscall::pidfd_open(0, OFlags::empty()), Errno::EINVAL)?;
    fails(syscall::pidfd_open(i32::MAX, OFlags::empty()), Errno::ESRCH)
}

/// The structures have 64-bit numbers on every architecture.
fn cachestat() -> Outcome {
    let fd = file()?;
    let size = page() as u64;
    syscall::ftruncate(fd.as_fd(), 8 * size)?;
    for number in [1, 2, 5] {
        same(syscall::pwrite(fd.as_fd(), b"x", number * size)?, 1)?;
    }
    let count =
        |offset, length| syscall::cachestat(fd.as_fd(), offset, length).map(|stat| stat.cache);
    if linux()? < (6, 5) {
        return fails(count(0, 0), Errno::ENOSYS);
    }
    same((count(0, 0)?, count(0, 3 * size)?, count(2 * size, 0)?), (3, 2, 2))?;
    same(count(1 << 40, 1 << 33)?, 0)
}

/// Checks that protection keys restrict access. The calls fail with `ENOSYS` on a kernel without
/// them, and `pkey_alloc` with `ENOSPC` on a processor without them.
fn protection_keys() -> Outcome {
    let pages = Pages::zeros(1)?;
    // SAFETY: the page is this function's own.
    let protect = |prot, key| unsafe { syscall::pkey_mprotect(pages.addr, page(), prot, key) };
    let key = match syscall::pkey_alloc(PkeyRights::empty()) {
        Err(Errno::ENOSYS) => return fails(protect(READ_WRITE, None), Errno::ENOSYS),
        Err(Errno::ENOSPC | Errno::EINVAL) => None,
        key => Some(key?),
    };
    protect(ProtFlags::READ, None)?;
    ensure(!writable(pages.addr), "a page that can be written to")?;
    protect(READ_WRITE, None)?;
    ensure(writable(pages.addr), "a page that cannot be written to")?;
    if let Some(key) = key {
        protect(READ_WRITE, Some(key))?;
        protect(READ_WRITE, Some(0))?;
        // SAFETY: no page has it any more; and then it is nobody's.
        unsafe {
            syscall::pkey_free(key)?;
            fails(syscall::pkey_free(key), Errno::EINVAL)?;
        }
    }
    fails(protect(READ_WRITE, Some(1000)), Errno::EINVAL)
}

/// The advice makes pages resident, and returns an error where an access would raise a signal.
fn populate() -> Outcome {
    let fd = file()?;
    syscall::ftruncate(fd.as_fd(), page() as u64)?;
    let pages = Pages::map(2 * page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
    for advice in [syscall::Advice::POPULATE_READ, syscall::Advice::POPULATE_WRITE] {
        // SAFETY: the pages are this function's own.
        unsafe {
            syscall::madvise(pages.addr, page(), advice)?;
            fails(syscall::madvise(pages.addr, 2 * page(), advice), Errno::EFAULT)?;
        }
    }
    let anonymous = Pages::zeros(3)?;
    // SAFETY: as above.
    unsafe {
        let _ = syscall::madvise(anonymous.addr, 3 * page(), syscall::Advice::NOHUGEPAGE);
        syscall::madvise(anonymous.page(1), page(), syscall::Advice::POPULATE_WRITE)?;
    }
    let mut present = [0; PRESENT];
    syscall::mincore(anonymous.addr, 3 * page(), &mut present)?;
    same([0, 1, 2].map(|page| present[page] & 1), [0, 1, 0])
}

pub const CASES: &[Case] = &[
    case!("mseal", mseal, qemu_user: "it has no mseal", if WORDS_OF_64_BITS),
    case!(
        "memfd_secret",
        memfd_secret,
        qemu_user: "it has no memfd_secret",
        if HAS_SECRETS
    ),
    case!(
        "MAP_DROPPABLE",
        droppable,
        qemu_user: "it does not know the type",
        if WORDS_OF_64_BITS
    ),
    case!(
        "MAP_SYNC needs persistent memory",
        synchronous,
        qemu_user: "it does not know the type"
    ),
    case!("pidfd_open", pidfd),
    case!("process_madvise", process_madvise, qemu_user: "it has no process_madvise"),
    case!("cachestat", cachestat, qemu_user: "it has no cachestat"),
    case!("protection keys", protection_keys),
    case!("MADV_POPULATE_READ and MADV_POPULATE_WRITE", populate,
        qemu_user: "it does not hand the advice on"),
];
