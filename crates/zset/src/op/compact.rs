//! Rows as few bytes and back, for what only asks whether rows are equal: bytes do not compare as rows do.
//!
//! A row is one bit per column, set when it has a value, then the values: those of fixed width as they
//! are, text behind its length. Types without such a form come in their comparable one, behind its length.

use crate::OpError;
use crate::rows::as_type;
use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BooleanBufferBuilder, NullBufferBuilder, RecordBatch,
    downcast_primitive_array, make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, RowParser, Rows, SortField};
use std::sync::Arc;

/// Encodes and decodes some columns of a schema.
#[derive(Debug)]
pub(super) struct Compact {
    /// Their indexes in the batches to encode.
    columns: Vec<usize>,
    /// The schema of decoded rows.
    schema: SchemaRef,
    forms: Vec<Form>,
}

/// How a column's values are written.
#[derive(Debug)]
enum Form {
    Bit,
    /// So many bytes: 4, 8, 16 or 32.
    Fixed(usize),
    Text,
    Comparable(RowConverter, RowParser),
}

/// A batch seen as rows.
#[derive(Debug)]
pub(super) struct View<'a> {
    columns: Vec<Cells<'a>>,
    flags: usize,
}

/// The values of a column that is not null throughout.
#[derive(Debug)]
struct Cells<'a> {
    index: usize,
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

#[derive(Debug)]
enum Values<'a> {
    Bits(&'a BooleanBuffer),
    Four(&'a [[u8; 4]]),
    Eight(&'a [[u8; 8]]),
    Sixteen(&'a [[u8; 16]]),
    ThirtyTwo(&'a [[u8; 32]]),
    Text(&'a [i32], &'a [u8]),
    Comparable(Rows),
}

/// Encoded rows, one after the other.
#[derive(Debug)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Packed {
    pub(super) fn row(&self, row: usize) -> &[u8] {
        &self.bytes[row.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[row]]
    }
}

impl Compact {
    pub(super) fn new(schema: &SchemaRef, columns: Vec<usize>) -> Result<Self, OpError> {
        let form = |&index: &usize| {
            let field = schema.field(index);
            form(field.data_type()).ok_or_else(|| {
                let (name, found) = (field.name(), field.data_type());
                let message =
                    format!("column `{name}` is {found}, which cannot be kept or compared");
                OpError::new("wrong_type", message)
            })
        };
        let forms = columns.iter().map(form).collect::<Result<_, _>>()?;
        let schema = Arc::new(schema.project(&columns).expect("its own columns"));
        Ok(Self {
            columns,
            schema,
            forms,
        })
    }

    /// The schema of decoded rows.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A batch of the schema that the codec was made for.
    pub(super) fn view<'a>(&self, batch: &'a RecordBatch) -> View<'a> {
        let cells = |(index, (&column, form)): (usize, (&usize, &Form))| {
            let column = batch.column(column);
            let (nulls, values) = match form {
                Form::Comparable(converter, _) => {
                    let rows = converter.convert_columns(&[Arc::clone(column)]);
                    let rows = rows.expect("a column of the codec's schema");
                    (None, Values::Comparable(rows))
                }
                _ if column.null_count() == column.len() => return None,
                _ => (
                    column.nulls().filter(|nulls| nulls.null_count() > 0),
                    values(column),
                ),
            };
            Some(Cells {
                index,
                nulls,
                values,
            })
        };
        View {
            columns: self
                .columns
                .iter()
                .zip(&self.forms)
                .enumerate()
                .filter_map(cells)
                .collect(),
            flags: self.columns.len().div_ceil(8),
        }
    }

    /// All rows of a batch.
    pub(super) fn encode(&self, batch: &RecordBatch) -> Packed {
        let view = self.view(batch);
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(batch.num_rows()));
        for row in 0..batch.num_rows() {
            view.append(row, &mut bytes);
            ends.push(bytes.len());
        }
        Packed { bytes, ends }
    }

    /// Rows that this codec encoded.
    pub(super) fn decode<'a>(&self, rows: impl ExactSizeIterator<Item = &'a [u8]>) -> RecordBatch {
        let count = rows.len();
        if count == 0 {
            return RecordBatch::new_empty(Arc::clone(&self.schema));
        }
        let mut columns: Vec<Growing<'a>> = self
            .forms
            .iter()
            .map(|form| Growing::new(form, count))
            .collect();
        for row in rows {
            let (flags, mut rest) = row.split_at(columns.len().div_ceil(8));
            for (index, column) in columns.iter_mut().enumerate() {
                if flags[index / 8] & (1 << (index % 8)) == 0 {
                    column.push_null();
                } else {
                    column.push(&mut rest);
                }
            }
        }
        let fields = self.schema.fields().iter().zip(&self.forms);
        let columns = columns
            .into_iter()
            .zip(fields)
            .map(|(column, (field, form))| column.finish(field.data_type(), form, count))
            .collect();
        super::columns::batch(&self.schema, columns, count)
    }
}

impl View<'_> {
    /// Writes a row behind what is there.
    #[inline]
    pub(super) fn append(&self, row: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.flags, 0);
        for column in &self.columns {
            if column.nulls.is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            out[start + column.index / 8] |= 1 << (column.index % 8);
            match &column.values {
                Values::Bits(bits) => out.push(u8::from(bits.value(row))),
                Values::Four(values) => out.extend_from_slice(&values[row]),
                Values::Eight(values) => out.extend_from_slice(&values[row]),
                Values::Sixteen(values) => out.extend_from_slice(&values[row]),
                Values::ThirtyTwo(values) => out.extend_from_slice(&values[row]),
                Values::Text(offsets, bytes) => {
                    let place = |offset: i32| offset.cast_unsigned() as usize;
                    let text = &bytes[place(offsets[row])..place(offsets[row + 1])];
                    push_part(text, out);
                }
                Values::Comparable(rows) => push_part(rows.row(row).data(), out),
            }
        }
    }
}

/// Bytes behind their length, seven bits of it to a byte, the lowest first.
#[inline]
pub(super) fn push_part(part: &[u8], out: &mut Vec<u8>) {
    let mut length = part.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(part);
}

/// Takes one part off the front.
#[inline]
pub(super) fn take_part<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (mut length, mut shift, mut at) = (0, 0, 0);
    loop {
        let byte = rest[at];
        length |= usize::from(byte & 0x7f) << shift;
        (shift, at) = (shift + 7, at + 1);
        if byte < 0x80 {
            break;
        }
    }
    let (part, after) = rest[at..].split_at(length);
    *rest = after;
    part
}

/// A column being decoded.
struct Growing<'a> {
    nulls: NullBufferBuilder,
    values: GrowingValues<'a>,
}

enum GrowingValues<'a> {
    Bits(BooleanBufferBuilder),
    Fixed(usize, MutableBuffer),
    Text(Vec<i32>, Vec<u8>),
    Comparable(Vec<&'a [u8]>),
}

impl<'a> Growing<'a> {
    fn new(form: &Form, rows: usize) -> Self {
        let values = match form {
            Form::Bit => GrowingValues::Bits(BooleanBufferBuilder::new(rows)),
            Form::Fixed(width) => GrowingValues::Fixed(*width, MutableBuffer::new(rows * width)),
            Form::Text => {
                let mut ends = Vec::with_capacity(rows + 1);
                ends.push(0);
                GrowingValues::Text(ends, Vec::with_capacity(rows * 8))
            }
            Form::Comparable(..) => GrowingValues::Comparable(Vec::with_capacity(rows)),
        };
        Self {
            nulls: NullBufferBuilder::new(rows),
            values,
        }
    }

    fn push_null(&mut self) {
        self.nulls.append_null();
        match &mut self.values {
            GrowingValues::Bits(bits) => bits.append(false),
            GrowingValues::Fixed(width, values) => values.extend_zeros(*width),
            GrowingValues::Text(ends, _) => ends.push(*ends.last().expect("the first is 0")),
            GrowingValues::Comparable(_) => unreachable!("its form holds its nulls"),
        }
    }

    #[inline]
    fn push(&mut self, rest: &mut &'a [u8]) {
        self.nulls.append_non_null();
        match &mut self.values {
            GrowingValues::Bits(bits) => {
                let (bit, after) = rest.split_at(1);
                bits.append(bit[0] != 0);
                *rest = after;
            }
            GrowingValues::Fixed(width, values) => {
                let (value, after) = rest.split_at(*width);
                values.extend_from_slice(value);
                *rest = after;
            }
            GrowingValues::Text(ends, bytes) => {
                bytes.extend_from_slice(take_part(rest));
                let end = i32::try_from(bytes.len());
                ends.push(end.expect("a step's text is far below 2 GiB"));
            }
            GrowingValues::Comparable(rows) => rows.push(take_part(rest)),
        }
    }

    fn finish(mut self, data_type: &DataType, form: &Form, rows: usize) -> ArrayRef {
        let data = ArrayData::builder(data_type.clone()).len(rows);
        let data = match self.values {
            GrowingValues::Bits(mut bits) => data.add_buffer(bits.finish().into_inner()),
            GrowingValues::Fixed(_, values) => data.add_buffer(values.into()),
            GrowingValues::Text(ends, bytes) => data
                .add_buffer(Buffer::from_vec(ends))
                .add_buffer(Buffer::from_vec(bytes)),
            GrowingValues::Comparable(rows) => {
                let Form::Comparable(converter, parser) = form else {
                    unreachable!("the column was made for its form")
                };
                let rows = rows.into_iter().map(|row| parser.parse(row));
                let columns = converter.convert_rows(rows);
                let column = columns.expect("bytes came from this codec").remove(0);
                return as_type(column, data_type);
            }
        };
        let data = data.nulls(self.nulls.finish()).align_buffers(true).build();
        make_array(data.expect("bytes came from this codec"))
    }
}

fn form(data_type: &DataType) -> Option<Form> {
    match (data_type, data_type.primitive_width()) {
        (DataType::Boolean, _) => Some(Form::Bit),
        (DataType::Utf8 | DataType::Binary, _) => Some(Form::Text),
        (_, Some(width @ (4 | 8 | 16 | 32))) => Some(Form::Fixed(width)),
        _ => {
            let sort = [SortField::new(data_type.clone())];
            if !RowConverter::supports_fields(&sort) {
                return None;
            }
            let converter = RowConverter::new(sort.into()).ok()?;
            let parser = converter.parser();
            Some(Form::Comparable(converter, parser))
        }
    }
}

fn values(column: &ArrayRef) -> Values<'_> {
    match column.data_type() {
        DataType::Boolean => Values::Bits(column.as_boolean().values()),
        DataType::Utf8 => {
            let text = column.as_string::<i32>();
            Values::Text(text.value_offsets(), text.value_data())
        }
        DataType::Binary => {
            let bytes = column.as_binary::<i32>();
            Values::Text(bytes.value_offsets(), bytes.value_data())
        }
        found => {
            let width = found.primitive_width();
            let bytes = downcast_primitive_array! {
                column => column.values().inner().as_slice(),
                _ => unreachable!("only values of fixed width are left"),
            };
            match width {
                Some(4) => Values::Four(bytes.as_chunks().0),
                Some(8) => Values::Eight(bytes.as_chunks().0),
                Some(16) => Values::Sixteen(bytes.as_chunks().0),
                _ => Values::ThirtyTwo(bytes.as_chunks().0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::RowCodec;
    use arrow::array::{
        BooleanArray, Decimal256Array, DictionaryArray, Int16Array, Int32Array, Int64Array,
        ListArray, StringArray,
    };
    use arrow::compute::concat_batches;
    use arrow::datatypes::{Int32Type, UInt32Type, i256};
    use proptest::prelude::*;

    type Row = (Option<String>, Option<i64>, Option<bool>, Option<Vec<Option<i32>>>);

    fn batch(rows: &[Row]) -> RecordBatch {
        let texts: StringArray = rows.iter().map(|row| row.0.as_deref()).collect();
        let words: DictionaryArray<UInt32Type> = rows.iter().map(|row| row.0.as_deref()).collect();
        let numbers: Int64Array = rows.iter().map(|row| row.1).collect();
        let narrow: Int32Array = rows.iter().map(|row| row.1.map(|n| n as i32)).collect();
        let short: Int16Array = rows.iter().map(|row| row.1.map(|n| n as i16)).collect();
        let wide: Decimal256Array = rows.iter().map(|row| row.1.map(i256::from)).collect();
        let flags: BooleanArray = rows.iter().map(|row| row.2).collect();
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
            rows.iter().map(|row| row.3.clone()),
        );
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("text", Arc::new(texts), true),
            ("word", Arc::new(words), true),
            ("number", Arc::new(numbers), true),
            ("narrow", Arc::new(narrow), true),
            ("short", Arc::new(short), true),
            ("wide", Arc::new(wide), true),
            ("flag", Arc::new(flags), true),
            ("list", Arc::new(lists), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        // Texts of one and of two bytes of length; nulls that make a column null throughout now and then.
        let text = prop_oneof![Just(String::new()), "[ab]{1,2}", "x{127,130}"];
        let list = proptest::collection::vec(proptest::option::of(0..3), 0..3);
        proptest::collection::vec(
            (
                proptest::option::of(text),
                proptest::option::of(-2_i64..3),
                proptest::option::of(any::<bool>()),
                proptest::option::of(list),
            ),
            0..12,
        )
    }

    proptest! {
        /// Goal: bytes are equal where rows are, and become the rows again. Method: any slice of any rows
        /// against the comparable form, which is the plain twin.
        #[test]
        fn equal_and_back(rows in rows(), cut in 0_usize..12) {
            let whole = batch(&rows);
            let cut = cut.min(rows.len());
            let whole = whole.slice(cut, rows.len() - cut);
            let columns = whole.num_columns();
            let compact = Compact::new(&whole.schema(), (0..columns).collect()).unwrap();
            let packed = compact.encode(&whole);
            let twin = RowCodec::new(whole.schema());
            let plain = twin.encode(&whole);
            for one in 0..whole.num_rows() {
                for two in 0..whole.num_rows() {
                    let same = plain.row(one) == plain.row(two);
                    prop_assert_eq!(packed.row(one) == packed.row(two), same);
                }
            }
            let again = compact.decode((0..whole.num_rows()).map(|row| packed.row(row)));
            let schema = whole.schema();
            prop_assert_eq!(&again, &concat_batches(&schema, [&whole]).unwrap());
            let some = Compact::new(&whole.schema(), vec![6, 0]).unwrap();
            let packed = some.encode(&whole);
            let again = some.decode((0..whole.num_rows()).map(|row| packed.row(row)));
            prop_assert_eq!(again, whole.project(&[6, 0]).unwrap());
        }
    }
}
