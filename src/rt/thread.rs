//! Runs functions in other threads of a freestanding program.
//!
//! A thread has a stack of its own, with an unmapped page below it, and shares everything else with
//! the other threads. It has no thread-local storage. A panic in any thread ends the process, as
//! does the return of `main`. A child that `clone` or fork made has none of its parent's threads:
//! joining one there waits forever.
//!
//! ```no_run
//! use baremap::{rt::thread, syscall::Errno};
//!
//! fn sum(data: &[u64]) -> Result<u64, Errno> {
//!     let (left, right) = data.split_at(data.len() / 2);
//!     thread::scope(|scope| {
//!         let other = scope.spawn(|| left.iter().sum::<u64>())?;
//!         let right: u64 = right.iter().sum();
//!         Ok(right + other.join())
//!     })
//! }
//! ```

use core::{
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    mem::{self, MaybeUninit},
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use linux_raw_sys::general::{
    CLONE_CHILD_CLEARTID, CLONE_FILES, CLONE_FS, CLONE_PARENT_SETTID, CLONE_SIGHAND, CLONE_SYSVSEM,
    CLONE_THREAD, CLONE_VM, FUTEX_WAIT, FUTEX_WAKE,
};

use super::auxv;
use crate::arch::{clone_thread, kernel_constant};
use crate::syscall::raw::{nr, syscall0, syscall4};
use crate::syscall::{self, Errno, MapFlags, ProtFlags, Result, page_size};

/// The number of the system call, by either of its names. Without a time limit, both are equal.
#[allow(non_upper_case_globals, reason = "the names are the kernel's")]
const FUTEX: u32 = match (kernel_constant!(__NR_futex), kernel_constant!(__NR_futex_time64)) {
    (Some(number), _) | (None, Some(number)) => number,
    (None, None) => panic!("the architecture has neither name of the call"),
};

/// Waits until another thread wakes waiters of `word`, unless its value is not `expected`. Can also
/// return without a reason. Source: futex(2).
///
/// Not `FUTEX_PRIVATE_FLAG`, because the kernel wakes the waiters of a thread's end without it.
fn wait(word: &AtomicU32, expected: u32) {
    let at = word.as_ptr().expose_provenance();
    // SAFETY: the kernel reads the word. There is no time limit.
    unsafe { syscall4(FUTEX as usize, at, FUTEX_WAIT as usize, expected as usize, 0) };
}

/// Waits until a thread stores zero in `word`.
fn wait_for_zero(word: &AtomicU32) {
    loop {
        match word.load(Acquire) {
            0 => return,
            value => wait(word, value),
        }
    }
}

/// The size of a stack in bytes, unless [`Builder::stack_size`] sets another one.
const STACK_SIZE: usize = 1 << 20;

/// The properties of a thread to be started.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Builder {
    stack_size: usize,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// Creates the properties of [`spawn`]: a stack of 1 MiB.
    pub const fn new() -> Builder {
        Builder { stack_size: STACK_SIZE }
    }

    /// Sets the size of the stack in bytes, which is rounded up to whole pages. The result and the
    /// captured variables of the function are not part of it. Memory is used only for pages that the
    /// thread touches. Zero is one page.
    pub const fn stack_size(mut self, size: usize) -> Builder {
        self.stack_size = size;
        self
    }

    /// Starts a thread that calls a function.
    ///
    /// # Errors
    ///
    /// * `ENOSYS` if the program was not started by [`entry!`](crate::entry): libc does not know
    ///   threads that it has not started.
    /// * `ENOMEM` if there is no address space for the stack.
    /// * `EAGAIN` if a limit on the number of threads is reached.
    pub fn spawn<T: Send + 'static>(
        self,
        function: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        // SAFETY: the function borrows nothing.
        let thread = unsafe { Thread::start(self.stack_size, function) }?;
        Ok(JoinHandle(thread))
    }
}

/// Starts a thread that calls a function, on a stack of 1 MiB.
///
/// # Errors
///
/// * `ENOSYS` if the program was not started by [`entry!`](crate::entry): libc does not know threads
///   that it has not started.
/// * `ENOMEM` if there is no address space for the stack.
/// * `EAGAIN` if a limit on the number of threads is reached.
pub fn spawn<T: Send + 'static>(
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    Builder::new().spawn(function)
}

/// What a thread and the one that joins it share, above the thread's stack.
struct Packet<F, T> {
    result: UnsafeCell<MaybeUninit<T>>,
    /// The number of the thread. The kernel stores zero, and wakes waiters, when it has ended.
    tid: AtomicU32,
    function: UnsafeCell<MaybeUninit<F>>,
}

/// A thread that has not been joined, and its mapping.
struct Thread<T> {
    map: NonNull<u8>,
    len: usize,
    tid: NonNull<AtomicU32>,
    result: NonNull<MaybeUninit<T>>,
}

impl<T> Thread<T> {
    /// Starts a thread.
    ///
    /// # Safety
    ///
    /// * The thread ends before what `function` and its result borrow is invalid.
    /// * `function` and `T` may be sent to another thread.
    unsafe fn start<F: FnOnce() -> T>(stack_size: usize, function: F) -> Result<Thread<T>> {
        if !auxv::is_freestanding() {
            return Err(Errno::ENOSYS);
        }
        let page = page_size();
        // The packet can begin at any multiple of its alignment, and two words are below it.
        let shared = size_of::<Packet<F, T>>() + align_of::<Packet<F, T>>().max(64) + 64;
        let stack = stack_size.max(1).checked_next_multiple_of(page).ok_or(Errno::ENOMEM)?;
        let len = shared.next_multiple_of(page).checked_add(stack).ok_or(Errno::ENOMEM)?;
        let len = len.checked_add(page).ok_or(Errno::ENOMEM)?;
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::NORESERVE;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: without a fixed address no existing mapping is replaced.
        let map = unsafe { syscall::mmap(ptr::null_mut(), len, prot, flags, None, 0) }?;
        let unmap = |errno| {
            // SAFETY: the mapping is this function's, and no thread uses it.
            let _ = unsafe { syscall::munmap(map, len) };
            errno
        };
        // SAFETY: the mapping is this function's.
        unsafe { syscall::mprotect(map, page, ProtFlags::empty()) }.map_err(unmap)?;

        let top = map.wrapping_add(len - size_of::<Packet<F, T>>());
        let packet = top.wrapping_sub(top.addr() % align_of::<Packet<F, T>>().max(16));
        let words = packet.wrapping_sub(64).cast::<usize>();
        let packet = packet.cast::<Packet<F, T>>();
        let begin: unsafe extern "C" fn(*const Packet<F, T>) -> ! = begin::<F, T>;
        // SAFETY: the packet and the words are at aligned addresses in the mapping.
        let packet = unsafe {
            packet.write(Packet {
                result: UnsafeCell::new(MaybeUninit::uninit()),
                tid: AtomicU32::new(u32::MAX),
                function: UnsafeCell::new(MaybeUninit::new(function)),
            });
            words.write((begin as *const ()).expose_provenance());
            words.add(1).write(packet.expose_provenance());
            &*packet
        };
        let flags = CLONE_VM
            | CLONE_FS
            | CLONE_FILES
            | CLONE_SIGHAND
            | CLONE_THREAD
            | CLONE_SYSVSEM
            | CLONE_PARENT_SETTID
            | CLONE_CHILD_CLEARTID;
        let tid = packet.tid.as_ptr();
        // SAFETY: the stack is a multiple of 16, has the two words, and is the thread's alone. The
        // kernel writes the number of the thread before it starts.
        let started = Errno::check(unsafe { clone_thread(flags as usize, words, tid, tid) });
        if let Err(errno) = started {
            // SAFETY: no thread has taken the function.
            drop(unsafe { (*packet.function.get()).assume_init_read() });
            return Err(unmap(errno));
        }
        Ok(Thread {
            map: NonNull::new(map).ok_or(Errno::ENOMEM)?,
            len,
            tid: NonNull::from(&packet.tid),
            // SAFETY: the address of a field is not null.
            result: unsafe { NonNull::new_unchecked(packet.result.get()) },
        })
    }

    fn is_finished(&self) -> bool {
        // SAFETY: the mapping exists as long as the value.
        unsafe { self.tid.as_ref() }.load(Acquire) == 0
    }

    fn join(self) -> T {
        let this = mem::ManuallyDrop::new(self);
        // SAFETY: the mapping exists until the end of the function. The thread has ended, and has
        // stored its result before.
        unsafe {
            wait_for_zero(this.tid.as_ref());
            let result = this.result.as_ptr().read().assume_init();
            let _ = syscall::munmap(this.map.as_ptr(), this.len);
            result
        }
    }
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        let Thread { map, len, tid, result } = *self;
        drop(Thread { map, len, tid, result }.join());
    }
}

/// Calls the function of a thread, and ends the thread.
///
/// # Safety
///
/// * `packet` is valid until the kernel has stored zero in its number, and its function has not been
///   taken.
unsafe extern "C" fn begin<F: FnOnce() -> T, T>(packet: *const Packet<F, T>) -> ! {
    // SAFETY: the packet is valid. Until the end, only this thread uses the function and the result.
    unsafe {
        let function = (*(*packet).function.get()).assume_init_read();
        (*(*packet).result.get()).write(function());
        syscall::exit(0)
    }
}

/// A thread that has been started by [`spawn`].
///
/// Dropping the handle waits for the end of the thread, like [`join`](JoinHandle::join).
pub struct JoinHandle<T>(Thread<T>);

// SAFETY: any thread can wait for the end of another, and takes the result, which is `Send`.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: with a reference, only the number of the thread is read, which is atomic.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// Waits for the end of the thread, and returns the result of its function.
    #[allow(clippy::must_use_candidate, reason = "the result is often of no interest")]
    pub fn join(self) -> T {
        self.0.join()
    }

    /// Returns whether the thread has ended, so that [`join`](JoinHandle::join) does not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").finish_non_exhaustive()
    }
}

/// A scope, in which threads can be started that borrow what exists outside of it.
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    /// The number of threads that have not ended.
    running: AtomicU32,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// Calls a function with a scope, and waits for the end of all threads that were started in it.
pub fn scope<'env, T>(function: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T) -> T {
    let scope = Scope { running: AtomicU32::new(0), scope: PhantomData, env: PhantomData };
    let result = function(&scope);
    // A handle that was leaked has not waited.
    wait_for_zero(&scope.running);
    result
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a thread that calls a function, on a stack of 1 MiB.
    ///
    /// # Errors
    ///
    /// * `ENOSYS` if the program was not started by [`entry!`](crate::entry): libc does not know
    ///   threads that it has not started.
    /// * `ENOMEM` if there is no address space for the stack.
    /// * `EAGAIN` if a limit on the number of threads is reached.
    pub fn spawn<T: Send + 'scope>(
        &'scope self,
        function: impl FnOnce() -> T + Send + 'scope,
    ) -> Result<ScopedJoinHandle<'scope, T>> {
        let running = &self.running;
        running.fetch_add(1, Relaxed);
        let run = move || {
            let result = function();
            let at = running.as_ptr().expose_provenance();
            // From here on, the scope may have ended.
            if running.fetch_sub(1, Release) == 1 {
                // SAFETY: the call accesses no memory, and wakes the threads that wait for this address.
                unsafe { syscall4(FUTEX as usize, at, FUTEX_WAKE as usize, i32::MAX as usize, 0) };
            }
            result
        };
        // SAFETY: the scope ends after `running` is zero, when the function has returned. A result
        // is only taken by a handle, which does not live longer than what the result borrows.
        match unsafe { Thread::start(STACK_SIZE, run) } {
            Ok(thread) => Ok(ScopedJoinHandle { thread, scope: PhantomData }),
            Err(errno) => {
                running.fetch_sub(1, Relaxed);
                Err(errno)
            }
        }
    }
}

/// A thread that has been started by [`Scope::spawn`].
///
/// Dropping the handle waits for the end of the thread, like [`join`](ScopedJoinHandle::join).
pub struct ScopedJoinHandle<'scope, T> {
    thread: Thread<T>,
    scope: PhantomData<&'scope ()>,
}

// SAFETY: any thread can wait for the end of another, and takes the result, which is `Send`.
unsafe impl<T: Send> Send for ScopedJoinHandle<'_, T> {}
// SAFETY: with a reference, only the number of the thread is read, which is atomic.
unsafe impl<T: Send> Sync for ScopedJoinHandle<'_, T> {}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the end of the thread, and returns the result of its function.
    #[allow(clippy::must_use_candidate, reason = "the result is often of no interest")]
    pub fn join(self) -> T {
        self.thread.join()
    }

    /// Returns whether the thread has ended, so that [`join`](ScopedJoinHandle::join) does not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}

/// Lets other threads run on this processor. Source: sched_yield(2).
pub fn yield_now() {
    // SAFETY: the call accesses no memory.
    unsafe { syscall0(nr::sched_yield) };
}

/// Returns the number of processors that may run the calling thread, or one if it is unknown.
#[doc(alias = "sched_getaffinity")]
#[must_use]
pub fn available_parallelism() -> usize {
    let mut mask = [0_usize; 128];
    if syscall::sched_getaffinity(0, &mut mask).is_err() {
        return 1;
    }
    mask.iter().map(|word| word.count_ones() as usize).sum::<usize>().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_parallelism_is_that_of_libc() {
        // SAFETY: the kernel writes a set of the size that is passed.
        let theirs = unsafe {
            let mut set: libc::cpu_set_t = mem::zeroed();
            assert_eq!(libc::sched_getaffinity(0, size_of_val(&set), &raw mut set), 0);
            libc::CPU_COUNT(&set)
        };
        assert_eq!(available_parallelism(), theirs as usize);
    }

    /// A thread without libc's thread-local storage would break the standard library.
    #[test]
    fn a_hosted_program_cannot_start_threads() {
        assert_eq!(spawn(|| ()).err(), Some(Errno::ENOSYS));
    }
}
