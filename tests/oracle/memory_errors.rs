//! Calls on memory that the kernel refuses.
//!
//! SAFETY of all calls here: the kernel refuses them, and the memory belongs to the test.

use super::*;

#[test]
fn mmap_refuses_what_the_kernel_refuses() {
    use kernel::{
        MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_PRIVATE, MAP_SHARED,
        MAP_SHARED_VALIDATE, MAP_SYNC, PROT_READ, PROT_WRITE,
    };

    let files = Files::new("mmap");
    let region = Region::anonymous(1);
    let (at, page) = (region.0 as usize, page());
    let [read, write, both, dir, pipe, path] = [
        number(&files.read),
        number(&files.write),
        number(&files.both),
        files.dir(),
        number(&files.pipe.0),
        number(&files.path),
    ];
    let sealed = rustix::fs::memfd_create("sealed", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::fcntl_add_seals(&sealed, rustix::fs::SealFlags::WRITE).unwrap();
    let sealed = rustix::fd::AsRawFd::as_raw_fd(&sealed);
    let anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    let writable = PROT_READ | PROT_WRITE;
    let (top, high) = (usize::MAX - page + 1, 1_u64 << 63);

    refused(
        "mmap",
        &[
            ("length 0", Errno::EINVAL, (0, 0, PROT_READ, anonymous, -1, 0)),
            ("file, length 0", Errno::EINVAL, (0, 0, PROT_READ, MAP_SHARED, read, 0)),
            ("offset 1", Errno::EINVAL, (0, page, PROT_READ, MAP_SHARED, read, 1)),
            (
                "offset 2^32 + 512",
                Errno::EINVAL,
                (0, 1, PROT_READ, MAP_SHARED, read, (1 << 32) + 512),
            ),
            (
                "unaligned, fixed",
                Errno::EINVAL,
                (at + 1, page, PROT_READ, anonymous | MAP_FIXED, -1, 0),
            ),
            (
                "unaligned, not replacing",
                Errno::EINVAL,
                (at + 1, page, PROT_READ, anonymous | MAP_FIXED_NOREPLACE, -1, 0),
            ),
            ("no type", Errno::EINVAL, (0, page, PROT_READ, 0, read, 0)),
            ("no type, anonymous", Errno::EINVAL, (0, page, PROT_READ, MAP_ANONYMOUS, -1, 0)),
            (
                "a flag that is validated",
                Errno::EOPNOTSUPP,
                (0, page, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, read, 0),
            ),
            ("bad descriptor", Errno::EBADF, (0, page, PROT_READ, MAP_SHARED, BAD, 0)),
            ("no descriptor", Errno::EBADF, (0, page, PROT_READ, MAP_SHARED, -1, 0)),
            ("path only", Errno::EBADF, (0, page, PROT_READ, MAP_SHARED, path, 0)),
            ("directory", Errno::ENODEV, (0, page, PROT_READ, MAP_SHARED, dir, 0)),
            ("pipe", Errno::ENODEV, (0, page, PROT_READ, MAP_SHARED, pipe, 0)),
            ("write-only", Errno::EACCES, (0, page, PROT_READ, MAP_SHARED, write, 0)),
            ("write-only, private", Errno::EACCES, (0, page, PROT_WRITE, MAP_PRIVATE, write, 0)),
            ("writable of read-only", Errno::EACCES, (0, page, writable, MAP_SHARED, read, 0)),
            ("sealed", Errno::EPERM, (0, page, writable, MAP_SHARED, sealed, 0)),
            ("huge", Errno::ENOMEM, (0, top, PROT_READ, MAP_SHARED, both, 0)),
            ("the longest", Errno::ENOMEM, (0, usize::MAX, PROT_READ, anonymous, -1, 0)),
            (
                "kernel's own",
                Errno::ENOMEM,
                (top - page, page, PROT_READ, anonymous | MAP_FIXED, -1, 0),
            ),
            ("offset overflows", Errno::EOVERFLOW, (0, page, PROT_READ, MAP_SHARED, read, high)),
            (
                "end overflows",
                Errno::EOVERFLOW,
                (0, 2 * page, PROT_READ, MAP_SHARED, read, top as u64),
            ),
            (
                "not replacing",
                Errno::EEXIST,
                (at, page, PROT_READ, anonymous | MAP_FIXED_NOREPLACE, -1, 0),
            ),
        ],
        |(at, length, prot, flags, fd, offset)| {
            let (prot, flags) =
                (ProtFlags::from_bits_retain(prot), MapFlags::from_bits_retain(flags));
            let fd = (fd != -1).then(|| lend(fd));
            unsafe { syscall::mmap(at as *mut u8, length, prot, flags, fd, offset) }
        },
        |(at, length, prot, flags, fd, offset)| unsafe {
            sc::syscall!(MMAP, at, length, prot, flags, fd, offset)
        },
    );
}

#[test]
fn mmap_that_may_not_replace_changes_nothing() {
    let region = Region::anonymous(3);
    for index in 0..3 {
        region.put(index, 7 + index as u8);
    }
    let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED_NOREPLACE;
    for (first, pages) in [(0, 3), (1, 1), (2, 5)] {
        let (at, length) = (region.page(first), pages * page());
        let result = unsafe { syscall::mmap(at, length, ProtFlags::empty(), flags, None, 0) };
        assert_eq!(result, Err(Errno::EEXIST), "{pages} pages from {first}");
    }
    assert_eq!([0, 1, 2].map(|index| region.get(index)), [7, 8, 9]);

    // The call succeeds where nothing is mapped. Only a process with one thread can know of such an
    // address.
    in_child(|| unsafe {
        let (hole, length) = (region.page(1), page());
        check!(sc::syscall!(MUNMAP, hole, length) == 0);
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        check!(syscall::mmap(hole, length, prot, flags, None, 0) == Ok(hole));
        check!([0, 1, 2].map(|index| region.get(index)) == [7, 0, 9]);
        Ok(())
    });
}

#[test]
fn calls_on_ranges_refuse_what_the_kernel_refuses() {
    let files = Files::new("ranges");
    let (region, empty) = (Region::anonymous(4), File::from(memfd("empty", 0)));
    let (read, none) = (rustix::mm::ProtFlags::READ, usize::MAX);
    let of_read = Region::of(number(&files.read), 1, read);
    let beyond = Region::of(number(&empty), 1, read);
    let (page, at, nowhere) = (page(), region.0 as usize, NOWHERE as usize);
    let (of_read, beyond) = (of_read.0 as usize, beyond.0 as usize);
    let kernels = none - 2 * page + 1;

    refused(
        "munmap",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page)),
            ("length 0", Errno::EINVAL, (at, 0)),
            ("kernel's own", Errno::EINVAL, (kernels, page)),
            ("too long", Errno::EINVAL, (at, none - page)),
        ],
        |(at, length)| unsafe { syscall::munmap(at as *mut u8, length) },
        |(at, length)| unsafe { sc::syscall!(MUNMAP, at, length) },
    );

    let (both, grows) = (kernel::PROT_READ | kernel::PROT_WRITE, kernel::PROT_GROWSDOWN);
    refused(
        "mprotect",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page, both)),
            ("nothing there", Errno::ENOMEM, (nowhere, page, both)),
            ("too long", Errno::ENOMEM, (at, none - page, both)),
            ("writable of read-only", Errno::EACCES, (of_read, page, both)),
            (
                "flags that exclude each other",
                Errno::EINVAL,
                (at, page, grows | kernel::PROT_GROWSUP),
            ),
            ("grows down, but does not", Errno::EINVAL, (at, page, both | grows)),
        ],
        |(at, length, prot)| unsafe {
            syscall::mprotect(at as *mut u8, length, ProtFlags::from_bits_retain(prot))
        },
        |(at, length, prot)| unsafe { sc::syscall!(MPROTECT, at, length, prot) },
    );

    let (may, fixed) = (kernel::MREMAP_MAYMOVE, kernel::MREMAP_MAYMOVE | kernel::MREMAP_FIXED);
    let keep = kernel::MREMAP_MAYMOVE | kernel::MREMAP_DONTUNMAP;
    refused(
        "mremap",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page, page, may, 0)),
            ("new length 0", Errno::EINVAL, (at, page, 0, may, 0)),
            ("unknown flag", Errno::EINVAL, (at, page, page, 1 << 16, 0)),
            (
                "fixed, may not move",
                Errno::EINVAL,
                (at, page, page, kernel::MREMAP_FIXED, at + 2 * page),
            ),
            ("fixed, unaligned", Errno::EINVAL, (at, page, page, fixed, at + 2 * page + 1)),
            ("fixed, onto itself", Errno::EINVAL, (at, 2 * page, 2 * page, fixed, at + page)),
            ("kept, of another length", Errno::EINVAL, (at, page, 2 * page, keep, 0)),
            ("old length 0, private", Errno::EINVAL, (at, 0, page, may, 0)),
            ("nothing there", Errno::EFAULT, (nowhere, page, 2 * page, may, 0)),
            ("no room, may not move", Errno::ENOMEM, (at, page, 2 * page, 0, 0)),
            // The length is that of the address space, of which this program uses a part.
            ("huge", Errno::ENOMEM, (at, page, (1 << 47) - (1 << 20), may, 0)),
        ],
        |(at, old, new, flags, to)| unsafe {
            let flags = MremapFlags::from_bits_retain(flags);
            syscall::mremap(at as *mut u8, old, new, flags, to as *mut u8)
        },
        |(at, old, new, flags, to)| unsafe { sc::syscall!(MREMAP, at, old, new, flags, to) },
    );

    refused(
        "msync",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page, kernel::MS_SYNC)),
            ("both", Errno::EINVAL, (at, page, kernel::MS_SYNC | kernel::MS_ASYNC)),
            ("unknown flag", Errno::EINVAL, (at, page, 1 << 16)),
            ("nothing there", Errno::ENOMEM, (nowhere, page, kernel::MS_SYNC)),
            ("too long", Errno::ENOMEM, (at, none - at, kernel::MS_ASYNC)),
        ],
        |(at, length, flags)| unsafe {
            syscall::msync(at as *mut u8, length, MsyncFlags::from_bits_retain(flags))
        },
        |(at, length, flags)| unsafe { sc::syscall!(MSYNC, at, length, flags) },
    );

    refused(
        "madvise",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page, kernel::MADV_NORMAL)),
            ("unknown", Errno::EINVAL, (at, page, 9999)),
            ("too long", Errno::EINVAL, (at, none, kernel::MADV_NORMAL)),
            ("nothing there", Errno::ENOMEM, (nowhere, page, kernel::MADV_NORMAL)),
            ("a hole in no file", Errno::EINVAL, (at, page, kernel::MADV_REMOVE)),
            ("free, of a file", Errno::EINVAL, (of_read, page, kernel::MADV_FREE)),
            ("writable, of read-only", Errno::EINVAL, (of_read, page, kernel::MADV_POPULATE_WRITE)),
            ("beyond the end", Errno::EFAULT, (beyond, page, kernel::MADV_POPULATE_READ)),
        ],
        |(at, length, advice)| unsafe { syscall::madvise(at as *mut u8, length, Advice(advice)) },
        |(at, length, advice)| unsafe { sc::syscall!(MADVISE, at, length, advice) },
    );

    refused(
        "mlock",
        &[("nothing there", Errno::ENOMEM, (nowhere, page))],
        |(at, length)| unsafe { syscall::mlock(at as *const u8, length) },
        |(at, length)| unsafe { sc::syscall!(MLOCK, at, length) },
    );
    refused(
        "mlock2",
        &[
            ("unknown flag", Errno::EINVAL, (at, page, 1 << 16)),
            ("nothing there", Errno::ENOMEM, (nowhere, page, kernel::MLOCK_ONFAULT)),
        ],
        |(at, length, flags)| unsafe {
            syscall::mlock2(at as *const u8, length, MlockFlags::from_bits_retain(flags))
        },
        |(at, length, flags)| unsafe { sc::syscall!(MLOCK2, at, length, flags) },
    );
    refused(
        "munlock",
        &[
            ("nothing there", Errno::ENOMEM, (nowhere, page)),
            ("too long", Errno::EINVAL, (at, none - page)),
        ],
        |(at, length)| unsafe { syscall::munlock(at as *const u8, length) },
        |(at, length)| unsafe { sc::syscall!(MUNLOCK, at, length) },
    );

    refused(
        "mincore",
        &[
            ("unaligned", Errno::EINVAL, (at + 1, page)),
            ("nothing there", Errno::ENOMEM, (nowhere, page)),
        ],
        |(at, length)| syscall::mincore(at as *const u8, length, &mut [0]),
        |(at, length)| unsafe { sc::syscall!(MINCORE, at, length, [0_u8].as_mut_ptr()) },
    );
    // The library checks the length of the buffer. The kernel checks only its address.
    for length in [page + 1, 2 * page, none] {
        assert_eq!(syscall::mincore(region.0, length, &mut [0]), Err(Errno::EFAULT), "{length}");
    }
    assert_eq!(outcome(unsafe { sc::syscall!(MINCORE, at, page, NOWHERE) }), Err(Errno::EFAULT));
}

#[test]
fn memfd_create_refuses_what_the_kernel_refuses() {
    let (long, longest) = (c("x".repeat(250)), c("x".repeat(249)));
    refused(
        "memfd_create",
        &[
            ("unknown flag", Errno::EINVAL, (c"x", 1 << 16)),
            (
                "to be run and not",
                Errno::EINVAL,
                (c"x", kernel::MFD_EXEC | kernel::MFD_NOEXEC_SEAL),
            ),
            ("long name", Errno::EINVAL, (long.as_c_str(), 0)),
        ],
        |(name, flags)| syscall::memfd_create(name, MemfdFlags::from_bits_retain(flags)),
        |(name, flags)| unsafe { sc::syscall!(MEMFD_CREATE, name.as_ptr(), flags) },
    );
    assert!(syscall::memfd_create(&longest, MemfdFlags::empty()).is_ok());
}
