//! Copies one file of a tree, or enters one directory.

use super::links::FileId;
use super::walk::{Level, open_to_change};
use super::*;
use crate::copy::dest::Scratch;
use crate::copy::error::AttributeName;
use crate::copy::{Source, attributes, copy_file};

/// A name in a directory of the source, and the name of its copy in another directory.
pub struct Entry<'e> {
    pub from_dir: BorrowedFd<'e>,
    pub from_name: &'e CStr,
    /// The path of the source, for messages.
    pub from: Path<'e>,
    pub to_dir: BorrowedFd<'e>,
    pub to_name: &'e CStr,
    /// The path of the copy, for messages.
    pub to: Path<'e>,
    /// Whether this call has created `to_dir`, so that the name is not expected to exist.
    pub is_new: bool,
    /// Whether a symbolic link is followed.
    pub follows: bool,
}

impl Entry<'_> {
    /// Returns the metadata of the source.
    #[inline(never)]
    fn examine(&self) -> Outcome<Stat> {
        let flags = if self.follows { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        let stat = syscall::fstatat(self.from_dir, self.from_name, flags);
        stat.map_err(|errno| source(Action::Examine, errno))
    }

    /// Returns whether the source is a directory.
    pub fn is_directory(&self) -> bool {
        self.examine().is_ok_and(|stat| stat.file_type() == FileType::Directory)
    }

    /// Returns whether the destination is the source, or the file to which the source leads as a
    /// symbolic link. A link in the place of its own target would destroy that target.
    fn is_same_file(&self, stat: &Stat, existing: &Stat) -> bool {
        let target = || syscall::fstatat(self.from_dir, self.from_name, AtFlags::empty());
        existing.is_same_file(stat)
            || stat.file_type() == FileType::Symlink
                && target().is_ok_and(|target| existing.is_same_file(&target))
    }

    /// Returns the flag that keeps a symbolic link from being followed that has taken the place of
    /// the source meanwhile.
    fn link_flag(&self) -> OFlags {
        if self.follows { OFlags::empty() } else { OFlags::NOFOLLOW }
    }
}

/// What a visit of an entry has found.
pub enum Visit {
    /// A file, which is copied or reported.
    Done,
    /// A file that is copied, and of which other names may follow.
    Linked(FileId),
    /// A directory, which is to be entered.
    Directory,
}

/// How a destination is dealt with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Copy,
    /// The copy is a new file: it gets no attributes of the existing one.
    CopyNew,
    /// The destination is as new as the source. Other names of the source become hard links to it.
    Skip,
    /// The destination is kept, and has nothing to do with the source.
    Keep,
}

impl Copier<'_> {
    /// Reports a failure that concerns an entry.
    #[cold]
    #[inline(never)]
    pub fn fail(&mut self, entry: &Entry<'_>, failure: Failure) {
        let mut error = failure.on(entry.from, entry.to);
        if failure.is(Action::SetAttribute) {
            error.attribute = self.attribute;
        }
        self.observer.failed(&error);
    }

    /// Copies a file, unless it is a directory. `kind` is the type that the directory contains.
    #[inline(never)]
    pub fn visit(&mut self, entry: &Entry<'_>, kind: FileType) -> Outcome<Visit> {
        let Copier { options: TreeOptions { recursive, content, .. }, .. } = *self;
        match kind {
            FileType::Directory if *recursive => return Ok(Visit::Directory),
            FileType::Regular if *content == Content::Copy => return self.regular(entry),
            // The contents of any file are copied, and a directory is found when it is opened.
            _ if !recursive && *content == Content::Copy && entry.follows => {
                return self.regular(entry);
            }
            _ => {}
        }
        let examined = entry.examine();
        let stat = match &examined {
            Ok(stat) => stat,
            Err(failure) => return Err(*failure),
        };
        match stat.file_type() {
            FileType::Directory if *recursive => Ok(Visit::Directory),
            FileType::Directory => Err(source(Action::Copy, Errno::EISDIR)),
            FileType::Regular if *content == Content::Copy => self.regular(entry),
            FileType::Symlink => self.node(entry, stat),
            _ if *recursive || *content != Content::Copy => self.node(entry, stat),
            _ => self.regular(entry),
        }
    }

    /// Reports what became of an entry.
    #[inline(never)]
    fn done(
        &mut self,
        entry: &Entry<'_>,
        stat: &Stat,
        what: What<'_>,
        decision: Decision,
    ) -> Visit {
        self.observer.done(&entry.from, &entry.to, &what);
        let is_first = decision != Decision::Keep
            && self.may_have_links(stat)
            && !matches!(what, What::HardLink);
        if is_first { Visit::Linked(id(stat)) } else { Visit::Done }
    }

    /// Returns whether a file that was met may be met again by another name.
    fn may_have_links(&self, stat: &Stat) -> bool {
        let by_symlinks = self.options.follow != Follow::Never;
        self.options.content == Content::Copy
            && self.options.file.preserve.contains(Preserve::LINKS)
            && (stat.nlink > 1 || by_symlinks)
    }

    /// Decides whether a source replaces the existing destination.
    #[inline(never)]
    fn decide(
        &mut self,
        from: &Stat,
        to: &mut Destination<'_>,
        path: &Path<'_>,
    ) -> Outcome<Decision> {
        let Some(existing) = to.stat() else { return Ok(Decision::Copy) };
        let cause = if existing.is_same_file(from) {
            Cause::SameFile
        } else if existing.file_type() == FileType::Directory {
            Cause::Errno(Errno::EISDIR)
        } else {
            match self.options.update {
                Update::None => return Ok(Decision::Keep),
                Update::Older if existing.mtime >= from.mtime => return Ok(Decision::Skip),
                Update::NoneFail => Cause::Errno(Errno::EEXIST),
                _ if self.options.ask && !self.observer.may_replace(path) => {
                    return Ok(Decision::Keep);
                }
                _ => {
                    // As in cp, the first of several hard links does not take the others' old file.
                    let is_linked = existing.nlink > 1
                        && self.options.content == Content::Copy
                        && self.options.file.preserve.contains(Preserve::LINKS);
                    if existing.file_type() == FileType::Regular
                        && (is_linked || self.options.force && to.check_writable().is_err())
                    {
                        to.forget_existing();
                        return Ok(Decision::CopyNew);
                    }
                    return Ok(Decision::Copy);
                }
            }
        };
        Err(dest(Action::CopyTo, cause))
    }

    /// Copies a regular file, or without `recursive` the contents of any file.
    #[inline(never)]
    fn regular(&mut self, entry: &Entry<'_>) -> Outcome<Visit> {
        let open = |more| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
            let flags = flags | entry.link_flag() | more;
            syscall::openat(entry.from_dir, entry.from_name, flags, Mode::empty())
        };
        // A FIFO that takes the file's place meanwhile must not make the call wait for a writer.
        let file =
            match open(if self.options.recursive { OFlags::NONBLOCK } else { OFlags::empty() }) {
                // Another process has a lease on the file, which it gives up for a caller that waits.
                Err(Errno::EAGAIN) => open(OFlags::empty()),
                result => result,
            };
        let file = file.map_err(|errno| source(Action::Open, errno))?;
        let opened = Source::new(file.as_fd());
        let from = match &opened {
            Ok(from) => from,
            Err(failure) => return Err(*failure),
        };
        match from.stat.file_type() {
            FileType::Regular => {}
            FileType::Directory if !self.options.recursive => {
                return Err(source(Action::Copy, Errno::EISDIR));
            }
            _ if self.options.recursive => return Err(source(Action::Copy, Cause::Replaced)),
            _ => {}
        }
        let mut scratch = Scratch::new();
        let mut to = Destination::within(entry.to_dir, entry.to_name);
        if !entry.is_new {
            to.look_up(&mut scratch)?;
        }
        let existing = to.stat().map(|stat| (stat.dev, stat.ino));
        let mut copied =
            Copied { bytes: 0, method: None, path: entry.to, existing, in_place: false };
        let decision = self.decide(&from.stat, &mut to, &entry.to)?;
        if self.link_to_first(entry, &from.stat, decision) {
            return Ok(self.done(entry, &from.stat, What::HardLink, decision));
        }
        if matches!(decision, Decision::Copy | Decision::CopyNew) {
            let mut attribute = AttributeName::new();
            let (file, observer) = (&self.options.file, &mut *self.observer);
            let mut progress = |done, total| observer.progress(done, total);
            let result = copy_file(file, from, &to, &mut copied, &mut attribute, &mut progress);
            if let Err(failure) = result {
                self.observer.failed(&failure.error(entry.from, &copied, attribute));
                return Ok(Visit::Done);
            }
        }
        Ok(self.done(entry, &from.stat, What::File(&copied), decision))
    }

    /// Copies a symbolic link, a FIFO, a socket or a device, or creates a link to the source.
    #[inline(never)]
    fn node(&mut self, entry: &Entry<'_>, stat: &Stat) -> Outcome<Visit> {
        let (kind, content) = (stat.file_type(), self.options.content);
        let mut to = Destination::within(entry.to_dir, entry.to_name);
        if !entry.is_new {
            to.look_at_name()?;
        }
        if let Some(existing) = to.stat()
            && entry.is_same_file(stat, existing)
        {
            return match content {
                Content::HardLink => Ok(self.done(entry, stat, What::HardLink, Decision::Keep)),
                _ => Err(dest(Action::CopyTo, Cause::SameFile)),
            };
        }
        // In a directory, as that of a web server's logs, such a link is a file like any other.
        if entry.to.name.is_none() && to.leads_to_descriptor() {
            return Err(dest(Action::Create, Errno::EEXIST));
        }
        let mut action = Action::Create;
        let mut what = What::Symlink;
        let mut target = Text::<{ PATH_MAX as usize }>::new();
        if content == Content::HardLink {
            (action, what) = (Action::HardLink, What::HardLink);
        } else if content == Content::Symlink {
            entry.link_text(&mut target)?;
        } else if kind == FileType::Symlink {
            let read = syscall::readlinkat(entry.from_dir, entry.from_name, target.room());
            read.map_err(|errno| source(Action::ReadLink, errno))?;
        } else {
            what = What::Special;
        }
        let decision = self.decide(stat, &mut to, &entry.to)?;
        if self.link_to_first(entry, stat, decision) {
            return Ok(self.done(entry, stat, What::HardLink, decision));
        }
        if matches!(decision, Decision::Skip | Decision::Keep) {
            return Ok(self.done(entry, stat, What::Skipped, decision));
        }
        let replace = match self.options.update {
            Update::None | Update::NoneFail => false,
            _ if content == Content::Copy => true,
            // As in cp, which removes these before it creates any copy.
            _ if kind != FileType::Regular && self.options.follow == Follow::Never => true,
            _ => self.options.force || decision == Decision::CopyNew,
        };
        let mut mode = stat.mode & (Mode::TYPE | Mode::RWXU | Mode::RWXG | Mode::RWXO);
        if self.options.file.preserve.contains(Preserve::MODE) {
            // No other user may open it before it has its owner.
            mode -= Mode::RWXG | Mode::RWXO;
        }
        let created = to.create(replace, &mut |dir, name| match what {
            What::HardLink => {
                let follow = if entry.follows { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
                syscall::linkat(entry.from_dir, entry.from_name, dir, name, follow)
            }
            What::Symlink => syscall::symlinkat(target.as_c_str(), dir, name),
            _ => syscall::mknodat(dir, name, mode, stat.rdev),
        });
        created.map_err(|errno| dest(action, errno))?;
        if content == Content::Copy {
            set_attributes(entry, stat, self.options.file.preserve, &mut self.attribute)?;
        }
        Ok(self.done(entry, stat, what, decision))
    }

    /// Links an entry to the first copy of its file, unless the destination is kept. Returns whether
    /// this was done. If it cannot be, the file is copied instead.
    #[inline(never)]
    fn link_to_first(&mut self, entry: &Entry<'_>, stat: &Stat, decision: Decision) -> bool {
        if decision == Decision::Keep || !self.may_have_links(stat) {
            return false;
        }
        let Some(first) = self.links.find(id(stat)) else { return false };
        let linked = self.links.open(self.base, first.dir).and_then(|()| {
            let (dir, name) = (self.links.opened(), self.links.name(first));
            let nofollow = AtFlags::SYMLINK_NOFOLLOW;
            if !entry.is_new
                && let Ok(there) = syscall::fstatat(entry.to_dir, entry.to_name, nofollow)
                && there.is_same_file(&syscall::fstatat(dir, name, nofollow)?)
            {
                return Ok(());
            }
            let to = Destination::within(entry.to_dir, entry.to_name);
            to.create(true, &mut |to, new| syscall::linkat(dir, name, to, new, AtFlags::empty()))
        });
        if let Err(errno) = linked {
            self.fail(entry, dest(Action::HardLink, errno));
        }
        linked.is_ok()
    }

    /// Opens a directory of the source, and creates or opens its copy. `outer` are the levels around
    /// it, and empty for the outermost directory.
    #[inline(never)]
    pub fn enter(&mut self, entry: &Entry<'_>, outer: &[Level]) -> Outcome<Level> {
        let opened = |errno| source(Action::Open, errno);
        let flags = OFlags::RDONLY | entry.link_flag();
        let from = open_directory(entry.from_dir, entry.from_name, flags).map_err(opened)?;
        let found = Source::new(from.as_fd());
        let stat = match &found {
            Ok(from) => &from.stat,
            Err(failure) => return Err(*failure),
        };
        let is_into_itself = match outer {
            [] => is_inside(entry.to_dir, stat).map_err(opened)?,
            // A directory of the copy is met in the source only if another process has moved it
            // there, or by a bind mount.
            _ => outer.iter().any(|level| level.to_id == id(stat)),
        };
        if is_into_itself {
            return Err(source(Action::Copy, Cause::IntoItself));
        }
        if entry.follows && outer.iter().any(|level| level.stat.is_same_file(stat)) {
            return Err(source(Action::Copy, Errno::ELOOP));
        }

        let created = |errno| dest(Action::CreateDirectory, errno);
        let keeps_mode = self.options.file.preserve.contains(Preserve::MODE);
        // The umask, and the default access list of the directory, are the kernel's.
        let mode = if keeps_mode { Mode::empty() } else { stat.permissions() };
        let mode = (mode - (Mode::SETUID | Mode::SETGID)) | Mode::RWXU;
        let made = syscall::mkdirat(entry.to_dir, entry.to_name, mode);
        if let Err(errno) = made
            && errno != Errno::EEXIST
        {
            return Err(created(errno));
        }
        let to = match open_to_change(entry.to_dir, entry.to_name, OFlags::NOFOLLOW) {
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                return Err(dest(Action::CreateDirectory, Cause::NotADirectory));
            }
            to => to.map_err(created)?,
        };
        let to_stat = syscall::fstat(to.as_fd()).map_err(created)?;
        let to_id = id(&to_stat);
        if to_id == id(stat) {
            return Err(dest(Action::CopyTo, Cause::SameFile));
        }
        let mut last = None;
        if made.is_ok() {
            // The owner needs all permissions until the contents are complete. The umask may have
            // taken them, even that of opening the directory for reading.
            let made = to_stat.permissions();
            let open = made | Mode::RWXU;
            if open != made {
                attributes::set_mode(to.as_fd(), open)?;
            }
            let final_mode = made - (Mode::RWXU - stat.permissions());
            last = (final_mode != open && !keeps_mode).then_some(final_mode);
        }
        self.observer.done(&entry.from, &entry.to, &What::Directory);
        Ok(Level::new(from, stat, to, to_id, made.is_ok(), last))
    }

    /// Gives a directory its attributes, after its contents are complete.
    #[inline(never)]
    pub fn complete(&mut self, level: &Level) -> Outcome<()> {
        let preserve = self.options.file.preserve - Preserve::LINKS;
        if let Some(mode) = level.mode {
            attributes::set_mode(level.to(), mode)?;
        }
        if !preserve.is_empty() {
            let from = Source { file: level.from(), stat: level.stat };
            attributes::preserve(&from, level.to(), preserve, &mut self.attribute)?;
        }
        crate::copy::sync(level.to(), self.options.file.sync)
    }
}

impl Entry<'_> {
    /// Writes the text of a symbolic link to the source: its path.
    #[cold]
    fn link_text(&self, target: &mut Text<{ PATH_MAX as usize }>) -> Outcome<()> {
        let (base, name) = (self.from.base.to_bytes(), self.from.name);
        let slash: &[u8] = if name.is_none() || base.last() == Some(&b'/') { b"" } else { b"/" };
        let set = target.set(&[base, slash, name.map_or(b"", CStr::to_bytes)]);
        set.map_err(|errno| dest(Action::Create, errno))?;
        // A path that is not absolute leads to the source only from the working directory.
        let is_here = self.to.name.is_none() && self.to.base.to_bytes().iter().all(|&c| c != b'/');
        if base.first() == Some(&b'/') || is_here {
            return Ok(());
        }
        Err(dest(Action::Create, Cause::RelativeLink))
    }
}

/// Returns what identifies a file.
pub fn id(stat: &Stat) -> FileId {
    (stat.dev, stat.ino)
}

/// Returns whether a directory is the one whose metadata is given, or is inside of it.
#[inline(never)]
fn is_inside(dir: BorrowedFd<'_>, outer: &Stat) -> syscall::Result<bool> {
    let mut dir = open_directory(dir, c".", OFlags::PATH)?;
    let mut before = (0, 0);
    loop {
        let stat = syscall::fstatat(dir.as_fd(), c"", AtFlags::EMPTY_PATH)?;
        // The root directory is its own parent.
        if stat.is_same_file(outer) || id(&stat) == before {
            return Ok(stat.is_same_file(outer));
        }
        before = id(&stat);
        dir = match open_directory(dir.as_fd(), c"..", OFlags::PATH) {
            // The caller may not search the directories around it, which may be the source's. The
            // walk then does not find the copy in the source, because it cannot open it either.
            Err(Errno::EACCES) => return Ok(false),
            parent => parent?,
        };
    }
}

/// Gives a symbolic link or a special file, which was just created, the attributes of the source.
#[inline(never)]
fn set_attributes(
    entry: &Entry<'_>,
    stat: &Stat,
    what: Preserve,
    attribute: &mut AttributeName,
) -> Outcome<()> {
    let what = what - Preserve::LINKS;
    if what.is_empty() {
        return Ok(());
    }
    // By a descriptor, so that a file that takes its place meanwhile keeps its own attributes.
    let open = |dir, name: &CStr| -> syscall::Result<(OwnedFd, Stat)> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node = syscall::openat(dir, name, flags, Mode::empty())?;
        let found = syscall::fstatat(node.as_fd(), c"", AtFlags::EMPTY_PATH)?;
        Ok((node, found))
    };
    let copy = open(entry.to_dir, entry.to_name).map_err(|errno| dest(Action::Create, errno))?;
    if copy.1.file_type() != stat.file_type() || copy.1.nlink != 1 {
        return Err(dest(Action::Create, Cause::Replaced));
    }
    let from =
        open(entry.from_dir, entry.from_name).map_err(|errno| source(Action::Open, errno))?;
    if !from.1.is_same_file(stat) {
        return Err(source(Action::Copy, Cause::Replaced));
    }
    let from = Source { file: from.0.as_fd(), stat: *stat };
    attributes::preserve(&from, copy.0.as_fd(), what, attribute)
}
