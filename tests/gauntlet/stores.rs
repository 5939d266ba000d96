//! Destinations on file systems that can do little, such as mounts of object stores.

use std::{fs, os::unix::fs::MetadataExt};

use crate::{
    Rows,
    common::noise,
    fuse::{
        Fault,
        Lack::{self, Lengths, Links, Owners, ReadWrite, Renaming, Seeking, Truncation},
        Odd,
    },
    test_fs::TestFs,
    trial::{Trial, run},
};

/// What each file system lacks, and whether an existing file can be replaced atomically there.
const STORES: [(&str, &[Lack], bool); 11] = [
    ("renaming", &[Renaming], false),
    ("links", &[Links], true),
    ("renaming and links", &[Renaming, Links], false),
    ("O_RDWR", &[ReadWrite], true),
    ("O_RDWR and renaming", &[ReadWrite, Renaming, Links], false),
    ("writing out of order", &[Seeking], true),
    ("permissions and owners", &[Owners], true),
    ("lengths", &[Lengths], true),
    ("truncation", &[Truncation], true),
    ("writing out of order, and lengths", &[Seeking, Lengths], true),
    (
        "all of this, as an object store",
        &[Renaming, Links, ReadWrite, Seeking, Owners, Truncation],
        false,
    ),
];

pub fn rows(rows: &mut Rows) {
    for (name, lacks, is_atomic) in STORES {
        for unnamed in [true, false] {
            let with = if unnamed { "" } else { ", without O_TMPFILE" };
            rows.add(format!("a file system without {name}{with}"), move |test_fs| {
                store(test_fs, lacks, unnamed, is_atomic);
            });
        }
    }
}

fn store(test_fs: &TestFs, lacks: &'static [Lack], unnamed: bool, is_atomic: bool) {
    let odd = Odd::new(test_fs, Fault { unnamed, lacks, ..Fault::NONE });
    let mut t = Trial::new(test_fs);
    t.file("empty", "");
    t.file("small", noise(1000));
    t.file("large", noise((3 << 20) + 5));
    t.sparse("holes", 3 << 20, &[(0, b"start"), (2 << 20, b"later")]);
    // Fewer blocks than bytes, and no hole: what a compressed file looks like cannot be had
    // everywhere, but blocks of zeros that are looked for can.
    t.sparse("zeros", 300_000, &[(0, b"start"), (299_999, b"!")]);
    for source in ["empty", "small", "large", "holes", "zeros"] {
        for option in ["-v", "--in-place", "-p", "--sparse=never", "-n"] {
            let new = odd.dir.join("new");
            let ran = run(t.mapcp([option, source]).arg(&new));
            let is_chmod = option == "-p" && lacks.contains(&Owners);
            assert!(ran.err.is_empty() || is_chmod, "{source}, {option}, new: {ran:?}");
            assert!(fs::read(&new).unwrap() == t.read(source), "{source}, {option}, new");
            fs::remove_file(&new).unwrap();
        }
        for option in ["-v", "--in-place", "-p", "--sparse=never"] {
            let dest = odd.dir.join("dest");
            fs::write(&dest, noise(200_000)).unwrap();
            let mode = dest.metadata().unwrap().mode();
            let ran = run(t.mapcp([option, source]).arg(&dest));
            let is_chmod = option == "-p" && lacks.contains(&Owners);
            assert!(ran.err.is_empty() || is_chmod, "{source}, {option}: {ran:?}");
            assert!(fs::read(&dest).unwrap() == t.read(source), "{source}, {option}");
            if option == "-v" {
                assert_eq!(dest.metadata().unwrap().mode(), mode, "{source}");
                assert_eq!(!ran.out.contains(", in place)"), is_atomic, "{source}: {ran:?}");
            }
            fs::remove_file(&dest).unwrap();
        }
        assert_eq!(fs::read_dir(&odd.dir).unwrap().count(), 0, "{source}");
    }
    if !is_atomic {
        let dest = odd.dir.join("dest");
        fs::write(&dest, "old").unwrap();
        let ran = run(t.mapcp(["--atomic", "small"]).arg(&dest));
        assert!(ran.err.ends_with("; --in-place writes into it\n"), "{ran:?}");
        assert_eq!(fs::read(&dest).unwrap(), b"old");
        assert_eq!(fs::read_dir(&odd.dir).unwrap().count(), 1);
    }
    t.check();
}
