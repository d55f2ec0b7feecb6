//! A running total that values leave as exactly as they came.

use crate::wide::{DIGITS_MAX, I256, fits};
use bnum::cast::As as _;
use bnum::{BInt, BUint};

/// The sum of weighted values, in 320 bits: no order of inserts and retractions overflows on the way
/// (that would take weights of more than 2^66), so it depends on what is left in it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(BInt<5>);

impl Sum {
    /// Adds `value * weight`.
    #[inline]
    pub fn add(&mut self, value: I256, weight: i64) {
        let value: BInt<5> = value.as_();
        self.0 = match weight {
            1 => self.0.wrapping_add(value),
            -1 => self.0.wrapping_sub(value),
            _ => self.0.wrapping_add(value.wrapping_mul(BInt::from(weight))),
        };
    }

    /// The total, if it has at most [`DIGITS_MAX`] digits.
    #[inline]
    pub fn get(&self) -> Option<I256> {
        let narrow: I256 = self.0.as_();
        let widened: BInt<5> = narrow.as_();
        (widened == self.0 && fits(narrow, DIGITS_MAX)).then_some(narrow)
    }

    /// The total as bytes, little-endian.
    pub fn to_le_bytes(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        let digits = *self.0.to_bits().digits();
        for (chunk, digit) in bytes.chunks_exact_mut(8).zip(digits) {
            chunk.copy_from_slice(&digit.to_le_bytes());
        }
        bytes
    }

    /// The total of these bytes.
    pub fn from_le_bytes(bytes: [u8; 40]) -> Self {
        let mut digits = [0; 5];
        for (digit, chunk) in digits.iter_mut().zip(bytes.chunks_exact(8)) {
            *digit = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        }
        Self(BInt::from_bits(BUint::from_digits(digits)))
    }

    /// Whether the total is zero.
    #[inline]
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}
