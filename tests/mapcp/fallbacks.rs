//! Calls that a file system or a filter refuses, and sources that are truncated.

use super::*;

#[test]
fn refused_calls_are_replaced_by_others() {
    let dir = Scratch::new("refused");
    let source = dir.file("source", noise(100_001));
    fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).unwrap();
    let file = File::options().write(true).open(&source).unwrap();
    file.set_len(9 << 20).unwrap();
    let dest = dir.path("dest");
    let no_name = OFlags::TMPFILE.bits();
    // These architectures came after statx, and have no other call.
    let only_statx =
        matches!(common::architecture(), Architecture::Riscv32 | Architecture::LoongArch64);
    for (call, flags, errno) in [
        (sc::nr::OPENAT, Some((2, no_name)), Errno::OPNOTSUPP), // NFS
        (sc::nr::OPENAT, Some((2, no_name)), Errno::ISDIR),     // before Linux 3.11
        (sc::nr::LINKAT, None, Errno::PERM),                    // vfat: no hard links
        (sc::nr::FALLOCATE, None, Errno::OPNOTSUPP),            // ext3, vfat before a size
        (sc::nr::FALLOCATE, None, Errno::NOSYS),
        (sc::nr::STATX, None, Errno::NOSYS), // before Linux 4.11
        (sc::nr::STATX, None, Errno::PERM),  // container runtimes that do not know it
    ] {
        let _case = case!(call, flags, errno);
        for old in [None, Some("old contents")] {
            let _case = case!(old);
            let _ = fs::remove_file(&dest);
            old.inspect(|old| fs::write(&dest, old).unwrap());
            let mut copy = program("mapcp");
            copy.arg(&source).arg(&dest);
            refuse(&mut copy, call, flags, errno);
            // After ENOSYS, qemu-user uses another call itself.
            if (call, errno) == (sc::nr::STATX, Errno::PERM) && only_statx {
                let (_, err, status) = run(&mut copy);
                assert!(err.contains("cannot examine") && status == Some(1), "{err}");
                assert_eq!(fs::read(&dest).ok().as_deref(), old.map(str::as_bytes));
                continue;
            }
            assert_eq!(run(&mut copy), copied(9 << 20), "call {call}: {errno}");
            assert!(fs::read(&dest).unwrap() == fs::read(&source).unwrap());
            assert_eq!(dir.names(), ["dest", "source"]);
            let mode = fs::metadata(&dest).unwrap().mode() & 0o777;
            assert_eq!(mode, if old.is_some() { 0o644 } else { 0o640 });
        }
    }
}

/// Copies files that are truncated during the copy. The copies fail with a message, unless they end
/// before the truncation.
fn shrinks(test: &str, fill: impl Fn(&Path)) {
    let dir = Scratch::new(test);
    let (source, dest) = (dir.path("source"), dir.path("dest"));
    let large_pages = common::runner().is_some() && common::page_size() > 4096;
    for round in 0..40 {
        let _case = case!(round);
        fill(&source);
        let mut copy = program("mapcp");
        copy.arg(&source).arg(&dest).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = copy.spawn().unwrap();
        thread::sleep(Duration::from_millis(2 + round % 20));
        File::options().write(true).open(&source).unwrap().set_len(1).unwrap();
        let (_, err, status) = outcome(&child.wait_with_output().unwrap());
        let message = format!(
            "mapcp: cannot copy '{}': it was truncated or became unreadable during the copy\n",
            source.display()
        );
        // With larger pages than the host's, qemu-user maps only what exists of the file at that
        // moment. Past the end there is no SIGBUS, and no map can begin there.
        let lie = large_pages
            && (status.is_none() && err.contains("uncaught target signal 11")
                || err
                    == format!(
                        "mapcp: cannot map '{}': Out of memory (ENOMEM)\n",
                        source.display()
                    ));
        if status == Some(1) || lie {
            assert!(err == message || lie, "{err}");
            assert_eq!(dir.names(), ["source"]);
            return;
        }
        assert_eq!(status, Some(0), "{err}");
        // The source was complete when it was copied, or not there yet.
        let size = dest.metadata().unwrap().len();
        assert!(size == 1 || fs::read(&dest).unwrap().ends_with(b"end"), "a part is lost");
        fs::remove_file(&dest).unwrap();
    }
    panic!("every copy was faster than the truncation");
}

#[test]
fn a_source_that_shrinks_is_an_error() {
    let mut contents = noise(64 << 20);
    contents.extend(b"end");
    shrinks("shrinks", |path| fs::write(path, &contents).unwrap());
}

#[test]
fn a_source_with_holes_that_shrinks_is_an_error() {
    shrinks("holes-shrink", |path| {
        let file = File::create(path).unwrap();
        for number in 0..3000 {
            file.write_all_at(b"data", number << 16).unwrap();
        }
        file.write_all_at(b"end", 3000 << 16).unwrap();
    });
}
