//! Options of a copy.

use core::fmt;

/// How a file is copied. The default has no options set, and leaves the process alone.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Leaves an existing destination as it is.
    pub no_clobber: bool,
    /// Copies the source's permissions (with the set-id bits), owner, times and extended
    /// attributes. Without permission to change the owner, only the group is changed.
    pub preserve: bool,
    /// Writes into an existing destination instead of replacing it: it keeps its other names. If
    /// the copy fails, the destination contains a part of it.
    pub in_place: bool,
    /// Fills holes of the source with zeros that take space.
    pub fill_holes: bool,
    /// The method of copying; `None` chooses the fastest.
    pub method: Option<Method>,
    /// The number of processes that copy one large file; zero chooses the fastest. Without
    /// [`process`](Self::process), there is always one.
    pub jobs: u32,
    /// Permission to fork and to install signal handlers. The default is `None`.
    pub process: Option<ProcessControl>,
    /// Writes the copy to the disk before it takes its name, and the name before the call returns.
    pub sync: bool,
}

/// Permission for a copy to act on the whole process.
///
/// With it, [`copy`](super::copy) forks worker processes for large files. While the copy has a
/// temporary name (on a file system without `O_TMPFILE`), signals that would end the process run
/// a handler that removes the name and then ends the process. The handlers stay installed.
#[derive(Clone, Copy, Debug)]
pub struct ProcessControl(());

impl ProcessControl {
    /// Permits copies to act on the whole process.
    ///
    /// # Safety
    ///
    /// While a copy uses this permission:
    ///
    /// * The process has one thread.
    /// * No memory that the program relies on is unmapped or zeroed in a child
    ///   (`MADV_DONTFORK`, `MADV_WIPEONFORK`).
    /// * The program waits for no children of its own, and does not mind that each signal whose
    ///   action was the default one now has a handler.
    #[must_use]
    pub const unsafe fn new() -> ProcessControl {
        ProcessControl(())
    }
}

/// How a file's bytes are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Both files share their blocks (`FICLONE`).
    Clone,
    /// The kernel copies the bytes (`copy_file_range`).
    Kernel,
    /// Both files are mapped, and memory is copied. Files with holes are written, and so is a
    /// destination for which no space can be reserved.
    Map,
    /// The source is mapped, and written to the destination.
    Write,
    /// The source is read into a buffer, and that is written: devices, FIFOs, empty files, those
    /// that cannot be mapped, and those that end before their size.
    Read,
}

impl fmt::Display for Method {
    /// Writes the value of `mapcp --method` that chooses this method.
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
