//! `select`: columns by expressions; metadata columns come along at the end. Linear: it keeps nothing.

use super::columns::{Records, are_same, batch, distinct, inputs};
use super::{Operator, Step};
use crate::expr::{Expr, RowError};
use crate::{Delta, OpError, Parts, Refusal, meta};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An expression's values, and the rows that it has none for.
type Made = (ArrayRef, Vec<RowError>);

pub(super) struct Project {
    schema: SchemaRef,
    /// `schema` with every column nullable, for rows that are refused right after.
    open_schema: SchemaRef,
    exprs: Vec<(String, Expr)>,
    meta: Vec<usize>,
    records: Records,
}

impl Project {
    pub(super) fn new(
        columns: &[(String, String)],
        schemas: &[SchemaRef],
    ) -> Result<Self, OpError> {
        let [schema] = inputs("select", schemas)?;
        let mut exprs = Vec::new();
        for (name, sql) in columns
            .iter()
            .filter(|(name, sql)| !is_meta_itself(name, sql))
        {
            if meta::is_meta(name) {
                let message =
                    format!("`{name}`: names that begin with `_` belong to record metadata");
                return Err(OpError::new("reserved_name", message).at(&[name]));
            }
            let expr = Expr::compile(sql, schema).map_err(|error| error.at(&[name]))?;
            exprs.push((name.clone(), expr));
        }
        let field = |(name, expr): &(String, Expr)| -> FieldRef {
            Arc::new(Field::new(name, expr.data_type().clone(), expr.nullable()))
        };
        let mut fields: Vec<FieldRef> = exprs.iter().map(field).collect();
        let is_meta = |index: &usize| meta::is_meta(schema.field(*index).name());
        let meta: Vec<usize> = (0..schema.fields().len()).filter(is_meta).collect();
        fields.extend(
            meta.iter()
                .map(|&index| Arc::clone(&schema.fields()[index])),
        );
        let schema = distinct(fields, &[])?;
        let open = schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true));
        let open_schema = Arc::new(Schema::new(open.collect::<Vec<_>>()));
        let records = Records::of(&schemas[0]);
        Ok(Self {
            schema,
            open_schema,
            exprs,
            meta,
            records,
        })
    }

    /// Each expression's values. One that reads the same columns as in the part before has the same values; where it
    /// comes to the same, the part shares that column, so that nobody behind looks at it twice either.
    fn made(&self, rows: &RecordBatch, before: Option<(RecordBatch, Vec<Made>)>) -> Vec<Made> {
        let before = before.filter(|(batch, _)| batch.num_rows() == rows.num_rows());
        let value = |(index, (_, expr)): (usize, &(String, Expr))| match &before {
            Some((batch, made)) if are_same(batch, rows, expr.columns()) => made[index].clone(),
            Some((_, made)) => {
                let now = expr.eval(rows);
                let is_same = now.1 == made[index].1 && *now.0 == *made[index].0;
                if is_same { made[index].clone() } else { now }
            }
            None => expr.eval(rows),
        };
        self.exprs.iter().enumerate().map(value).collect()
    }

    fn projected(&self, part: &Delta, made: &[Made], refusals: &mut Vec<Refusal>) -> Delta {
        let Delta {
            batch: rows,
            weights,
        } = part;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        let mut refused = BTreeSet::new();
        for ((name, _), (values, errors)) in self.exprs.iter().zip(made) {
            columns.push(Arc::clone(values));
            // A row is refused once, for the first column that has no value.
            for error in errors.iter().filter(|error| refused.insert(error.row)) {
                let weight = weights[error.row];
                let message = format!("{name}: {}", error.message);
                let refusal = self
                    .records
                    .refusal(rows, error.row, weight, error.code, message);
                refusals.push(Refusal {
                    field: Some(name.clone()),
                    ..refusal
                });
            }
        }
        let meta = self.meta.iter();
        columns.extend(meta.map(|&index| Arc::clone(rows.column(index))));
        if refused.is_empty() {
            return Delta {
                batch: batch(&self.schema, columns, rows.num_rows()),
                weights: Arc::clone(weights),
            };
        }
        let open = batch(&self.open_schema, columns, rows.num_rows());
        let kept: Vec<bool> = (0..rows.num_rows())
            .map(|row| !refused.contains(&row))
            .collect();
        let weights = (0..rows.num_rows())
            .filter(|row| kept[*row])
            .map(|row| weights[row])
            .collect();
        let open = filter_record_batch(&open, &BooleanArray::from(kept)).expect("one flag a row");
        Delta::new(
            batch(&self.schema, open.columns().to_vec(), open.num_rows()),
            weights,
        )
    }
}

/// `_offset: _offset` says what happens anyway.
fn is_meta_itself(name: &str, sql: &str) -> bool {
    meta::is_meta(name) && name == sql.trim()
}

impl Operator for Project {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Parts], _as_of_us: i64) -> Step {
        let (mut refusals, mut before) = (Vec::new(), None);
        let delta = inputs[0].map(&self.schema, |part| {
            let made = self.made(&part.batch, before.take());
            let delta = self.projected(part, &made, &mut refusals);
            before = Some((part.batch.clone(), made));
            delta
        });
        Step { delta, refusals }
    }

    fn state_rows(&self) -> usize {
        0
    }
}
