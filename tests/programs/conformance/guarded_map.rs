//! `GuardedMmap`, and the reads and writes that need no signal handler.

use super::guarded_copy::{pattern, shorten};
use super::processes::in_child;
use super::*;
use baremap::map::{Fault, FileMap, GuardedMmap, guard};
use baremap::syscall::{IoVec, SigHow, SigSet};

/// A file of some pages with the pattern.
fn patterned(pages: usize) -> Result<OwnedFd, Trouble> {
    let fd = memory()?;
    let mut bytes = [0; 1024];
    for start in (0..pages * page()).step_by(bytes.len()) {
        bytes.iter_mut().enumerate().for_each(|(index, byte)| *byte = pattern(start + index));
        same(syscall::pwrite(fd.as_fd(), &bytes, start as u64)?, bytes.len())?;
    }
    Ok(fd)
}

/// Reads a byte that the compiler cannot know.
fn read(map: &GuardedMmap, index: usize) -> u8 {
    core::hint::black_box(&**map)[index]
}

fn clones_share_what_is_lost() -> Outcome {
    let fd = patterned(4)?;
    // SAFETY: the file becomes shorter by whole pages, and no slice is borrowed when it grows.
    let mut map = unsafe { GuardedMmap::new(FileMap::new(&fd)?).map_err(Errno::from)? };
    let clone = map.clone();
    same((map.len(), clone.as_ptr()), (4 * page(), map.as_ptr()))?;
    same((map.check(), read(&map, 3 * page() + 5)), (Ok(()), pattern(3 * page() + 5)))?;
    syscall::ftruncate(fd.as_fd(), page() as u64)?;
    same((read(&clone, page() - 1), clone.check()), (pattern(page() - 1), Ok(())))?;
    same(read(&clone, 2 * page() + 5), 0)?;
    let offset = |map: &GuardedMmap| map.check().err().map(|fault| (fault.offset(), fault.errno()));
    let lost = Some((2 * page() as u64, None));
    same((offset(&map), offset(&clone)), (lost, lost))?;
    same(map.refresh()?, page())?;
    same((map.check(), read(&map, 7), offset(&clone)), (Ok(()), pattern(7), lost))?;
    drop(map);
    same((read(&clone, 7), read(&clone, 3 * page())), (pattern(7), 0))
}

/// Reads a byte once in each round, which the compiler may turn into one read after the last round.
#[inline(never)]
fn poll(
    bytes: &[u8],
    rounds: usize,
    checked: impl Fn(u8) -> Result<u8, Fault>,
) -> Result<u8, Fault> {
    let mut round = 0;
    loop {
        let byte = checked(bytes[77])?;
        round += 1;
        if round == rounds {
            return Ok(byte);
        }
    }
}

/// Reads a byte into a variable that only the caller of `with_slice` uses.
#[inline(never)]
fn read_into(map: &FileMap, into: &mut u8) -> Result<(), Fault> {
    // SAFETY: the file does not change meanwhile.
    unsafe { map.with_slice(|bytes| *into = bytes[77]) }
}

/// In an optimized program, a read stays before the check of its value.
fn checked_values_were_read_before() -> Outcome {
    let lost = Err(77 & !(page() - 1));
    let offset = |fault: Fault| fault.offset() as usize;
    let fd = patterned(2)?;
    // SAFETY: the file becomes shorter by whole pages.
    let owned = unsafe { GuardedMmap::new(FileMap::new(&fd)?).map_err(Errno::from)? };
    let (map, other) = (FileMap::new(&fd)?, FileMap::new(&fd)?);
    let rounds = core::hint::black_box(3);
    same(poll(&owned, rounds, |byte| owned.checked(byte)).map_err(offset), Ok(pattern(77)))?;
    syscall::ftruncate(fd.as_fd(), 0)?;
    same(poll(&owned, rounds, |byte| owned.checked(byte)).map_err(offset), lost)?;
    // SAFETY: the file does not change meanwhile.
    let polled = unsafe { map.with_slice(|bytes| poll(bytes, rounds, |byte| map.checked(byte))) };
    same((polled.is_err(), map.check().map_err(offset)), (true, lost.map(drop)))?;
    same(read_into(&other, &mut 1).map_err(offset), lost.map(drop))
}

/// More maps than one table has room for, some of which are dropped in between.
fn many_maps() -> Outcome {
    const MAPS: usize = 100;
    let fd = patterned(2)?;
    let mut maps = [const { None }; MAPS];
    for round in 0..3 {
        for (index, place) in maps.iter_mut().enumerate() {
            if index % 3 == round || round == 0 {
                // SAFETY: the file becomes shorter by a whole page, when all maps are made.
                *place =
                    Some(unsafe { GuardedMmap::new(FileMap::new(&fd)?).map_err(Errno::from)? });
            }
        }
    }
    syscall::ftruncate(fd.as_fd(), page() as u64)?;
    for map in maps.iter().flatten() {
        same((read(map, 9), map.check()), (pattern(9), Ok(())))?;
        same((read(map, page() + 9), map.check().is_err()), (0, true))?;
    }
    Ok(())
}

// An emulator that passes on a wrong address ends the process.
fn clones_in_a_child() -> Outcome {
    in_child(clones_share_what_is_lost)
}

fn many_maps_in_a_child() -> Outcome {
    in_child(many_maps)
}

fn checked_values_in_a_child() -> Outcome {
    in_child(checked_values_were_read_before)
}

/// Runs a function while all signals are blocked.
fn blocked(function: impl FnOnce() -> Outcome) -> Outcome {
    // SAFETY: nothing relies on the mask, which is restored.
    let mask = unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&SigSet::full()))? };
    let outcome = function();
    // SAFETY: this restores the mask.
    unsafe { syscall::rt_sigprocmask(SigHow::SETMASK, Some(&mask))? };
    outcome
}

fn reads_without_signals() -> Outcome {
    let fd = patterned(3)?;
    let map = FileMap::new(&fd)?;
    let mut bytes = [0; 100];
    blocked(|| {
        same(map.read_at_without_signals(&mut bytes, 5)?, 100)?;
        ensure(bytes.iter().zip(5..).all(|(&byte, index)| byte == pattern(index)), "others")?;
        same(map.read_at_without_signals(&mut bytes, 3 * page() as u64 - 7)?, 7)?;
        syscall::ftruncate(fd.as_fd(), page() as u64)?;
        let fault = map.read_at_without_signals(&mut bytes, page() as u64 - 9).err();
        let fault = fault.map(|fault| (fault.offset(), fault.done(), fault.errno()));
        same(fault, Some((page() as u64, 9, None)))
    })
}

fn writes_without_signals() -> Outcome {
    let fd = patterned(3)?;
    let map = FileMap::new(&fd)?;
    blocked(|| {
        same(map.write_at_without_signals(&[251; 100], 3 * page() as u64 - 7)?, 7)?;
        let mut bytes = [0; 8];
        same(map.read_at(&mut bytes, 3 * page() as u64 - 8)?, 8)?;
        same(bytes, [pattern(3 * page() - 8), 251, 251, 251, 251, 251, 251, 251])?;
        syscall::ftruncate(fd.as_fd(), page() as u64)?;
        let fault = map.write_at_without_signals(&[251; 100], page() as u64 - 9).err();
        let fault = fault.map(|fault| (fault.offset(), fault.done(), fault.errno()));
        same(fault, Some((page() as u64, 9, None)))?;
        same(syscall::fstat(fd.as_fd())?.size, page() as u64)
    })
}

fn copies_without_signals() -> Outcome {
    let from = Pages::zeros(3)?;
    (0..from.length).for_each(|index| from.set(index, pattern(index)));
    shorten(&from, 1)?;
    let mut bytes = [0; 100];
    // SAFETY: the bytes are this function's, and the pages are the case's.
    let mut copy = |from: *mut u8| unsafe {
        guard::copy_without_signals(from, bytes.as_mut_ptr(), bytes.len())
    };
    blocked(|| {
        same(copy(from.at(5))?, 100)?;
        same(copy(from.page(1).wrapping_sub(9))?, 9)?;
        fails(copy(from.page(1)), Errno::EFAULT)?;
        same(copy(from.page(2))?, 100)
    })?;
    ensure(bytes.iter().zip(2 * page()..).all(|(&byte, index)| byte == pattern(index)), "others")
}

/// The six arguments of the calls, the last of which must be zero.
fn processes_share_bytes() -> Outcome {
    let pages = Pages::zeros(2)?;
    (0..pages.length).for_each(|index| pages.set(index, pattern(index)));
    let (mut one, mut two) = ([0; 3], [0; 5]);
    let local =
        [IoVec { base: one.as_mut_ptr(), len: 3 }, IoVec { base: two.as_mut_ptr(), len: 5 }];
    let remote = [
        IoVec { base: pages.at(100), len: 1 },
        IoVec { base: pages.at(200), len: 2 },
        IoVec { base: pages.at(300), len: 4 },
    ];
    let this = syscall::getpid();
    // SAFETY: the ranges are this function's.
    let count = unsafe { syscall::process_vm_readv(this, &local, &remote) };
    same(count?, 7)?;
    same(one, [100, 200, 201].map(pattern))?;
    same(two, [pattern(300), pattern(301), pattern(302), pattern(303), 0])?;
    two = [7; 5];
    let remote = &remote[2..];
    // SAFETY: the ranges are this function's.
    same(unsafe { syscall::process_vm_writev(this, &local[1..], remote)? }, 4)?;
    let found = [299, 300, 303, 304].map(|index| pages.get(index));
    same(found, [pattern(299), 7, 7, pattern(304)])?;
    ensure(two == [7; 5], "others")?;
    // SAFETY: nothing is mapped there.
    let nowhere = [IoVec { base: ptr::null_mut(), len: 1 }];
    // SAFETY: the ranges are this function's, or are not mapped.
    unsafe {
        fails(syscall::process_vm_readv(this, &local, &nowhere), Errno::EFAULT)?;
        fails(syscall::process_vm_writev(this, &local, &nowhere), Errno::EFAULT)?;
        fails(syscall::process_vm_readv(-1, &local, &nowhere), Errno::ESRCH)
    }
}

pub const CASES: &[Case] = &[
    case!(
        "clones share what is lost",
        clones_in_a_child,
        qemu_user: "SIGBUS is passed on with the host's address",
        if page() > 4096 || cfg!(any(target_pointer_width = "32", target_endian = "big"))
    ),
    case!(
        "of many maps each is found",
        many_maps_in_a_child,
        qemu_user: "SIGBUS is passed on with the host's address",
        if page() > 4096 || cfg!(any(target_pointer_width = "32", target_endian = "big"))
    ),
    case!(
        "a value that was checked was read before",
        checked_values_in_a_child,
        qemu_user: "SIGBUS is passed on with the host's address",
        if page() > 4096 || cfg!(any(target_pointer_width = "32", target_endian = "big"))
    ),
    case!("FileMap reads while signals are blocked", reads_without_signals),
    case!(
        "FileMap writes while signals are blocked",
        writes_without_signals,
        qemu_user: "process_vm_readv is ENOSYS"
    ),
    case!(
        "a copy while signals are blocked stops",
        copies_without_signals,
        qemu_user: "process_vm_readv is ENOSYS"
    ),
    case!(
        "bytes are read from and written to a process",
        processes_share_bytes,
        qemu_user: "process_vm_readv is ENOSYS"
    ),
];
