//! Power cuts under Debian's kernels in an emulated machine. One boot makes the copies, while all
//! writes to the disks are recorded. Another boot reads the disks as they were between the writes.

use std::{
    error::Error,
    fs::{self, File},
    io,
    ops::Range,
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::{Path, PathBuf},
};

use super::{
    CASES, Case, FileSystem, Found, IMAGE_SIZE, Line, Moment, Options, Random, Tally, contents,
    run, write_log::WriteLog,
};
use crate::{
    targets::Kernel,
    vm::{Disk, Guest, MARK, Vm},
};

/// The most moments of a copy that are examined. There are fewer if the copy writes less often.
const MOMENTS: usize = 12;

/// The extensions of the files beside an image: the recorded writes, and the image at a moment.
const LOG: &str = "log";
const REPLAYED: &str = "replayed";

/// The state of a disk at a moment.
struct Snapshot {
    file_system: usize,
    case: Case,
    moment: Moment,
}

/// Makes the copies on these file systems under a kernel, and examines the disks.
pub fn cut_power(
    options: &Options,
    kernel: &Kernel,
    file_systems: &[&FileSystem],
    dir: &Path,
    lines: &mut Vec<Line>,
) -> Result<(), Box<dyn Error>> {
    let dir = dir.join(kernel.series());
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    let (release, runs) = copy(options, kernel, file_systems, &dir)?;
    let mut file = SnapshotFile::create(&dir.join("snapshots"))?;
    let snapshots = replay(file_systems, &runs, &dir, &mut file)?;
    println!("Linux {release}: {} snapshots", snapshots.len());
    let tallies = check(kernel, file_systems, &file.path, &snapshots)?;
    for (file_system, tally) in file_systems.iter().zip(tallies) {
        lines.push(Line { kernel: release.clone(), file_system: file_system.name, tally });
    }
    Ok(fs::remove_dir_all(dir)?)
}

/// Returns the modules of all these file systems.
fn modules(file_systems: &[&FileSystem]) -> Vec<&'static str> {
    file_systems.iter().flat_map(|fs| fs.modules).copied().collect()
}

fn files() -> Vec<(String, Vec<u8>)> {
    contents().into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// A copy, and the number of writes to its disk before it started and before it reported success.
struct Run {
    file_system: usize,
    case: Case,
    writes: Range<usize>,
}

/// Boots, and makes the copies.
fn copy(
    options: &Options,
    kernel: &Kernel,
    file_systems: &[&FileSystem],
    dir: &Path,
) -> Result<(String, Vec<Run>), Box<dyn Error>> {
    let mut disks = Vec::new();
    // Disables periodic write back, so that only the copy causes writes.
    let mut script = "echo 0 > /proc/sys/vm/dirty_writeback_centisecs\n".to_owned();
    for (disk, file_system) in ('a'..).zip(file_systems) {
        let image = dir.join(file_system.name);
        file_system.make(&image)?;
        // The recorded writes are applied to this image later, one by one.
        run("cp --sparse=always", [&image, &image.with_extension(REPLAYED)])?;
        disks.push(Disk::logged(&image, &image.with_extension(LOG))?);
        let FileSystem { kind, options: mount, .. } = file_system;
        for case in CASES {
            let old = if case.replace { "cp /old /mnt/dest\n" } else { "" };
            let source = case.source();
            for _ in 0..options.runs {
                script += &format!(
                    "mount -t {kind} -o {mount} /dev/vd{disk} /mnt || exit\n\
                     rm -f /mnt/dest\n{old}sync\n\
                     echo \"{MARK}start\"; read answer\n\
                     /mapcp -q --sync /{source} /mnt/dest\n\
                     echo \"{MARK}status $?\"; read answer\n\
                     umount /mnt\n"
                );
            }
        }
    }
    let mut files = files();
    files.push(("mapcp".to_owned(), fs::read(&options.mapcp)?));
    let modules = modules(file_systems);
    let guest = Guest { kernel, modules: &modules, files, script: &script, disks: &disks };
    let mut vm = Vm::boot(guest)?;
    let release = vm.expect("linux")?;

    let mut runs = Vec::new();
    for (number, file_system) in file_systems.iter().enumerate() {
        println!("Linux {release}: {}", file_system.name);
        let log = dir.join(file_system.name).with_extension(LOG);
        for case in CASES {
            for _ in 0..options.runs {
                // While the script waits, nothing is written.
                vm.expect("start")?;
                let start = WriteLog::count(&log)?;
                vm.go_on()?;
                let status = vm.expect("status")?;
                if status != "0" {
                    let name = case.name();
                    return Err(format!("{}, {name}: status {status}", file_system.name).into());
                }
                let writes = start..WriteLog::count(&log)?;
                vm.go_on()?;
                runs.push(Run { file_system: number, case, writes });
            }
        }
    }
    vm.expect("end")?;
    Ok((release, runs))
}

/// Writes the states of the disks at moments of these copies into a file, one after another.
fn replay(
    file_systems: &[&FileSystem],
    runs: &[Run],
    dir: &Path,
    to: &mut SnapshotFile,
) -> Result<Vec<Snapshot>, Box<dyn Error>> {
    let mut random = Random::from_time();
    let mut snapshots = Vec::new();
    for (number, file_system) in file_systems.iter().enumerate() {
        let image = dir.join(file_system.name);
        let log = WriteLog::open(&image.with_extension(LOG))?;
        let disk = File::options().read(true).write(true).open(image.with_extension(REPLAYED))?;
        let mut done = 0;
        for Run { case, writes: Range { start, end }, .. } in
            runs.iter().filter(|run| run.file_system == number)
        {
            // The moments are between the writes of the copy, and before the first.
            let mut before: Vec<usize> = (*start..*end).filter(|&at| log.writes(at)).collect();
            while before.len() > MOMENTS {
                before.swap_remove(random.next() as usize % before.len());
            }
            let after = log.flushed(*end).max(*start);
            for at in *start..=*end {
                while done < at {
                    log.replay(done, &disk)?;
                    done += 1;
                }
                for (taken, moment) in
                    [(before.contains(&at), Moment::Before), (at == after, Moment::After)]
                {
                    if taken {
                        snapshots.push(Snapshot { file_system: number, case: *case, moment });
                        to.add(&disk, file_system)?;
                    }
                }
            }
        }
        while done < log.len() {
            log.replay(done, &disk)?;
            done += 1;
        }
        // The replayed image must be equal to the image that the machine wrote.
        run("cmp", [&image, &image.with_extension(REPLAYED)])?;
    }
    Ok(snapshots)
}

/// Boots again, and reads the destination in every snapshot.
fn check(
    kernel: &Kernel,
    file_systems: &[&FileSystem],
    file: &Path,
    snapshots: &[Snapshot],
) -> Result<Vec<Tally>, Box<dyn Error>> {
    let mut script = CHECK.to_owned();
    for (number, snapshot) in snapshots.iter().enumerate() {
        let FileSystem { kind, options, .. } = file_systems[snapshot.file_system];
        let offset = number as u64 * IMAGE_SIZE;
        script += &format!("check {offset} {kind} {options} {}\n", snapshot.case.source());
    }
    let modules = modules(file_systems);
    let disks = [Disk::plain(file)];
    let guest = Guest { kernel, modules: &modules, files: files(), script: &script, disks: &disks };
    let vm = Vm::boot(guest)?;
    vm.expect("linux")?;
    let mut tallies: Vec<_> = file_systems.iter().map(|_| Tally::default()).collect();
    for snapshot in snapshots {
        let found = Found::parse(&vm.expect("found")?);
        tallies[snapshot.file_system].add(snapshot.case, snapshot.moment, found);
    }
    vm.expect("end")?;
    Ok(tallies)
}

/// A shell function that examines one snapshot.
const CHECK: &str = r#"
found() {
    if ! mount -t $2 -o $3 /dev/loop0 /mnt; then echo that cannot be mounted; return; fi
    if [ ! -e /mnt/dest ]; then echo missing
    elif [ ! -s /mnt/dest ]; then echo empty
    elif cmp -s /mnt/dest /$4; then echo new
    elif cmp -s /mnt/dest /old; then echo old
    elif ! cat /mnt/dest > /dev/null; then echo of $(stat -c %s /mnt/dest) bytes with an error
    elif [ $(tr -d '\0' < /mnt/dest | wc -c) = 0 ]; then echo of $(stat -c %s /mnt/dest) zeros
    else echo of $(stat -c %s /mnt/dest) other bytes
    fi
    umount /mnt
}
check() {
    losetup -o $1 /dev/loop0 /dev/vda
    found "$@" > /tmp/found 2> /dev/null
    losetup -d /dev/loop0
    echo "@@ found $(cat /tmp/found)"
}
"#;

/// States of disks, one after another in a sparse file.
struct SnapshotFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl SnapshotFile {
    fn create(path: &Path) -> io::Result<SnapshotFile> {
        Ok(SnapshotFile { path: path.to_owned(), file: File::create(path)?, len: 0 })
    }

    /// Appends the present state of a disk, and makes it consistent.
    fn add(&mut self, disk: &File, file_system: &FileSystem) -> Result<(), Box<dyn Error>> {
        let begin = self.len;
        self.len += IMAGE_SIZE;
        self.file.set_len(self.len)?;
        let mut buffer = vec![0; 64 << 10];
        let mut at = 0;
        while let Some(data) = next_data(disk, at)? {
            at = data - data % buffer.len() as u64;
            let len = disk.read_at(&mut buffer, at)?;
            // Zeros remain a hole.
            if buffer[..len].iter().any(|&byte| byte != 0) {
                self.file.write_all_at(&buffer[..len], begin + at)?;
            }
            at += len as u64;
        }
        let image = format!("{}?offset={begin}", self.path.display());
        file_system.repair(Path::new(&image))
    }
}

/// Returns the offset of the next data in a file, from an offset on.
fn next_data(file: &File, offset: u64) -> io::Result<Option<u64>> {
    // SAFETY: the descriptor is open, and the call accesses no memory.
    match unsafe { libc::lseek(file.as_raw_fd(), offset as libc::off_t, libc::SEEK_DATA) } {
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            error => Err(error),
        },
        data => Ok(Some(data as u64)),
    }
}
