//! Goal: no digit is ever lost unasked. Method: every operation against a twin in 2048-bit integers.

use super::wide::product_by_halves;
use super::{Decimal, ExactError, Factor, I256, Sum, format, mul_div_round, parse, parse_json};
use super::{from_le_bytes, from_u128, product, rescale_half_even, to_i128, to_le_bytes};
use alloc::string::{String, ToString};
use alloc::{format, vec::Vec};
use bnum::cast::As as _;
use proptest::prelude::*;

type Wide = bnum::types::I2048;

fn wide(value: I256) -> Wide {
    value.as_()
}

fn ten(exponent: u32) -> Wide {
    Wide::TEN.pow(exponent)
}

/// The twin: `n / d` half-even, from the definition.
fn divide_half_even(n: Wide, d: Wide) -> Wide {
    let (n, d) = if d.is_negative() { (-n, -d) } else { (n, d) };
    let floor = n.div_euclid(d);
    let twice = n.rem_euclid(d) * Wide::TWO;
    let up = twice > d || (twice == d && floor.rem_euclid(Wide::TWO) == Wide::ONE);
    if up { floor + Wide::ONE } else { floor }
}

fn bounded(value: Wide) -> Option<I256> {
    (value.abs() < ten(76)).then(|| value.as_())
}

/// Values of every size, with many around zero, powers of ten and halves.
fn value() -> impl Strategy<Value = I256> {
    let digits = (
        any::<[u8; 32]>(),
        0_u32..=76,
        any::<bool>(),
        0_u8..6,
        0_u32..=76,
    );
    digits.prop_map(|(bytes, size, negative, kind, zeros)| {
        let random = wide(from_le_bytes(bytes)).abs() % ten(size);
        let magnitude = match kind {
            0 => Wide::from(i128::from(bytes[0] % 4)),
            1 => ten(size.min(75)),
            2 => ten(size.min(75)) * Wide::from(5_i128),
            3 => (random % ten(8)) * ten(zeros) % ten(76),
            _ => random,
        };
        let value: I256 = (magnitude % ten(76)).as_();
        if negative { -value } else { value }
    })
}

fn decimal() -> impl Strategy<Value = Decimal> {
    (value(), 0_u8..=76).prop_map(|(value, scale)| Decimal::new(value, scale))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn products(a in any::<u64>(), b in any::<u64>(), shift in 0_u32..64) {
        let (a, b) = (a >> shift, b >> (63 - shift));
        let twin = u128::from(a) * u128::from(b);
        prop_assert_eq!(product(a, b), twin);
        prop_assert_eq!(product_by_halves(a, b), twin);
        prop_assert_eq!(from_u128(twin).to_string(), twin.to_string());
    }

    #[test]
    fn mul_div_is_the_twin(a in decimal(), b in decimal(), c in decimal(), scale in 0_u8..=76) {
        let got = mul_div_round(a, b, c, scale).map(|decimal| decimal.value);
        let want = if c.value.is_zero() {
            Err(ExactError::DivisionByZero)
        } else {
            let n = wide(a.value) * wide(b.value) * ten(u32::from(scale) + u32::from(c.scale));
            let d = wide(c.value) * ten(u32::from(a.scale) + u32::from(b.scale));
            bounded(divide_half_even(n, d)).ok_or(ExactError::Overflow)
        };
        prop_assert_eq!(got, want);
        prop_assert_eq!(Factor::new(b, c, a.scale, scale).times(a.value), got);
    }

    #[test]
    fn factors_are_the_same_at_once(
        digits in prop::collection::vec((any::<i128>(), 0_u32..90), 1..9),
        b in -2_000_i128..2_000, c in -30_i128..60, scales in any::<[u8; 4]>(),
    ) {
        let [from, of_b, of_c, to] = scales.map(|scale| scale % 22);
        let (b, c) = (Decimal::from_i128(b, of_b), Decimal::from_i128(c, of_c));
        let factor = Factor::new(b, c, from, to);
        for (digits, shift) in digits {
            let number = Decimal::from_i128(digits >> shift, from);
            let want = mul_div_round(number, b, c, to).map(|answer| answer.value);
            prop_assert_eq!(factor.times(number.value), want);
        }
    }

    #[test]
    fn rescaling_is_the_twin(value in value(), from in 0_u8..=76, to in 0_u8..=76) {
        let want = divide_half_even(wide(value) * ten(u32::from(to)), ten(u32::from(from)));
        prop_assert_eq!(rescale_half_even(value, from, to), bounded(want));
    }

    #[test]
    fn sums_products_and_order_are_the_twins(a in decimal(), b in decimal()) {
        let scale = u32::from(a.scale.max(b.scale));
        let at = |d: Decimal| wide(d.value) * ten(scale - u32::from(d.scale));
        prop_assert_eq!(a.cmp(&b), at(a).cmp(&at(b)));
        if let Ok(sum) = a.checked_add(b) {
            prop_assert_eq!(wide(sum.value), at(a) + at(b));
        }
        if let Ok(difference) = a.checked_sub(b) {
            prop_assert_eq!(wide(difference.value), at(a) - at(b));
        }
        let product = bounded(wide(a.value) * wide(b.value));
        let product = product.filter(|_| a.scale + b.scale <= 76);
        prop_assert_eq!(a.checked_mul(b).ok().map(|d| d.value), product);
    }

    #[test]
    fn a_sum_forgets_what_left(
        kept in prop::collection::vec((value(), -5_i64..5), 0..6),
        passing in prop::collection::vec((value(), any::<i64>()), 0..6),
    ) {
        prop_assume!(passing.iter().all(|(_, weight)| *weight != i64::MIN));
        let mut sum = Sum::default();
        for (value, weight) in passing.iter().chain(&kept) {
            sum.add(*value, *weight);
        }
        for (value, weight) in passing {
            sum.add(value, -weight);
        }
        let total = kept.iter().map(|&(value, weight)| wide(value) * Wide::from(weight)).sum();
        prop_assert_eq!(sum.get(), bounded(total));
    }

    #[test]
    fn text_and_bytes_come_back(decimal in decimal()) {
        let text = format(decimal.value, decimal.scale);
        let back = parse(&text).unwrap();
        prop_assert_eq!(back, decimal);
        prop_assert_eq!(parse_json(&text).unwrap(), decimal);
        prop_assert_eq!(back.at(decimal.scale), Ok(decimal.value));
        prop_assert_eq!(&text, &plain(decimal));
        prop_assert_eq!(from_le_bytes(to_le_bytes(decimal.value)), decimal.value);
        let narrow = wide(decimal.value);
        let fits = narrow <= Wide::from(i128::MAX) && narrow >= Wide::from(i128::MIN);
        prop_assert_eq!(to_i128(decimal.value).map(Wide::from), fits.then_some(narrow));
    }

    #[test]
    fn exponents_move_the_point(decimal in decimal(), exponent in -200_i32..200) {
        let text = format!("{}e{exponent}", decimal.value);
        let digits = wide(decimal.value);
        match parse_json(&text) {
            Ok(got) if exponent >= 0 => {
                prop_assert_eq!(wide(got.value), digits * ten(exponent.unsigned_abs()));
            }
            Ok(got) => {
                let left = wide(got.value) * ten(exponent.unsigned_abs());
                prop_assert_eq!(left, digits * ten(u32::from(got.scale)));
            }
            Err(ExactError::Overflow) => {
                prop_assert!(bounded(digits.abs() * ten(exponent.unsigned_abs())).is_none());
            }
            Err(_) => prop_assert!(digits % ten(exponent.unsigned_abs() - 76) != Wide::ZERO),
        }
    }

    #[test]
    fn any_text_is_a_number_or_an_error(text in "[-+.0-9eE ]{0,12}") {
        if let Ok(number) = parse(&text) {
            prop_assert_eq!(parse(&number.to_text()), Ok(number));
        }
        if parse_json(&text).is_ok() && !text.contains(['e', 'E']) {
            prop_assert_eq!(parse(&text), parse_json(&text));
        }
    }
}

/// Plain digits by string surgery.
fn plain(decimal: Decimal) -> String {
    let digits: String = decimal
        .value
        .to_string()
        .trim_start_matches('-')
        .to_string();
    let padded = format!("{digits:0>width$}", width = usize::from(decimal.scale) + 1);
    let (whole, fraction) = padded.split_at(padded.len() - usize::from(decimal.scale));
    let fraction = fraction.trim_end_matches('0');
    let sign = if decimal.value.is_negative() { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    [sign, whole, point, fraction].concat()
}

#[test]
fn halves_go_to_the_even_neighbour() {
    let rounded: Vec<String> = ["0.5", "1.5", "2.5", "-0.5", "-1.5", "2.51", "-2.49"]
        .iter()
        .map(|text| format(parse(text).unwrap().round(0).unwrap(), 0))
        .collect();
    assert_eq!(rounded, ["0", "2", "2", "0", "-2", "3", "-2"]);
}

#[test]
fn what_is_no_number_is_refused() {
    for text in [
        "", "-", ".", "1e5", " 1", "1 ", "--1", "1.2.3", "0x1", "1,0", "NaN", "١",
    ] {
        assert_eq!(parse(text), Err(ExactError::Syntax), "{text}");
    }
    for text in [
        "", "-", "01", "+1", "1.", ".5", "1e", "1e+", "e5", "1.e5", "--1", "1e5.0",
    ] {
        assert_eq!(parse_json(text), Err(ExactError::Syntax), "{text}");
    }
    assert_eq!(parse(&"9".repeat(77)), Err(ExactError::Overflow));
    assert_eq!(parse_json("1e76"), Err(ExactError::Overflow));
    assert_eq!(parse_json("1e-77"), Err(ExactError::Inexact));
    assert_eq!(parse_json("0e999999999999"), Ok(Decimal::ZERO));
    assert_eq!(parse("1.23").unwrap().at(1), Err(ExactError::Inexact));
    assert_eq!(
        parse(&format!("1.{}", "0".repeat(500))),
        Ok(Decimal::from_i128(1, 0))
    );
}
