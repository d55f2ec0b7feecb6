//! Arrow to the border. Buffers are lent where Arrow's layout is the border's; a sliced array's offsets and bits are
//! copied so that they begin at 0.

use crate::abi::{BatchRef, BuffersRef, ColumnRef, DictionaryRef, VarlenRef};
use crate::kind::Flat;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, downcast_primitive_array};
use arrow::buffer::{BooleanBuffer, Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, UInt32Type};

/// A batch whose buffers can be lent to a call.
#[derive(Debug)]
pub(crate) struct Lowered<'f> {
    rows: u32,
    columns: Vec<Column<'f>>,
}

#[derive(Debug)]
struct Column<'f> {
    flat: &'f Flat,
    validity: Option<Buffer>,
    data: Data,
}

#[derive(Debug)]
enum Data {
    None,
    Bits(Buffer),
    Fixed(Buffer),
    Varlen(Buffer, Buffer),
    Dictionary(Buffer, Buffer, Buffer),
    Nested(Buffer),
}

impl<'f> Lowered<'f> {
    /// The batch's columns, which are those of `flat`.
    pub(crate) fn new(flat: &'f [Flat], batch: &RecordBatch) -> Self {
        let mut columns = Vec::with_capacity(flat.len());
        let mut rest = flat;
        for array in batch.columns() {
            rest = push(rest, array, &mut columns);
        }
        Self {
            rows: u32::try_from(batch.num_rows()).expect("a call has less than 2^32 rows"),
            columns,
        }
    }

    /// The columns as a call takes them.
    pub(crate) fn columns(&self) -> Vec<ColumnRef<'_>> {
        self.columns.iter().map(Column::lend).collect()
    }

    /// The batch as a call takes it.
    pub(crate) fn batch<'a>(&self, columns: &'a [ColumnRef<'a>]) -> BatchRef<'a> {
        BatchRef {
            rows: self.rows,
            columns,
        }
    }
}

impl Column<'_> {
    fn lend(&self) -> ColumnRef<'_> {
        ColumnRef {
            name: &self.flat.name,
            kind: &self.flat.kind,
            validity: self.validity.as_deref(),
            data: match &self.data {
                Data::None => BuffersRef::None,
                Data::Bits(bits) => BuffersRef::Bits(bits),
                Data::Fixed(bytes) => BuffersRef::Fixed(bytes),
                Data::Varlen(offsets, bytes) => BuffersRef::Varlen(VarlenRef { offsets, bytes }),
                Data::Dictionary(keys, offsets, bytes) => BuffersRef::Dictionary(DictionaryRef {
                    keys,
                    values: VarlenRef { offsets, bytes },
                }),
                Data::Nested(offsets) => BuffersRef::Nested(offsets),
            },
            children: self.flat.children,
        }
    }
}

/// Adds a column and its children; what is left of `flat`.
fn push<'f>(flat: &'f [Flat], array: &ArrayRef, columns: &mut Vec<Column<'f>>) -> &'f [Flat] {
    let (own, mut rest) = flat
        .split_first()
        .expect("the schema has a column for every array");
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    let is_null = nulls.is_some_and(|nulls| nulls.null_count() == nulls.len());
    if is_null && own.children == 0 && own.kind != "struct" {
        columns.push(Column {
            flat: own,
            validity: None,
            data: Data::None,
        });
        return rest;
    }
    let validity = nulls.map(|nulls| bits(nulls.inner()));
    let (data, children) = data(array);
    columns.push(Column {
        flat: own,
        validity,
        data,
    });
    for child in &children {
        rest = push(rest, child, columns);
    }
    rest
}

fn data(array: &ArrayRef) -> (Data, Vec<ArrayRef>) {
    let data = match array.data_type() {
        DataType::Boolean => Data::Bits(bits(array.as_boolean().values())),
        DataType::Utf8 => varlen(
            array.as_string::<i32>().offsets(),
            array.as_string::<i32>().values(),
        ),
        DataType::Binary => varlen(
            array.as_binary::<i32>().offsets(),
            array.as_binary::<i32>().values(),
        ),
        DataType::Dictionary(..) => {
            let dictionary = array.as_dictionary::<UInt32Type>();
            let values = dictionary.values().as_string::<i32>();
            let Data::Varlen(offsets, bytes) = varlen(values.offsets(), values.values()) else {
                unreachable!("varlen answers no other")
            };
            Data::Dictionary(dictionary.keys().values().inner().clone(), offsets, bytes)
        }
        DataType::Struct(_) => return (Data::None, array.as_struct().columns().to_vec()),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (first, last) = ends(list.offsets());
            let child = list.values().slice(first, last - first);
            return (Data::Nested(from_zero(list.offsets())), vec![child]);
        }
        _ => downcast_primitive_array! {
            array => Data::Fixed(array.values().inner().clone()),
            other => unreachable!("{other} has no kind"),
        },
    };
    (data, Vec::new())
}

fn varlen(offsets: &OffsetBuffer<i32>, bytes: &Buffer) -> Data {
    let (first, last) = ends(offsets);
    Data::Varlen(
        from_zero(offsets),
        bytes.slice_with_length(first, last - first),
    )
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
