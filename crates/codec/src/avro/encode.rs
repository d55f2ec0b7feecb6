//! JSON values as Avro: defaults of a reader's schema into columns, and records of recorded days into bytes.

use super::node::{Kind, Node, NodeField};
use super::read::decimal;
use crate::civil;
use crate::column::{Column, Values};
use crate::json::number;
use crate::record::Refused;
use crate::rows::refused;
use arrow::datatypes::Field;
use serde_json::{Map, Number, Value};

/// Whether a default can be pushed.
pub(super) fn check_default(node: &Node, default: &Value) -> Result<(), &'static str> {
    let field: Field = super::node::arrow_fields(&[plain_field(node)], false)[0]
        .as_ref()
        .clone();
    push_default(node, default, &mut Column::new(field.data_type(), 1))
}

fn plain_field(node: &Node) -> NodeField {
    NodeField {
        name: String::new(),
        aliases: Vec::new(),
        default: None,
        node: node.clone(),
    }
}

/// Pushes a default as the Avro specification writes it in a schema: bytes as text of the code points 0
/// to 255.
pub(super) fn push_default(
    node: &Node,
    default: &Value,
    column: &mut Column,
) -> Result<(), &'static str> {
    const WRONG: &str = "its default is of another type";
    match (&node.kind, &mut column.values, default) {
        (_, _, Value::Null) if node.null_branch.is_some() => {
            column.push_null();
            return Ok(());
        }
        (Kind::Bool, Values::Bool(values), Value::Bool(value)) => values.append(*value),
        (Kind::Int, Values::Int32(values), Value::Number(_))
        | (Kind::Date, Values::Date(values), Value::Number(_)) => {
            values.push(
                default
                    .as_i64()
                    .and_then(|value| i32::try_from(value).ok())
                    .ok_or(WRONG)?,
            );
        }
        (Kind::Long, Values::Int64(values), Value::Number(_)) => {
            values.push(default.as_i64().ok_or(WRONG)?);
        }
        (Kind::Instant(unit), Values::Instant(values), Value::Number(_)) => {
            values.push(
                default
                    .as_i64()
                    .and_then(|value| value.checked_mul(*unit))
                    .ok_or(WRONG)?,
            );
        }
        (Kind::Text | Kind::Enum { .. }, Values::Text(spans), Value::String(text)) => {
            spans.data.extend_from_slice(text.as_bytes());
            spans.close();
        }
        (Kind::Bytes | Kind::Fixed(_), Values::Bytes(spans), Value::String(text)) => {
            spans.data.extend(latin_bytes(text).ok_or(WRONG)?);
            spans.close();
        }
        (Kind::Decimal { .. }, values, Value::String(text)) => {
            push_decimal(values, text).ok_or(WRONG)?;
        }
        (Kind::Record(fields), Values::Struct { table, .. }, Value::Object(map)) => {
            for (field, column) in fields.iter().zip(&mut table.columns) {
                let value = map
                    .get(&field.name)
                    .or(field.default.as_ref())
                    .ok_or(WRONG)?;
                push_default(&field.node, value, column)?;
            }
            table.rows += 1;
        }
        (Kind::List(item), Values::List { column: items, .. }, Value::Array(values)) => {
            values
                .iter()
                .try_for_each(|value| push_default(item, value, items))?;
            column.close_list();
            return Ok(());
        }
        _ => return Err(WRONG),
    }
    column.close();
    Ok(())
}

fn latin_bytes(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect()
}

fn push_decimal(values: &mut Values, text: &str) -> Option<()> {
    let bytes = latin_bytes(text)?;
    match values {
        Values::Decimal128 {
            values, precision, ..
        } => values.push(decimal(&bytes, 0, *precision)?.to_i128()?),
        Values::Decimal256 {
            values, precision, ..
        } => values.push(decimal(&bytes, 0, *precision)?),
        _ => return None,
    }
    Some(())
}

/// Appends a record given as JSON.
pub(super) fn record(fields: &[NodeField], json: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
    let value: Map<String, Value> = serde_json::from_str(json).map_err(|error| {
        refused(
            "invalid_json",
            format!("no JSON object: line {}", error.line()),
        )
    })?;
    let result = write_fields(fields, &value, out);
    result.map_err(|name| Refused {
        field: Some(name.to_owned()),
        ..refused("wrong_type", "no value of the field's type")
    })
}

/// `Err` names the field at fault.
fn write_fields<'a>(
    fields: &'a [NodeField],
    map: &Map<String, Value>,
    out: &mut Vec<u8>,
) -> Result<(), &'a str> {
    for field in fields {
        let result = match (map.get(&field.name), &field.default) {
            (Some(value), _) => write(&field.node, value, out),
            (None, Some(default)) => write(&field.node, default, out),
            (None, None) => write(&field.node, &Value::Null, out),
        };
        result.ok_or(field.name.as_str())?;
    }
    Ok(())
}

fn write(node: &Node, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match (node.null_branch, value) {
        (Some(branch), Value::Null) => {
            write_long(i64::from(branch), out);
            return Some(());
        }
        (Some(branch), _) => write_long(i64::from(1 - branch), out),
        (None, _) => {}
    }
    match (&node.kind, value) {
        (Kind::Bool, Value::Bool(value)) => out.push(u8::from(*value)),
        (Kind::Int, Value::Number(_)) => {
            write_long(i64::from(i32::try_from(value.as_i64()?).ok()?), out);
        }
        (Kind::Long, Value::Number(_)) => write_long(value.as_i64()?, out),
        (Kind::Date, Value::String(text)) => {
            write_long(i64::from(civil::date(text.as_bytes())?), out);
        }
        (Kind::Instant(unit), Value::String(text)) => {
            write_long(civil::instant(text.as_bytes())?.checked_div(*unit)?, out);
        }
        (Kind::Text, Value::String(text)) => write_bytes(text.as_bytes(), out),
        (Kind::Enum { symbols, .. }, Value::String(text)) => {
            write_long(
                i64::try_from(symbols.iter().position(|symbol| symbol == text)?).ok()?,
                out,
            );
        }
        (
            Kind::Decimal {
                precision,
                scale,
                size,
            },
            Value::String(_) | Value::Number(_),
        ) => {
            write_decimal(value, (*precision).min(38), *scale, *size, out)?;
        }
        (Kind::Record(fields), Value::Object(map)) => write_fields(fields, map, out).ok()?,
        (Kind::List(item), Value::Array(values)) => {
            if !values.is_empty() {
                write_long(i64::try_from(values.len()).ok()?, out);
                values
                    .iter()
                    .try_for_each(|value| write(item, value, out))?;
            }
            out.push(0);
        }
        _ => return None,
    }
    Some(())
}

fn write_decimal(
    value: &Value,
    precision: u8,
    scale: i8,
    size: Option<usize>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let literal = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    literal.parse::<Number>().ok()?;
    let bytes = number::decimal(literal.as_bytes(), precision, scale)?.to_be_bytes();
    match size {
        Some(size) => {
            let fill = if bytes[0] & 0x80 != 0 { 0xFF } else { 0 };
            out.extend(std::iter::repeat_n(fill, size.saturating_sub(bytes.len())));
            out.extend_from_slice(&bytes[bytes.len().saturating_sub(size)..]);
        }
        None => write_bytes(&bytes, out),
    }
    Some(())
}

pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_long(
        i64::try_from(bytes.len()).expect("no slice is that long"),
        out,
    );
    out.extend_from_slice(bytes);
}

pub(super) fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut value = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7F).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}
