//! The file systems of the gauntlet.

use std::{
    fs::{self, File},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount},
    process::{geteuid, getpid, set_child_subreaper},
    thread::{UnshareFlags, unshare_unsafe},
};

use crate::{
    common::{self, Scratch},
    trial::dies_with_this_process,
};

/// A directory on the file system under test, in which rows create their directories.
pub struct TestFs {
    /// The type of the file system, such as `ext4`.
    pub kind: String,
    dir: PathBuf,
    made: Option<Volume>,
    scratch: Scratch,
}

impl TestFs {
    /// Uses the file system of the directory `target` if `kind` is `here`, and makes another
    /// otherwise.
    pub fn new(kind: &str) -> Result<TestFs, String> {
        let scratch = Scratch::new("gauntlet");
        set_child_subreaper(Some(getpid())).unwrap();
        // Mounts from here on are visible only to this process and its children, and end with them.
        // SAFETY: no thread of this process shares its mounts.
        let own = unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.and_then(|()| {
            mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        });
        if kind == "here" {
            let dir = scratch.path("");
            return Ok(TestFs { kind: type_of(&dir), dir, made: None, scratch });
        }
        if let Err(errno) = own {
            if kind == "tmpfs" && type_of(Path::new("/dev/shm")) == "tmpfs" {
                let dir = PathBuf::from(format!("/dev/shm/gauntlet-{}", std::process::id()));
                fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
                return Ok(TestFs { kind: kind.into(), dir, made: None, scratch });
            }
            return Err(format!("a mount namespace: {errno}"));
        }
        let made = Volume::new(kind, 2 << 30, &scratch.path("volume"))?;
        let dir = made.dir.join("rows");
        fs::create_dir(&dir).map_err(|error| error.to_string())?;
        let mut test_fs = TestFs { kind: kind.into(), dir, made: Some(made), scratch };
        test_fs.kind = kind.into();
        Ok(test_fs)
    }

    pub fn title(&self) -> String {
        match common::runner() {
            Some(runner) => format!("{} under {runner}", self.kind),
            None if common::words() == 32 => format!("{}, 32 bits", self.kind),
            None => self.kind.clone(),
        }
    }

    /// Returns an empty directory on the file system.
    pub fn dir(&self) -> PathBuf {
        let dir = self.dir.join("row");
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        fs::create_dir(&dir).unwrap();
        dir
    }

    /// Makes a small file system of the same type.
    pub fn volume(&self, bytes: u64) -> Volume {
        if !is_root() {
            crate::not_here("to mount a file system needs root");
        }
        let dir = self.scratch.path("small");
        Volume::new(&self.kind, bytes, &dir).unwrap_or_else(|reason| crate::not_here(reason))
    }

    /// Returns a path on the file system of the directory `target`, for images and mounts.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// Creates a directory on another file system.
    pub fn elsewhere(&self) -> PathBuf {
        let shm = Path::new("/dev/shm");
        let parent = if self.kind == "tmpfs" { self.scratch.path("") } else { shm.to_owned() };
        let dir = parent.join(format!("gauntlet-{}-elsewhere", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        assert_ne!(dir.metadata().unwrap().dev(), self.dir.metadata().unwrap().dev());
        dir
    }

    /// Returns whether this is the file system of the directory `target`.
    pub fn is_here(&self) -> bool {
        self.made.is_none()
    }

    /// Returns whether the file system has clones: copies that share the space of their source.
    pub fn has_clones(&self) -> bool {
        ["xfs", "btrfs"].contains(&&*self.kind)
    }

    /// Returns whether the file system supports everything that the rows need.
    pub fn is_whole(&self) -> bool {
        ["ext4", "tmpfs", "xfs", "btrfs"].contains(&&*self.kind)
    }
}

impl Drop for TestFs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Returns the type of a directory's file system.
fn type_of(dir: &Path) -> String {
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(dir).output().unwrap();
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if name == "ext2/ext3" { "ext4".into() } else { name }
}

/// A file system that was made for the tests.
pub struct Volume {
    pub dir: PathBuf,
    kind: String,
    /// The loop device, which exists while something has it open.
    device: Option<(PathBuf, File)>,
    /// The server of a FUSE file system.
    server: Option<Child>,
    /// The file system that a FUSE file system mirrors.
    behind: Option<Box<Volume>>,
}

impl Volume {
    /// Makes a file system and mounts it.
    fn new(kind: &str, bytes: u64, dir: &Path) -> Result<Volume, String> {
        fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        let mut volume =
            Volume { dir: dir.into(), kind: kind.into(), device: None, server: None, behind: None };
        match kind {
            "tmpfs" => {
                let size = format!("size={bytes},mode=755");
                done(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(dir))?;
            }
            "fuse" => {
                let behind = Volume::new("tmpfs", bytes, &dir.with_extension("behind"))?;
                volume.server = Some(mirror(&behind.dir, dir, &[])?);
                volume.behind = Some(Box::new(behind));
            }
            _ => {
                let (options, least): (&[&str], u64) = match kind {
                    "ext4" => (&["-q", "-F", "-m", "0"], 8 << 20),
                    "xfs" => (&["-q", "-f"], 300 << 20),
                    "btrfs" => (&["-q", "-f", "-m", "single"], 128 << 20),
                    "vfat" => (&[], 8 << 20),
                    _ => return Err(format!("how to make {kind} is not known")),
                };
                let image = dir.with_extension("image");
                let file = File::create(&image).map_err(|error| error.to_string())?;
                file.set_len(bytes.max(least)).map_err(|error| error.to_string())?;
                done(Command::new(format!("mkfs.{kind}")).args(options).arg(&image))?;
                let mount = done(
                    Command::new("mount").args(["-t", kind, "-o", "loop"]).arg(&image).arg(dir),
                );
                // The loop device keeps the image open.
                let _ = fs::remove_file(&image);
                mount?;
                let device = done(Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(dir))?;
                let device = PathBuf::from(device.trim());
                let file = File::open(&device).map_err(|error| error.to_string())?;
                volume.device = Some((device, file));
            }
        }
        Ok(volume)
    }

    /// Unmounts the file system and mounts it again, as after a power cut.
    pub fn again(&self) {
        let (device, _) = self.device.as_ref().expect("made on a device");
        done(Command::new("umount").arg(&self.dir)).unwrap();
        done(Command::new("mount").args(["-t", &self.kind]).arg(device).arg(&self.dir)).unwrap();
    }

    pub fn read_only(&self) {
        done(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.dir))
            .unwrap_or_else(|reason| crate::not_here(reason));
    }

    pub fn is_on_a_device(&self) -> bool {
        self.device.is_some()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = unmount(self.dir.as_os_str().as_bytes(), UnmountFlags::DETACH);
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

/// A directory that is mounted at a second path.
pub struct Bind(PathBuf);

impl Bind {
    pub fn new(dir: &Path, at: &Path, read_only: bool) -> Bind {
        if !is_root() {
            crate::not_here("to mount a directory needs root");
        }
        fs::create_dir_all(at).unwrap();
        done(Command::new("mount").arg("--bind").arg(dir).arg(at)).unwrap();
        let bind = Bind(at.into());
        if read_only {
            done(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(at)).unwrap();
        }
        bind
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = unmount(self.0.as_os_str().as_bytes(), UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}

/// A directory that is mirrored through FUSE.
pub struct Mirror(PathBuf, Child);

impl Mirror {
    pub fn new(dir: &Path, at: &Path) -> Mirror {
        Mirror::with(dir, at, &[])
    }

    /// Mounts it with options of bindfs(1).
    pub fn with(dir: &Path, at: &Path, options: &[&str]) -> Mirror {
        if !is_root() {
            crate::not_here("to mount a FUSE file system needs root");
        }
        fs::create_dir_all(at).unwrap();
        let server = mirror(dir, at, options).unwrap_or_else(|reason| crate::not_here(reason));
        Mirror(at.into(), server)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let _ = unmount(self.0.as_os_str().as_bytes(), UnmountFlags::DETACH);
        let _ = self.1.kill();
        let _ = self.1.wait();
        let _ = fs::remove_dir(&self.0);
    }
}

fn mirror(dir: &Path, at: &Path, options: &[&str]) -> Result<Child, String> {
    let mut bindfs = Command::new("bindfs");
    bindfs.arg("-f").args(options).arg(dir).arg(at).stdin(Stdio::null()).stderr(Stdio::null());
    dies_with_this_process(&mut bindfs);
    let mut server = bindfs.spawn().map_err(|error| format!("bindfs: {error}"))?;
    let before = dir.metadata().map_err(|error| error.to_string())?.dev();
    let start = Instant::now();
    loop {
        if at.metadata().is_ok_and(|now| now.dev() != before && type_of(at).contains("fuse")) {
            return Ok(server);
        }
        if server.try_wait().is_ok_and(|ended| ended.is_some())
            || start.elapsed() > Duration::from_secs(10)
        {
            let _ = server.kill();
            let _ = server.wait();
            return Err("bindfs does not mount (is there /dev/fuse?)".into());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a command that must succeed. Returns its output.
pub fn done(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', " ");
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
