//! Opening, reading, writing and locking files.

use super::*;

#[test]
fn openat_respects_its_flags_and_mode() {
    let files = Files::new("open");
    let create = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
    let table = [
        ("file", OFlags::RDONLY),
        ("file", OFlags::WRONLY | OFlags::APPEND),
        ("file", OFlags::RDWR | OFlags::CLOEXEC),
        ("file", OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW),
        ("file", OFlags::PATH),
        ("sub", OFlags::RDONLY | OFlags::DIRECTORY),
        ("new", create),
        (".", OFlags::TMPFILE | OFlags::RDWR),
    ];
    for (name, flags) in table {
        let bits = rustix::fs::OFlags::from_bits_retain(flags.bits());
        // The umask removes some bits of each mode, for both libraries.
        for mode in [0o600, 0o777, 0o4666] {
            let path = c(name);
            let ours =
                syscall::openat(lend(files.dir()), &path, flags, Mode::from_bits_retain(mode));
            let _ = fs::remove_file(files.scratch.path("new"));
            let oracle = rustix::fs::openat(rustix(files.dir()), &*path, bits, mode.into());
            let _ = fs::remove_file(files.scratch.path("new"));
            // If the file system has no unnamed files, both fail.
            let (ours, oracle) = match (ours, number_of(oracle)) {
                (Ok(ours), Ok(oracle)) => (ours, oracle),
                (ours, oracle) => {
                    assert_eq!(ours.map(drop), oracle.map(drop), "{name}");
                    continue;
                }
            };
            let fd = rustix(ours.as_fd().as_raw_fd());
            let told = |fd| (rustix::fs::fcntl_getfl(fd), rustix::io::fcntl_getfd(fd));
            let oracle = rustix::fd::AsFd::as_fd(&oracle);
            assert_eq!(told(fd), told(oracle), "{name}, {flags:?}");
            let mode = |fd| rustix::fs::fstat(fd).unwrap().st_mode;
            assert_eq!(mode(fd), mode(oracle), "{name}, {flags:?}");
        }
    }

    // With TRUNC, and with a path relative to the working directory.
    let path = c(files.scratch.path("file"));
    let fd = syscall::open(&path, OFlags::WRONLY | OFlags::TRUNC, Mode::empty()).unwrap();
    assert_eq!(syscall::write(fd.as_fd(), b"short"), Ok(5));
    assert_eq!(fs::read(files.scratch.path("file")).unwrap(), b"short");
}

#[test]
fn close_and_drop_close_a_descriptor() {
    // A pipe ends when its last writer is closed. A child of another test may inherit a pipe that
    // is created in this process, so the pipe is created in a child.
    for dropped in [false, true] {
        in_child(|| unsafe {
            let mut ends = [0_i32; 2];
            check!(sc::syscall!(PIPE2, ends.as_mut_ptr(), kernel::O_NONBLOCK) == 0);
            let [reader, writer] = ends;
            check!(syscall::read(lend(reader), &mut [0]) == Err(Errno::EAGAIN));
            let writer = OwnedFd::from_raw_fd(writer);
            if dropped {
                drop(writer);
            } else {
                check!(syscall::close(writer) == Ok(()));
            }
            check!(syscall::read(lend(reader), &mut [0]) == Ok(0));
            Ok(())
        });
    }
}

#[test]
fn writing_to_a_pipe_without_readers_is_epipe() {
    // A child of another test may inherit a pipe that is created in this process.
    in_child(|| unsafe {
        let mut ends = [0_i32; 2];
        check!(sc::syscall!(PIPE2, ends.as_mut_ptr(), 0) == 0);
        check!(syscall::write(lend(ends[1]), b"x") == Ok(1));
        check!(sc::syscall!(CLOSE, ends[0]) == 0);
        check!(outcome(sc::syscall!(WRITE, ends[1], b"x".as_ptr(), 1)) == Err(Errno::EPIPE));
        check!(syscall::write(lend(ends[1]), b"x") == Err(Errno::EPIPE));
        Ok(())
    });
}

#[test]
fn read_and_write_move_the_position_and_pread_and_pwrite_do_not() {
    let scratch = Scratch::new("position");
    let file = scratch.open_file("file", "0123456789");
    let (fd, oracle) = (lend(number(&file)), rustix(number(&file)));
    let position = || rustix::fs::tell(oracle).unwrap();
    let mut buffer = [b'-'; 6];
    assert_eq!(syscall::read(fd, &mut buffer[..4]), Ok(4));
    assert_eq!((&buffer, position()), (b"0123--", 4));
    assert_eq!(syscall::pread(fd, &mut buffer, 7), Ok(3));
    assert_eq!((&buffer, position()), (b"7893--", 4));
    assert_eq!(syscall::write(fd, b"ab"), Ok(2));
    assert_eq!(position(), 6);
    assert_eq!(syscall::pwrite(fd, b"cd", 1), Ok(2));
    assert_eq!(position(), 6);
    // SAFETY: of a buffer that is there.
    unsafe {
        assert_eq!(syscall::write_raw(fd, b"EF".as_ptr(), 2), Ok(2));
        assert_eq!(syscall::pwrite_raw(fd, b"xyz".as_ptr(), 3, 9), Ok(3));
        assert_eq!(fs::read(scratch.path("file")).unwrap(), b"0cd3abEF8xyz");
        assert_eq!(syscall::read_raw(fd, buffer.as_mut_ptr(), 3), Ok(3));
    }
    assert_eq!(&buffer, b"8xy3--");
    assert_eq!(syscall::read(fd, &mut buffer), Ok(1));
    assert_eq!(syscall::read(fd, &mut buffer), Ok(0), "the end");
    assert_eq!(syscall::read(fd, &mut []), Ok(0));
    assert_eq!(syscall::write(fd, &[]), Ok(0));
}

#[test]
fn offsets_above_4_gib_arrive() {
    const FAR: u64 = (5 << 32) + 3;

    let scratch = Scratch::new("far");
    let file = scratch.open_file("file", "near");
    let (fd, oracle) = (lend(number(&file)), rustix(number(&file)));
    assert_eq!(syscall::pwrite(fd, b"far", FAR), Ok(3));
    let mut bytes = [0; 3];
    file.read_exact_at(&mut bytes, FAR).unwrap();
    assert_eq!(&bytes, b"far");
    file.write_all_at(b"FAR", FAR).unwrap();
    assert_eq!(syscall::pread(fd, &mut bytes, FAR), Ok(3));
    assert_eq!(&bytes, b"FAR");
    assert_eq!(fs::metadata(scratch.path("file")).unwrap().len(), FAR + 3);
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"nea", "not written at the offset less its top");

    // The file system decides what is data and what is a hole.
    use rustix::fs::SeekFrom;
    let starts = [0, 1, 5, 4096, 1 << 20, 1 << 32, FAR - 1, FAR, FAR + 2];
    for at in starts {
        let _case = case!(at);
        let signed = at as i64;
        let data = number_of(rustix::fs::seek(oracle, SeekFrom::Data(at)));
        assert_eq!(syscall::lseek(fd, signed, Whence::DATA), data, "data from {at}");
        let hole = number_of(rustix::fs::seek(oracle, SeekFrom::Hole(at)));
        assert_eq!(syscall::lseek(fd, signed, Whence::HOLE), hole, "hole from {at}");
        assert_eq!(syscall::lseek(fd, signed, Whence::SET), Ok(at));
        assert_eq!(rustix::fs::tell(oracle), Ok(at));
        assert_eq!(syscall::lseek(fd, 7, Whence::CUR), Ok(at + 7));
        assert_eq!(syscall::lseek(fd, -7, Whence::CUR), Ok(at));
        assert_eq!(syscall::lseek(fd, -signed, Whence::END), Ok(FAR + 3 - at));
    }
    assert_eq!(syscall::lseek(fd, 1 << 32, Whence::HOLE), Ok(1 << 32));
    let data = syscall::lseek(fd, 1 << 32, Whence::DATA).unwrap();
    assert!(data > 1 << 32 && data <= FAR, "{data}");

    for length in [FAR + 100, 1 << 32, 7] {
        let _case = case!(length);
        assert_eq!(syscall::ftruncate(fd, length), Ok(()));
        assert_eq!(fs::metadata(scratch.path("file")).unwrap().len(), length);
    }
}

#[test]
fn fallocate_has_the_same_effect_as_rustixs() {
    let page = page() as u64;
    let keep = FallocateFlags::KEEP_SIZE;
    let table = [
        (FallocateFlags::empty(), 5 << 30, 2 * page),
        (keep, 0, 3 * page),
        (keep | FallocateFlags::PUNCH_HOLE, page, page),
        (FallocateFlags::empty(), 0, page),
    ];
    let (ours, oracle) = (memfd("ours", 0), memfd("oracle", 0));
    for (step, (flags, offset, length)) in table.into_iter().enumerate() {
        syscall::fallocate(lend(number(&ours)), flags, offset, length).unwrap();
        let bits = rustix::fs::FallocateFlags::from_bits_retain(flags.bits());
        rustix::fs::fallocate(rustix(number(&oracle)), bits, offset, length).unwrap();
        let [ours, oracle] = [&ours, &oracle].map(|fd| rustix(number(fd)));
        let size = |fd| rustix::fs::fstat(fd).map(|stat| (stat.st_size, stat.st_blocks)).unwrap();
        assert_eq!(size(ours), size(oracle), "step {step}");
        let hole = |fd| number_of(rustix::fs::seek(fd, rustix::fs::SeekFrom::Hole(0)));
        assert_eq!(hole(ours), hole(oracle), "step {step}");
    }
    let stat = rustix::fs::fstat(rustix(number(&ours))).unwrap();
    assert_eq!(stat.st_size as u64, (5 << 30) + 2 * page);
    assert_eq!(stat.st_blocks as u64 * 512, 4 * page);
}

#[test]
fn syncing_succeeds_on_a_file() {
    let scratch = Scratch::new("sync");
    let file = scratch.open_file("file", "x");
    assert_eq!(syscall::fsync(lend(number(&file))), Ok(()));
    assert_eq!(syscall::fdatasync(lend(number(&file))), Ok(()));
    assert_eq!(syscall::fsync(lend(number(&scratch.open_dir()))), Ok(()));
}

#[test]
fn copy_file_range_copies_at_offsets() {
    let scratch = Scratch::new("range");
    let from = scratch.open_file("from", "0123456789");
    let (ours, oracle) = (scratch.open_file("ours", "abc"), scratch.open_file("oracle", "abc"));
    for (at, to_at, len) in [(2, 1, 3), (8, 6, 100), (10, 0, 1), (100, 0, 1), (0, 0, 0)] {
        let (mut read, mut written) = (at, to_at);
        let told = rustix::fs::copy_file_range(
            rustix(number(&from)),
            Some(&mut read),
            rustix(number(&oracle)),
            Some(&mut written),
            len,
        );
        let (from, to) = (lend(number(&from)), lend(number(&ours)));
        assert_eq!(syscall::copy_file_range(from, at, to, to_at, len), number_of(told), "{at}");
        let read = |name| fs::read(scratch.path(name)).unwrap();
        assert_eq!(read("ours"), read("oracle"), "{at}");
    }
    let written = fs::read(scratch.path("ours")).unwrap();
    assert_eq!(written, b"a234\0\x0089", "and what is between is zero");
    let (from, to) = (lend(number(&from)), lend(number(&ours)));
    let far = syscall::copy_file_range(from, 0, to, 5 << 30, 4);
    assert_eq!((far, ours.metadata().unwrap().len()), (Ok(4), (5 << 30) + 4));
    let overlap = syscall::copy_file_range(to, 0, to, 1, 4);
    assert_eq!(overlap, Err(Errno::EINVAL));
    let (_reader, writer) = std::io::pipe().unwrap();
    let no_file = syscall::copy_file_range(from, 0, lend(number(&writer)), 0, 1);
    assert_eq!(no_file, Err(Errno::EINVAL));
}

#[test]
fn ficlone_has_the_same_result_as_rustixs() {
    let scratch = Scratch::new("clone");
    let from = scratch.open_file("from", "contents");
    let (ours, oracle) = (scratch.open_file("ours", ""), scratch.open_file("oracle", ""));
    let told = rustix::fs::ioctl_ficlone(rustix(number(&oracle)), rustix(number(&from)));
    assert_eq!(syscall::ficlone(lend(number(&ours)), lend(number(&from))), number_of(told));
    let read = |name| fs::read(scratch.path(name)).unwrap();
    assert_eq!(read("ours"), read("oracle"));
    let directory = scratch.open_dir();
    let refused = syscall::ficlone(lend(number(&ours)), lend(number(&directory)));
    assert_eq!(refused, Err(Errno::EISDIR));
}

#[test]
fn sync_file_range_writes_what_was_changed() {
    let scratch = Scratch::new("sync-range");
    let file = scratch.open_file("file", vec![1; 1 << 20]);
    let fd = lend(number(&file));
    let all = SyncFileRangeFlags::WRITE | SyncFileRangeFlags::WAIT_AFTER;
    // A file system in memory has nothing to write back.
    let disk = fs::metadata(scratch.path("")).unwrap().dev() >> 8 != 0;
    let dirty = || syscall::cachestat(fd, 0, 0).unwrap().dirty;
    if disk {
        assert!(dirty() > 0);
    }
    assert_eq!(syscall::sync_file_range(fd, 0, 0, all), Ok(()));
    assert_eq!(dirty(), 0);
    let wrong = SyncFileRangeFlags::from_bits_retain(8);
    for (offset, length, flags) in [(1 << 63, 0, all), (0, 1 << 63, all), (0, 0, wrong)] {
        let result = syscall::sync_file_range(fd, offset, length, flags);
        assert_eq!(result, Err(Errno::EINVAL), "{offset} {length}");
    }
    let (reader, _writer) = std::io::pipe().unwrap();
    let pipe = syscall::sync_file_range(lend(number(&reader)), 0, 0, all);
    assert_eq!(pipe, Err(Errno::ESPIPE));
}

#[test]
fn flock_excludes_other_descriptors_only() {
    let scratch = Scratch::new("flock");
    let one = scratch.open_file("file", "");
    let other = File::open(scratch.path("file")).unwrap();
    let (one, other) = (lend(number(&one)), lend(number(&other)));
    assert_eq!(syscall::flock(one, Flock::EXCLUSIVE), Ok(()));
    assert_eq!(syscall::flock(one, Flock::EXCLUSIVE), Ok(()), "it is ours");
    assert_eq!(syscall::flock(other, Flock::SHARED), Err(Errno::EWOULDBLOCK));
    assert_eq!(syscall::flock(one, Flock::SHARED), Ok(()));
    assert_eq!(syscall::flock(other, Flock::SHARED), Ok(()));
    assert_eq!(syscall::flock(one, Flock::EXCLUSIVE), Err(Errno::EWOULDBLOCK));
    assert_eq!(syscall::flock(other, Flock::UNLOCK), Ok(()));
    assert_eq!(syscall::flock(one, Flock::EXCLUSIVE), Ok(()));
    assert_eq!(syscall::flock(one, Flock(0x100)), Err(Errno::EINVAL));
}

#[test]
fn ioctl_and_fcntl_return_the_same_as_rustix() {
    let files = Files::new("ask");
    let (reader, writer) = (number(&files.pipe.0), number(&files.pipe.1));
    (&files.pipe.1).write_all(b"hello").unwrap();
    let mut waiting = 0_i32;
    // SAFETY: each argument is what the request takes; the new descriptor is ours.
    unsafe {
        let to = &raw mut waiting as usize;
        assert_eq!(syscall::ioctl(lend(reader), ioctl::FIONREAD, to), Ok(0));
        assert_eq!(waiting as u64, rustix::io::ioctl_fionread(rustix(reader)).unwrap());
        assert_eq!(waiting, 5);

        let flags = rustix::fs::fcntl_getfl(rustix(writer)).unwrap().bits() as usize;
        assert_eq!(syscall::fcntl(lend(writer), kernel::F_GETFL, 0), Ok(flags));
        let new = syscall::fcntl(lend(writer), kernel::F_DUPFD_CLOEXEC, 500).unwrap();
        assert!(new >= 500);
        let new = OwnedFd::from_raw_fd(new as RawFd);
        let number = new.as_fd().as_raw_fd();
        let closed = rustix::io::fcntl_getfd(rustix(number)).unwrap();
        assert_eq!(closed, rustix::io::FdFlags::CLOEXEC);
        assert_eq!(syscall::fcntl(new.as_fd(), kernel::F_SETFD, 0), Ok(0));
        let closed = rustix::io::fcntl_getfd(rustix(number)).unwrap();
        assert_eq!(closed, rustix::io::FdFlags::empty());
    }
}
