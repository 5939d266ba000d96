//! Files for which another process has a lease, which the kernel takes back before they are opened.

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::{Rows, common::noise, not_here, test_fs::TestFs, trial::Trial};

const F_SETLEASE: i32 = 1024;
const F_GETLEASE: i32 = 1025;

pub fn rows(rows: &mut Rows) {
    for file in ["source", "dest"] {
        for way in [&[][..], &["--in-place"], &["-p"], &["--atomic"]] {
            for (kind, lease) in [("read", libc::F_RDLCK), ("write", libc::F_WRLCK)] {
                let with = way.first().map_or(String::new(), |word| format!(", {word}"));
                rows.add(format!("{file} with a {kind} lease{with}"), move |test_fs| {
                    leased(test_fs, file, way, lease);
                });
            }
        }
    }
}

fn leased(test_fs: &TestFs, file: &str, way: &[&str], lease: i32) {
    let mut t = Trial::new(test_fs);
    t.file("source", noise(100_000));
    t.file("dest", "old");
    let path = t.path(file);
    // SAFETY: the signal that reports the end of a lease does nothing in this process.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
    let (is_taken, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let holder = scope.spawn(|| hold(&path, lease, &is_taken, &is_over));
        while !is_taken.load(Relaxed) && !holder.is_finished() {
            thread::sleep(Duration::from_millis(1));
        }
        let ran = t.run(way.iter().chain(&["source", "dest"]));
        is_over.store(true, Relaxed);
        if let Err(error) = holder.join().unwrap() {
            not_here(format!("no leases: {error}"));
        }
        ran.copied(100_000);
    });
    t.becomes_as("dest", "source");
    t.check();
}

/// Takes a lease, and gives it back when the kernel asks for it.
fn hold(
    path: &Path,
    lease: i32,
    is_taken: &AtomicBool,
    is_over: &AtomicBool,
) -> std::io::Result<()> {
    let file = match lease {
        libc::F_RDLCK => File::open(path)?,
        _ => fs::File::options().read(true).write(true).open(path)?,
    };
    // SAFETY: the calls take numbers.
    let fcntl = |command, value: i32| unsafe { libc::fcntl(file.as_raw_fd(), command, value) };
    if fcntl(F_SETLEASE, lease) != 0 {
        return Err(std::io::Error::last_os_error());
    }
    is_taken.store(true, Relaxed);
    while fcntl(F_GETLEASE, 0) == lease && !is_over.load(Relaxed) {
        thread::sleep(Duration::from_millis(1));
    }
    fcntl(F_SETLEASE, libc::F_UNLCK);
    Ok(())
}
