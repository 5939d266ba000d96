//! `write [FILE]`: writes a file by writing to memory.

#![no_std]
#![no_main]
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]

use core::{ffi::CStr, ptr};

use baremap::{
    fd::AsFd,
    map::MmapOptions,
    rt::{ExitCode, Start, eprintln, println},
    syscall::{self, Errno, FallocateFlags, Mode, OFlags},
};

baremap::entry!(main);

fn main(start: Start) -> ExitCode {
    let path = start.args().nth(1).unwrap_or(c"testfile.txt");
    match write(path) {
        Ok(()) => {
            println!("Done. Check {}", path.to_bytes().escape_ascii());
            ExitCode::SUCCESS
        }
        Err(errno) => {
            eprintln!("write: '{}': {errno}", path.to_bytes().escape_ascii());
            ExitCode::FAILURE
        }
    }
}

fn write(path: &CStr) -> Result<(), Errno> {
    let text = b"Written via mmap!";
    let length = 64;

    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
    let fd = syscall::open(path, flags, Mode::from_bits_retain(0o644))?;
    // The mapping must not be longer than the file; and on a full disk this is an
    // error, where writing to the memory of a hole would be a fault.
    match syscall::fallocate(fd.as_fd(), FallocateFlags::empty(), 0, length) {
        Err(Errno::EOPNOTSUPP) => syscall::ftruncate(fd.as_fd(), length)?,
        result => result?,
    }
    let map = MmapOptions::new().map_raw(fd.as_fd())?;
    drop(fd); // the mapping stays
    // SAFETY: the mapping is longer than the text, and writable.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), map.as_mut_ptr(), text.len()) };
    Ok(())
}
