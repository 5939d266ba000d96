//! Names that were seen before.

use core::ffi::CStr;

/// A set of names, kept as one bit each of a number made of them: two may have the same.
pub struct BloomFilter {
    bits: [u64; 512],
}

impl BloomFilter {
    pub fn new() -> BloomFilter {
        BloomFilter { bits: [0; 512] }
    }

    /// Whether this name may be in the set; if not, it is not.
    pub fn may_have(&mut self, name: &CStr) -> bool {
        let (word, bit) = self.place(name);
        *word & bit != 0
    }

    pub fn add(&mut self, name: &CStr) {
        let (word, bit) = self.place(name);
        *word |= bit;
    }

    /// The bit that stands for a name.
    #[inline(never)]
    fn place(&mut self, name: &CStr) -> (&mut u64, u64) {
        let number = name
            .to_bytes()
            .iter()
            .fold(5381u32, |number, &byte| number.wrapping_mul(33) ^ u32::from(byte));
        (&mut self.bits[(number / 64 % 512) as usize], 1 << (number % 64))
    }
}
