//! Allocates memory for `Vec`, `String` and the other types of the crate `alloc`, with mmap(2).
//! Needs the feature `alloc`.
//!
//! A program selects the allocator with `#[global_allocator]`:
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
//! A freestanding program also declares `extern crate alloc`; see `examples/words.rs`. If an
//! allocation fails, the program writes one line to standard error and aborts. `try_reserve` and
//! similar methods return an error instead.
//!
//! An allocation of 128 KiB or more is a mapping of its own. It grows and shrinks with mremap(2),
//! without being copied if possible, and is unmapped when it is freed. Smaller allocations share
//! mappings of at least 1 MiB, which the crate `talc` manages. These mappings are never unmapped,
//! but their memory is reused.
//!
//! An allocation fails if the kernel refuses to map memory. Unless `vm.overcommit_memory` is 2, the
//! kernel can map more than it has; if memory is short later, it kills a process.

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

/// A global allocator that uses mmap(2), for freestanding and hosted programs.
///
/// Any number of threads may use it. Small allocations are protected by a spin lock that yields the
/// processor.
///
/// Do not allocate or free memory in a signal handler, or in a child that a process with several
/// threads created with `fork`: the lock may be held by the interrupted code or by another thread
/// of the parent, and then it is never released.
pub struct Allocator {
    small: Talck<Spin, Pages>,
}

impl Allocator {
    /// Creates an allocator without memory. It maps memory when it is first used.
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

/// The size in bytes from which on an allocation is a mapping of its own.
const LARGE: usize = 128 * 1024;

/// Returns whether an allocation with this layout is a mapping of its own.
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE
}

// SAFETY: memory comes from the kernel or from `talc`. The layout decides which, at allocation as
// well as at reallocation and deallocation. No function panics.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller fulfills the contract of `GlobalAlloc::alloc`.
        unsafe { if is_large(layout) { Pages.alloc(layout) } else { self.small.alloc(layout) } }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller fulfills the contract of `GlobalAlloc::dealloc`.
        unsafe {
            if is_large(layout) {
                Pages.dealloc(at, layout);
            } else {
                self.small.dealloc(at, layout);
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller fulfills the contract of `GlobalAlloc::alloc_zeroed`.
        unsafe {
            // New pages are zero, and need not be written to.
            if is_large(layout) { Pages.alloc(layout) } else { self.small.alloc_zeroed(layout) }
        }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that `size` is valid for a layout with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller fulfills the contract of `GlobalAlloc::realloc`. The copied bytes
        // are inside the old and the new allocation, which do not overlap.
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

/// Resizes a large allocation with mremap(2). The kernel refuses if it consists of several
/// mappings, because advice was given for a part of it.
///
/// # Safety
///
/// * `old` is a large allocation with this layout.
/// * `size` is not zero, and the old address is not used after this succeeds.
unsafe fn remap(old: *mut u8, layout: Layout, size: usize) -> syscall::Result<*mut u8> {
    // The kernel aligns the new address to a page, and not to a larger alignment.
    let may_move = layout.align() <= page_size();
    let flags = if may_move { MremapFlags::MAYMOVE } else { MremapFlags::empty() };
    // SAFETY: the caller owns the mapping, and does not use the old address afterwards.
    unsafe { syscall::mremap(old, layout.size(), size, flags, ptr::null_mut()) }
}

/// Commits all pages of a reservation, and returns their address without unmapping them.
fn leak(mut memory: Reservation) -> map::Result<*mut u8> {
    memory.commit(0..memory.len())?;
    Ok(ManuallyDrop::new(memory).as_mut_ptr())
}

/// Allocates each layout as a mapping of its own.
#[derive(Debug)]
struct Pages;

// SAFETY: each mapping is new, as long as the layout, and mapped until it is deallocated. (A
// layout has at most `isize::MAX` bytes, and the kernel rounds the length up to whole pages.)
unsafe impl GlobalAlloc for Pages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > page_size() {
            let memory = Reservation::aligned(layout.size(), layout.align());
            return memory.and_then(leak).unwrap_or(ptr::null_mut());
        }
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
        // SAFETY: without a fixed address, no existing mapping is replaced.
        let at = unsafe { syscall::mmap(ptr::null_mut(), layout.size(), prot, flags, None, 0) };
        at.unwrap_or(ptr::null_mut())
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller does not use the allocation any more.
        let _ = unsafe { syscall::munmap(at, layout.size()) };
    }
}

/// The smallest mapping for small allocations, in bytes. Pages that are not accessed take no
/// memory.
const BLOCK: usize = 1024 * 1024;

/// An upper limit of the bytes that `talc` needs for its own data in a block.
const TALC_OVERHEAD: usize = 4096;

impl OomHandler for Pages {
    fn handle_oom(talc: &mut Talc<Pages>, layout: Layout) -> Result<(), ()> {
        // Up to `align` bytes at the beginning of the block may be lost to the alignment.
        let needed = layout.size().checked_add(layout.align()).ok_or(())?;
        let size = needed.checked_add(TALC_OVERHEAD).ok_or(())?.max(BLOCK);
        let layout = Layout::from_size_align(size, 1).map_err(drop)?;
        // SAFETY: the size is not zero.
        let block = unsafe { Pages.alloc(layout) };
        if block.is_null() {
            return Err(());
        }
        // SAFETY: the block was mapped just now, nothing else refers to it, and it is never
        // unmapped.
        unsafe { talc.claim(Span::from_base_size(block, size)) }.map(drop)
    }
}

/// A spin lock, which needs no support of the runtime. It is held for some hundred instructions,
/// or for one system call.
struct Spin(AtomicBool);

// SAFETY: the thread that changes the value from `false` to `true` has the lock, and no other
// thread has it until the value is `false` again. Acquire and release ordering pass on what was
// written.
unsafe impl lock_api::RawMutex for Spin {
    #[allow(clippy::declare_interior_mutable_const, reason = "each use creates a new lock")]
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
                    // The thread that holds the lock may be waiting for this processor.
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
