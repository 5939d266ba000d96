//! System calls that work at first, and fail or do nothing later.

use rustix::io::Errno;

use crate::{
    Rows,
    disk::native_only,
    test_fs::TestFs,
    trial::{End, Trial, pages},
    watch::answer,
};

const SIZE: usize = (9 << 20) + 5;

pub fn rows(rows: &mut Rows) {
    let results = [
        ("EBADF", Err(Errno::BADF)),
        ("EIO", Err(Errno::IO)),
        ("EINVAL", Err(Errno::INVAL)),
        ("EPERM", Err(Errno::PERM)),
        ("ENOSYS", Err(Errno::NOSYS)),
        ("ESTALE", Err(Errno::STALE)),
        ("0", Ok(0)),
    ];
    for (text, result) in results {
        for first in [0, 1, 2, 4] {
            rows.add(format!("copy_file_range is {text} from call {first} on"), move |test_fs| {
                late(test_fs, sc::nr::COPY_FILE_RANGE, first, result);
            });
        }
        if result.is_err() && text != "EIO" {
            rows.add(format!("pwrite is {text} from call 1 on"), move |test_fs| {
                late(test_fs, sc::nr::PWRITE64, 1, result);
            });
            rows.add(format!("mmap of the source is {text} from call 1 on"), move |test_fs| {
                late(test_fs, sc::nr::MMAP, 1, result);
            });
        }
    }
}

/// Answers a call in place of the kernel from its `first` time on, with and without holes, and where
/// there is space to be reserved and not.
fn late(test_fs: &TestFs, number: usize, first: usize, result: Result<i64, Errno>) {
    native_only();
    for source in ["source", "holes_source"] {
        for (option, reserves) in [
            ("--quiet", true),
            ("--quiet", false),
            ("--in-place", false),
            ("--sparse=never", false),
        ] {
            let mut t = Trial::new(test_fs);
            t.file("source", pages(SIZE));
            t.sparse("holes_source", 9 << 20, &[(0, b"start"), (5 << 20, b"later")]);
            t.file("dest", "old");
            let mut count = 0;
            let ran = answer(&mut t.mapcp([option, "-j1", source, "dest"]), |call, _| {
                const MAP_SHARED: u64 = 1;
                if !reserves && call.is(sc::nr::FALLOCATE) {
                    return Some(Err(Errno::OPNOTSUPP));
                }
                // Clones need no other call.
                if call.is(sc::nr::IOCTL) {
                    return Some(Err(Errno::OPNOTSUPP));
                }
                let is_it = call.is(number)
                    && (number != sc::nr::MMAP || call.arguments[3] & MAP_SHARED != 0);
                count += usize::from(is_it);
                (is_it && count > first).then_some(result)
            });
            let case = format!("{option}, {source}: {ran:?}");
            assert!(ran.end == End::Exit(0) && ran.err.is_empty(), "{case}");
            t.becomes_as("dest", source);
            t.check();
        }
    }
}
