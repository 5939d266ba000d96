//! Kinds of sources.

use std::{fs, os::unix::fs::PermissionsExt, thread};

use crate::{
    Rows,
    common::noise,
    not_here,
    trial::{Trial, as_another_user, name, run},
};

pub fn rows(rows: &mut Rows) {
    rows.add("source missing", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("dest", "old");
        t.run(["none", "dest"]).fails("cannot open 'none': No such file or directory (ENOENT)");
        t.run(["none", "new"]).fails("cannot open 'none': No such file or directory (ENOENT)");
        t.run(["", "new"]).fails("cannot open '': No such file or directory (ENOENT)");
        t.check();
    });
    rows.add("source below what is no directory", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("file", "contents");
        t.run(["file/x", "dest"]).fails("cannot open 'file/x': Not a directory (ENOTDIR)");
        t.run(["file/", "dest"]).fails("cannot open 'file/': Not a directory (ENOTDIR)");
        t.check();
    });
    rows.add("source unreadable, as another user", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "secret");
        let open = |mode| fs::Permissions::from_mode(mode);
        fs::set_permissions(&t.dir, open(0o777)).unwrap();
        fs::set_permissions(t.path("source"), open(0o600)).unwrap();
        if fs::metadata(t.path("source")).unwrap().permissions().mode() & 0o777 != 0o600 {
            not_here("files have no permissions");
        }
        let mut copy = t.mapcp(["source", "dest"]);
        as_another_user(&t, &mut copy);
        run(&mut copy).fails("cannot open 'source': Permission denied (EACCES)");
        t.check();
    });
    rows.add("source in a directory that cannot be searched", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.directory("closed");
        t.file("closed/source", "secret");
        fs::set_permissions(&t.dir, fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(t.path("closed"), fs::Permissions::from_mode(0o600)).unwrap();
        if fs::metadata(t.path("closed")).unwrap().permissions().mode() & 0o777 != 0o600 {
            not_here("directories have no permissions");
        }
        let mut copy = t.mapcp(["closed/source", "dest"]);
        as_another_user(&t, &mut copy);
        run(&mut copy).fails("cannot open 'closed/source': Permission denied (EACCES)");
        t.check();
    });
    rows.add("source is a directory", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.directory("dir");
        t.file("dest", "old");
        for dir in ["dir", "dir/", "."] {
            let line =
                format!("cannot copy '{dir}': Is a directory (EISDIR); -r copies directories");
            t.run([dir, "dest"]).fails(&line);
            t.run([dir, "new"]).fails(&line);
        }
        t.check();
    });
    rows.add("source is a FIFO", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.fifo("fifo");
        let contents = noise(300_000);
        let fifo = t.path("fifo");
        for old in [false, true] {
            if old {
                t.file("dest", "old");
            }
            thread::scope(|scope| {
                scope.spawn(|| fs::write(&fifo, &contents));
                t.run(["fifo", "dest"]).copied(300_000);
            });
            t.becomes("dest", contents.clone());
            t.check();
        }
    });
    rows.add("source is a socket", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.socket("socket");
        t.run(["socket", "dest"]).fails("cannot open 'socket': No such device or address (ENXIO)");
        t.check();
    });
    rows.add("source is a character device", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("dest", "old");
        t.run(["/dev/null", "dest"]).copied(0);
        t.becomes("dest", "");
        t.check();
    });
    for file in ["/proc/version", "/proc/self/status", "/sys/devices/system/cpu/possible"] {
        rows.add(format!("source is {file}"), move |test_fs| {
            let mut t = Trial::new(test_fs);
            let ran = t.run([file, "dest"]);
            let found = t.read("dest");
            ran.copied(found.len());
            if file == "/proc/self/status" {
                // The contents differ from process to process, so only the first and the last line
                // are compared.
                let text = String::from_utf8(found.clone()).unwrap();
                assert!(text.starts_with("Name:\t") && text.contains("ctxt_switches"), "{text}");
            } else {
                assert_eq!(found, fs::read(file).unwrap());
            }
            t.becomes("dest", found);
            t.check();
        });
    }
    rows.add("source is a symbolic link to a file", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("file", "contents");
        t.symlink("file", "link");
        t.run(["link", "dest"]).copied(8);
        t.becomes("dest", "contents");
        t.check();
    });
    rows.add("source is a loop of symbolic links", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.symlink("two", "one");
        t.symlink("one", "two");
        let err = t.run(["one", "dest"]);
        err.fails("cannot open 'one': Too many symbolic links encountered (ELOOP)");
        t.check();
    });
    rows.add("source is a dangling symbolic link", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.symlink("nowhere", "link");
        t.run(["link", "dest"]).fails("cannot open 'link': No such file or directory (ENOENT)");
        t.check();
    });
    rows.add("names with a newline and bytes that are no UTF-8", |test_fs| {
        let mut t = Trial::new(test_fs);
        let (odd, new) = (name(b"a\nb\xff'\\\x1b[31m"), name(b"\xfe\n"));
        let dot = name(b".");
        let err = t.run([odd, dot]);
        err.fails(r"cannot open 'a\x0ab\xff\x27\x5c\x1b[31m': No such file or directory (ENOENT)");
        t.check();
        t.file(odd, "contents");
        t.run([odd, new]).copied(8);
        t.becomes(new, "contents");
        t.check();
        t.run([new, new]).fails(r"cannot copy to '\xfe\x0a': it is the same file as the source");
        t.check();
    });
    rows.add("names that start with -", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("-source", "contents");
        t.run(["--", "-source", "--help"]).copied(8);
        t.becomes("--help", "contents");
        t.run(["./-source", "./-n"]).copied(8);
        t.becomes("-n", "contents");
        t.run(["--", "-none", "x"])
            .fails("cannot open '-none': No such file or directory (ENOENT)");
        t.check();
    });
    rows.add("names of 255 bytes, and of 256", |test_fs| {
        let mut t = Trial::new(test_fs);
        let (source, dest, long) = ("s".repeat(255), "d".repeat(255), "x".repeat(256));
        t.file(&source, "contents");
        for _ in 0..2 {
            t.run([&source, &dest]).copied(8);
            t.becomes(&dest, "contents");
            t.check();
        }
        t.run([&long, &dest])
            .fails(&format!("cannot open '{long}': File name too long (ENAMETOOLONG)"));
        t.run([&source, &long])
            .fails(&format!("cannot copy to '{long}': File name too long (ENAMETOOLONG)"));
        t.check();
    });
    rows.add("path too long", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "contents");
        let long = format!("{}x", "./".repeat(2100));
        t.run([&long, "dest"])
            .fails(&format!("cannot open '{long}': File name too long (ENAMETOOLONG)"));
        t.run(["source", &long])
            .fails(&format!("cannot copy to '{long}': File name too long (ENAMETOOLONG)"));
        // The longest possible path.
        let most = format!("{}source", "./".repeat(2044));
        t.run([&most, "dest"]).copied(8);
        t.becomes("dest", "contents");
        t.check();
    });
}
