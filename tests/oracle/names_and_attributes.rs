//! Directory entries, and what a file has beside its contents: times, extended attributes, modes and
//! owners.

use super::*;

#[test]
fn links_can_be_created_and_removed() {
    let files = Files::new("names");
    let (dir, sub) = (lend(files.dir()), File::open(files.scratch.path("sub")).unwrap());
    let sub = lend(number(&sub));
    let ino =
        |name: &str| fs::symlink_metadata(files.scratch.path(name)).map(|stat| stat.ino()).ok();
    let (file, link) = (ino("file"), ino("link"));
    assert!(file.is_some() && link.is_some() && file != link);

    assert_eq!(syscall::linkat(dir, c"file", sub, c"second", AtFlags::empty()), Ok(()));
    assert_eq!((ino("file"), ino("sub/second")), (file, file));
    assert_eq!(syscall::linkat(dir, c"link", dir, c"links", AtFlags::empty()), Ok(()));
    assert_eq!(ino("links"), link);
    let follow = AtFlags::SYMLINK_FOLLOW;
    assert_eq!(syscall::linkat(dir, c"link", dir, c"followed", follow), Ok(()));
    assert_eq!(ino("followed"), file);

    let rename = syscall::renameat2;
    assert_eq!(rename(sub, c"second", dir, c"third", RenameFlags::NOREPLACE), Ok(()));
    assert_eq!((ino("sub/second"), ino("third")), (None, file));
    assert_eq!(rename(dir, c"third", dir, c"link", RenameFlags::EXCHANGE), Ok(()));
    assert_eq!((ino("third"), ino("link")), (link, file));
    assert_eq!(rename(dir, c"sub/inner", dir, c"third", RenameFlags::empty()), Ok(()));
    assert!(ino("third") != link && ino("sub/inner").is_none());

    assert_eq!(syscall::unlinkat(dir, c"third", AtFlags::empty()), Ok(()));
    assert_eq!(ino("third"), None);
    assert_eq!(syscall::unlinkat(dir, c"sub", AtFlags::REMOVEDIR), Ok(()));
    assert_eq!(ino("sub"), None);
    assert_eq!((ino("file"), ino("followed")), (file, file), "the others are there");
}

#[test]
fn readlinkat_fills_the_buffer() {
    let scratch = Scratch::new("readlink");
    symlink("a longer target", scratch.path("link")).unwrap();
    let dir = scratch.open_dir();
    for room in 1..20 {
        let _case = case!(room);
        let (mut ours, mut oracle) = ([b'-'; 20], [b'-'; 20]);
        let length = syscall::readlinkat(lend(number(&dir)), c"link", &mut ours[..room]);
        let told = rustix::fs::readlinkat_raw(rustix(number(&dir)), c"link", &mut oracle[..room]);
        assert_eq!(length, number_of(told), "{room}");
        assert_eq!(length, Ok(room.min(15)));
        assert_eq!(ours, oracle, "{room}");
    }
    let mut whole = [0; 15];
    syscall::readlinkat(lend(number(&dir)), c"link", &mut whole).unwrap();
    assert_eq!(&whole, b"a longer target");
}

#[test]
fn faccessat_agrees_with_rustix() {
    let scratch = Scratch::new("access");
    let (dir, file) = (scratch.open_dir(), scratch.open_file("file", ""));
    for mode in [0o000, 0o400, 0o200, 0o100, 0o600, 0o700] {
        rustix::fs::fchmod(rustix(number(&file)), mode.into()).unwrap();
        for access in 0..8 {
            let ours = Access::from_bits_retain(access);
            let oracle = rustix::fs::Access::from_bits_retain(access);
            let (ours, oracle) = (
                syscall::faccessat(lend(number(&dir)), c"file", ours),
                rustix::fs::accessat(
                    rustix(number(&dir)),
                    c"file",
                    oracle,
                    rustix::fs::AtFlags::empty(),
                ),
            );
            assert_eq!(ours, number_of(oracle), "{access} of {mode:o}");
        }
    }
    let denied = syscall::faccessat(lend(number(&dir)), c"file", Access::EXEC);
    assert_eq!(denied, Ok(()), "the owner's last mode");
}

#[test]
fn renameat_replaces_the_destination() {
    let scratch = Scratch::new("renameat");
    scratch.open_file("one", "1");
    scratch.open_file("other", "2");
    let dir = scratch.open_dir();
    let dir = lend(number(&dir));
    assert_eq!(syscall::renameat(dir, c"one", dir, c"other"), Ok(()));
    assert_eq!(fs::read(scratch.path("other")).unwrap(), b"1");
    assert_eq!(syscall::renameat(dir, c"one", dir, c"other"), Err(Errno::ENOENT));
    fs::create_dir(scratch.path("sub")).unwrap();
    let sub = File::open(scratch.path("sub")).unwrap();
    let sub = lend(number(&sub));
    assert_eq!(syscall::renameat(dir, c"other", sub, c"moved"), Ok(()));
    assert_eq!(fs::read(scratch.path("sub/moved")).unwrap(), b"1");
}

#[test]
fn futimens_sets_both_times() {
    let scratch = Scratch::new("times");
    let file = scratch.open_file("file", "");
    for (accessed, modified) in [((1, 2), (3, 4)), ((3 << 32, 999_999_999), (-5, 0))] {
        let _case = case!(accessed, modified);
        let time = |(sec, nsec)| Timespec { sec, nsec };
        let fd = lend(number(&file));
        assert_eq!(syscall::futimens(fd, time(accessed), time(modified)), Ok(()));
        let stat = file.metadata().unwrap();
        assert_eq!((stat.atime(), stat.atime_nsec()), accessed);
        assert_eq!((stat.mtime(), stat.mtime_nsec()), modified);
        let wrong = Timespec { sec: 0, nsec: 1_000_000_000 };
        assert_eq!(syscall::futimens(fd, wrong, wrong), Err(Errno::EINVAL));
    }
}

#[test]
fn extended_attributes_agree_with_rustix() {
    let scratch = Scratch::new("xattr");
    let file = scratch.open_file("file", "");
    let (ours, oracle) = (lend(number(&file)), rustix(number(&file)));
    assert_eq!(
        syscall::flistxattr(ours, &mut []),
        number_of(rustix::fs::flistxattr(oracle, &mut [0u8; 0][..]))
    );
    let none = XattrFlags::empty();
    let set = syscall::fsetxattr;
    assert_eq!(set(ours, c"user.one", b"value", XattrFlags::REPLACE), Err(Errno::ENODATA));
    assert_eq!(set(ours, c"user.one", b"value", XattrFlags::CREATE), Ok(()));
    assert_eq!(set(ours, c"user.one", b"again", XattrFlags::CREATE), Err(Errno::EEXIST));
    assert_eq!(set(ours, c"user.two", b"", none), Ok(()));
    assert_eq!(set(ours, c"nowhere.one", b"", none), Err(Errno::EOPNOTSUPP));
    let mut value = [0; 10];
    assert_eq!(rustix::fs::fgetxattr(oracle, "user.one", &mut value), Ok(5));
    assert_eq!(&value[..5], b"value");

    let mut found = [0; 10];
    assert_eq!(syscall::fgetxattr(ours, c"user.one", &mut found), Ok(5));
    assert_eq!(found, value);
    assert_eq!(syscall::fgetxattr(ours, c"user.one", &mut []), Ok(5));
    assert_eq!(syscall::fgetxattr(ours, c"user.one", &mut found[..4]), Err(Errno::ERANGE));
    assert_eq!(syscall::fgetxattr(ours, c"user.two", &mut found), Ok(0));
    assert_eq!(syscall::fgetxattr(ours, c"user.three", &mut found), Err(Errno::ENODATA));

    assert_eq!(syscall::fremovexattr(ours, c"user.three"), Err(Errno::ENODATA));
    assert_eq!(set(ours, c"user.three", b"3", none), Ok(()));
    assert_eq!(syscall::fremovexattr(ours, c"user.three"), Ok(()));
    assert_eq!(syscall::fgetxattr(ours, c"user.three", &mut found), Err(Errno::ENODATA));

    let (mut list, mut wanted) = ([0; 100], [0u8; 100]);
    let told = rustix::fs::flistxattr(oracle, &mut wanted[..]).unwrap();
    assert_eq!(syscall::flistxattr(ours, &mut list), Ok(told));
    assert_eq!((list, told >= 18), (wanted, true));
    assert_eq!(syscall::flistxattr(ours, &mut list[..1]), Err(Errno::ERANGE));
}

#[test]
fn fchmod_and_fchown_set_modes_and_owners() {
    let scratch = Scratch::new("owners");
    let file = scratch.open_file("ours", "");
    let look = |name: &str| {
        let stat = fs::metadata(scratch.path(name)).unwrap();
        (stat.uid(), stat.gid(), stat.mode() & 0o7777)
    };
    for mode in [0o000, 0o640, 0o1777, 0o4755, 0o666] {
        let _case = case!(mode);
        assert_eq!(syscall::fchmod(lend(number(&file)), Mode::from_bits_retain(mode)), Ok(()));
        assert_eq!(look("ours").2, mode, "whatever the umask");
    }
    // Only root may change the owner of a file. Both libraries must get the same result.
    let table = [(None, None), (Some(12345), None), (None, Some(54321)), (Some(1), Some(2))];
    let oracle = scratch.open_file("oracle", "");
    fs::set_permissions(
        scratch.path("oracle"),
        fs::metadata(scratch.path("ours")).unwrap().permissions(),
    )
    .unwrap();
    for (owner, group) in table {
        let result = rustix::fs::fchown(
            rustix(number(&oracle)),
            owner.map(rustix::fs::Uid::from_raw),
            group.map(rustix::fs::Gid::from_raw),
        );
        let ours = syscall::fchown(lend(number(&file)), owner, group);
        assert_eq!(ours, number_of(result), "{owner:?}, {group:?}");
        assert_eq!(look("ours"), look("oracle"), "{owner:?}, {group:?}");
    }
}
