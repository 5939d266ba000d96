//! Calls that a filter answers with success without making them, as some sandboxes do.

#[path = "common/kernel.rs"]
mod kernel;

use std::hint::black_box;

use baremap::{
    fd::CWD,
    syscall::{self, AtFlags, Errno, Stat},
};
use linux_raw_sys::general::{__NR_fstat, __NR_fstatfs, __NR_newfstatat, __NR_statx};

/// Leaves bytes on the stack, which uninitialised variables would show.
#[inline(never)]
fn leave_garbage() {
    black_box([0xaa_u8; 8192]);
}

fn size_and_time(stat: syscall::Result<Stat>) -> (u64, u64, i64) {
    let stat = stat.unwrap();
    (stat.size, stat.ino, stat.mtime.nsec)
}

#[test]
fn metadata_that_the_kernel_did_not_give_is_zero() {
    let success = Errno::new(0);
    kernel::refusing(__NR_statx, vec![], success, || {
        leave_garbage();
        assert_eq!(size_and_time(syscall::statx(CWD, c".", AtFlags::empty())), (0, 0, 0));
    });
    kernel::refusing(__NR_newfstatat, vec![], success, || {
        leave_garbage();
        assert_eq!(size_and_time(syscall::fstatat(CWD, c".", AtFlags::empty())), (0, 0, 0));
    });
    kernel::refusing(__NR_fstat, vec![], success, || {
        leave_garbage();
        assert_eq!(size_and_time(syscall::fstat(CWD)), (0, 0, 0));
    });
    kernel::refusing(__NR_fstatfs, vec![], success, || {
        leave_garbage();
        assert_eq!(syscall::fstatfs(CWD).map(|stat| stat.block_size), Ok(0));
    });
}
