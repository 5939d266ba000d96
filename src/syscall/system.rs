//! What the first process of a system does: mounts file systems, executes programs, and turns
//! the machine off.

use core::{
    ffi::{CStr, c_char},
    ptr,
};

use linux_raw_sys::general::{LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2};

use super::raw::{nr, syscall2, syscall3, syscall4, syscall5};
use super::{Errno, MountFlags, RebootCommand, Result, UmountFlags, check_unit};

/// Mounts a file system, or changes a mount. Source: mount(2).
///
/// `source` is a device or, for a file system without one, any name; `kind` is the name of the
/// file system, as in `/proc/filesystems`; `data` are options that the file system knows.
///
/// # Errors
///
/// `EPERM` without `CAP_SYS_ADMIN`. `ENODEV` if the kernel has no such file system. `ENOENT` if
/// there is no such directory. `EBUSY` if the source is mounted already. `EINVAL` if the file
/// system does not know an option, or the source has none.
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
    // SAFETY: strings, or null where the kernel takes none.
    check_unit(unsafe { syscall5(nr::mount, source, target, kind, flags.as_arg(), data) })
}

/// Unmounts the file system that is mounted last at a directory. Source: umount2(2).
///
/// # Errors
///
/// `EPERM` without `CAP_SYS_ADMIN`. `EINVAL` if nothing is mounted there. `EBUSY` if a file is
/// open and [`UmountFlags::DETACH`] is not set.
pub fn umount2(target: &CStr, flags: UmountFlags) -> Result<()> {
    // SAFETY: a string.
    check_unit(unsafe { syscall2(nr::umount2, target.as_ptr().expose_provenance(), flags.as_arg()) })
}

/// Executes a program in place of this one. Returns only if that fails. Source: execve(2).
///
/// # Errors
///
/// `ENOENT` if there is no such file, or no interpreter that it names. `EACCES` if it is not
/// executable. `ENOEXEC` if it is no program. `E2BIG` if the strings are too long.
///
/// # Safety
///
/// `args` and `env` are arrays of pointers to C strings that end with a null pointer. What
/// another thread of this process does is over.
#[must_use]
pub unsafe fn execve(path: &CStr, args: *const *const c_char, env: *const *const c_char) -> Errno {
    // SAFETY: the caller's promise.
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

/// Restarts the machine, halts it, or turns it off, without a word to any process and without
/// writing to a disk what is still in memory. Source: reboot(2).
///
/// In a PID namespace other than the first, the first process of the namespace is killed
/// instead.
///
/// # Errors
///
/// `EPERM` without `CAP_SYS_BOOT`. `EINVAL` for another command.
pub fn reboot(command: RebootCommand) -> Result<()> {
    let [one, two] = [LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2].map(|number| number as usize);
    // SAFETY: touches no memory.
    check_unit(unsafe { syscall4(nr::reboot, one, two, command.as_arg(), 0) })
}
