//! The calls of a system's first process, against rustix and against their documented effects.

use std::{ffi::CStr, fs::File, io::Read, os::fd::FromRawFd, ptr};

use baremap::syscall::{
    self, Errno, MountFlags, RebootCommand, UmountFlags, WaitFlags, WaitStatus,
};
use rustix::mount as oracle;

fn number<T>(result: rustix::io::Result<T>) -> Option<i32> {
    result.err().map(|errno| errno.raw_os_error())
}

fn ours<T>(result: syscall::Result<T>) -> Option<i32> {
    result.err().map(|errno| i32::from(errno.number()))
}

/// As root, each call returns another error. Without its privileges, each returns `EPERM`.
#[test]
fn failing_mounts_have_the_same_errors_as_rustixs() {
    for (source, target, kind) in [
        (c"none", c"/proc", c"no-such-file-system"),
        (c"none", c"/no/such/directory", c"tmpfs"),
        (c"none", c"/proc/version", c"tmpfs"),
        (c"/no/such/device", c"/tmp", c"ext4"),
    ] {
        let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
        let result = syscall::mount(Some(source), target, Some(kind), flags, None);
        let flags = oracle::MountFlags::NOSUID | oracle::MountFlags::NOEXEC;
        let expected = oracle::mount(source, target, kind, flags, None::<&CStr>);
        assert!(expected.is_err());
        assert_eq!(ours(result), number(expected), "{source:?} {target:?} {kind:?}");
    }
    let result = syscall::umount2(c"/proc/version", UmountFlags::NOFOLLOW);
    let expected = oracle::unmount(c"/proc/version", oracle::UnmountFlags::NOFOLLOW);
    assert_eq!(ours(result), number(expected));
}

/// Runs in a child with namespaces of its own.
#[test]
fn a_mounted_file_system_is_empty_and_gone_again() {
    // SAFETY: the child makes system calls alone.
    let Some(child) = (unsafe { syscall::fork() }).unwrap() else {
        let result = mount_and_unmount();
        syscall::exit_group(result.err().map_or(0, |errno| i32::from(errno.number())));
    };
    let (_, status) = syscall::waitid(Some(child), WaitFlags::EXITED).unwrap().unwrap();
    assert_eq!(status, WaitStatus::Exited(0), "the status is the errno");
}

fn mount_and_unmount() -> syscall::Result<()> {
    let flags = linux_raw_sys::general::CLONE_NEWNS | linux_raw_sys::general::CLONE_NEWUSER;
    let number = linux_raw_sys::general::__NR_unshare as usize;
    // SAFETY: this process has one thread.
    let result = unsafe { syscall::raw::syscall1(number, flags as usize) };
    if result != 0 {
        return Err(Errno::EPERM);
    }
    let private = MountFlags::PRIVATE | MountFlags::REC;
    syscall::mount(None, c"/", None, private, None)?;
    let is_there = || {
        let mode = syscall::Access::empty();
        syscall::faccessat(baremap::fd::CWD, c"/proc/self", mode).is_ok()
    };
    assert!(is_there());
    syscall::mount(Some(c"none"), c"/proc", Some(c"tmpfs"), MountFlags::RDONLY, Some(c"size=4k"))?;
    if is_there() {
        return Err(Errno::EEXIST);
    }
    syscall::umount2(c"/proc", UmountFlags::DETACH)?;
    if is_there() { Ok(()) } else { Err(Errno::ENOENT) }
}

#[test]
fn a_program_is_executed_with_its_arguments_and_environment() {
    let mut ends = [0; 2];
    // SAFETY: two numbers.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let args = [c"sh", c"-c", c"echo \"$1 $A\"", c"sh", c"one"].map(CStr::as_ptr);
    let args = [&args[..], &[ptr::null()]].concat();
    let env = [c"A=two".as_ptr(), ptr::null()];
    // SAFETY: the child makes system calls alone.
    let Some(child) = (unsafe { syscall::fork() }).unwrap() else {
        // SAFETY: numbers; both arrays end with null.
        let errno = unsafe {
            libc::dup2(ends[1], 1);
            libc::close(ends[1]);
            syscall::execve(c"/bin/sh", args.as_ptr(), env.as_ptr())
        };
        syscall::exit_group(i32::from(errno.number()));
    };
    // SAFETY: both are this test's, and closed once.
    let (mut reader, writer) = unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) };
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one two\n");
    let (_, status) = syscall::waitid(Some(child), WaitFlags::EXITED).unwrap().unwrap();
    assert_eq!(status, WaitStatus::Exited(0));
}

#[test]
fn what_cannot_be_executed_is_an_error() {
    let none = [ptr::null()];
    for (path, errno) in [
        (c"/no/such/file", Errno::ENOENT),
        (c"/proc/version", Errno::EACCES),
        (c"/", Errno::EACCES),
        (c"/proc/version/file", Errno::ENOTDIR),
    ] {
        // SAFETY: both arrays end with null.
        let result = unsafe { syscall::execve(path, none.as_ptr(), none.as_ptr()) };
        assert_eq!(result, errno, "{path:?}");
    }
}

/// `examples/init.rs` makes the other calls as the first process of a kernel.
#[test]
fn a_command_that_reboot_does_not_know_is_an_error() {
    let result = syscall::reboot(RebootCommand(0x1234));
    // SAFETY: the very same command.
    let expected = unsafe { libc::reboot(0x1234) };
    assert_eq!(expected, -1);
    assert_eq!(ours(result), std::io::Error::last_os_error().raw_os_error());
}
