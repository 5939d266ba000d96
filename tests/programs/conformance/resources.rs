//! Memory, files and facts about the system, for the cases.

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

/// Room for what `mincore` tells of four pages. Under qemu-user with pages larger than the
/// host's it is the host that tells, a byte for each of its own, into whatever room there is:
/// with less, the emulator writes over what lies behind.
pub const PRESENT: usize = 4 * 64 / 4;

/// A mapping that is unmapped when it is dropped. Never a reference: the kernel, and for a
/// file anybody, changes it.
pub struct Pages {
    pub addr: *mut u8,
    pub length: usize,
}

impl Pages {
    /// A mapping where the kernel likes.
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

    /// So many pages of zeros, private.
    pub fn zeros(pages: usize) -> syscall::Result<Pages> {
        Pages::map(pages * page(), READ_WRITE, ANONYMOUS, None, 0)
    }

    /// So many pages of addresses, that may not be touched.
    pub fn reserve(pages: usize) -> syscall::Result<Pages> {
        Pages::map(pages * page(), ProtFlags::empty(), ANONYMOUS, None, 0)
    }

    /// The address of a page, counted from the first.
    pub fn page(&self, number: usize) -> *mut u8 {
        self.addr.wrapping_add(number * page())
    }

    /// The address of a byte.
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

/// Whether the kernel can read at an address: it is asked for a file by that name, and
/// fails with `EFAULT` only if it cannot.
pub fn readable(addr: *const u8) -> bool {
    // SAFETY: the kernel checks the address, and reads no further than a path is long.
    let result = unsafe { raw::syscall3(nr::faccessat, cwd(), addr as usize, 0) };
    check(result).err() != Some(Errno::EFAULT)
}

/// Whether the kernel can write at an address. If it can, the byte there is random after.
pub fn writable(addr: *mut u8) -> bool {
    // SAFETY: the kernel checks the address; the caller does without the byte.
    check(unsafe { raw::syscall3(nr::getrandom, addr as usize, 1, 0) }) == Ok(1)
}

/// The working directory as a raw argument.
pub fn cwd() -> usize {
    number(CWD)
}

/// A descriptor as a raw argument.
pub fn number(fd: BorrowedFd<'_>) -> usize {
    fd.as_raw_fd() as usize
}

/// A raw result: a value, or an errno from −4095 to −1.
pub fn check(result: usize) -> syscall::Result<usize> {
    match result.wrapping_neg() {
        errno @ 1..=4095 => Err(Errno::new(errno as u16)),
        _ => Ok(result),
    }
}

/// An empty file of the working directory's file system, without a name.
pub fn file() -> syscall::Result<OwnedFd> {
    let name = c".baremap conformance \xff~";
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let fd = syscall::open(name, flags, Mode::RUSR | Mode::WUSR)?;
    syscall::unlinkat(CWD, name, AtFlags::empty())?;
    Ok(fd)
}

/// An empty file in memory. It can be sparse, and mapped, whatever the file system is.
pub fn memory() -> syscall::Result<OwnedFd> {
    syscall::memfd_create(c"conformance", MemfdFlags::CLOEXEC)
}

/// A file in memory of so many pages, each beginning with its number, counted from one.
pub fn numbered(pages: usize) -> syscall::Result<OwnedFd> {
    let fd = memory()?;
    syscall::ftruncate(fd.as_fd(), (pages * page()) as u64)?;
    for number in 0..pages {
        syscall::pwrite(fd.as_fd(), &[number as u8 + 1], (number * page()) as u64)?;
    }
    Ok(fd)
}

/// A name in the working directory that is removed when it is dropped.
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

/// Linux's version, as far as it matters here.
pub fn linux() -> Result<(u32, u32), Trouble> {
    let mut text = Text::new();
    let _ = write!(text, "{}", Kernel::running()?);
    let mut numbers = text.as_str().split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(wrong(format_args!("got the release {:?}", text.as_str()))),
    }
}
