//! Faults and signals that the library does not handle.

use super::*;

/// The process ends as without the handler, with the same signal and the same core dump. The file
/// `control` in the directory requests a run without the handler.
#[test]
fn a_fault_in_other_code_ends_the_process() {
    if let Some(dir) = again_in() {
        return touch_nothing(&dir);
    }
    let scratch = Scratch::new("segv");
    let again = || again("foreign::a_fault_in_other_code_ends_the_process", &[], &scratch).status;
    let with = again();
    scratch.file("control", "");
    assert_eq!((with, with.signal()), (again(), Some(11)));
}

fn touch_nothing(dir: &std::path::Path) {
    if !dir.join("control").exists() {
        guard::install().unwrap();
    }
    // SAFETY: none: this is what is to end the process.
    unsafe { std::ptr::without_provenance::<u8>(8).read_volatile() };
}

/// When the signal is sent, the standard library's handler resets the action. The library's handler
/// must stay installed.
#[test]
fn a_sent_signal_does_not_remove_the_handler() {
    if let Some(dir) = again_in() {
        return send_and_read(&dir);
    }
    let scratch = Scratch::new("sent");
    scratch.file("file", contents());
    let output = again("foreign::a_sent_signal_does_not_remove_the_handler", &[], &scratch);
    assert!(output.status.success(), "{output:?}");
}

fn send_and_read(dir: &std::path::Path) {
    let file = File::options().read(true).write(true).open(dir.join("file")).unwrap();
    let map = map(&file);
    for signal in [Signal::BUS, Signal::SEGV] {
        syscall::raise(signal).unwrap();
    }
    file.set_len(0).unwrap();
    assert!(map.read_at(&mut [0; 10], 0).is_err());
}

/// All threads need the handler for the first time at once.
#[test]
fn threads_can_install_the_handler_at_the_same_time() {
    if again_in().is_some() {
        let barrier = Barrier::new(16);
        return thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let (nowhere, mut byte) = (std::ptr::without_provenance(8), 0);
                    barrier.wait();
                    // SAFETY: the byte is ours.
                    assert_eq!(unsafe { guard::copy(nowhere, &mut byte, 1) }, Err(1));
                });
            }
        });
    }
    let scratch = Scratch::new("install");
    for _ in 0..50 {
        let output =
            again("foreign::threads_can_install_the_handler_at_the_same_time", &[], &scratch);
        assert!(output.status.success(), "{output:?}");
    }
}

/// The standard library has a handler for SIGSEGV, on a stack of its own.
#[test]
fn a_stack_overflow_is_reported_by_the_standard_library() {
    if let Some(dir) = again_in() {
        return overflow(&dir);
    }
    let scratch = Scratch::new("overflow");
    let output =
        again("foreign::a_stack_overflow_is_reported_by_the_standard_library", &[], &scratch);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("has overflowed its stack"), "{output:?}");
    assert_eq!(output.status.signal(), Some(6));
}

#[allow(unconditional_recursion, reason = "that is what it is for")]
fn overflow(_: &std::path::Path) {
    fn deeper(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 100]);
        deeper(depth + 1) + frame[depth as usize % 100]
    }
    guard::install().unwrap();
    std::hint::black_box(deeper(0));
}

/// A fault in another library's slice of a truncated file ends the process.
#[test]
fn a_fault_in_another_librarys_slice_ends_the_process() {
    if let Some(dir) = again_in() {
        return touch_what_is_cut_off(&dir);
    }
    let scratch = Scratch::new("bus");
    scratch.file("file", contents());
    let output =
        again("foreign::a_fault_in_another_librarys_slice_ends_the_process", &[], &scratch);
    assert_eq!(output.status.signal(), Some(7), "{output:?}");
}

fn touch_what_is_cut_off(dir: &std::path::Path) {
    let path = dir.join("file");
    let file = File::options().read(true).write(true).open(path).unwrap();
    let map = map(&file);
    // SAFETY: none, which is the point.
    let slice = unsafe { memmap2::Mmap::map(&file).unwrap() };
    file.set_len(0).unwrap();
    assert!(map.read_at(&mut [0; 10], 0).is_err());
    std::hint::black_box(slice[0]);
}
