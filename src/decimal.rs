//! Decimal numbers as text, with a tenth of the code that `core::fmt` adds to a program to pad
//! and align them.

use core::fmt;

/// The decimal digits of an unsigned number, made without `core::fmt`.
#[derive(Clone, Copy)]
pub struct Decimal {
    /// The digits, at the end of the array. `u64::MAX` has twenty.
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    /// Converts a number to digits.
    #[inline(never)]
    #[must_use]
    pub fn new(mut number: u64) -> Decimal {
        let mut digits = [b'0'; 20];
        let mut start = digits.len();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            start -= 1;
            if number == 0 {
                break;
            }
        }
        Decimal { digits, start }
    }

    /// Returns the digits, of which there is at least one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let digits = self.digits.get(self.start..).unwrap_or_default();
        // SAFETY: the bytes are the ASCII characters 0 to 9.
        unsafe { str::from_utf8_unchecked(digits) }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::string::ToString;

    proptest! {
        #[test]
        fn as_the_standard_library_writes_it(number: u64) {
            for number in [number, number % 1000, 0, u64::MAX] {
                let decimal = super::Decimal::new(number);
                prop_assert_eq!(decimal.as_str(), number.to_string());
            }
        }
    }
}
