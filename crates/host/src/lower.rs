//! Arrow to the border. Buffers are lent where Arrow's layout is the border's; a sliced array's offsets and bits are
//! copied so that they begin at 0.

use crate::abi::{BatchRef, Column, Dictionary, Layout, Span, Varlen};
use crate::buffers::{Packed, behind};
use crate::kind::Flat;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, downcast_primitive_array};
use arrow::buffer::{BooleanBuffer, Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, UInt32Type};

/// A batch whose buffers can be lent to a call.
#[derive(Debug)]
pub(crate) struct Lowered {
    rows: u32,
    columns: Vec<Column>,
    buffers: Vec<Buffer>,
    /// Where the next buffer begins.
    end: usize,
}

impl Lowered {
    /// The batch's columns, which are those of `flat`.
    pub(crate) fn new(flat: &[Flat], batch: &RecordBatch) -> Self {
        let mut lowered = Self {
            rows: u32::try_from(batch.num_rows()).expect("a call has less than 2^32 rows"),
            columns: Vec::with_capacity(flat.len()),
            buffers: Vec::with_capacity(flat.len() * 3),
            end: 0,
        };
        let mut rest = flat;
        for array in batch.columns() {
            rest = lowered.push(rest, array);
        }
        lowered
    }

    /// The batch as a call takes it.
    pub(crate) fn batch(&self) -> BatchRef<'_> {
        BatchRef {
            rows: self.rows,
            columns: &self.columns,
            buffers: Packed(&self.buffers),
        }
    }

    /// Adds a buffer. Where one is behind 4 GiB is not told in a number: the call fails, as no plugin has the memory.
    fn span(&mut self, bytes: Buffer) -> Span {
        let number = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
        let span = Span {
            of: 0,
            at: number(self.end),
            len: number(bytes.len()),
        };
        self.end = behind(self.end, bytes.len());
        self.buffers.push(bytes);
        span
    }

    /// Adds a column and its children; what is left of `flat`.
    fn push<'f>(&mut self, flat: &'f [Flat], array: &ArrayRef) -> &'f [Flat] {
        let (own, mut rest) = flat
            .split_first()
            .expect("the schema has a column for every array");
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        let is_null = nulls.is_some_and(|nulls| nulls.null_count() == nulls.len());
        if is_null && own.children == 0 && own.kind != "struct" {
            self.columns.push(Column {
                validity: None,
                data: Layout::None,
            });
            return rest;
        }
        let validity = nulls.map(|nulls| self.span(bits(nulls.inner())));
        let (data, children) = self.data(array);
        self.columns.push(Column { validity, data });
        for child in &children {
            rest = self.push(rest, child);
        }
        rest
    }

    fn data(&mut self, array: &ArrayRef) -> (Layout, Vec<ArrayRef>) {
        let data = match array.data_type() {
            DataType::Boolean => Layout::Bits(self.span(bits(array.as_boolean().values()))),
            DataType::Utf8 => {
                let text = array.as_string::<i32>();
                Layout::Varlen(self.varlen(text.offsets(), text.values()))
            }
            DataType::Binary => {
                let bytes = array.as_binary::<i32>();
                Layout::Varlen(self.varlen(bytes.offsets(), bytes.values()))
            }
            DataType::Dictionary(..) => {
                let dictionary = array.as_dictionary::<UInt32Type>();
                let values = dictionary.values().as_string::<i32>();
                Layout::Dictionary(Dictionary {
                    keys: self.span(dictionary.keys().values().inner().clone()),
                    values: self.varlen(values.offsets(), values.values()),
                })
            }
            DataType::Struct(_) => return (Layout::None, array.as_struct().columns().to_vec()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let (first, last) = ends(list.offsets());
                let child = list.values().slice(first, last - first);
                return (
                    Layout::Nested(self.span(from_zero(list.offsets()))),
                    vec![child],
                );
            }
            _ => downcast_primitive_array! {
                array => Layout::Fixed(self.span(array.values().inner().clone())),
                other => unreachable!("{other} has no kind"),
            },
        };
        (data, Vec::new())
    }

    fn varlen(&mut self, offsets: &OffsetBuffer<i32>, bytes: &Buffer) -> Varlen {
        let (first, last) = ends(offsets);
        Varlen {
            offsets: self.span(from_zero(offsets)),
            bytes: self.span(bytes.slice_with_length(first, last - first)),
        }
    }
}

fn ends(offsets: &OffsetBuffer<i32>) -> (usize, usize) {
    let end = |offset: Option<&i32>| {
        usize::try_from(*offset.expect("offsets are never empty"))
            .expect("offsets are not negative")
    };
    (end(offsets.first()), end(offsets.last()))
}

/// The offsets, less the first.
fn from_zero(offsets: &OffsetBuffer<i32>) -> Buffer {
    match offsets[0] {
        0 => offsets.inner().inner().clone(),
        first => offsets
            .iter()
            .map(|offset| offset - first)
            .collect::<Vec<i32>>()
            .into(),
    }
}

/// The bits, the first one lowest in the first byte, and 0 behind the last.
fn bits(values: &BooleanBuffer) -> Buffer {
    let bytes = values.sliced();
    let used = values.len().div_ceil(8);
    let spare = used * 8 - values.len();
    if spare == 0 {
        return bytes.slice_with_length(0, used);
    }
    let mut bytes = bytes[..used].to_vec();
    bytes[used - 1] &= 0xff >> spare;
    bytes.into()
}
