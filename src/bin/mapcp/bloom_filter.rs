//! Remembers the names that were copied, in a fixed amount of memory.

use core::ffi::CStr;

/// A Bloom filter with one hash function: a set of names that may report a name it does not
/// contain, but never misses a name that it contains.
pub struct BloomFilter {
    bits: [u64; 512],
}

impl BloomFilter {
    /// Creates an empty set.
    pub fn new() -> BloomFilter {
        BloomFilter { bits: [0; 512] }
    }

    /// Returns whether the set may contain a name. False means that it does not.
    pub fn may_have(&mut self, name: &CStr) -> bool {
        let (word, bit) = self.place(name);
        *word & bit != 0
    }

    /// Adds a name to the set.
    pub fn add(&mut self, name: &CStr) {
        let (word, bit) = self.place(name);
        *word |= bit;
    }

    /// Returns the word and the bit of a name's hash.
    #[inline(never)]
    fn place(&mut self, name: &CStr) -> (&mut u64, u64) {
        let number = name
            .to_bytes()
            .iter()
            .fold(5381u32, |number, &byte| number.wrapping_mul(33) ^ u32::from(byte));
        (&mut self.bits[(number / 64 % 512) as usize], 1 << (number % 64))
    }
}
