//! Temporary names: who can open the file, how they are removed, and what a search for one waits for.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::{Signal, kill_process},
};

use crate::{
    Rows,
    common::noise,
    disk::native_only,
    fuse::{Fault, Lack, Odd},
    not_here,
    signals::without_names,
    test_fs::TestFs,
    trial::{End, Trial, fd, pages, run},
    watch::{refuse, watch},
};

pub fn rows(rows: &mut Rows) {
    rows.add("-p, a temporary name: nobody but its owner can open the file", |test_fs| {
        native_only();
        for (mode, owner) in [(0o644, 1), (0o666, 1), (0o2755, 1), (0o604, 0)] {
            let mut t = Trial::new(test_fs);
            t.file("source", noise(100_000));
            fs::set_permissions(t.path("source"), fs::Permissions::from_mode(mode)).unwrap();
            if chown(t.path("source"), Some(owner), Some(owner)).is_err() {
                not_here("a file cannot have another owner");
            }
            fs::set_permissions(t.path("source"), fs::Permissions::from_mode(mode)).unwrap();
            let mut copy = t.mapcp(["-p", "source", "new"]);
            refuse(&mut copy, &[without_names()], Errno::OPNOTSUPP);
            let mut seen = 0;
            let dir = t.dir.clone();
            watch(&mut copy, |_, _| {
                for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
                    let name = entry.file_name();
                    let Ok(found) = entry.metadata() else { continue };
                    if !name.to_string_lossy().starts_with(".mapcp-") {
                        continue;
                    }
                    seen += 1;
                    let others = found.mode() & 0o077;
                    assert!(others == 0 || found.uid() == owner, "{:o}", found.mode());
                }
            })
            .copied(100_000);
            assert!(seen > 3, "seen {seen} times");
            let found = t.path("new").metadata().unwrap();
            assert_eq!((found.mode() & 0o7777, found.uid()), (mode, owner));
            t.becomes_as("new", "source");
            t.check();
        }
    });
    for signal in [Signal::TERM, Signal::INT] {
        rows.add(format!("{signal:?} while a temporary name is searched"), move |test_fs| {
            search_ended(test_fs, signal);
        });
    }
    rows.add("a failed copy closes its temporary file before it removes the name", |test_fs| {
        for source in ["source", "fifo"] {
            let fault = Fault {
                unnamed: false,
                close: Some(Errno::IO),
                lacks: &[Lack::RemovalOfOpenFiles],
                ..Fault::NONE
            };
            let odd = Odd::new(test_fs, fault);
            let mut t = Trial::new(test_fs);
            t.file("source", noise(100_000));
            t.fifo("fifo");
            let fifo = t.path("fifo");
            let writer = (source == "fifo")
                .then(|| std::thread::spawn(move || fs::write(fifo, noise(100_000)).unwrap()));
            for dest in ["new", "dest"] {
                if source == "fifo" && dest == "dest" {
                    continue;
                }
                let path = odd.dir.join(dest);
                if dest == "dest" {
                    fs::write(&path, "").unwrap();
                }
                let ran = run(t.mapcp([source]).arg(&path));
                ran.fails(&format!("cannot write to '{}': I/O error (EIO)", path.display()));
                let left = fs::read_dir(&odd.dir).unwrap().map(|entry| entry.unwrap().file_name());
                let left: Vec<_> = left.filter(|name| name != dest).collect();
                assert!(left.is_empty(), "{left:?}");
            }
            if let Some(writer) = writer {
                writer.join().unwrap();
            }
            t.check();
        }
    });
    rows.add("an ended copy closes its temporary file before it removes the name", |test_fs| {
        native_only();
        let fault = Fault { unnamed: false, lacks: &[Lack::RemovalOfOpenFiles], ..Fault::NONE };
        let odd = Odd::new(test_fs, fault);
        let mut t = Trial::new(test_fs);
        t.file("source", pages(3 << 20));
        let mut ended = 0;
        for at in (12..40).step_by(3) {
            let mut number = 0;
            let mut copy = t.mapcp(["source"]);
            copy.arg(odd.dir.join("new"));
            let ran = watch(&mut copy, |_, running| {
                number += 1;
                if number == at {
                    kill_process(running.pid(), Signal::TERM).unwrap();
                }
            });
            let is_new = odd.dir.join("new").exists();
            assert_eq!(fs::read_dir(&odd.dir).unwrap().count(), usize::from(is_new), "call {at}");
            let _ = fs::remove_file(odd.dir.join("new"));
            ended += usize::from(ran.end == End::Signal(Signal::TERM.as_raw()));
        }
        assert!(ended > 2, "{ended} copies were ended");
        t.check();
    });
}

/// Sixty copies to one destination are in progress. A signal does not wait for the search.
fn search_ended(test_fs: &TestFs, signal: Signal) {
    native_only();
    const COUNT: usize = 60;
    let mut t = Trial::new(test_fs);
    t.file("source", noise(1000));
    t.file("dest", "old");
    // The first name that a copy takes says which come next.
    let mut first = None;
    let mut copy = t.mapcp(["source", "dest"]);
    refuse(&mut copy, &[without_names()], Errno::OPNOTSUPP);
    watch(&mut copy, |call, _| {
        let name = || String::from_utf8(call.string(1)).unwrap();
        if call.is(sc::nr::OPENAT) && name().starts_with(".mapcp-") {
            first.get_or_insert(name());
        }
    });
    t.becomes_as("dest", "source");
    let first = u64::from_str_radix(&first.unwrap()[7..], 16).unwrap();
    let mut locks = Vec::new();
    for number in 0..COUNT as u64 {
        let name = format!(".mapcp-{:016x}", first.wrapping_add(number));
        let file = File::create(t.path(&name)).unwrap();
        flock(fd(&file), FlockOperation::LockExclusive).unwrap();
        t.becomes(&name, "");
        locks.push(file);
    }
    let mut tried = 0;
    let mut copy = t.mapcp(["source", "dest"]);
    refuse(&mut copy, &[without_names()], Errno::OPNOTSUPP);
    let ran = watch(&mut copy, |call, running| {
        const CREATE: u64 = rustix::fs::OFlags::CREATE.bits() as u64;
        if call.is(sc::nr::OPENAT) && call.arguments[2] & CREATE != 0 {
            tried += 1;
            if tried == 10 {
                kill_process(running.pid(), signal).unwrap();
            }
        }
    });
    assert_eq!(ran.end, End::Signal(signal.as_raw()), "{ran:?}");
    assert!(tried <= 12, "{tried} names were tried");
    t.check();
}
