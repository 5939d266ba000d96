//! Calls on descriptors and on paths that the kernel refuses.
//!
//! SAFETY of all calls here: the kernel refuses them.

use super::*;

#[test]
fn calls_on_descriptors_refuse_what_the_kernel_refuses() {
    let files = Files::new("descriptors");
    let [read, write, both, path, dir] = [
        number(&files.read),
        number(&files.write),
        number(&files.both),
        number(&files.path),
        files.dir(),
    ];
    let (reader, writer) = (number(&files.pipe.0), number(&files.pipe.1));
    let (null, full) = (number(&files.null), number(&files.full));
    let sealed = rustix::fs::memfd_create("sealed", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&sealed, 8).unwrap();
    let seals = rustix::fs::SealFlags::WRITE | rustix::fs::SealFlags::SHRINK;
    rustix::fs::fcntl_add_seals(&sealed, seals).unwrap();
    let sealed = rustix::fd::AsRawFd::as_raw_fd(&sealed);
    let high = 1_u64 << 63;
    let mut buffer = [0_u8; 8];
    let buffer = buffer.as_mut_ptr();

    refused(
        "read",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, buffer)),
            ("write-only", Errno::EBADF, (write, buffer)),
            ("path only", Errno::EBADF, (path, buffer)),
            ("directory", Errno::EISDIR, (dir, buffer)),
            ("empty pipe", Errno::EAGAIN, (reader, buffer)),
            ("bad address", Errno::EFAULT, (read, NOWHERE)),
        ],
        |(fd, to)| unsafe { syscall::read_raw(lend(fd), to, 8) },
        |(fd, to)| unsafe { sc::syscall!(READ, fd, to, 8) },
    );
    assert_eq!(syscall::read(lend(write), &mut [0; 8]), Err(Errno::EBADF));

    refused(
        "write",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, buffer)),
            ("read-only", Errno::EBADF, (read, buffer)),
            ("path only", Errno::EBADF, (path, buffer)),
            ("full device", Errno::ENOSPC, (full, buffer)),
            ("sealed", Errno::EPERM, (sealed, buffer)),
            ("bad address", Errno::EFAULT, (both, NOWHERE)),
        ],
        |(fd, from)| unsafe { syscall::write_raw(lend(fd), from, 8) },
        |(fd, from)| unsafe { sc::syscall!(WRITE, fd, from, 8) },
    );
    assert_eq!(syscall::write(lend(full), &[0; 8]), Err(Errno::ENOSPC));

    refused(
        "pread",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, 0)),
            ("write-only", Errno::EBADF, (write, 0)),
            ("pipe", Errno::ESPIPE, (reader, 0)),
            ("directory", Errno::EISDIR, (dir, 0)),
            ("offset 2^63", Errno::EINVAL, (read, high)),
            ("offset -1", Errno::EINVAL, (read, u64::MAX)),
        ],
        |(fd, offset)| syscall::pread(lend(fd), &mut [0; 8], offset),
        |(fd, offset)| unsafe { sc::syscall!(PREAD64, fd, buffer, 8, offset) },
    );

    refused(
        "pwrite",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, buffer, 0)),
            ("read-only", Errno::EBADF, (read, buffer, 0)),
            ("pipe", Errno::ESPIPE, (writer, buffer, 0)),
            ("full device", Errno::ENOSPC, (full, buffer, 0)),
            ("offset 2^63", Errno::EINVAL, (both, buffer, high)),
            ("bad address", Errno::EFAULT, (both, NOWHERE, 0)),
        ],
        |(fd, from, offset)| unsafe { syscall::pwrite_raw(lend(fd), from, 8, offset) },
        |(fd, from, offset)| unsafe { sc::syscall!(PWRITE64, fd, from, 8, offset) },
    );
    assert_eq!(syscall::pwrite(lend(full), &[0; 8], 0), Err(Errno::ENOSPC));

    refused(
        "lseek",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, 0, Whence::SET)),
            ("pipe", Errno::ESPIPE, (reader, 0, Whence::SET)),
            ("path only", Errno::EBADF, (path, 0, Whence::SET)),
            ("unknown", Errno::EINVAL, (read, 0, Whence(99))),
            ("before the start", Errno::EINVAL, (read, -1, Whence::SET)),
            ("far before the end", Errno::EINVAL, (read, -11, Whence::END)),
            ("data beyond the end", Errno::ENXIO, (read, 10, Whence::DATA)),
            ("hole beyond the end", Errno::ENXIO, (read, 11, Whence::HOLE)),
            ("data before the start", Errno::ENXIO, (read, -1, Whence::DATA)),
        ],
        |(fd, offset, whence)| syscall::lseek(lend(fd), offset, whence),
        |(fd, offset, whence)| unsafe { sc::syscall!(LSEEK, fd, offset, whence.0) },
    );

    refused(
        "ftruncate",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, 0)),
            ("read-only", Errno::EINVAL, (read, 0)),
            ("directory", Errno::EINVAL, (dir, 0)),
            ("pipe", Errno::EINVAL, (writer, 0)),
            ("device", Errno::EINVAL, (null, 0)),
            ("length 2^63", Errno::EINVAL, (both, high)),
            ("sealed", Errno::EPERM, (sealed, 7)),
        ],
        |(fd, length)| syscall::ftruncate(lend(fd), length),
        |(fd, length)| unsafe { sc::syscall!(FTRUNCATE, fd, length) },
    );

    let (top, hole) = (i64::MAX as u64, kernel::FALLOC_FL_PUNCH_HOLE);
    refused(
        "fallocate",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, 0, 0, 1)),
            ("read-only", Errno::EBADF, (read, 0, 0, 1)),
            ("pipe", Errno::ESPIPE, (writer, 0, 0, 1)),
            ("device", Errno::ENODEV, (null, 0, 0, 1)),
            ("length 0", Errno::EINVAL, (both, 0, 0, 0)),
            ("length 2^63", Errno::EINVAL, (both, 0, 0, high)),
            ("offset 2^63", Errno::EINVAL, (both, 0, high, 1)),
            ("the end overflows", Errno::EFBIG, (both, 0, top, top)),
            ("unknown", Errno::EOPNOTSUPP, (both, 1 << 16, 0, 1)),
            ("a hole at the end", Errno::EOPNOTSUPP, (both, hole, 0, 1)),
        ],
        |(fd, flags, offset, length)| {
            let flags = FallocateFlags::from_bits_retain(flags);
            syscall::fallocate(lend(fd), flags, offset, length)
        },
        |(fd, flags, offset, length)| unsafe { sc::syscall!(FALLOCATE, fd, flags, offset, length) },
    );

    let mut stat = [0_u64; 32];
    let stat = stat.as_mut_ptr();
    let bad = &[("bad descriptor", Errno::EBADF, BAD)];
    refused(
        "fstat",
        bad,
        |fd| syscall::fstat(lend(fd)),
        |fd| unsafe { sc::syscall!(FSTAT, fd, stat) },
    );
    let bad_or_pipe = &[bad[0], ("pipe", Errno::EINVAL, writer)];
    refused(
        "fsync",
        bad_or_pipe,
        |fd| syscall::fsync(lend(fd)),
        |fd| unsafe { sc::syscall!(FSYNC, fd) },
    );
    refused(
        "fdatasync",
        bad_or_pipe,
        |fd| syscall::fdatasync(lend(fd)),
        |fd| unsafe { sc::syscall!(FDATASYNC, fd) },
    );
    let bad_or_path = &[bad[0], ("path only", Errno::EBADF, path)];
    refused(
        "fchmod",
        bad_or_path,
        |fd| syscall::fchmod(lend(fd), Mode::RUSR),
        |fd| unsafe { sc::syscall!(FCHMOD, fd, kernel::S_IRUSR) },
    );
    refused(
        "fchown",
        bad_or_path,
        |fd| syscall::fchown(lend(fd), None, None),
        |fd| unsafe { sc::syscall!(FCHOWN, fd, -1_i32, -1_i32) },
    );
    refused(
        "close",
        bad,
        |fd| syscall::close(unsafe { OwnedFd::from_raw_fd(fd) }),
        |fd| unsafe { sc::syscall!(CLOSE, fd) },
    );

    refused(
        "fcntl",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, kernel::F_GETFD, 0)),
            ("unknown", Errno::EINVAL, (read, 9999, 0)),
            ("no such number", Errno::EINVAL, (read, kernel::F_DUPFD, BAD as usize)),
            ("bad address", Errno::EFAULT, (read, kernel::F_GETLK, NOWHERE as usize)),
            ("seals elsewhere", Errno::EINVAL, (both, kernel::F_GET_SEALS, 0)),
            ("sealed seals", Errno::EPERM, (read, kernel::F_ADD_SEALS, 0)),
        ],
        |(fd, command, argument)| unsafe { syscall::fcntl(lend(fd), command, argument) },
        |(fd, command, argument)| unsafe { sc::syscall!(FCNTL, fd, command, argument) },
    );
    refused(
        "ioctl",
        &[
            ("bad descriptor", Errno::EBADF, (BAD, ioctl::TCGETS, buffer)),
            ("path only", Errno::EBADF, (path, ioctl::FIONREAD, buffer)),
            ("not a terminal", Errno::ENOTTY, (read, ioctl::TCGETS, buffer)),
            ("bad address", Errno::EFAULT, (reader, ioctl::FIONREAD, NOWHERE)),
        ],
        |(fd, request, to)| unsafe { syscall::ioctl(lend(fd), request, to as usize) },
        |(fd, request, to)| unsafe { sc::syscall!(IOCTL, fd, request, to) },
    );
}

#[test]
fn calls_on_paths_refuse_what_the_kernel_refuses() {
    let files = Files::new("paths");
    let (dir, file, pipe) = (files.dir(), number(&files.read), number(&files.pipe.0));
    let long = c("x".repeat(256));
    let long = long.as_c_str();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix(dir), c"fifo", fifo, mode, 0).unwrap();

    let create = kernel::O_CREAT;
    refused(
        "openat",
        &[
            ("bad directory", Errno::EBADF, (BAD, c"file", 0)),
            ("directory is a file", Errno::ENOTDIR, (file, c"file", 0)),
            ("missing", Errno::ENOENT, (dir, c"missing", 0)),
            ("empty", Errno::ENOENT, (dir, c"", 0)),
            ("below a file", Errno::ENOTDIR, (dir, c"file/x", 0)),
            ("long", Errno::ENAMETOOLONG, (dir, long, 0)),
            ("exists", Errno::EEXIST, (dir, c"file", create | kernel::O_EXCL)),
            ("link exists", Errno::EEXIST, (dir, c"loop", create | kernel::O_EXCL)),
            ("write a directory", Errno::EISDIR, (dir, c"sub", kernel::O_WRONLY)),
            ("not a directory", Errno::ENOTDIR, (dir, c"file", kernel::O_DIRECTORY)),
            ("link", Errno::ELOOP, (dir, c"link", kernel::O_NOFOLLOW)),
            ("loop", Errno::ELOOP, (dir, c"loop", 0)),
            ("nobody reads", Errno::ENXIO, (dir, c"fifo", kernel::O_WRONLY | kernel::O_NONBLOCK)),
            ("nameless to read", Errno::EINVAL, (dir, c".", kernel::O_TMPFILE)),
        ],
        |(dir, path, flags)| {
            syscall::openat(lend(dir), path, OFlags::from_bits_retain(flags), Mode::RUSR)
        },
        |(dir, path, flags)| unsafe {
            sc::syscall!(OPENAT, dir, path.as_ptr(), flags, kernel::S_IRUSR)
        },
    );
    let missing = c(files.scratch.path("missing"));
    let opened = syscall::open(&missing, OFlags::RDONLY, Mode::empty());
    assert_eq!(opened.map(drop), Err(Errno::ENOENT));

    let mut stat = [0_u64; 32];
    let stat = stat.as_mut_ptr();
    let table = [
        ("bad directory", Errno::EBADF, (BAD, c"file", 0)),
        ("bad descriptor", Errno::EBADF, (BAD, c"", kernel::AT_EMPTY_PATH)),
        ("directory is a file", Errno::ENOTDIR, (file, c"file", 0)),
        ("missing", Errno::ENOENT, (dir, c"missing", 0)),
        ("empty", Errno::ENOENT, (dir, c"", 0)),
        ("long", Errno::ENAMETOOLONG, (dir, long, 0)),
        ("loop", Errno::ELOOP, (dir, c"loop", 0)),
        ("unknown flag", Errno::EINVAL, (dir, c"file", 1)),
    ];
    refused(
        "statx",
        &table,
        |(dir, path, flags)| syscall::statx(lend(dir), path, AtFlags::from_bits_retain(flags)),
        |(dir, path, flags)| unsafe {
            sc::syscall!(STATX, dir, path.as_ptr(), flags, kernel::STATX_BASIC_STATS, stat)
        },
    );
    refused(
        "fstatat",
        &table,
        |(dir, path, flags)| syscall::fstatat(lend(dir), path, AtFlags::from_bits_retain(flags)),
        |(dir, path, flags)| unsafe { sc::syscall!(NEWFSTATAT, dir, path.as_ptr(), stat, flags) },
    );

    let remove = kernel::AT_REMOVEDIR;
    refused(
        "unlinkat",
        &[
            ("bad directory", Errno::EBADF, (BAD, c"file", 0)),
            ("missing", Errno::ENOENT, (dir, c"missing", 0)),
            ("below a file", Errno::ENOTDIR, (dir, c"file/x", 0)),
            ("directory", Errno::EISDIR, (dir, c"sub", 0)),
            ("not empty", Errno::ENOTEMPTY, (dir, c"sub", remove)),
            ("not a directory", Errno::ENOTDIR, (dir, c"file", remove)),
            ("itself", Errno::EINVAL, (dir, c"sub/.", remove)),
            ("unknown flag", Errno::EINVAL, (dir, c"file", 1)),
        ],
        |(dir, path, flags)| syscall::unlinkat(lend(dir), path, AtFlags::from_bits_retain(flags)),
        |(dir, path, flags)| unsafe { sc::syscall!(UNLINKAT, dir, path.as_ptr(), flags) },
    );

    let (keep, swap) = (kernel::RENAME_NOREPLACE, kernel::RENAME_EXCHANGE);
    // An absolute path makes the directory's descriptor irrelevant.
    let elsewhere = c"/proc/baremap-oracle";
    refused(
        "renameat2",
        &[
            ("bad old directory", Errno::EBADF, (BAD, c"file", dir, c"x", 0)),
            ("bad new directory", Errno::EBADF, (dir, c"file", BAD, c"x", 0)),
            ("missing", Errno::ENOENT, (dir, c"missing", dir, c"x", 0)),
            ("exists", Errno::EEXIST, (dir, c"file", dir, c"link", keep)),
            ("nothing to exchange", Errno::ENOENT, (dir, c"file", dir, c"x", swap)),
            ("keep and exchange", Errno::EINVAL, (dir, c"file", dir, c"link", keep | swap)),
            ("unknown flag", Errno::EINVAL, (dir, c"file", dir, c"x", 1 << 16)),
            ("file to directory", Errno::EISDIR, (dir, c"file", dir, c"sub", 0)),
            ("directory to file", Errno::ENOTDIR, (dir, c"sub", dir, c"file", 0)),
            ("into itself", Errno::EINVAL, (dir, c"sub", dir, c"sub/x", 0)),
            ("another mount", Errno::EXDEV, (dir, c"file", BAD, elsewhere, 0)),
        ],
        |(old_dir, old, new_dir, new, flags)| {
            let flags = RenameFlags::from_bits_retain(flags);
            syscall::renameat2(lend(old_dir), old, lend(new_dir), new, flags)
        },
        |(old_dir, old, new_dir, new, flags)| unsafe {
            sc::syscall!(RENAMEAT2, old_dir, old.as_ptr(), new_dir, new.as_ptr(), flags)
        },
    );

    refused(
        "linkat",
        &[
            ("bad old directory", Errno::EBADF, (BAD, c"file", dir, c"x", 0)),
            ("bad new directory", Errno::EBADF, (dir, c"file", BAD, c"x", 0)),
            ("missing", Errno::ENOENT, (dir, c"missing", dir, c"x", 0)),
            ("exists", Errno::EEXIST, (dir, c"file", dir, c"link", 0)),
            ("directory", Errno::EPERM, (dir, c"sub", dir, c"x", 0)),
            (
                "followed to a loop",
                Errno::ELOOP,
                (dir, c"loop", dir, c"x", kernel::AT_SYMLINK_FOLLOW),
            ),
            ("unknown flag", Errno::EINVAL, (dir, c"file", dir, c"x", 1)),
            ("another mount", Errno::EXDEV, (pipe, c"", dir, c"x", kernel::AT_EMPTY_PATH)),
        ],
        |(old_dir, old, new_dir, new, flags)| {
            let flags = AtFlags::from_bits_retain(flags);
            syscall::linkat(lend(old_dir), old, lend(new_dir), new, flags)
        },
        |(old_dir, old, new_dir, new, flags)| unsafe {
            sc::syscall!(LINKAT, old_dir, old.as_ptr(), new_dir, new.as_ptr(), flags)
        },
    );

    let mut buffer = [0_u8; 64];
    let buffer = buffer.as_mut_ptr();
    refused(
        "readlinkat",
        &[
            ("bad directory", Errno::EBADF, (BAD, c"link", 64)),
            ("missing", Errno::ENOENT, (dir, c"missing", 64)),
            ("not a link", Errno::EINVAL, (dir, c"file", 64)),
            ("below a file", Errno::ENOTDIR, (dir, c"file/x", 64)),
            ("no room", Errno::EINVAL, (dir, c"link", 0)),
        ],
        |(dir, path, room)| syscall::readlinkat(lend(dir), path, &mut [0; 64][..room]),
        |(dir, path, room)| unsafe { sc::syscall!(READLINKAT, dir, path.as_ptr(), buffer, room) },
    );

    refused(
        "faccessat",
        &[
            ("bad directory", Errno::EBADF, (BAD, c"file", kernel::F_OK)),
            ("missing", Errno::ENOENT, (dir, c"missing", kernel::F_OK)),
            ("below a file", Errno::ENOTDIR, (dir, c"file/x", kernel::F_OK)),
            ("loop", Errno::ELOOP, (dir, c"loop", kernel::F_OK)),
            ("not to be run", Errno::EACCES, (dir, c"file", kernel::X_OK)),
            ("unknown", Errno::EINVAL, (dir, c"file", 8)),
        ],
        |(dir, path, access)| syscall::faccessat(lend(dir), path, Access::from_bits_retain(access)),
        |(dir, path, access)| unsafe { sc::syscall!(FACCESSAT, dir, path.as_ptr(), access) },
    );

    let mut names: Vec<_> = fs::read_dir(files.scratch.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["fifo", "file", "link", "loop", "sub"], "nothing has changed");
}
