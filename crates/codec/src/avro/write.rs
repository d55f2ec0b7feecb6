//! Rows to Avro records in the registries' wire format, exact or refused.

use super::encode::{write_bytes, write_long};
use super::node::{self, Kind, Node};
use super::parse;
use crate::encode::Encoder;
use crate::error::CodecError;
use crate::record::Refused;
use crate::rows::refused;
use apache_avro::Schema as AvroSchema;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Schema, TimestampMicrosecondType, UInt8Type,
    UInt16Type, UInt32Type, i256,
};
use serde_json::{Value, json};

/// The Avro schema of rows, as a writer registers it: decimals and instants as logical types, a column that may be
/// null as a union with null first.
pub fn schema_of(name: &str, rows: &Schema) -> Result<String, CodecError> {
    record_of(name, "", rows.fields().iter().map(AsRef::as_ref)).map(|schema| schema.to_string())
}

fn record_of<'a>(
    name: &str,
    path: &str,
    fields: impl Iterator<Item = &'a Field>,
) -> Result<Value, CodecError> {
    let field = |field: &Field| -> Result<Value, CodecError> {
        let path = match path {
            "" => field.name().clone(),
            _ => format!("{path}.{}", field.name()),
        };
        let schema = type_of(name, &path, field)?;
        Ok(if field.is_nullable() {
            json!({ "name": field.name(), "type": schema, "default": null })
        } else {
            json!({ "name": field.name(), "type": schema })
        })
    };
    let fields: Vec<Value> = fields.map(field).collect::<Result<_, _>>()?;
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let name = if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    };
    Ok(json!({ "type": "record", "name": name, "namespace": "weir", "fields": fields }))
}

fn type_of(name: &str, path: &str, field: &Field) -> Result<Value, CodecError> {
    let decimal = |precision: u8, scale: i8| json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale });
    let schema = match field.data_type() {
        DataType::Boolean => json!("boolean"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            json!("int")
        }
        DataType::Int64 | DataType::UInt32 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Utf8 => json!("string"),
        DataType::Binary => json!("bytes"),
        DataType::Date32 => json!({ "type": "int", "logicalType": "date" }),
        DataType::Timestamp(..) => json!({ "type": "long", "logicalType": "timestamp-micros" }),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)
            if *scale >= 0 =>
        {
            decimal(*precision, *scale)
        }
        DataType::Struct(fields) => {
            let name = format!("{name}_{}", path.replace('.', "_"));
            record_of(&name, path, fields.iter().map(AsRef::as_ref))?
        }
        DataType::List(item) => json!({ "type": "array", "items": type_of(name, path, item)? }),
        other => {
            let what = format!("is {other}, which Avro has no type for");
            return Err(CodecError::unsupported(path, what, Some("cast the column")));
        }
    };
    Ok(if field.is_nullable() {
        json!(["null", schema])
    } else {
        schema
    })
}

/// Writes rows by one schema.
#[derive(Debug)]
pub struct AvroEncoder {
    id: u32,
    fields: Vec<(String, Node)>,
}

impl AvroEncoder {
    /// Of the schema with this id in the registry. Every field must have a column of its name that fits, or take null.
    pub fn new(id: u32, schema_text: &str, rows: &Schema) -> Result<Self, CodecError> {
        let schema = parse(schema_text, &[])?;
        let Node {
            kind: Kind::Record(fields),
            null_branch: None,
        } = node::compile(&schema)?
        else {
            return Err(CodecError::unsupported("top", "is no record", None));
        };
        debug_assert!(matches!(schema, AvroSchema::Record(_)));
        for field in &fields {
            let misfit = match rows.field_with_name(&field.name) {
                Ok(column) => misfit(&field.node, column),
                Err(_) if field.node.null_branch.is_some() => None,
                Err(_) => Some("there is no such column, and the field takes no null".to_owned()),
            };
            if let Some(what) = misfit {
                return Err(CodecError::Incompatible {
                    place: field.name.clone(),
                    what,
                });
            }
        }
        let fields = fields.into_iter().map(|field| (field.name, field.node));
        Ok(Self {
            id,
            fields: fields.collect(),
        })
    }
}

/// Why a column can never be written as this type. What depends on the value is seen when there is one.
fn misfit(node: &Node, column: &Field) -> Option<String> {
    let is_same = match (&node.kind, column.data_type()) {
        (Kind::Bool, DataType::Boolean)
        | (Kind::Float, DataType::Float32)
        | (Kind::Double, DataType::Float32 | DataType::Float64)
        | (Kind::Text | Kind::Enum { .. }, DataType::Utf8)
        | (Kind::Bytes, DataType::Binary)
        | (Kind::Date, DataType::Date32)
        | (Kind::Instant(_), DataType::Timestamp(..)) => true,
        (Kind::Int | Kind::Long, from) => from.is_integer() && *from != DataType::UInt64,
        (Kind::Decimal { .. }, from) => {
            matches!(from, DataType::Decimal128(..) | DataType::Decimal256(..))
        }
        (Kind::Record(fields), DataType::Struct(columns)) => {
            return fields.iter().find_map(|field| {
                let column = columns.iter().find(|column| *column.name() == field.name);
                let Some(column) = column else {
                    let what = format!("its column has no field `{}`", field.name);
                    return field.node.null_branch.is_none().then_some(what);
                };
                misfit(&field.node, column)
            });
        }
        (Kind::List(item), DataType::List(column)) => return misfit(item, column),
        _ => false,
    };
    (!is_same).then(|| {
        format!(
            "a column of {} cannot be written as this field",
            column.data_type()
        )
    })
}

impl Encoder for AvroEncoder {
    fn encode(&self, rows: &RecordBatch) -> Vec<Result<Vec<u8>, Refused>> {
        let column = |(name, _): &(String, Node)| rows.column_by_name(name);
        let columns: Vec<Option<&ArrayRef>> = self.fields.iter().map(column).collect();
        let record = |row| {
            let mut out = vec![0];
            out.extend_from_slice(&self.id.to_be_bytes());
            for ((name, node), column) in self.fields.iter().zip(&columns) {
                write(node, *column, row, &mut out).map_err(|what| Refused {
                    field: Some(name.clone()),
                    ..refused("schema_incompatible", what)
                })?;
            }
            Ok(out)
        };
        (0..rows.num_rows()).map(record).collect()
    }
}

/// A cell; a column that is not there is null.
fn write(
    node: &Node,
    column: Option<&ArrayRef>,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let column = column.filter(|column| !column.is_null(row));
    match (node.null_branch, column) {
        (Some(branch), None) => {
            write_long(i64::from(branch), out);
            return Ok(());
        }
        (Some(branch), Some(_)) => write_long(i64::from(1 - branch), out),
        (None, Some(_)) => {}
        (None, None) => return Err("null, which the schema does not take"),
    }
    let column = column.expect("null was dealt with");
    match &node.kind {
        Kind::Bool => out.push(u8::from(column.as_boolean().value(row))),
        Kind::Int => {
            let value = i32::try_from(integer(column, row));
            write_long(i64::from(value.or(Err("more than 32 bits"))?), out);
        }
        Kind::Long => write_long(integer(column, row), out),
        Kind::Float => {
            let value = column.as_primitive::<Float32Type>().value(row);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Kind::Double => {
            let value = match column.data_type() {
                DataType::Float32 => f64::from(column.as_primitive::<Float32Type>().value(row)),
                _ => column.as_primitive::<Float64Type>().value(row),
            };
            out.extend_from_slice(&value.to_le_bytes());
        }
        Kind::Text => write_bytes(column.as_string::<i32>().value(row).as_bytes(), out),
        Kind::Enum { symbols, .. } => {
            let text = column.as_string::<i32>().value(row);
            let index = symbols.iter().position(|symbol| symbol == text);
            let index = index.ok_or("a text that is no symbol of the schema")?;
            write_long(
                i64::try_from(index).expect("a schema fits into memory"),
                out,
            );
        }
        Kind::Bytes => write_bytes(column.as_binary::<i32>().value(row), out),
        Kind::Date => {
            let days = column.as_primitive::<Date32Type>().value(row);
            write_long(days.into(), out);
        }
        Kind::Instant(unit) => {
            let us = column.as_primitive::<TimestampMicrosecondType>().value(row);
            if us % unit != 0 {
                return Err("an instant with a finer fraction than the schema has");
            }
            write_long(us / unit, out);
        }
        Kind::Decimal {
            precision,
            scale,
            size,
        } => decimal(column, row, (*precision, *scale, *size), out)?,
        Kind::Record(fields) => {
            let record = column.as_struct();
            for field in fields {
                write(&field.node, record.column_by_name(&field.name), row, out)?;
            }
        }
        Kind::List(item) => {
            let items = column.as_list::<i32>().value(row);
            if !items.is_empty() {
                let count = i64::try_from(items.len()).expect("a list fits into memory");
                write_long(count, out);
                for index in 0..items.len() {
                    write(item, Some(&items), index, out)?;
                }
            }
            out.push(0);
        }
        Kind::Fixed(_) => unreachable!("no column is written as fixed bytes"),
    }
    Ok(())
}

fn integer(column: &ArrayRef, row: usize) -> i64 {
    match column.data_type() {
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
        _ => column.as_primitive::<Int64Type>().value(row),
    }
}

fn decimal(
    column: &ArrayRef,
    row: usize,
    (precision, scale, size): (u8, i8, Option<usize>),
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    const MANY: &str = "an amount with more digits than the schema has";
    let (value, from) = match column.data_type() {
        DataType::Decimal128(_, from) => {
            let value = column.as_primitive::<Decimal128Type>().value(row);
            (i256::from_i128(value), *from)
        }
        DataType::Decimal256(_, from) => {
            (column.as_primitive::<Decimal256Type>().value(row), *from)
        }
        _ => unreachable!("the column was checked"),
    };
    let ten = i256::from_i128(10);
    let shift = i32::from(scale) - i32::from(from);
    let power = ten.checked_pow(shift.unsigned_abs()).ok_or(MANY)?;
    let value = if shift >= 0 {
        value.checked_mul(power).ok_or(MANY)?
    } else {
        let rest = value.checked_rem(power).ok_or(MANY)?;
        if rest != i256::ZERO {
            return Err(MANY);
        }
        value.checked_div(power).ok_or(MANY)?
    };
    let limit = ten.checked_pow(precision.into()).ok_or(MANY)?;
    if value >= limit || value <= limit.wrapping_neg() {
        return Err(MANY);
    }
    let bytes = value.to_be_bytes();
    let fill = if value < i256::ZERO { 0xFF } else { 0 };
    if let Some(size) = size {
        let surplus = bytes.len().saturating_sub(size);
        let is_sign = |index: usize| (bytes[index] ^ fill) & 0x80 == 0;
        if bytes[..surplus].iter().any(|byte| *byte != fill) || !is_sign(surplus) {
            return Err(MANY);
        }
        out.extend(std::iter::repeat_n(fill, size.saturating_sub(bytes.len())));
        out.extend_from_slice(&bytes[surplus..]);
        return Ok(());
    }
    // The fewest bytes that keep the sign.
    let mut from = 0;
    while from + 1 < bytes.len() && bytes[from] == fill && (bytes[from + 1] ^ fill) & 0x80 == 0 {
        from += 1;
    }
    write_bytes(&bytes[from..], out);
    Ok(())
}
