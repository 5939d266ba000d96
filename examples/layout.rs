//! `layout`: prints the layout of its own address space.
//!
//! Each line is a part, for example the stack or the code, with an address in it and its size. The
//! lines are sorted from the highest address to the lowest.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

use core::fmt::Write;

use baremap::{
    map::{Mapping, MmapMut, maps},
    rt::{ExitCode, Output, STDOUT, Start, eprintln},
    syscall::{self, Errno, raw},
};

baremap::entry!(main);

/// Zeroed data. The executable file contains no bytes for it; the kernel maps zero pages.
static mut BSS: [u8; 64] = [0; 64];
/// Initialized, writable data, whose bytes are in the executable file.
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

/// A part of the address space.
struct Part {
    /// An address in the part.
    address: u64,
    what: &'static str,
    /// The total size of its mappings, in bytes.
    bytes: u64,
}

/// Prints the parts of the address space.
fn draw() -> Result<(), Errno> {
    let local = 0u8;
    let page = syscall::page_size();
    let mapping = MmapMut::map_anon(page)?;
    // The heap starts at the initial program break, and is empty until the break is moved.
    // SAFETY: no other code in this program uses the program break.
    let heap = unsafe {
        let heap = raw::syscall1(raw::nr::brk, 0);
        raw::syscall1(raw::nr::brk, heap + page);
        heap
    };

    let part = |address: usize, what| Part { address: address as u64, what, bytes: 0 };
    let mut parts = [
        part(&raw const local as usize, "stack    (grows down)"),
        part(mapping.as_ptr() as usize, "mappings (mmap)"),
        part(heap, "heap     (grows up)"),
        part(&raw const BSS as usize, "BSS      (zeroed data)"),
        part(&raw const DATA as usize, "data     (from the file)"),
        part(draw as *const () as usize, "text     (code)"),
    ];
    let program = program(parts[5].address)?;
    let mut maps = maps()?;
    while let Some(mapping) = maps.next()? {
        measure(&mut parts, &mapping, program);
    }

    parts.sort_unstable_by_key(|part| core::cmp::Reverse(part.address));
    let width = 2 * size_of::<usize>();
    let mut output = Output::new(STDOUT);
    for Part { address, what, bytes } in parts {
        let kilobytes = bytes.div_ceil(1024);
        let _ = write!(output, "0x{address:0width$x}  | {what:24} | {kilobytes:6} KiB");
        if address == mapping.as_ptr() as u64 {
            name_others(&mut output)?;
        }
        output.bytes(b"\n");
    }
    output.finish()
}

/// Prints the names of the mappings that the kernel adds to every process, for example `[vdso]`.
fn name_others(output: &mut Output<'_>) -> Result<(), Errno> {
    let mut maps = maps()?;
    while let Some(mapping) = maps.next()? {
        let name = mapping.name;
        if name.starts_with(b"[v") {
            output.bytes(b" ");
            output.bytes(name);
        }
    }
    Ok(())
}

/// Returns the inode number of the executable file, or zero if it is unknown. `code` is the address
/// of a function.
fn program(code: u64) -> Result<u64, Errno> {
    let mut maps = maps()?;
    while let Some(mapping) = maps.next()? {
        if mapping.contains(code) {
            return Ok(mapping.inode);
        }
    }
    Ok(0)
}

/// Adds the size of a mapping to the part that it belongs to. `program` is the inode number of the
/// executable file.
fn measure(parts: &mut [Part; 6], mapping: &Mapping<'_>, program: u64) {
    let [stack, mappings, heap, bss, data, text] = parts;
    if mapping.contains(bss.address) && mapping.contains(data.address) {
        // The data and the BSS share a mapping, and the BSS follows the data.
        bss.bytes += mapping.end - bss.address;
        data.bytes += bss.address - mapping.start;
        return;
    }
    let of = if let Some(part) =
        [&mut *stack, &mut *heap, &mut *bss].into_iter().find(|part| mapping.contains(part.address))
    {
        part
    } else if mapping.inode == 0 || mapping.inode != program {
        mappings
    } else if mapping.start >= data.address || mapping.contains(data.address) {
        data
    } else {
        // The code, the ELF headers and the read-only data.
        text
    };
    of.bytes += mapping.len();
}
