//! Takes a few thousand steps on a file and its maps, and compares them with arrays in memory. The
//! steps are the same in each run, chosen by pseudo-random numbers. `tests/model/` has a longer
//! model test.

use super::*;
use baremap::fd::{AsRawFd, FromRawFd};
use baremap::map::{
    Fault, FileMap, Mmap, MmapMut, MmapOptions, MmapRaw, RemapOptions, UncheckedAdvice, guard,
};
use core::{cmp::min, ops::Range, slice, sync::atomic::Ordering::SeqCst};

const STEPS: usize = 3000;
/// The most pages of a file.
const PAGES: usize = 4;

fn size() -> usize {
    PAGES * page()
}

fn up(len: usize) -> usize {
    len.next_multiple_of(page())
}

/// Returns whether a file must end at a page boundary of this program. qemu-user with larger pages
/// than the host maps nothing past the end of the file.
fn coarse() -> bool {
    EMULATED.load(SeqCst) && page() > 4096
}

/// Memory that stands for a file, or for copied pages.
struct Array(Pages);

impl Array {
    fn new() -> syscall::Result<Array> {
        Ok(Array(Pages::zeros(PAGES)?))
    }

    fn get(&self) -> &[u8] {
        // SAFETY: private memory, which nothing else points to.
        unsafe { slice::from_raw_parts(self.0.addr, self.0.length) }
    }

    fn get_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.0.addr, self.0.length) }
    }
}

/// A file, and its expected contents, which are zeros past its end.
struct Model {
    fd: OwnedFd,
    bytes: Array,
    len: usize,
    random: u64,
    buffer: [u8; 1024],
}

impl Model {
    fn new() -> Result<Model, Trouble> {
        let (fd, bytes) = (memory()?, Array::new()?);
        let mut model = Model { fd, bytes, len: 0, random: 7, buffer: [0; 1024] };
        model.truncate(size() - page())?;
        Ok(model)
    }

    fn below(&mut self, end: usize) -> usize {
        self.random =
            self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 33) as usize % end
    }

    /// Returns an offset up to the most bytes of a file, often near a page boundary.
    fn place(&mut self) -> usize {
        match self.below(3) {
            0 => self.below(size() + 1),
            _ => {
                let edge = self.below(PAGES + 1) * page() + self.below(5);
                min(edge.saturating_sub(2), size())
            }
        }
    }

    /// Returns a new length of the file.
    fn new_len(&mut self) -> usize {
        let len = self.place();
        // qemu-user does not map an empty file either.
        if coarse() { up(len.max(1)) } else { len }
    }

    /// Returns a length, often a short one.
    fn length(&mut self) -> usize {
        if self.below(2) == 0 { self.below(100) } else { self.place() }
    }

    /// Fills the buffer with new bytes, and returns their number.
    fn noise(&mut self) -> usize {
        let len = self.below(self.buffer.len());
        let (first, by) = (self.below(256), 1 + self.below(7));
        let bytes = self.buffer[..len].iter_mut().enumerate();
        bytes.for_each(|(index, byte)| *byte = (first + index * by + index / 255) as u8);
        len
    }

    fn truncate(&mut self, len: usize) -> Outcome {
        syscall::ftruncate(self.fd.as_fd(), len as u64)?;
        self.truncated(len);
        Ok(())
    }

    fn truncated(&mut self, len: usize) {
        let old = self.len;
        if len < old {
            self.bytes.get_mut()[len..old].fill(0);
        }
        self.len = len;
    }

    /// Writes by the descriptor.
    fn write(&mut self) -> Outcome {
        let (at, len) = (self.place(), self.noise());
        let len = min(len, size() - at);
        let len = if coarse() { min(len, self.len.saturating_sub(at)) } else { len };
        if len == 0 {
            return Ok(());
        }
        same(syscall::pwrite(self.fd.as_fd(), &self.buffer[..len], at as u64)?, len)?;
        self.len = self.len.max(at + len);
        self.bytes.get_mut()[at..][..len].copy_from_slice(&self.buffer[..len]);
        Ok(())
    }

    /// Records in the model that a range of the buffer's bytes was written by a map. Bytes past the
    /// end of the file, in its last page, are removed.
    fn written(&mut self, range: Range<usize>) -> Outcome {
        let len = self.len;
        if range.end <= len || range.is_empty() {
            return Ok(());
        }
        self.bytes.get_mut()[range.start.max(len)..range.end].fill(0);
        syscall::ftruncate(self.fd.as_fd(), up(len) as u64)?;
        syscall::ftruncate(self.fd.as_fd(), len as u64)?;
        Ok(())
    }

    /// Checks the contents of the file.
    fn check(&mut self) -> Outcome {
        same(syscall::fstat(self.fd.as_fd())?.size, self.len as u64)?;
        for start in (0..self.len).step_by(self.buffer.len()) {
            let len = min(self.buffer.len(), self.len - start);
            same(syscall::pread(self.fd.as_fd(), &mut self.buffer[..len], start as u64)?, len)?;
            ensure(self.buffer[..len] == self.bytes.get()[start..][..len], "another file")?;
        }
        Ok(())
    }
}

/// Takes all steps, and reports the one that failed.
fn steps(mut step: impl FnMut(usize) -> Outcome) -> Outcome {
    (0..STEPS)
        .try_for_each(|number| step(number).inspect_err(|_| println!("# this was step {number}")))
}

// ---- FileMap ---------------------------------------------------------------------------

/// The part of the file that a [`FileMap`] shows.
struct Part {
    map: FileMap,
    start: usize,
    len: usize,
}

type Reached = Result<usize, (u64, usize, Option<Errno>)>;

impl Part {
    fn new(model: &Model, start: usize) -> Result<Part, Trouble> {
        let (fd, number) = (model.fd.as_fd(), model.fd.as_raw_fd() as usize);
        // SAFETY: takes no pointer; and the new descriptor is nobody else's.
        let copy = unsafe {
            let copy = syscall::fcntl(fd, linux_raw_sys::general::F_DUPFD_CLOEXEC, number)?;
            OwnedFd::from_raw_fd(copy as i32)
        };
        let map = FileMap::map_range(copy, start as u64, usize::MAX)?;
        let len = model.len.saturating_sub(start);
        same(map.len(), len)?;
        Ok(Part { map, start, len })
    }

    fn clip(&self, at: usize, len: usize) -> (usize, usize) {
        let at = min(at, self.len);
        (at, min(len, self.len - at))
    }

    /// Returns how many of `len` bytes exist, and the expected result.
    fn reach(&self, model: &Model, at: usize, len: usize) -> (usize, Reached) {
        let there = min(up(model.len).saturating_sub(self.start), self.len);
        let done = min(len, there.saturating_sub(at));
        (done, if done == len { Ok(len) } else { Err(((at + done) as u64, done, None)) })
    }

    fn read(&self, model: &mut Model, at: usize, len: usize) -> Outcome {
        let result = self.map.read_at(&mut model.buffer[..len], at as u64);
        let (at, len) = self.clip(at, len);
        let (done, wanted) = self.reach(model, at, len);
        same(reached(result), wanted)?;
        let read = model.buffer[..done] == model.bytes.get()[self.start + at..][..done];
        ensure(read, "other bytes")
    }

    /// Checks the bytes of a slice.
    fn slice(&self, model: &mut Model, truncate: Option<usize>, at: usize, len: usize) -> Outcome {
        let ((at, len), bytes) = (self.clip(at, len), model.bytes.get());
        let start = self.start + at;
        let fd = model.fd.as_fd();
        let mut right = false;
        // SAFETY: nobody writes; it becomes shorter before it is read, by whole pages.
        let result = unsafe {
            self.map.with_slice(|slice| {
                let zeros = truncate.unwrap_or(size());
                let Ok(()) = truncate.map_or(Ok(()), |to| syscall::ftruncate(fd, to as u64)) else {
                    return 0;
                };
                right = (start..)
                    .zip(&slice[at..][..len])
                    .all(|(place, &byte)| byte == if place < zeros { bytes[place] } else { 0 });
                len
            })
        };
        if let Some(to) = truncate {
            model.truncated(to);
        }
        ensure(right, "other bytes in a slice")?;
        let (done, _) = self.reach(model, at, len);
        let missing = (self.start + at + done) / page() * page();
        let missing = missing.saturating_sub(self.start);
        let wanted = if done == len { Ok(len) } else { Err((missing as u64, missing, None)) };
        same(reached(result), wanted)
    }
}

fn reached(result: Result<usize, Fault>) -> Reached {
    result.map_err(|fault| (fault.offset(), fault.done(), fault.errno()))
}

fn file_maps() -> Outcome {
    let mut model = Model::new()?;
    let mut parts = [Part::new(&model, 0)?, Part::new(&model, page() + 5)?];
    steps(|number| {
        let which = model.below(2);
        let (at, len) = (model.place(), model.length());
        let part = &mut parts[which];
        match model.below(10) {
            0 | 1 => model.write()?,
            2 => {
                let len = model.new_len();
                model.truncate(len)?;
            }
            3 | 4 => {
                part.len = model.len.saturating_sub(part.start);
                same(part.map.refresh()?, part.len)?;
            }
            5 => {
                let count = model.noise();
                let result = part.map.write_at(&model.buffer[..count], at as u64);
                let (at, count) = part.clip(at, count);
                let (done, wanted) = part.reach(&model, at, count);
                same(reached(result), wanted)?;
                let start = part.start + at;
                model.bytes.get_mut()[start..][..done].copy_from_slice(&model.buffer[..done]);
                model.written(start..start + done)?;
            }
            6 => {
                let byte = model.below(256) as u8;
                let result = part.map.fill(byte, at as u64, len);
                let (at, len) = part.clip(at, len);
                let (done, wanted) = part.reach(&model, at, len);
                same(reached(result), wanted)?;
                let start = part.start + at;
                model.bytes.get_mut()[start..][..done].fill(byte);
                model.written(start..start + done)?;
            }
            7 => {
                let to_at = model.place();
                let (part, to) = (&parts[which], &parts[model.below(2)]);
                let (clipped, count) = part.clip(at, len);
                let (to_clipped, count) = to.clip(to_at, count);
                let (from, into) = (part.start + clipped, to.start + to_clipped);
                // Where the ranges overlap, the contents are unspecified.
                if from != into && from.abs_diff(into) < count {
                    return Ok(());
                }
                let result = part.map.copy_to(at as u64, &to.map, to_at as u64, len);
                let done = min(
                    part.reach(&model, clipped, count).0,
                    to.reach(&model, to_clipped, count).0,
                );
                let stop = Err(((clipped + done) as u64, done, None));
                same(reached(result), if done == count { Ok(count) } else { stop })?;
                model.bytes.get_mut().copy_within(from..from + done, into);
                model.written(into..into + done)?;
            }
            8 => {
                let byte = model.below(256) as u8;
                let (clipped, count) = part.clip(at, size());
                let (done, all) = part.reach(&model, clipped, count);
                let bytes = &model.bytes.get()[min(part.start + clipped, size())..][..done];
                let wanted = match bytes.iter().position(|&next| next == byte) {
                    Some(index) => Ok(Some((clipped + index) as u64)),
                    None => all.map(|_| None).map_err(|(offset, ..)| offset),
                };
                same(part.map.find(byte, at as u64).map_err(|fault| fault.offset()), wanted)?;
            }
            _ => {
                let len = model.new_len();
                part.map.set_len(len as u64)?;
                model.truncated(len);
                part.len = len.saturating_sub(part.start);
            }
        }
        for part in &parts {
            let (at, len) = (model.place(), model.below(1024));
            part.read(&mut model, at, len)?;
            if number % 64 == 0 {
                for at in (0..part.len).step_by(1024) {
                    part.read(&mut model, at, 1024)?;
                }
            }
        }
        if number % 64 == 0 { model.check() } else { Ok(()) }
    })
}

/// Runs in a child, because a fault that is not handled would end the process.
fn slices() -> Outcome {
    let run = || {
        let mut model = Model::new()?;
        let mut parts = [Part::new(&model, 0)?, Part::new(&model, page() + 5)?];
        steps(|_| {
            let (at, len) = (model.place(), model.length());
            let part = &mut parts[model.below(2)];
            model.write()?;
            if model.below(3) == 0 {
                model.truncate(size())?;
            }
            part.len = model.len.saturating_sub(part.start);
            same(part.map.refresh()?, part.len)?;
            let to = Some(model.below(PAGES + 1) * page()).filter(|&to| to < model.len);
            part.slice(&mut model, to, at, len)
        })
    };
    processes::in_child(run)
}

// ---- Maps ------------------------------------------------------------------------------

/// A map of a part of the file.
struct Window<M> {
    map: M,
    offset: usize,
    len: usize,
}

impl<M> Window<M> {
    /// Returns the number of bytes that exist from an offset on.
    fn there(&self, model: &Model, at: usize) -> usize {
        min(up(model.len).saturating_sub(self.offset), self.len).saturating_sub(at)
    }

    /// Returns an offset, and the number of bytes from there to the end.
    fn place(&self, model: &mut Model) -> (usize, usize) {
        let at = min(model.place().saturating_sub(self.offset), self.len);
        (at, self.len - at)
    }

    /// Returns the pages of a range, counted from the beginning of the file.
    fn pages(&self, at: usize, len: usize) -> Range<usize> {
        let start = self.offset + at;
        if len == 0 { 0..0 } else { start / page()..(start + len).div_ceil(page()) }
    }

    /// Copies a part into the buffer, and checks it.
    fn read(
        &self,
        model: &mut Model,
        ptr: *const u8,
        wanted: impl Fn(&Model, usize) -> u8,
    ) -> Outcome {
        let (at, len) = self.place(model);
        let len = min(len, model.below(model.buffer.len()));
        // SAFETY: the map's own bytes, to which there is no reference.
        let left = unsafe { guard::copy(ptr.wrapping_add(at), model.buffer.as_mut_ptr(), len) };
        let done = min(len, self.there(model, at));
        same(left, if done == len { Ok(()) } else { Err(len - done) })?;
        let start = self.offset + at;
        let mut bytes = (start..).zip(&model.buffer[..done]);
        ensure(bytes.all(|(place, &byte)| byte == wanted(model, place)), "other bytes")
    }

    /// Writes a part from the buffer, and returns its offset and length.
    fn write(&self, model: &mut Model, ptr: *mut u8) -> Result<(usize, usize), Trouble> {
        let ((at, rest), len) = (self.place(model), model.noise());
        let len = min(len, rest);
        // SAFETY: as above.
        let left = unsafe { guard::copy(model.buffer.as_ptr(), ptr.wrapping_add(at), len) };
        let done = min(len, self.there(model, at));
        same(left, if done == len { Ok(()) } else { Err(len - done) })?;
        Ok((self.offset + at, done))
    }
}

/// Returns the offset and the length of a new map. qemu-user maps only what exists in the file.
fn part(model: &mut Model) -> (usize, usize) {
    let end = if coarse() { min(size(), model.len) } else { size() };
    let offset = min(model.place(), end).saturating_sub(1);
    let len = min(model.length(), end - offset);
    let len = if coarse() { len.max(1) } else { len };
    (offset, len)
}

fn grown<M>(window: &Window<M>, model: &mut Model) -> usize {
    let end = if coarse() { min(size(), model.len) } else { size() };
    min(model.length(), end.saturating_sub(window.offset))
}

/// Resizes a map.
fn remap<M>(
    window: &mut Window<M>,
    model: &mut Model,
    remap: impl FnOnce(&mut M, usize, RemapOptions) -> Result<(), Errno>,
) -> Outcome {
    let (len, may_move) = (grown(window, model), model.below(2) == 0);
    let grows = window.pages(0, len.max(1)).end > window.pages(0, window.len.max(1)).end;
    match remap(&mut window.map, len, RemapOptions::new().may_move(may_move)) {
        Err(errno) if grows && !may_move => return same(errno, Errno::ENOMEM),
        result => result?,
    }
    window.len = len;
    Ok(())
}

fn shared_maps() -> Outcome {
    let mut model = Model::new()?;
    let new = |model: &mut Model| -> Result<Window<MmapRaw>, Trouble> {
        let (offset, len) = part(model);
        let map = MmapOptions::new().offset(offset as u64).len(len).map_raw(model.fd.as_fd())?;
        Ok(Window { map, offset, len })
    };
    let mut window = new(&mut model)?;
    steps(|number| {
        let (at, len) = window.place(&mut model);
        let len = min(len, model.length());
        match model.below(8) {
            0 => model.write()?,
            1 => {
                let len = model.new_len();
                model.truncate(len)?;
            }
            2 => window = new(&mut model)?,
            3 | 4 => {
                let (start, done) = window.write(&mut model, window.map.as_mut_ptr())?;
                model.bytes.get_mut()[start..][..done].copy_from_slice(&model.buffer[..done]);
                model.written(start..start + done)?;
            }
            5 => {
                window.map.flush_range(at, len)?;
                window.map.flush_async_range(at, len)?;
                fails(window.map.flush_range(at, window.len - at + 1), Errno::EINVAL)?;
            }
            // SAFETY: there is no reference, and no pointer outlives a step.
            6 => remap(&mut window, &mut model, |map, len, options| unsafe {
                map.remap(len, options)
            })?,
            _ => {
                // SAFETY: of a shared map it changes nothing.
                unsafe {
                    window.map.unchecked_advise_range(UncheckedAdvice::DontNeed, at, len)?;
                }
            }
        }
        same(window.map.len(), window.len)?;
        let ptr = window.map.as_ptr();
        window.read(&mut model, ptr, |model, place| model.bytes.get()[place])?;
        if number % 64 == 0 { model.check() } else { Ok(()) }
    })
}

fn private_maps() -> Outcome {
    let mut model = Model::new()?;
    let new = |model: &mut Model| -> Result<Window<MmapMut>, Trouble> {
        let (offset, len) = part(model);
        let mut options = MmapOptions::new();
        // SAFETY: no slice of it is made.
        let map = unsafe { options.offset(offset as u64).len(len).map_copy(model.fd.as_fd())? };
        Ok(Window { map, offset, len })
    };
    let mut window = new(&mut model)?;
    // The copied pages, which no longer show the file, and which pages they are.
    let mut copies = Array::new()?;
    let mut copied = [false; PAGES];
    steps(|_| {
        let (at, len) = window.place(&mut model);
        let len = min(len, model.length());
        match model.below(8) {
            0 => model.write()?,
            1 => {
                let len = model.new_len();
                model.truncate(len)?;
                copied[up(len) / page()..].fill(false);
            }
            2 => {
                window = new(&mut model)?;
                copied = [false; PAGES];
            }
            3 | 4 => {
                let ptr = window.map.as_ptr().cast_mut();
                let (start, done) = window.write(&mut model, ptr)?;
                for number in window.pages(start - window.offset, done) {
                    if !copied[number] {
                        let whole = number * page()..(number + 1) * page();
                        copies.get_mut()[whole.clone()].copy_from_slice(&model.bytes.get()[whole]);
                        copied[number] = true;
                    }
                }
                copies.get_mut()[start..][..done].copy_from_slice(&model.buffer[..done]);
            }
            5 => {
                let given_up = window.pages(at, len);
                // SAFETY: there are no references, and the model knows what becomes of it.
                unsafe {
                    window.map.unchecked_advise_range(UncheckedAdvice::DontNeed, at, len)?;
                }
                copied[given_up].fill(false);
            }
            6 => {
                // SAFETY: there is no reference, and no pointer outlives a step.
                remap(&mut window, &mut model, |map, len, options| unsafe {
                    map.remap(len, options)
                })?;
                copied[window.pages(0, window.len.max(1)).end..].fill(false);
            }
            _ => {
                // The map becomes read-only and writable again.
                let none = Window { map: MmapMut::map_anon(0)?, offset: 0, len: 0 };
                let Window { map, offset, len } = core::mem::replace(&mut window, none);
                let map: Mmap = map.make_read_only()?;
                let (to, all) = (map.as_ptr().cast_mut(), min(len, model.buffer.len()));
                // SAFETY: there is no reference to the map, and nothing is written.
                let left = unsafe { guard::copy(model.buffer.as_ptr(), to, all) };
                same(left, if all == 0 { Ok(()) } else { Err(all) })?;
                window = Window { map: map.make_mut()?, offset, len };
            }
        }
        same(window.map.len(), window.len)?;
        let ptr = window.map.as_ptr();
        window.read(&mut model, ptr, |model, place| {
            if copied[place / page()] { copies.get()[place] } else { model.bytes.get()[place] }
        })
    })?;
    model.check()
}

pub const CASES: &[Case] = &[
    case!("FileMaps are as their model", file_maps),
    case!(
        "their slices are as their model",
        slices,
        qemu_user: "SIGBUS is passed on with the host's address",
        if page() > 4096 || cfg!(any(target_pointer_width = "32", target_endian = "big"))
    ),
    case!(
        "shared maps are as their model",
        shared_maps,
        qemu_user: "it runs out of places for pages that are larger than the host's",
        if page() > 4096
    ),
    case!(
        "private maps are as their model",
        private_maps,
        qemu_user: "it runs out of places for pages that are larger than the host's",
        if page() > 4096
    ),
];
