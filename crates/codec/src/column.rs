//! Growing columns that can be cut back to an earlier length, so that a record which turns out bad
//! half-way leaves no trace.

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array,
    Decimal256Array, Float32Array, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    RecordBatchOptions, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef, TimeUnit, i256};
use std::sync::Arc;

/// The columns of one record level.
pub(crate) struct Table {
    /// One per field.
    pub(crate) columns: Vec<Column>,
    /// Rows that are complete; a column longer than this already has the value of the current record.
    pub(crate) rows: usize,
    /// Which field the n-th name of the last record was: names mostly come in the same order.
    pub(crate) order: Vec<u16>,
}

/// One growing column.
pub(crate) struct Column {
    /// Its values; nulls have a default value.
    pub(crate) values: Values,
    len: usize,
    /// Which are not null; none until the first null.
    valid: Option<BooleanBufferBuilder>,
}

/// Values by Arrow type.
pub(crate) enum Values {
    Text(Spans),
    Bytes(Spans),
    Bool(BooleanBufferBuilder),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Date(Vec<i32>),
    Instant(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal128 {
        values: Vec<i128>,
        precision: u8,
        scale: i8,
    },
    Decimal256 {
        values: Vec<i256>,
        precision: u8,
        scale: i8,
    },
    Struct {
        fields: Fields,
        table: Table,
    },
    List {
        item: Arc<Field>,
        ends: Vec<i32>,
        column: Box<Column>,
    },
}

/// Values of differing lengths, end to end.
pub(crate) struct Spans {
    pub(crate) data: Vec<u8>,
    ends: Vec<i32>,
}

impl Spans {
    fn new(capacity: usize) -> Self {
        let mut ends = Vec::with_capacity(capacity + 1);
        ends.push(0);
        Self {
            data: Vec::with_capacity(capacity * 12),
            ends,
        }
    }

    /// Ends the value whose bytes were just appended to `data`.
    #[inline]
    pub(crate) fn close(&mut self) {
        self.ends.push(position(self.data.len()));
    }

    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len + 1);
        self.data
            .truncate(usize::try_from(self.ends[len]).expect("ends are not negative"));
    }

    fn finish(self) -> (OffsetBuffer<i32>, Buffer) {
        (
            OffsetBuffer::new(ScalarBuffer::from(self.ends)),
            Buffer::from_vec(self.data),
        )
    }
}

fn all_valid(len: usize) -> BooleanBufferBuilder {
    let mut valid = BooleanBufferBuilder::new(len + 1);
    valid.append_n(len, true);
    valid
}

#[inline]
fn position(len: usize) -> i32 {
    i32::try_from(len).expect("a batch is bounded far below 2 GiB by the epoch's byte limit")
}

impl Table {
    /// Empty columns for these fields.
    pub(crate) fn new(fields: &Fields, capacity: usize) -> Self {
        Self {
            columns: fields
                .iter()
                .map(|f| Column::new(f.data_type(), capacity))
                .collect(),
            rows: 0,
            order: Vec::new(),
        }
    }

    /// One row of nulls.
    pub(crate) fn push_nulls(&mut self) {
        for column in &mut self.columns {
            column.push_null();
        }
    }

    /// Back to this many rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows = rows;
        for column in &mut self.columns {
            column.truncate(rows);
        }
    }

    /// The rows as a batch of this schema.
    pub(crate) fn finish(self, schema: SchemaRef) -> RecordBatch {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let columns = self.columns.into_iter().map(Column::finish).collect();
        RecordBatch::try_new_with_options(schema, columns, &options)
            .expect("columns are made from the schema")
    }
}

impl Column {
    /// An empty column of a type that [`Values`] has.
    pub(crate) fn new(data_type: &DataType, capacity: usize) -> Self {
        let values = match data_type {
            DataType::Utf8 => Values::Text(Spans::new(capacity)),
            DataType::Binary => Values::Bytes(Spans::new(capacity)),
            DataType::Boolean => Values::Bool(BooleanBufferBuilder::new(capacity)),
            DataType::Int32 => Values::Int32(Vec::with_capacity(capacity)),
            DataType::Int64 => Values::Int64(Vec::with_capacity(capacity)),
            DataType::Date32 => Values::Date(Vec::with_capacity(capacity)),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                Values::Instant(Vec::with_capacity(capacity))
            }
            DataType::Float32 => Values::Float32(Vec::with_capacity(capacity)),
            DataType::Float64 => Values::Float64(Vec::with_capacity(capacity)),
            DataType::Decimal128(precision, scale) => Values::Decimal128 {
                values: Vec::with_capacity(capacity),
                precision: *precision,
                scale: *scale,
            },
            DataType::Decimal256(precision, scale) => Values::Decimal256 {
                values: Vec::with_capacity(capacity),
                precision: *precision,
                scale: *scale,
            },
            DataType::Struct(fields) => Values::Struct {
                fields: fields.clone(),
                table: Table::new(fields, capacity),
            },
            DataType::List(item) => Values::List {
                item: Arc::clone(item),
                ends: vec![0],
                column: Box::new(Column::new(item.data_type(), capacity)),
            },
            other => unreachable!("no decoder writes {other}"),
        };
        Self {
            values,
            len: 0,
            valid: None,
        }
    }

    /// The number of values.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Counts the value that was just pushed into `values`.
    #[inline]
    pub(crate) fn close(&mut self) {
        self.len += 1;
        if let Some(valid) = &mut self.valid {
            valid.append(true);
        }
    }

    /// Ends a list whose items were just pushed.
    pub(crate) fn close_list(&mut self) {
        if let Values::List { ends, column, .. } = &mut self.values {
            ends.push(position(column.len()));
        }
        self.close();
    }

    /// A null.
    #[inline]
    pub(crate) fn push_null(&mut self) {
        match &mut self.values {
            Values::Text(spans) | Values::Bytes(spans) => spans.close(),
            Values::Bool(values) => values.append(false),
            Values::Int32(values) | Values::Date(values) => values.push(0),
            Values::Int64(values) | Values::Instant(values) => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal128 { values, .. } => values.push(0),
            Values::Decimal256 { values, .. } => values.push(i256::ZERO),
            Values::Struct { table, .. } => {
                table.push_nulls();
                table.rows += 1;
            }
            Values::List { ends, column, .. } => ends.push(position(column.len())),
        }
        let len = self.len;
        self.valid
            .get_or_insert_with(|| all_valid(len))
            .append(false);
        self.len += 1;
    }

    /// Back to this many values; one that was begun and not closed goes too.
    pub(crate) fn truncate(&mut self, len: usize) {
        match &mut self.values {
            Values::Text(spans) | Values::Bytes(spans) => spans.truncate(len),
            Values::Bool(values) => values.truncate(len),
            Values::Int32(values) | Values::Date(values) => values.truncate(len),
            Values::Int64(values) | Values::Instant(values) => values.truncate(len),
            Values::Float32(values) => values.truncate(len),
            Values::Float64(values) => values.truncate(len),
            Values::Decimal128 { values, .. } => values.truncate(len),
            Values::Decimal256 { values, .. } => values.truncate(len),
            Values::Struct { table, .. } => table.truncate(len),
            Values::List { ends, column, .. } => {
                ends.truncate(len + 1);
                column.truncate(usize::try_from(ends[len]).expect("ends are not negative"));
            }
        }
        self.len = self.len.min(len);
        if let Some(valid) = &mut self.valid {
            valid.truncate(self.len);
        }
    }

    /// The Arrow array.
    pub(crate) fn finish(self) -> ArrayRef {
        let nulls = self.valid.map(|mut valid| NullBuffer::new(valid.finish()));
        match self.values {
            Values::Text(spans) => {
                let (offsets, data) = spans.finish();
                Arc::new(
                    StringArray::try_new(offsets, data, nulls).expect("only valid UTF-8 is pushed"),
                )
            }
            Values::Bytes(spans) => {
                let (offsets, data) = spans.finish();
                Arc::new(BinaryArray::new(offsets, data, nulls))
            }
            Values::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int32(values) => Arc::new(Int32Array::new(values.into(), nulls)),
            Values::Int64(values) => Arc::new(Int64Array::new(values.into(), nulls)),
            Values::Date(values) => Arc::new(Date32Array::new(values.into(), nulls)),
            Values::Instant(values) => {
                Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone("UTC"))
            }
            Values::Float32(values) => Arc::new(Float32Array::new(values.into(), nulls)),
            Values::Float64(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Values::Decimal128 {
                values,
                precision,
                scale,
            } => {
                let array = Decimal128Array::new(values.into(), nulls);
                Arc::new(
                    array
                        .with_precision_and_scale(precision, scale)
                        .expect("checked when the schema was read"),
                )
            }
            Values::Decimal256 {
                values,
                precision,
                scale,
            } => {
                let array = Decimal256Array::new(values.into(), nulls);
                Arc::new(
                    array
                        .with_precision_and_scale(precision, scale)
                        .expect("checked when the schema was read"),
                )
            }
            Values::Struct { fields, table } => {
                let rows = table.rows;
                let columns = table.columns.into_iter().map(Column::finish).collect();
                Arc::new(
                    StructArray::try_new_with_length(fields, columns, nulls, rows)
                        .expect("columns are made from the fields"),
                )
            }
            Values::List { item, ends, column } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
                Arc::new(ListArray::new(item, offsets, column.finish(), nulls))
            }
        }
    }
}
