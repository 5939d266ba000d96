//! Address space: reservations, placed maps, rings, code and shared memory.

use super::*;
use baremap::{
    map::{Arena, CodeMut, Memfd, MmapOptions, MmapRaw, Placed, Reservation, Ring},
    syscall::{MsyncFlags, Resource, Rlimit, Seals, Signal, WaitFlags, WaitStatus},
};
use core::{
    mem::{ManuallyDrop, forget},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

/// Returns how a child ended that runs a function and exits with its result.
fn child(run: impl FnOnce() -> i32) -> Result<WaitStatus, Trouble> {
    // SAFETY: this process has one thread.
    let Some(pid) = (unsafe { syscall::fork()? }) else {
        let none = Rlimit { current: 0, maximum: 0 };
        let _ = syscall::prlimit(0, Resource::CORE, Some(none));
        syscall::exit_group(run());
    };
    match syscall::waitid(Some(pid), WaitFlags::EXITED)? {
        Some((_, status)) => Ok(status),
        None => Err(wrong(format_args!("got no child"))),
    }
}

/// Returns whether all pages of a range are mapped.
fn whole(start: *const u8, length: usize) -> bool {
    // SAFETY: writes nothing back.
    unsafe { syscall::msync(start.cast_mut(), length, MsyncFlags::ASYNC).is_ok() }
}

/// Returns which pages are readable.
fn pages<const N: usize>(part: &Reservation) -> [bool; N] {
    core::array::from_fn(|number| readable(part.as_ptr().wrapping_add(number * page())))
}

/// Writes the first byte of each page. The rest stays zero, because [`readable`] needs a path that
/// ends.
fn mark(bytes: &mut [u8], value: u8) {
    bytes.chunks_mut(page()).for_each(|page| page[0] = value);
}

fn commit() -> Outcome {
    let mut part = Reservation::new(3 * page())?;
    same(pages(&part), [false; 3])?;
    let bytes = part.commit(page()..page() + 1)?;
    same(bytes[0], 0)?;
    bytes[0] = 5;
    same(pages(&part), [false, true, false])?;
    same(part.commit(0..2 * page())?[page()], 5)?;
    part.decommit(page()..2 * page())?;
    same(pages(&part), [true, false, false])?;
    same(part.commit(0..3 * page())?[page()], 0)?;
    fails(part.commit(0..3 * page() + 1).map(drop), Errno::EINVAL)?;
    ensure(whole(part.as_ptr(), part.len()), "a hole")
}

fn split_and_merge() -> Outcome {
    let mut first = Reservation::new(4 * page())?;
    mark(first.commit(page()..3 * page())?, 6);
    let second = first.split_off(2 * page())?;
    same((pages(&first), pages(&second)), ([false, true], [true, false]))?;
    let third = first.split_off(page())?;
    // The part between them is missing.
    let second = match first.merge(second) {
        Ok(()) => return Err(wrong(format_args!("got one of two that are apart"))),
        Err(error) => error.into_inner(),
    };
    first.merge(third).map_err(Errno::from)?;
    first.merge(second).map_err(Errno::from)?;
    let bytes = first.commit(0..4 * page())?;
    same([0, 1, 2, 3].map(|number| bytes[number * page()]), [0, 6, 6, 0])
}

fn guard() -> Outcome {
    let mut part = Reservation::new(3 * page())?;
    mark(part.commit(0..3 * page())?, 7);
    part.guard_pages(page()..2 * page())?;
    same(pages(&part), [true, false, true])?;
    let bytes = part.commit(0..3 * page())?;
    same([0, 1, 2].map(|number| bytes[number * page()]), [7, 0, 7])
}

/// No kernel makes guards in locked memory, so it is handled as on a kernel without guards.
fn guard_without_guards() -> Outcome {
    let mut part = Reservation::new(3 * page())?;
    mark(part.commit(0..3 * page())?, 7);
    // SAFETY: this function's own.
    unsafe { syscall::mlock(part.as_ptr(), part.len())? };
    part.guard_pages(page()..2 * page())?;
    same(pages(&part), [true, false, true])?;
    let bytes = part.commit(0..3 * page())?;
    same([0, 1, 2].map(|number| bytes[number * page()]), [7, 0, 7])
}

fn place() -> Outcome {
    let fd = numbered(2)?;
    let mut part = Reservation::new(4 * page())?;
    mark(part.commit(0..4 * page())?, 9);
    let wanted = part.as_ptr().wrapping_add(page());
    let map = MmapOptions::new().map_raw(&fd)?;
    let placed = Placed::new(map, &mut part, page()).map_err(Errno::from)?;
    same(placed.as_ptr(), wanted)?;
    // SAFETY: inside the map.
    unsafe {
        same((placed.as_ptr().read(), placed.as_ptr().add(page()).read()), (1, 2))?;
        placed.as_mut_ptr().write_volatile(3);
    }
    let mut byte = [0];
    syscall::pread(fd.as_fd(), &mut byte, 0)?;
    same(byte, [3])?;
    drop(placed);
    same(pages(&part), [true, false, false, true])?;
    ensure(whole(part.as_ptr(), part.len()), "a hole")?;
    // A map that was forgotten is replaced when its pages are used again.
    let map = MmapOptions::new().map_raw(&fd)?;
    forget(Placed::new(map, &mut part, 0).map_err(Errno::from)?);
    let bytes = part.commit(0..4 * page())?;
    same([0, 1, 2, 3].map(|number| bytes[number * page()]), [0, 0, 0, 9])
}

/// At the limit on the number of mappings, a call that fails leaves no hole.
fn too_many_mappings() -> Outcome {
    let fd = numbered(2)?;
    let mut fill = Reservation::new(70_000 * page())?;
    let mut part = Reservation::new(8 * page())?;
    mark(part.commit(0..8 * page())?, 3);
    let ended = child(|| {
        let Ok(map) = MmapOptions::new().map_raw(&fd) else { return 1 };
        let mut refused = None;
        for at in (0..70_000 * page()).step_by(2 * page()) {
            if let Err(errno) = fill.commit(at..at + page()) {
                refused = Some(errno);
                break;
            }
        }
        if refused != Some(Errno::ENOMEM) {
            return 2;
        }
        if part.decommit(page()..2 * page()) != Err(Errno::ENOMEM) {
            return 3;
        }
        let Err(error) = Placed::new(map, &mut part, 3 * page()) else { return 4 };
        if error.errno() != Errno::ENOMEM {
            return 5;
        }
        let (map, part) = error.into_inner();
        if !whole(part.as_ptr(), 8 * page()) {
            return 6;
        }
        drop(fill);
        if Placed::new(map, &mut *part, 3 * page()).is_err() {
            return 7;
        }
        let Ok(bytes) = part.commit(0..8 * page()) else { return 8 };
        i32::from([bytes[0], bytes[3 * page()], bytes[7 * page()]] != [3, 0, 3])
    })?;
    same(ended, WaitStatus::Exited(0))
}

fn arena() -> Outcome {
    let mut arena = Arena::new(100 * page())?;
    let start = arena.as_ptr();
    for pages in [1, 7, 100, 3, 50] {
        let before = arena.len();
        arena.resize(pages * page() - 1)?;
        same((arena.as_ptr(), arena.len()), (start, pages * page()))?;
        ensure(arena[before.min(arena.len())..].iter().all(|&byte| byte == 0), "old bytes")?;
        arena.fill(pages as u8);
    }
    fails(arena.resize(100 * page() + 1), Errno::ENOMEM)?;
    ensure(!readable(start.wrapping_add(50 * page())), "memory that was given back")
}

fn ring() -> Outcome {
    let mut ring = Ring::new(1)?;
    same(ring.capacity(), page())?;
    let (mut written, mut read) = (0u32, 0u32);
    for round in 0..2000 {
        let room = ring.writable();
        let count = room.len().min(1 + round * 37 % page());
        for byte in &mut room[..count] {
            *byte = (written % 251) as u8;
            written += 1;
        }
        ring.produce(count);
        let count = ring.len().min(1 + round * 41 % page());
        for &byte in &ring.readable()[..count] {
            same(byte, (read % 251) as u8)?;
            read += 1;
        }
        ring.consume(count);
    }
    Ok(())
}

fn ring_of_a_parent() -> Outcome {
    let mut ring = Ring::new(1)?;
    ring.push(b"parent's");
    let at = ring.readable().as_ptr();
    // SAFETY: the fault is wanted.
    let ended = child(|| unsafe { at.read_volatile() }.into())?;
    ensure(matches!(ended, WaitStatus::Killed(Signal::SEGV, _)), "a child that has it")?;
    let mut ring = ManuallyDrop::new(ring);
    let ended = child(|| {
        let other = at.cast_mut();
        // SAFETY: a wish, which replaces nothing.
        match unsafe { syscall::mmap(other, page(), READ_WRITE, ANONYMOUS, None, 0) } {
            Ok(got) if got == other => {}
            _ => return 1,
        }
        // SAFETY: the ring is not used again in the child.
        unsafe { ManuallyDrop::drop(&mut ring) };
        i32::from(!readable(other))
    })?;
    same(ended, WaitStatus::Exited(0))?;
    // The use is rejected, whatever is mapped there. The panic message must not reach this
    // program's output.
    let uses: [fn(&mut Ring) -> usize; 3] =
        [|ring| ring.readable().len(), |ring| ring.writable().len(), |ring| ring.push(b"child's")];
    for used in uses {
        let ended = child(|| {
            // SAFETY: nobody else uses the number in the child.
            drop(unsafe { OwnedFd::from_raw_fd(2) });
            used(&mut ring);
            0
        })?;
        ensure(matches!(ended, WaitStatus::Killed(Signal::ABRT, _)), "a ring that is lent")?;
    }
    same(ring.readable(), b"parent's")?;
    drop(ManuallyDrop::into_inner(ring));
    ensure(!whole(at, page()), "a ring that is still there")
}

/// Returns the code of a function that returns a number: two instructions.
fn returning(number: u8) -> [u8; 8] {
    let n = u32::from(number);
    let words = |a: u32, b: u32| {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&a.to_ne_bytes());
        bytes[4..].copy_from_slice(&b.to_ne_bytes());
        bytes
    };
    if cfg!(any(target_arch = "x86", target_arch = "x86_64")) {
        [0xb8, number, 0, 0, 0, 0xc3, 0, 0] // mov eax, n; ret
    } else if cfg!(target_arch = "aarch64") {
        words(0xd280_0000 | n << 5, 0xd65f_03c0) // mov x0, n; ret
    } else if cfg!(target_arch = "arm") {
        words(0xe3a0_0000 | n, 0xe12f_ff1e) // mov r0, n; bx lr: in ARM mode
    } else if cfg!(any(target_arch = "riscv32", target_arch = "riscv64")) {
        words(0x0000_0513 | n << 20, 0x0000_8067) // li a0, n; ret
    } else if cfg!(target_arch = "loongarch64") {
        words(0x0380_0004 | n << 10, 0x4c00_0020) // ori $a0, $zero, n; ret
    } else if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64")) {
        words(0x3860_0000 | n, 0x4e80_0020) // li r3, n; blr
    } else if cfg!(target_arch = "s390x") {
        [0xa7, 0x29, 0, number, 0x07, 0xfe, 0, 0] // lghi %r2, n; br %r14
    } else if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        words(0x03e0_0008, 0x2402_0000 | n) // jr $ra; li $v0, n, which comes before it
    } else {
        panic!("no instructions for this architecture")
    }
}

/// Code that is written again at the same address replaces the old code.
fn code() -> Outcome {
    let mut code = CodeMut::new(2 * page())?;
    let last = 2 * page() - 8;
    for number in 0..100 {
        code[..8].copy_from_slice(&returning(number));
        code[last..].copy_from_slice(&returning(number + 100));
        let exec = code.make_exec().map_err(Errno::from)?;
        // SAFETY: such functions were written there, and are called at once.
        let (first, second): (extern "C" fn() -> usize, extern "C" fn() -> usize) =
            unsafe { (exec.function(0), exec.function(last)) };
        same((first(), second()), (number.into(), usize::from(number) + 100))?;
        ensure(!writable(exec.as_ptr().cast_mut()), "code that can be written to")?;
        code = exec.make_mut().map_err(Errno::from)?;
    }
    Ok(())
}

#[cfg(not(target_arch = "loongarch64"))]
fn code_that_can_be_written_to() -> Outcome {
    let call = |at: *const u8| {
        child(|| {
            // SAFETY: a function; the fault is wanted, in a child.
            let function = unsafe { core::mem::transmute::<*const u8, extern "C" fn() -> i32>(at) };
            function()
        })
    };
    let mut code = CodeMut::new(8)?;
    code.copy_from_slice(&returning(7));
    let ended = call(code.as_ptr())?;
    if matches!(ended, WaitStatus::Killed(Signal::SEGV, _)) {
        return Ok(());
    }
    // Without an NX bit (x86 without PAE, most of mips), every readable page is executable.
    let old = cfg!(any(target_arch = "x86", target_arch = "mips", target_arch = "mips64"));
    ensure(old, "both at once")?;
    let page = Pages::zeros(1)?;
    (0..8).for_each(|index| page.set(index, returning(7)[index]));
    same((ended, call(page.addr)?), (WaitStatus::Exited(7), WaitStatus::Exited(7)))
}

fn seals() -> Outcome {
    let file = Memfd::new(c"sealed", 100)?;
    same(file.seals()?.difference(Seals::EXEC), Seals::empty())?;
    let map = MmapOptions::new().map_raw(&file)?;
    // SAFETY: inside the map.
    unsafe { map.as_mut_ptr().write_volatile(8) };
    fails(file.seal(Seals::WRITE), Errno::EBUSY)?;
    drop(map);
    ensure(MmapOptions::new().map_if_safe(&file).is_err(), "a map that is not safe")?;
    file.seal(Seals::SHRINK | Seals::GROW | Seals::WRITE | Seals::SEAL)?;
    fails(file.seal(Seals::FUTURE_WRITE), Errno::EPERM)?;
    fails(syscall::ftruncate(file.as_fd(), 99), Errno::EPERM)?;
    fails(syscall::ftruncate(file.as_fd(), 101), Errno::EPERM)?;
    fails(syscall::pwrite(file.as_fd(), b"x", 0), Errno::EPERM)?;
    fails(MmapOptions::new().map_raw(&file), Errno::EPERM)?;
    match MmapOptions::new().map_if_safe(&file) {
        Ok(map) => same((map.len(), map[0], map[99]), (100, 8, 0)),
        Err(error) => Err(wrong(format_args!("got {error:?}, wanted a safe map"))),
    }
}

fn shared_anonymous() -> Outcome {
    let map = MmapRaw::map_anon_shared(2 * page())?;
    // SAFETY: mapped, aligned, and used as nothing else in either process.
    let number = unsafe { AtomicU32::from_ptr(map.as_mut_ptr().add(page()).cast()) };
    number.store(1, SeqCst);
    let ended = child(|| i32::from(number.fetch_add(41, SeqCst) != 1))?;
    same(ended, WaitStatus::Exited(0))?;
    same(number.load(SeqCst), 42)
}

fn huge_or_not() -> Outcome {
    let size = 1 << 21;
    let mut map = MmapOptions::new().len(size + 1).huge(Some(21)).huge_fallback().map_anon()?;
    same((map.as_ptr().addr() % size, map.len()), (0, size + 1))?;
    same((map[0], map[size]), (0, 0))?;
    (map[0], map[size]) = (1, 2);
    let start = map.as_ptr();
    ensure(whole(start, size + 1), "less than was to be mapped")?;
    drop(map);
    ensure(!readable(start) && !readable(start.wrapping_add(size)), "what is unmapped")
}

pub const CASES: &[Case] = &[
    case!("a reservation is committed and decommitted", commit),
    case!("a reservation is split and merged", split_and_merge),
    case!("guard pages", guard, qemu_user: "takes any advice, and does nothing"),
    case!(
        "guard pages where the kernel makes none",
        guard_without_guards,
        qemu_user: "takes any advice, and does nothing"
    ),
    case!(
        "maps in a reservation",
        place,
        qemu_user: "it moves no mapping where its pages are larger than the host's",
        if page() > 4096
    ),
    case!(
        "too many mappings leave no hole",
        too_many_mappings,
        qemu_user: "what is unmapped stays mapped, or nothing can be moved",
        if cfg!(target_pointer_width = "32") || page() > 4096
    ),
    case!("an arena grows and shrinks where it is", arena),
    case!("a ring goes on at its first byte", ring),
    case!(
        "a child does not have a ring",
        ring_of_a_parent,
        qemu_user: "takes any advice, and does nothing"
    ),
    case!("code is written, executed, and written again", code),
    // A kernel for loongarch64 under qemu-system 10 repeats this fault for ever.
    #[cfg(not(target_arch = "loongarch64"))]
    case!(
        "what can be written to cannot be executed",
        code_that_can_be_written_to,
        qemu_user: "a fault that is sent once more it takes for its own, and exits"
    ),
    case!("seals of a file in memory", seals),
    case!("processes share anonymous memory", shared_anonymous),
    case!("huge pages, or others in their place", huge_or_not),
];
