//! Reading and creating directories, links and special files, and attributes by name.

use super::*;
use baremap::syscall::{FileType, ResolveFlags, Timespec, Whence};

/// A directory of this name, removed with its files when the value is dropped.
struct Directory(OwnedFd);

const NAME: &CStr = c"conformance directory";

/// The names that a case may create in the directory.
const INSIDE: [&CStr; 4] = [c"a", c"longer name of a file", c"link", c"sub"];

impl Directory {
    fn new() -> syscall::Result<Directory> {
        syscall::mkdirat(CWD, NAME, Mode::RWXU)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        syscall::openat(CWD, NAME, flags, Mode::empty()).map(Directory)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn stat(&self, name: &CStr) -> syscall::Result<syscall::Stat> {
        syscall::fstatat(self.fd(), name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        for name in INSIDE {
            let _ = syscall::unlinkat(self.fd(), name, AtFlags::empty());
            let _ = syscall::unlinkat(self.fd(), name, AtFlags::REMOVEDIR);
        }
        let _ = syscall::unlinkat(CWD, NAME, AtFlags::REMOVEDIR);
    }
}

/// Every name is read once, with its type and its inode number, by one call or by many.
fn names() -> Outcome {
    let dir = Directory::new()?;
    syscall::mkdirat(dir.fd(), c"sub", Mode::RWXU)?;
    syscall::symlinkat(c"anywhere", dir.fd(), c"link")?;
    let fifo = Mode::from_bits_retain(linux_raw_sys::general::S_IFIFO) | Mode::RUSR;
    syscall::mknodat(dir.fd(), c"a", fifo, 0)?;
    let flags = OFlags::WRONLY | OFlags::CREATE;
    syscall::openat(dir.fd(), c"longer name of a file", flags, Mode::RUSR)?;
    let types = [FileType::Fifo, FileType::Regular, FileType::Symlink, FileType::Directory];
    for room in [64, 128, 4000] {
        syscall::lseek(dir.fd(), 0, Whence::SET)?;
        let mut found = [0; 4];
        let mut buffer = [0xff; 4096];
        loop {
            let buffer = buffer.get_mut(3..3 + room).unwrap_or_default();
            let entries = syscall::getdents64(dir.fd(), buffer)?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                let Some(at) = INSIDE.iter().position(|&name| name == entry.name) else {
                    ensure(entry.name == c"." || entry.name == c"..", "another name")?;
                    continue;
                };
                found[at] += 1;
                same(entry.ino, dir.stat(entry.name)?.ino)?;
                if entry.file_type != FileType::Unknown {
                    same(entry.file_type, types[at])?;
                }
            }
        }
        same(found, [1; 4])?;
    }
    let mut buffer = [0; 64];
    syscall::lseek(dir.fd(), 0, Whence::SET)?;
    fails(syscall::getdents64(dir.fd(), &mut buffer[..8]), Errno::EINVAL)?;
    fails(syscall::getdents64(file()?.as_fd(), &mut buffer), Errno::ENOTDIR)
}

/// The position after an entry leads to the next one.
fn positions() -> Outcome {
    let dir = Directory::new()?;
    for name in INSIDE {
        syscall::mkdirat(dir.fd(), name, Mode::RWXU)?;
    }
    let mut buffer = [0; 1024];
    let mut again = [0; 1024];
    let mut entries = syscall::getdents64(dir.fd(), &mut buffer)?;
    while let Some(entry) = entries.next() {
        syscall::lseek(dir.fd(), entry.offset, Whence::SET)?;
        let next = syscall::getdents64(dir.fd(), &mut again)?.next();
        same(next.map(|next| next.ino), entries.clone().next().map(|next| next.ino))?;
    }
    Ok(())
}

/// The permissions are those that were asked for, less the umask; the target is the same bytes.
fn creation() -> Outcome {
    let dir = Directory::new()?;
    syscall::mkdirat(dir.fd(), c"sub", Mode::RWXU)?;
    let stat = dir.stat(c"sub")?;
    same(stat.file_type(), FileType::Directory)?;
    same(stat.permissions() & (Mode::RWXG | Mode::RWXO), Mode::empty())?;
    fails(syscall::mkdirat(dir.fd(), c"sub", Mode::RWXU), Errno::EEXIST)?;
    fails(syscall::mkdirat(dir.fd(), c"none/sub", Mode::RWXU), Errno::ENOENT)?;
    syscall::symlinkat(c"some/\xfftarget", dir.fd(), c"link")?;
    let mut target = [0; 20];
    let count = syscall::readlinkat(dir.fd(), c"link", &mut target)?;
    ensure(target.get(..count) == Some(b"some/\xfftarget"), "another target")?;
    fails(syscall::symlinkat(c"x", dir.fd(), c"link"), Errno::EEXIST)?;
    // A device with numbers in all bytes, for those who may create it.
    let device = Mode::from_bits_retain(linux_raw_sys::general::S_IFCHR) | Mode::RUSR;
    match syscall::mknodat(dir.fd(), c"a", device, 0x1234_5678) {
        Err(Errno::EPERM) => {}
        result => {
            result?;
            same(dir.stat(c"a")?.rdev, 0x1234_5678)?;
            same(dir.stat(c"a")?.file_type(), FileType::CharacterDevice)?;
        }
    }
    Ok(())
}

fn restricted_paths() -> Outcome {
    let dir = Directory::new()?;
    syscall::mkdirat(dir.fd(), c"sub", Mode::RWXU)?;
    syscall::symlinkat(c"sub", dir.fd(), c"link")?;
    let open =
        |path, resolve| syscall::openat2(dir.fd(), path, OFlags::RDONLY, Mode::empty(), resolve);
    let sub = open(c"sub", ResolveFlags::BENEATH)?;
    same(syscall::fstat(sub.as_fd())?.ino, dir.stat(c"sub")?.ino)?;
    open(c"link", ResolveFlags::BENEATH)?;
    fails(open(c"link", ResolveFlags::NO_SYMLINKS), Errno::ELOOP)?;
    fails(open(c"..", ResolveFlags::BENEATH), Errno::EXDEV)?;
    fails(open(c"none", ResolveFlags::BENEATH), Errno::ENOENT)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let (mode, beneath) = (Mode::RUSR | Mode::WUSR, ResolveFlags::BENEATH);
    let new = syscall::openat2(dir.fd(), c"a", flags, mode, beneath)?;
    same(syscall::fstat(new.as_fd())?.permissions(), mode)
}

/// Times with 64-bit seconds, of a link itself and of a path descriptor.
fn times() -> Outcome {
    let dir = Directory::new()?;
    syscall::symlinkat(c"nowhere", dir.fd(), c"link")?;
    let (accessed, modified) =
        (Timespec { sec: 5, nsec: 0 }, Timespec { sec: 0x7000_0001, nsec: 0 });
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    syscall::utimensat(dir.fd(), c"link", accessed, modified, nofollow)?;
    let stat = dir.stat(c"link")?;
    same((stat.atime, stat.mtime), (accessed, modified))?;
    let none = syscall::utimensat(dir.fd(), c"link", accessed, modified, AtFlags::empty());
    fails(none, Errno::ENOENT)
}

fn modes_and_owners() -> Outcome {
    let dir = Directory::new()?;
    syscall::mkdirat(dir.fd(), c"sub", Mode::RWXU)?;
    syscall::symlinkat(c"sub", dir.fd(), c"link")?;
    let mode = Mode::RWXU | Mode::RGRP | Mode::XOTH;
    syscall::fchmodat(dir.fd(), c"link", mode)?;
    same(dir.stat(c"sub")?.permissions(), mode)?;
    fails(syscall::fchmodat(dir.fd(), c"none", mode), Errno::ENOENT)?;
    let own = dir.stat(c"link")?;
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    syscall::fchownat(dir.fd(), c"link", Some(own.uid), None, nofollow)?;
    syscall::fchownat(dir.fd(), c"link", None, Some(own.gid), nofollow)?;
    if own.uid == 0 {
        match syscall::fchownat(dir.fd(), c"link", Some(0x1_0002), Some(0x3_0004), nofollow) {
            // The user namespace has no such numbers, or the process lacks the capability.
            Err(Errno::EINVAL | Errno::EPERM) => {}
            result => {
                result?;
                let stat = dir.stat(c"link")?;
                same((stat.uid, stat.gid), (0x1_0002, 0x3_0004))?;
                same(dir.stat(c"sub")?.uid, 0)?;
            }
        }
    }
    Ok(())
}

fn modes_by_the_newer_call() -> Outcome {
    let dir = Directory::new()?;
    syscall::mkdirat(dir.fd(), c"sub", Mode::RWXU)?;
    syscall::symlinkat(c"sub", dir.fd(), c"link")?;
    let mode = Mode::RWXU | Mode::RGRP | Mode::XOTH;
    let set = |name, flags| syscall::fchmodat2(dir.fd(), name, mode, flags);
    if linux()? < (6, 6) {
        return fails(set(c"sub", AtFlags::empty()), Errno::ENOSYS);
    }
    set(c"sub", AtFlags::SYMLINK_NOFOLLOW)?;
    same(dir.stat(c"sub")?.permissions(), mode)?;
    set(c"link", AtFlags::empty())?;
    fails(set(c"link", AtFlags::SYMLINK_NOFOLLOW), Errno::EOPNOTSUPP)
}

pub const CASES: &[Case] = &[
    case!("getdents64 reads every name once", names),
    case!("a position in a directory", positions),
    case!("mkdirat, symlinkat, mknodat", creation),
    case!("openat2 restricts the path", restricted_paths, qemu_user: "it has no openat2"),
    case!("utimensat of a link", times),
    case!("fchmodat and fchownat", modes_and_owners),
    case!("fchmodat2", modes_by_the_newer_call, qemu_user: "it has no fchmodat2"),
];
