//! The border to Arrow. Nothing that a plugin answers is believed: spans, lengths, offsets, keys, bits, UTF-8, digits,
//! nulls are checked before anything becomes an Arrow array. An error says which column is wrong, and how.

use crate::abi::{Batch, Column, Layout, Varlen};
use crate::buffers::Gathered;
use crate::kind::Flat;
use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, ListArray, PrimitiveArray,
    RecordBatch, StringArray, StructArray, UInt32Array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, DecimalType,
    FieldRef, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use std::sync::Arc;

/// The batch as Arrow; `flat` is `schema`, flat.
pub(crate) fn lift(batch: Batch, schema: &SchemaRef, flat: &[Flat]) -> Result<RecordBatch, String> {
    let rows = batch.rows as usize;
    if batch.columns.len() != flat.len() {
        return Err(format!(
            "{} columns came, {} are declared",
            batch.columns.len(),
            flat.len()
        ));
    }
    let mut columns = flat.iter().zip(batch.columns);
    let mut lifting = Lifting {
        columns: &mut columns,
        buffers: &batch.buffers,
    };
    let arrays: Result<Vec<ArrayRef>, String> = schema
        .fields()
        .iter()
        .map(|_| lifting.array(rows))
        .collect();
    let arrays = arrays?;
    // Schema, lengths and nulls once more, as Arrow sees them.
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|error| error.to_string())
}

/// The columns that are still to be lifted.
struct Lifting<'l> {
    columns: &'l mut dyn Iterator<Item = (&'l Flat, Column)>,
    buffers: &'l Gathered,
}

impl Lifting<'_> {
    /// The next column with its children.
    fn array(&mut self, rows: usize) -> Result<ArrayRef, String> {
        let (flat, column) = self
            .columns
            .next()
            .ok_or("a nested column's children are missing")?;
        let of_column = |why: String| format!("column `{}`: {why}", flat.name);
        let nulls = column
            .validity
            .map(|span| bitmap(self.buffers.span(span)?, rows))
            .transpose()
            .map_err(of_column)?
            .map(NullBuffer::new);
        let array = match (&flat.data_type, column.data) {
            (DataType::Struct(fields), Layout::None) => {
                let children: Result<Vec<ArrayRef>, String> =
                    fields.iter().map(|_| self.array(rows)).collect();
                let array =
                    StructArray::try_new_with_length(fields.clone(), children?, nulls, rows);
                Arc::new(array.map_err(|error| of_column(error.to_string()))?) as ArrayRef
            }
            (DataType::List(item), Layout::Nested(offsets)) => {
                let offsets = self.buffers.span(offsets).map_err(of_column)?;
                self.list(item, offsets, rows, nulls).map_err(of_column)?
            }
            (_, Layout::None) if flat.children == 0 => flat.nulls(rows),
            (data_type, data) => self
                .flat_array(data_type, data, rows, nulls)
                .map_err(of_column)?,
        };
        if !flat.nullable && array.null_count() > 0 {
            return Err(of_column("it has nulls and is declared without".to_owned()));
        }
        Ok(array)
    }

    fn list(
        &mut self,
        item: &FieldRef,
        offsets: Buffer,
        rows: usize,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, String> {
        let offsets = self::offsets(offsets, rows, None)?;
        let items = usize::try_from(offsets[rows]).or(Err("offsets pass 2^31"))?;
        let values = self.array(items)?;
        let list = ListArray::try_new(Arc::clone(item), offsets, values, nulls);
        Ok(Arc::new(list.map_err(|error| error.to_string())?))
    }

    fn flat_array(
        &self,
        data_type: &DataType,
        data: Layout,
        rows: usize,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, String> {
        Ok(match (data_type, data) {
            (DataType::Boolean, Layout::Bits(bits)) => {
                let bits = bitmap(self.buffers.span(bits)?, rows)?;
                Arc::new(BooleanArray::new(bits, nulls))
            }
            (DataType::Utf8, Layout::Varlen(values)) => {
                let (offsets, bytes) = self.varlen(values)?;
                Arc::new(text(offsets, bytes, rows, nulls)?)
            }
            (DataType::Binary, Layout::Varlen(values)) => {
                let (offsets, bytes) = self.varlen(values)?;
                let offsets = self::offsets(offsets, rows, Some(bytes.len()))?;
                let array = BinaryArray::try_new(offsets, bytes, nulls);
                Arc::new(array.map_err(|error| error.to_string())?)
            }
            (DataType::Dictionary(..), Layout::Dictionary(coded)) => {
                let (offsets, bytes) = self.varlen(coded.values)?;
                let count = (offsets.len() / 4).saturating_sub(1);
                let values = text(offsets, bytes, count, None)?;
                let keys = fixed::<UInt32Type>(self.buffers.span(coded.keys)?, rows)?;
                let keys = UInt32Array::new(keys, nulls);
                let array = DictionaryArray::<UInt32Type>::try_new(keys, Arc::new(values));
                Arc::new(array.map_err(|error| error.to_string())?)
            }
            (_, Layout::Fixed(values)) => {
                one_width(data_type, self.buffers.span(values)?, rows, nulls)?
            }
            _ => return Err("its buffers are not those of its kind".to_owned()),
        })
    }

    fn varlen(&self, values: Varlen) -> Result<(Buffer, Buffer), String> {
        Ok((
            self.buffers.span(values.offsets)?,
            self.buffers.span(values.bytes)?,
        ))
    }
}

fn one_width(
    data_type: &DataType,
    bytes: Buffer,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, String> {
    Ok(match data_type {
        DataType::Int8 => plain::<Int8Type>(bytes, rows, nulls)?,
        DataType::Int16 => plain::<Int16Type>(bytes, rows, nulls)?,
        DataType::Int32 => plain::<Int32Type>(bytes, rows, nulls)?,
        DataType::Int64 => plain::<Int64Type>(bytes, rows, nulls)?,
        DataType::UInt8 => plain::<UInt8Type>(bytes, rows, nulls)?,
        DataType::UInt16 => plain::<UInt16Type>(bytes, rows, nulls)?,
        DataType::UInt32 => plain::<UInt32Type>(bytes, rows, nulls)?,
        DataType::UInt64 => plain::<UInt64Type>(bytes, rows, nulls)?,
        DataType::Float32 => plain::<Float32Type>(bytes, rows, nulls)?,
        DataType::Float64 => plain::<Float64Type>(bytes, rows, nulls)?,
        DataType::Date32 => plain::<Date32Type>(bytes, rows, nulls)?,
        DataType::Timestamp(..) => {
            let values = fixed::<TimestampMicrosecondType>(bytes, rows)?;
            let array = PrimitiveArray::<TimestampMicrosecondType>::new(values, nulls);
            Arc::new(array.with_data_type(data_type.clone()))
        }
        DataType::Decimal128(precision, _) => {
            decimal::<Decimal128Type>(data_type, *precision, bytes, rows, nulls)?
        }
        DataType::Decimal256(precision, _) => {
            decimal::<Decimal256Type>(data_type, *precision, bytes, rows, nulls)?
        }
        _ => return Err("its buffers are not those of its kind".to_owned()),
    })
}

fn plain<T: ArrowPrimitiveType>(
    bytes: Buffer,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, String> {
    Ok(Arc::new(PrimitiveArray::<T>::new(
        fixed::<T>(bytes, rows)?,
        nulls,
    )))
}

/// Decimals, whose digits must fit the precision; what stands in null rows is of no meaning.
fn decimal<T: DecimalType + ArrowPrimitiveType>(
    data_type: &DataType,
    precision: u8,
    bytes: Buffer,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, String> {
    let array =
        PrimitiveArray::<T>::new(fixed::<T>(bytes, rows)?, nulls).with_data_type(data_type.clone());
    let fits = |row: usize| {
        array.is_null(row) || T::is_valid_decimal_precision(array.value(row), precision)
    };
    if !all_fit::<T>(array.values().inner(), precision)
        && !array
            .values()
            .iter()
            .all(|value| T::is_valid_decimal_precision(*value, precision))
        && let Some(row) = (0..rows).find(|row| !fits(*row))
    {
        return Err(format!("row {row} has more than {precision} digits"));
    }
    Ok(Arc::new(array))
}

/// Whether no value fills more than the lower half of its bits, which has fewer digits than the precision: one look at
/// all of them at once.
fn all_fit<T: DecimalType>(values: &Buffer, precision: u8) -> bool {
    const HALF_DIGITS: u8 = 39;
    let (values, _) = values.as_chunks::<32>();
    let wide = |value: &[u8; 32]| {
        let word = |at: usize| {
            let word = value[at..at + 8].as_chunks().0[0];
            i64::from_le_bytes(word)
        };
        let sign = word(8) >> 63;
        (word(16) ^ sign) | (word(24) ^ sign)
    };
    T::BYTE_LENGTH == 32
        && precision >= HALF_DIGITS
        && values.iter().fold(0, |all, value| all | wide(value)) == 0
}

/// Values of one width: exactly `rows` of them, moved when they lie as Arrow wants them, else copied.
fn fixed<T: ArrowPrimitiveType>(
    bytes: Buffer,
    rows: usize,
) -> Result<ScalarBuffer<T::Native>, String> {
    let width = size_of::<T::Native>();
    if bytes.len() != rows * width {
        return Err(format!("{} bytes for {rows} rows of {width}", bytes.len()));
    }
    Ok(ScalarBuffer::new(aligned::<T::Native>(bytes), 0, rows))
}

/// The bytes at an address that the type allows.
fn aligned<T>(bytes: Buffer) -> Buffer {
    if bytes.as_ptr().align_offset(align_of::<T>()) == 0 {
        bytes
    } else {
        Buffer::from_slice_ref(bytes.as_slice())
    }
}

#[expect(
    unsafe_code,
    reason = "Arrow looks at the border of every text, which costs more than all else here; in ASCII every one is good"
)]
fn text(
    offsets: Buffer,
    bytes: Buffer,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<StringArray, String> {
    let offsets = self::offsets(offsets, rows, Some(bytes.len()))?;
    let same_rows = nulls.as_ref().is_none_or(|nulls| nulls.len() == rows);
    if is_ascii(&bytes) && same_rows {
        // SAFETY: `offsets` are those of `rows` texts, never fall, and end with the bytes, which are characters each.
        return Ok(unsafe { StringArray::new_unchecked(offsets, bytes, nulls) });
    }
    StringArray::try_new(offsets, bytes, nulls).map_err(|error| error.to_string())
}

/// As the standard library's, but many at a time and without an early end.
fn is_ascii(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<128>();
    let all = chunks.iter().fold(0, |all, chunk| {
        let words = chunk.as_chunks().0.iter();
        words.fold(all, |all, word| all | u64::from_le_bytes(*word))
    });
    all & 0x8080_8080_8080_8080 == 0 && rest.is_ascii()
}

/// `rows + 1` offsets, the first 0, never falling, the last `end`, all below 2^31.
#[expect(
    unsafe_code,
    reason = "Arrow looks at each offset once more, and ends the process where one falls"
)]
fn offsets(bytes: Buffer, rows: usize, end: Option<usize>) -> Result<OffsetBuffer<i32>, String> {
    if bytes.len() != (rows + 1) * 4 {
        return Err(format!("{} bytes of offsets for {rows} rows", bytes.len()));
    }
    let offsets = ScalarBuffer::<i32>::new(aligned::<i32>(bytes), 0, rows + 1);
    // Without an early end: so it is done for several at a time.
    let pairs = offsets.iter().zip(&offsets[1..]);
    let falls = pairs.fold(0, |falls, (start, end)| falls | u32::from(end < start));
    if offsets[0] != 0 || falls != 0 {
        return Err("its offsets do not begin at 0, or fall, or pass 2^31".to_owned());
    }
    if end.is_some_and(|end| usize::try_from(offsets[rows]) != Ok(end)) {
        return Err("its last offset is not the length of its bytes".to_owned());
    }
    // SAFETY: they are not empty, begin at 0 and never fall, as was just seen.
    Ok(unsafe { OffsetBuffer::new_unchecked(offsets) })
}

/// One bit a row; the bits behind the last row are 0.
fn bitmap(bytes: Buffer, rows: usize) -> Result<BooleanBuffer, String> {
    if bytes.len() != rows.div_ceil(8) {
        return Err(format!("{} bytes of bits for {rows} rows", bytes.len()));
    }
    if !rows.is_multiple_of(8) && bytes[rows / 8] >> (rows % 8) != 0 {
        return Err("bits are set behind the last row".to_owned());
    }
    Ok(BooleanBuffer::new(bytes, 0, rows))
}

/// `count` u32, each below `below`.
pub(crate) fn indexes(
    bytes: &[u8],
    count: usize,
    below: u32,
    what: &str,
) -> Result<Vec<u32>, String> {
    if bytes.len() != count * 4 {
        return Err(format!("{} bytes of {what} for {count} rows", bytes.len()));
    }
    let indexes: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|four| u32::from_le_bytes(four.try_into().expect("four bytes")))
        .collect();
    if indexes
        .iter()
        .max()
        .is_some_and(|highest| *highest >= below)
    {
        return Err(format!("{what} name an input row of {below} and more"));
    }
    Ok(indexes)
}

/// `groups + 1` offsets into `rows` rows.
pub(crate) fn group_offsets(
    bytes: Vec<u8>,
    groups: usize,
    rows: usize,
) -> Result<OffsetBuffer<i32>, String> {
    offsets(bytes.into(), groups, Some(rows))
}
