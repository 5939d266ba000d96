//! `cat FILE`: maps a file, read-only and private, and writes it to standard output.

#![no_std]
#![no_main]
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]

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

fn cat(path: &core::ffi::CStr) -> Result<(), (&'static str, Errno)> {
    let fd = syscall::open(path, OFlags::RDONLY, Mode::empty()).map_err(|e| ("open", e))?;
    let size = syscall::fstat(fd.as_fd()).map_err(|e| ("fstat", e))?.size;
    if size == 0 {
        return Ok(()); // nothing can be mapped, and there is nothing to write
    }
    let length = usize::try_from(size).map_err(|_| ("mmap", Errno::EOVERFLOW))?;
    // SAFETY: the kernel chooses the place; no reference is made to the memory.
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
    drop(fd); // the mapping stays

    let mut done = 0;
    while done < length {
        // SAFETY: inside the mapping, to which this program never writes. Should the file
        // become shorter, the kernel finds the page gone, and it is EFAULT.
        match unsafe { syscall::write_raw(STDOUT, addr.wrapping_add(done), length - done) } {
            Ok(count) => done += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(("write", errno)),
        }
    }
    // SAFETY: not used again.
    unsafe { syscall::munmap(addr, length) }.map_err(|e| ("munmap", e))
}
