//! Checked integer arithmetic on digits, the scales they stand at, and exact fractions.

use weir_exact::{Decimal, I256, checked_add, checked_mul, from_i128, mul_div_round};

/// Fraction digits of a value in the reporting currency: a conversion is rounded once to these.
pub const VALUE_SCALE: u8 = 18;

/// Fraction digits of a factor.
pub const FACTOR_SCALE: u8 = 4;

/// Fraction digits of a value times a factor: exact.
pub const WEIGHTED_SCALE: u8 = VALUE_SCALE + FACTOR_SCALE;

/// Fraction digits of a ratio as it leaves.
pub const RATIO_SCALE: u8 = 10;

/// Why a rule has no exact answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// An amount has more digits than 256 bits hold.
    Overflow,
    /// No rule says what counts of this line.
    UnknownLine,
}

impl RuleError {
    /// The stable code of a refusal.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Overflow => "amount_overflow",
            Self::UnknownLine => "unknown_line",
        }
    }
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Overflow => f.write_str("amount has more digits than 256 bits hold"),
            Self::UnknownLine => f.write_str("no rule says what counts of this line"),
        }
    }
}

impl std::error::Error for RuleError {}

/// What counts of an amount: digits at [`FACTOR_SCALE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Factor(i64);

impl Factor {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const ONE: Self = Self(10_000);

    /// Of digits at [`FACTOR_SCALE`], none below 0.
    pub const fn new(digits: u32) -> Self {
        Self(digits as i64)
    }

    /// `0.15` or `15%`, with no more decimals than the scale has; none below 0.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, scale) = match text.strip_suffix('%') {
            Some(percent) => (percent, FACTOR_SCALE.saturating_sub(2)),
            None => (text, FACTOR_SCALE),
        };
        let number: Decimal = number.parse().ok()?;
        let digits = weir_exact::to_i128(number.at(scale).ok()?)?;
        u32::try_from(digits).ok().map(Self::new)
    }

    /// Digits at [`FACTOR_SCALE`].
    pub const fn digits(self) -> i128 {
        self.0 as i128
    }

    /// What is left of one, or nothing.
    #[must_use]
    pub fn rest(self) -> Self {
        Self::ONE.above(self)
    }

    /// What this is above another.
    #[must_use]
    pub fn above(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0)).max(Self::ZERO)
    }
}

impl std::fmt::Display for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Decimal::from_i128(self.digits(), FACTOR_SCALE).to_text())
    }
}

/// `digits / per`, where digits stand at [`WEIGHTED_SCALE`]: never rounded but when it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    /// Above the line.
    pub digits: I256,
    /// Below it, above 0.
    pub per: i128,
}

impl Fraction {
    /// A whole amount.
    pub const fn whole(digits: I256) -> Self {
        Self { digits, per: 1 }
    }

    /// `self - other`.
    pub fn minus(self, other: Self) -> Result<Self, RuleError> {
        let digits = sub(
            times(self.digits, other.per)?,
            times(other.digits, self.per)?,
        )?;
        let per = product(&[self.per, other.per])?;
        Ok(Self { digits, per })
    }

    /// Rounded once, half-even.
    pub fn round(self, scale: u8) -> Result<I256, RuleError> {
        let (amount, one) = (
            Decimal::new(self.digits, WEIGHTED_SCALE),
            Decimal::from_i128(1, 0),
        );
        mul_div_round(amount, one, Decimal::from_i128(self.per, 0), scale)
            .map(|rounded| rounded.value)
            .map_err(|_too_large| RuleError::Overflow)
    }
}

/// `a + b`.
pub fn add(a: I256, b: I256) -> Result<I256, RuleError> {
    checked_add(a, b).ok_or(RuleError::Overflow)
}

/// `-a`.
pub fn negate(a: I256) -> Result<I256, RuleError> {
    a.checked_neg().ok_or(RuleError::Overflow)
}

/// `a - b`.
pub fn sub(a: I256, b: I256) -> Result<I256, RuleError> {
    add(a, negate(b)?)
}

/// A value at [`VALUE_SCALE`] times a factor: digits at [`WEIGHTED_SCALE`].
pub fn weigh(value: I256, factor: Factor) -> Result<I256, RuleError> {
    times(value, factor.digits())
}

/// `a * factor`.
pub(crate) fn times(a: I256, factor: i128) -> Result<I256, RuleError> {
    checked_mul(a, from_i128(factor)).ok_or(RuleError::Overflow)
}

/// A product of constants.
pub(crate) fn product(factors: &[i128]) -> Result<i128, RuleError> {
    let multiply = |product: i128, factor: &i128| product.checked_mul(*factor);
    factors
        .iter()
        .try_fold(1, multiply)
        .ok_or(RuleError::Overflow)
}

/// The same proportions in the smallest whole numbers.
pub(crate) fn reduced<const N: usize>(parts: [i128; N]) -> [i128; N] {
    let common = parts.into_iter().fold(0, gcd);
    parts.map(|part| part.checked_div(common).unwrap_or(part))
}

fn gcd(a: i128, b: i128) -> i128 {
    match a.checked_rem(b) {
        None => a,
        Some(rest) => gcd(b, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Percent or fraction, four decimals of a fraction, never below 0.
    #[test]
    fn factors() {
        for (text, digits) in [
            ("15%", 1500),
            ("7.5%", 750),
            ("0.6667", 6667),
            ("1", 10_000),
            ("0", 0),
        ] {
            assert_eq!(Factor::parse(text), Some(Factor::new(digits)), "{text}");
        }
        for text in ["", "%", "x", "-1%", "0.00001", "0.001%", "1e3"] {
            assert_eq!(Factor::parse(text), None, "{text}");
        }
        assert_eq!(Factor::new(750).rest(), Factor::new(9250));
        assert_eq!(Factor::new(12_000).rest(), Factor::ZERO);
        assert_eq!(
            Factor::new(5000).above(Factor::new(1500)),
            Factor::new(3500)
        );
    }

    /// A value times a factor stands where the scales say, and leaves rounded once, half to even.
    #[test]
    fn weighing() {
        let two = times(from_i128(2), 10_i128.pow(u32::from(VALUE_SCALE))).expect("it fits");
        let half = weigh(two, Factor::new(5000)).expect("it fits");
        assert_eq!(half, from_i128(10_i128.pow(22)));
        let round = |per, scale| Fraction { digits: half, per }.round(scale);
        assert_eq!(round(1, 0), Ok(from_i128(1)));
        assert_eq!(round(3, 4), Ok(from_i128(3333)));
        assert_eq!(round(8, 2), Ok(from_i128(12)));
        assert_eq!(
            Fraction::whole(I256::MAX).round(60),
            Err(RuleError::Overflow)
        );
    }

    /// Proportions are in their smallest whole numbers, so that amounts have all the room there is.
    #[test]
    fn proportions() {
        assert_eq!(reduced([51_000_000, 9_000_000, 12_750_000]), [68, 12, 17]);
        assert_eq!(reduced([7, 0, 3]), [7, 0, 3]);
        assert_eq!(reduced([0, 0]), [0, 0]);
    }

    /// Each error says what happened.
    #[test]
    fn errors() {
        let told = |error: RuleError| format!("{}: {error}", error.code());
        assert_eq!(
            told(RuleError::Overflow),
            "amount_overflow: amount has more digits than 256 bits hold"
        );
        assert_eq!(
            told(RuleError::UnknownLine),
            "unknown_line: no rule says what counts of this line"
        );
    }
}
