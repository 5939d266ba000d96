//! `anonymous`: maps anonymous memory, which the kernel fills with zeros, and shares a mapping with
//! a child process.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

use core::{
    ptr,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

use baremap::{
    rt::{ExitCode, Start, eprintln, println},
    syscall::{self, Errno, MapFlags, ProtFlags, WaitFlags, WaitStatus},
};

baremap::entry!(main);

fn main(_: Start) -> ExitCode {
    match private().and_then(|()| shared()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            eprintln!("anonymous: {errno}");
            ExitCode::FAILURE
        }
    }
}

/// Maps `length` bytes of zeros. They are private to the process with `MapFlags::PRIVATE`, and
/// shared with its children with `MapFlags::SHARED`.
fn map(length: usize, sharing: MapFlags) -> Result<*mut u8, Errno> {
    let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, sharing | MapFlags::ANONYMOUS);
    // SAFETY: without a fixed address, no existing mapping is replaced.
    unsafe { syscall::mmap(ptr::null_mut(), length, prot, flags, None, 0) }
}

/// Reads and writes a private mapping.
fn private() -> Result<(), Errno> {
    let length = 4 * syscall::page_size();
    let addr = map(length, MapFlags::PRIVATE)?;
    // SAFETY: the memory is mapped, readable, writable and initialized, and no other reference or
    // process accesses it.
    let memory = unsafe { core::slice::from_raw_parts_mut(addr, length) };
    println!("First byte: {}", memory[0]);
    println!("All zero: {}", memory.iter().all(|&byte| byte == 0));

    let text = b"Hello from anonymous mapping!";
    memory[..text.len()].copy_from_slice(text);
    println!("{}", memory[..text.len()].escape_ascii());
    // SAFETY: the mapping is not used after this call.
    unsafe { syscall::munmap(addr, length) }
}

/// Reads a number that a child process changes in a shared mapping.
fn shared() -> Result<(), Errno> {
    let length = syscall::page_size();
    let addr = map(length, MapFlags::SHARED)?;
    // SAFETY: the memory is mapped, aligned and initialized, and both processes access it only as
    // an atomic.
    let number = unsafe { AtomicU32::from_ptr(addr.cast()) };
    number.store(1, SeqCst);

    // SAFETY: the process has only one thread.
    let Some(child) = (unsafe { syscall::fork()? }) else {
        number.fetch_add(41, SeqCst);
        syscall::exit_group(7);
    };
    let Some((_, status)) = syscall::waitid(Some(child), WaitFlags::EXITED)? else {
        return Err(Errno::ECHILD);
    };
    println!("Child exited with 7: {}", status == WaitStatus::Exited(7));
    println!("Number after the child added to it: {}", number.load(SeqCst));
    // SAFETY: the mapping is not used after this call.
    unsafe { syscall::munmap(addr, length) }
}
