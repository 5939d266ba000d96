//! Several sources.

use crate::{
    Rows,
    common::noise,
    trial::{End, Trial, run},
};

pub fn rows(rows: &mut Rows) {
    rows.add("several sources", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.directory("dir");
        t.file("dir/b", "old");
        for (name, len) in [("a", 10), ("b", 20_000), ("c", 3 << 20)] {
            t.file(name, noise(len));
        }
        t.run(["a", "b", "c", "dir"]).is(End::Exit(0), "Copied 3 files, 3165738 bytes\n", "");
        for name in ["a", "b", "c"] {
            t.becomes_as(format!("dir/{name}"), name);
        }
        t.check();
    });
    rows.add("several sources, some of which fail", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.directory("dir");
        t.directory("empty");
        t.file("a", noise(10));
        t.file("b", noise(20));
        let err = "mapcp: cannot open 'none': No such file or directory (ENOENT)\n\
            mapcp: cannot copy 'empty': Is a directory (EISDIR); -r copies directories\n";
        t.run(["a", "none", "empty", "b", "dir"]).is(
            End::Exit(1),
            "Copied 2 files, 30 bytes\n",
            err,
        );
        t.becomes_as("dir/a", "a");
        t.becomes_as("dir/b", "b");
        t.check();
    });
    rows.add("several sources, two of one name", |test_fs| {
        let mut t = Trial::new(test_fs);
        for dir in ["dir", "one", "two"] {
            t.directory(dir);
        }
        t.file("one/x", "first");
        t.file("two/x", "second");
        let ran = t.run(["one/x", "two/x", "dir"]);
        let err = "mapcp: cannot copy to 'dir/x': another source with this name was copied there\n";
        ran.is(End::Exit(1), "Copied 1 file, 5 bytes\n", err);
        t.becomes("dir/x", "first");
        t.check();
    });
    rows.add("several sources, two of one name, of which the first is missing", |test_fs| {
        let mut t = Trial::new(test_fs);
        for dir in ["dir", "two"] {
            t.directory(dir);
        }
        t.file("two/x", "second");
        let ran = t.run(["one/x", "two/x", "dir"]);
        let err = "mapcp: cannot open 'one/x': No such file or directory (ENOENT)\n";
        ran.is(End::Exit(1), "Copied 1 file, 6 bytes\n", err);
        t.becomes("dir/x", "second");
        t.check();
    });
    rows.add("several sources, the last name no directory", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.file("a", "1");
        t.file("b", "2");
        t.file("dest", "old");
        t.run(["a", "b", "dest"]).fails("cannot copy to 'dest': Not a directory (ENOTDIR)");
        t.run(["a", "b", "none"])
            .fails("cannot copy to 'none': No such file or directory (ENOENT)");
        t.check();
    });
    rows.add("several sources, the directory itself among them", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.directory("dir");
        t.file("dir/a", "1");
        t.file("b", "22");
        let err = "mapcp: cannot copy to 'dir/a': it is the same file as the source\n";
        t.run(["dir/a", "b", "dir"]).is(End::Exit(1), "Copied 1 file, 2 bytes\n", err);
        t.becomes("dir/b", "22");
        t.check();
    });
    rows.add("several sources, -v, -n", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.directory("dir");
        t.file("a", noise(10));
        t.file("b", noise(20));
        t.file("dir/b", "old");
        let out = "'a' -> 'dir/a' (10 bytes, write)\n'b' -> 'dir/b' (left unchanged)\n\
            Copied 1 file, 10 bytes\n";
        t.run(["-vn", "--method=write", "a", "b", "dir"]).is(End::Exit(0), out, "");
        t.becomes_as("dir/a", "a");
        t.check();
    });
    rows.add("1000 sources", |test_fs| {
        let mut t = Trial::new(test_fs);
        t.directory("dir");
        t.directory("from");
        let names: Vec<String> = (0..1000).map(|number| format!("from/file{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            t.file(name, noise(number));
            t.becomes(format!("dir/file{number}"), noise(number));
        }
        let ran = run(t.mapcp(&names).arg("dir"));
        ran.is(End::Exit(0), "Copied 1000 files, 499500 bytes\n", "");
        t.check();
    });
}
