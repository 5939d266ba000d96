//! Faults that are errors. The first cases find the process without the library's handler,
//! each in a child of its own, and see what it does with faults that are not its own.

use super::processes::{child, ended};
use super::signals::Acting;
use super::*;
use baremap::map::{FileMap, guard};
use baremap::syscall::{
    BUS_ADRERR, Disposition, InfoHandler, SaFlags, SigInfo, SigSet, Signal, WaitStatus, exit_group,
};
use core::{
    ffi::{c_int, c_void},
    mem,
    sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering::SeqCst},
};

// ---- What was there before -------------------------------------------------------------

/// Where the handlers of these cases find the page that is missing.
static MISSING: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Mends the fault if all is as the kernel would have told.
unsafe extern "C" fn mend(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
    // SAFETY: the structure is the kernel's, as long as the handler runs.
    let code = unsafe { (*info).code() };
    let raised = page() > 4096 && EMULATED.load(SeqCst); // as SIGSEGV: see the group "faults"
    if (signal != Signal::BUS.0 as c_int || code != BUS_ADRERR) && !raised || context.is_null() {
        exit_group(3);
    }
    CALLS.fetch_add(1, SeqCst);
    let (at, flags) = (MISSING.load(SeqCst), ANONYMOUS | MapFlags::FIXED);
    // SAFETY: the page is the one that the case is about.
    if unsafe { syscall::mmap(at, page(), READ_WRITE, flags, None, 0) }.is_err() {
        exit_group(5);
    }
}

/// Tells by the exit code whether those signals are blocked that the action names (`USR2`)
/// and that the thread had blocked (`XFSZ`), and no other; and adds 2 if the handler's own
/// signal is blocked.
unsafe extern "C" fn tell_the_mask(signal: c_int) {
    // SAFETY: only asks; nothing relies on the mask.
    let mask = unsafe { syscall::rt_sigprocmask(syscall::SigHow::BLOCK, None) };
    let blocked = |signal| mask.as_ref().is_ok_and(|mask| mask.contains(signal));
    let right = [Signal::USR2, Signal::XFSZ].into_iter().all(blocked)
        && ![Signal::USR1, Signal::ALRM, Signal::CHLD].into_iter().any(blocked);
    exit_group(50 + i32::from(!right) + 2 * i32::from(blocked(Signal(signal as u32))));
}

unsafe extern "C" fn leave(signal: c_int) {
    exit_group(if signal == Signal::BUS.0 as c_int { 40 } else { 41 });
}

/// Runs a function in a child, in which both signals did this before the library's handler
/// was installed.
fn after(
    disposition: Disposition,
    flags: SaFlags,
    run: impl FnOnce(&Pages) -> syscall::Result<i32>,
) -> Result<WaitStatus, Trouble> {
    let mask = SigSet::empty().with(Signal::USR2);
    let pid = child(|| {
        let prepared = || {
            mem::forget(Acting::new(Signal::BUS, disposition, flags, mask)?);
            mem::forget(Acting::new(Signal::SEGV, disposition, flags, mask)?);
            guard::install()?;
            let pages = Pages::map(
                2 * page(),
                READ_WRITE,
                MapFlags::SHARED,
                Some(numbered(1)?.as_fd()),
                0,
            )?;
            MISSING.store(pages.page(1), SeqCst);
            run(&pages)
        };
        prepared().unwrap_or(99)
    })?;
    ended(pid)
}

/// The two signals of a page that is missing: qemu-user has one more.
fn ended_by_a_fault(status: WaitStatus) -> Outcome {
    match status {
        WaitStatus::Killed(Signal::BUS, _) => Ok(()),
        WaitStatus::Killed(Signal::SEGV, _) if EMULATED.load(SeqCst) && page() > 4096 => Ok(()),
        other => Err(wrong(format_args!("got {other:?}, wanted SIGBUS"))),
    }
}

fn handler_with_information_before() -> Outcome {
    let status = after(Disposition::Info(mend), SaFlags::empty(), |pages| {
        // The copy is the library's, what comes after is the handler's.
        let mut byte = 0xff;
        // SAFETY: the byte is this function's, and to the mapping there are no references.
        let left = unsafe { guard::copy(pages.page(1), &mut byte, 1) };
        if (left, CALLS.load(SeqCst)) != (Err(1), 0) {
            return Ok(1);
        }
        let mended = pages.get(page()) == 0;
        Ok(if mended && CALLS.load(SeqCst) == 1 { 0 } else { 2 })
    })?;
    same(status, WaitStatus::Exited(0))
}

fn handler_before() -> Outcome {
    let run = |pages: &Pages| Ok(pages.get(page()).into());
    match after(Disposition::Handler(leave), SaFlags::empty(), run)? {
        WaitStatus::Exited(41) if EMULATED.load(SeqCst) && page() > 4096 => Ok(()),
        status => same(status, WaitStatus::Exited(40)),
    }
}

fn mask_of_a_handler_before() -> Outcome {
    for (flags, code) in [(SaFlags::empty(), 52), (SaFlags::NODEFER, 50)] {
        let status = after(Disposition::Handler(tell_the_mask), flags, |pages| {
            let set = SigSet::empty().with(Signal::XFSZ);
            // SAFETY: nothing relies on the mask.
            unsafe { syscall::rt_sigprocmask(syscall::SigHow::BLOCK, Some(&set))? };
            Ok(pages.get(page()).into())
        })?;
        same(status, WaitStatus::Exited(code))?;
    }
    Ok(())
}

fn handler_for_once_before() -> Outcome {
    let status = after(Disposition::Info(mend), SaFlags::RESETHAND, |pages| {
        if pages.get(page()) != 0 {
            return Ok(1);
        }
        if shorten(pages, 1).is_err() {
            return Ok(2);
        }
        Ok(pages.get(page()).into())
    })?;
    ended_by_a_fault(status)
}

fn nothing_before() -> Outcome {
    let run = |pages: &Pages| Ok(pages.get(page()).into());
    ended_by_a_fault(after(Disposition::Default, SaFlags::empty(), run)?)?;
    let sent = |_: &Pages| {
        syscall::kill(syscall::getpid(), Some(Signal::SEGV))?;
        Ok(0)
    };
    match after(Disposition::Default, SaFlags::empty(), sent)? {
        WaitStatus::Killed(Signal::SEGV, _) => Ok(()),
        other => Err(wrong(format_args!("got {other:?}, wanted SIGSEGV"))),
    }
}

fn ignored_before() -> Outcome {
    // What is sent can be ignored, a fault cannot.
    let run = |pages: &Pages| {
        for _ in 0..3 {
            syscall::raise(Signal::BUS)?;
            syscall::raise(Signal::SEGV)?;
        }
        Ok(pages.get(page()).into())
    };
    ended_by_a_fault(after(Disposition::Ignore, SaFlags::empty(), run)?)
}

static BEFORE: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Hands on to the handler that was before.
unsafe extern "C" fn hand_on(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
    CALLS.fetch_add(1, SeqCst);
    // SAFETY: such a handler is what the case stored.
    let before = unsafe { mem::transmute::<*mut (), InfoHandler>(BEFORE.load(SeqCst)) };
    // SAFETY: all that this one was called with.
    unsafe { before(signal, info, context) };
}

/// Another handler comes later, and knows what to do with what is not its own.
fn handler_after() -> Outcome {
    let status = after(Disposition::Info(mend), SaFlags::empty(), |pages| {
        // SAFETY: only asks.
        let before = unsafe { syscall::rt_sigaction(Signal::BUS, None)? };
        let Disposition::Info(handler) = before.disposition else { return Ok(1) };
        BEFORE.store(handler as *mut (), SeqCst);
        for signal in [Signal::BUS, Signal::SEGV] {
            let (hand_on, mask) = (Disposition::Info(hand_on), before.mask);
            mem::forget(Acting::new(signal, hand_on, before.flags, mask)?);
        }
        let mut byte = 0xff;
        // SAFETY: the byte is this function's, and to the mapping there are no references.
        let left = unsafe { guard::copy(pages.page(1), &mut byte, 1) };
        if (left, CALLS.load(SeqCst)) != (Err(1), 1) {
            return Ok(2);
        }
        // What is not the library's goes through all three.
        Ok(if pages.get(page()) == 0 && CALLS.load(SeqCst) == 3 { 0 } else { 3 })
    })?;
    same(status, WaitStatus::Exited(0))
}

// ---- The copy --------------------------------------------------------------------------

/// Another byte at each place, and never the one that fills what is not copied to.
fn pattern(index: usize) -> u8 {
    (index % 251) as u8
}

const UNTOUCHED: u8 = 0xfe;

/// Pages with the pattern.
fn patterned(pages: usize) -> syscall::Result<Pages> {
    let pages = Pages::zeros(pages)?;
    (0..pages.length).for_each(|index| pages.set(index, pattern(index)));
    Ok(pages)
}

/// Copies, and looks at every byte around. `there` is how many can be copied.
fn copies(
    from: &Pages,
    from_index: usize,
    to: &Pages,
    to_index: usize,
    len: usize,
    there: usize,
) -> Outcome {
    let around = 40;
    let (start, end) = (to_index.saturating_sub(around), to_index + there + around);
    let end = if there < len { to_index + there } else { end };
    for index in start..end {
        to.set(index, UNTOUCHED);
    }
    // SAFETY: two mappings to which there are no references.
    let left = unsafe {
        guard::copy(from.addr.wrapping_add(from_index), to.addr.wrapping_add(to_index), len)
    };
    let result = if there == len { Ok(()) } else { Err(len - there) };
    if left != result {
        return Err(wrong(format_args!(
            "got {left:?}, wanted {result:?}: {from_index} to {to_index}, {len}"
        )));
    }
    for index in start..end {
        let inside = (to_index..to_index + there).contains(&index);
        let wanted = if inside { pattern(from_index + index - to_index) } else { UNTOUCHED };
        if to.get(index) != wanted {
            return Err(wrong(format_args!("byte {index}: {from_index} to {to_index}, {len}")));
        }
    }
    Ok(())
}

fn whole() -> Outcome {
    let (from, to) = (patterned(3)?, Pages::zeros(4)?);
    let short = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 127, 130];
    for from_index in 0..9 {
        for to_index in 40..49 {
            for len in short {
                copies(&from, from_index, &to, to_index, len, len)?;
            }
        }
    }
    for (from_index, to_index) in
        [(0, 40), (3, 43), (0, 64), (1, 72), (5, 4096 + 7), (16, 4096 + 60)]
    {
        for len in [255, 256, 257, 511, 600, 1023, 2047, 2048, 2049, 4096, 5000, 2 * page() + 3] {
            copies(&from, from_index, &to, to_index, len, len)?;
        }
    }
    Ok(())
}

/// Makes a page that cannot be touched, in one way or another.
type Break = fn(&Pages, usize) -> Outcome;

fn forbid(pages: &Pages, number: usize) -> Outcome {
    // SAFETY: the page is the case's own.
    unsafe { syscall::mprotect(pages.page(number), page(), ProtFlags::empty())? };
    Ok(())
}

fn make_read_only(pages: &Pages, number: usize) -> Outcome {
    // SAFETY: the page is the case's own.
    unsafe { syscall::mprotect(pages.page(number), page(), ProtFlags::READ)? };
    Ok(())
}

/// The page becomes one beyond the end of a file.
fn shorten(pages: &Pages, number: usize) -> Outcome {
    let file = numbered(1)?;
    let (at, flags) = (pages.page(number), MapFlags::SHARED | MapFlags::FIXED);
    // SAFETY: the page is the case's own.
    unsafe { syscall::mmap(at, page(), READ_WRITE, flags, Some(file.as_fd()), 0)? };
    syscall::ftruncate(file.as_fd(), 0)?;
    Ok(())
}

fn unmap(pages: &Pages, number: usize) -> Outcome {
    // SAFETY: the page is the case's own; nothing is mapped before the case has ended.
    unsafe { syscall::munmap(pages.page(number), page())? };
    Ok(())
}

/// Every distance from the last byte that is there, and every alignment to each other.
fn stops_at_the_source(broken: Break) -> Outcome {
    let (from, to) = (patterned(3)?, Pages::zeros(2)?);
    broken(&from, 1)?;
    for there in (0..70).chain([255, 256, 300, 2500]) {
        for to_index in [40, 41, 44, 47] {
            for beyond in [1, 2, 9, 64, 300, page()] {
                copies(&from, page() - there, &to, to_index, there + beyond, there)?;
            }
        }
    }
    Ok(())
}

fn stops_at_the_destination(broken: Break) -> Outcome {
    let (from, to) = (patterned(2)?, Pages::zeros(3)?);
    broken(&to, 1)?;
    for there in (0..70).chain([255, 256, 300, 2500]) {
        for from_index in [0, 1, 4, 7] {
            for beyond in [1, 2, 9, 64, 300, page()] {
                copies(&from, from_index, &to, page() - there, there + beyond, there)?;
            }
        }
    }
    Ok(())
}

fn source_beyond_the_end() -> Outcome {
    stops_at_the_source(shorten)
}

fn source_forbidden() -> Outcome {
    stops_at_the_source(forbid)
}

fn source_not_mapped() -> Outcome {
    stops_at_the_source(unmap)
}

fn destination_beyond_the_end() -> Outcome {
    stops_at_the_destination(shorten)
}

fn destination_read_only() -> Outcome {
    stops_at_the_destination(make_read_only)
}

/// Addresses that no mapping can have, and no memory at all.
fn anywhere() -> Outcome {
    let mut byte = 7;
    for from in [0, 1, 8, usize::MAX, usize::MAX / 2 + 1, isize::MAX as usize] {
        let nowhere: *mut u8 = ptr::without_provenance_mut(from);
        // SAFETY: the byte is this function's, and nothing is mapped elsewhere.
        unsafe {
            same(guard::copy(nowhere, &mut byte, 1), Err(1))?;
            same(guard::copy(&byte, nowhere, 1), Err(1))?;
            same(guard::copy(nowhere, nowhere.wrapping_add(64), 0), Ok(()))?;
        }
    }
    same(byte, 7)
}

static LEFT: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn copy_that_faults(_: c_int) {
    let mut bytes = [0; 64];
    let from = MISSING.load(SeqCst).wrapping_sub(10);
    // SAFETY: the bytes are this function's; the mapping is the case's.
    let left = unsafe { guard::copy(from, bytes.as_mut_ptr(), 64) };
    LEFT.store(left.err().unwrap_or(0), SeqCst);
}

fn in_a_handler() -> Outcome {
    let from = patterned(2)?;
    shorten(&from, 1)?;
    MISSING.store(from.page(1), SeqCst);
    let handler = Disposition::Handler(copy_that_faults);
    let _acting = Acting::new(Signal::USR1, handler, SaFlags::empty(), SigSet::empty())?;
    syscall::raise(Signal::USR1)?;
    same(LEFT.load(SeqCst), 54)
}

/// A handler and what it knows are a child's as well.
fn in_a_child() -> Outcome {
    let from = patterned(2)?;
    shorten(&from, 1)?;
    let mut bytes = [0; 64];
    // SAFETY: the bytes are this function's; the mapping is the case's.
    let copy = |bytes: &mut [u8; 64]| unsafe {
        guard::copy(from.page(1).wrapping_sub(20), bytes.as_mut_ptr(), 64)
    };
    same(copy(&mut bytes), Err(44))?;
    let pid = child(|| i32::from(copy(&mut bytes) == Err(44)))?;
    same(ended(pid)?, WaitStatus::Exited(1))
}

// ---- The file --------------------------------------------------------------------------

impl From<baremap::map::Fault> for Trouble {
    #[track_caller]
    fn from(fault: baremap::map::Fault) -> Trouble {
        wrong(format_args!("got {fault:?}, wanted success"))
    }
}

/// A file of so many pages with the pattern, and its map.
fn mapped(pages: usize) -> Result<(OwnedFd, FileMap), Trouble> {
    use baremap::fd::{AsRawFd, FromRawFd};
    let fd = memory()?;
    let mut bytes = [0; 1024];
    for start in (0..pages * page()).step_by(bytes.len()) {
        bytes.iter_mut().enumerate().for_each(|(index, byte)| *byte = pattern(start + index));
        same(syscall::pwrite(fd.as_fd(), &bytes, start as u64)?, bytes.len())?;
    }
    // SAFETY: takes no pointer; and the new descriptor is nobody else's.
    let copy = unsafe {
        let copy = syscall::fcntl(
            fd.as_fd(),
            linux_raw_sys::general::F_DUPFD_CLOEXEC,
            fd.as_raw_fd() as usize,
        )?;
        OwnedFd::from_raw_fd(copy as i32)
    };
    Ok((fd, FileMap::new(copy)?))
}

fn fault(result: Result<usize, baremap::map::Fault>) -> Option<(u64, usize, Option<Errno>)> {
    result.err().map(|fault| (fault.offset(), fault.done(), fault.errno()))
}

fn reads_until_the_file_ends() -> Outcome {
    let (fd, mut map) = mapped(3)?;
    let mut bytes = [0; 100];
    same(map.len(), 3 * page())?;
    same(map.read_at(&mut bytes, 5)?, 100)?;
    ensure(bytes.iter().enumerate().all(|(index, &byte)| byte == pattern(index + 5)), "others")?;
    let last = 3 * page() as u64 - 7;
    same((map.read_at(&mut bytes, last)?, map.read_at(&mut bytes, last + 7)?), (7, 0))?;
    same((map.read_at(&mut bytes, last + 8)?, map.read_at(&mut bytes, u64::MAX)?), (0, 0))?;

    syscall::ftruncate(fd.as_fd(), page() as u64)?;
    same(fault(map.read_at(&mut bytes, page() as u64 - 9)), Some((page() as u64, 9, None)))?;
    same(fault(map.read_at(&mut bytes, last)), Some((last, 0, None)))?;
    same(map.find(252, 0).err().map(|fault| fault.done()), Some(0))?;
    same(map.refresh()?, page())?;
    same(map.read_at(&mut bytes, page() as u64 - 9)?, 9)
}

fn reads_what_became_empty() -> Outcome {
    let (fd, mut map) = mapped(1)?;
    let mut bytes = [0; 100];
    syscall::ftruncate(fd.as_fd(), 0)?;
    same(fault(map.read_at(&mut bytes, 0)), Some((0, 0, None)))?;
    same((map.refresh()?, map.read_at(&mut bytes, 0)?), (0, 0))?;
    syscall::ftruncate(fd.as_fd(), 2)?;
    same((map.refresh()?, map.read_at(&mut bytes, 0)?), (2, 2))
}

fn writes_until_the_file_ends() -> Outcome {
    let (fd, mut map) = mapped(2)?;
    same(map.write_at(b"hello", 3)?, 5)?;
    same(map.fill(b'x', 9000 % page() as u64, 10)?, 10)?;
    same(map.write_at(b"hello", 2 * page() as u64 - 2)?, 2)?;
    let mut bytes = [0; 5];
    syscall::pread(fd.as_fd(), &mut bytes, 3)?;
    same(&bytes, b"hello")?;

    syscall::ftruncate(fd.as_fd(), page() as u64)?;
    same(fault(map.write_at(b"hello", page() as u64 - 2)), Some((page() as u64, 2, None)))?;
    let all = map.fill(b'y', 0, 2 * page());
    same(fault(all), Some((page() as u64, page(), None)))?;
    syscall::pread(fd.as_fd(), &mut bytes, page() as u64 - 5)?;
    same(&bytes, b"yyyyy")?;

    map.set_len(3 * page() as u64)?;
    same((map.len(), syscall::fstat(fd.as_fd())?.size), (3 * page(), 3 * page() as u64))?;
    same(map.write_at(b"hello", 3 * page() as u64 - 5)?, 5)
}

fn copies_between_maps() -> Outcome {
    let ((from_fd, from), (to_fd, to)) = (mapped(2)?, mapped(2)?);
    let size = page() as u64;
    same(from.copy_to(10, &to, 3, page())?, page())?;
    let mut bytes = [0; 2];
    to.read_at(&mut bytes, 3)?;
    same(bytes, [pattern(10), pattern(11)])?;
    same(from.copy_to(size, &to, size + 5, 2 * page())?, page() - 5)?;
    syscall::ftruncate(to_fd.as_fd(), size)?;
    same(fault(from.copy_to(0, &to, size - 8, 100)), Some((8, 8, None)))?;
    syscall::ftruncate(from_fd.as_fd(), size)?;
    same(fault(from.copy_to(size - 4, &to, 0, 100)), Some((size, 4, None)))
}

/// In a child, which a fault that is not answered ends.
fn slices() -> Outcome {
    static LINE: AtomicI32 = AtomicI32::new(0);
    let run = || -> Outcome {
        let (fd, mut map) = mapped(3)?;
        let sum = |bytes: &[u8]| bytes.iter().map(|&byte| usize::from(byte)).sum::<usize>();
        // SAFETY: nobody else has the file.
        let whole = unsafe { map.with_slice(sum)? };
        same(whole, (0..3 * page()).map(|index| usize::from(pattern(index))).sum())?;
        // SAFETY: as above; and that it becomes shorter, by whole pages, is allowed.
        let cut = unsafe {
            map.with_slice(|bytes| {
                let _ = syscall::ftruncate(fd.as_fd(), page() as u64);
                LINE.store(sum(bytes) as i32, SeqCst);
                bytes.len()
            })
        };
        same(fault(cut), Some((page() as u64, page(), None)))?;
        let rest: usize = (0..page()).map(|index| usize::from(pattern(index))).sum();
        same(LINE.load(SeqCst), rest as i32)?; // and zeros
        // What is beyond is lost, for copies as well, though there are zeros to be read.
        let mut byte = [9];
        same(map.read_at(&mut byte, 0)?, 1)?;
        same(fault(map.read_at(&mut byte, page() as u64)), Some((page() as u64, 0, None)))?;
        // SAFETY: as above.
        same(unsafe { map.with_slice(|_| 0) }.is_err(), true)?;
        same(map.refresh()?, page())?;
        // SAFETY: as above.
        same(unsafe { map.with_slice(sum)? }, rest)?;
        // SAFETY: as above.
        unsafe { map.with_slice_mut(|bytes| bytes[7] = 77)? };
        syscall::pread(fd.as_fd(), &mut byte, 7)?;
        same(byte, [77])
    };
    in_child(run)
}

/// Runs it in a child.
pub fn in_child(run: impl FnOnce() -> Outcome) -> Outcome {
    let pid = child(|| match run() {
        Ok(()) => 0,
        Err(Trouble::Wrong(text)) => {
            println!("# {}", text.as_str());
            1
        }
        Err(Trouble::Missing(_)) => 2,
    })?;
    same(ended(pid)?, WaitStatus::Exited(0))
}

pub const CASES: &[Case] = &[
    case!(
        "a handler with information before is called",
        handler_with_information_before,
        qemu_user: "handlers are called on a stack that is not aligned",
        if cfg!(target_arch = "x86")
    ),
    case!("a handler before is called", handler_before),
    case!(
        "the mask of a handler before holds",
        mask_of_a_handler_before,
        qemu_user: "it looks for the mask behind a restorer",
        if cfg!(target_arch = "riscv32")
    ),
    case!(
        "a handler before that is for once is called once",
        handler_for_once_before,
        qemu_user: "a fault that is sent once more it takes for its own, and exits"
    ),
    case!(
        "a handler after may hand on",
        handler_after,
        qemu_user: "handlers are called on a stack that is not aligned",
        if cfg!(target_arch = "x86")
    ),
    case!(
        "without one before the signal ends the process",
        nothing_before,
        qemu_user: "a fault that is sent once more it takes for its own, and exits"
    ),
    case!(
        "an ignored signal ends it only if it is a fault",
        ignored_before,
        qemu_user: "a fault that is sent once more it takes for its own, and exits"
    ),
    case!("a copy is whole", whole),
    case!("a copy from beyond the end of a file stops there", source_beyond_the_end),
    case!("a copy from where nothing is allowed stops there", source_forbidden),
    case!("a copy from where nothing is mapped stops there", source_not_mapped),
    case!("a copy to beyond the end of a file stops there", destination_beyond_the_end),
    case!("a copy to where writing is not allowed stops there", destination_read_only),
    case!("a copy from and to nowhere", anywhere),
    case!("a copy in a signal handler stops", in_a_handler),
    case!("a copy in a child stops", in_a_child),
    case!("FileMap reads until its file ends", reads_until_the_file_ends),
    case!(
        "FileMap reads what became empty",
        reads_what_became_empty,
        qemu_user: "it maps no empty file where its pages are larger than the host's",
        if page() > 4096
    ),
    case!("FileMap writes until its file ends", writes_until_the_file_ends),
    case!("FileMap copies to another until a file ends", copies_between_maps),
    case!(
        "FileMap lends a slice whose file may end",
        slices,
        qemu_user: "SIGBUS is passed on with the host's address",
        if page() > 4096 || cfg!(any(target_pointer_width = "32", target_endian = "big"))
    ),
];
