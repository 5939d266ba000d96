//! Memory, files, and facts about the system, for the cases.

use core::{ffi::CStr, fmt::Write, ptr};

pub use baremap::syscall::page_size as page;
use baremap::{
    fd::{AsFd, AsRawFd, BorrowedFd, CWD, OwnedFd},
    syscall::{
        self, Access, AtFlags, Errno, MapFlags, MemfdFlags, Mode, OFlags, ProtFlags, raw, raw::nr,
    },
};

use super::{
    case::{Text, Trouble, wrong},
    init::Kernel,
};

pub const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);
pub const ANONYMOUS: MapFlags = MapFlags::PRIVATE.union(MapFlags::ANONYMOUS);
pub const SHARED_ANONYMOUS: MapFlags = MapFlags::SHARED.union(MapFlags::ANONYMOUS);

/// Room for the result of `mincore` for four pages. Under qemu-user with larger pages than the
/// host's, the host writes a byte for each of its own pages, beyond the end of a shorter buffer.
pub const PRESENT: usize = 4 * 64 / 4;

/// A mapping that is unmapped when the value is dropped. It gives no references, because the kernel
/// and other processes change its contents.
pub struct Pages {
    pub addr: *mut u8,
    pub length: usize,
}

impl Pages {
    /// Maps memory at an address that the kernel chooses.
    pub fn map(
        length: usize,
        prot: ProtFlags,
        flags: MapFlags,
        fd: Option<BorrowedFd<'_>>,
        offset: u64,
    ) -> syscall::Result<Pages> {
        // SAFETY: nobody passes a fixed address here, so nothing is replaced.
        let addr = unsafe { syscall::mmap(ptr::null_mut(), length, prot, flags, fd, offset)? };
        Ok(Pages { addr, length })
    }

    /// Maps private pages of zeros.
    pub fn zeros(pages: usize) -> syscall::Result<Pages> {
        Pages::map(pages * page(), READ_WRITE, ANONYMOUS, None, 0)
    }

    /// Reserves inaccessible pages.
    pub fn reserve(pages: usize) -> syscall::Result<Pages> {
        Pages::map(pages * page(), ProtFlags::empty(), ANONYMOUS, None, 0)
    }

    /// Returns the address of a page.
    pub fn page(&self, number: usize) -> *mut u8 {
        self.addr.wrapping_add(number * page())
    }

    /// Returns the address of a byte.
    pub fn at(&self, index: usize) -> *mut u8 {
        assert!(index < self.length);
        self.addr.wrapping_add(index)
    }

    pub fn get(&self, index: usize) -> u8 {
        // SAFETY: inside the mapping; a fault is what some cases are about.
        unsafe { self.at(index).read_volatile() }
    }

    pub fn set(&self, index: usize, value: u8) {
        // SAFETY: inside the mapping, to which there are no references.
        unsafe { self.at(index).write_volatile(value) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping was this value's own.
        let _ = unsafe { syscall::munmap(self.addr, self.length) };
    }
}

/// Returns whether the kernel can read at an address. A call that takes a path fails with `EFAULT`
/// only if the path is unreadable.
pub fn readable(addr: *const u8) -> bool {
    // SAFETY: the kernel checks the address, and reads no further than a path is long.
    let result = unsafe { raw::syscall3(nr::faccessat, cwd(), addr as usize, 0) };
    check(result).err() != Some(Errno::EFAULT)
}

/// Returns whether the kernel can write at an address. If so, the byte there becomes random.
pub fn writable(addr: *mut u8) -> bool {
    // SAFETY: the kernel checks the address; the caller does without the byte.
    check(unsafe { raw::syscall3(nr::getrandom, addr as usize, 1, 0) }) == Ok(1)
}

/// Returns the working directory as a raw argument.
pub fn cwd() -> usize {
    number(CWD)
}

/// Returns a descriptor as a raw argument.
pub fn number(fd: BorrowedFd<'_>) -> usize {
    fd.as_raw_fd() as usize
}

/// Returns the value of a raw result, or its error if it is from −4095 to −1.
pub fn check(result: usize) -> syscall::Result<usize> {
    match result.wrapping_neg() {
        errno @ 1..=4095 => Err(Errno::new(errno as u16)),
        _ => Ok(result),
    }
}

/// Creates an empty file without a name in the working directory's file system.
pub fn file() -> syscall::Result<OwnedFd> {
    let name = c".baremap conformance \xff~";
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let fd = syscall::open(name, flags, Mode::RUSR | Mode::WUSR)?;
    syscall::unlinkat(CWD, name, AtFlags::empty())?;
    Ok(fd)
}

/// Creates an empty file in memory. It can be sparse and mapped, whatever the file system of the
/// working directory is.
pub fn memory() -> syscall::Result<OwnedFd> {
    syscall::memfd_create(c"conformance", MemfdFlags::CLOEXEC)
}

/// Creates a file in memory whose pages begin with their number, counted from one.
pub fn numbered(pages: usize) -> syscall::Result<OwnedFd> {
    let fd = memory()?;
    syscall::ftruncate(fd.as_fd(), (pages * page()) as u64)?;
    for number in 0..pages {
        syscall::pwrite(fd.as_fd(), &[number as u8 + 1], (number * page()) as u64)?;
    }
    Ok(fd)
}

/// A name in the working directory, which is removed when the value is dropped.
pub struct Name(pub &'static CStr);

impl Name {
    pub fn new(name: &'static CStr) -> Name {
        let _ = syscall::unlinkat(CWD, name, AtFlags::empty());
        Name(name)
    }

    pub fn exists(&self) -> bool {
        syscall::faccessat(CWD, self.0, Access::empty()).is_ok()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = syscall::unlinkat(CWD, self.0, AtFlags::empty());
    }
}

/// Returns the first two numbers of the version of Linux.
pub fn linux() -> Result<(u32, u32), Trouble> {
    let mut text = Text::new();
    let _ = write!(text, "{}", Kernel::running()?);
    let mut numbers = text.as_str().split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(wrong(format_args!("got the release {:?}", text.as_str()))),
    }
}
