//! Faults in a process that has as many mappings as the kernel allows (`vm.max_map_count`).

mod common;

use std::{cell::Cell, fs::File, os::fd::IntoRawFd, path::Path, ptr};

use baremap::{
    fd::{FromRawFd, OwnedFd},
    map::FileMap,
    syscall::page_size,
};
use common::{
    Scratch,
    again::{again, again_in},
};

/// Mappings that use up the limit, until the value is dropped.
struct Crowd {
    start: *mut libc::c_void,
    len: usize,
    /// A mapping that can be unmapped alone.
    last: *mut libc::c_void,
}

impl Crowd {
    fn new() -> Crowd {
        let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
        let pages = limit.trim().parse::<usize>().unwrap() + 10;
        let (size, none) = (page_size(), libc::PROT_NONE);
        let (len, private) = (pages * size, libc::MAP_PRIVATE | libc::MAP_NORESERVE);
        let anonymous = libc::MAP_ANONYMOUS;
        // SAFETY: replaces nothing.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, none, private | anonymous, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        // Every second page becomes readable, so that each page is a mapping.
        for page in (1..pages).step_by(2) {
            // SAFETY: a page of the mapping above.
            if unsafe { libc::mprotect(start.byte_add(page * size), size, libc::PROT_READ) } != 0 {
                break;
            }
        }
        // The kernel does not merge shared mappings.
        let mut last = ptr::null_mut();
        loop {
            // SAFETY: replaces nothing.
            let page = unsafe {
                let flags = libc::MAP_SHARED | anonymous;
                libc::mmap(ptr::null_mut(), size, libc::PROT_READ, flags, -1, 0)
            };
            if page == libc::MAP_FAILED {
                break;
            }
            last = page;
        }
        Crowd { start, len, last }
    }

    /// Leaves room for `count` mappings, 0 or 1.
    fn leave(&self, count: usize) {
        if count == 1 {
            // SAFETY: a mapping of this type's alone, or none.
            assert_eq!(unsafe { libc::munmap(self.last, page_size()) }, 0);
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // SAFETY: the mapping is this type's alone.
        assert_eq!(unsafe { libc::munmap(self.start, self.len) }, 0);
    }
}

fn map(dir: &Path, name: &str) -> (File, FileMap) {
    let path = dir.join(name);
    std::fs::write(&path, vec![7; 4 * page_size()]).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    // SAFETY: the descriptor is a clone that nothing else uses.
    let fd = unsafe { OwnedFd::from_raw_fd(file.try_clone().unwrap().into_raw_fd()) };
    (file, FileMap::new(fd).unwrap())
}

/// A fault in a slice is an error, whether or not the zero page can be mapped separately.
#[test]
fn slices_fail_at_the_limit_on_mappings() {
    if let Some(dir) = again_in() {
        return [0, 1].into_iter().for_each(|left| faults_with_no_mapping_left(&dir, left));
    }
    let scratch = Scratch::new("crowd");
    let output = again("slices_fail_at_the_limit_on_mappings", &[], &scratch);
    assert!(output.status.success(), "{output:?}");
}

fn faults_with_no_mapping_left(dir: &Path, left: usize) {
    let ((first_file, first), (second_file, mut second)) = (map(dir, "first"), map(dir, "second"));
    let (size, second_len) = (page_size(), second.len());
    let bytes = Cell::new([9; 3]);
    // SAFETY: nobody writes to the files, and truncation is by whole pages.
    let (outer, inner) = unsafe {
        let mut inner = Ok(0);
        let outer = first.with_slice(|one| {
            inner = second.with_slice_mut(|two| {
                let crowd = Crowd::new();
                crowd.leave(left);
                first_file.set_len(size as u64).unwrap();
                second_file.set_len(2 * size as u64).unwrap();
                // Both pages are in the middle of a mapping. Replacing the first does not make room
                // for the second.
                bytes.set([one[2 * size], two[3 * size], one[3 * size]]);
                two[2 * size] = 1;
                drop(crowd);
                two.len()
            });
        });
        (outer, inner)
    };
    assert_eq!(bytes.get(), [0; 3], "{left} left");
    let (outer, inner) = (outer.unwrap_err(), inner.unwrap_err());
    // The pages before the fault may be replaced together with the missing ones.
    assert!(outer.offset() <= 2 * size as u64, "{outer:?}, {left} left");
    assert!(inner.offset() <= 3 * size as u64, "{inner:?}, {left} left");
    assert_eq!((second.refresh().unwrap(), second_len), (2 * size, 4 * size));
    let mut byte = [0];
    assert_eq!((second.read_at(&mut byte, size as u64), byte), (Ok(1), [7]));
}
