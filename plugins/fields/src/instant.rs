//! Instants with an offset from UTC, as microseconds since 1970.

use crate::date::{int, iso_date};
use crate::refusal::{Code, Refusal};

/// Microseconds since 1970, UTC.
pub type Instant = i64;

const SECOND: i64 = 1_000_000;

/// `2026-03-02T14:03:11.5-05:00`: date, `T` or a space, time to the minute, second or a fraction of it, and `Z` or
/// an offset. What is finer than a microsecond is cut off.
pub fn parse_instant(field: &'static str, text: &str) -> Result<Instant, Refusal> {
    instant(text.as_bytes()).ok_or_else(|| {
        Refusal::new(
            Code::BadInstant,
            field,
            "is not an instant with an offset from UTC",
        )
    })
}

/// The instant that a text is.
pub(crate) fn instant(text: &[u8]) -> Option<Instant> {
    let (date, rest) = text.split_at_checked(10)?;
    let (b'T' | b't' | b' ', rest) = rest.split_first()? else {
        return None;
    };
    let zone = rest
        .iter()
        .position(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-'))?;
    let (time, zone) = rest.split_at(zone);
    let day = i64::from(iso_date(date)?) * 86_400 * SECOND;
    Some(day + time_of_day(time)? - offset(zone)?)
}

/// `14:03`, `14:03:11` or `14:03:11.5`.
fn time_of_day(text: &[u8]) -> Option<i64> {
    let (minutes, rest) = text.split_at_checked(5)?;
    let minutes = hours_and_minutes(minutes)? * 60 * SECOND;
    match *rest {
        [] => Some(minutes),
        [b':', tens, ones] => Some(minutes + below(&[tens, ones], 60)? * SECOND),
        [b':', tens, ones, b'.', _, ..] => {
            Some(minutes + below(&[tens, ones], 60)? * SECOND + micros(&rest[4..])?)
        }
        _ => None,
    }
}

/// `14:03` in minutes.
fn hours_and_minutes(text: &[u8]) -> Option<i64> {
    let [h, hh, b':', m, mm] = *text else {
        return None;
    };
    Some(below(&[h, hh], 24)? * 60 + below(&[m, mm], 60)?)
}

/// The digits behind the point, six of them.
fn micros(digits: &[u8]) -> Option<i64> {
    let all = digits.iter().all(u8::is_ascii_digit);
    let padded = digits
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(6);
    all.then(|| padded.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0')))
}

/// `Z`, `+01:00`, `-0500` or `+01`, in microseconds.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text.split_first()? {
        (b'Z' | b'z', rest) => return rest.is_empty().then_some(0),
        (b'-', rest) => (-1, rest),
        (_, rest) => (1, rest),
    };
    let minutes = match *rest {
        [h, hh, m, mm] => hours_and_minutes(&[h, hh, b':', m, mm])?,
        [h, hh] => below(&[h, hh], 24)? * 60,
        _ => hours_and_minutes(rest)?,
    };
    Some(sign * minutes * 60 * SECOND)
}

fn below(digits: &[u8], limit: i32) -> Option<i64> {
    int(digits).filter(|value| *value < limit).map(i64::from)
}
