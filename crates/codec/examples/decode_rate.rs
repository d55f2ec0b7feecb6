//! How fast JSON becomes columns: `cargo run --release -p weir-codec --example decode_rate`.
#![expect(clippy::print_stdout, reason = "a figure to read")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use bytes::Bytes;
use std::time::Instant;
use weir_codec::{Decoder, JsonDecoder, RawRecord};

const SCHEMA: &str = r##"{
  "type": "object",
  "properties": {
    "dealId": {"type": "string"}, "version": {"$ref": "#/$defs/number"}, "action": {"type": "string"},
    "product": {"type": "string"}, "pair": {"type": "string"}, "side": {"type": "string"},
    "amount": {"$ref": "#/$defs/number"}, "rate": {"$ref": "#/$defs/number"}, "dealt": {"type": "string"},
    "due": {"type": "string"}, "farDue": {"type": "string"}, "farRate": {"$ref": "#/$defs/number"},
    "entity": {"type": "string"}, "book": {"type": "string"}, "party": {"type": "string"}
  },
  "$defs": {"number": {"type": ["number", "string", "boolean"]}}
}"##;

/// Records of one batch, and how often it is decoded.
const RECORDS: usize = 8_192;
const ROUNDS: usize = 100;

fn main() {
    let decoder = JsonDecoder::new(SCHEMA, false).expect("the schema is good");
    let records: Vec<RawRecord> = (0..).take(RECORDS).map(record).collect();
    let bytes: usize = records
        .iter()
        .filter_map(|record| record.value.as_ref())
        .map(Bytes::len)
        .sum();
    let start = Instant::now();
    let rows: usize = (0..ROUNDS)
        .map(|_| decoder.decode(&records).rows.len())
        .sum();
    let elapsed = start.elapsed().as_nanos();
    let rows = u128::try_from(rows).expect("a count fits");
    println!(
        "{} bytes a record, {} ns a record, {} rows/s",
        bytes / RECORDS,
        elapsed / rows,
        rows * 1_000_000_000 / elapsed
    );
}

fn record(offset: i64) -> RawRecord {
    let value = format!(
        r#"{{"dealId":"FX-{offset:08}","version":1,"action":"NEW","pair":"EUR/USD","side":"BUY","amount":{},"rate":1.0713,"dealt":"2026-03-02","due":"2026-03-04","entity":"ENTITY-FR","book":"FXTREAS-01","party":"CP-{:04}","note":"x"}}"#,
        10_000_000 + offset * 12_345,
        offset % 97
    );
    RawRecord {
        partition: 0,
        offset,
        timestamp_us: 0,
        key: None,
        value: Some(Bytes::from(value)),
        headers: weir_codec::Headers::default(),
    }
}
