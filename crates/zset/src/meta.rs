//! The columns that say which record a row came from.
//!
//! A source puts all five in front of its own columns; row-by-row stages keep them, `join` keeps the
//! left side's, `aggregate` and `group` plugins end them. A name that starts with `_` is theirs alone.

use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use std::sync::Arc;

/// The topic's name (`Utf8`).
pub const TOPIC: &str = "_topic";
/// The partition (`Int32`).
pub const PARTITION: &str = "_partition";
/// The offset (`Int64`).
pub const OFFSET: &str = "_offset";
/// The record's timestamp (`Timestamp(Microsecond, "UTC")`).
pub const TIMESTAMP: &str = "_timestamp";
/// The record's key as text (`Utf8`); null when there is none or it is not UTF-8.
pub const KEY: &str = "_key";

/// Whether a column of this name is one of record metadata.
pub fn is_meta(name: &str) -> bool {
    name.starts_with('_')
}

/// An instant: microseconds since 1970, UTC.
pub fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The five metadata fields, in the order in which a source writes them.
pub fn fields() -> Vec<FieldRef> {
    vec![
        Arc::new(Field::new(TOPIC, DataType::Utf8, false)),
        Arc::new(Field::new(PARTITION, DataType::Int32, false)),
        Arc::new(Field::new(OFFSET, DataType::Int64, false)),
        Arc::new(Field::new(TIMESTAMP, instant_type(), false)),
        Arc::new(Field::new(KEY, DataType::Utf8, true)),
    ]
}

/// The columns that say where the record stands.
pub const PLACE: [&str; 3] = [TOPIC, PARTITION, OFFSET];

/// Whether rows of this schema still know where their record stands.
pub fn is_tracked(schema: &Schema) -> bool {
    PLACE.iter().all(|name| schema.index_of(name).is_ok())
}
