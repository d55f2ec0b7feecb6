//! Rows as few bytes and back, for what only asks whether rows are equal: bytes do not compare as rows do.
//!
//! A row is one bit per column, set when it has a value, then the values: dates and the like as they are, numbers
//! without the bytes that only repeat their sign and text behind their lengths. Types without such a form come in
//! their comparable one, behind its length.

use crate::OpError;
use crate::rows::as_type;
use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions,
    downcast_primitive_array, make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, RowParser, Rows, SortField};
use std::sync::Arc;

/// Encodes and decodes some columns of a schema.
#[derive(Debug)]
pub struct Compact {
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
    /// Four bytes.
    Four,
    /// Whole numbers of so many bytes: 8, 16 or 32.
    Number(usize),
    Text,
    Comparable(RowConverter, RowParser),
}

/// A column of a batch to encode, which is not null throughout.
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
pub struct Packed {
    bytes: Vec<u8>,
    /// Where each row begins; one more than there are rows.
    starts: Vec<usize>,
}

impl Packed {
    /// A row's bytes.
    #[inline]
    pub fn row(&self, row: usize) -> &[u8] {
        &self.bytes[self.starts[row]..self.starts[row + 1]]
    }
}

impl Compact {
    /// For these columns of a schema.
    pub fn new(schema: &SchemaRef, columns: Vec<usize>) -> Result<Self, OpError> {
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

    /// For all columns of a schema.
    pub fn whole(schema: &SchemaRef) -> Result<Self, OpError> {
        Self::new(schema, (0..schema.fields().len()).collect())
    }

    /// The schema of decoded rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// All rows of a batch of the schema that the codec was made for. A column at a time: first the rows'
    /// lengths, then their bytes.
    pub fn encode(&self, batch: &RecordBatch) -> Packed {
        let (rows, head) = (batch.num_rows(), self.columns.len().div_ceil(8));
        let columns: Vec<Cells<'_>> = self.cells(batch);
        let mut flags = vec![0; head];
        let mut length = head;
        for column in columns.iter().filter(|column| column.nulls.is_none()) {
            flags[column.index / 8] |= 1 << (column.index % 8);
            length += column.values.width().unwrap_or(0);
        }
        let mut lengths = vec![length; rows];
        for column in &columns {
            column.add_lengths(&mut lengths);
        }
        let mut starts = Vec::with_capacity(rows + 1);
        let mut end = 0;
        starts.push(end);
        for length in lengths {
            end += length;
            starts.push(end);
        }
        let mut bytes = vec![0; end];
        let mut next = starts[..rows].to_vec();
        for at in &mut next {
            bytes[*at..*at + head].copy_from_slice(&flags);
            *at += head;
        }
        for column in &columns {
            column.write(&starts, &mut next, &mut bytes);
        }
        Packed { bytes, starts }
    }

    fn cells<'a>(&self, batch: &'a RecordBatch) -> Vec<Cells<'a>> {
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
        let columns = self.columns.iter().zip(&self.forms).enumerate();
        columns.filter_map(cells).collect()
    }

    /// Rows that this codec encoded, a column at a time.
    pub fn decode(&self, rows: &[&[u8]]) -> RecordBatch {
        if rows.is_empty() {
            return RecordBatch::new_empty(Arc::clone(&self.schema));
        }
        let mut next = vec![self.columns.len().div_ceil(8); rows.len()];
        let fields = self.schema.fields().iter().zip(&self.forms).enumerate();
        let columns = fields.map(|(index, (field, form))| {
            let nulls = nulls(rows, index);
            let data_type = field.data_type();
            match form {
                Form::Bit => {
                    let mut bits = BooleanBufferBuilder::new(rows.len());
                    each(rows, nulls.as_ref(), &mut next, |value| match value {
                        None => {
                            bits.append(false);
                            0
                        }
                        Some(rest) => {
                            bits.append(rest[0] != 0);
                            1
                        }
                    });
                    array(data_type, rows.len(), nulls, [bits.finish().into_inner()])
                }
                Form::Four => fixed::<4>(data_type, rows, nulls, &mut next, |rest, place| {
                    *place = *rest.first_chunk().expect("bytes came from this codec");
                    4
                }),
                Form::Number(8) => fixed::<8>(data_type, rows, nulls, &mut next, read_number),
                Form::Number(16) => fixed::<16>(data_type, rows, nulls, &mut next, read_number),
                Form::Number(_) => fixed::<32>(data_type, rows, nulls, &mut next, read_number),
                Form::Text => text(data_type, rows, nulls, &mut next),
                Form::Comparable(converter, parser) => {
                    let mut parts = Vec::with_capacity(rows.len());
                    each(rows, nulls.as_ref(), &mut next, |value| {
                        let rest = value.expect("its form holds its nulls");
                        let mut after = rest;
                        parts.push(parser.parse(take_part(&mut after)));
                        rest.len() - after.len()
                    });
                    let columns = converter.convert_rows(parts);
                    let column = columns.expect("bytes came from this codec").remove(0);
                    as_type(column, data_type)
                }
            }
        });
        let columns = columns.collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .expect("the columns were made for this schema")
    }
}

impl Values<'_> {
    /// Bytes of a value, where all have as many.
    fn width(&self) -> Option<usize> {
        match self {
            Self::Bits(_) => Some(1),
            Self::Four(_) => Some(4),
            _ => None,
        }
    }
}

impl Cells<'_> {
    /// Adds what is not in every row's length yet.
    fn add_lengths(&self, lengths: &mut [usize]) {
        match (&self.values, self.nulls) {
            (Values::Text(offsets, _), nulls) => {
                for (row, (length, ends)) in lengths.iter_mut().zip(offsets.windows(2)).enumerate()
                {
                    if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                        *length += part_length(place(ends[1]) - place(ends[0]));
                    }
                }
            }
            (Values::Comparable(rows), _) => {
                for (row, length) in lengths.iter_mut().enumerate() {
                    *length += part_length(rows.row(row).data().len());
                }
            }
            (Values::Eight(values), _) => self.add_numbers(values, lengths),
            (Values::Sixteen(values), _) => self.add_numbers(values, lengths),
            (Values::ThirtyTwo(values), _) => self.add_numbers(values, lengths),
            (_, None) => {}
            (values, Some(nulls)) => {
                let width = values.width().expect("the others are above");
                for row in nulls.valid_indices() {
                    lengths[row] += width;
                }
            }
        }
    }

    fn add_numbers<const N: usize>(&self, values: &[[u8; N]], lengths: &mut [usize]) {
        for (row, (length, value)) in lengths.iter_mut().zip(values).enumerate() {
            if self.nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                *length += 1 + significant(value);
            }
        }
    }

    fn write(&self, starts: &[usize], next: &mut [usize], bytes: &mut [u8]) {
        match &self.values {
            Values::Bits(bits) => self.each(starts, next, bytes, |row, room| {
                room[0] = u8::from(bits.value(row));
                1
            }),
            Values::Four(values) => self.each(starts, next, bytes, |row, room| {
                room[..4].copy_from_slice(&values[row]);
                4
            }),
            Values::Eight(values) => self.write_numbers(values, starts, next, bytes),
            Values::Sixteen(values) => self.write_numbers(values, starts, next, bytes),
            Values::ThirtyTwo(values) => self.write_numbers(values, starts, next, bytes),
            Values::Text(offsets, data) => {
                self.each(starts, next, bytes, |row, room| {
                    write_part(&data[place(offsets[row])..place(offsets[row + 1])], room)
                });
            }
            Values::Comparable(rows) => {
                self.each(starts, next, bytes, |row, room| {
                    write_part(rows.row(row).data(), room)
                });
            }
        }
    }

    #[inline]
    fn write_numbers<const N: usize>(
        &self,
        values: &[[u8; N]],
        starts: &[usize],
        next: &mut [usize],
        bytes: &mut [u8],
    ) {
        self.each(starts, next, bytes, |row, room| {
            let length = significant(&values[row]);
            room[0] = length.to_le_bytes()[0];
            room[1..=length].copy_from_slice(&values[row][..length]);
            1 + length
        });
    }

    /// Lets each value be written; `write` answers how many bytes it took.
    #[inline]
    fn each(
        &self,
        starts: &[usize],
        next: &mut [usize],
        bytes: &mut [u8],
        write: impl Fn(usize, &mut [u8]) -> usize,
    ) {
        match self.nulls {
            None => {
                for (row, at) in next.iter_mut().enumerate() {
                    *at += write(row, &mut bytes[*at..]);
                }
            }
            Some(nulls) => {
                for row in nulls.valid_indices() {
                    bytes[starts[row] + self.index / 8] |= 1 << (self.index % 8);
                    next[row] += write(row, &mut bytes[next[row]..]);
                }
            }
        }
    }
}

#[inline]
fn place(offset: i32) -> usize {
    offset.cast_unsigned() as usize
}

/// How many of a number's bytes, the lowest first, say what it is: the others repeat its sign.
#[inline]
fn significant<const N: usize>(number: &[u8; N]) -> usize {
    let is_negative = number[N - 1] >= 0x80;
    let sign = if is_negative { 0xff } else { 0 };
    let mut length = N;
    while length >= 8 && number[length - 8..length] == [sign; 8] {
        length -= 8;
    }
    while length > 0 && number[length - 1] == sign {
        length -= 1;
    }
    let tells_sign = |last: u8| (last >= 0x80) == is_negative;
    let is_told = number[..length]
        .last()
        .map_or(!is_negative, |last| tells_sign(*last));
    length + usize::from(!is_told)
}

/// Reads a number behind its length; answers how many bytes that took.
#[inline]
fn read_number<const N: usize>(rest: &[u8], place: &mut [u8; N]) -> usize {
    let length = usize::from(rest[0]);
    let bytes = &rest[1..=length];
    if bytes.last().is_some_and(|last| *last >= 0x80) {
        *place = [0xff; N];
    }
    place[..length].copy_from_slice(bytes);
    1 + length
}

/// Bytes that a part takes behind its length.
#[inline]
fn part_length(length: usize) -> usize {
    let bits = usize::BITS - (length | 1).leading_zeros();
    bits.div_ceil(7) as usize + length
}

/// Bytes behind their length, seven bits of it to a byte, the lowest first; answers how many that makes.
#[inline]
fn write_part(part: &[u8], out: &mut [u8]) -> usize {
    let (mut length, mut at) = (part.len(), 0);
    while length >= 0x80 {
        out[at] = 0x80 | length.to_le_bytes()[0];
        (length, at) = (length >> 7, at + 1);
    }
    out[at] = length.to_le_bytes()[0];
    copy(part, &mut out[at + 1..at + 1 + part.len()]);
    at + 1 + part.len()
}

/// Puts bytes behind their length behind what is there.
pub fn push_part(part: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + part_length(part.len()), 0);
    write_part(part, &mut out[start..]);
}

/// A copy that is quick for the few bytes that most texts have: two overlapping halves.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    fn ends<const N: usize>(from: &[u8], to: &mut [u8]) -> bool {
        let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
            return false;
        };
        if let Some(place) = to.first_chunk_mut() {
            *place = *first;
        }
        if let Some(place) = to.last_chunk_mut() {
            *place = *last;
        }
        true
    }
    match from.len() {
        0..4 => {
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
            }
        }
        4..8 => drop(ends::<4>(from, to)),
        8..=16 => drop(ends::<8>(from, to)),
        _ => to.copy_from_slice(from),
    }
}

/// Takes one part off the front.
#[inline]
pub fn take_part<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
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

/// Which of the rows have no value in this column, if any.
fn nulls(rows: &[&[u8]], index: usize) -> Option<NullBuffer> {
    let is_valid = |row: &&[u8]| row[index / 8] & (1 << (index % 8)) != 0;
    if rows.iter().all(is_valid) {
        return None;
    }
    Some(rows.iter().map(is_valid).collect())
}

/// Lets each row's value be read off the row's rest; `read` answers how many bytes it took.
#[inline]
fn each<'a>(
    rows: &[&'a [u8]],
    nulls: Option<&NullBuffer>,
    next: &mut [usize],
    mut read: impl FnMut(Option<&'a [u8]>) -> usize,
) {
    for (index, (row, at)) in rows.iter().zip(next).enumerate() {
        let is_valid = nulls.is_none_or(|nulls| nulls.is_valid(index));
        *at += read(is_valid.then(|| &row[*at..]));
    }
}

fn array<const N: usize>(
    data_type: &DataType,
    rows: usize,
    nulls: Option<NullBuffer>,
    buffers: [Buffer; N],
) -> ArrayRef {
    let data = ArrayData::builder(data_type.clone()).len(rows).nulls(nulls);
    let data = data.buffers(buffers.into()).align_buffers(true).build();
    make_array(data.expect("bytes came from this codec"))
}

fn fixed<const N: usize>(
    data_type: &DataType,
    rows: &[&[u8]],
    nulls: Option<NullBuffer>,
    next: &mut [usize],
    read: impl Fn(&[u8], &mut [u8; N]) -> usize,
) -> ArrayRef {
    let mut values = MutableBuffer::from_len_zeroed(rows.len() * N);
    let mut places = values.as_slice_mut().as_chunks_mut::<N>().0.iter_mut();
    each(rows, nulls.as_ref(), next, |value| {
        let place = places.next().expect("one for each row");
        value.map_or(0, |rest| read(rest, place))
    });
    array(data_type, rows.len(), nulls, [values.into()])
}

fn text(
    data_type: &DataType,
    rows: &[&[u8]],
    nulls: Option<NullBuffer>,
    next: &mut [usize],
) -> ArrayRef {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(rows.len());
    let (mut ends, mut end) = (Vec::with_capacity(rows.len() + 1), 0_usize);
    ends.push(0);
    each(rows, nulls.as_ref(), next, |value| {
        let rest = value.unwrap_or_default();
        let mut after = rest;
        let part = value.map_or_else(Default::default, |_| take_part(&mut after));
        end += part.len();
        ends.push(i32::try_from(end).expect("a step's text is far below 2 GiB"));
        parts.push(part);
        rest.len() - after.len()
    });
    let (mut bytes, mut at) = (vec![0; end], 0);
    for part in parts {
        copy(part, &mut bytes[at..at + part.len()]);
        at += part.len();
    }
    let buffers = [Buffer::from_vec(ends), Buffer::from_vec(bytes)];
    array(data_type, rows.len(), nulls, buffers)
}

fn form(data_type: &DataType) -> Option<Form> {
    match (data_type, data_type.primitive_width()) {
        (DataType::Boolean, _) => Some(Form::Bit),
        (DataType::Utf8 | DataType::Binary, _) => Some(Form::Text),
        (_, Some(4)) => Some(Form::Four),
        (_, Some(width @ (8 | 16 | 32))) => Some(Form::Number(width)),
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

    type Row = (
        Option<String>,
        Option<i64>,
        Option<bool>,
        Option<Vec<Option<i32>>>,
    );

    /// A wide number of any length for a small one.
    fn spread(number: i64) -> i256 {
        i256::from(number) << (u8::try_from(number.rem_euclid(16)).unwrap() * 15)
    }

    fn batch(rows: &[Row]) -> RecordBatch {
        let texts: StringArray = rows.iter().map(|row| row.0.as_deref()).collect();
        let words: DictionaryArray<UInt32Type> = rows.iter().map(|row| row.0.as_deref()).collect();
        let numbers: Int64Array = rows.iter().map(|row| row.1).collect();
        let narrow: Int32Array = rows
            .iter()
            .map(|row| row.1.map(|n| i32::try_from(n).unwrap()))
            .collect();
        let short: Int16Array = rows
            .iter()
            .map(|row| row.1.map(|n| i16::try_from(n).unwrap()))
            .collect();
        let wide: Decimal256Array = rows.iter().map(|row| row.1.map(spread)).collect();
        let flags: BooleanArray = rows.iter().map(|row| row.2).collect();
        let lists =
            ListArray::from_iter_primitive::<Int32Type, _, _>(rows.iter().map(|row| row.3.clone()));
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
                proptest::option::of(prop_oneof![-2_i64..3, -130..-126_i64, 125..130_i64]),
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
            let all: Vec<&[u8]> = (0..whole.num_rows()).map(|row| packed.row(row)).collect();
            let again = compact.decode(&all);
            let schema = whole.schema();
            prop_assert_eq!(&again, &concat_batches(&schema, [&whole]).unwrap());
            let some = Compact::new(&whole.schema(), vec![6, 0]).unwrap();
            let packed = some.encode(&whole);
            let all: Vec<&[u8]> = (0..whole.num_rows()).map(|row| packed.row(row)).collect();
            let again = some.decode(&all);
            prop_assert_eq!(again, whole.project(&[6, 0]).unwrap());
        }
    }
}
