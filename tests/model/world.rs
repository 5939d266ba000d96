//! The file and its maps, with their models.

use super::*;

pub enum Map {
    Read(Mmap),
    Write(MmapMut),
    Raw(MmapRaw),
}

/// Evaluates an expression with a map of any type.
macro_rules! of {
    ($map:expr, $inner:ident => $result:expr) => {
        match $map {
            Map::Read($inner) => $result,
            Map::Write($inner) => $result,
            Map::Raw($inner) => $result,
        }
    };
}

pub(crate) use of;

impl Map {
    pub fn ptr(&self) -> *mut u8 {
        of!(self, map => map.as_ptr().cast_mut())
    }

    pub fn len(&self) -> usize {
        of!(self, map => map.len())
    }
}

pub struct World {
    pub file: File,
    pub read_only: File,
    /// The expected contents of the file.
    pub bytes: Vec<u8>,
    pub maps: [Option<(Map, Window)>; MAPS],
    pub parts: [Option<(FileMap, Part)>; FILE_MAPS],
}

impl World {
    pub fn new(on_disk: bool) -> World {
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

    /// Records bytes that were written to the file, by a map or by the descriptor.
    pub fn written(&mut self, at: usize, bytes: &[u8]) {
        let end = self.bytes.len();
        let inside = bytes.len().min(end.saturating_sub(at));
        if inside > 0 {
            self.bytes[at..][..inside].copy_from_slice(&bytes[..inside]);
        }
        // A map also writes to the last page past the end of the file. Whether these bytes reach
        // the file depends on write back, so they are removed.
        if inside < bytes.len() {
            self.file.set_len(up(end) as u64).unwrap();
            self.file.set_len(end as u64).unwrap();
        }
    }

    pub fn truncated(&mut self, len: usize) {
        self.bytes.resize(len, 0);
        for (_, window) in self.maps.iter_mut().flatten().filter(|(_, window)| !window.memory) {
            window.copies.retain(|&page, _| page < up(len) / PAGE);
        }
    }

    pub fn apply(&mut self, step: &Step) {
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

    /// Drops all maps, and checks that the file is no longer mapped.
    pub fn end(mut self) {
        (self.maps, self.parts) = Default::default();
        let inode = format!(" {} ", self.file.metadata().unwrap().ino());
        let all = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!all.contains(&inode), "{all}");
    }

    /// Compares everything.
    pub fn check(&self) {
        let size = self.file.metadata().unwrap().len() as usize;
        assert_eq!(size, self.bytes.len());
        let mut read = vec![0; size];
        self.file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == self.bytes, "the file");
        for (number, (map, window)) in
            self.maps.iter().enumerate().filter_map(|(n, map)| Some((n, map.as_ref()?)))
        {
            assert_eq!(map.len(), window.len, "map {number}");
            let (there, wanted) = (window.intact_len(&self.bytes), window.contents(&self.bytes));
            let mut read = vec![0; window.len];
            // SAFETY: to a buffer of this function's.
            let copied = unsafe { guard::copy(map.ptr(), read.as_mut_ptr(), window.len) };
            let left = window.len - there;
            assert_eq!(copied, if left == 0 { Ok(()) } else { Err(left) }, "map {number}");
            assert!(read[..there] == wanted[..there], "map {number}");
            // Where reading cannot fault, the slice is compared, too.
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
