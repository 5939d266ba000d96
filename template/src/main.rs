//! `hello [FILE]`: prints a greeting, or the number of lines in a file.

#![no_std]
#![no_main]

use baremap::{
    fd::AsFd,
    rt::{Start, println},
    syscall::{self, Errno, Mode, OFlags},
};

baremap::entry!(main);

fn main(start: Start) -> Result<(), Errno> {
    let Some(path) = start.args().nth(1) else {
        println!("Hello from a program without libc!");
        return Ok(());
    };
    // If `main` returns an error, the runtime prints it and exits with status 1:
    // `hello: No such file or directory (ENOENT)`.
    let file = syscall::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let (mut buffer, mut lines) = ([0; 4096], 0);
    loop {
        match syscall::read(file.as_fd(), &mut buffer)? {
            0 => break,
            count => lines += hello::count_lines(&buffer[..count]),
        }
    }
    println!("{lines} lines");
    Ok(())
}
