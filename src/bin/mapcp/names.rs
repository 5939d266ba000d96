//! Names that were seen before.

use core::ffi::CStr;

/// A set of names, kept as one bit each of a number made of them: two may have the same.
pub struct Names {
    bits: [u64; 512],
}

impl Names {
    pub fn new() -> Names {
        Names { bits: [0; 512] }
    }

    /// Whether this name may have been asked for before; if not, it has not.
    #[inline(never)]
    pub fn is_known(&mut self, name: &CStr) -> bool {
        let number = name
            .to_bytes()
            .iter()
            .fold(5381u32, |number, &byte| number.wrapping_mul(33) ^ u32::from(byte));
        let bit = 1 << (number % 64);
        let Some(word) = self.bits.get_mut((number / 64 % 512) as usize) else { return false };
        let was = *word;
        *word |= bit;
        was & bit != 0
    }
}
