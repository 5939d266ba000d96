//! `tiny-copy SOURCE DEST`: copies a file between two mappings, in a program that is as small as
//! the runtime allows.
//!
//! It follows the steps of exercise 49-1 of "The Linux Programming Interface". It is an example to
//! read and to measure; use `mapcp` to copy files.
//!
//! * An existing DEST is overwritten in place.
//! * If the disk is full, or another process truncates one of the files, the program is killed by
//!   `SIGBUS`.
//! * An empty file is copied.
//! * DEST is not truncated to zero before it gets its new length, so copying a file to itself
//!   leaves it unchanged.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

use core::{mem, ptr};

use baremap::{
    fd::{AsFd, BorrowedFd},
    rt::{self, Decimal, ExitCode, STDERR, STDOUT, Start},
    syscall::{self, Errno, MapFlags, Mode, OFlags, ProtFlags, Result},
};

baremap::entry!(main, bare);

fn main(start: Start) -> ExitCode {
    match copy(start) {
        Ok(bytes) => match say(STDOUT, "Copied ", bytes, " bytes\n") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        // The texts of all errors would take twice as much space as the rest of the program.
        Err(errno) => {
            let _ = say(STDERR, "tiny-copy: errno ", errno.number().into(), "\n");
            ExitCode::FAILURE
        }
    }
}

/// Copies the file, and returns its size.
fn copy(start: Start) -> Result<u64> {
    let mut args = start.args();
    let (_, Some(src), Some(dst), None) = (args.next(), args.next(), args.next(), args.next())
    else {
        return Err(Errno::EINVAL);
    };

    // Opens the source, and gets its size.
    let src = syscall::open(src, OFlags::RDONLY, Mode::empty())?;
    let stat = syscall::fstat(src.as_fd())?;

    // Opens or creates the destination, and sets its size.
    let dst = syscall::open(dst, OFlags::RDWR | OFlags::CREATE, stat.permissions())?;
    syscall::ftruncate(dst.as_fd(), stat.size)?;

    // Maps both files shared: the source read-only, the destination writable.
    let size = stat.size.try_into().map_err(|_| Errno::EOVERFLOW)?;
    let from = map(src.as_fd(), size, ProtFlags::READ)?;
    let to = map(dst.as_fd(), size, ProtFlags::READ | ProtFlags::WRITE)?;

    // Copies memory, without read or write system calls.
    // SAFETY: both mappings have `size` bytes, and their addresses do not overlap. If both map one
    // file, each byte is replaced by itself.
    unsafe { ptr::copy_nonoverlapping(from, to, size) };

    // The kernel closes and unmaps both files when the process exits, which saves four system
    // calls.
    mem::forget((src, dst));
    Ok(stat.size)
}

/// Maps a whole file. Returns a dangling pointer if the file is empty, because an empty file cannot
/// be mapped.
fn map(fd: BorrowedFd<'_>, size: usize, prot: ProtFlags) -> Result<*mut u8> {
    if size == 0 {
        return Ok(ptr::dangling_mut());
    }
    // SAFETY: without a fixed address, no existing mapping is replaced.
    unsafe { syscall::mmap(ptr::null_mut(), size, prot, MapFlags::SHARED, Some(fd), 0) }
}

/// Writes a line in three parts, because a buffer would need more code than two more system calls.
fn say(fd: BorrowedFd<'_>, before: &str, number: u64, after: &str) -> Result<()> {
    for text in [before, Decimal::new(number).as_str(), after] {
        rt::write_all(fd, text.as_bytes())?;
    }
    Ok(())
}
