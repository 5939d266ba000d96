//! `/init`: runs a program as the first process of a system, and then powers off the machine.
//!
//! It mounts /proc, /sys and /dev, and runs the program that the kernel's command line names after
//! `--`, by default `/bin/main`. If the program does not exist, it prints the version of the
//! kernel.
//!
//! The guide `docs/freestanding.md` packs it into an initramfs and boots it.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

use core::{
    ffi::{CStr, c_char},
    ptr,
};

use baremap::{
    fd::AsFd,
    rt::{self, ExitCode, STDOUT, Start, eprintln, println},
    syscall::{self, Errno, Mode, MountFlags, OFlags, Pid, RebootCommand, WaitFlags, WaitStatus},
};

baremap::entry!(main);

/// The largest number of arguments that the program receives. More arguments are dropped.
const MOST_ARGS: usize = 16;

fn main(start: Start) -> ExitCode {
    if syscall::getpid() != 1 {
        eprintln!("init: to be started by the kernel, as the first process");
        return ExitCode(2);
    }
    // A kernel may be built without one of these file systems, so a failure is only reported.
    for (kind, at) in [(c"proc", c"/proc"), (c"sysfs", c"/sys"), (c"devtmpfs", c"/dev")] {
        if let Err(errno) = mount(kind, at) {
            eprintln!("init: {}: {errno}", at.to_bytes().escape_ascii());
        }
    }
    match run(start) {
        Ok(WaitStatus::Exited(status)) => println!("init: exit status {status}"),
        Ok(status) => println!("init: {status:?}"),
        // The program does not exist.
        Err(Errno::ENOENT) => {
            if let Err(errno) = show(c"/proc/version") {
                eprintln!("init: /proc/version: {errno}");
            }
        }
        Err(errno) => eprintln!("init: {errno}"),
    }
    if let Err(errno) = syscall::reboot(RebootCommand::POWER_OFF) {
        eprintln!("init: cannot turn the machine off: {errno}");
    }
    // The kernel panics when its first process ends.
    ExitCode::FAILURE
}

/// Mounts a file system, unless the kernel has already mounted it.
fn mount(kind: &CStr, at: &CStr) -> syscall::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    match syscall::mount(Some(kind), at, Some(kind), flags, None) {
        // The kernel has already mounted it, as it does for /dev with CONFIG_DEVTMPFS_MOUNT.
        Err(Errno::EBUSY) => Ok(()),
        result => result,
    }
}

/// Runs the program, and waits until the program and all its descendants have ended. Returns how
/// the program ended.
fn run(start: Start) -> syscall::Result<WaitStatus> {
    let mut args = [ptr::null::<c_char>(); MOST_ARGS + 1];
    for (to, from) in args.iter_mut().zip(start.args().skip(1).take(MOST_ARGS)) {
        *to = from.as_ptr();
    }
    let path = start.args().nth(1).unwrap_or(c"/bin/main");
    if args[0].is_null() {
        args[0] = path.as_ptr();
    }
    syscall::faccessat(baremap::fd::CWD, path, syscall::Access::EXEC)?;
    let env = [c"HOME=/".as_ptr(), c"PATH=/bin:/sbin".as_ptr(), ptr::null()];

    // SAFETY: the process has only one thread.
    let Some(child) = (unsafe { syscall::fork()? }) else {
        // SAFETY: both arrays consist of pointers to strings that end with a NUL, and end with
        // null.
        let errno = unsafe { syscall::execve(path, args.as_ptr(), env.as_ptr()) };
        eprintln!("init: {}: {errno}", path.to_bytes().escape_ascii());
        syscall::exit_group(127);
    };
    wait(child)
}

/// Waits until this process has no children left, and returns how `child` ended.
///
/// An orphaned process becomes a child of the first process, so this includes all descendants.
fn wait(child: Pid) -> syscall::Result<WaitStatus> {
    let mut result = Err(Errno::ECHILD);
    loop {
        match syscall::waitid(None, WaitFlags::EXITED) {
            Ok(Some((pid, status))) if pid == child => result = Ok(status),
            Ok(_) | Err(Errno::EINTR) => {}
            // ECHILD: no child is left.
            Err(_) => return result,
        }
    }
}

/// Copies a file to standard output.
fn show(path: &CStr) -> syscall::Result<()> {
    let file = syscall::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0; 512];
    loop {
        match syscall::read(file.as_fd(), &mut buffer)? {
            0 => return Ok(()),
            count => rt::write_all(STDOUT, &buffer[..count])?,
        }
    }
}
