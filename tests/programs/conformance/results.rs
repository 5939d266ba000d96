//! Results that are errors, and results that are not.

use super::*;
use linux_raw_sys::prctl::{PR_GET_TIMERSLACK, PR_SET_TIMERSLACK};

/// Makes the kernel return a number: the timer slack of this thread, which can have any value.
fn returned(number: usize) -> (usize, syscall::Result<usize>) {
    // SAFETY: neither option takes a pointer. Zero gives the slack back its default.
    unsafe {
        let _ = syscall::prctl(PR_SET_TIMERSLACK, [number, 0, 0, 0]);
        let raw = raw::syscall2(nr::prctl, PR_GET_TIMERSLACK as usize, 0);
        let typed = syscall::prctl(PR_GET_TIMERSLACK, [0; 4]);
        let _ = syscall::prctl(PR_SET_TIMERSLACK, [0; 4]);
        (raw, typed)
    }
}

/// The kernel uses these numbers internally (`include/linux/errno.h`), and may act on them.
const INTERNAL: core::ops::RangeInclusive<usize> = 512..=531;

fn errors() -> Outcome {
    for errno in (2..=4095).filter(|errno| !INTERNAL.contains(errno)) {
        let (raw, typed) = returned(errno.wrapping_neg());
        same(raw, errno.wrapping_neg())?;
        same(typed, Err(Errno::new(errno as u16)))?;
    }
    Ok(())
}

/// Minus one is checked by itself, because a C library returns it for every error.
fn minus_one() -> Outcome {
    same(returned(usize::MAX), (usize::MAX, Err(Errno::EPERM)))
}

fn values() -> Outcome {
    for value in [1, 4095, 4096, i32::MAX as usize, 4096usize.wrapping_neg()] {
        same(returned(value), (value, Ok(value)))?;
    }
    Ok(())
}

fn top_bit() -> Outcome {
    let top = 1 << (usize::BITS - 1);
    for value in [top, top | 4095, usize::MAX - 0xffff] {
        same(returned(value), (value, Ok(value)))?;
    }
    Ok(())
}

/// A mapping in the upper half of the address space is not an error. On mips that half belongs to
/// the kernel.
#[cfg(all(target_pointer_width = "32", not(target_arch = "mips")))]
fn high_address() -> Outcome {
    let flags = ANONYMOUS | MapFlags::FIXED_NOREPLACE;
    for at in (0x8000_0000..0xf000_0000usize).step_by(0x0410_0000) {
        let at = at as *mut u8;
        // SAFETY: nothing is replaced.
        if let Ok(addr) = unsafe { syscall::mmap(at, page(), READ_WRITE, flags, None, 0) } {
            let pages = Pages { addr, length: page() };
            same(pages.addr, at)?;
            pages.set(5, 6);
            return same(pages.get(5), 6);
        }
    }
    Err(wrong(format_args!("got no address with the top bit set")))
}

/// No system call has this number.
fn no_such_call() -> Outcome {
    // SAFETY: there is none.
    fails(check(unsafe { raw::syscall0(nr::getpid | 0xf000) }), Errno::ENOSYS)
}

pub const CASES: &[Case] = &[
    case!(
        "-4095 to -2 are errors, and which",
        errors,
        qemu_user: "it translates them, as errors of the host's",
        if cfg!(target_arch = "mips64")
    ),
    case!(
        "-1 is EPERM",
        minus_one,
        qemu_user: "its C library puts another error there",
        if cfg!(target_pointer_width = "32")
    ),
    case!("-4096 and positive numbers are none", values),
    case!("a number with the top bit set is none", top_bit,
        qemu_user: "prctl returns 32 bits",
        if cfg!(target_pointer_width = "64")),
    #[cfg(all(target_pointer_width = "32", not(target_arch = "mips")))]
    case!("an address with the top bit set is none", high_address),
    case!("a call that does not exist is ENOSYS", no_such_call),
];
