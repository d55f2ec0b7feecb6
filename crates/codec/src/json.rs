//! The JSON decoder: a JSON Schema becomes columns once, then every record is read in one pass straight
//! into them.
//!
//! A number in a column of text (no `x-decimal`, or shared with other scalar types) keeps its digits; an
//! exponent is written out, `1.25E+3` as `1250`, so that such text means a number whoever wrote it.
//!
//! Reading is strict (RFC 8259, UTF-8, no name twice, nothing after the value), numbers keep every digit,
//! and names that the schema does not have are skipped. An explicit `null` is a missing field.
//!
//! The schema's part that gives columns (`type`, `properties`, `required`, `items`, `additionalProperties`
//! as a boolean, `$ref` inside the file, `x-decimal`, `x-type`) is compiled; `enum`, `const`, `pattern`,
//! `minLength`, `maxLength` on text are checked value by value with `jsonschema`, which is slower. Any other
//! keyword that would restrict values is an error when the decoder is made: nothing is ignored silently.

pub(crate) mod number;
mod parse;
mod schema;

use crate::column::Table;
use crate::error::CodecError;
use crate::record::{Decoded, Decoder, RawRecord};
use crate::rows::{Stop, decode_all, refused};
use arrow::datatypes::{Schema, SchemaRef};
use parse::Parser;
use schema::Record;
use std::fmt;
use std::sync::Arc;

/// Deepest nesting of objects and arrays, in fields that are skipped too: a reader that recurses must
/// not be led off its stack, and no message of a trade is a tenth as deep.
pub const DEPTH_MAX: usize = 64;

/// JSON values by a JSON Schema.
pub struct JsonDecoder {
    record: Record,
    schema: SchemaRef,
    tombstones: bool,
}

impl JsonDecoder {
    /// Reads the text of a JSON Schema file. With `tombstones`, an empty value is a row of nulls, so that
    /// no column is `NOT NULL`.
    pub fn new(schema_text: &str, tombstones: bool) -> Result<Self, CodecError> {
        let record = schema::compile(schema_text)?;
        let fields = record.fields(tombstones);
        Ok(Self {
            record,
            schema: Arc::new(Schema::new(fields)),
            tombstones,
        })
    }
}

impl Decoder for JsonDecoder {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn decode(&self, records: &[RawRecord]) -> Decoded {
        let table = Table::new(self.schema.fields(), records.len());
        let mut scratch = Vec::new();
        decode_all(
            self.schema(),
            table,
            self.tombstones,
            records,
            |value, table| read(&self.record, value, table, &mut scratch),
        )
    }
}

fn read(
    record: &Record,
    value: &[u8],
    table: &mut Table,
    scratch: &mut Vec<u8>,
) -> Result<(), Stop> {
    if let Err(error) = std::str::from_utf8(value) {
        return Err(refused(
            "invalid_utf8",
            format!("no UTF-8 at byte {}", error.valid_up_to()),
        )
        .into());
    }
    let mut parser = Parser::new(value, scratch);
    parser
        .document(record, table)
        .map_err(|parse::Bad| Stop::Refused(parser.refusal()))
}

impl fmt::Debug for JsonDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonDecoder")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
