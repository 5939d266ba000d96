//! Remembers the files that have several names, so that their copies have, too.

use core::ffi::CStr;

use super::super::text::first;
use super::vec::MapVec;
use super::{Name, open_directory};
use crate::fd::{AsFd, BorrowedFd, CWD, OwnedFd};
use crate::syscall::{Errno, OFlags, Result};

/// The path of a directory of the copy, relative to the directory that contains all copies: an
/// offset in the texts.
pub type DirId = u32;

/// The place of a copy: a directory, and the name in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub dir: DirId,
    /// The offset of the name in the texts.
    name: u32,
}

/// A hash table from source files to the places of their first copies.
///
/// Only files with more than one name are in the table, and it is the only part of a copy whose
/// memory grows with the number of files: about 50 bytes and the name for each, and the path of each
/// directory that contains such a file. A path may be longer than the kernel takes.
pub struct HardLinks {
    table: MapVec<Slot>,
    used: usize,
    /// The names of files, and the paths of directories, each with a NUL.
    texts: MapVec<u8>,
    /// The directory that was opened last, because the next link is often to the same one.
    opened: Option<(DirId, OwnedFd)>,
}

/// What identifies a file: its device and inode number.
pub type FileId = (u64, u64);

/// A slot of the table: a source, and the place of its first copy, or `None` if the slot is free.
type Slot = (FileId, Option<Place>);

impl HardLinks {
    pub const fn new() -> HardLinks {
        HardLinks { table: MapVec::new(), used: 0, texts: MapVec::new(), opened: None }
    }

    /// Returns the place of the first copy of a file.
    pub fn find(&self, source: FileId) -> Option<Place> {
        self.table.get(self.index(source))?.1
    }

    /// Returns the index of a file's slot, or of the free slot that it would take.
    #[inline(never)]
    fn index(&self, source: FileId) -> usize {
        // The table's length is zero or a power of two.
        let mask = self.table.len().wrapping_sub(1);
        let hash = (source.1 ^ source.0.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut index = (hash >> 32) as usize & mask;
        // The table is never full, so the loop ends at a free slot.
        while self.table.get(index).is_some_and(|slot| slot.1.is_some() && slot.0 != source) {
            index = (index + 1) & mask;
        }
        index
    }

    /// Records the place of the first copy of a file, or replaces it.
    #[inline(never)]
    pub fn insert(&mut self, source: FileId, dir: DirId, name: &CStr) -> Result<()> {
        if self.used * 4 >= self.table.len() * 3 {
            let mut larger = MapVec::new();
            for _ in 0..(self.table.len() * 2).max(256) {
                larger.push(((0, 0), None))?;
            }
            let old = core::mem::replace(&mut self.table, larger);
            old.iter().for_each(|&slot| self.put(slot));
        }
        let place = Place { dir, name: self.keep(&[name.to_bytes()])? };
        self.used += usize::from(self.find(source).is_none());
        self.put((source, Some(place)));
        Ok(())
    }

    /// Puts a slot that is not free where it belongs in the table.
    #[inline(never)]
    fn put(&mut self, slot: Slot) {
        let index = self.index(slot.0);
        if slot.1.is_some()
            && let Some(own) = self.table.get_mut(index)
        {
            *own = slot;
        }
    }

    /// Stores a text of several parts, and returns its offset.
    #[inline(never)]
    pub fn keep(&mut self, parts: &[&[u8]]) -> Result<u32> {
        let at = u32::try_from(self.texts.len()).map_err(|_| Errno::ENOMEM)?;
        parts.iter().try_for_each(|part| self.texts.extend(part))?;
        self.texts.push(0)?;
        Ok(at)
    }

    /// Returns the text at an offset.
    #[inline(never)]
    fn text(&self, at: u32) -> &CStr {
        first(self.texts.get(at as usize..).unwrap_or_default())
    }

    /// Returns the name of a place in its directory.
    pub fn name(&self, place: Place) -> &CStr {
        self.text(place.name)
    }

    /// Opens the directory of a place, one name after the other from the directory `base` on, so that
    /// no symbolic link is followed.
    #[inline(never)]
    pub fn open(&mut self, base: BorrowedFd<'_>, dir: DirId) -> Result<()> {
        if self.opened.as_ref().is_some_and(|&(opened, _)| opened == dir) {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let mut fd = open_directory(base, c".", flags)?;
        let mut name = Name::new();
        for component in self.text(dir).to_bytes().split(|&byte| byte == b'/') {
            if !component.is_empty() {
                name.set(&[component])?;
                fd = open_directory(fd.as_fd(), name.as_c_str(), flags)?;
            }
        }
        self.opened = Some((dir, fd));
        Ok(())
    }

    /// Returns the directory that `open` has opened last.
    pub fn opened(&self) -> BorrowedFd<'_> {
        self.opened.as_ref().map_or(CWD, |(_, fd)| fd.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::{self, Mode};
    use proptest::prelude::*;
    use std::{collections::BTreeMap, ffi::CString, format};

    proptest! {
        #[test]
        fn the_table_is_a_map(files in proptest::collection::vec((0u64..3, 0u64..2000), 0..3000)) {
            let mut links = HardLinks::new();
            let mut model = BTreeMap::new();
            for (number, &(dev, ino)) in files.iter().enumerate() {
                let name = CString::new(format!("n{number}")).unwrap();
                links.insert((dev, ino), 0, &name).unwrap();
                model.insert((dev, ino), name);
            }
            for dev in 0..3 {
                for ino in 0..2000 {
                    let place = links.find((dev, ino));
                    let name = place.map(|place| links.name(place));
                    prop_assert_eq!(name, model.get(&(dev, ino)).map(|name| &**name));
                }
            }
        }
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_opened() {
        let dir = std::env::temp_dir().join(format!("baremap-links-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let open = |path: &std::path::Path| {
            let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
            syscall::open(&path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
        };
        let mut links = HardLinks::new();
        let name = CString::new([b'x'; 200]).unwrap();
        let base = open(&dir);
        let mut fd = open(&dir);
        let mut path = std::vec::Vec::new();
        for _ in 0..100 {
            syscall::mkdirat(fd.as_fd(), &name, Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            fd = syscall::openat(fd.as_fd(), &name, flags, Mode::empty()).unwrap();
            path.extend_from_slice(name.to_bytes());
            path.push(b'/');
        }
        let (id, top) = (links.keep(&[b"./", &path]).unwrap(), links.keep(&[]).unwrap());
        for (id, wanted) in [(id, &fd), (top, &base)] {
            links.open(base.as_fd(), id).unwrap();
            let flags = crate::syscall::AtFlags::EMPTY_PATH;
            let found = syscall::fstatat(links.opened(), c"", flags).unwrap();
            assert!(found.is_same_file(&syscall::fstat(wanted.as_fd()).unwrap()));
        }
        let _ = std::process::Command::new("rm").arg("-r").arg(&dir).status();
    }
}
