//! Advice, and pages that are locked.

use super::*;

#[test]
fn advice_changes_no_contents() {
    let file = zeros(128);
    let mut map = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
    map.advise(Advice::Random).unwrap();
    map.advise_range(Advice::Sequential, 0, 128).unwrap();
    map.advise_range(Advice::WillNeed, 127, 1).unwrap();
    map.copy_from_slice(&counted(128));
    map.advise(Advice::PopulateWrite).unwrap();
    map.advise(Advice::DontDump).unwrap();
    let flags = mapping(map.as_ptr()).unwrap();
    assert!(flags.lines().last().unwrap().contains(" dd"), "{flags}");
    assert_eq!(map[..], counted(128));
    let map = unsafe { Mmap::map(fd(&file)) }.unwrap();
    map.advise(Advice::Random).unwrap();
    assert_eq!(map[..], counted(128));
    MmapRaw::from(map).advise_range(Advice::Normal, 64, 64).unwrap();
}

#[test]
fn is_supported_agrees_with_madvise() {
    for advice in [Advice::Normal, Advice::Random, Advice::Sequential, Advice::WillNeed] {
        assert!(advice.is_supported(), "{advice:?}");
    }
    assert!(UncheckedAdvice::DontNeed.is_supported());
    // The kernel applies the advice.
    let map = MmapMut::map_anon(1).unwrap();
    let refused = map.advise(Advice::PopulateRead).map_err(errno);
    let expected = if Advice::PopulateRead.is_supported() { Ok(()) } else { Err(Errno::EINVAL) };
    assert_eq!(refused, expected);
}

#[test]
fn unchecked_advice_discards_pages() {
    let page = page_size();
    let map = || {
        let mut map = MmapMut::map_anon(3 * page).unwrap();
        map.fill(255);
        map.make_read_only().unwrap()
    };
    let all = map();
    unsafe { all.unchecked_advise(UncheckedAdvice::DontNeed) }.unwrap();
    assert!(all.iter().all(|&byte| byte == 0));
    // The advice applies to whole pages that contain bytes of the range.
    let part = map();
    unsafe { part.unchecked_advise_range(UncheckedAdvice::DontNeed, page + 1, 1) }.unwrap();
    assert_eq!([0, page, 2 * page].map(|index| part[index]), [255, 0, 255]);
}

#[test]
fn pages_are_locked_and_unlocked() {
    let file = zeros(128);
    let map = unsafe { Mmap::map(fd(&file)) }.unwrap();
    let at = map.as_ptr();
    assert!(!is_locked(at));
    for _ in 0..2 {
        map.lock().unwrap();
        assert!(is_locked(at));
    }
    for _ in 0..2 {
        map.unlock().unwrap();
        assert!(!is_locked(at));
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn hwpoison_is_rejected_as_safe_advice() {
    use linux_raw_sys::general::{__NR_madvise, __NR_process_madvise, MADV_HWPOISON};
    // Few kernels have this advice, and it destroys memory, so a filter answers it.
    let calls = [(__NR_madvise, 2, MADV_HWPOISON), (__NR_process_madvise, 3, MADV_HWPOISON)];
    let refusal = seccompiler::SeccompAction::Errno(u32::from(Errno::ENOSYS.number()));
    with_filter(&calls, refusal, || {
        #[allow(deprecated)]
        let advice = Advice::HwPoison;
        let map = MmapMut::map_anon(1).unwrap();
        assert_eq!(map.advise(advice).map_err(errno), Err(Errno::EINVAL));
        let file = FileMap::open(c"Cargo.toml").unwrap();
        assert_eq!(file.advise(advice).map_err(errno), Err(Errno::EINVAL));
        assert_eq!(advise_oneself(&map, advice), Err(Errno::EINVAL));
        // The advice arrives in the kernel where it is permitted.
        let poison = unsafe { map.unchecked_advise(UncheckedAdvice::HwPoison) };
        assert_eq!(poison.map_err(errno), Err(Errno::ENOSYS));
    });
}

fn advise_oneself(map: &MmapMut, advice: Advice) -> Result<usize, Errno> {
    use baremap::fd::AsFd;
    let process = syscall::pidfd_open(syscall::getpid(), syscall::OFlags::empty())?;
    let range = IoVec { base: map.as_ptr().cast_mut(), len: page_size() };
    advise_process(process.as_fd(), &[range], advice).map_err(errno)
}

/// Since Linux 6.13, a process may give itself more advice than others.
#[test]
fn only_four_kinds_of_advice_apply_to_other_processes() {
    let map = MmapMut::map_anon(1).unwrap();
    assert_eq!(advise_oneself(&map, Advice::Cold), Ok(page_size()));
    for advice in [Advice::DontFork, Advice::DontDump, Advice::Random, Advice::PopulateWrite] {
        assert_eq!(advise_oneself(&map, advice), Err(Errno::EINVAL), "{advice:?}");
    }
}
