//! A number with its scale, and arithmetic between different scales.

use crate::wide::{
    DIGITS_MAX, I256, checked_add, checked_mul, checked_sub, fits, from_i128, pow10, pow10_small,
    to_i128,
};
use crate::wide::{ratio, rescale_half_even};
use crate::{ExactError, text};
use alloc::string::String;
use core::cmp::Ordering;

/// `value / 10^scale`. Equal numbers of different scales are equal.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    /// The digits.
    pub value: I256,
    /// How many of them are behind the point; at most [`DIGITS_MAX`].
    pub scale: u8,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self {
        value: I256::ZERO,
        scale: 0,
    };

    /// `value / 10^scale`.
    #[inline]
    pub const fn new(value: I256, scale: u8) -> Self {
        Self { value, scale }
    }

    /// `value / 10^scale`.
    #[inline]
    pub fn from_i128(value: i128, scale: u8) -> Self {
        Self::new(from_i128(value), scale)
    }

    /// The digits at this scale, if none is lost.
    pub fn at(self, scale: u8) -> Result<I256, ExactError> {
        let digits = self.round(scale)?;
        if scale < self.scale {
            let back = rescale_half_even(digits, scale, self.scale);
            return (back == Some(self.value))
                .then_some(digits)
                .ok_or(ExactError::Inexact);
        }
        Ok(digits)
    }

    /// The digits at this scale, rounded half-even.
    pub fn round(self, scale: u8) -> Result<I256, ExactError> {
        rescale_half_even(self.value, self.scale, scale).ok_or(ExactError::Overflow)
    }

    /// `self + other` at the larger scale.
    pub fn checked_add(self, other: Self) -> Result<Self, ExactError> {
        self.aligned(other, checked_add)
    }

    /// `self - other`, at the larger scale.
    pub fn checked_sub(self, other: Self) -> Result<Self, ExactError> {
        self.aligned(other, checked_sub)
    }

    /// `self * other`, with the scales' sum.
    pub fn checked_mul(self, other: Self) -> Result<Self, ExactError> {
        let scale = self
            .scale
            .checked_add(other.scale)
            .filter(|scale| *scale <= DIGITS_MAX);
        let scale = scale.ok_or(ExactError::Overflow)?;
        let value = checked_mul(self.value, other.value).ok_or(ExactError::Overflow)?;
        Ok(Self { value, scale })
    }

    /// `-self`.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            value: self.value.wrapping_neg(),
            scale: self.scale,
        }
    }

    /// The number as plain text, see [`crate::format`].
    pub fn to_text(self) -> String {
        text::format(self.value, self.scale)
    }

    fn aligned(
        self,
        other: Self,
        apply: fn(I256, I256) -> Option<I256>,
    ) -> Result<Self, ExactError> {
        let scale = self.scale.max(other.scale);
        let value = apply(self.round(scale)?, other.round(scale)?).ok_or(ExactError::Overflow)?;
        Ok(Self { value, scale })
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.round(scale), other.round(scale)) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            // Only the number with fewer fraction digits can outgrow the common scale.
            (Err(_), _) => side(self.value),
            (_, Err(_)) => side(other.value).reverse(),
        }
    }
}

fn side(value: I256) -> Ordering {
    if value.is_negative() {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl core::fmt::Display for Decimal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl core::str::FromStr for Decimal {
    type Err = ExactError;

    fn from_str(text: &str) -> Result<Self, ExactError> {
        text::parse(text)
    }
}

/// `a * b / c` at this scale: exact inside (512 bits), rounded half-even once.
///
/// ```
/// use weir_exact::{Decimal, mul_div_round};
/// let number = |text: &str| text.parse::<Decimal>().unwrap();
/// let third = mul_div_round(number("1"), number("2"), number("3"), 4).unwrap();
/// assert_eq!(third.to_text(), "0.6667");
/// ```
pub fn mul_div_round(a: Decimal, b: Decimal, c: Decimal, scale: u8) -> Result<Decimal, ExactError> {
    if c.value.is_zero() {
        return Err(ExactError::DivisionByZero);
    }
    debug_assert!([a, b, c].iter().all(|d| d.scale <= DIGITS_MAX) && pow10(scale).is_some());
    let shift = i32::from(scale) + i32::from(c.scale) - i32::from(a.scale) - i32::from(b.scale);
    let value = ratio(a.value, b.value, c.value, shift).ok_or(ExactError::Overflow)?;
    debug_assert!(fits(value, DIGITS_MAX));
    Ok(Decimal { value, scale })
}

/// `x * b / c` for many `x` of one scale: what is the same for all is worked out once. Answers as [`mul_div_round`].
#[derive(Clone, Copy, Debug)]
pub struct Factor {
    b: Decimal,
    c: Decimal,
    from_scale: u8,
    scale: u8,
    /// The digits' numerator and divisor, where they are small.
    small: Option<(i128, i128)>,
}

impl Factor {
    /// For numbers of `from_scale`, answers of `scale`.
    pub fn new(b: Decimal, c: Decimal, from_scale: u8, scale: u8) -> Self {
        let shift =
            i32::from(scale) + i32::from(c.scale) - i32::from(from_scale) - i32::from(b.scale);
        Self {
            b,
            c,
            from_scale,
            scale,
            small: small_ratio(b.value, c.value, shift),
        }
    }

    /// The digits of `x * b / c`, where these are the digits of `x`.
    #[inline]
    pub fn times(&self, digits: I256) -> Result<I256, ExactError> {
        if let (Some((numerator, divisor)), Some(digits)) = (self.small, to_i128(digits))
            && let Some(product) = digits.checked_mul(numerator)
        {
            return Ok(from_i128(divided(product, divisor)));
        }
        let number = Decimal::new(digits, self.from_scale);
        mul_div_round(number, self.b, self.c, self.scale).map(|answer| answer.value)
    }
}

/// `b / c * 10^shift` as a ratio, the divisor above zero, without the zeros that both end with.
fn small_ratio(b: I256, c: I256, mut shift: i32) -> Option<(i128, i128)> {
    let (mut numerator, mut divisor) = (to_i128(b)?, to_i128(c)?);
    if divisor <= 0 {
        return None;
    }
    while shift < 0 && numerator % 10 == 0 {
        (numerator, shift) = (numerator / 10, shift + 1);
    }
    while shift > 0 && divisor % 10 == 0 {
        (divisor, shift) = (divisor / 10, shift - 1);
    }
    let power = i128::try_from(pow10_small(shift.unsigned_abs())?).ok()?;
    if shift < 0 {
        divisor = divisor.checked_mul(power)?;
    } else {
        numerator = numerator.checked_mul(power)?;
    }
    Some((numerator, divisor))
}

/// Half-even; the divisor is above zero.
#[inline]
fn divided(number: i128, divisor: i128) -> i128 {
    if divisor == 1 {
        return number;
    }
    let (quotient, rest) = (number / divisor, (number % divisor).unsigned_abs());
    let lack = divisor.unsigned_abs() - rest;
    let goes_on = rest > lack || (rest == lack && quotient % 2 != 0);
    quotient + i128::from(goes_on) * if number < 0 { -1 } else { 1 }
}
