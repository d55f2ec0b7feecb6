//! Checked integer arithmetic on digits, and the scales they stand at.

use weir_exact::{I256, checked_add, checked_mul, from_i128};

/// Fraction digits of a value in the reporting currency: a conversion is rounded once to these.
pub const VALUE_SCALE: u8 = 18;

/// Fraction digits of a value times a whole percentage: exact.
pub const WEIGHTED_SCALE: u8 = 20;

/// Fraction digits of a ratio as it leaves.
pub const RATIO_SCALE: u8 = 10;

/// Why a rule has no exact answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// An amount has more digits than 256 bits hold.
    Overflow,
}

impl RuleError {
    /// The stable code of a refusal.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Overflow => "amount_overflow",
        }
    }
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Overflow => f.write_str("amount has more digits than 256 bits hold"),
        }
    }
}

impl std::error::Error for RuleError {}

/// `a + b`.
pub fn add(a: I256, b: I256) -> Result<I256, RuleError> {
    checked_add(a, b).ok_or(RuleError::Overflow)
}

/// `-a`.
pub fn negate(a: I256) -> Result<I256, RuleError> {
    a.checked_neg().ok_or(RuleError::Overflow)
}

/// A value at [`VALUE_SCALE`] times a whole percentage: digits at [`WEIGHTED_SCALE`].
pub fn weigh(value: I256, percent: u8) -> Result<I256, RuleError> {
    times(value, percent.into())
}

/// `a - b`.
pub(crate) fn sub(a: I256, b: I256) -> Result<I256, RuleError> {
    add(a, negate(b)?)
}

/// `a * factor`.
pub(crate) fn times(a: I256, factor: i128) -> Result<I256, RuleError> {
    checked_mul(a, from_i128(factor)).ok_or(RuleError::Overflow)
}
