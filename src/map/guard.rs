//! Faults that are errors: a copy that tells where it had to stop, and memory in which
//! zeros take the place of what is missing.
//!
//! ```
//! use baremap::map::guard;
//!
//! guard::install()?;
//! let (nowhere, mut byte) = (core::ptr::without_provenance(1), 0);
//! // SAFETY: `byte` is ours, and at the other end there is nothing.
//! let left = unsafe { guard::copy(nowhere, &mut byte, 1) };
//! assert_eq!(left, Err(1));
//! # Ok::<(), baremap::map::Error>(())
//! ```
//!
//! # How
//!
//! A page that is not there (the file was made shorter, its disk is full or broken, huge
//! pages have run out) is a `SIGBUS` for the thread that touches it, an address without a
//! mapping a `SIGSEGV`. The handler of both looks at two things:
//!
//! * **where the thread was**: in the loop of the copy, it goes on at the end of that, which
//!   returns how much is left. Nothing is kept for this, by thread or by copy: so there
//!   may be any number of them, one inside another, and in signal handlers. The kernel's own
//!   copies from and to a program's memory are made so.
//! * **where the page is** (`SIGBUS` only): in memory for which
//!   [`FileMap::with_slice`](super::FileMap::with_slice) runs at the time, it lays zeros
//!   there and takes a note. The table of them has no locks.
//!
//! # Whose the signals are
//!
//! [`install`] puts the handler before whatever was there, once. What it does not know it
//! hands on: to the handler that was before, called as that asked to be, with its mask of
//! signals; or to the kernel, which then ends the process as it would have without us, by
//! the same signal, at the same instruction, core dump and all.
//!
//! Who installs another handler later has the signal, and may hand it on to this one in the
//! same way. Who blocks `SIGBUS` in a thread has no handler there: the kernel ends the
//! process. The handler runs on the thread's alternate stack where it has one, and
//! needs less than a kilobyte beside what the kernel writes there.

use core::{
    ffi::{c_int, c_void},
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering::*, fence},
};

use linux_raw_sys::general::{BUS_MCEERR_AO, BUS_MCEERR_AR};

use super::Error;
use crate::arch;
use crate::syscall::{
    self, BUS_ADRERR, Disposition, Errno, MapFlags, ProtFlags, SaFlags, SigInfo, Sigaction, Signal,
};

/// Installs the handler, the first time.
///
/// [`FileMap`](super::FileMap) and [`copy`] do it themselves. To call it is of use before a
/// process gives up the right to `rt_sigaction`.
///
/// # Errors
///
/// `EPERM` and the like: a seccomp filter does not allow it.
pub fn install() -> super::Result<()> {
    ready().map_err(Error::from)
}

/// Copies `len` bytes, forwards, or so many as there are: `Err` tells how many are left.
///
/// As fast as `memcpy` from some hundred bytes on. No bytes: nothing, whatever the addresses.
///
/// # Errors
///
/// How many bytes could not be copied: all before them were, and none of them. The first
/// of them cannot be read, or its place cannot be written to. All of them, if the handler
/// cannot be [installed](install).
///
/// # Safety
///
/// The two ranges do not overlap. What is mapped in them is memory of which the program
/// has no reference that forbids this: none at all where it is written to, none that is
/// `&mut` where it is read. What the bytes mean is not known: others may change them at
/// the same time.
#[inline]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) -> Result<(), usize> {
    if ready().is_err() {
        return Err(len);
    }
    // SAFETY: the caller's promise; and the handler is installed.
    match unsafe { arch::guarded_copy(to, from, len) } {
        0 => Ok(()),
        left => Err(left),
    }
}

/// What each of the two signals did before.
struct Previous {
    signal: Signal,
    /// A function, null for the default, or another number for what is none.
    handler: AtomicPtr<()>,
    flags: AtomicU32,
}

static PREVIOUS: [Previous; 2] = [Previous::of(Signal::BUS), Previous::of(Signal::SEGV)];
static READY: AtomicU32 = AtomicU32::new(0);

#[inline]
pub(crate) fn ready() -> syscall::Result<()> {
    if READY.load(Acquire) != 0 { Ok(()) } else { take_over() }
}

/// Threads may do this at the same time: they find and leave the same.
#[cold]
fn take_over() -> syscall::Result<()> {
    for previous in &PREVIOUS {
        // SAFETY: only asks.
        let before = unsafe { syscall::rt_sigaction(previous.signal, None)? };
        if is_ours(before.disposition) {
            continue; // another thread is as far as that
        }
        previous.keep(&before);
        // What a handler before asked for holds while it is called from ours.
        let keep = SaFlags::NODEFER | SaFlags::RESTART;
        let action = Sigaction {
            disposition: Disposition::Info(on_fault),
            flags: (before.flags & keep) | SaFlags::ONSTACK,
            mask: before.mask,
        };
        // SAFETY: the handler only makes system calls, and reads and writes atomics.
        let replaced = unsafe { syscall::rt_sigaction(previous.signal, Some(&action))? };
        if !is_ours(replaced.disposition) {
            previous.keep(&replaced); // somebody came between
        }
    }
    READY.store(1, Release);
    Ok(())
}

fn is_ours(disposition: Disposition) -> bool {
    matches!(disposition, Disposition::Info(handler) if ptr::fn_addr_eq(handler, on_fault as syscall::InfoHandler))
}

impl Previous {
    const fn of(signal: Signal) -> Previous {
        Previous { signal, handler: AtomicPtr::new(ptr::null_mut()), flags: AtomicU32::new(0) }
    }

    fn keep(&self, action: &Sigaction) {
        self.flags.store(action.flags.bits(), Relaxed);
        self.handler.store(action.disposition.address().cast_mut(), Release);
    }

    /// What the signal does now if it is not for us: once, if it was to be once.
    fn take(&self) -> Disposition {
        let handler = self.handler.load(Acquire);
        let flags = SaFlags::from_bits_retain(self.flags.load(Relaxed));
        // SAFETY: both are of an action that the kernel had.
        let disposition = unsafe { Disposition::from_address(handler, flags) };
        if flags.contains(SaFlags::RESETHAND) {
            self.handler.store(ptr::null_mut(), Release);
        }
        disposition
    }
}

/// What comes of a signal of the two.
unsafe extern "C" fn on_fault(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
    // SAFETY: the kernel passes the handler what it asked for.
    let (code, addr) = unsafe { ((*info).code(), (*info).addr()) };
    // Somebody sent it, or a page broke that this thread did not touch.
    let is_fault = code > 0 && !(signal == BUS && code == BUS_MCEERR_AO as c_int);
    if is_fault {
        // SAFETY: the handler's third argument; the place is written to only if
        // the thread was in the copy, and with the place that the copy has for it.
        unsafe {
            let pc = arch::program_counter(context);
            if let Some(landing) = arch::landing(*pc) {
                *pc = landing;
                return;
            }
        }
        let is_missing = code == BUS_ADRERR || code == BUS_MCEERR_AR as c_int;
        if signal == BUS && is_missing && lay_zeros(addr) {
            return;
        }
    }
    // SAFETY: all of this is what the handler was called with.
    unsafe { hand_on(signal, info, context, is_fault) };
}

const BUS: c_int = Signal::BUS.0 as c_int;

/// Does with a signal what would have been done without us.
///
/// # Safety
///
/// For the handler to call, with what it was called with.
unsafe fn hand_on(signal: c_int, info: *mut SigInfo, context: *mut c_void, is_fault: bool) {
    let previous = &PREVIOUS[usize::from(signal != BUS)];
    match previous.take() {
        // SAFETY: installed for this signal, to be called so.
        Disposition::Handler(handler) => unsafe { handler(signal) },
        // SAFETY: as above.
        Disposition::Info(handler) => unsafe { handler(signal, info, context) },
        // A fault cannot be ignored: the kernel ends a process that tries.
        Disposition::Ignore if !is_fault => {}
        Disposition::Ignore | Disposition::Default => {
            let action = Sigaction {
                disposition: Disposition::Default,
                flags: SaFlags::empty(),
                mask: syscall::SigSet::empty(),
            };
            // SAFETY: without a handler none can be wrong.
            let _ = unsafe { syscall::rt_sigaction(previous.signal, Some(&action)) };
            // A fault comes again by itself, when this returns. What was sent does not.
            if !is_fault {
                // SAFETY: the kernel's, for as long as the handler runs.
                let _ = syscall::rt_tgsigqueueinfo(previous.signal, unsafe { &*info });
            }
        }
    }
}

/// Memory over which zeros are laid: an entry of the table that the handler reads.
struct Entry {
    /// Odd while it is in use or changed: whoever makes it so has the entry. What is read
    /// of it is one whole if this was the same before and after.
    turn: AtomicUsize,
    start: AtomicUsize,
    /// Zero while the rest of it means nothing.
    end: AtomicUsize,
    /// What the mapping consists of, in bytes: a page, or a huge one.
    unit: AtomicUsize,
    prot: AtomicU32,
    /// How often a page was found missing that had been replaced.
    again: AtomicU32,
    /// Where to take a note of the first byte that is not the file's.
    lost: AtomicPtr<AtomicUsize>,
}

/// Tables are never given back, so that the handler can always follow the list.
struct Table {
    entries: [Entry; Table::LEN],
    next: AtomicPtr<Table>,
}

static TABLE: Table = Table {
    entries: [const {
        Entry {
            turn: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            unit: AtomicUsize::new(0),
            prot: AtomicU32::new(0),
            again: AtomicU32::new(0),
            lost: AtomicPtr::new(ptr::null_mut()),
        }
    }; Table::LEN],
    next: AtomicPtr::new(ptr::null_mut()),
};

impl Table {
    const LEN: usize = 16;

    /// The next table, if there is one.
    fn next(&self) -> Option<&'static Table> {
        // SAFETY: null, or a table that was made for ever.
        unsafe { self.next.load(Acquire).as_ref() }
    }

    /// The next table, made if there is none.
    fn grow(&self) -> syscall::Result<&'static Table> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
        // SAFETY: replaces nothing.
        let new =
            unsafe { syscall::mmap(ptr::null_mut(), size_of::<Table>(), prot, flags, None, 0)? };
        // All zeros, which is a table of free entries.
        let linked = self.next.compare_exchange(ptr::null_mut(), new.cast(), AcqRel, Acquire);
        if linked.is_err() {
            // SAFETY: another thread was first, and nobody has seen this one.
            unsafe { syscall::munmap(new, size_of::<Table>())? };
        }
        self.next().ok_or(Errno::ENOMEM) // it was linked just now
    }
}

/// Memory that is in the handler's table until this is dropped.
pub(super) struct Watch(&'static Entry);

impl Watch {
    /// Watches `len` bytes from `start` on, both of them multiples of `unit`.
    ///
    /// `ENOMEM`: no memory for a longer table.
    ///
    /// # Safety
    ///
    /// Until this is dropped the memory is one mapping of the caller's, which may be
    /// replaced by zeros from anywhere to its end, and `lost` stays where it is.
    pub unsafe fn new(
        start: *mut u8,
        len: usize,
        unit: usize,
        prot: ProtFlags,
        lost: &AtomicUsize,
    ) -> syscall::Result<Watch> {
        ready()?;
        let mut table = &TABLE;
        loop {
            for entry in &table.entries {
                let turn = entry.turn.load(Relaxed);
                if turn % 2 == 0
                    && entry.turn.compare_exchange(turn, turn + 1, Acquire, Relaxed).is_ok()
                {
                    entry.start.store(start.addr(), Relaxed);
                    entry.unit.store(unit, Relaxed);
                    entry.prot.store(prot.bits(), Relaxed);
                    entry.again.store(0, Relaxed);
                    entry.lost.store(ptr::from_ref(lost).cast_mut(), Relaxed);
                    entry.end.store(start.addr() + len, Release);
                    return Ok(Watch(entry));
                }
            }
            table = match table.next() {
                Some(next) => next,
                None => table.grow()?,
            };
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.end.store(0, Relaxed);
        self.0.turn.fetch_add(1, Release);
    }
}

/// Lays zeros over watched memory, from the page of `addr` to its end: what is beyond a
/// page that is missing is of no use to whoever asked for all, and a few large mappings
/// cannot be too many. Returns whether there is any.
fn lay_zeros(addr: *mut u8) -> bool {
    let mut next = Some(&TABLE);
    while let Some(table) = next {
        for entry in &table.entries {
            let turn = entry.turn.load(Acquire);
            let end = entry.end.load(Acquire);
            let start = entry.start.load(Relaxed);
            let unit = entry.unit.load(Relaxed);
            let prot = ProtFlags::from_bits_retain(entry.prot.load(Relaxed));
            let lost = entry.lost.load(Relaxed);
            fence(Acquire);
            // An entry that changes meanwhile is another memory's: that of this thread's
            // access does not change before the access is done.
            let is_whole = turn % 2 == 1 && entry.turn.load(Relaxed) == turn;
            if !is_whole || !(start..end).contains(&addr.addr()) {
                continue;
            }
            let first = (addr.addr() - start) & !(unit - 1);
            // Before the zeros can be read: who reads them finds this note afterwards.
            // SAFETY: it stays as long as the entry, and the memory is in use by this thread.
            let before = unsafe { (*lost).fetch_min(first, SeqCst) };
            // Several threads may have met the same page. But no machine has so many of them:
            // the address is wrong, as qemu-user's may be, and this would not end.
            if before <= first && entry.again.fetch_add(1, Relaxed) > 1 << 16 {
                return false;
            }
            let flags =
                MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED | MapFlags::NORESERVE;
            let page = addr.with_addr(start + first);
            // SAFETY: whoever watches the memory allowed it.
            let laid = unsafe { syscall::mmap(page, end - start - first, prot, flags, None, 0) };
            return laid.is_ok();
        }
        next = table.next();
    }
    false
}
