//! What the operators share: finding columns, encoding some of them, naming the record of a row.

use crate::rows::RowCodec;
use crate::{OpError, Refusal, meta};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, FieldRef, Int32Type, Int64Type, Schema, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};
use std::sync::Arc;

/// The index of a column.
pub(super) fn find(schema: &SchemaRef, name: &str) -> Result<usize, OpError> {
    schema
        .index_of(name)
        .map_err(|_unknown| OpError::unknown_column(name, schema))
}

/// The indexes of columns named in a list setting.
pub(super) fn find_all(
    schema: &SchemaRef,
    names: &[String],
    setting: &str,
) -> Result<Vec<usize>, OpError> {
    let places = names.iter().enumerate();
    places
        .map(|(i, name)| find(schema, name).map_err(|e| e.at(&[setting, &i.to_string()])))
        .collect()
}

/// A list setting that may not be empty.
pub(super) fn some(names: &[String], setting: &str) -> Result<(), OpError> {
    if names.is_empty() {
        return Err(
            OpError::new("missing_key", format!("`{setting}` names no column")).at(&[setting]),
        );
    }
    Ok(())
}

/// A column whose type is one of these.
pub(super) fn typed(
    schema: &SchemaRef,
    name: &str,
    setting: &str,
    wanted: &str,
    is_wanted: impl Fn(&DataType) -> bool,
) -> Result<usize, OpError> {
    let index = find(schema, name).map_err(|error| error.at(&[setting]))?;
    let found = schema.field(index).data_type();
    if is_wanted(found) {
        return Ok(index);
    }
    let message = format!("column `{name}` is {found}, not {wanted}");
    Err(OpError::new("wrong_type", message).at(&[setting]))
}

/// A schema of these fields, all named differently.
pub(super) fn distinct(fields: Vec<FieldRef>, place: &[&str]) -> Result<SchemaRef, OpError> {
    for (index, field) in fields.iter().enumerate() {
        if fields[..index]
            .iter()
            .any(|other| other.name() == field.name())
        {
            let message = format!("two columns would be named `{}`", field.name());
            let fault = OpError::new("duplicate_column", message).at(place);
            return Err(fault.hint("give one of them another name, or leave it out before"));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Checks that an operator of this name gets exactly so many inputs.
pub(super) fn inputs<'a, const N: usize>(
    operator: &str,
    inputs: &'a [SchemaRef],
) -> Result<&'a [SchemaRef; N], OpError> {
    inputs.try_into().map_err(|_length| {
        let message = format!("`{operator}` takes {N} input(s), not {}", inputs.len());
        OpError::new("wrong_inputs", message)
    })
}

/// Checks that rows know their record.
pub(super) fn log(operator: &str, schema: &SchemaRef) -> Result<(), OpError> {
    if meta::is_tracked(schema) {
        return Ok(());
    }
    let message = format!("`{operator}` needs a log, and these rows no longer know their records");
    let fault = OpError::new("not_a_log", message);
    Err(fault.hint("put it before any `join`, `aggregate` or group plugin"))
}

/// The row form of some columns of a schema.
#[derive(Debug)]
pub(super) struct Encoder {
    columns: Vec<usize>,
    pub(super) codec: RowCodec,
}

impl Encoder {
    pub(super) fn new(schema: &SchemaRef, columns: Vec<usize>) -> Result<Self, OpError> {
        for &index in &columns {
            let field = schema.field(index);
            let sort = SortField::new(field.data_type().clone());
            if !RowConverter::supports_fields(&[sort]) {
                let message = format!(
                    "column `{}` is {}, which cannot be kept or compared",
                    field.name(),
                    field.data_type()
                );
                return Err(OpError::new("wrong_type", message));
            }
        }
        let codec = RowCodec::new(Arc::new(schema.project(&columns).expect("its own columns")));
        Ok(Self { columns, codec })
    }

    pub(super) fn encode(&self, batch: &RecordBatch) -> Rows {
        self.codec.encode(
            &batch
                .project(&self.columns)
                .expect("a batch of the encoder's schema"),
        )
    }

    /// For each row, whether one of the columns is null.
    pub(super) fn nulls(&self, batch: &RecordBatch) -> Vec<bool> {
        let mut nulls = vec![false; batch.num_rows()];
        for &index in &self.columns {
            let column = batch.column(index);
            if column.logical_null_count() > 0 {
                nulls
                    .iter_mut()
                    .enumerate()
                    .for_each(|(row, null)| *null |= is_null(column, row));
            }
        }
        nulls
    }

    /// The encoded row whose columns are all null.
    pub(super) fn null_row(&self) -> Box<[u8]> {
        let fields = self.codec.schema().fields().iter();
        let columns = fields.map(|field| arrow::array::new_null_array(field.data_type(), 1));
        let fields = self.codec.schema().fields().iter();
        let fields = fields.map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batch = batch(&schema, columns.collect(), 1);
        self.codec.encode(&batch).row(0).data().into()
    }
}

fn is_null(column: &ArrayRef, row: usize) -> bool {
    match column.data_type() {
        DataType::Dictionary(..) => column
            .logical_nulls()
            .is_some_and(|nulls| nulls.is_null(row)),
        _ => column.is_null(row),
    }
}

/// A batch of a schema that the operator has made itself.
pub(super) fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .expect("the columns were made for this schema")
}

/// Whether two batches share these columns: one that another part of a delta has, too, need not be looked at again.
pub(super) fn are_same(one: &RecordBatch, two: &RecordBatch, columns: &[usize]) -> bool {
    let is_same = |&index: &usize| Arc::ptr_eq(one.column(index), two.column(index));
    columns.iter().all(is_same)
}

/// The record coordinates of a batch's rows, for refusals. Rows that have none are refused without.
#[derive(Debug)]
pub(super) struct Records {
    columns: Option<[usize; 3]>,
}

impl Records {
    pub(super) fn of(schema: &Schema) -> Self {
        let index = |name| schema.index_of(name).ok();
        let columns = match (
            index(meta::TOPIC),
            index(meta::PARTITION),
            index(meta::OFFSET),
        ) {
            (Some(topic), Some(partition), Some(offset)) => Some([topic, partition, offset]),
            _ => None,
        };
        Self { columns }
    }

    pub(super) fn refusal(
        &self,
        batch: &RecordBatch,
        row: usize,
        weight: i64,
        code: &str,
        message: impl Into<String>,
    ) -> Refusal {
        let (topic, partition, offset) = match self.columns {
            None => (String::new(), NO_RECORD, i64::from(NO_RECORD)),
            Some([topic, partition, offset]) => (
                batch.column(topic).as_string::<i32>().value(row).to_owned(),
                batch
                    .column(partition)
                    .as_primitive::<Int32Type>()
                    .value(row),
                batch.column(offset).as_primitive::<Int64Type>().value(row),
            ),
        };
        let (code, message) = (code.to_owned(), message.into());
        Refusal {
            topic,
            partition,
            offset,
            code,
            message,
            field: None,
            weight,
        }
    }
}

/// Partition and offset of rows that come from no record alone.
const NO_RECORD: i32 = -1;

/// A refusal that no record alone is to blame for.
pub(super) fn unplaced(code: &str, message: &str, field: Option<&str>, weight: i64) -> Refusal {
    Refusal {
        topic: String::new(),
        partition: NO_RECORD,
        offset: i64::from(NO_RECORD),
        code: code.to_owned(),
        message: message.to_owned(),
        field: field.map(str::to_owned),
        weight,
    }
}
