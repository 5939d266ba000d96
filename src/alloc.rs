//! Memory for `Vec`, `String` and all else of the crate `alloc`, from mmap(2): feature
//! `alloc`.
//!
//! A program says which allocator it uses. This one, in one line:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: baremap::alloc::Allocator = baremap::alloc::Allocator::new();
//!
//! fn main() {
//!     let words: Vec<String> = "from the kernel".split(' ').map(String::from).collect();
//!     assert_eq!(words.concat(), "fromthekernel");
//! }
//! ```
//!
//! A freestanding program has `extern crate alloc` as well: `examples/words.rs`. When memory
//! is at an end it is told so in one line, and aborts; `try_reserve` and its like give an
//! error instead.
//!
//! Of 128 KiB and more each is a mapping of its own, which grows by mremap(2) without being
//! copied if it can, and is given back when it is freed. What is smaller shares mappings of at least
//! 1 MiB (the crate `talc` cuts them up), which are kept for what comes later.

use core::{
    alloc::{GlobalAlloc, Layout},
    fmt, hint,
    mem::ManuallyDrop,
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};

use talc::{OomHandler, Span, Talc, Talck};

use crate::map::{self, Reservation};
use crate::syscall::{self, MapFlags, MremapFlags, ProtFlags, page_size};

/// A global allocator over mmap(2), for freestanding and for hosted programs.
///
/// Threads may share it: where two want small memory at once, one waits in a loop that lets others run. So it is
/// not to be used in a signal handler, nor in a copy that `fork` made of a process with more
/// threads than one: the lock may be held for good.
pub struct Allocator {
    small: Talck<Spin, Pages>,
}

impl Allocator {
    /// An allocator that has no memory yet.
    #[must_use]
    pub const fn new() -> Allocator {
        Allocator { small: Talck::new(Talc::new(Pages)) }
    }
}

impl Default for Allocator {
    fn default() -> Allocator {
        Allocator::new()
    }
}

impl fmt::Debug for Allocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allocator").finish_non_exhaustive()
    }
}

/// From this size on, in bytes, memory is a mapping of its own.
const LARGE: usize = 128 * 1024;

/// Whether memory of this layout is.
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE
}

// SAFETY: memory comes from the kernel or from `talc`, and goes back to where a layout says
// that it came from, as does all that is done with it meanwhile. Nothing here panics.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { if is_large(layout) { Pages.alloc(layout) } else { self.small.alloc(layout) } }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe {
            if is_large(layout) {
                Pages.dealloc(at, layout);
            } else {
                self.small.dealloc(at, layout);
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe {
            // New pages are zero, and are not touched.
            if is_large(layout) { Pages.alloc(layout) } else { self.small.alloc_zeroed(layout) }
        }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is one of a layout.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller's promise; what is copied is in both, which are not the same.
        unsafe {
            match (is_large(layout), is_large(new)) {
                (false, false) => return self.small.realloc(old, layout, size),
                (true, true) => {
                    if let Ok(at) = remap(old, layout, size) {
                        return at;
                    }
                }
                _ => {}
            }
            let at = self.alloc(new);
            if !at.is_null() {
                at.copy_from_nonoverlapping(old, size.min(layout.size()));
                self.dealloc(old, layout);
            }
            at
        }
    }
}

/// Makes large memory longer or shorter without copying it. The kernel refuses if it is of
/// several mappings by now, as after advice for a part of it.
///
/// # Safety
///
/// As for `realloc`, if it succeeds.
unsafe fn remap(old: *mut u8, layout: Layout, size: usize) -> syscall::Result<*mut u8> {
    // Where it moves to, the kernel sees to a page's alignment and no other.
    let may_move = layout.align() <= page_size();
    let flags = if may_move { MremapFlags::MAYMOVE } else { MremapFlags::empty() };
    // SAFETY: the mapping is the caller's, who uses the old address no more.
    unsafe { syscall::mremap(old, layout.size(), size, flags, ptr::null_mut()) }
}

/// All of a reservation's pages, as memory that has no owner but its pointer.
fn leak(mut memory: Reservation) -> map::Result<*mut u8> {
    memory.commit(0..memory.len())?;
    Ok(ManuallyDrop::new(memory).as_mut_ptr())
}

/// Gives each layout a mapping of its own.
#[derive(Debug)]
struct Pages;

// SAFETY: every mapping is its caller's own, as long as asked, until given back. (A layout has
// at most `isize::MAX` bytes, and the kernel rounds them up to pages.)
unsafe impl GlobalAlloc for Pages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > page_size() {
            let memory = Reservation::aligned(layout.size(), layout.align());
            return memory.and_then(leak).unwrap_or(ptr::null_mut());
        }
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
        // SAFETY: at no fixed address, so nothing is replaced.
        let at = unsafe { syscall::mmap(ptr::null_mut(), layout.size(), prot, flags, None, 0) };
        at.unwrap_or(ptr::null_mut())
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: nobody uses it any more, by the caller's promise.
        let _ = unsafe { syscall::munmap(at, layout.size()) };
    }
}

/// How much is mapped at once for small memory, in bytes. What is not touched costs nothing.
const BLOCK: usize = 1024 * 1024;

/// More than `talc` needs for its own account of a block.
const ACCOUNT: usize = 4096;

impl OomHandler for Pages {
    fn handle_oom(talc: &mut Talc<Pages>, layout: Layout) -> Result<(), ()> {
        // Aligned memory may begin anywhere in a block.
        let needed = layout.size().checked_add(layout.align()).ok_or(())?;
        let size = needed.checked_add(ACCOUNT).ok_or(())?.max(BLOCK);
        let layout = Layout::from_size_align(size, 1).map_err(drop)?;
        // SAFETY: not of zero bytes.
        let block = unsafe { Pages.alloc(layout) };
        if block.is_null() {
            return Err(());
        }
        // SAFETY: just mapped, nobody else's, and never unmapped.
        unsafe { talc.claim(Span::from_base_size(block, size)) }.map(drop)
    }
}

/// A lock that needs nothing but itself. It is held for some hundred instructions, or for
/// one system call.
struct Spin(AtomicBool);

// SAFETY: who swaps `true` for `false` has the lock, and nobody else before it is `false`
// again; what was done under it is seen by the next one (acquire, release).
unsafe impl lock_api::RawMutex for Spin {
    #[allow(clippy::declare_interior_mutable_const, reason = "a new one each time")]
    const INIT: Spin = Spin(AtomicBool::new(false));
    type GuardMarker = lock_api::GuardSend;

    fn lock(&self) {
        while !self.try_lock() {
            let mut patience = 100;
            while self.0.load(Ordering::Relaxed) {
                if patience > 0 {
                    patience -= 1;
                    hint::spin_loop();
                } else {
                    // Who has it may be waiting for this very processor.
                    syscall::sched_yield();
                }
            }
        }
    }

    fn try_lock(&self) -> bool {
        !self.0.swap(true, Ordering::Acquire)
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}
