//! What `stat`, `statx` and `statfs` report, and how devices and file types are numbered.

use super::*;

type Fields = [(&'static str, i128); 16];

fn fields(stat: &Stat) -> Fields {
    [
        ("dev", stat.dev.into()),
        ("ino", stat.ino.into()),
        ("mode", stat.mode.bits().into()),
        ("nlink", stat.nlink.into()),
        ("uid", stat.uid.into()),
        ("gid", stat.gid.into()),
        ("rdev", stat.rdev.into()),
        ("size", stat.size.into()),
        ("blksize", stat.blksize.into()),
        ("blocks", stat.blocks.into()),
        ("atime", stat.atime.sec.into()),
        ("atime, nanoseconds", stat.atime.nsec.into()),
        ("mtime", stat.mtime.sec.into()),
        ("mtime, nanoseconds", stat.mtime.nsec.into()),
        ("ctime", stat.ctime.sec.into()),
        ("ctime, nanoseconds", stat.ctime.nsec.into()),
    ]
}

fn fields_of_rustix(stat: &rustix::fs::Stat) -> Fields {
    [
        ("dev", stat.st_dev.into()),
        ("ino", stat.st_ino.into()),
        ("mode", stat.st_mode.into()),
        ("nlink", stat.st_nlink.into()),
        ("uid", stat.st_uid.into()),
        ("gid", stat.st_gid.into()),
        ("rdev", stat.st_rdev.into()),
        ("size", stat.st_size.into()),
        ("blksize", stat.st_blksize.into()),
        ("blocks", stat.st_blocks.into()),
        ("atime", stat.st_atime.into()),
        ("atime, nanoseconds", stat.st_atime_nsec.into()),
        ("mtime", stat.st_mtime.into()),
        ("mtime, nanoseconds", stat.st_mtime_nsec.into()),
        ("ctime", stat.st_ctime.into()),
        ("ctime, nanoseconds", stat.st_ctime_nsec.into()),
    ]
}

fn fields_of_std(stat: &fs::Metadata) -> Fields {
    [
        ("dev", stat.dev().into()),
        ("ino", stat.ino().into()),
        ("mode", stat.mode().into()),
        ("nlink", stat.nlink().into()),
        ("uid", stat.uid().into()),
        ("gid", stat.gid().into()),
        ("rdev", stat.rdev().into()),
        ("size", stat.size().into()),
        ("blksize", stat.blksize().into()),
        ("blocks", stat.blocks().into()),
        ("atime", stat.atime().into()),
        ("atime, nanoseconds", stat.atime_nsec().into()),
        ("mtime", stat.mtime().into()),
        ("mtime, nanoseconds", stat.mtime_nsec().into()),
        ("ctime", stat.ctime().into()),
        ("ctime, nanoseconds", stat.ctime_nsec().into()),
    ]
}

/// Returns the fields of rustix's `statx`. Its device numbers are split into two halves.
fn fields_of_statx(stat: &rustix::fs::Statx) -> Fields {
    let device = |major, minor| rustix::fs::makedev(major, minor).into();
    [
        ("dev", device(stat.stx_dev_major, stat.stx_dev_minor)),
        ("ino", stat.stx_ino.into()),
        ("mode", stat.stx_mode.into()),
        ("nlink", stat.stx_nlink.into()),
        ("uid", stat.stx_uid.into()),
        ("gid", stat.stx_gid.into()),
        ("rdev", device(stat.stx_rdev_major, stat.stx_rdev_minor)),
        ("size", stat.stx_size.into()),
        ("blksize", stat.stx_blksize.into()),
        ("blocks", stat.stx_blocks.into()),
        ("atime", stat.stx_atime.tv_sec.into()),
        ("atime, nanoseconds", stat.stx_atime.tv_nsec.into()),
        ("mtime", stat.stx_mtime.tv_sec.into()),
        ("mtime, nanoseconds", stat.stx_mtime.tv_nsec.into()),
        ("ctime", stat.stx_ctime.tv_sec.into()),
        ("ctime, nanoseconds", stat.stx_ctime.tv_nsec.into()),
    ]
}

#[test]
fn stat_agrees_with_rustix_and_the_standard_library() {
    let scratch = Scratch::new("stat");
    let file = scratch.open_file("file", vec![b'x'; 12345]);
    // Times before 1970, and times that need more than 32 bits.
    let times = fs::FileTimes::new()
        .set_accessed(SystemTime::UNIX_EPOCH - Duration::new(86400, 1))
        .set_modified(SystemTime::UNIX_EPOCH + Duration::new((1 << 32) + 5, 123_456_789));
    file.set_times(times).unwrap();
    fs::hard_link(scratch.path("file"), scratch.path("second name")).unwrap();
    rustix::fs::fchmod(rustix(number(&file)), 0o4751.into()).unwrap();
    symlink("somewhere", scratch.path("link")).unwrap();
    fs::create_dir(scratch.path("directory")).unwrap();
    let sparse = File::create(scratch.path("sparse")).unwrap();
    sparse.write_all_at(b"end", 5 << 30).unwrap();
    let dir = scratch.open_dir();
    for (name, kind) in
        [("fifo", rustix::fs::FileType::Fifo), ("socket", rustix::fs::FileType::Socket)]
    {
        rustix::fs::mknodat(rustix(number(&dir)), name, kind, 0o640.into(), 0).unwrap();
    }

    let table = [
        ("file", FileType::Regular),
        ("directory", FileType::Directory),
        ("link", FileType::Symlink),
        ("sparse", FileType::Regular),
        ("fifo", FileType::Fifo),
        ("socket", FileType::Socket),
        ("/dev/null", FileType::CharacterDevice),
        ("/dev/full", FileType::CharacterDevice),
        ("/proc/self/exe", FileType::Symlink),
    ];
    for (name, kind) in table {
        let (path, at) = (c(name), scratch.path(name));
        let stat = syscall::statx(lend(number(&dir)), &path, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        let basic = rustix::fs::StatxFlags::BASIC_STATS;
        let oracle = rustix::fs::statx(rustix(number(&dir)), &*path, flags, basic).unwrap();
        assert_eq!(fields(&stat), fields_of_statx(&oracle), "statx of {name}");
        let oracle = fs::symlink_metadata(&at).unwrap();
        assert_eq!(fields(&stat), fields_of_std(&oracle), "statx of {name}");
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        assert_eq!(syscall::fstatat(lend(number(&dir)), &path, flags), Ok(stat), "{name}");
        assert_eq!(stat.file_type(), kind, "{name}");
        assert_eq!(stat.permissions().bits(), oracle.mode() & 0o7777, "{name}");

        // The link itself, by its descriptor.
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW;
        let fd = rustix::fs::open(&*c(&at), flags, rustix::fs::Mode::empty()).unwrap();
        let oracle = rustix::fs::fstat(&fd).unwrap();
        let fd = lend(rustix::fd::AsRawFd::as_raw_fd(&fd));
        let by_fstat = syscall::fstat(fd).unwrap();
        assert_eq!(fields(&by_fstat), fields_of_rustix(&oracle), "fstat of {name}");
        let by_statx = syscall::statx(fd, c"", AtFlags::EMPTY_PATH).unwrap();
        assert_eq!(by_statx, by_fstat, "{name}");
    }

    let stat = syscall::fstat(lend(number(&file))).unwrap();
    assert_eq!((stat.nlink, stat.size, stat.permissions().bits()), (2, 12345, 0o4751));
    assert_eq!(stat.atime, Timespec { sec: -86401, nsec: 999_999_999 });
    assert_eq!(stat.mtime, Timespec { sec: (1 << 32) + 5, nsec: 123_456_789 });
    assert_eq!(syscall::fstat(lend(number(&sparse))).unwrap().size, (5 << 30) + 3);
}

#[test]
fn statx_follows_links_unless_a_flag_forbids_it() {
    let files = Files::new("follow");
    let look = |name, flags| syscall::statx(lend(files.dir()), name, flags).unwrap();
    let file = look(c"file", AtFlags::empty());
    assert!(look(c"link", AtFlags::empty()).is_same_file(&file));
    assert!(!look(c"link", AtFlags::SYMLINK_NOFOLLOW).is_same_file(&file));
    // A file is identified by both of its numbers.
    let changed = |change: fn(&mut Stat)| {
        let mut other = file;
        change(&mut other);
        other
    };
    assert!(!changed(|other| other.dev ^= 1).is_same_file(&file));
    assert!(!changed(|other| other.ino ^= 1).is_same_file(&file));
    assert!(changed(|other| other.size = 1).is_same_file(&file));
    let here = syscall::statx(CWD, c".", AtFlags::empty()).unwrap();
    assert_eq!(here.ino, fs::metadata(".").unwrap().ino());
}

#[test]
#[allow(clippy::unnecessary_cast, reason = "the oracle's types differ between architectures")]
fn fstatfs_agrees_with_rustix() {
    let scratch = Scratch::new("fstatfs");
    let (disk, memory) = (scratch.open_file("file", ""), memfd("memory", 0));
    let known = File::open("/proc/self/status").unwrap();
    for fd in [number(&disk), number(&memory), number(&known)] {
        let (ours, oracle) = (syscall::fstatfs(lend(fd)), rustix::fs::fstatfs(rustix(fd)));
        let (ours, oracle) = (ours.unwrap(), oracle.unwrap());
        assert_eq!(
            (ours.fs_type, ours.block_size),
            (oracle.f_type as u32, oracle.f_bsize as u64),
            "{fd}"
        );
    }
    assert_eq!(syscall::fstatfs(lend(number(&known))).unwrap().fs_type, kernel::PROC_SUPER_MAGIC);
    assert_eq!(syscall::fstatfs(lend(BAD)), Err(Errno::EBADF));
}

#[test]
fn device_numbers_agree_with_the_standard_library() {
    let mut devices = 0;
    for entry in fs::read_dir("/dev").unwrap() {
        let path = entry.unwrap().path();
        // Another process may have removed the file.
        let Ok(oracle) = fs::symlink_metadata(&path) else { continue };
        let kind = oracle.file_type();
        if !kind.is_char_device() && !kind.is_block_device() {
            continue;
        }
        let stat = syscall::statx(CWD, &c(&path), AtFlags::SYMLINK_NOFOLLOW).unwrap();
        assert_eq!((stat.rdev, stat.dev), (oracle.rdev(), oracle.dev()), "{}", path.display());
        let block = stat.file_type() == FileType::BlockDevice;
        assert_eq!(block, kind.is_block_device(), "{}", path.display());
        devices += 1;
    }
    assert!(devices >= 2, "at least /dev/null and /dev/full");
}

/// Device numbers that use every bit. Only root may create such files. For other users, both
/// libraries must return the kernel's error.
#[test]
fn large_device_numbers_agree_with_the_standard_library() {
    let scratch = Scratch::new("devices");
    let dir = scratch.open_dir();
    for (index, (major, minor)) in
        [(1, 255), (0x7ab, 0xabcde), (0xffe, 0xfffff), (0xfff, 256)].into_iter().enumerate()
    {
        let name = format!("device{index}");
        let kind = rustix::fs::FileType::CharacterDevice;
        let number = (number(&dir), rustix::fs::makedev(major, minor));
        let made = rustix::fs::mknodat(rustix(number.0), &*name, kind, 0o600.into(), number.1);
        match number_of(made) {
            Ok(()) => {
                let stat = syscall::statx(lend(number.0), &c(&name), AtFlags::empty()).unwrap();
                let oracle = fs::metadata(scratch.path(&name)).unwrap();
                assert_eq!(stat.rdev, oracle.rdev(), "{major}:{minor}");
                assert_eq!(stat.file_type(), FileType::CharacterDevice);
            }
            Err(errno) => assert_eq!(errno, Errno::EPERM),
        }
    }
}

/// The oracle is libc: rustix takes these constants from linux-raw-sys, as this crate does.
#[test]
fn every_file_type_has_the_number_that_libc_gives_it() {
    let mut stat = syscall::fstat(lend(number(&File::open("/dev/null").unwrap()))).unwrap();
    for kind in 0..16 {
        let mode = kind << 12 | 0o7777;
        stat.mode = Mode::from_bits_retain(mode);
        let expected = match mode & libc::S_IFMT {
            libc::S_IFREG => FileType::Regular,
            libc::S_IFDIR => FileType::Directory,
            libc::S_IFLNK => FileType::Symlink,
            libc::S_IFIFO => FileType::Fifo,
            libc::S_IFSOCK => FileType::Socket,
            libc::S_IFCHR => FileType::CharacterDevice,
            libc::S_IFBLK => FileType::BlockDevice,
            _ => FileType::Unknown,
        };
        assert_eq!(stat.file_type(), expected, "{mode:o}");
        assert_eq!(stat.permissions().bits(), 0o7777, "{mode:o}");
    }
}

#[test]
fn statx_attributes_are_the_oracle_s() {
    let scratch = Scratch::new("statx-attributes");
    let file = scratch.file("file", "contents");
    let dir = file.parent().unwrap();
    for path in [&*file, dir, Path::new("/proc/self"), Path::new("/dev/null"), Path::new("/none")] {
        let c_path = CString::new(path.as_os_str().as_bytes()).unwrap();
        for (flags, theirs) in [
            (AtFlags::empty(), rustix::fs::AtFlags::empty()),
            (AtFlags::SYMLINK_NOFOLLOW, rustix::fs::AtFlags::SYMLINK_NOFOLLOW),
        ] {
            let wanted = rustix::fs::statx(
                rustix::fs::CWD,
                &*c_path,
                theirs,
                rustix::fs::StatxFlags::BASIC_STATS,
            );
            assert_eq!(
                syscall::statx_attributes(CWD, &c_path, flags).map_err(|errno| errno.number()),
                wanted
                    .map(|found| found.stx_attributes.bits())
                    .map_err(|errno| errno.raw_os_error() as u16),
                "{path:?}"
            );
        }
    }
}
