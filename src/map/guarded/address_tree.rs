//! A table of address ranges that a signal handler can search at any time.

use core::{
    ops::Range,
    ptr,
    sync::atomic::{AtomicPtr, Ordering::*},
};

use super::pool;
use crate::syscall;

/// Maps addresses to values, for ranges of whole pages that do not overlap.
///
/// The table is a tree of page numbers, like the page tables of a processor. Each slot of a node
/// stands for a block of pages: for one page in the nodes at the bottom, and for 16 times as many
/// in each level above. A range is stored in the slots of the largest blocks that it consists of.
/// A range has at most 30 slots in each level, so that a range of any length is stored and removed
/// in a short time.
///
/// A slot belongs to the only range that can contain its block. So storing and removing a range are
/// plain stores: no thread waits for another one, and a `fork` in between does no harm. A search
/// passes at most one node for each level. Nodes are kept when they become empty. They take one
/// byte for each 256 bytes of the addresses that ranges ever began or ended in.
pub struct AddressTree<T: 'static> {
    root: Node<T>,
}

/// The base-2 logarithm of the number of slots of a node.
const BITS: u32 = 4;
const SLOTS: usize = 1 << BITS;
/// The base-2 logarithm of the smallest page size of all architectures.
const PAGE_BITS: u32 = 12;
/// The level of the root. The level of a node whose slots stand for one page is zero.
const TOP: u32 = (usize::BITS - PAGE_BITS).div_ceil(BITS) - 1;

struct Node<T: 'static> {
    /// The values of the ranges that contain a whole block.
    values: [AtomicPtr<T>; SLOTS],
    /// The nodes of blocks of which ranges contain, or contained, a part.
    children: [AtomicPtr<Node<T>>; SLOTS],
}

/// Returns the number of bytes of a slot's block in nodes of a level.
const fn block(level: u32) -> usize {
    1 << (PAGE_BITS + level * BITS)
}

/// Returns the index of the slot for an address in a node of a level.
const fn slot(address: usize, level: u32) -> usize {
    address >> (PAGE_BITS + level * BITS) & (SLOTS - 1)
}

impl<T> Node<T> {
    /// Returns the node below a slot, if there is one.
    fn child(&self, slot: usize) -> Option<&Node<T>> {
        // SAFETY: the pointer is null, or that of a node, which is never unmapped.
        unsafe { self.children[slot].load(Acquire).as_ref() }
    }

    /// Returns the node below a slot, and makes it if there is none.
    fn child_or_new(&self, slot: usize) -> syscall::Result<&Node<T>> {
        if let Some(child) = self.child(slot) {
            return Ok(child);
        }
        // SAFETY: zeros are null pointers.
        let new: &'static Node<T> = unsafe { pool::allocate()? };
        let at = ptr::from_ref(new).cast_mut();
        match self.children[slot].compare_exchange(ptr::null_mut(), at, AcqRel, Acquire) {
            Ok(_) => Ok(new),
            // Another thread was faster. This node's memory is lost.
            // SAFETY: the pointer is that of a node, which is never unmapped.
            Err(other) => Ok(unsafe { &*other }),
        }
    }
}

impl<T> AddressTree<T> {
    /// Creates an empty table.
    pub const fn new() -> AddressTree<T> {
        AddressTree {
            root: Node {
                values: [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS],
                children: [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS],
            },
        }
    }

    /// Returns the value of the range that contains an address.
    pub fn get(&self, address: usize) -> Option<&'static T> {
        let mut node = &self.root;
        let mut level = TOP;
        loop {
            let slot = slot(address, level);
            let value = node.values[slot].load(Acquire);
            // SAFETY: the pointer is null, or that of a value, which lives forever.
            if let Some(value) = unsafe { value.as_ref() } {
                return Some(value);
            }
            node = node.child(slot)?;
            level = level.checked_sub(1)?;
        }
    }

    /// Stores a range. Several threads may store one range with one value at the same time.
    ///
    /// `range` consists of whole pages, and no other range that is stored overlaps it. After an
    /// error, a part of the range may be stored.
    ///
    /// `ENOMEM` if there is no memory for nodes.
    pub fn insert(&self, range: Range<usize>, value: &'static T) -> syscall::Result<()> {
        let value = ptr::from_ref(value).cast_mut();
        self.for_each_block(range, |address, level| {
            let mut node = &self.root;
            for above in (level + 1..=TOP).rev() {
                node = node.child_or_new(slot(address, above))?;
            }
            node.values[slot(address, level)].store(value, Release);
            Ok(())
        })
    }

    /// Removes a range that was stored, also if storing it failed.
    pub fn remove(&self, range: Range<usize>) {
        let _ = self.for_each_block(range, |address, level| {
            let mut node = Some(&self.root);
            for above in (level + 1..=TOP).rev() {
                node = node.and_then(|node| node.child(slot(address, above)));
            }
            if let Some(node) = node {
                node.values[slot(address, level)].store(ptr::null_mut(), Release);
            }
            Ok(())
        });
    }

    /// Calls a function with the address and the level of each of the largest blocks that a range
    /// consists of.
    fn for_each_block(
        &self,
        range: Range<usize>,
        mut function: impl FnMut(usize, u32) -> syscall::Result<()>,
    ) -> syscall::Result<()> {
        let mut address = range.start;
        while address < range.end {
            let fits = |level: u32| {
                address.is_multiple_of(block(level)) && range.end - address >= block(level)
            };
            let mut level = 0;
            while level < TOP && fits(level + 1) {
                level += 1;
            }
            function(address, level)?;
            address += block(level);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::LazyLock, vec::Vec};

    use super::*;

    const PAGE: usize = block(0);

    /// The addresses at which ranges can start. The tree refers to them.
    static STARTS: LazyLock<Vec<usize>> = LazyLock::new(|| {
        (0..1 << 14).map(|page| ((0x7f00_0000 + page) * PAGE) & (usize::MAX >> 2)).collect()
    });

    /// Compares the tree with a sorted list of ranges, at the edges of all ranges.
    #[test]
    fn it_finds_what_a_sorted_list_finds() {
        let tree = AddressTree::new();
        let mut model: BTreeMap<usize, Range<usize>> = BTreeMap::new();
        let mut random = 1u64;
        let mut below = |end: usize| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize % end
        };
        let mut edges = Vec::new();
        for _ in 0..3000 {
            let pages = 1 + (1 << below(16)) + below(100);
            let start = &STARTS[below(STARTS.len())];
            let range = *start..start + pages * PAGE;
            let overlaps = model
                .range(..range.end)
                .next_back()
                .is_some_and(|(_, other)| other.end > range.start);
            if overlaps {
                let victim = model.range(..range.end).next_back().map(|(&start, _)| start);
                if let Some(range) = victim.and_then(|victim| model.remove(&victim)) {
                    tree.remove(range);
                }
                continue;
            }
            edges.extend([range.start, range.end]);
            tree.insert(range.clone(), start).unwrap();
            model.insert(range.start, range);
            for &edge in edges.iter().rev().take(64) {
                for address in [edge - 1, edge, edge + PAGE / 2] {
                    let wanted = model.range(..=address).next_back();
                    let wanted = wanted.filter(|(_, range)| range.contains(&address));
                    assert_eq!(tree.get(address), wanted.map(|(start, _)| start), "{address:#x}");
                }
            }
        }
        assert!(edges.len() > 1000, "{}", edges.len());
    }

    #[test]
    fn a_range_has_few_blocks() {
        let tree = AddressTree::<usize>::new();
        for pages in [1, 15, 16, 17, 4096, 100_000] {
            let mut blocks = 0;
            let count = |_, _| {
                blocks += 1;
                Ok(())
            };
            tree.for_each_block(PAGE * 1001..PAGE * (1001 + pages), count).unwrap();
            assert!(blocks <= pages.min(30 * 6), "{pages} pages, {blocks} blocks");
        }
    }
}
