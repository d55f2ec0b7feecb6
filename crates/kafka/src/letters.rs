//! Dead letters as records: the refused record's value and headers as they were, and `weir.*` headers that say where it
//! stood and why it was refused. The record's key is the letter's: topic, partition, offset, stage, code.
//!
//! To the engine an item's value is one piece; here it is headers and value behind each other.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use weir_codec::{Encoder, Headers, JsonEncoder};
use weir_stage::letter;
use weir_stage::sink::{Item, Refused, Rows, Unsent};
use weir_zset::text::instant;

/// What each record of a sink has beside: it is not part of the letter.
pub(crate) const OF_THE_CUT: [&str; 3] = ["weir.run", "weir.epoch", "weir.as_of"];
/// In the place of a value: why there is none.
const VALUE: &str = "weir.value";
const KEY: &str = "weir.key";

/// Rows of dead letters as items.
pub(crate) struct LetterRows(JsonEncoder);

impl LetterRows {
    pub(crate) fn new() -> Self {
        Self(JsonEncoder::new(letter::KEY.map(str::to_owned).to_vec()))
    }
}

impl Rows for LetterRows {
    fn items(&self, rows: &RecordBatch) -> Vec<Result<Item, Unsent>> {
        let values = (0..rows.num_rows()).map(|row| value_of(rows, row));
        let item = |(key, value): (Result<Vec<u8>, Refused>, Vec<u8>)| {
            Ok(Item {
                key: key.expect("JSON takes every row"),
                value: Some(value),
            })
        };
        self.keys(rows).into_iter().zip(values).map(item).collect()
    }

    fn keys(&self, rows: &RecordBatch) -> Vec<Result<Vec<u8>, Refused>> {
        self.0.encode(rows)
    }
}

fn value_of(rows: &RecordBatch, row: usize) -> Vec<u8> {
    let column = |name: &str| rows.column_by_name(name).expect("a letter has this column");
    let text = |name: &str| {
        let column = column(name).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row))
    };
    let bytes = |name: &str| {
        let column = column(name).as_binary::<i32>();
        column.is_valid(row).then(|| column.value(row))
    };
    let mut packed = Vec::new();
    let own = bytes(letter::HEADERS).unwrap_or_default();
    for (name, value) in Headers::from_packed(Bytes::copy_from_slice(own)).iter() {
        if !is_ours(name) {
            Headers::push(name, value, &mut packed);
        }
    }
    let mut put = |name: &str, value: &[u8]| Headers::push(name, Some(value), &mut packed);
    let partition = column(letter::PARTITION).as_primitive::<Int32Type>();
    let offset = column(letter::OFFSET).as_primitive::<Int64Type>();
    put(
        "weir.partition",
        partition.value(row).to_string().as_bytes(),
    );
    put("weir.offset", offset.value(row).to_string().as_bytes());
    for name in [
        letter::TOPIC,
        letter::STAGE,
        letter::CODE,
        letter::MESSAGE,
        letter::FIELD,
    ] {
        if let Some(text) = text(name) {
            put(&format!("weir.{name}"), text.as_bytes());
        }
    }
    let timestamp = column(letter::TIMESTAMP).as_primitive::<TimestampMicrosecondType>();
    if timestamp.is_valid(row) {
        put("weir.timestamp", instant(timestamp.value(row)).as_bytes());
    }
    if let Some(key) = bytes(letter::RECORD_KEY) {
        put(KEY, key);
    }
    let value = bytes(letter::VALUE);
    if column(letter::BY_REFERENCE).as_boolean().value(row) {
        put(VALUE, b"reference");
    } else if value.is_none() {
        put(VALUE, b"tombstone");
    }
    pack(&packed, value.unwrap_or_default())
}

/// Whether this header is written here, so that a record's own of the name does not count.
fn is_ours(name: &str) -> bool {
    let ours = [
        "weir.partition",
        "weir.offset",
        "weir.topic",
        "weir.stage",
        "weir.code",
        "weir.message",
        "weir.field",
        "weir.timestamp",
        KEY,
        VALUE,
    ];
    ours.contains(&name) || OF_THE_CUT.contains(&name)
}

/// Headers and value in one piece.
pub(crate) fn pack(headers: &[u8], value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(headers.len()).expect("a record is less than 4 GiB");
    [&length.to_le_bytes()[..], headers, value].concat()
}

/// What was packed, taken apart.
pub(crate) fn unpack(packed: &[u8]) -> (Headers, &[u8]) {
    let (length, rest) = packed.split_first_chunk::<4>().expect("it was packed here");
    let (headers, value) = rest.split_at(u32::from_le_bytes(*length) as usize);
    (Headers::from_packed(Bytes::copy_from_slice(headers)), value)
}

/// The same letter without the record's own bytes, for brokers that take no more; `None`: it has none already.
pub(crate) fn by_reference(item: &Item) -> Option<Item> {
    let (headers, _) = unpack(item.value.as_deref()?);
    if headers.text(VALUE) == Some("reference")
        && headers.iter().all(|(name, _)| is_ours(name) && name != KEY)
    {
        return None;
    }
    let kept = headers
        .iter()
        .filter(|(name, _)| is_ours(name) && *name != KEY && *name != VALUE);
    let reference = std::iter::once((VALUE, Some(&b"reference"[..])));
    let kept = Headers::of(kept.chain(reference));
    Some(Item {
        key: item.key.clone(),
        value: Some(pack(kept.packed(), &[])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is packed comes back, and a letter by reference has no bytes of its record.
    #[test]
    fn packed_and_shortened() {
        let headers = Headers::of([
            ("trace", Some(&b"abc"[..])),
            ("null", None),
            ("weir.topic", Some(&b"t"[..])),
            (KEY, Some(&b"k"[..])),
        ]);
        let item = Item {
            key: b"key".to_vec(),
            value: Some(pack(headers.packed(), b"value")),
        };
        let (found, value) = unpack(item.value.as_deref().unwrap());
        assert_eq!((found, value), (headers, &b"value"[..]));
        let short = by_reference(&item).unwrap();
        let (found, value) = unpack(short.value.as_deref().unwrap());
        let names: Vec<&str> = found.iter().map(|(name, _)| name).collect();
        assert_eq!((names, value), (vec!["weir.topic", VALUE], &[][..]));
        assert_eq!(by_reference(&short), None);
    }
}
