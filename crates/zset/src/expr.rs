//! SQL expressions over Arrow columns (`DataFusion`), typed ahead, immutable functions only, exact decimals.
//!
//! Decimal arithmetic is exact or an error of that row; what would round in silence (a division, a
//! cast that drops digits, a mix with floats) is refused when the expression is compiled. A row's
//! result never depends on the rows beside it.

mod decimals;
mod functions;
mod plan;
mod steady;

pub use functions::usable as function_names;

use crate::OpError;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_empty_array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, concat};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, SchemaRef};
use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::utils::{collect_columns, reassign_expr_columns};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most operators, brackets and words such as `NOT` and `CASE` of an expression: each may nest, and parser, planner and
/// evaluation go down once a level.
pub const OPERATORS_MAX: usize = 512;
/// So many of them fit any thread's stack.
const SHALLOW_OPERATORS: usize = 8;
/// Stack that parsing and planning take a level, at most; 30 levels of `NOT` took two megabytes.
const COMPILE_BYTES: usize = 128 << 10;
/// Stack that evaluating takes a level, at most.
const EVALUATE_BYTES: usize = 16 << 10;

/// Does something that takes so much stack a level, on a larger one where this thread's does not suffice.
fn on_stack<T>(levels: usize, bytes_each: usize, work: impl FnOnce() -> T) -> T {
    if levels <= SHALLOW_OPERATORS {
        return work();
    }
    let bytes = (levels + SHALLOW_OPERATORS) * bytes_each;
    stacker::maybe_grow(bytes, bytes, work)
}

/// A compiled expression. Pure; one instance may be used by several threads.
#[derive(Clone, Debug)]
pub struct Expr {
    /// The columns that it reads. It is handed no others: a condition's branches are given parts of each.
    columns: Vec<usize>,
    physical: Arc<dyn PhysicalExpr>,
    data_type: DataType,
    nullable: bool,
    /// It nests no deeper.
    operators: usize,
}

/// A row for which an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// Its index in the batch.
    pub row: usize,
    /// `overflow`, `division_by_zero`, `bad_cast` or `expression_failed`.
    pub code: &'static str,
    /// What is wrong, without the row's values.
    pub message: String,
}

impl Expr {
    /// Parses and types an expression over batches of this schema.
    pub fn compile(sql: &str, schema: &SchemaRef) -> Result<Self, OpError> {
        let operators = plan::operators(sql, schema)?;
        on_stack(operators, COMPILE_BYTES, || {
            Self::compile_here(sql, schema, operators)
        })
    }

    fn compile_here(sql: &str, schema: &SchemaRef, operators: usize) -> Result<Self, OpError> {
        let planned = plan::plan(sql, schema)?;
        let columns = collect_columns(&planned.physical).into_iter();
        let columns: BTreeSet<usize> = columns.map(|column| column.index()).collect();
        let columns: Vec<usize> = columns.into_iter().collect();
        let read = schema.project(&columns).expect("columns of the schema");
        let physical = reassign_expr_columns(planned.physical, &read).and_then(steady::steady);
        Ok(Self {
            physical: physical.expect("the schema has the columns"),
            columns,
            data_type: planned.data_type,
            nullable: planned.nullable,
            operators,
        })
    }

    /// The type of its values: one that columns may have.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Whether a value may be null.
    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// The indexes of the columns that it reads.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Whether it is a column as it stands, which has a value for every row.
    pub fn is_column(&self) -> bool {
        self.physical.downcast_ref::<Column>().is_some()
    }

    /// The value for each row; null, and an error, for a row that has none.
    pub fn eval(&self, batch: &RecordBatch) -> (ArrayRef, Vec<RowError>) {
        if batch.num_rows() == 0 {
            return (new_empty_array(&self.data_type), Vec::new());
        }
        if let ([only], true) = (&self.columns[..], self.is_column()) {
            return (Arc::clone(batch.column(*only)), Vec::new());
        }
        let batch = batch.project(&self.columns).expect("a batch of the schema");
        match self.try_eval(&batch) {
            Ok(values) => (values, Vec::new()),
            Err(_) => self.eval_bisecting(&batch),
        }
    }

    /// The whole batch failed: halves it until the failing rows stand alone.
    fn eval_bisecting(&self, batch: &RecordBatch) -> (ArrayRef, Vec<RowError>) {
        let (mut parts, mut errors) = (Vec::new(), Vec::new());
        let mut open = vec![(0, batch.num_rows())];
        while let Some((start, length)) = open.pop() {
            match self.try_eval(&batch.slice(start, length)) {
                Ok(values) => parts.push(values),
                Err(error) if length == 1 => {
                    parts.push(new_null_array(&self.data_type, 1));
                    errors.push(row_error(start, &error));
                }
                Err(_) => {
                    let half = length / 2;
                    open.push((start + half, length - half));
                    open.push((start, half));
                }
            }
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        (concat(&parts).expect("parts of one type"), errors)
    }

    fn try_eval(&self, batch: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
        let evaluate = || self.physical.evaluate(batch);
        let values = on_stack(self.operators, EVALUATE_BYTES, evaluate);
        let values = values?.into_array(batch.num_rows())?;
        let values = if values.data_type() == &self.data_type {
            values
        } else {
            let options = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            cast_with_options(&values, &self.data_type, &options)?
        };
        if !self.nullable && values.null_count() > 0 {
            let message = "a null where none can be".to_owned();
            return Err(DataFusionError::Execution(message));
        }
        match self.data_type {
            DataType::Decimal128(precision, _) => {
                values
                    .as_primitive::<Decimal128Type>()
                    .validate_decimal_precision(precision)?;
            }
            DataType::Decimal256(precision, _) => {
                values
                    .as_primitive::<Decimal256Type>()
                    .validate_decimal_precision(precision)?;
            }
            _ => {}
        }
        Ok(values)
    }
}

/// Messages are constant: Arrow's own quote the values.
fn row_error(row: usize, error: &DataFusionError) -> RowError {
    let (code, message) = match error.find_root() {
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero => ("division_by_zero", "division by zero"),
            ArrowError::ArithmeticOverflow(_) | ArrowError::InvalidArgumentError(_) => {
                ("overflow", "the result has more digits than its type holds")
            }
            ArrowError::CastError(_) | ArrowError::ParseError(_) => {
                ("bad_cast", "the value does not fit the type it is cast to")
            }
            _ => (
                "expression_failed",
                "the expression has no value for this row",
            ),
        },
        _ => (
            "expression_failed",
            "the expression has no value for this row",
        ),
    };
    RowError {
        row,
        code,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
