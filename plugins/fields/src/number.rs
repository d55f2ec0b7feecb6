//! Numbers as messages spell them, read to whole digits at a fixed scale.
//!
//! A JSON number and a JSON text come in the same column; the decoder writes a number's exponent out, so an
//! exponent that arrives here stood in a text and is refused.

use crate::refusal::{Code, Refusal};

/// Decimal places of the powers of ten that are out of range: 10^18 and more is refused everywhere.
const INTEGER_DIGITS_MAX: i64 = 18;

/// How a field reads its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Decimals that the field may have, and the scale of the digits read.
    pub scale: u8,
    /// The field is in percent: a trailing `%` says nothing new. Elsewhere it divides by 100.
    pub percent: bool,
}

impl Number {
    /// A quantity: 9 decimals.
    pub const QUANTITY: Self = Self {
        scale: 9,
        percent: false,
    };
    /// An amount of money as received: 6 decimals.
    pub const AMOUNT: Self = Self {
        scale: 6,
        percent: false,
    };
    /// A price or a rate of exchange: 12 decimals.
    pub const PRICE: Self = Self {
        scale: 12,
        percent: false,
    };
    /// A field in percent: 9 decimals.
    pub const PERCENT: Self = Self {
        scale: 9,
        percent: true,
    };
    /// A whole number.
    pub const WHOLE: Self = Self {
        scale: 0,
        percent: false,
    };
}

/// The value of `text` times 10^scale.
#[expect(
    clippy::inline_always,
    reason = "the answer of a call goes through memory in WebAssembly"
)]
#[inline(always)]
pub fn parse_number(field: &'static str, text: &str, number: Number) -> Result<i128, Refusal> {
    let usual = usual(text.as_bytes());
    let zeros = usize::from(number.scale).wrapping_sub(usual.decimals());
    match POW10.get(zeros) {
        Some(power) if usual != Usual::NONE => {
            let value = usual.value();
            // All digits together are in the text, and the zeros.
            let digits = if text.len() + zeros < POW10.len() {
                i128::from(value * power)
            } else {
                wide_product(value, *power)
            };
            Ok(if usual.is_negative() { -digits } else { digits })
        }
        _ => any(field, text, number),
    }
}

#[cold]
fn wide_product(a: u64, b: u64) -> i128 {
    i128::from(a) * i128::from(b)
}

/// The longest text that [`usual`] reads: two words of 64 bits.
const USUAL_BYTES_MAX: usize = 16;

/// Powers of ten that 64 bits hold.
const POW10: [u64; 20] = {
    let mut powers = [1; 20];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// What nearly all texts are: a sign, at most 16 digits, a point among them. In one number, as an answer of several
/// goes through memory in WebAssembly.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Usual(u64);

impl Usual {
    /// No such text.
    const NONE: Self = Self(u64::MAX);

    fn new(negative: bool, digits: u64, decimals: usize) -> Self {
        Self(digits << 5 | (decimals as u64) << 1 | u64::from(negative))
    }

    /// All digits, without the point.
    fn value(self) -> u64 {
        self.0 >> 5
    }

    /// How many digits are behind the point.
    fn decimals(self) -> usize {
        usize::from(self.0.to_le_bytes()[0] >> 1 & 0xf)
    }

    fn is_negative(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Counts eight digits at a time.
#[inline(never)]
fn usual(text: &[u8]) -> Usual {
    plain(text).unwrap_or(Usual::NONE)
}

#[inline]
fn plain(text: &[u8]) -> Option<Usual> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let [mut high, mut low] = Word::pair(text)?;
    let (mut whole, mut decimals) = (text.len(), 0);
    if let Some((at, behind)) = point(high, low) {
        if behind == 0 {
            return None;
        }
        (whole, decimals) = (text.len().checked_sub(behind + 1)?, behind);
        if at < 8 {
            high = high.without(at);
        } else {
            low = low.without(at - 8).led_by(high);
            high = Word(high.0 << 8);
        }
    }
    if whole == 0 || high.others() | low.others() != 0 {
        return None;
    }
    let value = high.value() * POW10[8] + low.value();
    Some(Usual::new(negative, value, decimals))
}

/// Where the first byte is that is no digit, if it is a point, and how many are behind it.
fn point(high: Word, low: Word) -> Option<(usize, usize)> {
    let (others, first) = match high.others() {
        0 => (low.others(), 8),
        others => (others, 0),
    };
    if others == 0 {
        return None;
    }
    let at = others.trailing_zeros() / 8;
    let word = if first == 0 { high } else { low };
    let at_word = usize::try_from(at).expect("below 8");
    (word.0 >> (at * 8) & 0xff == u64::from(b'.' ^ b'0'))
        .then(|| (first + at_word, 15 - first - at_word))
}

/// Eight bytes of a text, the first one lowest, each without the bits of `0`: a digit is its value.
#[derive(Clone, Copy)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

    /// The text behind as many zeros as it lacks to 16 bytes; `None` when it is longer, or empty.
    fn pair(text: &[u8]) -> Option<[Self; 2]> {
        let length = text.len();
        let lack = ((8 - (length & 7)) * 8) & 63;
        if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
            if length > USUAL_BYTES_MAX {
                return None;
            }
            let first = u64::from_le_bytes(*first) ^ Self::ZEROS;
            let high = if length == 8 { 0 } else { first << lack };
            return Some([high, u64::from_le_bytes(*last) ^ Self::ZEROS].map(Self));
        }
        let low = if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
            let [first, last] = [first, last].map(|four| u64::from(u32::from_le_bytes(*four)));
            first << lack | last << 32
        } else {
            let [first, .., last] = *text else {
                return text
                    .first()
                    .map(|byte| [0, u64::from(byte ^ b'0') << 56].map(Self));
            };
            let middle = u64::from(text[length / 2]) << (64 - (length - length / 2) * 8);
            u64::from(first) << lack | middle | u64::from(last) << 56
        };
        Some([0, low ^ Self::ZEROS << lack].map(Self))
    }

    /// The highest bit of each byte that is no digit.
    #[inline]
    pub(crate) fn others(self) -> u64 {
        let low_bits = self.0 & u64::from_le_bytes([0x7f; 8]);
        let past_nine = low_bits + u64::from_le_bytes([0x80 - 10; 8]);
        (past_nine | self.0) & u64::from_le_bytes([0x80; 8])
    }

    /// The bytes before byte `at` moved behind it: a zero comes first.
    fn without(self, at: usize) -> Self {
        let behind = u64::MAX << (at * 8) << 8;
        let before = !(u64::MAX << (at * 8));
        Self(self.0 & behind | (self.0 & before) << 8)
    }

    /// With the last byte of the word before as the first.
    fn led_by(self, before: Self) -> Self {
        Self(self.0 | before.0 >> 56)
    }

    /// Of each two digits, in the lower byte of the two.
    #[inline]
    pub(crate) fn pairs(self) -> u64 {
        (self.0.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff
    }

    /// Of eight digits.
    fn value(self) -> u64 {
        let fours = (self.pairs().wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
        fours.wrapping_mul(10_000 << 32 | 1) >> 32
    }
}

/// A number in any notation of the topics.
#[cold]
fn any(field: &'static str, text: &str, number: Number) -> Result<i128, Refusal> {
    let (plain, shift) = split_suffix(text, number.percent);
    let Some(literal) = Literal::parse(plain) else {
        return Err(Refusal::new(Code::BadNumber, field, "is not a number"));
    };
    literal.at_scale(field, shift, number.scale)
}

/// Takes `k`, `mm`, `bn` or `%` off the end: the rest, and the power of ten it stands for.
fn split_suffix(text: &str, percent: bool) -> (&str, i64) {
    let plain = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    match text.strip_prefix(plain).unwrap_or_default() {
        "%" => (plain, if percent { 0 } else { -2 }),
        suffix if suffix.eq_ignore_ascii_case("k") => (plain, 3),
        suffix if suffix.eq_ignore_ascii_case("mm") => (plain, 6),
        suffix if suffix.eq_ignore_ascii_case("bn") => (plain, 9),
        _ => (text, 0),
    }
}

/// A value as `digits * 10^low`, where the last digit is not 0.
#[derive(Clone, Copy)]
struct Literal {
    negative: bool,
    /// Wraps when there are more than 38 of them; [`Literal::at_scale`] refuses such a value first.
    digits: u128,
    count: i64,
    low: i64,
}

impl Literal {
    /// A sign, digits with or without commas between groups of three, and decimals.
    fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let good = is_whole(whole.as_bytes()) && is_digits(decimals.as_bytes());
        good.then(|| {
            Self::of(
                unsigned.len() < text.len(),
                whole.as_bytes(),
                decimals.as_bytes(),
            )
        })
    }

    fn of(negative: bool, whole: &[u8], decimals: &[u8]) -> Self {
        let mut literal = Self {
            negative,
            digits: 0,
            count: 0,
            low: 0,
        };
        let mut zeros = 0;
        for byte in whole.iter().chain(decimals).filter(|byte| **byte != b',') {
            zeros += 1;
            if *byte != b'0' {
                literal.push(byte - b'0', zeros);
                zeros = 0;
            }
        }
        let places = i64::try_from(decimals.len()).expect("a text is shorter than 2^63");
        literal.low = zeros - places;
        literal
    }

    /// Appends `places` digits: zeros, then this one.
    fn push(&mut self, digit: u8, places: i64) {
        // Zeros in front of the first digit do not count.
        self.count = if self.count == 0 {
            1
        } else {
            self.count + places
        };
        let shifted = (0..places.min(40)).fold(self.digits, |digits, _| digits.wrapping_mul(10));
        self.digits = shifted.wrapping_add(u128::from(digit));
    }

    /// The value times 10^(shift + scale), when it has no more than `scale` decimals and is below 10^18.
    fn at_scale(self, field: &'static str, shift: i64, scale: u8) -> Result<i128, Refusal> {
        if self.count == 0 {
            return Ok(0);
        }
        if self.low + shift + self.count > INTEGER_DIGITS_MAX {
            return Err(Refusal::new(Code::OutOfRange, field, "is 10^18 or more"));
        }
        let low = self.low + shift + i64::from(scale);
        let Ok(low) = u32::try_from(low) else {
            return Err(Refusal::new(
                Code::OverPrecise,
                field,
                &format!("has more than {scale} decimals"),
            ));
        };
        let digits =
            i128::try_from(self.digits * 10_u128.pow(low)).expect("18 digits and a scale fit");
        Ok(if self.negative { -digits } else { digits })
    }
}

/// Digits, or groups of three behind commas. A first group that begins with 0 is a decimal comma in disguise.
fn is_whole(text: &[u8]) -> bool {
    let mut groups = text.split(|byte| *byte == b',');
    let first = groups.next().unwrap_or_default();
    let mut grouped = false;
    let rest = groups.all(|group| {
        grouped = true;
        group.len() == 3 && is_digits(group)
    });
    is_digits(first) && rest && (!grouped || first.len() <= 3 && first.first() != Some(&b'0'))
}

fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prop_assert, prop_assert_eq, proptest, sample};

    proptest! {
        /// The short way reads what the long way reads, and knows every short plain number.
        #[test]
        fn the_usual_is_as_any(
            text in "-?[0-9]{0,19}(\\.[0-9]{0,13})?|[-0-9.,km%]{0,12}",
            scale in sample::select(vec![0, 6, 9, 12]),
        ) {
            let number = Number { scale, percent: false };
            let any = any("f", &text, number);
            prop_assert_eq!(parse_number("f", &text, number), any.clone());
            prop_assert!(
                usual(text.as_bytes()) != Usual::NONE
                    || any.is_err()
                    || text.trim_start_matches('-').len() > USUAL_BYTES_MAX
                    || text.contains([',', 'k', 'm', '%'])
            );
        }
    }
}
