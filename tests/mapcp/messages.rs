//! Messages, exit statuses and standard descriptors.

use super::*;

#[test]
fn errors_are_one_line_and_leave_nothing() {
    let dir = Scratch::new("errors");
    let file = dir.file("file", "contents");
    let quote = |name: &str| dir.path(name).display().to_string();
    symlink("nowhere", dir.path("dangling")).unwrap();
    fs::create_dir_all(dir.path("dir/file")).unwrap();
    let before = dir.names();
    for (source, dest, message) in [
        (
            "no\nfile",
            "x",
            format!(
                "open '{}/no\\x0afile': No such file or directory (ENOENT)",
                quote("").trim_end_matches('/')
            ),
        ),
        (
            "dir",
            "x",
            format!("copy '{}': Is a directory (EISDIR); -r copies directories", quote("dir")),
        ),
        ("file", "dir", format!("copy to '{}': Is a directory (EISDIR)", quote("dir/file"))),
        ("file", "dir/", format!("copy to '{}': Is a directory (EISDIR)", quote("dir/file"))),
        (
            "file",
            "no/x",
            format!("copy to '{}': No such file or directory (ENOENT)", quote("no/x")),
        ),
        ("file", "file/x", format!("copy to '{}': Not a directory (ENOTDIR)", quote("file/x"))),
        (
            "file",
            "dangling",
            format!("copy to '{}': it is a dangling symbolic link", quote("dangling")),
        ),
    ] {
        let _case = case!(source, dest, message);
        let expected = (String::new(), format!("mapcp: cannot {message}\n"), Some(1));
        assert_eq!(mapcp(dir.path(source), dir.path(dest)), expected);
    }
    assert_eq!(mapcp(&file, "/dev/full").2, Some(1));
    assert_eq!(mapcp(&file, "/dev/null"), copied(8));
    assert_eq!(dir.names(), before);
}

#[test]
fn wrong_usage_exits_with_2_and_help_with_0() {
    for (arguments, message) in [
        (&[][..], "SOURCE and DEST are required"),
        (&["one"], "SOURCE and DEST are required"),
        (&["-y", "a"], "unknown option '-y'"),
        (&["-ny", "a"], "unknown option '-ny'"),
        (&["-1", "a"], "unknown option '-1'"),
        (&["--wrong"], "unknown option '--wrong'"),
        (&["--sync=yes"], "unexpected value in '--sync=yes'"),
        (&["a", "b", "-j"], "missing value after '-j'"),
        (&["--jobs", "0"], "'0' is not one of 1 to 64"),
        (&["-j65"], "'65' is not one of 1 to 64"),
        (&["--jobs="], "'' is not one of 1 to 64"),
        (&["--method=fast"], "'fast' is not one of auto, clone, kernel, map, write"),
        (&["--sparse", "sometimes"], "'sometimes' is not one of auto, always, never"),
        (&["--progress=2"], "'2' is not one of auto, always, never"),
    ] {
        let _case = case!(arguments, message);
        let message = format!("mapcp: {message} (mapcp --help)\n");
        assert_eq!(run(program("mapcp").args(arguments)), (String::new(), message, Some(2)));
    }
    let (out, err, status) = run(program("mapcp").arg("--help"));
    assert!(out.starts_with("Usage: mapcp [OPTIONS] SOURCE DEST\n"), "{out}");
    assert_eq!((err.as_str(), status), ("", Some(0)));
    let version = concat!("mapcp ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(program("mapcp").arg("--version")).0, version);

    let dir = Scratch::new("dashes");
    dir.file("-source", "contents");
    let mut copy = program("mapcp");
    copy.current_dir(dir.path("")).args(["--", "-source", "--help"]);
    assert_eq!(run(&mut copy), copied(8));
    assert_eq!(dir.names(), ["--help", "-source"]);
}

#[test]
fn a_failed_write_to_standard_output_is_a_failure_and_keeps_the_copy() {
    let dir = Scratch::new("stdout");
    let source = dir.file("source", "contents");
    let dest = dir.path("dest");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut copy = program("mapcp");
    let output = copy.arg(&source).arg(&dest).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let (_, err, status) = outcome(&output);
    let message = "mapcp: cannot write to standard output: No space left on device (ENOSPC)\n";
    assert_eq!((err.as_str(), status), (message, Some(1)));
    assert_eq!(fs::read(&dest).unwrap(), b"contents");
}

#[test]
fn closed_descriptors_are_taken_by_no_file() {
    let dir = Scratch::new("closed");
    let source = dir.file("source", noise(5000));
    let dest = dir.path("dest");
    let copy = program("mapcp");
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" <&- >&- 2>&-", "sh"]);
    shell.arg(copy.get_program()).args(copy.get_args()).arg(&source).arg(&dest);
    assert_eq!(shell.status().unwrap().code(), Some(1), "the line is lost");
    assert!(fs::read(&dest).unwrap() == fs::read(&source).unwrap());
}

/// A filter may refuse the call that finds closed standard descriptors. The progress and the error
/// messages must not be written into the copy even then.
#[test]
fn no_file_takes_the_number_of_a_closed_standard_descriptor() {
    if common::runner().is_some() {
        println!("not checked: a filter would refuse the call to the emulator");
        return;
    }
    let dir = Scratch::new("numbers");
    let (source, dest) = (dir.file("source", noise(9 << 20)), dir.path("dest"));
    for closed in 0..8 {
        let mut copy = program("mapcp");
        copy.arg("--progress=always").arg(&source).arg(&dest);
        copy.stdout(Stdio::null()).stderr(Stdio::null());
        refuse(&mut copy, sc::nr::PPOLL, None, Errno::PERM);
        let close = move || {
            // SAFETY: the copy of this process has no use for them.
            (0..3)
                .filter(|fd| closed >> fd & 1 != 0)
                .for_each(|fd| unsafe { rustix::io::close(fd) });
            Ok(())
        };
        // SAFETY: system calls alone.
        let status = unsafe { copy.pre_exec(close) }.status().unwrap();
        let lost = closed & 2 != 0; // its line
        assert_eq!(status.code(), Some(i32::from(lost)), "closed: {closed:03b}");
        let whole = fs::read(&dest).unwrap() == fs::read(&source).unwrap();
        assert!(whole, "closed: {closed:03b}");
        fs::remove_file(&dest).unwrap();
    }
}
