//! Mappings that grow, shrink and move.

use super::*;
use baremap::syscall::MremapFlags;

/// Calls `mremap` on a whole mapping, and records the result.
fn remap(pages: &mut Pages, length: usize, flags: MremapFlags) -> syscall::Result<()> {
    // SAFETY: the mapping is the caller's own, and forgets its old address here.
    let result =
        unsafe { syscall::mremap(pages.addr, pages.length, length, flags, ptr::null_mut()) };
    pages.addr = result?;
    pages.length = length;
    Ok(())
}

fn grows() -> Outcome {
    let mut pages = Pages::zeros(2)?;
    pages.set(0, 1);
    pages.set(2 * page() - 1, 2);
    remap(&mut pages, 9 * page(), MremapFlags::MAYMOVE)?;
    same((pages.get(0), pages.get(2 * page() - 1)), (1, 2))?;
    same((pages.get(2 * page()), pages.get(9 * page() - 1)), (0, 0))?;
    pages.set(9 * page() - 1, 3);
    same(pages.get(9 * page() - 1), 3)
}

fn shrinks() -> Outcome {
    let mut pages = Pages::zeros(3)?;
    let (at, gone) = (pages.addr, pages.page(1));
    pages.set(0, 1);
    remap(&mut pages, page(), MremapFlags::empty())?;
    same((pages.addr, pages.get(0)), (at, 1))?;
    ensure(!readable(gone), "a page that is still there")
}

fn stays_if_it_may_not_move() -> Outcome {
    let pages = Pages::zeros(3)?;
    pages.set(0, 1);
    let mut first = core::mem::ManuallyDrop::new(Pages { addr: pages.addr, length: page() });
    fails(remap(&mut first, 2 * page(), MremapFlags::empty()), Errno::ENOMEM)?;
    same((pages.get(0), pages.get(page())), (1, 0))
}

/// With an old length of zero, a shared mapping is mapped a second time.
fn doubles() -> Outcome {
    let pages = Pages::map(page(), READ_WRITE, SHARED_ANONYMOUS, None, 0)?;
    // SAFETY: nothing is unmapped.
    let addr =
        unsafe { syscall::mremap(pages.addr, 0, page(), MremapFlags::MAYMOVE, ptr::null_mut())? };
    let twin = Pages { addr, length: page() };
    pages.set(5, 6);
    same(twin.get(5), 6)
}

fn errors() -> Outcome {
    let pages = Pages::zeros(2)?;
    let mremap = |at, old, new, flags| {
        // SAFETY: fails, or leaves the mapping as it is.
        unsafe { syscall::mremap(at, old, new, flags, ptr::null_mut()) }
    };
    let none = MremapFlags::empty();
    fails(mremap(pages.at(1), page(), page(), none), Errno::EINVAL)?;
    fails(mremap(pages.addr, page(), page(), MremapFlags::FIXED), Errno::EINVAL)?;
    same(mremap(pages.addr, page(), page(), none), Ok(pages.addr))
}

fn to_nothing() -> Outcome {
    let pages = Pages::zeros(1)?;
    let none = MremapFlags::empty();
    // SAFETY: refused.
    let result = unsafe { syscall::mremap(pages.addr, page(), 0, none, ptr::null_mut()) };
    fails(result, Errno::EINVAL)?;
    ensure(readable(pages.addr), "a page that is gone")
}

fn unmapped() -> Outcome {
    let hole = Pages::zeros(3)?;
    // SAFETY: the pages are this function's own.
    let result = unsafe {
        syscall::munmap(hole.page(1), page())?;
        let flags = MremapFlags::MAYMOVE;
        syscall::mremap(hole.page(1), page(), 2 * page(), flags, ptr::null_mut())
    };
    fails(result, Errno::EFAULT)
}

pub const CASES: &[Case] = &[
    case!("growing keeps the contents", grows),
    case!("shrinking gives the end back", shrinks),
    case!("what may not move does not grow over others", stays_if_it_may_not_move),
    case!("an old length of zero doubles", doubles,
        qemu_user: "an old length of zero is refused"),
    case!("wrong addresses and flags are EINVAL", errors),
    case!(
        "a new length of zero is EINVAL",
        to_nothing,
        qemu_user: "a range of no bytes is ENOMEM"
    ),
    case!(
        "of what is not mapped is EFAULT",
        unmapped,
        qemu_user: "it has reserved all addresses",
        if cfg!(target_pointer_width = "32")
    ),
];
