//! Maps as a program has them: what memmap2's own tests ask of it, and what it gets wrong.
//!
//! With each of the feature sets. The tests are threads of one process: none looks at what
//! belongs to all of it, but at its own addresses.

#![allow(clippy::undocumented_unsafe_blocks, reason = "the files are each test's own")]

#[path = "common/kernel.rs"]
mod kernel;

use std::{
    fs::{self, File},
    io::Read,
    os::fd::{AsRawFd, FromRawFd, RawFd},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    thread,
};

use baremap::{
    Advice, Mmap, MmapMut, MmapOptions, MmapRaw, RemapOptions, UncheckedAdvice,
    map::{FileMap, FlushOptions, advise_process},
    syscall::{self, Errno, IoVec, WaitFlags, WaitStatus, page_size},
};
use kernel::{errno, flagged, mapping};
use rustix::fs::{MemfdFlags, SealFlags};

// ---------------------------------------------------------------- helpers

/// A file of its own for one test, which nobody else can open.
fn file(contents: impl AsRef<[u8]>) -> File {
    let dir = env!("CARGO_TARGET_TMPDIR");
    let mut options = File::options();
    options.read(true).write(true).custom_flags(linux_raw_sys::general::O_TMPFILE as i32);
    let file = options.open(dir).unwrap();
    file.write_all_at(contents.as_ref(), 0).unwrap();
    file
}

/// A file of zeros.
fn zeros(len: u64) -> File {
    let file = file("");
    file.set_len(len).unwrap();
    file
}

/// The same file, open for reading alone.
fn read_only(file: &File) -> File {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

/// A file in memory, which can be sealed, or has huge pages.
fn memfd(flags: MemfdFlags, contents: impl AsRef<[u8]>) -> File {
    let fd = rustix::fs::memfd_create("map", flags).unwrap();
    // rustix has descriptors of its own here.
    let file = unsafe { File::from_raw_fd(rustix::fd::IntoRawFd::into_raw_fd(fd)) };
    file.write_all_at(contents.as_ref(), 0).unwrap();
    file
}

fn seal(file: &File, seals: SealFlags) {
    let fd = unsafe { rustix::fd::BorrowedFd::borrow_raw(file.as_raw_fd()) };
    rustix::fs::fcntl_add_seals(fd, seals).unwrap();
}

/// What every kind of maps takes, whichever descriptors the features have.
fn fd(file: &File) -> RawFd {
    file.as_raw_fd()
}

/// Bytes of which no two in a row are the same.
fn counted(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 7 + index / 251) as u8).collect()
}

/// Whether what is mapped there is of this file.
fn shows(at: *const u8, file: &File) -> bool {
    let inode = format!(" {} ", file.metadata().unwrap().ino());
    mapping(at).is_some_and(|lines| lines.lines().next().unwrap().contains(&inode))
}

fn is_locked(at: *const u8) -> bool {
    flagged(at, "lo")
}

/// Runs a check in a copy of this process, which has one thread, and allocates nothing; zero
/// is success.
#[track_caller]
fn in_child(body: impl FnOnce() -> i32) {
    // SAFETY: the copy takes no lock.
    let end = match unsafe { syscall::fork() }.unwrap() {
        None => syscall::exit_group(body()),
        Some(pid) => syscall::waitid(Some(pid), WaitFlags::EXITED).unwrap().unwrap().1,
    };
    assert_eq!(end, WaitStatus::Exited(0), "the check with this number failed");
}

// ---------------------------------------------------------------- what memmap2's tests ask

#[test]
fn a_file_is_read_and_written() {
    let file = zeros(128);
    let mut map = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
    assert_eq!(map.len(), 128);
    assert!(map.iter().all(|&byte| byte == 0));
    map.copy_from_slice(&counted(128));
    assert_eq!(map[..], counted(128));
    // The map needs the descriptor no longer; and the file has what was written.
    let same = read_only(&file);
    drop(file);
    map[5] = 77;
    let mut read = [0; 128];
    same.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, map[..]);
}

#[test]
fn what_has_a_descriptor_can_be_mapped() {
    use baremap::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
    let path = c"Cargo.toml";
    let flags = baremap::syscall::OFlags::RDONLY;
    let owned: OwnedFd =
        baremap::syscall::open(path, flags, baremap::syscall::Mode::empty()).unwrap();
    let borrowed: BorrowedFd<'_> = owned.as_fd();
    let number = owned.as_raw_fd();
    let as_object: &dyn AsRawFd = &owned;
    let maps = unsafe {
        [Mmap::map(&owned), Mmap::map(borrowed), Mmap::map(number), Mmap::map(as_object)]
    };
    let contents = fs::read("Cargo.toml").unwrap();
    for map in maps {
        assert_eq!(map.unwrap()[..], contents);
    }
    #[cfg(feature = "std")]
    {
        let file = File::open("Cargo.toml").unwrap();
        assert_eq!(unsafe { Mmap::map(&file) }.unwrap()[..], contents);
    }
}

#[test]
fn memory_is_zero_and_is_kept() {
    let mut map = MmapMut::map_anon(128).unwrap();
    assert_eq!(map[..], [0; 128]);
    map.as_mut().copy_from_slice(&counted(128));
    map[127] = 42;
    assert_eq!((&map.as_ref()[..127], map[127]), (&counted(127)[..], 42));
    assert_eq!(format!("{map:?}"), format!("MmapMut {{ ptr: {:?}, len: 128 }}", map.as_ptr()));
    let stack = MmapOptions::new().stack().no_reserve_swap().populate().len(1).map_anon();
    assert_eq!(stack.unwrap()[..], [0]);
}

#[test]
fn written_bytes_are_flushed() {
    let mut file = zeros(128);
    let mut map = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
    map[..6].copy_from_slice(b"abc123");
    map.flush().unwrap();
    map.flush_async().unwrap();
    let mut read = [0; 6];
    file.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"abc123");

    // A range in a map that does not begin with a page, nor the range.
    let mut map = unsafe { MmapOptions::new().offset(2).len(6).map_mut(fd(&file)) }.unwrap();
    map.copy_from_slice(b"xyz789");
    map.flush_range(1, 5).unwrap();
    map.flush_async_range(0, 6).unwrap();
    let raw = MmapRaw::from(map);
    raw.flush().unwrap();
    raw.flush_async().unwrap();
    raw.flush_range(6, 0).unwrap();
    raw.flush_async_range(3, 3).unwrap();
    let mut read = [0; 8];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"abxyz789");
}

#[test]
fn a_copy_is_not_the_files() {
    let file = zeros(128);
    // Open for reading is enough.
    let mut copy = unsafe { MmapOptions::new().map_copy(fd(&read_only(&file))) }.unwrap();
    copy[..6].copy_from_slice(b"abc123");
    copy.flush().unwrap();
    assert_eq!(&copy[..7], b"abc123\0");
    let mut read = [1; 6];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, [0; 6]);
    let other = unsafe { Mmap::map(fd(&file)) }.unwrap();
    assert_eq!(other[..], [0; 128]);

    let copy = unsafe { MmapOptions::new().map_copy_read_only(fd(&read_only(&file))) }.unwrap();
    assert_eq!(copy[..], [0; 128]);
    let mut copy = copy.make_mut().unwrap();
    copy.fill(1);
    assert_eq!(other[..], [0; 128]);
}

#[test]
fn options_of_other_systems_and_of_pages_change_no_contents() {
    let file = file(counted(10_000));
    let mut options = MmapOptions::new();
    options.no_probe_handle().populate().no_reserve_swap().stack().huge(None);
    for len in [10_000, 1] {
        let map = unsafe { options.clone().len(len).map(fd(&file)) }.unwrap();
        assert_eq!(map[..], counted(10_000)[..len]);
    }
}

#[test]
fn an_offset_is_any_byte_and_beyond_4_gib() {
    let offset = u64::from(u32::MAX) + 2;
    let file = zeros(offset + 5432);
    let mut options = MmapOptions::new();
    options.offset(offset);
    assert_eq!(unsafe { options.map_mut(fd(&file)) }.unwrap().len(), 5432);
    let mut map = unsafe { options.len(5432).map_mut(fd(&file)) }.unwrap();
    assert_eq!(map[..], [0; 5432]);
    map.copy_from_slice(&counted(5432));
    let mut read = vec![0; 5432];
    file.read_exact_at(&mut read, offset).unwrap();
    assert_eq!(read, counted(5432));
}

#[test]
fn maps_go_from_thread_to_thread() {
    let mut map = MmapMut::map_anon(129).unwrap();
    map[128] = 1;
    let map = thread::spawn(move || map.make_read_only().unwrap()).join().unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(map[128], 1));
        }
    });
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[test]
fn code_is_run() {
    let file = zeros(4096);
    let maps = [MmapMut::map_anon(4096), unsafe { MmapMut::map_mut(fd(&file)) }];
    for (map, exec) in maps.into_iter().zip([false, true]) {
        let mut map = map.unwrap();
        // mov eax, 0xab; ret
        map[..6].copy_from_slice(&[0xb8, 0xab, 0, 0, 0, 0xc3]);
        let map = map.make_exec().unwrap();
        let run = |map: &Mmap| {
            let code: extern "C" fn() -> u32 = unsafe { std::mem::transmute(map.as_ptr()) };
            code()
        };
        assert_eq!(run(&map), 0xab);
        if exec {
            let map = unsafe { MmapOptions::new().map_exec(fd(&file)) }.unwrap();
            assert_eq!(run(&map), 0xab);
            let mut map = map.make_mut().unwrap();
            map[1] = 0xac;
            assert_eq!(run(&map.make_exec().unwrap()), 0xac);
        }
    }
}

#[test]
fn what_may_be_done_changes_and_the_contents_stay() {
    let file = zeros(256);
    let map = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
    let mut map = map.make_read_only().unwrap().make_mut().unwrap();
    map[..6].copy_from_slice(b"abc123");
    map.flush().unwrap();
    let mut read = [0; 6];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!((&read, &map[..6]), (b"abc123", &b"abc123"[..]));
    assert_eq!(&unsafe { Mmap::map(fd(&file)) }.unwrap()[..6], b"abc123");
    assert_eq!(&map.make_exec().unwrap()[..6], b"abc123");

    let map = MmapMut::map_anon(256).unwrap().make_read_only().unwrap();
    let at = map.as_ptr();
    let permissions = |at| mapping(at).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(permissions(at), "r--p");
    let map = map.make_mut().unwrap();
    assert_eq!(permissions(at), "rw-p");
    let map = map.make_exec().unwrap();
    assert_eq!((map.as_ptr(), permissions(at).as_str()), (at, "r-xp"));
}

#[test]
fn raw_maps_are_pointers() {
    let file = file("abc123");
    let map = MmapOptions::new().map_raw(fd(&file)).unwrap();
    assert_eq!((map.len(), unsafe { map.as_ptr().read() }), (6, b'a'));
    unsafe { map.as_mut_ptr().add(5).write(b'4') };
    let map = MmapOptions::new().map_raw_read_only(fd(&read_only(&file))).unwrap();
    assert_eq!((map.len(), unsafe { map.as_ptr().add(5).read() }), (6, b'4'));
    assert_eq!(errno(MmapRaw::map_raw(fd(&read_only(&file))).unwrap_err()), Errno::EACCES);
    let at = MmapRaw::map_raw(fd(&file)).unwrap();
    assert_eq!(format!("{at:?}"), format!("MmapRaw {{ ptr: {:?}, len: 6 }}", at.as_ptr()));
    let map = unsafe { Mmap::map(fd(&file)) }.unwrap();
    let at = map.as_ptr();
    assert_eq!(MmapRaw::from(map).as_ptr(), at);
}

#[cfg(feature = "stable_deref_trait")]
#[test]
fn the_bytes_stay_where_they_are_when_a_map_moves() {
    fn moved<T: stable_deref_trait::StableDeref<Target = [u8]>>(map: T) {
        let at = map.as_ptr();
        let boxed = Box::new(map);
        assert_eq!(boxed.as_ptr(), at);
    }
    moved(MmapMut::map_anon(128).unwrap());
    moved(MmapMut::map_anon(128).unwrap().make_read_only().unwrap());
    moved(MmapMut::map_anon(0).unwrap());
}

#[test]
fn advice_changes_no_contents() {
    let file = zeros(128);
    let mut map = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
    map.advise(Advice::Random).unwrap();
    map.advise_range(Advice::Sequential, 0, 128).unwrap();
    map.advise_range(Advice::WillNeed, 127, 1).unwrap();
    map.copy_from_slice(&counted(128));
    map.advise(Advice::PopulateWrite).unwrap();
    map.advise(Advice::DontDump).unwrap();
    let flags = mapping(map.as_ptr()).unwrap();
    assert!(flags.lines().last().unwrap().contains(" dd"), "{flags}");
    assert_eq!(map[..], counted(128));
    let map = unsafe { Mmap::map(fd(&file)) }.unwrap();
    map.advise(Advice::Random).unwrap();
    assert_eq!(map[..], counted(128));
    MmapRaw::from(map).advise_range(Advice::Normal, 64, 64).unwrap();
}

#[test]
fn advice_is_known_or_not() {
    for advice in [Advice::Normal, Advice::Random, Advice::Sequential, Advice::WillNeed] {
        assert!(advice.is_supported(), "{advice:?}");
    }
    assert!(UncheckedAdvice::DontNeed.is_supported());
    // What it says is what becomes of it.
    let map = MmapMut::map_anon(1).unwrap();
    let refused = map.advise(Advice::PopulateRead).map_err(errno);
    let expected = if Advice::PopulateRead.is_supported() { Ok(()) } else { Err(Errno::EINVAL) };
    assert_eq!(refused, expected);
}

#[test]
fn unchecked_advice_gives_pages_up() {
    let page = page_size();
    let map = || {
        let mut map = MmapMut::map_anon(3 * page).unwrap();
        map.fill(255);
        map.make_read_only().unwrap()
    };
    let all = map();
    unsafe { all.unchecked_advise(UncheckedAdvice::DontNeed) }.unwrap();
    assert!(all.iter().all(|&byte| byte == 0));
    // Whole pages, of which the range has bytes.
    let part = map();
    unsafe { part.unchecked_advise_range(UncheckedAdvice::DontNeed, page + 1, 1) }.unwrap();
    assert_eq!([0, page, 2 * page].map(|index| part[index]), [255, 0, 255]);
}

#[test]
fn pages_are_locked_and_unlocked() {
    let file = zeros(128);
    let map = unsafe { Mmap::map(fd(&file)) }.unwrap();
    let at = map.as_ptr();
    assert!(!is_locked(at));
    for _ in 0..2 {
        map.lock().unwrap();
        assert!(is_locked(at));
    }
    for _ in 0..2 {
        map.unlock().unwrap();
        assert!(!is_locked(at));
    }
}

#[test]
fn a_map_grows_and_shrinks() {
    // 77: the map does not begin with a page.
    for offset in [0, 77] {
        let len = 3 * page_size();
        let file = zeros(len as u64 + offset);
        let mut map =
            unsafe { MmapOptions::new().offset(offset).len(128).map_mut(fd(&file)) }.unwrap();
        map[127] = 1;
        unsafe { map.remap(len, RemapOptions::new().may_move(true)) }.unwrap();
        assert_eq!((map.len(), map[127]), (len, 1));
        assert!(map[128..].iter().all(|&byte| byte == 0));
        map.copy_from_slice(&counted(len));
        let mut read = vec![0; len];
        file.read_exact_at(&mut read, offset).unwrap();
        assert_eq!(read, counted(len));

        let at = map.as_ptr();
        unsafe { map.remap(400, RemapOptions::new()) }.unwrap();
        assert_eq!((map.len(), map.as_ptr()), (400, at));
        assert_eq!(map[..], counted(400));
        map.fill(0);
        // Nothing is left of what is beyond: its second page was mapped too.
        assert!(shows(at, &file));
        assert!(!shows(at.wrapping_add(2 * page_size()), &file));
    }
}

#[test]
fn a_map_moves_only_if_it_may() {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let page = page_size();
    // Something of this test's behind it, that stays: whatever others map may be gone again.
    let flags = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
    let mut others = Vec::new();
    let mut map = loop {
        let mut map = MmapMut::map_anon(4 * page).unwrap();
        unsafe { map.remap(3 * page, RemapOptions::new()) }.unwrap();
        let end = map.as_ptr().wrapping_add(3 * page) as *mut _;
        match unsafe { mmap_anonymous(end, page, ProtFlags::empty(), flags) } {
            Ok(_) => break map,
            Err(_) => others.push(map),
        }
    };
    map[..5].copy_from_slice(b"still");
    let at = map.as_ptr();
    let mut remap = |len, options| unsafe { map.remap(len, options) }.map_err(errno);
    assert_eq!(remap(4 * page, RemapOptions::new()), Err(Errno::ENOMEM));
    assert_eq!(remap(4 * page, RemapOptions::default()), Err(Errno::ENOMEM));
    assert_eq!(remap(4 * page, RemapOptions::new().may_move(false)), Err(Errno::ENOMEM));
    assert_eq!((map.as_ptr(), map.len(), &map[..5]), (at, 3 * page, &b"still"[..]));
    unsafe { map.remap(4 * page, RemapOptions::new().may_move(true)) }.unwrap();
    assert_ne!(map.as_ptr(), at);
    assert_eq!((map.len(), &map[..5], map[4 * page - 1]), (4 * page, &b"still"[..], 0));

    // With advice for a part of it there are several mappings, and only one can grow.
    map.advise_range(Advice::DontDump, page, page).unwrap();
    let refused = unsafe { map.remap(5 * page, RemapOptions::new().may_move(true)) };
    assert_eq!(refused.map_err(errno), Err(Errno::EFAULT));
    assert_eq!((map.len(), &map[..5]), (4 * page, &b"still"[..]));
}

#[test]
fn only_sealed_files_are_safe() {
    let file = memfd(MemfdFlags::ALLOW_SEALING, "Hello, world!");
    let refused = |file: &File| Mmap::map_if_safe(fd(file)).unwrap_err();
    assert!(refused(&file).not_safe());
    for seals in [SealFlags::SHRINK, SealFlags::FUTURE_WRITE] {
        seal(&file, seals);
        assert!(refused(&file).not_safe());
    }
    seal(&file, SealFlags::WRITE);
    assert_eq!(&Mmap::map_if_safe(fd(&file)).unwrap()[..], b"Hello, world!");

    let mut options = MmapOptions::new();
    options.offset(7);
    let map = options.map_if_safe(fd(&file)).unwrap();
    assert_eq!(&map[..], b"world!");
    // Made writable it is a copy: the file stays as it is.
    let mut map = map.make_mut().unwrap();
    map[0] = b'W';
    assert_eq!(&Mmap::map_if_safe(fd(&file)).unwrap()[..], b"Hello, world!");
    // Not the bytes that could be added to the file.
    for (offset, len) in [(7, 7), (7, 100), (13, 1), (u64::MAX, 2)] {
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

/// The answers of the kernel to what is asked of a file, in place of its own: they come from
/// here, when a filter makes a signal of the question.
#[cfg(target_arch = "x86_64")]
mod answers {
    use super::*;
    use core::ffi::c_void;
    use linux_raw_sys::general::{__NR_fcntl, __NR_ioctl, F_GET_SEALS, FS_VERITY_FL, SIGSYS};
    use linux_raw_sys::ioctl::FS_IOC_GETFLAGS;
    use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};
    use syscall::{Disposition, SaFlags, Seals, SigInfo, SigSet, Sigaction, Signal};

    /// The file that a peer makes shorter, and seals, before its seals are told.
    pub static SHRINKS: AtomicI32 = AtomicI32::new(-1);
    /// How often a file was asked whether fs-verity protects it: they all say so.
    pub static ASKED: AtomicU32 = AtomicU32::new(0);

    unsafe extern "C" fn answer(_: i32, _: *mut SigInfo, context: *mut c_void) {
        // `struct ucontext`: five words, and then the registers in the order of `struct
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
fn a_file_that_is_sealed_at_the_last_moment_has_the_size_that_it_has_then() {
    use std::sync::atomic::Ordering::SeqCst;
    answers::with(true, || {
        let file = memfd(MemfdFlags::ALLOW_SEALING, "two bytes and some more");
        answers::SHRINKS.store(fd(&file), SeqCst);
        let map = MmapOptions::new().len(2).map_if_safe(fd(&file));
        assert_eq!(file.metadata().unwrap().len(), 0);
        assert!(map.unwrap_err().not_safe());
    });
}

/// A file system that is a program, or has one below it, may say so of every file.
#[cfg(target_arch = "x86_64")]
#[test]
fn where_there_is_no_fs_verity_nobody_is_believed_to_have_it() {
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

/// Few file systems have fs-verity, and not on every kernel: elsewhere no file has it.
#[test]
fn files_that_fs_verity_protects_are_safe() {
    let path = format!("{}/verity-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    fs::write(&path, "Hello, verity!").unwrap();
    let file = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    // `struct fsverity_enable_arg`: version 1, SHA-256, blocks of this size, and no more.
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

// ---------------------------------------------------------------- what it gets wrong

/// Runs a block for each kind of maps, of 100 bytes from the middle of a page.
macro_rules! each_kind {
    (|$map:ident: $($kind:ident)*| $block:expr) => {$({
        let file = zeros(1000);
        let mut options = MmapOptions::new();
        options.offset(500).len(100);
        let $map = each_kind!(@$kind options fd(&file));
        $block
    })*};
    (@Mmap $options:ident $fd:expr) => { unsafe { $options.map($fd) }.unwrap() };
    (@MmapMut $options:ident $fd:expr) => { unsafe { $options.map_mut($fd) }.unwrap() };
    (@MmapRaw $options:ident $fd:expr) => { $options.map_raw($fd).unwrap() };
}

const INSIDE: [(usize, usize); 4] = [(0, 100), (99, 1), (100, 0), (0, 0)];
const OUTSIDE: [(usize, usize); 6] =
    [(0, 101), (1, 100), (99, 2), (100, 1), (101, 0), (usize::MAX, 2)];

#[test]
fn a_range_past_the_end_is_refused() {
    let check = |call: &dyn Fn(usize, usize) -> baremap::map::Result<()>| {
        for (offset, len) in INSIDE {
            call(offset, len).unwrap();
        }
        for (offset, len) in OUTSIDE {
            let error = call(offset, len).map_err(errno);
            assert_eq!(error, Err(Errno::EINVAL), "{offset}, {len}");
        }
    };
    each_kind!(|map: Mmap MmapMut MmapRaw| {
        check(&|offset, len| map.advise_range(Advice::Normal, offset, len));
        check(&|offset, len| unsafe {
            map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, len)
        });
    });
    each_kind!(|map: MmapMut MmapRaw| {
        check(&|offset, len| map.flush_range(offset, len));
        check(&|offset, len| map.flush_async_range(offset, len));
        check(&|offset, len| map.flush_with(FlushOptions::new().range(offset, len)));
    });
}

/// Eight free huge pages, while it lives: only root can make some, where there is room.
struct HugePages {
    /// What the pool had, and has now.
    raised: Option<(u64, u64)>,
    there_are_some: bool,
}

impl HugePages {
    const POOL: &str = "/proc/sys/vm/nr_hugepages";
    const NEEDED: u64 = 8;

    fn count() -> u64 {
        fs::read_to_string(HugePages::POOL).unwrap().trim().parse().unwrap()
    }

    /// Those that nobody uses, or has been promised.
    fn free() -> u64 {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
        let number = |name: &str| -> u64 {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        number("HugePages_Free:") - number("HugePages_Rsvd:")
    }

    fn new() -> HugePages {
        let (before, missing) =
            (HugePages::count(), HugePages::NEEDED.saturating_sub(HugePages::free()));
        let mut raised = None;
        if missing != 0 && fs::write(HugePages::POOL, (before + missing).to_string()).is_ok() {
            raised = Some((before, HugePages::count()));
        }
        HugePages { raised, there_are_some: HugePages::free() >= HugePages::NEEDED }
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        // Unless somebody else has changed it since.
        if let Some((before, now)) = self.raised
            && HugePages::count() == now
        {
            let _ = fs::write(HugePages::POOL, before.to_string());
        }
    }
}

/// The pool belongs to the system, so all that needs it is one test.
#[test]
fn a_map_of_huge_pages_takes_whole_ones_and_gives_them_back() {
    let pool = HugePages::new();
    let there_are_some = pool.there_are_some;
    println!("huge pages: {there_are_some}");
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let size = meminfo.lines().find_map(|line| line.strip_prefix("Hugepagesize:")).unwrap();
    let size = size.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024;
    let bits = Some(size.ilog2() as u8);

    for page_bits in [None, bits] {
        let map = MmapOptions::new().huge(page_bits).len(size + 1).map_anon().map_err(errno);
        if !there_are_some {
            assert_eq!(map.map(drop), Err(Errno::ENOMEM));
            continue;
        }
        let mut map = map.unwrap();
        assert_eq!(map.len(), size + 1);
        map[size] = 1;
        map.advise(Advice::DontDump).unwrap();
        map.advise(Advice::DoDump).unwrap();
        map.lock().unwrap();
        map.unlock().unwrap();
        let map = map.make_read_only().unwrap();
        assert_eq!(map[size], 1);
        unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) }.unwrap();
        assert_eq!(map[size], 0);
        let at = map.as_ptr();
        assert!(mapping(at.wrapping_add(2 * size - 1)).unwrap().contains("hugepage"));
        drop(map);
        for at in [at, at.wrapping_add(size)] {
            assert!(mapping(at).is_none_or(|lines| !lines.contains("hugepage")));
        }
    }
    // A file of huge pages, from the middle of a page, and an empty one.
    let file = memfd(MemfdFlags::HUGETLB, "");
    assert!(unsafe { MmapMut::map_mut(fd(&file)) }.unwrap().is_empty());
    assert_eq!(file.metadata().unwrap().len(), 0, "it has grown");
    file.set_len(2 * size as u64).unwrap();
    let map = unsafe { MmapOptions::new().offset(size as u64 + 5000).len(100).map_mut(fd(&file)) };
    match map.map_err(errno) {
        Ok(mut map) => {
            assert!(there_are_some);
            map[99] = 1;
            map.flush().unwrap();
            let at = map.as_ptr();
            assert!(shows(at, &file));
            drop(map);
            assert!(!shows(at, &file));
        }
        Err(error) => assert_eq!((error, there_are_some), (Errno::ENOMEM, false)),
    }
    // There is no such size, whatever there is.
    let map = MmapOptions::new().huge(Some(13)).len(1).map_anon();
    assert_eq!(errno(map.unwrap_err()), Errno::EINVAL);
    let map = MmapOptions::new().huge(Some(64)).len(1).map_anon();
    assert_eq!(errno(map.unwrap_err()), Errno::EINVAL);
}

/// What `huge` gives where no huge pages are: of this size there are none anywhere.
#[test]
fn memory_in_place_of_huge_pages_is_as_other_memory_is() {
    let page = page_size();
    let bits = page.ilog2() as u8 + 2;
    let size = 1 << bits;
    let huge = |len: usize, bits: u8| {
        MmapOptions::new().len(len).huge(Some(bits)).huge_fallback().map_anon()
    };
    for len in [1, page, size, size + 1, 5 * size] {
        let mut map = huge(len, bits).unwrap();
        assert_eq!((map.len(), map.as_ptr().addr() % size), (len, 0));
        map.fill(1);
    }

    // Options are for either.
    let mut options = MmapOptions::new();
    options.len(size).huge(Some(bits)).huge_fallback();
    let there = |map: &MmapMut| {
        let mut pages = [0; 4];
        syscall::mincore(map.as_ptr(), size, &mut pages).unwrap();
        pages.map(|page| page & 1)
    };
    let map = options.map_anon().unwrap();
    assert_eq!((flagged(map.as_ptr(), "nr"), there(&map)), (false, [0; 4]));
    let map = options.populate().no_reserve_swap().map_anon().unwrap();
    let never = fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap().trim() == "2";
    assert_eq!((flagged(map.as_ptr(), "nr"), there(&map)), (!never, [1; 4]));

    // Advice is for pages.
    let mut map = huge(2 * size, bits).unwrap();
    map.fill(1);
    unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, page, page) }.unwrap();
    assert!((0..2 * size).all(|at| (map[at] == 0) == (page..2 * page).contains(&at)));
    map.advise_range(Advice::Normal, page + 1, 10).unwrap();

    // It moves to where there is room for pages, and nothing else goes when it does.
    in_child(|| {
        let mapped = |at: *const u8| syscall::mincore(at, page, &mut [0]).is_ok();
        let obstacle = |at: *const u8| {
            let flags = syscall::MapFlags::PRIVATE
                | syscall::MapFlags::ANONYMOUS
                | syscall::MapFlags::FIXED_NOREPLACE;
            let none = syscall::ProtFlags::empty();
            // There is one already if this fails.
            let _ = unsafe { syscall::mmap(at.cast_mut(), page, none, flags, None, 0) };
        };
        // The kernel takes the next gap that is long enough. The gaps between other mappings
        // are used up after some tries, and the one beside this map is not aligned: there is a
        // page between.
        for _ in 0..1000 {
            let Ok(mut map) = huge(1, bits) else { return 1 };
            map[0] = 7;
            obstacle(map.as_ptr().wrapping_sub(page));
            obstacle(map.as_ptr().wrapping_add(page));
            let moved = unsafe { map.remap(3 * size, RemapOptions::new().may_move(true)) };
            if moved.is_err() || (map[0], map[3 * size - 1]) != (7, 0) {
                return 2;
            }
            let start = map.as_ptr();
            if start.addr() % size == 0 {
                // By chance. The next one has another place, below one page more.
                std::mem::forget((map, MmapMut::map_anon(3 * size + page)));
                continue;
            }
            let below = start.wrapping_sub(page);
            obstacle(below);
            drop(map);
            if !mapped(below) {
                return 3;
            }
            return i32::from((0..3 * size).step_by(page).any(|at| mapped(start.wrapping_add(at))));
        }
        4
    });

    // It is unmapped as it was mapped.
    in_child(|| {
        let Ok(map) = huge(size + 1, bits) else { return 1 };
        let start = map.as_ptr();
        drop(map);
        let mut told = [0];
        let gone = (0..size + page).step_by(page).all(|at| {
            syscall::mincore(start.wrapping_add(at), page, &mut told) == Err(Errno::ENOMEM)
        });
        i32::from(!gone)
    });

    for (len, bits) in [(1, 1), (1, page.ilog2() as u8 - 1), (100_000, 3), (1, 64), (1, 255)] {
        assert_eq!(huge(len, bits).map(drop).map_err(errno), Err(Errno::EINVAL), "{bits}");
    }
    assert_eq!(huge(usize::MAX, bits).map(drop).map_err(errno), Err(Errno::EOVERFLOW));
    assert!(huge(0, bits).unwrap().is_empty());
}

#[test]
fn no_bytes_work() {
    let (empty, full) =
        (memfd(MemfdFlags::ALLOW_SEALING, ""), memfd(MemfdFlags::ALLOW_SEALING, "full"));
    let mut maps = unsafe {
        [
            MmapMut::map_mut(fd(&empty)).unwrap(),
            MmapOptions::new().map_copy(fd(&empty)).unwrap(),
            MmapOptions::new().offset(4).map_mut(fd(&full)).unwrap(),
            MmapOptions::new().len(0).map_mut(fd(&full)).unwrap(),
            MmapOptions::new().map_anon().unwrap(),
            MmapMut::map_anon(0).unwrap(),
            MmapOptions::new().huge(None).populate().map_anon().unwrap(),
        ]
    };
    let inode = |file: &File| format!(" {} ", file.metadata().unwrap().ino());
    let mapped =
        |file: &File| fs::read_to_string("/proc/self/maps").unwrap().contains(&inode(file));
    for map in &mut maps {
        assert!(map.is_empty() && map.iter().next().is_none());
        map.as_mut().fill(1);
        map.flush().unwrap();
        map.flush_async_range(0, 0).unwrap();
        map.advise(Advice::WillNeed).unwrap();
        unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) }.unwrap();
        map.lock().unwrap();
        map.unlock().unwrap();
        unsafe { map.remap(0, RemapOptions::new()) }.unwrap();
    }
    for map in maps {
        let map = map.make_read_only().unwrap().make_mut().unwrap().make_exec().unwrap();
        assert!(MmapRaw::from(map).is_empty());
    }
    assert!(!mapped(&empty) && !mapped(&full), "none is left");
}

/// The size of these says nothing of what there is to read.
#[test]
fn what_has_no_size_but_contents_is_no_empty_map() {
    let refused = |file: RawFd| unsafe { Mmap::map(file) }.map(|map| map.len()).map_err(errno);
    let status = File::open("/proc/self/status").unwrap();
    assert_eq!(refused(fd(&status)), Err(Errno::ENODEV));
    let (reader, _writer) = std::io::pipe().unwrap();
    assert_eq!(refused(reader.as_raw_fd()), Err(Errno::ENODEV));
    // Some devices can be mapped, but do not tell how much there is of them.
    for device in ["/dev/null", "/dev/zero"] {
        assert_eq!(refused(fd(&File::open(device).unwrap())), Err(Errno::ENODEV), "{device}");
    }
    assert_eq!(FileMap::open(c"/dev/zero").map(drop).map_err(errno), Err(Errno::ENODEV));
    let zeros = File::open("/dev/zero").unwrap();
    assert_eq!(unsafe { MmapOptions::new().len(5).map(fd(&zeros)) }.unwrap()[..], [0; 5]);
    assert_eq!(refused(fd(&File::open("/proc/self").unwrap())), Err(Errno::ENODEV));
    // Nor is one that cannot be read, though it is empty.
    let empty = memfd(MemfdFlags::ALLOW_SEALING, "");
    let path = format!("/proc/self/fd/{}", fd(&empty));
    let write_only = File::options().write(true).open(path).unwrap();
    assert_eq!(refused(fd(&write_only)), Err(Errno::EACCES));
    assert_eq!(refused(-1), Err(Errno::EBADF));
}

#[test]
fn lengths_above_isize_max_are_refused() {
    let most = isize::MAX as usize;
    let file = zeros(1);
    for len in [most + 1, usize::MAX] {
        assert_eq!(errno(MmapMut::map_anon(len).unwrap_err()), Errno::EOVERFLOW);
        assert_eq!(errno(MmapRaw::map_secret(len).unwrap_err()), Errno::EOVERFLOW);
        let map = unsafe { MmapOptions::new().len(len).map(fd(&file)) };
        assert_eq!(errno(map.unwrap_err()), Errno::EOVERFLOW);
        let mut map = unsafe { Mmap::map(fd(&file)) }.unwrap();
        let error = unsafe { map.remap(len, RemapOptions::new().may_move(true)) }.unwrap_err();
        assert_eq!((errno(error), map.len()), (Errno::EOVERFLOW, 1));
    }
    // The kernel's answer, which has no room for it.
    assert_eq!(errno(MmapMut::map_anon(most).unwrap_err()), Errno::ENOMEM);
    // With what is before it in its page it would be longer.
    let map = unsafe { MmapOptions::new().offset(1).len(most).map(fd(&file)) };
    assert_eq!(errno(map.unwrap_err()), Errno::EOVERFLOW);
    // And an offset beyond the end has no length at all.
    let map = unsafe { MmapOptions::new().offset(2).map(fd(&file)) };
    assert_eq!(errno(map.unwrap_err()), Errno::EINVAL);
}

#[test]
fn an_error_of_a_conversion_gives_the_map_back() {
    let file = file("abc");
    let map = unsafe { Mmap::map(fd(&read_only(&file))) }.unwrap();
    let at = map.as_ptr();
    let error = map.try_make_mut().unwrap_err();
    assert_eq!(error.errno(), Errno::EACCES);
    assert_eq!(error.to_string(), Errno::EACCES.to_string());
    let map = error.into_inner();
    assert_eq!((map.as_ptr(), &map[..]), (at, &b"abc"[..]));
    assert_eq!(errno(map.make_mut().unwrap_err()), Errno::EACCES);
    assert!(!shows(at, &file), "it is leaked");
}

/// Runs a function in a thread in which calls with such an argument (a call's number, which
/// argument, its value) do something else.
#[cfg(target_arch = "x86_64")]
fn with_filter(
    calls: &[(u32, u8, u32)],
    action: seccompiler::SeccompAction,
    function: impl FnOnce() + Send + 'static,
) {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, SeccompCondition,
        SeccompFilter, SeccompRule, TargetArch,
    };
    let mut rules = std::collections::BTreeMap::<i64, Vec<SeccompRule>>::new();
    for &(call, argument, value) in calls {
        let is = SeccompCondition::new(argument, Dword, Eq, value.into()).unwrap();
        rules.entry(call.into()).or_default().push(SeccompRule::new(vec![is]).unwrap());
    }
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, TargetArch::x86_64);
    let filter: BpfProgram = filter.unwrap().try_into().unwrap();
    let thread = thread::spawn(move || {
        seccompiler::apply_filter(&filter).unwrap();
        function();
    });
    thread.join().unwrap();
}

/// The other two fail only where there are too many mappings, or somebody forbids them.
#[cfg(target_arch = "x86_64")]
#[test]
fn errors_of_the_other_conversions_give_the_map_back() {
    use linux_raw_sys::general::{__NR_mprotect, PROT_EXEC, PROT_READ};
    let calls = [(__NR_mprotect, 2, PROT_READ), (__NR_mprotect, 2, PROT_READ | PROT_EXEC)];
    let refusal = seccompiler::SeccompAction::Errno(u32::from(Errno::ENOMEM.number()));
    with_filter(&calls, refusal, || {
        let mut map = MmapMut::map_anon(100).unwrap();
        map[99] = 1;
        let error = map.try_make_read_only().unwrap_err();
        assert_eq!(error.errno(), Errno::ENOMEM);
        let mut map = error.into_inner();
        map[99] += 1;
        let error = map.try_make_exec().unwrap_err();
        assert_eq!(error.errno(), Errno::ENOMEM);
        let mut map = error.into_inner();
        map[99] += 1;
        assert_eq!(map[99], 3);
    });
}

/// `mprotect` goes from page to page, and stops where it fails.
#[test]
fn a_map_that_is_given_back_is_what_it_was() {
    let page = page_size();
    let file = zeros(page as u64);
    let read_only = read_only(&file);
    // Its last page is another file's, and cannot be written to.
    let place = |map: &Mmap| {
        let borrowed = unsafe { baremap::fd::BorrowedFd::borrow_raw(fd(&read_only)) };
        let at = map.as_ptr().wrapping_add(2 * page).cast_mut();
        let flags = syscall::MapFlags::SHARED | syscall::MapFlags::FIXED;
        let prot = syscall::ProtFlags::READ;
        unsafe { syscall::mmap(at, page, prot, flags, Some(borrowed), 0) }.unwrap();
    };
    let permissions = |map: &Mmap, index: usize| {
        let line = mapping(map.as_ptr().wrapping_add(index * page)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let map = MmapMut::map_anon(3 * page).unwrap().make_read_only().unwrap();
    place(&map);
    let error = map.try_make_mut().unwrap_err();
    assert_eq!(error.errno(), Errno::EACCES);
    let map = error.into_inner();
    assert_eq!((permissions(&map, 0), permissions(&map, 1)), ("r--p".into(), "r--p".into()));

    let map = MmapMut::map_anon(3 * page).unwrap().make_exec().unwrap();
    place(&map);
    let map = map.try_make_mut().unwrap_err().into_inner();
    assert_eq!((permissions(&map, 0), permissions(&map, 1)), ("r-xp".into(), "r-xp".into()));

    // One of which a page is missing; in a copy, where no other thread could map it.
    in_child(|| {
        let Ok(map) = MmapMut::map_anon(3 * page) else { return 1 };
        let last = map.as_ptr().wrapping_add(2 * page).cast_mut();
        if unsafe { syscall::munmap(last, page) }.is_err() {
            return 2;
        }
        let Err(error) = map.try_make_read_only() else { return 3 };
        let mut map = error.into_inner();
        map[0] = 1;
        let Err(error) = map.try_make_exec() else { return 4 };
        let mut map = error.into_inner();
        map[0] += 1;
        i32::from(map[0] != 2)
    });
}

#[test]
fn a_flush_is_built() {
    let page = page_size();
    let file = zeros(3 * page as u64);
    let map = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
    let all = FlushOptions::new();
    let refused = |options| map.flush_with(options).map_err(errno);
    for options in [all, all.invalidate(), all.asynchronous(), all.asynchronous().invalidate()] {
        assert_eq!(refused(options), Ok(()), "{options:?}");
    }
    // To invalidate locked pages is the one thing that the kernel refuses: so it has come
    // there, and not in ranges without them.
    let part = unsafe { MmapOptions::new().offset(page as u64).len(page).map_mut(fd(&file)) };
    let part = part.unwrap();
    part.lock().unwrap();
    assert_eq!(part.flush_with(all.invalidate()).map_err(errno), Err(Errno::EBUSY));
    assert_eq!(part.flush_with(all.invalidate().range(5, 0)).map_err(errno), Ok(()));
    assert_eq!(part.flush_with(all.asynchronous()).map_err(errno), Ok(()));
    assert_eq!(part.flush_with(all).map_err(errno), Ok(()));
    part.unlock().unwrap();
    assert_eq!(MmapRaw::from(part).flush_with(all.invalidate()).map_err(errno), Ok(()));
}

/// What is asked of msync cannot be seen in a file. So a filter, for one thread, answers with
/// another error for each of the flags, if the length is that of one page.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_flush_waits_or_does_not() {
    use linux_raw_sys::general::{__NR_msync, MS_ASYNC, MS_INVALIDATE, MS_SYNC};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, SeccompCondition,
        SeccompFilter, SeccompRule,
    };
    let page = page_size();
    let file = zeros(3 * page as u64);
    let filter = |flags: u32, errno: Errno| -> BpfProgram {
        let is = |number, value| SeccompCondition::new(number, Dword, Eq, value).unwrap();
        let rule = SeccompRule::new(vec![is(1, page as u64), is(2, flags.into())]).unwrap();
        let filter = SeccompFilter::new(
            [(i64::from(__NR_msync), vec![rule])].into(),
            SeccompAction::Allow,
            SeccompAction::Errno(errno.number().into()),
            seccompiler::TargetArch::x86_64,
        );
        filter.unwrap().try_into().unwrap()
    };
    let (sync, later, invalid) = (Errno::EIO, Errno::EAGAIN, Errno::ESTALE);
    let filters = [
        filter(MS_SYNC, sync),
        filter(MS_ASYNC, later),
        filter(MS_SYNC | MS_INVALIDATE, invalid),
        filter(MS_ASYNC | MS_INVALIDATE, Errno::EBADMSG),
    ];
    let thread = thread::spawn(move || {
        let whole = unsafe { MmapMut::map_mut(fd(&file)) }.unwrap();
        let map = unsafe { MmapOptions::new().offset(page as u64 + 5).len(99).map_mut(fd(&file)) };
        let map = map.unwrap();
        filters.iter().for_each(|filter| seccompiler::apply_filter(filter).unwrap());
        let options = FlushOptions::new();
        assert_eq!(map.flush().map_err(errno), Err(sync));
        assert_eq!(map.flush_async().map_err(errno), Err(later));
        assert_eq!(map.flush_with(options).map_err(errno), Err(sync));
        assert_eq!(map.flush_with(options.asynchronous()).map_err(errno), Err(later));
        assert_eq!(map.flush_with(options.invalidate()).map_err(errno), Err(invalid));
        let all = options.invalidate().asynchronous();
        assert_eq!(map.flush_with(all).map_err(errno), Err(Errno::EBADMSG));
        // Of a range those pages that have bytes of it, and no others.
        for (offset, len, pages) in [(0, 1, 1), (page - 1, 1, 1), (page - 1, 2, 2), (page, 9, 1)] {
            let (now, soon) = if pages == 1 { (Err(sync), Err(later)) } else { (Ok(()), Ok(())) };
            assert_eq!(whole.flush_range(offset, len).map_err(errno), now);
            assert_eq!(whole.flush_async_range(offset, len).map_err(errno), soon);
        }
        assert_eq!(whole.flush().map_err(errno), Ok(()));
        let raw = MmapRaw::from(map);
        assert_eq!(raw.flush().map_err(errno), Err(sync));
        assert_eq!(raw.flush_async().map_err(errno), Err(later));
    });
    thread.join().unwrap();
}

#[cfg(target_arch = "x86_64")]
#[test]
fn advice_that_destroys_is_no_safe_advice() {
    use linux_raw_sys::general::{__NR_madvise, __NR_process_madvise, MADV_HWPOISON};
    // Few kernels know it, and they destroy memory.
    let calls = [(__NR_madvise, 2, MADV_HWPOISON), (__NR_process_madvise, 3, MADV_HWPOISON)];
    let refusal = seccompiler::SeccompAction::Errno(u32::from(Errno::ENOSYS.number()));
    with_filter(&calls, refusal, || {
        #[allow(deprecated)]
        let advice = Advice::HwPoison;
        let map = MmapMut::map_anon(1).unwrap();
        assert_eq!(map.advise(advice).map_err(errno), Err(Errno::EINVAL));
        let file = FileMap::open(c"Cargo.toml").unwrap();
        assert_eq!(file.advise(advice).map_err(errno), Err(Errno::EINVAL));
        assert_eq!(advise_oneself(&map, advice), Err(Errno::EINVAL));
        // It has come to the kernel where it may.
        let poison = unsafe { map.unchecked_advise(UncheckedAdvice::HwPoison) };
        assert_eq!(poison.map_err(errno), Err(Errno::ENOSYS));
    });
}

fn advise_oneself(map: &MmapMut, advice: Advice) -> Result<usize, Errno> {
    use baremap::fd::AsFd;
    let process = syscall::pidfd_open(syscall::getpid(), syscall::OFlags::empty())?;
    let range = IoVec { base: map.as_ptr().cast_mut(), len: page_size() };
    advise_process(process.as_fd(), &[range], advice).map_err(errno)
}

/// One's own process takes more advice than others do, since Linux 6.13.
#[test]
fn processes_are_given_no_advice_but_four() {
    let map = MmapMut::map_anon(1).unwrap();
    assert_eq!(advise_oneself(&map, Advice::Cold), Ok(page_size()));
    for advice in [Advice::DontFork, Advice::DontDump, Advice::Random, Advice::PopulateWrite] {
        assert_eq!(advise_oneself(&map, advice), Err(Errno::EINVAL), "{advice:?}");
    }
}
