//! Copies between processes, beside those of libc.
//!
//! SAFETY of all calls here: the memory belongs to the test, or the kernel refuses it.

use baremap::syscall::IoVec;

use super::*;

/// The parts of the local and of the remote memory, each with its offset in pages and its length.
type Parts = &'static [(usize, usize)];

type OursCall = unsafe fn(Pid, &[IoVec], &[IoVec]) -> Result<usize, Errno>;

type OracleCall = unsafe extern "C" fn(
    libc::pid_t,
    *const libc::iovec,
    libc::c_ulong,
    *const libc::iovec,
    libc::c_ulong,
    libc::c_ulong,
) -> libc::ssize_t;

/// The pages of each region. The last one is not accessible.
const PAGES: usize = 3;

fn ours(region: &Region, parts: Parts) -> Vec<IoVec> {
    parts.iter().map(|&(page, len)| IoVec { base: region.page(page), len }).collect()
}

fn oracles(region: &Region, parts: Parts) -> Vec<libc::iovec> {
    let part = |&(page, len): &(usize, usize)| libc::iovec {
        iov_base: region.page(page).cast(),
        iov_len: len,
    };
    parts.iter().map(part).collect()
}

fn prepared(byte: u8) -> Region {
    let region = Region::anonymous(PAGES);
    unsafe {
        region.0.write_bytes(byte, (PAGES - 1) * page());
        let none = rustix::mm::MprotectFlags::empty();
        rustix::mm::mprotect(region.page(PAGES - 1).cast(), page(), none).unwrap();
    }
    region
}

fn contents(region: &Region) -> &[u8] {
    unsafe { std::slice::from_raw_parts(region.0, (PAGES - 1) * page()) }
}

/// Makes the same copy with both, and compares the results and all bytes.
fn compared(
    local: Parts,
    remote: Parts,
    ours_call: OursCall,
    oracle_call: OracleCall,
) -> Result<usize, Errno> {
    let _case = case!(local, remote);
    let this = std::process::id() as Pid;
    let [a, b, c, d] = [1, 2, 1, 2].map(prepared);
    let result = unsafe { ours_call(this, &ours(&a, local), &ours(&b, remote)) };
    let (to, from) = (oracles(&c, local), oracles(&d, remote));
    let oracle = unsafe {
        let counts = (to.len() as libc::c_ulong, from.len() as libc::c_ulong);
        oracle_call(this, to.as_ptr(), counts.0, from.as_ptr(), counts.1, 0)
    };
    let oracle = usize::try_from(oracle)
        .map_err(|_| Errno::new(std::io::Error::last_os_error().raw_os_error().unwrap() as u16));
    assert_eq!(result, oracle);
    assert!(contents(&a) == contents(&c) && contents(&b) == contents(&d), "other bytes");
    result
}

#[test]
fn bytes_are_copied_between_ranges_as_by_libc() {
    let table: [(Parts, Parts, Result<usize, Errno>); 7] = [
        (&[(0, 100)], &[(1, 100)], Ok(100)),
        (&[(0, 3), (1, 5)], &[(1, 4), (0, 4)], Ok(8)),
        (&[(0, 100)], &[(1, 7)], Ok(7)),
        (&[(0, 0), (1, 9)], &[(0, 9)], Ok(9)),
        (&[], &[(0, 9)], Ok(0)),
        (&[(0, 9)], &[(PAGES - 1, 9)], Err(Errno::EFAULT)),
        (&[(0, usize::MAX)], &[(0, 9)], Err(Errno::EINVAL)),
    ];
    for (local, remote, result) in table {
        let read = compared(local, remote, syscall::process_vm_readv, libc::process_vm_readv);
        assert_eq!(read, result, "{local:?} {remote:?}");
        let written = compared(local, remote, syscall::process_vm_writev, libc::process_vm_writev);
        assert_eq!(written, result, "{local:?} {remote:?}");
    }
    // The copy stops at the beginning of a page that cannot be accessed.
    const LONG: usize = 128 << 10;
    assert!(LONG > page(), "both ranges reach the page without access");
    let read =
        compared(&[(0, LONG)], &[(1, LONG)], syscall::process_vm_readv, libc::process_vm_readv);
    assert_eq!(read, Ok(page()));
}

#[test]
fn a_process_that_does_not_exist_has_no_memory() {
    let region = prepared(1);
    let parts = ours(&region, &[(0, 1)]);
    for call in [syscall::process_vm_readv, syscall::process_vm_writev] {
        assert_eq!(unsafe { call(NOBODY, &parts, &parts) }, Err(Errno::ESRCH));
    }
}

/// A child has other memory at the same address.
#[test]
fn the_memory_of_a_child_is_read_and_written() {
    let private = Region::anonymous(1);
    let shared = Region::shared(1);
    private.put(0, 1);
    let child = start(|| {
        private.put(0, 2);
        shared.put(0, 1);
        while private.get(0) == 2 {
            std::hint::spin_loop();
        }
        shared.put(0, private.get(0));
        Ok(())
    });
    while shared.get(0) == 0 {
        std::hint::spin_loop();
    }
    let own = Region::anonymous(1);
    let local = [IoVec { base: own.page(0), len: 1 }];
    let remote = [IoVec { base: private.page(0), len: 1 }];
    unsafe {
        assert_eq!(syscall::process_vm_readv(child, &local, &remote), Ok(1));
        assert_eq!((own.get(0), private.get(0)), (2, 1));
        own.put(0, 9);
        assert_eq!(syscall::process_vm_writev(child, &local, &remote), Ok(1));
    }
    wait(child);
    assert_eq!((shared.get(0), private.get(0)), (9, 1));
}
