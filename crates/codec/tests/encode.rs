//! Rows to records: what a writer made of a row, the reader reads as the same row.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, i256};
use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::sync::Arc;
use weir_codec::avro::{AvroDecoder, AvroEncoder, AvroReader, OneSchema, schema_of};
use weir_codec::{Decoder, Encoder, JsonEncoder, RawRecord};

type Row = (
    Option<String>,
    i64,
    Option<i128>,
    i64,
    bool,
    Option<i32>,
    i64,
    Vec<(i64, Option<String>)>,
);

fn schema() -> SchemaRef {
    let item = DataType::Struct(item_fields().into());
    let field = |name: &str, kind, nullable| Field::new(name, kind, nullable);
    Arc::new(Schema::new(vec![
        field("text", DataType::Utf8, true),
        field("count", DataType::Int64, false),
        field("amount", DataType::Decimal128(38, 6), true),
        field("wide", DataType::Decimal256(60, 18), false),
        field("flag", DataType::Boolean, false),
        field("day", DataType::Date32, true),
        field(
            "at",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            false,
        ),
        field(
            "legs",
            DataType::List(Arc::new(Field::new_list_field(item, false))),
            false,
        ),
    ]))
}

fn item_fields() -> Vec<Field> {
    vec![
        Field::new("n", DataType::Int64, false),
        Field::new("note", DataType::Utf8, true),
    ]
}

fn batch(rows: &[Row]) -> RecordBatch {
    let amounts: Decimal128Array = rows.iter().map(|row| row.2).collect();
    let wide: Decimal256Array = rows
        .iter()
        .map(|row| {
            Some(i256::from_i128(i128::from(row.3)).wrapping_mul(i256::from_i128(10_i128.pow(30))))
        })
        .collect();
    let items = rows.iter().flat_map(|row| &row.7);
    let (numbers, notes): (Int64Array, StringArray) = (
        items.clone().map(|item| Some(item.0)).collect(),
        items.map(|item| item.1.clone()).collect(),
    );
    let items = StructArray::new(
        item_fields().into(),
        vec![Arc::new(numbers), Arc::new(notes)],
        None,
    );
    let schema = schema();
    let DataType::List(item) = schema.field(7).data_type() else {
        unreachable!("it is a list")
    };
    let lengths = rows.iter().map(|row| row.7.len());
    let legs = ListArray::new(
        Arc::clone(item),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(items),
        None,
    );
    let instants: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.6)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(
            rows.iter()
                .map(|row| row.0.clone())
                .collect::<StringArray>(),
        ),
        Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>()),
        Arc::new(amounts.with_precision_and_scale(38, 6).unwrap()),
        Arc::new(wide.with_precision_and_scale(60, 18).unwrap()),
        Arc::new(rows.iter().map(|row| Some(row.4)).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.5).collect::<Date32Array>()),
        Arc::new(instants.with_timezone("UTC")),
        Arc::new(legs),
    ];
    RecordBatch::try_new(schema, columns).unwrap()
}

fn record(value: Vec<u8>) -> RawRecord {
    RawRecord {
        partition: 0,
        offset: 0,
        timestamp_us: 0,
        key: None,
        value: Some(Bytes::from(value)),
        headers: weir_codec::Headers::default(),
    }
}

fn row() -> impl Strategy<Value = Row> {
    let limit = 10_i128.pow(38) - 1;
    let leg = (any::<i64>(), proptest::option::of(".{0,3}"));
    (
        proptest::option::of(".{0,8}"),
        any::<i64>(),
        proptest::option::of(prop_oneof![-limit..=limit, -200_i128..200]),
        any::<i64>(),
        any::<bool>(),
        proptest::option::of(any::<i32>()),
        any::<i64>(),
        proptest::collection::vec(leg, 0..3),
    )
}

proptest! {
    /// Goal: nothing is lost on the way. Method: random rows by the schema made of their columns, read by the decoder,
    /// which a test of its own compares with `apache-avro`.
    #[test]
    fn avro_reads_what_it_wrote(rows in proptest::collection::vec(row(), 1..5)) {
        let rows = batch(&rows);
        let text = schema_of("a.b-1", &schema()).unwrap();
        let encoder = AvroEncoder::new(7, &text, &schema()).unwrap();
        let records: Vec<RawRecord> = encoder.encode(&rows).into_iter().map(|made| record(made.unwrap())).collect();
        let reader = AvroReader::new(&text, false).unwrap();
        let one = OneSchema::new(&reader, &text).unwrap();
        let decoded = AvroDecoder::new(reader, one, false).decode(&records);
        prop_assert_eq!(decoded.refused, vec![]);
        prop_assert_eq!(decoded.batch.columns(), rows.columns());
    }
}

/// Whether a schema can be written from the columns, and what becomes of the first row.
#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "`expect!` is written in the call"
)]
fn written(fields: &str, expected: Expect) {
    let text = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let rows = batch(&[(
        Some("a\"b\n".into()),
        5,
        Some(-1_500_000),
        1,
        true,
        None,
        1_000_001,
        vec![(1, None)],
    )]);
    let told = match AvroEncoder::new(1, &text, &schema()) {
        Err(error) => error.to_string(),
        Ok(encoder) => match encoder.encode(&rows).remove(0) {
            Ok(bytes) => format!("{bytes:?}"),
            Err(why) => format!("{} {:?}: {}", why.code, why.field, why.message),
        },
    };
    expected.assert_eq(&told);
}

/// One of each kind.
#[test]
fn schemas_of_others() {
    let decimal = |precision, scale| {
        format!(
            r#"{{"name":"amount","type":["null",{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}]}}"#
        )
    };
    written(
        r#"{"name":"count","type":"int"}"#,
        expect!["[0, 0, 0, 0, 1, 10]"],
    );
    written(&decimal(10, 2), expect!["[0, 0, 0, 0, 1, 2, 4, 255, 106]"]);
    written(
        &decimal(2, 2),
        expect![[
            r#"schema_incompatible Some("amount"): an amount with more digits than the schema has"#
        ]],
    );
    written(
        &decimal(10, 0),
        expect![[
            r#"schema_incompatible Some("amount"): an amount with more digits than the schema has"#
        ]],
    );
    written(
        r#"{"name":"day","type":{"type":"int","logicalType":"date"}}"#,
        expect![[r#"schema_incompatible Some("day"): null, which the schema does not take"#]],
    );
    written(
        r#"{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}"#,
        expect![[
            r#"schema_incompatible Some("at"): an instant with a finer fraction than the schema has"#
        ]],
    );
    written(
        r#"{"name":"text","type":["null",{"type":"enum","name":"E","symbols":["A"]}]}"#,
        expect![[r#"schema_incompatible Some("text"): a text that is no symbol of the schema"#]],
    );
    written(
        r#"{"name":"count","type":"string"}"#,
        expect![
            "the writer's schema does not fit the reader's, count: a column of Int64 cannot be written as this field"
        ],
    );
    written(
        r#"{"name":"gone","type":"string"}"#,
        expect![
            "the writer's schema does not fit the reader's, gone: there is no such column, and the field takes no null"
        ],
    );
    written(
        r#"{"name":"gone","type":["null","string"]}"#,
        expect!["[0, 0, 0, 0, 1, 0]"],
    );
    written(
        r#"{"name":"amount","type":["null",{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":4,"scale":2}]}"#,
        expect!["[0, 0, 0, 0, 1, 2, 255, 106]"],
    );
}

/// JSON is what the API shows: amounts, dates and instants as text.
#[test]
fn json() {
    let rows = batch(&[(
        Some("a\"b\n\u{1}".into()),
        5,
        Some(-1_500_000),
        1,
        true,
        None,
        1_000_001,
        vec![(1, None)],
    )]);
    let names = schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let made = JsonEncoder::new(names).encode(&rows).remove(0).unwrap();
    expect![[r#"{"text":"a\"b\n\u0001","count":5,"amount":"-1.5","wide":"1000000000000","flag":true,"day":null,"at":"1970-01-01T00:00:01.000001Z","legs":[{"n":1,"note":null}]}"#]].assert_eq(std::str::from_utf8(&made).unwrap());
}
