//! Power cuts under the running kernel, with images on loop devices.

use std::{
    error::Error,
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    CASES, Case, FileSystem, Found, HOST_RUNS, Line, Moment, Options, Random, Tally, contents, run,
};

/// Shares the blocks of a file: `_IOW(0x94, 9, int)`, from linux/fs.h.
const FICLONE: libc::Ioctl = libc::_IOW::<libc::c_int>(0x94, 9);

/// Shuts a mounted file system down: `_IOR('X', 125, __u32)`, from linux/fs.h of Linux 7. ext4 and
/// xfs have had the request under names of their own for longer.
const FS_IOC_SHUTDOWN: libc::Ioctl = libc::_IOR::<u32>(b'X' as u32, 125);

/// Does not write the journal before the shutdown.
const FS_SHUTDOWN_FLAGS_NOLOGFLUSH: u32 = 2;

/// Makes the copies on these file systems, and examines the images.
pub fn cut_power(
    options: &Options,
    file_systems: &[&FileSystem],
    dir: &Path,
    lines: &mut Vec<Line>,
) -> Result<(), Box<dyn Error>> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    // The suffix of the kernel's builder is left out.
    let release = release.trim().split('-').next().unwrap_or_default();
    let known = fs::read_to_string("/proc/filesystems")?;
    let mut images = Images::new(&options.mapcp, dir)?;
    for file_system in file_systems {
        let kind = file_system.kind;
        if !known.lines().any(|line| line.split_whitespace().last() == Some(kind)) {
            println!("host: Linux {} has no {kind}", release);
            continue;
        }
        println!("host: {}", file_system.name);
        let mut tally = Tally::default();
        for case in CASES {
            images.case(file_system, case, options.runs * HOST_RUNS, &mut tally)?;
        }
        let kernel = release.to_owned();
        lines.push(Line { kernel, file_system: file_system.name, tally });
    }
    Ok(())
}

/// The images, on a file system of their own that can share blocks, so that a copy of an image
/// shows a single moment.
struct Images {
    mapcp: PathBuf,
    random: Random,
    dir: PathBuf,
    /// The mounted directories, in the order in which they were mounted.
    mounted: Vec<PathBuf>,
    contents: [(&'static str, Vec<u8>); 3],
}

impl Images {
    fn new(mapcp: &Path, dir: &Path) -> Result<Images, Box<dyn Error>> {
        let dir = dir.join(format!("host-{}", std::process::id()));
        let contents = contents();
        let mut images = Images {
            mapcp: mapcp.canonicalize()?,
            random: Random::from_time(),
            dir,
            mounted: Vec::new(),
            contents,
        };
        unshare_mounts()?;
        fs::create_dir_all(images.path("images"))?;
        fs::create_dir_all(images.path("mnt"))?;
        for (name, bytes) in &images.contents {
            fs::write(images.path(name), bytes)?;
        }
        // Room for the images of all moments of a case.
        File::create(images.path("xfs"))?.set_len(8 << 30)?;
        run("mkfs.xfs -q -f -m reflink=1", [images.path("xfs")])?;
        images.mount("-t xfs -o loop", "xfs", "images")?;
        Ok(images)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn mount(&mut self, words: &str, image: &str, on: &str) -> Result<(), Box<dyn Error>> {
        run(&format!("mount {words}"), [self.path(image), self.path(on)])?;
        self.mounted.push(self.path(on));
        Ok(())
    }

    fn mount_image(&mut self, fs: &FileSystem, image: &str) -> Result<(), Box<dyn Error>> {
        self.mount(&format!("-t {} -o loop,{}", fs.kind, fs.options), image, "mnt")
    }

    fn unmount(&mut self, file_system: &FileSystem) -> Result<(), Box<dyn Error>> {
        let Some(path) = self.mounted.pop() else { return Ok(()) };
        run("umount", [path])?;
        if file_system.kind == "btrfs" {
            // All images have the same identity, and the kernel would use the first one that it
            // found.
            run("btrfs device scan", ["--forget"])?;
        }
        Ok(())
    }

    /// Copies an image atomically, by sharing its blocks.
    fn clone_image(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (File::open(self.path(from))?, File::create(self.path(to))?);
        // SAFETY: both descriptors are open, and the call accesses no memory.
        match unsafe { libc::ioctl(to.as_raw_fd(), FICLONE, from.as_raw_fd()) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    fn start_copy(&self, case: Case, messages: Stdio) -> io::Result<Child> {
        let mut copy = Command::new(&self.mapcp);
        copy.args(["-q", "--sync"]).arg(self.path(case.source())).arg(self.path("mnt/dest"));
        copy.stderr(messages).spawn()
    }

    fn case(
        &mut self,
        file_system: &FileSystem,
        case: Case,
        runs: usize,
        tally: &mut Tally,
    ) -> Result<(), Box<dyn Error>> {
        file_system.make(&self.path("images/first"))?;
        self.mount_image(file_system, "images/first")?;
        if case.replace {
            fs::copy(self.path("old"), self.path("mnt/dest"))?;
        }
        self.unmount(file_system)?;

        let mut time = Duration::from_millis(20);
        for _ in 0..runs {
            // Takes the state of the disk at a moment of the copy, and after the copy.
            self.clone_image("images/first", "images/disk")?;
            self.mount_image(file_system, "images/disk")?;
            let start = Instant::now();
            let mut copy = self.start_copy(case, Stdio::inherit())?;
            thread::sleep(self.random.part_of(time));
            let first = if copy.try_wait()?.is_some() { Moment::After } else { Moment::Before };
            let clone = Instant::now();
            self.clone_image("images/disk", "images/during")?;
            let clone = clone.elapsed();
            let status = copy.wait()?;
            time = start.elapsed().saturating_sub(clone);
            self.clone_image("images/disk", "images/after")?;
            self.unmount(file_system)?;
            if !status.success() {
                return Err(format!("{}, {}: {status}", file_system.name, case.name()).into());
            }
            for (moment, image) in [(first, "images/during"), (Moment::After, "images/after")] {
                tally.add(case, moment, self.check(file_system, case, image)?);
            }

            // Shuts the file system down at a moment of the copy.
            self.clone_image("images/first", "images/disk")?;
            self.mount_image(file_system, "images/disk")?;
            let root = File::open(self.path("mnt"))?;
            let mut copy = self.start_copy(case, Stdio::null())?;
            thread::sleep(self.random.part_of(time));
            let flags = FS_SHUTDOWN_FLAGS_NOLOGFLUSH;
            // SAFETY: the descriptor is open, and the kernel reads the flags.
            let shut = unsafe { libc::ioctl(root.as_raw_fd(), FS_IOC_SHUTDOWN, &flags) } == 0;
            drop(root);
            let success = copy.wait()?.success();
            self.unmount(file_system)?;
            if shut {
                let moment = if success { Moment::After } else { Moment::Before };
                tally.add(case, moment, self.check(file_system, case, "images/disk")?);
            }
        }
        Ok(())
    }

    /// Examines the destination in an image.
    fn check(
        &mut self,
        file_system: &FileSystem,
        case: Case,
        image: &str,
    ) -> Result<Found, Box<dyn Error>> {
        file_system.repair(&self.path(image))?;
        if self.mount_image(file_system, image).is_err() {
            return Ok(Found::Other("that cannot be mounted".to_owned()));
        }
        let read = fs::read(self.path("mnt/dest"));
        self.unmount(file_system)?;
        let contents = |name| self.contents.iter().find(|(n, _)| *n == name).map(|(_, b)| b);
        Ok(match read {
            Ok(bytes) if Some(&bytes) == contents(case.source()) => Found::New,
            Ok(bytes) if Some(&bytes) == contents("old") => Found::Old,
            Ok(bytes) if bytes.is_empty() => Found::Other("empty".to_owned()),
            Ok(bytes) if bytes.iter().all(|&byte| byte == 0) => {
                Found::Other(format!("of {} zeros", bytes.len()))
            }
            Ok(bytes) => Found::Other(format!("of {} other bytes", bytes.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
            Err(error) => Found::Other(format!("with error {}", error.raw_os_error().unwrap_or(0))),
        })
    }
}

/// Moves this thread and its children to a mount namespace of their own.
///
/// In a shared namespace, any process that enters a namespace of its own while an image is mounted
/// would keep a copy of the mount. A file system that was shut down would then come back, in that
/// state, with the next mount of its image. The mounts also end with this process, however it ends.
fn unshare_mounts() -> Result<(), Box<dyn Error>> {
    // SAFETY: the call accesses no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        let error = io::Error::last_os_error();
        return Err(format!("mounting images on this machine takes root: {error}").into());
    }
    run("mount --make-rprivate", ["/"])
}

impl Drop for Images {
    fn drop(&mut self) {
        while let Some(path) = self.mounted.pop() {
            let _ = run("umount", [path]);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
