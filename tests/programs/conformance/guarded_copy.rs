//! The guarded copy, which stops at a fault.

use super::processes::{child, ended};
use super::signals::Acting;
use super::*;
use baremap::map::guard;
use baremap::syscall::{Disposition, SaFlags, SigSet, Signal, WaitStatus};
use core::{
    ffi::c_int,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst},
};

/// Returns a byte for each index. Neighbours differ, and no byte is `UNTOUCHED`.
pub fn pattern(index: usize) -> u8 {
    (index % 251) as u8
}

const UNTOUCHED: u8 = 0xfe;

/// Returns pages that are filled with the pattern.
fn patterned(pages: usize) -> syscall::Result<Pages> {
    let pages = Pages::zeros(pages)?;
    (0..pages.length).for_each(|index| pages.set(index, pattern(index)));
    Ok(pages)
}

/// Copies, and checks every byte around the destination. `there` is the number of bytes that can be
/// copied.
fn copies(
    from: &Pages,
    from_index: usize,
    to: &Pages,
    to_index: usize,
    len: usize,
    there: usize,
) -> Outcome {
    let around = 40;
    let (start, end) = (to_index.saturating_sub(around), to_index + there + around);
    let end = if there < len { to_index + there } else { end };
    for index in start..end {
        to.set(index, UNTOUCHED);
    }
    // SAFETY: two mappings to which there are no references.
    let left = unsafe {
        guard::copy(from.addr.wrapping_add(from_index), to.addr.wrapping_add(to_index), len)
    };
    let result = if there == len { Ok(()) } else { Err(len - there) };
    if left != result {
        return Err(wrong(format_args!(
            "got {left:?}, wanted {result:?}: {from_index} to {to_index}, {len}"
        )));
    }
    for index in start..end {
        let inside = (to_index..to_index + there).contains(&index);
        let wanted = if inside { pattern(from_index + index - to_index) } else { UNTOUCHED };
        if to.get(index) != wanted {
            return Err(wrong(format_args!("byte {index}: {from_index} to {to_index}, {len}")));
        }
    }
    Ok(())
}

fn whole() -> Outcome {
    let (from, to) = (patterned(3)?, Pages::zeros(4)?);
    let short = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 127, 128, 129, 130,
        191, 255, 256, 257, 300, 383, 384, 385,
    ];
    for from_index in 0..9 {
        for to_index in 40..49 {
            for len in short {
                copies(&from, from_index, &to, to_index, len, len)?;
            }
        }
    }
    for (from_index, to_index) in
        [(0, 40), (3, 43), (0, 64), (1, 72), (5, 4096 + 7), (16, 4096 + 60)]
    {
        for len in [255, 256, 257, 511, 600, 1023, 2047, 2048, 2049, 4096, 5000, 2 * page() + 3] {
            copies(&from, from_index, &to, to_index, len, len)?;
        }
    }
    Ok(())
}

/// Makes a page inaccessible.
type Break = fn(&Pages, usize) -> Outcome;

fn forbid(pages: &Pages, number: usize) -> Outcome {
    // SAFETY: the page is the case's own.
    unsafe { syscall::mprotect(pages.page(number), page(), ProtFlags::empty())? };
    Ok(())
}

fn make_read_only(pages: &Pages, number: usize) -> Outcome {
    // SAFETY: the page is the case's own.
    unsafe { syscall::mprotect(pages.page(number), page(), ProtFlags::READ)? };
    Ok(())
}

/// Replaces a page by one beyond the end of a file.
pub fn shorten(pages: &Pages, number: usize) -> Outcome {
    let file = numbered(1)?;
    let (at, flags) = (pages.page(number), MapFlags::SHARED | MapFlags::FIXED);
    // SAFETY: the page is the case's own.
    unsafe { syscall::mmap(at, page(), READ_WRITE, flags, Some(file.as_fd()), 0)? };
    syscall::ftruncate(file.as_fd(), 0)?;
    Ok(())
}

fn unmap(pages: &Pages, number: usize) -> Outcome {
    // SAFETY: the page is the case's own; nothing is mapped before the case has ended.
    unsafe { syscall::munmap(pages.page(number), page())? };
    Ok(())
}

/// Tries every distance from the last accessible byte, and every relative alignment.
fn stops_at_the_source(broken: Break) -> Outcome {
    let (from, to) = (patterned(3)?, Pages::zeros(2)?);
    broken(&from, 1)?;
    for there in (0..70).chain([255, 256, 300, 2500]) {
        for to_index in [40, 41, 44, 47] {
            for beyond in [1, 2, 9, 64, 300, page()] {
                copies(&from, page() - there, &to, to_index, there + beyond, there)?;
            }
        }
    }
    Ok(())
}

fn stops_at_the_destination(broken: Break) -> Outcome {
    let (from, to) = (patterned(2)?, Pages::zeros(3)?);
    broken(&to, 1)?;
    for there in (0..70).chain([255, 256, 300, 2500]) {
        for from_index in [0, 1, 4, 7] {
            for beyond in [1, 2, 9, 64, 300, page()] {
                copies(&from, from_index, &to, page() - there, there + beyond, there)?;
            }
        }
    }
    Ok(())
}

fn source_beyond_the_end() -> Outcome {
    stops_at_the_source(shorten)
}

fn source_forbidden() -> Outcome {
    stops_at_the_source(forbid)
}

fn source_not_mapped() -> Outcome {
    stops_at_the_source(unmap)
}

fn destination_beyond_the_end() -> Outcome {
    stops_at_the_destination(shorten)
}

fn destination_read_only() -> Outcome {
    stops_at_the_destination(make_read_only)
}

/// Copies from and to addresses that no mapping can have, and copies no bytes.
fn anywhere() -> Outcome {
    let mut byte = 7;
    for from in [0, 1, 8, usize::MAX, usize::MAX / 2 + 1, isize::MAX as usize] {
        let nowhere: *mut u8 = ptr::without_provenance_mut(from);
        // SAFETY: the byte is this function's, and nothing is mapped elsewhere.
        unsafe {
            same(guard::copy(nowhere, &mut byte, 1), Err(1))?;
            same(guard::copy(&byte, nowhere, 1), Err(1))?;
            same(guard::copy(nowhere, nowhere.wrapping_add(64), 0), Ok(()))?;
        }
    }
    same(byte, 7)
}

/// The missing page, for the handler.
static MISSING: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static LEFT: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn copy_that_faults(_: c_int) {
    let mut bytes = [0; 64];
    let from = MISSING.load(SeqCst).wrapping_sub(10);
    // SAFETY: the bytes are this function's; the mapping is the case's.
    let left = unsafe { guard::copy(from, bytes.as_mut_ptr(), 64) };
    LEFT.store(left.err().unwrap_or(0), SeqCst);
}

fn in_a_handler() -> Outcome {
    let from = patterned(2)?;
    shorten(&from, 1)?;
    MISSING.store(from.page(1), SeqCst);
    let handler = Disposition::Handler(copy_that_faults);
    let _acting = Acting::new(Signal::USR1, handler, SaFlags::empty(), SigSet::empty())?;
    syscall::raise(Signal::USR1)?;
    same(LEFT.load(SeqCst), 54)
}

/// A child inherits the handler and its table of mappings.
fn in_a_child() -> Outcome {
    let from = patterned(2)?;
    shorten(&from, 1)?;
    let mut bytes = [0; 64];
    // SAFETY: the bytes are this function's; the mapping is the case's.
    let copy = |bytes: &mut [u8; 64]| unsafe {
        guard::copy(from.page(1).wrapping_sub(20), bytes.as_mut_ptr(), 64)
    };
    same(copy(&mut bytes), Err(44))?;
    let pid = child(|| i32::from(copy(&mut bytes) == Err(44)))?;
    same(ended(pid)?, WaitStatus::Exited(1))
}

pub const CASES: &[Case] = &[
    case!("a copy is whole", whole),
    case!("a copy from beyond the end of a file stops there", source_beyond_the_end),
    case!("a copy from where nothing is allowed stops there", source_forbidden),
    case!("a copy from where nothing is mapped stops there", source_not_mapped),
    case!("a copy to beyond the end of a file stops there", destination_beyond_the_end),
    case!("a copy to where writing is not allowed stops there", destination_read_only),
    case!("a copy from and to nowhere", anywhere),
    case!("a copy in a signal handler stops", in_a_handler),
    case!("a copy in a child stops", in_a_child),
];
