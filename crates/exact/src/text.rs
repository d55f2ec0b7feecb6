//! Decimal text in and out. Digits are counted, never guessed: no exponent unless JSON says so.

use crate::wide::{DIGITS_MAX, I256, fits, pow10_small, rescale_half_even};
use crate::{Decimal, ExactError};
use alloc::string::String;
use bnum::types::U256;

/// Exponents are read up to here: no value beyond has a decimal form, nor does more text change that.
const EXPONENT_MAX: i64 = 1 << 40;

/// A number written plainly: an optional sign, digits, optionally a point among, before or after them.
///
/// The scale is the number of fraction digits without trailing zeros.
pub fn parse(text: &str) -> Result<Decimal, ExactError> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (whole, fraction) = split(digits, |byte| byte == b'.');
    let fraction = fraction.unwrap_or_default();
    if whole.is_empty() && fraction.is_empty() {
        return Err(ExactError::Syntax);
    }
    assemble(negative, whole, fraction, 0)
}

/// A number by JSON's grammar: an exponent is allowed, a plus sign or a leading zero is not.
pub fn parse_json(text: &str) -> Result<Decimal, ExactError> {
    let bytes = text.as_bytes();
    let (negative, bytes) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = split(bytes, |byte| matches!(byte, b'e' | b'E'));
    let (whole, fraction) = split(mantissa, |byte| byte == b'.');
    let leading_zero = whole.len() > 1 && whole[0] == b'0';
    if whole.is_empty() || leading_zero || fraction.is_some_and(<[u8]>::is_empty) {
        return Err(ExactError::Syntax);
    }
    let exponent = exponent.map_or(Ok(0), parse_exponent)?;
    assemble(negative, whole, fraction.unwrap_or_default(), exponent)
}

/// Plain text of `value / 10^scale`: no exponent, no zeros at the fraction's end, no sign on zero.
pub fn format(value: I256, scale: u8) -> String {
    let mut digits = [b'0'; 2 * DIGITS_MAX as usize + 4];
    let start = write_digits(value.unsigned_abs(), &mut digits);
    let point = digits.len() - usize::from(scale);
    let whole = &digits[start.min(point - 1)..point];
    let kept = digits[point..]
        .iter()
        .rposition(|&digit| digit != b'0')
        .map_or(0, |last| last + 1);
    let mut text = String::with_capacity(whole.len() + kept + 2);
    if value.is_negative() {
        text.push('-');
    }
    text.extend(whole.iter().copied().map(char::from));
    if kept > 0 {
        text.push('.');
        text.extend(digits[point..point + kept].iter().copied().map(char::from));
    }
    text
}

fn split(bytes: &[u8], at: impl Fn(u8) -> bool) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().position(|&byte| at(byte)) {
        Some(index) => (&bytes[..index], Some(&bytes[index + 1..])),
        None => (bytes, None),
    }
}

fn parse_exponent(bytes: &[u8]) -> Result<i64, ExactError> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ExactError::Syntax);
    }
    let size = digits.iter().fold(0_i64, |size, digit| {
        (size * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX)
    });
    Ok(if negative { -size } else { size })
}

fn assemble(
    negative: bool,
    whole: &[u8],
    fraction: &[u8],
    exponent: i64,
) -> Result<Decimal, ExactError> {
    let kept = fraction
        .iter()
        .rposition(|&digit| digit != b'0')
        .map_or(0, |last| last + 1);
    if !fraction[kept..].iter().chain(whole).all(u8::is_ascii_digit) {
        return Err(ExactError::Syntax);
    }
    let digits = whole.iter().chain(&fraction[..kept]);
    let Some(magnitude) = accumulate(digits)? else {
        return Ok(Decimal::ZERO);
    };
    let value = if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    };
    let scale = i64::try_from(kept)
        .unwrap_or(i64::MAX)
        .saturating_sub(exponent);
    place(value, scale)
}

/// `value / 10^scale` for a non-zero value and any scale.
fn place(mut value: I256, mut scale: i64) -> Result<Decimal, ExactError> {
    // The text's own exponent may bring a fraction to an end with zeros: 15e-1 keeps, 150e-1 does not.
    while scale > 0 && value.wrapping_rem(I256::TEN).is_zero() {
        value = value.wrapping_div(I256::TEN);
        scale -= 1;
    }
    match u8::try_from(scale) {
        Ok(scale) if scale <= DIGITS_MAX => Ok(Decimal { value, scale }),
        Ok(_) => Err(ExactError::Inexact),
        Err(_) if scale > 0 => Err(ExactError::Inexact),
        Err(_) => {
            let zeros = u8::try_from(-scale).unwrap_or(u8::MAX);
            let value = rescale_half_even(value, 0, zeros).ok_or(ExactError::Overflow)?;
            Ok(Decimal { value, scale: 0 })
        }
    }
}

/// The digits as an integer; `None` for zero.
fn accumulate<'a>(digits: impl Iterator<Item = &'a u8>) -> Result<Option<I256>, ExactError> {
    let mut wide: Option<U256> = None;
    let mut small: u128 = 0;
    let mut length: u32 = 0;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return Err(ExactError::Syntax);
        }
        if length == SMALL_DIGITS {
            wide = Some(append(wide, small, length).ok_or(ExactError::Overflow)?);
            (small, length) = (0, 0);
        }
        small = small * 10 + u128::from(byte - b'0');
        length += u32::from(small != 0 || wide.is_some());
    }
    let value = match wide {
        None => U256::from(small),
        Some(_) => append(wide, small, length).ok_or(ExactError::Overflow)?,
    };
    let value = I256::from_bits(value);
    if value.is_negative() || !fits(value, DIGITS_MAX) {
        return Err(ExactError::Overflow);
    }
    Ok((!value.is_zero()).then_some(value))
}

/// Digits gathered in 128 bits before they join the wide value.
const SMALL_DIGITS: u32 = 38;

fn append(wide: Option<U256>, small: u128, length: u32) -> Option<U256> {
    let power = pow10_small(length).expect("at most 38 digits");
    wide.unwrap_or(U256::ZERO)
        .checked_mul(U256::from(power))?
        .checked_add(U256::from(small))
}

/// Writes decimal digits at the end of `out`; answers where they begin.
fn write_digits(value: U256, out: &mut [u8]) -> usize {
    let mut limbs = *value.digits();
    let mut end = out.len();
    while limbs.iter().any(|&limb| limb != 0) {
        let mut chunk = divide_small(&mut limbs);
        let last = limbs.iter().all(|&limb| limb == 0);
        let stop = end - CHUNK_DIGITS;
        while chunk != 0 || (!last && end > stop) {
            end -= 1;
            out[end] = b'0' + u8::try_from(chunk % 10).expect("a digit");
            chunk /= 10;
        }
    }
    end
}

const CHUNK: u64 = 10_u64.pow(18);
const CHUNK_DIGITS: usize = 18;

/// Divides in place by [`CHUNK`]; answers the rest.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a quotient by more than the rest has one limb"
)]
fn divide_small(limbs: &mut [u64; 4]) -> u64 {
    let mut rest = 0_u128;
    for limb in limbs.iter_mut().rev() {
        let value = rest << 64 | u128::from(*limb);
        *limb = (value / u128::from(CHUNK)) as u64;
        rest = value % u128::from(CHUNK);
    }
    rest as u64
}
