//! The signal mask while the fault handler runs, and while it calls the previous handler.

mod common;

use std::{
    ffi::{c_int, c_void},
    fs::File,
    mem,
    os::fd::IntoRawFd,
    path::Path,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use baremap::{
    fd::{FromRawFd, OwnedFd},
    map::{FileMap, guard},
    syscall::{self, SigHow, page_size},
};
use common::{
    Scratch,
    again::{again, again_in},
    case::{self, case},
};

/// Installs a handler by the C library, without baremap.
fn install(signal: c_int, handler: *const (), flags: c_int, mask: &[c_int]) {
    // SAFETY: zeros are a valid structure; the handlers of this file are async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler.addr();
        action.sa_flags = flags;
        action.sa_mask = set_of(mask);
        assert_eq!(libc::sigaction(signal, &action, ptr::null_mut()), 0);
    }
}

fn set_of(signals: &[c_int]) -> libc::sigset_t {
    // SAFETY: zeros are the empty set.
    let mut set = unsafe { mem::zeroed() };
    for &signal in signals {
        // SAFETY: the set is this function's.
        assert_eq!(unsafe { libc::sigaddset(&mut set, signal) }, 0);
    }
    set
}

// ---- Other signals while the fault handler runs -----------------------------------------

static MAP: OnceLock<FileMap> = OnceLock::new();
static RUNS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn read_the_map(_: c_int) {
    if MAP.get().is_some_and(|map| map.read_at(&mut [0; 8], 0).is_err()) {
        RUNS.fetch_add(1, SeqCst);
    }
}

/// A signal handler that interrupts the fault handler may fault as well.
#[test]
fn a_timer_handler_reads_a_truncated_map() {
    if let Some(dir) = again_in() {
        return read_while_a_timer_runs(&dir);
    }
    let scratch = Scratch::new("timer");
    scratch.file("file", [1; 100]);
    let output = again("a_timer_handler_reads_a_truncated_map", &[], &scratch);
    assert!(output.status.success(), "{output:?}");
}

fn read_while_a_timer_runs(dir: &Path) {
    let file = File::options().read(true).write(true).open(dir.join("file")).unwrap();
    // SAFETY: the descriptor is a clone that nothing else uses.
    let fd = unsafe { OwnedFd::from_raw_fd(file.try_clone().unwrap().into_raw_fd()) };
    let map = MAP.get_or_init(|| FileMap::new(fd).unwrap());
    file.set_len(0).unwrap();
    install(libc::SIGALRM, read_the_map as *const (), libc::SA_RESTART, &[]);
    let every = |microseconds| {
        let time = libc::timeval { tv_sec: 0, tv_usec: microseconds };
        let timer = libc::itimerval { it_interval: time, it_value: time };
        // SAFETY: the structure is this function's.
        assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) }, 0);
    };
    every(20);
    while RUNS.load(SeqCst) < 20_000 {
        assert!(map.read_at(&mut [0; 8], 0).is_err());
    }
    every(0);
}

// ---- The mask of the handler that was installed before ----------------------------------

/// The first word of the mask in the handler.
static FOUND: AtomicUsize = AtomicUsize::new(0);

fn blocked() -> usize {
    // SAFETY: changes nothing.
    let mask = unsafe { syscall::rt_sigprocmask(SigHow::BLOCK, None) }.unwrap();
    // SAFETY: the set is an array of words, at least one.
    unsafe { ptr::from_ref(&mask).cast::<usize>().read() }
}

/// Records the mask, and maps memory in place of the missing page.
unsafe extern "C" fn note_the_mask(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    FOUND.store(blocked(), SeqCst);
    let (prot, size) = (libc::PROT_READ | libc::PROT_WRITE, page_size());
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: the page is the one that `masks_of_a_fault` mapped.
    unsafe {
        let page = (*info).si_addr().map_addr(|addr| addr & !(size - 1));
        libc::mmap(page, size, prot, flags, -1, 0);
    }
}

/// The combinations of the handler's flags and of the thread's mask.
const CASES: usize = 8;

/// Prints the mask in the handler, and the mask after it, for both signals.
fn masks_of_a_fault(case: usize, guarded: bool) {
    let mask: &[c_int] = if case & 1 != 0 { &[libc::SIGUSR1, libc::SIGALRM] } else { &[] };
    let nodefer = if case & 2 != 0 { libc::SA_NODEFER } else { 0 };
    let thread: &[c_int] = if case & 4 != 0 { &[libc::SIGUSR2, libc::SIGCHLD] } else { &[] };
    for signal in [libc::SIGBUS, libc::SIGSEGV] {
        install(signal, note_the_mask as *const (), libc::SA_SIGINFO | nodefer, mask);
    }
    if guarded {
        guard::install().unwrap();
    }
    let set = set_of(thread);
    // SAFETY: nothing in this process relies on the mask.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &set, ptr::null_mut()) };
    let empty = std::env::current_exe().and_then(File::open).unwrap();
    let beyond = empty.metadata().unwrap().len().next_multiple_of(page_size() as u64);
    let fd = empty.into_raw_fd();
    for (prot, offset) in [(libc::PROT_READ, beyond), (libc::PROT_NONE, 0)] {
        let _case = case!(prot, offset);
        let (size, flags) = (page_size(), libc::MAP_PRIVATE);
        // SAFETY: replaces nothing; the handler answers the fault.
        unsafe {
            let page = libc::mmap(ptr::null_mut(), size, prot, flags, fd, offset as i64);
            assert_ne!(page, libc::MAP_FAILED);
            page.cast::<u8>().read_volatile();
        }
        println!("\nmask {:#x}, then {:#x}", FOUND.swap(0, SeqCst), blocked());
    }
}

/// The previous handler runs with the mask that the kernel would have given it.
#[test]
fn the_previous_handler_runs_with_its_own_mask() {
    if let Some(dir) = again_in() {
        let case = std::fs::read_to_string(dir.join("case")).unwrap();
        let (case, guarded) = case.split_once(' ').unwrap();
        return masks_of_a_fault(case.parse().unwrap(), guarded == "true");
    }
    let scratch = Scratch::new("masks");
    let bit = |signal: c_int| 1 << (signal - 1);
    for case in 0..CASES {
        let masks = |guarded: bool| {
            scratch.file("case", format!("{case} {guarded}"));
            let output = again("the_previous_handler_runs_with_its_own_mask", &[], &scratch);
            assert!(output.status.success(), "case {case}, guarded {guarded}: {output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines().filter(|line| line.starts_with("mask ")).collect::<Vec<_>>().join("\n")
        };
        let asked = if case & 1 != 0 { bit(libc::SIGUSR1) | bit(libc::SIGALRM) } else { 0 };
        let thread = if case & 4 != 0 { bit(libc::SIGUSR2) | bit(libc::SIGCHLD) } else { 0 };
        let wanted = [libc::SIGBUS, libc::SIGSEGV].map(|signal| {
            let own = if case & 2 != 0 { 0 } else { bit(signal) };
            format!("mask {:#x}, then {thread:#x}", asked | thread | own)
        });
        assert_eq!(masks(false), wanted.join("\n"), "case {case}, the kernel alone");
        assert_eq!(masks(true), wanted.join("\n"), "case {case}");
    }
}
