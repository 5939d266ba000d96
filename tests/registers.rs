//! Arguments whose order does not change the result: a filter answers only if each is in its own
//! register.

#[path = "common/kernel.rs"]
mod kernel;

use std::{
    ffi::{CStr, c_char},
    ptr,
};

use baremap::{
    fd::{AsFd, AsRawFd},
    syscall::{
        self, Errno, MemfdFlags, MountFlags, RebootCommand, SyncFileRangeFlags, UmountFlags,
    },
};
use linux_raw_sys::general::{
    __NR_execve, __NR_mount, __NR_reboot, __NR_sync_file_range, __NR_umount2, LINUX_REBOOT_MAGIC1,
    LINUX_REBOOT_MAGIC2,
};
use seccompiler::{SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, SeccompCondition, SeccompRule};

/// An error that none of these calls returns otherwise.
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

/// Returns the address of a string, as a register holds it.
fn address(string: &CStr) -> u64 {
    string.as_ptr().addr() as u64
}

/// The calls lack permissions, or name files that do not exist, so that nothing happens if the
/// filter lets one pass.
#[test]
fn calls_of_the_first_process_have_their_arguments_in_order() {
    let [source, target, kind, data] = [c"source", c"/nowhere/at all", c"kind", c"data"];
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    let bits = flags.bits().into();
    let registers = [address(source), address(target), address(kind), bits, address(data)];
    arrives(__NR_mount, &registers, || {
        syscall::mount(Some(source), target, Some(kind), flags, Some(data))
    });
    arrives(__NR_mount, &[0, address(target), 0, bits, 0], || {
        syscall::mount(None, target, None, flags, None)
    });

    let flags = UmountFlags::DETACH;
    arrives(__NR_umount2, &[address(target), flags.bits().into()], || {
        syscall::umount2(target, flags)
    });

    let (args, env) = ([target.as_ptr(), ptr::null()], [ptr::null()]);
    let (args, env) = (Shared(&args), Shared(&env));
    let registers = [address(target), args.address(), env.address()];
    arrives(__NR_execve, &registers, || {
        // SAFETY: both end with null, and the filter answers.
        Err(unsafe { syscall::execve(target, args.pointer(), env.pointer()) })
    });

    // There is no such command.
    let (one, two) = (LINUX_REBOOT_MAGIC1.into(), LINUX_REBOOT_MAGIC2.into());
    arrives(__NR_reboot, &[one, two, 0x7777, 0], || syscall::reboot(RebootCommand(0x7777)));
}

/// Pointers that another thread may use.
struct Shared<'a>(&'a [*const c_char]);

// SAFETY: the strings are constants.
unsafe impl Sync for Shared<'_> {}

impl Shared<'_> {
    fn pointer(&self) -> *const *const c_char {
        self.0.as_ptr()
    }

    fn address(&self) -> u64 {
        self.pointer().addr() as u64
    }
}
