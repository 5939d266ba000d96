//! What a copy of a tree must neither destroy nor repeat without end.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use rustix::{io::Errno, process::Resource};

use crate::{
    Rows, common,
    disk::native_only,
    not_here,
    test_fs::{TestFs, is_root},
    trees::{limit, shell},
    trial::{End, Trial, as_another_user, run},
    watch::{Calls, refuse, watch},
};

pub fn rows(rows: &mut Rows) {
    rows.add("a link or a FIFO does not replace the name of a descriptor", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.symlink("nowhere", "link");
        t.fifo("fifo");
        t.symlink("/proc/self/fd/1", "out");
        for arguments in [["-a", "link", "out"], ["-r", "fifo", "out"], ["-rf", "fifo", "out"]] {
            t.run(arguments).fails("cannot create 'out': File exists (EEXIST)");
            t.check();
        }
        // In a directory, the link is replaced as any other.
        t.directory("logs");
        t.symlink("/proc/self/fd/1", "logs/link");
        t.run(["-aq", "link", "logs"]).is(End::Exit(0), "", "");
        t.remove("logs/link");
    });
    rows.add("a tree: lseek of directories is refused", lseek_refused);
    rows.add("a tree: the umask takes permissions from the owner", umask);
    rows.add("a tree: --sync writes the outermost name to the disk", synced_name);
    rows.add("a tree: the copy is met in the source by a bind mount", bind_mount);
}

fn bind_mount(test_fs: &TestFs) {
    native_only();
    if !is_root() {
        not_here("to mount a directory needs root");
    }
    let t = Trial::new(test_fs);
    fs::create_dir_all(t.path("source/sub/x")).unwrap();
    fs::create_dir_all(t.path("dest/sub")).unwrap();
    shell(&t.dir, "mount --bind source/sub/x dest/sub");
    let mut copy = t.mapcp(["-rTq", "source", "dest"]);
    // Without an end, the copy fails when it has no memory for a deeper path.
    limit(&mut copy, Resource::As, 4 << 20);
    let ran = run(&mut copy);
    shell(&t.dir, "umount dest/sub");
    ran.fails("cannot copy 'source/sub/x': it would be copied into itself");
    assert_eq!(fs::read_dir(t.path("source/sub/x")).unwrap().count(), 0);
}

/// A directory that was closed on the way down cannot be read on where it was left.
fn lseek_refused(test_fs: &TestFs) {
    native_only();
    let t = Trial::new(test_fs);
    let inner: String = (0..40).map(|level| format!("/d{level}")).collect();
    fs::create_dir_all(t.path(format!("source{inner}"))).unwrap();
    let mut copy = t.mapcp(["-rq", "source", "dest"]);
    refuse(&mut copy, &[Calls::all(sc::nr::LSEEK)], Errno::OPNOTSUPP);
    let ran = run(&mut copy);
    assert!(ran.end == End::Exit(1) && ran.err.contains("cannot read the directory"), "{ran:?}");
}

fn umask(test_fs: &TestFs) {
    native_only();
    for (options, mask) in [("-rq", "0700"), ("-aq", "0777"), ("-rq", "0277")] {
        let t = Trial::new(test_fs);
        shell(&t.dir, "mkdir -p source/sub/x; echo 1 >source/sub/file; chmod -R 777 .");
        let mut copy = Command::new("sh");
        let script = format!("umask {mask}; exec \"$@\"");
        copy.args(["-c", &script, "sh"]).arg(common::path("mapcp")).current_dir(&t.dir);
        as_another_user(&t, copy.args([options, "source", "dest"]));
        run(&mut copy).is(End::Exit(0), "", "");
        assert_eq!(t.read("dest/sub/file"), b"1\n");
        assert!(t.path("dest/sub/x").is_dir());
    }
    // The copy of a directory that its owner cannot read gets the permissions of its source.
    let t = Trial::new(test_fs);
    shell(&t.dir, "mkdir -m 755 source; mkdir -m 300 dest; chown 65534:65534 source dest");
    let mut copy = t.mapcp(["-aqT", "source", "dest"]);
    as_another_user(&t, &mut copy);
    run(&mut copy).is(End::Exit(0), "", "");
    assert_eq!(t.path("dest").metadata().unwrap().mode() & 0o7777, 0o755);
}

fn synced_name(test_fs: &TestFs) {
    native_only();
    for script in ["mkdir source", "ln -s nowhere source", "mkfifo source"] {
        let t = Trial::new(test_fs);
        shell(&t.dir, script);
        let mut synced = Vec::new();
        let ran = watch(&mut t.mapcp(["-aq", "--sync", "source", "dest"]), |call, _| {
            if call.is(sc::nr::FSYNC) {
                let link = format!("/proc/{}/fd/{}", call.process(), call.arguments[0]);
                synced.push(fs::read_link(link).unwrap());
            }
        });
        ran.is(End::Exit(0), "", "");
        assert_eq!(synced.last(), Some(&t.dir), "{script}: {synced:?}");
    }
}
