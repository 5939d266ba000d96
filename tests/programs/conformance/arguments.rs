//! Raw calls with zero to six arguments. Each argument has an effect of its own, so that two
//! exchanged arguments are noticed.

use super::*;
use baremap::fd::IntoRawFd;
use baremap::syscall::{MremapFlags, Resource};
use linux_raw_sys::general::{__NR_copy_file_range, F_GETFD};

/// In a process with one thread, both numbers are equal, and not zero.
fn none() -> Outcome {
    // SAFETY: touches no memory.
    let (process, thread) = unsafe { (raw::syscall0(nr::getpid), raw::syscall0(nr::gettid)) };
    ensure(process != 0, "process 0")?;
    same(process, thread)?;
    same(process, syscall::getpid() as usize)
}

/// Closes the middle one of three descriptors.
fn one() -> Outcome {
    let fds = [memory()?, memory()?, memory()?].map(IntoRawFd::into_raw_fd);
    // SAFETY: the descriptor is nobody's any more.
    let close = |fd: i32| check(unsafe { raw::syscall1(nr::close, fd as usize) });
    same(close(fds[1]), Ok(0))?;
    // SAFETY: asks for flags.
    let flags = |fd: i32| unsafe { raw::syscall2(nr::fcntl, fd as usize, F_GETFD as usize) };
    same(fds.map(|fd| check(flags(fd)).is_ok()), [true, false, true])?;
    fails(close(fds[1]), Errno::EBADF)?;
    same(close(fds[0]), Ok(0))?;
    same(close(fds[2]), Ok(0))?;
    fails(close(-1), Errno::EBADF)
}

/// Unmaps the second and the third of four pages.
fn two() -> Outcome {
    let pages = Pages::zeros(4)?;
    // SAFETY: the pages are this function's own.
    let result = unsafe { raw::syscall2(nr::munmap, pages.page(1) as usize, 2 * page()) };
    same(check(result), Ok(0))?;
    same([0, 1, 2, 3].map(|n| readable(pages.page(n))), [true, false, false, true])
}

/// Makes the second and the third of four pages read-only.
fn three() -> Outcome {
    let pages = Pages::zeros(4)?;
    let (at, prot) = (pages.page(1) as usize, ProtFlags::READ.bits() as usize);
    // SAFETY: the pages are this function's own.
    same(check(unsafe { raw::syscall3(nr::mprotect, at, 2 * page(), prot) }), Ok(0))?;
    same([0, 1, 2, 3].map(|n| readable(pages.page(n))), [true; 4])?;
    same([0, 1, 2, 3].map(|n| writable(pages.page(n))), [true, false, false, true])
}

/// The arguments are a descriptor, an address and a count.
fn three_of_write() -> Outcome {
    let fd = memory()?;
    let text = b"abcdefgh";
    // SAFETY: five bytes inside the array.
    let result =
        unsafe { raw::syscall3(nr::write, number(fd.as_fd()), &raw const text[2] as usize, 5) };
    same(check(result), Ok(5))?;
    let mut back = [0; 8];
    same(syscall::pread(fd.as_fd(), &mut back, 0)?, 5)?;
    same(&back, b"cdefg\0\0\0")
}

/// The flags create a file, or reject an existing one. The mode differs from all other arguments.
fn four_of_openat() -> Outcome {
    let name = Name::new(c"conformance mode");
    let flags = (OFlags::RDWR | OFlags::CREATE | OFlags::EXCL).bits() as usize;
    let mode = (Mode::RUSR | Mode::XUSR).bits() as usize;
    let path = name.0.as_ptr() as usize;
    // SAFETY: the path is a C string, and the descriptor nobody else's.
    let open = || check(unsafe { raw::syscall4(nr::openat, cwd(), path, flags, mode) });
    let fd = open()?;
    // SAFETY: as above.
    same(check(unsafe { raw::syscall1(nr::close, fd) }), Ok(0))?;
    fails(open(), Errno::EEXIST)?;
    let stat = syscall::statx(CWD, name.0, AtFlags::empty())?;
    same(stat.permissions(), Mode::RUSR | Mode::XUSR)
}

/// The third argument is the new limit, and the fourth receives the old one.
fn four_of_prlimit64() -> Outcome {
    let before = syscall::prlimit(0, Resource::CORE, None)?;
    let new = [before.current.min(1), before.maximum];
    let mut old = [7u64; 2];
    let (core, new_at, old_at) =
        (Resource::CORE.0 as usize, &raw const new as usize, &raw mut old as usize);
    // SAFETY: both are the kernel's structure, two words of 64 bits.
    same(check(unsafe { raw::syscall4(nr::prlimit64, 0, core, new_at, old_at) }), Ok(0))?;
    let after = syscall::prlimit(0, Resource::CORE, Some(before))?;
    same(old, [before.current, before.maximum])?;
    same([after.current, after.maximum], new)
}

#[cfg(target_pointer_width = "64")]
fn four_of_pread64() -> Outcome {
    let fd = memory()?;
    syscall::write(fd.as_fd(), b"abcdefgh")?;
    let mut back = [b'-'; 8];
    // SAFETY: three bytes inside the array.
    let result =
        unsafe { raw::syscall4(nr::pread64, number(fd.as_fd()), &raw mut back[1] as usize, 3, 4) };
    same(check(result), Ok(3))?;
    same(&back, b"-efg----")
}

/// Moves two pages to a fixed address, where they become three.
fn five() -> Outcome {
    let room = Pages::reserve(6)?;
    let old = Pages::zeros(3)?;
    old.set(0, 1);
    old.set(page(), 2);
    old.set(2 * page(), 3);
    let flags = (MremapFlags::MAYMOVE | MremapFlags::FIXED).bits() as usize;
    let to = room.page(1);
    // SAFETY: both places are this function's own.
    let result = unsafe {
        raw::syscall5(nr::mremap, old.addr as usize, 2 * page(), 3 * page(), flags, to as usize)
    };
    same(check(result), Ok(to as usize))?;
    same([1, 2, 3].map(|n| room.get(n * page())), [1, 2, 0])?;
    same(
        [0, 1, 2, 3, 4, 5].map(|n| readable(room.page(n))),
        [false, true, true, true, false, false],
    )?;
    same([0, 1, 2].map(|n| readable(old.page(n))), [false, false, true])?;
    same(old.get(2 * page()), 3)
}

/// Calls `mmap` in the architecture's own way to pass its six arguments.
fn six_of_mmap() -> Outcome {
    let room = Pages::reserve(6)?;
    let fd = numbered(4)?;
    let (flags, offset) = (MapFlags::SHARED | MapFlags::FIXED, page() as u64);
    // SAFETY: the room is this function's own.
    let at = unsafe {
        let fd = Some(fd.as_fd());
        syscall::mmap(room.page(2), 2 * page(), ProtFlags::READ, flags, fd, offset)?
    };
    same(at, room.page(2))?; // the address
    same(
        [0, 1, 2, 3, 4, 5].map(|n| readable(room.page(n))),
        [
            false, false, true, true, false, false, // the length
        ],
    )?;
    ensure(!writable(room.page(2)), "a writable mapping")?; // the protection
    same([2, 3].map(|n| room.get(n * page())), [2, 3])?; // the offset
    syscall::pwrite(fd.as_fd(), &[9], offset)?;
    same(room.get(2 * page()), 9) // the flags: shared, and the descriptor
}

/// Calls `mmap` with the raw call of the architecture.
#[cfg(not(target_arch = "s390x"))] // where it takes one argument
fn six_of_raw_mmap() -> Outcome {
    #[cfg(target_pointer_width = "64")]
    let (call, unit) = (nr::mmap, 1);
    #[cfg(target_pointer_width = "32")]
    let (call, unit) = (nr::mmap2, 4096);

    let room = Pages::reserve(3)?;
    let fd = numbered(4)?;
    let prot = ProtFlags::READ.bits() as usize;
    let flags = (MapFlags::PRIVATE | MapFlags::FIXED).bits() as usize;
    let (at, fd, offset) = (room.page(1) as usize, number(fd.as_fd()), 2 * page() / unit);
    // SAFETY: the room is this function's own.
    let result = unsafe { raw::syscall6(call, at, page(), prot, flags, fd, offset) };
    same(check(result), Ok(at))?;
    same(room.get(page()), 3)?;
    same([0, 1, 2].map(|n| readable(room.page(n))), [false, true, false])?;
    ensure(!writable(room.page(1)), "a writable mapping")
}

/// The arguments are two descriptors, two offsets, a length, and flags that must be zero.
fn six_of_copy_file_range() -> Outcome {
    let (from, to) = (memory()?, memory()?);
    syscall::write(from.as_fd(), b"0123456789abcdef")?;
    let (mut from_at, mut to_at) = (3u64, 5u64);
    let mut copy = |length, flags| {
        let (a, b) = (number(from.as_fd()), &raw mut from_at as usize);
        let (c, d) = (number(to.as_fd()), &raw mut to_at as usize);
        // SAFETY: the offsets are 64-bit numbers that the kernel may change.
        check(unsafe { raw::syscall6(__NR_copy_file_range as usize, a, b, c, d, length, flags) })
    };
    same(copy(7, 0), Ok(7))?;
    fails(copy(7, 1), Errno::EINVAL)?;
    same((from_at, to_at), (10, 12))?;
    let mut back = [0; 16];
    same(syscall::pread(to.as_fd(), &mut back, 0)?, 12)?;
    same(&back, b"\0\0\0\0\x003456789\0\0\0\0")
}

pub const CASES: &[Case] = &[
    case!("none: getpid and gettid", none),
    case!("one: close", one),
    case!("two: munmap", two),
    case!("three: mprotect", three),
    case!("three: write", three_of_write),
    case!("four: openat", four_of_openat),
    case!("four: prlimit64", four_of_prlimit64),
    #[cfg(target_pointer_width = "64")]
    case!("four: pread64", four_of_pread64),
    case!("five: mremap", five),
    case!("six: mmap", six_of_mmap),
    #[cfg(not(target_arch = "s390x"))]
    case!("six: mmap, raw", six_of_raw_mmap),
    case!("six: copy_file_range", six_of_copy_file_range),
];
