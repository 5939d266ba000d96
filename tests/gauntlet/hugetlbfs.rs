//! A destination on hugetlbfs, whose files can be written to only by a mapping.

use std::{ffi::CString, fs, os::unix::ffi::OsStrExt};

use baremap::{
    fd::AsFd,
    map::{FileMap, MmapOptions},
    syscall::{self, FallocateFlags, Mode, OFlags},
};

use crate::{
    Rows, common,
    mounts::Mount,
    not_here,
    sizes::METHODS,
    test_fs::TestFs,
    trial::{Trial, pages},
};

const WHOLE: &str = "hugetlbfs takes only mapped copies of whole huge pages";

const PAGES: &str = "/proc/sys/vm/nr_hugepages";

pub fn rows(rows: &mut Rows) {
    rows.add("destination on hugetlbfs", |test_fs| {
        if !test_fs.is_here() {
            not_here("once is enough: it is the same in all columns");
        }
        if common::runner().is_some() {
            not_here("an emulator maps no huge pages");
        }
        let huge_pages = HugePages::new(16);
        let mount = Mount::new(test_fs, "huge", &["-t", "hugetlbfs", "none"]);
        each_way(test_fs, &mount);
        mapped(&mount);
        drop(mount);
        drop(huge_pages);
    });
}

/// The system's pool of huge pages, whose size is restored when the value is dropped.
struct HugePages(String);

impl HugePages {
    fn new(count: usize) -> HugePages {
        let before = fs::read_to_string(PAGES).unwrap_or_else(|error| not_here(error.to_string()));
        let number = |text: &str| text.trim().parse::<usize>().unwrap();
        let count = count.max(number(&before));
        if let Err(error) = fs::write(PAGES, count.to_string()) {
            not_here(format!("{PAGES}: {error}"));
        }
        let pages = HugePages(before);
        let now = fs::read_to_string(PAGES).unwrap();
        if number(&now) < count {
            not_here(format!("no memory for {count} huge pages"));
        }
        pages
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = fs::write(PAGES, &self.0);
    }
}

fn each_way(test_fs: &TestFs, mount: &Mount) {
    let source = Trial::new(test_fs);
    let dir = mount.path("row");
    fs::create_dir(&dir).unwrap();
    let t = Trial::in_dir(test_fs, dir);
    let from = source.path("source");
    let name = from.to_str().unwrap();
    let free = || {
        let text = fs::read_to_string("/proc/meminfo").unwrap();
        let line = text.lines().find(|line| line.starts_with("HugePages_Free:")).unwrap();
        line.to_owned()
    };
    let before = free();
    // None of these sizes is a multiple of 2 MiB.
    for size in [1, 4096, 300_000, 3_000_000, 5_000_000] {
        fs::write(&from, pages(size)).unwrap();
        for way in METHODS {
            let ran = t.run(way.iter().chain(&[name, "dest"]));
            let invalid = "Invalid argument (EINVAL)";
            ran.fails_by_one_of(&[
                &format!("cannot copy to 'dest': {WHOLE}"),
                "cannot set the length of 'dest': it is longer than what was copied",
                &format!("cannot copy within the kernel '{name}': {invalid}"),
                &format!("cannot copy within the kernel '{name}': Cross-device link (EXDEV)"),
            ]);
            t.check();
            assert_eq!(free(), before, "{way:?}");
        }
    }
    // Whole huge pages can be copied, by mapping them alone.
    for size in [2 << 20, 4 << 20, 6 << 20] {
        fs::write(&from, pages(size)).unwrap();
        for method in ["--method=auto", "--method=map"] {
            t.run([method, name, "dest"]).copied(size);
            assert_eq!(t.path("dest").metadata().unwrap().len(), size as u64);
            assert!(fs::read(t.path("dest")).unwrap() == pages(size), "another file");
        }
    }
    fs::write(&from, "").unwrap();
    t.run([name, "empty"]).copied(0);
    // A failure does not replace the existing file.
    fs::write(&from, pages(3_000_000)).unwrap();
    t.run(["--method=map", name, "dest"])
        .fails("cannot set the length of 'dest': it is longer than what was copied");
    t.run([name, "dest"]).fails(&format!("cannot copy to 'dest': {WHOLE}"));
    t.run(["--in-place", name, "dest"]).fails(&format!("cannot copy to 'dest': {WHOLE}"));
    assert!(fs::read(t.path("dest")).unwrap() == pages(6 << 20), "another file");
    drop(t);
    assert_eq!(free(), before);
}

/// Checks the library with a file that ends within a huge page.
fn mapped(mount: &Mount) {
    let path = mount.path("mapped");
    let c_path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let open = |access| syscall::open(&c_path, access, Mode::RUSR | Mode::WUSR).unwrap();
    let is_long = |len: u64| assert_eq!(path.metadata().unwrap().len(), len);
    let file = open(OFlags::RDWR | OFlags::CREATE);
    syscall::fallocate(file.as_fd(), FallocateFlags::empty(), 0, 3_000_000).unwrap();

    assert_eq!(FileMap::open(&c_path).unwrap().read_at(&mut [1; 9], 2_999_999), Ok(1));
    assert!(FileMap::new(open(OFlags::RDWR)).is_err());
    is_long(3_000_000);
    // SAFETY: nobody else has the file, and it does not become shorter.
    drop(unsafe { MmapOptions::new().map(&file) }.unwrap());
    is_long(3_000_000);
    let for_reading = open(OFlags::RDONLY);
    // SAFETY: as above.
    drop(unsafe { MmapOptions::new().map_copy(&for_reading) }.unwrap());
    is_long(4 << 20); // as its documentation says
    assert_eq!(FileMap::new(file).unwrap().len(), 4 << 20);
    fs::remove_file(path).unwrap();
}
