//! Threads: their stacks, results and ends.

use super::processes::{child, ended};
use super::*;
use baremap::rt::thread::{self, Builder};
use baremap::rt::time;
use baremap::syscall::{Signal, WaitStatus};
use core::{
    hint::black_box,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::Duration,
};

fn results() -> Outcome {
    let numbers: [u64; 40] = core::array::from_fn(|index| index as u64 * 0x0123_4567_89ab);
    let handle = thread::spawn(move || (numbers, 1.5_f64, "text"))?;
    same(handle.join(), (numbers, 1.5, "text"))?;
    thread::spawn(|| ())?.join();
    Ok(())
}

fn parallel() -> Outcome {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    const TIMES: u32 = 1000;
    let run = || {
        for _ in 0..TIMES {
            COUNT.fetch_add(1, SeqCst);
        }
    };
    let handles =
        [thread::spawn(run)?, thread::spawn(run)?, thread::spawn(run)?, thread::spawn(run)?];
    same(handles.map(thread::JoinHandle::join), [(); 4])?;
    same(COUNT.load(SeqCst), 4 * TIMES)
}

/// One thread waits for a store of the other, so that both have to run at the same time.
fn scoped() -> Outcome {
    let (ready, mut values) = (AtomicU32::new(0), [0_u32; 2]);
    let [left, right] = &mut values;
    let ended = thread::scope(|scope| -> syscall::Result<bool> {
        let ready = &ready;
        let first = scope.spawn(move || {
            while ready.load(SeqCst) == 0 {
                thread::yield_now();
            }
            *left = 1;
        })?;
        let late = scope.spawn(move || {
            // The scope would be over by now if it did not wait.
            let slept = time::sleep(Duration::from_millis(20));
            *right = if slept.is_ok() { 2 } else { 3 };
        })?;
        core::mem::forget(late);
        let ended = first.is_finished();
        ready.store(1, SeqCst);
        first.join();
        Ok(ended)
    })?;
    same(ended, false)?;
    same(values, [1, 2])
}

fn aligned() -> Outcome {
    #[derive(Clone, Copy)]
    #[repr(align(256))]
    struct Large(u8);

    let value = Large(7);
    let handle = thread::spawn(move || {
        let aligned = (&raw const value).addr().is_multiple_of(256);
        (start::aligned_local() && aligned, black_box(value).0)
    })?;
    same(handle.join(), (true, 7))
}

/// Writes all of an array that is larger than the pages that the stack begins with.
fn stack_size() -> Outcome {
    fn fill() -> u8 {
        let mut bytes = [0_u8; 400_000];
        black_box(&mut bytes).fill(3);
        black_box(&bytes)[399_999]
    }
    same(Builder::new().stack_size(500_000).spawn(fill)?.join(), 3)?;
    fails(Builder::new().stack_size(usize::MAX).spawn(|| ()).map(drop), Errno::ENOMEM)
}

#[expect(unconditional_recursion, reason = "until the stack is full")]
fn recurse(depth: u32) -> u32 {
    let page = [depth; 256];
    recurse(black_box(&page)[9]) + black_box(&page)[3]
}

/// Below the four pages of the stack is a page that cannot be read. The thread begins above them, in
/// the page with its captured variables.
fn guard_page() -> Outcome {
    let below = || {
        let local = 0_u8;
        let page_of_local =
            black_box(&raw const local).cast_mut().map_addr(|at| at & !(page() - 1));
        (1..8).take_while(|index| readable(page_of_local.wrapping_sub(index * page()))).count()
    };
    let count = Builder::new().stack_size(4 * page()).spawn(below)?.join();
    ensure((3..=4).contains(&count), "pages that are not of the stack")?;
    let pid = child(|| {
        let handle = Builder::new().stack_size(0).spawn(|| recurse(1));
        handle.map_or(7, |handle| handle.join() as i32)
    })?;
    same(ended(pid)?, WaitStatus::Killed(Signal::SEGV, false))
}

/// Returns the size of the address space in pages, and the number of pages in memory.
fn statm() -> Result<[usize; 2], Trouble> {
    let fd = match syscall::open(c"/proc/self/statm", OFlags::RDONLY, Mode::empty()) {
        Err(Errno::ENOENT) => return Err(Trouble::Missing("/proc")),
        result => result?,
    };
    let mut text = [0; 128];
    let length = syscall::read(fd.as_fd(), &mut text)?;
    let text = core::str::from_utf8(&text[..length]).unwrap_or_default();
    let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or_default());
    Ok([numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()])
}

/// A leak of address space would exhaust it on 32-bit architectures: 5000 stacks of 1 MiB, or as many
/// as `BAREMAP_SPAWNS` says.
fn nothing_leaks(start: Start) -> Outcome {
    let variable = |text: &CStr| text.to_str().ok()?.strip_prefix("BAREMAP_SPAWNS=")?.parse().ok();
    let count: u32 = start.env().find_map(variable).unwrap_or(5000);
    thread::spawn(|| ())?.join();
    let before = statm()?;
    for number in 0..count {
        same(thread::spawn(move || number)?.join(), number)?;
    }
    let after = statm()?;
    if !EMULATED.load(Relaxed) {
        same(after[0], before[0])?;
        // The kernel counts pages for each processor, and adds the counts up now and then.
        ensure(after[1].abs_diff(before[1]) < 256, "memory that was not given back")?;
    }
    println!("# {count} threads, pages: {before:?} before, {after:?} after");
    Ok(())
}

pub const CASES: &[Case] = &[
    case!("a thread returns its result", results),
    case!("four threads add to one number", parallel),
    case!("scoped threads borrow, and are waited for", scoped),
    case!("the stack and the captured variables are aligned", aligned),
    case!("the stack has the size that was asked for", stack_size),
    case!("an overflow of a thread's stack is SIGSEGV", guard_page),
    case!("thousands of threads leave nothing behind", start nothing_leaks),
];
