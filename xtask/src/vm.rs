//! Boots a Debian kernel with modules under an emulator, with a shell script as the program.
//!
//! The script and the host talk over the serial console: the host reads the lines that begin with
//! [`MARK`], and writes lines that the script reads.

use std::{
    collections::BTreeMap,
    error::Error,
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use object::{Object, ObjectSection};

use crate::{fetch, initramfs, root, targets::Kernel};

/// Begins the lines of the script that are meant for the host. No message of a kernel begins with
/// it.
pub const MARK: &str = "@@ ";

/// Longer than any step takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(300);

/// More than is ever written to a disk. The log is a sparse file of this length.
const LOG_SIZE: u64 = 16 << 30;

/// The parts of a kernel's package that are kept. The others take some hundred megabytes.
const PARTS: &[&str] = &[
    "*/boot/vmlinuz-*",
    "*/kernel/arch/x86/crypto/*",
    "*/kernel/crypto/*",
    "*/kernel/drivers/block/*",
    "*/kernel/drivers/md/*",
    "*/kernel/drivers/virtio/*",
    "*/kernel/fs/*",
    "*/kernel/lib/*",
];

/// The modules of the disks, and the checksums that other modules request by name at run time.
const COMMON_MODULES: &[&str] =
    &["virtio_pci", "virtio_blk", "loop", "crc32c_generic", "libcrc32c"];

/// The contents of a guest.
pub struct Guest<'a> {
    pub kernel: &'a Kernel,
    /// The modules to load. Modules that they depend on are loaded, too.
    pub modules: &'a [&'a str],
    /// The files of the root directory, by their names.
    pub files: Vec<(String, Vec<u8>)>,
    /// The script that busybox's shell runs. The machine powers off when the script ends.
    pub script: &'a str,
    /// The disks, which become `/dev/vda`, `/dev/vdb` and so on.
    pub disks: &'a [Disk],
}

/// A disk of a machine.
pub struct Disk {
    image: PathBuf,
    /// The file that records everything that the machine writes to the disk, if there is one.
    log: Option<PathBuf>,
}

impl Disk {
    pub fn plain(image: &Path) -> Disk {
        Disk { image: image.to_owned(), log: None }
    }

    /// Returns a disk whose writes are recorded in a new file, in the format of dm-log-writes.
    pub fn logged(image: &Path, log: &Path) -> io::Result<Disk> {
        // The emulator does not extend a log.
        File::create(log)?.set_len(LOG_SIZE)?;
        Ok(Disk { image: image.to_owned(), log: Some(log.to_owned()) })
    }
}

/// A running machine, which is killed when the value is dropped.
pub struct Vm {
    emulator: Child,
    lines: Receiver<String>,
    input: ChildStdin,
    log: PathBuf,
}

impl Vm {
    pub fn boot(guest: Guest<'_>) -> Result<Vm, Box<dyn Error>> {
        let kernel = guest.kernel;
        let name = format!("linux-{}-{}", kernel.series(), kernel.flavour());
        let package = [kernel.architecture, kernel.suite, kernel.package];
        let parts = fetch::unpack(package, PARTS, &name)?;
        let image = fs::read_dir(parts.join("boot"))?.next().ok_or("no kernel")??.path();
        let modules = Modules::find(&parts)?;
        let modules = modules.in_order(&[COMMON_MODULES, guest.modules].concat())?;

        let mut files = guest.files;
        files.push(("init".to_owned(), init(modules.len()).into_bytes()));
        files.push(("script".to_owned(), guest.script.as_bytes().to_owned()));
        files.push(("bin/busybox".to_owned(), fs::read(fetch::busybox()?)?));
        for (number, module) in modules.iter().enumerate() {
            files.push((format!("module-{number}"), fs::read(module)?));
        }
        let dir = root().join("target/kernels/boot");
        fs::create_dir_all(&dir)?;
        let initramfs = dir.join(format!("{name}.cpio.gz"));
        initramfs::write(&initramfs, files)?;

        let log = dir.join(format!("{name}.log"));
        let mut emulator = Command::new(kernel.emulator());
        emulator.args(kernel.machine.split_whitespace().skip(1));
        emulator.arg("-kernel").arg(image).arg("-initrd").arg(initramfs);
        emulator.args(["-append", &format!("{} panic=-1 quiet loglevel=3", kernel.append)]);
        emulator.args(["-nographic", "-no-reboot", "-monitor", "none", "-serial", "stdio"]);
        emulator.args(["-net", "none"]);
        for (number, Disk { image, log }) in guest.disks.iter().enumerate() {
            let name = format!("disk{number}");
            let driver = match log {
                Some(log) => format!(
                    "driver=blklogwrites,discard=unmap,file.driver=file,file.filename={},\
                     log.driver=file,log.filename={},log-super-update-interval=1",
                    image.display(),
                    log.display()
                ),
                None => format!("driver=file,filename={}", image.display()),
            };
            emulator.args(["-blockdev", &format!("{driver},node-name={name}")]);
            // The log would have no entries for zeros that the disk writes by itself.
            let device = format!("virtio-blk-pci,drive={name},write-zeroes=off");
            emulator.args(["-device", &device]);
        }
        emulator.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut emulator = emulator.spawn()?;
        let input = emulator.stdin.take().ok_or("no console")?;
        let output = emulator.stdout.take().ok_or("no console")?;
        let mut copy = File::create(&log)?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let _ = copy.write_all(&line).and_then(|()| copy.write_all(b"\n"));
                let line = String::from_utf8_lossy(&line);
                if let Some((_, line)) = line.split_once(MARK)
                    && sender.send(line.trim().to_owned()).is_err()
                {
                    break;
                }
            }
        });
        Ok(Vm { emulator, lines, input, log })
    }

    /// Waits for the next line of the script. Returns `None` if none arrives within `time`.
    pub fn line_within(&self, time: Duration) -> Result<Option<String>, Box<dyn Error>> {
        match self.lines.recv_timeout(time) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.failed("the machine is off")),
        }
    }

    /// Waits for the next line of the script.
    pub fn line(&self) -> Result<String, Box<dyn Error>> {
        self.line_within(TIMEOUT)?.ok_or_else(|| self.failed("the machine says nothing"))
    }

    /// Waits for a line that begins with a word, and returns the rest of the line.
    pub fn expect(&self, word: &str) -> Result<String, Box<dyn Error>> {
        let line = self.line()?;
        match line.strip_prefix(word) {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => Err(self.failed(&format!("not {word:?}, but {line:?}"))),
        }
    }

    /// Writes an empty line, for which the script waits with `read`.
    pub fn go_on(&mut self) -> Result<(), Box<dyn Error>> {
        self.input.write_all(b"\n")?;
        Ok(self.input.flush()?)
    }

    fn failed(&self, what: &str) -> Box<dyn Error> {
        format!("{what} ({})", self.log.display()).into()
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}

/// Returns the script of the first process, which loads this many modules and runs the guest's
/// script.
fn init(modules: usize) -> String {
    let load = (0..modules).map(|number| format!("insmod /module-{number}\n"));
    let load: String = load.collect();
    format!(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         export PATH=/bin\n\
         mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev\n\
         {load}\
         echo \"{MARK}linux $(uname -r)\"\n\
         sh /script\n\
         echo \"{MARK}end\"\n\
         poweroff -f\n"
    )
}

/// The modules of a kernel, by their names.
struct Modules(BTreeMap<String, PathBuf>);

impl Modules {
    fn find(dir: &Path) -> Result<Modules, Box<dyn Error>> {
        let mut found = BTreeMap::new();
        let mut dirs = vec![dir.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir)? {
                let (kind, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
                if kind?.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_some_and(|extension| extension == "ko") {
                    let name = path.file_stem().unwrap_or_default().to_string_lossy();
                    found.insert(name.replace('-', "_"), path);
                }
            }
        }
        Ok(Modules(found))
    }

    /// Returns the paths of these modules and of their dependencies, dependencies first. Skips
    /// names that are not modules, because those are built into the kernel.
    fn in_order(&self, names: &[&str]) -> Result<Vec<&Path>, Box<dyn Error>> {
        let mut order = Vec::new();
        for name in names {
            self.add(name, &mut order)?;
        }
        Ok(order)
    }

    fn add<'a>(&'a self, name: &str, order: &mut Vec<&'a Path>) -> Result<(), Box<dyn Error>> {
        let Some(path) = self.0.get(&name.replace('-', "_")) else { return Ok(()) };
        if order.contains(&path.as_path()) {
            return Ok(());
        }
        let module = fs::read(path)?;
        let module = object::File::parse(&*module)?;
        let info = module.section_by_name(".modinfo").ok_or("a module without .modinfo")?;
        let info = String::from_utf8_lossy(info.data()?).into_owned();
        for entry in info.split('\0') {
            let dependencies = entry.strip_prefix("depends=");
            let soft = entry.strip_prefix("softdep=pre:");
            let list = dependencies.or(soft).unwrap_or_default();
            // The list of soft dependencies before the module ends at `post:`.
            let list = list.split("post:").next().unwrap_or_default();
            for name in list.split([',', ' ']) {
                self.add(name, order)?;
            }
        }
        if !order.contains(&path.as_path()) {
            order.push(path);
        }
        Ok(())
    }
}
