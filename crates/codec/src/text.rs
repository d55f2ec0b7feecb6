//! The text decoder: one string column, `text`, for formats that a plugin reads itself.

use crate::column::{Table, Values};
use crate::record::{Decoded, Decoder, RawRecord};
use crate::rows::{Stop, decode_all, refused};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// Values as they are, in one `Utf8` column named `text`.
#[derive(Clone, Debug)]
pub struct TextDecoder {
    schema: SchemaRef,
    tombstones: bool,
}

impl TextDecoder {
    /// With `tombstones`, an empty value is a row whose text is null.
    pub fn new(tombstones: bool) -> Self {
        let field = Field::new("text", DataType::Utf8, tombstones);
        Self {
            schema: Arc::new(Schema::new(vec![field])),
            tombstones,
        }
    }
}

impl Decoder for TextDecoder {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn decode(&self, records: &[RawRecord]) -> Decoded {
        let table = Table::new(self.schema.fields(), records.len());
        decode_all(self.schema(), table, self.tombstones, records, push)
    }
}

fn push(value: &[u8], table: &mut Table) -> Result<(), Stop> {
    if let Err(error) = std::str::from_utf8(value) {
        return Err(refused(
            "invalid_utf8",
            format!("no UTF-8 at byte {}", error.valid_up_to()),
        )
        .into());
    }
    let column = &mut table.columns[0];
    if let Values::Text(spans) = &mut column.values {
        spans.data.extend_from_slice(value);
        spans.close();
    }
    column.close();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use bytes::Bytes;

    fn records(values: &[Option<&[u8]>]) -> Vec<RawRecord> {
        let record = |(offset, value): (i64, Option<&[u8]>)| RawRecord {
            partition: 0,
            offset,
            timestamp_us: 0,
            key: None,
            value: value.map(Bytes::copy_from_slice),
            headers: crate::Headers::default(),
        };
        (0..).zip(values.iter().copied()).map(record).collect()
    }

    /// Good text goes through byte by byte, the rest is refused with its place.
    #[test]
    fn text_and_refusals() {
        let decoded = TextDecoder::new(false).decode(&records(&[
            Some("35=AE|é".as_bytes()),
            Some(b"ab\xff"),
            None,
            Some(b""),
            Some(b"x"),
        ]));
        assert_eq!(decoded.rows, [0, 4]);
        assert_eq!(
            decoded.batch.column(0).as_string::<i32>().value(0),
            "35=AE|é"
        );
        let why: Vec<_> = decoded
            .refused
            .iter()
            .map(|(index, why)| (*index, why.code, why.message.as_str()))
            .collect();
        assert_eq!(why[0], (1, "invalid_utf8", "no UTF-8 at byte 2"));
        assert_eq!(
            (why[1].0, why[1].1, why[2].0, why[2].1),
            (2, "empty_value", 3, "empty_value")
        );
    }

    /// Where tombstones are allowed they are null rows.
    #[test]
    fn tombstones() {
        let decoded = TextDecoder::new(true).decode(&records(&[None, Some(b"a")]));
        assert_eq!(decoded.rows, [0, 1]);
        assert!(decoded.batch.column(0).is_null(0));
    }
}
