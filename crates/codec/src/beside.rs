//! Columns beside the value's: of the record's key, by a decoder of its own, and of its headers.
//!
//! A record gives a row when both its value and its key can be read; else it is refused once.

use crate::record::{Decoded, Decoder, RawRecord, Refused};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// In front of the names of a key's columns.
const KEY: &str = "key_";

/// The columns of a key with this schema, as they are called beside a value's.
pub fn key_fields(key: &SchemaRef) -> Vec<FieldRef> {
    let named = |field: &FieldRef| {
        let name = format!("{KEY}{}", field.name());
        Arc::new(field.as_ref().clone().with_name(name))
    };
    key.fields().iter().map(named).collect()
}

/// The column of a header: its text, null where there is none.
pub fn header_field(column: &str) -> FieldRef {
    Arc::new(Field::new(column, DataType::Utf8, true))
}

/// Value, key and headers.
pub struct Beside {
    value: Arc<dyn Decoder>,
    key: Option<Arc<dyn Decoder>>,
    /// Columns, and the headers that they show.
    headers: Vec<(String, String)>,
    schema: SchemaRef,
}

impl Beside {
    /// The value's columns, those of the key, if it is read, and those of the headers: pairs of column and header.
    pub fn new(
        value: Arc<dyn Decoder>,
        key: Option<Arc<dyn Decoder>>,
        headers: Vec<(String, String)>,
    ) -> Self {
        let mut fields: Vec<FieldRef> = value.schema().fields().iter().cloned().collect();
        fields.extend(key.iter().flat_map(|key| key_fields(&key.schema())));
        fields.extend(headers.iter().map(|(column, _)| header_field(column)));
        Self {
            value,
            key,
            headers,
            schema: Arc::new(Schema::new(fields)),
        }
    }

    /// The keys in the place of the values, and which records have none.
    fn keys(&self, records: &[RawRecord]) -> Option<Decoded> {
        let decoder = self.key.as_ref()?;
        let key = |record: &RawRecord| RawRecord {
            value: record.key.clone(),
            ..record.clone()
        };
        let keys: Vec<RawRecord> = records.iter().map(key).collect();
        let mut decoded = decoder.decode(&keys);
        for (index, why) in &mut decoded.refused {
            let is_missing = keys[*index as usize]
                .value
                .as_ref()
                .is_none_or(Bytes::is_empty);
            *why = if is_missing {
                Refused {
                    code: "empty_key",
                    message: "the record has no key".to_owned(),
                    field: None,
                }
            } else {
                Refused {
                    code: why.code,
                    message: format!("the key: {}", why.message),
                    field: why.field.as_ref().map(|field| format!("{KEY}{field}")),
                }
            };
        }
        Some(decoded)
    }
}

/// The text of this header, in these rows.
fn header(name: &str, records: &[RawRecord], rows: &[u32]) -> ArrayRef {
    let text = |row: &u32| records[*row as usize].headers.text(name);
    Arc::new(rows.iter().map(text).collect::<StringArray>())
}

impl Decoder for Beside {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn decode(&self, records: &[RawRecord]) -> Decoded {
        let value = self.value.decode(records);
        let key = self.keys(records);
        let at = |decoded: &Decoded| decoded.stalled.as_ref().map(|(index, _)| *index);
        let end = [at(&value), key.as_ref().and_then(at)];
        let end = end.into_iter().flatten().min().unwrap_or(u32::MAX);
        // Rows that both have, by their places in each.
        let keyed: Option<BTreeMap<u32, u32>> = key
            .as_ref()
            .map(|key| key.rows.iter().copied().zip(0..).collect());
        let (mut rows, mut values, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (&row, place) in value.rows.iter().zip(0_u32..) {
            let of_key = keyed.as_ref().map(|keyed| keyed.get(&row));
            if row < end && of_key != Some(None) {
                rows.push(row);
                values.push(place);
                keys.extend(of_key.flatten());
            }
        }
        let picked = |batch: &RecordBatch, places: Vec<u32>| {
            take_record_batch(batch, &UInt32Array::from(places)).expect("places of its rows")
        };
        let mut columns = picked(&value.batch, values).columns().to_vec();
        let mut refused: BTreeMap<u32, Refused> = BTreeMap::new();
        let mut stalled = value.stalled.filter(|(index, _)| *index == end);
        if let Some(key) = key {
            columns.extend(picked(&key.batch, keys).columns().iter().cloned());
            refused.extend(key.refused);
            stalled = stalled.or(key.stalled.filter(|(index, _)| *index == end));
        }
        refused.extend(value.refused);
        for (_, name) in &self.headers {
            columns.push(header(name, records, &rows));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(self.schema(), columns, &options);
        Decoded {
            batch: batch.expect("columns of both decoders"),
            rows,
            refused: refused
                .into_iter()
                .filter(|(index, _)| *index < end)
                .collect(),
            stalled,
        }
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beside")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Headers;
    use crate::{JsonDecoder, TextDecoder};
    use arrow::array::{Array, AsArray};

    const SCHEMA: &str =
        r#"{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}"#;

    /// Rows where value and key are good, also of deletions; the rest is refused once, and its field names the key's column.
    #[test]
    fn values_keys_and_headers() {
        let record = |offset, key: Option<&str>, value: &str| RawRecord {
            partition: 0,
            offset,
            timestamp_us: 0,
            key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
            value: Some(Bytes::copy_from_slice(value.as_bytes())).filter(|value| !value.is_empty()),
            headers: Headers::of([
                ("trace", Some(&b"first"[..])),
                ("trace", Some(value.as_bytes())),
                ("null", None),
            ]),
        };
        let records = [
            record(0, Some(r#"{"id":"a"}"#), "A"),
            record(1, Some("{"), "B"),
            record(2, None, "C"),
            record(3, Some(r#"{"id":7}"#), "\u{fffd}D"),
            record(4, Some(r#"{"id":"e"}"#), ""),
        ];
        let value = Arc::new(TextDecoder::new(true));
        let key = Arc::new(JsonDecoder::new(SCHEMA, false).unwrap());
        let headers = [("trace", "trace"), ("none", "null")];
        let headers = headers.map(|(column, header)| (column.to_owned(), header.to_owned()));
        let decoder = Beside::new(value, Some(key), headers.to_vec());
        let decoded = decoder.decode(&records);
        assert_eq!(decoded.batch.schema(), decoder.schema());
        let names: Vec<_> = decoder
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect();
        assert_eq!(names, ["text", "key_id", "trace", "none"]);
        assert_eq!(decoded.rows, [0, 4]);
        let column = |index: usize| {
            let column = decoded.batch.column(index).as_string::<i32>();
            column
                .iter()
                .map(|text| text.map(str::to_owned))
                .collect::<Vec<_>>()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(column(0), [some("A"), None]);
        assert_eq!(column(1), [some("a"), some("e")]);
        assert_eq!(
            (column(2), decoded.batch.column(3).null_count()),
            (vec![some("A"), some("")], 2)
        );
        let why: Vec<_> = decoded
            .refused
            .iter()
            .map(|(index, why)| (*index, why.code, why.field.as_deref()))
            .collect();
        assert_eq!(
            why,
            [
                (1, "invalid_json", None),
                (2, "empty_key", None),
                (3, "wrong_type", Some("key_id"))
            ]
        );
    }
}
