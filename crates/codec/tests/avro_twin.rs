//! The Avro decoder against values that `apache-avro` wrote, whole, cut short and corrupted.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(deprecated, reason = "the successor is not exported by this version")]

use apache_avro::types::Value;
use apache_avro::{Decimal, Schema, to_avro_datum};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type};
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use weir_codec::avro::{AvroDecoder, AvroReader, OneSchema};
use weir_codec::{Decoded, Decoder, RawRecord};

const WRITER: &str = r#"{"type":"record","name":"Trade","namespace":"x.y","fields":[
  {"name":"id","type":"string"},
  {"name":"version","type":"int"},
  {"name":"gone","type":{"type":"map","values":["null",{"type":"array","items":{"type":"record","name":"Deep","fields":[
      {"name":"again","type":["null","Deep"]},{"name":"f","type":"double"}]}}]}},
  {"name":"side","type":{"type":"enum","name":"Side","symbols":["BUY","SELL","SHORT"]}},
  {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}},
  {"name":"wide","type":{"type":"fixed","name":"Wide","size":24,"logicalType":"decimal","precision":50,"scale":9}},
  {"name":"day","type":["null",{"type":"int","logicalType":"date"}]},
  {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
  {"name":"old_name","type":"boolean"},
  {"name":"legs","type":{"type":"array","items":{"type":"record","name":"Leg","fields":[
      {"name":"n","type":"long"},{"name":"note","type":["string","null"]}]}}},
  {"name":"main","type":["null","Leg"]}
]}"#;

const READER: &str = r#"{"type":"record","name":"Trade","namespace":"x.y","fields":[
  {"name":"legs","type":{"type":"array","items":{"type":"record","name":"Leg","fields":[
      {"name":"note","type":["null","string"],"default":null},{"name":"n","type":"long"}]}}},
  {"name":"main","type":["null","Leg"]},
  {"name":"id","type":"string"},
  {"name":"version","type":"long"},
  {"name":"side","type":{"type":"enum","name":"Side","symbols":["SELL","BUY","OTHER"],"default":"OTHER"}},
  {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":6}},
  {"name":"wide","type":{"type":"bytes","logicalType":"decimal","precision":60,"scale":9}},
  {"name":"day","type":["null",{"type":"int","logicalType":"date"}],"default":null},
  {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
  {"name":"flag","aliases":["old_name"],"type":"boolean"},
  {"name":"added","type":"boolean","default":true},
  {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2},"default":"\u0001\u0000"}
]}"#;

fn decoder(reader: &str, writer: &str, tombstones: bool) -> AvroDecoder<OneSchema> {
    let reader = AvroReader::new(reader, tombstones).unwrap();
    let schemas = OneSchema::new(&reader, writer).unwrap();
    AvroDecoder::new(reader, schemas, tombstones)
}

fn framed(body: &[u8]) -> RawRecord {
    let value = [[0, 0, 0, 0, 7].as_slice(), body].concat();
    RawRecord {
        partition: 0,
        offset: 0,
        timestamp_us: 0,
        key: None,
        value: Some(Bytes::from(value)),
        headers: weir_codec::Headers::default(),
    }
}

#[derive(Clone, Debug)]
struct Trade {
    id: String,
    version: i32,
    side: u32,
    amount: i128,
    wide: i128,
    day: Option<i32>,
    at_ms: i64,
    flag: bool,
    legs: Vec<(i64, Option<String>)>,
    main: Option<(i64, Option<String>)>,
    deep: usize,
}

fn trade() -> impl Strategy<Value = Trade> {
    let leg = || (any::<i64>(), proptest::option::of("[a-zé]{0,9}"));
    let first = (
        "[ -~é]{0,12}",
        any::<i32>(),
        0..3_u32,
        -99_999_999_999_999_999_999_i128..=99_999_999_999_999_999_999,
    );
    let second = (
        any::<i128>(),
        proptest::option::of(any::<i32>()),
        -9_000_000_000_000_000..9_000_000_000_000_000_i64,
        any::<bool>(),
    );
    let third = (
        proptest::collection::vec(leg(), 0..4),
        proptest::option::of(leg()),
        0..4_usize,
    );
    (first, second, third).prop_map(
        |((id, version, side, amount), (wide, day, at_ms, flag), (legs, main, deep))| Trade {
            id,
            version,
            side,
            amount,
            wide,
            day,
            at_ms,
            flag,
            legs,
            main,
            deep,
        },
    )
}

fn leg(leg: &(i64, Option<String>)) -> Value {
    let note = match &leg.1 {
        Some(note) => Value::Union(0, Box::new(Value::String(note.clone()))),
        None => Value::Union(1, Box::new(Value::Null)),
    };
    Value::Record(vec![
        ("n".into(), Value::Long(leg.0)),
        ("note".into(), note),
    ])
}

fn deep(depth: usize) -> Value {
    let again = if depth == 0 {
        Value::Union(0, Box::new(Value::Null))
    } else {
        Value::Union(1, Box::new(deep(depth - 1)))
    };
    Value::Record(vec![
        ("again".into(), again),
        ("f".into(), Value::Double(0.5)),
    ])
}

fn body(schema: &Schema, trade: &Trade) -> Vec<u8> {
    const SIDES: [&str; 3] = ["BUY", "SELL", "SHORT"];
    let optional = |value: Option<Value>| {
        value.map_or(Value::Union(0, Box::new(Value::Null)), |value| {
            Value::Union(1, Box::new(value))
        })
    };
    let wide = if trade.wide < 0 { [0xFF; 8] } else { [0; 8] };
    let gone = [(
        "k".to_owned(),
        Value::Union(
            1,
            Box::new(Value::Array(vec![deep(trade.deep); trade.deep])),
        ),
    )];
    let value = Value::Record(vec![
        ("id".into(), Value::String(trade.id.clone())),
        ("version".into(), Value::Int(trade.version)),
        ("gone".into(), Value::Map(gone.into_iter().collect())),
        (
            "side".into(),
            Value::Enum(trade.side, SIDES[trade.side as usize].into()),
        ),
        (
            "amount".into(),
            Value::Decimal(Decimal::from(trade.amount.to_be_bytes())),
        ),
        (
            "wide".into(),
            Value::Decimal(Decimal::from(
                [wide.as_slice(), &trade.wide.to_be_bytes()].concat(),
            )),
        ),
        ("day".into(), optional(trade.day.map(Value::Date))),
        ("at".into(), Value::TimestampMillis(trade.at_ms)),
        ("old_name".into(), Value::Boolean(trade.flag)),
        (
            "legs".into(),
            Value::Array(trade.legs.iter().map(leg).collect()),
        ),
        ("main".into(), optional(trade.main.as_ref().map(leg))),
    ]);
    to_avro_datum(schema, value).unwrap()
}

fn check(trade: &Trade, decoded: &Decoded) {
    assert_eq!(decoded.rows, [0], "{:?}", decoded.refused);
    let batch = &decoded.batch;
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let text = |name: &str| array_value_to_string(column(name), 0).unwrap();
    assert_eq!(text("id"), trade.id);
    assert_eq!(text("version"), trade.version.to_string());
    assert_eq!(text("side"), ["BUY", "SELL", "OTHER"][trade.side as usize]);
    assert_eq!(
        column("amount").as_primitive::<Decimal128Type>().value(0),
        trade.amount * 10_000
    );
    assert_eq!(
        column("wide")
            .as_primitive::<Decimal256Type>()
            .value(0)
            .to_i128(),
        Some(trade.wide)
    );
    let day = column("day").as_primitive::<arrow::datatypes::Date32Type>();
    assert_eq!((!day.is_null(0)).then(|| day.value(0)), trade.day);
    assert_eq!(
        column("at")
            .as_primitive::<arrow::datatypes::TimestampMicrosecondType>()
            .value(0),
        trade.at_ms * 1_000
    );
    assert_eq!(text("flag"), trade.flag.to_string());
    assert_eq!(
        (text("added"), text("price")),
        ("true".to_owned(), "2.56".to_owned())
    );
    let legs = column("legs").as_list::<i32>().value(0);
    let legs: Vec<_> = (0..legs.len()).map(|row| as_leg(&legs, row)).collect();
    assert_eq!(legs, trade.legs);
    let main = column("main");
    assert_eq!((!main.is_null(0)).then(|| as_leg(main, 0)), trade.main);
}

fn as_leg(legs: &dyn Array, row: usize) -> (i64, Option<String>) {
    let legs = legs.as_struct();
    let (note, n) = (
        legs.column(0).as_string::<i32>(),
        legs.column(1).as_primitive::<arrow::datatypes::Int64Type>(),
    );
    (
        n.value(row),
        (!note.is_null(row)).then(|| note.value(row).to_owned()),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// What `apache-avro` writes with one schema comes out as another says, to the last digit.
    #[test]
    fn values(trade in trade()) {
        let schema = Schema::parse_str(WRITER).unwrap();
        check(&trade, &decoder(READER, WRITER, false).decode(&[framed(&body(&schema, &trade))]));
    }

    /// Each record cut short is refused, at every length; a record with more after it is, too; none of them
    /// harms its neighbours.
    #[test]
    fn cut_short(trade in trade(), other in trade()) {
        let schema = Schema::parse_str(WRITER).unwrap();
        let body = body(&schema, &trade);
        let mut records: Vec<_> = (0..body.len()).map(|len| framed(&body[..len])).collect();
        records.push(framed(&[body.as_slice(), &[0]].concat()));
        records.push(framed(&self::body(&schema, &other)));
        let decoded = decoder(READER, WRITER, false).decode(&records);
        prop_assert_eq!(decoded.refused.len(), body.len() + 1);
        prop_assert!(decoded.refused.iter().all(|(_, why)| why.code == "invalid_avro"));
        let last = u32::try_from(records.len() - 1).unwrap();
        prop_assert_eq!(&decoded.rows, &[last]);
        check(&other, &Decoded { rows: vec![0], ..decoded });
    }

    /// Corrupted bytes neither panic nor run away, and leave the rows beside them whole.
    #[test]
    fn corrupted(trade in trade(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let schema = Schema::parse_str(WRITER).unwrap();
        let good = body(&schema, &trade);
        let mut bad = good.clone();
        let at = at.index(bad.len());
        bad[at] = byte;
        let decoded = decoder(READER, WRITER, false).decode(&[framed(&bad), framed(&good)]);
        prop_assert_eq!(decoded.rows.last(), Some(&1));
        prop_assert_eq!(decoded.rows.len() + decoded.refused.len(), 2);
        let last = decoded.batch.slice(decoded.batch.num_rows() - 1, 1);
        check(&trade, &Decoded { batch: last, rows: vec![0], ..decoded });
    }
}

fn field(kind: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{kind}}}]}}"#)
}

/// Bodies and refusals of one field.
#[test]
fn refusals() {
    let check = |kind: &str, body: &[u8], expected: Expect| {
        let decoded = decoder(&field(kind), &field(kind), false).decode(&[framed(body)]);
        let (_, why) = decoded.refused.first().expect("refused");
        expected.assert_eq(&format!(
            "{}: {} ({})",
            why.code,
            why.message,
            why.field.as_deref().unwrap_or("-")
        ));
    };
    check(
        r#""string""#,
        &[4, 0xFF, 0xFF],
        expect!["invalid_avro: a text that is no UTF-8 at byte 3 of the body (a)"],
    );
    check(
        r#""string""#,
        &[3],
        expect!["invalid_avro: a negative length at byte 1 of the body (a)"],
    );
    check(
        r#""long""#,
        &[0xFF; 11],
        expect!["invalid_avro: a number that does not end at byte 0 of the body (a)"],
    );
    check(
        r#""int""#,
        &[0x80, 0x80, 0x80, 0x80, 0x20],
        expect!["invalid_avro: an int of more than 32 bits at byte 5 of the body (a)"],
    );
    check(
        r#""boolean""#,
        &[2],
        expect!["invalid_avro: a boolean that is neither 0 nor 1 at byte 1 of the body (a)"],
    );
    check(
        r#"["null","int"]"#,
        &[4],
        expect![
            "invalid_avro: a union's branch that its schema does not have at byte 1 of the body (a)"
        ],
    );
    check(
        r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#,
        &[0x80, 0x80, 0x80, 0x80, 0x20],
        expect!["too_large: a list of too many items at byte 5 of the body (a)"],
    );
    check(
        r#"{"type":"bytes","logicalType":"decimal","precision":3,"scale":1}"#,
        &[4, 3, 0xE8],
        expect![
            "number_range: a decimal with more digits than the column has at byte 3 of the body (a)"
        ],
    );
    check(
        r#"{"type":"bytes","logicalType":"decimal","precision":70,"scale":1}"#,
        &[[68].as_slice(), &[1; 34]].concat(),
        expect![
            "number_range: a decimal with more digits than the column has at byte 35 of the body (a)"
        ],
    );
}

/// The wire format's first byte and id.
#[test]
fn wire_format() {
    let decoder = decoder(&field(r#""long""#), &field(r#""long""#), true);
    let record = |value: &[u8]| RawRecord {
        value: Some(Bytes::copy_from_slice(value)),
        ..framed(&[])
    };
    let decoded = decoder.decode(&[
        record(b"\x07not avro"),
        record(&[0, 0]),
        record(&[]),
        record(&[0, 0, 0, 0, 1, 14]),
    ]);
    let codes: Vec<_> = decoded.refused.iter().map(|(_, why)| why.code).collect();
    assert_eq!((codes, decoded.rows), (vec!["wrong_magic"; 2], vec![2, 3]));
    assert!(decoded.batch.column(0).is_null(0));
}

/// Schemas that do not go together are told apart from those that do, when the plan is made.
#[test]
fn compatibility() {
    let plan = |reader: &str, writer: &str| {
        let reader = AvroReader::new(&field(reader), false).unwrap();
        reader
            .plan(&field(writer), &[])
            .err()
            .map_or("good".to_owned(), |failure| {
                format!("{}: {failure}", failure.code())
            })
    };
    assert_eq!(plan(r#""long""#, r#""int""#), "good");
    assert_eq!(plan(r#"["null","long"]"#, r#""int""#), "good");
    assert_eq!(plan(r#""long""#, r#"["null","int","string"]"#), "good");
    assert_eq!(
        plan(r#""int""#, r#""long""#),
        "schema_incompatible: the writer's schema does not fit the reader's, a: the writer's type is not the reader's, nor can it be read as such"
    );
    assert_eq!(
        plan(r#""double""#, r#""long""#),
        plan(r#""int""#, r#""long""#)
    );
    assert_eq!(
        plan(
            r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":1}"#,
            r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#
        ),
        "schema_incompatible: the writer's schema does not fit the reader's, a: the writer's decimals are more than the reader's"
    );
    let reader = AvroReader::new(&field(r#""long""#), false).unwrap();
    let failure = reader
        .plan(r#"{"type":"record","name":"R","fields":[]}"#, &[])
        .unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the writer's schema does not fit the reader's, a: the writer's schema does not have this field, and it has no default"
    );
}

/// Types that no column has are refused when the decoder is made.
#[test]
fn readers() {
    let check = |kind: &str, expected: Expect| {
        expected.assert_eq(&AvroReader::new(&field(kind), false).map_or_else(
            |failure| failure.to_string(),
            |reader| columns(&reader.schema()),
        ));
    };
    check(r#"["null","string"]"#, expect!["a: Utf8 null"]);
    check(
        r#"{"type":"array","items":["null",{"type":"int","logicalType":"date"}]}"#,
        expect!["a: List(Date32)"],
    );
    check(
        r#"{"type":"bytes","logicalType":"decimal","precision":50,"scale":9}"#,
        expect!["a: Decimal256(50, 9)"],
    );
    check(
        r#"{"type":"map","values":"long"}"#,
        expect![
            "schema, a: is of a type that no column has (map, time of day, local timestamp, duration, ...)"
        ],
    );
    check(
        r#"["null","string","long"]"#,
        expect!["schema, a: is a union of more than null and one type"],
    );
    check(
        r#"["null","R"]"#,
        expect!["schema, a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a: refers to itself or nests too deep"],
    );
}

fn columns(schema: &arrow::datatypes::Schema) -> String {
    let field = schema.field(0);
    format!(
        "{}: {}{}",
        field.name(),
        shown(field.data_type()),
        if field.is_nullable() { " null" } else { "" }
    )
}

fn shown(kind: &DataType) -> String {
    match kind {
        DataType::List(item) => format!("List({})", shown(item.data_type())),
        other => other.to_string(),
    }
}

/// A record given as JSON, as recorded days hold it, comes out as it went in.
#[test]
fn encoded() {
    let schema = r#"{"type":"record","name":"Deal","fields":[
      {"name":"id","type":"string"},
      {"name":"kind","type":{"type":"enum","name":"K","symbols":["A","B"]}},
      {"name":"given","type":{"type":"record","name":"C","fields":[{"name":"n","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":9}}]}},
      {"name":"got","type":["null","C"],"default":null},
      {"name":"day","type":["null",{"type":"int","logicalType":"date"}],"default":null},
      {"name":"flag","type":"boolean","default":true},
      {"name":"list","type":{"type":"array","items":"long"}}]}"#;
    let reader = AvroReader::new(schema, false).unwrap();
    let json = r#"{"id":"R-1","kind":"B","given":{"n":"-21000000.000000001"},"got":{"n":98.52},"day":"2026-03-02","list":[1,-2]}"#;
    let value = reader.encode(7, json).unwrap();
    let record = RawRecord {
        value: Some(Bytes::from(value)),
        ..framed(&[])
    };
    let decoded = decoder(schema, schema, false).decode(&[record]);
    let cells: Vec<_> = decoded
        .batch
        .columns()
        .iter()
        .map(|column| array_value_to_string(column, 0).unwrap())
        .collect();
    expect!["R-1 | B | {n: -21000000.000000001} | {n: 98.520000000} | 2026-03-02 | true | [1, -2]"]
        .assert_eq(&cells.join(" | "));
    let refused = reader.encode(7, r#"{"id":"R-1","kind":"C"}"#).unwrap_err();
    assert_eq!(
        (refused.code, refused.field.as_deref()),
        ("wrong_type", Some("kind"))
    );
    let _: &RecordBatch = &decoded.batch;
}
