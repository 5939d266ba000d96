//! Directories with all that can be in them, and what the options make of them.
//!
//! GNU cp is the oracle: it does the same with a second tree that was made by the same commands, and
//! then the two are compared, attribute by attribute.

use std::{
    fs::{self, File},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    process::Command,
};

use rustix::{
    fs::{CWD, Mode, OFlags, mkdirat, openat},
    process::{Resource, Rlimit, setrlimit},
};

use crate::{
    Rows,
    compare::{Times, differences},
    disk::native_only,
    not_here,
    test_fs::{TestFs, is_root},
    trial::{End, Ran, Trial, error, run},
};

/// Makes `source` with everything in it. Times are set, with nanoseconds.
const EVERYTHING: &str = r#"
mkdir -p source/sub/deeper source/empty source/closed
cd source
printf contents >file; printf 'the same' >one; ln one sub/two; ln one sub/deeper/three
ln -s file link; ln -s nowhere dangling; ln -s /absolute/path sub/absolute; ln -s sub dirlink
: >nothing
seq 60000 | head -c 300000 >big; head -c 1500000 /dev/zero | tr '\0' x >large
truncate -s 3M hole; printf data | dd of=hole bs=1 seek=1000000 conv=notrunc 2>/dev/null
truncate -s 1M allhole
long=$(printf 'n%.0s' $(seq 255)); printf 1 >$long; mkdir sub/$long; printf 2 >sub/$long/$long
printf 3 >"$(printf 'odd \001\n\377 name')"; printf 4 >'-r'; printf 5 >' '; printf 6 >'\'
mkdir 'dir with spaces'; printf 7 >'dir with spaces/*'
mkfifo fifo; ln fifo 'dir with spaces/fifo2'; ln -P link sub/link2
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
chmod 4751 big; chmod 1777 empty; chmod 0640 nothing; chmod 2750 sub; chmod 0444 one
chmod 0500 sub/deeper; chmod 0600 fifo; chmod 0000 closed
"#;

/// What only root can make.
const OF_ROOT: &str = r#"
mknod null c 1 3; mknod disk b 7 250; chmod 0606 null
chown 1234:5678 big; chown -h 4321:8765 link; chown 1:2 sub/deeper fifo
"#;

/// Attributes and access lists.
const ATTRIBUTES: &str = r#"
setfattr -n user.name -v value file; setfattr -n user.empty file; setfattr -n user.dir -v d sub
setfacl -m u:1234:rw,g:5678:r nothing; setfacl -m u:1234:rwx sub; setfacl -d -m u:99:rx sub
"#;

const TIMES: &str = r#"
find . -depth -exec touch -h -d '2020-02-02 02:02:02.123456789' {} + 
touch -h -d '2001-01-01 01:01:01.000000001' file link sub/deeper fifo .
touch -h -a -d '2010-10-10 10:10:10.9' file sub link
"#;

/// Makes the tree in a directory of its own.
fn everything(test_fs: &TestFs, dir: &Path) {
    let mut script = format!("set -e; umask 022; {EVERYTHING}");
    if is_root() {
        script += OF_ROOT;
    }
    if test_fs.is_whole() {
        script += ATTRIBUTES;
    }
    shell(dir, &(script + TIMES));
}

/// Runs a script that must succeed.
#[track_caller]
pub fn shell(dir: &Path, script: &str) {
    let output = Command::new("bash").args(["-e", "-c", script]).current_dir(dir).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {error}");
}

/// What `mapcp` is compared with.
fn cp(dir: &Path) -> Command {
    let mut cp = Command::new("cp");
    cp.current_dir(dir).env("LC_ALL", "C");
    cp
}

/// Makes two directories by one script, lets `cp` and `mapcp` do the same in them, and compares
/// what they leave. They are called with the words of `arguments`.
#[track_caller]
fn does_as_cp(test_fs: &TestFs, prepare: impl Fn(&Path), arguments: &str) -> Ran {
    let t = Trial::new(test_fs);
    let (one, other) = (t.path("one"), t.path("other"));
    for dir in [&one, &other] {
        fs::create_dir(dir).unwrap();
        prepare(dir);
    }
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let mut command = cp(&one);
    let wanted = run(command.args(words.iter().filter(|&&word| word != "--in-place")));
    let ran = run(t.mapcp(&words).current_dir(&other));
    let mut differ = differences(&one, &other, Times::OfFiles);
    if one.join("source").is_dir() {
        differ += &differences(&one.join("dest"), &other.join("dest"), times(&words));
    }
    assert!(differ.is_empty(), "cp {arguments}: {wanted:?}\nmapcp: {ran:?}\n{differ}");
    assert_eq!(wanted.end, ran.end, "cp: {wanted:?}\nmapcp: {ran:?}");
    // std's `remove_dir_all` cannot enter the directory without permissions.
    shell(&t.dir, "chmod -R u+rwx one other; rm -rf one other");
    ran
}

/// The times that a copy of a tree with these options has from its source.
fn times(options: &[&str]) -> Times {
    let keeps = |word: &&&str| {
        word.starts_with("-a")
            || word.contains("p") && !word.starts_with("--")
            || word.contains("times")
            || ["--archive", "--preserve", "--preserve=all"].contains(*word)
    };
    if options.iter().any(|word| keeps(&word)) { Times::All } else { Times::OfFiles }
}

pub fn rows(rows: &mut Rows) {
    for options in [
        "-a",
        "-r",
        "-R",
        "-r --preserve=mode,ownership,timestamps",
        "-dr",
        "-rL",
        "-rH",
        "-rP",
        "-dR",
        "-ax",
        "-au",
        "-rl",
        "-al",
        "-aT",
        "-af",
        "-an",
        "-r --preserve=mode",
        "-r --preserve=timestamps",
        "-r --preserve=ownership",
        "-r --preserve=links",
        "-r --preserve=mode,links,xattr",
        "-r --preserve=all",
        "--archive",
        "--recursive --no-dereference --preserve=mode,timestamps,ownership",
        "-dPR",
    ] {
        rows.add(format!("a tree with everything, {options}, as cp does"), move |test_fs| {
            native_only();
            whole_only(test_fs);
            does_as_cp(test_fs, |dir| everything(test_fs, dir), &format!("{options} source dest"));
        });
        if options.contains('L') {
            continue; // cp does not replace special files then.
        }
        rows.add(
            format!("a tree with everything over itself, {options}, as cp does"),
            move |test_fs| {
                native_only();
                whole_only(test_fs);
                let prepare = |dir: &Path| {
                    everything(test_fs, dir);
                    shell(dir, "cp -a source dest; cp source/file dest/new; chmod u+w dest/one");
                    if options == "-al" {
                        // Of the names of one file, all but the last are replaced, and cp visits
                        // them in another order.
                        shell(dir, "rm dest/sub/two dest/sub/deeper/three");
                    }
                };
                does_as_cp(test_fs, prepare, &format!("--in-place -T {options} source dest"));
            },
        );
    }
    for (number, (script, arguments)) in CASES.iter().enumerate() {
        rows.add(format!("as cp does {number}: {arguments} | {script}"), move |test_fs| {
            native_only();
            whole_only(test_fs);
            does_as_cp(test_fs, |dir| shell(dir, &format!("{script}\n{FIXED}")), arguments);
        });
    }
    rows.add("a tree of 10,000 levels, -a", |test_fs| deep(test_fs, None));
    rows.add("a tree of 10,000 levels, -a, with 64 descriptors and 32 MiB", |test_fs| {
        deep(test_fs, Some((64, 32 << 20)));
    });
    rows.add("20,000 files: the memory does not grow with them", many);
    rows.add("hard links between distant directories of a deep tree", distant_links);
    rows.add("a tree is not copied into itself", into_itself);
    rows.add("-x: a mount point is copied, and not what is mounted there", one_file_system);
    rows.add("a tree, without openat2, fchmodat2 and O_TMPFILE", old_kernel);
    rows.add("a tree: the summary counts files and bytes", |test_fs| {
        let t = Trial::new(test_fs);
        shell(&t.dir, "mkdir -p source/a; printf 123 >source/x; printf 45 >source/a/y; mkdir dest");
        t.run(["-r", "source", "dest"]).is(End::Exit(0), "Copied 2 files, 5 bytes\n", "");
        let ran = t.run(["-rv", "source/a", "dest"]);
        assert!(ran.out.starts_with("'source/a' -> 'dest/a' (directory)\n"), "{ran:?}");
        assert!(ran.out.ends_with(")\nCopied 1 file, 2 bytes\n"), "{ran:?}");
        assert!(ran.out.contains("'source/a/y' -> 'dest/a/y' (2 bytes, "), "{ran:?}");
    });
    rows.add("-i asks, and copies after yes", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("source", "new");
        t.file("dest", "old");
        for (answer, contents) in [("n\n", "old"), ("", "old"), ("yes\n", "new")] {
            let input = t.test_fs.beside("answer");
            fs::write(&input, answer).unwrap();
            let output = t
                .mapcp(["-iq", "source", "dest"])
                .stdin(File::open(&input).unwrap())
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            assert_eq!(output.stderr, b"mapcp: overwrite 'dest'? ");
            t.becomes("dest", contents);
            t.check();
        }
    });
}

/// These commands leave what cp leaves: a script that makes the files, and the arguments.
const CASES: &[(&str, &str)] = &[
    ("printf 1 >a", "-T a b"),
    ("printf 1 >a; mkdir d", "-t d a"),
    ("printf 1 >a; mkdir d", "-td a"),
    ("printf 1 >a; printf 2 >b; mkdir d", "--target-directory=d a b"),
    ("printf 1 >a; printf 2 >b; mkdir d", "--target d a b"),
    ("printf 1 >a; mkdir d", "-T a d"),
    ("mkdir a; printf 1 >b", "-r a b"),
    ("mkdir a; printf 1 >b", "-rT a b"),
    ("mkdir -p a d/a; printf 1 >a/f; printf 2 >d/a/f", "-r a d"),
    ("mkdir -p a d; printf 1 >a/f; printf 2 >d/f", "-rT a d"),
    ("mkdir -p a d; printf 1 >a/f", "-r a/ d"),
    ("mkdir -p a d; printf 1 >a/f", "-r a/. d"),
    ("mkdir -p a/b d; printf 1 >a/f", "-r a/b/.. d"),
    ("mkdir a; printf 1 >a/f", "-r a new"),
    ("mkdir a; printf 1 >a/f", "-r a new/"),
    ("mkdir a; printf 1 >a/f", "-r a/ new/"),
    ("printf 1 >a", "a new/"),
    ("printf 1 >a", "-r a new/"),
    ("mkdir a", "a b"),
    ("mkdir a d; printf 1 >f", "a f d"),
    ("mkdir a", "-r a missing/b"),
    ("printf 1 >a", "-r missing a b"),
    ("printf 1 >a; mkdir d", "-r missing a d"),
    ("mkdir -p x/n y/n d; printf 1 >x/n/a; printf 2 >y/n/b", "-r x/n y/n d"),
    ("printf 1 >f; ln -s f l", "-P l m"),
    ("printf 1 >f; ln -s f l", "-d l m"),
    ("printf 1 >f; ln -s f l", "-L l m"),
    ("printf 1 >f; ln -s f l", "-r l m"),
    ("printf 1 >f; ln -s f l", "-rH l m"),
    ("printf 1 >f; ln -s f l", "-H l m"),
    ("printf 1 >f; ln -s f l", "-a l m"),
    ("printf 1 >f; ln -s f l; printf 2 >m", "-P l m"),
    ("printf 1 >f; ln -s f l; ln -s g m", "-P l m"),
    ("printf 1 >f; ln -s f l; mkdir m; mkdir m/l", "-P l m"),
    ("mkdir d; printf 1 >d/f; ln -s d l", "-r l m"),
    ("mkdir d; printf 1 >d/f; ln -s d l", "-r l/ m"),
    ("mkdir d; printf 1 >d/f; ln -s d l", "-rH l m"),
    ("mkdir d; printf 1 >d/f; ln -s d l", "-rL l m"),
    ("mkdir d; printf 1 >d/f; ln -s d l", "-H l m"),
    ("mkdir d; ln -s . d/self; printf 1 >d/f", "-rL d m"),
    ("mkdir -p d/e; ln -s ../../d d/e/up; printf 1 >d/f", "-rL d m"),
    ("mkdir d; ln -s missing d/l; printf 1 >d/f", "-rL d m"),
    ("mkdir d; ln -s f d/l; printf 1 >d/f", "-aL d m"),
    ("mkdir a d real; printf 1 >a/f; ln -s real d/a", "-r a d"),
    ("mkdir -p a/x d real; printf 1 >a/x/f; ln -s ../real d/x", "-rT a d"),
    ("mkdir a d; printf 1 >a/f; printf 2 >t; ln -s ../t d/f", "-rT a d"),
    ("mkdir a d; printf 1 >a/f; printf 2 >t; ln -s ../t d/f", "-aT a d"),
    ("mkdir a d; printf 1 >a/f; ln -s missing d/f", "-rT a d"),
    ("mkdir a d; ln -s x a/f; printf 2 >d/f", "-rT a d"),
    ("mkdir -p a d/f; printf 1 >a/f", "-rT a d"),
    ("mkdir -p a/f d; printf 1 >d/f", "-rT a d"),
    ("mkdir -p a/f d; mkfifo d/f", "-rT a d"),
    ("mkdir a d; mkfifo a/f; printf 1 >d/f", "-rT a d"),
    ("mkfifo f", "-r f g"),
    ("mkfifo f; mkdir g", "-r f g"),
    ("printf 1 >a; printf 2 >b", "-n a b"),
    ("printf 1 >a; printf 2 >b", "-u a b"),
    ("printf 1 >a; printf 2 >b; touch -d 2000-01-01 b", "-u a b"),
    ("printf 1 >a; printf 2 >b; touch -d 2000-01-01 b", "-un a b"),
    ("printf 1 >a; printf 2 >b; touch -d 2000-01-01 b", "-nu a b"),
    ("printf 1 >a", "-u a b"),
    ("printf 1 >a; printf 2 >b", "-i a b"),
    ("printf 1 >a; printf 2 >b", "-in a b"),
    ("printf 1 >a; printf 2 >b; chmod 400 b", "-f a b"),
    ("printf 1 >a", "a a"),
    ("printf 1 >a", "-f a a"),
    ("printf 1 >a; ln a b", "a b"),
    ("printf 1 >a; ln a b", "-r a b"),
    ("printf 1 >a; ln a b", "-l a b"),
    ("printf 1 >a; ln -s a b", "a b"),
    ("printf 1 >a", "-l a b"),
    ("printf 1 >a; printf 2 >b", "-l a b"),
    ("printf 1 >a; printf 2 >b", "-lf a b"),
    ("printf 1 >a; ln -s a l", "-l l b"),
    ("printf 1 >a; ln -s a l", "-lP l b"),
    ("mkdir a; printf 1 >a/f; ln -s f a/l", "-rl a b"),
    ("printf 1 >a", "-s a b"),
    ("printf 1 >a; mkdir d", "-s a d"),
    ("mkdir a; printf 1 >a/f", "-rs a b"),
    ("printf 1 >a; printf 2 >b", "-s a b"),
    ("printf 1 >a; printf 2 >b", "-sf a b"),
    ("printf 1 >a; ln a b; mkdir d", "-a a b d"),
    ("printf 1 >a; ln a b; mkdir d", "-d a b d"),
    ("printf 1 >a; ln a b; mkdir d", "-p a b d"),
    ("printf 1 >a; ln a b; mkdir d", "--preserve=links a b d"),
    ("printf 1 >a; ln a b; mkdir d; printf 1 >d/b", "-a a b d"),
    ("printf 1 >a; ln a b; mkdir d; printf 1 >d/a; printf 1 >d/b", "-au a b d"),
    ("mkdir a; printf 1 >a/f; ln a/f a/g; chmod 750 a", "-pr a b"),
    ("umask 077; mkdir a; printf 1 >a/f; chmod 2775 a; mkdir d; chmod 2755 d", "-r a d"),
    ("mkdir a; mkdir a/ro; printf 1 >a/ro/f; chmod 555 a/ro", "-r a b"),
    ("mkdir a; mkdir a/ro; printf 1 >a/ro/f; chmod 555 a/ro", "-a a b"),
    ("mkdir a b; chmod 700 b; chmod 755 a", "-rT a b"),
    ("mkdir a b; chmod 700 b; chmod 755 a", "-aT a b"),
    ("printf 1 >a; chmod 6755 a", "a b"),
    ("printf 1 >a; chmod 6755 a", "-p a b"),
    ("printf 1 >a; chmod 6755 a", "-r a b"),
    ("printf 1 >a; setfattr -n user.x -v y a", "-a a b"),
    ("printf 1 >a; setfattr -n user.x -v y a", "--preserve=xattr a b"),
    ("printf 1 >a; setfattr -n user.x -v y a", "--preserve=mode a b"),
    ("printf 1 >a; setfacl -m u:1:rw a", "--preserve=mode a b"),
    ("printf 1 >a; setfacl -m u:1:rw a", "--preserve=xattr a b"),
    ("printf 1 >a; setfacl -m u:1:rw a; printf 2 >b; setfacl -m u:2:r b", "-p a b"),
    ("mkdir a d; printf 1 >a/f; setfacl -d -m u:1:rwx d", "-r a d"),
    ("mkdir a d; printf 1 >a/f; setfacl -d -m u:1:rwx d", "-a a d"),
    ("mkdir a d; setfacl -d -m u:1:rwx a; mkdir a/b", "-a a d"),
    // A symbolic link over its own target.
    ("printf 1 >f; ln -s f l", "-P l f"),
    ("printf 1 >f; ln -s f l", "-a l f"),
    ("printf 1 >f; ln -s f l", "-r l f"),
    ("printf 1 >f; ln -s f l", "-d l f"),
    ("printf 1 >f; ln -s f l", "-ru l f"),
    ("printf 1 >f; ln -s f l", "-rsf l f"),
    ("printf 1 >f; ln -s f l", "-lP l f"),
    ("printf 1 >f; ln -s f l", "-al l f"),
    ("mkdir s d; printf 1 >d/x; ln -s ../d/x s/x", "-a s/. d"),
    // Hard links do not replace what is kept.
    ("printf 1 >a; ln a b; mkdir d; printf 2 >d/b", "-an a b d"),
    ("printf 1 >a; ln a b; mkdir d; printf 2 >d/a", "-an a b d"),
    ("printf 1 >a; ln a b; mkdir d; printf 2 >d/b", "-ai a b d"),
    ("ln -s x a; ln -P a b; mkdir d; printf 2 >d/b", "-an a b d"),
    ("printf 1 >a; ln a b; mkdir d; printf 2 >d/b", "-au a b d"),
    ("printf 1 >a; ln a b; mkdir d; printf 2 >d/a; touch -d 2000-01-01 a", "-au a b d"),
    // A link to a directory does not replace a copy.
    ("mkdir x y d; printf 1 >x/n; ln -s /etc y/n", "-r x/n y/n d"),
    ("mkdir x y d; printf 1 >x/n; ln -s /etc y/n", "-rH x/n y/n d"),
    // Access lists and attributes of special files.
    ("mkfifo f; setfacl -m u:1:rw,g:2:r f; chmod g-w f", "-a f g"),
    ("mkfifo f; setfacl -m u:1:rw f", "-r --preserve=mode f g"),
    ("mkdir a d; mkfifo a/f; setfacl -d -m u:1:rwx d", "-a a d"),
    ("mkfifo f; setfattr -n trusted.x -v y f", "-a f g"),
    ("ln -s x l; setfattr -h -n trusted.x -v y l", "-a l m"),
    ("ln -s x l; setfattr -h -n trusted.x -v y l; chown -h 7:8 l", "-r --preserve=xattr l m"),
];

/// Sets the times of all files, so that the times of copies can be told from them.
const FIXED: &str = "find . -newermt 2015-01-01 -exec touch -h -d '2014-04-04 04:04:04.4' {} +";

/// File systems that lack some attributes are compared with cp elsewhere.
fn whole_only(test_fs: &TestFs) {
    if !test_fs.is_whole() {
        not_here("cp and mapcp leave different things where attributes cannot be kept");
    }
}

/// A chain of directories with files in them, some of which are one file.
fn make_deep(dir: &Path, levels: usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut fd = openat(CWD, dir.as_os_str().as_bytes(), flags, Mode::empty()).unwrap();
    for level in 0..levels {
        let name = if level % 1000 == 7 { "n".repeat(255) } else { format!("d{level}") };
        mkdirat(&fd, &*name, Mode::from(0o755)).unwrap();
        if level % 100 == 0 {
            // Files beside the directory, so that there is more to do on the way back.
            for name in ["before", "zz-after"] {
                let flags = OFlags::CREATE | OFlags::WRONLY;
                let file = openat(&fd, name, flags, Mode::from(0o640)).unwrap();
                rustix::io::write(&file, format!("level {level}").as_bytes()).unwrap();
            }
            mkdirat(&fd, "side", Mode::from(0o700)).unwrap();
            rustix::fs::symlinkat("..", &fd, "side/up").unwrap();
        }
        fd = openat(&fd, &*name, flags, Mode::empty()).unwrap();
    }
}

fn deep(test_fs: &TestFs, limits: Option<(u64, u64)>) {
    native_only();
    let t = Trial::new(test_fs);
    fs::create_dir(t.path("source")).unwrap();
    make_deep(&t.path("source"), if test_fs.kind == "fuse" { 500 } else { 10_000 });
    let mut copy = t.mapcp(["-aq", "source", "dest"]);
    if let Some((files, memory)) = limits {
        limit(&mut copy, Resource::Nofile, files);
        limit(&mut copy, Resource::As, memory);
    }
    let ran = run(&mut copy);
    ran.is(End::Exit(0), "", "");
    let differ = differences(&t.path("source"), &t.path("dest"), Times::OfFiles);
    shell(&t.dir, "rm -rf source dest");
    assert!(differ.is_empty(), "{differ}");
}

/// Limits a resource of a command.
pub fn limit(command: &mut Command, resource: Resource, most: u64) {
    use std::os::unix::process::CommandExt;
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    // SAFETY: one system call.
    unsafe { command.pre_exec(move || setrlimit(resource, limit).map_err(error)) };
}

fn many(test_fs: &TestFs) {
    native_only();
    let t = Trial::new(test_fs);
    let count = if test_fs.kind == "fuse" || test_fs.kind == "vfat" { 2000 } else { 20_000 };
    fs::create_dir_all(t.path("source/more")).unwrap();
    for number in 0..count {
        let dir = if number % 2 == 0 { "source" } else { "source/more" };
        File::create(t.path(format!("{dir}/file-{number}"))).unwrap();
    }
    let mut copy = t.mapcp(["-r", "source", "dest"]);
    limit(&mut copy, Resource::As, 6 << 20);
    run(&mut copy).is(End::Exit(0), &format!("Copied {count} files, 0 bytes\n"), "");
    let differ = differences(&t.path("source"), &t.path("dest"), Times::OfFiles);
    assert!(differ.is_empty(), "{differ}");
}

fn distant_links(test_fs: &TestFs) {
    native_only();
    let t = Trial::new(test_fs);
    fs::create_dir_all(t.path("source/z")).unwrap();
    fs::write(t.path("source/file"), "linked").unwrap();
    if fs::hard_link(t.path("source/file"), t.path("source/z/other")).is_err() {
        not_here("it has no hard links");
    }
    // Each level has a name of the first file, and one of the file of the level before.
    let mut dir = t.path("source/z");
    for level in 0..100 {
        let next = dir.join(format!("directory-{level}"));
        fs::create_dir(&next).unwrap();
        fs::hard_link(t.path("source/file"), next.join("first")).unwrap();
        fs::write(next.join("own"), format!("{level}")).unwrap();
        if level > 0 {
            fs::hard_link(dir.join("own"), next.join("outer")).unwrap();
        }
        dir = next;
    }
    t.run(["-aq", "source", "dest"]).is(End::Exit(0), "", "");
    let differ = differences(&t.path("source"), &t.path("dest"), Times::OfFiles);
    assert!(differ.is_empty(), "{differ}");
    assert_eq!(t.path("dest/file").metadata().unwrap().nlink(), 102);
    // And once more, over what is there.
    t.run(["-aq", "source/.", "dest"]).is(End::Exit(0), "", "");
    let differ = differences(&t.path("source"), &t.path("dest"), Times::OfFiles);
    assert!(differ.is_empty(), "{differ}");
}

fn into_itself(test_fs: &TestFs) {
    for (arguments, source) in [
        (["-r", "source", "source/new"], "source"),
        (["-r", "source", "source/sub"], "source"),
        (["-r", "source", "source/sub/new"], "source"),
        (["-a", "source/", "source/sub/../new"], "source/"),
        (["-r", "source/.", "source/new"], "source/."),
        (["-r", "source/sub", "source/sub"], "source/sub"),
        (["-r", "source/sub/..", "source/sub/new"], "source/sub/.."),
        (["-r", ".", "source/new"], "."),
    ] {
        let mut t = Trial::new(test_fs);
        t.directory("source");
        t.directory("source/sub");
        t.file("source/file", "contents");
        t.run(arguments).fails(&format!("cannot copy '{source}': it would be copied into itself"));
        t.check();
    }
}

fn one_file_system(test_fs: &TestFs) {
    native_only();
    if !is_root() {
        not_here("to mount a file system needs root");
    }
    let mut t = Trial::new(test_fs);
    shell(&t.dir, "mkdir -p source/mounted source/other; printf 1 >source/other/file");
    let volume = t.path("source/mounted");
    shell(&t.dir, "mount -t tmpfs none source/mounted; printf 2 >source/mounted/file");
    let (first, second) = (t.run(["-rxq", "source", "dest"]), t.run(["-rq", "source", "all"]));
    shell(&t.dir, &format!("umount '{}'", volume.display()));
    first.is(End::Exit(0), "", "");
    second.is(End::Exit(0), "", "");
    for name in ["source", "dest", "all"] {
        for inside in ["", "/mounted", "/other"] {
            t.becomes_directory(&format!("{name}{inside}"));
        }
        t.becomes(format!("{name}/other/file"), "1");
    }
    t.becomes("all/mounted/file", "2");
    t.check();
}

fn old_kernel(test_fs: &TestFs) {
    native_only();
    let t = Trial::new(test_fs);
    everything(test_fs, &t.dir);
    let mut copy = t.mapcp(["-aq", "source", "dest"]);
    use crate::watch::{Calls, refuse};
    let calls = [Calls::all(sc::nr::OPENAT2), Calls::all(452), crate::signals::without_names()];
    refuse(&mut copy, &calls, rustix::io::Errno::NOSYS);
    let ran = run(&mut copy);
    if test_fs.is_whole() {
        ran.is(End::Exit(0), "", "");
        let differ = differences(&t.path("source"), &t.path("dest"), Times::OfFiles);
        assert!(differ.is_empty(), "{differ}");
    }
    shell(&t.dir, "chmod -R u+rwx source dest; rm -rf source dest");
}
