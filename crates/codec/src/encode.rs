//! The contract of encoders: rows in, bytes out; and JSON.

use crate::record::Refused;
use arrow::array::RecordBatch;
use weir_zset::text;

/// Turns rows into records' keys or values. Pure; the same row gives the same bytes.
pub trait Encoder: Send + Sync {
    /// One answer per row, in order. Columns are found by name; those that it does not write may be there.
    fn encode(&self, rows: &RecordBatch) -> Vec<Result<Vec<u8>, Refused>>;
}

/// JSON objects: amounts, dates and instants as text, in the form of the API.
#[derive(Debug)]
pub struct JsonEncoder {
    columns: Vec<String>,
}

impl JsonEncoder {
    /// Writes these columns, in this order.
    pub fn new(columns: Vec<String>) -> Self {
        Self { columns }
    }
}

impl Encoder for JsonEncoder {
    fn encode(&self, rows: &RecordBatch) -> Vec<Result<Vec<u8>, Refused>> {
        let index = |name: &String| rows.schema_ref().index_of(name);
        let columns: Result<Vec<usize>, _> = self.columns.iter().map(index).collect();
        let columns = columns.expect("the plan checked the columns");
        let rows = rows.project(&columns).expect("indexes of its own columns");
        let object = |row| {
            let mut out = Vec::new();
            text::json_row(&rows, row, &mut out);
            Ok(out)
        };
        (0..rows.num_rows()).map(object).collect()
    }
}
