//! What a copy of a tree must neither destroy nor repeat without end.

use std::fs;

use rustix::process::Resource;

use crate::{
    Rows,
    disk::native_only,
    not_here,
    test_fs::{TestFs, is_root},
    trees::{limit, shell},
    trial::{End, Trial, run},
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
