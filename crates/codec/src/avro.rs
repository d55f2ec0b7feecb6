//! The Avro decoder: a reader's schema becomes columns once; for every writer's schema that turns up a
//! plan is made that reads its bytes straight into them.
//!
//! `apache-avro` reads the schemas. It does not read the values: its reader takes the end of the input
//! for a null and a decimal's digits without its scale, and money is to be exact or refused. (A property
//! test compares the values with those that `apache-avro` wrote.)
//!
//! Resolution follows the Avro specification: fields by name or alias, defaults, `int` to `long`, `string`
//! and `bytes`, enumerations by symbol, unions by branch; decimals only where no digit is lost; never an
//! integer to binary floating point.

mod encode;
mod node;
mod plan;
mod read;
mod write;

use crate::column::Table;
use crate::error::CodecError;
use crate::record::{Decoded, Decoder, RawRecord, Refused};
use crate::rows::{Stop, decode_all, refused};
use apache_avro::Schema as AvroSchema;
use arrow::datatypes::{Schema, SchemaRef};
use node::Node;
use std::fmt;
use std::sync::Arc;

pub use plan::WriterPlan;
pub use write::{AvroEncoder, schema_of};

/// The reader's side: the columns wanted.
pub struct AvroReader {
    fields: Vec<node::NodeField>,
    schema: SchemaRef,
}

/// Where writers' schemas come from.
pub trait WriterSchemas: Send + Sync {
    /// The plan for the schema of this id. Called for every record, so it should remember. May block the
    /// worker that decodes, for seconds at most.
    fn find(&self, id: u32, reader: &AvroReader) -> Result<Arc<WriterPlan>, Stop>;
}

/// Avro values in the wire format of schema registries.
pub struct AvroDecoder<S> {
    reader: AvroReader,
    schemas: S,
    tombstones: bool,
}

impl AvroReader {
    /// Reads the text of an Avro schema, a record. With `tombstones`, no column is `NOT NULL`.
    pub fn new(schema_text: &str, tombstones: bool) -> Result<Self, CodecError> {
        let node = node::compile(&parse(schema_text, &[])?)?;
        let fields = match node {
            Node {
                kind: node::Kind::Record(fields),
                null_branch: None,
            } if !fields.is_empty() => fields,
            _ => {
                return Err(CodecError::unsupported(
                    "top",
                    "is no record with fields",
                    None,
                ));
            }
        };
        let columns = node::arrow_fields(&fields, tombstones);
        Ok(Self {
            fields,
            schema: Arc::new(Schema::new(columns)),
        })
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// How to read what was written with this schema; `references` are the texts of the schemas that it
    /// names, those without references of their own first.
    pub fn plan(&self, writer_text: &str, references: &[String]) -> Result<WriterPlan, CodecError> {
        WriterPlan::new(&parse(writer_text, references)?, &self.fields)
    }

    /// Writes a record that is given as JSON with decimals as text or numbers, dates and instants as ISO text
    /// and unions plain, with this schema, in the wire format. For recorded days and tests.
    pub fn encode(&self, id: u32, json: &str) -> Result<Vec<u8>, Refused> {
        let mut out = vec![0];
        out.extend_from_slice(&id.to_be_bytes());
        encode::record(&self.fields, json, &mut out)?;
        Ok(out)
    }
}

fn parse(text: &str, references: &[String]) -> Result<AvroSchema, CodecError> {
    let unreadable = |error: apache_avro::Error| CodecError::Unreadable(error.to_string());
    if references.is_empty() {
        return AvroSchema::parse_str(text).map_err(unreadable);
    }
    let (mut schema, known) =
        AvroSchema::parse_str_with_list(text, references).map_err(unreadable)?;
    schema.denormalize(&known).map_err(unreadable)?;
    Ok(schema)
}

impl<S: WriterSchemas> AvroDecoder<S> {
    /// A decoder; `tombstones` as in the reader.
    pub fn new(reader: AvroReader, schemas: S, tombstones: bool) -> Self {
        Self {
            reader,
            schemas,
            tombstones,
        }
    }
}

impl<S: WriterSchemas> Decoder for AvroDecoder<S> {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }

    fn decode(&self, records: &[RawRecord]) -> Decoded {
        let table = Table::new(self.reader.schema.fields(), records.len());
        let mut last: Option<(u32, Arc<WriterPlan>)> = None;
        decode_all(
            self.schema(),
            table,
            self.tombstones,
            records,
            |value, table| {
                let (id, body) = wire_format(value)?;
                if last.as_ref().is_none_or(|(known, _)| *known != id) {
                    last = Some((id, self.schemas.find(id, &self.reader)?));
                }
                let (_, plan) = last.as_ref().expect("found or left just now");
                read::record(plan, body, table).map_err(Stop::Refused)
            },
        )
    }
}

/// Every id means the reader's own schema: for recorded days that are encoded on the spot, and tests.
#[derive(Debug)]
pub struct OneSchema(Arc<WriterPlan>);

impl OneSchema {
    /// From the schema's text.
    pub fn new(reader: &AvroReader, schema_text: &str) -> Result<Self, CodecError> {
        Ok(Self(Arc::new(reader.plan(schema_text, &[])?)))
    }
}

impl WriterSchemas for OneSchema {
    fn find(&self, _id: u32, _reader: &AvroReader) -> Result<Arc<WriterPlan>, Stop> {
        Ok(Arc::clone(&self.0))
    }
}

/// A value in the registries' wire format: a zero byte, the schema's id, the body.
pub fn wire_format(value: &[u8]) -> Result<(u32, &[u8]), Refused> {
    match value.split_first_chunk::<5>() {
        Some((&[0, a, b, c, d], body)) => Ok((u32::from_be_bytes([a, b, c, d]), body)),
        Some(_) => Err(refused(
            "wrong_magic",
            "the first byte is not 0, as the wire format of schema registries has it",
        )),
        None => Err(refused(
            "wrong_magic",
            "too short for the wire format of schema registries",
        )),
    }
}

impl fmt::Debug for AvroReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AvroReader")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for AvroDecoder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AvroDecoder")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}
