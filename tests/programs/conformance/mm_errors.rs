//! The errors of calls on memory.

use super::*;
use baremap::syscall::{Advice, MsyncFlags};

fn map(
    length: usize,
    prot: ProtFlags,
    flags: MapFlags,
    fd: Option<&OwnedFd>,
) -> syscall::Result<()> {
    Pages::map(length, prot, flags, fd.map(AsFd::as_fd), 0).map(drop)
}

fn zero_length() -> Outcome {
    let fd = numbered(1)?;
    fails(map(0, READ_WRITE, ANONYMOUS, None), Errno::EINVAL)?;
    fails(map(0, READ_WRITE, MapFlags::SHARED, Some(&fd)), Errno::EINVAL)?;
    let pages = Pages::zeros(1)?;
    // SAFETY: nothing is unmapped, and nothing changed.
    unsafe {
        fails(syscall::munmap(pages.addr, 0), Errno::EINVAL)?;
        syscall::madvise(pages.addr, 0, Advice::DONTNEED)?;
    }
    ensure(readable(pages.addr), "a page that is gone")
}

fn zero_length_of_mprotect() -> Outcome {
    let pages = Pages::zeros(1)?;
    // SAFETY: nothing is changed.
    unsafe { syscall::mprotect(pages.addr, 0, ProtFlags::empty())? };
    ensure(readable(pages.addr), "a page that may not be read")
}

fn descriptors() -> Outcome {
    fails(map(page(), ProtFlags::READ, MapFlags::SHARED, None), Errno::EBADF)?;
    let directory = syscall::open(c".", OFlags::RDONLY, Mode::empty())?;
    let result = map(page(), ProtFlags::READ, MapFlags::PRIVATE, Some(&directory));
    fails(result, Errno::ENODEV)?;
    // The kernel ignores the descriptor of an anonymous mapping.
    map(page(), ProtFlags::READ, ANONYMOUS, Some(&directory))?;
    Ok(())
}

fn access() -> Outcome {
    let name = Name::new(c"conformance access");
    let open = |flags| syscall::open(name.0, flags, Mode::RUSR | Mode::WUSR);
    let write_only = open(OFlags::WRONLY | OFlags::CREATE)?;
    syscall::ftruncate(write_only.as_fd(), page() as u64)?;
    let read_only = open(OFlags::RDONLY)?;
    let result = map(page(), ProtFlags::READ, MapFlags::PRIVATE, Some(&write_only));
    fails(result, Errno::EACCES)?;
    fails(map(page(), READ_WRITE, MapFlags::SHARED, Some(&write_only)), Errno::EACCES)?;
    fails(map(page(), READ_WRITE, MapFlags::SHARED, Some(&read_only)), Errno::EACCES)?;
    map(page(), READ_WRITE, MapFlags::PRIVATE, Some(&read_only))?;

    let pages = Pages::map(page(), ProtFlags::READ, MapFlags::SHARED, Some(read_only.as_fd()), 0)?;
    // SAFETY: the page is this function's own.
    fails(unsafe { syscall::mprotect(pages.addr, page(), READ_WRITE) }, Errno::EACCES)
}

fn sharing() -> Outcome {
    fails(map(page(), READ_WRITE, MapFlags::ANONYMOUS, None), Errno::EINVAL)
}

fn addresses() -> Outcome {
    let pages = Pages::zeros(2)?;
    let at = pages.at(1);
    let flags = ANONYMOUS | MapFlags::FIXED;
    // SAFETY: all are refused.
    unsafe {
        fails(syscall::mmap(at, page(), READ_WRITE, flags, None, 0), Errno::EINVAL)?;
        fails(syscall::munmap(at, page()), Errno::EINVAL)?;
        fails(syscall::mprotect(at, page(), READ_WRITE), Errno::EINVAL)?;
        fails(syscall::madvise(at, page(), Advice::NORMAL), Errno::EINVAL)
    }
}

/// Returns three pages, of which the middle one is unmapped.
fn gap() -> syscall::Result<Pages> {
    let pages = Pages::zeros(3)?;
    // SAFETY: the page is this function's own.
    unsafe { syscall::munmap(pages.page(1), page())? };
    Ok(pages)
}

fn not_mapped() -> Outcome {
    let pages = gap()?;
    let (at, length) = (pages.addr, pages.length);
    // SAFETY: the range is this function's own.
    unsafe {
        fails(syscall::mprotect(at, length, READ_WRITE), Errno::ENOMEM)?;
        fails(syscall::msync(at, length, MsyncFlags::ASYNC), Errno::ENOMEM)?;
        fails(syscall::mlock(at, length), Errno::ENOMEM)?;
        fails(syscall::munlock(at, length), Errno::ENOMEM)?;
        let _ = syscall::munlock(at, page());
    }
    let mut present = [0; PRESENT];
    fails(syscall::mincore(at, length, &mut present), Errno::ENOMEM)?;
    fails(syscall::mincore(at, length, &mut present[..2]), Errno::EFAULT)
}

fn advice_for_nothing() -> Outcome {
    let pages = gap()?;
    // SAFETY: changes no contents.
    fails(unsafe { syscall::madvise(pages.addr, pages.length, Advice::NORMAL) }, Errno::ENOMEM)
}

fn advice_that_is_none() -> Outcome {
    let pages = Pages::zeros(1)?;
    // SAFETY: refused.
    fails(unsafe { syscall::madvise(pages.addr, page(), Advice(999)) }, Errno::EINVAL)
}

fn too_much() -> Outcome {
    fails(map(usize::MAX - page(), READ_WRITE, ANONYMOUS, None), Errno::ENOMEM)?;
    // A 64-bit kernel gives a 32-bit program all of 4 GiB, except for the program's stack.
    fails(map(usize::MAX << 20, READ_WRITE, ANONYMOUS, None), Errno::ENOMEM)
}

pub const CASES: &[Case] = &[
    case!("a length of zero", zero_length),
    case!(
        "mprotect of no bytes does nothing",
        zero_length_of_mprotect,
        qemu_user: "a range of no bytes is ENOMEM"
    ),
    case!("no descriptor, or that of a directory", descriptors),
    case!("a descriptor not open for that is EACCES", access),
    case!("neither shared nor private is EINVAL", sharing),
    case!("an address inside a page is EINVAL", addresses),
    case!(
        "a range with a gap is ENOMEM",
        not_mapped,
        qemu_user: "it has reserved all addresses",
        if cfg!(target_pointer_width = "32")
    ),
    case!("advice for a gap is ENOMEM", advice_for_nothing,
        qemu_user: "advice for what is not mapped succeeds"),
    case!("advice that does not exist is EINVAL", advice_that_is_none,
        qemu_user: "unknown advice succeeds"),
    case!("more than there are addresses is ENOMEM", too_much),
];
