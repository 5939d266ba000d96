//! The copy of a sparse file as a library call: the handlers of `SIGBUS` and `SIGSEGV` stay as they
//! are. This file has one test, because any map of this crate may install a handler.

mod common;

use std::{ffi::CString, fs, os::unix::ffi::OsStrExt, os::unix::fs::FileExt};

use baremap::{
    copy::{self, Options},
    syscall::{self, Signal},
};
use common::Scratch;

#[test]
fn no_fault_handler_is_installed_for_a_sparse_file() {
    let dir = Scratch::new("copy-handlers");
    let (source, dest) = (dir.path("source"), dir.path("dest"));
    let file = fs::File::create(&source).unwrap();
    file.set_len(8 << 20).unwrap();
    file.write_all_at(&[7; 100_000], 1 << 20).unwrap();
    file.write_all_at(&[0; 100_000], 3 << 20).unwrap();
    let handlers = || {
        [Signal::BUS, Signal::SEGV].map(|signal| {
            // SAFETY: nothing is set.
            let action = unsafe { syscall::rt_sigaction(signal, None) };
            format!("{:?}", action.unwrap().disposition)
        })
    };
    let before = handlers();
    let [from, to] =
        [&source, &dest].map(|path| CString::new(path.as_os_str().as_bytes()).unwrap());
    copy::copy(&Options::default(), &from, &to, &mut |_, _| {}).map_err(|e| e.to_string()).unwrap();
    assert_eq!(handlers(), before);
    assert!(fs::read(&source).unwrap() == fs::read(&dest).unwrap());
}
