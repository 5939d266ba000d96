//! The allocator: as this program's global allocator, and against a model of memory.

#![allow(clippy::undocumented_unsafe_blocks, reason = "the model says what is allocated")]

use std::{
    alloc::{GlobalAlloc, Layout},
    collections::{BTreeMap, HashMap},
    thread,
};

use baremap::alloc::Allocator;
use proptest::prelude::*;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new();

const LARGE: usize = 128 << 10;

#[test]
fn threads_share_it() {
    let sums: Vec<usize> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    let mut map: HashMap<String, Vec<usize>> = HashMap::new();
                    for number in 0..4_000 {
                        map.entry(format!("{}", number % 500)).or_default().push(number * thread);
                        if number % 1000 == 999 {
                            map.remove(&format!("{}", number % 500 / 2));
                        }
                    }
                    map.values().flatten().sum()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(sums[1] > 0);
    for (thread, sum) in sums.iter().enumerate() {
        assert_eq!(*sum, sums[1] * thread);
    }
}

#[test]
fn memory_that_there_is_not_is_an_error() {
    let mut bytes: Vec<u8> = Vec::new();
    assert!(bytes.try_reserve(isize::MAX as usize - 4096).is_err());
    bytes.push(1);
    assert!(bytes.try_reserve(1 << 56).is_err());
    assert_eq!(bytes, [1]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Alloc { size: usize, align: u32, zeroed: bool },
    Free(usize),
    Resize(usize, usize),
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 1_usize..300,
        2 => 300_usize..40_000,
        2 => LARGE - 50..LARGE + 50,
        1 => LARGE..600_000,
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (sizes(), prop_oneof![6 => 0_u32..5, 1 => 5_u32..18], any::<bool>())
            .prop_map(|(size, align, zeroed)| Step::Alloc { size, align, zeroed }),
        2 => any::<usize>().prop_map(Step::Free),
        2 => (any::<usize>(), sizes()).prop_map(|(which, size)| Step::Resize(which, size)),
    ];
    proptest::collection::vec(step, 1..120)
}

/// Returns the indices of a few bytes of an allocation that identify it: the first, the last and
/// some between.
fn places(size: usize) -> impl Iterator<Item = usize> {
    (0..size).step_by(size.div_ceil(64).max(1)).chain([size - 1])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Memory is aligned, overlaps no other allocation, is zero where requested, and keeps its
    /// contents when it grows or shrinks.
    #[test]
    fn memory_is_its_owners(steps in steps()) {
        let allocator = Allocator::new();
        // By address: the layout, and the byte with which the memory is filled.
        let mut model: BTreeMap<usize, (Layout, u8, *mut u8)> = BTreeMap::new();
        let mut tag = 0_u8;
        for step in steps {
            tag = tag.wrapping_add(1);
            let pick = |which: usize| {
                let count = model.len();
                (count != 0).then(|| *model.keys().nth(which % count).unwrap())
            };
            let (at, layout) = match step {
                Step::Alloc { size, align, zeroed } => {
                    let layout = Layout::from_size_align(size, 1 << align).unwrap();
                    let at = unsafe {
                        if zeroed { allocator.alloc_zeroed(layout) } else { allocator.alloc(layout) }
                    };
                    prop_assert!(!at.is_null());
                    if zeroed {
                        for place in places(size) {
                            prop_assert_eq!(unsafe { at.add(place).read() }, 0);
                        }
                    }
                    (at, layout)
                }
                Step::Free(which) => {
                    let Some(key) = pick(which) else { continue };
                    let (layout, tag, at) = model.remove(&key).unwrap();
                    for place in places(layout.size()) {
                        prop_assert_eq!(unsafe { at.add(place).read() }, tag);
                    }
                    unsafe { allocator.dealloc(at, layout) };
                    continue;
                }
                Step::Resize(which, size) => {
                    let Some(key) = pick(which) else { continue };
                    let (old, tag, at) = model.remove(&key).unwrap();
                    let new = unsafe { allocator.realloc(at, old, size) };
                    prop_assert!(!new.is_null());
                    for place in places(size.min(old.size())) {
                        prop_assert_eq!(unsafe { new.add(place).read() }, tag);
                    }
                    (new, Layout::from_size_align(size, old.align()).unwrap())
                }
            };
            prop_assert!(at.addr().is_multiple_of(layout.align()));
            let below = model.range(..at.addr()).next_back();
            prop_assert!(below.is_none_or(|(&start, (below, ..))| start + below.size() <= at.addr()));
            let above = model.range(at.addr()..).next();
            prop_assert!(above.is_none_or(|(&start, _)| at.addr() + layout.size() <= start));
            unsafe { at.write_bytes(tag, layout.size()) };
            model.insert(at.addr(), (layout, tag, at));
        }
        for (layout, tag, at) in model.into_values() {
            for place in places(layout.size()) {
                prop_assert_eq!(unsafe { at.add(place).read() }, tag);
            }
            unsafe { allocator.dealloc(at, layout) };
        }
    }
}
