//! Defines the options of a copy.

use core::fmt;

use bitflags::bitflags;

/// Selects how a file is copied.
///
/// The default replaces the destination, keeps holes, chooses the fastest method, and affects
/// nothing else in the process. Create a value with [`Options::default`], and set its fields.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Leaves an existing destination unchanged, and returns success. This includes a destination
    /// that another process creates during the copy.
    pub no_clobber: bool,
    /// Selects which attributes of the source the copy gets. The default is none.
    ///
    /// Attributes that the caller may not read or set, and attributes that the destination's file
    /// system does not support, are left out without an error, except for access lists.
    pub preserve: Preserve,
    /// Fails if the destination cannot be replaced, or created, in one step.
    ///
    /// Without this option, the copy writes the data under the destination's name if the file
    /// system or a policy permits nothing else, such as a file system without renaming, an
    /// append-only directory, or a file that is a mount point. Another process may then see a part
    /// of the data, and a failed copy leaves an existing destination partly overwritten.
    /// [`Copied::in_place`](super::Copied::in_place) says whether this happened.
    pub atomic: bool,
    /// Writes into an existing destination instead of replacing it.
    ///
    /// The destination keeps its inode, hard links and attributes. If the copy fails, the
    /// destination is partly overwritten. A destination that does not exist is created as without
    /// this option.
    pub in_place: bool,
    /// Allocates blocks of zeros in the destination for the holes of the source.
    pub fill_holes: bool,
    /// Leaves a hole in the destination for each block of 4 KiB zeros of the source, of any regular
    /// file. [`fill_holes`](Self::fill_holes) has precedence.
    ///
    /// Without this option, such blocks become holes only if the source has fewer blocks than bytes.
    /// Both need [`process`](Self::process), because looking for zeros may fault.
    pub make_holes: bool,
    /// Selects the method that copies the data. `None` chooses the fastest one.
    pub method: Option<Method>,
    /// Sets the number of processes that copy one large file. Numbers above 64 count as 64.
    ///
    /// Zero chooses the fastest number. One process copies without [`process`](Self::process), and
    /// if a file has no holes and its space is not preallocated: files smaller than 128 KiB, files
    /// on btrfs, and files on file systems that cannot preallocate space.
    pub jobs: u32,
    /// Permits the copy to fork and to install signal handlers. The default is `None`.
    pub process: Option<ProcessControl>,
    /// Writes the copy to the disk before it is renamed to the destination, and writes the new name
    /// to the disk before the call returns.
    ///
    /// Without this option, the kernel writes the copy back after the call has returned. An error
    /// of the write-back is then not reported, and a power cut can damage the copy.
    pub sync: bool,
}

bitflags! {
    /// The attributes of a source that its copy gets.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Preserve: u32 {
        /// The permissions, with the set-user-ID, set-group-ID and sticky bits, and the access
        /// lists. The set-ID bits are dropped if the copy does not get the source's owner.
        const MODE = 1;
        /// The owner and the group. Without permission to change the owner, only the group is
        /// changed, as best effort.
        const OWNERSHIP = 2;
        /// The times of the last access and of the last modification.
        const TIMESTAMPS = 4;
        /// The extended attributes.
        const XATTR = 8;
        /// The hard links between the files that [`TreeCopy`](super::TreeCopy) copies. Ignored by
        /// [`copy`](super::copy()).
        const LINKS = 16;
    }
}

/// Permits a copy to fork worker processes and to install signal handlers.
///
/// With this permission, [`copy`](super::copy) forks worker processes for large files. When it
/// creates a temporary file that has a name (on a file system without `O_TMPFILE`), it also
/// installs a handler for every signal whose action is the default one and would end the process.
/// The handler removes the temporary name, and then ends the process with the signal's default
/// action. The handlers stay installed after the copy.
#[derive(Clone, Copy, Debug)]
pub struct ProcessControl(());

impl ProcessControl {
    /// Creates the permission to fork worker processes and to install signal handlers.
    ///
    /// # Safety
    ///
    /// While a copy uses this permission:
    ///
    /// * The process has one thread.
    /// * No memory that the program uses is unmapped or zeroed in a child process
    ///   (`MADV_DONTFORK`, `MADV_WIPEONFORK`).
    /// * The program does not wait for children of its own.
    /// * The program does not rely on the action of any signal to stay `SIG_DFL`.
    #[must_use]
    pub const unsafe fn new() -> ProcessControl {
        ProcessControl(())
    }
}

/// Names a method of copying a file's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Shares the source's blocks with the destination, using the ioctl `FICLONE`.
    Clone,
    /// Copies the data in the kernel, using `copy_file_range(2)`.
    Kernel,
    /// Maps both files and copies memory.
    ///
    /// Falls back to [`Method::Write`] if the destination gets holes, or if its file system cannot
    /// preallocate space. Linux 6.1 to 7.2 cannot preallocate on 9p, jffs2, nilfs2 and udf, and
    /// Linux 6.1 and 6.12 cannot on exfat.
    Map,
    /// Maps the source and writes from the mapping to the destination.
    Write,
    /// Reads the source into a buffer and writes the buffer to the destination.
    ///
    /// With no method set, the copy uses this one for devices, FIFOs, empty files, files that
    /// cannot be mapped, and files that end before the size that their file system reports.
    Read,
}

impl fmt::Display for Method {
    /// Writes the method's name in lower case, as `mapcp --verbose` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Clone => "clone",
            Method::Kernel => "kernel",
            Method::Map => "map",
            Method::Write => "write",
            Method::Read => "read",
        })
    }
}
