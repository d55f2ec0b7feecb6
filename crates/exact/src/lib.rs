//! Exact decimal numbers from text to text: wide integers with a scale, rounded half-even once.
//!
//! A [`Decimal`] is `value / 10^scale` with at most [`DIGITS_MAX`] digits, the most that a 256-bit
//! Arrow decimal holds. Every operation is exact, rounds half-even exactly once where its name says
//! so, or fails; none ever wraps. Small numbers take a 128-bit path. No floating point anywhere.

#![no_std]

extern crate alloc;

mod decimal;
mod sum;
mod text;
mod wide;

pub use decimal::{Decimal, Factor, mul_div_round};
pub use sum::Sum;
pub use text::{format, parse, parse_json};
pub use wide::{
    DIGITS_MAX, I256, checked_add, checked_mul, checked_sub, fits, from_i128, from_le_bytes,
    from_u128, pow10, product, rescale_half_even, to_i128, to_le_bytes,
};

/// Why there is no exact answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactError {
    /// The text is not a number of this grammar.
    Syntax,
    /// The number has non-zero digits beyond the wanted scale.
    Inexact,
    /// The number has more than [`DIGITS_MAX`] digits.
    Overflow,
    /// The divisor is zero.
    DivisionByZero,
}

impl core::fmt::Display for ExactError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Syntax => "not a decimal number",
            Self::Inexact => "more fraction digits than the column holds",
            Self::Overflow => "more digits than a decimal holds",
            Self::DivisionByZero => "division by zero",
        })
    }
}

impl core::error::Error for ExactError {}

#[cfg(test)]
mod tests;
