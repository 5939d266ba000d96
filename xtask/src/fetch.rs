//! Unpacks packages of other architectures and releases of Debian into directories of their own,
//! with lists of packages that are separate from those of the system.

use std::{
    error::Error,
    fs::{self, File, Permissions},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    install::{apt, package, retry},
    root,
    targets::Kernel,
};

/// Returns the path of a kernel's image.
pub fn kernel(kernel: &Kernel) -> Result<PathBuf, Box<dyn Error>> {
    let fetch = |suite, package| {
        let package = [kernel.architecture, suite, package];
        file(package, "*/vmlinu*", kernel.flavour(), unpack_zboot)
    };
    let first = fetch(kernel.suite, kernel.package);
    match (first, kernel.or) {
        (Err(error), Some((suite, package))) => {
            println!("{error}: {package} of {suite} instead");
            fetch(suite, package)
        }
        (result, _) => result,
    }
}

/// Returns the path of a kernel's emulator: the installed one, or the one of another release,
/// which needs that release's libraries.
pub fn emulator(kernel: &Kernel) -> Result<PathBuf, Box<dyn Error>> {
    let name = kernel.emulator();
    let Some(suite) = kernel.emulator_suite else { return Ok(name.into()) };
    let package = ["amd64", suite, package(name)];
    file(package, &format!("./usr/bin/{name}"), name, |path| {
        Ok(fs::set_permissions(path, Permissions::from_mode(0o755))?)
    })
}

/// Returns the path of busybox: a shell and the common tools in one static program, for this
/// machine's architecture.
pub fn busybox() -> Result<PathBuf, Box<dyn Error>> {
    file(["amd64", "bookworm", "busybox-static"], "*/bin/busybox", "busybox", |_| Ok(()))
}

/// Returns the path of a file from a package, which is named by architecture, suite and name.
/// Downloads the package if it is not there yet.
fn file(
    package: [&str; 3],
    pattern: &str,
    dir: &str,
    finish: fn(&Path) -> Result<(), Box<dyn Error>>,
) -> Result<PathBuf, Box<dyn Error>> {
    let dir = root().join("target/kernels").join(dir);
    let (file, part) = (dir.join("file"), dir.join("part"));
    if !file.exists() {
        let deb = download(package, &dir)?;
        let script = "dpkg --fsys-tarfile \"$0\" | tar -xO --wildcards \"$1\"";
        let mut unpack = Command::new("sh");
        unpack.args(["-c", script]).arg(&deb).arg(pattern).stdout(File::create(&part)?);
        let status = unpack.status()?;
        if !status.success() {
            return Err(format!("{}: no {pattern}: {status}", deb.display()).into());
        }
        finish(&part)?;
        fs::rename(part, &file)?;
        fs::remove_file(deb)?;
    }
    Ok(file)
}

/// Replaces an EFI program that unpacks itself, and which only firmware can start, by its contents.
///
/// Source: the kernel's drivers/firmware/efi/libstub/zboot-header.S.
fn unpack_zboot(path: &Path) -> Result<(), Box<dyn Error>> {
    let image = fs::read(path)?;
    if image.get(4..8) != Some(b"zimg") {
        return Ok(());
    }
    let word = |at| {
        let bytes = image.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| u32::from_le_bytes(bytes) as usize)
    };
    let (Some(offset), Some(size)) = (word(8), word(12)) else { return Err("no header".into()) };
    let packed = image.get(offset..offset + size).ok_or("a header of another file")?;
    let mut unpacked = Vec::new();
    if image.get(24..).is_some_and(|name| name.starts_with(b"zstd\0")) {
        ruzstd::decoding::StreamingDecoder::new(packed)?.read_to_end(&mut unpacked)?;
    } else {
        flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked)?;
    }
    Ok(fs::write(path, unpacked)?)
}

/// Unpacks the parts of a package that match these patterns of tar, and returns their directory.
/// Downloads the package if it is not there yet.
pub fn unpack(package: [&str; 3], patterns: &[&str], dir: &str) -> Result<PathBuf, Box<dyn Error>> {
    let dir = root().join("target/kernels").join(dir);
    let (whole, part) = (dir.join("unpacked"), dir.join("part"));
    if !whole.exists() {
        let deb = download(package, &dir)?;
        fs::create_dir_all(&part)?;
        // Some releases of Debian compress the modules. The kernel loads uncompressed ones.
        let script = "deb=$0; dir=$1; shift; \
                      dpkg --fsys-tarfile \"$deb\" | tar -x -C \"$dir\" --wildcards \"$@\" && \
                      find \"$dir\" -name '*.xz' -exec unxz {} +";
        let mut unpack = Command::new("sh");
        unpack.args(["-c", script]).args([&deb, &part]).args(patterns);
        let status = unpack.status()?;
        if !status.success() {
            return Err(format!("{} could not be unpacked: {status}", deb.display()).into());
        }
        fs::rename(part, &whole)?;
        fs::remove_file(deb)?;
    }
    Ok(whole)
}

/// Returns the directory with the original source of a package, as it was before Debian's changes.
/// Downloads it if it is not there yet.
pub fn original_source(suite: &str, name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let dir = root().join("target/sources").join(name);
    let (whole, part) = (dir.join("unpacked"), dir.join("part"));
    if !whole.exists() {
        let apt = Apt::new("source", suite)?;
        let list = apt.dir.join("sources.list");
        let sources = fs::read_to_string(&list)?;
        fs::write(&list, sources.replace("deb ", "deb-src "))?;
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&part)?;
        let get = || {
            let _ = apt.command("apt-get").args(["update", "-q"]).status();
            let mut get = apt.command("apt-get");
            get.args(["source", "-q", "--download-only", name]).current_dir(&dir);
            get.status().is_ok_and(|status| status.success())
        };
        if !retry(get) {
            return Err(format!("the source of {name} could not be downloaded").into());
        }
        let script = "tar -x -C \"$0\" --strip-components=1 -f *.orig.tar.*";
        let mut unpack = Command::new("sh");
        let status = unpack.args(["-c", script]).arg(&part).current_dir(&dir).status()?;
        if !status.success() {
            return Err(format!("the source of {name} could not be unpacked: {status}").into());
        }
        fs::rename(part, &whole)?;
    }
    Ok(whole)
}

/// Downloads the newest package with a name, in which `*` stands for the version.
fn download(package: [&str; 3], dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let [architecture, suite, name] = package;
    let apt = Apt::new(architecture, suite)?;
    let prefix = name.split('*').next().unwrap_or_default();
    let find = || -> Option<String> {
        let names = apt.command("apt-cache").args(["pkgnames", prefix]).output().ok()?;
        let names = String::from_utf8(names.stdout).ok()?;
        let fits = names.lines().filter(|found| is_named(found, name));
        fits.max_by_key(|name| numbers(name)).map(str::to_owned)
    };
    // The update fails if a mirror lacks one of the suites, so only the result counts: whether the
    // package is found.
    let mut found = find();
    retry(|| {
        if found.is_none() {
            let _ = apt.command("apt-get").args(["update", "-q"]).status();
            found = find();
        }
        found.is_some()
    });
    let found = found.ok_or_else(|| format!("{suite} has no {name} for {architecture}"))?;

    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir)?;
    let mut get = apt.command("apt-get");
    get.args(["download", "-q", &found]).current_dir(dir);
    if !retry(|| get.status().is_ok_and(|status| status.success())) {
        return Err(format!("{found} could not be downloaded").into());
    }
    let deb = fs::read_dir(dir)?.next().ok_or("apt downloaded nothing")??;
    Ok(deb.path())
}

/// Returns whether a package has this name, in which `*` stands for the version.
///
/// A version ends with a digit: `linux-image-6.1.*-amd64` does not stand for the flavour
/// `linux-image-6.1.0-49-cloud-amd64`.
fn is_named(found: &str, name: &str) -> bool {
    let Some((prefix, suffix)) = name.split_once('*') else { return found == name };
    let version = found.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
    version.is_some_and(|version| version.ends_with(|last: char| last.is_ascii_digit()))
}

/// Returns the numbers in a package's name, which order the versions.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// apt with lists for one architecture and release, as on a system without installed packages.
struct Apt {
    dir: PathBuf,
    architecture: String,
}

impl Apt {
    fn new(architecture: &str, suite: &str) -> Result<Apt, Box<dyn Error>> {
        let dir = root().join("target/kernels/apt").join(format!("{suite}-{architecture}"));
        for part in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(part))?;
        }
        fs::write(dir.join("status"), "")?;

        // The sources of this machine, with the other release: with its updates and security
        // suites, unless the suite has none.
        let format = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)";
        let mut targets = Command::new("apt-get");
        targets.args(["indextargets", "--format", format]);
        targets.args(["Created-By: Packages", "Component: main"]);
        let mut known = targets.output()?.stdout;
        if known.is_empty() {
            // The lists have not been downloaded yet, or were removed.
            apt(&["update"]);
            known = targets.output()?.stdout;
        }
        let known = String::from_utf8(known)?;
        let release = fs::read_to_string("/etc/os-release")?;
        let release = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let mut sources = known.replace(release.unwrap_or("stable"), suite);
        if suite.contains('-') {
            let whole = format!(" {suite} main");
            sources = sources.split_inclusive('\n').filter(|line| line.contains(&whole)).collect();
        }
        fs::write(dir.join("sources.list"), sources)?;
        Ok(Apt { dir, architecture: architecture.to_owned() })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, file) in [
            ("Dir::State", "state"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
            ("Dir::Etc::sourcelist", "sources.list"),
            ("Dir::Etc::sourceparts", "no-more-sources"),
        ] {
            command.arg("-o").arg(format!("{name}={}", self.dir.join(file).display()));
        }
        command.args(["-o", &format!("APT::Architecture={}", self.architecture)]);
        command.args(["-o", &format!("APT::Architectures={}", self.architecture)]);
        command.args(["-o", "Acquire::Languages=none"]);
        // apt drops to a user of its own by default, who cannot write to this directory.
        command.args(["-o", "APT::Sandbox::User=root"]);
        command.stdin(Stdio::null());
        command
    }
}
