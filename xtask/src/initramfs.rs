//! The archive that a booted kernel unpacks as its first file system.

use std::{
    error::Error,
    fs::File,
    io::{BufWriter, Cursor},
    path::Path,
};

use cpio::{NewcBuilder, newc::ModeFileType, write_cpio};
use flate2::{Compression, write::GzEncoder};

/// Directories for programs to mount file systems on and to write to.
const DIRECTORIES: &[&str] = &["bin", "dev", "mnt", "proc", "sys", "tmp"];

/// Writes an archive with a console, [`DIRECTORIES`] and these executable files.
///
/// The kernel runs the file with the name `init`.
pub fn write(path: &Path, files: Vec<(String, Vec<u8>)>) -> Result<(), Box<dyn Error>> {
    let entry = |name: &str, mode, kind| {
        NewcBuilder::new(name).mode(mode).nlink(1).set_mode_file_type(kind)
    };
    let directories = DIRECTORIES
        .iter()
        .map(|name| (entry(name, 0o755, ModeFileType::Directory), Cursor::new(Vec::new())));
    let console = entry("dev/console", 0o600, ModeFileType::Char).rdev_major(5).rdev_minor(1);
    let console = (console, Cursor::new(Vec::new()));
    let files = files.into_iter().map(|(name, contents)| {
        (entry(&name, 0o755, ModeFileType::Regular), Cursor::new(contents))
    });
    let archive = GzEncoder::new(BufWriter::new(File::create(path)?), Compression::fast());
    write_cpio(directories.chain([console]).chain(files), archive)?.finish()?;
    Ok(())
}
