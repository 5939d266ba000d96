//! Installs missing packages, on a Debian system and with the permission to do so.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::{DEBIAN_RUSTC, sysroot};

/// Returns the Debian package that contains a program.
pub fn package(program: &str) -> &str {
    match program {
        DEBIAN_RUSTC => "rustc-web",
        "e2fsck" | "mkfs.ext2" | "mkfs.ext4" => "e2fsprogs",
        "mkfs.xfs" => "xfsprogs",
        "mkfs.btrfs" => "btrfs-progs",
        "mkfs.vfat" => "dosfstools",
        "unxz" => "xz-utils",
        "ld" | "objcopy" => "binutils",
        "musl-gcc" => "musl-tools",
        "mkfs.erofs" => "erofs-utils",
        "setfacl" => "acl",
        "setfattr" => "attr",
        "mksquashfs" => "squashfs-tools",
        "qemu-system-i386" | "qemu-system-x86_64" => "qemu-system-x86",
        "qemu-system-aarch64" | "qemu-system-arm" => "qemu-system-arm",
        "qemu-system-ppc64" => "qemu-system-ppc",
        _ if program.starts_with("qemu-system-mips") => "qemu-system-mips",
        _ if program.starts_with("qemu-system-") => "qemu-system-misc",
        _ if program.starts_with("qemu-") => "qemu-user",
        _ => program,
    }
}

/// Installs the packages of those programs that are missing.
pub fn install<'a>(programs: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    let missing = programs.into_iter().filter(|program| !there(program));
    let mut packages: Vec<&str> = missing.map(package).collect();
    if !sysroot(DEBIAN_RUSTC).join("lib/rustlib/src/rust/library/core").exists() {
        packages.push("rust-web-src");
    }
    packages.sort();
    packages.dedup();
    get(&packages)
}

/// Installs the packages that the gauntlet's FUSE file systems are compiled with.
pub fn fuse_headers() -> Result<(), String> {
    let found = Command::new("pkg-config").args(["--exists", "fuse3"]).status();
    if found.is_ok_and(|status| status.success()) {
        return packages(&["gcc"]);
    }
    get(&["gcc", "pkg-config", "libfuse3-dev", "fuse3"])
}

/// Installs those packages whose program of the same name is missing.
pub fn packages(names: &[&str]) -> Result<(), String> {
    let missing: Vec<&str> = names.iter().copied().filter(|name| !there(name)).collect();
    get(&missing)
}

/// Installs Python with what makes environments.
pub fn python_packages() -> Result<(), String> {
    get(&["python3", "python3-venv"])
}

/// Installs the standard libraries of those targets that have none.
pub fn rust_targets(names: &[&str]) -> Result<(), String> {
    let libraries = sysroot("rustc").join("lib/rustlib");
    let is_missing = |name: &&str| !libraries.join(name).join("lib").is_dir();
    let missing: Vec<&str> = names.iter().copied().filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let advice = format!("rustup target add {}", missing.join(" "));
    println!("xtask: {advice}");
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add"]).args(missing).stdout(Stdio::null());
    if retry(|| rustup.status().is_ok_and(|status| status.success())) {
        return Ok(());
    }
    Err(format!("targets of the compiler are missing and could not be installed; run: {advice}"))
}

fn there(program: &str) -> bool {
    let dirs = env::var_os("PATH").unwrap_or_default();
    let mut dirs = env::split_paths(&dirs).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    dirs.any(|dir| dir.join(program).is_file())
}

fn get(packages: &[&str]) -> Result<(), String> {
    if packages.is_empty() {
        return Ok(());
    }

    let install = ["install", "-y", "--no-install-recommends"];
    let advice = format!("apt-get {} {}", install.join(" "), packages.join(" "));
    println!("xtask: {advice}");
    if retry(|| apt(&["update"]) && apt(&[&install[..], packages].concat())) {
        return Ok(());
    }
    Err(format!("something is missing and could not be installed; run: {advice}"))
}

/// Runs apt-get, as root or with a sudo that asks for no password.
pub fn apt(arguments: &[&str]) -> bool {
    let script = "[ \"$(id -u)\" = 0 ] || sudo=\"sudo -n\"; exec $sudo apt-get \"$@\"";
    let status = Command::new("sh")
        .args(["-c", script, "sh"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Makes up to four attempts, with pauses of 10 to 40 seconds: a mirror's index does not match its
/// packages while the mirror is updated.
pub fn retry(mut attempt: impl FnMut() -> bool) -> bool {
    (1..=4).any(|number| {
        attempt() || {
            thread::sleep(Duration::from_secs(10 * number));
            false
        }
    })
}
