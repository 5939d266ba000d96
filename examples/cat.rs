//! `cat FILE`: maps a file read-only and writes it to standard output.
//!
//! The kernel reads the mapping, in write(2). If another process truncates the file, the call fails
//! with `EFAULT`, and the program is not killed by `SIGBUS`.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

use core::ptr;

use baremap::{
    fd::AsFd,
    rt::{ExitCode, STDOUT, Start, eprintln},
    syscall::{self, Errno, MapFlags, Mode, OFlags, ProtFlags},
};

baremap::entry!(main);

fn main(start: Start) -> ExitCode {
    let mut args = start.args();
    let (_, Some(path), None) = (args.next(), args.next(), args.next()) else {
        eprintln!("Usage: cat FILE");
        return ExitCode(2);
    };
    match cat(path) {
        Ok(()) => ExitCode::SUCCESS,
        Err((what, errno)) => {
            eprintln!("cat: {what} '{}': {errno}", path.to_bytes().escape_ascii());
            ExitCode::FAILURE
        }
    }
}

/// Writes a file to standard output. An error comes with the name of the system call that failed.
fn cat(path: &core::ffi::CStr) -> Result<(), (&'static str, Errno)> {
    let fd = syscall::open(path, OFlags::RDONLY, Mode::empty()).map_err(|e| ("open", e))?;
    let size = syscall::fstat(fd.as_fd()).map_err(|e| ("fstat", e))?.size;
    if size == 0 {
        return Ok(()); // an empty file cannot be mapped
    }
    let length = usize::try_from(size).map_err(|_| ("mmap", Errno::EOVERFLOW))?;
    // SAFETY: without a fixed address, no existing mapping is replaced. No reference to the memory
    // is created.
    let addr = unsafe {
        syscall::mmap(
            ptr::null_mut(),
            length,
            ProtFlags::READ,
            MapFlags::PRIVATE,
            Some(fd.as_fd()),
            0,
        )
    }
    .map_err(|e| ("mmap", e))?;
    drop(fd); // a mapping does not need the descriptor

    let mut done = 0;
    while done < length {
        // SAFETY: the bytes are inside the mapping, to which this program never writes. If the file
        // has been truncated, the kernel cannot read the page, and the call fails with EFAULT.
        match unsafe { syscall::write_raw(STDOUT, addr.wrapping_add(done), length - done) } {
            Ok(count) => done += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(("write", errno)),
        }
    }
    // SAFETY: the mapping is not used after this call.
    unsafe { syscall::munmap(addr, length) }.map_err(|e| ("munmap", e))
}
