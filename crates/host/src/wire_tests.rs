//! The border's columns there and back, and what a plugin could answer instead.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "any value of the type will do"
)]

use crate::abi::{self, Column, Layout, Span, Varlen};
use crate::buffers::Gathered;
use crate::kind::{self, Flat};
use crate::lift::lift;
use crate::lower::Lowered;
use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    DictionaryArray, Float64Array, Int8Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray, TimestampMicrosecondArray, UInt16Array, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, UInt32Type, i256};
use proptest::prelude::*;
use std::sync::Arc;

/// One generated row: whether each of its values is there, and what they are made of.
type Row = (u16, i64, String);

fn some<T>(row: &Row, column: u32, value: T) -> Option<T> {
    (row.0 >> column & 1 == 1).then_some(value)
}

/// A batch of every kind, nulls where the rows say so.
fn batch(rows: &[Row]) -> RecordBatch {
    let texts: StringArray = rows
        .iter()
        .map(|row| some(row, 0, row.2.as_str()))
        .collect();
    let numbers: Int64Array = rows.iter().map(|row| Some(row.1)).collect();
    let words = StringArray::from(vec!["", "a", "ü"]);
    let keys: UInt32Array = rows
        .iter()
        .map(|row| some(row, 9, u32::try_from(row.1.rem_euclid(3)).unwrap()))
        .collect();
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let counts = rows
        .iter()
        .map(|row| usize::try_from(row.1.rem_euclid(4)).unwrap());
    let items: Int32Array = rows
        .iter()
        .flat_map(|row| (0..row.1.rem_euclid(4)).map(|n| (n != 2).then_some(n as i32)))
        .collect();
    let lists = ListArray::new(
        Arc::clone(&item),
        OffsetBuffer::from_lengths(counts),
        Arc::new(items),
        Some(nulls(rows, 10)),
    );
    let inner = Fields::from(vec![
        Field::new("code", DataType::Utf8, true),
        Field::new("n", DataType::Int64, false),
    ]);
    let records = StructArray::new(
        inner,
        vec![Arc::new(texts.clone()), Arc::new(numbers.clone())],
        Some(nulls(rows, 11)),
    );
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("text", Arc::new(texts), true),
        ("number", Arc::new(numbers), false),
        (
            "flag",
            Arc::new(
                rows.iter()
                    .map(|row| some(row, 1, row.1 % 2 == 0))
                    .collect::<BooleanArray>(),
            ),
            true,
        ),
        (
            "small",
            Arc::new(
                rows.iter()
                    .map(|row| some(row, 2, row.1 as i8))
                    .collect::<Int8Array>(),
            ),
            true,
        ),
        (
            "short",
            Arc::new(
                rows.iter()
                    .map(|row| some(row, 3, row.1 as u16))
                    .collect::<UInt16Array>(),
            ),
            true,
        ),
        (
            "day",
            Arc::new(
                rows.iter()
                    .map(|row| some(row, 4, row.1 as i32))
                    .collect::<Date32Array>(),
            ),
            true,
        ),
        (
            "at",
            Arc::new(
                rows.iter()
                    .map(|row| some(row, 5, row.1))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
            true,
        ),
        ("quantity", Arc::new(decimals(rows)), true),
        ("amount", Arc::new(wide_decimals(rows)), true),
        (
            "ratio",
            Arc::new(
                rows.iter()
                    .map(|row| some(row, 8, row.1 as f64))
                    .collect::<Float64Array>(),
            ),
            true,
        ),
        (
            "word",
            Arc::new(DictionaryArray::<UInt32Type>::new(keys, Arc::new(words))),
            true,
        ),
        ("list", Arc::new(lists), true),
        ("record", Arc::new(records), true),
        (
            "bytes",
            Arc::new(
                rows.iter()
                    .map(|row| some(row, 12, row.1.to_be_bytes()))
                    .collect::<BinaryArray>(),
            ),
            true,
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn nulls(rows: &[Row], column: u32) -> NullBuffer {
    let is_there = rows.iter().map(|row| some(row, column, ()).is_some());
    is_there.collect::<Vec<bool>>().into()
}

fn decimals(rows: &[Row]) -> Decimal128Array {
    let values = rows
        .iter()
        .map(|row| some(row, 6, i128::from(row.1) * 1_000_000_000));
    values
        .collect::<Decimal128Array>()
        .with_precision_and_scale(38, 9)
        .unwrap()
}

fn wide_decimals(rows: &[Row]) -> Decimal256Array {
    let values = rows
        .iter()
        .map(|row| some(row, 7, i256::from_parts(row.1 as u128, -1)));
    values
        .collect::<Decimal256Array>()
        .with_precision_and_scale(76, 18)
        .unwrap()
}

/// What a plugin answers.
#[derive(Clone, Debug)]
struct Answer {
    rows: u32,
    columns: Vec<Column>,
    buffers: Vec<Vec<u8>>,
}

impl Answer {
    fn buffer(&mut self, bytes: Vec<u8>) -> Span {
        self.buffers.push(bytes);
        let last = self.buffers.len() - 1;
        Span {
            of: last as u32,
            at: 0,
            len: self.buffers[last].len() as u32,
        }
    }

    fn lifted(self, schema: &SchemaRef, flat: &[Flat]) -> Result<RecordBatch, String> {
        let buffers = self.buffers.iter().map(Vec::as_slice);
        let batch = abi::Batch {
            rows: self.rows,
            columns: self.columns,
            buffers: Gathered::new(buffers),
        };
        lift(batch, schema, flat)
    }
}

/// The spans of a column.
fn spans(column: &mut Column) -> Vec<&mut Span> {
    let mut spans: Vec<&mut Span> = column.validity.iter_mut().collect();
    match &mut column.data {
        Layout::None => {}
        Layout::Bits(span) | Layout::Fixed(span) | Layout::Nested(span) => spans.push(span),
        Layout::Varlen(values) => spans.extend([&mut values.offsets, &mut values.bytes]),
        Layout::Dictionary(coded) => spans.extend([
            &mut coded.keys,
            &mut coded.values.offsets,
            &mut coded.values.bytes,
        ]),
    }
    spans
}

fn flat(schema: &Schema) -> Vec<Flat> {
    kind::flatten(schema.fields()).unwrap()
}

/// What an honest plugin answers that copies its input, each span to a buffer of its own.
fn lowered(flat: &[Flat], batch: &RecordBatch) -> Answer {
    let lowered = Lowered::new(flat, batch);
    let sent = lowered.batch();
    let sent_bytes = sent.buffers.bytes();
    let mut answer = Answer {
        rows: sent.rows,
        columns: sent.columns.to_vec(),
        buffers: Vec::new(),
    };
    for column in &mut answer.columns {
        for span in spans(column) {
            assert_eq!((span.of, span.at % 16), (0, 0));
            let bytes = &sent_bytes[span.at as usize..][..span.len as usize];
            span.of = answer.buffers.len() as u32;
            span.at = 0;
            answer.buffers.push(bytes.to_vec());
        }
    }
    answer
}

/// Spoils one byte, one length or one number of an answer.
fn spoil(answer: &mut Answer, column: usize, place: usize, byte: u8) {
    let which = column % answer.columns.len();
    let mut spans = spans(&mut answer.columns[which]);
    let count = spans.len();
    let Some(span) = spans.get_mut(place % (count + 1)) else {
        answer.rows = answer.rows.wrapping_add(u32::from(byte));
        return;
    };
    let bytes = answer.buffers.get_mut(span.of as usize);
    match (byte, bytes) {
        (0, _) => span.len = span.len.wrapping_sub(1),
        (1, Some(bytes)) => {
            bytes.push(7);
            span.len += 1;
        }
        (2, _) => span.at = span.at.wrapping_sub(1),
        (3, _) => span.of = span.of.wrapping_add(1),
        (_, Some(bytes)) if !bytes.is_empty() => {
            let at = place % bytes.len();
            bytes[at] ^= byte;
        }
        _ => {}
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((any::<u16>(), any::<i64>(), "[a-zäöß€😀]{0,6}"), 0..40)
}

proptest! {
    /// Whatever slice of whatever batch crosses comes back the same.
    #[test]
    fn columns_come_back_as_they_went(rows in rows(), from in 0usize..40, to in 0usize..40) {
        let whole = batch(&rows);
        let (from, to) = (from.min(rows.len()), to.min(rows.len()));
        let part = whole.slice(from.min(to), to.abs_diff(from));
        let flat = flat(&whole.schema());
        let back = lowered(&flat, &part).lifted(&whole.schema(), &flat);
        prop_assert_eq!(back, Ok(part));
    }

    /// A spoilt answer is refused, or is another valid batch; it never panics and never makes an invalid array.
    #[test]
    fn spoilt_columns_do_no_harm(
        rows in rows(),
        spoilt in prop::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 1..4),
    ) {
        let whole = batch(&rows);
        let flat = flat(&whole.schema());
        let mut answer = lowered(&flat, &whole);
        for (column, place, byte) in spoilt {
            spoil(&mut answer, column, place, byte);
        }
        if let Ok(back) = answer.lifted(&whole.schema(), &flat) {
            for column in back.columns() {
                prop_assert!(column.to_data().validate_full().is_ok());
            }
        }
    }
}

/// The message of an answer made wrong in one place.
fn wrong(schema: &SchemaRef, spoil: impl FnOnce(&mut Answer)) -> String {
    let rows: Vec<Row> = (0..3).map(|n| (u16::MAX, n, format!("t{n}"))).collect();
    let flat = flat(schema);
    let mut answer = lowered(&flat, &batch(&rows).project(&[0, 1, 2, 7, 10]).unwrap());
    spoil(&mut answer);
    answer.lifted(schema, &flat).unwrap_err()
}

/// Each rule of the border, broken once: the message names the column and what is wrong.
#[test]
fn messages_name_column_and_cause() {
    let schema = batch(&[]).project(&[0, 1, 2, 7, 10]).unwrap().schema();
    let check = |spoil: fn(&mut Answer), message: &str| assert_eq!(wrong(&schema, spoil), message);
    check(
        |answer| answer.columns.truncate(4),
        "4 columns came, 5 are declared",
    );
    check(
        |answer| answer.rows = 4,
        "column `text`: 16 bytes of offsets for 4 rows",
    );
    check(
        |answer| answer.columns[1].validity = Some(answer.buffer(vec![0b110])),
        "column `number`: it has nulls and is declared without",
    );
    check(
        |answer| answer.columns[1].data = Layout::None,
        "column `number`: it has nulls and is declared without",
    );
    check(
        |answer| answer.columns[2].validity = Some(answer.buffer(vec![0b1111])),
        "column `flag`: bits are set behind the last row",
    );
    check(
        |answer| answer.columns[2].validity = Some(answer.buffer(vec![1, 0])),
        "column `flag`: 2 bytes of bits for 3 rows",
    );
    check(
        |answer| answer.columns[3].data = Layout::Bits(answer.buffer(vec![0])),
        "column `quantity`: its buffers are not those of its kind",
    );
    check(
        |answer| {
            let digits = i128::MAX.to_le_bytes().repeat(3);
            answer.columns[3].data = Layout::Fixed(answer.buffer(digits));
        },
        "column `quantity`: row 0 has more than 38 digits",
    );
    check(
        |answer| answer.columns[3].data = Layout::Fixed(answer.buffer(vec![0; 47])),
        "column `quantity`: 47 bytes for 3 rows of 16",
    );
    let span = |of, at, len| Layout::Fixed(Span { of, at, len });
    let check_span = |data, message: &str| {
        assert_eq!(
            wrong(&schema, |answer| answer.columns[3].data = data),
            message
        );
    };
    check_span(
        span(1_000, 0, 48),
        "column `quantity`: no buffer 1000 has bytes 0 and the next 48",
    );
    check_span(
        span(0, u32::MAX, 48),
        "column `quantity`: no buffer 0 has bytes 4294967295 and the next 48",
    );
    check_span(
        span(0, 1, u32::MAX),
        "column `quantity`: no buffer 0 has bytes 1 and the next 4294967295",
    );
    let check_text = |offsets: [i32; 4], bytes: &[u8], message: &str| {
        let wrong = wrong(&schema, |answer| {
            let offsets = offsets.iter().flat_map(|offset| offset.to_le_bytes());
            answer.columns[0].data = Layout::Varlen(Varlen {
                offsets: answer.buffer(offsets.collect()),
                bytes: answer.buffer(bytes.to_vec()),
            });
        });
        assert!(wrong.contains(message), "{wrong}");
    };
    let fall = "column `text`: its offsets do not begin at 0, or fall, or pass 2^31";
    check_text([1, 2, 3, 4], b"abcd", fall);
    check_text([0, 3, 2, 4], b"abcd", fall);
    check_text([0, -1, 2, 4], b"abcd", fall);
    check_text(
        [0, 1, 2, 3],
        b"abcd",
        "column `text`: its last offset is not the length of its bytes",
    );
    check_text([0, 1, 2, 4], b"ab\xff\xfe", "UTF");
    check_text([0, 1, 2, 3], "aü".as_bytes(), "UTF");
    for at in 0..300 {
        let mut bytes = [b'a'; 300];
        bytes[at] = 0x80;
        check_text([0, 1, 2, 300], &bytes, "UTF");
    }
    let key = wrong(&schema, |answer| {
        if let Layout::Dictionary(coded) = answer.columns[4].data {
            answer.buffers[coded.keys.of as usize][0] = 3;
        }
    });
    assert!(key.starts_with("column `word`: "), "{key}");
}

/// Every kind names one Arrow type and that type the kind; what is none is not guessed.
#[test]
fn kinds_are_types() {
    let whole = batch(&[]);
    for flat in flat(&whole.schema())
        .iter()
        .filter(|flat| flat.children == 0)
    {
        assert_eq!(
            kind::type_of(&flat.kind, &[]).as_ref(),
            Some(&flat.data_type)
        );
    }
    for kind in [
        "",
        "text",
        "decimal128",
        "decimal128(39,0)",
        "decimal128(9,10)",
        "decimal256(77,1)",
        "timestamp(ms)",
        "utf8()",
    ] {
        assert_eq!(kind::type_of(kind, &[]), None, "{kind}");
    }
    assert_eq!(kind::kind_of(&DataType::LargeUtf8), None);
}
