//! Destinations that share their blocks with another file.

use std::fs;

use rustix::fs::ioctl_ficlone;

use crate::{
    Rows,
    disk::{fill, sync},
    not_here,
    place::Place,
    sizes::WAYS,
    trial::{End, Trial, fd, pages},
};

pub fn rows(rows: &mut Rows) {
    for (what, size) in [("", 3 << 20), ("large ", 20 << 20)] {
        rows.add(
            format!("{what}destination is a clone on a full disk, --in-place"),
            move |place| {
                clone_on_full_disk(place, size);
            },
        );
    }
}

/// Each block that is written to needs space, though the file has some already.
fn clone_on_full_disk(place: &Place, size: usize) {
    if !place.has_clones() {
        not_here("files share no blocks");
    }
    let volume = place.volume(128 << 20);
    let dir = volume.dir.join("row");
    fs::create_dir(&dir).unwrap();
    let mut t = Trial::in_dir(place, dir);
    let from = place.elsewhere();
    let source = from.join("source");
    fs::write(&source, pages(size)).unwrap();
    t.file("base", vec![1; size]);
    sync(&volume);
    t.file("dest", "");
    let open = |name: &str| fs::File::options().read(true).write(true).open(t.path(name)).unwrap();
    ioctl_ficlone(fd(&open("dest")), fd(&open("base"))).unwrap();
    fill(&volume, 0);
    sync(&volume);
    for way in WAYS {
        let options = way.iter().map(std::path::Path::new);
        let last = ["--in-place".as_ref(), &*source, "dest".as_ref()];
        let ran = t.run(options.chain(last));
        if !(way.contains(&"--method=kernel") && ran.err.contains("(EXDEV)")) {
            let cause = "No space left on device (ENOSPC)";
            ran.fails_by_one_of(&[
                &format!("cannot reserve space for 'dest': {cause}"),
                &format!("cannot write to 'dest': {cause}"),
                &format!("cannot set the length of 'dest': {cause}"),
            ]);
        }
        assert_eq!(ran.end, End::Exit(1), "{ran:?}");
        t.becomes("dest", t.read("dest"));
        t.check();
    }
    fs::remove_dir_all(from).unwrap();
}
