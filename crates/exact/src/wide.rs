//! Integers of 256 bits: constants, conversions, checked arithmetic, and the one rounding division.

use bnum::cast::As as _;
use bnum::types::{U256, U512};

/// A signed integer of 256 bits.
pub type I256 = bnum::types::I256;

/// The most decimal digits of a value: what a 256-bit Arrow decimal holds.
pub const DIGITS_MAX: u8 = 76;

/// Powers of ten below 2^128.
const SMALL_POWERS: usize = 39;

static POW10_SMALL: [u128; SMALL_POWERS] = {
    let mut table = [1_u128; SMALL_POWERS];
    let mut i = 1;
    while i < SMALL_POWERS {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

static POW10: [U256; DIGITS_MAX as usize + 1] = {
    let mut table = [U256::ONE; DIGITS_MAX as usize + 1];
    let mut i = 1;
    while i < table.len() {
        table[i] = table[i - 1].wrapping_mul(U256::TEN);
        i += 1;
    }
    table
};

/// `10^exponent`, for exponents up to [`DIGITS_MAX`].
#[inline]
pub fn pow10(exponent: u8) -> Option<I256> {
    POW10
        .get(usize::from(exponent))
        .map(|power| I256::from_bits(*power))
}

/// `10^exponent`, if it is below 2^128.
#[inline]
pub(crate) fn pow10_small(exponent: u32) -> Option<u128> {
    POW10_SMALL.get(exponent as usize).copied()
}

/// Whether the value has at most `digits` decimal digits.
#[inline]
pub fn fits(value: I256, digits: u8) -> bool {
    let magnitude = value.unsigned_abs();
    POW10
        .get(usize::from(digits))
        .is_none_or(|power| magnitude < *power)
}

/// `a * b`.
#[inline]
pub fn product(a: u64, b: u64) -> u128 {
    #[cfg(target_arch = "wasm32")]
    return product_by_halves(a, b);
    #[cfg(not(target_arch = "wasm32"))]
    return u128::from(a) * u128::from(b);
}

/// `a * b`: WebAssembly multiplies no further than 64 bits, and the compiler's own way is a call with the answer in
/// memory.
#[cfg(any(target_arch = "wasm32", test))]
#[inline]
pub(crate) fn product_by_halves(a: u64, b: u64) -> u128 {
    const HALF: u64 = u32::MAX as u64;
    let (a_high, a_low, b_high, b_low) = (a >> 32, a & HALF, b >> 32, b & HALF);
    let low = a_low * b_low;
    let middle = a_high * b_low + (low >> 32);
    let other = a_low * b_high + (middle & HALF);
    let high = a_high * b_high + (middle >> 32) + (other >> 32);
    u128::from(high) << 64 | u128::from(other << 32 | low & HALF)
}

/// The value, widened.
#[inline]
pub fn from_i128(value: i128) -> I256 {
    let [low, high] = halves(value.cast_unsigned());
    let sign = if value < 0 { u64::MAX } else { 0 };
    I256::from_bits(U256::from_digits([low, high, sign, sign]))
}

/// Likewise.
#[inline]
pub fn from_u128(value: u128) -> I256 {
    let [low, high] = halves(value);
    I256::from_bits(U256::from_digits([low, high, 0, 0]))
}

/// The value, if 128 bits hold it.
#[inline]
pub fn to_i128(value: I256) -> Option<i128> {
    let [low, high, third, fourth] = *value.to_bits().digits();
    let narrow = (u128::from(low) | u128::from(high) << 64).cast_signed();
    let sign = if narrow < 0 { u64::MAX } else { 0 };
    (third == sign && fourth == sign).then_some(narrow)
}

/// The value's 32 bytes, least significant first (Arrow's layout).
#[inline]
pub fn to_le_bytes(value: I256) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, digit) in bytes.chunks_exact_mut(8).zip(value.to_bits().digits()) {
        chunk.copy_from_slice(&digit.to_le_bytes());
    }
    bytes
}

/// The value of 32 bytes, least significant first (Arrow's layout).
#[inline]
pub fn from_le_bytes(bytes: [u8; 32]) -> I256 {
    let mut digits = [0; 4];
    for (digit, chunk) in digits.iter_mut().zip(bytes.chunks_exact(8)) {
        *digit = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
    }
    I256::from_bits(U256::from_digits(digits))
}

/// `a + b`, if it has at most [`DIGITS_MAX`] digits.
pub fn checked_add(a: I256, b: I256) -> Option<I256> {
    a.checked_add(b).filter(|sum| fits(*sum, DIGITS_MAX))
}

/// `a - b`, if it has at most [`DIGITS_MAX`] digits.
pub fn checked_sub(a: I256, b: I256) -> Option<I256> {
    a.checked_sub(b)
        .filter(|difference| fits(*difference, DIGITS_MAX))
}

/// `a * b`, if it has at most [`DIGITS_MAX`] digits.
pub fn checked_mul(a: I256, b: I256) -> Option<I256> {
    if let (Some(a), Some(b)) = (to_i128(a), to_i128(b))
        && let Some(product) = a.checked_mul(b)
    {
        return Some(from_i128(product));
    }
    a.checked_mul(b)
        .filter(|product| fits(*product, DIGITS_MAX))
}

/// The value at another scale, rounded half-even when digits are lost; `None` when it has too many digits.
pub fn rescale_half_even(value: I256, from_scale: u8, to_scale: u8) -> Option<I256> {
    if from_scale == to_scale {
        return fits(value, DIGITS_MAX).then_some(value);
    }
    ratio(
        value,
        I256::ONE,
        I256::ONE,
        i32::from(to_scale) - i32::from(from_scale),
    )
}

/// `a * b / c * 10^shift`, rounded half-even once; `None` when `c` is zero or the result has too many digits.
///
/// 512 bits are always enough inside: a numerator of more, over a divisor of at most 2^255, is too
/// large an answer; under a divisor of more, the answer is below a quarter and rounds to zero.
pub(crate) fn ratio(a: I256, b: I256, c: I256, shift: i32) -> Option<I256> {
    if c.is_zero() {
        return None;
    }
    let negative = (a.is_negative() ^ b.is_negative()) ^ c.is_negative();
    let magnitude = if let Some(quotient) = ratio_small(a, b, c, shift) {
        let [low, high] = halves(quotient);
        U256::from_digits([low, high, 0, 0])
    } else {
        let wide = ratio_wide(a.unsigned_abs(), b.unsigned_abs(), c.unsigned_abs(), shift);
        wide.filter(|wide| *wide < POW10[usize::from(DIGITS_MAX)])?
    };
    let value = I256::from_bits(magnitude);
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

fn ratio_small(a: I256, b: I256, c: I256, shift: i32) -> Option<u128> {
    let low = |value: I256| to_i128(value).map(i128::unsigned_abs);
    let (mut a, mut b, mut shift) = (low(a)?, low(b)?, shift);
    let mut product = multiply(a, b);
    if product.is_none() && shift < 0 {
        // Amounts with many more fraction digits than they need: what both sides end with cancels.
        strip(&mut a, &mut shift);
        strip(&mut b, &mut shift);
        product = multiply(a, b);
    }
    let (product, power) = (product?, pow10_small(shift.unsigned_abs())?);
    let (numerator, divisor) = if shift < 0 {
        (product, multiply(low(c)?, power)?)
    } else {
        (multiply(product, power)?, low(c)?)
    };
    if divisor == 1 {
        return Some(numerator);
    }
    let (quotient, rest) = (numerator / divisor, numerator % divisor);
    Some(quotient + u128::from(rounds_up(&rest, &(divisor - rest), quotient & 1 == 1)))
}

/// Takes zeros off a number's end, as many as a division by `10^-shift` takes away.
fn strip(number: &mut u128, shift: &mut i32) {
    for (digits, power) in [
        (16, 10_u64.pow(16)),
        (8, 100_000_000),
        (4, 10_000),
        (2, 100),
        (1, 10),
    ] {
        while *shift <= -digits && number.is_multiple_of(power.into()) {
            *number /= u128::from(power);
            *shift += digits;
        }
    }
}

/// `a * b`; most factors have 64 bits, whose product needs no check, and a factor of 1 is common.
#[inline]
fn multiply(a: u128, b: u128) -> Option<u128> {
    match (u64::try_from(a), u64::try_from(b)) {
        (_, Ok(1)) => Some(a),
        (Ok(a), Ok(b)) => Some(product(a, b)),
        _ => a.checked_mul(b),
    }
}

fn ratio_wide(a: U256, b: U256, c: U256, shift: i32) -> Option<U256> {
    let wide = |value: U256| value.as_::<U512>();
    let half = shift.unsigned_abs() / 2;
    let power = wide(*POW10.get(half as usize)?)
        .wrapping_mul(wide(*POW10.get((shift.unsigned_abs() - half) as usize)?));
    let product = wide(a).wrapping_mul(wide(b));
    let (numerator, divisor) = if shift < 0 {
        let Some(divisor) = wide(c).checked_mul(power) else {
            return Some(U256::ZERO);
        };
        (product, divisor)
    } else {
        (product.checked_mul(power)?, wide(c))
    };
    let (quotient, rest) = divide(numerator, divisor);
    let up = rounds_up(&rest, &divisor.wrapping_sub(rest), quotient.bit(0));
    let rounded = if up {
        quotient.wrapping_add(U512::ONE)
    } else {
        quotient
    };
    (rounded.bits() <= 255).then(|| rounded.as_())
}

/// Quotient and rest; in 256 bits when both fit, which is most of the time.
fn divide(numerator: U512, divisor: U512) -> (U512, U512) {
    if numerator.bits() <= 256 && divisor.bits() <= 256 {
        let (numerator, divisor): (U256, U256) = (numerator.as_(), divisor.as_());
        let quotient = numerator.wrapping_div(divisor);
        let rest = numerator.wrapping_sub(quotient.wrapping_mul(divisor));
        return (quotient.as_(), rest.as_());
    }
    let quotient = numerator.wrapping_div(divisor);
    (
        quotient,
        numerator.wrapping_sub(quotient.wrapping_mul(divisor)),
    )
}

/// Half-even: whether a quotient goes up by one, given the rest and what the rest lacks to the divisor.
fn rounds_up<T: Ord>(rest: &T, lack: &T, odd: bool) -> bool {
    match rest.cmp(lack) {
        core::cmp::Ordering::Less => false,
        core::cmp::Ordering::Equal => odd,
        core::cmp::Ordering::Greater => true,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the two halves are what is wanted"
)]
fn halves(value: u128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}
