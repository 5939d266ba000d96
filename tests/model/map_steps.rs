//! Steps on maps of all kinds.

use super::*;

impl World {
    pub fn map(
        &mut self,
        map: usize,
        kind: Kind,
        offset: usize,
        asked: Option<usize>,
        read_only: bool,
    ) {
        let file = if read_only { &self.read_only } else { &self.file }.as_raw_fd();
        let mut options = MmapOptions::new();
        options.offset(offset as u64);
        if let Some(len) = asked {
            options.len(len);
        }
        // SAFETY: slices of them are made for a comparison alone.
        let real = unsafe {
            match kind {
                Kind::Shared => options.map(file).map(Map::Read),
                Kind::SharedMut => options.map_mut(file).map(Map::Write),
                Kind::Copy => options.map_copy(file).map(Map::Write),
                Kind::CopyReadOnly => options.map_copy_read_only(file).map(Map::Read),
                Kind::Raw => options.map_raw(file).map(Map::Raw),
                Kind::RawReadOnly => options.map_raw_read_only(file).map(Map::Raw),
                Kind::Memory => options.map_anon().map(Map::Write),
            }
        };
        let memory = kind == Kind::Memory;
        let shared = !matches!(kind, Kind::Copy | Kind::CopyReadOnly | Kind::Memory);
        let writable = !matches!(kind, Kind::Shared | Kind::CopyReadOnly | Kind::RawReadOnly);
        let allowed = !(shared && writable && read_only);
        let size = self.bytes.len();
        let wanted = match asked {
            None if memory => Ok(0),
            None if offset > size => Err(Errno::EINVAL),
            None if allowed => Ok(size - offset),
            Some(len) if allowed => Ok(len),
            _ => Err(Errno::EACCES),
        };
        self.maps[map] = match (real, wanted) {
            (Ok(real), Ok(len)) => {
                let window = Window {
                    memory,
                    offset: if memory { 0 } else { offset },
                    len,
                    shared,
                    writable,
                    may_write: !(shared && read_only),
                    copies: BTreeMap::new(),
                    advised: BTreeMap::new(),
                    divided: false,
                };
                Some((real, window))
            }
            (Err(error), Err(wanted)) => {
                assert_eq!(errno(error), wanted);
                None
            }
            (Ok(_), Err(errno)) => panic!("mapped, wanted {errno:?}"),
            (Err(error), Ok(_)) => panic!("{error}, wanted a map"),
        };
    }

    pub fn on_map(
        &mut self,
        step: &Step,
        mut real: Map,
        mut window: Window,
    ) -> Option<(Map, Window)> {
        match *step {
            Step::Write { at, bytes, by_slice, .. } => {
                let at = at.min(window.len);
                let bytes = &bytes.get()[..bytes.1.min(window.len - at)];
                let there = window.intact_len(&self.bytes).saturating_sub(at).min(bytes.len());
                let done = if window.writable { there } else { 0 };
                match &mut real {
                    Map::Write(map) if by_slice && done == bytes.len() => {
                        map[at..][..done].copy_from_slice(bytes);
                    }
                    _ => {
                        let to = real.ptr().wrapping_add(at);
                        // SAFETY: the map's own bytes, and no reference to them.
                        let copied = unsafe { guard::copy(bytes.as_ptr(), to, bytes.len()) };
                        let left = bytes.len() - done;
                        assert_eq!(copied, if left == 0 { Ok(()) } else { Err(left) });
                    }
                }
                let start = window.offset + at;
                if window.shared {
                    self.written(start, &bytes[..done]);
                } else {
                    for page in pages(start..start + done) {
                        let range = start.max(page * PAGE)..(start + done).min((page + 1) * PAGE);
                        window.copy(page, &self.bytes)[range.start - page * PAGE..][..range.len()]
                            .copy_from_slice(&bytes[range.start - start..range.end - start]);
                    }
                }
            }
            Step::Flush { range, how, .. } => {
                let (at, len) = range.unwrap_or((0, window.len));
                let mut wanted = if at + len > window.len { Err(Errno::EINVAL) } else { Ok(()) };
                let mut options = FlushOptions::new();
                if let Some((at, len)) = range {
                    options = options.range(at, len);
                }
                let locked = match how {
                    How::Invalidate(page) if page < window.pages().len() => {
                        let base = real.ptr().wrapping_sub(window.offset % PAGE);
                        let page = (base.wrapping_add(page * PAGE), window.pages().start + page);
                        // SAFETY: the map's own page, for a moment.
                        unsafe { syscall::mlock2(page.0, PAGE, MlockFlags::ONFAULT) }.unwrap();
                        let start = window.offset + at;
                        if wanted.is_ok() && pages(start..start + len).contains(&page.1) {
                            wanted = Err(Errno::EBUSY);
                        }
                        Some(page.0)
                    }
                    _ => None,
                };
                let result = match (&real, how) {
                    (Map::Write(map), How::Invalidate(_)) => map.flush_with(options.invalidate()),
                    (Map::Raw(map), How::Invalidate(_)) => map.flush_with(options.invalidate()),
                    (Map::Write(map), How::Sync) => map.flush_range(at, len),
                    (Map::Raw(map), How::Sync) => map.flush_with(options),
                    (Map::Write(map), How::Async) => map.flush_with(options.asynchronous()),
                    (Map::Raw(map), How::Async) => map.flush_async_range(at, len),
                    (Map::Read(_), _) => wanted, // has no flush
                };
                assert_eq!(result.map_err(errno), wanted);
                if let Some(page) = locked {
                    // SAFETY: as above.
                    unsafe { syscall::munlock(page, PAGE) }.unwrap();
                }
            }
            Step::Remap { len, may_move, .. } => {
                let options = RemapOptions::new().may_move(may_move);
                let before = (real.ptr(), real.len());
                // SAFETY: no reference to it, and no pointer, outlives a step.
                let result = unsafe { of!(&mut real, map => map.remap(len, options)) };
                let result = result.map_err(errno);
                let old = window.pages();
                let new = mapped(window.offset, len);
                match result {
                    _ if new.end <= old.end => assert_eq!(result, Ok(())),
                    Ok(()) => assert_ne!(window.is_one(), Some(false)),
                    Err(Errno::EFAULT) => assert_ne!(window.is_one(), Some(true)),
                    // The map may not move, and another mapping follows it.
                    Err(errno) => assert_eq!((errno, may_move), (Errno::ENOMEM, false)),
                }
                if result.is_ok() {
                    assert!(may_move || real.ptr() == before.0);
                    let last = old.clone().last().and_then(|page| window.advised.get(&page));
                    let last = last.copied().unwrap_or_default();
                    new.filter(|page| *page >= old.end).for_each(|page| {
                        window.advised.insert(page, last);
                    });
                    window.len = len;
                    let pages = window.pages();
                    window.copies.retain(|page, _| pages.contains(page));
                    window.advised.retain(|page, _| pages.contains(page));
                } else {
                    assert_eq!((real.ptr(), real.len()), before);
                }
            }
            Step::Protect { to, by_try, .. } => {
                let allowed = window.may_write;
                (real, window.writable) = match (real, to) {
                    (Map::Read(map), To::Mut) if by_try => match map.try_make_mut() {
                        Ok(map) => {
                            assert!(allowed);
                            (Map::Write(map), true)
                        }
                        Err(error) => {
                            assert_eq!((error.errno(), allowed), (Errno::EACCES, false));
                            (Map::Read(error.into_inner()), false)
                        }
                    },
                    (Map::Read(map), To::Mut) => match map.make_mut() {
                        Ok(map) => {
                            assert!(allowed);
                            (Map::Write(map), true)
                        }
                        Err(error) => {
                            assert_eq!((errno(error), allowed), (Errno::EACCES, false));
                            return None;
                        }
                    },
                    (Map::Write(map), To::ReadOnly) if by_try => {
                        (Map::Read(map.try_make_read_only().unwrap()), false)
                    }
                    (Map::Write(map), To::ReadOnly) => {
                        (Map::Read(map.make_read_only().unwrap()), false)
                    }
                    (Map::Write(map), To::Exec) if by_try => {
                        (Map::Read(map.try_make_exec().unwrap()), false)
                    }
                    (Map::Write(map), To::Exec) => (Map::Read(map.make_exec().unwrap()), false),
                    (map, _) => (map, window.writable),
                };
            }
            Step::IntoRaw { .. } => {
                real = match real {
                    Map::Read(map) => Map::Raw(map.into()),
                    Map::Write(map) => Map::Raw(map.into()),
                    raw => raw,
                };
            }
            Step::Advise { at, len, advice, .. } => {
                let result = match &real {
                    Map::Read(map) if (at, len) == (0, map.len()) => map.advise(advice),
                    map => of!(map, map => map.advise_range(advice, at, len)),
                };
                let wanted = window.advise(at, len, advice, &self.bytes);
                assert_eq!(result.map_err(errno), wanted);
            }
            Step::DontNeed { at, len, .. } => {
                let advice = UncheckedAdvice::DontNeed;
                // SAFETY: there are no references, and the model knows what becomes of it.
                let result =
                    unsafe { of!(&real, map => map.unchecked_advise_range(advice, at, len)) };
                let inside = at + len <= window.len;
                assert_eq!(result.map_err(errno), if inside { Ok(()) } else { Err(Errno::EINVAL) });
                if inside {
                    let given_up = pages(window.offset + at..window.offset + at + len);
                    window.copies.retain(|page, _| !given_up.contains(page));
                }
            }
            Step::Lock { .. } => {
                // The advice makes all pages resident, by writing where writing is permitted.
                let how =
                    if window.writable { Advice::PopulateWrite } else { Advice::PopulateRead };
                let wanted = window.advise(0, window.len, how, &self.bytes);
                let wanted = wanted.map_err(|_| Errno::ENOMEM);
                let result = of!(&real, map => map.lock());
                assert_eq!(result.map_err(errno), wanted);
                of!(&real, map => map.unlock()).unwrap();
            }
            _ => unreachable!(),
        }
        Some((real, window))
    }
}
