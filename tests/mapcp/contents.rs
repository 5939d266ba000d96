//! Contents and holes arrive byte for byte.

use super::*;

#[test]
fn files_of_any_size_are_copied_byte_for_byte() {
    let dir = Scratch::new("sizes");
    for page in [4096, 16384, 65536] {
        let _case = case!(page);
        for size in [0, 1, page - 1, page, page + 1, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, 9 << 20]
        {
            let source = dir.file("source", noise(size));
            let dest = dir.path("dest");
            assert_eq!(mapcp(&source, &dest), copied(size as u64));
            assert!(fs::read(&dest).unwrap() == fs::read(&source).unwrap(), "{size} bytes differ");
            assert_eq!(dir.names(), ["dest", "source"]);
        }
    }
}

#[test]
fn a_sparse_file_of_5_gib_stays_sparse() {
    let dir = Scratch::new("sparse");
    let source = dir.file("source", "at the start");
    let size = 5 << 30;
    let file = File::options().write(true).open(&source).unwrap();
    file.set_len(size).unwrap();
    let mut marks: Vec<(u64, &[u8])> =
        vec![(0, b"at the start"), ((4 << 30) + 123, b"beyond 4 GiB"), (size - 10, b"at the end")];
    if common::runner().is_some() && common::words() == 32 {
        // qemu-user 7.2 truncates the offset of `mmap2` to 32 bits, and maps the wrong part of the
        // file. 32-bit programs need a real kernel for data beyond 4 GiB.
        marks.truncate(1);
        marks.push(((4 << 30) - 8192, b"before 4 GiB"));
    }
    for &(offset, text) in &marks {
        file.write_all_at(text, offset).unwrap();
    }
    let dest = dir.path("dest");
    assert_eq!(mapcp(&source, &dest), copied(size));
    let copy = File::open(&dest).unwrap();
    assert_eq!(copy.metadata().unwrap().len(), size);
    assert!(copy.metadata().unwrap().blocks() * 512 < 1 << 20, "the holes are filled");
    for (offset, text) in marks {
        let _case = case!(offset, text);
        let mut found = vec![0; text.len()];
        copy.read_exact_at(&mut found, offset).unwrap();
        assert_eq!(found, text);
    }
    let same = Command::new("cmp").arg(&source).arg(&dest).status();
    assert!(same.unwrap().success());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// All bytes arrive, and no hole is filled, whatever the positions and lengths of data and
    /// holes.
    #[test]
    fn any_pattern_of_data_and_holes_is_copied(
        data in proptest::collection::vec((0u64..20 << 20, 1usize..100_000), 0..6),
        size in 0u64..20 << 20,
    ) {
        let dir = Scratch::new("pattern");
        let source = dir.path("source");
        let file = File::create(&source).unwrap();
        let parts = data.len();
        for (offset, len) in data {
            file.write_all_at(&noise(len), offset).unwrap();
        }
        file.set_len(size).unwrap();
        let dest = dir.path("dest");
        prop_assert_eq!(mapcp(&source, &dest), copied(size));
        prop_assert!(fs::read(&source).unwrap() == fs::read(&dest).unwrap());
        let blocks = |path: &Path| fs::metadata(path).unwrap().blocks();
        // A part begins and ends with a whole page, and the file system needs blocks for its index
        // of the parts.
        let slack = (common::page_size() / 512 - 8) * 2 * parts as u64 + 8;
        prop_assert!(blocks(&dest) <= blocks(&source) + slack);
    }
}

#[test]
fn a_file_is_not_copied_to_itself() {
    let dir = Scratch::new("same");
    let contents = noise(100_000);
    let file = dir.file("file", &contents);
    fs::hard_link(&file, dir.path("hard")).unwrap();
    symlink("file", dir.path("soft")).unwrap();
    for name in ["file", "hard", "soft"] {
        let _case = case!(name);
        let dest = dir.path(name);
        let message = format!(
            "mapcp: cannot copy to '{}': it is the same file as the source\n",
            dest.display()
        );
        assert_eq!(mapcp(&file, &dest), (String::new(), message, Some(1)));
        assert!(fs::read(&file).unwrap() == contents);
    }
    assert_eq!(dir.names(), ["file", "hard", "soft"]);
}

#[test]
fn sources_that_cannot_be_mapped_are_read() {
    let dir = Scratch::new("read");
    let dest = dir.path("dest");
    // The size of the first is 0, and the size of the second is a page.
    for file in ["/proc/version", "/sys/devices/system/cpu/possible"] {
        let _case = case!(file);
        let contents = fs::read(file).unwrap();
        assert_eq!(mapcp(file, &dest), copied(contents.len() as u64));
        assert_eq!(fs::read(&dest).unwrap(), contents);
    }

    let fifo = dir.path("fifo");
    common::run(Command::new("mkfifo").arg(&fifo));
    let contents = noise(200_000);
    thread::scope(|scope| {
        scope.spawn(|| fs::write(&fifo, &contents).unwrap());
        assert_eq!(mapcp(&fifo, &dest), copied(200_000));
    });
    assert!(fs::read(&dest).unwrap() == contents);
}

#[test]
fn every_method_copies_the_same_bytes() {
    let dir = Scratch::new("ways");
    let contents = noise((9 << 20) + 1);
    let source = dir.file("source", &contents);
    let dest = dir.path("dest");
    let quote = |path: &Path| format!("'{}'", path.display());
    for way in ["kernel", "map", "write"] {
        let _case = case!(way);
        for jobs in ["-j1", "-j2", "-j5"] {
            let _case = case!(jobs);
            for options in [&[][..], &["--in-place"], &["--sparse=never", "--sync"]] {
                let _case = case!(options);
                let mut copy = program("mapcp");
                copy.args(["-v", "--method", way, jobs]).args(options).arg(&source).arg(&dest);
                let (out, err, status) = run(&mut copy);
                let how = if options.contains(&"--in-place") { ", in place" } else { "" };
                let (from, to) = (quote(&source), quote(&dest));
                let line = format!("{from} -> {to} (9437185 bytes, {way}{how})");
                let all = format!("{line}\nCopied 9437185 bytes\n");
                assert_eq!((out, err.as_str(), status), (all, "", Some(0)), "{jobs} {options:?}");
                assert!(fs::read(&dest).unwrap() == contents, "{way} {jobs} {options:?}");
                assert_eq!(dir.names(), ["dest", "source"]);
            }
        }
        fs::remove_file(&dest).unwrap();
    }
    // Where the file system has no clones, the copy fails and leaves nothing.
    let (_, err, status) = run(program("mapcp").arg("--method=clone").arg(&source).arg(&dest));
    if status == Some(0) {
        assert!(fs::read(&dest).unwrap() == contents);
    } else {
        let start = format!("mapcp: cannot clone to {}: ", quote(&dest));
        assert!(err.starts_with(&start) && status == Some(1), "{err}");
        assert_eq!(dir.names(), ["source"]);
    }
}
