//! Advice for the memory of another process.

use super::*;

#[test]
fn advice_applies_to_another_process() {
    let mut child = Waiting::new();
    let process = syscall::pidfd_open(child.pid(), OFlags::empty()).unwrap();
    let flags = rustix::io::fcntl_getfd(theirs(&Number(&process)));
    assert_eq!(flags.unwrap(), rustix::io::FdFlags::CLOEXEC);
    let mut ranges = Vec::new();
    let mut maps = maps_of(child.pid()).unwrap();
    while let Some(mapping) = maps.next().unwrap() {
        if mapping.name == b"[heap]" || mapping.name == b"[stack]" {
            let base = ptr::without_provenance_mut(mapping.start as usize);
            ranges.push(IoVec { base, len: mapping.len() as usize });
        }
    }
    assert_eq!(ranges.len(), 2);
    let sum = ranges.iter().map(|range| range.len).sum();
    let advise = |ranges: &[IoVec], advice| {
        map::advise_process(process.as_fd(), ranges, advice).map_err(errno)
    };
    for advice in [Advice::Cold, Advice::PageOut, Advice::WillNeed] {
        assert_eq!(advise(&ranges, advice), Ok(sum), "{advice:?}");
    }
    assert_eq!(advise(&[], Advice::Cold), Ok(0));
    // This advice is not allowed for another process.
    assert_eq!(advise(&ranges, Advice::Random), Err(Errno::EINVAL));
    let given_up = syscall::Advice::DONTNEED;
    let refused = unsafe { syscall::process_madvise(process.as_fd(), &ranges, given_up) };
    assert_eq!(refused, Err(Errno::EINVAL));
    // The advice applies to the ranges before the rejected one.
    let nowhere = IoVec { base: ptr::without_provenance_mut(page()), len: page() };
    assert_eq!(advise(&[nowhere], Advice::Cold), Err(Errno::ENOMEM));
    assert_eq!(advise(&[ranges[0], nowhere, ranges[1]], Advice::Cold), Ok(ranges[0].len));
    let inside = IoVec { base: ranges[0].base.wrapping_add(1), len: 1 };
    assert_eq!(advise(&[inside], Advice::Cold), Err(Errno::EINVAL));
    let no_process = File::open("/dev/null").unwrap();
    let refused = map::advise_process(lend(&no_process), &ranges, Advice::Cold);
    assert_eq!(refused.map_err(errno), Err(Errno::EBADF));

    // The pages belong to the child, which continues to work.
    let io = (child.0.stdin.as_mut().unwrap(), child.0.stdout.as_mut().unwrap());
    io.0.write_all(b"still here").unwrap();
    let mut line = [0; 10];
    io.1.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"still here");

    child.end();
    assert_eq!(advise(&ranges, Advice::Cold), Err(Errno::ESRCH));
    for pid in [child.pid(), syscall::Pid::MAX] {
        let _case = case!(pid);
        assert_eq!(syscall::pidfd_open(pid, OFlags::empty()).map(drop), Err(Errno::ESRCH));
    }
    for (pid, flags) in [(0, OFlags::empty()), (syscall::getpid(), OFlags::APPEND)] {
        let _case = case!(pid, flags);
        assert_eq!(syscall::pidfd_open(pid, flags).map(drop), Err(Errno::EINVAL));
    }
}
