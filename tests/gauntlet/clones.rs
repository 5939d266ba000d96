//! Destinations that share their blocks with another file.

use std::{ffi::CString, fs, os::unix::ffi::OsStrExt};

use baremap::{
    map::FileMap,
    syscall::{self, Errno, Mode, OFlags},
};
use rustix::fs::ioctl_ficlone;

use crate::{
    Rows,
    disk::{fill, sync},
    not_here,
    sizes::METHODS,
    test_fs::{TestFs, Volume},
    trial::{End, Trial, fd, pages},
};

pub fn rows(rows: &mut Rows) {
    for (what, size) in [("", 3 << 20), ("large ", 20 << 20)] {
        rows.add(
            format!("{what}destination is a clone on a full disk, --in-place"),
            move |test_fs| {
                clone_on_full_disk(test_fs, size);
            },
        );
    }
    rows.add("mapped clone on a full disk", mapped_clone_on_full_disk);
}

/// Checks the library's error for a store to a block that two files share, on a full disk.
fn mapped_clone_on_full_disk(test_fs: &TestFs) {
    if !test_fs.has_clones() {
        not_here("files share no blocks");
    }
    let volume = test_fs.volume(128 << 20);
    let dir = volume.dir.join("row");
    fs::create_dir(&dir).unwrap();
    let mut t = Trial::in_dir(test_fs, dir);
    clone_of_base(&mut t, &volume, 3 << 20);
    let path = CString::new(t.path("dest").as_os_str().as_bytes()).unwrap();
    let file = syscall::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let map = FileMap::new(file).unwrap();
    let fault = map.write_at(&pages(3 << 20), 0).unwrap_err();
    // btrfs reports the error only to a write.
    let errno = if test_fs.kind == "xfs" { Some(Errno::ENOSPC) } else { None };
    assert_eq!(fault.errno(), errno, "{fault:?}");
}

/// Creates `base`, and `dest` that shares all its blocks, and fills the disk.
fn clone_of_base(t: &mut Trial, volume: &Volume, size: usize) {
    t.file("base", vec![1; size]);
    sync(volume);
    t.file("dest", "");
    let open = |name: &str| fs::File::options().read(true).write(true).open(t.path(name)).unwrap();
    ioctl_ficlone(fd(&open("dest")), fd(&open("base"))).unwrap();
    fill(volume, 0);
    sync(volume);
}

/// Each write to a block needs new space, although the file has blocks there.
fn clone_on_full_disk(test_fs: &TestFs, size: usize) {
    if !test_fs.has_clones() {
        not_here("files share no blocks");
    }
    let volume = test_fs.volume(128 << 20);
    let dir = volume.dir.join("row");
    fs::create_dir(&dir).unwrap();
    let mut t = Trial::in_dir(test_fs, dir);
    let from = test_fs.elsewhere();
    let source = from.join("source");
    fs::write(&source, pages(size)).unwrap();
    clone_of_base(&mut t, &volume, size);
    for way in METHODS {
        let options = way.iter().map(std::path::Path::new);
        let last = ["--in-place".as_ref(), &*source, "dest".as_ref()];
        let ran = t.run(options.chain(last));
        if !(way.contains(&"--method=kernel") && ran.err.contains("(EXDEV)")) {
            let cause = "No space left on device (ENOSPC)";
            ran.fails_by_one_of(&[
                &format!("cannot reserve space for 'dest': {cause}"),
                &format!("cannot write to 'dest': {cause}"),
                &format!("cannot set the length of 'dest': {cause}"),
            ]);
        }
        assert_eq!(ran.end, End::Exit(1), "{ran:?}");
        t.becomes("dest", t.read("dest"));
        t.check();
    }
    fs::remove_dir_all(from).unwrap();
}
