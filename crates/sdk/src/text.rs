//! Cells as exact text, for tests: dates, instants, decimals.

use crate::columns::Columns;
use crate::describe::Kind;
use crate::wire::{Batch, Column};
use crate::{I256, columns};

/// The row as `name=value ...`, nulls left out.
pub(crate) fn row(batch: &Batch, row: usize) -> String {
    cells(Columns::of(batch), row)
}

fn cells(columns: Columns<'_>, row: usize) -> String {
    let cells = columns.top().filter_map(|column| {
        Some(format!(
            "{}={}",
            column.head.name,
            cell(columns, column, row)?
        ))
    });
    cells.collect::<Vec<_>>().join(" ")
}

fn cell(columns: Columns<'_>, column: &Column, row: usize) -> Option<String> {
    let name = column.head.name;
    Some(match column.head.kind? {
        Kind::Bool => columns.bools(name).get(row)?.to_string(),
        Kind::Int32 => columns.fixed::<i32>(name).get(row)?.to_string(),
        Kind::Int64 => columns.fixed::<i64>(name).get(row)?.to_string(),
        Kind::Date32 => date(columns.fixed::<i32>(name).get(row)?),
        Kind::Timestamp => instant(columns.fixed::<i64>(name).get(row)?),
        Kind::Decimal128(_, scale) => {
            decimal(&columns.fixed::<i128>(name).get(row)?.to_string(), scale)
        }
        Kind::Decimal256(_, scale) => {
            decimal(&columns.fixed::<I256>(name).get(row)?.to_string(), scale)
        }
        Kind::Binary => format!("{:02x?}", columns.bytes(name).get(row)?),
        Kind::Struct => {
            let (validity, fields) = columns.fields(name);
            columns::is_valid(validity, row).then(|| format!("{{{}}}", cells(fields, row)))?
        }
        Kind::Utf8 => columns.text(name).get(row)?.to_owned(),
        Kind::List => return None,
    })
}

/// Digits with a point before the last `scale`, trailing zeros left out.
fn decimal(digits: &str, scale: i8) -> String {
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits), |digits| ("-", digits));
    let scale = usize::try_from(scale).unwrap_or(0);
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// The digits of a decimal text at this scale; `None` when it is none, or finer.
pub(crate) fn parse_digits(text: &str, scale: i8) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::try_from(scale).ok()?.checked_sub(fraction.len())?;
    Some(format!("{whole}{fraction}{}", "0".repeat(missing)))
}

/// Days since 1970 of `2026-03-02`.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let days = days_of(year, month, day);
    (date(i32::try_from(days).ok()?) == text).then_some(i32::try_from(days).ok()?)
}

/// Microseconds since 1970 of `2026-03-02T12:00:00Z`, or with a fraction.
pub(crate) fn parse_instant(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = time.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let micros: i64 = parse_digits(&format!("0.{fraction}"), 6)?.parse().ok()?;
    Some(
        ((i64::from(parse_date(date)?) * 24 + hours) * 60 + minutes) * 60_000_000
            + seconds * 1_000_000
            + micros,
    )
}

fn date(days: i32) -> String {
    let (year, month, day) = civil_of(i64::from(days));
    format!("{year:04}-{month:02}-{day:02}")
}

fn instant(micros: i64) -> String {
    let (days, rest) = (
        micros.div_euclid(86_400_000_000),
        micros.rem_euclid(86_400_000_000),
    );
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    let fraction = if micros == 0 {
        String::new()
    } else {
        format!(".{micros:06}")
    };
    let fraction = fraction.trim_end_matches('0');
    let date = date(i32::try_from(days).unwrap_or(i32::MAX));
    format!(
        "{date}T{:02}:{:02}:{:02}{fraction}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Days since 1970 of a civil date (Howard Hinnant's algorithm: years begin in March).
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The civil date of a day since 1970.
fn civil_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}
