//! Cells as exact text: what JSON answers, sinks, dumps and the page show.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

/// A cell as text; `None` for null. Decimals are plain and without trailing zeros, dates ISO, instants UTC with
/// a fraction only where there is one, booleans `true` and `false`; anything nested as Arrow prints it.
pub fn cell(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).to_string(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Date32 => date(array.as_primitive::<Date32Type>().value(row).into()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            instant(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Decimal128(_, scale) => decimal(
            &array
                .as_primitive::<Decimal128Type>()
                .value(row)
                .to_string(),
            *scale,
        ),
        DataType::Decimal256(_, scale) => decimal(
            &array
                .as_primitive::<Decimal256Type>()
                .value(row)
                .to_string(),
            *scale,
        ),
        _ => arrow::util::display::array_value_to_string(array, row).unwrap_or_default(),
    })
}

/// A row as a JSON object, the columns in their order.
pub fn json_row(batch: &RecordBatch, row: usize, out: &mut Vec<u8>) {
    let schema = batch.schema_ref();
    let cells = schema.fields().iter().zip(batch.columns());
    json_object(
        cells.map(|(field, cell)| (field.name().as_str(), cell)),
        row,
        out,
    );
}

/// A cell as JSON: amounts, dates and instants are strings (exact, ISO 8601), booleans and integers are themselves,
/// lists and records nest.
pub fn json_cell(array: &ArrayRef, row: usize, out: &mut Vec<u8>) {
    if array.is_null(row) {
        out.extend_from_slice(b"null");
        return;
    }
    match array.data_type() {
        DataType::Struct(fields) => {
            let cells = fields.iter().zip(array.as_struct().columns());
            json_object(
                cells.map(|(field, cell)| (field.name().as_str(), cell)),
                row,
                out,
            );
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            out.push(b'[');
            for item in 0..items.len() {
                if item > 0 {
                    out.push(b',');
                }
                json_cell(&items, item, out);
            }
            out.push(b']');
        }
        bare => {
            let text = cell(array, row).expect("the cell is not null");
            if bare.is_integer() || *bare == DataType::Boolean {
                out.extend_from_slice(text.as_bytes());
            } else {
                json_string(&text, out);
            }
        }
    }
}

fn json_object<'a>(
    cells: impl Iterator<Item = (&'a str, &'a ArrayRef)>,
    row: usize,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    for (index, (name, cell)) in cells.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json_string(name, out);
        out.push(b':');
        json_cell(cell, row, out);
    }
    out.push(b'}');
}

/// A string as JSON.
pub fn json_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Microseconds since 1970 as `2026-03-02T12:00:00Z`.
pub fn instant(us: i64) -> String {
    const US_PER_DAY: i64 = 86_400_000_000;
    let (day, rest) = (us.div_euclid(US_PER_DAY), us.rem_euclid(US_PER_DAY));
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = match fraction {
        0 => String::new(),
        _ => format!(".{fraction:06}").trim_end_matches('0').to_owned(),
    };
    format!("{}T{hour:02}:{minute:02}:{second:02}{fraction}Z", date(day))
}

/// Days since 1970 as `2026-03-02`, by the proleptic Gregorian calendar (Hinnant's `civil_from_days`).
fn date(days: i64) -> String {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Digits with a scale as plain text.
fn decimal(digits: &str, scale: i8) -> String {
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits), |digits| ("-", digits));
    let Ok(scale) = usize::try_from(scale) else {
        let zeros = "0".repeat(usize::from(scale.unsigned_abs()));
        return if digits == "0" {
            "0".to_owned()
        } else {
            format!("{sign}{digits}{zeros}")
        };
    };
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    match fraction.trim_end_matches('0') {
        "" if whole == "0" => "0".to_owned(),
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: text is exact and plain. Method: known cells.
    #[test]
    fn cells_are_plain() {
        assert_eq!(decimal("0", 6), "0");
        assert_eq!(decimal("-5", 6), "-0.000005");
        assert_eq!(decimal("1500000", 6), "1.5");
        assert_eq!(decimal("-12000000", 6), "-12");
        assert_eq!(decimal("12", -2), "1200");
        assert_eq!(instant(0), "1970-01-01T00:00:00Z");
        assert_eq!(instant(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(instant(1_772_452_800_500_000), "2026-03-02T12:00:00.5Z");
        assert_eq!(date(-719_468), "0000-03-01");
        assert_eq!(date(11_016), "2000-02-29");
    }
}
