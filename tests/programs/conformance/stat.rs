//! The metadata of files, by both calls.

use super::*;
use baremap::syscall::{ClockId, FileType, Stat, Timespec, clock_gettime};

/// Checks that all calls report the same metadata, by descriptor and by name. Fractions of seconds
/// are not compared.
#[track_caller]
fn both(name: &CStr, fd: &OwnedFd) -> Result<Stat, Trouble> {
    let stat = syscall::fstat(fd.as_fd())?;
    let by_name = syscall::statx(CWD, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let by_fd = syscall::statx(fd.as_fd(), c"", AtFlags::EMPTY_PATH)?;
    let seconds = |time| Timespec { nsec: 0, ..time };
    let whole = |mut stat: Stat| {
        for time in [&mut stat.atime, &mut stat.mtime, &mut stat.ctime] {
            *time = seconds(*time);
        }
        stat
    };
    ensure(whole(stat) == whole(by_name), "another answer by statx with a name")?;
    ensure(whole(stat) == whole(by_fd), "another answer by statx with a descriptor")?;
    let by_name = syscall::fstatat(CWD, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let by_fd = syscall::fstatat(fd.as_fd(), c"", AtFlags::EMPTY_PATH)?;
    ensure(whole(stat) == whole(by_name), "another answer by fstatat with a name")?;
    ensure(whole(stat) == whole(by_fd), "another answer by fstatat with a descriptor")?;
    Ok(stat)
}

fn regular_file() -> Outcome {
    let name = Name::new(c"conformance stat");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let before = clock_gettime(ClockId::Realtime)?;
    let fd = syscall::open(name.0, flags, Mode::RUSR | Mode::WUSR)?;
    syscall::fchmod(fd.as_fd(), Mode::RWXU | Mode::RGRP | Mode::XOTH)?;
    syscall::ftruncate(fd.as_fd(), 0x3_8000_0001)?;
    let stat = both(name.0, &fd)?;
    same(stat.file_type(), FileType::Regular)?;
    same(stat.permissions(), Mode::RWXU | Mode::RGRP | Mode::XOTH)?;
    same(stat.size, 0x3_8000_0001)?;
    same((stat.nlink, stat.rdev), (1, 0))?;
    ensure(stat.blocks < 1024, "space taken by a hole")?;
    ensure(stat.blksize >= 512 && stat.blksize <= 1 << 30, "a strange block size")?;
    ensure(stat.ino != 0, "inode 0")?;
    // The clock of a file system may be one tick behind.
    let after = clock_gettime(ClockId::Realtime)?;
    for time in [stat.atime, stat.mtime, stat.ctime] {
        ensure((before.sec - 2..=after.sec).contains(&time.sec), "another time")?;
        ensure((0..1_000_000_000).contains(&time.nsec), "nanoseconds out of range")?;
    }
    ensure(stat.mtime <= stat.ctime, "a change after the last change")
}

fn nanoseconds() -> Outcome {
    let fd = file()?;
    // Repeats until the time is not a whole second. Some file systems keep no fractions.
    for _ in 0..3 {
        syscall::pwrite(fd.as_fd(), b"x", 0)?;
        let stat = syscall::fstat(fd.as_fd())?;
        let other = syscall::statx(fd.as_fd(), c"", AtFlags::EMPTY_PATH)?;
        same([stat.atime, stat.mtime, stat.ctime], [other.atime, other.mtime, other.ctime])?;
        if stat.mtime.nsec != 0 {
            return Ok(());
        }
        syscall::nanosleep(Timespec { sec: 0, nsec: 20_000_000 })?;
    }
    Err(Trouble::Missing("parts of a second here"))
}

fn directory() -> Outcome {
    let fd = syscall::open(c".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let stat = both(c".", &fd)?;
    same(stat.file_type(), FileType::Directory)?;
    ensure(stat.permissions().contains(Mode::WUSR), "a directory that is not writable")
}

/// The device has the numbers 1 and 3.
fn device() -> Outcome {
    let fd = match syscall::open(c"/dev/null", OFlags::RDONLY, Mode::empty()) {
        Err(Errno::ENOENT) => return Err(Trouble::Missing("/dev/null")),
        result => result?,
    };
    let stat = both(c"/dev/null", &fd)?;
    same(stat.file_type(), FileType::CharacterDevice)?;
    same(stat.rdev, 1 << 8 | 3)?;
    same(stat.size, 0)
}

/// The creator owns the file, and two files have different numbers.
fn owner_and_identity() -> Outcome {
    let (one, other) = (file()?, file()?);
    let (one, other) = (syscall::fstat(one.as_fd())?, syscall::fstat(other.as_fd())?);
    ensure(one.is_same_file(&one) && !one.is_same_file(&other), "one file for two")?;
    same(one.uid, other.uid)?;
    same(one.nlink, 0)
}

/// Sets owner and group, in this order, to their present values.
fn change_owner() -> Outcome {
    let fd = file()?;
    let stat = syscall::fstat(fd.as_fd())?;
    syscall::fchown(fd.as_fd(), Some(stat.uid), None)?;
    syscall::fchown(fd.as_fd(), None, Some(stat.gid))?;
    if stat.uid == 0 {
        // Different numbers of more than 16 bits.
        match syscall::fchown(fd.as_fd(), Some(0x1_0002), Some(0x3_0004)) {
            // The user namespace has no such numbers, or the process lacks the capability.
            Err(Errno::EINVAL | Errno::EPERM) => {}
            result => {
                result?;
                let stat = syscall::fstat(fd.as_fd())?;
                same((stat.uid, stat.gid), (0x1_0002, 0x3_0004))?;
            }
        }
    }
    Ok(())
}

fn errors() -> Outcome {
    // SAFETY: used for nothing but to be refused.
    let bad = unsafe { BorrowedFd::borrow_raw(1_000_000) };
    fails(syscall::fstat(bad), Errno::EBADF)?;
    fails(syscall::statx(bad, c"", AtFlags::EMPTY_PATH), Errno::EBADF)?;
    fails(syscall::statx(CWD, c"", AtFlags::empty()), Errno::ENOENT)?;
    fails(syscall::statx(CWD, c"conformance/none", AtFlags::empty()), Errno::ENOENT)
}

pub const CASES: &[Case] = &[
    case!("fstat and statx agree on a regular file", regular_file),
    case!("fstat and statx agree on a directory", directory),
    case!("fstat and statx agree on a device", device),
    case!(
        "fstat and statx agree on nanoseconds",
        nanoseconds,
        qemu_user: "its fstat has none",
        if cfg!(target_arch = "s390x")
    ),
    case!("owner and identity", owner_and_identity),
    case!("fchown, with more than 16 bits", change_owner),
    case!("no file: EBADF and ENOENT", errors),
];
