//! The JSON decoder by example: what each refusal says, and what each schema means.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use expect_test::{Expect, expect};
use weir_codec::json::DEPTH_MAX;
use weir_codec::{Decoder, JsonDecoder, RECORD_BYTES_MAX, RawRecord};

const SCHEMA: &str = r##"{
  "type": "object",
  "required": ["id"],
  "properties": {
    "id": {"type": "string"},
    "n": {"type": "integer"},
    "amount": {"type": "number", "x-decimal": [9, 2]},
    "any": {"$ref": "#/$defs/any"},
    "flag": {"type": "boolean"},
    "day": {"type": "string", "x-type": "date32"},
    "at": {"type": "string", "x-type": "timestamp"},
    "side": {"type": "string", "enum": ["BUY", "SELL"]},
    "legs": {"type": "array", "items": {"type": "object", "required": ["v"], "properties": {"v": {"type": "integer"}}}}
  },
  "$defs": {"any": {"type": ["number", "string", "boolean"]}}
}"##;

fn record(value: &[u8]) -> RawRecord {
    RawRecord {
        partition: 0,
        offset: 0,
        timestamp_us: 0,
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: weir_codec::Headers::default(),
    }
}

/// One text: its row, or why there is none.
fn decode(value: &[u8]) -> String {
    let decoded = JsonDecoder::new(SCHEMA, false)
        .unwrap()
        .decode(&[record(value)]);
    match &decoded.refused[..] {
        [] => {
            let cells = decoded
                .batch
                .columns()
                .iter()
                .map(|column| array_value_to_string(column, 0).unwrap());
            cells.collect::<Vec<_>>().join("|")
        }
        [(_, why), ..] => format!(
            "{}: {} ({})",
            why.code,
            why.message,
            why.field.as_deref().unwrap_or("-")
        ),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `expect!` makes it")]
fn check(value: &str, expected: Expect) {
    expected.assert_eq(&decode(value.as_bytes()));
}

/// All kinds of columns, unknown fields and other order.
#[test]
fn rows() {
    check(r#"{"id":"a"}"#, expect!["a||||||||"]);
    check(
        r#" { "legs" : [ {"v":1,"w":[{}]} , {"v":-2} ] , "x" : {"y":[1e9,null,"\u00e9"]}, "side":"BUY", "at":"2026-03-02T10:00:00+01:00",
            "day":"2026-03-02", "flag":true, "any":1e3, "amount":12.50, "n":1.0, "id":"\u00e9\n\ud83d\ude00" } "#,
        expect!["é\n😀|1|12.50|1000|true|2026-03-02|2026-03-02T09:00:00Z|BUY|[{v: 1}, {v: -2}]"],
    );
    check(
        r#"{"id":"a","n":null,"any":"1e3","legs":[],"amount":0.10}"#,
        expect!["a||0.10|1e3|||||[]"],
    );
}

/// A code, the field and the place; never the bytes.
#[test]
fn refusals() {
    check(
        "",
        expect!["empty_value: the value is empty, and this source takes no tombstones (-)"],
    );
    check("[]", expect!["wrong_type: not an object at byte 0 (-)"]);
    check(
        "{",
        expect!["invalid_json: no name in quotes at byte 1 (-)"],
    );
    check(
        r#"{"id":"a","#,
        expect!["invalid_json: no name in quotes at byte 10 (-)"],
    );
    check(
        r#"{"id":"a"}x"#,
        expect!["invalid_json: more after the value at byte 10 (-)"],
    );
    check(
        r#"{"id":"a","any":NaN}"#,
        expect!["invalid_json: no JSON value at byte 16 (any)"],
    );
    check(
        r#"{"id":"a","x":Infinity}"#,
        expect!["invalid_json: no JSON value at byte 14 (-)"],
    );
    check(
        r#"{"id":"a\x"}"#,
        expect!["invalid_json: an unknown escape at byte 8 (id)"],
    );
    check(
        "{\"id\":\"a\tb\"}",
        expect!["invalid_json: a control character in a text at byte 8 (id)"],
    );
    check(
        r#"{"id":"\ud800"}"#,
        expect!["invalid_json: half of a surrogate pair at byte 13 (id)"],
    );
    check(
        r#"{"id":"a","n":01}"#,
        expect!["invalid_json: neither a comma nor the object's end at byte 15 (-)"],
    );
    check(
        r#"{"n":1}"#,
        expect!["missing_field: the object ends without a required field at byte 7 (id)"],
    );
    check(
        r#"{"id":null}"#,
        expect!["missing_field: null where a value is required at byte 6 (id)"],
    );
    check(
        r#"{"id":"a","id":"b"}"#,
        expect!["duplicate_key: a name for the second time at byte 10 (id)"],
    );
    check(
        r#"{"id":7}"#,
        expect!["wrong_type: not a text at byte 6 (id)"],
    );
    check(
        r#"{"id":"a","n":1.5}"#,
        expect!["wrong_type: not an integer at byte 14 (n)"],
    );
    check(
        r#"{"id":"a","n":9223372036854775808}"#,
        expect!["number_range: an integer that 64 bits do not hold at byte 14 (n)"],
    );
    check(
        r#"{"id":"a","amount":0.123}"#,
        expect!["number_range: a number with more digits than the column has at byte 19 (amount)"],
    );
    check(
        r#"{"id":"a","amount":12345678.9}"#,
        expect!["number_range: a number with more digits than the column has at byte 19 (amount)"],
    );
    check(
        r#"{"id":"a","day":"2026-02-30"}"#,
        expect!["wrong_type: no date like 2026-03-17 at byte 16 (day)"],
    );
    check(
        r#"{"id":"a","at":"2026-03-02T10:00:00"}"#,
        expect!["wrong_type: no instant like 2026-03-17T09:00:00Z at byte 15 (at)"],
    );
    check(
        r#"{"id":"a","side":"HOLD"}"#,
        expect!["schema_violation: a value that the schema does not allow ends at byte 23 (side)"],
    );
    check(
        r#"{"id":"a","any":{}}"#,
        expect!["wrong_type: of none of the allowed types at byte 16 (any)"],
    );
    check(
        r#"{"id":"a","legs":[{"v":1},{}]}"#,
        expect!["missing_field: the object ends without a required field at byte 28 (legs[].v)"],
    );
    check(
        r#"{"id":"a","legs":[null]}"#,
        expect!["wrong_type: null where a value is required at byte 18 (legs[])"],
    );
    expect!["invalid_utf8: no UTF-8 at byte 7 (-)"].assert_eq(&decode(b"{\"id\":\"\xFF\"}"));
}

/// Both bounds are reached and not passed: nesting in skipped fields, and the size of a record.
#[test]
fn limits() {
    let nested = |depth: usize| {
        format!(
            r#"{{"id":"a","x":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    check(&nested(DEPTH_MAX - 1), expect!["a||||||||"]);
    check(
        &nested(DEPTH_MAX),
        expect!["too_deep: objects and arrays nested too deep at byte 77 (-)"],
    );
    let long = |bytes: usize| format!(r#"{{"id":"a","x":"{}"}}"#, "y".repeat(bytes - 17));
    check(&long(RECORD_BYTES_MAX), expect!["a||||||||"]);
    check(
        &long(RECORD_BYTES_MAX + 1),
        expect!["too_large: the value has 4194305 bytes, more than 4194304 (-)"],
    );
}

/// Bad records stand among good ones, at every point at which reading can fail, and leave no trace.
#[test]
fn neighbours() {
    let good = r#"{"legs":[{"v":1},{"v":2}],"id":"good","any":"x","n":5,"amount":1.25,"flag":true,"day":"2026-03-02"}"#;
    let mut records: Vec<_> = (1..good.len())
        .map(|len| record(&good.as_bytes()[..len]))
        .collect();
    records.insert(records.len() / 2, record(good.as_bytes()));
    records.push(record(good.as_bytes()));
    let decoded = JsonDecoder::new(SCHEMA, false).unwrap().decode(&records);
    assert_eq!(decoded.refused.len(), good.len() - 1);
    assert!(
        decoded
            .refused
            .iter()
            .all(|(_, why)| why.code == "invalid_json"),
        "{:?}",
        decoded.refused
    );
    assert_eq!(decoded.batch.num_rows(), 2);
    assert_eq!(decoded.batch.slice(0, 1), decoded.batch.slice(1, 1));
}

/// With tombstones every column takes nulls, and an empty value is a row of them.
#[test]
fn tombstones() {
    let decoder = JsonDecoder::new(SCHEMA, true).unwrap();
    assert!(
        decoder
            .schema()
            .fields()
            .iter()
            .all(|field| field.is_nullable())
    );
    let tombstone = RawRecord {
        value: None,
        ..record(b"")
    };
    let decoded = decoder.decode(&[tombstone, record(br#"{"id":"a"}"#)]);
    assert_eq!(decoded.rows, [0, 1]);
    assert!(
        decoded
            .batch
            .columns()
            .iter()
            .all(|column| column.is_null(0))
    );
}

/// The columns of a schema, or why it has none.
#[test]
fn schemas() {
    let check = |property: &str, expected: Expect| {
        let text = format!(
            r##"{{"type":"object","properties":{{"a":{property}}},"$defs":{{"loop":{{"$ref":"#/$defs/loop"}}}}}}"##
        );
        let shown = JsonDecoder::new(&text, false).map_or_else(
            |failure| format!("{failure} [{}]", failure.hint().unwrap_or_default()),
            |decoder| decoder.schema().field(0).data_type().to_string(),
        );
        expected.assert_eq(&shown);
    };
    check(r#"{"type":"string"}"#, expect!["Utf8"]);
    check(r#"{"type":["integer","null"]}"#, expect!["Int64"]);
    check(r#"{"type":"number"}"#, expect!["Utf8"]);
    check(
        r#"{"type":"number","x-decimal":[38,9]}"#,
        expect!["Decimal128(38, 9)"],
    );
    check(
        r#"{"type":"array","items":{"type":"string"}}"#,
        expect!["List(non-null Utf8)"],
    );
    check(
        r#"{"type":"number","x-decimal":[39,9]}"#,
        expect![
            "schema, a: `x-decimal` is not a precision of 1 to 38 and a scale up to it [for example `[38, 9]`]"
        ],
    );
    check(
        r#"{"type":["string","object"]}"#,
        expect!["schema, a: type `object` cannot share a column with another []"],
    );
    check(
        r#"{"type":"number","minimum":0}"#,
        expect![
            "schema, a: `minimum` is not supported [bounds of numbers are checked exactly by a `where` or a plugin after decoding]"
        ],
    );
    check(
        r#"{"oneOf":[]}"#,
        expect![
            "schema, a: `oneOf` is not supported [leave it out, or check it in a plugin after decoding]"
        ],
    );
    check(
        r#"{"type":"integer","enum":[1]}"#,
        expect![
            "schema, a: `enum`, `const`, `pattern` and the lengths are supported for text alone [check it in a plugin after decoding]"
        ],
    );
    check(
        "{}",
        expect!["schema, a: has no `type` [a column needs one type, or a list of scalar types]"],
    );
    check(
        r##"{"$ref":"#/$defs/nothing"}"##,
        expect![[
            r##"schema, a: `$ref` "#/$defs/nothing" leads nowhere [only references inside the file are followed]"##
        ]],
    );
    check(
        r##"{"$ref":"#/$defs/loop"}"##,
        expect!["schema, a: `$ref` leads round in a circle []"],
    );
    check(
        r##"{"$ref":"#"}"##,
        expect![
            "schema, a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a: refers to itself or nests too deep []"
        ],
    );
    check(
        r#"{"type":"object"}"#,
        expect!["schema, a: is an object without `properties` [each property is a column]"],
    );
}
