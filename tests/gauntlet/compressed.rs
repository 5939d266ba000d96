//! File systems that compress, as a source and as a destination.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    process::Command,
};

use rustix::fs::{fstatvfs, syncfs};

use crate::{
    Rows,
    common::noise,
    mounts::Mount,
    not_here,
    sizes::METHODS,
    test_fs::{TestFs, done},
    trial::{End, Trial, fd, pages},
};

pub fn rows(rows: &mut Rows) {
    rows.add("source in a compressed image, erofs", |test_fs| {
        image(test_fs, "erofs", |dir, image| {
            done(Command::new("mkfs.erofs").arg("-zlz4hc").args([image, dir]))
        });
    });
    rows.add("source in a compressed image, squashfs", |test_fs| {
        image(test_fs, "squashfs", |dir, image| {
            done(Command::new("mksquashfs").args([dir, image]).args(["-quiet", "-no-progress"]))
        });
    });
    rows.add("source on a btrfs that compresses", |test_fs| {
        let btrfs = Btrfs::new(test_fs);
        let source = btrfs.mount.path("source");
        let mut contents = text(9 << 20);
        contents[1 << 20..2 << 20].copy_from_slice(&pages(1 << 20));
        contents[(4 << 20) + 4096..5 << 20].fill(0);
        contents[6 << 20..7 << 20].fill(0);
        let file = File::create(&source).unwrap();
        file.write_all_at(&contents[..6 << 20], 0).unwrap();
        file.write_all_at(&contents[7 << 20..], 7 << 20).unwrap();
        btrfs.used();
        // For compressed data, btrfs reports the number of blocks before compression.
        let found = file.metadata().unwrap();
        assert!(found.blocks() * 512 < found.len(), "it has no hole");
        copies(test_fs, &source, &contents);
    });
    rows.add("destination on a btrfs that compresses", |test_fs| {
        if !test_fs.is_here() {
            not_here("once is enough: it is the same in all columns");
        }
        let t = Trial::new(test_fs);
        let btrfs = Btrfs::new(test_fs);
        let contents = text(24 << 20);
        fs::write(t.path("source"), &contents).unwrap();
        let space = |name: &str, copy: &dyn Fn(&Path)| {
            let before = btrfs.used();
            let dest = btrfs.mount.path(name);
            copy(&dest);
            let space = btrfs.used().saturating_sub(before);
            assert!(fs::read(&dest).unwrap() == contents, "{name} is another file");
            fs::remove_file(dest).unwrap();
            btrfs.used();
            space
        };
        let by_cp = space("cp", &|dest| {
            done(Command::new("cp").arg("--reflink=never").arg(t.path("source")).arg(dest))
                .unwrap();
        });
        assert!(by_cp < 4 << 20, "cp takes {by_cp} bytes");
        // A destination that is mapped is preallocated first, as requested by `--method=map`.
        for way in METHODS.iter().filter(|way| !way.contains(&"--method=map")) {
            let by_us = space("mapcp", &|dest| {
                let ran = t.run(way.iter().map(Path::new).chain([Path::new("source"), dest]));
                if way.contains(&"--method=kernel") && ran.end == End::Exit(1) {
                    ran.fails("cannot copy within the kernel 'source': Cross-device link (EXDEV)");
                    fs::write(dest, &contents).unwrap();
                } else {
                    ran.copied(contents.len());
                }
            });
            assert!(by_us < by_cp + (2 << 20), "{way:?} takes {by_us} bytes, cp {by_cp}");
        }
    });
}

/// Returns lines that compress well, without a page of zeros.
fn text(len: usize) -> Vec<u8> {
    b"a line of text that compresses well\n".iter().copied().cycle().take(len).collect()
}

struct Btrfs {
    mount: Mount,
    dir: File,
}

impl Btrfs {
    fn new(test_fs: &TestFs) -> Btrfs {
        let image = test_fs.beside("compressing.image");
        File::create(&image).unwrap().set_len(512 << 20).unwrap();
        let made = done(Command::new("mkfs.btrfs").args(["-q", "-f"]).arg(&image));
        made.unwrap_or_else(|reason| not_here(reason));
        let options = ["-o", "loop,compress=zstd", image.to_str().unwrap()];
        let mount = Mount::new(test_fs, "compressing", &options);
        // The loop device keeps the image open.
        fs::remove_file(&image).unwrap();
        let dir = File::open(&mount.dir).unwrap();
        Btrfs { mount, dir }
    }

    /// Returns the number of used bytes after everything has been written back.
    fn used(&self) -> u64 {
        syncfs(fd(&self.dir)).unwrap();
        let found = fstatvfs(fd(&self.dir)).unwrap();
        (found.f_blocks - found.f_bfree) * found.f_frsize
    }
}

/// Copies files from a compressed image: with holes that lseek(2) does not report, and one without.
fn image(test_fs: &TestFs, kind: &str, make: impl Fn(&Path, &Path) -> Result<String, String>) {
    let dir = test_fs.beside("contents");
    fs::create_dir_all(&dir).unwrap();
    let sparse = File::create(dir.join("sparse")).unwrap();
    sparse.set_len((20 << 20) + 77).unwrap();
    for at in [0, (3 << 20) + 4000, 9 << 20, (20 << 20) + 70] {
        sparse.write_all_at(&noise(if at < 20 << 20 { 50_000 } else { 7 }), at).unwrap();
    }
    let zeros = File::create(dir.join("zeros")).unwrap();
    zeros.set_len(300_000).unwrap();
    fs::write(dir.join("dense"), text(5 << 20)).unwrap();
    let image = test_fs.beside(&format!("{kind}.image"));
    make(&dir, &image).unwrap_or_else(|reason| not_here(reason));
    let mount =
        Mount::new(test_fs, "image", &["-t", kind, "-o", "loop,ro", image.to_str().unwrap()]);
    for name in ["sparse", "zeros", "dense"] {
        let contents = fs::read(dir.join(name)).unwrap();
        copies(test_fs, &mount.path(name), &contents);
    }
    drop(mount);
    fs::remove_file(image).unwrap();
    fs::remove_dir_all(dir).unwrap();
}

/// Copies a compressed source with each method that leaves zeros out. The copy takes no more space
/// than that of GNU cp.
fn copies(test_fs: &TestFs, source: &Path, contents: &[u8]) {
    let mut t = Trial::new(test_fs);
    let cp = t.path("cp");
    done(Command::new("cp").arg("--reflink=never").arg(source).arg(&cp)).unwrap();
    let blocks = |path: &Path| {
        File::open(path).unwrap().sync_all().unwrap();
        path.metadata().unwrap().blocks()
    };
    let by_cp = blocks(&cp);
    fs::remove_file(cp).unwrap();
    for way in METHODS.iter().filter(|way| !way.contains(&"--method=kernel")) {
        for old in [false, true] {
            let in_place: &[&str] = if old { &["--in-place"] } else { &[] };
            if old {
                t.file("dest", pages(contents.len() + 5000));
            }
            let options = way.iter().chain(in_place).map(Path::new);
            t.run(options.chain([source, Path::new("dest")])).copied(contents.len());
            t.becomes("dest", contents);
            t.check();
            let by_us = blocks(&t.path("dest"));
            let most = by_cp + by_cp / 8 + 256;
            assert!(by_us <= most, "{way:?}: {by_us} blocks of {}, cp {by_cp}", source.display());
            t.remove("dest");
        }
    }
}
