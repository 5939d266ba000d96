//! Steps on `FileMap`s.

use super::*;

impl World {
    pub fn on_part(&mut self, step: &Step, real: &mut FileMap, part: &mut Part) {
        match *step {
            Step::Refresh { .. } => {
                part.refresh(&self.bytes);
                assert_eq!(real.refresh().unwrap(), part.len);
            }
            Step::SetLen { len, .. } => {
                let result = real.set_len(len as u64).map_err(errno);
                if !part.writable {
                    assert_eq!(result, Err(Errno::EINVAL));
                    return;
                }
                assert_eq!(result, Ok(()));
                self.truncated(len);
                part.refresh(&self.bytes);
            }
            Step::ReadAt { at, len, .. } => self.read_at(real, part, at, len),
            Step::WriteAt { at, bytes, .. } => {
                let (clipped, len) = part.clip(at, bytes.1);
                let result = outcome(real.write_at(bytes.get(), at as u64));
                self.part_written(part, clipped, &bytes.get()[..len], result);
            }
            Step::Fill { at, len, byte, .. } => {
                let (clipped, count) = part.clip(at, len);
                let result = outcome(real.fill(byte, at as u64, len));
                self.part_written(part, clipped, &vec![byte; count], result);
            }
            Step::Find { byte, at, .. } => {
                let there = part.intact_len(&self.bytes);
                let from = at.min(there);
                let found = contents(&self.bytes, part.start + from..part.start + there);
                let found = found.iter().position(|&next| next == byte);
                let wanted = match found {
                    Some(index) => Ok(Some(from + index)),
                    None if at.max(there) >= part.len => Ok(None),
                    None => Err((at.max(there), 0, None)),
                };
                let result = real.find(byte, at as u64);
                let result = result.map(|found| found.map(|index| index as usize));
                let result = result.map_err(|f| (f.offset() as usize, f.done(), f.errno()));
                assert_eq!(result, wanted);
            }
            Step::Slice { at, len, truncate, backwards, .. } => {
                let (at, len) = part.clip(at, len);
                let truncate = truncate.filter(|&to| to < self.bytes.len());
                let mut seen = None;
                let file = &self.file;
                // SAFETY: nobody writes meanwhile; it becomes shorter by whole pages, before
                // it is read.
                let result = unsafe {
                    real.with_slice(|bytes| {
                        if let Some(to) = truncate {
                            file.set_len(to as u64).unwrap();
                        }
                        let bytes = &bytes[at..][..len];
                        if backwards {
                            black_box(bytes.last().copied());
                        }
                        seen = Some(bytes.to_vec());
                        len
                    })
                };
                if part.lost < part.len {
                    assert_eq!(seen, None);
                    assert_eq!(outcome(result), Err((part.lost, part.lost, None)));
                    return;
                }
                if let Some(to) = truncate {
                    self.truncated(to);
                }
                let start = part.start + at;
                assert!(seen.unwrap() == contents(&self.bytes, start..start + len));
                let wanted = if len == 0 { Ok(0) } else { part.touch(at, len, &self.bytes) };
                assert_eq!(outcome(result), wanted);
            }
            Step::SliceMut { at, bytes, .. } => {
                let (at, len) = part.clip(at, bytes.1);
                let bytes = &bytes.get()[..len];
                // SAFETY: nobody has another reference.
                let result = unsafe {
                    real.with_slice_mut(|slice| {
                        slice[at..][..len].copy_from_slice(bytes);
                        len
                    })
                };
                if !part.writable {
                    assert_eq!(outcome(result), Err((0, 0, Some(Errno::EBADF))));
                } else if part.lost < part.len {
                    assert_eq!(outcome(result), Err((part.lost, part.lost, None)));
                } else {
                    let there = len.min(part.intact_len(&self.bytes).saturating_sub(at));
                    let wanted = if len == 0 { Ok(0) } else { part.touch(at, len, &self.bytes) };
                    assert_eq!(outcome(result), wanted);
                    self.written(part.start + at, &bytes[..there]);
                }
            }
            Step::FlushAndAdvise { advice, .. } => {
                real.flush().unwrap();
                real.advise(advice).unwrap();
            }
            _ => unreachable!(),
        }
    }

    pub fn read_at(&self, real: &FileMap, part: &Part, at: usize, len: usize) {
        let untouched = 0xfe;
        let (clipped, count) = part.clip(at, len);
        let (done, wanted) = part.outcome(clipped, count, &self.bytes);
        let mut buffer = vec![untouched; len];
        assert_eq!(outcome(real.read_at(&mut buffer, at as u64)), wanted);
        let start = part.start + clipped;
        assert!(buffer[..done] == contents(&self.bytes, start..start + done));
        // Pages that replace lost ones may be copied as well.
        let lost = part.lost < part.len;
        assert!(lost || buffer[done..].iter().all(|&byte| byte == untouched));
    }

    pub fn part_written(&mut self, part: &Part, at: usize, bytes: &[u8], result: Outcome) {
        if !part.writable {
            assert_eq!(result, Err((at, 0, Some(Errno::EBADF))));
            return;
        }
        let (done, wanted) = part.outcome(at, bytes.len(), &self.bytes);
        assert_eq!(result, wanted);
        self.written(part.start + at, &bytes[..done]);
    }

    pub fn copy_to(&mut self, map: usize, at: usize, to: usize, to_at: usize, len: usize) {
        let (Some((real, part)), Some((to_real, to_part))) = (&self.parts[map], &self.parts[to])
        else {
            return;
        };
        let result = outcome(real.copy_to(at as u64, to_real, to_at as u64, len));
        let (at, len) = part.clip(at, len);
        let (to_at, len) = to_part.clip(to_at, len);
        if !to_part.writable {
            assert_eq!(result, Err((at, 0, Some(Errno::EBADF))));
            return;
        }
        let (done, _) = part.outcome(at, len, &self.bytes);
        let (to_done, _) = to_part.outcome(to_at, len, &self.bytes);
        let done = done.min(to_done);
        assert_eq!(result, if done == len { Ok(len) } else { Err((at + done, done, None)) });
        let (from, to) = (part.start + at, to_part.start + to_at);
        let mut bytes = contents(&self.bytes, from..from + done);
        if from != to && from.abs_diff(to) < done {
            // Where the ranges overlap, the contents are unspecified: a byte may be read after it was
            // written.
            let end = self.bytes.len().saturating_sub(to).min(done);
            self.file.read_exact_at(&mut bytes[..end], to as u64).unwrap();
        }
        self.written(to, &bytes);
    }
}
