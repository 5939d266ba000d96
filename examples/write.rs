//! `write [FILE]`: writes a text to a file through a shared mapping. The default is `testfile.txt`.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

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

/// Creates or overwrites the file with 64 bytes: the text, and zeros.
fn write(path: &CStr) -> Result<(), Errno> {
    let text = b"Written via mmap!";
    let length = 64;

    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
    let fd = syscall::open(path, flags, Mode::from_bits_retain(0o644))?;
    // The file must be as long as the mapping. Preallocating it reports a full disk as an error,
    // whereas a store to a hole would be a SIGBUS. A file system that cannot preallocate
    // (EOPNOTSUPP) gets a sparse file.
    match syscall::fallocate(fd.as_fd(), FallocateFlags::empty(), 0, length) {
        Err(Errno::EOPNOTSUPP) => syscall::ftruncate(fd.as_fd(), length)?,
        result => result?,
    }
    let map = MmapOptions::new().map_raw(fd.as_fd())?;
    drop(fd); // a mapping does not need the descriptor
    // SAFETY: the mapping is writable and longer than the text, and no reference to it exists.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), map.as_mut_ptr(), text.len()) };
    Ok(())
}
