//! Valid and invalid arguments.

use crate::{
    Rows,
    common::noise,
    trial::{End, Trial, name, run},
};

pub fn rows(rows: &mut Rows) {
    for arguments in [
        &[][..],
        &["one"],
        &["-y", "source", "dest"],
        &["--wrong", "source", "dest"],
        &["--method", "source", "dest", "new"],
        &["--method=fast", "source", "dest"],
        &["--method=", "source", "dest"],
        &["--sparse=sometimes", "source", "dest"],
        &["--sparse", "source", "dest"],
        &["--progress=maybe", "source", "dest"],
        &["-j0", "source", "dest"],
        &["-j", "source", "dest"],
        &["-j-1", "source", "dest"],
        &["--jobs=many", "source", "dest"],
        &["--jobs=", "source", "dest"],
        &["-j99999999999999999999", "source", "dest"],
        &["--sync=yes", "source", "dest"],
        &["--quiet=", "source", "dest"],
        &["source", "dest", "-j"],
        &["--", "source"],
        &["--in-place"],
    ] {
        rows.add(format!("wrong usage: {arguments:?}"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            t.file("source", "contents");
            t.file("dest", "old");
            let ran = t.run(arguments);
            assert!(
                ran.err.starts_with("mapcp: ")
                    && ran.err.ends_with(" (mapcp --help)\n")
                    && ran.err.lines().count() == 1,
                "{ran:?}"
            );
            assert_eq!((ran.end, &*ran.out), (End::Exit(2), ""));
            t.check();
        });
    }
    rows.add("wrong usage: an option with any bytes", |test_fs| {
        let t = Trial::new(test_fs);
        let ran = run(t.mapcp([""; 0]).args([name(b"--a\n\xff'"), name(b"x"), name(b"y")]));
        assert_eq!((ran.end, &*ran.out), (End::Exit(2), ""));
        assert!(ran.err.contains(r"--") && ran.err.contains(r"a\x0a\xff\x27"), "{ran:?}");
        assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
        t.check();
    });
    rows.add("--help, --version: nothing else is done", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        let version = concat!("mapcp ", env!("CARGO_PKG_VERSION"), "\n");
        for word in ["-V", "--version"] {
            t.run([word]).is(End::Exit(0), version, "");
            t.run([word, "source", "dest"]).is(End::Exit(0), version, "");
        }
        for word in ["-h", "--help"] {
            let ran = t.run([word, "source", "dest"]);
            assert_eq!((ran.end, &*ran.err), (End::Exit(0), ""));
            assert!(ran.out.starts_with("Usage: mapcp [OPTIONS] SOURCE DEST\n"), "{ran:?}");
            for option in [
                "-n, --no-clobber",
                "-p, --preserve",
                "--in-place",
                "--sparse",
                "--method",
                "-j, --jobs",
                "--sync",
                "--progress",
                "-v, --verbose",
                "-q, --quiet",
                "-h, --help",
                "-V, --version",
                "--  ",
            ] {
                assert!(ran.out.contains(option), "{option}: {}", ran.out);
            }
            assert!(ran.out.lines().all(|line| line.len() <= 100), "{}", ran.out);
        }
        t.check();
    });
    rows.add("options in every spelling and place", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", noise(100_000));
        for arguments in [
            &["-j2", "source", "dest"][..],
            &["-j", "2", "source", "dest"],
            &["--jobs=2", "source", "dest"],
            &["--jobs", "2", "source", "dest"],
            &["source", "dest", "-j2"],
            &["source", "-j", "2", "dest"],
            &["--method", "write", "source", "dest"],
            &["--sparse", "auto", "source", "dest"],
            &["-pj2", "source", "dest"],
            &["--sync", "--in-place", "-p", "source", "dest"],
            &["--progress=never", "--method=auto", "--sparse=never", "source", "dest"],
            &["--method=map", "--method=write", "source", "dest"],
            &["-j64", "source", "dest"],
        ] {
            t.run(arguments).copied(100_000);
            t.becomes_as("dest", "source");
            t.check();
            t.file("dest", "old");
        }
    });
    rows.add("- is a name", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("-", "contents");
        t.run(["-", "dest"]).copied(8);
        t.becomes("dest", "contents");
        t.check();
    });
}
