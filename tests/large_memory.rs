//! Large allocations. This program has a single test, because a mapping of another test's thread
//! could take the addresses that were freed.

#![allow(clippy::undocumented_unsafe_blocks, reason = "the test says what is allocated")]

#[path = "common/case.rs"]
mod case;

use std::{
    alloc::{GlobalAlloc, Layout},
    fs,
};

use baremap::{
    alloc::Allocator,
    map::residency,
    syscall::{self, page_size},
};
use case::case;

const LARGE: usize = 128 << 10;

#[test]
fn large_memory_grows_and_is_given_back() {
    large_memory_is_a_mapping_that_grows_and_is_given_back();
    large_memory_that_became_several_mappings_grows();
    large_memory_that_is_aligned_is_given_back();
}

/// Returns whether something is mapped at an address, according to `/proc/self/maps`.
fn is_mapped(address: usize) -> bool {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().any(|line| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
        (start..end).contains(&address)
    })
}

fn large_memory_is_a_mapping_that_grows_and_is_given_back() {
    let allocator = Allocator::new();
    let layout = |size| Layout::from_size_align(size, 16).unwrap();
    unsafe {
        // Only two pages of this memory are accessed.
        let size = 256 << 20;
        let at = allocator.alloc_zeroed(layout(size));
        assert!(!at.is_null());
        at.write(1);
        at.add(size - 1).write(2);
        let grown = allocator.realloc(at, layout(size), 2 * size);
        assert!(!grown.is_null());
        assert_eq!((grown.read(), grown.add(size - 1).read()), (1, 2));
        // If the memory had been copied, all of it would be resident.
        let resident = residency(grown, 2 * size).map(Result::unwrap).filter(|run| run.state);
        assert!(resident.map(|run| run.len).sum::<usize>() <= 8 << 20);
        assert_eq!(grown.add(2 * size - 1).read(), 0);
        let small = allocator.realloc(grown, layout(2 * size), LARGE);
        assert!(!small.is_null() && is_mapped(small.addr() + LARGE - 1));
        assert_eq!(small.read(), 1);
        allocator.dealloc(small, layout(LARGE));
        assert!(!is_mapped(small.addr() + size) && !is_mapped(small.addr() + 2 * size - 1));

        // An allocation larger than the address space fails without a panic, for new and for grown
        // memory.
        let all = isize::MAX as usize & !0xfff;
        assert!(allocator.alloc(layout(all)).is_null());
        let aligned = Layout::from_size_align(all - (1 << 20), 1 << 20).unwrap();
        assert!(allocator.alloc(aligned).is_null());
        let at = allocator.alloc(layout(LARGE));
        at.write(3);
        assert!(allocator.realloc(at, layout(LARGE), all).is_null());
        assert_eq!(at.read(), 3);
        allocator.dealloc(at, layout(LARGE));
    }
}

/// A program may split its memory into several mappings, for example by advice. The kernel does not
/// extend these.
fn large_memory_that_became_several_mappings_grows() {
    let allocator = Allocator::new();
    let layout = |size| Layout::from_size_align(size, 16).unwrap();
    let (size, page) = (1 << 20, page_size());
    unsafe {
        let mut at = allocator.alloc(layout(size));
        for place in (0..size).step_by(page) {
            at.add(place).write((place / page) as u8);
        }
        syscall::madvise(at.add(3 * page), page, syscall::Advice::DONTDUMP).unwrap();
        let grown = allocator.realloc(at, layout(size), 2 * size);
        assert!(!grown.is_null());
        at = grown;
        assert!((0..size).step_by(page).all(|place| at.add(place).read() == (place / page) as u8));
        at.add(2 * size - 1).write(1);
        allocator.dealloc(at, layout(2 * size));
    }
}

fn large_memory_that_is_aligned_is_given_back() {
    let allocator = Allocator::new();
    for align in [2 * page_size(), 1 << 20, 1 << 26] {
        let _case = case!(align);
        let layout = |size| Layout::from_size_align(size, align).unwrap();
        let size = (64 << 20) + 1;
        unsafe {
            let at = allocator.alloc_zeroed(layout(size));
            assert!(!at.is_null() && at.addr().is_multiple_of(align));
            at.add(size - 1).write(9);
            let grown = allocator.realloc(at, layout(size), 2 * size);
            assert!(!grown.is_null() && grown.addr().is_multiple_of(align));
            assert_eq!((grown.read(), grown.add(size - 1).read()), (0, 9));
            allocator.dealloc(grown, layout(2 * size));
            assert!(!is_mapped(grown.addr() + size) && !is_mapped(grown.addr() + 2 * size - 1));
        }
    }
}
