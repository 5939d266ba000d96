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
use super::text::Text;
use super::{
    Action, Cause, Error, Failure, Method, Options, Outcome, Path, Preserve, dest, source,
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
    /// All.
    #[default]
    Always,
    /// Those that are named as a source, and none inside of a directory.
    Sources,
    /// None.
    Never,
}

/// Selects which existing files are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// All.
    #[default]
    All,
    /// Those whose modification time is earlier than the source's.
    Older,
    /// None. An existing file is left unchanged.
    None,
    /// None. An existing file is an error.
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
    fn failed(&mut self, error: Error<'_>);

    /// Receives a file or directory whose copy is complete, or which was left out. For a directory,
    /// this is when the directory has been created.
    fn done(&mut self, done: Done<'_>);

    /// Receives the number of bytes that were copied of the current file, and the total if it is
    /// known.
    fn progress(&mut self, done: u64, total: Option<u64>);

    /// Returns whether an existing file may be replaced. Only called with [`TreeOptions::ask`].
    fn may_replace(&mut self, dest: Path<'_>) -> bool;
}

/// Describes a file or directory that was copied.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Done<'a> {
    /// The path of the source.
    pub source: Path<'a>,
    /// The path of the copy.
    pub dest: Path<'a>,
    /// What became of it.
    pub what: What,
}

/// What became of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The contents were copied: their number of bytes, and the method.
    Copied(u64, Method),
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
    /// The directory that contains all copies.
    base: OwnedFd,
    dest: &'a CStr,
    /// The only name in the directory, or `None` if each copy gets the name of its source.
    name: Option<Name>,
    /// Whether the only name ends with a slash, and so is a directory's.
    is_directory: bool,
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
    ///
    /// # Errors
    ///
    /// * `ENOENT` or `ENOTDIR` if `directory` is not a directory.
    /// * `EACCES` if the caller may not search a directory of the path.
    pub fn into_directory(
        options: &'a TreeOptions,
        directory: &'a CStr,
    ) -> Result<TreeCopy<'a>, Error<'a>> {
        let base = open_directory(CWD, directory, OFlags::PATH);
        TreeCopy::new(options, directory, base, None)
    }

    /// Prepares a copy to a path, which is not taken for the directory that is to contain the copy.
    ///
    /// # Errors
    ///
    /// * `ENOENT` if the directory of `dest` does not exist.
    /// * `ENAMETOOLONG` if the last component has more than 255 bytes.
    /// * `EACCES` if the caller may not search a directory of the path.
    pub fn to_path(options: &'a TreeOptions, dest: &'a CStr) -> Result<TreeCopy<'a>, Error<'a>> {
        let mut name = Name::new();
        let base = split_operand(dest, &mut name).and_then(|dir| match dir {
            [] => open_directory(CWD, c".", OFlags::PATH),
            dir => {
                let mut text = Text::<{ PATH_MAX as usize }>::new();
                text.set(&[dir])?;
                open_directory(CWD, text.as_c_str(), OFlags::PATH)
            }
        });
        TreeCopy::new(options, dest, base, Some(name))
    }

    fn new(
        options: &'a TreeOptions,
        dest: &'a CStr,
        base: syscall::Result<OwnedFd>,
        name: Option<Name>,
    ) -> Result<TreeCopy<'a>, Error<'a>> {
        match base {
            Ok(base) => {
                let is_directory = name.is_some() && dest.to_bytes().ends_with(b"/");
                Ok(TreeCopy { options, base, dest, name, is_directory, links: HardLinks::new() })
            }
            Err(errno) => {
                let path = Path { base: dest, name: None };
                Err(Error::new(Action::CopyTo, path, errno.into()))
            }
        }
    }

    /// Copies one source: a file, or with [`TreeOptions::recursive`] a directory.
    ///
    /// Reports everything to the observer. An error of one file does not end the copy.
    #[inline(never)]
    pub fn copy(&mut self, source: &CStr, observer: &mut dyn Observer) {
        let mut own = Name::new();
        let split = split_operand(source, &mut own);
        let name = self.name.as_ref().unwrap_or(&own).as_c_str();
        // The contents of a source such as `a/.` go to the directory itself.
        let name = if name == c".." && self.name.is_none() { c"." } else { name };
        let (base, links) = (self.base.as_fd(), &mut self.links);
        let inside = if self.name.is_none() { Some(name) } else { None };
        let entry = Entry {
            from_dir: CWD,
            from_name: source,
            from: Path { base: source, name: None },
            to_dir: base,
            to_name: name,
            to: Path { base: self.dest, name: inside },
            is_new: false,
            follows: self.options.follow != Follow::Never,
        };
        let mut copier = Copier { options: self.options, base, links, observer };
        let result = match split {
            Ok(_) if self.is_directory && !entry.is_directory() => {
                Err(super::dest(Action::CopyTo, Errno::ENOTDIR))
            }
            Ok(_) => Walk::run(&mut copier, &entry),
            Err(errno) => Err(super::source(Action::Open, errno)),
        };
        if let Err(failure) = result {
            copier.observer.failed(failure.on(entry.from, entry.to));
        }
    }
}

/// What the copies of all entries share.
struct Copier<'c> {
    options: &'c TreeOptions,
    base: BorrowedFd<'c>,
    links: &'c mut HardLinks,
    observer: &'c mut dyn Observer,
}

/// Splits an operand into its directory, with a slash at its end, and its last component, without
/// slashes at its end, which is written to `name`: `.` for the root directory.
fn split_operand<'p>(path: &'p CStr, name: &mut Name) -> syscall::Result<&'p [u8]> {
    let mut bytes = path.to_bytes();
    if bytes.is_empty() {
        return Err(Errno::ENOENT);
    }
    while let [rest @ .., b'/'] = bytes {
        bytes = rest;
    }
    if bytes.is_empty() {
        name.set(&[b"."])?;
        return Ok(path.to_bytes());
    }
    let at = bytes.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (dir, last) = bytes.split_at_checked(at).unwrap_or_default();
    name.set(&[last])?;
    Ok(dir)
}

/// Opens a directory, for reading or as a path.
#[inline(never)]
fn open_directory(dir: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> syscall::Result<OwnedFd> {
    let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
    syscall::openat(dir, path, flags, Mode::empty())
}
