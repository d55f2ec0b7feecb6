//! Dates and instants from ISO text, in the proleptic Gregorian calendar.

/// Days since 1970 of `2026-03-17`.
pub(crate) fn date(text: &[u8]) -> Option<i32> {
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text else {
        return None;
    };
    let year = number(&[y0, y1, y2, y3])?;
    let (month, day) = (number(&[m0, m1])?, number(&[d0, d1])?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

/// Microseconds since 1970, UTC, of an RFC 3339 instant: `2026-03-17T09:00:00.5+01:00`. At most six
/// decimals, and an offset, or it is none.
pub(crate) fn instant(text: &[u8]) -> Option<i64> {
    let (day, rest) = text.split_at_checked(10)?;
    let day = i64::from(date(day)?);
    let (&[b'T' | b't' | b' ', h0, h1, b':', m0, m1, b':', s0, s1], rest) =
        rest.split_first_chunk::<9>()?
    else {
        return None;
    };
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[m0, m1])?, number(&[s0, s1])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, zone) = fraction(rest)?;
    let seconds = day * 86_400 + i64::from(hour * 3_600 + minute * 60 + second)
        - i64::from(zone_seconds(zone)?);
    Some(seconds * 1_000_000 + i64::from(micros))
}

fn fraction(text: &[u8]) -> Option<(i32, &[u8])> {
    let [b'.', rest @ ..] = text else {
        return Some((0, text));
    };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 6 {
        return None;
    }
    let (fraction, zone) = rest.split_at(digits);
    let scale = (digits..6).fold(1, |scale, _| scale * 10);
    Some((number(fraction)? * scale, zone))
}

fn zone_seconds(zone: &[u8]) -> Option<i32> {
    match *zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (number(&[h0, h1])?, number(&[m0, m1])?);
            let seconds = hours * 3_600 + minutes * 60;
            (hours <= 23 && minutes <= 59).then_some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |value, b| {
        b.is_ascii_digit().then(|| value * 10 + i32::from(b - b'0'))
    })
}

fn days_in(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Counts from 1 March, so that the leap day comes last in its year.
fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known days, and what the calendar does not have.
    #[test]
    fn dates() {
        assert_eq!(date(b"1970-01-01"), Some(0));
        assert_eq!(date(b"2000-02-29"), Some(11_016));
        assert_eq!(date(b"2026-03-02"), Some(20_514));
        assert_eq!(date(b"1969-12-31"), Some(-1));
        for bad in [
            "1900-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-04-31",
            "2026-1-01",
            "20260101",
            "2026-01-00",
            "2026-01-0x",
        ] {
            assert_eq!(date(bad.as_bytes()), None, "{bad}");
        }
    }

    /// Every day of 400 years follows the one before.
    #[test]
    fn days_follow() {
        let mut expected = days_from_civil(1800, 1, 1);
        for year in 1800..2200 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    assert_eq!(days_from_civil(year, month, day), expected);
                    expected += 1;
                }
            }
        }
    }

    /// Offsets and fractions; no offset is refused, for it would be a guess.
    #[test]
    fn instants() {
        assert_eq!(instant(b"1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(instant(b"1970-01-01T01:00:00.5+01:00"), Some(500_000));
        assert_eq!(
            instant(b"1969-12-31T23:00:00.000001-01:30"),
            Some(1_800_000_001)
        );
        assert_eq!(
            instant(b"2026-03-02 12:00:00z"),
            Some(1_772_452_800_000_000)
        );
        for bad in [
            "2026-03-02T12:00:00",
            "2026-03-02T12:00:00.Z",
            "2026-03-02T12:00:00.1234567Z",
            "2026-03-02T24:00:00Z",
            "2026-03-02T12:60:00Z",
            "2026-03-02T12:00:00+0100",
            "2026-03-02",
            "",
        ] {
            assert_eq!(instant(bad.as_bytes()), None, "{bad}");
        }
    }
}
