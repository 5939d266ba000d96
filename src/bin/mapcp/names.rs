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

    /// Whether this name was asked for before; `earlier`, which is slower, decides where two
    /// names have one bit.
    pub fn is_known(&mut self, name: &CStr, earlier: impl Fn(&CStr) -> bool) -> bool {
        let number = name
            .to_bytes()
            .iter()
            .fold(5381u32, |number, &byte| number.wrapping_mul(33) ^ u32::from(byte));
        let bit = 1 << (number % 64);
        let Some(word) = self.bits.get_mut((number / 64 % 512) as usize) else { return false };
        let seen = *word & bit != 0;
        *word |= bit;
        seen && earlier(name)
    }
}
