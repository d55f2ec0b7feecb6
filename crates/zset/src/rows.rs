//! Rows as bytes and back, for whatever keeps rows one by one: bytes compare as the row's columns do.

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_empty_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, RowParser, Rows, SortField};
use std::sync::Arc;

/// Encodes and decodes the rows of one schema.
#[derive(Debug)]
pub struct RowCodec {
    schema: SchemaRef,
    converter: RowConverter,
    parser: RowParser,
}

impl RowCodec {
    /// A codec for rows of this schema, whose types the plan has checked.
    pub fn new(schema: SchemaRef) -> Self {
        let fields = schema
            .fields()
            .iter()
            .map(|field| SortField::new(field.data_type().clone()));
        let converter =
            RowConverter::new(fields.collect()).expect("the plan's types have a row form");
        let parser = converter.parser();
        Self {
            schema,
            converter,
            parser,
        }
    }

    /// The rows' schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Encodes a batch of the codec's schema (nullability aside).
    pub fn encode(&self, batch: &RecordBatch) -> Rows {
        self.converter
            .convert_columns(batch.columns())
            .expect("batches have the codec's schema")
    }

    /// Decodes rows that this codec encoded.
    pub fn decode<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> RecordBatch {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|bytes| self.parser.parse(bytes))
            .collect();
        let count = rows.len();
        let columns = if count == 0 || self.schema.fields().is_empty() {
            self.schema
                .fields()
                .iter()
                .map(|field| new_empty_array(field.data_type()))
                .collect()
        } else {
            let columns = self
                .converter
                .convert_rows(rows)
                .expect("bytes came from this codec");
            let typed = columns.into_iter().zip(self.schema.fields());
            typed
                .map(|(column, field)| as_type(column, field.data_type()))
                .collect()
        };
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .expect("columns have the codec's types")
    }
}

/// The row form of a dictionary is that of its values.
pub(crate) fn as_type(column: ArrayRef, data_type: &DataType) -> ArrayRef {
    if column.data_type() == data_type {
        return column;
    }
    cast(&column, data_type).expect("values of the dictionary")
}
