//! Random sequences of all that can be done to a file and to its maps, against a plain model
//! of both: the file is a `Vec`, a map is a window on it with the pages that it has copied.
//!
//! After each step all of it is compared. What cannot be reached has to be an error, at the
//! very byte. Source: mmap(2), and where that leaves it open, what Linux does: a private page
//! shows the file until it is written to, and is gone if the file becomes shorter than it.

#[path = "common/kernel.rs"]
mod kernel;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    hint::black_box,
    ops::Range,
    os::{
        fd::{AsRawFd, IntoRawFd},
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    sync::LazyLock,
};

use baremap::{
    Advice, Mmap, MmapMut, MmapOptions, MmapRaw, RemapOptions, UncheckedAdvice,
    fd::{FromRawFd, OwnedFd},
    map::{Fault, FileMap, FlushOptions, guard},
    syscall::{self, Errno, MlockFlags, OFlags},
};
use kernel::errno;
use proptest::{collection::vec, option, prelude::*};

const PAGE: usize = 4096;
/// No file is longer.
const SIZE: usize = 6 * PAGE;
/// So many of each kind at the same time.
const MAPS: usize = 3;
const FILE_MAPS: usize = 2;

// ---------------------------------------------------------------- steps

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Shared,
    SharedMut,
    Copy,
    CopyReadOnly,
    Raw,
    RawReadOnly,
    Memory,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Sync,
    Async,
    /// While this page of the map is locked, which is how to see where the call arrives.
    Invalidate(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum To {
    ReadOnly,
    Exec,
    Mut,
}

#[derive(Clone, Debug)]
enum Step {
    // The file, by its descriptor.
    WriteFile { at: usize, bytes: Bytes },
    Truncate { len: usize },

    // A map. Ranges may be outside of it.
    Map { map: usize, kind: Kind, offset: usize, len: Option<usize>, read_only: bool },
    Write { map: usize, at: usize, bytes: Bytes, by_slice: bool },
    Flush { map: usize, range: Option<(usize, usize)>, how: How },
    Remap { map: usize, len: usize, may_move: bool },
    Protect { map: usize, to: To, by_try: bool },
    IntoRaw { map: usize },
    Advise { map: usize, at: usize, len: usize, advice: Advice },
    DontNeed { map: usize, at: usize, len: usize },
    Lock { map: usize },

    // A `FileMap`.
    Open { map: usize, start: usize, len: Option<usize>, read_only: bool },
    Refresh { map: usize },
    SetLen { map: usize, len: usize },
    ReadAt { map: usize, at: usize, len: usize },
    WriteAt { map: usize, at: usize, bytes: Bytes },
    Fill { map: usize, at: usize, len: usize, byte: u8 },
    CopyTo { map: usize, at: usize, to: usize, to_at: usize, len: usize },
    Find { map: usize, byte: u8, at: usize },
    Slice { map: usize, at: usize, len: usize, truncate: Option<usize>, backwards: bool },
    SliceMut { map: usize, at: usize, bytes: Bytes },
    FlushAndAdvise { map: usize, advice: Advice },
}

/// So many bytes of the noise, from this place on.
#[derive(Clone, Copy, Debug)]
struct Bytes(usize, usize);

impl Bytes {
    fn get(self) -> &'static [u8] {
        static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
            (0..SIZE + 256).map(|index| ((index * index + index / 251) % 255) as u8 + 1).collect()
        });
        &NOISE[self.0..][..self.1]
    }
}

/// A place in a file or a map: most things go wrong near the edges of pages.
fn place() -> impl Strategy<Value = usize> + Clone {
    let edge = (0..=SIZE / PAGE, 0..5usize);
    let edge = edge.prop_map(|(page, by)| (page * PAGE + by).saturating_sub(2).min(SIZE));
    prop_oneof![1 => 0..=SIZE, 2 => edge]
}

fn bytes() -> impl Strategy<Value = Bytes> + Clone {
    (0..256usize, length()).prop_map(|(from, len)| Bytes(from, len))
}

fn length() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![0..100usize, place()]
}

fn kind() -> impl Strategy<Value = Kind> {
    use Kind::*;
    let all = [Shared, SharedMut, Copy, CopyReadOnly, Raw, RawReadOnly, Memory];
    proptest::sample::select(all.to_vec())
}

fn advice() -> impl Strategy<Value = Advice> {
    use Advice::*;
    let harmless = [WillNeed, Cold, PageOut, KeepOnFork];
    let kept = [Normal, Random, Sequential, DontFork, DoFork, DontDump, DoDump];
    let now = [PopulateRead, PopulateWrite, PopulateRead, PopulateWrite];
    proptest::sample::select([&harmless[..], &kept, &now].concat())
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let map = || 0..MAPS;
    let flush =
        prop_oneof![Just(How::Sync), Just(How::Async), (0..SIZE / PAGE).prop_map(How::Invalidate),];
    let protect = proptest::sample::select([To::ReadOnly, To::Exec, To::Mut].to_vec());
    let file = prop_oneof![
        3 => (place(), bytes()).prop_map(|(at, bytes)| WriteFile { at, bytes }),
        2 => place().prop_map(|len| Truncate { len }),
    ];
    let maps = prop_oneof![
        4 => (map(), kind(), place(), option::of(length()), prop::bool::weighted(0.2)).prop_map(
            |(map, kind, offset, len, read_only)| Map { map, kind, offset, len, read_only }
        ),
        4 => (map(), place(), bytes(), any::<bool>())
            .prop_map(|(map, at, bytes, by_slice)| Write { map, at, bytes, by_slice }),
        2 => (map(), option::of((place(), length())), flush)
            .prop_map(|(map, range, how)| Flush { map, range, how }),
        2 => (map(), length(), any::<bool>())
            .prop_map(|(map, len, may_move)| Remap { map, len, may_move }),
        2 => (map(), protect, any::<bool>())
            .prop_map(|(map, to, by_try)| Protect { map, to, by_try }),
        1 => map().prop_map(|map| IntoRaw { map }),
        2 => (map(), place(), length(), advice())
            .prop_map(|(map, at, len, advice)| Advise { map, at, len, advice }),
        1 => (map(), place(), length()).prop_map(|(map, at, len)| DontNeed { map, at, len }),
        1 => map().prop_map(|map| Lock { map }),
    ];
    let map = || 0..FILE_MAPS;
    let hint = [Advice::Normal, Advice::Random, Advice::Sequential, Advice::WillNeed];
    let file_maps = prop_oneof![
        1 => (map(), place(), option::of(length()), prop::bool::weighted(0.2))
            .prop_map(|(map, start, len, read_only)| Open { map, start, len, read_only }),
        1 => map().prop_map(|map| Refresh { map }),
        1 => (map(), place()).prop_map(|(map, len)| SetLen { map, len }),
        2 => (map(), place(), length()).prop_map(|(map, at, len)| ReadAt { map, at, len }),
        2 => (map(), place(), bytes()).prop_map(|(map, at, bytes)| WriteAt { map, at, bytes }),
        2 => (map(), place(), length(), any::<u8>())
            .prop_map(|(map, at, len, byte)| Fill { map, at, len, byte }),
        5 => (map(), place(), map(), place(), length())
            .prop_map(|(map, at, to, to_at, len)| CopyTo { map, at, to, to_at, len }),
        1 => (map(), any::<u8>(), place()).prop_map(|(map, byte, at)| Find { map, byte, at }),
        4 => (map(), place(), length(), option::of(0..=SIZE / PAGE), any::<bool>()).prop_map(
            |(map, at, len, pages, backwards)| {
                Slice { map, at, len, truncate: pages.map(|n| n * PAGE), backwards }
            }
        ),
        1 => (map(), place(), bytes()).prop_map(|(map, at, bytes)| SliceMut { map, at, bytes }),
        1 => (map(), proptest::sample::select(hint.to_vec()))
            .prop_map(|(map, advice)| FlushAndAdvise { map, advice }),
    ];
    prop_oneof![2 => file, 5 => maps, 4 => file_maps]
}

// ---------------------------------------------------------------- the model

fn up(len: usize) -> usize {
    len.next_multiple_of(PAGE)
}

/// The pages that have bytes of a range.
fn pages(range: Range<usize>) -> Range<usize> {
    if range.is_empty() { 0..0 } else { range.start / PAGE..range.end.div_ceil(PAGE) }
}

/// The pages of a mapping, of which there is one for no bytes.
fn mapped(offset: usize, len: usize) -> Range<usize> {
    pages(offset..offset + len.max(1))
}

/// The file's bytes, and beyond its end zeros.
fn contents(file: &[u8], range: Range<usize>) -> Vec<u8> {
    let mut bytes = vec![0; range.len()];
    let there = file.get(range.start..).unwrap_or_default();
    let count = there.len().min(bytes.len());
    bytes[..count].copy_from_slice(&there[..count]);
    bytes
}

/// What advice leaves behind: order, not in a child, not in a core dump. The kernel has one
/// mapping for pages that are alike.
type Advised = (u32, bool, bool);

/// What a map shows. Pages are counted from the beginning of the file.
struct Window {
    /// Memory and not the file, which is an endless file of zeros.
    memory: bool,
    offset: usize,
    len: usize,
    shared: bool,
    writable: bool,
    /// Whether it can be made writable.
    may_write: bool,
    /// Private pages that are not the file's any more.
    copies: BTreeMap<usize, Vec<u8>>,
    advised: BTreeMap<usize, Advised>,
    /// Whether pages were ever not alike: the kernel may have several mappings after that.
    divided: bool,
}

impl Window {
    /// The pages that are mapped: one of them if there are no bytes.
    fn pages(&self) -> Range<usize> {
        mapped(self.offset, self.len)
    }

    /// How many bytes can be reached.
    fn there(&self, file: &[u8]) -> usize {
        if self.memory {
            self.len
        } else {
            up(file.len()).saturating_sub(self.offset).min(self.len)
        }
    }

    fn contents(&self, file: &[u8]) -> Vec<u8> {
        let file = if self.memory { &[] } else { file };
        let range = self.offset..self.offset + self.len;
        // As whole pages, so that copies fit.
        let pages = self.pages();
        let whole = pages.start * PAGE..pages.end * PAGE;
        let mut bytes = contents(file, whole.clone());
        for (page, copy) in &self.copies {
            bytes[page * PAGE - whole.start..][..PAGE].copy_from_slice(copy);
        }
        bytes[range.start - whole.start..][..range.len()].to_vec()
    }

    /// A private page becomes a copy.
    fn copy(&mut self, page: usize, file: &[u8]) -> &mut Vec<u8> {
        let file = if self.memory { &[] } else { file };
        let copy = || contents(file, page * PAGE..(page + 1) * PAGE);
        self.copies.entry(page).or_insert_with(copy)
    }

    /// Whether the kernel has one mapping: `None` if that is not certain.
    fn is_one(&self) -> Option<bool> {
        let mut all = self.pages().map(|page| self.advised.get(&page).copied().unwrap_or_default());
        let first = all.next();
        let alike = all.all(|next| Some(next) == first);
        if alike && self.divided { None } else { Some(alike) }
    }

    fn advise(&mut self, at: usize, len: usize, advice: Advice, file: &[u8]) -> Result<(), Errno> {
        if at + len > self.len {
            return Err(Errno::EINVAL);
        }
        let pages = pages(self.offset + at..self.offset + at + len);
        let pages = if len == 0 { 0..0 } else { pages };
        let end = if self.memory { usize::MAX } else { up(file.len()) / PAGE };
        match advice {
            Advice::PopulateWrite if !self.writable && len != 0 => return Err(Errno::EINVAL),
            Advice::PopulateRead | Advice::PopulateWrite => {
                if advice == Advice::PopulateWrite && !self.shared {
                    pages.clone().filter(|&page| page < end).for_each(|page| {
                        self.copy(page, file);
                    });
                }
                if pages.end > end {
                    return Err(Errno::EFAULT);
                }
            }
            _ => {
                for page in pages {
                    let (order, no_fork, no_dump) = self.advised.entry(page).or_default();
                    match advice {
                        Advice::Normal | Advice::Random | Advice::Sequential => {
                            *order = advice as u32;
                        }
                        Advice::DontFork => *no_fork = true,
                        Advice::DoFork => *no_fork = false,
                        Advice::DontDump => *no_dump = true,
                        Advice::DoDump => *no_dump = false,
                        _ => {}
                    }
                }
            }
        }
        self.divided |= self.is_one() == Some(false);
        Ok(())
    }
}

/// What a `FileMap` shows.
struct Part {
    start: usize,
    limit: usize,
    len: usize,
    writable: bool,
    /// From here on a slice has found pages missing.
    lost: usize,
}

impl Part {
    fn refresh(&mut self, file: &[u8]) {
        self.len = file.len().saturating_sub(self.start).min(self.limit);
        self.lost = usize::MAX;
    }

    /// How many bytes can be reached.
    fn there(&self, file: &[u8]) -> usize {
        up(file.len()).saturating_sub(self.start).min(self.len).min(self.lost)
    }

    fn clip(&self, at: usize, len: usize) -> (usize, usize) {
        let at = at.min(self.len);
        (at, len.min(self.len - at))
    }

    /// How many of so many bytes there are, and what is said of that.
    fn outcome(&self, at: usize, len: usize, file: &[u8]) -> (usize, Outcome) {
        let done = len.min(self.there(file).saturating_sub(at));
        (done, if done == len { Ok(len) } else { Err((at + done, done, None)) })
    }

    /// A slice's bytes were touched.
    fn touch(&mut self, at: usize, len: usize, file: &[u8]) -> Outcome {
        let there = self.there(file);
        if at + len <= there {
            return Ok(len);
        }
        let missing = self.start + there.max(at);
        self.lost = (missing / PAGE * PAGE).saturating_sub(self.start);
        Err((self.lost, self.lost, None))
    }
}

/// How many bytes, or offset, bytes before it, and error.
type Outcome = Result<usize, (usize, usize, Option<Errno>)>;

fn outcome(result: Result<usize, Fault>) -> Outcome {
    result.map_err(|fault| (fault.offset() as usize, fault.done(), fault.errno()))
}

// ---------------------------------------------------------------- the real thing

enum Map {
    Read(Mmap),
    Write(MmapMut),
    Raw(MmapRaw),
}

/// The same for all types of maps.
macro_rules! of {
    ($map:expr, $inner:ident => $result:expr) => {
        match $map {
            Map::Read($inner) => $result,
            Map::Write($inner) => $result,
            Map::Raw($inner) => $result,
        }
    };
}

impl Map {
    fn ptr(&self) -> *mut u8 {
        of!(self, map => map.as_ptr().cast_mut())
    }

    fn len(&self) -> usize {
        of!(self, map => map.len())
    }
}

struct World {
    file: File,
    read_only: File,
    /// What the file has.
    bytes: Vec<u8>,
    maps: [Option<(Map, Window)>; MAPS],
    parts: [Option<(FileMap, Part)>; FILE_MAPS],
}

impl World {
    fn new(on_disk: bool) -> World {
        let file = if on_disk {
            let mut options = File::options();
            options.read(true).write(true).custom_flags(OFlags::TMPFILE.bits() as i32);
            options.open(env!("CARGO_TARGET_TMPDIR")).unwrap()
        } else {
            let memory = syscall::memfd_create(c"model", syscall::MemfdFlags::CLOEXEC).unwrap();
            let number = baremap::fd::IntoRawFd::into_raw_fd(memory);
            // SAFETY: it was given away just now.
            unsafe { std::os::fd::FromRawFd::from_raw_fd(number) }
        };
        let read_only = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        World { file, read_only, bytes: Vec::new(), maps: Default::default(), parts: [None, None] }
    }

    /// What has been written to the file, by a map or by the descriptor.
    fn written(&mut self, at: usize, bytes: &[u8]) {
        let end = self.bytes.len();
        let inside = bytes.len().min(end.saturating_sub(at));
        if inside > 0 {
            self.bytes[at..][..inside].copy_from_slice(&bytes[..inside]);
        }
        // A map has all of the last page. What the file does with bytes beyond its end depends
        // on what is written to the disk when: have them gone.
        if inside < bytes.len() {
            self.file.set_len(up(end) as u64).unwrap();
            self.file.set_len(end as u64).unwrap();
        }
    }

    fn truncated(&mut self, len: usize) {
        self.bytes.resize(len, 0);
        for (_, window) in self.maps.iter_mut().flatten().filter(|(_, window)| !window.memory) {
            window.copies.retain(|&page, _| page < up(len) / PAGE);
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::WriteFile { at, bytes } => {
                let bytes = bytes.get();
                let bytes = &bytes[..bytes.len().min(SIZE - at)];
                if !bytes.is_empty() {
                    self.file.write_all_at(bytes, at as u64).unwrap();
                    let end = self.bytes.len().max(at + bytes.len());
                    self.bytes.resize(end, 0);
                    self.bytes[at..][..bytes.len()].copy_from_slice(bytes);
                }
            }
            Step::Truncate { len } => {
                self.file.set_len(len as u64).unwrap();
                self.truncated(len);
            }
            Step::Map { map, kind, offset, len, read_only } => {
                self.map(map, kind, offset, len, read_only)
            }
            Step::Open { map, start, len, read_only } => {
                let file = if read_only { &self.read_only } else { &self.file };
                let number = file.try_clone().unwrap().into_raw_fd();
                // SAFETY: cloned for this alone.
                let file = unsafe { OwnedFd::from_raw_fd(number) };
                let limit = len.unwrap_or(usize::MAX);
                let mut part =
                    Part { start, limit, len: 0, writable: !read_only, lost: usize::MAX };
                part.refresh(&self.bytes);
                let file_map = FileMap::map_range(file, start as u64, limit).unwrap();
                self.parts[map] = Some((file_map, part));
            }
            Step::Write { map, .. }
            | Step::Flush { map, .. }
            | Step::Remap { map, .. }
            | Step::Protect { map, .. }
            | Step::IntoRaw { map }
            | Step::Advise { map, .. }
            | Step::DontNeed { map, .. }
            | Step::Lock { map } => {
                if let Some((real, window)) = self.maps[map].take() {
                    self.maps[map] = self.on_map(step, real, window);
                }
            }
            Step::CopyTo { map, at, to, to_at, len } => self.copy_to(map, at, to, to_at, len),
            Step::Refresh { map }
            | Step::SetLen { map, .. }
            | Step::ReadAt { map, .. }
            | Step::WriteAt { map, .. }
            | Step::Fill { map, .. }
            | Step::Find { map, .. }
            | Step::Slice { map, .. }
            | Step::SliceMut { map, .. }
            | Step::FlushAndAdvise { map, .. } => {
                if let Some((mut real, mut part)) = self.parts[map].take() {
                    self.on_part(step, &mut real, &mut part);
                    self.parts[map] = Some((real, part));
                }
            }
        }
    }

    fn map(
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

    fn on_map(&mut self, step: &Step, mut real: Map, mut window: Window) -> Option<(Map, Window)> {
        match *step {
            Step::Write { at, bytes, by_slice, .. } => {
                let at = at.min(window.len);
                let bytes = &bytes.get()[..bytes.1.min(window.len - at)];
                let there = window.there(&self.bytes).saturating_sub(at).min(bytes.len());
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
                    // It may not move, and there is something behind it.
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
                // It brings all pages in, as writing would where that is possible.
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

    fn on_part(&mut self, step: &Step, real: &mut FileMap, part: &mut Part) {
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
                let there = part.there(&self.bytes);
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
                    let there = len.min(part.there(&self.bytes).saturating_sub(at));
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

    fn read_at(&self, real: &FileMap, part: &Part, at: usize, len: usize) {
        let untouched = 0xfe;
        let (clipped, count) = part.clip(at, len);
        let (done, wanted) = part.outcome(clipped, count, &self.bytes);
        let mut buffer = vec![untouched; len];
        assert_eq!(outcome(real.read_at(&mut buffer, at as u64)), wanted);
        let start = part.start + clipped;
        assert!(buffer[..done] == contents(&self.bytes, start..start + done));
        // What took the place of lost pages may be copied as well.
        let lost = part.lost < part.len;
        assert!(lost || buffer[done..].iter().all(|&byte| byte == untouched));
    }

    fn part_written(&mut self, part: &Part, at: usize, bytes: &[u8], result: Outcome) {
        if !part.writable {
            assert_eq!(result, Err((at, 0, Some(Errno::EBADF))));
            return;
        }
        let (done, wanted) = part.outcome(at, bytes.len(), &self.bytes);
        assert_eq!(result, wanted);
        self.written(part.start + at, &bytes[..done]);
    }

    fn copy_to(&mut self, map: usize, at: usize, to: usize, to_at: usize, len: usize) {
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
        if (from + 1..from + done).contains(&to) {
            // What is copied twice depends on how many bytes are copied at once.
            let end = self.bytes.len().saturating_sub(to).min(done);
            self.file.read_exact_at(&mut bytes[..end], to as u64).unwrap();
        }
        self.written(to, &bytes);
    }

    /// Drops all maps: none of the file may be left.
    fn end(mut self) {
        (self.maps, self.parts) = Default::default();
        let inode = format!(" {} ", self.file.metadata().unwrap().ino());
        let all = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!all.contains(&inode), "{all}");
    }

    /// Compares all.
    fn check(&self) {
        let size = self.file.metadata().unwrap().len() as usize;
        assert_eq!(size, self.bytes.len());
        let mut read = vec![0; size];
        self.file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == self.bytes, "the file");
        for (number, (map, window)) in
            self.maps.iter().enumerate().filter_map(|(n, map)| Some((n, map.as_ref()?)))
        {
            assert_eq!(map.len(), window.len, "map {number}");
            let (there, wanted) = (window.there(&self.bytes), window.contents(&self.bytes));
            let mut read = vec![0; window.len];
            // SAFETY: to a buffer of this function's.
            let copied = unsafe { guard::copy(map.ptr(), read.as_mut_ptr(), window.len) };
            let left = window.len - there;
            assert_eq!(copied, if left == 0 { Ok(()) } else { Err(left) }, "map {number}");
            assert!(read[..there] == wanted[..there], "map {number}");
            // Where reading cannot fault, it is as a slice, too.
            match map {
                Map::Read(map) if left == 0 => assert!(map[..] == wanted, "map {number}"),
                Map::Write(map) if left == 0 => assert!(map[..] == wanted, "map {number}"),
                _ => {}
            }
        }
        for (real, part) in self.parts.iter().flatten() {
            assert_eq!(real.len(), part.len);
            self.read_at(real, part, 0, part.len);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn maps_are_as_their_model(
        on_disk in prop::bool::weighted(0.1),
        len in place(),
        start in place(),
        steps in vec(step(), 1..400),
    ) {
        let mut world = World::new(on_disk);
        world.take(&Step::WriteFile { at: 0, bytes: Bytes(0, len) });
        for map in 0..FILE_MAPS {
            world.take(&Step::Open { map, start: map * start, len: None, read_only: false });
        }
        world.check();
        for step in &steps {
            world.take(step);
            world.check();
        }
        world.end();
    }
}
