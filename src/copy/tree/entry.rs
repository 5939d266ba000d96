//! Copies one file of a tree, or enters one directory.

use super::walk::{Level, open_to_change};
use super::*;
use crate::copy::dest::Scratch;
use crate::copy::error::AttributeName;
use crate::copy::temporary::proc_path;
use crate::copy::{Copied, Source, attributes, copy_file};
use crate::fd::AsRawFd;

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
    fn examine(&self) -> Outcome<Stat> {
        let flags = if self.follows { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        let stat = syscall::fstatat(self.from_dir, self.from_name, flags);
        stat.map_err(|errno| source(Action::Examine, errno))
    }

    /// Returns whether the source is a directory.
    pub fn is_directory(&self) -> bool {
        self.examine().is_ok_and(|stat| stat.file_type() == FileType::Directory)
    }

    /// Returns the flag that keeps a symbolic link from being followed that has taken the place of
    /// the source meanwhile.
    fn link_flag(&self) -> OFlags {
        if self.follows { OFlags::empty() } else { OFlags::NOFOLLOW }
    }
}

/// What a visit of an entry has found.
pub enum Visit {
    /// A file that is copied. Its metadata, if other names of it may follow.
    Done(Option<Stat>),
    /// A directory, which is to be entered.
    Directory,
}

/// How a destination is dealt with.
#[derive(PartialEq, Eq)]
enum Decision {
    Copy,
    /// The copy is a new file: it gets no attributes of the existing one.
    CopyNew,
    Skip,
}

impl Copier<'_> {
    /// Copies a file, unless it is a directory. `kind` is the type that the directory contains.
    pub fn visit(&mut self, entry: &Entry<'_>, mut kind: FileType) -> Outcome<Visit> {
        if kind == FileType::Unknown || kind == FileType::Symlink && entry.follows {
            kind = entry.examine()?.file_type();
        }
        let done = match kind {
            FileType::Directory if self.options.recursive => return Ok(Visit::Directory),
            FileType::Directory => return Err(source(Action::Copy, Errno::EISDIR)),
            _ if self.options.content == Content::HardLink => self.link_source(entry),
            _ if self.options.content == Content::Symlink => self.symlink_source(entry),
            FileType::Symlink => self.symlink(entry),
            FileType::Regular => self.regular(entry),
            _ if self.options.recursive => self.special(entry),
            _ => self.regular(entry),
        };
        done.map(Visit::Done)
    }

    /// Reports what became of an entry. Returns the source's metadata if other names of it may
    /// follow.
    fn done(&mut self, entry: &Entry<'_>, stat: &Stat, what: What) -> Outcome<Option<Stat>> {
        self.observer.done(Done { source: entry.from, dest: entry.to, what });
        Ok((self.may_have_links(stat) && what != What::HardLink).then_some(*stat))
    }

    /// Returns whether a file that was met may be met again by another name.
    fn may_have_links(&self, stat: &Stat) -> bool {
        let by_symlinks = self.options.follow != Follow::Never;
        self.options.file.preserve.contains(Preserve::LINKS) && (stat.nlink > 1 || by_symlinks)
    }

    /// Decides whether a source replaces the existing destination.
    fn decide(
        &mut self,
        from: &Stat,
        to: &mut Destination<'_>,
        path: Path<'_>,
    ) -> Outcome<Decision> {
        let Some(existing) = to.stat() else { return Ok(Decision::Copy) };
        let (is_same, kind) = (existing.is_same_file(from), existing.file_type());
        // As in cp, the first of several hard links does not take the others' old file.
        let is_linked = existing.nlink > 1 && self.options.file.preserve.contains(Preserve::LINKS);
        let is_older = existing.mtime < from.mtime;
        if is_same {
            return Err(dest(Action::CopyTo, Cause::SameFile));
        }
        if kind == FileType::Directory {
            return Err(dest(Action::CopyTo, Errno::EISDIR));
        }
        match self.options.update {
            Update::None => return Ok(Decision::Skip),
            Update::NoneFail => return Err(dest(Action::CopyTo, Errno::EEXIST)),
            Update::Older if !is_older => return Ok(Decision::Skip),
            _ => {}
        }
        if self.options.ask && !self.observer.may_replace(path) {
            return Ok(Decision::Skip);
        }
        if kind == FileType::Regular
            && (is_linked || self.options.force && to.check_writable().is_err())
        {
            to.forget_existing();
            return Ok(Decision::CopyNew);
        }
        Ok(Decision::Copy)
    }

    /// Copies a regular file, or without `recursive` the contents of any file.
    fn regular(&mut self, entry: &Entry<'_>) -> Outcome<Option<Stat>> {
        let open = |more| {
            let flags =
                OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | entry.link_flag() | more;
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
        let from = Source::new(file.as_fd())?;
        let stat = &from.stat;
        if self.options.recursive && stat.file_type() != FileType::Regular {
            return Err(source(Action::Copy, Cause::Replaced));
        }
        if self.link_to_first(entry, stat) {
            return self.done(entry, stat, What::HardLink);
        }
        let mut scratch = Scratch::new();
        let mut to = Destination::within(entry.to_dir, entry.to_name);
        if !entry.is_new {
            to.look_up(&mut scratch)?;
        }
        if self.decide(stat, &mut to, entry.to)? == Decision::Skip {
            return self.done(entry, stat, What::Skipped);
        }
        let mut copied =
            Copied { bytes: 0, method: None, path: entry.to, existing: None, in_place: false };
        let mut attribute = AttributeName::new();
        let (file, observer) = (&self.options.file, &mut *self.observer);
        let mut progress = |done, total| observer.progress(done, total);
        let result = copy_file(file, &from, &to, &mut copied, &mut attribute, &mut progress);
        if let Err(failure) = result {
            let error = failure.error(entry.from, &copied, attribute);
            self.observer.failed(error);
            return Ok(None);
        }
        let what = copied.method.map_or(What::Skipped, |method| What::Copied(copied.bytes, method));
        self.done(entry, stat, what)
    }

    /// Copies a symbolic link.
    fn symlink(&mut self, entry: &Entry<'_>) -> Outcome<Option<Stat>> {
        let stat = entry.examine()?;
        let mut target = Text::<{ PATH_MAX as usize }>::new();
        match syscall::readlinkat(entry.from_dir, entry.from_name, target.room()) {
            Ok(_) => {}
            Err(Errno::EINVAL) => return Err(source(Action::ReadLink, Cause::Replaced)),
            Err(errno) => return Err(source(Action::ReadLink, errno)),
        }
        let target = target.as_c_str();
        self.node(entry, &stat, What::Symlink, &mut |dir, name| {
            syscall::symlinkat(target, dir, name)
        })
    }

    /// Copies a FIFO, a socket or a device.
    fn special(&mut self, entry: &Entry<'_>) -> Outcome<Option<Stat>> {
        let stat = entry.examine()?;
        let mut mode = stat.mode & (Mode::TYPE | Mode::RWXU | Mode::RWXG | Mode::RWXO);
        if self.options.file.preserve.contains(Preserve::MODE) {
            // No other user may open it before it has its owner.
            mode -= Mode::RWXG | Mode::RWXO;
        }
        if stat.file_type() == FileType::Regular || stat.file_type() == FileType::Directory {
            return Err(source(Action::Copy, Cause::Replaced));
        }
        self.node(entry, &stat, What::Special, &mut |dir, name| {
            syscall::mknodat(dir, name, mode, stat.rdev)
        })
    }

    /// Creates a symbolic link or a special file, and gives it the attributes of the source.
    fn node(
        &mut self,
        entry: &Entry<'_>,
        stat: &Stat,
        what: What,
        create: &mut dyn FnMut(BorrowedFd<'_>, &CStr) -> syscall::Result<()>,
    ) -> Outcome<Option<Stat>> {
        if self.link_to_first(entry, stat) {
            return self.done(entry, stat, What::HardLink);
        }
        if !self.put(entry, stat, Action::Create, create)? {
            return self.done(entry, stat, What::Skipped);
        }
        set_attributes(entry, stat, self.options.file.preserve)?;
        self.done(entry, stat, what)
    }

    /// Creates a hard link to the source.
    fn link_source(&mut self, entry: &Entry<'_>) -> Outcome<Option<Stat>> {
        let stat = entry.examine()?;
        let follow = if entry.follows { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
        let existing = syscall::fstatat(entry.to_dir, entry.to_name, AtFlags::SYMLINK_NOFOLLOW);
        let is_linked = existing.is_ok_and(|existing| existing.is_same_file(&stat));
        let made = is_linked
            || self.put(entry, &stat, Action::HardLink, &mut |dir, name| {
                syscall::linkat(entry.from_dir, entry.from_name, dir, name, follow)
            })?;
        let what = if made { What::HardLink } else { What::Skipped };
        self.done(entry, &stat, what).map(|_| None)
    }

    /// Creates a symbolic link to the source.
    fn symlink_source(&mut self, entry: &Entry<'_>) -> Outcome<Option<Stat>> {
        let stat = entry.examine()?;
        let mut target = Text::<{ PATH_MAX as usize }>::new();
        let (base, name) = (entry.from.base.to_bytes(), entry.from.name);
        let slash: &[u8] = if name.is_none() || base.ends_with(b"/") { b"" } else { b"/" };
        let set = target.set(&[base, slash, name.map_or(b"", CStr::to_bytes)]);
        set.map_err(|errno| dest(Action::Create, errno))?;
        let target = target.as_c_str();
        let is_here = entry.to.name.is_none() && !entry.to.base.to_bytes().contains(&b'/');
        if !target.to_bytes().starts_with(b"/") && !is_here {
            return Err(dest(Action::Create, Cause::RelativeLink));
        }
        let made = self.put(entry, &stat, Action::Create, &mut |dir, name| {
            syscall::symlinkat(target, dir, name)
        })?;
        let what = if made { What::Symlink } else { What::Skipped };
        self.done(entry, &stat, what).map(|_| None)
    }

    /// Links an entry to the first copy of its file. Returns whether this was done. If it cannot
    /// be, the file is copied instead.
    fn link_to_first(&mut self, entry: &Entry<'_>, stat: &Stat) -> bool {
        if !self.may_have_links(stat) {
            return false;
        }
        let Some(first) = self.links.find(stat) else { return false };
        let linked = self.link_to(entry, first);
        if let Err(failure) = linked {
            self.observer.failed(failure.on(entry.from, entry.to));
        }
        linked.is_ok()
    }

    #[cold]
    fn link_to(&mut self, entry: &Entry<'_>, first: links::Place) -> Outcome<()> {
        let failed = |errno| dest(Action::HardLink, errno);
        self.links.open(self.base, first.dir).map_err(failed)?;
        let name = self.links.name(first);
        let Some(dir) = self.links.opened() else { return Err(failed(Errno::ENOENT)) };
        if !entry.is_new {
            let nofollow = AtFlags::SYMLINK_NOFOLLOW;
            let first = syscall::fstatat(dir, name, nofollow).map_err(failed)?;
            match syscall::fstatat(entry.to_dir, entry.to_name, nofollow) {
                Ok(existing) if existing.is_same_file(&first) => return Ok(()),
                Ok(existing) if existing.file_type() == FileType::Directory => {
                    return Err(failed(Errno::EISDIR));
                }
                _ => {}
            }
        }
        let to = Destination::within(entry.to_dir, entry.to_name);
        to.create(true, &mut |to, new| syscall::linkat(dir, name, to, new, AtFlags::empty()))
            .map_err(failed)
    }

    /// Creates a file that is not regular, or a link, with its final name. Replaces an existing file
    /// if the options say so. Returns whether it was created.
    fn put(
        &mut self,
        entry: &Entry<'_>,
        stat: &Stat,
        action: Action,
        create: &mut dyn FnMut(BorrowedFd<'_>, &CStr) -> syscall::Result<()>,
    ) -> Outcome<bool> {
        let mut to = Destination::within(entry.to_dir, entry.to_name);
        if !entry.is_new {
            to.look_at_name()?;
        }
        let decision = self.decide(stat, &mut to, entry.to)?;
        if decision == Decision::Skip {
            return Ok(false);
        }
        let replace = match self.options.content {
            Content::Copy => !matches!(self.options.update, Update::None | Update::NoneFail),
            // As in cp, which removes these before it creates any copy.
            _ if stat.file_type() != FileType::Regular && self.options.follow == Follow::Never => {
                true
            }
            _ => self.options.force || decision == Decision::CopyNew,
        };
        match to.create(replace, create) {
            Err(Errno::EEXIST) if self.options.update == Update::None => Ok(false),
            result => result.map(|()| true).map_err(|errno| dest(action, errno)),
        }
    }

    /// Opens a directory of the source, and creates or opens its copy. `outer` are the levels around
    /// it, or `None` if it is the outermost one.
    pub fn enter(&mut self, entry: &Entry<'_>, outer: Option<&[Level]>) -> Outcome<Level> {
        let opened = |errno| source(Action::Open, errno);
        let flags = OFlags::RDONLY | entry.link_flag();
        let from = open_directory(entry.from_dir, entry.from_name, flags).map_err(opened)?;
        let stat = Source::new(from.as_fd())?.stat;
        let into_itself = || source(Action::Copy, Cause::IntoItself);
        match outer {
            // The copy of the outermost directory is met in the source only if another process has
            // moved it there, or by a bind mount.
            Some([top, ..]) if top.to_stat.is_same_file(&stat) => return Err(into_itself()),
            Some(levels) if entry.follows => {
                if levels.iter().any(|level| level.stat.is_same_file(&stat)) {
                    return Err(source(Action::Copy, Errno::ELOOP));
                }
            }
            Some(_) => {}
            None if is_inside(entry.to_dir, &stat).map_err(opened)? => return Err(into_itself()),
            None => {}
        }

        let created = |errno| dest(Action::CreateDirectory, errno);
        let preserve = self.options.file.preserve;
        // The umask, and the default access list of the directory, are the kernel's.
        let mode = match preserve.contains(Preserve::MODE) {
            true => Mode::RWXU,
            false => (stat.permissions() - (Mode::SETUID | Mode::SETGID)) | Mode::RWXU,
        };
        let is_new = match syscall::mkdirat(entry.to_dir, entry.to_name, mode) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(errno) => return Err(created(errno)),
        };
        let to = match open_to_change(entry.to_dir, entry.to_name, OFlags::NOFOLLOW) {
            Ok(to) => to,
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                return Err(dest(Action::CreateDirectory, Cause::NotADirectory));
            }
            Err(errno) => return Err(dest(Action::Open, errno)),
        };
        let to_stat = syscall::fstat(to.as_fd()).map_err(created)?;
        if to_stat.is_same_file(&stat) {
            return Err(dest(Action::CopyTo, Cause::SameFile));
        }
        let mut level = Level::new(from, stat, to, to_stat, is_new);
        if is_new {
            // The owner needs all permissions until the contents are complete.
            let made = to_stat.permissions();
            let last = made - (Mode::RWXU - stat.permissions());
            if !made.contains(Mode::RWXU) {
                syscall::fchmod(level.to(), made | Mode::RWXU).map_err(created)?;
            }
            level.mode = (last != made | Mode::RWXU).then_some(last);
        }
        self.observer.done(Done { source: entry.from, dest: entry.to, what: What::Directory });
        Ok(level)
    }

    /// Gives a directory its attributes, after its contents are complete.
    pub fn complete(&mut self, level: &Level) -> Outcome<()> {
        let preserve = self.options.file.preserve - Preserve::LINKS;
        if !preserve.contains(Preserve::MODE)
            && let Some(mode) = level.mode
        {
            syscall::fchmod(level.to(), mode).map_err(|errno| dest(Action::SetMode, errno))?;
        }
        if !preserve.is_empty() {
            let from = Source { file: level.from(), stat: level.stat };
            attributes::preserve(&from, level.to(), preserve, &mut AttributeName::new())?;
        }
        crate::copy::sync(level.to(), self.options.file.sync)
    }
}

/// Returns whether a directory is the one whose metadata is given, or is inside of it.
fn is_inside(dir: BorrowedFd<'_>, outer: &Stat) -> syscall::Result<bool> {
    let mut dir = open_directory(dir, c".", OFlags::PATH)?;
    let mut stat = syscall::fstatat(dir.as_fd(), c"", AtFlags::EMPTY_PATH)?;
    loop {
        if stat.is_same_file(outer) {
            return Ok(true);
        }
        let parent = match open_directory(dir.as_fd(), c"..", OFlags::PATH) {
            Ok(parent) => parent,
            // The caller may not search the directories around it, which may be the source's. The
            // walk then does not find the copy in the source, because it cannot open it either.
            Err(Errno::EACCES) => return Ok(false),
            Err(errno) => return Err(errno),
        };
        let next = syscall::fstatat(parent.as_fd(), c"", AtFlags::EMPTY_PATH)?;
        if next.is_same_file(&stat) {
            return Ok(false); // The root directory is its own parent.
        }
        (dir, stat) = (parent, next);
    }
}

/// Gives a symbolic link or a special file, which was just created, the attributes of the source.
#[inline(never)]
fn set_attributes(entry: &Entry<'_>, stat: &Stat, what: Preserve) -> Outcome<()> {
    let what = what & (Preserve::MODE | Preserve::OWNERSHIP | Preserve::TIMESTAMPS);
    if what.is_empty() {
        return Ok(());
    }
    // By a descriptor, so that a file that takes its place meanwhile keeps its own attributes.
    let created = |errno| dest(Action::Create, errno);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node =
        syscall::openat(entry.to_dir, entry.to_name, flags, Mode::empty()).map_err(created)?;
    let node = node.as_fd();
    let own = syscall::fstatat(node, c"", AtFlags::EMPTY_PATH).map_err(created)?;
    if own.file_type() != stat.file_type() || own.nlink != 1 {
        return Err(dest(Action::Create, Cause::Replaced));
    }
    let mut mode = stat.permissions();
    let (owner, group) = (Some(stat.uid), Some(stat.gid));
    if (own.uid, own.gid) != (stat.uid, stat.gid) {
        let chown = |owner| syscall::fchownat(node, c"", owner, group, AtFlags::EMPTY_PATH);
        if !what.contains(Preserve::OWNERSHIP) || chown(owner).is_err() {
            if what.contains(Preserve::OWNERSHIP) {
                let _ = chown(None);
            }
            mode -= Mode::SETUID | Mode::SETGID;
        }
    }
    if what.contains(Preserve::MODE) && stat.file_type() != FileType::Symlink {
        set_mode(node, mode).map_err(|errno| dest(Action::SetMode, errno))?;
    }
    if what.contains(Preserve::TIMESTAMPS) {
        let (accessed, modified) = (stat.atime, stat.mtime);
        let set = match syscall::utimensat(node, c"", accessed, modified, AtFlags::EMPTY_PATH) {
            // Before Linux 5.8, the call does not know the flag.
            Err(Errno::EINVAL | Errno::ENOENT) => {
                let (dir, name) = (entry.to_dir, entry.to_name);
                syscall::utimensat(dir, name, accessed, modified, AtFlags::SYMLINK_NOFOLLOW)
            }
            result => result,
        };
        set.map_err(|errno| dest(Action::SetTimes, errno))?;
    }
    Ok(())
}

/// Sets the permissions of a file that is open as a path.
fn set_mode(node: BorrowedFd<'_>, mode: Mode) -> syscall::Result<()> {
    match syscall::fchmodat2(node, c"", mode, AtFlags::EMPTY_PATH) {
        // Before Linux 6.6, only the link in /proc leads to the file.
        Err(Errno::ENOSYS | Errno::EPERM) => {}
        result => return result,
    }
    let path = proc_path(node.as_raw_fd())?;
    syscall::fchmodat(CWD, path.as_c_str(), mode)
}
