//! The record of a machine's writes to its disk.
//!
//! QEMU's driver `blklogwrites` writes it in the format of the kernel's dm-log-writes (source:
//! drivers/md/dm-log-writes.c): a sector with the number of entries, and for each entry a sector
//! that describes it, followed by the written sectors.

use std::{error::Error, fs::File, io, os::unix::fs::FileExt, path::Path};

const MAGIC: u64 = 0x006a_7366_7773_6872;

/// The length of a sector of the log, in bytes. This is QEMU's default.
const SECTOR: u64 = 512;

/// The flags of an entry: a request to flush the disk's cache; a request to discard sectors, of
/// which the log has no data.
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

struct Entry {
    to: u64,
    len: u64,
    flags: u64,
    /// The offset of the data in the log.
    from: u64,
}

pub struct WriteLog {
    log: File,
    entries: Vec<Entry>,
}

impl WriteLog {
    /// Returns the number of entries so far. The machine must not be writing.
    pub fn count(path: &Path) -> Result<usize, Box<dyn Error>> {
        let [magic, _, entries, _] = words(&File::open(path)?, 0)?;
        match magic {
            MAGIC => Ok(entries as usize),
            // QEMU writes the first sector together with the first entry.
            0 => Ok(0),
            _ => Err(format!("{} is no log of writes", path.display()).into()),
        }
    }

    pub fn open(path: &Path) -> Result<WriteLog, Box<dyn Error>> {
        let log = File::open(path)?;
        let mut entries = Vec::new();
        let mut at = SECTOR;
        for _ in 0..WriteLog::count(path)? {
            let [sector, sectors, flags, _] = words(&log, at)?;
            let [to, len] = [sector, sectors].map(|sectors| sectors * SECTOR);
            at += SECTOR;
            entries.push(Entry { to, len, flags, from: at });
            at += if flags & DISCARD == 0 { len } else { 0 };
        }
        Ok(WriteLog { log, entries })
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether an entry changes the disk.
    pub fn writes(&self, entry: usize) -> bool {
        self.entries[entry].len != 0
    }

    /// Returns how many of the first `count` entries are kept by a disk whose cache is lost in the
    /// power cut.
    pub fn flushed(&self, count: usize) -> usize {
        let flushes = self.entries[..count].iter().rposition(|entry| entry.flags & FLUSH != 0);
        flushes.map_or(0, |flush| flush + 1)
    }

    /// Applies an entry to a disk.
    pub fn replay(&self, entry: usize, disk: &File) -> io::Result<()> {
        let Entry { to, len, flags, from } = self.entries[entry];
        let mut bytes = vec![0; len as usize];
        if flags & DISCARD == 0 {
            self.log.read_exact_at(&mut bytes, from)?;
        }
        disk.write_all_at(&bytes, to)
    }
}

/// Reads four little-endian numbers.
fn words(file: &File, at: u64) -> io::Result<[u64; 4]> {
    let mut bytes = [0; 32];
    file.read_exact_at(&mut bytes, at)?;
    let mut words = bytes.chunks_exact(8).map(|word| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        u64::from_le_bytes(bytes)
    });
    Ok([(); 4].map(|()| words.next().unwrap_or_default()))
}
