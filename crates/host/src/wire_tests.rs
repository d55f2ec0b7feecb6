//! The border's columns there and back, and what a plugin could answer instead.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "any value of the type will do"
)]

use crate::abi::{self, BuffersRef, ColumnRef, VarlenRef};
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

/// What an honest plugin answers that copies its input.
fn copied(columns: &[ColumnRef<'_>], rows: usize) -> abi::Batch {
    let varlen = |values: VarlenRef<'_>| abi::Varlen {
        offsets: values.offsets.to_vec(),
        bytes: values.bytes.to_vec(),
    };
    let column = |column: &ColumnRef<'_>| abi::Column {
        name: column.name.to_owned(),
        kind: column.kind.to_owned(),
        validity: column.validity.map(<[u8]>::to_vec),
        data: match column.data {
            BuffersRef::None => abi::Buffers::None,
            BuffersRef::Bits(bits) => abi::Buffers::Bits(bits.to_vec()),
            BuffersRef::Fixed(bytes) => abi::Buffers::Fixed(bytes.to_vec()),
            BuffersRef::Varlen(values) => abi::Buffers::Varlen(varlen(values)),
            BuffersRef::Dictionary(coded) => abi::Buffers::Dictionary(abi::Dictionary {
                keys: coded.keys.to_vec(),
                values: varlen(coded.values),
            }),
            BuffersRef::Nested(offsets) => abi::Buffers::Nested(offsets.to_vec()),
        },
        children: column.children,
    };
    abi::Batch {
        rows: u32::try_from(rows).unwrap(),
        columns: columns.iter().map(column).collect(),
    }
}

fn flat(schema: &Schema) -> Vec<Flat> {
    kind::flatten(schema.fields()).unwrap()
}

fn lowered(flat: &[Flat], batch: &RecordBatch) -> abi::Batch {
    copied(&Lowered::new(flat, batch).columns(), batch.num_rows())
}

/// Spoils one byte, one length or one number of an answer.
fn spoil(batch: &mut abi::Batch, column: usize, place: usize, byte: u8) {
    let which = column % batch.columns.len();
    let column = &mut batch.columns[which];
    let mut buffers: Vec<&mut Vec<u8>> = column.validity.iter_mut().collect();
    match &mut column.data {
        abi::Buffers::None => {}
        abi::Buffers::Bits(bytes) | abi::Buffers::Fixed(bytes) | abi::Buffers::Nested(bytes) => {
            buffers.push(bytes);
        }
        abi::Buffers::Varlen(values) => buffers.extend([&mut values.offsets, &mut values.bytes]),
        abi::Buffers::Dictionary(coded) => {
            buffers.extend([
                &mut coded.keys,
                &mut coded.values.offsets,
                &mut coded.values.bytes,
            ]);
        }
    }
    let count = buffers.len();
    match buffers.get_mut(place % (count + 1)) {
        None => batch.rows = batch.rows.wrapping_add(u32::from(byte)),
        Some(bytes) if byte == 0 => drop(bytes.pop()),
        Some(bytes) if byte == 1 => bytes.push(7),
        Some(bytes) if bytes.is_empty() => {}
        Some(bytes) => {
            let at = place % bytes.len();
            bytes[at] ^= byte;
        }
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
        let back = lift(lowered(&flat, &part), &whole.schema(), &flat);
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
        if let Ok(back) = lift(answer, &whole.schema(), &flat) {
            for column in back.columns() {
                prop_assert!(column.to_data().validate_full().is_ok());
            }
        }
    }
}

/// The message of an answer made wrong in one place.
fn wrong(schema: &SchemaRef, spoil: impl FnOnce(&mut abi::Batch)) -> String {
    let rows: Vec<Row> = (0..3).map(|n| (u16::MAX, n, format!("t{n}"))).collect();
    let flat = flat(schema);
    let mut answer = lowered(&flat, &batch(&rows).project(&[0, 1, 2, 7, 10]).unwrap());
    spoil(&mut answer);
    lift(answer, schema, &flat).unwrap_err()
}

/// Each rule of the border, broken once: the message names the column and what is wrong.
#[test]
fn messages_name_column_and_cause() {
    let schema = batch(&[]).project(&[0, 1, 2, 7, 10]).unwrap().schema();
    let check =
        |spoil: fn(&mut abi::Batch), message: &str| assert_eq!(wrong(&schema, spoil), message);
    check(
        |batch| drop(batch.columns.pop()),
        "4 columns came, 5 are declared",
    );
    check(
        |batch| batch.columns[0].name = "other".to_owned(),
        "column `other` of kind utf8 came where `text` of kind utf8 is declared",
    );
    check(
        |batch| batch.columns[1].kind = "int32".to_owned(),
        "column `number` of kind int32 came where `number` of kind int64 is declared",
    );
    check(
        |batch| batch.rows = 4,
        "column `text`: 16 bytes of offsets for 4 rows",
    );
    check(
        |batch| batch.columns[1].validity = Some(vec![0b110]),
        "column `number`: it has nulls and is declared without",
    );
    check(
        |batch| batch.columns[1].data = abi::Buffers::None,
        "column `number`: it has nulls and is declared without",
    );
    check(
        |batch| batch.columns[2].validity = Some(vec![0b1111]),
        "column `flag`: bits are set behind the last row",
    );
    check(
        |batch| batch.columns[2].validity = Some(vec![1, 0]),
        "column `flag`: 2 bytes of bits for 3 rows",
    );
    check(
        |batch| batch.columns[3].data = abi::Buffers::Bits(vec![0]),
        "column `quantity`: its buffers are not those of its kind",
    );
    check(
        |batch| batch.columns[3].data = abi::Buffers::Fixed(i128::MAX.to_le_bytes().repeat(3)),
        "column `quantity`: row 0 has more than 38 digits",
    );
    check(
        |batch| batch.columns[3].data = abi::Buffers::Fixed(vec![0; 47]),
        "column `quantity`: 47 bytes for 3 rows of 16",
    );
    let text = |offsets: [i32; 4], bytes: &[u8]| {
        let offsets = offsets
            .iter()
            .flat_map(|offset| offset.to_le_bytes())
            .collect();
        abi::Buffers::Varlen(abi::Varlen {
            offsets,
            bytes: bytes.to_vec(),
        })
    };
    let check_text = |offsets, bytes: &[u8], message: &str| {
        assert_eq!(
            wrong(&schema, |batch| batch.columns[0].data =
                text(offsets, bytes)),
            message
        );
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
    assert!(
        wrong(&schema, |batch| batch.columns[0].data =
            text([0, 1, 2, 4], b"ab\xff\xfe"))
        .contains("UTF")
    );
    assert!(
        wrong(&schema, |batch| batch.columns[0].data =
            text([0, 1, 2, 3], "aü".as_bytes()))
        .contains("UTF")
    );
    let key = wrong(&schema, |batch| {
        if let abi::Buffers::Dictionary(coded) = &mut batch.columns[4].data {
            coded.keys[0] = 3;
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
