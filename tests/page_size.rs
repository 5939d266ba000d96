//! The page size under a filter that refuses the calls by which it is found. No other test is in
//! this program, so that each child finds the page size anew.

use std::{collections::BTreeMap, ptr};

use baremap::syscall::{self, Errno, MapFlags, ProtFlags, WaitFlags, WaitStatus};
use linux_raw_sys::general::{__NR_mincore, __NR_msync, __NR_openat, __NR_prctl};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Checks the page size, and how much `mincore` writes, in a child that is refused `calls`.
fn check(calls: &[u32], errno: Errno, page_size: usize) {
    let refusal = SeccompAction::Errno(errno.number().into());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let rules = calls.iter().map(|&call| (call.into(), Vec::new())).collect::<BTreeMap<_, _>>();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
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

/// With the standard library, the libc knows the page size without a call. Otherwise the smallest
/// page size of all is assumed, because it makes no answer longer than expected.
#[test]
fn without_any_answer_the_page_size_is_not_too_large() {
    let expected = if cfg!(feature = "std") { rustix::param::page_size() } else { 4096 };
    for errno in [Errno::EINVAL, Errno::EPERM, Errno::ENOSYS] {
        check(&[__NR_msync, __NR_prctl, __NR_openat, __NR_mincore], errno, expected);
    }
}
