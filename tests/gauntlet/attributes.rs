//! Permissions and access lists that are hard to keep.

use std::{
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use rustix::{
    fs::{Mode, XattrFlags, getxattr, setxattr},
    io::Errno,
    process::umask,
};

use crate::{
    Rows,
    common::noise,
    disk::native_only,
    fuse::{Fault, Odd},
    mounts::Mount,
    not_here,
    test_fs::{TestFs, done},
    trees::shell,
    trial::{End, Trial, run},
    watch::{Calls, refuse},
};

/// The extended attribute that holds a file's access list. Source: acl(5).
const ACCESS: &str = "system.posix_acl_access";

pub fn rows(rows: &mut Rows) {
    rows.add("an access list that the copy's file system does not have", no_lists);
    rows.add("the attributes of the source cannot be listed", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        let mut copy = t.mapcp(["-p", "source", "dest"]);
        refuse(&mut copy, &[Calls::all(sc::nr::FLISTXATTR)], Errno::IO);
        run(&mut copy).fails("cannot read the attributes of 'source': I/O error (EIO)");
        t.becomes("dest", "contents");
        t.check();
    });
    for users in [100, 124, 125, 130, 400] {
        rows.add(format!("an access list of {users} named users"), move |test_fs| {
            access_list(test_fs, users);
        });
    }
    rows.add("-p: an access list that the destination has no room for", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("old", "old");
        let elsewhere = test_fs.elsewhere();
        let source = elsewhere.join("source");
        fs::write(&source, "contents").unwrap();
        if let Err(errno) = give(&source, &list(3000)) {
            not_here(format!("no such access lists: {errno}"));
        }
        for dest in ["new", "old"] {
            let mut copy = t.mapcp(["-p"]);
            let ran = run(copy.arg(&source).arg(dest));
            let cause = format!("cannot set the attribute '{ACCESS}' of");
            match of(&t.path(dest)) {
                Ok(found) if found == list(3000) => {
                    ran.copied(8);
                    t.becomes(dest, "contents");
                }
                _ => ran.fails_by_one_of(&[
                    &format!("{cause} '{dest}': No space left on device (ENOSPC)"),
                    &format!("{cause} '{dest}': Argument list too long (E2BIG)"),
                ]),
            }
            t.becomes(dest, "contents");
            t.check();
        }
        fs::remove_dir_all(elsewhere).unwrap();
    });
    for (name, len, beside) in [
        ("one that is too large", 60_000, "user.small"),
        ("one that is too large and whose name is long", 60_000, "user.b"),
    ] {
        rows.add(format!("-p: extended attributes, {name}"), move |test_fs| {
            attribute_too_large(test_fs, len, beside);
        });
    }
    for (flags, what) in [
        ("A", "no access times"),
        ("d", "no dump"),
        ("S", "synchronous"),
        ("Ad", "two flags"),
        ("C", "no copy-on-write"),
        ("m", "no compression"),
    ] {
        rows.add(format!("a replaced file keeps its flags: {what}"), move |test_fs| {
            flags_kept(test_fs, flags);
        });
    }
    for unnamed in [true, false] {
        let with = if unnamed { "with" } else { "without" };
        rows.add(format!("chmod ignored, {with} O_TMPFILE"), move |test_fs| {
            chmod_ignored(test_fs, unnamed);
        });
    }
}

/// The data and the other attributes are copied, and the message names the one that was not.
fn attribute_too_large(test_fs: &TestFs, len: usize, beside: &str) {
    let set = |path: &Path, name: &str, value: &[u8]| {
        setxattr(path.as_os_str().as_bytes(), name, value, XattrFlags::empty())
    };
    let mut t = Trial::new(test_fs);
    t.file("old", "old");
    let elsewhere = test_fs.elsewhere();
    let source = elsewhere.join("source");
    fs::write(&source, noise(100_000)).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o604)).unwrap();
    let long = format!("user.{}", "x".repeat(if beside == "user.b" { 250 } else { 3 }));
    let given = set(&source, "user.a", b"first")
        .and_then(|()| set(&source, &long, &vec![7; len]))
        .and_then(|()| set(&source, beside, b"last"));
    if let Err(errno) = given {
        not_here(format!("no such attributes: {errno}"));
    }
    for dest in ["new", "old"] {
        let mut copy = t.mapcp(["-p"]);
        let ran = run(copy.arg(&source).arg(dest));
        let mut value = [0; 100];
        let path = t.path(dest);
        let mut get = |name: &str| {
            let count = getxattr(path.as_os_str().as_bytes(), name, &mut value[..])?;
            Ok::<_, Errno>(value[..count].to_vec())
        };
        let first = get("user.a");
        let large = getxattr(path.as_os_str().as_bytes(), &*long, &mut vec![0; len][..]);
        if large.is_ok() {
            not_here("there is room for the attribute");
        }
        if first.is_err() {
            not_here("the file system has no such attributes");
        }
        let said = ["No space left on device (ENOSPC)", "Argument list too long (E2BIG)"]
            .map(|cause| format!("cannot set the attribute '{long}' of '{dest}': {cause}"));
        ran.fails_by_one_of(&said.each_ref().map(|line| &**line));
        assert_eq!(first, Ok(b"first".to_vec()));
        assert_eq!(get(beside), Ok(b"last".to_vec()));
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o604);
        assert_eq!(path.metadata().unwrap().mtime(), source.metadata().unwrap().mtime());
        t.becomes(dest, noise(100_000));
        t.check();
    }
    fs::remove_dir_all(elsewhere).unwrap();
}

/// The flags of chattr(1) that say how a file is stored or accessed.
fn flags_kept(test_fs: &TestFs, flags: &str) {
    let mut t = Trial::new(test_fs);
    t.file("source", noise(100_000));
    t.file("dest", "");
    let list = |name: &str| {
        let listed = done(Command::new("lsattr").arg(t.path(name)));
        listed.map(|line| line.split(' ').next().unwrap_or_default().to_owned())
    };
    // Those of the dest and of the directory are different flags.
    let set = done(Command::new("chattr").arg(format!("+{flags}")).arg(t.path("dest")));
    let before = set.and_then(|_| list("dest")).unwrap_or_else(|reason| not_here(reason));
    if !flags.chars().all(|flag| before.contains(flag)) {
        not_here(format!("the file system ignores the flags: {before}"));
    }
    for way in [&["--quiet"][..], &["-p"], &["--method=write"], &["--in-place"]] {
        let ran = t.run(way.iter().chain(&["source", "dest"]));
        assert!(ran.end == crate::trial::End::Exit(0) && ran.err.is_empty(), "{ran:?}");
        let now = list("dest").unwrap();
        assert!(flags.chars().all(|flag| now.contains(flag)), "{way:?}: {before} became {now}");
    }
    // A flag that only the directory gives to new files is not one of the old file's.
    let on_the_directory = done(Command::new("chattr").arg("+A").arg(&t.dir));
    if on_the_directory.is_ok() && !flags.contains('A') {
        t.run(["source", "dest"]).copied(100_000);
        let now = list("dest").unwrap();
        assert!(!now.contains('A'), "{before} became {now}");
    }
    t.becomes_as("dest", "source");
    t.check();
}

/// Returns the access list that lets a number of named users read and write, in the kernel's
/// format: tags and permissions of the owner, the users, the group, the mask, and others. Source:
/// `linux/posix_acl_xattr.h`.
fn list(users: u32) -> Vec<u8> {
    let entry = |tag: u8, may: u8, who: u32| [&[tag, 0, may, 0][..], &who.to_le_bytes()].concat();
    let named = (0..users).flat_map(|number| entry(2, 6, 20_000 + number));
    let rest = [entry(4, 0, !0), entry(16, 6, !0), entry(32, 0, !0)].concat();
    [vec![2, 0, 0, 0], entry(1, 6, !0), named.collect(), rest].concat()
}

fn give(path: &Path, list: &[u8]) -> Result<(), Errno> {
    setxattr(path.as_os_str().as_bytes(), ACCESS, list, XattrFlags::empty())
}

fn of(path: &Path) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 64 << 10];
    let count = getxattr(path.as_os_str().as_bytes(), ACCESS, &mut value[..])?;
    value.truncate(count);
    Ok(value)
}

fn access_list(test_fs: &TestFs, users: u32) {
    let mut t = Trial::new(test_fs);
    t.file("source", noise(100_000));
    t.file("with", "old");
    fs::set_permissions(t.path("with"), fs::Permissions::from_mode(0o640)).unwrap();
    if let Err(errno) = give(&t.path("with"), &list(users)) {
        not_here(format!("no such access lists: {errno}"));
    }
    t.run(["-p", "with", "kept"]).copied(3);
    t.run(["source", "with"]).copied(100_000);
    for name in ["with", "kept"] {
        assert!(of(&t.path(name)) == Ok(list(users)), "{name}: another list");
        assert_eq!(t.path(name).metadata().unwrap().mode() & 0o7777, 0o660, "{name}");
    }
    t.becomes("kept", "old");
    t.becomes_as("with", "source");
    t.check();
}

/// An overwritten file keeps its permissions.
fn chmod_ignored(test_fs: &TestFs, unnamed: bool) {
    let odd = Odd::new(test_fs, Fault { unnamed, ignores_modes: true, ..Fault::NONE });
    let mut t = Trial::new(test_fs);
    t.file("source", noise(100_000));
    fs::set_permissions(t.path("source"), fs::Permissions::from_mode(0o640)).unwrap();
    let dest = odd.dir.join("dest");
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o7777;
    // The file system gives the file its own permissions. The last number is the umask of the copy.
    for (bits, mask) in [(0o644, 0o022), (0o600, 0o077), (0o640, 0), (0o666, 0o022)] {
        for option in ["--method=write", "-p"] {
            let _ = fs::remove_file(&dest);
            let before = umask(Mode::empty());
            let mut open = fs::File::options();
            std::os::unix::fs::OpenOptionsExt::mode(open.write(true).create(true), bits);
            open.open(&dest).unwrap();
            umask(before);
            assert_eq!(mode(&dest), bits);
            let mut copy = t.mapcp([option, "source"]);
            // SAFETY: one system call.
            unsafe {
                copy.pre_exec(move || {
                    umask(Mode::from_raw_mode(mask));
                    Ok(())
                });
            }
            let ran = run(copy.arg(&dest));
            // A file whose permissions another file would not get is written in place.
            if option == "-p" && bits != 0o640 {
                let cause = "the file system ignores the change";
                let path = dest.display();
                ran.fails(&format!("cannot set the permissions of '{path}': {cause}"));
            } else {
                ran.copied(100_000);
            }
            assert!(fs::read(&dest).unwrap() == t.read("source"));
            assert_eq!(mode(&dest), bits);
            assert_eq!(fs::read_dir(&odd.dir).unwrap().count(), 1);
        }
    }
    // The file belongs to another user, and to a group whose members must not read it.
    let _ = chown(&dest, Some(1), Some(2));
    let ran = run(t.mapcp(["source"]).arg(&dest));
    ran.copied(100_000);
    assert_eq!((dest.metadata().unwrap().uid(), dest.metadata().unwrap().gid()), (1, 2));
    t.check();
}

/// As with cp, the data is copied, and the list is reported. Nobody gets rights by the mask alone.
fn no_lists(test_fs: &TestFs) {
    native_only();
    let mut t = Trial::new(test_fs);
    t.file("source", "contents");
    shell(&t.dir, "chmod 664 source; setfacl -m u:1:rw,g::- source");
    let ramfs = Mount::new(test_fs, "row.ramfs", &["-t", "ramfs", "none"]);
    for option in ["-p", "-a", "--preserve=mode"] {
        let dest = ramfs.path(option);
        let ran = run(t.mapcp([option, "-q", "source"]).arg("-T").arg("--").arg(&dest));
        assert!(ran.err.contains("'system.posix_acl_access'"), "{ran:?}");
        assert_eq!(ran.end, End::Exit(1), "{ran:?}");
        assert_eq!(fs::read(&dest).unwrap(), b"contents");
        assert_eq!(dest.metadata().unwrap().mode() & 0o7777, 0o604);
    }
    t.check();
}
