//! Debian's kernels in an emulated machine: one boot makes the copies, and another looks at the
//! disks.

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io,
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    CASES, Case, FileSystem, Found, IMAGE_SIZE, Line, Moment, Options, Random, Tally, contents,
};
use crate::{
    rows::Kernel,
    vm::{Guest, MARK, Vm},
};

/// A disk as it was at a moment.
struct Shot {
    file_system: usize,
    case: Case,
    moment: Moment,
}

/// Makes the copies on these file systems of a kernel.
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
    let album = dir.join("album");
    let (release, shots) = copy(options, kernel, file_systems, &dir, &album)?;
    let tallies = look(kernel, file_systems, &album, &shots)?;
    for (file_system, tally) in file_systems.iter().zip(tallies) {
        lines.push(Line { kernel: release.clone(), file_system: file_system.name, tally });
    }
    Ok(fs::remove_dir_all(dir)?)
}

/// The modules of all these file systems.
fn modules(file_systems: &[&FileSystem]) -> Vec<&'static str> {
    file_systems.iter().flat_map(|fs| fs.modules).copied().collect()
}

fn files() -> Vec<(String, Vec<u8>)> {
    contents().into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// The letter of a disk's name.
fn letter(number: usize) -> char {
    char::from(b'a' + number as u8)
}

/// Makes the copies, and puts the disks as they are at the moments into the album, one after
/// another.
fn copy(
    options: &Options,
    kernel: &Kernel,
    file_systems: &[&FileSystem],
    dir: &Path,
    album: &Path,
) -> Result<(String, Vec<Shot>), Box<dyn Error>> {
    let mut disks = Vec::new();
    // Nothing is written because time passes: the copy has to ask for it.
    let mut script = "echo 0 > /proc/sys/vm/dirty_writeback_centisecs\n".to_owned();
    for (number, file_system) in file_systems.iter().enumerate() {
        let image = dir.join(file_system.name);
        file_system.make(&image)?;
        disks.push(image);
        let disk = format!("/dev/vd{}", letter(number));
        let FileSystem { kind, options: mount, .. } = file_system;
        for case in CASES {
            let old = if case.replace { "cp /old /mnt/dest\n" } else { "" };
            let source = case.source();
            for _ in 0..options.runs {
                script += &format!(
                    "mount -t {kind} -o {mount} {disk} /mnt || exit\n\
                     rm -f /mnt/dest\n{old}sync\n\
                     echo \"{MARK}start\"\n\
                     /mapcp -q --sync /{source} /mnt/dest\n\
                     echo \"{MARK}status $?\"\n\
                     read answer\n\
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

    let mut random = Random::from_time();
    let mut shots = Vec::new();
    let mut album = Album::create(album)?;
    for (number, file_system) in file_systems.iter().enumerate() {
        println!("Linux {release}: {}", file_system.name);
        for case in CASES {
            let mut time = Duration::from_millis(200);
            for _ in 0..options.runs {
                vm.expect("start")?;
                let start = Instant::now();
                let mut ended = vm.line_within(random.part_of(time))?;
                let mut shoot = |vm: &mut Vm, moment| {
                    shots.push(Shot { file_system: number, case, moment });
                    vm.frozen(|| album.add(&disks[number]))
                };
                if ended.is_none() {
                    let began = Instant::now();
                    shoot(&mut vm, Moment::Before)?;
                    let lost = began.elapsed();
                    ended = Some(vm.line()?);
                    time = start.elapsed().saturating_sub(lost);
                } else {
                    time = start.elapsed();
                }
                if ended.as_deref() != Some("status 0") {
                    let name = case.name();
                    return Err(format!("{}, {name}: {ended:?}", file_system.name).into());
                }
                shoot(&mut vm, Moment::After)?;
                vm.go_on()?;
            }
        }
    }
    vm.expect("end")?;
    for (number, shot) in shots.iter().enumerate() {
        // Before the next boot, as a machine does when it starts again.
        let image = album.path.display();
        let image = format!("{image}?offset={}", number as u64 * IMAGE_SIZE);
        file_systems[shot.file_system].repair(Path::new(&image))?;
    }
    Ok((release, shots))
}

/// Boots again and reads the destination on every disk of the album.
fn look(
    kernel: &Kernel,
    file_systems: &[&FileSystem],
    album: &Path,
    shots: &[Shot],
) -> Result<Vec<Tally>, Box<dyn Error>> {
    let mut script = LOOK.to_owned();
    for (number, shot) in shots.iter().enumerate() {
        let FileSystem { kind, options, .. } = file_systems[shot.file_system];
        let offset = number as u64 * IMAGE_SIZE;
        script += &format!("look {offset} {kind} {options} {}\n", shot.case.source());
    }
    let modules = modules(file_systems);
    let disks = [album.to_owned()];
    let guest = Guest { kernel, modules: &modules, files: files(), script: &script, disks: &disks };
    let vm = Vm::boot(guest)?;
    vm.expect("linux")?;
    let mut tallies: Vec<_> = file_systems.iter().map(|_| Tally::default()).collect();
    for shot in shots {
        let found = Found::parse(&vm.expect("found")?);
        tallies[shot.file_system].add(shot.case, shot.moment, found);
    }
    vm.expect("end")?;
    Ok(tallies)
}

/// A function of the shell that looks at one disk of the album.
const LOOK: &str = r#"
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
look() {
    losetup -o $1 /dev/loop0 /dev/vda
    found "$@" > /tmp/found 2> /dev/null
    losetup -d /dev/loop0
    echo "@@ found $(cat /tmp/found)"
}
"#;

/// Disks, one after another in a file with holes.
struct Album {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Album {
    fn create(path: &Path) -> io::Result<Album> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Album { path: path.to_owned(), file, len: 0 })
    }

    /// Adds a disk as it is.
    fn add(&mut self, disk: &Path) -> Result<(), Box<dyn Error>> {
        let disk = File::open(disk)?;
        let begin = self.len;
        self.len += IMAGE_SIZE;
        self.file.set_len(self.len)?;
        let mut buffer = vec![0; 64 << 10];
        let mut at = 0;
        while let Some(data) = next_data(&disk, at)? {
            // What is left of a hole in the buffer is zeros, which stay a hole.
            at = data - data % buffer.len() as u64;
            let len = disk.read_at(&mut buffer, at)?;
            if len == 0 {
                break;
            }
            if buffer[..len].iter().any(|&byte| byte != 0) {
                self.file.write_all_at(&buffer[..len], begin + at)?;
            }
            at += len as u64;
        }
        Ok(())
    }
}

/// Returns where the next data of a file is, from an offset on.
fn next_data(file: &File, offset: u64) -> io::Result<Option<u64>> {
    // SAFETY: the call takes a descriptor, which is open.
    match unsafe { libc::lseek(file.as_raw_fd(), offset as libc::off_t, libc::SEEK_DATA) } {
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            error => Err(error),
        },
        data => Ok(Some(data as u64)),
    }
}
