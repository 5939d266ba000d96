//! What is printed: `--verbose`, `--quiet` and `--progress`.

use crate::{
    Rows,
    common::noise,
    sizes::METHODS,
    trial::{End, Trial, pages},
};

pub fn rows(rows: &mut Rows) {
    rows.add("-v, -q", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(1000));
        t.file("a b\n", noise(10));
        t.directory("dir");
        for option in ["-v", "--verbose"] {
            let ran = t.run([option, "--method=write", "source", "dir"]);
            let line = "'source' -> 'dir/source' (1000 bytes, write)\nCopied 1000 bytes\n";
            ran.is(End::Exit(0), line, "");
        }
        t.becomes("dir/source", noise(1000));
        let ran = t.run(["-v", "/dev/null", "dest"]);
        ran.is(End::Exit(0), "'/dev/null' -> 'dest' (0 bytes, read)\nCopied 0 bytes\n", "");
        t.becomes("dest", "");
        for option in ["-q", "--quiet", "-qv", "-vq"] {
            t.run([option, "source", "dest"]).is(End::Exit(0), "", "");
            t.becomes("dest", noise(1000));
            t.check();
            t.run([option, "none", "dest"])
                .fails("cannot open 'none': No such file or directory (ENOENT)");
        }
        let ran = t.run(["-v", "--method=write", "a b\n", "dir/"]);
        let line = "'a b\\x0a' -> 'dir/a b\\x0a' (10 bytes, write)\nCopied 10 bytes\n";
        ran.is(End::Exit(0), line, "");
        t.becomes("dir/a b\n", noise(10));
        t.check();
    });
    rows.add("--progress=always", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", pages(40 << 20));
        for way in METHODS {
            for option in ["--progress", "--progress=always"] {
                let ran = t.run(way.iter().chain(&[option, "source", "dest"]));
                assert_eq!(
                    (ran.end, &*ran.out),
                    (End::Exit(0), "Copied 41943040 bytes\n"),
                    "{ran:?}"
                );
                // A line that is redrawn, and erased at the end.
                assert!(ran.err.starts_with('\r') && !ran.err.contains('\n'), "{ran:?}");
                assert!(
                    ran.err.ends_with("\r\x1b[K") && ran.err.contains(" of 40.0 MiB"),
                    "{ran:?}"
                );
                t.becomes_as("dest", "source");
                t.check();
                t.remove("dest");
            }
        }
    });
    rows.add("--progress: none where there is no terminal, or with =never", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", pages(40 << 20));
        for option in ["--progress=auto", "--progress=never"] {
            t.run([option, "source", "dest"]).copied(40 << 20);
            t.becomes_as("dest", "source");
            t.check();
        }
    });
    rows.add("--progress=always: an error has a line of its own", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(100_000));
        let ran = t.run(["--progress=always", "source", "/dev/full"]);
        assert_eq!((ran.end, &*ran.out), (End::Exit(1), ""), "{ran:?}");
        let line = "mapcp: cannot write to '/dev/full': No space left on device (ENOSPC)\n";
        let before = ran.err.strip_suffix(line).unwrap_or_else(|| panic!("{ran:?}"));
        assert!(before.is_empty() || before.ends_with("\r\x1b[K"), "{ran:?}");
        t.check();
    });
}
