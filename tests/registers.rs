//! Arguments that a result cannot tell apart: a filter answers only if each is in its own
//! register.

#[path = "common/kernel.rs"]
mod kernel;

use baremap::fd::{AsFd, AsRawFd};
use baremap::syscall::{self, Errno, MemfdFlags, SyncFileRangeFlags};
use linux_raw_sys::general::__NR_sync_file_range;
use seccompiler::{SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, SeccompCondition, SeccompRule};

/// An error that none of these calls has.
const ARRIVED: Errno = Errno::EXFULL;

/// Checks that a call arrives in the kernel with these registers.
fn arrives(number: u32, registers: &[u64], call: impl FnOnce() -> syscall::Result<()> + Send) {
    let condition = |(index, &value)| SeccompCondition::new(index, Qword, Eq, value).unwrap();
    let conditions = (0..).zip(registers).map(condition).collect();
    let rule = SeccompRule::new(conditions).unwrap();
    kernel::refusing(number, vec![rule], ARRIVED, || {
        assert_eq!(call(), Err(ARRIVED), "call {number} does not have {registers:x?}");
    });
}

#[test]
fn sync_file_range_has_its_offset_before_its_length() {
    let file = syscall::memfd_create(c"range", MemfdFlags::empty()).unwrap();
    let (offset, length) = (0x1_2345_6000, 0x2_0000_1000);
    let flags = SyncFileRangeFlags::WRITE;
    let registers = [file.as_raw_fd() as u64, offset, length, flags.bits().into()];
    arrives(__NR_sync_file_range, &registers, || {
        syscall::sync_file_range(file.as_fd(), offset, length, flags)
    });
}
