//! Runs `conformance` as the first process of a system. The kernel that `cargo xtask kernels` boots
//! starts it as `/init`, and finds no other file.

use core::{
    ffi::CStr,
    fmt::{self, Display},
};

use baremap::{
    rt::{STDOUT, Start, println},
    syscall::{self, Errno, raw},
};
use linux_raw_sys::{
    general::{
        __NR_chdir, __NR_mount, __NR_reboot, __NR_uname, LINUX_REBOOT_CMD_POWER_OFF,
        LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
    },
    ioctl::TCSBRK,
};

/// Returns whether the program was booted. As the first process of a container it has another name,
/// and does not power the machine off.
pub fn is_booted(start: Start) -> bool {
    syscall::getpid() == 1 && start.args().next() == Some(c"/init")
}

/// Mounts the file systems that the cases need, and changes to a directory for their files.
pub fn prepare() -> syscall::Result<()> {
    mount(c"devtmpfs", c"/dev")?;
    mount(c"proc", c"/proc")?;
    mount(c"tmpfs", c"/tmp")?;
    // SAFETY: a string; nothing holds on to the old directory.
    check(unsafe { raw::syscall1(__NR_chdir as usize, c"/tmp".as_ptr() as usize) })
}

fn mount(kind: &CStr, at: &CStr) -> syscall::Result<()> {
    let [kind, at] = [kind, at].map(|string| string.as_ptr() as usize);
    // SAFETY: strings; the source's name is the kind's, and neither flags nor data.
    check(unsafe { raw::syscall5(__NR_mount as usize, kind, at, kind, 0, 0) })
}

fn check(result: usize) -> syscall::Result<()> {
    super::check(result).map(drop)
}

/// The result of uname(2).
pub struct Kernel([[u8; 65]; 6]);

impl Kernel {
    pub fn running() -> Result<Kernel, Errno> {
        let mut names = [[0; 65]; 6];
        // SAFETY: six names of 64 bytes and a NUL, on every architecture.
        check(unsafe { raw::syscall1(__NR_uname as usize, names.as_mut_ptr() as usize) })?;
        Ok(Kernel(names))
    }
}

/// Prints the release and the machine.
impl Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, _, release, _, machine, _] = self.0.each_ref().map(|name| {
            CStr::from_bytes_until_nul(name).map_or(&b"?"[..], CStr::to_bytes).escape_ascii()
        });
        write!(f, "{release} {machine}")
    }
}

/// Ends the emulator, with the status 33 on success and 1 on failure where it has a device for
/// this.
///
/// The status is not 0, because an emulator also ends with 0 if the kernel panics.
pub fn leave(success: bool) -> ! {
    // Waits until the console has sent everything.
    // SAFETY: the request has no memory.
    let _ = unsafe { syscall::ioctl(STDOUT, TCSBRK, 1) };
    exit_emulator(if success { 33 } else { 1 });
    let power_off = [LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF];
    let [one, two, command] = power_off.map(|number| number as usize);
    // SAFETY: everything is said, and nothing is on a disk.
    let result = unsafe { raw::syscall4(__NR_reboot as usize, one, two, command, 0) };
    println!("# reboot: {:?}", check(result));
    // The kernel panics when this process ends, and the emulator ends then, too.
    syscall::exit_group(1)
}

/// Writes to a port, which the kernel has to open first.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn exit_emulator(status: u32) {
    use linux_raw_sys::general::__NR_iopl;
    use qemu_exit::{QEMUExit, X86};
    // SAFETY: this process writes to no other port.
    if check(unsafe { raw::syscall1(__NR_iopl as usize, 3) }).is_ok() {
        // SAFETY: the port that the emulator was told, and the status with which it ends
        // if this one is asked for.
        let device = unsafe { X86::new(0xf4, 33) };
        // The device turns `n` into the status `2n + 1`.
        device.exit(status >> 1)
    }
}

/// Executes an instruction that the emulator intercepts if semihosting is enabled.
#[cfg(target_arch = "aarch64")]
fn exit_emulator(status: u32) {
    use qemu_exit::{AArch64, QEMUExit};
    AArch64::new().exit(status)
}

/// Writes a word to an address of the device, if the kernel permits the mapping.
#[cfg(target_arch = "riscv64")]
fn exit_emulator(status: u32) {
    use baremap::fd::AsFd;
    use baremap::syscall::{MapFlags, Mode, OFlags, ProtFlags, page_size};
    use qemu_exit::{QEMUExit, RISCV64};

    let device = syscall::open(c"/dev/mem", OFlags::RDWR, Mode::empty()).and_then(|memory| {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let (memory, shared) = (Some(memory.as_fd()), MapFlags::SHARED);
        // SAFETY: at no fixed address, so nothing is replaced.
        unsafe {
            syscall::mmap(core::ptr::null_mut(), page_size(), prot, shared, memory, 0x10_0000)
        }
    });
    match device {
        // SAFETY: this is where the machine `virt` has the device.
        Ok(device) => unsafe { RISCV64::new(device as u64) }.exit(status),
        Err(errno) => println!("# /dev/mem: {errno:?}"),
    }
}

/// Executes the instruction that an emulator intercepts if semihosting is enabled, as on aarch64.
/// The crate qemu-exit has only the one for microcontrollers, BKPT, which faults on a processor
/// with a kernel.
#[cfg(target_arch = "arm")]
fn exit_emulator(status: u32) {
    let stopped: [u32; 2] = [0x2_0026, status];
    if exit_emulator as *const () as usize & 1 != 0 {
        // Thumb has another instruction for semihosting.
        return;
    }
    // SAFETY: SYS_EXIT_EXTENDED reads two words. Should the instruction not be intercepted
    // it is a system call, of number 20, getpid; r7 is kept, for it cannot be named.
    unsafe {
        core::arch::asm!(
            "mov r2, r7",
            "mov r7, #20",
            ".word 0xef123456", // svc #0x123456, which does not assemble in Thumb
            "mov r7, r2",
            inout("r0") 0x20 => _,
            in("r1") stopped.as_ptr(),
            out("r2") _,
        );
    }
}

/// qemu-exit has nothing for other architectures.
#[cfg(not(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "riscv64"
)))]
fn exit_emulator(_status: u32) {}
