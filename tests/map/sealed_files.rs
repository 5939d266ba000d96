//! Files that nobody can change, by seals or by fs-verity, and that are mapped without `unsafe`.

use super::*;

#[test]
fn only_sealed_files_are_safe() {
    let file = memfd(MemfdFlags::ALLOW_SEALING, "Hello, world!");
    let refused = |file: &File| Mmap::map_if_safe(fd(file)).unwrap_err();
    assert!(refused(&file).not_safe());
    for seals in [SealFlags::SHRINK, SealFlags::FUTURE_WRITE] {
        let _case = case!(seals);
        seal(&file, seals);
        assert!(refused(&file).not_safe());
    }
    seal(&file, SealFlags::WRITE);
    assert_eq!(&Mmap::map_if_safe(fd(&file)).unwrap()[..], b"Hello, world!");

    let mut options = MmapOptions::new();
    options.offset(7);
    let map = options.map_if_safe(fd(&file)).unwrap();
    assert_eq!(&map[..], b"world!");
    // A writable map is a copy: the file does not change.
    let mut map = map.make_mut().unwrap();
    map[0] = b'W';
    assert_eq!(&Mmap::map_if_safe(fd(&file)).unwrap()[..], b"Hello, world!");
    // The range does not include bytes that could be appended to the file.
    for (offset, len) in [(7, 7), (7, 100), (13, 1), (u64::MAX, 2)] {
        let _case = case!(offset, len);
        let error = MmapOptions::new().offset(offset).len(len).map_if_safe(fd(&file)).unwrap_err();
        assert!(error.not_safe(), "{offset}, {len}");
        assert_eq!(Errno::from(error), Errno::EINVAL);
        #[cfg(feature = "std")]
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::InvalidInput);
    }

    assert!(refused(&zeros(128)).not_safe());
    let closed = MmapOptions::new().map_if_safe(i32::MAX).unwrap_err();
    assert!(closed.map_failed() && !closed.not_safe() && !closed.not_supported());
    assert_eq!(errno(closed), Errno::EBADF);
}

/// Answers system calls about files in place of the kernel, by a handler of the signal that a
/// filter raises.
#[cfg(target_arch = "x86_64")]
mod answers {
    use super::*;
    use core::ffi::c_void;
    use linux_raw_sys::general::{__NR_fcntl, __NR_ioctl, F_GET_SEALS, FS_VERITY_FL, SIGSYS};
    use linux_raw_sys::ioctl::FS_IOC_GETFLAGS;
    use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};
    use syscall::{Disposition, SaFlags, Seals, SigInfo, SigSet, Sigaction, Signal};

    /// The file that a peer truncates, and seals, before its seals are reported.
    pub static SHRINKS: AtomicI32 = AtomicI32::new(-1);
    /// How often a file was asked whether fs-verity protects it. The answer is always yes.
    pub static ASKED: AtomicU32 = AtomicU32::new(0);

    unsafe extern "C" fn answer(_: i32, _: *mut SigInfo, context: *mut c_void) {
        // `struct ucontext` has five words, and then the registers in the order of `struct
        // sigcontext`.
        let register = |number: usize| context.cast::<u64>().wrapping_add(5 + number);
        let (argument, number) = unsafe { (*register(12), register(13)) };
        let answer = match unsafe { *number } as u32 {
            call if call == __NR_fcntl => {
                let file = unsafe { baremap::fd::BorrowedFd::borrow_raw(SHRINKS.load(SeqCst)) };
                let seals = Seals::SHRINK | Seals::WRITE;
                let done = syscall::ftruncate(file, 0)
                    .and_then(|()| syscall::fcntl_add_seals(file, seals));
                if done.is_ok() { seals.bits() } else { 0 }
            }
            _ => {
                ASKED.fetch_add(1, SeqCst);
                unsafe { (argument as *mut u32).write(FS_VERITY_FL) };
                0
            }
        };
        unsafe { *number = answer.into() };
    }

    pub fn with(ask_seals: bool, function: impl FnOnce() + Send + 'static) {
        let action = Sigaction {
            disposition: Disposition::Info(answer),
            flags: SaFlags::empty(),
            mask: SigSet::empty(),
        };
        unsafe { syscall::rt_sigaction(Signal(SIGSYS), Some(&action)) }.unwrap();
        let call = match ask_seals {
            true => (__NR_fcntl, 1, F_GET_SEALS),
            false => (__NR_ioctl, 1, FS_IOC_GETFLAGS),
        };
        with_filter(&[call], seccompiler::SeccompAction::Trap, function);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_file_truncated_before_it_is_sealed_is_mapped_with_its_final_size() {
    use std::sync::atomic::Ordering::SeqCst;
    answers::with(true, || {
        let file = memfd(MemfdFlags::ALLOW_SEALING, "two bytes and some more");
        answers::SHRINKS.store(fd(&file), SeqCst);
        let map = MmapOptions::new().len(2).map_if_safe(fd(&file));
        assert_eq!(file.metadata().unwrap().len(), 0);
        assert!(map.unwrap_err().not_safe());
    });
}

/// A FUSE file system, or one on top of another, may report fs-verity for every file.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_file_system_that_only_claims_fs_verity_is_not_safe() {
    use std::sync::atomic::Ordering::SeqCst;
    answers::with(false, || {
        let memory = memfd(MemfdFlags::ALLOW_SEALING, "not sealed");
        let process = File::open("/proc/self/status").unwrap();
        let device = File::open("/dev/zero").unwrap();
        for file in [memory, process, device] {
            for len in [0, 1] {
                let map = MmapOptions::new().len(len).map_if_safe(fd(&file));
                assert!(map.unwrap_err().not_safe(), "{file:?}");
            }
        }
        assert_eq!(answers::ASKED.load(SeqCst), 0);
    });
}

/// Few file systems have fs-verity, and not with every kernel. Elsewhere no file is protected.
#[test]
fn files_protected_by_fs_verity_are_mapped_safely() {
    let path = format!("{}/verity-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    fs::write(&path, "Hello, verity!").unwrap();
    let file = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    // `struct fsverity_enable_arg`: version 1, SHA-256, and the block size.
    let mut argument = [0_u32; 32];
    argument[..3].copy_from_slice(&[1, 1, 4096]);
    let enabled = unsafe {
        let borrowed = baremap::fd::BorrowedFd::borrow_raw(fd(&file));
        let request = linux_raw_sys::ioctl::FS_IOC_ENABLE_VERITY;
        baremap::syscall::ioctl(borrowed, request, argument.as_ptr() as usize)
    };
    let map = Mmap::map_if_safe(fd(&file));
    match enabled {
        Ok(_) => assert_eq!(&map.unwrap()[..], b"Hello, verity!"),
        Err(error) => {
            println!("fs-verity: {error}");
            assert_eq!(error, Errno::EOPNOTSUPP);
            assert!(map.unwrap_err().not_safe());
        }
    }
}
