//! Remembers the files that have several names, so that their copies have, too.

use core::ffi::CStr;

use linux_raw_sys::general::PATH_MAX;

use super::super::text::{Text, first};
use super::vec::{MapVec, Zero};
use crate::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::syscall::{self, Errno, Mode, OFlags, ResolveFlags, Result, Stat};

/// A directory of the copy: [`BASE`], or a number that [`HardLinks::directory`] has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirId(u32);

/// The directory to which all copies of the call go.
pub const BASE: DirId = DirId(0);

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
/// memory grows with the number of files: about 50 bytes and the name for each. A place is stored
/// as a chain of directory names, because no path of the kernel is long enough for a deep tree.
pub struct HardLinks {
    table: MapVec<Slot>,
    used: usize,
    /// The directories that are in a place, and their parents.
    dirs: MapVec<Place>,
    /// The names of files and directories, each with a NUL.
    names: MapVec<u8>,
    /// The directory that was opened last, because the next link is often to the same one.
    opened: Option<(DirId, OwnedFd)>,
}

/// A place in the table. Empty if the number of links is zero.
#[derive(Clone, Copy)]
struct Slot {
    dev: u64,
    ino: u64,
    place: Place,
    is_used: u32,
}

// SAFETY: the fields are integers.
unsafe impl Zero for Slot {}

impl HardLinks {
    pub const fn new() -> HardLinks {
        HardLinks {
            table: MapVec::new(),
            used: 0,
            dirs: MapVec::new(),
            names: MapVec::new(),
            opened: None,
        }
    }

    /// Returns the place of the first copy of a file.
    pub fn find(&self, source: &Stat) -> Option<Place> {
        let slot = self.table.get(self.index(source.dev, source.ino))?;
        (slot.is_used != 0).then_some(slot.place)
    }

    /// Returns the index of a file's slot, or of the empty slot that it would take.
    fn index(&self, dev: u64, ino: u64) -> usize {
        // The table's length is zero or a power of two.
        let mask = self.table.len().wrapping_sub(1);
        let hash = (ino ^ dev.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut index = (hash >> 32) as usize & mask;
        // The table is never full, so the loop ends at an empty slot.
        while let Some(slot) = self.table.get(index)
            && slot.is_used != 0
            && (slot.dev, slot.ino) != (dev, ino)
        {
            index = (index + 1) & mask;
        }
        index
    }

    /// Records the place of the first copy of a file, or replaces it.
    #[inline(never)]
    pub fn insert(&mut self, source: &Stat, dir: DirId, name: &CStr) -> Result<()> {
        if self.used * 4 >= self.table.len() * 3 {
            self.grow()?;
        }
        let place = Place { dir, name: self.keep(name)? };
        let index = self.index(source.dev, source.ino);
        if let Some(slot) = self.table.get_mut(index) {
            self.used += usize::from(slot.is_used == 0);
            *slot = Slot { dev: source.dev, ino: source.ino, place, is_used: 1 };
        }
        Ok(())
    }

    /// Doubles the table.
    #[cold]
    fn grow(&mut self) -> Result<()> {
        let larger = MapVec::zeroed((self.table.len() * 2).max(256))?;
        let old = core::mem::replace(&mut self.table, larger);
        for slot in old.iter().filter(|slot| slot.is_used != 0) {
            let index = self.index(slot.dev, slot.ino);
            if let Some(empty) = self.table.get_mut(index) {
                *empty = *slot;
            }
        }
        Ok(())
    }

    /// Stores a name, and returns its offset.
    fn keep(&mut self, name: &CStr) -> Result<u32> {
        let at = u32::try_from(self.names.len()).map_err(|_| Errno::ENOMEM)?;
        self.names.extend(name.to_bytes_with_nul())?;
        Ok(at)
    }

    /// Records a directory of the copy, as a name in another one.
    pub fn directory(&mut self, parent: DirId, name: &CStr) -> Result<DirId> {
        let name = self.keep(name)?;
        self.dirs.push(Place { dir: parent, name })?;
        u32::try_from(self.dirs.len()).map(DirId).map_err(|_| Errno::ENOMEM)
    }

    /// Returns the name of a place in its directory.
    pub fn name(&self, place: Place) -> &CStr {
        first(self.names.get(place.name as usize..).unwrap_or_default())
    }

    /// Opens the directory of a place, relative to the directory `base`, without following symbolic
    /// links.
    #[inline(never)]
    pub fn open(&mut self, base: BorrowedFd<'_>, dir: DirId) -> Result<()> {
        if self.opened.as_ref().is_none_or(|&(opened, _)| opened != dir) {
            let opened = self.open_chain(base, dir)?;
            self.opened = Some((dir, opened));
        }
        Ok(())
    }

    /// Returns the directory that `open` has opened last.
    pub fn opened(&self) -> Option<BorrowedFd<'_>> {
        self.opened.as_ref().map(|(_, fd)| fd.as_fd())
    }

    fn open_chain(&self, base: BorrowedFd<'_>, mut dir: DirId) -> Result<OwnedFd> {
        let mut chain = MapVec::new();
        while let Some(place) = dir.0.checked_sub(1).and_then(|at| self.dirs.get(at as usize)) {
            chain.push(*place)?;
            dir = place.dir;
        }
        let mut fd = open_beneath(base, c".")?;
        let mut path = Text::<{ PATH_MAX as usize }>::new();
        let mut len = 0;
        while let Some(place) = chain.pop() {
            let name = self.name(place).to_bytes();
            if len + name.len() + 1 >= path.room().len() {
                fd = open_beneath(fd.as_fd(), path.as_c_str())?;
                len = 0;
            }
            let room = path.room().get_mut(len..).unwrap_or_default();
            room.iter_mut().zip(name.iter().chain(b"/\0")).for_each(|(to, from)| *to = *from);
            len += name.len() + 1;
        }
        if len == 0 { Ok(fd) } else { open_beneath(fd.as_fd(), path.as_c_str()) }
    }
}

/// Opens a directory by a path of plain names, none of which may be a symbolic link.
#[inline(never)]
fn open_beneath(dir: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match syscall::openat2(dir, path, flags, Mode::empty(), resolve) {
        // Before Linux 5.6, or under a seccomp filter: one name after the other.
        Err(Errno::ENOSYS | Errno::EPERM) => {}
        result => return result,
    }
    let mut fd = syscall::openat(dir, c".", flags, Mode::empty())?;
    for name in path.to_bytes().split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
        let mut text = Text::<256>::new();
        text.set(&[name])?;
        fd = syscall::openat(fd.as_fd(), text.as_c_str(), flags, Mode::empty())?;
    }
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, ffi::CString, format};

    fn stat(dev: u64, ino: u64) -> Stat {
        let here = syscall::fstatat(crate::fd::CWD, c".", crate::syscall::AtFlags::empty());
        Stat { dev, ino, ..here.unwrap() }
    }

    proptest! {
        #[test]
        fn the_table_is_a_map(files in proptest::collection::vec((0u64..3, 0u64..2000), 0..3000)) {
            let mut links = HardLinks::new();
            let mut model = BTreeMap::new();
            let here = stat(0, 0);
            for (number, &(dev, ino)) in files.iter().enumerate() {
                let stat = Stat { dev, ino, ..here };
                let name = CString::new(format!("n{number}")).unwrap();
                links.insert(&stat, BASE, &name).unwrap();
                model.insert((dev, ino), name);
            }
            for dev in 0..3 {
                for ino in 0..2000 {
                    let place = links.find(&Stat { dev, ino, ..here });
                    let name = place.map(|place| links.name(place));
                    prop_assert_eq!(name, model.get(&(dev, ino)).map(|name| &**name));
                }
            }
        }
    }

    #[test]
    fn a_chain_longer_than_any_path_is_opened() {
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
        let mut id = BASE;
        for _ in 0..100 {
            syscall::mkdirat(fd.as_fd(), &name, Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            fd = syscall::openat(fd.as_fd(), &name, flags, Mode::empty()).unwrap();
            id = links.directory(id, &name).unwrap();
        }
        for (id, wanted) in [(id, &fd), (BASE, &base)] {
            links.open(base.as_fd(), id).unwrap();
            let flags = crate::syscall::AtFlags::EMPTY_PATH;
            let found = syscall::fstatat(links.opened().unwrap(), c"", flags).unwrap();
            assert!(found.is_same_file(&syscall::fstat(wanted.as_fd()).unwrap()));
        }
        let _ = std::process::Command::new("rm").arg("-r").arg(&dir).status();
    }
}
