//! Copies directories with all that they contain, and files that are not regular.
//!
//! [`TreeCopy`] is the entry point. It allocates nothing: its memory is a few mappings, which grow
//! with the depth of the tree and with the number of files that have several names, but not with
//! the number of files.

mod entry;
mod links;
mod vec;
mod walk;

use core::{ffi::CStr, fmt};

use super::dest::Destination;
use super::error::AttributeName;
use super::text::Text;
use super::{
    Action, Cause, Copied, Error, Failure, Options, Outcome, Path, Preserve, dest, source,
};
use crate::fd::{AsFd, BorrowedFd, CWD, OwnedFd};
use crate::syscall::{self, AtFlags, Errno, FileType, Mode, OFlags, Stat};
use entry::Entry;
use links::HardLinks;
use linux_raw_sys::general::{NAME_MAX, PATH_MAX};
use walk::Walk;

/// Selects what [`TreeCopy`] copies, and how.
///
/// The default copies single files and follows symbolic links, as [`copy`](super::copy()) does.
/// Create a value with [`TreeOptions::default`], and set its fields.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TreeOptions {
    /// The options of the copy of each regular file. [`Options::preserve`] also applies to
    /// directories, symbolic links and special files.
    pub file: Options,
    /// Copies directories with their contents, and copies FIFOs, sockets and devices as such.
    /// Without this option, a directory is an error, and the contents of special files are copied.
    pub recursive: bool,
    /// Selects which symbolic links of the source are followed. The others are copied as links.
    pub follow: Follow,
    /// Does not copy the contents of directories on another file system than the source.
    pub one_file_system: bool,
    /// Selects which existing files are replaced.
    pub update: Update,
    /// Asks [`Observer::may_replace`] before an existing file is replaced.
    pub ask: bool,
    /// Replaces an existing file that the caller may not write to by a new one.
    pub force: bool,
    /// Selects what takes the place of a file's contents. A link does not replace an existing file
    /// without [`force`](Self::force).
    pub content: Content,
}

/// Selects which symbolic links of the source are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follow {
    /// All symbolic links.
    #[default]
    Always,
    /// The symbolic links that are named as a source. Links inside of a directory are copied.
    Sources,
    /// No symbolic link.
    Never,
}

/// Selects which existing files are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// All files.
    #[default]
    All,
    /// The files whose modification time is earlier than the source's.
    Older,
    /// No file. An existing file is left unchanged.
    None,
    /// No file. An existing file is an error.
    NoneFail,
}

/// Selects what takes the place of a file's contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// A copy.
    #[default]
    Copy,
    /// A hard link to the source.
    HardLink,
    /// A symbolic link to the source.
    Symlink,
}

/// Receives what a [`TreeCopy`] does.
pub trait Observer {
    /// Receives an error. The copy continues with the next file.
    fn failed(&mut self, error: &Error<'_>);

    /// Receives a file or directory whose copy is complete, or which was left out. For a directory,
    /// this is when the directory has been created.
    fn done(&mut self, source: &Path<'_>, dest: &Path<'_>, what: &What<'_>);

    /// Receives the number of bytes that were copied of the current file, and the total if it is
    /// known.
    fn progress(&mut self, done: u64, total: Option<u64>);

    /// Returns whether an existing file may be replaced. Only called with [`TreeOptions::ask`].
    fn may_replace(&mut self, dest: &Path<'_>) -> bool;
}

/// What became of a file or directory.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum What<'a> {
    /// The contents were copied, or the file was left unchanged and has no
    /// [`method`](Copied::method).
    File(&'a Copied<'a>),
    /// An existing file was left unchanged.
    Skipped,
    /// A hard link was created: to an earlier copy, or to the source.
    HardLink,
    /// A symbolic link was created.
    Symlink,
    /// A FIFO, a socket or a device was created.
    Special,
    /// The directory was created, or existed already.
    Directory,
}

/// A copy of one or more sources, which may be directories, to one place.
///
/// * **Whole files only**: each file takes its name when it is complete, as with
///   [`copy`](super::copy()). After a copy was interrupted, a copy with [`Update::Older`] finishes
///   it.
/// * **Races**: a directory is entered by its descriptor, one name at a time, and never through a
///   symbolic link that takes its place meanwhile. A file, link or directory that is removed or
///   replaced during the copy is an error, and the rest is copied.
/// * **Depth**: paths may have any length, and a tree any depth. At most 40 directories are open.
/// * **Attributes** are those that [`Options::preserve`] selects. Directories get theirs after their
///   contents. A new directory has the permissions of its source, less the umask, and the owner's
///   permission to write to it until its contents are complete.
/// * **Existing directories** are merged with. Existing files are replaced. A file is never
///   replaced by a directory, nor a directory by a file.
/// * **Hard links** between the copied files are kept with [`Preserve::LINKS`], across all sources.
///
/// The same process-wide effects as for [`copy`](super::copy()) apply: none without
/// [`Options::process`].
pub struct TreeCopy<'a> {
    options: &'a TreeOptions,
    dest: &'a CStr,
    /// Whether `dest` is the directory that contains the copies.
    is_inside: bool,
    /// The directory that contains the copies, when it was opened.
    base: Option<OwnedFd>,
    links: HardLinks,
}

/// A buffer for one name.
type Name = Text<{ NAME_MAX as usize + 1 }>;

impl fmt::Debug for TreeCopy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeCopy").field("dest", &self.dest).finish_non_exhaustive()
    }
}

impl<'a> TreeCopy<'a> {
    /// Prepares copies into a directory. Each copy gets the last component of its source as its
    /// name.
    #[must_use]
    pub const fn into_directory(options: &'a TreeOptions, directory: &'a CStr) -> TreeCopy<'a> {
        let links = HardLinks::new();
        TreeCopy { options, dest: directory, is_inside: true, base: None, links }
    }

    /// Prepares a copy to a path. If a directory has this path, it is not the directory that
    /// contains the copy, but is merged with the source.
    #[must_use]
    pub const fn to_path(options: &'a TreeOptions, dest: &'a CStr) -> TreeCopy<'a> {
        TreeCopy { options, dest, is_inside: false, base: None, links: HardLinks::new() }
    }

    /// Copies one source: a file, or with [`TreeOptions::recursive`] a directory.
    ///
    /// Reports everything to the observer. An error of one file does not end the copy. If the
    /// directory of the destination cannot be opened, this is the only error.
    #[inline(never)]
    pub fn copy(&mut self, source: &CStr, observer: &mut dyn Observer) {
        let mut name = Name::new();
        let prepared = self.prepare(if self.is_inside { source } else { self.dest }, &mut name);
        let mut name = name.as_c_str();
        // The contents of a source such as `a/..` go to the directory itself.
        if self.is_inside && name == c".." {
            name = c".";
        }
        let base = self.base.as_ref().map_or(CWD, AsFd::as_fd);
        let entry = Entry {
            from_dir: CWD,
            from_name: source,
            from: Path { base: source, name: None },
            to_dir: base,
            to_name: name,
            to: Path { base: self.dest, name: self.is_inside.then_some(name) },
            is_new: false,
            follows: self.options.follow != Follow::Never,
        };
        let mut copier = Copier {
            options: self.options,
            base,
            links: &mut self.links,
            observer,
            attribute: AttributeName::new(),
        };
        let result = match prepared {
            Ok(true) if !entry.is_directory() => Err(dest(Action::CopyTo, Errno::ENOTDIR)),
            Ok(_) => Walk::run(&mut copier, &entry).and_then(|()| sync_names(self.options, base)),
            Err(errno) => Err(dest(Action::CopyTo, errno)),
        };
        if let Err(failure) = result {
            copier.fail(&entry, failure);
        }
    }

    /// Opens the directory of the destination, and writes the name of the copy to `name`: the last
    /// component of `operand`. Returns whether the name can only be a directory's.
    #[inline(never)] // Keeps the buffer out of the caller's stack frame.
    fn prepare(&mut self, operand: &CStr, name: &mut Name) -> syscall::Result<bool> {
        let mut bytes = operand.to_bytes();
        while let [rest @ .., b'/'] = bytes {
            bytes = rest;
        }
        let at = bytes.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let (mut dir, mut last) = bytes.split_at_checked(at).unwrap_or_default();
        if bytes.is_empty() && !operand.is_empty() {
            (dir, last) = (b"/", b".");
        } else if operand.is_empty() && !self.is_inside {
            return Err(Errno::ENOENT);
        }
        name.set(&[last])?;
        if self.base.is_none() {
            let mut text = Text::<{ PATH_MAX as usize }>::new();
            text.set(&[if dir.is_empty() { b"." } else { dir }])?;
            let path = if self.is_inside { self.dest } else { text.as_c_str() };
            self.base = Some(open_directory(CWD, path, OFlags::PATH)?);
        }
        Ok(!self.is_inside && operand.to_bytes().ends_with(b"/"))
    }
}

/// Writes the names in the directory of the copies to the disk, if the options ask for it. The copy
/// of a regular file has done so itself.
fn sync_names(options: &TreeOptions, base: BorrowedFd<'_>) -> Outcome<()> {
    if !options.file.sync || !options.recursive {
        return Ok(());
    }
    let names = open_directory(base, c".", OFlags::RDONLY);
    names
        .and_then(|names| syscall::fsync(names.as_fd()))
        .map_err(|errno| dest(Action::SyncDirectory, errno))
}

/// What the copies of all entries share.
struct Copier<'c> {
    options: &'c TreeOptions,
    base: BorrowedFd<'c>,
    links: &'c mut HardLinks,
    observer: &'c mut dyn Observer,
    /// The extended attribute that could not be set last.
    attribute: AttributeName,
}

/// Opens a directory, for reading or as a path.
#[inline(never)]
fn open_directory(dir: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> syscall::Result<OwnedFd> {
    let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
    syscall::openat(dir, path, flags, Mode::empty())
}
