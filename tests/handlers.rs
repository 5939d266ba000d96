//! Other handlers of `SIGBUS`, before and after this crate's, handlers that call it, processes that
//! forbid it, and threads in which none can run.

mod common;
#[path = "common/kernel.rs"]
mod kernel;

use std::{
    ffi::{c_int, c_void},
    fs::File,
    mem,
    os::{fd::AsRawFd, unix::process::ExitStatusExt},
    path::Path,
    process::Output,
    ptr,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use baremap::{
    fd::BorrowedFd,
    map::{
        FileMap, GuardedMmap,
        guard::{self, Installation, Policy},
    },
    syscall::{self, Errno, SigHow, SigInfo, SigSet, page_size},
};
use linux_raw_sys::general::__NR_process_vm_writev;

use common::{
    Scratch,
    again::{again, again_in},
};

/// Runs the test again in a process of its own, which has a file of two pages.
fn in_a_process(test: &str, body: fn(&Path)) -> Option<Output> {
    if let Some(dir) = again_in() {
        body(&dir.join("file"));
        return None;
    }
    let scratch = Scratch::new("handlers");
    scratch.file("file", vec![1; 2 * page_size()]);
    Some(again(test, &[], &scratch))
}

fn succeeds(test: &str, body: fn(&Path)) {
    if let Some(output) = in_a_process(test, body) {
        assert!(output.status.success(), "{output:?}");
    }
}

fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

fn map(file: &File) -> Result<FileMap, Errno> {
    // SAFETY: the file stays open during the call.
    FileMap::new(unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) })
}

type Action = unsafe extern "C" fn(c_int, *mut SigInfo, *mut c_void);

/// Installs a handler by the C library, of which baremap knows nothing, and returns the address of
/// the handler before.
fn install(handler: Action) -> usize {
    // SAFETY: zeros are valid structures; the handlers of this file are async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = (handler as *const ()).addr();
        action.sa_flags = libc::SA_SIGINFO;
        let mut before: libc::sigaction = mem::zeroed();
        assert_eq!(libc::sigaction(libc::SIGBUS, &action, &mut before), 0);
        before.sa_sigaction
    }
}

/// Accesses a page that is missing in a map of another library.
fn fault(file: &File) {
    let size = page_size();
    let (prot, flags) = (libc::PROT_READ, libc::MAP_SHARED);
    // SAFETY: the mapping is new. The access ends the process, or goes to a handler.
    unsafe {
        let page = libc::mmap(ptr::null_mut(), size, prot, flags, file.as_raw_fd(), 1 << 20);
        page.cast::<u8>().read_volatile();
    }
}

fn say(text: &[u8]) {
    // SAFETY: the bytes are valid.
    unsafe { libc::write(1, text.as_ptr().cast(), text.len()) };
}

/// The handlers that `chaining` and `other` replaced.
static BEFORE: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

unsafe fn chain(before: &AtomicUsize, arguments: (c_int, *mut SigInfo, *mut c_void)) {
    let before = before.load(SeqCst);
    if before > 1 {
        let (signal, info, context) = arguments;
        // SAFETY: the address is that of a handler of this kind.
        let before: Action = unsafe { mem::transmute(ptr::with_exposed_provenance::<()>(before)) };
        // SAFETY: these are the arguments of a handler.
        unsafe { before(signal, info, context) };
    }
}

unsafe extern "C" fn chaining(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
    say(b"<chaining>");
    // SAFETY: these are the arguments of the handler.
    unsafe { chain(&BEFORE[0], (signal, info, context)) };
}

unsafe extern "C" fn other(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
    say(b"<other>");
    // SAFETY: these are the arguments of the handler.
    unsafe { chain(&BEFORE[1], (signal, info, context)) };
}

unsafe extern "C" fn first(_: c_int, _: *mut SigInfo, _: *mut c_void) {
    say(b"<first>");
    syscall::exit_group(42);
}

unsafe extern "C" fn silent(_: c_int, _: *mut SigInfo, _: *mut c_void) {
    syscall::exit_group(41);
}

fn called(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_inclusive('>').filter_map(|word| Some(&word[word.find('<')?..])).collect()
}

#[test]
fn it_is_known_who_has_the_signal_and_it_can_be_taken_back() {
    succeeds("it_is_known_who_has_the_signal_and_it_can_be_taken_back", |path| {
        assert!(!guard::is_installed());
        assert_eq!(guard::install(), Ok(Installation::First));
        assert!(guard::is_installed());
        let file = open(path);
        let map = map(&file).unwrap();
        file.set_len(0).unwrap();
        install(silent);
        assert!(!guard::is_installed());
        assert_eq!(guard::install(), Ok(Installation::Replaced));
        for _ in 0..100 {
            guard::reinstall().unwrap();
            install(silent);
        }
        guard::reinstall().unwrap();
        assert_eq!((guard::is_installed(), guard::install()), (true, Ok(Installation::First)));
        assert_eq!(map.read_at(&mut [0; 9], 0).unwrap_err().errno(), None);
    });
}

#[test]
fn each_handler_of_a_chain_is_called_once() {
    let output = in_a_process("each_handler_of_a_chain_is_called_once", |path| {
        install(first);
        guard::install().unwrap();
        BEFORE[0].store(install(chaining), SeqCst);
        guard::reinstall().unwrap();
        BEFORE[1].store(install(other), SeqCst);
        guard::reinstall().unwrap();
        fault(&open(path));
    });
    if let Some(output) = output {
        // Each of the others chains back to this crate's, and none is called twice.
        assert_eq!(called(&output), "<other><chaining><first>");
        assert_eq!(output.status.code(), Some(42), "{output:?}");
    }
}

/// A handler that installs itself again is newer than those that were installed meanwhile.
#[test]
fn a_handler_that_comes_back_is_called_first() {
    let output = in_a_process("a_handler_that_comes_back_is_called_first", |path| {
        install(first);
        guard::install().unwrap();
        for _ in 0..9 {
            BEFORE[0].store(install(chaining), SeqCst);
            guard::reinstall().unwrap();
            BEFORE[1].store(install(other), SeqCst);
            guard::reinstall().unwrap();
        }
        BEFORE[0].store(install(chaining), SeqCst);
        guard::reinstall().unwrap();
        fault(&open(path));
    });
    if let Some(output) = output {
        assert_eq!(called(&output), "<chaining><other><first>");
        assert_eq!(output.status.code(), Some(42), "{output:?}");
    }
}

/// A handler that installs itself again saves this crate's as the one before, and is the one that
/// this crate's chains to.
#[test]
fn handlers_that_replace_each_other_do_not_recurse() {
    let output = in_a_process("handlers_that_replace_each_other_do_not_recurse", |path| {
        guard::install().unwrap();
        for _ in 0..3 {
            BEFORE[0].store(install(chaining), SeqCst);
            guard::reinstall().unwrap();
            BEFORE[1].store(install(other), SeqCst);
            BEFORE[0].store(install(chaining), SeqCst);
        }
        fault(&open(path));
    });
    if let Some(output) = output {
        // The default action of the signal, as before any of them.
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{output:?}");
        assert!(called(&output).len() < 200, "{output:?}");
    }
}

unsafe extern "C" fn asks(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
    // SAFETY: these are the arguments of the handler.
    if !unsafe { guard::on_fault(signal, info, context) } {
        say(b"<not handled>");
        syscall::exit_group(43);
    }
}

/// Installs a handler that asks, and needs it for a copy, for a slice, and for neither.
fn ask(path: &Path) {
    install(asks);
    let file = open(path);
    let map = map(&file).unwrap();
    // SAFETY: the file changes only by a truncation to a whole page.
    let slice = unsafe { GuardedMmap::new(self::map(&file).unwrap()) }.unwrap();
    file.set_len(0).unwrap();
    assert!(map.read_at(&mut [0; 9], 0).is_err());
    assert_eq!((std::hint::black_box(slice[0]), slice.check().is_err()), (0, true));
    fault(&file);
}

#[test]
fn a_later_handler_can_ask() {
    let output = in_a_process("a_later_handler_can_ask", |path| {
        guard::install().unwrap();
        ask(path);
    });
    if let Some(output) = output {
        assert_eq!((called(&output).as_str(), output.status.code()), ("<not handled>", Some(43)));
    }
}

#[test]
fn an_application_can_have_the_only_handler() {
    let output = in_a_process("an_application_can_have_the_only_handler", |path| {
        guard::set_policy(Policy::Delegate).unwrap();
        assert_eq!(guard::install(), Ok(Installation::Delegated));
        assert_eq!(guard::reinstall(), Err(Errno::EBUSY));
        assert!(!guard::is_installed());
        ask(path);
    });
    if let Some(output) = output {
        assert_eq!((called(&output).as_str(), output.status.code()), ("<not handled>", Some(43)));
    }
}

#[test]
fn an_application_can_forbid_the_handler() {
    succeeds("an_application_can_forbid_the_handler", |path| {
        guard::set_policy(Policy::Forbid).unwrap();
        let file = open(path);
        assert_eq!(map(&file).unwrap_err(), Errno::EPERM);
        assert_eq!(guard::install(), Err(Errno::EPERM));
        assert_eq!(guard::reinstall(), Err(Errno::EPERM));
        let mut byte = 0;
        // SAFETY: both bytes are this function's.
        assert_eq!(unsafe { guard::copy(&1, &mut byte, 1) }, Err(1));
        // SAFETY: both bytes are this function's.
        assert_eq!(unsafe { guard::copy_without_signals(&1, &mut byte, 1) }, Ok(1));
        assert!((byte == 1) && !guard::is_installed());
        guard::set_policy(Policy::Install).unwrap();
        assert!(map(&file).is_ok() && guard::is_installed());
        assert_eq!(guard::set_policy(Policy::Forbid), Err(Errno::EBUSY));
        assert_eq!(guard::set_policy(Policy::Delegate), Err(Errno::EBUSY));
        assert_eq!(guard::set_policy(Policy::Install), Ok(()));
    });
}

fn block_all_signals() {
    // SAFETY: nothing in the process relies on the mask.
    unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&SigSet::full())) }.unwrap();
}

#[test]
fn a_thread_that_blocks_all_signals_reads_and_writes() {
    succeeds("a_thread_that_blocks_all_signals_reads_and_writes", |path| {
        block_all_signals();
        let (file, page) = (open(path), page_size());
        let map = map(&file).unwrap();
        let mut buffer = vec![0; 2 * page];
        assert_eq!(map.read_at_without_signals(&mut buffer, 5), Ok(2 * page - 5));
        assert_eq!(map.write_at_without_signals(&[2; 100], 2 * page as u64 - 50), Ok(50));
        assert_eq!(map.read_at_without_signals(&mut buffer, 2 * page as u64 - 51), Ok(51));
        assert_eq!(buffer[..52], [&[1][..], &[2; 50], &[1]].concat());

        file.set_len(page as u64).unwrap();
        let fault = map.read_at_without_signals(&mut buffer, 100).unwrap_err();
        assert_eq!((fault.offset(), fault.done(), fault.errno()), (page as u64, page - 100, None));
        let fault = map.write_at_without_signals(&buffer, 100).unwrap_err();
        assert_eq!((fault.offset(), fault.done(), fault.errno()), (page as u64, page - 100, None));
        assert_eq!(file.metadata().unwrap().len(), page as u64, "a write extended the file");

        // SAFETY: zero bytes of the mapping are borrowed.
        let start = unsafe { map.with_slice(|bytes| bytes.as_ptr()) }.unwrap();
        let copy = |from, buffer: &mut [u8]| {
            // SAFETY: the buffer is this function's, and nobody has a `&mut` to the map.
            unsafe { guard::copy_without_signals(from, buffer.as_mut_ptr(), buffer.len()) }
        };
        assert_eq!(copy(start.wrapping_add(100), &mut buffer), Ok(page - 100));
        assert_eq!(copy(start.wrapping_add(page), &mut buffer), Err(Errno::EFAULT));
        assert_eq!(copy(ptr::null(), &mut buffer), Err(Errno::EFAULT));
        assert_eq!(copy(ptr::null(), &mut []), Ok(0));
    });
}

/// The kernel stores to the pages of the file as the program would, by a fault that the file system
/// handles. Writing to them as pages of another process would change them behind its back.
#[test]
fn a_write_without_signals_does_not_pin_pages_of_the_file() {
    let scratch = Scratch::new("handlers-pinned");
    let file = open(&scratch.file("file", vec![1; 2 * page_size()]));
    let map = map(&file).unwrap();
    kernel::refusing(__NR_process_vm_writev, vec![], Errno::EPERM, || {
        assert_eq!(map.write_at_without_signals(&[2; 100], page_size() as u64 - 50), Ok(100));
    });
    let mut found = [0; 102];
    map.read_at(&mut found, page_size() as u64 - 51).unwrap();
    assert_eq!(found[..], [&[1][..], &[2; 100], &[1]].concat());
}

/// Why the calls above exist.
#[test]
fn a_thread_that_blocks_all_signals_is_killed_by_a_fault() {
    let output = in_a_process("a_thread_that_blocks_all_signals_is_killed_by_a_fault", |path| {
        let file = open(path);
        let map = map(&file).unwrap();
        file.set_len(0).unwrap();
        block_all_signals();
        let _ = map.read_at(&mut [0; 9], 0);
    });
    if let Some(output) = output {
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{output:?}");
    }
}
