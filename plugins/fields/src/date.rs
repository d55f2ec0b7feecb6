//! Days of the calendar in the five notations of the topics, as days since 1970.

use crate::instant::instant;
use crate::number::Word;
use crate::refusal::{Code, Refusal};
use std::cell::Cell;

/// Days since 1 January 1970.
pub type Date = i32;

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];

/// `2026-03-17`, `20260317`, `03/17/2026`, `17.03.2026`, `17-MAR-26`, or an instant, whose UTC date counts.
#[inline]
pub fn parse_date(field: &'static str, text: &str) -> Result<Date, Refusal> {
    match iso(text.as_bytes()) {
        NO_DATE => any(field, text.as_bytes()),
        date => Ok(date),
    }
}

#[cold]
fn any(field: &'static str, text: &[u8]) -> Result<Date, Refusal> {
    let date = if text.len() > 10 {
        instant(text).map(date_of)
    } else {
        notated(text)
    };
    date.ok_or_else(|| {
        Refusal::new(
            Code::BadDate,
            field,
            "is neither a date nor an instant with an offset from UTC",
        )
    })
}

/// The UTC date of an instant.
pub fn date_of(micros: i64) -> Date {
    i32::try_from(micros.div_euclid(86_400_000_000)).expect("292,000 years fit")
}

fn notated(text: &[u8]) -> Option<Date> {
    match *text {
        [_, _, b'/', _, _, b'/', _, _, _, _] => {
            day_of(int(&text[6..])?, int(&text[..2])?, int(&text[3..5])?)
        }
        [_, _, b'.', _, _, b'.', _, _, _, _] => {
            day_of(int(&text[6..])?, int(&text[3..5])?, int(&text[..2])?)
        }
        [_, _, b'-', _, _, _, b'-', _, _] => day_of(
            2000 + int(&text[7..])?,
            month(&text[3..6])?,
            int(&text[..2])?,
        ),
        [_, _, _, _, _, _, _, _] => day_of(int(&text[..4])?, int(&text[4..6])?, int(&text[6..])?),
        _ => None,
    }
}

/// `2026-03-17` and nothing else.
pub(crate) fn iso_date(text: &[u8]) -> Option<Date> {
    Some(iso(text)).filter(|date| *date != NO_DATE)
}

/// What is no date, before the year 1. One number, as an answer of two goes through memory in WebAssembly.
const NO_DATE: Date = Date::MIN;

/// [`iso_date`], from the dates that came before, as most come again and again.
#[inline(never)]
fn iso(text: &[u8]) -> Date {
    let (Some((front, back)), true) = (text.split_first_chunk(), text.len() == 10) else {
        return NO_DATE;
    };
    let key = Key(
        u64::from_le_bytes(*front),
        u16::from_le_bytes([back[0], back[1]]),
    );
    SEEN.with(|seen| {
        let seen = &seen[key.place()];
        let (known, date) = seen.get();
        if known == key {
            return date;
        }
        let date = read(key);
        seen.set((key, date));
        date
    })
}

/// The ten bytes of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(u64, u16);

/// How many dates are kept: a power of two, at most 256.
const SEEN_DATES: usize = 64;

impl Key {
    /// Where its date is kept.
    fn place(self) -> usize {
        let Self(front, back) = self;
        // Month and day differ most.
        let mixed = (front >> 40 ^ u64::from(back) << 16).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::from(mixed.to_be_bytes()[0]) % SEEN_DATES
    }
}

thread_local! {
    /// Texts and their dates, at first one that is none.
    static SEEN: [Cell<(Key, Date)>; SEEN_DATES] =
        const { [const { Cell::new((Key(0, 0), NO_DATE)) }; SEEN_DATES] };
}

/// [`iso_date`], all digits at once.
#[inline(never)]
fn read(Key(front, back): Key) -> Date {
    const HYPHENS: u64 = 0xff00_00ff_0000_0000;
    // Less the bits of `0` and `-`: a digit is its value.
    let front = front ^ u64::from_le_bytes(*b"0000-00-");
    let back = u64::from(back ^ 0x3030);
    let digits = Word(front & 0xffff_ffff | front >> 8 & 0xffff << 32 | back << 48);
    if front & HYPHENS != 0 || digits.others() != 0 {
        return NO_DATE;
    }
    let [century, _, year, _, month, _, day, _] = digits.pairs().to_le_bytes().map(i32::from);
    day_of(century * 100 + year, month, day).unwrap_or(NO_DATE)
}

/// A short run of digits.
pub(crate) fn int(digits: &[u8]) -> Option<i32> {
    let digit = |value: i32, byte: &u8| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i32::from(byte - b'0'))
    };
    digits.iter().try_fold(0, digit)
}

fn month(name: &[u8]) -> Option<i32> {
    let at = MONTHS
        .iter()
        .position(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
    i32::try_from(at + 1).ok()
}

/// The day of a year from 1 to 9999, if the month has it.
#[inline]
fn day_of(year: i32, month: i32, day: i32) -> Option<Date> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (year > 0 && (1..=days).contains(&day)).then(|| days_since_1970(year, month, day))
}

/// Counts in years that begin in March, so that the leap day is the last of its year.
fn days_since_1970(year: i32, month: i32, day: i32) -> i32 {
    let year = if month > 2 { year } else { year - 1 };
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    let days_before_march_of_year_0 = 719_468;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - days_before_march_of_year_0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prop_assert_eq, proptest};

    /// [`iso_date`], number by number.
    fn plain(text: &[u8]) -> Option<Date> {
        match *text {
            [_, _, _, _, b'-', _, _, b'-', _, _] => {
                day_of(int(&text[..4])?, int(&text[5..7])?, int(&text[8..])?)
            }
            _ => None,
        }
    }

    proptest! {
        /// All digits at once are the digits one by one.
        #[test]
        fn at_once_is_one_by_one(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9]|[0-9-]{10}|.{0,11}",
            at in 0_usize..10,
            byte in 0_u8..128,
        ) {
            prop_assert_eq!(iso_date(text.as_bytes()), plain(text.as_bytes()));
            let mut bytes = text.into_bytes();
            if let Some(at) = bytes.get_mut(at) {
                *at = byte;
            }
            prop_assert_eq!(iso_date(&bytes), plain(&bytes));
        }
    }
}
