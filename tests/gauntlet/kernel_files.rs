//! Destinations in /proc/sys, /sys and cgroups, whose files have no length of their own.

use std::{fs, path::Path};

use crate::{
    Rows, common, not_here,
    test_fs::{TestFs, is_root},
    trial::{End, Trial},
};

pub fn rows(rows: &mut Rows) {
    for option in ["--quiet", "--in-place", "--sync", "-p", "--sparse=never"] {
        rows.add(format!("a setting in /proc/sys is written, {option}"), move |test_fs| {
            // Both differ from the defaults, and neither does harm for a moment.
            setting(test_fs, option, "/proc/sys/vm/stat_interval", ["2\n", "3\n", "2\n"]);
            setting(test_fs, option, "/proc/sys/net/core/somaxconn", ["4095\n", "4096\n", "4095"]);
        });
        rows.add(format!("a setting in /sys is written, {option}"), move |test_fs| {
            setting(
                test_fs,
                option,
                "/sys/kernel/mm/ksm/sleep_millisecs",
                ["21\n", "20\n", "21\n"],
            );
        });
    }
    rows.add("a setting is written by each kind of source", |test_fs| {
        let path = "/proc/sys/vm/stat_interval";
        let before = start(test_fs, path);
        let mut t = Trial::new(test_fs);
        t.file("source", "3\n");
        t.fifo("fifo");
        let fifo = t.path("fifo");
        std::thread::scope(|scope| {
            scope.spawn(|| fs::write(&fifo, "2\n").unwrap());
            t.run(["fifo", path]).copied(2);
        });
        assert_eq!(fs::read_to_string(path).unwrap(), "2\n");
        t.run(["source", path]).copied(2);
        assert_eq!(fs::read_to_string(path).unwrap(), "3\n");
        // From another file in /proc, and by a link.
        t.symlink(path, "link");
        t.run(["/proc/sys/vm/stat_interval", "copy"]).copied(2);
        t.becomes("copy", "3\n");
        fs::write(t.path("source"), "5\n").unwrap();
        t.becomes("source", "5\n");
        t.run(["source", "link"]).copied(2);
        assert_eq!(fs::read_to_string(path).unwrap(), "5\n");
        fs::write(path, before).unwrap();
        t.check();
    });
    rows.add("a value that a setting refuses", |test_fs| {
        let path = "/proc/sys/vm/stat_interval";
        let before = start(test_fs, path);
        let mut t = Trial::new(test_fs);
        t.file("source", "many\n");
        for option in ["-q", "--in-place"] {
            t.run([option, "source", path])
                .fails(&format!("cannot write to '{path}': Invalid argument (EINVAL)"));
        }
        assert_eq!(fs::read_to_string(path).unwrap(), before);
        t.check();
    });
    rows.add("a setting that can only be read, and one that does not exist", |test_fs| {
        if !is_root() || !Path::new("/proc/sys/kernel/ostype").exists() {
            not_here("this is not root, or there is no /proc");
        }
        let mut t = Trial::new(test_fs);
        t.file("source", "1\n");
        for path in ["/proc/sys/kernel/ostype", "/proc/sys/vm/no_such", "/sys/kernel/no_such"] {
            let ran = t.run(["source", path]);
            let is_said = ran.err.starts_with("mapcp: cannot ") && ran.err.lines().count() == 1;
            assert!(ran.end == End::Exit(1) && is_said, "{ran:?}");
            assert!(!ran.err.contains("truncated"), "{ran:?}");
        }
        t.check();
    });
    rows.add("a control file of a cgroup is written", |test_fs| {
        let root = Path::new("/sys/fs/cgroup");
        let dir = root.join(format!("gauntlet-{}", std::process::id()));
        if !is_root() || !root.join("cgroup.procs").exists() || fs::create_dir(&dir).is_err() {
            not_here("no cgroup can be made");
        }
        let mut t = Trial::new(test_fs);
        t.file("source", "5\n");
        let limit = dir.join("cgroup.max.depth");
        for option in ["-q", "--in-place"] {
            let ran = t.run([option, "source", limit.to_str().unwrap()]);
            let now = fs::read_to_string(&limit);
            fs::write(&limit, "max").unwrap();
            assert!(ran.end == End::Exit(0) && ran.err.is_empty(), "{ran:?}");
            assert_eq!(now.unwrap(), "5\n");
        }
        fs::remove_dir(&dir).unwrap();
        t.check();
    });
}

/// Returns the value of a setting that can be written.
fn start(_: &TestFs, path: &str) -> String {
    if common::runner().is_some() {
        not_here("it has nothing to do with the architecture");
    }
    let value =
        fs::read_to_string(path).unwrap_or_else(|error| not_here(format!("{path}: {error}")));
    if let Err(error) = fs::write(path, &value) {
        not_here(format!("{path}: {error}"));
    }
    value
}

fn setting(test_fs: &TestFs, option: &str, path: &str, values: [&str; 3]) {
    let before = start(test_fs, path);
    let mut t = Trial::new(test_fs);
    for value in values {
        t.file("source", value);
        let ran = t.run([option, "source", path]);
        let now = fs::read_to_string(path).unwrap();
        fs::write(path, &before).unwrap();
        assert!(ran.end == End::Exit(0) && ran.err.is_empty(), "{ran:?}");
        assert_eq!(now.trim(), value.trim(), "{path}");
    }
    t.check();
}
