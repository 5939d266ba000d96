//! Reading and creating directories, links and special files, and attributes by name.

use super::*;
use baremap::syscall::{DirEntry, ResolveFlags};

/// Reads a directory with a buffer of a size, and returns what each entry contains.
fn read(dir: RawFd, room: usize) -> Vec<(u64, i64, FileType, CString)> {
    let mut buffer = vec![0; room];
    // The entries need no alignment.
    let buffer = &mut buffer[1..];
    let mut all = Vec::new();
    loop {
        let entries = syscall::getdents64(lend(dir), buffer).unwrap();
        if entries.is_empty() {
            return all;
        }
        for DirEntry { ino, offset, file_type, name, .. } in entries {
            all.push((ino, offset, file_type, name.to_owned()));
        }
    }
}

#[test]
fn getdents64_reads_what_the_oracle_reads() {
    let files = Files::new("getdents");
    for number in 0..300 {
        let name = format!("{}-{number}", "x".repeat(number % 200));
        fs::write(files.scratch.path(&name), "").unwrap();
    }
    let special = |name, kind| {
        let (dir, mode) = (rustix(files.dir()), rustix::fs::Mode::from(0o600));
        rustix::fs::mknodat(dir, name, kind, mode, 0).unwrap();
    };
    special("fifo", rustix::fs::FileType::Fifo);
    special("socket", rustix::fs::FileType::Socket);
    let fresh = || files.scratch.open_dir();
    let dir = fresh();
    let mut buffer = [mem::MaybeUninit::uninit(); 8192];
    let mut entries = rustix::fs::RawDir::new(rustix(number(&dir)), &mut buffer);
    let mut oracle = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry.unwrap();
        let kind = match entry.file_type() {
            rustix::fs::FileType::RegularFile => FileType::Regular,
            rustix::fs::FileType::Directory => FileType::Directory,
            rustix::fs::FileType::Symlink => FileType::Symlink,
            rustix::fs::FileType::Fifo => FileType::Fifo,
            rustix::fs::FileType::Socket => FileType::Socket,
            other => panic!("{other:?}"),
        };
        oracle.push((
            entry.ino(),
            entry.next_entry_cookie() as i64,
            kind,
            entry.file_name().to_owned(),
        ));
    }
    assert_eq!(oracle.len(), 2 + 4 + 300 + 2);
    for room in [281, 1000, 5000, 70_000] {
        let _case = case!(room);
        assert_eq!(read(number(&fresh()), room), oracle);
    }
    // From the position after an entry on, the rest follows.
    let dir = fresh();
    let middle = oracle.len() / 2;
    let at = oracle[middle].1;
    assert_eq!(syscall::lseek(lend(number(&dir)), at, Whence::SET), Ok(at as u64));
    assert_eq!(read(number(&dir), 5000), oracle[middle + 1..]);

    let refused = |dir, room: usize| {
        let mut buffer = vec![0; room];
        syscall::getdents64(lend(dir), &mut buffer).map(drop)
    };
    assert_eq!(refused(number(&fresh()), 10), Err(Errno::EINVAL));
    assert_eq!(refused(number(&files.read), 1000), Err(Errno::ENOTDIR));
    assert_eq!(refused(BAD, 1000), Err(Errno::EBADF));
    let gone = files.scratch.path("gone");
    fs::create_dir(&gone).unwrap();
    let open = File::open(&gone).unwrap();
    fs::remove_dir(&gone).unwrap();
    assert_eq!(refused(number(&open), 1000), Err(Errno::ENOENT));
}

#[test]
fn directories_links_and_special_files_are_made_as_the_oracle_makes_them() {
    let files = Files::new("mkdir");
    let dir = files.dir();
    let mode = |name: &str| fs::symlink_metadata(files.scratch.path(name)).unwrap().mode();
    for bits in [0o000, 0o700, 0o1777, 0o6755] {
        let _case = case!(bits);
        assert_eq!(syscall::mkdirat(lend(dir), c"ours", Mode::from_bits_retain(bits)), Ok(()));
        rustix::fs::mkdirat(rustix(dir), c"oracle", bits.into()).unwrap();
        assert_eq!(mode("ours"), mode("oracle"));
        let _ = fs::remove_dir(files.scratch.path("ours"));
        let _ = fs::remove_dir(files.scratch.path("oracle"));
    }
    let kinds = [
        (kernel::S_IFIFO, rustix::fs::FileType::Fifo, 0),
        (kernel::S_IFSOCK, rustix::fs::FileType::Socket, 0),
        (kernel::S_IFREG, rustix::fs::FileType::RegularFile, 0),
        (kernel::S_IFCHR, rustix::fs::FileType::CharacterDevice, 0x1234_5678),
        (kernel::S_IFBLK, rustix::fs::FileType::BlockDevice, 7 << 8 | 3),
    ];
    for (bits, kind, dev) in kinds {
        let _case = case!(kind);
        let ours = syscall::mknodat(lend(dir), c"ours", Mode::from_bits_retain(bits | 0o640), dev);
        let oracle = rustix::fs::mknodat(rustix(dir), c"oracle", kind, 0o640.into(), dev);
        // Without privileges, devices are EPERM.
        assert_eq!(ours, number_of(oracle));
        if ours.is_ok() {
            let stat = |name: &str| fs::symlink_metadata(files.scratch.path(name)).unwrap();
            let (ours, oracle) = (stat("ours"), stat("oracle"));
            assert_eq!((ours.mode(), ours.rdev()), (oracle.mode(), oracle.rdev()));
            let by_us = syscall::fstatat(lend(dir), c"ours", AtFlags::SYMLINK_NOFOLLOW).unwrap();
            assert_eq!(by_us.rdev, dev, "the number is given back");
            fs::remove_file(files.scratch.path("ours")).unwrap();
            fs::remove_file(files.scratch.path("oracle")).unwrap();
        }
    }
    assert_eq!(syscall::symlinkat(c"some/\xfftarget", lend(dir), c"new"), Ok(()));
    let target = fs::read_link(files.scratch.path("new")).unwrap();
    assert_eq!(target.as_os_str().as_bytes(), b"some/\xfftarget");

    let long = c("y".repeat(4096));
    refused(
        "mkdirat",
        &[
            ("existing", Errno::EEXIST, c"sub"),
            ("dangling link", Errno::EEXIST, c"loop"),
            ("no directory", Errno::ENOENT, c"none/new"),
            ("file", Errno::ENOTDIR, c"file/new"),
        ],
        |path| syscall::mkdirat(lend(dir), path, Mode::RWXU),
        |path| unsafe { sc::syscall!(MKDIRAT, dir, path.as_ptr(), 0o700) },
    );
    refused(
        "symlinkat",
        &[
            ("existing", Errno::EEXIST, (c"target", c"link")),
            ("empty", Errno::ENOENT, (c"", c"new2")),
            ("long", Errno::ENAMETOOLONG, (&long, c"new2")),
        ],
        |(target, path)| syscall::symlinkat(target, lend(dir), path),
        |(target, path)| unsafe { sc::syscall!(SYMLINKAT, target.as_ptr(), dir, path.as_ptr()) },
    );
    refused(
        "mknodat",
        &[("existing", Errno::EEXIST, kernel::S_IFIFO), ("type", Errno::EINVAL, kernel::S_IFLNK)],
        |kind| {
            let name = if kind == kernel::S_IFIFO { c"file" } else { c"new3" };
            syscall::mknodat(lend(dir), name, Mode::from_bits_retain(kind | 0o600), 0)
        },
        |kind| unsafe {
            let name = if kind == kernel::S_IFIFO { c"file" } else { c"new3" };
            sc::syscall!(MKNODAT, dir, name.as_ptr(), kind | 0o600, 0)
        },
    );
}

#[test]
fn openat2_restricts_the_path() {
    let files = Files::new("openat2");
    symlink("..", files.scratch.path("sub/up")).unwrap();
    symlink("/", files.scratch.path("root")).unwrap();
    let dir = files.dir();
    let read = OFlags::RDONLY | OFlags::CLOEXEC;
    let ours = |path: &std::ffi::CStr, flags, mode, resolve| {
        syscall::openat2(lend(dir), path, flags, mode, resolve).map(|fd| {
            let stat = syscall::fstat(fd.as_fd()).unwrap();
            (stat.dev, stat.ino)
        })
    };
    let oracle = |path: &std::ffi::CStr, flags: OFlags, mode: u32, resolve: ResolveFlags| {
        let flags = rustix::fs::OFlags::from_bits_retain(flags.bits());
        let resolve = rustix::fs::ResolveFlags::from_bits_retain(resolve.bits().into());
        number_of(rustix::fs::openat2(rustix(dir), path, flags, mode.into(), resolve)).map(|fd| {
            let stat = rustix::fs::fstat(&fd).unwrap();
            (stat.st_dev, stat.st_ino)
        })
    };
    let beneath = ResolveFlags::BENEATH;
    let no_links = ResolveFlags::NO_SYMLINKS;
    let rows = [
        (c"file", ResolveFlags::empty(), None),
        (c"sub/inner", beneath | no_links, None),
        (c"sub/../file", beneath, None),
        (c"link", no_links, Some(Errno::ELOOP)),
        (c"link", beneath, None),
        (c"sub/up/file", no_links, Some(Errno::ELOOP)),
        (c"sub/up/file", beneath, None),
        (c"../x", beneath, Some(Errno::EXDEV)),
        (c"/", beneath, Some(Errno::EXDEV)),
        (c"root", beneath, Some(Errno::EXDEV)),
        (c"root", ResolveFlags::IN_ROOT, None),
        (c"none", beneath, Some(Errno::ENOENT)),
    ];
    for (path, resolve, errno) in rows {
        let _case = case!(path, resolve);
        let found = ours(path, read, Mode::empty(), resolve);
        assert_eq!(found, oracle(path, read, 0, resolve));
        assert_eq!(found.err(), errno);
    }
    let magic = c(format!("/proc/self/fd/{dir}"));
    let no_magic = ResolveFlags::NO_MAGICLINKS;
    assert_eq!(ours(&magic, read, Mode::empty(), no_magic), Err(Errno::ELOOP));
    assert_eq!(ours(c"/proc/self", read, Mode::empty(), ResolveFlags::NO_XDEV), Err(Errno::EXDEV));
    // A mode without a new file, and an unknown flag.
    assert_eq!(ours(c"file", read, Mode::RUSR, beneath), Err(Errno::EINVAL));
    let unknown = ResolveFlags::from_bits_retain(1 << 20);
    assert_eq!(ours(c"file", read, Mode::empty(), unknown), Err(Errno::EINVAL));
    let create = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let mode = Mode::RUSR | Mode::WUSR;
    let fd = syscall::openat2(lend(dir), c"sub/new", create, mode, beneath).unwrap();
    assert_eq!(syscall::fstat(fd.as_fd()).unwrap().permissions(), mode);
}

#[test]
fn attributes_by_name_are_set_as_the_oracle_sets_them() {
    let files = Files::new("attributes");
    let dir = files.dir();
    let stat = |name: &str| fs::symlink_metadata(files.scratch.path(name)).unwrap();
    let node = |name: &std::ffi::CStr| {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        syscall::openat(lend(dir), name, flags, Mode::empty()).unwrap()
    };
    let (empty, nofollow) = (AtFlags::EMPTY_PATH, AtFlags::SYMLINK_NOFOLLOW);
    let (file_node, loop_node) = (node(c"file"), node(c"loop"));

    // Modes: of a file, and of the file that a path descriptor refers to.
    assert_eq!(syscall::fchmodat(lend(dir), c"link", Mode::from_bits_retain(0o6751)), Ok(()));
    assert_eq!(stat("file").mode() & 0o7777, 0o6751, "the link was followed");
    assert_eq!(syscall::fchmodat(lend(dir), c"none", Mode::RUSR), Err(Errno::ENOENT));
    match syscall::fchmodat2(file_node.as_fd(), c"", Mode::RUSR | Mode::WUSR, empty) {
        Err(Errno::ENOSYS) => {} // Before Linux 6.6.
        result => {
            assert_eq!(result, Ok(()));
            assert_eq!(stat("file").mode() & 0o7777, 0o600);
            let set = |name, flags| syscall::fchmodat2(lend(dir), name, Mode::RWXU, flags);
            assert_eq!(set(c"link", nofollow), Err(Errno::EOPNOTSUPP));
            assert_eq!(set(c"link", AtFlags::empty()), Ok(()));
            assert_eq!(stat("file").mode() & 0o7777, 0o700);
            assert_eq!(set(c"none", nofollow), Err(Errno::ENOENT));
            assert_eq!(set(c"file", AtFlags::REMOVEDIR), Err(Errno::EINVAL));
        }
    }

    // Owners: to the present one, or for root to another one, of a link and of its target.
    let own = stat("file");
    let (uid, gid) = if own.uid() == 0 { (0x1_0002, 0x3_0004) } else { (own.uid(), own.gid()) };
    let chown = |dir, name, owner, group, flags| syscall::fchownat(dir, name, owner, group, flags);
    assert_eq!(chown(lend(dir), c"link", Some(uid), Some(gid), nofollow), Ok(()));
    assert_eq!((stat("link").uid(), stat("link").gid()), (uid, gid));
    assert_eq!((stat("file").uid(), stat("file").gid()), (own.uid(), own.gid()));
    assert_eq!(chown(file_node.as_fd(), c"", None, Some(gid), empty), Ok(()));
    assert_eq!((stat("file").uid(), stat("file").gid()), (own.uid(), gid));
    assert_eq!(chown(lend(dir), c"none", Some(uid), None, nofollow), Err(Errno::ENOENT));

    // Times: with the oracle's call on another file.
    let time = |sec, nsec| Timespec { sec, nsec };
    let rows = [
        (time(-5, 999_999_999), time(1 << 33, 1)),
        (time(0, i64::from(kernel::UTIME_OMIT)), time(7, 0)),
        (time(1, 2), time(0, i64::from(kernel::UTIME_OMIT))),
    ];
    for (accessed, modified) in rows {
        let _case = case!(accessed, modified);
        let set = syscall::utimensat(lend(dir), c"link", accessed, modified, nofollow);
        let own = |time: Timespec| rustix::fs::Timespec { tv_sec: time.sec, tv_nsec: time.nsec };
        let times =
            rustix::fs::Timestamps { last_access: own(accessed), last_modification: own(modified) };
        let oracle = rustix::fs::utimensat(
            rustix(dir),
            c"loop",
            &times,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        );
        assert_eq!((set, number_of(oracle)), (Ok(()), Ok(())));
        let all = |name: &str| {
            let stat = stat(name);
            (stat.atime(), stat.atime_nsec(), stat.mtime(), stat.mtime_nsec())
        };
        // The file system may keep fewer years; it does so for both.
        let (link, other) = (all("link"), all("loop"));
        assert_eq!(link.2, other.2);
        if accessed.nsec != i64::from(kernel::UTIME_OMIT) {
            assert_eq!((link.0, link.1), (other.0, other.1));
        }
        assert_eq!(link.3, other.3);
    }
    let set =
        |dir, name, nsec, flags| syscall::utimensat(dir, name, time(1, nsec), time(2, 0), flags);
    assert_eq!(set(loop_node.as_fd(), c"", 0, empty), Ok(()));
    assert_eq!((stat("loop").atime(), stat("loop").mtime()), (1, 2));
    assert_eq!(set(lend(dir), c"file", 1_000_000_000, nofollow), Err(Errno::EINVAL));
    assert_eq!(set(lend(dir), c"none", 0, nofollow), Err(Errno::ENOENT));
    assert_eq!(set(lend(dir), c"loop", 0, AtFlags::empty()), Err(Errno::ELOOP));
}
