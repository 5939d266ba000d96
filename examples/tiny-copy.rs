//! `tiny-copy SOURCE DEST`: exercise 49-1 as the seed has it, step for step, and as
//! small as the runtime allows.
//!
//! It is here to be read and measured; `mapcp` is the one to use. Like the seed's
//! program it writes straight into an existing DEST, and dies when the disk is full.
//! Two of the seed's faults cost nothing to mend, and are: an empty file is copied,
//! and DEST is not cut to nothing before it has its new length, so that copying a
//! file onto itself leaves it as it was.

#![no_std]
#![no_main]
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]

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
        // The texts of all errors would be twice as much as the whole program.
        Err(errno) => {
            let _ = say(STDERR, "tiny-copy: errno ", errno.number().into(), "\n");
            ExitCode::FAILURE
        }
    }
}

fn copy(start: Start) -> Result<u64> {
    let mut args = start.args();
    let (_, Some(src), Some(dst), None) = (args.next(), args.next(), args.next(), args.next())
    else {
        return Err(Errno::EINVAL);
    };

    // Open the source, and get its size.
    let src = syscall::open(src, OFlags::RDONLY, Mode::empty())?;
    let stat = syscall::fstat(src.as_fd())?;

    // Open or create the destination, and set its size.
    let dst = syscall::open(dst, OFlags::RDWR | OFlags::CREATE, stat.permissions())?;
    syscall::ftruncate(dst.as_fd(), stat.size)?;

    // Map both: the source read-only, the destination read-write and shared.
    let size = stat.size.try_into().map_err(|_| Errno::EOVERFLOW)?;
    let from = map(src.as_fd(), size, ProtFlags::READ)?;
    let to = map(dst.as_fd(), size, ProtFlags::READ | ProtFlags::WRITE)?;

    // Copy memory: no read or write calls.
    // SAFETY: both are mapped, as long as each other, and at different addresses. Should
    // they be one file, every byte is copied to where it is.
    unsafe { ptr::copy_nonoverlapping(from, to, size) };

    // The end of the process closes and unmaps everything: four calls saved.
    mem::forget((src, dst));
    Ok(stat.size)
}

/// Maps the whole of a file, which may be empty: then nothing is there to be mapped.
fn map(fd: BorrowedFd<'_>, size: usize, prot: ProtFlags) -> Result<*mut u8> {
    if size == 0 {
        return Ok(ptr::dangling_mut());
    }
    // SAFETY: the kernel chooses the place.
    unsafe { syscall::mmap(ptr::null_mut(), size, prot, MapFlags::SHARED, Some(fd), 0) }
}

/// Writes a line, piece by piece: a buffer would cost more code than two calls do.
fn say(fd: BorrowedFd<'_>, before: &str, number: u64, after: &str) -> Result<()> {
    for text in [before, Decimal::new(number).as_str(), after] {
        rt::write_all(fd, text.as_bytes())?;
    }
    Ok(())
}
