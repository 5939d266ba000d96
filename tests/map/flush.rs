//! Flushing.

use super::*;

#[test]
fn flush_options_are_passed_to_msync() {
    let page = page_size();
    let file = zeros(3 * page as u64);
    let map = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
    let all = FlushOptions::new();
    let refused = |options| map.flush_with(options).map_err(errno);
    for options in [all, all.invalidate(), all.asynchronous(), all.asynchronous().invalidate()] {
        assert_eq!(refused(options), Ok(()), "{options:?}");
    }
    // The kernel refuses to invalidate locked pages, which shows that the call arrives there, and
    // not in ranges without them.
    let part = unsafe { MmapOptions::new().offset(page as u64).len(page).map_mut(fd(&file)) };
    let part = part.unwrap();
    part.lock().unwrap();
    assert_eq!(part.flush_with(all.invalidate()).map_err(errno), Err(Errno::EBUSY));
    assert_eq!(part.flush_with(all.invalidate().range(5, 0)).map_err(errno), Ok(()));
    assert_eq!(part.flush_with(all.asynchronous()).map_err(errno), Ok(()));
    assert_eq!(part.flush_with(all).map_err(errno), Ok(()));
    part.unlock().unwrap();
    assert_eq!(MmapRaw::from(part).flush_with(all.invalidate()).map_err(errno), Ok(()));
}

/// The effect of the flags of `msync` is not visible in a file. A filter for one thread returns
/// another error for each flag, if the length is one page.
#[cfg(target_arch = "x86_64")]
#[test]
fn flush_waits_and_flush_async_does_not() {
    use linux_raw_sys::general::{__NR_msync, MS_ASYNC, MS_INVALIDATE, MS_SYNC};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, SeccompCondition,
        SeccompFilter, SeccompRule,
    };
    let page = page_size();
    let file = zeros(3 * page as u64);
    let filter = |flags: u32, errno: Errno| -> BpfProgram {
        let is = |number, value| SeccompCondition::new(number, Dword, Eq, value).unwrap();
        let rule = SeccompRule::new(vec![is(1, page as u64), is(2, flags.into())]).unwrap();
        let filter = SeccompFilter::new(
            [(i64::from(__NR_msync), vec![rule])].into(),
            SeccompAction::Allow,
            SeccompAction::Errno(errno.number().into()),
            seccompiler::TargetArch::x86_64,
        );
        filter.unwrap().try_into().unwrap()
    };
    let (sync, later, invalid) = (Errno::EIO, Errno::EAGAIN, Errno::ESTALE);
    let filters = [
        filter(MS_SYNC, sync),
        filter(MS_ASYNC, later),
        filter(MS_SYNC | MS_INVALIDATE, invalid),
        filter(MS_ASYNC | MS_INVALIDATE, Errno::EBADMSG),
    ];
    let thread = thread::spawn(move || {
        let whole = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
        let map = unsafe { MmapOptions::new().offset(page as u64 + 5).len(99).map_mut(fd(&file)) };
        let map = map.unwrap();
        filters.iter().for_each(|filter| seccompiler::apply_filter(filter).unwrap());
        let options = FlushOptions::new();
        assert_eq!(map.flush().map_err(errno), Err(sync));
        assert_eq!(map.flush_async().map_err(errno), Err(later));
        assert_eq!(map.flush_with(options).map_err(errno), Err(sync));
        assert_eq!(map.flush_with(options.asynchronous()).map_err(errno), Err(later));
        assert_eq!(map.flush_with(options.invalidate()).map_err(errno), Err(invalid));
        let all = options.invalidate().asynchronous();
        assert_eq!(map.flush_with(all).map_err(errno), Err(Errno::EBADMSG));
        // A range flushes the pages that contain its bytes, and no others.
        for (offset, len, pages) in [(0, 1, 1), (page - 1, 1, 1), (page - 1, 2, 2), (page, 9, 1)] {
            let _case = case!(offset, len, pages);
            let (now, soon) = if pages == 1 { (Err(sync), Err(later)) } else { (Ok(()), Ok(())) };
            assert_eq!(whole.flush_range(offset, len).map_err(errno), now);
            assert_eq!(whole.flush_async_range(offset, len).map_err(errno), soon);
        }
        assert_eq!(whole.flush().map_err(errno), Ok(()));
        let raw = MmapRaw::from(map);
        assert_eq!(raw.flush().map_err(errno), Err(sync));
        assert_eq!(raw.flush_async().map_err(errno), Err(later));
    });
    thread.join().unwrap();
}
