//! Kinds (the border's text for what a column means) and Arrow types.

use arrow::array::{Array as _, ArrayRef, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use std::sync::{Arc, OnceLock};

/// The Arrow type of a kind with these children; `None` when there is no such kind.
pub(crate) fn type_of(kind: &str, children: &[FieldRef]) -> Option<DataType> {
    let (name, arguments) = match kind.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')')?)),
        None => (kind, None),
    };
    Some(match (name, arguments, children) {
        ("bool", None, []) => DataType::Boolean,
        ("int8", None, []) => DataType::Int8,
        ("int16", None, []) => DataType::Int16,
        ("int32", None, []) => DataType::Int32,
        ("int64", None, []) => DataType::Int64,
        ("uint8", None, []) => DataType::UInt8,
        ("uint16", None, []) => DataType::UInt16,
        ("uint32", None, []) => DataType::UInt32,
        ("uint64", None, []) => DataType::UInt64,
        ("float32", None, []) => DataType::Float32,
        ("float64", None, []) => DataType::Float64,
        ("utf8", None, []) => DataType::Utf8,
        ("binary", None, []) => DataType::Binary,
        ("date32", None, []) => DataType::Date32,
        ("timestamp", Some("us"), []) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        ("decimal128", Some(arguments), []) => {
            let (precision, scale) = decimal(arguments, 38)?;
            DataType::Decimal128(precision, scale)
        }
        ("decimal256", Some(arguments), []) => {
            let (precision, scale) = decimal(arguments, 76)?;
            DataType::Decimal256(precision, scale)
        }
        ("dictionary", Some("utf8"), []) => {
            DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
        }
        ("struct", None, fields) => DataType::Struct(Fields::from(fields.to_vec())),
        ("list", None, [item]) => DataType::List(Arc::clone(item)),
        _ => return None,
    })
}

/// `38,9` within the digits that the type holds.
fn decimal(arguments: &str, digits_max: u8) -> Option<(u8, i8)> {
    let (precision, scale) = arguments.split_once(',')?;
    let (precision, scale) = (
        precision.trim().parse::<u8>().ok()?,
        scale.trim().parse::<i8>().ok()?,
    );
    let fits =
        (1..=digits_max).contains(&precision) && scale >= 0 && scale.unsigned_abs() <= precision;
    fits.then_some((precision, scale))
}

/// The kind of an Arrow type; `None` when the border has none for it.
pub(crate) fn kind_of(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "bool".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
            "timestamp(us)".to_owned()
        }
        DataType::Decimal128(precision, scale) => format!("decimal128({precision},{scale})"),
        DataType::Decimal256(precision, scale) => format!("decimal256({precision},{scale})"),
        DataType::Dictionary(keys, values)
            if **keys == DataType::UInt32 && **values == DataType::Utf8 =>
        {
            "dictionary(utf8)".to_owned()
        }
        DataType::Struct(_) => "struct".to_owned(),
        DataType::List(_) => "list".to_owned(),
        plain if plain.is_primitive() || matches!(plain, DataType::Utf8 | DataType::Binary) => {
            let kind = plain.to_string().to_lowercase();
            (type_of(&kind, &[]).as_ref() == Some(plain)).then_some(kind)?
        }
        _ => return None,
    })
}

/// A column as it stands flat in a batch: itself, and its children behind it.
#[derive(Clone, Debug)]
pub(crate) struct Flat {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) nullable: bool,
    pub(crate) data_type: DataType,
    pub(crate) children: u32,
    nulls: OnceLock<ArrayRef>,
}

/// Up to so many rows a column of nulls is lent, as its values take as long to write as those of any other.
const LENT_NULLS: usize = 8_192;

impl Flat {
    /// The column when all of its rows are null.
    pub(crate) fn nulls(&self, rows: usize) -> ArrayRef {
        if rows > LENT_NULLS {
            return new_null_array(&self.data_type, rows);
        }
        let nulls = || new_null_array(&self.data_type, LENT_NULLS);
        self.nulls.get_or_init(nulls).slice(0, rows)
    }
}

/// The columns of a schema, nested ones flat and depth first; the type that has no kind as the error.
pub(crate) fn flatten<'f>(
    fields: impl IntoIterator<Item = &'f FieldRef>,
) -> Result<Vec<Flat>, DataType> {
    let mut flat = Vec::new();
    for field in fields {
        push(field, &mut flat)?;
    }
    Ok(flat)
}

fn push(field: &Field, flat: &mut Vec<Flat>) -> Result<(), DataType> {
    let data_type = field.data_type().clone();
    let children: Vec<&FieldRef> = match &data_type {
        DataType::Struct(fields) => fields.iter().collect(),
        DataType::List(item) => vec![item],
        _ => Vec::new(),
    };
    flat.push(Flat {
        name: field.name().clone(),
        kind: kind_of(&data_type).ok_or_else(|| data_type.clone())?,
        nullable: field.is_nullable(),
        children: u32::try_from(children.len()).expect("a schema has few columns"),
        data_type: data_type.clone(),
        nulls: OnceLock::new(),
    });
    children.into_iter().try_for_each(|child| push(child, flat))
}
