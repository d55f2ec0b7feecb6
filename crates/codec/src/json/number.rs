//! Decimal literals to integers, exactly.

/// A JSON number (its syntax already checked) as an integer of `scale` decimals, below `10^precision`.
/// `None` when it has more decimals than that, zeros at the end aside, or is too large.
pub(crate) fn decimal(literal: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let (is_negative, digits) = match literal {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, literal),
    };
    let (mantissa, exponent) = mantissa(digits)?;
    let value = if mantissa == 0 {
        0
    } else {
        shifted(mantissa, exponent.checked_add(i64::from(scale))?)?
    };
    let limit = 10_u128.checked_pow(u32::from(precision))?;
    let value = i128::try_from(value).ok().filter(|_| value < limit)?;
    Some(if is_negative { -value } else { value })
}

/// A JSON number as an `i64`; `1.0` and `1e3` are integers too.
pub(crate) fn integer(literal: &[u8]) -> Option<i64> {
    decimal(literal, 38, 0).and_then(|value| i64::try_from(value).ok())
}

/// Whether a JSON number is an integer, of whatever size.
pub(crate) fn is_integral(literal: &[u8]) -> bool {
    // Where the last digit that is not zero stands, counted from the point.
    let (number, exponent) = split_exponent(literal);
    let mut last = None;
    let mut decimals = None;
    for &b in number {
        match b {
            b'.' => decimals = Some(0_i64),
            b'-' => {}
            _ => {
                decimals = decimals.map(|n| n + 1);
                if b != b'0' {
                    last = Some(decimals.unwrap_or(0));
                }
            }
        }
    }
    match (last, decimals) {
        (None, _) => true,
        (Some(0), _) => exponent >= 0 || trailing_zeros(number) >= exponent.unsigned_abs(),
        (Some(last), _) => exponent >= last,
    }
}

fn trailing_zeros(number: &[u8]) -> u64 {
    let integer = number.split(|b| *b == b'.').next().unwrap_or_default();
    integer
        .iter()
        .rev()
        .take_while(|b| **b == b'0')
        .map(|_| 1)
        .sum()
}

/// Most bytes that a number takes once its exponent is written out. Longer ones are out of any bound.
const PLAIN_BYTES_MAX: usize = 128;

/// A number with an exponent, without it: `1.25E+3` is `1250`. `None` when there is no exponent or the
/// plain form would be longer than [`PLAIN_BYTES_MAX`].
pub(crate) fn plain(literal: &[u8]) -> Option<Vec<u8>> {
    let (number, exponent) = split_exponent(literal);
    if number.len() == literal.len() {
        return None;
    }
    let (sign, number) = number.split_at(usize::from(number.starts_with(b"-")));
    let digits: Vec<u8> = number.iter().copied().filter(|b| *b != b'.').collect();
    if digits.iter().all(|b| *b == b'0') {
        return Some(b"0".to_vec());
    }
    let whole = number
        .iter()
        .position(|b| *b == b'.')
        .unwrap_or(number.len());
    let point = i64::try_from(whole).ok()?.checked_add(exponent)?;
    let mut out = sign.to_vec();
    match usize::try_from(point) {
        Ok(point) if point > PLAIN_BYTES_MAX => return None,
        Ok(point @ 1..) => {
            let padded = digits.iter().copied().chain(std::iter::repeat_n(
                b'0',
                point.saturating_sub(digits.len()),
            ));
            let leading = digits
                .iter()
                .take(point - 1)
                .take_while(|b| **b == b'0')
                .count();
            out.extend(padded.take(point).skip(leading));
            out.extend(
                digits
                    .get(point..)
                    .filter(|rest| !rest.is_empty())
                    .into_iter()
                    .flat_map(|rest| [b".", rest].concat()),
            );
        }
        _ => {
            let zeros = usize::try_from(point.unsigned_abs())
                .ok()
                .filter(|zeros| *zeros <= PLAIN_BYTES_MAX)?;
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', zeros));
            out.extend_from_slice(&digits);
        }
    }
    (out.len() <= PLAIN_BYTES_MAX).then_some(out)
}

/// Digits without the zeros at either end, and the power of ten that they are multiplied with.
fn mantissa(literal: &[u8]) -> Option<(u128, i64)> {
    let (number, exponent) = split_exponent(literal);
    let mut mantissa = 0_u128;
    let (mut zeros, mut decimals, mut is_fraction) = (0_u32, 0_i64, false);
    for &b in number {
        if b == b'.' {
            is_fraction = true;
            continue;
        }
        decimals += i64::from(is_fraction);
        if b == b'0' {
            zeros += u32::from(mantissa != 0);
            continue;
        }
        let shift = 10_u128.checked_pow(zeros + 1)?;
        mantissa = mantissa
            .checked_mul(shift)?
            .checked_add(u128::from(b - b'0'))?;
        zeros = 0;
    }
    Some((
        mantissa,
        exponent
            .checked_add(i64::from(zeros))?
            .checked_sub(decimals)?,
    ))
}

fn shifted(mantissa: u128, exponent: i64) -> Option<u128> {
    let exponent = u32::try_from(exponent).ok()?;
    mantissa.checked_mul(10_u128.checked_pow(exponent)?)
}

/// The part before `e`, and the exponent, cut at a size that no number of digits can make up for.
fn split_exponent(literal: &[u8]) -> (&[u8], i64) {
    const EXPONENT_MAX: i64 = 1 << 40;
    let Some(at) = literal.iter().position(|b| matches!(b, b'e' | b'E')) else {
        return (literal, 0);
    };
    let (number, exponent) = (&literal[..at], &literal[at + 1..]);
    let magnitude = exponent.iter().filter(|b| b.is_ascii_digit());
    let magnitude = magnitude.fold(0_i64, |value, b| {
        (value * 10 + i64::from(b - b'0')).min(EXPONENT_MAX)
    });
    (
        number,
        if exponent.starts_with(b"-") {
            -magnitude
        } else {
            magnitude
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notation does not matter, precision does.
    #[test]
    fn decimals() {
        let check = |literal: &str, expected: Option<i128>| {
            assert_eq!(decimal(literal.as_bytes(), 38, 6), expected, "{literal}");
        };
        check("0", Some(0));
        check("-0.0", Some(0));
        check("0e99999999999999999999", Some(0));
        check("1", Some(1_000_000));
        check("-1.5", Some(-1_500_000));
        check("0.1", Some(100_000));
        check("0.000001", Some(1));
        check("0.0000010000", Some(1));
        check("0.0000001", None);
        check("1e3", Some(1_000_000_000));
        check("1E-6", Some(1));
        check("1e-7", None);
        check("10e-7", Some(1));
        check("123.456e+2", Some(12_345_600_000));
        check(
            "99999999999999999999999999999999.999999",
            Some(99_999_999_999_999_999_999_999_999_999_999_999_999),
        );
        check("100000000000000000000000000000000", None);
        check(
            "1.0000000000000000000000000000000000000000000000000000",
            Some(1_000_000),
        );
        check("1e400", None);
        check("1e-99999999999999999999", None);
    }

    /// Integers in any notation.
    #[test]
    fn integers() {
        let check = |literal: &str, expected: Option<i64>| {
            assert_eq!(integer(literal.as_bytes()), expected, "{literal}");
        };
        check("9223372036854775807", Some(i64::MAX));
        check("-9223372036854775808", Some(i64::MIN));
        check("9223372036854775808", None);
        check("1.0", Some(1));
        check("1.5", None);
        check("15e-1", None);
        check("150e-1", Some(15));
    }

    /// The point moves, digits stay.
    #[test]
    fn exponents() {
        let check = |literal: &str, expected: Option<&str>| {
            let plain = plain(literal.as_bytes()).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(plain.as_deref(), expected, "{literal}");
        };
        check("1e6", Some("1000000"));
        check("1.25E+3", Some("1250"));
        check("1.5e-3", Some("0.0015"));
        check("-2E0", Some("-2"));
        check("0e999", Some("0"));
        check("-0.00e-5", Some("0"));
        check("0.5e1", Some("5"));
        check("0.05e1", Some("0.5"));
        check("12.50e1", Some("125.0"));
        check("100e-2", Some("1.00"));
        check("12e-2", Some("0.12"));
        check("1.5", None);
        check("1e400", None);
        check("1e-400", None);
        check("1e127", Some(&format!("1{:0<127}", "")));
        check("1e128", None);
        check("-1e127", None);
    }

    /// Of any size.
    #[test]
    fn integral() {
        for good in [
            "0",
            "-0",
            "0.00",
            "1",
            "100e-2",
            "1.50e1",
            "1e999",
            "1.0",
            "123456789012345678901234567890123456789012345",
            "0e-5",
            "10.0e-1",
        ] {
            assert!(is_integral(good.as_bytes()), "{good}");
        }
        for bad in [
            "0.1",
            "1e-1",
            "100e-3",
            "1.55e1",
            "10.5e-1",
            "1e-99999999999999999",
        ] {
            assert!(!is_integral(bad.as_bytes()), "{bad}");
        }
    }
}
