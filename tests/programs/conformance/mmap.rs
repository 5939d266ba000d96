//! New mappings.

use super::*;

fn zeroed() -> Outcome {
    let pages = Pages::zeros(3)?;
    for index in (0..pages.length).step_by(509).chain([pages.length - 1]) {
        same(pages.get(index), 0)?;
        pages.set(index, 0xff);
        same(pages.get(index), 0xff)?;
    }
    same(pages.addr as usize % page(), 0)
}

fn private_is_a_copy() -> Outcome {
    let fd = numbered(2)?;
    let private = Pages::map(2 * page(), READ_WRITE, MapFlags::PRIVATE, Some(fd.as_fd()), 0)?;
    same(private.get(0), 1)?;
    private.set(0, 9);
    let mut byte = [0];
    syscall::pread(fd.as_fd(), &mut byte, 0)?;
    same((byte[0], private.get(0)), (1, 9))?;
    let again = Pages::map(2 * page(), READ_WRITE, MapFlags::PRIVATE, Some(fd.as_fd()), 0)?;
    same(again.get(0), 1)
}

fn shared_is_the_file() -> Outcome {
    let fd = file()?;
    syscall::ftruncate(fd.as_fd(), page() as u64)?;
    let one = Pages::map(page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
    let other = Pages::map(page(), ProtFlags::READ, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
    one.set(77, 7);
    let mut byte = [0];
    syscall::pread(fd.as_fd(), &mut byte, 77)?;
    same((byte[0], other.get(77)), (7, 7))?;
    syscall::pwrite(fd.as_fd(), &[8], 78)?;
    same((one.get(78), other.get(78)), (8, 8))
}

fn outlives_its_descriptor() -> Outcome {
    let fd = numbered(1)?;
    let pages = Pages::map(page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
    syscall::close(fd)?;
    same(pages.get(0), 1)?;
    pages.set(0, 2);
    same(pages.get(0), 2)
}

/// The bytes of a mapping past the end of the file are zero, and are not written to the file.
fn tail_is_zero() -> Outcome {
    let fd = file()?;
    syscall::write(fd.as_fd(), b"0123456789")?;
    let pages = Pages::map(page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
    same(pages.get(9), b'9')?;
    for index in 10..page() {
        same(pages.get(index), 0)?;
    }
    pages.set(10, b'!');
    same(syscall::fstat(fd.as_fd())?.size, 10)?;
    let mut back = [0; 16];
    same(syscall::pread(fd.as_fd(), &mut back, 0)?, 10)
}

/// The kernel rounds the length up to whole pages.
fn length_is_rounded() -> Outcome {
    let pages = Pages::reserve(3)?;
    let flags = ANONYMOUS | MapFlags::FIXED;
    // SAFETY: the room is this function's own.
    unsafe { syscall::mmap(pages.addr, page() + 1, READ_WRITE, flags, None, 0)? };
    same([0, 1, 2].map(|n| readable(pages.page(n))), [true, true, false])
}

fn fixed_replaces() -> Outcome {
    let pages = Pages::zeros(3)?;
    for number in 0..3 {
        pages.set(number * page(), 5);
    }
    let flags = ANONYMOUS | MapFlags::FIXED;
    // SAFETY: the page is this function's own.
    let at = unsafe { syscall::mmap(pages.page(1), page(), READ_WRITE, flags, None, 0)? };
    same(at, pages.page(1))?;
    same([0, 1, 2].map(|n| pages.get(n * page())), [5, 0, 5])
}

fn fixed_noreplace_does_not() -> Outcome {
    let pages = Pages::zeros(3)?;
    pages.set(page(), 5);
    let map = |at| {
        let flags = ANONYMOUS | MapFlags::FIXED_NOREPLACE;
        // SAFETY: nothing is replaced, and the range is this function's own.
        unsafe { syscall::mmap(at, page(), READ_WRITE, flags, None, 0) }
    };
    fails(map(pages.page(1)), Errno::EEXIST)?;
    same(pages.get(page()), 5)?;
    // SAFETY: the page is this function's own.
    unsafe { syscall::munmap(pages.page(1), page())? };
    same(map(pages.page(1)), Ok(pages.page(1)))?;
    same(pages.get(page()), 0)
}

/// The kernel takes a hint if the address is free, and another address otherwise.
fn hint() -> Outcome {
    let pages = Pages::zeros(2)?;
    // SAFETY: without `FIXED` nothing is replaced.
    let addr = unsafe { syscall::mmap(pages.addr, page(), READ_WRITE, ANONYMOUS, None, 0)? };
    let other = Pages { addr, length: page() };
    let apart = other.addr.addr().abs_diff(pages.addr.addr()) >= page();
    ensure(apart, "a mapping in place of another")
}

fn protections() -> Outcome {
    let pages = Pages::zeros(2)?;
    pages.set(0, 3);
    let protect = |prot| {
        // SAFETY: the page is this function's own.
        unsafe { syscall::mprotect(pages.addr, page(), prot) }
    };
    protect(ProtFlags::empty())?;
    ensure(!readable(pages.addr) && !writable(pages.at(8)), "an accessible page")?;
    protect(ProtFlags::READ)?;
    ensure(readable(pages.addr) && !writable(pages.at(8)), "a page that is not read-only")?;
    protect(READ_WRITE)?;
    ensure(writable(pages.at(8)), "a page that is read-only")?;
    same(pages.get(0), 3)?;
    ensure(writable(pages.page(1)), "another page changed")
}

/// Writes two instructions that return, and calls them.
#[cfg(any(target_arch = "x86_64", target_arch = "s390x"))] // instructions need no flush
fn executable() -> Outcome {
    #[cfg(target_arch = "x86_64")]
    let code = [0xb8, 0x2a, 0, 0, 0, 0xc3]; // mov eax, 42; ret
    #[cfg(target_arch = "s390x")]
    let code = [0xa7, 0x29, 0, 0x2a, 0x07, 0xfe]; // lghi %r2, 42; br %r14
    let pages = Pages::zeros(1)?;
    for (index, byte) in code.into_iter().enumerate() {
        pages.set(index, byte);
    }
    // SAFETY: the page is this function's own, and holds a function.
    unsafe {
        syscall::mprotect(pages.addr, page(), ProtFlags::READ | ProtFlags::EXEC)?;
        let function: extern "C" fn() -> i32 = core::mem::transmute(pages.addr);
        same(function(), 42)
    }
}

fn unmapped() -> Outcome {
    let pages = Pages::zeros(3)?;
    // SAFETY: the pages are this function's own.
    unsafe {
        syscall::munmap(pages.page(1), page())?;
        syscall::munmap(pages.page(1), page())?; // again: no error
    }
    same([0, 1, 2].map(|n| readable(pages.page(n))), [true, false, true])
}

pub const CASES: &[Case] = &[
    case!("anonymous memory is zero and can be changed", zeroed),
    case!("a private mapping is a copy", private_is_a_copy),
    case!("a shared mapping is the file", shared_is_the_file),
    case!("a mapping outlives its descriptor", outlives_its_descriptor),
    case!("the tail of the last page is zero", tail_is_zero),
    case!("a length is rounded up to pages", length_is_rounded),
    case!("MAP_FIXED replaces", fixed_replaces),
    case!("MAP_FIXED_NOREPLACE does not", fixed_noreplace_does_not),
    case!("an address is a wish", hint),
    case!("mprotect takes and gives access", protections),
    #[cfg(any(target_arch = "x86_64", target_arch = "s390x"))]
    case!("PROT_EXEC makes code of data", executable),
    case!("munmap takes a page out of the middle", unmapped),
];
