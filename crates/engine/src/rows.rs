//! Rows as bytes and back, for whatever keeps rows one by one.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, RowParser, Rows, SortField};

/// One row, encoded so that bytes compare as the row's columns do.
pub(crate) type RowBytes = Box<[u8]>;

/// Encodes the rows of one schema.
pub(crate) struct RowCodec {
    schema: SchemaRef,
    converter: RowConverter,
    parser: RowParser,
}

impl RowCodec {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect()).expect("the plan's types have a row form");
        let parser = converter.parser();
        Self { schema, converter, parser }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn encode(&self, batch: &RecordBatch) -> Rows {
        self.converter.convert_columns(batch.columns()).expect("batches have the codec's schema")
    }

    pub(crate) fn decode<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> RecordBatch {
        let rows: Vec<_> = rows.into_iter().map(|bytes| self.parser.parse(bytes)).collect();
        let count = rows.len();
        if self.schema.fields().is_empty() || count == 0 {
            let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(count));
            let columns = self.schema.fields().iter().map(|f| arrow::array::new_empty_array(f.data_type()));
            return RecordBatch::try_new_with_options(self.schema.clone(), columns.collect(), &options)
                .expect("an empty batch of its own schema");
        }
        let columns = self.converter.convert_rows(rows).expect("bytes came from this codec");
        RecordBatch::try_new(self.schema.clone(), columns).expect("columns have the codec's types")
    }
}
