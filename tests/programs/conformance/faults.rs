//! Signals that the kernel raises for page faults.

use super::signals::{Acting, AltStack};
use super::*;
use baremap::syscall::{BUS_ADRERR, Disposition, SaFlags, SigInfo, SigSet, Signal};
use core::{
    ffi::{c_int, c_void},
    sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst},
};
use linux_raw_sys::general::{SEGV_ACCERR, SEGV_MAPERR};

// These record what the handler saw.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static SIGNAL: AtomicI32 = AtomicI32::new(0);
static CODE: AtomicI32 = AtomicI32::new(0);
static ADDRESS: AtomicUsize = AtomicUsize::new(0);
static STACK: AtomicUsize = AtomicUsize::new(0);
/// The missing page. It is not taken from the signal's information, which is what the cases check.
static PAGE: AtomicUsize = AtomicUsize::new(0);
/// The descriptor of a file to extend by a page, or −1 to map a page instead.
static FILE: AtomicI32 = AtomicI32::new(-1);

/// Records the signal, and repairs the mapping, so that the access succeeds when it is repeated.
unsafe extern "C" fn mend(signal: c_int, info: *mut SigInfo, _: *mut c_void) {
    let local = 0u8;
    STACK.store((&raw const local).addr(), SeqCst);
    // SAFETY: the structure is the kernel's, as long as the handler runs.
    let (code, at) = unsafe { ((*info).code(), (*info).addr()) };
    SIGNAL.store(signal, SeqCst);
    CODE.store(code, SeqCst);
    ADDRESS.store(at.addr(), SeqCst);
    let before = COUNT.fetch_add(1, SeqCst);
    if before > 3 {
        eprintln!("conformance: a fault at {at:?} that cannot be mended");
        syscall::exit_group(99); // or it would go on for ever
    }
    let _ = match FILE.load(SeqCst) {
        // A page is also mapped if extending the file did not help. The case then fails, but ends.
        fd if fd == -1 || before > 0 => {
            let at = ptr::without_provenance_mut(PAGE.load(SeqCst));
            let flags = ANONYMOUS | MapFlags::FIXED;
            // SAFETY: the page is the one that the case is about.
            unsafe { syscall::mmap(at, page(), READ_WRITE, flags, None, 0).map(drop) }
        }
        fd => {
            // SAFETY: the case has it open.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            syscall::ftruncate(fd, 2 * page() as u64)
        }
    };
}

/// Makes an access that faults at an address, and checks that it succeeds after one signal.
fn fault(signal: Signal, at: *mut u8, code: i32, access: impl FnOnce()) -> Outcome {
    let stack = AltStack::new()?;
    let acting = |signal| {
        let flags = SaFlags::ONSTACK;
        Acting::new(signal, Disposition::Info(mend), flags, SigSet::empty())
    };
    let _both = (acting(Signal::SEGV)?, acting(Signal::BUS)?);
    COUNT.store(0, SeqCst);
    PAGE.store(at.addr() & !(page() - 1), SeqCst);
    access();
    same((COUNT.load(SeqCst), SIGNAL.load(SeqCst)), (1, signal.0 as i32))?;
    same(CODE.load(SeqCst), code)?;
    ensure(stack.holds(STACK.load(SeqCst)), "a handler on another stack")
}

/// Checks the address that the last signal reported.
fn told(wanted: *mut u8) -> Outcome {
    // s390x reports only the page of an address.
    let whole = if cfg!(target_arch = "s390x") { !(page() - 1) } else { !0 };
    same(ADDRESS.load(SeqCst) & whole, wanted.addr() & whole)
}

/// Returns a file of one page, mapped as two.
fn short() -> syscall::Result<(OwnedFd, Pages)> {
    let fd = numbered(1)?;
    let pages = Pages::map(2 * page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
    Ok((fd, pages))
}

fn beyond_the_end() -> Outcome {
    let (_fd, pages) = short()?;
    same((pages.get(0), pages.get(page() - 1)), (1, 0))?;
    let index = page() + 40;
    let mut got = 0xff;
    fault(Signal::BUS, pages.at(index), BUS_ADRERR, || got = pages.get(index))?;
    same(got, 0)
}

fn beyond_the_end_where() -> Outcome {
    let (_fd, pages) = short()?;
    let at = pages.at(page() + 48);
    fault(Signal::BUS, at, BUS_ADRERR, || pages.set(page() + 48, 1))?;
    told(at)
}

fn beyond_the_end_until_it_grows() -> Outcome {
    use baremap::fd::AsRawFd;
    let (fd, pages) = short()?;
    let index = 2 * page() - 8;
    FILE.store(fd.as_raw_fd(), SeqCst);
    let outcome = fault(Signal::BUS, pages.at(index), BUS_ADRERR, || pages.set(index, 7));
    FILE.store(-1, SeqCst);
    outcome?;
    let mut byte = [0];
    syscall::pread(fd.as_fd(), &mut byte, index as u64)?;
    same((byte[0], pages.get(index)), (7, 7))
}

/// The file is truncated after the mapping has been used.
fn after_it_shrinks() -> Outcome {
    let fd = numbered(2)?;
    let pages = Pages::map(2 * page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
    same(pages.get(page()), 2)?;
    syscall::ftruncate(fd.as_fd(), 1)?;
    same(pages.get(0), 1)?;
    let mut got = 0xff;
    fault(Signal::BUS, pages.at(page()), BUS_ADRERR, || got = pages.get(page()))?;
    same(got, 0)
}

fn no_access() -> Outcome {
    let pages = Pages::reserve(3)?;
    let index = page() + 24;
    fault(Signal::SEGV, pages.at(index), SEGV_ACCERR as i32, || pages.set(index, 3))?;
    same(pages.get(index), 3)?;
    told(pages.at(index))
}

fn read_only() -> Outcome {
    let pages = Pages::map(2 * page(), ProtFlags::READ, ANONYMOUS, None, 0)?;
    let index = page() + 16;
    same(pages.get(index), 0)?;
    fault(Signal::SEGV, pages.at(index), SEGV_ACCERR as i32, || pages.set(index, 3))?;
    same(pages.get(index), 3)?;
    told(pages.at(index))
}

fn not_mapped() -> Outcome {
    // The alternate stack is mapped after the gap is made. It is larger than the gap, so it cannot
    // fill it.
    let pages = Pages::zeros(3)?;
    // SAFETY: the page is this function's own.
    unsafe { syscall::munmap(pages.page(1), page())? };
    let index = page() + 8;
    let mut got = 0xff;
    fault(Signal::SEGV, pages.at(index), SEGV_MAPERR as i32, || got = pages.get(index))?;
    same(got, 0)?;
    told(pages.at(index))
}

/// A system call returns an error where an access would raise a signal.
fn calls_do_not_raise() -> Outcome {
    let (fd, pages) = short()?;
    // SAFETY: nothing else uses the mapping.
    unsafe {
        fails(syscall::write_raw(memory()?.as_fd(), pages.page(1), 1), Errno::EFAULT)?;
        fails(syscall::read_raw(fd.as_fd(), pages.page(1), 1), Errno::EFAULT)?;
    }
    let none = Pages::reserve(1)?;
    // SAFETY: as above.
    fails(unsafe { syscall::write_raw(fd.as_fd(), none.addr, 1) }, Errno::EFAULT)
}

pub const CASES: &[Case] = &[
    case!(
        "SIGBUS beyond the end of a file",
        beyond_the_end,
        qemu_user: "SIGSEGV where its pages are larger than the host's",
        if page() > 4096
    ),
    case!(
        "SIGBUS tells the address",
        beyond_the_end_where,
        qemu_user: "SIGBUS is passed on with the host's address",
        if page() > 4096 || cfg!(any(target_pointer_width = "32", target_endian = "big"))
    ),
    case!(
        "SIGBUS until the file grows",
        beyond_the_end_until_it_grows,
        qemu_user: "SIGSEGV where its pages are larger than the host's",
        if page() > 4096
    ),
    case!(
        "SIGBUS after the file shrinks",
        after_it_shrinks,
        qemu_user: "SIGSEGV where its pages are larger than the host's",
        if page() > 4096
    ),
    case!(
        "SIGSEGV where nothing is allowed",
        no_access,
        qemu_user: "it says that nothing is mapped",
        if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64"))
    ),
    case!(
        "SIGSEGV where writing is not allowed",
        read_only,
        qemu_user: "it says that nothing is mapped",
        if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64"))
    ),
    case!("SIGSEGV where nothing is mapped", not_mapped),
    case!("system calls give EFAULT instead", calls_do_not_raise),
];
