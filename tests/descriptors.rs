//! Descriptors that are borrowed, duplicated and taken out of a map, with the standard library's
//! types and with the crate's own.

#[path = "common/case.rs"]
mod case;

use baremap::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    map::FileMap,
    syscall::{self, Errno, MemfdFlags, Mode, OFlags, SigSet, Signal, Whence},
};
use case::case;
use linux_raw_sys::general::{F_GETFD, FD_CLOEXEC};

fn memory() -> OwnedFd {
    syscall::memfd_create(c"descriptors", MemfdFlags::empty()).unwrap()
}

fn position(fd: BorrowedFd<'_>) -> u64 {
    syscall::lseek(fd, 0, Whence::CUR).unwrap()
}

#[test]
fn a_duplicate_shares_the_position_and_is_closed_on_exec() {
    let file = memory();
    let copies = [file.try_clone().unwrap(), file.as_fd().try_clone_to_owned().unwrap()];
    syscall::write(file.as_fd(), b"12345").unwrap();
    for copy in &copies {
        let _case = case!(copy);
        assert_ne!(copy.as_raw_fd(), file.as_raw_fd());
        assert!(copy.as_raw_fd() > 2);
        assert_eq!(position(copy.as_fd()), 5);
        // SAFETY: asks for flags.
        let flags = unsafe { syscall::fcntl(copy.as_fd(), F_GETFD, 0) };
        assert_eq!(flags, Ok(FD_CLOEXEC as usize));
    }
    drop(file);
    assert_eq!(copies.map(|copy| position(copy.as_fd())), [5, 5]);
}

#[test]
fn a_mutable_reference_lends_the_descriptor() {
    fn number(fd: impl AsFd) -> i32 {
        fd.as_fd().as_raw_fd()
    }
    let mut file = memory();
    let numbers = [number(&file), number(&mut file), number(&mut &mut file)];
    assert_eq!(numbers, [file.as_raw_fd(); 3]);
}

#[test]
fn a_map_gives_its_descriptor_back() {
    let file = memory();
    syscall::write(file.as_fd(), b"contents").unwrap();
    let number = file.as_raw_fd();
    let map = FileMap::from_fd(file).unwrap();
    let file = OwnedFd::from(map);
    assert_eq!(file.as_raw_fd(), number);
    assert_eq!(syscall::fstat(file.as_fd()).unwrap().size, 8);
}

#[test]
fn a_failed_map_gives_its_descriptor_back() {
    let file = syscall::open(c"/proc/self", OFlags::RDONLY, Mode::empty()).unwrap();
    let number = file.as_raw_fd();
    let error = FileMap::from_fd(file).unwrap_err();
    assert_eq!(error.errno(), Errno::ENODEV);
    assert_eq!(error.into_inner().as_raw_fd(), number);
}

#[test]
fn a_map_of_a_reference_has_a_duplicate() {
    let file = memory();
    syscall::write(file.as_fd(), b"contents").unwrap();
    let map = FileMap::new(&file).unwrap();
    assert_ne!(map.as_fd().as_raw_fd(), file.as_raw_fd());
    drop(map);
    assert_eq!(syscall::fstat(file.as_fd()).unwrap().size, 8);
}

#[test]
fn sets_of_signals_are_equal_if_they_have_the_same_signals() {
    let [one, other] = [Signal::USR1, Signal::USR2];
    let both = SigSet::empty().with(one).with(other);
    assert_eq!(both, SigSet::empty().with(other).with(one).with(other));
    assert_ne!(both, SigSet::empty().with(one));
    assert_ne!(SigSet::empty(), SigSet::full());
}
