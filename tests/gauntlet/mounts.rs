//! Mounts that only some rows need: images, hugetlbfs, and the file systems of `odd_fs.c`.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use rustix::mount::{UnmountFlags, unmount};

use crate::{
    not_here,
    test_fs::{TestFs, done, is_root},
    trial::dies_with_this_process,
};

/// A mounted file system, which is unmounted when the value is dropped.
pub struct Mount {
    pub dir: PathBuf,
    server: Option<Child>,
}

impl Mount {
    /// Mounts with mount(8) and these arguments, followed by the directory.
    pub fn new(test_fs: &TestFs, name: &str, arguments: &[&str]) -> Mount {
        let dir = directory(test_fs, name);
        let mounted = done(Command::new("mount").args(arguments).arg(&dir));
        mounted.unwrap_or_else(|reason| not_here(format!("mount {}: {reason}", arguments[1])));
        Mount { dir, server: None }
    }

    /// Starts a file system of `odd_fs.c` with these arguments.
    pub fn odd_fs(test_fs: &TestFs, name: &str, arguments: &[&str], variables: &[&str]) -> Mount {
        let dir = directory(test_fs, name);
        let before = dir.metadata().unwrap().dev();
        let mut command = Command::new(odd_fs());
        command.args(arguments).arg("-f").arg(&dir).stdin(Stdio::null()).stderr(Stdio::null());
        command.envs(variables.iter().map(|name| (name, "1")));
        dies_with_this_process(&mut command);
        let server = command.spawn().unwrap();
        let mut mount = Mount { dir, server: Some(server) };
        let start = Instant::now();
        while mount.dir.metadata().is_ok_and(|now| now.dev() == before) {
            let ended = mount.server.as_mut().is_some_and(|it| it.try_wait().unwrap().is_some());
            if ended || start.elapsed() > Duration::from_secs(10) {
                not_here("FUSE does not mount (is there /dev/fuse?)");
            }
            thread::sleep(Duration::from_millis(5));
        }
        mount
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = unmount(self.dir.as_os_str().as_bytes(), UnmountFlags::DETACH);
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

fn directory(test_fs: &TestFs, name: &str) -> PathBuf {
    if !is_root() {
        not_here("to mount a file system needs root");
    }
    let dir = test_fs.beside(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Compiles `odd_fs.c`, and returns the path of the program.
pub fn odd_fs() -> &'static Path {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let missing = |reason| format!("{reason}: apt-get install gcc pkg-config libfuse3-dev");
        let flags = done(Command::new("pkg-config").args(["--cflags", "--libs", "fuse3"]));
        let flags = flags.map_err(missing)?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gauntlet/odd_fs.c");
        // Another column may compile it at the same time.
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = tmp.join("odd_fs");
        let new = tmp.join(format!("odd_fs-{}", std::process::id()));
        let mut cc = Command::new("cc");
        cc.arg("-o").arg(&new).arg(source).args(flags.split_whitespace());
        done(&mut cc).map_err(missing)?;
        fs::rename(&new, &program).map_err(|error| error.to_string())?;
        Ok(program)
    });
    program.as_deref().unwrap_or_else(|reason| not_here(reason.as_str()))
}
