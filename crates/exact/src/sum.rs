//! A running total that values leave as exactly as they came.

use crate::wide::{DIGITS_MAX, I256, fits};
use bnum::BInt;
use bnum::cast::As as _;

/// The sum of weighted values, in 320 bits: no order of inserts and retractions overflows on the way
/// (that would take weights of more than 2^66), so it depends on what is left in it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(BInt<5>);

impl Sum {
    /// Adds `value * weight`.
    pub fn add(&mut self, value: I256, weight: i64) {
        let value: BInt<5> = value.as_();
        self.0 = match weight {
            1 => self.0.wrapping_add(value),
            -1 => self.0.wrapping_sub(value),
            _ => self.0.wrapping_add(value.wrapping_mul(BInt::from(weight))),
        };
    }

    /// The total, if it has at most [`DIGITS_MAX`] digits.
    pub fn get(&self) -> Option<I256> {
        let narrow: I256 = self.0.as_();
        let widened: BInt<5> = narrow.as_();
        (widened == self.0 && fits(narrow, DIGITS_MAX)).then_some(narrow)
    }

    /// Whether the total is zero.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}
