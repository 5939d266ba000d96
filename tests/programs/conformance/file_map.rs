//! `FileMap`, whose reads and writes return an error at the end of the file.

use super::guarded_copy::pattern;
use super::processes::in_child;
use super::*;
use baremap::map::FileMap;
use core::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// Returns a file of `pages` pages with the pattern, and its map.
fn mapped(pages: usize) -> Result<(OwnedFd, FileMap), Trouble> {
    use baremap::fd::{AsRawFd, FromRawFd};
    let fd = memory()?;
    let mut bytes = [0; 1024];
    for start in (0..pages * page()).step_by(bytes.len()) {
        bytes.iter_mut().enumerate().for_each(|(index, byte)| *byte = pattern(start + index));
        same(syscall::pwrite(fd.as_fd(), &bytes, start as u64)?, bytes.len())?;
    }
    // SAFETY: takes no pointer; and the new descriptor is nobody else's.
    let copy = unsafe {
        let copy = syscall::fcntl(
            fd.as_fd(),
            linux_raw_sys::general::F_DUPFD_CLOEXEC,
            fd.as_raw_fd() as usize,
        )?;
        OwnedFd::from_raw_fd(copy as i32)
    };
    Ok((fd, FileMap::new(copy)?))
}

fn fault(result: Result<usize, baremap::map::Fault>) -> Option<(u64, usize, Option<Errno>)> {
    result.err().map(|fault| (fault.offset(), fault.done(), fault.errno()))
}

fn reads_until_the_file_ends() -> Outcome {
    let (fd, mut map) = mapped(3)?;
    let mut bytes = [0; 100];
    same(map.len(), 3 * page())?;
    same(map.read_at(&mut bytes, 5)?, 100)?;
    ensure(bytes.iter().enumerate().all(|(index, &byte)| byte == pattern(index + 5)), "others")?;
    let last = 3 * page() as u64 - 7;
    same((map.read_at(&mut bytes, last)?, map.read_at(&mut bytes, last + 7)?), (7, 0))?;
    same((map.read_at(&mut bytes, last + 8)?, map.read_at(&mut bytes, u64::MAX)?), (0, 0))?;

    syscall::ftruncate(fd.as_fd(), page() as u64)?;
    same(fault(map.read_at(&mut bytes, page() as u64 - 9)), Some((page() as u64, 9, None)))?;
    same(fault(map.read_at(&mut bytes, last)), Some((last, 0, None)))?;
    same(map.find(252, 0).err().map(|fault| fault.done()), Some(0))?;
    same(map.refresh()?, page())?;
    same(map.read_at(&mut bytes, page() as u64 - 9)?, 9)
}

fn reads_what_became_empty() -> Outcome {
    let (fd, mut map) = mapped(1)?;
    let mut bytes = [0; 100];
    syscall::ftruncate(fd.as_fd(), 0)?;
    same(fault(map.read_at(&mut bytes, 0)), Some((0, 0, None)))?;
    same((map.refresh()?, map.read_at(&mut bytes, 0)?), (0, 0))?;
    syscall::ftruncate(fd.as_fd(), 2)?;
    same((map.refresh()?, map.read_at(&mut bytes, 0)?), (2, 2))
}

fn writes_until_the_file_ends() -> Outcome {
    let (fd, mut map) = mapped(2)?;
    same(map.write_at(b"hello", 3)?, 5)?;
    same(map.fill(b'x', 9000 % page() as u64, 10)?, 10)?;
    same(map.write_at(b"hello", 2 * page() as u64 - 2)?, 2)?;
    let mut bytes = [0; 5];
    syscall::pread(fd.as_fd(), &mut bytes, 3)?;
    same(&bytes, b"hello")?;

    syscall::ftruncate(fd.as_fd(), page() as u64)?;
    same(fault(map.write_at(b"hello", page() as u64 - 2)), Some((page() as u64, 2, None)))?;
    let all = map.fill(b'y', 0, 2 * page());
    same(fault(all), Some((page() as u64, page(), None)))?;
    syscall::pread(fd.as_fd(), &mut bytes, page() as u64 - 5)?;
    same(&bytes, b"yyyyy")?;

    map.set_len(3 * page() as u64)?;
    same((map.len(), syscall::fstat(fd.as_fd())?.size), (3 * page(), 3 * page() as u64))?;
    same(map.write_at(b"hello", 3 * page() as u64 - 5)?, 5)
}

fn copies_between_maps() -> Outcome {
    let ((from_fd, from), (to_fd, to)) = (mapped(2)?, mapped(2)?);
    let size = page() as u64;
    same(from.copy_to(10, &to, 3, page())?, page())?;
    let mut bytes = [0; 2];
    to.read_at(&mut bytes, 3)?;
    same(bytes, [pattern(10), pattern(11)])?;
    same(from.copy_to(size, &to, size + 5, 2 * page())?, page() - 5)?;
    syscall::ftruncate(to_fd.as_fd(), size)?;
    same(fault(from.copy_to(0, &to, size - 8, 100)), Some((8, 8, None)))?;
    syscall::ftruncate(from_fd.as_fd(), size)?;
    same(fault(from.copy_to(size - 4, &to, 0, 100)), Some((size, 4, None)))
}

/// Runs in a child, because a fault that is not handled would end the process.
fn slices() -> Outcome {
    static LINE: AtomicI32 = AtomicI32::new(0);
    let run = || -> Outcome {
        let (fd, mut map) = mapped(3)?;
        let sum = |bytes: &[u8]| bytes.iter().map(|&byte| usize::from(byte)).sum::<usize>();
        // SAFETY: nobody else has the file.
        let whole = unsafe { map.with_slice(sum)? };
        same(whole, (0..3 * page()).map(|index| usize::from(pattern(index))).sum())?;
        // SAFETY: as above; and that it becomes shorter, by whole pages, is allowed.
        let cut = unsafe {
            map.with_slice(|bytes| {
                let _ = syscall::ftruncate(fd.as_fd(), page() as u64);
                LINE.store(sum(bytes) as i32, SeqCst);
                bytes.len()
            })
        };
        same(fault(cut), Some((page() as u64, page(), None)))?;
        let rest: usize = (0..page()).map(|index| usize::from(pattern(index))).sum();
        same(LINE.load(SeqCst), rest as i32)?; // and zeros
        // Copies beyond the end of the file fail as well, although zero pages could be read there.
        let mut byte = [9];
        same(map.read_at(&mut byte, 0)?, 1)?;
        same(fault(map.read_at(&mut byte, page() as u64)), Some((page() as u64, 0, None)))?;
        // SAFETY: as above.
        same(unsafe { map.with_slice(|_| 0) }.is_err(), true)?;
        same(map.refresh()?, page())?;
        // SAFETY: as above.
        same(unsafe { map.with_slice(sum)? }, rest)?;
        // SAFETY: as above.
        unsafe { map.with_slice_mut(|bytes| bytes[7] = 77)? };
        syscall::pread(fd.as_fd(), &mut byte, 7)?;
        same(byte, [77])
    };
    in_child(run)
}

pub const CASES: &[Case] = &[
    case!("FileMap reads until its file ends", reads_until_the_file_ends),
    case!(
        "FileMap reads what became empty",
        reads_what_became_empty,
        qemu_user: "it maps no empty file where its pages are larger than the host's",
        if page() > 4096
    ),
    case!("FileMap writes until its file ends", writes_until_the_file_ends),
    case!("FileMap copies to another until a file ends", copies_between_maps),
    case!(
        "FileMap lends a slice whose file may end",
        slices,
        qemu_user: "SIGBUS is passed on with the host's address",
        if page() > 4096 || cfg!(any(target_pointer_width = "32", target_endian = "big"))
    ),
];
