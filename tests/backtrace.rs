//! A debugger's backtrace from a handler that the fault handler chains to.

mod common;

use std::{
    ffi::{c_int, c_void},
    mem,
    process::Command,
    ptr,
};

use baremap::map::guard;
use common::{Scratch, again::again_in};

#[inline(never)]
unsafe extern "C" fn chained_handler(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    std::hint::black_box(info);
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

#[inline(never)]
fn touch_what_is_missing(page: *const u8) -> u8 {
    // SAFETY: none, which is the point.
    unsafe { page.read_volatile() }
}

fn fault() {
    // SAFETY: zeros are a valid structure, and the handler only leaves.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = (chained_handler as *const ()).addr();
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()), 0);
    }
    guard::install().unwrap();
    std::hint::black_box(touch_what_is_missing(ptr::without_provenance(8)));
}

/// The backtrace leads from the handler through the signal frame to the function that faulted, and
/// to its callers.
#[test]
fn gdb_sees_what_faulted() {
    if again_in().is_some() {
        return fault();
    }
    let scratch = Scratch::new("gdb");
    let output = Command::new("gdb")
        .args(["-batch", "-nx", "-ex", "handle SIGSEGV nostop noprint pass"])
        .args(["-ex", "break backtrace::chained_handler", "-ex", "run", "-ex", "backtrace"])
        .arg("--args")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "gdb_sees_what_faulted", "--nocapture", "--test-threads=1"])
        .env("BAREMAP_AGAIN", scratch.path(""))
        .output()
        .expect("gdb does not run: apt-get install gdb");
    let text = String::from_utf8_lossy(&output.stdout);
    let frames: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    let mut rest = frames.iter();
    for wanted in [
        "chained_handler",
        "handler::handler",
        "<signal handler called>",
        "touch_what_is_missing",
        "backtrace::fault",
        "backtrace::gdb_sees_what_faulted",
    ] {
        let found = rest.any(|frame| frame.contains(wanted));
        assert!(found, "no {wanted} in its place: {frames:#?}\n{output:?}");
    }
}
