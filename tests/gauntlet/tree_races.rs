//! Trees that change while they are copied, and copies of trees that are killed.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt, symlink},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Signal, kill_process};

use crate::{
    Rows, common,
    compare::{Times, differences},
    disk::native_only,
    not_here,
    test_fs::TestFs,
    trial::{End, Ran, Trial, dies_with_this_process, start},
    watch::watch,
};

/// What nobody may find in a copy.
const SECRET: &str = "secret";

/// A change that is made at one of the copy's system calls.
struct Race {
    name: &'static str,
    options: &'static str,
    change: fn(&Path),
    /// Whether the copy may leave out a part and say so.
    may_fail: bool,
}

const RACES: &[Race] = &[
    Race {
        name: "a directory becomes a link to another",
        options: "-r",
        change: |dir| {
            fs::rename(dir.join("source/sub"), dir.join("moved")).unwrap();
            symlink(dir.join("secret"), dir.join("source/sub")).unwrap();
        },
        may_fail: true,
    },
    Race {
        name: "a directory deep inside becomes a link to another",
        options: "-a",
        change: |dir| {
            let inner = dir.join("source/sub/a/b");
            fs::rename(&inner, dir.join("moved")).unwrap();
            symlink(dir.join("secret"), inner).unwrap();
        },
        may_fail: true,
    },
    Race {
        name: "a file becomes a link to a secret",
        options: "-r",
        change: |dir| {
            fs::remove_file(dir.join("source/sub/file")).unwrap();
            symlink(dir.join("secret/file"), dir.join("source/sub/file")).unwrap();
        },
        may_fail: true,
    },
    Race {
        name: "a file becomes a FIFO",
        options: "-r",
        change: |dir| {
            fs::remove_file(dir.join("source/sub/file")).unwrap();
            let fifo = dir.join("source/sub/file");
            assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
        },
        may_fail: true,
    },
    Race {
        name: "a directory of the copy becomes a link to another",
        options: "-r",
        change: |dir| {
            if fs::rename(dir.join("dest/sub"), dir.join("moved")).is_ok() {
                symlink(dir.join("victim"), dir.join("dest/sub")).unwrap();
            }
        },
        may_fail: true,
    },
    Race {
        name: "a link is in the way of a directory of the copy",
        options: "-a",
        change: |dir| {
            let _ = symlink(dir.join("victim"), dir.join("dest/sub"));
        },
        may_fail: true,
    },
    Race {
        name: "a link is in the way of a file of the copy",
        options: "-r",
        change: |dir| {
            let _ = symlink(dir.join("victim/file"), dir.join("dest/sub/file"));
            let _ = symlink(dir.join("victim/file"), dir.join("dest/other"));
        },
        may_fail: false,
    },
    Race {
        name: "the copy becomes a link to another directory",
        options: "-a",
        change: |dir| {
            if fs::rename(dir.join("dest"), dir.join("moved")).is_ok() {
                symlink(dir.join("victim"), dir.join("dest")).unwrap();
            }
        },
        may_fail: true,
    },
    Race {
        name: "a directory is removed",
        options: "-a",
        change: |dir| {
            let _ = fs::remove_dir_all(dir.join("source/sub/a"));
        },
        may_fail: true,
    },
    Race {
        name: "everything is removed",
        options: "-a",
        change: |dir| {
            let _ = fs::remove_dir_all(dir.join("source"));
        },
        may_fail: true,
    },
    Race {
        name: "the copy is removed",
        options: "-r",
        change: |dir| {
            let _ = fs::remove_dir_all(dir.join("dest"));
        },
        may_fail: true,
    },
    Race {
        name: "files are added",
        options: "-r",
        change: |dir| {
            for number in 0..100 {
                File::create(dir.join(format!("source/sub/new-{number}"))).unwrap();
            }
            fs::create_dir(dir.join("source/sub/new")).unwrap();
        },
        may_fail: false,
    },
    Race {
        name: "a file becomes a directory",
        options: "-r",
        change: |dir| {
            fs::remove_file(dir.join("source/sub/file")).unwrap();
            fs::create_dir(dir.join("source/sub/file")).unwrap();
        },
        may_fail: true,
    },
    Race {
        name: "the first name of a file with two is removed from the copy",
        options: "-a",
        change: |dir| {
            let _ = fs::remove_file(dir.join("dest/one"));
            let _ = fs::remove_file(dir.join("dest/sub/two"));
        },
        may_fail: true,
    },
];

fn small(dir: &Path) {
    fs::create_dir_all(dir.join("source/sub/a/b/c")).unwrap();
    for name in ["other", "one", "sub/file", "sub/a/file", "sub/a/b/file", "sub/a/b/c/file"] {
        fs::write(dir.join("source").join(name), format!("contents of {name}")).unwrap();
    }
    let _ = fs::hard_link(dir.join("source/one"), dir.join("source/sub/two"));
    for (dir, text) in [(dir.join("secret"), SECRET), (dir.join("victim"), "victim")] {
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("file"), text).unwrap();
    }
}

pub fn rows(rows: &mut Rows) {
    for race in RACES {
        rows.add(format!("tree: {} during the copy", race.name), move |test_fs| {
            changed(test_fs, race);
        });
    }
    rows.add("tree: a directory around many levels is moved during the copy", moved);
    rows.add("tree: 200 times SIGKILL at random moments", |test_fs| killed(test_fs, "-a"));
    rows.add("tree: 200 times SIGKILL at random moments, over a copy", |test_fs| {
        killed(test_fs, "-r");
    });
}

/// Makes the change at each of the calls of a copy, or at some of them.
fn changed(test_fs: &TestFs, race: &Race) {
    native_only();
    if !test_fs.is_whole() {
        not_here("it lacks links");
    }
    let count = {
        let (t, mut count) = (Trial::new(test_fs), 0);
        small(&t.dir);
        watch(&mut t.mapcp([race.options, "source", "dest"]), |_, _| count += 1);
        count
    };
    assert!(count > 30, "{count} calls");
    let step = if test_fs.is_here() { 1 } else { 7 };
    let mut failed = 0;
    for at in (0..count).step_by(step) {
        let t = Trial::new(test_fs);
        small(&t.dir);
        let mut number = 0;
        let ran = watch(&mut t.mapcp([race.options, "source", "dest"]), |_, _| {
            if number == at {
                (race.change)(&t.dir);
            }
            number += 1;
        });
        failed += u32::from(ran.end != End::Exit(0));
        judge(&t, race, &ran, at);
    }
    println!("        ({failed} of {} failed)", count.div_ceil(step));
}

/// Nothing outside was read or changed, and the copy ended in order.
fn judge(t: &Trial, race: &Race, ran: &Ran, at: usize) {
    let name = race.name;
    match ran.end {
        End::Exit(0) => {}
        End::Exit(1) if race.may_fail && ran.err.starts_with("mapcp: cannot ") => {}
        _ => panic!("{name}, at {at}: {ran:?}"),
    }
    let victim = fs::read_dir(t.path("victim")).unwrap().count();
    assert_eq!((victim, &*t.read("victim/file")), (1, &b"victim"[..]), "{name}, at {at}: {ran:?}");
    for found in t.names() {
        let path = t.path(&found);
        let is_copy = found.as_encoded_bytes().starts_with(b"dest");
        let is_file = path.symlink_metadata().unwrap().is_file();
        if is_copy && is_file {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text != SECRET, "{name}, at {at}: {found:?} has the secret");
            let is_whole = text.is_empty() || text.starts_with("contents of ") || text == "victim";
            assert!(is_whole, "{name}, at {at}: {found:?} is {text:?}");
        }
        let temporary = found.to_string_lossy().contains(".mapcp-");
        assert!(!temporary, "{name}, at {at}: {found:?} was left");
    }
}

/// A directory is moved while the copy is far inside of it: everything is copied all the same. If
/// the directory around it is moved, too, there is no way back to that one, but to those around it.
fn moved(test_fs: &TestFs) {
    native_only();
    const LEVELS: usize = 60;
    for (at, from, is_lost) in [
        (3, "source", false),
        (10, "source", true),
        (50, "source", false),
        (3, "dest", true),
        (40, "dest", false),
        (40, "dest", true),
    ] {
        let t = Trial::new(test_fs);
        let mut path = t.path("source");
        for level in 0..LEVELS {
            path.push(format!("d{level}"));
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("file"), format!("level {level}")).unwrap();
        }
        let mut inner = t.path(from);
        inner.extend((0..at).map(|level| format!("d{level}")));
        let mut done = false;
        let ran = watch(&mut t.mapcp(["-r", "source", "dest"]), |call, _| {
            // The innermost directory is entered.
            let last = format!("d{}", LEVELS - 1);
            if !done && call.is(sc::nr::MKDIRAT) && call.string(1) == last.as_bytes() {
                fs::rename(&inner, t.path("moved")).unwrap();
                if is_lost {
                    fs::rename(inner.parent().unwrap(), t.path("around")).unwrap();
                }
                done = true;
            }
        });
        assert!(done);
        if is_lost {
            let depth: String = (0..at - 1).map(|level| format!("/d{level}")).collect();
            let cause = "it was replaced or moved during the copy";
            let line = format!("mapcp: cannot read the directory 'source{depth}': {cause}\n");
            let bytes = "Copied 60 files, 470 bytes\n";
            ran.is(End::Exit(1), bytes, &line);
        } else {
            ran.is(End::Exit(0), "Copied 60 files, 470 bytes\n", "");
        }
        // All files that were met are copied, as the files of a level come before its directories.
        let mut copies = ["dest", "moved", "around"].map(|name| files(&t.path(name))).concat();
        copies.sort();
        copies.dedup();
        assert_eq!(copies.len(), LEVELS, "{copies:?}");
    }
}

/// The contents of all files named `file` in a directory.
fn files(dir: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(files(&path));
        } else {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts
}

/// After each kill, a file of the copy is whole or is not there, and in the end -u completes it.
fn killed(test_fs: &TestFs, options: &str) {
    native_only();
    let t = Trial::new(test_fs);
    let bytes = common::noise(400_000);
    for number in 0..150 {
        let dir = t.path(format!("source/{}/{}", number % 3, number % 10));
        fs::create_dir_all(&dir).unwrap();
        let len = [0, 1, 100, 4096, 5000, 70_000, 300_000][number % 7];
        let path = dir.join(format!("file-{number}"));
        fs::write(&path, &bytes[number..number + len]).unwrap();
        if number % 10 == 3 && fs::hard_link(&path, dir.join(format!("link-{number}"))).is_err() {
            not_here("it has no hard links");
        }
        symlink("target", dir.join(format!("symlink-{number}"))).unwrap();
    }
    // The times of the sources are in the past, so that -u can tell what is newer.
    let past = ["-c", "find source -depth -exec touch -h -d '2020-02-02 02:02:02.02' {} +"];
    assert!(Command::new("bash").args(past).current_dir(&t.dir).status().unwrap().success());
    let copy = |options: &str| {
        let mut copy = t.mapcp([options, "-q", "-T", "source", "dest"]);
        dies_with_this_process(&mut copy);
        copy
    };
    let before = Instant::now();
    start(&mut copy(options)).end().is(End::Exit(0), "", "");
    let time = before.elapsed();
    let (mut kills, mut copies) = (0, 0);
    // The speed of a copy varies on a busy machine, so the kills are counted and not the copies.
    while kills < 200 {
        assert!(copies < 4000, "{kills} of {copies} copies were killed");
        if options == "-a" && copies % 4 == 0 {
            fs::remove_dir_all(t.path("dest")).unwrap();
        }
        let running = start(&mut copy(options));
        thread::sleep(
            time.mul_f32((copies * 37 % 100) as f32 / 100.0) + Duration::from_micros(300),
        );
        let _ = kill_process(running.pid(), Signal::KILL);
        copies += 1;
        match running.end() {
            ran if ran.end == End::Signal(9) => kills += 1,
            ran => ran.is(End::Exit(0), "", ""),
        }
        whole(&t, &bytes);
    }
    // A time of the copy that is not the source's is later.
    start(&mut copy(&format!("{options}u"))).end().is(End::Exit(0), "", "");
    whole(&t, &bytes);
    if options == "-a" {
        // A symbolic link gets its times after it was created. If the copy was killed in between,
        // the link is newer than the source, and -u keeps it.
        start(&mut copy(options)).end().is(End::Exit(0), "", "");
        let differ = differences(&t.path("source"), &t.path("dest"), Times::OfFiles);
        let differ: Vec<&str> = differ.lines().filter(|line| !line.contains(".mapcp-")).collect();
        assert!(differ.is_empty(), "{differ:?}");
    }
    let left = whole(&t, &bytes);
    println!("        ({kills} of {copies} killed; {left} names of its own are left)");
}

/// Fails if a file of the copy is not whole. Returns the number of temporary names.
fn whole(t: &Trial, bytes: &[u8]) -> usize {
    let mut left = 0;
    for name in t.names() {
        let path = t.path(&name);
        let Ok(stat) = path.symlink_metadata() else { continue };
        let text = name.to_string_lossy();
        if text.contains(".mapcp-") {
            left += 1;
            continue;
        }
        let Some(inside) = text.strip_prefix("dest/") else { continue };
        if !stat.is_file() {
            continue;
        }
        let source = t.path("source").join(inside).metadata().unwrap();
        assert_eq!(stat.size(), source.size(), "{name:?}");
        // Each file begins at another byte of the noise.
        if let Some(number) = inside.rsplit_once("file-").and_then(|(_, n)| n.parse::<usize>().ok())
        {
            let mut found = vec![0; stat.size() as usize];
            File::open(&path).unwrap().read_exact_at(&mut found, 0).unwrap();
            assert!(found == bytes[number..number + found.len()], "{name:?} differs");
        }
    }
    left
}
