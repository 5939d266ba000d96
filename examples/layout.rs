//! The picture of a process's address space, drawn from this one: what lies where,
//! from the highest address to the lowest.

#![no_std]
#![no_main]
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]

use core::ptr;

use baremap::{
    eprintln, println,
    rt::{ExitCode, Start},
    syscall::{self, Errno, MapFlags, ProtFlags, raw},
};

baremap::entry!(main);

/// No bytes in the file: zeroed when the program starts.
static mut BSS: [u8; 64] = [0; 64];
/// Bytes in the file, which the program may change.
static mut DATA: [u8; 64] = [1; 64];

fn main(_: Start) -> ExitCode {
    match draw() {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            eprintln!("layout: {errno}");
            ExitCode::FAILURE
        }
    }
}

fn draw() -> Result<(), Errno> {
    let local = 0u8;
    let page = syscall::page_size();
    // SAFETY: the kernel chooses the place.
    let mapping = unsafe {
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
        syscall::mmap(ptr::null_mut(), page, ProtFlags::READ, flags, None, 0)?
    };
    // The heap begins where the kernel put the program's break, and has no size until
    // the break is moved.
    // SAFETY: nothing in this program uses the break.
    let heap = unsafe {
        let heap = raw::syscall1(raw::nr::brk, 0);
        raw::syscall1(raw::nr::brk, heap + page);
        heap
    };

    let mut parts = [
        (&raw const local as usize, "stack    (grows down)"),
        (mapping as usize, "mappings (mmap)"),
        (heap, "heap     (grows up)"),
        (&raw const BSS as usize, "BSS      (zeroed data)"),
        (&raw const DATA as usize, "data     (from the file)"),
        (draw as *const () as usize, "text     (code)"),
    ];
    parts.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));

    let width = 2 * size_of::<usize>();
    for (address, what) in parts {
        println!("0x{address:0width$x}  | {what:24} |");
    }
    // SAFETY: not used again.
    unsafe { syscall::munmap(mapping, page) }
}
