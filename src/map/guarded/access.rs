//! Reading and writing a mapped file by copies.

use core::cmp;

#[cfg(feature = "std")]
use super::Cursor;
use super::{Chunks, Fault, FileMap, fault::reason, guard, watch::NOTHING_LOST};
use crate::fd::AsFd;
use crate::syscall::{self, Errno, ProtFlags};

impl FileMap {
    /// Reads bytes from `offset` on into the buffer, and returns their number.
    ///
    /// The number is the length of the buffer, or less if the map ends before. It is zero if
    /// `offset` is at or past the end of the map.
    ///
    /// On overlayfs, a map that was made before the first change of a file (copy-up) keeps
    /// showing the old contents, without an error. [`refresh`](FileMap::refresh) does not change
    /// this; open the file again.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page is missing, or has been replaced by a zero page of a slice. The
    /// [`done`](Fault::done) bytes before it have been read; the contents of the buffer after them
    /// are unspecified. A page that is missing in the map, but not in the file, is read by pread(2),
    /// unless it has been replaced.
    #[inline]
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Fault> {
        let (map_len, len) = (self.len(), buffer.len());
        let slow = match usize::try_from(offset) {
            Ok(at) if at <= map_len && len <= map_len - at => {
                // SAFETY: the buffer has `len` bytes, to which `&mut` excludes other references.
                // References to the map exist only in slices, whose makers exclude conflicting
                // accesses. The map was made after the handler was installed.
                let copied =
                    unsafe { guard::copy_installed(self.at(at), buffer.as_mut_ptr(), len) };
                match copied {
                    Ok(()) if self.watch.lost() == NOTHING_LOST => return Ok(len),
                    copied => self.read_missing(buffer, offset, copied.err().unwrap_or(0)),
                }
            }
            _ => self.read_missing(buffer, offset, len),
        };
        match slow {
            (count, None) => Ok(count),
            (_, Some(fault)) => Err(fault),
        }
    }

    /// Finishes a read of which the last `left` bytes have not been copied, or are not inside the
    /// map. Returns the number of bytes, or a fault.
    ///
    /// (The result is not a `Result`, so that [`read_at`](FileMap::read_at) can keep its own one in
    /// registers.)
    #[cold]
    #[inline(never)]
    fn read_missing(&self, buffer: &mut [u8], offset: u64, left: usize) -> (usize, Option<Fault>) {
        let done = buffer.len() - left;
        let (at, len) = self.clip(offset, buffer.len());
        let buffer = &mut buffer[..len];
        let done = cmp::min(done, len);
        let (from, to) = (self.at(at + done), buffer[done..].as_mut_ptr());
        // SAFETY: the buffer has `len - done` bytes from `done` on. References to the map exist only
        // in slices, whose makers exclude conflicting accesses.
        let copied = unsafe { guard::copy_installed(from, to, len - done) };
        let mut done = len - copied.err().unwrap_or(0);
        // From the first replaced page on, the bytes are missing, even if the file has them again.
        let end = cmp::min(len, self.intact_len(at));
        if done < end {
            if let Err(fault) = self.read_file(&mut buffer[..end], at, done) {
                return (0, Some(fault));
            }
            done = end;
        }
        let result = self.check_intact(at, len, Err(len - done), false);
        (result.unwrap_or(0), result.err())
    }

    /// Reads the bytes from `at + done` on by pread(2), after `done` bytes that have been read.
    ///
    /// The file may have bytes that its map cannot show: a page of a hole needs memory in a map,
    /// which a full tmpfs does not have, and a truncated file may have been extended again.
    fn read_file(&self, buffer: &mut [u8], at: usize, mut done: usize) -> Result<usize, Fault> {
        while done < buffer.len() {
            let offset = (at + done) as u64;
            let errno =
                match syscall::pread(self.file.as_fd(), &mut buffer[done..], self.start + offset) {
                    Ok(0) => None, // the end of the file
                    Ok(count) => {
                        done += count;
                        continue;
                    }
                    Err(Errno::EINTR) => continue,
                    Err(errno) => Some(errno),
                };
            return Err(Fault { offset, done, errno });
        }
        Ok(done)
    }

    /// Reads bytes from `offset` on into the buffer by a system call, and returns their number.
    /// Works where no signal handler can run.
    ///
    /// Use it in a thread or a signal handler that blocks `SIGBUS`, where a missing page would kill
    /// the process, because the kernel does not run the handler. The bytes are read by pread(2),
    /// which takes about a microsecond, so that [`read_at`](FileMap::read_at) is preferable where
    /// signals are handled. Whether a thread blocks a signal is known only by a system call, so that
    /// `read_at` does not choose by itself.
    ///
    /// The number is the length of the buffer, or less if the map ends before. It is zero if
    /// `offset` is at or past the end of the map. The file is read also where pages of the map have
    /// been replaced by zero pages.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if the file ends before, or cannot be read. The [`done`](Fault::done) bytes
    /// before it have been read.
    #[doc(alias("SIGBUS", "sigprocmask"))]
    pub fn read_at_without_signals(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Fault> {
        let (at, len) = self.clip(offset, buffer.len());
        self.read_file(&mut buffer[..len], at, 0)
    }

    /// Writes bytes to the map from `offset` on by a system call, and returns their number. Works
    /// where no signal handler can run.
    ///
    /// Use it in a thread or a signal handler that blocks `SIGBUS`. The kernel copies the bytes to
    /// the map, by process_vm_readv(2) on this process itself, which takes some microseconds.
    /// pwrite(2) would extend a file that was truncated.
    ///
    /// `bytes` must be in memory that the kernel can read as that of another process, which the
    /// memory of memfd_secret(2) and of some devices is not.
    ///
    /// The number is the length of `bytes`, or less if the map ends before. It is zero if
    /// `offset` is at or past the end of the map: writing does not extend the file.
    ///
    /// # Errors
    ///
    /// * A [`Fault`] if a page is missing or has no room on the disk, or if the map is not writable
    ///   (`EBADF`). The [`done`](Fault::done) bytes before it have been written.
    /// * A [`Fault`] without an error number if the kernel cannot read `bytes`.
    /// * A [`Fault`] with `ENOSYS` if the kernel was built without `CONFIG_CROSS_MEMORY_ATTACH`, and
    ///   under qemu-user.
    /// * A [`Fault`] with `EPERM`, or another error that the filter returns, if a seccomp filter
    ///   forbids the call.
    #[doc(alias("SIGBUS", "sigprocmask"))]
    pub fn write_at_without_signals(&self, bytes: &[u8], offset: u64) -> Result<usize, Fault> {
        let (at, len) = self.clip(offset, bytes.len());
        self.writable(at)?;
        // The map is the local range. Its pages are changed by page faults, as by a store. As the
        // remote range of process_vm_writev, they would be pinned, and could be changed when the
        // file system expects no change.
        // SAFETY: the map is writable. References to it exist only in slices, whose makers exclude
        // conflicting accesses.
        match unsafe { guard::copy_by_kernel(bytes.as_ptr(), self.at(at), len) } {
            (done, None | Some(Errno::EFAULT)) => self.check_intact(at, len, Err(len - done), true),
            (done, errno) => Err(Fault { offset: (at + done) as u64, done, errno }),
        }
    }

    /// Writes bytes to the map from `offset` on, and returns their number.
    ///
    /// The number is the length of `bytes`, or less if the map ends before. It is zero if
    /// `offset` is at or past the end of the map: writing does not extend the file.
    ///
    /// The data is visible to other readers and maps of the file immediately. It reaches the disk
    /// when the kernel writes it back, or when [`flush`](FileMap::flush) returns. There is one
    /// exception: on overlayfs, another map that was made before the first change of the file
    /// (copy-up) keeps showing the old contents.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page is missing or has no room on the disk, or if the map is not writable
    /// (`EBADF`). The [`done`](Fault::done) bytes before it have been written.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize, Fault> {
        let (at, len) = self.clip(offset, bytes.len());
        self.writable(at)?;
        // SAFETY: `bytes` has `len` bytes. References to the map exist only during `with_slice`,
        // whose caller excludes conflicting accesses.
        let copied = unsafe { guard::copy_installed(bytes.as_ptr(), self.at(at), len) };
        self.check_intact(at, len, copied, true)
    }

    /// Writes one value to `len` bytes from `offset` on, and returns their number.
    ///
    /// The number is less than `len` if the map ends before. The data is visible and reaches the
    /// disk like that of [`write_at`](FileMap::write_at).
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page is missing or has no room on the disk, or if the map is not writable
    /// (`EBADF`). The [`done`](Fault::done) bytes before it have been written.
    pub fn fill(&self, byte: u8, offset: u64, len: usize) -> Result<usize, Fault> {
        let Buffer(bytes) = &Buffer([byte; 4096]);
        let (at, len) = self.clip(offset, len);
        self.writable(at)?;
        let mut done = 0;
        while done < len {
            let count = cmp::min(len - done, bytes.len());
            // SAFETY: the buffer has `count` bytes. References to the map exist only during
            // `with_slice`, whose caller excludes conflicting accesses.
            let copied =
                unsafe { guard::copy_installed(bytes.as_ptr(), self.at(at + done), count) };
            if let Err(left) = copied {
                return self.check_intact(at, len, Err(len - done - count + left), true);
            }
            done += count;
        }
        self.check_intact(at, len, Ok(()), true)
    }

    /// Copies `len` bytes from `offset` on to another map, and returns their number.
    ///
    /// The number is less than `len` if either map ends before. If the two ranges show common
    /// bytes of one file, the contents of these bytes are unspecified afterwards.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page of either map is missing, or if `to` is not writable (`EBADF`). Its
    /// [`offset`](Fault::offset) is an offset in `self`. The [`done`](Fault::done) bytes before it
    /// have been copied.
    pub fn copy_to(
        &self,
        offset: u64,
        to: &FileMap,
        to_offset: u64,
        len: usize,
    ) -> Result<usize, Fault> {
        let (at, len) = self.clip(offset, len);
        let (to_at, len) = to.clip(to_offset, len);
        to.writable(to_at).map_err(|fault| Fault { offset: at as u64, ..fault })?;
        let mut done = 0;
        loop {
            // Zero pages that replaced pages of this file must not be copied to the other file.
            let end = cmp::min(len, self.intact_len(at));
            let (from, into) = (self.at(at + done), to.at(to_at + done));
            // SAFETY: both ranges are mapped. References to the maps exist only in slices, whose
            // makers exclude conflicting accesses.
            let copied = unsafe { guard::copy_installed(from, into, end.saturating_sub(done)) };
            done = cmp::max(done, end) - copied.err().unwrap_or(0);
            done = cmp::min(done, cmp::min(self.intact_len(at), to.intact_len(to_at)));
            if done == len {
                return Ok(len);
            }
            let offset = (at + done) as u64;
            let fault = |errno| Err(Fault { offset, done, errno });
            if done == self.intact_len(at) {
                return fault(reason(self.file.as_fd(), self.start + offset, false));
            }
            // One of the two pages is missing. The source may have bytes that its map cannot show.
            let Buffer(bytes) = &mut Buffer([0; 4096]);
            let count = cmp::min(len - done, bytes.len());
            let count = match self.read_file(&mut bytes[..count], at + done, 0) {
                Ok(count) => count,
                Err(missing) if missing.done == 0 => return fault(missing.errno),
                Err(missing) => missing.done,
            };
            if let Err(written) = to.write_at(&bytes[..count], (to_at + done) as u64) {
                done += written.done;
                return Err(Fault { offset: (at + done) as u64, done, errno: written.errno });
            }
            done += count;
        }
    }

    /// Searches for a byte from `offset` on, and returns the offset of its first occurrence, or
    /// `None` if there is none.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if a page is missing before the first occurrence.
    pub fn find(&self, byte: u8, offset: u64) -> Result<Option<u64>, Fault> {
        let Buffer(buffer) = &mut Buffer([0; 4096]);
        let mut chunks = self.chunks(buffer, offset);
        while let Some((start, chunk)) = chunks.next()? {
            if let Some(index) = chunk.iter().position(|&next| next == byte) {
                return Ok(Some(start + index as u64));
            }
        }
        Ok(None)
    }

    /// Reads the map from `offset` to its end in chunks of the buffer's length. The last chunk, and
    /// one before a missing page, may be shorter.
    ///
    /// ```
    /// # use baremap::map::FileMap;
    /// let map = FileMap::open(c"Cargo.toml")?;
    /// let (mut buffer, mut lines) = ([0; 1024], 0);
    /// let mut chunks = map.chunks(&mut buffer, 0);
    /// while let Some((_offset, chunk)) = chunks.next().unwrap() {
    ///     lines += chunk.iter().filter(|&&byte| byte == b'\n').count();
    /// }
    /// assert!(lines > 10);
    /// # Ok::<(), baremap::map::Error>(())
    /// ```
    pub fn chunks<'a>(&'a self, buffer: &'a mut [u8], offset: u64) -> Chunks<'a> {
        Chunks { map: self, buffer, offset }
    }

    /// Returns a position at the beginning of the map that implements `std::io::Read`, `Write` and
    /// `Seek`.
    #[cfg(feature = "std")]
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { map: self, position: 0 }
    }

    /// Returns the offset and the length of the part of a range that is inside the map.
    #[inline]
    fn clip(&self, offset: u64, len: usize) -> (usize, usize) {
        let map_len = self.len();
        let at = usize::try_from(offset).map_or(map_len, |offset| cmp::min(offset, map_len));
        (at, cmp::min(len, map_len - at))
    }

    /// Returns the address of a byte of the map.
    pub(super) fn at(&self, offset: usize) -> *mut u8 {
        self.region.ptr().wrapping_add(offset)
    }

    /// Returns the number of bytes from `at` on before the first page that was replaced by a zero
    /// page. The number is larger than the map if no page was replaced.
    fn intact_len(&self, at: usize) -> usize {
        let before = self.at(0).addr() & (self.region.page_size() - 1);
        self.watch.lost().saturating_sub(before + at)
    }

    /// Returns a fault at `at` if the map is not writable.
    pub(super) fn writable(&self, at: usize) -> Result<(), Fault> {
        if self.prot.contains(ProtFlags::WRITE) {
            return Ok(());
        }
        Err(Fault { offset: at as u64, done: 0, errno: Some(Errno::EBADF) })
    }

    /// Converts the result of copying `len` bytes from `at` on: returns a fault if the copy
    /// stopped, or if some of the bytes were copied from or to replaced pages.
    #[inline]
    pub(super) fn check_intact(
        &self,
        at: usize,
        len: usize,
        copied: Result<(), usize>,
        write: bool,
    ) -> Result<usize, Fault> {
        let left = copied.err().unwrap_or(0);
        let done = cmp::min(len - left, self.intact_len(at));
        if done == len {
            return Ok(len);
        }
        Err(self.fault(at, done, write))
    }

    /// Creates the fault for the byte at `at + done`.
    #[cold]
    fn fault(&self, at: usize, done: usize, write: bool) -> Fault {
        let offset = (at + done) as u64;
        let errno = reason(self.file.as_fd(), self.start + offset, write);
        Fault { offset, done, errno }
    }
}

/// A buffer that is aligned to cache lines, so that copies from and to it are fast.
#[repr(align(64))]
struct Buffer([u8; 4096]);
