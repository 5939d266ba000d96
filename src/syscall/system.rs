//! Calls of the first process of a system: mounting file systems, executing programs, and
//! turning the machine off.

use core::{
    ffi::{CStr, c_char},
    ptr,
};

use linux_raw_sys::general::{LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2};

use super::raw::{nr, syscall2, syscall3, syscall4, syscall5};
use super::{Errno, MountFlags, RebootCommand, Result, UmountFlags, check_unit};

/// Mounts a file system, or changes a mount.
///
/// `source` is a device, or an arbitrary name for a file system that has none. `kind` is the
/// name of the file system as in `/proc/filesystems`. `data` contains options of the file
/// system.
///
/// # Errors
///
/// * `EPERM` if the caller does not have `CAP_SYS_ADMIN`.
/// * `ENODEV` if the kernel does not have the file system.
/// * `ENOENT` if the directory does not exist.
/// * `EBUSY` if the source is already mounted.
/// * `EINVAL` if the file system does not accept an option, or the source does not contain it.
pub fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: MountFlags,
    data: Option<&CStr>,
) -> Result<()> {
    let address =
        |string: Option<&CStr>| string.map_or(ptr::null(), CStr::as_ptr).expose_provenance();
    let [source, target, kind, data] = [source, Some(target), kind, data].map(address);
    // SAFETY: each argument is a C string, or null, which the kernel accepts for all but the target.
    check_unit(unsafe { syscall5(nr::mount, source, target, kind, flags.as_arg(), data) })
}

/// Unmounts the file system that was mounted last at a directory.
///
/// # Errors
///
/// * `EPERM` if the caller does not have `CAP_SYS_ADMIN`.
/// * `EINVAL` if the directory is not a mount point.
/// * `EBUSY` if a file is in use and [`UmountFlags::DETACH`] is not set.
pub fn umount2(target: &CStr, flags: UmountFlags) -> Result<()> {
    // SAFETY: the target is a C string.
    check_unit(unsafe {
        syscall2(nr::umount2, target.as_ptr().expose_provenance(), flags.as_arg())
    })
}

/// Executes a program in place of the current one, and returns only if that fails.
///
/// # Errors
///
/// * `ENOENT` if the file, or the interpreter that it names, does not exist.
/// * `EACCES` if the file is not executable.
/// * `ENOEXEC` if the file is not a program.
/// * `E2BIG` if the arguments and the environment are too long.
///
/// # Safety
///
/// * `args` and `env` are arrays of pointers to C strings, and end with a null pointer.
/// * No other thread of the process has work to finish: if the call succeeds, all other threads
///   end.
#[must_use]
pub unsafe fn execve(path: &CStr, args: *const *const c_char, env: *const *const c_char) -> Errno {
    // SAFETY: the caller meets this function's requirements.
    match check_unit(unsafe {
        syscall3(
            nr::execve,
            path.as_ptr().expose_provenance(),
            args.expose_provenance(),
            env.expose_provenance(),
        )
    }) {
        Err(errno) => errno,
        Ok(()) => unreachable!("execve returns errors alone"),
    }
}

/// Restarts the machine, halts it or turns it off, without ending processes and without writing
/// data to the disk that is still in memory.
///
/// In a PID namespace other than the initial one, the first process of the namespace is killed
/// instead.
///
/// # Errors
///
/// * `EPERM` if the caller does not have `CAP_SYS_BOOT`.
/// * `EINVAL` if the command is unknown.
pub fn reboot(command: RebootCommand) -> Result<()> {
    let [one, two] = [LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2].map(|number| number as usize);
    // SAFETY: the call does not access memory.
    check_unit(unsafe { syscall4(nr::reboot, one, two, command.as_arg(), 0) })
}
