//! Directory entries, reading and writing.

use super::*;
use baremap::fd::AsRawFd;
use baremap::syscall::{RenameFlags, SyncFileRangeFlags, Timespec};
use linux_raw_sys::{
    general::{F_GETFD, FD_CLOEXEC, POLLNVAL, pollfd},
    ioctl::FIONREAD,
};

fn create(name: &Name) -> syscall::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    syscall::open(name.0, flags, Mode::RUSR | Mode::WUSR)
}

fn open_flags() -> Outcome {
    let name = Name::new(c"conformance \xf0\x9f\x97\xba flags");
    fails(syscall::open(name.0, OFlags::RDONLY, Mode::empty()), Errno::ENOENT)?;
    syscall::write(create(&name)?.as_fd(), b"old")?;
    fails(create(&name), Errno::EEXIST)?;
    let open = |flags| syscall::open(name.0, flags, Mode::empty());
    fails(open(OFlags::RDONLY | OFlags::DIRECTORY), Errno::ENOTDIR)?;
    fails(syscall::open(c".", OFlags::WRONLY, Mode::empty()), Errno::EISDIR)?;
    syscall::open(c".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    fails(syscall::write(open(OFlags::RDONLY)?.as_fd(), b"x"), Errno::EBADF)?;
    fails(syscall::read(open(OFlags::WRONLY)?.as_fd(), &mut [0]), Errno::EBADF)?;
    syscall::write(open(OFlags::WRONLY | OFlags::APPEND)?.as_fd(), b" new")?;
    let size = |fd: OwnedFd| syscall::fstat(fd.as_fd()).map(|stat| stat.size);
    same(size(open(OFlags::RDONLY)?)?, 7)?;
    same(size(open(OFlags::WRONLY | OFlags::TRUNC)?)?, 0)
}

fn cloexec() -> Outcome {
    let flag = |fd: &OwnedFd| {
        // SAFETY: the command takes no argument.
        unsafe { syscall::fcntl(fd.as_fd(), F_GETFD, 0) }
    };
    let plain = syscall::open(c".", OFlags::RDONLY, Mode::empty())?;
    let closing = syscall::open(c".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    same(flag(&plain)?, 0)?;
    same(flag(&closing)?, FD_CLOEXEC as usize)
}

fn read_and_write() -> Outcome {
    let fd = file()?;
    same(syscall::write(fd.as_fd(), b"0123456789")?, 10)?;
    same(syscall::pwrite(fd.as_fd(), b"ab", 3)?, 2)?;
    let mut buf = [b'-'; 8];
    same(syscall::pread(fd.as_fd(), &mut buf[..6], 2)?, 6)?;
    same(&buf, b"2ab567--")?;
    same(syscall::read(fd.as_fd(), &mut buf)?, 0) // the position is still the end
}

/// Adds a second name to a file, and removes one.
fn link_and_unlink() -> Outcome {
    let (old, new) = (Name::new(c"conformance: old"), Name::new(c"conformance: new"));
    let fd = create(&old)?;
    syscall::linkat(CWD, old.0, CWD, new.0, AtFlags::empty())?;
    same(syscall::fstat(fd.as_fd())?.nlink, 2)?;
    syscall::unlinkat(CWD, old.0, AtFlags::empty())?;
    same((old.exists(), new.exists()), (false, true))?;
    same(syscall::fstat(fd.as_fd())?.nlink, 1)?;
    fails(syscall::unlinkat(CWD, old.0, AtFlags::empty()), Errno::ENOENT)?;
    let file = syscall::unlinkat(CWD, new.0, AtFlags::REMOVEDIR);
    fails(file, Errno::ENOTDIR)
}

fn rename() -> Outcome {
    let (old, new) = (Name::new(c"conformance -from"), Name::new(c"conformance -to"));
    let ino = |name: &Name| syscall::statx(CWD, name.0, AtFlags::empty()).map(|s| s.ino);
    create(&old)?;
    let rename = |flags| syscall::renameat2(CWD, old.0, CWD, new.0, flags);
    let first = ino(&old)?;
    rename(RenameFlags::NOREPLACE)?;
    same((old.exists(), ino(&new)?), (false, first))?;
    create(&old)?;
    fails(rename(RenameFlags::NOREPLACE), Errno::EEXIST)?;
    let second = ino(&old)?;
    rename(RenameFlags::empty())?;
    same((old.exists(), ino(&new)?), (false, second))
}

fn read_link() -> Outcome {
    let mut path = [0; 256];
    match syscall::readlinkat(CWD, c"/proc/self/cwd", &mut path) {
        Err(Errno::ENOENT) => return Err(Trouble::Missing("/proc")),
        result => {
            let length = result?;
            same(path[0], b'/')?;
            same(syscall::readlinkat(CWD, c"/proc/self/cwd", &mut path[..1])?, 1)?;
            ensure(length < path.len() && path[length] == 0, "a path that does not end")?;
        }
    }
    fails(syscall::readlinkat(CWD, c".", &mut path), Errno::EINVAL)
}

fn access() -> Outcome {
    let name = Name::new(c"conformance #access");
    fails(syscall::faccessat(CWD, name.0, Access::empty()), Errno::ENOENT)?;
    create(&name)?;
    syscall::faccessat(CWD, name.0, Access::READ | Access::WRITE)?;
    fails(syscall::faccessat(CWD, name.0, Access::EXEC), Errno::EACCES)
}

/// The kernel writes the number of readable bytes through the third argument.
fn ioctl() -> Outcome {
    let fd = file()?;
    syscall::write(fd.as_fd(), b"0123456789")?;
    syscall::lseek(fd.as_fd(), 3, syscall::Whence::SET)?;
    let mut left = -1i32;
    // SAFETY: the request takes a pointer to a C `int`.
    unsafe { syscall::ioctl(fd.as_fd(), FIONREAD, &raw mut left as usize)? };
    same(left, 7)
}

fn poll() -> Outcome {
    let (open, closed) = (memory()?, memory()?);
    let fds = [open.as_raw_fd(), closed.as_raw_fd(), 1_000_000, 0];
    syscall::close(closed)?;
    let mut polls = fds.map(|fd| pollfd { fd, events: 0, revents: 0 });
    let (at, now) = (polls.as_mut_ptr() as usize, Timespec::default());
    let now = &raw const now as usize;
    // SAFETY: the kernel fills in the array, and is given neither time nor mask.
    same(check(unsafe { raw::syscall5(nr::ppoll, at, fds.len(), now, 0, 0) }), Ok(2))?;
    same(polls.map(|poll| poll.revents as u32), [0, POLLNVAL, POLLNVAL, 0])
}

fn sync() -> Outcome {
    let fd = file()?;
    syscall::write(fd.as_fd(), b"x")?;
    syscall::fsync(fd.as_fd())?;
    syscall::fdatasync(fd.as_fd())?;
    // The effect depends on the file system, so tests/conformance.rs checks the arguments with
    // strace.
    let (offset, length) = (0x1_2345_6000, 0x2_0000_1000);
    match syscall::sync_file_range(fd.as_fd(), offset, length, SyncFileRangeFlags::WRITE) {
        // On 32-bit mips, the call has seven arguments and is not made.
        Err(Errno::ENOSYS) if cfg!(target_arch = "mips") => Ok(()),
        result => Ok(result?),
    }
}

pub const CASES: &[Case] = &[
    case!("the flags of open", open_flags),
    case!("O_CLOEXEC", cloexec),
    case!("read, write, pread and pwrite", read_and_write),
    case!("linkat and unlinkat", link_and_unlink),
    case!("renameat2, and not over a file", rename),
    case!("readlinkat", read_link),
    case!("faccessat", access),
    case!("ioctl FIONREAD", ioctl),
    case!("ppoll finds closed descriptors", poll),
    case!("fsync, fdatasync and sync_file_range", sync),
];
