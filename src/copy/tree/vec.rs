//! A vector in a mapping of its own, for a copy that has no allocator.

use core::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr, slice,
};

use crate::map::{MmapMut, RemapOptions};
use crate::syscall::Result;

/// A growable array of values, as `std::vec::Vec`, whose memory comes from `mmap(2)`.
///
/// An empty vector has no mapping. The mapping grows by doubling, and may move then.
pub struct MapVec<T> {
    /// The address of the first value: of the mapping, which is page-aligned, or dangling.
    start: *mut T,
    len: usize,
    memory: Memory,
    marker: PhantomData<T>,
}

/// The mapping of a vector.
struct Memory(Option<MmapMut>);

/// The size in bytes of the first mapping.
const FIRST: usize = 16 << 10;

impl Memory {
    /// Makes the mapping at least `wanted` bytes long, and returns its address.
    #[inline(never)]
    fn grow(&mut self, wanted: usize) -> Result<*mut u8> {
        match &mut self.0 {
            None => {
                let map = MmapMut::map_anon(wanted.max(FIRST))?;
                Ok(self.0.insert(map).as_mut_ptr())
            }
            Some(map) => {
                if map.len() < wanted {
                    let twice = map.len().saturating_mul(2).max(wanted);
                    // SAFETY: the map is anonymous memory, and the vector lends no pointer to it
                    // beyond the borrow of a method.
                    unsafe { map.remap(twice, RemapOptions::new().may_move(true)) }?;
                }
                Ok(map.as_mut_ptr())
            }
        }
    }
}

impl<T> MapVec<T> {
    /// Creates an empty vector.
    pub const fn new() -> MapVec<T> {
        MapVec { start: ptr::dangling_mut(), len: 0, memory: Memory(None), marker: PhantomData }
    }

    /// Adds a value. Returns `ENOMEM`, and drops the value, if there is no memory.
    #[inline(never)]
    pub fn push(&mut self, value: T) -> Result<()> {
        // Allocated memory has at most `isize::MAX` bytes, so there is no overflow.
        self.start = self.memory.grow((self.len + 1).saturating_mul(size_of::<T>()))?.cast();
        // SAFETY: there is room for one more value after the `len` values in the map.
        unsafe { self.start.add(self.len).write(value) };
        self.len += 1;
        Ok(())
    }

    /// Removes all values after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        while self.len > len {
            self.len -= 1;
            // SAFETY: the value was written by `push`, and no longer counts as one of the
            // vector's.
            unsafe { self.start.add(self.len).drop_in_place() };
        }
    }
}

impl MapVec<u8> {
    /// Adds bytes.
    #[inline(never)]
    pub fn extend(&mut self, bytes: &[u8]) -> Result<()> {
        bytes.iter().try_for_each(|&byte| self.push(byte))
    }
}

impl<T> Deref for MapVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the map starts with `len` values, and is borrowed with the vector. A vector
        // without a map has no values.
        unsafe { slice::from_raw_parts(self.start, self.len) }
    }
}

impl<T> DerefMut for MapVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: the map starts with `len` values, and is borrowed mutably with the vector. A
        // vector without a map has no values.
        unsafe { slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl<T> Drop for MapVec<T> {
    fn drop(&mut self) {
        self.truncate(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{rc::Rc, vec::Vec};

    #[test]
    fn a_vector_in_a_mapping_is_a_vector() {
        let mut vec = MapVec::new();
        assert_eq!(vec.len(), 0);
        for number in 0..100_000u64 {
            vec.push(number).unwrap();
        }
        assert_eq!(*vec, *(0..100_000).collect::<Vec<u64>>());
        vec.truncate(2);
        vec[1] = 7;
        assert_eq!(*vec, [0, 7]);
        vec.push(8).unwrap();
        assert_eq!(*vec, [0, 7, 8]);
    }

    #[test]
    fn values_are_dropped_once() {
        let value = Rc::new(());
        let mut vec = MapVec::new();
        for _ in 0..5 {
            vec.push(value.clone()).unwrap();
        }
        vec.truncate(2);
        assert_eq!(Rc::strong_count(&value), 3);
        drop(vec);
        assert_eq!(Rc::strong_count(&value), 1);
    }

    #[test]
    fn bytes_are_added() {
        let mut text = MapVec::new();
        text.extend(b"abc").unwrap();
        text.extend(&[b'd'; 100_000]).unwrap();
        assert_eq!((text.len(), &text[..4]), (100_003, &b"abcd"[..]));
    }
}
