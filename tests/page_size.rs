//! The page size under a filter that refuses the calls by which it is found. No other test is in
//! this program, so that each child finds the page size anew.

use std::{collections::BTreeMap, fs, ptr};

use baremap::syscall::{self, Errno, MapFlags, MountFlags, ProtFlags, WaitFlags, WaitStatus};
use linux_raw_sys::auxvec::{AT_NULL, AT_PAGESZ};
use linux_raw_sys::general::{__NR_mincore, __NR_msync, __NR_openat, __NR_prctl};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// A filter that refuses `calls`.
fn filter(calls: &[u32], errno: Errno) -> BpfProgram {
    let refusal = SeccompAction::Errno(errno.number().into());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let rules = calls.iter().map(|&call| (call.into(), Vec::new())).collect::<BTreeMap<_, _>>();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).unwrap();
    filter.try_into().unwrap()
}

/// Checks the page size, and what `mincore` writes, in a child that is refused `calls`.
fn check(calls: &[u32], errno: Errno, page_size: usize) {
    let filter = filter(calls, errno);
    // SAFETY: the child allocates nothing and takes no lock.
    let pid = match unsafe { syscall::fork() }.unwrap() {
        None => syscall::exit_group(child(&filter, page_size)),
        Some(pid) => pid,
    };
    let status = syscall::waitid(Some(pid), WaitFlags::EXITED).unwrap().unwrap().1;
    assert_eq!(status, WaitStatus::Exited(0), "{calls:?} refused with {errno:?}");
}

fn child(filter: &BpfProgram, page_size: usize) -> i32 {
    let length = 256 * rustix::param::page_size();
    let (prot, flags) = (ProtFlags::READ, MapFlags::PRIVATE | MapFlags::ANONYMOUS);
    // SAFETY: the kernel chooses the place.
    let map = unsafe { syscall::mmap(ptr::null_mut(), length, prot, flags, None, 0) }.unwrap();
    if seccompiler::apply_filter(filter).is_err() {
        return 1;
    }
    // The buffer passed to the call has room for one page.
    let mut answer = [0xaa; 256];
    let result = syscall::mincore(map, length, &mut answer[..1]);
    if answer.iter().any(|&byte| byte != 0xaa) {
        return 2;
    }
    if result != Err(Errno::EFAULT) {
        return 3;
    }
    if syscall::page_size() == page_size { 0 } else { 4 }
}

#[test]
fn a_filter_does_not_change_the_page_size() {
    let real = rustix::param::page_size();
    for errno in [Errno::EINVAL, Errno::EPERM, Errno::ENOSYS] {
        check(&[__NR_msync], errno, real);
        check(&[__NR_msync, __NR_prctl], errno, real);
        check(&[__NR_msync, __NR_prctl, __NR_openat], errno, real);
    }
}

/// A container can have any file system at `/proc`, and any file there.
#[test]
fn a_file_that_procfs_did_not_make_is_not_believed() {
    let real = rustix::param::page_size();
    let vector = [AT_PAGESZ as usize, real * 4, AT_NULL as usize, 0].map(usize::to_ne_bytes);
    let (vector, filter) = (vector.concat(), filter(&[__NR_prctl], Errno::EINVAL));
    // SAFETY: the child allocates nothing and takes no lock.
    let pid = match unsafe { syscall::fork() }.unwrap() {
        None => syscall::exit_group(with_foreign_proc(&vector, &filter, real)),
        Some(pid) => pid,
    };
    let status = syscall::waitid(Some(pid), WaitFlags::EXITED).unwrap().unwrap().1;
    assert_eq!(
        status,
        WaitStatus::Exited(0),
        "1: no mount namespace (run the tests as root), 2: no tmpfs, 3: no filter, 4: the file is believed"
    );
}

/// Asks for the page size where `/proc/self/auxv` has the contents `vector`. Returns an exit status.
fn with_foreign_proc(vector: &[u8], filter: &BpfProgram, real: usize) -> i32 {
    let namespace = UnshareFlags::NEWNS;
    // SAFETY: the process has one thread, and borrows no descriptor that this closes.
    let unshare = |flags| unsafe { unshare_unsafe(flags) };
    let private = MountFlags::REC | MountFlags::PRIVATE;
    if unshare(namespace).or_else(|_| unshare(namespace | UnshareFlags::NEWUSER)).is_err()
        || syscall::mount(None, c"/", None, private, None).is_err()
    {
        return 1;
    }
    let flags = MountFlags::empty();
    if syscall::mount(Some(c"none"), c"/proc", Some(c"tmpfs"), flags, None).is_err()
        || fs::create_dir("/proc/self").is_err()
        || fs::write("/proc/self/auxv", vector).is_err()
    {
        return 2;
    }
    if seccompiler::apply_filter(filter).is_err() {
        return 3;
    }
    if syscall::page_size() == real { 0 } else { 4 }
}

/// With the standard library, the libc knows the page size without a call. Otherwise the smallest
/// page size of all is assumed, because it makes no answer longer than expected.
#[test]
fn without_any_answer_the_page_size_is_the_smallest() {
    let expected = if cfg!(feature = "std") { rustix::param::page_size() } else { 4096 };
    for errno in [Errno::EINVAL, Errno::EPERM, Errno::ENOSYS] {
        check(&[__NR_msync, __NR_prctl, __NR_openat, __NR_mincore], errno, expected);
    }
}
