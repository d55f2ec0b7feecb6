//! Dead letters as rows: what the engine keeps of a refusal, and a sink writes.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use weir_zset::meta;

/// The topic of the refused record.
pub const TOPIC: &str = "topic";
/// Its partition.
pub const PARTITION: &str = "partition";
/// Its offset.
pub const OFFSET: &str = "offset";
/// The stage that refused it.
pub const STAGE: &str = "stage";
/// The refusal's code.
pub const CODE: &str = "code";
/// What is wrong.
pub const MESSAGE: &str = "message";
/// The field at fault.
pub const FIELD: &str = "field";
/// The record's timestamp.
pub const TIMESTAMP: &str = "timestamp";
/// The record's key.
pub const RECORD_KEY: &str = "key";
/// The record's value; null where there is none, or it is not kept.
pub const VALUE: &str = "value";
/// The record's headers, packed.
pub const HEADERS: &str = "headers";
/// Whether the record's bytes are not kept, so that its place is all there is.
pub const BY_REFERENCE: &str = "by_reference";

/// The columns that tell letters apart.
pub const KEY: [&str; 5] = [TOPIC, PARTITION, OFFSET, STAGE, CODE];

/// The columns of a letter.
pub fn schema() -> SchemaRef {
    let field = |name, kind, nullable| Field::new(name, kind, nullable);
    Arc::new(Schema::new(vec![
        field(TOPIC, DataType::Utf8, false),
        field(PARTITION, DataType::Int32, false),
        field(OFFSET, DataType::Int64, false),
        field(STAGE, DataType::Utf8, false),
        field(CODE, DataType::Utf8, false),
        field(MESSAGE, DataType::Utf8, false),
        field(FIELD, DataType::Utf8, true),
        field(TIMESTAMP, meta::instant_type(), true),
        field(RECORD_KEY, DataType::Binary, true),
        field(VALUE, DataType::Binary, true),
        field(HEADERS, DataType::Binary, false),
        field(BY_REFERENCE, DataType::Boolean, false),
    ]))
}
