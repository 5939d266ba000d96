//! What programs that watch a directory learn of a copy.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rustix::{
    fs::inotify::{self, CreateFlags, WatchFlags},
    io::Errno,
};

use crate::{
    Rows,
    common::noise,
    test_fs::TestFs,
    trial::{Trial, as_another_user, run},
    watch::{Calls, refuse},
};

pub fn rows(rows: &mut Rows) {
    for (name, way) in [
        ("", &[][..]),
        (", -p", &["-p"]),
        (", -n", &["-n"]),
        (", --sync", &["--sync"]),
        (", --method=write", &["--method=write"]),
    ] {
        rows.add(format!("a watcher hears the name of a new file{name}"), move |test_fs| {
            heard(test_fs, way, "new", &[]);
            heard(test_fs, way, "new", &[crate::signals::without_names()]);
        });
    }
    rows.add("a watcher hears the name of a file that is replaced", |test_fs| {
        heard(test_fs, &[], "old", &[]);
        heard(test_fs, &[], "old", &[crate::signals::without_names()]);
        heard(test_fs, &["--in-place"], "old", &[]);
    });
    rows.add("a watcher hears the name of a file that is written under its name", |test_fs| {
        let refused = [sc::nr::LINKAT, sc::nr::RENAMEAT2, sc::nr::RENAMEAT].map(Calls::all);
        heard(test_fs, &[], "old", &refused);
        heard(test_fs, &[], "new", &refused);
    });
    rows.add("a watcher hears the name of a file that its owner cannot write to", |test_fs| {
        for mode in [0o444, 0o400, 0o000] {
            let mut t = Trial::new(test_fs);
            t.file("source", noise(1000));
            t.directory("dir");
            fs::set_permissions(t.path("dir"), fs::Permissions::from_mode(0o777)).unwrap();
            let readable = if mode == 0 { 0o444 } else { mode | 0o044 };
            fs::set_permissions(t.path("source"), fs::Permissions::from_mode(readable)).unwrap();
            let mut copy = t.mapcp(["source", "dir/new"]);
            as_another_user(&t, &mut copy);
            let events = Events::new(&t.path("dir"));
            run(&mut copy).copied(1000);
            events.end_with("new");
            let found = fs::metadata(t.path("dir/new")).unwrap().permissions().mode();
            assert_eq!(found & 0o222, 0, "the permission to write is taken back");
            t.becomes_as("dir/new", "source");
            t.check();
        }
    });
}

fn heard(test_fs: &TestFs, way: &[&str], dest: &str, refused: &[Calls]) {
    let mut t = Trial::new(test_fs);
    t.file("source", noise(100_000));
    t.directory("dir");
    t.file("dir/old", "old");
    let dest_path = format!("dir/{dest}");
    let mut copy = t.mapcp(way.iter().chain(&["source", &*dest_path]));
    if !refused.is_empty() {
        refuse(&mut copy, refused, Errno::OPNOTSUPP);
    }
    let events = Events::new(&t.path("dir"));
    run(&mut copy).copied(100_000);
    let events = events.list();
    let named = |event: &&(u32, String)| event.1 == dest;
    assert!(events.iter().any(|event| named(&event)), "{events:?}");
    if dest == "new" {
        assert_eq!(events.last().map(|event| &*event.1), Some(dest), "{events:?}");
    }
    t.becomes_as(&dest_path, "source");
    t.check();
}

/// The events of a directory by which programs learn that a file is complete.
struct Events(rustix::fd::OwnedFd);

impl Events {
    fn new(dir: &Path) -> Events {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        let path = std::os::unix::ffi::OsStrExt::as_bytes(dir.as_os_str());
        let wanted = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO;
        inotify::add_watch(&queue, path, wanted).unwrap();
        Events(queue)
    }

    fn list(&self) -> Vec<(u32, String)> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut events = Vec::new();
        while let Ok(event) = reader.next() {
            let name = event.file_name().map_or("", |name| name.to_str().unwrap());
            events.push((event.events().bits(), name.to_owned()));
        }
        events
    }

    #[track_caller]
    fn end_with(&self, name: &str) {
        let events = self.list();
        assert_eq!(events.last().map(|event| &*event.1), Some(name), "{events:?}");
    }
}
