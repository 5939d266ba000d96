//! Walks through a directory tree of any depth, with a bounded number of open directories.
//!
//! The stack of directories is in a mapping. Only the innermost directories are open. On the way
//! back, an outer one is opened as `..` of the inner one, and has to be the directory that it was.
//! If it is not, because the inner directory was moved, it is looked up from the top.

use super::*;
use crate::map::MmapMut;
use crate::syscall::{DirEntry, Whence};
use entry::{Visit, id};
use links::{DirId, FileId};
use vec::MapVec;

/// The number of directories of the source, and of the copy, that are open besides the outermost.
const MAX_OPEN: usize = 16;

/// The size in bytes of the buffer for names. The kernel fills it with up to 1000 names at once.
const BUFFER: usize = 32 << 10;

/// A directory that is being copied.
pub struct Level {
    /// The source, open for reading. `None` if it was closed because many levels are inside of it.
    from: Option<OwnedFd>,
    /// The copy, open for reading if the caller may read it.
    to: Option<OwnedFd>,
    /// The metadata of the source from the start of its copy.
    pub stat: Stat,
    /// The device and the inode number of the copy.
    pub to_id: FileId,
    /// Whether the copy was created by this call.
    is_new: bool,
    /// The permissions that the copy gets when it is complete, if they are not its present ones.
    pub mode: Option<Mode>,
    /// The position in the source's list of names.
    offset: i64,
    /// Whether all names of the source have been read.
    is_read: bool,
    /// The lengths of the paths' texts, and of the list of names, before this level was entered.
    from_len: usize,
    to_len: usize,
    names_len: usize,
    /// The path of the copy in the table of hard links, if it is there.
    dir_id: Option<DirId>,
}

impl Level {
    /// Creates the level of an open directory.
    pub fn new(
        from: OwnedFd,
        stat: &Stat,
        to: OwnedFd,
        to_id: FileId,
        is_new: bool,
        mode: Option<Mode>,
    ) -> Level {
        Level {
            from: Some(from),
            to: Some(to),
            stat: *stat,
            to_id,
            is_new,
            mode,
            offset: 0,
            is_read: false,
            from_len: 0,
            to_len: 0,
            names_len: 0,
            dir_id: None,
        }
    }

    pub fn from(&self) -> BorrowedFd<'_> {
        self.from.as_ref().map_or(CWD, AsFd::as_fd)
    }

    pub fn to(&self) -> BorrowedFd<'_> {
        self.to.as_ref().map_or(CWD, AsFd::as_fd)
    }
}

/// The path of the current directory as text, for messages.
struct PathText(MapVec<u8>);

impl PathText {
    /// Adds a path to the text. Its base is only added to an empty text.
    #[inline(never)]
    fn enter(&mut self, path: &Path<'_>) -> syscall::Result<()> {
        if self.0.is_empty() {
            self.0.extend(path.base.to_bytes_with_nul())?;
        }
        let Some(name) = path.name else { return Ok(()) };
        self.0.truncate(self.0.len().saturating_sub(1));
        if !self.0.ends_with(b"/") {
            self.0.push(b'/')?;
        }
        self.0.extend(name.to_bytes_with_nul())
    }

    /// Goes back to the path that had this length.
    fn leave(&mut self, len: usize) {
        self.0.truncate(len);
        if let Some(last) = self.0.last_mut() {
            *last = 0;
        }
    }

    fn as_c_str(&self) -> &CStr {
        super::super::text::first(&self.0)
    }
}

/// The copy of one tree.
pub struct Walk<'w> {
    levels: MapVec<Level>,
    from: PathText,
    to: PathText,
    /// The names of the subdirectories that are still to be copied, of all levels, each with a NUL
    /// before it.
    names: MapVec<u8>,
    /// The name of the outermost directory's copy.
    top: &'w CStr,
    follows: bool,
}

impl Walk<'_> {
    /// Copies a source, and all that is inside of it.
    #[inline(never)]
    pub fn run(copier: &mut Copier<'_>, top: &Entry<'_>) -> Outcome<()> {
        let no_memory = |errno| source(Action::Copy, errno);
        match copier.visit(top, FileType::Unknown)? {
            Visit::Done => return Ok(()),
            Visit::Linked(file) => {
                let kept = copier.links.keep(&[]);
                let kept = kept.and_then(|base| copier.links.insert(file, base, top.to_name));
                return kept.map_err(no_memory);
            }
            Visit::Directory => {}
        }
        let mut walk = Walk {
            levels: MapVec::new(),
            from: PathText(MapVec::new()),
            to: PathText(MapVec::new()),
            names: MapVec::new(),
            top: top.to_name,
            follows: copier.options.follow == Follow::Always,
        };
        let level = copier.enter(top, &[])?;
        walk.push(level, &top.from, &top.to).map_err(no_memory)?;
        let mut buffer = MmapMut::map_anon(BUFFER).map_err(no_memory)?;
        walk.copy(copier, &mut buffer);
        Ok(())
    }

    /// Adds a level, whose paths consist of the present texts and these paths.
    #[inline(never)]
    fn push(&mut self, mut level: Level, from: &Path<'_>, to: &Path<'_>) -> syscall::Result<()> {
        level.from_len = self.from.0.len();
        level.to_len = self.to.0.len();
        level.names_len = self.names.len();
        self.from.enter(from)?;
        self.to.enter(to)?;
        self.levels.push(level)
    }

    fn copy(&mut self, copier: &mut Copier<'_>, buffer: &mut [u8]) {
        while let Some(level) = self.levels.last_mut() {
            if self.names.len() > level.names_len {
                self.enter(copier);
            } else if level.is_read {
                self.leave(copier);
            } else {
                match syscall::getdents64(level.from(), buffer) {
                    Ok(names) => {
                        level.is_read = names.is_empty();
                        for name in names {
                            self.visit(copier, name);
                        }
                    }
                    Err(errno) => {
                        level.is_read = true;
                        self.fail(copier, source(Action::ReadDirectory, errno));
                    }
                }
            }
        }
    }

    /// Reports a failure that concerns the current directory.
    fn fail(&self, copier: &mut Copier<'_>, failure: Failure) {
        let Some(level) = self.levels.last() else { return };
        let mut entry = self.entry(level, c"");
        (entry.from.name, entry.to.name) = (None, None);
        copier.fail(&entry, failure);
    }

    /// Returns the entry with a name in the current directory.
    #[inline(never)]
    fn entry<'e>(&'e self, level: &'e Level, name: &'e CStr) -> Entry<'e> {
        Entry {
            from_dir: level.from(),
            from_name: name,
            from: Path { base: self.from.as_c_str(), name: Some(name) },
            to_dir: level.to(),
            to_name: name,
            to: Path { base: self.to.as_c_str(), name: Some(name) },
            is_new: level.is_new,
            follows: self.follows,
        }
    }

    /// Copies a file in the current directory, or puts the name of a directory on the list.
    fn visit(&mut self, copier: &mut Copier<'_>, found: DirEntry<'_>) {
        let name = found.name;
        let Some(level) = self.levels.last_mut() else { return };
        level.offset = found.offset;
        if name == c"." || name == c".." {
            return;
        }
        let Some(level) = self.levels.last() else { return };
        let entry = self.entry(level, name);
        let visited = match copier.visit(&entry, found.file_type) {
            Ok(visited) => visited,
            Err(failure) => return copier.fail(&entry, failure),
        };
        let kept = match visited {
            Visit::Done => Ok(()),
            Visit::Linked(file) => self.record(copier.links, file, name),
            Visit::Directory => {
                self.names.push(0).and_then(|()| self.names.extend(name.to_bytes()))
            }
        };
        if let Err(errno) = kept {
            self.fail(copier, source(Action::Copy, errno));
        }
    }

    /// Records that a file is copied in the current directory, and that other names of it may follow.
    #[cold]
    #[inline(never)]
    fn record(&mut self, links: &mut HardLinks, file: FileId, name: &CStr) -> syscall::Result<()> {
        // The text of the outermost directory ends where that of the next one begins. Each length
        // includes a NUL.
        let end = self.to.0.len();
        let start = self.levels.get(1).map_or(end, |level| level.to_len);
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let dir = match level.dir_id {
            Some(dir) => dir,
            None => {
                let inside = self.to.0.get(start.saturating_sub(1)..end.saturating_sub(1));
                let parts = [self.top.to_bytes(), b"/", inside.unwrap_or_default()];
                *level.dir_id.insert(links.keep(&parts)?)
            }
        };
        links.insert(file, dir, name)
    }

    /// Returns the name of a level other than the outermost: the last component of its path.
    fn name_of(&self, at: usize) -> Name {
        let mut name = Name::new();
        let before = |at: usize| self.levels.get(at).map(|level| level.from_len);
        let (start, end) = (before(at), before(at + 1).unwrap_or(self.from.0.len()));
        // Each length includes a NUL, in whose place there is a slash before the next name, unless
        // the path ended with a slash already.
        let range = start.unwrap_or(end).saturating_sub(1)..end.saturating_sub(1);
        let bytes = self.from.0.get(range).unwrap_or_default();
        let _ = name.set(&[if let [b'/', name @ ..] = bytes { name } else { bytes }]);
        name
    }

    /// Enters the last subdirectory on the list.
    fn enter(&mut self, copier: &mut Copier<'_>) {
        let at = self.names.iter().rposition(|&byte| byte == 0).unwrap_or(0);
        let mut name = Name::new();
        let set = name.set(&[self.names.get(at + 1..).unwrap_or_default()]);
        self.names.truncate(at);
        let name = name.as_c_str();
        let Some(parent) = self.levels.last() else { return };
        let entry = self.entry(parent, name);
        let entered = match set {
            Ok(()) => copier.enter(&entry, &self.levels),
            Err(errno) => Err(source(Action::Open, errno)),
        };
        let mut level = match entered {
            Ok(level) => level,
            Err(failure) => return copier.fail(&entry, failure),
        };
        let (device, other) = (self.levels.first().map(|top| top.stat.dev), level.stat.dev);
        level.is_read = copier.options.one_file_system && device != Some(other);
        let name = Path { base: c"", name: Some(name) };
        if let Err(errno) = self.push(level, &name, &name) {
            // There is no memory for a deeper path. The directory exists, and stays empty.
            self.fail(copier, source(Action::Copy, errno));
            return;
        }
        // The outermost level stays open, so that the others can be found from it.
        if let Some(outer) = self.levels.len().checked_sub(MAX_OPEN + 1)
            && outer > 0
            && let Some(level) = self.levels.get_mut(outer)
        {
            (level.from, level.to) = (None, None);
        }
    }

    /// Completes the current directory, and goes back to the one that contains it.
    fn leave(&mut self, copier: &mut Copier<'_>) {
        let Some([outer @ .., inner]) = self.levels.get_mut(..) else { return };
        let completed = copier.complete(inner);
        let mut is_open = true;
        if let [.., outer] = outer
            && outer.from.is_none()
        {
            is_open = outer.reopen(inner.from(), inner.to(), c"..", OFlags::NOFOLLOW).is_ok();
        }
        if let Err(failure) = completed {
            self.fail(copier, failure);
        }
        self.remove_level();
        while !is_open {
            let found = self.find_again();
            is_open = found.is_ok();
            if let Err(lost) = found {
                self.abandon(copier, lost);
            }
        }
    }

    /// Removes the innermost level, and goes back to the paths and the names of the one around it.
    #[inline(never)]
    fn remove_level(&mut self) {
        if let Some(level) = self.levels.last() {
            self.from.leave(level.from_len);
            self.to.leave(level.to_len);
            self.names.truncate(level.names_len);
        }
        self.levels.truncate(self.levels.len().saturating_sub(1));
    }

    /// Opens the innermost level again, by the names from the outermost one, because a directory was
    /// moved. Returns the number of the first level that is not where it was.
    #[cold]
    fn find_again(&mut self) -> Result<(), usize> {
        let link = if self.follows { OFlags::empty() } else { OFlags::NOFOLLOW };
        for at in 1..self.levels.len() {
            let name = self.name_of(at);
            let Some((outer, [level, ..])) = self.levels.split_at_mut_checked(at) else {
                return Err(at);
            };
            let Some(outer) = outer.last_mut() else { return Err(at) };
            level.reopen(outer.from(), outer.to(), name.as_c_str(), link).map_err(|_| at)?;
            if at > 1 {
                (outer.from, outer.to) = (None, None);
            }
        }
        Ok(())
    }

    /// Removes a level that was moved, and all levels inside of it.
    #[cold]
    fn abandon(&mut self, copier: &mut Copier<'_>, lost: usize) {
        while self.levels.len() > lost {
            if self.levels.len() == lost + 1 {
                self.fail(copier, source(Action::ReadDirectory, Cause::Replaced));
            }
            self.remove_level();
        }
    }
}

impl Level {
    /// Opens both directories again, as `name` in two others. Fails if they are not the same
    /// directories as before.
    fn reopen(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        link: OFlags,
    ) -> syscall::Result<()> {
        let from = open_same(from, name, link, id(&self.stat))?;
        let to = open_same(to, name, OFlags::NOFOLLOW, self.to_id)?;
        // The next names are read after the last one. From the start, there would be no end of them.
        syscall::lseek(from.as_fd(), self.offset, Whence::SET)?;
        (self.from, self.to) = (Some(from), Some(to));
        Ok(())
    }
}

/// Opens a directory. Fails if it is not the one with this device and inode number.
#[inline(never)]
fn open_same(
    dir: BorrowedFd<'_>,
    name: &CStr,
    flags: OFlags,
    before: FileId,
) -> syscall::Result<OwnedFd> {
    let opened = open_to_change(dir, name, flags)?;
    if id(&syscall::fstat(opened.as_fd())?) == before { Ok(opened) } else { Err(Errno::ESTALE) }
}

/// Opens a directory for reading, because its attributes can be changed only then, or as a path if
/// the caller may not read it.
#[inline(never)]
pub fn open_to_change(dir: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> syscall::Result<OwnedFd> {
    match open_directory(dir, name, OFlags::RDONLY | flags) {
        Err(Errno::EACCES) => open_directory(dir, name, OFlags::PATH | flags),
        result => result,
    }
}
