//! The programs as processes: what they print, how they exit, and what is on the disk
//! afterwards.

mod common;

use std::{
    fs::{self, File},
    os::unix::{
        fs::{FileExt, MetadataExt, PermissionsExt, symlink},
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use common::{Scratch, noise, outcome, program};
use object::Architecture;
use proptest::prelude::*;
use rustix::{fs::OFlags, io::Errno};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq, SeccompCondition,
    SeccompFilter, SeccompRule,
};

/// Runs a program, and gives what it wrote and its exit status.
fn run(command: &mut Command) -> (String, String, Option<i32>) {
    outcome(&command.output().unwrap())
}

fn mapcp(source: impl AsRef<Path>, dest: impl AsRef<Path>) -> (String, String, Option<i32>) {
    run(program("mapcp").arg(source.as_ref()).arg(dest.as_ref()))
}

fn copied(bytes: u64) -> (String, String, Option<i32>) {
    (format!("Copied {bytes} bytes\n"), String::new(), Some(0))
}

#[test]
fn files_of_any_size_are_copied_byte_for_byte() {
    let dir = Scratch::new("sizes");
    for page in [4096, 16384, 65536] {
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
        // qemu-user 7.2 drops what mmap2's offset has above 32 bits, and maps the wrong
        // place of the file: with 32 bits, data beyond 4 GiB needs a real kernel.
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
        let mut found = vec![0; text.len()];
        copy.read_exact_at(&mut found, offset).unwrap();
        assert_eq!(found, text);
    }
    let same = Command::new("cmp").arg(&source).arg(&dest).status();
    assert!(same.unwrap().success());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Data anywhere, of any length, and holes between: all bytes arrive, and no hole is
    /// filled.
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
        // A part begins and ends with a page; the file system has an index of the parts.
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
fn permissions_are_the_sources_less_the_umask_or_the_destinations() {
    let dir = Scratch::new("modes");
    let source = dir.file("source", "contents");
    fs::set_permissions(&source, fs::Permissions::from_mode(0o4777)).unwrap();
    let mode = |name: &str| fs::metadata(dir.path(name)).unwrap().mode() & 0o7777;
    let new = dir.path("new");
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 027; exec \"$@\"", "sh"]);
    let copy = program("mapcp");
    shell.arg(copy.get_program()).args(copy.get_args()).arg(&source).arg(&new);
    assert_eq!(run(&mut shell), copied(8));
    assert_eq!(mode("new"), 0o750);

    let old = dir.file("old", "to be replaced");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o604)).unwrap();
    symlink("old", dir.path("link")).unwrap();
    assert_eq!(mapcp(&source, dir.path("link")), copied(8));
    assert_eq!(mode("old"), 0o604);
    assert_eq!(fs::read(&old).unwrap(), b"contents");
    assert!(fs::symlink_metadata(dir.path("link")).unwrap().is_symlink());
}

#[test]
fn what_cannot_be_mapped_is_read() {
    let dir = Scratch::new("read");
    let dest = dir.path("dest");
    // The one says that it has no bytes, the other that it has a page of them.
    for file in ["/proc/version", "/sys/devices/system/cpu/possible"] {
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
        ("dir", "x", format!("copy '{}': Is a directory (EISDIR)", quote("dir"))),
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
        let expected = (String::new(), format!("mapcp: cannot {message}\n"), Some(1));
        assert_eq!(mapcp(dir.path(source), dir.path(dest)), expected);
    }
    assert_eq!(mapcp(&file, "/dev/full").2, Some(1));
    assert_eq!(mapcp(&file, "/dev/null"), copied(8));
    assert_eq!(dir.names(), before);
}

#[test]
fn wrong_usage_is_status_2_and_help_is_0() {
    for (arguments, message) in [
        (&[][..], "SOURCE and DEST are required"),
        (&["one"], "SOURCE and DEST are required"),
        (&["-x", "a"], "unknown option '-x'"),
        (&["-nx", "a"], "unknown option '-nx'"),
        (&["-1", "a"], "unknown option '-1'"),
        (&["--wrong"], "unknown option '--wrong'"),
        (&["--sync=yes"], "unexpected value in '--sync=yes'"),
        (&["a", "b", "-j"], "missing value after '-j'"),
        (&["--jobs", "0"], "--jobs takes a number from 1 to 64, not '0'"),
        (&["-j65"], "--jobs takes a number from 1 to 64, not '65'"),
        (&["--jobs="], "--jobs takes a number from 1 to 64, not ''"),
        (&["--method=fast"], "--method takes auto, clone, kernel, map or write, not 'fast'"),
        (&["--sparse", "always"], "--sparse takes auto or never, not 'always'"),
        (&["--progress=2"], "--progress takes auto, always or never, not '2'"),
    ] {
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
fn every_way_copies_the_same() {
    let dir = Scratch::new("ways");
    let contents = noise((9 << 20) + 1);
    let source = dir.file("source", &contents);
    let dest = dir.path("dest");
    let quote = |path: &Path| format!("'{}'", path.display());
    for way in ["kernel", "map", "write"] {
        for jobs in ["-j1", "-j2", "-j5"] {
            for options in [&[][..], &["--in-place"], &["--sparse=never", "--sync"]] {
                let mut copy = program("mapcp");
                copy.args(["-v", "--method", way, jobs]).args(options).arg(&source).arg(&dest);
                let (out, err, status) = run(&mut copy);
                let line = format!("{} -> {} (9437185 bytes, {way})", quote(&source), quote(&dest));
                let all = format!("{line}\nCopied 9437185 bytes\n");
                assert_eq!((out, err.as_str(), status), (all, "", Some(0)), "{jobs} {options:?}");
                assert!(fs::read(&dest).unwrap() == contents, "{way} {jobs} {options:?}");
                assert_eq!(dir.names(), ["dest", "source"]);
            }
        }
        fs::remove_file(&dest).unwrap();
    }
    // A clone is not to be had everywhere: then that is said, and nothing is left.
    let (_, err, status) = run(program("mapcp").arg("--method=clone").arg(&source).arg(&dest));
    if status == Some(0) {
        assert!(fs::read(&dest).unwrap() == contents);
    } else {
        let start = format!("mapcp: cannot clone to {}: ", quote(&dest));
        assert!(err.starts_with(&start) && status == Some(1), "{err}");
        assert_eq!(dir.names(), ["source"]);
    }
}

#[test]
fn an_existing_file_is_left_alone_or_written_to_in_place() {
    let dir = Scratch::new("existing");
    let source = dir.file("source", noise(300_000));
    for (old, options) in [(noise(1_000_000), "--in-place"), (noise(10), "--in-place")] {
        let dest = dir.file("dest", &old);
        fs::hard_link(&dest, dir.path("link")).unwrap();
        let mut copy = program("mapcp");
        assert_eq!(run(copy.arg(options).arg(&source).arg(&dest)), copied(300_000));
        assert!(fs::read(dir.path("link")).unwrap() == fs::read(&source).unwrap());
        fs::remove_file(dir.path("link")).unwrap();
    }
    // The holes of a source do not show what was there before.
    File::options().write(true).open(&source).unwrap().set_len(600_000).unwrap();
    let dest = dir.file("dest", noise(1_000_000));
    assert_eq!(run(program("mapcp").arg("--in-place").arg(&source).arg(&dest)), copied(600_000));
    assert!(fs::read(&dest).unwrap() == fs::read(&source).unwrap());

    let dest = dir.file("dest", "old");
    let none = "Copied 0 files, 0 bytes\n".to_owned();
    let mut copy = program("mapcp");
    assert_eq!(run(copy.arg("-n").arg(&source).arg(&dest)), (none, String::new(), Some(0)));
    assert_eq!(fs::read(&dest).unwrap(), b"old");
    let new = dir.path("new");
    assert_eq!(run(program("mapcp").arg("-n").arg(&source).arg(&new)), copied(600_000));
    assert!(fs::read(&new).unwrap() == fs::read(&source).unwrap());
}

#[test]
fn what_a_file_has_beside_its_contents_is_preserved() {
    let dir = Scratch::new("preserve");
    let source = dir.file("source", "contents");
    fs::set_permissions(&source, fs::Permissions::from_mode(0o2751)).unwrap();
    let (attribute, value) = ("user.baremap", noise(100));
    // qemu-user or the file system may have none.
    let set = rustix::fs::setxattr(
        source.to_str().unwrap(),
        attribute,
        &value,
        rustix::fs::XattrFlags::CREATE,
    );
    let moment = Duration::new(1_000_000_000, 123_456_789);
    let time = std::time::UNIX_EPOCH + moment;
    let times = fs::FileTimes::new().set_accessed(time).set_modified(time - moment / 2);
    for old in [None, Some("old")] {
        // Reading it changes one of them.
        File::options().write(true).open(&source).unwrap().set_times(times).unwrap();
        let wanted = fs::metadata(&source).unwrap();
        let dest = dir.path("dest");
        old.inspect(|old| fs::write(&dest, old).unwrap());
        assert_eq!(run(program("mapcp").arg("-p").arg(&source).arg(&dest)), copied(8));
        let found = fs::metadata(&dest).unwrap();
        let facts = |stat: &fs::Metadata, nanoseconds| {
            let times = [(stat.mtime(), stat.mtime_nsec()), (stat.atime(), stat.atime_nsec())];
            let times = times.map(|(sec, nsec)| (sec, if nanoseconds { nsec } else { 0 }));
            (stat.mode(), stat.uid(), stat.gid(), times)
        };
        // There qemu-user's `fstat` tells no parts of seconds; a kernel does, as `conformance` finds.
        let told = common::runner().is_none() || common::architecture() != Architecture::S390x;
        assert_eq!(facts(&found, true), facts(&wanted, told));
        let mut buffer = [0; 200];
        if set.is_ok() {
            let count =
                rustix::fs::getxattr(dest.to_str().unwrap(), attribute, &mut buffer).unwrap();
            assert_eq!(buffer[..count], value);
        }
    }
}

#[test]
fn many_files_go_to_a_directory() {
    let dir = Scratch::new("many");
    fs::create_dir_all(dir.path("from/again")).unwrap();
    fs::create_dir(dir.path("to")).unwrap();
    let names = ["a", "b", "c"];
    for name in names {
        dir.file(format!("from/{name}"), noise(name.as_bytes()[0].into()));
    }
    dir.file("from/again/b", "another");
    let mut copy = program("mapcp");
    copy.current_dir(dir.path("from")).args(["a", "missing", "b", "again/b", "c", "../to"]);
    let (out, err, status) = run(&mut copy);
    assert_eq!((out.as_str(), status), ("Copied 3 files, 294 bytes\n", Some(1)));
    let missing = "mapcp: cannot open 'missing': No such file or directory (ENOENT)";
    let again = "mapcp: cannot copy to '../to/b': another source with this name was copied there";
    assert_eq!(err, format!("{missing}\n{again}\n"));
    for name in names {
        let read = |place: &str| fs::read(dir.path(place).join(name)).unwrap();
        assert!(read("from") == read("to"), "{name}");
    }
    let mut listed: Vec<_> =
        fs::read_dir(dir.path("to")).unwrap().map(|e| e.unwrap().file_name()).collect();
    listed.sort();
    assert_eq!(listed, names);

    let mut copy = program("mapcp");
    copy.current_dir(dir.path("from")).args(["a", "b", "c"]);
    let error = "mapcp: cannot copy to 'c': Not a directory (ENOTDIR)\n".to_owned();
    assert_eq!(run(&mut copy), (String::new(), error, Some(1)));
    let mut copy = program("mapcp");
    copy.current_dir(dir.path("from")).args(["-q", "a", "b", "../to"]);
    assert_eq!(run(&mut copy), (String::new(), String::new(), Some(0)));
}

#[test]
fn a_leftover_of_a_killed_copy_is_removed_by_the_next() {
    let dir = Scratch::new("leftover");
    let source = dir.file("source", "contents");
    let dest = dir.file("dest", "old");
    // Without O_TMPFILE it has a name from the start: here it is killed by its limit.
    let named = |copy: &mut Command| {
        refuse(copy, sc::nr::OPENAT, Some((2, OFlags::TMPFILE.bits())), Errno::OPNOTSUPP)
    };
    let fifo = dir.path("fifo");
    common::run(Command::new("mkfifo").arg(&fifo));
    let mut copy = program("mapcp");
    copy.arg(&fifo).arg(&dest).stdout(Stdio::null());
    named(&mut copy);
    let mut child = copy.spawn().unwrap();
    let writer = File::options().write(true).open(&fifo).unwrap();
    let temporary = || dir.names().into_iter().find(|name| name.starts_with(".mapcp-"));
    while temporary().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    // While it lives it is not taken away.
    assert_eq!(mapcp(&source, &dest), copied(8));
    assert!(temporary().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    drop(writer);
    assert!(temporary().is_some());
    assert_eq!(mapcp(&source, &dest), copied(8));
    assert_eq!(dir.names(), ["dest", "fifo", "source"]);
}

#[test]
fn signals_leave_no_temporary_file() {
    common::default_signals();
    let dir = Scratch::new("signals");
    let dest = dir.file("dest", "old");
    let fifo = dir.path("fifo");
    common::run(Command::new("mkfifo").arg(&fifo));
    for signal in
        [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::HUP]
    {
        let mut copy = program("mapcp");
        copy.arg(&fifo).arg(&dest).stdout(Stdio::null());
        refuse(&mut copy, sc::nr::OPENAT, Some((2, OFlags::TMPFILE.bits())), Errno::OPNOTSUPP);
        let mut child = copy.spawn().unwrap();
        let writer = File::options().write(true).open(&fifo).unwrap();
        while dir.names().len() < 3 {
            thread::sleep(Duration::from_millis(1));
        }
        // The name is there before the signals have their handler; they are held back till then.
        let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
        drop(writer);
        assert_eq!(dir.names(), ["dest", "fifo"]);
        assert_eq!(fs::read(&dest).unwrap(), b"old");
    }
}

#[test]
fn a_lost_line_is_a_failure_and_the_copy_is_kept() {
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

#[test]
fn a_full_file_system_leaves_the_destination_as_it_was() {
    let dir = Scratch::new("full");
    let source = dir.file("source", noise(2 << 20));
    let mount = dir.path("mount");
    fs::create_dir(&mount).unwrap();
    // In a mount namespace of its own, which needs root or user namespaces.
    let script = "mount -t tmpfs -o size=1m none \"$0\" && printf old > \"$0/dest\" || exit 99
        \"$@\" \"$0/dest\"; status=$?
        ls -A \"$0\"; cat \"$0/dest\"; exit $status";
    let copy = program("mapcp");
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(&mount);
    unshare.arg(copy.get_program()).args(copy.get_args()).arg(&source);
    let (out, err, status) = run(&mut unshare);
    let message = format!(
        "mapcp: cannot reserve space for '{}/dest': No space left on device (ENOSPC)\n",
        mount.display()
    );
    assert_eq!((out.as_str(), err, status), ("dest\nold", message, Some(1)));
}

#[test]
fn a_killed_copy_leaves_the_old_file_or_the_new_one() {
    let dir = Scratch::new("killed");
    let (old, new) = (noise(1000), noise(32 << 20));
    let source = dir.file("source", &new);
    let dest = dir.path("dest");
    let mut killed = 0;
    for round in 0..30 {
        fs::write(&dest, &old).unwrap();
        let mut copy = program("mapcp");
        let mut child = copy.arg(&source).arg(&dest).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_micros(round * 1500));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        let found = fs::read(&dest).unwrap();
        assert!(found == old || found == new, "neither the old nor the new contents");
        // Only a name can take another's place: in between, the copy has one of its own.
        for name in dir.names() {
            if name.starts_with(".mapcp-") {
                assert!(fs::read(dir.path(&name)).unwrap() == new, "a part of a copy is left");
                fs::remove_file(dir.path(name)).unwrap();
            }
        }
        assert_eq!(dir.names(), ["dest", "source"]);
    }
    assert!(killed > 0, "every copy was faster than its end");
}

/// Lets the kernel refuse a system call, or only where all bits of `flags` are set in one
/// of its arguments.
fn refuse(command: &mut Command, call: usize, flags: Option<(u8, u32)>, errno: Errno) {
    let rule = flags.map(|(argument, bits)| {
        let bits = u64::from(bits);
        let condition = SeccompCondition::new(argument, Dword, MaskedEq(bits), bits).unwrap();
        SeccompRule::new(vec![condition]).unwrap()
    });
    let rules = [(call as i64, rule.into_iter().collect())].into();
    let refusal = SeccompAction::Errno(errno.raw_os_error() as u32);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    // SAFETY: the closure makes two system calls, and nothing of it was locked by another
    // thread.
    unsafe {
        command.pre_exec(move || {
            seccompiler::apply_filter(&filter).map_err(|_| std::io::ErrorKind::Other.into())
        })
    };
}

/// Not even where a filter refuses the call that tells which of them are closed: what is said
/// of the progress, or what went wrong, would be written into the copy.
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

#[test]
fn what_a_file_system_cannot_do_is_done_another_way() {
    let dir = Scratch::new("refused");
    let source = dir.file("source", noise(100_001));
    fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).unwrap();
    let file = File::options().write(true).open(&source).unwrap();
    file.set_len(9 << 20).unwrap();
    let dest = dir.path("dest");
    let no_name = OFlags::TMPFILE.bits();
    // These came when there was statx, and have (or had) no other way.
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
        for old in [None, Some("old contents")] {
            let _ = fs::remove_file(&dest);
            old.inspect(|old| fs::write(&dest, old).unwrap());
            let mut copy = program("mapcp");
            copy.arg(&source).arg(&dest);
            refuse(&mut copy, call, flags, errno);
            // (With ENOSYS, qemu-user does it another way itself.)
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

/// Copies of a file that becomes shorter meanwhile: they fail and say so, but for those that
/// were faster.
fn shrinks(test: &str, fill: impl Fn(&Path)) {
    let dir = Scratch::new(test);
    let (source, dest) = (dir.path("source"), dir.path("dest"));
    let large_pages = common::runner().is_some() && common::page_size() > 4096;
    for round in 0..40 {
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
        // Where qemu-user makes larger pages than the machine has, it maps a file only as
        // far as it reaches at that moment, and beyond there is nothing: no SIGBUS, and no
        // map that begins there.
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
        // It was whole when it was copied, or not yet there.
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

#[test]
fn the_seeds_programs() {
    let dir = Scratch::new("seed");
    let text = dir.file("text", "line\n");
    assert_eq!(run(program("cat").arg(&text)), ("line\n".into(), String::new(), Some(0)));
    let empty = dir.file("empty", "");
    assert_eq!(run(program("cat").arg(&empty)), (String::new(), String::new(), Some(0)));

    let anonymous = "First byte: 0\nAll zero: true\nHello from anonymous mapping!\n\
        Child exited with 7: true\nNumber after the child added to it: 42\n";
    assert_eq!(run(&mut program("anonymous")), (anonymous.into(), String::new(), Some(0)));

    let (out, err, status) = run(program("write").current_dir(dir.path("")));
    let done = "Done. Check testfile.txt\n";
    assert_eq!((out.as_str(), err.as_str(), status), (done, "", Some(0)));
    let mut written = b"Written via mmap!".to_vec();
    written.resize(64, 0);
    assert_eq!(fs::read(dir.path("testfile.txt")).unwrap(), written);

    let source = dir.file("source", noise(100_001));
    for dest in ["dest", "source"] {
        let mut copy = program("tiny-copy");
        assert_eq!(run(copy.arg(&source).arg(dir.path(dest))), copied(100_001));
        assert!(fs::read(dir.path(dest)).unwrap() == noise(100_001));
    }
}

#[test]
fn code_that_a_program_writes_runs() {
    let result = run(&mut program("jit"));
    if !matches!(
        common::architecture(),
        Architecture::X86_64 | Architecture::Aarch64 | Architecture::Riscv64
    ) {
        let error = "jit: knows the instructions of x86_64, aarch64 and riscv64 alone\n";
        return assert_eq!(result, (String::new(), error.into(), Some(1)));
    }
    let lines = [(1, 1), (20, 210), (300, 45150)].map(|(number, sum)| {
        format!("{number} added to 1000: {}\nAll up to {number}: {sum}\n", 1000 + number)
    });
    assert_eq!(result, (lines.concat(), String::new(), Some(0)));
}

/// The addresses differ from one run to the next; the parts do not.
#[test]
fn the_layout_has_every_part_once_from_the_highest_to_the_lowest() {
    let (out, err, status) = run(&mut program("layout"));
    assert_eq!((err.as_str(), status), ("", Some(0)));
    let rows: Vec<(&str, &str)> =
        out.lines().map(|line| line.split_once("  | ").unwrap()).collect();
    assert!(rows.is_sorted_by(|(a, _), (b, _)| a > b), "{out}");
    let mut parts: Vec<&str> =
        rows.iter().map(|(_, what)| what.split(' ').next().unwrap()).collect();
    parts.sort();
    assert_eq!(parts, ["BSS", "data", "heap", "mappings", "stack", "text"]);
}

#[test]
fn the_layout_tells_sizes() {
    let (out, ..) = run(&mut program("layout"));
    for line in out.lines() {
        let size = line.split_once(" KiB").unwrap().0.rsplit(' ').next().unwrap();
        // With pages that are larger than the host's, qemu-user tells other mappings than it has.
        assert!(size.parse::<u64>().unwrap() > 0 || common::page_size() > 4096, "{line}");
    }
    if common::runner().is_none() {
        assert!(out.contains("[vdso]"), "{out}");
    }
}

#[test]
fn words_are_found_on_their_lines() {
    let dir = Scratch::new("words");
    let text = dir.file("text", b"Two words.\nTwo more words, words\xff!\n\n\xc3\x84rger");
    let index = "more 2\ntwo 1 2\nwords 1 2\n\u{e4}rger 4\n";
    assert_eq!(run(program("words").arg(&text)), (index.into(), String::new(), Some(0)));

    // More than a block of memory, and words in the thousands.
    let long: String = (0..40_000).map(|number| format!("word{:05}\n", number % 20_000)).collect();
    let text = dir.file("long", &long);
    let (out, err, status) = run(program("words").arg(&text));
    assert_eq!((err.as_str(), status), ("", Some(0)));
    let wanted =
        (0..20_000).map(|number| format!("word{number:05} {} {}", number + 1, number + 20_001));
    assert!(out.lines().eq(wanted));
}

#[test]
fn out_of_memory_is_one_line_and_a_failure() {
    let dir = Scratch::new("memory");
    let text = dir.path("text");
    File::create(&text).unwrap().set_len(64 << 30).unwrap();
    let words = program("words");
    let mut shell = Command::new("sh");
    // An emulator needs room of its own.
    let limit = if common::runner().is_none() { 64 << 10 } else { 4 << 20 };
    shell.args(["-c", "ulimit -v $0; exec \"$@\"", &limit.to_string()]);
    shell.arg(words.get_program()).args(words.get_args()).arg(&text);
    if common::words() == 32 {
        // No memory could hold it.
        let message = format!(
            "words: {}: Value too large for defined data type (EOVERFLOW)\n",
            text.display()
        );
        let mut words = words;
        assert_eq!(run(words.arg(&text)), (String::new(), message, Some(1)));
        return;
    }
    let output = shell.output().unwrap();
    let (out, err, _) = outcome(&output);
    assert_eq!((out.as_str(), output.status.signal()), ("", Some(6)), "{err}");
    let mut lines = err.lines().filter(|line| !line.starts_with("qemu: uncaught target signal 6"));
    let line = lines.next().unwrap_or_default();
    assert!(line.starts_with("words: panicked at "), "{err}");
    assert!(line.ends_with(": memory allocation of 68719476736 bytes failed"), "{err}");
    assert_eq!(lines.next(), None);
}

#[test]
fn wrong_arguments_of_the_examples_fail() {
    for name in ["cat", "tiny-copy", "words"] {
        let (out, err, status) = run(program(name).arg("/no/such/file"));
        assert_eq!(out, "");
        assert!(!err.is_empty() && status != Some(0), "{name}");
    }
}
