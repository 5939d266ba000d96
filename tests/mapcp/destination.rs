//! The destination: what it replaces, its attributes, and what an interrupted copy leaves.

use super::*;

#[test]
fn permissions_are_the_sources_less_the_umask_or_the_old_destinations() {
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
fn an_existing_file_is_left_alone_or_written_to_in_place() {
    let dir = Scratch::new("existing");
    let source = dir.file("source", noise(300_000));
    for (old, options) in [(noise(1_000_000), "--in-place"), (noise(10), "--in-place")] {
        let _case = case!(old, options);
        let dest = dir.file("dest", &old);
        fs::hard_link(&dest, dir.path("link")).unwrap();
        let mut copy = program("mapcp");
        assert_eq!(run(copy.arg(options).arg(&source).arg(&dest)), copied(300_000));
        assert!(fs::read(dir.path("link")).unwrap() == fs::read(&source).unwrap());
        fs::remove_file(dir.path("link")).unwrap();
    }
    // The holes of the source must not show the old contents.
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
fn preserve_copies_mode_owner_times_and_attributes() {
    let dir = Scratch::new("preserve");
    let source = dir.file("source", "contents");
    fs::set_permissions(&source, fs::Permissions::from_mode(0o2751)).unwrap();
    let (attribute, value) = ("user.baremap", noise(100));
    // qemu-user or the file system may lack extended attributes.
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
        let _case = case!(old);
        // Reading the file changes its access time.
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
        // On s390x, qemu-user's `fstat` returns no fractions of seconds. A kernel does, as
        // `conformance` checks.
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
fn the_next_copy_removes_a_killed_copys_temporary_file() {
    let dir = Scratch::new("leftover");
    let source = dir.file("source", "contents");
    let dest = dir.file("dest", "old");
    // Without O_TMPFILE, the copy has a name from the start. A limit kills it.
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
    // The temporary file of a running copy is not removed.
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
    use rustix::process::Signal;
    // Under an emulator, the alignment of the handler's stack depends on the size of the environment.
    let paddings = ["", "x", "xxxx", "xxxxxxxx", "xxxxxxxxxxxx"];
    let signals = [Signal::INT, Signal::TERM, Signal::HUP];
    for (signal, padding) in signals.into_iter().flat_map(|signal| paddings.map(|p| (signal, p))) {
        let _case = case!(signal, padding);
        let mut copy = program("mapcp");
        copy.arg(&fifo).arg(&dest).stdout(Stdio::null()).env("PADDING", padding);
        refuse(&mut copy, sc::nr::OPENAT, Some((2, OFlags::TMPFILE.bits())), Errno::OPNOTSUPP);
        let mut child = copy.spawn().unwrap();
        let writer = File::options().write(true).open(&fifo).unwrap();
        while dir.names().len() < 3 {
            thread::sleep(Duration::from_millis(1));
        }
        // The name exists before the handler is installed. The signals are blocked until then.
        let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        drop(writer);
        assert_eq!(dir.names(), ["dest", "fifo"]);
        assert_eq!(fs::read(&dest).unwrap(), b"old");
    }
}

#[test]
fn a_full_file_system_leaves_the_destination_as_it_was() {
    let dir = Scratch::new("full");
    let source = dir.file("source", noise(2 << 20));
    let mount = dir.path("mount");
    fs::create_dir(&mount).unwrap();
    // In a mount namespace, which needs root or user namespaces.
    let script = "mount -t tmpfs -o size=1m none \"$0\" && printf old > \"$0/dest\" || exit 99
        \"$@\" \"$0/dest\"; status=$?
        ls -A \"$0\"; cat \"$0/dest\"; exit $status";
    let copy = program("mapcp");
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(&mount);
    unshare.arg(copy.get_program()).args(copy.get_args()).arg(&source);
    let (out, err, status) = run(&mut unshare);
    let message = format!(
        "mapcp: cannot reserve space for '{}/dest': No space left on device (ENOSPC); --in-place needs \
         no room for both files\n",
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
        let _case = case!(round);
        fs::write(&dest, &old).unwrap();
        let mut copy = program("mapcp");
        let mut child = copy.arg(&source).arg(&dest).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_micros(round * 1500));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        let found = fs::read(&dest).unwrap();
        assert!(found == old || found == new, "neither the old nor the new contents");
        // Only a file with a name can replace another, so the copy has a temporary name for a
        // moment.
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
