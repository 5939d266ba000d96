//! Files that change while they are copied.
//!
//! The copy is stopped at each of its system calls, or at some of them, from the one that opens the
//! source on. There the change is made, and the copy continues.

use std::{
    cell::Cell,
    fs::{self, File},
    os::unix::fs::FileExt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Rows,
    common::noise,
    disk::native_only,
    not_here,
    sizes::METHODS,
    test_fs::TestFs,
    trial::{End, Ran, Trial, pages, run, start},
    watch::{Call, refuse, watch},
};

use rustix::io::Errno;

const SIZE: usize = (9 << 20) + 5;

const SHRUNK: &str =
    "mapcp: cannot copy 'source': it was truncated or became unreadable during the copy\n";

/// A change of the files.
type Change = fn(&Trial);

pub fn rows(rows: &mut Rows) {
    for way in METHODS {
        let with = if way.is_empty() { String::new() } else { format!(" {}", way.join(" ")) };
        for (what, len) in [("to 0", 0), ("to half", SIZE / 2 + 3), ("by its last byte", SIZE - 1)]
        {
            rows.add(format!("source truncated {what} during the copy{with}"), move |test_fs| {
                truncated(test_fs, way, len);
            });
        }
        rows.add(format!("source truncated at a random moment{with}"), move |test_fs| {
            truncated_at_random(test_fs, way);
        });
        rows.add(format!("source with holes truncated during the copy{with}"), move |test_fs| {
            holes_truncated(test_fs, way);
        });
        rows.add(format!("destination truncated, --in-place{with}"), move |test_fs| {
            in_place_truncated(test_fs, way);
        });
        // The following rows would be the same with one worker.
        if way.contains(&"-j1") {
            continue;
        }
        let harmless: [(&str, Change); 3] = [
            ("grows", grow),
            ("is replaced", replace),
            ("is removed", |t| {
                fs::remove_file(t.path("source")).unwrap();
            }),
        ];
        for (what, change) in harmless {
            rows.add(format!("source {what} during the copy{with}"), move |test_fs| {
                harmless_change(test_fs, way, what, change);
            });
        }
        rows.add(format!("source rewritten during the copy{with}"), move |test_fs| {
            rewritten(test_fs, way);
        });
        rows.add(format!("destination replaced during the copy{with}"), move |test_fs| {
            destination_changes(test_fs, way, |t| {
                fs::write(t.path("other"), "another").unwrap();
                fs::rename(t.path("other"), t.path("dest")).unwrap();
            });
        });
        rows.add(format!("destination removed during the copy{with}"), move |test_fs| {
            destination_changes(test_fs, way, |t| {
                let _ = fs::remove_file(t.path("dest"));
            });
        });
    }
    rows.add("destination becomes the source, --in-place", in_place_of_the_source);
    for no_names in [false, true] {
        let where_ = if no_names { ", without O_TMPFILE" } else { "" };
        rows.add(format!("two copies to one destination{where_}"), move |test_fs| {
            two_copies(test_fs, no_names);
        });
        rows.add(format!("two copies to a new destination at once{where_}"), move |test_fs| {
            two_at_once(test_fs, no_names);
        });
    }
}

/// Returns the number of a copy's calls at which a change is made. All calls are tried on the file
/// system of the program, where it takes the least time.
fn points(test_fs: &TestFs) -> usize {
    match &*test_fs.kind {
        _ if test_fs.is_here() => 10,
        "fuse" => 3, // where each call is slow
        _ => 5,
    }
}

/// Makes a trial for each of some of a copy's calls: `prepare` creates the files, `arguments`
/// returns the command, `change` is called when the copy is stopped there, and `judge` checks the
/// result.
fn at_calls(
    test_fs: &TestFs,
    prepare: impl Fn(&mut Trial),
    command: impl Fn(&Trial) -> std::process::Command,
    change: impl Fn(&Trial, &Call),
    mut judge: impl FnMut(Trial, Ran, bool),
) {
    native_only();
    let mut count = 0;
    {
        let mut t = Trial::new(test_fs);
        prepare(&mut t);
        watch(&mut command(&t), |_, _| count += 1);
    }
    assert!(count > 5, "{count} calls");
    let points = points(test_fs).min(count);
    for point in 0..points {
        let at = point * (count - 1) / (points - 1);
        let mut t = Trial::new(test_fs);
        prepare(&mut t);
        let mut number = 0;
        let ran = watch(&mut command(&t), |call, _| {
            if number == at {
                change(&t, call);
            }
            number += 1;
        });
        // With several workers, the number of calls varies.
        judge(t, ran, number > at);
    }
}

fn truncate(t: &Trial, name: &str, len: usize) {
    File::options().write(true).open(t.path(name)).unwrap().set_len(len as u64).unwrap();
}

fn both(t: &mut Trial) {
    t.file("source", pages(SIZE));
    t.file("dest", "old");
}

fn truncated(test_fs: &TestFs, way: &[&str], len: usize) {
    let all = pages(SIZE);
    let mut failed = 0;
    at_calls(
        test_fs,
        both,
        |t| t.mapcp(way.iter().chain(&["source", "dest"])),
        |t, _| truncate(t, "source", len),
        |mut t, ran, cut| {
            if cut {
                t.becomes("source", &all[..len]);
            }
            match ran.end {
                End::Exit(1) => {
                    ran.is(End::Exit(1), "", SHRUNK);
                    failed += 1;
                }
                // The copy had read everything, or the file was truncated before the copy began.
                _ if ran.out == format!("Copied {len} bytes\n") => {
                    ran.copied(len);
                    t.becomes("dest", &all[..len]);
                }
                _ => {
                    ran.copied(SIZE);
                    t.becomes("dest", all.clone());
                }
            }
            t.check();
        },
    );
    assert!(failed >= 1, "no copy met it in the middle");
}

/// Truncates the file at random moments, also between system calls.
fn truncated_at_random(test_fs: &TestFs, way: &[&str]) {
    let size = (48 << 20) + 5;
    let all = pages(size);
    let mut t = Trial::new(test_fs);
    t.file("source", all.clone());
    let before = Instant::now();
    t.run(way.iter().chain(&["source", "dest"])).copied(size);
    let mut time = before.elapsed();
    let half = size / 2;
    let mut failed = 0;
    let rounds = if test_fs.has_clones() { 10 } else { 60 };
    for round in 0..rounds {
        if failed == 3 {
            break;
        }
        t.file("source", all.clone());
        t.file("dest", "old");
        let running = start(&mut t.mapcp(way.iter().chain(&["source", "dest"])));
        thread::sleep(time * (round % 10 + 1) / 12);
        truncate(&t, "source", half);
        let ran = running.end();
        t.becomes("source", &all[..half]);
        if ran.end == End::Exit(0) {
            let len = t.read("dest").len();
            assert!(len == half || len == size, "{len} bytes");
            ran.copied(len);
            t.becomes("dest", &all[..len]);
            if len == size {
                // The first copy may have been much slower than the later ones.
                time = time.mul_f64(0.8);
            }
        } else {
            ran.is(End::Exit(1), "", SHRUNK);
            failed += 1;
        }
        t.check();
    }
    if failed == 0 && test_fs.has_clones() {
        not_here("the kernel copies it in one step, by a clone");
    }
    assert!(failed > 0, "every copy was faster than the truncation");
}

fn holes_truncated(test_fs: &TestFs, way: &[&str]) {
    const STEP: u64 = 1 << 19;
    const PARTS: u64 = 24;
    const HALF: usize = (STEP * PARTS / 2) as usize;
    let mut all = vec![0; (STEP * PARTS) as usize];
    for part in all.chunks_mut(STEP as usize) {
        part[..9000].copy_from_slice(&noise(9000));
    }
    let mut failed = 0;
    at_calls(
        test_fs,
        |t| {
            let file = File::create(t.path("source")).unwrap();
            file.set_len(STEP * PARTS).unwrap();
            for number in 0..PARTS {
                file.write_all_at(&noise(9000), number * STEP).unwrap();
            }
            t.file("dest", "old");
        },
        |t| t.mapcp(way.iter().chain(&["source", "dest"])),
        |t, _| truncate(t, "source", HALF),
        |mut t, ran, cut| {
            t.becomes("source", &all[..if cut { HALF } else { all.len() }]);
            if ran.end == End::Exit(1) {
                ran.is(End::Exit(1), "", SHRUNK);
                failed += 1;
            } else {
                let len = t.read("dest").len();
                assert!(len == HALF || len == all.len(), "{len} bytes");
                ran.copied(len);
                t.becomes("dest", &all[..len]);
            }
            t.check();
        },
    );
    assert!(failed >= 1, "no copy met it in the middle");
}

fn grow(t: &Trial) {
    let file = File::options().write(true).open(t.path("source")).unwrap();
    file.write_all_at(&vec![9; 3 << 20], SIZE as u64).unwrap();
}

fn replace(t: &Trial) {
    fs::write(t.path("other"), "another").unwrap();
    fs::rename(t.path("other"), t.path("source")).unwrap();
}

fn harmless_change(test_fs: &TestFs, way: &[&str], what: &str, change: Change) {
    let all = pages(SIZE);
    let mut grown = all.clone();
    grown.resize(SIZE + (3 << 20), 9);
    let mut whole = 0;
    at_calls(
        test_fs,
        both,
        |t| t.mapcp(way.iter().chain(&["source", "dest"])),
        |t, _| change(t),
        |mut t, ran, changed| {
            let after = match what {
                _ if !changed => Some(all.clone()),
                "grows" => Some(grown.clone()),
                "is replaced" => Some(b"another".to_vec()),
                _ => None,
            };
            match &after {
                Some(after) => t.becomes("source", after.clone()),
                None => t.gone("source"),
            }
            if ran.out == format!("Copied {SIZE} bytes\n") {
                ran.copied(SIZE);
                t.becomes("dest", all.clone());
                whole += 1;
            } else if let Some(after) = after {
                // The change came before the source was opened, or before its size was read.
                ran.copied(after.len());
                t.becomes("dest", after);
            } else {
                ran.fails("cannot open 'source': No such file or directory (ENOENT)");
            }
            t.check();
        },
    );
    assert!(whole >= 1, "only {whole} copies of what was there when they began");
}

fn rewritten(test_fs: &TestFs, way: &[&str]) {
    let all = pages(SIZE);
    let other = vec![0x55; SIZE];
    at_calls(
        test_fs,
        both,
        |t| t.mapcp(way.iter().chain(&["source", "dest"])),
        |t, _| {
            let file = File::options().write(true).open(t.path("source")).unwrap();
            file.write_all_at(&other, 0).unwrap();
        },
        |mut t, ran, changed| {
            ran.copied(SIZE);
            t.becomes("source", if changed { other.clone() } else { all.clone() });
            // Every byte is the old or the new one.
            let dest = t.read("dest");
            assert_eq!(dest.len(), SIZE);
            for ((found, old), new) in
                dest.chunks(4096).zip(all.chunks(4096)).zip(other.chunks(4096))
            {
                let mut bytes = found.iter().zip(old).zip(new);
                assert!(
                    found == old
                        || found == new
                        || bytes.all(|((found, old), new)| found == old || found == new),
                    "neither the old bytes nor the new ones"
                );
            }
            t.becomes("dest", dest);
            t.check();
        },
    );
}

/// The copy has the destination's name in the end, whatever happens to the name during the copy,
/// unless the change comes later.
fn destination_changes(test_fs: &TestFs, way: &[&str], change: Change) {
    let all = pages(SIZE);
    let mut copied = 0;
    at_calls(
        test_fs,
        both,
        |t| t.mapcp(way.iter().chain(&["source", "dest"])),
        |t, _| change(t),
        |mut t, ran, _| {
            if ran.end == End::Exit(1) {
                // The old destination existed when its attributes were read.
                ran.fails("cannot replace 'dest': No such file or directory (ENOENT)");
                t.gone("dest");
                t.check();
                return;
            }
            ran.copied(SIZE);
            t.becomes("dest", all.clone());
            if t.is_as_it_should("dest") {
                copied += 1;
            } else if t.path("dest").exists() {
                t.becomes("dest", "another");
            } else {
                t.gone("dest");
            }
            t.check();
        },
    );
    assert!(copied >= 1, "only {copied} copies were there in the end");
}

fn in_place_truncated(test_fs: &TestFs, way: &[&str]) {
    let all = pages(SIZE);
    let old = pages(SIZE + 100);
    let mut failed = 0;
    // Between the last write and the call that sets the file's length, which extends a truncated
    // file with zeros. This cannot be detected, and is documented.
    let unseen = Cell::new(false);
    at_calls(
        test_fs,
        |t| {
            t.file("source", all.clone());
            t.file("dest", old.clone());
        },
        |t| t.mapcp(way.iter().chain(&["--in-place", "source", "dest"])),
        |t, call| {
            unseen.set(call.is(sc::nr::FTRUNCATE) && call.arguments[1] == SIZE as u64);
            truncate(t, "dest", 0);
        },
        |mut t, ran, cut| {
            let dest = t.read("dest");
            if ran.end == End::Exit(1) {
                let line = "mapcp: cannot write to 'dest': it was truncated during the copy; the \
                    destination is partly overwritten\n";
                ran.is(End::Exit(1), "", line);
                failed += 1;
                t.becomes("dest", dest);
            } else {
                ran.copied(SIZE);
                // The destination is complete, or it was truncated after the copy.
                let contents = match () {
                    () if dest.is_empty() && cut => dest,
                    () if unseen.take() => vec![0; SIZE],
                    () => all.clone(),
                };
                t.becomes("dest", contents);
            }
            t.check();
        },
    );
    assert!(failed >= 1, "no copy met it in the middle");
}

/// The destination's name is given to the source after the copy has compared the two and before it
/// opens the destination.
fn in_place_of_the_source(test_fs: &TestFs) {
    native_only();
    let mut t = Trial::new(test_fs);
    t.sparse("source", 9 << 20, &[(5 << 20, b"middle")]);
    t.file("dest", "old");
    let ran = watch(&mut t.mapcp(["--in-place", "source", "dest"]), |call, _| {
        let writes = u64::from(rustix::fs::OFlags::RDWR.bits());
        if call.is(sc::nr::OPENAT) && call.arguments[2] & writes != 0 {
            fs::remove_file(t.path("dest")).unwrap();
            t.made("a hard link", fs::hard_link(t.path("source"), t.path("dest")));
        }
    });
    ran.fails("cannot copy to 'dest': it is the same file as the source");
    t.becomes_as("dest", "source");
    t.check();
}

fn two_copies(test_fs: &TestFs, no_names: bool) {
    let all = pages(SIZE);
    let other = noise(70_000);
    let refused = [crate::signals::without_names()];
    at_calls(
        test_fs,
        |t| {
            both(t);
            t.file("other", other.clone());
        },
        |t| {
            let mut copy = t.mapcp(["source", "dest"]);
            if no_names {
                refuse(&mut copy, &refused, Errno::OPNOTSUPP);
            }
            copy
        },
        |t, _| {
            let mut copy = t.mapcp(["other", "dest"]);
            if no_names {
                refuse(&mut copy, &refused, Errno::OPNOTSUPP);
            }
            run(&mut copy).copied(70_000);
            // The first copy has not taken the name yet, or had it. The name now belongs to the
            // second.
            assert!(t.read("dest") == other);
        },
        |mut t, ran, _| {
            ran.copied(SIZE);
            t.becomes("dest", all.clone());
            if !t.is_as_it_should("dest") {
                t.becomes("dest", other.clone());
            }
            t.check();
        },
    );
}

fn two_at_once(test_fs: &TestFs, no_names: bool) {
    let (one, other) = (Arc::new(pages(4 << 20)), Arc::new(noise(3 << 20)));
    let mut t = Trial::new(test_fs);
    t.file("one", one.to_vec());
    t.file("other", other.to_vec());
    for round in 0..30 {
        let copies = ["one", "other", "one", "other"].map(|source| {
            let mut copy = t.mapcp([source, "dest"]);
            if no_names {
                let refused = [crate::signals::without_names()];
                refuse(&mut copy, &refused, Errno::OPNOTSUPP);
            }
            thread::sleep(Duration::from_micros(round * 50));
            (source, start(&mut copy))
        });
        for (source, copy) in copies {
            copy.end().copied(if source == "one" { one.len() } else { other.len() });
        }
        t.becomes_shared("dest", &one);
        if !t.is_as_it_should("dest") {
            t.becomes_shared("dest", &other);
        }
        t.check();
        if round % 2 == 0 {
            t.remove("dest");
        }
    }
}
